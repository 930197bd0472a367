"""Variables and layouts read what the bytes say: scalar, batch and an independent slow reference agree."""

from __future__ import annotations

import math
import struct
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from frameperfect.errors import GameError
from frameperfect.game.rules import Rules
from frameperfect.layout import Layout
from frameperfect.memory import Domain, Reader, Span, Variable

ORDERS = ("<", ">", "|", "=", "<>", "><")
types = st.one_of(
    st.tuples(st.sampled_from(ORDERS), st.sampled_from("uidn"), st.integers(1, 8)),
    st.tuples(st.sampled_from("<>|="), st.just("f"), st.sampled_from((2, 4, 8))),
).map(lambda parts: "".join(map(str, parts)))


@st.composite
def variables(draw: st.DrawFn, name: str, size: int) -> Variable:
    text = draw(types)
    width = int(text[-1])
    extra: dict[str, Any] = {}
    if text[-2] != "f":
        extra = draw(
            st.one_of(
                st.just({}),
                st.fixed_dictionaries(
                    {"mask": st.integers(1, 256**width // 2 - 1) | st.integers(-(1 << 20), -1)}
                ),
                st.fixed_dictionaries({"bit": st.integers(0, 8 * width - 1)}),
            )
        )
    scale = draw(st.sampled_from((1, 1, 256, 10, 0.5)))
    return Variable(name, draw(st.integers(0, size - width)), text, scale=scale, **extra)


def reference(variable: Variable, data: bytes) -> float:
    """The value by the letter of the type's definition: bytes sorted by significance, then digits summed."""
    *order, kind, _ = variable.type
    text, width = "".join(order), len(data)
    half = width // 2
    if text == ">":
        little = data[::-1]
    elif text == "<>":  # the first half is the less significant; within it the first byte is the more
        little = bytes(reversed(data[:half])) + bytes(reversed(data[half:]))
    elif text == "><":
        little = data[half:] + data[:half]
    else:
        little = data
    raw: float
    if kind == "f":
        raw = struct.unpack({2: "<e", 4: "<f", 8: "<d"}[width], little)[0]
        raw = raw if math.isfinite(raw) else 0.0
    elif kind == "u":
        raw = int.from_bytes(little, "little")
        raw = raw - (1 << 64) if raw >= 1 << 63 else raw
    elif kind == "i":
        raw = int.from_bytes(little, "little", signed=True)
    elif kind == "d":
        raw = int("".join(f"{(b >> 4) % 10}{(b & 15) % 10}" for b in reversed(little)))
    else:
        raw = int("".join(f"{(b & 15) % 10}" for b in reversed(little)))
    if variable.mask is not None:
        raw = int(raw) & variable.mask
    if variable.bit is not None:
        raw = 1 if int(raw) & 1 << variable.bit else 0
    return raw if variable.scale == 1 else float(raw) / variable.scale


def machine(domains: dict[str, Domain], memory: dict[str, np.ndarray]) -> Any:
    return SimpleNamespace(domains=domains, memory=memory)


@given(st.data(), st.integers(1, 4))
@settings(max_examples=60, deadline=None)
def test_rules_read_from_a_row_what_a_batch_decodes_and_a_slow_reader_reads(
    data: st.DataObject, swap: int
) -> None:
    swap = {1: 1, 2: 2, 3: 4, 4: 8}[swap]
    size = 24
    names = [f"v{i}" for i in range(data.draw(st.integers(1, 6)))]
    chosen = {name: data.draw(variables(name, size)) for name in names}
    domains = {"ram": Domain("ram", size, base=0, swap=swap)}
    layout = Layout(chosen, domains, raw=[Span("ram", 0, 3, raw=True)])
    console = np.frombuffer(data.draw(st.binary(min_size=3 * size, max_size=3 * size)), np.uint8).reshape(
        3, size
    )
    rows = np.stack(
        [np.concatenate([ram[s.offset : s.offset + s.length] for s in layout.spans]) for ram in console]
    )
    columns = layout.decode(rows)
    rules = Rules(chosen, domains).scalar()
    for row, ram, n in zip(rows, console, range(3), strict=True):
        rules.begin(row)
        values = list(rules.values().values())
        view = np.empty(size, np.uint8)
        view[np.arange(size) ^ (swap - 1)] = ram
        here = machine(domains, {"ram": view})
        assert Reader(chosen).read(here) == dict(zip(names, values, strict=True))
        for name, value in zip(names, values, strict=True):
            v = chosen[name]
            expected = reference(v, ram[v.address : v.address + int(v.type[-1])].tobytes())
            assert value == expected == columns[name][n] == v.read(here)
            assert isinstance(value, int) == isinstance(expected, int) == (columns[name].dtype == np.int64)
            if v.bounds is not None:
                assert v.bounds[0] <= value <= v.bounds[1]


@given(st.data())
@settings(max_examples=60, deadline=None)
def test_what_is_written_reads_back_and_other_bits_stay(data: st.DataObject) -> None:
    ram = np.frombuffer(data.draw(st.binary(min_size=32, max_size=32)), np.uint8).copy()
    v = data.draw(variables("v", 32))
    here = machine({"ram": Domain("ram", 32, swap=2)}, {"ram": ram})
    source = np.frombuffer(data.draw(st.binary(min_size=32, max_size=32)), np.uint8).copy()
    assume(v.scale in (1, 256, 0.5) or int(v.type[-1]) <= 6)  # beyond, value * scale / scale may round
    assume(v.scale == 1 or int(v.type[-1]) < 8 or v.type[-2] == "f")
    value = v.read(machine(here.domains, {"ram": source}))
    before = ram.copy()
    v.write(here, value)
    assert v.read(here) == value
    places = {(v.address + i) ^ 1 for i in range(int(v.type[-1]))}
    assert all(before[i] == ram[i] for i in range(32) if i not in places)


def test_console_addresses_find_their_domain_even_when_wider_than_the_bus() -> None:
    domains = {
        "ram": Domain("ram", 0x10000, base=0xFF0000, swap=2, address_bits=24),
        "sram": Domain("sram", 16, base=0x200000, address_bits=24),
    }
    assert Variable("x", 0xFFFE00, ">u2").span(domains) == Span("ram", 0xFE00, 2)
    assert Variable("x", 0xFFFFFE00, ">u2").span(domains) == Span("ram", 0xFE00, 2)
    assert Variable("x", 0x200004).span(domains) == Span("sram", 4, 1)
    assert Variable("x", 4, domain="sram").span(domains) == Span("sram", 4, 1)
    with pytest.raises(GameError, match=r"'x': address 0x10 lies in no domain .*ram 0xff0000-0xffffff"):
        Variable("x", 0x10).span(domains)
    with pytest.raises(GameError, match="over the end of domain 'ram'"):
        Variable("x", 0xFFFFFF, ">u2").span(domains)


def test_a_pointer_chain_is_followed_at_each_read() -> None:
    domains = {"ram": Domain("ram", 64, base=0x80, pointer="<u2")}
    ram = np.zeros(64, np.uint8)
    ram[0x10:0x12] = (0xA0, 0x00)  # 0x90 -> 0xA0
    ram[0x24:0x26] = (0xB0, 0x00)  # 0xA0 + 4 -> 0xB0
    ram[0x36] = 77  # 0xB0 + 6
    v = Variable("hp", pointer=(0x90, 4, 6))
    assert v.span(domains) == Span("ram", 0x10, 1, hops=((2, False, 4), (2, False, 6)))
    here = machine(domains, {"ram": ram})
    assert v.read(here) == 77
    v.write(here, 5)
    assert ram[0x36] == 5
    ram[0x10] = 0  # now it leads out of memory
    assert v.read(here) == 0
    with pytest.raises(GameError, match="pointer leads out"):
        v.write(here, 5)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"address": 0, "type": "u2"}, "'u2' needs a byte order: '<u2'"),
        ({"address": 0, "type": "<u9"}, "'<u9' is no type"),
        ({"address": 0, "type": "<f3"}, "floats are 2, 4 or 8 bytes"),
        ({}, "either 'address' or 'pointer'"),
        ({"address": 0, "bit": 8}, "a u1 has bits 0 to 7"),
        ({"address": 0, "bit": 1, "mask": 1}, "either 'mask' or 'bit'"),
        ({"address": 0, "scale": 0}, "'scale' is 0"),
        ({"pointer": (4,)}, "at least one offset"),
    ],
)
def test_a_wrong_variable_says_what_is_wrong(fields: dict[str, Any], message: str) -> None:
    with pytest.raises(GameError, match=f"variable 'lives': .*{message}"):
        Variable("lives", **fields)


