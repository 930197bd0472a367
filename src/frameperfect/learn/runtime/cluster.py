"""Actors, the replay's shards and the learner as Ray actors, on as many machines as the cluster has.

The learner's actor stands on the machine that `train` was called on, where the run's folder is. It owns all
others: they end with it. Ray starts an actor anew, elsewhere if it must, when its process or its machine is
gone; a learner that is gone is started again from the run's checkpoint.
"""

from __future__ import annotations

import contextlib
import os
import socket
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import cloudpickle
import numpy as np

from frameperfect.errors import ActorFailed, LearningError, MissingComponent
from frameperfect.learn.config import PpoConfig
from frameperfect.learn.runtime.actor import Facts, MakeEnvs, Order, Player, make_player
from frameperfect.learn.runtime.fleet import Chunk, Fleet, Lost
from frameperfect.learn.runtime.messages import pack_facts, pack_hello, unpack_facts, unpack_hello
from frameperfect.learn.runtime.process import CONFIGS, explain
from frameperfect.learn.runtime.shared import empty_arrays
from frameperfect.learn.spaces import Arrays
from frameperfect.learn.value.config import ValueConfig

MOST_DEATHS = 2
"""Of one actor in a row without a chunk, or of the learner without a new checkpoint."""


def import_ray() -> Any:
    """Ray, or the word how to install it."""
    try:
        import ray
    except ImportError:
        raise MissingComponent("a cluster needs Ray: pip install 'frameperfect[ray]'") from None
    return ray


@contextlib.contextmanager
def connected(address: str) -> Iterator[Any]:
    """Ray, connected to the cluster at `address` ("auto": the one that this machine is part of).

    Raises:
        MissingComponent: Ray is not installed.
        LearningError: there is no cluster.
    """
    ray = import_ray()
    if ray.is_initialized():  # the caller's own connection stays his
        yield ray
        return
    # what can be imported here beside what is installed: a checkout, the folder of a script
    paths = (path or str(Path.cwd()) for path in sys.path)
    own = os.pathsep.join(path for path in paths if not path.startswith((sys.prefix, sys.base_prefix)))
    try:
        if "://" not in address and address.count(":") == 1:  # else Ray tries for minutes
            host, port = address.split(":")
            socket.create_connection((host, int(port)), 5).close()
        ray.init(
            address=address,
            log_to_driver=False,
            logging_level="ERROR",
            runtime_env={"env_vars": {"PYTHONPATH": own, "OMP_NUM_THREADS": "1"}},
        )
    except (OSError, ValueError, RuntimeError) as failure:
        first = str(failure).strip().splitlines()[0]
        raise LearningError(
            f"no Ray cluster at '{address}' ({first}); start one here with `ray start --head`"
        ) from failure
    try:
        yield ray
    finally:
        ray.shutdown()


# -- actors ----------------------------------------------------------------------------------------------


class ActorHost:
    """An actor's process in the cluster."""

    def __init__(self, make_envs: bytes, learner: str, config: str, seed: tuple[int, int]) -> None:
        self.opening = make_envs, learner, config
        self.seed = seed
        self.player: Player | None = None

    def hello(self) -> dict[str, Any]:
        """What it plays in, or `error`."""
        try:
            return pack_hello(self._ready(0).hello())
        except Exception as error:  # told to the learner, which stops
            return {"error": explain(error)}

    def play(self, order: Order, weights: Arrays, version: int) -> tuple[Arrays, dict[str, Any]]:
        """A chunk's arrays and its facts, or `error`."""
        try:
            player = self._ready(order.begin or 0)
            if player.version != version:
                # what Ray hands out can't be written to, and torch asks for what can
                player.load({name: each.copy() for name, each in weights.items()}, version)
            arrays = empty_arrays(player.layout())
            return arrays, pack_facts(player.play(arrays, order))
        except Exception as error:  # told to the learner, which stops
            return {}, {"error": explain(error)}

    def _ready(self, begun: int) -> Player:
        """The player; made anew, with other draws, where this process took another's place."""
        if self.player is None:
            from frameperfect.learn import threads

            threads.take_one()
            make_envs, learner, config = self.opening
            seed = np.random.SeedSequence([*self.seed, begun]).generate_state(1)[0]
            self.player = make_player(
                cloudpickle.loads(make_envs), CONFIGS[learner].from_json(config), int(seed)
            )
        return self.player


class RayChunk(Chunk):
    """A chunk in the object store, where `ref` is its name."""

    def __init__(self, actor: int, arrays: Arrays, facts: Facts, ray: Any, ref: Any) -> None:
        super().__init__(actor, arrays, facts)
        self._ray, self.ref = ray, ref

    @property
    def arrays(self) -> Arrays:
        """Fetched when they are asked for."""
        if not self._arrays:
            self._arrays = self._ray.get(self.ref)
        return self._arrays


