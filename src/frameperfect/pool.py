"""N machines of one game stepped together, their observations written into batch arrays.

A backend that can do this natively subclasses `Pool` (libretro: threads in one process). Every other one
gets it from `MachinePool` (a plain loop here) or, in parallel and safe from crashes, `WorkerPool`
(processes on the shared-memory channel, each with a pool of its own).
"""

from __future__ import annotations

import hashlib
import struct
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import groupby

import numpy as np
from numpy.typing import NDArray

from frameperfect._native import Preprocessor
from frameperfect.errors import MachineCrashed, StateMismatch, Unsupported
from frameperfect.machine import Controller, Fingerprint, Machine
from frameperfect.memory import Domain, Span, read_span


@dataclass(frozen=True, slots=True)
class Video:
    """How frames become observations, in this order: crop, max over the last two frames of a step, grey,
    area resize, stack.

    A None height or width keeps the (cropped) screen's own. `crop` is (top, left, height, width).
    """

    height: int | None = 84
    width: int | None = 84
    grey: bool = True
    stack: int = 4
    max_pool: bool = True
    crop: tuple[int, int, int, int] | None = None


@dataclass(frozen=True, slots=True)
class PoolSettings:
    """What every machine of a pool does at each step.

    `sticky` is the chance, drawn anew for every frame from the machine's own generator, that the frame
    repeats the previous frame's inputs instead of the new ones (Machado et al. 2018, as ALE does it).
    `threads` 0 means one a core.
    """

    frame_skip: int = 1
    sticky: float = 0.0
    video: Video | None = None
    spans: tuple[Span, ...] = ()
    threads: int = 0


class Pool(ABC):
    """N machines stepped together. One owner; between `send` and `recv` nothing else may be called.

    The arrays are the pool's own and change at the next `recv`, `reset` or `restore`: copy what you keep.
    """

    size: int
    controllers: tuple[Controller, ...]
    domains: Mapping[str, Domain]
    fingerprint: Fingerprint
    frame_rate: float
    settings: PoolSettings
    pixels: NDArray[np.uint8] | None
    """(N, stack, H, W), or (N, stack, H, W, 3) in colour; oldest frame first. None without video."""
    rows: NDArray[np.uint8]
    """(N, K): the spans of the settings side by side."""
    inputs: NDArray[np.uint32]
    """(N, frame_skip, ports): the masks each frame of the last step really got (sticky ones resolved)."""

    @abstractmethod
    def send(self, masks: NDArray[np.uint32], active: NDArray[np.bool_] | None = None) -> None:
        """Start a step: (N, ports) masks, held for `frame_skip` frames; machines not `active` stand still."""

    @abstractmethod
    def recv(self) -> None:
        """Wait until the step is done; the arrays then hold its results.

        Raises:
            MachineCrashed: with the indices of the machines that died; the others have stepped.
        """

    def step(self, masks: NDArray[np.uint32], active: NDArray[np.bool_] | None = None) -> None:
        """`send` and `recv`."""
        self.send(masks, active)
        self.recv()

    @abstractmethod
    def reset(self, indices: Sequence[int], states: Sequence[bytes | None], seeds: Sequence[int]) -> None:
        """Start episodes: restore each machine's state (None: power-on), forget the previous inputs, seed
        its sticky generator, fill its frame stack with its screen, and gather its row.
        """

    @abstractmethod
    def save(self, index: int) -> bytes:
        """One member as a whole: machine, frame stack, previous inputs and sticky generator."""

    @abstractmethod
    def restore(self, index: int, state: bytes) -> None:
        """Go back to what `save` gave; its arrays are as they were then."""

    @abstractmethod
    def machine(self, index: int) -> Machine:
        """One member as a machine for scripts; `Unsupported` where the pool has none in this process."""

    def memory(self, index: int) -> Mapping[str, NDArray[np.uint8]] | None:
        """One member's memory by domain name, live until its next `reset`, `restore` or `replace`.

        None where the pool has no such views; then the settings' spans are the way to its memory.
        """
        return None

    @abstractmethod
    def replace(self, index: int) -> None:
        """Put a machine just opened in the place of one that crashed; `reset` it before the next step."""

    @abstractmethod
    def close(self) -> None:
        """Free all machines; closing twice is harmless."""


