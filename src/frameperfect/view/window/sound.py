"""The machine's sound through SDL's mixer, from a small queue that stretches a little instead of clicking.

The mixer plays one block while the next is queued, so a block is a multiple of the mixer's own buffer: then
the two meet without a gap. The machine's frames and the sound card's clock never agree quite: each block
takes up to half a percent more or less of the queue than it is long, so that the queue stays short.
"""

from __future__ import annotations

import math
from types import ModuleType

import numpy as np
from numpy.typing import NDArray

from frameperfect.machine import Machine

BUFFER = 256
"""Samples of the mixer's own buffer."""
BLOCK_SECONDS = 0.024
"""The least length of a block: it is fed once a frame, which takes up to 20 ms, and some frames are late."""
QUEUED = 2.0
"""Blocks that lie in the queue where all is well: with those in the mixer, a tenth of a second."""
MOST = 6.0
"""Blocks beyond which the oldest sound is dropped."""
STRETCH, SLACK = 0.005, 0.5
"""The most that a block is stretched by, and how many blocks too much or too little it takes for that."""


class Sound:
    """Plays what `machine.audio` holds after each frame; silent where there is no sound card."""

    def __init__(self, pygame: ModuleType, machine: Machine) -> None:
        self.muted = False
        self.trouble = ""
        """Why there is no sound; empty where there is."""
        self._pygame, self._machine = pygame, machine
        self._queue = np.zeros((0, 2), np.float32)
        self._channel = None
        if not machine.sample_rate:
            self.trouble = f"{machine.fingerprint.backend} gives no sound"
            return
        rate = round(machine.sample_rate)
        self.block = math.ceil(rate * BLOCK_SECONDS / BUFFER) * BUFFER
        try:
            pygame.mixer.init(frequency=rate, size=-16, channels=2, buffer=BUFFER, allowedchanges=0)
            self._channel = pygame.mixer.Channel(0)
        except pygame.error as error:
            self.trouble = f"no sound: {error}"

    @property
    def queued(self) -> int:
        """Samples that wait."""
        return len(self._queue)

    def frame(self) -> None:
        """After a frame at normal speed: queue its sound, and feed the mixer."""
        if self._channel is None or self.muted:
            return
        samples = self._machine.audio
        if len(samples):
            self._queue = np.concatenate([self._queue, samples.astype(np.float32)])
            self._queue = self._queue[-round(MOST * self.block) :]
        if self._channel.get_busy() and self._channel.get_queue() is None:
            self._give(self._channel.queue)
        elif not self._channel.get_busy() and self.queued >= (2 + QUEUED) * self.block:
            self._give(self._channel.play)
            self._give(self._channel.queue)

    def silence(self) -> None:
        """Paused, rewound, in turbo or in slow motion: let what is queued go."""
        self._queue = self._queue[:0]

    def close(self) -> None:
        """Stop."""
        if self._channel is not None:
            self._pygame.mixer.quit()
            self._channel = None

    def _give(self, play: object) -> None:
        """One block to the mixer, by `play`."""
        taken, self._queue = take_block(self._queue, self.block)
        if len(taken):
            assert callable(play)
            play(self._pygame.mixer.Sound(buffer=taken.tobytes()))


def take_block(queue: NDArray[np.float32], block: int) -> tuple[NDArray[np.int16], NDArray[np.float32]]:
    """`block` samples made of about as many at the front of `queue`, and what is left of it.

    The fuller the queue, the more of it is taken. One that is too short for a block gives nothing.
    """
    excess = (len(queue) - QUEUED * block) / (SLACK * block)
    wanted = round(block * (1 + STRETCH * min(max(excess, -1.0), 1.0)))
    if len(queue) < wanted:
        return np.zeros((0, 2), np.int16), queue
    at = np.linspace(0, wanted - 1, block)
    steps = np.arange(wanted)
    mixed = np.stack([np.interp(at, steps, queue[:wanted, side]) for side in (0, 1)], axis=1)
    return np.ascontiguousarray(np.round(mixed), np.int16), queue[wanted:]
