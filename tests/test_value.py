"""The value learner as a whole: what it learns on small tasks, its runs, settings and faults."""

from __future__ import annotations

import dataclasses
import importlib
import re
import signal
import subprocess
import sys
import textwrap
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
from gymnasium import spaces
from gymnasium.vector import AutoresetMode, SyncVectorEnv

from tests.components import need
from tests.test_cli import GAME, fails, frameperfect
from tests.test_ppo import OBSERVATIONS, Everything
from tests.test_value_update import SMALL
from tests.toy_envs import Cue, Unsaved

torch = need("torch")

from frameperfect.errors import CheckpointError, LearningError  # noqa: E402
from frameperfect.learn import (  # noqa: E402
    PpoConfig,
    RandomPolicy,
    ValueConfig,
    checkpoint,
    evaluate,
    interval,
    load_policy,
    train,
)
from frameperfect.learn.metrics import read as read_metrics  # noqa: E402
from frameperfect.learn.spaces import Actions  # noqa: E402
from frameperfect.learn.value.actor import alternatives  # noqa: E402
from frameperfect.learn.value.config import NAMED  # noqa: E402
from frameperfect.learn.value.replay import Shape  # noqa: E402
from frameperfect.learn.value.train import ValueTraining, layout  # noqa: E402

CONFIG = ValueConfig(steps=480, checkpoint_seconds=0, **SMALL)
VARIANTS: dict[str, dict[str, Any]] = {
    **NAMED,
    "lstm": {**NAMED["rainbow-iqn"], "lstm": 8, "sequence_length": 6, "burn_in": 4, "batch_size": 4},
    "normalised": {"normalise_observations": True, "returns": "categorical", "priority": 0.6},
    "holding": {"epsilon_end": 0.5, "hold": 2.0},
}


def changed(config: ValueConfig, **more: Any) -> ValueConfig:
    return dataclasses.replace(config, **more)


# -- what is learned -----------------------------------------------------------------------------------


class Bandit(gym.Env[Any, Any]):
    """One step an episode; arm 0 pays an even 0 to 1, arm 1 is 0.4 for sure, arm 2 pays 3 one time in 4,
    else -0.5.
    """

    observation_space = spaces.Box(-1, 1, (1,), np.float32)
    action_space = spaces.Discrete(3)

    def reset(self, *, seed: Any = None, options: Any = None) -> Any:
        super().reset(seed=seed)
        return np.ones(1, np.float32), {}

    def step(self, action: Any) -> Any:
        u = self.np_random.random()
        reward = (u, 0.4, 3.0 if u < 0.25 else -0.5)[int(action)]
        return np.ones(1, np.float32), reward, True, False, {}


def bandits() -> Any:
    return SyncVectorEnv([Bandit] * 8, autoreset_mode=AutoresetMode.SAME_STEP)


def test_implicit_quantiles_of_a_bandit_are_the_known_ones(tmp_path: Path) -> None:
    config = ValueConfig.named(
        "iqn", steps=24_000, hidden=(32,), batch_size=256, epsilon_end=1.0, learning_rate=1e-3,
        kappa=0.02, update_every=16, threads=1,
    )  # fmt: skip
    train(bandits, config, tmp_path)
    network = load_policy(tmp_path).network
    levels = torch.linspace(0.05, 0.95, 19)
    with torch.no_grad():
        x = network.embed({"": torch.ones(1, 1)})
        found = network.outputs(x, levels)[0].numpy()
    np.testing.assert_allclose(found[:, 0], levels, atol=0.12)
    np.testing.assert_allclose(found[:, 1], 0.4, atol=0.12)
    sure = np.abs(levels.numpy() - 0.75) > 0.15  # beside the step itself
    np.testing.assert_allclose(found[sure, 2], np.where(levels < 0.75, -0.5, 3.0)[sure], atol=0.35)
    mean = np.array([0.5, 0.4, 0.375])
    np.testing.assert_allclose(network.means(x).detach().numpy()[0], mean, atol=0.12)


def test_a_cautious_agent_takes_the_sure_arm_and_a_neutral_one_the_better_mean(tmp_path: Path) -> None:
    base = {
        "steps": 12_000, "hidden": (32,), "batch_size": 128, "epsilon_end": 1.0, "learning_rate": 3e-3,
        "kappa": 0.05, "update_every": 16, "threads": 1,
    }  # fmt: skip
    chosen = []
    for name, more in (("mean", {}), ("cvar", {"risk": "cvar", "risk_level": 0.25})):
        train(bandits, ValueConfig.named("iqn", **base, **more), tmp_path / name)
        chosen.append(int(load_policy(tmp_path / name).act(np.ones(1, np.float32), deterministic=True)[0]))
    assert chosen == [0, 1]


