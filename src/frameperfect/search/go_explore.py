"""Go-Explore's first phase: remember where one has been, go back there, and explore from it.

Followed: A. Ecoffet et al., "First return, then explore" (Nature 590, 2021; arXiv:2004.12919), exploration
by restoring states: an archive of cells, each with the best state that fell into it; a cell is chosen with a
weight of 1 / sqrt(visits + 1), a visit being an exploration that came by; from its state random actions are
pressed for up to 100 steps, each repeated with a chance of 0.9 at every step; a state that opens a cell, or
is better than the cell's (a higher score, or as high and reached sooner), is kept there, and the cell's
visits begin anew. The numbers in brackets are those of docs/go-explore.md.

A cell is all states equal in `cells` (without it, in `same`); "screen" among them adds the picture, scaled
down (cells.py). A state's score is its checkpoints, then `prefer`. Several explorations are played side by
side, all chosen before any begins, so a seed gives the same archive on any number of threads. A guide leads
some of them: there its actions take the place of random ones (guide.py).
"""

from __future__ import annotations

import zlib
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from frameperfect.errors import SearchError
from frameperfect.expand import PICTURE
from frameperfect.search import lanes
from frameperfect.search.archive import Cell, Tree
from frameperfect.search.cells import Grid, Screen
from frameperfect.search.driver import Arrays, Meta, Method, Names, Running, Steps, run
from frameperfect.search.generations import Wave, columns, wave_of
from frameperfect.search.guide import Guide
from frameperfect.search.lanes import History, Lanes
from frameperfect.search.problem import SCREEN, Problem
from frameperfect.search.result import Budget, Progress, Result, note_rules

if TYPE_CHECKING:
    from typing_extensions import Unpack

TOGETHER = 32
STEPS = 100
REPEAT = 0.9
BEYOND = 1 << 14
"""Pixels, more than a screen has."""
FULL = 0.95
"""Of the memory: the search ends there with what it has."""
_COUNTS = ("states", "failed", "again", "led", "astray")


def go_explore(
    problem: Problem,
    budget: Budget | None = None,
    *,
    seed: int = 0,
    guide: Guide | None = None,
    **running: Unpack[Running],
) -> Result:
    """Explore until the budget is used up; the fastest run that wins, or else the best state.

    `Result.runs` are the paths to all cells. Arguments as `beam` has them, and `guide`, which leads a part of
    the explorations (`guide.Agent` is one); who gives it closes it.

    Raises:
        Unsupported: cells are by the screen, and the machine has none.
    """
    return run(GoExplore(problem, budget or Budget(seconds=60), seed, guide), **running)


def _crop(problem: Problem) -> tuple[int, int, int, int] | None:
    """The part of the screen that the game shows its players."""
    if problem.game.observation.crop is None:
        return None
    top, left, height, width = problem.game.observation.crop
    return top, left, height or BEYOND, width or BEYOND  # 0: to the edge


