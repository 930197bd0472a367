"""Make docs/pictures/skyrunner.gif: eight seconds of a real run, with its inputs.

python scripts/readme_picture.py
"""

from __future__ import annotations

from itertools import islice
from pathlib import Path

import frameperfect as fp
from frameperfect.movie import load_movie
from frameperfect.view.overlay import make_overlays
from frameperfect.view.video import movie_shots, record_video

FIRST, LAST = 930, 1420  # frames: the jumps before the wall, the shortcut, and the way down
EVERY = 4  # 15 pictures a second keep it below a mebibyte

game = fp.load_game("Skyrunner-Nes")
assert game.folder is not None
movie = load_movie(game.folder / "movies" / "stage1-shortcut.fpm")
target = Path(__file__).parents[1] / "docs" / "pictures" / "skyrunner.gif"
with fp.open(game) as machine:
    shots = islice(movie_shots(movie, machine), FIRST, LAST, EVERY)
    record_video(
        shots, target, movie.frame_rate / EVERY, hud=None, overlays=make_overlays(["inputs"], machine)
    )
print(f"{target}: {target.stat().st_size >> 10} KiB")
