"""`demo`: the main job on a real game, end to end: train, compare, prove."""

from __future__ import annotations

import dataclasses
import time
from dataclasses import dataclass
from typing import Annotated, Any

import typer

from frameperfect.cli.app import Interrupted, Refused, app, example, say, title


@dataclass(frozen=True)
class Job:
    """What a game's agent is trained with."""

    about: str
    env: dict[str, Any]
    learn: dict[str, Any] | None
    """What fits a few minutes, where the game's own `[train.ppo]`, meant for longer, does not."""
    deterministic: bool
    """Whether the agent is evaluated by its likeliest actions: a race leaves no room for the others."""


# Sticky actions as Machado et al. (2018) recommend them: neither the agent nor the random player can live off
# determinism, as The Brute does. Airstriker's episodes are cut after five minutes of the game, as they do it.
JOBS = {
    "Skyrunner-Nes": Job(
        "a platform race, stage 1",
        {"observation": "features", "frame_skip": 4, "sticky": 0.25},
        {"learning_rate": 1e-3, "gamma": 0.98, "entropy_coef": 0.02, "normalise_rewards": True},
        deterministic=True,
    ),
    "Airstriker-Genesis": Job(
        "a shooter",
        {"observation": "features", "frame_skip": 4, "sticky": 0.25, "max_steps": 4500},
        None,
        deterministic=False,
    ),
}
GAME = "Skyrunner-Nes"
ENVS = 16
EVALUATION_SEED = 10_000
BRUTE_SHARE = 0.2
"""The part of the training time that The Brute searches for."""


@app.command(epilog=example("demo", "demo --game Airstriker-Genesis", "demo --minutes 0.2 --episodes 4"))
def demo(
    game: Annotated[
        str,
        typer.Option(help=f"One of {' and '.join(f'{name} ({job.about})' for name, job in JOBS.items())}."),
    ] = GAME,
    minutes: Annotated[
        float, typer.Option(min=0.01, help="Minutes of training; The Brute gets a fifth of it.")
    ] = 5,
    episodes: Annotated[int, typer.Option(min=2, help="Episodes that each player is evaluated on.")] = 40,
    run: Annotated[str | None, typer.Option(help="The run's name: it lies in runs/NAME.")] = None,
    seed: Annotated[int, typer.Option(help="Of training and search.")] = 0,
) -> None:
    """Train an agent on a real game, compare it with random play and The Brute, and prove its best run."""
    from frameperfect.cli.evaluate import (
        keep_best,
        run_brute,
        score_player,
        show_gain,
        show_scores,
        write_scores,
    )
    from frameperfect.cli.play import OpenLoop
    from frameperfect.cli.report import report_run
    from frameperfect.cli.runs import RUNS, RunConfig, run_folder
    from frameperfect.cli.train import draw_curves, game_settings, train_run
    from frameperfect.learn import PpoConfig, interval, load_policy
    from frameperfect.movie import save_movie
    from frameperfect.view.progress import clock

    folder = run_folder(run) if run else RUNS / f"demo-{time.strftime('%Y%m%d-%H%M%S')}"
    if folder.exists():
        raise Refused(f"{folder} exists already; name another --run")
    if game not in JOBS:
        raise Refused(f"the demo knows {' and '.join(JOBS)}; `frameperfect train {game}` trains on any game")
    job = JOBS[game]
    own = game_settings(game, "ppo") if job.learn is None else job.learn
    learn = PpoConfig.for_observation("features", **own, steps=None, minutes=minutes, seed=seed)
    settings = RunConfig(game, job.env, ENVS, "ppo", dataclasses.asdict(learn))
    title(f"{game}, {job.about}: PPO on features, {minutes:g} minutes, sticky actions {job.env['sticky']:g}")
    result = train_run(settings, folder)
    if result.stopped == "interrupt":
        report_run(folder)
        command = f"frameperfect train {game} --run {run or folder.name} --resume"
        raise Interrupted(f"interrupted at {result.steps:,} steps; checkpoint kept; go on: {command}")

    title("evaluation")
    rest = (settings, episodes, ENVS, EVALUATION_SEED)
    agent = score_player("agent", load_policy(folder, seed=seed), *rest, deterministic=job.deterministic)
    random = score_player("random player", None, *rest)
    search, movie = run_brute(settings, 60 * minutes * BRUTE_SHARE, seed)
    blind = score_player("The Brute's plan", OpenLoop(search.actions), *rest)
    row = ("The Brute itself, without sticky actions", "", "", "", f"{search.score:g}", str(search.episodes))
    show_scores([agent, random, blind], [row])
    show_gain(agent, random)
    skip, searched = job.env["frame_skip"], 60 * minutes * BRUTE_SHARE
    say(
        f"The agent has seen {result.steps * skip:,} frames in {clock(result.seconds)}, "
        f"The Brute {search.steps * skip:,} in {clock(searched)}. It searches a game without chance, "
        f"which it needs: its best run scored {search.score:g} there, "
        f"and {blind.returns.mean():.1f} on average where the agent plays."
    )

    title("proof")
    levels = {
        "random player": (float(random.returns.mean()), *interval(random.returns)),
        "The Brute, without sticky actions": search.score,
    }
    draw_curves([folder], folder / "curve.png", f"{game}, PPO", levels)
    write_scores(
        folder,
        [agent, random, blind],
        {},
        brute={"score": search.score, "steps": search.steps, "seconds": searched},
    )
    save_movie(movie, folder / "brute.fpm")
    keep_best(folder, agent, settings)
    report_run(folder)
    for path in sorted(folder.iterdir()):
        print(f"  {path}{'/' if path.is_dir() else ''}")
