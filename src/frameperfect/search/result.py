"""What searches are given and what they give: a budget, a word on how it goes, a result with its proof."""

from __future__ import annotations

import math
import re
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from frameperfect.errors import SearchError
from frameperfect.game import from_power_on, verify
from frameperfect.game.proof import Verdict
from frameperfect.movie import Movie, save_movie
from frameperfect.search.problem import MEMORY, Problem


@dataclass
class Budget:
    """How long a search may take; `memory` is in bytes, and there is always a bound."""

    seconds: float = math.inf
    states: float = math.inf
    memory: int = MEMORY
    spent: float = 0.0
    """Seconds that an earlier session of this search took."""
    begun: float = field(default_factory=time.monotonic)

    @classmethod
    def parse(cls, text: str) -> Budget:
        """Read `2m`, `90s`, `1h`, `4GiB`, `1e6states`, or several with commas.

        Raises:
            SearchError: it is none of them.
        """
        budget = cls()
        for part in re.split(r"[\s,]+", text.strip()):
            match = re.fullmatch(r"([0-9.]+(?:e[0-9]+)?)(s|m|h|states|MiB|GiB|MB|GB)", part)
            try:
                number = float(match[1]) if match else math.nan
            except ValueError:
                number = math.nan
            if match is None or not number > 0:
                raise SearchError(
                    f"'{part}' is no budget; write 90s, 2m, 1h, 4GiB or 1e6states, or several: 2m,4GiB"
                )
            unit = match[2]
            if unit in ("s", "m", "h"):
                budget.seconds = number * {"s": 1, "m": 60, "h": 3600}[unit]
            elif unit == "states":
                budget.states = number
            else:
                budget.memory = int(number * {"MiB": 1 << 20, "GiB": 1 << 30, "MB": 10**6, "GB": 10**9}[unit])
        return budget

    @property
    def elapsed(self) -> float:
        """Seconds so far, earlier sessions included."""
        return self.spent + time.monotonic() - self.begun

    def part(self, states: int) -> float:
        """What of it is used up, 0 to 1."""
        return min(1.0, max(self.elapsed / self.seconds, states / self.states))

    def over(self, states: int) -> str:
        """What is used up: "seconds", "states", or nothing."""
        if self.elapsed >= self.seconds:
            return "seconds"
        return "states" if states >= self.states else ""


@dataclass(frozen=True, slots=True)
class Progress:
    """How a search goes."""

    method: str
    round: int
    step: int
    """Inputs from the start: the generation, or the depth."""
    frontier: int
    states: int
    """New states made so far."""
    duplicates: int
    dropped: int
    failed: int
    best: str
    """The best so far, in words."""
    best_frames: int | None
    """The fastest run that wins, if there is one."""
    memory: int
    seconds: float
    part: float
    """Of the budget that is used up, 0 to 1; 0 where there is none."""
    islands: tuple[str, ...] = ()
    """A word on each, where the search is several."""

    @property
    def states_per_second(self) -> float:
        """On average."""
        return self.states / max(self.seconds, 1e-9)


Watch = Callable[[Progress], None]
Stop = Callable[[], bool]
Tell = Callable[[str], None]


DRIFT_TRIES = 5
"""How often a run is played where it need not be the same each time."""


