"""go-explore led by a trained agent, which sees what it was trained on."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import frameperfect
from frameperfect.env.onlooker import Onlooker
from frameperfect.errors import SearchError
from frameperfect.search import Budget, Driver, Problem, Result, go_explore, make_method
from frameperfect.search.guide import Agent
from tests import mazes
from tests.command_line import frameperfect as command
from tests.components import need

need("stable_retro")
need("torch")
from frameperfect.cli.runs import RunConfig  # noqa: E402
from frameperfect.learn import PpoConfig, load_policy, train  # noqa: E402

SEARCH = """
[observation]
features = ["column / 16", "row / 16"]
[reward]
progress = "delta(column) + delta(row)"
[search.way]
win = "column + row == 28"
prefer = "column + row"
same = ["place", "key"]
steps = 60
"""
ENV = {"observation": "features", "actions": "moves", "max_steps": 40}
SHORTEST = 13 + 13


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A room without walls."""
    cells = mazes.draw(0, walls=0, pits=0)
    cells = [mazes.FREE if what in (mazes.DOOR, mazes.GOAL, mazes.KEY) else what for what in cells]
    return mazes.write_game(tmp_path_factory.mktemp("room"), cells, SEARCH)


@pytest.fixture(scope="module")
def run(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An agent that has learned to go to the far corner."""
    path = tmp_path_factory.mktemp("runs") / "corner"
    config = PpoConfig(steps=8_192, rollout_steps=64, learning_rate=0.003, seed=1)
    RunConfig(str(folder), dict(ENV), 8, "ppo", {"seed": 1}).write(path)
    train(lambda: frameperfect.make_vec(folder, 8, **ENV), config, path)
    return path


def led(folder: Path, run: Path, states: int, threads: int = 1, lanes: int = 16, **running: Any) -> Result:
    with Problem(folder, threads=threads) as problem:
        agent = Agent(problem, load_policy(run), ENV, identity="it", lanes=lanes)
        found = go_explore(problem, Budget(states=states), seed=4, guide=agent, **running)
        agent.close()
        assert problem.expander.store.count == 1  # only the start is left
        if not running:
            assert found.prove(problem).verdict
    return found


def facts(found: Result) -> tuple[Any, ...]:
    return found.claim, found.score, found.states, found.notes, [one.tolist() for one in found.runs]


def test_an_agent_gets_further_than_random_actions_do(folder: Path, run: Path) -> None:
    with Problem(folder, threads=1) as problem:
        alone = go_explore(problem, Budget(states=1_200), seed=4)
    found = led(folder, run, 1_200)
    assert found.won and SHORTEST <= len(found.path) < SHORTEST + 4 < len(alone.path)


def test_a_seed_gives_the_same_archive_on_any_number_of_threads_and_in_pieces(
    folder: Path, run: Path, tmp_path: Path
) -> None:
    whole = led(folder, run, 1_500)
    assert facts(led(folder, run, 1_500, threads=2)) == facts(whole)
    kept = tmp_path / "kept"
    left = iter(range(1))
    led(folder, run, 1_500, checkpoint=kept, stop=lambda: next(left, None) is None)
    assert facts(led(folder, run, 1_500, checkpoint=kept, resume=True)) == facts(whole)
    with pytest.raises(SearchError, match="its guide was"), Problem(folder, threads=1) as problem:
        Driver(make_method("go-explore", problem, Budget(), seed=4), checkpoint=kept, resume=True)


@pytest.mark.parametrize("observation", ["features", "pixels", {"a": "ram[0x0:0x20]", "b": "screen"}])
def test_an_onlooker_shows_what_an_environment_does_that_begins_there(observation: Any) -> None:
    settings = {"observation": observation, "frame_skip": 4, "actions": "run"}
    env = frameperfect.make_env("Skyrunner-Nes", **settings)
    env.reset(seed=0)
    states = []
    for action in (1, 2, 1, 3, 1):
        env.step(action)
        states.append(env.machine.save())
    onlooker = Onlooker("Skyrunner-Nes", len(states), **settings, sticky=0.9, start="stage2", noops=30)
    for _ in range(2):  # what was seen before does not matter
        onlooker.begin(states)
        seen, actions = [onlooker.observe()], np.array([0, 1, 2, 1, 3])
        for step in range(3):
            onlooker.step(onlooker.masks(actions), np.arange(5) != step)
            seen.append(onlooker.observe())
    for lane in (3, 4):  # these never stood still
        shown = [env.reset(options={"start": states[lane]})[0]]
        shown += [env.step(int(actions[lane]))[0] for _ in range(3)]
        for one, two in zip(shown, seen, strict=True):
            for name, part in one.items() if isinstance(one, dict) else [("", one)]:
                other = two[name] if name else two
                assert np.array_equal(part, other[lane])
    env.close()
    onlooker.close()


def test_an_agent_that_does_not_fit_is_refused_with_the_mend(folder: Path, run: Path) -> None:
    player = load_policy(run)
    with Problem(folder, threads=1) as problem:
        said = "holds its actions for 4 frames and .* for 1; train one with --frame-skip 1, or set frames = 4"
        with pytest.raises(SearchError, match=said):
            Agent(problem, player, {**ENV, "frame_skip": 4}, identity="it", lanes=8)
        with pytest.raises(SearchError, match="trained on another core"):
            Agent(problem, player, {**ENV, "options": {"fceumm_region": "PAL"}}, identity="it", lanes=8)
        # It may press what the search may not, and then chance decides.
        presses = {**ENV, "actions": ["A", "B", "Start", "A B", "Right"]}
        agent = Agent(problem, player, presses, identity="it", lanes=32)
        found = go_explore(problem, Budget(states=300), seed=4, guide=agent)
        agent.close()
    assert any("times what may not be pressed there" in note for note in found.notes)


def test_the_command_is_led_by_a_run(folder: Path, run: Path, tmp_path: Path) -> None:
    words = ["search", folder, "--method", "go-explore", "--out", "a.fpm", "--budget", "1200states"]
    done = command(
        *words, "--policy", run, "--policy-share", "0.5", "--seed", 4, "--threads", 1, cwd=tmp_path
    )
    assert done.returncode == 0, done.stderr
    assert ", wins\n" in done.stdout and "replayed in a fresh process" in done.stdout
    for more, said in [
        (["--policy", "nobody"], "holds no run"),
        (["--policy", run, "--islands", "2"], "--policy is for --method go-explore on one island"),
    ]:
        done = command(*words, "--force", *more, cwd=tmp_path)
        assert done.returncode == 2 and said in done.stderr, done.stderr
    other = command("search", "Skyrunner-Nes", *words[2:], "--force", "--policy", run, cwd=tmp_path)
    assert other.returncode == 2 and "plays" in other.stderr and "search is in Skyrunner-Nes" in other.stderr
