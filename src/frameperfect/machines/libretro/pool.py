"""N libretro machines in one process, stepped by native threads."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import cast

import numpy as np
from numpy.typing import NDArray

from frameperfect import _native
from frameperfect.errors import MachineCrashed, MachineError, StateMismatch
from frameperfect.machine import Machine, MachineSpec, unseal_state
from frameperfect.machines.libretro.machine import LibretroMachine
from frameperfect.machines.libretro.reader import native_reader
from frameperfect.pool import Member, Pool, PoolSettings, describe_crashes, observed_shape


class LibretroPool(Pool):
    """Cores on native threads, each from its own copy of the core's file, with the GIL released.

    `settings.threads` run at once, the caller's among them while it waits in `recv`; with one thread, or one
    machine, the step is made there, by the caller. Each instance's run depends on its own inputs, state and
    seed alone: not on the number of instances or threads.
    """

    def __init__(self, spec: MachineSpec, size: int, settings: PoolSettings) -> None:
        """Open `size` machines.

        Raises:
            MachineError: the core refused the program (with its own log lines).
            Unsupported: the video settings don't fit the screen.
            GameError: a span lies outside its domain.
        """
        first = LibretroMachine(spec)
        self._machines = [first]
        self._spec = spec
        self.size, self.settings = size, settings
        self.controllers, self.domains = first.controllers, first.domains
        self.fingerprint, self.frame_rate = first.fingerprint, first.frame_rate
        self.rows = np.zeros((size, sum(span.length for span in settings.spans)), np.uint8)
        self.inputs = np.zeros((size, settings.frame_skip, len(self.controllers)), np.uint32)
        self.pixels = None
        if settings.video is not None:
            self.pixels = np.zeros((size, *observed_shape(settings.video, first)), np.uint8)
        self._machines += [LibretroMachine(spec, first.opening) for _ in range(size - 1)]
        self._native = self._open_native()
        self._native.begin(range(size), [None] * size, [0] * size)

    def _open_native(self) -> _native.LibretroPool:
        settings, video = self.settings, None
        if settings.video is not None:
            assert self.pixels is not None
            v, (height, width) = settings.video, self.pixels.shape[2:4]
            video = (height, width, v.grey, v.stack, v.max_pool, v.crop)
        return _native.LibretroPool(
            [machine.core for machine in self._machines],
            self._machines[0].opening.buttons,
            frame_skip=settings.frame_skip,
            sticky=settings.sticky,
            video=video,
            **native_reader(self.domains, settings.spans),
            threads=settings.threads or len(os.sched_getaffinity(0)),
            pixels=self.pixels,
            rows=self.rows,
            inputs=self.inputs,
        )

    def send(self, masks: NDArray[np.uint32], active: NDArray[np.bool_] | None = None) -> None:
        """See `Pool.send`."""
        self._native.send(masks, active)
        self._count_frames(active)

    def recv(self) -> None:
        """See `Pool.recv`."""
        if failures := self._native.recv():
            self._raise(failures)

    def step(self, masks: NDArray[np.uint32], active: NDArray[np.bool_] | None = None) -> None:
        """See `Pool.step`."""
        failures = self._native.step(masks, active)
        self._count_frames(active)
        if failures:
            self._raise(failures)

    def _count_frames(self, active: NDArray[np.bool_] | None) -> None:
        skip = self.settings.frame_skip
        if active is None:
            for machine in self._machines:
                machine.frame += skip
        else:
            for index in active.nonzero()[0].tolist():
                self._machines[index].frame += skip

    def _raise(self, failures: Sequence[tuple[int, bool, str]]) -> None:
        crashes = {index: why for index, refused, why in failures if not refused}
        if crashes:
            raise MachineCrashed(describe_crashes(crashes), tuple(crashes))
        index, _, why = failures[0]
        raise StateMismatch(f"machine {index} of the pool: {why}")

    def reset(self, indices: Sequence[int], states: Sequence[bytes | None], seeds: Sequence[int]) -> None:
        """See `Pool.reset`."""
        opened = [None if state is None else unseal_state(self.fingerprint, state) for state in states]
        for index, state in zip(indices, opened, strict=True):
            machine = self._machines[index]
            if state is None:
                try:
                    machine.reset()
                except _native.CoreError as error:
                    raise MachineError(str(error)) from None
            else:
                machine.frame = state[0]
        payloads = [None if state is None else state[1] for state in opened]
        failures = self._native.begin(indices, payloads, [seed & 0xFFFFFFFFFFFFFFFF for seed in seeds])
        if failures:
            self._raise(failures)

    def save(self, index: int) -> bytes:
        """See `Pool.save`."""
        sticky, previous = self._native.member(index)
        pixels = None if self.pixels is None else self.pixels[index]
        state = self._machines[index].save()
        return Member(sticky, np.array(previous, np.uint32), self.inputs[index], pixels, state).seal(self)

    def restore(self, index: int, state: bytes) -> None:
        """See `Pool.restore`."""
        member = Member.unseal(self, state)
        self._machines[index].restore(cast("bytes", member.state))
        if self.pixels is not None:
            assert member.pixels is not None
            self.pixels[index] = member.pixels
        self.inputs[index] = member.inputs
        self._native.set_member(index, member.sticky, member.previous.tolist())

    def machine(self, index: int) -> Machine:
        """One member, sharing its core with the pool: what is changed on it shows at the next step.

        A pool without video begins to draw this member's last frames now, for its `screen`.
        """
        self._native.watch(index)
        return self._machines[index]

    def memory(self, index: int) -> Mapping[str, NDArray[np.uint8]]:
        """See `Pool.memory`: the cores' own memory."""
        return self._machines[index].memory

    def replace(self, index: int) -> None:
        """See `Pool.replace`."""
        machine = LibretroMachine(self._spec, self._machines[index].opening)
        self._native.replace(index, machine.core)
        self._machines[index].close()
        self._machines[index] = machine

    def close(self) -> None:
        """See `Pool.close`."""
        self._native.close()
        for machine in self._machines:
            machine.close()
