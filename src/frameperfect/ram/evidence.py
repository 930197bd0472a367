"""What each question asks of the values in the branches: judges of many candidates at once.

A judge takes, by branch, (frames + 1, N) float64 values of N candidates, and gives a `Shape`: how well each
one fits (0: not at all), which of several readings of the same bytes to prefer, and why in words.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from frameperfect.ram.branch import Recording

Values = list[NDArray[np.float64]]


@dataclass(frozen=True)
class Shape:
    """What a judge says of N candidates."""

    score: NDArray[np.float64]
    preference: NDArray[np.float64]
    why: Callable[[int], str]


# -- counters --------------------------------------------------------------------------------------------


def counting(values: Values) -> Shape:
    """Equal in all branches whatever is pressed; one step, at one pace."""
    return _steady(values, slow=False)


def timing(values: Values) -> Shape:
    """A counter that is no frame counter: it counts down, or takes more than a frame a step."""
    return _steady(values, slow=True)


def _steady(values: Values, slow: bool) -> Shape:
    first = values[0]
    count = first.shape[1]
    same = np.ones(count, bool)
    for other in values[1:]:
        same &= (other == first).all(0)
    steps = np.diff(first, axis=0)
    score, pace, step = np.zeros(count), np.zeros(count), np.zeros(count)
    for column in np.flatnonzero(same):
        moves = np.flatnonzero(steps[:, column])
        if len(moves) < (3 if slow else 5):
            continue
        sizes = steps[moves, column]
        step[column] = size = np.median(sizes)
        gaps = np.diff(moves)
        pace[column] = gap = np.median(gaps)
        # A wrap to the start is a part of counting; a reading of the wrong width or order jumps often.
        regular = np.mean(sizes == size) * np.mean(np.abs(gaps - gap) <= 1)
        if slow and (abs(size) != 1 or (gap == 1 and size > 0)):
            continue
        score[column] = regular if regular >= 0.75 else 0
    return Shape(
        score,
        10 * score - 1.0 * (np.abs(step) != 1) - 1.0 * (np.abs(step) > 64),
        lambda c: (
            f"{step[c]:+g} every {'frame' if pace[c] == 1 else f'{pace[c]:g} frames'}, whatever is pressed"
        ),
    )


# -- motion ----------------------------------------------------------------------------------------------


def positions(scripts: int, frames: int) -> Callable[[Values], Shape]:
    """The judge of positions; branches come in groups of `scripts`, as `Lab._axis` lists them."""

    def judge(values: Values) -> Shape:
        groups = [values[i : i + scripts] for i in range(0, len(values), scripts)]
        score, way, speed, rough = np.stack([_motion(group, frames) for group in groups], axis=1)
        best = score.argmax(0), np.arange(score.shape[1])
        mean = (score[best] + score.mean(0)) / 2  # a moment may be one where nobody can move
        sign, pace = way[best], speed[best]
        return Shape(
            np.where(mean > 0.15, mean, 0),
            -rough[best],
            lambda c: f"{'+' if sign[c] > 0 else '-'}{pace[c]:.3g} a frame while held, stays when released",
        )

    return judge


def _motion(group: Values, frames: int) -> NDArray[np.float64]:
    """(4, N) of one moment's branches: like a position how far, which way, how fast, how unevenly."""
    still, more, less, stop_more, stop_less, back = group
    half = frames // 2
    up, down = more - still, less - still
    way = np.sign(up[-1] - down[-1])
    toward, away = up * way, -down * way
    # Steady motion to both sides; one of them may be blocked by a wall, not both.
    rising, falling = np.diff(toward, axis=0), np.diff(away, axis=0)
    monotone = np.minimum((rising >= 0).mean(0), (falling >= 0).mean(0))
    moves = np.maximum((rising > 0).sum(0), (falling > 0).sum(0))
    both = (toward[-1] > 0) * 0.5 + (away[-1] > 0) * 0.5
    # It grows with time: a speed or a flag has all its size soon.
    reach = np.maximum(toward[-1], away[-1])
    middle = np.where(toward[-1] >= away[-1], toward[half], away[half])
    growth = np.clip((reach - middle) / np.maximum(reach, 1e-9) / 0.3, 0, 1)
    # It stays where it was left, and comes back by the other button.
    stays = np.maximum(_stays((stop_more - still) * way, half), _stays(-(stop_less - still) * way, half))
    returns = ((back - still) * way)[-1] < toward[-1] + 1e-9
    # Its pace is steady: a value whose halves are read in the wrong order jumps.
    jump = np.maximum(np.abs(rising).max(0), np.abs(falling).max(0))
    smooth = np.clip(4 * reach / frames / np.maximum(jump, 1e-9), 0, 1)
    like = monotone**4 * (0.25 + 0.75 * both) * growth * (0.2 + 0.8 * stays) * smooth
    uneven = np.where(toward[-1] >= away[-1], _roughness(rising), _roughness(falling))
    like = np.where((moves >= 3) & (way != 0) & returns, like, 0.0)
    found: NDArray[np.float64] = np.stack([like, way, reach / frames, uneven])
    return found


def _stays(moved: NDArray[np.float64], half: int) -> NDArray[np.float64]:
    """How much of the way at the release is still there at the end, 0 to 1."""
    way = moved[half]
    part: NDArray[np.float64] = np.where(way > 0, np.clip(moved[-1] / np.maximum(way, 1e-9), 0, 1), 0)
    return part


