"""The host's side of one worker process: start it, ask it, notice its death, reap it."""

from __future__ import annotations

import json
from typing import Any

from frameperfect._native import Channel, SharedMemory
from frameperfect.errors import MachineCrashed
from frameperfect.workers.child import Child
from frameperfect.workers.protocol import ERROR, Op, unpack_error

MODULE = "frameperfect.workers.server"


class WorkerProcess:
    """A worker: started here, asked over a channel, gone with `close` or with this process.

    Args:
        batch: the block where a pool's workers find the batch arrays; one of its own where it is None.

    Raises:
        MachineCrashed: it ended before it answered.
    """

    def __init__(self, batch: SharedMemory | None = None) -> None:
        self._channel = Channel.create()
        self.views = SharedMemory(0)
        own_batch = SharedMemory(0) if batch is None else batch
        try:
            self._child = Child(MODULE, (self._channel.fd, self.views.fd, own_batch.fd))
        finally:
            if batch is None:
                own_batch.close()
        self._channel.watch(self._child.pid)
        self._asked = False
        self.crash: MachineCrashed | None = None

    @property
    def pid(self) -> int:
        """Its process id."""
        return self._child.pid

    def post(self, op: Op, message: bytes = b"") -> None:
        """Send a request; `answer` has its reply."""
        if self.crash is not None:
            raise self.crash
        if self._asked:  # a Ctrl-C left the last reply unread
            self._receive()
        self._channel.post(op, message)
        self._asked = True

    def answer(self) -> bytes:
        """The reply to the last request.

        Raises:
            MachineCrashed: the worker died; it names the signal and the last words.
            FrameperfectError: the worker's own error, of its type.
        """
        status, reply = self._receive()
        if status == ERROR:
            raise unpack_error(reply)
        return reply

    def ask(self, op: Op, message: bytes = b"") -> bytes:
        """`post` and `answer`."""
        self.post(op, message)
        return self.answer()

    def ask_json(self, op: Op, message: bytes) -> dict[str, Any]:
        """`ask` where the reply is JSON."""
        told = json.loads(self.ask(op, message))
        assert isinstance(told, dict)
        return told

    def close(self) -> None:
        """End and reap the worker; closing twice is harmless."""
        self._child.close()
        self._free()

    def _receive(self) -> tuple[int, bytes]:
        received: tuple[int, bytes] | None
        try:
            received = self._channel.receive()
        except EOFError:
            self.crash = MachineCrashed(f"the machine's worker process {self._child.obituary()}")
            self._free()
            raise self.crash from None
        assert received is not None
        self._asked = False
        return received

    def _free(self) -> None:
        self._channel.close()
        self.views.close()
        self._child.forget()
        if self.crash is None:
            self.crash = MachineCrashed("the machine is closed; open a new one")
