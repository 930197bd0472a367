"""Small environments whose exact values, states and solutions are known."""

from __future__ import annotations

import json
from typing import Any

import gymnasium as gym
import numpy as np
from gymnasium import spaces
from gymnasium.vector import AutoresetMode, VectorEnv
from gymnasium.vector.utils import batch_space


class Cue(VectorEnv[Any, Any, Any]):
    """Guess the cue: reward 1 for the action that the observation shows, by a one-hot among noise.

    An episode terminates with chance 0.1 after each step and is truncated after 12. With `shown=False` the
    cue is seen in an episode's first observation only and must be remembered. Can be saved.
    """

    def __init__(
        self, n: int = 4, mode: AutoresetMode = AutoresetMode.NEXT_STEP, shown: bool = True, cues: int = 3
    ) -> None:
        self.num_envs, self.mode, self.shown, self.cues = n, mode, shown, cues
        self.metadata = {"autoreset_mode": mode}
        self.single_observation_space = spaces.Box(-10, 10, (cues + 2,), np.float32)
        self.single_action_space = spaces.Discrete(cues)
        self.observation_space = batch_space(self.single_observation_space, n)
        self.action_space = batch_space(self.single_action_space, n)
        self.cue = np.zeros(n, np.int64)
        self.age = np.zeros(n, np.int64)
        self.ended = np.zeros(n, bool)
        self.rngs = [np.random.default_rng(i) for i in range(n)]

    def _begin(self, i: int) -> None:
        self.cue[i], self.age[i], self.ended[i] = self.rngs[i].integers(self.cues), 0, False

    def _see(self, i: int) -> Any:
        seen = self.rngs[i].normal(0, 0.1, self.cues + 2).astype(np.float32)
        if self.shown or self.age[i] == 0:
            seen[self.cue[i]] += 1
        return seen

    def reset(self, *, seed: Any = None, options: Any = None) -> Any:
        if seed is not None:
            self.rngs = [np.random.default_rng(seed + i) for i in range(self.num_envs)]
        for i in range(self.num_envs):
            self._begin(i)
        return np.stack([self._see(i) for i in range(self.num_envs)]), {}

    def step(self, actions: Any) -> Any:
        n = self.num_envs
        rewards, terminated, truncated = np.zeros(n), np.zeros(n, bool), np.zeros(n, bool)
        final = np.full(n, None, object)
        obs = []
        for i in range(n):
            if self.ended[i]:
                self._begin(i)
            else:
                rewards[i] = float(actions[i] == self.cue[i])
                self.age[i] += 1
                terminated[i] = self.rngs[i].random() < 0.1
                truncated[i] = not terminated[i] and self.age[i] >= 12
            ended = terminated[i] or truncated[i]
            if ended and self.mode == AutoresetMode.SAME_STEP:
                final[i] = self._see(i)
                self._begin(i)
            else:
                self.ended[i] = ended
            obs.append(self._see(i))
        infos = {}
        if self.mode == AutoresetMode.SAME_STEP and (terminated | truncated).any():
            infos = {"final_obs": final, "_final_obs": terminated | truncated}
        return np.stack(obs), rewards, terminated, truncated, infos

    def save(self, i: int) -> bytes:
        rng = self.rngs[i].bit_generator.state
        return json.dumps([int(self.cue[i]), int(self.age[i]), bool(self.ended[i]), rng]).encode()

    def restore(self, i: int, state: bytes) -> None:
        self.cue[i], self.age[i], self.ended[i], rng = json.loads(state)
        self.rngs[i].bit_generator.state = rng


class Unsaved(Cue):
    """The same, and can't be saved."""

    save = restore = property()  # type: ignore[assignment]


class DeepSea(VectorEnv[Any, Any, Any]):
    """A chain of `size` cells (deep sea of bsuite, Osband et al. 2020, with its random actions): each step
    goes down a row, and right only by the action that is right in this cell, else left. Going right all the
    way costs a hundredth of what the far corner gives, 1, and takes 2 ** size episodes by chance. An episode
    has `size` steps. The observation is one-hot.
    """

    def __init__(self, n: int, size: int) -> None:
        self.num_envs, self.size = n, size
        self.metadata = {"autoreset_mode": AutoresetMode.SAME_STEP}
        self.single_observation_space = spaces.Box(0, 1, (size * size,), np.float32)
        self.single_action_space = spaces.Discrete(2)
        self.observation_space = batch_space(self.single_observation_space, n)
        self.action_space = batch_space(self.single_action_space, n)
        self.right = np.random.default_rng(size).integers(0, 2, (size, size))
        self.row = np.zeros(n, np.int64)
        self.column = np.zeros(n, np.int64)

    def _see(self) -> Any:
        seen = np.zeros((self.num_envs, self.size * self.size), np.float32)
        inside = self.row < self.size
        at = self.row * self.size + self.column
        seen[np.flatnonzero(inside), at[inside]] = 1
        return seen

    def reset(self, *, seed: Any = None, options: Any = None) -> Any:
        self.row[:] = self.column[:] = 0
        return self._see(), {}

    def step(self, actions: Any) -> Any:
        right = np.asarray(actions) == self.right[self.row, self.column]
        corner = right & (self.column == self.size - 1) & (self.row == self.size - 1)
        rewards = np.where(right, -0.01 / self.size, 0.0) + corner
        self.column = np.clip(self.column + np.where(right, 1, -1), 0, self.size - 1)
        self.row += 1
        ended = self.row == self.size
        self.row[ended] = self.column[ended] = 0
        return self._see(), rewards, ended, np.zeros(self.num_envs, bool), {}

    def save(self, i: int) -> bytes:
        return bytes([int(self.row[i]), int(self.column[i])])

    def restore(self, i: int, state: bytes) -> None:
        self.row[i], self.column[i] = state


class Counter(gym.Env[Any, Any]):
    """Episodes of known length: even ones terminate after 3 steps, odd ones are truncated after 4.

    The observation is (episode, step); the reward of a step is 1 + step.
    """

    observation_space = spaces.Box(-100, 100, (2,), np.float32)
    action_space = spaces.Discrete(2)
    episode = -1

    def reset(self, *, seed: Any = None, options: Any = None) -> Any:
        self.episode, self.age = self.episode + 1, 0
        return np.array([self.episode, 0], np.float32), {}

    def step(self, action: Any) -> Any:
        self.age += 1
        even = self.episode % 2 == 0
        seen = np.array([self.episode, self.age], np.float32)
        return seen, float(self.age), even and self.age == 3, not even and self.age == 4, {"age": self.age}
