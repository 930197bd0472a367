"""The one protocol that every game runs behind.

A machine is a frame-stepped object with a single owner: call it from one thread at a time. A backend
subclasses `Machine`, implements the underscored methods for what its capabilities promise, and passes
`frameperfect.testing.check_machine`.
"""

from __future__ import annotations

import enum
import hashlib
import importlib
import importlib.metadata
import struct
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType, ModuleType
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from frameperfect.errors import GameError, MachineError, MissingComponent, StateMismatch, Unsupported
from frameperfect.memory import Block, Domain, Reader

if TYPE_CHECKING:
    from typing_extensions import Self


class Capability(enum.Flag):
    """What a machine can do. Asking for what it can't raises `Unsupported`."""

    NONE = 0
    SAVE = enum.auto()
    """`save` and `restore`."""
    SCREEN = enum.auto()
    """`screen`."""
    WRITE = enum.auto()
    """Memory views are writable."""
    DETERMINISTIC = enum.auto()
    """Equal inputs from power-on give equal memory, in any process."""
    TURBO = enum.auto()
    """Runs faster than real time."""
    HOOKS = enum.auto()
    """Callbacks at memory accesses."""
    DRAW = enum.auto()
    """Draws on the emulator's own screen."""
    MULTIPLAYER = enum.auto()
    """More than one controller port is read."""
    RESET_BUTTON = enum.auto()
    """The console has a reset button: `press_reset`."""


@dataclass(frozen=True, slots=True)
class Controller:
    """What is plugged into one port. Bit `i` of an input mask is `buttons[i]`; axes are int16."""

    buttons: tuple[str, ...]
    axes: tuple[str, ...] = ()
    pointer: bool = False

    def mask(self, names: str) -> int:
        """The mask of buttons named in `names`, separated by spaces, commas or `+` ("Right A").

        Raises:
            Unsupported: a name is not a button of this controller.
        """
        mask = 0
        for name in names.replace(",", " ").replace("+", " ").split():
            for bit, button in enumerate(self.buttons):
                if button.lower() == name.lower():
                    mask |= 1 << bit
                    break
            else:
                raise Unsupported(f"no button '{name}' on this controller; it has {', '.join(self.buttons)}")
        return mask

    def names(self, mask: int) -> str:
        """The names of the buttons in `mask`, separated by spaces."""
        return " ".join(b for bit, b in enumerate(self.buttons) if mask >> bit & 1)


@dataclass(frozen=True, slots=True)
class PortInput:
    """The whole input of one port for one frame: buttons, int16 axes, and the pointer (x, y, pressed)."""

    buttons: int = 0
    axes: tuple[int, ...] = ()
    pointer: tuple[int, int, int] | None = None


Inputs: TypeAlias = "int | str | PortInput | Sequence[int | str | PortInput | None] | NDArray[Any] | None"
Analog: TypeAlias = "tuple[PortInput, ...] | None"


@dataclass(frozen=True, slots=True)
class Fingerprint:
    """What a state or a movie depends on: equal fingerprints mean interchangeable states."""

    backend: str
    core: str
    core_hash: str
    game_hash: str
    settings: tuple[tuple[str, str], ...] = ()
    digest: bytes = field(init=False, compare=False, repr=False)

    def __post_init__(self) -> None:
        parts = [self.backend, self.core, self.core_hash, self.game_hash, repr(sorted(self.settings))]
        text = "\n".join(parts)
        object.__setattr__(self, "digest", hashlib.blake2b(text.encode(), digest_size=16).digest())

    def __str__(self) -> str:
        return f"{self.core} {self.core_hash[:6]}"


# A state is a header and the backend's own bytes: magic, the fingerprint's digest, the frame it was taken
# at, and the length of the payload, so that a cut file is noticed before the emulator sees it.
STATE_MAGIC = b"FPS1"
STATE_HEADER = struct.Struct("<4s16sQQ")


def seal_state(fingerprint: Fingerprint, frame: int, payload: bytes) -> bytes:
    """The bytes that `Machine.save` returns."""
    return STATE_HEADER.pack(STATE_MAGIC, fingerprint.digest, frame, len(payload)) + payload


def unseal_state(fingerprint: Fingerprint, state: bytes) -> tuple[int, memoryview]:
    """The frame and the payload of a sealed state.

    Raises:
        StateMismatch: the bytes are no state, are cut short, or belong to another fingerprint.
    """
    if len(state) < STATE_HEADER.size or state[:4] != STATE_MAGIC:
        raise StateMismatch("these bytes are not a state of frameperfect; save one with machine.save()")
    _, digest, frame, length = STATE_HEADER.unpack_from(state)
    if digest != fingerprint.digest:
        raise StateMismatch(
            f"the state was saved by another game, core or setting; this machine is {fingerprint}"
        )
    if len(state) != STATE_HEADER.size + length:
        held = len(state) - STATE_HEADER.size
        raise StateMismatch(f"the state is damaged: {held} bytes of {length}; save it anew")
    return frame, memoryview(state)[STATE_HEADER.size :]


