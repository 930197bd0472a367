"""The window: playing a game by hand, and watching runs."""

from __future__ import annotations

from frameperfect.view.window.bindings import Bindings, KeysError, change_keys
from frameperfect.view.window.controls import Controls
from frameperfect.view.window.display import display, has_display, load_pygame
from frameperfect.view.window.player import Player
from frameperfect.view.window.recording import Recording
from frameperfect.view.window.tile import Tile

__all__ = [
    "Bindings", "Controls", "KeysError", "Player", "Recording", "Tile", "change_keys", "display",
    "has_display", "load_pygame",
]  # fmt: skip
