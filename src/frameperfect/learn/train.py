"""A training run: collect, update, report, keep; until the steps or the time are used up."""

from __future__ import annotations

import contextlib
import dataclasses
import signal
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np
import torch

from frameperfect.errors import CheckpointError, LearningError, Unsupported
from frameperfect.learn import checkpoint
from frameperfect.learn.config import PpoConfig
from frameperfect.learn.metrics import Metrics
from frameperfect.learn.networks import build
from frameperfect.learn.ppo import Learner
from frameperfect.learn.rollout import Collector, EpisodeEnd

MakeEnvs = Callable[[], "gymnasium.vector.VectorEnv[Any, Any, Any]"]


@dataclass(frozen=True)
class Progress:
    """How far training is, after an update."""

    steps: int
    """Environment steps so far, of all environments together."""
    total_steps: int | None
    updates: int
    steps_per_second: float
    """Learning included, since this process started training."""
    seconds: float
    """Time spent training, before a resume included."""
    seconds_left: float
    episodes: int
    mean_return: float
    """Over the last 100 episodes; NaN before the first has ended."""
    mean_length: float
    losses: dict[str, float]
    ended: list[EpisodeEnd]
    """The episodes that ended in this rollout."""


@dataclass(frozen=True)
class Result:
    """How a run ended."""

    run: Path
    steps: int
    updates: int
    seconds: float
    steps_per_second: float
    episodes: int
    mean_return: float
    mean_length: float
    stopped: str
    """"steps", "minutes", or "interrupt" (Ctrl-C or SIGTERM: resume goes on from there)."""


def train(
    make_envs: MakeEnvs,
    config: PpoConfig,
    run: Path | str,
    *,
    progress: Callable[[Progress], None] | None = None,
    resume: bool = False,
) -> Result:
    """Train on the vector environment that `make_envs` makes, and keep everything in the folder `run`:
    `checkpoint.safetensors`, `metrics.csv` and `tensorboard/`.

    With `resume`, go on from the run's checkpoint. If the environment can be saved (`save(i)` and
    `restore(i, state)`) the resumed run equals one that was never stopped, bit for bit on the same
    machine; otherwise it goes on with fresh episodes. `config` must be the run's own, except for what
    bounds it (`steps`, `minutes`, `checkpoint_seconds`).

    Ctrl-C and SIGTERM end training after the update under way, with a checkpoint and a `Result`; a second
    one interrupts at once.

    Raises:
        LearningError: the run exists already, spaces can't be learned from, losses are not finite, the disk
            is full. The last checkpoint is kept.
        CheckpointError: nothing to resume from, or from something else.
    """
    run = Path(run)
    if not resume and (run / checkpoint.FILE).exists():
        raise LearningError(f"{run} already holds a trained agent: resume it, or choose another folder")
    saved = checkpoint.read(run) if resume else None
    with contextlib.ExitStack() as cleanup:
        envs = make_envs()
        cleanup.callback(envs.close)
        training = Training(envs, config)
        cleanup.enter_context(_threads(config, training))
        if saved is not None:
            training.restore(*saved)
        run.mkdir(parents=True, exist_ok=True)
        metrics = Metrics(run, training.steps)
        cleanup.callback(metrics.close)
        interrupted = cleanup.enter_context(_stop_signals())
        return training.loop(run, metrics, progress, interrupted)


