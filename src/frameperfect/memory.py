"""Memory by name: the domains a machine exposes, and the typed variables that lie in them.

A variable's bytes mean a number by its type, such as `<u2`: see `frameperfect.value_type`.
"""

from __future__ import annotations

import functools
import struct
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from frameperfect.errors import GameError
from frameperfect.value_type import BCD, DIGITS, NYBBLE, ValueType

if TYPE_CHECKING:
    from frameperfect.machine import Machine


@dataclass(frozen=True, slots=True)
class Domain:
    """One block of a machine's memory.

    `base` is the console's own address of its first byte (0xFF0000 for the Mega Drive's work RAM), so an
    address from a disassembly or from a RAM map can be used as it stands. Some cores keep words in the
    host's byte order: within each word of `swap` bytes the view is then reversed (byte `a` of the console
    is byte `a ^ (swap - 1)` of the view). `pointer` is the type of an address stored in memory, and
    `address_bits` how many of its bits the console looks at. Where `record` is not 0 the domain holds so many
    bytes for every player, in the order of the ports.
    """

    name: str
    size: int
    base: int = 0
    swap: int = 1
    pointer: str = "<u4"
    address_bits: int = 32
    writable: bool = True
    hashed: bool = True
    record: int = 0


@dataclass(frozen=True, slots=True)
class Block:
    """A domain of a native game: `size` bytes of its memory, shown after every step.

    Where it begins is told by one of four marks, looked for when the game has begun:

    - `pattern`: bytes of the program, two hex digits each, `??` for any. They must fit one place. With `at`,
      the mark is kept so many bytes behind that place's begin: as four bytes that count from their own end if
      `relative` (as 64-bit x86 code has it), else as an address.
    - `rtti`: a C++ class, as its compiler writes the name ("6Player", ".?AVPlayer@@"); the mark is an object
      of it, the first or number `index` by address.
    - `image`: an offset from where the program is loaded.
    - `stack`: an offset, below 0, from where the first thread's stack begins.

    `chain` leads on from there, anew after every step: read the pointer at the mark, add the first number,
    read the pointer there, and so on. Where it leads nowhere the domain holds zeros. `hashed` is false for
    bytes that differ between runs, such as pointers.
    """

    size: int
    pattern: str | None = None
    at: int | None = None
    relative: bool = False
    rtti: str | None = None
    index: int = 0
    image: int | None = None
    stack: int | None = None
    chain: tuple[int, ...] = ()
    hashed: bool = True


@dataclass(frozen=True, slots=True)
class Span:
    """Bytes that are read after each step.

    `offset` counts from the start of the domain. Bytes come in the console's order, or as the view holds
    them where `raw` is set (whole-RAM observations). With `hops`, `offset` is where a pointer lies: read
    it (width in bytes, big-endian or not), add, and go on until the last sum, which is the console
    address of the span; bytes that lie in no domain read as 0.
    """

    domain: str
    offset: int
    length: int
    raw: bool = False
    hops: tuple[tuple[int, bool, int], ...] = ()


def find_domain(domains: Mapping[str, Domain], address: int) -> tuple[Domain, int] | None:
    """The first domain that holds a console address, and the offset in it; None where none does.

    An address wider than the console's bus (0xFFFFFE00 on a 24-bit one) is tried as it stands, then cut.
    """
    for domain in domains.values():
        if 0 <= address - domain.base < domain.size:
            return domain, address - domain.base
    for domain in domains.values():
        cut = address & ((1 << domain.address_bits) - 1)
        if 0 <= cut - domain.base < domain.size:
            return domain, cut - domain.base
    return None


