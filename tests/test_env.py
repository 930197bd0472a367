from __future__ import annotations

import functools
import os
import signal
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np
import pytest
from gymnasium.utils.env_checker import check_env
from hypothesis import given, settings
from hypothesis import strategies as st

import frameperfect as fp
from frameperfect.env import Env
from frameperfect.env.actions import make_actions
from frameperfect.machine import Controller, Machine
from tests.components import need

need("ale_py")
BREAKOUT, PONG = "Breakout-Atari", "Pong-Atari"
AIRSTRIKER = "Airstriker-Genesis"

OBSERVATIONS = [
    None,
    "ram",
    "ram[0x10:0x20]",
    ("ram", 16, 128),
    "pixels",
    "screen",
    {"memory": "ram[:8]", "picture": "pixels"},
]


def airstriker() -> str:
    need("stable_retro")
    return AIRSTRIKER


OPEN: list[Env | Machine] = []


@pytest.fixture(autouse=True, scope="module")
def close_what_examples_share() -> Iterator[None]:
    yield
    for one in OPEN:
        one.close()


@functools.cache
def made(copy: int = 0, **settings: Any) -> Env:
    """An environment that many examples use: loading an Atari game takes a while."""
    env = fp.make_env(BREAKOUT, observation={"r": "ram", "p": "pixels"}, **settings)
    OPEN.append(env)
    return env


@functools.cache
def breakout() -> Machine:
    machine = fp.open(BREAKOUT)
    OPEN.append(machine)
    return machine


def play(env: gymnasium.Env[Any, Any], actions: list[int]) -> list[Any]:
    """What the steps give, and the machine's memory after each; stops at the episode's end."""
    trace = []
    for action in actions:
        observation, reward, terminated, truncated, info = env.step(action)
        trace.append((observation, reward, terminated, truncated, info, env.unwrapped.machine.hash()))
        if terminated or truncated:
            break
    return trace


def assert_same(one: Any, other: Any) -> None:
    assert type(one) is type(other)
    if isinstance(one, dict):
        assert one.keys() == other.keys()
        for key in one:
            assert_same(one[key], other[key])
    elif isinstance(one, (list, tuple)):
        assert len(one) == len(other)
        for a, b in zip(one, other, strict=True):
            assert_same(a, b)
    elif isinstance(one, np.ndarray):
        assert one.dtype == other.dtype
        np.testing.assert_array_equal(one, other)
    else:
        assert one == other


# -- Gymnasium ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("observation", OBSERVATIONS, ids=str)
def test_gymnasiums_check_finds_nothing(observation: Any) -> None:
    with fp.make_env(BREAKOUT, observation=observation, frame_skip=4, sticky=0.25) as env:
        check_env(env)


@pytest.mark.parametrize(
    "actions", [None, "buttons", "discrete", [["", "Left", "Right"], ["", "Fire"]]], ids=str
)
def test_gymnasiums_check_finds_nothing_with_any_actions(actions: Any) -> None:
    with fp.make_env(PONG, observation="ram", actions=actions, render_mode="rgb_array") as env:
        check_env(env)


@pytest.mark.parametrize("observation", ["features", "ram", "pixels"])
def test_gymnasiums_check_finds_nothing_on_a_console(observation: str) -> None:
    with fp.make_env(airstriker(), observation=observation, frame_skip=4) as env:
        check_env(env)


# -- observations ------------------------------------------------------------------------------------------


def test_memory_observations_are_the_machines_memory() -> None:
    parts = {"whole": "ram", "range": "ram[0x20:0x30]", "tuple": ("ram", 100, 128)}
    with fp.make_env(BREAKOUT, observation=parts) as env:
        env.reset(seed=0)
        for action in (1, 0, 2, 3, 3):
            observation, *_ = env.step(action)
            ram = env.machine.memory["ram"]
            assert_same(observation["whole"], np.array(ram))
            assert_same(observation["range"], np.array(ram[0x20:0x30]))
            assert_same(observation["tuple"], np.array(ram[100:128]))


