"""Gymnasium environments on real games: one (`make_env`), or many that step together (`make_vec`)."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from frameperfect.env.env import Env, make_env
    from frameperfect.env.setup import POWER_ON
    from frameperfect.env.vector import VectorEnv, make_vec

# Loaded on first use: the registration of ids must not pull in all that an environment stands on.
_PUBLIC = {
    "Env": "frameperfect.env.env",
    "make_env": "frameperfect.env.env",
    "POWER_ON": "frameperfect.env.setup",
    "VectorEnv": "frameperfect.env.vector",
    "make_vec": "frameperfect.env.vector",
}

__all__ = ["POWER_ON", "Env", "VectorEnv", "make_env", "make_vec"]


def __getattr__(name: str) -> Any:
    if name not in _PUBLIC:
        raise AttributeError(f"module 'frameperfect.env' has no attribute '{name}'")
    value = getattr(importlib.import_module(_PUBLIC[name]), name)
    globals()[name] = value
    return value
