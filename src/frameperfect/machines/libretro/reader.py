"""What native code reads of a core's memory, as its constructors take it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from frameperfect.errors import GameError
from frameperfect.memory import Domain, Span


def native_reader(domains: Mapping[str, Domain], spans: Sequence[Span]) -> dict[str, Any]:
    """The arguments `domains` and `spans`.

    Raises:
        GameError: a span lies outside its domain.
    """
    names = list(domains)
    places = []
    for span in spans:
        domain = domains.get(span.domain)
        if (
            domain is None
            or not 0 <= span.offset <= span.offset + (0 if span.hops else span.length) <= domain.size
        ):
            raise GameError(
                f"{span.length} bytes at {span.offset:#x} of '{span.domain}' are not in this machine's "
                f"memory: {', '.join(f'{d.name} ({d.size} bytes)' for d in domains.values())}"
            )
        places.append((names.index(span.domain), span.offset, span.length, span.raw, span.hops))
    return {
        "domains": [(d.base, d.size, d.swap, d.address_bits) for d in domains.values()],
        "spans": places,
    }
