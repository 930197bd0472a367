"""The bundled NES game: the ROM is what its source gives, and it can be neither hung nor made to lag."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest

import frameperfect as fp
from frameperfect.env import make_env
from frameperfect.games.skyrunner.source.build import build
from frameperfect.games.skyrunner.source.graphics import FLAGS, read_flags
from frameperfect.games.skyrunner.source.stages import read_stage
from frameperfect.movie import load_movie, save_movie
from tests.components import need
from tests.skyrunner_play import Watch, at, open_stage, random_masks, random_play

need("stable_retro")
GAME = "Skyrunner-Nes"
FOLDER = Path(fp.__file__).parent / "games" / "skyrunner"
MOVIES = sorted((FOLDER / "movies").glob("*.fpm"))
PLAYING, DYING, CLEARED, ENDED = 3, 4, 5, 6


# -- what is committed belongs together ----------------------------------------------------------------------


def test_the_source_builds_to_the_rom_beside_it(tmp_path):
    if shutil.which("ca65") is None:
        if os.environ.get("CI") == "true":
            pytest.fail("missing component: ca65 (apt-get install cc65)")
        pytest.skip("missing component: ca65")
    build(tmp_path / "built.nes")
    assert (tmp_path / "built.nes").read_bytes() == (FOLDER / "skyrunner.nes").read_bytes()


@pytest.mark.parametrize("stage", [1, 2, 3])
def test_a_start_is_the_first_frame_of_its_stage(stage):
    with open_stage(stage) as machine:
        here = machine.read_all()
        wanted = {"mode": PLAYING, "stage": stage, "clock": 0, "deaths": 0, "coins": 0, "lag": 0, "idle": 0}
        assert {name: here[name] for name in wanted} == wanted
        assert here["x"] == here["best_x"] < 100 < here["goal_x"]


@pytest.mark.parametrize("path", MOVIES, ids=lambda path: path.stem)
def test_a_committed_movie_verifies_and_clears_its_stage(path):
    assert fp.verify(path)
    assert run(path)["mode"] == CLEARED


@pytest.mark.parametrize("stage", [1, 2, 3])
def test_the_shortcut_is_seconds_faster_than_the_road_at_its_best(stage):
    road, shortcut = (
        run(FOLDER / "movies" / f"stage{stage}-{way}.fpm")["clock"] for way in ("road", "shortcut")
    )
    print(f"stage {stage}: road {road / 60.0988:.2f} s, shortcut {shortcut / 60.0988:.2f} s")
    assert 35 * 60 <= road <= 60 * 60
    assert shortcut + 120 < road


@pytest.mark.parametrize("stage", [1, 2, 3])
def test_what_a_search_found_is_faster_than_the_shortcut_by_hand(stage):
    by_hand, found = (
        run(FOLDER / "movies" / f"stage{stage}-{way}.fpm")["clock"] for way in ("shortcut", "search")
    )
    assert found < by_hand


def run(path):
    """The variables after the last frame of a movie."""
    movie = load_movie(path)
    with fp.open(GAME, start=movie.start) as machine:
        for row in movie.inputs:
            machine.advance(row)
        assert machine.read("lag") == 0
        return machine.read_all()


def test_a_movie_plays_in_fceux_to_the_same_clock(tmp_path):
    fceux = shutil.which("fceux") or shutil.which("fceux", path="/usr/games")
    if fceux is None:
        pytest.skip("FCEUX is not installed")  # also in CI: it only shows that a second emulator agrees
    run_ = load_movie(FOLDER / "movies" / "stage1-shortcut.fpm")
    lead = load_movie(FOLDER / "stage1.fpm")
    save_movie(run_.after(lead), tmp_path / "run.fm2")
    home, out = tmp_path / "home", tmp_path / "out"
    (home / ".fceux").mkdir(parents=True)
    (home / ".fceux" / "fceux.cfg").write_text("SDL.VideoDriver = 1\n")
    script = tmp_path / "clock.lua"
    script.write_text(
        f'movie.play("{tmp_path / "run.fm2"}", true)\n'
        f"for i = 1, {run_.frames + lead.frames + 10} do\n"
        "  emu.frameadvance()\n"
        "  if memory.readbyte(0x300) == 5 then break end\n"
        "end\n"
        f'local file = io.open("{out}", "w")\n'
        'file:write(memory.readbyte(0x300), " ", memory.readbyte(0x330) + 256 * memory.readbyte(0x331), " ", '
        "memory.readbyte(0x304))\n"
        "file:close()\nemu.exit()\n"
    )
    command = [fceux, "--sound", "0", "--loadlua", str(script), str(FOLDER / "skyrunner.nes")]
    with subprocess.Popen(
        command,
        env={**os.environ, "HOME": str(home), "QT_QPA_PLATFORM": "offscreen"},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    ) as process:
        try:
            process.wait(120)
        finally:
            process.kill()
    assert out.read_text().split() == ["5", str(run(FOLDER / "movies" / "stage1-shortcut.fpm")["clock"]), "0"]


# -- nothing hangs it ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("start", [None, "stage1", "stage2", "stage3"])
def test_random_play_keeps_the_game_whole(start):
    modes = random_play(start, machines=4, frames=2500, seed=start is None)
    assert PLAYING in modes or start is None


def test_mashing_resets_and_opposite_directions_do_not_harm_it():
    rng = np.random.default_rng(3)
    with fp.open(GAME, start="stage1") as machine:
        for _ in range(120):
            if rng.random() < 0.1:
                machine.press_reset()
                machine.advance(None, 12)
            watch = Watch(machine)
            for mask in random_masks(rng, machine, 20):
                machine.advance(int(mask))
                watch.check()


def test_power_on_does_not_depend_on_what_the_memory_held():
    seen = []
    for seed in range(3):
        with fp.open(GAME) as machine:
            machine.advance(None, 3)
            machine.memory["ram"][:] = np.random.default_rng(seed).integers(0, 256, 2048)
            machine.press_reset()
            hashes = []
            for buttons in ("", "Start", "", "Start", "Right B"):
                machine.advance(buttons, 60)
                hashes.append(machine.memory["ram"].tobytes())
            assert machine.read("mode") == PLAYING
            seen.append(hashes)
    assert seen[0] == seen[1] == seen[2]


def test_clearing_the_last_stage_leads_to_the_ending_with_the_total_time():
    movie = load_movie(FOLDER / "movies" / "stage3-shortcut.fpm")
    with fp.open(GAME, start="stage3") as machine:
        for row in movie.inputs:
            machine.advance(row)
        assert (machine.read("mode"), machine.read("won")) == (CLEARED, 0)
        time = machine.read("clock")
        machine.advance(None, 400)
        assert (machine.read("mode"), machine.read("won"), machine.read("clock")) == (ENDED, 1, time)
        total = machine.memory["ram"][0x28:0x2C].tolist()  # parts, seconds, tens, minutes
        assert total[0] + 60 * (total[1] + 10 * total[2] + 60 * total[3]) == time
        machine.advance("Start")
        assert machine.read("mode") == 0


def test_clearing_a_stage_leads_to_the_next_one():
    movie = load_movie(FOLDER / "movies" / "stage1-shortcut.fpm")
    with fp.open(GAME, start="stage1") as machine:
        for row in movie.inputs:
            machine.advance(row)
        machine.advance(None, 300)
        here = {name: machine.read(name) for name in ("mode", "stage", "won", "coins", "deaths")}
        assert here == {"mode": PLAYING, "stage": 2, "won": 0, "coins": 0, "deaths": 0}


# -- how it moves --------------------------------------------------------------------------------------------


def heights(machine, buttons, frames=60):
    """The runner's height above where it stood, frame by frame."""
    ground = machine.read("y")
    out = []
    for frame in range(frames):
        machine.advance(buttons(frame))
        out.append(ground - machine.read("y"))
    return out


