"""Replay: what was seen and done, in rings of rows; drawn by priority, and valued over n steps.

Every environment has a ring of rows in time. A row is an observation and, once there is one, the action
chosen there and the reward that followed; the row after it holds where it led. An episode that was cut short
leaves its last observation as a row without an action, from which it is valued; what follows an episode that
terminated is worth 0. The numbers in brackets are those of docs/value.md.
"""

from __future__ import annotations

import copy
import os
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from frameperfect._native import SumTree, n_step
from frameperfect.errors import LearningError
from frameperfect.learn.spaces import Arrays, Input


class ReplayLost(LearningError):
    """All that a replay held is gone with the processes that held it; what comes next fills it again."""


OPEN, STEP, TERMINATED, FINAL = range(4)
"""What a row is; native/replay/n_step.hpp says the same."""

Rows: TypeAlias = NDArray[np.int64]
Bools: TypeAlias = NDArray[np.bool_]


@dataclass(frozen=True)
class Shape:
    """How a replay is laid out."""

    capacity: int
    """Rows of all environments together."""
    n_step: int = 1
    gamma: float = 0.99
    alpha: float = 0.0
    """The power of priorities; 0 draws evenly."""
    sequence: int = 1
    """Rows of one draw: 1, or a sequence for a recurrent network."""
    burn_in: int = 0
    """Rows before a sequence that bring the recurrent state up to date; at most `sequence`."""
    state: int = 0
    """Width of the recurrent state that every row keeps."""
    share_frames: bool = True
    """Keep each frame of a stack once."""
    ram: int = 4 << 30
    """Bytes of memory; arrays beyond them are files that the system maps."""


@dataclass
class Draw:
    """B rows (or starts of sequences) and the importance of each."""

    rows: Rows
    weights: NDArray[np.float32]
    """(B,): over their largest."""


