"""Skyrunner for tests: the runner put anywhere, random play, and what must hold at every frame."""

from __future__ import annotations

from collections import Counter

import numpy as np

import frameperfect as fp
from frameperfect.machine import Machine

GAME = "Skyrunner-Nes"


def open_stage(stage: int) -> Machine:
    """A machine at the first frame of a stage."""
    return fp.open(GAME, start=f"stage{stage}")


def at(stage: int, *, x: float, y: float) -> Machine:
    """The same with the runner put somewhere; the camera and the enemies have come along."""
    machine = open_stage(stage)
    goal = int(x)  # high up, where no enemy is
    while machine.read("camera_x") + 112 < goal - 16:  # the camera draws a column a frame
        machine.write("x", min(machine.read("camera_x") + 112 + 12, goal))
        machine.write("y", 40)
        machine.write("vy", 0)
        machine.advance()
    machine.write("x", x)
    machine.write("y", y)
    machine.write("vx", 0)
    machine.write("vy", 0)
    machine.advance()
    return machine


class Watch:
    """What must hold at every frame of any play."""

    def __init__(self, machine: Machine) -> None:
        self.memory = machine.memory["ram"]
        self.frames = self.count()

    def count(self) -> int:
        """The game's own count of frames."""
        return int(self.memory[0x302]) + 256 * int(self.memory[0x303])

    def check(self, frames: int = 1) -> None:
        """`frames` after the last call (or none, where the console has just been reset)."""
        ram = self.memory
        self.frames = (self.frames + frames) & 0xFFFF
        assert self.count() == self.frames
        assert ram[0x300] <= 6 and ram[0x301] <= 3 and ram[0x306] <= 1
        assert ram[0x304] == ram[0x305] == 0  # no frame was late
        assert ram[0x313] == 0 and ram[0x312] < 16  # x within the stage
        if ram[0x300] >= 3:
            assert 16 <= ram[0x315] < 240
        assert ram[0x380:0x3C0:8].max() <= 5
        assert ram[0x335] <= 15 and ram[0x333] <= 99 and ram[0x332] <= 99
        assert ram[0x27] < 60 and ram[0x24:0x27].max() <= 9
        assert not ram[0x100:0x1E0].any()  # the stack stays short


def random_masks(rng: np.random.Generator, machine: Machine, count: int) -> list[int]:
    """Buttons that go right more often than not, each held for some frames; any others at random."""
    pad = machine.controllers[0]
    right, left = pad.mask("Right"), pad.mask("Left")
    out: list[int] = []
    while len(out) < count:
        mask = int(rng.integers(0, 256))
        if rng.random() < 0.7:
            mask = (mask | right) & ~left
        if rng.random() < 0.8:
            mask &= ~pad.mask("Start")
        out += [mask] * int(rng.geometric(0.15))
    return out[:count]


def random_play(start: str | None, machines: int, frames: int, seed: int) -> Counter[int]:
    """Each machine plays at random, and all is checked at each frame; how many frames each mode had."""
    modes: Counter[int] = Counter()
    for one in range(machines):
        rng = np.random.default_rng([seed, one])
        with fp.open(GAME, start=start) as machine:
            machine.advance(None, 12)  # the console warms up
            watch = Watch(machine)
            for mask in random_masks(rng, machine, frames):
                machine.advance(mask)
                watch.check()
                modes[int(watch.memory[0x300])] += 1
    return modes
