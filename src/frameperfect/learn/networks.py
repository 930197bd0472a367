"""The actor and the critic: encoders by kind of input, an optional LSTM, and two heads.

Vectors (floats, or bytes of RAM scaled to 0..1) are concatenated; each input of pixels goes through the
network of Mnih et al. 2015 (Nature). Actor and critic share what encodes pixels and what remembers, and
nothing else: on vectors alone they are two separate MLPs [18]. The numbers in brackets are
those of docs/ppo.md.

All parameters lie in one flat tensor, and so do their gradients: clipping and the optimizer's step are then
a handful of operations, whatever the number of layers.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any, TypeAlias

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from frameperfect.errors import LearningError
from frameperfect.learn import threads
from frameperfect.learn.config import PpoConfig
from frameperfect.learn.spaces import Actions, Arrays, Input

Tensor: TypeAlias = "torch.Tensor"
State: TypeAlias = "tuple[Tensor, Tensor]"

PIXEL_FEATURES = 512


def layer(width_in: int, width_out: int, gain: float) -> Any:
    """A linear layer with orthogonal weights and no bias at first [2]."""
    linear = nn.Linear(width_in, width_out)
    nn.init.orthogonal_(linear.weight, gain)
    nn.init.zeros_(linear.bias)
    return linear


class Vectors(nn.Module):  # type: ignore[misc]
    """All inputs that are not pixels, as one float32 row: flattened, bytes scaled [19],
    normalised if asked [16].
    """

    def __init__(self, inputs: tuple[Input, ...], normalise: bool) -> None:
        super().__init__()
        self.inputs = inputs
        self.normalise = normalise
        self.width = sum(each.width for each in inputs)
        scale = [np.full(each.width, 1 / 255 if each.dtype == "uint8" else 1, np.float32) for each in inputs]
        # what is a byte is scaled by a constant, so that a plain vector skips the operation
        self.scaled = any(each.dtype == "uint8" for each in inputs)
        self.register_buffer(
            "scale", torch.from_numpy(np.concatenate([*scale, np.empty(0, np.float32)])), False
        )
        if normalise:
            self.register_buffer("mean", torch.zeros(self.width, dtype=torch.float64))
            self.register_buffer("variance", torch.ones(self.width, dtype=torch.float64))
            self.register_buffer("count", torch.zeros((), dtype=torch.float64))
            self.register_buffer("shift", torch.zeros(self.width), False)
            self.register_buffer("factor", torch.ones(self.width), False)

    def raw(self, obs: dict[str, Tensor]) -> Tensor:
        """(B, width) float32, before normalisation."""
        parts = [obs[each.name].flatten(1).float() for each in self.inputs]
        x = parts[0] if len(parts) == 1 else torch.cat(parts, 1)
        return x * self.scale if self.scaled else x

    def forward(self, obs: dict[str, Tensor]) -> Tensor:
        """(B, width) float32."""
        x = self.raw(obs)
        if self.normalise:
            x = ((x - self.shift) * self.factor).clamp_(-10, 10)
        return x

    def observe(self, obs: dict[str, Tensor]) -> None:
        """Take a batch into the running mean and variance (Chan et al. 1979, parallel variance)."""
        x = self.raw(obs).double()
        n, total = len(x), self.count + len(x)
        delta = x.mean(0) - self.mean
        spread = (
            self.variance * self.count + x.var(0, unbiased=False) * n + delta**2 * (self.count * n / total)
        )
        self.mean += delta * (n / total)
        self.variance.copy_(spread / total)
        self.count.copy_(total)
        self.refresh()

    def refresh(self) -> None:
        """Bring what `forward` uses up to the statistics, after they changed or were loaded."""
        if self.normalise:
            self.shift.copy_(self.mean)
            self.factor.copy_((self.variance + 1e-8).rsqrt())


class Pixels(nn.Module):  # type: ignore[misc]
    """Nature's CNN on one uint8 input: (stack, H, W), (stack, H, W, 3), (H, W, 3) or (H, W, 1)."""

    def __init__(self, source: Input) -> None:
        super().__init__()
        self.source = source
        shape = source.shape
        self.last = len(shape) == 3 and shape[2] in (1, 3) and shape[0] not in (1, 3)
        if len(shape) == 4:
            channels, height, width = shape[0] * shape[3], shape[1], shape[2]
        elif self.last:
            height, width, channels = shape
        else:
            channels, height, width = shape
        if min(height, width) < 36:
            raise LearningError(
                f"observation '{source.name}' is {height}x{width} pixels; the CNN needs 36x36 or more"
            )
        out = [((side - 8) // 4 + 1 - 4) // 2 + 1 - 2 for side in (height, width)]
        gain = 2**0.5
        self.convolutions = nn.Sequential(
            nn.Conv2d(channels, 32, 8, 4),
            nn.ReLU(),
            nn.Conv2d(32, 64, 4, 2),
            nn.ReLU(),
            nn.Conv2d(64, 64, 3),
            nn.ReLU(),
        )
        for each in self.convolutions:
            if isinstance(each, nn.Conv2d):
                nn.init.orthogonal_(each.weight, gain)
                nn.init.zeros_(each.bias)
        self.linear = layer(64 * out[0] * out[1], PIXEL_FEATURES, gain)

    def forward(self, obs: dict[str, Tensor]) -> Tensor:
        """(B, 512)."""
        x = obs[self.source.name]
        if x.ndim == 5:
            x = x.permute(0, 1, 4, 2, 3).flatten(1, 2)
        elif self.last:
            x = x.permute(0, 3, 1, 2)
        # convolutions on the CPU take about 0.6 of the time with channels last
        x = x.contiguous(memory_format=torch.channels_last).float() / 255
        return self.linear(self.convolutions(x).flatten(1)).relu()


class ActorCritic(nn.Module):  # type: ignore[misc]
    """What chooses and what values. `forward` is for one step, `sequences` for training an LSTM."""

    def __init__(self, inputs: tuple[Input, ...], actions: Actions, config: PpoConfig) -> None:
        super().__init__()
        self.inputs = inputs
        self.actions = actions
        pictures = [each for each in inputs if each.pixels]
        vectors = tuple(each for each in inputs if not each.pixels)
        self.vectors = Vectors(vectors, config.normalise_observations and bool(vectors))
        self.pixels = nn.ModuleList([Pixels(each) for each in pictures])
        width = self.vectors.width + PIXEL_FEATURES * len(pictures)
        self.lstm = nn.LSTM(width, config.lstm) if config.lstm else None
        if self.lstm is not None:
            width = config.lstm
            for name, parameter in self.lstm.named_parameters():
                nn.init.zeros_(parameter) if "bias" in name else nn.init.orthogonal_(parameter)
        hidden = config.hidden
        if hidden is None:
            hidden = () if pictures or config.lstm else (64, 64)
        self.activation = config.activation
        self.actor = self._head(width, hidden, actions.logits, 0.01)
        self.critic = self._head(width, hidden, 1, 1.0)

    def _head(self, width: int, hidden: tuple[int, ...], out: int, gain: float) -> Any:
        layers: list[Any] = []
        for size in hidden:
            layers.append(layer(width, size, 2**0.5))
            layers.append(nn.Tanh() if self.activation == "tanh" else nn.ReLU())
            width = size
        return nn.Sequential(*layers, layer(width, out, gain))

    @property
    def plain(self) -> bool:
        """Two MLPs on a vector, for which mlp.py and `NumpyActor` know shorter ways."""
        return self.lstm is None and len(self.pixels) == 0

    def encode(self, obs: dict[str, Tensor]) -> Tensor:
        """(B, features)."""
        parts = [pixels(obs) for pixels in self.pixels]
        if self.vectors.inputs:
            parts.insert(0, self.vectors(obs))
        return parts[0] if len(parts) == 1 else torch.cat(parts, 1)

    def forward(
        self, obs: dict[str, Tensor], state: State | None = None
    ) -> tuple[Tensor, Tensor, State | None]:
        """Logits (B, logits), values (B,) and the next recurrent state, for one step of B environments."""
        x = self.encode(obs)
        if self.lstm is not None:
            out, state = self.lstm(x[None], None if state is None else (state[0][None], state[1][None]))
            x, state = out[0], (state[0][0], state[1][0])
        return self.actor(x), self.critic(x)[:, 0], state

    def sequences(
        self, obs: dict[str, Tensor], pad: Tensor, real: Tensor, state: State
    ) -> tuple[Tensor, Tensor]:
        """Logits and values of R rows that lie in S sequences of up to L steps.

        `pad` (L, S) names the row at each place (any, where a sequence has ended), `real` (R,) the place
        (step times S plus sequence) of each row, and `state` (S, width) the state before each sequence.
        """
        assert self.lstm is not None
        x = self.encode(obs)[pad]
        out, _ = self.lstm(x, (state[0][None], state[1][None]))
        x = out.flatten(0, 1)[real]
        return self.actor(x), self.critic(x)[:, 0]

    def first_state(self, n: int) -> State | None:
        """The state of n environments at the start of an episode; None if the network keeps none."""
        if self.lstm is None:
            return None
        like = self.lstm.weight_hh_l0
        return like.new_zeros(n, self.lstm.hidden_size), like.new_zeros(n, self.lstm.hidden_size)


@contextlib.contextmanager
def first_weights(seed: int) -> Iterator[None]:
    """Networks made herein begin with the weights of `seed`, whatever torch's number of threads, on which the
    last bits of an orthogonal matrix hang; torch's own generator and threads are left as they were.
    """
    with torch.random.fork_rng(devices=[]), threads.taken(1):
        torch.manual_seed(seed)
        yield


def build(inputs: tuple[Input, ...], actions: Actions, config: PpoConfig, device: Any) -> ActorCritic:
    """The network with the first weights of `config.seed`."""
    with first_weights(config.seed):
        network: ActorCritic = ActorCritic(inputs, actions, config).to(device)
    return network


def flatten(network: ActorCritic) -> Tensor:
    """Move all parameters, and their gradients, into one flat parameter that is returned."""
    parameters = list(network.parameters())
    flat = nn.Parameter(torch.cat([each.detach().flatten() for each in parameters]))
    flat.grad = torch.zeros_like(flat)
    at = 0
    for each in parameters:
        span = slice(at, at + each.numel())
        each.data = flat.data[span].view_as(each)
        each.grad = flat.grad[span].view_as(each)
        at += each.numel()
    return flat


class NumpyActor:
    """The actor of a plain network on the CPU, in NumPy, on the same weights in memory.

    A step of a few environments is so little arithmetic that torch's cost per operation is most of it.
    """

    def __init__(self, network: ActorCritic) -> None:
        self.vectors = network.vectors
        self.relu = network.activation == "relu"
        linears = [each for each in network.actor if isinstance(each, nn.Linear)]
        self.layers = [(each.weight.detach().numpy().T, each.bias.detach().numpy()) for each in linears]
        self.scale = self.vectors.scale.numpy()

    def logits(self, obs: Arrays) -> NDArray[np.float32]:
        """(N, logits)."""
        parts = [obs[each.name].reshape(len(obs[each.name]), -1) for each in self.vectors.inputs]
        x = (parts[0] if len(parts) == 1 else np.concatenate(parts, 1)).astype(np.float32)
        if self.vectors.scaled:
            x *= self.scale
        if self.vectors.normalise:
            x = ((x - self.vectors.shift.numpy()) * self.vectors.factor.numpy()).clip(-10, 10)
        last = len(self.layers) - 1
        for i, (weight, bias) in enumerate(self.layers):
            x = x @ weight
            x += bias
            if i < last:
                np.maximum(x, 0, out=x) if self.relu else np.tanh(x, out=x)
        return x
