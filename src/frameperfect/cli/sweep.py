"""`sweep`: settings searched for by short trainings, of which the hopeless are stopped early.

runs/<name>/sweep.json   what is searched, from which all else can be made again
runs/<name>/sweep.db     the trials (Optuna, in SQLite): any number of processes may add to it
runs/<name>/trial0007/   each trial's training
runs/<name>/best.toml    the best settings so far, for `train --config`
runs/<name>/sweep.png    all trials, and what each setting did
"""

from __future__ import annotations

import dataclasses
import json
import shlex
import time
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from frameperfect.cli.app import Interrupted, Refused, app, console, example, say
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
from frameperfect.errors import LearningError, MissingComponent

if TYPE_CHECKING:
    from frameperfect.cli.runs import RunConfig
    from frameperfect.cli.sweep_space import Space

FILE, STORE, BEST, PLOT = "sweep.json", "sweep.db", "best.toml", "sweep.png"
RUNGS = 20
"""Points of a trial's budget at which it is compared with the others."""
FIRST_RUNG = 5
"""Before it, no trial is stopped."""
FIRST_TRIALS = 4
"""So many run whole before others are compared with them."""
FIRST_DRAWS = 8
"""So many trials are drawn evenly before the promising are preferred."""
HEARTBEAT, SILENCE = 20, 90
"""Seconds between two signs of life of a trial, and after which it counts as dead and is tried again."""


@app.command(
    epilog=example(
        "sweep Airstriker-Genesis --trials 30 --steps 200000 --run tuned",
        "sweep Skyrunner-Nes --algo rainbow-iqn --space space.toml --minutes 3 --run tuned",
        "sweep Airstriker-Genesis --run tuned --resume --trials 60",
        "train Airstriker-Genesis --config runs/tuned/best.toml",
    )
)
def sweep(
    game: GameArgument,
    run: Annotated[str | None, typer.Option(help="The sweep's name: it lies in runs/NAME.")] = None,
    algo: AlgoOption = "ppo",
    rnd: Annotated[
        bool, typer.Option("--rnd", help="Reward what is new as well, and search its settings.")
    ] = False,
    trials: Annotated[
        int, typer.Option(min=1, help="Stop when so many have ended, those stopped early included.")
    ] = 30,
    steps: Annotated[int | None, typer.Option(min=1, help="Steps of a trial.")] = None,
    minutes: Annotated[float | None, typer.Option(min=0.001, help="Minutes of a trial.")] = None,
    space: Annotated[
        Path | None, typer.Option(help="TOML or YAML: what to search, in place of what suits the algorithm.")
    ] = None,
    config: Annotated[Path | None, typer.Option(help="TOML or YAML: settings that all trials share.")] = None,
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
    seed: Annotated[int, typer.Option(help="Of the search and of every trial.")] = 0,
    resume: Annotated[
        bool, typer.Option("--resume", help="Go on with a sweep, or help one that another process runs.")
    ] = False,
) -> None:
    """Search for settings: many short trainings, compared by the mean return of their last 100 episodes.

    The most promising settings are tried next (TPE), and a trial that is behind the median of the others at
    the same point is stopped. Ctrl-C keeps all that ended.
    """
    from frameperfect.cli.play import game_reference
    from frameperfect.cli.runs import RUNS, RunConfig, run_folder
    from frameperfect.cli.train import config_class, learn_settings, observation_kind

    name = game_reference(game)
    if resume and run is None:
        raise Refused("--resume needs --run NAME, the sweep to go on with")
    folder = run_folder(run) if run else RUNS / f"{Path(name).stem}-sweep-{time.strftime('%Y%m%d-%H%M%S')}"
    if resume:
        plan = read_plan(folder)
        if plan.settings.game != name:
            raise Refused(
                f"{folder} searches for {plan.settings.game}, not {name}; name its game or another --run"
            )
    else:
        if (folder / FILE).exists():
            raise Refused(f"{folder} holds a sweep; go on with it by --resume, or name another --run")
        if steps is None and minutes is None:
            raise Refused("say how long a trial is: --steps N or --minutes N")
        env = env_choices(
            observation=observation, actions=actions, frame_skip=frame_skip, sticky=sticky,
            max_steps=max_steps, start=start, core=core, option=option, define=define,
        )  # fmt: skip
        kind = observation_kind(name, env)
        learn = learn_settings(name, algo, kind, rnd, config, steps, minutes, seed)
        shared = _shared(config, rnd, config_class(algo))
        settings = RunConfig(name, env, envs, algo, dataclasses.asdict(learn))
        plan = Plan(settings, _space(space, algo, rnd).table(), shared)
    _search(folder, plan, trials)


