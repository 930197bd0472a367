"""What learner and actors say to each other, as JSON; arrays go beside it, through shared memory.

A message is its length and its text. Nothing in it is run.
"""

from __future__ import annotations

import dataclasses
import json
import socket
import struct
from typing import Any

import numpy as np

from frameperfect.learn.episodes import EpisodeEnd
from frameperfect.learn.runtime.actor import Facts, Hello, Layout
from frameperfect.learn.spaces import Actions, Input

_LENGTH = struct.Struct("<Q")


def send(end: socket.socket, message: dict[str, Any], more: bytes = b"") -> None:
    """Send a message, and bytes behind it."""
    text = json.dumps(message, default=_plain).encode()
    end.sendall(_LENGTH.pack(len(text)) + _LENGTH.pack(len(more)) + text + more)


def receive(end: socket.socket) -> tuple[dict[str, Any], bytes]:
    """Wait for a message and the bytes behind it.

    Raises:
        EOFError: the other process has ended.
    """
    head = _exactly(end, 2 * _LENGTH.size)
    length, more = _LENGTH.unpack_from(head)[0], _LENGTH.unpack_from(head, _LENGTH.size)[0]
    found: dict[str, Any] = json.loads(_exactly(end, length))
    return found, _exactly(end, more)


def _exactly(end: socket.socket, count: int) -> bytes:
    parts = []
    while count:
        try:
            part = end.recv(min(count, 1 << 20))
        except ConnectionResetError:
            part = b""
        if not part:
            raise EOFError("the other process has ended")
        parts.append(part)
        count -= len(part)
    return b"".join(parts)


def _plain(value: Any) -> Any:
    """What an environment's info holds beside plain numbers and texts."""
    if isinstance(value, np.ndarray):
        return value.tolist()
    return value.item() if isinstance(value, np.generic) else str(value)


# -- facts and hello -------------------------------------------------------------------------------------


def pack_facts(facts: Facts) -> dict[str, Any]:
    """For `unpack_facts`."""
    ended = [[each.total, each.length, each.info] for each in facts.ended]
    return {"version": facts.version, "begun": facts.begun, "ended": ended}


def unpack_facts(told: dict[str, Any]) -> Facts:
    """What `pack_facts` packed."""
    return Facts(told["version"], told["begun"], [EpisodeEnd(*each) for each in told["ended"]])


def pack_hello(hello: Hello) -> dict[str, Any]:
    """For `unpack_hello`."""
    return dataclasses.asdict(hello)


def unpack_hello(told: dict[str, Any]) -> Hello:
    """What `pack_hello` packed."""
    inputs = tuple(Input(each["name"], tuple(each["shape"]), each["dtype"]) for each in told["inputs"])
    kind = told["actions"]
    actions = Actions(kind["kind"], tuple(kind["choices"]), kind["start"])
    return Hello(told["envs"], inputs, actions, told["same_step"], unpack_layout(told["layout"]))


def unpack_layout(told: dict[str, Any]) -> Layout:
    """A layout that was JSON."""
    return {name: (tuple(shape), dtype) for name, (shape, dtype) in told.items()}
