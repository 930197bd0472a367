"""Machines and pools in worker processes."""

from __future__ import annotations

import gc
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from frameperfect.errors import MachineCrashed, MachineError, StateMismatch, Unsupported
from frameperfect.machine import Machine, MachineSpec, PortInput, open_machine
from frameperfect.memory import Span
from frameperfect.pool import PoolSettings, Video
from frameperfect.workers import IsolatedMachine, WorkerPool
from frameperfect.workers.protocol import pack_port, unpack_port
from tests.components import need

need("ale_py")

BREAKOUT = MachineSpec("atari", name="breakout")
SPANS = (Span("ram", 0, 128, raw=True), Span("ale", 0, 6))


@pytest.fixture(scope="module")
def pair():
    """The same machine here and in a worker."""
    here, there = open_machine(BREAKOUT), IsolatedMachine(BREAKOUT)
    yield here, there
    here.close()
    there.close()


def pool_of(workers: int, size: int = 4, video: Video | None = None, sticky: float = 0.0) -> WorkerPool:
    asked = PoolSettings(frame_skip=4, sticky=sticky, spans=SPANS, video=video, threads=1)
    return WorkerPool(BREAKOUT, size, asked, workers=workers)


# -- one machine -----------------------------------------------------------------------------------


@settings(max_examples=10, deadline=None)
@given(run=st.lists(st.tuples(st.integers(0, 31), st.integers(1, 6)), max_size=20), cut=st.integers(0, 20))
def test_an_isolated_machine_is_the_machine(pair, run, cut):
    here, there = pair
    here.reset()
    there.reset()
    states = []
    for place, (mask, frames) in enumerate(run):
        here.advance(mask, frames)
        there.advance(mask, frames)
        if place == cut:
            states = [here.save(), there.save()]
    assert (there.frame, there.hash()) == (here.frame, here.hash())
    assert np.array_equal(there.screen(), here.screen())
    if states:
        here.restore(states[1])
        there.restore(states[0])
        assert (there.frame, there.hash()) == (here.frame, here.hash())
        assert np.array_equal(there.screen(), here.screen())


def test_it_shows_what_the_machine_shows(pair):
    here, there = pair
    for name in ("controllers", "capabilities", "fingerprint", "frame_rate", "domains", "spec"):
        assert getattr(there, name) == getattr(here, name)


def test_writes_go_through_and_read_only_memory_stays_so(pair):
    _, there = pair
    there.reset()
    there.memory["ram"][57] = 2
    state = there.save()
    there.reset()
    there.restore(state)
    assert there.memory["ram"][57] == 2
    with pytest.raises(ValueError, match="read-only"):
        there.memory["ale"][0] = 1


def test_the_emulators_own_states_travel(pair):
    here, there = pair
    here.reset()
    here.advance("Fire", 30)
    there.import_state(here.export_state())
    assert np.array_equal(there.memory["ram"], here.memory["ram"])
    assert len(there.export_state()) == len(here.export_state())


def test_errors_keep_their_type(pair):
    _, there = pair
    before = there.hash()
    with pytest.raises(StateMismatch):
        there.restore(b"nothing")
    with pytest.raises(StateMismatch):
        there.import_state(b"nothing")
    with pytest.raises(Unsupported, match="RESET_BUTTON"):
        there.press_reset()
    with pytest.raises(Unsupported, match="no axes"):
        there.advance(PortInput(0, axes=(1, 2)))
    assert there.hash() == before
    with pytest.raises(MachineError, match="did you mean 'breakout'"):
        IsolatedMachine(MachineSpec("atari", name="brakeout"))
    with pytest.raises(MachineError, match="no machine 'n64x'"):
        IsolatedMachine(MachineSpec("n64x"))


@given(
    st.integers(0, 2**32 - 1),
    st.lists(st.integers(-32768, 32767), max_size=4),
    st.none() | st.tuples(st.integers(-9, 9), st.integers(-9, 9), st.integers(0, 1)),
)
def test_analog_inputs_survive_the_journey(buttons, axes, pointer):
    port = PortInput(buttons, tuple(axes), pointer)
    assert unpack_port(b"xx" + pack_port(port), 2) == port


