"""The loop of the window: poll the keys, play a frame of every tile, draw, and wait for the next."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from types import ModuleType

import numpy as np
from numpy.typing import NDArray

from frameperfect.errors import Desync, FrameperfectError
from frameperfect.movie import Session
from frameperfect.view.overlay import Canvas
from frameperfect.view.video import write_picture
from frameperfect.view.window.controls import Controls
from frameperfect.view.window.display import desktop_size
from frameperfect.view.window.help import PLAYERS_ONLY, Line, draw_help, help_lines, help_pages
from frameperfect.view.window.pace import Pace
from frameperfect.view.window.recording import Recording
from frameperfect.view.window.sound import Sound
from frameperfect.view.window.tile import Tile

SLOWEST, FASTEST = 0.125, 4.0
SKIP_SECONDS = 5
MOST_SKIPPED = 3
"""Pictures in a row that are left out where the machine can't keep up, so that the game does."""
TOAST_SECONDS = 2.5
TURBO_PART = 0.7
"""Of the time between two pictures, what turbo plays frames in."""
REPEAT_AFTER, REPEAT_EVERY = 20, 4
"""Ticks that a key for single frames is held before it repeats, and between two repeats."""
COMFORT = 600
"""Lines that a lone game is enlarged to, where nothing else is asked for and the desktop has room."""
LARGEST = 16
"""The greatest factor."""
GAP = 6
"""Pixels between tiles."""


