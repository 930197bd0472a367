"""New states a second of a beam search, against the bare core that loads, advances and saves such states.

The game is a NES program that mixes its pads into a running sum every frame, so that states never repeat:
every state of the beam is new, hashed, ranked, kept or dropped. `bare` is the core's own functions
(retro_unserialize, retro_run, retro_serialize) one after the other with nothing around them, on states of
that search. `expand` is our native loop of the same without rules. `vs_bare` compares on one thread;
`two_threads` is the beam on two against the beam on one. What two can gain is `bare_two_at_once`: two bare
cores in two processes at the same time against one of them, 2 on two idle cores and far less on two
hyperthreads of one. Sides take turns in processes of their own.
"""

from __future__ import annotations

import tempfile
import time
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.harness import Play, side_by_side

WIDTH, DEEP = 512, 8
"""Of the beam, and the generation from which its states are taken: it is at its width from the third on."""
GAME = """
[game]
name = "Sum-Nes"
rom = { file = "nes.nes" }
[start.awake]
movie = "awake.fpm"
[memory]
pads = { address = 0, type = "<u4" }
frames = { address = 4, type = "<u2" }
sum = { address = 6, type = "<u4" }
[actions]
moves = ["", "Left", "Right", "A", "B", "Left A", "Right A", "Left B", "Right B"]
[search.sum]
prefer = "sum % 4096 - abs(frames - 600)"
fail = "sum % 4096 == 77"
same = ["pads", "sum"]
steps = 100000
"""


def _problem(threads: int) -> Any:
    from tests.roms import ROMS

    from frameperfect.machine import MachineSpec, open_machine
    from frameperfect.movie import Movie, save_movie
    from frameperfect.search import Problem

    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        with open_machine(MachineSpec("libretro", ROMS["Nes"].write(folder))) as machine:
            idle = Movie(controllers=machine.controllers, inputs=np.zeros((10, 2), np.uint32), game="Sum-Nes")
            save_movie(idle.with_checkpoints(machine), folder / "awake.fpm")
        (folder / "game.toml").write_text(GAME)
        return Problem(folder, threads=threads)


def _beam(threads: int) -> Play:
    from frameperfect.search.generations import Generations

    problem = _problem(threads)
    search = Generations(problem, width=WIDTH, seed=0, memory=1 << 30)

    def play(seconds: float) -> float:
        before, start = search.states, time.perf_counter()
        while (now := time.perf_counter()) - start < seconds or not search.complete:
            search.advance()
        return (search.states - before) / (now - start)

    return play


def _states() -> tuple[Any, list[bytes], np.ndarray]:
    """A core, states of the search in the core's own format, and the inputs that follow them."""
    from frameperfect.search.generations import Generations

    problem = _problem(1)
    search = Generations(problem, width=WIDTH, seed=0, memory=1 << 30)
    while search.step < DEEP or not search.complete:
        search.advance()
    states = []
    for state in search.wave.states.tolist():
        problem.expander.show(state)
        states.append(problem.expander.machine.export_state())
    return problem, states, problem.masks[:, 0]


def _bare() -> Play:
    problem, states, masks = _states()
    core = problem.expander.machine.core

    def play(seconds: float) -> float:
        done, start = 0, time.perf_counter()
        while (now := time.perf_counter()) - start < seconds:
            state = states[done // len(masks) % len(states)]
            for mask in masks.tolist():
                core.unserialize(state)
                core.advance_first(mask, 1)
                core.serialize()
            done += len(masks)
        return done / (now - start)

    return play


def _expand(threads: int) -> Play:
    problem = _problem(threads)
    count = len(problem.masks)
    root = np.full(count * 64, problem.root, np.uint32)
    inputs, frames = np.tile(problem.masks, (64, 1)), np.ones(len(root), np.uint32)
    problem.expander.store.rebase(problem.root)

    def play(seconds: float) -> float:
        done, start = 0, time.perf_counter()
        while (now := time.perf_counter()) - start < seconds:
            problem.expander.store.release(problem.expander.expand(root, inputs, frames).states)
            done += len(root)
        return done / (now - start)

    return play


def bytes_a_state() -> dict[str, float]:
    """What a state of the frontier takes, and what it would whole."""
    from frameperfect.search.generations import Generations

    problem = _problem(1)
    search = Generations(problem, width=WIDTH, seed=0, memory=1 << 30)
    while search.step < DEEP or not search.complete:
        search.advance()
    store = problem.expander.store
    whole = len(store.get(int(search.wave.states[0])))
    return {
        "bytes_a_state": round(store.bytes / store.count, 1),
        "bytes_a_whole_state": whole,
        "bytes_a_history": round(search.trie.bytes / search.trie.count, 1),
    }


def run(quick: bool) -> dict[str, Any]:
    makers = {
        "bare": _bare,
        "bare_again": _bare,
        "expand": partial(_expand, 1),
        "beam": partial(_beam, 1),
        "beam_two_threads": partial(_beam, 2),
    }
    two = {"bare_two_at_once": ("bare", "bare_again")}
    rates, _ = side_by_side(makers, 0.5 if quick else 1.5, 7 if quick else 21, two)
    figures = {f"{name}_states_per_second": round(rate, 1) for name, rate in rates.medians().items()}
    return {
        "ratios": {
            "vs_bare": rates.ratio("beam", "bare"),
            "expand_vs_bare": rates.ratio("expand", "bare"),
            "two_threads": rates.ratio("beam_two_threads", "beam"),
            "bare_two_at_once": rates.ratio("bare_two_at_once", "bare"),
        },
        "figures": figures | bytes_a_state(),
    }
