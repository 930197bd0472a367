"""BizHawk's movies (.bk2), and stable-retro's variant of them.

A zip of text files, after BizHawk's `Bk2Movie.IO.cs`, `Bk2LogEntryGenerator.cs` and
https://tasvideos.org/Bizhawk/BK2Format: `Header.txt` (`key value` lines), `Comments.txt`, `Subtitles.txt`,
`SyncSettings.json`, `Input Log.txt`, and `Core.bin` where it starts from a state. The order of an input
line's columns is what its `LogKey:` says: one character a button (`.` is released), an axis a number and a
comma.

stable-retro (`src/movie-bk2.cpp`) says `MovieVersion Retro`, leaves out `LogKey:` and the group of the
console, always starts from a state, and plays the first frame without input;
`movie.extra["MovieVersion"] = "Retro"` writes that.

Not carried: BizHawk's `Framebuffer.bmp` (the picture that belongs to a start state); pointers are refused.
"""

from __future__ import annotations

import base64
import io
import re
import struct
import zipfile
import zlib
from dataclasses import dataclass
from typing import NoReturn, Protocol

import numpy as np

from frameperfect.errors import MissingComponent, MovieError
from frameperfect.machine import Controller
from frameperfect.movie.bk2_writer import KEPT_FILES, OWN_KEYS, write
from frameperfect.movie.header import NOTE, Fields, whole
from frameperfect.movie.movie import MAX_FRAMES, MAX_PORTS, Movie, remap
from frameperfect.movie.systems import System, find

__all__ = ["read", "write"]

MAX_TEXT = 128 << 20
MAX_STATE = 256 << 20
"""Bytes that a text or a state may unpack to; a zip that holds more is refused before it is unpacked."""
_ZSTD = b"\x28\xb5\x2f\xfd"
_PLAYER = re.compile(r"P([0-9]{1,2}) (.+)")
_AXIS = re.compile(r" *-?[0-9]+,")


def read(data: bytes, name: str) -> Movie:
    """The movie in `data`; `name` is what errors call it.

    Raises:
        MovieError: what is wrong, with file, line and column; cut short, or unpacks to too much.
        MissingComponent: it holds a zstd-compressed state and 'zstandard' is not installed.
    """
    return _Reader(data, name).movie()


@dataclass(frozen=True, slots=True)
class _Column:
    """One column of the input log: a command, or a control of a port."""

    port: int
    name: str
    command: str = ""


