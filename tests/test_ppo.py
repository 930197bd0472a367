"""The policy-gradient learner as a whole: the parts around it, its runs, what it learns on small tasks."""

from __future__ import annotations

import importlib
import re
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
from gymnasium import spaces
from gymnasium.vector import AutoresetMode, SyncVectorEnv

from tests.components import need
from tests.test_ppo_update import CPU, DISCRETE, MODES, training
from tests.toy_envs import Counter, Cue

torch = need("torch")
threadpool_info = need("threadpoolctl").threadpool_info

from frameperfect.errors import LearningError  # noqa: E402
from frameperfect.learn import PpoConfig, RandomPolicy, evaluate, interval, load_policy, train  # noqa: E402
from frameperfect.learn.metrics import read as read_metrics  # noqa: E402
from frameperfect.learn.networks import NumpyActor, build, flatten  # noqa: E402
from frameperfect.learn.ppo import shares  # noqa: E402
from frameperfect.learn.rollout import Collector  # noqa: E402
from frameperfect.learn.running import RewardScale  # noqa: E402
from frameperfect.learn.spaces import Input, actions_of, inputs_of  # noqa: E402

# -- the parts around ----------------------------------------------------------------------------------


def test_observations_are_normalised_by_all_that_was_seen() -> None:
    config = PpoConfig(normalise_observations=True)
    inputs = (Input("f", (3,), "float32"), Input("r", (2,), "uint8"))
    network = build(inputs, DISCRETE, config, CPU)
    rng = np.random.default_rng(0)
    batches = [
        {"f": rng.normal(5, 3, (n, 3)).astype(np.float32), "r": rng.integers(0, 256, (n, 2), np.uint8)}
        for n in (7, 100, 33)
    ]
    for batch in batches:
        network.vectors.observe({name: torch.from_numpy(each) for name, each in batch.items()})
    everything = np.concatenate(
        [np.concatenate([b["f"] for b in batches]), np.concatenate([b["r"] for b in batches]) / 255], 1
    )
    np.testing.assert_allclose(network.vectors.mean, everything.mean(0), rtol=1e-5)
    np.testing.assert_allclose(network.vectors.variance, everything.var(0), rtol=1e-5)
    out = network.vectors({name: torch.from_numpy(each) for name, each in batches[0].items()}).numpy()
    expected = (everything[:7] - everything.mean(0)) / everything.std(0)
    np.testing.assert_allclose(out, expected, rtol=1e-3, atol=1e-4)
    with torch.no_grad():
        logits = network({name: torch.from_numpy(each) for name, each in batches[0].items()})[0].numpy()
    np.testing.assert_allclose(NumpyActor(network).logits(batches[0]), logits, rtol=1e-4, atol=1e-6)


def test_rewards_are_scaled_by_the_deviation_of_the_discounted_return() -> None:
    rng = np.random.default_rng(0)
    scale, seen, running = RewardScale(0.9), [], np.zeros(2)
    for _ in range(3):
        rewards = rng.normal(3, 2, (50, 2)).astype(np.float32)
        ended = rng.random((50, 2)) < 0.1
        for t in range(50):
            running = running * 0.9 + rewards[t]
            seen.append(running.copy())
            running[ended[t]] = 0
        scaled = scale.scale(rewards, ended)
    np.testing.assert_allclose(scaled, rewards / np.std(seen), rtol=1e-4)


def test_shares_are_equal_and_whole() -> None:
    assert shares(10, 3) == [3, 3, 4]
    assert sum(shares(1021, 4)) == 1021


def test_all_weights_and_gradients_lie_in_one_tensor() -> None:
    network = build((Input("", (4, 84, 84), "uint8"),), DISCRETE, PpoConfig(), CPU)
    flat = flatten(network)
    with torch.no_grad():
        flat.fill_(0.5)
    assert all((each == 0.5).all() for each in network.parameters())
    network({"": torch.zeros((1, 4, 84, 84), dtype=torch.uint8)})[1].sum().backward()
    assert flat.grad.abs().sum() > 0


@pytest.mark.parametrize("kind", ["features", "ram", "pixels"])
def test_each_kind_of_observation_has_settings(kind: str) -> None:
    config = PpoConfig.for_observation(kind, steps=5, hidden=(32,))
    assert config.steps == 5
    assert PpoConfig.from_json(config.to_json()) == config


def test_wrong_settings_and_spaces_are_named() -> None:
    with pytest.raises(LearningError, match="steps or minutes"):
        PpoConfig(steps=None)
    with pytest.raises(LearningError, match="gamma"):
        PpoConfig(gamma=1.5)
    with pytest.raises(LearningError, match="optimizer"):
        PpoConfig(optimizer="sgd")
    with pytest.raises(LearningError, match="a2c"):
        PpoConfig.named("dqn")
    with pytest.raises(LearningError, match="Box"):
        inputs_of(spaces.Discrete(3))
    with pytest.raises(LearningError, match="Discrete"):
        actions_of(spaces.Box(-1, 1, (2,)))
    with pytest.raises(LearningError, match="36x36"):
        build((Input("", (4, 20, 20), "uint8"),), DISCRETE, PpoConfig(), CPU)
    with pytest.raises(LearningError, match="SAME_STEP"):
        Collector(SyncVectorEnv([Counter], autoreset_mode=AutoresetMode.DISABLED), 8)


