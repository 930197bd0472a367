"""Waiting for what another process does."""

from __future__ import annotations

import time
from collections.abc import Callable

PATIENCE = 60.0
"""Seconds; a machine may be busy with other things."""


def comes_true(what: Callable[[], bool]) -> bool:
    """Whether it does before the patience is over."""
    begun = time.monotonic()
    while not what():
        if time.monotonic() - begun > PATIENCE:
            return False
        time.sleep(0.02)
    return True
