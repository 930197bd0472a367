"""PPO masters the game that comes with the product: from features, each stage by itself.

The settings are those of the game's own `[train.ppo]`, so this is what `frameperfect train Skyrunner-Nes
--start STAGE --steps 300000` does, with one more for stage 2. It is judged as the demo's agent is: by its
likeliest actions, with sticky actions (Machado et al. 2018), so that no two runs are alike and none is a
memory of another. Two of three seeds are asked for: each takes six minutes of a core or more, nearly all of
it the console's; all five are in docs/skyrunner.md.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.components import need

need("torch")

from frameperfect.cli.train import game_settings  # noqa: E402
from frameperfect.env import make_vec  # noqa: E402
from frameperfect.learn import PpoConfig, load_policy, train  # noqa: E402
from tests.learning.scores import enough, times_at_goal  # noqa: E402

GAME = "Skyrunner-Nes"
STEPS, EPISODES = 300_000, 32
MORE: dict[str, dict[str, Any]] = {"stage1": {}, "stage2": {"entropy_coef_decay": True}, "stage3": {}}


@pytest.mark.learning
@pytest.mark.parametrize("stage", MORE)
def test_two_of_three_seeds_reach_the_flag_in_an_eighth_of_their_runs_or_more(
    stage: str, tmp_path: Path
) -> None:
    def make_envs(sticky: float = 0.0) -> Any:
        return make_vec(GAME, 16, observation="features", frame_skip=4, start=stage, sticky=sticky, threads=1)

    def finished(seed: int) -> float:
        run = tmp_path / str(seed)
        own = {**game_settings(GAME, "ppo"), **MORE[stage], "steps": STEPS, "seed": seed}
        result = train(make_envs, PpoConfig.for_observation("features", **own), run)
        times = times_at_goal(load_policy(run), lambda: make_envs(0.25), EPISODES, deterministic=True)
        fastest = f", the fastest in {min(times):.0f} frames" if times else ""
        print(f"{stage} seed {seed}: {len(times)} of {EPISODES} at the flag{fastest}; {result.seconds:.0f} s")
        return len(times)

    enough(finished, EPISODES / 8, needed=2, seeds=3)
