"""Writes BizHawk's movies (.bk2), and stable-retro's variant of them; `bk2` says what the files hold."""

from __future__ import annotations

import base64
import binascii
import io
import re
import zipfile
from collections.abc import Iterator
from dataclasses import replace

import numpy as np

from frameperfect.errors import MovieError
from frameperfect.machine import STATE_MAGIC, Controller
from frameperfect.movie.header import NOTE, checkpoint_lines, escape, escape_name, lines
from frameperfect.movie.movie import Movie, canonical, remap
from frameperfect.movie.systems import RETRO_MARKS, SYSTEMS, System, mark

OWN_KEYS = {"Author", "rerecordCount", "StartsFromSavestate", "StartsFromSaveRam"}
"""Of the header, which are fields of a movie; all others are kept in `extra`."""
KEPT_FILES = {"Subtitles.txt", "SyncSettings.json", "BizVersion.txt"}
"""Members that are kept in `extra` as they are."""
_KEY = re.compile(r"[A-Za-z][A-Za-z0-9_]*")


def write(movie: Movie) -> bytes:
    """The movie as BizHawk writes it, or as stable-retro does where `extra["MovieVersion"]` is "Retro".

    Raises:
        MovieError: what the format has no place for: a named start, pointers, commands or buttons that the
            console does not have there.
    """
    if isinstance(movie.start, str):
        raise MovieError(
            f"a .bk2 starts at power-on or a state, this at '{movie.start}' of {movie.game or 'its game'}; "
            "convert it with its game, which plays the start first"
        )
    if movie.pointers is not None:
        raise MovieError("a .bk2 of ours has no pointers")
    retro = movie.extra.get("MovieVersion") == "Retro"
    if retro:
        _check_retro(movie)
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:

        def put(name: str, data: str | bytes) -> None:
            info = zipfile.ZipInfo(name, (1980, 1, 1, 0, 0, 0))  # the same movie gives the same file
            info.compress_type = zipfile.ZIP_DEFLATED
            try:
                archive.writestr(info, data)
            except UnicodeEncodeError as error:
                raise MovieError(f"the movie's text can't be written: {error.reason}") from None

        header, notes = _header(movie, retro)
        put("Header.txt", "".join(f"{line}\n" for line in header))
        put("Comments.txt", "".join(f"{line}\n" for line in [*notes, *_comments(movie)]))
        for lump in sorted(KEPT_FILES):
            if lump in movie.extra or (lump == "Subtitles.txt" and not retro):
                put(lump, movie.extra.get(lump, ""))
        put("Input Log.txt", "".join(f"{line}\n" for line in _records(movie, retro)))
        if isinstance(movie.start, bytes):
            put("CoreText.txt" if movie.extra.get("CoreText.txt") == "1" else "Core.bin", movie.start)
        if "MovieSaveRam.bin" in movie.extra:
            try:
                put("MovieSaveRam.bin", base64.b64decode(movie.extra["MovieSaveRam.bin"], validate=True))
            except binascii.Error as error:
                raise MovieError(f"extra['MovieSaveRam.bin'] is no base64: {error}") from None
    return out.getvalue()


def _check_retro(movie: Movie) -> None:
    if not isinstance(movie.start, bytes) or movie.start[:4] == STATE_MAGIC:
        raise MovieError(
            "stable-retro plays from a state in the core's own format; give it one (machine.export_state())"
        )
    if movie.commands or movie.axes is not None:
        raise MovieError("stable-retro's movies have no reset, power or axes")
    if movie.frames and movie.inputs[0].any():
        raise MovieError(
            "stable-retro plays its first frame without input; let the movie begin with an empty one"
        )


def _header(movie: Movie, retro: bool) -> tuple[list[str], list[str]]:
    """The header's lines, and notes for what can't stand there."""
    system = SYSTEMS.get(movie.system.lower())
    keys = {
        "MovieVersion": "BizHawk v2.0.0",
        "Author": movie.author,
        "emuVersion": "Version 2.9.1",
        "Platform": _platform(system, retro) if system is not None else movie.system.upper(),
        "GameName": movie.game,
        "SHA1": movie.rom.upper() if re.fullmatch("[0-9a-fA-F]{40}", movie.rom) else "",
        "rerecordCount": str(movie.rerecords),
    }
    if retro:
        keys |= {"emuVersion": "?", "Core": "?"}
    if isinstance(movie.start, bytes):
        keys["StartsFromSavestate"] = "True"
    if "MovieSaveRam.bin" in movie.extra:
        keys["StartsFromSaveRam"] = "True"
    notes = []
    for key, value in movie.extra.items():
        if key in KEPT_FILES or key == "MovieSaveRam.bin":
            continue
        if key in OWN_KEYS or not _KEY.fullmatch(key) or not _clean(value):
            notes.append(f"{NOTE}extra {escape_name(key)} {escape(value)}")
        else:
            keys[key] = value
    keys = {key: value if _clean(value) else "" for key, value in keys.items()}
    if not retro:
        keys = {key: value for key, value in keys.items() if value or key in movie.extra}
    return [f"{key} {value or '?' if retro else value}" for key, value in keys.items()], notes


