"""DDNet's server as a machine: its players, its clock, its states; the same in every process."""

from __future__ import annotations

import contextlib
import hashlib
import os
import signal
import socket
import struct
import time
import zlib
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from frameperfect.errors import MachineError, StateMismatch, Unsupported
from frameperfect.machine import Capability, MachineSpec, PortInput, open_machine, seal_state
from frameperfect.machines.native import NativePool, lockstep, places, program
from frameperfect.machines.native.controls import PLAYER, encode, to_wire
from frameperfect.machines.native.history import History, seal
from frameperfect.machines.native.hook import RECORD_SIZE, WATCHED_AT, Watch
from frameperfect.machines.native.machine import NativeMachine
from frameperfect.memory import Span
from frameperfect.pool import PoolSettings
from frameperfect.testing import check_machine
from tests.components import need_program

SERVER = need_program("DDNet-Server", "ddnet-server")
TILE = 32
FIELDS = ("x", "y", "vx", "vy", "hook_x", "hook_y", "hook_state", "hooked", "direction", "race", "clock",
          "freeze", "to_finish")  # fmt: skip


def spec(map_name: str = "Tsunami", players: int = 1, **options: str) -> MachineSpec:
    return MachineSpec(
        "native", name="ddnet-server", options={"map": map_name, "players": str(players), **options}
    )


def player(machine: NativeMachine, number: int = 0) -> dict[str, int]:
    record = machine.memory["players"].reshape(-1, RECORD_SIZE)[number].tobytes()
    told = dict(zip(FIELDS, struct.unpack_from("<13i", record), strict=True))
    return told | dict(zip(("alive", "grounded", "air_jump", "lives"), record[52:56], strict=True))


def rays(machine: NativeMachine, number: int = 0) -> list[int]:
    return list(
        struct.unpack_from("<16h", machine.memory["players"].reshape(-1, RECORD_SIZE)[number, 56:].tobytes())
    )


@pytest.fixture(scope="module")
def shared() -> Iterator[NativeMachine]:
    with NativeMachine(spec(players=2)) as machine:
        yield machine


@pytest.fixture
def machine(shared: NativeMachine) -> NativeMachine:
    shared.reset()
    return shared


# -- the map, read from its file: an oracle for what the hook says ----------------------------------------


def tiles_of(map_name: str) -> np.ndarray:
    """The kinds of the game layer's tiles, (H, W); the file format: libtw2's doc/map.md and datafile.md."""
    data = program.find_map(map_name).read_bytes()
    types, items, raws, item_bytes = struct.unpack_from("<4i", data, 16)
    table = 36 + 12 * types
    starts = struct.unpack_from(f"<{items}i", data, table)
    offsets = struct.unpack_from(f"<{raws}i", data, table + 4 * items)
    first = table + 4 * items + 8 * raws
    for item in starts:
        kind_and_id, size = struct.unpack_from("<2I", data, first + item)
        words = struct.unpack_from(f"<{size // 4}i", data, first + item + 8)
        if kind_and_id >> 16 == 5 and words[1] == 2 and words[6] & 1:  # a layer of tiles, the game's own
            begin = first + item_bytes + offsets[words[14]]
            tiles = np.frombuffer(zlib.decompressobj().decompress(data[begin:]), np.uint8)
            return tiles[::4].reshape(words[5], words[4])
    raise AssertionError("a map has a game layer")


def test_players_stand_on_the_ground_near_a_spawn_point_of_the_map(machine: NativeMachine) -> None:
    tiles = tiles_of("Tsunami")
    spawns = np.argwhere(tiles == 192)
    for number in range(2):
        told = player(machine, number)
        row, column = told["y"] // TILE, told["x"] // TILE
        assert told["alive"] and told["grounded"] and (told["vx"], told["vy"]) == (0, 0)
        assert tiles[row, column] not in (1, 3) and tiles[row + 1, column] in (1, 3)
        assert np.abs(spawns - (row, column)).sum(axis=1).min() <= 3


