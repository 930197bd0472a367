"""What an overlay remembers of earlier frames; it forgets what a rewind has undone."""

from __future__ import annotations

from bisect import bisect_left
from typing import Generic, TypeVar

T = TypeVar("T")


class History(Generic[T]):
    """One entry a frame, at most `length` frames back."""

    def __init__(self, length: int) -> None:
        self.length = length
        self.frames: list[int] = []
        self.entries: list[T] = []

    def back_to(self, frame: int) -> None:
        """Forget `frame` and what came after it."""
        if self.frames and self.frames[-1] >= frame:
            keep = bisect_left(self.frames, frame)
            del self.frames[keep:], self.entries[keep:]

    def put(self, frame: int, entry: T) -> None:
        """Remember `entry` as that of `frame`."""
        self.back_to(frame)
        self.frames.append(frame)
        self.entries.append(entry)
        if len(self.frames) >= 2 * self.length:  # now and then, so that it costs next to nothing
            del self.frames[: -self.length], self.entries[: -self.length]

    def last(self, count: int) -> list[T]:
        """The latest entries, oldest first."""
        return self.entries[-count:]
