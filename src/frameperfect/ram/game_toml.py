"""Writing what was found into a `game.toml`; comments, order and everything else stay as they are."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from frameperfect.errors import MissingComponent, RamError
from frameperfect.game.schema import parse_toml

if TYPE_CHECKING:
    from frameperfect.memory import Variable


def add_variables(text: str, variables: Iterable[Variable], *, where: str = "game.toml") -> str:
    """The text of a `game.toml` with these variables in `[memory]`, which is made if it is not there.

    A variable that is there already, by its name, is an error: nothing that a person wrote is overwritten.

    Args:
        text: the file as it is.
        variables: what to add.
        where: the file's name, for errors.

    Raises:
        GameError: the text is no `game.toml`, before or after.
        RamError: a name is taken, by a variable or a definition.
        MissingComponent: tomlkit is not installed.
    """
    try:
        import tomlkit
    except ModuleNotFoundError:
        raise MissingComponent(
            "writing into a game.toml needs 'tomlkit': pip install 'frameperfect[ram]'"
        ) from None
    known = parse_toml(text, where)
    document = tomlkit.parse(text)
    if "memory" not in document:
        document.add(tomlkit.nl())
        document.add("memory", tomlkit.table())
    memory: Any = document["memory"]
    # What stands between the last variable and the next table belongs to that table: it stays before it.
    between = []
    while memory.value.body and memory.value.body[-1][0] is None:
        between.append(memory.value.body.pop()[1])
    for variable in variables:
        if variable.name in known.memory or variable.name in known.define:
            raise RamError(f"{where} has '{variable.name}' already; give the variable another name")
        entry: Any = tomlkit.parse(f"x = {entry_text(variable)}")["x"]
        memory.append(variable.name, entry)
    for item in reversed(between):
        memory.add(item)
    result = tomlkit.dumps(document)
    result += "" if result.endswith("\n") else "\n"
    parse_toml(result, where)
    return result


def entry_text(variable: Variable) -> str:
    """A variable as the right-hand side of its line in `[memory]`; addresses in hex."""
    fields = []
    if variable.pointer is not None:
        fields.append(
            f"pointer = [{', '.join(f'{hop:#x}' if hop >= 0 else str(hop) for hop in variable.pointer)}]"
        )
    else:
        fields.append(f"address = {variable.address:#x}")
    fields.append(f'type = "{variable.type}"')
    if variable.domain is not None:
        fields.append(f'domain = "{variable.domain}"')
    if variable.mask is not None:
        fields.append(f"mask = {variable.mask:#x}")
    if variable.bit is not None:
        fields.append(f"bit = {variable.bit}")
    if variable.scale != 1:
        fields.append(f"scale = {variable.scale!r}")
    for key in ("unit", "about"):
        if text := getattr(variable, key):
            fields.append(f"{key} = {json.dumps(text, ensure_ascii=False)}")
    return "{ " + ", ".join(fields) + " }"
