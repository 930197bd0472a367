"""The value learner, piece by piece against references, and as a whole on small tasks."""

from __future__ import annotations

import dataclasses
import importlib
import re
import signal
import subprocess
import sys
import textwrap
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
from tests.test_cli import GAME, fails, frameperfect
from tests.test_ppo import OBSERVATIONS, Everything
from tests.toy_envs import Cue, Unsaved

torch = need("torch")

from frameperfect.errors import CheckpointError, LearningError  # noqa: E402
from frameperfect.learn import (  # noqa: E402
    PpoConfig,
    RandomPolicy,
    ValueConfig,
    checkpoint,
    evaluate,
    interval,
    load_policy,
    train,
)
from frameperfect.learn.metrics import read as read_metrics  # noqa: E402
from frameperfect.learn.spaces import Actions, Input  # noqa: E402
from frameperfect.learn.value import losses  # noqa: E402
from frameperfect.learn.value.actor import alternatives  # noqa: E402
from frameperfect.learn.value.config import NAMED  # noqa: E402
from frameperfect.learn.value.learner import Learner  # noqa: E402
from frameperfect.learn.value.network import build  # noqa: E402
from frameperfect.learn.value.replay import Replay, Shape  # noqa: E402
from frameperfect.learn.value.train import ValueTraining, layout  # noqa: E402

CPU = torch.device("cpu")
VECTOR = (Input("", (5,), "float32"),)
SMALL = {
    "hidden": (16,), "batch_size": 16, "learning_starts": 64, "report_steps": 48, "capacity": 2_000,
    "acting_quantiles": 8, "threads": 1,
}  # fmt: skip
CONFIG = ValueConfig(steps=480, checkpoint_seconds=0, **SMALL)
VARIANTS: dict[str, dict[str, Any]] = {
    **NAMED,
    "lstm": {**NAMED["rainbow-iqn"], "lstm": 8, "sequence_length": 6, "burn_in": 4, "batch_size": 4},
    "normalised": {"normalise_observations": True, "returns": "categorical", "priority": 0.6},
    "holding": {"epsilon_end": 0.5, "hold": 2.0},
}


def changed(config: ValueConfig, **more: Any) -> ValueConfig:
    return dataclasses.replace(config, **more)


# -- losses --------------------------------------------------------------------------------------------


