"""The policy-gradient learner, piece by piece against references, and as a whole on small tasks."""

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
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.components import need
from tests.toy_envs import Cue

torch = need("torch")
threadpool_info = need("threadpoolctl").threadpool_info

from frameperfect.errors import LearningError  # noqa: E402
from frameperfect.learn import PpoConfig, RandomPolicy, evaluate, interval, load_policy, train  # noqa: E402
from frameperfect.learn.distributions import Distribution, sample_numpy  # noqa: E402
from frameperfect.learn.metrics import read as read_metrics  # noqa: E402
from frameperfect.learn.mlp import Mlp  # noqa: E402
from frameperfect.learn.networks import NumpyActor, build, flatten  # noqa: E402
from frameperfect.learn.optimizer import Adam, RmsProp  # noqa: E402
from frameperfect.learn.ppo import Batch, Learner, loss_gradient, sequences, shares  # noqa: E402
from frameperfect.learn.rollout import Collector, gae  # noqa: E402
from frameperfect.learn.running import RewardScale  # noqa: E402
from frameperfect.learn.spaces import Actions, Input, actions_of, inputs_of  # noqa: E402
from frameperfect.learn.train import Training  # noqa: E402

DISCRETE = Actions("discrete", (4,))
KINDS = [DISCRETE, Actions("multi-discrete", (3, 2, 5)), Actions("multi-binary", (2, 2, 2))]
MODES = [AutoresetMode.NEXT_STEP, AutoresetMode.SAME_STEP]
CPU = torch.device("cpu")


def logits_and_actions(actions: Actions, rows: int = 50) -> tuple[Any, Any]:
    generator = torch.Generator().manual_seed(1)
    logits = torch.randn((rows, actions.logits), generator=generator, dtype=torch.float64) * 2
    chosen = (
        torch.rand((rows, len(actions.choices)), generator=generator) * torch.tensor(actions.choices)
    ).long()
    return logits, chosen


def torch_distributions(actions: Actions, logits: Any) -> list[Any]:
    if actions.binary:
        return [torch.distributions.Bernoulli(logits=each) for each in logits.unbind(1)]
    return [torch.distributions.Categorical(logits=each) for each in logits.split(actions.choices, 1)]


def training(config: PpoConfig, envs: Any | None = None) -> Training:
    return Training(envs or Cue(), config)


# -- distributions -------------------------------------------------------------------------------------


@pytest.mark.parametrize("actions", KINDS, ids=lambda each: each.kind)
def test_log_prob_and_entropy_are_those_of_torch_distributions(actions: Actions) -> None:
    logits, chosen = logits_and_actions(actions)
    ours, theirs = Distribution(actions, logits), torch_distributions(actions, logits)
    log_prob = sum(each.log_prob(chosen[:, i].to(logits)) for i, each in enumerate(theirs))
    torch.testing.assert_close(ours.log_prob(chosen), log_prob)
    torch.testing.assert_close(ours.entropy(), sum(each.entropy() for each in theirs))


@pytest.mark.parametrize("actions", KINDS, ids=lambda each: each.kind)
def test_logit_gradient_is_autograds(actions: Actions) -> None:
    logits, chosen = logits_and_actions(actions)
    weight = torch.linspace(-1, 2, len(logits), dtype=torch.float64)
    leaf = logits.clone().requires_grad_()
    choice = Distribution(actions, leaf)
    (choice.log_prob(chosen) * weight + 0.3 * choice.entropy()).sum().backward()
    torch.testing.assert_close(Distribution(actions, logits).logit_gradient(chosen, weight, 0.3), leaf.grad)


@pytest.mark.parametrize("actions", KINDS, ids=lambda each: each.kind)
def test_samples_follow_the_chances_and_are_the_same_in_numpy_and_torch(actions: Actions) -> None:
    logits, _ = logits_and_actions(actions, 1)
    many = logits.float().repeat(40_000, 1)
    uniforms = torch.rand((len(many), len(actions.choices)), generator=torch.Generator().manual_seed(2))
    drawn = Distribution(actions, many).sample(uniforms).numpy()
    assert (drawn != sample_numpy(actions, many.numpy(), uniforms.numpy())).sum() <= 3  # at rounding's edge
    for i, each in enumerate(torch_distributions(actions, logits)):
        chances = (
            np.array([1 - each.probs.item(), each.probs.item()]) if actions.binary else each.probs[0].numpy()
        )
        counts = np.bincount(drawn[:, i], minlength=actions.choices[i]) / len(drawn)
        np.testing.assert_allclose(counts, chances, atol=0.012)


