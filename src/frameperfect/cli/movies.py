"""`replay`, `verify`, `convert`: what can be done with a run that exists."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from frameperfect.cli.app import Failed, app, example

if TYPE_CHECKING:
    from frameperfect.machine import Machine
    from frameperfect.movie import Movie

MOVIE_FORMATS = (".fpm", ".fm2", ".bk2")

MoviePath = Annotated[Path, typer.Argument(metavar="MOVIE", help="A movie: .fpm, .fm2 or .bk2.")]
GameOption = Annotated[
    str | None, typer.Option("--game", help="The game, where the movie does not name one that is known here.")
]
CoreOption = Annotated[
    str | None, typer.Option("--core", help="Play with this core instead of the recorded one.")
]


@app.command(epilog=example("verify best.fpm", "verify best.fpm best.bk2"))
def verify(
    movies: Annotated[list[Path], typer.Argument(metavar="MOVIE...", help="Movies: .fpm, .fm2 or .bk2.")],
    game: GameOption = None,
    core: CoreOption = None,
) -> None:
    """Replay movies in a fresh process each, and say whether memory was the recorded one throughout.

    Ends with 1 if a movie does not replay.
    """
    from frameperfect.game import verify as replay_in_fresh_process

    failed = 0
    for path in movies:
        verdict = replay_in_fresh_process(path, game=game, core=core)
        print(verdict)
        failed += not verdict
    if failed:
        raise Failed(
            f"{failed} of {len(movies)} movies did not replay" if len(movies) > 1 else "it did not replay"
        )


@app.command(epilog=example("replay best.fpm --watch score --watch lives --every 60"))
def replay(
    movie: MoviePath,
    game: GameOption = None,
    core: CoreOption = None,
    watch: Annotated[
        list[str] | None,
        typer.Option("--watch", help="A variable to print; several by repeating the option."),
    ] = None,
    every: Annotated[int, typer.Option(min=1, help="Frames between two printed lines.")] = 60,
    until: Annotated[int | None, typer.Option(min=1, help="Stop after this frame.")] = None,
) -> None:
    """Replay a movie in this process and print inputs and variables as it goes.

    Stops with an error at the first checkpoint where memory differs.
    """
    from frameperfect.cli.play import open_for
    from frameperfect.movie import load_movie

    run = load_movie(movie)
    with open_for(run, movie, game, core) as machine:
        frames = print_replay(run, machine, watch, every, until)
    checked = sum(frame <= frames for frame, _ in run.checkpoints)
    compared = f"{checked} checkpoints equal" if run.checkpoints else "no checkpoints to compare with"
    print(f"{movie}: {frames} of {run.frames} frames, {compared}")


@app.command(epilog=example("convert best.fpm best.bk2"))
def convert(
    source: Annotated[Path, typer.Argument(metavar="FROM", help="A movie: .fpm, .fm2 or .bk2.")],
    target: Annotated[Path, typer.Argument(metavar="TO", help="The new file; its suffix says the format.")],
    game: GameOption = None,
) -> None:
    """Write a movie in another format.

    A run that begins at a start of its game becomes one from power-on where the format has no such starts.
    """
    from frameperfect.game import from_power_on
    from frameperfect.movie import load_movie, save_movie

    movie = load_movie(source)
    if target.suffix.lower() != ".fpm":
        movie = from_power_on(movie, game)
    save_movie(movie, target)
    print(f"{target}: {movie.frames} frames of {movie.game or 'an unnamed game'}")


def print_replay(
    movie: Movie, machine: Machine, watched: Sequence[str] | None, every: int, until: int | None = None
) -> int:
    """Replay `movie` and print variables and held buttons every so many frames; returns the frames played."""
    names = list(machine.variables) if watched is None else watched
    last = min(until or movie.frames, movie.frames)
    for frame in movie.replay(machine):
        if frame == 1 or frame % every == 0 or frame == last:
            values = "  ".join(f"{name}={machine.read(name)}" for name in names)
            ports = zip(movie.controllers, movie.inputs[frame - 1], strict=True)
            held = " | ".join(controller.names(int(mask)) for controller, mask in ports).strip(" |")
            print(f"{frame:>7}  {values}  [{held}]")
        if frame == last:
            break
    return last