class RayFleet(Fleet):
    """Actors all over the cluster. Arguments and errors as `LocalFleet`'s."""

    def __init__(self, make_envs: MakeEnvs, config: PpoConfig | ValueConfig, size: int, seed: int) -> None:
        self.ray = ray = import_ray()
        self.size = size
        self.fetch = True
        """Take chunks with their arrays; False where these go elsewhere."""
        learner = "value" if isinstance(config, ValueConfig) else "ppo"
        cores = ray.cluster_resources().get("CPU", 1.0)
        # a share of the cores each, so that any number finds room; spread over the machines
        host = ray.remote(ActorHost).options(
            num_cpus=int(min(1.0, cores / (size + 1)) * 100) / 100,
            max_restarts=-1,
            scheduling_strategy="SPREAD",
        )
        pickled = cloudpickle.dumps(make_envs)
        self._actors = [host.remote(pickled, learner, config.to_json(), (seed, i)) for i in range(size)]
        self._weights: tuple[Any, int] = None, -1
        self._playing: dict[Any, tuple[int, Any]] = {}
        self._deaths = [0] * size
        try:
            hellos = ray.get([actor.hello.remote() for actor in self._actors])
            for i, told in enumerate(hellos):
                if "error" in told:
                    raise LearningError(f"actor {i} can't start: {told['error']}")
                if told != hellos[0]:
                    raise LearningError(
                        "the actors' environments differ from each other in number or in spaces"
                    )
        except BaseException:
            self.close()
            raise
        self.hello = unpack_hello(hellos[0])

    def publish(self, weights: Arrays, version: int) -> None:
        """See `Fleet.publish`."""
        self._weights = self.ray.put(weights), version

    def order(self, actor: int, order: Order) -> None:
        """See `Fleet.order`."""
        play = self._actors[actor].play.options(num_returns=2)
        arrays, facts = play.remote(order, *self._weights)
        self._playing[facts] = actor, arrays

    def take(self) -> Chunk | Lost:
        """See `Fleet.take`."""
        ready, _ = self.ray.wait(list(self._playing), num_returns=1)
        actor, arrays = self._playing.pop(ready[0])
        try:
            told = self.ray.get(ready[0])
            # what lay on a machine that is gone shows here
            found = self.ray.get(arrays) if self.fetch else {}
        except self.ray.exceptions.RayError as death:
            why = str(death).strip().splitlines()[0]
            if isinstance(death, self.ray.exceptions.ActorUnavailableError):
                return Lost(actor, why)  # on its way back
            self._deaths[actor] += 1
            if self._deaths[actor] >= MOST_DEATHS:
                raise ActorFailed(f"actor {actor} died twice before it had played anything: {why}") from death
            return Lost(actor, why)
        if "error" in told:
            raise ActorFailed(f"actor {actor} stopped: {told['error']}")
        self._deaths[actor] = 0
        return RayChunk(actor, found, unpack_facts(told), self.ray, arrays)

    def close(self) -> None:
        """See `Fleet.close`."""
        for actor in self._actors:
            self.ray.kill(actor)
        self._actors = []


# -- the learner -----------------------------------------------------------------------------------------


class LearnerHost:
    """The learner's process in the cluster: trains in one thread, and answers in another."""

    def __init__(self) -> None:
        self.interrupted = threading.Event()
        self.news: list[Any] = []

    def train(
        self, make_envs: bytes, config: Any, run: Path, resume: bool, actors: int, lockstep: bool
    ) -> Any:
        """The result of training."""
        from frameperfect.learn.train import train_here

        return train_here(
            cloudpickle.loads(make_envs),
            config,
            run,
            resume,
            self.news.append,
            self.interrupted,
            actors,
            lockstep,
            RayFleet,
        )

    def told(self) -> list[Any]:
        """The progress since the last call."""
        news = self.news.copy()
        del self.news[: len(news)]
        return news

    def interrupt(self) -> None:
        """Stop after the update under way."""
        self.interrupted.set()


def train_there(
    ray: Any,
    make_envs: MakeEnvs,
    config: PpoConfig | ValueConfig,
    run: Path,
    resume: bool,
    progress: Callable[[Any], None] | None,
    interrupted: threading.Event,
    actors: int,
    lockstep: bool,
) -> Any:
    """As `train_here`, with the learner in an actor of its own on this machine.

    Raises:
        LearningError: as training does; also where the learner dies again before it has kept a checkpoint.
    """
    from frameperfect.learn import checkpoint

    node = ray.get_runtime_context().get_node_id()
    here = ray.util.scheduling_strategies.NodeAffinitySchedulingStrategy(node, soft=False)
    has = next(each["Resources"] for each in ray.nodes() if each["NodeID"] == node)
    host = ray.remote(LearnerHost).options(
        num_cpus=0,
        num_gpus=min(has.get("GPU", 0), 1),  # Ray hides the GPU from who does not ask for it
        max_concurrency=2,
        scheduling_strategy=here,
    )
    pickled = cloudpickle.dumps(make_envs)
    run = run.absolute()
    deaths, kept = 0, None
    while True:
        learner = host.remote()
        result = learner.train.remote(pickled, config, run, resume, actors, lockstep)
        try:
            while True:
                done, _ = ray.wait([result], timeout=0.2)
                for now in ray.get(learner.told.remote()):
                    if progress is not None:
                        progress(now)
                if done:
                    return ray.get(result)
                if interrupted.is_set():
                    learner.interrupt.remote()
        except ray.exceptions.RayTaskError as failure:
            if isinstance(failure.cause, LearningError):
                raise type(failure.cause)(str(failure.cause)) from None
            raise
        except ray.exceptions.RayActorError as death:
            resume = (run / checkpoint.FILE).exists()
            stamp = (run / checkpoint.FILE).stat().st_mtime_ns if resume else None
            deaths = deaths + 1 if stamp == kept else 1
            kept = stamp
            if deaths >= MOST_DEATHS:
                why = str(death).strip().splitlines()[0]
                raise LearningError(f"the learner died twice without a new checkpoint: {why}") from death
        finally:
            with contextlib.suppress(Exception):  # it may be gone already
                ray.kill(learner)
