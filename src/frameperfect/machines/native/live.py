"""A race in real time, seen in DDNet's own client: a person watches our players, or is the last of them.

The server is ours as ever, with a port on 127.0.0.1 that the client joins; ticks take as long as they do in
the game. What a person presses reaches the server as a player of ours would send it, and is kept tick by
tick: the same inputs lead a server without any person to the same states.
"""

from __future__ import annotations

import functools
import shutil
import socket
import time
import weakref
from collections.abc import Sequence
from dataclasses import replace
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from frameperfect.errors import MachineError
from frameperfect.machine import Analog, Capability, Fingerprint
from frameperfect.machines.native.client import Client, find_client, tell
from frameperfect.machines.native.controls import PORT_SIZE, from_wire, unpack
from frameperfect.machines.native.folder import own_folder
from frameperfect.machines.native.hook import HookedGame
from frameperfect.machines.native.machine import POWER_ON, TICK_RATE, NativeMachine
from frameperfect.machines.native.respawn import give_new_lives

_KINDS = ("watch", "play")
_ARRIVAL = 0.8
"""Seconds that a tick takes while the client comes: few of them pass before power-on."""
_PATIENCE = 100.0
_COUNTDOWN = 150
"""Ticks before power-on in real time, in which a person sees where they are and can't move yet."""
_CHECKED = 60
"""Frames from one kept hash to the next."""


class Played(NamedTuple):
    """What all players pressed since power-on, and what it led to."""

    masks: NDArray[np.uint32]
    """(F, ports)"""
    axes: NDArray[np.int16]
    """(F, ports, 2): where they aimed."""
    checkpoints: list[tuple[int, str]]
    """Frames since power-on, `Machine.hash` there."""


class LiveMachine(NativeMachine):
    """The server and a client that this process starts; the option `client` is "watch" or "play".

    The client starts, and power-on comes, with the first `advance` or `reset`. There are no states: the
    client can't be taken back to one. Later resets give all players new lives. `port` need not be given.

    Raises:
        MissingComponent: the server or the client is not installed.
        DisplayError: there is no display.
        MachineError: as for `NativeMachine`, or the client does not come into the game.
    """

    client: Client | None = None
    """Stops running when the person closes its window; the players play on."""

    def _start(self, options: dict[str, str]) -> tuple[Fingerprint, Capability, HookedGame]:
        kind = options["client"]
        if kind not in _KINDS:
            raise MachineError(f"client = '{kind}': give watch or play")
        find_client()
        self.plays = kind == "play"
        self._port = options["port"] or str(_free_port())
        self._folder = own_folder()
        weakref.finalize(self, shutil.rmtree, self._folder, ignore_errors=True)
        self._settings = {"sv_input_fifo": str(self._folder / "console"), "sv_motd": "", "sv_welcome": ""}
        if self.plays:
            self._settings["sv_max_clients"] = str(self.players)
        self._checkpoints: list[tuple[int, str]] = []
        self._whole = True
        fingerprint, _, game = super()._start(options | {"port": self._port})
        return replace(fingerprint, settings=(*fingerprint.settings, ("client", kind))), Capability.NONE, game

    def _join(self) -> None:
        self._game.expect_person(self.plays)
        self._come_in((1 << self.players - self.plays) - 1)
        if not self.plays:  # who comes now is a spectator
            tell(self._folder / "console", "sv_tournament_mode 1")
            self._game.step(self._idle, 1)

    def _power_on(self) -> None:
        game = self._game
        self.client = client = Client(int(self._port))
        self._finalizer = weakref.finalize(self, functools.partial(_end, client, game))
        self._await_person(client)
        game.pace(0)
        if (left := POWER_ON - _COUNTDOWN - game.status()[0]) > 0:
            game.step(self._idle, left)
        game.pace(1 / TICK_RATE)
        if not self.plays:
            client.say("spectate 0")
        game.step(self._idle, POWER_ON - game.status()[0])
        if self.plays:
            game.begin_person(strictly=True)
        self._show_blocks()

    @property
    def watched(self) -> bool:
        """Whether the person's client runs."""
        return self.client is not None and self.client.running

    def _await_person(self, client: Client) -> None:
        self._game.pace(_ARRIVAL)
        late = time.monotonic() + _PATIENCE
        while not self._game.person_is_here():
            if not client.running:
                raise MachineError(f"DDNet's client did not come into the game: it {client.last_words()}")
            if time.monotonic() > late or self._game.status()[0] > POWER_ON - _COUNTDOWN:
                raise MachineError(f"DDNet's client did not come in within {_PATIENCE:g} seconds")
            self._game.step(self._idle, 1)

    # -- frames --------------------------------------------------------------------------------------

    def begin(self, masks: Sequence[int], analog: Analog, frames: int) -> None:
        """See `LockstepMachine.begin`."""
        if self.client is None:
            self._power_on()
        self._pressed, self._begun = self._encode(masks, analog), frames

    def finish(self) -> None:
        """See `LockstepMachine.finish`."""
        inputs = self._pressed
        for _ in range(self._begun):
            self._game.step(self._to_wire(inputs), 1)
            heard = inputs[:-PORT_SIZE] + from_wire(self._game.person()) if self.plays else inputs
            self._history.add(heard, 1)
            self.frame += 1
            if self.frame % _CHECKED == 0:
                self._checkpoints.append((self.frame, self.hash()))

    def hold(self, masks: NDArray[np.uint32], frames: int) -> None:
        """See `LockstepMachine.hold`."""
        self.begin(masks.tolist(), None, frames)
        self.finish()

    def _reset(self) -> None:
        if self.client is None:
            self._power_on()
        if self.frame == 0:
            return
        self._whole = False
        if self.plays and self.client is not None:
            self._game.begin_person(strictly=False)
            self.client.say("kill")
        give_new_lives(self._game, self.memory["players"], self.players)
        self._history.unpack(b"")

    def played(self) -> Played:
        """All inputs since power-on, the person's with them.

        Raises:
            MachineError: the machine was reset, so that its players have no common beginning any more.
        """
        if not self._whole:
            raise MachineError("a run with a person is kept from power-on to the first reset")
        runs = self._history.runs(self._history.pack())
        lengths = [frames for _, frames in runs]
        ports = np.array([unpack(inputs) for inputs, _ in runs], np.int64).reshape(-1, self.players, 3)
        every = ports.repeat(lengths, axis=0)
        checkpoints = list(self._checkpoints)
        if self.frame and self.frame % _CHECKED:
            checkpoints.append((self.frame, self.hash()))
        return Played(every[..., 0].astype(np.uint32), every[..., 1:].astype(np.int16), checkpoints)


def _end(client: Client, game: HookedGame) -> None:
    client.close()
    game.close()


def _free_port() -> int:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
