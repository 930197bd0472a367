"""A value learner's replay in a cluster: shards that are Ray actors, each the replay of a few of the actors.

What an actor played goes straight to its shard. A shard draws by priority among its own rows, as many as its
part of all priorities is worth, and sends each draw with the rows around it that its reading needs; here they
lie in a small replay, a draw a ring, and are read as from any other. Draws are asked for ahead, so that the
learner does not wait for the network; their priorities are a few updates old then.
"""

from __future__ import annotations

import dataclasses
import time
from collections import deque
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from frameperfect.errors import LearningError
from frameperfect.learn.runtime.cluster import RayChunk, RayFleet
from frameperfect.learn.runtime.fleet import Chunk
from frameperfect.learn.runtime.steps import ReplayCrew, Ring
from frameperfect.learn.spaces import Arrays, Input
from frameperfect.learn.value.replay import Draw, Replay, ReplayLost, Rows, Shape

ACTORS_EACH = 4
"""Actors that share a shard."""
AHEAD = 2
"""Draws asked for before they are needed."""
PATIENCE = 120
"""Seconds that Ray has to start a shard again while there is no other."""


class ShardHost:
    """A shard's process in the cluster."""

    def __init__(
        self, inputs: tuple[Input, ...], actors: int, envs_each: int, shape: Shape, least: float
    ) -> None:
        self.replay = Replay(inputs, actors * envs_each, shape)
        self.rings = [Ring(self.replay, i * envs_each, envs_each, least) for i in range(actors)]
        self.begun = [False] * actors

    def add(self, actor: int, arrays: Arrays, begun: bool, same_step: bool) -> tuple[bool, int, float]:
        """Take a chunk; whether it did, the steps that were added so far, and the sum of all priorities.

        Where this process took another's place, it takes nothing of an actor before new episodes.
        """
        self.begun[actor] |= begun
        if self.begun[actor]:
            self.rings[actor].add(arrays, begun, same_step)
        return self.begun[actor], self.replay.written, self.replay.tree.sum

    def draw(self, uniforms: NDArray[np.float64]) -> tuple[Arrays, Rows, NDArray[np.float64], float]:
        """So many draws: the rows around each, where each begins, its priority, and the sum of all.

        The sum is 0, and there are none, where this process took another's place.
        """
        mass = self.replay.tree.sum
        if not mass:
            return {}, np.zeros(0, np.int64), np.zeros(0), 0.0
        rows, shares = self.replay.tree.sample(uniforms)
        return self.replay.cut(rows), rows, shares * mass, mass

    def prioritise(self, rows: Rows, priorities: NDArray[np.float64]) -> None:
        """As `Replay.prioritise`."""
        self.replay.prioritise(rows, priorities)


