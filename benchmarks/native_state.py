"""States of DDNet's server: four players on the map Tutorial, half a second of play between two states.

`save_ms` and `restore_ms` are what the machine's `save` and `restore` take where the game still holds the
state; the figures ending in `_hook` are inside the game alone. `replay_ms` is a state of which the inputs
alone are left, in another process, per second of play. `slot_mib` is what one state takes in the game. Those
ending in `_fork` and `_compare` are without the kernel's write protection: pages that were written are told
by a fork, or found by comparing.
"""

from __future__ import annotations

import statistics
import time
from typing import Any

import numpy as np

from frameperfect.machine import MachineSpec
from frameperfect.machines.native import NativeMachine

TICKS = 25


def run(quick: bool) -> dict[str, Any]:
    rounds = 20 if quick else 60
    figures: dict[str, Any] = {}
    for suffix, tracking in (("", ""), ("_fork", "fork"), ("_compare", "compare")):
        options = {"players": "4", "tracking": tracking}
        with NativeMachine(MachineSpec("native", name="ddnet-server", options=options)) as machine:
            _measure(machine, rounds // 4 if tracking == "compare" else rounds, suffix, figures)
            figures[f"tracking{suffix}"] = machine.tracking
    return {"ratios": {}, "figures": figures}


def _measure(machine: NativeMachine, rounds: int, suffix: str, figures: dict[str, Any]) -> None:
    rng = np.random.default_rng(0)
    took: dict[str, list[float]] = {
        name: [] for name in ("save_ms", "restore_ms", "save_ms_hook", "restore_ms_hook")
    }

    def play() -> None:
        for _ in range(TICKS):
            machine.advance(rng.integers(16, size=4).astype(np.uint32))

    for _ in range(rounds):
        play()
        begun = time.perf_counter()
        state = machine.save()
        took["save_ms"].append((time.perf_counter() - begun) * 1e3)
        took["save_ms_hook"].append(machine.measure().save_ns / 1e6)
        play()
        begun = time.perf_counter()
        machine.restore(state)
        took["restore_ms"].append((time.perf_counter() - begun) * 1e3)
        took["restore_ms_hook"].append(machine.measure().restore_ns / 1e6)
    figures.update({f"{name}{suffix}": round(statistics.median(values), 4) for name, values in took.items()})
    figures[f"slot_mib{suffix}"] = round(machine.measure().slot_bytes / (1 << 20), 3)
    with NativeMachine(machine.spec) as other:
        begun = time.perf_counter()
        other.restore(state)
        taken = (time.perf_counter() - begun) * 1e3
        figures[f"replay_ms{suffix}"] = round(taken / (machine.frame / 50), 4)
