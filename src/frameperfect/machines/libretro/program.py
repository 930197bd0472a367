"""Reading a game's program, and noticing one that is cut short."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path

from frameperfect.errors import MachineError
from frameperfect.machines.libretro.systems import System

# No cartridge of these systems is larger; discs are passed to the core by path, unread.
_LARGEST = 512 << 20


@dataclass(frozen=True)
class Program:
    """A ROM as it is given to a core."""

    path: Path
    data: bytes
    sha1: str


def read_program(path: Path, system: System) -> Program:
    """Read the program at `path`.

    Raises:
        MachineError: it is not there, is no file, is empty, or is shorter than its own header says.
    """
    path = Path(path)
    try:
        if path.is_dir():
            raise MachineError(f"'{path}' is a folder; a program for {system.name} is a file")
        size = path.stat().st_size
        if size > _LARGEST:
            raise MachineError(f"'{path}' is too large for a program ({size >> 20} MiB)")
        data = path.read_bytes()
    except OSError as error:
        raise MachineError(f"the program '{path}' can't be read: {error.strerror}") from None
    if not data:
        raise MachineError(f"the program '{path}' is empty; copy it anew")
    check_length(path.name, data, system)
    return Program(path.resolve(), data, hashlib.sha1(data, usedforsecurity=False).hexdigest())


def check_length(name: str, data: bytes, system: System) -> None:
    """Compare the length with what the header promises, where the system has such a header.

    Formats: https://www.nesdev.org/wiki/INES and https://gbdev.io/pandocs/The_Cartridge_Header.html.

    Raises:
        MachineError: the program is cut short, or is for another system.
    """
    wanted = 0
    if system.name == "Nes" and name.lower().endswith(".nes"):
        if data[:4] != b"NES\x1a":
            raise MachineError(
                f"'{name}' is not a NES program: it has no iNES header; is it for another system?"
            )
        if len(data) >= 16 and data[7] & 0x0C != 0x08:
            wanted = 16 + (512 if data[6] & 4 else 0) + data[4] * 16384 + data[5] * 8192
        wanted = max(wanted, 16 + 1)
    elif system.name in ("GameBoy", "GbColor"):
        wanted = 0x150
        if len(data) >= wanted and data[0x148] <= 8:
            wanted = 32768 << data[0x148]
    elif system.name == "GbAdvance":
        wanted = 0xC0
    elif system.name == "NintendoDs":
        # Both processors' programs: offset at 0x20 and 0x30, size 12 bytes on. https://problemkaputt.de/gbatek.htm
        wanted = 0x200
        if len(data) >= wanted:
            for at in (0x20, 0x30):
                offset, size = (int.from_bytes(data[i : i + 4], "little") for i in (at, at + 12))
                wanted = max(wanted, offset + size)
    elif system.name in ("Genesis", "32x"):
        wanted = 0x200
    if len(data) < wanted:
        if wanted > _LARGEST:
            raise MachineError(f"'{name}' is not a program for {system.name}: its header makes no sense")
        raise MachineError(f"'{name}' is cut short: {len(data)} bytes of {wanted}; copy it anew")