@pytest.mark.parametrize("name", NAMED)
def test_it_learns_to_follow_a_cue(name: str, tmp_path: Path) -> None:
    config = ValueConfig.named(
        name, steps=6_000, hidden=(32,), batch_size=64, learning_starts=300, learning_rate=2e-3,
        gamma=0.5, target_rate=0.02, threads=1, value_min=0.0, value_max=3.0,
    )  # fmt: skip
    train(lambda: Cue(8), config, tmp_path)
    lengths: list[int] = []
    trained = evaluate(
        load_policy(tmp_path), lambda: Cue(8), 60, seed=100, deterministic=True,
        progress=lambda r, n, i: lengths.append(n),
    )  # fmt: skip
    random = evaluate(RandomPolicy(Cue().single_action_space), lambda: Cue(8), 60, seed=100)
    assert trained.sum() > 0.95 * sum(lengths)
    assert interval(trained)[0] > interval(random)[1]


def test_an_lstm_remembers_a_cue_that_is_shown_once(tmp_path: Path) -> None:
    config = ValueConfig.named(
        "dqn", steps=12_000, hidden=(), batch_size=32, learning_starts=500, learning_rate=5e-3, lstm=32,
        sequence_length=8, burn_in=8, gamma=0.5, target_rate=0.02, update_every=16, threads=1,
    )  # fmt: skip
    train(lambda: Cue(8, shown=False), config, tmp_path)
    lengths: list[int] = []
    returns = evaluate(
        load_policy(tmp_path), lambda: Cue(8, shown=False), 60, seed=100, deterministic=True,
        progress=lambda r, n, i: lengths.append(n),
    )  # fmt: skip
    assert returns.sum() > 0.85 * sum(lengths)


# -- runs ----------------------------------------------------------------------------------------------


def assert_equal_checkpoints(one: Path, other: Path) -> None:
    (tensors, facts), (theirs, their_facts) = checkpoint.read(one), checkpoint.read(other)
    assert tensors.keys() == theirs.keys()
    for name, each in tensors.items():
        assert torch.equal(each, theirs[name]), name
    for name in facts.keys() - {"seconds", "config"}:
        assert facts[name] == their_facts[name], name


@pytest.mark.parametrize("variant", VARIANTS)
def test_equal_seeds_give_equal_parameter_traces_and_others_do_not(variant: str, tmp_path: Path) -> None:
    traces = []
    for seed in (0, 0, 1):
        run = ValueTraining(Cue(3), changed(CONFIG, seed=seed, **VARIANTS[variant]))
        trace = []
        for _ in range(6):
            run.advance(1 - run.steps / 480)
            trace.append(run.learner.flat.detach().clone())
        traces.append(torch.stack(trace))
    assert torch.equal(traces[0], traces[1])
    assert not torch.equal(traces[0], traces[2])
    assert not torch.equal(traces[0][0], traces[0][-1])


@pytest.mark.parametrize("variant", VARIANTS)
@pytest.mark.parametrize("mode", [AutoresetMode.NEXT_STEP, AutoresetMode.SAME_STEP])
def test_a_resumed_run_equals_one_that_never_stopped(
    variant: str, mode: AutoresetMode, tmp_path: Path
) -> None:
    def make() -> Cue:
        return Cue(3, mode)

    # epsilon and beta move with the whole budget: a run that is stopped on the way knows it
    config = changed(CONFIG, **VARIANTS[variant])
    train(make, config, tmp_path / "whole")

    def stop(now: Any) -> None:
        if now.steps >= 240:
            signal.raise_signal(signal.SIGINT)

    assert train(make, config, tmp_path / "halves", progress=stop).stopped == "interrupt"
    train(make, config, tmp_path / "halves", resume=True)
    assert_equal_checkpoints(tmp_path / "whole", tmp_path / "halves")
    steps = [row["steps"] for row in read_metrics(tmp_path / "halves")]
    assert steps == list(range(48, 481, 48))


def test_a_run_killed_without_warning_goes_on_exactly_in_a_fresh_process(tmp_path: Path) -> None:
    config = changed(CONFIG, **NAMED["rainbow-iqn"])
    train(Cue, config, tmp_path / "whole")
    body = """
        from tests.test_value import *
        config = changed(CONFIG, **NAMED["rainbow-iqn"])
        def kill(now):
            if now.steps >= 240:
                import os
                os.kill(os.getpid(), signal.SIGKILL)
        train(Cue, config, {run!r}, **{how})
    """

    def fresh(how: str) -> int:
        text = textwrap.dedent(body.format(run=str(tmp_path / "run"), how=how))
        return subprocess.run([sys.executable, "-W", "ignore", "-c", text], check=False).returncode

    assert fresh('{"progress": kill}') == -signal.SIGKILL
    assert 0 < checkpoint.read(tmp_path / "run")[1]["steps"] < 240
    assert fresh('{"resume": True}') == 0
    assert_equal_checkpoints(tmp_path / "whole", tmp_path / "run")


