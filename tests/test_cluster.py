"""Actors, replay and learner on a Ray cluster of several nodes, all on this machine."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.components import need
from tests.test_runtime import PPO, VALUE, changed
from tests.toy_envs import Cue

need("torch")
need("ray")

from frameperfect.errors import LearningError  # noqa: E402
from frameperfect.learn import checkpoint, load_policy, train  # noqa: E402
from frameperfect.learn.metrics import read as read_metrics  # noqa: E402


@pytest.fixture(scope="module")
def cluster() -> Iterator[Any]:
    from ray.cluster_utils import Cluster

    os.environ.update(RAY_worker_niceness="0")  # as quick as the other tests on a busy machine
    small = {"num_cpus": 2, "object_store_memory": 80 << 20, "include_dashboard": False}
    found = Cluster(initialize_head=True, head_node_args=small)
    small.pop("include_dashboard")
    found.extra = found.add_node(**small)
    yield found
    found.shutdown()


def processes(name: str) -> list[int]:
    """Of this machine, by what Ray calls them."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            if path.read_bytes().startswith(f"ray::{name}".encode()):
                found.append(int(path.parent.name))
        except OSError:
            continue  # it ended just now
    return sorted(found)


def kill(name: str) -> None:
    """The first of these processes."""
    os.kill(processes(name)[0], signal.SIGKILL)


def test_a_value_learner_goes_on_when_an_actor_the_replay_the_learner_or_a_node_is_lost(
    cluster: Any, tmp_path: Path
) -> None:
    told: list[Any] = []
    # what is lost next, and when: each once the one before is seen to be got over
    losses = [
        (lambda now: now.updates >= 100, lambda: kill("ActorHost")),
        (lambda now: now.losses["actor_restarts"] >= 1, lambda: kill("ShardHost")),  # there is but one
        (
            lambda now: now.losses["actor_restarts"] >= 2 and np.isfinite(now.losses["loss"]),
            lambda: kill("LearnerHost"),
        ),
        (
            lambda now: now.losses["actor_restarts"] == 0 and np.isfinite(now.losses["loss"]),
            lambda: cluster.remove_node(cluster.extra),
        ),
    ]

    def watch(now: Any) -> None:
        told.append(now)
        if losses and losses[0][0](now):
            losses.pop(0)[1]()

    config = changed(VALUE, steps=16_384, update_every=16)
    result = train(Cue, config, tmp_path / "run", actors=2, cluster=cluster.address, progress=watch)
    assert (result.stopped, result.steps) == ("steps", config.steps)
    assert not losses
    rows = read_metrics(tmp_path / "run")
    assert [row["steps"] for row in rows] == sorted({row["steps"] for row in rows})
    assert np.isfinite(rows[-1]["loss"])
    load_policy(tmp_path / "run")
    while processes("ActorHost") or processes("ShardHost"):  # Ray ends them with the learner that owns them
        time.sleep(0.1)


def test_ppo_trains_on_a_cluster(cluster: Any, tmp_path: Path) -> None:
    result = train(Cue, PPO, tmp_path / "run", actors=2, cluster=cluster.address)
    assert result.steps >= PPO.steps
    assert checkpoint.read(tmp_path / "run")[1]["episodes"] > 50


def test_what_fails_there_is_told_here(tmp_path: Path) -> None:
    with pytest.raises(LearningError, match=r"no Ray cluster at '127\.0\.0\.1:1'"):
        train(Cue, PPO, tmp_path / "run", actors=2, cluster="127.0.0.1:1")
