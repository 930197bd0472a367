"""Where the player has been, drawn in the world of the game."""

from __future__ import annotations

import math

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
    """The way of the player over the last half minute; `place` and `camera` name x and y of each."""

    def __init__(self, place: tuple[str, str], camera: tuple[str, str] | None) -> None:
        self._place, self._camera = place, camera
        self._way: History[tuple[float, float]] = History(LENGTH)

    def __call__(self, canvas: Canvas, scene: Scene) -> None:
        """Draw it."""
        x, y = (float(scene.values.get(name, math.nan)) for name in self._place)
        left, top = camera_of(scene, self._camera)
        self._way.put(scene.frame, (x, y))
        way = np.array(self._way.last(LENGTH))
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


def camera_of(scene: Scene, camera: tuple[str, str] | None) -> tuple[float, float]:
    """The world's place at the left top of the screen."""
    if camera is None:
        return 0.0, 0.0
    return float(scene.values.get(camera[0], 0)), float(scene.values.get(camera[1], 0))
