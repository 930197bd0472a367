"""The libretro backend: console games behind libretro cores (https://docs.libretro.com/)."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from frameperfect.machine import Machine, MachineSpec
from frameperfect.machines.libretro.cores import list_cores
from frameperfect.machines.libretro.expand import LibretroExpander
from frameperfect.machines.libretro.machine import LibretroMachine
from frameperfect.machines.libretro.pool import LibretroPool  # before `pool`, which hides the module
from frameperfect.machines.libretro.systems import find_system, system_of_extension
from frameperfect.memory import Span
from frameperfect.pool import Pool, PoolSettings


def open(spec: MachineSpec) -> Machine:
    """Open one machine; see `LibretroMachine`."""
    return LibretroMachine(spec)


def pool(spec: MachineSpec, size: int, settings: PoolSettings) -> Pool:
    """`size` machines in this process, stepped by native threads."""
    return LibretroPool(spec, size, settings)


def expander(spec: MachineSpec, spans: Sequence[Span], threads: int, memory: int) -> LibretroExpander:
    """New states from old ones, on `threads` native threads (0: one a processor)."""
    return LibretroExpander(spec, spans, threads, memory)


def recognise(path: Path) -> MachineSpec | None:
    """The machine that plays the program at `path`, by its extension; None for other files."""
    system = system_of_extension(path.suffix)
    return None if system is None else MachineSpec("libretro", path, system=system.name)


def cores(system: str | None = None) -> list[str]:
    """The cores here that play `system`, its default one first; without a system, all that are here."""
    here = list_cores()
    if system is None:
        return list(here)
    known = find_system(system)
    return [] if known is None else [core for core in known.cores if core in here]