def test_a_crash_raises_and_the_parent_lives():
    with IsolatedMachine(BREAKOUT) as machine:
        machine.advance("Fire", 3)
        os.kill(machine.worker.pid, signal.SIGSEGV)
        with pytest.raises(MachineCrashed, match="SIGSEGV"):
            machine.advance("Fire", 3)
        with pytest.raises(MachineCrashed, match="SIGSEGV"):
            machine.save()
        assert machine.memory["ram"].size == 128  # what was seen last can still be looked at


CRASHING_BACKEND = """
import ctypes, os, sys
from frameperfect.errors import MachineCrashed
from frameperfect.machines.atari import AtariMachine
from frameperfect.pool import MachinePool

class Machine(AtariMachine):
    died = False

    def _advance(self, masks, analog, frames):
        super()._advance(masks, analog, frames)
        if masks and masks[0] == 2:
            self.died = True
        if self.died:
            raise MachineCrashed("its own process is gone")
        if masks and masks[0] == 1:
            os.write(2, b"[core] bad opcode 0xFF at 0x1234\\n")
            ctypes.string_at(0)

def open(spec):
    return Machine(spec)

def pool(spec, size, settings):
    return MachinePool(lambda: Machine(spec), size, settings)
"""


@pytest.fixture
def crashing(tmp_path, monkeypatch):
    """An entry point's backend, whose machine crashes when Up is pressed and raises at Down."""
    metadata = tmp_path / "crashing-1.dist-info"
    metadata.mkdir()
    (metadata / "METADATA").write_text("Metadata-Version: 2.1\nName: crashing\nVersion: 1\n")
    (metadata / "entry_points.txt").write_text("[frameperfect.machines]\ncrashing = crashing_backend\n")
    (tmp_path / "crashing_backend.py").write_text(CRASHING_BACKEND)
    monkeypatch.syspath_prepend(str(tmp_path))
    return MachineSpec("crashing", name="breakout")


def test_a_crash_tells_the_cores_last_words(crashing):
    with IsolatedMachine(crashing) as machine:
        machine.advance(0, 5)
        with pytest.raises(MachineCrashed, match=r"SIGSEGV.*\[core\] bad opcode 0xFF"):
            machine.advance(1)


# -- a pool ----------------------------------------------------------------------------------------


def play(pool: WorkerPool, steps: int, seed: int = 0) -> list[bytes]:
    rng = np.random.default_rng(seed)
    seen = []
    for _ in range(steps):
        pool.step(rng.integers(32, size=(pool.size, 1)).astype(np.uint32))
        seen.append(pool.rows.tobytes() + pool.inputs.tobytes())
        if pool.pixels is not None:
            seen.append(pool.pixels.tobytes())
    return seen


def test_a_pool_plays_the_same_with_any_number_of_workers():
    runs = []
    for workers in (1, 2, 3):
        pool = pool_of(workers, size=3, video=Video(), sticky=0.25)
        pool.reset(range(3), [None] * 3, [11, 12, 13])
        runs.append(play(pool, 12))
        pool.close()
    assert runs[0] == runs[1] == runs[2]


def test_members_can_be_saved_restored_and_started_from_states():
    pool = pool_of(2, size=3, video=Video(), sticky=0.25)
    try:
        play(pool, 5)
        members = [pool.save(index) for index in range(3)]
        ahead = play(pool, 5, seed=1)
        for index in range(3):
            pool.restore(index, members[index])
        assert play(pool, 5, seed=1) == ahead
        start = pool.machine(2).save()
        pool.reset([0, 2], [start, None], [5, 6])
        with open_machine(BREAKOUT) as machine:
            assert pool.rows[2].tobytes() == rows_of(machine)
            machine.restore(start)
            assert pool.rows[0].tobytes() == rows_of(machine)
        with pytest.raises(StateMismatch):
            pool.restore(1, members[1][:-1])
    finally:
        pool.close()


def rows_of(machine: Machine) -> bytes:
    return machine.memory["ram"].tobytes() + machine.memory["ale"].tobytes()


def test_machines_that_are_not_active_stand_still():
    pool = pool_of(2)
    try:
        before = pool.rows.copy()
        masks = np.full((4, 1), 16, np.uint32)
        pool.step(masks, np.array([False, False, False, True]))
        assert np.array_equal(pool.rows[:3], before[:3])
        assert not np.array_equal(pool.rows[3], before[3])
    finally:
        pool.close()


