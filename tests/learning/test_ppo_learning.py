"""Scores that PPO and A2C must reach: five seeds each, of which four must pass.

The targets are what others publish for the same number of steps, or a little below: RL Baselines3 Zoo's
benchmark (https://github.com/DLR-RM/rl-baselines3-zoo/blob/master/benchmark.md) and Huang et al. 2022.
The settings of CartPole are the zoo's. A2C on LunarLander has a floor in its place: the published one is
a single run.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.components import need
from tests.learning.scores import Task, four_of_five_reach_it

need("torch")

from frameperfect.learn import PpoConfig  # noqa: E402

TASKS: dict[str, Task] = {
    "cartpole-ppo": Task(
        "CartPole-v1",
        PpoConfig(
            steps=100_000, rollout_steps=32, batch_size=256, epochs=20, gamma=0.98, gae_lambda=0.8,
            learning_rate=1e-3, clip_range_decay=True,
        ),
        490,
    ),
    "cartpole-a2c": Task(
        "CartPole-v1",
        PpoConfig.named("a2c", steps=500_000, learning_rate_decay=False),
        450,
    ),
    "cartpole-lstm": Task(
        "CartPole-v1",
        # actor and critic share the LSTM: rewards are scaled, or the critic's gradient drowns the actor's
        PpoConfig(
            steps=100_000, rollout_steps=64, batch_size=128, gamma=0.98, gae_lambda=0.8, learning_rate=5e-4,
            clip_range_decay=True, lstm=64, hidden=(64,), normalise_rewards=True,
        ),
        475,
    ),
    "acrobot-ppo": Task(
        "Acrobot-v1",
        PpoConfig(
            steps=200_000, rollout_steps=128, batch_size=256, epochs=4, gae_lambda=0.94, learning_rate=1e-3,
            normalise_observations=True, normalise_rewards=True,
        ),
        -90,
    ),
    # The zoo's settings. Its 156 is one run: Stable-Baselines3 reached -37 to 67 with five seeds, and random
    # play makes -201 (docs/ppo.md).
    "lunarlander-a2c": Task(
        "LunarLander-v3",
        PpoConfig.named("a2c", steps=200_000, gamma=0.995, learning_rate=8.3e-4, entropy_coef=1e-5),
        -100,
    ),
    "lunarlander-ppo": Task(
        "LunarLander-v3",
        PpoConfig(
            steps=1_000_000, rollout_steps=1024, batch_size=64, gae_lambda=0.98, gamma=0.999,
            learning_rate=3e-4, entropy_coef=0.01,
        ),
        200,
    ),
}  # fmt: skip


@pytest.mark.learning
@pytest.mark.parametrize("name", TASKS)
def test_four_of_five_seeds_reach_the_published_score(name: str, tmp_path: Path) -> None:
    four_of_five_reach_it(name, TASKS[name], tmp_path)