def test_the_screen_observation_is_the_machines_screen() -> None:
    with fp.make_env(BREAKOUT, observation="screen", frame_skip=3, render_mode="rgb_array") as env:
        observation, _ = env.reset(seed=0)
        assert_same(observation, env.machine.screen())
        for action in (1, 2, 3):
            observation, *_ = env.step(action)
            assert_same(observation, env.machine.screen())
            assert_same(observation, env.render())


def test_pixels_take_the_shape_that_video_says() -> None:
    shapes = {
        (84, 84, True, 4): (4, 84, 84),
        (None, None, True, 1): (1, 210, 160),
        (None, None, False, 1): (210, 160, 3),
        (100, 80, False, 2): (2, 100, 80, 3),
    }
    for (height, width, grey, stack), shape in shapes.items():
        video = {"height": height, "width": width, "grey": grey, "stack": stack}
        with fp.make_env(BREAKOUT, observation="pixels", video=video) as env:
            observation, _ = env.reset(seed=0)
            assert observation.shape == env.observation_space.shape == shape


def test_a_game_is_observed_by_its_features_where_it_has_some_and_by_pixels_otherwise() -> None:
    with fp.make_env(airstriker()) as env:
        assert env.observation_space.shape == (len(env.feature_names),)
        assert env.observation_space.dtype == np.float32


# -- what is asked for wrongly -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ({"observation": "features"}, "no features.*ram"),
        ({"observation": "vram"}, "no observation 'vram'.*ram"),
        ({"observation": "ram[0x80:0x90]"}, "0x80 bytes"),
        ({"observation": "ram[12"}, "can't read"),
        ({"observation": "ram[a:b]"}, "range"),
        ({"observation": {}}, "entry"),
        ({"observation": {"a": "pixels", "b": "screen"}}, "one shape"),
        ({"observation": "ram", "video": {"stack": 2}}, "pixels"),
        ({"observation": "pixels", "video": {"size": 2}}, "no size.*height"),
        ({"actions": "run"}, "no actions 'run'.*buttons"),
        ({"actions": ["", "Jump"]}, "Jump.*Fire"),
        ({"actions": []}, "at least one"),
        ({"frame_skip": 0}, "frame_skip"),
        ({"sticky": 1.0}, "sticky"),
        ({"noops": -1}, "noops"),
        ({"max_steps": 0}, "max_steps"),
        ({"start": "level9"}, "no start 'level9'.*power-on"),
        ({"start": []}, "start"),
        ({"render_mode": "human"}, "render_mode 'human'.*rgb_array"),
    ],
    ids=str,
)
def test_a_wrong_setting_is_an_error_of_one_line_that_names_the_choices(settings: Any, says: str) -> None:
    with pytest.raises(fp.EnvError, match=says) as error:
        fp.make_env(BREAKOUT, **settings)
    assert "\n" not in str(error.value)


def test_an_action_outside_the_space_is_an_error_and_not_another_action() -> None:
    with fp.make_env(BREAKOUT, observation="ram") as env:
        env.reset(seed=0)
        for wrong in (-1, env.action_space.n, "Left", None):
            with pytest.raises(fp.EnvError, match="no action"):
                env.step(wrong)


def test_stepping_without_an_episode_is_an_error() -> None:
    with fp.make_env(BREAKOUT, observation="ram", max_steps=2) as env:
        with pytest.raises(gymnasium.error.ResetNeeded):
            env.step(0)
        env.reset(seed=0)
        env.step(0)
        _, _, terminated, truncated, _ = env.step(0)
        assert (terminated, truncated) == (False, True)
        with pytest.raises(gymnasium.error.ResetNeeded):
            env.step(0)


def test_an_unknown_reset_option_is_an_error() -> None:
    with (
        fp.make_env(BREAKOUT, observation="ram") as env,
        pytest.raises(fp.EnvError, match=r"'level'.*'start'"),
    ):
        env.reset(options={"level": 2})


