"""Priorities that an actor gives its own steps, from what its network thought of them while it played.

What was learned of an action and of the state n steps later is known once the actor has played that far: the
n-step error is then arithmetic (Horgan et al. 2018, section 3) [4].
"""

from __future__ import annotations

from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from frameperfect._native import n_step
from frameperfect.learn.value.config import ValueConfig
from frameperfect.learn.value.replay import FINAL, OPEN, STEP, TERMINATED

Floats: TypeAlias = NDArray[np.float32]
Bools: TypeAlias = NDArray[np.bool_]


class Estimates:
    """Keeps the last n steps of every environment, and one chunk of `steps`."""

    def __init__(self, envs: int, steps: int, config: ValueConfig) -> None:
        self.n_step, self.gamma = config.n_step, config.gamma
        self.steps = steps
        self.length = steps + config.n_step
        self.kinds = np.full((envs, self.length), OPEN, np.uint8)
        self.rewards = np.zeros((envs, self.length), np.float32)
        self.chosen = np.full((envs, self.length), np.nan, np.float32)
        self.best = np.full((envs, self.length), np.nan, np.float32)
        self.column = config.n_step

    def begin(self) -> None:
        """What came before is not gone on with."""
        self.kinds[:] = OPEN

    def add(
        self,
        actions: NDArray[np.int64],
        rewards: NDArray[Any],
        terminated: Bools,
        ended: Bools,
        resetting: Bools,
        means: Floats | None,
        same_step: bool,
    ) -> None:
        """A step of every environment (n,), and what the network made of every action there (n, A), or None
        where it was not asked.
        """
        at = self.column
        self.column += 1
        self.kinds[:, at] = np.where(resetting, FINAL, np.where(terminated, TERMINATED, STEP))
        self.rewards[:, at] = rewards
        if same_step:
            # the last observation of an episode that was cut short is not acted at, so nothing values it
            self.rewards[ended & ~terminated, at] = np.nan
        if means is None:
            self.chosen[:, at] = self.best[:, at] = np.nan
        else:
            self.chosen[:, at] = means[np.arange(len(means)), actions]
            self.best[:, at] = means.max(1)

    def errors(self) -> Floats:
        """After a chunk: (steps, n), the absolute n-step errors of its steps and of those before it, each
        `n_step` steps late: entry t is of step t - n_step. NaN where there is none.
        """
        envs = len(self.kinds)
        rows = (np.arange(envs) * self.length + np.arange(self.steps)[:, None]).ravel()
        kinds = self.kinds.ravel()
        played = (kinds[rows] == STEP) | (kinds[rows] == TERMINATED)
        found = np.full(len(rows), np.nan, np.float32)
        returns, discounts, _, following = n_step(
            kinds, self.rewards.ravel(), self.length, rows[played], self.n_step, self.gamma
        )
        ahead = np.where(discounts > 0, discounts * self.best.ravel()[following], 0)
        found[played] = np.abs(returns + ahead - self.chosen.ravel()[rows[played]])
        for each in (self.kinds, self.rewards, self.chosen, self.best):
            each[:, : self.n_step] = each[:, self.steps :]
        self.column = self.n_step
        return found.reshape(self.steps, envs)
