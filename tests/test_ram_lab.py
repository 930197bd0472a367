"""Experiments by savestate find what is known of a game; watch lists and game.toml keep it."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import frameperfect as fp
from frameperfect.errors import GameError, RamError, Unsupported
from frameperfect.machine import Capability
from frameperfect.memory import Domain, Variable
from frameperfect.ram import Lab, add_variables, poke, read_wch, write_wch
from frameperfect.ram.questions import ask
from tests.components import need
from tests.ram_machine import (
    BASE,
    FRAMES,
    LIVES,
    PAD,
    SCORE,
    SCORE_COPY,
    SECONDS,
    SPEED,
    X_COPY,
    Ball,
    Block,
    X,
)

import numpy as np  # isort: skip


@pytest.fixture
def lab() -> Lab:
    machine = Ball()
    machine.advance("Right", 4)
    machine.advance("", 20)
    return Lab(machine)


def test_the_bit_of_the_pad_is_what_changes_if_and_only_if_a_button_is_held(lab: Lab) -> None:
    found = lab.which("Right")
    only = {(one.address, one.bit) for one in found if one.only}
    assert only == {(BASE + PAD, 1)}
    also = {one.address: one.also for one in found}
    assert also[BASE + X] == ("Left",)
    assert BASE + FRAMES not in also and BASE + SCORE not in also


def test_counters_are_found_at_their_width_and_pace(lab: Lab) -> None:
    found = {one.address: one for one in lab.counters()}
    assert found.keys() == {BASE + FRAMES, BASE + SECONDS}
    assert found[BASE + FRAMES].variable.type == "<u2" and "+1 every frame" in found[BASE + FRAMES].why
    assert "-1 every 30 frames" in found[BASE + SECONDS].why


def test_the_position_is_told_from_its_copy_and_read_as_finely_as_it_is_kept(lab: Lab) -> None:
    best, *others = lab.position("Right", "Left")
    assert (best.address, best.variable.type) == (BASE + X, ">u2")
    assert best.poke is not None and best.poke.kept and best.poke.screen > 0
    for other in others:
        assert other.score < best.score / 2
        assert other.address == BASE + X_COPY and other.poke is not None and not other.poke.kept


def test_the_velocity_is_what_the_position_gains_a_frame(lab: Lab) -> None:
    best = lab.velocity("Right", "Left")[0]
    assert (best.address, best.variable.type) == (BASE + SPEED, ">i2")


def test_lives_score_and_clock_are_told_from_each_other(lab: Lab) -> None:
    lives = lab.lives()
    assert lives[0].address == BASE + LIVES and lives[0].poke is not None and lives[0].poke.screen > 0
    score = lab.score()
    assert (score[0].address, score[0].variable.type) == (BASE + SCORE, ">d2")
    copy = next(one for one in score if one.address == BASE + SCORE_COPY)
    assert copy.poke is not None and not copy.poke.kept and copy.score < score[0].score / 2
    timer = lab.timer()
    assert [one.address for one in timer[:1]] == [BASE + SECONDS]


def test_an_experiment_leaves_the_machine_at_its_moment_and_says_the_same_again(lab: Lab) -> None:
    before = lab.machine.hash()
    first = [
        ask(lab, question, "Right" if question == "which" else "") for question in ("which", "lives", "score")
    ]
    assert lab.machine.hash() == before and lab.machine.save() == lab.here
    again = Lab(lab.machine)
    assert [ask(again, q, "Right" if q == "which" else "") for q in ("which", "lives", "score")] == first


def test_a_poke_that_nothing_reads_is_kept_and_not_shown(lab: Lab) -> None:
    result = lab.poke(Variable("idle", BASE + 0xF0), 7)
    assert result is not None and result.kept and result.screen == 0 and result.verdict == "kept, not shown"
    assert lab.machine.memory["ram"][0xF0] == 0
    assert poke(lab.machine, lab.here, Variable("idle", BASE + 0xF0), 0) is None


def test_questions_that_make_no_sense_are_refused(lab: Lab) -> None:
    with pytest.raises(RamError, match="did you mean 'score'"):
        ask(lab, "scores")
    with pytest.raises(RamError, match="two buttons"):
        ask(lab, "position", "Right")
    with pytest.raises(RamError, match="which button"):
        lab.which("")
    with pytest.raises(Unsupported, match="no button 'Jump'"):
        lab.which("Jump")
    lab.machine.capabilities &= ~Capability.SAVE
    with pytest.raises(Unsupported, match="SAVE"):
        Lab(lab.machine)


def test_airstrikers_ship_and_lives_are_first() -> None:
    need("stable_retro")
    with fp.open("Airstriker-Genesis", start="level1") as machine:
        lab = Lab(machine)
        best = lab.position("Right", "Left")[0]
        assert (best.address, best.variable.type) == (machine.variables["x"].address, ">u2")
        assert lab.lives()[0].address == machine.variables["lives"].address + 1  # its low byte
        assert machine.variables["score"].address + 3 in [one.address for one in lab.score()[:3]]
        held = [one for one in lab.which("Right") if one.only]
        assert [(one.address, one.bit) for one in held] == [(0xFF0238, 3), (0xFF0239, 3)]


@pytest.mark.parametrize(
    ("game", "question", "offset"),
    # the addresses: AtariARI, https://github.com/mila-iqia/atari-representation-learning
    [("Seaquest-Atari", "position", 70), ("Boxing-Atari", "position", 32), ("Seaquest-Atari", "lives", 59)],
)
def test_what_is_known_of_atari_games_is_found_first(game: str, question: str, offset: int) -> None:
    need("ale_py")
    with fp.open(game) as machine:
        machine.advance("", 90)
        assert ask(Lab(machine), question)[0].address == 0x80 + offset


# -- watch lists -----------------------------------------------------------------------------------------

names = st.from_regex(r"[a-z][a-z0-9_]{0,11}", fullmatch=True).filter(
    lambda n: n.strip("_") == n and "__" not in n
)
plain = st.sampled_from(["u1", "i1", "<u2", ">u2", "<i2", ">i2", "<u4", ">u4", "<i4", ">i4", "<f4", ">f4"])
fixed = st.sampled_from([("<i2", 16), (">i2", 16), ("<i4", 4096), (">i4", 65536)])


@settings(max_examples=100, deadline=None)
@given(st.data())
def test_a_watch_list_reads_back_as_it_was_written(data: st.DataObject) -> None:
    machine = Block([Domain("ram", 0x10000, 0xFF0000), Domain("sram", 256, 1 << 32)],
                    [np.zeros(0x10000, np.uint8), np.zeros(256, np.uint8)])  # fmt: skip
    entries: list[Variable | str] = []
    for name in data.draw(st.lists(names, unique=True, max_size=6)):
        kind, scale = data.draw(st.one_of(plain.map(lambda t: (t, 1)), fixed))
        if data.draw(st.booleans()):
            entries.append(Variable(name, data.draw(st.integers(0xFF0000, 0xFFFFFC)), kind, scale=scale))
        else:
            entries.append(Variable(name, data.draw(st.integers(0, 252)), kind, "sram", scale=scale))
        if data.draw(st.booleans()):
            entries.append(data.draw(st.sampled_from(["", "Enemies"])))
    assert read_wch(write_wch(entries, machine), machine) == entries


def test_a_list_of_bizhawks_is_read_with_its_separators_bus_addresses_and_notes() -> None:
    machine = Ball()
    text = (
        "SystemID NES\r\n0010\tw\tu\t1\tRAM\tX position\r\n0\tS\t_\t1\t\tEnemies\r\n"
        "8040\tb\ts\t0\tSystem Bus\t\r\n"
        "0014\tw\t1\t1\tRAM\tX position\r\nrubbish\r\n0010\td\th\t0\tnowhere\t2nd, raw\r\n"
    )
    x, heading, lives, again, raw = read_wch(text, machine)
    assert x == Variable("x_position", BASE + 0x10, ">u2", about="X position")
    assert heading == "Enemies" and lives == Variable("at_8040", BASE + 0x40, "i1")
    assert again == Variable("x_position_2", BASE + 0x14, ">i2", scale=16, about="X position")
    assert raw == Variable("v_2nd_raw", BASE + 0x10, "<u4", about="2nd, raw")
    with pytest.raises(RamError, match=r"line 1: address 0x1000 lies beyond"):
        read_wch("1000\tb\tu\t0\tRAM\tx", machine)
    with pytest.raises(RamError, match="a fixed address"):
        write_wch([Variable("p", pointer=(BASE, 4))], machine)


# -- game.toml -------------------------------------------------------------------------------------------

TOML = """# My game.
[game]
name = "Mine"  # for now
system = "Nes"