def test_a_member_is_a_machine_and_what_is_written_there_is_played():
    pool = pool_of(2)
    try:
        machine = pool.machine(3)
        machine.memory["ram"][57] = 1
        pool.step(np.zeros((4, 1), np.uint32))
        assert pool.rows[3, 57] == 1
        assert machine.frame == 4
        assert rows_of(machine) == pool.rows[3].tobytes()
        assert machine.screen().shape == (210, 160, 3)
    finally:
        pool.close()


def test_a_dead_worker_loses_its_machines_alone_and_is_replaced():
    pool = pool_of(2)
    try:
        play(pool, 2)
        others = pool.rows[2:].copy()
        os.kill(pool.machine(0).worker.pid, signal.SIGKILL)
        with pytest.raises(MachineCrashed, match="SIGKILL") as crash:
            pool.step(np.full((4, 1), 16, np.uint32))
        assert crash.value.indices == (0, 1)
        assert not np.array_equal(pool.rows[2:], others)
        for index in crash.value.indices:
            pool.replace(index)
        pool.reset([0, 1], [None, None], [0, 0])
        assert pool.rows[0].tobytes() == pool.rows[1].tobytes()
        play(pool, 3)
    finally:
        pool.close()


def test_one_member_of_a_living_worker_can_crash_and_be_replaced(crashing):
    pool = WorkerPool(crashing, 4, PoolSettings(spans=SPANS[:1]), workers=2)
    try:
        for _ in range(2):
            before = pool.rows.copy()
            with pytest.raises(MachineCrashed, match="its own process is gone") as crash:
                pool.step(np.array([[16], [16], [2], [16]], np.uint32))
            assert crash.value.indices == (2,)
            assert not np.array_equal(pool.rows[3], before[3])
            pool.replace(2)
            pool.reset([2], [None], [0])
    finally:
        pool.close()


def test_a_pool_that_cannot_be_opened_says_why_and_leaves_nothing():
    before = open_files()
    with pytest.raises(MachineError, match="no game"):
        WorkerPool(MachineSpec("atari", name="nonesuch"), 4, PoolSettings(), workers=2)
    assert open_files() == before


# -- what is left behind ---------------------------------------------------------------------------


def open_files() -> int:
    gc.collect()
    return len(os.listdir("/proc/self/fd"))  # noqa: PTH208


def children() -> set[int]:
    return {int(pid) for pid in Path(f"/proc/self/task/{os.getpid()}/children").read_text().split()}


def test_nothing_is_left_behind():
    before = open_files(), children(), set(os.listdir("/dev/shm"))  # noqa: PTH208
    for crash in (False, True):
        machine = IsolatedMachine(BREAKOUT)
        machine.advance("Fire", 5)
        if crash:
            os.kill(machine.worker.pid, signal.SIGABRT)
            with pytest.raises(MachineCrashed):
                machine.advance()
        machine.close()
        machine.close()
        pool = pool_of(2)
        play(pool, 2)
        if crash:
            os.kill(pool.machine(3).worker.pid, signal.SIGABRT)
        pool.close()
        pool.close()
        del machine, pool
    assert (open_files(), children(), set(os.listdir("/dev/shm"))) == before  # noqa: PTH208


def test_workers_do_not_outlive_a_parent_that_is_killed_and_ctrl_c_is_quiet():
    script = (
        "import os, signal, time\n"
        "from frameperfect.machine import MachineSpec\n"
        "from frameperfect.workers import IsolatedMachine\n"
        "m = IsolatedMachine(MachineSpec('atari', name='breakout'))\n"
        "os.killpg(0, signal.SIGINT) if os.environ.get('INTERRUPT') else None\n"
        "print(m.worker.pid, flush=True)\n"
        "time.sleep(100)\n"
    )
    parent = subprocess.Popen(
        [sys.executable, "-W", "ignore", "-c", script],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    assert parent.stdout is not None and parent.stderr is not None
    worker = int(parent.stdout.readline())
    os.killpg(parent.pid, signal.SIGINT)
    _, complaint = parent.communicate(timeout=60)
    assert complaint.count("Traceback") == 1  # the parent's own
    with pytest.raises(ProcessLookupError):
        for _ in range(600):
            os.kill(worker, 0)
            time.sleep(0.01)
