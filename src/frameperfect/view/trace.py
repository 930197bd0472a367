"""How a run went: its score, when it reached its goal, and how far it was at every frame."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from frameperfect.errors import GameError
from frameperfect.view.overlay import Spectator
from frameperfect.view.overlay.trail import JUMP

if TYPE_CHECKING:
    from frameperfect.game import Game
    from frameperfect.machine import Machine
    from frameperfect.movie import Movie

UNITS = {"s": 1.0, "ds": 0.1, "cs": 0.01, "ms": 0.001}
"""Seconds in a unit of the game's clock; without a unit of these, a clock counts frames."""


@dataclass(frozen=True)
class Trace:
    """One run, frame by frame; entry 0 of the arrays is its start."""

    totals: NDArray[np.float64]
    """The reward so far, (F + 1,), by the game's rules evaluated at every frame."""
    values: NDArray[np.float64] | None
    """The variable that was asked for, (F + 1,)."""
    finish: int | None
    """The frame at which the goal was reached."""
    seconds: float | None
    """The run's time at its goal: by the game's clock where it has one, else by frames."""
    worlds: Sequence[tuple[float, ...]] = ()
    """The world it was in, (F + 1), as `[view] scene` tells worlds apart; empty: all is one world."""

    @property
    def score(self) -> float:
        """All that was paid."""
        return float(self.totals[-1])


def trace(movie: Movie, machine: Machine, variable: str | None = None, frames: int | None = None) -> Trace:
    """Replay the first `frames` of `movie` (all of them) and measure it; `variable` is kept for every frame.

    Raises:
        GameError: there is no such variable or definition.
        Desync: the replay left the recorded run.
    """
    movie.begin(machine)
    spectator = Spectator(machine)
    if variable is not None and variable not in spectator.values():
        known = ", ".join(spectator.values()) or "none"
        raise GameError(f"no variable or definition '{variable}' in this game; it has {known}")
    scene = (machine.game.view.scene or ()) if machine.game is not None else ()
    totals, values, worlds = [0.0], [_number(spectator, variable)], [_world(spectator, scene)]
    finish: int | None = None
    seconds: float | None = None
    before = True
    for frame in movie.replay(machine):
        spectator.step(frame)
        totals.append(spectator.total)
        values.append(_number(spectator, variable))
        worlds.append(_world(spectator, scene))
        # Memory is not cleared at power-on: what looks like the goal from the first frame on is none.
        reached, before = spectator.success and not before, spectator.success
        if finish is None and reached:
            finish, clock = frame, spectator.time()
            seconds = frame / movie.frame_rate
            if clock is not None:
                seconds = float(clock) * clock_unit(machine.game, movie.frame_rate)
        if frame == frames:
            break
    kept = None if variable is None else np.array(values, np.float64)
    return Trace(np.array(totals, np.float64), kept, finish, seconds, worlds)


def clock_unit(game: Game, frame_rate: float) -> float:
    """Seconds in one unit of the game's clock, by the unit of the first variable that `[end] time` names."""
    names = re.findall(r"[A-Za-z_]\w*", game.end.time or "")
    units = [game.definition.memory[name].unit for name in names if name in game.definition.memory]
    return UNITS.get(units[0], 1 / frame_rate) if units else 1 / frame_rate


def along(traces: Sequence[Trace]) -> list[NDArray[np.float64]]:
    """How far each run was along one way, a number a frame, from the variable that was kept: its place.

    The worlds lie one behind the other, as the runs came to them first: the start of a second stage is
    farther than the end of the first, whatever its coordinates.
    """
    order: dict[tuple[float, ...], int] = {}
    for world in (world for each in traces for world in each.worlds):
        order.setdefault(world, len(order))
    places = [each.values for each in traces if each.values is not None]
    span = max(np.abs(place).max() for place in places) * 2 + 2 * JUMP if len(order) > 1 else 0.0
    return [
        place + span * np.array([order[world] for world in each.worlds], np.float64)
        for each, place in zip(traces, places, strict=True)
    ]


def time_behind(reference: NDArray[np.float64], other: NDArray[np.float64]) -> NDArray[np.float64]:
    """How many frames later than `reference` `other` came as far, at each of its frames; negative: it leads.

    Both are places along the way, one a frame; what counts is the farthest reached so far. Who is stuck falls
    behind as soon as `reference` has gone on from there.
    """
    farthest, mine = np.maximum.accumulate(_settled(reference)), np.maximum.accumulate(_settled(other))
    now = np.arange(len(other))
    behind = np.searchsorted(mine, mine, side="left") - np.searchsorted(farthest, mine, side="left")
    left_at = np.searchsorted(farthest, mine, side="right") - 1
    stuck = (now > left_at) & (mine < farthest[-1])
    frames = np.where(stuck, np.maximum(behind, now - left_at), behind)
    return np.where(np.isneginf(mine), 0.0, frames)


def _settled(places: NDArray[np.float64]) -> NDArray[np.float64]:
    """The same with -inf before play: there a place stands still, and leaves by a jump (memory at power-on,
    a title screen).
    """
    begin = 0
    while len(moved := np.flatnonzero(places[begin:] != places[begin])):
        next_place = begin + int(moved[0])
        if abs(places[next_place] - places[begin]) <= JUMP:
            break
        begin = next_place
    settled = places.copy()
    settled[:begin] = -np.inf
    return settled


def _world(spectator: Spectator, scene: Sequence[str]) -> tuple[float, ...]:
    return tuple(_number(spectator, name) for name in scene)


def _number(spectator: Spectator, variable: str | None) -> float:
    return 0.0 if variable is None else float(spectator.values()[variable])
