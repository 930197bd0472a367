"""What the benchmarks share: alternating runs, medians, and a word on the machine they ran on."""

from __future__ import annotations

import os
import platform
import statistics
import time
from collections.abc import Callable, Mapping


def machine_info() -> dict[str, str | int | float]:
    """The processor, its cores, and how busy the machine was: figures mean nothing without them."""
    model = platform.processor() or platform.machine()
    try:
        with open("/proc/cpuinfo") as info:  # noqa: PTH123 - a kernel file
            model = next(
                (line.split(":", 1)[1].strip() for line in info if line.startswith("model name")), model
            )
    except OSError:
        pass  # not Linux: the platform's own word stands
    return {
        "cpu": model,
        "cores": os.cpu_count() or 1,
        "load": round(os.getloadavg()[0], 2),
        "python": platform.python_version(),
    }


def rate(run: Callable[[int], object], count: int) -> float:
    """How many a second: `run(count)` does `count` of them."""
    start = time.perf_counter()
    run(count)
    return count / (time.perf_counter() - start)


def alternate(sides: Mapping[str, Callable[[], float]], rounds: int) -> dict[str, float]:
    """Measure each side in turn, `rounds` times over, and give the median of each."""
    figures: dict[str, list[float]] = {name: [] for name in sides}
    for _ in range(rounds):
        for name, measure in sides.items():
            figures[name].append(measure())
    return {name: statistics.median(values) for name, values in figures.items()}
