"""Expanding states is what restoring, advancing and saving a machine is, on any number of threads."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from frameperfect._native import HashSet, InputTrie, StateStore, hash_rows, mix_words
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import frameperfect
from frameperfect.errors import SearchError, Unsupported
from frameperfect.expand import Expander, MachineExpander, all_memory, require_search
from frameperfect.machine import Capability, Machine, MachineSpec, backend, open_machine
from tests.components import need
from tests.roms import ROMS

need("stable_retro")
SYSTEMS = ("Nes", "Genesis", "Snes", "GameBoy", "PCEngine", "Atari2600", "GbAdvance")
MEMORY = 64 << 20

Job = tuple[int, int, int]  # of which state so far, mask, frames
jobs = st.lists(
    st.lists(st.tuples(st.integers(0, 99), st.integers(0, 255), st.integers(1, 3)), min_size=1, max_size=12),
    min_size=1,
    max_size=4,
)


@pytest.fixture(scope="module", params=SYSTEMS)
def spec(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> MachineSpec:
    return MachineSpec("libretro", ROMS[request.param].write(tmp_path_factory.mktemp("roms")))


@pytest.fixture(scope="module")
def machine(spec: MachineSpec) -> Iterator[Machine]:
    with open_machine(spec) as opened:
        yield opened


@pytest.fixture(scope="module")
def expander(spec: MachineSpec, machine: Machine) -> Iterator[Expander]:
    opened = backend("libretro").expander(spec, all_memory(machine.domains), 2, MEMORY)
    yield opened
    opened.close()


def grow(expander: Expander, generations: list[list[Job]]) -> tuple[list[bytes], list[np.ndarray]]:
    """States and rows of all generations from power-on; every state made so far may be a parent."""
    expander.machine.reset()
    expander.machine.advance(None, 20)
    root, row = expander.capture()
    states, rows = [root], [row]
    ports = len(expander.controllers)
    for generation in generations:
        parents = np.array([states[of % len(states)] for of, _, _ in generation], np.uint32)
        inputs = np.zeros((len(generation), ports), np.uint32)
        inputs[:, 0] = [mask for _, mask, _ in generation]
        frames = np.array([frames for _, _, frames in generation], np.uint32)
        found = expander.expand(parents, inputs, frames)
        states += found.states.tolist()
        rows += list(found.rows)
        expander.store.rebase(states[-1])
    whole = [expander.store.get(state) for state in states]
    expander.store.release(np.array(states, np.uint32))
    assert expander.store.count == 0
    return whole, rows


@given(jobs)
@settings(max_examples=6, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_expanding_is_restoring_advancing_and_saving(
    spec: MachineSpec, expander: Expander, machine: Machine, generations: list[list[Job]]
) -> None:
    _, rows = grow(expander, generations)
    machine.reset()
    machine.advance(None, 20)
    states = [machine.save()]
    hashes = [machine.hash()]
    for generation in generations:
        known = list(states)
        for of, mask, frames in generation:
            machine.restore(known[of % len(known)])
            machine.advance(mask, frames)
            states.append(machine.save())
            hashes.append(machine.hash())
    plain = MachineExpander([open_machine(spec)], expander.spans, MEMORY)
    for state, row, digest in zip(states, rows, hashes, strict=True):
        machine.restore(state)
        assert machine.hash() == digest
        assert np.array_equal(row, np.frombuffer(plain._row(machine), np.uint8))
    plain.close()


@given(jobs)
@settings(max_examples=4, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_threads_and_machines_of_any_kind_give_equal_rows(
    spec: MachineSpec, expander: Expander, generations: list[list[Job]]
) -> None:
    two = grow(expander, generations)
    alone = backend("libretro").expander(spec, expander.spans, 1, MEMORY)
    one = grow(alone, generations)
    alone.close()
    if spec.program is not None and spec.program.suffix == ".nes":
        assert one[0] == two[0]  # other cores' states hold bytes that say nothing of the console
    loop = MachineExpander([open_machine(spec)], expander.spans, MEMORY)
    _, rows = grow(loop, generations)
    loop.close()
    assert np.array_equal(np.array(one[1]), np.array(two[1]))
    assert np.array_equal(np.array(one[1]), np.array(rows))


def test_machines_in_processes_expand_as_one_in_a_loop() -> None:
    need("ale_py")
    generations = [[(i, 1 << i % 5, 3) for i in range(8)], [(i, i, 2) for i in range(16)]]
    found = []
    for isolated in (False, True):
        machines = [frameperfect.open("Pong-Atari", isolated=isolated) for _ in range(2 if isolated else 1)]
        expander = MachineExpander(machines, all_memory(machines[0].domains), MEMORY)
        found.append(grow(expander, generations))
        expander.close()
    assert np.array_equal(np.array(found[0][1]), np.array(found[1][1]))


def test_a_nes_state_needs_no_inputs_of_the_frame_before(tmp_path: Path) -> None:
    with open_machine(MachineSpec("libretro", ROMS["Nes"].write(tmp_path))) as machine:
        dice = np.random.default_rng(0)
        for _ in range(50):
            machine.advance(int(dice.integers(256)))
            whole, own = machine.save(), machine.export_state()
            future = [int(mask) for mask in dice.integers(256, size=3)]
            hashes = []
            for restore, state in ((machine.restore, whole), (machine.core.unserialize, own)):
                restore(state)
                for mask in future:
                    machine.advance(mask)
                hashes.append(machine.hash())
                machine.advance(int(dice.integers(256)))
            assert hashes[0] == hashes[1]


def test_a_full_store_says_so_and_keeps_nothing_of_the_batch(spec: MachineSpec) -> None:
    expander = backend("libretro").expander(spec, (), 2, 1 << 20)
    root, _ = expander.capture()
    count = 4000
    expander.machine.advance(None, 50)
    dice = np.random.default_rng(0)
    with pytest.raises(SearchError, match="MiB that they may; give it more memory"):
        for _ in range(40):  # without a base in force every state is kept whole
            expander.expand(
                np.full(count, root, np.uint32),
                dice.integers(256, size=(count, len(expander.controllers))).astype(np.uint32),
                np.ones(count, np.uint32),
            )
    assert expander.store.bytes <= 1 << 20
    expander.close()


def test_a_machine_that_is_not_deterministic_or_keeps_no_states_is_refused(tmp_path: Path) -> None:
    with open_machine(MachineSpec("libretro", ROMS["Nes"].write(tmp_path))) as machine:
        require_search(machine)
        machine.capabilities &= ~Capability.DETERMINISTIC
        with pytest.raises(Unsupported, match="is not deterministic: equal inputs need not"):
            require_search(machine)
        machine.capabilities &= ~Capability.SAVE
        with pytest.raises(Unsupported, match="can't do SAVE"):
            require_search(machine)


# -- what searches keep ------------------------------------------------------------------------------------


@given(st.lists(st.tuples(st.integers(0, 50), st.integers(0, 1000), st.booleans()), max_size=200))
def test_a_trie_gives_back_the_inputs(steps: list[tuple[int, int, bool]]) -> None:
    trie = InputTrie()
    live: list[tuple[int, list[int]]] = []
    for of, action, drop in steps:
        if drop and live:
            node, _ = live.pop(of % len(live))
            trie.release(np.array([node], np.uint32))
            continue
        node, inputs = live[of % len(live)] if live else (0, [])
        child = trie.extend(np.array([node], np.uint32), np.array([action], np.uint32))
        live.append((int(child[0]), [*inputs, action]))
    again = InputTrie()
    again.load(trie.dump())
    for node, inputs in live:
        assert trie.path(node).tolist() == again.path(node).tolist() == inputs
    trie.release(np.array([node for node, _ in live], np.uint32))
    assert trie.count == 1


@given(st.lists(st.binary(max_size=300), min_size=1, max_size=20), st.integers(0, 19))
def test_a_store_gives_back_states_whatever_they_are_kept_against(states: list[bytes], base: int) -> None:
    store = StateStore(MEMORY)
    ids = []
    for number, state in enumerate(states):
        ids.append(store.put(state))
        if number == base:
            store.rebase(ids[-1])
    assert [store.get(one) for one in ids] == states
    copy = StateStore(MEMORY)
    assert [copy.get(one) for one in copy.unpack(store.pack(np.array(ids, np.uint32)))] == states


def test_states_that_differ_little_take_little() -> None:
    store = StateStore(MEMORY)
    state = np.random.default_rng(0).integers(256, size=100_000).astype(np.uint8)
    base = store.put(state.tobytes())
    store.rebase(base)
    state[[7, 50_000, 99_999]] ^= 1
    other = store.put(state.tobytes())
    assert store.sizes(np.array([other], np.uint32))[0] < 200
    assert store.get(other) == state.tobytes()


@given(st.lists(st.tuples(st.integers(1, 4), st.integers(0, 3)), max_size=60))
def test_a_set_tells_what_is_new_in_order(hashes: list[tuple[int, int]]) -> None:
    told = HashSet().insert(np.array(hashes, np.uint64).reshape(-1, 2))
    assert told.tolist() == [one not in hashes[:place] for place, one in enumerate(hashes)]


def test_hashes_depend_on_the_chosen_bits_alone_and_on_every_one_of_them() -> None:
    dice = np.random.default_rng(0)
    rows = dice.integers(256, size=(1, 40)).astype(np.uint8)
    places, masks = np.array([3, 4, 5, 6, 7, 8, 9, 20, 21], np.uint32), np.full(9, 0x7F, np.uint8)
    first = hash_rows(rows, places, masks, 0)
    for place in range(40):
        for bit in range(8):
            other = rows.copy()
            other[0, place] ^= 1 << bit
            matters = place in places and bit < 7
            assert np.array_equal(hash_rows(other, places, masks, 0), first) != matters
    assert not np.array_equal(hash_rows(rows, places, masks, 1), first)
    words = [mix_words(first, np.array([word], np.uint64)).tobytes() for word in range(1000)]
    assert len(set(words)) == 1000
