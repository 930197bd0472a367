"""Runs tried side by side, each until it fails, wins or has lasted long enough; for `jerk` and `brute`.

An attempt that ends makes room for a new one, so that all lanes are always at work. They take turns in the
order of their lanes, and one generator draws for all: a seed gives the same runs on any number of threads.
"""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from frameperfect.search import lanes
from frameperfect.search.driver import Arrays, Meta, Method, Names, Steps
from frameperfect.search.generations import Wave, columns, wave_of
from frameperfect.search.problem import Problem
from frameperfect.search.result import Budget, Progress, Result, note_rules

TOGETHER = 32
A_BATCH = 16
"""Steps of all attempts in a batch."""
LONGEST = 4500
"""Steps of an attempt where the search says nothing: an episode of the Retro contest."""

Rank = tuple[int, int, float, int]
"""Greater is better: wins, checkpoints, score, and the fewer steps; of two that win, steps alone count."""
WORST: Rank = (-1, 0, 0.0, 0)


def rank_of(wave: Wave, lane: int, steps: int) -> Rank:
    """The rank of a lane's state after `steps` inputs."""
    verdicts = wave.verdicts
    if verdicts.failed[lane]:
        return WORST
    if verdicts.won[lane]:
        return 1, 0, 0.0, -steps
    return 0, int(verdicts.passed[lane]), float(verdicts.score[lane]), -steps


@dataclass
class Attempt:
    """A run under way."""

    path: list[int]
    """The actions so far."""
    mind: Meta = field(default_factory=dict)
    """What the method remembers of it, as plain values."""
    best: Rank = WORST
    """Its best moment."""
    best_steps: int = 0


