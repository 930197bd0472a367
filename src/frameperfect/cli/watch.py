"""`watch` and `record`: a run to look at, and a run to keep."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from frameperfect.cli.app import Refused, app, console, example, may_replace
from frameperfect.cli.env_options import CoreOption
from frameperfect.cli.film import HudOption, OverlayOption, ShowOption
from frameperfect.cli.keys import own_keys
from frameperfect.cli.movies import MOVIE_FORMATS, print_replay

if TYPE_CHECKING:
    from frameperfect.movie import Movie

SeedOption = Annotated[int, typer.Option(help="Of the environment and the player.")]
StickyOption = Annotated[
    float | None, typer.Option(min=0, max=1, help="Chance that a frame repeats the inputs before it.")
]

WATCH_BUDGET = 64 << 20
"""Bytes of states for going back, of all runs in a window together."""


@app.command(
    epilog=example(
        "watch best.fpm",
        "watch best.fpm runs/my-run --seconds 20",
        "watch runs/my-run --overlay probabilities --out agent.mp4",
    )
)
def watch(
    what: Annotated[
        list[str],
        typer.Argument(
            metavar="WHAT...",
            help="A movie, a run's folder (its agent plays), or a game (random play); several side by side.",
        ),
    ],
    out: Annotated[
        Path | None,
        typer.Option(help="A video instead of the window: .mp4, .gif, or .png for a sheet of pictures."),
    ] = None,
    text: Annotated[
        bool, typer.Option("--text", help="No pictures: a line of inputs and variables a second.")
    ] = False,
    hud: HudOption = True,
    show: ShowOption = None,
    overlay: OverlayOption = None,
    seconds: Annotated[
        float | None, typer.Option(min=0.01, help="Only the first seconds of the game.")
    ] = None,
    seed: SeedOption = 0,
    sticky: StickyOption = None,
    game: Annotated[str | None, typer.Option(help="The game of a movie that names none.")] = None,
    core: Annotated[str | None, typer.Option(help="Another core than the recorded one.")] = None,
    scale: Annotated[
        int | None, typer.Option(min=1, max=16, help="Enlarge by so much in the window.")
    ] = None,
    keys: Annotated[
        Path | None, typer.Option(help="A TOML file of keys, instead of those of `frameperfect keys`.")
    ] = None,
) -> None:
    """Show movies, agents, or random play in a window, or make a video of one.

    Without a display, and without --out, a video is written. F1 in the window lists the keys: pause, single
    frames, slow motion, rewind.
    """
    from frameperfect.cli.film import film
    from frameperfect.cli.play import open_for
    from frameperfect.view.overlay import check_names
    from frameperfect.view.video import check_format
    from frameperfect.view.window import has_display

    windowed = not text and out is None and has_display()
    if len(what) > 1 and not windowed:
        raise Refused(
            "several runs are shown in a window only, and there is none here; "
            "`frameperfect compare` puts movies side by side in a video"
        )
    check_names(overlay or ())
    if windowed:
        _in_window(what, seconds, seed, sticky, game, core, hud, show, overlay or [], scale, keys)
        return
    target = out or Path(f"{Path(what[0]).stem or 'run'}.mp4")
    if not text:
        check_format(target)
        if out is None:
            print(f"no display to open a window on: the video goes to {target}")
    movie, film_of = _movie_of(what[0], seconds, seed, sticky, core)
    frames = min(movie.frames, round(seconds * movie.frame_rate)) if seconds else movie.frames
    if text:
        with open_for(movie, what[0], game or film_of["game"], core) as machine:
            print_replay(movie, machine, show, round(movie.frame_rate), frames)
        return
    film_of["game"] = game or film_of["game"]
    film(movie, target, **film_of, frames=frames, core=core, show=show, hud=hud, overlays=overlay or ())
    print(f"{target}: {frames} frames, {frames / movie.frame_rate:.1f} s of {movie.game or 'the game'}")


@app.command(
    epilog=example(
        "record Airstriker-Genesis --random --out random.bk2", "record runs/my-run --out agent.fpm"
    )
)
def record(
    what: Annotated[str, typer.Argument(help="A game, or a run's folder (its agent plays).")],
    out: Annotated[Path, typer.Option(help="The movie: .fpm, .fm2 or .bk2.")],
    random: Annotated[
        bool, typer.Option("--random", help="A random player (the default for a game).")
    ] = False,
    episodes: Annotated[int, typer.Option(min=1, help="Play so many and keep the best.")] = 1,
    seconds: Annotated[
        float | None, typer.Option(min=0.01, help="Cut episodes after so many of the game.")
    ] = None,
    seed: SeedOption = 0,
    sticky: StickyOption = None,
    core: CoreOption = None,
    force: Annotated[bool, typer.Option("--force", help="Replace what --out names.")] = False,
) -> None:
    """Record an agent or a random player as a movie; the best of several episodes by its return."""
    from frameperfect.cli.play import play_best, subject
    from frameperfect.game import from_power_on
    from frameperfect.movie import save_movie
    from frameperfect.view.progress import ProgressLine

    if out.suffix.lower() not in MOVIE_FORMATS:
        raise Refused(f"{out}: '{out.suffix}' is no movie format; use one of {', '.join(MOVIE_FORMATS)}")
    may_replace(out, force)
    who = subject(what, random)
    with ProgressLine(console(), "record") as line:
        movie, score, _ = play_best(
            who,
            episodes=episodes,
            seconds=seconds,
            seed=seed,
            sticky=sticky,
            core=core,
            progress=lambda done, best: line.update(done / episodes, f"{done} of {episodes}  best {best:g}"),
        )
    save_movie(movie if out.suffix.lower() == ".fpm" else from_power_on(movie, who.game), out)
    print(f"{out}: {movie.frames} frames, {movie.seconds:.1f} s of {movie.game}, return {score:g}")


def _movie_of(
    what: str, seconds: float | None, seed: int, sticky: float | None, core: str | None
) -> tuple[Movie, dict[str, Any]]:
    """The movie that `what` is or plays, and what `film` needs to know of it."""
    from frameperfect.cli.play import play_best, subject
    from frameperfect.movie import load_movie

    path = Path(what)
    if path.suffix.lower() in MOVIE_FORMATS:
        movie = load_movie(path)
        return movie, {"game": None, "caption": movie.game}
    who = subject(what)
    movie, score, chances = play_best(who, seconds=seconds, seed=seed, sticky=sticky, core=core)
    player = "random" if who.run is None else who.run.name
    caption = f"{movie.game}  {player}  return {score:g}"
    every = int(who.env.get("frame_skip", 1))
    return movie, {"game": who.game, "caption": caption, "every": every, "chances": chances}


def _in_window(
    what: Sequence[str],
    seconds: float | None,
    seed: int,
    sticky: float | None,
    game: str | None,
    core: str | None,
    hud: bool,
    show: Sequence[str] | None,
    overlays: Sequence[str],
    scale: int | None,
    keys: Path | None,
) -> None:
    """Show runs in one window, a tile each, until it is closed."""
    from frameperfect.cli.film import panel_names
    from frameperfect.cli.play import open_for
    from frameperfect.movie import Session
    from frameperfect.view.overlay import make_overlays
    from frameperfect.view.window import Bindings, Controls, Player, Tile, display

    with display() as pygame, ExitStack() as machines:
        tiles = []
        for one in what:
            movie, told = _movie_of(one, seconds, seed, sticky, core)
            if seconds:
                movie = movie.cut(round(seconds * movie.frame_rate))
            machine = machines.enter_context(open_for(movie, one, game or told["game"], core))
            is_movie = Path(one).suffix.lower() in MOVIE_FORMATS
            tiles.append(
                Tile(
                    Session(machine, movie=movie, budget=WATCH_BUDGET // len(what)),
                    caption=Path(one).name if is_movie and len(what) > 1 else told["caption"],
                    names=panel_names(machine, show),
                    overlays=make_overlays(overlays, machine, show),
                    chances=told.get("chances"),
                    every=told.get("every", 1),
                )
            )
        controllers = tiles[0].session.machine.controllers
        keys = keys or own_keys(tiles[0].session.machine)
        player = Player(
            pygame,
            tiles,
            Controls(pygame, Bindings(controllers, keys), controllers),
            title=f"frameperfect watch {' '.join(what)}",
            scale=scale,
            panel=hud,
            name=Path(what[0]).stem or "run",
        )
        player.run()
