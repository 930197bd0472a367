"""The settings of the value learner: each part of DQN, Rainbow and IQN is a switch."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

from frameperfect.errors import LearningError
from frameperfect.learn.settings import Settings

_RAINBOW: dict[str, Any] = {
    "double": True, "dueling": True, "noisy": True, "n_step": 3, "priority": 0.5,
}  # fmt: skip
NAMED: dict[str, dict[str, Any]] = {
    # Mnih et al. 2015, with the double estimate of van Hasselt et al. 2016
    "dqn": {},
    # Hessel et al. 2018
    "rainbow": {**_RAINBOW, "returns": "categorical"},
    # Dabney et al. 2018
    "iqn": {"returns": "implicit", "double": False},
    # Toromanoff et al. 2019
    "rainbow-iqn": {**_RAINBOW, "returns": "implicit"},
}
_FOR_OBSERVATION: dict[str, dict[str, Any]] = {
    "features": {"normalise_observations": True},
    "ram": {},
    "pixels": {
        "learning_rate": 1e-4, "batch_size": 32, "learning_starts": 20_000, "update_every": 4,
        "target_every": 2_000, "target_rate": 1.0, "save_replay": False,
    },
}  # fmt: skip

_CHOICES = {
    "returns": ("mean", "categorical", "implicit"),
    "activation": ("relu", "tanh"),
    "cnn": ("nature", "impala"),
    "risk": ("mean", "cvar"),
}
_WHOLE_FROM_1 = (
    "batch_size", "update_every", "gradient_steps", "n_step", "capacity", "target_every", "atoms",
    "quantiles", "target_quantiles", "acting_quantiles", "cosines", "sequence_length", "report_steps",
)  # fmt: skip
_ABOVE_0 = (
    "learning_rate", "max_grad_norm", "kappa", "noisy_sigma", "priority_epsilon",
    "target_rate", "rnd_learning_rate",
)  # fmt: skip
_0_TO_1 = (
    "gamma", "epsilon_start", "epsilon_end", "epsilon_fraction", "priority", "importance_start", "risk_level",
    "demonstration_share",
)  # fmt: skip


@dataclass(frozen=True)
class ValueConfig(Settings):
    """How to train. Training stops at `steps` environment steps or after `minutes`, whichever comes first.

    Exploration and the importance of priorities move with the part of that budget which is used up.
    """

    by_name: ClassVar = NAMED
    by_observation: ClassVar = _FOR_OBSERVATION
    with_novelty: ClassVar = {"rnd": 1.0}

    steps: int | None = 1_000_000
    minutes: float | None = None
    seed: int = 0

    learning_starts: int = 1_000
    """Steps of random play before the first update."""
    update_every: int = 4
    """Steps of all environments together between two rounds of updates."""
    gradient_steps: int = 1
    """Updates in a round."""
    batch_size: int = 256
    """Rows (with an LSTM, sequences) of an update."""
    learning_rate: float = 3e-4
    learning_rate_decay: bool = False
    """Let it fall linearly to 0 with the budget: the last policy is then no longer thrown about."""
    max_grad_norm: float = 10.0
    gamma: float = 0.99
    target_every: int = 1
    """Updates between two moves of the target network."""
    target_rate: float = 0.005
    """How far each moves towards the network (Polyak); 1 copies it whole."""

    double: bool = True
    """The network chooses the next action, and the target network values it."""
    dueling: bool = False
    """Value and advantages as two streams."""
    noisy: bool = False
    """Noise in the streams' weights explores, in place of epsilon."""
    noisy_sigma: float = 0.5
    n_step: int = 1
    returns: str = "mean"
    """What is learned of the return: its "mean", or its distribution, "categorical" (C51) or "implicit"
    quantiles (IQN)."""
    atoms: int = 51
    value_min: float = -10.0
    """The least return that a categorical distribution knows."""
    value_max: float = 10.0
    quantiles: int = 8
    """Of the network in an update (N)."""
    target_quantiles: int = 8
    """Of the target network in an update (N')."""
    acting_quantiles: int = 32
    """Evenly spread, when acting (K)."""
    cosines: int = 64
    kappa: float = 1.0
    """Where the Huber loss turns linear."""
    risk: str = "mean"
    """How an implicit distribution is acted on: by its "mean", or by "cvar", the mean of its worst part."""
    risk_level: float = 1.0
    """That part."""

    epsilon_start: float = 1.0
    epsilon_end: float = 0.05
    epsilon_fraction: float = 0.2
    """The part of the budget in which epsilon falls from start to end."""
    hold: float = 0.0
    """Hold a random action for a random number of steps, n with a chance in proportion to n ** -hold (2 in
    Dabney et al. 2021); 0: one step."""

    capacity: int = 100_000
    """Rows of the replay."""
    priority: float = 0.0
    """The power of priorities (alpha); 0 draws evenly."""
    importance_start: float = 0.4
    """The power of importance weights (beta) at first; 1 at the end."""
    priority_epsilon: float = 1e-4
    share_frames: bool = True
    """Keep each frame of a stack once."""
    replay_gib: float = 4.0
    """Memory for the replay; what is larger is mapped from a file without a name in the run's folder."""
    save_replay: bool = True
    """Keep the replay in checkpoints: without it a resumed run fills another before it learns."""

    demonstrations: str = ""
    """A file that `frameperfect demonstrations` made: a part of every batch is drawn from it."""
    demonstration_share: float = 0.25
    """That part."""

    rnd: float = 0.0
    """What an endless stream of the mean novelty so far is worth in points (random network distillation);
    0: no RND."""
    rnd_learning_rate: float = 1e-4

    hidden: tuple[int, ...] | None = None
    """Layers under the streams. None: (128, 128) on vectors, none above a CNN."""
    streams: tuple[int, ...] = ()
    """Layers of each stream before its last."""
    activation: str = "relu"
    cnn: str = "nature"
    """"nature" (Mnih et al. 2015) or "impala" (Espeholt et al. 2018)."""
    lstm: int = 0
    """Width of a recurrent layer under the streams; 0: feed-forward."""
    sequence_length: int = 20
    """Steps of a sequence that an LSTM learns from."""
    burn_in: int = 10
    """Steps before it that bring the stored recurrent state up to date."""
    normalise_observations: bool = False
    """By the running mean and deviation of every entry that is not a pixel, cut at 10 deviations."""

    device: str = "auto"
    """A torch device, or "auto": the GPU if there is one."""
    threads: int | None = None
    """Torch's threads. None: one on the CPU where there is no CNN, torch's own choice otherwise."""
    report_steps: int = 512
    """Steps between two rows of metrics.csv; training stops and is kept between them."""
    checkpoint_seconds: float = 60.0
    """Time between two checkpoints; there is always one at the end, and at Ctrl-C."""

    def __post_init__(self) -> None:
        if self.steps is None and self.minutes is None:
            raise LearningError("training has no end: set steps or minutes")
        for name in _WHOLE_FROM_1:
            if getattr(self, name) < 1:
                raise LearningError(f"{name} must be at least 1, not {getattr(self, name)}")
        for name in _ABOVE_0:
            if not getattr(self, name) > 0:
                raise LearningError(f"{name} must be above 0, not {getattr(self, name)}")
        for name in _0_TO_1:
            if not 0 <= getattr(self, name) <= 1:
                raise LearningError(f"{name} must lie in 0 to 1, not {getattr(self, name)}")
        for name in ("learning_starts", "lstm", "burn_in", "replay_gib", "rnd"):
            if getattr(self, name) < 0:
                raise LearningError(f"{name} must not be below 0, and is {getattr(self, name)}")
        if self.hold and not self.hold > 1:
            raise LearningError(f"hold must be 0 or above 1, and is {self.hold}")
        for name, choices in _CHOICES.items():
            if getattr(self, name) not in choices:
                raise LearningError(
                    f"{name} must be one of {', '.join(choices)}, not '{getattr(self, name)}'"
                )
        if self.value_min >= self.value_max or self.atoms < 2:
            raise LearningError("a categorical return needs 2 atoms and value_min below value_max")
        if self.risk == "cvar" and (self.returns != "implicit" or not self.risk_level):
            raise LearningError("risk = cvar needs returns = implicit and a risk_level above 0")
        if self.lstm and self.burn_in > self.sequence_length:
            raise LearningError(
                f"burn_in {self.burn_in} is longer than sequence_length {self.sequence_length}"
            )
