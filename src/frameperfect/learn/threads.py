"""The processors that arithmetic takes: torch's operations, and NumPy's products of matrices (BLAS).

A step of a few environments is too little to share. Where BLAS shares it all the same, its threads wait by
spinning: two trainings beside each other on two processors then take 2.6 times as long as with one each.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import torch
from threadpoolctl import threadpool_limits


def take_one() -> None:
    """From now on torch and BLAS take one thread of this process."""
    torch.set_num_threads(1)
    threadpool_limits(1, user_api="blas")


@contextlib.contextmanager
def taken(count: int) -> Iterator[None]:
    """Torch takes `count` threads of this process and BLAS one; afterwards both as before."""
    before = torch.get_num_threads()
    with threadpool_limits(1, user_api="blas"):
        torch.set_num_threads(count)
        try:
            yield
        finally:
            torch.set_num_threads(before)
