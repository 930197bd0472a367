"""A RAM search keeps exactly the places that hold every comparison; freezing, patterns, pointers."""

from __future__ import annotations

import operator
import re
import struct

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from frameperfect.errors import RamError
from frameperfect.memory import Domain, Variable
from frameperfect.ram import Freezer, PointerScan, RamSearch, find_pattern
from tests.ram_machine import Ball, Block

COMPARE = {"=": operator.eq, "!=": operator.ne, "<": operator.lt, "<=": operator.le, ">": operator.gt,
           ">=": operator.ge}  # fmt: skip
TYPES = [f"{order}{kind}{width}" for kind in "ui" for width in (1, 2, 4, 8) for order in ("<", ">")]
TYPES += ["<f4", ">f4", "<f8", ">f8", "d1", "<d2", ">d2", "<d4", ">d4", "n1", ">n2"]


def block(data: np.ndarray, swap: int = 1, base: int = 0x1000) -> Block:
    """A machine whose console bytes are `data`, kept as a core with this word swap keeps them."""
    view = data[np.arange(len(data)) ^ (swap - 1)].copy()
    return Block([Domain("ram", len(data), base, swap)], [view])


def refill(machine: Block, data: np.ndarray) -> None:
    swap = machine.domains["ram"].swap
    machine.memory["ram"][:] = data[np.arange(len(data)) ^ (swap - 1)]


def decode(data: bytes, kind: str) -> float | int | None:
    """The value as a person would read it off a hex dump; None where it is no number."""
    order, letter, width = kind[:-2] or "<", kind[-2], int(kind[-1])
    if letter in "dn":
        digits = data if order == ">" else data[::-1]
        text = "".join(f"{byte:02x}" if letter == "d" else f"{byte:x}" for byte in digits)
        return int(text) if text.isdigit() and len(text) == width * (2 if letter == "d" else 1) else None
    if letter == "f":
        value = struct.unpack(order + {4: "f", 8: "d"}[width], data)[0]
        return value if np.isfinite(value) else None
    signed = letter == "i" or width == 8  # as everywhere here: integers are int64
    return int.from_bytes(data, "big" if order == ">" else "little", signed=signed)


def oracle(now: np.ndarray, then: np.ndarray, kind: str, align: int, holds, by: int = 0) -> list[int]:
    width = int(kind[-1])
    kept = []
    for place in range(0, len(now) - width + 1, align):
        a = decode(now[place : place + width].tobytes(), kind)
        b = decode(then[place : place + width].tobytes(), kind)
        if a is not None and b is not None and holds(a, b + by):
            kept.append(0x1000 + place)
    return kept


# Bytes that are often equal, and often decimal digits, so that every comparison holds somewhere.
memories = st.integers(0, 2**32 - 1).flatmap(
    lambda seed: st.tuples(
        st.just(seed), st.sampled_from([16, 24, 72, 1040, 2056]), st.sampled_from([(0, 4), (0, 256), (0, 10)])
    )
)


def two_moments(seed: int, size: int, span: tuple[int, int]) -> tuple[np.ndarray, np.ndarray]:
    random = np.random.default_rng(seed)
    first = random.integers(*span, size).astype(np.uint8)
    second = np.where(random.random(size) < 0.7, first, random.integers(*span, size)).astype(np.uint8)
    return first, second


@settings(max_examples=150, deadline=None)
@given(memories, st.sampled_from(TYPES), st.sampled_from(list(COMPARE)), st.sampled_from([1, 2, 3, 4]),
       st.sampled_from([1, 2, 4, 8]), st.sampled_from([0, 0, 1, -3]))  # fmt: skip
def test_a_comparison_with_the_previous_snapshot_keeps_what_plain_python_keeps(
    memory, kind, relation, align, swap, by
):
    assume(not (by and "f" in kind))
    first, second = two_moments(*memory)
    machine = block(first, swap)
    search = RamSearch(machine, type=kind, align=align)
    refill(machine, second)
    count = search.keep(relation, by=by)
    # Eight bytes count modulo 2**64: a difference that overflows is not a question anyone asks.
    assume(not (by and kind[-1] == "8"))
    expected = oracle(second, first, kind, align, COMPARE[relation], by)
    assert search.addresses() == expected
    assert count == search.count == len(expected)


@settings(max_examples=80, deadline=None)
@given(memories, st.sampled_from(TYPES), st.sampled_from(list(COMPARE)), st.integers(-3, 300))
def test_a_comparison_with_a_number_keeps_what_plain_python_keeps(memory, kind, relation, number):
    _, now = two_moments(*memory)
    search = RamSearch(block(now), type=kind)
    search.keep(relation, number)
    assert search.addresses() == oracle(now, now, kind, 1, lambda a, _: COMPARE[relation](a, number))


@settings(max_examples=60, deadline=None)
@given(memories, st.sampled_from([t for t in TYPES if "f" not in t]), st.integers(1, 9), st.integers(0, 300))
def test_between_and_modulo_keep_what_plain_python_keeps(memory, kind, divisor, low):
    _, now = two_moments(*memory)
    search = RamSearch(block(now), type=kind)
    search.between(low, low + 20)
    assert search.addresses() == oracle(now, now, kind, 1, lambda a, _: low <= a <= low + 20)
    search.undo()
    search.modulo(divisor, divisor - 1)
    assert search.addresses() == oracle(now, now, kind, 1, lambda a, _: a % divisor == divisor - 1)


