"""The network of a value learner: what encodes, what remembers, and the streams that value every action.

Its last outputs are one number an action (the mean return), the logits of the return's atoms, or, for given
levels, the return's quantiles. The numbers in brackets are those of docs/value.md.
"""

from __future__ import annotations

import math
from typing import Any, TypeAlias

import torch
import torch.nn.functional as F
from torch import nn

from frameperfect.learn.impala import Impala
from frameperfect.learn.networks import PIXEL_FEATURES, Pixels, Vectors, first_weights
from frameperfect.learn.spaces import Input
from frameperfect.learn.value.config import ValueConfig

Tensor: TypeAlias = "torch.Tensor"
State: TypeAlias = "tuple[Tensor, Tensor]"


class Noisy(nn.Module):  # type: ignore[misc]
    """A linear layer whose weights have noise of a learned size, factorised by inputs and outputs
    (Fortunato et al. 2018) [5].
    """

    def __init__(self, width_in: int, width_out: int, sigma: float) -> None:
        super().__init__()
        bound = width_in**-0.5
        self.weight = nn.Parameter(torch.empty(width_out, width_in).uniform_(-bound, bound))
        self.bias = nn.Parameter(torch.empty(width_out).uniform_(-bound, bound))
        self.weight_sigma = nn.Parameter(torch.full((width_out, width_in), sigma * bound))
        self.bias_sigma = nn.Parameter(torch.full((width_out,), sigma * bound))
        self.register_buffer("noise_in", torch.zeros(width_in), False)
        self.register_buffer("noise_out", torch.zeros(width_out), False)
        self.quiet = True

    def weights(self) -> tuple[Tensor, Tensor]:
        """Weights and biases with the noise of now."""
        if self.quiet:
            return self.weight, self.bias
        noise = torch.outer(self.noise_out, self.noise_in)
        weight = torch.addcmul(self.weight, self.weight_sigma, noise)
        return weight, torch.addcmul(self.bias, self.bias_sigma, self.noise_out)

    def forward(self, x: Tensor) -> Tensor:
        """(B, out)."""
        return F.linear(x, *self.weights())


