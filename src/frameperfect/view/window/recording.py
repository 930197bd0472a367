"""Whether the run is kept, and in which file; and a copy of it on disk that follows while it is made."""

from __future__ import annotations

import itertools
import os
import threading
import time
from collections.abc import Callable
from pathlib import Path

from frameperfect.errors import MovieError
from frameperfect.movie import Movie, Session, save_movie
from frameperfect.movie.files import FORMATS

AUTOSAVE = ".autosave.fpm"
AUTOSAVE_EVERY = 2.0
"""Seconds between two copies: what a killed process or a power cut can cost."""


class Recording:
    """The file that a session's run goes to, on and off."""

    def __init__(
        self,
        session: Session,
        path: Path | None,
        name: str,
        convert: Callable[[Movie], Movie],
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """With `path` it is on from the start; `name` is that of the files made without.

        `convert` makes the movie one that another format than .fpm can hold. `clock` is in seconds.

        Raises:
            MovieError: no movie can be written to `path`.
        """
        self._session, self._name, self._convert, self._clock = session, name, convert, clock
        self._copy: Autosave | None = None
        self._copied = clock()
        self._told = ""
        self.path: Path | None = None
        if path is not None:
            if path.suffix.lower() not in FORMATS:
                known = ", ".join(FORMATS)
                raise MovieError(f"{path}: '{path.suffix}' is no movie format; use one of {known}")
            if not path.parent.is_dir() or not os.access(path.parent, os.W_OK):
                raise MovieError(f"{path}: {path.parent} is no folder that can be written to; name another")
            self._keep(path)

    @property
    def on(self) -> bool:
        """Whether the run will be written."""
        return self.path is not None

    def begin(self) -> Path:
        """Keep the run from now on (from its own start), in the next free file."""
        names = itertools.chain([""], (f"-{number}" for number in itertools.count(2)))
        paths = (Path(f"{self._name}{more}.fpm") for more in names)
        return self._keep(next(p for p in paths if not p.exists() and not autosave_path(p).exists()))

    def tick(self) -> str:
        """Every so often, write the copy; returns what there is to say: that it can't be written."""
        if self._copy is None:
            return ""
        if self._clock() - self._copied >= AUTOSAVE_EVERY and self._copy.write():
            self._copied = self._clock()
        before, self._told = self._told, self._copy.trouble
        return f"{self._told}; the run goes on" if self._told not in ("", before) else ""

    def finish(self) -> str:
        """Write the run, and keep it no longer; returns a line that says so.

        Raises:
            MovieError: it can't be written there; says where it is kept instead. The copy stays too.
        """
        path, self.path = self.path, None
        copy, self._copy = self._copy, None
        if path is None or copy is None:
            return ""
        copy.wait()
        if not self._session.frames:
            return f"{path}: nothing was played, nothing is written"
        self._session.save_movie(path, self._convert if path.suffix.lower() != ".fpm" else None)
        copy.remove()
        count = self._session.rerecords
        more = f", {count} rerecord{'s' if count != 1 else ''}" if count else ""
        return f"{path}: {self._session.frames} frames{more}"

    def _keep(self, path: Path) -> Path:
        self.path, self._copy = path, Autosave(self._session, autosave_path(path))
        self._copied = self._clock()
        return path


def autosave_path(path: Path) -> Path:
    """Where the copy of the recording that goes to `path` lies."""
    return path.with_name(path.stem + AUTOSAVE)


class Autosave:
    """A copy of a run that is replaced as a whole, by a thread, so that no frame waits for the disk."""

    def __init__(self, session: Session, path: Path) -> None:
        self.path = path
        self.trouble = ""
        """Why the last one could not be written; empty where it could."""
        self._session = session
        self._thread: threading.Thread | None = None

    def write(self) -> bool:
        """Begin to write the run as it is now; False while the one before is still under way."""
        if self._thread is not None and self._thread.is_alive():
            return False
        if self._session.frames:
            self._thread = threading.Thread(target=self._write, args=(self._session.snapshot(),))
            self._thread.start()
        return True

    def wait(self) -> None:
        """Until nothing is being written."""
        if self._thread is not None:
            self._thread.join()

    def remove(self) -> None:
        """The run is kept elsewhere."""
        self.wait()
        self.path.unlink(missing_ok=True)

    def _write(self, movie: Callable[[], Movie]) -> None:
        try:
            save_movie(movie(), self.path)
            self.trouble = ""
        except MovieError as error:
            self.trouble = str(error)
