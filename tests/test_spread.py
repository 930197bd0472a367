"""A beam that spreads over cells keeps a way open that looks worse for a while."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from frameperfect.errors import GameError
from frameperfect.game import load_game
from frameperfect.game.formulas import Known
from frameperfect.game.search_section import SearchSection
from frameperfect.search import Problem, beam
from frameperfect.search.generations import Wave
from frameperfect.search.problem import Verdicts
from tests import mazes
from tests.components import need

need("stable_retro")
WAY = SearchSection(win="goal", prefer="column", same=["place"])
SPREAD = WAY.model_copy(update={"cells": ["column // 4", "row // 4"], "spread": 20.0})


def hall() -> list[int]:
    """A broad hall without an exit lies before the runner; a narrow way down leads to the goal beneath it."""
    cells = [mazes.WALL] * 256
    for row in range(1, 4):
        for column in range(1, 15):
            cells[16 * row + column] = mazes.FREE
    for row in range(4, 15):
        cells[16 * row + 1] = mazes.FREE
    for column in range(1, 15):
        cells[16 * 14 + column] = mazes.FREE
    cells[16 * 14 + 14] = mazes.GOAL
    return cells


@pytest.mark.parametrize("threads", [1, 2])
def test_a_way_that_falls_behind_at_first_survives_a_narrow_beam(threads: int, tmp_path: Path) -> None:
    folder = mazes.write_game(tmp_path, hall())
    shortest = mazes.shortest(hall())
    assert shortest is not None
    with Problem(folder, WAY, threads=threads) as problem:
        assert not beam(problem, width=3).won  # all ran into the hall
    with Problem(folder, SPREAD, threads=threads) as problem:
        found = beam(problem, width=3)
    assert found.won and len(found.path) == shortest
    assert found.dropped and not found.optimal


states = st.lists(
    st.tuples(st.integers(0, 2), st.integers(-20, 20), st.integers(0, 3), st.integers(0, 9)), min_size=1
)


@given(states, st.sampled_from([0.25, 1.0, 3.0, 100.0]))
def test_the_nth_of_a_cell_has_lost_n_times_the_spread(
    rows: list[tuple[int, int, int, int]], spread: float
) -> None:
    passed, score, cell, tie = (np.array(column) for column in zip(*rows, strict=True))
    size = len(rows)
    none = np.zeros(size, np.uint32)
    verdicts = Verdicts(
        none > 0,
        none > 0,
        passed,
        none.astype(np.uint64),
        score.astype(float),
        passed,
        cell.astype(np.uint64),
    )
    wave = Wave(none, none, none, tie.astype(np.uint64), Known([], []), verdicts)

    def better(one: int) -> tuple[int, int, int, int]:
        return -int(passed[one]), -int(score[one]), int(tie[one]), one

    lost = {
        one: float(score[one])
        - spread * sum(cell[other] == cell[one] and better(other) < better(one) for other in range(size))
        for one in range(size)
    }
    wanted = sorted(range(size), key=lambda one: (-int(passed[one]), -lost[one], better(one)))
    assert wave.order_spread(spread).tolist() == wanted


def test_a_spread_without_cells_is_refused(tmp_path: Path) -> None:
    folder = mazes.write_game(tmp_path, hall(), '[search.way]\nwin = "goal"\nspread = 2.0\n')
    with pytest.raises(GameError, match="'spread' needs 'cells'"):
        load_game(folder)
