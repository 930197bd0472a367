"""What a player of a Windows game presses: keys of the keyboard, by their names in Windows."""

from __future__ import annotations

from collections.abc import Sequence

from frameperfect.errors import MachineError, Unsupported
from frameperfect.machine import Analog, Controller

KEY_BYTES = 32
"""A bit for each of 256 keys, by its virtual number."""
MOST_BUTTONS = 32
CODES = {
    "BACK": 0x08, "TAB": 0x09, "RETURN": 0x0D, "ENTER": 0x0D, "SHIFT": 0x10, "CONTROL": 0x11, "CTRL": 0x11,
    "MENU": 0x12, "ALT": 0x12, "PAUSE": 0x13, "ESCAPE": 0x1B, "SPACE": 0x20, "PRIOR": 0x21, "NEXT": 0x22,
    "END": 0x23, "HOME": 0x24, "LEFT": 0x25, "UP": 0x26, "RIGHT": 0x27, "DOWN": 0x28, "INSERT": 0x2D,
    "DELETE": 0x2E, "LSHIFT": 0xA0, "RSHIFT": 0xA1, "LCONTROL": 0xA2, "RCONTROL": 0xA3, "LMENU": 0xA4,
    "RMENU": 0xA5, "LBUTTON": 0x01, "RBUTTON": 0x02, "MBUTTON": 0x04,
    **{chr(code): code for code in (*range(ord("0"), ord("9") + 1), *range(ord("A"), ord("Z") + 1))},
    **{f"F{number}": 0x6F + number for number in range(1, 25)},
    **{f"NUMPAD{number}": 0x60 + number for number in range(10)},
}  # fmt: skip
"""https://learn.microsoft.com/en-us/windows/win32/inputdev/virtual-key-codes, without the prefix VK_."""


class WindowsKeys:
    """Buttons and the keys that they are: one controller a player, who share a keyboard."""

    def __init__(self, players: Sequence[Sequence[tuple[str, int]]]) -> None:
        self.controllers = tuple(Controller(tuple(name for name, _ in player)) for player in players)
        self._codes = [[code for _, code in player] for player in players]

    @classmethod
    def parse(cls, text: str) -> WindowsKeys:
        """`Left = LEFT, Jump = SPACE`; another player's after a semicolon. A key is a name or a number.

        Raises:
            MachineError: it is not written so, or names no key.
        """
        players = []
        for part in text.split(";"):
            buttons: list[tuple[str, int]] = []
            for pair in part.split(","):
                name, equals, key = (word.strip() for word in pair.partition("="))
                if not (name and equals and key) or " " in name:
                    raise MachineError(f"keys: '{pair.strip()}' is not 'Button = Key', as in 'Jump = SPACE'")
                if name in dict(buttons):
                    raise MachineError(f"keys: the button '{name}' is there twice")
                buttons.append((name, _code(key)))
            if len(buttons) > MOST_BUTTONS:
                raise MachineError(f"keys: {len(buttons)} buttons for a player; at most {MOST_BUTTONS}")
            players.append(buttons)
        return cls(players)

    def held(self, masks: Sequence[int], analog: Analog) -> bytes:
        """The keys that these buttons hold; Unsupported for axes and pointers, which a keyboard has not."""
        if any(port.axes or port.pointer is not None for port in analog or ()):
            raise Unsupported("native: a Windows game is played by its keys; it has no axes and no pointer")
        bits = bytearray(KEY_BYTES)
        for mask, codes in zip(masks, self._codes, strict=False):
            for bit, code in enumerate(codes):
                if mask >> bit & 1:
                    bits[code // 8] |= 1 << code % 8
        return bytes(bits)


def _code(key: str) -> int:
    code = CODES.get(key.upper().removeprefix("VK_"))
    if code is None:
        try:
            code = int(key, 0)
        except ValueError:
            code = 0
    if not 0 < code < 256:
        raise MachineError(f"keys: no key '{key}'; Windows' names are meant: A, SPACE, LEFT, F1, or 0x41")
    return code
