"""The worker: a process that opens a machine or a pool and serves it to its host."""

from __future__ import annotations

import json
import os
import struct
import sys
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from frameperfect._native import Channel, SharedMemory, end_with_parent
from frameperfect.machine import Machine, backend, open_machine
from frameperfect.pool import Pool
from frameperfect.workers.protocol import (
    ADVANCE,
    ANALOG,
    ERROR,
    INDEX,
    OK,
    PAGE,
    SIZE,
    START,
    ArrayLayout,
    Op,
    arrays_in,
    block_size,
    describe,
    on_pages,
    pack_error,
    unpack_port,
    unpack_settings,
    unpack_spec,
)

LAST_WORDS = 1 << 20
"""Once stderr has grown past this many bytes it starts anew: only what comes last is ever read."""


class Views:
    """A machine's frame count and memory, copied to where the host sees them."""

    def __init__(self, block: SharedMemory, start: int, machine: Machine) -> None:
        self.counter, self.offsets = start, {}
        self.end = start + PAGE
        for name, view in machine.memory.items():
            self.offsets[name] = self.end
            self.end += on_pages(view.size)
        block.reserve(self.end)
        everything = block.array()
        self._frame = everything[start : start + 8].view(np.uint64)
        self._shared = {n: everything[o : o + machine.memory[n].size] for n, o in self.offsets.items()}

    def publish(self, machine: Machine) -> None:
        """Show the machine as it is now."""
        self._frame[0] = machine.frame
        for name, shared in self._shared.items():
            shared[:] = machine.memory[name]

    def hear(self, machine: Machine) -> None:
        """Hand on what the host wrote since."""
        for name, shared in self._shared.items():
            view = machine.memory[name]
            if machine.domains[name].writable and not np.array_equal(view, shared):
                view[:] = shared


