"""PPO with one policy for all players masters the first hundred tiles of DDNet's Tutorial: five seeds.

The settings are the game's own `[train.ppo]`, so this is what `frameperfect train DDNet-Race --agents 4
--envs 4 --frame-skip 4 --define course=100 --max-steps 500 --steps 250000` does. Each agent is judged alone.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.components import need, need_program

need("torch")
need_program("DDNet-Server", "ddnet-server")

from frameperfect.cli.train import game_settings  # noqa: E402
from frameperfect.env import make_shared, make_vec  # noqa: E402
from frameperfect.learn import PpoConfig, load_policy, train  # noqa: E402
from tests.learning.scores import four_of_five, times_at_goal  # noqa: E402

GAME = "DDNet-Race"
COURSE: dict[str, Any] = {"frame_skip": 4, "define": {"course": "100"}, "max_steps": 500}
EPISODES = 32


@pytest.mark.learning
def test_four_of_five_seeds_finish_the_course_in_most_of_their_runs(tmp_path: Path) -> None:
    def finished(seed: int) -> float:
        run = tmp_path / str(seed)
        own = {**game_settings(GAME, "ppo"), "steps": 250_000, "seed": seed}
        result = train(
            lambda: make_shared(GAME, 4, 4, mixed=True, **COURSE),
            PpoConfig.for_observation("features", **own),
            run,
        )
        times = times_at_goal(load_policy(run), lambda: make_vec(GAME, 8, **COURSE), EPISODES)
        fastest = f", the fastest in {min(times) / 50:.2f} s" if times else ""
        print(f"seed {seed}: {len(times)} of {EPISODES} finish{fastest}; {result.seconds:.0f} s")
        return len(times)

    four_of_five(finished, EPISODES * 3 / 4)
