"""The games that ale-py carries, and the ROM files that ALE knows."""

from __future__ import annotations

import difflib
import functools
import importlib.util
from pathlib import Path

import ale_py

from frameperfect.errors import MachineError
from frameperfect.machine import MachineSpec

MAX_ROM_SIZE = 1 << 20
"""The largest Atari 2600 cartridge is 512 KiB; nothing bigger is read."""


@functools.cache
def names() -> tuple[str, ...]:
    """The games of ale-py's wheel that ALE plays here, as `MachineSpec.name` takes them ("space_invaders").

    The wheel also carries a few ROMs for ALE's multi-agent interface alone: loading one ends the process.
    """
    return tuple(sorted(rom.stem for rom in _rom_folder().glob("*.bin") if recognise(rom)))


def recognise(path: Path) -> MachineSpec | None:
    """The machine for a file, or None if ALE does not know its contents (it looks at the hash alone)."""
    if not path.is_file() or not 0 < path.stat().st_size <= MAX_ROM_SIZE:
        return None
    name = ale_py.ALEInterface.isSupportedROM(str(path))
    return MachineSpec("atari", program=path, name=name, system="atari2600") if name else None


def _rom_folder() -> Path:
    package = importlib.util.find_spec("ale_py")
    assert package is not None and package.origin is not None
    return Path(package.origin).parent / "roms"


def find_rom(spec: MachineSpec) -> Path:
    """The ROM's file; raises `MachineError` where there is none that ALE plays."""
    if spec.program is not None:
        path = Path(spec.program)
        if recognise(path) is None:
            why = "is not a game that ALE supports" if path.is_file() else "is no file"
            raise MachineError(f"{path}: {why}; ale-py carries {len(names())} games that open by name")
        return path
    path = _rom_folder() / f"{spec.name}.bin"
    if spec.name not in names():
        near = difflib.get_close_matches(spec.name, names(), n=1)
        hint = f"did you mean '{near[0]}'?" if near else "names are like 'space_invaders'"
        raise MachineError(f"ale-py has no game '{spec.name}'; {hint}")
    return path