class ShardedReplay(Replay):
    """The shards, as the replay that they are together. It holds one draw of B rows at a time."""

    def __init__(self, crew: ShardedCrew, shape: Shape) -> None:
        config, fleet = crew.config, crew.fleet
        assert isinstance(fleet, RayFleet)
        self.fleet, self.ray = fleet, fleet.ray
        deepest = max((each.shape[0] for each in crew.inputs if each.pixels), default=1)
        length = 2 * (shape.sequence + shape.n_step + shape.burn_in + 2 * deepest)
        batch = config.batch_size
        super().__init__(crew.inputs, batch, dataclasses.replace(shape, capacity=batch * length))
        parts = -(-fleet.size // ACTORS_EACH)
        host = self.ray.remote(ShardHost).options(num_cpus=0, max_restarts=-1, scheduling_strategy="SPREAD")
        self.capacity = shape.capacity
        self.shards = []
        for part in range(parts):
            actors = len(range(part, fleet.size, parts))
            own = dataclasses.replace(shape, capacity=shape.capacity * actors // fleet.size)
            each = host.remote(crew.inputs, actors, crew.envs_each, own, config.priority_epsilon)
            self.shards.append(each)
        self.kept = False
        self.counts = np.zeros(parts, np.int64)
        self.masses = np.zeros(parts)
        self.lost: set[int] = set()
        """Shards that died and are empty now: their actors are to begin anew."""
        self.away: set[int] = set()
        """Of those that died: those not heard from since."""
        self.deaths = 0
        self.torn: list[int] = []
        """Actors one of whose chunks was lost with the machine that it lay on."""
        self.asked: deque[list[tuple[int, Any]]] = deque()
        self.source: tuple[NDArray[np.int64], Rows] = np.zeros(0, np.int64), np.zeros(0, np.int64)
        """Of the draw that is held: the shard of each, and its row there."""

    @property
    def drawable(self) -> bool:
        """See `Replay`."""
        return bool(self.masses.sum() > 0)

    @property
    def rows(self) -> int:
        """See `Replay`."""
        return min(self.written, self.capacity)

    def take(self, chunk: RayChunk, same_step: bool) -> None:
        """Let the actor's shard have a chunk.

        Raises:
            LearningError: a shard can't take it; or there is none any more, and Ray starts no other.
        """
        shard, place = chunk.actor % len(self.shards), chunk.actor // len(self.shards)
        added = self.shards[shard].add.remote(place, chunk.ref, chunk.facts.begun, same_step)
        try:
            taken, count, self.masses[shard] = self.ray.get(added)
        except self.ray.exceptions.RayActorError:
            self._lose(shard)
            if len(self.away) == len(self.shards):
                self._await(shard)  # what is played has nowhere to go
        except self.ray.exceptions.RayError as failure:
            cause = getattr(failure, "cause", failure)
            if not isinstance(cause, self.ray.exceptions.RayError):
                raise cause from None  # the shard itself can't take it, and says why
            self.torn.append(chunk.actor)
        else:
            self.away.discard(shard)
            self.written += count - int(self.counts[shard])
            self.counts[shard] = count
            if not taken:
                self.torn.append(chunk.actor)

    def draw(self, uniforms: NDArray[np.float64], beta: float) -> Draw:
        """See `Replay.draw`.

        Raises:
            ReplayLost: all shards died.
        """
        while self.drawable:
            self.asked.append(self._ask(uniforms))
            while len(self.asked) <= AHEAD:
                uniforms = 1 - uniforms
                self.asked.append(self._ask(uniforms))
            found = []
            for shard, answer in self.asked.popleft():
                try:
                    parts = self.ray.get(answer)
                except (self.ray.exceptions.RayActorError, self.ray.exceptions.ObjectLostError):
                    self._lose(shard)
                    continue
                if parts[-1]:
                    found.append((shard, *parts))
                else:
                    self._lose(shard)
            if sum(len(each[2]) for each in found) == self.n:
                break
        else:
            raise ReplayLost("all shards of the replay died at once")
        for shard, *_, mass in found:
            self.masses[shard] = mass
        begins = self.paste({name: np.concatenate([each[1][name] for each in found]) for name in found[0][1]})
        shards = np.concatenate([np.full(len(each[2]), each[0]) for each in found])
        self.source = shards, np.concatenate([each[2] for each in found])
        if not self.shape.alpha:
            return Draw(begins, np.ones(self.n, np.float32))
        priorities = np.concatenate([each[3] for each in found])
        return Draw(begins, ((priorities / priorities.min()) ** -beta).astype(np.float32))

    def prioritise(self, rows: Rows, priorities: NDArray[Any]) -> None:
        """See `Replay.prioritise`."""
        if not self.shape.alpha:
            return
        drawn = rows // self.length
        shards, places = self.source[0][drawn], self.source[1][drawn]
        for shard in np.unique(shards):
            own = shards == shard
            self.shards[shard].prioritise.remote(places[own], np.asarray(priorities, np.float64)[own])

    def _ask(self, uniforms: NDArray[np.float64]) -> list[tuple[int, Any]]:
        """Ask each shard for its part of a draw."""
        strata = (np.arange(self.n) + uniforms) / self.n
        edges = np.cumsum(self.masses) / self.masses.sum()
        shards = np.minimum(np.searchsorted(edges, strata, "right"), np.flatnonzero(self.masses).max())
        return [(int(k), self.shards[k].draw.remote(uniforms[shards == k])) for k in np.unique(shards)]

    def _lose(self, shard: int) -> None:
        """A shard died: Ray starts another, which is empty."""
        self.written -= int(self.counts[shard])
        self.counts[shard], self.masses[shard] = 0, 0.0
        self.asked = deque(parts for parts in self.asked if all(k != shard for k, _ in parts))
        self.deaths += shard not in self.away
        self.away.add(shard)
        self.lost.add(shard)

    def _await(self, shard: int) -> None:
        """Wait for what Ray starts in a shard's place."""
        until = time.monotonic() + PATIENCE
        while True:
            try:
                self.ray.get(self.shards[shard].__ray_ready__.remote())
                return
            except self.ray.exceptions.RayActorError as failure:
                if time.monotonic() > until:
                    raise LearningError(
                        "all shards of the replay died, and Ray starts none; --resume fills others"
                    ) from failure
                time.sleep(0.1)


class ShardedCrew(ReplayCrew):
    """Its actors' chunks go to the shards."""

    replay: ShardedReplay

    def make_replay(self, shape: Shape, folder: Path | None) -> Replay:
        """See `ReplayCrew`."""
        self.replay = ShardedReplay(self, shape)
        self.replay.fleet.fetch = False
        return self.replay

    def keep(self, chunk: Chunk) -> None:
        """See `ReplayCrew`; whether the actor has to begin anew, its shard says first."""
        assert isinstance(chunk, RayChunk)
        self.replay.take(chunk, self.same_step)
        for actor in self.replay.torn:
            self._begun[actor] = False
        self.replay.torn = []
        for shard in self.replay.lost:
            for actor in range(shard, self.fleet.size, len(self.replay.shards)):
                self._begun[actor] = False
        self.replay.lost = set()
        self.restarts += self.replay.deaths
        self.replay.deaths = 0
        self.order_next(chunk)
