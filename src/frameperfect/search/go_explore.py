"""Go-Explore's first phase: remember where one has been, go back there, and explore from it.

Followed: A. Ecoffet et al., "First return, then explore" (Nature 590, 2021; arXiv:2004.12919), exploration
by restoring states: an archive of cells, each with the best state that fell into it; a cell is chosen with a
weight of 1 / sqrt(visits + 1); from its state random actions are pressed for up to 100 steps, each repeated
with a chance of 0.9 at every step; a state that opens a cell, or is better than the cell's (a higher score,
or as high and reached sooner), is kept there, and the cell's visits begin anew.

Cells here are by features: states equal in all of `cells` (without it, of `same`). A state's score is its
checkpoints, then `prefer`. Several explorations are played side by side, all chosen before any begins, so a
seed gives the same archive on any number of threads.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from frameperfect.search import lanes
from frameperfect.search.generations import Wave
from frameperfect.search.lanes import History
from frameperfect.search.problem import Problem
from frameperfect.search.result import Budget, Progress, Result, Stop, Watch, note_rules

TOGETHER = 32
STEPS = 100
REPEAT = 0.9


@dataclass
class _Cell:
    """The best state that fell into it."""

    wave: Wave
    history: History
    steps: int
    visits: int = 0

    def rank(self) -> tuple[int, float, int]:
        """Greater is better."""
        verdicts = self.wave.verdicts
        return int(verdicts.passed[0]), float(verdicts.score[0]), -self.steps


def go_explore(
    problem: Problem,
    budget: Budget | None = None,
    *,
    seed: int = 0,
    watch: Watch | None = None,
    stop: Stop | None = None,
) -> Result:
    """Explore until the budget is used up; the fastest run that wins, or else the best state.

    Raises:
        SearchError: the archive takes more memory than it may.
    """
    return _Explorer(problem, budget or Budget(seconds=60), seed).run(watch, stop)


class _Explorer:
    def __init__(self, problem: Problem, budget: Budget, seed: int) -> None:
        self.problem, self.budget = problem, budget
        self.dice = np.random.default_rng(seed)
        self.states = self.failed = self.again = 0
        self.rules: dict[str, int] = {}
        self.cells: dict[bytes, _Cell] = {}
        self.order: list[_Cell] = []
        self.winner: _Cell | None = None
        first = lanes.start(problem)
        problem.expander.store.rebase(problem.root)
        self._keep(self._keys(first)[0].tobytes(), _Cell(first.wave, None, 0))
        self.best = replace(self.order[0])

    def run(self, watch: Watch | None, stop: Stop | None) -> Result:
        stopped = ""
        while not stopped:
            self._explore()
            if watch is not None:
                watch(self._progress())
            stopped = self.budget.over(self.states) or ("interrupt" if stop and stop() else "")
        found = self.winner or self.best
        what = "wins" if self.winner else "does not win"
        result = Result(
            method="go-explore", won=self.winner is not None, path=lanes.path_of(found.history),
            score=found.rank()[1], stopped=stopped, optimal=False,
            claim=f"the best of {len(self.cells):,} cells {what}; not proven to be optimal",
            states=self.states, duplicates=self.again, dropped=0, failed=self.failed,
            seconds=self.budget.elapsed, rules=self.rules,
        )  # fmt: skip
        result.notes = note_rules(self.rules, self.states, self.problem, result.won)
        for cell in self.order:
            self.problem.expander.store.release(cell.wave.states)
        return result

    def _explore(self) -> None:
        """From some cells at once, up to so many random steps each."""
        problem, store = self.problem, self.problem.expander.store
        visits = np.array([cell.visits for cell in self.order], np.float64)
        weights = 1 / np.sqrt(visits + 1)
        picked = self.dice.choice(len(self.order), size=TOGETHER, p=weights / weights.sum())
        chosen = [self.order[place] for place in picked.tolist()]
        for cell in chosen:
            cell.visits += 1
        wave = Wave.join([cell.wave for cell in chosen])
        store.hold(wave.states)
        histories, depths = [cell.history for cell in chosen], [cell.steps for cell in chosen]
        actions = self._draw(wave)
        for _ in range(STEPS):
            # Depths differ from lane to lane; rules that count steps see the first one's.
            found = lanes.step(problem, wave, actions, depths[0] + 1)
            store.release(wave.states)
            histories = [(before, action) for before, action in zip(histories, actions.tolist(), strict=True)]
            depths = [depth + 1 for depth in depths]
            self._look(found, histories, depths)
            verdicts = found.wave.verdicts
            limit = problem.section.steps
            on = ~(verdicts.failed | verdicts.won)
            if limit is not None:
                on &= np.array(depths) < limit
            store.release(found.wave.states[~on])
            places = np.flatnonzero(on)
            wave, actions = found.wave.take(places), actions[places]
            histories, depths = [histories[i] for i in places], [depths[i] for i in places]
            if not len(wave):
                return
            fresh = self._draw(wave)
            choices = zip(actions.tolist(), wave.verdicts.choice.tolist(), strict=True)
            may = np.array([action in problem.sets[choice] for action, choice in choices])
            again = may & (self.dice.random(len(wave)) < REPEAT)
            actions = np.where(again, actions, fresh).astype(np.uint32)
        store.release(wave.states)

    def _draw(self, wave: Wave) -> NDArray[np.uint32]:
        """A random action for each lane, of those that it may press."""
        sets = self.problem.sets
        drawn = [sets[choice][int(self.dice.integers(len(sets[choice])))] for choice in wave.verdicts.choice]
        return np.array(drawn, np.uint32)

    def _look(self, found: lanes.Lanes, histories: list[History], depths: list[int]) -> None:
        """Keep what opens a cell or is better than what it holds."""
        verdicts = found.wave.verdicts
        self.states += len(histories)
        self.failed += int(np.count_nonzero(verdicts.failed))
        for name, column in found.values.items():
            if column.dtype == bool:
                self.rules[name] = self.rules.get(name, 0) + int(np.count_nonzero(column))
        keys = self._keys(found)
        for lane in np.flatnonzero(~verdicts.failed).tolist():
            key = keys[lane].tobytes()
            known = self.cells.get(key)
            rank = int(verdicts.passed[lane]), float(verdicts.score[lane]), -depths[lane]
            if known is not None and rank <= known.rank():
                self.again += 1
                continue
            cell = _Cell(found.wave.take(slice(lane, lane + 1)), histories[lane], depths[lane])
            if rank > self.best.rank():
                self.best = replace(cell)  # cells change
            if verdicts.won[lane]:  # there is nothing to explore beyond the goal
                if self.winner is None or cell.steps < self.winner.steps:
                    self.winner = cell
                continue
            self.problem.expander.store.hold(cell.wave.states)
            self._keep(key, cell)

    def _keep(self, key: bytes, cell: _Cell) -> None:
        known = self.cells.get(key)
        if known is None:
            self.cells[key] = cell
            self.order.append(cell)
            return
        self.problem.expander.store.release(known.wave.states)
        known.wave, known.history, known.steps, known.visits = cell.wave, cell.history, cell.steps, 0

    def _keys(self, found: lanes.Lanes) -> NDArray[np.uint64]:
        return self.problem.cells(found.rows, found.values, found.wave.verdicts)

    def _progress(self) -> Progress:
        budget, store = self.budget, self.problem.expander.store
        part = max(budget.elapsed / budget.seconds, self.states / budget.states)
        return Progress(
            "go-explore", 0, self.best.steps, len(self.cells), self.states, self.again, 0, self.failed,
            f"{self.best.rank()[1]:g}, {len(self.cells):,} cells",
            None if self.winner is None else self.winner.steps * self.problem.section.frames,
            store.bytes, budget.elapsed, min(part, 1.0),
        )  # fmt: skip
