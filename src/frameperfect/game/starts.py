"""Named starts as sealed states: a movie played from power-on, or a state in the core's own format."""

from __future__ import annotations

import contextlib
import dataclasses
import gzip
import io
import zlib
from pathlib import Path

from frameperfect.errors import GameError, StateMismatch
from frameperfect.game import folders
from frameperfect.game.game import Game, sha1
from frameperfect.game.schema import StartSpec
from frameperfect.game.suggest import did_you_mean
from frameperfect.machine import Machine

MAX_STATE = 256 << 20
KEEP = 64
"""Cached start states; the oldest beyond these go."""


def start_state(game: Game, machine: Machine, name: str | None = None) -> bytes:
    """See `Game.start_state`."""
    name = game.default_start if name is None else name
    if name is None:
        machine.reset()
        return machine.save()
    if name not in game.start:
        hint = did_you_mean(name, game.starts) or f" There are {', '.join(game.starts) or 'none'}."
        raise GameError(f"{game.name} has no start '{name}'.{hint}")
    start = game.start[name]
    if start.state is not None:
        return _from_state(game, machine, name, start)
    return _from_movie(game, machine, start)


def _from_state(game: Game, machine: Machine, name: str, start: StartSpec) -> bytes:
    assert start.state is not None
    here = machine.fingerprint.core.split(" ")[0]
    if start.core is not None and start.core != here:
        raise StateMismatch(
            f"the start '{name}' of {game.name} is a state of the core {start.core}, and this machine runs "
            f"{here}; open it with core='{start.core}'"
        )
    path = game.file(start.state)
    data = read_state(path)
    machine.reset()
    try:
        machine.import_state(data)
    except StateMismatch as refusal:
        raise StateMismatch(f"{path}: {refusal}") from None
    if start.settle:
        machine.advance(None, start.settle)
    return machine.save()


def read_state(path: Path) -> bytes:
    """The bytes of a state file, unpacked if it is gzipped (bounded).

    Raises:
        GameError: it can't be read, is damaged or is too large.
    """
    try:
        data = path.read_bytes()
        if data[:2] == b"\x1f\x8b":
            with gzip.GzipFile(fileobj=io.BytesIO(data)) as file:
                data = file.read(MAX_STATE + 1)
    except (OSError, EOFError, zlib.error) as wrong:
        raise GameError(f"{path}: the state is damaged: {wrong}; get the file anew") from None
    if len(data) > MAX_STATE:
        raise GameError(f"{path}: unpacks to over {MAX_STATE >> 20} MiB; this is no state")
    return data


def _from_movie(game: Game, machine: Machine, start: StartSpec) -> bytes:
    """Play the start's movie, or take what it led to on an equal machine from the cache."""
    from frameperfect.movie import load_movie

    assert start.movie is not None
    path = game.file(start.movie)
    key = sha1(machine.fingerprint.digest + path.read_bytes() + b"%d" % start.settle)
    cached = folders.home() / "cache" / "starts" / f"{key}.state"
    try:
        state = cached.read_bytes()
        machine.restore(state)
    except FileNotFoundError:
        pass
    except (OSError, StateMismatch):
        with contextlib.suppress(OSError):  # damaged: play the movie again
            cached.unlink()
    else:
        return state
    movie = load_movie(path)
    if movie.start is not None:
        raise GameError(f"{path}: a start's movie begins at power-on; this one begins elsewhere")
    if movie.fingerprint != str(machine.fingerprint):
        # Its checkpoints hold on the core it was made with; on another it only has to lead there.
        movie = dataclasses.replace(movie, checkpoints=[], values={}, fingerprint="")
    movie.check(machine)
    if start.settle:
        machine.advance(None, start.settle)
    state = machine.save()
    _keep(cached, state)
    return state


def _keep(path: Path, state: bytes) -> None:
    """Cache a state; a full or read-only disk only means that the movie is played again next time."""
    with contextlib.suppress(OSError):
        folders.write_whole(path, state)
        others = sorted(path.parent.glob("*.state"), key=lambda p: p.stat().st_mtime, reverse=True)
        for old in others[KEEP:]:
            old.unlink()
