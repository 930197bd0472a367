"""Breadth by generations: all states after n inputs, then all after n + 1; for `beam`, `exhaustive`.

A generation is worked off best first, a batch of states at a time: expand, judge, hash, drop what failed or
was seen, keep the rest for the next generation, of which only the best stay where there is a bound. Each of
these is one operation on arrays. The order of jobs decides ties, so the number of threads changes nothing,
and neither does the size of a batch: a bound keeps the best of all, however they come.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from frameperfect._native import HashSet, InputTrie
from frameperfect.errors import SearchError
from frameperfect.expand import Ids
from frameperfect.game.formulas import Known
from frameperfect.search.problem import Problem, Verdicts

if TYPE_CHECKING:
    from frameperfect.search.lanes import Lanes

BATCH = 2048
"""Frames that are played in one batch, at most: nobody is heard, and nothing shown, before it is over."""
SEEN_SHARE = 0.25
"""The part of the memory that hashes of seen states may take; a bounded search then forgets the oldest."""
NEXT_SHARE = 0.35
"""The part of the memory that the next generation may take: the one before is there as well."""
SLACK = 1.25
"""How far the next generation may grow beyond its bound before the best are sorted out."""


@dataclass(frozen=True, slots=True)
class Wave:
    """N states, held, with what is known of each; row i of everything is state i."""

    states: Ids
    nodes: Ids
    """In the trie. In a generation that is not complete: the parents' nodes."""
    inputs: Ids
    """The action that led from the parent."""
    ties: NDArray[np.uint64]
    """Decides between equals; a part of the state's hash, so that it depends on nothing else."""
    known: Known
    verdicts: Verdicts

    def __len__(self) -> int:
        return len(self.states)

    def take(self, places: Any) -> Wave:
        """Those at `places`, in that order."""
        return Wave(
            self.states[places],
            self.nodes[places],
            self.inputs[places],
            self.ties[places],
            self.known.take(places),
            self.verdicts.take(places),
        )

    @staticmethod
    def join(parts: Sequence[Wave]) -> Wave:
        """One after the other."""
        if len(parts) == 1:
            return parts[0]
        return Wave(
            np.concatenate([part.states for part in parts]),
            np.concatenate([part.nodes for part in parts]),
            np.concatenate([part.inputs for part in parts]),
            np.concatenate([part.ties for part in parts]),
            Known.join([part.known for part in parts]),
            Verdicts.join([part.verdicts for part in parts]),
        )

    def order(self) -> NDArray[np.intp]:
        """Places, best first: more checkpoints, then a higher score, then the tie."""
        return np.lexsort((self.ties, -self.verdicts.score, -self.verdicts.passed))

    def order_spread(self, spread: float) -> NDArray[np.intp]:
        """The same, where the n-th best state of a cell has lost n times `spread` of its score."""
        order = self.order()
        best_first = self.verdicts.take(order)
        by_cell = np.argsort(best_first.cell, kind="stable")
        cells = best_first.cell[by_cell]
        firsts = np.flatnonzero(np.append(True, cells[1:] != cells[:-1]))
        places = np.empty(len(order), np.intp)
        places[by_cell] = np.arange(len(order)) - np.repeat(firsts, np.diff(np.append(firsts, len(order))))
        score = best_first.score - spread * places
        return order[np.lexsort((np.arange(len(order)), -score, -best_first.passed))]


@dataclass(frozen=True, slots=True)
class Best:
    """A state worth remembering: its rank and how to get there."""

    passed: int
    score: float
    tie: int
    step: int
    path: NDArray[np.uint32]

    def key(self) -> tuple[int, float, int, int]:
        """Greater is better; of equals the earlier."""
        return self.passed, self.score, -self.step, -self.tie

    def told(self) -> list[Any]:
        """All but the path, as plain values."""
        return [self.passed, self.score, self.tie, self.step]

    @classmethod
    def from_told(cls, told: Sequence[Any], path: NDArray[np.uint32]) -> Best:
        """What `told` gave, with its path."""
        passed, score, tie, step = told
        return cls(passed, score, tie, step, path)


