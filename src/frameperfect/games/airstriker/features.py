"""What an agent of Airstriker sees: the ship, what falls towards it, and the same as columns around it."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

LEFT, RIGHT = 137, 412  # where the ship can be
TOP, SHIP_Y = 110, 310
_HALF = (RIGHT - LEFT) / 2
_ENEMIES, _BULLETS, _ROCKS = range(3, 10), range(3, 10), range(6, 10)
_COUNTS = [len(_ENEMIES), len(_BULLETS), len(_ROCKS)]
_MIDDLE = np.repeat([4, -8, -4], _COUNTS)  # of what is drawn, from its x, beside the ship's
_REACH = np.repeat([30.0, 20.0, 24.0], _COUNTS)  # how close its middle touches the ship, with a margin
_NEAR = np.arange(-100, 101, 20)
_ACROSS = np.arange(-140, 141, 20)


def me(view: Any) -> NDArray[np.float64]:
    """(N, 5): where the ship is, which way it moves, flying, whether fire was held, time to the next wave."""
    x = view["x"]
    return np.stack(
        [
            (x - LEFT) / _HALF - 1,
            np.clip((x - view.prev["x"]) / 20, -1, 1),
            view["ship"] == 9,
            view["firing"],
            np.minimum(view["countdown"], 40) / 40,
        ],
        axis=1,
    )


def threats(view: Any) -> NDArray[np.float64]:
    """(N, 11): were the ship so far to the left or right, how low the lowest thing above it would be."""
    there, x, y = _objects(view)
    return _columns(view, there, x, y, _REACH, _NEAR)


def targets(view: Any) -> NDArray[np.float64]:
    """(N, 15): were the ship so far to the left or right, how low the lowest enemy in its fire would be."""
    there, x, y = (part[:, : len(_ENEMIES)] for part in _objects(view))
    return _columns(view, there & (y < SHIP_Y - 20), x, y, 14.0, _ACROSS)


def enemies(view: Any) -> NDArray[np.float64]:
    """(N, 12): the three lowest enemies."""
    return _lowest(view, slice(0, len(_ENEMIES)), 3)


def bullets(view: Any) -> NDArray[np.float64]:
    """(N, 12): the three lowest bullets."""
    return _lowest(view, slice(len(_ENEMIES), len(_ENEMIES) + len(_BULLETS)), 3)


def _objects(view: Any) -> tuple[NDArray[np.bool_], NDArray[np.int64], NDArray[np.int64]]:
    """(N, 18) each: there or not, x and y of enemies, bullets and meteors."""
    kinds = (("enemy", _ENEMIES), ("bullet", _BULLETS), ("rock", _ROCKS))
    names = [f"{kind}{slot}" for kind, slots in kinds for slot in slots]
    sprite, x, y = (
        np.stack([view[f"{name}_{what}"] for name in names], axis=1) for what in ("sprite", "x", "y")
    )
    return (sprite != 0) & (y >= TOP) & (y < SHIP_Y + 32), x + _MIDDLE, y


def _columns(
    view: Any, there: NDArray[Any], x: NDArray[Any], y: NDArray[Any], reach: Any, offsets: NDArray[Any]
) -> NDArray[np.float64]:
    away = np.abs((x - view["x"][:, None])[:, :, None] - offsets)
    hit = there[:, :, None] & (away < np.reshape(reach, (1, -1, 1)))
    low: NDArray[np.float64] = np.where(hit, ((y - TOP) / (SHIP_Y - TOP))[:, :, None], 0.0).max(axis=1)
    return low


def _lowest(view: Any, part: slice, count: int) -> NDArray[np.float64]:
    """(N, 4 `count`): there or not, how far to the right, the same magnified, and how low; by height."""
    objects: tuple[NDArray[Any], ...] = _objects(view)
    there, x, y = (array[:, part] for array in objects)
    order = np.argsort(np.where(there, -y, 0), axis=1, kind="stable")[:, :count]
    rows = np.arange(len(x))[:, None]
    there, x, y = there[rows, order], x[rows, order], y[rows, order]
    away = (x - view["x"][:, None]) / _HALF
    each = np.stack([np.ones_like(away), away, np.clip(away * 4, -1, 1), (y - TOP) / (SHIP_Y - TOP)], axis=2)
    shown: NDArray[np.float64] = (each * there[:, :, None]).reshape(len(x), -1)
    return shown
