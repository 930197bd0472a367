"""Known runs become what learners start from: exactly what an agent would have seen, done and got."""

from __future__ import annotations

import json
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import frameperfect
from frameperfect.env.curriculum import Backwards
from frameperfect.env.demonstrations import Demonstrations, record
from frameperfect.errors import EnvError, LearningError, StateMismatch
from frameperfect.learn import PpoConfig, ValueConfig, train
from frameperfect.learn.spaces import Actions, Input
from frameperfect.learn.value.demonstrations import load
from frameperfect.learn.value.replay import STEP, TERMINATED, Shape
from frameperfect.movie import Movie
from frameperfect.search import Budget, Problem, exhaustive, go_explore
from frameperfect.search.demonstrations import demonstrate
from tests.components import need
from tests.mazes import FREE, GOAL, PIT, WALL, write_game

need("stable_retro")

RULES = """
[observation]
features = ["column - 5", "row - 4", "delta(column)"]

[reward]
goal = "goal"

[end]
terminated = "goal or fallen"
success = "goal"

[search.way]
win = "goal"
fail = "fallen"
prefer = "column + row"
same = ["place"]
cells = ["place"]
steps = 40
"""
WAY = ["Right"] * 8 + ["Down"] * 6
MOVES = ["noop", "Up", "Down", "Left", "Right"]


def corridor() -> list[int]:
    """A corridor between pits, once around a corner: nobody gets through by chance."""
    cells = [WALL if i < 16 or i >= 240 or i % 16 in (0, 15) else PIT for i in range(256)]
    for place in (*range(0x11, 0x1A), *range(0x19, 0x79, 16)):
        cells[place] = FREE
    cells[0x79] = GOAL
    return cells


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_game(tmp_path_factory.mktemp("corridor"), corridor(), RULES)


def run_of(folder: Path, moves: list[str]) -> Movie:
    with frameperfect.open(folder) as machine:
        masks = [[machine.controllers[0].mask("" if move == "noop" else move), 0] for move in moves]
        inputs = np.array(masks, np.uint32).reshape(-1, 2)
        movie = Movie(controllers=machine.controllers, inputs=inputs, game="Maze-Nes", start="begin")
        return movie.with_checkpoints(machine)


@pytest.fixture(scope="module")
def way(folder: Path) -> Movie:
    return run_of(folder, WAY)


@pytest.fixture(scope="module")
def shown(folder: Path, way: Movie) -> Demonstrations:
    return record(folder, [way], actions="moves", state_every=1)


def envs_of(folder: Path, n: int = 16) -> Any:
    return frameperfect.make_vec(folder, n, actions="moves", max_steps=60, threads=1)


# -- recording ---------------------------------------------------------------------------------------------


def test_a_run_is_recorded_as_the_environment_plays_it(folder: Path, shown: Demonstrations) -> None:
    env = frameperfect.make_env(folder, actions="moves")
    seen, rewards, terminated = [env.reset(seed=0)[0]], [], []
    for move in WAY:
        observation, reward, over, _, _ = env.step(MOVES.index(move))
        seen.append(observation)
        rewards.append(reward)
        terminated.append(over)
    env.close()
    assert np.array_equal(shown.obs[""], np.stack(seen))
    assert [MOVES[action] for action in shown.actions] == WAY
    assert shown.rewards.tolist() == rewards and shown.terminated.tolist() == terminated
    assert terminated[-1] and shown.success.all() and shown.lengths.tolist() == [14]


def test_states_along_it_are_what_was_seen_there(folder: Path, shown: Demonstrations) -> None:
    env = frameperfect.make_env(folder, actions="moves")
    assert shown.places.tolist() == [[0, at] for at in range(14)]
    for (_, at), state in zip(shown.places.tolist(), shown.states, strict=True):
        observation, _ = env.reset(options={"start": state})
        assert np.array_equal(
            observation[:2], shown.obs[""][at, :2]
        )  # the third looks back: nothing lies there
    env.close()
    assert shown.returns_from().tolist() == [1] * 14