@dataclasses.dataclass(frozen=True)
class Plan:
    """What `sweep.json` holds."""

    settings: RunConfig
    """Of every trial, but for what is searched."""
    space: dict[str, Any]
    shared: dict[str, Any]
    """Settings that were asked for beside the space, and that the best ones need with them."""

    def write(self, folder: Path) -> None:
        """Write it into the folder."""
        from frameperfect.atomic import replacing

        folder.mkdir(parents=True, exist_ok=True)
        with replacing(folder / FILE) as part:
            part.write_text(json.dumps(dataclasses.asdict(self), indent=2) + "\n", "utf-8")


def read_plan(folder: Path) -> Plan:
    """The sweep in a folder.

    Raises:
        Refused: it holds none, or a damaged one.
    """
    from frameperfect.cli.runs import RunConfig

    path = folder / FILE
    if not path.is_file():
        raise Refused(f"{folder} holds no sweep: it has no {FILE}; start one without --resume")
    try:
        facts = json.loads(path.read_text("utf-8"))
        return Plan(RunConfig(**facts["settings"]), dict(facts["space"]), dict(facts["shared"]))
    except (ValueError, TypeError, KeyError) as wrong:
        raise Refused(f"{path} is damaged ({wrong}); start another sweep") from None


def _shared(config: Path | None, rnd: bool, settings: Any) -> dict[str, Any]:
    from frameperfect.cli.settings_file import read_settings

    novelty = dict(settings.with_novelty) if rnd else {}
    return novelty | (read_settings(config, settings) if config is not None else {})


def _space(path: Path | None, algo: str, rnd: bool) -> Space:
    from frameperfect.cli.sweep_space import Space, default_space, read_space
    from frameperfect.cli.train import config_class

    settings = config_class(algo)
    if path is not None:
        return read_space(path, settings)
    return Space(f"the space of {algo}", default_space(algo, rnd), settings)


# -- the search --------------------------------------------------------------------------------------------


def _search(folder: Path, plan: Plan, trials: int) -> None:
    """Run trials until so many have ended, in this process and in all that share the folder."""
    from frameperfect.cli.runs import RUNS
    from frameperfect.cli.sweep_space import Space
    from frameperfect.cli.train import config_class

    space = Space(str(folder / FILE), plan.space, config_class(plan.settings.algo))
    study, optuna = _study(folder, plan)
    plan.write(folder)
    ended = (optuna.trial.TrialState.COMPLETE, optuna.trial.TrialState.PRUNED)
    objective = Objective(folder, plan, space, optuna)
    best = BestFile(folder, plan, space)
    most = optuna.study.MaxTrialsCallback(trials, states=ended)
    try:
        if len(study.get_trials(deepcopy=False, states=ended)) < trials:
            study.optimize(objective, callbacks=[best, most], catch=(_Stopped,))
    except KeyboardInterrupt:
        objective.interrupted = True
    _report(folder, plan, space, study)
    if objective.interrupted:
        name = shlex.quote(str(folder) if folder.parent != RUNS else folder.name)
        command = f"frameperfect sweep {plan.settings.game} --run {name} --resume"
        raise Interrupted(f"interrupted; what ended is kept; go on: {command} --trials {trials}")


