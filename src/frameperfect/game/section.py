"""What the sections of a `game.toml` are made of: closed tables, expressions, combinations."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict


def _expression(value: Any) -> Any:
    """Numbers and truth values are expressions too: `step_cost = -0.01`."""
    return str(value) if isinstance(value, (bool, int, float)) else value


def as_tuple(value: Any) -> Any:
    """TOML has arrays for tuples."""
    return tuple(value) if isinstance(value, list) else value


Expression = Annotated[str, BeforeValidator(_expression)]
Pair = Annotated[tuple[str, str], BeforeValidator(as_tuple)]
Combinations = list[str] | list[list[str]]


class Section(BaseModel):
    """A closed table."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)