@pytest.mark.parametrize("make", [Cue, Unsaved])
@pytest.mark.parametrize("kept", [True, False])
def test_a_run_goes_on_without_its_replay_or_its_episodes(make: Any, kept: bool, tmp_path: Path) -> None:
    config = changed(CONFIG, save_replay=kept)
    train(make, changed(config, steps=240), tmp_path)
    facts = checkpoint.read(tmp_path)[1]
    assert ("replay" in facts) == kept
    result = train(make, config, tmp_path, resume=True)
    assert result.steps == 480
    assert result.updates > facts["updates"]


def test_a_checkpoint_of_another_learner_or_setting_is_refused(tmp_path: Path) -> None:
    train(Cue, changed(CONFIG, steps=96), tmp_path)
    with pytest.raises(CheckpointError, match="value"):
        train(Cue, PpoConfig(steps=512), tmp_path, resume=True)
    with pytest.raises(CheckpointError, match="n_step"):
        train(Cue, changed(CONFIG, n_step=4), tmp_path, resume=True)


class Poisoned(Cue):
    """Rewards become NaN after 40 steps."""

    age_of_all = 0

    def step(self, actions: Any) -> Any:
        obs, rewards, terminated, truncated, infos = super().step(actions)
        self.age_of_all += 1
        return obs, rewards * (np.nan if self.age_of_all > 60 else 1), terminated, truncated, infos


def test_a_number_that_is_none_stops_training_and_keeps_the_last_good_checkpoint(tmp_path: Path) -> None:
    with pytest.raises(LearningError, match="reward"):
        train(Poisoned, CONFIG, tmp_path / "reward")
    assert checkpoint.read(tmp_path / "reward")[1]["steps"] == 240
    with pytest.raises(LearningError, match="no longer finite"):
        train(Cue, changed(CONFIG, learning_rate=1e30), tmp_path / "rate")


