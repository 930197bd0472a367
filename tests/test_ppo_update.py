"""The policy-gradient learner, piece by piece against references: from chances to one whole update."""

from __future__ import annotations

from typing import Any

import gymnasium as gym
import numpy as np
import pytest
from gymnasium.vector import AutoresetMode, SyncVectorEnv
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.components import need
from tests.toy_envs import Counter, Cue

torch = need("torch")
threadpool_info = need("threadpoolctl").threadpool_info

from frameperfect.learn import PpoConfig  # noqa: E402
from frameperfect.learn.distributions import Distribution, sample_numpy  # noqa: E402
from frameperfect.learn.mlp import Mlp  # noqa: E402
from frameperfect.learn.networks import build, flatten  # noqa: E402
from frameperfect.learn.optimizer import Adam, RmsProp  # noqa: E402
from frameperfect.learn.ppo import Batch, Learner, loss_gradient, sequences  # noqa: E402
from frameperfect.learn.rollout import gae  # noqa: E402
from frameperfect.learn.spaces import Actions, Input  # noqa: E402
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


@pytest.mark.parametrize("ours_is, theirs_is", [(Adam, torch.optim.Adam), (RmsProp, torch.optim.RMSprop)])
def test_optimizers_are_torchs(ours_is: Any, theirs_is: Any) -> None:
    ours, theirs = (torch.nn.Parameter(torch.linspace(-1, 1, 50)) for _ in range(2))
    ours.grad = torch.zeros(50)
    mine, reference = ours_is(ours), theirs_is([theirs], 3e-3, eps=1e-5)
    for seed in range(20):
        gradient = torch.randn(50, generator=torch.Generator().manual_seed(seed))
        ours.grad.copy_(gradient)
        theirs.grad = gradient
        mine.step(3e-3)
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
