"""A search as a file, from which it goes on to the same result: plain values and arrays, nothing pickled.

A zip of NumPy arrays (`numpy.savez`) with the values as JSON among them; each part has its checksum.
"""

from __future__ import annotations

import json
import os
import tempfile
import time
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from frameperfect.errors import SearchError

VERSION = 1
LEAST_PAUSE = 20.0
"""Seconds between two checkpoints, at least."""
WRITING_SHARE = 0.05
"""The part of the time that writing them may take."""


class Checkpoint:
    """Where a search is kept, and when it was last written."""

    def __init__(self, path: Path, identity: str) -> None:
        self.path, self.identity = path, identity
        self._due = time.monotonic() + LEAST_PAUSE

    @property
    def due(self) -> bool:
        """Whether it is time to write."""
        return time.monotonic() >= self._due

    def write(self, meta: Mapping[str, Any], arrays: Mapping[str, NDArray[Any]]) -> None:
        """Put a new one in the place of the old; a kill leaves one or the other.

        Raises:
            OSError: as writing does; the old one stays.
        """
        begun = time.monotonic()
        told = {"version": VERSION, "identity": self.identity, "meta": meta}
        self.path.parent.mkdir(parents=True, exist_ok=True)
        descriptor, name = tempfile.mkstemp(
            dir=self.path.parent, prefix=f".{self.path.name}.", suffix=".part"
        )
        try:
            with os.fdopen(descriptor, "wb") as file:
                text = np.frombuffer(json.dumps(told).encode(), np.uint8)
                np.savez(file, allow_pickle=False, meta=text, **arrays)
                file.flush()
                os.fsync(file.fileno())
            Path(name).replace(self.path)
        finally:
            Path(name).unlink(missing_ok=True)
        taken = time.monotonic() - begun
        self._due = time.monotonic() + max(LEAST_PAUSE, taken / WRITING_SHARE)

    def read(self) -> tuple[dict[str, Any], dict[str, NDArray[Any]]]:
        """The values and arrays of the last write.

        Raises:
            SearchError: there is none, it is damaged, or it belongs to another search.
        """
        try:
            with np.load(self.path, allow_pickle=False) as file:
                arrays = {name: file[name] for name in file.files}
            told = json.loads(arrays.pop("meta").tobytes())
            version, identity, meta = told["version"], told["identity"], told["meta"]
        except FileNotFoundError:
            raise SearchError(f"{self.path}: no search to go on with; begin one without --resume") from None
        except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile) as wrong:
            raise SearchError(f"{self.path}: the search is damaged ({wrong}); begin it anew") from None
        if version != VERSION or identity != self.identity:
            raise SearchError(
                f"{self.path} belongs to another search: the game, its rules, the method or the core are not "
                "those it was begun with; begin it anew without --resume"
            )
        return meta, arrays
