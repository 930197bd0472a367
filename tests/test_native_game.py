"""DDNet's races as environments: one agent, several servers, several agents in one server."""

from __future__ import annotations

import struct
import warnings
from collections.abc import Iterator

import numpy as np
import pytest
from gymnasium.utils.env_checker import check_env

import frameperfect
from frameperfect.env import ParallelEnv, make_parallel
from frameperfect.env.parallel import OUT, SCREEN
from frameperfect.errors import EnvError
from frameperfect.machines.native.hook import RECORD_SIZE
from frameperfect.machines.native.machine import NativeMachine
from frameperfect.movie import load_movie, save_movie
from tests.components import need, need_program

need_program("DDNet-Server", "ddnet-server")
need("pettingzoo")

GAME = "DDNet-Race"
SUNNY = {"map": "Sunny Side Up"}
RUN, JUMP = 2, 5  # "Right", "Right Jump"


def record(env: ParallelEnv, player: int) -> dict[str, int]:
    at = RECORD_SIZE * player
    x, y, vx, vy = struct.unpack_from("<4i", env.machine.memory["players"][at : at + 16].tobytes())
    return {"x": x, "y": y, "vx": vx, "vy": vy}


@pytest.fixture(scope="module")
def race() -> Iterator[ParallelEnv]:
    env = make_parallel(GAME, 4, options=SUNNY, frame_skip=4)
    yield env
    env.close()


# -- one agent ---------------------------------------------------------------------------------------------


def test_one_agent_runs_and_its_movie_verifies(tmp_path) -> None:
    env = frameperfect.make_env(GAME, options=SUNNY, frame_skip=4, max_steps=200)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # unbounded features
        check_env(env, skip_render_check=True)
    observation, info = env.reset(seed=3)
    assert env.observation_space.contains(observation) and info["race"] == 0
    total = 0.0
    for step in range(100):
        observation, reward, terminated, truncated, info = env.step(JUMP if step % 20 < 10 else RUN)
        total += reward
        assert not (terminated or truncated)
    assert total > 0 and info["x"] > 1000
    path = tmp_path / "run.fpm"
    save_movie(env.movie(), path)
    assert load_movie(path).options == {**SUNNY}
    assert frameperfect.verify(path)
    env.close()


def test_going_towards_the_finish_pays_and_going_back_costs() -> None:
    env = frameperfect.make_env(GAME, options=SUNNY, frame_skip=10, reward_terms=True)
    paid = {}
    for name, action in (("forward", RUN), ("back", 1)):
        env.reset(seed=0)
        paid[name] = sum(env.step(action)[4]["reward_terms"]["progress"] for _ in range(5))
    assert paid["forward"] > 0 > paid["back"]
    env.close()


def test_a_vector_of_servers_is_the_single_one() -> None:
    rng = np.random.default_rng(2)
    actions = rng.integers(9, size=(60, 2))
    envs = frameperfect.make_vec(GAME, 2, options=SUNNY, frame_skip=3)
    one = frameperfect.make_env(GAME, options=SUNNY, frame_skip=3)
    seen, _ = envs.reset(seed=0)
    own, _ = one.reset(seed=1)
    for both in actions:
        assert np.array_equal(own, seen[1])
        seen, rewards, *_ = envs.step(both)
        own, reward, *_ = one.step(int(both[1]))
        assert reward == pytest.approx(rewards[1])
    state = one.save()
    ahead = [one.step(RUN)[0] for _ in range(5)]
    one.restore(state)
    assert np.array_equal([one.step(RUN)[0] for _ in range(5)], ahead)
    envs.close()
    one.close()


def test_the_full_actions_aim_the_hook() -> None:
    env = frameperfect.make_env(GAME, actions="full", options=SUNNY)
    assert env.action_space.nvec.tolist() == [3, 2, 2, 16]
    ends = set()
    for aim in (10, 12, 14):  # up and left, up, up and right
        env.reset(seed=0)
        _, _, _, _, info = env.step([0, 1, 1, aim])
        machine = env.unwrapped.machine
        hook_x, _ = struct.unpack("<2i", machine.memory["players"][16:24].tobytes())
        ends.add(np.sign(hook_x - info["x"]))
    assert ends == {-1, 0, 1}
    env.close()


# -- several -----------------------------------------------------------------------------------------------


def test_the_race_passes_pettingzoo_s_own_test(race: ParallelEnv) -> None:
    from pettingzoo.test import parallel_api_test

    with warnings.catch_warnings():
        warnings.filterwarnings("error", module="pettingzoo")
        parallel_api_test(race, num_cycles=100)


def test_every_agent_sees_itself_and_the_three_nearest_others() -> None:
    race = make_parallel(GAME, 7, options=SUNNY, frame_skip=4)
    names = race.feature_names
    race.reset(seed=0)
    rng = np.random.default_rng(0)
    for _ in range(40):
        # towards the ends of the map, each in its own way
        seen, *_ = race.step(
            {name: int(rng.choice([RUN, JUMP]) - number % 2) for number, name in enumerate(race.agents)}
        )
        if len(race.agents) < 7:
            break
        records = [record(race, number) for number in range(7)]
        for number, name in enumerate(race.possible_agents):
            own, told = records[number], dict(zip(names, seen[name], strict=True))
            assert told["vx / 16"] == pytest.approx(own["vx"] / 256 / 16)
            assert told["vy / 16"] == pytest.approx(own["vy"] / 256 / 16)
            others = [other for at, other in enumerate(records) if at != number]
            others.sort(key=lambda other: (other["x"] - own["x"]) ** 2 + (other["y"] - own["y"]) ** 2)
            for place, other in enumerate(others[:3], 1):
                assert told[f"alive{place}"] == 1
                for axis in "xy":
                    away = np.clip((other[axis] - own[axis]) / 640, -2, 2)
                    name_of_it = f"alive{place} * clip(({axis}{place} - {axis}) / 640, -2, 2)"
                    assert told[name_of_it] == pytest.approx(away)
                speed = (other["vx"] - own["vx"]) / 256 / 16
                assert told[f"alive{place} * (vx{place} - vx) / 16"] == pytest.approx(speed)
    race.close()


