"""Random network distillation (Burda et al. 2019, arXiv:1810.12894): how new an observation is.

A network with fixed random weights is imitated by another, which learns on what the agent sees. Where the
imitation is bad, little like it was seen before. The numbers in brackets are those of docs/rnd.md.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, TypeAlias

import torch
from torch import nn

from frameperfect.errors import LearningError
from frameperfect.learn import checkpoint
from frameperfect.learn.mlp import Mlp
from frameperfect.learn.networks import PIXEL_FEATURES, Pixels, first_weights, flatten, layer
from frameperfect.learn.optimizer import Adam
from frameperfect.learn.spaces import Input

Tensor: TypeAlias = "torch.Tensor"

FEATURES = 64
"""What the random network makes of an observation."""
HIDDEN = 128
LIMIT = 5.0
"""Deviations at which a normalised entry is cut."""


@dataclass
class Seen:
    """B normalised observations: vectors in one row (B, width), and of each input of pixels the newest
    picture, (B, C, H, W).
    """

    vectors: Tensor
    pictures: list[Tensor]

    def rows(self, index: Any) -> Seen:
        """Some of them."""
        return Seen(self.vectors[index], [each[index] for each in self.pictures])


class Whitening(nn.Module):  # type: ignore[misc]
    """Every entry (and every pixel by itself) less its running mean, over its running deviation, cut [2]."""

    def __init__(self, inputs: tuple[Input, ...]) -> None:
        super().__init__()
        self.inputs = inputs
        self.register_buffer("count", torch.zeros((), dtype=torch.float64))
        for i, each in enumerate(inputs):
            shape = picture_shape(each) if each.pixels else (each.width,)
            self.register_buffer(f"mean_{i}", torch.zeros(shape, dtype=torch.float64))
            self.register_buffer(f"variance_{i}", torch.ones(shape, dtype=torch.float64))

    def observe(self, obs: dict[str, Tensor]) -> None:
        """Take observations (B, ...) into the running mean and variance (Chan et al. 1979)."""
        n = len(next(iter(obs.values())))
        total = self.count + n
        for i, each in enumerate(self.inputs):
            mean, variance = self._statistics(i)
            x = _plain(each, obs[each.name]).double()
            delta = x.mean(0) - mean
            spread = (
                variance * self.count + x.var(0, unbiased=False) * n + delta**2 * (self.count * n / total)
            )
            mean += delta * (n / total)
            variance.copy_(spread / total)
        self.count.copy_(total)

    def forward(self, obs: dict[str, Tensor]) -> Seen:
        """Observations (B, ...) by their name, normalised."""
        pictures: list[Tensor] = []
        first = next(iter(obs.values()))
        vectors = [torch.zeros((len(first), 0), device=first.device)]
        for i, each in enumerate(self.inputs):
            mean, variance = self._statistics(i)
            # what hardly ever changes would otherwise be all noise: a grey level, or little
            least = 1 / 255 if each.dtype == "uint8" else 1e-4
            x = _plain(each, obs[each.name])
            x = ((x - mean.float()) / variance.sqrt().float().clamp_(min=least)).clamp_(-LIMIT, LIMIT)
            (pictures if each.pixels else vectors).append(x)
        return Seen(torch.cat(vectors, 1), pictures)

    def _statistics(self, i: int) -> tuple[Tensor, Tensor]:
        return getattr(self, f"mean_{i}"), getattr(self, f"variance_{i}")


class Encoder(nn.Module):  # type: ignore[misc]
    """Nature's CNN for every picture, then layers of `hidden` with ReLU, then `out` numbers."""

    def __init__(self, inputs: tuple[Input, ...], hidden: tuple[int, ...], out: int) -> None:
        super().__init__()
        pictures = [replace(each, shape=picture_shape(each)) for each in inputs if each.pixels]
        self.pixels = nn.ModuleList([Pixels(each) for each in pictures])
        width = sum(each.width for each in inputs if not each.pixels) + PIXEL_FEATURES * len(pictures)
        layers: list[Any] = []
        for size in hidden:
            layers += [layer(width, size, 2**0.5), nn.ReLU()]
            width = size
        self.head = nn.Sequential(*layers, layer(width, out, 1.0))

    def forward(self, seen: Seen) -> Tensor:
        """(B, out)."""
        parts = [seen.vectors]
        for each, picture in zip(self.pixels, seen.pictures, strict=True):
            parts.append(each.linear(each.convolutions(picture).flatten(1)).relu())
        return self.head(torch.cat(parts, 1))


