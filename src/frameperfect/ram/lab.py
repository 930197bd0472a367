"""Experiments by savestate: questions about memory, answered by branching from one moment many times.

    lab = Lab(machine)                 # the machine's moment now is where every branch begins
    lab.which("Right")                 # bytes that depend on Right, and what else they depend on
    lab.counters()                     # what counts frames, whatever is pressed
    lab.position("Right", "Left")      # what grows with one direction and shrinks with the other, and stays
    lab.velocity("Right", "Left")      # what says how fast that goes
    lab.lives(); lab.score(); lab.timer()

Each answer is a list of findings, best evidence first, every byte in at most one of them. What a question
asks for is defined by what must be seen in the branches, in `frameperfect.ram.evidence`; then the best ones
are written to (`frameperfect.ram.poke`): a copy that the game overwrites, or a byte that nothing reads, falls
behind what the game keeps and shows.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from frameperfect.errors import RamError
from frameperfect.machine import Capability
from frameperfect.ram import evidence
from frameperfect.ram.branch import (
    OPPOSITE,
    Recording,
    Script,
    playable_buttons,
    random_script,
    record,
)
from frameperfect.ram.evidence import Shape
from frameperfect.ram.poke import Poke, poke
from frameperfect.ram.search import find, parse, variable_at

if TYPE_CHECKING:
    from frameperfect.machine import Machine
    from frameperfect.memory import Variable

TYPES = ("u1", "<u2", ">u2", "<u4", ">u4")
SIGNED = ("i1", "<i2", ">i2", "<i4", ">i4")
DIGITS = ("d1", "<d2", ">d2", ">d3", "<d3", ">d4", "<d4", "n1", "<n2", ">n2", ">n4", "<n4")
"""Types that are tried; of several readings of the same bytes the best supported one is reported."""

POKED = 24
"""How many of the best candidates are written to."""


@dataclass(frozen=True)
class Finding:
    """A value in memory that answers a question, and why."""

    variable: Variable
    address: int
    """The console's own."""
    score: float
    """The evidence, 0 to 1."""
    why: str
    poke: Poke | None = None

    def __str__(self) -> str:
        told = f"; {self.poke.verdict}" if self.poke is not None else ""
        return f"{self.address:#08x}  {self.variable.type:<4} {self.score:.2f}  {self.why}{told}"


@dataclass(frozen=True)
class Dependence:
    """A byte, or a bit of one, that depends on a button."""

    address: int
    """The console's own."""
    bit: int | None
    """The one bit of it that depends on this button alone, where the whole byte does not."""
    always: float
    """The part of the situations in which holding the button made a difference, 0 to 1."""
    also: tuple[str, ...]
    """Other buttons that make a difference too; none: if and only if."""
    delay: int
    """Frames until the first difference."""
    values: tuple[int, int]
    """The byte at the end without the button and with it, nothing else held."""

    @property
    def only(self) -> bool:
        """In all situations, and by no other button."""
        return self.always == 1 and not self.also

    def __str__(self) -> str:
        also = f"also {', '.join(self.also)}" if self.also else "only this button"
        told = f"{self.always:4.0%} of situations, {also}, after {self.delay} frames"
        bit = "     " if self.bit is None else f"bit {self.bit}"
        return f"{self.address:#08x}  {bit}  {self.values[0]:02X} -> {self.values[1]:02X}  {told}"


@dataclass(frozen=True)
class _Judged:
    """By byte or by bit: in how many situations it depends on the button, on which others, how soon."""

    always: NDArray[np.float64]
    also: NDArray[np.bool_]
    delay: NDArray[np.intp]

    def only(self, index: int) -> bool:
        return bool(self.always[index] == 1 and not self.also[:, index].any())


