"""torchrl's prioritized buffer, in a process and, where TORCHRL_PYTHON names one, an interpreter of its own.

torchrl's compiled trees load with some versions of torch only, which need not be ours. Lines of input are
"sample SECONDS" or "tree SECONDS"; each is answered with "rate NUMBER", and the start with "ready VERSIONS"
(torchrl logs to standard output as well).
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable

import torch
import torchrl
from tensordict import TensorDict
from torchrl.data import LazyTensorStorage, PrioritizedSampler, TensorDictReplayBuffer


def parts(entries: int, width: int, batch: int, alpha: float, beta: float) -> dict[str, Callable[[], object]]:
    """What is timed: a draw with its new priorities, and the two trees' part of it alone."""
    sampler = PrioritizedSampler(entries, alpha, beta)
    buffer = TensorDictReplayBuffer(storage=LazyTensorStorage(entries), sampler=sampler, batch_size=batch)
    filled = {
        "obs": torch.randn(entries, width), "next": torch.randn(entries, width),
        "action": torch.zeros(entries, dtype=torch.int32), "reward": torch.randn(entries),
        "done": torch.zeros(entries, dtype=torch.bool),
    }  # fmt: skip
    buffer.extend(TensorDict(filled, batch_size=[entries]))
    buffer.update_priority(torch.arange(entries), torch.rand(entries) + 0.01)

    def sample() -> None:
        found = buffer.sample()
        buffer.update_priority(found["index"], torch.rand(batch) + 0.01)

    def tree() -> None:
        rows, _ = sampler.sample(buffer.storage, batch)
        sampler.update_priority(torch.as_tensor(rows), torch.rand(batch) + 0.01)

    return {"sample": sample, "tree": tree}


def main() -> None:
    entries, width, batch = (int(each) for each in sys.argv[1:4])
    torch.set_num_threads(1)
    timed = parts(entries, width, batch, float(sys.argv[4]), float(sys.argv[5]))
    for each in timed.values():
        each()
    print(f"ready torchrl {torchrl.__version__}, torch {torch.__version__}", flush=True)
    for line in sys.stdin:
        name, seconds = line.split()
        begun, count = time.perf_counter(), 0
        while (spent := time.perf_counter() - begun) < float(seconds):
            for _ in range(20):
                timed[name]()
            count += 20
        print("rate", count / spent, flush=True)


if __name__ == "__main__":
    main()
