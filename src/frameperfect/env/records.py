"""Memory that holds a record for each player (`Domain.record`), as each of them sees it.

A game's rules are written for the first player. Every player is shown the records turned round so that its
own comes first, and so one set of rules serves all.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from frameperfect.env.setup import Setup
from frameperfect.errors import EnvError
from frameperfect.memory import Domain, Span

if TYPE_CHECKING:
    from pathlib import Path

    from frameperfect.game import Game


def players_setup(
    game: str | Path | Game,
    players: int,
    *,
    options: Mapping[str, str] | None,
    threads: int,
    **chosen: Any,
) -> Setup:
    """The setup of a game for so many players; its pools gather all memory, to be turned round for each.

    Args:
        chosen: what callers leave to their own: `observation` ("features" or "features:NAME"), `actions`,
            `frame_skip`, `sticky`, `start`, `max_steps`, `define` and `isolated`, as `make_env` has them.

    Raises:
        EnvError: the game is for one.
    """
    setup = Setup(
        game, options={**(options or {}), "players": str(players)}, threads=threads, video=None, noops=0,
        reward_terms=False, render_mode=None, core=None, **chosen,
    )  # fmt: skip
    if not any(domain.record for domain in setup.domains.values()):
        raise EnvError(f"{setup.game.name} is for one agent: its machine holds no record a player")
    whole = tuple(Span(domain.name, 0, domain.size, raw=True) for domain in setup.domains.values())
    setup.settings = replace(setup.settings, spans=whole)
    return setup


def turned(spans: Sequence[Span], domains: Mapping[str, Domain], count: int) -> NDArray[np.intp]:
    """(players, K): for each player, which bytes of all domains side by side are the row of its rules."""
    start_of, end = {}, 0
    for name, domain in domains.items():
        start_of[name] = end
        end += domain.size
    rows = []
    for player in range(count):
        places: list[int] = []
        for span in spans:
            record = domains[span.domain].record
            for offset in range(span.offset, span.offset + span.length):
                if record and offset // record < count:  # the records of who is not there stay where they are
                    whose, within = divmod(offset, record)
                    offset = (whose + player) % count * record + within
                places.append(start_of[span.domain] + offset)
        rows.append(places)
    return np.array(rows, np.intp)
