"""Game definitions: what loads, what is refused and how, where games are found, how they start."""

from __future__ import annotations

import gzip
import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import frameperfect
from frameperfect.errors import GameError, MissingRom, StateMismatch, UnknownGame
from frameperfect.game import games, load_game, write_new_game
from frameperfect.game import open as open_game
from frameperfect.game.game import Game
from frameperfect.game.lua import LuaScript
from frameperfect.game.schema import check, parse_toml
from frameperfect.memory import Domain
from tests.components import need

EXAMPLE = """
[game]
name    = "Jumper-Nes"
machine = "libretro"
system  = "Nes"
rom     = { file = "skyrunner.nes", sha1 = "0123456789012345678901234567890123456789" }

[memory]
x        = { address = 0x0300, type = "<u2", scale = 256, unit = "px" }
grounded = { address = 0x0310, type = "u1", bit = 0 }
stage    = { address = 0x0320, type = "u1" }
clock    = { address = 0x0330, type = "<u2", unit = "frame" }
lives    = { address = 0x0334 }
boss_hp  = { pointer = [0x0340, 0x06], type = "u1" }

[start.stage1]
movie = "stage1.fm2"

[actions]
run = ["", "Right", "Right A", "Right B", "Right A B", "Left", "A"]

[observation]
features = ["x", "delta(x)", "grounded"]

[reward]
progress = "max(delta(x), 0) * 0.1"
death    = "-10 * died"
hurry    = -0.01

[end]
terminated = "died or won"
truncated  = "clock > 3600"
success    = "won"
time       = "clock"

[define]
died = "lives < prev.lives"
won  = "stage != prev.stage"

[search.stage1]
win  = "won"
same = ["x"]
"""
DOMAINS = {"ram": Domain("ram", 0x800, pointer="<u2", address_bits=16)}


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("FRAMEPERFECT_HOME", str(tmp_path / "home"))
    return tmp_path / "home"


def airstriker_rom() -> Path:
    need("stable_retro")
    return load_game("Airstriker-Genesis", source="stable-retro").find_rom()


def test_a_search_may_be_like_another_but_for_what_it_says_itself() -> None:
    more = """
[search.stage2]
like = "short"
same = ["x", "grounded"]

[search.short]
like   = "stage1"
start  = "stage1"
frames = 2
"""
    search = Game(parse_toml(EXAMPLE + more, "game.toml"), "path").search
    assert list(search) == ["stage1", "stage2", "short"]
    assert search["stage2"].win == search["short"].win == "won"
    assert (search["stage2"].frames, search["stage2"].same) == (2, ["x", "grounded"])
    assert search["short"].same == ["x"]
    assert search["stage2"].start is None  # it begins at its own


@pytest.mark.parametrize(
    ("more", "says"),
    [
        ('[search.b]\nlike = "stage2"', "'b' is like 'stage2', and there is none. Did you mean 'stage1'?"),
        ('[search.b]\nlike = "b"', "'b' is like 'b', which is like 'b'"),
        ('[search.b]\nlike = "c"\n[search.c]\nlike = "b"', "'c' is like 'b', which is like 'c'"),
    ],
)
def test_a_search_that_is_like_none_is_named(more: str, says: str) -> None:
    with pytest.raises(GameError, match=re.escape(says)):
        parse_toml(EXAMPLE + more, "game.toml")


def test_the_designs_example_loads_and_its_rules_compile() -> None:
    game = Game(parse_toml(EXAMPLE, "game.toml"), "path")
    assert game.starts == ("stage1",)
    assert game.default_start == "stage1"
    assert game.actions["run"][2] == "Right A"
    assert game.search["stage1"].win == "won"
    rules = game.rules(DOMAINS)
    assert rules.features == ("x", "delta(x)", "grounded")
    assert rules.terms == ("progress", "death", "hurry")
    assert set(rules.scalar().values()) == {
        "x",
        "grounded",
        "stage",
        "clock",
        "lives",
        "boss_hp",
        "died",
        "won",
    }


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("system  =", "sistem  =", r"\[game\] unknown key 'sistem'. Did you mean 'system'\?"),
        ("[reward]", "[rewards]", r"unknown key 'rewards'. Did you mean 'reward'\?"),
        ('unit = "px"', 'units = "px"', r"\[memory\] x: unknown key 'units'. Did you mean 'unit'\?"),
        ("terminated =", "terminate =", r"\[end\] unknown key 'terminate'. Did you mean 'terminated'\?"),
        ("movie =", "film =", r"\[start.stage1\] unknown key 'film'. There are movie"),
        ('movie = "stage1.fm2"', 'state = "a.state"', r"\[start\] stage1: a 'state' needs 'core'"),
        ('"0123', '"xyz', r"is no SHA-1: 40 hex digits"),
        ('run = [""', "run = [7", r"\[actions\] run: give a list like"),
        ("x        =", '"x y"    =', r"'x y' can't be used in expressions"),
        ("won  =", "x =", r"'x' is in both \[memory\] and \[define\]"),
        ("[game]", "[gaem]", r"unknown key 'gaem'. Did you mean 'game'\?"),
        ('name    = "Jumper-Nes"', "", r"\[game\] 'name' is missing"),
        ("[memory]", "[memory", r"at line 8"),
    ],
)
def test_a_wrong_definition_names_file_key_and_fix(old: str, new: str, message: str) -> None:
    assert old in EXAMPLE
    with pytest.raises(GameError, match=message) as raised:
        parse_toml(EXAMPLE.replace(old, new, 1), "my/game.toml")
    assert str(raised.value).startswith("my/game.toml: ")
    assert "\n" not in str(raised.value)


