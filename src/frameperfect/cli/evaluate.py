"""`eval`: an agent beside a random player, with intervals; its best run as a movie that is verified."""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from frameperfect.cli.app import Failed, app, console, example, say
from frameperfect.errors import FrameperfectError, MissingComponent, MovieError, Unsupported

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from frameperfect.cli.runs import RunConfig
    from frameperfect.movie import Movie
    from frameperfect.search import BruteResult
    from frameperfect.view.video import Chances

BRIEF_EPISODES, BRIEF_SHARE = 10, 0.01
"""Episodes that are played at the end of training, and the part of its steps that each of them may take."""
SHORTEST, LONGEST = 10.0, 300.0
"""Seconds of the game that they are cut after, at least and at most, at sixty frames a second."""
UNSEEN = 10_000
"""The first seed of an evaluation, far from those of training."""


@dataclass(frozen=True)
class Score:
    """How a player did: the returns of its episodes, and its best run."""

    player: str
    returns: NDArray[np.float64]
    best: float
    movie: Movie
    chances: Chances | None
    """Of the best run's actions."""
    frames: int
    """Frames that the evaluation played."""
    goals: int | None
    """Episodes that reached the game's goal; None where it has none."""
    times: tuple[float, ...]
    """The run's clock at each goal, in frames, where the game has one."""


@app.command(
    name="eval", epilog=example("eval runs/my-run --episodes 40 --sticky 0.25", "eval my-run --brute 60")
)
def evaluate_run(
    run: Annotated[str, typer.Argument(help="A run's name or folder.")],
    episodes: Annotated[int, typer.Option(min=2, help="Episodes of each player.")] = 20,
    envs: Annotated[int, typer.Option(min=1, help="Environments stepped together.")] = 10,
    sticky: Annotated[
        float | None, typer.Option(min=0, max=0.99, help="Another chance of sticky actions than in training.")
    ] = None,
    start: Annotated[
        str | None, typer.Option(help="Another start of the game than in training, or several by commas.")
    ] = None,
    deterministic: Annotated[
        bool,
        typer.Option(
            "--deterministic", help="The likeliest action always, instead of drawing by the chances."
        ),
    ] = False,
    seed: Annotated[
        int, typer.Option(help="Of environments and players; not one that was trained on.")
    ] = UNSEEN,
    brute: Annotated[
        float | None,
        typer.Option(min=0.1, help="Let The Brute search the game for so many seconds, to compare with."),
    ] = None,
    video: Annotated[bool, typer.Option(help="Write best.mp4.")] = True,
) -> None:
    """Evaluate an agent beside a random player; keep its best run as a movie, and verify it."""
    from frameperfect.cli.env_options import start_choice
    from frameperfect.cli.report import json_file, report_run
    from frameperfect.cli.runs import read_run, run_folder
    from frameperfect.learn import load_policy
    from frameperfect.movie import save_movie

    folder = run_folder(run)
    settings = read_run(folder)
    changes: dict[str, Any] = {} if sticky is None else {"sticky": sticky}
    if start is not None:
        changes["start"] = start_choice(start)
    agent = score_player(
        "agent", load_policy(folder, seed=seed), settings, episodes, envs, seed, changes, deterministic
    )
    floor = score_player("random player", None, settings, episodes, envs, seed, changes)
    found = (json_file(folder / "evaluation.json", dict) or {}).get("brute")
    if brute is not None:
        result, movie = run_brute(settings, brute, seed)
        found = {"score": result.score, "steps": result.steps, "seconds": brute}
        save_movie(movie, folder / "brute.fpm")
    rows = [] if found is None else [("The Brute, without chance", "", "", "", f"{found['score']:g}")]
    show_scores([agent, floor], rows)
    show_gain(agent, floor)
    write_scores(folder, [agent, floor], changes, **({"brute": found} if found else {}))
    keep_best(folder, agent, settings, video=video)
    report_run(folder)


