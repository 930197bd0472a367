"""One run in a window: the session, and the picture of where it stands."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from dataclasses import replace
from types import ModuleType
from typing import Any

import numpy as np

from frameperfect.movie import Session
from frameperfect.view.hud import BACK, MARGIN, TEXT, Hud
from frameperfect.view.overlay import LINE, Canvas, Overlay, Scene, Spectator, draw, text_width
from frameperfect.view.video import Chances

BAR = LINE + 8
"""Height of the caption beneath a small tile."""
UNKNOWN = (256, 224)
"""Width and height of a screen that has not shown anything yet."""
CAPTION, TOAST, TOAST_BACK = (186, 192, 204), (250, 250, 252), (36, 40, 52)


class Tile:
    """Draws a session: the game enlarged by a whole factor, overlays on it, a panel or a caption beneath."""

    def __init__(
        self,
        session: Session,
        *,
        caption: str = "",
        names: Sequence[str] = (),
        overlays: Sequence[Overlay] = (),
        chances: Chances | None = None,
        every: int = 1,
    ) -> None:
        """`names` are the panel's variables; `chances` those of an agent that acts every `every` frames."""
        self.session, self.caption = session, caption
        self.note = ""
        """Why the run does not go on, where it does not."""
        self._names, self._overlays = names, overlays
        self._chances, self._every = chances, every
        self._spectator = Spectator(session.machine, every)
        self._ports = 1
        self._factor = 1
        self._area, self._pictured = UNKNOWN, False
        self.fit()
        self.arrive(jumped=True)

    # -- following the run -------------------------------------------------------------------------

    @property
    def finished(self) -> bool:
        """Whether the run is at its end."""
        return bool(self.note) or self.session.frame >= self.session.frames

    def arrive(self, jumped: bool = False) -> None:
        """The session has gone on by a frame, or with `jumped` is somewhere else."""
        session = self.session
        if jumped:
            self._spectator.begin()
            self.note = ""
        masks = session.held()
        used = max((port + 1 for port, mask in enumerate(masks) if mask), default=1)
        self._ports = max(self._ports, used)
        more: dict[str, Any] = {}
        if self._chances is not None and len(self._chances.chances):
            step = min(max(session.frame - 1, 0) // self._every, len(self._chances.chances) - 1)
            more = {
                "probabilities": self._chances.chances[step].tolist(),
                "action_names": self._chances.names,
            }
        buttons = [controller.buttons for controller in session.machine.controllers[: self._ports]]
        self.scene: Scene = self._spectator.look(
            session.frame, masks, controllers=buttons, caption=self.caption, **more
        )

    def fit(self) -> bool:
        """Make room for the machine's screen; returns whether that took more than there was."""
        height, width = self.session.machine.screen(copy=False).shape[:2]
        if not width or not height:  # a core that has shown nothing yet
            return False
        before = self._area
        least = before if self._pictured else (0, 0)
        self._area, self._pictured = (max(width, least[0]), max(height, least[1])), True
        return self._area != before

    # -- drawing -----------------------------------------------------------------------------------

    def size(self, factor: int, small: bool, panel: bool) -> tuple[int, int]:
        """Pixels that the tile takes: width, height."""
        width, height = (side * factor for side in self._area)
        return width, height + (BAR if small else self._hud(width).height if panel else 0)

    def screen_lines(self, factor: int) -> int:
        """Lines that the game's screen takes."""
        return self._area[1] * factor

    def lay_out(self, pygame: ModuleType, factor: int, small: bool, panel: bool) -> None:
        """Get ready to draw at this size; `small` is a tile among others."""
        self._pygame, self._factor, self._small = pygame, factor, small
        width, height = self.size(factor, small, panel)
        self._panel = self._hud(width) if panel and not small else None
        self.picture = np.zeros((height, width, 3), np.uint8)
        self._pixels = pygame.image.frombuffer(self.picture, (width, height), "RGB")
        self._laid_out = self._ports
        self._screen_height = self._area[1] * factor

    @property
    def outgrown(self) -> bool:
        """Whether the panel has become too small: a second port came into play."""
        return self._panel is not None and self._ports != self._laid_out

    def draw(self, state: str, toast: str, overlays: bool) -> Any:
        """The tile as a pygame surface, which stays the tile's own."""
        image = np.ascontiguousarray(self.session.machine.screen(copy=False))
        height, width = image.shape[:2] if image.size else (1, 1)
        factor = max(1, min(self._area[0] * self._factor // width, self._area[1] * self._factor // height))
        left = (self.picture.shape[1] - width * factor) // 2
        top = (self._screen_height - height * factor) // 2
        if left or top:
            self.picture[: self._screen_height] = 0
        transform = self._pygame.transform
        if image.size:
            source = self._pygame.image.frombuffer(image, (width, height), "RGB")
            place = self._pixels.subsurface((left, top, width * factor, height * factor))
            transform.scale(source, (width * factor, height * factor), place)
        canvas = Canvas(self.picture[: self._screen_height])
        if overlays:
            draw(self._overlays, canvas, replace(self.scene, origin=(left, top), factor=factor))
        if self._small:
            self._draw_bar(state)
        elif self._panel is not None:
            scene = self.scene
            self.picture[self._screen_height :] = self._panel.draw(
                scene.frame, scene.masks, scene.values, state
            )
        draw_toast(canvas, self.note or toast)
        return self._pixels

    def _draw_bar(self, state: str) -> None:
        """Caption at the left, time at the right, beneath a small tile."""
        bar = Canvas(self.picture[self._screen_height :])
        bar.filled(0, 0, bar.width, bar.height, BACK)
        minutes, seconds = divmod(self.scene.frame / self.scene.frame_rate, 60)
        state = "done" if self.finished else state
        time = f"{state}  {minutes:.0f}:{seconds:05.2f}".strip()
        bar.text(bar.width - MARGIN - text_width(time), 4, time, TEXT)
        most = (bar.width - 3 * MARGIN - text_width(time)) // text_width("0")
        bar.text(MARGIN, 4, shortened(self.caption, most), CAPTION)

    def _hud(self, width: int) -> Hud:
        buttons = [controller.buttons for controller in self.session.machine.controllers[: self._ports]]
        return Hud(width, buttons, self._names, self.session.machine.frame_rate)


def shortened(text: str, most: int) -> str:
    """At most so many letters; where some are left out, a sign says so."""
    return text if len(text) <= most else text[: max(most - 1, 0)] + "…"


def draw_toast(canvas: Canvas, text: str) -> None:
    """A passing message at the top, in as many lines as it takes."""
    if not text:
        return
    letters = max(8, (canvas.width - 6 * MARGIN) // text_width("0"))
    lines = textwrap.wrap(text, letters)[: max(1, canvas.height // LINE - 2)]
    width = max(map(text_width, lines)) + 2 * MARGIN
    left = (canvas.width - width) // 2
    canvas.filled(left, MARGIN, width, LINE * len(lines) + MARGIN, TOAST_BACK, 0.92)
    for row, line in enumerate(lines):
        canvas.text(left + MARGIN, MARGIN + MARGIN / 2 + row * LINE, line, TOAST)