def test_a_wrong_expression_or_variable_names_file_and_key() -> None:
    game = Game(parse_toml(EXAMPLE.replace("delta(x), 0)", "delta(y), 0)"), "f"), "path", Path("/my"))
    with pytest.raises(GameError, match=r"^/my/game.toml: \[reward\] progress, column 11: no variable.*'y'"):
        game.rules(DOMAINS)
    game = Game(parse_toml(EXAMPLE.replace("0x0330", "0xF330"), "f"), "path", Path("/my"))
    with pytest.raises(
        GameError, match=r"^/my/game.toml: \[memory\] variable 'clock': address 0xf330 lies in no"
    ):
        game.rules(DOMAINS)


@given(st.text(max_size=300) | st.binary(max_size=300).map(lambda b: b.decode("latin-1")))
@settings(max_examples=100, deadline=None)
def test_any_text_is_a_definition_or_a_one_line_error(text: str) -> None:
    for whole in (text, EXAMPLE + text, EXAMPLE.replace("won", text, 1)):
        try:
            parse_toml(whole, "game.toml")
        except GameError as error:
            assert "\n" not in str(error)


def test_a_definition_reads_back_from_its_toml() -> None:
    definition = parse_toml(EXAMPLE, "game.toml")
    assert parse_toml(Game(definition, "path").to_toml(), "again") == definition


# -- finding -----------------------------------------------------------------------------------------------


def test_an_unknown_game_is_suggested() -> None:
    need("stable_retro")
    with pytest.raises(UnknownGame) as raised:
        load_game("Airstriker-Gensis")
    assert str(raised.value) == (
        "no game 'Airstriker-Gensis'. Did you mean 'Airstriker-Genesis'? `frameperfect games` lists all."
    )
    with pytest.raises(UnknownGame, match="no source 'x' of games; there are bundled, user"):
        games("x")
    with pytest.raises(UnknownGame, match="no game at 'no/such'"):
        load_game("no/such")


HEAVY = {"pydantic", "stable_retro", "ale_py", "gymnasium", "torch", "lupa"}


def loaded_by(code: str) -> set[str]:
    command = [sys.executable, "-c", f"import sys; {code}; print(*sys.modules)"]
    return set(subprocess.run(command, capture_output=True, text=True, check=True).stdout.split())


def test_listing_games_loads_neither_their_definitions_nor_what_reads_them() -> None:
    assert loaded_by("import frameperfect.game; frameperfect.game.games()") & HEAVY == set()


def test_importing_frameperfect_loads_no_heavy_library() -> None:
    assert loaded_by("import frameperfect") & (HEAVY | {"numpy"}) == set()


def test_the_users_games_are_found_and_earlier_sources_win(home: Path) -> None:
    folder = home / "games" / "anything"
    folder.mkdir(parents=True)
    (folder / "game.toml").write_text(EXAMPLE)
    broken = home / "games" / "broken"
    broken.mkdir()
    (broken / "game.toml").write_text("[game")
    assert games("user") == ["Jumper-Nes", "broken"]
    assert load_game("Jumper-Nes").source == "user"
    assert load_game(folder).source == "user"
    (folder / "game.toml").write_text(EXAMPLE.replace("Jumper-Nes", "SonicTheHedgehog-Genesis"))
    assert load_game("SonicTheHedgehog-Genesis").source == "user"
    with pytest.raises(GameError, match=r"broken/game\.toml: "):
        load_game("broken")


def test_a_missing_rom_names_its_hash_and_the_command(home: Path) -> None:
    need("stable_retro")
    with pytest.raises(
        MissingRom, match=r"69e102855d4389c3fd1a8f3dc7d193f8eee5fe5b: `frameperfect import DIR`"
    ):
        open_game("SonicTheHedgehog-Genesis")


