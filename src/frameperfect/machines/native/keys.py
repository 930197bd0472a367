"""What a player of an SDL game presses: keys, mouse buttons and a controller's, by SDL's names for them."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from dataclasses import dataclass

from frameperfect.errors import MachineError, Unsupported
from frameperfect.machine import Analog, Controller

_NAMED = {
    **{chr(ord("A") + i): 4 + i for i in range(26)},
    **{str((i + 1) % 10): 30 + i for i in range(10)},
    **{f"F{i + 1}": 58 + i for i in range(12)},
    **dict(zip(("Return", "Escape", "Backspace", "Tab", "Space"), range(40, 45), strict=True)),
    **dict(zip(("Insert", "Home", "PageUp", "Delete", "End", "PageDown"), range(73, 79), strict=True)),
    **dict(zip(("Right", "Left", "Down", "Up"), range(79, 83), strict=True)),
    **dict(zip(("Left Ctrl", "Left Shift", "Left Alt", "Left GUI"), range(224, 228), strict=True)),
    **dict(zip(("Right Ctrl", "Right Shift", "Right Alt", "Right GUI"), range(228, 232), strict=True)),
}
"""Scancodes by the names of https://wiki.libsdl.org/SDL2/SDL_Scancode."""
_MOUSE = {f"Mouse {i + 1}": i for i in range(5)}
_PAD = {
    f"Pad {name}": i
    for i, name in enumerate(
        ("A", "B", "X", "Y", "Back", "Guide", "Start", "LeftStick", "RightStick", "LeftShoulder",
         "RightShoulder", "Up", "Down", "Left", "Right")
    )
}  # fmt: skip
"""As https://wiki.libsdl.org/SDL2/SDL_GameControllerButton counts them."""
MOUSE_AXES = ("MouseX", "MouseY")
"""How far the mouse is pushed in a frame, in pixels; the port's pointer says where it goes."""
PAD_AXES = ("LeftX", "LeftY", "RightX", "RightY", "LeftTrigger", "RightTrigger")

_INPUT = struct.Struct("<I8h3h")
"""A port's whole input in a history: mask, axes, pointer (x, y, pressed; -1: none)."""
INPUT_SIZE = _INPUT.size
_NO_POINTER = (-1, -1, -1)
_WIRE = struct.Struct("<64s4iII6h")
"""native/hook/sdl/protocol.hpp's Input."""


@dataclass(frozen=True)
class Keys:
    """The buttons of one player's controller, and what each presses."""

    controller: Controller
    scancodes: tuple[tuple[int, int], ...]
    """Button, scancode."""
    mouse: tuple[tuple[int, int], ...]
    pad: tuple[tuple[int, int], ...]

    @classmethod
    def parse(cls, text: str) -> Keys:
        """Read `Jump = Space, Left = Left, Fire = Mouse 1, Run = Pad X`: button = what it presses.

        Raises:
            MachineError: it is no such list; names the part.
        """
        buttons: list[str] = []
        found: dict[str, list[tuple[int, int]]] = {"key": [], "mouse": [], "pad": []}
        for part in text.split(","):
            button, equals, pressed = (word.strip() for word in part.partition("="))
            pressed = " ".join(pressed.split())
            if not (equals and button and pressed) or " " in button:
                raise MachineError(f"keys: '{part.strip()}' is not 'Button = Key', as in 'Jump = Space'")
            for kind, names in (("key", _NAMED), ("mouse", _MOUSE), ("pad", _PAD)):
                if pressed in names:
                    found[kind].append((len(buttons), names[pressed]))
                    break
            else:
                raise MachineError(
                    f"keys: no key '{pressed}'; SDL's names are meant: A, Space, Left Ctrl, Mouse 1, Pad A"
                )
            buttons.append(button)
        axes = (MOUSE_AXES if found["mouse"] else ()) + (PAD_AXES if found["pad"] else ())
        return cls(
            Controller(tuple(buttons), axes, pointer=bool(found["mouse"])),
            *(tuple(found[kind]) for kind in ("key", "mouse", "pad")),
        )

    def encode(self, masks: Sequence[int], analog: Analog) -> bytes:
        """The port's input as histories keep it, `INPUT_SIZE` bytes.

        Raises:
            Unsupported: a pointer or axes, which these keys have not.
        """
        mask = masks[0] & (1 << len(self.controller.buttons)) - 1 if masks else 0
        axes, pointer = [0] * 8, _NO_POINTER
        if analog:
            port = analog[0]
            if len(port.axes) > len(self.controller.axes):
                raise Unsupported("native: none of this game's keys is on a mouse or a controller with axes")
            for name, value in zip(self.controller.axes, port.axes, strict=False):
                axes[(MOUSE_AXES + PAD_AXES).index(name)] = value
            if port.pointer is not None:
                if not self.controller.pointer:
                    raise Unsupported("native: none of this game's keys is on a mouse")
                pointer = port.pointer
        return _INPUT.pack(mask, *axes, *pointer)

    def to_wire(self, inputs: bytes) -> bytes:
        """What the hook takes, from what `encode` gave."""
        mask, *axes, x, y, pressed = _INPUT.unpack(inputs)
        held = 0
        for button, scancode in self.scancodes:
            held |= (mask >> button & 1) << scancode
        mouse = sum((mask >> button & 1) << number for button, number in self.mouse) | (pressed == 1)
        pad = sum((mask >> button & 1) << number for button, number in self.pad)
        return _WIRE.pack(held.to_bytes(64, "little"), x, y, *axes[:2], mouse, pad, *axes[2:])