def test_letting_go_of_a_cuts_a_jump():
    tops = []
    for held in (2, 8, 16, 40):
        with open_stage(1) as machine:
            machine.advance(None, 10)
            tops.append(max(heights(machine, lambda frame, held=held: "A" if frame < held else "")))
    assert tops == sorted(set(tops))
    assert tops[0] < 20 < 45 < tops[-1] < 4 * 16


def test_running_jumps_are_higher():
    tops = []
    for buttons in ("", "Right", "Right B"):
        with open_stage(1) as machine:
            machine.advance(buttons, 50)
            tops.append(max(heights(machine, lambda _, buttons=buttons: buttons + " A", 40)))
    assert tops == sorted(set(tops))


def test_speeds_are_those_of_the_memory_map_and_friction_stops():
    with open_stage(1) as machine:
        machine.advance("Right", 60)
        assert machine.read("vx") == 1.25
        machine.advance("Right B", 60)
        assert machine.read("vx") == 2
        machine.advance(None, 60)
        assert machine.read("vx") == 0
        there = machine.read("x")
        machine.advance("Left Right B", 60)
        assert machine.read("x") == there  # opposite directions are none


def test_it_can_jump_a_moment_after_leaving_the_ground_and_not_later():
    jumped = []
    for late in range(12):
        with at(1, x=36 * 16, y=193) as machine:  # before the first gap
            while machine.read("grounded"):
                machine.advance("Right")
            machine.advance("Right", late)
            machine.advance("Right A")
            jumped.append(machine.read("vy") < 0)
    assert jumped == sorted(jumped, reverse=True)
    assert 3 <= sum(jumped) <= 8


def test_a_wall_slows_a_fall_and_is_jumped_off_once():
    with at(1, x=139 * 16 + 6, y=120) as machine:  # in the chimney, beside the cliff
        machine.advance("Right", 30)
        assert (machine.read("wall"), machine.read("sliding")) == (2, 1)
        assert machine.read("vy") == pytest.approx(1.125)
        machine.advance("Right A")
        assert machine.read("vy") < -3 and machine.read("vx") < 0 and machine.read("wall_used") == 2
        for name, value in {"x": 139 * 16 + 6, "y": 110, "vx": 0, "vy": 1, "locked": 0}.items():
            machine.write(name, value)
        machine.advance("Right", 4)
        assert machine.read("wall") == 2
        machine.advance("Right A")
        assert machine.read("vy") > 0  # the same wall again: no


