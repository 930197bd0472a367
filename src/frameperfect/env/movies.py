"""An episode as a movie."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from frameperfect.env.setup import Setup, Start
from frameperfect.machine import hash_memory
from frameperfect.movie import Movie
from frameperfect.pool import Pool


def episode_movie(
    setup: Setup, pool: Pool, index: int, start: Start, inputs: NDArray[np.uint32], now: bool
) -> Movie:
    """The movie of one episode; with `now`, machine `index` stands at its end, which becomes a checkpoint."""
    checkpoints = []
    if now and len(inputs):
        memory = pool.memory(index)
        digest = hash_memory(pool.domains, memory) if memory is not None else pool.machine(index).hash()
        checkpoints.append((len(inputs), digest))
    return Movie(
        game=setup.game.name,
        system=setup.spec.system or "",
        core=setup.spec.core or pool.fingerprint.core.split(" ")[0],
        options=dict(setup.spec.options),
        fingerprint=str(pool.fingerprint),
        rom=pool.fingerprint.game_hash,
        frame_rate=pool.frame_rate,
        controllers=pool.controllers,
        inputs=inputs,
        start=start.name,
        checkpoints=checkpoints,
    )
