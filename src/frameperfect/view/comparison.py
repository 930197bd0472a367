"""Several runs in one video: side by side, or the others as ghosts in the first one's world.

Beneath lies a strip: how far the others are behind the first, or what they differ by, over the whole race.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from frameperfect.view.hud import BACK, DIM, TEXT
from frameperfect.view.overlay import LINE, Canvas, Scene, camera_of, clock_text, text_width, world_of
from frameperfect.view.video import Composer, Shot

COLOURS = (
    (255, 176, 46), (86, 180, 233), (94, 201, 120), (226, 121, 182),
    (240, 228, 66), (152, 142, 255), (240, 110, 84), (170, 178, 190), (60, 210, 200),
)  # fmt: skip
"""One a run; most of them are Okabe and Ito's (2008), which the colour-blind tell apart too."""
MOST_WIDTH = 1600
HOLD = 2.0
"""Seconds that the end is shown for."""
STRIP_HEIGHT, MARGIN, GAP = 72, 8, 4
GHOST_RADIUS = 28
"""Pixels of the game around a ghost's place that are shown of it."""
GHOST, ALIKE = 0.65, 12
"""A ghost's opacity, and the difference of colour below which two pixels show the same."""


@dataclass
class Runner:
    """One run in the comparison: `shots` is its replay, `seconds` its time, `finished` whether it made it."""

    label: str
    shots: Iterator[Shot]
    composer: Composer
    seconds: float
    finished: bool
    colour: tuple[int, int, int] = (255, 255, 255)
    shot: Shot | None = None
    over: bool = False
    frozen: NDArray[np.uint8] | None = field(default=None, repr=False)

    def advance(self) -> None:
        """Go on by a frame, or stay at the last."""
        if self.over:
            return
        shot = next(self.shots, None)
        if shot is None:
            self.over = True
        else:
            # The machine's own picture changes with the next frame, and at the end there is none.
            self.shot = Shot(shot.image.copy(), shot.scene)

    @property
    def verdict(self) -> str:
        """What is said once it is over."""
        return f"{'finished' if self.finished else 'ended'} {clock_text(self.seconds)}"


@dataclass(frozen=True)
class Difference:
    """What the strip shows: for each run but the first, one number a frame; `name` says what of."""

    name: str
    series: Sequence[NDArray[np.float64]]
    unit: str = ""


def columns_for(runs: int) -> int:
    """How many lie side by side."""
    return runs if runs <= 3 else math.ceil(math.sqrt(runs))


def side_by_side(
    runners: Sequence[Runner], difference: Difference | None, frames: int, frame_rate: float
) -> Iterator[NDArray[np.uint8]]:
    """Pictures of the whole race; a run that is over freezes and says its time."""
    strip = None if difference is None else _Strip(difference, runners, frame_rate)
    for done in range(1, frames + round(HOLD * frame_rate) + 1):
        pictures = []
        for runner in runners:
            runner.advance()
            pictures.append(_own_picture(runner, done > frames))
        wall = _wall(pictures, columns_for(len(pictures)))
        yield wall if strip is None else np.concatenate([wall, strip.draw(min(done, frames), wall.shape[1])])


def ghosts(
    runners: Sequence[Runner],
    places: tuple[tuple[str, str], tuple[str, str] | None] | None,
    difference: Difference | None,
    frames: int,
    frame_rate: float,
    world: Sequence[str] = (),
) -> Iterator[NDArray[np.uint8]]:
    """The first run's pictures with the others in them, half transparent.

    `places` names the variables of the player's place and of the camera: each ghost stands at its own place
    in the world. Without them, the whole pictures are laid over each other. `world` names what is equal in
    one world: a ghost that is in another (a stage further on, say) is not drawn, and the legend says so.
    """
    strip = None if difference is None else _Strip(difference, runners, frame_rate)
    first = runners[0]
    for done in range(1, frames + round(HOLD * frame_rate) + 1):
        for runner in runners:
            runner.advance()
        assert first.shot is not None
        image, marks, away = first.shot.image.copy(), [], []
        canvas = Canvas(image)
        for place, runner in enumerate(runners[1:], 1):
            assert runner.shot is not None
            if world_of(runner.shot.scene, world) != world_of(first.shot.scene, world):
                away.append(runner)
            elif places is None:
                canvas.image(0, 0, runner.shot.image, 1 / (place + 1))
            else:
                marks.append((runner, *_put_ghost(canvas, first.shot.scene, runner, places)))
        screen = first.composer.screen(image)
        large = Canvas(screen)
        factor = screen.shape[1] / image.shape[1]
        for runner, x, y in marks:
            _mark_ghost(large, runner, x * factor, y * factor, factor)
        _legend(large, runners, away)
        picture = first.composer.finish(screen, first.shot.scene)
        yield (
            picture
            if strip is None
            else np.concatenate([picture, strip.draw(min(done, frames), picture.shape[1])])
        )


