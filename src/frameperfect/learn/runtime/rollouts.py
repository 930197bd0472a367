"""PPO with parallel actors: one rollout of each makes the learner's batch.

While the learner learns from it, the actors play the next one by the weights before the update: a batch is
one update old, and PPO's ratio is against the policy that played it [2]. In lockstep it is of this moment.
The numbers in brackets are those of docs/runtime.md.
"""

from __future__ import annotations

from typing import Any

from frameperfect.learn.episodes import EpisodeEnd
from frameperfect.learn.networks import ActorCritic
from frameperfect.learn.rollout import Rollout
from frameperfect.learn.runtime.actor import join_rollouts
from frameperfect.learn.runtime.crew import Crew
from frameperfect.learn.runtime.fleet import Chunk, Fleet


class RolloutCrew(Crew):
    """Has what a `Collector` has, in other processes."""

    state: None = None
    """No recurrent state of its own: the actors keep theirs."""

    def __init__(self, fleet: Fleet, lockstep: bool = False) -> None:
        super().__init__(fleet, lockstep)
        self._ordered = False

    def attach(self, network: ActorCritic, device: Any) -> None:
        """See `Collector.attach`."""
        self.network = network
        self.device = device
        self.publish(network, 0)

    def begin(self, seed: int) -> None:
        """See `Crew.begin`."""
        super().begin(seed)
        assert not self._ordered

    def epsilon(self, actor: int) -> float:
        """PPO draws its actions by their chances."""
        return 0.0

    def collect(self, generator: Any) -> tuple[Rollout, list[EpisodeEnd]]:
        """One rollout of every actor, side by side."""
        if not self._ordered:
            self._order_all()
        chunks: dict[int, Chunk] = {}
        while len(chunks) < self.fleet.size:
            chunk = self.take()
            chunks[chunk.actor] = chunk
        now = self.updates
        ended: list[EpisodeEnd] = []
        for _, chunk in sorted(chunks.items()):
            ended += self.account(chunk, now)
        self._ordered = False
        if not self.lockstep:
            self._order_all()
        return join_rollouts([chunks[i].arrays for i in range(self.fleet.size)], self.device), ended

    def _order_all(self) -> None:
        self.publish(self.network, self.updates)
        for i in range(self.fleet.size):
            self.order(i)
        self._ordered = True
