"""A machine written from scratch: a dot that Left and Right push along a line.

Everything that frameperfect can do with a console it can do with this: environments, movies, search, agents.
`pip install ./examples/pebble` makes it known by the entry point in its `pyproject.toml`.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from frameperfect.errors import StateMismatch, Unsupported
from frameperfect.machine import Analog, Capability, Controller, Fingerprint, Machine, MachineSpec
from frameperfect.memory import Domain
from frameperfect.pool import MachinePool, Pool, PoolSettings

PLACES = 256


class Pebble(Machine):
    """Memory is one domain of three little-endian 16-bit numbers: place, speed, and a frame counter."""

    def __init__(self, spec: MachineSpec) -> None:
        self.spec = spec
        self.controllers = (Controller(("Left", "Right")),)
        self.capabilities = (
            Capability.SAVE
            | Capability.SCREEN
            | Capability.WRITE
            | Capability.DETERMINISTIC
            | Capability.TURBO
        )
        # Equal fingerprints promise interchangeable states: whatever changes how it plays belongs in here.
        self.fingerprint = Fingerprint("pebble", "pebble 1", core_hash="1", game_hash="")
        self.frame_rate = 60.0
        self.domains = {"ram": Domain("ram", 6)}
        self.memory = {"ram": np.zeros(6, np.uint8)}
        self._numbers = self.memory["ram"].view("<i2")
        self._picture = np.zeros((16, PLACES, 3), np.uint8)
        self._reset()

    def _advance(self, masks: Sequence[int], analog: Analog, frames: int) -> None:
        if analog is not None and any(port.axes or port.pointer for port in analog):
            raise Unsupported("pebble: there are no axes and no pointer")
        push = (masks[0] >> 1 & 1) - (masks[0] & 1) if masks else 0
        for _ in range(frames):
            place, speed, count = self._numbers.tolist()
            speed = max(-9, min(9, speed - (speed > 0) + (speed < 0) + 2 * push))
            self._numbers[:] = (place + speed) % PLACES, speed, (count + 1) % 32768
        self.frame += frames
        if frames:
            self._draw()

    def _draw(self) -> None:
        self._picture[:] = 30
        self._picture[6:10, self._numbers[0] % PLACES] = 255

    def _screen(self) -> NDArray[np.uint8]:
        return self._picture

    def _save(self) -> bytes:
        # The picture is a part of a state: memory may have been written since it was drawn.
        return self.memory["ram"].tobytes() + self._picture.tobytes()

    def _restore(self, payload: memoryview) -> None:
        size = self.memory["ram"].size
        if len(payload) != size + self._picture.size:
            raise StateMismatch("the state is damaged; save it anew")
        self.memory["ram"][:] = np.frombuffer(payload[:size], np.uint8)
        self._picture[:] = np.frombuffer(payload[size:], np.uint8).reshape(self._picture.shape)

    def _reset(self) -> None:
        self._numbers[:] = PLACES // 2, 0, 0
        self._draw()

    def _close(self) -> None:
        pass


# -- what makes it a backend -----------------------------------------------------------------------


def open(spec: MachineSpec) -> Machine:
    """One machine."""
    return Pebble(spec)


def pool(spec: MachineSpec, size: int, settings: PoolSettings) -> Pool:
    """Many, stepped together; `MachinePool` is a plain loop, which workers run in parallel."""
    return MachinePool(lambda: Pebble(spec), size, settings)


def recognise(path: Path) -> MachineSpec | None:
    """What machine a file is for; pebble needs no file."""
    return None
