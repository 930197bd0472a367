"""A trained agent as something that acts, and a random player with the same interface."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Protocol, TypeAlias

import gymnasium
import numpy as np
import torch
from numpy.typing import NDArray

from frameperfect.errors import CheckpointError, LearningError
from frameperfect.learn import checkpoint
from frameperfect.learn.config import PpoConfig
from frameperfect.learn.distributions import Distribution
from frameperfect.learn.networks import ActorCritic, build
from frameperfect.learn.spaces import Actions, Input, actions_of, arrays
from frameperfect.learn.value import network as value_network
from frameperfect.learn.value.actor import alternatives
from frameperfect.learn.value.config import ValueConfig
from frameperfect.learn.value.network import QNetwork
from frameperfect.learn.value.train import ValueTraining

State: TypeAlias = "tuple[NDArray[np.float32], NDArray[np.float32]] | None"


class Player(Protocol):
    """Whatever chooses actions for a batch of environments."""

    def act(self, obs: Any, state: State = None, deterministic: bool = False) -> tuple[NDArray[Any], State]:
        """Actions for a batch of observations, and the state for the next call."""


class Policy:
    """What `load_policy` gives. `act` takes a vector environment's observations, or one environment's."""

    def __init__(
        self,
        network: ActorCritic | QNetwork,
        inputs: tuple[Input, ...],
        actions: Actions,
        seed: int = 0,
    ) -> None:
        self.network: Any = network
        self.inputs = inputs
        self.actions = actions
        self.generator = torch.Generator().manual_seed(seed)
        self.device = next(network.parameters()).device

    def act(self, obs: Any, state: State = None, deterministic: bool = False) -> tuple[NDArray[Any], State]:
        """Actions as the environment takes them, and the recurrent state.

        `state` is what the last call gave; None starts an episode. In a batch, set the rows of environments
        that start anew to 0. Without `deterministic`, actions are drawn by their chances.
        """
        logits, after, single = self._forward(obs, state)
        with torch.inference_mode():
            choice = Distribution(self.actions, logits)
            if deterministic:
                picked = choice.mode()
            else:
                shape = (len(logits), len(self.actions.choices))
                picked = choice.sample(torch.rand(shape, generator=self.generator).to(self.device))
        chosen = self.actions.to_env(picked.cpu().numpy())
        next_state = None if after is None else tuple(each.cpu().numpy().copy() for each in after)
        return (chosen[0] if single else chosen), next_state

    def probabilities(self, obs: Any, state: State = None) -> NDArray[np.float32]:
        """The chances that `act` draws by: (B, A), or (A,) for one environment's observation.

        One entry an alternative, choice after choice; for buttons, the chance that each is held.
        """
        logits, _, single = self._forward(obs, state)
        with torch.inference_mode():
            if self.actions.binary:
                chances = logits.sigmoid()
            else:
                chances = torch.cat([part.softmax(1) for part in logits.split(self.actions.choices, 1)], 1)
        rows: NDArray[np.float32] = chances.cpu().numpy()
        return rows[0] if single else rows

    def _forward(self, obs: Any, state: State) -> tuple[torch.Tensor, Any, bool]:
        """Logits, the recurrent state after, and whether `obs` is one environment's."""
        tensors, before, single = self._tensors(obs, state)
        with torch.inference_mode():
            logits, _, after = self.network(tensors, before)
        return logits, after, single

    def _tensors(self, obs: Any, state: State) -> tuple[dict[str, torch.Tensor], Any, bool]:
        """What the network takes, and whether `obs` is one environment's."""
        named = arrays(obs)
        first = self.inputs[0]
        single = named[first.name].ndim == len(first.shape)
        if single:
            named = {name: part[None] for name, part in named.items()}
        tensors = {
            name: torch.from_numpy(np.ascontiguousarray(part)).to(self.device) for name, part in named.items()
        }
        before = None if state is None else tuple(torch.from_numpy(each).to(self.device) for each in state)
        return tensors, before, single


