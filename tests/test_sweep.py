"""The sweep: its spaces, its trials, and that it can be left, joined and read back."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.command_line import frameperfect
from tests.components import need

need("torch")
optuna = need("optuna")

from frameperfect.cli import sweep  # noqa: E402
from frameperfect.cli.app import Refused  # noqa: E402
from frameperfect.cli.runs import RunConfig  # noqa: E402
from frameperfect.cli.settings_file import read_settings  # noqa: E402
from frameperfect.cli.sweep_space import SPACES, Space, default_space, read_space  # noqa: E402
from frameperfect.cli.train import config_class  # noqa: E402
from frameperfect.learn import PpoConfig, ValueConfig  # noqa: E402
from frameperfect.view.sweep_plot import Scale, Trial, draw_sweep  # noqa: E402

GAME = "Breakout-Atari"
SPACE = """
learning_rate = { low = 1e-4, high = 1e-2, log = true }
epochs = { low = 1, high = 3 }
hidden = { choices = [[16], [32, 32]] }
"""
COMMON = ("--observation", "ram", "--envs", 4, "--max-steps", 40, "--space", "space.toml", "--run", "s")


def states(folder: Path) -> list[str]:
    study = optuna.load_study(study_name="sweep", storage=f"sqlite:///{folder}/runs/s/sweep.db")
    return [trial.state.name for trial in study.get_trials(deepcopy=False)]


# -- spaces --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("algo", SPACES)
@pytest.mark.parametrize("novelty", [False, True])
def test_every_algorithm_has_a_space_whose_draws_are_settings_that_it_takes(algo: str, novelty: bool) -> None:
    kind = config_class(algo)
    space = Space(algo, default_space(algo, novelty), kind)
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=0))
    for _ in range(20):
        trial = study.ask()
        found = space.suggest(trial)
        kind.named(algo, **found)
        assert found == {name: space.value(name, kept) for name, kept in trial.params.items()}
        assert isinstance(found.get("batch_size", 0), int)
    assert Space(algo, space.table(), kind).table() == space.table()


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("learning_rat = { low = 1, high = 2 }", ("learning_rat'", "'learning_rate'")),
        ("epochs = { low = 1, hihg = 2 }", ("hihg", "'high'")),
        ("epochs = { low = 1 }", ("epochs.high", "required")),
        ("epochs = { low = 5, high = 2 }", ("epochs", "low must lie below high")),
        ("epochs = { low = 0, high = 2 }", ("epochs", "above 0")),
        ("epochs = { low = 1.5, high = 3 }", ("epochs", "1.5")),
        ("epochs = 3", ("epochs",)),
        ("gamma = { low = 0, high = 1, log = true }", ("gamma", "log")),
        ("gamma = { low = 0.9, high = 1.1 }", ("gamma", "1.1")),
        ("hidden = { choices = [[64]] }", ("hidden", "two")),
        ("hidden = { choices = [[64], ['a']] }", ("hidden", "'a'")),
        ("activation = { choices = ['relu', 'elu'] }", ("activation", "elu")),
        ("steps = { low = 1, high = 2 }", ("steps",)),
        ("# nothing", ("no setting",)),
    ],
)
def test_what_is_wrong_in_a_space_is_named_in_one_line(
    text: str, words: tuple[str, ...], tmp_path: Path
) -> None:
    path = tmp_path / "space.toml"
    path.write_text(text)
    with pytest.raises(Refused) as caught:
        read_space(path, PpoConfig)
    message = str(caught.value)
    assert "\n" not in message
    for word in ("space.toml", *words):
        assert word in message


def test_lists_texts_and_switches_can_be_searched(tmp_path: Path) -> None:
    table = {
        "streams": {"choices": [[], [64], [64, 64]]}, "double": {"choices": [True, False]},
        "activation": {"choices": ["relu", "tanh"]}, "replay_gib": {"low": 0.5, "high": 2, "step": 0.5},
    }  # fmt: skip
    space = Space("here", table, ValueConfig)
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=1))
    found = [space.suggest(study.ask()) for _ in range(30)]
    assert {each["streams"] for each in found} == {(), (64,), (64, 64)}
    assert {each["double"] for each in found} == {True, False}
    assert {each["replay_gib"] for each in found} == {0.5, 1.0, 1.5, 2.0}


# -- the search ----------------------------------------------------------------------------------------


def test_a_sweep_writes_settings_that_train_reads_and_goes_on(tmp_path: Path) -> None:
    need("ale_py")
    (tmp_path / "space.toml").write_text(SPACE)
    (tmp_path / "base.yaml").write_text("rollout_steps: 16\nbatch_size: 32\n")
    more = ("--steps", 1280, "--config", "base.yaml")
    done = frameperfect("sweep", GAME, *COMMON, *more, "--trials", 2, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "--config runs/s/best.toml" in done.stdout
    run = tmp_path / "runs" / "s"
    fields = read_settings(run / "best.toml", PpoConfig)
    assert fields.keys() == {"rollout_steps", "batch_size", "learning_rate", "epochs", "hidden"}
    assert (fields["rollout_steps"], fields["batch_size"]) == (16, 32)
    assert (run / "sweep.png").read_bytes()[:4] == b"\x89PNG"
    assert states(tmp_path) == ["COMPLETE"] * 2

    again = frameperfect("sweep", GAME, *COMMON, *more, cwd=tmp_path)
    assert again.returncode == 2
    assert "--resume" in again.stderr
    other = frameperfect("sweep", "Pong-Atari", "--run", "s", "--resume", cwd=tmp_path)
    assert "not Pong-Atari" in other.stderr
    done = frameperfect("sweep", GAME, "--run", "s", "--resume", "--trials", 3, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert states(tmp_path) == ["COMPLETE"] * 3
    done = frameperfect("sweep", GAME, "--run", "s", "--resume", "--trials", 3, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert len(states(tmp_path)) == 3


@pytest.fixture
def told(monkeypatch: pytest.MonkeyPatch) -> dict[int, int]:
    """Trainings of no game, whose returns are known: trial 5 is bad, trial 6 diverges, others are worth 10
    and their number. Gives the updates that each told of.
    """
    from frameperfect import learn
    from frameperfect.errors import LearningError
    from frameperfect.learn import Progress, Result

    told: dict[int, int] = {}

    def training(make_envs: Any, config: Any, run: Path, *, progress: Any) -> Result:
        number = int(run.name.removeprefix("trial"))
        if number == 6:
            raise LearningError("the network is no longer finite")
        worth = 0.0 if number == 5 else 10.0 + number
        for update in range(1, 21):
            told[number] = update
            progress(
                Progress(
                    steps=update, total_steps=20, updates=update, steps_per_second=1.0, seconds=update,
                    seconds_left=20.0 - update, episodes=1, mean_return=worth, mean_length=1.0, losses={},
                    ended=[],
                )
            )  # fmt: skip
        return Result(run, 20, 20, 1.0, 1.0, 1, worth, 1.0, "steps")

    monkeypatch.setattr(learn, "train", training)
    return told


PLAN = sweep.Plan(
    RunConfig(GAME, {}, 1, "ppo", {"seed": 0, "steps": 20, "minutes": None}),
    {"gamma": {"low": 0.9, "high": 0.99}},
    {},
)


def test_a_trial_behind_the_median_is_stopped_and_a_diverged_one_counts_as_stopped(
    tmp_path: Path, told: dict[int, int]
) -> None:
    folder = tmp_path / "runs" / "s"
    sweep._search(folder, PLAN, 8)
    assert states(tmp_path) == ["COMPLETE"] * 5 + ["PRUNED"] * 2 + ["COMPLETE"]
    assert told[5] == sweep.FIRST_RUNG
    assert "Trial 7: mean return 17" in (folder / "best.toml").read_text()


def test_equal_seeds_draw_equal_settings_and_who_goes_on_draws_what_would_have_come(
    tmp_path: Path, told: dict[int, int]
) -> None:
    drawn = {}
    for name, seed, counts in (("whole", 0, [10]), ("halves", 0, [3, 10]), ("other", 1, [10])):
        folder = tmp_path / "runs" / name
        learn = {**PLAN.settings.learn, "seed": seed}
        plan = replace(PLAN, settings=replace(PLAN.settings, learn=learn))
        for trials in counts:
            sweep._search(folder, plan, trials)
        study = optuna.load_study(study_name="sweep", storage=f"sqlite:///{folder}/sweep.db")
        drawn[name] = [trial.params["gamma"] for trial in study.trials]
    assert drawn["whole"] == drawn["halves"]
    assert len({*drawn["whole"], *drawn["other"]}) == 20


@pytest.mark.filterwarnings("ignore:Heartbeat of storage")  # this trial is none of `optimize`
def test_the_trial_of_a_process_that_was_killed_is_tried_again(
    tmp_path: Path, told: dict[int, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A trial that gave a sign of life, and no more."""
    monkeypatch.setattr(sweep, "HEARTBEAT", 1)
    monkeypatch.setattr(sweep, "SILENCE", 1)
    folder = tmp_path / "runs" / "s"
    study, _ = sweep._study(folder, PLAN)
    killed = study.ask()
    killed.suggest_float("gamma", 0.9, 0.99)
    study._storage.record_heartbeat(killed._trial_id)
    time.sleep(2.5)
    sweep._search(folder, PLAN, 3)
    study = optuna.load_study(study_name="sweep", storage=f"sqlite:///{folder}/sweep.db")
    assert study.trials[0].state.name == "FAIL"
    assert [trial.params for trial in study.trials[1:]].count(killed.params) == 1
    assert [trial.state.name for trial in study.trials[1:]] == ["COMPLETE"] * 3


