"""A movie as a video, or one frame of it as a picture; `watch` and `eval` make theirs here."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from frameperfect.cli.app import Refused, app, console, example
from frameperfect.cli.movies import CoreOption, GameOption, MoviePath

if TYPE_CHECKING:
    from frameperfect.machine import Machine
    from frameperfect.movie import Movie
    from frameperfect.view.video import Chances

OverlayOption = Annotated[
    list[str] | None,
    typer.Option(
        "--overlay",
        metavar="NAME",
        help="Draw inputs, variables, reward, probabilities or trail; several by repeating it.",
    ),
]
HudOption = Annotated[bool, typer.Option(help="Show inputs and variables beneath the picture.")]
ShowOption = Annotated[
    list[str] | None,
    typer.Option(help="A variable to show instead of the game's own choice; several by repeating it."),
]


def film(
    movie: Movie,
    path: Path,
    game: str | None,
    caption: str,
    *,
    frames: int | None = None,
    core: str | None = None,
    show: Sequence[str] | None = None,
    hud: bool = True,
    overlays: Sequence[str] = (),
    every: int = 1,
    chances: Chances | None = None,
) -> None:
    """Replay `movie` and write its (first) frames as a video, with a progress bar.

    `show` names variables instead of the game's choice, `overlays` what is drawn on the picture. The rules
    are evaluated every `every` frames; `chances` are those of an agent's actions at these steps.
    """
    from frameperfect.cli.play import open_for
    from frameperfect.view.overlay import make_overlays
    from frameperfect.view.progress import ProgressLine
    from frameperfect.view.video import Shot, movie_shots, record_video

    count = movie.frames if frames is None else min(frames, movie.frames)
    with open_for(movie, path, game, core) as machine, ProgressLine(console(), "video") as line:
        names = panel_names(machine, show)
        drawn = make_overlays(overlays, machine, show)

        def shots() -> Iterator[Shot]:
            for shot in itertools.islice(
                movie_shots(movie, machine, caption, every=every, chances=chances), count
            ):
                yield shot
                line.update(shot.scene.frame / count, f"{shot.scene.frame} of {count} frames")

        record_video(shots(), path, movie.frame_rate, hud=names if hud else None, overlays=drawn)


def panel_names(machine: Machine, show: Sequence[str] | None) -> list[str]:
    """The variables that the panel shows: those asked for, else the game's choice.

    Raises:
        GameError: the game has no such variable or definition.
    """
    from frameperfect.errors import GameError
    from frameperfect.game.suggest import did_you_mean
    from frameperfect.view.overlay import shown_names

    if show is None:
        return shown_names(machine)
    known = [*machine.variables, *(machine.game.define if machine.game is not None else ())]
    for name in show:
        if name not in known:
            hint = did_you_mean(name, known) or f" It has {', '.join(known) or 'none'}."
            raise GameError(f"no variable '{name}' in this game's memory map.{hint}")
    return list(show)


@app.command(epilog=example("screenshot best.fpm --frame 500 --overlay inputs --out shot.png"))
def screenshot(
    movie: MoviePath,
    out: Annotated[Path, typer.Option(help="The picture, .png.")],
    frame: Annotated[int | None, typer.Option(min=1, help="After so many frames; the last one's.")] = None,
    hud: HudOption = True,
    show: ShowOption = None,
    overlay: OverlayOption = None,
    factor: Annotated[
        int | None, typer.Option(min=1, max=16, help="Enlarge by so much; otherwise to 400 lines or more.")
    ] = None,
    game: GameOption = None,
    core: CoreOption = None,
) -> None:
    """Make a picture of one frame of a movie, with inputs, variables and overlays as in a video."""
    from frameperfect.cli.play import open_for
    from frameperfect.movie import load_movie
    from frameperfect.view.overlay import check_names
    from frameperfect.view.video import check_format

    check_format(out, (".png",))
    check_names(overlay or ())
    run = load_movie(movie)
    last = run.frames if frame is None else frame
    if not 1 <= last <= run.frames:
        raise Refused(f"{movie} has {run.frames} frames; name a --frame up to that")
    with open_for(run, movie, game, core) as machine:
        names = panel_names(machine, show) if hud else None
        _take(run, machine, last, out, names, overlay or (), show, factor)
    print(f"{out}: frame {last} of {run.frames}")


def _take(
    run: Movie,
    machine: Machine,
    last: int,
    out: Path,
    hud: Sequence[str] | None,
    overlays: Sequence[str],
    show: Sequence[str] | None,
    factor: int | None,
) -> None:
    """Write the picture after `last` frames."""
    import numpy as np

    from frameperfect.view.overlay import Canvas, draw, make_overlays
    from frameperfect.view.video import Composer, movie_shots, write_picture

    drawn = make_overlays(overlays, machine, show)
    # Overlays remember earlier frames (a trail, a sum), so they see all of them; where, does not matter.
    unseen = Canvas(np.zeros((1, 1, 3), np.uint8))
    for shot in movie_shots(run, machine, run.game):
        if shot.scene.frame == last:
            write_picture(Composer(hud, drawn, factor).picture(shot), out)
            return
        draw(drawn, unseen, shot.scene)
