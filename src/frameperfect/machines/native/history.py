"""A machine's past as its inputs: what a state of a native game holds.

The memory of a process is of no use to another one: it is full of addresses. The inputs since power-on are of
use, and lead there exactly, so they are the state; slots in the game's own process make going back quick
where it has been before.
"""

from __future__ import annotations

import hashlib
import struct

from frameperfect._native import InputHistory
from frameperfect.errors import StateMismatch

_HEAD = struct.Struct("<16s16s")
"""Of a payload: the hash of all that follows, and of the machine's memory at this moment."""
_RUN = struct.Struct("<I")


class History(InputHistory):  # type: ignore[misc]
    """Inputs, `input_size` bytes each, and how long each was held, one after the other; equal pasts are equal
    bytes. `add`, `pack` and `unpack` are native.
    """

    def __init__(self, input_size: int) -> None:
        super().__init__(input_size)
        self._size = _RUN.size + input_size

    def runs(self, packed: bytes) -> list[tuple[bytes, int]]:
        """Inputs and frames of a past, in order."""
        places = range(0, len(packed), self._size)
        return [(packed[at + 4 : at + self._size], _RUN.unpack_from(packed, at)[0]) for at in places]

    def rest(self, packed: bytes, after: bytes) -> list[tuple[bytes, int]] | None:
        """What is left of the past `packed` after `after`; None where it does not begin with that."""
        cut = max(0, len(after) - self._size)
        if packed[:cut] != after[:cut]:
            return None
        left, last = self.runs(packed[cut:]), self.runs(after[cut:])
        if last:
            (inputs, frames) = last[0]
            if not left or left[0][0] != inputs or left[0][1] < frames:
                return None
            left[0] = inputs, left[0][1] - frames
        return [run for run in left if run[1]]

    def check(self, packed: bytes) -> bool:
        """Whether these bytes have the shape of a past."""
        return len(packed) % self._size == 0


def seal(past: bytes, memory: bytes) -> bytes:
    """A state's payload: the past, and a hash of the memory that it leads to."""
    body = memory + past
    return hashlib.blake2b(body, digest_size=16).digest() + body


def unseal(payload: memoryview, history: History) -> tuple[bytes, bytes]:
    """The past and the memory's hash; raises StateMismatch where they are damaged."""
    if len(payload) < _HEAD.size:
        raise StateMismatch("the state is cut short; save it anew")
    check, memory = _HEAD.unpack_from(payload)
    if hashlib.blake2b(payload[16:], digest_size=16).digest() != check:
        raise StateMismatch("the state is damaged (its checksum differs); save it anew")
    past = bytes(payload[_HEAD.size :])
    if not history.check(past):
        raise StateMismatch("the state is damaged: its inputs are no whole number; save it anew")
    return past, memory


def digest(view: memoryview) -> bytes:
    """The hash of memory that payloads hold."""
    return hashlib.blake2b(view, digest_size=16).digest()
