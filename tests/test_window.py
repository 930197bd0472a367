"""The window under SDL's dummy drivers: real events go in, the machine's memory and the pictures come out."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import frameperfect as fp
from frameperfect.errors import DisplayError, FrameperfectError
from frameperfect.machine import Controller, PortInput
from frameperfect.movie import Movie, Session, load_movie
from tests.components import need
from tests.roms import FRAMES, PADS, ROMS

pygame = need("pygame")
need("PIL")
need("stable_retro")

from frameperfect.view.overlay import make_overlays, shown_names  # noqa: E402
from frameperfect.view.window import (  # noqa: E402
    Bindings,
    Controls,
    Player,
    Recording,
    Tile,
    change_keys,
    display,
)
from frameperfect.view.window.help import help_lines, help_pages  # noqa: E402
from frameperfect.view.window.pace import Pace  # noqa: E402
from frameperfect.view.window.sound import take_block  # noqa: E402

Open = Callable[..., Player]


@pytest.fixture
def headless(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SDL_VIDEODRIVER", "dummy")
    monkeypatch.setenv("SDL_AUDIODRIVER", "dummy")


@pytest.fixture
def window(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, headless: None) -> Iterator[Open]:
    """Opens windows on the NES test program, or on other sessions."""
    monkeypatch.chdir(tmp_path)
    rom = ROMS["Nes"].write(tmp_path)
    with display() as sdl, fp.open(rom) as machine:

        def open_window(
            movie: Movie | None = None, keys: Path | None = None, playable: bool = True, **more: Any
        ) -> Player:
            session = Session(machine, movie=movie, slots=tmp_path / "slots")
            tile = Tile(session, names=shown_names(machine), overlays=make_overlays(["inputs"], machine))
            controls = Controls(sdl, Bindings(machine.controllers, keys), machine.controllers)
            recording = Recording(session, more.pop("out", None), "run", lambda movie: movie)
            sdl.event.clear()
            return Player(
                sdl, [tile], controls, title="t", recording=recording if playable else None, scale=1, **more
            )

        yield open_window


def press(key: str, *, up: bool = False, mod: int = 0) -> None:
    kind = pygame.KEYUP if up else pygame.KEYDOWN
    pygame.event.post(pygame.event.Event(kind, key=pygame.key.key_code(key), mod=mod))


def tap(player: Player, key: str, mod: int = 0) -> None:
    press(key, mod=mod)
    press(key, up=True, mod=mod)
    player.tick()


def ticks(player: Player, count: int) -> None:
    for _ in range(count):
        player.tick()


# -- playing -----------------------------------------------------------------------------------------------


def test_a_key_acts_on_the_very_next_frame(window: Open) -> None:
    player = window()
    ticks(player, 30)
    session, ram = player.session, player.session.machine.memory["ram"]
    idle = ram[PADS].tobytes()
    before = session.frame
    press("x")
    player.tick()
    assert session.frame == before + 1
    assert session.held() == (session.machine.controllers[0].mask("A"), 0)
    player.tick()  # the program reads its pad once a frame
    assert ram[PADS].tobytes() != idle
    press("x", up=True)
    player.tick()
    assert session.held() == (0, 0)


def test_a_press_that_is_let_go_within_a_frame_is_not_lost(window: Open) -> None:
    player = window()
    tap(player, "return")
    assert player.session.held()[0] == player.session.machine.controllers[0].mask("Start")
    player.tick()
    assert player.session.held() == (0, 0)


def test_both_pads_play_from_one_keyboard(window: Open) -> None:
    player = window()
    press("right")
    press("j")
    press("v")
    player.tick()
    pad = player.session.machine.controllers[0]
    assert player.session.held() == (pad.mask("Right"), pad.mask("Left B"))
    height = player.tiles[0].picture.shape[0]
    player.draw()
    assert player.tiles[0].picture.shape[0] >= height  # the second pad got a line in the panel


def test_keys_are_let_go_when_the_window_loses_the_keyboard(window: Open) -> None:
    player = window()
    press("right")
    player.tick()
    pygame.event.post(pygame.event.Event(pygame.WINDOWFOCUSLOST))
    player.tick()
    assert player.session.held() == (0, 0)


def test_rewinding_while_a_key_is_held_goes_through_the_very_same_moments(window: Open) -> None:
    player = window()
    session, seen = player.session, []
    for frame in range(80):
        press("z" if frame % 7 else "up", up=bool(frame % 3))
        player.tick()
        seen.append(session.machine.hash())
    press("backspace")
    for frame in range(79, 40, -1):
        player.tick()
        assert (session.frame, session.machine.hash()) == (frame, seen[frame - 1])
    press("backspace", up=True)
    player.tick()
    assert session.frame == 42 == session.frames
    assert session.rerecords == 1


def test_pause_single_frames_and_one_frame_back(window: Open) -> None:
    player = window()
    ticks(player, 5)
    tap(player, "p")
    ticks(player, 10)
    assert player.session.frame == 5
    tap(player, ".")
    assert player.session.frame == 5  # it was down and up again before the frame
    press(".")
    player.tick()
    press(".", up=True)
    player.tick()
    assert player.session.frame == 6
    press(",")
    ticks(player, 2)
    press(",", up=True)
    assert player.session.frame == 5
    press(".")
    ticks(player, 40)
    press(".", up=True)
    assert player.session.frame > 8  # held down, it repeats


def test_turbo_plays_more_than_a_frame_a_picture_and_slow_motion_is_asked_of_the_pace(window: Open) -> None:
    player = window()
    press("tab")
    ticks(player, 3)
    press("tab", up=True)
    assert player.session.frame > 3
    for _ in range(5):
        tap(player, "-")
    assert player.speed == 0.125
    for _ in range(9):
        tap(player, "=")
    assert player.speed == 4
    before = player.session.frame
    player.tick()
    assert player.session.frame == before + 4


def test_slots_by_keys(window: Open) -> None:
    player = window()
    ticks(player, 12)
    here = player.session.machine.hash()
    tap(player, "3", mod=pygame.KMOD_LSHIFT)
    at = player.session.frame - 1
    ticks(player, 9)
    tap(player, "p")
    tap(player, "3")
    assert (player.session.frame, player.session.machine.hash()) == (at, here)
    before = player.session.machine.hash()
    tap(player, "7")
    assert "slot 7 is empty" in player._toast
    assert player.session.machine.hash() == before and player.running


def test_a_movie_is_replayed_and_taken_over_at_a_frame(window: Open) -> None:
    first = window()
    for frame in range(50):
        press("left", up=bool(frame % 5))
        first.tick()
    movie = first.session.movie()

    player = window(movie=movie, replaying=True)
    ticks(player, 20)
    assert player.session.frame == 20 and player.session.frames == 50
    tap(player, "t")
    press("x")
    ticks(player, 5)
    taken = player.session.movie()
    assert (taken.inputs[:20] == movie.inputs[:20]).all()
    assert taken.frames == 26 and taken.rerecords == 1


def test_a_replay_stops_at_its_end_and_is_the_players_then(window: Open) -> None:
    first = window()
    ticks(first, 10)
    player = window(movie=first.session.movie(), replaying=True)
    ticks(player, 15)
    assert (player.session.frame, player.paused, player.replaying) == (10, True, False)
    tap(player, "p")
    ticks(player, 3)
    assert player.session.frames > 10


def test_jumps_only_look_so_that_nothing_is_overwritten(window: Open) -> None:
    player = window()
    ticks(player, 400)
    tap(player, "home")
    ticks(player, 3)
    assert player.session.frames == 400 and player.session.frame == 4
    tap(player, "page down")
    assert player.session.frame > 300
    tap(player, "end")
    assert player.session.frame == 400
    tap(player, "page up")
    assert player.session.frames == 400


def test_a_movie_that_desyncs_pauses_and_says_where(window: Open) -> None:
    first = window()
    press("up")
    ticks(first, 70)
    movie = first.session.movie()
    movie.inputs[3:9] = 0
    player = window(movie=movie, replaying=True)
    ticks(player, 80)
    assert player.paused and player.session.frame == 60
    assert "memory differs from frame 60 on" in player._toast


def test_the_recording_of_a_window_verifies_in_a_fresh_process(window: Open, tmp_path: Path) -> None:
    player = window(out=tmp_path / "mine.fpm")
    for frame in range(90):
        press("right", up=bool(frame % 4))
        player.tick()
    press("backspace")
    ticks(player, 20)
    press("backspace", up=True)
    ticks(player, 30)
    pygame.event.post(pygame.event.Event(pygame.QUIT))
    player.tick()
    assert not player.running
    assert player.recording is not None
    assert "mine.fpm: 101 frames, 1 rerecord" in player.recording.finish()
    assert load_movie(tmp_path / "mine.fpm").frames == 101
    assert fp.verify(tmp_path / "mine.fpm", game=tmp_path / "nes.nes")


def test_recording_is_switched_on_and_off_and_begun_anew(window: Open, tmp_path: Path) -> None:
    player = window()
    ticks(player, 10)
    tap(player, "f2")
    tap(player, "f2")
    assert load_movie("run.fpm").frames == 11
    tap(player, "f3")
    ticks(player, 5)
    tap(player, "f2")
    again = load_movie("run-2.fpm")
    assert isinstance(again.start, bytes) and again.frames == 6


def test_while_it_records_a_copy_follows_the_run(window: Open, tmp_path: Path) -> None:
    player, now = window(), [0.0]
    recording = Recording(player.session, Path("mine.fm2"), "run", lambda movie: movie, clock=lambda: now[0])
    player.recording, copy = recording, tmp_path / "mine.autosave.fpm"
    ticks(player, 10)
    assert not copy.exists()
    for frames in (11, 31):
        now[0] += 60
        player.tick()
        assert recording._copy is not None
        recording._copy.wait()
        assert load_movie(copy).frames == frames
        ticks(player, 19)
    recording.finish()
    assert load_movie("mine.fm2").frames == 50 and not copy.exists()


def test_a_copy_that_can_not_be_written_is_told_of_once(window: Open, tmp_path: Path) -> None:
    (tmp_path / "mine.autosave.fpm").mkdir()
    player, now = window(), [0.0]
    player.recording = Recording(
        player.session, Path("mine.fpm"), "run", lambda movie: movie, clock=lambda: now[0]
    )
    told = []
    for _ in range(4):
        now[0] += 60
        ticks(player, 2)
        assert player.recording._copy is not None
        player.recording._copy.wait()
        told.append(player._toast)
        player._toast = ""
    assert sum("mine.autosave.fpm: can't be written" in text for text in told) == 1
    (tmp_path / "mine.autosave.fpm").rmdir()
    assert "mine.fpm: 8 frames" in player.recording.finish()


def test_the_reset_button_is_part_of_the_recording(window: Open) -> None:
    player = window()
    ticks(player, 20)
    counted = player.session.machine.memory["ram"][FRAMES]
    tap(player, "f9")
    ticks(player, 5)
    assert player.session.machine.memory["ram"][FRAMES] < counted
    assert player.session.movie().commands == {20: "reset"}


# -- pictures ----------------------------------------------------------------------------------------------


def test_the_game_is_enlarged_by_a_whole_factor_without_blur(tmp_path: Path, headless: None) -> None:
    with display() as sdl, fp.open("Airstriker-Genesis") as machine:
        session = Session(machine, start="level1")
        controls = Controls(sdl, Bindings(machine.controllers), machine.controllers)
        recording = Recording(session, None, "run", lambda movie: movie)
        player = Player(sdl, [Tile(session)], controls, title="", recording=recording, scale=3)
        ticks(player, 30)
        player._toast_ends = 0
        player.draw()
        screen = machine.screen()
        height, width = screen.shape[:2]
        shown = player.shown()[: 3 * height, : 3 * width]
        assert (shown == screen.repeat(3, axis=0).repeat(3, axis=1)).all()


def test_the_help_page_lists_every_command_and_pauses(window: Open) -> None:
    player = window()
    ticks(player, 3)
    tap(player, "f1")
    ticks(player, 5)
    assert player.session.frame == 3
    said = [text for page in player._help_pages() for column in page for _, text in column]
    assert "rewind while it is held" in said and "load a slot" in said and "Start" in said
    for _ in range(len(player._help_pages())):
        tap(player, "f1")
    player.tick()
    assert player.session.frame > 3


@given(width=st.integers(160, 2000), height=st.integers(140, 1200))
def test_help_pages_lose_no_line_at_any_size(width: int, height: int) -> None:
    lines = help_lines(Bindings([Controller(("Up", "A"))] * 2), playable=True)
    pages = help_pages(lines, width, height)
    assert [line for page in pages for column in page for line in column] == lines


def test_hud_overlays_and_screenshots(window: Open, tmp_path: Path) -> None:
    player = window()
    ticks(player, 200)
    tall = player._window.get_height()
    tap(player, "f5")
    assert player._window.get_height() < tall
    with_overlays = player.shown()
    tap(player, "f6")
    assert (player.shown() != with_overlays).any()
    tap(player, "f12")
    (picture,) = tmp_path.glob("*.png")
    assert picture.read_bytes()[:4] == b"\x89PNG"


def test_several_runs_are_tiled_and_keep_their_own_time(tmp_path: Path, headless: None) -> None:
    rom = ROMS["Nes"].write(tmp_path)
    with display() as sdl, fp.open(rom) as one, fp.open(rom) as other, fp.open(rom) as third:
        tiles = []
        for machine, frames in ((one, 20), (other, 40), (third, 30)):
            session = Session(machine)
            for _ in range(frames):
                session.advance("A")
            tiles.append(Tile(Session(machine, movie=session.movie()), caption=f"{frames} frames"))
        player = Player(
            sdl, tiles, Controls(sdl, Bindings(one.controllers), one.controllers), title="", scale=1
        )
        ticks(player, 25)
        assert [tile.session.frame for tile in tiles] == [20, 25, 25]
        tap(player, "p")
        ticks(player, 5)
        assert [tile.session.frame for tile in tiles] == [20, 25, 25]
        tap(player, "home")
        assert [tile.session.frame for tile in tiles] == [0, 0, 0]
        tap(player, "p")
        ticks(player, 60)
        assert [tile.session.frame for tile in tiles] == [20, 40, 30] and player.paused
        tap(player, "9", mod=pygame.KMOD_LSHIFT)  # what changes a run is not for watching
        assert player.running


# -- keys --------------------------------------------------------------------------------------------------

PADS_OF = {
    "Nes": ("Up", "Down", "Left", "Right", "Select", "Start", "B", "A"),
    "Snes": ("Up", "Down", "Left", "Right", "Select", "Start", "B", "A", "Y", "X", "L", "R"),
    "Genesis": ("Up", "Down", "Left", "Right", "A", "B", "C", "Start", "X", "Y", "Z", "Mode"),
    "Saturn": ("Up", "Down", "Left", "Right", "A", "B", "C", "Start", "X", "Y", "Z", "L", "R"),
    "PCEngine": ("Up", "Down", "Left", "Right", "Select", "Run", "I", "II"),
    "Atari": ("Up", "Down", "Left", "Right", "Fire"),
    "N64": ("Up", "Down", "Left", "Right", "Start", "Z", "B", "A", "L", "R"),
}


@pytest.mark.parametrize("console", PADS_OF)
def test_every_button_of_every_console_has_a_key_of_its_own(console: str) -> None:
    axes = ("X Axis", "Y Axis", "C X Axis", "C Y Axis") if console == "N64" else ()
    bindings = Bindings([Controller(PADS_OF[console], axes)] * 2)
    typed = set(bindings.keys.values())
    for port in range(2):
        on_pad = set(bindings.pads[port].values())
        for button in PADS_OF[console]:
            assert button in on_pad
            if not axes:
                assert (port, button) in typed
    assert not bindings.keys.keys() & bindings.commands.keys()
    assert {"pause", "rewind", "help", "quit"} <= set(bindings.commands.values())


def test_a_file_gives_keys_other_meanings_and_reads_back(tmp_path: Path) -> None:
    pads = [Controller(PADS_OF["Nes"])] * 2
    path = tmp_path / "keys.toml"
    path.write_text('[port1]\nA = "p"\nB = ["space", "pad y"]\n[commands]\npause = "ctrl+x"\n')
    bindings = Bindings(pads, path)
    assert bindings.keys["p"] == (0, "A") and bindings.keys["space"] == (0, "B")
    assert bindings.commands["ctrl+x"] == "pause" and "p" not in bindings.commands
    assert "z" not in bindings.keys and bindings.keys["right"] == (0, "Right")
    again = tmp_path / "again.toml"
    again.write_text(bindings.to_toml())
    assert Bindings(pads, again).table == bindings.table


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ('[port1]\nJump = "x"', ["[port1] no button 'Jump'", "Start"]),
        ('[port1]\nSelct = "x"', ["did you mean 'Select'?"]),
        ('[port3]\nA = "x"', ["no section [port3]", "port2"]),
        ('[commands]\nrewnd = "x"', ["no command 'rewnd'", "rewind"]),
        ('[port1]\nA = "retrun"', ["no key 'retrun'", "return"]),
        ('[port1]\nA = "pad q"', ["no 'pad q'"]),
        ("[port1]\nA = 3", ["A:", "quotes"]),
        ('[port1]\nA = "x"\nB = "x"', ["'x' is both", "A", "B"]),
        ('[port1]\nA = "shift+x"', ["before the key"]),
        ("[port1\n", ["line 1"]),
        ('port1 = "x"', ["section"]),
    ],
)
def test_wrong_keys_are_named_with_the_mend(tmp_path: Path, text: str, words: list[str]) -> None:
    path = tmp_path / "keys.toml"
    path.write_text(text)
    with pytest.raises(FrameperfectError) as raised:
        Bindings([Controller(PADS_OF["Nes"])] * 2, path)
    message = str(raised.value)
    assert message.startswith(str(path)) and "\n" not in message
    for word in words:
        assert word in message


class VirtualPad:
    """A gamepad that SDL itself keeps: its events come by the way of a real one's."""

    GAMEPAD, AXES, BUTTONS = 1, 6, 15  # SDL_JOYSTICK_TYPE_GAMECONTROLLER, and SDL's standard layout

    def __init__(self) -> None:
        from ctypes import CDLL, c_int, c_int16, c_uint8, c_void_p

        maps = Path("/proc/self/maps").read_text().splitlines()
        libraries = {line.split()[-1] for line in maps if "libSDL2-2" in line}
        if not libraries:
            pytest.skip("where pygame keeps SDL is known on Linux only")
        self.sdl = CDLL(libraries.pop())
        self.sdl.SDL_JoystickFromInstanceID.restype = c_void_p
        self.sdl.SDL_JoystickSetVirtualAxis.argtypes = [c_void_p, c_int, c_int16]
        self.sdl.SDL_JoystickSetVirtualButton.argtypes = [c_void_p, c_int, c_uint8]
        self.index = self.sdl.SDL_JoystickAttachVirtual(self.GAMEPAD, self.AXES, self.BUTTONS, 0)
        assert self.index >= 0
        self.id = self.sdl.SDL_JoystickGetDeviceInstanceID(self.index)
        for trigger in (4, 5):
            self.axis(trigger, -32768)

    def axis(self, axis: int, value: int) -> None:
        if device := self.sdl.SDL_JoystickFromInstanceID(self.id):
            self.sdl.SDL_JoystickSetVirtualAxis(device, axis, value)

    def button(self, button: int, down: bool) -> None:
        self.sdl.SDL_JoystickSetVirtualButton(self.sdl.SDL_JoystickFromInstanceID(self.id), button, down)

    def unplug(self) -> None:
        self.sdl.SDL_JoystickDetachVirtual(self.index)


