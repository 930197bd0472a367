"""A display that nobody sees, for programs with windows."""

from __future__ import annotations

import contextlib
import os
import subprocess
from collections.abc import Iterator

from tests.components import need_program


@contextlib.contextmanager
def virtual_display(width: int = 1024, height: int = 768) -> Iterator[str]:
    """Xvfb's, by its name; it ends with the block."""
    program = need_program("Xvfb", "xvfb")
    read, write = os.pipe()
    server = subprocess.Popen(
        [program, "-displayfd", str(write), "-screen", "0", f"{width}x{height}x24", "-nolisten", "tcp"],
        pass_fds=[write],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    os.close(write)
    with os.fdopen(read) as told:
        number = told.readline().strip()
    try:
        assert number, "Xvfb did not start"
        yield f":{number}"
    finally:
        server.kill()
        server.wait()
