"""Whether the run is kept, and in which file."""

from __future__ import annotations

import itertools
import os
from collections.abc import Callable
from pathlib import Path

from frameperfect.errors import MovieError
from frameperfect.movie import Movie, Session
from frameperfect.movie.files import FORMATS


class Recording:
    """The file that a session's run goes to, on and off."""

    def __init__(
        self, session: Session, path: Path | None, name: str, convert: Callable[[Movie], Movie]
    ) -> None:
        """With `path` it is on from the start; `name` is that of the files made without.

        `convert` makes the movie one that another format than .fpm can hold.

        Raises:
            MovieError: no movie can be written to `path`.
        """
        self._session, self._name, self._convert = session, name, convert
        self.path = path
        if path is not None:
            if path.suffix.lower() not in FORMATS:
                known = ", ".join(FORMATS)
                raise MovieError(f"{path}: '{path.suffix}' is no movie format; use one of {known}")
            if not path.parent.is_dir() or not os.access(path.parent, os.W_OK):
                raise MovieError(f"{path}: {path.parent} is no folder that can be written to; name another")

    @property
    def on(self) -> bool:
        """Whether the run will be written."""
        return self.path is not None

    def begin(self) -> Path:
        """Keep the run from now on (from its own start), in the next free file."""
        names = itertools.chain([""], (f"-{number}" for number in itertools.count(2)))
        self.path = next(path for more in names if not (path := Path(f"{self._name}{more}.fpm")).exists())
        return self.path

    def finish(self) -> str:
        """Write the run, and keep it no longer; returns a line that says so.

        Raises:
            MovieError: it can't be written there; says where it is kept instead.
        """
        path, self.path = self.path, None
        if path is None:
            return ""
        if not self._session.frames:
            return f"{path}: nothing was played, nothing is written"
        self._session.save_movie(path, self._convert if path.suffix.lower() != ".fpm" else None)
        count = self._session.rerecords
        more = f", {count} rerecord{'s' if count != 1 else ''}" if count else ""
        return f"{path}: {self._session.frames} frames{more}"
