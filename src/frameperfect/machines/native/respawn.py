"""New lives for all players, where a server can't be taken back to an earlier moment."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from frameperfect.errors import MachineError
from frameperfect.machines.native import program
from frameperfect.machines.native.controls import encode, to_wire
from frameperfect.machines.native.hook import RECORD_SIZE, HookedGame

_RACE, _ALIVE = 36 // 4, 52 // 4
"""Words of a player's record."""
_KILL_DELAY, _SETTLING = 51, 25
"""Ticks: a life must have lasted a second where nobody set sv_kill_delay, and then the new one falls."""
_RESPAWNS = 8


def give_new_lives(game: HookedGame, memory: NDArray[np.uint8], players: int) -> None:
    """Have our players give up their lives, until all stand at a spawn point with no race begun.

    Args:
        memory: the domain `players`, live.

    Raises:
        MachineError: they get no new ones.
    """
    idle = to_wire(encode((), None, players))
    records = memory.view("<i4").reshape(-1, RECORD_SIZE // 4)[:players]
    for _ in range(_RESPAWNS):
        game.step(idle, _KILL_DELAY)
        game.respawn()
        game.step(idle, _SETTLING)
        if (records[:, _ALIVE] & 1).all() and not records[:, _RACE].any():
            return
    raise MachineError(f"{program.NAME} gives our players no new lives; may they be killed there?")
