"""`train`: an agent, its curve, and a folder from which both can be made again."""

from __future__ import annotations

import dataclasses
import os
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from frameperfect.cli.app import Interrupted, Refused, app, console, example
from frameperfect.cli.env_options import (
    ActionsOption,
    AlgoOption,
    CoreOption,
    DefineOption,
    EnvsOption,
    FrameSkipOption,
    GameArgument,
    MaxStepsOption,
    ObservationOption,
    OptionsOption,
    StartOption,
    StickyOption,
    env_choices,
)

if TYPE_CHECKING:
    from frameperfect.cli.runs import RunConfig
    from frameperfect.learn import PpoConfig, Result, ValueConfig


@app.command(
    epilog=example(
        "train Airstriker-Genesis --minutes 5",
        "train Airstriker-Genesis --algo a2c --observation ram --steps 1000000 --seeds 3 --run ram",
        "train Airstriker-Genesis --run ram --resume --steps 2000000",
        "train Airstriker-Genesis --algo rainbow-iqn --actions discrete --minutes 10",
        "train DDNet-Race --option map='Gold Mine' --agents 4 --envs 4 --minutes 10",
    )
)
def train(
    game: GameArgument,
    run: Annotated[str | None, typer.Option(help="The run's name: it lies in runs/NAME.")] = None,
    algo: AlgoOption = "ppo",
    rnd: Annotated[
        bool, typer.Option("--rnd", help="Reward what is new as well (random network distillation).")
    ] = False,
    steps: Annotated[
        int | None, typer.Option(min=1, help="Stop after so many steps of all environments.")
    ] = None,
    minutes: Annotated[float | None, typer.Option(min=0.001, help="Stop after so long.")] = None,
    observation: ObservationOption = None,
    actions: ActionsOption = None,
    envs: EnvsOption = 16,
    frame_skip: FrameSkipOption = 4,
    sticky: StickyOption = 0.0,
    max_steps: MaxStepsOption = None,
    start: StartOption = None,
    core: CoreOption = None,
    option: OptionsOption = None,
    define: DefineOption = None,
    agents: Annotated[
        int, typer.Option(min=1, help="Up to so many players in each environment's game, with one policy.")
    ] = 1,
    seed: Annotated[int, typer.Option(help="The first seed.")] = 0,
    seeds: Annotated[int, typer.Option(min=1, help="Train so many agents, one seed each.")] = 1,
    config: Annotated[
        Path | None,
        typer.Option(help="TOML or YAML with any field of the learner's settings (PpoConfig, ValueConfig)."),
    ] = None,
    actors: Annotated[
        int | None,
        typer.Option(min=1, help="Play in so many processes, with --envs each, and learn beside."),
    ] = None,
    lockstep: Annotated[
        bool, typer.Option("--lockstep", help="Actors and learner take turns: the seed alone decides.")
    ] = False,
    cluster: Annotated[
        str | None,
        typer.Option(help="Actors, replay and learner on a Ray cluster: its ADDRESS, or auto."),
    ] = None,
    resume: Annotated[
        bool, typer.Option("--resume", help="Go on from the run's checkpoint, exactly.")
    ] = False,
    demonstrations: Annotated[
        Path | None,
        typer.Option(
            help="Runs to learn from: a part of every batch of a value learner; PPO begins along them, "
            "from their ends to their starts."
        ),
    ] = None,
    evaluation: Annotated[
        bool, typer.Option("--eval/--no-eval", help="At the end, some short episodes beside a random player.")
    ] = True,
) -> None:
    """Train an agent. Ctrl-C keeps a checkpoint and prints how to go on.

    At the end it plays ten episodes beside a random player: the best is kept as a movie and a video.
    """
    from frameperfect.cli.evaluate import evaluate_briefly
    from frameperfect.cli.play import game_reference
    from frameperfect.cli.report import report_run
    from frameperfect.cli.runs import RUNS, RunConfig, run_folder

    name = game_reference(game)
    if resume and run is None:
        raise Refused("--resume needs --run NAME, the run to go on with")
    folder = run_folder(run) if run else RUNS / f"{Path(name).stem}-{algo}-{time.strftime('%Y%m%d-%H%M%S')}"
    env = env_choices(
        observation=observation, actions=actions, frame_skip=frame_skip, sticky=sticky, max_steps=max_steps,
        start=start, core=core, option=option, define=define,
    )  # fmt: skip
    kind = observation_kind(name, env)
    if actors is None and (lockstep or cluster is not None):
        raise Refused("--lockstep and --cluster are about actors: say how many by --actors N")
    folders = [folder] if seeds == 1 else [folder / f"seed{seed + i}" for i in range(seeds)]
    for i, each in enumerate(folders):
        if resume and (each / "config.json").is_file():
            settings = _resumed(each, name, steps, minutes)
        else:
            learn = learn_settings(name, algo, kind, rnd, config, steps, minutes, seed + i)
            settings = RunConfig(name, env, envs, algo, dataclasses.asdict(learn), agents=agents)
            if demonstrations is not None:
                settings = _shown(settings, demonstrations)
        if actors is not None:
            settings = dataclasses.replace(settings, actors=actors, lockstep=lockstep, cluster=cluster)
        again = resume and (each / "checkpoint.safetensors").is_file()
        if resume and not again and seeds == 1:
            raise Refused(f"{each} has no checkpoint to go on from; train without --resume")
        result = train_run(settings, each, resume=again)
        try:
            if evaluation and result.stopped != "interrupt":
                evaluate_briefly(each, settings, result.steps)
        except KeyboardInterrupt:
            raise Interrupted(
                f"interrupted; the agent in {each} is kept, and `frameperfect eval {each}` evaluates it"
            ) from None
        finally:
            report_run(each)
        if result.stopped == "interrupt":
            command = f"frameperfect train {name} --run {run or folder.name}"
            command += f" --seeds {seeds} --seed {seed}" if seeds > 1 else ""
            raise Interrupted(
                f"interrupted at {result.steps:,} steps; checkpoint kept; go on: {command} --resume"
            )
    if seeds > 1:
        draw_curves(folders, folder / "curve.png", f"{name}, {algo}")
        report_run(folder)
        print(f"{folder}/curve.png: {seeds} seeds")


