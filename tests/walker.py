"""A machine that is a walk on a grid, as a backend of its own: plain, windy, or with states that forget.

`site` puts it where every process finds it, as an installed backend would be. Memory: x, y, frames, wind.
A wall with one gap lies across the grid; `shortest` is the fewest frames to a place, by breadth-first search.
"""

from __future__ import annotations

import random
from collections import deque
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from frameperfect.machine import Analog, Capability, Controller, Fingerprint, Machine, MachineSpec
from frameperfect.memory import Domain

SIZE = 12
WALL, GAP = 4, 9
MOVES = {"Left": (-1, 0), "Right": (1, 0), "Up": (0, -1), "Down": (0, 1)}


def free(x: int, y: int) -> bool:
    return 0 <= x < SIZE and 0 <= y < SIZE and (x != WALL or y == GAP)


def shortest(x: int, y: int) -> int:
    """Frames from the corner to a place."""
    seen, edge = {(0, 0): 0}, deque([(0, 0)])
    while edge:
        here = edge.popleft()
        for dx, dy in MOVES.values():
            to = here[0] + dx, here[1] + dy
            if free(*to) and to not in seen:
                seen[to] = seen[here] + 1
                edge.append(to)
    return seen[x, y]


class Walker(Machine):
    """`windy` drifts at random and says so; `lying` as well, and says that it does not, `sly` only far out.

    `forgetful` tires after 3 frames, which its states leave out.
    """

    def __init__(self, spec: MachineSpec) -> None:
        self.controllers = (Controller(tuple(MOVES)),)
        self.capabilities = Capability.SAVE | Capability.WRITE | Capability.DETERMINISTIC
        if spec.name == "windy":
            self.capabilities = Capability.SAVE
        self.fingerprint = Fingerprint("walker", "walker", "1", spec.name)
        self.spec, self.frame_rate = spec, 60.0
        self.domains = {"ram": Domain("ram", 4, 0)}
        self.memory = {"ram": np.zeros(4, np.uint8)}
        self.awake = 0

    def _advance(self, masks: Sequence[int], analog: Analog, frames: int) -> None:
        ram = self.memory["ram"]
        for _ in range(frames):
            self.frame += 1
            self.awake += 1
            ram[2] += 1
            if self.spec.name == "forgetful" and self.awake > 3:
                continue
            if self.spec.name in ("windy", "lying") or (self.spec.name == "sly" and ram[0] > 5):
                ram[3] = random.randrange(256)
                if ram[0] > 5 and ram[3] < 80:
                    continue
            for bit, (dx, dy) in enumerate(MOVES.values()):
                if (masks[0] if masks else 0) >> bit & 1 and free(int(ram[0]) + dx, int(ram[1]) + dy):
                    ram[0], ram[1] = int(ram[0]) + dx, int(ram[1]) + dy

    def _save(self) -> bytes:
        return self.memory["ram"].tobytes()

    def _restore(self, payload: memoryview) -> None:
        self.memory["ram"][:] = np.frombuffer(payload, np.uint8)
        self.awake = 0

    def _reset(self) -> None:
        self.memory["ram"][:] = 0
        self.awake = 0

    def _close(self) -> None:
        pass


def open(spec: MachineSpec) -> Machine:
    return Walker(spec)


def recognise(path: Path) -> None:
    return None


SEARCH = """
[search.walk]
win = "x == 8 and y == 2"
prefer = "x - y / 100"
same = ["x", "y"]
actions = ["", "Left", "Right", "Up", "Down"]
"""


def site(folder: Path) -> Path:
    """A folder that makes the backend known to a Python that has it on its path."""
    metadata = folder / "walker-1.dist-info"
    metadata.mkdir(parents=True)
    (metadata / "METADATA").write_text("Metadata-Version: 2.1\nName: walker\nVersion: 1\n")
    (metadata / "entry_points.txt").write_text("[frameperfect.machines]\nwalker = walker\n")
    (folder / "walker.py").write_text(Path(__file__).read_text())
    return folder


def write_game(folder: Path, kind: str = "plain", search: str = SEARCH) -> Path:
    """The folder of a game on it."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "game.toml").write_text(f"""
[game]
name = "Walk"
machine = "walker"
program = "{kind}"
[memory]
x = {{ address = 0 }}
y = {{ address = 1 }}
frames = {{ address = 2 }}
{search}
""")
    return folder