def start(tmp_path: Path, *more: str | int) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "frameperfect", "sweep", GAME, *map(str, more)]
    return subprocess.Popen(
        command, cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        env=os.environ | {"FRAMEPERFECT_HOME": str(tmp_path / "home")},
    )  # fmt: skip


def test_ctrl_c_keeps_what_ended_and_two_processes_go_on_together(tmp_path: Path) -> None:
    need("ale_py")
    (tmp_path / "space.toml").write_text(SPACE)
    first = start(tmp_path, *COMMON, "--steps", 50_000, "--trials", 4)
    metrics = tmp_path / "runs" / "s" / "trial0000" / "metrics.csv"
    for _ in range(1200):
        if metrics.is_file() and metrics.read_text().count("\n") > 2:
            break
        time.sleep(0.1)
    first.send_signal(signal.SIGINT)
    _, error = first.communicate(timeout=120)
    assert first.returncode == 130, error
    assert "--resume" in error
    assert states(tmp_path)[0] == "FAIL"
    assert states(tmp_path)[1] == "WAITING"  # its settings are tried again

    plan = tmp_path / "runs" / "s" / "sweep.json"
    plan.write_text(plan.read_text().replace("50000", "640"))
    both = [start(tmp_path, "--run", "s", "--resume", "--trials", 4) for _ in range(2)]
    for process in both:
        _, error = process.communicate(timeout=240)
        assert process.returncode == 0, error
    study = optuna.load_study(study_name="sweep", storage=f"sqlite:///{tmp_path}/runs/s/sweep.db")
    ended = [trial for trial in study.trials if trial.state.is_finished()][1:]
    assert len(ended) >= 4
    assert ended[0].params == study.trials[0].params
    assert len({str(trial.params) for trial in ended}) == len(ended)


