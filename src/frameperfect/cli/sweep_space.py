"""What a sweep searches: a range or choices for each of a learner's settings, by default or from a file.

learning_rate = { low = 1e-5, high = 1e-2, log = true }
epochs        = { low = 1, high = 10 }
hidden        = { choices = [[64, 64], [256]] }
"""

from __future__ import annotations

import json
import math
import typing
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel, ConfigDict, ValidationError, model_validator

from frameperfect.cli.app import Refused
from frameperfect.errors import LearningError

if TYPE_CHECKING:
    from frameperfect.learn import PpoConfig, ValueConfig

Scalar = bool | int | float | str
BOUNDS = (
    "steps",
    "minutes",
    "seed",
    "device",
    "threads",
    "report_steps",
    "checkpoint_seconds",
    "save_replay",
)
"""Settings that say how long, where and what for: another does not make an agent better."""

_RATE = {"low": 1e-5, "high": 3e-3, "log": True}
_GAMMA = {"choices": [0.95, 0.98, 0.99, 0.995, 0.999]}
_PPO: dict[str, Any] = {
    "learning_rate": _RATE,
    "rollout_steps": {"choices": [32, 64, 128, 256]},
    "batch_size": {"choices": [64, 128, 256, 512]},
    "epochs": {"low": 1, "high": 10},
    "gamma": _GAMMA,
    "gae_lambda": {"choices": [0.8, 0.9, 0.95, 0.98]},
    "clip_range": {"choices": [0.1, 0.2, 0.3]},
    "entropy_coef": {"low": 1e-5, "high": 0.05, "log": True},
}
_A2C: dict[str, Any] = {
    "learning_rate": {"low": 1e-4, "high": 1e-2, "log": True},
    "rollout_steps": {"choices": [5, 8, 16, 32]},
    "gamma": _GAMMA,
    "gae_lambda": {"choices": [0.8, 0.9, 0.95, 1.0]},
    "entropy_coef": {"low": 1e-5, "high": 0.05, "log": True},
}
_VALUE: dict[str, Any] = {
    "learning_rate": _RATE,
    "batch_size": {"choices": [32, 64, 128, 256]},
    "update_every": {"choices": [2, 4, 8, 16]},
    "gamma": _GAMMA,
    "n_step": {"low": 1, "high": 5},
    "target_rate": {"low": 1e-3, "high": 0.1, "log": True},
}
_EPSILON: dict[str, Any] = {
    "epsilon_end": {"choices": [0.01, 0.05, 0.1]}, "epsilon_fraction": {"low": 0.05, "high": 0.5},
}  # fmt: skip
_RAINBOW: dict[str, Any] = {
    "noisy_sigma": {"choices": [0.1, 0.3, 0.5, 1.0]}, "priority": {"low": 0.3, "high": 0.8},
}  # fmt: skip
SPACES: dict[str, dict[str, Any]] = {
    "ppo": _PPO,
    "a2c": _A2C,
    "dqn": _VALUE | _EPSILON,
    "iqn": _VALUE | _EPSILON,
    "rainbow": _VALUE | _RAINBOW,
    "rainbow-iqn": _VALUE | _RAINBOW,
}
NOVELTY: dict[str, Any] = {
    "rnd": {"low": 0.05, "high": 5.0, "log": True},
    "rnd_learning_rate": {"low": 1e-5, "high": 1e-3, "log": True},
}


class Range(BaseModel):
    """Numbers from `low` to `high`, both included; whole ones where the setting is."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    low: float
    high: float
    log: bool = False
    """Drawn evenly by their size's power, and not by their size."""
    step: float | None = None

    @model_validator(mode="after")
    def _ordered(self) -> Range:
        if not (math.isfinite(self.low) and math.isfinite(self.high) and self.low < self.high):
            raise ValueError("low must lie below high")
        if self.log and (self.low <= 0 or self.step is not None):
            raise ValueError("log needs low above 0, and no step")
        if self.step is not None and self.step <= 0:
            raise ValueError("step must be above 0")
        return self


