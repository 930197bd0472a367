"""A search step over a full domain of 8 MiB: snapshot, compare with the previous one, count what is left.

Against NumPy written plainly: copy the view, compare, and into a mask of candidates. Two bytes a value, all
of them candidates still; both keep the snapshot as the next step's "previous". Also big-endian and unaligned.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from benchmarks.harness import alternate, rate
from frameperfect import _native

SIZE = 8 << 20


def run(quick: bool) -> dict[str, dict[str, float]]:
    random = np.random.default_rng(1)
    memory = random.integers(0, 256, SIZE, np.uint8)
    before = memory.copy()
    before[random.integers(0, SIZE, SIZE // 100)] += 1
    count, rounds = (30, 9) if quick else (100, 15)
    rates = alternate(
        {
            "ours": _timed(_ours(memory, before, big=False, step=2), count),
            "numpy": _timed(_numpy(memory, before, "<u2"), count),
            "ours_big": _timed(_ours(memory, before, big=True, step=2), count),
            "numpy_big": _timed(_numpy(memory, before, ">u2"), count),
            "ours_unaligned": _timed(_ours(memory, before, big=False, step=1), count),
            "numpy_unaligned": _timed(_numpy_unaligned(memory, before), count),
        },
        rounds,
    )
    return {
        "ratios": {
            "vs_numpy": rates.ratio("ours", "numpy"),
            "big_vs_numpy": rates.ratio("ours_big", "numpy_big"),
            "unaligned_vs_numpy": rates.ratio("ours_unaligned", "numpy_unaligned"),
        },
        "figures": {f"{name}_per_second": value for name, value in rates.medians().items()},
    }


def _ours(memory: np.ndarray, before: np.ndarray, big: bool, step: int) -> Callable[[], int]:
    positions = (SIZE - 2) // step + 1
    full = np.full((positions + 63) // 64, ~np.uint64(0))
    if positions % 64:
        full[-1] = (1 << positions % 64) - 1

    def step_once() -> int:
        now, candidates = np.empty(SIZE, np.uint8), full.copy()
        _native.take_memory(memory, 1, now)
        left: int = _native.keep_candidates(now, before, candidates, positions, "u", 2, big, step, "!=")
        return left

    return step_once


def _numpy(memory: np.ndarray, before: np.ndarray, type: str) -> Callable[[], int]:
    full = np.ones(SIZE // 2, bool)

    def step_once() -> int:
        now = memory.copy()
        candidates = full & (now.view(type) != before.view(type))
        return int(np.count_nonzero(candidates))

    return step_once


def _numpy_unaligned(memory: np.ndarray, before: np.ndarray) -> Callable[[], int]:
    full = np.ones(SIZE - 1, bool)

    def values(snapshot: np.ndarray) -> np.ndarray:
        return np.ndarray((SIZE - 1,), "<u2", snapshot, 0, (1,))

    def step_once() -> int:
        now = memory.copy()
        candidates = full & (values(now) != values(before))
        return int(np.count_nonzero(candidates))

    return step_once


def _timed(side: Callable[[], int], count: int) -> Callable[[], float]:
    def repeat(times: int) -> None:
        for _ in range(times):
            side()

    return lambda: rate(repeat, count)
