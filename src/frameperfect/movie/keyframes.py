"""States along a run, close together near the present and thinner with distance, within a fixed budget."""

from __future__ import annotations

import bisect
import zlib

import numpy as np

NEAR = 600
"""Frames around the present within which all keyframes weigh alike."""


class Keyframes:
    """Compressed states by frame; at most `budget` bytes of them.

    Measured on 60 s of play: level-1 zlib makes 290 KB of a Mega Drive 10 KB in 0.5 ms. Deltas against the
    state before would halve that once more, but then no state could be dropped by itself.
    """

    def __init__(self, budget: int) -> None:
        self.budget = budget
        self.held = 0
        """Bytes in use."""
        self._frames: list[int] = []
        self._states: dict[int, bytes] = {}

    def __len__(self) -> int:
        return len(self._frames)

    def __contains__(self, frame: int) -> bool:
        return frame in self._states

    def add(self, frame: int, state: bytes, present: int) -> None:
        """Keep `state`; what is worth least to somebody at the frame `present` makes room for it."""
        if frame in self._states:
            return
        packed = zlib.compress(state, 1)
        bisect.insort(self._frames, frame)
        self._states[frame] = packed
        self.held += len(packed)
        while self.held > self.budget and len(self._frames) > 2:
            self._drop(self._least(present))

    def latest(self, frame: int) -> int | None:
        """The last frame up to `frame` that has a state."""
        place = bisect.bisect_right(self._frames, frame)
        return self._frames[place - 1] if place else None

    def state(self, frame: int) -> bytes:
        """The state at a frame that has one."""
        return zlib.decompress(self._states[frame])

    def cut(self, frame: int) -> None:
        """Forget the states after `frame`."""
        while self._frames and self._frames[-1] > frame:
            self._drop(len(self._frames) - 1)

    def _least(self, present: int) -> int:
        """The place of the state whose loss costs least: the gap it would leave, by how far off it is.

        The first and the last stay: all replaying begins at the one, and the other is where work goes on.
        """
        frames = np.array(self._frames)
        gaps = frames[2:] - frames[:-2]
        return 1 + int(np.argmin(gaps / (NEAR + np.abs(frames[1:-1] - present))))

    def _drop(self, place: int) -> None:
        self.held -= len(self._states.pop(self._frames.pop(place)))