class GoExplore(Method):
    """The archive; a batch is one exploration of several cells."""

    name = "go-explore"

    def __init__(self, problem: Problem, budget: Budget, seed: int = 0, guide: Guide | None = None) -> None:
        if guide is not None and not 1 <= guide.lanes <= TOGETHER:
            raise SearchError(f"a guide leads 1 to {TOGETHER} explorations at once, not {guide.lanes}")
        self.problem, self.budget, self.seed, self.guide = problem, budget, seed, guide
        self.dice = np.random.default_rng(seed)
        self.states = self.failed = self.again = self.led = self.astray = 0
        self.rules: dict[str, int] = {}
        self._begin()

    def _begin(self) -> None:
        """An archive with nothing but the start."""
        problem = self.problem
        self.tally: dict[str, set[float]] = {text: set() for text in problem.section.tally}
        self.cells: dict[bytes, Cell] = {}
        self.order: list[Cell] = []
        self.winner: Cell | None = None
        self.screen: Screen | None = None
        if SCREEN in problem.section.cells:
            problem.expander.watch(_crop(problem))
            self.screen = Screen(np.random.default_rng([self.seed, 1]))
        first = lanes.start(problem)
        problem.expander.store.rebase(problem.root)
        # Nobody has seen the start's picture: states hold none on some machines.
        blank = zlib.compress(bytes(PICTURE[0] * PICTURE[1])) if self.screen is not None else b""
        self._sort([Cell(first.wave, None, 0, first.rows[0], self._told(first)[0].tobytes(), blank)])
        self.best = replace(self.order[0])

    def settings(self) -> Meta:
        """See `Method.settings`."""
        guide = None if self.guide is None else [self.guide.identity, self.guide.lanes]
        return {**super().settings(), "guide": guide}

    def over(self) -> str:
        """See `Method.over`."""
        return "memory" if self.problem.expander.store.bytes > FULL * self.budget.memory else ""

    def advance(self) -> None:
        """See `Method.advance`."""
        self._explore()
        if self.screen is not None and self.screen.due <= self.states and self.screen.choose(self.states):
            self._sort_anew()

    def best_path(self) -> Steps:
        """See `Method.best_path`."""
        return lanes.path_of((self.winner or self.best).history)

    def receive(self, path: Steps) -> None:
        """See `Method.receive`: its states are looked at like those of an exploration."""
        history: History = None
        for step, here in enumerate(lanes.walk(self.problem, path.tolist())):
            if step:
                history = (history, int(path[step - 1]))
                self._look(here, [history], np.array([step]), [set()])
            if here.wave.verdicts.failed[0] or here.wave.verdicts.won[0]:
                return

    def result(self, stopped: str) -> Result:
        """See `Method.result`."""
        found = self.winner or self.best
        result = Result(
            method="go-explore", won=self.winner is not None, path=lanes.path_of(found.history),
            score=found.rank()[1], stopped=stopped, optimal=False, claim=self._claim(),
            states=self.states, duplicates=self.again, dropped=0, failed=self.failed,
            seconds=self.budget.elapsed, rules=self.rules,
        )  # fmt: skip
        result.runs = [lanes.path_of(cell.history) for cell in self.order if cell.history is not None]
        result.notes = note_rules(self.rules, self.states, self.problem, result.won)
        if self.astray:
            result.notes.append(
                f"the guide chose {self.led:,} times, {self.astray:,} times what may not be pressed there; a "
                "random action stood in for that"
            )
        return result

    def close(self) -> None:
        """See `Method.close`."""
        for cell in self.order:
            self.problem.expander.store.release(cell.wave.states)
        self.cells, self.order = {}, []

    def _claim(self) -> str:
        what = "wins" if self.winner else "does not win"
        parts = [f"the best of {len(self.cells):,} cells {what}"]
        parts += [f"{len(values):,} values of {text} were seen" for text, values in self.tally.items()]
        if self.screen is not None:
            parts.append(f"cells are {self.screen.grid}")
        return "; ".join([*parts, "not proven to be optimal"])

    # -- exploring -------------------------------------------------------------------------------------

    def _explore(self) -> None:
        """From some cells at once, up to so many steps each."""
        problem, store = self.problem, self.problem.expander.store
        visits = np.array([cell.visits for cell in self.order], np.float64)
        weights = 1 / np.sqrt(visits + 1)  # [2]
        picked = self.dice.choice(len(self.order), size=TOGETHER, p=weights / weights.sum())
        chosen = [self.order[place] for place in picked.tolist()]
        wave = Wave.join([cell.wave for cell in chosen])
        store.hold(wave.states)
        numbers = np.arange(TOGETHER)
        led = 0 if self.guide is None else self.guide.lanes  # the first ones are the guide's
        if self.guide is not None:
            rows = np.stack([cell.row for cell in chosen[:led]])
            self.guide.begin(wave.states[:led], rows, int(self.dice.integers(1 << 62)))
        histories, depths = [cell.history for cell in chosen], np.array([cell.steps for cell in chosen])
        met: list[set[int]] = [set() for _ in chosen]
        actions = self._press(wave, numbers, led)
        for _ in range(STEPS):
            found = lanes.step(problem, wave, actions, depths + 1)
            store.release(wave.states)
            histories = [(before, action) for before, action in zip(histories, actions.tolist(), strict=True)]
            depths = depths + 1
            self._look(found, histories, depths, [met[number] for number in numbers.tolist()])
            verdicts = found.wave.verdicts
            limit = problem.section.steps
            on = ~(verdicts.failed | verdicts.won)
            if limit is not None:
                on &= depths < limit
            store.release(found.wave.states[~on])
            places = np.flatnonzero(on)
            wave, actions = found.wave.take(places), actions[places]
            histories, depths, numbers = [histories[i] for i in places], depths[places], numbers[places]
            if not len(wave):
                return
            mine = numbers < led
            if self.guide is not None and mine.any():
                self.guide.look(numbers[mine], actions[mine], found.rows[places[mine]])
            fresh = self._press(wave, numbers, led)
            choices = zip(actions.tolist(), wave.verdicts.choice.tolist(), strict=True)
            may = np.array([action in problem.sets[choice] for action, choice in choices])
            again = may & (self.dice.random(len(wave)) < REPEAT) & (numbers >= led)  # [3]
            actions = np.where(again, actions, fresh).astype(np.uint32)
        store.release(wave.states)

    def _press(self, wave: Wave, numbers: NDArray[np.intp], led: int) -> NDArray[np.uint32]:
        """An action for each lane, of those that it may press: a random one, or below `led` the guide's."""
        sets = self.problem.sets
        drawn = np.array(
            [sets[choice][int(self.dice.integers(len(sets[choice])))] for choice in wave.verdicts.choice],
            np.uint32,
        )
        mine = np.flatnonzero(numbers < led)
        if self.guide is not None and len(mine):
            told = self.guide.choose(numbers[mine])
            choices = wave.verdicts.choice[mine]
            may = np.array([a in sets[c] for a, c in zip(told.tolist(), choices, strict=True)])
            drawn[mine] = np.where(may, told, drawn[mine])
            self.led += len(mine)
            self.astray += len(mine) - int(np.count_nonzero(may))
        return drawn

    # -- the archive -----------------------------------------------------------------------------------

    def _look(
        self, found: Lanes, histories: list[History], depths: NDArray[np.int64], met: list[set[int]]
    ) -> None:
        """Keep what opens a cell or is better than what it holds; `met` are the cells each lane came by."""
        verdicts, told, pictures = found.wave.verdicts, self._told(found), found.pictures
        self.states += len(histories)
        self.failed += int(np.count_nonzero(verdicts.failed))
        for name, column in found.values.items():
            if column.dtype == bool:
                self.rules[name] = self.rules.get(name, 0) + int(np.count_nonzero(column))
        for text, values in self.tally.items():
            values.update(np.unique(found.values[f"tally '{text}'"]).tolist())
        shrunk = None
        if self.screen is not None and pictures is not None:
            self.screen.sample(pictures)
            shrunk = self.screen.grid.shrink(pictures)
        for lane in np.flatnonzero(~verdicts.failed).tolist():
            key = features = told[lane].tobytes()
            if shrunk is not None:
                key += shrunk[lane].tobytes()
            known = self.cells.get(key)
            rank = int(verdicts.passed[lane]), float(verdicts.score[lane]), -int(depths[lane])
            if known is not None:
                if id(known) not in met[lane]:
                    met[lane].add(id(known))
                    known.visits += 1
                if rank <= known.rank():
                    self.again += 1
                    continue
            picture = b"" if pictures is None else zlib.compress(pictures[lane].tobytes(), 1)
            one = found.wave.take(slice(lane, lane + 1))
            cell = Cell(one, histories[lane], int(depths[lane]), found.rows[lane].copy(), features, picture)
            if rank > self.best.rank():
                self.best = replace(cell)  # cells change
            if verdicts.won[lane]:  # there is nothing to explore beyond the goal
                if self.winner is None or cell.steps < self.winner.steps:
                    self.winner = cell
                continue
            self.problem.expander.store.hold(cell.wave.states)
            met[lane].add(id(self._keep(key, cell)))

    def _keep(self, key: bytes, cell: Cell) -> Cell:
        """Put it into the archive; what holds it there."""
        known = self.cells.get(key)
        if known is None:
            self.cells[key] = cell
            self.order.append(cell)
            return cell
        self.problem.expander.store.release(known.wave.states)
        known.wave, known.history, known.steps = cell.wave, cell.history, cell.steps
        known.row, known.told, known.picture, known.visits = cell.row, cell.told, cell.picture, 0
        return known

    def _sort_anew(self) -> None:
        """Put all cells into those of another grid."""
        cells, self.cells, self.order = self.order, {}, []
        self._sort(cells)

    def _sort(self, cells: list[Cell]) -> None:
        """Put these into the archive; of several in one place, the best stays [6]."""
        for first in range(0, len(cells), 1024):
            part = cells[first : first + 1024]
            keys = [cell.told for cell in part]
            if self.screen is not None:
                shrunk = self.screen.grid.shrink(np.stack([cell.seen() for cell in part]))
                keys = [key + picture.tobytes() for key, picture in zip(keys, shrunk, strict=True)]
            for key, cell in zip(keys, part, strict=True):
                known = self.cells.get(key)
                if known is None or cell.rank() > known.rank():
                    self._keep(key, cell)
                else:
                    self.problem.expander.store.release(cell.wave.states)

    def _told(self, found: Lanes) -> NDArray[np.uint64]:
        return self.problem.cells(found.rows, found.values, found.wave.verdicts)

    # -- telling and keeping ---------------------------------------------------------------------------

    def progress(self) -> Progress:
        """See `Method.progress`."""
        budget, store = self.budget, self.problem.expander.store
        texts = [f"{self.best.rank()[1]:g}", f"{len(self.cells):,} cells"]
        texts += [f"{len(values):,} of {text}" for text, values in self.tally.items()]
        frames = self.problem.lead_frames + self.best.steps * self.problem.section.frames
        return Progress(
            "go-explore", 0, self.best.steps, len(self.cells), self.states, self.again, 0, self.failed,
            ", ".join(texts), None if self.winner is None else frames, store.bytes, budget.elapsed,
            budget.part(self.states),
        )  # fmt: skip

    def dump(self) -> tuple[Meta, Arrays]:
        """See `Method.dump`."""
        every = [*self.order, self.best, *([self.winner] if self.winner is not None else [])]
        tree = Tree()
        meta: Meta = {
            **{name: getattr(self, name) for name in _COUNTS}, "rules": self.rules,
            "tally": {text: sorted(values) for text, values in self.tally.items()},
            "dice": self.dice.bit_generator.state, "won": self.winner is not None,
            "told": [cell.told.hex() for cell in every], "steps": [cell.steps for cell in every],
            "visits": [cell.visits for cell in every],
        }  # fmt: skip
        pictures = [np.frombuffer(cell.picture, np.uint8) for cell in every]
        arrays: Arrays = {
            "nodes": np.array([tree.add(cell.history) for cell in every], np.int64),
            "packed": np.frombuffer(
                self.problem.expander.store.pack(np.concatenate([cell.wave.states for cell in self.order])),
                np.uint8,
            ),
            "rows": np.stack([cell.row for cell in every]),
            "pictures": np.concatenate(pictures), "sizes": np.array([len(one) for one in pictures], np.int64),
        }  # fmt: skip
        arrays["tree"] = np.array(tree.nodes, np.int64).reshape(-1, 2)
        if self.screen is not None:
            grid = self.screen.grid
            meta |= {"grid": [grid.height, grid.width, grid.depth], "due": self.screen.due}
            meta |= {"screen_dice": self.screen.dice.bit_generator.state}
            arrays["samples"] = (
                np.stack(self.screen.samples) if self.screen.samples else np.zeros((0, *PICTURE))
            )
        return meta, arrays | columns("wave", Wave.join([cell.wave for cell in every]))

    def load(self, meta: Meta, arrays: Arrays, before: Names | None) -> None:
        """See `Method.load`; by other rules only the best run is taken up, and played anew."""
        for name in (*_COUNTS, "rules"):
            setattr(self, name, meta[name])
        self.dice.bit_generator.state = meta["dice"]
        histories = Tree.histories(arrays["tree"])
        self.close()
        self._begin()  # the problem may be another by now
        if before is not None:
            self.receive(lanes.path_of(histories[arrays["nodes"][-1]]))
            return
        self.tally = {text: set(values) for text, values in meta["tally"].items()}
        if self.screen is not None:
            self.screen.grid, self.screen.due = Grid(*meta["grid"]), meta["due"]
            self.screen.dice.bit_generator.state = meta["screen_dice"]
            self.screen.samples = list(arrays["samples"])
        like = self.order[0].wave
        self.close()
        states = self.problem.expander.store.unpack(arrays["packed"].tobytes())
        none = np.zeros(
            len(meta["told"]) - len(states), np.uint32
        )  # those that are remembered without a state
        wave = wave_of("wave", arrays, np.concatenate([states, none]), like)
        ends = np.cumsum(arrays["sizes"])
        every = []
        for i, told in enumerate(meta["told"]):
            picture = arrays["pictures"][ends[i] - arrays["sizes"][i] : ends[i]].tobytes()
            one, history = wave.take(slice(i, i + 1)), histories[arrays["nodes"][i]]
            cell = Cell(one, history, meta["steps"][i], arrays["rows"][i], bytes.fromhex(told), picture)
            cell.visits = meta["visits"][i]
            every.append(cell)
        self._sort(every[: len(states)])
        self.best, self.winner = every[len(states)], every[len(states) + 1] if meta["won"] else None
