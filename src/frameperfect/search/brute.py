"""The Brute: a tree search that lives off determinism, as a floor for learners.

Followed: M. C. Machado et al., "Revisiting the Arcade Learning Environment" (JAIR 61, 2018), which
names it, and the form that Gym Retro's example gives it (openai/retro, `retro/examples/brute.py`):
frame skip 4; every episode descends a tree of all action sequences so far; at a node with `v` visits it
takes a random action with probability 0.005 / ln(v + 2), else the child with the best return found below it;
where the tree ends it goes on at random; then the episode's return raises the value of all its nodes.

It observes nothing. An open-loop sequence that scores in a deterministic game says how much of a score
needs no skill.

One thing differs, and not in the result: the part of an episode that lies inside the tree has been seen, so
it is not emulated again. The search restores the last state saved on that path and plays from there.
"""

from __future__ import annotations

import math
import random
import time
from array import array
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import gymnasium
from gymnasium.spaces import Discrete

from frameperfect.errors import FrameperfectError, Unsupported

EPSILON = 0.005
SAVE_EVERY = 64
"""Steps between saved states on a path; half of that is played again, on average, to reach a node."""
STATE_MEMORY = 256 << 20
"""Bytes of saved states kept; the one unused for longest goes first."""


@dataclass(frozen=True, slots=True)
class BruteResult:
    """The best episode found, and what it took."""

    actions: tuple[int, ...]
    score: float
    """The return of `actions`, played again from `reset` to be sure of it."""
    episodes: int
    steps: int
    """Agent steps of all episodes, as the published algorithm would play them: the search's budget."""
    emulated: int
    """Agent steps that really ran: those outside the tree, and the way from a saved state."""


def brute(
    env: gymnasium.Env[Any, Any],
    *,
    steps: int | None = None,
    seconds: float | None = None,
    seed: int = 0,
    most_steps: int = 1 << 30,
    saves: bool = True,
    progress: Callable[[int, float], None] | None = None,
) -> BruteResult:
    """Search `env` until `steps` agent steps are played or `seconds` are over, whichever comes first.

    The environment has a `Discrete` action space and is deterministic: `reset(seed=seed)` and equal actions
    give equal rewards (so: no sticky actions). With `saves` its `save()` and `restore()` are used.
    Afterwards the environment stands at the end of the best episode: `env.unwrapped.movie()` is its movie.
    `most_steps` cuts long episodes. `progress` is called with the steps so far and the best return.

    Raises:
        Unsupported: the actions are not discrete.
        FrameperfectError: no budget, or the best episode did not score the same again.
    """
    if not isinstance(env.action_space, Discrete):
        raise Unsupported(
            "The Brute needs a discrete action space; make the environment with actions='discrete'"
        )
    if steps is None and seconds is None:
        raise FrameperfectError("The Brute needs a budget: steps or seconds")
    deadline = math.inf if seconds is None else time.monotonic() + seconds
    search = _Search(env, int(env.action_space.n), seed, most_steps, saves)
    while search.steps < (math.inf if steps is None else steps) and time.monotonic() < deadline:
        search.episode(deadline)
        if progress is not None:
            progress(search.steps, search.best_score)
    score = search.play_best()
    if score != search.best_score:
        raise FrameperfectError(
            f"The Brute found {search.best_score:g} and got {score:g} for the same actions: "
            "the environment is not deterministic (sticky must be 0)"
        )
    return BruteResult(search.best, score, search.episodes, search.steps, search.emulated)


