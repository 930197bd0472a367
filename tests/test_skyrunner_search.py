"""Searches on a section of the bundled game, short enough that every way through it can be tried."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

import frameperfect as fp
from frameperfect.game.search_section import SearchSection
from frameperfect.machine import Machine
from frameperfect.movie import Recorder, load_movie, save_movie
from frameperfect.search import Budget, Problem, Result, beam, exhaustive
from tests.components import need

need("stable_retro")
BUNDLED = Path(fp.__file__).parent / "games" / "skyrunner"
ACTIONS = ["Right B", "Right B A", "Right"]
FRAMES = 12
FAR_SIDE = 690
GAP = SearchSection(
    start="gap",
    win=f"x >= {FAR_SIDE}",
    fail="mode == 4",
    prefer="x",
    # All that decides how the runner moves on, to the last fraction.
    same=[
        "x",
        "y",
        "vx",
        "vy",
        "grounded",
        "wall",
        "coyote",
        "buffer",
        "rising",
        "locked",
        "wall_used",
        "held",
    ],
    actions=ACTIONS,
    frames=FRAMES,
)


@pytest.fixture(scope="module")
def game(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Skyrunner with a start at rest before the first gap of stage 1."""
    folder = tmp_path_factory.mktemp("gap")
    for name in ("skyrunner.nes", "features.py", "stage1.fpm", "stage2.fpm", "stage3.fpm"):
        shutil.copy(BUNDLED / name, folder)
    known = load_movie(BUNDLED / "movies" / "stage1-shortcut.fpm")
    with fp.open(BUNDLED, start="stage1") as machine:
        recorder = Recorder(machine, start="stage1", game="Skyrunner-Nes")
        for row in known.inputs[:281]:
            recorder.advance(row)
        recorder.advance("", 43)
        assert machine.read("vx") == 0 and 580 < machine.read("x") < 600
        save_movie(recorder.movie().after(load_movie(BUNDLED / "stage1.fpm")), folder / "gap.fpm")
    text = (BUNDLED / "game.toml").read_text().partition("[search.")[0]
    text = text.replace('features = ["me"', '# features = ["me"')  # they want the source beside them
    (folder / "game.toml").write_text(
        text.replace("[memory]", '[start.gap]\nmovie = "gap.fpm"\n\n[memory]', 1)
    )
    return folder


def fewest_inputs(machine: Machine, most: int) -> int | None:
    """By trying everything, nothing merged or cut: the least inputs that cross; None beyond `most`."""
    states = [machine.save()]
    for inputs in range(1, most + 1):
        after = []
        for state in states:
            for buttons in ACTIONS:
                machine.restore(state)
                machine.advance(buttons, FRAMES)
                if machine.read("mode") == 4:
                    continue
                if machine.read("x") >= FAR_SIDE:
                    return inputs
                after.append(machine.save())
        states = after
    return None


@pytest.fixture(scope="module")
def shortest(game: Path) -> int:
    with fp.open(game, start="gap") as machine:
        found = fewest_inputs(machine, 7)
    assert found is not None
    return found


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("method", [exhaustive, beam])
def test_the_gap_is_crossed_by_as_few_inputs_as_can_be(
    method: Callable[..., Result], threads: int, game: Path, shortest: int, tmp_path: Path
) -> None:
    with Problem(game, GAP, threads=threads) as problem:
        found = method(problem, Budget(memory=64 << 20))
        assert found.won and found.optimal and found.claim.startswith("optimal")
        assert len(found.path) == shortest
        found.prove(problem, tmp_path / "found.fpm")
    assert found.verdict
    with fp.open(game, start="gap") as machine:
        load_movie(tmp_path / "found.fpm").check(machine)
        assert machine.read("x") >= FAR_SIDE and machine.read("mode") == 3


def test_that_it_can_not_be_crossed_sooner_is_proven(game: Path, shortest: int) -> None:
    shorter = GAP.model_copy(update={"steps": shortest - 1})
    with Problem(game, shorter, threads=1) as problem:
        found = exhaustive(problem, Budget(memory=64 << 20))
    assert not found.won and found.claim.startswith(f"no run of up to {shortest - 1} inputs")