# -- actions -----------------------------------------------------------------------------------------------

PAD = Controller(("B", "A", "Mode", "Start", "Up", "Down", "Left", "Right", "C", "Y", "X", "Z"))


@given(st.lists(st.lists(st.sampled_from(PAD.buttons), max_size=3).map(" ".join), min_size=1, max_size=8))
def test_a_discrete_action_presses_what_its_name_says(combinations: list[str]) -> None:
    actions = make_actions(combinations, {}, [PAD, PAD])
    batch = actions.batch(np.arange(len(combinations)))
    for index, name in enumerate(actions.names):
        pressed = PAD.mask("" if name == "noop" else name)
        assert pressed == PAD.mask(combinations[index])
        assert actions.single(index).tolist() == [[pressed, 0]] == batch[index : index + 1].tolist()


@given(st.data())
def test_grouped_actions_press_one_choice_of_every_group(data: st.DataObject) -> None:
    group = st.lists(st.sampled_from(["", *PAD.buttons]), min_size=1, max_size=4)
    groups = data.draw(st.lists(group, min_size=1, max_size=4))
    actions = make_actions(groups, {}, [PAD])
    choices = [data.draw(st.integers(0, len(group) - 1)) for group in groups]
    pressed = 0
    for group, choice in zip(groups, choices, strict=True):
        pressed |= PAD.mask(group[choice])
    assert actions.single(np.array(choices)).tolist() == [[pressed]]
    assert actions.batch(np.array([choices, choices])).tolist() == [[pressed]] * 2


@given(st.lists(st.booleans(), min_size=len(PAD.buttons), max_size=len(PAD.buttons)))
def test_binary_actions_press_each_button_on_its_own(pressed: list[bool]) -> None:
    actions = make_actions("buttons", {}, [PAD, PAD])
    mask = sum(1 << bit for bit, down in enumerate(pressed) if down)
    action = np.array(pressed, actions.space.dtype)
    assert actions.single(action).tolist() == [[mask, 0]]
    assert actions.batch(np.stack([action, 1 - action])).tolist() == [[mask, 0], [0xFFF - mask, 0]]


def test_discrete_is_every_combination_of_the_games_groups_once() -> None:
    groups = [["", "Left", "Right"], ["", "A", "B"], ["", "A"]]
    actions = make_actions("discrete", {"grouped": groups}, [PAD])
    masks = [actions.single(i)[0, 0] for i in range(actions.space.n)]  # type: ignore[attr-defined]
    expected = {PAD.mask(f"{a} {b} {c}") for a in groups[0] for b in groups[1] for c in groups[2]}
    assert len(masks) == len(set(masks))
    assert set(masks) == expected


# -- episodes ----------------------------------------------------------------------------------------------


def test_info_is_the_games_variables_at_the_last_frame() -> None:
    with fp.make_env(BREAKOUT, observation="ram", frame_skip=4) as env:
        env.reset(seed=0)
        for step, action in enumerate([1, 2, 2, 3, 3, 0]):
            *_, info = env.step(action)
            for name in env.machine.variables:
                assert info[name] == env.machine.read(name)
            assert info["episode_frames"] == 4 * (step + 1)
            assert info["success"] is False


def test_reward_terms_add_up_to_the_reward() -> None:
    with fp.make_env(BREAKOUT, observation="ram", frame_skip=4, reward_terms=True) as env:
        env.reset(seed=0)
        env.action_space.seed(0)
        total = 0.0
        for _ in range(300):
            _, reward, terminated, _, info = env.step(env.action_space.sample())
            assert reward == pytest.approx(sum(info["reward_terms"].values()))
            total += reward
            if terminated:
                env.reset()
        assert total > 0


