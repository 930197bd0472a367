"""check_machine finds what is wrong, and nothing else."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from frameperfect.machine import Capability, MachineSpec, open_machine
from frameperfect.testing import NonConformingError, check_machine
from tests.components import need

need("ale_py")
from frameperfect.machines.atari import AtariMachine  # noqa: E402

PONG = MachineSpec("atari", name="pong")


def test_the_atari_machine_conforms():
    report = check_machine(lambda: open_machine(PONG))
    assert not report.failures
    assert {result.outcome for result in report.results} == {"passed"}
    assert "passed" in str(report) and "pong" in str(report)


def test_the_libretro_machine_conforms():
    retro = need("stable_retro")
    rom = Path(retro.__file__).parent / "data/stable/Airstriker-Genesis-v0/rom.md"
    spec = MachineSpec("libretro", program=rom)
    report = check_machine(lambda: open_machine(spec), frames=120)
    assert not report.failures


class ForgetsTheScreen(AtariMachine):
    def _restore(self, payload):
        super()._restore(payload)
        self._restored = False


class ForgetsTheScore(AtariMachine):
    def _restore(self, payload):
        score = self._score
        super()._restore(payload)
        self._refresh(score + 1)


class ResetsTheMemoryAlone(AtariMachine):
    def _reset(self):
        state = self.export_state()
        super()._reset()
        ram = self._ram.copy()
        self.import_state(state)
        self._ram[:] = ram


class DropsAFrame(AtariMachine):
    def _advance(self, masks, analog, frames):
        super()._advance(masks, analog, frames - 1 if frames == 5 else frames)
        self.frame += frames == 5


shared_noise = np.random.default_rng(0)


class DrawsFromAGlobalGenerator(AtariMachine):
    def _advance(self, masks, analog, frames):
        super()._advance([int(shared_noise.integers(32))], analog, frames)


class LeaksItsScreen(AtariMachine):
    def screen(self, copy=True):
        return super().screen(copy=False)


class SavesThoughItSaysItCannot(AtariMachine):
    def __init__(self, spec):
        super().__init__(spec)
        self.capabilities &= ~Capability.SAVE
        self._power_on = b""

    def require(self, capability):
        pass


class LosesWrites(AtariMachine):
    def begin_frames(self):
        pass


class TakesAnything(AtariMachine):
    def restore(self, state):
        if len(state) > 10_000:
            super().restore(state)


class ClosesOnce(AtariMachine):
    def close(self):
        self._close()


@pytest.mark.parametrize(
    ("broken", "rule"),
    [
        (ForgetsTheScreen, "a restored state has the same memory screen and future"),
        (ForgetsTheScore, "a restored state has the same memory screen and future"),
        (ResetsTheMemoryAlone, "reset is power on"),
        (DropsAFrame, "frames are frames"),
        (DrawsFromAGlobalGenerator, "instances in one process are isolated"),
        (LeaksItsScreen, "a picture is rgb"),
        (SavesThoughItSaysItCannot, "what is not promised raises unsupported"),
        (LosesWrites, "writes reach the machine"),
        (TakesAnything, "foreign and damaged states are refused"),
        (ClosesOnce, "closing twice is harmless"),
    ],
)
def test_a_broken_machine_fails_the_rule_it_breaks(broken: Callable[[MachineSpec], AtariMachine], rule: str):
    with pytest.raises(NonConformingError) as found:
        check_machine(lambda: broken(PONG), frames=60, only=[rule])
    failed = {failure.name: failure.text for failure in found.value.report.failures}
    assert rule in failed
    assert len(failed[rule]) > 20


def test_a_report_without_errors_can_be_asked_for():
    rules = ["writes reach the machine", "closing twice is harmless", "a crash is an exception"]
    report = check_machine(lambda: LosesWrites(PONG), frames=30, only=rules, processes=False, error=False)
    assert {result.name: result.outcome for result in report.results} == dict(
        zip(rules, ("failed", "passed", "skipped"), strict=True)
    )
