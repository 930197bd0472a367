"""`frameperfect ram`: questions as commands, and the lab in a terminal."""

from __future__ import annotations

import asyncio
import json
import shutil
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

import frameperfect as fp
from frameperfect.cli.app import run
from frameperfect.memory import Domain, Variable
from tests.components import need
from tests.ram_machine import BASE, Ball, Block, X


def ram(*arguments: str) -> int:
    return run(["ram", *arguments])


@pytest.fixture
def mine(tmp_path: Path) -> Path:
    """Airstriker as a game of one's own, its map forgotten."""
    need("stable_retro")
    bundled = fp.load_game("Airstriker-Genesis")
    shutil.copy(bundled.find_rom(), tmp_path / "mine.md")
    shutil.copy(bundled.file("level1.fpm"), tmp_path / "level1.fpm")
    (tmp_path / "game.toml").write_text(
        '[game]  # mine\nname = "Mine-Genesis"\nsystem = "Genesis"\nrom = { file = "mine.md" }\n'
        'options = { genesis_plus_gx = { genesis_plus_gx_addr_error = "disabled" } }\n'
        '[start.level1]\nmovie = "level1.fpm"\n'
    )
    return tmp_path


def test_a_position_found_is_saved_into_game_toml_and_read_by_its_name(mine: Path, capsys) -> None:
    need("tomlkit")
    assert ram(str(mine), "--position", "Right,Left", "--save", "x", "--json") == 0
    out, err = capsys.readouterr()
    assert json.loads(out)[0]["address"] == 0xFF0268
    assert "x added to [memory]" in err
    with fp.open(mine, start="level1") as machine:
        assert machine.read("x") == fp.open("Airstriker-Genesis", start="level1").read("x")
    assert ram(str(mine), "--position", "Right,Left", "--save", "x") == 2
    assert "has 'x' already" in capsys.readouterr().err


def test_answers_are_exported_and_read_as_a_watch_list(tmp_path: Path, capsys) -> None:
    need("ale_py")
    file = tmp_path / "lives.wch"
    assert ram("Breakout-Atari", "--lives", "--export", str(file)) == 0
    assert ram("Breakout-Atari", "--watch", str(file)) == 0
    assert capsys.readouterr().out.splitlines()[-1].split() == ["lives_1", "u1", "5"]
    assert ram("Breakout-Atari", "--which", "Right", "--play", "Fire:2 :10", "--limit", "1") == 0
    assert "... " in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--lives", "--score"), "one question at a time: --lives or --score"),
        (("--lives", "--save", "lives"), "has no game.toml of its own"),
        (("--lives", "--play", "30"), "write BUTTONS:FRAMES"),
        (("--which", "Jump"), "no button 'Jump'"),
        (("--which", "Right", "--domain", "vram"), "no domain 'vram'; it has ram, ale"),
        (("--bytes", "xy"), "is no pattern"),
        (("--pointers", "here"), "'here' is no address"),
        (("--pointers", "0x10"), "lies in no domain"),
    ],
)
def test_what_can_not_be_done_is_one_line(arguments: tuple[str, ...], message: str, capsys) -> None:
    need("ale_py")
    assert ram("Breakout-Atari", *arguments) == 2
    error = capsys.readouterr().err
    assert message in error and error.count("\n") == 1


