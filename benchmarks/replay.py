"""Prioritized replay of 1,000,000 entries: a draw of 256 and its new priorities, beside torchrl and tianshou.

Entries are 16 floats, an action, a reward and an end. A draw gives observations, the next ones, actions,
rewards, ends and importance weights. `tree_*` is the draw and the update of priorities alone.
"""

from __future__ import annotations

import time
from typing import Any

import numpy as np
import torch

from benchmarks.harness import alternate

WIDTH, BATCH, ALPHA, BETA = 16, 256, 0.6, 0.4


def _ours(entries: int) -> tuple[Any, Any]:
    from frameperfect.learn.spaces import Input
    from frameperfect.learn.value.replay import STEP, Replay, Shape

    replay = Replay((Input("", (WIDTH,), "float32"),), 1, Shape(entries, alpha=ALPHA, gamma=0.99))
    rng = np.random.default_rng(0)
    replay.kinds[:] = STEP
    replay.rewards[:] = rng.normal(size=entries)
    replay.columns[""].arrays()["values"][:] = rng.normal(size=(entries, WIDTH))
    replay.prioritise(np.arange(entries), rng.random(entries) + 0.01)

    def sample() -> None:
        draw = replay.draw(rng.random(BATCH), BETA)
        returns, discounts, _, following = replay.lead(draw.rows)
        replay.observations(draw.rows), replay.observations(following)
        _ = replay.actions[draw.rows], returns, discounts
        replay.prioritise(draw.rows, rng.random(BATCH) + 0.01)

    def tree() -> None:
        draw = replay.draw(rng.random(BATCH), BETA)
        replay.prioritise(draw.rows, rng.random(BATCH) + 0.01)

    return sample, tree


def _tianshou(entries: int) -> tuple[Any, Any]:
    from tianshou.data import Batch, PrioritizedReplayBuffer

    rng = np.random.default_rng(0)
    buffer = PrioritizedReplayBuffer(entries, alpha=ALPHA, beta=BETA)
    one = Batch(
        obs=np.zeros(WIDTH, np.float32), act=0, rew=0.0, terminated=False, truncated=False,
        obs_next=np.zeros(WIDTH, np.float32), info={},
    )  # fmt: skip
    buffer.add(one)
    # filled at once: adding a million entries one by one takes it minutes
    buffer._meta.obs[:] = rng.normal(size=(entries, WIDTH))
    buffer._size, buffer._insertion_idx = entries, 0
    buffer.update_weight(np.arange(entries), rng.random(entries) + 0.01)

    def sample() -> None:
        _, rows = buffer.sample(BATCH)
        buffer.update_weight(rows, rng.random(BATCH) + 0.01)

    def tree() -> None:
        rows = buffer.sample_indices(BATCH)
        buffer.get_weight(rows)
        buffer.update_weight(rows, rng.random(BATCH) + 0.01)

    return sample, tree


def _torchrl(entries: int) -> tuple[Any, Any]:
    from tensordict import TensorDict
    from torchrl.data import LazyTensorStorage, PrioritizedSampler, TensorDictReplayBuffer

    sampler = PrioritizedSampler(entries, ALPHA, BETA)
    buffer = TensorDictReplayBuffer(storage=LazyTensorStorage(entries), sampler=sampler, batch_size=BATCH)
    zeros = {
        "obs": torch.randn(entries, WIDTH), "next": torch.randn(entries, WIDTH),
        "action": torch.zeros(entries, dtype=torch.int32), "reward": torch.randn(entries),
        "done": torch.zeros(entries, dtype=torch.bool),
    }  # fmt: skip
    buffer.extend(TensorDict(zeros, batch_size=[entries]))
    buffer.update_priority(torch.arange(entries), torch.rand(entries) + 0.01)

    def sample() -> None:
        found = buffer.sample()
        buffer.update_priority(found["index"], torch.rand(BATCH) + 0.01)

    def tree() -> None:
        rows, _ = sampler.sample(buffer.storage, BATCH)
        sampler.update_priority(torch.as_tensor(rows), torch.rand(BATCH) + 0.01)

    return sample, tree


def run(quick: bool) -> dict[str, Any]:
    """Draws (with new priorities) a second."""
    torch.set_num_threads(1)
    entries = 1_000_000
    makers = {"ours": _ours, "torchrl": _torchrl, "tianshou": _tianshou}
    made, missing = {}, {}
    for name, make in makers.items():
        try:
            made[name] = make(entries)
        except (ImportError, RuntimeError) as why:  # torchrl's wheels load with one version of torch each
            missing[name] = str(why).splitlines()[0]
    seconds, rounds = (0.5, 5) if quick else (2.0, 7)

    def measure(one: Any) -> float:
        begun, count = time.perf_counter(), 0
        while (spent := time.perf_counter() - begun) < seconds:
            for _ in range(20):
                one()
            count += 20
        return count / spent

    for sample, tree in made.values():  # what is compiled at first use
        sample(), tree()
    whole = alternate({name: lambda one=each[0]: measure(one) for name, each in made.items()}, rounds)
    trees = alternate({name: lambda one=each[1]: measure(one) for name, each in made.items()}, rounds)
    peers = [name for name in made if name != "ours"]
    return {
        "ratios": {f"vs_{name}": round(whole.ratio("ours", name), 3) for name in peers}
        | {f"tree_vs_{name}": round(trees.ratio("ours", name), 3) for name in peers},
        "figures": {
            "draws_per_second": {name: round(rate) for name, rate in whole.medians().items()},
            "tree_per_second": {name: round(rate) for name, rate in trees.medians().items()},
            "entries": entries,
            "batch": BATCH,
            "not_run": missing,
        },
    }
