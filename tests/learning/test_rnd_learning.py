"""A sparse chain that PPO solves with novelty as a reward, and does not with entropy alone: five seeds."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.components import need
from tests.toy_envs import DeepSea

need("torch")

from frameperfect.learn import PpoConfig, train  # noqa: E402

SIZE = 12
CONFIG = {
    "steps": 60_000, "rollout_steps": 20, "batch_size": 80, "learning_rate": 1e-3,
    "learning_rate_decay": False, "entropy_coef": 0.1, "checkpoint_seconds": 3600,
}  # fmt: skip


def solved(seed: int, novelty: float, folder: Path) -> bool:
    config = PpoConfig(seed=seed, rnd=novelty, **CONFIG)  # type: ignore[arg-type]
    result = train(lambda: DeepSea(16, SIZE), config, folder)
    print(f"rnd {novelty}, seed {seed}: {result.mean_return:.2f}, {result.seconds:.0f} s")
    return result.mean_return > 0.9


@pytest.mark.learning
def test_novelty_solves_a_chain_that_chance_does_not(tmp_path: Path) -> None:
    with_novelty = [solved(seed, 0.5, tmp_path / f"rnd{seed}") for seed in range(5)]
    without = [solved(seed, 0.0, tmp_path / f"plain{seed}") for seed in range(5)]
    assert sum(with_novelty) >= 4, with_novelty
    assert sum(without) <= 1, without