class Server:
    """Serves one machine, or one pool and its members, over a channel."""

    def __init__(self, channel: Channel, views: SharedMemory, batch: SharedMemory) -> None:
        self._channel, self._block, self._batch = channel, views, batch
        self._pool: Pool | None = None
        self._machines: dict[int, Machine] = {}
        self._views: dict[int, Views] = {}
        self._block_end = 0
        self._arrays: dict[str, NDArray[Any]] = {}
        self._answer: dict[int, Callable[[bytes], bytes]] = {
            Op.OPEN: self._open,
            Op.VIEW: self._view,
            Op.ADVANCE: self._advance,
            Op.RESET: self._reset,
            Op.SAVE: self._save,
            Op.RESTORE: self._restore,
            Op.IMPORT_STATE: self._import_state,
            Op.EXPORT_STATE: self._export_state,
            Op.PRESS_RESET: self._press_reset,
            Op.SCREEN: self._screen,
            Op.ARRAYS: self._place_arrays,
            Op.STEP: self._step,
            Op.POOL_RESET: self._pool_reset,
            Op.POOL_SAVE: self._pool_save,
            Op.POOL_RESTORE: self._pool_restore,
            Op.REPLACE: self._replace,
        }

    def run(self) -> None:
        """Answer until the host ends."""
        served = 0
        while True:
            request = self._channel.receive()
            assert request is not None
            op, message = request
            try:
                reply = self._answer[op](message)
            except Exception as error:  # the host raises it
                self._channel.post(ERROR, pack_error(error))
            else:
                self._channel.post(OK, reply)
            served += 1
            if served % 256 == 0 and os.fstat(2).st_size > LAST_WORDS:
                os.ftruncate(2, 0)

    def _open(self, message: bytes) -> bytes:
        asked = json.loads(message)
        spec = unpack_spec(asked["spec"])
        if asked["size"] is None:
            machine = self._machines[0] = open_machine(spec)
            return json.dumps(describe(machine)).encode()
        pool = backend(spec.backend).pool(spec, asked["size"], unpack_settings(asked["settings"]))
        assert isinstance(pool, Pool)
        self._pool = pool
        picture = None if pool.pixels is None else pool.pixels.shape[1:]
        return json.dumps(describe(pool) | {"width": pool.rows.shape[1], "picture": picture}).encode()

    # -- a machine ---------------------------------------------------------------------------------

    def _view(self, message: bytes) -> bytes:
        (index,) = INDEX.unpack(message)
        if self._pool is not None:
            self._machines[index] = self._pool.machine(index)
        machine = self._machines[index]
        if index not in self._views:
            self._views[index] = Views(self._block, self._block_end, machine)
            self._block_end = self._views[index].end
        views = self._views[index]
        views.publish(machine)
        told = describe(machine) | {"counter": views.counter, "offsets": views.offsets, "end": views.end}
        return json.dumps(told).encode()

    def _advance(self, message: bytes) -> bytes:
        index, frames, count, ports = ADVANCE.unpack_from(message)
        masks = struct.unpack_from(f"<{count}I", message, ADVANCE.size)
        first = ADVANCE.size + 4 * count
        analog = tuple(unpack_port(message, first + ANALOG.size * port) for port in range(ports)) or None
        self._take(index)._advance(masks, analog, frames)
        return self._publish(index)

    def _reset(self, message: bytes) -> bytes:
        (index,) = INDEX.unpack(message)
        self._machines[index].reset()
        return self._publish(index)

    def _save(self, message: bytes) -> bytes:
        return self._take(*INDEX.unpack(message)).save()

    def _restore(self, message: bytes) -> bytes:
        (index,) = INDEX.unpack_from(message)
        self._take(index).restore(message[INDEX.size :])
        return self._publish(index)

    def _import_state(self, message: bytes) -> bytes:
        (index,) = INDEX.unpack_from(message)
        self._take(index).import_state(message[INDEX.size :])
        return self._publish(index)

    def _export_state(self, message: bytes) -> bytes:
        return self._take(*INDEX.unpack(message)).export_state()

    def _press_reset(self, message: bytes) -> bytes:
        self._take(*INDEX.unpack(message)).press_reset()
        return b""

    def _screen(self, message: bytes) -> bytes:
        image = self._machines[INDEX.unpack(message)[0]].screen(copy=False)
        return SIZE.pack(*image.shape[:2]) + image.tobytes()

    def _take(self, index: int) -> Machine:
        """The machine, with what the host wrote to its memory."""
        machine = self._machines[index]
        self._views[index].hear(machine)
        return machine

    def _publish(self, index: int) -> bytes:
        self._views[index].publish(self._machines[index])
        return b""

    # -- a pool ------------------------------------------------------------------------------------

    @property
    def _members(self) -> Pool:
        assert self._pool is not None
        return self._pool

    def _place_arrays(self, message: bytes) -> bytes:
        asked = json.loads(message)
        layout: ArrayLayout = asked["layout"]
        self._batch.reserve(block_size(layout))
        first, size = asked["first"], self._members.size
        everything = arrays_in(self._batch.array(), layout)
        self._arrays = {name: array[first : first + size] for name, array in everything.items()}
        return self._show()

    def _step(self, message: bytes) -> bytes:
        self._hear_writes()
        try:
            self._members.step(self._arrays["masks"], self._arrays["active"])
        finally:  # where a member crashed the others have stepped
            self._show()
        return b""

    def _pool_reset(self, message: bytes) -> bytes:
        indices, states, seeds = [], [], []
        at = 0
        while at < len(message):
            index, seed, length = START.unpack_from(message, at)
            at += START.size
            indices.append(index)
            seeds.append(seed)
            states.append(None if length < 0 else message[at : at + length])
            at += max(length, 0)
        self._members.reset(indices, states, seeds)
        return self._show()

    def _pool_save(self, message: bytes) -> bytes:
        self._hear_writes()
        return self._members.save(*INDEX.unpack(message))

    def _pool_restore(self, message: bytes) -> bytes:
        (index,) = INDEX.unpack_from(message)
        self._members.restore(index, message[INDEX.size :])
        return self._show()

    def _replace(self, message: bytes) -> bytes:
        (index,) = INDEX.unpack(message)
        self._members.replace(index)
        if index in self._machines:
            self._machines[index] = self._members.machine(index)
        return self._show()

    def _hear_writes(self) -> None:
        for index in self._views:
            self._take(index)

    def _show(self) -> bytes:
        """Copy the pool's arrays to where the host reads them."""
        pool = self._members
        self._arrays["rows"][:] = pool.rows
        self._arrays["inputs"][:] = pool.inputs
        if pool.pixels is not None:
            self._arrays["pixels"][:] = pool.pixels
        for index in self._views:
            self._publish(index)
        return b""


def main() -> None:
    """Serve over the descriptors named on the command line, until the host ends."""
    channel, views, batch = map(int, sys.argv[1:])
    end = Channel.attach(channel)
    end_with_parent(end.host)
    os.dup2(2, 1)  # what a core prints belongs to its last words
    Server(end, SharedMemory.attach(views), SharedMemory.attach(batch)).run()


if __name__ == "__main__":
    main()