class Everything(gym.Env[Any, Any]):
    """Random observations of any space; checks that actions are in its own."""

    def __init__(self, observation_space: Any, action_space: Any) -> None:
        self.observation_space, self.action_space = observation_space, action_space

    def reset(self, *, seed: Any = None, options: Any = None) -> Any:
        super().reset(seed=seed)
        return self.observation_space.sample(), {}

    def step(self, action: Any) -> Any:
        assert self.action_space.contains(action)
        return self.observation_space.sample(), 1.0, self.np_random.random() < 0.1, False, {}


BOX = spaces.Box
OBSERVATIONS = {
    "floats": BOX(-1, 1, (3,)),
    "ram": BOX(0, 255, (128,), np.uint8),
    "stack": BOX(0, 255, (2, 36, 40), np.uint8),
    "colour-stack": BOX(0, 255, (2, 36, 40, 3), np.uint8),
    "picture": BOX(0, 255, (36, 40, 3), np.uint8),
    "dict": spaces.Dict(
        p=BOX(0, 255, (2, 36, 36), np.uint8), r=BOX(0, 255, (5,), np.uint8), f=BOX(-1, 1, (2, 2))
    ),
}
ACTIONS = [spaces.Discrete(3, start=2), spaces.MultiDiscrete([2, 3]), spaces.MultiBinary(4)]


@pytest.mark.parametrize("seen", OBSERVATIONS)
@pytest.mark.parametrize("lstm", [0, 8])
def test_every_observation_and_action_space_trains_and_plays(seen: str, lstm: int, tmp_path: Any) -> None:
    for i, action_space in enumerate(ACTIONS):

        def make(action_space: Any = action_space, mode: AutoresetMode = MODES[i % 2]) -> Any:
            make_one = [lambda: Everything(OBSERVATIONS[seen], action_space)] * 2
            return SyncVectorEnv(make_one, autoreset_mode=mode)

        config = PpoConfig(
            steps=32,
            rollout_steps=16,
            batch_size=16,
            epochs=1,
            lstm=lstm,
            normalise_observations=True,
            threads=1,
        )
        train(make, config, tmp_path / str(i))
        policy = load_policy(tmp_path / str(i))
        assert len(evaluate(policy, make, 3)) == 3
        action, _ = policy.act(OBSERVATIONS[seen].sample())  # one environment's observation
        assert action_space.contains(action)


def test_equal_seeds_give_equal_weights_and_others_do_not(tmp_path: Any) -> None:
    found = []
    for name, seed in (("a", 0), ("b", 0), ("c", 1)):
        config = PpoConfig(steps=1024, rollout_steps=32, batch_size=64, seed=seed)
        train(Cue, config, tmp_path / name)
        found.append(load_policy(tmp_path / name).network.actor[0].weight)
    assert torch.equal(found[0], found[1])
    assert not torch.equal(found[0], found[2])


def test_the_first_weights_are_the_same_for_any_number_of_torchs_threads() -> None:
    inputs = (Input("f", (64,), "float32"), Input("p", (4, 84, 84), "uint8"))
    found, before = [], torch.get_num_threads()
    try:
        for threads in (1, 2, 3):
            torch.set_num_threads(threads)
            found.append(flatten(build(inputs, DISCRETE, PpoConfig(lstm=64), CPU)).detach().clone())
            assert torch.get_num_threads() == threads
    finally:
        torch.set_num_threads(before)
    assert torch.equal(found[0], found[1])
    assert torch.equal(found[0], found[2])


def test_a_training_of_vectors_takes_one_processor_for_all_its_arithmetic(tmp_path: Any) -> None:
    def blas() -> set[int]:
        return {each["num_threads"] for each in threadpool_info() if each["user_api"] == "blas"}

    before = blas()
    seen: set[int] = set()
    train(Cue, PpoConfig(steps=64, rollout_steps=16), tmp_path, progress=lambda _: seen.update(blas()))
    assert seen == {1}
    assert blas() == before


def test_training_does_not_disturb_torchs_own_generator_or_threads(tmp_path: Any) -> None:
    threads = torch.get_num_threads()
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    train(Cue, PpoConfig(steps=256, rollout_steps=32), tmp_path / "run")
    assert torch.equal(torch.rand(3), expected)
    assert torch.get_num_threads() == threads


def test_target_kl_ends_an_update_early() -> None:
    run = training(PpoConfig(rollout_steps=32, learning_rate=0.05, target_kl=1e-4, epochs=10))
    rollout, _ = run.collector.collect(run.generator)
    assert run.learner.update(rollout, False, 1.0, run.generator)["epochs"] < 10


