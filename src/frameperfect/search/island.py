"""One island: a whole search in a process of its own, a turn at a time.

`Island` is the search, `LocalIsland` the process that it is in, as the one who steers sees it: a `Shore`.
Between them go JSON lines over pipes; what is kept goes through a file.
"""

from __future__ import annotations

import json
import os
import select
import signal
import sys
import tempfile
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from frameperfect import errors
from frameperfect._native import end_with_parent
from frameperfect.errors import FrameperfectError
from frameperfect.movie import load_movie
from frameperfect.search.checkpoint import replacing
from frameperfect.search.driver import Driver
from frameperfect.search.methods import make_method
from frameperfect.search.problem import Problem
from frameperfect.search.result import Budget
from frameperfect.workers.child import Child

TURN = 1.0
"""Seconds of an island's turn, about: it ends after a batch."""

Said = dict[str, Any]


@dataclass(frozen=True)
class Task:
    """What an island needs to know, as plain values; paths must mean the same on its machine."""

    game: str
    search: str | None
    method: str
    seed: int = 0
    start: str | None = None
    threads: int = 1
    seconds: float = float("inf")
    states: float = float("inf")
    memory: int = 1 << 30
    width: int | None = None
    movies: tuple[str, ...] = ()
    pin: str | None = None
    frame: int | None = None
    core: str | None = None
    allow_drift: bool = False

    def problem(self) -> Problem:
        """Its problem, with machines opened."""
        return Problem(
            self.game, self.search, start=self.start, threads=self.threads, memory=self.memory,
            core=self.core, pin=None if self.pin is None else load_movie(self.pin), frame=self.frame,
            allow_drift=self.allow_drift,
        )  # fmt: skip


class Island:
    """One search, a turn at a time."""

    def __init__(self, task: Task, kept: bytes | None = None) -> None:
        """Begin, or go on from what `keep` gave."""
        self._stopped = False
        self._problem = task.problem()
        self._inbox: list[list[int]] = []
        budget = Budget(seconds=task.seconds, states=task.states, memory=task.memory)
        movies = [load_movie(one) for one in task.movies]
        self._method = make_method(
            task.method, self._problem, budget, seed=task.seed, width=task.width, movies=movies
        )
        with tempfile.TemporaryDirectory() as folder:
            file = Path(folder) / "kept"
            if kept is not None:
                file.write_bytes(kept)
            self._driver = Driver(
                self._method, stop=lambda: self._stopped, checkpoint=file, resume=kept is not None
            )
        self._checkpoint, self._driver.checkpoint = self._driver.checkpoint, None  # written when asked to

    def stop(self) -> None:
        """End after the batch under way, as Ctrl-C does."""
        self._stopped = True

    def turn(self, paths: list[list[int]], mark: float) -> Said:
        """Take in what others found, work for a while, and tell; at `mark` states it waits for the others."""
        self._inbox += paths
        end, method = time.monotonic() + TURN, self._method
        stopped = ""
        while not stopped:
            if self._inbox and method.ready:
                for path in self._inbox:
                    method.receive(np.array(path, np.uint32))
                self._inbox = []
            if self._waits(mark) or time.monotonic() >= end:
                break
            stopped = self._driver.run(
                lambda: time.monotonic() >= end or self._waits(mark) or bool(self._inbox and method.ready)
            )
        best = method.best_path()
        said: Said = {"stopped": stopped, "waits": self._waits(mark), "now": asdict(method.progress())}
        said["best"] = None if best is None else best.tolist()
        if stopped:
            result = method.result(stopped)
            told = {name: getattr(result, name) for name in _TOLD}
            told |= {"path": result.path.tolist(), "masks": self._problem.masks.tolist()}
            said["result"] = told
        return said

    def _waits(self, mark: float) -> bool:
        return self._method.states >= mark and self._method.ready

    def keep(self) -> bytes:
        """All of it."""
        assert self._checkpoint is not None
        with tempfile.TemporaryDirectory() as folder:
            self._checkpoint.path = Path(folder) / "kept"
            self._driver.checkpoint = self._checkpoint
            try:
                self._driver.write()
            finally:
                self._driver.checkpoint = None
            return self._checkpoint.path.read_bytes()

    def pending(self) -> list[list[int]]:
        """What it was told and has not yet taken in; it is forgotten here."""
        inbox, self._inbox = self._inbox, []
        return inbox

    def edit(self) -> bool:
        """See `Driver.edit`."""
        return self._driver.edit()

    def rest(self, seconds: float) -> None:
        """The last `seconds` are no part of its budget."""
        self._method.budget.begun += seconds


