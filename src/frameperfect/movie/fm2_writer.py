"""Writes FCEUX's movies (.fm2), in the order of its own writer; `fm2` says what the files hold."""

from __future__ import annotations

import base64
import re
import uuid
from collections.abc import Iterator
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from frameperfect.errors import MovieError
from frameperfect.machine import Controller
from frameperfect.movie.header import NOTE, checkpoint_lines, escape, escape_name, lines
from frameperfect.movie.movie import Movie, remap

PAD = Controller(("A", "B", "Select", "Start", "Up", "Down", "Left", "Right"))
ZAPPER = Controller((), pointer=True)
NOTHING = Controller(())
_LETTERS = "ABSTUDLR"  # by bit; written from the last to the first
DEVICES = {0: NOTHING, 1: PAD, 2: ZAPPER}
COMMANDS = {
    1: "reset", 2: "power", 4: "fds-insert", 8: "fds-select", 16: "coin", 32: "coin2", 64: "service"
}  # fmt: skip
# FCEUX's order; each with what is written where the movie says nothing.
_KEYS = {
    "emuVersion": "22020", "palFlag": "0", "romFilename": "", "romChecksum": f"base64:{'A' * 22}==",
    "guid": "", "fourscore": "0", "microphone": "0", "port0": "1", "port1": "0", "port2": "0", "FDS": "0",
    "NewPPU": "0",
    "RAMInitOption": "0", "RAMInitSeed": "0",
}  # fmt: skip
OWN_KEYS = {
    "fourscore", "port0", "port1", "port2", "rerecordCount", "length", "savestate", "comment", "version"
}  # fmt: skip
"""Of the header, which are fields of a movie; all others are kept in `extra`."""
_KEY = re.compile(r"[A-Za-z][A-Za-z0-9_]*")


def write(movie: Movie) -> bytes:
    """The movie as FCEUX writes it; binary where `movie.extra["binary"]` is "1".

    Raises:
        MovieError: what FCEUX's format has no place for: more than four pads, axes, other buttons.
    """
    ports = _devices(movie)
    if isinstance(movie.start, str):
        raise MovieError(
            f"an .fm2 starts at power-on, this movie at '{movie.start}' of {movie.game or 'its game'}; "
            "convert it with its game, which plays the start first"
        )
    if movie.axes is not None:
        raise MovieError("an .fm2 has no axes")
    masks = remap(movie.inputs, movie.controllers, ports)
    masks = np.pad(masks, ((0, 0), (0, len(ports) - masks.shape[1])))
    binary = movie.extra.get("binary") == "1"
    try:
        head = "".join(f"{line}\n" for line in _head(movie, ports, binary)).encode()
    except UnicodeEncodeError as error:
        raise MovieError(f"the movie's text can't be written: {error.reason}") from None
    if binary:
        return head + b"|" + _binary_body(movie, ports, masks)
    return head + _text_body(movie, ports, masks).encode()


def _devices(movie: Movie) -> tuple[Controller, ...]:
    """What is plugged in: two ports, or four pads where a third one is pressed or declared."""
    pointed = [
        movie.pointers is not None and bool(movie.pointers[:, port].any())
        for port in range(len(movie.controllers))
    ]
    devices = [
        ZAPPER if pointed[port] or (c.pointer and not c.buttons) else PAD if c.buttons else NOTHING
        for port, c in enumerate(movie.controllers)
    ]
    while devices and devices[-1] is PAD and len(devices) > 2 and not movie.inputs[:, len(devices) - 1].any():
        devices.pop()
    while len(devices) > 2 and devices[-1] is NOTHING:
        devices.pop()
    if len(devices) <= 2:
        return tuple([*devices, NOTHING, NOTHING][:2])
    if len(devices) > 4 or ZAPPER in devices:
        raise MovieError("an .fm2 has two ports, or four pads on a Four Score")
    return (PAD,) * 4