def test_every_atari_game_of_ale_py_is_a_game() -> None:
    need("ale_py")
    names = games("ale")
    assert len(names) >= 100
    assert "SpaceInvaders-Atari" in names
    with open_game("Breakout-Atari") as machine:
        game = machine.game
        assert game.actions == {"minimal": ["", "Fire", "Right", "Left"]}
        assert machine.read("lives") == 5
        rules = game.rules(machine.domains)
        assert rules.layout.width == 6


def test_stable_retros_atari_games_play_with_ale_pys_roms() -> None:
    need("ale_py")
    need("stable_retro")
    with open_game("Pong-Atari2600", start="Start") as machine:
        assert machine.fingerprint.core.startswith("stella")
    assert sum(load_game(n).has_rom for n in games("stable-retro") if n.endswith("-Atari2600")) >= 30


# -- opening and starting ----------------------------------------------------------------------------------


def test_a_game_opens_by_name_path_and_rom(tmp_path: Path) -> None:
    rom = tmp_path / "mit Lücke.md"
    shutil.copy(airstriker_rom(), rom)
    for what in ("Airstriker-Genesis", rom, str(rom)):
        with open_game(what) as machine:
            machine.advance("A", 3)
            assert "score" in machine.variables
    changed = tmp_path / "unknown game.md"
    changed.write_bytes(rom.read_bytes() + b"\0\0")
    with open_game(changed) as machine:
        assert machine.game.name == "unknown_game"
        machine.advance("A", 3)


def test_a_start_state_needs_the_core_it_was_made_for() -> None:
    airstriker_rom()
    game = load_game("Airstriker-Genesis", source="stable-retro")
    with open_game(game, start="Level1") as machine:
        assert machine.fingerprint.core.startswith("genesis_plus_gx")
        assert machine.read("lives") == 3
        assert machine.frame == 1
    with pytest.raises(StateMismatch, match="open it with core='genesis_plus_gx'"):
        open_game(game, core="picodrive", start="Level1")
    with pytest.raises(GameError, match=r"no start 'Level2'. Did you mean 'Level1'\?"):
        open_game(game, start="Level2")


def own_game(folder: Path, **start: object) -> Game:
    folder.mkdir(parents=True, exist_ok=True)
    shutil.copy(airstriker_rom(), folder / "rom.md")
    table = {
        "game": {"name": "Own-Genesis", "system": "Genesis", "rom": {"file": "rom.md"}},
        "start": {"one": start},
    }
    return Game(check(table, "own"), "path", folder)


