"""`play`: a person at the controls."""

from __future__ import annotations

import shlex
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from glob import escape
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from frameperfect.cli.app import Interrupted, Refused, app, example, may_replace
from frameperfect.cli.env_options import CoreOption
from frameperfect.cli.film import OverlayOption, ShowOption, panel_names
from frameperfect.cli.keys import own_keys
from frameperfect.cli.movies import MOVIE_FORMATS

if TYPE_CHECKING:
    from frameperfect.machine import Machine
    from frameperfect.movie import Movie
    from frameperfect.view.window import Player, Recording

POWER_ON = "power-on"
STOPS = [signal.SIGINT, signal.SIGTERM, *([signal.SIGHUP] if hasattr(signal, "SIGHUP") else [])]
"""Ctrl-C, a request to end, and the terminal that is closed."""


@app.command(
    epilog=example(
        "play Airstriker-Genesis --out mine.fpm",
        "play Airstriker-Genesis --start power-on",
        "play --movie mine.fpm --from 600 --out better.fpm",
    )
)
def play(
    game: Annotated[
        str | None, typer.Argument(help="A game, a game.toml or a ROM; with --movie, the movie's own.")
    ] = None,
    start: Annotated[
        str | None,
        typer.Option(help="A start of the game (its own default one), 'power-on', or a file with a state."),
    ] = None,
    movie: Annotated[
        Path | None, typer.Option(help="A movie to replay and to take over: .fpm, .fm2 or .bk2.")
    ] = None,
    from_frame: Annotated[
        int | None, typer.Option("--from", min=0, help="Take the movie over at this frame.")
    ] = None,
    out: Annotated[Path | None, typer.Option(help="Record to this movie: .fpm, .fm2 or .bk2.")] = None,
    core: CoreOption = None,
    scale: Annotated[
        int | None, typer.Option(min=1, max=16, help="Enlarge by so much; otherwise as the desktop allows.")
    ] = None,
    overlay: OverlayOption = None,
    show: ShowOption = None,
    keys: Annotated[
        Path | None, typer.Option(help="A TOML file of keys, instead of those of `frameperfect keys`.")
    ] = None,
    show_keys: Annotated[
        bool, typer.Option("--show-keys", help="Print the keys, as a file for --keys, and end.")
    ] = False,
    author: Annotated[str, typer.Option(help="Who plays, for the movie.")] = "",
    memory: Annotated[int, typer.Option(min=1, help="MiB of states that are kept for rewinding.")] = 64,
    force: Annotated[bool, typer.Option("--force", help="Replace what --out names.")] = False,
) -> None:
    """Play a game in a window: rewind, slots, slow motion, and every frame recorded as a movie.

    F1 in the window lists the keys. The recording is written when the window closes; while it lasts, a copy
    of it is kept beside it, for the case that nothing can be written any more.
    """
    from frameperfect.view.overlay import check_names

    run = _load(movie, game, from_frame, start)
    check_names(overlay or ())
    if out is not None and not show_keys:
        _check_target(out, game, movie, force)
    with _machine(game, run, movie, core) as machine:
        keys = keys or own_keys(machine)
        if show_keys:
            from frameperfect.view.window import Bindings

            print(Bindings(machine.controllers, keys).to_toml(), end="")
            return
        if out is None:
            _tell_of_copies(machine.game.name, game, movie)
        with _player(machine, run, from_frame, start, out, scale, overlay, show, keys, author, memory) as (
            player,
            recording,
        ):
            _play(player, recording)


def _load(movie: Path | None, game: str | None, from_frame: int | None, start: str | None) -> Movie | None:
    from frameperfect.movie import load_movie

    if movie is None:
        if game is None:
            raise Refused("name a game, or a --movie; `frameperfect games` lists the games")
        if Path(game).suffix.lower() in MOVIE_FORMATS:
            raise Refused(f"{game} is a movie: say --movie {game}")
        if from_frame is not None:
            raise Refused("--from is a frame of a movie: name one with --movie")
        return None
    if start is not None:
        raise Refused("a movie has a start of its own: leave --start or --movie out")
    run = load_movie(movie)
    if from_frame is not None and from_frame > run.frames:
        raise Refused(f"{movie} has {run.frames} frames; name a --from up to that")
    return run


def _check_target(out: Path, game: str | None, movie: Path | None, force: bool) -> None:
    """Nothing that was recorded before is lost unasked: neither the movie nor what a cut-off one left."""
    from frameperfect.view.window.recording import autosave_path

    may_replace(out, force)
    copy = autosave_path(out)
    if copy.is_file() and not _same(copy, movie):
        may_replace(copy, force, f"holds a recording that was cut off{_how_to_go_on(copy, out, game)}")


