"""New states from old ones: what a search does with a machine.

States live in a native store by number, kept as differences from a base state. `expand` takes batches; a
backend that can do it natively has `expander(spec, spans, threads, memory)` (libretro: threads in one
process); every other machine gets `MachineExpander`, a loop over `restore`, `advance` and `save`.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from queue import SimpleQueue

import numpy as np
from numpy.typing import NDArray

from frameperfect._native import Preprocessor, StateStore
from frameperfect.errors import Unsupported
from frameperfect.machine import Capability, Controller, Fingerprint, Machine
from frameperfect.memory import Domain, Span, read_span

Ids = NDArray[np.uint32]
SAME_AGAIN = 12
"""Inputs that are played twice to see whether a machine is deterministic."""
PICTURE = (84, 84)
"""The height and width of pictures."""


@dataclass(frozen=True, slots=True)
class Expansion:
    """What became of N jobs, in their order."""

    states: Ids
    """(N,) new states, each held once."""
    rows: NDArray[np.uint8]
    """(N, K): the spans side by side, after the last frame."""
    pictures: NDArray[np.uint8] | None = None
    """(N, 84, 84), where the expander watches: the last frame, grey and shrunk by area."""


class Expander(ABC):
    """One game's machines, and the store of its states. What comes out depends on the jobs alone."""

    store: StateStore
    """Holds the states: `hold`, `release`, `sizes`, `get` and `put` for those that leave the process."""
    machine: Machine
    """The first of the machines, for starts and movies; `capture` and `show` lead from and to it."""
    spans: tuple[Span, ...]
    threads: int
    watching: bool = False
    """Whether expansions hold pictures."""

    @property
    def fingerprint(self) -> Fingerprint:
        """Of the machines."""
        return self.machine.fingerprint

    @property
    def domains(self) -> Mapping[str, Domain]:
        """Of the machines."""
        return self.machine.domains

    @property
    def controllers(self) -> tuple[Controller, ...]:
        """Of the machines."""
        return self.machine.controllers

    @property
    def row_bytes(self) -> int:
        """K: bytes of a row."""
        return sum(span.length for span in self.spans)

    @abstractmethod
    def expand(self, states: Ids, inputs: NDArray[np.uint32], frames: NDArray[np.uint32]) -> Expansion:
        """From each of the (N,) states hold its (N, ports) masks for its (N,) frames.

        Raises:
            SearchError: the states take more memory than they may.
            MachineCrashed: an emulator died.
        """

    def watch(self, crop: tuple[int, int, int, int] | None = None) -> None:
        """Give pictures from now on, of the whole screen or of (top, left, height, width) of it.

        Raises:
            Unsupported: the machine has no screen.
        """
        self.machine.require(Capability.SCREEN)
        self.watching = True

    @abstractmethod
    def capture(self) -> tuple[int, NDArray[np.uint8]]:
        """The moment at which `machine` stands, as a state held once, and its row (K,)."""

    @abstractmethod
    def show(self, state: int) -> None:
        """Bring `machine` to a state; its screen and its frame count may be those of another moment."""

    @abstractmethod
    def close(self) -> None:
        """Free the machines; closing twice is harmless."""


