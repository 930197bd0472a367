r"""The movie file of this project (.fpm): text that a person can read and diff, and that loses nothing.

    frameperfect movie 1
    game Airstriker-Genesis
    fingerprint picodrive 1a2b3c
    frame_rate 59.92274
    controller B A Mode Start Up Down Left Right C Y X Z
    start power-on
    frames 121
    inputs
    118
    2 B Right
    reset
    1 B Right | Start
    checkpoints
    60 00112233445566ff score=0
    121 8899aabbccddeeff score=20
    end 121

After the header (see `header`), a record is a run of equal frames: how many, then what each port holds,
`|` between ports; `name=value` is an axis, `@x,y,pressed` the pointer. A line of words is a command that acts
before the next frame. A movie that starts from a state has `state <bytes> <lines>` and, zlib-compressed
and in base64, the state before its inputs. A file without its last line is cut short and is refused.
"""

from __future__ import annotations

import base64
import binascii
import re
import zlib
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, NoReturn, TypeVar

import numpy as np
from numpy.typing import NDArray

from frameperfect.errors import MovieError
from frameperfect.machine import Controller
from frameperfect.movie.header import (
    Fields,
    checkpoint_lines,
    escape_name,
    lines,
    unescape,
    whole,
)
from frameperfect.movie.movie import MAX_FRAMES, Movie

if TYPE_CHECKING:
    from typing_extensions import ParamSpec

    P = ParamSpec("P")
T = TypeVar("T")

MAGIC = "frameperfect movie 1"
MAX_STATE = 256 << 20
"""Bytes that a start state may unpack to."""


def write(movie: Movie) -> bytes:
    """The movie as a file. Raises MovieError for text that is no Unicode."""
    out = [MAGIC, *(f"{key} {value}" for key, value in lines(movie)), f"frames {movie.frames}"]
    if isinstance(movie.start, bytes):
        packed = base64.b64encode(zlib.compress(movie.start, 9)).decode()
        rows = [packed[at : at + 100] for at in range(0, len(packed), 100)]
        out += [f"state {len(movie.start)} {len(rows)}", *rows]
    out.append("inputs")
    out += _records(movie)
    out.append("checkpoints")
    out += checkpoint_lines(movie)
    out.append(f"end {movie.frames}\n")
    try:
        return "\n".join(out).encode()
    except UnicodeEncodeError as error:
        raise MovieError(f"the movie's text can't be written: {error.reason}") from None


def read(data: bytes, name: str) -> Movie:
    """The movie in `data`; `name` is what errors call it.

    Raises:
        MovieError: what is wrong, with line and column.
    """
    return _Reader(data, name).movie()


def _records(movie: Movie) -> Iterator[str]:
    starts = movie._changes()
    lengths = np.diff([*starts, movie.frames])
    rows = _Rows(movie)
    run, length = "", 0
    for first, frames in zip(starts, lengths, strict=True):
        text = rows.text(first)
        if text == run and first not in movie.commands and length:
            length += int(frames)
            continue
        if length:
            yield f"{length}{run}"
        if first in movie.commands:
            yield movie.commands[first]
        run, length = text, int(frames)
    if length:
        yield f"{length}{run}"


class _Rows:
    """What a frame's inputs are called; a mask that was seen before is not spelled out again."""

    def __init__(self, movie: Movie) -> None:
        self._movie = movie
        self._known: dict[tuple[int, int], list[str]] = {}

    def text(self, frame: int) -> str:
        movie = self._movie
        ports = []
        for port, controller in enumerate(movie.controllers):
            mask = int(movie.inputs[frame, port])
            words = self._known.get((port, mask))
            if words is None:
                held = [button for bit, button in enumerate(controller.buttons) if mask >> bit & 1]
                words = self._known[port, mask] = [escape_name(button) for button in held]
            if movie.axes is not None:
                axes = enumerate(movie.axes[frame, port].tolist())
                words = [
                    *words,
                    *(f"{_axis_name(controller, axis)}={value}" for axis, value in axes if value),
                ]
            if movie.pointers is not None and movie.pointers[frame, port].any():
                words = [*words, "@" + ",".join(map(str, movie.pointers[frame, port].tolist()))]
            ports.append("".join(f" {word}" for word in words))
        return " |".join(ports).rstrip(" |")