def train_run(settings: RunConfig, folder: Path, *, resume: bool = False) -> Result:
    """Train one agent into `folder` with a progress bar; writes config and learning curve as well."""
    from frameperfect.learn import train as learn
    from frameperfect.view.progress import ProgressLine, clock, training_text

    if not resume and (folder / "checkpoint.safetensors").exists():
        raise Refused(f"{folder} holds a trained agent; go on with it by --resume, or name another --run")
    kind = config_class(settings.algo)
    layers = {name: tuple(value) for name, value in settings.learn.items() if isinstance(value, list)}
    learn_config = kind(**{**settings.learn, **layers})
    # actors share the cores, and each runs its machines on its part of them
    cores = len(os.sched_getaffinity(0))
    shared = {"threads": max(1, cores // settings.actors)} if settings.actors else {}
    make_envs = settings.training_envs(**shared)
    settings.write(folder)
    with ProgressLine(
        console(), f"seed {learn_config.seed}" if folder.name.startswith("seed") else "training"
    ) as line:
        result = learn(
            make_envs,
            learn_config,
            folder,
            progress=lambda now: line.update(*training_text(now)),
            resume=resume,
            actors=settings.actors,
            lockstep=settings.lockstep,
            cluster=settings.cluster,
        )
    draw_curves([folder], folder / "curve.png", f"{settings.game}, {settings.algo}")
    print(
        f"{folder}: {result.steps:,} steps in {clock(result.seconds)}, "
        f"{result.steps_per_second:,.0f} steps/s, {result.episodes:,} episodes, "
        f"mean return {result.mean_return:.1f}"
    )
    return result


def draw_curves(folders: list[Path], path: Path, title: str, levels: dict[str, Any] | None = None) -> None:
    """Draw the learning curves that the runs' metrics hold."""
    from frameperfect.cli.curves import curves_of
    from frameperfect.view.plots import draw_learning_curve

    draw_learning_curve(curves_of(folders), path, title, levels=levels)


def _shown(settings: RunConfig, demonstrations: Path) -> RunConfig:
    """The settings with runs to learn from."""
    file = str(demonstrations.resolve())
    if "demonstrations" in settings.learn:
        return dataclasses.replace(settings, learn={**settings.learn, "demonstrations": file})
    return dataclasses.replace(settings, backwards=file)


def _resumed(folder: Path, game: str, steps: int | None, minutes: float | None) -> RunConfig:
    """The run's own settings, with another budget where one is given."""
    from frameperfect.cli.runs import read_run

    settings = read_run(folder)
    if settings.game != game:
        raise Refused(f"{folder} trains {settings.game}, not {game}; name its game or another --run")
    if steps is not None or minutes is not None:
        settings = dataclasses.replace(settings, learn={**settings.learn, "steps": steps, "minutes": minutes})
    return settings


def config_class(algo: str) -> type[PpoConfig] | type[ValueConfig]:
    """The settings that an algorithm's name is one of."""
    from frameperfect.learn import PpoConfig, ValueConfig
    from frameperfect.learn.config import NAMED
    from frameperfect.learn.value.config import NAMED as VALUE_NAMED

    if algo in NAMED:
        return PpoConfig
    if algo in VALUE_NAMED:
        return ValueConfig
    raise Refused(f"no algorithm '{algo}'; there are {', '.join((*NAMED, *VALUE_NAMED))}")


def learn_settings(
    game: str,
    algo: str,
    kind: str,
    rnd: bool,
    config: Path | None,
    steps: int | None,
    minutes: float | None,
    seed: int,
) -> PpoConfig | ValueConfig:
    """The learner's settings: those for the observation, then the algorithm's, the game's, novelty's, the
    file's and the options'.
    """
    from frameperfect.cli.settings_file import read_settings

    settings = config_class(algo)
    plain = dataclasses.asdict(settings())
    fitting = dataclasses.asdict(settings.for_observation(kind))
    changes = {name: value for name, value in fitting.items() if value != plain[name]}
    if kind == "features":
        changes |= game_settings(game, algo)
    if rnd:
        changes |= settings.with_novelty
    if config is not None:
        changes |= read_settings(config, settings)
    if steps is not None or minutes is not None:
        changes |= {"steps": steps, "minutes": minutes}
    return settings.named(algo, **{**changes, "seed": seed})


def game_settings(game: str, algo: str) -> dict[str, Any]:
    """What the game itself says of training on its features: `[train.ALGO]` of its game.toml."""
    from frameperfect.cli.settings_file import check_settings
    from frameperfect.game import load_game

    loaded = load_game(game)
    return check_settings(f"{loaded.name}, [train.{algo}]", loaded.train.get(algo, {}), config_class(algo))


def observation_kind(game: str, env: dict[str, Any]) -> str:
    """What a run's observation is for the learner: "features", "ram" or "pixels"."""
    from gymnasium.spaces import Box, Dict

    from frameperfect.env import make_env

    probe = make_env(game, **env)
    space = probe.observation_space
    probe.close()
    parts = list(space.values()) if isinstance(space, Dict) else [space]
    if any(isinstance(part, Box) and len(part.shape) > 1 for part in parts):
        return "pixels"
    return "ram" if all(part.dtype == "uint8" for part in parts) else "features"
