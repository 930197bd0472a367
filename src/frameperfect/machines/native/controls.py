"""What a player presses, as the game's protocol has it."""

from __future__ import annotations

import functools
import struct
from collections.abc import Sequence

from frameperfect.errors import Unsupported
from frameperfect.machine import Analog, Controller

_COMPASS = {
    "AimRight": (1, 0),
    "AimDownRight": (1, 1),
    "AimDown": (0, 1),
    "AimDownLeft": (-1, 1),
    "AimLeft": (-1, 0),
    "AimUpLeft": (-1, -1),
    "AimUp": (0, -1),
    "AimUpRight": (1, -1),
}
PLAYER = Controller(("Left", "Right", "Jump", "Hook", "Fire", *_COMPASS), axes=("AimX", "AimY"))
"""Aims that are pressed together add up as directions, two neighbours to the one between them. With no aim
pressed it is upwards, and to the side that is steered to. The axes aim exactly, where either is not 0."""

_LEFT, _RIGHT, _JUMP, _HOOK, _FIRE = (1 << bit for bit in range(5))
_FIRST_AIM = 5
_REACH = 200
"""The aim's distance from the player, in pixels: only its direction matters to what these buttons do."""
_WIRE = struct.Struct("<10i")
_PORT = struct.Struct("<Ihh")
"""A port's whole input in a history: mask, x and y of the aim's axes."""

_KEPT = 1 << 14
"""Inputs whose bytes are remembered: agents press the same few again and again."""

MASK = (1 << len(PLAYER.buttons)) - 1
PORT_SIZE = _PORT.size
IDLE = _PORT.pack(0, 0, 0)


def encode(masks: Sequence[int], analog: Analog, players: int) -> bytes:
    """The input of all players, `PORT_SIZE` bytes each, as histories keep it.

    Raises:
        Unsupported: a pointer, which the game has not.
    """
    pressed = _pressed(tuple(masks[:players]), players)
    if not analog:
        return pressed
    inputs = bytearray(pressed)
    for number, port in enumerate(analog):
        if port.pointer is not None:
            raise Unsupported("native: a player has no pointer; aim by the axes AimX and AimY")
        if port.axes and number < players:
            x, y = (*port.axes, 0, 0)[:2]
            _PORT.pack_into(inputs, number * PORT_SIZE, port.buttons & MASK, x, y)
    return bytes(inputs)


@functools.lru_cache(_KEPT)
def _pressed(masks: tuple[int, ...], players: int) -> bytes:
    return b"".join([_PORT.pack(mask & MASK, 0, 0) for mask in masks]) + IDLE * (players - len(masks))


@functools.lru_cache(_KEPT)
def to_wire(inputs: bytes) -> bytes:
    """What the hook takes: ten int32 a player."""
    return b"".join(
        map(_player_wire, [inputs[at : at + PORT_SIZE] for at in range(0, len(inputs), PORT_SIZE)])
    )


@functools.lru_cache(_KEPT)
def _player_wire(port: bytes) -> bytes:
    mask, x, y = _PORT.unpack(port)
    steer = bool(mask & _RIGHT) - bool(mask & _LEFT)
    if not (x or y):
        aims = [aim for bit, aim in enumerate(_COMPASS.values()) if mask >> _FIRST_AIM + bit & 1]
        units = [(dx / abs(complex(dx, dy)), dy / abs(complex(dx, dy))) for dx, dy in aims or [(steer, -1)]]
        x, y = (round(_REACH * sum(part)) for part in zip(*units, strict=True))
        x, y = (x, y) if x or y else (0, -_REACH)
    pressed = (bool(mask & button) for button in (_JUMP, _FIRE, _HOOK))
    return _WIRE.pack(steer, x, y, *pressed, 0, 0, 0, 0)


def aimed(x: int) -> bytes:
    """A player's input as histories keep it that presses nothing and aims upwards, `x` to the side."""
    return _PORT.pack(0, x, -_REACH)


def from_wire(wire: bytes) -> bytes:
    """A player's input as histories keep it, from ten int32 that the server heard."""
    steer, x, y, jump, fire, hook, *_ = _WIRE.unpack(wire)
    pressed = ((_LEFT, steer < 0), (_RIGHT, steer > 0), (_JUMP, jump), (_HOOK, hook), (_FIRE, fire))
    return _PORT.pack(sum(button for button, held in pressed if held), x, y)


def unpack(inputs: bytes) -> list[tuple[int, int, int]]:
    """Mask, x and y of the aim's axes of every port, from what histories keep."""
    return list(_PORT.iter_unpack(inputs))
