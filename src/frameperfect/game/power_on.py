"""Runs from power-on, which any program can play and nobody has to take on trust."""

from __future__ import annotations

import os
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from frameperfect.errors import MovieError
from frameperfect.game.registry import load_game
from frameperfect.movie import Movie, load_movie

if TYPE_CHECKING:
    from frameperfect.game.game import Game


def from_power_on(movie: Movie, game: str | os.PathLike[str] | Game | None = None) -> Movie:
    """The same run with the start that it names played before it.

    Args:
        movie: one that begins elsewhere is returned as it is.
        game: where the movie does not name one that is known here.

    Raises:
        MovieError: that start is a state, which only its own core can load.
        UnknownGame: the movie's game is not known here.
    """
    if not isinstance(movie.start, str):
        return movie
    known = load_game(game or movie.game)
    start = known.start.get(movie.start)
    if start is None or start.movie is None:
        raise MovieError(
            f"the movie starts at '{movie.start}' of {known.name}, a state of {movie.core or 'one core'}; "
            "only .fpm can say so"
        )
    prefix = load_movie(known.file(start.movie))
    idle = np.zeros((start.settle, len(prefix.controllers)), np.uint32)
    return movie.after(replace(prefix, inputs=np.concatenate([prefix.inputs, idle])))
