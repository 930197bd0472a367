"""Scores and curves of the learning tasks, for the docs: `python scripts/learning_curves.py TASK...`.

Trains five seeds (or `--seeds`) of each task of tests/learning in two processes, prints a row of the docs'
table, and draws
`docs/pictures/learning-TASK.png`.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))

from tests.learning import test_ppo_learning, test_value_learning  # noqa: E402
from tests.learning.scores import SEEDS, score  # noqa: E402

TASKS = {**test_ppo_learning.TASKS, **test_value_learning.TASKS}


def main() -> None:
    """Train, print, draw."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("task", nargs="+", choices=TASKS)
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--runs", type=Path, help="keep the runs in this folder")
    parser.add_argument("--seeds", type=int, default=len(SEEDS))
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary, ProcessPoolExecutor(chosen.processes) as pool:
        folder = chosen.runs or Path(temporary)
        due = {
            name: [
                pool.submit(score, TASKS[name], seed, folder / name / f"seed{seed}")
                for seed in range(chosen.seeds)
            ]
            for name in chosen.task
        }
        for name, futures in due.items():
            found = [each.result() for each in futures]
            task = TASKS[name]
            scores = ", ".join(
                f"{each.mean:.1f}" if each.mean >= task.target else f"**{each.mean:.1f}**" for each in found
            )
            spent = sum(each.seconds for each in found) / len(found)
            print(
                f"| {name} | {task.config.steps:,} | {task.target:g} | {scores} | {spent:.0f} |", flush=True
            )
            draw(name, folder / name)


def draw(name: str, folder: Path) -> None:
    """The seeds' curves with their mean and range."""
    import numpy as np

    from frameperfect.learn.metrics import read
    from frameperfect.view.plots import Curve, draw_learning_curve

    curves = []
    for run in sorted(folder.iterdir()):
        points = np.array([[row["steps"], row["mean_return"]] for row in read(run) if "mean_return" in row])
        curves.append(Curve(run.name, points[:, 0], points[:, 1]))
    draw_learning_curve(
        curves,
        ROOT / "docs/pictures" / f"learning-{name}.png",
        f"{name}, {len(curves)} seeds, while training",
    )


if __name__ == "__main__":
    main()
