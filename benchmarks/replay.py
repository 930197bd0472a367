"""Prioritized replay of 1,000,000 entries: a draw of 256 and its new priorities, beside torchrl and tianshou.

Entries are 16 floats, an action, a reward and an end. A draw gives observations, the next ones, actions,
rewards, ends and importance weights. `tree_*` is the draw and the update of priorities alone. torchrl runs in
a process of its own, by the interpreter that TORCHRL_PYTHON names: its wheels load with their own torch only.
"""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import time
from pathlib import Path
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


class _Torchrl:
    """torchrl's, in a process of its own (benchmarks/peers/torchrl_replay.py); `with` ends it.

    Raises:
        RuntimeError: it does not load.
    """

    def __init__(self, entries: int) -> None:
        script = Path(__file__).parent / "peers" / "torchrl_replay.py"
        numbers = [str(each) for each in (entries, WIDTH, BATCH, ALPHA, BETA)]
        self.process = subprocess.Popen(
            [os.environ.get("TORCHRL_PYTHON", sys.executable), str(script), *numbers],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        )  # fmt: skip
        try:
            self.versions = self._answer("ready")
        except RuntimeError:
            _, errors = self.process.communicate()
            raise RuntimeError((errors.strip().splitlines() or ["it ended"])[-1][:200]) from None

    def _answer(self, word: str) -> str:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            if line.startswith(word + " "):
                return line.removeprefix(word + " ").strip()
        raise RuntimeError("torchrl's process ended")

    def rate(self, name: str, seconds: float) -> float:
        """Of "sample" or "tree", a second."""
        assert self.process.stdin is not None
        self.process.stdin.write(f"{name} {seconds}\n")
        self.process.stdin.flush()
        return float(self._answer("rate"))

    def __enter__(self) -> _Torchrl:
        return self

    def __exit__(self, *_: object) -> None:
        self.process.communicate()


def run(quick: bool) -> dict[str, Any]:
    """Draws (with new priorities) a second."""
    torch.set_num_threads(1)
    entries = 1_000_000
    made = {"ours": _ours(entries), "tianshou": _tianshou(entries)}
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
    whole: dict[str, Any] = {name: lambda one=each[0]: measure(one) for name, each in made.items()}
    trees: dict[str, Any] = {name: lambda one=each[1]: measure(one) for name, each in made.items()}
    versions, missing = {}, {}
    with contextlib.ExitStack() as stack:
        try:
            peer = stack.enter_context(_Torchrl(entries))
        except (OSError, RuntimeError) as why:
            missing["torchrl"] = str(why)
        else:
            versions["torchrl"] = peer.versions
            whole["torchrl"] = lambda: peer.rate("sample", seconds)
            trees["torchrl"] = lambda: peer.rate("tree", seconds)
        by_whole, by_tree = alternate(whole, rounds), alternate(trees, rounds)
    peers = [name for name in whole if name != "ours"]
    return {
        "ratios": {f"vs_{name}": round(by_whole.ratio("ours", name), 3) for name in peers}
        | {f"tree_vs_{name}": round(by_tree.ratio("ours", name), 3) for name in peers},
        "figures": {
            "draws_per_second": {name: round(rate) for name, rate in by_whole.medians().items()},
            "tree_per_second": {name: round(rate) for name, rate in by_tree.medians().items()},
            "entries": entries,
            "batch": BATCH,
            "versions": versions,
            "not_run": missing,
        },
    }