@dataclass(frozen=True)
class MachineSpec:
    """What a backend needs to open a machine: a `game.toml` says it, `frameperfect.open` passes it on."""

    backend: str
    program: Path | None = None
    """The ROM or the program."""
    name: str = ""
    """The program's own name where the backend finds it by name (an Atari game that ale-py ships)."""
    system: str | None = None
    core: str | None = None
    options: Mapping[str, str] = field(default_factory=dict)
    """Settings of the backend or core, by its own names; they enter the fingerprint."""
    blocks: Mapping[str, Block] = field(default_factory=dict)
    """Domains that lie somewhere in a native game's memory, by name."""


def hash_memory(domains: Mapping[str, Domain], memory: Mapping[str, NDArray[np.uint8]]) -> str:
    """`Machine.hash` of these views."""
    digest = hashlib.blake2b(digest_size=8)
    for name in sorted(domains):
        if domains[name].hashed:
            digest.update(memory[name].data)
    return digest.hexdigest()


class Machine(ABC):
    """One running game. See the module's text for who may call it."""

    controllers: tuple[Controller, ...]
    capabilities: Capability
    fingerprint: Fingerprint
    frame_rate: float
    """Frames a second on the real console."""
    domains: Mapping[str, Domain]
    memory: Mapping[str, NDArray[np.uint8]]
    """Live views by domain name; they stay valid until `reset` or `close`."""
    spec: MachineSpec
    variables: Mapping[str, Any] = MappingProxyType({})
    """The game's typed variables (`frameperfect.memory.Variable`), put here by `frameperfect.open`."""
    game: Any = None
    """The game (`frameperfect.game.Game`) that knows its starts, put here by `frameperfect.open`."""
    sample_rate: float = 0.0
    """Samples a second of `audio`; 0 where the machine gives no sound."""
    frame: int = 0
    """Frames advanced since power-on, restored with a state."""
    closed: bool = False
    _reader: Reader | None = None

    # -- what a person calls -----------------------------------------------------------------------

    def advance(self, inputs: Inputs = None, frames: int = 1) -> None:
        """Hold `inputs` for `frames` frames; video is produced for the last one only.

        `inputs` is for port 0, as names ("Right A"), a mask or a `PortInput`; or a sequence of those, one
        a port; or an unsigned array of masks, one a port. None presses nothing.

        Raises:
            MachineCrashed: the emulator died.
        """
        if type(inputs) is int:
            self._advance((inputs,), None, frames)
        else:
            self._advance(*self.parse_inputs(inputs), frames)

    def screen(self, copy: bool = True) -> NDArray[np.uint8]:
        """The last frame's picture, (H, W, 3) uint8 RGB; with `copy=False` it may change on the next call."""
        self.require(Capability.SCREEN)
        image = self._screen()
        return image.copy() if copy else image

    @property
    def audio(self) -> NDArray[np.int16]:
        """(samples, 2) int16: the sound of the last frame, at `sample_rate`; none where that is 0."""
        return np.zeros((0, 2), np.int16)

    def save(self) -> bytes:
        """The whole machine at this frame, screen included, as opaque bytes."""
        self.require(Capability.SAVE)
        return seal_state(self.fingerprint, self.frame, self._save())

    def restore(self, state: bytes) -> None:
        """Go back to a saved state.

        Raises:
            StateMismatch: the state is damaged or foreign; the machine is unchanged.
        """
        self.require(Capability.SAVE)
        frame, payload = unseal_state(self.fingerprint, state)
        self._restore(payload)
        self.frame = frame

    def import_state(self, state: bytes) -> None:
        """Go to a state in the emulator's own format (a libretro serialisation, say); the frame count stays.

        Raises:
            StateMismatch: the emulator refuses it; the machine is unchanged.
        """
        self.require(Capability.SAVE)
        self._import_state(state)

    def export_state(self) -> bytes:
        """This moment in the emulator's own format, for `import_state` and for other programs."""
        self.require(Capability.SAVE)
        return self._export_state()

    def reset(self) -> None:
        """Power off and on: memory, frame count and screen are those of a machine just opened."""
        self._reset()
        self.frame = 0

    def press_reset(self) -> None:
        """Press the console's reset button; it acts on the next frame."""
        self.require(Capability.RESET_BUTTON)
        self._press_reset()

    def read(self, name: str) -> int | float:
        """The variable `name`, typed and scaled by the game's memory map."""
        variable = self.variables.get(name)
        return (variable or self._variable(name)).read(self)  # type: ignore[no-any-return]

    def read_all(self) -> dict[str, int | float]:
        """All variables now, by name: several times quicker than one by one."""
        if self._reader is None or self._reader.variables is not self.variables:
            self._reader = Reader(self.variables)
        return self._reader.read(self)

    def write(self, name: str, value: int | float) -> None:
        """Set the variable `name`."""
        self.require(Capability.WRITE)
        self._variable(name).write(self, value)

    def hash(self) -> str:
        """16 hex digits over all hashed domains: equal for equal memory."""
        return hash_memory(self.domains, self.memory)

    def close(self) -> None:
        """Free the emulator; closing twice is harmless."""
        if not self.closed:
            self.closed = True
            self._close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    # -- what a backend implements -----------------------------------------------------------------

    @abstractmethod
    def _advance(self, masks: Sequence[int], analog: Analog, frames: int) -> None:
        """Advance and count `self.frame`; ports beyond `masks` press nothing."""

    @abstractmethod
    def _reset(self) -> None: ...

    @abstractmethod
    def _close(self) -> None: ...

    def _screen(self) -> NDArray[np.uint8]:
        raise self._unsupported(Capability.SCREEN)

    def _save(self) -> bytes:
        raise self._unsupported(Capability.SAVE)

    def _restore(self, payload: memoryview) -> None:
        raise self._unsupported(Capability.SAVE)

    def _import_state(self, state: bytes) -> None:
        raise self._unsupported(Capability.SAVE)

    def _export_state(self) -> bytes:
        raise self._unsupported(Capability.SAVE)

    def _press_reset(self) -> None:
        raise self._unsupported(Capability.RESET_BUTTON)

    # -- shared ------------------------------------------------------------------------------------

    def parse_inputs(self, inputs: Inputs) -> tuple[tuple[int, ...], Analog]:
        """Masks by port, and the analog part where one was given."""
        if inputs is None:
            return (), None
        if isinstance(inputs, (int, str, PortInput, np.integer)):
            inputs = (inputs,)
        masks: list[int] = []
        ports: list[PortInput] = []
        analog = False
        if len(inputs) > len(self.controllers):
            raise Unsupported(f"{len(inputs)} inputs for {len(self.controllers)} controller ports")
        for port, one in enumerate(inputs):
            if isinstance(one, PortInput):
                analog = True
            elif isinstance(one, str):
                one = PortInput(self.controllers[port].mask(one))
            else:
                one = PortInput(0 if one is None else int(one))
            masks.append(one.buttons)
            ports.append(one)
        return tuple(masks), tuple(ports) if analog else None

    def require(self, capability: Capability) -> None:
        """Raise `Unsupported` unless the machine has `capability`."""
        if capability not in self.capabilities:
            raise self._unsupported(capability)

    def _unsupported(self, capability: Capability) -> Unsupported:
        return Unsupported(f"{self.fingerprint.backend} ({self.fingerprint.core}) can't do {capability.name}")

    def _variable(self, name: str) -> Any:
        try:
            return self.variables[name]
        except KeyError:
            known = ", ".join(sorted(self.variables)) or "none"
            raise GameError(f"no variable '{name}' in this game's memory map; it has {known}") from None


