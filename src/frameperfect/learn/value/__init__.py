"""The value learner: DQN, Rainbow, IQN and Rainbow-IQN as switches of one design. docs/value.md tells it."""

from __future__ import annotations

from frameperfect.learn.value.config import ValueConfig

__all__ = ["ValueConfig"]
