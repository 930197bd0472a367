"""Islands: one search many times, with different seeds in processes of their own, which tell each other.

Every island is a whole search with its share of the budget. Now and then each gets the best runs of the
others, as inputs, and makes of them what its method can: a beam joins the state it leads to at its own
generation and knows how fast a winner must be, `go-explore` looks at its states, `improve` splices. They tell
each other after equal numbers of states where the budget is one of states, and then a seed gives the same
result every time; after some seconds otherwise. An island that dies is missed, and the others go on.

The processes are ours, or Ray's on a cluster. An island works in short turns, `Island.turn`, so that the one
who steers them hears of all of them, and nobody waits for a killed one.
"""

from __future__ import annotations

import json
import os
import time
import zipfile
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from frameperfect.errors import FrameperfectError, SearchError
from frameperfect.search.checkpoint import KeepingFailed, replacing
from frameperfect.search.island import TURN, IslandLost, LocalIsland, Said, Shore, Task
from frameperfect.search.result import Progress, Result, Stop, Tell, Watch

EXCHANGES = 20
"""How often a budget of states lets islands tell each other."""
EXCHANGE_SECONDS = 5.0
"""How often they do where it is one of time."""
KEEP_SECONDS = 30.0
"""Between two times that all are kept."""
SEED_STEP = 1 << 10
"""Between the seeds of two islands: other searches with seeds near this one share none."""

_SUMS = ("states", "duplicates", "dropped", "failed")


