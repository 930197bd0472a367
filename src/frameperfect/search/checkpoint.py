"""A search as a file, from which it goes on to the same result: plain values and arrays, nothing pickled.

A zip of NumPy arrays (`numpy.savez`) with the values as JSON among them; each part has its checksum.
"""

from __future__ import annotations

import json
import time
import zipfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from frameperfect import atomic
from frameperfect.errors import SearchError

VERSION = 3
LEAST_PAUSE = 20.0
"""Seconds between two checkpoints, at least."""
WRITING_SHARE = 0.05
"""The part of the time that writing them may take."""


class KeepingFailed(SearchError):
    """A search can't be written to its file: a full disk, a folder that is gone. What was kept before is."""


class Checkpoint:
    """Where a search is kept, and when it was last written."""

    def __init__(self, path: Path, identity: Mapping[str, Any]) -> None:
        """`identity`: plain values by name that a search must have in common with the one that is kept."""
        self.path, self.identity = path, json.loads(json.dumps(identity))
        self._due = time.monotonic() + LEAST_PAUSE

    @property
    def due(self) -> bool:
        """Whether it is time to write."""
        return time.monotonic() >= self._due

    def write(self, meta: Mapping[str, Any], arrays: Mapping[str, NDArray[Any]], rules: str) -> None:
        """Put a new one in the place of the old; a kill leaves one or the other. `rules`: their digest.

        Raises:
            KeepingFailed: it can't be written; the old one stays, and the next is due as after any other.
        """
        begun = time.monotonic()
        told = {"version": VERSION, "identity": self.identity, "rules": rules, "meta": meta}
        try:
            with replacing(self.path) as file:
                text = np.frombuffer(json.dumps(told).encode(), np.uint8)
                np.savez(file, allow_pickle=False, meta=text, **arrays)
        finally:
            taken = time.monotonic() - begun
            self._due = time.monotonic() + max(LEAST_PAUSE, taken / WRITING_SHARE)

    def read(self) -> tuple[dict[str, Any], dict[str, NDArray[Any]], str]:
        """The values, the arrays and the digest of the rules of the last write.

        Raises:
            SearchError: there is none, it is damaged, or it belongs to another search.
        """
        try:
            with np.load(self.path, allow_pickle=False) as file:
                arrays = {name: file[name] for name in file.files}
            told = json.loads(arrays.pop("meta").tobytes())
            version, identity = told["version"], told["identity"]
            meta, rules = told["meta"], told["rules"]
        except FileNotFoundError:
            raise SearchError(f"{self.path}: no search to go on with; begin one without --resume") from None
        except OSError as wrong:
            raise SearchError(f"{self.path}: the search can't be read ({wrong.strerror or wrong})") from None
        except (ValueError, KeyError, EOFError, zipfile.BadZipFile) as wrong:
            if self.path.read_bytes()[:1] == b"{":
                raise SearchError(f"{self.path} holds a search on islands; go on with --islands") from None
            raise SearchError(f"{self.path}: the search is damaged ({wrong}); begin it anew") from None
        if version != VERSION:
            raise SearchError(f"{self.path}: kept by another version; begin the search anew")
        require_equal(identity, self.identity, f"{self.path} belongs to another search")
        return meta, arrays, rules


@contextmanager
def replacing(path: Path) -> Iterator[IO[bytes]]:
    """A file that takes `path`'s place when the block ends well; what a kill leaves, the next one takes over.

    Raises:
        KeepingFailed: it can't be written.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with atomic.replacing(path, durable=True, alone=True) as part, part.open("wb") as file:
            yield file
    except OSError as wrong:
        kept = "what was kept before is still there" if path.exists() else "nothing is kept yet"
        raise KeepingFailed(
            f"the search can't be kept in {path} ({wrong.strerror or wrong}); {kept}"
        ) from None


def require_equal(before: Mapping[str, Any], now: Mapping[str, Any], what: str) -> None:
    """Raise SearchError, which names the first that differs, unless all values are equal."""
    for key in {**before, **now}:
        if before.get(key) != now.get(key):
            raise SearchError(
                f"{what}: its {key} was {before.get(key)} and is {now.get(key)}; begin it anew, without "
                "--resume"
            )