def _study(folder: Path, plan: Plan) -> tuple[Any, Any]:
    """The Optuna study in the folder's SQLite file, made where there is none."""
    try:
        import optuna
        from optuna.storages import RDBStorage, RetryHeartbeatStaleTrialCallback
    except ImportError:
        raise MissingComponent("a sweep needs Optuna: pip install 'frameperfect[sweep]'") from None

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    warnings.filterwarnings("ignore", category=optuna.exceptions.ExperimentalWarning)
    folder.mkdir(parents=True, exist_ok=True)
    storage = RDBStorage(
        f"sqlite:///{(folder / STORE).resolve()}",
        engine_kwargs={"connect_args": {"timeout": 60}},
        heartbeat_interval=HEARTBEAT,
        grace_period=SILENCE,
        heartbeat_stale_trial_callback=RetryHeartbeatStaleTrialCallback(),
    )
    study = optuna.create_study(
        storage=storage,
        study_name="sweep",
        direction="maximize",
        load_if_exists=True,
        pruner=optuna.pruners.MedianPruner(FIRST_TRIALS, FIRST_RUNG, n_min_trials=FIRST_TRIALS),
    )
    return study, optuna


class _Stopped(Exception):
    """Ctrl-C ended a trial."""


class Objective:
    """One trial: a training whose mean return is told on the way."""

    def __init__(self, folder: Path, plan: Plan, space: Space, optuna: Any) -> None:
        self.folder, self.plan, self.space, self.optuna = folder, plan, space, optuna
        self.interrupted = False

    def __call__(self, trial: Any) -> float:
        """The mean return at the end.

        Raises:
            TrialPruned: it is behind the median of the others, or it could not go on.
            _Stopped: Ctrl-C; the same settings are tried again later.
            Refused: no episode ended, so that there is nothing to compare.
        """
        from frameperfect.cli.train import config_class
        from frameperfect.learn import train
        from frameperfect.view.progress import ProgressLine, training_text

        base = self.plan.settings
        trial.study.sampler = self._sampler(trial.number)
        learn = {**base.learn, **self.space.suggest(trial)}
        lists = {key: tuple(value) for key, value in learn.items() if isinstance(value, list)}
        settings = dataclasses.replace(base, learn=learn)
        folder = trial_folder(self.folder, trial.number)
        settings.write(folder)
        told = 0
        with ProgressLine(console(), f"trial {trial.number}") as line:

            def tell(now: Any) -> None:
                nonlocal told
                part, text = training_text(now)
                line.update(part, text)
                rung = int(part * RUNGS)
                if rung > told and now.mean_return == now.mean_return:
                    told = rung
                    trial.report(now.mean_return, rung)
                    if trial.should_prune():
                        line.update(part, f"{text}  stopped: behind the median")
                        raise self.optuna.TrialPruned

            try:
                config = config_class(settings.algo)(**{**learn, **lists})
                result = train(settings.make_envs(), config, folder, progress=tell)
            except LearningError as failure:
                trial.set_user_attr("failure", str(failure))
                say(f"trial {trial.number} could not go on: {failure}")
                raise self.optuna.TrialPruned from None
        if result.stopped == "interrupt":
            self.interrupted = True
            trial.study.stop()
            trial.study.enqueue_trial(trial.params)
            raise _Stopped
        if result.mean_return != result.mean_return:
            raise Refused(
                f"no episode ended in trial {trial.number}, so there is nothing to compare: give a trial "
                "more --steps, or cut episodes by --max-steps"
            )
        return result.mean_return

    def _sampler(self, number: int) -> Any:
        """A trial's own: no two processes run the same number, so that none draws what another draws, and
        who goes on draws what would have come.
        """
        import numpy as np

        mixed = np.random.SeedSequence((int(self.plan.settings.learn["seed"]) % 2**64, number))
        seed = int(mixed.generate_state(1)[0])
        return self.optuna.samplers.TPESampler(seed=seed, n_startup_trials=FIRST_DRAWS)


