"""Every known game in Gymnasium's registry: `gymnasium.make("frameperfect/Airstriker-Genesis-v0")`.

Gymnasium finds no plugins by itself since version 1.0; a package registers its ids when it is imported
(https://gymnasium.farama.org/introduction/create_custom_env/). So `import frameperfect` does it: at once
where Gymnasium is loaded already, else right after somebody imports it, because most uses of the package
(a script on a machine, the command line) need no Gymnasium and should not wait for it.
"""

from __future__ import annotations

import importlib.util
import sys
import warnings
from collections.abc import Sequence
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from frameperfect.env.vector import VectorEnv

NAMESPACE = "frameperfect"


def register() -> None:
    """Add the ids of all known games that are not there yet; call it again after adding games."""
    import gymnasium
    from gymnasium.envs.registration import EnvSpec, registry

    from frameperfect.game import games

    for name in games():
        env_id = f"{NAMESPACE}/{name}-v0"
        if env_id in registry:
            continue
        try:
            spec = EnvSpec(
                env_id,
                entry_point="frameperfect.env:make_env",
                vector_entry_point="frameperfect.env.registration:make_gymnasium_vec",
                kwargs={"game": name},
            )
        except gymnasium.error.Error:
            warnings.warn(
                f"the name of the game '{name}' can't be a Gymnasium id (letters, digits, '_.:-'); "
                "frameperfect.make_env takes it",
                stacklevel=2,
            )
            continue
        # Not `gymnasium.register`: each call searches the whole registry, 0.2 s for a thousand games.
        registry[env_id] = spec


def make_gymnasium_vec(
    game: str, num_envs: int = 1, max_episode_steps: int | None = None, **settings: Any
) -> VectorEnv:
    """`make_vec` under the parameter names that `gymnasium.make_vec` uses."""
    from frameperfect.env.vector import make_vec

    if max_episode_steps is not None:
        settings["max_steps"] = max_episode_steps
    return make_vec(game, num_envs, **settings)


def register_with_gymnasium() -> None:
    """Register now if Gymnasium is loaded, otherwise as soon as it is."""
    if hasattr(sys.modules.get("gymnasium"), "register"):
        _register_or_warn()
    else:
        sys.meta_path.insert(0, _GymnasiumImport())


def _register_or_warn() -> None:
    # This runs inside other people's `import gymnasium`, which must not fail because of us.
    try:
        register()
    except Exception as reason:
        warnings.warn(f"frameperfect could not register its games: {reason}", stacklevel=2)


class _GymnasiumImport:
    """A finder on `sys.meta_path`: waits for the first `import gymnasium`, lets it happen, and registers."""

    def find_spec(
        self, name: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if name != "gymnasium":
            return None
        sys.meta_path.remove(self)
        spec = importlib.util.find_spec(name)
        if spec is not None and spec.loader is not None:
            run = spec.loader.exec_module

            def exec_module(module: ModuleType) -> None:
                run(module)
                _register_or_warn()

            spec.loader.exec_module = exec_module  # type: ignore[method-assign]
        return spec