class Replay:
    """Rings of `n` environments. `begin` opens episodes, `add` takes a step of every environment."""

    def __init__(self, inputs: tuple[Input, ...], n: int, shape: Shape, folder: Path | None = None) -> None:
        self.shape = shape
        self.n = n
        self.length = shape.capacity // n
        self.columns: dict[str, Column | Frames] = {}
        allot = _Allot(shape.ram, folder)
        for each in inputs:
            stacked = shape.share_frames and each.pixels and _is_stack(each)
            self.columns[each.name] = (Frames if stacked else Column)(each, n, self.length, allot)
        deepest = max((each.stack for each in self.columns.values()), default=1)
        self.window = shape.sequence + shape.n_step - 1
        """Steps after which a draw is whole, its first included."""
        self.behind = shape.burn_in + deepest - 1
        """Rows before a draw that it needs as well."""
        if self.length < 2 * (self.window + self.behind + deepest):
            raise LearningError(
                f"capacity {shape.capacity} is too small for {n} environments, whose draws span "
                f"{self.window + self.behind} rows each"
            )
        rows = n * self.length
        self.base = np.arange(n) * self.length
        self.cursor = np.zeros(n, np.int64)
        self.age = np.zeros(n, np.int64)
        self.kinds = np.zeros(rows, np.uint8)
        self.ages = np.zeros(rows, np.int32)
        self.actions = np.zeros(rows, np.int32)
        self.rewards = np.zeros(rows, np.float32)
        self.states = allot((rows, shape.state), np.dtype(np.float32)) if shape.state else None
        self.tree = SumTree(rows)
        self.highest = 1.0
        """The largest priority so far, before its power: that of what was never drawn."""
        self.written = 0
        """Steps that were added."""
        self.kept = True
        """`save` gives all of it."""

    @property
    def drawable(self) -> bool:
        """There is something to draw."""
        return bool(self.tree.sum)

    @property
    def rows(self) -> int:
        """Steps that it holds."""
        return min(self.written, len(self.tree))

    def part(self, first: int, count: int) -> Replay:
        """Some of the environments as a replay of their own, for who writes them apart from the others: the
        same rows by the same numbers, and the same priorities.
        """
        part = copy.copy(self)
        part.n = count
        part.base, part.cursor, part.age = (
            each[first : first + count] for each in (self.base, self.cursor, self.age)
        )
        return part

    # -- writing -------------------------------------------------------------------------------------

    def begin(self, obs: Arrays) -> None:
        """All environments start new episodes; those under way count as cut short where they are."""
        everyone = np.arange(self.n)
        if self.written:
            under_way = everyone[self.kinds[self.base + self.cursor] == OPEN]
            self.kinds[self.base + self.cursor] = FINAL
            self._complete(under_way, self.age[under_way] - 1, np.ones(len(under_way), bool), 1)
            self._advance(everyone)
        self._start(everyone, obs)

    def add(
        self,
        actions: NDArray[np.int64],
        rewards: NDArray[Any],
        terminated: Bools,
        ended: Bools,
        resetting: Bools,
        obs: Arrays,
        final: tuple[Rows, Arrays] | None = None,
        state: NDArray[np.float32] | None = None,
    ) -> None:
        """A step of all environments: what was done at the newest rows, and what is seen after it.

        `resetting` marks steps that only began an episode. `final` is for environments that reset at once:
        those that were cut short, and their last observations; `None` where `obs` holds them. `state`
        (n, width) is the recurrent state before the step.
        """
        here = self.base + self.cursor
        if not resetting.any() and not ended.any():
            acted = np.arange(self.n)
        else:
            acted = np.flatnonzero(~resetting)
            here = here[acted]
        self.actions[here] = actions[acted]
        self.rewards[here] = rewards[acted]
        self.kinds[here] = np.where(terminated[acted], TERMINATED, STEP)
        if self.states is not None:
            assert state is not None
            self.states[here] = state[acted]
        self._complete(acted, self.age[acted], ended[acted])
        self.written += len(acted)
        self.age += 1

        if final is None:
            # the observation after the last step stands in `obs`; the next step begins anew
            self._advance(np.arange(self.n))
            if resetting.any():
                begun, going = np.flatnonzero(resetting), np.flatnonzero(~resetting)
                self._start(begun, {name: part[begun] for name, part in obs.items()})
                self._see(going, {name: part[going] for name, part in obs.items()})
            else:
                self._see(np.arange(self.n), obs)
            self.kinds[(self.base + self.cursor)[ended]] = FINAL
            return
        cut, last = final
        self._advance(np.arange(self.n))
        going = np.flatnonzero(~ended)
        self._see(going, {name: part[going] for name, part in obs.items()})
        if len(cut):
            self._see(cut, last)
            self.kinds[self.base[cut] + self.cursor[cut]] = FINAL
            self._advance(cut)
        begun = np.flatnonzero(ended)
        self._start(begun, {name: part[begun] for name, part in obs.items()})

    def _advance(self, envs: Rows) -> None:
        """Go to the next row of these environments; no draw needs any longer what it overwrites."""
        self.cursor[envs] = (self.cursor[envs] + 1) % self.length
        self.kinds[self.base[envs] + self.cursor[envs]] = OPEN
        gone = self.base[envs] + (self.cursor[envs] + self.behind) % self.length
        self.tree.set(gone, np.zeros(len(gone)))

    def _see(self, envs: Rows, obs: Arrays) -> None:
        """The observation after a step."""
        rows = self.base[envs] + self.cursor[envs]
        self.ages[rows] = self.age[envs]
        for name, column in self.columns.items():
            column.write(rows, obs[name])

    def _start(self, envs: Rows, obs: Arrays) -> None:
        """An episode's first observation, after rows for frames of its stack that are like no other's."""
        if not len(envs):
            return
        framed = {name: each for name, each in self.columns.items() if isinstance(each, Frames)}
        varied = np.zeros(len(envs), bool)
        for name, each in framed.items():
            varied |= each.varied(obs[name])
        for i in np.flatnonzero(varied):
            one = envs[i : i + 1]
            for back in range(max(each.stack for each in framed.values()) - 1, 0, -1):
                row = self.base[one] + self.cursor[one]
                for name, each in framed.items():
                    if back < each.stack:
                        j = each.stack - 1 - back
                        each.write_frame(row, obs[name][i : i + 1, j], j)
                self.kinds[row] = FINAL
                self._advance(one)
        self.age[envs] = 0
        rows = self.base[envs] + self.cursor[envs]
        self.ages[rows] = 0
        for name, column in self.columns.items():
            column.write_first(rows, obs[name])

    def _complete(self, envs: Rows, ages: Rows, ended: Bools, back: int = 0) -> None:
        """Give a priority to the draws whose last row is `back` rows before the newest: all of an episode
        that ended there, else the one that spans a whole window.
        """
        last = self.window - 1
        first = ages - last
        whole = (first >= 0) & (first % self.shape.sequence == 0)
        rows = (self.base[envs] + (self.cursor[envs] - back - last) % self.length)[whole]
        if ended.any():
            some = np.flatnonzero(ended)
            behind = np.arange(last)
            first = ages[some, None] - behind
            begins = (first >= 0) & (first % self.shape.sequence == 0)
            at = (self.cursor[envs[some], None] - back - behind) % self.length
            rows = np.concatenate([rows, (self.base[envs[some], None] + at)[begins]])
        if len(rows):
            self.tree.set(rows, np.full(len(rows), self.highest**self.shape.alpha))

    # -- reading -------------------------------------------------------------------------------------

    def draw(self, uniforms: NDArray[np.float64], beta: float) -> Draw:
        """One row (or sequence) for each of (B,) uniforms in [0, 1), by priority, one a stratum [6].

        The weight of each is (1 / its chance) ** beta, over the largest of them.
        """
        rows, shares = self.tree.sample(uniforms)
        if not self.shape.alpha:
            return Draw(rows, np.ones(len(rows), np.float32))
        return Draw(rows, ((shares / shares.min()) ** -beta).astype(np.float32))

    def prioritise(self, rows: Rows, priorities: NDArray[Any]) -> None:
        """New priorities (B,), above 0, of what was drawn."""
        if self.shape.alpha:
            self.highest = max(self.highest, float(priorities.max()))
            self.tree.set(rows, np.asarray(priorities, np.float64) ** self.shape.alpha)

    def lead(self, rows: Rows) -> tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.int64], Rows]:
        """Of each row: its n-step return, the discount of what follows (0: terminated), the steps that
        were taken, and the row that they lead to.
        """
        found: tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.int64], Rows] = n_step(
            self.kinds, self.rewards, self.length, rows, self.shape.n_step, self.shape.gamma
        )
        return found

    def observations(self, rows: Rows) -> Arrays:
        """What was seen at `rows` (B,), as the environment gave it."""
        return {name: column.read(rows) for name, column in self.columns.items()}

    def shifted(self, rows: Rows, by: NDArray[np.int64] | int) -> Rows:
        """The rows so many steps later in their rings."""
        begin = rows // self.length * self.length
        result: Rows = begin + (rows - begin + by) % self.length
        return result

    # -- rows of one replay in another ---------------------------------------------------------------

    def cut(self, rows: Rows) -> Arrays:
        """Of each draw that begins at `rows` (B,): all rows that its reading needs, (B, rows of it, ...)."""
        around = self.shifted(rows[:, None], np.arange(-self.behind, self.window + 1))
        return {name: array[around] for name, array in self._arrays().items()}

    def paste(self, cut: Arrays) -> Rows:
        """Hold what `cut` gave, a draw in each ring, from their first rows on; where the draws begin."""
        for name, array in self._arrays().items():
            rings = array.reshape(self.n, self.length, *array.shape[1:])
            rings[: len(cut[name]), : cut[name].shape[1]] = cut[name]
        begins: Rows = self.base + self.behind
        return begins

    # -- saving and going on -------------------------------------------------------------------------

    def save(self) -> tuple[dict[str, NDArray[Any]], dict[str, Any]]:
        """Arrays and facts that `restore` takes: of a ring that is not full yet, what is written."""
        wrapped = self.kinds.reshape(self.n, self.length)[:, -1].any()
        used = self.length if wrapped else int(self.cursor.max()) + 1
        arrays = {
            name: array.reshape(self.n, self.length, *array.shape[1:])[:, :used]
            for name, array in self._arrays().items()
        }
        arrays["leaves"] = self.tree.leaves().reshape(self.n, self.length)[:, :used]
        arrays |= {"cursor": self.cursor.copy(), "age": self.age.copy()}
        return arrays, {"used": used, "highest": self.highest, "written": self.written}

    def restore(self, arrays: Mapping[str, NDArray[Any]], facts: dict[str, Any]) -> None:
        """Hold what `save` gave; the layout must be the same."""
        used = facts["used"]
        for name, array in self._arrays().items():
            array.reshape(self.n, self.length, *array.shape[1:])[:, :used] = arrays[name]
        self.cursor[:], self.age[:] = arrays["cursor"], arrays["age"]
        leaves = np.zeros((self.n, self.length))
        leaves[:, :used] = arrays["leaves"]
        self.tree.set(np.arange(self.n * self.length), leaves.ravel())
        self.highest, self.written = facts["highest"], facts["written"]

    def _arrays(self) -> dict[str, NDArray[Any]]:
        found: dict[str, NDArray[Any]] = {
            "kinds": self.kinds,
            "ages": self.ages,
            "actions": self.actions,
            "rewards": self.rewards,
        }
        if self.states is not None:
            found["states"] = self.states
        for name, column in self.columns.items():
            found |= {f"obs.{name}.{part}": array for part, array in column.arrays().items()}
        return found


