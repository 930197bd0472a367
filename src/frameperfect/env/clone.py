"""An environment as bytes: the machine's whole state and everything that decides its future.

A header, a JSON object (rules, generator, counters), the inputs of the episode so far and the pool member's
own bytes; a checksum over all of it, so that a damaged clone is refused before anything changes.
"""

from __future__ import annotations

import hashlib
import json
import struct
import zlib
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from frameperfect.env.setup import Setup, Start
from frameperfect.errors import StateMismatch
from frameperfect.pool import Pool

MAGIC = b"FPE1"
# magic, checksum, identity, then the lengths of JSON, start state, inputs and machine
HEADER = struct.Struct("<4sI16sIIIQ")


@dataclass(frozen=True, slots=True)
class Clone:
    """What one environment needs to go on from here."""

    facts: dict[str, Any]
    """Rules, generator, counters: numbers, strings, lists and dicts of them."""
    start: Start
    inputs: NDArray[np.uint32]
    """(F, ports): the episode so far."""
    machine: bytes
    """`Pool.save`."""


def identity(setup: Setup, pool: Pool) -> bytes:
    """16 bytes that differ between environments that can't take each other's clones."""
    settings = setup.settings
    text = repr((settings.frame_skip, settings.sticky, settings.video, settings.spans, setup.game.name))
    return hashlib.blake2b(pool.fingerprint.digest + text.encode(), digest_size=16).digest()


def pack(clone: Clone, identity: bytes) -> bytes:
    """The bytes of a clone."""
    name = clone.start.name if isinstance(clone.start.name, str) else None
    facts = json.dumps([clone.facts, name]).encode()
    start = clone.start.state or b""
    inputs = clone.inputs.astype("<u4").tobytes()
    body = b"".join((facts, start, inputs, clone.machine))
    lengths = (len(facts), len(start), len(inputs), len(clone.machine))
    check = zlib.crc32(body, zlib.crc32(identity))
    return HEADER.pack(MAGIC, check, identity, *lengths) + body


def unpack(data: bytes, identity: bytes, ports: int) -> Clone:
    """The clone in `data`.

    Raises:
        StateMismatch: the bytes are no clone, are damaged, or come from an environment made otherwise.
    """
    if len(data) < HEADER.size or data[:4] != MAGIC:
        raise StateMismatch("these bytes are not a clone of an environment; make one with env.save()")
    _, check, owner, *lengths = HEADER.unpack_from(data)
    if owner != identity:
        raise StateMismatch("the clone was saved by an environment of another game, core or setting")
    body = memoryview(data)[HEADER.size :]
    if len(body) != sum(lengths) or zlib.crc32(body, zlib.crc32(owner)) != check:
        raise StateMismatch("the clone is damaged (its checksum differs); save it anew")
    ends = np.cumsum(lengths).tolist()
    facts, name = json.loads(bytes(body[: ends[0]]))
    state = bytes(body[ends[0] : ends[1]]) or None
    inputs = np.frombuffer(body[ends[1] : ends[2]], "<u4").astype(np.uint32).reshape(-1, ports)
    start = Start(name if name is not None else state, state)
    return Clone(facts, start, inputs, bytes(body[ends[2] :]))
