"""One environment of Airstriker, frame by frame, RAM observed: ours against the bare core and stable-retro.

Everyone presses the same buttons, chosen at random and held for eight frames, and begins again where an
episode ends. `bare` is the core's own `retro_run` in a native loop with nothing around it. stable-retro and
ours live in processes of their own (stable-retro allows one emulator a process) and take turns. Figures are
frames a second: `same_core` has stable-retro's core (genesis_plus_gx), `default_core` our own choice.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import numpy as np

from benchmarks.harness import Play, side_by_side

GAME = "Airstriker-Genesis"
HOLD = 8
ROUND = 64  # presses from the start on, then again
# Presses of the pad, as stable-retro orders its buttons and as the machine names them.
PEER_ORDER = ("B", "A", "Mode", "Start", "Up", "Down", "Left", "Right", "C", "Y", "X", "Z")
PRESSES = ("", "B", "Left", "Right", "Left B", "Right B", "Up B", "Down B")


def _draws() -> list[int]:
    return [int(one) for one in np.random.default_rng(0).integers(len(PRESSES), size=512)]


def _timed(play: Callable[[int], None]) -> Play:
    """Frames a second of `play(times)`, which plays so many times HOLD frames."""

    def measure(seconds: float) -> float:
        times, start = 0, time.perf_counter()
        while (now := time.perf_counter()) - start < seconds:
            play(ROUND)
            times += ROUND
        return times * HOLD / (now - start)

    return measure


def _bare() -> Play:
    import frameperfect

    game = frameperfect.load_game(GAME)
    machine = frameperfect.open(game, core="genesis_plus_gx")
    start = game.start_state(machine)
    masks = [machine.controllers[0].mask(PRESSES[draw]) for draw in _draws()]

    def play(times: int) -> None:
        machine.restore(start)
        for i in range(times):
            machine.advance(masks[i % len(masks)], HOLD)

    return _timed(play)


def _environment(env: Any, actions: list[Any]) -> Play:
    def play(times: int) -> None:
        env.reset(seed=0)
        for i in range(times):
            action = actions[i % len(actions)]
            for _ in range(HOLD):
                _, _, terminated, truncated, _ = env.step(action)
                if terminated or truncated:
                    env.reset()

    return _timed(play)


def _ours(core: str | None) -> Play:
    import frameperfect

    env = frameperfect.make_env(GAME, observation="ram", frame_skip=1, core=core, actions="buttons")
    buttons = env.unwrapped.machine.controllers[0].buttons  # type: ignore[attr-defined]
    actions = [_binary(PRESSES[draw], buttons) for draw in _draws()]
    return _environment(env, actions)


def _same_core() -> Play:
    return _ours("genesis_plus_gx")


def _default_core() -> Play:
    return _ours(None)


def _stable_retro() -> Play:
    import stable_retro

    env = stable_retro.make(
        "Airstriker-Genesis-v0", obs_type=stable_retro.Observations.RAM, render_mode="rgb_array"
    )
    return _environment(env, [_binary(PRESSES[draw], PEER_ORDER) for draw in _draws()])


def _binary(press: str, buttons: tuple[str, ...]) -> np.ndarray:
    return np.array([name in press.split() for name in buttons], np.int8)


def run(quick: bool) -> dict[str, Any]:
    makers = {
        "bare": _bare,
        "same_core": _same_core,
        "default_core": _default_core,
        "stable_retro": _stable_retro,
    }
    rates, _ = side_by_side(makers, 0.4 if quick else 1.0, 15 if quick else 31)
    return {
        "ratios": {
            "vs_bare": rates.ratio("same_core", "bare"),
            "vs_stable_retro": rates.ratio("same_core", "stable_retro"),
            "default_vs_stable_retro": rates.ratio("default_core", "stable_retro"),
        },
        "figures": {f"{name}_frames_per_second": round(rate, 1) for name, rate in rates.medians().items()},
    }
