"""Keeps the files beside game.toml in step with the ROM: its hash, the starts' movies, the finished runs.

A start's movie chooses its stage from power-on. A run in movies/ keeps its inputs, and its checkpoints are
made anew: pictures, sound and other stages may change under it, how the runner moves may not.

python -m frameperfect.games.skyrunner.source.record
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator
from pathlib import Path

import frameperfect
from frameperfect.machine import Machine
from frameperfect.movie import Recorder, load_movie, save_movie

FOLDER = Path(__file__).parent.parent
STAGES = 3
PLAYING = 3


def record() -> None:
    """Write the hash into game.toml, then every start and every run."""
    rom = hashlib.sha1((FOLDER / "skyrunner.nes").read_bytes()).hexdigest()
    toml = FOLDER / "game.toml"
    toml.write_text(re.sub(r'sha1 = "[0-9a-f]{40}"', f'sha1 = "{rom}"', toml.read_text()))
    for stage in range(1, STAGES + 1):
        with frameperfect.open(FOLDER, start=None) as machine:
            machine.reset()
            recorder = Recorder(machine, game="Skyrunner-Nes", author="frameperfect")
            for buttons, frames in _menu(machine, stage):
                recorder.advance(buttons, frames)
            movie = recorder.movie()
        movie.checkpoints, movie.values, movie.fingerprint, movie.core = [], {}, "", ""
        movie.comments = [f"Title, stage {stage} chosen, its card; at the end the clock stands at 0."]
        save_movie(movie, FOLDER / f"stage{stage}.fpm")
    for path in sorted((FOLDER / "movies").glob("*.fpm")):
        old = load_movie(path)
        assert isinstance(old.start, str)
        with frameperfect.open(FOLDER, start=old.start) as machine:
            recorder = Recorder(machine, start=old.start, game=old.game, author=old.author)
            for row in old.inputs:
                recorder.advance(row)
            print(f"{path.name}: mode {machine.read('mode')}, {machine.read('clock')} frames on the clock")
            new = recorder.movie()
        new.comments, new.rerecords = old.comments, old.rerecords
        save_movie(new, path)


def _menu(machine: Machine, stage: int) -> Iterator[tuple[str, int]]:
    yield from (("", 60), ("Start", 2), ("", 38))
    for _ in range(stage - 1):
        yield from (("Right", 2), ("", 2))
    yield "Start", 2
    while machine.read("mode") != PLAYING:
        yield "", 1


if __name__ == "__main__":
    record()
