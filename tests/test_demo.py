"""The main job, made short: train, compare, prove."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

from tests.components import need


def test_the_demo_trains_compares_and_proves_its_best_run_frame_for_frame(tmp_path: Path) -> None:
    for module in ("stable_retro", "torch", "av", "matplotlib"):
        need(module)
    from frameperfect.movie import load_movie

    command = [
        sys.executable,
        "-m",
        "frameperfect",
        "demo",
        "--minutes",
        "0.03",
        "--episodes",
        "2",
        "--run",
        "d",
    ]
    environment = os.environ | {"FRAMEPERFECT_HOME": str(tmp_path / "home")}
    done = subprocess.run(
        command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False, timeout=400
    )
    assert done.returncode == 0, done.stdout + done.stderr
    run = tmp_path / "runs" / "d"
    for name in ("config.json", "checkpoint.safetensors", "metrics.csv", "tensorboard", "curve.png",
                 "evaluation.json", "best.fpm", "best.bk2", "best.mp4", "brute.fpm"):  # fmt: skip
        assert (run / name).exists(), name

    # a bar for each player, steps/s, return and time left
    for word in ("training:", "steps/s", "return", "left", "random player:", "The Brute:", "95 % interval"):
        assert word in done.stdout, word
    assert "random play by" in done.stdout or "does not clearly beat random play" in done.stdout

    best = load_movie(run / "best.fpm")
    assert [frame for frame, _ in best.checkpoints] == list(range(1, best.frames + 1))
    assert f"matches: {best.frames} frames, {best.frames} checkpoints" in done.stdout
    facts = json.loads((run / "evaluation.json").read_text())
    assert set(facts["players"]) >= {"agent", "random player"}
    for player in facts["players"].values():
        low, high = player["interval"]
        assert low <= player["mean"] <= high
        assert len(player["returns"]) == 2
    assert facts["brute"]["steps"] > 0

    # what it wrote can be proven again by anyone: the export, and The Brute's own run
    again = subprocess.run(
        [sys.executable, "-m", "frameperfect", "verify", run / "best.bk2", run / "brute.fpm"],
        cwd=tmp_path, env=environment, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert again.returncode == 0, again.stdout + again.stderr