@dataclass(frozen=True, slots=True)
class Variable:
    """A named value in memory.

    `address` is the console's own, or an offset into `domain` where one is given. `pointer` takes its place
    for a value behind pointers: the address of the first pointer, then what is added after each dereference.
    The raw value is read by `type`; `mask` keeps some of its bits (in place), `bit` picks one as 0 or 1, and
    `scale` divides it (fixed point: 256 for 8 fraction bits; the value is then a float).

    Raises:
        GameError: the fields contradict each other, or `type` is none.
    """

    name: str
    address: int = -1
    type: str = "u1"
    domain: str | None = None
    mask: int | None = None
    bit: int | None = None
    scale: int | float = 1
    pointer: tuple[int, ...] | None = None
    unit: str = ""
    about: str = ""
    parsed: ValueType = field(init=False, repr=False, compare=False)
    _reader: tuple[str, Any, Callable[[], int | float]] | None = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        try:
            parsed = ValueType.parse(self.type)
        except ValueError as wrong:
            raise GameError(f"variable '{self.name}': {wrong}") from None
        object.__setattr__(self, "parsed", parsed)
        object.__setattr__(self, "_reader", None)
        if self.pointer is not None:
            object.__setattr__(self, "pointer", tuple(self.pointer))
        if (self.address >= 0) == (self.pointer is not None):
            raise self._wrong("give either 'address' or 'pointer'")
        if self.pointer is not None and len(self.pointer) < 2:
            raise self._wrong("'pointer' needs the pointer's address and at least one offset: [0x340, 6]")
        if self.mask is not None and self.bit is not None:
            raise self._wrong("give either 'mask' or 'bit'")
        if self.mask is not None and not (self.mask and -(1 << 63) <= self.mask < 1 << 63):
            raise self._wrong(f"'mask' is {self.mask}; it must be an int64 other than 0")
        if self.bit is not None and not 0 <= self.bit < 8 * parsed.width:
            raise self._wrong(f"'bit' is {self.bit}; a {self.type} has bits 0 to {8 * parsed.width - 1}")
        if parsed.kind == "f" and (self.mask is not None or self.bit is not None):
            raise self._wrong("'mask' and 'bit' are for integers")
        if not self.scale or not np.isfinite(self.scale):
            raise self._wrong(f"'scale' is {self.scale}; the value is divided by it")

    def _wrong(self, what: str) -> GameError:
        return GameError(f"variable '{self.name}': {what}")

    @property
    def bounds(self) -> tuple[int, int] | None:
        """The least and the greatest value of an integer variable; None for a float."""
        if self.parsed.kind == "f" or self.scale != 1:
            return None
        if self.bit is not None:
            return 0, 1
        low, high = self.parsed.bounds  # type: ignore[misc]
        if self.mask is None:
            return low, high
        if self.mask > 0:
            return 0, self.mask if low < 0 else min(high, self.mask)
        return (-(1 << max((~low).bit_length(), (~self.mask).bit_length())) if low < 0 else 0), high

    def span(self, domains: Mapping[str, Domain]) -> Span:
        """Where its bytes lie on a machine with these domains.

        Raises:
            GameError: no domain holds its address.
        """
        start = self.address if self.pointer is None else self.pointer[0]
        if self.domain is not None:
            if self.domain not in domains:
                raise self._wrong(f"the machine has no domain '{self.domain}'; it has {', '.join(domains)}")
            domain, offset = domains[self.domain], start
        else:
            found = find_domain(domains, start)
            if found is None:
                there = ", ".join(f"{d.name} {d.base:#x}-{d.base + d.size - 1:#x}" for d in domains.values())
                raise self._wrong(f"address {start:#x} lies in no domain of this machine ({there})")
            domain, offset = found
        length = self.parsed.width
        if self.pointer is not None:
            stored = ValueType.parse(domain.pointer)
            big = stored.width > 1 and stored.order[0] != 0
            hops = tuple((stored.width, big, add) for add in self.pointer[1:])
            return Span(domain.name, offset, length, hops=hops)
        if offset + length > domain.size:
            raise self._wrong(f"{length} bytes at {start:#x} run over the end of domain '{domain.name}'")
        return Span(domain.name, offset, length)

    def read(self, machine: Machine) -> int | float:
        """Its value on `machine` now."""
        reader = self._reader
        if reader is not None and machine.memory[reader[0]] is reader[1]:
            return reader[2]()
        if self.pointer is not None:  # to be followed at each read
            return self._value(self._bytes(machine))
        span = self.span(machine.domains)
        swap = machine.domains[span.domain].swap
        view = machine.memory[span.domain]
        read = _compile_reader(self, view, [(span.offset + i) ^ (swap - 1) for i in range(span.length)])
        object.__setattr__(self, "_reader", (span.domain, view, read))
        return read()

    def write(self, machine: Machine, value: int | float) -> None:
        """Set it on `machine`; with `mask` or `bit`, the other bits stay.

        Raises:
            GameError: the value does not fit the type, or its pointer leads nowhere.
        """
        raw: int | float = value if self.scale == 1 else value * self.scale
        try:
            if self.parsed.kind != "f":
                raw = int(raw) if isinstance(raw, int) else round(raw)
            if self.mask is not None or self.bit is not None:
                old = int(self._raw(self._bytes(machine)))
                keep = 1 << self.bit if self.bit is not None else self.mask or 0
                new = int(raw) if self.bit is None else int(bool(raw)) << self.bit
                if new & ~keep:
                    raise ValueError(f"{value} has bits outside the mask {keep:#x}")
                raw = old & ~keep | new
                if self.parsed.kind == "i":  # the sign is a bit like the others here
                    half = 1 << (8 * self.parsed.width - 1)
                    raw = (raw + half) % (2 * half) - half
            encoded = self.parsed.encode(raw)
        except (ValueError, OverflowError) as wrong:
            raise self._wrong(str(wrong)) from None
        places = _places(machine, self.span(machine.domains))
        if None in places:
            raise self._wrong("its pointer leads out of the machine's memory now")
        if not all(machine.domains[domain].writable for domain, _ in places):  # type: ignore[misc]
            raise self._wrong("its memory can't be written")
        for (domain, index), byte in zip(places, encoded, strict=True):  # type: ignore[misc]
            machine.memory[domain][index] = byte

    def _bytes(self, machine: Machine) -> bytes:
        places = _places(machine, self.span(machine.domains))
        return bytes(0 if place is None else machine.memory[place[0]][place[1]] for place in places)

    def _raw(self, data: bytes) -> int | float:
        """The number that these bytes (in the console's order) hold, before mask, bit and scale."""
        if self.parsed.kind == "f":
            order, char = self.parsed.struct  # type: ignore[misc]
            number: float = struct.unpack(order + char, data)[0]
            return number if np.isfinite(number) else 0.0
        digits, base = DIGITS[self.parsed.kind]
        raw: int = sum(digits[data[place]] * base**power for power, place in enumerate(self.parsed.order))
        bits = 64 if self.parsed.kind == "u" else 8 * self.parsed.width
        if self.parsed.kind in "iu" and raw >= 1 << (bits - 1):
            raw -= 1 << bits
        return raw

    def _value(self, data: bytes) -> int | float:
        raw = self._raw(data)
        if self.mask is not None:
            raw = int(raw) & self.mask
        elif self.bit is not None:
            raw = int(raw) >> self.bit & 1
        return raw if self.scale == 1 else float(raw) / self.scale


