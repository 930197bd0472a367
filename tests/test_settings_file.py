"""Settings files: TOML and YAML are read alike, and what is wrong in them is named."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.components import need

need("torch")

from frameperfect.cli.app import Refused  # noqa: E402
from frameperfect.cli.settings_file import read_settings, read_table, write_settings  # noqa: E402
from frameperfect.learn import PpoConfig, ValueConfig  # noqa: E402


def written(folder: Path, name: str, text: str) -> Path:
    path = folder / name
    path.write_text(text)
    return path


def test_yaml_and_toml_give_the_same_settings(tmp_path: Path) -> None:
    need("yaml")
    toml = written(
        tmp_path, "a.toml", "hidden = [64, 32]\nlearning_rate = 1e-3\nlearning_rate_decay = false\n"
    )
    # without a dot, YAML reads 1e-3 as a text
    yaml = written(tmp_path, "a.yaml", "hidden: [64, 32]\nlearning_rate: 1e-3\nlearning_rate_decay: false\n")
    expected = {"hidden": (64, 32), "learning_rate": 1e-3, "learning_rate_decay": False}
    assert read_settings(toml, PpoConfig) == read_settings(yaml, PpoConfig) == expected
    assert read_settings(written(tmp_path, "empty.yml", "# nothing\n"), PpoConfig) == {}


@pytest.mark.parametrize(
    ("name", "text", "words"),
    [
        ("a.toml", "learning_rat = 1e-3", ("learning_rat'", "'learning_rate'")),
        ("a.yaml", "learning_rat: 1e-3", ("learning_rat'", "'learning_rate'")),
        ("a.toml", "zzzzz = 1", ("zzzzz", "rollout_steps")),
        ("a.yaml", "epochs: four", ("epochs", "four")),
        ("a.yaml", "epochs: 2.5", ("epochs", "2.5")),
        ("a.yaml", "- 1\n- 2", ("list",)),
        ("a.yaml", "epochs: [1", ("no YAML",)),
        ("a.yaml", "epochs: !!python/object/apply:os.getcwd []", ("no YAML", "python/object")),
        ("a.yaml", "1: 2", ("setting '1'",)),
        ("a.toml", "epochs =", ("no TOML",)),
    ],
)
def test_what_is_wrong_in_a_file_is_named_in_one_line(
    name: str, text: str, words: tuple[str, ...], tmp_path: Path
) -> None:
    need("yaml")
    with pytest.raises(Refused) as caught:
        read_settings(written(tmp_path, name, text), PpoConfig)
    message = str(caught.value)
    assert name in message
    assert "\n" not in message
    for word in words:
        assert word in message


def values() -> Any:
    numbers = st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.booleans()
    return numbers | st.lists(st.integers(1, 512)) | st.sampled_from(["relu", "tanh"])


@given(st.dictionaries(st.from_regex("[a-z_]{1,12}", fullmatch=True), values()), st.text("ab\n"))
def test_what_is_written_is_read_back(fields: dict[str, Any], comment: str) -> None:
    import tempfile

    with tempfile.TemporaryDirectory() as folder:
        path = written(Path(folder), "a.toml", write_settings(fields, comment))
        assert read_table(path) == fields


@pytest.mark.parametrize("config", [PpoConfig(hidden=(32,)), ValueConfig(streams=(16, 16))])
def test_all_settings_can_be_written_and_read(config: Any, tmp_path: Path) -> None:
    fields = {name: value for name, value in dataclasses.asdict(config).items() if value is not None}
    path = written(tmp_path, "all.toml", write_settings(fields))
    assert read_settings(path, type(config)) == fields
