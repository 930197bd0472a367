"""Finding the way to a value that moves: chains of pointers from a fixed place in memory.

A chain is what `pointer` in a `game.toml` is: the address of the first pointer, then what is added after each
dereference. Many chains lead to a value by chance. The true one still does after the value has moved: after a
restart, in another level. Scan there again with `keep`, and chance goes quickly.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from frameperfect import _native
from frameperfect.errors import GameError, RamError
from frameperfect.layout import Layout
from frameperfect.memory import Domain, Variable, find_domain

if TYPE_CHECKING:
    from frameperfect.machine import Machine


@dataclass
class PointerScan:
    """The chains that lead to `address` on `machine` now.

    Args:
        machine: the game, at a moment when the value's address is known.
        address: where the value lies now (the console's address).
        depth: how many pointers a chain may have.
        reach: the largest offset added to a pointer.
        align: only pointers whose address is a multiple of this.
        most: the scan stops at so many chains; `complete` says whether it did.

    Raises:
        RamError: `address` lies in no domain.
    """

    machine: Machine
    address: int
    depth: int = 2
    reach: int = 0x100
    align: int = 1
    most: int = 100_000
    complete: bool = field(init=False, default=True)
    chains: list[tuple[int, ...]] = field(init=False, default_factory=list)
    """The chains left, the shortest and the smallest offsets first."""

    def __post_init__(self) -> None:
        if find_domain(self.machine.domains, self.address) is None:
            raise RamError(f"address {self.address:#x} lies in no domain of this machine")
        pointers, targets = _all_pointers(self.machine, self.align)
        order = np.argsort(targets, kind="stable")
        pointers, targets = pointers[order], targets[order]
        seen = {self.address}
        front: list[tuple[int, ...]] = [(self.address,)]
        for _ in range(self.depth):
            longer = []
            for place, *offsets in front:
                low, high = np.searchsorted(targets, [max(0, place - self.reach), place + 1])
                for pointer, target in zip(
                    pointers[low:high].tolist(), targets[low:high].tolist(), strict=True
                ):
                    self.chains.append((pointer, place - target, *offsets))
                    if pointer not in seen:  # a pointer reached on a shorter way is not followed again
                        seen.add(pointer)
                        longer.append(self.chains[-1])
                    if len(self.chains) >= self.most:
                        self.complete = False
                        break
                if not self.complete:
                    break
            front = longer
            if not self.complete:
                break
        self.chains.sort(key=lambda chain: (len(chain), sum(chain[1:]), chain))

    def keep(self, address: int) -> int:
        """Keep the chains that lead to `address` on the machine as it is now; returns how many."""
        self.address = address
        self.chains = [chain for chain in self.chains if self.follow(chain) == address]
        return len(self.chains)

    def follow(self, chain: tuple[int, ...]) -> int | None:
        """The console address to which a chain leads now; None where it leaves memory."""
        address: int | None = chain[0]
        for add in chain[1:]:
            found = None if address is None else find_domain(self.machine.domains, address)
            if found is None or address is None:
                return None
            domain = found[0]
            stored = Variable("pointer", address, domain.pointer)
            try:
                address = (int(stored.read(self.machine)) + add) & ((1 << domain.address_bits) - 1)
            except GameError:  # it runs over the end of its domain
                return None
        return address

    def variable(self, name: str, type: str, chain: tuple[int, ...] | None = None) -> Variable:
        """The value behind a chain (the first one left), as a variable for a `game.toml`.

        Raises:
            RamError: no chain is left.
        """
        if not self.chains and chain is None:
            raise RamError("no chain of pointers is left; scan deeper or with a longer reach")
        return Variable(name, type=type, pointer=chain or self.chains[0])


def _all_pointers(machine: Machine, align: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Every place that holds an address of some domain, and that address."""
    places, targets = [], []
    for domain in machine.domains.values():
        held = _pointers_in(machine, domain, align)
        inside = np.zeros(len(held), bool)
        for other in machine.domains.values():
            inside |= (held >= other.base) & (held < other.base + other.size)
        index = np.flatnonzero(inside)
        places.append(domain.base + index * align)
        targets.append(held[index])
    return np.concatenate(places), np.concatenate(targets)


def _pointers_in(machine: Machine, domain: Domain, align: int) -> NDArray[np.int64]:
    """What each aligned place of a domain holds, read as a pointer."""
    memory = np.empty(domain.size, np.uint8)
    _native.take_memory(machine.memory[domain.name], domain.swap, memory)
    variable = Variable("pointer", 0, domain.pointer, domain.name)
    width = variable.parsed.width
    if domain.size < width:
        return np.zeros(0, np.int64)
    rows = np.lib.stride_tricks.sliding_window_view(memory, width)[::align]
    held = Layout({"pointer": variable}, {domain.name: domain}).decode(np.ascontiguousarray(rows))["pointer"]
    return held.astype(np.int64) & ((1 << domain.address_bits) - 1)
