"""A pool whose machines live in worker processes."""

from __future__ import annotations

import dataclasses
import itertools
import json
import os
from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from frameperfect._native import SharedMemory
from frameperfect.errors import FrameperfectError, MachineCrashed
from frameperfect.machine import Machine, MachineSpec
from frameperfect.pool import Pool, PoolSettings, describe_crashes
from frameperfect.workers.isolated import RemoteMachine
from frameperfect.workers.process import WorkerProcess
from frameperfect.workers.protocol import (
    INDEX,
    START,
    Op,
    apply_description,
    array_layout,
    arrays_in,
    block_size,
    pack_spec,
)


class WorkerPool(Pool):
    """The machines of a pool dealt out to worker processes, each with a pool of its own (the backend's).

    The workers write observations straight into one block of shared memory. A machine that crashes takes
    its worker's other machines with it and no more: `recv` raises `MachineCrashed` with their indices when
    all others have stepped, and `replace` starts the worker anew.

    Args:
        workers: how many processes; 0 means one a core (`settings.threads` of them where that is given).
            With `workers=size` a crash loses one machine alone.
    """

    def __init__(self, spec: MachineSpec, size: int, settings: PoolSettings, workers: int = 0) -> None:
        cores = settings.threads or len(os.sched_getaffinity(0))
        count = min(size, workers or cores)
        self.size, self.settings, self._spec = size, settings, spec
        self._threads = max(1, cores // count)
        edges = [size * worker // count for worker in range(count + 1)]
        self._parts = [range(first, end) for first, end in itertools.pairwise(edges)]
        self._worker_of = [worker for worker, part in enumerate(self._parts) for _ in part]
        self._batch = SharedMemory(0)
        self._workers: list[WorkerProcess] = []
        self._asked: list[int] = []
        self._crashes: dict[int, str] = {}
        self._new: set[int] = set()  # came anew with their worker and were not reset since
        self._views: dict[int, RemoteMachine] = {}
        try:
            self._workers = [WorkerProcess(self._batch) for _ in self._parts]
            for worker, part in zip(self._workers, self._parts, strict=True):
                worker.post(Op.OPEN, self._opening(len(part)))
            told, *_ = [json.loads(worker.answer()) for worker in self._workers]
            apply_description(self, told)
            picture = None if told["picture"] is None else tuple(told["picture"])
            ports = len(self.controllers)
            self._layout = array_layout(size, ports, settings.frame_skip, told["width"], picture)
            self._batch.reserve(block_size(self._layout))
            arrays = arrays_in(self._batch.array(), self._layout)
            self.rows, self.inputs, self.pixels = arrays["rows"], arrays["inputs"], arrays.get("pixels")
            self._masks, self._active = arrays["masks"], arrays["active"]
            for number in range(count):
                self._workers[number].ask(Op.ARRAYS, self._placing(number))
        except BaseException:
            self.close()
            raise

    def _opening(self, size: int) -> bytes:
        settings = dataclasses.asdict(dataclasses.replace(self.settings, threads=self._threads))
        return json.dumps({"spec": pack_spec(self._spec), "size": size, "settings": settings}).encode()

    def _placing(self, number: int) -> bytes:
        return json.dumps({"layout": self._layout, "first": self._parts[number].start}).encode()

    # -- steps -------------------------------------------------------------------------------------

    def send(self, masks: NDArray[np.uint32], active: NDArray[np.bool_] | None = None) -> None:
        """See `Pool.send`."""
        self._masks[:] = masks
        self._active[:] = True if active is None else active
        parts = enumerate(self._parts)
        stepping = [n for n, part in parts if active is None or active[part.start : part.stop].any()]
        self._post(Op.STEP, dict.fromkeys(stepping, b""))

    def recv(self) -> None:
        """See `Pool.recv`."""
        self._collect()

    def reset(self, indices: Sequence[int], states: Sequence[bytes | None], seeds: Sequence[int]) -> None:
        """See `Pool.reset`."""
        messages: dict[int, bytes] = {}
        for index, state, seed in zip(indices, states, seeds, strict=True):
            number, local = self._place(index)
            start = START.pack(local, seed & (1 << 64) - 1, -1 if state is None else len(state))
            messages[number] = b"".join((messages.get(number, b""), start, state or b""))
        self._new.difference_update(indices)
        self._post(Op.POOL_RESET, messages)
        self._collect()

    def save(self, index: int) -> bytes:
        """See `Pool.save`."""
        number, local = self._place(index)
        return self._ask(number, Op.POOL_SAVE, INDEX.pack(local))

    def restore(self, index: int, state: bytes) -> None:
        """See `Pool.restore`."""
        number, local = self._place(index)
        self._ask(number, Op.POOL_RESTORE, INDEX.pack(local) + bytes(state))

    # -- machines ----------------------------------------------------------------------------------

    def machine(self, index: int) -> Machine:
        """One member, as a machine that lives in its worker."""
        if index not in self._views:
            number, local = self._place(index)
            self._views[index] = RemoteMachine(self._workers[number], self._spec, local)
        return self._views[index]

    def replace(self, index: int) -> None:
        """See `Pool.replace`; where the worker died, it is started anew with all its machines."""
        number, local = self._place(index)
        part = self._parts[number]
        if self._workers[number].crash is not None:
            worker = self._workers[number] = WorkerProcess(self._batch)
            worker.ask(Op.OPEN, self._opening(len(part)))
            worker.ask(Op.ARRAYS, self._placing(number))
            for member in part:
                self._views.pop(member, None)
            self._new.update(part)
        elif index not in self._new:
            self._ask(number, Op.REPLACE, INDEX.pack(local))
        self._new.discard(index)

    def close(self) -> None:
        """See `Pool.close`."""
        for worker in self._workers:
            worker.close()
        self._batch.close()

    # -- inside ------------------------------------------------------------------------------------

    def _place(self, index: int) -> tuple[int, int]:
        """The worker of a machine, and the machine's number there."""
        number = self._worker_of[index]
        return number, index - self._parts[number].start

    def _ask(self, number: int, op: Op, message: bytes) -> bytes:
        try:
            return self._workers[number].ask(op, message)
        except MachineCrashed as crash:
            crashes = self._crashes_of(number, crash)
            raise MachineCrashed(describe_crashes(crashes), tuple(crashes)) from None

    def _post(self, op: Op, messages: Mapping[int, bytes]) -> None:
        self._asked, self._crashes = [], {}
        for number, message in messages.items():
            try:
                self._workers[number].post(op, message)
            except MachineCrashed as crash:
                self._crashes.update(self._crashes_of(number, crash))
            else:
                self._asked.append(number)

    def _collect(self) -> None:
        """Take the replies of all, then raise what went wrong."""
        complaint: FrameperfectError | None = None
        for number in self._asked:
            try:
                self._workers[number].answer()
            except MachineCrashed as crash:
                self._crashes.update(self._crashes_of(number, crash))
            except FrameperfectError as error:
                complaint = complaint or error
        self._asked = []
        if self._crashes:
            raise MachineCrashed(describe_crashes(self._crashes), tuple(sorted(self._crashes)))
        if complaint is not None:
            raise complaint

    def _crashes_of(self, number: int, crash: MachineCrashed) -> dict[int, str]:
        """Which machines a worker's complaint is about: all of its own where it died itself."""
        part = self._parts[number]
        lost = range(len(part)) if self._workers[number].crash is not None else crash.indices
        return {part.start + local: str(crash) for local in lost}