def test_gamepads_come_and_go_and_play_at_their_ports(window: Open) -> None:
    player = window()
    one, other = VirtualPad(), VirtualPad()
    player.tick()
    assert "plays at port 2" in player._toast
    pad = player.session.machine.controllers[0]
    one.button(pygame.CONTROLLER_BUTTON_B, True)
    other.axis(0, -30000)
    ticks(player, 2)  # SDL takes what a virtual device holds at its next poll
    assert player.session.held() == (pad.mask("A"), pad.mask("Left"))
    other.axis(0, 100)
    one.button(pygame.CONTROLLER_BUTTON_B, False)
    ticks(player, 2)
    assert player.session.held() == (0, 0)
    other.unplug()
    one.button(pygame.CONTROLLER_BUTTON_B, True)
    ticks(player, 2)
    assert "port 2 is gone" in player._toast
    again = VirtualPad()
    ticks(player, 2)
    again.button(pygame.CONTROLLER_BUTTON_DPAD_UP, True)
    ticks(player, 2)
    assert player.session.held() == (pad.mask("A"), pad.mask("Up"))
    for device in (again, one):
        device.unplug()
    ticks(player, 2)
    assert player.session.held() == (0, 0)


def test_a_stick_steers_an_analog_axis_beyond_its_dead_zone(headless: None) -> None:
    controllers = [Controller(PADS_OF["N64"], ("X Axis", "Y Axis", "C X Axis", "C Y Axis"))]
    with display() as sdl:
        controls, pad = Controls(sdl, Bindings(controllers), controllers), VirtualPad()
        controls.poll()

        def axes(*values: int) -> tuple[int, ...]:
            for axis, value in enumerate(values):
                pad.axis(axis, value)
            for _ in range(2):
                controls.poll()
            (port,) = controls.inputs()
            return port.axes if isinstance(port, PortInput) else (0, 0, 0, 0)

        assert axes(3000, -3000, 0, 0) == (0, 0, 0, 0)
        assert axes(32767, -32768, 0, 0) == (32767, -32767, 0, 0)
        half = axes(16384, 0, 0, -16384)
        assert 12000 < half[0] == -half[3] < 16384
        assert axes(0, 0, 0, 0) == (0, 0, 0, 0)
        controls._take(pygame.event.Event(pygame.KEYDOWN, key=pygame.K_LEFT, mod=0))
        assert axes(9000, 0, 0, 0)[0] == -32767  # a key pushes it all the way
        pad.unplug()


