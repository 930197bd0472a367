"""Novelty for the policy-gradient learner: a reward of its own, with a critic of its own.

The agent follows the sum of two advantages. Those of the reward end with an episode; those of novelty do not:
an agent that dies only goes on where everything is known. The numbers in brackets are those of docs/rnd.md.
"""

from __future__ import annotations

from typing import Any, TypeAlias

import numpy as np
import torch
from numpy.typing import NDArray

from frameperfect.learn import checkpoint
from frameperfect.learn.config import PpoConfig
from frameperfect.learn.rnd import Curiosity, Regression, Seen
from frameperfect.learn.rollout import Rollout, gae
from frameperfect.learn.running import RewardScale
from frameperfect.learn.spaces import Input

Tensor: TypeAlias = "torch.Tensor"

COLUMNS = ("novelty", "novelty_reward", "novelty_value_loss")
AT_ONCE = 1024
"""Rows that a network takes together where no gradient is needed."""


class Novelty:
    """Rewards, values and advantages of novelty, and how they are learned."""

    def __init__(self, inputs: tuple[Input, ...], config: PpoConfig, device: Any) -> None:
        self.config = config
        self.device = device
        self.curiosity = Curiosity(
            inputs, config.seed, config.rnd_learning_rate, device, critic=((64, 64), 1)
        )
        self.critic = self.curiosity.networks["critic"]
        self.valuation = Regression(self.critic)
        self.scale = RewardScale(config.rnd_gamma)

    def advantages(self, rollout: Rollout) -> NDArray[np.float32]:
        """(T, N) advantages of novelty, by the critic's values, which `learn` then brings up to date [4].

        The reward of a step is the novelty of the observation that it led to, over the running deviation of
        its discounted sum [3].
        """
        steps, n = rollout.rewards.shape
        obs = {name: part.flatten(0, 1) for name, part in rollout.obs.items()}
        rnd, config = self.curiosity.rnd, self.config
        rnd.whitening.observe(obs)
        self.seen: Seen = rnd.whitening(obs)
        with torch.inference_mode():
            self.novelty = self._all(rnd.novelty).reshape(steps + 1, n)[1:]
            values = self._all(lambda seen: self.critic(seen)[:, 0]).reshape(steps + 1, n)
        never = np.zeros((steps, n), bool)
        self.rewards = self.scale.scale(self.novelty, never)
        advantages = gae(self.rewards, values[:-1], values[1:], never, config.rnd_gamma, config.gae_lambda)
        self.returns = advantages + values[:-1]
        return advantages

    def learn(self, epochs: int, minibatches: int, generator: Any) -> dict[str, float]:
        """So many passes over the rollout of the last `advantages`, in minibatches [5].

        Returns means: novelty and its reward before the update, and the critic's error in the last pass.
        """
        rows, n = self.novelty.size, self.novelty.shape[1]
        returns = torch.from_numpy(self.returns).flatten().to(self.device)[:, None]
        for _ in range(epochs):
            errors = []
            for part in torch.randperm(rows, generator=generator).to(self.device).tensor_split(minibatches):
                self.curiosity.imitate(self.seen.rows(part + n))
                errors.append(self.valuation.gradient(self.seen.rows(part), returns[part]).mean())
                self.curiosity.step()
        self.curiosity.check()
        found = self.novelty.mean(), self.rewards.mean(), torch.stack(errors).mean()
        return {name: float(each) for name, each in zip(COLUMNS, found, strict=True)}

    def _all(self, network: Any) -> NDArray[np.float32]:
        """What the network makes of every row that is seen."""
        parts = torch.arange(len(self.seen.vectors), device=self.device).split(AT_ONCE)
        whole: NDArray[np.float32] = (
            torch.cat([network(self.seen.rows(each)) for each in parts]).cpu().numpy()
        )
        return whole

    def save(self) -> tuple[dict[str, Tensor], dict[str, Any]]:
        """Tensors and facts that `restore` takes; names begin with "novelty."."""
        tensors, facts = self.curiosity.save()
        tensors["returns"] = torch.from_numpy(self.scale.returns.copy())
        facts["scale"] = [self.scale.mean, self.scale.variance, self.scale.count]
        return {f"novelty.{name}": each for name, each in tensors.items()}, {"novelty": facts}

    def restore(self, tensors: dict[str, Tensor], facts: dict[str, Any]) -> None:
        """Hold what `save` gave."""
        tensors, facts = checkpoint.part(tensors, "novelty."), facts["novelty"]
        self.curiosity.restore(tensors, facts)
        self.scale.returns = tensors["returns"].numpy().copy()
        self.scale.mean, self.scale.variance, self.scale.count = facts["scale"]
