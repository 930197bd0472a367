"""BizHawk's movies, and stable-retro's."""

from __future__ import annotations

import io
import zipfile

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from frameperfect.errors import MovieError
from frameperfect.machine import Controller
from frameperfect.movie import bk2
from tests.components import need
from tests.movies import GENESIS, NES, movies

LOG = (
    "[Input]\n"
    "LogKey:#Power|Reset|#P1 Up|P1 Down|P1 Left|P1 Right|P1 A|P1 B|P1 C|P1 Start|#P2 Up|P2 Start|\n"
    "|..|........|..|\n"
    "|.r|...R.B..|.S|\n"
    "|P.|U.......|..|\n"
    "[/Input]\n"
)
HEADER = (
    "MovieVersion BizHawk v2.0.0\nAuthor me\nPlatform GEN\nGameName Some Game\nrerecordCount 12\n"
    "Core Genplus-gx\n"
)


def archive(log: str = LOG, header: str = HEADER, **members: bytes) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as file:
        file.writestr("Header.txt", header)
        file.writestr("Input Log.txt", log)
        for name, data in members.items():
            file.writestr(name.replace("_", "."), data)
    return out.getvalue()


@settings(max_examples=50, deadline=None)
@given(
    movies(controllers=[NES, NES], axes=False, start=st.one_of(st.none(), st.binary(min_size=1)))
    | movies(controllers=[GENESIS], axes=False)
    | movies(controllers=[Controller(("A", "Z"), ("X Axis", "Y Axis", "C X Axis"))] * 2, axes=False)
)
def test_a_movie_of_pads_survives_a_bk2(movie):
    movie.system = {NES: "Nes", GENESIS: "Genesis"}.get(movie.controllers[0], "")
    again = bk2.read(bk2.write(movie), "x.bk2")
    again.extra = {key: value for key, value in again.extra.items() if key in movie.extra}
    assert again == movie


@settings(max_examples=40, deadline=None)
@given(st.data())
def test_axes_survive_a_bk2(data):
    pad = Controller(("A", "Z"), ("X Axis", "Y Axis", "C X Axis"))
    movie = data.draw(movies(controllers=[pad, pad], axes=True))
    movie.system, movie.pointers = "", None
    again = bk2.read(bk2.write(movie), "x.bk2")
    again.extra = movie.extra
    assert again == movie


def test_what_bizhawk_wrote_is_read():
    movie = bk2.read(archive(), "x.bk2")
    assert (movie.author, movie.game, movie.rerecords) == ("me", "Some Game", 12)
    assert movie.commands == {1: "reset", 2: "power"}
    assert [movie.controllers[0].names(int(mask)) for mask in movie.inputs[:, 0]] == ["", "Right B", "Up"]
    assert movie.controllers[1].names(int(movie.inputs[1, 1])) == "Start"
    assert movie.extra["Core"] == "Genplus-gx"


def test_column_order_comes_from_the_log_key_alone():
    swapped = LOG.replace("P1 Up|P1 Down", "P1 Down|P1 Up")
    movie = bk2.read(archive(swapped), "x.bk2")
    assert movie.controllers[0].names(int(movie.inputs[2, 0])) == "Down"


def test_axes_stand_before_buttons_as_in_bizhawks_game_boy_advance():
    log = (
        "[Input]\nLogKey:#Tilt X|Tilt Y|Tilt Z|Light Sensor|Up|Down|Left|Right|Start|Select|B|A|L|R|Power|\n"
        "|    0,    0,    0,    0,...........|\n|  -12,32767,    0,  255,U......A..P|\n[/Input]\n"
    )
    movie = bk2.read(archive(log, "Platform GBA\n"), "x.bk2")
    assert movie.axes[1, 0].tolist() == [-12, 32767, 0, 255]
    assert movie.controllers[0].names(int(movie.inputs[1, 0])) == "Up A"
    assert movie.commands == {1: "power"}
    assert movie.system == "gbadvance"


