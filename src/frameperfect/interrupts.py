"""A Ctrl-C that is never lost.

Python raises KeyboardInterrupt wherever the main thread is. Where that is a callback that a library calls,
the library may drop it: a compiled one without a word, the interpreter itself (weak references, `__del__`)
with a notice on stderr.
"""

from __future__ import annotations

import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

AGAIN = 0.02
"""Seconds after which a dropped interrupt is sent again; it has to find the interpreter past the callback."""


@contextmanager
def held() -> Iterator[None]:
    """A Ctrl-C within the block comes when the block ends; for short calls into what drops it.

    Off the main thread nothing is raised anyway, and nothing is done.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    heard = False

    def hear(*_: Any) -> None:
        nonlocal heard
        heard = True

    before = signal.signal(signal.SIGINT, hear)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before if before is not None else signal.SIG_DFL)
        if heard:
            signal.raise_signal(signal.SIGINT)


def _send() -> None:
    if hasattr(signal, "pthread_kill"):  # which wakes a main thread that sleeps or waits
        signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGINT)
    else:
        signal.raise_signal(signal.SIGINT)


@contextmanager
def sent_again() -> Iterator[None]:
    """A Ctrl-C that the interpreter drops within the block is sent again, without a notice."""
    before = sys.unraisablehook

    def hook(dropped: sys.UnraisableHookArgs, /) -> None:
        if issubclass(dropped.exc_type, KeyboardInterrupt):
            again = threading.Timer(AGAIN, _send)
            again.daemon = True
            again.start()
        else:
            before(dropped)

    sys.unraisablehook = hook
    try:
        yield
    finally:
        sys.unraisablehook = before