def test_the_users_file_of_keys_grows_by_changes_and_the_latest_wins(tmp_path: Path) -> None:
    pads, path = [Controller(PADS_OF["Nes"])] * 2, tmp_path / "keys" / "Nes.toml"
    change_keys(path, pads, {"port1": {"A": ("space",)}, "commands": {"rewind": ("r", "pad leftshoulder")}})
    bindings = change_keys(path, pads, {"port1": {"b": ("space", "pad y")}})
    assert bindings.keys["space"] == (0, "B") and bindings.commands["r"] == "rewind"
    assert bindings.keys["x"] == (0, "A")  # which has its own key again
    before = path.read_text()
    with pytest.raises(FrameperfectError, match="no button 'Jump'"):
        change_keys(path, pads, {"port1": {"Jump": ("x",)}})
    with pytest.raises(FrameperfectError, match="'x' is both"):
        change_keys(path, pads, {"port1": {"A": ("x",), "B": ("x",)}})
    assert path.read_text() == before


# -- time, sound, displays ---------------------------------------------------------------------------------


@given(
    rate=st.sampled_from((50.0, 59.92, 60.0988)),
    work=st.lists(st.floats(0, 0.03), min_size=50, max_size=300),
)
def test_the_pace_does_not_drift_however_long_frames_take(rate: float, work: list[float]) -> None:
    now = [0.0]
    pace = Pace(rate, clock=lambda: now[0], sleep=lambda seconds: now.__setitem__(0, now[0] + seconds))
    for seconds in work:
        pace.wait()
        now[0] += seconds
    now[0] = max(now[0], len(work) / rate)
    behind = now[0] - len(work) / rate
    assert behind >= -1e-9
    for _ in range(1000):  # with nothing to do it catches up, and is exact
        pace.wait()
    exact = (len(work) + 1000) / rate
    given_up = max(0.0, now[0] - exact)
    assert now[0] >= exact - 1e-6
    assert given_up <= behind + 1e-6


