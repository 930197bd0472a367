"""The Brute as a search: the tree of everything pressed so far, entered where it did best, left at random.

Followed: M. C. Machado et al., "Revisiting the Arcade Learning Environment" (JAIR 61, 2018), and Gym Retro's
example of it. Every attempt descends the tree from the start: at a node with v visits it takes a random
action with a chance of 0.005 / ln(v + 2), else the child below which the best state lies. Where it leaves the
tree it goes on at random to its end; then what it reached raises the worth of every node on its way. `brute`
does the same in an environment, with rewards in the place of rules; this one plays its attempts side by side.

Two things differ, and not in what is found: an attempt begins at the last state saved on its way, and one
that would never leave the tree, which teaches nothing, leaves it at a node drawn by those same chances.
"""

from __future__ import annotations

import math
from array import array
from collections import OrderedDict
from typing import TYPE_CHECKING

import numpy as np

from frameperfect.search import lanes
from frameperfect.search.attempts import WORST, Attempt, Attempts, Rank
from frameperfect.search.driver import Arrays, Meta, Names, Running, run
from frameperfect.search.generations import Wave
from frameperfect.search.problem import Problem
from frameperfect.search.result import Budget, Result

if TYPE_CHECKING:
    from typing_extensions import Unpack

EPSILON = 0.005
SAVE_EVERY = 64
"""Steps between saved states on a way; half of that is played again, on average, to reach a node."""
A_NODE = 400
"""Bytes of a node in the tree, about."""
TRIES = 8
"""Ways through a tree that is known to its ends, before an attempt begins at the start."""


def brute_search(
    problem: Problem,
    budget: Budget | None = None,
    *,
    seed: int = 0,
    **running: Unpack[Running],
) -> Result:
    """Try until the budget is used up; the fastest run that wins, or else the way to the best state.

    Arguments as `beam` has them.
    """
    return run(Brute(problem, budget or Budget(seconds=60), seed), **running)


