"""PPO's update: the clipped loss, its gradient, and the epochs of minibatches over one rollout.

The numbers in brackets are those of docs/ppo.md, which tells the same story with its sources.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, TypeAlias

import numpy as np
import torch
from numpy.typing import NDArray

from frameperfect.errors import LearningError
from frameperfect.learn.config import PpoConfig
from frameperfect.learn.distributions import Distribution
from frameperfect.learn.mlp import Mlp
from frameperfect.learn.networks import ActorCritic, flatten
from frameperfect.learn.novelty import Novelty
from frameperfect.learn.optimizer import optimizer
from frameperfect.learn.rollout import Rollout
from frameperfect.learn.running import RewardScale

Tensor: TypeAlias = "torch.Tensor"


@dataclass
class Batch:
    """What the loss needs of B rows: all (B,), and `actions` (B, C)."""

    actions: Tensor
    log_probs: Tensor
    advantages: Tensor
    returns: Tensor
    values: Tensor

    def rows(self, index: Any) -> Batch:
        """Some of the rows."""
        return Batch(
            self.actions[index],
            self.log_probs[index],
            self.advantages[index],
            self.returns[index],
            self.values[index],
        )


@dataclass
class Terms:
    """The parts of the loss, row by row (B,), for the curves."""

    log_ratio: Tensor
    surrogate: Tensor
    squared_error: Tensor
    entropy: Tensor


def loss_gradient(
    choice: Distribution, values: Tensor, batch: Batch, config: PpoConfig
) -> tuple[Tensor, Tensor, Terms]:
    """How PPO's loss over a minibatch changes with the logits (B, logits) and with the values (B,).

    The loss is mean(max(-A r, -A clip(r))) + value_coef * mean((v - R)^2) - entropy_coef * mean(entropy),
    with r the ratio of the new chance of the action to the old one [4, 5, 6].
    """
    n = len(values)
    advantages = batch.advantages
    if config.normalise_advantages and n > 1:  # [7]
        deviation, mean = torch.std_mean(advantages)
        advantages = (advantages - mean).div_(deviation + 1e-8)
    log_ratio = choice.log_prob(batch.actions).sub_(batch.log_probs)
    ratio = log_ratio.exp()
    plain = (advantages * ratio).neg_()
    clipped = (ratio.clamp(1 - config.clip_range, 1 + config.clip_range)).mul_(advantages).neg_()
    # where the clipped term is the larger, the ratio lies outside its range and the term is constant
    by_log_prob = plain.mul(plain >= clipped).div_(n)
    by_logits = choice.logit_gradient(batch.actions, by_log_prob, -config.entropy_coef / n)

    error = values - batch.returns
    squared = error.square()
    if config.value_clip_range is not None:  # [8]
        limit = config.value_clip_range
        held = (values - batch.values).clamp_(-limit, limit).add_(batch.values).sub_(batch.returns).square_()
        error = error * (squared >= held)
        squared = torch.maximum(squared, held)
    by_values = error.mul_(2 * config.value_coef / n)
    return by_logits, by_values, Terms(log_ratio, torch.maximum(plain, clipped), squared, choice.entropy())


class Learner:
    """The network, its optimizer, and the update."""

    def __init__(self, network: ActorCritic, config: PpoConfig, device: Any) -> None:
        self.network = network
        self.config = config
        self.device = device
        self.flat = flatten(network)
        self.optimizer = optimizer(self.flat, config)  # [9]
        self.rate = config.learning_rate
        self.heads = (Mlp(network.actor), Mlp(network.critic)) if network.plain else None
        self.rewards = RewardScale(config.gamma)
        self.novelty = Novelty(network.inputs, config, device) if config.rnd else None

    def update(self, rollout: Rollout, same_step: bool, left: float, generator: Any) -> dict[str, float]:
        """Learn from a rollout; `left` is the part of the training that is still to come (1 at the start).

        Returns the means of the last epoch: policy_loss, value_loss, entropy, kl, clip_fraction; and
        explained_variance of the values before the update, epochs that were run, and the learning rate.

        Raises:
            LearningError: the network is no longer finite.
        """
        config = self._settings(left)
        self.rate = config.learning_rate * (left if config.learning_rate_decay else 1)  # [10]
        rewards = rollout.rewards
        if config.normalise_rewards:  # [12]
            rewards = self.rewards.scale(rewards, rollout.ended)
        advantages, returns = rollout.advantages(rewards, same_step, config.gamma, config.gae_lambda)
        if self.novelty is not None:
            advantages += config.rnd * self.novelty.advantages(rollout)
        everything = Batch(
            rollout.actions.flatten(0, 1),
            rollout.log_probs.flatten(),
            torch.from_numpy(advantages).flatten().to(self.device),
            torch.from_numpy(returns).flatten().to(self.device),
            rollout.values[:-1].flatten(),
        )
        obs = {name: part[:-1].flatten(0, 1) for name, part in rollout.obs.items()}
        values = everything.values.cpu().numpy()[rollout.real.ravel()]
        target = returns[rollout.real]
        spread = float(target.var())

        epochs = 0
        for _ in range(config.epochs):
            epochs += 1
            if self.network.lstm is not None:
                terms = self._epoch_of_sequences(obs, everything, rollout, config, generator)
            else:
                terms = self._epoch(obs, everything, rollout, config, generator)
            if config.target_kl is not None and _kl(terms).item() > 1.5 * config.target_kl:  # [11]
                break
        if self.network.vectors.normalise:
            # only now: until here the network must see what it saw when it acted
            self.network.vectors.observe(obs)
        means = self._means(terms, config.clip_range)
        if self.novelty is not None:
            means |= self.novelty.learn(config.epochs, self.minibatches(len(rollout.real.ravel())), generator)
        means["explained_variance"] = (
            1 - float((target - values).var()) / spread if spread > 0 else float("nan")
        )
        means["epochs"] = epochs
        means["learning_rate"] = self.rate
        return means

    def _settings(self, left: float) -> PpoConfig:
        """As they are now: the loss's own that decay."""
        config = self.config
        return replace(
            config,
            clip_range=config.clip_range * (max(left, 1e-8) if config.clip_range_decay else 1),
            entropy_coef=config.entropy_coef * (left if config.entropy_coef_decay else 1),
        )

    def _epoch(
        self, obs: dict[str, Tensor], everything: Batch, rollout: Rollout, config: PpoConfig, generator: Any
    ) -> list[Terms]:
        """One pass in a new order, every real row once, in minibatches of equal size (to one row) [17]."""
        rows = np.flatnonzero(rollout.real)
        order = torch.from_numpy(rows)[torch.randperm(len(rows), generator=generator)].to(self.device)
        shuffled = everything.rows(order)
        terms = []
        at = 0
        for size in shares(len(rows), self.minibatches(len(rows))):
            span = slice(at, at + size)
            part = {name: each[order[span]] for name, each in obs.items()}
            terms.append(self._learn(part, shuffled.rows(span), config))
            at += size
        return terms

    def _learn(self, obs: dict[str, Tensor], batch: Batch, config: PpoConfig) -> Terms:
        """One step of the optimizer on one minibatch of single rows."""
        if self.heads is not None:
            actor, critic = self.heads
            with torch.inference_mode():
                x = self.network.vectors(obs)
                choice = Distribution(self.network.actions, actor.forward(x))
                values = critic.forward(x)[:, 0]
                by_logits, by_values, terms = loss_gradient(choice, values, batch, config)
                actor.backward(by_logits)
                critic.backward(by_values[:, None])
                self._step()
            return terms
        logits, values, _ = self.network(obs)
        return self._backward(logits, values, batch, config)

    def _backward(self, logits: Tensor, values: Tensor, batch: Batch, config: PpoConfig) -> Terms:
        with torch.no_grad():
            choice = Distribution(self.network.actions, logits.detach())
            by_logits, by_values, terms = loss_gradient(choice, values.detach(), batch, config)
            self.flat.grad.zero_()
        torch.autograd.backward([logits, values], [by_logits, by_values])
        with torch.inference_mode():
            self._step()
        return terms

    def _step(self) -> None:
        gradient = self.flat.grad
        norm = gradient.norm()
        gradient.mul_((self.config.max_grad_norm / (norm + 1e-6)).clamp_(max=1.0))  # [13]
        self.optimizer.step(self.rate)

    def _epoch_of_sequences(
        self, obs: dict[str, Tensor], everything: Batch, rollout: Rollout, config: PpoConfig, generator: Any
    ) -> list[Terms]:
        """One pass over whole sequences in a new order, about as many rows in each minibatch [14]."""
        first, env, length = sequences(rollout.starts, rollout.real, self.config.sequence_length)
        order = torch.randperm(len(first), generator=generator).numpy()
        first, env, length = first[order], env[order], length[order]
        parts = self.minibatches(int(length.sum()))
        group = (np.cumsum(length) - length) * parts // length.sum()
        terms = []
        for each in np.unique(group):
            t, i, size = first[group == each], env[group == each], length[group == each]
            step = np.arange(size.max())[:, None]
            inside = step < size
            rows = torch.from_numpy(((t + step) * rollout.real.shape[1] + i)[inside]).to(self.device)
            pad = torch.from_numpy((np.cumsum(inside) - 1).reshape(inside.shape).clip(0)).to(self.device)
            real = torch.from_numpy(np.flatnonzero(inside)).to(self.device)
            assert rollout.states is not None
            state = rollout.states[0][t, i], rollout.states[1][t, i]
            part = {name: every[rows] for name, every in obs.items()}
            logits, values = self.network.sequences(part, pad, real, state)
            terms.append(self._backward(logits, values, everything.rows(rows), config))
        return terms

    def minibatches(self, rows: int) -> int:
        """Minibatches of an epoch over so many rows."""
        return max(1, round(rows / self.config.batch_size)) if self.config.batch_size else 1

    def _means(self, terms: list[Terms], clip_range: float) -> dict[str, float]:
        log_ratio = torch.cat([each.log_ratio for each in terms])
        means = torch.stack(
            [
                torch.cat([each.surrogate for each in terms]).mean(),
                torch.cat([each.squared_error for each in terms]).mean(),
                torch.cat([each.entropy for each in terms]).mean(),
                _kl(terms),
                ((log_ratio.exp() - 1).abs() > clip_range).float().mean(),
                self.flat.detach().isfinite().all().float(),
            ]
        ).tolist()  # the only wait for the device in an update
        names = ("policy_loss", "value_loss", "entropy", "kl", "clip_fraction")
        result = dict(zip(names, means, strict=False))
        if not means[-1] or not np.isfinite(means[:5]).all():
            losses = ", ".join(f"{name} {value:.3g}" for name, value in result.items())
            raise LearningError(f"the network is no longer finite ({losses}); try a lower learning_rate")
        return result