def test_extreme_draws_stay_within_the_choices() -> None:
    logits = np.array([[0.0, 0.0, -200.0], [50.0, -50.0, -50.0]], np.float32)
    for u in (0.0, np.nextafter(np.float32(1), np.float32(0))):
        uniforms = np.full((2, 1), u, np.float32)
        actions = Actions("discrete", (3,))
        for drawn in (
            sample_numpy(actions, logits, uniforms),
            Distribution(actions, torch.from_numpy(logits)).sample(torch.from_numpy(uniforms)).numpy(),
        ):
            assert ((drawn >= 0) & (drawn < 3)).all()
            assert drawn[1, 0] == 0


# -- the loss and its gradient -------------------------------------------------------------------------


def reference_loss(choice: Any, values: Any, batch: Batch, config: PpoConfig, clip: float) -> Any:
    """PPO's loss line by line, for autograd."""
    advantages = batch.advantages
    if config.normalise_advantages:
        advantages = (advantages - advantages.mean()) / (advantages.std() + 1e-8)
    ratio = torch.exp(choice.log_prob(batch.actions) - batch.log_probs)
    policy = -torch.min(advantages * ratio, advantages * torch.clamp(ratio, 1 - clip, 1 + clip)).mean()
    squared = (values - batch.returns) ** 2
    if config.value_clip_range is not None:
        limit = config.value_clip_range
        clipped = batch.values + torch.clamp(values - batch.values, -limit, limit)
        squared = torch.max(squared, (clipped - batch.returns) ** 2)
    return policy + config.value_coef * squared.mean() - config.entropy_coef * choice.entropy().mean()


def random_batch(actions: Actions, rows: int = 64) -> tuple[Any, Any, Batch]:
    logits, chosen = logits_and_actions(actions, rows)
    g = torch.Generator().manual_seed(3)
    old = Distribution(actions, logits + 0.3 * torch.randn(logits.shape, generator=g, dtype=torch.float64))
    noise = [torch.randn(rows, generator=g, dtype=torch.float64) for _ in range(4)]
    batch = Batch(chosen, old.log_prob(chosen), noise[0], noise[1], noise[2])
    return logits, noise[2] + 0.3 * noise[3], batch


@pytest.mark.parametrize("actions", KINDS, ids=lambda each: each.kind)
@pytest.mark.parametrize("value_clip", [None, 0.2])
def test_loss_gradient_is_autograds_of_the_loss_line_by_line(
    actions: Actions, value_clip: float | None
) -> None:
    logits, values, batch = random_batch(actions)
    config = PpoConfig(entropy_coef=0.02, value_clip_range=value_clip)
    leaves = logits.clone().requires_grad_(), values.clone().requires_grad_()
    reference_loss(Distribution(actions, leaves[0]), leaves[1], batch, config, 0.2).backward()
    by_logits, by_values, terms = loss_gradient(Distribution(actions, logits), values, batch, config)
    torch.testing.assert_close(by_logits, leaves[0].grad)
    torch.testing.assert_close(by_values, leaves[1].grad)
    whole = terms.surrogate.mean() + 0.5 * terms.squared_error.mean() - 0.02 * terms.entropy.mean()
    torch.testing.assert_close(
        whole, reference_loss(Distribution(actions, logits), values, batch, config, 0.2)
    )


def test_a2c_is_the_plain_policy_gradient() -> None:
    logits, values, batch = random_batch(DISCRETE)
    batch.log_probs = Distribution(DISCRETE, logits).log_prob(batch.actions)
    config = PpoConfig.named("a2c")
    leaf = logits.clone().requires_grad_()
    (-batch.advantages * Distribution(DISCRETE, leaf).log_prob(batch.actions)).mean().backward()
    by_logits, _, _ = loss_gradient(Distribution(DISCRETE, logits), values, batch, config)
    torch.testing.assert_close(by_logits, leaf.grad)


