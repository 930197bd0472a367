"""A game on SDL 2 as a machine: unmodified, without a window; we press its keys and read its picture.

Where its frames end, what its keys are and where it keeps what one wants to know is the title's (`SdlTitle`):
SuperTux's is supertux.py, and `own_title` makes one of options for a game of your own.
"""

from __future__ import annotations

import enum
import functools
import hashlib
import os
import shlex
import shutil
import struct
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from frameperfect.errors import MachineError
from frameperfect.machine import Analog, Capability, Fingerprint, MachineSpec
from frameperfect.machines.native.folder import own_folder
from frameperfect.machines.native.history import digest
from frameperfect.machines.native.hook import (
    HOOK,
    MAX_WATCHED,
    RECORDS_AT,
    WATCHED_AT,
    HookedGame,
    Watch,
)
from frameperfect.machines.native.keys import INPUT_SIZE, Keys
from frameperfect.machines.native.lockstep import LockstepMachine
from frameperfect.machines.native.program import build_id
from frameperfect.memory import Domain

PICTURE_AT = WATCHED_AT + MAX_WATCHED
_MAX_PICTURE = 32 << 20
_STATUS = struct.Struct("<4I")
"""Ended, drawn, width, height: sdl/protocol.hpp."""
_DRAW = struct.Struct("<I")

ENVIRONMENT = {
    "SDL_VIDEODRIVER": "dummy",
    "SDL_AUDIODRIVER": "dummy",
    "SDL_RENDER_DRIVER": "software",
    "ALSOFT_DRIVERS": "none",  # OpenAL's threads would be in the way of states
    "SDL_JOYSTICK_ALLOW_BACKGROUND_EVENTS": "1",  # a window that nobody shows is always in the background
}


class Boundary(enum.IntEnum):
    """Where a frame ends: the game asks for its events, or it shows what it has drawn."""

    POLL = 0
    SWAP = 1


class SdlTitle(ABC):
    """What the machine has to know of one game."""

    program: Path
    name: str
    keys: Keys
    boundary: Boundary
    frame_rate: float
    """Frames a second; a game that does not sleep is given a frame's time at the end of each."""
    settings: tuple[tuple[str, str], ...]
    """What enters the fingerprint."""
    watched: str = ""
    """The name of the domain that holds the bytes of `watches`, where the title has some of its own."""
    watched_size: int = 0
    environment: Mapping[str, str] = ENVIRONMENT
    identity: bytes = b""
    """Contents that the game depends on besides its program (a level)."""
    alone: bool = True
    """It talks to nobody. One with a connection to a display can't be taken back to an earlier moment: the
    other end would not go with it. Its machine has no states, and `reset` starts it anew."""

    @abstractmethod
    def command(self, home: Path) -> list[str]:
        """The program and its arguments; whatever it writes goes into the empty folder `home`."""

    def watches(self, game: HookedGame) -> list[Watch]:
        """What to see after every step. Raises MachineError for a build that can't be looked into."""
        return []

    def begin(self, machine: SdlMachine) -> None:
        """Bring the game to its first moment, by `machine.play`; without that it is the first frame."""
        del machine


