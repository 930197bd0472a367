"""Games stepped together: each is a process, so they run at once while one thread waits for all."""

from __future__ import annotations

import itertools

import numpy as np
from numpy.typing import NDArray

from frameperfect.errors import MachineCrashed
from frameperfect.machine import MachineSpec
from frameperfect.machines.native.choice import open_game
from frameperfect.machines.native.lockstep import LockstepMachine
from frameperfect.pool import MachinePool, PoolSettings, describe_crashes


class NativePool(MachinePool):
    """N games. Steps begin in `send`, and `recv` waits for them; with sticky actions or pictures, one game
    after the other, since there is something to do between their frames.
    """

    def __init__(self, spec: MachineSpec, size: int, settings: PoolSettings) -> None:
        self._waiting: list[tuple[int, LockstepMachine]] | None = None
        self._late: dict[int, str] = {}
        self._runs: list[tuple[slice, slice]] = []

        def opened() -> LockstepMachine:
            machine = open_game(spec)
            if size > 1:  # they run at once
                machine.beside = False
            return machine

        super().__init__(opened, size, settings)

    def send(self, masks: NDArray[np.uint32], active: NDArray[np.bool_] | None = None) -> None:
        """See `Pool.send`."""
        super().send(masks, active)
        if self.settings.sticky or self.settings.video is not None:
            return
        self._waiting, self._late = [], {}
        for index, ports in enumerate(masks.tolist()):
            if active is not None and not active[index]:
                continue
            machine = self._native(index)
            try:
                machine.begin(ports, None, self.settings.frame_skip)
            except MachineCrashed as crash:
                self._late[index] = str(crash)
                continue
            self._seats[index].previous = tuple(ports)
            self.inputs[index] = ports
            self._waiting.append((index, machine))

    def recv(self) -> None:
        """See `Pool.recv`."""
        if self._waiting is None:
            super().recv()
            return
        waiting, crashes = self._waiting, self._late
        self._waiting, self._masks, self._active = None, None, None
        for index, machine in waiting:
            try:
                machine.finish()
            except MachineCrashed as crash:
                crashes[index] = str(crash)
            else:
                self._gather(index)
        if crashes:
            raise MachineCrashed(describe_crashes(crashes), tuple(sorted(crashes)))

    def _gather(self, index: int) -> None:
        # All domains lie in one block, and all spans in the row: a few copies in the place of one a span.
        machine = self._native(index)
        for place, run in self._runs_of(machine):
            self.rows[index, place] = machine.views[run]

    def _runs_of(self, machine: LockstepMachine) -> list[tuple[slice, slice]]:
        """What lies side by side in the row and in the views: where here and where there."""
        if not self._runs:
            spans = (machine.place_of(span) for span in self.settings.spans)
            places = np.concatenate([np.zeros(0, np.int64), *spans])
            cuts = [0, *(np.flatnonzero(np.diff(places) != 1) + 1).tolist(), len(places)]
            for first, end in itertools.pairwise(cuts):
                begin = int(places[first]) if end > first else 0
                self._runs.append((slice(first, end), slice(begin, begin + end - first)))
        return self._runs

    def _native(self, index: int) -> LockstepMachine:
        machine = self._seats[index].machine
        assert isinstance(machine, LockstepMachine)
        return machine
