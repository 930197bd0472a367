"""Scores that the value learner must reach: five seeds each, of which four must pass.

The targets are what others publish for as many steps: RL Baselines3 Zoo's benchmark
(https://github.com/DLR-RM/rl-baselines3-zoo/blob/master/benchmark.md) for DQN, and tianshou's examples
(https://github.com/thu-ml/tianshou/tree/master/examples/discrete) for the others.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.components import need
from tests.learning.scores import Task, four_of_five_reach_it

need("torch")

from frameperfect.learn import ValueConfig  # noqa: E402


def task(game: str, target: float, name: str, **settings: Any) -> Task:
    """A task of a named setting, changed by `settings` on what all of these tasks share."""
    shared: dict[str, Any] = {
        "batch_size": 64, "update_every": 8, "learning_rate": 1e-3, "capacity": 50_000, "value_min": 0.0,
        "value_max": 100.0,
    }  # fmt: skip
    return Task(game, ValueConfig.named(name, **{**shared, **settings}), target)


CARTPOLE = "CartPole-v1"
# One-step values grow by one step for each time that the target network has caught up: it must do so quickly.
QUICK = {"target_rate": 0.05, "learning_rate_decay": True, "update_every": 4}
TASKS = {
    "cartpole-dqn": task(CARTPOLE, 475, "dqn", steps=50_000, **QUICK),
    "cartpole-rainbow": task(CARTPOLE, 195, "rainbow", steps=80_000),
    "cartpole-iqn": task(CARTPOLE, 195, "iqn", steps=100_000, n_step=3),
    "cartpole-rainbow-iqn": task(CARTPOLE, 195, "rainbow-iqn", steps=80_000),
    # Where the values of a whole episode are out of reach of a few updates, they rise without end.
    "cartpole-recurrent": task(
        CARTPOLE, 195, "dqn", steps=100_000, lstm=64, hidden=(64,), batch_size=16, sequence_length=16,
        burn_in=8, n_step=3, gamma=0.95, target_rate=0.01, learning_rate_decay=True, update_every=16,
        normalise_observations=True,
    ),
    "acrobot-dqn": task("Acrobot-v1", -100, "dqn", steps=100_000, update_every=4),
    "mountaincar-dqn": task(
        "MountainCar-v0", -120, "dqn", steps=120_000, update_every=2, gamma=0.98, learning_rate=4e-3,
        batch_size=128, hidden=(256, 256), target_every=300, target_rate=1.0, epsilon_end=0.07,
    ),
    "lunarlander-dqn": task(
        "LunarLander-v3", 75, "dqn", steps=100_000, update_every=1, learning_rate=6.3e-4, batch_size=128,
        hidden=(256, 256), target_every=250, target_rate=1.0, epsilon_end=0.1, epsilon_fraction=0.12,
    ),
}  # fmt: skip


@pytest.mark.learning
@pytest.mark.parametrize("name", TASKS)
def test_four_of_five_seeds_reach_the_published_score(name: str, tmp_path: Path) -> None:
    four_of_five_reach_it(name, TASKS[name], tmp_path)
