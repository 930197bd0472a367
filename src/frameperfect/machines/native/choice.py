"""Which machine a spec means."""

from __future__ import annotations

from frameperfect.machine import MachineSpec
from frameperfect.machines.native.lockstep import LockstepMachine
from frameperfect.machines.native.machine import NativeMachine


def open_game(spec: MachineSpec) -> LockstepMachine:
    """Start the game, and bring it to its first moment."""
    if spec.options.get("pid"):
        from frameperfect.machines.native.attach import AttachedMachine

        return AttachedMachine(spec)
    return NativeMachine(spec)
