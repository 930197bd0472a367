"""Writing a definition as a `game.toml` that reads back as an equal one."""

from __future__ import annotations

import json
import re
from typing import Any

from pydantic import BaseModel

from frameperfect.game.schema import Definition

_BARE = re.compile(r"[A-Za-z0-9_-]+")


def write_toml(definition: Definition) -> str:
    """The text of a definition; keys at their defaults are left out."""
    lines: list[str] = []
    for section in type(definition).model_fields:
        value = getattr(definition, section)
        if isinstance(value, BaseModel):
            lines += _table(section, _set_fields(value))
        elif section in ("domain", "start", "search"):
            for name, table in value.items():
                fields = _set_fields(table) if isinstance(table, BaseModel) else table
                lines += _table(f"{section}.{_key(name)}", fields, keep=True)
        elif value:
            named = {name: _set_fields(v) if isinstance(v, BaseModel) else v for name, v in value.items()}
            lines += _table(section, named)
    return "\n".join(lines).strip() + "\n"


def _set_fields(model: BaseModel) -> dict[str, Any]:
    """The fields that differ from their defaults, models inside as tables."""
    fields = {name: getattr(model, name) for name in model.model_fields_set}
    ordered = {name: fields[name] for name in type(model).model_fields if name in fields}
    kept = {}
    for name, value in ordered.items():
        if value is None or value == type(model).model_fields[name].default:
            continue
        if isinstance(value, dict):
            value = {key: _set_fields(v) if isinstance(v, BaseModel) else v for key, v in value.items()}
        kept[name] = _set_fields(value) if isinstance(value, BaseModel) else value
    return kept


def _table(name: str, fields: dict[str, Any], keep: bool = False) -> list[str]:
    if not fields and not keep:
        return []
    width = max((len(_key(key)) for key in fields), default=0)
    return ["", f"[{name}]", *(f"{_key(key):<{width}} = {_value(value)}" for key, value in fields.items())]


def _key(key: str) -> str:
    return key if _BARE.fullmatch(key) else _string(key)


def _string(text: str) -> str:
    # JSON's escapes are TOML's, but for the delete character
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")


def _value(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, str):
        return _string(value)
    if isinstance(value, (int, float)):
        return repr(value)
    if isinstance(value, dict):
        return "{ " + ", ".join(f"{_key(k)} = {_entry(k, v)}" for k, v in value.items()) + " }"
    return "[" + ", ".join(_value(v) for v in value) + "]"


def _entry(key: str, value: Any) -> str:
    """Addresses and masks as people write them: in hex."""
    if key in ("address", "mask") and isinstance(value, int) and value >= 0:
        return f"{value:#x}"
    return _value(value)