def trial_folder(folder: Path, number: int) -> Path:
    """Where a trial's training lies."""
    return folder / f"trial{number:04}"


class BestFile:
    """Writes the best settings after every trial."""

    def __init__(self, folder: Path, plan: Plan, space: Space) -> None:
        self.folder, self.plan, self.space = folder, plan, space

    def __call__(self, study: Any, _: Any = None) -> None:
        """`best.toml`, where a trial has ended well."""
        from frameperfect.atomic import replacing
        from frameperfect.cli.settings_file import write_settings

        best = best_trial(study)
        if best is None:
            return
        searched = {name: self.space.value(name, kept) for name, kept in best.params.items()}
        command = f"frameperfect train {self.plan.settings.game} --algo {self.plan.settings.algo}"
        comment = (
            f"Trial {best.number}: mean return {best.value:.4g}.\n{command} --config {self.folder / BEST}"
        )
        with replacing(self.folder / BEST) as part:
            part.write_text(write_settings({**self.plan.shared, **searched}, comment), "utf-8")


def best_trial(study: Any) -> Any:
    """The trial with the best end; None before one has ended."""
    ended = [trial for trial in study.get_trials(deepcopy=False) if trial.state.name == "COMPLETE"]
    return max(ended, key=lambda trial: trial.value, default=None)


# -- what came of it ---------------------------------------------------------------------------------------


def _report(folder: Path, plan: Plan, space: Space, study: Any) -> None:
    """The table of the best trials, the plot, and how to go on."""
    from rich.box import SIMPLE_HEAD
    from rich.table import Table

    from frameperfect.view.sweep_plot import Scale, draw_sweep

    trials = [trial for trial in study.get_trials(deepcopy=False) if trial.state.is_finished()]
    ended = sorted((t for t in trials if t.state.name == "COMPLETE"), key=lambda t: -t.value)
    pruned = [trial for trial in trials if trial.state.name == "PRUNED"]
    if not ended:
        failures = [trial.user_attrs["failure"] for trial in pruned if "failure" in trial.user_attrs]
        say(f"no trial has ended{f'; the last could not go on: {failures[-1]}' if failures else ''}")
        return
    table = Table(box=SIMPLE_HEAD, pad_edge=False)
    for name in ("trial", "mean return", *space.parts):
        table.add_column(name, justify="right", overflow="fold")
    for trial in ended[:10]:
        cells = [_short(space.value(name, trial.params[name])) for name in space.parts]
        table.add_row(str(trial.number), f"{trial.value:.4g}", *cells)
    console().print(table)
    draw_sweep(
        [
            _drawn(folder, trial, space, plan)
            for trial in sorted([*ended, *pruned], key=lambda trial: trial.number)
        ],
        {name: Scale(**part.model_dump(exclude={"step"})) for name, part in space.parts.items()},
        folder / PLOT,
        f"{plan.settings.game}, {plan.settings.algo}: {len(ended)} trials, {len(pruned)} stopped early",
    )
    BestFile(folder, plan, space)(study)
    say(f"{folder}: {len(ended)} trials ended, {len(pruned)} were stopped early")
    say(f"frameperfect train {plan.settings.game} --algo {plan.settings.algo} --config {folder / BEST}")


def _short(value: Any) -> str:
    return f"{value:.3g}" if isinstance(value, float) else str(value)


def _drawn(folder: Path, trial: Any, space: Space, plan: Plan) -> Any:
    """A trial as the plot takes it."""
    import numpy as np

    from frameperfect.learn.metrics import read
    from frameperfect.view.sweep_plot import Trial

    rows = [row for row in read(trial_folder(folder, trial.number)) if "mean_return" in row]
    points = np.array([[row["steps"], row["mean_return"]] for row in rows]).reshape(-1, 2)
    values = {name: space.value(name, kept) for name, kept in trial.params.items()}
    whole = trial.state.name == "COMPLETE"
    return Trial(trial.number, trial.value if whole else None, points[:, 0], points[:, 1], values)
