"""Windows games under Wine: a small one of our own (tests/win32_game), started, entered and played."""

from __future__ import annotations

import itertools
import os
import re
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

import frameperfect as fp
from frameperfect import _native
from frameperfect.errors import MachineCrashed, MachineError, MissingComponent, Unsupported
from frameperfect.machine import MachineSpec, open_machine
from frameperfect.machines.native import windows_game
from frameperfect.machines.native.hook import VERSION
from frameperfect.machines.native.windows import WindowsMachine
from frameperfect.machines.native.windows_game import WindowsGame, as_windows, find_hook, find_wine, width_of
from frameperfect.machines.native.windows_keys import CODES, WindowsKeys
from frameperfect.memory import Block
from frameperfect.movie import Recorder, load_movie, save_movie
from frameperfect.testing import check_machine
from tests.components import need_program
from tests.waiting import comes_true

COMPILER = need_program("x86_64-w64-mingw32-g++", "g++-mingw-w64-x86-64")
try:
    WINE = find_wine(64)
except MissingComponent:
    WINE = need_program("wine64", "wine64")
SOURCE = Path(__file__).parent / "win32_game" / "racer.cpp"
PATIENCE = 60.0
COMPILERS = {64: COMPILER}
if Path("/usr/lib/i386-linux-gnu/wine").is_dir() and (narrow := shutil.which("i686-w64-mingw32-g++")):
    COMPILERS[32] = Path(narrow)  # Wine runs programs of 32 bits, too
RUNNERS = {
    # mov ecx, 0x5eed600d; mov rax, [rip + distance to the pointer of everything]
    64: Block(120, "b9 0d 60 ed 5e 48 8b 05 ?? ?? ?? ??", at=8, relative=True, chain=(0x18, 0x18, 8)),
    # mov ecx, 0x5eed600d; mov eax, [the pointer of everything]
    32: Block(120, "b9 0d 60 ed 5e a1 ?? ?? ?? ??", at=6, chain=(0xC, 0x18, 8)),
}
"""Behind the game's and the scene's pointer, without its own of functions."""
GAME = """
[game]
name = "Racer-Windows"
machine = "native"
rom = { file = "racer.exe" }
options = { keys = "Left = LEFT, Right = RIGHT, Jump = SPACE" }

[domain.runner]
size = 112

[memory]
x = { domain = "runner", address = 0, type = "<f8" }
y = { domain = "runner", address = 8, type = "<f8" }
vx = { domain = "runner", address = 16, type = "<f8" }
grounded = { domain = "runner", address = 32, type = "<u4" }
jumps = { domain = "runner", address = 36, type = "<u4" }
frames = { domain = "runner", address = 52, type = "<u4" }

[actions]
run = ["", "Right", "Right Jump", "Left"]

[observation]
features = ["x / 100", "y / 100", "vx / 240", "grounded"]

[reward]
way = "delta(x)"

[end]
terminated = "x > 600"
truncated = "step >= 200"
"""


@pytest.fixture(scope="session")
def prefix(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Wine's folder, made once: some seconds and 700 MB. FRAMEPERFECT_TEST_WINE names one to keep."""
    if kept := os.environ.get("FRAMEPERFECT_TEST_WINE"):
        yield Path(kept)
        return
    folder = tmp_path_factory.mktemp("wine") / "prefix"
    yield folder
    environment = {**os.environ, "WINEPREFIX": str(folder), "WINEDEBUG": "-all"}
    subprocess.run([WINE, "wineboot", "--kill"], env=environment, check=False, timeout=PATIENCE)
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="session", params=COMPILERS)
def builds(tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest) -> dict[int, Path]:
    """The game, two builds of it, for each width that can be played here."""
    folder = tmp_path_factory.mktemp("racer")
    made = {}
    for build in (1, 2):
        made[build] = folder / f"racer{build}.exe"
        flags = ["-O2", f"-DBUILD={build}", "-static", "-s"]
        subprocess.run(
            [COMPILERS[request.param], *flags, SOURCE, "-o", made[build], "-lgdi32", "-luser32"],
            check=True,
            timeout=300,
        )
    return made


def spec(program: Path, prefix: Path, block: Block | None = None, **options: str) -> MachineSpec:
    options = {"keys": "Left = LEFT, Right = RIGHT, Jump = SPACE", "prefix": str(prefix), **options}
    return MachineSpec(
        "native", program, options=options, blocks={"runner": block or RUNNERS[width_of(program)]}
    )


