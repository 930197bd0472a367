"""`board`: the leaderboard of a game. Every movie on it was replayed in a fresh process."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from frameperfect.cli.app import Failed, Refused, app, console, example, say
from frameperfect.cli.env_options import GameArgument
from frameperfect.cli.movies import MOVIE_FORMATS
from frameperfect.cli.proven import Proven, digest_of, prove, recall
from frameperfect.cli.runs import CONFIG, RUNS, read_run
from frameperfect.errors import FrameperfectError

if TYPE_CHECKING:
    from frameperfect.game import Game


ADDED = "added"
"""The method of a movie that came by --add."""


@dataclass(frozen=True)
class Candidate:
    """A movie that may stand on the board: who or what found it, and what that cost."""

    path: Path
    name: str
    by: str
    method: str
    cost: float | None = None
    """Seconds of training or search."""


@app.command(
    epilog=example("board Airstriker-Genesis", "board Airstriker-Genesis --add mine.fpm --by 'my name'")
)
def board(
    game: GameArgument,
    add: Annotated[
        Path | None, typer.Option(metavar="MOVIE", help="Verify a movie in a fresh process, and put it on.")
    ] = None,
    by: Annotated[str | None, typer.Option(metavar="NAME", help="Who found the added movie.")] = None,
    start: Annotated[str | None, typer.Option(help="Only the runs from this start.")] = None,
    again: Annotated[bool, typer.Option("--again", help="Replay every movie anew.")] = False,
    runs: Annotated[Path, typer.Option(help="The folder that trained runs lie in.")] = RUNS,
) -> None:
    """Show a game's leaderboard: verified movies of runs/ and of your own, by time, else by score.

    The time is that of the game's own clock where the run reaches its goal. A movie is replayed once, in a
    fresh process; what that showed is kept by the hash of its bytes.
    """
    from frameperfect.game import load_game

    found = load_game(game)
    if add is not None:
        _add(found, game, add, by)
    elif by is not None:
        say("--by names who found the movie that --add adds; without --add it does nothing")
    _show(found, _rows(found, game, runs, again), start)


# -- adding ------------------------------------------------------------------------------------------------


def board_folder(game: Game) -> Path:
    """Where the user's own movies of a game lie."""
    from frameperfect.game import folders

    return folders.home() / "board" / game.name


def _add(game: Game, reference: str, path: Path, by: str | None) -> None:
    """Verify a movie and copy it to the board; refused, nothing is added.

    Raises:
        Failed: it does not replay, or it is of another game.
    """
    from frameperfect.game.folders import write_whole
    from frameperfect.movie import load_movie

    movie = load_movie(path)
    if movie.game and movie.game != game.name:
        raise Failed(f"{path} is a run of {movie.game}, not of {game.name}; it is not added")
    proven = prove(path, reference)
    if not proven.matched:
        raise Failed(f"{path} is not added: {proven.text}")
    folder = board_folder(game)
    kept = folder / f"{proven.digest[:16]}{path.suffix.lower()}"
    facts = {"by": by or movie.author, "added": time.strftime("%Y-%m-%d %H:%M"), "file": path.name}
    write_whole(kept, path.read_bytes())
    write_whole(_note(kept), (json.dumps(facts, indent=2) + "\n").encode())
    say(f"added {path}: {proven.text}")


def _note(movie: Path) -> Path:
    return movie.with_name(movie.name + ".json")


# -- finding -----------------------------------------------------------------------------------------------


def _candidates(game: Game, runs: Path) -> Iterator[Candidate]:
    """The user's own movies, then those of trained runs and their searches."""
    own = board_folder(game)
    if own.is_dir():
        for path in sorted(own.iterdir()):
            if path.suffix.lower() in MOVIE_FORMATS:
                facts = _read(_note(path))
                name, by = facts.get("file") or path.name, facts.get("by") or "unnamed"
                yield Candidate(path, str(name), str(by), ADDED)
    if not runs.is_dir():
        return
    for folder in sorted(config.parent for config in runs.rglob(CONFIG)):
        try:
            settings = read_run(folder)
        except Refused as damaged:
            say(f"left out: {damaged}")
            continue
        if settings.game not in (game.name, str(game.folder)):
            continue
        name = str(folder.relative_to(runs))
        if (folder / "best.fpm").is_file():
            yield Candidate(
                folder / "best.fpm", f"{name}/best.fpm", name, settings.algo, _training_seconds(folder)
            )
        if (folder / "brute.fpm").is_file():
            brute = _read(folder / "evaluation.json").get("brute") or {}
            yield Candidate(
                folder / "brute.fpm", f"{name}/brute.fpm", name, "The Brute", brute.get("seconds")
            )


