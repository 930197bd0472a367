"""A million random frames of Skyrunner, and a fuzz that goes on from where it found something new."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest

import frameperfect as fp
from tests.components import need
from tests.skyrunner_play import GAME, Watch, random_masks, random_play

need("stable_retro")
pytestmark = pytest.mark.learning


@pytest.mark.parametrize("start", [None, "stage1", "stage2", "stage3"])
def test_a_million_random_frames_keep_the_game_whole(start):
    modes = random_play(start, machines=10, frames=25_000, seed=7)
    print(start, dict(modes))
    assert sum(modes.values()) == 250_000


@pytest.mark.parametrize("stage", [1, 2, 3])
def test_branching_from_new_places_keeps_the_game_whole(stage):
    """Each round goes on at random from a place seldom gone on from, so that the whole stage is played."""
    rng = np.random.default_rng(stage)
    with fp.open(GAME, start=f"stage{stage}") as machine:
        states = {cell(machine): machine.save()}
        visits: Counter[tuple[int, ...]] = Counter()
        furthest = 0.0
        for _ in range(4000):
            keys = list(states)
            weights = np.array([1 / (1 + visits[key]) ** 2 * (1 + key[0] / 8) for key in keys])
            key = keys[int(rng.choice(len(keys), p=weights / weights.sum()))]
            visits[key] += 1
            machine.restore(states[key])
            watch = Watch(machine)
            for mask in random_masks(rng, machine, 60):
                machine.advance(mask)
                watch.check()
                here = cell(machine)
                furthest = max(furthest, machine.read("best_x"))
                if here not in states and machine.read("mode") == 3:
                    states[here] = machine.save()
        print(f"stage {stage}: {len(states)} places, {furthest:.0f} px of {machine.read('goal_x')}")
        assert furthest > 2000


def cell(machine):
    """Where the runner is, coarsely, and how it moves."""
    x, y, vx, vy = (machine.read(name) for name in ("x", "y", "vx", "vy"))
    return int(x) // 16, int(y) // 32, round(vx), round(vy / 3), int(machine.read("wall"))