@settings(max_examples=40, deadline=None)
@given(st.lists(st.sampled_from(["=", "!=", "<", ">"]), min_size=1, max_size=6), st.integers(0, 2**32 - 1))
def test_undo_and_redo_walk_through_the_same_candidates(relations, seed):
    random = np.random.default_rng(seed)
    machine = block(random.integers(0, 3, 200).astype(np.uint8))
    search = RamSearch(machine)
    seen = [search.addresses()]
    for relation in relations:
        refill(machine, random.integers(0, 3, 200).astype(np.uint8))
        search.keep(relation)
        seen.append(search.addresses())
    for before in seen[-2::-1]:
        search.undo()
        assert search.addresses() == before
    for after in seen[1:]:
        search.redo()
        assert search.addresses() == after
    with pytest.raises(RamError, match="nothing to redo"):
        search.redo()


def test_a_search_undone_compares_with_the_snapshot_before_it_again():
    machine = block(np.zeros(16, np.uint8))
    search = RamSearch(machine)
    machine.memory["ram"][3] = 5
    search.decreased()
    search.undo()
    assert search.increased() == 1 and search.addresses() == [0x1003]


def test_snapshots_have_names_and_other_addresses_can_be_compared_with():
    machine = block(np.arange(16, dtype=np.uint8))
    search = RamSearch(machine)
    machine.memory["ram"][5] = 99
    search.mark("hit")
    machine.memory["ram"][5] = 5
    assert search.keep("!=", "hit") == 1 and search.addresses() == [0x1005]
    search.undo()
    assert search.keep("<", at=0x1004) == 4
    search.undo()
    assert search.keep("=", "first") == 16
    with pytest.raises(RamError, match=r"there are previous, first, hit"):
        search.keep("=", "hti")


def test_fixed_point_values_are_searched_for_in_their_own_unit():
    data = np.zeros(16, np.uint8)
    data[4:6] = (0x01, 0x80)  # 1.5 of 8 fraction bits, big-endian
    search = RamSearch(block(data), type=">u2", scale=256, align=2)
    search.keep("=", 1.5)
    assert [(one.address, one.value) for one in search.candidates()] == [(0x1004, 1.5)]
    with pytest.raises(RamError, match="no value of type >u2"):
        search.keep("=", 1.0001)


def test_a_search_says_what_it_can_not_do():
    machine = block(np.zeros(16, np.uint8))
    for make, message in (
        (lambda: RamSearch(machine, "vram"), "no domain 'vram'; it has ram"),
        (lambda: RamSearch(machine, type="<u3"), "1, 2, 4 or 8 bytes"),
        (lambda: RamSearch(machine, type="w2"), "is no type"),
        (lambda: RamSearch(machine).keep("~"), "no relation"),
        (lambda: RamSearch(machine).undo(), "nothing to undo"),
        (lambda: RamSearch(machine).modulo(4, 4), "leaves 0 to 3"),
    ):
        with pytest.raises(RamError, match=re.escape(message)):
            make()


def test_a_frozen_variable_stays_and_a_thawed_one_moves():
    machine = Ball()
    x = Variable("x", 0x8010, ">u2", scale=256)
    freezer = Freezer(machine)
    freezer.freeze(x, 50)
    freezer.advance("Right", 20)
    assert x.read(machine) == 50
    freezer.thaw("x")
    freezer.advance("Right", 20)
    assert x.read(machine) > 50


@settings(max_examples=100, deadline=None)
@given(st.binary(min_size=8, max_size=300), st.data())
def test_a_pattern_is_found_wherever_a_regular_expression_finds_it(content, data):
    content = content + b"\0" * (-len(content) % 4)
    start = data.draw(st.integers(0, len(content) - 4))
    digits = list(content[start : start + data.draw(st.integers(1, 4))].hex())
    for place in data.draw(st.sets(st.integers(0, len(digits) - 1), max_size=len(digits) - 1)):
        digits[place] = "?"
    text = "".join(digits)
    pattern = " ".join(text[i : i + 2] for i in range(0, len(text), 2))
    wanted = re.compile("(?=" + text.replace("?", "[0-9a-f]") + ")")
    expected = [0x1000 + m.start() // 2 for m in wanted.finditer(content.hex()) if m.start() % 2 == 0]
    machine = block(np.frombuffer(content, np.uint8), swap=2)
    assert find_pattern(machine, pattern) == expected
    assert 0x1000 + start in expected


@pytest.mark.parametrize("pattern", ["", "?? ??", "A", "xy", "A9 8"])
def test_what_is_no_pattern_is_refused(pattern):
    with pytest.raises(RamError):
        find_pattern(block(np.zeros(8, np.uint8)), pattern)


def heap(place: int, root: int = 0x1100) -> Block:
    """A game that keeps its player at `place`, behind a pointer in an object that `root` points to."""
    data = np.random.default_rng(place).integers(0, 256, 4096).astype(np.uint8)
    machine = Block([Domain("ram", 4096, 0x1000, pointer="<u2", address_bits=16)], [data])
    for at, target in ((root, 0x1400 + place), (0x1400 + place + 8, 0x1800 + 2 * place)):
        data[at - 0x1000 : at - 0x1000 + 2] = (target & 0xFF, target >> 8)
    data[0x800 + 2 * place + 6] = 42
    return machine


def test_a_pointer_chain_survives_a_restart_and_chance_does_not():
    scan = PointerScan(heap(0), 0x1806, depth=2, reach=0x20)
    by_chance = len(scan.chains)
    assert (0x1100, 8, 6) in scan.chains
    for place in (16, 64, 144):
        scan.machine = machine = heap(place)
        scan.keep(0x1806 + 2 * place)
        assert scan.variable("hp", "u1", (0x1100, 8, 6)).read(machine) == 42
    assert scan.chains == [(0x1100, 8, 6)] and by_chance > 1
