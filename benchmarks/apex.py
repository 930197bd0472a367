"""Ape-X: agent-steps a second with 1, 2, 4 and 8 actors, learning included, beside one process.

rainbow-iqn from a game's features or RAM, as `train --envs 8 --actors N` has it: eight environments in the
one process and in each actor's (64 of DDNet: eight players in each of 8 servers, who share the policy), and
one update of 512 rows for 512 steps, about what Ape-X's learner made of its actors' steps (Horgan et al.
2018: 19 batches of 512 a second beside 12,500 steps). `eight_vs_one` is 8 actors against one process, on the
bundled game; `eight_vs_one_of_as_many` is against one process with as many environments as all eight.
`emulation` is those environments stepped by a table of random actions on all cores, with nothing learned:
what no learner can pass here. CartPole, which is no game and costs next to nothing, shows what the runtime
itself can carry. `per_cpu_second` has what a second of one core's time is good for, whatever else the machine
does: steps of the environments alone, of an actor (8 environments), and steps that the learner takes into its
replay and learns from.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from contextlib import closing
from functools import partial
from typing import Any

import gymnasium as gym
import torch

from benchmarks.harness import alternate

EVERY, BATCH, STARTS = 512, 512, 2_048
PLAYERS = 8
COUNTS = (1, 2, 4, 8)
GAMES: dict[str, dict[str, Any]] = {
    "skyrunner": {"game": "Skyrunner-Nes", "observation": "features", "frame_skip": 4},
    "pong": {"game": "Pong-Atari", "observation": "ram", "frame_skip": 4, "actions": "discrete"},
    "ddnet": {"game": "DDNet-Race", "frame_skip": 1},
    "pong_every_frame": {"game": "Pong-Atari", "observation": "ram", "frame_skip": 1, "actions": "discrete"},
}


def _count(name: str) -> int:
    """Environments of the one process, and of each actor."""
    return {"ddnet": 8 * PLAYERS, "cartpole": 64}.get(name, 8)


def _envs(name: str, n: int, threads: int | None) -> Any:
    if name == "cartpole":
        return gym.make_vec("CartPole-v1", num_envs=n, vectorization_mode="vector_entry_point")
    import frameperfect

    settings = dict(GAMES[name])
    if name == "ddnet":
        return frameperfect.make_shared(settings.pop("game"), n // PLAYERS, PLAYERS, **settings)
    return frameperfect.make_vec(settings.pop("game"), n, threads=threads, **settings)


def _learning(name: str, actors: int, seconds: float, times: int = 1) -> float:
    """Steps a second after the first updates; without actors, of one process of `times` the environments."""
    from frameperfect.learn import ValueConfig
    from frameperfect.learn.runtime.local import LocalFleet
    from frameperfect.learn.runtime.steps import ReplayCrew
    from frameperfect.learn.value.train import ValueTraining

    config = ValueConfig.named(
        "rainbow-iqn", update_every=EVERY, batch_size=BATCH, learning_starts=STARTS, report_steps=1_024,
        capacity=200_000, normalise_observations=name == "skyrunner", device="cpu",
    )  # fmt: skip
    if actors:
        threads = max(1, len(os.sched_getaffinity(0)) // actors)  # as `train --actors` shares them
        fleet = LocalFleet(partial(_envs, name, _count(name), threads), config, actors, 0)
        source: Any = ReplayCrew(fleet, config)
    else:
        fleet = source = _envs(name, times * _count(name), None)
    with closing(fleet):
        run = ValueTraining(source, config)
        while run.learner.updates < 4:
            run.advance(1.0)
        steps, begun = run.steps, time.perf_counter()
        while time.perf_counter() - begun < seconds:
            run.advance(0.5)
        return (run.steps - steps) / (time.perf_counter() - begun)


def _emulation(name: str, seconds: float) -> float:
    with closing(_envs(name, COUNTS[-1] * _count(name), None)) as envs:
        envs.reset(seed=0)
        envs.action_space.seed(0)
        table = [envs.action_space.sample() for _ in range(64)]
        steps, begun = 0, time.perf_counter()
        while time.perf_counter() - begun < seconds:
            envs.step(table[steps // envs.num_envs % len(table)])
            steps += envs.num_envs
        return steps / (time.perf_counter() - begun)


def _costs(name: str, seconds: float) -> dict[str, int]:
    """By the processor's time, in this process."""
    from frameperfect.learn import ValueConfig
    from frameperfect.learn.runtime.actor import Order, make_player
    from frameperfect.learn.runtime.shared import empty_arrays
    from frameperfect.learn.runtime.steps import Ring
    from frameperfect.learn.value.learner import Learner
    from frameperfect.learn.value.network import build
    from frameperfect.learn.value.replay import Replay
    from frameperfect.learn.value.train import layout

    config = ValueConfig.named("rainbow-iqn", batch_size=BATCH, capacity=200_000, device="cpu")
    cpu, generator = torch.device("cpu"), torch.Generator().manual_seed(0)
    with closing(make_player(partial(_envs, name, 8, 1), config, 0)) as player:
        arrays = empty_arrays(player.layout())
        player.play(arrays, Order(begin=0))
        steps, inputs, envs = arrays["actions"].size, player.episodes.inputs, player.episodes.envs
        replay = Replay(inputs, 8, layout(config))
        ring = Ring(replay, 0, 8, config.priority_epsilon)
        ring.add(arrays, True, player.episodes.same_step)
        networks = [build(inputs, len(player.actor.table), config, cpu) for _ in range(2)]  # type: ignore[attr-defined]
        learner = Learner(*networks, config, cpu)
        table = envs.action_space.sample()
        emulated = _cpu_rate(lambda: envs.step(table), seconds) * 8
        played = _cpu_rate(lambda: player.play(arrays, Order()), seconds) * steps
        taken = _cpu_rate(lambda: ring.add(arrays, False, player.episodes.same_step), seconds) * steps
        learned = _cpu_rate(lambda: learner.update(replay, 0.5, generator), seconds) * EVERY
    return {
        "emulation": round(emulated), "actor": round(played), "learner": round(1 / (1 / taken + 1 / learned)),
    }  # fmt: skip


