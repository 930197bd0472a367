"""DDNet's server as a machine: unmodified, up to 16 virtual players, a frame a tick (50 a second).

Power-on is the moment when all players have entered the game and stand where the map puts them. A state is
the inputs since then (history.py); slots inside the game make restoring one that this machine has seen as
quick as copying the pages it changed.
"""

from __future__ import annotations

import hashlib
import weakref
from collections import OrderedDict
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from frameperfect.errors import MachineError, StateMismatch, Unsupported
from frameperfect.machine import Analog, Capability, Fingerprint, Machine, MachineSpec
from frameperfect.machines.native import places, program
from frameperfect.machines.native.controls import PLAYER, encode, to_wire
from frameperfect.machines.native.history import History, digest, seal, unseal
from frameperfect.machines.native.hook import (
    MAX_PLAYERS,
    RECORD_SIZE,
    RECORDS_AT,
    HookedGame,
    Measure,
    Op,
)
from frameperfect.memory import Domain, Span

OPTIONS = {"map": "Tutorial", "players": "1", "port": "", "tracking": ""}
"""The machine's options and what they are where nobody says. `port` opens the server to real players of this
machine (127.0.0.1 alone), and is no part of the fingerprint; neither is `tracking`, how states find pages."""
TICK_RATE = 50.0
DOMAINS = {
    "players": Domain("players", MAX_PLAYERS * RECORD_SIZE, writable=False, record=RECORD_SIZE),
    "server": Domain("server", 16, base=1 << 32, writable=False),
}
"""`players` holds a record of 128 bytes a player (native/hook/protocol.hpp), zeros for who is not there.
`server` holds the ticks since the server started (`<u8` at 0) and, bit by bit, who is in the game (`<u4` at
8)."""
DOMAIN_STARTS = {"players": RECORDS_AT, "server": 0}
"""Where they lie in the views."""
SLOTS = 32
"""States that a machine keeps in the game's process; the one unused longest makes room."""

_JOINING = 500
_SETTLING = 150
_POWER_ON = 0


