"""FCEUX's movies."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from frameperfect.errors import MovieError
from frameperfect.movie import fm2
from tests.movies import NES, movies

COMMANDS = ("reset", "power", "fds-insert fds-select", "coin coin2 service", "reset power")

# As FCEUX writes it (order and defaults of MovieData::dump).
FCEUX = b"""version 3
emuVersion 22020
rerecordCount 7
palFlag 0
romFilename Super Game
romChecksum base64:AAAAAAAAAAAAAAAAAAAAAA==
guid 452DE2C3-EF43-2FA9-77AC-0677FC51543B
fourscore 0
microphone 0
port0 1
port1 2
port2 0
FDS 0
NewPPU 0
RAMInitOption 0
RAMInitSeed 0
comment author me
comment a run
subtitle 10 hello
subtitle 20 world
length 3
|1|R......A|001 002 0 0 0||
|0|.L.UTSB.|003 004 1 1 123456789012||
|0|........|000 000 0 0 0||
"""


@settings(max_examples=50, deadline=None)
@given(
    movies(
        controllers=[NES], commands=COMMANDS, axes=False, start=st.one_of(st.none(), st.binary(min_size=1))
    )
    | movies(controllers=[NES, NES], commands=COMMANDS, axes=False)
    | movies(controllers=[NES, NES, NES, NES], commands=COMMANDS, axes=False),
    st.booleans(),
)
def test_a_movie_of_pads_survives_an_fm2(movie, binary):
    if binary:
        movie.extra["binary"] = "1"
    again = fm2.read(fm2.write(movie), "x.fm2")
    again.extra = {key: value for key, value in again.extra.items() if key in movie.extra}
    if not movie.game:
        movie.game = again.game
    if not movie.system:
        movie.system = "nes"
    assert again == movie


def test_what_fceux_wrote_is_read_and_written_again_byte_for_byte():
    movie = fm2.read(FCEUX, "x.fm2")
    assert movie.game == "Super Game"
    assert movie.author == "me"
    assert movie.comments == ["a run"]
    assert movie.commands == {0: "reset"}
    assert movie.controllers[0].names(int(movie.inputs[1, 0])) == "B Select Start Up Left"
    assert movie.pointers[1, 1].tolist() == [3, 4, 1]
    assert movie.extra["guid"] == "452DE2C3-EF43-2FA9-77AC-0677FC51543B"
    assert movie.extra["subtitle"] == "10 hello\n20 world"
    written = fm2.write(movie).decode()
    assert (
        "".join(f"{line}\n" for line in written.splitlines() if "frameperfect" not in line) == FCEUX.decode()
    )
    assert fm2.read(written.encode(), "x.fm2") == fm2.read(fm2.write(fm2.read(written.encode(), "")), "")


def test_text_and_binary_bodies_say_the_same():
    movie = fm2.read(FCEUX, "x.fm2")
    movie.extra["binary"] = "1"
    again = fm2.read(fm2.write(movie), "x.fm2")
    assert again == movie


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ((b"version 3", b"version 2"), "x.fm2:1:1: no FCEUX movie"),
        ((b"R......A", b"R.....A"), "x.fm2:22:4: a pad has 8 characters, not 7"),
        ((b"001 002 0 0 0", b"001 002 0 0"), "x.fm2:22:13: a zapper is five numbers"),
        ((b"|1|R", b"|x|R"), "x.fm2:22:1: 'x' is not a command number"),
        ((b"|1|R", b"|128|R"), "x.fm2:22:2: command 128 is unknown"),
        (
            (b"000 000 0 0 0||\n", b"00"),
            "x.fm2:24:15: a record has 4 fields between '|', this has 2 (the file is cut",
        ),
        ((b"|0|........|000 000 0 0 0||\n", b""), "x.fm2:23:1: 2 of 3 frames: the movie is cut short"),
        ((b"port1 2", b"port1 5"), "x.fm2:22:1: port1 holds device 5"),
        ((b"rerecordCount 7", b"rerecordCount many"), "x.fm2:3:1: 'many' is not a whole number"),
        ((b"comment a run", b"comment \xff"), "x.fm2:18:9: not UTF-8 text"),
    ],
)
def test_an_error_names_file_line_and_column(change, message):
    with pytest.raises(MovieError) as caught:
        fm2.read(FCEUX.replace(*change), "x.fm2")
    assert str(caught.value).startswith(message)


def test_a_binary_body_that_is_cut_short_is_refused():
    movie = fm2.read(FCEUX, "x.fm2")
    movie.extra["binary"] = "1"
    data = fm2.write(movie)
    with pytest.raises(MovieError, match="13 bytes of a record of 14 at the end: the file is cut short"):
        fm2.read(data[:-1], "x.fm2")
    with pytest.raises(MovieError, match="2 of 3 frames"):
        fm2.read(data[:-14], "x.fm2")


@settings(max_examples=40, deadline=None)
@given(st.data(), st.booleans())
def test_damaged_files_give_a_movie_or_a_movie_error(data, binary):
    movie = fm2.read(FCEUX, "x.fm2")
    if binary:
        movie.extra["binary"] = "1"
    damaged = bytearray(fm2.write(movie))
    for _ in range(3):
        damaged[data.draw(st.integers(0, len(damaged) - 1))] = data.draw(st.integers(0, 255))
    try:
        fm2.read(bytes(damaged), "x.fm2")
    except MovieError as error:
        assert str(error)


def test_what_an_fm2_cannot_hold_is_an_error():
    movie = fm2.read(FCEUX, "x.fm2")
    movie.start = "level1"
    with pytest.raises(MovieError, match="convert it with its game"):
        fm2.write(movie)
