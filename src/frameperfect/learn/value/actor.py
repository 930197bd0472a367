"""Acting while a value learner learns: the best action, with exploration, into the replay."""

from __future__ import annotations

from pathlib import Path
from typing import Any, TypeAlias

import gymnasium
import numpy as np
import torch
from numpy.typing import NDArray

from frameperfect.errors import LearningError
from frameperfect.learn.episodes import EpisodeEnd, Episodes, final_observations
from frameperfect.learn.spaces import Actions, Arrays, arrays
from frameperfect.learn.value.network import QNetwork
from frameperfect.learn.value.replay import Replay, Shape

Tensor: TypeAlias = "torch.Tensor"

MOST_ALTERNATIVES = 512
LONGEST_HOLD = 10_000
"""Steps that a random action is held at most, far beyond what an episode leaves of them."""


def alternatives(actions: Actions) -> NDArray[np.int64]:
    """(A, C): every action that there is, each of which gets a value.

    Raises:
        LearningError: they are too many.
    """
    count = int(np.prod(actions.choices, dtype=float))
    if count > MOST_ALTERNATIVES:
        raise LearningError(
            f"the actions are {count:,} combinations, and the value learner values each: at most "
            f"{MOST_ALTERNATIVES}; choose a Discrete action space (such as --actions discrete)"
        )
    return np.stack(np.unravel_index(np.arange(count), actions.choices), 1)


class Actor(Episodes):
    """Steps the vector environment and fills the replay."""

    def __init__(self, envs: gymnasium.vector.VectorEnv[Any, Any, Any]) -> None:
        super().__init__(envs)
        self.table = alternatives(self.actions)
        self.stride = self.n
        """Steps of all environments in one `step`."""
        self.state: tuple[Tensor, Tensor] | None = None
        self.held = np.zeros(self.n, np.int64)
        """The random action that each environment holds, for `left` more steps (where there is a `hold`)."""
        self.left = np.zeros(self.n, np.int64)
        self.seen: list[Arrays] = []
        self.means: NDArray[np.float32] | None = None
        """(n, A): what the network made of every action at the last step; None where it was not asked."""

    def make_replay(self, shape: Shape, folder: Path | None) -> Replay:
        """The replay that it fills."""
        return Replay(self.inputs, self.n, shape, folder)

    def attach(self, network: QNetwork, replay: Replay, device: Any) -> None:
        """Act by `network`, on `device`, into `replay`."""
        self.network = network
        self.replay = replay
        self.device = device
        power = network.config.hold
        self.holds = np.cumsum(np.arange(1.0, LONGEST_HOLD + 1) ** -power) if power else None

    def begin(self, seed: int) -> None:
        """Reset all environments: new episodes."""
        super().begin(seed)
        self.replay.begin(self.obs)
        self.state = self.network.first_state(self.n) if self.network.lstm is not None else None
        self.left[:] = 0

    def step(self, epsilon: float, generator: Any) -> list[EpisodeEnd]:
        """One step of every environment, at random with chance `epsilon` [1]; the episodes that ended."""
        draws = torch.rand((2, self.n), generator=generator).numpy()
        explores = draws[0] < epsilon
        chosen = np.minimum((draws[1] * len(self.table)).astype(np.int64), len(self.table) - 1)
        if self.holds is not None:
            explores, chosen = self._hold(explores, chosen, generator)
        before = self.means = None
        if self.state is not None or not explores.all():
            greedy, before = self._best(generator)
            chosen = np.where(explores, chosen, greedy)
        outcome = self.envs.step(self.actions.to_env(self.table[chosen]))
        observation, rewards, terminated, truncated, infos = outcome
        self.obs = arrays(observation)
        resetting = self.resetting
        terminated = np.asarray(terminated) & ~resetting
        ended = (terminated | np.asarray(truncated)) & ~resetting
        if not np.isfinite(rewards).all():
            raise LearningError("the environment gave a reward that is no finite number")
        final = None
        if self.same_step:
            cut = np.flatnonzero(ended & ~terminated)
            final = cut, final_observations(infos, cut) if len(cut) else {}
        self.replay.add(chosen, rewards, terminated, ended, resetting, self.obs, final, before)
        if self.network.vectors.normalise:
            self.seen.append(self.obs)
        return self.account(rewards, ended, infos)

    def _hold(
        self, begins: NDArray[np.bool_], chosen: NDArray[np.int64], generator: Any
    ) -> tuple[NDArray[np.bool_], NDArray[np.int64]]:
        """Where a random action is played, and which: `chosen`, or one that was begun before [16]."""
        assert self.holds is not None
        self.left[self.starts] = 0
        draws = torch.rand(self.n, generator=generator, dtype=torch.float64).numpy()
        begins = begins & (self.left == 0)
        self.held[begins] = chosen[begins]
        self.left[begins] = np.searchsorted(self.holds, draws[begins] * self.holds[-1]) + 1
        explores = self.left > 0
        self.left[explores] -= 1
        return explores, self.held.copy()

    def save(self) -> dict[str, Tensor]:
        """See `Acting.save`."""
        held = {
            "hold.action": torch.from_numpy(self.held.copy()),
            "hold.left": torch.from_numpy(self.left.copy()),
        }
        return super().save() | (held if self.holds is not None else {})

    def restore(self, tensors: dict[str, Tensor]) -> bool:
        """See `Acting.restore`."""
        found = super().restore(tensors)
        if found and self.holds is not None:
            self.held, self.left = tensors["hold.action"].numpy(), tensors["hold.left"].numpy()
        return found

    def _best(self, generator: Any) -> tuple[NDArray[np.int64], NDArray[np.float32] | None]:
        """The best actions by the network, and the recurrent state (n, width) that they were chosen in."""
        before = None
        with torch.inference_mode():
            if self.state is not None:
                if self.starts.any():
                    keep = torch.from_numpy(~self.starts).to(self.device, torch.float32)[:, None]
                    self.state = self.state[0] * keep, self.state[1] * keep
                before = torch.cat(self.state, 1).cpu().numpy()
            self.network.resample(generator)
            # copies: sums round by where numbers lie in memory, and an environment's lie anywhere
            obs = {name: torch.tensor(part, device=self.device) for name, part in self.obs.items()}
            means, self.state = self.network(obs, self.state)
            self.means = means.cpu().numpy()
            best: NDArray[np.int64] = means.argmax(1).cpu().numpy()
        return best, before

    def observe(self) -> None:
        """Take what was seen since the last call into the network's statistics."""
        if self.seen:
            together = {
                name: torch.from_numpy(np.concatenate([each[name] for each in self.seen])).to(self.device)
                for name in self.seen[0]
            }
            with torch.no_grad():
                self.network.vectors.observe(together)
            self.seen = []
