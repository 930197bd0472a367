"""`doctor`: what is installed, what each backend lacks, and the command that mends it."""

from __future__ import annotations

import importlib.metadata
import importlib.util
import os
import platform
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated

import typer

from frameperfect import __version__
from frameperfect.cli.app import Failed, app, console, example
from frameperfect.errors import FrameperfectError

if TYPE_CHECKING:
    from frameperfect.game import Game


@dataclass(frozen=True)
class Component:
    """Something optional: its distribution and module, the extra that brings it, and what it is for."""

    distribution: str
    module: str
    extra: str
    purpose: str


COMPONENTS = (
    Component("stable-retro", "stable_retro", "libretro", "libretro cores and the data of over 1,000 games"),
    Component("lupa", "lupa", "libretro", "the Lua scripts of some of those games"),
    Component("ale-py", "ale_py", "atari", "over 100 Atari 2600 games"),
    Component("torch", "torch", "learn", "training and playing agents"),
    Component("safetensors", "safetensors", "learn", "checkpoints"),
    Component("tensorboard", "tensorboard", "learn", "training curves in a browser"),
    Component("optuna", "optuna", "sweep", "settings searched for by trials"),
    Component("ray", "ray", "ray", "actors and islands on a cluster"),
    Component("pettingzoo", "pettingzoo", "multi", "several agents in one game"),
    Component("frida", "frida", "attach", "native games that already run"),
    Component("pygame-ce", "pygame", "play", "the window to play and to watch in"),
    Component("av", "av", "view", "MP4 videos"),
    Component("pillow", "PIL", "view", "GIFs, picture sheets, the panel beneath a video"),
    Component("textual", "textual", "ram", "the RAM lab in a terminal"),
    Component("tomlkit", "tomlkit", "ram", "found variables into game.toml"),
    Component("matplotlib", "matplotlib", "view", "learning curves, the panel's font"),
)


@app.command(epilog=example("doctor", "doctor --check"))
def doctor(
    check: Annotated[
        bool, typer.Option("--check", help="Run the conformance suite on a game of every backend (a minute).")
    ] = False,
) -> None:
    """Say what is installed and what each backend lacks, with the command that mends it.

    Ends with 1 if --check finds a fault.
    """
    print(f"frameperfect {__version__}, Python {platform.python_version()}, {os.cpu_count()} cores")
    print(f"{platform.platform()}, {sys.executable}\n")
    missing = [component for component in COMPONENTS if not _show_component(component)]
    if missing:
        extras = ",".join(sorted({component.extra for component in missing}))
        _line("", f"to install what is missing:  pip install 'frameperfect[{extras}]'")
    faults = _show_backends(check)
    if faults:
        raise Failed(f"{faults} backends failed the conformance suite; see above")


def _show_component(component: Component) -> bool:
    if importlib.util.find_spec(component.module) is None:
        mend = f"pip install 'frameperfect[{component.extra}]'"
        _line("missing", f"{component.distribution:<14}{component.purpose}  ->  {mend}")
        return False
    try:
        version = importlib.metadata.version(component.distribution)
    except importlib.metadata.PackageNotFoundError:
        version = "?"
    _line("ok", f"{component.distribution:<14}{version:<14}{component.purpose}")
    return True


def _show_backends(check: bool) -> int:
    """What each backend plays and can't do, shown on a game of it whose ROM is here; returns the faults."""
    from frameperfect.machine import BACKENDS, backend

    examples = _examples()
    faults = 0
    for name in BACKENDS:
        print(f"\n{name}")
        try:
            module = backend(name)
        except FrameperfectError as missing:
            _line("missing", str(missing))
            continue
        if (list_cores := getattr(module, "cores", None)) is not None:
            _line("ok", f"cores: {', '.join(list_cores()) or 'none'}")
        game, known, here = examples.get(name, (None, 0, 0))
        _line("ok" if here else "missing", f"{known:,} games known, {here:,} with their ROM")
        if here < known:
            _line("", "`frameperfect import DIR` takes ROMs from your folder, by their hash")
        if game is not None:
            faults += not _show_machine(game, check)
    return faults


def _examples() -> dict[str, tuple[Game | None, int, int]]:
    """By backend: a playable game, how many are known, and how many have their ROM here."""
    from frameperfect.game import games, load_game

    found: dict[str, tuple[Game | None, int, int]] = {}
    for name in games():
        game = load_game(name)
        machine = game.definition.game.machine
        example, known, here = found.get(machine, (None, 0, 0))
        playable = game.has_rom
        if playable and (example is None or game.source == "bundled"):
            example = game
        found[machine] = (example, known + 1, here + playable)
    return found


def _show_machine(game: Game, check: bool) -> bool:
    """Open the game and say what its machine lacks; with `check`, run the conformance suite."""
    from frameperfect.game import open as open_game
    from frameperfect.machine import Capability

    try:
        with open_game(game) as machine:
            lacks = [
                capability.name or "" for capability in Capability if capability not in machine.capabilities
            ]
            core = str(machine.fingerprint)
        _line("ok", f"{game.name} opens on {core}; it lacks: {', '.join(lacks) or 'nothing'}")
    except FrameperfectError as fault:
        _line("failed", f"{game.name}: {fault}")
        return False
    return not check or _conforms(game)


def _conforms(game: Game) -> bool:
    """Run the conformance suite and show what it found."""
    from frameperfect.game import open as open_game
    from frameperfect.testing import check_machine

    report = check_machine(lambda: open_game(game), error=False)
    for result in report.results:
        _line(_STATES[result.outcome], f"{result.name}  {result.text}".rstrip())
    return not report.failures


_STATES = {"passed": "ok", "skipped": "skipped", "failed": "failed"}


def _line(state: str, text: str) -> None:
    colour = {"ok": "green", "missing": "yellow", "failed": "red"}.get(state, "default")
    console().print(f"  [{colour}]{state:<9}[/]", end="")
    print(text)
