"""Searching a machine's memory by comparing it with itself, as RAM searches of emulators do.

The candidates are all places of a domain where a value of the chosen type could lie. A comparison looks at
the memory now, keeps the places that hold it, and makes "now" the new "previous":

    search = RamSearch(machine, "ram", ">u2")
    machine.advance("Right", 30)
    search.increased()
    machine.advance("Left", 30)
    search.decreased()
    search.candidates()

A snapshot holds the bytes in the console's own order, whatever the order in which the core keeps them.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from frameperfect import _native
from frameperfect.errors import GameError, RamError
from frameperfect.layout import Layout
from frameperfect.memory import Domain, Variable, find_domain
from frameperfect.value_type import ValueType

if TYPE_CHECKING:
    from frameperfect.machine import Machine

RELATIONS = ("=", "!=", "<", "<=", ">", ">=", "between", "modulo")
HISTORY = 64 << 20
"""Bytes of snapshots that undo and redo keep; the oldest go first."""


@dataclass(frozen=True, slots=True)
class Candidate:
    """A place that held every comparison so far, and its values now, at the last one and at the first."""

    address: int
    value: int | float
    previous: int | float
    first: int | float


@dataclass(frozen=True, slots=True)
class _Moment:
    """What undo goes back to."""

    candidates: NDArray[np.uint64]
    count: int
    previous: NDArray[np.uint8]


class RamSearch:
    """A search over one domain of `machine`; the first snapshot is taken when it is made.

    Args:
        machine: the game, at the moment to compare with.
        domain: the name of one of its domains; `ram` or the first one where None.
        type: as in `game.toml`, of 1, 2, 4 or 8 bytes: `u1`, `<i2`, `>f4`, `d2` (BCD), ...
        align: only addresses whose offset in the domain is a multiple of this. 1 misses nothing; 2 halves the
            candidates where the console needs even addresses (the 68000).
        scale: fixed point: values are divided by it (256 for 8 bits of fraction).

    Raises:
        RamError: no such domain, or a type that can't be searched for.
    """

    def __init__(
        self,
        machine: Machine,
        domain: str | None = None,
        type: str = "u1",
        *,
        align: int = 1,
        scale: int | float = 1,
    ) -> None:
        self.machine = machine
        self.domain = find(machine, domain)
        if align < 1:
            raise RamError(f"align is {align}; it must be 1 or more")
        self.align, self.type, self.scale = align, type, scale
        self._parsed = parse(type)
        self._spare: list[
            NDArray[np.uint8]
        ] = []  # of moments forgotten: fresh pages cost more than a comparison
        self._marks: dict[str, NDArray[np.uint8]] = {"first": self.snapshot()}
        self._start()

    def _start(self) -> None:
        first = self._marks["first"]
        self.positions = max(0, (self.domain.size - self._parsed.width) // self.align + 1)
        bits = np.full((self.positions + 63) // 64, ~np.uint64(0), np.uint64)
        if self.positions % 64:
            bits[-1] = (1 << self.positions % 64) - 1
        self._now = _Moment(bits, self.positions, first)
        self._before: deque[_Moment] = deque()
        self._after: list[_Moment] = []

    # -- snapshots ---------------------------------------------------------------------------------

    def snapshot(self) -> NDArray[np.uint8]:
        """(size,) uint8: the domain now, in the console's byte order."""
        out = self._spare.pop() if self._spare else np.empty(self.domain.size, np.uint8)
        _native.take_memory(self.machine.memory[self.domain.name], self.domain.swap, out)
        return out

    def mark(self, name: str) -> None:
        """Keep the memory of this moment under a name, to compare with later."""
        if name in ("first", "previous"):
            raise RamError(f"'{name}' is the search's own snapshot; choose another name")
        self._marks[name] = self.snapshot()

    def look(self) -> None:
        """Make now the "previous" of the next comparison, and drop nothing."""
        self._now = _Moment(self._now.candidates, self._now.count, self.snapshot())

    # -- comparisons -------------------------------------------------------------------------------

    def keep(
        self,
        relation: str,
        other: str | int | float = "previous",
        *,
        by: int | float = 0,
        at: int | None = None,
    ) -> int:
        """Keep the places whose value now has this relation to another; returns how many stay.

        Args:
            relation: `=`, `!=`, `<`, `<=`, `>` or `>=`.
            other: a number, or the snapshot whose value at the same place is meant: "previous", "first" or
                the name of a mark.
            by: added to the other value: `keep("=", by=-1)` is "one less than before".
            at: instead of `other`, the value now at this address of the console.

        Raises:
            RamError: no such relation or mark, or a number that the type can't hold exactly.
        """
        if relation not in RELATIONS[:6]:
            raise RamError(f"no relation '{relation}'; there are {', '.join(RELATIONS[:6])}")
        if at is not None:
            try:
                other = self.variable(at).read(self.machine)
            except GameError as wrong:
                raise RamError(str(wrong)) from None
        if isinstance(other, str):
            return self._keep(relation, self._snapshot_named(other), self._raw(by))
        return self._keep(relation, None, self._raw(other + by))

    def between(self, low: int | float, high: int | float) -> int:
        """Keep values from `low` to `high`, both included."""
        return self._keep("between", None, self._raw(low), self._raw(high))

    def modulo(self, divisor: int, rest: int = 0) -> int:
        """Keep integers that leave `rest` when divided by `divisor`."""
        if self._parsed.kind == "f":
            raise RamError("modulo is for integers; search for another type")
        if not 0 <= rest < divisor:
            raise RamError(f"modulo {divisor} leaves 0 to {divisor - 1}, not {rest}")
        return self._keep("modulo", None, divisor, rest)

    def changed(self) -> int:
        """Keep what differs from the previous snapshot."""
        return self.keep("!=")

    def unchanged(self) -> int:
        """Keep what equals the previous snapshot."""
        return self.keep("=")

    def increased(self, by: int | float | None = None) -> int:
        """Keep what is larger than before, or larger by exactly so much."""
        return self.keep(">") if by is None else self.keep("=", by=by)

    def decreased(self, by: int | float | None = None) -> int:
        """Keep what is smaller than before, or smaller by exactly so much."""
        return self.keep("<") if by is None else self.keep("=", by=-by)

    def filter(self, wanted: Callable[[NDArray[Any]], NDArray[np.bool_]]) -> int:
        """Keep places whose values now `wanted` says True of: (N,) values in, (N,) bool out."""
        now = self.snapshot()
        places = self._places()
        keep = places[wanted(self._values(now, places))]
        flags = np.zeros(len(self._now.candidates) * 64, np.uint8)
        flags[keep] = 1
        bits = np.packbits(flags, bitorder="little").view(np.uint64)
        return self._move(_Moment(bits, len(keep), now))

    def _keep(
        self, relation: str, then: NDArray[np.uint8] | None, first: int | float, second: int | float = 0
    ) -> int:
        now, bits = self.snapshot(), self._now.candidates.copy()
        big = self._parsed.width > 1 and self._parsed.order[0] != 0
        count = _native.keep_candidates(
            now, then, bits, self.positions, self._parsed.kind, self._parsed.width, big, self.align, relation,
            first, second,
        )  # fmt: skip
        return self._move(_Moment(bits, count, now))

    def _move(self, moment: _Moment) -> int:
        self._before.append(self._now)
        for undone in self._after:
            self._forget(undone)
        self._after.clear()
        self._now = moment
        weight = moment.previous.nbytes + moment.candidates.nbytes
        while len(self._before) > max(4, HISTORY // weight):
            self._forget(self._before.popleft())
        return moment.count

    def _forget(self, moment: _Moment) -> None:
        if len(self._spare) < 2 and not any(moment.previous is mark for mark in self._marks.values()):
            self._spare.append(moment.previous)

    def _snapshot_named(self, name: str) -> NDArray[np.uint8]:
        if name == "previous":
            return self._now.previous
        try:
            return self._marks[name]
        except KeyError:
            known = ", ".join(["previous", *self._marks])
            raise RamError(
                f"no snapshot '{name}' to compare with; there are {known}, or give a number"
            ) from None

    def _raw(self, value: int | float) -> int | float:
        """What `value` is in memory: unscaled, and whole where the type is."""
        raw = value if self.scale == 1 else value * self.scale
        if self._parsed.kind == "f":
            return float(raw)
        if raw != raw or raw in (float("inf"), float("-inf")) or int(raw) != raw:
            raise RamError(f"{value} is no value of type {self.type} with scale {self.scale:g}")
        if not -(1 << 63) <= int(raw) < 1 << 63:
            raise RamError(f"{value} is beyond 64 bits")
        return int(raw)

    # -- history -----------------------------------------------------------------------------------

    def undo(self) -> int:
        """Take the last comparison back; returns how many candidates there are again."""
        if not self._before:
            raise RamError("there is nothing to undo")
        self._after.append(self._now)
        self._now = self._before.pop()
        return self.count

    def redo(self) -> int:
        """Do again what was undone last."""
        if not self._after:
            raise RamError("there is nothing to redo")
        self._before.append(self._now)
        self._now = self._after.pop()
        return self.count

    def restart(self) -> None:
        """Forget all comparisons; the first snapshot is taken anew."""
        self._marks["first"] = self.snapshot()
        self._start()

    # -- what is left ------------------------------------------------------------------------------

    @property
    def count(self) -> int:
        """How many candidates are left."""
        return self._now.count

    def __len__(self) -> int:
        return self.count

    def addresses(self, limit: int | None = None) -> list[int]:
        """The candidates' addresses, the console's own, in order."""
        return [self.domain.base + int(place) * self.align for place in self._places(limit)]

    def candidates(self, limit: int | None = None) -> list[Candidate]:
        """The candidates with their values now, at the last comparison and at the first snapshot."""
        places = self._places(limit)
        columns = [
            self._values(snapshot, places).tolist()
            for snapshot in (self.snapshot(), self._now.previous, self._marks["first"])
        ]
        base = self.domain.base
        return [
            Candidate(base + int(place) * self.align, now, previous, first)
            for place, now, previous, first in zip(places, *columns, strict=True)
        ]

    def variable(self, address: int, name: str = "value") -> Variable:
        """The value at an address, typed as in this search."""
        return variable_at(self.machine, self.domain, address, self.type, name=name, scale=self.scale)

    def _places(self, limit: int | None = None) -> NDArray[np.intp]:
        words = np.flatnonzero(self._now.candidates)
        if limit is not None:
            words = words[:limit]
        bits = np.unpackbits(self._now.candidates[words].view(np.uint8), bitorder="little").reshape(-1, 64)
        row, column = np.nonzero(bits)
        return (words[row] * 64 + column)[:limit]

    def _values(self, snapshot: NDArray[np.uint8], places: NDArray[np.intp]) -> NDArray[Any]:
        width = self._parsed.width
        rows = snapshot[(places * self.align)[:, None] + np.arange(width)]
        layout = Layout(
            {"value": Variable("value", 0, self.type, self.domain.name, scale=self.scale)},
            {self.domain.name: self.domain},
        )
        return layout.decode(rows)["value"]


def find(machine: Machine, domain: str | None) -> Domain:
    """A domain of the machine by name; `ram`, or else the first one, where None.

    Raises:
        RamError: there is none of that name.
    """
    domains = machine.domains
    if domain is None:
        domain = "ram" if "ram" in domains else next(iter(domains), "ram")
    if domain not in domains:
        raise RamError(f"this machine has no domain '{domain}'; it has {', '.join(domains) or 'none'}")
    return domains[domain]


def parse(type: str) -> ValueType:
    """A type that can be searched for.

    Raises:
        RamError: it is none, or of a width or byte order that no search has.
    """
    try:
        parsed = ValueType.parse(type)
    except ValueError as wrong:
        raise RamError(str(wrong)) from None
    little = tuple(range(parsed.width))
    if parsed.width not in (1, 2, 4, 8) or parsed.order not in (little, little[::-1]):
        raise RamError(f"'{type}': searches are for 1, 2, 4 or 8 bytes, little- or big-endian")
    if parsed.kind == "f" and parsed.width < 4:
        raise RamError(f"'{type}': searches are for floats of 4 or 8 bytes")
    return parsed


def variable_at(
    machine: Machine,
    domain: Domain,
    address: int,
    type: str,
    *,
    name: str = "value",
    scale: int | float = 1,
    unit: str = "",
    about: str = "",
) -> Variable:
    """A variable at a console address of `domain`, which is named only where the address does not say it."""
    found = find_domain(machine.domains, address)
    if found is not None and found[0].name == domain.name and address < 1 << domain.address_bits:
        return Variable(name, address, type, scale=scale, unit=unit, about=about)
    return Variable(name, address - domain.base, type, domain.name, scale=scale, unit=unit, about=about)
