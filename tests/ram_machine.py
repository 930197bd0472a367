"""A console with a game in it whose every variable is known, and one that is nothing but memory."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from frameperfect.errors import StateMismatch
from frameperfect.machine import Analog, Capability, Controller, Fingerprint, Machine, MachineSpec
from frameperfect.memory import Domain

BASE = 0x8000
X, X_COPY, SPEED, PAD, FRAMES, LIVES, SCORE, SECONDS, SCORE_COPY = (
    0x10,
    0x80,
    0x14,
    0x20,
    0x30,
    0x40,
    0x50,
    0x60,
    0x90,
)
"""x: >u2 in 1/256 pixels; speed: >i2, the same; frames: <u2; score: d2, big-endian; seconds count down."""


class Block(Machine):
    """Memory and nothing else: each domain is an array of the test's own."""

    def __init__(self, domains: Sequence[Domain], memory: Sequence[NDArray[np.uint8]]) -> None:
        self.controllers = (Controller(("Left", "Right", "Up", "Down", "A")),)
        self.capabilities = Capability.WRITE | Capability.SAVE | Capability.DETERMINISTIC
        self.fingerprint = Fingerprint("block", "block", "1", "1")
        self.spec = MachineSpec("block")
        self.frame_rate = 60.0
        self.domains = {domain.name: domain for domain in domains}
        self.memory = {domain.name: block for domain, block in zip(domains, memory, strict=True)}

    def _advance(self, masks: Sequence[int], analog: Analog, frames: int) -> None:
        for _ in range(frames):
            self.frame += 1
            self.play(masks[0] if masks else 0)

    def play(self, mask: int) -> None:
        """One frame of the game."""

    def _save(self) -> bytes:
        return b"".join(block.tobytes() for block in self.memory.values())

    def _restore(self, payload: memoryview) -> None:
        sizes = [block.size for block in self.memory.values()]
        if len(payload) != sum(sizes):
            raise StateMismatch("the state is cut short")
        start = 0
        for block, size in zip(self.memory.values(), sizes, strict=True):
            block[:] = np.frombuffer(payload[start : start + size], np.uint8)
            start += size

    def _reset(self) -> None:
        for block in self.memory.values():
            block[:] = 0

    def _close(self) -> None:
        pass


class Ball(Block):
    """A ball with momentum; A scores 25 points when pressed anew; three lives, one lost beyond x = 200.

    x is copied for the "video chip" every frame; the copy of the score is written and read by nobody.
    """

    def __init__(self) -> None:
        super().__init__(
            [Domain("ram", 256, BASE, pointer="<u2", address_bits=16)], [np.zeros(256, np.uint8)]
        )
        self.capabilities |= Capability.SCREEN
        self.ram = self.memory["ram"]
        self.put(X, 100 << 8, 2)
        self.ram[LIVES] = 3
        self.ram[SECONDS] = 99

    def get(self, place: int, width: int) -> int:
        return int.from_bytes(self.ram[place : place + width].tobytes(), "big")

    def put(self, place: int, value: int, width: int) -> None:
        mask = (1 << 8 * width) - 1
        self.ram[place : place + width] = np.frombuffer((value & mask).to_bytes(width, "big"), np.uint8)

    def play(self, mask: int) -> None:
        frames = (int(self.ram[FRAMES]) | int(self.ram[FRAMES + 1]) << 8) + 1
        self.ram[FRAMES], self.ram[FRAMES + 1] = frames & 0xFF, frames >> 8 & 0xFF
        if frames % 30 == 0 and self.ram[SECONDS]:
            self.ram[SECONDS] -= 1
        speed = (self.get(SPEED, 2) ^ 0x8000) - 0x8000
        push = 40 * ((mask >> 1 & 1) - (mask & 1))
        speed = max(-480, min(480, speed + push)) if push else speed - max(-40, min(40, speed))
        self.put(SPEED, speed, 2)
        self.put(X, max(8 << 8, self.get(X, 2) + speed), 2)
        if self.get(X, 2) > 200 << 8:
            self.ram[LIVES] -= self.ram[LIVES] > 0
            self.put(X, 100 << 8, 2)
            self.ram[0xA0:0xB0] += 1  # the explosion
        if mask & 16 and not self.ram[PAD] & 16:
            digits = int(f"{self.get(SCORE, 2):x}") + 25
            self.put(SCORE, int(f"{digits % 10000}", 16), 2)
        self.ram[PAD] = mask
        self.ram[X_COPY] = self.ram[X]
        self.ram[SCORE_COPY : SCORE_COPY + 2] = self.ram[SCORE : SCORE + 2]

    def _screen(self) -> NDArray[np.uint8]:
        picture = np.zeros((16, 256, 3), np.uint8)
        picture[8:12, self.ram[X_COPY] : self.ram[X_COPY] + 4] = 255
        picture[0, : self.get(SCORE, 2) % 256] = 100
        picture[1, : self.ram[LIVES]] = 200
        picture[2, : self.ram[SECONDS]] = 150
        return picture
