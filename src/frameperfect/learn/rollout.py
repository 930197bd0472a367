"""Gathering experience: a few steps of every environment, and the advantages of what was done in them.

Both of Gymnasium's autoreset modes (episodes.py) are learned from exactly. With NEXT_STEP the row of a step
that only resets is in the rollout, is no experience, and is left out of training. With SAME_STEP the last
observation of an episode that was cut short (truncated) is valued apart.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, TypeAlias

import gymnasium
import numpy as np
import torch
from numpy.typing import NDArray

from frameperfect.learn.distributions import Distribution, sample_numpy
from frameperfect.learn.episodes import EpisodeEnd, Episodes, final_observations
from frameperfect.learn.networks import ActorCritic, NumpyActor
from frameperfect.learn.spaces import Input, arrays

MOST_WEIGHTS = 1 << 18
"""Of an actor that NumPy runs: from about there on its BLAS starts threads, whose waiting costs more."""

Tensor: TypeAlias = "torch.Tensor"
Floats: TypeAlias = NDArray[np.float32]
Bools: TypeAlias = NDArray[np.bool_]


def gae(
    rewards: Floats, values: Floats, next_values: Floats, ended: Bools, gamma: float, gae_lambda: float
) -> Floats:
    """(T, N) advantages by generalised advantage estimation (Schulman et al. 2016) [3].

    `next_values` is the value of where each step led: 0 where the episode terminated, the last
    observation's where it was truncated. `ended` is set where the next row is another episode's.
    """
    advantages = rewards + gamma * next_values
    advantages -= values
    carry = np.where(ended, np.float32(0), np.float32(gamma * gae_lambda))
    for t in range(len(rewards) - 2, -1, -1):
        advantages[t] += carry[t] * advantages[t + 1]
    return advantages


@dataclass
class Rollout:
    """T steps of N environments. Tensors lie on the learner's device; T + 1 where the step after counts."""

    obs: dict[str, Tensor]
    """(T + 1, N, ...): what was seen before each step."""
    actions: Tensor
    """(T, N, C) int64."""
    log_probs: Tensor
    """(T, N): of the actions, by the policy that chose them."""
    values: Tensor
    """(T + 1, N)."""
    starts: Bools
    """(T + 1, N): the observation is an episode's first."""
    real: Bools
    """(T, N): the step is experience; it is none where it only reset the environment."""
    rewards: Floats
    """(T, N)."""
    terminated: Bools
    ended: Bools
    """(T, N): terminated or truncated."""
    final_values: Floats
    """(T, N): the value of `final_obs` where a step truncated an episode and reset at once, else 0."""
    states: tuple[Tensor, Tensor] | None = None
    """(T, N, width) each: the recurrent state before each step, 0 at an episode's start."""

    def advantages(
        self, rewards: Floats, same_step: bool, gamma: float, gae_lambda: float
    ) -> tuple[Floats, Floats]:
        """Advantages and returns, (T, N) each, of (normalised) rewards [15]."""
        values = self.values.cpu().numpy()
        next_values = values[1:] * ~self.terminated
        if same_step:
            next_values = np.where(self.ended, self.final_values, next_values)
        advantages = gae(rewards, values[:-1], next_values, self.ended, gamma, gae_lambda)
        return advantages, advantages + values[:-1]


