"""The Atari 2600 games of ale-py's wheel as games: ALE's score is the reward, its game over the end.

ALE knows each game's score, lives and end (https://ale.farama.org/environments/); the `atari` machine shows
them as the memory domain `ale`.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping
from pathlib import Path

from frameperfect.game.game import Game
from frameperfect.game.registry import ale_name
from frameperfect.game.schema import check
from frameperfect.game.section import Combinations
from frameperfect.game.toml import write_toml


class AleGame(Game):
    """A game of ale-py's. Its actions are asked of ALE when they are first wanted, which takes a while."""

    def __init__(self, rom: Path) -> None:
        name = ale_name(rom.stem)
        table = {
            "game": {"name": name, "machine": "atari", "system": "atari2600", "program": rom.stem},
            "memory": {
                "score": {"address": 0, "type": "<i4", "domain": "ale"},
                "lives": {"address": 4, "type": "u1", "domain": "ale"},
                "game_over": {"address": 5, "type": "u1", "domain": "ale"},
            },
            "reward": {"score": "delta(score)"},
            "end": {"terminated": "game_over"},
            "search": {
                "score": {
                    "prefer": "score",
                    "fail": "lives < prev.lives or game_over",
                    "cells": ["screen"],
                    "frames": 4,
                    "steps": 4500,  # five minutes of play
                }
            },
        }
        super().__init__(check(table, name), "ale")
        self._rom = rom

    @property
    def actions(self) -> Mapping[str, Combinations]:
        """The game's minimal set, as ALE knows it."""
        return {"minimal": minimal_actions(self._rom)}

    def to_toml(self) -> str:
        """Its `game.toml`, the actions in it."""
        return write_toml(self.definition.model_copy(update={"actions": dict(self.actions)}))


def import_game(rom: Path) -> Game:
    """The game of one of ale-py's ROMs."""
    return AleGame(rom)


@functools.cache
def minimal_actions(rom: Path) -> list[str]:
    """The combinations that matter in a game, as ALE's `getMinimalActionSet` lists them."""
    import ale_py

    ale_py.ALEInterface.setLoggerMode(ale_py.LoggerMode.Error)
    ale = ale_py.ALEInterface()
    ale.loadROM(str(rom))
    return [_combination(action.name) for action in ale.getMinimalActionSet()]


def _combination(action: str) -> str:
    """`UPRIGHTFIRE` -> `Up Right Fire`; `NOOP` -> nothing."""
    return " ".join(button for button in ("Up", "Down", "Left", "Right", "Fire") if button.upper() in action)
