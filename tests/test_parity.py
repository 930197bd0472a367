"""Airstriker through our importer pays, ends and reads as stable-retro's own environment does."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from frameperfect.game import load_game
from frameperfect.game import open as open_game
from tests.components import need

need("stable_retro")
STEPS = 10_000

PEER = """
import json, sys
import numpy as np, stable_retro
env = stable_retro.make("Airstriker-Genesis-v0", obs_type=stable_retro.Observations.RAM, render_mode=None)
rng = np.random.default_rng(7)
env.reset()
for _ in range(int(sys.argv[1])):
    action = (rng.random(env.num_buttons) < 0.4).astype(np.uint8)
    action[3] = 0  # Start would pause the game
    pressed = [env.buttons[i] for i in np.flatnonzero(env.action_to_array(action)[0])]
    _, reward, terminated, _, info = env.step(action)
    print(json.dumps([pressed, reward, terminated, info]))
    if terminated:
        env.reset()
"""


def test_ten_thousand_random_steps_of_airstriker_equal_stable_retros() -> None:
    done = subprocess.run(
        [sys.executable, "-c", PEER, str(STEPS)], capture_output=True, text=True, timeout=300, check=True
    )
    records = [json.loads(line) for line in done.stdout.splitlines() if line.startswith("[")]
    assert len(records) == STEPS
    game = load_game("Airstriker-Genesis", source="stable-retro")
    with open_game(game) as machine:
        assert machine.fingerprint.core.startswith("genesis_plus_gx")
        start = game.start_state(machine)
        rules = game.rules(machine.domains)
        episode, layout = rules.scalar(), rules.layout

        def row() -> bytes:
            values = bytearray()
            for span in layout.spans:
                swap = machine.domains[span.domain].swap
                view = machine.memory[span.domain]
                values += bytes(view[(span.offset + i) ^ (swap - 1)] for i in range(span.length))
            return bytes(values)

        episode.begin(row())
        episodes = 0
        for number, (pressed, reward, terminated, info) in enumerate(records):
            machine.advance(" ".join(pressed))
            ours = episode.step(row())
            assert ours == (pytest.approx(reward), terminated, False), number
            assert episode.values() == info, number
            assert {name: machine.read(name) for name in machine.variables} == info
            if terminated:
                machine.restore(start)
                episode.begin(row())
                episodes += 1
    assert episodes > 2
    assert sum(record[1] for record in records) > 100
