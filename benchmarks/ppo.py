"""PPO, learning included: ours, Stable-Baselines3, and a flat script in CleanRL's style.

The same networks (2x64 tanh, actor and critic apart), rollout (8 environments, 128 steps), minibatch (256),
epochs (4), learning rate with linear decay, and number of steps. Each side has the vector environment that
its users have: SB3 a DummyVecEnv with Monitor, the script a SyncVectorEnv with RecordEpisodeStatistics, ours
Gymnasium's own vectorised CartPole and frameperfect.make_vec. `cartpole_same_env_*` are the ratios with a
SyncVectorEnv for ours as well. Scores are the mean return of the last 100 training episodes, by seed.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
import torch

from benchmarks.harness import alternate
from benchmarks.peers import cleanrl_style_ppo

ENVS, ROLLOUT, BATCH, EPOCHS, RATE = 8, 128, 256, 4, 2.5e-4
SETTINGS = {"cartpole": {"entropy_coef": 0.0}, "atari": {"entropy_coef": 0.01}}


def _cartpole() -> gym.Env[Any, Any]:
    return gym.make("CartPole-v1")


def _breakout() -> gym.Env[Any, Any]:
    import ale_py

    gym.register_envs(ale_py)
    return gym.make("ALE/Breakout-v5", obs_type="ram", frameskip=4, repeat_action_probability=0.0)


def _ours(
    make_envs: Callable[[], Any], steps: int, seed: int, entropy_coef: float, actors: int = 0
) -> tuple[float, float]:
    from frameperfect.learn import PpoConfig, train

    config = PpoConfig(
        steps=steps, seed=seed, rollout_steps=ROLLOUT, batch_size=BATCH, epochs=EPOCHS, learning_rate=RATE,
        entropy_coef=entropy_coef, checkpoint_seconds=3600, device="cpu",
    )  # fmt: skip
    with tempfile.TemporaryDirectory() as folder:
        result = train(make_envs, config, Path(folder) / "run", actors=actors)
    return result.steps_per_second, result.mean_return


def _sb3(make_env: Callable[[], Any], steps: int, seed: int, entropy_coef: float) -> tuple[float, float]:
    from stable_baselines3 import PPO
    from stable_baselines3.common.env_util import make_vec_env

    envs = make_vec_env(make_env, ENVS, seed=seed)
    # SB3 takes RAM for a plain vector: it casts and does not scale
    model = PPO(
        "MlpPolicy", envs, n_steps=ROLLOUT, batch_size=BATCH, n_epochs=EPOCHS, seed=seed, device="cpu",
        learning_rate=lambda left: RATE * left, ent_coef=entropy_coef,
    )  # fmt: skip
    start = time.perf_counter()
    model.learn(steps)
    seconds = time.perf_counter() - start
    returns = [episode["r"] for episode in model.ep_info_buffer]
    envs.close()
    return model.num_timesteps / seconds, float(np.mean(returns)) if returns else float("nan")


def run(quick: bool) -> dict[str, Any]:
    """Alternating runs of the three sides; each run has a seed of its own, the same for all sides."""
    import frameperfect

    def vector() -> Any:
        return gym.make_vec("CartPole-v1", num_envs=ENVS, vectorization_mode="vector_entry_point")

    def sync() -> Any:
        return gym.make_vec("CartPole-v1", num_envs=ENVS, vectorization_mode="sync")

    def breakout() -> Any:
        return frameperfect.make_vec("Breakout-Atari", ENVS, observation="ram", frame_skip=4)

    cartpole_steps, atari_steps, rounds = (8_192, 4_096, 3) if quick else (102_400, 51_200, 5)
    figures: dict[str, Any] = {}
    ratios: dict[str, float] = {}
    # one torch thread for all sides: networks this small gain nothing by two, and on a busy machine lose
    torch.set_num_threads(1)
    games = {
        "cartpole": (
            cartpole_steps,
            {
                "ours": lambda n, seed, c: _ours(vector, n, seed, c),
                "ours_same_env": lambda n, seed, c: _ours(sync, n, seed, c),
                "sb3": lambda n, seed, c: _sb3(_cartpole, n, seed, c),
                "cleanrl": lambda n, seed, c: cleanrl_style_ppo.train(_cartpole, n, seed, entropy_coef=c),
            },
        ),
        "atari": (
            atari_steps,
            {
                "ours": lambda n, seed, c: _ours(breakout, n, seed, c),
                "sb3": lambda n, seed, c: _sb3(_breakout, n, seed, c),
                "cleanrl": lambda n, seed, c: cleanrl_style_ppo.train(_breakout, n, seed, entropy_coef=c),
            },
        ),
    }
    for game, (steps, sides) in games.items():
        coef = SETTINGS[game]["entropy_coef"]
        scores: dict[str, list[float]] = {name: [] for name in sides}

        def measure(
            name: str, side: Any, scores: Any = scores, steps: int = steps, coef: float = coef
        ) -> float:
            rate, score = side(steps, len(scores[name]), coef)
            scores[name].append(round(score, 1))
            return float(rate)

        for side in sides.values():  # what is imported and compiled at first use
            side(ENVS * ROLLOUT, 0, coef)
        rates = alternate({n: lambda n=n, s=s: measure(n, s) for n, s in sides.items()}, rounds)  # type: ignore[misc]
        for peer in ("sb3", "cleanrl"):
            ratios[f"{game}_vs_{peer}"] = round(rates.ratio("ours", peer), 3)
            if "ours_same_env" in sides:
                ratios[f"{game}_same_env_vs_{peer}"] = round(rates.ratio("ours_same_env", peer), 3)
        figures[f"{game}_steps_per_second"] = {name: round(rate) for name, rate in rates.medians().items()}
        figures[f"{game}_scores"] = scores
    figures["steps"] = {"cartpole": cartpole_steps, "atari": atari_steps}
    figures["torch"] = {"version": torch.__version__, "threads": 1}
    return {"ratios": ratios, "figures": figures}
