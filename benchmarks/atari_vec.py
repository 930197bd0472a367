"""Sixteen Ataris at skip 4, 84x84x4 grey: `make_vec` against ALE's own native vector environment.

Both give the same observations bit for bit and play the same buttons; ALE steps on its native threads, ours
in worker processes, both one a core. Games with short and long frames take turns; `vs_ale` is the median of
their ratios. Rewards unclipped, no idle starts, no sticky actions.
"""

from __future__ import annotations

import statistics
from collections.abc import Callable
from typing import Any

import numpy as np

from benchmarks.harness import alternate, rate

ENVS = 16
GAMES = {"breakout": "Breakout-Atari", "pong": "Pong-Atari", "space_invaders": "SpaceInvaders-Atari"}


def _ale(game: str) -> Any:
    from ale_py.vector_env import AtariVectorEnv

    return AtariVectorEnv(game, ENVS, noop_max=0, use_fire_reset=False, reward_clipping=False)


def _ours(game: str) -> Any:
    import frameperfect

    return frameperfect.make_vec(GAMES[game], ENVS, observation="pixels", frame_skip=4)


def _player(envs: Any, actions: int) -> Callable[[int], None]:
    """Play so many environment steps with random actions."""
    rng = np.random.default_rng(0)
    envs.reset(seed=0)

    def play(count: int) -> None:
        for _ in range(count // ENVS):
            envs.step(rng.integers(actions, size=ENVS))

    return play


def run(quick: bool) -> dict[str, Any]:
    steps, rounds = (ENVS * 40, 7) if quick else (ENVS * 200, 7)
    figures: dict[str, float] = {}
    ratios = []
    for game in GAMES:
        ale, ours = _ale(game), _ours(game)
        # the game's own buttons, which both list first
        actions = min(ale.single_action_space.n, ours.single_action_space.n)
        sides = {"ale": _player(ale, actions), "ours": _player(ours, actions)}
        for play in sides.values():
            play(ENVS * 10)
        found = alternate(
            {name: lambda play=play: rate(play, steps) for name, play in sides.items()},  # type: ignore[misc]
            rounds,
        )
        ale.close()
        ours.close()
        figures |= {
            f"{game}_{name}_steps_per_second": round(value) for name, value in found.medians().items()
        }
        ratios.append(found.ratio("ours", "ale"))
    return {"ratios": {"vs_ale": round(statistics.median(ratios), 3)}, "figures": figures}
