"""Patterns, chains of pointers, C++ objects in a program's memory: against slow searches, and in a game."""

from __future__ import annotations

import os
import re
import struct
import textwrap
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import frameperfect as fp
from frameperfect import _native
from frameperfect.errors import GameError, MachineError
from frameperfect.game import load_game
from frameperfect.game.schema import parse_toml
from frameperfect.game.toml import write_toml
from frameperfect.machine import MachineSpec, open_machine
from frameperfect.machines.native.machine import NativeMachine
from frameperfect.memory import Block
from frameperfect.workers.protocol import pack_spec, unpack_spec
from tests.components import need_program

Region = tuple[int, bytes, bool]

few = st.binary(max_size=60).map(lambda data: bytes(byte % 3 for byte in data))  # patterns are found in it
memory = st.lists(few, min_size=1, max_size=4).map(
    lambda parts: [(0x1000 * number + 16, part, True) for number, part in enumerate(parts, 1)]
)
patterns = st.lists(st.one_of(st.integers(0, 2), st.none()), min_size=1, max_size=6).filter(
    lambda pattern: any(byte is not None for byte in pattern)
)


def written(pattern: list[int | None]) -> str:
    return " ".join("??" if byte is None else f"{byte:02x}" for byte in pattern)


@given(memory, patterns, st.integers(1, 5))
def test_a_pattern_is_found_wherever_it_stands_and_nowhere_else(
    regions: list[Region], pattern: list[int | None], most: int
) -> None:
    places = [
        start + at
        for start, data, _ in regions
        for at in range(len(data) - len(pattern) + 1)
        if all(want in (None, have) for want, have in zip(pattern, data[at:], strict=False))
    ]
    assert _native.find_pattern(regions, written(pattern)) == places
    assert _native.find_pattern(regions, written(pattern), most) == places[:most]


@pytest.mark.parametrize("text", ["", "??", "?? ??", "4", "48 8", "4g", "48 ?", "48-8b"])
def test_what_is_no_pattern_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="pattern"):
        _native.find_pattern([(0, b"abc", False)], text)