def test_a_spring_throws_twice_as_high_with_a_held():
    tops = []
    for buttons in ("", "A"):
        with at(1, x=16 * (6 * 16 + 5) + 3, y=150) as machine:
            machine.advance(buttons, 4)
            landed = max(heights(machine, lambda _, buttons=buttons: buttons, 90))
            tops.append(landed)
    assert tops[0] > 20 and tops[1] > tops[0] + 50


def test_a_stomp_kills_and_bounces_and_a_side_hit_kills_the_runner():
    for above, mode in ((40, PLAYING), (-1, DYING)):
        with at(1, x=20 * 16, y=193) as machine:
            machine.advance(None, 5)
            slot = next(slot for slot in range(8) if machine.read(f"enemy{slot}_kind"))
            enemy = machine.read(f"enemy{slot}_x")
            machine.write("x", enemy)
            machine.write("y", machine.read(f"enemy{slot}_y") - above)
            kinds = set()
            for _ in range(20):
                machine.advance(None)
                kinds.add(machine.read(f"enemy{slot}_kind"))
            assert machine.read("mode") == mode
            assert (5 in kinds) == (mode == PLAYING)


def test_spikes_kill_and_the_stage_begins_again():
    with at(1, x=84 * 16, y=150) as machine:
        machine.advance(None, 40)
        assert (machine.read("mode"), machine.read("deaths")) == (DYING, 1)
        machine.advance(None, 140)
        assert (machine.read("mode"), machine.read("x"), machine.read("deaths")) == (PLAYING, 16, 1)


def test_a_coin_counts_once():
    with at(1, x=7 * 16 + 3, y=180) as machine:
        machine.advance(None, 30)
        assert machine.read("coins") == 1
        machine.write("x", 40)
        machine.advance(None, 5)
        machine.write("x", 7 * 16 + 3)
        machine.advance(None, 5)
        assert machine.read("coins") == 1


# -- what an agent sees --------------------------------------------------------------------------------------


def test_terrain_is_the_map_around_the_runner():
    flags = {**read_flags(FOLDER / "source" / "tiles.txt"), "%": FLAGS["solid"]}
    columns = read_stage(FOLDER / "source" / "stages" / "stage1.txt").columns
    env = make_env(GAME, observation="features", frame_skip=4)
    machine, rng = env.unwrapped.machine, np.random.default_rng(0)
    seen, _ = env.reset(seed=0)
    checked = 0
    for _ in range(400):
        seen, _, over, cut, _ = env.step(int(rng.choice(8, p=[0.3, 0.25, 0.1, 0.1, 0.05, 0.1, 0.05, 0.05])))
        assert np.abs(seen).max() <= 2
        bears = seen[20 : 20 + 132].reshape(12, 11)
        column, row = int(machine.read("x") + 5) // 16, int(machine.read("y") + 7) // 16
        for right in range(-3, 9):
            for down in range(-5, 6):
                if 0 <= column + right < 256 and 0 <= row + down < 15:
                    does = flags[columns[column + right][row + down]]
                    assert (bears[right + 3, down + 5] == 1) == bool(does & FLAGS["solid"])
                    checked += 1
        if over or cut:
            env.reset()
    assert checked > 10_000
    env.close()


def test_an_episode_ends_by_death_by_the_goal_or_by_waiting():
    env = make_env(GAME, observation="features", frame_skip=4)
    env.reset(seed=0)
    for _ in range(400):  # into the first walker
        _, reward, over, _, info = env.step(0)
        if over:
            break
    assert over and not info["success"] and reward < -0.5
    env.reset()
    steps = 0
    while True:
        _, _, over, cut, info = env.step(4)
        steps += 1
        if over or cut:
            break
    assert (over, cut) == (False, True) and steps * 4 == pytest.approx(600, abs=4)
    env.close()
    env = make_env(GAME, observation="features", frame_skip=1, actions="full")
    env.reset(seed=0)
    buttons = ["", "A", "Left", "Left A", "Left B", "Left B A", "Right", "Right A", "Right B", "Right B A"]
    machine = env.unwrapped.machine
    choices = {machine.controllers[0].mask(held): i for i, held in enumerate(buttons)}
    total = 0.0
    for row in load_movie(FOLDER / "movies" / "stage1-shortcut.fpm").inputs:
        held = int(row[0])  # B alone does nothing, and the preset leaves it out
        choice = choices.get(held, choices.get(held & ~machine.controllers[0].mask("B")))
        _, reward, over, _, info = env.step(choice)
        total += reward
        if over:
            break
    assert over and info["success"] and total > 80
    env.close()
