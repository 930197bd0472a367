"""The settings of a training run: PPO, and A2C as a choice of them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

from frameperfect.errors import LearningError
from frameperfect.learn.settings import Settings

NAMED: dict[str, dict[str, Any]] = {
    # Schulman et al. 2017 with the details of Huang et al. 2022, "The 37 Implementation Details of PPO"
    "ppo": {},
    # Mnih et al. 2016. A2C is PPO with one pass over one batch: the ratio is then 1, and nothing clips
    # (Huang et al. 2022, "A2C is a special case of PPO").
    "a2c": {
        "rollout_steps": 5,
        "batch_size": 0,
        "epochs": 1,
        "gae_lambda": 1.0,
        "learning_rate": 7e-4,
        "normalise_advantages": False,
        "optimizer": "rmsprop",
    },
}
_FOR_OBSERVATION: dict[str, dict[str, Any]] = {
    "features": {"normalise_observations": True, "entropy_coef": 0.01},
    "ram": {"entropy_coef": 0.01},
    "pixels": {"clip_range": 0.1, "entropy_coef": 0.01},
}


@dataclass(frozen=True)
class PpoConfig(Settings):
    """How to train. Training stops at `steps` environment steps or after `minutes`, whichever comes first.

    What decays does so with the part of that budget which is used up.
    """

    by_name: ClassVar = NAMED
    by_observation: ClassVar = _FOR_OBSERVATION
    with_novelty: ClassVar = {"rnd": 0.5, "normalise_rewards": True}

    steps: int | None = 1_000_000
    minutes: float | None = None
    seed: int = 0

    rollout_steps: int = 128
    """Steps of every environment between two updates."""
    batch_size: int = 256
    """Rows of a minibatch; 0 takes the whole rollout as one. Minibatches of an epoch are of equal size, so
    it is rounded to divide the rollout."""
    epochs: int = 4
    """Passes over the rollout in one update."""
    learning_rate: float = 2.5e-4
    learning_rate_decay: bool = True
    """Linearly to 0."""
    gamma: float = 0.99
    gae_lambda: float = 0.95
    clip_range: float = 0.2
    clip_range_decay: bool = False
    """Linearly to 0."""
    value_clip_range: float | None = None
    entropy_coef: float = 0.0
    entropy_coef_decay: bool = False
    """Linearly to 0: tries much at first, and does what it knows at the end."""
    value_coef: float = 0.5
    max_grad_norm: float = 0.5
    target_kl: float | None = None
    """End the update after the first epoch whose mean divergence is above 1.5 times this."""

    normalise_advantages: bool = True
    """To mean 0 and deviation 1 in each minibatch."""
    normalise_observations: bool = False
    """By the running mean and deviation of every entry that is not a pixel, cut at 10 deviations."""
    normalise_rewards: bool = False
    """By the running deviation of the discounted return, cut at 10."""

    rnd: float = 0.0
    """Weight of the advantages of novelty beside the reward's (random network distillation); 0: no RND."""
    rnd_gamma: float = 0.99
    """Of novelty, which does not end with an episode."""
    rnd_learning_rate: float = 1e-4

    optimizer: str = "adam"
    """"adam" or "rmsprop", with epsilon 1e-5."""
    hidden: tuple[int, ...] | None = None
    """Layers of the actor, and again of the critic. None: (64, 64) on vectors, none above a CNN or LSTM."""
    activation: str = "tanh"
    """"tanh" or "relu", for those layers."""
    lstm: int = 0
    """Width of a recurrent layer between the encoder and the two heads; 0: feed-forward."""
    sequence_length: int = 0
    """Rows over which gradients flow back through the LSTM; 0: as far as the episode or the rollout goes."""

    device: str = "auto"
    """A torch device, or "auto": the GPU if there is one."""
    threads: int | None = None
    """Torch's threads. None: one on the CPU where there is no CNN, torch's own choice otherwise."""
    checkpoint_seconds: float = 60.0
    """Time between two checkpoints; there is always one at the end, and at Ctrl-C."""

    def __post_init__(self) -> None:
        if self.steps is None and self.minutes is None:
            raise LearningError("training has no end: set steps or minutes")
        positive = (
            "rollout_steps",
            "epochs",
            "learning_rate",
            "clip_range",
            "max_grad_norm",
            "rnd_learning_rate",
        )
        for name in positive:
            if getattr(self, name) <= 0:
                raise LearningError(f"{name} must be above 0, not {getattr(self, name)}")
        for name in ("batch_size", "entropy_coef", "value_coef", "lstm", "sequence_length", "rnd"):
            if getattr(self, name) < 0:
                raise LearningError(f"{name} must not be below 0, and is {getattr(self, name)}")
        for name in ("gamma", "gae_lambda", "rnd_gamma"):
            if not 0 <= getattr(self, name) <= 1:
                raise LearningError(f"{name} must lie in 0 to 1, not {getattr(self, name)}")
        for name, choices in (("optimizer", ("adam", "rmsprop")), ("activation", ("tanh", "relu"))):
            if getattr(self, name) not in choices:
                raise LearningError(
                    f"{name} must be one of {', '.join(choices)}, not '{getattr(self, name)}'"
                )
