"""How bytes of memory mean a number.

A variable's type is a byte order, a kind and a width in bytes, after the memory maps of stable-retro
(https://stable-retro.farama.org/integration/): `<u2`, `>i4`, `|u1`, `>d3`.

- order: `<` little-endian, `>` big-endian, `|` none (read as little-endian), `=` the host's; `<>` and `><`
  are mixed: the halves little- and the bytes within them big-endian, or the other way round.
- kind: `u` unsigned, `i` signed, `d` BCD (two digits a byte), `n` BCD in the low nybbles (one digit a byte),
  `f` IEEE float (widths 2, 4 and 8; what is not finite reads as 0).
- width: 1 to 8 bytes. Integers are int64, so a `u8` above 2**63 - 1 reads as negative.
"""

from __future__ import annotations

import re
import struct
import sys
from dataclasses import dataclass

_TYPE = re.compile(r"(<>|><|<=|>=|[<>|=])?([uidnf])([1-8])")
_STRUCT = {"u1": "B", "u2": "H", "u4": "I", "u8": "q", "i1": "b", "i2": "h", "i4": "i", "i8": "q",
           "f2": "e", "f4": "f", "f8": "d"}  # fmt: skip
_INT64 = (-(1 << 63), (1 << 63) - 1)


@dataclass(frozen=True, slots=True)
class ValueType:
    """A parsed type. `order` lists the byte offsets from the least to the most significant."""

    kind: str
    width: int
    order: tuple[int, ...]

    @classmethod
    def parse(cls, text: str) -> ValueType:
        """Read a type such as `>u2`.

        Raises:
            ValueError: it is none; the message says what one looks like.
        """
        match = _TYPE.fullmatch(text)
        if match is None:
            raise ValueError(
                f"'{text}' is no type; write byte order, kind and width, as in '>u2', '<i4', 'd1'"
            )
        order, kind, width = match[1] or "", match[2], int(match[3])
        if width > 1 and not order:
            raise ValueError(f"'{text}' needs a byte order: '<{text}' (little-endian) or '>{text}' (big)")
        if kind == "f" and (width not in (2, 4, 8) or order in ("<>", "><")):
            raise ValueError(f"'{text}': floats are 2, 4 or 8 bytes, little- or big-endian")
        little, half = list(range(width)), width // 2
        if order in ("=", "<=", ">="):
            host = {"=": ("<", ">"), "<=": ("<", "<>"), ">=": ("><", ">")}[order]
            order = host[sys.byteorder == "big"]
        places = {
            ">": little[::-1],
            "<>": little[:half][::-1] + little[half:][::-1],
            "><": little[half:] + little[:half],
        }.get(order, little)
        return cls(kind, width, tuple(places))

    @property
    def struct(self) -> tuple[str, str] | None:
        """The `struct` byte order and character that read it in one go, if there is one."""
        char = _STRUCT.get(f"{self.kind}{self.width}")
        if char is None:
            return None
        little = tuple(range(self.width))
        if self.order == little:
            return "<", char
        return (">", char) if self.order == little[::-1] else None

    @property
    def bounds(self) -> tuple[int, int] | None:
        """The least and the greatest value; None for floats."""
        if self.kind == "f":
            return None
        if self.kind == "d":
            return 0, 100**self.width - 1
        if self.kind == "n":
            return 0, 10**self.width - 1
        if self.width == 8:
            return _INT64
        if self.kind == "u":
            return 0, 256**self.width - 1
        return -(256**self.width) // 2, 256**self.width // 2 - 1

    def encode(self, value: int | float) -> bytes:
        """The bytes of `value`, in the console's order.

        Raises:
            ValueError: it does not fit.
        """
        if self.kind == "f":
            order, char = self.struct  # type: ignore[misc]
            try:
                return struct.pack(order + char, value)
            except OverflowError:
                raise ValueError(f"{value} does not fit") from None
        number = int(value)
        low, high = self.bounds  # type: ignore[misc]
        if self.kind == "u" and self.width == 8:
            high = (1 << 64) - 1
        if not low <= number <= high:
            raise ValueError(f"{value} does not fit: it holds {low} to {high}")
        out = bytearray(self.width)
        for place in self.order:
            if self.kind == "d":
                number, digits = divmod(number, 100)
                out[place] = digits // 10 << 4 | digits % 10
            elif self.kind == "n":
                number, out[place] = divmod(number, 10)
            else:
                out[place] = number & 0xFF
                number >>= 8
        return bytes(out)


BCD = tuple((byte >> 4) % 10 * 10 + (byte & 15) % 10 for byte in range(256))
"""Value of a byte as BCD; a nybble above 9 counts modulo 10, as stable-retro reads it."""
NYBBLE = tuple((byte & 15) % 10 for byte in range(256))
"""The same of its low nybble alone."""
DIGITS = {"d": (BCD, 100), "n": (NYBBLE, 10), "u": (tuple(range(256)), 256), "i": (tuple(range(256)), 256)}
"""By kind of integer: what each byte counts, and what the next more significant one is worth."""
