"""`compare`: runs beside each other, or as ghosts of each other, in one video."""

from __future__ import annotations

import contextlib
import functools
import itertools
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from frameperfect.cli.app import Refused, app, console, example, say
from frameperfect.cli.film import HudOption, OverlayOption, ShowOption, panel_names
from frameperfect.cli.movies import CoreOption, GameOption

if TYPE_CHECKING:
    from frameperfect.machine import Machine
    from frameperfect.movie import Movie
    from frameperfect.view.comparison import Difference, Runner
    from frameperfect.view.trace import Trace

MOST = 9


@app.command(
    epilog=example(
        "compare best.fpm mine.fpm --out race.mp4",
        "compare best.fpm mine.fpm --ghost --out ghost.mp4",
        "compare runs/a/best.fpm runs/b/best.fpm runs/c/best.fpm --by score --out race.mp4",
    )
)
def compare(
    movies: Annotated[list[Path], typer.Argument(metavar="MOVIE...", help="Two movies or more.")],
    out: Annotated[Path, typer.Option(help="The video: .mp4, .gif, or .png for a sheet of pictures.")],
    ghost: Annotated[
        bool,
        typer.Option("--ghost", help="One picture: the others half transparent in the first's world."),
    ] = False,
    by: Annotated[
        str | None,
        typer.Option(
            metavar="WHAT",
            help="What the strip shows the difference of: time, reward, or a variable. Without it, time "
            "in a world that scrolls, where the game names the player's place; else the reward.",
        ),
    ] = None,
    hud: HudOption = True,
    show: ShowOption = None,
    overlay: OverlayOption = None,
    seconds: Annotated[
        float | None, typer.Option(min=0.01, help="Only the first seconds of the game.")
    ] = None,
    game: GameOption = None,
    core: CoreOption = None,
) -> None:
    """Make a video of two runs or more, side by side or as ghosts, with the difference between them."""
    from frameperfect.cli.play import open_for
    from frameperfect.movie import load_movie
    from frameperfect.view.comparison import ghosts, side_by_side
    from frameperfect.view.overlay import check_names
    from frameperfect.view.progress import ProgressLine
    from frameperfect.view.video import check_format, write_pictures

    if not 2 <= len(movies) <= MOST:
        raise Refused(f"{len(movies)} movie{'s' * (len(movies) != 1)}; name two to {MOST} to compare")
    check_format(out)
    check_names(overlay or ())
    runs = [load_movie(path) for path in movies]
    if seconds:
        runs = [run.cut(round(seconds * run.frame_rate)) for run in runs]
    for path, run in zip(movies, runs, strict=True):
        if not run.frames:
            raise Refused(f"{path} has no frame to compare")
    if ghost and len({run.game for run in runs}) > 1 and game is None:
        named = ", ".join(sorted({run.game or "?" for run in runs}))
        raise Refused(f"ghosts need runs of one game, and these are of {named}; leave --ghost out")
    opened = [
        functools.partial(open_for, run, path, game, core) for run, path in zip(runs, movies, strict=True)
    ]
    traces, difference = _measure(runs, opened, by)
    # Machines of their own for the pictures: a state need not bring back what a core keeps beside it.
    with contextlib.ExitStack() as stack:
        machines = [stack.enter_context(opens()) for opens in opened]
        runners = _runners(movies, runs, machines, traces, hud, show, overlay or (), ghost)
        frames, rate = max(run.frames for run in runs), runs[0].frame_rate
        if ghost:
            view = machines[0].game.view
            places = None if view.trail is None else (view.trail, view.camera)
            pictures = ghosts(runners, places, difference, frames, rate, view.scene or ())
        else:
            pictures = side_by_side(runners, difference, frames, rate)
        if out.suffix.lower() == ".png":
            pictures = itertools.islice(pictures, frames)  # a sheet needs no end to rest on
        with ProgressLine(console(), "video") as line:

            def counted() -> Iterator[object]:
                for done, picture in enumerate(pictures, 1):
                    yield picture
                    line.update(done / frames, f"{min(done, frames)} of {frames} frames")

            write_pictures(counted(), out, rate)  # type: ignore[arg-type]
    for runner in runners:
        say(f"{runner.label}  {runner.verdict}")
    print(f"{out}: {len(runs)} runs, {frames} frames, {frames / rate:.1f} s")


def _measure(
    runs: Sequence[Movie], opened: Sequence[Callable[[], Machine]], by: str | None
) -> tuple[list[Trace], Difference | None]:
    """Replay all runs without pictures: when they finish, and how they differ."""
    import numpy as np

    from frameperfect.view.comparison import Difference
    from frameperfect.view.progress import ProgressLine
    from frameperfect.view.trace import along, time_behind, trace

    traces: list[Trace] = []
    variable: str | None = None
    with ProgressLine(console(), "replay") as line:
        for place, (run, opens) in enumerate(zip(runs, opened, strict=True)):
            with opens() as machine:
                if not place:
                    by, variable = _measured(machine, by)
                traces.append(trace(run, machine, variable))
            line.update((place + 1) / len(runs), f"{place + 1} of {len(runs)} movies")
    curves = [each.totals if each.values is None else each.values for each in traces]
    if by == "reward" and not any(curve.any() for curve in curves):
        return traces, None
    if by == "time":
        rate = runs[0].frame_rate
        first, *others = along(traces)
        behind = [time_behind(first, other) / rate for other in others]
        return traces, Difference("seconds behind A", behind, "s")
    series = []
    for other in curves[1:]:
        # Who is over keeps what it had.
        length = max(len(other), len(curves[0]))
        padded = [np.pad(curve, (0, length - len(curve)), mode="edge") for curve in (other, curves[0])]
        series.append(padded[0] - padded[1])
    return traces, Difference(f"{by}: more than A", series)


def _measured(machine: Machine, by: str | None) -> tuple[str, str | None]:
    """What is compared, and the variable that it needs."""
    game = machine.game
    trail = game.view.trail if game is not None else None
    # In a world that is one screen, the place is no way that one has come.
    by = by or ("time" if trail and game.view.camera else "reward")
    if by == "reward":
        return by, None
    if by != "time":
        return by, by
    if trail is None:
        raise Refused(
            f"{game.where if game is not None else 'this program'}: the difference of time needs "
            '[view] trail = ["x", "y"], which says where the player is; or name a variable by --by'
        )
    return by, trail[0]


def _runners(
    paths: Sequence[Path],
    runs: Sequence[Movie],
    machines: Sequence[Machine],
    traces: Sequence[Trace],
    hud: bool,
    show: Sequence[str] | None,
    overlays: Sequence[str],
    ghost: bool,
) -> list[Runner]:
    from frameperfect.machine import Capability
    from frameperfect.view.comparison import MOST_WIDTH, Runner, columns_for, labelled
    from frameperfect.view.overlay import make_overlays
    from frameperfect.view.video import Composer, movie_shots

    stems = [path.stem for path in paths]
    labels = [
        path.stem if stems.count(path.stem) == 1 else f"{path.parent.name}/{path.stem}" for path in paths
    ]
    columns = 1 if ghost else columns_for(len(runs))
    runners = []
    for label, run, machine, result in zip(labels, runs, machines, traces, strict=True):
        machine.require(Capability.SCREEN)
        composer = Composer(
            panel_names(machine, show) if hud else None,
            make_overlays(overlays, machine, show),
            most_width=MOST_WIDTH // columns,
        )
        seconds = run.seconds if result.seconds is None else result.seconds
        finished = result.finish is not None
        runners.append(Runner(label, movie_shots(run, machine, run.author), composer, seconds, finished))
    labelled(runners)
    return runners
