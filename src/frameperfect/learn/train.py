"""Training with a folder that keeps it: `train`, for whichever learner the settings are of."""

from __future__ import annotations

import contextlib
import signal
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TypeAlias

import gymnasium
import torch

from frameperfect.errors import LearningError
from frameperfect.learn import checkpoint, threads
from frameperfect.learn.config import PpoConfig
from frameperfect.learn.episodes import EpisodeEnd
from frameperfect.learn.metrics import Metrics
from frameperfect.learn.networks import build
from frameperfect.learn.novelty import COLUMNS as NOVELTY
from frameperfect.learn.ppo import Learner
from frameperfect.learn.rollout import Collector
from frameperfect.learn.runtime.cluster import RayFleet, connected, train_there
from frameperfect.learn.runtime.fleet import Fleet
from frameperfect.learn.runtime.local import LocalFleet
from frameperfect.learn.runtime.rollouts import RolloutCrew
from frameperfect.learn.runtime.shards import ShardedCrew
from frameperfect.learn.runtime.steps import ReplayCrew
from frameperfect.learn.trainer import Progress, Result, Trainer
from frameperfect.learn.value.config import ValueConfig
from frameperfect.learn.value.train import ValueTraining

MakeEnvs = Callable[[], "gymnasium.vector.VectorEnv[Any, Any, Any]"]
Config: TypeAlias = "PpoConfig | ValueConfig"


def train(
    make_envs: MakeEnvs,
    config: Config,
    run: Path | str,
    *,
    progress: Callable[[Progress], None] | None = None,
    resume: bool = False,
    actors: int = 0,
    lockstep: bool = False,
    cluster: str | None = None,
) -> Result:
    """Train on the vector environment that `make_envs` makes, and keep everything in the folder `run`:
    `checkpoint.safetensors`, `metrics.csv` and `tensorboard/`.

    With `resume`, go on from the run's checkpoint. If the environment can be saved (`save(i)` and
    `restore(i, state)`) the resumed run equals one that was never stopped, bit for bit on the same
    machine; otherwise it goes on with fresh episodes. `config` must be the run's own, except for what
    bounds it (`steps`, `minutes`, `checkpoint_seconds`).

    `config` says which learner: `PpoConfig` or `ValueConfig`.

    With `actors`, so many processes play, each on the environments that `make_envs` makes there, while this
    one learns; a process that dies is replaced. What is learned then depends on timing, except with
    `lockstep`: they and the learner take turns. A resumed run begins new episodes. `make_envs` may be any
    callable, also a lambda. With `cluster`, actors, replay and learner are on the Ray cluster at that
    address ("auto": the one that this machine is part of), whose machines have the same frameperfect; the
    learner and its folder are on this one.

    Ctrl-C and SIGTERM end training after the update under way, with a checkpoint and a `Result`; a second
    one interrupts at once.

    Raises:
        LearningError: the run exists already, spaces can't be learned from, losses are not finite, the disk
            is full. The last checkpoint is kept.
        ActorFailed: an actor's environment raised. What was learned until then is kept.
        CheckpointError: nothing to resume from, or from something else.
    """
    run = Path(run)
    if not resume and (run / checkpoint.FILE).exists():
        raise LearningError(f"{run} already holds a trained agent: resume it, or choose another folder")
    with _stop_signals() as interrupted:
        if cluster is None:
            return train_here(make_envs, config, run, resume, progress, interrupted, actors, lockstep)
        if not actors:
            raise LearningError("a cluster plays by actors: say how many")
        with connected(cluster) as ray:
            plan = make_envs, config, run, resume, progress, interrupted, actors, lockstep
            result: Result = train_there(ray, *plan)
            return result


