"""Steps of SuperTux: through the environment with features, where nothing is drawn, and with pictures of 84 x
84; the machine alone, one frame a step and 500 at once; and its states.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import frameperfect

GAME = "SuperTux"
RIGHT, JUMP = 1, 2


def run(quick: bool) -> dict[str, Any]:
    count, rounds = (300, 3) if quick else (1500, 5)
    figures: dict[str, float] = {}
    for name, observation in (("features", "features"), ("pixels", "pixels")):
        env: Any = frameperfect.make_env(GAME, observation=observation)
        env.reset(seed=0)

        def step(i: int, env: Any = env) -> None:
            _, _, terminated, truncated, _ = env.step(JUMP if i // 20 % 2 else RIGHT)
            if terminated or truncated:
                env.reset()

        figures[f"steps_per_second_{name}"] = _rate(step, count, rounds)
        env.close()
    with frameperfect.open(GAME) as machine:
        figures["steps_per_second_machine"] = _rate(lambda i: machine.advance(2), count, rounds)
        figures["batched_frames_per_second"] = 500 * _rate(
            lambda i: machine.advance(2, 500), count // 50, rounds
        )
        machine.reset()
        saves, restores = [], []
        for _ in range(rounds * 4):
            machine.advance(2, 30)
            begun = time.perf_counter()
            state = machine.save()
            saved = time.perf_counter()
            machine.restore(state)
            saves.append(saved - begun)
            restores.append(time.perf_counter() - saved)
        figures["save_ms"] = round(statistics.median(saves) * 1e3, 3)
        figures["restore_ms"] = round(statistics.median(restores) * 1e3, 3)
        figures["slot_mib"] = round(machine.measure().slot_bytes / (1 << 20), 2)
        figures["resident_mib"] = round(_resident(machine.pid), 1)
    return {"ratios": {}, "figures": {name: round(value, 3) for name, value in figures.items()}}


def _rate(step: Callable[[int], None], count: int, rounds: int) -> float:
    """Calls a second: the median of rounds."""
    taken = []
    for _ in range(rounds):
        begun = time.perf_counter()
        for i in range(count):
            step(i)
        taken.append(time.perf_counter() - begun)
    return round(count / statistics.median(taken), 1)


def _resident(pid: int) -> float:
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) / 1024
    return 0.0