def _cpu_rate(act: Callable[[], object], seconds: float) -> float:
    count, begun = 0, time.process_time()
    while time.process_time() - begun < seconds:
        act()
        count += 1
    return count / (time.process_time() - begun)


def run(quick: bool) -> dict[str, Any]:
    """Alternating runs of every number of actors. The quick one leaves Pong and few actors out, and has three
    rounds where its first ratio comes from: the processor's speed changes within one.
    """
    torch.set_num_threads(1)
    seconds = 2.0 if quick else 6.0
    counts = COUNTS[-1:] if quick else COUNTS
    ratios, figures = {}, {}
    for name in ("skyrunner", "ddnet", "cartpole") if quick else (*GAMES, "cartpole"):
        sides: dict[str, Callable[[], float]] = {"one_process": partial(_learning, name, 0, seconds)}
        sides |= {f"actors_{n}": partial(_learning, name, n, seconds) for n in counts}
        sides["one_process_of_as_many"] = partial(_learning, name, 0, seconds, COUNTS[-1])
        sides["emulation"] = partial(_emulation, name, seconds)
        rates = alternate(sides, (3 if name == "skyrunner" else 1) if quick else 5)
        figures[name] = {side: round(rate) for side, rate in rates.medians().items()}
        figures[name]["per_cpu_second"] = _costs(name, seconds / 6)
        prefix = "" if name == "skyrunner" else f"{name}_"
        ratios[f"{prefix}eight_vs_one"] = round(rates.ratio("actors_8", "one_process"), 3)
        against = rates.ratio("actors_8", "one_process_of_as_many")
        ratios[f"{prefix}eight_vs_one_of_as_many"] = round(against, 3)
    figures["steps_per_second_8"] = max(figures[name]["actors_8"] for name in figures if name != "cartpole")
    figures["settings"] = {
        "envs": {name: _count(name) for name in GAMES},
        "batch": BATCH,
        "steps_an_update": EVERY,
    }
    return {"ratios": ratios, "figures": figures}