class _Reader:
    def __init__(self, data: bytes, name: str) -> None:
        self.name = name
        try:
            self.zip = zipfile.ZipFile(io.BytesIO(data))
        except (zipfile.BadZipFile, struct.error, ValueError, NotImplementedError) as error:
            raise MovieError(f"{name}: no .bk2 movie, or cut short ({error})") from None
        self.members = {info.filename.lower(): info for info in self.zip.infolist()}
        self.where, self.line = "", 0
        self.fields = Fields()

    def movie(self) -> Movie:
        keys = self._header()
        retro = keys.get("MovieVersion") == "Retro"
        system_name, system = find(keys.get("Platform", ""))
        self._comments()
        log = self._log(system)
        fields = self.fields.values
        declared = tuple(fields.pop("controllers"))
        if declared:
            log = self._declared(log, declared)
        extra = {key: value for key, value in keys.items() if key not in OWN_KEYS}
        for lump in KEPT_FILES:
            if (text := self._text(lump)) is not None:
                extra[lump] = text
        start = self._start(keys, retro, extra)
        if start is not None:
            fields["start"] = start
        if keys.get("StartsFromSaveRam", "").lower() == "true":
            extra["MovieSaveRam.bin"] = base64.b64encode(
                self._bytes("MovieSaveRam.bin", MAX_STATE) or b""
            ).decode()
        fields["extra"] = {**extra, **fields["extra"]}
        fields.setdefault("author", keys.get("Author", "") if not retro or keys.get("Author") != "?" else "")
        game = keys.get("GameName", "")
        fields.setdefault("game", re.sub(r"-v[0-9]+$", "", game) if retro else game)
        fields.setdefault("system", system_name)
        if retro and start is not None and system is not None:
            fields.setdefault("core", system.retro_core)
        rate = system.frame_rate if system is not None else 60.0
        fields.setdefault(
            "frame_rate", rate * 50 / 60 if keys.get("PAL", "").lower() in ("1", "true") else rate
        )
        fields.setdefault("rerecords", self._guard(keys.get("rerecordCount", "0")))
        return Movie(
            controllers=declared or log.controllers, inputs=log.inputs, axes=log.axes, commands=log.commands,
            **fields,
        )  # fmt: skip

    # -- the archive -------------------------------------------------------------------------------

    def _bytes(self, lump: str, limit: int) -> bytes | None:
        """A member, with or without its extension (older files), unpacked no further than `limit`."""
        info = self.members.get(lump.lower()) or self.members.get(lump.lower().rpartition(".")[0])
        if info is None:
            return None
        self.where, self.line = f"{self.name}/{info.filename}", 0
        if info.file_size > limit:
            self._fail(f"unpacks to {info.file_size} bytes; at most {limit} are read")
        if info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
            self._fail("packed in another way than a .bk2 is; zip it with 'deflate'")
        try:
            with self.zip.open(info) as member:
                data = member.read(limit + 1)
        except (
            zipfile.BadZipFile,
            zlib.error,
            struct.error,
            EOFError,
            ValueError,
            RuntimeError,
            OSError,
        ) as error:
            self._fail(f"damaged ({error}); copy the file again")
        if data[:4] == _ZSTD:
            data = self._zstd(data, limit)
        if len(data) > limit:
            self._fail(f"unpacks to more than {limit} bytes")
        return data

    def _zstd(self, data: bytes, limit: int) -> bytes:
        try:
            import zstandard
        except ImportError:
            raise MissingComponent(
                f"{self.where} is zstd-compressed: pip install 'frameperfect[movies]'"
            ) from None
        try:
            with zstandard.ZstdDecompressor().stream_reader(data) as stream:
                return bytes(stream.read(limit + 1))
        except zstandard.ZstdError as error:
            self._fail(f"damaged ({error}); copy the file again")

    def _text(self, lump: str) -> str | None:
        data = self._bytes(lump, MAX_TEXT)
        if data is None:
            return None
        try:
            return data.decode("utf-8-sig")
        except UnicodeDecodeError as error:
            self.line = data.count(b"\n", 0, error.start) + 1
            self._fail("not UTF-8 text")

    def _header(self) -> dict[str, str]:
        text = self._text("Header.txt")
        if text is None:
            raise MovieError(f"{self.name}: no .bk2 movie: it has no Header.txt")
        keys = {}
        for line in text.replace("\r\n", "\n").split("\n"):
            key, _, value = line.partition(" ")
            if key:
                keys[key] = value
        return keys

    def _comments(self) -> None:
        text = (self._text("Comments.txt") or "").replace("\r\n", "\n")
        for self.line, line in enumerate(text.split("\n"), 1):
            if line.startswith(NOTE):
                key, _, value = line[len(NOTE) :].partition(" ")
                try:
                    self.fields.read(key, value)
                except KeyError:
                    self.fields.values["comments"].append(line)
                except ValueError as error:
                    self._fail(str(error))
            elif line:
                self.fields.values["comments"].append(line)

    def _start(self, keys: dict[str, str], retro: bool, extra: dict[str, str]) -> bytes | None:
        if not retro and keys.get("StartsFromSavestate", "").lower() != "true":
            return None
        state = self._bytes("Core.bin", MAX_STATE)
        if state is None and (state := self._bytes("CoreText.txt", MAX_STATE)) is not None:
            extra["CoreText.txt"] = "1"
        if state is None and not retro:
            raise MovieError(f"{self.name}: starts from a state, but holds none (Core.bin); record it again")
        return state

    # -- the input log -----------------------------------------------------------------------------

    def _log(self, system: System | None) -> _Log:
        text = self._text("Input Log.txt")
        if text is None:
            raise MovieError(f"{self.name}: no .bk2 movie: it has no Input Log.txt")
        columns: list[_Column] | None = None
        log: _Log | None = None
        closed = False
        for self.line, line in enumerate(text.replace("\r\n", "\n").split("\n"), 1):
            if line.startswith("|"):
                if columns is None:
                    self._fail("a record before the LogKey line")
                if closed:
                    self._fail("a record after [/Input]")
                if log is None:
                    log = _Log(columns, self._axes(line, columns))
                if len(log.order) == MAX_FRAMES:
                    self._fail(f"more than {MAX_FRAMES} frames")
                log.add(line, self._fail)
            elif line.startswith("LogKey:"):
                columns = self._columns(line.removeprefix("LogKey:"), system)
            elif line == "[/Input]":
                closed = True
            elif "|" in line and columns is None:
                columns = [_Column(0, "", "reset"), _Column(0, "", "power"), *self._columns(line, system)]
        if not closed:
            self._fail("the movie is cut short: the log has no [/Input]")
        if columns is None:
            self._fail("no LogKey line: what its columns mean is unknown")
        log = log or _Log(columns, [False] * len(columns))
        log.finish()
        return log

    def _columns(self, key: str, system: System | None) -> list[_Column]:
        columns = []
        for text in (one for group in key.split("#") for one in group.split("|") if one):
            player = _PLAYER.fullmatch(text)
            port, name = (int(player[1]) - 1, player[2]) if player else (0, text)
            if not 0 <= port < MAX_PORTS:
                self._fail(f"column '{text}': players are 1 to {MAX_PORTS}")
            command = ""
            if player is None and system is not None and name in system.switches:
                name = system.switches[name]
            elif name == "Power" or (name == "Reset" and player is None):
                command = name.lower()
            columns.append(_Column(port, name, command))
        return columns

    def _axes(self, line: str, columns: list[_Column]) -> list[bool]:
        """Which columns are axes: the key does not say, but a number padded to five and a comma does."""
        found, at = [], 0
        for column in columns:
            while line[at : at + 1] == "|":
                at += 1
            match = _AXIS.match(line, at) if not column.command else None
            axis = match is not None and len(match[0]) >= 6 and abs(int(match[0][:-1])) < 1 << 16
            found.append(axis)
            at = match.end() if match is not None and axis else at + 1
        return found

    def _declared(self, log: _Log, declared: tuple[Controller, ...]) -> _Log:
        """The log on the controllers that the movie was made with."""
        try:
            inputs = remap(log.inputs, log.controllers, declared)
        except MovieError as error:
            self._fail(str(error))
        source, ports = log.axes, len(declared)
        log.inputs = np.pad(inputs, ((0, 0), (0, ports - inputs.shape[1])))
        if source is not None:
            log.axes = np.zeros((len(inputs), ports, max([1, *(len(c.axes) for c in declared)])), np.int16)
            for port, controller in enumerate(log.controllers):
                for axis, name in enumerate(controller.axes):
                    if port < ports and name in declared[port].axes:
                        log.axes[:, port, declared[port].axes.index(name)] = source[:, port, axis]
                    elif source[:, port, axis].any():
                        self._fail(f"axis '{name}' of port {port} is not on the declared controller")
        return log

    def _guard(self, text: str) -> int:
        try:
            return whole(text, "a rerecord count")
        except ValueError as error:
            raise MovieError(f"{self.name}/Header.txt: {error}") from None

    def _fail(self, message: str, column: int = 1) -> NoReturn:
        raise MovieError(f"{self.where}{f':{self.line}:{column}' if self.line else ''}: {message}") from None