@pytest.mark.parametrize("activation", ["tanh", "relu"])
@pytest.mark.parametrize("hidden", [(), (16,), (32, 16, 8)])
def test_the_mlps_own_backward_is_autograds(activation: str, hidden: tuple[int, ...]) -> None:
    config = PpoConfig(hidden=hidden, activation=activation)
    network = build((Input("", (6,), "float32"),), DISCRETE, config, CPU)
    flat = flatten(network)
    x, by_out = torch.randn(20, 6), torch.randn(20, 4)
    network.actor(x).backward(by_out)
    expected = flat.grad.clone()
    flat.grad.zero_()
    mlp = Mlp(network.actor)
    with torch.inference_mode():
        torch.testing.assert_close(mlp.forward(x), network.actor(x))
        mlp.backward(by_out)
    torch.testing.assert_close(flat.grad, expected)


def test_one_update_by_hand_and_one_by_autograd_give_equal_weights() -> None:
    outcomes = []
    for by_hand in (True, False):
        run = training(
            PpoConfig(rollout_steps=32, batch_size=32, entropy_coef=0.01, normalise_observations=True)
        )
        rollout, _ = run.collector.collect(run.generator)
        if not by_hand:
            run.learner.heads = None
        run.learner.update(rollout, False, 1.0, run.generator)
        outcomes.append(run.learner.flat.detach().clone())
    torch.testing.assert_close(outcomes[0], outcomes[1], rtol=1e-4, atol=1e-6)


def test_adam_is_torchs() -> None:
    ours, theirs = (torch.nn.Parameter(torch.linspace(-1, 1, 50)) for _ in range(2))
    ours.grad = torch.zeros(50)
    mine, reference = Adam(ours), torch.optim.Adam([theirs], 3e-3, eps=1e-5)
    for seed in range(20):
        gradient = torch.randn(50, generator=torch.Generator().manual_seed(seed))
        ours.grad.copy_(gradient)
        theirs.grad = gradient
        mine.step(3e-3)
        reference.step()
    torch.testing.assert_close(ours, theirs)


def test_rmsprop_is_the_one_that_stable_baselines_ships_for_a2c() -> None:
    need("stable_baselines3")
    from stable_baselines3.common.sb2_compat.rmsprop_tf_like import RMSpropTFLike

    ours, theirs = (torch.nn.Parameter(torch.linspace(-1, 1, 50)) for _ in range(2))
    ours.grad = torch.zeros(50)
    mine, reference = RmsProp(ours), RMSpropTFLike([theirs], 7e-4, alpha=0.99, eps=1e-5)
    for seed in range(20):
        gradient = torch.randn(50, generator=torch.Generator().manual_seed(seed))
        ours.grad.copy_(gradient)
        theirs.grad = gradient
        mine.step(7e-4)
        reference.step()
    torch.testing.assert_close(ours, theirs)


def test_an_update_on_one_batch_gives_stable_baselines_weights() -> None:
    need("stable_baselines3")
    from stable_baselines3 import PPO
    from stable_baselines3.common.vec_env import DummyVecEnv

    rows, width = 64, 4
    theirs = PPO(
        "MlpPolicy", DummyVecEnv([lambda: gym.make("CartPole-v1")]), n_steps=rows, batch_size=rows,
        n_epochs=3, learning_rate=1e-3, ent_coef=0.01, seed=0, device="cpu",
    )  # fmt: skip
    config = PpoConfig(
        rollout_steps=rows,
        batch_size=rows,
        epochs=3,
        learning_rate=1e-3,
        entropy_coef=0.01,
        learning_rate_decay=False,
    )
    network = build((Input("", (width,), "float32"),), Actions("discrete", (2,)), config, CPU)
    policy = theirs.policy
    source = {
        "actor.0": policy.mlp_extractor.policy_net[0], "actor.2": policy.mlp_extractor.policy_net[2],
        "actor.4": policy.action_net, "critic.0": policy.mlp_extractor.value_net[0],
        "critic.2": policy.mlp_extractor.value_net[2], "critic.4": policy.value_net,
    }  # fmt: skip
    weights = {
        f"{name}.{key}": value.clone()
        for name, part in source.items()
        for key, value in part.state_dict().items()
    }
    network.load_state_dict(weights)
    learner = Learner(network, config, CPU)
    learner.rate = 1e-3

    g = torch.Generator().manual_seed(0)
    obs, actions = torch.randn((rows, width), generator=g), torch.randint(0, 2, (rows, 1), generator=g)
    advantages, returns = torch.randn(rows, generator=g), torch.randn(rows, generator=g)
    with torch.no_grad():
        values, log_probs, _ = policy.evaluate_actions(obs, actions[:, 0])
    log_probs = log_probs + 0.2 * torch.randn(rows, generator=g)  # as if chosen by an older policy: some clip
    buffer = theirs.rollout_buffer
    buffer.reset()
    buffer.observations[:, 0], buffer.actions[:, 0] = obs.numpy(), actions.numpy()
    for name, each in (("advantages", advantages), ("returns", returns), ("log_probs", log_probs)):
        getattr(buffer, name)[:, 0] = each.numpy()
    buffer.values[:, 0] = values[:, 0].numpy()
    buffer.full, buffer.pos = True, rows
    theirs._setup_learn(rows)
    theirs.policy.optimizer.param_groups[0]["eps"] = 1e-5
    theirs.train()

    batch = Batch(actions, log_probs, advantages, returns, values[:, 0])
    for _ in range(3):  # one minibatch an epoch: its order does not matter
        learner._learn({"": obs}, batch, learner.config)
    for name, part in source.items():
        for key, value in part.state_dict().items():
            torch.testing.assert_close(network.state_dict()[f"{name}.{key}"], value, rtol=1e-4, atol=1e-6)
            assert not torch.equal(value, weights[f"{name}.{key}"])