def test_our_genesis_log_is_the_one_that_bizhawk_writes():
    movie = bk2.read(archive(), "x.bk2")
    movie.controllers = (GENESIS,)
    movie.inputs = movie.inputs[:, :1]
    with zipfile.ZipFile(io.BytesIO(bk2.write(movie))) as file:
        assert file.read("Input Log.txt").decode() == (
            "[Input]\n"
            "LogKey:#Power|Reset|#P1 Up|P1 Down|P1 Left|P1 Right|"
            "P1 A|P1 B|P1 C|P1 Start|P1 X|P1 Y|P1 Z|P1 Mode|\n"
            "|..|............|\n"
            "|.r|...R.B......|\n"
            "|P.|U...........|\n"
            "[/Input]\n"
        )


@pytest.mark.parametrize("compressed", [False, True])
def test_a_start_state_is_kept(compressed):
    state = bytes(range(256)) * 8
    packed = need("zstandard").ZstdCompressor().compress(state) if compressed else state
    movie = bk2.read(archive(header=HEADER + "StartsFromSavestate True\n", Core_bin=packed), "x.bk2")
    assert movie.start == state
    assert bk2.read(bk2.write(movie), "y.bk2").start == state


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"not a zip", "x.bk2: no .bk2 movie, or cut short"),
        (archive()[:-30], "x.bk2: no .bk2 movie, or cut short"),
        (archive(LOG.replace("[/Input]\n", "")), "x.bk2/Input Log.txt:6:1: the movie is cut short"),
        (archive(LOG.replace("|U.......|..|\n", "|U...\n")), "x.bk2/Input Log.txt:5:9: the record ends"),
        (archive(LOG.replace("|U.......|..|\n", "|U.......|..\n")), "x.bk2/Input Log.txt:5:16: the record"),
        (archive(LOG.replace("|U.......|..|\n", "|U.......|...|\n")), "x.bk2/Input Log.txt:5:16: the record"),
        (archive(LOG.replace("LogKey:", "Key ")), "x.bk2/Input Log.txt:3:17: the record ends before"),
        (archive(header=HEADER + "StartsFromSavestate True\n"), "x.bk2: starts from a state, but holds none"),
        (archive(header=HEADER.replace("12", "-1")), "x.bk2/Header.txt: '-1' is not a rerecord count"),
    ],
)  # fmt: skip
def test_an_error_names_file_line_and_column(data, message):
    with pytest.raises(MovieError) as caught:
        bk2.read(data, "x.bk2")
    assert str(caught.value).startswith(message)


def test_a_zip_bomb_is_refused_before_it_is_unpacked(monkeypatch):
    monkeypatch.setattr(bk2, "MAX_TEXT", 1 << 20)
    with pytest.raises(MovieError, match="unpacks to 2097152 bytes; at most 1048576 are read"):
        bk2.read(archive("|" * (2 << 20)), "x.bk2")
    data = archive("|" * (2 << 20)).replace((2 << 20).to_bytes(4, "little"), (1000).to_bytes(4, "little"))
    with pytest.raises(MovieError, match=r"unpacks to more|damaged"):
        bk2.read(data, "x.bk2")


@settings(max_examples=40, deadline=None)
@given(st.data())
def test_damaged_files_give_a_movie_or_a_movie_error(data):
    damaged = bytearray(archive())
    for _ in range(3):
        damaged[data.draw(st.integers(0, len(damaged) - 1))] = data.draw(st.integers(0, 255))
    try:
        bk2.read(bytes(damaged), "x.bk2")
    except MovieError as error:
        assert str(error)


def test_what_a_bk2_cannot_hold_is_an_error():
    movie = bk2.read(archive(), "x.bk2")
    movie.commands = {0: "coin"}
    with pytest.raises(MovieError, match="has no command 'coin'"):
        bk2.write(movie)
    movie.start = "level1"
    with pytest.raises(MovieError, match="convert it with its game"):
        bk2.write(movie)
    movie.start = None
    movie.extra["MovieVersion"] = "Retro"
    with pytest.raises(MovieError, match="plays from a state in the core's own format"):
        bk2.write(movie)
    movie.start, movie.commands = b"core state", {}
    movie.inputs = np.ones_like(movie.inputs)
    with pytest.raises(MovieError, match="plays its first frame without input"):
        bk2.write(movie)