def _training_seconds(folder: Path) -> float | None:
    from frameperfect.cli.runs import summary

    return summary(folder).seconds


def _read(path: Path) -> dict[str, Any]:
    """A note; empty where there is none, or it is damaged."""
    try:
        found = json.loads(path.read_text("utf-8"))
    except (FileNotFoundError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def _rows(game: Game, reference: str, runs: Path, again: bool) -> list[tuple[Candidate, Proven]]:
    """Each movie once, with what its replay showed; those that were never replayed are replayed now."""
    from frameperfect.view.progress import ProgressLine

    movies: dict[str, Candidate] = {}
    for candidate in _candidates(game, runs):
        digest = digest_of(candidate.path)
        first = movies.setdefault(digest, candidate)
        if first.method == ADDED and candidate is not first:
            # A run's movie that somebody added has their name, and the run's method and cost.
            movies[digest] = replace(candidate, by=first.by)
    candidates = [(each, None if again else recall(each.path)) for each in movies.values()]
    rows, missing = [], sum(known is None for _, known in candidates)
    if not missing:
        return [(candidate, known) for candidate, known in candidates if known is not None]
    with ProgressLine(console(), "replay") as line:
        for candidate, known in candidates:
            if known is None:
                try:
                    known = prove(candidate.path, reference)
                except FrameperfectError as failure:
                    say(f"left out: {candidate.path}: {failure}")
                missing -= 1
                line.update(1 - missing / len(candidates), f"{missing} left")
            if known is not None:
                rows.append((candidate, known))
    return rows


# -- showing -----------------------------------------------------------------------------------------------


def _show(game: Game, rows: list[tuple[Candidate, Proven]], only: str | None) -> None:
    from rich.box import SIMPLE_HEAD
    from rich.table import Table

    verified = [(candidate, proven) for candidate, proven in rows if proven.matched]
    starts = sorted({proven.start for _, proven in verified if only in (None, proven.start)})
    for start in starts:
        table = Table(box=SIMPLE_HEAD, pad_edge=False, title=f"{game.name}, {start}", title_justify="left")
        for name in ("rank", "time", "score"):
            table.add_column(name, justify="right")
        for name in ("by", "method", "found in", "verified", "movie"):
            table.add_column(name, overflow="fold")
        ranked = sorted((row for row in verified if row[1].start == start), key=_rank)
        for place, (candidate, proven) in enumerate(ranked, 1):
            table.add_row(*_cells(place, candidate, proven))
        console().print(table)
    if not starts:
        where = f" from {only}" if only is not None else ""
        say(
            f"no verified movie of {game.name}{where} yet; `frameperfect train` and `eval` make one, "
            f"and `frameperfect board {game.name} --add MOVIE` adds yours"
        )
    for candidate, proven in rows:
        if not proven.matched:
            say(f"not on the board: {candidate.path}: {proven.text}")


def _cells(place: int, candidate: Candidate, proven: Proven) -> tuple[str, ...]:
    from frameperfect.view.overlay import clock_text
    from frameperfect.view.progress import clock

    return (
        str(place), "-" if proven.seconds is None else clock_text(proven.seconds), f"{proven.score:g}",
        candidate.by, candidate.method, "-" if candidate.cost is None else clock(candidate.cost),
        f"yes, {proven.frames:,} frames", candidate.name,
    )  # fmt: skip


def _rank(row: tuple[Candidate, Proven]) -> tuple[bool, float, float, int]:
    """Those that reached the goal first, the fastest before; the others by score, then the shorter."""
    proven = row[1]
    return proven.seconds is None, proven.seconds or 0.0, -proven.score, proven.frames