def _axis_name(controller: Controller, axis: int) -> str:
    return escape_name(controller.axes[axis]) if axis < len(controller.axes) else f"/{axis}"


class _Reader:
    """Goes through the lines once; `at` is the number of the line in hand."""

    def __init__(self, data: bytes, name: str) -> None:
        self.name = name
        try:
            self.lines = data.decode().split("\n")
        except UnicodeDecodeError as error:
            line = data.count(b"\n", 0, error.start) + 1
            raise MovieError(f"{name}:{line}: not UTF-8 text; is this a movie of frameperfect?") from None
        self.at = 0
        self.fields = Fields()
        self.frames = 0

    def movie(self) -> Movie:
        if self.lines[0].rstrip("\r") != MAGIC:
            raise MovieError(f"{self.name}:1: no movie of frameperfect: it does not begin with '{MAGIC}'")
        self._header()
        controllers = tuple(self.fields.values.pop("controllers"))
        body = _Body(controllers)
        self._inputs(body)
        if body.frames != self.frames:
            self._fail(f"{body.frames} frames of input, but the header says {self.frames}")
        for line in self._section("end"):
            self._guard(self.fields.read_checkpoint, line)
        if self.lines[self.at - 1] != f"end {self.frames}" or any(self.lines[self.at :]):
            self._fail(f"expected 'end {self.frames}' as the last line")
        inputs, axes, pointers = body.arrays()
        return Movie(
            controllers=controllers, inputs=inputs, axes=axes, pointers=pointers, commands=body.commands,
            **self.fields.values,
        )  # fmt: skip

    def _header(self) -> None:
        self.at = 1
        for line in self._section("inputs"):
            key, _, value = line.partition(" ")
            if key == "frames":
                self.frames = self._guard(whole, value, "a frame count")
                if self.frames > MAX_FRAMES:
                    self._fail(f"{self.frames} frames; at most {MAX_FRAMES} are read")
            elif key == "state":
                self._state(value)
            else:
                self._guard(self.fields.read, key, value)
        if self.fields.values.get("start") == b"":
            self._fail("the header says 'start state', but there is no state")

    def _state(self, text: str) -> None:
        size, rows = (self._guard(whole, number, "a number") for number in (text + " ?").split(" ")[:2])
        if size > MAX_STATE:
            self._fail(f"a state of {size} bytes; at most {MAX_STATE} are read")
        packed = "".join(self.lines[self.at : self.at + rows])
        try:
            unpack = zlib.decompressobj()
            state = unpack.decompress(base64.b64decode(packed, validate=True), size + 1)
        except (binascii.Error, zlib.error) as error:
            self._fail(f"the start state is damaged ({error}); export the movie again")
        if len(state) != size or not unpack.eof:
            self._fail(f"the start state does not unpack to its {size} bytes; export the movie again")
        self.fields.values["start"] = state
        self.at += rows

    def _inputs(self, body: _Body) -> None:
        for line in self._section("checkpoints"):
            if line[:1].isdigit():
                self._guard(body.record, line)
            else:
                self._guard(body.command, line)

    def _section(self, end: str) -> Iterator[str]:
        """The lines up to the one that begins with the word `end`, which is passed."""
        while self.at < len(self.lines) - 1:
            line = self.lines[self.at] = self.lines[self.at].removesuffix("\r")
            self.at += 1
            if line.partition(" ")[0] == end:
                return
            yield line
        self.at = len(self.lines)
        raise MovieError(
            f"{self.name}:{self.at}: the movie is cut short: the file ends before its '{end}' line"
        )

    def _guard(self, function: Callable[P, T], *arguments: P.args, **named: P.kwargs) -> T:
        """Call `function`; what it does not understand becomes an error at this line."""
        try:
            return function(*arguments, **named)
        except _ColumnError as error:
            self._fail(str(error), error.column)
        except KeyError as error:
            self._fail(f"unknown key {error}")
        except ValueError as error:
            self._fail(str(error))

    def _fail(self, message: str, column: int = 1) -> NoReturn:
        raise MovieError(f"{self.name}:{self.at}:{column}: {message}") from None


class _ColumnError(ValueError):
    def __init__(self, message: str, column: int) -> None:
        super().__init__(message)
        self.column = column


