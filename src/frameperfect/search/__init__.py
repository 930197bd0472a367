"""What finds runs. Every search gives a movie that replays."""

from frameperfect.search.beam import beam
from frameperfect.search.brute import BruteResult, brute
from frameperfect.search.brute_search import brute_search
from frameperfect.search.driver import Driver
from frameperfect.search.exhaustive import exhaustive
from frameperfect.search.go_explore import go_explore
from frameperfect.search.improve import improve
from frameperfect.search.jerk import jerk
from frameperfect.search.methods import METHODS, make_method
from frameperfect.search.problem import Problem
from frameperfect.search.result import Budget, Progress, Result

__all__ = [
    "METHODS",
    "BruteResult",
    "Budget",
    "Driver",
    "Problem",
    "Progress",
    "Result",
    "beam",
    "brute",
    "brute_search",
    "exhaustive",
    "go_explore",
    "improve",
    "jerk",
    "make_method",
]  # fmt: skip
