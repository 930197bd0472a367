"""Where libretro cores and their system files lie."""

from __future__ import annotations

import functools
import hashlib
import importlib.util
import os
from collections.abc import Iterator
from pathlib import Path

from frameperfect.errors import MissingComponent

_SUFFIX = "_libretro.so"


def core_folders() -> Iterator[Path]:
    """Folders with cores, as they are searched: the user's own, stable-retro's wheel, the system's."""
    if own := os.environ.get("FRAMEPERFECT_CORES"):
        yield Path(own)
    # Found without importing it, which takes longer than opening a machine.
    wheel = importlib.util.find_spec("stable_retro")
    if wheel is not None and wheel.origin is not None:
        yield Path(wheel.origin).parent / "cores"
    yield from sorted(Path("/usr/lib").glob("*/libretro"))
    yield Path("/usr/lib/libretro")


def list_cores() -> dict[str, Path]:
    """Every core found here, by name ("picodrive")."""
    found: dict[str, Path] = {}
    for folder in core_folders():
        if folder.is_dir():
            for path in sorted(folder.glob("*" + _SUFFIX)):
                found.setdefault(path.name.removesuffix(_SUFFIX), path)
    return found


def find_core(name: str) -> Path:
    """The file of the core `name`.

    Raises:
        MissingComponent: no such core here.
    """
    for folder in core_folders():
        path = folder / (name + _SUFFIX)
        if path.is_file():
            return path
    raise MissingComponent(
        f"the libretro core '{name}' is not here: pip install 'frameperfect[libretro]', or name the folder "
        f"of {name}{_SUFFIX} in FRAMEPERFECT_CORES"
    )


@functools.lru_cache
def _file_hash(path: Path, size: int, modified: int) -> str:
    with path.open("rb") as file:
        return (
            hashlib.file_digest(file, "sha256").hexdigest()
            if hasattr(hashlib, "file_digest")
            else (hashlib.sha256(file.read()).hexdigest())
        )


def core_hash(path: Path) -> str:
    """The first 16 hex digits of the file's SHA-256, which name a core's build."""
    status = path.stat()
    return _file_hash(path, status.st_size, status.st_mtime_ns)[:16]


def system_folder() -> Path:
    """Where cores look for BIOS files: $FRAMEPERFECT_SYSTEM, or `system` in the user's data folder."""
    if own := os.environ.get("FRAMEPERFECT_SYSTEM"):
        return Path(own)
    data = os.environ.get("XDG_DATA_HOME") or Path.home() / ".local" / "share"
    return Path(data) / "frameperfect" / "system"
