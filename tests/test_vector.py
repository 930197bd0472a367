from __future__ import annotations

import functools
import os
import signal
from collections.abc import Iterator
from typing import Any

import gymnasium
import numpy as np
import pytest
from gymnasium.vector import AutoresetMode, SyncVectorEnv
from hypothesis import given, settings
from hypothesis import strategies as st

import frameperfect as fp
from frameperfect.env import VectorEnv
from tests.components import need

need("ale_py")
need("stable_retro")
BREAKOUT = "Breakout-Atari"
AIRSTRIKER = "Airstriker-Genesis"


GAMES = [BREAKOUT, AIRSTRIKER]
ACTIONS = {BREAKOUT: 4, AIRSTRIKER: 3}
"""How many choices there are at least, in each part of an action."""


def assert_same(one: Any, other: Any, where: str = "") -> None:
    """Equal values of equal types, all the way down; arrays in shape and dtype too."""
    if isinstance(one, dict):
        assert isinstance(other, dict)
        assert one.keys() == other.keys(), where
        for key in one:
            assert_same(one[key], other[key], f"{where}[{key!r}]")
    elif isinstance(one, np.ndarray) and one.dtype != object:
        assert (one.dtype, one.shape) == (other.dtype, other.shape), where
        np.testing.assert_array_equal(one, other, where)
    elif isinstance(one, (list, tuple, np.ndarray)):
        assert len(one) == len(other), where
        for index, (a, b) in enumerate(zip(one, other, strict=True)):
            assert_same(a, b, f"{where}[{index}]")
    else:
        assert type(one) is type(other), where
        assert one == other, where


SETTINGS: list[dict[str, Any]] = [
    {"observation": "ram", "max_steps": 7},
    {"observation": "ram[3:90]", "frame_skip": 3, "sticky": 0.25, "noops": 3, "max_steps": 25},
    {"observation": {"r": "ram", "p": "pixels"}, "frame_skip": 4, "reward_terms": True, "max_steps": 1},
    {"observation": {"r": "ram", "p": "pixels"}, "frame_skip": 5, "sticky": 0.25},
]
MODES = [AutoresetMode.NEXT_STEP, AutoresetMode.SAME_STEP, AutoresetMode.DISABLED]


OPEN: list[gymnasium.vector.VectorEnv] = []


@pytest.fixture(autouse=True)
def close_what_examples_share() -> Iterator[None]:
    yield
    vectors.cache_clear()
    vector_to_clone.cache_clear()
    while OPEN:
        OPEN.pop().close()


@functools.cache
def vectors(
    game: str, n: int, threads: int, which: int, mode: AutoresetMode
) -> tuple[VectorEnv, SyncVectorEnv]:
    """Ours and Gymnasium's, used by many examples: loading an Atari game takes a while."""
    ours = fp.make_vec(game, n, threads=threads, autoreset_mode=mode, **SETTINGS[which])
    theirs = SyncVectorEnv([lambda: fp.make_env(game, **SETTINGS[which])] * n, autoreset_mode=mode)
    OPEN.extend((ours, theirs))
    return ours, theirs


@pytest.mark.parametrize("game", GAMES)
@pytest.mark.parametrize("mode", MODES, ids=str)
@settings(max_examples=6, deadline=None)
@given(
    which=st.integers(0, len(SETTINGS) - 1),
    many=st.booleans(),
    seed=st.integers(0, 1000),
    again=st.integers(0, 40),
)
def test_every_step_equals_gymnasiums_vector_of_our_single_environments(
    game: str, mode: AutoresetMode, which: int, many: bool, seed: int, again: int
) -> None:
    n = 3 if many else 1
    if game == BREAKOUT:  # fewer of those that take long to make
        n, which = 2, 1 + which // 2
    ours, theirs = vectors(game, n, n, which, mode)
    assert ours.metadata["autoreset_mode"] is theirs.metadata["autoreset_mode"]
    for space in ("single_observation_space", "observation_space", "single_action_space", "action_space"):
        assert getattr(ours, space) == getattr(theirs, space)
    assert_same(ours.reset(seed=seed), theirs.reset(seed=seed), "reset")
    theirs.action_space.seed(seed)
    for step in range(40):
        actions = theirs.action_space.sample()
        result = theirs.step(actions)
        assert_same(ours.step(actions), result, f"step {step}")
        ended = result[2] | result[3]
        if step == again:
            assert_same(ours.reset(), theirs.reset(), "second reset")
        elif mode is AutoresetMode.DISABLED and ended.any():
            with pytest.raises(gymnasium.error.ResetNeeded):
                ours.step(actions)
            options = [{"reset_mask": ended.copy()} for _ in range(2)]
            assert_same(ours.reset(options=options[0]), theirs.reset(options=options[1]), f"reset {step}")
    hashes = [env.unwrapped.machine.hash() for env in theirs.envs]
    assert [ours.machine(index).hash() for index in range(n)] == hashes


