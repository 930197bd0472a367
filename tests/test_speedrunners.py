"""SpeedRunners' folder: it loads and its chains are whole; the game itself is everybody's own."""

from __future__ import annotations

import struct
from pathlib import Path

import numpy as np
import pytest

from frameperfect.errors import MachineError
from frameperfect.game import load_game
from frameperfect.machine import MachineSpec, open_machine
from frameperfect.machines.native.blocks import domains_of, find_blocks

NAME = "SpeedRunners-Windows"


class Memory:
    """A 32-bit game with nothing in it but the chains to be followed."""

    base, pointer_size = 0x400000, 4

    def places_of(self, pattern: str) -> list[int]:
        raise AssertionError(pattern)

    def objects_of(self, mangled: str) -> list[int]:
        raise AssertionError(mangled)

    def stack(self) -> int:
        return 0x190000

    def read(self, address: int, length: int) -> bytes:
        raise AssertionError(address, length)


def test_its_chains_begin_at_the_stack_and_lead_as_published() -> None:
    blocks = load_game(NAME).spec(options={}).blocks
    player, body, match = find_blocks(Memory(), blocks)
    assert (player.address, match.address) == (0x190000 - 0x980, 0x190000 - 0x988)
    assert player.add == (0x188, 0xEE4, 0x18, 0x44, 0x10, 0x48, 0x0, 0x10)
    assert body.add == (*player.add[:-1], player.add[-1] + 0x24, 0)
    assert match.add == (0x8, 0x50, 0xC, 0x74, 0x10, 0xE0, 0x44, 0x0)


def test_its_rules_pay_for_speed_and_for_a_lap() -> None:
    game = load_game(NAME)
    domains, _ = domains_of(game.spec().blocks, 4)
    rules = game.rules(domains)
    episode = rules.scalar()

    def row(**values: float) -> bytes:
        parts = []
        for name, variable in rules.layout.variables.items():
            kind = {"<f4": "<f", "u1": "B", "<i4": "<i"}[variable.type]
            parts.append(struct.pack(kind, type(0.0 if kind == "<f" else 0)(values.get(name, 0))))
        return b"".join(parts)

    episode.begin(row(lap_time=30.0))
    assert episode.step(row(vx=420.0, vy=560.0, lap_time=30.1)) == (pytest.approx(1.0), False, False)
    assert episode.step(row(lap_time=0.1)) == (10.0, True, False)
    assert episode.success
    assert np.isfinite(episode.features()).all()


def test_every_action_is_made_of_its_keys() -> None:
    game = load_game(NAME)
    from frameperfect.machines.native.windows_keys import WindowsKeys

    (controller,) = WindowsKeys.parse(game.spec().options["keys"]).controllers
    (race,) = game.actions.values()
    masks = {controller.mask(one) for one in race if isinstance(one, str)}
    assert len(masks) == len(race) == 13


def test_without_a_copy_it_says_what_to_give(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    game = load_game(NAME)
    assert not game.has_rom
    with pytest.raises(MachineError, match=r"--option path=FOLDER/SpeedRunners\.exe"):
        open_machine(game.spec())
    copy = tmp_path / ".steam/steam/steamapps/common/SpeedRunners/SpeedRunners.exe"
    copy.parent.mkdir(parents=True)
    copy.write_bytes(b"")
    assert game.has_rom
    with pytest.raises(MachineError, match="is no Windows program"):
        open_machine(MachineSpec("native", name="SpeedRunners.exe"))
