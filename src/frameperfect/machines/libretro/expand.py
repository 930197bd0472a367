"""New states from old ones on native threads, the GIL released."""

from __future__ import annotations

import os
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from frameperfect import _native
from frameperfect.expand import PICTURE, Expander, Expansion, Ids
from frameperfect.machine import Capability, MachineSpec
from frameperfect.machines.libretro.machine import LibretroMachine
from frameperfect.machines.libretro.reader import native_reader
from frameperfect.memory import Span


class LibretroExpander(Expander):
    """A core for each thread. The states are the cores' own, without pictures."""

    def __init__(self, spec: MachineSpec, spans: Sequence[Span], threads: int, memory: int) -> None:
        """Open `threads` machines (0: one a processor); `memory` bounds the states, in bytes.

        Raises:
            MachineError: the core refused the program.
            Unsupported: the core's states are not exact on this console.
            GameError: a span lies outside its domain.
        """
        self.machine = first = LibretroMachine(spec)
        first.require(Capability.SAVE)
        self.threads = threads or len(os.sched_getaffinity(0))
        self.spans, self.store = tuple(spans), _native.StateStore(memory)
        self._machines = [first, *(LibretroMachine(spec, first.opening) for _ in range(self.threads - 1))]
        self._native = _native.LibretroExpander(
            [machine.core for machine in self._machines],
            first.opening.buttons,
            store=self.store,
            **native_reader(first.domains, self.spans),
        )

    def expand(self, states: Ids, inputs: NDArray[np.uint32], frames: NDArray[np.uint32]) -> Expansion:
        """See `Expander.expand`."""
        children = np.empty(len(states), np.uint32)
        rows = np.empty((len(states), self.row_bytes), np.uint8)
        pictures = np.empty((len(states), *PICTURE), np.uint8) if self.watching else None
        self._native.run(states, np.ascontiguousarray(inputs), frames, children, rows, pictures)
        return Expansion(children, rows, pictures)

    def watch(self, crop: tuple[int, int, int, int] | None = None) -> None:
        """See `Expander.watch`."""
        super().watch(crop)
        self._native.watch(*PICTURE, crop)

    def capture(self) -> tuple[int, NDArray[np.uint8]]:
        """See `Expander.capture`."""
        row = np.empty(self.row_bytes, np.uint8)
        return self._native.capture(row), row

    def show(self, state: int) -> None:
        """See `Expander.show`."""
        self._native.show(state)

    def close(self) -> None:
        """See `Expander.close`."""
        self._native.close()
        for machine in self._machines:
            machine.close()