@pytest.mark.parametrize("game", GAMES)
def test_threads_and_company_change_nothing(game: str) -> None:
    runs = []
    for n, threads in ((1, 1), (2, 2)) if game == BREAKOUT else ((1, 1), (3, 1), (3, 2), (5, 3)):
        ours = fp.make_vec(game, n, threads=threads, **SETTINGS[3])
        observations, _ = ours.reset(seed=7)
        trace = [{key: part[0] for key, part in observations.items()}]
        for step in range(60):
            actions = np.random.default_rng(step).integers(
                0, ACTIONS[game], (n, *ours.single_action_space.shape)
            )
            actions[0] = np.random.default_rng(1000 + step).integers(
                0, ACTIONS[game], ours.single_action_space.shape
            )
            observations, *rest, infos = ours.step(actions)
            trace.append({key: part[0] for key, part in observations.items()})
            trace.append([part[0] for part in rest] + [infos["episode_frames"][0], ours.machine(0).hash()])
        runs.append(trace)
        ours.close()
    for run in runs[1:]:
        assert_same(run, runs[0])


def test_a_wrong_reset_mask_is_an_error() -> None:
    envs, _ = vectors(BREAKOUT, 3, 3, 0, AutoresetMode.DISABLED)
    for wrong in ([True, False, True], np.ones(3), np.ones(2, bool), np.zeros(3, bool)):
        with pytest.raises(fp.EnvError, match="reset_mask"):
            envs.reset(options={"reset_mask": wrong})
    with pytest.raises(fp.EnvError, match="2 seeds"):
        envs.reset(seed=[1, 2])


# -- send and recv -----------------------------------------------------------------------------------------


def test_send_and_recv_are_a_step() -> None:
    with_step = fp.make_vec(AIRSTRIKER, 3, observation="ram", frame_skip=4)
    with_send = fp.make_vec(AIRSTRIKER, 3, observation="ram", frame_skip=4)
    assert_same(with_step.reset(seed=5), with_send.reset(seed=5))
    for _ in range(10):
        actions = with_step.action_space.sample()
        with_send.send(actions)
        assert_same(with_step.step(actions), with_send.recv())
    with_step.close()
    with_send.close()


def test_between_send_and_recv_everything_else_is_an_error() -> None:
    envs = fp.make_vec(AIRSTRIKER, 2, observation="ram")
    with pytest.raises(fp.EnvError, match="send"):
        envs.recv()
    with pytest.raises(gymnasium.error.ResetNeeded):
        envs.step(np.zeros(2, int))
    envs.reset(seed=0)
    envs.send(np.zeros(2, int))
    for forbidden in (
        envs.reset,
        lambda: envs.send(np.zeros(2, int)),
        lambda: envs.save(0),
        lambda: envs.movie(0),
    ):
        with pytest.raises(fp.EnvError, match="recv"):
            forbidden()
    envs.close()


def test_actions_that_do_not_fit_are_errors() -> None:
    envs = fp.make_vec(AIRSTRIKER, 2, observation="ram")
    envs.reset(seed=0)
    for wrong in ([0], [0, 1, 2], [0, -1], [0, 99], [0.5, 1.0], 3):
        with pytest.raises(fp.EnvError):
            envs.step(np.array(wrong))
    envs.step(np.array([0, 1]))
    envs.close()


# -- copies ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("mode", ["NextStep", "SameStep"])
def test_without_copies_the_observations_are_the_same_in_place(mode: str) -> None:
    made: dict[str, Any] = {
        "observation": {"r": "ram", "p": "pixels"},
        "max_steps": 3,
        "autoreset_mode": mode,
    }
    copied, shared = fp.make_vec(AIRSTRIKER, 2, **made), fp.make_vec(AIRSTRIKER, 2, copy=False, **made)
    before, _ = copied.reset(seed=1)
    inplace, _ = shared.reset(seed=1)
    kept = {key: part.copy() for key, part in before.items()}
    for _ in range(8):
        actions = copied.action_space.sample()
        result = copied.step(actions)
        assert_same(result, shared.step(actions))
        assert_same(inplace, result[0])
        assert_same(before, kept)
    copied.close()
    shared.close()


# -- clones ------------------------------------------------------------------------------------------------


@functools.cache
def vector_to_clone(copy: int) -> VectorEnv:
    envs = fp.make_vec(
        AIRSTRIKER,
        3,
        observation={"r": "ram", "p": "pixels"},
        frame_skip=4,
        sticky=0.25,
        max_steps=25,
        noops=2,
    )
    OPEN.append(envs)
    return envs


@settings(max_examples=6, deadline=None)
@given(
    before=st.integers(0, 30), after=st.integers(1, 20), source=st.integers(0, 2), target=st.integers(0, 2)
)
def test_an_environment_restored_anywhere_has_the_same_future(
    before: int, after: int, source: int, target: int
) -> None:
    envs, other = (vector_to_clone(copy) for copy in range(2))
    rng = np.random.default_rng(0)
    envs.reset(seed=3)
    other.reset(seed=9)
    for _ in range(before):
        envs.step(rng.integers(0, 4, 3))
    clone = envs.save(source)
    other.restore(target, clone)
    assert other.movie(target) == envs.movie(source)
    seen, there = envs.observe(), other.observe()
    assert_same({k: v[target] for k, v in there.items()}, {k: v[source] for k, v in seen.items()})
    for _ in range(after):
        actions = rng.integers(0, 4, 3)
        moved = actions.copy()
        moved[target] = actions[source]
        expected, got = envs.step(actions), other.step(moved)
        for one, two in zip(expected[:4], got[:4], strict=True):
            if isinstance(one, dict):
                assert_same({k: v[target] for k, v in two.items()}, {k: v[source] for k, v in one.items()})
            else:
                assert two[target] == one[source]
    assert other.movie(target) == envs.movie(source)


