"""Chances of actions: sampling, log-probability, entropy, and their derivatives by the logits.

The derivatives are written out, because the loss of PPO is cheaper by hand than by autograd (ppo.py).
Actions are int64 rows, one entry for each choice. A choice among K alternatives has K logits; a button has
one, whose sigmoid is the chance that it is held.
"""

from __future__ import annotations

from typing import Any, TypeAlias

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray

from frameperfect.learn.spaces import Actions

Tensor: TypeAlias = "torch.Tensor"


class Distribution:
    """Independent choices (B rows of logits), each categorical or Bernoulli."""

    def __init__(self, actions: Actions, logits: Tensor) -> None:
        self.actions = actions
        self.logits = logits
        self.log_p: list[Tensor] = []
        if not actions.binary:
            groups = logits.split(actions.choices, 1) if len(actions.choices) > 1 else (logits,)
            self.log_p = [F.log_softmax(group, 1) for group in groups]

    def log_prob(self, chosen: Tensor) -> Tensor:
        """(B,): the log-probability of (B, C) actions."""
        if self.actions.binary:
            return (chosen * self.logits - F.softplus(self.logits)).sum(1)
        logs = [log_p.gather(1, chosen[:, i : i + 1]) for i, log_p in enumerate(self.log_p)]
        return logs[0].squeeze(1) if len(logs) == 1 else torch.cat(logs, 1).sum(1)

    def entropy(self) -> Tensor:
        """(B,): the entropy in nats."""
        if self.actions.binary:
            return (F.softplus(self.logits) - self.logits * self.logits.sigmoid()).sum(1)
        each = [-(log_p.exp() * log_p).sum(1) for log_p in self.log_p]
        return each[0] if len(each) == 1 else torch.stack(each).sum(0)

    def logit_gradient(self, chosen: Tensor, by_log_prob: Tensor, by_entropy: float) -> Tensor:
        """(B, logits): how a loss changes with the logits, given how it changes with each row's log-prob (B,)
        and, the same for every row, with its entropy.
        """
        if self.actions.binary:
            p = self.logits.sigmoid()
            gradient = (chosen - p).mul_(by_log_prob[:, None])
            if by_entropy:
                gradient.sub_(self.logits * (p * (1 - p)), alpha=by_entropy)
            return gradient
        parts = []
        for i, log_p in enumerate(self.log_p):
            p = log_p.exp()
            part = (p * by_log_prob[:, None]).neg_()
            part.scatter_add_(1, chosen[:, i : i + 1], by_log_prob[:, None])
            if by_entropy:
                p_log_p = p * log_p
                part.sub_(p_log_p.addcmul_(p, p_log_p.sum(1, keepdim=True), value=-1), alpha=by_entropy)
            parts.append(part)
        return parts[0] if len(parts) == 1 else torch.cat(parts, 1)

    def sample(self, uniforms: Tensor) -> Tensor:
        """(B, C) actions by inverting the cumulative chances at (B, C) uniforms in [0, 1) [20]."""
        if self.actions.binary:
            return (uniforms < self.logits.sigmoid()).long()
        picks = [
            (log_p.exp().cumsum(1) <= uniforms[:, i : i + 1])
            .sum(1, keepdim=True)
            .clamp_(max=log_p.shape[1] - 1)
            for i, log_p in enumerate(self.log_p)
        ]
        return torch.cat(picks, 1)

    def mode(self) -> Tensor:
        """(B, C): the likeliest actions."""
        if self.actions.binary:
            return (self.logits > 0).long()
        return torch.cat([log_p.argmax(1, keepdim=True) for log_p in self.log_p], 1)


def sample_numpy(actions: Actions, logits: NDArray[Any], uniforms: NDArray[Any]) -> NDArray[np.int64]:
    """`Distribution.sample` on NumPy arrays, for small batches on the CPU."""
    if actions.binary:
        held: NDArray[np.bool_] = uniforms * (1 + np.exp(-logits)) < 1
        return held.astype(np.int64)
    picks = np.empty(uniforms.shape, np.int64)
    at = 0
    for i, n in enumerate(actions.choices):
        group = logits[:, at : at + n]
        chances = np.exp(group - group.max(1, keepdims=True)).cumsum(1)
        # the last sum is the total: comparing all but it also keeps rounding from running past the end
        picks[:, i] = (chances[:, :-1] <= uniforms[:, i : i + 1] * chances[:, -1:]).sum(1)
        at += n
    return picks
