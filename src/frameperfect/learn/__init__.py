"""Learners: what trains an agent on a vector environment. Importing this imports torch."""

from __future__ import annotations

from frameperfect.learn.config import PpoConfig
from frameperfect.learn.evaluate import evaluate, interval
from frameperfect.learn.policy import Policy, RandomPolicy, load_policy
from frameperfect.learn.train import Progress, Result, train

__all__ = [
    "Policy", "PpoConfig", "Progress", "RandomPolicy", "Result",
    "evaluate", "interval", "load_policy", "train",
]  # fmt: skip
