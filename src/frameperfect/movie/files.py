"""Movies on disk: the format follows from the suffix, and a file is there as a whole or not at all."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from frameperfect.atomic import replacing
from frameperfect.errors import MovieError
from frameperfect.movie import bk2, fm2, fpm
from frameperfect.movie.movie import Movie

MAX_FILE = 256 << 20
"""Bytes of a movie file that are read at all."""


class _Format(NamedTuple):
    read: Callable[[bytes, str], Movie]
    write: Callable[[Movie], bytes]


FORMATS = {
    ".fpm": _Format(fpm.read, fpm.write),
    ".fm2": _Format(fm2.read, fm2.write),
    ".bk2": _Format(bk2.read, bk2.write),
}


def load_movie(path: str | os.PathLike[str]) -> Movie:
    """Read a movie: .fpm (ours), .fm2 (FCEUX) or .bk2 (BizHawk, stable-retro).

    Raises:
        MovieError: the file is missing, cut short or malformed; names file, line and column.
    """
    path = Path(path)
    form = _format(path)
    try:
        with path.open("rb") as file:
            data = file.read(MAX_FILE + 1)
    except OSError as error:
        raise MovieError(f"{path}: can't be read: {error.strerror}") from None
    if len(data) > MAX_FILE:
        raise MovieError(f"{path}: more than {MAX_FILE >> 20} MiB is no movie")
    try:
        return form.read(data, str(path))
    except MovieError as error:
        if str(error).startswith(str(path)):
            raise
        raise MovieError(f"{path}: {error}") from None


def save_movie(movie: Movie, path: str | os.PathLike[str]) -> None:
    """Write a movie in the format of `path`'s suffix.

    Raises:
        MovieError: the format can't hold what is in the movie (nothing is dropped silently), or the file
            can't be written; what was there before is unchanged.
    """
    path = Path(path)
    try:
        data = _format(path).write(movie)
    except MovieError as error:
        raise MovieError(f"{path}: {error}") from None
    try:
        with replacing(path, durable=True) as part:
            part.write_bytes(data)
    except OSError as error:
        raise MovieError(f"{path}: can't be written: {error.strerror}") from None


def convert_movie(source: str | os.PathLike[str], target: str | os.PathLike[str]) -> Movie:
    """Read `source`, write it as `target`, and return it."""
    movie = load_movie(source)
    save_movie(movie, target)
    return movie


def _format(path: Path) -> _Format:
    try:
        return FORMATS[path.suffix.lower()]
    except KeyError:
        raise MovieError(f"{path}: '{path.suffix}' is no movie format; use {', '.join(FORMATS)}") from None
