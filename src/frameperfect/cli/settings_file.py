"""A learner's settings as a file: TOML or YAML in, TOML out."""

from __future__ import annotations

import dataclasses
import difflib
import json
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from frameperfect.cli.app import Refused

if TYPE_CHECKING:
    from frameperfect.learn import PpoConfig, ValueConfig


def read_settings(path: Path, settings: type[PpoConfig] | type[ValueConfig]) -> dict[str, Any]:
    """Fields of a learner's settings from a TOML file, or from YAML (.yaml, .yml).

    Raises:
        Refused: it can't be parsed, has an unknown field, or a field of another type.
    """
    return check_settings(str(path), read_table(path), settings)


def check_settings(
    where: str, fields: Mapping[str, Any], settings: type[PpoConfig] | type[ValueConfig]
) -> dict[str, Any]:
    """Fields of a learner's settings as the learner takes them; `where` they stand is for errors.

    Raises:
        Refused: an unknown field, or a field of another type.
    """
    import pydantic

    known = [field.name for field in dataclasses.fields(settings)]
    for name in fields:
        unknown(where, "setting", name, known)
    try:
        checked = pydantic.TypeAdapter(settings).validate_python(fields)
    except pydantic.ValidationError as wrong:
        first = wrong.errors()[0]
        place = ".".join(map(str, first["loc"]))
        raise Refused(f"{where}: {place} = {first['input']!r}: {first['msg'].lower()}") from None
    return {name: getattr(checked, name) for name in fields}


def unknown(where: str | Path, what: str, name: Any, known: Iterable[str]) -> None:
    """Refuse a name that is not known, with the nearest that is."""
    known = list(known)
    if name not in known:
        near = difflib.get_close_matches(str(name), known, n=1)
        hint = f"did you mean '{near[0]}'?" if near else f"there are {', '.join(known)}"
        raise Refused(f"{where}: no {what} '{name}'; {hint}")


def read_table(path: Path) -> dict[str, Any]:
    """What a TOML or YAML file holds, as a table.

    Raises:
        Refused: it is neither, or YAML of something else than a table.
    """
    try:
        text = path.read_bytes().decode()
    except UnicodeDecodeError as wrong:
        raise Refused(f"{path} is no text: {wrong}") from None
    return _yaml(path, text) if path.suffix.lower() in (".yaml", ".yml") else _toml(path, text)


def _toml(path: Path, text: str) -> dict[str, Any]:
    if sys.version_info >= (3, 11):
        import tomllib
    else:
        import tomli as tomllib

    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as wrong:
        raise Refused(f"{path} is no TOML: {wrong}") from None


def _yaml(path: Path, text: str) -> dict[str, Any]:
    try:
        import yaml
    except ImportError:
        raise Refused(
            f"{path}: YAML needs PyYAML: pip install 'frameperfect[learn]'; TOML needs nothing"
        ) from None

    try:
        # plain data only: the safe loader makes no objects
        table = yaml.safe_load(text)
    except yaml.YAMLError as wrong:
        raise Refused(f"{path} is no YAML: {' '.join(str(wrong).split())}") from None
    if table is None:
        return {}
    if not isinstance(table, dict):
        raise Refused(f"{path} holds a {type(table).__name__}, and settings are `name: value` lines")
    return table


def write_settings(fields: Mapping[str, Any], comment: str = "") -> str:
    """TOML that `read_settings` reads: numbers, texts, switches and lists of numbers."""
    lines = [f"# {line}" for line in comment.splitlines()]
    return "\n".join(lines + [f"{name} = {_value(value)}" for name, value in fields.items()]) + "\n"


def _value(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, (list, tuple)):
        return "[" + ", ".join(map(_value, value)) + "]"
    return json.dumps(value) if isinstance(value, str) else repr(value)
