"""A Windows game as a machine: unmodified, under Wine, its memory by the domains of its game.toml.

Power-on is the game's first frame in a fresh process. It has no states, so `reset` starts the game anew.
"""

from __future__ import annotations

import hashlib
import os
import shlex
import weakref
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from frameperfect.errors import MachineError
from frameperfect.machine import Analog, Capability, Fingerprint, Machine, MachineSpec
from frameperfect.machines.native.blocks import domains_of, find_blocks
from frameperfect.machines.native.hook import VERSION, WATCHED_AT
from frameperfect.machines.native.windows_game import BOUNDARIES, WindowsGame
from frameperfect.machines.native.windows_keys import WindowsKeys
from frameperfect.memory import Domain

OPTIONS = {
    "keys": "Left = LEFT, Right = RIGHT, Up = UP, Down = DOWN, Space = SPACE",
    "boundary": "messages",
    "rate": "60",
    "arguments": "",
    "path": "",
    "prefix": "",
    "pid": "",
}
"""The machine's options and what they are where nobody says.

`keys`: the buttons and their keys, see `WindowsKeys.parse`. `boundary`: what ends a frame: `messages`, the
game has taken all its messages (PeekMessage); `sleep`, it sleeps; `swap`, it shows a picture by OpenGL.
`rate`: frames a second. `arguments`: for the program. `path`: where the program is. `prefix`: Wine's folder,
by default one of frameperfect's own. `pid`: a game that runs already in that prefix, by Windows' number or by
its program's name.
"""
_FRAMES = Domain("frames", 8, base=1 << 62, writable=False)


def means_windows(spec: MachineSpec) -> bool:
    """Whether a spec's program is one for Windows."""
    name = spec.program.name if spec.program is not None else spec.name
    return name.lower().endswith(".exe")


def has_windows(name: str) -> bool:
    """Whether the program of that name is where games are kept."""
    return _find_named(name) is not None


def find_program(spec: MachineSpec) -> Path:
    """The game's program: the spec's own, that of the option `path`, or one of its name in Steam's folders.

    Raises:
        MachineError: it is not there.
    """
    given = spec.program or (Path(spec.options["path"]) if spec.options.get("path") else None)
    if given is not None:
        if not given.is_file():
            raise MachineError(f"{given}: is no file; name the game's program")
        return given
    found = _find_named(spec.name)
    if found is None:
        raise MachineError(
            f"{spec.name} is not in Steam's folders; say where yours is: --option path=FOLDER/{spec.name}"
        )
    return found


def _find_named(name: str) -> Path | None:
    for home in (".steam/steam", ".local/share/Steam", ".steam/debian-installation"):
        common = Path.home() / home / "steamapps/common"
        if common.is_dir():
            for path in sorted(common.glob(f"*/{name}")):
                return path
    return None


def default_prefix() -> Path:
    """Wine's folder where nobody names one: beside the games of a person, or where FRAMEPERFECT_HOME says."""
    home = os.environ.get("FRAMEPERFECT_HOME") or Path.home() / ".local/share/frameperfect"
    return Path(home) / "wine"


class WindowsMachine(Machine):
    """One Windows game. Options: see `OPTIONS`.

    Raises:
        MissingComponent: Wine or the hook for Windows is not installed.
        MachineError: an option is wrong, the game does not start, or a domain is not found in it.
    """

    def __init__(self, spec: MachineSpec) -> None:
        self.spec = spec
        if unknown := set(spec.options) - set(OPTIONS):
            raise MachineError(f"a Windows game has no option '{min(unknown)}'; it has {', '.join(OPTIONS)}")
        options = OPTIONS | dict(spec.options)
        if options["boundary"] not in BOUNDARIES:
            raise MachineError(f"boundary = '{options['boundary']}': give one of {', '.join(BOUNDARIES)}")
        self._pid = options["pid"] or None
        self.frame_rate = _number("rate", options["rate"])
        self._program = find_program(spec)
        self._arguments = shlex.split(options["arguments"])
        self._boundary = options["boundary"]
        self._prefix = Path(options["prefix"]) if options["prefix"] else default_prefix()
        self._keys = WindowsKeys.parse(options["keys"])
        self.controllers = self._keys.controllers
        self.fingerprint = Fingerprint(
            backend="native",
            core=f"windows hook {VERSION}",
            core_hash=hashlib.sha1(self._program.read_bytes(), usedforsecurity=False).hexdigest(),
            game_hash=self._pid or "",
            settings=tuple((key, options[key]) for key in ("keys", "boundary", "rate", "arguments")),
        )
        self.capabilities = Capability.TURBO
        if self._pid is None:
            self.capabilities |= Capability.DETERMINISTIC
        if len(self.controllers) > 1:
            self.capabilities |= Capability.MULTIPLAYER
        self._start()

    def _start(self) -> None:
        game = self._game = WindowsGame(
            self._program,
            self._arguments,
            boundary=self._boundary,
            frame_ns=round(1e9 / self.frame_rate),
            prefix=self._prefix,
            pid=self._pid,
        )
        self._finalizer = weakref.finalize(self, game.close)
        try:
            watches = find_blocks(game, self.spec.blocks)
            game.watch(watches)
        except BaseException:
            game.close()
            raise
        domains, starts = domains_of(self.spec.blocks, game.pointer_size)
        self.domains = {"frames": _FRAMES, **domains}
        self._bytes = np.zeros(_FRAMES.size + sum(domain.size for domain in domains.values()), np.uint8)
        self._show()
        self._bytes.flags.writeable = False
        places = {"frames": 0} | {name: at - WATCHED_AT + _FRAMES.size for name, at in starts.items()}
        self.memory = {name: self._bytes[at : at + self.domains[name].size] for name, at in places.items()}

    def _show(self) -> None:
        self._bytes.flags.writeable = True
        self._bytes[:] = np.frombuffer(self.frame.to_bytes(8, "little") + self._game.view, np.uint8)
        self._bytes.flags.writeable = False

    def _advance(self, masks: Sequence[int], analog: Analog, frames: int) -> None:
        if frames > 0:
            self._game.step(self._keys.held(masks, analog), frames)
            self.frame += frames
            self._show()

    def _reset(self) -> None:
        if self._pid is not None:
            raise MachineError(f"{self._program.name} ran before us, and can't be started anew")
        self._finalizer()
        self.frame = 0
        self._start()

    def _close(self) -> None:
        self._finalizer()


def _number(name: str, text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = 0
    if not 0 < value < 1 << 31:
        raise MachineError(f"{name} = '{text}': give a number above 0")
    return value
