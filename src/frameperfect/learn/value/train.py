"""The value learner's training run: act, keep, learn at a fixed ratio; and what a checkpoint holds of it."""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np
import torch

from frameperfect.learn import checkpoint
from frameperfect.learn.episodes import EpisodeEnd
from frameperfect.learn.runtime.steps import ReplayCrew
from frameperfect.learn.trainer import Trainer
from frameperfect.learn.value.actor import Actor
from frameperfect.learn.value.config import ValueConfig
from frameperfect.learn.value.demonstrations import show
from frameperfect.learn.value.learner import Learner
from frameperfect.learn.value.network import build
from frameperfect.learn.value.novelty import COLUMNS as NOVELTY
from frameperfect.learn.value.replay import ReplayLost, Shape


class ValueTraining(Trainer):
    """Steps of all environments, and so many updates for so many of them."""

    name = "value"
    columns: tuple[str, ...] = ("loss", "error", "epsilon", "replay", "learning_rate")

    def __init__(
        self,
        envs: gymnasium.vector.VectorEnv[Any, Any, Any] | ReplayCrew,
        config: ValueConfig,
        run: Path | None = None,
    ) -> None:
        super().__init__(config)
        self.actor = self.episodes = envs if isinstance(envs, ReplayCrew) else Actor(envs)
        self.columns = (*self.columns, *self.actor.columns)
        actions = len(self.actor.table)
        self.network, target = (build(self.actor.inputs, actions, config, self.device) for _ in range(2))
        self.learner = Learner(self.network, target, config, self.device)
        if run is not None:
            run.mkdir(parents=True, exist_ok=True)
        self.replay = self.actor.make_replay(layout(config), run)
        if config.demonstrations:
            of = self.actor.inputs, self.actor.actions
            kept = show(config.demonstrations, *of, config, layout(config), self.network)
            self.learner.demonstrations = kept
        self.actor.attach(self.network, self.replay, self.device)
        self.actor.begin(config.seed)
        if config.rnd:
            self.columns = (*self.columns, *NOVELTY)

    def advance(self, left: float) -> tuple[dict[str, float], list[EpisodeEnd]]:
        """`report_steps` steps, and the updates that are due in them."""
        config, actor = self.config, self.actor
        epsilon = self.epsilon(left)
        done: list[EpisodeEnd] = []
        for _ in range(-(-config.report_steps // actor.stride)):
            actor.updates = self.learner.updates
            done += actor.step(1.0 if self.steps < config.learning_starts else epsilon, self.generator)
            rounds = (self.steps + actor.stride) // config.update_every - self.steps // config.update_every
            self.steps += actor.stride
            if self.replay.written >= config.learning_starts and self.replay.drawable:
                with contextlib.suppress(ReplayLost):  # as at the start: it fills before it is learned from
                    for _ in range(rounds * config.gradient_steps):
                        self.learner.update(self.replay, left, self.generator)
                self.updates = self.learner.updates
        actor.observe()
        return {
            **self.learner.means(),
            **actor.measures(),
            **(self.learner.novelty.means() if self.learner.novelty is not None else {}),
            "epsilon": epsilon,
            "replay": self.replay.rows,
            "learning_rate": self.learner.rate,
        }, done

    def epsilon(self, left: float) -> float:
        """The chance of a random action [1]."""
        config: ValueConfig = self.config
        if config.noisy:
            return 0.0
        part = min((1 - left) / config.epsilon_fraction, 1.0) if config.epsilon_fraction else 1.0
        return config.epsilon_start + part * (config.epsilon_end - config.epsilon_start)

    def more_state(self) -> tuple[dict[str, torch.Tensor], dict[str, Any]]:
        """Target network, optimizer, novelty, recurrent state, and the replay if it is kept."""
        learner = self.learner
        tensors = {f"optimizer.{name}": each for name, each in learner.optimizer.moments.items()}
        tensors["target"] = learner.target_flat
        if self.actor.state is not None:
            tensors["state.hidden"], tensors["state.cell"] = self.actor.state
        facts: dict[str, Any] = {"optimizer_steps": learner.optimizer.steps}
        if learner.novelty is not None:
            novel, more = learner.novelty.save()
            tensors |= novel
            facts |= more
        if learner.demonstrations is not None:
            facts["demonstrations_highest"] = learner.demonstrations.highest
            tensors["demonstrations.leaves"] = torch.from_numpy(learner.demonstrations.tree.leaves())
        if self.config.save_replay and self.replay.kept:
            arrays, facts["replay"] = self.replay.save()
            tensors |= {f"replay.{name}": torch.from_numpy(each) for name, each in arrays.items()}
        return tensors, facts

    def restore_more(self, tensors: dict[str, torch.Tensor], facts: dict[str, Any]) -> None:
        """All of it but the recurrent state."""
        learner = self.learner
        for name, each in learner.optimizer.moments.items():
            each.copy_(tensors[f"optimizer.{name}"])
        learner.optimizer.steps = facts["optimizer_steps"]
        learner.target_flat.copy_(tensors["target"])
        learner.updates = self.updates
        if learner.novelty is not None:
            learner.novelty.restore(tensors, facts)
        if learner.demonstrations is not None:
            leaves = tensors["demonstrations.leaves"].numpy()
            learner.demonstrations.tree.set(np.arange(len(leaves)), leaves)
            learner.demonstrations.highest = facts["demonstrations_highest"]
        if "replay" in facts:
            arrays = {name: each.numpy() for name, each in checkpoint.part(tensors, "replay.").items()}
            self.replay.restore(arrays, facts["replay"])

    def restore_recurrent(self, tensors: dict[str, torch.Tensor]) -> None:
        """The recurrent state; a replay that was not kept begins in the middle of these episodes."""
        assert isinstance(self.actor, Actor)
        if not self.config.save_replay:
            self.replay.begin(self.actor.obs)
        if self.actor.state is not None:
            # clones: sums round by where numbers lie in memory, and a file's lie anywhere
            self.actor.state = (
                tensors["state.hidden"].to(self.device).clone(),
                tensors["state.cell"].to(self.device).clone(),
            )


def layout(config: ValueConfig) -> Shape:
    """The replay that the settings ask for."""
    return Shape(
        capacity=config.capacity,
        n_step=config.n_step,
        gamma=config.gamma,
        alpha=config.priority,
        sequence=config.sequence_length if config.lstm else 1,
        burn_in=config.burn_in if config.lstm else 0,
        state=2 * config.lstm,
        share_frames=config.share_frames,
        ram=int(config.replay_gib * (1 << 30)),
    )
