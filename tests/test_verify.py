"""Runs on real machines: recorded, replayed, proven in fresh processes, and exchanged with stable-retro."""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys

import numpy as np
import pytest

import frameperfect as fp
from frameperfect.errors import Desync, MovieError, StateMismatch
from frameperfect.game import from_power_on, verify
from frameperfect.movie import Movie, Recorder, load_movie, save_movie
from tests.components import need
from tests.movies import NES

need("stable_retro")
GAME = "Airstriker-Genesis"


@pytest.fixture(scope="module")
def machine():
    with fp.open(GAME, core="picodrive", start="level1") as opened:
        yield opened


def record(machine, seed=0, frames=300) -> Movie:
    """A random run from the start of level 1."""
    machine.restore(machine.game.start_state(machine, "level1"))
    recorder = Recorder(machine, start="level1", author="a test")
    rng = np.random.default_rng(seed)
    while recorder.frames < frames:
        recorder.advance(str(rng.choice(["", "Left B", "Right", "B", "Right B"])), int(rng.integers(1, 9)))
    return recorder.movie()


def test_a_recorded_run_replays_after_any_other_run(machine):
    movie = record(machine)
    assert movie.checkpoints[-1][0] == movie.frames
    machine.advance("Left B", 7)
    assert list(movie.replay(machine)) == list(range(1, movie.frames + 1))
    machine.advance("Right", 3)
    assert movie.check(machine) == len(movie.checkpoints)


def test_a_restored_machine_forgets_what_was_held_before(machine):
    state = machine.game.start_state(machine, "level1")
    futures = set()
    for held in ("", "Left", "Right", "B"):
        machine.restore(state)
        machine.advance(held or None, 3)
        machine.restore(state)
        machine.advance(None, 2)
        futures.add(machine.hash())
    assert len(futures) == 1


def test_a_changed_run_is_a_desync_that_names_frame_and_variable(machine):
    machine.restore(machine.game.start_state(machine, "level1"))
    recorder = Recorder(machine, start="level1")
    recorder.advance("Left", 10)
    recorder.advance(None, 290)
    movie = recorder.movie()
    movie.inputs[130] = machine.controllers[0].mask("Right")
    with pytest.raises(Desync) as caught:
        list(movie.replay(machine))
    assert (caught.value.frame, caught.value.variable) == (180, "x")
    assert str(caught.value).startswith("memory differs from frame 180 on (x: ")


def test_a_run_goes_on_from_a_mark_as_if_nothing_had_been_tried(machine):
    machine.restore(machine.game.start_state(machine, "level1"))
    recorder = Recorder(machine, start="level1")
    recorder.advance("Left", 50)
    mark = recorder.save()
    recorder.advance("Right B", 70)
    recorder.restore(mark)
    recorder.advance("B", 30)
    movie = recorder.movie()
    assert (movie.frames, movie.rerecords) == (80, 1)
    assert movie.check(machine) == 2


def test_resets_and_power_cycles_are_part_of_the_run(machine):
    machine.reset()
    recorder = Recorder(machine)
    recorder.advance(None, 100)
    recorder.press_reset()
    recorder.advance("Start", 60)
    recorder.power_cycle()
    recorder.advance(None, 30)
    movie = recorder.movie()
    assert movie.commands == {100: "reset", 160: "power"}
    assert movie.check(machine) == 4


@pytest.mark.parametrize("suffix", [".fpm", ".bk2"])
def test_a_movie_verifies_in_a_fresh_process(machine, tmp_path, suffix):
    movie = record(machine)
    path = tmp_path / f"bester Lauf é{suffix}"
    save_movie(from_power_on(movie) if suffix == ".bk2" else movie, path)
    verdict = verify(path)
    assert verdict
    assert verdict.checkpoints == len(movie.checkpoints)
    assert str(verdict).startswith(f"{path}: matches: ")


def test_the_first_difference_is_named_with_both_machines(machine, tmp_path):
    save_movie(record(machine), tmp_path / "a.fpm")
    verdict = verify(tmp_path / "a.fpm", core="genesis_plus_gx")
    assert not verdict
    assert verdict.frame == 60
    assert "; recorded with picodrive " in str(verdict)
    assert ", here genesis_plus_gx " in str(verdict)


def test_a_movie_without_checkpoints_proves_nothing_until_it_gets_them(machine, tmp_path):
    movie = record(machine)
    bare = Movie(controllers=movie.controllers, inputs=movie.inputs, start="level1", game=GAME)
    save_movie(bare, tmp_path / "bare.fpm")
    assert not verify(tmp_path / "bare.fpm")
    checked = bare.with_checkpoints(machine)
    assert (checked.checkpoints, checked.values) == (movie.checkpoints, movie.values)
    save_movie(checked, tmp_path / "checked.fpm")
    assert verify(tmp_path / "checked.fpm")


def test_what_cannot_be_verified_says_why(machine, tmp_path):
    movie = record(machine, frames=60)
    movie.game = ""
    save_movie(movie, tmp_path / "a.fpm")
    with pytest.raises(MovieError, match="does not say which game it is for"):
        verify(tmp_path / "a.fpm")
    other = Movie(controllers=(NES,), inputs=np.full((60, 1), NES.mask("Select")), game=GAME)
    other.checkpoints = [(60, "0" * 16)]
    save_movie(other, tmp_path / "b.fpm")
    with pytest.raises(MovieError, match="frame 0: port 0 presses 'Select'; there it has Up, Down"):
        verify(tmp_path / "b.fpm")


