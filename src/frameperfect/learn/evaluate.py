"""How good an agent is: returns of whole episodes, and an interval for their mean."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import gymnasium
import numpy as np
from gymnasium.vector import AutoresetMode
from numpy.typing import NDArray

from frameperfect.learn.policy import Player


def evaluate(
    policy: Player,
    make_envs: Callable[[], gymnasium.vector.VectorEnv[Any, Any, Any]],
    episodes: int,
    seed: int = 0,
    *,
    deterministic: bool = False,
    progress: Callable[[float, int, dict[str, Any]], None] | None = None,
) -> NDArray[np.float64]:
    """The returns of `episodes` episodes, (episodes,).

    Each environment plays an equal share, so that short episodes do not crowd out long ones. `progress` is
    called with each episode's return, length and last info.
    """
    from frameperfect.learn.episodes import last_info

    envs = make_envs()
    try:
        n = envs.num_envs
        quota = np.array([episodes * (i + 1) // n - episodes * i // n for i in range(n)])
        same_step = envs.metadata.get("autoreset_mode", AutoresetMode.NEXT_STEP) == AutoresetMode.SAME_STEP
        returns: list[float] = []
        totals, lengths = np.zeros(n), np.zeros(n, int)
        resetting = np.zeros(n, bool)
        obs, _ = envs.reset(seed=seed)
        state = None
        while quota.any():
            actions, state = policy.act(obs, state, deterministic)
            obs, rewards, terminated, truncated, infos = envs.step(actions)
            totals += np.where(resetting, 0, rewards)
            lengths += ~resetting
            ended = (terminated | truncated) & ~resetting
            for i in np.flatnonzero(ended):
                if quota[i]:
                    quota[i] -= 1
                    returns.append(float(totals[i]))
                    if progress is not None:
                        progress(returns[-1], int(lengths[i]), last_info(infos, int(i)))
            totals[ended] = 0
            lengths[ended] = 0
            starts = ended if same_step else resetting
            resetting = np.zeros(n, bool) if same_step else ended
            if state is not None:
                state = (state[0] * ~starts[:, None], state[1] * ~starts[:, None])
        return np.array(returns)
    finally:
        envs.close()


def interval(
    returns: NDArray[np.float64], confidence: float = 0.95, samples: int = 10_000, seed: int = 0
) -> tuple[float, float]:
    """The bootstrap interval of the mean (percentile method, Efron 1979): lower and upper end."""
    values = np.asarray(returns, float)
    draws = np.random.default_rng(seed).integers(0, len(values), (samples, len(values)))
    tail = (1 - confidence) / 2
    low, high = np.quantile(values[draws].mean(1), (tail, 1 - tail))
    return float(low), float(high)
