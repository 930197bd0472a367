"""A process of ours: started with a few descriptors, its last words kept, gone with `close` or with us."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

LAST_LINES = 3


class Program:
    """A program with some descriptors of ours inherited and an environment of its own.

    It is a session of its own, so the terminal's Ctrl-C reaches only this process. Its stdout and stderr go
    to memory, of which the last lines are told when it dies.
    """

    def __init__(
        self,
        command: Sequence[str],
        descriptors: Sequence[int],
        environment: Mapping[str, str],
        folder: str | None = None,
    ) -> None:
        self._words = os.memfd_create("frameperfect")
        log = os.open(f"/proc/self/fd/{self._words}", os.O_WRONLY | os.O_APPEND)
        try:
            self._process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                pass_fds=descriptors,
                start_new_session=True,
                env=environment,
                cwd=folder,
            )
        except BaseException:
            self.forget()
            raise
        finally:
            os.close(log)

    @property
    def pid(self) -> int:
        """Its process id."""
        return self._process.pid

    @property
    def running(self) -> bool:
        """Whether it has not ended yet."""
        return self._process.poll() is None

    @property
    def exit_code(self) -> int | None:
        """None while it runs; below 0 for the signal that ended it."""
        return self._process.poll()

    def obituary(self) -> str:
        """Waits for its end, and says how it came and what the last words were."""
        code = self._process.wait()
        words = os.pread(self._words, 1 << 16, max(0, os.fstat(self._words).st_size - (1 << 16)))
        lines = [line.strip() for line in words.decode(errors="replace").splitlines() if line.strip()]
        said = f"; its last words: {' | '.join(lines[-LAST_LINES:])}" if lines else ""
        how = signal.Signals(-code).name if code < 0 else f"exit code {code}"
        return f"died ({how}){said}"

    def close(self) -> None:
        """End and reap it; closing twice is harmless."""
        if self._process.returncode is None:
            self._process.kill()
            self._process.wait()
        self.forget()

    def trim(self, most: int) -> None:
        """Forget all words where they have grown past `most` bytes: only what comes last is ever read."""
        if os.fstat(self._words).st_size > most:
            os.ftruncate(self._words, 0)

    def forget(self) -> None:
        """Free what was kept of it."""
        if self._words >= 0:
            os.close(self._words)
            self._words = -1


class Child(Program):
    """`python -m module FD... WORD...`, with these descriptors inherited.

    `end_with_parent` in its `main` ends it with this process.
    """

    def __init__(self, module: str, descriptors: Sequence[int], *words: str) -> None:
        importable = os.pathsep.join(path or str(Path.cwd()) for path in sys.path)
        super().__init__(
            [sys.executable, "-W", "ignore", "-m", module, *map(str, descriptors), *words],
            descriptors,
            os.environ | {"PYTHONPATH": importable},
        )
