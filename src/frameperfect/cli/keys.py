"""`keys`: what the keyboard and the gamepads do, kept for each console."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from frameperfect.cli.app import Refused, app, example

if TYPE_CHECKING:
    from frameperfect.machine import Machine


@app.command(
    epilog=example(
        "keys Skyrunner-Nes",
        "keys Skyrunner-Nes A=space 'rewind=r, pad leftshoulder'",
        "keys Skyrunner-Nes --port 2 'A=pad b'",
        "keys Skyrunner-Nes --reset",
    )
)
def keys(
    game: Annotated[str, typer.Argument(help="A game, a game.toml or a ROM: the keys are its console's.")],
    changes: Annotated[
        list[str] | None,
        typer.Argument(metavar="[NAME=KEY,KEY...]...", help="A button, an axis or a command, and its keys."),
    ] = None,
    port: Annotated[int, typer.Option(min=1, help="The port whose buttons are meant.")] = 1,
    reset: Annotated[bool, typer.Option("--reset", help="Forget all changes for this console.")] = False,
) -> None:
    """Show or change the keys of a game's console; `play` and `watch` use them from then on.

    A key that is given something new is taken from what it did before.
    """
    from frameperfect.game import open as open_game
    from frameperfect.view.window import Bindings, change_keys

    with open_game(game) as machine:
        path, controllers = keys_file(machine), machine.controllers
        if reset:
            path.unlink(missing_ok=True)
        bindings = change_keys(path, controllers, _table(changes, port)) if changes else None
        bindings = bindings or Bindings(controllers, own_keys(machine))
    where = path if path.exists() else f"the defaults; changes go to {path}"
    print(f"# {where}\n\n{bindings.to_toml()}", end="")


def keys_file(machine: Machine) -> Path:
    """Where the keys of a machine's console are kept."""
    from frameperfect.game import folders

    return folders.home() / "keys" / f"{machine.spec.system or machine.fingerprint.backend}.toml"


def own_keys(machine: Machine) -> Path | None:
    """The user's keys for the machine's console; None where there are none."""
    path = keys_file(machine)
    return path if path.is_file() else None


def _table(changes: list[str], port: int) -> dict[str, dict[str, tuple[str, ...]]]:
    from frameperfect.view.window.bindings import COMMANDS

    table: dict[str, dict[str, tuple[str, ...]]] = {}
    for change in changes:
        name, sign, said = change.partition("=")
        if not sign or not name or not said:
            raise Refused(f"'{change}' is no change: write NAME=KEY, or 'NAME=KEY, KEY' for several")
        section = "commands" if name in COMMANDS else f"port{port}"
        given = (said,) if said == "," else tuple(key.strip() for key in said.split(","))
        table.setdefault(section, {})[name] = given
    return table
