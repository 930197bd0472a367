"""Rows of many machines at once: how variables lie in them, and how they become columns of numbers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from frameperfect.memory import Domain, Span, Variable
from frameperfect.value_type import DIGITS


class Layout:
    """How the bytes of some variables lie side by side in a row, and how they become numbers again.

    Attributes:
        variables: by name, in row order.
        spans: what a `Pool` gathers: one a variable, then the raw spans.
        width: bytes of the variables; raw spans follow them in the row.
    """

    variables: dict[str, Variable]
    spans: tuple[Span, ...]
    width: int

    def __init__(
        self, variables: Mapping[str, Variable], domains: Mapping[str, Domain], raw: Sequence[Span] = ()
    ) -> None:
        self.variables = dict(variables)
        self.spans = (*(variable.span(domains) for variable in self.variables.values()), *raw)
        self._offsets: list[int] = []
        self.width = 0
        for variable in self.variables.values():
            self._offsets.append(self.width)
            self.width += variable.parsed.width
        # Integers of one native type are decoded together: their places in `variables`, their bytes in a row.
        members: dict[str, list[int]] = {}
        self._single: list[tuple[int, Variable]] = []
        self._partial: list[tuple[int, Variable]] = []
        for number, variable in enumerate(self.variables.values()):
            native = _native_integer(variable)
            if native is None:
                self._single.append((number, variable))
            else:
                members.setdefault(native, []).append(number)
            if variable.mask is not None or variable.bit is not None or variable.scale != 1:
                self._partial.append((number, variable))
        self._groups: list[tuple[str, list[int], NDArray[np.intp]]] = []
        for native, numbers in members.items():
            starts = np.array([self._offsets[number] for number in numbers], np.intp)
            places = starts[:, None] + np.arange(np.dtype(native).itemsize)
            self._groups.append((native, numbers, places.ravel()))

    def decode(self, rows: NDArray[np.uint8]) -> dict[str, NDArray[Any]]:
        """The values of many rows: (N, >= width) uint8 to name -> (N,) int64 or float64."""
        values: dict[int, NDArray[Any]] = {}
        for native, numbers, places in self._groups:
            block = rows.take(places, axis=1).view(native).T.astype(np.int64, order="C")
            values.update(zip(numbers, block, strict=True))
        for number, variable in self._single:
            offset = self._offsets[number]
            values[number] = _decode(variable, rows[:, offset : offset + variable.parsed.width])
        for number, variable in self._partial:
            values[number] = _refine(variable, values[number])
        return {name: values[number] for number, name in enumerate(self.variables)}


def _native_integer(variable: Variable) -> str | None:
    """numpy's name of its type, if it is an integer that numpy reads in one go."""
    parsed = variable.parsed
    if parsed.struct is None or parsed.kind == "f":
        return None
    return f"{parsed.struct[0]}{'i' if parsed.width == 8 else parsed.kind}{parsed.width}"


def _decode(variable: Variable, columns: NDArray[np.uint8]) -> NDArray[Any]:
    """(N, width) uint8 to (N,) int64 or float64: types that are no native integer."""
    parsed = variable.parsed
    values: NDArray[Any]
    if parsed.kind == "f":
        order, _ = parsed.struct  # type: ignore[misc]
        values = np.ascontiguousarray(columns).view(f"{order}f{parsed.width}")[:, 0].astype(np.float64)
        values[~np.isfinite(values)] = 0.0
        return values
    digits, base = DIGITS[parsed.kind]
    table = np.array(digits, np.uint64)
    total = np.zeros(len(columns), np.uint64)
    for power, place in enumerate(parsed.order):
        total += table[columns[:, place]] * np.uint64(base**power)
    values = total.view(np.int64)
    if parsed.kind == "i" and parsed.width < 8:
        half = 1 << (8 * parsed.width - 1)
        values = (values ^ half) - half
    return values


def _refine(variable: Variable, values: NDArray[Any]) -> NDArray[Any]:
    """The part of whole values that the variable means, in its unit."""
    if variable.mask is not None:
        values &= variable.mask
    elif variable.bit is not None:
        values = values >> variable.bit & 1
    return values if variable.scale == 1 else values / variable.scale