@pytest.mark.parametrize("lstm", [0, 8])
@pytest.mark.parametrize("seen", OBSERVATIONS)
def test_every_observation_and_action_space_trains_and_plays(seen: str, lstm: int, tmp_path: Path) -> None:
    i = list(OBSERVATIONS).index(seen) + lstm // 8  # each action space, mode and setting has its turns
    action_space: Any = (spaces.Discrete(3, start=2), spaces.MultiDiscrete([2, 3]), spaces.MultiBinary(4))[
        i % 3
    ]

    def make() -> Any:
        one = [lambda: Everything(OBSERVATIONS[seen], action_space)] * 2
        return SyncVectorEnv(
            one, autoreset_mode=(AutoresetMode.NEXT_STEP, AutoresetMode.SAME_STEP)[i // 3 % 2]
        )

    config = ValueConfig.named(
        list(NAMED)[i % len(NAMED)], steps=32, report_steps=16, batch_size=4, learning_starts=16,
        capacity=200, lstm=lstm, sequence_length=4, burn_in=2, normalise_observations=True,
        share_frames=False, threads=1, update_every=8,
    )  # fmt: skip
    assert train(make, config, tmp_path).updates > 0
    policy = load_policy(tmp_path)
    assert len(evaluate(policy, make, 3)) == 3
    observation = OBSERVATIONS[seen].sample()  # one environment's observation
    action, _ = policy.act(observation)
    assert action_space.contains(action)
    chances = policy.probabilities(observation)
    assert chances.shape == (policy.actions.logits,)
    assert ((chances >= 0) & (chances <= 1 + 1e-6)).all()


def test_actions_are_enumerated_and_too_many_are_refused() -> None:
    table = alternatives(Actions("multi-discrete", (2, 3)))
    assert table.tolist() == [[0, 0], [0, 1], [0, 2], [1, 0], [1, 1], [1, 2]]
    with pytest.raises(LearningError, match="4,096 combinations"):
        alternatives(Actions("multi-binary", (2,) * 12))


def test_wrong_settings_are_named() -> None:
    for name, value in (
        ("gamma", 1.5), ("batch_size", 0), ("returns", "median"), ("cnn", "resnet"), ("risk", "cvar"),
        ("value_min", 10.0), ("learning_rate", 0.0), ("capacity", 0), ("steps", None), ("device", "tpu9"),
    ):  # fmt: skip
        with pytest.raises(LearningError, match=name):
            ValueTraining(Cue(), ValueConfig(**{name: value}))
    with pytest.raises(LearningError, match="burn_in"):
        ValueConfig(lstm=4, burn_in=30)
    with pytest.raises(LearningError, match="rainbow"):
        ValueConfig.named("ddpg")
    for name in NAMED:
        config = ValueConfig.named(name, hidden=(3, 4))
        assert ValueConfig.from_json(config.to_json()) == config


def test_epsilon_falls_and_noise_needs_none() -> None:
    run = ValueTraining(Cue(), ValueConfig(epsilon_start=1.0, epsilon_end=0.1, epsilon_fraction=0.5))
    assert [round(run.epsilon(left), 3) for left in (1.0, 0.75, 0.5, 0.0)] == [1.0, 0.55, 0.1, 0.1]
    assert ValueTraining(Cue(), ValueConfig(noisy=True)).epsilon(1.0) == 0


def test_random_actions_are_held_as_long_as_the_zeta_distribution_says() -> None:
    """By chance alone, on episodes without end, with so many actions that neighbours seldom are equal."""
    envs = gym.make_vec("CartPole-v1", num_envs=64, vectorization_mode="vector_entry_point")
    run = ValueTraining(
        envs, ValueConfig(hold=2.0, learning_starts=100, epsilon_start=1.0, epsilon_fraction=0)
    )
    actor, generator = run.actor, torch.Generator().manual_seed(0)
    everywhere = np.ones(64, bool)
    actor.starts[:] = False
    played = []
    for step in range(2_000):
        explores, chosen = actor._hold(everywhere, np.full(64, step), generator)
        assert explores.all()
        played.append(chosen)
    begun = np.stack(played)
    starts = np.concatenate([np.ones((1, 64), bool), begun[1:] != begun[:-1]])
    lengths = np.concatenate([np.diff(np.flatnonzero(each)) for each in starts.T])
    for length in (1, 2, 3, 5):
        expected = length**-2.0 / (np.pi**2 / 6)
        # long ones are seldom whole within the steps, which makes the short ones look likelier
        assert (lengths == length).mean() == pytest.approx(expected, rel=0.15)


def test_a_held_action_ends_with_its_episode() -> None:
    run = ValueTraining(Cue(), ValueConfig(hold=1.01))
    actor, generator = run.actor, torch.Generator().manual_seed(0)
    first = np.arange(actor.n)
    actor.starts[:] = False
    for _ in range(3):
        actor._hold(np.ones(actor.n, bool), first, generator)
    assert actor.left.all()
    actor.starts[0] = True
    explores, _ = actor._hold(np.zeros(actor.n, bool), first, generator)
    assert not explores[0] and explores[1:].all()


def test_the_replay_of_a_layout_is_that_of_the_settings() -> None:
    shape = layout(ValueConfig(lstm=4, n_step=3, priority=0.5, capacity=777, replay_gib=0.5))
    assert shape == Shape(777, 3, 0.99, 0.5, 20, 10, 8, True, 1 << 29)


def test_the_command_line_trains_resumes_evaluates_and_watches_it(tmp_path: Path) -> None:
    need("stable_retro")
    common = ("train", GAME, "--algo", "rainbow-iqn", "--run", "r", "--envs", 2, "--observation", "ram",
              "--no-eval")  # fmt: skip
    (tmp_path / "c.toml").write_text(
        "hidden = [16]\nlearning_starts = 32\nreport_steps = 64\nbatch_size = 8\n"
    )
    done = frameperfect(*common, "--steps", 128, "--config", "c.toml", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    done = frameperfect(*common, "--steps", 256, "--resume", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "256 steps" in done.stdout
    settings = ("--episodes", 2, "--envs", 2, "--no-video", "--deterministic")
    done = frameperfect("eval", "r", *settings, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "matches" in done.stdout
    done = frameperfect("watch", "r", "--seconds", 1, "--out", "w.mp4", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    (tmp_path / "c.toml").write_text("rollout_steps = 32\n")
    refused = frameperfect("train", GAME, "--algo", "dqn", "--config", "c.toml", cwd=tmp_path)
    fails(refused, "rollout_steps")


PAGES = ("value", "dqn", "rainbow", "iqn", "rainbow-iqn", "r2d2", "a2c")


@pytest.mark.parametrize("name", PAGES)
def test_an_algorithms_page_has_numbered_details_that_point_at_code_that_is_there(name: str) -> None:
    page = (Path(__file__).parents[1] / f"docs/{name}.md").read_text()
    package = "frameperfect.learn" if name == "a2c" else "frameperfect.learn.value"
    rows = [line for line in page.splitlines() if re.match(r"\| \d+ \|", line)]
    assert rows and [int(row.split("|")[1]) for row in rows] == list(range(1, len(rows) + 1))
    for row in rows:
        places = re.findall(r"`(\w+)\.([\w.]+)`", row.split("|")[3])
        assert places
        for module, path in places:
            found: Any = importlib.import_module(f"{package}.{module}")
            for part in path.split("."):
                found = getattr(found, part)
