"""A run: what was pressed at every frame, where it began, and the memory that it must lead to."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from frameperfect.errors import Desync, MovieError
from frameperfect.machine import STATE_MAGIC, Controller, Inputs, Machine, PortInput

CHECKPOINT_EVERY = 60
"""Frames between two memory hashes."""
MAX_FRAMES = 6_000_000
"""What a movie may hold (over 27 hours at 60 frames a second); a file that asks for more is refused."""
MAX_PORTS = 16
_COMMAND = re.compile(r"[a-z][a-z0-9-]*( [a-z][a-z0-9-]*)*")
_DIGEST = re.compile(r"[0-9a-f]{16}")


@dataclass(kw_only=True, eq=False)
class Movie:
    """One run of one game.

    `inputs` is (F, ports) uint32, one row a frame, bit `i` of a port being `controllers[port].buttons[i]`;
    `axes` is (F, ports, A) int16 and `pointers` (F, ports, 3) int16 (x, y, pressed), or None where nothing
    is analog. A command ("reset", "power"; several are sorted and separated by spaces) acts before its frame.
    """

    controllers: tuple[Controller, ...]
    inputs: NDArray[np.uint32]
    axes: NDArray[np.int16] | None = None
    pointers: NDArray[np.int16] | None = None
    commands: dict[int, str] = field(default_factory=dict)
    start: str | bytes | None = None
    """None: power-on. A string: that start of the game. Bytes: a sealed state of this machine, or a state in
    the emulator's own format as other programs' movies carry it."""
    checkpoints: list[tuple[int, str]] = field(default_factory=list)
    """(frames since the movie's start, `Machine.hash()` there), ascending."""
    values: dict[int, dict[str, int | float]] = field(default_factory=dict)
    """Variables at checkpoints, so that a difference can be named: frames done -> name -> value."""
    game: str = ""
    system: str = ""
    core: str = ""
    """The core to replay with; empty: the game's own."""
    options: dict[str, str] = field(default_factory=dict)
    """The backend's options that it was recorded with."""
    fingerprint: str = ""
    rom: str = ""
    """The program's hash, as the machine's fingerprint has it."""
    frame_rate: float = 60.0
    author: str = ""
    rerecords: int = 0
    comments: list[str] = field(default_factory=list)
    extra: dict[str, str] = field(default_factory=dict)
    """What a file said beyond all this, by its own keys; kept when it is written again."""

    def __post_init__(self) -> None:
        self.controllers = tuple(self.controllers)
        self.inputs = np.ascontiguousarray(self.inputs, np.uint32)
        ports = len(self.controllers)
        if self.inputs.ndim != 2 or self.inputs.shape[1] != ports:
            raise MovieError(f"a movie's inputs are (frames, {ports} ports), not {self.inputs.shape}")
        if self.frames > MAX_FRAMES or ports > MAX_PORTS:
            raise MovieError(
                f"{self.frames} frames on {ports} ports; at most {MAX_FRAMES} on {MAX_PORTS} fit"
            )
        for name, width in (("axes", None), ("pointers", 3)):
            analog = getattr(self, name)
            if analog is None:
                continue
            analog = np.ascontiguousarray(analog, np.int16)
            if (
                analog.ndim != 3
                or analog.shape[:2] != self.inputs.shape
                or width not in (None, analog.shape[2])
            ):
                raise MovieError(
                    f"a movie's {name} are (frames, ports, {width or 'axes'}), not {analog.shape}"
                )
            setattr(self, name, analog if analog.any() else None)
        if self.axes is not None:  # as many axes as the controllers have, or as are used
            used = int(np.flatnonzero(self.axes.any(axis=(0, 1)))[-1]) + 1
            width = max(used, *(len(controller.axes) for controller in self.controllers))
            self.axes = np.pad(self.axes, ((0, 0), (0, 0), (0, max(0, width - self.axes.shape[2]))))[
                :, :, :width
            ]
        for port, controller in enumerate(self.controllers):
            strange = np.flatnonzero(self.inputs[:, port] >> np.uint64(len(controller.buttons)))
            if len(strange):
                raise MovieError(
                    f"frame {strange[0]}: port {port} has no button {len(controller.buttons)} or above"
                )
        self.commands = {
            frame: " ".join(sorted({*command.split()})) for frame, command in sorted(self.commands.items())
        }
        for frame, command in self.commands.items():
            if not 0 <= frame < self.frames or not _COMMAND.fullmatch(command):
                raise MovieError(
                    f"command '{command}' at frame {frame} of {self.frames}: no such word or frame"
                )
        if self.start is not None and not self.start:
            raise MovieError("the movie's start is empty; None means power-on")
        before = 0
        for frame, digest in self.checkpoints:
            if not before < frame <= self.frames or not _DIGEST.fullmatch(digest):
                raise MovieError(f"checkpoint {digest} at frame {frame}: out of order, or no memory hash")
            before = frame
        self.values = {frame: values for frame, values in self.values.items() if values}
        if not self.values.keys() <= dict(self.checkpoints).keys():
            raise MovieError("the movie has variables' values where it has no checkpoint")

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Movie):
            return NotImplemented
        for name in self.__dataclass_fields__:
            mine, theirs = getattr(self, name), getattr(other, name)
            if isinstance(mine, np.ndarray) or isinstance(theirs, np.ndarray):
                if not _same(mine, theirs):
                    return False
            elif mine != theirs:
                return False
        return True

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        return f"<Movie {self.game or '?'}: {self.frames} frames, {len(self.checkpoints)} checkpoints>"

    @property
    def frames(self) -> int:
        """How many frames it has."""
        return int(self.inputs.shape[0])

    @property
    def seconds(self) -> float:
        """How long it takes on the real console."""
        return self.frames / self.frame_rate

    # -- playing it --------------------------------------------------------------------------------

    def replay(self, machine: Machine) -> Iterator[int]:
        """Play on `machine` from the movie's start, one frame at a time; yields the frames played so far.

        Raises:
            Desync: memory differs at a checkpoint; names the first variable that does, where they are known.
            MovieError: the machine lacks a button, a command or the start that the movie needs.
            StateMismatch: the movie starts from a state of another machine.
        """
        return self._play(machine, range(self.frames))

    def check(self, machine: Machine) -> int:
        """`replay` as fast as the machine goes; returns how many checkpoints matched."""
        for _ in self._play(machine, self._changes()):
            pass
        return len(self.checkpoints)

    def with_checkpoints(self, machine: Machine, every: int = CHECKPOINT_EVERY) -> Movie:
        """Play on `machine` and return the movie with that machine's fingerprint and checkpoints."""
        bare = replace(self, checkpoints=[], values={})
        bare._take_identity(machine)
        marks = sorted({*range(every, self.frames, every), self.frames} - {0})
        wanted = set(marks)
        for done in bare._play(machine, sorted({*self._changes(), *marks} - {self.frames})):
            if done in wanted:
                bare.checkpoints.append((done, machine.hash()))
                if machine.variables:
                    bare.values[done] = read_all(machine)
        return bare

    def begin(self, machine: Machine) -> None:
        """Bring `machine` to the movie's start."""
        if self.rom and self.rom != machine.fingerprint.game_hash:
            raise MovieError(
                f"the movie was made with program {self.rom[:12]}, this machine runs "
                f"{machine.fingerprint.game_hash[:12]}; open the game '{self.game}' with the same ROM"
            )
        if self.extra.get("MovieSaveRam.bin") or self.extra.get("saveram"):
            raise MovieError(
                "the movie starts with a battery's memory in the cartridge, which replay can't put there"
            )
        if self.start is None:
            machine.reset()
        elif isinstance(self.start, str):
            if machine.game is None:
                raise MovieError(
                    f"the movie starts at '{self.start}' of {self.game or 'its game'}; "
                    f"open that machine with frameperfect.open('{self.game}')"
                )
            machine.restore(machine.game.start_state(machine, self.start))
        elif self.start[: len(STATE_MAGIC)] == STATE_MAGIC:
            machine.restore(self.start)
        else:
            machine.reset()
            machine.import_state(self.start)

    def _play(self, machine: Machine, starts: range | list[int]) -> Iterator[int]:
        """Play runs of equal inputs that begin at `starts`; yields the frames done after each."""
        masks = remap(self.inputs, self.controllers, machine.controllers)
        axes, pointers = self.axes, self.pointers
        analog = axes is not None or pointers is not None
        expected = dict(self.checkpoints)
        matched = 0
        self.begin(machine)
        for index, first in enumerate(starts):
            done = starts[index + 1] if index + 1 < len(starts) else self.frames
            if first in self.commands:
                give_command(machine, self.commands[first], first)
            row = masks[first].tolist()
            inputs: Inputs = row
            if analog:
                inputs = [
                    PortInput(
                        buttons,
                        tuple(axes[first, port].tolist()) if axes is not None else (),
                        tuple(pointers[first, port].tolist()) if pointers is not None else None,
                    )
                    for port, buttons in enumerate(row)
                ]
            machine.advance(inputs, done - first)
            if done in expected:
                if machine.hash() != expected[done]:
                    raise self._desync(machine, done, matched)
                matched = done
            yield done

    def _changes(self) -> list[int]:
        """The frames at which inputs change, a command acts, or a checkpoint lies just before."""
        if not self.frames:
            return []
        differs = np.zeros(self.frames, np.bool_)
        differs[0] = True
        for rows in (self.inputs, self.axes, self.pointers):
            if rows is not None:
                flat = rows.reshape(self.frames, -1)
                differs[1:] |= (flat[1:] != flat[:-1]).any(axis=1)
        differs[list(self.commands)] = True
        differs[[frame for frame, _ in self.checkpoints if frame < self.frames]] = True
        return np.flatnonzero(differs).tolist()

    def _desync(self, machine: Machine, frame: int, matched: int) -> Desync:
        variable: str | None = None
        detail = f"equal at {matched}" if matched else ""
        for name, recorded in self.values.get(frame, {}).items():
            if name in machine.variables and (here := machine.read(name)) != recorded:
                variable, detail = name, f"{name}: {recorded} recorded, {here} here"
                break
        machine_here = str(machine.fingerprint)
        whence = f"recorded with {self.fingerprint or 'an unknown machine'}, here {machine_here}"
        if self.fingerprint == machine_here:
            whence = f"recorded and played with {machine_here}"
        text = f"memory differs from frame {frame} on" + (f" ({detail})" if detail else "") + f"; {whence}"
        return Desync(text, frame, variable)

    def _take_identity(self, machine: Machine) -> None:
        """Say which machine it was played on."""
        self.fingerprint = str(machine.fingerprint)
        self.rom = machine.fingerprint.game_hash
        self.core = machine.spec.core or ""
        self.options = dict(machine.spec.options)
        self.system = machine.spec.system or self.system
        self.frame_rate = machine.frame_rate
        self.game = self.game or (machine.game.name if machine.game is not None else machine.spec.name)

    # -- changing it -------------------------------------------------------------------------------

    def cut(self, frames: int) -> Movie:
        """Its first `frames` frames."""
        return replace(
            self,
            inputs=self.inputs[:frames],
            axes=None if self.axes is None else self.axes[:frames],
            pointers=None if self.pointers is None else self.pointers[:frames],
            commands={frame: command for frame, command in self.commands.items() if frame < frames},
            checkpoints=[(frame, digest) for frame, digest in self.checkpoints if frame <= frames],
            values={frame: values for frame, values in self.values.items() if frame <= frames},
        )

    def portable(self, machine: Machine) -> Movie:
        """The same run with its start as a state in the emulator's own format, which other programs can load.

        Raises as `begin` does, and Unsupported where the machine has no such format.
        """
        self.begin(machine)
        return replace(self, start=machine.export_state())

    def after(self, prefix: Movie) -> Movie:
        """This run with `prefix`, which led to its start, played before it: it starts where `prefix` does."""
        shift = prefix.frames
        controllers = (
            prefix.controllers if len(prefix.controllers) > len(self.controllers) else self.controllers
        )
        parts = [
            _widen(remap(part.inputs, part.controllers, controllers), len(controllers))
            for part in (prefix, self)
        ]
        return replace(
            self,
            controllers=controllers,
            inputs=np.concatenate(parts),
            axes=_join(prefix, self, "axes", len(controllers)),
            pointers=_join(prefix, self, "pointers", len(controllers)),
            commands={**prefix.commands, **{frame + shift: c for frame, c in self.commands.items()}},
            start=prefix.start,
            checkpoints=[(frame + shift, digest) for frame, digest in self.checkpoints],
            values={frame + shift: values for frame, values in self.values.items()},
        )