# -- what pools share ------------------------------------------------------------------------------------

_SETTLED = 60
"""Frames after which a console has set its screen's size."""


def observed_shape(video: Video, machine: Machine) -> tuple[int, ...]:
    """(stack, H, W), or (stack, H, W, 3) in colour, of one machine's observations.

    Where that depends on the screen's own size, `machine` is run for a second and switched off and on again.

    Raises:
        Unsupported: the crop does not lie on the screen.
    """
    height, width = video.height, video.width
    if video.crop is not None or height is None or width is None:
        machine.advance(None, _SETTLED)
        own_height, own_width, _ = machine.screen().shape
        machine.reset()
        if video.crop is not None:
            top, left, rows, columns = video.crop
            if (
                min(top, left) < 0
                or min(rows, columns) < 1
                or top + rows > own_height
                or left + columns > own_width
            ):
                raise Unsupported(
                    f"crop {video.crop} (top, left, height, width) does not lie on the screen, "
                    f"which is {own_height} high and {own_width} wide"
                )
            own_height, own_width = rows, columns
        height, width = height or own_height, width or own_width
    return (video.stack, height, width) if video.grey else (video.stack, height, width, 3)


# A member's state: magic, digest of the fingerprint and the settings, the sticky generator, the length of the
# machine's state; then the previous masks, the inputs of the last step, the frame stack, the machine's state.
_MEMBER = struct.Struct("<4s16sQQ")
_MEMBER_MAGIC = b"FPM1"


@dataclass
class Member:
    """One member of a pool as a whole, as its state holds it."""

    sticky: int
    """State of the sticky generator."""
    previous: NDArray[np.uint32]
    """(ports,)"""
    inputs: NDArray[np.uint32]
    """(frame_skip, ports)"""
    pixels: NDArray[np.uint8] | None
    state: bytes | memoryview
    """The machine's."""

    def seal(self, pool: Pool) -> bytes:
        """The bytes that `Pool.save` returns."""
        stack = b"" if self.pixels is None else self.pixels.tobytes()
        head = _MEMBER.pack(_MEMBER_MAGIC, _member_digest(pool), self.sticky, len(self.state))
        return b"".join((head, self.previous.tobytes(), self.inputs.tobytes(), stack, self.state))

    @classmethod
    def unseal(cls, pool: Pool, sealed: bytes) -> Member:
        """Read what `seal` made.

        Raises:
            StateMismatch: the bytes are damaged, or belong to another game or to a pool with other settings.
        """
        if len(sealed) < _MEMBER.size or sealed[:4] != _MEMBER_MAGIC:
            raise StateMismatch("these bytes are not the state of a pool's member; save one with pool.save()")
        _, digest, sticky, length = _MEMBER.unpack_from(sealed)
        if digest != _member_digest(pool):
            raise StateMismatch("the state belongs to another game, core, frame skip or video setting")
        ports, skip = len(pool.controllers), pool.settings.frame_skip
        picture = () if pool.pixels is None else pool.pixels.shape[1:]
        stack = int(np.prod(picture)) if picture else 0
        words = ports * (1 + skip)
        if len(sealed) != _MEMBER.size + 4 * words + stack + length:
            raise StateMismatch(f"the state is damaged: {len(sealed)} bytes; save it anew")
        inputs = np.frombuffer(sealed, np.uint32, words, _MEMBER.size).reshape(1 + skip, ports)
        at = _MEMBER.size + 4 * words
        pixels = np.frombuffer(sealed, np.uint8, stack, at).reshape(picture) if picture else None
        return cls(sticky, inputs[0], inputs[1:], pixels, memoryview(sealed)[at + stack :])


def _member_digest(pool: Pool) -> bytes:
    facts = (len(pool.controllers), pool.settings.frame_skip, pool.settings.video)
    return hashlib.blake2b(pool.fingerprint.digest + repr(facts).encode(), digest_size=16).digest()


