"""The run itself: movies, their files, and the recorder that makes them."""

from __future__ import annotations

from frameperfect.movie.files import convert_movie, load_movie, save_movie
from frameperfect.movie.movie import Movie
from frameperfect.movie.recorder import Recorder
from frameperfect.movie.session import Session

__all__ = ["Movie", "Recorder", "Session", "convert_movie", "load_movie", "save_movie"]