@settings(max_examples=10, deadline=None)
@given(
    seed=st.integers(0, 2**32),
    actions=st.lists(st.integers(0, 3), min_size=1, max_size=30),
    sticky=st.sampled_from([0.0, 0.25]),
    noops=st.sampled_from([0, 5]),
)
def test_the_same_seed_gives_the_same_everything(
    seed: int, actions: list[int], sticky: float, noops: int
) -> None:
    traces = []
    for copy in range(2):
        env = made(copy, frame_skip=3, sticky=sticky, noops=noops)
        first = env.reset(seed=seed)
        trace = play(env, actions)
        traces.append([first, *trace, env.reset(), *play(env, actions)])
    assert_same(*traces)


def test_idle_steps_and_starts_are_drawn_anew_for_each_episode() -> None:
    with fp.make_env(BREAKOUT, observation="ram", noops=6) as env:
        env.reset(seed=0)
        frames = [env.reset()[1]["episode_frames"] for _ in range(40)]
        assert set(frames) == set(range(7))


# -- the whole environment as bytes ------------------------------------------------------------------------


@settings(max_examples=10, deadline=None)
@given(
    seed=st.integers(0, 2**32),
    before=st.lists(st.integers(0, 3), max_size=40),
    between=st.lists(st.integers(0, 3), max_size=10),
    after=st.lists(st.integers(0, 3), min_size=1, max_size=20),
)
def test_a_restored_environment_has_the_same_future(
    seed: int, before: list[int], between: list[int], after: list[int]
) -> None:
    env, other = (made(copy, frame_skip=4, sticky=0.3, max_steps=60) for copy in range(2))
    env.reset(seed=seed)
    play(env, before)
    state = env.save()
    movie = env.movie()
    future = [*play(env, after), env.reset(), *play(env, between)]
    for one in (env, other):
        one.restore(state)
        assert one.movie() == movie
        assert_same([*play(one, after), one.reset(), *play(one, between)], future)


def test_restore_gives_the_observation_that_was_last_seen() -> None:
    with fp.make_env(BREAKOUT, observation={"r": "ram", "p": "pixels"}, frame_skip=4) as env:
        env.reset(seed=0)
        seen = play(env, [1, 2, 2])[-1][0]
        state = env.save()
        play(env, [3] * 9)
        assert_same(env.restore(state), seen)