def evaluate_briefly(folder: Path, settings: RunConfig, steps: int) -> None:
    """What `train` does at its end: a few short episodes, and the best of them as a movie and a video.

    A failure is a line: the agent is there.

    Raises:
        Failed: the movie did not replay.
    """
    from frameperfect.learn import load_policy

    try:
        seconds = steps * BRIEF_SHARE * settings.frame_skip / 60
        most = max(1, round(min(max(seconds, SHORTEST), LONGEST) * 60 / settings.frame_skip))
        own = settings.env.get("max_steps")
        changes = {"max_steps": most} if own is None or most < own else {}
        rest = (settings, BRIEF_EPISODES, BRIEF_EPISODES, UNSEEN, changes)
        agent = score_player("agent", load_policy(folder, seed=UNSEEN), *rest)
        floor = score_player("random player", None, *rest)
        show_scores([agent, floor])
        show_gain(agent, floor)
        write_scores(folder, [agent, floor], changes)
        keep_best(folder, agent, settings)
    except FrameperfectError as failure:
        say(f"not evaluated: {failure}; the agent is kept")


def score_player(
    name: str,
    player: Any,
    settings: RunConfig,
    episodes: int,
    envs: int,
    seed: int,
    changes: dict[str, Any] | None = None,
    deterministic: bool = False,
) -> Score:
    """Play `episodes` in the run's environments with `changes` to their keywords; None plays at random."""
    from frameperfect.cli.play import BestRun
    from frameperfect.game import load_game
    from frameperfect.learn import RandomPolicy, evaluate
    from frameperfect.view.progress import ProgressLine

    vector = settings.make_envs(min(envs, episodes), **(changes or {}))()
    best = BestRun(vector, player or RandomPolicy(vector.single_action_space, seed))
    frames, done, goals = 0, 0, 0
    times: list[float] = []
    has_goal = load_game(settings.game).definition.end.success is not None
    with ProgressLine(console(), name) as line:

        def count(total: float, length: int, info: dict[str, Any]) -> None:
            nonlocal frames, done, goals
            done += 1
            frames += int(info.get("episode_frames", 0))
            if info.get("success"):
                goals += 1
                if "time" in info:
                    times.append(float(info["time"]))
            line.update(done / episodes, f"{done} of {episodes} episodes  best {best.score:g}")

        returns = evaluate(best, lambda: best, episodes, seed, deterministic=deterministic, progress=count)
    assert best.movie is not None
    reached = goals if has_goal else None
    return Score(name, returns, best.score, best.movie, best.chances, frames, reached, tuple(sorted(times)))


def show_scores(scores: Sequence[Score], more: Sequence[tuple[str, ...]] = ()) -> None:
    """A table of the players; `more` are further rows, already text."""
    from rich.box import SIMPLE_HEAD
    from rich.table import Table

    from frameperfect.learn import interval

    table = Table(box=SIMPLE_HEAD, pad_edge=False)
    table.add_column("player")
    columns = ["mean return", "95 % interval", "median", "best", "episodes"]
    has_goal = any(score.goals is not None for score in scores)
    if has_goal:
        columns += ["reached the goal", "fastest", "median time"]
    for column in columns:
        table.add_column(column, justify="right")
    for score in scores:
        low, high = interval(score.returns)
        row = [
            score.player, f"{score.returns.mean():.1f}", f"{low:.1f} to {high:.1f}",
            f"{sorted(score.returns)[len(score.returns) // 2]:g}", f"{score.best:g}", str(len(score.returns)),
        ]  # fmt: skip
        if has_goal:
            row += [str(score.goals or 0), *_times(score)]
        table.add_row(*row)
    for one in more:
        table.add_row(*one)
    console().print(table)


def _times(score: Score) -> tuple[str, str]:
    """The fastest and the median run's clock."""
    if not score.times:
        return "", ""
    seconds = [frames / score.movie.frame_rate for frames in score.times]
    return f"{seconds[0]:.2f} s", f"{seconds[len(seconds) // 2]:.2f} s"


def gain(agent: NDArray[np.float64], floor: NDArray[np.float64]) -> tuple[float, float, float]:
    """The difference of the means, and its 95 % bootstrap interval (both samples drawn anew)."""
    import numpy as np

    random = np.random.default_rng(0)
    means = [
        values[random.integers(0, len(values), (10_000, len(values)))].mean(axis=1)
        for values in (agent, floor)
    ]
    low, high = np.quantile(means[0] - means[1], (0.025, 0.975))
    return float(agent.mean() - floor.mean()), float(low), float(high)


