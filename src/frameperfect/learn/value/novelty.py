"""Novelty for the value learner: a part of the reward, as new as it is when the reward is learned from.

A reward that the replay kept would stay as novel as it was when it was written. Here it is found anew for
every draw, and the imitation learns on what is drawn, as Never Give Up's does (Badia et al. 2020,
arXiv:2002.06038). One value is learned of both rewards, so that novelty ends with the episode. The numbers in
brackets are those of docs/rnd.md.
"""

from __future__ import annotations

from typing import Any, TypeAlias

import numpy as np
import torch
from numpy.typing import NDArray

from frameperfect.learn import checkpoint
from frameperfect.learn.rnd import Curiosity
from frameperfect.learn.spaces import Input
from frameperfect.learn.value.config import ValueConfig
from frameperfect.learn.value.replay import FINAL, Replay, Rows

Tensor: TypeAlias = "torch.Tensor"

COLUMNS = ("novelty", "novelty_reward")
LONGEST = 1e3
"""Steps that a return is taken to span, at most."""


class Novelty:
    """The n-step return of novelty, and how it is learned."""

    def __init__(self, inputs: tuple[Input, ...], config: ValueConfig, device: Any) -> None:
        self.config = config
        self.device = device
        self.curiosity = Curiosity(inputs, config.seed, config.rnd_learning_rate, device)
        self.span = min(1 / max(1 - config.gamma, 1e-12), LONGEST)
        self.total, self.count = 0.0, 0
        self.terms: list[tuple[float, float]] = []

    def returns(
        self, replay: Replay, rows: Rows, steps: NDArray[np.int64], discounts: NDArray[np.float32]
    ) -> NDArray[np.float32]:
        """(B,) what the novelty of the observations after `rows` adds to their returns of so many `steps`;
        the imitation learns from these observations.

        It is scaled so that an endless stream of the mean novelty so far is worth `rnd` [6]. `discounts` are
        0 where the episode terminated; its last observation counts where the replay has it.
        """
        config = self.config
        ahead = np.arange(1, config.n_step + 1)
        places = replay.shifted(rows[:, None], ahead)
        last = (ahead == steps[:, None]) & (discounts[:, None] == 0)
        taken = (ahead <= steps[:, None]) & ~(last & (replay.kinds[places] != FINAL))
        different, where = np.unique(places[taken], return_inverse=True)
        if not len(different):
            return np.zeros(len(rows), np.float32)
        obs = {
            name: torch.from_numpy(part).to(self.device)
            for name, part in replay.observations(different).items()
        }
        whitening = self.curiosity.rnd.whitening
        whitening.observe(obs)
        found = self.curiosity.imitate(whitening(obs)).cpu().numpy()
        self.curiosity.step()

        self.total += float(found.sum(dtype=np.float64))
        self.count += len(found)
        scale = config.rnd * self.count / (self.total * self.span + 1e-12)
        each = np.zeros(places.shape, np.float32)
        each[taken] = found[where] * np.float32(scale)
        self.terms.append((float(found.mean()), float(each[taken].mean())))
        whole: NDArray[np.float32] = each @ np.power(config.gamma, ahead - 1).astype(np.float32)
        return whole

    def means(self) -> dict[str, float]:
        """Of the draws since the last call: novelty, and the reward that is made of it; NaN without any."""
        self.curiosity.check()
        found = np.mean(self.terms, 0) if self.terms else (np.nan, np.nan)
        self.terms = []
        return {name: float(each) for name, each in zip(COLUMNS, found, strict=True)}

    def save(self) -> tuple[dict[str, Tensor], dict[str, Any]]:
        """Tensors and facts that `restore` takes; names begin with "novelty."."""
        tensors, facts = self.curiosity.save()
        facts |= {"total": self.total, "count": self.count}
        return {f"novelty.{name}": each for name, each in tensors.items()}, {"novelty": facts}

    def restore(self, tensors: dict[str, Tensor], facts: dict[str, Any]) -> None:
        """Hold what `save` gave."""
        self.curiosity.restore(checkpoint.part(tensors, "novelty."), facts["novelty"])
        self.total, self.count = facts["novelty"]["total"], facts["novelty"]["count"]
