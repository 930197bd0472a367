"""Actors in processes of their own: what they send, what is learned from it, and what a death does."""

from __future__ import annotations

import dataclasses
import gc
import itertools
import os
import resource
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from gymnasium.vector import AutoresetMode
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.command_line import frameperfect
from tests.components import need
from tests.test_cli import GAME, fails
from tests.toy_envs import Cue

torch = need("torch")

from frameperfect._native import SharedMemory  # noqa: E402

from frameperfect.errors import ActorFailed, LearningError  # noqa: E402
from frameperfect.learn import PpoConfig, ValueConfig, checkpoint, load_policy, train  # noqa: E402
from frameperfect.learn.metrics import read as read_metrics  # noqa: E402
from frameperfect.learn.runtime.actor import (  # noqa: E402
    Order,
    join_rollouts,
    make_player,
    rollout_arrays,
    weights_of,
)
from frameperfect.learn.runtime.fleet import Chunk  # noqa: E402
from frameperfect.learn.runtime.local import LocalFleet  # noqa: E402
from frameperfect.learn.runtime.priorities import Estimates  # noqa: E402
from frameperfect.learn.runtime.shared import Weights, empty_arrays  # noqa: E402
from frameperfect.learn.runtime.steps import Ring, actor_epsilon  # noqa: E402
from frameperfect.learn.value.actor import Actor  # noqa: E402
from frameperfect.learn.value.network import build  # noqa: E402
from frameperfect.learn.value.replay import FINAL, STEP, TERMINATED, Replay  # noqa: E402
from frameperfect.learn.value.train import layout  # noqa: E402

MODES = (AutoresetMode.NEXT_STEP, AutoresetMode.SAME_STEP)
PPO = PpoConfig(steps=768, rollout_steps=16, batch_size=32, checkpoint_seconds=0, threads=1)
VALUE = ValueConfig(
    steps=2_048, hidden=(16,), batch_size=16, learning_starts=256, report_steps=256, capacity=4_000,
    priority=0.5, n_step=3, checkpoint_seconds=0, threads=1,
)  # fmt: skip
CONFIGS = {"ppo": PPO, "value": VALUE}


def changed(config: Any, **more: Any) -> Any:
    return dataclasses.replace(config, **more)


# -- what an actor sends, in one process -----------------------------------------------------------------


