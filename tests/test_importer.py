"""The importer reads stable-retro's games as stable-retro itself does, which is the oracle here."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from frameperfect.errors import GameError
from frameperfect.game import import_report, load_game
from frameperfect.game.schema import parse_toml
from frameperfect.game.stable_retro import import_game, system_info
from frameperfect.machine import MachineSpec, open_machine
from frameperfect.memory import Domain, Variable
from tests.components import need
from tests.stable_retro_oracle import blank_program

need("stable_retro")
STEPS = 25
ROOT = Path(__file__).parent.parent


def oracle(system: str, steps: int = STEPS) -> list[dict[str, Any]]:
    command = [sys.executable, "-m", "tests.stable_retro_oracle", system, str(steps)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr[-2000:]
    return [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]


@pytest.mark.parametrize(
    ("system", "games"),
    [("Genesis", 366), ("Nes", 313), ("Snes", 193), ("Sms", 94), ("Atari2600", 64), ("GameBoy", 34)],
)
def test_variables_rewards_and_ends_equal_stable_retros_own(system: str, games: int) -> None:
    need("lupa")
    records = oracle(system)
    assert len(records) == games
    paid = ended = 0
    for record in records:
        folder = Path(record["folder"])
        where = folder.name
        assert "error" not in record, (where, record["error"])
        game = import_game(folder)
        rules = game.rules({"all": Domain("all", 1 << 40)})
        episode, batch = rules.scalar(), rules.batch(2)
        spans = rules.layout.spans
        for number, (memory, reward, done, info) in enumerate(record["steps"]):
            console = dict(zip(record["places"], memory, strict=True))
            row = bytes(console.get(s.offset + i, 0) for s in spans for i in range(s.length))
            rows = np.frombuffer(row * 2, np.uint8).reshape(2, len(row))
            if number == 0:
                episode.begin(row)
                batch.begin(rows, np.ones(2, bool))
            else:
                ours = episode.step(row)
                assert np.float32(ours[0]) == pytest.approx(reward, rel=1e-6, abs=1e-6), (where, number)
                assert ours[1] == done, (where, number)
                both = batch.step(rows)
                assert (both[0][1], both[1][1]) == ours[:2], (where, number)
                paid += reward != 0
                ended += done
            values = episode.values()
            for name, value in info.items():
                spelt = "continue_" if name == "continue" else name.strip()
                assert values[spelt] == value, (where, number, name)
    assert paid > games and ended > games / 2


@pytest.mark.parametrize("system", ["Genesis", "Nes", "Snes", "Sms", "Atari2600", "GameBoy"])
def test_on_our_machine_every_variable_lies_where_stable_retro_has_it(system: str, tmp_path: Path) -> None:
    extension, program = blank_program(system)
    (tmp_path / f"rom.{extension}").write_bytes(program)
    core = system_info()[system]["lib"]
    spec = MachineSpec("libretro", tmp_path / f"rom.{extension}", system=system, core=core)
    with open_machine(spec) as machine:
        machine.advance(None, 2)
        for record in oracle(system, steps=1):
            game = import_game(Path(record["folder"]))
            memory, _, _, info = record["steps"][0]
            for address, value in zip(record["places"], memory, strict=True):
                Variable("byte", address).write(machine, value)
            machine.variables = game.variables(machine.domains)
            assert machine.variables.keys() == game.definition.memory.keys()
            read = machine.read_all()
            assert [machine.read(name) for name in read] == list(read.values())
            for name, value in info.items():
                spelt = "continue_" if name == "continue" else name.strip()
                assert spelt not in read or read[spelt] == value, (record["folder"], name)


def test_all_games_import() -> None:
    report = import_report()
    assert len(report) == 1068
    assert {folder: reason for folder, reason in report.items() if reason} == {}


def test_an_imported_game_survives_being_written_as_toml() -> None:
    names = "SonicTheHedgehog-Genesis Boxing-Atari2600 FishingDerby-Atari2600 ArdyLightfoot-Snes"
    for name in (*names.split(), "KingOfDragons-Snes", "MortalKombat2-Arcade", "Amidar-Atari2600"):
        game = load_game(name, source="stable-retro")
        assert parse_toml(game.to_toml(), name) == game.definition


def test_a_broken_folder_is_named(tmp_path: Path) -> None:
    folder = tmp_path / "Broken-Nes-v0"
    folder.mkdir()
    with pytest.raises(GameError, match=r"Broken-Nes-v0/data.json: No such file"):
        import_game(folder)
    (folder / "data.json").write_text('{"info": {"x": {"address": 1}}}')
    with pytest.raises(GameError, match="'x' has no address or no type"):
        import_game(folder)
    (folder / "data.json").write_text('{"info": {"x": {"address": 1, "type": "|u1"}}}')
    (folder / "scenario.json").write_text('{"reward": {"variables": {"y": {"reward": 1}}}}')
    with pytest.raises(GameError, match=r"no variable 'y' in data\.json"):
        import_game(folder)
    (folder / "scenario.json").write_text("{")
    with pytest.raises(GameError, match=r"scenario.json: Expecting"):
        import_game(folder)
