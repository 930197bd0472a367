"""What the sound card gets: the core's own samples in order, without gaps, whatever its clock says."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from tests.components import need

need("pygame")
need("stable_retro")

from frameperfect.view.window.sound import BUFFER, MOST, Sound  # noqa: E402

# Plays Skyrunner's sound into SDL's disk driver, a sound card that writes to a file; frames come as the card
# takes samples, so that a busy computer can't make a gap. Prints nothing; leaves both streams as files.
TO_DISK = """
import os, sys, time
import numpy as np
import frameperfect as fp
from frameperfect.view.window import display
from frameperfect.view.window.sound import Sound
card, core, begun = sys.argv[1], [], None
with display() as sdl, fp.open("Skyrunner-Nes", start="stage1") as machine:
    sound = Sound(sdl, machine)
    assert not sound.trouble
    made = 0
    while made < machine.sample_rate:
        taken = os.path.getsize(card) // 4
        if begun is not None and made - (taken - begun) > 6 * sound.block:
            time.sleep(0.002)
            continue
        machine.advance("Right B")
        core.append(machine.audio.copy())
        made += len(core[-1])
        sound.frame()
        if begun is None and sdl.mixer.get_busy():
            begun = os.path.getsize(card) // 4
    sound.close()
np.save(sys.argv[2], np.concatenate(core))
"""
WINDOW = 512


def lags(heard: NDArray[np.int16], made: NDArray[np.int16]) -> tuple[list[float], list[int]]:
    """For each stretch of what was heard: how alike it is to what was made, and how far off its place."""
    heard, made = (side[np.flatnonzero(side.any(axis=1))[0] :, 0].astype(float) for side in (heard, made))
    alike, places, lag = [], [], 0
    for at in range(0, min(len(heard), len(made)) - 2 * WINDOW, WINDOW):
        stretch, found = heard[at : at + WINDOW], []
        for shift in range(lag - 20, lag + 21):
            begin = at + shift
            if begin >= 0:
                found.append((float(np.corrcoef(stretch, made[begin : begin + WINDOW])[0, 1]), shift))
        best, lag = max(found)
        alike.append(best)
        places.append(lag)
    return alike, places


def test_the_card_gets_the_cores_samples_without_a_gap(tmp_path: Path) -> None:
    drivers = {
        "SDL_VIDEODRIVER": "dummy", "SDL_AUDIODRIVER": "disk", "SDL_DISKAUDIODELAY": "20",
        "SDL_DISKAUDIOFILE": str(tmp_path / "card.raw"),
    }  # fmt: skip
    command = [sys.executable, "-c", TO_DISK, tmp_path / "card.raw", tmp_path / "core.npy"]
    done = subprocess.run(command, env=os.environ | drivers, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    heard = np.fromfile(tmp_path / "card.raw", np.int16).reshape(-1, 2)
    alike, places = lags(heard, np.load(tmp_path / "core.npy"))
    assert len(alike) > 40
    assert min(alike) > 0.95  # between two samples lies at most half of one
    assert max(map(abs, places)) <= 0.01 * 2 * BUFFER * len(alike)  # and nothing was left out


class Card:
    """A sound card with a clock of its own, in virtual time; it asks for one buffer after the other."""

    def __init__(self, rate: float) -> None:
        self.period = BUFFER / rate
        self.due = 0.0
        self.playing: NDArray[np.int16] | None = None
        self.next: NDArray[np.int16] | None = None
        self.heard: list[NDArray[np.int16]] = []

    def run(self, until: float) -> None:
        while self.due <= until:
            self.due += self.period
            if self.playing is None:
                self.heard.append(np.zeros((BUFFER, 2), np.int16))
                continue
            self.heard.append(self.playing[:BUFFER])
            self.playing = self.playing[BUFFER:]
            if not len(self.playing):
                self.playing, self.next = self.next, None

    # As pygame.mixer.Channel.
    def get_busy(self) -> bool:
        return self.playing is not None

    def get_queue(self) -> Any:
        return self.next

    def play(self, block: NDArray[np.int16]) -> None:
        self.playing = block

    def queue(self, block: NDArray[np.int16]) -> None:
        self.next = block


@pytest.mark.parametrize("off", [-0.003, 0.0, 0.003])
@pytest.mark.parametrize(("rate", "frame_rate"), [(32040.5, 60.0988), (48000.0, 50.007)])
def test_clocks_that_disagree_make_neither_gaps_nor_a_growing_delay(
    rate: float, frame_rate: float, off: float
) -> None:
    seconds = 12
    card = Card(rate * (1 + off))
    mixer = SimpleNamespace(
        init=lambda **_: None,
        Channel=lambda _: card,
        Sound=lambda buffer: np.frombuffer(buffer, np.int16).reshape(-1, 2),
    )
    steps = np.arange(round(rate * (seconds + 1)))
    wave = (8000 * np.sin(2 * np.pi * 440 * steps / rate)).astype(np.int16)
    machine: Any = SimpleNamespace(sample_rate=rate, audio=None)
    pygame: Any = SimpleNamespace(mixer=mixer, error=RuntimeError)
    sound = Sound(pygame, machine)
    jitter = np.random.default_rng(0).uniform(0, 0.004, round(seconds * frame_rate))
    for frame, late in enumerate(jitter):
        card.run((frame + 1) / frame_rate + late)
        part = slice(round(frame * rate / frame_rate), round((frame + 1) * rate / frame_rate))
        machine.audio = np.stack([wave[part]] * 2, axis=1)
        sound.frame()
        assert sound.queued <= MOST * sound.block
    heard = np.concatenate(card.heard)[:, 0].astype(int)
    begun = int(np.flatnonzero(heard)[0])
    assert begun < 0.2 * rate
    loud = np.abs(heard[begun:]).reshape(-1)[: len(heard[begun:]) // 64 * 64].reshape(-1, 64).max(axis=1)
    assert loud.min() > 2000  # a gap would be a silence
    steepest = 8000 * 2 * np.pi * 440 / rate
    assert np.abs(np.diff(heard[begun:])).max() < 1.5 * steepest  # and a seam a jump
    cycles = np.count_nonzero((heard[begun:-1] < 0) & (heard[begun + 1 :] >= 0))
    pitch = cycles / (len(heard) - begun) * rate * (1 + off)
    assert abs(pitch / 440 - 1) < 0.006
