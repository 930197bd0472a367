"""go-explore: cells by the screen, what is kept in them, and guided exploration."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import frameperfect
from frameperfect.errors import SearchError, Unsupported
from frameperfect.expand import MachineExpander
from frameperfect.game.search_section import SearchSection
from frameperfect.search import Budget, Problem, go_explore
from frameperfect.search.cells import FINEST, Grid, Screen, evenness
from tests.components import need

need("stable_retro")
RIGHT = SearchSection(start="stage1", prefer="x", fail="mode == 4", actions="run", frames=4, steps=200)
BY_SCREEN = RIGHT.model_copy(update={"cells": ["screen"], "tally": ["x // 64"]})


# -- scaling down ------------------------------------------------------------------------------------------


@given(
    st.integers(1, 20), st.integers(1, 20), st.integers(1, 20), st.integers(1, 20), st.integers(1, 255),
    st.integers(0, 1 << 30),
)  # fmt: skip
@settings(max_examples=60, deadline=None)
def test_shrinking_takes_the_exact_mean_of_each_part(
    rows: int, columns: int, height: int, width: int, depth: int, seed: int
) -> None:
    pictures = np.random.default_rng(seed).integers(0, 256, (3, rows, columns)).astype(np.uint8)
    # the oracle: every pixel cut into height x width pieces, whose parts then are whole
    pieces = pictures.repeat(height, 1).repeat(width, 2).astype(np.int64)
    sums = pieces.reshape(3, height, rows, width, columns).sum((2, 4))
    expected = sums * depth // (255 * rows * columns)
    assert np.array_equal(Grid(height, width, depth).shrink(pictures), expected)


def test_evenness_is_the_published_formula() -> None:
    cells = np.array([[0, 0], [0, 0], [0, 1], [1, 1]], np.uint8)
    entropy = -(0.5 * math.log(0.5) + 2 * 0.25 * math.log(0.25)) / math.log(3)
    wanted = 0.125 * 4
    assert evenness(cells, 4) == pytest.approx(entropy / math.sqrt(abs(3 - wanted) / wanted + 1))
    assert evenness(np.zeros((8, 4), np.uint8), 8) == 0
    assert evenness(np.arange(2, dtype=np.uint8)[:, None], 16) == pytest.approx(1)


def test_the_chosen_grid_tells_about_an_eighth_of_the_pictures_apart() -> None:
    dice = np.random.default_rng(0)
    pictures = np.zeros((2048, 84, 84), np.uint8)
    for picture in pictures:  # a dot somewhere on a noisy ground
        row, column = dice.integers(0, 74, 2)
        picture[:] = dice.integers(0, 6, (84, 84))
        picture[row : row + 10, column : column + 10] = 255
    screen = Screen(np.random.default_rng(1))
    for first in range(0, 2048, 256):
        screen.sample(pictures[first : first + 32])
    first_grid = screen.grid
    assert screen.choose(0) and screen.grid != first_grid
    kept = len(screen.samples)
    cells = len(np.unique(screen.grid.shrink(np.stack(screen.samples)).reshape(kept, -1), axis=0))
    assert 0.5 < cells / (0.125 * kept) < 2
    assert all(1 <= one <= most for one, most in zip(_sizes(screen.grid), FINEST, strict=True))


def _sizes(grid: Grid) -> tuple[int, int, int]:
    return grid.height, grid.width, grid.depth


# -- pictures ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("native", [True, False])
def test_expanding_gives_the_picture_that_an_environment_shows(native: bool) -> None:
    video = {"stack": 1, "max_pool": False}
    env = frameperfect.make_env("Skyrunner-Nes", observation="pixels", video=video, frame_skip=4)
    env.reset(seed=0)
    with Problem("Skyrunner-Nes", RIGHT, threads=1, isolated=None if native else True) as problem:
        expander = problem.expander
        assert isinstance(expander, MachineExpander) != native
        expander.watch(problem.game.observation.crop)
        state = np.array([problem.root], np.uint32)
        ports = len(expander.controllers)
        for action in range(3):
            mask = env._setup.actions.single(action)[0]
            found = expander.expand(state, mask.reshape(1, ports), np.array([4], np.uint32))
            state = found.states
            shown = env.step(action)[0]
            assert found.pictures is not None
            assert np.array_equal(found.pictures[0], shown[0])
    env.close()


def test_a_machine_without_a_screen_has_no_such_cells(monkeypatch: pytest.MonkeyPatch) -> None:
    with Problem("Skyrunner-Nes", BY_SCREEN, threads=1) as problem:
        machine = problem.expander.machine
        machine.capabilities &= ~frameperfect.Capability.SCREEN
        with pytest.raises(Unsupported, match="SCREEN"):
            go_explore(problem, Budget(states=100))


# -- exploring ---------------------------------------------------------------------------------------------


def test_cells_by_the_screen_are_the_same_for_a_seed_on_any_number_of_threads(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("frameperfect.search.cells.FIRST_CHOICE", 600)
    monkeypatch.setattr("frameperfect.search.cells.TRIES", 12)
    found = []
    for threads in (1, 2):
        with Problem("Skyrunner-Nes", BY_SCREEN, threads=threads) as problem:
            found.append(go_explore(problem, Budget(states=2_000), seed=3))
            assert problem.expander.store.count == 1  # only the start is left
            if threads == 1:
                found[-1].prove(problem, tmp_path / "far.fpm")
    one, two = found
    assert one.claim == two.claim and one.score == two.score and one.path.tolist() == two.path.tolist()
    assert [run.tolist() for run in one.runs] == [run.tolist() for run in two.runs]
    cells = int(one.claim.split()[3].replace(",", ""))
    assert len(one.runs) in (cells, cells - 1)  # all but the start's
    assert one.score > 100 and one.verdict is not None and one.verdict.matched
    assert "values of x // 64 were seen; cells are " in one.claim


def test_every_cell_can_be_reached_by_its_run() -> None:
    section = RIGHT.model_copy(update={"cells": ["x // 32", "y // 32"]})
    with Problem("Skyrunner-Nes", section, threads=1) as problem:
        runs = go_explore(problem, Budget(states=600), seed=0).runs
        machine = problem.expander.machine
        places = set()
        for run in runs:
            problem.expander.show(problem.root)
            for action in run:
                machine.advance(problem.masks[action], 4)
            places.add((machine.read("x") // 32, machine.read("y") // 32))
    assert len(runs) > 4
    assert len(places) in (len(runs), len(runs) + 1)  # no two in one cell


class Runner:
    """Goes right, and checks what it is told: the rows are those of what was pressed."""

    identity = "runner"

    def __init__(self, problem: Problem, lanes: int) -> None:
        self.problem, self.lanes = problem, lanes
        self.right = problem.names.index("Right B")
        self.asked = 0

    def begin(self, states: np.ndarray, rows: np.ndarray, seed: int) -> None:
        assert len(states) == len(rows) == self.lanes
        self.states, self.paths = states, [[] for _ in range(self.lanes)]

    def choose(self, lanes: np.ndarray) -> np.ndarray:
        self.asked += len(lanes)
        return np.full(len(lanes), self.right, np.uint32)

    def look(self, lanes: np.ndarray, actions: np.ndarray, rows: np.ndarray) -> None:
        assert len(lanes) == len(actions) == len(rows) and (lanes < self.lanes).all()
        for lane, action in zip(lanes, actions, strict=True):
            self.paths[lane].append(action)
        expander = self.problem.expander
        expander.show(int(self.states[lanes[0]]))
        for action in self.paths[lanes[0]]:
            expander.machine.advance(self.problem.masks[action].tolist(), 4)
        assert np.array_equal(self.problem.row(expander.machine), rows[0])


@pytest.mark.parametrize("lanes", [1, 16, 32])
def test_a_guide_leads_the_part_of_explorations_that_it_is_given(lanes: int) -> None:
    section = RIGHT.model_copy(update={"cells": ["x // 8"]})
    with Problem("Skyrunner-Nes", section, threads=1) as problem:
        guide = Runner(problem, lanes)
        found = go_explore(problem, Budget(states=600), seed=0, guide=guide)
    assert abs(guide.asked / found.states - lanes / 32) < 0.3
    pressed = np.concatenate([run for run in found.runs if len(run)])
    assert lanes < 32 or (pressed == guide.right).all()


@pytest.mark.parametrize("lanes", [0, 33])
def test_a_guide_can_not_lead_more_than_there_are(lanes: int) -> None:
    said = pytest.raises(SearchError, match=f"a guide leads 1 to 32 explorations at once, not {lanes}")
    with Problem("Skyrunner-Nes", RIGHT, threads=1) as problem, said:
        go_explore(problem, Budget(states=1), guide=Runner(problem, lanes))


def test_a_search_that_was_stopped_goes_on_to_the_same_archive(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("frameperfect.search.cells.FIRST_CHOICE", 400)
    monkeypatch.setattr("frameperfect.search.cells.TRIES", 6)
    kept = tmp_path / "kept.search"
    with Problem("Skyrunner-Nes", BY_SCREEN, threads=1) as problem:
        whole = go_explore(problem, Budget(states=1_200), seed=1)
        go_explore(problem, Budget(states=500), seed=1, checkpoint=kept)
        again = go_explore(problem, Budget(states=1_200), seed=1, checkpoint=kept, resume=True)
        assert problem.expander.store.count == 1
    assert (again.claim, again.states, again.score) == (whole.claim, whole.states, whole.score)
    assert [run.tolist() for run in again.runs] == [run.tolist() for run in whole.runs]
