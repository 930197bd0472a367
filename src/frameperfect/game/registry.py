"""Every game that is known here, by name: bundled, the user's, from entry points, stable-retro's, ALE's.

Where two sources have a game of one name, the earlier one wins. Listing only looks at folders (Gymnasium's
registry asks at each start); a definition is read when its game is loaded.

An entry point of the group `frameperfect.games` names a module whose folder holds game folders.
"""

from __future__ import annotations

import functools
import importlib
import importlib.metadata
import importlib.util
import os
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from frameperfect.errors import GameError, UnknownGame
from frameperfect.game import folders
from frameperfect.game.suggest import did_you_mean

if TYPE_CHECKING:
    from frameperfect.game.game import Game

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

BUNDLED = Path(__file__).parent.parent / "games"
MAX_TOML = 4 << 20
_VERSION = re.compile(r"-v\d+$")
# ROMs of ale-py's wheel for its multi-agent interface alone: ALE's own `act` can't play them.
_NOT_FOR_ONE = frozenset({"combat", "joust", "maze_craze", "warlords"})


def games(source: str | None = None) -> list[str]:
    """The names of all known games, sorted; or those of one source.

    Raises:
        UnknownGame: no such source.
    """
    if source is not None:
        return sorted(_source(source))
    return sorted(set().union(*(_source(one) for one in sources())))


def sources() -> list[str]:
    """The sources, the first one first asked."""
    return ["bundled", "user", *_entry_points(), "stable-retro", "ale"]


def load_game(game: str | os.PathLike[str] | Game, source: str | None = None) -> Game:
    """A game by its name, or by a path: of a `game.toml`, its folder, or a ROM.

    Args:
        game: a path is told from a name by a slash, an ending `.toml`, or being a `pathlib.Path`; what is no
            known name may be a ROM or a game's folder here.
        source: where to look, if not everywhere; see `sources`.

    Raises:
        UnknownGame: no game of that name; suggests the nearest.
        GameError: its definition is wrong.
    """
    from frameperfect.game.game import Game

    if isinstance(game, Game):
        return game
    if not isinstance(game, str) or "/" in game or os.sep in game or game.endswith(".toml"):
        return _from_path(Path(game))
    for one in [source] if source is not None else sources():
        where = _source(one).get(game)
        if where is not None:
            return _load(one, game, where)
    if Path(game).is_file() or (Path(game) / "game.toml").is_file():
        return _from_path(Path(game))
    known = games(source)
    raise UnknownGame(f"no game '{game}'.{did_you_mean(game, known)} `frameperfect games` lists all.")


def _load(source: str, name: str, where: Path) -> Game:
    from frameperfect.game import ale, stable_retro
    from frameperfect.game.game import Game

    if source == "ale":
        return ale.import_game(where)
    if source == "stable-retro":
        return stable_retro.import_game(where)
    return Game.from_folder(where, source)


def _from_path(path: Path) -> Game:
    from frameperfect.game.game import Game

    if path.is_dir():
        path = path / "game.toml"
    if not path.is_file():
        raise UnknownGame(f"no game at '{path}'; give the path of a game.toml, its folder or a ROM")
    if path.suffix.lower() != ".toml":
        from frameperfect.game.roms import game_of_rom

        return game_of_rom(path)
    folder = path.parent.resolve()
    for source in ("bundled", "user"):
        if folder.parent in {root.resolve() for root in _roots(source)}:
            return Game.from_folder(folder, source)
    if path.name != "game.toml":
        raise GameError(f"{path}: a definition is called game.toml; rename it")
    return Game.from_folder(folder, "path")


# -- listing -----------------------------------------------------------------------------------------------


def _source(source: str) -> dict[str, Path]:
    """The games of one source: name to folder (or ROM)."""
    if source == "ale":
        return _ale()
    if source == "stable-retro":
        return _stable_retro()
    if source in ("bundled", "user") or source in _entry_points():
        return dict(_defined(source))
    raise UnknownGame(f"no source '{source}' of games; there are {', '.join(sources())}")


def _roots(source: str) -> list[Path]:
    if source == "bundled":
        return [BUNDLED]
    if source == "user":
        return [folders.home() / "games"]
    spec = importlib.util.find_spec(_entry_points()[source])
    return [Path(spec.origin).parent] if spec is not None and spec.origin is not None else []


def _defined(source: str) -> Iterator[tuple[str, Path]]:
    """Folders with a `game.toml`; the name is what it says, or the folder's where it says none."""
    for root in _roots(source):
        if not root.is_dir():
            continue
        for folder in sorted(root.iterdir()):
            path = folder / "game.toml"
            if path.is_file():
                status = path.stat()
                yield _name(path, status.st_mtime_ns, status.st_size) or folder.name, folder


@functools.lru_cache(maxsize=4096)
def _name(path: Path, modified: int, size: int) -> str | None:
    """The name in a `game.toml`, without judging the rest of it."""
    try:
        name = tomllib.loads(path.read_text("utf-8"))["game"]["name"] if size <= MAX_TOML else None
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return None
    return name if isinstance(name, str) else None


@functools.cache
def _entry_points() -> dict[str, str]:
    return {
        e.name: e.value.split(":")[0] for e in importlib.metadata.entry_points(group="frameperfect.games")
    }


@functools.cache
def _stable_retro() -> dict[str, Path]:
    found: dict[str, Path] = {}
    for root in stable_retro_folders():
        for name in os.listdir(root):  # noqa: PTH208 - a thousand paths take long to make
            if "-" in name and not name.startswith((".", "_")):
                found.setdefault(stable_retro_name(name), root / name)
    return found


@functools.cache
def package(name: str) -> Path | None:
    """The folder of an installed package, or None; found without importing it."""
    spec = importlib.util.find_spec(name)
    return Path(spec.origin).parent if spec is not None and spec.origin is not None else None


def stable_retro_folders() -> list[Path]:
    """stable-retro's folders of game folders, those of released games first."""
    root = package("stable_retro")
    kinds = ("stable", "experimental", "contrib")
    return [root / "data" / kind for kind in kinds if (root / "data" / kind).is_dir()] if root else []


def stable_retro_name(folder: str) -> str:
    """A game's name here: that of its folder without stable-retro's version."""
    return _VERSION.sub("", folder)


def ale_name(rom: str) -> str:
    """`space_invaders` -> `SpaceInvaders-Atari`."""
    return "".join(part.title() for part in rom.split("_")) + "-Atari"


@functools.cache
def _ale() -> dict[str, Path]:
    root = package("ale_py")
    roms = sorted((root / "roms").glob("*.bin")) if root is not None else []
    return {ale_name(rom.stem): rom for rom in roms if rom.stem not in _NOT_FOR_ONE}
