"""How every method runs: a batch, a word on how it goes, a look at who wants it to stop; and how it is kept.

A method is what a search knows and its next batch; the driver is all that methods have in common: budgets,
checkpoints and going on from them, pauses, and rules that were edited in between.
"""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypedDict

import numpy as np
from numpy.typing import NDArray

from frameperfect.errors import FrameperfectError, SearchError
from frameperfect.search.checkpoint import Checkpoint, KeepingFailed, require_equal
from frameperfect.search.problem import Problem
from frameperfect.search.result import Budget, Progress, Result, Stop, Tell, Watch

if TYPE_CHECKING:
    from typing_extensions import Unpack

Steps = NDArray[np.uint32]
Meta = dict[str, Any]
Arrays = dict[str, NDArray[Any]]

Names = Mapping[str, list[str]]

Pause = Callable[["Driver"], None]
"""Called after each batch: returns when the search may go on; it may `edit` the rules."""


class Method(ABC):
    """A search under way. What it finds depends on the problem, the seed and its settings alone."""

    name: str
    problem: Problem
    budget: Budget
    seed: int
    states: int
    """New states so far."""
    edits: int = 0
    """How often its rules were edited."""

    def settings(self) -> Meta:
        """What decides what it finds, beside the problem and the seed; two that differ are two searches."""
        return {"memory": self.budget.memory}

    @abstractmethod
    def advance(self) -> None:
        """One batch."""

    @abstractmethod
    def over(self) -> str:
        """Why it ends by itself, or nothing."""

    @abstractmethod
    def progress(self) -> Progress:
        """How it goes."""

    @abstractmethod
    def result(self, stopped: str) -> Result:
        """What it found."""

    @abstractmethod
    def dump(self) -> tuple[Meta, Arrays]:
        """All of it, as plain values and arrays."""

    @abstractmethod
    def load(self, meta: Meta, arrays: Arrays, before: Names | None) -> None:
        """Go on where `dump` of an equal search was made.

        `before`: where its rules were others, what their progress was called (`Problem.progress_names`).

        Raises:
            FrameperfectError: it can't go on by these rules.
        """

    @abstractmethod
    def close(self) -> None:
        """Let go of the states."""

    def best_path(self) -> Steps | None:
        """The fastest run that wins, or the way to the best state; None where there is none yet."""
        return None

    @property
    def ready(self) -> bool:
        """Whether it can `receive` now."""
        return True

    def receive(self, path: Steps) -> None:  # noqa: B027
        """A path that another search found good, or an earlier session by other rules: make use of it."""


class Driver:
    """Runs a method to its end, or for a while."""

    def __init__(
        self,
        method: Method,
        *,
        watch: Watch | None = None,
        stop: Stop | None = None,
        pause: Pause | None = None,
        tell: Tell | None = None,
        checkpoint: Path | None = None,
        resume: bool = False,
    ) -> None:
        """Go on from the checkpoint, if that is wanted.

        Args:
            method: what to run; closed with `close`, or by `finish`.
            watch: called after each batch.
            stop: asked after each batch; true ends the search with what it has.
            pause: called after each batch.
            tell: hears, in a sentence, what the user should know at once.
            checkpoint: a file to keep the search in, written every so often and at the end. Where that fails
                the search goes on, and tries again later.
            resume: go on from that file.

        Raises:
            SearchError: the checkpoint is missing, damaged, or another search's.
        """
        self.method, self._watch, self._stop, self._pause = method, watch, stop, pause
        self._tell = tell
        self.trouble = ""
        """Why it could not be kept the last time; nothing where it was."""
        self.edited = False
        """Whether the rules are not those that the checkpoint was written with."""
        self.checkpoint = None
        if checkpoint is not None:
            self.checkpoint = Checkpoint(checkpoint, self._identity())
        if resume:
            if self.checkpoint is None:
                raise SearchError("to go on with a search, name its checkpoint")
            told, arrays, rules = self.checkpoint.read()
            self._put(told, arrays, rules)

    def run(self, until: Callable[[], bool] | None = None) -> str:
        """Run until it is over, and say why; or until `until`, and say nothing."""
        method = self.method
        while not (until is not None and until()):
            stopped = method.over() or method.budget.over(method.states)
            stopped = stopped or ("interrupt" if self._stop is not None and self._stop() else "")
            if stopped:
                return stopped
            method.advance()
            if self._watch is not None:
                self._watch(method.progress())
            if self._pause is not None:
                began, begun = time.monotonic(), method.budget.begun
                self._pause(self)
                if method.budget.begun == begun:  # otherwise it was edited, and its clock is set anew
                    method.budget.begun += time.monotonic() - began
            if self.checkpoint is not None and self.checkpoint.due:
                self._keep()
        return ""

    def finish(self) -> Result:
        """Run to the end, keep it, and let go of everything."""
        try:
            stopped = self.run()
            result = self.method.result(stopped)
            if self.checkpoint is not None:
                self._keep()
            return result
        finally:
            self.method.close()

    # -- keeping -----------------------------------------------------------------------------------

    def _identity(self) -> Meta:
        method = self.method
        own = {"method": method.name, "seed": method.seed, **method.settings()}
        return {**method.problem.place, **own}

    def write(self) -> None:
        """Keep the search as it is.

        Raises:
            KeepingFailed: it can't be written.
        """
        assert self.checkpoint is not None
        self.checkpoint.write(*self._take())

    def _keep(self) -> None:
        """The same; a full disk costs no more than the checkpoint."""
        try:
            self.write()
            self.trouble = ""
        except KeepingFailed as wrong:
            self.trouble = str(wrong)
            if self._tell is not None:
                self._tell(self.trouble)

    def _take(self) -> tuple[Meta, Arrays, str]:
        meta, arrays = self.method.dump()
        problem = self.method.problem
        told = {
            "search": meta, "seconds": self.method.budget.elapsed, "edits": self.method.edits,
            "masks": problem.masks.tolist(), "progress": problem.progress_names,
        }  # fmt: skip
        return told, arrays, problem.identity

    def _put(self, told: Meta, arrays: Arrays, rules: str) -> None:
        method = self.method
        method.problem.number_actions(np.array(told["masks"], np.uint32))
        self.edited = rules != method.problem.identity
        method.edits = told["edits"] + self.edited
        method.budget.spent, method.budget.begun = told["seconds"], time.monotonic()
        method.load(told["search"], arrays, told["progress"] if self.edited else None)

    def edit(self) -> bool:
        """Read the rules again and go on by them; whether they have changed.

        Raises:
            FrameperfectError: they are wrong, or what changed can't change in mid-search; all is as it was.
        """
        problem = self.method.problem
        fresh = problem.reread()
        if fresh is None:
            return False
        try:
            require_equal(problem.place, fresh.place, "this can't change in mid-search")
        except SearchError:
            fresh.close()
            raise
        kept = self._take()
        self.method.close()
        problem.exchange(fresh)
        try:
            self._put(*kept)
        except FrameperfectError:
            self.method.close()
            problem.exchange(fresh)
            self._put(*kept)
            raise
        finally:
            fresh.close()
        return True


class Running(TypedDict, total=False):
    """How a search runs, whichever it is: keywords of them all, as `Driver` takes them."""

    watch: Watch | None
    stop: Stop | None
    pause: Pause | None
    tell: Tell | None
    checkpoint: Path | None
    resume: bool


def run(method: Method, **running: Unpack[Running]) -> Result:
    """Run a method to its end."""
    return Driver(method, **running).finish()
