"""16 environments of Airstriker from pixels: make_vec against Gymnasium's AsyncVectorEnv over stable-retro.

Frame skip 4 with the maximum of the last two frames, grey, 84x84, 4 stacked, random actions. The peer has
Gymnasium's own wrappers and one process an environment, as stable-retro allows one emulator a process; ours
is one process with as many threads as there are cores, with the peer's core (genesis_plus_gx) and with our
default one. Each side lives in a process of its own and they take turns. Figures are agent steps a second,
and the peak of the memory (proportional set size) of each side with its children.
"""

from __future__ import annotations

import multiprocessing
import time
from collections.abc import Callable
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.harness import alternate

ENVS, SKIP = 16, 4


def _ours(core: str | None) -> Any:
    import frameperfect

    return frameperfect.make_vec(
        "Airstriker-Genesis", ENVS, observation="pixels", frame_skip=SKIP, core=core, copy=True
    )


def _same_core() -> Any:
    return _ours("genesis_plus_gx")


def _default_core() -> Any:
    return _ours(None)


def _stable_retro() -> Any:
    import stable_retro
    from gymnasium.wrappers import (
        FrameStackObservation,
        GrayscaleObservation,
        MaxAndSkipObservation,
        ResizeObservation,
    )

    env = stable_retro.make("Airstriker-Genesis-v0", render_mode="rgb_array")
    env = ResizeObservation(GrayscaleObservation(MaxAndSkipObservation(env, SKIP)), (84, 84))
    return FrameStackObservation(env, 4)


def _async() -> Any:
    from gymnasium.vector import AsyncVectorEnv

    return AsyncVectorEnv([_stable_retro] * ENVS)


def _serve(make: Callable[[], Any], pipe: Connection) -> None:
    """One side: for each number of seconds received, step that long and answer with the rate."""
    envs = make()
    observations, _ = envs.reset(seed=0)
    assert observations.shape == (ENVS, 4, 84, 84)
    actions = [envs.action_space.sample() for _ in range(64)]
    pipe.send("ready")
    while seconds := pipe.recv():
        steps, start = 0, time.perf_counter()
        while (now := time.perf_counter()) - start < seconds:
            envs.step(actions[steps % len(actions)])
            steps += 1
        pipe.send(ENVS * steps / (now - start))
    envs.close()


class _Side:
    """A process that owns one side's environments."""

    def __init__(self, make: Callable[[], Any]) -> None:
        context = multiprocessing.get_context("spawn")
        self.pipe, theirs = context.Pipe()
        self.process = context.Process(target=_serve, args=(make, theirs))
        self.process.start()
        theirs.close()
        self.pipe.recv()
        self.peak_mib = 0.0

    def measure(self, seconds: float) -> float:
        self.pipe.send(seconds)
        rate: float = self.pipe.recv()
        assert self.process.pid is not None
        self.peak_mib = max(self.peak_mib, _memory_mib(self.process.pid))
        return rate

    def close(self) -> None:
        self.pipe.send(0)
        self.process.join()


def _memory_mib(pid: int) -> float:
    """Proportional set size of a process and its children: pages that several share count once in all."""
    process = Path(f"/proc/{pid}")
    lines = (process / "smaps_rollup").read_text().splitlines()
    own = next(int(line.split()[1]) for line in lines if line.startswith("Pss:")) / 1024
    children = (process / "task").glob("*/children")
    return own + sum(_memory_mib(int(child)) for file in children for child in file.read_text().split())


def run(quick: bool) -> dict[str, Any]:
    makers = {"same_core": _same_core, "default_core": _default_core, "async_stable_retro": _async}
    sides: dict[str, _Side] = {}
    try:
        for name, make in makers.items():
            sides[name] = _Side(make)
        seconds = 1.5 if quick else 5.0
        for side in sides.values():
            side.measure(seconds / 3)  # to be warm
        rates = alternate(
            {name: lambda side=side: side.measure(seconds) for name, side in sides.items()}, 4 if quick else 9
        )
        memory = {f"{name}_peak_mib": side.peak_mib for name, side in sides.items()}
    finally:
        for side in sides.values():
            side.close()
    peer = rates["async_stable_retro"]
    figures = {f"{name}_steps_per_second": rate for name, rate in rates.items()} | memory
    return {
        "ratios": {
            "vs_async_same_core": rates["same_core"] / peer,
            "vs_async_default_core": rates["default_core"] / peer,
        },
        "figures": {name: float(np.round(value, 1)) for name, value in figures.items()},
    }
