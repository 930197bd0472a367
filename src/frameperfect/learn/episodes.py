"""The episodes of a vector environment while an agent acts in it: where each stands, and what it ended with.

Both of Gymnasium's autoreset modes are told apart here. With NEXT_STEP the step after an episode's end only
resets: it is no experience. With SAME_STEP the environment resets at once and gives the last observation in
`info["final_obs"]`.
"""

from __future__ import annotations

import contextlib
from collections import deque
from dataclasses import dataclass, field
from typing import Any, ClassVar

import gymnasium
import numpy as np
import torch
from gymnasium.vector import AutoresetMode
from numpy.typing import NDArray

from frameperfect.errors import LearningError, Unsupported
from frameperfect.learn import checkpoint
from frameperfect.learn.spaces import Actions, Arrays, Input, actions_of, arrays, inputs_of

Bools = NDArray[np.bool_]


@dataclass(frozen=True)
class EpisodeEnd:
    """An episode that ended: its return, its length in steps of the agent, and its last info."""

    total: float
    length: int
    info: dict[str, Any] = field(default_factory=dict)


class Acting:
    """What plays for a learner, here (`Episodes`) or in other processes (runtime/): the spaces that it plays
    in, and how its latest episodes went.
    """

    columns: ClassVar[tuple[str, ...]] = ()
    """What `measures` gives, by name."""

    def __init__(self, n: int, inputs: tuple[Input, ...], actions: Actions, same_step: bool) -> None:
        self.n = n
        """Environments in all."""
        self.inputs = inputs
        self.actions = actions
        self.same_step = same_step
        self.updates = 0
        """Of the network that it plays by, as the trainer says."""
        self.recent: deque[tuple[float, int]] = deque(maxlen=100)
        self.episodes = 0

    def begin(self, seed: int) -> None:
        """New episodes everywhere."""
        raise NotImplementedError

    def measures(self) -> dict[str, float]:
        """What the curves show of it since the last call."""
        return {}

    def save(self) -> dict[str, torch.Tensor]:
        """The episodes under way, for `restore`; as much of them as can be saved."""
        return {}

    def restore(self, tensors: dict[str, torch.Tensor]) -> bool:
        """Go on with the episodes that `save` gave. False, and nothing done, where they can't be."""
        return False


class Episodes(Acting):
    """Owns the vector environment. What goes on exactly from a checkpoint is in `obs`, `starts`,
    `resetting`, `totals`, `lengths` and `recent`.
    """

    def __init__(self, envs: gymnasium.vector.VectorEnv[Any, Any, Any]) -> None:
        mode = envs.metadata.get("autoreset_mode", AutoresetMode.NEXT_STEP)
        if mode == AutoresetMode.DISABLED:
            raise LearningError(
                "the vector environment does not reset by itself; make it with NEXT_STEP or SAME_STEP"
            )
        super().__init__(
            envs.num_envs,
            inputs_of(envs.single_observation_space),
            actions_of(envs.single_action_space),
            mode == AutoresetMode.SAME_STEP,
        )
        self.envs = envs
        # send and recv, where the environment has them, leave room for bookkeeping while it runs
        self.overlap = hasattr(envs, "send") and hasattr(envs, "recv")
        self.obs: Arrays = {}
        self.starts = np.ones(self.n, bool)
        self.resetting = np.zeros(self.n, bool)
        self.totals = np.zeros(self.n)
        self.lengths = np.zeros(self.n, np.int64)

    def begin(self, seed: int) -> None:
        """Reset all environments: new episodes."""
        observation, _ = self.envs.reset(seed=seed)
        self.obs = arrays(observation)
        self.starts[:] = True
        self.resetting[:] = False
        self.totals[:] = 0
        self.lengths[:] = 0

    def account(self, reward: Any, ended: Bools, infos: dict[str, Any]) -> list[EpisodeEnd]:
        """Take a step's rewards and ends, none of which may be of a step that only reset (`resetting`), and
        move on `starts` and `resetting`; returns the episodes that ended.
        """
        self.totals += reward
        self.lengths += 1
        if self.resetting.any():
            self.totals[self.resetting] = 0
            self.lengths[self.resetting] = 0
        if self.same_step:
            self.starts = ended.copy()
        else:
            self.starts, self.resetting = self.resetting, ended.copy()
        done = []
        for i in np.flatnonzero(ended):
            done.append(EpisodeEnd(float(self.totals[i]), int(self.lengths[i]), last_info(infos, int(i))))
            self.recent.append((done[-1].total, done[-1].length))
        self.episodes += len(done)
        self.totals[ended] = 0
        self.lengths[ended] = 0
        return done

    def save(self) -> dict[str, torch.Tensor]:
        """See `Acting.save`."""
        tensors = {
            f"obs.{name}": torch.from_numpy(np.ascontiguousarray(each)) for name, each in self.obs.items()
        }
        for name in _ARRAYS:
            tensors[f"episodes.{name}"] = torch.from_numpy(getattr(self, name).copy())
        if hasattr(self.envs, "save"):
            with contextlib.suppress(Unsupported):  # a machine without states: resume begins new episodes
                for i in range(self.n):
                    tensors[f"env.{i}"] = torch.frombuffer(bytearray(self.envs.save(i)), dtype=torch.uint8)
        return tensors

    def restore(self, tensors: dict[str, torch.Tensor]) -> bool:
        """See `Acting.restore`."""
        states = checkpoint.part(tensors, "env.")
        if not states or not hasattr(self.envs, "restore"):
            return False
        for i in range(self.n):
            self.envs.restore(i, states[str(i)].numpy().tobytes())
        self.obs = {name: each.numpy() for name, each in checkpoint.part(tensors, "obs.").items()}
        for name in _ARRAYS:
            setattr(self, name, tensors[f"episodes.{name}"].numpy())
        return True


_ARRAYS = ("starts", "resetting", "totals", "lengths")


def final_observations(infos: dict[str, Any], rows: NDArray[np.int64]) -> Arrays:
    """The last observations of the episodes that ended in environments `rows` and were reset at once.

    Raises:
        LearningError: the environment gave none.
    """
    if "final_obs" not in infos:
        raise LearningError(
            "an episode was truncated and the environment gave no info['final_obs'] to value it by"
        )
    final = infos["final_obs"]
    if isinstance(final, dict):
        return {name: np.asarray(part)[rows] for name, part in final.items()}
    each = [arrays(final[i]) for i in rows]
    return {name: np.stack([one[name] for one in each]) for name in each[0]}


def last_info(infos: dict[str, Any], i: int) -> dict[str, Any]:
    """What `infos` say of environment `i` (of its episode's last step, with SAME_STEP autoreset)."""
    infos = infos.get("final_info", infos)
    info: dict[str, Any] = {}
    for key, values in infos.items():
        if key.startswith("_") or key in ("final_obs", "final_info") or not infos.get("_" + key, _ALL)[i]:
            continue
        if isinstance(values, dict):
            info[key] = last_info(values, i)
        elif np.ndim(values) >= 1:
            value = values[i]
            info[key] = value.item() if isinstance(value, np.generic) else value
    return info


class _All:
    def __getitem__(self, _: int) -> bool:
        return True


_ALL = _All()