class Seen:
    """Hashes of states seen. With a bound, the older half is forgotten when both are full."""

    def __init__(self) -> None:
        self.young, self.old = HashSet(), HashSet()
        self.forgotten = 0

    def insert(self, hashes: NDArray[np.uint64]) -> NDArray[np.bool_]:
        """Whether each was new, in order."""
        new: NDArray[np.bool_] = self.young.insert(hashes)
        if self.old.count:
            new &= ~self.old.contains(hashes)
        return new

    def forget_beyond(self, limit: float) -> None:
        """Keep the hashes within `limit` bytes."""
        if self.young.bytes > limit / 2:
            self.forgotten += self.old.count
            self.young, self.old = HashSet(), self.young

    @property
    def bytes(self) -> int:
        """Of both."""
        return int(self.young.bytes + self.old.bytes)


class Generations:
    """The search from a problem's start on. `advance` works off a part of the generation, until `done`."""

    def __init__(
        self,
        problem: Problem,
        *,
        width: int | None,
        seed: int,
        memory: int,
        exact: bool = False,
        begin: Wave | None = None,
        depth: int = 0,
        target: NDArray[np.uint64] | None = None,
    ) -> None:
        """Begin at the start.

        Args:
            problem: what to look for.
            width: the most states of a generation (None: as many as the memory holds).
            seed: decides between states of equal rank.
            memory: bytes for states, hashes and histories.
            exact: drop nothing for want of memory: `full` is set instead.
            begin: one state to begin at instead.
            depth: how many inputs lie before that state.
            target: (2,) the hash of the state that wins, in the place of the rules' goal, as
                `Problem.hash` gives it for step 0 and seed 0.
        """
        self._target, self.depth = target, depth
        self.problem, self.width, self.seed, self.memory, self.exact = problem, width, seed, memory, exact
        self.trie, self.seen = InputTrie(), Seen()
        self.step = 0
        self.states = self.duplicates = self.failed = self.dropped = 0
        self.rules: Counter[str] = Counter()
        self.reached: list[int] = [0] * len(problem.section.checkpoints)
        """The step at which the first state reached each checkpoint; 0: none has."""
        self.winner: Best | None = None
        self.full = False
        self.narrow = False
        """Whether the width, not the memory, was why states were dropped."""
        self.edited = False
        """Whether the rules changed on the way, so that nothing is proven."""
        store, root = problem.expander.store, np.array([problem.root], np.uint32)
        if begin is None:
            verdicts, known, values = problem.begin()
            ties = problem.hash(problem.root_row[None], values, verdicts, 0, seed)
            self.seen.insert(ties)
        else:
            root, verdicts, known = begin.states, begin.verdicts, begin.known
            ties = np.zeros((1, 2), np.uint64)
        store.hold(root)
        store.rebase(int(root[0]))
        zero = np.zeros(1, np.uint32)
        # The trie's first node stands for the start, so that every state has a node that it holds.
        self.wave = Wave(root, self.trie.extend(zero, zero), zero, ties[:, 0], known, verdicts)
        self.next: list[Wave] = []
        self._next_count = self._next_bytes = 0
        self._worked_off: list[Ids] = []
        """The nodes of parents: their children's are made when the generation is complete."""
        self.best = Best(int(verdicts.passed[0]), float(verdicts.score[0]), 0, 0, np.zeros(0, np.uint32))
        if verdicts.won[0]:
            self.winner = self.best
        if verdicts.failed[0]:
            raise SearchError(f"{problem.where}: 'fail' holds at the start already; look at that rule")

    def path(self, node: int) -> NDArray[np.uint32]:
        """The actions from the start to a node."""
        actions: NDArray[np.uint32] = self.trie.path(node)[1:]
        return actions

    @property
    def done(self) -> bool:
        """Whether there is nothing more to do: won, no states left, or no room for an exact search."""
        return self.full or not len(self.wave) or (self.winner is not None and self.complete)

    @property
    def complete(self) -> bool:
        """Whether no generation is under way."""
        return not self._worked_off

    def advance(self) -> None:
        """Expand a batch of the generation; at its end, the next one takes its place."""
        parents, self.wave = self._first_parents()
        sets = [self.problem.sets[choice] for choice in parents.verdicts.choice.tolist()]
        of = np.repeat(np.arange(len(parents)), [len(one) for one in sets])
        self._expand(parents, of, np.concatenate(sets))
        self.problem.expander.store.release(parents.states)
        self._worked_off.append(parents.nodes)
        if not len(self.wave):
            self._turn()

    def _first_parents(self) -> tuple[Wave, Wave]:
        """The states that the next batch expands, and the rest."""
        sets = self.problem.sets
        most = max(len(one) for one in sets)
        size = int(self.problem.expander.store.sizes(self.wave.states[:1])[0])
        jobs = min(BATCH // self.problem.section.frames, max(most, self.memory // 16 // max(size, 1)))
        count = max(1, jobs // most)
        return self.wave.take(slice(0, count)), self.wave.take(slice(count, None))

    def _expand(self, parents: Wave, of: NDArray[np.intp], actions: Ids) -> None:
        problem, store = self.problem, self.problem.expander.store
        frames = np.full(len(of), problem.section.frames, np.uint32)
        found = problem.expander.expand(parents.states[of], problem.masks[actions], frames)
        step = self.step + 1
        depth = self.depth + step
        values, known = problem.formulas.step(found.rows, parents.known.take(of), depth)
        verdicts = problem.judge(values, parents.verdicts.passed[of], parents.verdicts.fired[of], depth)
        if self._target is not None:
            here = problem.hash(found.rows, values, verdicts, 0, 0)
            verdicts = replace(verdicts, won=(here == self._target).all(axis=1))
        self.states += len(of)
        self._count(values)
        for i in range(len(self.reached)):
            if not self.reached[i] and bool((verdicts.passed > i).any()):
                self.reached[i] = step
        keep = ~verdicts.failed
        self.failed += len(of) - int(np.count_nonzero(keep))
        hashes = problem.hash(found.rows, values, verdicts, depth, self.seed)
        alive = np.flatnonzero(keep)
        new = self.seen.insert(hashes[alive])
        self.duplicates += len(alive) - int(np.count_nonzero(new))
        kept = alive[new]
        late = self._late(verdicts.passed[kept], step)
        self.dropped += int(np.count_nonzero(late))
        kept = kept[~late]
        gone = np.ones(len(of), bool)
        gone[kept] = False
        store.release(found.states[gone])
        children = Wave(
            found.states[kept], parents.nodes[of[kept]], actions[kept], hashes[kept, 0],
            known.take(kept), verdicts.take(kept),
        )  # fmt: skip
        if len(children):
            self._remember(children, step)
            self.next.append(children)
            self._next_count += len(children)
            self._next_bytes += self._bytes(children)
            self._bound(SLACK)

    def _count(self, values: Mapping[str, NDArray[Any]]) -> None:
        for name, column in values.items():
            if column.dtype == bool:
                self.rules[name] += int(np.count_nonzero(column))

    def _late(self, passed: NDArray[np.int64], step: int) -> NDArray[np.bool_]:
        """Which states lack a checkpoint that others reached too long ago."""
        late = np.zeros(len(passed), bool)
        patience = self.problem.section.patience
        if patience is not None:
            for i, first in enumerate(self.reached):
                if first and first + patience <= step:
                    late |= passed <= i
        return late

    def _remember(self, children: Wave, step: int) -> None:
        """The best state so far, and the best that wins."""
        verdicts = children.verdicts
        first = children.order()[0]
        best = self._as_best(children, int(first), step)
        if best.key() > self.best.key():
            self.best = best
        winners = np.flatnonzero(verdicts.won)
        if len(winners):
            first = winners[children.take(winners).order()[0]]
            winner = self._as_best(children, int(first), step)
            if self.winner is None or (-step, winner.key()) > (-self.winner.step, self.winner.key()):
                self.winner = winner

    def _as_best(self, children: Wave, place: int, step: int) -> Best:
        path = np.append(self.path(int(children.nodes[place])), children.inputs[place])
        verdicts = children.verdicts
        rank = int(verdicts.passed[place]), float(verdicts.score[place]), int(children.ties[place])
        return Best(*rank, step, path.astype(np.uint32))

    def _bytes(self, wave: Wave) -> int:
        """What states take, with their rows of the arrays and their nodes in the trie."""
        return int(self._sizes(wave).sum())

    def _sizes(self, wave: Wave) -> NDArray[np.int64]:
        columns = len(wave.known.now) + len(wave.known.kept) + 11
        sizes: NDArray[np.uint32] = self.problem.expander.store.sizes(wave.states)
        return sizes.astype(np.int64) + 8 * columns

    def _bound(self, slack: float) -> None:
        """Keep the best of the next generation, once there are more than `slack` times what may be."""
        room = NEXT_SHARE * max(0, self.memory - self.seen.bytes - self.trie.bytes)
        if self.exact:
            self.full = self._next_bytes > room
            return
        width = self._next_count if self.width is None else self.width
        # A crowd is known only when all have come, so that a spread waits with what is not urgent.
        few = self._next_count <= slack * width or (slack > 1 and self.problem.section.spread > 0)
        if self._next_bytes <= slack * room and few:
            return
        wave = Wave.join(self.next)
        spread = self.problem.section.spread
        order = wave.order_spread(spread) if spread else wave.order()
        fitting = int(np.searchsorted(np.cumsum(self._sizes(wave)[order]), room, "right"))
        keep = min(width, max(1, fitting))
        self.narrow = self.narrow or (keep == width and keep < len(order))
        self.problem.expander.store.release(wave.states[order[keep:]])
        self.dropped += max(0, len(order) - keep)
        wave = wave.take(order[:keep])
        self.next, self._next_count, self._next_bytes = [wave], len(wave), self._bytes(wave)

    def join(self, here: Lanes, path: NDArray[np.uint32]) -> None:
        """Take one more state, at the end of `path`, into a generation of which none is expanded yet."""
        wave = here.wave
        hashes = self.problem.hash(here.rows, here.values, wave.verdicts, self.depth + self.step, self.seed)
        if not self.seen.insert(hashes)[0]:
            return
        self.problem.expander.store.hold(wave.states)
        node = np.zeros(1, np.uint32)
        for action in [0, *path.tolist()]:  # the first stands for the start
            longer = self.trie.extend(node, np.array([action], np.uint32))
            if node[0]:
                self.trie.release(node)
            node = longer
        one = Wave(wave.states, node, wave.inputs, hashes[:, 0], wave.known, wave.verdicts)
        joined = Wave.join([self.wave, one])
        self.wave = joined.take(joined.order())

    def _turn(self) -> None:
        """The next generation takes the place of the one worked off."""
        self.step += 1
        if self.next:
            self._bound(1)
            wave = Wave.join(self.next)
            wave = wave.take(wave.order())
            nodes = self.trie.extend(wave.nodes, wave.inputs)
            self.wave = Wave(wave.states, nodes, wave.inputs, wave.ties, wave.known, wave.verdicts)
            self.problem.expander.store.rebase(int(wave.states[0]))
        for nodes in self._worked_off:
            self.trie.release(nodes)
        self._worked_off, self.next = [], []
        self._next_count = self._next_bytes = 0
        if not self.exact:
            self.seen.forget_beyond(SEEN_SHARE * self.memory)

    # -- as a file ---------------------------------------------------------------------------------

    def dump(self) -> tuple[dict[str, Any], dict[str, NDArray[Any]]]:
        """All of it, as plain values and arrays; what `load` takes."""
        nexts = Wave.join(self.next) if self.next else self.wave.take(slice(0, 0))
        packed = self.problem.expander.store.pack(np.concatenate([self.wave.states, nexts.states]))
        meta = {name: getattr(self, name) for name in _COUNTS} | {
            "rules": dict(self.rules), "reached": self.reached, "forgotten": self.seen.forgotten,
            "best": self.best.told(), "winner": self.winner and self.winner.told(),
        }  # fmt: skip
        arrays = {
            "packed": np.frombuffer(packed, np.uint8), "trie": self.trie.dump(),
            "young": self.seen.young.members(), "old": self.seen.old.members(),
            "worked_off": np.concatenate([np.zeros(0, np.uint32), *self._worked_off]),
            "best": self.best.path,
        }  # fmt: skip
        if self.winner is not None:
            arrays["winner"] = self.winner.path
        return meta, arrays | columns("wave", self.wave) | columns("next", nexts)

    def load(
        self,
        meta: Mapping[str, Any],
        arrays: Mapping[str, NDArray[Any]],
        before: Mapping[str, list[str]] | None = None,
    ) -> None:
        """Go on where `dump` of an equal search was made.

        `before`: where the rules were others, their `Problem.progress_names`; all states are judged anew.
        """
        store = self.problem.expander.store
        self.close()
        for name in _COUNTS:
            setattr(self, name, meta[name])
        self.rules, self.reached = Counter(meta["rules"]), list(meta["reached"])
        self.best = Best.from_told(meta["best"], arrays["best"])
        self.winner = Best.from_told(meta["winner"], arrays["winner"]) if meta["winner"] else None
        self.trie.load(arrays["trie"])
        self.seen = Seen()
        self.seen.young.insert(arrays["young"])
        self.seen.old.insert(arrays["old"])
        self.seen.forgotten = meta["forgotten"]
        states = store.unpack(arrays["packed"].tobytes())
        count = len(arrays["wave.nodes"])
        self._worked_off = [arrays["worked_off"]] if len(arrays["worked_off"]) else []
        if before is None:
            self.wave = wave_of("wave", arrays, states[:count], self.wave)
            nexts = wave_of("next", arrays, states[count:], self.wave)
        else:
            self.edited, self.winner = True, None
            self.reached = [0] * len(self.problem.section.checkpoints)
            self.seen = Seen()
            self.seen.forgotten = len(arrays["young"]) + len(arrays["old"])
            self.wave = self._anew("wave", arrays, states[:count], self.step, before)
            self.wave = self.wave.take(self.wave.order())
            nexts = self._anew("next", arrays, states[count:], self.step + 1, before)
            self._rank_anew(nexts)
        self.next = [nexts] if len(nexts) else []
        self._next_count, self._next_bytes = len(nexts), self._bytes(nexts)

    def _rank_anew(self, nexts: Wave) -> None:
        """The best state and the winner of a generation that other rules made."""
        self.best = Best(-1, -math.inf, 0, 0, np.zeros(0, np.uint32))
        verdicts = self.wave.verdicts
        for place in [*np.flatnonzero(verdicts.won)[:1].tolist(), *range(min(1, len(self.wave)))]:
            rank = int(verdicts.passed[place]), float(verdicts.score[place]), int(self.wave.ties[place])
            self.best = Best(*rank, self.step, self.path(int(self.wave.nodes[place])))
            if verdicts.won[place] and self.winner is None:
                self.winner = self.best
        if len(nexts):
            self._remember(nexts, self.step + 1)

    def _anew(
        self,
        prefix: str,
        arrays: Mapping[str, NDArray[Any]],
        states: Ids,
        step: int,
        before: Mapping[str, list[str]],
    ) -> Wave:
        """A wave that other rules made, judged by these; those that fail are let go."""
        passed, fired = arrays[f"{prefix}.passed"], arrays[f"{prefix}.fired"]
        depth = self.depth + step
        hashes, known, verdicts = self.problem.judge_anew(states, before, passed, fired, depth, self.seed)
        nodes, inputs = arrays[f"{prefix}.nodes"], arrays[f"{prefix}.inputs"]
        wave = Wave(states, nodes, inputs, hashes[:, 0], known, verdicts)
        self.seen.insert(hashes)
        for i in range(len(self.reached)):
            if not self.reached[i] and bool((verdicts.passed > i).any()):
                self.reached[i] = step
        self.failed += int(np.count_nonzero(verdicts.failed))
        self.problem.expander.store.release(states[verdicts.failed])
        if prefix == "wave":  # the trie has their own nodes; those that are gone are worked off
            gone = nodes[verdicts.failed]
            self._worked_off += [gone] if len(gone) else []
        return wave.take(np.flatnonzero(~verdicts.failed))

    def close(self) -> None:
        """Let go of the states."""
        for wave in (self.wave, *self.next):
            self.problem.expander.store.release(wave.states)
        self.wave, self.next = self.wave.take(slice(0, 0)), []


_COUNTS = ("step", "states", "duplicates", "failed", "dropped", "full", "narrow", "edited")


def columns(prefix: str, wave: Wave) -> dict[str, NDArray[Any]]:
    """A wave as arrays by name; its states are packed elsewhere."""
    named: dict[str, NDArray[Any]] = {"nodes": wave.nodes, "inputs": wave.inputs, "ties": wave.ties}
    named |= {f"now{i}": column for i, column in enumerate(wave.known.now)}
    named |= {f"kept{i}": column for i, column in enumerate(wave.known.kept)}
    named |= wave.verdicts.columns()
    return {f"{prefix}.{name}": column for name, column in named.items()}


def wave_of(prefix: str, arrays: Mapping[str, NDArray[Any]], states: Ids, like: Wave) -> Wave:
    """The wave of which `columns` made `arrays`; `like` has as many columns."""
    now = [arrays[f"{prefix}.now{i}"] for i in range(len(like.known.now))]
    kept = [arrays[f"{prefix}.kept{i}"] for i in range(len(like.known.kept))]
    verdicts = Verdicts(**{name: arrays[f"{prefix}.{name}"] for name in like.verdicts.columns()})
    nodes, inputs, ties = (arrays[f"{prefix}.{name}"] for name in ("nodes", "inputs", "ties"))
    return Wave(states, nodes, inputs, ties, Known(now, kept), verdicts)
