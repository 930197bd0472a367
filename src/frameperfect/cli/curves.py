"""A run's metrics as a curve to draw."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from frameperfect.view.plots import Curve


def curve_of(folder: Path, label: str = "", value: str = "mean_return", over: str = "steps") -> Curve:
    """What the run's metrics say of `value` over another column; without `label`, by the folder's name."""
    import numpy as np

    from frameperfect.learn.metrics import read
    from frameperfect.view.plots import Curve

    rows = [row for row in read(folder) if value in row]
    points = np.array([[row[over], row[value]] for row in rows]).reshape(-1, 2)
    return Curve(label or folder.name, points[:, 0], points[:, 1])


def curves_of(folders: list[Path], value: str = "mean_return") -> list[Curve]:
    """Of several seeds by their folders, of one run as the agent's."""
    return [curve_of(folder, "" if len(folders) > 1 else "agent", value) for folder in folders]
