"""Files that are there whole or not at all, whatever ends the program while it writes them."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def replacing(path: Path, *, durable: bool = False, alone: bool = False) -> Iterator[Path]:
    """A path beside `path`, with its suffix, to write to; it takes `path`'s place when the block ends well.

    Args:
        durable: it is on the disk itself before it takes the place.
        alone: one process at a time writes to `path`, so what a kill leaves is what the next one writes to.

    Raises:
        OSError: naming `path`, whatever file the failure was reported for.
    """
    writer = "" if alone else f".{os.getpid()}"
    part = path.with_name(f".{path.stem}{writer}.part{path.suffix}")
    try:
        yield part
        if durable:
            with part.open("rb") as file:
                os.fsync(file.fileno())
        part.replace(path)
    except OSError as error:
        raise OSError(error.errno, error.strerror or str(error), str(path)) from error
    finally:
        part.unlink(missing_ok=True)