BACKENDS = ("libretro", "atari", "native")


def backend(name: str) -> ModuleType:
    """The module of a backend: a part of frameperfect, or of the entry-point group `frameperfect.machines`.

    It has `open(spec) -> Machine`, `pool(spec, size, settings) -> Pool`, and
    `recognise(path) -> MachineSpec | None`; also `has(program) -> bool`, where games name programs that may
    not be installed.

    Raises:
        MachineError: no such backend.
        MissingComponent: it is known, and what it stands on is not installed.
    """
    if name in BACKENDS:
        try:
            return importlib.import_module(f"frameperfect.machines.{name}")
        except ModuleNotFoundError as missing:
            raise MissingComponent(
                f"the {name} machine needs '{missing.name}': pip install 'frameperfect[{name}]'"
            ) from missing
    for entry in importlib.metadata.entry_points(group="frameperfect.machines"):
        if entry.name == name:
            module = entry.load()
            assert isinstance(module, ModuleType)
            return module
    raise MachineError(f"no machine '{name}'; there are {', '.join(BACKENDS)}")


def open_machine(spec: MachineSpec) -> Machine:
    """Open the machine that `spec` describes, in this process."""
    machine = backend(spec.backend).open(spec)
    assert isinstance(machine, Machine)
    if unknown := set(spec.blocks) - set(machine.domains):
        machine.close()
        raise MachineError(
            f"the {spec.backend} machine finds no [domain.{min(unknown)}]; native games have those"
        )
    return machine