def test_rays_end_at_the_map_s_walls(machine: NativeMachine) -> None:
    solid = np.isin(tiles_of("Tsunami"), (1, 3))
    machine.advance("Right Jump", 20)
    told = player(machine)
    for number, length in enumerate(rays(machine)):
        angle = 2 * np.pi * number / 16
        along = np.arange(0, 640.0, 0.25)
        columns = ((told["x"] + along * np.cos(angle)) // TILE).astype(int).clip(0, solid.shape[1] - 1)
        rows = ((told["y"] + along * np.sin(angle)) // TILE).astype(int).clip(0, solid.shape[0] - 1)
        hits = np.flatnonzero(solid[rows, columns])
        assert length == pytest.approx(along[hits[0]] if len(hits) else 640, abs=1.5)


def test_the_way_to_the_finish_grows_shorter_a_tile_at_a_time(machine: NativeMachine) -> None:
    before = player(machine)
    machine.advance("Right", 60)
    after = player(machine)
    assert 0 < after["to_finish"] == before["to_finish"] - (after["x"] // TILE - before["x"] // TILE)


# -- what players do ---------------------------------------------------------------------------------------


def test_steering_and_jumping(machine: NativeMachine) -> None:
    start, other = player(machine), player(machine, 1)
    machine.advance("Right", 20)
    right = player(machine)
    assert right["x"] > start["x"] and right["direction"] == 1
    assert player(machine, 1) == other
    machine.advance("", 30)
    machine.advance("Jump", 5)
    up = player(machine)
    assert up["y"] < right["y"] and up["vy"] < 0 and not up["grounded"] and up["air_jump"]
    machine.advance("", 2)
    machine.advance("Jump", 2)
    assert not player(machine)["air_jump"]


def test_the_hook_flies_where_it_is_aimed(machine: NativeMachine) -> None:
    for aim, across, down in (
        ("AimUp", 0, -1),
        ("AimUpRight", 1, -1),
        ("AimUpLeft", -1, -1),
        (PortInput(PLAYER.mask("Hook"), (30000, -30000)), 1, -1),
    ):
        machine.reset()
        machine.advance("Jump", 6)
        machine.advance(f"Hook {aim}" if isinstance(aim, str) else aim, 1)
        told = player(machine)
        assert told["hook_state"] == 4
        away = told["hook_x"] - told["x"], told["hook_y"] - told["y"]
        assert np.sign(np.round(np.array(away) / 40)).tolist() == [across, down]


def test_two_aims_pressed_together_aim_between_them() -> None:
    _, x, y, *_ = struct.unpack("<10i", to_wire(encode([PLAYER.mask("AimUp AimUpRight")], None, 1)))
    assert np.degrees(np.arctan2(y, x)) == pytest.approx(-67.5, abs=0.5)
    with pytest.raises(Unsupported, match="pointer"):
        encode([0], (PortInput(0, (), (1, 2, 1)),), 1)


def test_the_race_clock_begins_at_the_start_line(machine: NativeMachine) -> None:
    line = np.argwhere(tiles_of("Tsunami") == 33)[:, 1].min() * TILE
    while player(machine)["race"] == 0 and machine.frame < 500:
        assert player(machine)["clock"] == 0
        machine.advance("Right Jump" if machine.frame % 40 < 10 else "Right")
    crossed = machine.frame
    assert abs(player(machine)["x"] - line) < 2 * TILE
    while player(machine)["x"] < line + 2 * TILE:  # on the line it begins anew
        machine.advance("Right")
    clock, frame = player(machine)["clock"], machine.frame
    assert clock <= frame - crossed
    machine.advance("", 25)
    assert player(machine)["clock"] == clock + 25


def test_the_finish_is_told_and_stops_the_clock() -> None:
    # On this map players fall from the spawn point through the start line, 40 tiles on through the finish.
    with NativeMachine(spec("coverage")) as machine:
        told = player(machine)
        assert told["race"] == 3 and told["to_finish"] == 0
        # Gravity is half a pixel a tick each tick, and they cross the start line with some speed already.
        assert 40 < told["clock"] < np.sqrt(2 * 40 * TILE / 0.5)
        machine.advance("", 50)
        assert player(machine)["clock"] == told["clock"]


# -- the protocol ------------------------------------------------------------------------------------------


def test_it_keeps_the_protocol() -> None:
    report = check_machine(lambda: open_machine(spec("coverage", 2)), frames=60)
    assert not report.failures


def test_one_player_alone_is_not_multiplayer_and_sixteen_are() -> None:
    with NativeMachine(spec("Gold Mine", 16)) as machine:
        assert Capability.MULTIPLAYER in machine.capabilities and len(machine.controllers) == 16
        assert all(player(machine, number)["alive"] for number in range(16))
        places_seen = {(player(machine, n)["x"], player(machine, n)["y"]) for n in range(16)}
        machine.advance(["Right", "Left"] * 8, 30)
        moved = [player(machine, n)["direction"] for n in range(16)]
        assert moved == [1, -1] * 8 and len(places_seen) > 1


# -- determinism -------------------------------------------------------------------------------------------


def run_hash(map_name: str, players: int, ticks: int, tracking: str = "") -> str:
    rng = np.random.default_rng(5)
    seen = hashlib.blake2b(digest_size=16)
    with NativeMachine(spec(map_name, players, tracking=tracking)) as machine:
        while machine.frame < ticks:
            machine.advance(rng.integers(1 << len(PLAYER.buttons), size=players).astype(np.uint32), 5)
            seen.update(machine.memory["players"].data)
    return seen.hexdigest()


@pytest.mark.parametrize("map_name", ["Tutorial", "Gold Mine"])
def test_fresh_processes_play_alike(map_name: str) -> None:
    assert run_hash(map_name, 4, 4000) == run_hash(map_name, 4, 4000)


@pytest.mark.learning
@pytest.mark.parametrize("map_name", ["Tutorial", "Tsunami"])
def test_fresh_processes_play_alike_for_twenty_thousand_ticks(map_name: str) -> None:
    assert len({run_hash(map_name, 4, 20_000) for _ in range(3)}) == 1


# -- states ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("tracking", ["", "fork", "compare"])
def test_futures_are_equal_across_slots(tracking: str) -> None:
    """However pages are tracked; more states than there are slots, so that some are replayed."""
    rng = np.random.default_rng(1)
    with NativeMachine(spec("Tutorial", 3, tracking=tracking)) as machine:
        assert machine.tracking == {"fork": "fork", "compare": "comparing"}.get(tracking, machine.tracking)
        states, futures = [], []
        for _ in range(lockstep.SLOTS + 8 if tracking != "compare" else 6):
            machine.advance(rng.integers(1 << 13, size=3).astype(np.uint32), 7)
            states.append(machine.save())
            futures.append(machine.hash())
        for place in rng.permutation(len(states) - 1).tolist():
            machine.restore(states[place])
            assert machine.hash() == futures[place]
            inputs = rng.integers(1 << 13, size=3).astype(np.uint32)
            machine.advance(inputs, 30)
            one = machine.hash()
            machine.restore(states[place])
            machine.advance(inputs, 30)
            assert machine.hash() == one
        assert machine.measure().slot_bytes < 8 << 20


def test_the_process_that_tells_what_was_written_holds_nothing_and_goes_with_the_game() -> None:
    with NativeMachine(spec("Tutorial", 1, tracking="fork")) as machine:
        machine.save()
        (child,) = Path(f"/proc/{machine.pid}/task/{machine.pid}/children").read_text().split()
        bystander = Path("/proc") / child
        assert not list((bystander / "fd").iterdir())
        os.kill(machine.pid, signal.SIGKILL)
        until = time.monotonic() + 10
        while bystander.exists() and time.monotonic() < until:
            time.sleep(0.01)
        assert not bystander.exists()


def test_a_state_whose_inputs_lead_elsewhere_is_refused(machine: NativeMachine) -> None:
    machine.advance("Right", 10)
    then = machine.hash()
    past, wrong = machine._history.pack(), b"\1" * 16
    longer = past + struct.pack("<I", 5) + encode([1, 1], None, 2)
    with pytest.raises(StateMismatch, match="other memory"):
        machine.restore(seal_state(machine.fingerprint, 15, seal(longer, wrong)))
    assert machine.hash() == then


# -- which build -------------------------------------------------------------------------------------------


def test_another_build_is_looked_into_by_the_names_of_its_classes(monkeypatch: pytest.MonkeyPatch) -> None:
    with NativeMachine(spec(players=3)) as known:
        monkeypatch.setattr(places, "KNOWN", {})
        with NativeMachine(spec(players=3)) as found:
            for machine in (known, found):
                machine.advance(["Right", "Jump", "Left Hook"], 40)
            assert found.hash() == known.hash()


def test_a_build_with_another_layout_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(places, "KNOWN", {})
    monkeypatch.setitem(places._OFFSETS, "position", 0x1F0)
    with pytest.raises(MachineError, match=r"is build .* does not know: .*; install Debian 12's"):
        NativeMachine(spec())


def test_a_class_that_the_program_lacks_has_no_objects(machine: NativeMachine) -> None:
    assert machine._game.objects_of("7NoClass") == []
    assert len(machine._game.objects_of(places.CLASS)) == 2


def test_the_build_id_is_the_linker_s(tmp_path: Path) -> None:
    assert len(program.build_id(SERVER)) == 40
    plain = tmp_path / "plain"
    plain.write_bytes(b"no ELF")
    assert program.build_id(plain) == hashlib.sha1(b"no ELF").hexdigest()


@given(
    runs=st.lists(st.tuples(st.sampled_from([b"abc", b"abd", b"xyz"]), st.integers(1, 1 << 31)), max_size=12),
    cut=st.integers(0, 12),
)
@settings(max_examples=100, deadline=None)
def test_equal_pasts_are_equal_bytes_however_they_were_added(runs: list[tuple[bytes, int]], cut: int) -> None:
    whole, parts = History(3), History(3)
    for inputs, frames in runs:
        whole.add(inputs, frames)
        parts.add(inputs, frames // 2)
        parts.add(inputs, frames - frames // 2)
    expected: list[tuple[bytes, int]] = []
    for inputs, frames in runs:
        fits = expected and expected[-1][0] == inputs and expected[-1][1] + frames < 1 << 32
        held = expected.pop()[1] + frames if fits else frames
        expected.append((inputs, held))
    packed = whole.pack()
    assert whole.runs(packed) == expected
    if sum(frames for _, frames in runs) < 1 << 32:
        assert parts.pack() == packed
    again = History(3)
    for inputs, frames in runs[:cut]:
        again.add(inputs, frames)
    early = again.pack()
    again.unpack(b"")
    assert again.pack() == b""
    again.unpack(early)
    for inputs, frames in runs[cut:]:
        again.add(inputs, frames)
    assert again.pack() == packed
    with pytest.raises(ValueError):
        again.unpack(packed + b"?")
    with pytest.raises(ValueError):
        again.add(b"four", 1)


def test_a_pool_of_one_steps_as_send_and_recv_do_and_its_states_agree() -> None:
    rng = np.random.default_rng(0)
    masks = rng.integers(1 << 5, size=(40, 1, 2)).astype(np.uint32)
    seen, states = [], []
    for at_once in (True, False):
        chosen = PoolSettings(frame_skip=2, spans=(Span("players", 0, 320), Span("server", 0, 8)))
        with contextlib.closing(NativePool(spec(players=2), 1, chosen)) as pool:
            pool.reset([0], [None], [0])
            rows = []
            for pressed in masks:
                if at_once:
                    pool.step(pressed)
                else:
                    pool.send(pressed)
                    with pytest.raises(RuntimeError, match="under way"):
                        pool.send(pressed)
                    pool.recv()
                rows.append(pool.rows.copy())
                assert pool.inputs.tolist() == [[pressed[0].tolist()] * 2]
            with pytest.raises(ValueError, match="masks are"):
                pool.step(np.zeros((2, 2), np.uint32))
            seen.append(np.array(rows))
            states.append(pool.save(0))
            pool.restore(0, states[0])
            assert (pool.rows == rows[-1]).all() and pool.machine(0).frame == 80
    assert (seen[0] == seen[1]).all() and states[0] == states[1]
    assert len(np.unique(seen[0])) > 10


def test_a_server_without_a_port_has_places_for_its_players_alone_and_keeps_no_copies_of_them() -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    for options, places_there in (({}, "2"), ({"port": port}, "64")):
        with NativeMachine(spec(players=2, **options)) as server:
            words = Path(f"/proc/{server.pid}/cmdline").read_text().split("\0")
            assert f'sv_max_clients "{places_there}"' in words and 'sv_rescue "0"' in words
            assert server.memory["players"].reshape(-1, RECORD_SIZE)[:3, 52].tolist() == [1, 1, 0]


# -- processors --------------------------------------------------------------------------------------------


def test_a_server_shares_its_caller_s_processor_and_several_that_run_at_once_have_all() -> None:
    allowed = os.sched_getaffinity(0)
    with NativeMachine(spec()) as machine:
        assert len(os.sched_getaffinity(machine.pid)) == 1
        try:
            for chosen in sorted(allowed):
                os.sched_setaffinity(0, {chosen})
                for _ in range(300):
                    machine.advance("Right")
                assert os.sched_getaffinity(machine.pid) == {chosen}
        finally:
            os.sched_setaffinity(0, allowed)
        machine.beside = False
        assert os.sched_getaffinity(machine.pid) == allowed
    with contextlib.closing(NativePool(spec(), 2, PoolSettings())) as pool:
        for index in range(2):
            server = pool.machine(index)
            assert isinstance(server, NativeMachine)
            assert os.sched_getaffinity(server.pid) == allowed


# -- memory of the game ------------------------------------------------------------------------------------


def test_memory_is_watched_behind_pointers(machine: NativeMachine) -> None:
    game = machine._game
    (first, *_), size = game.objects_of(places.CLASS), tiles_of("Tsunami").shape[::-1]
    offset = places._OFFSETS
    game.watch([Watch(first + offset["position"], 8), Watch(first + offset["collision"], 8, (8,))])
    watched = game.views[WATCHED_AT:]
    assert struct.unpack("<2i", watched[8:16].tobytes()) == size
    for _ in range(3):
        machine.advance("Right", 5)
        assert struct.unpack("<2f", watched[:8].tobytes()) == (player(machine)["x"], player(machine)["y"])
    game.watch([])
    with pytest.raises(MachineError, match="no such memory"):
        game.read(8, 4)
