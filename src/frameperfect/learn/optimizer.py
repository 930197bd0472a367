"""Adam and RMSprop on one flat parameter: a few operations a step, and moments that are plain tensors."""

from __future__ import annotations

from typing import Any, TypeAlias

import torch

from frameperfect.learn.config import PpoConfig

Tensor: TypeAlias = "torch.Tensor"

EPSILON = 1e-5


class Adam:
    """Kingma & Ba 2015, with both betas at their usual values."""

    def __init__(self, parameter: Tensor) -> None:
        self.parameter = parameter.data
        self.gradient = parameter.grad
        self.moments = {"mean": torch.zeros_like(self.parameter), "square": torch.zeros_like(self.parameter)}
        self.steps = 0

    def step(self, rate: float) -> None:
        """Move the parameter against its gradient."""
        self.steps += 1
        mean, square = self.moments["mean"], self.moments["square"]
        mean.lerp_(self.gradient, 0.1)
        square.mul_(0.999).addcmul_(self.gradient, self.gradient, value=0.001)
        root = square.sqrt().mul_((1 - 0.999**self.steps) ** -0.5).add_(EPSILON)
        self.parameter.addcdiv_(mean, root, value=-rate / (1 - 0.9**self.steps))


class RmsProp:
    """Tieleman & Hinton 2012, decay 0.99, as torch's. TensorFlow's has epsilon under the root and a square
    that starts at 1: its first thousand steps are small, and A2C did far worse with it on LunarLander.
    """

    def __init__(self, parameter: Tensor) -> None:
        self.parameter = parameter.data
        self.gradient = parameter.grad
        self.moments = {"square": torch.zeros_like(self.parameter)}
        self.steps = 0

    def step(self, rate: float) -> None:
        """Move the parameter against its gradient."""
        self.steps += 1
        square = self.moments["square"]
        square.mul_(0.99).addcmul_(self.gradient, self.gradient, value=0.01)
        self.parameter.addcdiv_(self.gradient, square.sqrt().add_(EPSILON), value=-rate)


def optimizer(parameter: Any, config: PpoConfig) -> Adam | RmsProp:
    """The optimizer that the settings name, for a parameter whose gradient lies in `.grad`."""
    return Adam(parameter) if config.optimizer == "adam" else RmsProp(parameter)