def show_gain(agent: Score, floor: Score) -> None:
    """Say by how much the agent beats random play, or that it does not."""
    difference, low, high = gain(agent.returns, floor.returns)
    mean = float(floor.returns.mean())
    times = f", {agent.returns.mean() / mean:.1f} times its mean return" if mean > 0 else ""
    if low > 0:
        text = (
            f"The agent beats random play by {difference:.1f} a game "
            f"(95 % interval {low:.1f} to {high:.1f}){times}."
        )
    else:
        text = (
            f"The agent does not clearly beat random play: it scores {difference:+.1f} a game "
            f"(95 % interval {low:.1f} to {high:.1f}); train it for longer."
        )
    say(text, "bold")


def write_scores(folder: Path, scores: Sequence[Score], changes: dict[str, Any], **more: Any) -> None:
    """Write `evaluation.json`: every return, means and intervals."""
    from frameperfect.atomic import replacing
    from frameperfect.learn import interval

    facts = {
        "players": {
            score.player: {
                "mean": float(score.returns.mean()), "interval": interval(score.returns), "best": score.best,
                "frames": score.frames, "returns": score.returns.tolist(),
                "frame_rate": score.movie.frame_rate,
                **({} if score.goals is None else {"goals": score.goals, "times": list(score.times)}),
            }
            for score in scores
        },
        "environment": changes,
        "agent_minus_random": gain(scores[0].returns, scores[1].returns),
        **more,
    }  # fmt: skip
    with replacing(folder / "evaluation.json") as part:
        part.write_text(json.dumps(facts, indent=2) + "\n")


def keep_best(folder: Path, score: Score, settings: RunConfig, *, video: bool = True) -> None:
    """Write the best run as a movie, replay it in a fresh process, and make bk2 and video of it.

    Raises:
        Failed: the movie did not replay.
    """
    from frameperfect.cli.film import film
    from frameperfect.cli.play import open_for
    from frameperfect.cli.proven import prove
    from frameperfect.game import from_power_on
    from frameperfect.movie import save_movie

    path = folder / "best.fpm"
    with open_for(score.movie, path, settings.game, None) as machine:
        # The replay checks the memory that the agent's own machine ended with; a hash is kept of every frame.
        hashes = [(frame, machine.hash()) for frame in score.movie.replay(machine)]
        movie = replace(score.movie.with_checkpoints(machine), checkpoints=hashes)
    save_movie(movie, path)
    print(
        f"The {score.player}'s best run: return {score.best:g}, {movie.frames} frames, {movie.seconds:.1f} s."
    )
    proven = prove(path, settings.game)
    print(f"{path}: {proven.text}")
    if not proven.matched:
        raise Failed(f"{path} did not replay in a fresh process")
    try:
        save_movie(from_power_on(movie, settings.game), folder / "best.bk2")
    except MovieError as unfit:
        print(f"no best.bk2: {unfit}")
    if video:
        overlays = [] if score.chances is None else ["probabilities"]
        try:
            film(
                movie, folder / "best.mp4", settings.game,
                f"{movie.game}  {score.player}  return {score.best:g}",
                overlays=overlays, every=settings.frame_skip, chances=score.chances,
            )  # fmt: skip
        except (MissingComponent, Unsupported) as missing:
            print(f"no best.mp4: {missing}")


def run_brute(settings: RunConfig, seconds: float, seed: int) -> tuple[BruteResult, Movie]:
    """Search the run's game without sticky actions; the result and its movie."""
    from frameperfect.env import make_env
    from frameperfect.search import brute
    from frameperfect.view.progress import ProgressLine

    env = make_env(settings.game, **{**settings.env, "sticky": 0.0})
    begun = time.monotonic()
    try:
        with ProgressLine(console(), "The Brute") as line:

            def show(steps: int, best: float) -> None:
                line.update((time.monotonic() - begun) / seconds, f"{steps:,} steps  best {best:g}")

            found = brute(env, seconds=seconds, seed=seed, progress=show)
        return found, env.movie()
    finally:
        env.close()
