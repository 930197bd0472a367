"""Exact breadth-first search: every state of every generation, so the first run that wins is the fastest.

States that are equal in `same` (or without it, in all memory) and in the progress of the rules are expanded
once. The proof holds for the actions that may be pressed, each held for its `frames`, and as far as `same`
tells states apart that differ in what follows. Hashes have 128 bits: unequal states are taken for equal
with a chance of about n² / 2^129.
"""

from __future__ import annotations

from pathlib import Path

from frameperfect.search.beam import Rounds
from frameperfect.search.driver import Driver, Pause
from frameperfect.search.problem import Problem
from frameperfect.search.result import Budget, Result, Stop, Watch


def exhaustive(
    problem: Problem,
    budget: Budget | None = None,
    *,
    watch: Watch | None = None,
    stop: Stop | None = None,
    checkpoint: Path | None = None,
    resume: bool = False,
    pause: Pause | None = None,
) -> Result:
    """Find the fastest run that wins, or prove that none does; arguments as `beam` has them.

    Where the memory is full before that, the result says so and claims nothing.
    """
    method = Rounds(problem, budget or Budget(), 0, None, exact=True)
    driver = Driver(method, watch=watch, stop=stop, pause=pause, checkpoint=checkpoint, resume=resume)
    return driver.finish()
