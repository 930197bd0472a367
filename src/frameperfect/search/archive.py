"""What go-explore remembers: the best state of each cell, and the ways there as one tree."""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from frameperfect.expand import PICTURE
from frameperfect.search.generations import Wave
from frameperfect.search.lanes import History


@dataclass
class Cell:
    """The best state that fell into it."""

    wave: Wave
    history: History
    steps: int
    row: NDArray[np.uint8]
    told: bytes
    """What else than the picture tells it from others."""
    picture: bytes
    """Compressed; empty where cells are by features alone."""
    visits: int = 0

    def rank(self) -> tuple[int, float, int]:
        """Greater is better."""
        verdicts = self.wave.verdicts
        return int(verdicts.passed[0]), float(verdicts.score[0]), -self.steps

    def seen(self) -> NDArray[np.uint8]:
        """(H, W): the picture."""
        return np.frombuffer(zlib.decompress(self.picture), np.uint8).reshape(PICTURE)


class Tree:
    """Histories with shared beginnings as numbered nodes: (the node before, the action); 0 is the start."""

    def __init__(self) -> None:
        self.nodes: list[tuple[int, int]] = [(0, 0)]
        self._known: dict[int, int] = {}

    def add(self, history: History) -> int:
        """The node of a history."""
        new = []
        while history is not None and id(history) not in self._known:
            new.append(history)
            history = history[0]
        node = 0 if history is None else self._known[id(history)]
        for one in reversed(new):
            self.nodes.append((node, one[1]))
            node = self._known[id(one)] = len(self.nodes) - 1
        return node

    @staticmethod
    def histories(nodes: NDArray[np.int64]) -> Sequence[History]:
        """The history of each node."""
        found: list[History] = [None]
        for before, action in nodes[1:].tolist():
            found.append((found[before], action))
        return found
