"""PPO as one flat script: a SyncVectorEnv, a rollout loop, a minibatch loop, autograd and `optim.Adam`.

The style of single-file implementations (CleanRL), written here for the comparison: every step a forward
pass of both networks in torch, every minibatch a loss by autograd. Settings and networks are ours.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import gymnasium as gym
import numpy as np
import torch
from gymnasium.vector import AutoresetMode, SyncVectorEnv
from torch import nn
from torch.distributions import Categorical


def _linear(width_in: int, width_out: int, gain: float) -> nn.Linear:
    made = nn.Linear(width_in, width_out)
    nn.init.orthogonal_(made.weight, gain)
    nn.init.constant_(made.bias, 0.0)
    return made


def _mlp(width: int, out: int, gain: float) -> nn.Sequential:
    root = 2**0.5
    return nn.Sequential(
        _linear(width, 64, root), nn.Tanh(), _linear(64, 64, root), nn.Tanh(), _linear(64, out, gain)
    )


def train(
    make_env: Callable[[], gym.Env[Any, Any]], steps: int, seed: int, *, envs: int = 8, rollout: int = 128,
    batch: int = 256, epochs: int = 4, rate: float = 2.5e-4, gamma: float = 0.99, lam: float = 0.95,
    clip: float = 0.2, entropy_coef: float = 0.0,
) -> tuple[float, float]:  # fmt: skip
    """Train for `steps` environment steps; returns steps a second and the mean of the last 100 returns."""
    torch.manual_seed(seed)
    np.random.seed(seed)
    vec = gym.wrappers.vector.RecordEpisodeStatistics(
        SyncVectorEnv([make_env] * envs, autoreset_mode=AutoresetMode.SAME_STEP)
    )
    width = int(np.prod(vec.single_observation_space.shape))
    scale = 255.0 if vec.single_observation_space.dtype == np.uint8 else 1.0
    actor = _mlp(width, int(vec.single_action_space.n), 0.01)
    critic = _mlp(width, 1, 1.0)
    parameters = [*actor.parameters(), *critic.parameters()]
    optimizer = torch.optim.Adam(parameters, lr=rate, eps=1e-5)

    obs = torch.zeros((rollout, envs, width))
    actions = torch.zeros((rollout, envs), dtype=torch.long)
    logprobs, rewards, dones, values = (torch.zeros((rollout, envs)) for _ in range(4))
    recent: list[float] = []
    seen, _ = vec.reset(seed=seed)
    next_obs = torch.tensor(seen, dtype=torch.float32) / scale
    next_done = torch.zeros(envs)
    updates = steps // (rollout * envs)
    start = time.perf_counter()
    for update in range(updates):
        optimizer.param_groups[0]["lr"] = rate * (1 - update / updates)
        for t in range(rollout):
            obs[t], dones[t] = next_obs, next_done
            with torch.no_grad():
                chances = Categorical(logits=actor(next_obs))
                action = chances.sample()
                logprobs[t] = chances.log_prob(action)
                values[t] = critic(next_obs).flatten()
            actions[t] = action
            seen, reward, terminated, truncated, infos = vec.step(action.numpy())
            rewards[t] = torch.tensor(reward, dtype=torch.float32)
            next_obs = torch.tensor(seen, dtype=torch.float32) / scale
            ended = np.logical_or(terminated, truncated)
            next_done = torch.tensor(ended, dtype=torch.float32)
            if ended.any():
                recent += infos["episode"]["r"][ended].tolist()
                cut = truncated & ~terminated
                if cut.any():
                    last = torch.tensor(np.stack(list(infos["final_obs"][cut])), dtype=torch.float32) / scale
                    with torch.no_grad():
                        rewards[t, torch.from_numpy(cut)] += gamma * critic(last).flatten()

        with torch.no_grad():
            next_value = critic(next_obs).flatten()
            advantages = torch.zeros_like(rewards)
            carry = torch.zeros(envs)
            for t in reversed(range(rollout)):
                alive = 1 - (next_done if t == rollout - 1 else dones[t + 1])
                following = next_value if t == rollout - 1 else values[t + 1]
                delta = rewards[t] + gamma * following * alive - values[t]
                carry = delta + gamma * lam * alive * carry
                advantages[t] = carry
            returns = advantages + values

        flat_obs, flat_actions = obs.reshape(-1, width), actions.flatten()
        flat_logprobs, flat_advantages, flat_returns = (
            logprobs.flatten(),
            advantages.flatten(),
            returns.flatten(),
        )
        order = np.arange(rollout * envs)
        for _ in range(epochs):
            np.random.shuffle(order)
            for at in range(0, len(order), batch):
                rows = order[at : at + batch]
                chances = Categorical(logits=actor(flat_obs[rows]))
                logratio = chances.log_prob(flat_actions[rows]) - flat_logprobs[rows]
                ratio = logratio.exp()
                advantage = flat_advantages[rows]
                advantage = (advantage - advantage.mean()) / (advantage.std() + 1e-8)
                policy_loss = torch.max(
                    -advantage * ratio, -advantage * ratio.clamp(1 - clip, 1 + clip)
                ).mean()
                value_loss = 0.5 * (critic(flat_obs[rows]).flatten() - flat_returns[rows]).square().mean()
                # our value coefficient of 0.5 is on the plain squared error
                loss = policy_loss - entropy_coef * chances.entropy().mean() + value_loss
                optimizer.zero_grad()
                loss.backward()
                nn.utils.clip_grad_norm_(parameters, 0.5)
                optimizer.step()
    seconds = time.perf_counter() - start
    vec.close()
    return updates * rollout * envs / seconds, float(np.mean(recent[-100:] or [float("nan")]))