def _places(machine: Machine, span: Span) -> list[tuple[str, int] | None]:
    """Domain and index in its view for each byte of a span, pointers followed."""
    domains = machine.domains
    if not span.hops:
        swap = domains[span.domain].swap
        return [(span.domain, (span.offset + i) ^ (swap - 1)) for i in range(span.length)]
    domain = domains[span.domain]
    address, bits = domain.base + span.offset, domain.address_bits

    def place(address: int) -> tuple[str, int] | None:
        found = find_domain(domains, address)
        return None if found is None else (found[0].name, found[1] ^ (found[0].swap - 1))

    for hop, (width, big, add) in enumerate(span.hops):
        if hop == 0:  # its domain is given, and may lie on no bus
            where = _places(machine, Span(span.domain, span.offset, width))
        else:
            where = [place(address + i) for i in range(width)]
        stored = bytes(0 if at is None else machine.memory[at[0]][at[1]] for at in where)
        address = (int.from_bytes(stored, "big" if big else "little") + add) & ((1 << bits) - 1)
    return [place(address + i) for i in range(span.length)]


def read_span(machine: Machine, span: Span) -> bytes:
    """The bytes of one span as they are now: what a pool puts into a row."""
    if span.raw or (not span.hops and machine.domains[span.domain].swap == 1):
        return machine.memory[span.domain][span.offset : span.offset + span.length].tobytes()
    return bytes(0 if at is None else machine.memory[at[0]][at[1]] for at in _places(machine, span))


