"""Ape-X: agent-steps a second with 1, 2, 4 and 8 actors, learning included, beside one process.

rainbow-iqn from a game's features or RAM, 64 environments in all however they are dealt out, and one update
of 512 rows for 512 steps, about what Ape-X's learner made of its actors' steps (Horgan et al. 2018: 19
batches of 512 a second beside 12,500 steps). `eight_vs_one` is 8 actors against one process, on the bundled
game. `emulation` is the same environments stepped by a table of random actions on all cores, with nothing
learned: what no learner can pass here. CartPole, which is no game and costs next to nothing, shows what the
runtime itself can carry.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import closing
from functools import partial
from typing import Any

import gymnasium as gym
import torch

from benchmarks.harness import alternate

ENVS, EVERY, BATCH, STARTS = 64, 512, 512, 2_048
COUNTS = (1, 2, 4, 8)
GAMES: dict[str, dict[str, Any]] = {
    "skyrunner": {"game": "Skyrunner-Nes", "observation": "features", "frame_skip": 4},
    "pong": {"game": "Pong-Atari", "observation": "ram", "frame_skip": 4, "actions": "discrete"},
    "pong_every_frame": {"game": "Pong-Atari", "observation": "ram", "frame_skip": 1, "actions": "discrete"},
}


def _envs(name: str, n: int, threads: int | None) -> Any:
    if name == "cartpole":
        return gym.make_vec("CartPole-v1", num_envs=n, vectorization_mode="vector_entry_point")
    import frameperfect

    settings = dict(GAMES[name])
    return frameperfect.make_vec(settings.pop("game"), n, threads=threads, **settings)


def _learning(name: str, actors: int, seconds: float) -> float:
    """Steps a second after the first updates; with no actors, of one process."""
    from frameperfect.learn import ValueConfig
    from frameperfect.learn.runtime.local import LocalFleet
    from frameperfect.learn.runtime.steps import ReplayCrew
    from frameperfect.learn.value.train import ValueTraining

    config = ValueConfig.named(
        "rainbow-iqn", update_every=EVERY, batch_size=BATCH, learning_starts=STARTS, report_steps=1_024,
        capacity=200_000, normalise_observations=name == "skyrunner", device="cpu",
    )  # fmt: skip
    if actors:
        fleet = LocalFleet(partial(_envs, name, ENVS // actors, 1), config, actors, 0)
        source: Any = ReplayCrew(fleet, config)
    else:
        fleet = source = _envs(name, ENVS, None)
    with closing(fleet):
        run = ValueTraining(source, config)
        while run.learner.updates < 4:
            run.advance(1.0)
        steps, begun = run.steps, time.perf_counter()
        while time.perf_counter() - begun < seconds:
            run.advance(0.5)
        return (run.steps - steps) / (time.perf_counter() - begun)


def _emulation(name: str, seconds: float) -> float:
    with closing(_envs(name, ENVS, None)) as envs:
        envs.reset(seed=0)
        envs.action_space.seed(0)
        table = [envs.action_space.sample() for _ in range(64)]
        steps, begun = 0, time.perf_counter()
        while time.perf_counter() - begun < seconds:
            envs.step(table[steps // ENVS % len(table)])
            steps += ENVS
        return steps / (time.perf_counter() - begun)


def run(quick: bool) -> dict[str, Any]:
    """Alternating runs of every number of actors; the quick one is of the bundled game and CartPole alone."""
    torch.set_num_threads(1)
    seconds, rounds = (2.0, 1) if quick else (6.0, 5)
    counts = (1, 8) if quick else COUNTS
    ratios, figures = {}, {}
    for name in ("skyrunner", "cartpole") if quick else (*GAMES, "cartpole"):
        sides: dict[str, Callable[[], float]] = {"one_process": partial(_learning, name, 0, seconds)}
        sides |= {f"actors_{n}": partial(_learning, name, n, seconds) for n in counts}
        sides["emulation"] = partial(_emulation, name, seconds)
        rates = alternate(sides, rounds)
        figures[name] = {side: round(rate) for side, rate in rates.medians().items()}
        prefix = "" if name == "skyrunner" else f"{name}_"
        ratios[f"{prefix}eight_vs_one"] = round(rates.ratio("actors_8", "one_process"), 3)
    figures["steps_per_second_8"] = max(figures[name]["actors_8"] for name in figures if name != "cartpole")
    figures["settings"] = {"envs": ENVS, "batch": BATCH, "steps_an_update": EVERY}
    return {"ratios": ratios, "figures": figures}
