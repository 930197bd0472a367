"""A run being made: whatever is done to it, the machine's memory is what replaying its movie gives."""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import frameperfect as fp
from frameperfect.errors import Desync, MovieError, StateMismatch, Unsupported
from frameperfect.machine import Capability, Machine, MachineSpec, PortInput, open_machine
from frameperfect.movie import Session, load_movie, save_movie
from frameperfect.movie.keyframes import Keyframes
from tests.components import need
from tests.roms import ROMS

need("stable_retro")
CORES = (("Nes", "fceumm"), ("Genesis", "picodrive"), ("Genesis", "genesis_plus_gx"))


@pytest.fixture(params=CORES, ids=lambda pair: pair[1], scope="module")
def machine(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Machine]:
    system, core = request.param
    rom = ROMS[system].write(tmp_path_factory.mktemp("roms"))
    with open_machine(MachineSpec("libretro", rom, core=core)) as machine:
        yield machine


@pytest.fixture(scope="module")
def witness(machine: Machine) -> Iterator[Machine]:
    """A second machine of the same kind, which replays."""
    with open_machine(machine.spec) as other:
        yield other


def hash_of_replay(session: Session, witness: Machine) -> str:
    """The memory that the run leads to, from its start, up to where the session stands."""
    run = session.movie().cut(session.frame)
    run.begin(witness)
    run.check(witness)
    return witness.hash()


buttons = st.integers(0, 255)
steps = st.one_of(
    st.tuples(st.just("advance"), st.tuples(buttons, buttons), st.integers(1, 40)),
    st.tuples(st.just("rewind"), st.integers(1, 60)),
    st.tuples(st.just("seek"), st.floats(0, 1)),
    st.tuples(st.just("play"), st.integers(1, 50)),
    st.tuples(st.just("save"), st.integers(0, 2)),
    st.tuples(st.just("load"), st.integers(0, 2)),
    st.tuples(st.just("reset")),
    st.tuples(st.just("power")),
    st.tuples(st.just("begin here")),
)


def do(session: Session, step: tuple, frames: int | None = None) -> None:  # type: ignore[type-arg]
    match step:
        case ("advance", pressed, count):
            for _ in range(count):
                session.advance(pressed)
        case ("rewind", count):
            session.rewind(count)
        case ("seek", part):
            session.seek(round(part * session.frames))
        case ("play", count):
            session.play(count)
        case ("save", slot):
            session.save_slot(slot)
        case ("load", slot) if session.slot_path(slot).exists():
            session.load_slot(slot)
        case ("reset",):
            session.press_reset()
        case ("power",):
            session.power_cycle()
        case ("begin here",):
            session.begin_here()


