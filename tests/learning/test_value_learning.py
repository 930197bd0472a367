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
# As the zoo has it: rounds of updates towards one target, and a policy that stays as it is between them.
ROUNDS = {
    "update_every": 256, "target_rate": 1.0, "epsilon_end": 0.04, "epsilon_fraction": 0.16,
}  # fmt: skip
# What must swing up is not found by pushing at random, step by step: pushes are held.
SWING = {
    "update_every": 128, "gradient_steps": 32, "target_every": 128, "target_rate": 1.0, "n_step": 3,
    "batch_size": 128, "capacity": 100_000, "hold": 2.0, "learning_rate_decay": True,
    "normalise_observations": True,
}  # fmt: skip
TASKS = {
    "cartpole-dqn": task(
        CARTPOLE, 475, "dqn", steps=50_000, gradient_steps=128, target_every=128, learning_rate=2.3e-3,
        hidden=(256, 256), capacity=100_000, learning_rate_decay=True, **ROUNDS,
    ),
    "cartpole-rainbow": task(CARTPOLE, 195, "rainbow", steps=80_000),
    "cartpole-iqn": task(CARTPOLE, 195, "iqn", steps=100_000, n_step=3),
    "cartpole-rainbow-iqn": task(
        CARTPOLE, 195, "rainbow-iqn", steps=80_000, target_rate=0.02, capacity=100_000,
        learning_rate_decay=True, normalise_observations=True,
    ),
    # The square of the error, as in tianshou: the few last steps of episodes, which alone know how long these
    # are, must outweigh the many whose values follow each other upwards.
    "cartpole-recurrent": task(
        CARTPOLE, 195, "dqn", steps=100_000, gradient_steps=32, target_every=32, lstm=64, hidden=(64,),
        batch_size=32, sequence_length=16, burn_in=8, kappa=100.0, learning_rate_decay=True,
        normalise_observations=True, **ROUNDS,
    ),
    "acrobot-dqn": task("Acrobot-v1", -100, "dqn", steps=100_000, **SWING),
    "mountaincar-dqn": task("MountainCar-v0", -120, "dqn", steps=120_000, **SWING),
    "lunarlander-dqn": task(
        "LunarLander-v3", 75, "dqn", steps=100_000, update_every=64, gradient_steps=32, target_every=250,
        target_rate=1.0, n_step=3, batch_size=128, capacity=100_000, epsilon_fraction=0.12,
        learning_rate_decay=True, normalise_observations=True,
    ),
}  # fmt: skip


@pytest.mark.learning
@pytest.mark.parametrize("name", TASKS)
def test_four_of_five_seeds_reach_the_published_score(name: str, tmp_path: Path) -> None:
    four_of_five_reach_it(name, TASKS[name], tmp_path)
