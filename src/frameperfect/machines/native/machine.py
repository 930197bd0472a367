"""DDNet's server as a machine: unmodified, up to 16 virtual players, a frame a tick (50 a second).

Power-on is the moment when all players have entered the game and stand where the map puts them.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from types import MappingProxyType

from frameperfect.errors import MachineError
from frameperfect.machine import Analog, Capability, Fingerprint, MachineSpec
from frameperfect.machines.native import places, program
from frameperfect.machines.native.controls import PLAYER, PORT_SIZE, aimed, encode, to_wire
from frameperfect.machines.native.history import digest
from frameperfect.machines.native.hook import MAX_PLAYERS, RECORD_SIZE, RECORDS_AT, HookedGame
from frameperfect.machines.native.lockstep import LockstepMachine
from frameperfect.memory import Domain

OPTIONS = {"map": "Tutorial", "players": "1", "port": "", "client": "", "tracking": "", "pid": ""}
"""The machine's options and what they are where nobody says. `port` opens the server to real players of this
machine (127.0.0.1 alone), and is no part of the fingerprint; neither is `tracking`, how states find pages.
With `client` a person watches or plays in the game's own client: see live.py. With `pid` it is a server that
runs already, on a map of its own: see attach.py."""
TICK_RATE = 50.0
DOMAINS = {
    "players": Domain("players", MAX_PLAYERS * RECORD_SIZE, writable=False, record=RECORD_SIZE),
    "server": Domain("server", 16, base=1 << 32, writable=False),
}
"""`players` holds a record of 160 bytes a player (native/hook/protocol.hpp), zeros for who is not there.
`server` holds the ticks since the server started (`<u8` at 0) and, bit by bit, who is in the game (`<u4` at
8)."""
DOMAIN_STARTS = {"players": RECORDS_AT, "server": 0}
"""Where they lie in the views."""

_JOINING = 200
POWER_ON = 400
"""The server's tick at power-on, always the same: parts of a map move by it. Till then all have joined, and
have come to rest."""
_SETTLING = 100
_FIRST_AIMS = range(1, 5)
"""Inputs at the very first, since the game fires no weapon for one that it has hardly heard."""


class NativeMachine(LockstepMachine):
    """One server and its players. Options: see `OPTIONS`.

    Raises:
        MissingComponent: the server is not installed.
        MachineError: an option or the map is wrong, the server does not start, or its build is not known.
    """

    _settings: Mapping[str, str] = MappingProxyType({})
    """Of the server, besides what every server of ours has."""

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
        if options["tracking"] not in ("", "fork", "compare"):
            raise MachineError(f"tracking = '{options['tracking']}': give 'fork', 'compare' or nothing")
        self.players = int(players)
        self.controllers = (PLAYER,) * self.players
        self.frame_rate = TICK_RATE
        self.domains = DOMAINS
        self.domain_starts = DOMAIN_STARTS
        self.fingerprint, self.capabilities, game = self._start(options)
        if self.players > 1:
            self.capabilities |= Capability.MULTIPLAYER
        self._take(game, self.players * PORT_SIZE)
        try:
            self._join()
        except BaseException:
            self.close()
            raise

    def _start(self, options: dict[str, str]) -> tuple[Fingerprint, Capability, HookedGame]:
        """A server of our own."""
        server = program.find_server(self.spec)
        # It looks at all places for a player at each packet and tick, whoever is there.
        room = {} if options["port"] else {"sv_max_clients": str(self.players)}
        map_file = program.find_map(options["map"])
        fingerprint = Fingerprint(
            backend="native",
            core=program.NAME,
            core_hash=program.build_id(server),
            game_hash=hashlib.sha1(map_file.read_bytes(), usedforsecurity=False).hexdigest(),
            settings=(("map", options["map"]), ("players", options["players"])),
        )
        game = HookedGame(
            program.command(server, options["map"], options["port"], room | dict(self._settings)),
            self.players,
            network=bool(options["port"]),
            environment=program.ENVIRONMENT,
            tracking=options["tracking"] or None,
        )
        return fingerprint, Capability.SAVE | Capability.DETERMINISTIC | Capability.TURBO, game

    def _join(self) -> None:
        self._come_in((1 << self.players) - 1)
        self._game.step(self._idle, max(1, POWER_ON - self._game.status()[0]))
        self._keep_power_on()

    @property
    def _idle(self) -> bytes:
        """Nobody presses anything."""
        return to_wire(encode((), None, self.players))

    def _come_in(self, everyone: int) -> None:
        """The players of the mask `everyone` enter the game and come to rest."""
        build = self.fingerprint.core_hash
        idle = self._idle
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
            raise MachineError(
                f"{program.NAME} let only {ready.bit_count()} of {everyone.bit_count()} players in"
            )
        for aim in _FIRST_AIMS:
            self._game.step(to_wire(aimed(aim) * self.players), 1)
        self._game.step(idle, _SETTLING)
        if known is None:
            self._game.set_places(places.find_places(self._game, build))

    # -- what differs from other hooked games ------------------------------------------------------------

    def _encode(self, masks: Sequence[int], analog: Analog) -> bytes:
        return encode(masks, analog, self.players)

    def _to_wire(self, inputs: bytes) -> bytes:
        return to_wire(inputs)

    def _digest(self) -> bytes:
        return digest(self.memory["players"].data)
