"""`runs`, and a run's folder: what was trained on what, and where its results lie.

    runs/<name>/config.json             game, environment and settings, from which all else can be made again
    runs/<name>/checkpoint.safetensors  the agent, and everything to go on training exactly
    runs/<name>/metrics.csv, tensorboard/, curve.png
    runs/<name>/evaluation.json, best.fpm, best.bk2, best.mp4
    runs/<name>/history.json            the commands that made it
    runs/<name>/report.html             all of it on one page

With several seeds, each has such a folder, `seed0` and so on, inside the run's.
"""

from __future__ import annotations

import csv
import difflib
import json
import math
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from frameperfect import __version__
from frameperfect.atomic import replacing
from frameperfect.cli.app import Refused, app, console, example

if TYPE_CHECKING:
    import gymnasium

    from frameperfect.env import VectorEnv

RUNS = Path("runs")
CONFIG = "config.json"


@app.command(epilog=example("runs", "runs other/runs"))
def runs(
    folder: Annotated[Path, typer.Argument(help="The folder that the runs lie in.")] = RUNS,
) -> None:
    """List runs: game, algorithm, steps, score with its 95 % interval, whether the best movie verified."""
    from rich.box import SIMPLE_HEAD
    from rich.table import Table

    if not folder.is_dir():
        what = "is a file" if folder.exists() else "does not exist"
        raise Refused(f"{folder} {what}; name the folder that runs lie in, or train one: `frameperfect demo`")
    found = summaries(folder)
    if not found:
        near = f"; did you mean {folder.parent}?" if (folder / CONFIG).is_file() else ""
        raise Refused(f"{folder} holds no runs{near or '; `frameperfect train GAME` makes one'}")
    table = Table(box=SIMPLE_HEAD, pad_edge=False)
    for name in ("run", "game", "algo"):
        table.add_column(name, overflow="fold")
    for name in ("steps", "mean return", "95 % interval"):
        table.add_column(name, justify="right")
    table.add_column("best movie")
    table.add_column("when")
    for one in found:
        low, high = one.interval or (0.0, 0.0)
        table.add_row(
            _name(folder, one.folder), one.game, one.algo, "-" if one.steps is None else f"{one.steps:,}",
            "-" if one.mean is None else f"{one.mean:.1f}{'' if one.interval else ' (training)'}",
            f"{low:.1f} to {high:.1f}" if one.interval else "-", one.movie, one.when,
        )  # fmt: skip
    console().print(table)


@dataclass(frozen=True)
class RunSummary:
    """What a list says of one run."""

    folder: Path
    game: str
    algo: str
    env: dict[str, Any]
    envs: int
    seed: int
    by_time: bool
    """Training was to stop by the clock."""
    steps: int | None
    seconds: float | None
    """Of training."""
    mean: float | None
    """Of the evaluation, else of the last episodes in training."""
    interval: tuple[float, float] | None
    """Of the evaluation; None where there was none."""
    best: float | None
    episodes: int
    movie: str
    """"verified", "does not verify", "not verified yet" or "-"."""
    when: str


def summaries(folder: Path) -> list[RunSummary]:
    """The runs in `folder`, latest first; what is none, or is damaged, is left out."""
    found = []
    for path in folder.iterdir():
        if path.is_dir() and ((path / CONFIG).is_file() or seed_folders(path)):
            try:
                found.append(summary(path))
            except Refused:
                continue  # a damaged config: the command that uses this run says so
    return sorted(found, key=lambda one: (one.when, one.folder.name), reverse=True)


def summary(folder: Path) -> RunSummary:
    """What is to say of one run; with several seeds, of their means.

    Raises:
        Refused: it holds no run.
    """
    seeds = seed_folders(folder)
    if seeds:
        return _of_seeds(folder, [summary(seed) for seed in seeds])
    config = read_run(folder)
    last = _last_metrics(folder)
    mean = last.get("mean_return", math.nan)
    agent = _agent(folder)
    newest = max((path.stat().st_mtime for path in folder.iterdir() if path.is_file()), default=0)
    return RunSummary(
        folder=folder, game=config.game, algo=config.algo, env=config.env, envs=config.envs,
        seed=int(config.learn.get("seed") or 0), by_time=config.learn.get("minutes") is not None,
        steps=int(last["steps"]) if last else None, seconds=last.get("seconds"),
        mean=agent["mean"] if agent else None if math.isnan(mean) else mean,
        interval=tuple(agent["interval"]) if agent else None, best=agent["best"] if agent else None,
        episodes=len(agent["returns"]) if agent else 0, movie=_movie(folder / "best.fpm"),
        when=time.strftime("%Y-%m-%d %H:%M", time.localtime(newest)),
    )  # fmt: skip


def _last_metrics(folder: Path) -> dict[str, float]:
    """The last row of metrics.csv; read here, as the learner's own reader brings torch with it."""
    path = folder / "metrics.csv"
    if not path.is_file():
        return {}
    with path.open(newline="") as file:
        rows = list(csv.DictReader(file))
    return {name: float(value) for name, value in rows[-1].items() if value} if rows else {}


def seed_folders(folder: Path) -> list[Path]:
    """The folders of a run's seeds; none where it is one run by itself."""
    if (folder / CONFIG).is_file():
        return []
    return sorted(path for path in folder.glob("seed*") if (path / CONFIG).is_file())