class Regression:
    """A network that learns by the squared error, with the gradient of its outputs written out, and without
    CNNs that of its layers as well. Make it after `flatten`.
    """

    def __init__(self, encoder: Encoder) -> None:
        self.encoder = encoder
        self.mlp = None if len(encoder.pixels) else Mlp(encoder.head)

    def gradient(self, seen: Seen, targets: Tensor) -> Tensor:
        """Give the weights, whose gradient must be 0, that of the mean squared error from (B, out) `targets`;
        returns each row's mean squared error (B,), before it is learned from.
        """
        if self.mlp is not None:
            with torch.inference_mode():
                error = self.mlp.forward(seen.vectors) - targets
                self.mlp.backward(error * (2 / error.numel()))
        else:
            out = self.encoder(seen)
            with torch.no_grad():
                error = out - targets
            torch.autograd.backward([out], [error * (2 / error.numel())])
        squared: Tensor = error.square().mean(1)
        return squared


class Rnd(nn.Module):  # type: ignore[misc]
    """The fixed network, its imitation two layers deeper [1], and the normalisation of what both see."""

    def __init__(self, inputs: tuple[Input, ...]) -> None:
        super().__init__()
        self.whitening = Whitening(inputs)
        self.target = Encoder(inputs, (HIDDEN,), FEATURES).requires_grad_(False)
        self.predictor = Encoder(inputs, (HIDDEN,) * 3, FEATURES)

    def novelty(self, seen: Seen) -> Tensor:
        """(B,): the mean squared error of the imitation."""
        with torch.inference_mode():
            error: Tensor = (self.predictor(seen) - self.target(seen)).square().mean(1)
        return error


class Curiosity:
    """What the novelty of all learners has: `Rnd`, the networks of `parts` beside it (name: hidden layers and
    outputs), one optimizer for all that learns, and how it is saved.
    """

    def __init__(
        self,
        inputs: tuple[Input, ...],
        seed: int,
        rate: float,
        device: Any,
        **parts: tuple[tuple[int, ...], int],
    ) -> None:
        with first_weights(seed + 1_000_003):  # others than the learner's own networks begin with
            self.rnd = Rnd(inputs)
            more = {name: Encoder(inputs, *shape) for name, shape in parts.items()}
        self.networks = nn.ModuleDict({"rnd": self.rnd, **more}).to(device)
        self.flat = flatten(nn.ModuleList([self.rnd.predictor, *more.values()]))
        self.imitation = Regression(self.rnd.predictor)
        self.optimizer = Adam(self.flat)
        self.rate = rate

    def imitate(self, seen: Seen) -> Tensor:
        """The novelty (B,) of what is seen, and the gradient that lessens it."""
        with torch.inference_mode():
            goal = self.rnd.target(seen)
        return self.imitation.gradient(seen, goal)

    def step(self) -> None:
        """Move the weights against their gradient."""
        with torch.no_grad():
            self.optimizer.step(self.rate)
            self.flat.grad.zero_()

    def check(self) -> None:
        """Raise LearningError where the networks are no longer finite."""
        if not self.flat.detach().isfinite().all():
            raise LearningError("novelty is no longer finite; try a lower rnd_learning_rate")

    def save(self) -> tuple[dict[str, Tensor], dict[str, Any]]:
        """Tensors and facts that `restore` takes."""
        tensors = {f"network.{name}": each for name, each in self.networks.state_dict().items()}
        tensors |= {f"optimizer.{name}": each for name, each in self.optimizer.moments.items()}
        return tensors, {"optimizer_steps": self.optimizer.steps}

    def restore(self, tensors: dict[str, Tensor], facts: dict[str, Any]) -> None:
        """Hold what `save` gave."""
        self.networks.load_state_dict(checkpoint.part(tensors, "network."))
        for name, each in self.optimizer.moments.items():
            each.copy_(tensors[f"optimizer.{name}"])
        self.optimizer.steps = facts["optimizer_steps"]


def picture_shape(source: Input) -> tuple[int, ...]:
    """(C, H, W) of the newest picture of an input of pixels."""
    shape = source.shape
    if len(shape) == 4:
        return shape[3], shape[1], shape[2]
    return (shape[2], *shape[:2]) if _colours_last(source) else (1, *shape[1:])


def _plain(source: Input, x: Tensor) -> Tensor:
    """(B, width) of a vector, (B, C, H, W) of the newest picture, bytes as 0 to 1."""
    if not source.pixels:
        x = x.flatten(1).float()
    elif x.ndim == 5:
        x = x[:, -1].permute(0, 3, 1, 2).float()
    else:
        x = (x.permute(0, 3, 1, 2) if _colours_last(source) else x[:, -1:]).float()
    return x / 255 if source.dtype == "uint8" else x


def _colours_last(source: Input) -> bool:
    return source.shape[2] in (1, 3) and source.shape[0] not in (1, 3)