def train_here(
    make_envs: MakeEnvs,
    config: Config,
    run: Path,
    resume: bool,
    progress: Callable[[Progress], None] | None,
    interrupted: threading.Event,
    actors: int,
    lockstep: bool,
    fleet_of: Callable[[MakeEnvs, Config, int, int], Fleet] = LocalFleet,
) -> Result:
    """As `train`, learning in this process; `interrupted` ends it, and `fleet_of` says where actors play."""
    saved = checkpoint.read(run) if resume else None
    with contextlib.ExitStack() as cleanup:
        training: Trainer
        if actors:
            seed = config.seed + (saved[1]["steps"] if saved is not None else 0)
            fleet = cleanup.enter_context(contextlib.closing(fleet_of(make_envs, config, actors, seed)))
            if isinstance(config, ValueConfig):
                crew = ShardedCrew if isinstance(fleet, RayFleet) else ReplayCrew
                training = ValueTraining(crew(fleet, config, lockstep), config, run)
            else:
                training = Training(RolloutCrew(fleet, lockstep), config)
        else:
            envs = cleanup.enter_context(contextlib.closing(make_envs()))
            if isinstance(config, ValueConfig):
                training = ValueTraining(envs, config, run)
            else:
                training = Training(envs, config)
        cleanup.enter_context(threads.taken(_torch_threads(config, training)))
        if saved is not None:
            training.restore(*saved)
        run.mkdir(parents=True, exist_ok=True)
        metrics = Metrics(run, training.steps, training.columns)
        cleanup.callback(metrics.close)
        return training.loop(run, metrics, progress, interrupted)


class Training(Trainer):
    """PPO: collect a rollout, learn from it."""

    name = "ppo"
    columns: tuple[str, ...] = (
        "policy_loss", "value_loss", "entropy", "kl", "clip_fraction", "explained_variance", "epochs",
        "learning_rate",
    )  # fmt: skip

    def __init__(
        self, envs: gymnasium.vector.VectorEnv[Any, Any, Any] | RolloutCrew, config: PpoConfig
    ) -> None:
        super().__init__(config)
        self.collector = self.episodes = (
            envs if isinstance(envs, RolloutCrew) else Collector(envs, config.rollout_steps)
        )
        self.columns = (*self.columns, *self.collector.columns)
        self.network = build(self.collector.inputs, self.collector.actions, config, self.device)
        self.learner = Learner(self.network, config, self.device)
        self.collector.attach(self.network, self.device)
        self.collector.begin(config.seed)
        if config.rnd:
            self.columns = (*self.columns, *NOVELTY)

    def advance(self, left: float) -> tuple[dict[str, float], list[EpisodeEnd]]:
        """One rollout and one update."""
        self.collector.updates = self.updates
        rollout, ended = self.collector.collect(self.generator)
        losses = self.learner.update(rollout, self.collector.same_step, left, self.generator)
        self.steps += rollout.real.size
        self.updates += 1
        return {**losses, **self.collector.measures()}, ended

    def more_state(self) -> tuple[dict[str, torch.Tensor], dict[str, Any]]:
        """The optimizer, the scale of rewards, novelty and the recurrent state."""
        learner, scale = self.learner, self.learner.rewards
        tensors = {f"optimizer.{name}": each for name, each in learner.optimizer.moments.items()}
        tensors["reward_returns"] = torch.from_numpy(scale.returns.copy())
        if self.collector.state is not None:
            tensors["state.hidden"], tensors["state.cell"] = self.collector.state
        facts: dict[str, Any] = {
            "optimizer_steps": learner.optimizer.steps,
            "reward_scale": [scale.mean, scale.variance, scale.count],
        }
        if learner.novelty is not None:
            novel, more = learner.novelty.save()
            tensors |= novel
            facts |= more
        return tensors, facts

    def restore_more(self, tensors: dict[str, torch.Tensor], facts: dict[str, Any]) -> None:
        """The optimizer, the scale of rewards and novelty."""
        learner = self.learner
        for name, each in learner.optimizer.moments.items():
            each.copy_(tensors[f"optimizer.{name}"])
        learner.optimizer.steps = facts["optimizer_steps"]
        learner.rewards.mean, learner.rewards.variance, learner.rewards.count = facts["reward_scale"]
        if learner.novelty is not None:
            learner.novelty.restore(tensors, facts)

    def restore_recurrent(self, tensors: dict[str, torch.Tensor]) -> None:
        """The discounted returns under way, and the recurrent state."""
        self.learner.rewards.returns = tensors["reward_returns"].numpy()
        if self.collector.state is not None:
            self.collector.state = (
                tensors["state.hidden"].to(self.device),
                tensors["state.cell"].to(self.device),
            )


def _torch_threads(config: Config, training: Trainer) -> int:
    small = len(training.network.pixels) == 0 and training.device.type == "cpu"
    return config.threads or (1 if small else torch.get_num_threads())


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
