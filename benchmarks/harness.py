"""What the benchmarks share: alternating runs, medians, and a word on the machine they ran on."""

from __future__ import annotations

import multiprocessing
import os
import platform
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from functools import partial
from multiprocessing.connection import Connection
from pathlib import Path


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


class Rates:
    """What each side did a second, round by round."""

    def __init__(self, rounds: Mapping[str, list[float]]) -> None:
        self._rounds = rounds

    def medians(self) -> dict[str, float]:
        """By side."""
        return {name: statistics.median(values) for name, values in self._rounds.items()}

    def ratio(self, ours: str, peer: str) -> float:
        """The median of the rounds' own ratios: a machine that is slow for some rounds is so for both."""
        pairs = zip(self._rounds[ours], self._rounds[peer], strict=True)
        return statistics.median(one / other for one, other in pairs)


def alternate(sides: Mapping[str, Callable[[], float]], rounds: int) -> Rates:
    """Measure each side in turn, `rounds` times over."""
    figures: dict[str, list[float]] = {name: [] for name in sides}
    for _ in range(rounds):
        for name, measure in sides.items():
            figures[name].append(measure())
    return Rates(figures)


Play = Callable[[float], float]
"""Plays for so many seconds and says how much it did a second."""


def _serve(make: Callable[[], Play], pipe: Connection) -> None:
    play = make()
    pipe.send("ready")
    while seconds := pipe.recv():
        pipe.send(play(seconds))


class Side:
    """A process that makes one side's game and plays it when asked; `with` ends it."""

    def __init__(self, make: Callable[[], Play]) -> None:
        context = multiprocessing.get_context("spawn")
        self.pipe, theirs = context.Pipe()
        self.process = context.Process(target=_serve, args=(make, theirs))
        self.process.start()
        theirs.close()
        self.pipe.recv()
        self.peak_mib = 0.0

    def measure(self, seconds: float) -> float:
        """What it did a second."""
        self.begin(seconds)
        return self.end()

    def begin(self, seconds: float) -> None:
        """Let it play; `end` waits for it."""
        self.pipe.send(seconds)

    def end(self) -> float:
        """What it did a second since `begin`."""
        found: float = self.pipe.recv()
        assert self.process.pid is not None
        self.peak_mib = max(self.peak_mib, _memory_mib(self.process.pid))
        return found

    def __enter__(self) -> Side:
        return self

    def __exit__(self, *_: object) -> None:
        self.pipe.send(0)
        self.process.join()


def _memory_mib(pid: int) -> float:
    """Proportional set size of a process and its children: pages that several share count once in all."""
    process = Path(f"/proc/{pid}")
    lines = (process / "smaps_rollup").read_text().splitlines()
    own = next(int(line.split()[1]) for line in lines if line.startswith("Pss:")) / 1024
    children = (process / "task").glob("*/children")
    return own + sum(_memory_mib(int(child)) for file in children for child in file.read_text().split())


def side_by_side(
    makers: Mapping[str, Callable[[], Play]],
    seconds: float,
    rounds: int,
    together: Mapping[str, Sequence[str]] | None = None,
) -> tuple[Rates, dict[str, float]]:
    """Every side in a process of its own, warmed and measured in turn; also the peak MiB of each.

    `together` names further measurements: of several sides at once, their sum.
    """
    with ExitStack() as stack:
        sides = {name: stack.enter_context(Side(make)) for name, make in makers.items()}
        for side in sides.values():
            side.measure(min(seconds, 0.7))

        def at_once(names: Sequence[str]) -> float:
            for name in names:
                sides[name].begin(seconds)
            return sum(sides[name].end() for name in names)

        measures = {name: partial(side.measure, seconds) for name, side in sides.items()}
        measures |= {name: partial(at_once, names) for name, names in (together or {}).items()}
        return alternate(measures, rounds), {name: side.peak_mib for name, side in sides.items()}