@pytest.fixture(scope="module")
def shared(builds: dict[int, Path], prefix: Path) -> Iterator[WindowsMachine]:
    machine = open_machine(spec(builds[1], prefix))
    assert isinstance(machine, WindowsMachine)
    with machine:
        yield machine


def told(machine: fp.machine.Machine) -> dict[str, float]:
    """The runner, as its source lays it out."""
    view = machine.memory["runner"]
    doubles = dict(zip(("x", "y", "vx", "vy"), view[:32].view("<f8").tolist(), strict=True))
    names = ("grounded", "jumps", "keys_down", "keys_up", "heard", "frames", "luck")
    numbers = dict(zip(names, view[32:60].view("<u4").tolist(), strict=True))
    clocks = dict(
        zip(("milliseconds", "counted", "file_time"), view[64:88].view("<u8").tolist(), strict=True)
    )
    return doubles | numbers | clocks


# -- playing -----------------------------------------------------------------------------------------------


def test_a_game_plays_the_frames_that_it_is_told_to_with_the_keys_that_it_is_told(
    shared: WindowsMachine,
) -> None:
    machine = shared
    before = told(machine)
    machine.advance("Right", 30)
    after = told(machine)
    assert after["frames"] == before["frames"] + 30
    assert after["x"] > before["x"] + 40 and after["vx"] > 200
    machine.advance("Right Jump", 5)
    assert told(machine)["jumps"] == before["jumps"] + 1 and not told(machine)["grounded"]
    machine.advance("Left", 60)
    assert told(machine)["vx"] < -200
    # The same keys came as messages to its window: Right and Space, and both again when they were let go.
    assert told(machine)["keys_down"] == before["keys_down"] + 3
    assert told(machine)["keys_up"] == before["keys_up"] + 2
    assert told(machine)["heard"] == CODES["LEFT"]


def test_time_goes_on_by_a_frame_a_frame_by_every_clock(shared: WindowsMachine) -> None:
    before = told(shared)
    shared.advance("", 600)
    after = told(shared)
    assert after["counted"] - before["counted"] == pytest.approx(10e6, rel=1e-3)  # microseconds
    assert after["milliseconds"] - before["milliseconds"] == pytest.approx(10_000, abs=20)
    assert after["file_time"] - before["file_time"] == pytest.approx(10e7, rel=1e-3)


@pytest.mark.parametrize("boundary", ["sleep", "swap"])
def test_a_frame_may_end_by_a_sleep_or_a_picture(
    boundary: str, builds: dict[int, Path], prefix: Path
) -> None:
    options = {"boundary": boundary, "arguments": boundary, "rate": "50"}
    with open_machine(spec(builds[1], prefix, **options)) as machine:
        machine.advance("Right", 10)
        begun = told(machine)
        machine.advance("Right", 50)
        after = told(machine)
        assert after["frames"] == begun["frames"] + 50
        assert after["counted"] - begun["counted"] == pytest.approx(1e6, rel=0.02)


def test_equal_inputs_give_equal_memory_in_fresh_processes_and_builds(
    builds: dict[int, Path], prefix: Path
) -> None:
    hashes = []
    for program in (builds[1], builds[1], builds[2]):
        with open_machine(spec(program, prefix)) as machine:
            begin = told(machine)
            row = []
            for number in range(40):
                machine.advance(("Right", "Right Jump", "", "Left Jump")[number * 7 % 4], 1 + number % 5)
                row.append((machine.hash(), tuple(told(machine).values())))
            machine.reset()
            assert told(machine) == begin
            hashes.append(row)
    assert hashes[0] == hashes[1] == hashes[2]


def test_chance_is_the_same_in_every_run(
    builds: dict[int, Path], prefix: Path, shared: WindowsMachine
) -> None:
    with open_machine(spec(builds[2], prefix)) as machine:
        assert told(machine)["luck"] == told(shared)["luck"] != 0


def test_it_is_a_machine_as_the_conformance_suite_asks(builds: dict[int, Path], prefix: Path) -> None:
    check_machine(lambda: open_machine(spec(builds[1], prefix)), frames=40)


# -- finding -----------------------------------------------------------------------------------------------


