"""What an actor does, wherever it runs: take the learner's weights, play for a while, and give what came of
it.

An actor is told to play by an `Order` and answers with a chunk: named arrays of fixed shapes, and a few
facts.
The numbers in brackets are those of docs/runtime.md.
"""

from __future__ import annotations

import dataclasses
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import gymnasium
import numpy as np
import torch
from numpy.typing import NDArray

from frameperfect.learn.config import PpoConfig
from frameperfect.learn.episodes import EpisodeEnd, Episodes
from frameperfect.learn.networks import build as build_actor_critic
from frameperfect.learn.rollout import Collector, Rollout
from frameperfect.learn.runtime.priorities import Estimates
from frameperfect.learn.spaces import Actions, Arrays, Input
from frameperfect.learn.value.actor import Actor as ValueSteps
from frameperfect.learn.value.config import ValueConfig
from frameperfect.learn.value.network import build as build_values

MakeEnvs = Callable[[], "gymnasium.vector.VectorEnv[Any, Any, Any]"]
Layout = dict[str, tuple[tuple[int, ...], str]]
"""Shape and dtype of each array of a chunk."""

CHUNK_STEPS = 256
"""Steps of a value learner's chunk, of all of an actor's environments together; at least 16 of each."""

STEP = ("actions", "rewards", "terminated", "ended", "resetting")
"""The arrays of a value learner's chunk that say what a step did."""


@dataclass(frozen=True)
class Order:
    """What to play."""

    begin: int | None = None
    """Begin new episodes with this seed; None goes on with those under way."""
    epsilon: float = 0.0
    """The chance of a random action, for a value learner."""


@dataclass(frozen=True)
class Facts:
    """What is said of a chunk beside its arrays."""

    version: int
    """Of the weights that chose its actions."""
    begun: bool
    """Its first step is an episode's first, in all environments."""
    ended: list[EpisodeEnd]


@dataclass(frozen=True)
class Hello:
    """What an actor plays in; all actors of a run say the same."""

    envs: int
    inputs: tuple[Input, ...]
    actions: Actions
    same_step: bool
    layout: Layout


class Player(ABC):
    """An actor with its environments and its copy of the network."""

    def __init__(self, episodes: Episodes, network: Any, seed: int) -> None:
        self.episodes = episodes
        self.network = network
        self.generator = torch.Generator().manual_seed(seed)
        self.version = -1

    @abstractmethod
    def layout(self) -> Layout:
        """The arrays of a chunk."""

    @abstractmethod
    def fill(self, arrays: Arrays, order: Order) -> list[EpisodeEnd]:
        """Play, and write what came of it into `arrays`; returns the episodes that ended."""

    def hello(self) -> Hello:
        """What it plays in."""
        episodes = self.episodes
        return Hello(episodes.n, episodes.inputs, episodes.actions, episodes.same_step, self.layout())

    def load(self, weights: Arrays, version: int) -> None:
        """Take over the learner's network, as `weights_of` gave it."""
        self.network.load_state_dict({name: torch.from_numpy(each) for name, each in weights.items()})
        self.network.vectors.refresh()
        self.version = version

    def play(self, arrays: Arrays, order: Order) -> Facts:
        """Carry out an order."""
        if order.begin is not None:
            self.episodes.begin(order.begin)
        ended = self.fill(arrays, order)
        return Facts(self.version, order.begin is not None, ended)

    def close(self) -> None:
        """Close the environments."""
        self.episodes.envs.close()


def make_player(make_envs: MakeEnvs, config: PpoConfig | ValueConfig, seed: int) -> Player:
    """An actor of either learner, whose own draws come from `seed`."""
    kind = ValuePlayer if isinstance(config, ValueConfig) else RolloutPlayer
    envs = make_envs()
    try:
        return kind(envs, config, seed)  # type: ignore[arg-type]
    except BaseException:
        envs.close()
        raise


def weights_of(network: Any) -> Arrays:
    """What actors need of the network: its weights, and the statistics that normalise what it sees."""
    return {name: each.detach().cpu().numpy() for name, each in network.state_dict().items()}


# -- the policy-gradient learner -------------------------------------------------------------------------


class RolloutPlayer(Player):
    """Plays one rollout an order, with values and chances by the network that played it."""

    def __init__(self, envs: gymnasium.vector.VectorEnv[Any, Any, Any], config: PpoConfig, seed: int) -> None:
        self.collector = Collector(envs, config.rollout_steps)
        cpu = torch.device("cpu")
        network = build_actor_critic(self.collector.inputs, self.collector.actions, config, cpu)
        self.collector.attach(network, cpu)
        super().__init__(self.collector, network, seed)

    def layout(self) -> Layout:
        """See `Player`."""
        arrays = rollout_arrays(self.collector.rollout)
        return {name: (each.shape, each.dtype.str) for name, each in arrays.items()}

    def fill(self, arrays: Arrays, order: Order) -> list[EpisodeEnd]:
        """See `Player`."""
        rollout, ended = self.collector.collect(self.generator)
        for name, each in rollout_arrays(rollout).items():
            arrays[name][...] = each
        return ended


