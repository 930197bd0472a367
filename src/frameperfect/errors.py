"""Every error that frameperfect raises on purpose.

Each message is one line that names the thing and the mend; the command line prints it and exits with 2.
"""

from __future__ import annotations

from collections.abc import Sequence


class FrameperfectError(Exception):
    """The root of all errors that a user can mend."""


class Unsupported(FrameperfectError):
    """A machine was asked for something it can't do; names the machine and the capability."""


class MissingComponent(FrameperfectError):
    """An optional dependency is not installed; names the command that installs it."""


class MachineError(FrameperfectError):
    """A machine could not be opened or run: a refused ROM, an unknown core; holds the core's log lines."""


class StateMismatch(FrameperfectError):
    """A state is damaged, or belongs to another game, core or setting; the machine is unchanged."""


class MachineCrashed(FrameperfectError):
    """An emulator died; `indices` are its places in the pool (empty for a single machine)."""

    def __init__(self, message: str, indices: Sequence[int] = ()) -> None:
        super().__init__(message)
        self.indices = tuple(indices)


class GameError(FrameperfectError):
    """A game definition is wrong; names file, key and the fix."""


class EnvError(FrameperfectError):
    """An environment was asked for what this game does not have; names the setting and the choices."""


class UnknownGame(FrameperfectError):
    """No game of that name; suggests the nearest."""


class MissingRom(FrameperfectError):
    """The game is known and its ROM is not here; names the hash to import."""


class MovieError(FrameperfectError):
    """A movie can't be read or written; names file, line and column."""


class Desync(FrameperfectError):
    """A movie's replay left the recorded run at `frame`; `variable` is the first that differs, if known."""

    def __init__(self, message: str, frame: int, variable: str | None = None) -> None:
        super().__init__(message)
        self.frame = frame
        self.variable = variable


class DisplayError(FrameperfectError):
    """No window can be shown here; names what to do."""


class LearningError(FrameperfectError):
    """Training can't start or go on: wrong settings, a loss that is not a number, a full disk."""


class ActorFailed(LearningError):
    """An actor's environment raised, or its process dies again and again; names the actor and why."""


class CheckpointError(LearningError):
    """A checkpoint is missing, damaged, or belongs to another game, network or setting."""


class SearchError(FrameperfectError):
    """A search can't start or go on: rules that don't fit, a machine without states, too little memory."""


class RamError(FrameperfectError):
    """The RAM lab was asked for something it can't find, compare or write; names the choices."""