def test_a_clone_moves_between_a_single_environment_and_a_vector() -> None:
    made: dict[str, Any] = {"observation": "ram", "frame_skip": 4, "sticky": 0.25}
    env, envs = fp.make_env(AIRSTRIKER, **made), fp.make_vec(AIRSTRIKER, 2, **made)
    env.reset(seed=4)
    envs.reset(seed=0)
    for action in (1, 2, 2, 3):
        env.step(action)
    envs.restore(1, env.save())
    for action in (3, 3, 0, 2, 2):
        one, many = env.step(action), envs.step(np.array([0, action]))
        assert_same(many[0][1], one[0])
        assert many[1][1] == one[1]
    env.restore(envs.save(1))
    assert env.movie() == envs.movie(1)
    env.close()
    envs.close()


# -- movies ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("mode", ["NextStep", "SameStep"])
def test_the_movies_of_running_and_finished_episodes_replay(mode: str) -> None:
    envs = fp.make_vec(
        AIRSTRIKER, 3, observation="ram", frame_skip=2, sticky=0.3, noops=3, max_steps=17, autoreset_mode=mode
    )
    envs.reset(seed=2)
    ram: dict[int, Any] = {}
    checked = 0
    with fp.open(AIRSTRIKER) as machine:
        for _ in range(400):
            observations, _, terminated, truncated, infos = envs.step(envs.action_space.sample())
            ended = np.flatnonzero(terminated | truncated)
            for index in ended:
                ram[index] = infos["final_obs"][index] if mode == "SameStep" else observations[index]
            if len(ended):
                index = ended[0]
                if mode == "NextStep":
                    assert envs.movie(index).frames == infos["episode_frames"][index]
                    assert envs.movie(index).check(machine) == 1
                    envs.step(envs.action_space.sample())
                movie = envs.movie(index, previous=True)
                movie.check(machine)
                np.testing.assert_array_equal(machine.memory["ram"], ram[index])
                envs.movie(index).check(machine)
                assert machine.hash() == envs.machine(index).hash()
                checked += 1
    assert checked > 20
    envs.close()


# -- Gymnasium's own door ----------------------------------------------------------------------------------


def test_gymnasium_makes_the_vector() -> None:
    envs = gymnasium.make_vec(
        f"frameperfect/{BREAKOUT}-v0",
        num_envs=2,
        vectorization_mode="vector_entry_point",
        observation="ram",
        max_episode_steps=3,
        autoreset_mode="SameStep",
    )
    assert envs.metadata["autoreset_mode"] is AutoresetMode.SAME_STEP
    observations, _ = envs.reset(seed=0)
    assert observations in envs.observation_space
    for step in range(1, 7):
        *_, truncated, _ = envs.step(envs.action_space.sample())
        assert truncated.all() == (step % 3 == 0)
    envs.close()
    envs.close()


# -- crashes -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("mode", MODES, ids=str)
def test_a_crashed_machine_is_replaced_and_the_others_go_on(mode: AutoresetMode) -> None:
    made: dict[str, Any] = {"observation": "ram", "frame_skip": 4, "sticky": 0.25, "autoreset_mode": mode}
    envs = fp.make_vec(AIRSTRIKER, 4, isolated=True, threads=2, **made)
    calm = fp.make_vec(AIRSTRIKER, 4, threads=1, **made)
    assert_same(envs.reset(seed=3), calm.reset(seed=3))
    for step in range(8):
        actions = envs.action_space.sample()
        if step == 4:
            os.kill(envs.machine(0).worker.pid, signal.SIGKILL)  # type: ignore[attr-defined]
        result, expected = envs.step(actions), calm.step(actions)
        assert_same([part[2:] for part in result[:4]], [part[2:] for part in expected[:4]])
        infos = result[4]
        if step != 4:
            assert "crashed" not in infos
            continue
        truncated = result[3]
        assert truncated.tolist() == [True, True, False, False]
        assert not result[2].any()
        if mode is AutoresetMode.SAME_STEP:
            infos = infos["final_info"]
        assert infos["crashed"].tolist() == infos["_crashed"].tolist() == [True, True, False, False]
        if mode is AutoresetMode.DISABLED:
            envs.reset(options={"reset_mask": truncated})
    # Three steps after the one that crashed; with NEXT_STEP the first of them was the reset.
    steps = 2 if mode is AutoresetMode.NEXT_STEP else 3
    assert result[4]["episode_frames"].tolist() == [4 * steps, 4 * steps, 32, 32]
    envs.close()
    calm.close()
