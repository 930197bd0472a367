"""One update of a value learner: a draw from the replay, its targets, its loss, and new priorities.

The numbers in brackets are those of docs/value.md, which tells the same story with its sources.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
import torch
from numpy.typing import NDArray

from frameperfect.errors import LearningError
from frameperfect.learn.networks import flatten
from frameperfect.learn.optimizer import Adam
from frameperfect.learn.spaces import Arrays
from frameperfect.learn.value import losses
from frameperfect.learn.value.config import ValueConfig
from frameperfect.learn.value.network import QNetwork
from frameperfect.learn.value.novelty import Novelty
from frameperfect.learn.value.replay import STEP, TERMINATED, Draw, Replay

Tensor: TypeAlias = "torch.Tensor"

ETA = 0.9
"""Of a sequence's priority: the part of its largest error, beside its mean one (Kapturowski et al. 2019)."""


@dataclass
class Given:
    """What a loss needs of B rows beside what the networks make of them, (B,) each."""

    actions: Tensor
    returns: Tensor
    """Of n steps."""
    discounts: Tensor
    """Of what follows them."""
    weights: Tensor


class Learner:
    """The network, the target network that values what comes after, and the optimizer."""

    def __init__(self, network: QNetwork, target: QNetwork, config: ValueConfig, device: Any) -> None:
        self.network = network
        self.target = target
        self.config = config
        self.device = device
        self.flat = flatten(network)
        self.target_flat = flatten(target).data
        self.target_flat.copy_(self.flat.data)
        target.vectors = network.vectors  # one set of statistics
        self.optimizer = Adam(self.flat)
        self.novelty = Novelty(network.inputs, config, device) if config.rnd else None
        self.demonstrations: Replay | None = None
        """What a part of every batch is drawn from [15]."""
        self.rate = config.learning_rate
        self.updates = 0
        self.terms: list[Tensor] = []

    def update(self, replay: Replay, left: float, generator: Any) -> None:
        """Learn from one draw; `left` is the part of the training that is still to come (1 at the start)."""
        config = self.config
        beta = config.importance_start + (1 - config.importance_start) * (1 - left)
        self.rate = config.learning_rate * (left if config.learning_rate_decay else 1.0)  # [14]
        uniforms = torch.rand(config.batch_size, generator=generator, dtype=torch.float64).numpy()
        shown = self.demonstrations
        count = round(config.batch_size * config.demonstration_share) if shown is not None else 0
        draw = replay.draw(uniforms[count:], beta)
        self.network.resample(generator)
        self.target.resample(generator)
        if shown is not None and count:
            self._learn_rows([(shown, shown.draw(uniforms[:count], beta)), (replay, draw)], generator)
        elif self.network.lstm is None:
            self._learn_rows([(replay, draw)], generator)
        else:
            self._learn_sequences(replay, draw, generator)
        self.updates += 1
        if self.updates % config.target_every == 0:  # [4]
            self.target_flat.lerp_(self.flat.data, config.target_rate)

    def _learn_rows(self, draws: list[tuple[Replay, Draw]], generator: Any) -> None:
        """Learn from draws of one or two replays together."""
        parts: list[list[NDArray[Any]]] = []
        seen: list[Arrays] = []
        then: list[Arrays] = []
        for replay, draw in draws:
            returns, discounts, steps, following = replay.lead(draw.rows)
            if self.novelty is not None:
                returns = returns + self.novelty.returns(replay, draw.rows, steps, discounts)
            parts.append([replay.actions[draw.rows], returns, discounts, draw.weights])
            seen.append(replay.observations(draw.rows))
            then.append(replay.observations(following))
        obs, after = (self._send(_join(each)) for each in (seen, then))
        with torch.inference_mode():
            ahead = self.target.embed(after)
            chooser = self.network.embed(after) if self.config.double else ahead
        given = parts[0] if len(parts) == 1 else [np.concatenate(each) for each in zip(*parts, strict=True)]
        found = [self._put(each) for each in given]
        priorities = self._learn(self.network.embed(obs), chooser, ahead, Given(*found), generator)
        sizes = [len(draw.rows) for _, draw in draws]
        for (replay, draw), mine in zip(draws, priorities.split(sizes), strict=True):
            self._prioritise(replay, draw.rows, mine)

    def _learn_sequences(self, replay: Replay, draw: Draw, generator: Any) -> None:
        """Sequences of L steps of one episode, whose state is the stored one after burn-in [12]."""
        length, span = self.config.sequence_length, self.config.sequence_length + self.config.n_step
        starts = draw.rows
        count = len(starts)
        window = replay.shifted(starts[None], np.arange(span)[:, None])  # (span, S)
        obs = self._send(replay.observations(window.ravel()))
        states = self.burn_in(replay, starts)
        x, _ = self.network.remember(self.network.embed(obs).view(span, count, -1), states[0])
        with torch.no_grad():
            ahead, _ = self.target.remember(self.target.embed(obs).view(span, count, -1), states[1])
        x, ahead = x.flatten(0, 1), ahead.flatten(0, 1)

        rows = window[:length]
        kinds = replay.kinds[rows]
        before = np.concatenate([np.full((1, count), STEP), kinds[:-1]])
        inside = np.logical_and.accumulate(before == STEP) & ((kinds == STEP) | (kinds == TERMINATED))
        returns, discounts, steps, _ = replay.lead(rows[inside])
        if self.novelty is not None:
            returns = returns + self.novelty.returns(replay, rows[inside], steps, discounts)
        step, sequence = np.nonzero(inside)
        now, then = step * count + sequence, (step + steps) * count + sequence
        following = self._put(then)
        chooser = x.detach() if self.config.double else ahead
        parts = replay.actions[rows[inside]], returns, discounts, draw.weights[sequence]
        given = Given(*(self._put(each) for each in parts))
        priorities = self._learn(x[self._put(now)], chooser[following], ahead[following], given, generator)
        if self.config.priority:
            each = np.zeros((length, count), np.float32)
            each[inside] = priorities.cpu().numpy()
            mixed = ETA * each.max(0) + (1 - ETA) * each.sum(0) / inside.sum(0)
            replay.prioritise(starts, mixed + self.config.priority_epsilon)

    def burn_in(self, replay: Replay, starts: NDArray[np.int64]) -> tuple[Any, Any]:
        """The recurrent states of both networks before `starts`: that which was stored `burn_in` rows
        earlier, brought up to date by these rows with the weights of now; 0 at an episode's start.
        """
        assert replay.states is not None
        found = [net.first_state(len(starts)) for net in (self.network, self.target)]
        warm = np.flatnonzero(replay.ages[starts])
        if not len(warm):
            return found[0], found[1]
        begin = replay.shifted(starts[warm], -self.config.burn_in)
        stored = self._put(replay.states[begin])
        place = self._put(warm)
        rows = replay.shifted(begin[None], np.arange(self.config.burn_in)[:, None])
        with torch.no_grad():
            obs = self._send(replay.observations(rows.ravel())) if rows.size else {}
            for net, state in zip((self.network, self.target), found, strict=True):
                after = stored.chunk(2, 1)
                if rows.size:
                    _, after = net.remember(net.embed(obs).view(*rows.shape, -1), after)
                for part, now in zip(state, after, strict=True):
                    part[place] = now
        return found[0], found[1]

    def _learn(self, x: Tensor, chooser: Tensor, ahead: Tensor, given: Given, generator: Any) -> Tensor:
        """One step of the optimizer on B embeddings `x`, followed by what the network (or, without double,
        the target network) and the target network make of what came after. Returns the priorities (B,).
        """
        config, network, target = self.config, self.network, self.target
        n, index = len(given.actions), given.actions.long()
        returns, discounts = given.returns, given.discounts
        with torch.inference_mode():
            best = (network if config.double else target).means(chooser).argmax(1)  # [2]
        if config.returns == "implicit":
            levels, others = (
                self._levels(count, generator) for count in (config.quantiles, config.target_quantiles)
            )
            chosen = _take(network.outputs(x, levels), index, 2)
            with torch.no_grad():
                targets = _take(target.outputs(ahead, others), best, 2)
                targets = targets.mul_(discounts[:, None]).add_(returns[:, None])
                by_chosen, loss, priorities = losses.quantile_huber(
                    chosen.detach(), levels, targets, config.kappa
                )
        elif config.returns == "categorical":
            chosen = _take(network.outputs(x), index, 1)
            with torch.no_grad():
                chances = _take(target.outputs(ahead), best, 1).softmax(1)
                targets = losses.project(chances, returns, discounts, target.support)
                by_chosen, loss, priorities = losses.cross_entropy(chosen.detach(), targets)
        else:
            chosen = _take(network.outputs(x), index, 1)
            with torch.no_grad():
                targets = returns + discounts * _take(target.outputs(ahead), best, 1)
                by_chosen, loss, priorities = losses.huber(chosen.detach(), targets, config.kappa)
        with torch.no_grad():
            scale = given.weights / n
            by_chosen.mul_(scale if by_chosen.ndim == 1 else scale[:, None])
            self.flat.grad.zero_()
        chosen.backward(by_chosen)
        with torch.no_grad():
            self._step()
            self.terms.append(torch.stack([(loss * scale).sum(), priorities.mean()]))
        return priorities

    def _levels(self, count: int, generator: Any) -> Tensor:
        """One random level in each of so many equal parts of 0 to 1, for all rows of an update [10]."""
        parts = torch.rand(count, generator=generator).add_(torch.arange(count)).div_(count)
        return parts.to(self.device)

    def _step(self) -> None:
        gradient = self.flat.grad
        gradient.mul_((self.config.max_grad_norm / (gradient.norm() + 1e-6)).clamp_(max=1.0))
        self.optimizer.step(self.rate)

    def _prioritise(self, replay: Replay, rows: NDArray[np.int64], priorities: Tensor) -> None:
        if self.config.priority:
            replay.prioritise(rows, priorities.cpu().numpy() + self.config.priority_epsilon)

    def means(self) -> dict[str, float]:
        """Of the updates since the last call: loss and error (the mean priority); NaN without any.

        Raises:
            LearningError: the network is no longer finite.
        """
        if not self.terms:
            return {"loss": float("nan"), "error": float("nan")}
        finite = self.flat.detach().isfinite().all().float()[None]
        loss, error, sound = torch.cat([torch.stack(self.terms).mean(0), finite]).tolist()
        self.terms = []
        if not sound or not np.isfinite(loss):
            raise LearningError(
                f"the network is no longer finite (loss {loss:.3g}, error {error:.3g}); "
                "try a lower learning_rate"
            )
        return {"loss": loss, "error": error}

    def _put(self, array: NDArray[Any]) -> Tensor:
        tensor = torch.from_numpy(array)
        if self.device.type != "cuda":
            return tensor
        return tensor.pin_memory().to(self.device, non_blocking=True)

    def _send(self, arrays: Arrays) -> dict[str, Tensor]:
        return {name: self._put(each) for name, each in arrays.items()}


def _join(parts: list[Arrays]) -> Arrays:
    """Rows of several replays, one after the other."""
    if len(parts) == 1:
        return parts[0]
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}


def _take(outputs: Tensor, index: Tensor, axis: int) -> Tensor:
    """The outputs of one action for each of B rows, (B, ...), where `axis` is that of the actions."""
    shape = [len(outputs), *[1] * (outputs.ndim - 1)]
    wide = list(outputs.shape)
    wide[axis] = 1
    return outputs.gather(axis, index.view(shape).expand(wide)).squeeze(axis)
