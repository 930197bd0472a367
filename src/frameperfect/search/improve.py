"""Improve a run that wins: chop, press, ablate, splice, and search windows of it anew.

- chop: leave a stretch of inputs out; what was built on it often still works, only earlier. The last input is
  then held on for almost as long: who lost less time there than was left out has some way to go.
- press: do something else for a while.
- ablate: leave a press out, one button for a while; a run that presses less is easier to change.
- splice: the beginning of one run and the end of another, where both pass through an equal state.
- window: between two moments of the run, search for a faster way to a state equal to the later one.

A change counts if the run, played on to its end, then wins sooner, or as soon with less pressed.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from frameperfect.errors import SearchError
from frameperfect.movie import Movie
from frameperfect.movie.movie import remap
from frameperfect.search import lanes
from frameperfect.search.driver import Arrays, Meta, Method, Names, Running, run
from frameperfect.search.generations import Generations, Wave
from frameperfect.search.problem import Problem
from frameperfect.search.result import Budget, Progress, Result

if TYPE_CHECKING:
    from typing_extensions import Unpack

TOGETHER = 32
"""Changes played side by side."""
KINDS = ("chop", "press", "ablate", "window")
LONGEST_CHOP = 24
LONGEST_WINDOW = 24
WINDOW_WIDTH = 64
PATIENCE = 40
"""Batches of changes without a gain after which the run is left as it is."""

_KEPT = ("states", "failed", "first", "gains", "quiet")

Path = NDArray[np.uint32]
"""(steps,) actions, places in `Problem.masks`."""


@dataclass
class _Run:
    """A path that wins, and the state before each step and after the last."""

    path: Path
    wave: Wave
    hashes: NDArray[np.uint64]

    def rank(self, masks: NDArray[np.uint32]) -> tuple[int, int]:
        """Less is better: steps, then buttons held."""
        return len(self.path), int(np.unpackbits(masks[self.path].view(np.uint8)).sum())


def improve(
    problem: Problem,
    movie: Movie,
    others: Sequence[Movie] = (),
    budget: Budget | None = None,
    *,
    seed: int = 0,
    **running: Unpack[Running],
) -> Result:
    """Make `movie`, a run from the problem's start, shorter; `others` are runs to splice it with.

    The other arguments are as `beam` has them.

    Raises:
        SearchError: the problem has no goal; the movie starts elsewhere, presses what the search may not, or
            does not win.
    """
    return run(Improver(problem, budget or Budget(seconds=60), seed, [movie, *others]), **running)


class Improver(Method):
    """A run, and what is tried to better it: a batch is some changes of one kind."""

    name = "improve"

    def __init__(self, problem: Problem, budget: Budget, seed: int, movies: Sequence[Movie]) -> None:
        if problem.section.win is None:
            raise SearchError(f"{problem.where}: to improve a run there must be a goal, 'win'")
        self.problem, self.budget, self.seed = problem, budget, seed
        self.dice = np.random.default_rng(seed)
        self.states = self.failed = 0
        self.gains: dict[str, int] = {}
        self.quiet = 0
        """Batches since the last gain."""
        paths = [self._path(movie) for movie in movies]
        self.given = [hashlib.blake2b(path.tobytes(), digest_size=8).hexdigest() for path in paths]
        self.best = self._follow(paths[0])
        self.first = len(self.best.path)
        for path in paths[1:]:
            self.best = self._splice(self.best, self._follow(path))

    def settings(self) -> Meta:
        """See `Method.settings`."""
        return {**super().settings(), "movies": self.given}

    def over(self) -> str:
        """See `Method.over`: nothing has helped for long."""
        return "exhausted" if self.quiet >= PATIENCE else ""

    def advance(self) -> None:
        """See `Method.advance`."""
        kind = KINDS[int(self.dice.integers(len(KINDS)))]
        changed = self._window(self.best) if kind == "window" else self._changes(self.best, kind)
        better = self._best_of(self.best, changed)
        self.quiet = self.quiet + 1 if better is None else 0
        if better is not None:
            self._take(better)
            self.gains[kind] = self.gains.get(kind, 0) + 1

    def _take(self, path: Path) -> None:
        """Go on from another run."""
        found = self._follow(path)
        self._forget(self.best)
        self.best = found

    def best_path(self) -> Path:
        """See `Method.best_path`."""
        return self.best.path

    def receive(self, path: Path) -> None:
        """See `Method.receive`: spliced with the run at hand."""
        self.best = self._splice(self.best, self._follow(path))

    def progress(self) -> Progress:
        """See `Method.progress`."""
        steps, budget = len(self.best.path), self.budget
        return Progress(
            self.name, 0, steps, TOGETHER, self.states, 0, 0, self.failed,
            f"{self.first} inputs before, {steps} now; {self.quiet} of {PATIENCE} without a gain",
            self.problem.lead_frames + steps * self.problem.section.frames,
            self.problem.expander.store.bytes, budget.elapsed, budget.part(self.states),
        )  # fmt: skip

    def result(self, stopped: str) -> Result:
        """See `Method.result`."""
        best = self.best
        gains = ", ".join(f"{kind} {count}" for kind, count in self.gains.items()) or "nothing helped"
        return Result(
            method=self.name, won=True, path=best.path, score=float(best.wave.verdicts.score[-1]),
            stopped=stopped, optimal=False,
            claim=f"{self.first} inputs before, {len(best.path)} now ({gains}); not proven to be optimal",
            states=self.states, duplicates=0, dropped=0, failed=self.failed, seconds=self.budget.elapsed,
        )  # fmt: skip

    def dump(self) -> tuple[Meta, Arrays]:
        """See `Method.dump`."""
        meta = {name: getattr(self, name) for name in _KEPT}
        return meta | {"dice": self.dice.bit_generator.state}, {"best": self.best.path}

    def load(self, meta: Meta, arrays: Arrays, before: Names | None) -> None:
        """See `Method.load`; by other rules the run must still win."""
        self._take(arrays["best"])
        for name in _KEPT:
            setattr(self, name, meta[name])
        self.dice.bit_generator.state = meta["dice"]
        if before is not None:
            self.quiet = 0

    def close(self) -> None:
        """See `Method.close`."""
        self._forget(self.best)
        self.best = _Run(self.best.path, self.best.wave.take(slice(0, 0)), self.best.hashes)

    # -- changes -----------------------------------------------------------------------------------

    def _changes(self, run: _Run, kind: str) -> list[tuple[int, Path]]:
        """Some changed ends of the run, each with the step from which on it differs."""
        changed = []
        for _ in range(TOGETHER):
            at, length = int(self.dice.integers(len(run.path))), 1 + int(self.dice.integers(LONGEST_CHOP))
            rest = run.path[at:].copy()
            if kind == "chop":
                length = min(length, len(rest))
                changed.append((at, np.concatenate([rest[length:], np.repeat(run.path[-1:], length - 1)])))
            elif kind == "press":
                rest[:length] = int(self.dice.integers(len(self.problem.masks)))
                changed.append((at, rest))
            else:
                fewer = self._without(rest[:length])
                if fewer is not None:
                    rest[:length] = fewer
                    changed.append((at, rest))
        return changed

    def _without(self, path: Path) -> Path | None:
        """`path` with one button of its first input left out all along, where that can be pressed."""
        masks = self.problem.masks
        held = masks[path]
        ports, bits = np.nonzero(np.unpackbits(held[0][:, None].view(np.uint8), axis=1, bitorder="little"))
        if not len(ports):
            return None
        which = int(self.dice.integers(len(ports)))
        held[:, ports[which]] &= ~np.uint32(1 << int(bits[which]))
        known = {tuple(mask): place for place, mask in enumerate(masks.tolist())}
        places = [known.get(tuple(mask)) for mask in held.tolist()]
        return None if None in places else np.array(places, np.uint32)

    def _splice(self, one: _Run, other: _Run) -> _Run:
        """The shortest of both and of what begins as one and ends as the other."""
        places = {hash_.tobytes(): at for at, hash_ in enumerate(other.hashes)}
        places |= {hash_.tobytes(): at for at, hash_ in reversed(list(enumerate(other.hashes)))}
        ways = [
            (at, other.path[places[hash_.tobytes()] :])
            for at, hash_ in enumerate(one.hashes)
            if hash_.tobytes() in places
        ]
        ways.sort(key=lambda way: way[0] + len(way[1]))
        best, kept = (one, other) if len(one.path) <= len(other.path) else (other, one)
        found = self._best_of(one, ways[:TOGETHER])
        if found is not None and len(found) < len(best.path):
            self.gains["splice"] = self.gains.get("splice", 0) + 1
            self._forget(best)
            best = self._follow(found)
        self._forget(kept)
        return best

    def _window(self, run: _Run) -> list[tuple[int, Path]]:
        """A faster way between two moments of the run, if a small beam finds one."""
        length = 2 + int(self.dice.integers(LONGEST_WINDOW))
        at = int(self.dice.integers(max(1, len(run.path) - length)))
        end = min(at + length, len(run.path))
        search = Generations(
            self.problem, width=WINDOW_WIDTH, seed=0, memory=self.budget.memory,
            begin=run.wave.take(slice(at, at + 1)), depth=at, target=run.hashes[end],
        )  # fmt: skip
        # The last generation need only come a step before the window's end.
        while not search.done and search.step < end - at - 1:
            search.advance()
        self.states += search.states
        self.failed += search.failed
        way = None if search.winner is None else search.winner.path
        search.close()
        return [] if way is None else [(at, np.concatenate([way, run.path[end:]]))]

    # -- playing -----------------------------------------------------------------------------------

    def _path(self, movie: Movie) -> Path:
        problem, frames = self.problem, self.problem.section.frames
        if movie.start != problem.start:
            raise SearchError(
                f"the movie does not start where the search does, at {problem.start or 'power-on'}"
            )
        known = {tuple(mask): place for place, mask in enumerate(problem.masks.tolist())}
        held = np.zeros((movie.frames, problem.masks.shape[1]), np.uint32)
        found = remap(movie.inputs, movie.controllers, problem.expander.controllers)
        held[:, : found.shape[1]] = found
        if problem.lead is not None:
            lead = remap(problem.lead.inputs, problem.lead.controllers, problem.expander.controllers)
            if not np.array_equal(held[: len(lead), : lead.shape[1]], lead):
                raise SearchError(
                    f"the movie's first {len(lead)} frames are not those of the pinned movie, at whose frame "
                    f"{len(lead)} the search begins"
                )
        path = []
        for frame in range(problem.lead_frames, movie.frames, frames):
            place = known.get(tuple(held[frame].tolist()))
            if place is None or (held[frame : frame + frames] != held[frame]).any():
                names = problem.expander.controllers[0].names(int(held[frame, 0])) or "nothing"
                raise SearchError(
                    f"frame {frame} of the movie holds {names}, which the search may not press for "
                    f"{frames} frame{'s' if frames > 1 else ''}; add it to 'actions', or change 'frames'"
                )
            path.append(place)
        return np.array(path, np.uint32)

    def _follow(self, path: Path) -> _Run:
        """Play a path from the start to where it first wins, and keep its states."""
        problem = self.problem
        first = lanes.start(problem)
        waves = [first.wave]
        hashes = [problem.hash(first.rows, first.values, first.wave.verdicts, 0, 0)]
        for step in range(len(path)):
            wave, hash_ = self._step(waves[-1], path[step : step + 1], step + 1)
            waves.append(wave)
            hashes.append(hash_)
            if wave.verdicts.won[0]:
                return _Run(path[: step + 1], Wave.join(waves), np.concatenate(hashes))
        problem.expander.store.release(Wave.join(waves).states)
        raise SearchError("the run does not win by the rules of this search")

    def _best_of(self, run: _Run, changed: Sequence[tuple[int, Path]]) -> Path | None:
        """The best path of all changed ends that beats `run`, played side by side; None where none does."""
        store, limit = self.problem.expander.store, run.rank(self.problem.masks)
        changed = [one for one in changed if one[0] + len(one[1]) <= limit[0] and len(one[1])]
        best: tuple[tuple[int, int], Path] | None = None
        if not changed:
            return None
        places = np.array([at for at, _ in changed])
        live = np.arange(len(changed))
        wave = run.wave.take(places)
        store.hold(wave.states)
        done = 0
        while len(live):
            actions = np.array([changed[i][1][done] for i in live], np.uint32)
            found, _ = self._step(wave, actions, places[live] + done + 1)
            store.release(wave.states)
            done += 1
            for i in live[found.verdicts.won].tolist():
                at, rest = changed[i]
                path = np.concatenate([run.path[:at], rest[:done]])
                rank = (len(path), int(np.unpackbits(self.problem.masks[path].view(np.uint8)).sum()))
                if rank < limit and (best is None or rank < best[0]):
                    best = rank, path
            goes_on = ~found.verdicts.won & ~found.verdicts.failed
            goes_on &= np.array([done < len(changed[i][1]) for i in live])
            self.failed += int(np.count_nonzero(found.verdicts.failed))
            store.release(found.states[~goes_on])
            wave, live = found.take(goes_on), live[goes_on]
        return None if best is None else best[1]

    def _step(
        self, wave: Wave, actions: Path, numbers: int | NDArray[np.int64]
    ) -> tuple[Wave, NDArray[np.uint64]]:
        found = lanes.step(self.problem, wave, actions, numbers)
        self.states += len(actions)
        return found.wave, self.problem.hash(found.rows, found.values, found.wave.verdicts, 0, 0)

    def _forget(self, run: _Run) -> None:
        self.problem.expander.store.release(run.wave.states)