class Attempts(Method):
    """What both have in common. A subclass says where attempts begin, what is pressed, what is learned."""

    def __init__(self, problem: Problem, budget: Budget, seed: int) -> None:
        self.problem, self.budget, self.seed = problem, budget, seed
        self.dice = np.random.default_rng(seed)
        self.states = self.failed = self.ended = 0
        self.rules: dict[str, int] = {}
        self.best: Rank = WORST
        self.path = np.zeros(0, np.uint32)
        """The way to the best moment of all."""
        first = lanes.start(problem)
        problem.expander.store.rebase(problem.root)
        self.root = first.wave
        self.running: list[Attempt] = []
        self.wave = first.wave.take(slice(0, 0))

    # -- what a method is --------------------------------------------------------------------------

    @abstractmethod
    def begin(self) -> tuple[Attempt, Wave]:
        """A new attempt and the state it begins at, a wave of one; what it shares stays held elsewhere."""

    @abstractmethod
    def press(self, attempt: Attempt, choice: int) -> int:
        """What it presses now; `choice` says which of the problem's sets it may press."""

    @abstractmethod
    def reached(self, attempt: Attempt, rank: Rank, wave: Wave, lane: int) -> None:
        """It made a step to a state of that rank, the lane of `wave`, which is held during this call."""

    @abstractmethod
    def end(self, attempt: Attempt, better: bool) -> None:
        """It is over; `better`: its best moment is now the best of all."""

    # -- running -----------------------------------------------------------------------------------

    @property
    def limit(self) -> int:
        """Steps of an attempt; one as long as the fastest that wins is no use."""
        longest = self.problem.section.steps or LONGEST
        return min(longest, -self.best[3] - 1) if self.best[0] == 1 else longest

    def over(self) -> str:
        """See `Method.over`."""
        return "won" if self.limit < 1 else ""

    def advance(self) -> None:
        """See `Method.advance`."""
        for _ in range(A_BATCH):
            if self.limit < 1:
                return
            self._fill()
            self._step()

    def _fill(self) -> None:
        waves = [self.wave] if len(self.wave) else []
        while len(self.running) < TOGETHER:
            attempt, wave = self.begin()
            self.problem.expander.store.hold(wave.states)
            self.running.append(attempt)
            waves.append(wave)
        self.wave = Wave.join(waves)

    def _step(self) -> None:
        store = self.problem.expander.store
        choices = self.wave.verdicts.choice.tolist()
        pressed = [self.press(one, choice) for one, choice in zip(self.running, choices, strict=True)]
        numbers = np.array([len(one.path) + 1 for one in self.running], np.int64)
        found = lanes.step(self.problem, self.wave, np.array(pressed, np.uint32), numbers)
        store.release(self.wave.states)
        self._count(found)
        on = np.zeros(len(pressed), bool)
        for lane, (attempt, action) in enumerate(zip(self.running, pressed, strict=True)):
            attempt.path.append(action)
            rank = rank_of(found.wave, lane, len(attempt.path))
            if rank > attempt.best:
                attempt.best, attempt.best_steps = rank, len(attempt.path)
            self.reached(attempt, rank, found.wave, lane)
            on[lane] = rank[0] == 0 and len(attempt.path) < self.limit
            if not on[lane]:
                self._conclude(attempt)
        store.release(found.wave.states[~on])
        self.wave = found.wave.take(np.flatnonzero(on))
        self.running = [one for one, goes_on in zip(self.running, on.tolist(), strict=True) if goes_on]

    def _conclude(self, attempt: Attempt) -> None:
        self.ended += 1
        better = attempt.best > self.best
        if better:
            self.best = attempt.best
            self.path = np.array(attempt.path[: attempt.best_steps], np.uint32)
        self.end(attempt, better)

    def _count(self, found: lanes.Lanes) -> None:
        self.states += len(found.wave)
        self.failed += int(np.count_nonzero(found.wave.verdicts.failed))
        for name, column in found.values.items():
            if column.dtype == bool:
                self.rules[name] = self.rules.get(name, 0) + int(np.count_nonzero(column))

    # -- telling -----------------------------------------------------------------------------------

    def _leader(self) -> tuple[Rank, NDArray[np.uint32]]:
        """The best moment of all attempts, those under way among them, and the way there."""
        best, path = self.best, self.path
        for one in self.running:
            if one.best > best:
                best, path = one.best, np.array(one.path[: one.best_steps], np.uint32)
        return best, path

    def best_path(self) -> Steps | None:
        """See `Method.best_path`."""
        rank, path = self._leader()
        return path if rank > WORST else None

    def progress(self) -> Progress:
        """See `Method.progress`."""
        rank, path = self._leader()
        frames = self.problem.lead_frames + len(path) * self.problem.section.frames
        return Progress(
            self.name, 0, max((len(one.path) for one in self.running), default=0), len(self.running),
            self.states, 0, 0, self.failed, f"{rank[2]:g}, {self.ended:,} attempts",
            frames if rank[0] == 1 else None, self.problem.expander.store.bytes,
            self.budget.elapsed, self.budget.part(self.states),
        )  # fmt: skip

    def result(self, stopped: str) -> Result:
        """See `Method.result`."""
        rank, path = self._leader()
        won = rank[0] == 1
        what = "wins" if won else "does not win"
        result = Result(
            method=self.name, won=won, path=path, score=rank[2] if rank > WORST else -np.inf,
            stopped=stopped, optimal=False,
            claim=f"the best of {self.ended:,} attempts {what}; not proven to be optimal",
            states=self.states, duplicates=0, dropped=0, failed=self.failed, seconds=self.budget.elapsed,
            rules=self.rules,
        )  # fmt: skip
        result.notes = note_rules(self.rules, self.states, self.problem, won)
        return result

    def close(self) -> None:
        """See `Method.close`."""
        store = self.problem.expander.store
        for wave in (self.root, self.wave, *self.held()):
            store.release(wave.states)
        self.root = self.wave = self.wave.take(slice(0, 0))
        self.running = []

    # -- as a file ---------------------------------------------------------------------------------

    @abstractmethod
    def held(self) -> list[Wave]:
        """The states that the method holds beside those of the attempts, in an order of its own."""

    @abstractmethod
    def remember(self, meta: Meta, arrays: Arrays, held: list[Wave]) -> None:
        """Take up what `dump` of the subclass told; `held` are the waves of one that `held` gave, held."""

    def dump(self) -> tuple[Meta, Arrays]:
        """See `Method.dump`; a subclass adds what it knows."""
        every = Wave.join([self.wave, *self.held()])
        meta: Meta = {
            "states": self.states, "failed": self.failed, "ended": self.ended, "rules": self.rules,
            "best": self.best, "dice": self.dice.bit_generator.state,
            "attempts": [[one.mind, one.best, one.best_steps, len(one.path)] for one in self.running],
        }  # fmt: skip
        paths = [np.array(one.path, np.uint32) for one in self.running]
        arrays: Arrays = {
            "path": self.path, "paths": np.concatenate([np.zeros(0, np.uint32), *paths]),
            "packed": np.frombuffer(self.problem.expander.store.pack(every.states), np.uint8),
        }  # fmt: skip
        return meta, arrays | columns("wave", every)

    def load(self, meta: Meta, arrays: Arrays, before: Names | None) -> None:
        """See `Method.load`; by other rules only the best run is taken up, and played anew."""
        for name in ("states", "failed", "ended", "rules"):
            setattr(self, name, meta[name])
        self.dice.bit_generator.state = meta["dice"]
        if not len(self.root):
            self.root = lanes.start(self.problem).wave
        self.best, self.path, self.running = WORST, np.zeros(0, np.uint32), []
        if before is not None:
            self.receive(arrays["path"])
            return
        self.best, self.path = _rank(meta["best"]), arrays["path"]
        states = self.problem.expander.store.unpack(arrays["packed"].tobytes())
        every = wave_of("wave", arrays, states, self.root)
        self.running, at = [], 0
        for mind, best, best_steps, length in meta["attempts"]:
            path = arrays["paths"][at : at + length].tolist()
            self.running.append(Attempt(path, mind, _rank(best), best_steps))
            at += length
        count = len(self.running)
        self.wave = every.take(slice(0, count))
        self.remember(meta, arrays, [every.take(slice(i, i + 1)) for i in range(count, len(every))])

    def receive(self, path: Steps) -> None:
        """See `Method.receive`: it counts as an attempt."""
        attempt = Attempt([], self.mind_of_another())
        for steps, here in enumerate(lanes.walk(self.problem, path.tolist())):
            rank = rank_of(here.wave, 0, steps)
            if steps:
                attempt.path.append(int(path[steps - 1]))
                if rank > attempt.best:
                    attempt.best, attempt.best_steps = rank, steps
                self.reached(attempt, rank, here.wave, 0)
            if rank[0]:
                break
        self._conclude(attempt)

    def mind_of_another(self) -> Meta:
        """What the method remembers of a run that it did not make."""
        return {}


def _rank(told: Any) -> Rank:
    wins, passed, score, steps = told
    return wins, passed, score, steps