def _formula(variable: Variable, raw: str) -> str:
    """Python source of a variable's value from that of its raw number; built from checked numbers only."""
    if variable.parsed.kind == "f":
        raw = f"(r if (r := {raw}) - r == 0.0 else 0.0)"
    if variable.mask is not None:
        raw = f"({raw} & {int(variable.mask)})"
    elif variable.bit is not None:
        raw = f"({raw} >> {int(variable.bit)} & 1)"
    if variable.scale != 1:
        wide = variable.parsed.kind != "f" and variable.parsed.width > 6  # beyond a float's 53 bits
        raw = f"(FLOAT({raw}) / {variable.scale!r})" if wide else f"({raw} / {variable.scale!r})"
    return raw


def _from_bytes(variable: Variable, names: Sequence[str]) -> str:
    """Python source of the raw integer whose bytes, in the console's order, have the sources `names`."""
    kind, order = variable.parsed.kind, variable.parsed.order
    table = {"d": "BCD[{}]", "n": "NYBBLE[{}]"}.get(kind, "{}")
    base = DIGITS[kind][1]
    digits = [table.format(names[place]) for place in order]
    source = " + ".join([digits[0], *(f"{digit} * {base**n}" for n, digit in enumerate(digits[1:], 1))])
    if kind == "i" or (kind == "u" and len(order) == 8):
        half = 1 << (8 * len(order) - 1)
        return f"((({source}) ^ {half}) - {half})"
    return f"({source})"


def _function(source: str, **names: Any) -> Any:
    """The function `f` that generated source defines (built from checked numbers, no file's text)."""
    scope = {"__builtins__": {}, "BCD": BCD, "NYBBLE": NYBBLE, "FLOAT": float, **names}
    exec(compile(source, "<memory map>", "exec"), scope)
    return scope["f"]


def _compile_reader(
    variable: Variable, view: NDArray[np.uint8], places: Sequence[int]
) -> Callable[[], int | float]:
    """A function that reads the variable's bytes at `places` of one live view."""
    if variable.parsed.kind == "f":
        return lambda: variable._value(bytes(view[list(places)]))
    source = _formula(variable, _from_bytes(variable, [f"m[{place}]" for place in places]))
    read: Callable[[], int | float] = _function(f"def f(m=m):\n return {source}", m=view.data)
    return read


class Reader:
    """Reads many variables of one machine at once; made anew by itself when the machine's views are."""

    def __init__(self, variables: Mapping[str, Variable]) -> None:
        self.variables = variables
        self._views: list[tuple[str, NDArray[np.uint8]]] = []
        self._read: Callable[[], dict[str, int | float]] | None = None

    def read(self, machine: Machine) -> dict[str, int | float]:
        """The values now, by name."""
        memory = machine.memory
        for domain, view in self._views:
            if memory[domain] is not view:
                self._read = None
        if self._read is None:
            self._read = self._compile(machine)
        return self._read()

    def _compile(self, machine: Machine) -> Callable[[], dict[str, int | float]]:
        """One function for all: bytes by index, or a call where a pointer or a float needs more."""
        domains = machine.domains
        views: dict[str, int] = {}
        scope: dict[str, Any] = {}
        items = []
        for number, (name, variable) in enumerate(self.variables.items()):
            scope[f"name{number}"] = name
            if variable.pointer is not None or variable.parsed.kind == "f":
                scope[f"read{number}"] = functools.partial(variable.read, machine)
                items.append(f"name{number}: read{number}()")
                continue
            span = variable.span(domains)
            view = views.setdefault(span.domain, len(views))
            swap = domains[span.domain].swap
            places = [f"m{view}[{(span.offset + i) ^ (swap - 1)}]" for i in range(span.length)]
            items.append(f"name{number}: {_formula(variable, _from_bytes(variable, places))}")
        self._views = [(domain, machine.memory[domain]) for domain in views]
        parameters = [f"m{number}=m{number}" for number in views.values()]
        scope.update((f"m{views[domain]}", view.data) for domain, view in self._views)
        read: Callable[[], dict[str, int | float]]
        read = _function(f"def f({', '.join(parameters)}):\n return {{{', '.join(items)}}}", **scope)
        return read
