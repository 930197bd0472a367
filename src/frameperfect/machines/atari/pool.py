"""Atari machines in this process, one after the other: what each worker of a pool runs."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from frameperfect.machine import Machine, MachineSpec
from frameperfect.machines.atari.machine import AtariMachine
from frameperfect.pool import MachinePool, PoolSettings


class AtariPool(MachinePool):
    """A loop over Atari machines that takes grey pictures as ALE makes them.

    ALE's luminance is its palette's own, and the larger of two pictures is taken after it, so observations
    equal those of ALE's vector environment and of Gymnasium's `AtariPreprocessing`, bit for bit.
    """

    def __init__(self, spec: MachineSpec, size: int, settings: PoolSettings) -> None:
        self._grey = settings.video is not None and settings.video.grey
        super().__init__(lambda: AtariMachine(spec), size, settings)

    def _picture(self, machine: Machine) -> NDArray[np.uint8]:
        assert isinstance(machine, AtariMachine)
        return machine.grey_screen() if self._grey else machine.screen(copy=False)
