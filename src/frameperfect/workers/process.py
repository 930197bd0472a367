"""The host's side of one worker process: start it, ask it, notice its death, reap it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

from frameperfect._native import Channel, SharedMemory
from frameperfect.errors import MachineCrashed
from frameperfect.workers.protocol import ERROR, Op, unpack_error

MODULE = "frameperfect.workers.server"
LAST_LINES = 3


class WorkerProcess:
    """A worker: started here, asked over a channel, gone with `close` or with this process.

    It is a session of its own, so the terminal's Ctrl-C reaches only the host. Its stdout and stderr go to
    memory, of which the last lines are told when it dies.

    Args:
        batch: the block where a pool's workers find the batch arrays; one of its own where it is None.

    Raises:
        MachineCrashed: it ended before it answered.
    """

    def __init__(self, batch: SharedMemory | None = None) -> None:
        self._channel = Channel.create()
        self.views = SharedMemory(0)
        self._words = os.memfd_create("frameperfect")
        own_batch = SharedMemory(0) if batch is None else batch
        descriptors = (self._channel.fd, self.views.fd, own_batch.fd)
        importable = os.pathsep.join(path or str(Path.cwd()) for path in sys.path)
        log = os.open(f"/proc/self/fd/{self._words}", os.O_WRONLY | os.O_APPEND)
        try:
            self._process = subprocess.Popen(
                [sys.executable, "-W", "ignore", "-m", MODULE, *map(str, descriptors)],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                pass_fds=descriptors,
                start_new_session=True,
                env=os.environ | {"PYTHONPATH": importable},
            )
        finally:
            os.close(log)
            if batch is None:
                own_batch.close()
        self._channel.watch(self._process.pid)
        self._asked = False
        self.crash: MachineCrashed | None = None

    @property
    def pid(self) -> int:
        """Its process id."""
        return self._process.pid

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
        if self._process.returncode is None:
            self._process.kill()
            self._process.wait()
        self._free()

    def _receive(self) -> tuple[int, bytes]:
        received: tuple[int, bytes] | None
        try:
            received = self._channel.receive()
        except EOFError:
            self.crash = self._obituary()
            self._free()
            raise self.crash from None
        assert received is not None
        self._asked = False
        return received

    def _obituary(self) -> MachineCrashed:
        code = self._process.wait()
        words = os.pread(self._words, 1 << 16, max(0, os.fstat(self._words).st_size - (1 << 16)))
        lines = [line.strip() for line in words.decode(errors="replace").splitlines() if line.strip()]
        said = f"; its last words: {' | '.join(lines[-LAST_LINES:])}" if lines else ""
        how = signal.Signals(-code).name if code < 0 else f"exit code {code}"
        return MachineCrashed(f"the machine's worker process died ({how}){said}")

    def _free(self) -> None:
        self._channel.close()
        self.views.close()
        if self._words >= 0:
            os.close(self._words)
            self._words = -1
        if self.crash is None:
            self.crash = MachineCrashed("the machine is closed; open a new one")
