"""The atari backend: Atari 2600 games on the Arcade Learning Environment (https://ale.farama.org/)."""

from __future__ import annotations

import os

from frameperfect.machine import Machine, MachineSpec
from frameperfect.machines.atari.machine import AtariMachine
from frameperfect.machines.atari.pool import AtariPool
from frameperfect.machines.atari.roms import names, recognise
from frameperfect.pool import Pool, PoolSettings
from frameperfect.workers import WorkerPool

__all__ = ["AtariMachine", "AtariPool", "names", "open", "pool", "recognise"]


def open(spec: MachineSpec) -> Machine:
    """Open an Atari game by its file (`spec.program`) or by ale-py's name for it (`spec.name`).

    Raises:
        MachineError: no such game, a ROM that ALE does not know, or an option that the game has not.
    """
    return AtariMachine(spec)


def pool(spec: MachineSpec, size: int, settings: PoolSettings) -> Pool:
    """`size` machines: in this process with one thread, else in one worker process a thread.

    ALE holds Python's lock while it emulates, so only processes run it in parallel.
    """
    threads = min(size, settings.threads or len(os.sched_getaffinity(0)))
    if threads == 1:
        return AtariPool(spec, size, settings)
    return WorkerPool(spec, size, settings, workers=threads)
