"""Stable-Baselines3 trains on our environments as they are."""

from __future__ import annotations

from typing import Any

import gymnasium
import pytest

import frameperfect as fp
from tests.components import need

need("ale_py")
sb3 = need("stable_baselines3")
BREAKOUT = "Breakout-Atari"


def test_sb3s_own_check_finds_nothing() -> None:
    from stable_baselines3.common.env_checker import check_env

    with fp.make_env(BREAKOUT, observation="ram", frame_skip=4) as env:
        check_env(env, warn=True)


@pytest.mark.parametrize(
    ("settings", "policy"),
    [
        ({"observation": "ram"}, "MlpPolicy"),
        ({"observation": "pixels", "actions": "buttons"}, "CnnPolicy"),
        (
            {"observation": {"ram": "ram", "picture": "pixels"}, "actions": [["", "Left"], ["", "Fire"]]},
            "MultiInputPolicy",
        ),
    ],
    ids=["ram", "pixels", "dict"],
)
def test_sb3_trains_on_what_gymnasium_makes(settings: dict[str, Any], policy: str) -> None:
    from stable_baselines3.common.vec_env import DummyVecEnv

    def make() -> gymnasium.Env[Any, Any]:
        return gymnasium.make(f"frameperfect/{BREAKOUT}-v0", frame_skip=4, max_steps=20, **settings)

    envs = DummyVecEnv([make, make])
    model = sb3.PPO(policy, envs, n_steps=32, batch_size=32, n_epochs=1, seed=0, device="cpu")
    before = [p.clone() for p in model.policy.parameters()]
    model.learn(64)
    assert model.num_timesteps == 64
    assert any((old != new).any() for old, new in zip(before, model.policy.parameters(), strict=True))
    envs.close()


def test_sb3_trains_on_the_features_of_a_console_game() -> None:
    need("stable_retro")
    from stable_baselines3.common.env_util import make_vec_env

    envs = make_vec_env(
        "frameperfect/Airstriker-Genesis-v0", 2, env_kwargs={"observation": "features", "frame_skip": 4}
    )
    sb3.PPO("MlpPolicy", envs, n_steps=32, batch_size=32, n_epochs=1, seed=0, device="cpu").learn(128)
    envs.close()
