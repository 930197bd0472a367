"""A display that nobody sees, for programs with windows."""

from __future__ import annotations

import contextlib
import ctypes
import os
import subprocess
from collections.abc import Iterator

import pytest

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


class Hands:
    """Keys and mouse buttons on a display, as a person presses them (XTEST)."""

    def __init__(self, display: str) -> None:
        try:
            self._x11, self._xtest = ctypes.CDLL("libX11.so.6"), ctypes.CDLL("libXtst.so.6")
        except OSError as missing:
            if os.environ.get("CI") == "true":
                pytest.fail(f"missing component: {missing} (apt-get install libxtst6)")
            pytest.skip(f"missing component: {missing} (apt-get install libxtst6)")
        self._x11.XOpenDisplay.restype = ctypes.c_void_p
        self._x11.XStringToKeysym.restype = ctypes.c_ulong
        self._display = ctypes.c_void_p(self._x11.XOpenDisplay(display.encode()))
        assert self._display

    def key(self, name: str, down: bool) -> None:
        """Press or release a key, by X's name: a, space, Return."""
        keysym = ctypes.c_ulong(self._x11.XStringToKeysym(name.encode()))
        code = self._x11.XKeysymToKeycode(self._display, keysym)
        assert code, name
        self._xtest.XTestFakeKeyEvent(self._display, code, int(down), ctypes.c_ulong(0))
        self._x11.XFlush(self._display)

    def button(self, number: int, down: bool) -> None:
        """Press or release a mouse button: 1 left, 3 right."""
        self._xtest.XTestFakeButtonEvent(self._display, number, int(down), ctypes.c_ulong(0))
        self._x11.XFlush(self._display)

    def push(self, x: int, y: int) -> None:
        """Move the mouse by so many pixels."""
        self._xtest.XTestFakeRelativeMotionEvent(self._display, x, y, ctypes.c_ulong(0))
        self._x11.XFlush(self._display)

    def close(self) -> None:
        """Leave the display."""
        self._x11.XCloseDisplay(self._display)