class QNetwork(nn.Module):  # type: ignore[misc]
    """Values of `actions` alternatives. `embed`, with an LSTM `remember`, then `outputs` or `means`."""

    def __init__(self, inputs: tuple[Input, ...], actions: int, config: ValueConfig) -> None:
        super().__init__()
        self.config = config
        self.inputs = inputs
        self.actions = actions
        pictures = [each for each in inputs if each.pixels]
        vectors = tuple(each for each in inputs if not each.pixels)
        self.vectors = Vectors(vectors, config.normalise_observations and bool(vectors))
        self.pixels = nn.ModuleList(
            [Impala(each) if config.cnn == "impala" else Pixels(each) for each in pictures]
        )
        width = self.vectors.width + PIXEL_FEATURES * len(pictures)
        hidden = config.hidden if config.hidden is not None else () if pictures else (128, 128)
        self.trunk, width = _layers(width, hidden, config.activation)
        self.trunk_layers = [each for each in self.trunk if isinstance(each, nn.Linear)]
        self.lstm = nn.LSTM(width, config.lstm) if config.lstm else None
        width = config.lstm or width
        self.width = width
        self.implicit = config.returns == "implicit"
        self.atoms = config.atoms if config.returns == "categorical" else 1
        if self.implicit:
            self.cosine = nn.Linear(config.cosines, width)
            self.register_buffer("angles", math.pi * torch.arange(1, config.cosines + 1).float(), False)
            level = config.risk_level if config.risk == "cvar" else 1.0
            even = (torch.arange(config.acting_quantiles) + 0.5) / config.acting_quantiles * level
            self.register_buffer("acting_levels", even, False)
        elif self.atoms > 1:
            support = torch.linspace(config.value_min, config.value_max, self.atoms)
            self.register_buffer("support", support, False)
        if config.dueling and config.streams:
            self.value = self._stream(width, self.atoms)
        outs = actions + 1 if config.dueling and not config.streams else actions
        self.advantage = self._stream(width, outs * self.atoms)
        self.noisy = [each for each in self.modules() if isinstance(each, Noisy)]

    def _stream(self, width: int, out: int) -> Any:
        sigma = self.config.noisy_sigma if self.config.noisy else None
        body, width = _layers(width, self.config.streams, self.config.activation, sigma)
        body.append(_linear(width, out, sigma))
        return body

    def embed(self, obs: dict[str, Tensor]) -> Tensor:
        """(B, width of the trunk)."""
        parts = [pixels(obs) for pixels in self.pixels]
        if self.vectors.inputs:
            parts.insert(0, self.vectors(obs))
        x = parts[0] if len(parts) == 1 else torch.cat(parts, 1)
        for layer in self.trunk_layers:  # as self.trunk(x), with a third of its cost between the operations
            x = F.linear(x, layer.weight, layer.bias)
            x = x.relu_() if self.config.activation == "relu" else x.tanh_()
        return x

    def remember(self, x: Tensor, state: State) -> tuple[Tensor, State]:
        """(T, B, lstm) and the state after, for (T, B, width) and a state (B, lstm) each."""
        assert self.lstm is not None
        out, (hidden, cell) = self.lstm(x, (state[0][None], state[1][None]))
        return out, (hidden[0], cell[0])

    def outputs(self, x: Tensor, levels: Tensor | None = None) -> Tensor:
        """Of embeddings (B, width): means (B, A), logits (B, A, atoms), or, at levels (N,), quantiles
        (B, N, A).
        """
        if not self.implicit:
            every = self._values(x)
            return every if self.atoms > 1 else every[..., 0]
        assert levels is not None
        phi = self._phi(levels)
        if self.config.streams:
            rows = (x[:, None] * phi).flatten(0, 1)
            return self._values(rows)[..., 0].view(len(x), -1, self.actions)
        # linear above the product: levels go into the last layer's weights, and not into every row
        weight, bias = _weights(self.advantage[0])
        every = F.linear(x, (phi[:, None] * weight).flatten(0, 1)).view(len(x), len(phi), -1) + bias
        if not self.config.dueling:
            return every
        value, advantage = every[..., :1], every[..., 1:]
        return advantage + (value - advantage.mean(2, keepdim=True))

    def _phi(self, levels: Tensor) -> Tensor:
        """(N, width) for levels (N,): what an embedding is multiplied by to ask for a quantile [10]."""
        cosines = torch.outer(levels, self.angles).cos_()
        phi: Tensor = F.linear(cosines, self.cosine.weight, self.cosine.bias).relu_()
        return phi

    def _values(self, x: Tensor) -> Tensor:
        """(B, A, atoms) by the streams [3]."""
        every = self.advantage(x).view(len(x), -1, self.atoms)
        if not self.config.dueling:
            return every
        if self.config.streams:
            value, advantage = self.value(x)[:, None], every
        else:
            value, advantage = every[:, :1], every[:, 1:]
        return advantage + (value - advantage.mean(1, keepdim=True))

    def means(self, x: Tensor) -> Tensor:
        """(B, A): what is acted on: the mean return, or the mean of its worst part (`risk`) [11]."""
        if not self.implicit:
            out = self._values(x)
            return out.softmax(2) @ self.support if self.atoms > 1 else out[..., 0]
        phi = self._phi(self.acting_levels)
        if not self.config.streams:  # linear above the product: the mean of values is the value of the mean
            return self._values(x * phi.mean(0))[..., 0]
        rows = (x[:, None] * phi).flatten(0, 1)
        return self._values(rows)[..., 0].view(len(x), -1, self.actions).mean(1)

    def forward(self, obs: dict[str, Tensor], state: State | None = None) -> tuple[Tensor, State | None]:
        """Means (B, A), and the recurrent state after, for one step of B environments."""
        x = self.embed(obs)
        if self.lstm is not None:
            out, state = self.remember(x[None], state or self.first_state(len(x)))
            x = out[0]
        return self.means(x), state

    def first_state(self, n: int) -> State:
        """The recurrent state of n environments at an episode's start."""
        like = next(self.parameters())
        return like.new_zeros(n, self.config.lstm), like.new_zeros(n, self.config.lstm)

    def resample(self, generator: Any) -> None:
        """New noise in the streams' weights; equal on every device."""
        if not self.noisy:
            return
        noise = torch.randn(len(self.noise), generator=generator)
        self.noise.copy_(noise.abs().sqrt_().copysign_(noise))
        if self.noisy[0].quiet:
            for each in self.noisy:
                each.quiet = False

    def tie_noise(self) -> None:
        """Let the noise of all layers lie in one tensor, on the network's device."""
        parts = [part for each in self.noisy for part in (each.noise_in, each.noise_out)]
        if parts:
            self.noise = torch.cat(parts)
            views = iter(self.noise.split([len(part) for part in parts]))
            for each in self.noisy:
                each.noise_in, each.noise_out = next(views), next(views)

    def hush(self) -> None:
        """No noise until it is drawn again."""
        for each in self.noisy:
            each.quiet = True


def _linear(width_in: int, width_out: int, sigma: float | None) -> Any:
    return nn.Linear(width_in, width_out) if sigma is None else Noisy(width_in, width_out, sigma)


def _weights(layer: Any) -> tuple[Tensor, Tensor]:
    return layer.weights() if isinstance(layer, Noisy) else (layer.weight, layer.bias)


def _layers(width: int, sizes: tuple[int, ...], activation: str, sigma: float | None = None) -> Any:
    """Layers with activations, and the width that they end with."""
    layers: list[Any] = []
    for size in sizes:
        layers += [_linear(width, size, sigma), nn.ReLU() if activation == "relu" else nn.Tanh()]
        width = size
    return nn.Sequential(*layers), width


def build(inputs: tuple[Input, ...], actions: int, config: ValueConfig, device: Any) -> QNetwork:
    """The network with the first weights of `config.seed`."""
    with first_weights(config.seed):
        network: QNetwork = QNetwork(inputs, actions, config).to(device)
    network.tie_noise()
    return network
