"""Random movies for the tests of the formats."""

from __future__ import annotations

import numpy as np
from hypothesis import strategies as st

from frameperfect.machine import Controller
from frameperfect.movie import Movie

NES = Controller(("Up", "Down", "Left", "Right", "Select", "Start", "B", "A"))
GENESIS = Controller(("Up", "Down", "Left", "Right", "A", "B", "C", "Start", "X", "Y", "Z", "Mode"))
text = st.text(max_size=12)
key = st.one_of(st.from_regex(r"[A-Za-z][A-Za-z0-9_]{0,8}", fullmatch=True), st.text(min_size=1, max_size=5))
digest = st.from_regex(r"[0-9a-f]{16}", fullmatch=True)
value = st.one_of(st.integers(-(2**40), 2**40), st.floats(allow_nan=False))


@st.composite
def movies(draw, controllers=None, commands=("reset", "power", "reset power"), axes=True, start=None):
    """Any movie; with given `controllers` one that a format with those can hold."""
    if controllers is None:
        name = st.text(min_size=1, max_size=4)
        controllers = draw(
            st.lists(
                st.builds(
                    Controller,
                    st.lists(name, max_size=32, unique=True).map(tuple),
                    st.lists(name, max_size=3, unique=True).map(tuple),
                    st.booleans(),
                ),
                min_size=1,
                max_size=3,
            )
        )
    ports = len(controllers)
    rows = draw(
        st.lists(
            st.tuples(
                st.tuples(*(st.integers(0, 2 ** len(c.buttons) - 1) for c in controllers)), st.integers(1, 5)
            ),
            max_size=12,
        )
    )
    order = np.repeat(np.arange(len(rows)), [count for _, count in rows]).astype(int)
    inputs = np.array([row for row, _ in rows], np.uint32).reshape(len(rows), ports)[order]
    frames = len(inputs)
    checks = sorted(draw(st.sets(st.integers(1, max(frames, 1)), max_size=4))) if frames else []
    seed = draw(st.integers(0, 2**32 - 1))
    rng = np.random.default_rng(seed)
    return Movie(
        controllers=tuple(controllers),
        inputs=inputs,
        axes=rng.integers(-32768, 32768, (frames, ports, 3)) if axes and draw(st.booleans()) else None,
        pointers=rng.integers(-9, 9, (frames, ports, 3)) if axes and draw(st.booleans()) else None,
        commands=draw(st.dictionaries(st.integers(0, frames - 1), st.sampled_from(commands), max_size=3))
        if frames
        else {},
        start=draw(start) if start is not None else None,
        checkpoints=[(frame, draw(digest)) for frame in checks],
        values={
            f: draw(st.dictionaries(st.text(min_size=1, max_size=4), value, max_size=2)) for f in checks[:2]
        },
        game=draw(text),
        system=draw(st.sampled_from(["", "Genesis", "Nes"])),
        core=draw(text),
        options=draw(st.dictionaries(key, text, max_size=2)),
        fingerprint=draw(text),
        rom=draw(text),
        frame_rate=draw(st.floats(1, 240)),
        author=draw(text),
        rerecords=draw(st.integers(0, 10**9)),
        comments=draw(
            st.lists(st.one_of(text, st.sampled_from(["author x", "frameperfect comment a", ""])), max_size=3)
        ),
        extra=draw(st.dictionaries(key, text, max_size=3)),
    )
