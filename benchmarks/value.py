"""The value learner on CartPole, learning included: our rainbow-iqn beside tianshou's IQN and Rainbow.

The same trunk (2x128 relu), environments (8), batch (64), steps an update (8), n-step (3), prioritized
replay and quantiles (8, 8, 32). Ours is both at once: double, dueling, noisy and prioritized, with implicit
quantiles. tianshou has its DummyVectorEnv, ours Gymnasium's SyncVectorEnv, so that no environment is faster.
`vs_*` are ratios of environment steps a second, `updates_vs_*` of updates a second on a full batch. One
torch thread each.
"""

from __future__ import annotations

import time
from typing import Any

import gymnasium as gym
import torch

from benchmarks.harness import alternate

ENVS, BATCH, EVERY, N_STEP, HIDDEN, CAPACITY, RATE = 8, 64, 8, 3, (128, 128), 20_000, 1e-3
STARTS = 1_000


def _make_env() -> gym.Env[Any, Any]:
    return gym.make("CartPole-v1")


def _ours(seed: int, name: str) -> Any:
    from frameperfect.learn import ValueConfig
    from frameperfect.learn.value.train import ValueTraining

    config = ValueConfig.named(
        name, seed=seed, batch_size=BATCH, update_every=EVERY, n_step=N_STEP, hidden=HIDDEN,
        report_steps=400, capacity=CAPACITY, learning_rate=RATE, learning_starts=STARTS,
        value_max=100.0, device="cpu",
    )  # fmt: skip
    run = ValueTraining(gym.vector.SyncVectorEnv([_make_env] * ENVS), config)
    while run.steps < STARTS:
        run.advance(1.0)
    return run


def _our_steps(seed: int, name: str, steps: int) -> float:
    run = _ours(seed, name)
    begun = time.perf_counter()
    for _ in range(0, steps, 400):
        run.advance(0.5)
    return steps / (time.perf_counter() - begun)


def _our_updates(run: Any, count: int) -> float:
    begun = time.perf_counter()
    for _ in range(count):
        run.learner.update(run.replay, 0.5, run.generator)
    return count / (time.perf_counter() - begun)


def run(quick: bool) -> dict[str, Any]:
    """Alternating runs; each round has a seed of its own, the same for all sides."""
    from benchmarks.peers import tianshou_value

    torch.set_num_threads(1)
    steps, updates, rounds = (1_600, 150, 3) if quick else (8_000, 1_000, 5)
    seeds = dict.fromkeys(("rainbow-iqn", "iqn", "rainbow", "tianshou-iqn", "tianshou-rainbow"), 0)

    def ours(name: str) -> float:
        seeds[name] += 1
        return _our_steps(seeds[name], name, steps)

    def theirs(name: str) -> Any:
        seeds["tianshou-" + name] += 1
        return tianshou_value.player(
            name, _make_env, seeds["tianshou-" + name], ENVS, HIDDEN, N_STEP, CAPACITY, RATE
        )

    steps_sides: dict[str, Any] = {
        name: lambda name=name: ours(name) for name in ("rainbow-iqn", "iqn", "rainbow")
    }
    steps_sides |= {
        f"tianshou-{name}": lambda name=name: theirs(name).run(steps, EVERY, BATCH, STARTS)
        for name in ("iqn", "rainbow")
    }
    by_steps = alternate(steps_sides, rounds)

    our_run = _ours(0, "rainbow-iqn")
    peers = {name: theirs(name) for name in ("iqn", "rainbow")}
    for each in peers.values():
        each.run(8, EVERY, BATCH, STARTS)
    sides: dict[str, Any] = {"rainbow-iqn": lambda: _our_updates(our_run, updates)}
    sides |= {f"tianshou-{name}": lambda name=name: peers[name].updates(updates, BATCH) for name in peers}
    for side in sides.values():
        side()
    by_updates = alternate(sides, rounds)
    return {
        "ratios": {
            "vs_tianshou_iqn": round(by_steps.ratio("rainbow-iqn", "tianshou-iqn"), 3),
            "vs_tianshou_rainbow": round(by_steps.ratio("rainbow-iqn", "tianshou-rainbow"), 3),
            "iqn_vs_tianshou_iqn": round(by_steps.ratio("iqn", "tianshou-iqn"), 3),
            "rainbow_vs_tianshou_rainbow": round(by_steps.ratio("rainbow", "tianshou-rainbow"), 3),
            "updates_vs_tianshou_iqn": round(by_updates.ratio("rainbow-iqn", "tianshou-iqn"), 3),
            "updates_vs_tianshou_rainbow": round(by_updates.ratio("rainbow-iqn", "tianshou-rainbow"), 3),
        },
        "figures": {
            "steps_per_second": {name: round(rate) for name, rate in by_steps.medians().items()},
            "updates_per_second": {name: round(rate) for name, rate in by_updates.medians().items()},
            "torch": {"version": torch.__version__, "threads": 1},
        },
    }
