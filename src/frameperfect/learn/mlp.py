"""The gradient of a plain MLP without autograd.

For two small layers most of autograd's time is bookkeeping; the chain rule written out takes half of it.
`tests/test_ppo_update.py` holds it against autograd.
"""

from __future__ import annotations

from typing import Any, TypeAlias

import torch
from torch import nn

Tensor: TypeAlias = "torch.Tensor"


class Mlp:
    """One `nn.Sequential` of linear layers and tanh or relu: forward, then backward into its `.grad`s."""

    def __init__(self, head: Any) -> None:
        linears = [each for each in head if isinstance(each, nn.Linear)]
        self.layers = [(each.weight.data, each.bias.data) for each in linears]
        self.gradients = [(each.weight.grad, each.bias.grad) for each in linears]
        self.tanh = any(isinstance(each, nn.Tanh) for each in head)
        self.inputs: list[Tensor] = []

    def forward(self, x: Tensor) -> Tensor:
        """(B, out) for (B, in), keeping what `backward` needs. Call it in inference mode."""
        self.inputs = [x]
        last = len(self.layers) - 1
        for i, (weight, bias) in enumerate(self.layers):
            x = torch.addmm(bias, x, weight.t())
            if i < last:
                x = x.tanh_() if self.tanh else x.relu_()
                self.inputs.append(x)
        return x

    def backward(self, by_out: Tensor) -> None:
        """Write the gradients of all weights, given how the loss changes with the last output (B, out)."""
        for i in range(len(self.layers) - 1, -1, -1):
            x = self.inputs[i]
            weight, bias = self.gradients[i]
            torch.mm(by_out.t(), x, out=weight)
            torch.sum(by_out, 0, out=bias)
            if i:
                by_out = by_out @ self.layers[i][0]
                if self.tanh:
                    by_out = torch.ops.aten.tanh_backward(by_out, x)
                else:
                    by_out = by_out.mul_(x > 0)
