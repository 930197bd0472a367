"""A learning task: an environment, settings, and the score that four of five seeds must reach."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import gymnasium as gym

from tests.components import need

if TYPE_CHECKING:
    from frameperfect.learn import PpoConfig, ValueConfig

EPISODES = 100


@dataclass(frozen=True)
class Task:
    """What is learned, how, and how well it must be."""

    game: str
    config: PpoConfig | ValueConfig
    target: float

    def envs(self) -> Any:
        """Eight environments; CartPole has a vectorised form of its own."""
        mode = "vector_entry_point" if self.game == "CartPole-v1" else "sync"
        return gym.make_vec(self.game, num_envs=8, vectorization_mode=mode)


@dataclass(frozen=True)
class Score:
    """Of one seed: the mean return of 100 episodes by the likeliest or best actions, and its interval."""

    mean: float
    low: float
    high: float
    seconds: float
    """Of processor time, training alone."""


def score(task: Task, seed: int, run: Path) -> Score:
    """Train into the folder `run` and evaluate."""
    from frameperfect.learn import evaluate, interval, load_policy, train

    begun = time.process_time()
    train(task.envs, dataclasses.replace(task.config, seed=seed), run)
    spent = time.process_time() - begun
    returns = evaluate(load_policy(run), task.envs, EPISODES, seed=1000, deterministic=True)
    return Score(float(returns.mean()), *interval(returns), spent)


def times_at_goal(policy: Any, make_envs: Callable[[], Any], episodes: int, **how: Any) -> list[float]:
    """The run's clock at the end of each of `episodes` that reached the game's goal, in frames."""
    from frameperfect.learn import evaluate

    times: list[float] = []

    def note(total: float, length: int, info: dict[str, Any]) -> None:
        if info["success"]:
            times.append(float(info["time"]))

    evaluate(policy, make_envs, episodes, 10_000, progress=note, **how)
    return times


def four_of_five(reached: Callable[[int], float], least: float) -> None:
    """Assert that `reached` is `least` or more for four of the five seeds."""
    enough(reached, least, needed=4, seeds=5)


def enough(reached: Callable[[int], float], least: float, needed: int, seeds: int) -> None:
    """Assert that `reached` is `least` or more for `needed` of so many `seeds`; it is asked for no more of
    them than it takes to know.
    """
    found: list[float] = []
    for seed in range(seeds):
        found.append(reached(seed))
        passed = sum(each >= least for each in found)
        if passed == needed or len(found) - passed > seeds - needed:
            break
    assert passed == needed, f"{found} against {least}"


def four_of_five_reach_it(name: str, task: Task, folder: Path) -> None:
    """The check of every learning task, which prints its scores."""
    if task.game.startswith("LunarLander"):
        need("Box2D")

    def reached(seed: int) -> float:
        one = score(task, seed, folder / str(seed))
        print(
            f"{name} seed {seed}: {one.mean:.1f} ({one.low:.1f} to {one.high:.1f}), "
            f"{one.seconds:.0f} s of processor time"
        )
        return one.mean

    four_of_five(reached, task.target)