@given(
    st.sampled_from((4, 8)),
    st.lists(st.integers(0, 15), min_size=16, max_size=16),
    st.integers(0, 15),
    st.lists(st.integers(-3, 3), max_size=6),
)
def test_a_chain_leads_where_reading_it_step_by_step_does(
    width: int, words: list[int], first: int, steps: list[int]
) -> None:
    base = 0x10000
    targets = [0 if word == 0 else base + word * width for word in words]
    regions = [(base, struct.pack("<16" + {4: "I", 8: "Q"}[width], *targets), True)]
    adds = [step * width for step in steps]
    at: int | None = base + first * width
    for add in adds:
        inside = at is not None and 0 <= at - base < 16 * width
        pointer = targets[(at - base) // width] if inside and at is not None else 0
        at = pointer + add if pointer else None
    assert _native.follow_chain(regions, base + first * width, adds, width) == at


class Image:
    """A program of 64 words and its type information, as a compiler lays it out."""

    def __init__(self, width: int, base: int) -> None:
        self.width, self.base = width, base
        self.data = bytearray(0x400)
        self.free = 0x40

    def put(self, *words: int, size: int | None = None) -> int:
        """Words side by side; their address."""
        size = size or self.width
        at = self.free
        for number, word in enumerate(words):
            self.data[at + size * number : at + size * (number + 1)] = word.to_bytes(size, "little")
        self.free = -(-(at + size * len(words)) // 16) * 16
        return self.base + at

    def text(self, name: str) -> int:
        at = self.free
        self.data[at : at + len(name) + 1] = name.encode() + b"\0"
        self.free = -(-(at + len(name) + 1) // 16) * 16
        return self.base + at

    def itanium(self, name: str) -> tuple[int, int]:
        """A class; its table of functions, and a second one that it has for another base."""
        info = self.put(0x1111, self.text(name))
        self.put(0x1111, 0x2222, info)  # a derived class names it as its base
        return self.put(0, info, 1, 2) + 2 * self.width, self.put(-16 % 256, info, 3) + 2 * self.width

    def microsoft(self, name: str) -> tuple[int, int]:
        words = self.put(0x1111, 0)  # a type's own table and a spare word, and its name behind them
        at = words - self.base + 2 * self.width
        self.data[at : at + len(name) + 1] = name.encode() + b"\0"
        self.free = -(-(at + len(name) + 1) // 16) * 16
        wide = self.width == 8
        told = words - self.base if wide else words
        tables = []
        for offset in (0, 8):
            locator = self.put(int(wide), offset, 0, told, 0x77, size=4)
            tables.append(self.put(locator, 1, 2) + self.width)
        return tables[0], tables[1]


@settings(max_examples=60)
@given(
    st.sampled_from(("itanium", "microsoft")),
    st.sampled_from((4, 8)),
    st.sampled_from((0x400000, 0x7FF0000)),
    st.lists(st.sampled_from(("first", "second", "other", "none")), max_size=12),
)
def test_objects_are_found_by_the_name_of_their_class(
    abi: str, width: int, base: int, words: list[str]
) -> None:
    image = Image(width, base)
    names = {"itanium": ("6Player", "9SubPlayer"), "microsoft": (".?AVPlayer@@", ".?AVSubPlayer@@")}[abi]
    first, second = getattr(image, abi)(names[0])
    other, _ = getattr(image, abi)(names[1])
    table = {"first": first, "second": second, "other": other, "none": 0}
    heap = b"".join(table[word].to_bytes(width, "little") for word in words)
    start = 0x9000000
    regions = [(base, bytes(image.data), False), (start, heap, True), (start + 0x1000, b"\0" * 3, True)]
    expected = [start + width * number for number, word in enumerate(words) if word == "first"]
    assert _native.objects_of(regions, names[0], width, base) == expected
    assert _native.objects_of(regions, "6Nobody", width, base) == []


# -- in a game.toml ----------------------------------------------------------------------------------------

HEAD = '[game]\nname = "X"\nmachine = "native"\nprogram = "ddnet-server"\n'


def domain(text: str) -> str:
    return HEAD + textwrap.dedent(f"[domain.player]\nsize = 64\n{text}\n")


def test_a_domain_is_read_and_written_and_handed_on() -> None:
    text = domain('pattern = "48 8b 05 ?? ?? ?? ??"\nat = 3\nrelative = true\nchain = [0x10, -8]')
    definition = parse_toml(text, "game.toml")
    block = definition.domain["player"].build()
    assert block == Block(64, "48 8b 05 ?? ?? ?? ??", 3, True, chain=(16, -8))
    assert parse_toml(write_toml(definition), "again") == definition
    spec = MachineSpec("native", blocks={"player": block})
    assert unpack_spec(pack_spec(spec)) == spec


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "give one of 'pattern', 'rtti', 'image' and 'stack'"),
        ('rtti = "6Player"\nimage = 8', "give one of"),
        ('pattern = "4"', "pattern"),
        ('pattern = "?? ??"', "a byte that is known"),
        ('pattern = "48"\nrelative = true', "'relative' needs 'at'"),
        ("image = 8\nat = 3", "go with 'pattern'"),
        ("stack = 8", "stack"),
        ("image = 8\nchian = [1]", "chain"),
    ],
)
def test_a_domain_that_says_nothing_or_too_much_is_refused(text: str, says: str) -> None:
    with pytest.raises(GameError, match=says):
        parse_toml(domain(text), "game.toml")


def test_other_machines_have_no_such_domains() -> None:
    spec = load_game("Skyrunner-Nes").spec()
    with pytest.raises(MachineError, match=r"libretro machine finds no \[domain\.player\]"):
        open_machine(MachineSpec(spec.backend, spec.program, blocks={"player": Block(4, image=0)}))


# -- in DDNet's server -------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def plain() -> Iterator[NativeMachine]:
    need_program("DDNet-Server", "ddnet-server")
    machine = open_machine(MachineSpec("native", options={"map": "coverage"}))
    assert isinstance(machine, NativeMachine)
    with machine:
        yield machine


def image_of(machine: NativeMachine) -> tuple[int, bytes]:
    """A part of the program's code, from the system: its address and its bytes."""
    for line in Path(f"/proc/{machine.pid}/maps").read_text().splitlines():
        if "r-xp" in line and "DDNet" in line:
            start, end = (int(part, 16) for part in line.split()[0].split("-"))
            with open(f"/proc/{machine.pid}/mem", "rb") as bytes_of:  # noqa: PTH123 - a kernel file
                os.lseek(bytes_of.fileno(), start, os.SEEK_SET)
                return start, os.read(bytes_of.fileno(), end - start)
    raise AssertionError("a program has code")


def test_the_hook_finds_code_where_the_system_says_it_lies(plain: NativeMachine) -> None:
    start, code = image_of(plain)
    calls = [found.start() for found in re.finditer(rb"\x48\x8d\x3d", code)]  # lea rdi, [rip + distance]
    tried = 0
    for at in calls[:: max(1, len(calls) // 40)]:
        around = code[at : at + 3] + b"...." + code[at + 7 : at + 24]
        unique = len(re.findall(re.escape(around).replace(rb"\.", b"."), code, re.DOTALL)) == 1
        text = " ".join("??" if 3 <= i < 7 else f"{byte:02x}" for i, byte in enumerate(code[at : at + 24]))
        found = plain._game.places_of(text)
        assert start + at in found or len(found) == 16
        tried += unique
    assert tried


def test_domains_by_class_and_by_pattern_show_the_players_that_the_machine_shows(tmp_path: Path) -> None:
    need_program("DDNet-Server", "ddnet-server")
    (tmp_path / "game.toml").write_text(
        """
[game]
name = "Domains"
machine = "native"
program = "ddnet-server"
options = { map = "coverage", players = "2" }

[domain.second]                          # the second of the players' objects
rtti = "10CCharacter"
index = 1
size = 0x300
hashed = false

[domain.code]                            # how bytes become bits in its packets: a table in the program
pattern = "00 00 00 40 c1 11 00 00 61 0a 00 00 af 01 00 00"
size = 16

[domain.collision]                       # behind a pointer in the first player's object
rtti = "10CCharacter"
chain = [0]
size = 8
hashed = false

[memory]
x = { domain = "players", address = 160, type = "<i4" }
vx = { domain = "players", address = 168, type = "<i4", scale = 256 }
place = { domain = "second", address = 0x1e8, type = "<f4" }
speed = { domain = "second", address = 0x1f0, type = "<f4" }
code0 = { domain = "code", address = 0, type = "<u4" }
virtual = { domain = "collision", address = 0, type = "<u8" }

[actions]
run = ["", "Right", "Left"]

[observation]
features = ["place", "speed"]

[reward]
way = "delta(place)"

[end]
truncated = "step >= 9"
"""
    )
    with fp.open(tmp_path) as machine:
        for inputs in ("Right", "Left", "Jump"):
            machine.advance(["", inputs], 20)
            told = machine.read_all()
            assert told["x"] == round(told["place"]) and told["vx"] == pytest.approx(told["speed"], abs=0.01)
            assert told["code0"] == 1 << 30 and told["virtual"] != 0
        here, state = machine.read_all(), machine.save()
        machine.advance(["", "Right"], 30)
        assert machine.read("place") != here["place"]
        machine.restore(state)
        assert machine.read_all() == here
    env = fp.make_env(tmp_path, isolated=True, frame_skip=2)
    _, info = env.reset()
    assert info["code0"] == 1 << 30
    env.close()


@pytest.mark.parametrize(
    ("block", "says"),
    [
        (
            Block(4, pattern="00 01 02 03 04 05 06 07 f7 f6 f5"),
            "it is nowhere in the program; is it for another",
        ),
        (Block(4, pattern="48 8b"), "stands in 16 places"),
        (Block(4, rtti="9NoSuchOne"), "0 objects of the class '9NoSuchOne'"),
        (Block(4, rtti="10CCharacter", index=9), "1 objects of the class"),
        (Block(4, stack=-8), "does not know this request"),
        (Block(70000, image=0), "64 KiB in all"),
    ],
)
def test_a_mark_that_is_not_there_is_named(block: Block, says: str) -> None:
    need_program("DDNet-Server", "ddnet-server")
    with pytest.raises(MachineError, match=says):
        open_machine(MachineSpec("native", options={"map": "coverage"}, blocks={"player": block}))


def test_a_pointer_that_leads_nowhere_gives_zeros() -> None:
    need_program("DDNet-Server", "ddnet-server")
    blocks = {"lost": Block(8, rtti="10CCharacter", chain=(1 << 40, 0), hashed=False)}
    with open_machine(MachineSpec("native", options={"map": "coverage"}, blocks=blocks)) as machine:
        machine.advance("Right", 3)
        assert not machine.memory["lost"].any()