class SdlMachine(LockstepMachine):
    """One game. Memory: the domain `game`, whose `<u8` at 0 counts frames since it was started, and
    `title.watched` or else what the spec's blocks name.

    Raises:
        MachineError: the game does not start, or its build is not known.
    """

    def __init__(self, spec: MachineSpec, title: SdlTitle, tracking: str = "") -> None:
        self.spec, self.title, self._tracking = spec, title, tracking
        self.fingerprint = Fingerprint(
            backend="native",
            core=title.name,
            core_hash=build_id(title.program),
            game_hash=hashlib.sha1(title.identity, usedforsecurity=False).hexdigest(),
            settings=title.settings,
        )
        self.controllers = (title.keys.controller,)
        self.capabilities = Capability.SCREEN | Capability.DETERMINISTIC | Capability.TURBO
        if title.alone:
            self.capabilities |= Capability.SAVE
        self.frame_rate = title.frame_rate
        self.domains = {"game": Domain("game", 8, base=1 << 32, writable=False)}
        self.domain_starts = {"game": 0}
        if title.watched:
            if spec.blocks:
                raise MachineError(f"{title.name} has the domain '{title.watched}'; leave out [domain]")
            self.domains[title.watched] = Domain(title.watched, title.watched_size, writable=False)
            self.domain_starts[title.watched] = WATCHED_AT
        self._looked = not title.alone
        self._start()

    def _start(self) -> None:
        title = self.title
        home = own_folder()
        wishes = (int(title.boundary), round(1e9 / title.frame_rate), int(bool(title.keys.pad)))
        try:
            game = HookedGame(
                title.command(home),
                1,
                environment={
                    **title.environment,
                    "HOME": str(home),
                    "FRAMEPERFECT_SDL": ":".join(map(str, wishes)),
                },
                tracking=self._tracking or None,
                library=HOOK.with_name("frameperfect_sdl.so"),
                views=PICTURE_AT + _MAX_PICTURE,
                frame={
                    Boundary.POLL: "to ask SDL for its events",
                    Boundary.SWAP: "to show a picture by SDL",
                }[title.boundary],
            )
        except BaseException:
            shutil.rmtree(home, ignore_errors=True)
            raise
        self._take(game, INPUT_SIZE, end=functools.partial(_end, game, home))
        self._drawing = True
        try:
            game.watch(title.watches(game))
            title.begin(self)
            if title.alone:
                self._keep_power_on()
            else:
                self._show_blocks()
        except BaseException:
            self.close()
            raise
        self._draw(self._looked)

    def _draw(self, wanted: bool) -> None:
        self._drawing = wanted
        self._steps.forget()  # what it is told says so

    def play(self, buttons: str = "", frames: int = 1) -> None:
        """Frames before the first moment, which no history holds."""
        self._game.step(self._to_wire(self._encode([self.controllers[0].mask(buttons)], None)), frames)

    @property
    def ended(self) -> bool:
        """Whether the game has come to its own end: frames pass, and nothing happens until `reset`."""
        return self._told()[0]

    def _told(self) -> tuple[bool, bool, int, int]:
        ended, drawn, width, height = _STATUS.unpack_from(self.views.data, RECORDS_AT)
        return bool(ended), bool(drawn), width, height

    def _encode(self, masks: Sequence[int], analog: Analog) -> bytes:
        return self.title.keys.encode(masks, analog)

    def _to_wire(self, inputs: bytes) -> bytes:
        return _DRAW.pack(self._drawing) + self.title.keys.to_wire(inputs)

    def _digest(self) -> bytes:
        return digest(memoryview(self.hash().encode()))

    # -- the picture -------------------------------------------------------------------------------

    def _screen(self) -> NDArray[np.uint8]:
        # Drawing takes most of a frame's time, so nothing is drawn until somebody looks for the first time.
        if not self._looked:
            self._looked = True
            self._draw(True)
            self._slots.clear()  # they hold moments that were not drawn
            if not self._told()[1]:
                self._replay(self._history.pack())
        _, _, width, height = self._told()
        end = PICTURE_AT + 3 * width * height
        return self.views[PICTURE_AT:end].reshape(height, width, 3)

    # -- the game's own end ------------------------------------------------------------------------

    def _begin_anew(self) -> None:
        self._finalizer()
        self._start()

    def _reset(self) -> None:
        if self.ended or not self.title.alone:
            self._begin_anew()
        else:
            super()._reset()

    def _recall(self, past: bytes) -> bool:
        if self.ended:  # no state leads back out of that
            self._begin_anew()
        return super()._recall(past)

    def _keep(self, past: bytes) -> None:
        if not self.ended:
            super()._keep(past)


def _end(game: HookedGame, home: Path) -> None:
    game.close()
    shutil.rmtree(home, ignore_errors=True)


class OwnTitle(SdlTitle):
    """A game of your own, from the machine's options (`OWN_OPTIONS`)."""

    def __init__(self, program: Path, options: Mapping[str, str]) -> None:
        options = {**OWN_OPTIONS, **options}
        self.program, self.name = program, program.name
        self.keys = Keys.parse(options["keys"])
        self.boundary = _choice("boundary", options["boundary"])
        self.frame_rate = _rate(options["rate"])
        self.arguments = shlex.split(options["arguments"])
        self.environment = {**ENVIRONMENT, "SDL_VIDEODRIVER": options["video"]}
        self.alone = options["video"] == "dummy"
        if not self.alone:
            self.environment |= {
                key: os.environ[key] for key in ("DISPLAY", "XAUTHORITY") if key in os.environ
            }
        self.settings = tuple((key, options[key]) for key in sorted(OWN_OPTIONS) if key != "tracking")
        self.identity = program.read_bytes()

    def command(self, home: Path) -> list[str]:
        """See `SdlTitle.command`."""
        return [str(self.program), *(word.replace("{home}", str(home)) for word in self.arguments)]


OWN_OPTIONS = {
    "keys": "",
    "boundary": "poll",
    "rate": "60",
    "arguments": "",
    "video": "dummy",
    "tracking": "",
}
"""Options of a game of your own, and what they are where nobody says.

`keys`: see `Keys.parse`. `boundary`: `poll` or `swap`. `rate`: frames a second. `arguments`: for the program;
{home} in them is an empty folder. `video`: SDL's driver; `x11` for a game that draws by OpenGL.
"""
_DISPLAY = ("DISPLAY", "XAUTHORITY")


def _choice(key: str, value: str) -> Boundary:
    try:
        return Boundary[value.upper()]
    except KeyError:
        raise MachineError(f"{key} = '{value}': give poll or swap") from None


def _rate(value: str) -> float:
    try:
        rate = float(value)
    except ValueError:
        rate = 0.0
    if not 1 <= rate <= 1000:
        raise MachineError(f"rate = '{value}': give frames a second, from 1 to 1000")
    return rate