@given(st.lists(st.lists(st.sampled_from(MOVES), min_size=1, max_size=6), min_size=1, max_size=6))
@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_a_tree_of_runs_holds_each_of_its_steps_once(folder: Path, endings: list[list[str]]) -> None:
    runs = [WAY[: 3 + len(ending)] + ending for ending in endings]
    alone = [record(folder, [run_of(folder, run)], actions="moves", state_every=0) for run in runs]
    tree = record(folder, [run_of(folder, run) for run in runs], actions="moves", state_every=0)
    expected = {}
    for one in alone:
        for at in range(one.steps):
            key = tuple(one.actions[: at + 1].tolist())
            seen = one.obs[""]
            expected[key] = (seen[at].tolist(), seen[at + 1].tolist(), one.rewards[at], one.terminated[at])
    # every branch begins with what was seen where it leaves another: the observations join them up
    found = sorted(_steps(tree))
    assert found == sorted((int(key[-1]), *map(str, step)) for key, step in expected.items())
    assert tree.steps == len(expected)


def _steps(shown: Demonstrations) -> list[tuple[Any, ...]]:
    steps = []
    for episode, part in enumerate(shown.episodes()):
        seen = shown.observations(episode)[""]
        for i, row in enumerate(range(part.start, part.stop)):
            facts = seen[i].tolist(), seen[i + 1].tolist(), shown.rewards[row], shown.terminated[row]
            steps.append((int(shown.actions[row]), *map(str, facts)))
    return steps


def test_buttons_and_pictures_are_recorded_too(folder: Path, way: Movie) -> None:
    found = record(folder, [way], actions="buttons", observation={"ram": "ram[0x10:0x14]", "seen": "pixels"})
    assert found.actions.shape == (14, 8) and found.actions.sum() == 14
    assert found.obs["ram"].shape == (15, 4) and found.obs["ram"][-1, 2] == 1
    assert found.obs["seen"].shape == (15, 4, 84, 84)


@pytest.mark.parametrize(
    ("moves", "options", "wrong"),
    [
        (["Right", "Down"], {"frame_skip": 2}, r"within step 0 \(frames 0 to 1\); with frame_skip=1"),
        (["Right Down"], {}, "presses 'Down Right', which is none of the environment's actions"),
        ([], {}, "the movies hold no step"),
    ],
)
def test_what_no_agent_could_have_done_is_refused(
    folder: Path, moves: list[str], options: dict[str, Any], wrong: str
) -> None:
    with pytest.raises(EnvError, match=wrong):
        record(folder, [run_of(folder, moves)], actions="moves", **options)


def test_a_movie_that_does_not_replay_is_refused(folder: Path, way: Movie) -> None:
    frame, _ = way.checkpoints[-1]
    broken = Movie(
        controllers=way.controllers, inputs=way.inputs, game=way.game, start="begin",
        checkpoints=[(frame, "0123456789abcdef")],
    )  # fmt: skip
    with pytest.raises(EnvError, match=f"memory differs at frame {frame}"):
        record(folder, [broken], actions="moves")


def test_all_that_go_explore_holds_becomes_one_tree(folder: Path) -> None:
    with Problem(folder, threads=1) as problem:
        found = go_explore(problem, Budget(states=400), seed=0)
        tree = demonstrate(problem, found, actions="moves")
        best = demonstrate(problem, exhaustive(problem), actions="moves")
    assert len(found.runs) > 3
    prefixes = {tuple(run[:n].tolist()) for run in found.runs for n in range(1, len(run) + 1)}
    assert tree.steps == len(prefixes)
    assert best.success.all() and best.steps == 14


# -- as a file ---------------------------------------------------------------------------------------------