[memory]
score = { address = 0x10, type = ">u4" }  # eight digits

# how it ends
[end]
terminated = "score > 5"
"""


def test_found_variables_go_into_game_toml_and_every_comment_stays() -> None:
    need("tomlkit")
    found = [
        Variable("x", 0x8010, ">u2", scale=256, unit="px", about='the "ball"'),
        Variable("hp", type="u1", pointer=(0x340, 6)),
        Variable("right", 2, "u1", "sram", bit=3),
    ]
    text = add_variables(TOML, found)
    for line in TOML.splitlines():
        assert line in text.splitlines()
    assert (
        'x = { address = 0x8010, type = ">u2", scale = 256, unit = "px", about = "the \\"ball\\"" }' in text
    )
    from frameperfect.game.schema import parse_toml

    memory = parse_toml(text, "game.toml").memory
    assert [memory[one.name].build(one.name) for one in found] == found
    assert "\n[end]" in text and text.index("right = ") < text.index("# how it ends")


def test_a_file_without_memory_gets_it_and_a_taken_name_is_refused() -> None:
    need("tomlkit")
    text = add_variables('[game]\nname = "Mine"\nsystem = "Nes"\n', [Variable("x", 16)])
    assert text.endswith('[memory]\nx = { address = 0x10, type = "u1" }\n')
    with pytest.raises(RamError, match="has 'score' already"):
        add_variables(TOML, [Variable("score", 16)])
    with pytest.raises(GameError, match=r"mine/game\.toml: "):
        add_variables("[memory", [Variable("x", 16)], where=str(Path("mine/game.toml")))