@settings(
    max_examples=40,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(script=st.lists(steps, max_size=14), budget=st.sampled_from((2_000, 20_000, 1 << 20)))
def test_whatever_is_done_the_memory_is_that_of_the_movie_replayed(
    machine: Machine,
    witness: Machine,
    script: list[tuple],  # type: ignore[type-arg]
    budget: int,
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    session = Session(machine, slots=tmp_path_factory.mktemp("slots"), budget=budget)
    for step in script:
        do(session, step)
        assert machine.hash() == hash_of_replay(session, witness)


@given(seed=st.integers(0, 1000))
@settings(max_examples=10, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_every_frame_that_is_gone_back_to_has_the_memory_and_the_picture_it_had(
    machine: Machine, seed: int
) -> None:
    random = np.random.default_rng(seed)
    session = Session(machine)
    seen = [(machine.hash(), b"")]
    for _ in range(150):
        session.advance(int(random.integers(256)) if random.random() < 0.2 else 0)
        seen.append((machine.hash(), machine.screen().tobytes()))
    while session.frame:
        session.rewind(int(random.integers(1, 8)))
        digest, picture = seen[session.frame]
        assert machine.hash() == digest
        assert session.frame == 0 or machine.screen().tobytes() == picture


def test_a_run_from_power_on_verifies_in_a_fresh_process(tmp_path: Path) -> None:
    rom = ROMS["Nes"].write(tmp_path)
    with fp.open(rom) as machine:
        session = Session(machine, author="somebody")
        for frame in range(200):
            session.advance("Right A" if frame % 3 else "Left")
        session.rewind(90)
        for _ in range(100):
            session.advance("B")
        session.save_movie(tmp_path / "run.fpm")
    movie = load_movie(tmp_path / "run.fpm")
    assert (movie.frames, movie.rerecords, movie.author) == (210, 1, "somebody")
    assert movie.start is None
    assert fp.verify(tmp_path / "run.fpm", game=rom)


@pytest.mark.parametrize("start", ["named", "state"])
def test_a_run_from_a_start_or_a_state_verifies_in_a_fresh_process(tmp_path: Path, start: str) -> None:
    with fp.open("Airstriker-Genesis") as machine:
        name = machine.game.default_start
        session = Session(machine, start=name)
        for _ in range(100):
            session.advance("B Right")
        if start == "state":
            session.begin_here()
            for _ in range(70):
                session.advance("B Left")
        session.save_movie(tmp_path / "run.fpm")
    movie = load_movie(tmp_path / "run.fpm")
    assert movie.start == name if start == "named" else isinstance(movie.start, bytes)
    assert movie.frames == (100 if start == "named" else 70)
    assert movie.values[60].keys() >= {"score"}
    assert fp.verify(tmp_path / "run.fpm")


def test_a_loaded_movie_is_taken_over_at_a_frame_and_what_it_says_of_itself_is_kept(
    machine: Machine, witness: Machine
) -> None:
    first = Session(machine, author="the first")
    for _ in range(130):
        first.advance("Right")
    movie = first.movie()
    movie.rerecords, movie.comments = 7, ["a comment"]

    second = Session(machine, movie=movie)
    assert (second.frame, second.frames) == (0, 130)
    second.seek(77)
    for _ in range(9):
        second.advance("Left A")
    taken = second.movie()
    assert taken.frames == 86
    assert (taken.rerecords, taken.author, taken.comments) == (8, "the first", ["a comment"])
    assert (taken.inputs[:77] == movie.inputs[:77]).all()
    assert (taken.inputs[77:, 0] == machine.controllers[0].mask("Left A")).all()
    assert taken.check(witness)


def test_a_rerecord_is_counted_only_where_something_recorded_is_overwritten(machine: Machine) -> None:
    session = Session(machine)
    for _ in range(40):
        session.advance()
    session.rewind(10)
    session.play(10)
    assert session.rerecords == 0
    session.rewind(10)
    session.advance()
    session.advance()
    assert session.rerecords == 1


def test_a_slot_survives_its_session_and_goes_on_recording_the_same_run(
    machine: Machine, witness: Machine, tmp_path: Path
) -> None:
    session = Session(machine, slots=tmp_path)
    for _ in range(95):
        session.advance("A")
    session.save_slot(4)
    here = machine.hash()

    later = Session(machine, slots=tmp_path)
    later.advance("Left")
    later.load_slot(4)
    assert (later.frame, later.frames, machine.hash()) == (95, 95, here)
    assert later.rerecords == 1
    later.advance("B")
    assert later.movie().check(witness)


def test_loading_a_slot_of_the_same_run_leaves_what_follows_it(machine: Machine, tmp_path: Path) -> None:
    session = Session(machine, slots=tmp_path)
    for _ in range(30):
        session.advance("A")
    session.save_slot(0)
    for _ in range(30):
        session.advance("B")
    end = machine.hash()
    session.load_slot(0)
    assert (session.frame, session.frames, session.rerecords) == (30, 60, 0)
    session.play(30)
    assert machine.hash() == end


def test_slots_that_are_empty_foreign_or_damaged_are_refused_and_change_nothing(tmp_path: Path) -> None:
    nes, genesis = (ROMS[system].write(tmp_path) for system in ("Nes", "Genesis"))
    with fp.open(nes) as machine, fp.open(genesis) as other:
        session, foreign = (Session(one, slots=tmp_path / "slots") for one in (machine, other))
        session.advance("A")
        before = machine.hash()
        with pytest.raises(MovieError, match="slot 3 is empty"):
            session.load_slot(3)
        foreign.advance()
        foreign.save_slot(3)
        with pytest.raises(StateMismatch, match=r"slot 3 .*another game, core or setting"):
            session.load_slot(3)
        path = session.slot_path(3)
        path.write_bytes(path.read_bytes()[:-1])
        with pytest.raises(MovieError, match="is damaged"):
            session.load_slot(3)
        path.write_bytes(b"")
        with pytest.raises(MovieError, match="is damaged"):
            session.load_slot(3)
        assert (machine.hash(), session.frame, session.rerecords) == (before, 1, 0)


def test_a_movie_that_does_not_hold_stops_where_it_differs(machine: Machine) -> None:
    session = Session(machine)
    for _ in range(100):
        session.advance("Right")
    movie = session.movie()
    movie.inputs[10:20] = 0
    wrong = Session(machine, movie=movie)
    with pytest.raises(Desync) as raised:
        wrong.seek(100)
    assert raised.value.frame == 60 == wrong.frame


def test_there_is_no_frame_beyond_the_run(machine: Machine) -> None:
    session = Session(machine)
    session.advance()
    for frame in (-1, 2):
        with pytest.raises(MovieError, match="a run of 1 frames"):
            session.seek(frame)
    session.rewind(50)
    assert session.frame == 0


def test_a_machine_without_states_goes_back_by_replaying_from_the_start(tmp_path: Path) -> None:
    rom = ROMS["Sms"].write(tmp_path)
    with open_machine(MachineSpec("libretro", rom, core="picodrive")) as machine:
        assert Capability.SAVE not in machine.capabilities
        session = Session(machine, slots=tmp_path)
        hashes = [machine.hash()]
        for frame in range(40):
            session.advance(frame % 7)
            hashes.append(machine.hash())
        session.rewind(15)
        assert machine.hash() == hashes[25]
        with pytest.raises(Unsupported):
            session.save_slot(0)


@given(
    budget=st.integers(3, 60),
    moves=st.lists(st.tuples(st.integers(0, 20_000), st.integers(0, 20_000)), min_size=1, max_size=200),
)
def test_keyframes_never_exceed_their_budget_and_keep_the_first(
    budget: int, moves: list[tuple[int, int]]
) -> None:
    size = len(zlib.compress(bytes(100), 1))
    states = Keyframes(budget * size)
    states.add(0, bytes(100), 0)
    for frame, present in moves:
        states.add(frame, bytes(100), present)
        assert states.held == len(states) * size <= budget * size
        assert 0 in states
        latest = states.latest(frame)
        assert latest is not None and latest <= frame
    states.cut(5000)
    assert (states.latest(20_000) or 0) <= 5000


def test_keyframes_thin_out_with_distance_from_the_present() -> None:
    states = Keyframes(budget=100 * 20)
    for frame in range(0, 100_000, 10):
        states.add(frame, bytes([frame % 251]) * 8, frame)
    frames = sorted(frame for frame in range(0, 100_000, 10) if frame in states)
    gaps = np.diff(frames)
    assert max(gaps[-20:]) <= 200 < max(gaps[:20]) < 20_000


def test_analog_inputs_are_recorded_as_they_were_given() -> None:
    from frameperfect.machine import Controller
    from frameperfect.movie.movie import Movie
    from frameperfect.movie.tape import Tape

    controllers = (Controller(("A", "B"), ("X", "Y"), pointer=True),)
    head = Movie(controllers=controllers, inputs=np.zeros((0, 1), np.uint32))
    tape = Tape()
    tape.append((PortInput(1, (300, -5)),))
    tape.append((PortInput(0, (), (10, 20, 1)),), 2)
    movie = tape.write(head, controllers)
    assert movie.inputs[:, 0].tolist() == [1, 0, 0]
    assert movie.axes is not None and movie.axes[0, 0].tolist() == [300, -5]
    assert movie.pointers is not None and movie.pointers[2, 0].tolist() == [10, 20, 1]
    assert Tape.of(movie, controllers).write(head, controllers) == movie


def test_a_recording_that_can_not_be_written_is_kept_elsewhere_and_named(
    machine: Machine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    session = Session(machine)
    session.advance("A")
    rescue = tmp_path / "rescue"
    rescue.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(rescue))
    with pytest.raises(MovieError, match=r"the recording is kept as .*rescue") as raised:
        session.save_movie(tmp_path / "no such folder" / "run.fpm")
    kept = next(rescue.iterdir())
    assert str(kept) in str(raised.value)
    assert load_movie(kept) == session.movie()


def test_a_run_of_no_frames_is_a_movie_too(machine: Machine, tmp_path: Path) -> None:
    session = Session(machine, slots=tmp_path)
    save_movie(session.movie(), tmp_path / "empty.fpm")
    assert load_movie(tmp_path / "empty.fpm").frames == 0
    session.save_slot(0)
    session.advance("A")
    session.load_slot(0)
    assert session.frame == 0
