"""BizHawk's watch lists, `.wch`: read and written as it does.

After https://github.com/TASEmulators/BizHawk (BizHawk.Client.Common/tools/Watch): a line `SystemID NES`, then
one line a watch, six columns between tabs: the address in hex, from the domain's beginning on; the size
(`b` byte, `w` word, `d` double word, `S` separator); how it is shown (`u` unsigned, `s` signed, `h` hex, `b`
binary, `1` fixed 12.4, `2` fixed 20.12, `3` fixed 16.16, `f` float, `_` separator); 1 for big-endian; the
domain; and notes, which hold the variable's name here. A line of another form is skipped, as there.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import TYPE_CHECKING

from frameperfect.errors import GameError, RamError
from frameperfect.memory import Domain, Variable, find_domain
from frameperfect.movie.systems import SYSTEMS
from frameperfect.ram.search import variable_at

if TYPE_CHECKING:
    from frameperfect.machine import Machine

_SIZES = {"b": 1, "w": 2, "d": 4}
_FIXED = {"1": (2, 16), "2": (4, 4096), "3": (4, 65536)}  # shown as: width, scale
_MAIN = {"nes": "RAM", "snes": "WRAM", "genesis": "68K RAM", "gameboy": "WRAM", "gbcolor": "WRAM",
         "gbadvance": "EWRAM", "n64": "RDRAM", "pcengine": "Main Memory"}  # fmt: skip
"""BizHawk's name of a console's main memory, where that is not `Main RAM`."""
_NAME = re.compile(r"[^0-9A-Za-z_]+")


def read_wch(text: str, machine: Machine) -> list[Variable | str]:
    """The watches of a list, as variables of `machine`; separators are strings, their notes.

    A domain that the machine does not have is taken for its main memory, as BizHawk does; `System Bus` holds
    the console's own addresses.

    Raises:
        RamError: a watch lies outside the machine's memory.
    """
    entries: list[Variable | str] = []
    taken: set[str] = set()
    for number, line in enumerate(text.splitlines(), 1):
        columns = line.rstrip("\r\n").split("\t", 5)
        if len(columns) < 6 or line.startswith("SystemID"):
            continue
        address, size, shown, big, where, notes = columns
        if size == "S" or shown == "_":
            entries.append(notes.strip())
            continue
        if size not in _SIZES or not re.fullmatch(r"[0-9A-Fa-f]+", address):
            continue
        width = _SIZES[size]
        kind = {"s": "i", "f": "f"}.get(shown, "i" if shown in _FIXED else "u")
        order = "" if width == 1 else "<>"[big.strip() != "0"]
        scale = _FIXED[shown][1] if shown in _FIXED and _FIXED[shown][0] == width else 1
        try:
            domain, console = _place(machine, where, int(address, 16))
        except RamError as wrong:
            raise RamError(f"line {number}: {wrong}") from None
        name = base = _NAME.sub("_", notes.strip()).strip("_").lower() or f"at_{console:x}"
        if not base[0].isalpha():
            name = base = f"v_{base}"
        count = 2
        while name in taken:
            name, count = f"{base}_{count}", count + 1
        taken.add(name)
        about = notes.strip() if notes.strip() != name else ""
        entries.append(
            variable_at(
                machine, domain, console, f"{order}{kind}{width}", name=name, scale=scale, about=about
            )
        )
    return entries


def write_wch(entries: Iterable[Variable | str], machine: Machine) -> str:
    """The text of a watch list of these variables and separators.

    Raises:
        RamError: a variable that a watch can't say: behind a pointer, or not 1, 2 or 4 bytes long.
    """
    system = (machine.spec.system or "").lower()
    known = SYSTEMS.get(system)
    lines = [f"SystemID {known.platform if known is not None else machine.spec.system or 'NULL'}"]
    for entry in entries:
        lines.append(f"0\tS\t_\t1\t\t{entry}" if isinstance(entry, str) else _line(entry, machine, system))
    return "\r\n".join(lines) + "\r\n"


def _line(variable: Variable, machine: Machine, system: str) -> str:
    parsed = variable.parsed
    size = {width: letter for letter, width in _SIZES.items()}.get(parsed.width)
    big = parsed.width > 1 and parsed.order == tuple(range(parsed.width))[::-1]
    plain = parsed.width == 1 or big or parsed.order == tuple(range(parsed.width))
    if (
        size is None
        or variable.pointer is not None
        or not plain
        or (parsed.kind == "f" and parsed.width != 4)
    ):
        raise RamError(f"'{variable.name}': a .wch watch is 1, 2 or 4 bytes at a fixed address")
    shown = {"u": "u", "i": "s", "f": "f"}.get(parsed.kind, "h")  # BCD reads right in hex
    if variable.mask is not None or variable.bit is not None:
        shown = "b"
    for letter, fixed in _FIXED.items():
        if fixed == (parsed.width, variable.scale) and parsed.kind in "ui":
            shown = letter
    try:
        span = variable.span(machine.domains)
    except GameError as wrong:
        raise RamError(str(wrong)) from None
    domain = machine.domains[span.domain]
    name = _MAIN.get(system, "Main RAM") if domain.name == "ram" else domain.name
    digits = len(f"{domain.size - 1:X}")
    notes = " ".join(
        (variable.about if _NAME.sub("_", variable.about).lower() == variable.name else "").split()
    )
    return f"{span.offset:0{digits}X}\t{size}\t{shown}\t{int(big)}\t{name}\t{notes or variable.name}"


def _place(machine: Machine, name: str, address: int) -> tuple[Domain, int]:
    """The domain and the console address that a watch means."""
    if name == "System Bus":
        found = find_domain(machine.domains, address)
        if found is None:
            raise RamError(f"address {address:#x} lies in no domain of this machine")
        return found[0], found[0].base + found[1]
    domains = machine.domains
    main = domains["ram"] if "ram" in domains else next(iter(domains.values()))
    domain = next((d for d in domains.values() if d.name.lower() == name.lower()), main)
    if address >= domain.size:
        raise RamError(f"address {address:#x} lies beyond domain '{domain.name}' of {domain.size:#x} bytes")
    return domain, domain.base + address
