"""The inputs of the episodes that are running, kept so that each can become a movie."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from frameperfect.pool import Pool


class InputLog:
    """What every machine of a pool was given in its running episode and in the one before.

    A step takes four bytes a machine and port, times the frame skip where sticky actions make its frames
    differ; the log holds on to the steps since the oldest of these episodes began.
    """

    def __init__(self, pool: Pool) -> None:
        size, self._skip, ports = pool.inputs.shape
        self._shape = (size, self._skip if pool.settings.sticky else 1, ports)
        self._inputs = pool.inputs[:, : self._shape[1]]
        self._step_bytes = self._inputs.nbytes
        self._steps = bytearray()
        self._first = np.zeros(size, np.int64)
        self._previous = np.zeros((2, size), np.int64)
        # What an episode began with before the log's own steps: idle steps, or a restored clone's past.
        self._head: list[NDArray[np.uint32] | None] = [None] * size
        self._previous_head: list[NDArray[np.uint32] | None] = [None] * size

    def append(self) -> None:
        """Keep the inputs of the step just made."""
        self._steps += self._inputs.tobytes()

    def begin(self, index: int, head: Sequence[NDArray[np.uint32]] = (), idle: int = 0) -> None:
        """A new episode of machine `index` starts here, after the frames of `head`, (F, ports) each.

        The one before ended `idle` steps ago.
        """
        end = len(self._steps) // self._step_bytes
        self._previous[:, index] = self._first[index], end - idle
        self._previous_head[index] = self._head[index]
        self._first[index] = end
        self._head[index] = np.concatenate(head) if len(head) else None
        oldest = int(self._previous[0].min())
        if oldest > end // 2:
            del self._steps[: oldest * self._step_bytes]
            self._first -= oldest
            self._previous -= oldest

    def episode(self, index: int, previous: bool = False) -> NDArray[np.uint32]:
        """(F, ports): every frame of the machine's running (or previous) episode."""
        first, end = self._previous[:, index] if previous else (self._first[index], None)
        head = (self._previous_head if previous else self._head)[index]
        # A copy: the log can't grow while an array looks into it.
        steps = np.frombuffer(self._steps, np.uint32).reshape(-1, *self._shape)[first:end, index].copy()
        if self._shape[1] != self._skip:
            steps = steps.repeat(self._skip, axis=1)
        frames = steps.reshape(-1, self._shape[2])
        return frames if head is None else np.concatenate([head, frames])