class Training:
    """All that changes while training, and how it is saved and restored."""

    def __init__(self, envs: gymnasium.vector.VectorEnv[Any, Any, Any], config: PpoConfig) -> None:
        self.config = config
        name = config.device if config.device != "auto" else ("cuda" if torch.cuda.is_available() else "cpu")
        self.device = torch.device(name)
        self.collector = Collector(envs, config.rollout_steps)
        self.network = build(self.collector.inputs, self.collector.actions, config, self.device)
        self.learner = Learner(self.network, config, self.device)
        self.collector.attach(self.network, self.device)
        self.generator = torch.Generator().manual_seed(config.seed)
        self.collector.begin(config.seed)
        self.steps = 0
        self.updates = 0
        self.seconds = 0.0

    def loop(
        self,
        run: Path,
        metrics: Metrics,
        progress: Callable[[Progress], None] | None,
        interrupted: threading.Event,
    ) -> Result:
        """Train until the budget is used up or a signal comes."""
        config, collector = self.config, self.collector
        before, begun = self.steps, time.monotonic()
        spent = self.seconds
        kept = begun
        while True:
            stopped = "interrupt" if interrupted.is_set() else self._used_up()
            if stopped or time.monotonic() - kept >= config.checkpoint_seconds:
                checkpoint.write(run, *self.state())
                kept = time.monotonic()
            rate = (self.steps - before) / max(self.seconds - spent, 1e-9)
            if stopped:
                returns, length = self._means()
                return Result(
                    run,
                    self.steps,
                    self.updates,
                    self.seconds,
                    rate,
                    collector.episodes,
                    returns,
                    length,
                    stopped,
                )
            left = 1 - self._used()
            rollout, ended = collector.collect(self.generator)
            losses = self.learner.update(rollout, collector.same_step, left, self.generator)
            self.steps += rollout.real.size
            self.updates += 1
            self.seconds = spent + time.monotonic() - begun
            now = self._progress(losses, ended, (self.steps - before) / max(self.seconds - spent, 1e-9))
            metrics.add(
                {
                    "steps": now.steps, "updates": now.updates, "seconds": now.seconds,
                    "steps_per_second": now.steps_per_second, "episodes": now.episodes,
                    "mean_return": now.mean_return, "mean_length": now.mean_length, **losses,
                }
            )  # fmt: skip
            if progress is not None:
                progress(now)

    def _used(self) -> float:
        """The part of the budget that is used up."""
        config = self.config
        by_steps = self.steps / config.steps if config.steps is not None else 0.0
        by_time = self.seconds / 60 / config.minutes if config.minutes is not None else 0.0
        return min(max(by_steps, by_time), 1.0)

    def _used_up(self) -> str:
        config = self.config
        if config.steps is not None and self.steps >= config.steps:
            return "steps"
        return "minutes" if config.minutes is not None and self.seconds >= config.minutes * 60 else ""

    def _means(self) -> tuple[float, float]:
        recent = self.collector.recent
        if not recent:
            return float("nan"), float("nan")
        return float(np.mean([total for total, _ in recent])), float(
            np.mean([length for _, length in recent])
        )

    def _progress(self, losses: dict[str, float], ended: list[EpisodeEnd], rate: float) -> Progress:
        config = self.config
        returns, length = self._means()
        left = [(config.steps - self.steps) / rate] if config.steps is not None else []
        left += [config.minutes * 60 - self.seconds] if config.minutes is not None else []
        return Progress(
            steps=self.steps, total_steps=config.steps, updates=self.updates, steps_per_second=rate,
            seconds=self.seconds, seconds_left=max(min(left), 0.0), episodes=self.collector.episodes,
            mean_return=returns, mean_length=length, losses=losses, ended=ended,
        )  # fmt: skip

    # -- saving and going on -------------------------------------------------------------------------

    def state(self) -> tuple[dict[str, torch.Tensor], dict[str, Any]]:
        """Tensors and facts from which `restore` goes on."""
        collector, learner = self.collector, self.learner
        tensors = {f"network.{name}": each for name, each in self.network.state_dict().items()}
        tensors.update({f"optimizer.{name}": each for name, each in learner.optimizer.moments.items()})
        tensors["generator"] = self.generator.get_state()
        for name, array in collector.obs.items():
            tensors[f"obs.{name}"] = torch.from_numpy(np.ascontiguousarray(array))
        arrays = {
            "starts": collector.starts, "resetting": collector.resetting, "totals": collector.totals,
            "lengths": collector.lengths, "returns": learner.rewards.returns,
        }  # fmt: skip
        tensors.update(
            {f"collector.{name}": torch.from_numpy(array.copy()) for name, array in arrays.items()}
        )
        if collector.state is not None:
            tensors["state.hidden"], tensors["state.cell"] = collector.state
        envs = collector.envs
        if hasattr(envs, "save"):
            with contextlib.suppress(Unsupported):  # a machine without states: resume begins new episodes
                for i in range(collector.n):
                    tensors[f"env.{i}"] = torch.frombuffer(bytearray(envs.save(i)), dtype=torch.uint8)
        scale = learner.rewards
        facts = {
            "config": self.config.to_json(),
            "inputs": [dataclasses.asdict(each) for each in collector.inputs],
            "actions": dataclasses.asdict(collector.actions),
            "envs": collector.n,
            "steps": self.steps,
            "updates": self.updates,
            "seconds": self.seconds,
            "optimizer_steps": learner.optimizer.steps,
            "episodes": collector.episodes,
            "recent": list(collector.recent),
            "reward_scale": [scale.mean, scale.variance, scale.count],
        }
        return tensors, facts

    def restore(self, tensors: dict[str, torch.Tensor], facts: dict[str, Any]) -> None:
        """Go on from what `state` gave.

        Raises:
            CheckpointError: it belongs to other settings, spaces or numbers of environments.
        """
        self._check(facts)
        collector, learner = self.collector, self.learner
        try:
            self.network.load_state_dict(checkpoint.part(tensors, "network."))
            self.network.vectors.refresh()
            for name, each in learner.optimizer.moments.items():
                each.copy_(tensors[f"optimizer.{name}"])
            learner.optimizer.steps = facts["optimizer_steps"]
            self.generator.set_state(tensors["generator"])
            self.steps, self.updates = facts["steps"], facts["updates"]
            self.seconds, collector.episodes = facts["seconds"], facts["episodes"]
            collector.recent.extend((total, length) for total, length in facts["recent"])
            learner.rewards.mean, learner.rewards.variance, learner.rewards.count = facts["reward_scale"]
            states = checkpoint.part(tensors, "env.")
            if not states or not hasattr(collector.envs, "restore"):
                # other episodes than those that the first reset gave
                collector.begin(self.config.seed + self.steps)
                return
            for i in range(collector.n):
                collector.envs.restore(i, states[str(i)].numpy().tobytes())
            collector.obs = {name: each.numpy() for name, each in checkpoint.part(tensors, "obs.").items()}
            for name, each in checkpoint.part(tensors, "collector.").items():
                setattr(learner.rewards if name == "returns" else collector, name, each.numpy())
            if collector.state is not None:
                collector.state = (
                    tensors["state.hidden"].to(self.device),
                    tensors["state.cell"].to(self.device),
                )
        except (KeyError, RuntimeError, ValueError, TypeError) as wrong:
            raise CheckpointError(f"the checkpoint does not fit this training: {wrong}") from wrong

    def _check(self, facts: dict[str, Any]) -> None:
        theirs, ours = PpoConfig.from_json(facts["config"]), self.config
        free = {"steps", "minutes", "checkpoint_seconds", "device", "threads"}
        for field in dataclasses.fields(ours):
            was, now = getattr(theirs, field.name), getattr(ours, field.name)
            if field.name not in free and was != now:
                raise CheckpointError(
                    f"the run was trained with {field.name} = {was}, and is resumed with {now}"
                )
        if facts["envs"] != self.collector.n:
            raise CheckpointError(
                f"the run had {facts['envs']} environments, and is resumed with {self.collector.n}"
            )
        spaces = (
            [dataclasses.asdict(each) for each in self.collector.inputs],
            dataclasses.asdict(self.collector.actions),
        )
        if _plain(spaces) != _plain((facts["inputs"], facts["actions"])):
            raise CheckpointError(
                "the run was trained on other observations or actions than this environment has"
            )


def _plain(value: Any) -> Any:
    """Tuples as lists, as JSON gives them back."""
    if isinstance(value, dict):
        return {key: _plain(each) for key, each in value.items()}
    return [_plain(each) for each in value] if isinstance(value, (list, tuple)) else value


@contextlib.contextmanager
def _threads(config: PpoConfig, training: Training) -> Iterator[None]:
    """Torch's thread count while training."""
    before = torch.get_num_threads()
    small = len(training.network.pixels) == 0 and training.device.type == "cpu"
    torch.set_num_threads(config.threads or (1 if small else before))
    try:
        yield
    finally:
        torch.set_num_threads(before)


@contextlib.contextmanager
def _stop_signals() -> Iterator[threading.Event]:
    """An event that Ctrl-C and SIGTERM set; the second one acts as it did before. Main thread only."""
    asked = threading.Event()
    if threading.current_thread() is not threading.main_thread():
        yield asked
        return
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}

    def restore() -> None:
        for number, handler in before.items():
            signal.signal(number, handler if handler is not None else signal.SIG_DFL)

    def ask(*_: Any) -> None:
        asked.set()
        restore()

    for number in before:
        signal.signal(number, ask)
    try:
        yield asked
    finally:
        restore()
