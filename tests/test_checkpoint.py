"""Checkpoints: going on exactly, stopping cleanly, and never losing the last good one."""

from __future__ import annotations

import dataclasses
import resource
import signal
import subprocess
import sys
import textwrap
import tracemalloc
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
from gymnasium.vector import AutoresetMode

from tests.components import need
from tests.toy_envs import Cue, Unsaved

torch = need("torch")

from frameperfect.errors import CheckpointError, LearningError  # noqa: E402
from frameperfect.learn import PpoConfig, checkpoint, load_policy, train  # noqa: E402
from frameperfect.learn.metrics import read as read_metrics  # noqa: E402

CONFIG = PpoConfig(steps=512, rollout_steps=16, batch_size=32, checkpoint_seconds=0)
VARIANTS = {
    "mlp": {},
    "normalised": {"normalise_observations": True, "normalise_rewards": True},
    "a2c": {"optimizer": "rmsprop", "epochs": 1, "batch_size": 0},
    "lstm": {"lstm": 8, "sequence_length": 6, "normalise_observations": True},
}


def changed(config: PpoConfig, **settings: Any) -> PpoConfig:
    return dataclasses.replace(config, **settings)


def assert_equal_checkpoints(one: Path, other: Path) -> None:
    (tensors, facts), (theirs, their_facts) = checkpoint.read(one), checkpoint.read(other)
    assert tensors.keys() == theirs.keys()
    for name, each in tensors.items():
        assert torch.equal(each, theirs[name]), name
    for name in facts.keys() - {"seconds", "config"}:
        assert facts[name] == their_facts[name], name


def script(body: str) -> list[str]:
    """A fresh Python that runs `body` with this file's names."""
    return [
        sys.executable,
        "-W",
        "ignore",
        "-c",
        "from tests.test_checkpoint import *\n" + textwrap.dedent(body),
    ]


@pytest.mark.parametrize("variant", VARIANTS)
@pytest.mark.parametrize("mode", [AutoresetMode.NEXT_STEP, AutoresetMode.SAME_STEP])
def test_a_resumed_run_equals_one_that_never_stopped(
    variant: str, mode: AutoresetMode, tmp_path: Path
) -> None:
    def make() -> Cue:
        return Cue(3, mode)

    # no decay: it depends on the whole budget, which the first half here does not know
    config = changed(CONFIG, steps=480, learning_rate_decay=False, **VARIANTS[variant])
    train(make, config, tmp_path / "whole")
    train(make, changed(config, steps=240), tmp_path / "halves")
    train(make, config, tmp_path / "halves", resume=True)
    assert_equal_checkpoints(tmp_path / "whole", tmp_path / "halves")
    steps = [row["steps"] for row in read_metrics(tmp_path / "halves")]
    assert steps == list(range(48, 481, 48))