def _tell_of_copies(name: str, game: str | None, movie: Path | None) -> None:
    """Recordings that were begun in the window and cut off."""
    from frameperfect.view.window.recording import AUTOSAVE

    for copy in sorted(Path().glob(f"{escape(name)}*{AUTOSAVE}")):
        if not _same(copy, movie):
            out = Path(copy.name.removesuffix(AUTOSAVE) + ".fpm")
            print(f"{copy} holds a recording that was cut off{_how_to_go_on(copy, out, game)}")


def _same(copy: Path, movie: Path | None) -> bool:
    return movie is not None and movie.exists() and copy.samefile(movie)


def _how_to_go_on(copy: Path, out: Path, game: str | None) -> str:
    """The command that takes it up where it ends; nothing for a file that is no movie."""
    from frameperfect.errors import MovieError
    from frameperfect.movie import load_movie

    try:
        frames = load_movie(copy).frames
    except MovieError:
        return ", and can't be read"
    words = ["frameperfect", "play", *([game] if game else []), "--movie", str(copy)]
    line = shlex.join([*words, "--from", str(frames), "--out", str(out)])
    return f" after {frames} frames (`{line}` goes on with it)"


def _machine(game: str | None, run: Movie | None, path: Path | None, core: str | None) -> Machine:
    from frameperfect.cli.play import open_for
    from frameperfect.game import open as open_game

    if run is not None:
        assert path is not None
        return open_for(run, path, game, core)
    assert game is not None
    return open_game(game, core=core)


@contextmanager
def _player(
    machine: Machine,
    run: Movie | None,
    from_frame: int | None,
    start: str | None,
    out: Path | None,
    scale: int | None,
    overlay: list[str] | None,
    show: list[str] | None,
    keys: Path | None,
    author: str,
    memory: int,
) -> Iterator[tuple[Player, Recording]]:
    """The open window, and where the run goes."""
    from frameperfect.game import folders, from_power_on
    from frameperfect.movie import Session
    from frameperfect.view.overlay import make_overlays
    from frameperfect.view.window import Bindings, Controls, Player, Recording, Tile, display

    game = machine.game
    bindings = Bindings(machine.controllers, keys)
    with display() as pygame:
        session = Session(
            machine,
            start=None if run is not None else _start(machine, start),
            movie=run,
            slots=folders.home() / "slots" / game.name,
            budget=memory << 20,
            author=author,
        )
        recording = Recording(session, out, game.name, lambda movie: from_power_on(movie, game))
        if from_frame is not None:
            session.seek(from_frame)
        tile = Tile(
            session, names=panel_names(machine, show), overlays=make_overlays(overlay or (), machine, show)
        )
        player = Player(
            pygame,
            [tile],
            Controls(pygame, bindings, machine.controllers),
            title=f"{game.title} - {machine.fingerprint}",
            recording=recording,
            scale=scale,
            replaying=run is not None and from_frame is None,
            paused=from_frame is not None,
            name=game.name,
        )
        if bindings.commands.get("f1") == "help" and not player.sound.trouble:
            player.say("F1 lists the keys")
        yield player, recording


def _start(machine: Machine, start: str | None) -> str | bytes | None:
    """The start of a new run: power-on, a name, or the bytes of a state."""
    from frameperfect.game.starts import read_state

    game = machine.game
    if start is None:
        return game.default_start  # type: ignore[no-any-return]
    if start.lower() == POWER_ON:
        return None
    if start not in game.starts and Path(start).is_file():
        return read_state(Path(start))
    return start


def _play(player: Player, recording: Recording) -> None:
    """Run the window; the recording is written whatever ends it."""
    stopped: list[int] = []

    def stop(number: int, _: Any) -> None:
        if stopped:
            raise KeyboardInterrupt  # asked twice: the loop does not listen
        stopped.append(number)
        player.running = False

    with _handling(stop):
        try:
            player.run()
        except BaseException:
            _tell(recording.finish)
            raise
    if stopped:
        raise Interrupted(f"interrupted; {recording.finish() or 'nothing was recorded'}")
    _tell(recording.finish)


def _tell(finish: Callable[[], str]) -> None:
    if line := finish():
        print(line)


@contextmanager
def _handling(stop: Callable[[int, Any], None]) -> Iterator[None]:
    """What asks for an end goes to `stop`."""
    before = {number: signal.signal(number, stop) for number in STOPS}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
