"""What an agent would see on states that somebody else chooses: its environments, led from outside.

A search knows states and the buttons that were pressed; an agent wants the observations that it was trained
on. An onlooker brings machines to the states, lets them press the same, and shows them as the agent's
environment does: the same code on the same settings, so nothing can differ. An episode begins at each state:
stacked pictures, `delta(x)` and `highest(x)` know nothing of what lies before it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from frameperfect.env.setup import POWER_ON, Start, begin
from frameperfect.env.vector import make_vec

if TYPE_CHECKING:
    from pathlib import Path

    from frameperfect.game import Game


class Onlooker:
    """N machines of an agent's environment; close it after use."""

    def __init__(self, game: str | Path | Game, n: int, **env: Any) -> None:
        """Open them.

        Args:
            game: a name, a path or a `Game`.
            n: how many machines.
            env: keywords of `make_vec`. Starts and everything left to chance do not count: who leads it
                decides both.

        Raises:
            FrameperfectError: as `make_vec` does.
        """
        self._envs = make_vec(game, n, **{**env, "sticky": 0.0, "noops": 0, "start": POWER_ON})
        self.size = n

    @property
    def frame_skip(self) -> int:
        """Frames that an action is held for."""
        return self._envs._setup.settings.frame_skip

    @property
    def fingerprint(self) -> str:
        """What its states depend on, as hex digits."""
        return self._envs.fingerprint

    def masks(self, actions: Any) -> NDArray[np.uint32]:
        """(M, ports): what M of the agent's actions press."""
        return self._envs._setup.actions.batch(actions)

    def begin(self, states: Sequence[bytes]) -> None:
        """An episode begins at each of N sealed states.

        Raises:
            StateMismatch: they are another machine's.
        """
        envs, every = self._envs, range(self.size)
        begin(envs._pool, every, [Start(state, state) for state in states], [0] * self.size)
        envs._episodes.begin(envs._rows, np.ones(self.size, np.bool_))

    def step(self, masks: NDArray[np.uint32], active: NDArray[np.bool_]) -> None:
        """Hold (N, ports) masks for a step, where `active`; the others stand still."""
        self._envs._pool.step(masks, active)
        self._envs._episodes.step(self._envs._rows)

    def observe(self) -> Any:
        """The N observations now."""
        return self._envs._observe_copy()

    def close(self) -> None:
        """Free the machines."""
        self._envs.close()