class NativeMachine(Machine):
    """One server and its players. Options: see `OPTIONS`.

    Raises:
        MissingComponent: the server is not installed.
        MachineError: an option or the map is wrong, the server does not start, or its build is not known.
    """

    def __init__(self, spec: MachineSpec) -> None:
        self.spec = spec
        if unknown := set(spec.options) - set(OPTIONS):
            raise MachineError(
                f"the native machine has no option '{min(unknown)}'; it has {', '.join(OPTIONS)}"
            )
        options = OPTIONS | dict(spec.options)
        players = options["players"]
        if not (players.isdecimal() and 1 <= int(players) <= MAX_PLAYERS):
            raise MachineError(f"players = '{players}': give a number from 1 to {MAX_PLAYERS}")
        if options["tracking"] not in ("", "compare"):
            raise MachineError(f"tracking = '{options['tracking']}': give 'compare', or nothing")
        server = program.find_server(spec)
        map_file = program.find_map(options["map"])
        self.players = int(players)
        build = program.build_id(server)
        self.fingerprint = Fingerprint(
            backend="native",
            core=program.NAME,
            core_hash=build,
            game_hash=hashlib.sha1(map_file.read_bytes(), usedforsecurity=False).hexdigest(),
            settings=(("map", options["map"]), ("players", players)),
        )
        self.controllers = (PLAYER,) * self.players
        self.capabilities = Capability.SAVE | Capability.DETERMINISTIC | Capability.TURBO
        if self.players > 1:
            self.capabilities |= Capability.MULTIPLAYER
        self.frame_rate = TICK_RATE
        self.domains = DOMAINS
        self._game = HookedGame(
            program.command(server, options["map"], options["port"]),
            self.players,
            network=bool(options["port"]),
            environment=program.ENVIRONMENT,
            tracking=options["tracking"] or None,
        )
        self._finalizer = weakref.finalize(self, self._game.close)
        self.views = views = self._game.views
        views.flags.writeable = False
        self.memory = {name: views[at : at + DOMAINS[name].size] for name, at in DOMAIN_STARTS.items()}
        self._history = History(self.players)
        self._begun = b"", 0  # the step under way
        self._slots: OrderedDict[bytes, int] = OrderedDict()  # pasts that slots hold, the latest used last
        try:
            self._join(build)
        except BaseException:
            self.close()
            raise

    def _join(self, build: str) -> None:
        everyone = (1 << self.players) - 1
        idle = to_wire(encode((), None, self.players))
        known = places.known_places(self._game, build)
        if known is not None:
            self._game.set_places(known)
        self._game.join()
        for _ in range(_JOINING):
            self._game.step(idle, 1)
            _, ready, closed = self._game.status()
            if ready == everyone or closed:
                break
        if ready != everyone:
            raise MachineError(f"{program.NAME} let only {ready.bit_count()} of {self.players} players in")
        self._game.step(idle, _SETTLING)
        if known is None:
            self._game.set_places(places.find_places(self._game, build))
        self._game.save(_POWER_ON)

    @property
    def tracking(self) -> str:
        """How states find the pages that were written: "write-protect" (the kernel tells) or "comparing"."""
        return self._game.tracking

    @property
    def beside(self) -> bool:
        """Whether the server shares its caller's processor; see `HookedGame.beside`."""
        return self._game.beside

    @beside.setter
    def beside(self, wanted: bool) -> None:
        self._game.beside = wanted

    @property
    def pid(self) -> int:
        """The server's process id."""
        return self._game.pid

    def measure(self) -> Measure:
        """What states cost; see `Measure`."""
        return self._game.measure()

    def place_of(self, span: Span) -> NDArray[np.int64]:
        """The indices in `views` of a span's bytes; raises Unsupported for one behind pointers."""
        if span.hops:
            raise Unsupported("native: its memory has no pointers; the records hold values alone")
        start = DOMAIN_STARTS[span.domain] + span.offset
        return np.arange(start, start + span.length)

    # -- frames ------------------------------------------------------------------------------------

    def _advance(self, masks: Sequence[int], analog: Analog, frames: int) -> None:
        if frames > 0:
            self.begin(masks, analog, frames)
            self.finish()

    def begin(self, masks: Sequence[int], analog: Analog, frames: int) -> None:
        """Start to play `frames`; `finish` waits until they are played, and nothing else may come between."""
        inputs = encode(masks, analog, self.players)
        self._game.post(Op.STEP, frames.to_bytes(4, "little") + to_wire(inputs))
        self._begun = inputs, frames

    def finish(self) -> None:
        """Wait for what `begin` started."""
        self._game.answer()
        inputs, frames = self._begun
        self._history.add(inputs, frames)
        self.frame += frames

    def _reset(self) -> None:
        self._game.restore(_POWER_ON)
        self._history.unpack(b"")

    def _close(self) -> None:
        self._finalizer()

    # -- states ------------------------------------------------------------------------------------

    def _save(self) -> bytes:
        past = self._history.pack()
        self._keep(past)
        return seal(past, self._digest())

    def _restore(self, payload: memoryview) -> None:
        past, memory = unseal(payload, self._history)
        if self._recall(past):
            return
        here = self._history.pack()
        self._keep(here)
        self._replay(past)
        if self._digest() != memory:
            self._recall(here)
            raise StateMismatch("the state's inputs lead to other memory here; save it anew")
        self._keep(past)

    def _recall(self, past: bytes) -> bool:
        """Go back to a past that a slot holds; False where none does."""
        if past and past not in self._slots:
            return False
        if past:
            self._slots.move_to_end(past)
        self._game.restore(self._slots[past] if past else _POWER_ON)
        self._history.unpack(past)
        return True

    def _replay(self, past: bytes) -> None:
        """Play a past anew, from the latest moment of it that a slot holds."""
        nearest = b""
        for known in self._slots:
            if len(known) > len(nearest) and self._history.rest(past, known) is not None:
                nearest = known
        self._recall(nearest)
        for inputs, frames in self._history.rest(past, nearest) or []:
            self._game.step(to_wire(inputs), frames)
        self._history.unpack(past)

    def _keep(self, past: bytes) -> None:
        """Put this moment into a slot."""
        self._game.require_alive()
        if not past:
            return  # power-on has its own
        if past in self._slots:
            self._slots.move_to_end(past)
            return
        slot = len(self._slots) + 1
        if slot > SLOTS:
            _, slot = self._slots.popitem(last=False)
        self._game.save(slot)
        self._slots[past] = slot

    def _digest(self) -> bytes:
        return digest(self.memory["players"].data)
