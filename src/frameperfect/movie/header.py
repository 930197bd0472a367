"""What a movie says besides its inputs, as `key value` lines.

The movie file of this project begins with these lines. Formats that have no place for some of them (fm2, bk2)
carry them among their comments, so that an exported movie still verifies here.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from typing import Any

import numpy as np

from frameperfect.machine import Controller
from frameperfect.movie.movie import MAX_FRAMES, MAX_PORTS, Movie

NOTE = "frameperfect "
"""Begins a comment that is one of these lines."""

MAX_VALUES = 20_000_000
"""Values of variables at checkpoints, all together, that are read."""

_ESCAPED = re.compile(r"\\(x[0-9a-fA-F]{2}|.?)", re.DOTALL)
_NAMED = {"\\": "\\", "n": "\n", "r": "\r", "0": ""}


def escape(text: str, special: str = "") -> str:
    r"""`text` on one line: backslashes, control characters and those in `special` as `\\`, `\n` or `\xHH`."""
    out = []
    for character in text:
        if character == "\\":
            out.append("\\\\")
        elif character == "\n":
            out.append("\\n")
        elif character < " " or character == "\x7f" or character in special:
            out.append(f"\\x{ord(character):02x}")
        else:
            out.append(character)
    return "".join(out)


def unescape(text: str) -> str:
    """What `escape` was given. Raises ValueError."""

    def one(match: re.Match[str]) -> str:
        body = match[1]
        if body in _NAMED:
            return _NAMED[body]
        if len(body) == 3:
            return chr(int(body[1:], 16))
        raise ValueError(f"'\\{body}' is no escape; write a backslash as '\\\\'")

    return _ESCAPED.sub(one, text)


def escape_name(name: str) -> str:
    """A button's, an axis's or a variable's name as one word of a line."""
    return escape(name, special=" |=,@/") or "\\0"


def lines(movie: Movie) -> Iterator[tuple[str, str]]:
    """Key and value of each line that says something else than the default."""
    for key in ("game", "system", "core", "fingerprint", "rom", "author"):
        if getattr(movie, key):
            yield key, escape(getattr(movie, key))
    for name, value in movie.options.items():
        yield "option", f"{escape_name(name)} {escape(value)}"
    yield "frame_rate", repr(float(movie.frame_rate))
    for controller in movie.controllers:
        yield "controller", _controller(controller)
    if movie.start is None:
        yield "start", "power-on"
    else:
        yield "start", f"named {escape(movie.start)}" if isinstance(movie.start, str) else "state"
    if movie.rerecords:
        yield "rerecords", str(movie.rerecords)
    for comment in movie.comments:
        yield "comment", escape(comment)
    for name, value in movie.extra.items():
        yield "extra", f"{escape_name(name)} {escape(value)}"


def checkpoint_lines(movie: Movie) -> Iterator[str]:
    """`<frames> <hash> <variable>=<value>…` for each checkpoint.

    Only what changed since the checkpoint before is said; `<variable>=` says that it is no longer recorded.
    """
    before: dict[str, str] = {}
    for frame, digest in movie.checkpoints:
        now = {name: _number(value) for name, value in movie.values.get(frame, {}).items()}
        words = [
            f"{escape_name(name)}={now.get(name, '')}"
            for name in {**before, **now}
            if before.get(name) != now.get(name)
        ]
        yield " ".join([str(frame), digest, *words])
        before = now


class Fields:
    """The lines of a header, read one by one, as arguments of `Movie`."""

    def __init__(self) -> None:
        self._known: dict[str, int | float] = {}
        self.values: dict[str, Any] = {
            "controllers": [], "options": {}, "comments": [], "extra": {}, "checkpoints": [], "values": {}
        }  # fmt: skip

    def read(self, key: str, text: str) -> None:
        """Take one line in. Raises ValueError, and KeyError for a key that is none of ours."""
        into = self.values
        if key in ("game", "system", "core", "fingerprint", "rom", "author"):
            into[key] = unescape(text)
        elif key in ("option", "extra"):
            name, _, value = text.partition(" ")
            into["options" if key == "option" else key][unescape(name)] = unescape(value)
        elif key == "frame_rate":
            into[key] = float(text)
            if not 0 < into[key] < math.inf:
                raise ValueError(f"{text} is no frame rate")
        elif key == "controller":
            if len(into["controllers"]) == MAX_PORTS:
                raise ValueError(f"more than {MAX_PORTS} controllers")
            into["controllers"].append(_read_controller(text))
        elif key == "start":
            into[key] = _read_start(text)
        elif key == "rerecords":
            into[key] = whole(text, "a rerecord count")
        elif key == "comment":
            into["comments"].append(unescape(text))
        elif key == "checkpoint":
            self.read_checkpoint(text)
        else:
            raise KeyError(key)

    def read_checkpoint(self, text: str) -> None:
        """Take in what `checkpoint_lines` wrote. Raises ValueError."""
        frame_text, digest, *values = text.split(" ") if " " in text else (text, "")
        frame = whole(frame_text, "a frame")
        checkpoints = self.values["checkpoints"]
        if frame > MAX_FRAMES or (checkpoints and frame <= checkpoints[-1][0]):
            raise ValueError(f"checkpoint {frame} does not follow the one before it")
        if not re.fullmatch(r"[0-9a-f]{16}", digest):
            raise ValueError(f"'{digest}' is no memory hash (16 hex digits)")
        checkpoints.append((frame, digest))
        for word in values:
            name, equals, number = word.partition("=")
            if not equals:
                raise ValueError(f"'{word}' is not name=value")
            if not number:
                self._known.pop(unescape(name), None)
                continue
            try:
                self._known[unescape(name)] = int(number)
            except ValueError:
                self._known[unescape(name)] = float(number)
        if len(self._known) * len(checkpoints) > MAX_VALUES:
            raise ValueError(f"more than {MAX_VALUES} values of variables")
        self.values["values"][frame] = dict(self._known)


def whole(text: str, what: str) -> int:
    """A whole number that is not negative. Raises ValueError naming `what` it should be."""
    if not re.fullmatch(r"[0-9]{1,18}", text):
        raise ValueError(f"'{text}' is not {what}")
    return int(text)


def _number(value: int | float) -> str:
    return repr(float(value)) if isinstance(value, (float, np.floating)) else str(int(value))


def _controller(controller: Controller) -> str:
    words = [escape_name(name) for name in controller.buttons]
    if controller.axes or controller.pointer:
        words += ["|", *(escape_name(name) for name in controller.axes)]
    if controller.pointer:
        words += ["|", "pointer"]
    return " ".join(words)


def _read_controller(text: str) -> Controller:
    parts = [[unescape(word) for word in part.split(" ") if word] for part in text.split("|")]
    if len(parts) > 3 or (len(parts) == 3 and parts[2] != ["pointer"]):
        raise ValueError("a controller is 'buttons | axes | pointer'")
    if len(parts[0]) > 32:
        raise ValueError("a controller has at most 32 buttons")
    return Controller(tuple(parts[0]), tuple(parts[1]) if len(parts) > 1 else (), len(parts) == 3)


def _read_start(text: str) -> str | bytes | None:
    if text == "power-on":
        return None
    if text == "state":
        return b""
    kind, _, name = text.partition(" ")
    if kind != "named" or not name:
        raise ValueError(f"'{text}' is no start: power-on, 'named NAME' or state")
    return unescape(name)
