"""A libretro core and its game as a machine."""

from __future__ import annotations

import difflib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from frameperfect import _native
from frameperfect.errors import MachineError, StateMismatch
from frameperfect.machine import (
    STATE_MAGIC,
    Analog,
    Capability,
    Fingerprint,
    Inputs,
    Machine,
    MachineSpec,
    unseal_state,
)
from frameperfect.machines.libretro import cores
from frameperfect.machines.libretro.program import read_program
from frameperfect.machines.libretro.quirks import QUIRKS, Quirks
from frameperfect.machines.libretro.systems import SYSTEMS, System, find_system, system_of_extension
from frameperfect.memory import Domain

# The names of libretro's own memory regions; what else a memory map holds may be named by the console.
_OWN_NAMES = ("ram", "save_ram", "vram", "rtc")
_OFF_BUS = {name: i << 32 for i, name in enumerate(_OWN_NAMES) if i}
"""Beyond any console's addresses, so that address 0 of the console is not mistaken for theirs."""


@dataclass(frozen=True)
class Opening:
    """All that is known about a machine before its core is loaded."""

    spec: MachineSpec
    system: System
    core: str
    quirks: Quirks
    setup: Any
    """The `_native.CoreSetup`; it holds the program's bytes."""
    buttons: list[list[int]]
    """By port, the RetroPad id of each button."""
    core_hash: str
    game_hash: str


def prepare(spec: MachineSpec) -> Opening:
    """Find the system, the core and the program that `spec` names.

    Raises:
        MachineError: no program, an unknown system, a program that can't be read or is cut short.
        MissingComponent: the core is not installed.
    """
    if spec.program is None:
        raise MachineError("a libretro machine needs a program: give the path of a ROM")
    system = _system(spec)
    core = spec.core or _first_installed(system)
    path = cores.find_core(core)
    program = read_program(spec.program, system)
    quirks = QUIRKS.get(core, Quirks())
    options = {**quirks.options, **quirks.for_program(system.name, program.data), **spec.options}
    skipping = quirks.skip_option is None or quirks.skip_option[0] not in spec.options
    if quirks.skip_option is not None and skipping:
        options[quirks.skip_option[0]] = quirks.skip_option[1]
    setup = _native.CoreSetup(
        str(path),
        str(program.path),
        program.data,
        options=list(options.items()),
        system_directory=str(cores.system_folder()),
        devices=list(quirks.devices),
        skip_by_av_enable=quirks.skip_by_av_enable,
        skip_by_frameskip=quirks.skip_option is not None and skipping,
        latches_inputs=quirks.latches_inputs is None or system.name in quirks.latches_inputs,
        hidden=list(quirks.hidden),
    )
    buttons = [list(system.buttons.values())] * system.ports
    return Opening(spec, system, core, quirks, setup, buttons, cores.core_hash(path), program.sha1)


def _system(spec: MachineSpec) -> System:
    if spec.system is not None:
        system = find_system(spec.system)
        if system is None:
            near = difflib.get_close_matches(spec.system, SYSTEMS, 1)
            hint = f"did you mean '{near[0]}'?" if near else f"there are {', '.join(SYSTEMS)}"
            raise MachineError(f"no system '{spec.system}'; {hint}")
        return system
    assert spec.program is not None
    system = system_of_extension(spec.program.suffix)
    if system is None:
        raise MachineError(
            f"'{spec.program.name}': which system is it for? Its extension does not say; name one"
        )
    return system


def _first_installed(system: System) -> str:
    installed = cores.list_cores()
    return next((core for core in system.cores if core in installed), system.cores[0])


def check_options(core: Any, name: str, chosen: Mapping[str, str]) -> None:
    """Refuse options that the core does not have, and values that it does not list.

    Raises:
        MachineError: names the option and the nearest one, or the values.
    """
    table = {key: values for key, _, _, values in core.option_table()}
    for key, value in chosen.items():
        if key not in table:
            near = difflib.get_close_matches(key, table, 1)
            hint = f"did you mean '{near[0]}'?" if near else f"it has {', '.join(sorted(table)) or 'none'}"
            raise MachineError(f"{name} has no option '{key}'; {hint}")
        if table[key] and value not in table[key]:
            raise MachineError(f"{name}: option '{key}' can't be '{value}'; it takes {', '.join(table[key])}")


def describe_memory(core: Any, opening: Opening) -> tuple[dict[str, Domain], dict[str, NDArray[np.uint8]]]:
    """The domains of a core just loaded, and the live views of them."""
    system = opening.system
    domains: dict[str, Domain] = {}
    views: dict[str, NDArray[np.uint8]] = {}
    for name, view, base, writable in core.memory():
        if name == "ram":
            base = base or system.ram_base
            view = view[: system.ram_size]
        elif base in system.blocks and name not in _OWN_NAMES:
            name = system.blocks[base]
        elif (
            base == 0 and name in _OFF_BUS
        ):  # the core does not say where it lies, if it lies on the bus at all
            base = _OFF_BUS[name]
        swap = 2 if name == "ram" and opening.core in system.swaps else 1
        hashed = writable and name not in opening.quirks.unhashed
        domains[name] = Domain(
            name, view.size, base, swap, system.pointer, system.address_bits, writable, hashed
        )
        views[name] = view
    return domains, views