def test_a_run_killed_without_warning_goes_on_exactly_in_a_fresh_process(tmp_path: Path) -> None:
    train(Cue, CONFIG, tmp_path / "whole")
    body = f"""
        def kill(now):
            if now.updates == 5:
                import os
                os.kill(os.getpid(), signal.SIGKILL)
        train(Cue, CONFIG, {str(tmp_path / "run")!r}, progress=kill)
    """
    killed = subprocess.run(script(body), check=False)
    assert killed.returncode == -signal.SIGKILL
    assert checkpoint.read(tmp_path / "run")[1]["updates"] == 4
    subprocess.run(script(f"train(Cue, CONFIG, {str(tmp_path / 'run')!r}, resume=True)"), check=True)
    assert_equal_checkpoints(tmp_path / "whole", tmp_path / "run")
    assert len(read_metrics(tmp_path / "run")) == 8


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_ctrl_c_keeps_a_checkpoint_that_goes_on_exactly(number: int, tmp_path: Path) -> None:
    body = f"""
        def tell(now):
            import time
            print(now.updates, flush=True)
            time.sleep(0.05)
        config = changed(CONFIG, checkpoint_seconds=3600)
        result = train(Cue, config, {str(tmp_path / "run")!r}, progress=tell)
        print(result.stopped, result.updates, flush=True)
    """
    with subprocess.Popen(script(body), stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        process.stdout.readline()
        process.send_signal(number)
        last = process.stdout.read().strip().splitlines()[-1].split()
    assert process.returncode == 0
    assert last[0] == "interrupt"
    assert 1 <= int(last[1]) < 8
    assert checkpoint.read(tmp_path / "run")[1]["updates"] == int(last[1])
    train(Cue, CONFIG, tmp_path / "run", resume=True)
    train(Cue, CONFIG, tmp_path / "whole")
    assert_equal_checkpoints(tmp_path / "whole", tmp_path / "run")


@pytest.mark.parametrize(
    "make", [Unsaved, lambda: gym.make_vec("CartPole-v1", 2, vectorization_mode="sync")], ids=["toy", "gym"]
)
def test_an_environment_that_cant_be_saved_goes_on_with_fresh_episodes(make: Any, tmp_path: Path) -> None:
    train(make, changed(CONFIG, steps=256), tmp_path)
    before = checkpoint.read(tmp_path)[1]
    result = train(make, CONFIG, tmp_path, resume=True)
    assert result.steps == 512
    assert result.updates > before["updates"]
    assert result.episodes > before["episodes"]


def test_a_game_goes_on_exactly(tmp_path: Path) -> None:
    need("ale_py")
    import frameperfect

    def make() -> Any:
        return frameperfect.make_vec("Breakout-Atari", 2, observation="ram", frame_skip=4, sticky=0.25)

    config = changed(CONFIG, steps=320, rollout_steps=40)
    train(make, changed(config, steps=160, learning_rate_decay=False), tmp_path / "halves")
    train(make, changed(config, learning_rate_decay=False), tmp_path / "halves", resume=True)
    train(make, changed(config, learning_rate_decay=False), tmp_path / "whole")
    assert_equal_checkpoints(tmp_path / "whole", tmp_path / "halves")


class Poisoned(Cue):
    """Rewards become NaN after 40 steps."""

    steps = 0

    def step(self, actions: Any) -> Any:
        obs, rewards, terminated, truncated, infos = super().step(actions)
        self.steps += 1
        return obs, rewards * (np.nan if self.steps > 40 else 1), terminated, truncated, infos


def test_a_loss_that_is_not_a_number_stops_training_and_keeps_the_last_good_checkpoint(
    tmp_path: Path,
) -> None:
    with pytest.raises(LearningError, match="no longer finite"):
        train(Poisoned, CONFIG, tmp_path)
    assert checkpoint.read(tmp_path)[1]["updates"] == 2
    assert all(each.isfinite().all() for each in load_policy(tmp_path).network.parameters())


def test_a_full_disk_is_named_and_the_checkpoint_before_is_kept(tmp_path: Path) -> None:
    """The limit on file sizes stands in for the disk: writes beyond it fail as they do on a full one."""
    train(Cue, changed(CONFIG, steps=64), tmp_path)
    before = (tmp_path / checkpoint.FILE).read_bytes()
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (len(before) // 2, hard))
    try:
        with pytest.raises(LearningError, match="the checkpoint before is kept"):
            train(Cue, CONFIG, tmp_path, resume=True)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        signal.signal(signal.SIGXFSZ, handler)
    assert (tmp_path / checkpoint.FILE).read_bytes() == before
    assert not list(tmp_path.glob("*.part"))
    train(Cue, CONFIG, tmp_path, resume=True)


def test_the_file_is_what_safetensors_reads_whatever_lies_in_it(tmp_path: Path) -> None:
    from safetensors.torch import load_file

    tensors = {
        "scalar": torch.tensor(2.5, dtype=torch.float64),
        "none": torch.empty(0, 3),
        "flags": torch.tensor([True, False, True]),
        "bytes": torch.arange(7, dtype=torch.uint8),
        "slice": torch.arange(60).reshape(3, 4, 5)[:, 1:3],
        "across": torch.arange(12.0).reshape(3, 4).t(),
        "strided": torch.arange(10, dtype=torch.int32)[::3],
    }
    path = checkpoint.write(tmp_path, tensors, {"steps": 7})
    for found in (load_file(path), checkpoint.read(tmp_path)[0]):
        assert found.keys() == tensors.keys()
        for name, each in tensors.items():
            assert found[name].dtype == each.dtype
            assert torch.equal(found[name], each), name
    assert checkpoint.read(tmp_path)[1]["steps"] == 7


def test_what_is_mapped_from_a_file_is_written_without_being_read_into_memory(tmp_path: Path) -> None:
    rows = np.lib.format.open_memmap(tmp_path / "rows.npy", "w+", np.float32, (2, 1 << 23))
    rows[:, ::4096] = np.arange(2048)
    tensors = {"whole": torch.from_numpy(rows), "part": torch.from_numpy(rows[:, : 1 << 22])}
    tracemalloc.start()
    try:
        checkpoint.write(tmp_path, tensors, {})
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < rows.nbytes / 8
    found = checkpoint.read(tmp_path)[0]
    assert all(torch.equal(found[name], each) for name, each in tensors.items())


def test_damaged_and_missing_checkpoints_are_named(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="no checkpoint"):
        load_policy(tmp_path)
    with pytest.raises(CheckpointError, match="no checkpoint"):
        train(Cue, CONFIG, tmp_path, resume=True)
    train(Cue, changed(CONFIG, steps=64), tmp_path)
    path = tmp_path / checkpoint.FILE
    good = path.read_bytes()
    rng = np.random.default_rng(0)
    damaged = [
        b"",
        b"\0",
        b"PK\x03\x04" + good[:100],
        good[: len(good) // 2],
        good[:-1],
        b"\xff" * 16 + good[16:],
    ]
    damaged += [
        good[:at] + bytes([good[at] ^ 1 << int(rng.integers(8))]) + good[at + 1 :]
        for at in (*range(0, 600, 37), *range(600, len(good), 5003))
    ]
    for each in damaged:
        path.write_bytes(each)
        with pytest.raises(CheckpointError) as caught:
            load_policy(tmp_path)
        assert "\n" not in str(caught.value)
        assert str(tmp_path) in str(caught.value)


def test_a_run_is_not_overwritten(tmp_path: Path) -> None:
    train(Cue, changed(CONFIG, steps=64), tmp_path)
    with pytest.raises(LearningError, match="already holds"):
        train(Cue, CONFIG, tmp_path)


@pytest.mark.parametrize(
    ("settings", "make", "named"),
    [
        ({"gamma": 0.5}, Cue, "gamma"),
        ({}, lambda: Cue(5), "5"),
        ({}, lambda: Cue(cues=4), "observations or actions"),
        ({"lstm": 8}, Cue, "lstm"),
    ],
)
def test_a_run_is_not_resumed_with_other_settings(
    settings: Any, make: Any, named: str, tmp_path: Path
) -> None:
    train(Cue, changed(CONFIG, steps=64), tmp_path)
    with pytest.raises(CheckpointError, match=named):
        train(make, changed(CONFIG, **settings), tmp_path, resume=True)


def test_the_environment_is_closed_however_training_ends(tmp_path: Path) -> None:
    made: list[Cue] = []

    def make() -> Cue:
        made.append(Poisoned())
        return made[-1]

    with pytest.raises(LearningError):
        train(make, CONFIG, tmp_path)
    assert made[0].closed
