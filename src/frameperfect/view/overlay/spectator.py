"""Watches a machine and says what there is to show of each frame."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from frameperfect.errors import MissingComponent
from frameperfect.memory import read_span
from frameperfect.view.overlay.scene import Scene

if TYPE_CHECKING:
    from frameperfect.game import Game
    from frameperfect.machine import Machine


class Spectator:
    """Reads variables and evaluates the game's rules on a machine that somebody else advances.

    `begin` when a run begins (or after a jump to another moment), then `look` at every frame. The rules are
    evaluated every `every` frames, as in an environment with that frame skip.
    """

    def __init__(self, machine: Machine, every: int = 1) -> None:
        self.machine, self.every = machine, every
        self._episode: Any = None
        self._spans: tuple[Any, ...] = ()
        self._pays = False
        self.total, self.success = 0.0, False
        game = machine.game
        if game is not None:
            try:
                rules = game.rules(machine.domains, (), show_all=True)
            except MissingComponent:
                return  # the rules are a Lua script that can't run here: the variables are still there
            self._spans = rules.layout.spans
            self._episode = rules.scalar()
            self._pays = game.has_reward
        self.begin()

    def begin(self) -> None:
        """A run begins at the machine's present frame, which is its frame 0."""
        self.total, self.success = 0.0, False
        if self._episode is not None:
            self._episode.begin(self._row())

    def step(self, frame: int) -> dict[str, float] | None:
        """Evaluate the rules after `frame` frames, if it is their turn; what each term of the reward gave."""
        if self._episode is None:
            return None
        if frame % self.every:
            return dict.fromkeys(self._episode.terms() or ("reward",), 0.0) if self._pays else None
        reward, _, _ = self._episode.step(self._row())
        self.total += reward
        self.success = self._episode.success
        return (self._episode.terms() or {"reward": reward}) if self._pays else None

    def values(self) -> dict[str, int | float]:
        """Variables now, and definitions as they were at the last step, by name."""
        values = self.machine.read_all()
        return values if self._episode is None else {**self._episode.values(), **values}

    def look(self, frame: int, masks: Sequence[int] = (), **more: Any) -> Scene:
        """The scene after `frame` frames; `more` are further fields of `Scene`."""
        terms = self.step(frame)
        rate, values = self.machine.frame_rate, self.values()
        return Scene(frame=frame, frame_rate=rate, masks=masks, values=values, terms=terms, **more)

    def time(self) -> float | None:
        """The game's own clock now, where it has one."""
        return None if self._episode is None else self._episode.time()

    def _row(self) -> bytes:
        return b"".join(read_span(self.machine, span) for span in self._spans)


def shown_names(machine: Machine) -> list[str]:
    """What a panel shows of a game: `[view] hud`, else the info of `[observation]`, else all variables."""
    game: Game | None = machine.game
    if game is None:
        return list(machine.variables)
    if game.view.hud is not None:
        return list(game.view.hud)
    return list(machine.variables if game.observation.info is None else game.observation.info)