def test_a_damaged_or_foreign_clone_is_refused_and_changes_nothing() -> None:
    with (
        fp.make_env(BREAKOUT, observation="ram", frame_skip=4) as env,
        fp.make_env(BREAKOUT, observation="ram", frame_skip=2) as other_skip,
        fp.make_env(PONG, observation="ram", frame_skip=4) as other_game,
    ):
        for one in (env, other_skip, other_game):
            one.reset(seed=0)
            one.step(1)
        state = env.save()
        damaged = bytearray(state)
        damaged[len(state) // 2] ^= 0xFF
        for wrong in (
            b"",
            b"nothing",
            state[:-1],
            state + b"x",
            bytes(damaged),
            other_skip.save(),
            other_game.save(),
        ):
            with pytest.raises(fp.StateMismatch):
                env.restore(wrong)
        assert env.save() == state


# -- movies ------------------------------------------------------------------------------------------------


@settings(max_examples=8, deadline=None)
@given(
    seed=st.integers(0, 2**32),
    actions=st.lists(st.integers(0, 3), min_size=1, max_size=60),
    frame_skip=st.sampled_from([1, 4]),
    sticky=st.sampled_from([0.0, 0.3]),
)
def test_an_episodes_movie_replays_to_the_same_memory(
    seed: int, actions: list[int], frame_skip: int, sticky: float
) -> None:
    env = made(frame_skip=frame_skip, sticky=sticky, noops=3)
    _, info = env.reset(seed=seed)
    trace = play(env, actions)
    movie = env.movie()
    assert movie.frames == info["episode_frames"] + frame_skip * len(trace)
    assert movie.frames == trace[-1][4]["episode_frames"]
    assert movie.check(breakout()) == 1
    assert breakout().hash() == trace[-1][5]


def test_an_episode_from_a_state_gives_a_movie_that_starts_there() -> None:
    with fp.open(BREAKOUT) as machine:
        machine.advance("Fire", 30)
        machine.advance("Right", 40)
        state = machine.save()
    with fp.make_env(BREAKOUT, observation="ram", start=state, frame_skip=2) as env:
        env.reset(seed=0)
        trace = play(env, [0, 2, 3, 3])
        movie = env.movie()
    assert movie.start == state
    with fp.open(BREAKOUT) as machine:
        movie.check(machine)
        assert machine.hash() == trace[-1][5]


def test_reset_begins_where_its_option_says() -> None:
    with fp.open(BREAKOUT) as machine:
        machine.advance("Fire", 60)
        state, memory = machine.save(), np.array(machine.memory["ram"])
    with fp.make_env(BREAKOUT, observation="ram") as env:
        usual, _ = env.reset(seed=0)
        there, _ = env.reset(options={"start": state})
        again, _ = env.reset()
        assert_same(there, memory)
        assert_same(again, usual)


# -- scripts -----------------------------------------------------------------------------------------------


def test_a_script_can_read_and_write_the_machine_of_an_environment() -> None:
    with fp.make_env(BREAKOUT, observation="ram") as env:
        env.reset(seed=0)
        assert env.machine.read("lives") == 5
        assert env.step(0)[0][:30].any()
        env.machine.memory["ram"][:30] = 0  # bricks
        observation, *_ = env.step(0)
        assert not observation[:30].any()


def test_a_game_that_never_pays_or_never_ends_warns(tmp_path: Path) -> None:
    bare = '[game]\nname = "Bare-Atari"\nmachine = "atari"\nsystem = "atari2600"\nprogram = "pong"\n'
    (tmp_path / "game.toml").write_text(bare)
    with pytest.warns(UserWarning, match="no reward"), pytest.warns(UserWarning, match="never end"):
        fp.make_env(tmp_path, observation="ram").close()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        fp.make_env(BREAKOUT, observation="ram").close()


def test_a_crash_truncates_the_episode_and_the_next_reset_begins_with_a_new_machine() -> None:
    with fp.make_env(airstriker(), observation="ram", isolated=True) as env:
        first, _ = env.reset(seed=1)
        env.step(0)
        os.kill(env.machine.worker.pid, signal.SIGKILL)  # type: ignore[attr-defined]
        _, reward, terminated, truncated, info = env.step(0)
        assert (reward, terminated, truncated, info["crashed"]) == (0.0, False, True, True)
        with pytest.raises(gymnasium.error.ResetNeeded):
            env.step(0)
        again, info = env.reset(seed=1)
        assert_same(again, first)
        assert "crashed" not in info
        assert env.step(0)[2:4] == (False, False)


def test_definitions_can_be_others_than_the_game_s() -> None:
    env = fp.make_env("Skyrunner-Nes", frame_skip=4, define={"cleared": "best_x >= 100"})
    env.reset(seed=0)
    for _ in range(100):
        *_, info = env.step(0)
        if info["success"]:
            break
    assert info["success"] and 100 <= info["best_x"] < 120
    env.close()
    with pytest.raises(fp.GameError, match=r"Skyrunner-Nes defines no 'clear'\. Did you mean 'cleared'\?"):
        fp.make_env("Skyrunner-Nes", define={"clear": "true"})
    with pytest.raises(fp.GameError, match=r"\[define\] cleared"):
        fp.make_env("Skyrunner-Nes", define={"cleared": "nothing > 1"})


def test_a_game_s_features_are_its_own_or_a_list_by_name() -> None:
    with pytest.raises(fp.EnvError, match="has no features 'small'; observe features"):
        fp.make_env("Skyrunner-Nes", observation="features:small")
    with pytest.raises(fp.EnvError, match="one list only"):
        fp.make_env("Skyrunner-Nes", observation={"a": "features", "b": "features:small"})
