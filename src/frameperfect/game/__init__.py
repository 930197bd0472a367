"""What a game is: its definition, memory map, rules, starts, and where it is found."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from frameperfect.game.game import Game
    from frameperfect.game.open import open
    from frameperfect.game.registry import games, load_game, sources
    from frameperfect.game.roms import ImportReport, import_roms
    from frameperfect.game.rules import BatchEpisode, Episode, Rules

# name -> module; loaded on first use, because listing games must not wait for what loads them.
_PUBLIC = {
    "Game": "game",
    "open": "open",
    "games": "registry",
    "load_game": "registry",
    "sources": "registry",
    "Rules": "rules",
    "Episode": "rules",
    "BatchEpisode": "rules",
    "import_roms": "roms",
    "ImportReport": "roms",
    "write_new_game": "new_game",
    "import_report": "stable_retro",
    "verify": "proof",
    "Verdict": "proof",
    "from_power_on": "power_on",
}

__all__ = [
    "BatchEpisode", "Episode", "Game", "ImportReport", "Rules", "games", "import_roms", "load_game", "open",
    "sources",
]  # fmt: skip


def __getattr__(name: str) -> Any:
    if name not in _PUBLIC:
        raise AttributeError(f"module 'frameperfect.game' has no attribute '{name}'")
    value = getattr(importlib.import_module(f"frameperfect.game.{_PUBLIC[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(_PUBLIC)