_TOLD = (
    "method", "won", "score", "stopped", "optimal", "claim", "states", "duplicates", "dropped", "failed",
    "seconds", "rules", "notes",
)  # fmt: skip


class Shore(Protocol):
    """An island from outside: `ask` something, then `answer` once `there` says that it came."""

    def ask(self, what: str, *arguments: Any) -> None:
        """Call a method of the island."""

    def there(self, wait: float) -> bool:
        """Whether the answer, or the news of its death, has come within `wait` seconds."""

    def answer(self) -> Any:
        """The answer.

        Raises:
            IslandLost: it died.
            FrameperfectError: its own error.
        """

    def stop(self) -> None:
        """`Island.stop`, while it is at work."""

    def close(self) -> None:
        """End it."""


class IslandLost(FrameperfectError):
    """An island's process died; says how."""


class LocalIsland:
    """An island in a process of its own: JSON lines over pipes, what is kept through a file."""

    def __init__(self, task: Task, kept: bytes | None) -> None:
        there, self._to = os.pipe()
        self._from, back = os.pipe()
        try:
            self._child = Child("frameperfect.search.island", [there, back], str(os.getpid()))
        finally:
            os.close(there)
            os.close(back)
        self._lines = b""
        self._folder = tempfile.TemporaryDirectory()
        self._file = Path(self._folder.name) / "kept"
        if kept is not None:
            self._file.write_bytes(kept)
        self.ask("begin", asdict(task), str(self._file), kept is not None)

    def ask(self, what: str, *arguments: Any) -> None:
        """See `Shore.ask`."""
        try:
            os.write(self._to, json.dumps([what, *arguments]).encode() + b"\n")
        except BrokenPipeError:
            return  # `answer` tells how it died

    def there(self, wait: float) -> bool:
        """See `Shore.there`."""
        if b"\n" in self._lines:
            return True
        if not select.select([self._from], [], [], wait)[0]:
            return False
        got = os.read(self._from, 1 << 20)
        self._lines += got
        return not got or b"\n" in self._lines

    def answer(self) -> Any:
        """See `Shore.answer`."""
        while not self.there(1.0):
            pass
        if b"\n" not in self._lines:
            raise IslandLost(self._child.obituary())
        line, self._lines = self._lines.split(b"\n", 1)
        status, told = json.loads(line)
        if status != "done":
            raise getattr(errors, status, FrameperfectError)(told)
        return self._file.read_bytes() if told == "kept" else told

    def stop(self) -> None:
        """See `Shore.stop`."""
        os.kill(self._child.pid, signal.SIGTERM)

    def close(self) -> None:
        """See `Shore.close`."""
        self._child.close()
        for descriptor in (self._to, self._from):
            os.close(descriptor)
        self._folder.cleanup()


def main() -> None:
    """Be an island until nobody asks any more: `python -m frameperfect.search.island FROM TO PARENT`."""
    source, target, parent = map(int, sys.argv[1:])
    end_with_parent(parent)
    island: Island | None = None
    early: list[bool] = []
    signal.signal(signal.SIGTERM, lambda *_: island.stop() if island is not None else early.append(True))
    with os.fdopen(source) as lines, os.fdopen(target, "w") as out:
        for line in lines:
            what, *arguments = json.loads(line)
            try:
                if what == "begin":
                    task, file, resume = arguments
                    place = Path(file)
                    task = {name: tuple(v) if isinstance(v, list) else v for name, v in task.items()}
                    island = Island(Task(**task), place.read_bytes() if resume else None)
                    if early:
                        island.stop()
                    said: Any = None
                elif what == "keep":
                    assert island is not None
                    with replacing(place) as kept:
                        kept.write(island.keep())
                    said = "kept"
                else:
                    said = getattr(island, what)(*arguments)
                answer = ["done", said]
            except FrameperfectError as wrong:
                answer = [type(wrong).__name__, str(wrong)]
            out.write(json.dumps(answer) + "\n")
            out.flush()


if __name__ == "__main__":
    main()
