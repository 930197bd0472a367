"""Games on SDL 2 as machines: SuperTux, and a small one of our own that is played in every way there is."""

from __future__ import annotations

import contextlib
import struct
import subprocess
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from gymnasium.utils.env_checker import check_env

import frameperfect
from frameperfect.errors import MachineError, MissingComponent, Unsupported
from frameperfect.game import load_game
from frameperfect.machine import Capability, Machine, MachineSpec, PortInput, open_machine
from frameperfect.machines.native import NativePool, supertux
from frameperfect.machines.native.folder import own_folder
from frameperfect.machines.native.keys import Keys
from frameperfect.machines.native.sdl import SdlMachine
from frameperfect.memory import Block, Span
from frameperfect.movie import load_movie, save_movie
from frameperfect.pool import PoolSettings
from frameperfect.testing import check_machine
from tests.components import need_program
from tests.displays import virtual_display

need_program("supertux2", "supertux")
SOURCE = Path(__file__).with_name("sdl_game") / "game.cpp"
NEAR_THE_END = {"spawn": "8700,400"}


# -- SuperTux ------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def shared() -> Iterator[Machine]:
    with frameperfect.open("SuperTux") as machine:
        yield machine


@pytest.fixture
def tux(shared: Machine) -> Machine:
    shared.reset()
    return shared


def test_tux_stands_where_the_level_says_and_runs_and_jumps(tux: Machine) -> None:
    begun = tux.read_all()
    assert "(x 96)" in supertux.find_level("world1/welcome_antarctica").read_text()
    assert (begun["x"], begun["vx"], begun["grounded"], begun["coins"]) == (96, 0, 1, 100)
    tux.advance("Right", 60)
    walked = tux.read_all()
    assert walked["x"] > begun["x"] + 100 and 300 < walked["vx"] < 340 and walked["y"] == begun["y"]
    tux.advance("Left", 90)
    assert tux.read("vx") < 0
    tux.advance("", 60)
    tux.advance("Jump", 10)
    assert tux.read("vy") < 0 and not tux.read("grounded") and tux.read("jumping")


def test_equal_inputs_give_equal_games_and_pictures_in_any_process_whether_they_are_looked_at_or_not() -> (
    None
):
    pictures, memories = [], []
    for look in (False, True):
        rng = np.random.default_rng(5)
        with frameperfect.open("SuperTux", options={"level": "world1/fork_in_the_road"}) as machine:
            memory = []
            for step in range(300):
                machine.advance(int(rng.integers(64)) | 2, int(rng.integers(1, 6)))
                memory.append(machine.hash())
                if look and step % 50 == 0:
                    machine.screen()
            memories.append(memory)
            pictures.append(machine.screen())
    assert memories[0] == memories[1]
    assert np.array_equal(pictures[0], pictures[1])


def test_a_picture_shows_tux_where_he_is(tux: Machine) -> None:
    def dark(picture: np.ndarray) -> np.ndarray:
        """Columns above the ground, near the left, that hold his black."""
        return np.flatnonzero((picture[220:262, :320] < 40).all(axis=2).any(axis=0))

    before = tux.screen()
    tux.advance("Right", 16)  # the camera does not follow yet
    after = tux.screen()
    assert before.shape == (480, 640, 3)
    moved = tux.read("x") - 96
    assert moved > 20 and dark(after).mean() - dark(before).mean() == pytest.approx(moved, abs=8)


def test_the_machine_keeps_the_protocol() -> None:
    check_machine(
        lambda: frameperfect.open("SuperTux"),
        frames=40,
        only=[
            "memory views match their domains",
            "a picture is rgb",
            "frames are frames",
            "reset is power on",
            "a restored state has the same memory screen and future",
            "foreign and damaged states are refused",
            "what is not promised raises unsupported",
            "closing twice is harmless",
        ],
    )


def test_a_level_that_is_won_ends_the_game_and_a_reset_begins_it_again() -> None:
    with frameperfect.open("SuperTux", options=NEAR_THE_END) as machine:
        assert isinstance(machine, SdlMachine)
        begun = machine.hash()
        machine.advance("Right", 30)
        state, memory = machine.save(), machine.hash()
        for _ in range(20):
            machine.advance("Right", 10)
        assert machine.read("winning") and not machine.ended
        machine.advance("", 1000)
        assert machine.ended
        frame, last = machine.frame, machine.read_all()
        machine.advance("Left", 50)  # time passes, and nothing happens
        assert machine.frame == frame + 50 and machine.read_all() | {"frames": last["frames"]} == last
        machine.restore(state)
        assert not machine.ended and machine.hash() == memory
        machine.advance("", 2000)
        machine.advance("Right", 1000)
        assert machine.ended
        machine.reset()
        assert not machine.ended and machine.hash() == begun and machine.frame == 0


