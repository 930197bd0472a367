"""`watch` and `record`: a run to look at, and a run to keep."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from frameperfect.cli.app import Refused, app, console, example
from frameperfect.cli.film import HudOption, OverlayOption, ShowOption
from frameperfect.cli.movies import MOVIE_FORMATS, print_replay

if TYPE_CHECKING:
    from frameperfect.movie import Movie

SeedOption = Annotated[int, typer.Option(help="Of the environment and the player.")]
StickyOption = Annotated[
    float | None, typer.Option(min=0, max=1, help="Chance that a frame repeats the inputs before it.")
]


@app.command(
    epilog=example(
        "watch best.fpm", "watch runs/my-run --out agent.mp4", "watch Airstriker-Genesis --seconds 20"
    )
)
def watch(
    what: Annotated[
        str, typer.Argument(help="A movie, a run's folder (its agent plays), or a game (random play).")
    ],
    out: Annotated[
        Path | None, typer.Option(help="The video: .mp4, .gif, or .png for a sheet of pictures.")
    ] = None,
    text: Annotated[
        bool, typer.Option("--text", help="No video: a line of inputs and variables a second.")
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
) -> None:
    """Make a video of a movie, of an agent, or of random play, with inputs and variables."""
    from frameperfect.cli.film import film
    from frameperfect.cli.play import open_for
    from frameperfect.view.overlay import check_names
    from frameperfect.view.video import check_format

    target = out or Path(f"{Path(what).stem or 'run'}.mp4")
    if not text:
        check_format(target)
    check_names(overlay or ())
    movie, film_of = _movie_of(what, seconds, seed, sticky, core)
    frames = min(movie.frames, round(seconds * movie.frame_rate)) if seconds else movie.frames
    if text:
        with open_for(movie, what, game or film_of["game"], core) as machine:
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
    core: Annotated[str | None, typer.Option(help="Another core than the game's own.")] = None,
) -> None:
    """Record an agent or a random player as a movie; the best of several episodes by its return."""
    from frameperfect.cli.play import play_best, subject
    from frameperfect.game import from_power_on
    from frameperfect.movie import save_movie
    from frameperfect.view.progress import ProgressLine

    if out.suffix.lower() not in MOVIE_FORMATS:
        raise Refused(f"{out}: '{out.suffix}' is no movie format; use one of {', '.join(MOVIE_FORMATS)}")
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
