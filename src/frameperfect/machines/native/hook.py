"""The host's side of a hooked game: start it with our library in it, ask it, notice its death, reap it.

The game is a process of its own with `frameperfect_hook.so` loaded first (LD_PRELOAD). Requests go over the
frame channel; what changes with every frame lies in a block of shared memory, the views. Both have no name:
nothing of a crashed run can be found by a later one. native/hook/protocol.hpp is the other side of this file.
"""

from __future__ import annotations

import ctypes
import enum
import os
import struct
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple, NoReturn, Protocol

import numpy as np
from numpy.typing import NDArray

from frameperfect import _native
from frameperfect._native import Channel, Link, SharedMemory
from frameperfect.errors import MachineCrashed, MachineError
from frameperfect.workers.child import Program

VERSION = 6
MAX_PLAYERS = 16
RECORD_SIZE = 160
RECORDS_AT, WATCHED_AT = 4096, 8192
MAX_WATCHED = 64 << 10
STATUS = struct.Struct("<QII")
"""In the first page of the views: ticks, ready players, closed players (bit i: player i)."""
STEP = struct.Struct("<I")
_HELLO = struct.Struct("<IIQ")
_PLACES = struct.Struct("<QQ10I")
MAX_HOPS = 12
_WATCH = struct.Struct(f"<QII{MAX_HOPS}q")
_MEASURE = struct.Struct("<QQQQ")
_READ = struct.Struct("<QI")
_PACE = struct.Struct("<q")
_PERSON_AT = 24
"""Where Status.person lies in the views."""
_MOST_LOG = 1 << 20


class Op(enum.IntEnum):
    """What the host asks for; see protocol.hpp."""

    HELLO = 1
    STEP = 2
    JOIN = 3
    PLACES = 4
    SAVE = 5
    RESTORE = 6
    MEASURE = 7
    READ = 8
    FIND = 9
    WATCH = 10
    QUIT = 11
    RESPAWN = 12
    MATCH = 13
    STACK = 14
    PACE = 15
    EXPECT = 16
    BEGIN = 17


class Places(NamedTuple):
    """Where a build of the game keeps its players: the first object, the stride, offsets in the object."""

    first: int
    stride: int
    alive: int
    collision: int
    position: int
    hook_state: int
    hooked: int
    jumped: int
    direction: int
    race: int
    freeze: int


class Measure(NamedTuple):
    """What states cost: bytes of a slot now, nanoseconds of the last save and restore, bytes covered."""

    slot_bytes: int
    save_ns: int
    restore_ns: int
    tracked_bytes: int


class Watch(NamedTuple):
    """Bytes of the game's memory to see after every step, perhaps behind pointers (at most `MAX_HOPS`)."""

    address: int
    length: int
    add: tuple[int, ...] = ()


class Process(Protocol):
    """What a hooked game needs of its process: `frameperfect.workers.child.Program` is one."""

    @property
    def pid(self) -> int:
        """Its number."""

    def obituary(self) -> str:
        """Waits for its end, and says how it came."""

    def close(self) -> None:
        """End it, if it is ours to end."""

    def trim(self, most: int) -> None:
        """Keep at most so many bytes of what it says."""

    def forget(self) -> None:
        """Free what was kept of it."""


HOOK = Path(_native.__file__).with_name("frameperfect_hook.so")
"""The library that goes into the game: it lies beside our native module."""


def find_hook(library: Path | None = None) -> Path:
    """The library to put into a game: the one named, else `HOOK`.

    Raises:
        MachineError: it is not built.
    """
    library = library or HOOK
    if not library.is_file():  # the loader would only warn, and the game run without it
        raise MachineError(f"the hook is not built: no {library}; run `make build`")
    return library


