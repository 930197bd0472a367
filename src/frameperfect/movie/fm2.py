"""FCEUX's movies (.fm2), text and binary.

After https://fceux.com/web/help/fm2.html and the reader and writer in FCEUX's `src/movie.cpp`: `key value`
lines beginning with `version 3`, then records `|commands|port 0|port 1|port 2|`. A pad is `RLDUTSBA` (any
character but `.` and space is pressed), a zapper `x y pressed bogus hit`. What FCEUX has no place for travels
in comments that begin with `frameperfect`.

A zapper's last two numbers, which FCEUX derives from its picture, are kept under `extra["zapper"]` as they
were read; a save state is kept as it stands (only the emulator that wrote it can load it).
"""

from __future__ import annotations

import base64
import contextlib
import re
from collections.abc import Callable
from typing import Any, NoReturn

import numpy as np
from numpy.typing import NDArray

from frameperfect.errors import MovieError
from frameperfect.machine import Controller
from frameperfect.movie.fm2_writer import COMMANDS, DEVICES, OWN_KEYS, PAD, ZAPPER, write
from frameperfect.movie.header import NOTE, Fields, whole
from frameperfect.movie.movie import MAX_FRAMES, Movie, remap

__all__ = ["read", "write"]

NTSC, PAL = 60.0988138974405, 50.0069789081886
"""Frames a second."""


def read(data: bytes, name: str) -> Movie:
    """The movie in `data`; `name` is what errors call it.

    Raises:
        MovieError: what is wrong, with line and column; or the movie is cut short.
    """
    return _Reader(data, name).movie()