# -- advantages and autoreset --------------------------------------------------------------------------


@settings(max_examples=40, deadline=None)
@given(st.integers(1, 12), st.integers(1, 4), st.floats(0, 1), st.floats(0, 1), st.integers(0, 2**31))
def test_gae_is_the_sum_of_discounted_errors(steps: int, n: int, gamma: float, lam: float, seed: int) -> None:
    rng = np.random.default_rng(seed)
    rewards, values, following = rng.normal(size=(3, steps, n)).astype(np.float32)
    ended = rng.random((steps, n)) < 0.3
    got = gae(rewards, values, following, ended, gamma, lam)
    for i in range(n):
        for t in range(steps):
            total = 0.0
            for k in range(t, steps):
                error = rewards[k, i] + gamma * following[k, i] - values[k, i]
                total += (gamma * lam) ** (k - t) * error
                if ended[k, i]:
                    break
            assert got[t, i] == pytest.approx(total, rel=1e-4, abs=1e-4)


class Counter(gym.Env[Any, Any]):
    """Episodes of known length: even ones terminate after 3 steps, odd ones are truncated after 4.

    The observation is (episode, step); the reward of a step is 1 + step.
    """

    observation_space = spaces.Box(-100, 100, (2,), np.float32)
    action_space = spaces.Discrete(2)
    episode = -1

    def reset(self, *, seed: Any = None, options: Any = None) -> Any:
        self.episode, self.age = self.episode + 1, 0
        return np.array([self.episode, 0], np.float32), {}

    def step(self, action: Any) -> Any:
        self.age += 1
        even = self.episode % 2 == 0
        seen = np.array([self.episode, self.age], np.float32)
        return seen, float(self.age), even and self.age == 3, not even and self.age == 4, {"age": self.age}


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("lstm", [0, 8])
def test_advantages_across_ends_are_those_of_each_episode_alone(mode: AutoresetMode, lstm: int) -> None:
    """Oracle: walk each episode by itself, in its own network calls, with the last observation valued
    where it was truncated.
    """
    config = PpoConfig(rollout_steps=24, gamma=0.9, gae_lambda=0.8, hidden=(8,), lstm=lstm)
    run = training(config, SyncVectorEnv([Counter, Counter], autoreset_mode=mode))
    rollout, ended = run.collector.collect(run.generator)
    advantages, returns = rollout.advantages(rollout.rewards, run.collector.same_step, 0.9, 0.8)
    np.testing.assert_allclose(returns, advantages + rollout.values[:-1].numpy(), rtol=1e-6)

    def values_of(episode: int, length: int) -> list[float]:
        state, found = None, []
        for age in range(length + 1):
            with torch.no_grad():
                _, value, state = run.network(
                    {"": torch.tensor([[episode, age]], dtype=torch.float32)}, state
                )
            found.append(value.item())
        return found

    checked = 0
    seen = rollout.obs[""].numpy()
    for t in range(24):
        if not rollout.real[t, 0]:
            assert mode == AutoresetMode.NEXT_STEP
            continue
        episode, age = (int(each) for each in seen[t, 0])
        length = 3 if episode % 2 == 0 else 4
        values = values_of(episode, length)
        if episode % 2 == 0:
            values[-1] = 0.0
        horizon = min(length, age + int(rollout.real[t:, 0].size))
        total = sum(
            0.72 ** (k - age) * (k + 1 + 0.9 * values[k + 1] - values[k]) for k in range(age, horizon)
        )
        assert advantages[t, 0] == pytest.approx(total, rel=1e-4, abs=1e-4)
        checked += 1
    assert checked == (24 if mode == AutoresetMode.SAME_STEP else rollout.real[:, 0].sum())
    assert [(each.total, each.length, each.info["age"]) for each in ended[:4]] == [
        (6, 3, 3),
        (6, 3, 3),
        (10, 4, 4),
        (10, 4, 4),
    ]