def test_a_value_that_does_not_fit_is_refused_and_nothing_is_written() -> None:
    ram = np.zeros(4, np.uint8)
    here = machine({"ram": Domain("ram", 4)}, {"ram": ram})
    for type_, value in (("u1", 256), ("u1", -1), ("<i2", 40000), ("d1", 100)):
        with pytest.raises(GameError, match="does not fit"):
            Variable("v", 0, type_).write(here, value)
    assert not ram.any()


def test_reading_all_follows_pointers_writes_and_new_views() -> None:
    domains = {"ram": Domain("ram", 64, base=0x80, pointer="<u2")}
    here = machine(domains, {"ram": np.zeros(64, np.uint8)})
    chosen = {
        "x": Variable("x", 0x80, ">u2"),
        "hp": Variable("hp", pointer=(0x90, 1)),
        "f": Variable("f", 0xA0, "<f4"),
    }
    reader = Reader(chosen)
    assert reader.read(here) == {"x": 0, "hp": 0, "f": 0.0}
    here.memory["ram"][:2] = 1
    here.memory["ram"][0x10:0x14] = (0x82, 0, 0, 5)
    here.memory["ram"][3] = 9
    assert reader.read(here) == {"x": 257, "hp": 9, "f": 0.0}
    here.memory["ram"] = np.full(64, 2, np.uint8)  # as after a power cycle
    assert reader.read(here)["x"] == 514 == chosen["x"].read(here)