def rollout_arrays(rollout: Rollout) -> Arrays:
    """A rollout's parts by name, on the host."""
    found: Arrays = {}
    for field in dataclasses.fields(rollout):
        value = getattr(rollout, field.name)
        if isinstance(value, dict):
            found |= {f"{field.name}.{name}": each.cpu().numpy() for name, each in value.items()}
        elif isinstance(value, tuple):
            found |= {f"{field.name}.{i}": each.cpu().numpy() for i, each in enumerate(value)}
        elif value is not None:
            found[field.name] = value if isinstance(value, np.ndarray) else value.cpu().numpy()
    return found


def join_rollouts(parts: list[Arrays], device: Any) -> Rollout:
    """Rollouts of several actors as one of all their environments, in this order."""
    whole = {name: np.concatenate([part[name] for part in parts], 1) for name in parts[0]}

    def send(name: str) -> Any:
        return torch.from_numpy(whole[name]).to(device)

    hosted = ("starts", "real", "rewards", "terminated", "ended", "final_values")
    states = (send("states.0"), send("states.1")) if "states.0" in whole else None
    return Rollout(
        obs={name[4:]: send(name) for name in whole if name.startswith("obs.")},
        actions=send("actions"),
        log_probs=send("log_probs"),
        values=send("values"),
        states=states,
        **{name: whole[name] for name in hosted},
    )


# -- the value learner -----------------------------------------------------------------------------------


class ValuePlayer(Player):
    """Plays a few steps an order, as the replay takes them, with the priorities of its own steps [4]."""

    def __init__(
        self, envs: gymnasium.vector.VectorEnv[Any, Any, Any], config: ValueConfig, seed: int
    ) -> None:
        self.actor = ValueSteps(envs)
        self.config = config
        self.steps = chunk_steps(self.actor.n)
        cpu = torch.device("cpu")
        network = build_values(self.actor.inputs, len(self.actor.table), config, cpu)
        self.tape = Tape(self.actor.n)
        # the tape takes what the replay would
        self.actor.attach(network, self.tape, cpu)  # type: ignore[arg-type]
        ranked = config.priority > 0 and not config.lstm
        self.estimates = Estimates(self.actor.n, self.steps, config) if ranked else None
        super().__init__(self.actor, network, seed)

    def layout(self) -> Layout:
        """See `Player`. `rest` is for observations that are not seen again: an episode's last, where the
        environment begins anew in the same step.
        """
        t, n = self.steps, self.actor.n
        layout: Layout = {
            "actions": ((t, n), "<i4"),
            "rewards": ((t, n), "<f4"),
            **dict.fromkeys(("terminated", "ended", "resetting"), ((t, n), "|b1")),
        }
        for each in self.actor.inputs:
            dtype = np.dtype(each.dtype).str
            layout[f"first.{each.name}"] = (n, *each.shape), dtype
            layout[f"obs.{each.name}"] = (t, n, *each.shape), dtype
            if self.actor.same_step:
                layout[f"final.{each.name}"] = (t, n, *each.shape), dtype
        if self.config.lstm:
            layout["states"] = (t, n, 2 * self.config.lstm), "<f4"
        if self.estimates is not None:
            layout["errors"] = (t, n), "<f4"
        return layout

    def fill(self, arrays: Arrays, order: Order) -> list[EpisodeEnd]:
        """See `Player`."""
        if order.begin is not None and self.estimates is not None:
            self.estimates.begin()
        self.tape.record(arrays, order.begin is not None)
        ended: list[EpisodeEnd] = []
        for t in range(self.steps):
            ended += self.actor.step(order.epsilon, self.generator)
            if self.estimates is not None:
                actions, rewards, terminated, ended_now, resetting = (arrays[name][t] for name in STEP)
                self.estimates.add(
                    actions, rewards, terminated, ended_now, resetting, self.actor.means, self.actor.same_step
                )
        if self.estimates is not None:
            arrays["errors"][...] = self.estimates.errors()
        self.actor.seen = []  # the learner sees it all, and has the statistics
        return ended


def chunk_steps(envs: int) -> int:
    """Steps of every environment in a chunk."""
    return max(16, CHUNK_STEPS // envs)


class Tape:
    """Takes what an actor gives its replay, and writes it down for the replay that is elsewhere."""

    def __init__(self, n: int) -> None:
        self.n = n
        self.t = 0
        self.arrays: Arrays = {}
        self.first: Arrays = {}

    def record(self, arrays: Arrays, begun: bool) -> None:
        """Write the steps to come into `arrays`."""
        self.arrays, self.t = arrays, 0
        if begun:
            for name, each in self.first.items():
                arrays[f"first.{name}"][...] = each

    def begin(self, obs: Arrays) -> None:
        """As `Replay.begin`."""
        self.first = obs

    def add(
        self,
        actions: NDArray[np.int64],
        rewards: NDArray[Any],
        terminated: NDArray[np.bool_],
        ended: NDArray[np.bool_],
        resetting: NDArray[np.bool_],
        obs: Arrays,
        final: tuple[NDArray[np.int64], Arrays] | None = None,
        state: NDArray[np.float32] | None = None,
    ) -> None:
        """As `Replay.add`."""
        arrays, t = self.arrays, self.t
        arrays["actions"][t], arrays["rewards"][t] = actions, rewards
        arrays["terminated"][t], arrays["ended"][t], arrays["resetting"][t] = terminated, ended, resetting
        for name, each in obs.items():
            arrays[f"obs.{name}"][t] = each
        if final is not None and len(final[0]):
            for name, each in final[1].items():
                arrays[f"final.{name}"][t, final[0]] = each
        if state is not None:
            arrays["states"][t] = state
        self.t += 1
