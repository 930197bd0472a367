"""16 environments of Airstriker from pixels: make_vec against Gymnasium's AsyncVectorEnv over stable-retro.

Frame skip 4 with the maximum of the last two frames, grey, 84x84, 4 stacked, random actions. The peer has
Gymnasium's own wrappers and one process an environment, as stable-retro allows one emulator a process; ours
is one process with as many threads as there are cores, with the peer's core (genesis_plus_gx) and with our
default one. Each side lives in a process of its own and they take turns. Figures are agent steps a second,
and the peak of the memory (proportional set size) of each side with its children.
"""

from __future__ import annotations

import time
from typing import Any

import numpy as np

from benchmarks.harness import Play, side_by_side

ENVS, SKIP = 16, 4


def _play(envs: Any) -> Play:
    observations, _ = envs.reset(seed=0)
    assert observations.shape == (ENVS, 4, 84, 84)
    actions = [envs.action_space.sample() for _ in range(64)]

    def measure(seconds: float) -> float:
        steps, start = 0, time.perf_counter()
        while (now := time.perf_counter()) - start < seconds:
            envs.step(actions[steps % len(actions)])
            steps += 1
        return ENVS * steps / (now - start)

    return measure


def _ours(core: str | None) -> Play:
    import frameperfect

    return _play(
        frameperfect.make_vec(
            "Airstriker-Genesis", ENVS, observation="pixels", frame_skip=SKIP, core=core, copy=True
        )
    )


def _same_core() -> Play:
    return _ours("genesis_plus_gx")


def _default_core() -> Play:
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


def _async() -> Play:
    from gymnasium.vector import AsyncVectorEnv

    return _play(AsyncVectorEnv([_stable_retro] * ENVS))


def run(quick: bool) -> dict[str, Any]:
    makers = {"same_core": _same_core, "default_core": _default_core, "async_stable_retro": _async}
    rates, memory = side_by_side(makers, 0.9 if quick else 3.0, 7 if quick else 15)
    figures = {f"{name}_steps_per_second": rate for name, rate in rates.medians().items()}
    figures |= {f"{name}_peak_mib": mib for name, mib in memory.items()}
    return {
        "ratios": {
            "vs_async_same_core": rates.ratio("same_core", "async_stable_retro"),
            "vs_async_default_core": rates.ratio("default_core", "async_stable_retro"),
        },
        "figures": {name: float(np.round(value, 1)) for name, value in figures.items()},
    }
