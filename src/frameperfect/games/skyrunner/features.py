"""What an agent of Skyrunner sees: the runner, the tiles around it, and the nearest enemies."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from frameperfect.games.skyrunner.source.graphics import FLAGS, read_flags
from frameperfect.games.skyrunner.source.stages import COLUMNS, HEIGHT, read_stage

_SOURCE = Path(__file__).parent / "source"
_STAGES = ("stage1", "stage2", "stage3")
_BEHIND, _AHEAD, _ABOVE, _BELOW = 3, 9, 5, 5  # tiles seen from the runner's own, its own included ahead
_PAD = 16
_SEEN = 3  # enemies
_SLOTS = range(8)
# What a tile that does not bear, or does more than that, is worth in the second plane.
_SPECIAL = (("deadly", -1.0), ("spring", 1.0), ("goal", 0.75), ("boost", 0.5), ("coin", 0.25), ("mud", -0.5))


def _planes() -> NDArray[np.float32]:
    """(stage, plane, column, row) with a margin: 1 solid, 0.5 a bridge; and what is special about a tile."""
    flags = {**read_flags(_SOURCE / "tiles.txt"), ".": 0, "%": FLAGS["solid"]}
    planes = np.zeros((len(_STAGES), 2, COLUMNS + 2 * _PAD, HEIGHT + 2 * _PAD), np.float32)
    planes[:, 0, :_PAD] = planes[:, 0, -_PAD:] = 1
    planes[:, 1, :, _PAD + HEIGHT - 1 :] = -1  # a fall is as deadly as spikes
    for number, name in enumerate(_STAGES):
        columns = read_stage(_SOURCE / "stages" / f"{name}.txt").columns
        does = np.array([[flags[c] for c in column] for column in columns])
        inside = planes[number, :, _PAD : _PAD + len(columns), _PAD : _PAD + HEIGHT - 1]
        does = does[:, : HEIGHT - 1]
        inside[0] = np.where(does & FLAGS["solid"], 1, np.where(does & FLAGS["oneway"], 0.5, 0))
        for word, value in _SPECIAL:
            inside[1][(does & FLAGS[word]) != 0] = value
    return planes


_PLANES = _planes()
_ACROSS = np.arange(-_BEHIND, _AHEAD)
_DOWN = np.arange(-_ABOVE, _BELOW + 1)


def me(view: Any) -> NDArray[np.float64]:
    """(N, 20): place in its tile and in the stage, speed, what it stands on or touches, what it may do."""
    x, y, held = view["x"], view["y"], view["held"]
    return np.stack(
        [
            (x + 5) % 16 / 8 - 1,
            (y + 7) % 16 / 8 - 1,
            x / 2048 - 1,
            y / 120 - 1,
            (view["goal_x"] - x) / 4096,
            view["stage"] - 2,
            view["vx"] / 2,
            view["vy"] / 4.5,
            view["grounded"],
            view["coyote"] / 7,
            view["rising"],
            view["wall"] == 1,
            view["wall"] == 2,
            view["wall_used"] == 1,
            view["wall_used"] == 2,
            view["locked"] / 8,
            view["facing"],
            view["in_mud"] != 0,
            (held & 128) != 0,
            view["buffer"] / 5,
        ],
        axis=1,
    )


def terrain(view: Any) -> NDArray[np.float32]:
    """(N, 264): 12 by 11 tiles around its middle, column by column; what bears, then what is special."""
    stage = np.clip(view["stage"], 1, len(_STAGES)).astype(np.int64) - 1
    column = (view["x"] + 5).astype(np.int64) // 16
    row = (view["y"] + 7).astype(np.int64) // 16
    columns = np.clip(column[:, None] + _ACROSS, -_PAD, COLUMNS + _PAD - 1) + _PAD
    rows = np.clip(row[:, None] + _DOWN, -_PAD, HEIGHT + _PAD - 1) + _PAD
    seen = _PLANES[stage[:, None, None], :, columns[:, :, None], rows[:, None, :]]
    return np.moveaxis(seen, -1, 1).reshape(len(stage), -1)


def enemies(view: Any) -> NDArray[np.float64]:
    """(N, 15): the three nearest: there or not, how far right and down, its speed, whether it is spiny."""
    kind, x, y, speed = (
        np.stack([view[f"enemy{slot}_{what}"] for slot in _SLOTS], axis=1)
        for what in ("kind", "x", "y", "vx")
    )
    right, down = x + 3 - view["x"][:, None], y - view["y"][:, None]
    there = (kind > 0) & (kind < 5) & (np.abs(right) < 192)
    order = np.argsort(np.where(there, np.abs(right), 1e9), axis=1, kind="stable")[:, :_SEEN]
    rows = np.arange(len(x))[:, None]
    each = np.stack([np.ones_like(right), right / 96, down / 96, speed * 2, kind == 4], axis=2)
    shown: NDArray[np.float64] = (each * there[:, :, None])[rows, order].reshape(len(x), -1)
    return np.clip(shown, -2, 2)