class Lab:
    """A machine at a moment worth asking about: in the game, the player free to move.

    Args:
        machine: it must be able to save; it is left at its moment after each question.
        domain: where to look; `ram` or the first domain where None.
        seed: of the random play that some questions need.

    Raises:
        Unsupported: the machine has no states.
        RamError: no such domain.
    """

    def __init__(self, machine: Machine, domain: str | None = None, *, seed: int = 0) -> None:
        machine.require(Capability.SAVE)
        self.machine = machine
        self.domain = find(machine, domain)
        self.seed = seed
        self.here = machine.save()
        self._wandering: tuple[int, Recording] | None = None

    # -- questions ---------------------------------------------------------------------------------

    def which(self, button: str, frames: int = 12) -> list[Dependence]:
        """Which bytes depend on `button`: first those that change if and only if it is held.

        The button is held and not held in the same situations, each other button down or none, from
        several moments. A byte that differs depends on it. The other buttons are tried in the same way.
        """
        target = " ".join(self.machine.controllers[0].names(self._mask(button)).split())
        if not target:
            raise RamError("which button? Name one or more, as in 'Right' or 'Right A'")
        parts = target.split()
        others = [b for b in playable_buttons(self.machine) if b not in parts]
        beside = [b for b in others if OPPOSITE.get(b) not in parts]
        branches: list[tuple[bytes, Script]] = []
        for moment in self._moments():
            for context in ["", *others]:
                branches.append((moment, [(context, frames)]))
                if context in beside or not context:
                    branches.append((moment, [(f"{context} {target}".strip(), frames)]))
        recording = self._record(branches)
        arms = {
            (branches[i][0], " ".join(sorted(branches[i][1][0][0].split()))): rows
            for i, rows in enumerate(recording.frames)
        }

        def arm(moment: bytes, *held: str) -> NDArray[np.uint8]:
            return arms[moment, " ".join(sorted(" ".join(held).split()))]

        def judge(part: Callable[[NDArray[np.uint8]], NDArray[np.uint8]]) -> _Judged:
            """What holding makes of this part of the recorded bytes: always, which others do, and when."""
            pairs = [
                (part(arm(m, c)), part(arm(m, c, target))) for m in self._moments() for c in ["", *beside]
            ]
            differs = np.array([with_it != without for without, with_it in pairs])
            late = np.where(differs.any(1), differs.argmax(1), frames).min(0)
            also = [
                np.any([part(arm(m, o)) != part(arm(m)) for m in self._moments()], axis=(0, 1))
                for o in others
            ]
            return _Judged(differs.any(1).mean(0), np.reshape(also, (len(others), -1)), late)

        found = []
        whole = judge(lambda rows: rows)
        bits = judge(lambda rows: np.unpackbits(rows, axis=1, bitorder="little"))
        without, with_it = arm(self.here)[-1], arm(self.here, target)[-1]
        for column, place in enumerate(recording.places):
            bit, judged, index = None, whole, column
            only = [8 * column + b for b in range(8) if bits.only(8 * column + b)]
            if not whole.only(column) and len(only) == 1:  # a byte with a bit for each button, say
                bit, judged, index = only[0] % 8, bits, only[0]
            if judged.always[index] > 0:
                found.append(
                    Dependence(
                        self.domain.base + int(place),
                        bit,
                        float(judged.always[index]),
                        tuple(o for o, also in zip(others, judged.also[:, index], strict=True) if also),
                        int(judged.delay[index]),
                        (int(without[column]), int(with_it[column])),
                    )
                )
        return sorted(found, key=lambda d: (not d.only, -d.always + 0.25 * len(d.also), d.delay, d.address))

    def counters(self, frames: int = 300) -> list[Finding]:
        """What counts at a steady pace, frames or every so many of them, whatever is pressed."""
        scripts = [[("", frames)]] + [random_script(self.machine, frames, self.seed + i) for i in (1, 2)]
        recording = self._record([(self.here, script) for script in scripts])
        return self._rank(recording, (*TYPES, *DIGITS), evidence.counting)

    def timer(self, frames: int = 600) -> list[Finding]:
        """What counts down, or up, more slowly than every frame, and shows on the screen when written."""
        scripts = [[("", frames)]] + [random_script(self.machine, frames, self.seed + i) for i in (1, 2)]
        recording = self._record([(self.here, script) for script in scripts])
        return self._poked(self._rank(recording, (*TYPES, *DIGITS), evidence.timing), _one_more)

    def position(self, more: str = "Right", less: str = "Left", frames: int = 24) -> list[Finding]:
        """What grows while `more` is held, shrinks while `less` is (or the reverse), and stays in between."""
        scripts = self._axis(more, less, frames)
        recording = self._record([(m, script) for m in self._moments() for script in scripts])
        judge = evidence.positions(len(scripts), frames)
        found = self._rank(recording, (*TYPES, "<f4", ">f4"), judge)
        return self._poked(found, _elsewhere(recording))

    def velocity(self, more: str = "Right", less: str = "Left", frames: int = 24) -> list[Finding]:
        """What is as large as the position's change a frame: the position is found first.

        Empty where the game keeps none (it adds a constant while a button is held), or no position was found.
        """
        positions = self.position(more, less, frames)
        if not positions:
            return []
        place = positions[0]
        scripts = self._axis(more, less, frames)
        recording = self._record([(m, script) for m in self._moments() for script in scripts])
        kind = place.variable.type
        column = int(np.flatnonzero(recording.offsets(kind) == place.address - self.domain.base)[0])
        moved = [np.diff(values[:, column]) for values in recording.values(kind)]
        found = self._rank(recording, (*SIGNED, "<f4", ">f4"), evidence.velocities(moved))
        inside = set(_bytes_of(place))
        return [finding for finding in found if not inside & set(_bytes_of(finding))]

    def lives(self, frames: int = 1800, plays: int = 6) -> list[Finding]:
        """What falls by one now and then in random play, when something happens, and never otherwise."""
        recording = self._wander(frames, plays)
        found = self._rank(recording, ("u1", "d1", "n1", "<u2", ">u2"), evidence.losing(recording))
        return self._poked(found, _one_less)

    def score(self, frames: int = 1800, plays: int = 6) -> list[Finding]:
        """What never falls in random play, and rises at times that depend on the play."""
        recording = self._wander(frames, plays)
        return self._poked(self._rank(recording, (*TYPES, *DIGITS), evidence.scoring), _one_more)

    def poke(self, variable: Variable, value: int | float, frames: int = 3) -> Poke | None:
        """Write a value at this moment and see what comes of it; the machine is left at its moment."""
        return poke(self.machine, self.here, variable, value, frames)

    # -- branches ----------------------------------------------------------------------------------

    def _mask(self, buttons: str) -> int:
        return self.machine.controllers[0].mask(buttons)

    def _axis(self, more: str, less: str, frames: int) -> list[Script]:
        """Nothing; both directions; each, released halfway; there and back."""
        for buttons in (more, less):
            self._mask(buttons)
        half = frames // 2
        return [
            [("", frames)],
            [(more, frames)],
            [(less, frames)],
            [(more, half), ("", frames - half)],
            [(less, half), ("", frames - half)],
            [(more, half), (less, frames - half)],
        ]

    def _moments(self) -> list[bytes]:
        """Here, and two moments not far off, so that what is true by chance here is not true everywhere."""
        if not hasattr(self, "_others"):
            self._others = []
            for number in (1, 2):
                self.machine.restore(self.here)
                for buttons, frames in random_script(self.machine, 25 * number, self.seed + number):
                    self.machine.advance(buttons, frames)
                self.machine.advance("", 3)
                self._others.append(self.machine.save())
        return [self.here, *self._others]

    def _wander(self, frames: int, plays: int) -> Recording:
        """Random play, recorded once for all questions that ask for it."""
        if self._wandering is None or self._wandering[0] != frames * 1000 + plays:
            scripts = [random_script(self.machine, frames, self.seed + 10 + i) for i in range(plays)]
            recording = self._record([(self.here, script) for script in scripts])
            self._wandering = frames * 1000 + plays, recording
        return self._wandering[1]

    def _record(self, branches: Iterable[tuple[bytes, Script]]) -> Recording:
        recording = record(self.machine, self.domain, branches)
        self.machine.restore(self.here)
        return recording

    # -- ranking -----------------------------------------------------------------------------------

    def _rank(
        self, recording: Recording, types: Sequence[str], judge: Callable[[list[NDArray[np.float64]]], Shape]
    ) -> list[Finding]:
        """Judge every reading of every byte; where readings overlap, the best one stays."""
        readings: list[tuple[float, float, int, str, str]] = []
        for kind in types:
            if kind[-1] != "3":
                parse(kind)
            offsets = recording.offsets(kind)
            if not len(offsets):
                continue
            values = [block.astype(np.float64) for block in recording.values(kind)]
            shape = judge(values)
            for column in np.flatnonzero(shape.score > 0):
                readings.append(
                    (
                        float(shape.score[column]),
                        float(shape.preference[column]) - 0.001 * types.index(kind),
                        int(offsets[column]),
                        kind,
                        shape.why(int(column)),
                    )
                )
        # About equal evidence: the reading that the preference is for, a finer one of the same motion, say.
        readings.sort(key=lambda r: (-round(r[0], 1), -r[1], r[2]))
        taken: set[int] = set()
        found = []
        for score, _, offset, kind, why in readings:
            covered = range(offset, offset + int(kind[-1]))
            if taken.isdisjoint(covered):
                taken.update(covered)
                address = self.domain.base + offset
                variable = variable_at(self.machine, self.domain, address, kind)
                found.append(Finding(variable, address, score, why))
        return found

    def _poked(
        self, found: list[Finding], choose: Callable[[Finding, int | float], int | float | None]
    ) -> list[Finding]:
        """The best ones written to, and ranked again: kept and shown, kept, overwritten."""
        if not {Capability.WRITE, Capability.SCREEN} <= set(self.machine.capabilities):
            return found
        judged = []
        for finding in found[:POKED]:
            self.machine.restore(self.here)
            value = choose(finding, finding.variable.read(self.machine))
            result = None if value is None else poke(self.machine, self.here, finding.variable, value)
            weight = 0.5
            if result is not None:
                weight = (1.0 if result.screen > 0 else 0.6) if result.kept else 0.25
            judged.append(replace(finding, score=finding.score * weight, poke=result))
        self.machine.restore(self.here)
        rest = [replace(finding, score=finding.score * 0.25) for finding in found[POKED:]]
        return sorted([*judged, *rest], key=lambda finding: -finding.score)


def _bytes_of(finding: Finding) -> range:
    return range(finding.address, finding.address + finding.variable.parsed.width)


def _one_more(finding: Finding, now: int | float) -> int | float:
    bounds = finding.variable.bounds
    return now - 1 if bounds is not None and now >= bounds[1] else now + 1


def _one_less(finding: Finding, now: int | float) -> int | float:
    return now - 1 if now > 1 else now + 1


def _elsewhere(recording: Recording) -> Callable[[Finding, int | float], int | float | None]:
    """A value that the position really had, far from where it is now."""

    def choose(finding: Finding, now: int | float) -> int | float | None:
        kind = finding.variable.type
        offset = finding.address - recording.domain.base
        column = int(np.flatnonzero(recording.offsets(kind) == offset)[0])
        seen = np.concatenate([values[:, column] for values in recording.values(kind)])
        far = seen[np.argmax(np.abs(seen.astype(np.float64) - float(now)))]
        return far.item()  # type: ignore[no-any-return]

    return choose
