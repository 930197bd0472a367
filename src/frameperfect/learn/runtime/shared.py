"""Named arrays in memory that processes share, and weights that are read while others are written."""

from __future__ import annotations

import fcntl

import numpy as np

from frameperfect._native import SharedMemory
from frameperfect.learn.runtime.actor import Layout
from frameperfect.learn.spaces import Arrays
from frameperfect.workers.protocol import ArrayLayout, arrays_in, block_size, on_pages


def place(layout: Layout, start: int = 0) -> ArrayLayout:
    """Where each array lies in a block, on pages of its own."""
    found: ArrayLayout = {}
    offset = start
    for name, (shape, dtype) in layout.items():
        found[name] = offset, shape, dtype
        offset += on_pages(int(np.prod(shape)) * np.dtype(dtype).itemsize)
    return found


def open_arrays(block: SharedMemory, layout: Layout) -> Arrays:
    """The arrays of `layout` over the block, which grows to hold them."""
    placed = place(layout)
    block.reserve(block_size(placed))
    return arrays_in(block.array(), placed)


def open_sides(block: SharedMemory, layout: Layout) -> tuple[Arrays, Arrays]:
    """Two of each array, for chunks that take turns: one is read while the other is written."""
    both = open_arrays(block, {f"{side}.{name}": each for side in "01" for name, each in layout.items()})
    return {name: both[f"0.{name}"] for name in layout}, {name: both[f"1.{name}"] for name in layout}


def empty_arrays(layout: Layout) -> Arrays:
    """The arrays of `layout` in this process alone."""
    return {name: np.zeros(shape, dtype) for name, (shape, dtype) in layout.items()}


class Weights:
    """The learner's weights, for all of its actors: one writes, many read.

    A record lock on the block (fcntl(2)) keeps a reader from seeing half of them; the kernel lets it go with
    the process that holds it, however that ends.
    """

    def __init__(self, block: SharedMemory, layout: Layout) -> None:
        self._block = block
        self._arrays = open_arrays(block, {"": ((1,), "<i8"), **layout})
        self._version = self._arrays.pop("")

    def write(self, weights: Arrays, version: int) -> None:
        """Show these from now on."""
        fcntl.lockf(self._block.fd, fcntl.LOCK_EX)
        try:
            for name, each in weights.items():
                self._arrays[name][...] = each
            self._version[0] = version
        finally:
            fcntl.lockf(self._block.fd, fcntl.LOCK_UN)

    def read(self, than: int) -> tuple[Arrays, int] | None:
        """A copy of the newest and their version; None where that is `than`."""
        fcntl.lockf(self._block.fd, fcntl.LOCK_SH)
        try:
            version = int(self._version[0])
            if version == than:
                return None
            return {name: each.copy() for name, each in self._arrays.items()}, version
        finally:
            fcntl.lockf(self._block.fd, fcntl.LOCK_UN)