# -- one run's picture -------------------------------------------------------------------------------------


def _own_picture(runner: Runner, ended: bool) -> NDArray[np.uint8]:
    assert runner.shot is not None
    if runner.frozen is not None:
        return runner.frozen
    over = runner.over or ended
    screen = runner.composer.screen(runner.shot.image)
    picture = runner.composer.finish(screen, runner.shot.scene)
    canvas = Canvas(picture[: screen.shape[0]])
    if over:
        canvas.filled(0, 0, canvas.width, canvas.height, (0, 0, 0), 0.5)
        text = runner.verdict if runner.over else "still running"
        x, y = (canvas.width - text_width(text)) / 2, (canvas.height - LINE) / 2
        canvas.filled(x - 12, y - 8, text_width(text) + 24, LINE + 16, BACK)
        canvas.box(x - 12, y - 8, text_width(text) + 24, LINE + 16, runner.colour)
        canvas.text(x, y, text, runner.colour)
    _tab(canvas, 0, runner.label, runner.colour)
    if over:
        runner.frozen = picture
    return picture


def _tab(canvas: Canvas, row: int, label: str, colour: tuple[int, int, int]) -> None:
    """A name at the left top."""
    y = row * (LINE + 2)
    canvas.filled(0, y, text_width(label) + 2 * MARGIN + 6, LINE + 2, BACK, 0.84)
    canvas.filled(0, y, 4, LINE + 2, colour)
    canvas.text(MARGIN + 4, y + 1, label, TEXT)


def _legend(canvas: Canvas, runners: Sequence[Runner], away: Sequence[Runner]) -> None:
    for row, runner in enumerate(runners):
        more = f"  {runner.verdict}" if runner.over else "  elsewhere" if runner in away else ""
        _tab(canvas, row, runner.label + more, runner.colour)


