"""A game in another process that plays a frame when it is told to: its inputs, its states, its end.

A state is the inputs since power-on (history.py); slots inside the game make going back to one that this
machine has seen as quick as copying the pages it changed.
"""

from __future__ import annotations

import weakref
from abc import abstractmethod
from collections import OrderedDict
from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from frameperfect._native import Lockstep
from frameperfect.errors import MachineError, StateMismatch, Unsupported
from frameperfect.machine import Analog, Machine
from frameperfect.machines.native.blocks import domains_of, find_blocks
from frameperfect.machines.native.history import History, seal, unseal
from frameperfect.machines.native.hook import HookedGame, Measure
from frameperfect.memory import Span

SLOTS = 72
"""States that a machine keeps in the game's process; the one unused longest makes room. More than two
for each of go-explore's 32 lanes: what a lane has reached is still there when its turn comes again."""
_TIDY = 4096
"""Steps after which what the game has said is cut."""
POWER_ON = 0
"""The slot that holds the machine's first moment."""


class LockstepMachine(Machine):
    """What machines of hooked games share. `_take` begins it, once the game runs; a subclass then brings the
    game to its first moment and calls `_keep_power_on`.
    """

    views: NDArray[np.uint8]
    """Memory shared with the game, written after every step."""
    domain_starts: dict[str, int]
    """Where each domain lies in the views."""

    def _take(self, game: HookedGame, input_size: int, end: Callable[[], None] | None = None) -> None:
        self._game = game
        self._finalizer = weakref.finalize(self, end or game.close)
        self.views = views = game.views
        views.flags.writeable = False
        starts = self.domain_starts
        self.memory = {name: views[at : at + self.domains[name].size] for name, at in starts.items()}
        self._history = History(input_size)
        me = weakref.ref(self)  # else the two would keep each other

        def encode(masks: tuple[int, ...]) -> tuple[bytes, bytes]:
            machine = me()
            assert machine is not None
            inputs = machine._encode(masks, None)
            return inputs, machine._to_wire(inputs)

        self._steps = Lockstep(game.link, self._history, encode)
        self._begun = 0  # frames of the step under way
        self._until_tidy = _TIDY
        self._slots: OrderedDict[bytes, int] = OrderedDict()  # pasts that slots hold, the latest used last

    def _keep_power_on(self) -> None:
        self._show_blocks()
        self._game.save(POWER_ON)

    def _show_blocks(self) -> None:
        """Make domains of the parts of the game's memory that the spec names."""
        if not self.spec.blocks:
            return
        self._game.watch(find_blocks(self._game, self.spec.blocks))
        domains, starts = domains_of(self.spec.blocks, self._game.pointer_size)
        self.domains, self.domain_starts = {**self.domains, **domains}, self.domain_starts | starts
        shown = {name: self.views[at : at + domains[name].size] for name, at in starts.items()}
        self.memory = {**self.memory, **shown}

    @abstractmethod
    def _encode(self, masks: Sequence[int], analog: Analog) -> bytes:
        """All ports' input, as histories keep it: always as many bytes."""

    @abstractmethod
    def _to_wire(self, inputs: bytes) -> bytes:
        """What the hook takes, from what `_encode` gave."""

    @abstractmethod
    def _digest(self) -> bytes:
        """A hash of the memory by which a replayed state is told from another one, 16 bytes."""

    @property
    def tracking(self) -> str:
        """How states find the pages that were written: "write-protect" (the kernel tells) or "comparing"."""
        return self._game.tracking

    @property
    def beside(self) -> bool:
        """Whether the game shares its caller's processor; see `HookedGame.beside`."""
        return self._game.beside

    @beside.setter
    def beside(self, wanted: bool) -> None:
        self._game.beside = wanted

    @property
    def pid(self) -> int:
        """The game's process id."""
        return self._game.pid

    def measure(self) -> Measure:
        """What states cost; see `Measure`."""
        return self._game.measure()

    def place_of(self, span: Span) -> NDArray[np.int64]:
        """The indices in `views` of a span's bytes; raises Unsupported for one behind pointers."""
        if span.hops:
            raise Unsupported("native: its memory has no pointers; the records hold values alone")
        start = self.domain_starts[span.domain] + span.offset
        return np.arange(start, start + span.length)

    # -- frames ------------------------------------------------------------------------------------

    def _advance(self, masks: Sequence[int], analog: Analog, frames: int) -> None:
        if frames > 0:
            self.begin(masks, analog, frames)
            self.finish()

    def begin(self, masks: Sequence[int], analog: Analog, frames: int) -> None:
        """Start to play `frames`; `finish` waits until they are played, and nothing else may come between."""
        self._begun = frames
        game = self._game
        try:
            game.require_alive()
            if analog is None:
                self._steps.begin(masks, frames)
            else:
                inputs = self._encode(masks, analog)
                self._steps.start(inputs, self._to_wire(inputs), frames)
        except EOFError:
            game.mourn()

    def finish(self) -> None:
        """Wait for what `begin` started."""
        try:
            refusal = self._steps.finish()
        except EOFError:
            self._game.mourn()
        self._played(refusal, self._begun)

    def hold(self, masks: NDArray[np.uint32], frames: int) -> None:
        """`begin` and `finish`, for (ports,) masks."""
        game = self._game
        if game.crash is not None:
            raise game.crash
        try:
            refusal = self._steps.hold(masks, frames)
        except EOFError:
            game.mourn()
        self._played(refusal, frames)

    def _played(self, refusal: bytes | None, frames: int) -> None:
        if refusal is not None:
            raise MachineError(refusal.decode(errors="replace"))
        self.frame += frames
        self._until_tidy -= 1
        if self._until_tidy <= 0:
            self._until_tidy = _TIDY
            self._game.tidy()

    def _reset(self) -> None:
        self._game.restore(POWER_ON)
        self._history.unpack(b"")

    def _close(self) -> None:
        self._finalizer()

    # -- states ------------------------------------------------------------------------------------

    def _save(self) -> bytes:
        past = self._history.pack()
        self._keep(past)
        return seal(past, self._digest())

    def _restore(self, payload: memoryview) -> None:
        past, memory = unseal(payload, self._history)
        if self._recall(past):
            return
        here = self._history.pack()
        self._keep(here)
        self._replay(past)
        if self._digest() != memory:
            self._recall(here)
            raise StateMismatch("the state's inputs lead to other memory here; save it anew")
        self._keep(past)

    def _recall(self, past: bytes) -> bool:
        """Go back to a past that a slot holds; False where none does."""
        if past and past not in self._slots:
            return False
        if past:
            self._slots.move_to_end(past)
        self._game.restore(self._slots[past] if past else POWER_ON)
        self._history.unpack(past)
        return True

    def _replay(self, past: bytes) -> None:
        """Play a past anew, from the latest moment of it that a slot holds."""
        nearest = b""
        for known in self._slots:
            if len(known) > len(nearest) and self._history.rest(past, known) is not None:
                nearest = known
        self._recall(nearest)
        for inputs, frames in self._history.rest(past, nearest) or []:
            self._game.step(self._to_wire(inputs), frames)
        self._history.unpack(past)

    def _keep(self, past: bytes) -> None:
        """Put this moment into a slot."""
        self._game.require_alive()
        if not past:
            return  # power-on has its own
        if past in self._slots:
            self._slots.move_to_end(past)
            return
        slot = len(self._slots) + 1
        if slot > SLOTS:
            _, slot = self._slots.popitem(last=False)
        self._game.save(slot)
        self._slots[past] = slot
