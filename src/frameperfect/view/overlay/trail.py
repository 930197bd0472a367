"""Where the player has been, drawn in the world of the game."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from frameperfect.view.overlay.canvas import Canvas
from frameperfect.view.overlay.history import History
from frameperfect.view.overlay.scene import Scene

NEW, OLD = (255, 176, 46), (196, 120, 24)
LENGTH = 1800
"""Frames that the trail reaches back."""
RECENT = 120
JUMP = 48
"""A step longer than this many pixels is no movement (a new level, say), and no line is drawn."""


class Trail:
    """The way of the player over the last half minute; `place` and `camera` name x and y of each.

    `world` names what is equal at two places of one world; what lies in another is not drawn.
    """

    def __init__(
        self, place: tuple[str, str], camera: tuple[str, str] | None, world: Sequence[str] = ()
    ) -> None:
        self._place, self._camera, self._world = place, camera, world
        self._way: History[tuple[float, float]] = History(LENGTH)
        self._worlds: History[tuple[float, ...]] = History(LENGTH)

    def __call__(self, canvas: Canvas, scene: Scene) -> None:
        """Draw it."""
        x, y = (float(scene.values.get(name, math.nan)) for name in self._place)
        left, top = camera_of(scene, self._camera)
        here = world_of(scene, self._world)
        self._way.put(scene.frame, (x, y))
        self._worlds.put(scene.frame, here)
        way = np.array(self._way.last(LENGTH))
        if here:
            way[(np.array(self._worlds.last(LENGTH)) != here).any(axis=1)] = np.nan
        way[1:][np.abs(np.diff(way, axis=0)).max(axis=1) > JUMP] = np.nan
        points = np.stack(scene.at(way[:, 0] - left, way[:, 1] - top), axis=1)
        width = max(1, round(scene.factor / 2))
        edges = canvas.width, canvas.height
        for part, colour in ((points[: -RECENT + 1], OLD), (points[-RECENT:], NEW)):
            seen = np.flatnonzero(((part > 0) & (part < edges)).all(axis=1))
            if len(seen):  # what is long out of sight costs nothing
                canvas.polyline(part[max(seen[0] - 1, 0) : seen[-1] + 2], colour, width)
        here_x, here_y = scene.at(x - left, y - top)
        canvas.box(here_x - 3, here_y - 3, 7, 7, NEW)


def world_of(scene: Scene, names: Sequence[str]) -> tuple[float, ...]:
    """The world that the scene is in: equal for two places of one."""
    return tuple(float(scene.values.get(name, 0)) for name in names)


def camera_of(scene: Scene, camera: tuple[str, str] | None) -> tuple[float, float]:
    """The world's place at the left top of the screen."""
    if camera is None:
        return 0.0, 0.0
    return float(scene.values.get(camera[0], 0)), float(scene.values.get(camera[1], 0))