def test_a_damaged_start_state_is_refused(tmp_path: Path) -> None:
    game = own_game(tmp_path, state="one.state", core="genesis_plus_gx")
    good = load_game("Airstriker-Genesis", source="stable-retro").file("Level1.state").read_bytes()
    for damaged in (
        good[: len(good) // 2],
        gzip.compress(b"nonsense"),
        b"",
        gzip.compress(bytes(300 << 20), 1),
    ):
        (tmp_path / "one.state").write_bytes(damaged)
        with pytest.raises((GameError, StateMismatch), match=r"one\.state"):
            open_game(game, start="one")


def test_a_files_place_is_inside_the_games_folder(tmp_path: Path) -> None:
    game = own_game(tmp_path / "game", state="../one.state", core="genesis_plus_gx")
    (tmp_path / "one.state").write_bytes(b"x")
    with pytest.raises(GameError, match=r"'\.\./one\.state' lies outside the game's folder"):
        open_game(game, start="one")


def test_a_start_movie_leads_to_the_same_state_from_the_cache(tmp_path: Path, home: Path) -> None:
    game = own_game(tmp_path / "game", movie="one.fpm", settle=2)
    with open_game(game) as machine:
        from frameperfect.movie import Movie, save_movie

        inputs = np.zeros((40, len(machine.controllers)), np.uint32)
        inputs[10:20, 0] = machine.controllers[0].mask("Start")
        save_movie(Movie(controllers=machine.controllers, inputs=inputs), tmp_path / "game" / "one.fpm")
        first = game.start_state(machine, "one")
        played = machine.hash(), machine.frame
        assert machine.frame == 42
        machine.reset()
        assert game.start_state(machine, "one") == first
        assert (machine.hash(), machine.frame) == played
        (cached,) = (home / "cache" / "starts").iterdir()
        cached.write_bytes(cached.read_bytes()[:100])
        assert game.start_state(machine, "one") == first


def test_python_features_run_only_from_trusted_folders(tmp_path: Path, home: Path) -> None:
    text = EXAMPLE.replace('features = ["x"', 'features = ["height"')
    code = "def height(view):\n    return view['x'] * 2\n"
    for folder in (tmp_path / "downloaded", home / "games" / "mine"):
        folder.mkdir(parents=True)
        (folder / "game.toml").write_text(text)
        (folder / "features.py").write_text(code)
    assert load_game(home / "games" / "mine").rules(DOMAINS).features[0] == "height"
    with pytest.raises(GameError, match=r"Python code is run only from"):
        load_game(tmp_path / "downloaded").rules(DOMAINS)


def test_a_new_games_file_loads_and_runs(tmp_path: Path, home: Path) -> None:
    rom = tmp_path / "Spiel ü.md"
    rom.write_bytes(airstriker_rom().read_bytes() + b"\0\0")
    path = write_new_game(rom)
    assert path == home / "games" / path.parent.name / "game.toml"
    with frameperfect.open(path.parent) as machine:
        machine.advance("Right A", 5)
        machine.game.rules(machine.domains)
        name = machine.game.name
    assert name in games("user")
    with pytest.raises(GameError, match="is there already"):
        write_new_game(rom)


def test_a_game_s_folder_is_a_game_where_one_stands(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "game.toml").write_text('[game]\nname = "Mine-Nes"\n')
    monkeypatch.chdir(tmp_path)
    assert load_game("mine").name == "Mine-Nes"
    monkeypatch.chdir(tmp_path / "mine")
    assert load_game(".").name == "Mine-Nes"


def test_a_new_game_of_a_known_rom_has_all_that_is_known(tmp_path: Path, home: Path) -> None:
    known = load_game("Airstriker-Genesis")
    elsewhere = load_game(write_new_game(airstriker_rom(), tmp_path / "known"))
    assert elsewhere.definition.memory == known.definition.memory
    assert elsewhere.definition.reward == known.definition.reward
    assert elsewhere.definition.observation.features == []  # its functions are Python code, not run there
    own = load_game(write_new_game(airstriker_rom()))
    assert own.definition.observation == known.definition.observation
    with frameperfect.open(own.folder, start="level1") as machine:
        assert machine.read("lives") == 3
        assert machine.game.rules(machine.domains).features


# -- Lua ---------------------------------------------------------------------------------------------------


def lua(tmp_path: Path, source: str) -> LuaScript:
    need("lupa")
    (tmp_path / "script.lua").write_text(source)
    return LuaScript([tmp_path / "script.lua"], "f", None)


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("function f() return os.time() end", "index global 'os'"),
        ("function f() return io.open('x') end", "index global 'io'"),
        ("function f() return require('x') end", "call global 'require'"),
        ("function f() return load('x') end", "call global 'load'"),
        ("function f() return loadstring('x') end", "call global 'loadstring'"),
        ("function f() return python.eval('1') end", "index global 'python'"),
        ("function f() return debug.getinfo(1) end", "index global 'debug'"),
        ("function f() return ('x'):dump() end", "call method 'dump'"),
        ("function f() while true do end end", "it runs for too long"),
        ("function f() local s = 'x' while true do s = s .. s end end", "too much memory"),
        ("function f() return f() + 1 end", "stack overflow"),
        ("function f() return data.nothing end", "no variable 'nothing'"),
        ("function g() end", "no function 'f'"),
    ],
)
def test_a_script_can_only_compute(tmp_path: Path, source: str, message: str) -> None:
    script = lua(tmp_path, source)
    with pytest.raises(GameError, match=message) as raised:
        script.step({"x": 1})
    assert str(raised.value).startswith("script.lua: f(): ")


def test_a_script_that_is_not_lua_is_named(tmp_path: Path) -> None:
    with pytest.raises(GameError, match=r"script\.lua: "):
        lua(tmp_path, "function = 3")
    with pytest.raises(GameError, match="it runs for too long"):
        lua(tmp_path, "while true do end")
    (tmp_path / "byte.lua").write_bytes(b"\x1bLua")
    with pytest.raises(GameError, match="Lua source"):
        LuaScript([tmp_path / "byte.lua"], "f", None)


def test_a_scripts_state_is_saved_and_restored(tmp_path: Path) -> None:
    script = lua(tmp_path, """
        total, seen = 0, { last = { 0 } }
        data.best = 0
        function f()
            total = total + data.x + scenario.frame
            seen.last[1] = data.x
            if data.x > data.best then data.best = data.x end
            return total + seen.last[1] + data.best
        end
    """)  # fmt: skip
    script.begin({"x": 1})
    script.step({"x": 5})
    state = script.save()
    future = [script.step({"x": x}) for x in (2, 9, 3)]
    script.restore(state)
    assert [script.step({"x": x}) for x in (2, 9, 3)] == future
    assert script.values() == {"best": 9}
