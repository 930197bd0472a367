"""The learner's side of its actors: orders go out, chunks come in, weights go along with a version.

The numbers in brackets are those of docs/runtime.md.
"""

from __future__ import annotations

from abc import abstractmethod
from typing import Any, ClassVar

import numpy as np

from frameperfect.learn.episodes import Acting, EpisodeEnd
from frameperfect.learn.runtime.actor import Order, weights_of
from frameperfect.learn.runtime.fleet import Chunk, Fleet, Lost


class Crew(Acting):
    """What both learners' crews do alike.

    Args:
        fleet: the actors.
        lockstep: the learner waits while actors play, and they wait while it learns: what is learned depends
            on the seed alone.
    """

    columns: ClassVar[tuple[str, ...]] = ("staleness", "actor_restarts")

    def __init__(self, fleet: Fleet, lockstep: bool) -> None:
        hello = fleet.hello
        super().__init__(hello.envs * fleet.size, hello.inputs, hello.actions, hello.same_step)
        self.fleet = fleet
        self.lockstep = lockstep
        self.envs_each = hello.envs
        self.version = 0
        """Of the weights that were published last: updates that made them."""
        self.restarts = 0
        self._begun = [False] * fleet.size
        self._seed = 0
        self._late: list[int] = []

    def begin(self, seed: int) -> None:
        """See `Acting.begin`: an actor does so with its next order."""
        self._seed = seed
        self._begun = [False] * self.fleet.size

    @abstractmethod
    def epsilon(self, actor: int) -> float:
        """The chance of a random action."""

    def publish(self, network: Any, version: int) -> None:
        """Let actors play by these weights from their next order on."""
        self.version = version
        self.fleet.publish(weights_of(network), version)

    def order(self, actor: int) -> None:
        """Let an actor play one more chunk."""
        # other episodes for each actor, and others again for one that took another's place
        seed = self._seed + actor * self.envs_each + self.restarts * self.n
        self.fleet.order(actor, Order(None if self._begun[actor] else seed, self.epsilon(actor)))
        self._begun[actor] = True

    def take(self) -> Chunk:
        """The next chunk of whichever actor; what a lost one was playing is ordered anew."""
        while isinstance(taken := self.fleet.take(), Lost):
            self.restarts += 1
            self._begun[taken.actor] = False
            self.order(taken.actor)
        return taken

    def account(self, chunk: Chunk, version: int) -> list[EpisodeEnd]:
        """Take note of a chunk that a learner of this version takes; the episodes that ended in it."""
        self._late.append(version - chunk.facts.version)
        ended = chunk.facts.ended
        self.recent.extend((each.total, each.length) for each in ended)
        self.episodes += len(ended)
        return ended

    def measures(self) -> dict[str, float]:
        """Of the chunks since the last call: how many updates were made, in the mean, between the weights
        that played a chunk and its being learned from [3]; and how many actors were replaced so far.
        """
        late = float(np.mean(self._late)) if self._late else float("nan")
        self._late = []
        return {"staleness": late, "actor_restarts": self.restarts}
