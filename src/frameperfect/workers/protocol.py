"""What host and worker say to each other.

A message is a code and bytes: structs where it is frequent, JSON where it is rare, an emulator's own state
as it is. Nothing is unpickled. Each request gets one reply, `OK` or `ERROR` (JSON: the error's type, one of
`frameperfect.errors`, and its message).
"""

from __future__ import annotations

import dataclasses
import enum
import json
import os
import struct
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from frameperfect import errors
from frameperfect.machine import Controller, Fingerprint, Machine, MachineSpec, PortInput
from frameperfect.memory import Block, Domain, Span
from frameperfect.pool import Pool, PoolSettings, Video


class Op(enum.IntEnum):
    """What the host asks for. All from VIEW to SCREEN start with the machine's `INDEX`."""

    OPEN = 1  # JSON {"spec", "size", "settings"} -> JSON of `describe`; without size: one machine, index 0
    VIEW = 2  # -> JSON of `describe`, and where frame counter and domains lie in the shared block
    ADVANCE = 3  # `ADVANCE`, masks, analog
    RESET = 4  #
    SAVE = 5  # -> state
    RESTORE = 6  # state
    IMPORT_STATE = 7  # state
    EXPORT_STATE = 8  # -> state
    PRESS_RESET = 9
    SCREEN = 10  # -> SIZE, pixels
    ARRAYS = 11  # JSON {"layout", "first"}: where the batch arrays lie, and our first row in them
    STEP = 12
    POOL_RESET = 13  # a START for each machine, each with its state
    POOL_SAVE = 14  # INDEX -> state
    POOL_RESTORE = 15  # INDEX, state
    REPLACE = 16  # INDEX


OK, ERROR = 0, 1
INDEX = struct.Struct("<I")
SIZE = struct.Struct("<II")
"""Height and width of a picture."""
ADVANCE = struct.Struct("<IIBB")
"""Machine, frames, number of masks (uint32 each, next), number of analog ports (`ANALOG` each, then)."""
ANALOG = struct.Struct("<IB4hB3h")
"""Buttons, number of axes, the axes, whether a pointer is given, the pointer."""
START = struct.Struct("<IQq")
"""A machine's index, its seed, the length of its state (-1: power-on)."""
PAGE = 4096

ArrayLayout: TypeAlias = "dict[str, tuple[int, tuple[int, ...], str]]"


