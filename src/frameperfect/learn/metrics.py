"""A run's curves: metrics.csv, one row an update, and TensorBoard's event files."""

from __future__ import annotations

import csv
import time
from pathlib import Path
from typing import Any

FILE = "metrics.csv"
COLUMNS = ("steps", "updates", "seconds", "steps_per_second", "episodes", "mean_return", "mean_length")
_GROUP = {"episodes": "episode", "mean_return": "episode", "mean_length": "episode", "seconds": "time"}
_GROUP["steps_per_second"] = "time"


class Metrics:
    """Writes both. After a resume, rows later than the checkpoint are dropped."""

    def __init__(self, run: Path, steps: int, losses: tuple[str, ...]) -> None:
        from torch.utils.tensorboard import SummaryWriter

        path = run / FILE
        kept = [row for row in read(run) if row["steps"] <= steps] if steps else []
        self.file = path.open("w", newline="")
        self.rows = csv.DictWriter(self.file, (*COLUMNS, *losses), extrasaction="ignore")
        self.rows.writeheader()
        self.rows.writerows(kept)
        self.board = SummaryWriter(str(run / "tensorboard"), purge_step=steps or None)
        self.written = 0.0
        self.last: dict[str, Any] = {}

    def add(self, row: dict[str, Any]) -> None:
        """One update's numbers, by the names of `COLUMNS` and the learner's losses. TensorBoard gets at most
        two points a second.
        """
        self.rows.writerow(row)
        self.file.flush()
        self.last = row
        if time.monotonic() - self.written > 0.5:
            self._plot()

    def _plot(self) -> None:
        for name, value in self.last.items():
            if name not in ("steps", "updates"):
                self.board.add_scalar(f"{_GROUP.get(name, 'losses')}/{name}", value, self.last["steps"])
        self.written = time.monotonic()
        self.last = {}

    def close(self) -> None:
        """Write what is left."""
        self._plot()
        self.file.close()
        self.board.close()


def read(run: Path) -> list[dict[str, float]]:
    """The rows of a run's metrics.csv; none if there is no such file."""
    path = run / FILE
    if not path.exists():
        return []
    with path.open(newline="") as file:
        return [{name: float(value) for name, value in row.items() if value} for row in csv.DictReader(file)]
