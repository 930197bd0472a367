"""SuperTux 0.6.3 (https://www.supertux.org), as Debian packages it: its levels, its keys, and where Tux is.

A frame is one of the game's logical steps, 1/64 second of its time, and its loop gives each 15 ms. Tux is an
object of the class Player, which the current sector lists first; the program's own data points at the sector.
Where that pointer lies holds for one build; in another one it is found by the sector's class, whose name C++
keeps, and the offsets are taken over if they lead to a Tux.
"""

from __future__ import annotations

import difflib
import os
import re
import shutil
import struct
from collections.abc import Mapping
from pathlib import Path

from frameperfect.errors import MachineError, MissingComponent
from frameperfect.machine import MachineSpec
from frameperfect.machines.native.hook import HookedGame, Watch
from frameperfect.machines.native.keys import Keys
from frameperfect.machines.native.program import build_id
from frameperfect.machines.native.sdl import Boundary, SdlMachine, SdlTitle

NAME = "supertux"
PROGRAM = "supertux2"
LEVELS = Path("/usr/share/games/supertux2/levels")
OPTIONS = {"level": "world1/welcome_antarctica", "spawn": "", "tracking": ""}
"""The machine's options and what they are where nobody says. `level`: one of the package, by its path without
.stl. `spawn`: "x,y" where Tux begins, in pixels, in the place of the level's own."""

SECTOR, PLAYER = "6Sector", "6Player"
"""Classes, as the C++ ABI mangles them."""

_PLACES = os.pathsep.join(["/usr/games", "/usr/local/games"])
_KEYS = "Left = Left, Right = Right, Up = Up, Down = Down, Jump = Space, Action = Left Ctrl"
_KNOWN = {"d84f5a277dadccdee4328a7694a838e20a63e618": 0x5F6E40}
"""Where the pointer to the current sector lies from the program's base, by build. The one here is Debian 12's
supertux 0.6.3-2 for amd64."""
_TO_TUX = (0x10, 0)
"""From the sector: the list of its objects, and the first of those."""
_RECORD = ((0x88, 16), (0x22C, 8), (0x128, 8), (0x184, 7), (0x130, 5))
"""Offsets and lengths in Tux of what the domain `tux` holds: left, top, width, height; velocity; behind a
pointer, coins and what he wears; how he falls, on the ground, jumping, can jump; duck, dead, dying, winning,
in a backflip."""
_STATUS = 0x128
_INTRO, _LONGEST = 10, 300


def find_program(spec: MachineSpec) -> Path:
    """The game's program: the spec's own, or the one that Debian's package installs.

    Raises:
        MissingComponent: it is not installed.
    """
    if spec.program is not None:
        return spec.program
    found = shutil.which(PROGRAM, path=os.environ.get("PATH", "") + os.pathsep + _PLACES)
    if found is None:
        raise MissingComponent("SuperTux is not installed: apt-get install supertux")
    return Path(found)


def levels() -> list[str]:
    """The levels that are installed."""
    return sorted(str(path.relative_to(LEVELS).with_suffix("")) for path in LEVELS.rglob("*.stl"))


def find_level(name: str) -> Path:
    """The file of a level; raises MachineError where it is not installed."""
    path = LEVELS / f"{name}.stl"
    if ".." in name or not path.is_file():
        known = levels()
        near = difflib.get_close_matches(name, known, n=1, cutoff=0.4)
        hint = (
            f"did you mean '{near[0]}'?"
            if near
            else f"there are {len(known)}, from {', '.join(known[:1])} on"
        )
        raise MachineError(f"no level '{name}' in {LEVELS}; {hint}")
    return path


class SuperTux(SdlTitle):
    """One level of SuperTux, from its beginning."""

    name = NAME
    boundary = Boundary.POLL
    frame_rate = 1000 / 15
    watched, watched_size = "tux", sum(length for _, length in _RECORD)

    def __init__(self, program: Path, options: Mapping[str, str]) -> None:
        self.program, self.level = program, find_level(options["level"])
        self.spawn = options["spawn"]
        if self.spawn and not re.fullmatch(r"\d+,\d+", self.spawn):
            raise MachineError(f"spawn = '{self.spawn}': give x,y in pixels, as in 3200,400")
        self.keys = Keys.parse(_KEYS)
        self.settings = (("level", options["level"]), ("spawn", self.spawn))
        self.identity = self.level.read_bytes()

    def command(self, home: Path) -> list[str]:
        """See `SdlTitle.command`."""
        settings = ["--renderer", "sdl", "--geometry", "640x480", "--disable-sound", "--disable-music"]
        spawn = ["--spawn-pos", self.spawn] if self.spawn else []
        (home / "config").write_text("(supertux-config (transitions_enabled #f))\n")  # no fading in and out
        return [str(self.program), "--userdir", str(home), *settings, *spawn, str(self.level)]

    def watches(self, game: HookedGame) -> list[Watch]:
        """See `SdlTitle.watches`."""
        build = build_id(self.program)
        if build in _KNOWN:
            pointer = game.base + _KNOWN[build]
        else:
            pointers = [at for at in _pointers_to_sector(game) if _leads_to_tux(game, at)]
            if len(pointers) != 1:
                raise MachineError(
                    f"this SuperTux is build {build[:12]}, which the native machine does not know, and its "
                    "Tux is not laid out as in those that are known; install Debian 12's supertux 0.6.3"
                )
            (pointer,) = pointers
        return [
            Watch(pointer, length, (*_TO_TUX, offset, 0) if offset == _STATUS else (*_TO_TUX, offset))
            for offset, length in _RECORD
        ]

    def begin(self, machine: SdlMachine) -> None:
        """Past the level's title, which waits for a key, until Tux stands in it."""
        machine.play("", _INTRO)
        at_first = machine.memory[self.watched].tobytes()
        machine.play("Jump", 2)
        for _ in range(_LONGEST):
            now = machine.memory[self.watched].tobytes()
            if now != at_first and now[36]:  # on the ground
                return
            machine.play()
        raise MachineError(f"{self.name}: Tux does not come into the level {self.level}; is it one to play?")


def _pointers_to_sector(game: HookedGame) -> list[int]:
    """Words in the program's own data that point at a sector."""
    found: list[int] = []
    for sector in game.objects_of(SECTOR):
        found += game.places_of(sector.to_bytes(8, "little").hex(" "))
    return found


def _leads_to_tux(game: HookedGame, pointer: int) -> bool:
    """Whether the offsets lead from there to someone of a Tux's size, at rest, and to his coins."""
    try:
        at = pointer
        for add in _TO_TUX:
            at = struct.unpack("<Q", game.read(at, 8))[0] + add
        tux = struct.unpack("<Q", game.read(at, 8))[0]
        if not _is_of(game, tux, PLAYER):
            return False
        width: float
        _, _, width, height = struct.unpack("<4f", game.read(tux + 0x88, 16))
        (status,) = struct.unpack("<Q", game.read(tux + _STATUS, 8))
        coins: int = struct.unpack("<i", game.read(status, 4))[0]
    except MachineError:
        return False
    return 20 < width < 40 and 20 < height < 80 and 0 <= coins < 10000


def _is_of(game: HookedGame, place: int, mangled: str) -> bool:
    """Whether an object's class has this name: object, its functions, the type before them, its name."""
    (functions,) = struct.unpack("<Q", game.read(place, 8))
    (kind,) = struct.unpack("<Q", game.read(functions - 8, 8))
    (name,) = struct.unpack("<Q", game.read(kind + 8, 8))
    return game.read(name, len(mangled) + 1) == mangled.encode() + b"\0"
