"""Actors on the learner's machine: processes, chunks and weights in shared memory, messages by sockets."""

from __future__ import annotations

import contextlib
import dataclasses
import itertools
import os
import selectors
import socket
from collections.abc import Iterator
from typing import Any

import cloudpickle
import numpy as np

from frameperfect._native import SharedMemory
from frameperfect.errors import ActorFailed, LearningError
from frameperfect.learn.config import PpoConfig
from frameperfect.learn.runtime.actor import Hello, Layout, MakeEnvs, Order
from frameperfect.learn.runtime.fleet import Chunk, Fleet, Lost
from frameperfect.learn.runtime.messages import pack_hello, receive, send, unpack_facts, unpack_hello
from frameperfect.learn.runtime.shared import Weights, open_sides
from frameperfect.learn.spaces import Arrays
from frameperfect.learn.value.config import ValueConfig
from frameperfect.workers.child import Child

MODULE = "frameperfect.learn.runtime.process"


class LocalFleet(Fleet):
    """Actors in processes of this machine.

    An actor that dies is replaced. If one dies twice before it has played a chunk, that is no accident, and
    training stops.

    Args:
        make_envs: makes one actor's environments, in its process.
        config: the learner's settings.
        size: how many actors.
        seed: of the actors' own draws.

    Raises:
        LearningError: an actor can't start, and why.
    """

    def __init__(self, make_envs: MakeEnvs, config: PpoConfig | ValueConfig, size: int, seed: int) -> None:
        self.size = size
        self._seed = seed
        self._opening = {
            "learner": "value" if isinstance(config, ValueConfig) else "ppo",
            "config": config.to_json(),
        }
        self._pickled = cloudpickle.dumps(make_envs)
        self._shown = SharedMemory(0)
        self._weights: Weights | None = None
        self._layout: Layout = {}
        self._births = [0] * size
        self._chunks = [0] * size
        """Played by the process that stands now."""
        self._selector = selectors.DefaultSelector()
        self._actors: dict[int, _Actor] = {}
        try:
            for i in range(size):
                self._start(i)
            hellos = [self._welcome(i) for i in range(size)]
            if any(pack_hello(each) != pack_hello(hellos[0]) for each in hellos):
                raise LearningError("the actors' environments differ from each other in number or in spaces")
            self.hello = hellos[0]
        except BaseException:
            self.close()
            raise

    def publish(self, weights: Arrays, version: int) -> None:
        """See `Fleet.publish`."""
        if self._weights is None:
            self._layout = {name: (each.shape, each.dtype.str) for name, each in weights.items()}
            self._weights = Weights(self._shown, self._layout)
            self._weights.write(weights, version)
            for i in range(self.size):
                self._enrol(i)
        else:
            self._weights.write(weights, version)

    def order(self, actor: int, order: Order) -> None:
        """See `Fleet.order`."""
        self._actors[actor].tell(dataclasses.asdict(order))

    def take(self) -> Chunk | Lost:
        """See `Fleet.take`."""
        ready, _ = self._selector.select()[0]
        i: int = ready.data
        try:
            told = self._hear(i)
        except EOFError:
            return self._replace(i)
        self._chunks[i] += 1
        return Chunk(i, next(self._actors[i].sides), unpack_facts(told))

    @property
    def pids(self) -> list[int]:
        """The actors' processes."""
        return [actor.child.pid for actor in self._actors.values()]

    def close(self) -> None:
        """See `Fleet.close`."""
        for actor in self._actors.values():
            actor.close()
        self._actors.clear()
        self._selector.close()
        self._shown.close()

    # -- inside ------------------------------------------------------------------------------------------

    def _start(self, i: int) -> None:
        own = np.random.SeedSequence([self._seed, i, self._births[i]]).generate_state(1)[0]
        self._births[i] += 1
        self._chunks[i] = 0
        actor = self._actors[i] = _Actor(self._shown)
        self._selector.register(actor.end, selectors.EVENT_READ, i)
        actor.tell({**self._opening, "seed": int(own)}, self._pickled)

    def _welcome(self, i: int) -> Hello:
        """The first hello of an actor; if it has none, nothing can be played."""
        try:
            return self._greet(i)
        except EOFError:
            actor = self._actors[i]
            raise LearningError(f"actor {i} can't start: its process {actor.child.obituary()}") from None

    def _enrol(self, i: int) -> None:
        """Tell an actor how the weights lie."""
        actor = self._actors[i]
        actor.tell({"weights": self._layout})

    def _greet(self, i: int) -> Hello:
        actor = self._actors[i]
        hello = unpack_hello(self._hear(i)["hello"])
        actor.sides = itertools.cycle(open_sides(actor.chunks, hello.layout))
        return hello

    def _hear(self, i: int) -> dict[str, Any]:
        actor = self._actors[i]
        told, _ = receive(actor.end)
        if "error" in told:
            raise ActorFailed(f"actor {i} stopped: {told['error']}")
        return told

    def _replace(self, i: int) -> Lost:
        """Another process in the place of one that died."""
        while True:
            actor = self._actors[i]
            why = actor.child.obituary()
            if not self._chunks[i] and self._births[i] > 1:
                raise ActorFailed(f"actor {i} died twice before it had played anything: the last one {why}")
            self._selector.unregister(actor.end)
            actor.close()
            self._start(i)
            with contextlib.suppress(EOFError):
                self._greet(i)
                break
        self._enrol(i)
        return Lost(i, why)


class _Actor:
    """The host's side of one process."""

    def __init__(self, shown: SharedMemory) -> None:
        self.sides: Iterator[Arrays] = iter(())
        """What its chunks lie in, in turn: as the process has it, from its first chunk on."""
        self.chunks = SharedMemory(0)
        self.end, theirs = socket.socketpair()
        with theirs:
            descriptors = (theirs.fileno(), self.chunks.fd, shown.fd)
            self.child = Child(MODULE, descriptors, str(os.getpid()))

    def tell(self, message: dict[str, Any], more: bytes = b"") -> None:
        """Send; that nobody hears it shows when the answer is awaited."""
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            send(self.end, message, more)

    def close(self) -> None:
        """End the process and free what was shared with it."""
        self.child.close()
        self.end.close()
        self.chunks.close()
