"""JERK, "just enough retained knowledge": forward, back where that gains nothing, and the best run again.

Followed: A. Nichol et al., "Gotta Learn Fast" (2018, arXiv:1804.03720), whose baseline it is: forward for 100
steps, with now and then a jump of 4; back for 70 where the score did not grow; and so on until the attempt
ends. With a chance of 0.25 + t / T, where t / T is the part of the budget that is used up, the best run so
far is played again instead of a new one.

One thing differs. The contest's games answered at random, so playing a run again showed what it is worth.
Here a run gives the same every time, and playing it again would show nothing: an attempt begins at one of
its moments instead, half of the time the last at which a move began, a quarter of the time the one before,
and so on.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from frameperfect.errors import SearchError, Unsupported
from frameperfect.search.attempts import Attempt, Attempts, Rank
from frameperfect.search.driver import Arrays, Meta, Names, Running, run
from frameperfect.search.generations import Wave
from frameperfect.search.problem import Problem
from frameperfect.search.result import Budget, Result

if TYPE_CHECKING:
    from typing_extensions import Unpack

FORWARD, BACK = 100, 70
"""Steps of a move."""
TAP, TAP_STEPS = 0.1, 4
"""The chance of a jump at a step, and how long it is held."""
EXPLOIT = 0.25


def jerk(
    problem: Problem,
    budget: Budget | None = None,
    *,
    seed: int = 0,
    **running: Unpack[Running],
) -> Result:
    """Try until the budget is used up; the fastest run that wins, or else the way to the best state.

    Arguments as `beam` has them.

    Raises:
        SearchError: nobody said what goes forward and back, and `actions` do not show it.
    """
    return run(Jerk(problem, budget or Budget(seconds=60), seed), **running)


class Jerk(Attempts):
    """An attempt's mind: its move, what is left of it and of a jump, the rank it began at, and its marks."""

    name = "jerk"

    def __init__(self, problem: Problem, budget: Budget, seed: int) -> None:
        self.ways = _ways(problem)
        self.marks: list[tuple[int, Wave]] = []
        """Moments of the best run at which moves began: steps, and the state, held."""
        self.theirs: dict[int, list[tuple[int, Wave]]] = {}
        """The same of the attempts under way, by their number."""
        self.count = 0
        super().__init__(problem, budget, seed)

    def begin(self) -> tuple[Attempt, Wave]:
        """See `Attempts.begin`."""
        mind = self.mind_of_another()
        if self.marks and self.dice.random() < EXPLOIT + self.budget.part(self.states):
            fit = [place for place, (steps, _) in enumerate(self.marks) if steps < self.limit]
            back = int(self.dice.geometric(0.5)) - 1
            if fit:
                place = fit[max(0, len(fit) - 1 - back)]
                self._hold(mind, self.marks[: place + 1])
                steps, wave = self.marks[place]
                return Attempt(self.path[:steps].tolist(), mind), wave
        return Attempt([], mind), self.root

    def mind_of_another(self) -> Meta:
        """See `Attempts.mind_of_another`."""
        self.count += 1
        self.theirs[self.count] = []
        return {"number": self.count, "way": 0, "left": FORWARD, "tap": 0, "tapped": 0, "from": None}

    def press(self, attempt: Attempt, choice: int) -> int:
        """See `Attempts.press`; the same is pressed in every state."""
        mind = attempt.mind
        held, *taps = self.ways[mind["way"]]
        if mind["tap"]:
            mind["tap"] -= 1
            return int(mind["tapped"])
        if taps and self.dice.random() < TAP:
            mind["tap"], mind["tapped"] = TAP_STEPS - 1, taps[int(self.dice.integers(len(taps)))]
            return int(mind["tapped"])
        return held

    def reached(self, attempt: Attempt, rank: Rank, wave: Wave, lane: int) -> None:
        """See `Attempts.reached`: after a move forward that gained nothing the next is back."""
        mind = attempt.mind
        if mind["from"] is None:
            mind["from"] = list(rank[:3])
        mind["left"] -= 1
        if mind["left"]:
            return
        way = 1 if mind["way"] == 0 and not list(rank[:3]) > mind["from"] else 0
        mind |= {"way": way, "left": BACK if way else FORWARD, "tap": 0, "from": list(rank[:3])}
        if rank[0] == 0:
            self._hold(mind, [(len(attempt.path), wave.take(slice(lane, lane + 1)))])

    def _hold(self, mind: Meta, marks: list[tuple[int, Wave]]) -> None:
        for _, wave in marks:
            self.problem.expander.store.hold(wave.states)
        self.theirs[mind["number"]] += marks

    def end(self, attempt: Attempt, better: bool) -> None:
        """See `Attempts.end`: the best run's marks are kept."""
        marks = self.theirs.pop(attempt.mind["number"])
        gone = marks
        if better:
            gone = self.marks + [one for one in marks if one[0] >= attempt.best_steps]
            self.marks = [one for one in marks if one[0] < attempt.best_steps]
        for _, wave in gone:
            self.problem.expander.store.release(wave.states)

    # -- as a file ---------------------------------------------------------------------------------

    def held(self) -> list[Wave]:
        """See `Attempts.held`."""
        every = [self.marks, *(self.theirs[number] for number in sorted(self.theirs))]
        return [wave for marks in every for _, wave in marks]

    def dump(self) -> tuple[Meta, Arrays]:
        """See `Method.dump`."""
        meta, arrays = super().dump()
        steps = {str(number): [at for at, _ in self.theirs[number]] for number in sorted(self.theirs)}
        return meta | {"marks": [at for at, _ in self.marks], "theirs": steps, "count": self.count}, arrays

    def load(self, meta: Meta, arrays: Arrays, before: Names | None) -> None:
        """See `Method.load`."""
        self.ways, self.marks, self.theirs = _ways(self.problem), [], {}
        super().load(meta, arrays, before)

    def remember(self, meta: Meta, arrays: Arrays, held: list[Wave]) -> None:
        """See `Attempts.remember`."""
        left = iter(held)
        self.marks = [(at, next(left)) for at in meta["marks"]]
        steps = {int(number): marks for number, marks in meta["theirs"].items()}
        self.theirs = {number: [(at, next(left)) for at in steps[number]] for number in sorted(steps)}
        self.count = meta["count"]