def test_the_environment_pays_for_the_way_to_the_right_and_its_movie_verifies(tmp_path: Path) -> None:
    env = frameperfect.make_env("SuperTux", frame_skip=4, reward_terms=True, max_steps=400)
    _, info = env.reset(seed=0)
    way = []
    for action in [1] * 20 + [4] * 20:
        _, _, terminated, _, info = env.step(action)
        way.append(info["reward_terms"]["progress"])
        assert not terminated
    assert sum(way[:20]) > 1 and sum(way[25:]) < -0.5
    path = tmp_path / "run.fpm"
    save_movie(env.movie(), path)
    assert len(load_movie(path).inputs) == 160
    assert frameperfect.verify(path)
    env.close()


def test_dying_ends_an_episode_and_winning_is_success() -> None:
    env = frameperfect.make_env("SuperTux", frame_skip=8)
    env.reset(seed=0)
    terminated = False
    while not terminated:
        _, reward, terminated, truncated, info = env.step(1)  # into the first snowball
        assert not truncated
    assert reward < -4 and info["dying"] and not info["success"]
    env.close()
    env = frameperfect.make_env("SuperTux", frame_skip=8, options=NEAR_THE_END)
    env.reset(seed=0)
    terminated = False
    while not terminated:
        _, reward, terminated, truncated, info = env.step(1)
        assert not truncated
    assert reward > 19 and info["success"]
    env.reset()
    env.close()


def test_pictures_are_observations_too() -> None:
    env = frameperfect.make_env("SuperTux", observation="pixels", frame_skip=4, max_steps=20)
    check_env(env.unwrapped, skip_render_check=True)
    first, _ = env.reset(seed=0)
    for _ in range(10):
        last, *_ = env.step(1)
    assert first.shape == last.shape and first[-1].mean() > 100 and not np.array_equal(first[-1], last[-1])
    env.close()


def test_another_build_is_looked_into_and_one_laid_out_otherwise_is_refused(
    monkeypatch: pytest.MonkeyPatch, tux: Machine
) -> None:
    memory = tux.memory["tux"].tobytes()
    monkeypatch.setattr(supertux, "_KNOWN", {})
    with frameperfect.open("SuperTux") as found:
        assert found.memory["tux"].tobytes() == memory
    monkeypatch.setattr(supertux, "_STATUS", 0x130)
    with pytest.raises(MachineError, match=r"build d84f5a.* does not know.*install Debian 12's supertux"):
        frameperfect.open("SuperTux")


def test_what_is_missing_or_misspelt_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    for options, says in (
        ({"level": "world1/welcome_antartica"}, "did you mean 'world1/welcome_antarctica'"),
        ({"level": "../credits"}, "no level"),
        ({"spawn": "here"}, "spawn = 'here': give x,y"),
        ({"map": "Tutorial"}, "supertux has no option 'map'; it has level, spawn, tracking"),
        ({"level": "world1/worldmap"}, "no level"),
    ):
        with pytest.raises(MachineError, match=says):
            frameperfect.open("SuperTux", options=options)
    with pytest.raises(MachineError, match="has the domain 'tux'; leave out"):
        open_machine(MachineSpec("native", name="supertux", blocks={"own": Block(size=4, image=0)}))
    monkeypatch.setenv("PATH", "")
    monkeypatch.setattr(supertux, "_PLACES", "/nowhere")
    with pytest.raises(MissingComponent, match="apt-get install supertux"):
        frameperfect.open("SuperTux")
    assert not load_game("SuperTux").has_rom


# -- a game of one's own -------------------------------------------------------------------------------------


FIELDS = ("x", "y", "keys_pressed", "mouse_x", "mouse_y", "clicks", "pad_buttons", "pad_x", "ticks", "chance",
          "frames", "drawn")  # fmt: skip
