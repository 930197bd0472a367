"""The Atari machine against ALE itself."""

from __future__ import annotations

import functools
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from frameperfect.errors import MachineError, StateMismatch, Unsupported
from frameperfect.machine import Machine, MachineSpec, open_machine
from frameperfect.memory import Span
from frameperfect.pool import PoolSettings, Video
from tests.components import need

ale_py = need("ale_py")
from ale_py.vector_env import AtariVectorEnv  # noqa: E402

from frameperfect.machines import atari  # noqa: E402

GAMES = ("breakout", "pong", "space_invaders", "montezuma_revenge")
inputs = st.lists(st.tuples(st.integers(0, 31), st.integers(1, 8)), max_size=20)


@functools.cache
def game(name: str) -> Machine:
    return open_machine(MachineSpec("atari", name=name))


@functools.cache
def plain_ale(name: str):
    ale = ale_py.ALEInterface()
    ale.setInt("random_seed", 0)
    ale.setFloat("repeat_action_probability", 0.0)
    ale.loadROM(str(ale_py.roms.get_rom_path(name)))
    return ale


def play(machine: Machine, run: list[tuple[int, int]]) -> tuple[list[str], bytes]:
    """The hashes along the run and its last picture."""
    hashes = []
    for mask, frames in run:
        machine.advance(mask, frames)
        hashes.append(machine.hash())
    return hashes, machine.screen().tobytes()


@settings(max_examples=15, deadline=None)
@given(name=st.sampled_from(GAMES), before=inputs, between=inputs, after=inputs)
def test_a_restored_machine_has_the_same_memory_screen_and_future(name, before, between, after):
    machine = game(name)
    machine.reset()
    play(machine, before)
    state, memory, picture = machine.save(), machine.hash(), machine.screen()
    future = play(machine, after)
    play(machine, between)
    machine.restore(state)
    assert machine.hash() == memory
    assert np.array_equal(machine.screen(), picture)
    assert play(machine, after) == future


@settings(max_examples=10, deadline=None)
@given(name=st.sampled_from(GAMES), run=inputs)
def test_the_machine_plays_what_ale_plays(name, run):
    machine = game(name)
    machine.reset()
    ale = plain_ale(name)
    ale.reset_game()
    score = 0
    for mask, frames in run:
        machine.advance(mask, frames)
        names = machine.controllers[0].names(mask).upper().split()
        if "UP" in names and "DOWN" in names:
            names = [n for n in names if n not in ("UP", "DOWN")]
        if "LEFT" in names and "RIGHT" in names:
            names = [n for n in names if n not in ("LEFT", "RIGHT")]
        action = ale_py.Action.__members__["".join(names) or "NOOP"]
        score += sum(ale.act(action) for _ in range(frames))
    assert np.array_equal(machine.memory["ram"], ale.getRAM())
    assert np.array_equal(machine.screen(), ale.getScreenRGB())
    fields = machine.memory["ale"].tobytes()
    assert int.from_bytes(fields[:4], "little", signed=True) == score
    assert fields[4] == ale.lives()
    assert bool(fields[5]) == ale.game_over()


def test_reset_is_power_on():
    machine = game("pong")
    machine.reset()
    fresh = open_machine(MachineSpec("atari", name="pong"))
    play(machine, [(1, 40), (16, 3), (8, 30)])
    machine.reset()
    run = [(16, 2), (1, 40), (2, 40)]
    assert machine.frame == 0
    assert machine.hash() == fresh.hash()
    assert play(machine, run) == play(fresh, run)
    fresh.close()


def test_what_is_written_to_ram_is_in_the_next_frame_and_in_states():
    machine = game("breakout")
    machine.reset()
    machine.memory["ram"][57] = 2  # Breakout's lives
    state = machine.save()
    machine.advance(None)
    assert machine.memory["ram"][57] == 2
    assert machine.memory["ale"][4] == 2
    machine.reset()
    machine.restore(state)
    assert machine.memory["ram"][57] == 2


def test_a_finished_game_stands_still_and_keeps_its_screen_when_restored():
    machine = game("breakout")
    machine.reset()
    while not machine.memory["ale"][5]:
        machine.advance("Fire", frames=50)
    over, picture, frame = machine.save(), machine.screen(), machine.frame
    machine.reset()
    machine.advance(None, frames=5)
    machine.restore(over)
    machine.advance("Left", frames=9)
    assert np.array_equal(machine.screen(), picture)
    assert machine.frame == frame + 9


@settings(max_examples=30, deadline=None)
@given(data=st.data())
def test_a_damaged_state_is_refused_and_changes_nothing(data):
    machine = game("breakout")
    machine.reset()
    machine.advance("Fire", frames=7)
    state = machine.save()
    where = data.draw(st.integers(0, len(state) - 1))
    if 20 <= where < 28:
        where = 0  # the frame count is the header's own
    damaged = bytearray(state)
    damaged[where] ^= data.draw(st.integers(1, 255))
    cut = state[: data.draw(st.integers(0, len(state) - 1))]
    memory = machine.hash()
    for wrong in (bytes(damaged), cut):
        with pytest.raises(StateMismatch):
            machine.restore(wrong)
        assert machine.hash() == memory
        assert machine.save() == state


