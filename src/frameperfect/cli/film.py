"""A movie as a video: what `watch`, `record` and `eval` share."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from frameperfect.cli.app import console

if TYPE_CHECKING:
    from frameperfect.movie import Movie


def film(
    movie: Movie,
    path: Path,
    game: str | None,
    caption: str,
    *,
    frames: int | None = None,
    core: str | None = None,
    show: Sequence[str] | None = None,
    hud: bool = True,
) -> None:
    """Replay `movie` and write its (first) frames as a video, with a progress bar."""
    from frameperfect.cli.play import open_for
    from frameperfect.view.progress import ProgressLine
    from frameperfect.view.video import Shot, movie_shots, record_video

    count = movie.frames if frames is None else frames
    with open_for(movie, path, game, core) as machine, ProgressLine(console(), "video") as line:

        def shots() -> Iterator[Shot]:
            for shot in itertools.islice(movie_shots(movie, machine, show, caption), count):
                yield shot
                line.update(shot.frame / count, f"{shot.frame} of {count} frames")

        record_video(shots(), path, movie.frame_rate, buttons=pressed_ports(movie), hud=hud)


def pressed_ports(movie: Movie) -> list[tuple[str, ...]]:
    """The buttons of each port up to the last one that the run uses."""
    used = [port for port in range(len(movie.controllers)) if port == 0 or movie.inputs[:, port].any()]
    return [movie.controllers[port].buttons for port in range(used[-1] + 1)]