def test_a_file_gives_back_what_was_kept_and_damage_is_told(
    shown: Demonstrations, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "kept.npz"
    shown.save(path)
    again = Demonstrations.load(path)
    assert again.states == shown.states and again.env == shown.env and again.game == shown.game
    for name in ("actions", "rewards", "terminated", "lengths", "success", "first", "places"):
        assert np.array_equal(getattr(again, name), getattr(shown, name))
    assert np.array_equal(again.obs[""], shown.obs[""])
    whole = path.read_bytes()
    for spoiled in (b"", b"PK", whole[: len(whole) // 2], b"\0" * 100):
        path.write_bytes(spoiled)
        with pytest.raises(EnvError, match="makes a file of them"):
            Demonstrations.load(path)
    path.write_bytes(whole)
    monkeypatch.setattr("frameperfect.env.demonstrations.MOST_BYTES", 100)
    with pytest.raises(EnvError, match="at most 0 are read"):
        Demonstrations.load(path)
    with pytest.raises(EnvError, match="no such file"):
        Demonstrations.load(tmp_path / "none.npz")


# -- backwards from the goal -------------------------------------------------------------------------------


def test_the_point_moves_back_only_where_enough_is_reached(folder: Path, shown: Demonstrations) -> None:
    envs = Backwards(envs_of(folder), shown)
    envs.reset(seed=0)
    assert envs.part == 0 and envs.inner.starts == tuple(shown.states[-4:])
    for _ in range(10):  # nobody moves: nothing is reached
        envs.step(np.zeros(16, np.int64))
    assert envs.part == 0
    for _ in range(400):  # everyone knows the way
        if envs.single:
            break
        places = envs.observe()[:, :2] + [5, 4]
        envs.step(np.where(places[:, 0] < 9, MOVES.index("Right"), MOVES.index("Down")))
    assert envs.part == 1 and envs.single and envs.inner.starts == ("begin",)
    envs.close()


def test_a_saved_curriculum_goes_on_alike(folder: Path, shown: Demonstrations) -> None:
    dice = np.random.default_rng(0)
    steps = dice.integers(0, 5, (120, 16))
    envs = Backwards(envs_of(folder), shown)
    envs.reset(seed=3)
    for actions in steps[:60]:
        envs.step(actions)
    kept = [envs.save(i) for i in range(16)]
    told = [envs.step(actions)[:2] for actions in steps[60:]]
    point = envs.part
    envs.close()
    again = Backwards(envs_of(folder), shown)
    again.reset(seed=9)
    for i in range(16):
        again.restore(i, kept[i])
    for (seen, rewards), actions in zip(told, steps[60:], strict=True):
        now = again.step(actions)
        assert np.array_equal(now[0], seen) and np.array_equal(now[1], rewards)
    assert again.part == point
    with pytest.raises(StateMismatch, match="other starts"):
        again.restore(0, b"\0\0")
    again.close()


def test_demonstrations_of_another_game_or_without_states_are_refused(
    folder: Path, way: Movie, shown: Demonstrations
) -> None:
    envs = envs_of(folder, 1)
    with pytest.raises(EnvError, match="no states to begin at"):
        Backwards(envs, record(folder, [way], actions="moves", state_every=0))
    other = Demonstrations(**{**vars(shown), "fingerprint": "00"})
    with pytest.raises(EnvError, match="another core or version"):
        Backwards(envs, other)
    envs.close()


# -- in the replay -----------------------------------------------------------------------------------------


def test_a_replay_of_demonstrations_gives_their_returns(folder: Path, tmp_path: Path) -> None:
    runs = [
        run_of(folder, moves) for moves in (WAY, ["Right", "Down"], ["Right"] * 3, WAY[:5] + ["Left"] * 2)
    ]
    shown = record(folder, runs, actions="moves")
    shown.save(tmp_path / "runs.npz")
    inputs, actions = (Input("", (3,), "float32"),), Actions("discrete", (5,))
    replay = load(tmp_path / "runs.npz", inputs, actions, Shape(capacity=10, n_step=3, gamma=0.5))
    rows = np.flatnonzero((replay.kinds == STEP) | (replay.kinds == TERMINATED))
    assert len(rows) == shown.steps == int(np.count_nonzero(replay.tree.leaves()))
    returns, discounts, _, following = replay.lead(rows)
    at = 0
    for episode, part in enumerate(shown.episodes()):
        seen = shown.observations(episode)[""]
        for i in range(part.stop - part.start):
            ahead = min(3, part.stop - part.start - i)
            rewards = shown.rewards[part.start + i : part.start + i + ahead]
            assert returns[at] == sum(reward * 0.5**k for k, reward in enumerate(rewards))
            over = shown.terminated[part.start + i + ahead - 1]
            assert discounts[at] == (0 if over else 0.5**ahead)
            assert np.array_equal(replay.observations(rows[at : at + 1])[""][0], seen[i])
            if not over:
                assert np.array_equal(replay.observations(following[at : at + 1])[""][0], seen[i + ahead])
            assert replay.actions[rows[at]] == shown.actions[part.start + i]
            at += 1


def test_demonstrations_of_another_agent_are_refused(shown: Demonstrations, tmp_path: Path) -> None:
    shown.save(tmp_path / "runs.npz")
    shape = Shape(capacity=10)
    with pytest.raises(LearningError, match=r"observations of \(3,\) float32, and this agent sees of \(4,\)"):
        load(tmp_path / "runs.npz", (Input("", (4,), "float32"),), Actions("discrete", (5,)), shape)
    with pytest.raises(LearningError, match="actions that this agent has not"):
        load(tmp_path / "runs.npz", (Input("", (3,), "float32"),), Actions("discrete", (3,)), shape)


# -- what it is for ----------------------------------------------------------------------------------------


def last_return(make: Callable[[], Any], config: Any, run: Path) -> float:
    """The mean of the last 100 episodes: how often the goal was reached."""
    return train(make, config, run).mean_return


def test_ppo_reaches_a_goal_backwards_that_it_never_finds(
    folder: Path, shown: Demonstrations, tmp_path: Path
) -> None:
    config = PpoConfig(steps=20_000, rollout_steps=64, learning_rate=1e-3, entropy_coef=0.01, seed=0)
    assert last_return(lambda: envs_of(folder), config, tmp_path / "plain") == 0
    assert last_return(lambda: Backwards(envs_of(folder), shown), config, tmp_path / "backwards") > 0.4


def test_a_value_learner_reaches_a_goal_that_was_demonstrated_and_that_it_never_finds(
    folder: Path, shown: Demonstrations, tmp_path: Path
) -> None:
    shown.save(tmp_path / "way.npz")
    given = {"steps": 4_096, "learning_starts": 200, "batch_size": 64, "n_step": 3, "learning_rate": 1e-3}
    given |= {"epsilon_fraction": 0.5, "report_steps": 256, "seed": 0}
    plain = ValueConfig.named("dqn", **given)
    assert last_return(lambda: envs_of(folder), plain, tmp_path / "plain") == 0
    taught = ValueConfig.named("dqn", **given, demonstrations=str(tmp_path / "way.npz"))
    assert last_return(lambda: envs_of(folder), taught, tmp_path / "taught") > 0.4


def test_training_with_demonstrations_goes_on_where_it_was_stopped(
    folder: Path, shown: Demonstrations, tmp_path: Path
) -> None:
    shown.save(tmp_path / "way.npz")
    given = {"learning_starts": 128, "batch_size": 32, "report_steps": 256, "priority": 0.5, "n_step": 3}
    given |= {"demonstrations": str(tmp_path / "way.npz"), "epsilon_fraction": 0.0}
    config = ValueConfig.named("dqn", steps=1_024, **given)

    def stop(now: Any) -> None:
        if now.steps >= 512:
            signal.raise_signal(signal.SIGINT)

    # the same budget: the importance of priorities moves with it
    train(lambda: envs_of(folder), config, tmp_path / "whole")
    assert train(lambda: envs_of(folder), config, tmp_path / "again", progress=stop).stopped == "interrupt"
    train(lambda: envs_of(folder), config, tmp_path / "again", resume=True)
    one, two = ((tmp_path / name / "metrics.csv").read_text().splitlines() for name in ("whole", "again"))
    assert _losses(one) == _losses(two)


def _losses(lines: list[str]) -> list[str]:
    place = lines[0].split(",").index("loss")
    return [line.split(",")[place] for line in lines[1:]]


# -- the command -------------------------------------------------------------------------------------------


def test_the_command_makes_what_train_takes(folder: Path, way: Movie, tmp_path: Path) -> None:
    from frameperfect.movie import save_movie
    from tests.command_line import frameperfect as command

    save_movie(way, tmp_path / "way.fpm")
    made = command(
        "demonstrations", folder, "way.fpm", "--out", "way.npz", "--frame-skip", 1, "--actions", "moves",
        cwd=tmp_path,
    )  # fmt: skip
    assert made.returncode == 0, made.stderr
    assert "way.npz: 14 steps of 1 runs, 1 of which reach the goal, rewards of 1, 2 states" in made.stdout
    again = command("demonstrations", folder, "way.fpm", "--out", "way.npz", cwd=tmp_path)
    assert again.returncode == 2 and "add --force" in again.stderr
    for algo, place in (("ppo", "backwards"), ("dqn", "learn")):
        trained = command(
            "train", folder, "--algo", algo, "--demonstrations", "way.npz", "--steps", 128, "--envs", 2,
            "--frame-skip", 1, "--actions", "moves", "--run", algo, "--no-eval", cwd=tmp_path,
        )  # fmt: skip
        assert trained.returncode == 0, trained.stderr
        kept = json.loads((tmp_path / "runs" / algo / "config.json").read_text())[place]
        assert (kept if algo == "ppo" else kept["demonstrations"]).endswith("way.npz")
