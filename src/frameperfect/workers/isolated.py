"""A machine that lives in a process of its own."""

from __future__ import annotations

import json
import struct
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from frameperfect.machine import Analog, Capability, Machine, MachineSpec, unseal_state
from frameperfect.workers.process import WorkerProcess
from frameperfect.workers.protocol import (
    ADVANCE,
    INDEX,
    SIZE,
    Op,
    apply_description,
    pack_port,
    pack_spec,
)

if TYPE_CHECKING:
    from collections.abc import Mapping


class RemoteMachine(Machine):
    """A machine of a worker process: its only machine, or the member `index` of its pool.

    The memory views are in shared memory. They are as live as the machine: the worker fills them after
    every call, and what is written to them takes effect with the next call and is part of a state saved
    then. They stay valid until `close`, `reset` included.
    """

    def __init__(self, worker: WorkerProcess, spec: MachineSpec, index: int = 0) -> None:
        self.spec = spec
        self.worker = worker
        self._number, self._index = index, INDEX.pack(index)
        told = worker.ask_json(Op.VIEW, self._index)
        apply_description(self, told)
        self.capabilities = Capability(told["capabilities"])
        worker.views.reserve(told["end"])
        block = worker.views.array()
        self._counter = block[told["counter"] : told["counter"] + 8].view(np.uint64)
        self.memory: Mapping[str, NDArray[np.uint8]] = {
            name: self._part(block, name, offset) for name, offset in told["offsets"].items()
        }

    def _part(self, block: NDArray[np.uint8], name: str, offset: int) -> NDArray[np.uint8]:
        domain = self.domains[name]
        view = block[offset : offset + domain.size]
        view.flags.writeable = domain.writable
        return view

    @property
    def frame(self) -> int:
        """Frames advanced since power-on; the worker counts."""
        return int(self._counter[0])

    @frame.setter
    def frame(self, _: int) -> None:
        """The worker has set it already."""

    def _advance(self, masks: Sequence[int], analog: Analog, frames: int) -> None:
        ports = () if analog is None else analog
        head = ADVANCE.pack(self._number, frames, len(masks), len(ports))
        message = b"".join((head, struct.pack(f"<{len(masks)}I", *masks), *map(pack_port, ports)))
        self.worker.ask(Op.ADVANCE, message)

    def _reset(self) -> None:
        self.worker.ask(Op.RESET, self._index)

    def _screen(self) -> NDArray[np.uint8]:
        reply = self.worker.ask(Op.SCREEN, self._index)
        height, width = SIZE.unpack_from(reply)
        return np.frombuffer(reply, np.uint8, offset=SIZE.size).reshape(height, width, 3)

    def save(self) -> bytes:
        """See `Machine.save`; the worker's machine seals the state."""
        self.require(Capability.SAVE)
        return self.worker.ask(Op.SAVE, self._index)

    def restore(self, state: bytes) -> None:
        """See `Machine.restore`."""
        self.require(Capability.SAVE)
        unseal_state(self.fingerprint, state)  # a foreign state need not travel
        self.worker.ask(Op.RESTORE, self._index + bytes(state))

    def _import_state(self, state: bytes) -> None:
        self.worker.ask(Op.IMPORT_STATE, self._index + bytes(state))

    def _export_state(self) -> bytes:
        return self.worker.ask(Op.EXPORT_STATE, self._index)

    def _press_reset(self) -> None:
        self.worker.ask(Op.PRESS_RESET, self._index)

    def _close(self) -> None:
        """Nothing: the worker belongs to the pool."""


class IsolatedMachine(RemoteMachine):
    """Any machine, in a process of its own: if it crashes there, calls raise `MachineCrashed`, and no more.

    Raises:
        MachineError: the machine can't be opened, as it would say in this process.
        MachineCrashed: the emulator died while it was opened.
    """

    def __init__(self, spec: MachineSpec) -> None:
        worker = WorkerProcess()
        try:
            worker.ask(Op.OPEN, json.dumps({"spec": pack_spec(spec), "size": None}).encode())
            super().__init__(worker, spec)
        except BaseException:
            worker.close()
            raise

    def _close(self) -> None:
        self.worker.close()
