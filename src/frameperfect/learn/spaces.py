"""What an agent sees and does, read off Gymnasium's spaces and small enough to be kept in a checkpoint."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import gymnasium
import numpy as np
from gymnasium import spaces
from numpy.typing import NDArray

from frameperfect.errors import LearningError

Arrays = dict[str, NDArray[Any]]


@dataclass(frozen=True)
class Input:
    """One part of an observation: its name ("" where the observation is one array), shape and dtype."""

    name: str
    shape: tuple[int, ...]
    dtype: str

    @property
    def pixels(self) -> bool:
        """A picture or a stack of them, for the CNN; all else is a vector."""
        return self.dtype == "uint8" and len(self.shape) >= 3

    @property
    def width(self) -> int:
        """Entries in all."""
        return int(np.prod(self.shape))


def inputs_of(space: gymnasium.Space[Any]) -> tuple[Input, ...]:
    """The parts of one environment's observation space.

    Raises:
        LearningError: a space that no encoder reads.
    """
    parts = space.spaces if isinstance(space, spaces.Dict) else {"": space}
    inputs = []
    for name, part in parts.items():
        if not isinstance(part, spaces.Box):
            raise LearningError(
                f"observation '{name}' is {part}; the learner reads Box spaces (vectors, RAM, pixels)"
                " and a Dict of them"
            )
        inputs.append(Input(name, part.shape, str(part.dtype)))
    return tuple(inputs)


def arrays(observation: Any) -> Arrays:
    """An observation as a dict of arrays, by the names of its inputs."""
    if isinstance(observation, Mapping):
        return {name: np.asarray(part) for name, part in observation.items()}
    return {"": np.asarray(observation)}


@dataclass(frozen=True)
class Actions:
    """What an agent chooses in one step: one of `choices[i]` for each i, or (`binary`) buttons held or not.

    An action is a row of int64, one entry for each choice or button.
    """

    kind: str
    """"discrete", "multi-discrete" or "multi-binary"."""
    choices: tuple[int, ...]
    """Number of alternatives of each choice; 2 for a button."""
    start: int = 0
    """The first action of a Discrete space."""

    @property
    def binary(self) -> bool:
        """Buttons, each by a probability of its own."""
        return self.kind == "multi-binary"

    @property
    def logits(self) -> int:
        """Outputs that the actor has: one for each alternative, or one for each button."""
        return len(self.choices) if self.binary else sum(self.choices)

    def to_env(self, actions: NDArray[np.int64]) -> NDArray[Any]:
        """Rows (N, C) as the vector environment takes them."""
        if self.kind == "discrete":
            return actions[:, 0] + self.start if self.start else actions[:, 0]
        return actions.astype(np.int8) if self.binary else actions


def actions_of(space: gymnasium.Space[Any]) -> Actions:
    """The choices of one environment's action space.

    Raises:
        LearningError: a space that the learner can't act in.
    """
    if isinstance(space, spaces.Discrete):
        return Actions("discrete", (int(space.n),), int(space.start))
    if isinstance(space, spaces.MultiDiscrete) and space.nvec.ndim == 1 and not np.any(space.start):
        return Actions("multi-discrete", tuple(int(n) for n in space.nvec))
    if isinstance(space, spaces.MultiBinary) and len(space.shape) == 1:
        return Actions("multi-binary", (2,) * space.shape[0])
    raise LearningError(
        f"actions are {space}; the learner acts in Discrete, flat MultiDiscrete and flat MultiBinary spaces"
    )
