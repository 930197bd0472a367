"""Folders for what a game writes while it runs."""

from __future__ import annotations

import os
import shutil
import tempfile
from pathlib import Path

_PREFIX = "frameperfect-native-"


def own_folder() -> Path:
    """An empty folder, named after this process. What processes left that were killed is swept away first."""
    for left in Path(tempfile.gettempdir()).glob(f"{_PREFIX}*"):
        owner = left.name.removeprefix(_PREFIX).partition("-")[0]
        if owner.isdecimal() and not Path(f"/proc/{owner}").exists():
            shutil.rmtree(left, ignore_errors=True)
    return Path(tempfile.mkdtemp(prefix=f"{_PREFIX}{os.getpid()}-"))