@given(
    length=st.integers(0, 8000),
    block=st.sampled_from((512, 1024)),
)
def test_a_block_of_sound_takes_at_most_half_a_percent_more_or_less(length: int, block: int) -> None:
    queue = np.stack([np.arange(length), -np.arange(length)], axis=1).astype(np.float32)
    taken, left = take_block(queue, block)
    if not len(taken):
        assert len(left) == length < block * 1.005 + 1
        return
    used = length - len(left)
    assert taken.shape == (block, 2) and taken.dtype == np.int16
    assert abs(used - block) <= block * 0.005 + 1
    assert (np.diff(taken[:, 0].astype(int)) >= 0).all()  # nothing is out of order
    assert taken[0, 0] == 0 and taken[-1, 0] == used - 1  # and no seam to the next


def test_sound_is_queued_while_playing_and_dropped_in_turbo_rewind_and_pause(headless: None) -> None:
    with display() as sdl, fp.open("Airstriker-Genesis") as machine:
        session = Session(machine, start="level1")
        controls = Controls(sdl, Bindings(machine.controllers), machine.controllers)
        recording = Recording(session, None, "run", lambda movie: movie)
        player = Player(sdl, [Tile(session)], controls, title="", recording=recording, scale=1)
        assert not player.sound.trouble
        ticks(player, 3)
        assert player.sound.queued
        for key in ("tab", "backspace"):
            press(key)
            player.tick()
            assert not player.sound.queued
            press(key, up=True)
            ticks(player, 2)
            assert player.sound.queued
        tap(player, "p")
        assert not player.sound.queued
        ticks(player, 60)
        player.sound.close()


def test_a_missing_display_is_one_line_that_says_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("DISPLAY", "WAYLAND_DISPLAY", "SDL_VIDEODRIVER"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr("sys.platform", "linux")
    with pytest.raises(DisplayError, match=r"no display.*xvfb-run.*SDL_VIDEODRIVER=dummy"), display():
        pass
    monkeypatch.setenv("SDL_VIDEODRIVER", "no-such-driver")
    with pytest.raises(DisplayError, match="no display"), display():
        pass