class _Search:
    """The tree in flat arrays: node 0 is the start; `edges[node * n + action]` is a child."""

    def __init__(self, env: gymnasium.Env[Any, Any], n: int, seed: int, most_steps: int, saves: bool) -> None:
        self.env, self.n, self.seed, self.most_steps, self.saves = env, n, seed, most_steps, saves
        self.random = random.Random(seed)
        self.edges: dict[int, int] = {}
        self.visits = array("L", [0])
        self.values = array("d", [-math.inf])
        self.rewards = array("d", [0.0])  # of the step into the node
        self.ended = bytearray(1)
        self.states: OrderedDict[int, bytes] = OrderedDict()
        self.state_bytes = 0
        self.steps = self.emulated = self.episodes = 0
        self.best: tuple[int, ...] = ()
        self.best_score = -math.inf

    def episode(self, deadline: float) -> None:
        """Descend, go on at random outside the tree, and carry the return back along the path."""
        actions, path = self._descend()
        if len(actions) == len(path):  # the last action leads out of the tree
            leaving = actions.pop()
            self._stand_at(path, actions)
            self._wander(leaving, path, actions, deadline)
        score = math.fsum(self.rewards[node] for node in path)
        for node in path:
            self.visits[node] += 1
            self.values[node] = max(self.values[node], score)
        self.steps += len(actions)
        self.episodes += 1
        if score > self.best_score:
            self.best, self.best_score = tuple(actions), score

    def _descend(self) -> tuple[list[int], list[int]]:
        """The actions chosen and the nodes passed; the last action, outside the tree, has no node."""
        actions: list[int] = []
        path = [0]
        while not self.ended[path[-1]] and len(actions) < self.most_steps:
            node = path[-1]
            action = self._choose(node)
            actions.append(action)
            child = self.edges.get(node * self.n + action)
            if child is None:
                break
            path.append(child)
        return actions, path

    def _choose(self, node: int) -> int:
        if self.random.random() < EPSILON / math.log(self.visits[node] + 2):
            return self.random.randrange(self.n)
        best, chosen = -math.inf, []
        for action in range(self.n):
            child = self.edges.get(node * self.n + action)
            value = -math.inf if child is None else self.values[child]
            if value > best:
                best, chosen = value, [action]
            elif value == best:
                chosen.append(action)
        return self.random.choice(chosen)

    def _stand_at(self, path: list[int], actions: list[int]) -> None:
        """Bring the environment to the last node of `path`, reached by `actions`."""
        depth = len(actions)
        while depth > 0 and path[depth] not in self.states:
            depth -= 1
        if depth == 0:
            self.env.reset(seed=self.seed)
        else:
            self.env.unwrapped.restore(self.states[path[depth]])  # type: ignore[attr-defined]
            self.states.move_to_end(path[depth])
        for place in range(depth, len(actions)):
            self._step(actions[place])
            self._keep_state(path[place + 1], place + 1)

    def _wander(self, action: int, path: list[int], actions: list[int], deadline: float) -> None:
        """Random steps to the episode's end, each a new node; stops unfinished when the time is over."""
        while True:
            reward, ended = self._step(action)
            actions.append(action)
            node = len(self.visits)
            self.edges[path[-1] * self.n + action] = node
            self.visits.append(0)
            self.values.append(-math.inf)
            self.rewards.append(reward)
            self.ended.append(ended)
            path.append(node)
            if ended or len(actions) >= self.most_steps or time.monotonic() >= deadline:
                return
            self._keep_state(node, len(actions))
            action = self.random.randrange(self.n)

    def _step(self, action: int) -> tuple[float, bool]:
        _, reward, terminated, truncated, _ = self.env.step(action)
        self.emulated += 1
        return float(reward), bool(terminated or truncated)

    def _keep_state(self, node: int, depth: int) -> None:
        if not self.saves or depth % SAVE_EVERY or node in self.states:
            return
        state = self.env.unwrapped.save()  # type: ignore[attr-defined]
        self.states[node] = state
        self.state_bytes += len(state)
        while self.state_bytes > STATE_MEMORY:
            self.state_bytes -= len(self.states.popitem(last=False)[1])

    def play_best(self) -> float:
        """Play the best episode from the start, as anyone who replays it would."""
        self.env.reset(seed=self.seed)
        return math.fsum(self._step(action)[0] for action in self.best)
