"""DDNet's own client: a person watches our players in it, and plays in it; what they play is kept exactly."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

import frameperfect
from frameperfect.cli.race import replayed
from frameperfect.errors import Desync, DisplayError, MachineError, MissingComponent, Unsupported
from frameperfect.game import load_game
from frameperfect.machine import Capability
from frameperfect.machines.native import client, live
from frameperfect.machines.native.controls import PLAYER
from frameperfect.machines.native.live import LiveMachine
from frameperfect.movie import load_movie, save_movie
from tests.command_line import frameperfect as command
from tests.components import need_program
from tests.displays import Hands, virtual_display

need_program("DDNet-Server", "ddnet-server")
need_program("DDNet", "ddnet")

GAME = "DDNet-Race"
SUNNY = {"map": "Sunny Side Up"}
SETTINGS = """
gfx_screen_width 320
gfx_screen_height 240
gfx_fsaa_samples 0
gfx_high_detail 0
snd_enable 0
cl_menu_map ""
"""


@pytest.fixture(scope="module")
def display() -> Iterator[str]:
    with virtual_display(320, 240) as name:
        yield name


@pytest.fixture
def screen(display: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> str:
    """A person's surroundings, with settings of their own, and less time to get ready in them."""
    monkeypatch.setenv("DISPLAY", display)
    monkeypatch.setenv("SDL_AUDIODRIVER", "dummy")
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    settings = tmp_path / "data" / "ddnet" / "settings_ddnet.cfg"
    settings.parent.mkdir(parents=True)
    settings.write_text(SETTINGS)
    monkeypatch.setattr(live, "_COUNTDOWN", 25)
    return display


def open_live(kind: str, players: int) -> LiveMachine:
    machine = frameperfect.open(GAME, options={**SUNNY, "players": str(players), "client": kind})
    assert isinstance(machine, LiveMachine)
    machine.reset()
    return machine


def play(machine: LiveMachine, agents: str, until: Callable[[], bool]) -> None:
    """Steps until what the person does has arrived."""
    for _ in range(250):
        machine.advance([agents] * (machine.players - 1), 1)
        if until():
            return
    raise AssertionError("what the person does does not arrive")


def test_what_a_person_plays_against_agents_is_kept_and_played_again_to_the_same_states(
    screen: str, tmp_path: Path
) -> None:
    with open_live("play", players=3) as machine:
        assert not machine.capabilities & (Capability.SAVE | Capability.DETERMINISTIC)
        with pytest.raises(Unsupported):
            machine.save()
        hands = Hands(screen)
        hands.push(60, -80)
        seen = machine.memory["players"].view("<i4").reshape(16, -1)[2]
        begun = int(seen[0])

        def pressed(button: str) -> bool:
            return bool(machine.played().masks[-1, 2] & PLAYER.mask(button))

        hands.key("d", True)
        play(machine, "Right", lambda: seen[0] > begun + 20)
        hands.key("space", True)
        play(machine, "Right Jump", lambda: pressed("Jump"))
        hands.button(3, True)
        play(machine, "Right Hook", lambda: pressed("Hook") and seen[6] != 0)
        hands.key("space", False)
        hands.button(3, False)
        for down in (True, False):
            hands.button(1, down)
            play(machine, "Left", lambda down=down: pressed("Fire") == down)  # type: ignore[misc]
        assert machine.played().axes[-1, 2, 1] < 0  # the mouse was pushed upwards

        rng, held = np.random.default_rng(7), {name: name == "d" for name in ("a", "d", "space")}
        for _ in range(50):  # whenever it comes, and several at once
            name = str(rng.choice(list(held)))
            held[name] = not held[name]
            hands.key(name, held[name])
            hands.button(int(rng.choice([1, 3])), bool(rng.integers(2)))
            hands.push(*rng.integers(-40, 40, 2).tolist())
            machine.advance(rng.integers(32, size=2).tolist(), int(rng.integers(1, 5)))
        assert len(np.unique(machine.played().masks[:, 2])) > 4
        for name in held:
            hands.key(name, False)
        hands.button(1, False)
        hands.button(3, False)
        hands.close()
        machine.client.say("say hello; kill; emote 1")  # type: ignore[union-attr]
        machine.advance([""] * 2, 30)
        played = machine.played()
        assert len(played.masks) == machine.frame
        assert played.checkpoints[-1] == (machine.frame, machine.hash())
        memory = machine.memory["players"].tobytes()

        # A second race: new lives for all, and no common beginning.
        machine.reset()
        assert abs(int(seen[0]) - begun) < 200 and seen[9] == 0
        with pytest.raises(MachineError, match="kept from power-on to the first reset"):
            machine.played()
        home = machine.client.home  # type: ignore[union-attr]
    assert not home.exists()

    options = {**SUNNY, "players": "3"}
    movie = replayed(load_game(GAME), options, *played)
    with frameperfect.open(GAME, options=options) as again:
        for _ in movie.replay(again):
            pass
        assert again.memory["players"].tobytes() == memory
    path = tmp_path / "mine.fpm"
    save_movie(movie, path)
    assert frameperfect.verify(path)
    assert np.array_equal(load_movie(path).axes, played.axes)  # type: ignore[arg-type]

    wrong = played.masks.copy()
    wrong[20:50] = PLAYER.mask("Left")
    with pytest.raises(Desync, match="other states when it is played again, by frame"):
        replayed(load_game(GAME), options, wrong, *played[1:])


def test_who_watches_changes_nothing_and_ticks_take_their_time(screen: str) -> None:
    moves = np.random.default_rng(4).integers(32, size=(30, 2))
    with open_live("watch", players=2) as machine:
        begun = time.monotonic()
        for row in moves.tolist():
            machine.advance(row, 3)
        assert time.monotonic() - begun > 0.9 * 90 / 50  # never faster than the game
        watched = machine.hash()
        assert machine.watched
        machine.client.close()  # type: ignore[union-attr]
        machine.advance(["", ""], 5)  # the players play on
        assert not machine.watched
    with frameperfect.open(GAME, options={**SUNNY, "players": "2"}) as machine:
        for row in moves.tolist():
            machine.advance(row, 3)
        assert machine.hash() == watched


def test_the_command_shows_a_race(screen: str, tmp_path: Path) -> None:
    done = command(
        "race", GAME, "--agents", 2, "--option", "map=Sunny Side Up", "--seconds", 0.5, cwd=tmp_path
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert "the race begins three seconds after" in done.stdout


def test_what_is_missing_or_wrong_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("DISPLAY", raising=False)
    monkeypatch.delenv("WAYLAND_DISPLAY", raising=False)
    with pytest.raises(DisplayError, match="needs a display"):
        open_live("watch", 1)
    with pytest.raises(MachineError, match="client = 'spectate': give watch or play"):
        frameperfect.open(GAME, options={"client": "spectate"})
    for words, says in (
        ([GAME, "--out", "mine.fpm"], "add --join"),
        ([GAME, "--join", "--out", "mine.fm2"], "kept as .fpm"),
        ([GAME, "--agents", 0], "nobody plays"),
        (["Airstriker-Genesis"], "has no option 'client'"),
    ):
        done = command("race", *words, cwd=tmp_path)
        assert done.returncode == 2 and says in done.stderr, done.stderr
    monkeypatch.setattr(client, "_PLACES", "/nowhere")
    monkeypatch.setenv("PATH", "")
    with pytest.raises(MissingComponent, match="apt-get install ddnet"):
        client.find_client()
