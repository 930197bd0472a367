"""Environments on real games: one (`make_env`), many that step together (`make_vec`), several agents in one
game (`make_parallel`), or many games of several players with one policy (`make_shared`).
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from frameperfect.errors import MissingComponent

if TYPE_CHECKING:
    from frameperfect.env.env import Env, make_env
    from frameperfect.env.parallel import ParallelEnv, make_parallel
    from frameperfect.env.setup import POWER_ON
    from frameperfect.env.shared import SharedVectorEnv, make_shared
    from frameperfect.env.vector import VectorEnv, make_vec

# Loaded on first use: the registration of ids must not pull in all that an environment stands on.
_PUBLIC = {
    "Env": "frameperfect.env.env",
    "make_env": "frameperfect.env.env",
    "POWER_ON": "frameperfect.env.setup",
    "ParallelEnv": "frameperfect.env.parallel",
    "make_parallel": "frameperfect.env.parallel",
    "SharedVectorEnv": "frameperfect.env.shared",
    "make_shared": "frameperfect.env.shared",
    "VectorEnv": "frameperfect.env.vector",
    "make_vec": "frameperfect.env.vector",
}

__all__ = [
    "POWER_ON", "Env", "ParallelEnv", "SharedVectorEnv", "VectorEnv",
    "make_env", "make_parallel", "make_shared", "make_vec",
]  # fmt: skip


def __getattr__(name: str) -> Any:
    if name not in _PUBLIC:
        raise AttributeError(f"module 'frameperfect.env' has no attribute '{name}'")
    try:
        module = importlib.import_module(_PUBLIC[name])
    except ModuleNotFoundError as missing:
        if missing.name != "pettingzoo":
            raise
        raise MissingComponent(
            "several agents need 'pettingzoo': pip install 'frameperfect[multi]'"
        ) from missing
    value = getattr(module, name)
    globals()[name] = value
    return value
