"""Which machine a spec means."""

from __future__ import annotations

from frameperfect.machine import MachineSpec
from frameperfect.machines.native.lockstep import LockstepMachine
from frameperfect.machines.native.machine import NativeMachine


def open_game(spec: MachineSpec) -> LockstepMachine:
    """Start the game, and bring it to its first moment."""
    return NativeMachine(spec)
