"""The value learner, piece by piece against references: losses, networks, one update, recurrence."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from gymnasium import spaces
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.components import need
from tests.toy_envs import Cue

torch = need("torch")

from frameperfect.learn import ValueConfig  # noqa: E402
from frameperfect.learn.spaces import Input  # noqa: E402
from frameperfect.learn.value import losses  # noqa: E402
from frameperfect.learn.value.config import NAMED  # noqa: E402
from frameperfect.learn.value.learner import Learner  # noqa: E402
from frameperfect.learn.value.network import build  # noqa: E402
from frameperfect.learn.value.replay import Replay  # noqa: E402
from frameperfect.learn.value.train import ValueTraining, layout  # noqa: E402

CPU = torch.device("cpu")
VECTOR = (Input("", (5,), "float32"),)
SMALL = {
    "hidden": (16,), "batch_size": 16, "learning_starts": 64, "report_steps": 48, "capacity": 2_000,
    "acting_quantiles": 8, "threads": 1,
}  # fmt: skip


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


def test_the_learning_rate_falls_to_nothing_when_asked() -> None:
    config = ValueConfig(**SMALL, learning_rate_decay=True)
    replay, learner = filled(config), learner_of(config)
    g = torch.Generator().manual_seed(0)
    for left in (1.0, 0.25, 0.0):
        before = learner.flat.detach().clone()
        learner.update(replay, left, g)
        assert learner.rate == left * config.learning_rate
    assert torch.equal(learner.flat, before)