def _ways(problem: Problem) -> tuple[list[int], list[int]]:
    """The actions forward and back: the first of each is held, the others are tapped."""
    section = problem.section
    if section.jerk is not None:
        try:
            return _numbers(problem, section.jerk.forward), _numbers(problem, section.jerk.back)
        except Unsupported as wrong:
            raise SearchError(f"{problem.where} jerk: {wrong}") from None
    forward, back = _guess(problem, "right"), _guess(problem, "left")
    if not forward or not back:
        raise SearchError(
            f"{problem.where}: jerk goes forward and back, and 'actions' have no Right and Left to "
            f"guess them from; add [search.{problem.name}.jerk] with forward = [...] and back = [...]"
        )
    return forward, back


def _guess(problem: Problem, way: str) -> list[int]:
    """Of the actions those that hold `way`; the one with fewest buttons is held."""
    found = [n for n, name in enumerate(problem.names) if way in name.lower().split()]
    return sorted(found, key=lambda n: (len(problem.names[n].split()), n))


def _numbers(problem: Problem, combinations: list[str]) -> list[int]:
    """Their places in the problem's masks, which take up those they lack."""
    pad, ports = problem.expander.controllers[0], problem.masks.shape[1]
    masks = np.zeros((len(combinations), ports), np.uint32)
    masks[:, 0] = [pad.mask(one) for one in combinations]
    problem.number_actions(np.concatenate([problem.masks, masks]))
    known = {tuple(mask): number for number, mask in enumerate(problem.masks.tolist())}
    return [known[tuple(mask)] for mask in masks.tolist()]