class _Body:
    """The records of a file, unrolled at the end."""

    def __init__(self, controllers: tuple[Controller, ...]) -> None:
        self.controllers = controllers
        self.commands: dict[int, str] = {}
        self.frames = 0
        self.width = max((len(c.axes) for c in controllers), default=0)
        self.analog = False
        self.pointed = False
        self._buttons = [{name: 1 << bit for bit, name in enumerate(c.buttons)} for c in controllers]
        self._axes = [{name: axis for axis, name in enumerate(c.axes)} for c in controllers]
        self._known: dict[str, int] = {}
        self._rows: list[tuple[list[int], list[dict[int, int]], list[tuple[int, ...]]]] = []
        self._runs: list[tuple[int, int]] = []

    def command(self, line: str) -> None:
        if not re.fullmatch(r"[a-z][a-z0-9 -]*", line):
            raise ValueError(f"'{line}' is neither a run of frames nor a command")
        if self.frames in self.commands:
            raise ValueError("two command lines before one frame; write them on one line")
        self.commands[self.frames] = line

    def record(self, line: str) -> None:
        count, _, rest = line.partition(" ")
        length = whole(count, "a number of frames")
        if not length or self.frames + length > MAX_FRAMES:
            raise ValueError(f"a run of {length} frames; a movie has 1 to {MAX_FRAMES}")
        if rest not in self._known:
            self._known[rest] = len(self._rows)
            self._rows.append(self._row(rest, len(count) + 2))
        self._runs.append((self._known[rest], length))
        self.frames += length

    def _row(self, text: str, column: int) -> tuple[list[int], list[dict[int, int]], list[tuple[int, ...]]]:
        masks, axes = [0] * len(self.controllers), [{} for _ in self.controllers]  # type: list[int], list[dict[int, int]]
        pointers: list[tuple[int, ...]] = [(0, 0, 0)] * len(self.controllers)
        port = 0
        for match in re.finditer(r"[^ ]+", text):
            word, here = match[0], column + match.start()
            if word == "|":
                port += 1
                continue
            if port >= len(self.controllers):
                raise _ColumnError(
                    f"'{word}' on port {port}, but the header has {len(self.controllers)} controllers", here
                )
            try:
                if word.startswith("@"):
                    pointers[port] = tuple(_int16(number) for number in word[1:].split(","))
                    if len(pointers[port]) != 3:
                        raise ValueError("a pointer is @x,y,pressed")
                    self.pointed = True
                elif "=" in word:
                    name, _, value = word.partition("=")
                    axes[port][self._axis(port, name)] = _int16(value)
                    self.analog = True
                else:
                    masks[port] |= self._buttons[port][unescape(word)]
            except KeyError:
                has = ", ".join(self.controllers[port].buttons) or "none"
                raise _ColumnError(
                    f"port {port} has no button or axis '{word}'; it has {has}", here
                ) from None
            except ValueError as error:
                raise _ColumnError(str(error), here) from None
        return masks, axes, pointers

    def _axis(self, port: int, name: str) -> int:
        if not name.startswith("/"):
            return self._axes[port][unescape(name)]
        axis = whole(name[1:], "an axis")
        if axis >= 16:
            raise ValueError(f"axis {axis}; at most 16 are read")
        self.width = max(self.width, axis + 1)
        return axis

    def arrays(self) -> tuple[NDArray[np.uint32], NDArray[np.int16] | None, NDArray[np.int16] | None]:
        """Inputs, axes and pointers, one row a frame."""
        ports = len(self.controllers)
        order = np.repeat([row for row, _ in self._runs], [length for _, length in self._runs]).astype(
            np.intp
        )
        inputs = np.array([masks for masks, _, _ in self._rows], np.uint32).reshape(len(self._rows), ports)[
            order
        ]
        axes = pointers = None
        if self.analog:
            table = np.zeros((len(self._rows), ports, self.width), np.int16)
            for row, (_, sparse, _) in enumerate(self._rows):
                for port, values in enumerate(sparse):
                    for axis, value in values.items():
                        table[row, port, axis] = value
            axes = table[order]
        if self.pointed:
            pointers = np.array([row[2] for row in self._rows], np.int16).reshape(len(self._rows), ports, 3)[
                order
            ]
        return inputs, axes, pointers


def _int16(text: str) -> int:
    if not re.fullmatch(r"-?[0-9]{1,5}", text) or not -(1 << 15) <= int(text) < 1 << 15:
        raise ValueError(f"'{text}' is no 16-bit number")
    return int(text)