def test_a_run_from_a_state_needs_its_own_core(machine, tmp_path):
    machine.restore(machine.game.start_state(machine, "level1"))
    recorder = Recorder(machine)
    recorder.advance("Left", 60)
    save_movie(recorder.movie(), tmp_path / "a.fpm")
    assert verify(tmp_path / "a.fpm")
    with pytest.raises(StateMismatch):
        verify(tmp_path / "a.fpm", core="genesis_plus_gx")


# -- stable-retro ------------------------------------------------------------------------------------------

RECORD = """
import hashlib, json, sys
import numpy as np
import stable_retro as retro
kept = dict(render_mode=None, use_restricted_actions=retro.Actions.ALL)
env = retro.make("Airstriker-Genesis-v0", record=sys.argv[1], **kept)
env.reset()
rng = np.random.default_rng(3)
for step in range(150):
    if step % 7 == 0:
        action = rng.integers(0, 2, 12).astype(np.int8)
        action[3] = 0  # START pauses
    env.step(action)
env.stop_record()
print(json.dumps({"ram": hashlib.sha1(env.get_ram()).hexdigest(), **env.data.lookup_all()}))
"""
PLAY = """
import hashlib, json, sys
import numpy as np
import stable_retro as retro
movie = retro.Movie(sys.argv[1])
kept = dict(render_mode=None, use_restricted_actions=retro.Actions.ALL)
env = retro.make(movie.get_game(), state=retro.State.NONE, **kept)
env.initial_state = movie.get_state()
movie.step()
env.reset()
frames = 1
while movie.step():
    env.step([movie.get_key(i, 0) for i in range(env.num_buttons)])
    frames += 1
print(json.dumps({"ram": hashlib.sha1(env.get_ram()).hexdigest(), "frames": frames}))
"""
READ_FM2 = """
import json, sys
import stable_retro as retro
movie = retro.Movie(sys.argv[1])
names = ["B", None, "SELECT", "START", "UP", "DOWN", "LEFT", "RIGHT", "A"]
rows = []
while movie.step():
    held = [[n for i, n in enumerate(names) if n and movie.get_key(i, p)] for p in range(movie.players)]
    rows.append([sorted(port) for port in held])
print(json.dumps(rows))
"""


def child(code: str, path) -> object:
    done = subprocess.run([sys.executable, "-c", code, str(path)], capture_output=True, text=True, check=True)
    return json.loads(done.stdout.splitlines()[-1])


def ram_of(machine) -> str:
    return hashlib.sha1(machine.memory["ram"].tobytes()).hexdigest()


def test_a_bk2_that_stable_retro_recorded_replays_to_its_memory(tmp_path):
    theirs = child(RECORD, tmp_path)
    movie = load_movie(next(tmp_path.glob("*.bk2")))
    assert (movie.game, movie.core, movie.frames) == (GAME, "genesis_plus_gx", 151)
    with fp.open(GAME, core=movie.core) as machine:
        assert list(movie.replay(machine))[-1] == 151
        assert ram_of(machine) == theirs["ram"]
        assert (machine.read("score"), machine.read("lives")) == (theirs["score"], theirs["lives"])


def test_stable_retro_plays_a_bk2_of_ours_to_our_memory(tmp_path):
    with fp.open(GAME, core="genesis_plus_gx", start="level1") as machine:
        recorder = Recorder(machine, start="level1")
        recorder.advance(None)
        for held in ("Left B", "Right", "B", "Right B", "Left"):
            recorder.advance(held, 25)
        movie = recorder.movie().portable(machine)
        movie.extra |= {"MovieVersion": "Retro", "GameName": "Airstriker-Genesis-v0"}
        save_movie(movie, tmp_path / "ours.bk2")
        movie.check(machine)
        theirs = child(PLAY, tmp_path / "ours.bk2")
        assert theirs == {"ram": ram_of(machine), "frames": movie.frames}
    assert verify(tmp_path / "ours.bk2")


def test_stable_retro_reads_an_fm2_of_ours(tmp_path):
    inputs = np.random.default_rng(1).integers(0, 256, (30, 2))
    save_movie(Movie(controllers=(NES, NES), inputs=inputs, system="Nes"), tmp_path / "ours.fm2")
    ours = [[sorted(NES.names(int(mask)).upper().split()) for mask in row] for row in inputs]
    assert child(READ_FM2, tmp_path / "ours.fm2") == ours


# -- other machines ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("suffix", [".fpm", ".bk2"])
def test_an_atari_run_verifies(tmp_path, suffix):
    need("ale_py")
    with fp.open("Pong-Atari") as machine:
        recorder = Recorder(machine)
        for held in ("Fire", "Up", "Down", "", "Up"):
            recorder.advance(held, 17)
        save_movie(recorder.movie(), tmp_path / f"run{suffix}")
    assert verify(tmp_path / f"run{suffix}")
