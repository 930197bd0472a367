"""frameperfect: real games as fast, exact machines for reinforcement learning and speedruns."""

from __future__ import annotations

import importlib
from typing import Any

from frameperfect.env.registration import register_with_gymnasium

__version__ = "0.1.0"

# name -> module that defines it; loaded on first use, so that `import frameperfect` stays quick.
_PUBLIC = {
    "open": "frameperfect.game",
    "load_game": "frameperfect.game",
    "games": "frameperfect.game",
    "verify": "frameperfect.game",
    "load_movie": "frameperfect.movie",
    "Movie": "frameperfect.movie",
    "make_env": "frameperfect.env",
    "make_vec": "frameperfect.env",
    "make_parallel": "frameperfect.env",
    "make_shared": "frameperfect.env",
    "Capability": "frameperfect.machine",
    "Machine": "frameperfect.machine",
    "PortInput": "frameperfect.machine",
}
_ERRORS = (
    "FrameperfectError",
    "Unsupported",
    "MissingComponent",
    "MachineError",
    "StateMismatch",
    "MachineCrashed",
    "GameError",
    "EnvError",
    "UnknownGame",
    "MissingRom",
    "MovieError",
    "Desync",
    "DisplayError",
    "LearningError",
    "CheckpointError",
)
_PUBLIC.update(dict.fromkeys(_ERRORS, "frameperfect.errors"))

__all__ = sorted([*_PUBLIC, "__version__"])


def __getattr__(name: str) -> Any:
    try:
        module = _PUBLIC[name]
    except KeyError:
        raise AttributeError(f"module 'frameperfect' has no attribute '{name}'") from None
    value = getattr(importlib.import_module(module), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return __all__


register_with_gymnasium()
