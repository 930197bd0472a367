"""The residual CNN of IMPALA (Espeholt et al. 2018, the large network), for pixels."""

from __future__ import annotations

from typing import Any, TypeAlias

import torch
from torch import nn

from frameperfect.learn.networks import PIXEL_FEATURES, Pixels
from frameperfect.learn.spaces import Input

Tensor: TypeAlias = "torch.Tensor"


class Residual(nn.Module):  # type: ignore[misc]
    """Two convolutions around which the input goes as well."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.first = nn.Conv2d(channels, channels, 3, padding=1)
        self.second = nn.Conv2d(channels, channels, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        """The same shape."""
        return x + self.second(self.first(x.relu()).relu())


class Impala(Pixels):
    """Three stages of 16, 32 and 32 channels, each halving the picture; 512 features."""

    def __init__(self, source: Input) -> None:
        super().__init__(source)
        first = self.convolutions[0]
        stages: list[Any] = []
        channels = first.in_channels
        for width in (16, 32, 32):
            stages += [nn.Conv2d(channels, width, 3, padding=1), nn.MaxPool2d(3, 2, 1)]
            stages += [Residual(width), Residual(width)]
            channels = width
        self.convolutions = nn.Sequential(*stages, nn.ReLU())
        sides = source.shape[:2] if self.last else source.shape[1:3]
        height, width = ((side + 7) // 8 for side in sides)
        self.linear = nn.Linear(channels * height * width, PIXEL_FEATURES)