class StickyGenerator:
    """Decides which frames repeat their inputs: SplitMix64 (Steele, Lea and Flood, OOPSLA 2014).

    Its whole state is one number, at first the seed (modulo 2**64). A frame sticks if its draw is below the
    chance; nothing is drawn where the chance is 0.
    """

    def __init__(self, seed: int) -> None:
        self.state = seed & 0xFFFFFFFFFFFFFFFF

    def draw(self) -> float:
        """Uniform in [0, 1): the upper 53 bits."""
        self.state = z = self.state + 0x9E3779B97F4A7C15 & 0xFFFFFFFFFFFFFFFF
        z = (z ^ z >> 30) * 0xBF58476D1CE4E5B9 & 0xFFFFFFFFFFFFFFFF
        z = (z ^ z >> 27) * 0x94D049BB133111EB & 0xFFFFFFFFFFFFFFFF
        return ((z ^ z >> 31) >> 11) * 2.0**-53


# -- any machines, one after the other -------------------------------------------------------------------


@dataclass
class _Seat:
    """What a `MachinePool` knows about one member."""

    machine: Machine
    preprocessor: Preprocessor | None
    previous: tuple[int, ...]
    sticky: StickyGenerator = field(default_factory=lambda: StickyGenerator(0))


class MachinePool(Pool):
    """A loop over machines of any kind, on the caller's thread; the steps are made in `recv`.

    It does frame for frame what the native pools do.
    """

    def __init__(self, open_machine: Callable[[], Machine], size: int, settings: PoolSettings) -> None:
        """Open `size` machines with `open_machine`, which must give equal ones each time.

        Raises:
            Unsupported: the video settings don't fit the screen.
        """
        self._open = open_machine
        first = open_machine()
        self.size, self.settings = size, settings
        self.controllers, self.domains = first.controllers, first.domains
        self.fingerprint, self.frame_rate = first.fingerprint, first.frame_rate
        self.rows = np.zeros((size, sum(span.length for span in settings.spans)), np.uint8)
        self.inputs = np.zeros((size, settings.frame_skip, len(self.controllers)), np.uint32)
        self.pixels = None
        self._two = False
        if settings.video is not None:
            self.pixels = np.zeros((size, *observed_shape(settings.video, first)), np.uint8)
            self._two = settings.video.max_pool and settings.frame_skip > 1
        self._seats = [self._seat(first), *(self._seat(open_machine()) for _ in range(size - 1))]
        self._masks: NDArray[np.uint32] | None = None
        self._active: NDArray[np.bool_] | None = None
        for index in range(size):
            self._begin(index, 0)

    def _seat(self, machine: Machine) -> _Seat:
        preprocessor = None
        if self.settings.video is not None:
            assert self.pixels is not None
            video = self.settings.video
            height, width = self.pixels.shape[2:4]
            preprocessor = Preprocessor(height, width, grey=video.grey, stack=video.stack, crop=video.crop)
        return _Seat(machine, preprocessor, (0,) * len(self.controllers))

    def send(self, masks: NDArray[np.uint32], active: NDArray[np.bool_] | None = None) -> None:
        """See `Pool.send`."""
        self._check(masks)
        self._masks, self._active = masks.copy(), None if active is None else active.copy()

    def _check(self, masks: NDArray[np.uint32]) -> None:
        if self._masks is not None:
            raise RuntimeError("a step is under way: call recv() before the next send()")
        if masks.shape != (self.size, len(self.controllers)):
            raise ValueError(f"masks are (machines, ports): {(self.size, len(self.controllers))}")

    def recv(self) -> None:
        """See `Pool.recv`."""
        if self._masks is None:
            raise RuntimeError("no step is under way: call send() before recv()")
        crashes: dict[int, str] = {}
        for index, masks in enumerate(self._masks.tolist()):
            if self._active is None or self._active[index]:
                try:
                    self._step(index, tuple(masks))
                except MachineCrashed as crash:
                    crashes[index] = str(crash)
        self._masks = None
        if crashes:
            raise MachineCrashed(describe_crashes(crashes), tuple(crashes))

    def _step(self, index: int, masks: tuple[int, ...]) -> None:
        seat = self._seats[index]
        frames = list(self._resolve(seat, masks))
        self.inputs[index] = frames
        if self._two:
            assert seat.preprocessor is not None
            _hold(seat.machine, frames[:-1])
            seat.preprocessor.keep(self._picture(seat.machine))
            _hold(seat.machine, frames[-1:])
        else:
            _hold(seat.machine, frames)
        if seat.preprocessor is not None:
            assert self.pixels is not None
            seat.preprocessor.push(self._picture(seat.machine), self.pixels[index])
        self._gather(index)

    def _picture(self, machine: Machine) -> NDArray[np.uint8]:
        """The machine's picture now, (H, W, 3) or grey (H, W); valid until the machine's next frame."""
        return machine.screen(copy=False)

    def _resolve(self, seat: _Seat, masks: tuple[int, ...]) -> Iterator[tuple[int, ...]]:
        """What each frame gets: the new masks, or where it sticks those of the frame before."""
        chance = self.settings.sticky
        for _ in range(self.settings.frame_skip):
            if not chance or seat.sticky.draw() >= chance:
                seat.previous = masks
            yield seat.previous

    def _gather(self, index: int) -> None:
        machine = self._seats[index].machine
        gathered = b"".join(read_span(machine, span) for span in self.settings.spans)
        self.rows[index] = np.frombuffer(gathered, np.uint8)

    def reset(self, indices: Sequence[int], states: Sequence[bytes | None], seeds: Sequence[int]) -> None:
        """See `Pool.reset`."""
        crashes: dict[int, str] = {}
        for index, state, seed in zip(indices, states, seeds, strict=True):
            machine = self._seats[index].machine
            try:
                if state is None:
                    machine.reset()
                else:
                    machine.restore(state)
                self._begin(index, seed)
            except MachineCrashed as crash:
                crashes[index] = str(crash)
        if crashes:
            raise MachineCrashed(describe_crashes(crashes), tuple(crashes))

    def _begin(self, index: int, seed: int) -> None:
        seat = self._seats[index]
        seat.previous = (0,) * len(self.controllers)
        seat.sticky = StickyGenerator(seed)
        self.inputs[index] = 0
        if seat.preprocessor is not None:
            assert self.pixels is not None
            seat.preprocessor.fill(self._picture(seat.machine), self.pixels[index])
        self._gather(index)

    def save(self, index: int) -> bytes:
        """See `Pool.save`."""
        seat = self._seats[index]
        pixels = None if self.pixels is None else self.pixels[index]
        previous = np.array(seat.previous, np.uint32)
        return Member(seat.sticky.state, previous, self.inputs[index], pixels, seat.machine.save()).seal(self)

    def restore(self, index: int, state: bytes) -> None:
        """See `Pool.restore`."""
        seat, member = self._seats[index], Member.unseal(self, state)
        seat.machine.restore(bytes(member.state))
        seat.sticky.state = member.sticky
        seat.previous = tuple(member.previous.tolist())
        self.inputs[index] = member.inputs
        if self.pixels is not None:
            assert member.pixels is not None
            self.pixels[index] = member.pixels
        self._gather(index)

    def machine(self, index: int) -> Machine:
        """See `Pool.machine`."""
        return self._seats[index].machine

    def replace(self, index: int) -> None:
        """See `Pool.replace`."""
        self._seats[index].machine.close()
        self._seats[index] = self._seat(self._open())

    def close(self) -> None:
        """See `Pool.close`."""
        for seat in self._seats:
            seat.machine.close()


def _hold(machine: Machine, frames: Sequence[tuple[int, ...]]) -> None:
    """Advance through `frames`, those with equal inputs together."""
    for inputs, same in groupby(frames):
        machine.advance(inputs[0] if len(inputs) == 1 else inputs, len(list(same)))


def describe_crashes(crashes: Mapping[int, str]) -> str:
    """One line about the machines that died: index to reason."""
    if len(crashes) == 1:
        ((index, why),) = crashes.items()
        return f"machine {index} of the pool crashed: {why}"
    first = next(iter(crashes.values()))
    return f"machines {', '.join(map(str, crashes))} of the pool crashed; the first: {first}"
