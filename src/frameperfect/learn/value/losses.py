"""The losses of a value learner, and how each changes with the network's outputs.

As in ppo.py the derivatives are written out: it is the same few operations, without a graph for autograd.
Each function takes the outputs of the action that was taken and gives, by row, the gradient of the row's
loss, the loss, and the priority of the row. The numbers in brackets are those of docs/value.md.
"""

from __future__ import annotations

from typing import TypeAlias

import torch

Tensor: TypeAlias = "torch.Tensor"


def huber(values: Tensor, targets: Tensor, kappa: float) -> tuple[Tensor, Tensor, Tensor]:
    """The Huber loss of the mean return: (B,) values and targets. The priority is the absolute error."""
    error = values - targets
    held = error.clamp(-kappa, kappa)
    loss = held * (error - 0.5 * held)  # error^2 / 2 within kappa, kappa (|error| - kappa / 2) beyond
    return held, loss, error.abs()


def project(chances: Tensor, returns: Tensor, discounts: Tensor, support: Tensor) -> Tensor:
    """(B, M) chances of the support's evenly spaced returns, for (B, M) `chances` of
    returns[b] + discounts[b] * support: what falls between two atoms is shared by its distance [8].
    """
    atoms = support.shape[0]
    low, step = support[0], (support[-1] - support[0]) / (atoms - 1)
    places = torch.addcmul(returns[:, None], discounts[:, None], support)
    places = places.sub_(low).div_(step).clamp_(0, atoms - 1)
    lower = places.floor()
    upper_part = places.sub_(lower).mul_(chances)  # of the atom above
    index = lower.long()
    projected = torch.zeros_like(chances).scatter_add_(1, index, chances - upper_part)
    return projected.scatter_add_(1, index.add_(1).clamp_(max=atoms - 1), upper_part)


def cross_entropy(logits: Tensor, target: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """The divergence of a categorical return: (B, M) logits and target chances. It is the priority too."""
    log_p = logits.log_softmax(1)
    loss = -(target * log_p).sum(1)
    entropy = -(target * target.clamp(min=1e-12).log()).sum(1)
    return log_p.exp() - target, loss, (loss - entropy).clamp_(min=0)


def quantile_huber(
    quantiles: Tensor, levels: Tensor, targets: Tensor, kappa: float
) -> tuple[Tensor, Tensor, Tensor]:
    """The quantile regression of an implicit return: (B, N) quantiles at (N,) levels, (B, N') targets.

    The loss of a row is the sum over its quantiles of the mean over the targets [9]; the priority is the
    mean absolute error of all pairs.
    """
    error = targets[:, None, :] - quantiles[:, :, None]  # (B, N, N')
    held = error.clamp(-kappa, kappa)
    weight = (levels[:, None] - (error < 0).to(error.dtype)).abs_().div_(kappa * targets.shape[1])
    by_quantiles = -(weight * held).sum(2)
    loss = (weight * held * (error - 0.5 * held)).sum((1, 2))
    return by_quantiles, loss, error.abs_().mean((1, 2))
