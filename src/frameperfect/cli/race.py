"""`race`: agents in the game's own client, to watch and to race against."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Protocol, cast

import typer

from frameperfect.cli.app import Refused, app, example, may_replace
from frameperfect.cli.env_options import OptionsOption, machine_options

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from frameperfect.env.shared import SharedVectorEnv
    from frameperfect.game import Game
    from frameperfect.movie import Movie


class Live(Protocol):
    """What this command needs of a machine whose option `client` is "watch" or "play"."""

    frame: int
    frame_rate: float
    watched: bool

    def played(self) -> tuple[NDArray[np.uint32], NDArray[np.int16], list[tuple[int, str]]]:
        """Masks (F, ports), axes (F, ports, 2) and hashes since power-on."""


@app.command(
    epilog=example(
        "race runs/my-racer",
        "race runs/my-racer --join --agents 3 --out mine.fpm",
        "race DDNet-Race --join --agents 0 --out mine.fpm --option map='Sunny Side Up'",
    )
)
def race(
    what: Annotated[str, typer.Argument(help="A run's folder (its agent plays), or a game (random play).")],
    join: Annotated[bool, typer.Option("--join", help="Play yourself; else you watch.")] = False,
    agents: Annotated[int, typer.Option(min=0, max=16, help="How many play, besides you.")] = 1,
    out: Annotated[Path | None, typer.Option(help="Keep what you and they play as a movie, .fpm.")] = None,
    option: OptionsOption = None,
    seconds: Annotated[float | None, typer.Option(min=0.1, help="Only so long.")] = None,
    seed: Annotated[int, typer.Option(help="Of the agents' draws.")] = 0,
    force: Annotated[bool, typer.Option("--force", help="Replace what --out names.")] = False,
) -> None:
    """Watch agents in the game's own client, or race against them there, in real time.

    The client joins a server of ours on this machine and nothing else. With --join the race begins three
    seconds after you see yourself. With --out it is kept, also where you close the client or press Ctrl-C, as
    a movie that has been played again without you to the same states.
    """
    from frameperfect.cli.play import subject
    from frameperfect.env import make_shared

    if out is not None and not join:
        raise Refused("--out keeps what you play: add --join; `record` keeps an agent's run")
    if out is not None:
        if out.suffix.lower() != ".fpm":
            raise Refused(f"{out}: a run with several players' aims is kept as .fpm")
        may_replace(out, force)
    if agents + join < 1:
        raise Refused("nobody plays: add --join, or --agents 1")
    who = subject(what)
    env = {
        key: who.env[key]
        for key in ("frame_skip", "actions", "max_steps", "define", "observation")
        if key in who.env
    }
    own = {**who.env.get("options", {}), **(machine_options(option) or {})}
    options = {**own, "client": "play" if join else "watch"}
    envs = make_shared(who.game, 1, agents + join, options=options, **env)
    try:
        live = cast(Live, envs.machine())
        try:
            _play(envs, live, _player(who.run, envs, seed), join, seconds, seed)
        except KeyboardInterrupt:
            print("stopped")
        played = live.played() if out is not None else None
    finally:
        envs.close()
    if out is not None and played is not None:
        _keep(who.game, {**own, "players": str(agents + join)}, played, out)


class _Random:
    """Draws every player's action evenly."""

    def __init__(self, envs: SharedVectorEnv, seed: int) -> None:
        self._space = envs.action_space
        self._space.seed(seed)

    def act(self, seen: Any, state: Any = None) -> tuple[Any, Any]:
        """Actions of all, whatever is seen."""
        return self._space.sample(), None


def _player(run: Path | None, envs: SharedVectorEnv, seed: int) -> Any:
    if run is None:
        return _Random(envs, seed)
    from frameperfect.learn import load_policy

    return load_policy(run, seed=seed)


def _play(
    envs: SharedVectorEnv, live: Live, player: Any, join: bool, seconds: float | None, seed: int
) -> None:
    """Until the client is closed, the time is over or, where a person plays, the race is."""
    print("the client starts; the race begins three seconds after the game is seen", flush=True)
    seen, _ = envs.reset(seed=seed)
    state = None
    while live.watched and (seconds is None or live.frame < seconds * live.frame_rate):
        actions, state = player.act(seen, state)
        seen, _, _, _, told = envs.step(actions)
        for number in told["success"].nonzero()[0].tolist():
            name = "you finish" if join and number == envs.agents - 1 else f"agent{number} finishes"
            print(f"{name} after {told['time'][number] / live.frame_rate:.2f} seconds", flush=True)
        if join and told["success"].any():
            return


def _keep(game: str, options: dict[str, str], played: Any, out: Path) -> None:
    from frameperfect.game import load_game
    from frameperfect.movie import save_movie

    movie = replayed(load_game(game), options, *played)
    save_movie(movie, out)
    print(f"{out}: {movie.frames} frames, {movie.seconds:.1f} s, played again to the same states")


def replayed(
    game: Game,
    options: dict[str, str],
    masks: NDArray[np.uint32],
    axes: NDArray[np.int16],
    checkpoints: list[tuple[int, str]],
) -> Movie:
    """The movie of these inputs, played by a machine without any person.

    Raises:
        Desync: it comes to other states.
    """
    from frameperfect.errors import Desync
    from frameperfect.game import open as open_game
    from frameperfect.machine import PortInput
    from frameperfect.movie import Recorder

    expected = dict(checkpoints)
    with open_game(game, options=options) as machine:
        recorder = Recorder(machine, game=game.name)
        for frame, (pressed, aims) in enumerate(zip(masks.tolist(), axes.tolist(), strict=True), 1):
            recorder.advance([PortInput(mask, tuple(aim)) for mask, aim in zip(pressed, aims, strict=True)])
            if frame in expected and machine.hash() != expected[frame]:
                raise Desync(
                    f"the run comes to other states when it is played again, by frame {frame}",
                    frame,
                )
        return recorder.movie()