def describe_core(core: Any, opening: Opening) -> Fingerprint:
    """The fingerprint of a core just loaded: options that differ from its defaults are settings."""
    defaults = {key: default for key, _, default, _ in core.option_table()}
    skip = opening.quirks.skip_option
    settings = [
        (key, value)
        for key, value in core.options
        if value != defaults.get(key) and not (skip is not None and (key, value) == skip)
    ]
    version = " ".join(str(core.library_version).split())
    return Fingerprint(
        "libretro", f"{opening.core} {version}".strip(), opening.core_hash, opening.game_hash, tuple(settings)
    )


class LibretroMachine(Machine):
    """A console game behind a libretro core.

    Memory views are the core's own memory. A view kept over `reset` or `close` keeps the old core's memory
    in place, so it never dangles: it just no longer changes.
    """

    def __init__(self, spec: MachineSpec, opening: Opening | None = None) -> None:
        """Load the core and boot the program; `opening` is what `prepare(spec)` gave, to share it.

        Raises:
            MachineError: the core refused the program (with its own log lines), or an option is unknown.
            MissingComponent: the core is not installed.
        """
        self._opening = opening = opening or prepare(spec)
        try:
            self._core = _native.Core(opening.setup, opening.buttons)
        except _native.CoreError as refusal:
            raise MachineError(str(refusal)) from None
        check_options(self._core, opening.core, spec.options)
        system = opening.system
        self.spec = replace(spec, core=opening.core, system=system.name)
        self.controllers = (system.controller,) * system.ports
        self.fingerprint = describe_core(self._core, opening)
        self.frame_rate = self._core.frames_per_second
        self.sample_rate = float(self._core.sample_rate)
        self.domains, self.memory = describe_memory(self._core, opening)
        self.frame = 0
        self.capabilities = (
            Capability.SCREEN | Capability.WRITE | Capability.TURBO | opening.quirks.capabilities
        )
        untold = bool(opening.quirks.hidden) and not self._core.hidden_bytes
        if untold or system.name in opening.quirks.inexact_states:
            self.capabilities &= ~Capability.SAVE
        if system.ports > 1:
            self.capabilities |= Capability.MULTIPLAYER
        if system.reset_button:
            self.capabilities |= Capability.RESET_BUTTON
        self._header = STATE_MAGIC + self.fingerprint.digest
        self._advance_first = self._core.advance_first

    @property
    def core(self) -> _native.Core:
        """The native core, for a pool that shares it."""
        return self._core

    @property
    def opening(self) -> Opening:
        """What was known before the core was loaded."""
        return self._opening

    @property
    def log(self) -> list[str]:
        """The last lines that the core logged."""
        return list(self._core.log)

    @property
    def audio(self) -> NDArray[np.int16]:
        """See `Machine.audio`."""
        samples: NDArray[np.int16] = self._core.audio()
        return samples

    def advance(self, inputs: Inputs = None, frames: int = 1) -> None:
        """See `Machine.advance`."""
        if type(inputs) is int:
            self._advance_first(inputs, frames)
            self.frame += frames
        else:
            super().advance(inputs, frames)

    def _advance(self, masks: Sequence[int], analog: Analog, frames: int) -> None:
        if analog is None:
            self._core.advance(tuple(masks), frames)
        else:
            self._core.advance_analog([(port.buttons, port.axes, port.pointer) for port in analog], frames)
        self.frame += frames

    def screen(self, copy: bool = True) -> NDArray[np.uint8]:
        """The picture of the last frame, (H, W, 3) uint8 RGB; always a fresh array."""
        image: NDArray[np.uint8] = self._core.screen()
        return image

    def save(self) -> bytes:
        """See `Machine.save`."""
        self.require(Capability.SAVE)
        state: bytes = self._core.save(self._header + self.frame.to_bytes(8, "little"))
        return state

    def restore(self, state: bytes) -> None:
        """See `Machine.restore`."""
        self.require(Capability.SAVE)
        frame, payload = unseal_state(self.fingerprint, state)
        try:
            self._core.restore(payload)
        except _native.StateError as refusal:
            raise StateMismatch(str(refusal)) from None
        self.frame = frame

    def _import_state(self, state: bytes) -> None:
        try:
            self._core.import_state(state)
        except _native.StateError as refusal:
            raise StateMismatch(str(refusal)) from None

    def _export_state(self) -> bytes:
        return self._core.serialize()  # type: ignore[no-any-return]

    def _reset(self) -> None:
        self._core.power_cycle()
        self.domains, self.memory = describe_memory(self._core, self._opening)

    def _press_reset(self) -> None:
        self._core.press_reset()

    def _close(self) -> None:
        self._core.close()
