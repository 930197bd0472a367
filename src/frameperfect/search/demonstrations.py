"""What a search found as demonstrations: its run, or all the runs that it holds, as one tree."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from frameperfect.env.demonstrations import STATE_EVERY, Demonstrations, record
from frameperfect.movie import Movie
from frameperfect.search.problem import Problem
from frameperfect.search.result import Result

MOST_RUNS = 4096
"""Runs of a tree that are recorded: the longest, which hold most of the others."""


def demonstrate(
    problem: Problem, result: Result, *, state_every: int = STATE_EVERY, **env: Any
) -> Demonstrations:
    """Record a search's run, and where it holds others (`Result.runs`) these as well.

    Args:
        problem: that was searched.
        result: what was found.
        state_every: see `record`.
        env: keywords of `make_env`; the frame skip is the search's, unless it is given.

    Raises:
        EnvError: see `record`.
    """
    paths = {path.tobytes(): path for path in [result.path, *result.runs] if len(path)}
    longest = sorted(paths.values(), key=len, reverse=True)[:MOST_RUNS]
    movies = []
    for path in longest:
        inputs = np.repeat(problem.masks[path], problem.section.frames, axis=0)
        controllers = problem.expander.controllers
        bare = Movie(controllers=controllers, inputs=inputs, start=problem.start, game=problem.game.name)
        if problem.lead is not None:
            bare = bare.after(replace(problem.lead, checkpoints=[], values={}))
        movies.append(bare)
    settings = {"frame_skip": problem.section.frames, **env}
    return record(problem.game, movies, state_every=state_every, **settings)