@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 2**31), n_step=st.integers(1, 4), same_step=st.booleans())
def test_an_actors_priorities_are_the_n_step_errors_of_its_own_values(
    seed: int, n_step: int, same_step: bool
) -> None:
    """Against a loop over one environment's steps; where the last observation has no value, there is none."""
    rng = np.random.default_rng(seed)
    steps, chunks, gamma = 6, 3, 0.9
    estimates = Estimates(1, steps, ValueConfig(n_step=n_step, gamma=gamma))
    rows: list[dict[str, Any]] = []
    found = []
    resetting = False
    for _ in range(chunks):
        for _ in range(steps):
            terminated = not resetting and rng.random() < 0.2
            truncated = not resetting and not terminated and rng.random() < 0.2
            means = rng.normal(size=(1, 3)).astype(np.float32) if rng.random() < 0.9 else None
            row = {
                "action": int(rng.integers(3)), "reward": float(np.float32(rng.normal())), "means": means,
                "terminated": terminated, "truncated": truncated, "resetting": resetting,
            }  # fmt: skip
            rows.append(row)
            estimates.add(
                np.array([row["action"]]), np.array([row["reward"]]), np.array([terminated]),
                np.array([terminated or truncated]), np.array([resetting]), means, same_step,
            )  # fmt: skip
            resetting = not same_step and (terminated or truncated)
        found += estimates.errors()[:, 0].tolist()
    for late, error in enumerate(found):
        t = late - n_step
        expected = np.nan
        if t >= 0 and not rows[t]["resetting"] and rows[t]["means"] is not None:
            total, ahead = 0.0, np.nan
            for k in range(n_step):
                row = rows[t + k]
                total += gamma**k * row["reward"]
                if row["terminated"]:
                    ahead = 0.0
                elif k + 1 < n_step and not row["truncated"]:
                    continue
                elif not (row["truncated"] and same_step) and rows[t + k + 1]["means"] is not None:
                    ahead = gamma ** (k + 1) * float(rows[t + k + 1]["means"].max())
                break
            expected = abs(total + ahead - float(rows[t]["means"][0, rows[t]["action"]]))
        np.testing.assert_allclose(error, expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("lstm", [0, 8])
def test_a_ring_filled_by_an_actor_holds_what_one_process_would_have_kept(
    mode: AutoresetMode, lstm: int
) -> None:
    config = changed(VALUE, lstm=lstm, burn_in=4, sequence_length=6)
    player = make_player(lambda: Cue(4, mode), config, seed=5)
    player.network.load_state_dict(build(player.episodes.inputs, 3, config, torch.device("cpu")).state_dict())
    replay = Replay(player.episodes.inputs, 8, layout(config))
    ring = Ring(replay, 4, 4, config.priority_epsilon)

    alone = Actor(Cue(4, mode))
    own = Replay(alone.inputs, 4, dataclasses.replace(layout(config), capacity=2_000))
    alone.attach(build(alone.inputs, 3, config, torch.device("cpu")), own, torch.device("cpu"))
    alone.begin(9)
    generator = torch.Generator().manual_seed(5)
    for chunk in range(3):
        order = Order(begin=9 if chunk == 0 else None, epsilon=0.3)
        arrays = empty_arrays(player.layout())
        facts = player.play(arrays, order)
        ring.add(arrays, facts.begun, player.episodes.same_step)
        for _ in range(len(arrays["actions"])):
            alone.step(0.3, generator)
    part = slice(4 * replay.length, 8 * replay.length)
    assert replay.written == own.written
    assert (replay.cursor[4:] == own.cursor).all()
    for name in ("kinds", "ages", "actions", "rewards"):
        assert np.array_equal(getattr(replay, name)[part], getattr(own, name)), name
    assert np.array_equal(replay.columns[""].values[part], own.columns[""].values)
    if lstm:
        assert replay.states is not None and own.states is not None
        assert np.array_equal(replay.states[part], own.states)
    leaves, theirs = replay.tree.leaves()[part], own.tree.leaves()
    assert np.array_equal(leaves > 0, theirs > 0)
    ranked = np.flatnonzero(leaves != 1)
    if lstm:
        assert np.array_equal(leaves, theirs)
    else:
        assert len(np.unique(leaves[leaves > 0])) > 100
        assert np.isin(own.kinds[ranked[leaves[ranked] > 0]], (STEP, TERMINATED)).all()
    assert FINAL in own.kinds


@pytest.mark.parametrize("mode", MODES)
def test_draws_cut_from_one_replay_are_read_alike_in_another(mode: AutoresetMode) -> None:
    """What a shard sends holds all that learning reads: returns, what follows, states before the sequence."""
    config = changed(VALUE, lstm=8, burn_in=4, sequence_length=6, capacity=800)
    actor = Actor(Cue(4, mode))
    replay = Replay(actor.inputs, 4, layout(config))
    actor.attach(build(actor.inputs, 3, config, torch.device("cpu")), replay, torch.device("cpu"))
    actor.begin(0)
    generator = torch.Generator().manual_seed(0)
    for _ in range(300):  # further than the rings are long
        actor.step(0.5, generator)
    draws = replay.draw(np.random.default_rng(0).random(64), 0.4).rows
    small = Replay(actor.inputs, 64, dataclasses.replace(layout(config), capacity=64 * 40))
    begins = small.paste(replay.cut(draws))
    for way in range(-config.burn_in, config.sequence_length):
        rows, here = replay.shifted(draws, way), small.shifted(begins, way)
        if way < 0:  # burn-in: only where the episode reaches so far back
            kept = replay.ages[draws] >= config.burn_in
            rows, here = rows[kept], here[kept]
        for name in ("kinds", "ages", "actions", "rewards", "states"):
            assert np.array_equal(getattr(small, name)[here], getattr(replay, name)[rows]), name
        assert np.array_equal(small.observations(here)[""], replay.observations(rows)[""])
        acted = np.isin(replay.kinds[rows], (STEP, TERMINATED))
        theirs, ours = replay.lead(rows[acted]), small.lead(here[acted])
        for one, other in zip(theirs[:3], ours[:3], strict=True):
            assert np.array_equal(one, other)
        led = theirs[1] > 0
        assert np.array_equal(small.observations(ours[3][led])[""], replay.observations(theirs[3][led])[""])


def test_rollouts_of_several_actors_lie_side_by_side() -> None:
    config = changed(PPO, lstm=8)
    players = [make_player(lambda: Cue(3), config, seed) for seed in range(2)]
    parts = []
    for seed, player in enumerate(players):
        parts.append(empty_arrays(player.layout()))
        player.play(parts[-1], Order(begin=seed))
    whole = rollout_arrays(join_rollouts(parts, torch.device("cpu")))
    for i, part in enumerate(parts):
        for name, each in part.items():
            assert np.array_equal(whole[name][:, 3 * i : 3 * i + 3], each), name


def test_the_chance_of_a_random_action_is_ape_xs() -> None:
    chances = [actor_epsilon(i, 8, 0.2, noisy=False) for i in range(8)]
    assert chances == pytest.approx([0.4 ** (1 + i) for i in range(8)])
    assert actor_epsilon(3, 8, 1.0, noisy=True) == 1.0  # all play is random at first
    assert actor_epsilon(3, 8, 0.2, noisy=True) == 0.0
    assert actor_epsilon(0, 1, 0.2, noisy=False) == 0.2


def test_weights_are_never_seen_half_written() -> None:
    layout = dict.fromkeys(("a", "b"), ((20000,), "<f4"))
    block = SharedMemory(0)
    weights = Weights(block, layout)
    child = os.fork()
    if child == 0:
        for version in range(1, 2_000):
            weights.write({name: np.full(20_000, version, np.float32) for name in layout}, version)
        os._exit(0)
    seen, version = 0, 0
    while version < 1_999:
        found = weights.read(version)
        if found is None:
            continue
        arrays, version = found
        seen += 1
        assert all((each == version).all() for each in arrays.values())
    os.waitpid(child, 0)
    block.close()
    assert seen > 1


# -- actors in processes ---------------------------------------------------------------------------------


def children(pid: int | None = None) -> set[int]:
    tasks = Path(f"/proc/{pid or os.getpid()}/task").glob("*/children")
    return {int(child) for file in tasks for child in file.read_text().split()}


def held() -> tuple[int, set[int], set[str]]:
    """What a leak would show in: open files (shared memory has no other name), children, /dev/shm."""
    gc.collect()
    return len(os.listdir("/proc/self/fd")), children(), set(os.listdir("/dev/shm"))  # noqa: PTH208


@pytest.fixture
def nothing_is_left() -> Iterator[None]:
    before = held()
    yield
    assert held() == before


clean = pytest.mark.usefixtures("nothing_is_left")


def at_update(number: int, act: Callable[[], None]) -> Callable[[Any], None]:
    """A progress callback that acts once."""
    done = []

    def watch(now: Any) -> None:
        if now.updates >= number and not done:
            done.append(now)
            act()

    return watch


@clean
def test_a_chunk_is_there_to_read_while_its_actor_plays_the_next() -> None:
    with closing(LocalFleet(Cue, VALUE, 1, seed=0)) as fleet:
        seed = int(np.random.SeedSequence([0, 0, 0]).generate_state(1)[0])  # its process draws by this one
        player = make_player(Cue, VALUE, seed)
        weights = weights_of(player.network)
        fleet.publish(weights, 0)
        player.load(weights, 0)
        orders = [Order(begin=0, epsilon=0.3), *[Order(epsilon=0.3)] * 4]
        fleet.order(0, orders[0])
        chunk = fleet.take()
        for order, following in itertools.pairwise(orders):
            expected = empty_arrays(player.layout())
            player.play(expected, order)
            fleet.order(0, following)
            then = fleet.take()  # the next one is played to its end
            assert isinstance(chunk, Chunk)
            assert isinstance(then, Chunk)
            for name in expected:
                if not name.startswith(("first.", "final.")):  # which are written where they say something
                    np.testing.assert_array_equal(chunk.arrays[name], expected[name], name)
            chunk = then


@clean
@pytest.mark.parametrize("learner", CONFIGS)
def test_in_lockstep_the_same_seed_learns_the_same(learner: str, tmp_path: Path) -> None:
    for name in ("one", "other"):
        train(Cue, CONFIGS[learner], tmp_path / name, actors=2, lockstep=True)
    (one, facts), (other, their_facts) = (checkpoint.read(tmp_path / name) for name in ("one", "other"))
    assert one.keys() == other.keys()
    for name in one:
        assert torch.equal(one[name], other[name]), name
    assert facts["recent"] == their_facts["recent"]
    assert facts["episodes"] > 20
    assert max(row["staleness"] for row in read_metrics(tmp_path / "one")) <= (0 if learner == "ppo" else 64)


@clean
def test_ppo_learns_from_what_is_one_update_old_and_goes_on_when_an_actor_is_killed(tmp_path: Path) -> None:
    def kill() -> None:
        os.kill(min(children()), signal.SIGKILL)

    result = train(Cue, PPO, tmp_path, actors=2, progress=at_update(2, kill))
    rows = read_metrics(tmp_path)
    assert result.steps >= PPO.steps
    assert rows[-1]["actor_restarts"] == 1
    assert rows[0]["staleness"] == 0  # the first rollout is by the first weights
    assert all(row["staleness"] <= 1 for row in rows)


@clean
def test_a_replay_goes_on_when_an_actor_is_killed_and_training_when_it_is_interrupted(
    tmp_path: Path,
) -> None:
    def kill() -> None:
        os.kill(min(children()), signal.SIGKILL)

    def interrupt() -> None:
        os.kill(os.getpid(), signal.SIGINT)

    first, second = at_update(50, kill), at_update(200, interrupt)
    result = train(Cue, VALUE, tmp_path, actors=2, progress=lambda now: (first(now), second(now))[0])
    assert result.stopped == "interrupt"
    assert result.updates < VALUE.steps / VALUE.update_every - 64
    assert not children()
    again = train(lambda: Cue(8), VALUE, tmp_path, resume=True)  # one process, as many environments
    assert (again.stopped, again.steps) == ("steps", VALUE.steps)
    assert read_metrics(tmp_path)[-1]["steps"] == VALUE.steps


class Raising(Cue):
    """Its 60th step raises."""

    steps = 0

    def step(self, actions: Any) -> Any:
        self.steps += 1
        if self.steps == 60:
            raise RuntimeError("the joystick fell off\nand rolled away")
        return super().step(actions)


class Dying(Cue):
    """Takes its process along at the third step."""

    steps = 0

    def step(self, actions: Any) -> Any:
        self.steps += 1
        if self.steps == 3:
            print("out of cheese", file=sys.stderr, flush=True)
            os._exit(3)
        return super().step(actions)


@clean
def test_an_environment_that_raises_stops_training_with_one_line_and_a_good_checkpoint(
    tmp_path: Path,
) -> None:
    said = r"actor \d stopped: RuntimeError: the joystick fell off \(test_runtime.py:\d+\); the checkpoint at"
    with pytest.raises(ActorFailed, match=said) as failure:
        train(Raising, changed(PPO, checkpoint_seconds=3600), tmp_path, actors=2)
    assert "\n" not in str(failure.value)
    facts = checkpoint.read(tmp_path)[1]
    assert facts["updates"] == 3
    load_policy(tmp_path)


@clean
def test_an_actor_that_dies_again_and_again_stops_training_with_its_last_words(tmp_path: Path) -> None:
    with pytest.raises(ActorFailed, match=r"died twice .*exit code 3.*out of cheese"):
        train(Dying, VALUE, tmp_path, actors=1)


@clean
def test_a_full_disk_and_a_loss_that_is_no_number_keep_the_checkpoint_before(tmp_path: Path) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)

    def fill() -> None:
        size = (tmp_path / checkpoint.FILE).stat().st_size
        resource.setrlimit(resource.RLIMIT_FSIZE, (size // 2, hard))

    try:
        with pytest.raises(LearningError, match="the checkpoint before is kept"):
            train(Cue, PPO, tmp_path, actors=1, progress=at_update(3, fill))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        signal.signal(signal.SIGXFSZ, handler)
    updates = checkpoint.read(tmp_path)[1]["updates"]
    assert updates >= 2
    assert not list(tmp_path.glob("*.part"))

    def poison() -> None:
        raise AssertionError("no update ends well")

    tensors, facts = checkpoint.read(tmp_path)
    tensors["network.critic.0.weight"][:] = float("nan")
    broken = tmp_path / "broken"
    checkpoint.write(broken, tensors, facts)
    before = (broken / checkpoint.FILE).read_bytes()
    with pytest.raises(LearningError, match="no longer finite"):
        train(
            Cue,
            changed(PPO, checkpoint_seconds=3600),
            broken,
            resume=True,
            actors=1,
            progress=lambda _: poison(),
        )
    assert (broken / checkpoint.FILE).read_bytes() == before


@clean
def test_a_killed_learner_leaves_no_process_and_is_gone_on_with(tmp_path: Path) -> None:
    body = f"""
    from tests.test_runtime import *
    train(Cue, changed(VALUE, steps=10**9), {str(tmp_path / "run")!r}, actors=2)
    """
    learner = subprocess.Popen([sys.executable, "-W", "ignore", "-c", textwrap.dedent(body)])
    while not (tmp_path / "run" / checkpoint.FILE).exists() or checkpoint_steps(tmp_path / "run") < 512:
        assert learner.poll() is None
        time.sleep(0.1)
    orphans = children(learner.pid)
    assert len(orphans) == 2
    learner.kill()
    learner.wait()
    while any(Path(f"/proc/{pid}").exists() for pid in orphans):
        time.sleep(0.05)  # the test's own time limit is the bound
    steps = checkpoint_steps(tmp_path / "run")
    result = train(Cue, changed(VALUE, steps=steps + 512), tmp_path / "run", resume=True, actors=2)
    assert (result.stopped, result.steps) == ("steps", steps + 512)


def test_the_command_trains_with_actors_and_goes_on_with_them(tmp_path: Path) -> None:
    fails(frameperfect("train", GAME, "--lockstep", cwd=tmp_path), "--actors N")
    common = "train", GAME, "--run", "one", "--no-eval"
    done = frameperfect(*common, "--actors", "2", "--envs", "2", "--steps", "1024", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    again = frameperfect(*common, "--resume", "--steps", "1536", cwd=tmp_path)
    assert again.returncode == 0, again.stderr
    rows = read_metrics(tmp_path / "runs" / "one")
    assert [row["steps"] for row in rows] == [512, 1024, 1536]
    assert all(row["staleness"] <= 1 for row in rows)


def checkpoint_steps(run: Path) -> int:
    steps: int = checkpoint.read(run)[1]["steps"]
    return steps
