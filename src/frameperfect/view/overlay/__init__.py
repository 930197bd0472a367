"""Drawing on the frames of a run: in the window, in videos and in screenshots alike.

An overlay is a function of a `Canvas` and a `Scene`; a list of them is applied in order. Those that the
product brings have names, for `--overlay NAME`.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from frameperfect.errors import FrameperfectError, GameError
from frameperfect.view.overlay.canvas import Canvas
from frameperfect.view.overlay.panels import Inputs, Probabilities, Reward, Variables
from frameperfect.view.overlay.scene import Overlay, Scene
from frameperfect.view.overlay.spectator import Spectator, shown_names
from frameperfect.view.overlay.text import LINE, clock_text, text_width
from frameperfect.view.overlay.trail import Trail, camera_of, world_of

if TYPE_CHECKING:
    from frameperfect.machine import Machine

NAMES = ("inputs", "variables", "reward", "probabilities", "trail")


def make_overlays(names: Iterable[str], machine: Machine, show: Sequence[str] | None = None) -> list[Overlay]:
    """New overlays by name for the game that `machine` plays; they keep what they need of earlier frames.

    `show` names the variables that "variables" shows instead of those of the game's panel.

    Raises:
        FrameperfectError: no overlay has that name.
        GameError: the trail is wanted, and the game does not say where its player is.
    """
    return [_make(name, machine, show) for name in names]


def check_names(names: Iterable[str]) -> None:
    """Refuse what is no overlay, before any work is done for it.

    Raises:
        FrameperfectError: no overlay has that name.
    """
    for name in names:
        if name not in NAMES:
            near = difflib.get_close_matches(name, NAMES, n=1)
            hint = f"did you mean '{near[0]}'?" if near else f"there are {', '.join(NAMES)}"
            raise FrameperfectError(f"no overlay '{name}'; {hint}")


def _make(name: str, machine: Machine, show: Sequence[str] | None) -> Overlay:
    check_names([name])
    if name == "inputs":
        return Inputs()
    if name == "variables":
        return Variables(shown_names(machine) if show is None else show)
    if name == "reward":
        return Reward()
    if name == "probabilities":
        return Probabilities()
    view = machine.game.view if machine.game is not None else None
    if view is None or view.trail is None:
        where = machine.game.where if machine.game is not None else "this program"
        raise GameError(
            f"{where}: the trail needs the names of the player's place: "
            '[view] trail = ["x", "y"], and camera = [...] where the screen scrolls'
        )
    return Trail(view.trail, view.camera, view.scene or ())


def draw(overlays: Iterable[Overlay], canvas: Canvas, scene: Scene) -> None:
    """Apply `overlays` in order."""
    for overlay in overlays:
        overlay(canvas, scene)


__all__ = [
    "LINE", "NAMES", "Canvas", "Overlay", "Scene", "Spectator", "camera_of", "check_names", "clock_text",
    "draw", "make_overlays", "shown_names", "text_width", "world_of",
]  # fmt: skip
