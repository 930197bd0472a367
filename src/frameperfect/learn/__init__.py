"""Learners: what trains an agent on a vector environment. Importing this imports torch."""

from __future__ import annotations

from frameperfect.learn.config import PpoConfig
from frameperfect.learn.evaluate import evaluate, interval
from frameperfect.learn.policy import Policy, RandomPolicy, load_policy
from frameperfect.learn.train import train
from frameperfect.learn.trainer import Progress, Result
from frameperfect.learn.value.config import ValueConfig

__all__ = [
    "Policy", "PpoConfig", "Progress", "RandomPolicy", "Result", "ValueConfig",
    "evaluate", "interval", "load_policy", "train",
]  # fmt: skip