def _wall(pictures: Sequence[NDArray[np.uint8]], columns: int) -> NDArray[np.uint8]:
    """Pictures in rows, a gap between them; smaller ones are filled up."""
    height = max(picture.shape[0] for picture in pictures)
    width = max(picture.shape[1] for picture in pictures)
    rows = -(-len(pictures) // columns)
    shape = (rows * (height + GAP) - GAP, columns * (width + GAP) - GAP, 3)
    wall = np.zeros(shape, np.uint8)
    for place, picture in enumerate(pictures):
        y, x = place // columns * (height + GAP), place % columns * (width + GAP)
        wall[y : y + picture.shape[0], x : x + picture.shape[1]] = picture
    return wall


# -- ghosts ------------------------------------------------------------------------------------------------


def _put_ghost(
    canvas: Canvas, scene: Scene, runner: Runner, places: tuple[tuple[str, str], tuple[str, str] | None]
) -> tuple[float, float]:
    """Draw what surrounds the ghost where it is in the first run's world; returns its place there."""
    (name_x, name_y), camera = places
    assert runner.shot is not None
    values, image = runner.shot.scene.values, runner.shot.image
    x, y = float(values.get(name_x, 0)), float(values.get(name_y, 0))
    own_left, own_top = camera_of(runner.shot.scene, camera)
    left, top = camera_of(scene, camera)
    # The piece of its own screen around it, with soft edges.
    middle_x, middle_y = round(x - own_left), round(y - own_top)
    x0, x1 = max(middle_x - GHOST_RADIUS, 0), min(middle_x + GHOST_RADIUS, image.shape[1])
    y0, y1 = max(middle_y - GHOST_RADIUS, 0), min(middle_y + GHOST_RADIUS, image.shape[0])
    if x0 < x1 and y0 < y1:
        rows, columns = np.mgrid[y0:y1, x0:x1]
        distance = np.hypot(rows - middle_y, columns - middle_x) / GHOST_RADIUS
        tinted = (image[y0:y1, x0:x1] * 0.75 + 0.25 * np.array(runner.colour)).astype(np.uint8)
        at_x, at_y = x0 + own_left - left, y0 + own_top - top
        # What both pictures show alike is the world, and stays as it is.
        beneath = np.zeros_like(tinted)
        Canvas(beneath).image(-round(at_x), -round(at_y), canvas.picture)
        piece = image[y0:y1, x0:x1].astype(np.int16)
        alike = (np.abs(piece - beneath) < ALIKE).all(axis=2)
        canvas.image(at_x, at_y, tinted, np.where(alike, 0, GHOST * np.clip(2 - 2 * distance, 0, 1)))
    return x - left, y - top


def _mark_ghost(canvas: Canvas, runner: Runner, x: float, y: float, factor: float) -> None:
    """Its name above it, or at the edge with the distance where it is out of sight."""
    name = runner.label.split(" ")[0]
    if 0 <= x < canvas.width and 0 <= y < canvas.height:
        above = y - GHOST_RADIUS * factor - LINE / 2
        canvas.text(x - text_width(name) / 2, above, name, runner.colour, BACK)
        return
    far = round(max(-x, x - canvas.width, -y, y - canvas.height) / factor)
    text = f"◀ {name} {far}" if x < 0 else f"{name} {far} ▶" if x >= canvas.width else f"{name} {far}"
    at_x = min(max(x - text_width(text) / 2, MARGIN), canvas.width - MARGIN - text_width(text))
    at_y = min(max(y - LINE / 2, 3 * LINE), canvas.height - MARGIN - LINE)
    canvas.text(at_x, at_y, text, runner.colour, BACK)


# -- the strip ---------------------------------------------------------------------------------------------


class _Strip:
    """The differences over the whole race, dim, and bright up to now."""

    def __init__(self, difference: Difference, runners: Sequence[Runner], frame_rate: float) -> None:
        self._difference, self._runners, self._rate = difference, runners, frame_rate
        lengths = [len(series) for series in difference.series]
        self._length = max(lengths)
        self._series = [
            np.concatenate([series, np.full(self._length - len(series), np.nan)])
            for series in difference.series
        ]
        known = np.concatenate([series[np.isfinite(series)] for series in self._series] or [np.zeros(1)])
        self._most = max(float(np.abs(known).max(initial=0)), 1e-9)
        self._ground: NDArray[np.uint8] | None = None

    def draw(self, frame: int, width: int) -> NDArray[np.uint8]:
        """The strip after `frame` frames, (STRIP_HEIGHT, width, 3)."""
        if self._ground is None:
            self._ground = np.empty((STRIP_HEIGHT, width, 3), np.uint8)
            self._ground[:] = BACK
            self._curves(Canvas(self._ground), self._length, 0.4)
        picture = self._ground.copy()
        canvas = Canvas(picture)
        self._curves(canvas, frame + 1, 1.0)
        now = self._across(width) * min(frame, self._length - 1) / max(self._length - 1, 1) + MARGIN
        canvas.line(now, LINE + 6, now, STRIP_HEIGHT - 6, TEXT)
        x = MARGIN
        canvas.text(x, 2, self._difference.name, DIM)
        x += text_width(self._difference.name + "  ")
        for series, runner in zip(self._series, self._runners[1:], strict=True):
            text = f"{runner.label.split(' ')[0]} {self._number(series, frame)}"
            canvas.text(x, 2, text, runner.colour)
            x += text_width(text + "  ")
        return picture

    def _across(self, width: int) -> int:
        return width - 2 * MARGIN

    def _curves(self, canvas: Canvas, count: int, brightness: float) -> None:
        width, top = self._across(canvas.width), LINE + 6
        height = STRIP_HEIGHT - top - 6
        if brightness < 1:
            canvas.line(MARGIN, top + height // 2, MARGIN + width, top + height // 2, (62, 68, 80))
        for series, runner in zip(self._series, self._runners[1:], strict=True):
            red, green, blue = (round(brightness * part) for part in runner.colour)
            shown = series[:count]
            part = width * (len(shown) - 1) / max(self._length - 1, 1)
            # Above the line is where the others do better: ahead in time, or more of the variable.
            up = -shown if self._difference.unit == "s" else shown
            canvas.plot(
                MARGIN, top, part + 1, height, up, (red, green, blue), low=-self._most, high=self._most
            )

    def _number(self, series: NDArray[np.float64], frame: int) -> str:
        known = series[: frame + 1]
        known = known[np.isfinite(known)]
        value = float(known[-1]) if len(known) else 0.0
        if self._difference.unit != "s":
            return f"{value:+.6g}"
        return f"{value:+.2f} s"


def labelled(runners: Sequence[Runner]) -> None:
    """Give each run its letter and colour."""
    for place, runner in enumerate(runners):
        runner.label = f"{chr(ord('A') + place)}  {runner.label}"
        runner.colour = COLOURS[place % len(COLOURS)]
