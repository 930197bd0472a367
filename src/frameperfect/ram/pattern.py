"""Finding byte patterns with wildcards: `A9 ?? 8D 4? 07`."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import numpy as np

from frameperfect import _native
from frameperfect.errors import RamError
from frameperfect.ram.search import find

if TYPE_CHECKING:
    from frameperfect.machine import Machine

_BYTE = re.compile(r"[0-9A-Fa-f?]{2}")


def find_pattern(machine: Machine, pattern: str, domain: str | None = None) -> list[int]:
    """The console addresses where bytes match a pattern, overlapping ones too.

    A pattern is bytes in hex, in the console's order, with or without spaces; `?` stands for any digit.

    Raises:
        RamError: it is no pattern, or holds nothing but wildcards; no such domain.
    """
    where = find(machine, domain)
    values, masks = _parse(pattern)
    memory = np.empty(where.size, np.uint8)
    _native.take_memory(machine.memory[where.name], where.swap, memory)
    last = where.size - len(values) + 1
    if last <= 0:
        return []
    # Whole bytes first, those other than 0 and FF before these: they leave the fewest places to look at.
    order = sorted(
        (place for place, mask in enumerate(masks) if mask),
        key=lambda place: (masks[place] != 0xFF, values[place] in (0, 0xFF)),
    )
    first, *others = order
    places = np.flatnonzero((memory[first : first + last] & masks[first]) == values[first])
    for place in others:
        places = places[(memory[places + place] & masks[place]) == values[place]]
    return [where.base + int(place) for place in places]


def _parse(pattern: str) -> tuple[list[int], list[int]]:
    """The values of the bytes, and the masks of what counts in them."""
    digits = "".join(pattern.split())
    parts = [digits[i : i + 2] for i in range(0, len(digits), 2)]
    for part in parts:
        if not _BYTE.fullmatch(part):
            raise RamError(f"'{pattern}' is no pattern: '{part}' is no byte; write hex, as in 'A9 ?? 4? 07'")
    values = [int(part.replace("?", "0"), 16) for part in parts]
    masks = [
        sum(0 if digit == "?" else 15 << shift for digit, shift in zip(p, (4, 0), strict=True)) for p in parts
    ]
    if not any(masks):
        raise RamError(f"'{pattern}' matches everywhere; give at least one digit")
    return values, masks