def _roughness(steps: NDArray[np.float64]) -> NDArray[np.float64]:
    """How uneven the steps are, for their size: finer readings of the same motion are less so."""
    uneven: NDArray[np.float64] = np.abs(np.diff(steps[1:], axis=0)).sum(0)
    uneven /= np.maximum(np.abs(steps[1:]).sum(0), 1e-9)
    return uneven


def velocities(moved: Sequence[NDArray[np.float64]]) -> Callable[[Values], Shape]:
    """The judge of velocities, given by branch (frames,) the true position's change a frame."""
    motion = np.concatenate([m.astype(np.float64) for m in moved])
    wrap = np.abs(motion) > 8 * np.median(np.abs(motion[motion != 0])) if motion.any() else motion != 0
    motion = np.where(wrap, 0, motion)

    def judge(values: Values) -> Shape:
        count = values[0].shape[1]
        best, lag = np.zeros(count), np.zeros(count, int)
        for shift in (0, 1):
            held = np.concatenate([block[1 - shift : len(block) - shift] for block in values])
            centred = held - held.mean(0)
            spread = centred.std(0) * motion.std() + 1e-12
            match = (centred * (motion - motion.mean())[:, None]).mean(0) / spread
            # Zero while it stands, and of the motion's sign: else it is a place, a direction or a picture.
            stands = ((held == 0) == (motion == 0)[:, None]).mean(0)
            agrees = np.where(held.any(0), stands, 0) * np.clip(match, 0, 1)
            best, lag = np.where(agrees > best, agrees, best), np.where(agrees > best, shift, lag)
        return Shape(
            np.where(best >= 0.8, best, 0),
            np.zeros(count),
            lambda c: f"as large as the position's change a frame{' before' if not lag[c] else ''}",
        )

    return judge


# -- what random play tells ------------------------------------------------------------------------------


def losing(recording: Recording) -> Callable[[Values], Shape]:
    """The judge of lives: few, one less at a time, when much of memory changes at once."""
    busy = [(np.diff(rows.astype(np.int16), axis=0) != 0).sum(1) for rows in recording.frames]
    rank = [np.argsort(np.argsort(b)) / max(1, len(b) - 1) for b in busy]

    def judge(values: Values) -> Shape:
        count = values[0].shape[1]
        score, losses = np.zeros(count), np.zeros(count, int)
        steps = [np.diff(block, axis=0) for block in values]
        # Most candidates go here: falls other than by one, more than a few, or more rises than falls.
        falls = sum((s < 0).sum(0) for s in steps)
        ones = sum((s == -1).sum(0) for s in steps)
        rises = sum((s > 0).sum(0) for s in steps)
        start = values[0][0]
        likely = (falls > 0) & (ones == falls) & (rises <= 0.34 * falls) & (start > 0) & (start < 100)
        likely &= falls <= 10 * len(values)
        for column in np.flatnonzero(likely):
            times = [np.flatnonzero(s[:, column] < 0) for s in steps]
            gaps = np.concatenate([np.diff(t) for t in times if len(t) > 1] or [np.array([999])])
            apart = float(np.mean(gaps >= 30))
            varied = len({tuple(t.tolist()) for t in times}) > 1
            events = [
                rank[i][max(0, t - 8) : t + 9].max()
                for i, frames in enumerate(times)
                for t in frames.tolist()
            ]
            commotion = float(np.mean(events))
            played = np.mean([len(t) > 0 for t in times])
            small = 1.0 if start[column] <= 9 else 0.5
            score[column] = apart * (1.0 if varied else 0.2) * commotion**2 * (0.6 + 0.4 * played) * small
            losses[column] = falls[column]
        return Shape(
            score,
            np.zeros(count),
            lambda c: f"{start[c]:g} at first, {losses[c]} times one less in {len(values)} plays",
        )

    return judge


def scoring(values: Values) -> Shape:
    """Never falls but to 0 when the game is over; rises now and then, and when depends on what was played."""
    count = values[0].shape[1]
    steps = [np.diff(block, axis=0) for block in values]
    cleared = [(s < 0) & (block[1:] == 0) for s, block in zip(steps, values, strict=True)]
    overs = np.max([c.sum(0) for c in cleared], axis=0)
    falls = sum((s < 0).sum(0) for s in steps) - sum(c.sum(0) for c in cleared)
    rises = sum((s > 0).sum(0) for s in steps)
    frames = sum(len(s) for s in steps)
    score, kinds = np.zeros(count), np.zeros(count, int)
    likely = (falls == 0) & (overs <= 1) & (rises >= 2) & (rises < 0.05 * frames)
    for column in np.flatnonzero(likely):
        times = [np.flatnonzero(s[:, column] > 0) for s in steps]
        sizes = np.concatenate([s[t, column] for s, t in zip(steps, times, strict=True)])
        kinds[column] = distinct = len(np.unique(sizes))
        varied = len({tuple(t.tolist()) for t in times}) / len(times)
        played = np.mean([len(t) > 0 for t in times])
        few = 1 / (1 + 0.05 * (distinct - 1))
        score[column] = varied * (0.5 + 0.5 * played) * few * min(1.0, 0.6 + 0.1 * rises[column])
    return Shape(
        score,
        rises - 0.1 * kinds,
        lambda c: f"never falls, {rises[c]} rises by {kinds[c]} different amounts in {len(values)} plays",
    )