class MachineExpander(Expander):
    """Over machines of any kind, which must be equal ones: one in a loop, several on a thread each.

    Threads gain something where the machines are in processes of their own (`IsolatedMachine`).
    """

    def __init__(self, machines: Sequence[Machine], spans: Sequence[Span], memory: int) -> None:
        """The expander owns `machines` from now on; `memory` bounds the states, in bytes.

        Raises:
            Unsupported: a machine can't save states.
        """
        self.machine, self._machines = machines[0], list(machines)
        self.machine.require(Capability.SAVE)
        self.spans, self.threads = tuple(spans), len(machines)
        self.store = StateStore(memory)
        self._crew = ThreadPoolExecutor(self.threads) if self.threads > 1 else None
        self._eyes: dict[Machine, Preprocessor] = {}

    def watch(self, crop: tuple[int, int, int, int] | None = None) -> None:
        """See `Expander.watch`."""
        super().watch(crop)
        self._eyes = {
            machine: Preprocessor(*PICTURE, grey=True, stack=1, crop=crop) for machine in self._machines
        }

    def expand(self, states: Ids, inputs: NDArray[np.uint32], frames: NDArray[np.uint32]) -> Expansion:
        """See `Expander.expand`."""
        jobs = list(zip(states.tolist(), inputs.tolist(), frames.tolist(), strict=True))
        if self._crew is None:
            done = [self._run(self.machine, job) for job in jobs]
        else:
            idle = SimpleQueue[Machine]()  # whoever is done takes the next job: they differ in length
            for machine in self._machines:
                idle.put(machine)

            def run(job: tuple[int, list[int], int]) -> tuple[bytes, bytes, bytes]:
                machine = idle.get()
                try:
                    return self._run(machine, job)
                finally:
                    idle.put(machine)

            done = list(self._crew.map(run, jobs))
        return self._keep(done)

    def _run(self, machine: Machine, job: tuple[int, list[int], int]) -> tuple[bytes, bytes, bytes]:
        state, masks, frames = job
        machine.restore(self.store.get(state))
        machine.advance(masks[0] if len(masks) == 1 else masks, frames)
        return machine.save(), self._row(machine), self._picture(machine) if self.watching else b""

    def _picture(self, machine: Machine) -> bytes:
        picture = np.empty((1, *PICTURE), np.uint8)
        self._eyes[machine].fill(machine.screen(copy=False), picture)
        return picture.tobytes()

    def _keep(self, done: Sequence[tuple[bytes, bytes, bytes]]) -> Expansion:
        kept: list[int] = []
        try:
            for state, _, _ in done:
                kept.append(self.store.put(state))
        except BaseException:
            self.store.release(np.array(kept, np.uint32))
            raise
        rows = np.frombuffer(b"".join(row for _, row, _ in done), np.uint8)
        pictures = np.frombuffer(b"".join(picture for _, _, picture in done), np.uint8)
        return Expansion(
            np.array(kept, np.uint32),
            rows.reshape(len(done), self.row_bytes).copy(),
            pictures.reshape(len(done), *PICTURE).copy() if self.watching else None,
        )

    def _row(self, machine: Machine) -> bytes:
        return b"".join(read_span(machine, span) for span in self.spans)

    def capture(self) -> tuple[int, NDArray[np.uint8]]:
        """See `Expander.capture`."""
        row = np.frombuffer(self._row(self.machine), np.uint8).copy()
        return self.store.put(self.machine.save()), row

    def show(self, state: int) -> None:
        """See `Expander.show`."""
        self.machine.restore(self.store.get(state))

    def close(self) -> None:
        """See `Expander.close`."""
        if self._crew is not None:
            self._crew.shutdown()
        for machine in self._machines:
            machine.close()


def require_search(machine: Machine) -> None:
    """Refuse a machine on which a search would prove nothing.

    Raises:
        Unsupported: it can't save states, or equal inputs need not give equal memory.
    """
    machine.require(Capability.SAVE)
    if Capability.DETERMINISTIC not in machine.capabilities:
        raise Unsupported(
            f"{machine.fingerprint.backend} ({machine.fingerprint.core}) is not deterministic: equal inputs "
            "need not give equal memory, so a run that is found would not replay; --allow-drift searches it "
            "all the same"
        )


def require_same_again(expander: Expander, state: int, masks: NDArray[np.uint32], frames: int) -> None:
    """Play a few inputs twice from one state, and one on each thread: memory must be the same.

    That a machine says it is deterministic does not make it so. What drifts only later is found where a run
    is proven.

    Raises:
        Unsupported: it drifts.
    """
    machine = expander.machine
    seen: list[list[str]] = []
    for _ in range(2):
        expander.show(state)
        seen.append([])
        for step in range(SAME_AGAIN):
            machine.advance(masks[step % len(masks)].tolist(), frames)
            seen[-1].append(machine.hash())
    differ = [step for step, (one, two) in enumerate(zip(*seen, strict=True)) if one != two]
    expander.show(state)
    jobs = np.repeat(masks[-1:], max(2, expander.threads), axis=0)
    held = np.full(len(jobs), frames, np.uint32)
    found = expander.expand(np.full(len(jobs), state, np.uint32), jobs, held)
    expander.store.release(found.states)
    if differ or (found.rows != found.rows[0]).any():
        after = (differ[0] + 1 if differ else 1) * frames
        raise Unsupported(
            f"{machine.fingerprint.backend} ({machine.fingerprint.core}) says that it is deterministic, and "
            f"{after} frames of the same inputs from the same state gave other memory: a run that is found "
            "would not replay; if this is power-on, begin at a start some frames later, where its states may "
            "be whole; --allow-drift searches it all the same"
        )


def all_memory(domains: Mapping[str, Domain]) -> tuple[Span, ...]:
    """Spans of everything that `Machine.hash` looks at."""
    return tuple(Span(d.name, 0, d.size, raw=True) for d in domains.values() if d.hashed)