class Player:
    """A window with one tile or several.

    With `recording`, there is one tile, and its run is the user's own: keys reach the machine, and what is
    played is recorded. Without, tiles only show what their runs hold.
    """

    def __init__(
        self,
        pygame: ModuleType,
        tiles: Sequence[Tile],
        controls: Controls,
        *,
        title: str,
        recording: Recording | None = None,
        scale: int | None = None,
        replaying: bool = False,
        paused: bool = False,
        panel: bool = True,
        name: str = "frameperfect",
    ) -> None:
        """Open the window.

        Args:
            pygame: with its display on.
            tiles: at least one.
            controls: where keys come from.
            title: of the window.
            recording: of a run that the user plays.
            scale: the factor that the game is enlarged by.
            replaying: begin with what the run holds, instead of the user's inputs.
            paused: begin so.
            panel: show the panel beneath a lone tile.
            name: what the names of screenshots begin with.
        """
        self.tiles, self.controls, self.recording = list(tiles), controls, recording
        self.replaying = replaying or recording is None
        self.paused, self.speed, self.running = paused, 1.0, True
        self.panel, self.overlays = panel, True
        self.help_page: int | None = None
        self._pygame, self._title, self._scale, self._name = pygame, title, scale, name
        self._toast, self._toast_ends = "", 0
        self._tick = 0
        self._held_for = 0
        self._doing = ""
        self._owed = [0.0] * len(self.tiles)
        self.rate = max(tile.session.machine.frame_rate for tile in self.tiles)
        self.sound = Sound(pygame, self.tiles[0].session.machine)
        if self.sound.trouble and recording is not None:
            self.say(self.sound.trouble)
        self._lay_out()

    # -- the loop ----------------------------------------------------------------------------------

    def run(self) -> None:
        """Play until the window is closed."""
        pace = Pace(self.rate)
        skipped = 0
        try:
            while self.running:
                late = pace.wait(1 if self._idle else min(self.speed, 1))
                skipped = skipped + 1 if late and skipped < MOST_SKIPPED else 0
                self.tick(shown=not skipped)
        finally:
            self.sound.close()

    def tick(self, shown: bool = True) -> None:
        """Poll, play what is due, and draw (unless time is short)."""
        self._tick += 1
        for command in self.controls.poll():
            self._guard(lambda command=command: self._do(command))  # type: ignore[misc]
        while self.controls.news:
            self.say(self.controls.news.pop(0))
        self._guard(self._play)
        if self.recording is not None and (trouble := self.recording.tick()):
            self.say(trouble)
        if shown:
            self.draw()

    def say(self, text: str) -> None:
        """Show a message for a moment."""
        self._toast, self._toast_ends = text, self._tick + round(TOAST_SECONDS * 60)

    @property
    def session(self) -> Session:
        """The first tile's."""
        return self.tiles[0].session

    @property
    def _idle(self) -> bool:
        return self.paused or self.help_page is not None

    def _guard(self, act: Callable[[], None]) -> None:
        """Do something whose failure is told in the window and does not end it."""
        try:
            act()
        except FrameperfectError as error:
            self.say(str(error))
            self.paused = self.paused or isinstance(error, Desync)
        except OSError as error:
            self.say(f"{error.filename or ''}: {error.strerror}")

    # -- playing -----------------------------------------------------------------------------------

    def _play(self) -> None:
        """What is held says how this tick goes on."""
        holding = self.controls.holding
        self._doing = ""
        if self.help_page is not None:
            self.sound.silence()
            return
        single = "advance" in holding or "back" in holding
        self._held_for = self._held_for + 1 if single else 0
        due = self._held_for == 1 or (
            self._held_for > REPEAT_AFTER and (self._held_for - REPEAT_AFTER) % REPEAT_EVERY == 0
        )
        if "rewind" in holding:
            self._doing = "rewind"
            self._rewind()
        elif single:
            self.paused = True
            if due and "back" in holding:
                self._rewind()
            elif due:
                self._frames(1)
        elif "turbo" in holding:
            self._doing = "turbo"
            self._turbo()
        elif not self.paused:
            self._frames(max(1, int(self.speed)))
        if self._doing or self.paused or self.speed != 1:
            self.sound.silence()

    def _frames(self, count: int) -> None:
        """Play `count` frames at the fastest tile's rate."""
        for _ in range(count):
            if not self._frame():
                break
        if self.speed == 1 and not self.paused:
            self.sound.frame()

    def _turbo(self) -> None:
        ends = time.perf_counter() + TURBO_PART / self.rate
        while self._frame() and time.perf_counter() < ends:
            pass

    def _frame(self) -> bool:
        """One frame of every tile; whether there is a next one."""
        if not self.replaying:
            self.session.advance(self.controls.inputs())
            self.tiles[0].arrive()
            return True
        for index, tile in enumerate(self.tiles):
            self._owed[index] += tile.session.machine.frame_rate / self.rate
            if self._owed[index] >= 1 - 1e-9:
                self._owed[index] -= 1
                self._replay(tile)
        if not all(tile.finished for tile in self.tiles):
            return True
        if not self.paused:
            self.paused = True
            if self.recording is not None:
                self.replaying = False
                self.say("the end of what is recorded: yours from here, when you go on")
        return False

    def _replay(self, tile: Tile) -> None:
        if tile.finished:
            return
        try:
            tile.session.play()
        except Desync as difference:
            if self.recording is not None:
                raise
            tile.note = str(difference)
        tile.arrive()

    def _rewind(self) -> None:
        for tile in self.tiles:
            tile.session.rewind()
            tile.arrive(jumped=True)

    def _seek(self, place: Callable[[Tile], int]) -> None:
        """Go elsewhere in the run, and only look: going on from there by hand has to be asked for."""
        self.replaying = True
        for tile in self.tiles:
            try:
                tile.session.seek(min(max(place(tile), 0), tile.session.frames))
            finally:
                tile.arrive(jumped=True)

    # -- commands ----------------------------------------------------------------------------------

    def _do(self, command: str) -> None:
        if command in PLAYERS_ONLY:
            if self.recording is not None:
                self._do_to_run(command, self.recording)
        elif command == "quit":
            if self.help_page is not None:
                self.help_page = None
            else:
                self.running = False
        elif command == "help":
            pages = len(self._help_pages())
            after = 0 if self.help_page is None else self.help_page + 1
            self.help_page = after if after < pages else None
        elif command == "pause":
            self.paused = not self.paused
        elif command in ("slower", "faster"):
            wanted = self.speed / 2 if command == "slower" else self.speed * 2
            self.speed = min(max(wanted, SLOWEST), FASTEST)
        elif command in ("start", "end"):
            self._seek(lambda tile: 0 if command == "start" else tile.session.frames)
        elif command in ("skip-back", "skip-on"):
            seconds = -SKIP_SECONDS if command == "skip-back" else SKIP_SECONDS
            self._seek(lambda t: t.session.frame + round(seconds * t.session.machine.frame_rate))
        elif command in ("hud", "overlays"):
            self.panel, self.overlays = (
                (not self.panel, self.overlays) if command == "hud" else (self.panel, not self.overlays)
            )
            self._lay_out()
        elif command == "mute":
            self.sound.muted = not self.sound.muted
            self.sound.silence()
            self.say(self.sound.trouble or ("sound off" if self.sound.muted else "sound on"))
        elif command == "screenshot":
            path = _free_path(f"{self._name}-{self.session.frame}")
            write_picture(self.tiles[0].picture if len(self.tiles) == 1 else self.shown(), path)
            self.say(f"{path} is written")

    def _do_to_run(self, command: str, recording: Recording) -> None:
        what, _, slot = command.partition("-")
        session = self.session
        if what == "save":
            session.save_slot(int(slot))
            self.say(f"slot {slot} saved at frame {session.frame}")
        elif what == "load":
            session.load_slot(int(slot))
            self.tiles[0].arrive(jumped=True)
            self.say(f"slot {slot}: frame {session.frame}")
        elif command == "record":
            self.say(recording.finish() if recording.on else f"this run is kept as {recording.begin()}")
        elif command == "begin-here":
            told = recording.finish() + "; " if recording.on else ""
            session.begin_here()
            self.replaying = False
            self.tiles[0].arrive(jumped=True)
            self.say(f"{told}a new run begins here, kept as {recording.begin()}")
        elif command == "take-over":
            self._take_over()
        elif command == "reset":
            session.press_reset()
            self.say("reset")
        elif command == "power":
            session.power_cycle()
            self.say("power off and on")

    def _take_over(self) -> None:
        ahead = self.session.frames - self.session.frame
        if not self.replaying and not ahead:
            self.say("there is nothing recorded after this frame")
            return
        self.replaying = not self.replaying
        if self.replaying:
            self.say(f"replaying the {ahead} frames recorded from here")
        else:
            self.say(f"yours from here: what you play takes the place of {ahead} frames")

    # -- drawing -----------------------------------------------------------------------------------

    def draw(self) -> None:
        """Show every tile where it stands."""
        grown = [tile.fit() or tile.outgrown for tile in self.tiles]
        if any(grown):
            self._lay_out()
        toast = self._toast if self._tick < self._toast_ends else ""
        for tile, place in zip(self.tiles, self._places, strict=True):
            surface = tile.draw(self._state(), toast if tile is self.tiles[0] else "", self.overlays)
            self._window.blit(surface, place)
        if self.help_page is not None:
            pages = self._help_pages()
            self.help_page = min(self.help_page, len(pages) - 1)
            picture = np.zeros((*self._window.get_size()[::-1], 3), np.uint8)
            draw_help(Canvas(picture), pages, self.help_page)
            whole = self._pygame.image.frombuffer(picture, self._window.get_size(), "RGB")
            self._window.blit(whole, (0, 0))
        self._pygame.display.flip()

    def shown(self) -> NDArray[np.uint8]:
        """What the window shows, (H, W, 3) uint8."""
        return np.ascontiguousarray(self._pygame.surfarray.array3d(self._window).swapaxes(0, 1))

    def _state(self) -> str:
        """The words at the panel's right: what is going on."""
        words = []
        if self.recording is not None:
            if self.replaying:
                words.append(f"replay of {self.session.frames}")
            elif self.recording.on:
                words.append("rec")
            if self.session.rerecords:
                words.append(f"rerecords {self.session.rerecords}")
        elif len(self.tiles) == 1:
            words.append(self.tiles[0].caption)
        if self.speed != 1:
            words.append(f"1/{round(1 / self.speed)}" if self.speed < 1 else f"x{self.speed:.0f}")
        words.append(self._doing or ("paused" if self.paused else ""))
        return "  ".join(word for word in words if word)

    def _help_pages(self) -> list[list[list[Line]]]:
        lines = help_lines(self.controls.bindings, self.recording is not None)
        return help_pages(lines, *self._window.get_size())

    def _lay_out(self) -> None:
        """Choose the factor and the places of the tiles, and make the window that large."""
        small = len(self.tiles) > 1
        columns = math.ceil(math.sqrt(len(self.tiles)))
        factor = self._scale or self._best_factor(columns, small)
        sizes = [tile.size(factor, small, self.panel) for tile in self.tiles]
        width, height = (max(side) for side in zip(*sizes, strict=True))
        self._places = []
        for index, tile in enumerate(self.tiles):
            tile.lay_out(self._pygame, factor, small, self.panel)
            row, column = divmod(index, columns)
            self._places.append((column * (width + GAP), row * (height + GAP)))
        rows = math.ceil(len(self.tiles) / columns)
        size = (columns * (width + GAP) - GAP, rows * (height + GAP) - GAP)
        self._window = self._pygame.display.set_mode(size)
        self._window.fill((0, 0, 0))
        self._pygame.display.set_caption(self._title)

    def _best_factor(self, columns: int, small: bool) -> int:
        """The largest that is comfortable and fits the desktop."""
        room = desktop_size(self._pygame)
        rows = math.ceil(len(self.tiles) / columns)
        for factor in range(1, LARGEST):
            sizes = [tile.size(factor + 1, small, self.panel) for tile in self.tiles]
            width, height = (max(side) for side in zip(*sizes, strict=True))
            if width * columns > room[0] or height * rows > room[1]:
                return factor
            if not small and self.tiles[0].screen_lines(factor) >= COMFORT:
                return factor
        return LARGEST


def _free_path(stem: str) -> Path:
    path, number = Path(f"{stem}.png"), 2
    while path.exists():
        path, number = Path(f"{stem}-{number}.png"), number + 1
    return path