class ValuePolicy(Policy):
    """An agent that values every action. `deterministic` takes the best one; otherwise it explores as it did
    at the end of its training, by noise or by epsilon.
    """

    def __init__(self, network: QNetwork, inputs: tuple[Input, ...], actions: Actions, seed: int = 0) -> None:
        super().__init__(network, inputs, actions, seed)
        self.table = alternatives(actions)
        self.epsilon = 0.0 if network.config.noisy else network.config.epsilon_end

    def act(self, obs: Any, state: State = None, deterministic: bool = False) -> tuple[NDArray[Any], State]:
        """As `Policy.act`."""
        if deterministic:
            self.network.hush()
        else:
            self.network.resample(self.generator)
        means, after, single = self._forward(obs, state)
        best = means.argmax(1).cpu().numpy()
        if not deterministic:
            draws = torch.rand((2, len(best)), generator=self.generator).numpy()
            other = np.minimum((draws[1] * len(self.table)).astype(np.int64), len(self.table) - 1)
            best = np.where(draws[0] < self.epsilon, other, best)
        chosen = self.actions.to_env(self.table[best])
        next_state = None if after is None else tuple(each.cpu().numpy().copy() for each in after)
        return (chosen[0] if single else chosen), next_state

    def values(self, obs: Any, state: State = None) -> NDArray[np.float32]:
        """What each action is thought to return, without noise: (B, A), or (A,) for one observation."""
        self.network.hush()
        means, _, single = self._forward(obs, state)
        rows: NDArray[np.float32] = means.cpu().numpy()
        return rows[0] if single else rows

    def probabilities(self, obs: Any, state: State = None) -> NDArray[np.float32]:
        """As `Policy.probabilities`, of the best action and epsilon; noise is left out."""
        values = np.atleast_2d(self.values(obs, state))
        chances = np.full(values.shape, self.epsilon / len(self.table), np.float32)
        chances[np.arange(len(values)), values.argmax(1)] += 1 - self.epsilon
        parts = [
            np.stack([chances[:, self.table[:, i] == k].sum(1) for k in range(n)], 1)
            for i, n in enumerate(self.actions.choices)
        ]
        rows: NDArray[np.float32] = np.concatenate(
            [part[:, 1:] for part in parts] if self.actions.binary else parts, 1
        )
        single = arrays(obs)[self.inputs[0].name].ndim == len(self.inputs[0].shape)
        return rows[0] if single else rows

    def _forward(self, obs: Any, state: State) -> tuple[torch.Tensor, Any, bool]:
        tensors, before, single = self._tensors(obs, state)
        with torch.inference_mode():
            means, after = self.network(tensors, before)
        return means, after, single


class RandomPolicy:
    """Actions drawn evenly: the floor that an agent is measured against."""

    def __init__(self, action_space: gymnasium.Space[Any], seed: int = 0) -> None:
        self.actions = actions_of(action_space)
        self.generator = np.random.default_rng(seed)

    def act(self, obs: Any, state: State = None, deterministic: bool = False) -> tuple[NDArray[Any], State]:
        """Random actions for a batch of observations."""
        n = len(next(iter(arrays(obs).values())))
        return self.actions.to_env(
            self.generator.integers(0, self.actions.choices, (n, len(self.actions.choices)))
        ), None


def load_policy(run: Path | str, *, device: str = "cpu", seed: int = 0) -> Policy:
    """The agent of a run's checkpoint; `seed` is that of its draws.

    Raises:
        CheckpointError: there is none, or it is damaged.
    """
    tensors, facts = checkpoint.read(Path(run))
    try:
        inputs = tuple(Input(each["name"], tuple(each["shape"]), each["dtype"]) for each in facts["inputs"])
        kind = facts["actions"]
        actions = Actions(kind["kind"], tuple(kind["choices"]), kind["start"])
        network: Any
        policy: type[Policy]
        if facts["learner"] == ValueTraining.name:
            config = ValueConfig.from_json(facts["config"])
            network = value_network.build(inputs, len(alternatives(actions)), config, torch.device(device))
            policy = ValuePolicy
        else:
            network = build(inputs, actions, PpoConfig.from_json(facts["config"]), torch.device(device))
            policy = Policy
        network.load_state_dict(checkpoint.part(tensors, "network."))
    except (KeyError, TypeError, RuntimeError, LearningError) as wrong:
        raise CheckpointError(f"the checkpoint in {run} does not describe an agent: {wrong}") from wrong
    network.vectors.refresh()
    return policy(network.eval(), inputs, actions, seed)