class Collector(Episodes):
    """Acts in the vector environment and fills the rollout. What it needs to go on exactly is in `state`
    and in what `Episodes` names.
    """

    def __init__(self, envs: gymnasium.vector.VectorEnv[Any, Any, Any], steps: int) -> None:
        super().__init__(envs)
        self.steps = steps
        self.state: tuple[Tensor, Tensor] | None = None

    def attach(self, network: ActorCritic, device: Any) -> None:
        """Make the rollout's arrays, on `device`, for actions of `network`."""
        self.network = network
        self.device = device
        small = sum(each.numel() for each in network.actor.parameters()) <= MOST_WEIGHTS
        self.fast = NumpyActor(network) if network.plain and small and device.type == "cpu" else None
        t, n = self.steps, self.n
        self.rollout = Rollout(
            obs={
                each.name: torch.zeros((t + 1, n, *each.shape), dtype=_dtype(each), device=device)
                for each in self.inputs
            },
            actions=torch.zeros((t, n, len(self.actions.choices)), dtype=torch.int64, device=device),
            log_probs=torch.zeros((t, n), device=device),
            values=torch.zeros((t + 1, n), device=device),
            starts=np.zeros((t + 1, n), bool),
            real=np.zeros((t, n), bool),
            rewards=np.zeros((t, n), np.float32),
            terminated=np.zeros((t, n), bool),
            ended=np.zeros((t, n), bool),
            final_values=np.zeros((t, n), np.float32),
        )
        self.state = network.first_state(n)
        if self.state is not None:
            self.rollout.states = tuple(torch.zeros((t, *part.shape), device=device) for part in self.state)

    def begin(self, seed: int) -> None:
        """Reset all environments: new episodes."""
        super().begin(seed)
        self.state = self.network.first_state(self.n)

    def collect(self, generator: Any) -> tuple[Rollout, list[EpisodeEnd]]:
        """Act for T steps in all environments [1]. The rollout is valid until the next call."""
        rollout = self.rollout
        rollout.final_values[:] = 0
        # one draw for the whole rollout: equal on every device, and one copy to it
        uniforms = torch.rand((self.steps, self.n, len(self.actions.choices)), generator=generator)
        act = self._act_numpy(uniforms) if self.fast else self._act_torch(uniforms)
        done: list[EpisodeEnd] = []
        with torch.no_grad():
            for t in range(self.steps):
                for name, part in self.obs.items():
                    self._put(rollout.obs[name][t], part)
                env_actions = self.actions.to_env(act(t))
                if self.overlap:
                    self.envs.send(env_actions)  # type: ignore[attr-defined]
                else:
                    outcome = self.envs.step(env_actions)
                rollout.starts[t] = self.starts
                np.logical_not(self.resetting, out=rollout.real[t])
                if self.overlap:
                    outcome = self.envs.recv()  # type: ignore[attr-defined]
                observation, reward, terminated, truncated, infos = outcome
                self.obs = arrays(observation)
                done += self._account(t, reward, terminated, truncated, infos)
            for name, part in self.obs.items():
                self._put(rollout.obs[name][-1], part)
            rollout.starts[-1] = self.starts
            if self.fast:
                self._evaluate()
            else:
                rollout.values[-1] = self._forward(self.steps)[1]
        return rollout, done

    def _act_numpy(self, uniforms: Tensor) -> Any:
        draws, fast = uniforms.numpy(), self.fast
        kept: NDArray[np.int64] = self.rollout.actions.numpy()
        assert fast is not None

        def act(t: int) -> NDArray[np.int64]:
            kept[t] = sample_numpy(self.actions, fast.logits(self.obs), draws[t])
            picked: NDArray[np.int64] = kept[t]
            return picked

        return act

    def _act_torch(self, uniforms: Tensor) -> Any:
        draws = uniforms.to(self.device)

        def act(t: int) -> NDArray[np.int64]:
            logits, value, self.state = self._forward(t)
            choice = Distribution(self.actions, logits)
            picked = choice.sample(draws[t])
            self.rollout.actions[t] = picked
            self.rollout.log_probs[t] = choice.log_prob(picked)
            self.rollout.values[t] = value
            on_host: NDArray[np.int64] = picked.cpu().numpy()
            return on_host

        return act

    def _forward(self, t: int) -> tuple[Tensor, Tensor, Any]:
        """One step of the network; a recurrent state starts from zero at an episode's start."""
        state, states = self.state, self.rollout.states
        if state is not None and states is not None:
            if self.starts.any():
                keep = torch.from_numpy(~self.starts).to(self.device, torch.float32)[:, None]
                state = (state[0] * keep, state[1] * keep)
            if t < self.steps:
                states[0][t], states[1][t] = state
        obs = {name: part[t] for name, part in self.rollout.obs.items()}
        return self.network(obs, state)  # type: ignore[no-any-return]

    def _evaluate(self) -> None:
        """Values and log-probabilities of the whole rollout at once, where acting did not give them."""
        rollout, t, n = self.rollout, self.steps, self.n
        logits, values, _ = self.network({name: part.flatten(0, 1) for name, part in rollout.obs.items()})
        rollout.values.copy_(values.view(t + 1, n))
        choice = Distribution(self.actions, logits[: t * n])
        rollout.log_probs.copy_(choice.log_prob(rollout.actions.flatten(0, 1)).view(t, n))

    def _put(self, place: Tensor, part: NDArray[Any]) -> None:
        if self.device.type == "cuda":
            place.copy_(torch.from_numpy(np.ascontiguousarray(part)).pin_memory(), non_blocking=True)
        else:
            place.numpy()[...] = part

    def _account(
        self, t: int, reward: Any, terminated: Any, truncated: Any, infos: dict[str, Any]
    ) -> list[EpisodeEnd]:
        """Keep what a step gave, and close the episodes that it ended."""
        rollout, resetting = self.rollout, self.resetting
        rollout.rewards[t] = reward
        rollout.terminated[t] = terminated
        ended = np.logical_or(terminated, truncated, out=rollout.ended[t])
        if resetting.any():
            rollout.rewards[t, resetting] = 0
            rollout.terminated[t, resetting] = False
            ended[resetting] = False
        if self.same_step and ended.any():
            self._value_final(t, ended & ~np.asarray(terminated), infos)
        return self.account(reward, ended, infos)

    def _value_final(self, t: int, cut: Bools, infos: dict[str, Any]) -> None:
        """Value the last observation of episodes that were cut short and are already reset."""
        rows = np.flatnonzero(cut)
        if not len(rows):
            return
        parts = final_observations(infos, rows)
        obs = {
            name: torch.from_numpy(np.ascontiguousarray(part)).to(self.device) for name, part in parts.items()
        }
        # the recurrent state has already seen the observation before the last one
        state = None if self.state is None else (self.state[0][rows], self.state[1][rows])
        self.rollout.final_values[t, rows] = self.network(obs, state)[1].cpu().numpy()


def _dtype(source: Input) -> Any:
    return torch.uint8 if source.dtype == "uint8" else torch.float32
