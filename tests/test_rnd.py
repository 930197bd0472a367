"""Random network distillation: each part against a written-out reference, and both learners with it."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from gymnasium import spaces
from gymnasium.vector import AutoresetMode, VectorEnv
from gymnasium.vector.utils import batch_space
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.command_line import frameperfect
from tests.components import need
from tests.test_checkpoint import assert_equal_checkpoints
from tests.toy_envs import Cue, DeepSea

torch = need("torch")

from frameperfect.learn import PpoConfig, ValueConfig, load_policy, train  # noqa: E402
from frameperfect.learn.metrics import read as read_metrics  # noqa: E402
from frameperfect.learn.novelty import Novelty  # noqa: E402
from frameperfect.learn.rnd import Curiosity, Encoder, Whitening, picture_shape  # noqa: E402
from frameperfect.learn.running import RewardScale  # noqa: E402
from frameperfect.learn.spaces import Input  # noqa: E402
from frameperfect.learn.train import Training  # noqa: E402
from frameperfect.learn.value.network import build  # noqa: E402
from frameperfect.learn.value.novelty import Novelty as ValueNovelty  # noqa: E402
from frameperfect.learn.value.replay import Replay, Shape  # noqa: E402

CPU = torch.device("cpu")
VECTOR = (Input("", (5,), "float32"),)
EVERYTHING = (
    Input("speed", (2, 2), "float32"), Input("ram", (3,), "uint8"), Input("grey", (4, 40, 36), "uint8"),
    Input("colour", (36, 40, 3), "uint8"), Input("both", (2, 36, 36, 3), "uint8"),
)  # fmt: skip
PPO = PpoConfig(
    steps=512, rollout_steps=16, batch_size=32, checkpoint_seconds=0, rnd=0.5, learning_rate_decay=False
)
VALUE = ValueConfig(
    steps=512, epsilon_start=0.1, epsilon_end=0.1, importance_start=1.0, learning_starts=64, batch_size=16,
    update_every=8, capacity=400, checkpoint_seconds=0, report_steps=64, n_step=3, rnd=1.0,
)  # fmt: skip


def observations(inputs: tuple[Input, ...], rows: int, seed: int = 0) -> dict[str, Any]:
    rng = np.random.default_rng(seed)
    return {
        each.name: torch.from_numpy(
            rng.integers(0, 256, (rows, *each.shape), np.uint8)
            if each.dtype == "uint8"
            else rng.normal(3, 2, (rows, *each.shape)).astype(np.float32)
        )
        for each in inputs
    }


# -- normalisation -------------------------------------------------------------------------------------


@settings(max_examples=25, deadline=None)
@given(st.lists(st.integers(1, 40), min_size=1, max_size=5), st.integers(0, 1000))
def test_vectors_are_normalised_by_the_mean_and_deviation_of_all_so_far(sizes: list[int], seed: int) -> None:
    whitening = Whitening(VECTOR)
    parts = [observations(VECTOR, size, seed + i)[""] for i, size in enumerate(sizes)]
    for part in parts:
        whitening.observe({"": part})
    everything = torch.cat(parts).numpy().astype(np.float64)
    deviation = everything.std(0).clip(1e-4)
    expected = ((parts[-1].numpy() - everything.mean(0)) / deviation).clip(-5, 5)
    np.testing.assert_allclose(whitening({"": parts[-1]}).vectors.numpy(), expected, rtol=2e-3, atol=1e-3)


def test_pixels_are_normalised_one_by_one_on_their_newest_picture_and_bytes_as_0_to_1() -> None:
    whitening, obs = Whitening(EVERYTHING), observations(EVERYTHING, 30)
    whitening.observe(obs)
    seen = whitening(obs)
    plain = [
        obs["speed"].numpy().reshape(30, 4),
        obs["ram"].numpy() / 255,
        obs["grey"].numpy()[:, 3:] / 255,
        obs["colour"].numpy().transpose(0, 3, 1, 2) / 255,
        obs["both"].numpy()[:, 1].transpose(0, 3, 1, 2) / 255,
    ]
    expected = [((each - each.mean(0)) / each.std(0).clip(1e-4)).clip(-5, 5) for each in plain]
    np.testing.assert_allclose(seen.vectors.numpy(), np.concatenate(expected[:2], 1), rtol=1e-3, atol=1e-4)
    for picture, each, source in zip(seen.pictures, expected[2:], EVERYTHING[2:], strict=True):
        assert picture.shape[1:] == picture_shape(source)
        np.testing.assert_allclose(picture.numpy(), each, rtol=1e-3, atol=1e-4)


# -- the imitation -------------------------------------------------------------------------------------


@pytest.mark.parametrize("inputs", [VECTOR, EVERYTHING], ids=["vectors", "everything"])
def test_the_imitations_gradient_is_autograds_and_the_target_has_none(inputs: tuple[Input, ...]) -> None:
    curiosity = Curiosity(inputs, 0, 1e-3, CPU)
    rnd, obs = curiosity.rnd, observations(inputs, 12)
    rnd.whitening.observe(obs)
    seen = rnd.whitening(obs)
    error = (rnd.predictor(seen) - rnd.target(seen).detach()).square()
    parameters = list(rnd.predictor.parameters())
    expected = torch.autograd.grad(error.mean(), parameters)
    found = curiosity.imitate(seen)
    torch.testing.assert_close(found, error.mean(1).detach())
    torch.testing.assert_close(found, rnd.novelty(seen))
    for parameter, gradient in zip(parameters, expected, strict=True):
        torch.testing.assert_close(parameter.grad, gradient, rtol=1e-4, atol=1e-7)
    assert all(each.grad is None for each in rnd.target.parameters())


def test_the_imitation_is_two_layers_deeper_than_what_it_imitates() -> None:
    rnd = Curiosity(VECTOR, 0, 1e-3, CPU).rnd
    depth = [
        sum(isinstance(each, torch.nn.Linear) for each in net.head) for net in (rnd.target, rnd.predictor)
    ]
    assert depth[1] == depth[0] + 2


@pytest.mark.parametrize("inputs", [VECTOR, EVERYTHING[2:3]], ids=["vectors", "pixels"])
def test_what_is_seen_again_and_again_is_no_longer_new_and_what_is_not_stays_new(
    inputs: tuple[Input, ...],
) -> None:
    curiosity = Curiosity(inputs, 0, 1e-3, CPU)
    whitening = curiosity.rnd.whitening
    whitening.observe(observations(inputs, 64))
    often, never = (whitening(observations(inputs, 8, seed)) for seed in (1, 2))
    before = curiosity.rnd.novelty(often), curiosity.rnd.novelty(never)
    fixed = [each.clone() for each in curiosity.rnd.target.parameters()]
    for _ in range(40):
        curiosity.imitate(often)
        curiosity.step()
    after = curiosity.rnd.novelty(often), curiosity.rnd.novelty(never)
    assert (after[0] < 0.3 * before[0]).all()
    assert after[1].mean() > 3 * after[0].mean()
    assert all(torch.equal(a, b) for a, b in zip(fixed, curiosity.rnd.target.parameters(), strict=True))


def test_equal_seeds_give_equal_networks_and_leave_torchs_random_numbers_alone() -> None:
    torch.manual_seed(7)
    before = torch.get_rng_state()
    one, same, other = (Curiosity(VECTOR, seed, 1e-3, CPU).flat.detach() for seed in (3, 3, 4))
    assert torch.equal(one, same)
    assert not torch.equal(one, other)
    assert torch.equal(before, torch.get_rng_state())


# -- the policy-gradient learner -----------------------------------------------------------------------


@pytest.mark.parametrize("mode", [AutoresetMode.NEXT_STEP, AutoresetMode.SAME_STEP])
def test_advantages_are_the_rewards_plus_those_of_novelty_written_out(mode: AutoresetMode) -> None:
    """Two rollouts: the second is normalised by both."""
    config = dataclasses.replace(PPO, rnd_gamma=0.9, gae_lambda=0.8)
    run = Training(Cue(3, mode), config)
    novelty, seen_rows, sums, carried = run.learner.novelty, [], [], np.zeros(3)
    assert novelty is not None
    for _ in range(2):
        rollout, _ = run.collector.collect(run.generator)
        steps, n = rollout.rewards.shape
        got = novelty.advantages(rollout)
        obs = rollout.obs[""].numpy().astype(np.float64).reshape((steps + 1) * n, -1)
        seen_rows.append(obs)
        everything = np.concatenate(seen_rows)
        white = ((obs - everything.mean(0)) / everything.std(0)).clip(-5, 5)
        seen = torch.from_numpy(white).float()
        rnd = novelty.curiosity.rnd
        with torch.no_grad():
            error = (rnd.predictor.head(seen) - rnd.target.head(seen)).square().mean(1)
            values = novelty.critic.head(seen)[:, 0].numpy().reshape(steps + 1, n)
        raw = error.numpy().reshape(steps + 1, n)[1:]
        for t in range(steps):
            carried = 0.9 * carried + raw[t]  # goes on whatever ends
            sums.append(carried)
        rewards = raw / np.std(sums)
        expected, ahead = np.zeros((steps, n)), np.zeros(n)
        for t in reversed(range(steps)):
            ahead = rewards[t] + 0.9 * values[t + 1] - values[t] + 0.9 * 0.8 * ahead
            expected[t] = ahead
        np.testing.assert_allclose(got, expected, rtol=2e-3, atol=2e-3)
        np.testing.assert_allclose(novelty.returns, expected + values[:-1], rtol=2e-3, atol=2e-3)


def test_an_update_follows_both_advantages_and_its_critic_only_the_reward() -> None:
    """The update with novelty equals one without whose advantages were changed by hand."""
    novel, plain = Training(Cue(), PPO), Training(Cue(), dataclasses.replace(PPO, rnd=0.0))
    rollouts = [run.collector.collect(run.generator)[0] for run in (novel, plain)]
    rehearsal = Novelty(novel.collector.inputs, PPO, CPU)
    added = 0.5 * rehearsal.advantages(rollouts[0])
    whole = type(rollouts[1]).advantages

    def changed(*arguments: Any) -> Any:
        advantages, returns = whole(rollouts[1], *arguments)
        return advantages + added, returns

    rollouts[1].advantages = changed  # type: ignore[method-assign]
    for run, rollout in zip((novel, plain), rollouts, strict=True):
        run.learner.update(rollout, False, 1.0, run.generator)
    torch.testing.assert_close(novel.learner.flat, plain.learner.flat, rtol=1e-4, atol=1e-6)


def test_one_step_of_the_second_critic_is_torchs_adam_on_the_returns_of_novelty() -> None:
    run = Training(Cue(), PPO)
    novelty = run.learner.novelty
    assert novelty is not None
    rollout, _ = run.collector.collect(run.generator)
    novelty.advantages(rollout)
    reference = Encoder(VECTOR, (64, 64), 1)
    reference.load_state_dict(novelty.critic.state_dict())
    seen = novelty.seen.rows(slice(0, -4))
    target = torch.from_numpy(novelty.returns).flatten()
    optimizer = torch.optim.Adam(reference.parameters(), PPO.rnd_learning_rate, eps=1e-5)
    (reference(seen)[:, 0] - target).square().mean().backward()
    optimizer.step()
    novelty.learn(1, 1, torch.Generator().manual_seed(0))
    for ours, theirs in zip(novelty.critic.parameters(), reference.parameters(), strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-6)


def test_rewards_of_novelty_are_scaled_as_rewards_are_but_never_end() -> None:
    scale, rng = RewardScale(0.9), np.random.default_rng(0)
    raw = rng.random((50, 2)).astype(np.float32)
    never = np.zeros((50, 2), bool)
    sums = np.array([sum(0.9**k * raw[t - k] for k in range(t + 1)) for t in range(50)])
    np.testing.assert_allclose(scale.scale(raw, never), raw / sums.std(), rtol=1e-4)


# -- the value learner ---------------------------------------------------------------------------------


class Ring(VectorEnv[Any, Any, Any]):
    """A walk of one environment through known observations: the step's number, and the episode's."""

    def __init__(self, mode: AutoresetMode, lengths: tuple[int, ...], cut: bool) -> None:
        self.num_envs, self.mode, self.lengths, self.cut = 1, mode, lengths, cut
        self.metadata = {"autoreset_mode": mode}
        self.single_observation_space = spaces.Box(-100, 100, (2,), np.float32)
        self.single_action_space = spaces.Discrete(2)
        self.observation_space = batch_space(self.single_observation_space, 1)
        self.action_space = batch_space(self.single_action_space, 1)
        self.episode, self.age, self.over = 0, 0, False

    def see(self) -> Any:
        return np.array([[self.episode, self.age]], np.float32)

    def reset(self, *, seed: Any = None, options: Any = None) -> Any:
        return self.see(), {}

    def step(self, actions: Any) -> Any:
        infos: dict[str, Any] = {}
        if self.over:
            self.episode, self.age, self.over = self.episode + 1, 0, False
            return self.see(), np.zeros(1), np.zeros(1, bool), np.zeros(1, bool), infos
        self.age += 1
        ends = np.array([self.age == self.lengths[self.episode % len(self.lengths)]])
        if ends[0] and self.mode == AutoresetMode.SAME_STEP:
            final = np.full(1, None, object)
            final[0] = self.see()[0]
            infos = {"final_obs": final, "_final_obs": ends}
            self.episode, self.age = self.episode + 1, 0
        else:
            self.over = bool(ends[0])
        none = np.zeros(1, bool)
        return self.see(), np.zeros(1), none if self.cut else ends, ends if self.cut else none, infos


@pytest.mark.parametrize("cut", [False, True], ids=["terminated", "truncated"])
@pytest.mark.parametrize("mode", [AutoresetMode.NEXT_STEP, AutoresetMode.SAME_STEP])
def test_the_return_of_novelty_is_the_discounted_sum_over_what_the_steps_led_to(
    mode: AutoresetMode, cut: bool
) -> None:
    """Every row of the replay against the walk itself. With SAME_STEP a terminated episode's last observation
    is not in the replay, and counts nothing.
    """
    from frameperfect.learn.value.actor import Actor

    lengths = (5, 1, 2, 7)
    actor = Actor(Ring(mode, lengths, cut))
    config = dataclasses.replace(VALUE, gamma=0.9, rnd=2.0)
    replay = Replay(actor.inputs, 1, Shape(200, n_step=3, gamma=0.9))
    actor.attach(build(actor.inputs, 2, config, CPU), replay, CPU)
    actor.begin(0)
    generator = torch.Generator().manual_seed(0)
    for _ in range(60):
        actor.step(1.0, generator)
    rows = np.flatnonzero(replay.tree.leaves())
    _, discounts, steps, _ = replay.lead(rows)
    novelty = ValueNovelty(actor.inputs, config, CPU)
    places = replay.observations(rows)[""]
    got = novelty.returns(replay, rows, steps, discounts)

    led: dict[tuple[float, float], list[tuple[float, float]]] = {}
    for episode, age in places.tolist():
        length = lengths[int(episode) % 4]
        seen = [(episode, age + k) for k in range(1, 4) if age + k <= length]
        if mode == AutoresetMode.SAME_STEP and not cut:
            seen = [each for each in seen if each[1] < length]
        led[episode, age] = seen
    different = sorted({each for seen in led.values() for each in seen})
    white = np.array(different, np.float64)
    white = ((white - white.mean(0)) / white.std(0)).clip(-5, 5)
    fresh = ValueNovelty(actor.inputs, config, CPU).curiosity.rnd
    with torch.no_grad():
        row = torch.from_numpy(white).float()
        error = (fresh.predictor.head(row) - fresh.target.head(row)).square().mean(1).numpy()
    worth = dict(zip(different, error * 2.0 / (error.mean() * 10), strict=True))
    expected = [
        sum(0.9**k * worth[each] for k, each in enumerate(led[episode, age]))
        for episode, age in places.tolist()
    ]
    assert any(len(seen) == 3 for seen in led.values())
    np.testing.assert_allclose(got, expected, rtol=1e-3, atol=1e-5)


def test_an_endless_stream_of_mean_novelty_is_worth_what_the_setting_says() -> None:
    config = dataclasses.replace(VALUE, gamma=0.9, rnd=3.0, n_step=1, rnd_learning_rate=1e-12)
    replay = Replay(VECTOR, 4, Shape(400, gamma=0.9))
    rng = np.random.default_rng(0)
    no = np.zeros(4, bool)
    replay.begin({"": rng.normal(size=(4, 5)).astype(np.float32)})
    for _ in range(50):
        replay.add(
            np.zeros(4, np.int64), np.zeros(4), no, no, no, {"": rng.normal(size=(4, 5)).astype(np.float32)}
        )
    rows = np.flatnonzero(replay.tree.leaves())
    _, discounts, steps, _ = replay.lead(rows)
    got = ValueNovelty(VECTOR, config, CPU).returns(replay, rows, steps, discounts)
    assert got.mean() / (1 - 0.9) == pytest.approx(3.0, rel=1e-3)


# -- training ------------------------------------------------------------------------------------------

VARIANTS = {
    "ppo": PPO,
    "ppo-lstm": dataclasses.replace(PPO, lstm=8, normalise_rewards=True),
    "a2c": PpoConfig.named("a2c", steps=512, checkpoint_seconds=0, rnd=0.5, learning_rate_decay=False),
    "dqn": VALUE,
    "rainbow-iqn": dataclasses.replace(VALUE, returns="implicit", dueling=True, noisy=True, priority=0.5),
    "value-lstm": dataclasses.replace(VALUE, lstm=8, sequence_length=6, burn_in=3, hidden=(8,)),
}


@pytest.mark.parametrize("name", VARIANTS)
def test_a_run_in_two_parts_equals_a_whole_one(name: str, tmp_path: Path) -> None:
    config = VARIANTS[name]
    train(Cue, dataclasses.replace(config, steps=256), tmp_path / "parts")
    train(Cue, config, tmp_path / "parts", resume=True)
    train(Cue, config, tmp_path / "whole")
    assert_equal_checkpoints(tmp_path / "whole", tmp_path / "parts")
    rows = read_metrics(tmp_path / "parts")
    assert all(np.isfinite(row["novelty"]) for row in rows[2:])
    load_policy(tmp_path / "parts")


def test_a_sparse_chain_is_solved_in_a_few_thousand_steps(tmp_path: Path) -> None:
    """One seed; `make test-learning` has five, on a longer chain, and beside entropy alone."""
    config = PpoConfig(
        steps=12_000, rollout_steps=20, batch_size=80, learning_rate=1e-3, learning_rate_decay=False,
        entropy_coef=0.1, rnd=0.5,
    )  # fmt: skip
    assert train(lambda: DeepSea(16, 8), config, tmp_path).mean_return > 0.9
    rows = read_metrics(tmp_path)
    assert rows[-1]["novelty"] < 0.1 * rows[0]["novelty"]


def test_the_command_trains_with_novelty_and_the_report_shows_it(tmp_path: Path) -> None:
    need("ale_py")
    for algo, rnd in (("ppo", 0.5), ("dqn", 1.0)):
        done = frameperfect(
            "train", "Breakout-Atari", "--algo", algo, "--rnd", "--observation", "ram", "--envs", 4,
            "--max-steps", 50, "--steps", 1536, "--run", algo, "--no-eval", cwd=tmp_path,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        run = tmp_path / "runs" / algo
        assert json.loads((run / "config.json").read_text())["learn"]["rnd"] == rnd
        assert "Novelty over agent steps" in (run / "report.html").read_text()
