"""Cells by the screen: pictures scaled down so far that many count as one, and how far that is.

Followed: A. Ecoffet et al., "First return, then explore" (Nature 590, 2021; arXiv:2004.12919), "Dynamic
cell representations": a cell is a grey picture shrunk to width x height with a few levels of grey. Of sampled
pictures a grid makes n cells with chances p_i; that grid is best which has the greatest

    H / L,  H = -sum p_i log p_i / log n,  L = sqrt(|n - T| / T + 1),  T = 0.125 x the number of samples:

neither too many cells nor too few, and evenly filled. It is looked for by trying, around the best so far and
anywhere. All is done in whole numbers, so that a seed gives the same cells everywhere.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cache

import numpy as np
from numpy.typing import NDArray

Pictures = NDArray[np.uint8]
"""(N, H, W) grey."""

FIRST_CHOICE = 4_000
"""States after which a grid is chosen first; then whenever there are half as many again."""
SAMPLES = 1024
"""Pictures kept to choose a grid by, the latest of those sampled."""
SAMPLED = 8
"""Of so many steps the picture of one is sampled."""
WANTED = 0.125
"""Cells for each sampled picture."""
TRIES = 64
"""Grids that are looked at in one choice."""
FINEST = (42, 42, 128)


@dataclass(frozen=True)
class Grid:
    """How far pictures are scaled down."""

    height: int
    width: int
    depth: int
    """Levels of grey."""

    def __str__(self) -> str:
        return f"{self.width}x{self.height}x{self.depth}"

    def shrink(self, pictures: Pictures) -> Pictures:
        """(N, height, width): the mean of each part in `depth` steps, from 0 for black to depth for white."""
        n, rows, columns = pictures.shape
        # Weights and sums are whole numbers below 2**24, which float32 holds exactly, in any order.
        across = pictures.reshape(n * rows, columns).astype(np.float32) @ _shares(columns, self.width).T
        sums = _shares(rows, self.height) @ across.reshape(n, rows, self.width)
        levels: NDArray[np.int64] = sums.astype(np.int64) * self.depth // (255 * rows * columns)
        return levels.astype(np.uint8)


FIRST = Grid(8, 11, 8)
"""Before there are samples: that of the authors' first paper (arXiv:1901.10995)."""


@cache
def _shares(size: int, parts: int) -> NDArray[np.float32]:
    """(parts, size): how much of each pixel lies in each part, in units that make a part `size` in all."""
    edges = np.arange(parts + 1)[:, None] * size  # in units of 1 / parts of a pixel
    pixels = np.arange(size) * parts
    inside: NDArray[np.int64] = np.minimum(edges[1:], pixels + parts) - np.maximum(edges[:-1], pixels)
    return np.maximum(inside, 0).astype(np.float32)


def evenness(cells: NDArray[np.uint8], samples: int) -> float:
    """H / L of (N, ...) shrunken pictures, of which `WANTED` x `samples` different ones are wanted."""
    flat = np.ascontiguousarray(cells.reshape(len(cells), -1))
    whole = flat.view(np.dtype((np.void, flat.shape[1])))
    counts = np.unique(whole, return_counts=True)[1]
    n, wanted = len(counts), WANTED * samples
    if n == 1:
        return 0.0
    chances = counts / counts.sum()
    entropy = -float((chances * np.log(chances)).sum()) / math.log(n)
    return entropy / math.sqrt(abs(n - wanted) / wanted + 1)


class Screen:
    """The grid of a search, and the samples that it is chosen by."""

    def __init__(self, dice: np.random.Generator) -> None:
        self.grid = FIRST
        self.due = FIRST_CHOICE
        """States after which another grid is to be chosen."""
        self.dice = dice
        self.samples: list[Pictures] = []

    def sample(self, pictures: Pictures) -> None:
        """Keep some of these."""
        for place in np.flatnonzero(self.dice.random(len(pictures)) < 1 / SAMPLED):
            self.samples.append(pictures[place].copy())
        del self.samples[:-SAMPLES]

    def choose(self, states: int) -> bool:
        """Look for a better grid by the samples, after so many states; whether there is another one now."""
        before = self.grid
        self.due = states + states // 2
        if len(self.samples) < 2:
            return False
        pictures = np.stack(self.samples)
        best = self._value(before, pictures)
        for tried in range(TRIES):
            grid = self._near(self.grid) if tried % 2 else self._anywhere()
            value = self._value(grid, pictures)
            if value > best:
                best, self.grid = value, grid
        return self.grid != before

    @staticmethod
    def _value(grid: Grid, pictures: Pictures) -> float:
        return evenness(grid.shrink(pictures), len(pictures))

    def _anywhere(self) -> Grid:
        """Any grid, coarse ones as likely as fine ones."""
        return Grid(*(int(most ** self.dice.random()) for most in FINEST))

    def _near(self, grid: Grid) -> Grid:
        """One a third finer or coarser in each direction, about."""
        now = (grid.height, grid.width, grid.depth)
        factors = np.exp(0.3 * self.dice.standard_normal(3))
        moved = zip(now, factors.tolist(), FINEST, strict=True)
        return Grid(*(min(max(round(one * factor), 1), most) for one, factor, most in moved))