class Archipelago:
    """Several islands, steered from here."""

    def __init__(
        self,
        task: Task,
        count: int,
        *,
        checkpoint: Path | None = None,
        resume: bool = False,
        cluster: str | None = None,
    ) -> None:
        """Open them; each has an equal part of the task's states, memory and threads.

        Args:
            task: what to search for; island i has the seed `task.seed` + i * SEED_STEP.
            count: how many.
            checkpoint: where all of them are kept, files beside it.
            resume: go on from there.
            cluster: the address of a Ray cluster to put them on, or "auto"; None: processes here.

        Raises:
            SearchError: what is kept is missing, or of other islands.
            MissingComponent: Ray is not installed.
        """
        self.task, self.count, self.checkpoint = task, count, checkpoint
        self.lost: dict[int, str] = {}
        self.news: list[str] = []
        """What happened since somebody read it: islands that died, and that they could not be kept."""
        self.trouble = ""
        """Why they could not be kept the last time; nothing where they were."""
        self.masks = np.zeros((0, 1), np.uint32)
        """How the result's path numbers actions: see `Problem.number_actions`."""
        self._epoch = 0
        self._spent, self._begun = 0.0, time.monotonic()
        self._mark = task.states / count / EXCHANGES
        """After how many states of its own an island waits for the others."""
        self._told: dict[int, list[int]] = {}
        """What the others know to be each one's best."""
        self._paths: dict[int, list[list[int]]] = {i: [] for i in range(count)}
        """What each is told with its next turn."""
        kept: list[bytes | None] = [None] * count
        if resume:
            kept = self._read()
        share = replace(
            task, states=task.states / count, memory=task.memory // count,
            threads=max(1, (task.threads or len(os.sched_getaffinity(0))) // count),
        )  # fmt: skip
        self.shores: dict[int, Shore] = {}
        try:
            for i in range(count):
                one = replace(share, seed=task.seed + i * SEED_STEP)
                self.shores[i] = _on_ray(one, kept[i], cluster) if cluster else LocalIsland(one, kept[i])
            for i in list(self.shores):
                self._answer(i)
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """End them."""
        for shore in self.shores.values():
            shore.close()
        self.shores = {}

    def __enter__(self) -> Archipelago:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    # -- running -----------------------------------------------------------------------------------

    def run(
        self,
        watch: Watch | None = None,
        stop: Stop | None = None,
        pause: Callable[[Archipelago], None] | None = None,
        tell: Tell | None = None,
    ) -> Result:
        """Until all are over; the best of what they found. `tell` hears of deaths and of full disks.

        Raises:
            SearchError: all died.
            FrameperfectError: an island's own error, which would be all the others' too.
        """
        said: dict[int, Said] = {}
        paths = self._paths
        exchanged, kept = time.monotonic(), time.monotonic()
        while True:
            at_work = [i for i in self.shores if not said.get(i, {}).get("stopped")]
            turns = [i for i in at_work if not (said.get(i, {}).get("waits") and not paths[i])]
            for i in turns:
                self.shores[i].ask("turn", paths[i], self._mark)
                paths[i] = []
            for i in turns:
                answer = self._answer(i, stop)
                if answer is not None:
                    said[i] = answer
            if not self.shores:
                raise SearchError("all islands died: " + "; ".join(self.lost.values()))
            if watch is not None:
                watch(self._progress(said))
            self._spread(tell)
            left = [i for i in self.shores if not said[i]["stopped"]]
            proven = any(said[i].get("result", {}).get("optimal") for i in self.shores if i in said)
            if not left or proven:
                break
            if pause is not None:
                began = time.monotonic()
                pause(self)
                self._rest(time.monotonic() - began)
            due = all(said[i]["waits"] for i in left)
            if self.task.states == float("inf"):
                due = time.monotonic() - exchanged >= EXCHANGE_SECONDS
            if due:
                exchanged = time.monotonic()
                self._mark += self.task.states / self.count / EXCHANGES
                for i in left:
                    said[i]["waits"] = False
                self._exchange(said, left)
                if time.monotonic() - kept >= KEEP_SECONDS:
                    self.keep()
                    kept = time.monotonic()
        self.keep()
        self._spread(tell)
        return self._result(said)

    def _spread(self, tell: Tell | None) -> None:
        for one in self.news:
            if tell is not None:
                tell(one)
        self.news = []

    def edit(self) -> bool:
        """All read their rules again; see `Driver.edit`."""
        for shore in self.shores.values():
            shore.ask("edit")
        edited, refused = [], []
        for i in list(self.shores):
            try:
                edited.append(bool(self._answer(i)))
            except FrameperfectError as wrong:
                refused.append(wrong)
        if refused:
            raise refused[0]
        return any(edited)

    def _rest(self, seconds: float) -> None:
        """So long nobody worked: it is no part of the budget."""
        if seconds < TURN:
            return
        self._begun += seconds
        for shore in self.shores.values():
            shore.ask("rest", seconds)
        for i in list(self.shores):
            self._answer(i)

    def _answer(self, i: int, stop: Stop | None = None) -> Any:
        """What an island said; None where it died."""
        shore, told = self.shores[i], False
        try:
            while not shore.there(0.2):
                if stop is not None and stop() and not told:
                    told = True
                    for one in self.shores.values():
                        one.stop()
            return shore.answer()
        except IslandLost as lost:
            self.lost[i] = f"island {i + 1} {lost}"
            self.news.append(f"{self.lost[i]}; the others go on")
            shore.close()
            del self.shores[i]
            return None

    def _exchange(self, said: dict[int, Said], to: Sequence[int]) -> None:
        """Tell everybody what is new of the others."""
        for i, one in sorted(said.items()):
            if one["best"] is not None and one["best"] != self._told.get(i):
                self._told[i] = one["best"]
                for other in to:
                    if other != i:
                        self._paths[other].append(one["best"])

    # -- telling -----------------------------------------------------------------------------------

    @property
    def elapsed(self) -> float:
        """Seconds so far, earlier sessions included."""
        return self._spent + time.monotonic() - self._begun

    def _progress(self, said: dict[int, Said]) -> Progress:
        every = {i: Progress(**{**one["now"], "islands": ()}) for i, one in said.items()}
        first = min(every.values(), key=lambda now: now.best_frames or float("inf"))
        words = []
        for i in range(self.count):
            if i in self.lost:
                words.append("died")
            elif i in every:
                now, over = every[i], said[i]["stopped"]
                fastest = f", fastest {now.best_frames} frames" if now.best_frames is not None else ""
                words.append(f"{over or 'at work'}, at {now.step:,}, best {now.best}{fastest}")
        nows = list(every.values())
        return replace(
            first, seconds=self.elapsed, part=max(now.part for now in nows), islands=tuple(words),
            states=sum(n.states for n in nows), duplicates=sum(n.duplicates for n in nows),
            dropped=sum(n.dropped for n in nows), failed=sum(n.failed for n in nows),
            memory=sum(n.memory for n in nows), frontier=sum(n.frontier for n in nows),
        )  # fmt: skip

    def _result(self, said: dict[int, Said]) -> Result:
        over = {i: one["result"] for i, one in said.items() if "result" in one}
        every = list(over.values())

        def key(i: int) -> tuple[Any, ...]:
            one = over[i]
            return one["optimal"], one["won"], -len(one["path"]) if one["won"] else one["score"], -i

        best = max(over, key=key)
        told = dict(over[best])
        masks, path = told.pop("masks"), np.array(told.pop("path"), np.uint32)
        rules: dict[str, int] = {}
        for one in every:
            for name, count in one["rules"].items():
                rules[name] = rules.get(name, 0) + count
        total = {name: sum(one[name] for one in every) for name in _SUMS}
        result = Result(**{**told, **total, "path": path, "rules": rules, "seconds": self.elapsed})
        result.claim = f"island {best + 1} of {self.count}: {result.claim}"
        result.notes = [*self.lost.values(), *result.notes]
        self.masks = np.array(masks, np.uint32)
        if any(one["stopped"] == "interrupt" for one in every):
            result.stopped = "interrupt"
        return result

    # -- keeping -----------------------------------------------------------------------------------

    def keep(self) -> None:
        """Keep all of them, as they are after the same exchange; where that fails, `trouble` says why."""
        if self.checkpoint is None:
            return
        try:
            self._write(self.checkpoint)
            self.trouble = ""
        except KeepingFailed as wrong:
            self.trouble = str(wrong)
            self.news.append(self.trouble)

    def _write(self, checkpoint: Path) -> None:
        """A file for each, and one that names them."""
        for shore in self.shores.values():
            shore.ask("keep")
        held: dict[int, bytes] = {}
        failed = ""
        for i in list(self.shores):
            try:
                if (data := self._answer(i)) is not None:
                    held[i] = data
            except FrameperfectError as wrong:
                failed = f"island {i + 1}: {wrong}"
        if failed:
            raise KeepingFailed(failed)
        for i in list(self.shores):
            self.shores[i].ask("pending")
            self._paths[i] = [*(self._answer(i) or []), *self._paths[i]]
        self._epoch += 1
        folder, names = checkpoint.parent, {}
        for i, data in held.items():
            names[i] = f"{checkpoint.stem}-island{i + 1}-{self._epoch}.search"
            with replacing(folder / names[i]) as file:
                file.write(data)
        before = _files(checkpoint)
        told = {
            "islands": self.count, "epoch": self._epoch, "files": names, "seconds": self.elapsed,
            "mark": self._mark, "told": self._told, "paths": self._paths,
        }  # fmt: skip
        with replacing(checkpoint) as file:
            file.write(json.dumps(told).encode())
        for old in before - set(names.values()):
            (folder / old).unlink(missing_ok=True)

    def _read(self) -> list[bytes | None]:
        if self.checkpoint is None:
            raise SearchError("to go on with a search, name its checkpoint")
        try:
            told = json.loads(self.checkpoint.read_bytes())
            count, self._epoch, self._spent = told["islands"], told["epoch"], told["seconds"]
            self._mark = told["mark"]
            self._told = {int(i): path for i, path in told["told"].items()}
            self._paths = {int(i): paths for i, paths in told["paths"].items()}
            files = {int(i): self.checkpoint.parent / name for i, name in told["files"].items()}
        except FileNotFoundError:
            raise SearchError(
                f"{self.checkpoint}: no search to go on with; begin one without --resume"
            ) from None
        except (OSError, ValueError, KeyError, AttributeError) as wrong:
            if zipfile.is_zipfile(self.checkpoint):
                raise SearchError(f"{self.checkpoint} holds a search without islands; go on so") from None
            raise SearchError(f"{self.checkpoint}: no search of islands ({wrong}); begin it anew") from None
        if count != self.count:
            raise SearchError(f"{self.checkpoint} holds {count} islands; go on with --islands {count}")
        return [files[i].read_bytes() if i in files else None for i in range(count)]


def forget(checkpoint: Path) -> None:
    """Remove what was kept of a search, of islands or not."""
    for name in _files(checkpoint):
        (checkpoint.parent / name).unlink(missing_ok=True)
    checkpoint.unlink(missing_ok=True)


def _files(checkpoint: Path) -> set[str]:
    """The names of the islands' files, where it holds islands."""
    try:
        return set(json.loads(checkpoint.read_bytes())["files"].values())
    except (OSError, ValueError, KeyError, AttributeError):
        return set()


def _on_ray(task: Task, kept: bytes | None, cluster: str) -> Shore:
    from frameperfect.search.ray_islands import RayIsland

    return RayIsland(task, kept, cluster)