@settings(max_examples=60, deadline=None)
@given(st.integers(2, 12), st.integers(0, 2**31))
def test_the_categorical_projection_is_brute_forces(atoms: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    low = rng.normal() * 5
    support = np.linspace(low, low + rng.uniform(0.5, 20), atoms)
    chances = rng.dirichlet(np.ones(atoms), 6)
    returns, discounts = rng.normal(size=6) * 8, rng.choice([0, 0.5, 0.99, 1.0], 6)
    expected = np.zeros((6, atoms))
    gap = support[1] - support[0]
    for b in range(6):
        for j in range(atoms):
            value = min(max(returns[b] + discounts[b] * support[j], support[0]), support[-1])
            for k in range(atoms):
                expected[b, k] += chances[b, j] * max(0.0, 1 - abs(value - support[k]) / gap)
    got = losses.project(*(torch.from_numpy(each) for each in (chances, returns, discounts, support)))
    np.testing.assert_allclose(got.numpy(), expected, atol=1e-9)
    np.testing.assert_allclose(got.sum(1).numpy(), 1)


def test_a_return_between_the_ends_keeps_its_mean_when_projected() -> None:
    support = torch.linspace(-10, 10, 51, dtype=torch.float64)
    chances = torch.softmax(torch.randn(20, 51, dtype=torch.float64), 1)
    returns, discounts = torch.linspace(-1, 1, 20, dtype=torch.float64), torch.full((20,), 0.9).double()
    projected = losses.project(chances, returns, discounts, support)
    torch.testing.assert_close(projected @ support, returns + discounts * (chances @ support))


def test_the_gradients_are_autograds_of_the_losses_line_by_line() -> None:
    g = torch.Generator().manual_seed(0)

    def normal(*shape: int) -> Any:
        return torch.randn(*shape, generator=g, dtype=torch.float64) * 2

    values, targets = normal(30).requires_grad_(), normal(30)
    torch.nn.functional.huber_loss(values, targets, delta=0.7, reduction="sum").backward()
    gradient, loss, priority = losses.huber(values.detach(), targets, 0.7)
    torch.testing.assert_close(gradient, values.grad)
    torch.testing.assert_close(
        loss, torch.nn.functional.huber_loss(values.detach(), targets, delta=0.7, reduction="none")
    )
    torch.testing.assert_close(priority, (values.detach() - targets).abs())

    logits, chances = normal(30, 11).requires_grad_(), normal(30, 11).softmax(1)
    (-(chances * logits.log_softmax(1)).sum()).backward()
    gradient, loss, priority = losses.cross_entropy(logits.detach(), chances)
    torch.testing.assert_close(gradient, logits.grad)
    divergence = torch.nn.functional.kl_div(logits.detach().log_softmax(1), chances, reduction="none").sum(1)
    torch.testing.assert_close(priority, divergence)

    quantiles, others = normal(30, 5).requires_grad_(), normal(30, 7)
    levels = torch.rand(5, generator=g, dtype=torch.float64)
    total = torch.zeros(30, dtype=torch.float64)
    for i in range(5):
        for j in range(7):
            error = others[:, j] - quantiles[:, i]
            size = torch.where(error.abs() <= 0.7, 0.5 * error**2, 0.7 * (error.abs() - 0.35))
            total = total + (levels[i] - (error.detach() < 0).double()).abs() * size / 0.7 / 7
    total.sum().backward()
    gradient, loss, priority = losses.quantile_huber(quantiles.detach(), levels, others, 0.7)
    torch.testing.assert_close(gradient, quantiles.grad)
    torch.testing.assert_close(loss, total.detach())
    pairs = (others[:, None] - quantiles.detach()[:, :, None]).abs()
    torch.testing.assert_close(priority, pairs.flatten(1).mean(1))


# -- the network ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("streams", [(), (8,)])
def test_dueling_streams_are_value_plus_centred_advantages(streams: tuple[int, ...]) -> None:
    config = ValueConfig(dueling=True, streams=streams, returns="categorical", atoms=7)
    network = build(VECTOR, 3, config, CPU)
    x = torch.randn(9, network.width)
    out = network.outputs(x)
    assert out.shape == (9, 3, 7)
    if streams:
        value, advantage = network.value(x), network.advantage(x).view(9, 3, 7)
    else:
        both = network.advantage(x).view(9, 4, 7)
        value, advantage = both[:, 0], both[:, 1:]
    torch.testing.assert_close(out.mean(1), value)
    torch.testing.assert_close(out - out.mean(1, keepdim=True), advantage - advantage.mean(1, keepdim=True))


@pytest.mark.parametrize("streams", [(), (8,)])
@pytest.mark.parametrize("risk", ["mean", "cvar"])
def test_what_is_acted_on_is_the_mean_of_the_quantiles_asked_for(streams: tuple[int, ...], risk: str) -> None:
    config = ValueConfig(
        returns="implicit", streams=streams, risk=risk, risk_level=0.25, acting_quantiles=16, dueling=True
    )
    network = build(VECTOR, 3, config, CPU)
    x = torch.randn(9, network.width)
    levels = (torch.arange(16) + 0.5) / 16 * (0.25 if risk == "cvar" else 1)
    expected = network.outputs(x, levels).mean(1)
    torch.testing.assert_close(network.means(x), expected, rtol=1e-4, atol=1e-5)


def test_noise_is_factorised_drawn_anew_and_silent_when_asked() -> None:
    network = build(VECTOR, 3, ValueConfig(noisy=True), CPU)
    layer = network.noisy[0]
    x = torch.randn(4, network.width)
    quiet = network.outputs(x)
    g = torch.Generator().manual_seed(1)
    network.resample(g)
    first = network.outputs(x)
    weight = layer.weight + layer.weight_sigma * layer.noise_out[:, None] * layer.noise_in[None]
    bias = layer.bias + layer.bias_sigma * layer.noise_out
    torch.testing.assert_close(first, x @ weight.t() + bias)
    network.resample(g)
    assert not torch.equal(network.outputs(x), first)
    network.hush()
    assert torch.equal(network.outputs(x), quiet)


@pytest.mark.parametrize("shape", [(4, 84, 84), (3, 40, 36), (2, 36, 40, 3), (37, 50, 3)])
@pytest.mark.parametrize("cnn", ["nature", "impala"])
def test_both_cnns_read_every_layout_of_pixels(shape: tuple[int, ...], cnn: str) -> None:
    source = Input("", shape, "uint8")
    network = build((source,), 3, ValueConfig(cnn=cnn), CPU)
    out, _ = network({"": torch.zeros((2, *shape), dtype=torch.uint8)})
    assert out.shape == (2, 3)


# -- one update ----------------------------------------------------------------------------------------


def filled(config: ValueConfig, steps: int = 200, n: int = 2, inputs: Any = VECTOR) -> Replay:
    """A replay with random experience of one-number rewards; episodes end both ways."""
    rng = np.random.default_rng(0)
    replay = Replay(inputs, n, layout(config))

    def see() -> Any:
        return {"": rng.normal(size=(n, *inputs[0].shape)).astype(np.float32)}

    replay.begin(see())
    resetting = np.zeros(n, bool)
    for _ in range(steps):
        ends = (rng.random(n) < 0.1) & ~resetting
        terminated = ends & (rng.random(n) < 0.5)
        state = rng.normal(size=(n, 2 * config.lstm)).astype(np.float32) if config.lstm else None
        actions = rng.integers(0, 3, n)
        replay.add(actions, rng.normal(size=n), terminated, ends, resetting, see(), None, state)
        resetting = ends
    if config.priority:
        rows = np.flatnonzero(replay.tree.leaves())
        replay.prioritise(rows, rng.exponential(1, len(rows)) + 0.1)
    return replay


def learner_of(config: ValueConfig) -> Learner:
    learner = Learner(build(VECTOR, 3, config, CPU), build(VECTOR, 3, config, CPU), config, CPU)
    with torch.no_grad():  # a target network of its own
        learner.target_flat.add_(
            0.05 * torch.randn(learner.flat.shape, generator=torch.Generator().manual_seed(9))
        )
    return learner


def outputs_line_by_line(network: Any, config: ValueConfig, obs: Any, levels: Any = None) -> Any:
    """What QNetwork computes, from its weights, for an MLP: (B, A, M)."""
    x = obs
    for layer in network.trunk:
        x = torch.relu(x @ layer.weight.t() + layer.bias) if hasattr(layer, "weight") else x
    if levels is not None:
        angles = torch.pi * torch.arange(1, config.cosines + 1) * levels[..., None]
        phi = torch.relu(torch.cos(angles) @ network.cosine.weight.t() + network.cosine.bias)
        x = x[:, None] * phi
    else:
        x = x[:, None]
    layer = network.advantage[0]
    weight, bias = layer.weight, layer.bias
    if config.noisy and not layer.quiet:
        weight = weight + layer.weight_sigma * torch.outer(layer.noise_out, layer.noise_in)
        bias = bias + layer.bias_sigma * layer.noise_out
    out = x @ weight.t() + bias  # (B, 1 or N, outs * atoms)
    atoms = network.atoms
    out = out.view(*out.shape[:2], -1, atoms)
    if config.dueling:
        out = out[:, :, :1] + out[:, :, 1:] - out[:, :, 1:].mean(2, keepdim=True)
    return out[:, 0] if levels is None else out[..., 0].transpose(1, 2)


@pytest.mark.parametrize("name", NAMED)
def test_one_update_is_the_one_written_out(name: str) -> None:
    config = ValueConfig.named(name, **{**SMALL, "max_grad_norm": 0.5, "kappa": 0.8, "value_min": -3.0})
    replay, learner = filled(config), learner_of(config)
    weights = [each.detach().clone() for each in learner.network.parameters()]
    target_before = learner.target_flat.clone()
    left = 0.4

    # the same draws, told apart: uniforms, noise of both networks, levels
    g = torch.Generator().manual_seed(5)
    uniforms = torch.rand(config.batch_size, generator=g, dtype=torch.float64).numpy()
    beta = config.importance_start + (1 - config.importance_start) * 0.6
    leaves = replay.tree.leaves()
    sums = np.cumsum(leaves)
    rows = np.searchsorted(sums, (np.arange(16) + uniforms) / 16 * sums[-1], side="right")
    weight = (leaves[rows] / leaves[rows].min()) ** -beta if config.priority else np.ones(16)
    returns, discounts, _, following = replay.lead(rows)
    obs, after = (torch.from_numpy(replay.observations(each)[""]) for each in (rows, following))
    actions = torch.from_numpy(replay.actions[rows]).long()
    reference, target = (build(VECTOR, 3, config, CPU) for _ in range(2))
    reference.load_state_dict(learner.network.state_dict())
    target.load_state_dict(learner.target.state_dict())
    reference.resample(g)
    target.resample(g)
    total, discount = torch.from_numpy(returns)[:, None], torch.from_numpy(discounts)[:, None]
    pick = torch.arange(16)
    even = (torch.arange(config.acting_quantiles) + 0.5) / config.acting_quantiles

    def values(network: Any) -> Any:
        if config.returns == "implicit":
            return outputs_line_by_line(network, config, after, even.expand(16, -1)).mean(2)
        out = outputs_line_by_line(network, config, after)
        support = torch.linspace(config.value_min, config.value_max, config.atoms)
        return (out.softmax(2) * support).sum(2) if config.returns == "categorical" else out[..., 0]

    best = values(reference if config.double else target).argmax(1)
    if config.returns == "implicit":
        halves = [(torch.arange(8) + torch.rand(8, generator=g)) / 8 for _ in range(2)]
        levels = torch.cat(halves).expand(16, -1)
        chosen = outputs_line_by_line(reference, config, obs, levels[:, :8])[pick, actions]
        with torch.no_grad():
            goal = total + discount * outputs_line_by_line(target, config, after, levels[:, 8:])[pick, best]
        error = goal[:, None] - chosen[:, :, None]
        size = torch.nn.functional.huber_loss(error, torch.zeros_like(error), delta=0.8, reduction="none")
        part = (levels[:, :8, None] - (error.detach() < 0).float()).abs() * size / 0.8
        each = part.mean(2).sum(1)
        priority = error.detach().abs().mean((1, 2))
    elif config.returns == "categorical":
        chosen = outputs_line_by_line(reference, config, obs)[pick, actions]
        support = torch.linspace(config.value_min, config.value_max, config.atoms)
        with torch.no_grad():
            chances = outputs_line_by_line(target, config, after)[pick, best].softmax(1)
            moved = (total + discount * support).clamp(config.value_min, config.value_max)
            gap = support[1] - support[0]
            near = (1 - (moved[:, :, None] - support).abs() / gap).clamp(min=0)
            goal = (chances[:, :, None] * near).sum(1)
        each = -(goal * chosen.log_softmax(1)).sum(1)
        priority = (each + torch.special.xlogy(goal, goal).sum(1)).detach()
    else:
        chosen = outputs_line_by_line(reference, config, obs)[pick, actions, 0]
        with torch.no_grad():
            goal = total[:, 0] + discount[:, 0] * outputs_line_by_line(target, config, after)[pick, best, 0]
        each = torch.nn.functional.huber_loss(chosen, goal, delta=0.8, reduction="none")
        priority = (chosen - goal).abs().detach()
    (each * torch.from_numpy(weight).float()).mean().backward()
    torch.nn.utils.clip_grad_norm_(reference.parameters(), 0.5)
    torch.optim.Adam(reference.parameters(), config.learning_rate, eps=1e-5).step()

    learner.update(replay, left, torch.Generator().manual_seed(5))
    for mine, theirs, was in zip(learner.network.parameters(), reference.parameters(), weights, strict=True):
        torch.testing.assert_close(mine, theirs, rtol=1e-4, atol=2e-6)
        assert not torch.equal(mine, was)
    torch.testing.assert_close(
        learner.target_flat, target_before + 0.005 * (learner.flat.detach() - target_before)
    )
    if config.priority:
        new = replay.tree.get(rows)
        np.testing.assert_allclose(new, (priority.numpy() + 1e-4) ** config.priority, rtol=2e-3)


def test_an_update_of_iqn_on_one_batch_gives_tianshous_weights() -> None:
    need("tianshou")
    from tianshou.algorithm import IQN
    from tianshou.algorithm.modelfree.iqn import IQNPolicy
    from tianshou.algorithm.optim import AdamOptimizerFactory
    from tianshou.data import Batch
    from tianshou.utils.net.common import Net
    from tianshou.utils.net.discrete import ImplicitQuantileNetwork

    rows = 32
    config = ValueConfig.named("iqn", hidden=(16,), max_grad_norm=1e6, learning_rate=1e-3)
    learner = learner_of(config)
    model = ImplicitQuantileNetwork(
        preprocess_net=Net(state_shape=(5,), action_shape=0, hidden_sizes=(16,)), action_shape=[3]
    )
    parts = {
        "trunk.0": model.preprocess.model.model[0], "cosine": model.embed_model.net[0],
        "advantage.0": model.last.model[0],
    }  # fmt: skip
    with torch.no_grad():
        for name, part in parts.items():
            for key, value in part.state_dict().items():
                value.copy_(learner.network.state_dict()[f"{name}.{key}"])
    theirs = IQN(
        policy=IQNPolicy(model=model, action_space=spaces.Discrete(3)),
        optim=AdamOptimizerFactory(lr=1e-3, eps=1e-5),
    )
    g = torch.Generator().manual_seed(0)
    obs, actions = torch.randn((rows, 5), generator=g), torch.randint(0, 3, (rows,), generator=g)
    targets, weights = torch.randn((rows, 8), generator=g) * 2, torch.rand(rows, generator=g)
    levels = torch.rand(8, generator=g)  # ours are shared by the rows: so are theirs, here

    # tianshou draws its levels by torch.rand
    draw = torch.rand
    torch.rand = lambda *size, **_: levels.expand(size)  # type: ignore[assignment]
    try:
        theirs.policy.train()
        batch = Batch(obs=obs, act=actions.numpy(), returns=targets, weight=weights, info=Batch())
        theirs._update_with_batch(batch)
    finally:
        torch.rand = draw

    network = learner.network
    chosen = network.outputs(network.embed({"": obs}), levels)[torch.arange(rows), :, actions]
    by_chosen, _, priorities = losses.quantile_huber(chosen.detach(), levels, targets, 1.0)
    chosen.backward(by_chosen * weights[:, None] / rows)
    learner._step()
    for name, part in parts.items():
        for key, value in part.state_dict().items():
            torch.testing.assert_close(network.state_dict()[f"{name}.{key}"], value, rtol=1e-4, atol=1e-6)
    huber = torch.nn.functional.smooth_l1_loss(
        targets[:, None].expand(-1, 8, -1), chosen.detach()[:, :, None].expand(-1, -1, 8), reduction="none"
    )
    torch.testing.assert_close(batch.weight, huber.sum(-1).mean(1))
    assert priorities.shape == (rows,)


def test_the_target_is_copied_whole_when_it_is_due() -> None:
    config = ValueConfig(**SMALL, target_every=3, target_rate=1.0)
    replay, learner = filled(config), learner_of(config)
    before = learner.target_flat.clone()
    g = torch.Generator().manual_seed(0)
    for i in range(1, 7):
        learner.update(replay, 1.0, g)
        if i == 2:
            assert torch.equal(learner.target_flat, before)
        assert torch.equal(learner.target_flat, learner.flat.detach()) == (i % 3 == 0)


# -- recurrence ----------------------------------------------------------------------------------------


def test_the_state_after_burn_in_is_that_of_a_full_unroll() -> None:
    config = ValueConfig(**SMALL, lstm=7, sequence_length=5, burn_in=3)
    run = ValueTraining(Cue(3), config)
    for _ in range(120):
        run.actor.step(0.3, run.generator)
    replay, network = run.replay, run.network
    starts = np.flatnonzero(replay.tree.leaves())
    assert len(starts) > 20
    states, _ = run.learner.burn_in(replay, starts)
    for i, start in enumerate(starts):
        age = int(replay.ages[start])
        state = network.first_state(1)
        with torch.no_grad():
            for back in range(age, 0, -1):
                obs = replay.observations(replay.shifted(np.array([start]), -back))[""]
                _, state = network.remember(network.embed({"": torch.from_numpy(obs)})[None], state)
        torch.testing.assert_close(states[0][i], state[0][0], rtol=1e-4, atol=1e-6)
        torch.testing.assert_close(states[1][i], state[1][0], rtol=1e-4, atol=1e-6)


def test_an_update_from_sequences_is_that_of_their_rows_unrolled_one_by_one() -> None:
    config = ValueConfig(
        **{**SMALL, "batch_size": 6},
        lstm=7,
        sequence_length=5,
        burn_in=3,
        n_step=2,
        priority=0.6,
        double=False,
    )
    replay, learner = filled(config), learner_of(config)
    reference, target = (build(VECTOR, 3, config, CPU) for _ in range(2))
    reference.load_state_dict(learner.network.state_dict())
    target.load_state_dict(learner.target.state_dict())
    g = torch.Generator().manual_seed(5)
    draw = replay.draw(torch.rand(6, generator=g, dtype=torch.float64).numpy(), 0.4)
    rows_seen, terms, priorities = 0, [], []
    for start, weight in zip(draw.rows, draw.weights, strict=True):

        def unroll(network: Any, start: int = int(start)) -> Any:
            """The outputs at every row of the sequence and n rows after."""
            age = int(replay.ages[start])
            state = network.first_state(1)
            begin = start
            if age:
                begin = int(replay.shifted(np.array([start]), -3)[0])
                state = tuple(torch.from_numpy(replay.states[begin][None]).chunk(2, 1))
            found = []
            for k in range((3 if age else 0) + 7):
                obs = replay.observations(replay.shifted(np.array([begin]), k))[""]
                out, state = network.remember(network.embed({"": torch.from_numpy(obs)})[None], state)
                if age and k == 2:
                    state = tuple(each.detach() for each in state)
                found.append(network.outputs(out[0])[0])
            return found[3 if age else 0 :]

        mine, ahead = unroll(reference), unroll(target)
        errors = []
        for k in range(5):
            row = replay.shifted(np.array([start]), k)
            returns, discounts, steps, _ = replay.lead(row)
            if not steps[0]:
                break
            goal = returns[0] + discounts[0] * ahead[k + int(steps[0])].max().detach()
            value = mine[k][int(replay.actions[row[0]])]
            terms.append(torch.nn.functional.huber_loss(value, goal) * float(weight))
            errors.append(float((value - goal).detach().abs()))
            rows_seen += 1
            if discounts[0] == 0 and steps[0] == 1:
                break
        priorities.append(0.9 * max(errors) + 0.1 * np.mean(errors) + 1e-4)
    (torch.stack(terms).sum() / rows_seen).backward()
    torch.nn.utils.clip_grad_norm_(reference.parameters(), 10.0)
    torch.optim.Adam(reference.parameters(), config.learning_rate, eps=1e-5).step()

    learner.update(replay, 1.0, torch.Generator().manual_seed(5))
    for mine_, theirs in zip(learner.network.parameters(), reference.parameters(), strict=True):
        torch.testing.assert_close(mine_, theirs, rtol=1e-3, atol=5e-6)
    np.testing.assert_allclose(replay.tree.get(draw.rows), np.array(priorities) ** 0.6, rtol=1e-3)


# -- what is learned -----------------------------------------------------------------------------------


class Bandit(gym.Env[Any, Any]):
    """One step an episode; arm 0 pays an even 0 to 1, arm 1 is 0.4 for sure, arm 2 pays 3 one time in 4,
    else -0.5.
    """

    observation_space = spaces.Box(-1, 1, (1,), np.float32)
    action_space = spaces.Discrete(3)

    def reset(self, *, seed: Any = None, options: Any = None) -> Any:
        super().reset(seed=seed)
        return np.ones(1, np.float32), {}

    def step(self, action: Any) -> Any:
        u = self.np_random.random()
        reward = (u, 0.4, 3.0 if u < 0.25 else -0.5)[int(action)]
        return np.ones(1, np.float32), reward, True, False, {}


def bandits() -> Any:
    return SyncVectorEnv([Bandit] * 8, autoreset_mode=AutoresetMode.SAME_STEP)


def test_implicit_quantiles_of_a_bandit_are_the_known_ones(tmp_path: Path) -> None:
    config = ValueConfig.named(
        "iqn", steps=24_000, hidden=(32,), batch_size=256, epsilon_end=1.0, learning_rate=1e-3,
        kappa=0.02, update_every=16, threads=1,
    )  # fmt: skip
    train(bandits, config, tmp_path)
    network = load_policy(tmp_path).network
    levels = torch.linspace(0.05, 0.95, 19)
    with torch.no_grad():
        x = network.embed({"": torch.ones(1, 1)})
        found = network.outputs(x, levels)[0].numpy()
    np.testing.assert_allclose(found[:, 0], levels, atol=0.12)
    np.testing.assert_allclose(found[:, 1], 0.4, atol=0.12)
    sure = np.abs(levels.numpy() - 0.75) > 0.15  # beside the step itself
    np.testing.assert_allclose(found[sure, 2], np.where(levels < 0.75, -0.5, 3.0)[sure], atol=0.35)
    mean = np.array([0.5, 0.4, 0.375])
    np.testing.assert_allclose(network.means(x).detach().numpy()[0], mean, atol=0.12)


def test_a_cautious_agent_takes_the_sure_arm_and_a_neutral_one_the_better_mean(tmp_path: Path) -> None:
    base = {
        "steps": 12_000, "hidden": (32,), "batch_size": 128, "epsilon_end": 1.0, "learning_rate": 3e-3,
        "kappa": 0.05, "update_every": 16, "threads": 1,
    }  # fmt: skip
    chosen = []
    for name, more in (("mean", {}), ("cvar", {"risk": "cvar", "risk_level": 0.25})):
        train(bandits, ValueConfig.named("iqn", **base, **more), tmp_path / name)
        chosen.append(int(load_policy(tmp_path / name).act(np.ones(1, np.float32), deterministic=True)[0]))
    assert chosen == [0, 1]


@pytest.mark.parametrize("name", NAMED)
def test_it_learns_to_follow_a_cue(name: str, tmp_path: Path) -> None:
    config = ValueConfig.named(
        name, steps=6_000, hidden=(32,), batch_size=64, learning_starts=300, learning_rate=2e-3,
        gamma=0.5, target_rate=0.02, threads=1, value_min=0.0, value_max=3.0,
    )  # fmt: skip
    train(lambda: Cue(8), config, tmp_path)
    lengths: list[int] = []
    trained = evaluate(
        load_policy(tmp_path), lambda: Cue(8), 60, seed=100, deterministic=True,
        progress=lambda r, n, i: lengths.append(n),
    )  # fmt: skip
    random = evaluate(RandomPolicy(Cue().single_action_space), lambda: Cue(8), 60, seed=100)
    assert trained.sum() > 0.95 * sum(lengths)
    assert interval(trained)[0] > interval(random)[1]


def test_an_lstm_remembers_a_cue_that_is_shown_once(tmp_path: Path) -> None:
    config = ValueConfig.named(
        "dqn", steps=12_000, hidden=(), batch_size=32, learning_starts=500, learning_rate=5e-3, lstm=32,
        sequence_length=8, burn_in=8, gamma=0.5, target_rate=0.02, update_every=16, threads=1,
    )  # fmt: skip
    train(lambda: Cue(8, shown=False), config, tmp_path)
    lengths: list[int] = []
    returns = evaluate(
        load_policy(tmp_path), lambda: Cue(8, shown=False), 60, seed=100, deterministic=True,
        progress=lambda r, n, i: lengths.append(n),
    )  # fmt: skip
    assert returns.sum() > 0.85 * sum(lengths)


# -- runs ----------------------------------------------------------------------------------------------


def assert_equal_checkpoints(one: Path, other: Path) -> None:
    (tensors, facts), (theirs, their_facts) = checkpoint.read(one), checkpoint.read(other)
    assert tensors.keys() == theirs.keys()
    for name, each in tensors.items():
        assert torch.equal(each, theirs[name]), name
    for name in facts.keys() - {"seconds", "config"}:
        assert facts[name] == their_facts[name], name


@pytest.mark.parametrize("variant", VARIANTS)
def test_equal_seeds_give_equal_parameter_traces_and_others_do_not(variant: str, tmp_path: Path) -> None:
    traces = []
    for seed in (0, 0, 1):
        run = ValueTraining(Cue(3), changed(CONFIG, seed=seed, **VARIANTS[variant]))
        trace = []
        for _ in range(6):
            run.advance(1 - run.steps / 480)
            trace.append(run.learner.flat.detach().clone())
        traces.append(torch.stack(trace))
    assert torch.equal(traces[0], traces[1])
    assert not torch.equal(traces[0], traces[2])
    assert not torch.equal(traces[0][0], traces[0][-1])


@pytest.mark.parametrize("variant", VARIANTS)
@pytest.mark.parametrize("mode", [AutoresetMode.NEXT_STEP, AutoresetMode.SAME_STEP])
def test_a_resumed_run_equals_one_that_never_stopped(
    variant: str, mode: AutoresetMode, tmp_path: Path
) -> None:
    def make() -> Cue:
        return Cue(3, mode)

    # epsilon and beta move with the whole budget: a run that is stopped on the way knows it
    config = changed(CONFIG, **VARIANTS[variant])
    train(make, config, tmp_path / "whole")

    def stop(now: Any) -> None:
        if now.steps >= 240:
            signal.raise_signal(signal.SIGINT)

    assert train(make, config, tmp_path / "halves", progress=stop).stopped == "interrupt"
    train(make, config, tmp_path / "halves", resume=True)
    assert_equal_checkpoints(tmp_path / "whole", tmp_path / "halves")
    steps = [row["steps"] for row in read_metrics(tmp_path / "halves")]
    assert steps == list(range(48, 481, 48))


def test_a_run_killed_without_warning_goes_on_exactly_in_a_fresh_process(tmp_path: Path) -> None:
    config = changed(CONFIG, **NAMED["rainbow-iqn"])
    train(Cue, config, tmp_path / "whole")
    body = """
        from tests.test_value import *
        config = changed(CONFIG, **NAMED["rainbow-iqn"])
        def kill(now):
            if now.steps >= 240:
                import os
                os.kill(os.getpid(), signal.SIGKILL)
        train(Cue, config, {run!r}, **{how})
    """

    def fresh(how: str) -> int:
        text = textwrap.dedent(body.format(run=str(tmp_path / "run"), how=how))
        return subprocess.run([sys.executable, "-W", "ignore", "-c", text], check=False).returncode

    assert fresh('{"progress": kill}') == -signal.SIGKILL
    assert 0 < checkpoint.read(tmp_path / "run")[1]["steps"] < 240
    assert fresh('{"resume": True}') == 0
    assert_equal_checkpoints(tmp_path / "whole", tmp_path / "run")


@pytest.mark.parametrize("make", [Cue, Unsaved])
@pytest.mark.parametrize("kept", [True, False])
def test_a_run_goes_on_without_its_replay_or_its_episodes(make: Any, kept: bool, tmp_path: Path) -> None:
    config = changed(CONFIG, save_replay=kept)
    train(make, changed(config, steps=240), tmp_path)
    facts = checkpoint.read(tmp_path)[1]
    assert ("replay" in facts) == kept
    result = train(make, config, tmp_path, resume=True)
    assert result.steps == 480
    assert result.updates > facts["updates"]


def test_a_checkpoint_of_another_learner_or_setting_is_refused(tmp_path: Path) -> None:
    train(Cue, changed(CONFIG, steps=96), tmp_path)
    with pytest.raises(CheckpointError, match="value"):
        train(Cue, PpoConfig(steps=512), tmp_path, resume=True)
    with pytest.raises(CheckpointError, match="n_step"):
        train(Cue, changed(CONFIG, n_step=4), tmp_path, resume=True)


class Poisoned(Cue):
    """Rewards become NaN after 40 steps."""

    age_of_all = 0

    def step(self, actions: Any) -> Any:
        obs, rewards, terminated, truncated, infos = super().step(actions)
        self.age_of_all += 1
        return obs, rewards * (np.nan if self.age_of_all > 60 else 1), terminated, truncated, infos


def test_a_number_that_is_none_stops_training_and_keeps_the_last_good_checkpoint(tmp_path: Path) -> None:
    with pytest.raises(LearningError, match="reward"):
        train(Poisoned, CONFIG, tmp_path / "reward")
    assert checkpoint.read(tmp_path / "reward")[1]["steps"] == 240
    with pytest.raises(LearningError, match="no longer finite"):
        train(Cue, changed(CONFIG, learning_rate=1e30), tmp_path / "rate")


@pytest.mark.parametrize("lstm", [0, 8])
@pytest.mark.parametrize("seen", OBSERVATIONS)
def test_every_observation_and_action_space_trains_and_plays(seen: str, lstm: int, tmp_path: Path) -> None:
    i = list(OBSERVATIONS).index(seen) + lstm // 8  # each action space, mode and setting has its turns
    action_space: Any = (spaces.Discrete(3, start=2), spaces.MultiDiscrete([2, 3]), spaces.MultiBinary(4))[
        i % 3
    ]

    def make() -> Any:
        one = [lambda: Everything(OBSERVATIONS[seen], action_space)] * 2
        return SyncVectorEnv(
            one, autoreset_mode=(AutoresetMode.NEXT_STEP, AutoresetMode.SAME_STEP)[i // 3 % 2]
        )

    config = ValueConfig.named(
        list(NAMED)[i % len(NAMED)], steps=32, report_steps=16, batch_size=4, learning_starts=16,
        capacity=200, lstm=lstm, sequence_length=4, burn_in=2, normalise_observations=True,
        share_frames=False, threads=1, update_every=8,
    )  # fmt: skip
    assert train(make, config, tmp_path).updates > 0
    policy = load_policy(tmp_path)
    assert len(evaluate(policy, make, 3)) == 3
    observation = OBSERVATIONS[seen].sample()  # one environment's observation
    action, _ = policy.act(observation)
    assert action_space.contains(action)
    chances = policy.probabilities(observation)
    assert chances.shape == (policy.actions.logits,)
    assert ((chances >= 0) & (chances <= 1 + 1e-6)).all()


def test_actions_are_enumerated_and_too_many_are_refused() -> None:
    table = alternatives(Actions("multi-discrete", (2, 3)))
    assert table.tolist() == [[0, 0], [0, 1], [0, 2], [1, 0], [1, 1], [1, 2]]
    with pytest.raises(LearningError, match="4,096 combinations"):
        alternatives(Actions("multi-binary", (2,) * 12))


def test_wrong_settings_are_named() -> None:
    for name, value in (
        ("gamma", 1.5), ("batch_size", 0), ("returns", "median"), ("cnn", "resnet"), ("risk", "cvar"),
        ("value_min", 10.0), ("learning_rate", 0.0), ("capacity", 0), ("steps", None), ("device", "tpu9"),
    ):  # fmt: skip
        with pytest.raises(LearningError, match=name):
            ValueTraining(Cue(), ValueConfig(**{name: value}))
    with pytest.raises(LearningError, match="burn_in"):
        ValueConfig(lstm=4, burn_in=30)
    with pytest.raises(LearningError, match="rainbow"):
        ValueConfig.named("ddpg")
    for name in NAMED:
        config = ValueConfig.named(name, hidden=(3, 4))
        assert ValueConfig.from_json(config.to_json()) == config


def test_the_learning_rate_falls_to_nothing_when_asked() -> None:
    config = ValueConfig(**SMALL, learning_rate_decay=True)
    replay, learner = filled(config), learner_of(config)
    g = torch.Generator().manual_seed(0)
    for left in (1.0, 0.25, 0.0):
        before = learner.flat.detach().clone()
        learner.update(replay, left, g)
        assert learner.rate == left * config.learning_rate
    assert torch.equal(learner.flat, before)


def test_epsilon_falls_and_noise_needs_none() -> None:
    run = ValueTraining(Cue(), ValueConfig(epsilon_start=1.0, epsilon_end=0.1, epsilon_fraction=0.5))
    assert [round(run.epsilon(left), 3) for left in (1.0, 0.75, 0.5, 0.0)] == [1.0, 0.55, 0.1, 0.1]
    assert ValueTraining(Cue(), ValueConfig(noisy=True)).epsilon(1.0) == 0


def test_random_actions_are_held_as_long_as_the_zeta_distribution_says() -> None:
    """By chance alone, on episodes without end, with so many actions that neighbours seldom are equal."""
    envs = gym.make_vec("CartPole-v1", num_envs=64, vectorization_mode="vector_entry_point")
    run = ValueTraining(
        envs, ValueConfig(hold=2.0, learning_starts=100, epsilon_start=1.0, epsilon_fraction=0)
    )
    actor, generator = run.actor, torch.Generator().manual_seed(0)
    everywhere = np.ones(64, bool)
    actor.starts[:] = False
    played = []
    for step in range(2_000):
        explores, chosen = actor._hold(everywhere, np.full(64, step), generator)
        assert explores.all()
        played.append(chosen)
    begun = np.stack(played)
    starts = np.concatenate([np.ones((1, 64), bool), begun[1:] != begun[:-1]])
    lengths = np.concatenate([np.diff(np.flatnonzero(each)) for each in starts.T])
    for length in (1, 2, 3, 5):
        expected = length**-2.0 / (np.pi**2 / 6)
        # long ones are seldom whole within the steps, which makes the short ones look likelier
        assert (lengths == length).mean() == pytest.approx(expected, rel=0.15)


def test_a_held_action_ends_with_its_episode() -> None:
    run = ValueTraining(Cue(), ValueConfig(hold=1.01))
    actor, generator = run.actor, torch.Generator().manual_seed(0)
    first = np.arange(actor.n)
    actor.starts[:] = False
    for _ in range(3):
        actor._hold(np.ones(actor.n, bool), first, generator)
    assert actor.left.all()
    actor.starts[0] = True
    explores, _ = actor._hold(np.zeros(actor.n, bool), first, generator)
    assert not explores[0] and explores[1:].all()


def test_the_replay_of_a_layout_is_that_of_the_settings() -> None:
    shape = layout(ValueConfig(lstm=4, n_step=3, priority=0.5, capacity=777, replay_gib=0.5))
    assert shape == Shape(777, 3, 0.99, 0.5, 20, 10, 8, True, 1 << 29)


def test_the_command_line_trains_resumes_evaluates_and_watches_it(tmp_path: Path) -> None:
    need("stable_retro")
    common = ("train", GAME, "--algo", "rainbow-iqn", "--run", "r", "--envs", 2, "--observation", "ram",
              "--no-eval")  # fmt: skip
    (tmp_path / "c.toml").write_text(
        "hidden = [16]\nlearning_starts = 32\nreport_steps = 64\nbatch_size = 8\n"
    )
    done = frameperfect(*common, "--steps", 128, "--config", "c.toml", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    done = frameperfect(*common, "--steps", 256, "--resume", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "256 steps" in done.stdout
    settings = ("--episodes", 2, "--envs", 2, "--no-video", "--deterministic")
    done = frameperfect("eval", "r", *settings, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "matches" in done.stdout
    done = frameperfect("watch", "r", "--seconds", 1, "--out", "w.mp4", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    (tmp_path / "c.toml").write_text("rollout_steps = 32\n")
    refused = frameperfect("train", GAME, "--algo", "dqn", "--config", "c.toml", cwd=tmp_path)
    fails(refused, "rollout_steps")


PAGES = ("value", "dqn", "rainbow", "iqn", "rainbow-iqn", "r2d2", "a2c")


@pytest.mark.parametrize("name", PAGES)
def test_an_algorithms_page_has_numbered_details_that_point_at_code_that_is_there(name: str) -> None:
    page = (Path(__file__).parents[1] / f"docs/{name}.md").read_text()
    package = "frameperfect.learn" if name == "a2c" else "frameperfect.learn.value"
    rows = [line for line in page.splitlines() if re.match(r"\| \d+ \|", line)]
    assert rows and [int(row.split("|")[1]) for row in rows] == list(range(1, len(rows) + 1))
    for row in rows:
        places = re.findall(r"`(\w+)\.([\w.]+)`", row.split("|")[3])
        assert places
        for module, path in places:
            found: Any = importlib.import_module(f"{package}.{module}")
            for part in path.split("."):
                found = getattr(found, part)
