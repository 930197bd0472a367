"""The reference pages of the site, made from the code when the site is built (a hook of MkDocs).

https://www.mkdocs.org/user-guide/configuration/#hooks. The command line's page comes from the commands
themselves, `game.toml`'s from the schema that reads it, so neither can fall behind.
"""

from __future__ import annotations

import ast
import inspect
import re
import types
import typing
from pathlib import Path
from typing import Any

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the generated pages."""
    pages = {"reference/cli.md": command_line, "reference/game-toml.md": game_toml}
    for path, make in pages.items():
        files.append(File.generated(config, path, content=make()))
    return files


# -- the command line ------------------------------------------------------------------------------


def command_line() -> str:
    """Every command with its arguments, options and examples."""
    import typer

    from frameperfect.cli.app import app, load_commands

    load_commands()
    root: Any = typer.main.get_command(app)
    parts = [
        "# Every command\n\nMade from the commands themselves; `frameperfect COMMAND --help` says the same. "
        "[In use](../cli.md) shows them at work."
    ]
    for name, command in root.commands.items():
        parts.append(f"## {name}\n\n{_prose(command.help)}")
        usage = " ".join(
            ["frameperfect", name, "[OPTIONS]"]
            + [_metavar(p) for p in command.params if p.param_type_name == "argument"]
        )
        parts.append(f"```text\n{usage}\n```")
        rows = [_parameter(p) for p in command.params if p.name != "help" and not getattr(p, "hidden", False)]
        if rows:
            parts.append("\n".join(["| | | default |", "|---|---|---|", *rows]))
        if command.epilog:
            lines = re.findall(r"\[bold\](.*?)\[/bold\]", command.epilog)
            parts.append("```text\n" + "\n".join(lines) + "\n```")
    return "\n\n".join(parts) + "\n"


def _metavar(parameter: Any) -> str:
    shown = parameter.name.upper() + ("..." if parameter.nargs == -1 else "")
    return shown if parameter.required else f"[{shown}]"


def _parameter(parameter: Any) -> str:
    if parameter.param_type_name == "argument":
        names = f"`{parameter.name.upper()}`"
    else:
        names = ", ".join(f"`{one}`" for one in [*parameter.opts, *parameter.secondary_opts])
    default = parameter.default
    if parameter.required:
        shown = "needed"
    elif isinstance(default, (str, float)) or type(default) is int:
        shown = f"`{default}`"
    else:
        shown = ""
    return f"| {names} | {_cell(getattr(parameter, 'help', '') or '')} | {shown} |"


# -- game.toml -------------------------------------------------------------------------------------


def game_toml() -> str:
    """Every table and key of a `game.toml`, from the schema's own fields and texts."""
    from frameperfect.game import schema

    texts = _attribute_texts(Path(inspect.getsourcefile(schema) or ""))
    parts = [
        "# game.toml, every key\n\nMade from the schema that reads the file. Every table is closed: an "
        "unknown key is an error that suggests the nearest one. [Games](../games.md) explains types, "
        "pointers and expressions, and shows them at work.",
    ]
    tables: list[tuple[str, type[Any]]] = []
    open_tables: list[tuple[str, str]] = []
    for name, field in schema.Definition.model_fields.items():
        section = _section(field.annotation)
        if section is None:
            open_tables.append((name, texts.get(("Definition", name), "")))
            continue
        several = typing.get_origin(field.annotation) is dict
        tables.append((f"[{name}.NAME]" if several and name in ("start", "search") else f"[{name}]", section))
    for heading, section in tables:
        parts.append(f"## {heading}\n\n{_prose(section.__doc__ or '')}\n\n{_keys(section, texts)}")
    for name, text in open_tables:
        parts.append(f"## [{name}]\n\n{_prose(text)}")
    return "\n\n".join(parts) + "\n"


def _section(annotation: Any) -> type[Any] | None:
    """The table that an annotation holds, through optional and dict."""
    from frameperfect.game.schema import Section

    if isinstance(annotation, type) and issubclass(annotation, Section):
        return annotation
    for inner in typing.get_args(annotation):
        found = _section(inner)
        if found is not None:
            return found
    return None


def _keys(section: type[Any], texts: dict[tuple[str, str], str]) -> str:
    rows = ["| key | type | default | |", "|---|---|---|---|"]
    for name, field in section.model_fields.items():
        default = "needed" if field.is_required() else f"`{_toml(field.default)}`"
        if field.default in (None, "", [], {}):
            default = ""
        about = texts.get((section.__name__, name), "")
        rows.append(f"| `{name}` | {_type(field.annotation)} | {default} | {_cell(about)} |")
    return "\n".join(rows)


def _type(annotation: Any) -> str:
    names = {str: "text", int: "whole number", float: "number", bool: "true or false"}
    if annotation in names:
        return names[annotation]
    origin, inner = typing.get_origin(annotation), typing.get_args(annotation)
    if origin is typing.Annotated:
        return _type(inner[0])
    if origin in (typing.Union, types.UnionType):
        words = [_type(one) for one in inner if one is not type(None)]
        return "number" if words == ["whole number", "number"] else " or ".join(words)
    if origin is list:
        return f"list of {_type(inner[0])}"
    if origin is tuple:
        return f"{len(inner)} of {_type(inner[0])}"
    if origin is dict:
        return f"table of {_type(inner[1])}"
    return "table"


def _toml(value: Any) -> str:
    return f'"{value}"' if isinstance(value, str) else str(value)


def _attribute_texts(path: Path) -> dict[tuple[str, str], str]:
    """The string that follows each field in the source: (class, field) to text."""
    texts = {}
    for node in ast.parse(path.read_text()).body:
        if isinstance(node, ast.ClassDef):
            for field, text in zip(node.body, node.body[1:], strict=False):
                if (
                    isinstance(field, ast.AnnAssign)
                    and isinstance(field.target, ast.Name)
                    and isinstance(text, ast.Expr)
                    and isinstance(text.value, ast.Constant)
                ):
                    texts[node.name, field.target.id] = str(text.value.value)
    return texts


def _prose(text: str | None) -> str:
    return " ".join(inspect.cleandoc(text or "").split()).replace("[*]", r"[\*]")


def _cell(text: str) -> str:
    return _prose(text).replace("|", "&#124;")
