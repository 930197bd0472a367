"""One environment of Airstriker, frame by frame, RAM observed: ours against the bare core and stable-retro.

Everyone presses the same buttons, chosen at random and held for eight frames, and begins again where an
episode ends. `bare` is the core's own `retro_run` in a native loop with nothing around it. stable-retro and
ours live in processes of their own (stable-retro allows one emulator a process) and take turns. Figures are
frames a second: `same_core` has stable-retro's core (genesis_plus_gx), `default_core` our own choice.
"""

from __future__ import annotations

import multiprocessing
import time
from collections.abc import Callable
from multiprocessing.connection import Connection
from typing import Any

import numpy as np

from benchmarks.harness import alternate

GAME = "Airstriker-Genesis"
HOLD = 8
ROUND = 64  # presses from the start on, then again
# Presses of the pad, as stable-retro orders its buttons and as the machine names them.
PEER_ORDER = ("B", "A", "Mode", "Start", "Up", "Down", "Left", "Right", "C", "Y", "X", "Z")
PRESSES = ("", "B", "Left", "Right", "Left B", "Right B", "Up B", "Down B")


def _draws() -> list[int]:
    return [int(one) for one in np.random.default_rng(0).integers(len(PRESSES), size=512)]


Play = Callable[[int], None]
"""Plays so many times HOLD frames."""


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

    return play


def _environment(env: Any, actions: list[Any]) -> Play:
    def play(times: int) -> None:
        env.reset(seed=0)
        for i in range(times):
            action = actions[i % len(actions)]
            for _ in range(HOLD):
                _, _, terminated, truncated, _ = env.step(action)
                if terminated or truncated:
                    env.reset()

    return play


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


def _serve(make: Callable[[], Play], pipe: Connection) -> None:
    play = make()
    pipe.send("ready")
    while seconds := pipe.recv():
        times, start = 0, time.perf_counter()
        while (now := time.perf_counter()) - start < seconds:
            play(ROUND)
            times += ROUND
        pipe.send(times * HOLD / (now - start))


class _Side:
    """A process that plays one side's game."""

    def __init__(self, make: Callable[[], Play]) -> None:
        context = multiprocessing.get_context("spawn")
        self.pipe, theirs = context.Pipe()
        self.process = context.Process(target=_serve, args=(make, theirs))
        self.process.start()
        theirs.close()
        self.pipe.recv()

    def measure(self, seconds: float) -> float:
        self.pipe.send(seconds)
        rate: float = self.pipe.recv()
        return rate

    def close(self) -> None:
        self.pipe.send(0)
        self.process.join()


def run(quick: bool) -> dict[str, Any]:
    makers = {
        "bare": _bare,
        "same_core": _same_core,
        "default_core": _default_core,
        "stable_retro": _stable_retro,
    }
    sides: dict[str, _Side] = {}
    try:
        for name, make in makers.items():
            sides[name] = _Side(make)
        seconds = 0.7 if quick else 2.0
        for side in sides.values():
            side.measure(seconds)  # to be warm
        rates = alternate(
            {name: lambda side=side: side.measure(seconds) for name, side in sides.items()},
            7 if quick else 15,
        )
    finally:
        for side in sides.values():
            side.close()
    return {
        "ratios": {
            "vs_bare": rates["same_core"] / rates["bare"],
            "vs_stable_retro": rates["same_core"] / rates["stable_retro"],
            "default_vs_stable_retro": rates["default_core"] / rates["stable_retro"],
        },
        "figures": {f"{name}_frames_per_second": round(rate, 1) for name, rate in rates.items()},
    }