class Brute(Attempts):
    """Node 0 is the start; `edges[node * n + action]` a child. An attempt's mind: its node, the way there."""

    name = "brute"

    def __init__(self, problem: Problem, budget: Budget, seed: int) -> None:
        super().__init__(problem, budget, seed)
        self._clear()

    def _clear(self) -> None:
        self.n = len(self.problem.masks)
        self.edges: dict[int, int] = {}
        self.parent, self.action = array("q", [0]), array("q", [0])
        self.visits = array("q", [0])
        self.choice = array("q", [int(self.root.verdicts.choice[0])])
        self.over_here = bytearray(1)
        """Whether a node's state failed or won."""
        self.worth: list[Rank] = [WORST]
        """The best rank at or below each node."""
        self.saved: OrderedDict[int, Wave] = OrderedDict()

    def over(self) -> str:
        """See `Method.over`."""
        return "memory" if len(self.parent) * A_NODE > self.budget.memory / 2 else super().over()

    # -- an attempt --------------------------------------------------------------------------------

    def begin(self) -> tuple[Attempt, Wave]:
        """See `Attempts.begin`."""
        nodes, actions = self._descend([0], [])
        for _ in range(TRIES):
            if len(actions) == len(nodes):
                break
            chances = np.array([1 / math.log(self.visits[node] + 2) for node in nodes[:-1] or nodes])
            leave = int(self.dice.choice(len(chances), p=chances / chances.sum()))
            for node in nodes:
                self.visits[node] += 1
            nodes, actions = nodes[: leave + 1], actions[:leave]
            action = self._random(self.choice[nodes[-1]])
            child = self.edges.get(nodes[-1] * self.n + action)
            actions.append(action)
            if child is not None:
                nodes, actions = self._descend([*nodes, child], actions)
        else:
            nodes, actions = [0], []
        depth = min(len(nodes) - 1, len(actions))
        while depth and nodes[depth] not in self.saved:
            depth -= 1
        mind = {"node": nodes[depth], "todo": actions[depth:][::-1]}
        return Attempt(actions[:depth], mind), self.saved[nodes[depth]] if depth else self.root

    def _descend(self, nodes: list[int], actions: list[int]) -> tuple[list[int], list[int]]:
        """The way on: nodes and actions, of which the last leads out of the tree, unless it ends in it."""
        while not self.over_here[nodes[-1]] and len(actions) < self.limit:
            node = nodes[-1]
            action = self._choose(node)
            actions.append(action)
            child = self.edges.get(node * self.n + action)
            if child is None:
                break
            nodes.append(child)
        return nodes, actions

    def _choose(self, node: int) -> int:
        if self.dice.random() < EPSILON / math.log(self.visits[node] + 2):
            return self._random(self.choice[node])
        best, chosen = WORST, []
        for action in self.problem.sets[self.choice[node]].tolist():
            child = self.edges.get(node * self.n + action)
            worth = WORST if child is None else self.worth[child]
            if worth > best:
                best, chosen = worth, [action]
            elif worth == best:
                chosen.append(action)
        return int(chosen[int(self.dice.integers(len(chosen)))]) if len(chosen) > 1 else int(chosen[0])

    def _random(self, choice: int) -> int:
        actions = self.problem.sets[choice]
        return int(actions[int(self.dice.integers(len(actions)))])

    def mind_of_another(self) -> Meta:
        """See `Attempts.mind_of_another`."""
        return {"node": 0, "todo": []}

    def press(self, attempt: Attempt, choice: int) -> int:
        """See `Attempts.press`: the way back, then anything."""
        todo: list[int] = attempt.mind["todo"]
        return todo.pop() if todo else self._random(choice)

    def reached(self, attempt: Attempt, rank: Rank, wave: Wave, lane: int) -> None:
        """See `Attempts.reached`: a node, new or known."""
        before, action = attempt.mind["node"], attempt.path[-1]
        node = self.edges.get(before * self.n + action)
        if node is None:
            node = len(self.parent)
            self.edges[before * self.n + action] = node
            self.parent.append(before)
            self.action.append(action)
            self.visits.append(0)
            self.choice.append(int(wave.verdicts.choice[lane]))
            self.over_here.append(rank[0] != 0)
            self.worth.append(rank)
        attempt.mind["node"] = node
        if rank[0] == 0 and len(attempt.path) % SAVE_EVERY == 0:
            self._save(node, wave.take(slice(lane, lane + 1)))

    def _save(self, node: int, wave: Wave) -> None:
        store = self.problem.expander.store
        if node in self.saved:
            self.saved.move_to_end(node)
            return
        store.hold(wave.states)
        self.saved[node] = wave
        while store.bytes > self.budget.memory / 4 and len(self.saved) > 1:
            store.release(self.saved.popitem(last=False)[1].states)

    def end(self, attempt: Attempt, better: bool) -> None:
        """See `Attempts.end`: what was reached raises the worth of the nodes on the way."""
        node, worth = attempt.mind["node"], WORST
        while True:
            self.worth[node] = worth = max(worth, self.worth[node])
            self.visits[node] += 1
            if node == 0:
                return
            node = self.parent[node]

    # -- as a file ---------------------------------------------------------------------------------

    def held(self) -> list[Wave]:
        """See `Attempts.held`."""
        return list(self.saved.values())

    def dump(self) -> tuple[Meta, Arrays]:
        """See `Method.dump`."""
        meta, arrays = super().dump()
        for name in _COLUMNS:
            arrays[f"tree.{name}"] = np.array(getattr(self, name), np.int64)
        arrays["tree.over_here"] = np.frombuffer(bytes(self.over_here), np.uint8)
        arrays["tree.worth"] = np.array(self.worth, np.float64)
        return meta | {"saved": list(self.saved)}, arrays

    def load(self, meta: Meta, arrays: Arrays, before: Names | None) -> None:
        """See `Method.load`; by other rules the tree grows anew."""
        if before is not None:
            self.root = lanes.start(self.problem).wave if not len(self.root) else self.root
        self._clear()
        super().load(meta, arrays, before)

    def remember(self, meta: Meta, arrays: Arrays, held: list[Wave]) -> None:
        """See `Attempts.remember`."""
        for name in _COLUMNS:
            setattr(self, name, array("q", arrays[f"tree.{name}"].tolist()))
        self.over_here = bytearray(arrays["tree.over_here"].tobytes())
        self.worth = [(int(w), int(p), s, int(n)) for w, p, s, n in arrays["tree.worth"].tolist()]
        ways = zip(self.parent[1:], self.action[1:], strict=True)
        self.edges = {before * self.n + action: node for node, (before, action) in enumerate(ways, 1)}
        self.saved = OrderedDict(zip(meta["saved"], held, strict=True))


_COLUMNS = ("parent", "action", "visits", "choice")
