"""The examples work as their pages say."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.components import need

EXAMPLES = Path(__file__).parents[1] / "examples"


@pytest.fixture
def pebble_installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What pip leaves of examples/pebble: its module and its entry point; here and in child processes."""
    site = tmp_path / "site"
    metadata = site / "pebble-1.dist-info"
    metadata.mkdir(parents=True)
    (site / "pebble.py").write_text((EXAMPLES / "pebble" / "pebble.py").read_text())
    (metadata / "METADATA").write_text("Metadata-Version: 2.1\nName: pebble\nVersion: 1\n")
    (metadata / "entry_points.txt").write_text("[frameperfect.machines]\npebble = pebble\n")
    monkeypatch.syspath_prepend(site)
    monkeypatch.setenv("PYTHONPATH", str(site))


@pytest.mark.usefixtures("pebble_installed")
def test_the_machine_written_from_scratch_conforms() -> None:
    from frameperfect.machine import MachineSpec, open_machine
    from frameperfect.testing import check_machine

    report = check_machine(lambda: open_machine(MachineSpec("pebble")), frames=120)
    assert not report.failures, str(report)


@pytest.mark.usefixtures("pebble_installed")
def test_the_machine_written_from_scratch_is_a_game_with_environments_and_movies(tmp_path: Path) -> None:
    import frameperfect as fp
    from frameperfect.movie import save_movie

    env = fp.make_env(EXAMPLES / "pebble")
    env.reset(seed=1)
    terminated = False
    while not terminated:
        observation, _, terminated, truncated, info = env.step(2)
        assert not truncated
    assert info["success"]
    assert observation.shape == (2,)
    save_movie(env.movie(), tmp_path / "roll.fpm")
    assert fp.verify(tmp_path / "roll.fpm", game=EXAMPLES / "pebble")


def test_make_env_runs() -> None:
    need("stable_retro")
    subprocess.run([sys.executable, EXAMPLES / "make_env.py"], check=True, capture_output=True)


def test_compare_methods_runs() -> None:
    need("stable_retro")
    command = [sys.executable, EXAMPLES / "compare_methods.py", "100"]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    assert [line.split(" | ")[0] for line in done.stdout.splitlines()[2:]] == [
        "| jerk", "| brute", "| go-explore", "| beam", "| exhaustive",
    ]  # fmt: skip
