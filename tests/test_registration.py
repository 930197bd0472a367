from __future__ import annotations

import subprocess
import sys

import gymnasium
import pytest
from gymnasium.envs.registration import registry

import frameperfect as fp
from tests.components import need


def python(code: str) -> str:
    """What a fresh interpreter prints."""
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_every_known_game_has_an_id() -> None:
    ids = {name for name in registry if name.startswith("frameperfect/")}
    assert ids == {f"frameperfect/{name}-v0" for name in fp.games()}


@pytest.mark.parametrize("order", ["gymnasium, frameperfect", "frameperfect, gymnasium"])
def test_either_import_may_come_first(order: str) -> None:
    need("ale_py")
    assert python(
        f"import {order}\n"
        "env = gymnasium.make('frameperfect/Pong-Atari-v0', observation='ram')\n"
        "print(env.reset(seed=0)[0].shape)"
    ) == "(128,)"  # fmt: skip


def test_gymnasium_imports_us_by_the_module_prefix() -> None:
    need("ale_py")
    env_id = "frameperfect:frameperfect/Pong-Atari-v0"
    assert env_id[13:] in python(f"import gymnasium; print(gymnasium.make('{env_id}', observation='ram'))")


def test_importing_frameperfect_alone_loads_neither_gymnasium_nor_what_it_needs_later() -> None:
    heavy = "'gymnasium', 'numpy', 'pydantic', 'torch'"
    assert python(f"import sys, frameperfect; print([m for m in ({heavy}) if m in sys.modules])") == "[]"


def test_gymnasium_imports_even_where_our_games_can_not_be_listed() -> None:
    code = (
        "import sys, warnings, frameperfect\n"
        "sys.modules['frameperfect.game'] = None\n"
        "with warnings.catch_warnings(record=True) as caught:\n"
        "    warnings.simplefilter('always')\n"
        "    import gymnasium\n"
        "print(gymnasium.make('CartPole-v1') is not None, 'could not register' in str(caught[-1].message))"
    )
    assert python(code) == "True True"


def test_a_made_environment_is_ours_and_renders_as_gymnasium_asks() -> None:
    need("ale_py")
    with gymnasium.make("frameperfect/Pong-Atari-v0", observation="ram", render_mode="rgb_array") as env:
        env.reset(seed=0)
        assert env.unwrapped.machine.read("lives") is not None
        assert env.render().shape == (210, 160, 3)
    with gymnasium.make("frameperfect/Pong-Atari-v0", observation="ram", render_mode="rgb_array_list") as env:
        env.reset(seed=0)
        env.step(0)
        assert len(env.render()) == 2


def test_an_unknown_game_is_named_by_gymnasium() -> None:
    with pytest.raises(gymnasium.error.NameNotFound):
        gymnasium.make("frameperfect/Pongg-v0")


def test_games_can_be_listed_after_a_bundled_game_is_imported() -> None:
    script = (
        "import frameperfect as fp, frameperfect.games.skyrunner.source.stages; print(fp.games('bundled'))"
    )
    assert "Skyrunner-Nes" in python(script)