def test_a_pattern_finds_what_the_next_build_has_moved(builds: dict[int, Path], prefix: Path) -> None:
    places = {}
    for build, program in builds.items():
        with open_machine(spec(program, prefix)) as machine:
            assert isinstance(machine, WindowsMachine)
            game = machine._game
            runner = RUNNERS[width_of(program)]
            (place,) = game.places_of(runner.pattern)
            kept = int.from_bytes(game.read(place + runner.at, 4), "little", signed=True)
            places[build] = kept + (place + runner.at + 4 if runner.relative else 0) - game.base
            machine.advance("Right", 20)
            assert told(machine)["x"] > 20
    assert places[1] != places[2]
    by_image = Block(120, image=places[1], chain=RUNNERS[width_of(builds[1])].chain)
    with open_machine(spec(builds[1], prefix, by_image)) as machine:
        machine.advance("Right", 20)
        assert told(machine)["x"] > 20
    with open_machine(spec(builds[2], prefix, by_image)) as machine:
        machine.advance("Right", 20)
        assert not machine.memory["runner"].any()  # what lies there now is no pointer


def test_the_runner_is_found_by_the_name_of_its_class(builds: dict[int, Path], prefix: Path) -> None:
    by_class = Block(128, rtti="6Runner", hashed=False)
    with open_machine(spec(builds[2], prefix, by_class)) as machine:
        machine.advance("Right", 20)
        assert machine.memory["runner"][8:16].view("<f8")[0] > 20


def test_the_first_thread_s_stack_is_where_its_frames_are(shared: WindowsMachine) -> None:
    base = shared._game.stack()
    assert base % 4096 == 0
    assert len(shared._game.read(base - 2048, 2048)) == 2048
    with pytest.raises(MachineError, match="has no such memory"):
        shared._game.read(8, 4)


# -- as any other game -------------------------------------------------------------------------------------


