"""Which machine a spec means: DDNet's server, SuperTux, or a game of your own whose keys it tells."""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping
from pathlib import Path

from frameperfect.errors import FrameperfectError, MachineError
from frameperfect.machine import MachineSpec
from frameperfect.machines.native import program, supertux
from frameperfect.machines.native.lockstep import LockstepMachine
from frameperfect.machines.native.machine import NativeMachine
from frameperfect.machines.native.sdl import OWN_OPTIONS, OwnTitle, SdlMachine, SdlTitle
from frameperfect.machines.native.windows import has_windows


def open_game(spec: MachineSpec) -> LockstepMachine:
    """Start the game, and bring it to its first moment.

    Raises:
        MissingComponent: it is not installed.
        MachineError: an option is wrong, it does not start, or its build is not known.
    """
    if spec.options.get("pid"):
        from frameperfect.machines.native.attach import AttachedMachine

        return AttachedMachine(spec)
    if spec.options.get("client"):
        from frameperfect.machines.native.live import LiveMachine

        return LiveMachine(spec)
    title: SdlTitle
    if spec.name == supertux.NAME or (spec.program is not None and spec.program.name == supertux.PROGRAM):
        options = _options(spec, supertux.OPTIONS)
        title = supertux.SuperTux(supertux.find_program(spec), options)
    elif "keys" in spec.options:
        options = _options(spec, OWN_OPTIONS)
        title = OwnTitle(_find_own(spec), options)
    else:
        return NativeMachine(spec)
    return SdlMachine(spec, title, options["tracking"])


def recognise(path: Path) -> MachineSpec | None:
    """A machine for a program that we know by its name."""
    if path.name == supertux.PROGRAM and path.is_file():
        return MachineSpec("native", program=path, name=supertux.NAME)
    if path.suffix.lower() == ".exe" and path.is_file():
        return MachineSpec("native", program=path)
    return program.recognise(path)


def has(name: str) -> bool:
    """Whether the program of that name is installed."""
    if name.lower().endswith(".exe"):
        return has_windows(name)
    if name != supertux.NAME:
        return program.has(name)
    try:
        return supertux.find_program(MachineSpec("native", name=name)).is_file()
    except FrameperfectError:
        return False


def _options(spec: MachineSpec, known: Mapping[str, str]) -> dict[str, str]:
    """The spec's over what they are where nobody says."""
    if unknown := set(spec.options) - set(known):
        raise MachineError(f"{_name(spec)} has no option '{min(unknown)}'; it has {', '.join(known)}")
    options = {**known, **spec.options}
    if options["tracking"] not in ("", "fork", "compare"):
        raise MachineError(f"tracking = '{options['tracking']}': give 'fork', 'compare' or nothing")
    return options


def _name(spec: MachineSpec) -> str:
    return spec.name or (spec.program.name if spec.program is not None else "the game")


def _find_own(spec: MachineSpec) -> Path:
    if spec.program is not None and spec.program.is_file():
        return spec.program.absolute()
    found = shutil.which(spec.name, path=os.environ.get("PATH", "")) if spec.name else None
    if found is None:
        raise MachineError(f"{spec.program or spec.name}: is no program; give its path, or put it on PATH")
    return Path(found)
