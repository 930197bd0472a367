"""Movies on disk in our own format, on machines, and recorded from them."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import frameperfect
from frameperfect.errors import MovieError
from frameperfect.machine import Controller
from frameperfect.movie import Movie, Recorder, fpm, load_movie, save_movie
from tests.components import need
from tests.movies import GENESIS, movies

STARTS = st.one_of(st.none(), st.text(min_size=1, max_size=5), st.binary(min_size=1, max_size=300))


def example() -> Movie:
    inputs = np.zeros((121, 2), np.uint32)
    inputs[118:, 0] = GENESIS.mask("B Right")
    inputs[120, 1] = GENESIS.mask("Start")
    return Movie(
        game="Airstriker-Genesis", fingerprint="picodrive 1a2b3c", frame_rate=59.92274,
        controllers=(GENESIS, GENESIS), inputs=inputs, commands={120: "reset"},
        checkpoints=[(60, "00112233445566ff"), (121, "8899aabbccddeeff")],
        values={60: {"score": 0}, 121: {"score": 20}},
    )  # fmt: skip


@settings(max_examples=60, deadline=None)
@given(movies(start=STARTS))
def test_any_movie_survives_our_own_file(movie):
    assert fpm.read(fpm.write(movie), "x.fpm") == movie


@settings(max_examples=30, deadline=None)
@given(movies(start=STARTS), st.data())
def test_a_file_cut_anywhere_is_refused(movie, data):
    whole = fpm.write(movie)
    cut = whole[: data.draw(st.integers(0, len(whole) - 2))]
    with pytest.raises(MovieError, match=r"^x.fpm:"):
        fpm.read(cut, "x.fpm")


@settings(max_examples=60, deadline=None)
@given(movies(start=STARTS), st.data())
def test_a_file_with_damaged_bytes_gives_a_movie_or_a_movie_error(movie, data):
    damaged = bytearray(fpm.write(movie))
    for _ in range(3):
        damaged[data.draw(st.integers(0, len(damaged) - 1))] = data.draw(st.integers(0, 255))
    try:
        fpm.read(bytes(damaged), "x.fpm")
    except MovieError as error:
        assert "\n" not in str(error)


def test_the_file_reads_as_its_documentation_says():
    assert fpm.write(example()).decode() == (
        "frameperfect movie 1\n"
        "game Airstriker-Genesis\n"
        "fingerprint picodrive 1a2b3c\n"
        "frame_rate 59.92274\n"
        "controller Up Down Left Right A B C Start X Y Z Mode\n"
        "controller Up Down Left Right A B C Start X Y Z Mode\n"
        "start power-on\n"
        "frames 121\n"
        "inputs\n"
        "118\n"
        "2 Right B\n"
        "reset\n"
        "1 Right B | Start\n"
        "checkpoints\n"
        "60 00112233445566ff score=0\n"
        "121 8899aabbccddeeff score=20\n"
        "end 121\n"
    )


def test_windows_line_ends_are_read():
    assert fpm.read(fpm.write(example()).replace(b"\n", b"\r\n"), "x.fpm") == example()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (("2 Right B\n", "2 Right Q\n"), "x.fpm:11:9: port 0 has no button or axis 'Q'"),
        (("2 Right B\n", "2 Right B | | A\n"), "x.fpm:11:15: 'A' on port 2, but the header has 2"),
        (("118\n", "99999999\n"), "x.fpm:10:1: a run of 99999999 frames"),
        (("118\n", "117\n"), "x.fpm:14:1: 120 frames of input, but the header says 121"),
        (("frame_rate 59.92274", "frame_rate fast"), "x.fpm:4:1: could not convert string to float"),
        (("game ", "gane "), "x.fpm:2:1: unknown key 'gane'"),
        (("60 0011", "60 zz11"), "x.fpm:15:1: 'zz112233445566ff' is no memory hash"),
        (("end 121\n", "end 121\nmore\n"), "x.fpm:17:1: expected 'end 121' as the last line"),
        (("end 121\n", ""), "x.fpm:17: the movie is cut short"),
    ],
)  # fmt: skip
def test_an_error_names_file_line_and_column(change, message):
    data = fpm.write(example()).decode().replace(*change).encode()
    with pytest.raises(MovieError) as caught:
        fpm.read(data, "x.fpm")
    assert str(caught.value).startswith(message)


def test_a_state_that_unpacks_to_more_than_it_says_is_refused():
    movie = example()
    movie.start = b"\0" * 1_000_000
    lines = fpm.write(movie).decode().split("\n")
    at = next(i for i, line in enumerate(lines) if line.startswith("state "))
    lines[at] = lines[at].replace("1000000", "1000")
    with pytest.raises(MovieError, match="does not unpack to its 1000 bytes"):
        fpm.read("\n".join(lines).encode(), "x.fpm")


def test_a_movie_saves_by_suffix_and_atomically(tmp_path):
    path = tmp_path / "mit Leerzeichen é.fpm"
    save_movie(example(), path)
    assert load_movie(path) == example()
    broken = example()
    broken.author = "\ud800"
    with pytest.raises(MovieError, match="can't be written"):
        save_movie(broken, path)
    assert load_movie(path) == example()
    assert [p.name for p in tmp_path.iterdir()] == [path.name]


def test_missing_files_unknown_suffixes_and_missing_folders_are_movie_errors(tmp_path):
    with pytest.raises(MovieError, match=r"a\.fpm: can't be read: No such file"):
        load_movie(tmp_path / "a.fpm")
    with pytest.raises(MovieError, match=r"'\.mov' is no movie format; use \.fpm, \.fm2, \.bk2"):
        load_movie(tmp_path / "a.mov")
    with pytest.raises(MovieError, match="can't be written: No such file"):
        save_movie(example(), tmp_path / "no" / "a.fpm")


def test_inputs_must_fit_the_controllers():
    with pytest.raises(MovieError, match="frame 2: port 0 has no button 1 or above"):
        Movie(controllers=(Controller(("A",)),), inputs=np.array([[0], [1], [2]]))
    with pytest.raises(MovieError, match="2 ports"):
        Movie(controllers=(GENESIS, GENESIS), inputs=np.zeros((3, 1)))


def test_a_recorded_frame_presses_the_ports_it_names_and_no_others() -> None:
    need("stable_retro")
    with frameperfect.open("Airstriker-Genesis") as machine:
        recorder = Recorder(machine)
        recorder.advance("Right B", 2)
        recorder.advance(None, 1)
        recorder.advance(["Left", "Up"], 1)
        right_b, left, up = (machine.controllers[0].mask(names) for names in ("Right B", "Left", "Up"))
        assert recorder.movie().inputs.tolist() == [[right_b, 0], [right_b, 0], [0, 0], [left, up]]