class _Allot:
    """Arrays in memory as long as they fit its budget, then in files without a name that end with us."""

    def __init__(self, ram: int, folder: Path | None) -> None:
        self.left = ram
        self.folder = folder

    def __call__(self, shape: tuple[int, ...], dtype: np.dtype[Any]) -> NDArray[Any]:
        size = int(np.prod(shape)) * dtype.itemsize
        if size <= self.left:
            self.left -= size
            return np.zeros(shape, dtype)
        try:
            with tempfile.TemporaryFile(dir=self.folder) as file:
                os.posix_fallocate(file.fileno(), 0, size)  # a full disk is told here, and not by a signal
                return np.memmap(file, dtype, "w+", shape=shape)
        except OSError as failure:
            place = self.folder or tempfile.gettempdir()
            raise LearningError(
                f"no room in {place} for {size >> 20:,} MiB of replay ({failure}); set a smaller capacity"
            ) from failure


class Column:
    """One input, row by row, as it comes: floats of four bytes, or bytes."""

    stack = 1

    def __init__(self, source: Input, n: int, length: int, allot: _Allot) -> None:
        dtype = np.dtype(np.uint8 if source.dtype == "uint8" else np.float32)
        self.values = allot((n * length, *source.shape), dtype)

    def write(self, rows: Rows, seen: NDArray[Any]) -> None:
        """What is seen at the rows."""
        self.values[rows] = seen

    write_first = write

    def read(self, rows: Rows) -> NDArray[Any]:
        """(B, ...) of rows (B,)."""
        found: NDArray[Any] = self.values.take(rows, 0)
        return found

    def arrays(self) -> dict[str, NDArray[Any]]:
        """What a checkpoint keeps."""
        return {"values": self.values}