class Choices(BaseModel):
    """One of a few values, lists of numbers among them."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    choices: tuple[Scalar | tuple[Scalar, ...], ...]

    @model_validator(mode="after")
    def _some(self) -> Choices:
        if len(self.choices) < 2:
            raise ValueError("choices need two values or more")
        return self


class Space:
    """The settings that a sweep varies, by name."""

    def __init__(
        self, where: str, table: Mapping[str, Any], settings: type[PpoConfig] | type[ValueConfig]
    ) -> None:
        """Check all of it: names, ranges, and that the learner takes their ends.

        Raises:
            Refused: naming `where`, the setting, and what is wrong with it.
        """
        from frameperfect.cli.settings_file import check_settings, unknown

        hints = typing.get_type_hints(settings)
        self.parts: dict[str, Range | Choices] = {}
        self.whole: dict[str, bool] = {}
        for name, entry in table.items():
            unknown(where, "setting", name, [each for each in hints if not each.startswith(("by_", "with_"))])
            if name in BOUNDS:
                raise Refused(f"{where}: '{name}' is none of the settings that a sweep can compare")
            listed = isinstance(entry, Mapping) and "choices" in entry
            kind: type[Range] | type[Choices] = Choices if listed else Range
            if isinstance(entry, Mapping):
                for key in entry:
                    unknown(where, f"key in {name}", key, [*Range.model_fields, *Choices.model_fields])
            try:
                part: Range | Choices = kind.model_validate(entry)
            except ValidationError as wrong:
                first = wrong.errors()[0]
                place = ".".join([name, *map(str, first["loc"])])
                message = first["msg"].removeprefix("Value error, ").lower()
                raise Refused(f"{where}: {place}: {message}") from None
            self.parts[name] = part
            self.whole[name] = int in (hints[name], *typing.get_args(hints[name]))
            for value in part.choices if isinstance(part, Choices) else (part.low, part.high):
                try:
                    check_settings(f"{where}: {name}", {name: self._plain(name, value)}, settings)
                except LearningError as wrong:
                    raise Refused(f"{where}: {wrong}") from None
        if not self.parts:
            raise Refused(f"{where} names no setting to vary")

    def suggest(self, trial: Any) -> dict[str, Any]:
        """The settings of an Optuna trial."""
        return {name: self._suggest(trial, name, part) for name, part in self.parts.items()}

    def _suggest(self, trial: Any, name: str, part: Range | Choices) -> Any:
        if isinstance(part, Choices):
            # a list is no choice that Optuna's storage knows: its text is
            texts = [json.dumps(choice) for choice in part.choices]
            return self.value(name, trial.suggest_categorical(name, texts))
        if self.whole[name]:
            step = 1 if part.step is None else round(part.step)
            return trial.suggest_int(name, round(part.low), round(part.high), step=step, log=part.log)
        return trial.suggest_float(name, part.low, part.high, step=part.step, log=part.log)

    def value(self, name: str, kept: Any) -> Any:
        """A setting's value from what the storage keeps of it."""
        if not isinstance(self.parts[name], Choices):
            return kept
        found = json.loads(kept)
        return tuple(found) if isinstance(found, list) else found

    def table(self) -> dict[str, Any]:
        """What makes an equal space."""
        return {name: part.model_dump(mode="json", exclude_none=True) for name, part in self.parts.items()}

    def _plain(self, name: str, value: Any) -> Any:
        whole = self.whole[name] and isinstance(value, float) and value == int(value)
        return int(value) if whole else value


def default_space(algo: str, novelty: bool) -> dict[str, Any]:
    """The table of the space that suits an algorithm."""
    return SPACES[algo] | (NOVELTY if novelty else {})


def read_space(path: Path, settings: type[PpoConfig] | type[ValueConfig]) -> Space:
    """The space in a TOML (or YAML) file.

    Raises:
        Refused: see `Space`.
    """
    from frameperfect.cli.settings_file import read_table

    return Space(str(path), read_table(path), settings)