def test_a_sweep_says_what_it_needs(tmp_path: Path) -> None:
    need("ale_py")
    done = frameperfect("sweep", GAME, "--trials", 1, cwd=tmp_path)
    assert (done.returncode, "--steps" in done.stderr) == (2, True)
    done = frameperfect("sweep", GAME, "--resume", "--run", "gone", cwd=tmp_path)
    assert (done.returncode, "holds no sweep" in done.stderr) == (2, True)
    done = frameperfect(
        "sweep", GAME, "--observation", "ram", "--envs", 2, "--steps", 32, "--run", "s", cwd=tmp_path
    )
    assert (done.returncode, "no episode ended" in done.stderr) == (2, True)


def test_the_plot_draws_trials_of_every_kind(tmp_path: Path) -> None:
    steps = np.arange(5.0)
    trials = [
        Trial(0, 1.0, steps, steps, {"hidden": (64, 64), "rate": 1e-3}),
        Trial(1, None, steps[:2], steps[:2], {"hidden": (32,), "rate": 1e-2}),
        Trial(2, -1.0, steps[:0], steps[:0], {"hidden": (32,), "rate": 1e-4}),
    ]
    scales = {"hidden": Scale(choices=((32,), (64, 64))), "rate": Scale(1e-5, 1e-1, True)}
    for some in (trials, trials[:1], trials[1:2]):
        draw_sweep(some, scales, tmp_path / "sweep.png", "A game")
        assert (tmp_path / "sweep.png").read_bytes()[:4] == b"\x89PNG"