def test_each_agent_moves_its_own_player(race: ParallelEnv) -> None:
    for mover in range(4):
        race.reset(seed=0)
        before = [record(race, number)["x"] for number in range(4)]
        for _ in range(3):
            race.step({name: RUN if number == mover else 0 for number, name in enumerate(race.agents)})
        moved = [abs(record(race, number)["x"] - x) > 10 for number, x in enumerate(before)]
        assert moved[mover]


def test_equal_seeds_and_actions_give_equal_races_and_the_movie_verifies(race: ParallelEnv, tmp_path) -> None:
    actions = np.random.default_rng(1).integers(9, size=(40, 4))
    runs = []
    for _ in range(2):
        race.reset(seed=9)
        rewards = []
        for row in actions:
            _, paid, *_ = race.step({name: int(row[int(name[-1])]) for name in race.agents})
            rewards.append(sorted(paid.items()))
        runs.append((rewards, race.machine.hash()))
    assert runs[0] == runs[1]
    path = tmp_path / "race.fpm"
    save_movie(race.movie(), path)
    assert frameperfect.verify(path)


def test_who_falls_behind_the_leader_s_screen_is_out_and_the_last_one_wins() -> None:
    env = make_parallel(GAME, 3, mode="elimination", options=SUNNY, frame_skip=4)
    env.reset(seed=0)
    out: list[str] = []
    totals = dict.fromkeys(env.possible_agents, 0.0)
    for step in range(200):
        living = env.agents.copy()
        if not living:
            break
        leads = {name: RUN if name == "player_1" else 0 for name in living}
        leads["player_1"] = JUMP if step % 5 < 3 else RUN
        _, rewards, terminations, _, infos = env.step(leads)
        for name in living:
            totals[name] += rewards[name]
            away = abs(infos[name]["x"] - infos["player_1"]["x"]) > SCREEN[0]
            away |= abs(infos[name]["y"] - infos["player_1"]["y"]) > SCREEN[1]
            assert terminations[name] == (away if name != "player_1" else len(env.agents) == 0)
            out += [name] * terminations[name]
    assert set(out) == set(env.possible_agents) and out[-1] in ("player_1", "player_2")
    assert totals["player_1"] > OUT / 2 and max(totals["player_0"], totals["player_2"]) < -OUT / 2
    env.close()


def test_a_server_that_dies_cuts_the_episode_off_and_the_next_reset_goes_on(race: ParallelEnv) -> None:
    import os
    import signal

    race.reset(seed=0)
    machine = race.machine
    assert isinstance(machine, NativeMachine)
    os.kill(machine.pid, signal.SIGKILL)
    _, _, terminations, truncations, infos = race.step(dict.fromkeys(race.agents, 0))
    assert all(truncations.values()) and not any(terminations.values()) and race.agents == []
    assert all(info["crashed"] for info in infos.values())
    observations, _ = race.reset(seed=0)
    assert set(observations) == set(race.agents) == set(race.possible_agents)


@pytest.mark.parametrize(
    ("game", "more", "says"),
    [
        ("Skyrunner-Nes", {}, "player"),
        (GAME, {"mode": "duel"}, "no mode 'duel'"),
    ],
)
def test_what_is_not_for_several_says_so(game: str, more: dict[str, str], says: str) -> None:
    if game != GAME:
        need("stable_retro")
    with pytest.raises(frameperfect.FrameperfectError, match=says):
        make_parallel(game, 2, **more)


def test_a_course_is_a_race_of_so_many_tiles_that_can_be_won() -> None:
    env = make_parallel(GAME, 3, options=SUNNY, frame_skip=4, define={"course": "12"})
    env.reset(seed=0)
    stays, last = "player_2", {}
    for step in range(400):
        actions = {name: (0 if name == stays else JUMP if step % 20 < 10 else RUN) for name in env.agents}
        _, rewards, terminations, _, infos = env.step(actions)
        last |= {name: (rewards[name], infos[name]) for name, over in terminations.items() if over}
        if len(last) == 2:
            break
    assert set(last) == {"player_0", "player_1"} and env.agents == [stays]
    for reward, info in last.values():
        assert info["success"] and info["travelled"] >= 12 and reward > 20
    assert sorted(info["rank"] for _, info in last.values())[0] == 1
    assert not infos[stays]["success"] and "rank" not in infos[stays]
    env.close()


def test_the_observation_of_twelve_values_is_there_by_name() -> None:
    env = frameperfect.make_env(GAME, options=SUNNY, observation="features:twelve")
    observation, info = env.reset(seed=0)
    assert observation.shape == env.observation_space.shape == (12,)
    assert observation[:2].tolist() == pytest.approx([info["x"] / 1000, info["y"] / 1000])
    env.close()
    with pytest.raises(EnvError, match="DDNet-Race has no features 'ten'; observe features, features:twelve"):
        frameperfect.make_env(GAME, observation="features:ten")


def test_an_agent_without_an_action_is_named(race: ParallelEnv) -> None:
    race.reset(seed=0)
    with pytest.raises(EnvError, match="no action for player_2"):
        race.step({"player_0": 0, "player_1": 0, "player_3": 0})
