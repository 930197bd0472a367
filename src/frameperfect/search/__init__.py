"""What finds runs. Every search gives a movie that replays."""

from frameperfect.search.beam import beam
from frameperfect.search.brute import BruteResult, brute
from frameperfect.search.exhaustive import exhaustive
from frameperfect.search.go_explore import go_explore
from frameperfect.search.improve import improve
from frameperfect.search.problem import Problem
from frameperfect.search.result import Budget, Progress, Result

__all__ = [
    "BruteResult",
    "Budget",
    "Problem",
    "Progress",
    "Result",
    "beam",
    "brute",
    "exhaustive",
    "go_explore",
    "improve",
]  # fmt: skip