class Frames:
    """A stack of frames that moves on by one frame a row: a row keeps its newest frame, and how many rows
    back its stack reaches; further back it repeats the oldest of these [7].
    """

    def __init__(self, source: Input, n: int, length: int, allot: _Allot) -> None:
        self.source = source
        self.stack = source.shape[0]
        self.length = length
        self.values = allot((n * length, *source.shape[1:]), np.dtype(np.uint8))
        self.reach = np.zeros(n * length, np.uint8)
        self.back = np.arange(self.stack - 1, -1, -1)

    def varied(self, seen: NDArray[np.uint8]) -> Bools:
        """(B,): whose stacks hold more than one frame repeated."""
        flat = seen.reshape(len(seen), self.stack, -1)
        found: Bools = (flat[:, :-1] != flat[:, -1:]).any((1, 2))
        return found

    def write_frame(self, rows: Rows, frames: NDArray[np.uint8], reach: int) -> None:
        """One frame a row, as a stack that reaches so far back."""
        self.values[rows] = frames
        self.reach[rows] = reach

    def write_first(self, rows: Rows, seen: NDArray[np.uint8]) -> None:
        """The first stacks of episodes, after `write_frame` of what differs in them."""
        self.write_frame(rows, seen[:, -1], 0)
        self.reach[rows[self.varied(seen)]] = self.stack - 1

    def write(self, rows: Rows, seen: NDArray[np.uint8]) -> None:
        """The stacks after those at the rows before.

        Raises:
            LearningError: they did not move on by one frame.
        """
        begin = rows // self.length * self.length
        before = begin + (rows - begin - 1) % self.length
        self.write_frame(rows, seen[:, -1], 0)
        self.reach[rows] = np.minimum(self.reach[before] + 1, self.stack - 1)
        if not np.array_equal(self.read(rows), seen):
            raise LearningError(
                f"observation '{self.source.name}' is no stack that moves on by one frame a step: "
                "set share_frames = false"
            )

    def read(self, rows: Rows) -> NDArray[Any]:
        """(B, stack, ...) of rows (B,)."""
        begin = (rows // self.length * self.length)[:, None]
        back = np.minimum(self.back, self.reach[rows][:, None])
        places = begin + (rows[:, None] - begin - back) % self.length
        found: NDArray[Any] = self.values.take(places, 0)
        return found

    def arrays(self) -> dict[str, NDArray[Any]]:
        """What a checkpoint keeps."""
        return {"values": self.values, "reach": self.reach}


def _is_stack(source: Input) -> bool:
    """Whether the first axis is one of time: (stack, H, W) or (stack, H, W, 3)."""
    return len(source.shape) == 4 or (source.shape[0] > 1 and source.shape[2] not in (1, 3))