def test_in_the_app_one_plays_searches_asks_watches_freezes_and_saves() -> None:
    need("textual")
    from textual.widgets import DataTable, Input, Label, Select

    from frameperfect.ram.app import LabApp

    machine = Ball()
    saved: list[Variable] = []

    def save(found: Sequence[Variable]) -> str:
        saved.extend(found)
        return "saved"

    async def use() -> None:
        app = LabApp(machine, "Ball", save)

        def said() -> str:
            return str(app.query_one("#message", Label).content)

        async with app.run_test(size=(150, 48)) as pilot:
            app.query_one("#type", Select).value = ">u2"
            await pilot.click("#restart")
            app.query_one("#buttons", Input).value = "Right"
            await pilot.click("#do_play")
            assert machine.frame == 10 and said() == "frame 10"
            app.query_one("#relation", Select).value = ">"
            await pilot.click("#compare")
            assert BASE + X in app.search.addresses()
            left = app.search.count
            await pilot.press("f7")
            assert app.search.count == 255
            await pilot.press("f8")
            assert app.search.count == left
            app.query_one("#other", Input).value = "many"
            await pilot.click("#compare")
            assert "'many' is no number" in said() and app.query_one("#message").has_class("wrong")
            await pilot.press("f4", "f2", "f2", "f5")
            assert machine.frame == 10

            await pilot.click("#--content-tab-tab_ask")
            app.query_one("#question", Select).value = "position"
            app.query_one("#about", Input).value = "Right, Left"
            await pilot.click("#ask")
            await app.workers.wait_for_complete()
            await pilot.pause()
            app.query_one("#found", DataTable).focus()
            await pilot.press("enter")
            assert [one.address for one in app.watches] == [BASE + X]

            await pilot.click("#--content-tab-tab_watch")
            app.query_one("#edit", Input).value = "x"
            await pilot.click("#rename")
            app.query_one("#edit", Input).value = "0x2000"
            await pilot.click("#freeze")
            await pilot.press("f3")
            assert app.watches[0].read(machine) == 0x2000
            await pilot.click("#save")
            assert [one.name for one in saved] == ["x"] and said() == "saved"
            await pilot.click("#remove")
            await pilot.click("#save")
            assert "no watch is chosen" in said()

    asyncio.run(use())


def test_in_the_app_bytes_and_chains_of_pointers_are_found_and_watched() -> None:
    need("textual")
    from textual.widgets import DataTable, Input, Label

    from frameperfect.ram.app import LabApp

    block = np.zeros(256, np.uint8)
    machine = Block([Domain("ram", 256, BASE, pointer="<u2", address_bits=16)], [block])

    def put(pointer: int, target: int) -> None:
        block[pointer : pointer + 2] = [target & 0xFF, (BASE + target) >> 8]

    async def use() -> None:
        app = LabApp(machine, "Block")

        def said() -> str:
            return str(app.query_one("#message", Label).content)

        async with app.run_test(size=(150, 48)) as pilot:
            await pilot.click("#--content-tab-tab_scan")
            block[0x40:0x43] = [0xA9, 0x17, 0x8D]
            app.query_one("#pattern", Input).value = "A9 ?? 8D"
            await pilot.click("#find_bytes")
            assert said() == "places in ram: 1"
            table = app.query_one("#scanned", DataTable)
            assert table.get_row_at(0) == ["8040", "", "A9 17 8D"]

            await pilot.click("#keep_pointers")
            assert "first find the pointers" in said()
            put(0x10, 0x60)  # the true one; the value lies 4 further on
            put(0x20, 0x62)  # by chance
            block[0x64] = 99
            app.query_one("#target", Input).value = "0x8064"
            await pilot.click("#find_pointers")
            assert {tuple(table.get_row_at(i)[:2]) for i in range(table.row_count)} >= {
                ("[8010, 4]", "8064"),
                ("[8020, 2]", "8064"),
            }
            put(0x10, 0x70)  # it moves
            block[0x74] = 98
            app.query_one("#target", Input).value = "0x8074"
            await pilot.click("#keep_pointers")
            assert said() == "chains that still lead there: 1"
            assert table.get_row_at(0) == ["[8010, 4]", "8074", "98"]
            table.focus()
            await pilot.press("enter")
            assert [(one.pointer, one.read(machine)) for one in app.watches] == [((BASE + 0x10, 4), 98)]
            app.query_one("#target", Input).value = "there"
            await pilot.click("#find_pointers")
            assert "'there' is no address" in said()

    asyncio.run(use())
