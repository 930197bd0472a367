"""The game's program and its maps: where Debian puts them, which build it is, and how it is started."""

from __future__ import annotations

import difflib
import functools
import hashlib
import os
import re
import shutil
import struct
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType

from frameperfect.errors import MachineError, MissingComponent
from frameperfect.machine import MachineSpec

NAME = "DDNet-Server"
MAPS = Path("/usr/share/games/ddnet/data/maps")
_PLACES = os.pathsep.join(["/usr/games", "/usr/local/games"])
_PORT = re.compile(r"\d{1,5}")


def find_server(spec: MachineSpec) -> Path:
    """The server's program: the spec's own, or the one that Debian's package installs.

    Raises:
        MissingComponent: it is not installed.
        MachineError: the spec names no program that we know.
    """
    if spec.program is not None:
        if not spec.program.is_file():
            raise MachineError(f"{spec.program}: is no file; name the DDNet-Server program")
        return spec.program
    if spec.name not in ("", "ddnet-server"):
        raise MachineError(f"the native machine has no program '{spec.name}'; it has ddnet-server")
    found = shutil.which(NAME, path=os.environ.get("PATH", "") + os.pathsep + _PLACES)
    if found is None:
        raise MissingComponent("DDNet's server is not installed: apt-get install ddnet-server")
    return Path(found)


def has(name: str) -> bool:
    """Whether the program of that name is installed."""
    try:
        return find_server(MachineSpec("native", name=name)).is_file()
    except (MissingComponent, MachineError):
        return False


def recognise(path: Path) -> MachineSpec | None:
    """A machine for the server's program, told by its name."""
    return MachineSpec("native", program=path) if path.name == NAME and path.is_file() else None


def maps() -> list[str]:
    """The race maps that are installed."""
    return sorted(path.stem for path in MAPS.glob("*.map"))


def find_map(name: str) -> Path:
    """The file of a map; raises MachineError where it is not installed."""
    path = MAPS / f"{name}.map"
    if "/" in name or '"' in name or not path.is_file():
        known = maps()
        near = difflib.get_close_matches(name, known, n=1)
        hint = f"did you mean '{near[0]}'?" if near else f"there are {', '.join(known) or 'none'}"
        raise MachineError(f"no map '{name}' in {MAPS}; {hint}")
    return path


def command(
    server: Path, map_name: str, port: str, other: Mapping[str, str] = MappingProxyType({})
) -> list[str]:
    """The command line of a server for our players, with `other` settings over those here.

    Raises:
        MachineError: the port is none.
    """
    if port and not (_PORT.fullmatch(port) and 0 < int(port) < 1 << 16):
        raise MachineError(f"port = '{port}': give a port from 1 to 65535, or none for a server without one")
    settings = {
        "sv_port": port or "8303",
        "sv_map": map_name,
        "sv_register": "0",  # no server list hears of it
        "sv_sqlite_file": "",  # nor is there a file of best times
        "sv_max_clients": "64",
        "sv_max_clients_per_ip": "64",
        "sv_connlimit": "100",
        "conn_timeout": "1000",
        "sv_inactivekick": "0",
        "sv_kill_delay": "0",
        "sv_rescue": "0",  # Debian's own settings have it on: a copy of each player at each tick
        "sv_vote_kick": "0",
        **other,
    }
    return [str(server), *(f'{key} "{value}"' for key, value in settings.items())]


ENVIRONMENT = {"HOME": "/proc/frameperfect", "XDG_DATA_HOME": "/proc/frameperfect"}
"""Places that can't be written: the server keeps nothing between runs, so every run begins alike."""


# -- which build it is -------------------------------------------------------------------------------------

_NOTE = 4  # program header type PT_NOTE
_BUILD_ID = 3  # note type NT_GNU_BUILD_ID


@functools.cache
def build_id(program: Path) -> str:
    """The linker's identity of a program, in hex; of one without it, the hash of the whole file.

    64-bit little-endian ELF: https://refspecs.linuxfoundation.org/elf/gabi4+/ch5.pheader.html
    """
    data = program.read_bytes()
    if data[:6] == b"\x7fELF\x02\x01":
        table, size, count = *struct.unpack_from("<Q", data, 32), *struct.unpack_from("<HH", data, 54)
        for header in range(table, table + size * count, size):
            kind, _, offset = struct.unpack_from("<IIQ", data, header)
            (length,) = struct.unpack_from("<Q", data, header + 32)
            found = _find_note(data[offset : offset + length]) if kind == _NOTE else None
            if found is not None:
                return found
    return hashlib.sha1(data, usedforsecurity=False).hexdigest()


def _find_note(notes: bytes) -> str | None:
    at = 0
    while at + 12 <= len(notes):
        name, length, kind = struct.unpack_from("<III", notes, at)
        content = at + 12 + (name + 3 & ~3)
        if kind == _BUILD_ID and notes[at + 12 : at + 12 + name] == b"GNU\0":
            return notes[content : content + length].hex()
        at = content + (length + 3 & ~3)
    return None
