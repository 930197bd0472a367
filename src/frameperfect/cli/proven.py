"""What is known of a movie by its replay: whether it verified, its score, its time.

A replay in a fresh process takes seconds, so its outcome is kept by the hash of the movie's bytes, in
`proofs` of the user's data folder; the same bytes need no second one.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import time
from dataclasses import dataclass
from pathlib import Path

from frameperfect import __version__


@dataclass(frozen=True)
class Proven:
    """The outcome of one movie's replay in a fresh process."""

    digest: str
    """SHA-256 of the movie file."""
    matched: bool
    text: str
    """What the replay showed, in a line."""
    game: str
    start: str
    """The name of a start of the game, "power-on", or "state" with the first digits of its hash."""
    frames: int
    checkpoints: int = 0
    score: float = 0.0
    """The reward of the whole run, by the game's rules evaluated at every frame."""
    seconds: float | None = None
    """The run's time, by the game's clock, where it reached its goal."""
    author: str = ""
    fingerprint: str = ""
    """Core and build that it was recorded with."""
    when: str = ""
    version: str = __version__


def prove(path: Path, game: str | None = None) -> Proven:
    """Replay the movie in a fresh process, measure it, and keep the outcome.

    Raises:
        MovieError, UnknownGame, MissingRom, MissingComponent, MachineError, MachineCrashed: as `verify` does.
    """
    from frameperfect.cli.play import open_for
    from frameperfect.game import verify
    from frameperfect.movie import load_movie
    from frameperfect.view.trace import trace

    movie = load_movie(path)
    verdict = verify(path, game=game)
    score, seconds = 0.0, None
    with open_for(movie, path, game, None) as machine:
        name = machine.game.name
        if verdict:
            measured = trace(movie, machine)
            score, seconds = measured.score, measured.seconds
    start = movie.start
    if isinstance(start, bytes):
        start = f"state {hashlib.sha256(start).hexdigest()[:6]}"
    proven = Proven(
        digest=digest_of(path), matched=verdict.matched, text=verdict.text, game=name,
        start=start or "power-on", frames=movie.frames, checkpoints=verdict.checkpoints, score=score,
        seconds=seconds, author=movie.author, fingerprint=movie.fingerprint,
        when=time.strftime("%Y-%m-%d %H:%M"),
    )  # fmt: skip
    _keep(proven)
    return proven


def recall(path: Path) -> Proven | None:
    """What an earlier replay of the same bytes showed; None where there was none, or it can't be read."""
    try:
        text = _place(digest_of(path)).read_text("utf-8")
    except FileNotFoundError:
        return None
    try:
        proven = Proven(**json.loads(text))
    except (ValueError, TypeError):
        return None  # a record of another version, or damaged: it is made anew when it is wanted
    return proven if proven.version == __version__ else None


def digest_of(path: Path) -> str:
    """SHA-256 of a file."""
    return hashlib.sha256(path.read_bytes()).hexdigest()


def _keep(proven: Proven) -> None:
    from frameperfect.atomic import replacing

    place = _place(proven.digest)
    place.parent.mkdir(parents=True, exist_ok=True)
    with replacing(place) as part:
        part.write_text(json.dumps(dataclasses.asdict(proven), indent=2) + "\n", "utf-8")


def _place(digest: str) -> Path:
    from frameperfect.game import folders

    return folders.home() / "proofs" / f"{digest}.json"
