"""What the settings of all learners can do: be made by name or for an observation, be kept and read back."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar

from frameperfect.errors import LearningError

if TYPE_CHECKING:
    from typing_extensions import Self


class Settings:
    """The base of a dataclass of settings, whose own fields are numbers, texts and tuples of numbers."""

    by_name: ClassVar[Mapping[str, Mapping[str, Any]]]
    """What each named algorithm sets."""
    by_observation: ClassVar[Mapping[str, Mapping[str, Any]]]
    """What each kind of observation sets."""
    with_novelty: ClassVar[Mapping[str, Any]]
    """What a reward for novelty sets."""

    @classmethod
    def named(cls, name: str, **settings: Any) -> Self:
        """The settings of a named algorithm, changed by `settings`."""
        if name not in cls.by_name:
            raise LearningError(f"no settings '{name}'; there are {', '.join(cls.by_name)}")
        return cls(**{**cls.by_name[name], **settings})

    @classmethod
    def for_observation(cls, kind: str, **settings: Any) -> Self:
        """Settings for observations of one kind ("features", "ram" or "pixels"), changed by `settings`."""
        if kind not in cls.by_observation:
            raise LearningError(f"no settings for '{kind}'; there are {', '.join(cls.by_observation)}")
        return cls(**{**cls.by_observation[kind], **settings})

    def to_json(self) -> str:
        """One line of JSON that `from_json` reads."""
        return json.dumps(dataclasses.asdict(self))  # type: ignore[call-overload]

    @classmethod
    def from_json(cls, text: str) -> Self:
        """The settings that `to_json` wrote.

        Raises:
            LearningError: unknown or wrong settings.
        """
        try:
            fields = {k: tuple(v) if isinstance(v, list) else v for k, v in json.loads(text).items()}
            return cls(**fields)
        except (ValueError, TypeError, AttributeError) as wrong:
            raise LearningError(f"settings are not readable: {wrong}") from wrong