def _of_seeds(folder: Path, seeds: list[RunSummary]) -> RunSummary:
    """The mean over the seeds, with its interval where all were evaluated."""
    from dataclasses import replace

    import numpy as np

    from frameperfect.learn import interval

    means = [seed.mean for seed in seeds if seed.mean is not None]
    evaluated = len(seeds) > 1 and all(seed.interval is not None for seed in seeds)
    best = max((seed.best for seed in seeds if seed.best is not None), default=None)
    return replace(
        seeds[0], folder=folder, steps=sum(seed.steps or 0 for seed in seeds),
        seconds=sum(seed.seconds or 0 for seed in seeds), mean=sum(means) / len(means) if means else None,
        interval=interval(np.array(means)) if evaluated else None, best=best, episodes=len(seeds),
        movie=next((seed.movie for seed in seeds if seed.movie != "-"), "-"),
        when=max(seed.when for seed in seeds),
    )  # fmt: skip


def _agent(folder: Path) -> dict[str, Any] | None:
    """The agent's part of the evaluation."""
    try:
        agent = json.loads((folder / "evaluation.json").read_text("utf-8"))["players"]["agent"]
        kept = {key: agent[key] for key in ("mean", "interval", "best", "returns")}
        return kept if len(kept["interval"]) == 2 else None
    except (FileNotFoundError, ValueError, KeyError, TypeError):
        return None  # never evaluated, or the file is damaged: it counts as not evaluated


def _movie(path: Path) -> str:
    from frameperfect.cli.proven import recall

    if not path.is_file():
        return "-"
    known = recall(path)
    if known is None:
        return "not verified yet"
    return "verified" if known.matched else "does not verify"


def _name(folder: Path, run: Path) -> str:
    return run.name if folder == RUNS else str(run)


@dataclass(frozen=True)
class RunConfig:
    """What `config.json` holds."""

    game: str
    env: dict[str, Any]
    """Keywords of `make_vec`."""
    envs: int
    algo: str
    learn: dict[str, Any]
    """The fields of `PpoConfig`."""
    version: str = __version__
    actors: int = 0
    """Processes that play, each with so many `envs`; 0: the learner's own."""
    lockstep: bool = False
    cluster: str | None = None
    """The Ray cluster that actors, replay and learner are on."""
    backwards: str | None = None
    """Demonstrations along which episodes of training begin, from their ends to their starts."""
    agents: int = 1
    """While it is trained, the `envs` are games of up to so many players, who share the policy."""

    @property
    def frame_skip(self) -> int:
        """Frames of a step."""
        return int(self.env.get("frame_skip", 1))

    def write(self, run: Path) -> None:
        """Write it into the folder `run`."""
        run.mkdir(parents=True, exist_ok=True)
        with replacing(run / CONFIG) as part:
            part.write_text(json.dumps(asdict(self), indent=2) + "\n")

    def make_envs(self, n: int | None = None, **changes: Any) -> Callable[[], VectorEnv]:
        """What makes the run's environments; `changes` are other keywords of `make_vec`."""
        from frameperfect.env import make_vec

        return lambda: make_vec(self.game, n or self.envs, **{**self.env, **changes})

    def training_envs(self, **changes: Any) -> Callable[[], gymnasium.vector.VectorEnv[Any, Any, Any]]:
        """What makes the environments that it is trained in; `changes` as `make_envs` takes them."""
        if self.agents > 1:
            return self._shared_envs(**changes)
        make = self.make_envs(**changes)
        if self.backwards is None:
            return make
        from frameperfect.env.curriculum import Backwards
        from frameperfect.env.demonstrations import Demonstrations

        shown = Demonstrations.load(Path(self.backwards))
        return lambda: Backwards(make(), shown)

    def _shared_envs(self, **changes: Any) -> Callable[[], gymnasium.vector.VectorEnv[Any, Any, Any]]:
        from frameperfect.env import make_shared

        env = {**self.env, **changes}
        if (
            not env.get("observation", "features").startswith("features")
            or "core" in env
            or self.backwards is not None
        ):
            raise Refused(
                "several agents learn from features alone; leave --observation, --core and --demonstrations"
            )
        return lambda: make_shared(self.game, self.envs, self.agents, mixed=True, **env)


def read_run(run: Path) -> RunConfig:
    """The run in the folder `run`.

    Raises:
        Refused: it holds no run, or its config is damaged.
    """
    path = run / CONFIG
    if not path.is_file():
        raise Refused(f"{run} holds no run: it has no {CONFIG}{_nearest(run)}")
    try:
        config = RunConfig(**json.loads(path.read_text()))
        types_fit = isinstance(config.game, str) and isinstance(config.envs, int)
        if not (types_fit and isinstance(config.env, dict) and isinstance(config.learn, dict)):
            raise TypeError("a field has another type")
    except (ValueError, TypeError) as wrong:
        raise Refused(f"{path} is damaged ({wrong}); train the run anew, or restore the file") from None
    return config


def run_folder(name: str) -> Path:
    """The folder of the run `name`: a path as it stands, or a name under `runs/`."""
    path = Path(name)
    return path if path.is_dir() or len(path.parts) > 1 else RUNS / path


def _nearest(run: Path) -> str:
    known = sorted(path.name for path in run.parent.glob("*") if (path / CONFIG).is_file())
    near = difflib.get_close_matches(run.name, known, n=1)
    if near:
        return f". Did you mean '{near[0]}'?"
    return f"; runs in {run.parent}: {', '.join(known)}" if known else ""
