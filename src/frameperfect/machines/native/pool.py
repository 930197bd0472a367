"""Games stepped together: each is a process, so they run at once while one thread waits for all."""

from __future__ import annotations

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
        # All domains lie in one block, and all spans in the row: one look-up in the place of one a span.
        machine = self._native(index)
        np.take(machine.views, self._places_of(machine), out=self.rows[index])

    def _places_of(self, machine: LockstepMachine) -> NDArray[np.int64]:
        if not hasattr(self, "_places"):
            spans = (machine.place_of(span) for span in self.settings.spans)
            self._places = np.concatenate([np.zeros(0, np.int64), *spans])
        return self._places

    def _native(self, index: int) -> LockstepMachine:
        machine = self._seats[index].machine
        assert isinstance(machine, LockstepMachine)
        return machine
