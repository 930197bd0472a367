"""PPO with parallel actors, learning included, beside the synchronous learner and Stable-Baselines3.

Breakout from RAM at frame skip 4 with 8 environments in all, and CartPole; settings as in `ppo`. With actors,
one process has all environments or two have half each, and play one rollout while the learner learns from the
one before. The ratios are of the quicker of both numbers of actors, which `actors` names for each game. SB3
has a DummyVecEnv with Monitor. Scores are the mean return of the last 100 training episodes.
"""

from __future__ import annotations

import os
from typing import Any

import gymnasium as gym
import torch

from benchmarks import ppo
from benchmarks.harness import alternate

COUNTS = {"one_actor": 1, "two_actors": 2}


def run(quick: bool) -> dict[str, Any]:
    """Alternating runs; each round has a seed of its own, the same for all sides."""
    import frameperfect

    def breakout(n: int, threads: int | None) -> Any:
        return frameperfect.make_vec("Breakout-Atari", n, observation="ram", frame_skip=4, threads=threads)

    def cartpole(n: int, _: int | None) -> Any:
        return gym.make_vec("CartPole-v1", num_envs=n, vectorization_mode="vector_entry_point")

    torch.set_num_threads(1)
    rounds = 1 if quick else 5
    games: dict[str, tuple[int, Any, Any, float]] = {
        "atari": (4_096 if quick else 51_200, breakout, ppo._breakout, 0.01),
        "cartpole": (8_192 if quick else 102_400, cartpole, ppo._cartpole, 0.0),
    }
    ratios: dict[str, float] = {}
    figures: dict[str, Any] = {}
    for game, (steps, make, single, coef) in games.items():
        scores: dict[str, list[float]] = {name: [] for name in (*COUNTS, "sync", "sb3")}

        def measure(name: str, scores: Any = scores, game: Any = (steps, make, single, coef)) -> float:
            steps, make, single, coef = game
            seed = len(scores[name])
            if name == "sb3":
                rate, score = ppo._sb3(single, steps, seed, coef)
            elif name == "sync":
                rate, score = ppo._ours(lambda: make(ppo.ENVS, None), steps, seed, coef)
            else:
                actors = COUNTS[name]  # which share the cores, as `train --actors` has it
                n, threads = ppo.ENVS // actors, max(1, len(os.sched_getaffinity(0)) // actors)
                rate, score = ppo._ours(lambda: make(n, threads), steps, seed, coef, actors)
            scores[name].append(round(score, 1))
            return float(rate)

        rates = alternate({name: lambda name=name: measure(name) for name in scores}, rounds)  # type: ignore[misc]
        prefix = "" if game == "atari" else f"{game}_"
        medians = rates.medians()
        quicker = max(COUNTS, key=lambda name: medians[name])
        ratios[f"{prefix}vs_sync"] = round(rates.ratio(quicker, "sync"), 3)
        ratios[f"{prefix}vs_sb3"] = round(rates.ratio(quicker, "sb3"), 3)
        figures[f"{game}_steps_per_second"] = {name: round(rate) for name, rate in medians.items()}
        figures.setdefault("actors", {})[game] = COUNTS[quicker]
        figures[f"{game}_scores"] = scores
    figures["torch"] = {"version": torch.__version__, "threads": 1}
    return {"ratios": ratios, "figures": figures}
