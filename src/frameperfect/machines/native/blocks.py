"""Where the domains of a `game.toml` lie in a game that has begun.

What a block's mark leads to is found once; the chain of pointers behind it is followed by the hook after
every step (native/hook/watch.hpp).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

from frameperfect.errors import MachineError
from frameperfect.machines.native.hook import MAX_HOPS, MAX_WATCHED, WATCHED_AT, Watch
from frameperfect.memory import Block, Domain

DISTANCE = 4
"""Bytes of a distance in 64-bit x86 code."""


class Searched(Protocol):
    """A running game that can be searched, as `HookedGame` can."""

    base: int
    pointer_size: int

    def places_of(self, pattern: str) -> list[int]:
        """Addresses of a byte pattern in the program's image."""

    def objects_of(self, mangled: str) -> list[int]:
        """Addresses of the objects of a C++ class."""

    def stack(self) -> int:
        """Where the first thread's stack begins."""

    def read(self, address: int, length: int) -> bytes:
        """Bytes of its memory; MachineError where it has none there."""


def find_blocks(game: Searched, blocks: Mapping[str, Block]) -> list[Watch]:
    """What to watch for each block, in their order.

    Raises:
        MachineError: a mark is not there, or in several places.
    """
    watches = []
    for name, block in blocks.items():
        if len(block.chain) > MAX_HOPS:
            raise MachineError(f"[domain.{name}] chain: {len(block.chain)} pointers; at most {MAX_HOPS}")
        try:
            watches.append(Watch(_mark(game, block), block.size, block.chain))
        except MachineError as wrong:
            raise MachineError(f"[domain.{name}] {wrong}") from wrong
    if sum(watch.length for watch in watches) > MAX_WATCHED:
        raise MachineError(f"[domain]: at most {MAX_WATCHED >> 10} KiB in all can be watched")
    return watches


def domains_of(blocks: Mapping[str, Block], pointer_size: int) -> tuple[dict[str, Domain], dict[str, int]]:
    """The domains that blocks are, and where each lies in the views."""
    domains, starts, at = {}, {}, WATCHED_AT
    for name, block in blocks.items():
        domains[name] = Domain(
            name,
            block.size,
            base=1 << 62 | at,
            writable=False,
            hashed=block.hashed,
            pointer=f"<u{pointer_size}",
        )
        starts[name] = at
        at += block.size
    return domains, starts


def _mark(game: Searched, block: Block) -> int:
    if block.pattern is not None:
        places = game.places_of(block.pattern)
        if len(places) != 1:
            where = "is nowhere" if not places else f"stands in {len(places)} places or more"
            raise MachineError(f"pattern: it {where} in the program; is it for another build?")
        return _kept_address(game, places[0], block)
    if block.rtti is not None:
        objects = game.objects_of(block.rtti)
        if block.index >= len(objects):
            raise MachineError(f"rtti: the game has {len(objects)} objects of the class '{block.rtti}' now")
        return objects[block.index]
    if block.image is not None:
        return game.base + block.image
    assert block.stack is not None
    return game.stack() + block.stack


def _kept_address(game: Searched, place: int, block: Block) -> int:
    if block.at is None:
        return place
    kept = place + block.at
    if block.relative:
        distance = int.from_bytes(game.read(kept, DISTANCE), "little", signed=True)
        return kept + DISTANCE + distance
    return int.from_bytes(game.read(kept, game.pointer_size), "little")
