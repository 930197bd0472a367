"""Where a user's games, ROMs and caches lie."""

from __future__ import annotations

import os
from pathlib import Path

from frameperfect.atomic import replacing


def home() -> Path:
    """$FRAMEPERFECT_HOME, or `frameperfect` in the user's data folder (XDG_DATA_HOME, ~/.local/share)."""
    if own := os.environ.get("FRAMEPERFECT_HOME"):
        return Path(own)
    data = os.environ.get("XDG_DATA_HOME")
    return (Path(data) if data else Path.home() / ".local" / "share") / "frameperfect"


def write_whole(path: Path, data: bytes) -> None:
    """Write a file so that a kill leaves the old one or the new one, never half.

    Raises:
        OSError: as writing does (no space, no permission); nothing is left behind.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with replacing(path) as part:
        part.write_bytes(data)
