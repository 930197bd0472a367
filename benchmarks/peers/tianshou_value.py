"""tianshou's IQN and Rainbow, put together as in its examples, with the networks and numbers of ours."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from tianshou.algorithm import IQN, RainbowDQN
from tianshou.algorithm.algorithm_base import policy_within_training_step
from tianshou.algorithm.modelfree.c51 import C51Policy
from tianshou.algorithm.modelfree.iqn import IQNPolicy
from tianshou.algorithm.optim import AdamOptimizerFactory
from tianshou.data import Collector, PrioritizedVectorReplayBuffer
from tianshou.env import DummyVectorEnv
from tianshou.utils.net.common import Net
from tianshou.utils.net.discrete import ImplicitQuantileNetwork, NoisyLinear


@dataclass
class Player:
    """tianshou's collector, buffer and algorithm; `run` steps all environments and updates in between."""

    collector: Any
    buffer: Any
    algorithm: Any
    envs: int

    def run(self, steps: int, update_every: int, batch: int, starts: int) -> float:
        """So many steps of all environments together; env steps a second, learning included."""
        with policy_within_training_step(self.algorithm.policy):
            self.collector.reset()
            self.collector.collect(n_step=starts, random=True)
            begun = time.perf_counter()
            for done in range(0, steps, self.envs):
                self.collector.collect(n_step=self.envs)
                for _ in range((done + self.envs) // update_every - done // update_every):
                    self.algorithm.update(buffer=self.buffer, sample_size=batch)
            return steps / (time.perf_counter() - begun)

    def updates(self, count: int, batch: int) -> float:
        """Updates a second on what the buffer holds."""
        with policy_within_training_step(self.algorithm.policy):
            begun = time.perf_counter()
            for _ in range(count):
                self.algorithm.update(buffer=self.buffer, sample_size=batch)
            return count / (time.perf_counter() - begun)


def player(
    name: str, make_env: Callable[[], Any], seed: int, envs: int, hidden: tuple[int, ...], n_step: int,
    capacity: int, rate: float,
) -> Player:  # fmt: skip
    """ "iqn" or "rainbow"."""
    np.random.seed(seed)
    torch.manual_seed(seed)
    vector = DummyVectorEnv([make_env] * envs)
    one = make_env()
    shape, actions = one.observation_space.shape, one.action_space
    optim = AdamOptimizerFactory(lr=rate, eps=1e-5)
    algorithm: Any
    if name == "iqn":
        net = ImplicitQuantileNetwork(
            preprocess_net=Net(state_shape=shape, action_shape=0, hidden_sizes=hidden),
            action_shape=[int(actions.n)],
            num_cosines=64,
        )
        policy: Any = IQNPolicy(
            model=net, action_space=actions, sample_size=32, online_sample_size=8, target_sample_size=8,
            eps_training=0.05,
        )  # fmt: skip
        algorithm = IQN(policy=policy, optim=optim, n_step_return_horizon=n_step, target_update_freq=320)
    else:
        noisy = {"linear_layer": lambda a, b: NoisyLinear(a, b, 0.5)}
        net = Net(
            state_shape=shape, action_shape=[int(actions.n)], hidden_sizes=hidden, softmax=True,
            num_atoms=51, dueling_param=(noisy, noisy),
        )  # fmt: skip
        policy = C51Policy(
            model=net, action_space=actions, num_atoms=51, v_min=-10, v_max=100, eps_training=0.0
        )
        algorithm = RainbowDQN(
            policy=policy, optim=optim, n_step_return_horizon=n_step, target_update_freq=320
        )
    buffer = PrioritizedVectorReplayBuffer(capacity, buffer_num=envs, alpha=0.5, beta=0.4)
    return Player(Collector(algorithm, vector, buffer), buffer, algorithm, envs)
