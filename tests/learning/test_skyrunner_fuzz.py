"""A million random frames of Skyrunner, and a fuzz that goes on from where it found something new."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np
import pytest

import frameperfect as fp
from frameperfect.movie import load_movie
from tests.components import need
from tests.skyrunner_play import GAME, Watch, random_masks, random_play

need("stable_retro")
MOVIES = Path(fp.__file__).parent / "games" / "skyrunner" / "movies"
pytestmark = pytest.mark.learning


@pytest.mark.parametrize("start", [None, "stage1", "stage2", "stage3"])
def test_a_million_random_frames_keep_the_game_whole(start):
    modes = random_play(start, machines=10, frames=25_000, seed=7)
    print(start, dict(modes))
    assert sum(modes.values()) == 250_000


@pytest.mark.parametrize("stage", [1, 2, 3])
def test_branching_from_new_places_keeps_the_game_whole(stage):
    """Each round goes on at random from a place seldom gone on from, at first of the finished runs."""
    rng = np.random.default_rng(stage)
    with fp.open(GAME, start=f"stage{stage}") as machine:
        states = {cell(machine): machine.save()}
        for way in ("road", "shortcut"):  # the finished runs lead everywhere
            machine.restore(next(iter(states.values())))
            for frame, row in enumerate(load_movie(MOVIES / f"stage{stage}-{way}.fpm").inputs):
                machine.advance(row)
                if frame % 40 == 39:
                    states.setdefault(cell(machine), machine.save())
        visits: Counter[tuple[int, ...]] = Counter()
        furthest = 0.0
        for _ in range(1200):
            keys = list(states)
            weights = np.array([1 / (1 + visits[key]) ** 2 for key in keys])
            key = keys[int(rng.choice(len(keys), p=weights / weights.sum()))]
            visits[key] += 1
            machine.restore(states[key])
            watch = Watch(machine)
            for frame, mask in enumerate(random_masks(rng, machine, 60)):
                machine.advance(mask)
                watch.check()
                if frame % 6 == 5 and machine.read("mode") == 3 and (here := cell(machine)) not in states:
                    states[here] = machine.save()
            furthest = max(furthest, machine.read("best_x"))
        print(f"stage {stage}: {len(states)} places, {furthest:.0f} px of {machine.read('goal_x')}")
        assert furthest > 3900  # to the goal


def cell(machine):
    """Where the runner is, coarsely, and how it moves."""
    x, y, vx, vy = (machine.read(name) for name in ("x", "y", "vx", "vy"))
    return int(x) // 16, int(y) // 32, round(vx), round(vy / 3), int(machine.read("wall"))
