"""The bundled game: its start on every core, its memory map, its rules and features."""

from __future__ import annotations

import numpy as np
import pytest

import frameperfect as fp
from frameperfect.env import make_env
from tests.components import need

need("stable_retro")
GAME = "Airstriker-Genesis"


@pytest.mark.parametrize("core", ["picodrive", "genesis_plus_gx"])
def test_the_start_is_level_1_on_every_core(core):
    with fp.open(GAME, core=core, start="level1") as machine:
        here = {name: machine.read(name) for name in ("score", "lives", "ship", "x", "level", "wave")}
        assert here == {"score": 0, "lives": 3, "ship": 9, "x": 272, "level": 1, "wave": 2}
        machine.advance("Left", 80)
        assert machine.read("x") == 137
        machine.advance("Right", 120)
        assert machine.read("x") == 412


def test_the_screen_shows_the_ship_where_memory_says():
    with fp.open(GAME, start="level1") as machine:
        for held, frames in (("Left", 20), ("Right", 33)):
            machine.advance(held, frames)
            machine.advance(None, 2)  # what is drawn is a frame old
            _, columns = np.nonzero(machine.screen()[188:206].min(axis=2) > 150)
            assert abs(np.median(columns) + 128 - machine.read("x") - 12) <= 3  # it is 24 wide


def play(core, seed):
    """A random episode a frame at a time: (score, lives, ship) and the end, by frame."""
    env = make_env(GAME, observation="features", core=core, frame_skip=1)
    machine = env.unwrapped.machine
    rng = np.random.default_rng(seed)
    env.reset(seed=seed)
    rows, total, over, action = [], 0.0, False, 0
    while not over and len(rows) < 8000:
        if len(rows) % 3 == 0:
            action = int(rng.integers(6))
        _, reward, over, truncated, info = env.step(action)
        total += reward
        rows.append((*(machine.read(name) for name in ("score", "lives", "ship")), over))
        assert info["score"] == rows[-1][0]
        assert not truncated
    env.close()
    return rows, total


@pytest.mark.parametrize("core", ["picodrive", "genesis_plus_gx"])
def test_an_episode_ends_where_stable_retro_ends_it_and_pays_the_score(core):
    rows, total = play(core, seed=1)
    theirs = [lives == 0 and ship == 1 for _, lives, ship, _ in rows]  # its scenario.json
    assert [over for *_, over in rows] == theirs
    assert rows[-1][3]
    assert total == rows[-1][0] > 0


def test_features_are_the_lowest_objects_first_and_within_bounds():
    env = make_env(GAME, observation="features", frame_skip=4)
    machine = env.unwrapped.machine
    rng = np.random.default_rng(0)
    seen, _ = env.reset(seed=0)
    enemies = 0
    for _ in range(400):
        seen, _, over, _, _ = env.step(int(rng.integers(6)))
        assert np.abs(seen).max() <= 2
        slots = range(3, 10)
        there = sorted(
            (-machine.read(f"enemy{i}_y"), i)
            for i in slots
            if machine.read(f"enemy{i}_sprite") and 110 <= machine.read(f"enemy{i}_y") < 342
        )
        shown = seen[31:43].reshape(3, 4)
        assert shown[:, 0].sum() == min(len(there), 3)
        if there:
            x, y = machine.read(f"enemy{there[0][1]}_x") + 4 - machine.read("x"), -there[0][0]
            assert shown[0, 1] == pytest.approx(x / 137.5, abs=1e-6)
            assert shown[0, 3] == pytest.approx((y - 110) / 200, abs=1e-6)
            aligned = [column for column in range(15) if abs(x - (20 * column - 140)) < 14]
            assert all(seen[16 + column] >= shown[0, 3] - 1e-6 for column in aligned if y < 290)
            enemies += 1
        if over:
            seen, _ = env.reset()
    assert enemies > 100
    env.close()