def test_states_belong_to_their_game_mode_and_core():
    state = game("pong").save()
    with pytest.raises(StateMismatch, match="another game"):
        game("breakout").restore(state)
    hard = MachineSpec("atari", name="pong", options={"difficulty": "1"})
    with open_machine(hard) as machine, pytest.raises(StateMismatch):
        machine.restore(state)


def test_ale_states_can_be_imported_and_bad_ones_are_refused():
    machine = game("breakout")
    machine.reset()
    ale = plain_ale("breakout")
    for _ in range(30):
        ale.act(ale_py.Action.FIRE)
    machine.import_state(ale.cloneState().serialize())
    assert np.array_equal(machine.memory["ram"], ale.getRAM())
    memory = machine.hash()
    with pytest.raises(StateMismatch, match="refuses"):
        machine.import_state(b"nothing of the kind")
    assert machine.hash() == memory


def test_a_mode_and_a_difficulty_change_the_game():
    plain, other = game("breakout"), MachineSpec("atari", name="breakout", options={"mode": "12"})
    plain.reset()
    with open_machine(other) as machine:
        assert machine.fingerprint != plain.fingerprint
        run = [(16, 2), (8, 30), (4, 60)]
        assert play(machine, run) != play(plain, run)


@pytest.mark.parametrize(
    ("spec", "words"),
    [
        (MachineSpec("atari", name="brakeout"), "did you mean 'breakout'"),
        (MachineSpec("atari", name="warlords"), "no game 'warlords'"),
        (MachineSpec("atari", program=Path("no such.bin")), "is no file"),
        (MachineSpec("atari", program=Path(__file__)), "not a game that ALE supports"),
        (MachineSpec("atari", name="pong", options={"mode": "77"}), "no mode 77"),
        (MachineSpec("atari", name="pong", options={"speed": "1"}), "no option 'speed'"),
    ],
)
def test_what_cannot_be_opened_says_why(spec, words):
    with pytest.raises(MachineError, match=words):
        open_machine(spec)


def test_a_rom_file_is_recognised_by_its_contents(tmp_path):
    rom = tmp_path / "käse und brot.bin"
    rom.write_bytes(Path(ale_py.roms.get_rom_path("pong")).read_bytes())
    spec = atari.recognise(rom)
    assert spec is not None and spec.name == "pong"
    with open_machine(spec) as machine:
        assert machine.fingerprint == game("pong").fingerprint
    rom.write_bytes(rom.read_bytes()[:1000])
    assert atari.recognise(rom) is None


def test_inputs_and_memory_refuse_what_the_console_has_not():
    machine = game("pong")
    with pytest.raises(Unsupported, match="no button 'A'"):
        machine.advance("A")
    with pytest.raises(Unsupported):
        machine.advance(["Up", "Up"])
    with pytest.raises(ValueError, match="read-only"):
        machine.memory["ale"][0] = 1


# -- pools -----------------------------------------------------------------------------------------


@settings(max_examples=6, deadline=None)
@given(name=st.sampled_from(GAMES), steps=st.lists(st.integers(0, 17), min_size=1, max_size=30))
def test_observations_and_rewards_equal_those_of_ales_vector_environment(name, steps):
    pool, envs = eyes(name)
    pool.reset([0], [None], [0])
    envs.reset(seed=np.array([0]), options={"reset_mask": np.array([True])})
    score = 0
    for action in steps:
        pool.step(np.array([[atari.machine.ACTIONS.index(action)]], np.uint32))
        observed, reward, over, _, info = envs.step(np.array([action]))
        fields = pool.rows[0].tobytes()
        now = int.from_bytes(fields[:4], "little", signed=True)
        assert (now - score, fields[4], fields[5]) == (reward[0], info["lives"][0], over[0])
        score = now
        if over[0]:
            break
        assert np.array_equal(pool.pixels[0, -1], observed[0, -1])


@functools.cache
def eyes(name: str):
    """A pool and ALE's vector environment that show the same."""
    asked = PoolSettings(frame_skip=4, video=Video(), spans=(Span("ale", 0, 6),))
    pool = atari.AtariPool(MachineSpec("atari", name=name), 1, asked)
    envs = AtariVectorEnv(
        name, 1, noop_max=0, use_fire_reset=False, reward_clipping=False, full_action_space=True
    )
    return pool, envs


def test_a_restored_screen_is_as_grey_as_ales():
    for name in GAMES:
        machine = game(name)
        machine.reset()
        play(machine, [(16, 3), (5, 40), (26, 30)])
        grey, state = machine.grey_screen().copy(), machine.save()
        machine.reset()
        machine.restore(state)
        assert np.array_equal(machine.grey_screen(), grey)


def test_sticky_frames_are_told_and_replay_on_a_machine():
    asked = PoolSettings(frame_skip=3, sticky=0.4, spans=(Span("ram", 0, 128),))
    pool = atari.AtariPool(MachineSpec("atari", name="pong"), 1, asked)
    machine = game("pong")
    machine.reset()
    pool.reset([0], [None], [7])
    stuck = 0
    for step in range(40):
        mask = (16, 1, 2)[step % 3]
        pool.step(np.array([[mask]], np.uint32))
        for given_ in pool.inputs[0, :, 0]:
            stuck += given_ != mask
            machine.advance(int(given_))
    assert np.array_equal(pool.rows[0], machine.memory["ram"])
    assert 20 < stuck < 80
    pool.close()
