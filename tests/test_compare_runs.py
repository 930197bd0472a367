"""Runs beside each other: bands over seeds, the command, and novelty on the report."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.command_line import frameperfect
from tests.components import need

need("matplotlib")

from frameperfect.cli.runs import RunConfig  # noqa: E402
from frameperfect.view.plots import POINTS, Curve, band, draw_comparison, draw_learning_curve  # noqa: E402
from frameperfect.view.report.chart import learning_chart  # noqa: E402


def run_folder(
    folder: Path, algo: str, seed: int, ends: float, rows: int = 20, novelty: bool = False
) -> None:
    """A run as training leaves it, whose mean return rises to `ends`; it has none in its first row."""
    RunConfig("Airstriker-Genesis", {}, 4, algo, {"seed": seed, "steps": 100 * rows}).write(folder)
    with (folder / "metrics.csv").open("w", newline="") as file:
        names = ["steps", "seconds", "mean_return"] + ["novelty"] * novelty
        table = csv.writer(file)
        table.writerow(names)
        for i in range(1, rows + 1):
            row = [100 * i, 0.5 * i, "nan" if i == 1 else ends * i / rows]
            table.writerow(row + [10.0**-i] * novelty)


def curve(returns: list[float], steps: list[float] | None = None) -> Curve:
    places = steps if steps is not None else list(range(len(returns)))
    return Curve("seed", np.array(places, float), np.array(returns, float))


@settings(max_examples=30, deadline=None)
@given(st.lists(st.lists(st.floats(-100, 100), min_size=3, max_size=3), min_size=1, max_size=6))
def test_a_band_is_the_mean_with_its_bootstrap_interval_at_every_point(rows: list[list[float]]) -> None:
    found = band([curve(row) for row in rows])
    assert len(found.steps) == POINTS
    values = np.array(rows)
    draws = np.random.default_rng(5).integers(0, len(rows), (20_000, len(rows)))
    for at, place in ((0, 0), (-1, 2)):
        means = values[draws, place].mean(1)
        assert np.isclose(found.mean[at], values[:, place].mean())
        assert found.low[at] <= found.mean[at] + 1e-9
        assert found.high[at] >= found.mean[at] - 1e-9
        spread = np.ptp(values[:, place]) + 1e-9
        np.testing.assert_allclose(
            [found.low[at], found.high[at]], np.quantile(means, [0.025, 0.975]), atol=0.2 * spread
        )


def test_a_band_spans_only_what_all_curves_know() -> None:
    found = band([curve([0, 10], [0, 100]), curve([4, 4], [50, 200])])
    assert (found.steps[0], found.steps[-1]) == (50, 100)
    assert (found.mean[0], found.mean[-1]) == ((5 + 4) / 2, (10 + 4) / 2)


def test_runs_and_their_seeds_are_drawn_and_listed(tmp_path: Path) -> None:
    need("torch")
    for seed in range(3):
        run_folder(tmp_path / "runs" / "ppo" / f"seed{seed}", "ppo", seed, 40 + 10 * seed)
    run_folder(tmp_path / "runs" / "dqn", "dqn", 0, 20)
    for by in ("steps", "seconds"):
        done = frameperfect("compare-runs", "ppo", "dqn", "--by", by, "--out", f"{by}.png", cwd=tmp_path)
        assert done.returncode == 0, done.stderr
        assert (tmp_path / f"{by}.png").read_bytes()[:4] == b"\x89PNG"
    lines = {line.split()[0]: line.split() for line in done.stdout.splitlines() if line.strip()}
    assert lines["ppo"][1:] == ["ppo", "3", "2,000", "50.0", "40.0", "to", "60.0"]
    assert lines["dqn"][1:] == ["dqn", "1", "2,000", "20.0", "-"]
    assert frameperfect("compare-runs", "ppo", "--by", "luck", cwd=tmp_path).returncode == 2
    done = frameperfect("compare-runs", "dqm", cwd=tmp_path)
    assert (done.returncode, "'dqn'" in done.stderr) == (2, True)


def test_curves_without_a_finished_episode_are_no_fault(tmp_path: Path) -> None:
    empty = Curve("a", np.arange(3.0), np.full(3, np.nan))
    draw_comparison({"a": [empty], "b": []}, tmp_path / "a.png", "A game")
    draw_comparison({"a": [empty], "b": [curve([1, 2]), curve([2, 3])]}, tmp_path / "a.png", "A game")
    draw_learning_curve([curve([1, 2]), curve([2, 3])], tmp_path / "a.png", "A game")
    assert (tmp_path / "a.png").read_bytes()[:4] == b"\x89PNG"


def test_the_report_draws_novelty_by_powers_of_ten(tmp_path: Path) -> None:
    need("torch")
    from frameperfect.cli.report import gather
    from frameperfect.view.report import page

    run_folder(tmp_path / "new", "ppo", 0, 10, rows=4, novelty=True)
    text = page(gather(tmp_path / "new"))
    assert 'aria-label="Novelty over agent steps"' in text
    for tick in ("0.1", "0.01", "0.001", "0.0001"):
        assert f">{tick}</text>" in text
    run_folder(tmp_path / "old", "ppo", 0, 10, rows=4)
    assert "Novelty" not in page(gather(tmp_path / "old"))


def test_a_scale_of_powers_leaves_out_what_is_not_above_0() -> None:
    text = learning_chart([curve([1.0, 0.0, 0.01])], {}, "Novelty", powers=True)
    assert text.count("L") == 1
