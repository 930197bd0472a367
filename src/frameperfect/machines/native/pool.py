"""Servers stepped together: each is a process, so they run at once while one thread waits for all."""

from __future__ import annotations

from frameperfect.machine import MachineSpec
from frameperfect.machines.native.machine import NativeMachine
from frameperfect.pool import MachinePool, PoolSettings


class NativePool(MachinePool):
    """N servers."""

    def __init__(self, spec: MachineSpec, size: int, settings: PoolSettings) -> None:
        super().__init__(lambda: NativeMachine(spec), size, settings)
