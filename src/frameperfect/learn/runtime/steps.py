"""A value learner with parallel actors (Ape-X, Horgan et al. 2018): each fills its own rings of one replay.

The learner keeps its ratio of updates to steps. An actor whose chunk was taken plays on at once, by the
newest weights, while the learner makes the updates that the chunk was good for; a learner that falls behind
keeps its actors waiting. The numbers in brackets are those of docs/runtime.md.
"""

from __future__ import annotations

from collections import deque
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from frameperfect.learn.episodes import EpisodeEnd
from frameperfect.learn.runtime.actor import STEP, chunk_steps
from frameperfect.learn.runtime.crew import Crew
from frameperfect.learn.runtime.fleet import Chunk, Fleet
from frameperfect.learn.spaces import Arrays
from frameperfect.learn.value.actor import alternatives
from frameperfect.learn.value.config import ValueConfig
from frameperfect.learn.value.network import QNetwork
from frameperfect.learn.value.replay import Replay, Shape


class ReplayCrew(Crew):
    """Has what a value learner's `Actor` has, in other processes. Its step is one chunk of one actor."""

    state: None = None
    """No recurrent state of its own: the actors keep theirs."""

    def __init__(self, fleet: Fleet, config: ValueConfig, lockstep: bool = False) -> None:
        super().__init__(fleet, lockstep)
        self.config = config
        self.table = alternatives(self.actions)
        self.chunk_steps = chunk_steps(self.envs_each)
        self.stride = self.chunk_steps * self.envs_each
        self.seen: list[Arrays] = []
        self._explore = 1.0
        self._waiting: deque[Chunk] = deque()
        self._playing = False

    def attach(self, network: QNetwork, replay: Replay, device: Any) -> None:
        """See `Actor.attach`."""
        self.network = network
        self.replay = replay
        self.device = device
        self.publish(network, 0)

    def make_replay(self, shape: Shape, folder: Path | None) -> Replay:
        """The replay that the actors fill, each its own part."""
        replay = Replay(self.inputs, self.n, shape, folder)
        least = self.config.priority_epsilon
        self.rings = [Ring(replay, i * self.envs_each, self.envs_each, least) for i in range(self.fleet.size)]
        return replay

    def keep(self, chunk: Chunk) -> None:
        """Take a chunk into the replay, while its actor plays on."""
        self.order_next(chunk)
        self.rings[chunk.actor].add(chunk.arrays, chunk.facts.begun, self.same_step)

    def order_next(self, chunk: Chunk) -> None:
        """Let the actor of a chunk play on, where it need not wait for the others."""
        if not self.lockstep:
            self.order(chunk.actor)

    def epsilon(self, actor: int) -> float:
        """All random at first; then each actor has a chance of its own, from much to little [5]."""
        return actor_epsilon(actor, self.fleet.size, self._explore, self.config.noisy)

    def step(self, epsilon: float, generator: Any) -> list[EpisodeEnd]:
        """Take a chunk into the replay; `epsilon` is the learner's own schedule."""
        self._explore = epsilon
        if self.updates != self.version:
            self.publish(self.network, self.updates)
        if not self._playing or (self.lockstep and not self._waiting):
            for i in range(self.fleet.size):
                self.order(i)
            self._playing = True
        if self.lockstep and not self._waiting:
            chunks = [self.take() for _ in range(self.fleet.size)]
            self._waiting.extend(sorted(chunks, key=lambda each: each.actor))
        chunk = self._waiting.popleft() if self.lockstep else self.take()
        ended = self.account(chunk, self.updates)
        self.keep(chunk)
        if self.network.vectors.normalise:
            self.seen.append({each.name: chunk.arrays[f"obs.{each.name}"].copy() for each in self.inputs})
        return ended

    def observe(self) -> None:
        """See `Actor.observe`."""
        if self.seen:
            together = {
                name: torch.from_numpy(np.concatenate([each[name] for each in self.seen]))
                .flatten(0, 1)
                .to(self.device)
                for name in self.seen[0]
            }
            with torch.no_grad():
                self.network.vectors.observe(together)
            self.seen = []


def actor_epsilon(actor: int, actors: int, schedule: float, noisy: bool) -> float:
    """The chance of a random action: the learner's `schedule` while all play is random (1) and for a single
    actor, 0.4 ** (1 + 7 i / (N - 1)) for the i-th of N, 0 where noise explores [5].
    """
    if schedule == 1.0 or actors == 1:
        return schedule
    return 0.0 if noisy else float(0.4 ** (1 + 7 * actor / (actors - 1)))


class Ring:
    """An actor's part of the replay: rows of its own environments, in rings that nothing else writes."""

    def __init__(self, replay: Replay, first: int, count: int, least: float) -> None:
        self.replay = replay
        self.least = least
        """Added to every priority."""
        self.part = replay.part(first, count)
        self.behind: NDArray[np.int64] = np.full((replay.shape.n_step, count), -1)
        """The rows of the last steps, whose errors are still to come; -1: none."""

    def add(self, arrays: Arrays, begun: bool, same_step: bool) -> None:
        """Take a chunk, and the priorities that the actor gave [4]."""
        part = self.part
        names = list(part.columns)
        if begun:
            part.written = self.replay.written  # what a ring held before, if anything did, is cut short
            self.behind[:] = -1
            part.begin({name: arrays[f"first.{name}"] for name in names})
        part.highest = self.replay.highest
        steps = len(arrays["actions"])
        rows = np.concatenate([self.behind, np.empty((steps, part.n), np.int64)])
        for t in range(steps):
            rows[len(self.behind) + t] = part.base + part.cursor
            actions, rewards, terminated, ended, resetting = (arrays[name][t] for name in STEP)
            obs = {name: arrays[f"obs.{name}"][t] for name in names}
            final = None
            if same_step:
                cut = np.flatnonzero(ended & ~terminated)
                final = cut, {name: arrays[f"final.{name}"][t, cut] for name in names}
            state = arrays["states"][t] if "states" in arrays else None
            part.add(actions, rewards, terminated, ended, resetting, obs, final, state)
        self.replay.written += steps * part.n - int(arrays["resetting"].sum())
        if "errors" in arrays:
            errors, late = arrays["errors"], rows[:steps]
            known = np.isfinite(errors) & (late >= 0)
            if known.any():
                self.replay.prioritise(late[known], errors[known] + self.least)
        self.behind = rows[steps:]
