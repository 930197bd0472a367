"""Keeps a loop at a rate without drift: a deadline follows from the one before, not from the last wake-up."""

from __future__ import annotations

import time
from collections.abc import Callable

LATE = 0.1
"""Seconds behind beyond which the lost time is given up instead of being caught up."""


class Pace:
    """`wait` returns at the next deadline."""

    def __init__(
        self,
        rate: float,
        clock: Callable[[], float] = time.perf_counter,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self.rate = rate
        self._clock, self._sleep = clock, sleep
        self._due = clock()

    def wait(self, speed: float = 1) -> bool:
        """Sleep until the next of `rate * speed` deadlines a second; whether it is over by a whole frame."""
        due = self._due + 1 / (self.rate * speed)
        now = self._clock()
        if now - due > LATE:
            due = now
        elif due > now:
            self._sleep(due - now)
        self._due = due
        return now - due > 1 / self.rate
