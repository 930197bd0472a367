"""Steps of DDNet's server on the map Tutorial, through the full environment call with features.

One agent is `make_env`, four are `make_parallel`, a step is a tick. `steps_per_second_4` counts steps of the
environment (an agent-step is a fourth of it), and p50 and p99 are microseconds from its actions to its
observations. The figures ending in `_1` are for one agent, those with `machine` are the machine alone without
an environment around it, and `batched` is the machine told to hold one input for 500 ticks.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from typing import Any

import numpy as np

import frameperfect
from frameperfect.machine import MachineSpec, open_machine

GAME = "DDNet-Race"


def run(quick: bool) -> dict[str, Any]:
    count, rounds = (1000, 5) if quick else (4000, 9)
    rng = np.random.default_rng(0)
    draws = rng.integers(9, size=(count, 4)).tolist()
    sides: dict[str, tuple[Callable[[int], None], Callable[[], object]]] = {}

    several = frameperfect.make_parallel(GAME, 4)
    agents = [f"player_{number}" for number in range(4)]
    actions = [dict(zip(agents, row, strict=True)) for row in draws]
    sides["4"] = (lambda i: _kept(several, several.step(actions[i])), lambda: several.reset(seed=0))

    one = frameperfect.make_env(GAME)
    sides["1"] = (lambda i: _kept(one, one.step(draws[i][0])), lambda: one.reset(seed=0))

    machines = [
        open_machine(MachineSpec("native", name="ddnet-server", options={"players": str(players)}))
        for players in (1, 4)
    ]
    masks = [
        [machines[0].controllers[0].mask("Right" if one % 2 else "Jump") for one in row] for row in draws
    ]
    for machine, players in zip(machines, (1, 4), strict=True):
        sides[f"machine_{players}"] = (_stepper(machine, masks, players), machine.reset)

    seconds: dict[str, list[float]] = {name: [] for name in sides}
    for _ in range(rounds):
        for name, (step, reset) in sides.items():
            reset()
            for i in range(count):
                begun = time.perf_counter()
                step(i)
                seconds[name].append(time.perf_counter() - begun)
    figures = {}
    for name, taken in seconds.items():
        each = np.array(taken).reshape(rounds, count)
        figures[f"steps_per_second_{name}"] = round(count / float(np.median(each.sum(axis=1))), 1)
        figures[f"p50_us_{name}"] = round(float(np.percentile(each, 50)) * 1e6, 2)
        figures[f"p99_us_{name}"] = round(float(np.percentile(each, 99)) * 1e6, 2)
    figures["p50_us"], figures["p99_us"] = figures["p50_us_4"], figures["p99_us_4"]
    figures["batched_ticks_per_second_1"] = round(_batched(machines[0], count // 50), 1)
    for thing in (several, one, *machines):
        thing.close()
    return {"ratios": {}, "figures": figures}


def _kept(env: Any, result: tuple[Any, ...]) -> None:
    """Begins again where the episode is over; that is a part of stepping."""
    ended = result[2], result[3]
    if isinstance(ended[0], dict):
        if not env.agents or any(ended[0].values()):
            env.reset()
    elif any(ended):
        env.reset()


def _stepper(machine: Any, masks: list[list[int]], players: int) -> Callable[[int], None]:
    rows = [tuple(row[:players]) for row in masks]
    return lambda i: machine.advance(rows[i])


def _batched(machine: Any, times: int) -> float:
    rates = []
    for _ in range(max(3, times)):
        begun = time.perf_counter()
        machine.advance("Right", 500)
        rates.append(500 / (time.perf_counter() - begun))
    return statistics.median(rates)