def on_pages(size: int) -> int:
    """`size` rounded up to whole pages."""
    return -(-size // PAGE) * PAGE


# -- JSON of the rare messages ---------------------------------------------------------------------


def pack_spec(spec: MachineSpec) -> dict[str, Any]:
    """A spec as JSON."""
    program = None if spec.program is None else os.fspath(Path(spec.program).absolute())
    return {f.name: getattr(spec, f.name) for f in dataclasses.fields(spec)} | {
        "program": program,
        "options": dict(spec.options),
        "blocks": {name: dataclasses.asdict(block) for name, block in spec.blocks.items()},
    }


def unpack_spec(packed: dict[str, Any]) -> MachineSpec:
    """A spec from JSON."""
    program, blocks = packed.pop("program"), packed.pop("blocks")
    return MachineSpec(
        program=None if program is None else Path(program),
        blocks={name: Block(**block | {"chain": tuple(block["chain"])}) for name, block in blocks.items()},
        **packed,
    )


def unpack_settings(packed: dict[str, Any]) -> PoolSettings:
    """Pool settings from JSON (`dataclasses.asdict` made it)."""
    video, spans = packed.pop("video"), packed.pop("spans")
    if video is not None:
        crop = video.pop("crop")
        video = Video(crop=None if crop is None else (crop[0], crop[1], crop[2], crop[3]), **video)
    read = (Span(hops=tuple((w, big, add) for w, big, add in span.pop("hops")), **span) for span in spans)
    return PoolSettings(video=video, spans=tuple(read), **packed)


def describe(source: Machine | Pool) -> dict[str, Any]:
    """What a proxy shows of its machine or pool, as JSON."""
    mark = source.fingerprint
    told: dict[str, Any] = {
        "controllers": [[c.buttons, c.axes, c.pointer] for c in source.controllers],
        "domains": [dataclasses.asdict(domain) for domain in source.domains.values()],
        "fingerprint": [mark.backend, mark.core, mark.core_hash, mark.game_hash, mark.settings],
        "frame_rate": source.frame_rate,
    }
    if isinstance(source, Machine):
        told["capabilities"] = source.capabilities.value
    return told


def apply_description(target: Machine | Pool, told: Mapping[str, Any]) -> None:
    """Set on a proxy what `describe` told."""
    target.controllers = tuple(Controller(tuple(b), tuple(a), p) for b, a, p in told["controllers"])
    target.domains = {domain["name"]: Domain(**domain) for domain in told["domains"]}
    backend, core, core_hash, game_hash, settings = told["fingerprint"]
    options = tuple((key, value) for key, value in settings)
    target.fingerprint = Fingerprint(backend, core, core_hash, game_hash, options)
    target.frame_rate = told["frame_rate"]


# -- errors ----------------------------------------------------------------------------------------


def pack_error(error: Exception) -> bytes:
    """An error for the host to raise."""
    kind, message = type(error).__name__, str(error)
    if not isinstance(error, errors.FrameperfectError):
        kind, message = "MachineError", f"the machine's worker failed: {kind}: {message}"
    told = {"type": kind, "message": message, "indices": getattr(error, "indices", ())}
    return json.dumps(told).encode()


def unpack_error(told: bytes) -> errors.FrameperfectError:
    """The worker's error, of the same type."""
    packed = json.loads(told)
    if packed["type"] == "MachineCrashed":
        return errors.MachineCrashed(packed["message"], packed["indices"])
    for kind in (errors.Unsupported, errors.MissingComponent, errors.StateMismatch):
        if packed["type"] == kind.__name__:
            return kind(packed["message"])
    return errors.MachineError(packed["message"])


# -- analog input ----------------------------------------------------------------------------------


def pack_port(port: PortInput) -> bytes:
    """One port's analog input."""
    axes = tuple(port.axes[:4]) + (0,) * (4 - len(port.axes[:4]))
    pointer = port.pointer or (0, 0, 0)
    return ANALOG.pack(port.buttons, len(port.axes[:4]), *axes, port.pointer is not None, *pointer)


def unpack_port(message: bytes, offset: int) -> PortInput:
    """One port's analog input."""
    buttons, count, *numbers = ANALOG.unpack_from(message, offset)
    axes, given, pointer = numbers[:count], numbers[4], numbers[5:]
    return PortInput(buttons, tuple(axes), (pointer[0], pointer[1], pointer[2]) if given else None)


# -- a pool's batch arrays -------------------------------------------------------------------------


def array_layout(
    size: int, ports: int, frame_skip: int, width: int, picture: tuple[int, ...] | None
) -> ArrayLayout:
    """Where the arrays of a pool lie in the block that its workers share: name -> (offset, shape, dtype)."""
    wanted: dict[str, tuple[tuple[int, ...], str]] = {
        "masks": ((size, ports), "<u4"),
        "active": ((size,), "|b1"),
        "inputs": ((size, frame_skip, ports), "<u4"),
        "rows": ((size, width), "|u1"),
    }
    if picture is not None:
        wanted["pixels"] = ((size, *picture), "|u1")
    layout: ArrayLayout = {}
    offset = 0
    for name, (shape, dtype) in wanted.items():
        layout[name] = offset, shape, dtype
        offset += on_pages(int(np.prod(shape)) * np.dtype(dtype).itemsize)
    return layout


def block_size(layout: ArrayLayout) -> int:
    """The bytes that the arrays of `layout` take."""
    return max(o + on_pages(int(np.prod(s)) * np.dtype(d).itemsize) for o, s, d in layout.values())


def arrays_in(block: NDArray[np.uint8], layout: ArrayLayout) -> dict[str, NDArray[Any]]:
    """The arrays of `layout` over the shared block."""
    return {name: np.ndarray(tuple(s), d, block.data, o) for name, (o, s, d) in layout.items()}