def test_learning_rate_and_clip_range_decay_to_zero() -> None:
    run = training(PpoConfig(rollout_steps=32, clip_range_decay=True))
    rollout, _ = run.collector.collect(run.generator)
    assert run.learner.update(rollout, False, 0.25, run.generator)["learning_rate"] == pytest.approx(
        2.5e-4 / 4
    )
    before = run.learner.flat.detach().clone()
    run.learner.update(rollout, False, 0.0, run.generator)
    assert torch.equal(run.learner.flat.detach(), before)


def test_the_weight_of_the_entropy_decays_to_nothing() -> None:
    def after(left: float, **config: Any) -> Any:
        run = training(PpoConfig(rollout_steps=32, learning_rate_decay=False, **config))
        rollout, _ = run.collector.collect(run.generator)
        run.learner.update(rollout, False, left, run.generator)
        return run.learner.flat.detach().clone()

    decaying = {"entropy_coef": 0.5, "entropy_coef_decay": True}
    assert torch.equal(after(1.0, **decaying), after(1.0, entropy_coef=0.5))
    assert torch.equal(after(0.5, **decaying), after(0.5, entropy_coef=0.25))
    assert torch.equal(after(0.0, **decaying), after(0.0, entropy_coef=0.0))


def test_progress_and_metrics_tell_the_same_story(tmp_path: Any) -> None:
    seen: list[Any] = []
    config = PpoConfig(steps=2048, rollout_steps=64, minutes=10)
    result = train(Cue, config, tmp_path, progress=seen.append)
    rows = read_metrics(tmp_path)
    assert [each.steps for each in seen] == [row["steps"] for row in rows] == list(range(256, 2049, 256))
    assert seen[-1].mean_return == rows[-1]["mean_return"] == result.mean_return
    assert seen[-1].episodes == result.episodes == sum(len(each.ended) for each in seen)
    recent = [end.total for each in seen for end in each.ended][-100:]
    assert result.mean_return == pytest.approx(np.mean(recent))
    assert seen[0].seconds_left > 0
    assert seen[-1].seconds_left == 0
    assert result.stopped == "steps"
    assert list((tmp_path / "tensorboard").glob("events.*"))


def test_training_stops_by_the_clock(tmp_path: Any) -> None:
    result = train(Cue, PpoConfig(steps=None, minutes=0.01, rollout_steps=16), tmp_path)
    assert result.stopped == "minutes"
    assert result.seconds >= 0.6


# -- learning ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["ppo", "a2c"])
def test_it_learns_to_follow_a_cue(name: str, tmp_path: Any) -> None:
    faster = (
        {"learning_rate": 1e-3, "rollout_steps": 32, "batch_size": 64}
        if name == "ppo"
        else {"learning_rate": 3e-3}
    )
    train(lambda: Cue(8), PpoConfig.named(name, steps=12_000, **faster), tmp_path)
    policy = load_policy(tmp_path)
    trained = evaluate(policy, lambda: Cue(8), 60, seed=100, deterministic=True)
    lengths: list[int] = []
    evaluate(
        policy, lambda: Cue(8), 60, seed=100, deterministic=True, progress=lambda r, n, i: lengths.append(n)
    )
    random = evaluate(RandomPolicy(Cue().single_action_space), lambda: Cue(8), 60, seed=100)
    assert trained.sum() > 0.95 * sum(lengths)
    assert interval(trained)[0] > interval(random)[1]


def test_an_lstm_remembers_a_cue_that_is_shown_once(tmp_path: Any) -> None:
    config = PpoConfig(steps=16_000, rollout_steps=32, batch_size=64, learning_rate=5e-3, lstm=32, gamma=0.5)
    train(lambda: Cue(8, shown=False), config, tmp_path)
    lengths: list[int] = []
    returns = evaluate(
        load_policy(tmp_path), lambda: Cue(8, shown=False), 60, seed=100, deterministic=True,
        progress=lambda r, n, i: lengths.append(n),
    )  # fmt: skip
    assert returns.sum() > 0.85 * sum(lengths)


def test_the_bootstrap_interval_covers_the_mean_as_often_as_it_says() -> None:
    rng = np.random.default_rng(0)
    covered = 0
    for _ in range(100):
        low, high = interval(rng.exponential(1, 40), samples=500)
        covered += low <= 1 <= high
    assert 85 <= covered <= 99


def test_the_page_on_ppo_points_at_code_that_is_there() -> None:
    page = (Path(__file__).parents[1] / "docs/ppo.md").read_text()
    rows = [line for line in page.splitlines() if re.match(r"\| \d+ \|", line)]
    assert [int(row.split("|")[1]) for row in rows] == list(range(1, len(rows) + 1))
    for row in rows:
        for module, path in re.findall(r"`(\w+)\.([\w.]+)`", row.split("|")[3]):
            found: Any = importlib.import_module(f"frameperfect.learn.{module}")
            for name in path.split("."):
                found = getattr(found, name)