def _platform(system: System, retro: bool) -> str:
    return (retro and system.retro) or system.platform


def _comments(movie: Movie) -> Iterator[str]:
    for key, value in lines(replace(movie, extra={}, comments=[], rerecords=0)):
        yield f"{NOTE}{key} {value}"
    for comment in movie.comments:
        plain = comment and _clean(comment) and not comment.startswith(NOTE)
        yield comment if plain else f"{NOTE}comment {escape(comment)}"
    for line in checkpoint_lines(movie):
        yield f"{NOTE}checkpoint {line}"


def _clean(text: str) -> bool:
    """Whether a line can hold it as it stands."""
    return not any(character < " " or character in "\x7f\ufeff" for character in text)


def _records(movie: Movie, retro: bool) -> Iterator[str]:
    """The input log."""
    system = SYSTEMS.get(movie.system.lower())
    used = np.flatnonzero(movie.inputs.any(axis=0))
    if movie.axes is not None:
        used = np.concatenate([used, np.flatnonzero(movie.axes.any(axis=(0, 2)))])
    ports = int(used.max(initial=0)) + 1
    switches = system.switches if system is not None and not retro else {}
    console = () if retro else system.console if system is not None else ("Reset", "Power")
    pads = [_pad(movie, port, system, retro) for port in range(min(ports, len(movie.controllers)))]
    target = tuple(
        Controller((*(name for name, _ in pad), *(switches.values() if port == 0 else ())))
        for port, pad in enumerate(pads)
    )
    masks = remap(movie.inputs, movie.controllers, target)
    numbered = system is None or system.numbered
    axes = [_axis_names(movie, port) for port in range(len(pads))]
    groups = ["".join(f"{name}|" for name in console)] if console else []
    for port, pad in enumerate(pads):
        prefix = f"P{port + 1} " if numbered else ""
        groups.append("".join(f"{prefix}{name}|" for name in [*axes[port], *(name for name, _ in pad)]))
    yield "[Input]"
    yield "".join(groups) if retro else "LogKey:" + "".join(f"#{group}" for group in groups if group)
    console_marks = [(name, mark(name, system)) for name in console]
    for frame, row in enumerate(masks.tolist()):
        commands = movie.commands.get(frame, "").split()
        line = "|..|" if retro else "|"
        if console:
            for name, character in console_marks:
                if name in switches:
                    bit = len(pads[0]) + list(switches).index(name)
                    line += character if row[0] >> bit & 1 else "."
                elif name.lower() in commands:
                    commands.remove(name.lower())
                    line += character
                else:
                    line += "."
            line += "|"
        if commands:
            raise MovieError(f"frame {frame}: a .bk2 of this console has no command '{commands[0]}'")
        for port, pad in enumerate(pads):
            if movie.axes is not None:
                line += "".join(
                    f"{value:5d}," for value in movie.axes[frame, port, : len(axes[port])].tolist()
                )
            line += "".join(
                character if row[port] >> bit & 1 else "." for bit, (_, character) in enumerate(pad)
            )
            if pad or axes[port]:
                line += "|"
        yield line
    yield "[/Input]"


def _pad(movie: Movie, port: int, system: System | None, retro: bool) -> list[tuple[str, str]]:
    """A port's columns: the button and its character."""
    names = movie.controllers[port].buttons
    if system is not None:  # a smaller pad has fewer columns, as BizHawk's own have
        has = {canonical(name) for name in names}
        names = tuple(name for name in system.buttons if canonical(name) in has)
    for name in names:
        if any(character in "|#\r\n" for character in name) or name == "Power" or not name:
            raise MovieError(f"port {port}: a .bk2 can't have a column named '{name}'")
    if retro:
        return [(name, RETRO_MARKS[name]) for name in names if name in RETRO_MARKS]
    return [(name, mark(name, system)) for name in names]


def _axis_names(movie: Movie, port: int) -> tuple[str, ...]:
    if movie.axes is None:
        return ()
    names = movie.controllers[port].axes
    if movie.axes[:, port, len(names) :].any():
        raise MovieError(f"port {port}: axis {len(names)} has no name, and a .bk2 names its axes")
    if any(character in "|#\r\n" for name in names for character in name) or "" in names:
        raise MovieError(f"port {port}: an axis's name can't be a column of a .bk2")
    return names
