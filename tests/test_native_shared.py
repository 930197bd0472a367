"""Several players of several games as one vector: what each sees, how games end, one policy for all."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from gymnasium.error import ResetNeeded

from frameperfect.env import SharedVectorEnv, make_parallel, make_shared, make_vec
from frameperfect.errors import EnvError, FrameperfectError
from tests.command_line import frameperfect
from tests.components import need, need_program

need_program("DDNet-Server", "ddnet-server")

GAME = "DDNet-Race"
SUNNY = {"map": "Sunny Side Up"}


@pytest.fixture(scope="module")
def shared() -> Iterator[SharedVectorEnv]:
    env = make_shared(GAME, 2, 3, options=SUNNY, frame_skip=4, max_steps=40)
    yield env
    env.close()


def test_each_player_sees_what_the_agent_of_a_parallel_environment_sees(shared: SharedVectorEnv) -> None:
    need("pettingzoo")
    race = make_parallel(GAME, 3, options=SUNNY, frame_skip=4, max_steps=40)
    actions = np.random.default_rng(1).integers(9, size=(39, 6))
    seen, _ = shared.reset(seed=5)
    own, _ = race.reset(seed=6)  # the second game counts up from the first one's seed
    names = race.possible_agents
    assert np.array_equal(seen[3:], np.stack([own[name] for name in names]))
    for row in actions:
        seen, rewards, terminated, truncated, infos = shared.step(row)
        own, paid, _, _, told = race.step(dict(zip(names, row[3:].tolist(), strict=True)))
        assert np.array_equal(seen[3:], np.stack([own[name] for name in names]))
        assert rewards[3:].tolist() == [paid[name] for name in names]
        assert infos["x"][3:].tolist() == [told[name]["x"] for name in names]
        assert not (terminated.any() or truncated.any())
    race.close()


def test_one_player_in_each_game_is_the_vector_of_single_ones() -> None:
    actions = np.random.default_rng(2).integers(9, size=(60, 2))
    kept = []
    for make in (lambda: make_shared(GAME, 2, 1, options=SUNNY, frame_skip=2, max_steps=25),
                 lambda: make_vec(GAME, 2, options=SUNNY, frame_skip=2, max_steps=25)):  # fmt: skip
        with_ends = []
        env = make()
        env.reset(seed=0)
        for row in actions:
            seen, rewards, terminated, truncated, infos = env.step(row)
            with_ends.append((seen.copy(), rewards, terminated, truncated, infos["x"]))
        env.close()
        kept.append(with_ends)
    for one, other in zip(*kept, strict=True):
        assert all(np.array_equal(a, b) for a, b in zip(one, other, strict=True))


def test_mixed_games_have_many_players_and_few() -> None:
    mixed = make_shared(GAME, 5, 3, mixed=True, options=SUNNY, frame_skip=4)
    assert mixed.num_envs == 3 + 3 + 2 + 1 + 1
    others = [mixed.feature_names.index(f"alive{number}") for number in (1, 2)]
    seen, _ = mixed.reset(seed=0)
    assert seen[:, others].sum(axis=1).tolist() == [2] * 6 + [1] * 2 + [0] * 2
    alone = make_shared(GAME, 1, 1, options=SUNNY, frame_skip=4)
    alone.reset(seed=4)
    for action in np.random.default_rng(0).integers(9, size=(20, 10)):
        seen, rewards, *_ = mixed.step(action)
        own, paid, *_ = alone.step(action[-1:])
        assert np.array_equal(seen[-1:], own) and rewards[-1] == paid[0]
    mixed.close()
    alone.close()


def test_a_game_that_is_out_of_time_begins_anew_for_all_its_players(shared: SharedVectorEnv) -> None:
    first, _ = shared.reset(seed=0)
    nothing, run = np.zeros(6, int), np.full(6, 2)
    for _ in range(39):
        _, _, _, truncated, infos = shared.step(run)
        assert not truncated.any()
    *_, truncated, infos = shared.step(run)
    assert truncated.all() and (infos["episode_frames"] == 160).all()
    seen, rewards, terminated, truncated, infos = shared.step(run)  # its action is ignored
    assert np.array_equal(seen, first) and not rewards.any() and not (terminated | truncated).any()
    assert (infos["episode_frames"] == 0).all()
    *_, infos = shared.step(nothing)
    assert (infos["episode_frames"] == 4).all()


def test_a_player_that_loses_begins_anew_where_the_game_puts_it_and_the_others_go_on(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    env = make_shared(GAME, 1, 2, options=SUNNY, frame_skip=2)
    env.reset(seed=0)
    step = env._episodes.step

    def second_loses(rows: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        rewards, terminated, truncated = step(rows)
        terminated[1] = True
        return rewards, terminated, truncated

    for _ in range(5):
        env.step(np.array([2, 2]))
    with monkeypatch.context() as patch:
        patch.setattr(env._episodes, "step", second_loses)
        _, _, terminated, truncated, infos = env.step(np.array([2, 2]))
    assert terminated.tolist() == [False, True] and not truncated.any()
    x = infos["x"]
    _, rewards, terminated, truncated, infos = env.step(np.array([2, 2]))
    assert not (terminated | truncated).any() and rewards[1] == 0
    assert infos["episode_frames"].tolist() == [14, 0]
    assert infos["x"][0] > x[0] and infos["x"][1] >= x[1]  # the game went on
    env.close()


def test_a_server_that_dies_cuts_its_players_off_and_the_other_game_goes_on(shared: SharedVectorEnv) -> None:
    shared.reset(seed=0)
    os.kill(shared._groups[0].pool.machine(0).pid, signal.SIGKILL)
    _, rewards, terminated, truncated, infos = shared.step(np.full(6, 2))
    assert truncated.tolist() == [True] * 3 + [False] * 3 and not terminated.any()
    assert infos["crashed"].tolist() == [True] * 3 + [False] * 3 and not rewards[:3].any()
    _, _, _, truncated, infos = shared.step(np.full(6, 2))
    assert not truncated.any() and infos["episode_frames"].tolist() == [0] * 3 + [8] * 3


def test_what_it_can_not_do_says_so(shared: SharedVectorEnv) -> None:
    with pytest.raises(FrameperfectError, match="no option 'players'"):
        make_shared("Skyrunner-Nes", 1, 2)
    with pytest.raises(EnvError, match="1 game and 1 agent or more, not 0 and 2"):
        make_shared(GAME, 0, 2)
    with pytest.raises(EnvError, match="2 actions for 6 environments"):
        shared.step(np.zeros(2, int))
    with pytest.raises(EnvError, match="reset takes no options here, not start"):
        shared.reset(options={"start": "power-on"})
    fresh = make_shared(GAME, 1, 2, options=SUNNY)
    with pytest.raises(ResetNeeded):
        fresh.step(np.zeros(2, int))
    fresh.close()


def test_train_teaches_all_players_one_policy_that_eval_plays_alone(tmp_path: Path) -> None:
    need("torch")
    shared = ("--option", "map=Sunny Side Up", "--agents", 2, "--envs", 2, "--steps", 600, "--max-steps", 60)
    done = frameperfect("train", GAME, *shared, "--run", "both", "--no-eval", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    again = frameperfect("eval", "runs/both", "--episodes", 2, cwd=tmp_path)
    assert again.returncode == 0, again.stderr
    wrong = frameperfect("train", GAME, "--agents", 2, "--observation", "players", cwd=tmp_path)
    assert wrong.returncode == 2 and "several agents learn from features alone" in wrong.stderr
    wrong = frameperfect("train", GAME, "--option", "Tsunami", cwd=tmp_path)
    assert wrong.returncode == 2 and "write NAME=VALUE" in wrong.stderr
