"""A search step over a full domain of 8 MiB: snapshot, compare with the previous one, count what is left.

Against NumPy written plainly: copy the view, compare, and into a mask of candidates. Two bytes a value, all
of them candidates still; both keep the snapshot as the next step's "previous". Also big-endian and unaligned.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from benchmarks.harness import alternate, rate
from frameperfect.memory import Domain
from frameperfect.ram import RamSearch

SIZE = 8 << 20


def run(quick: bool) -> dict[str, dict[str, float]]:
    random = np.random.default_rng(1)
    memory = random.integers(0, 256, SIZE, np.uint8)
    before = memory.copy()
    before[random.integers(0, SIZE, SIZE // 100)] += 1
    count, rounds = (30, 9) if quick else (100, 15)
    rates = alternate(
        {
            "ours": _timed(_ours(memory, before, "<u2", 2), count),
            "numpy": _timed(_numpy(memory, before, "<u2"), count),
            "ours_big": _timed(_ours(memory, before, ">u2", 2), count),
            "numpy_big": _timed(_numpy(memory, before, ">u2"), count),
            "ours_unaligned": _timed(_ours(memory, before, "<u2", 1), count),
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


def _ours(memory: np.ndarray, before: np.ndarray, type: str, align: int) -> Callable[[], int]:
    """`RamSearch` itself, undo history and all."""
    machine = _Memory(before.copy())
    search = RamSearch(machine, type=type, align=align)  # type: ignore[arg-type]
    machine.memory["ram"][:] = memory

    def step_once() -> int:
        left = search.keep("!=", "first")
        search.undo()
        return left

    return step_once


class _Memory:
    """What a search needs of a machine."""

    def __init__(self, ram: np.ndarray) -> None:
        self.domains = {"ram": Domain("ram", SIZE)}
        self.memory = {"ram": ram}


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
