"""Opening a game's machine."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import TYPE_CHECKING

from frameperfect.game.registry import load_game
from frameperfect.machine import Machine, open_machine

if TYPE_CHECKING:
    from frameperfect.game.game import Game


def open(
    game: str | os.PathLike[str] | Game,
    *,
    core: str | None = None,
    options: Mapping[str, str] | None = None,
    isolated: bool = False,
    start: str | bytes | None = None,
) -> Machine:
    """Open a game's machine, with its variables by name.

    Args:
        game: a name, a path (of a game.toml, its folder or a ROM) or a `Game`.
        core: instead of the game's own or the system's default.
        options: settings of the machine or core, over those of the game.
        isolated: run it in a worker process: a crash of the emulator is then `MachineCrashed`, not ours.
        start: a start of the game or a sealed state to begin at; power-on where None.

    Raises:
        UnknownGame: no game of that name.
        MissingRom: its ROM is not here.
        GameError: its definition is wrong, or has no such start.
        MachineError: the core refused the ROM.
        StateMismatch: the start is a state of another core.
    """
    found = load_game(game)
    spec = found.spec(core, options)
    if isolated:
        from frameperfect.workers import IsolatedMachine

        machine: Machine = IsolatedMachine(spec)
    else:
        machine = open_machine(spec)
    try:
        machine.game = found
        machine.variables = found.variables(machine.domains)
        if isinstance(start, bytes):
            machine.restore(start)
        elif start is not None:
            found.start_state(machine, start)
    except BaseException:
        machine.close()
        raise
    return machine