def give_command(machine: Machine, command: str, frame: int) -> None:
    """Do what `command` says before `frame`: "reset", "power", or both.

    Raises:
        MovieError: a word that this machine does not know.
        Unsupported: the console has no reset button.
    """
    for word in command.split():
        if word == "power":
            machine.reset()
        elif word == "reset":
            machine.press_reset()
        else:
            raise MovieError(f"frame {frame}: this machine has no '{word}'")


def canonical(button: str) -> str:
    """A button's name without what differs between programs: case, and the Atari's one button."""
    name = button.lower()
    return "button" if name == "fire" else name


def remap(
    inputs: NDArray[np.uint32], source: tuple[Controller, ...], target: tuple[Controller, ...]
) -> NDArray[np.uint32]:
    """The same buttons by name as masks of other controllers: (F, ports) -> (F, at most `target`'s ports).

    Raises:
        MovieError: a button that is pressed at some frame does not exist there.
    """
    ports = min(len(source), len(target))
    out = np.zeros((len(inputs), ports), np.uint32)
    for port, controller in enumerate(source):
        names = (
            {canonical(name): bit for bit, name in enumerate(target[port].buttons)} if port < ports else {}
        )
        for bit, name in enumerate(controller.buttons):
            pressed = (inputs[:, port] >> np.uint32(bit)) & np.uint32(1)
            to = names.get(canonical(name))
            if to is not None:
                out[:, port] |= pressed << np.uint32(to)
            elif pressed.any():
                has = ", ".join(target[port].buttons) if port < ports else f"{len(target)} ports"
                raise MovieError(
                    f"frame {int(pressed.argmax())}: port {port} presses '{name}'; there it has {has}"
                )
    return out


def _same(one: NDArray[np.generic] | None, other: NDArray[np.generic] | None) -> bool:
    return (one is None) == (other is None) and (one is None or np.array_equal(one, other))  # type: ignore[arg-type]


def _widen(masks: NDArray[np.uint32], ports: int) -> NDArray[np.uint32]:
    return np.pad(masks, ((0, 0), (0, ports - masks.shape[1])))


def _join(first: Movie, second: Movie, name: str, ports: int) -> NDArray[np.int16] | None:
    """The analog rows of two movies one after the other; resting where one of them has none."""
    parts = [getattr(movie, name) for movie in (first, second)]
    width = max((part.shape[2] for part in parts if part is not None), default=0)
    if not width:
        return None
    out = np.zeros((first.frames + second.frames, ports, width), np.int16)
    for part, offset in zip(parts, (0, first.frames), strict=True):
        if part is not None:
            out[offset : offset + part.shape[0], : part.shape[1], : part.shape[2]] = part
    return out


def read_all(machine: Machine) -> dict[str, int | float]:
    """The variables of `machine` now, by name."""
    return {name: machine.read(name) for name in machine.variables}
