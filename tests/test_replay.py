"""The replay against plain lists: priorities, n-step returns, rings, shared frames, files."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from frameperfect._native import SumTree
from hypothesis import given, settings
from hypothesis import strategies as st

from frameperfect.errors import LearningError
from tests.components import need

need("torch")

from frameperfect.learn.spaces import Input  # noqa: E402
from frameperfect.learn.value.replay import FINAL, OPEN, STEP, TERMINATED, Replay, Shape  # noqa: E402

FLOATS = (Input("", (1,), "float32"),)
STACK = (Input("", (3, 4, 5), "uint8"),)


# -- the sum tree --------------------------------------------------------------------------------------


@settings(max_examples=30, deadline=None)
@given(st.integers(1, 700), st.integers(0, 2**32), st.booleans())
def test_a_sum_tree_is_a_plain_list(size: int, seed: int, whole: bool) -> None:
    rng = np.random.default_rng(seed)
    tree, plain = SumTree(size), np.zeros(size)
    for _ in range(12):
        rows = rng.integers(0, size, rng.integers(1, 50))
        priorities = rng.integers(0, 4, len(rows)).astype(float) if whole else rng.exponential(1, len(rows))
        tree.set(rows, priorities)
        for row, priority in zip(rows, priorities, strict=True):  # the last of equal rows stands
            plain[row] = priority
        np.testing.assert_array_equal(tree.get(np.arange(size)), plain)
        np.testing.assert_array_equal(tree.leaves(), plain)
        assert tree.sum == (plain.sum() if whole else pytest.approx(plain.sum()))
        if not plain.any():
            continue
        sums = np.cumsum(plain)
        places = rng.random(20) * sums[-1]
        found = tree.find(places)
        assert (plain[found] > 0).all()
        slack = 0 if whole else 1e-9 * sums[-1]
        assert (places < sums[found] + slack).all()
        assert (places >= sums[found] - plain[found] - slack).all()
        drawn, shares = tree.sample(rng.random(7))
        np.testing.assert_array_equal(shares, plain[drawn])


def test_draws_are_stratified_and_follow_the_priorities() -> None:
    tree = SumTree(100)
    priorities = np.arange(100.0)
    tree.set(np.arange(100), priorities)
    rng = np.random.default_rng(0)
    counts = np.zeros(100)
    for _ in range(2000):
        rows, _ = tree.sample(rng.random(50))
        assert (np.diff(rows) >= 0).all()
        counts += np.bincount(rows, minlength=100)
    np.testing.assert_allclose(counts / 1e5, priorities / priorities.sum(), atol=0.0012)
    assert counts[0] == 0


def test_a_tree_refuses_what_is_no_priority_or_row() -> None:
    tree = SumTree(5)
    for rows, priorities in (([5], [1.0]), ([-1], [1.0])):
        with pytest.raises(IndexError):
            tree.set(np.array(rows), np.array(priorities))
    for wrong in (-1.0, np.nan, np.inf):
        with pytest.raises(ValueError, match="priority"):
            tree.set(np.array([0]), np.array([wrong]))
    with pytest.raises(ValueError, match="nothing to sample"):
        tree.sample(np.array([0.5]))
    assert tree.sum == 0


# -- a replay beside a plain list of episodes ----------------------------------------------------------


class Story:
    """Random episodes of `n` environments, put into a replay in either autoreset mode; and told plainly:
    for every (environment, time) that was acted at, what its draw must give.
    """

    def __init__(self, replay: Replay, n: int, seed: int, same_step: bool, see: Any = None) -> None:
        self.replay, self.n, self.same_step = replay, n, same_step
        self.rng = np.random.default_rng(seed)
        self.see = see or (lambda rng, i, previous: np.float32([rng.integers(1 << 20)]))
        self.episodes: list[list[dict[str, Any]]] = [[] for _ in range(n)]
        self.obs = [self._open(i) for i in range(n)]
        self.resetting = np.zeros(n, bool)
        replay.begin({"": np.stack(self.obs)})

    def _open(self, i: int) -> Any:
        self.episodes[i].append({"seen": [], "actions": [], "rewards": [], "end": "open"})
        return self._look(i)

    def _look(self, i: int) -> Any:
        seen = self.episodes[i][-1]["seen"]
        seen.append(self.see(self.rng, i, seen[-1] if seen else None))
        return seen[-1]

    def step(self) -> None:
        n, rng = self.n, self.rng
        actions, rewards = rng.integers(0, 5, n), rng.integers(-4, 5, n).astype(float)
        terminated, truncated = np.zeros(n, bool), np.zeros(n, bool)
        final: dict[int, Any] = {}
        resetting = self.resetting.copy()
        for i in range(n):
            if resetting[i]:
                self.obs[i] = self._open(i)
                self.resetting[i] = False
                continue
            episode = self.episodes[i][-1]
            episode["actions"].append(actions[i])
            episode["rewards"].append(rewards[i])
            terminated[i] = rng.random() < 0.15
            truncated[i] = not terminated[i] and rng.random() < 0.15
            self.obs[i] = self._look(i)
            if terminated[i] or truncated[i]:
                episode["end"] = "terminated" if terminated[i] else "truncated"
                if self.same_step:
                    if truncated[i]:
                        final[i] = self.obs[i]
                    self.obs[i] = self._open(i)
                else:
                    self.resetting[i] = True
        cut = None
        if self.same_step:
            rows = np.array(sorted(final), np.int64)
            cut = rows, {"": np.stack([final[i] for i in rows])} if len(rows) else {}
        self.replay.add(
            actions, rewards, terminated, terminated | truncated, resetting, {"": np.stack(self.obs)}, cut
        )

    def draws(self) -> list[list[tuple[Any, int, float, float, Any]]]:
        """By environment, oldest first: observation, action, n-step return, discount, next observation (None
        where the episode terminated) of all that can be drawn; rings forget the oldest of them.
        """
        n_step, gamma = self.replay.shape.n_step, self.replay.shape.gamma
        found: list[list[tuple[Any, int, float, float, Any]]] = []
        for episodes in self.episodes:
            found.append([])
            for episode in episodes:
                rewards = episode["rewards"]
                for t in range(len(rewards)):
                    taken = min(n_step, len(rewards) - t)
                    if taken < n_step and episode["end"] == "open":
                        continue
                    total = sum(gamma**k * rewards[t + k] for k in range(taken))
                    over = episode["end"] == "terminated" and t + taken == len(rewards)
                    after = None if over else episode["seen"][t + taken]
                    discount = 0.0 if over else gamma**taken
                    found[-1].append((episode["seen"][t], episode["actions"][t], total, discount, after))
        return found


def check_against(story: Story) -> int:
    """Everything in the replay is what the story tells, in order; how many rows can be drawn."""
    replay = story.replay
    leaves = replay.tree.leaves().reshape(story.n, replay.length)
    count = 0
    for i, expected in enumerate(story.draws()):
        # oldest first: from the row after the cursor on
        order = (replay.cursor[i] + 1 + np.arange(replay.length)) % replay.length
        rows = i * replay.length + order[leaves[i][order] > 0]
        count += len(rows)
        assert len(rows) >= min(len(expected), 1)
        returns, discounts, _, following = replay.lead(rows)
        seen, after = replay.observations(rows)[""], replay.observations(following)[""]
        for k, (obs, action, total, discount, then) in enumerate(expected[len(expected) - len(rows) :]):
            np.testing.assert_array_equal(seen[k], obs)
            assert replay.actions[rows[k]] == action
            assert returns[k] == pytest.approx(total, abs=1e-5)
            assert discounts[k] == pytest.approx(discount, abs=1e-6)
            if then is not None:
                np.testing.assert_array_equal(after[k], then)
    return count


@settings(max_examples=30, deadline=None)
@given(st.integers(1, 3), st.integers(1, 5), st.integers(0, 120), st.booleans(), st.integers(0, 2**31))
def test_n_step_returns_cross_no_end_and_value_what_was_cut_short(
    n: int, n_step: int, steps: int, same_step: bool, seed: int
) -> None:
    story = Story(Replay(FLOATS, n, Shape(40 * n, n_step, 0.9, alpha=0.5)), n, seed, same_step)
    for _ in range(steps):
        story.step()
    count = check_against(story)
    if steps < 20:  # nothing is forgotten yet
        assert count == sum(map(len, story.draws()))
    if steps:
        assert set(story.replay.kinds) <= {OPEN, STEP, TERMINATED, FINAL}


def stacked(kind: str) -> Any:
    """Stacks of 3 frames that move on by one: begun by a frame repeated, zeros, or frames of their own."""

    def see(rng: Any, i: int, previous: Any) -> Any:
        frame = rng.integers(0, 255, (1, 4, 5), np.uint8)
        if previous is not None:
            return np.concatenate([previous[1:], frame])
        if kind == "repeated":
            return np.repeat(frame, 3, 0)
        before = np.zeros((2, 4, 5), np.uint8) if kind == "zeros" else rng.integers(0, 9, (2, 4, 5), np.uint8)
        return np.concatenate([before, frame])

    return see


@settings(max_examples=20, deadline=None)
@given(
    st.sampled_from(["repeated", "zeros", "own"]), st.integers(0, 150), st.booleans(), st.integers(0, 2**31)
)
def test_stacks_whose_frames_are_kept_once_come_back_whole(
    kind: str, steps: int, same_step: bool, seed: int
) -> None:
    story = Story(Replay(STACK, 2, Shape(80, 2, 0.9)), 2, seed, same_step, stacked(kind))
    for _ in range(steps):
        story.step()
    check_against(story)
    assert story.replay.columns[""].arrays()["values"].shape == (80, 4, 5)


def test_a_stack_that_does_not_move_on_by_one_frame_is_named_and_can_be_kept_whole() -> None:
    def see(rng: Any, i: int, previous: Any) -> Any:
        return rng.integers(0, 255, (3, 4, 5), np.uint8)

    with pytest.raises(LearningError, match="share_frames"):
        Story(Replay(STACK, 2, Shape(80)), 2, 0, False, see).step()
    story = Story(Replay(STACK, 2, Shape(80, share_frames=False)), 2, 0, False, see)
    for _ in range(60):
        story.step()
    check_against(story)


@settings(max_examples=20, deadline=None)
@given(st.integers(1, 6), st.integers(0, 6), st.integers(1, 3), st.integers(0, 150), st.integers(0, 2**31))
def test_sequences_tile_every_episode_and_keep_what_came_before_them(
    length: int, burn_in: int, n_step: int, steps: int, seed: int
) -> None:
    burn_in = min(burn_in, length)
    story = Story(Replay(FLOATS, 2, Shape(120, n_step, 0.9, 0.0, length, burn_in)), 2, seed, False)
    for _ in range(steps):
        story.step()
    replay = story.replay
    starts = np.flatnonzero(replay.tree.leaves())
    for start in starts:
        i, age = start // replay.length, int(replay.ages[start])
        assert age % length == 0
        warm = min(burn_in, age)
        rows = replay.shifted(np.array([start]), np.arange(-warm, length + n_step))
        seen = replay.observations(rows)[""]
        (episode,) = [
            each
            for each in story.episodes[i]
            if len(each["seen"]) > age and (each["seen"][age] == seen[warm]).all()
        ]
        told = episode["seen"][age - warm : age + length + n_step]
        np.testing.assert_array_equal(seen[: len(told)], told)
        assert episode["end"] != "open" or len(told) == warm + length + n_step
    if steps < 50:
        whole = sum(
            len([s for s in range(0, len(each["rewards"]), length)
                 if each["end"] != "open" or s + length + n_step - 1 <= len(each["rewards"])])
            for episodes in story.episodes for each in episodes
        )  # fmt: skip
        assert len(starts) == whole


def test_importance_weights_give_the_uniform_expectation() -> None:
    n, batch = 64, 32
    replay = Replay(FLOATS, 1, Shape(n + 16, alpha=0.7))
    replay.begin({"": np.zeros((1, 1), np.float32)})
    no = np.zeros(1, bool)
    for t in range(n):
        replay.add(np.array([0]), np.array([float(t)]), no, no, no, {"": np.full((1, 1), t + 1, np.float32)})
    rng = np.random.default_rng(0)
    replay.prioritise(np.arange(n), rng.exponential(1, n) + 0.05)
    chances = replay.tree.leaves()[:n] / replay.tree.sum
    value = rng.normal(size=n)
    total, normal = 0.0, 0.0
    for _ in range(4000):
        draw = replay.draw(rng.random(batch), beta=1.0)
        # the weights are over the largest of their batch: that is (N times the least chance in it)
        scale = 1 / (n * chances[draw.rows].min())
        assert draw.weights.max() == 1
        np.testing.assert_allclose(draw.weights * scale, 1 / (n * chances[draw.rows]), rtol=1e-4)
        total += float((draw.weights * scale * value[draw.rows]).mean())
        normal += float((draw.weights * scale).mean())
    assert total / 4000 == pytest.approx(value.mean(), abs=0.01)
    assert normal / 4000 == pytest.approx(1, abs=0.01)
    half = replay.draw(rng.random(batch), beta=0.5)
    np.testing.assert_allclose(half.weights**2, chances[half.rows].min() / chances[half.rows], rtol=1e-4)


def test_new_rows_have_the_highest_priority_and_no_power_draws_evenly() -> None:
    for alpha in (0.0, 0.6):
        story = Story(Replay(FLOATS, 1, Shape(60, alpha=alpha)), 1, 3, False)
        for _ in range(10):
            story.step()
        leaves = story.replay.tree.leaves()
        rows = np.flatnonzero(leaves)
        story.replay.prioritise(rows, np.linspace(0.5, 7, len(rows)))
        story.step()
        story.step()
        after = story.replay.tree.leaves()
        new = np.setdiff1d(np.flatnonzero(after), rows)
        np.testing.assert_allclose(after[new], 7**alpha)
        if not alpha:
            assert (after[after > 0] == 1).all()


@settings(max_examples=15, deadline=None)
@given(st.integers(0, 150), st.booleans(), st.integers(0, 2**31))
def test_a_restored_replay_goes_on_as_the_saved_one(steps: int, same_step: bool, seed: int) -> None:
    shape = Shape(80, 3, 0.9, alpha=0.5)
    story = Story(Replay(STACK, 2, shape), 2, seed, same_step, stacked("own"))
    for _ in range(steps):
        story.step()
    arrays, facts = story.replay.save()
    other = Replay(STACK, 2, shape)
    other.begin({"": np.stack(story.obs)})
    other.restore({name: each.copy() for name, each in arrays.items()}, facts)
    story.replay = other
    for _ in range(30):
        story.step()
    check_against(story)


def test_a_replay_beyond_its_memory_is_a_file_that_ends_with_it(tmp_path: Path) -> None:
    story = Story(Replay(STACK, 2, Shape(80, 2, 0.9, ram=100), tmp_path), 2, 5, True, stacked("own"))
    assert isinstance(story.replay.columns[""].arrays()["values"], np.memmap)
    for _ in range(150):
        story.step()
    check_against(story)
    assert list(tmp_path.iterdir()) == []


def test_a_capacity_below_what_a_draw_spans_is_refused() -> None:
    with pytest.raises(LearningError, match="capacity 30"):
        Replay(FLOATS, 4, Shape(30, n_step=5))
