"""Proof of a run: its movie is replayed in a fresh process, and memory must be the recorded one."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from frameperfect import errors
from frameperfect.errors import Desync, FrameperfectError, MachineCrashed, MovieError
from frameperfect.game.game import Game
from frameperfect.game.power_on import from_power_on
from frameperfect.game.registry import load_game
from frameperfect.movie import Movie, load_movie

if TYPE_CHECKING:
    from frameperfect.machine import Machine


@dataclass(frozen=True)
class Verdict:
    """What a replay showed. True where memory matched at every checkpoint; as text, one line that says it."""

    path: Path
    matched: bool
    text: str
    frames: int = 0
    """Frames played."""
    checkpoints: int = 0
    """Memory hashes that matched."""
    frames_per_second: float = 0.0
    frame: int | None = None
    """The first checkpoint that differs."""
    variable: str | None = None
    """The first variable that differs there, where the movie recorded them."""

    def __bool__(self) -> bool:
        return self.matched

    def __str__(self) -> str:
        return f"{self.path}: {self.text}"


def verify(
    path: str | os.PathLike[str],
    *,
    game: str | os.PathLike[str] | Game | None = None,
    core: str | None = None,
) -> Verdict:
    """Replay a movie in a fresh process.

    A run that begins at a start of its game is played from power-on where that start is a movie.

    Args:
        path: a movie, .fpm, .fm2 or .bk2; the latter two verify where they were exported from here.
        game: where the movie does not name one that is known here.
        core: instead of the one it was recorded with.

    Raises:
        MovieError: the movie can't be read, does not say its game, or needs what the machine lacks.
        UnknownGame, MissingRom, MissingComponent, MachineError: its machine can't be opened here.
        MachineCrashed: the emulator died.
    """
    path = Path(path)
    movie = load_movie(path)
    found = game_of(movie, game, path)
    if not movie.checkpoints:
        return Verdict(
            path, False, f"nothing to compare: its {movie.frames} frames come without checkpoints of memory; "
            "record it here, or replay it and save it anew"
        )  # fmt: skip
    reader, writer = os.pipe()
    place = found.folder if found.source in ("bundled", "user", "path") else None
    if place is not None and not (place / "game.toml").is_file():
        place = found.find_rom()  # a bare ROM: there is nothing else to know it by
    task = {"path": str(path), "game": str(place or found.name), "core": core, "answer": writer}
    command = [sys.executable, "-c", "from frameperfect.game.proof import _child; _child()"]
    with os.fdopen(reader, "rb") as answer:
        try:
            child = subprocess.Popen(
                command, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, pass_fds=(writer,)
            )
        finally:
            os.close(writer)
        with child:
            assert child.stdin is not None
            child.stdin.write(json.dumps(task).encode())
            child.stdin.close()
            text = answer.read()
    if not text:
        raise MachineCrashed(f"{path}: the process that replayed it ended with status {child.returncode}")
    said = json.loads(text)
    if "error" in said:
        raise getattr(errors, said["error"], FrameperfectError)(said["text"])
    return Verdict(path, **said)


def game_of(movie: Movie, game: str | os.PathLike[str] | Game | None, path: Path) -> Game:
    """The game that `movie` is a run of; raises as `verify` does."""
    if game is None and not movie.game:
        raise MovieError(f"{path}: it does not say which game it is for; name the game")
    return load_game(game if game is not None else movie.game)


def open_for(movie: Movie, game: Game, core: str | None = None) -> Machine:
    """The machine that plays `movie`, with the core and the options it was recorded with or with `core`."""
    from frameperfect.game import open as open_game

    if core is not None:
        return open_game(game, core=core)
    return open_game(game, core=movie.core or None, options=movie.options)


# -- the fresh process -------------------------------------------------------------------------------------


def _child() -> None:
    task = json.loads(sys.stdin.buffer.read())
    with os.fdopen(task["answer"], "w") as answer:
        try:
            said = _replay(Path(task["path"]), task["game"], task["core"])
        except FrameperfectError as error:
            said = {"error": type(error).__name__, "text": str(error)}
        json.dump(said, answer)


def _replay(path: Path, name: str, core: str | None) -> dict[str, Any]:
    movie, game = load_movie(path), load_game(name)
    with open_for(movie, game, core) as machine:
        begun = time.perf_counter()
        here, frames = str(machine.fingerprint), movie.frames
        if isinstance(movie.start, str) and movie.start in game.start and game.start[movie.start].movie:
            lead = from_power_on(
                movie.cut(0), game
            )  # not from the cache of starts: nothing is taken on trust
            lead.check(machine)
            movie, frames = replace(movie, start=machine.save()), frames + lead.frames
        try:
            matched = movie.check(machine)
        except Desync as difference:
            at = difference.frame
            return {
                "matched": False, "text": str(difference), "frames": at, "frame": at,
                "variable": difference.variable,
            }  # fmt: skip
        speed = frames / max(time.perf_counter() - begun, 1e-9)
    by = here if here == movie.fingerprint else f"{here}, recorded with {movie.fingerprint or '?'}"
    text = (
        f"matches: {movie.frames} frames, {matched} checkpoint{'s' if matched != 1 else ''}; "
        f"replayed in a fresh process by {by} at {speed:,.0f} frames/s"
    )
    return {
        "matched": True, "text": text, "frames": movie.frames, "checkpoints": matched,
        "frames_per_second": speed,
    }  # fmt: skip