def shares(total: int, parts: int) -> list[int]:
    """`total` in `parts` as equal as they can be."""
    return [total * (i + 1) // parts - total * i // parts for i in range(parts)]


def sequences(
    starts: NDArray[np.bool_], real: NDArray[np.bool_], longest: int
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
    """The rollout cut into stretches of one episode in one environment: first step, environment, length.

    A stretch ends with its episode (`starts`), with the rollout, or after `longest` steps (0: no such limit).
    Rows that are not `real` are last in their stretch, and are left out.
    """
    steps = len(real)
    cut = starts[:steps].copy()
    cut[0] = True
    first = np.where(cut, np.arange(steps)[:, None], 0)
    age = np.arange(steps)[:, None] - np.maximum.accumulate(first)
    if longest:
        cut |= age % longest == 0
    number = np.cumsum(cut.T.ravel()) - 1
    env, t = np.nonzero(cut.T)
    length = np.bincount(number, weights=real.T.ravel(), minlength=len(t)).astype(np.int64)
    return t[length > 0], env[length > 0], length[length > 0]


def _kl(terms: list[Terms]) -> Tensor:
    """Mean divergence of the new policy from the old, by Schulman's low-variance estimate (r - 1) - log r."""
    log_ratio = torch.cat([each.log_ratio for each in terms])
    return ((log_ratio.exp() - 1) - log_ratio).mean()
