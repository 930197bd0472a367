"""SDL's display and gamepads through pygame, with one clear line where there is none."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from types import ModuleType

from frameperfect.errors import DisplayError, MissingComponent

HEADLESS = ("dummy", "offscreen", "evdev")
"""SDL's drivers that show nothing: taken only where they are asked for by name."""


def load_pygame() -> ModuleType:
    """The pygame module.

    Raises:
        MissingComponent: it is not installed.
    """
    os.environ.setdefault("PYGAME_HIDE_SUPPORT_PROMPT", "1")
    try:
        import pygame
    except ImportError:
        raise MissingComponent("a window needs pygame-ce: pip install 'frameperfect[play]'") from None
    return pygame


def has_display() -> bool:
    """Whether a window can be expected to be seen here (or was asked for by SDL_VIDEODRIVER)."""
    try:
        load_pygame()
    except MissingComponent:
        return False
    wanted = ("SDL_VIDEODRIVER", "DISPLAY", "WAYLAND_DISPLAY")
    return sys.platform in ("win32", "darwin") or any(os.environ.get(name) for name in wanted)


@contextmanager
def display() -> Iterator[ModuleType]:
    """pygame with its display on, and off again at the end.

    Raises:
        MissingComponent: pygame-ce is not installed.
        DisplayError: there is no display.
    """
    pygame = load_pygame()
    asked = os.environ.get("SDL_VIDEODRIVER", "")
    if sys.platform == "linux":
        # Shared memory to the server, not an OpenGL texture: without a graphics card that costs three times
        # as much (6.8 against 2.6 ms of processor a frame), and with one neither matters.
        os.environ.setdefault("SDL_FRAMEBUFFER_ACCELERATION", "0")
    if not has_display():
        raise DisplayError(_no_display("neither DISPLAY nor WAYLAND_DISPLAY is set"))
    try:
        pygame.display.init()
        driver = pygame.display.get_driver()
    except pygame.error as error:
        raise DisplayError(_no_display(f"SDL says: {error}")) from None
    if driver in HEADLESS and driver not in asked:
        pygame.display.quit()
        raise DisplayError(_no_display(f"SDL finds only its {driver} driver"))
    from pygame._sdl2 import controller

    try:
        yield pygame
    finally:
        controller.quit()  # which pygame's own quit leaves half open: no gamepad would be heard next time
        pygame.quit()


def _no_display(why: str) -> str:
    return (
        f"no display to open a window on ({why}); run it on a desktop, through `xvfb-run -a frameperfect …`, "
        "or with SDL_VIDEODRIVER=dummy where nobody has to see it"
    )


def desktop_size(pygame: ModuleType) -> tuple[int, int]:
    """What a window may take up: the first screen, less room for bars and frames."""
    width, height = pygame.display.get_desktop_sizes()[0]
    return max(width - 40, 320), max(height - 100, 240)