def _head(movie: Movie, ports: tuple[Controller, ...], binary: bool) -> Iterator[str]:
    device = {id(NOTHING): "0", id(PAD): "1", id(ZAPPER): "2"}
    values = _KEYS | {
        "palFlag": str(int(movie.frame_rate < 55)),
        "romFilename": movie.game,
        "guid": str(uuid.uuid5(uuid.NAMESPACE_OID, movie.inputs.tobytes().hex()[:4096])).upper(),
        **{key: value for key, value in movie.extra.items() if key in _KEYS and _clean(value)},
        "fourscore": str(int(len(ports) == 4)),
        "port0": "1" if len(ports) == 4 else device[id(ports[0])],
        "port1": "1" if len(ports) == 4 else device[id(ports[1])],
        "port2": "0",
    }
    yield "version 3"
    yield f"emuVersion {values.pop('emuVersion')}"
    yield f"rerecordCount {movie.rerecords}"
    for key, value in values.items():
        yield f"{key} {escape(value)}"
    if movie.author or any(comment.startswith("author ") for comment in movie.comments):
        yield f"comment author {movie.author}" if _clean(movie.author) else "comment author "
    for key, value in lines(replace(movie, extra={}, comments=[], rerecords=0)):
        if key != "author" or not _clean(movie.author):
            yield f"comment {NOTE}{key} {value}"
    for comment in movie.comments:
        plain = _clean(comment) and not comment.startswith(NOTE)
        yield f"comment {comment}" if plain else f"comment {NOTE}comment {escape(comment)}"
    special = {"binary": binary, "zapper": ZAPPER in ports, "saveram": _clean(movie.extra.get("saveram", ""))}
    raw = {}
    for key, value in movie.extra.items():
        parts = value.split("\n") if key == "subtitle" else [value]
        if (
            key in OWN_KEYS
            or not _KEY.fullmatch(key)
            or not all(map(_clean, parts))
            or not special.get(key, True)
        ):
            yield f"comment {NOTE}extra {escape_name(key)} {escape(value)}"
        elif key not in _KEYS and key not in special:
            raw[key] = parts
    for line in checkpoint_lines(movie):
        yield f"comment {NOTE}checkpoint {line}"
    for key, parts in raw.items():
        for part in parts:
            yield f"{key} {part}"
    if binary:
        yield "binary 1"
    if isinstance(movie.start, bytes):
        yield f"savestate base64:{base64.b64encode(movie.start).decode()}"
    if "saveram" in movie.extra and special["saveram"]:
        yield f"saveram {movie.extra['saveram']}"
    yield f"length {movie.frames}"


def _clean(text: str) -> bool:
    """Whether a line can hold it as it stands."""
    return not any(character < " " or character == "\x7f" for character in text)


def _command_bits(movie: Movie) -> dict[int, int]:
    bits = {word: bit for bit, word in COMMANDS.items()}
    out = {}
    for frame, text in movie.commands.items():
        try:
            out[frame] = sum(bits[word] for word in set(text.split()))
        except KeyError as unknown:
            raise MovieError(f"frame {frame}: an .fm2 has no command {unknown}") from None
    return out


def _zaps(movie: Movie) -> dict[tuple[int, int], tuple[int, int]]:
    """The zappers' numbers that we don't interpret: (frame, port) -> (bogus, hit)."""
    out = {}
    for word in movie.extra.get("zapper", "").split():
        if not re.fullmatch(r"[0-9]{1,7}:[01]:[0-9]{1,3}:[0-9]{1,20}", word):
            raise MovieError(f"extra['zapper']: '{word}' is not frame:port:bogus:hit")
        frame, port, bogus, hit = map(int, word.split(":"))
        out[frame, port] = (bogus & 255, hit & (1 << 64) - 1)
    return out


def _points(movie: Movie, port: int) -> NDArray[np.int16]:
    if movie.pointers is None or port >= movie.pointers.shape[1]:
        return np.zeros((movie.frames, 3), np.int16)
    points = movie.pointers[:, port]
    if points.min(initial=0) < 0 or points.max(initial=0) > 255:
        raise MovieError(f"port {port}: a zapper's position and trigger are 0 to 255 in an .fm2")
    return points


def _text_body(movie: Movie, ports: tuple[Controller, ...], masks: NDArray[np.uint32]) -> str:
    commands, zaps = _command_bits(movie), _zaps(movie)
    points = {port: _points(movie, port) for port, controller in enumerate(ports) if controller is ZAPPER}
    pads = [
        "".join(_LETTERS[bit] if mask >> bit & 1 else "." for bit in range(7, -1, -1)) for mask in range(256)
    ]
    out = []
    for frame, row in enumerate(masks.tolist()):
        fields = [str(commands.get(frame, 0))]
        for port, controller in enumerate(ports):
            if controller is PAD:
                fields.append(pads[row[port]])
            elif controller is ZAPPER:
                x, y, pressed = points[port][frame].tolist()
                bogus, hit = zaps.get((frame, port), (0, 0))
                fields.append(f"{x:03d} {y:03d} {pressed} {bogus} {hit}")
            else:
                fields.append("")
        out.append("|" + "|".join(fields) + "||\n")
    return "".join(out)


def _binary_body(movie: Movie, ports: tuple[Controller, ...], masks: NDArray[np.uint32]) -> bytes:
    commands, zaps = _command_bits(movie), _zaps(movie)
    points = {port: _points(movie, port) for port, controller in enumerate(ports) if controller is ZAPPER}
    out = bytearray()
    for frame, row in enumerate(masks.tolist()):
        out.append(commands.get(frame, 0))
        for port, controller in enumerate(ports):
            if controller is PAD:
                out.append(row[port])
            elif controller is ZAPPER:
                bogus, hit = zaps.get((frame, port), (0, 0))
                out += bytes([*points[port][frame].tolist(), bogus]) + hit.to_bytes(8, "little")
    return bytes(out)