@pytest.fixture
def folder(builds: dict[int, Path], prefix: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    runner = RUNNERS[width_of(builds[1])]
    found = (
        f'[domain.runner]\npattern = "{runner.pattern}"\nat = {runner.at}\n'
        f"relative = {str(runner.relative).lower()}\nchain = {list(runner.chain)}"
    )
    (tmp_path / "game.toml").write_text(GAME.replace("[domain.runner]", found))
    (tmp_path / "racer.exe").write_bytes(builds[1].read_bytes())
    monkeypatch.setenv("FRAMEPERFECT_HOME", str(prefix.parent))
    if prefix.name != "wine" and not (prefix.parent / "wine").exists():
        (prefix.parent / "wine").symlink_to(prefix)
    return tmp_path


def test_a_recorded_movie_verifies_in_a_fresh_process(folder: Path, tmp_path: Path) -> None:
    with fp.open(folder) as machine:
        recorder = Recorder(machine)
        for number in range(60):
            recorder.advance(("Right", "Right Jump", "Left")[number // 7 % 3], 2)
        movie = recorder.movie()
    save_movie(movie, tmp_path / "run.fpm")
    assert fp.verify(tmp_path / "run.fpm", game=folder)
    other = load_movie(tmp_path / "run.fpm")
    other.inputs[20:60] = 0
    save_movie(other, tmp_path / "other.fpm")
    assert not fp.verify(tmp_path / "other.fpm", game=folder)


def test_an_environment_plays_it(folder: Path) -> None:
    env = fp.make_env(folder, frame_skip=4)
    _, info = env.reset(seed=0)
    assert info["x"] == 0
    total, ended = 0.0, False
    while not ended:
        _, reward, terminated, truncated, info = env.step(2 if info["grounded"] else 1)
        total += float(reward)
        ended = terminated or truncated
    assert info["x"] > 600 and total == pytest.approx(info["x"])
    env.reset()
    env.close()


# -- into a game that runs already -------------------------------------------------------------------------


def test_a_game_that_runs_already_is_entered_and_let_go(
    builds: dict[int, Path], prefix: Path, tmp_path: Path
) -> None:
    program = tmp_path / "already.exe"
    program.write_bytes(builds[1].read_bytes())
    env = {**os.environ, "WINEPREFIX": str(prefix), "WINEDEBUG": "-all"}
    game = subprocess.Popen(
        [find_wine(width_of(program)), as_windows(program)], env=env, stdout=subprocess.PIPE, text=True
    )
    try:
        assert game.stdout is not None and game.stdout.readline() == "it runs\n"
        for _ in range(2):
            with open_machine(spec(program, prefix, pid="already.exe")) as machine:
                begun = told(machine)
                machine.advance("Right", 60)
                assert told(machine)["frames"] == begun["frames"] + 60
                assert told(machine)["x"] > begun["x"] + 100
                with pytest.raises(MachineError, match="can't be started anew"):
                    machine.reset()
            assert game.poll() is None
            time.sleep(0.1)  # it plays by itself meanwhile
        with open_machine(spec(program, prefix, pid="already.exe")) as machine:
            assert told(machine)["frames"] > begun["frames"] + 60
            with pytest.raises(MachineError, match="another frameperfect plays it"):
                open_machine(spec(program, prefix, pid="already.exe"))
    finally:
        game.kill()
        game.wait()
        assert game.stdout is not None
        game.stdout.close()


# -- what goes wrong ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"speed": "2"}, "no option 'speed'; it has keys, boundary"),
        ({"boundary": "paint"}, "give one of messages, sleep, swap"),
        ({"rate": "none"}, "rate = 'none': give a number above 0"),
        ({"keys": "Left"}, "is not 'Button = Key'"),
        ({"keys": "Left = LEFTISH"}, "no key 'LEFTISH'"),
        ({"keys": "A = A, A = B"}, "'A' is there twice"),
        ({"arguments": "leave"}, "did not start: it died .exit code 7.; its last words: nothing to play"),
        ({"arguments": "crash"}, "did not start: it died"),
        ({"pid": "nobody.exe"}, "can't be entered: the launcher .* no process is nobody.exe"),
        ({"pid": "99999"}, "can't be entered: the launcher .* there is no process 99999"),
    ],
)
def test_what_is_wrong_is_named(
    options: dict[str, str], says: str, builds: dict[int, Path], prefix: Path
) -> None:
    with pytest.raises(MachineError, match=says):
        open_machine(spec(builds[1], prefix, **options))


def test_a_program_that_is_none_for_windows_is_refused(tmp_path: Path, prefix: Path) -> None:
    (tmp_path / "no.exe").write_bytes(b"MZ no program")
    with pytest.raises(MachineError, match=r"no\.exe: is no Windows program"):
        open_machine(spec(tmp_path / "no.exe", prefix))


def test_a_mark_that_is_not_there_is_named(builds: dict[int, Path], prefix: Path) -> None:
    with pytest.raises(MachineError, match=r"\[domain\.runner\] pattern: it is nowhere in the program"):
        open_machine(spec(builds[1], prefix, Block(8, "b9 0d 60 ed 5f")))


def test_a_hook_of_another_version_refuses(builds: dict[int, Path], prefix: Path) -> None:
    with pytest.raises(MachineError, match=rf"hook is version {VERSION} .* asks for {VERSION + 1}"):
        WindowsGame(builds[1], frame_ns=16_666_667, prefix=prefix, version=VERSION + 1)


def test_a_wine_that_was_just_ending_is_asked_again(
    builds: dict[int, Path], prefix: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    wine = tmp_path / "wine"
    wine.write_text(f"""#!/bin/sh
if mkdir {tmp_path}/once 2>/dev/null; then
  echo "wine client error:0: recvmsg: Connection reset by peer" >&2
  exit 1
fi
exec {find_wine(width_of(builds[1]))} "$@"
""")
    wine.chmod(0o755)
    monkeypatch.setattr(windows_game, "_WINE", {32: (str(wine),), 64: (str(wine),)})
    with open_machine(spec(builds[1], prefix)) as machine:
        machine.advance("Right", 20)
        assert told(machine)["x"] > 20
    assert (tmp_path / "once").is_dir()


def test_a_game_that_comes_to_no_frame_is_ended(builds: dict[int, Path], prefix: Path) -> None:
    with pytest.raises(MachineError, match="came to no frame within 3 seconds; is 'sleep' what ends one"):
        WindowsGame(builds[1], ["messages"], boundary="sleep", frame_ns=1, prefix=prefix, starting=3)
    assert comes_true(lambda: not unix_pids("racer1.exe messages"))


def unix_pids(line: str) -> list[int]:
    found = []
    for folder in Path("/proc").iterdir():
        try:
            words = (
                (folder / "cmdline").read_bytes().rstrip(b"\0 ").split(b"\0") if folder.name.isdigit() else []
            )
        except (FileNotFoundError, ProcessLookupError):
            continue
        if b" ".join(words).decode(errors="replace").endswith(line) and b"launch" not in words[0]:
            found.append(int(folder.name))
    return found


def test_a_game_that_is_killed_is_a_crash_and_one_without_a_host_ends(
    builds: dict[int, Path], prefix: Path
) -> None:
    before = set(unix_pids("racer1.exe unique"))
    machine = open_machine(spec(builds[1], prefix, arguments="unique"))
    (pid,) = set(unix_pids("racer1.exe unique")) - before
    os.kill(pid, signal.SIGKILL)
    with pytest.raises(MachineCrashed, match=r"racer1\.exe died"):
        machine.advance("Right", 100)
    machine.close()
    with open_machine(spec(builds[1], prefix, arguments="unique")):
        assert set(unix_pids("racer1.exe unique")) - before
    assert comes_true(lambda: not set(unix_pids("racer1.exe unique")) - before)


def test_what_is_not_installed_is_named(
    builds: dict[int, Path], prefix: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(windows_game, "_WINE", {32: (), 64: ()})
    monkeypatch.setenv("PATH", "")
    with pytest.raises(MissingComponent, match=r"bits need Wine: .*apt-get install wine(64|32)"):
        open_machine(spec(builds[1], prefix))


# -- without Wine ------------------------------------------------------------------------------------------


def test_keys_are_bits_by_their_number_and_players_share_a_keyboard() -> None:
    keys = WindowsKeys.parse("Left = LEFT, Fire = 0x41; Left = VK_NUMPAD4")
    assert [controller.buttons for controller in keys.controllers] == [("Left", "Fire"), ("Left",)]
    held = keys.held((0b11, 0b1), None)
    assert {code for code in range(256) if held[code // 8] >> code % 8 & 1} == {0x25, 0x41, 0x64}
    with pytest.raises(Unsupported, match="no axes"):
        keys.held((0,), (fp.machine.PortInput(0, (1, 2)),))


def test_paths_and_widths_are_as_windows_has_them(builds: dict[int, Path]) -> None:
    assert as_windows(Path("/a b/c.exe")) == "Z:\\a b\\c.exe"
    assert width_of(builds[1]) in COMPILERS
    assert all(path.is_file() for path in find_hook(width_of(builds[1])))


def disassembled(folder: Path, program: Path, bits: int) -> list[tuple[int, bytes]]:
    """Address and bytes of each instruction, as binutils tell them."""
    command = ["objdump", "-d", "-w", "--no-show-raw-insn", program]
    listing = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    starts = [int(found, 16) for found in re.findall(r"^ +([0-9a-f]+):\t", listing, re.MULTILINE)]
    raw = folder / f"text{bits}"
    subprocess.run(["objcopy", "-O", "binary", "-j", ".text", program, raw], check=True)
    text, base = raw.read_bytes(), None
    sections = subprocess.run(
        ["objdump", "-h", "-w", program], capture_output=True, text=True, check=True
    ).stdout
    for line in sections.splitlines():
        words = line.split()
        if len(words) > 3 and words[1] == ".text":
            base = int(words[3], 16)
    assert base is not None
    inside = [start - base for start in starts if 0 <= start - base < len(text)]
    return [(a, text[a:b]) for a, b in itertools.pairwise(inside) if 0 < b - a < 16]


def test_instructions_are_as_long_as_binutils_say(tmp_path: Path) -> None:
    libraries = [
        *Path("/usr/lib/x86_64-linux-gnu").glob("libm.so.6"),
        Path("/lib/x86_64-linux-gnu/libm.so.6"),
    ]
    instructions = disassembled(tmp_path, next(path for path in libraries if path.is_file()).resolve(), 64)
    assert len(instructions) > 50_000
    wrong = [
        code.hex(" ")
        for _, code in instructions
        if code[0] != 0x9B  # waiting for the coprocessor: there it is a part of the next one
        and _native.instruction_lengths(code, True) != [len(code)]
    ]
    assert wrong == []


def test_moved_code_leads_where_it_led() -> None:
    code = bytes.fromhex("48 8b 05 10 00 00 00  74 05  e8 00 01 00 00  c3")
    moved, taken = _native.move_code(code, 0x10000, 0x20000, 9, True)
    assert taken == 9 and moved[:3] == code[:3]
    assert int.from_bytes(moved[3:7], "little", signed=True) + 0x20007 == 0x10007 + 0x10
    assert moved[7:9] == b"\x0f\x84"  # a short jump, now a long one
    assert int.from_bytes(moved[9:13], "little", signed=True) + 0x2000D == 0x10009 + 5
    assert _native.move_code(code, 0x10000, 0x7F0000000000, 5, True) is None  # too far
    assert _native.move_code(b"\xc3\xcc\xcc\xcc\xcc", 0x10000, 0x20000, 5, True) is None  # it ends before
