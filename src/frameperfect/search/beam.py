"""Beam search: generation by generation, the best states of each, after JaffarPlus' way of bounding memory.

Every state of a generation has as many inputs behind it, so the first generation with a state that wins is
the fastest found. How many are kept decides what is missed. Where nobody says, the width grows round by round
until the budget is used up or a round has dropped nothing, and what that round says is proven.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from frameperfect.search import lanes
from frameperfect.search.driver import Arrays, Meta, Method, Names, Running, run
from frameperfect.search.generations import Best, Generations
from frameperfect.search.problem import Problem
from frameperfect.search.result import Budget, Progress, Result, note_rules

if TYPE_CHECKING:
    from typing_extensions import Unpack

FIRST_WIDTH = 32
GROWTH = 4
STALE = 512
"""Generations without a better state that end a round of a growing search; twice as many each round."""


def beam(
    problem: Problem,
    budget: Budget | None = None,
    *,
    seed: int = 0,
    width: int | None = None,
    **running: Unpack[Running],
) -> Result:
    """Look for the fastest run that wins, or without `win` for the greatest `prefer` within `steps`.

    For a seed the result is the same on any number of threads, as long as the budget is not one of time.

    Args:
        problem: what to look for.
        budget: when to stop; its memory bounds states, hashes and histories together.
        seed: decides between states of equal rank.
        width: the most states of a generation, instead of the problem's own.
        running: how it runs, as `driver.Driver` has it: `watch`, `stop`, `pause`, `tell`, `checkpoint`,
            `resume`.

    Raises:
        SearchError: the memory does not hold one batch, or the checkpoint is another search's.
    """
    return run(Rounds(problem, budget or Budget(), seed, width), **running)


class Rounds(Method):
    """Rounds of generations, each wider than the last; an exact search is one round without a width."""

    def __init__(
        self, problem: Problem, budget: Budget, seed: int, width: int | None, exact: bool = False
    ) -> None:
        self.problem, self.budget, self.seed = problem, budget, seed
        self.width = None if exact else width or problem.section.width
        self.exact, self.name = exact, "exhaustive" if exact else "beam"
        self.growing = not exact and self.width is None
        self.round = 0
        self.winner: Best | None = None
        self.best: Best | None = None
        self.before = {"states": 0, "duplicates": 0, "failed": 0, "dropped": 0}
        self.rules: dict[str, int] = {}
        self.improved = 0
        self.now = self._begin()

    def _begin(self) -> Generations:
        width = FIRST_WIDTH * GROWTH**self.round if self.growing else self.width
        self.improved = 0
        return Generations(
            self.problem, width=width, seed=self.seed, memory=self.budget.memory, exact=self.exact
        )

    def settings(self) -> Meta:
        """See `Method.settings`."""
        return {**super().settings(), "width": self.width}

    @property
    def states(self) -> int:  # type: ignore[override]
        """New states of all rounds."""
        return self._total("states")

    def over(self) -> str:
        """See `Method.over`; a round that ends gives way to a wider one."""
        while over := self._round_is_over():
            stopped = self._next_round(over)
            if stopped:
                return stopped
        return ""

    def advance(self) -> None:
        """See `Method.advance`."""
        best = self.now.best.key()
        self.now.advance()
        if self.now.best.key()[:2] > best[:2]:
            self.improved = self.now.step

    def close(self) -> None:
        """See `Method.close`."""
        self.now.close()

    # -- rounds ------------------------------------------------------------------------------------

    def _round_is_over(self) -> str:
        """Why this round ends here, or nothing."""
        now = self.now
        if now.full:
            return "memory"
        if not now.complete:
            return ""
        if now.winner is not None:
            return "won"
        if not len(now.wave):
            return "exhausted"
        steps = self.problem.section.steps
        if steps is not None and now.step >= steps:
            return "steps"
        # A run that is no faster than the one known is not worth looking for.
        if self.winner is not None and now.step >= self.winner.step - 1:
            return "no faster"
        if self.growing and now.step - self.improved >= STALE << self.round:
            return "stale"
        return ""

    def _next_round(self, over: str) -> str:
        """Keep what this round found; begin a wider one, or say why the search ends."""
        self._keep_best()
        # A wider round can find more only if it was the width that states were dropped for.
        if self.growing and (self.now.narrow or over == "stale"):
            for name in self.before:
                self.before[name] += getattr(self.now, name)
            self.rules = self._all_rules()
            self.now.close()
            self.round += 1
            self.now = self._begin()
            return ""
        return "won" if over == "no faster" else over

    def _keep_best(self) -> None:
        if self.best is None or self.now.best.key() > self.best.key():
            self.best = self.now.best
        winner = self.now.winner
        if winner is not None and (
            self.winner is None or (winner.step, *_worse(winner)) < (self.winner.step, *_worse(self.winner))
        ):
            self.winner = winner

    def _all_rules(self) -> dict[str, int]:
        """How often each rule held, in all rounds."""
        return {name: self.rules.get(name, 0) + count for name, count in self.now.rules.items()}

    # -- telling -----------------------------------------------------------------------------------

    def _total(self, name: str) -> int:
        return self.before[name] + int(getattr(self.now, name))

    def progress(self) -> Progress:
        """See `Method.progress`."""
        now, budget = self.now, self.budget
        best = max((b for b in (self.best, now.best) if b is not None), key=Best.key)
        winner = now.winner or self.winner
        seconds, states = budget.elapsed, self.states
        checkpoints = len(self.problem.section.checkpoints)
        told = f"{best.score:g}" + (f", checkpoint {best.passed} of {checkpoints}" if checkpoints else "")
        return Progress(
            self.name, self.round, now.step, len(now.wave), states, self._total("duplicates"),
            self._total("dropped"), self._total("failed"), told,
            None if winner is None else self.problem.lead_frames + winner.step * self.problem.section.frames,
            self.problem.expander.store.bytes + now.seen.bytes + now.trie.bytes, seconds, budget.part(states),
        )  # fmt: skip

    def result(self, stopped: str) -> Result:
        """See `Method.result`."""
        self._keep_best()
        rules = self._all_rules()
        problem, now = self.problem, self.now
        assert self.best is not None
        found = self.winner or self.best
        won = self.winner is not None
        whole = now.dropped == 0 and now.seen.forgotten == 0 and not now.edited
        optimal = whole and (
            stopped == "won"
            or (stopped == "steps" and problem.section.win is None)
            or (stopped == "exhausted" and problem.section.win is None)
        )
        states = self.states
        result = Result(
            method=self.name, won=won, path=found.path, score=found.score, stopped=stopped, optimal=optimal,
            claim=self._claim(stopped, found, whole, optimal), states=states,
            duplicates=self._total("duplicates"), dropped=self._total("dropped"),
            failed=self._total("failed"), seconds=self.budget.elapsed,
            rules=rules,
        )  # fmt: skip
        result.notes = note_rules(rules, states, problem, won)
        return result

    def _claim(self, stopped: str, found: Best, whole: bool, optimal: bool) -> str:
        section, now = self.problem.section, self.now
        held = f", each held for {section.frames} frames" if section.frames > 1 else ""
        apart = (
            "all memory tells states apart"
            if not section.same
            else f"states told apart by {', '.join(section.same)}"
        )
        if self.problem.pinned is not None:
            apart += "; only runs near the pinned movie count"
        if optimal and self.winner is not None:
            return f"optimal: no run of fewer than {found.step} inputs{held} wins; {apart}, none was dropped"
        if optimal:
            return f"optimal: nothing within {now.step} inputs{held} scores more; {apart}, none was dropped"
        if self.winner is None and whole and stopped in ("exhausted", "steps"):
            upto = f" of up to {now.step} inputs{held}" if stopped == "steps" else held
            return f"no run{upto} wins; {apart}, none was dropped"
        if self.winner is None and stopped == "memory":
            return f"not proven: the memory is full after {now.step} inputs, up to which no run wins"
        width = f" of width {now.width:,}" if now.width is not None else ""
        lost = (
            "the rules were edited on the way"
            if now.edited
            else f"the last round{width} dropped {now.dropped:,} of {now.states:,} states"
            if now.dropped
            else "it was not searched to the end"
        )
        return f"not proven to be optimal: {lost}"

    def best_path(self) -> NDArray[np.uint32] | None:
        """See `Method.best_path`."""
        winner = min((b for b in (self.winner, self.now.winner) if b is not None), key=_steps, default=None)
        return (winner or self.now.best).path

    @property
    def ready(self) -> bool:
        """See `Method.ready`: between its generations."""
        return self.now.complete

    def receive(self, path: NDArray[np.uint32]) -> None:
        """See `Method.receive`: a run that wins bounds this one; any is joined at this generation."""
        for step, here in enumerate(lanes.walk(self.problem, path.tolist())):
            verdicts = here.wave.verdicts
            if verdicts.failed[0]:
                return
            if step == self.now.step and len(self.now.wave):
                self.now.join(here, path[:step])
            if verdicts.won[0]:
                best = Best(int(verdicts.passed[0]), float(verdicts.score[0]), 0, step, path[:step])
                if self.winner is None or step < self.winner.step:
                    self.winner = best
                return

    # -- as a file ---------------------------------------------------------------------------------

    def dump(self) -> tuple[Meta, Arrays]:
        """See `Method.dump`."""
        meta, arrays = self.now.dump()
        mine: Meta = {
            "round": self.round, "before": self.before, "rules": self.rules, "improved": self.improved,
            "now": meta,
        }  # fmt: skip
        for name, best in (("winner", self.winner), ("best", self.best)):
            mine[name] = best and best.told()
            if best is not None:
                arrays[f"rounds.{name}"] = best.path
        return mine, arrays

    def load(self, meta: Meta, arrays: Arrays, before: Names | None) -> None:
        """See `Method.load`."""
        self.round, self.before, self.rules = meta["round"], meta["before"], meta["rules"]
        self.now.close()
        self.now = self._begin()
        self.improved = meta["improved"]
        for name in ("winner", "best"):
            if meta[name] is not None:
                setattr(self, name, Best.from_told(meta[name], arrays[f"rounds.{name}"]))
        self.now.load(meta["now"], arrays, before)
        if before is not None:
            self._judge_anew([best for best in (self.winner, self.best) if best is not None])

    def _judge_anew(self, known: Sequence[Best]) -> None:
        """What earlier rounds found by other rules, played by these."""
        self.winner = self.best = None
        for one in known:
            for step, here in enumerate(lanes.walk(self.problem, one.path.tolist())):
                verdicts = here.wave.verdicts
                if verdicts.failed[0]:
                    break
                rank = int(verdicts.passed[0]), float(verdicts.score[0]), 0
                best = Best(*rank, step, one.path[:step])
                if self.best is None or best.key() > self.best.key():
                    self.best = best
                if verdicts.won[0]:
                    if self.winner is None or step < self.winner.step:
                        self.winner = best
                    break


def _steps(best: Best) -> int:
    return best.step


def _worse(best: Best) -> tuple[float, float, int]:
    return -best.passed, -best.score if math.isfinite(best.score) else math.inf, best.tie