def test_steps_that_only_reset_are_not_learned_from() -> None:
    run = training(PpoConfig(rollout_steps=40, batch_size=16))
    rollout, _ = run.collector.collect(run.generator)
    assert not rollout.real.all()
    seen: list[Any] = []
    learn = run.learner._learn
    run.learner._learn = lambda obs, batch, clip: seen.append(obs[""].clone()) or learn(obs, batch, clip)  # type: ignore
    run.learner.update(rollout, False, 1.0, run.generator)
    real = rollout.obs[""][:-1].flatten(0, 1)[torch.from_numpy(rollout.real.ravel())]
    sizes = {len(each) for each in seen}
    assert max(sizes) - min(sizes) <= 1
    epochs = torch.cat(seen).view(4, len(real), -1)
    for each in epochs:  # every real row once in each epoch, and no other
        torch.testing.assert_close(each.sum(0), real.sum(0), rtol=1e-4, atol=1e-3)


# -- recurrence ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("longest", [0, 5])
def test_sequences_give_back_what_the_lstm_said_when_it_acted(mode: AutoresetMode, longest: int) -> None:
    config = PpoConfig(
        rollout_steps=30, lstm=16, sequence_length=longest, epochs=1, batch_size=0, learning_rate=1e-12
    )
    run = training(config, Cue(mode=mode))
    for _ in range(2):  # the second rollout begins inside episodes
        rollout, _ = run.collector.collect(run.generator)
        said: list[Any] = []
        backward = run.learner._backward

        def spy(
            logits: Any, values: Any, batch: Any, clip: float, backward: Any = backward, said: Any = said
        ) -> Any:
            said.append(
                (Distribution(run.network.actions, logits.detach()).log_prob(batch.actions), values, batch)
            )
            return backward(logits, values, batch, clip)

        run.learner._backward = spy  # type: ignore[method-assign]
        run.learner.update(rollout, run.collector.same_step, 1.0, run.generator)
        run.learner._backward = backward  # type: ignore[method-assign]
        assert sum(len(batch.values) for _, _, batch in said) == rollout.real.sum()
        for log_prob, values, batch in said:
            torch.testing.assert_close(log_prob, batch.log_probs, rtol=1e-4, atol=1e-5)
            torch.testing.assert_close(values, batch.values, rtol=1e-4, atol=1e-5)


@settings(max_examples=60, deadline=None)
@given(st.integers(1, 20), st.integers(1, 3), st.integers(0, 6), st.integers(0, 2**31))
def test_sequences_cover_each_real_row_once_and_stay_in_one_episode(
    steps: int, n: int, longest: int, seed: int
) -> None:
    rng = np.random.default_rng(seed)
    starts = rng.random((steps + 1, n)) < 0.25
    real = np.ones((steps, n), bool)
    real &= ~(starts[1:] & (rng.random((steps, n)) < 0.5))  # a reset step may be an episode's last row
    covered = np.zeros((steps, n), int)
    for t, i, length in zip(*sequences(starts, real, longest), strict=True):
        covered[t : t + length, i] += 1
        assert not starts[t + 1 : t + length, i].any()
        assert not longest or length <= longest
    assert (covered == real).all()


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