KEYS = "Left = Left, Right = Right, Down = Down, Run = Left Shift, Click = Mouse 1, Fire = Pad A"
SQUARE = (250, 200, 0)


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> Path:
    built = tmp_path_factory.mktemp("sdl") / "square"
    subprocess.run(["c++", "-O1", "-o", built, SOURCE, "-l:libSDL2-2.0.so.0"], check=True)
    return built


def open_square(program: Path, way: str, ends: str, frames: str = "", **options: str) -> SdlMachine:
    symbols = subprocess.run(["nm", program], capture_output=True, text=True, check=True).stdout
    offset = next(line.split()[0] for line in symbols.splitlines() if line.endswith("state_of_game"))
    chosen = {
        "keys": KEYS,
        "boundary": ends,
        "rate": "50",
        "arguments": f"{way} {frames}",
    }
    blocks = {"state": Block(size=48, image=int(offset, 16), chain=(0,))}
    machine = open_machine(
        MachineSpec("native", program=program, options={**chosen, **options}, blocks=blocks)
    )
    assert isinstance(machine, SdlMachine)
    return machine


def told(machine: Machine) -> dict[str, int]:
    return dict(zip(FIELDS, struct.unpack("<8i4I", machine.memory["state"].tobytes()), strict=True))


def corner(picture: np.ndarray) -> tuple[int, int]:
    """Left and top of the square."""
    rows, columns = np.nonzero((picture == SQUARE).all(axis=2))
    assert len(rows) == 100
    return int(columns.min()), int(rows.min())


@pytest.mark.parametrize("way", ["renderer", "surface", "busy"])
@pytest.mark.parametrize("boundary", ["poll", "swap"])
def test_keys_mouse_and_controller_move_the_square_and_the_picture_shows_it(
    program: Path, way: str, boundary: str
) -> None:
    with open_square(program, way, boundary) as machine:
        begun = told(machine)
        machine.advance("Right Run", 10)
        assert told(machine)["x"] == begun["x"] + 30 and told(machine)["keys_pressed"] == 2
        machine.advance("Right", 1)
        machine.advance("", 5)
        assert told(machine)["x"] == begun["x"] + 31 and told(machine)["keys_pressed"] == 2
        assert corner(machine.screen()) == (told(machine)["x"], told(machine)["y"])
        machine.advance(PortInput(pointer=(50, 60, 1), axes=(5, 6)), 2)
        assert (told(machine)["mouse_x"], told(machine)["mouse_y"], told(machine)["clicks"]) == (55, 66, 1)
        machine.advance("Click", 2)
        machine.advance("", 1)
        machine.advance("Click Fire", 2)
        assert (told(machine)["clicks"], told(machine)["pad_buttons"]) == (2, 1)
        before = told(machine)["x"]
        machine.advance(PortInput(axes=(0, 0, 32767)), 10)
        assert told(machine)["pad_x"] == 32767 and told(machine)["x"] >= before + 9
        assert corner(machine.screen()) == (told(machine)["x"], told(machine)["y"])


def test_the_clock_goes_on_by_what_the_game_sleeps_or_else_by_a_frame(program: Path) -> None:
    for way, ms in (("renderer", 10), ("busy", 20)):
        with open_square(program, way, "poll") as machine:
            machine.advance("", 10)
            before = told(machine)
            machine.advance("", 100)
            after = told(machine)
            assert after["ticks"] - before["ticks"] == 100 * ms
            assert after["frames"] - before["frames"] == 100


def test_states_and_chance(program: Path) -> None:
    with open_square(program, "renderer", "poll") as machine:
        machine.advance("Right", 7)
        state = machine.save()
        machine.advance("Down", 9)
        after, picture = told(machine), machine.screen()
        machine.restore(state)
        machine.advance("Down", 9)
        assert told(machine) == after and np.array_equal(machine.screen(), picture)
    with open_square(program, "renderer", "poll") as another:
        another.restore(state)
        another.advance("Down", 9)
        assert told(another) | {"drawn": after["drawn"]} == after


@pytest.mark.parametrize("tracking", ["", "fork", "compare"])
@pytest.mark.parametrize("way", ["forks", "returns"])
def test_states_of_a_game_that_forks_or_gives_memory_back(program: Path, way: str, tracking: str) -> None:
    rng = np.random.default_rng(2)
    with open_square(program, way, "poll", tracking=tracking) as machine:
        states, futures = [], []
        for _ in range(12):
            machine.advance("Right", int(rng.integers(1, 20)))
            states.append(machine.save())
            machine.advance("Down", 7)
            futures.append(told(machine))
            machine.restore(states[-1])
        for place in rng.permutation(len(states)).tolist() * 2:
            machine.restore(states[place])
            machine.advance("Down", 7)
            assert told(machine) == futures[place]


