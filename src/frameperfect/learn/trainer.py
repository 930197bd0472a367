"""A training run, whatever learns: advance, report, keep, until the steps or the time are used up; and what
all learners save.
"""

from __future__ import annotations

import dataclasses
import threading
import time
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import torch

from frameperfect.errors import ActorFailed, CheckpointError, LearningError
from frameperfect.learn import checkpoint
from frameperfect.learn.episodes import Acting, EpisodeEnd
from frameperfect.learn.metrics import Metrics


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


class Trainer(ABC):
    """All that changes while training, and how it is saved and restored. A learner's own class makes
    `network` and says how to `advance`.
    """

    name: ClassVar[str]
    """What checkpoints call it."""
    columns: tuple[str, ...]
    """The names of its losses."""
    network: Any
    episodes: Acting

    def __init__(self, config: Any) -> None:
        self.config = config
        self.device = device_of(config.device)
        self.generator = torch.Generator().manual_seed(config.seed)
        self.steps = 0
        self.updates = 0
        self.seconds = 0.0

    @abstractmethod
    def advance(self, left: float) -> tuple[dict[str, float], list[EpisodeEnd]]:
        """Act and learn for a while, moving on `steps` and `updates`; `left` is the part of the budget that
        is left (1 at the start). Returns the losses, by `columns`, and the episodes that ended.
        """

    @abstractmethod
    def more_state(self) -> tuple[dict[str, torch.Tensor], dict[str, Any]]:
        """What the learner saves beside network, random state and episodes."""

    @abstractmethod
    def restore_more(self, tensors: dict[str, torch.Tensor], facts: dict[str, Any]) -> None:
        """Take back what `more_state` gave, before the episodes go on."""

    @abstractmethod
    def restore_recurrent(self, tensors: dict[str, torch.Tensor]) -> None:
        """Take back what holds only while the episodes under way go on."""

    def loop(
        self,
        run: Path,
        metrics: Metrics,
        progress: Callable[[Progress], None] | None,
        interrupted: threading.Event,
    ) -> Result:
        """Train until the budget is used up or a signal comes."""
        episodes = self.episodes
        before, begun = self.steps, time.monotonic()
        spent = self.seconds
        kept = begun
        while True:
            stopped = "interrupt" if interrupted.is_set() else self._used_up()
            if stopped or time.monotonic() - kept >= self.config.checkpoint_seconds:
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
                    episodes.episodes,
                    returns,
                    length,
                    stopped,
                )
            left = 1 - self._used()
            try:
                losses, ended = self.advance(left)
            except ActorFailed as failure:
                checkpoint.write(run, *self.state())  # the learner is sound
                raise ActorFailed(f"{failure}; the checkpoint at {self.steps:,} steps is kept") from failure
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
        recent = self.episodes.recent
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
            seconds=self.seconds, seconds_left=max(min(left), 0.0), episodes=self.episodes.episodes,
            mean_return=returns, mean_length=length, losses=losses, ended=ended,
        )  # fmt: skip

    # -- saving and going on -------------------------------------------------------------------------

    def state(self) -> tuple[dict[str, torch.Tensor], dict[str, Any]]:
        """Tensors and facts from which `restore` goes on."""
        episodes = self.episodes
        tensors = {f"network.{name}": each for name, each in self.network.state_dict().items()}
        tensors["generator"] = self.generator.get_state()
        tensors |= episodes.save()
        facts = {
            "learner": self.name,
            "config": self.config.to_json(),
            "inputs": [dataclasses.asdict(each) for each in episodes.inputs],
            "actions": dataclasses.asdict(episodes.actions),
            "envs": episodes.n,
            "steps": self.steps,
            "updates": self.updates,
            "seconds": self.seconds,
            "episodes": episodes.episodes,
            "recent": list(episodes.recent),
        }
        more_tensors, more_facts = self.more_state()
        return {**tensors, **more_tensors}, {**facts, **more_facts}

    def restore(self, tensors: dict[str, torch.Tensor], facts: dict[str, Any]) -> None:
        """Go on from what `state` gave.

        Raises:
            CheckpointError: it belongs to other settings, spaces or numbers of environments.
        """
        self._check(facts)
        episodes = self.episodes
        try:
            self.network.load_state_dict(checkpoint.part(tensors, "network."))
            self.network.vectors.refresh()
            self.generator.set_state(tensors["generator"])
            self.steps, self.updates = facts["steps"], facts["updates"]
            self.seconds, episodes.episodes = facts["seconds"], facts["episodes"]
            episodes.recent.extend((total, length) for total, length in facts["recent"])
            self.restore_more(tensors, facts)
            if episodes.restore(tensors):
                self.restore_recurrent(tensors)
            else:
                # other episodes than those that the first reset gave
                episodes.begin(self.config.seed + self.steps)
        except (KeyError, RuntimeError, ValueError, TypeError) as wrong:
            raise CheckpointError(f"the checkpoint does not fit this training: {wrong}") from wrong

    def _check(self, facts: dict[str, Any]) -> None:
        if facts["learner"] != self.name:
            raise CheckpointError(f"the run was trained by {facts['learner']}, and is resumed by {self.name}")
        theirs, ours = type(self.config).from_json(facts["config"]), self.config
        free = {"steps", "minutes", "checkpoint_seconds", "device", "threads"}
        for field in dataclasses.fields(ours):
            was, now = getattr(theirs, field.name), getattr(ours, field.name)
            if field.name not in free and was != now:
                raise CheckpointError(
                    f"the run was trained with {field.name} = {was}, and is resumed with {now}"
                )
        if facts["envs"] != self.episodes.n:
            raise CheckpointError(
                f"the run had {facts['envs']} environments, and is resumed with {self.episodes.n}"
            )
        spaces = (
            [dataclasses.asdict(each) for each in self.episodes.inputs],
            dataclasses.asdict(self.episodes.actions),
        )
        if _plain(spaces) != _plain((facts["inputs"], facts["actions"])):
            raise CheckpointError(
                "the run was trained on other observations or actions than this environment has"
            )


def device_of(name: str) -> Any:
    """The torch device of a setting: "auto" is the GPU if there is one.

    Raises:
        LearningError: there is no such device.
    """
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    try:
        device = torch.device(name)
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError) as wrong:
        raise LearningError(f"device '{name}' can't be used here: {str(wrong).splitlines()[0]}") from wrong
    return device


def _plain(value: Any) -> Any:
    """Tuples as lists, as JSON gives them back."""
    if isinstance(value, dict):
        return {key: _plain(each) for key, each in value.items()}
    return [_plain(each) for each in value] if isinstance(value, (list, tuple)) else value
