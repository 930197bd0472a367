"""The native backend: a compiled game, unmodified, with our hook in its process.

It knows DDNet's server and SuperTux, and plays games of your own that stand on SDL 2.
"""

from __future__ import annotations

from frameperfect.machine import Machine, MachineSpec
from frameperfect.machines.native.choice import has, open_game, recognise
from frameperfect.machines.native.machine import NativeMachine
from frameperfect.machines.native.pool import NativePool
from frameperfect.machines.native.program import maps
from frameperfect.machines.native.windows import WindowsMachine, means_windows
from frameperfect.pool import MachinePool, Pool, PoolSettings

__all__ = ["NativeMachine", "NativePool", "has", "maps", "open", "pool", "recognise"]


def open(spec: MachineSpec) -> Machine:
    """Start a game, `spec.program` or the installed one, and bring it to its first moment."""
    return WindowsMachine(spec) if means_windows(spec) else open_game(spec)


def pool(spec: MachineSpec, size: int, settings: PoolSettings) -> Pool:
    """`size` games, a process each."""
    if means_windows(spec):
        return MachinePool(lambda: WindowsMachine(spec), size, settings)
    return NativePool(spec, size, settings)
