"""The methods by name."""

from __future__ import annotations

from collections.abc import Sequence

from frameperfect.errors import SearchError
from frameperfect.movie import Movie
from frameperfect.search.beam import Rounds
from frameperfect.search.brute_search import Brute
from frameperfect.search.driver import Method
from frameperfect.search.go_explore import GoExplore
from frameperfect.search.guide import Guide
from frameperfect.search.improve import Improver
from frameperfect.search.jerk import Jerk
from frameperfect.search.problem import Problem
from frameperfect.search.result import Budget

METHODS = ("beam", "exhaustive", "go-explore", "brute", "jerk", "improve")


def make_method(
    name: str,
    problem: Problem,
    budget: Budget,
    *,
    seed: int = 0,
    width: int | None = None,
    movies: Sequence[Movie] = (),
    guide: Guide | None = None,
) -> Method:
    """A method that has not begun; `movies` are for "improve", which betters the first, `guide` is for
    "go-explore".

    Raises:
        SearchError: there is none of that name, or the problem lacks what it needs.
    """
    if name == "beam":
        return Rounds(problem, budget, seed, width)
    if name == "exhaustive":
        return Rounds(problem, budget, 0, None, exact=True)
    if name == "go-explore":
        return GoExplore(problem, budget, seed, guide)
    if name == "brute":
        return Brute(problem, budget, seed)
    if name == "jerk":
        return Jerk(problem, budget, seed)
    if name == "improve":
        if not movies:
            raise SearchError("improve needs a movie that wins")
        return Improver(problem, budget, seed, movies)
    raise SearchError(f"no method '{name}'; there are {', '.join(METHODS)}")