def test_a_game_that_ends_by_itself_waits_for_a_reset(program: Path) -> None:
    with open_square(program, "renderer", "poll", frames="20") as machine:
        machine.advance("Right", 50)
        assert machine.ended and machine.frame == 50
        machine.reset()
        machine.advance("Right", 10)
        assert not machine.ended and told(machine)["frames"] == 10


def test_a_pool_reads_the_game_that_began_anew_not_the_one_that_ended(program: Path) -> None:
    with open_square(program, "renderer", "poll", frames="20") as machine:
        square = machine.spec
    settings = PoolSettings(frame_skip=2, spans=(Span("state", 0, 48),))
    with contextlib.closing(NativePool(square, 1, settings)) as pool:
        for _ in range(3):
            pool.reset([0], [None], [0])
            machine = pool.machine(0)
            assert isinstance(machine, SdlMachine) and not machine.ended
            rows = []
            for _ in range(15):
                pool.step(np.full((1, 1), machine.controllers[0].mask("Right"), np.uint32))
                assert pool.rows[0].tobytes() == machine.memory["state"].tobytes()
                rows.append(pool.rows[0].tobytes())
            assert machine.ended and len(set(rows)) > 5


def test_a_game_on_a_display_is_read_by_opengl_and_has_no_states(
    program: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with virtual_display() as display:
        monkeypatch.setenv("DISPLAY", display)
        with open_square(program, "gl", "swap", video="x11") as machine:
            assert Capability.SAVE not in machine.capabilities
            with pytest.raises(Unsupported):
                machine.save()
            machine.advance("Right", 9)
            assert corner(machine.screen()) == (told(machine)["x"], told(machine)["y"])
            machine.reset()
            assert told(machine)["x"] == 40


def test_a_game_s_folder_goes_with_it_and_what_the_killed_left_is_swept(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    ended = subprocess.Popen(["true"])
    ended.wait()
    (tmp_path / f"frameperfect-native-{ended.pid}-x" / "addons").mkdir(parents=True)
    (tmp_path / "frameperfect-native-1-x").mkdir()
    first, second = own_folder(), own_folder()
    assert {path.name for path in tmp_path.iterdir()} == {"frameperfect-native-1-x", first.name, second.name}
    first.rmdir()
    second.rmdir()
    with frameperfect.open("SuperTux"):
        assert len(list(tmp_path.iterdir())) == 2
    assert len(list(tmp_path.iterdir())) == 1


def test_options_of_one_s_own_game_are_checked(program: Path) -> None:
    for options, says in (
        ({"keys": "Jump"}, "'Jump' is not 'Button = Key'"),
        ({"keys": "Jump = Spacebar"}, "no key 'Spacebar'; SDL's names are meant"),
        ({"boundary": "vsync"}, "boundary = 'vsync': give poll or swap"),
        ({"rate": "fast"}, "rate = 'fast': give frames a second"),
        ({"speed": "2"}, "square has no option 'speed'"),
    ):
        with pytest.raises(MachineError, match=says):
            open_square(program, "renderer", "poll", **options)
    with pytest.raises(MachineError, match="no-such-game: is no program"):
        open_machine(MachineSpec("native", name="no-such-game", options={"keys": KEYS}))
    with pytest.raises(MachineError, match=r"square did not start: it died \(exit code 2\)"):
        open_square(program, "gl", "swap")  # no OpenGL without a display


def test_keys_are_parsed_in_order_and_press_what_they_name() -> None:
    keys = Keys.parse(KEYS)
    assert keys.controller.buttons == ("Left", "Right", "Down", "Run", "Click", "Fire")
    wire = keys.to_wire(keys.encode([0b111010], None))
    held, x, y, dx, dy, mouse, pad, *axes = struct.unpack("<64s4iII6h", wire)
    assert {code for code in range(512) if held[code // 8] >> code % 8 & 1} == {79, 225}
    assert (x, y, dx, dy, mouse, pad, axes) == (-1, -1, 0, 0, 1, 1, [0] * 6)
    with pytest.raises(Unsupported, match="on a mouse"):
        Keys.parse("Jump = Space").encode([0], (PortInput(pointer=(1, 1, 0)),))
