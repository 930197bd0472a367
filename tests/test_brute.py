"""The Brute finds what can be found without looking, and what it reports replays."""

from __future__ import annotations

import itertools
from typing import Any

import gymnasium
import numpy as np
import pytest
from gymnasium.spaces import Box, Discrete
from hypothesis import given, settings
from hypothesis import strategies as st

from frameperfect.errors import FrameperfectError, Unsupported
from frameperfect.search import BruteResult, brute


class Lock(gymnasium.Env[np.ndarray, int]):
    """A row of tumblers: the right action at each place pays its place's reward, a wrong one may end it."""

    observation_space = Box(0, 1, (1,))

    def __init__(self, rewards: np.ndarray, ends: np.ndarray) -> None:
        self.rewards, self.ends = rewards, ends  # (length, actions) each
        self.action_space = Discrete(rewards.shape[1])
        self.place = 0

    def reset(self, *, seed: int | None = None, options: Any = None) -> tuple[np.ndarray, dict[str, Any]]:
        self.place = 0
        return np.zeros(1, np.float32), {}

    def step(self, action: int) -> tuple[np.ndarray, float, bool, bool, dict[str, Any]]:
        reward, end = float(self.rewards[self.place, action]), bool(self.ends[self.place, action])
        self.place += 1
        return np.zeros(1, np.float32), reward, end, self.place == len(self.rewards), {}

    def save(self) -> bytes:
        return self.place.to_bytes(2, "big")

    def restore(self, state: bytes) -> None:
        self.place = int.from_bytes(state, "big")

    def best(self) -> float:
        """The optimum, by trying every sequence."""
        scores = []
        for actions in itertools.product(range(self.rewards.shape[1]), repeat=len(self.rewards)):
            total = 0.0
            for place, action in enumerate(actions):
                total += self.rewards[place, action]
                if self.ends[place, action]:
                    break
            scores.append(total)
        return max(scores)


def lock(seed: int, length: int = 5, actions: int = 3) -> Lock:
    random = np.random.default_rng(seed)
    return Lock(random.integers(-2, 5, (length, actions)), random.random((length, actions)) < 0.15)


def play(env: Lock, actions: tuple[int, ...]) -> float:
    env.reset()
    return sum(env.step(action)[1] for action in actions)


@given(st.integers(0, 1000))
@settings(max_examples=20, deadline=None)
def test_its_score_is_what_its_actions_score_and_never_above_the_optimum(seed: int) -> None:
    env = lock(seed)
    found = brute(env, steps=300, seed=seed)
    assert found.score == play(env, found.actions)
    assert found.score <= env.best()


def test_given_time_it_finds_the_optimum_of_a_small_game() -> None:
    for seed in range(3):
        env = lock(seed, length=3)
        assert brute(env, steps=60_000, seed=seed).score == env.best()


def test_where_a_wrong_move_ends_the_game_it_gets_much_further_than_random_play() -> None:
    length, steps = 5000, 200_000
    for seed in range(3):
        random = np.random.default_rng(seed)
        env = Lock(np.ones((length, 4)), random.random((length, 4)) < 0.01)
        found = brute(env, steps=steps, seed=seed)
        best_random = played = 0
        while played < steps:
            env.reset()
            lived = 1 + next(n for n in itertools.count() if env.step(int(random.integers(4)))[2])
            best_random, played = max(best_random, lived), played + lived
        assert found.score > 2 * best_random


@given(st.integers(0, 1000))
@settings(max_examples=10, deadline=None)
def test_saved_states_change_the_work_and_not_the_result(seed: int) -> None:
    def run(saves: bool) -> BruteResult:
        env = lock(seed, length=200, actions=3)
        env.ends[:] = False
        return brute(env, steps=10_000, seed=seed, saves=saves)

    quick, plain = run(True), run(False)
    assert (quick.actions, quick.score, quick.episodes, quick.steps) == (
        plain.actions,
        plain.score,
        plain.episodes,
        plain.steps,
    )
    assert quick.emulated <= plain.emulated <= plain.steps + len(plain.actions)


def test_the_same_seed_finds_the_same_run() -> None:
    assert brute(lock(7), steps=500, seed=3) == brute(lock(7), steps=500, seed=3)


def test_long_episodes_are_cut_at_the_given_length() -> None:
    assert len(brute(lock(1, length=100), steps=2000, most_steps=10).actions) <= 10


def test_a_budget_of_steps_is_kept_to_within_one_episode() -> None:
    found = brute(lock(2, length=50), steps=1000)
    assert 1000 <= found.steps < 1050


def test_a_game_that_is_not_deterministic_is_found_out() -> None:
    class Noisy(Lock):
        def step(self, action: int) -> tuple[np.ndarray, float, bool, bool, dict[str, Any]]:
            observation, reward, *rest = super().step(action)
            return observation, reward + np.random.default_rng().random(), *rest  # type: ignore[return-value]

    with pytest.raises(FrameperfectError, match="not deterministic"):
        brute(Noisy(np.zeros((5, 2)), np.zeros((5, 2), bool)), steps=100)


def test_it_refuses_actions_that_are_not_discrete_and_a_missing_budget() -> None:
    env = lock(0)
    with pytest.raises(FrameperfectError, match="budget"):
        brute(env)
    env.action_space = Box(0, 1, (1,))  # type: ignore[assignment]
    with pytest.raises(Unsupported, match="discrete"):
        brute(env, steps=10)
