"""Every test starts from the same signals, however the suite was started."""

from __future__ import annotations

import signal

# A shell starts background jobs with SIGINT ignored, and children inherit that: Ctrl-C tests would hang.
signal.signal(signal.SIGINT, signal.default_int_handler)
