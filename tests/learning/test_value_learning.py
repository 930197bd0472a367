"""Scores that the value learner must reach: five seeds each, of which four must pass.

The targets are what others publish for as many steps: RL Baselines3 Zoo's benchmark
(https://github.com/DLR-RM/rl-baselines3-zoo/blob/master/benchmark.md) for DQN, and tianshou's examples
(https://github.com/thu-ml/tianshou/tree/master/examples/discrete) for the others.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
import pytest

from tests.components import need

need("torch")

from frameperfect.learn import ValueConfig, evaluate, interval, load_policy, train  # noqa: E402

SEEDS = range(5)
COMMON: dict[str, Any] = {
    "batch_size": 64, "update_every": 8, "learning_rate": 1e-3, "capacity": 50_000, "value_min": 0.0,
    "value_max": 100.0,
}  # fmt: skip
TASKS: dict[str, tuple[str, str, dict[str, Any], float]] = {
    "cartpole-dqn": ("CartPole-v1", "dqn", {"steps": 50_000, **COMMON, "update_every": 4}, 475),
    "cartpole-rainbow": ("CartPole-v1", "rainbow", {"steps": 80_000, **COMMON}, 195),
    "cartpole-iqn": ("CartPole-v1", "iqn", {"steps": 100_000, **COMMON, "n_step": 3}, 195),
    "cartpole-rainbow-iqn": ("CartPole-v1", "rainbow-iqn", {"steps": 80_000, **COMMON}, 195),
    "cartpole-recurrent": (
        "CartPole-v1",
        "dqn",
        {
            "steps": 100_000, **COMMON, "lstm": 64, "hidden": (64,), "batch_size": 16, "update_every": 32,
            "sequence_length": 16, "burn_in": 8, "n_step": 3,
        },
        195,
    ),
    "acrobot-dqn": ("Acrobot-v1", "dqn", {"steps": 100_000, **COMMON, "update_every": 4}, -100),
    "mountaincar-dqn": (
        "MountainCar-v0",
        "dqn",
        {
            "steps": 120_000, **COMMON, "update_every": 2, "gamma": 0.98, "learning_rate": 4e-3,
            "batch_size": 128, "hidden": (256, 256), "target_every": 300, "target_rate": 1.0,
            "epsilon_end": 0.07,
        },
        -120,
    ),
    "lunarlander-dqn": ("LunarLander-v3", "dqn", {"steps": 100_000, **COMMON, "update_every": 4}, 75),
}  # fmt: skip


@pytest.mark.learning
@pytest.mark.parametrize("task", TASKS)
def test_four_of_five_seeds_reach_the_published_score(task: str, tmp_path: Path) -> None:
    game, name, settings, target = TASKS[task]
    if game.startswith("LunarLander"):
        need("Box2D")
    mode = "vector_entry_point" if game == "CartPole-v1" else "sync"

    def make_envs() -> Any:
        return gym.make_vec(game, num_envs=8, vectorization_mode=mode)

    scores = []
    for seed in SEEDS:
        run = tmp_path / str(seed)
        result = train(make_envs, ValueConfig.named(name, seed=seed, **settings), run)
        returns = evaluate(load_policy(run), make_envs, 100, seed=1000, deterministic=True)
        scores.append(float(returns.mean()))
        low, high = interval(returns)
        print(f"{task} seed {seed}: {scores[-1]:.1f} ({low:.1f} to {high:.1f}), {result.seconds:.0f} s")
    passed = sum(score >= target for score in scores)
    assert passed >= 4, f"{scores} against {target}; mean {np.mean(scores):.1f}"