class _Reader:
    def __init__(self, data: bytes, name: str) -> None:
        self.data, self.name = data, name
        self.line = 0
        self.keys: dict[str, str] = {}
        self.fields = Fields()
        self.author: str | None = None
        self.state: bytes | None = None
        self.records: list[list[Any]] = []
        self.zapper: list[str] = []

    def movie(self) -> Movie:
        body = self._header()
        ports = self._ports()
        commands: dict[int, int] = {}
        inputs, pointers = (
            self._binary(body, ports, commands)
            if self.keys.get("binary") == "1"
            else self._text(body, ports, commands)
        )
        fields = self.fields.values
        declared = tuple(fields.pop("controllers"))
        if declared:
            try:
                inputs = remap(inputs, ports, declared)
            except MovieError as error:
                self._fail(str(error))
            inputs = np.pad(inputs, ((0, 0), (0, len(declared) - inputs.shape[1])))
            if pointers is not None:
                pointers = np.pad(pointers, ((0, 0), (0, max(0, len(declared) - len(ports))), (0, 0)))
                pointers = pointers[:, : len(declared)]
        fields.setdefault("frame_rate", PAL if self.keys.get("palFlag") == "1" else NTSC)
        fields.setdefault("game", self.keys.get("romFilename", ""))
        fields.setdefault("system", "nes")
        if self.state is not None:
            fields["start"] = self.state
        if self.zapper:
            self.keys["zapper"] = " ".join(self.zapper)
        extra = {k: v for k, v in self.keys.items() if k not in OWN_KEYS}
        fields["extra"] = {**extra, **fields["extra"]}
        fields.setdefault("rerecords", int(self.keys.get("rerecordCount", "0")))
        fields.setdefault("author", self.author or "")
        return Movie(
            controllers=declared or ports, inputs=inputs, pointers=pointers,
            commands={f: " ".join(w for bit, w in COMMANDS.items() if c & bit) for f, c in commands.items()},
            **fields,
        )  # fmt: skip

    def _header(self) -> int:
        """Read the lines before the first record; returns where the records begin."""
        at = 0
        while at < len(self.data) and self.data[at : at + 1] != b"|":
            end = self.data.find(b"\n", at)
            end = len(self.data) if end < 0 else end
            self.line += 1
            try:
                text = self.data[at:end].decode().removesuffix("\r")
            except UnicodeDecodeError as error:
                self._fail("not UTF-8 text", error.start + 1)
            key, _, value = text.partition(" ")
            if self.line == 1 and (key, value) != ("version", "3"):
                self._fail("no FCEUX movie: it does not begin with 'version 3'")
            if key:
                self._key(key, value)
            at = end + 1
        self.line += 1
        return at

    def _key(self, key: str, value: str) -> None:
        if key == "comment":
            self._comment(value)
        elif key == "savestate":
            self.state = self._blob(value)
        elif key in ("subtitle",) and key in self.keys:
            self.keys[key] += "\n" + value
        else:
            if key in ("rerecordCount", "length", "port0", "port1", "port2"):
                self._guard(whole, value, "a whole number")
            self.keys[key] = value

    def _comment(self, text: str) -> None:
        if text.startswith(NOTE):
            key, _, value = text[len(NOTE) :].partition(" ")
            try:
                self._guard(self.fields.read, key, value)
            except KeyError:
                self.fields.values["comments"].append(text)
        elif text.startswith("author ") and self.author is None:
            self.author = text.removeprefix("author ")
        else:
            self.fields.values["comments"].append(text)

    def _blob(self, text: str) -> bytes:
        with contextlib.suppress(ValueError):  # binascii.Error is one
            if text.startswith("base64:"):
                return base64.b64decode(text.removeprefix("base64:"), validate=True)
            if text[:2].lower() == "0x":
                return bytes.fromhex(text[2:])
        return self._fail("the save state is neither base64: nor 0x", len("savestate ") + 1)

    def _ports(self) -> tuple[Controller, ...]:
        if self.keys.get("fourscore") == "1":
            return (PAD,) * 4
        devices = [int(self.keys.get(f"port{port}", "0")) for port in range(3)]
        for port, device in enumerate(devices):
            if device not in DEVICES or (port == 2 and device):
                self._fail(
                    f"port{port} holds device {device}; pads (1) and zappers (2) on ports 0 and 1 are read"
                )
        return tuple(DEVICES[device] for device in devices[:2])

    def _text(
        self, at: int, ports: tuple[Controller, ...], commands: dict[int, int]
    ) -> tuple[NDArray[np.uint32], NDArray[np.int16] | None]:
        try:
            text = self.data[at:].decode("ascii")
        except UnicodeDecodeError as error:
            self.line += self.data.count(b"\n", at, at + error.start)
            self._fail("a record is not ASCII text")
        rows: list[list[int]] = []
        pointers: list[list[tuple[int, int, int]]] = []
        known: dict[str, list[int]] = {}
        records = text.split("\n")
        for line in records:
            line = line.removesuffix("\r")
            if line:
                if len(rows) == MAX_FRAMES:
                    self._fail(f"more than {MAX_FRAMES} frames")
                if line not in known or ZAPPER in ports:
                    known[line] = self._record(line, ports, pointers, len(rows))
                row = known[line]
                if row[0]:
                    commands[len(rows)] = row[0]
                rows.append(row[1:])
            self.line += 1
        self.line -= 2  # back to the last record
        self._length(len(rows))
        inputs = np.array(rows, np.uint32).reshape(len(rows), len(ports))
        return inputs, np.array(pointers, np.int16) if ZAPPER in ports and rows else None

    def _record(
        self, line: str, ports: tuple[Controller, ...], pointers: list[list[tuple[int, int, int]]], frame: int
    ) -> list[int]:
        """Commands and masks of one record; its pointers go to the list."""
        parts = line.split("|")
        # the expansion port's field is always empty, and some programs leave it out
        if parts[0] or any(parts[len(ports) + 2 :]) or len(parts) - len(ports) not in (3, 4):
            cut = " (the file is cut short here)" if not line.endswith("|") else ""
            fields = len(ports) + 2
            self._fail(
                f"a record has {fields} fields between '|', this has {len(parts) - 2}{cut}", len(line) + 1
            )
        row = [self._guard(whole, parts[1], "a command number")]
        if row[0] >> 7:
            self._fail(f"command {row[0]} is unknown; the largest is 127", 2)
        column = 2 + len(parts[1]) + 1
        points: list[tuple[int, int, int]] = []
        for controller, part in zip(ports, parts[2:], strict=False):
            mask, point = 0, (0, 0, 0)
            if controller is PAD:
                if len(part) != 8:
                    self._fail(f"a pad has 8 characters, not {len(part)}", column)
                for character in part:
                    mask = mask << 1 | (character not in ". ")
            elif controller is ZAPPER:
                numbers = part.split()
                if len(numbers) != 5 or not all(re.fullmatch(r"[0-9]{1,20}", n) for n in numbers):
                    self._fail("a zapper is five numbers: x y pressed bogus hit", column)
                point = self._zap(frame, len(points), [int(n) for n in numbers])
            elif part:
                self._fail("this port holds nothing", column)
            row.append(mask)
            points.append(point)
            column += len(part) + 1
        pointers.append(points)
        return row

    def _zap(self, frame: int, port: int, numbers: list[int]) -> tuple[int, int, int]:
        x, y, pressed, bogus, hit = numbers
        if max(x, y, pressed, bogus) > 255 or hit >> 64:
            self._fail("a zapper's numbers are bytes, its last is 64 bits")
        if bogus or hit:
            self.zapper.append(f"{frame}:{port}:{bogus}:{hit}")
        return x, y, pressed

    def _binary(
        self, at: int, ports: tuple[Controller, ...], commands: dict[int, int]
    ) -> tuple[NDArray[np.uint32], NDArray[np.int16] | None]:
        if self.data[at : at + 1] != b"|":
            self._fail("no '|' before the binary records: the file is cut short")
        fields: list[Any] = [("command", "u1")]
        for port, controller in enumerate(ports):
            if controller is PAD:
                fields.append((f"pad{port}", "u1"))
            elif controller is ZAPPER:
                fields += [(f"zap{port}", "u1", 4), (f"hit{port}", "<u8")]
        form = np.dtype(fields)
        body = self.data[at + 1 :]
        count, rest = divmod(len(body), form.itemsize)
        if rest:
            self._fail(f"{rest} bytes of a record of {form.itemsize} at the end: the file is cut short")
        if count > MAX_FRAMES:
            self._fail(f"more than {MAX_FRAMES} frames")
        self._length(count)
        records = np.frombuffer(body, form)
        inputs = np.zeros((count, len(ports)), np.uint32)
        pointers = np.zeros((count, len(ports), 3), np.int16)
        for port, controller in enumerate(ports):
            if controller is PAD:
                inputs[:, port] = records[f"pad{port}"]
            elif controller is ZAPPER:
                for frame in range(count):
                    zap = [*records[f"zap{port}"][frame].tolist(), int(records[f"hit{port}"][frame])]
                    pointers[frame, port] = self._zap(frame, port, zap)
        for frame in np.flatnonzero(records["command"]).tolist():
            commands[frame] = int(records["command"][frame])
            if commands[frame] >> 7:
                self._fail(f"frame {frame}: command {commands[frame]} is unknown; the largest is 127")
        return inputs, pointers if ZAPPER in ports else None

    def _length(self, frames: int) -> None:
        said = int(self.keys.get("length", frames))
        if said != frames:
            self._fail(f"{frames} of {said} frames: the movie is cut short" if frames < said else
                       f"{frames} frames, but 'length {said}'")  # fmt: skip

    def _guard(self, function: Callable[..., Any], *arguments: Any) -> Any:
        try:
            return function(*arguments)
        except ValueError as error:
            self._fail(str(error))

    def _fail(self, message: str, column: int = 1) -> NoReturn:
        raise MovieError(f"{self.name}:{self.line}:{column}: {message}") from None
