"""Exact breadth-first search: every state of every generation, so the first run that wins is the fastest.

States that are equal in `same` (or without it, in all memory) and in the progress of the rules are expanded
once. The proof holds for the actions that may be pressed, each held for its `frames`, and as far as `same`
tells states apart that differ in what follows. Hashes have 128 bits: unequal states are taken for equal
with a chance of about n² / 2^129.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from frameperfect.search.beam import Rounds
from frameperfect.search.driver import Running, run
from frameperfect.search.problem import Problem
from frameperfect.search.result import Budget, Result

if TYPE_CHECKING:
    from typing_extensions import Unpack


def exhaustive(
    problem: Problem,
    budget: Budget | None = None,
    **running: Unpack[Running],
) -> Result:
    """Find the fastest run that wins, or prove that none does; arguments as `beam` has them.

    Where the memory is full before that, the result says so and claims nothing.
    """
    return run(Rounds(problem, budget or Budget(), 0, None, exact=True), **running)