class _Fail(Protocol):
    def __call__(self, message: str, column: int = 1) -> NoReturn: ...


class _Log:
    """The records, each different line understood once."""

    def __init__(self, columns: list[_Column], axes: list[bool]) -> None:
        self.columns = list(zip(columns, axes, strict=True))
        ports = max((column.port for column in columns), default=0) + 1
        buttons: list[dict[str, int]] = [{} for _ in range(ports)]
        named: list[dict[str, int]] = [{} for _ in range(ports)]
        for column, axis in self.columns:
            if not column.command:
                names = named[column.port] if axis else buttons[column.port]
                names.setdefault(column.name, len(names))
        if any(len(names) > 32 for names in buttons):
            raise MovieError("a controller with more than 32 buttons; keyboards are not read")
        self.buttons, self.axis = buttons, named
        self.controllers = tuple(Controller(tuple(b), tuple(a)) for b, a in zip(buttons, named, strict=True))
        self.commands: dict[int, str] = {}
        self.order: list[int] = []
        self.rows: list[tuple[list[int], list[list[int]], str]] = []
        self.known: dict[str, int] = {}

    def add(self, line: str, fail: _Fail) -> None:
        index = self.known.get(line)
        if index is None:
            index = self.known[line] = len(self.rows)
            self.rows.append(self._row(line, fail))
        if self.rows[index][2]:
            self.commands[len(self.order)] = self.rows[index][2]
        self.order.append(index)

    def _row(self, line: str, fail: _Fail) -> tuple[list[int], list[list[int]], str]:
        masks = [0] * len(self.controllers)
        axes = [[0] * len(controller.axes) for controller in self.controllers]
        commands = []
        at = 0
        for column, axis in self.columns:
            while line[at : at + 1] == "|":
                at += 1
            if at >= len(line):
                fail(f"the record ends before column '{column.name or column.command}'", at + 1)
            if axis:
                match = _AXIS.match(line, at)
                if match is None or not -(1 << 15) <= int(match[0][:-1]) < 1 << 15:
                    fail(f"axis '{column.name}' needs a 16-bit number and a comma", at + 1)
                axes[column.port][self.axis[column.port][column.name]] = int(match[0][:-1])
                at = match.end()
                continue
            if line[at] != ".":
                if column.command:
                    commands.append(column.command)
                else:
                    masks[column.port] |= 1 << self.buttons[column.port][column.name]
            at += 1
        if line[at:].strip("|"):
            fail(f"the record has more columns than the key's {len(self.columns)}", at + 1)
        if not line.endswith("|"):
            fail("the record does not end with '|': the movie is cut short here", len(line) + 1)
        return masks, axes, " ".join(commands)

    def finish(self) -> None:
        """Make the arrays."""
        ports = len(self.controllers)
        order = np.array(self.order, np.intp)
        self.inputs = np.array([row[0] for row in self.rows], np.uint32).reshape(len(self.rows), ports)[order]
        self.axes = None
        width = max(len(controller.axes) for controller in self.controllers)
        if width:
            table = np.zeros((len(self.rows), ports, width), np.int16)
            for index, (_, axes, _) in enumerate(self.rows):
                for port, values in enumerate(axes):
                    table[index, port, : len(values)] = values
            self.axes = table[order]
