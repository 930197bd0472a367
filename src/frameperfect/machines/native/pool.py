"""Games stepped together: each is a process, so they run at once while one thread waits for all."""

from __future__ import annotations

import itertools

import numpy as np
from numpy.typing import NDArray

from frameperfect.errors import MachineCrashed
from frameperfect.machine import Machine, MachineSpec
from frameperfect.machines.native.choice import open_game
from frameperfect.machines.native.lockstep import LockstepMachine
from frameperfect.pool import MachinePool, PoolSettings, describe_crashes


class NativePool(MachinePool):
    """N games. Steps begin in `send`, and `recv` waits for them; with sticky actions or pictures, one game
    after the other, since there is something to do between their frames.
    """

    def __init__(self, spec: MachineSpec, size: int, settings: PoolSettings) -> None:
        self._waiting: list[tuple[int, LockstepMachine]] = []
        self._late: dict[int, str] = {}
        self._copies: dict[int, tuple[NDArray[np.uint8], list[tuple[memoryview, memoryview]]]] = {}
        self._at_once = not settings.sticky and settings.video is None

        def opened() -> LockstepMachine:
            machine = open_game(spec)
            if size > 1:  # they run at once
                machine.beside = False
            return machine

        super().__init__(opened, size, settings)
        self._pressed = self.inputs[0, 0]

    def step(self, masks: NDArray[np.uint32], active: NDArray[np.bool_] | None = None) -> None:
        """See `Pool.step`."""
        if self.size > 1 or active is not None or not self._at_once:
            super().step(masks, active)
            return
        self._check(masks)
        self.inputs[:] = masks
        try:
            _lockstep(self._seats[0].machine).hold(self._pressed, self.settings.frame_skip)
        except MachineCrashed as crash:
            raise MachineCrashed(describe_crashes({0: str(crash)}), (0,)) from crash
        self._gather(0)

    def send(self, masks: NDArray[np.uint32], active: NDArray[np.bool_] | None = None) -> None:
        """See `Pool.send`."""
        super().send(masks, active)
        if not self._at_once:
            return
        self._late = {}
        frames = self.settings.frame_skip
        for index, ports in enumerate(masks.tolist()):
            if active is not None and not active[index]:
                continue
            machine = _lockstep(self._seats[index].machine)
            try:
                machine.begin(ports, None, frames)
            except MachineCrashed as crash:
                self._late[index] = str(crash)
                continue
            self._waiting.append((index, machine))
        if active is None:
            self.inputs[:] = masks[:, None]
        else:
            self.inputs[active] = masks[active, None]

    def recv(self) -> None:
        """See `Pool.recv`."""
        if not self._at_once:
            super().recv()
            return
        if self._masks is None:
            raise RuntimeError("no step is under way: call send() before recv()")
        waiting, crashes = self._waiting, self._late
        self._waiting, self._masks, self._active = [], None, None
        for index, machine in waiting:
            try:
                machine.finish()
            except MachineCrashed as crash:
                crashes[index] = str(crash)
            else:
                self._gather(index)
        if crashes:
            raise MachineCrashed(describe_crashes(crashes), tuple(sorted(crashes)))

    def save(self, index: int) -> bytes:
        """See `Pool.save`."""
        if self._at_once:
            self._seats[index].previous = tuple(self.inputs[index, -1].tolist())
        return super().save(index)

    def replace(self, index: int) -> None:
        """See `Pool.replace`."""
        self._copies.pop(index, None)
        super().replace(index)

    def close(self) -> None:
        """See `Pool.close`."""
        self._copies.clear()
        super().close()

    def _gather(self, index: int) -> None:
        views = _lockstep(self._seats[index].machine).views
        known = self._copies.get(index)
        if known is None or known[0] is not views:  # a game that came to its own end began anew elsewhere
            known = self._copies[index] = views, self._copies_of(index)
        for to, source in known[1]:
            to[:] = source

    def _copies_of(self, index: int) -> list[tuple[memoryview, memoryview]]:
        """Where a game's spans lie in its row and in its views: all domains lie in one block, and all spans
        in the row, so that it is a few copies in the place of one a span.
        """
        machine, row = _lockstep(self._seats[index].machine), self.rows[index]
        spans = (machine.place_of(span) for span in self.settings.spans)
        places = np.concatenate([np.zeros(0, np.int64), *spans])
        cuts = [0, *(np.flatnonzero(np.diff(places) != 1) + 1).tolist(), len(places)]
        copies = []
        for first, end in itertools.pairwise(cuts):
            begin = int(places[first]) if end > first else 0
            copies.append((row[first:end].data, machine.views[begin : begin + end - first].data))
        return copies


def _lockstep(machine: Machine) -> LockstepMachine:
    assert isinstance(machine, LockstepMachine)
    return machine