@dataclass
class Result:
    """What a search found."""

    method: str
    won: bool
    """Whether the movie reaches the goal; otherwise it leads to the best state seen."""
    path: NDArray[np.uint32]
    """The actions from the start, places in `Problem.names`."""
    score: float
    stopped: str
    """Why it ended: "won", "exhausted", "steps", "seconds", "states", "memory" or "interrupt"."""
    optimal: bool
    claim: str
    """What is claimed of the run, in words."""
    states: int
    duplicates: int
    dropped: int
    failed: int
    seconds: float
    rules: Mapping[str, int] = field(default_factory=dict)
    """How many states each rule held of."""
    notes: list[str] = field(default_factory=list)
    """Rules that never fired, or always failed."""
    runs: list[NDArray[np.uint32]] = field(default_factory=list)
    """Paths to all that it holds in the end, where a method keeps them."""
    movie: Movie | None = None
    verdict: Verdict | None = None
    frames: int = 0

    def prove(self, problem: Problem, path: Path | None = None) -> Result:
        """Make the movie, play it on another machine, and replay its file in a fresh process.

        It is also played through without restoring states, as the movie will be, to see that it does what the
        search saw. Where the problem allows drift, both may fail, and `notes` say so.

        Args:
            problem: that was searched.
            path: where the movie is kept, in the format of its suffix.

        Raises:
            SearchError: it does not replay, or does not do what it did.
        """
        self.movie = problem.movie(self.path)
        self.frames = self.movie.frames
        self._play_through(problem)
        self.movie.comments.append(f"found by {self.method}: {self.claim}")
        if not self.frames:
            return self  # the start is the best there is: nothing to replay
        with _beside(path) as file:
            write_run(self.movie, problem, file)
            self.verdict = verify(file, game=problem.game)
            if not self.verdict:
                if not problem.allow_drift:
                    raise SearchError(
                        f"the run that was found does not replay: {self.verdict.text}; the machine is not "
                        "deterministic, and --allow-drift searches it all the same"
                    )
                self.notes.append(f"drift: the movie does not replay: {self.verdict.text}")
            if path is not None:
                file.replace(path)
        return self

    def _play_through(self, problem: Problem) -> None:
        tries = 1 if not problem.allow_drift else DRIFT_TRIES
        seen = [problem.played(self.path) for _ in range(tries)]
        as_found = sum(won if self.won else score == self.score for won, score in seen)
        what = "wins" if self.won else f"scores {self.score:g}"
        if problem.allow_drift:
            again = "the same each time" if len(set(seen)) == 1 else "not the same each time"
            self.notes.append(
                f"drift: the run {what}; in {tries} plays from the start it did so {as_found} times, {again}"
            )
        elif not as_found:
            raise SearchError(
                f"the run {what} only from restored states, not when it is played through: this machine's "
                "states do not hold all of it, or it is not deterministic; --allow-drift searches it all the "
                "same"
            )


def try_to_write(problem: Problem, path: Path) -> None:
    """See before a search that what it finds can be written there: a run of one input, to a file beside it.

    Raises:
        MovieError: the suffix is no format, or the format can't hold such a run.
        OSError: the folder takes no file.
    """
    with _beside(path) as file:
        write_run(problem.movie(np.zeros(1, np.uint32)), problem, file)


def write_run(movie: Movie, problem: Problem, path: Path) -> None:
    """Write a run of a problem; other programs' formats know no starts of ours: it begins at power-on there.

    Raises:
        MovieError: see `save_movie`.
    """
    save_movie(movie if path.suffix == ".fpm" else from_power_on(movie, problem.game), path)


@contextmanager
def _beside(path: Path | None) -> Iterator[Path]:
    """A place for a movie in a folder of its own beside `path`, so that only what is proven gets there."""
    place = None if path is None else path.parent
    with tempfile.TemporaryDirectory(dir=place, prefix=".", suffix=".part") as folder:
        yield Path(folder) / ("found.fpm" if path is None else path.name)


def note_rules(counts: Mapping[str, int], states: int, problem: Problem, won: bool) -> list[str]:
    """What is strange about how often rules held."""
    notes = []
    for name in (
        *(f"rule.{key}" for key in problem.section.rule),
        *(f"magnet.{key} when" for key, magnet in problem.section.magnet.items() if magnet.when),
        *_checkpoints(problem),
        *_conditions(problem),
    ):
        if states and not counts.get(name):
            notes.append(f"{name} never held of {states:,} states")
        elif counts.get(name) == states:
            notes.append(f"{name} held of every state: it tells nothing apart")
    if problem.section.fail is not None and states:
        if not counts.get("fail"):
            notes.append(f"fail never held of {states:,} states")
        elif counts["fail"] == states:
            notes.append("fail held of every state: nothing could be tried; look at that rule")
    if problem.pinned is not None and states:
        if not counts.get("pin"):
            notes.append("no state strayed from the pinned movie: 'values' could be narrower")
        elif counts["pin"] == states:
            notes.append("every state strayed from the pinned movie; widen its 'values', or give 'slack'")
    if problem.section.win is not None and not won and states:
        notes.append(f"win never held of {states:,} states")
    return notes


def _checkpoints(problem: Problem) -> list[str]:
    return [f"checkpoints {i + 1}" for i in range(len(problem.section.checkpoints))]


def _conditions(problem: Problem) -> list[str]:
    actions: Any = problem.section.actions
    return [f"actions '{when}'" for when in actions if when != "else"] if isinstance(actions, dict) else []
