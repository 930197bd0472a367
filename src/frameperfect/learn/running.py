"""The running scale of rewards."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


class RewardScale:
    """Divides rewards by the running deviation of the discounted return (Engstrom et al. 2020).

    One return runs on for every environment and starts anew with each episode; `mean`, `variance` and
    `count` are over all of their values so far.
    """

    def __init__(self, gamma: float) -> None:
        self.gamma = gamma
        self.returns: NDArray[np.float64] = np.zeros(0)
        self.mean = 0.0
        self.variance = 1.0
        self.count = 0.0

    def scale(self, rewards: NDArray[np.float32], ended: NDArray[np.bool_]) -> NDArray[np.float32]:
        """Take (T, N) rewards into the statistics, and return them scaled and cut at 10."""
        if len(self.returns) != rewards.shape[1]:
            self.returns = np.zeros(rewards.shape[1])
        seen = np.empty(rewards.shape)
        for t in range(len(rewards)):
            self.returns = self.returns * self.gamma + rewards[t]
            seen[t] = self.returns
            self.returns[ended[t]] = 0
        total = self.count + seen.size
        delta = seen.mean() - self.mean
        spread = (
            self.variance * self.count + seen.var() * seen.size + delta**2 * self.count * seen.size / total
        )
        self.mean += delta * seen.size / total
        self.variance = spread / total
        self.count = total
        scaled: NDArray[np.float32] = np.clip(rewards / np.float32(np.sqrt(self.variance + 1e-8)), -10, 10)
        return scaled