class HookedGame:
    """A running game with the hook in it.

    Args:
        command: the program and its arguments.
        players: how many virtual players it can have, 1 to 16.
        network: real players on this machine may join as well; without it, the game has no socket at all.
        environment: of the game, besides what the hook needs.
        tracking: how states find pages where the kernel could do better: "fork" or "compare".
        library, version: of the hook.
        starting: seconds that the game may take to its first frame.
        views: bytes of memory to share with it.
        frame: what it does at its frames' ends, for when it does not.

    Raises:
        MachineError: it ended before it came to its first frame; says its last words.
    """

    def __init__(
        self,
        command: Sequence[str],
        players: int,
        *,
        network: bool = False,
        environment: Mapping[str, str] | None = None,
        tracking: str | None = None,
        library: Path | None = None,
        version: int = VERSION,
        starting: float = 60.0,
        views: int = WATCHED_AT + MAX_WATCHED,
        frame: str = "to wait for packets",
    ) -> None:
        library = find_hook(library)
        self._prepare(players, views)
        descriptors = (self._channel.fd, self._views.fd)
        told = ":".join(map(str, (version, *descriptors, players, int(network))))
        variables = {
            "PATH": os.environ.get("PATH", ""),
            "LANG": "C",
            "TZ": "UTC",
            "LD_PRELOAD": str(library),
            "FRAMEPERFECT_HOOK": told,
            **({"FRAMEPERFECT_HOOK_TRACKING": tracking} if tracking is not None else {}),
            **(environment or {}),
        }
        try:
            # /proc is a folder where nothing can be written: the game leaves no files.
            self._program: Process = Program(command, descriptors, variables, folder="/proc")
        except OSError as wrong:
            self._close_memory()
            raise MachineError(f"{command[0]}: {wrong.strerror}") from wrong
        self.link.watch(self._program.pid)
        name = Path(command[0]).name
        try:
            self._meet(starting)
        except MachineCrashed as crash:
            raise MachineError(f"{name} did not start: it {self._fate}") from crash
        except TimeoutError as late:
            self.close()
            raise MachineError(
                f"{name} did not begin {frame} within {starting:g} seconds; is it the game that you mean?"
            ) from late

    def _prepare(self, players: int, views: int = WATCHED_AT + MAX_WATCHED) -> None:
        """All that is there before a game is."""
        self.players = players
        self._channel = Channel.create()
        self.link = Link(self._channel)
        self._views = SharedMemory(views)
        self.views: NDArray[np.uint8] = self._views.array()
        self.crash: MachineCrashed | None = None

    def _meet(self, seconds: float) -> None:
        """The first answer of the game; raises MachineCrashed or TimeoutError where none comes."""
        self.post(Op.HELLO)
        _, reply = self._receive(seconds)
        _, tracking, self.base = _HELLO.unpack(reply)
        self.pointer_size = ctypes.sizeof(ctypes.c_void_p)  # the hook is built with us
        self.tracking = ("comparing", "write-protect", "fork")[tracking]

    @property
    def pid(self) -> int:
        """Its process id."""
        return self._program.pid

    @property
    def beside(self) -> bool:
        """Whether the game runs on the caller's processor, as it does at first. They take turns, and on two
        processors each would have to wake the other from its sleep, which costs more than a frame. Games that
        run at once need their own.
        """
        return bool(self.link.beside)

    @beside.setter
    def beside(self, wanted: bool) -> None:
        self.require_alive()
        self.link.beside = wanted

    def ask(self, op: Op, message: bytes = b"") -> bytes:
        """Send a request and wait for its reply.

        Raises:
            MachineCrashed: the game ended; names the signal and its last words.
            MachineError: the hook refused, and says why.
        """
        self.post(op, message)
        return self.answer()

    def post(self, op: Op, message: bytes = b"") -> None:
        """Send a request; `answer` has its reply."""
        self.require_alive()
        try:
            self.link.post(op, message)
        except EOFError:
            self.mourn()

    def answer(self) -> bytes:
        """The reply to the last request; raises as `ask` does."""
        status, reply = self._receive()
        if status:
            raise MachineError(reply.decode(errors="replace"))
        return reply

    def tidy(self) -> None:
        """Cut what it has said, to be done now and then."""
        self._program.trim(_MOST_LOG)

    def _receive(self, timeout: float | None = None) -> tuple[int, bytes]:
        received: tuple[int, bytes] | None = None
        try:
            received = self.link.receive(timeout)
        except EOFError:
            self.mourn()
        if received is None:
            raise TimeoutError
        return received

    def mourn(self) -> NoReturn:
        """Raise `MachineCrashed` for a game of which the link says that it has ended."""
        if self.crash is None:
            self._fate = self._program.obituary()
            self.crash = MachineCrashed(f"the game's process {self._fate}")
            self._free()
        raise self.crash from None

    def require_alive(self) -> None:
        """Raise `MachineCrashed` once the game has ended or was closed."""
        if self.crash is not None:
            raise self.crash

    # -- requests ------------------------------------------------------------------------------------

    def step(self, inputs: bytes, frames: int) -> None:
        """Play `frames` ticks; `inputs` are ten int32 a player."""
        self.ask(Op.STEP, STEP.pack(frames) + inputs)

    def join(self) -> None:
        """All players connect; some ticks later `status` shows them ready."""
        self.ask(Op.JOIN)

    def status(self) -> tuple[int, int, int]:
        """Ticks, and bit masks of the players that are in the game and that the server closed."""
        ticks, ready, closed = STATUS.unpack_from(self.views.data)
        return ticks, ready, closed

    def set_places(self, places: Places) -> None:
        """Say where players are: from now on their records are kept."""
        self.ask(Op.PLACES, _PLACES.pack(*places, 0))

    def respawn(self) -> None:
        """All players give up their lives; the game gives them new ones, some ticks later."""
        self.ask(Op.RESPAWN)

    def pace(self, seconds: float) -> None:
        """A tick takes so long in real time from now on; 0: as short as it can."""
        self.ask(Op.PACE, _PACE.pack(round(seconds * 1e9)))

    def expect_person(self, plays: bool) -> None:
        """Somebody comes in a real client, to be the last player or to watch; to be said before `join`."""
        self.ask(Op.EXPECT, STEP.pack(plays))

    def begin_person(self, strictly: bool) -> None:
        """What the person presses counts from the next tick on; `strictly`, nothing else they do does."""
        self.ask(Op.BEGIN, STEP.pack(strictly))

    def person_is_here(self) -> bool:
        """Whether the person has entered the game."""
        return bool(self.views[_PERSON_AT - 4])

    def person(self) -> bytes:
        """What the server last heard of the person: ten int32, as a step has them."""
        return self.views[_PERSON_AT : _PERSON_AT + 40].tobytes()

    def save(self, slot: int) -> None:
        """This moment, into a slot."""
        self.ask(Op.SAVE, STEP.pack(slot))

    def restore(self, slot: int) -> None:
        """Back to the moment of a slot."""
        self.ask(Op.RESTORE, STEP.pack(slot))

    def measure(self) -> Measure:
        """What states cost."""
        return Measure(*_MEASURE.unpack(self.ask(Op.MEASURE)))

    def read(self, address: int, length: int) -> bytes:
        """Bytes of the game's memory; `MachineError` where it has none there."""
        return self.ask(Op.READ, _READ.pack(address, length))

    def objects_of(self, mangled: str) -> list[int]:
        """Addresses of the objects of a C++ class, by its mangled name: in the program's own data if it has
        some there, else wherever it has allocated them.
        """
        return _addresses(self.ask(Op.FIND, mangled.encode()))

    def places_of(self, pattern: str) -> list[int]:
        """Addresses of a byte pattern ("48 8b 05 ?? ?? ?? ??") in the program's image, the first 16."""
        return _addresses(self.ask(Op.MATCH, pattern.encode()))

    def stack(self) -> int:
        """Where the first thread's stack begins: its highest address."""
        return _addresses(self.ask(Op.STACK))[0]

    def watch(self, watches: Sequence[Watch]) -> None:
        """See these bytes after every step, one after the other in `views` from WATCHED_AT on."""
        packed = [
            _WATCH.pack(w.address, w.length, len(w.add), *w.add, *[0] * (MAX_HOPS - len(w.add)))
            for w in watches
        ]
        self.ask(Op.WATCH, b"".join(packed))

    # -- the end -------------------------------------------------------------------------------------

    def close(self) -> None:
        """End and reap it; closing twice is harmless."""
        self._program.close()
        self._free()

    def _free(self) -> None:
        self._close_memory()
        self._program.forget()
        if self.crash is None:
            self.crash = MachineCrashed("the machine is closed; open a new one")

    def _close_memory(self) -> None:
        self._channel.close()
        self._views.close()


def _addresses(reply: bytes) -> list[int]:
    return list(struct.unpack(f"<{len(reply) // 8}Q", reply))
