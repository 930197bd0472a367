"""A run's folder: what was trained on what, and where its results lie.

    runs/<name>/config.json             game, environment and settings, from which all else can be made again
    runs/<name>/checkpoint.safetensors  the agent, and everything to go on training exactly
    runs/<name>/metrics.csv, tensorboard/, curve.png
    runs/<name>/evaluation.json, best.fpm, best.bk2, best.mp4

With several seeds, each has such a folder, `seed0` and so on, inside the run's.
"""

from __future__ import annotations

import difflib
import json
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from frameperfect import __version__
from frameperfect.cli.app import Refused
from frameperfect.view.atomic import replacing

if TYPE_CHECKING:
    from frameperfect.env import VectorEnv

RUNS = Path("runs")
CONFIG = "config.json"


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

    def write(self, run: Path) -> None:
        """Write it into the folder `run`."""
        run.mkdir(parents=True, exist_ok=True)
        with replacing(run / CONFIG) as part:
            part.write_text(json.dumps(asdict(self), indent=2) + "\n")

    def make_envs(self, n: int | None = None, **changes: Any) -> Callable[[], VectorEnv]:
        """What makes the run's environments; `changes` are other keywords of `make_vec`."""
        from frameperfect.env import make_vec

        return lambda: make_vec(self.game, n or self.envs, **{**self.env, **changes})


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
