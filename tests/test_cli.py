"""The real command line, in processes of its own: what it prints, how it fails, what it leaves behind."""

from __future__ import annotations

import json
import os
import re
import resource
import signal
import subprocess
import sys
import time
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.components import need

COMMANDS = (
    "games", "info", "import", "new-game", "watch", "record", "replay", "verify", "convert", "train", "eval",
    "bench", "doctor", "demo", "screenshot", "compare", "report", "runs", "board", "play", "keys",
    "sweep", "compare-runs",
)  # fmt: skip
GAME = "Airstriker-Genesis"


def frameperfect(
    *arguments: str | Path, cwd: Path, limit: int | None = None, environment: dict[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    """Run the command line; `limit` is the most bytes that a file may have (a disk that fills up)."""

    def restrict() -> None:
        if limit is not None:
            resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))

    return subprocess.run(
        [sys.executable, "-m", "frameperfect", *map(str, arguments)],
        cwd=cwd,
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
        preexec_fn=restrict,
        env=os.environ | {"FRAMEPERFECT_HOME": str(cwd / "home")} | (environment or {}),
    )


def fails(done: subprocess.CompletedProcess[str], *words: str, code: int = 2) -> None:
    """The command ended with `code` and one line on stderr that has all `words`, and no traceback."""
    assert done.returncode == code, done.stdout + done.stderr
    lines = [line for line in done.stderr.splitlines() if line.strip()]
    assert len(lines) == 1, done.stderr
    assert lines[0].startswith("error: ")
    for word in words:
        assert word.lower() in lines[0].lower(), lines[0]


# -- the frame ---------------------------------------------------------------------------------------


def test_without_arguments_it_shows_its_commands(tmp_path: Path) -> None:
    done = frameperfect(cwd=tmp_path)
    assert done.returncode == 0
    for command in COMMANDS:
        assert f" {command} " in done.stdout


def test_it_says_its_version(tmp_path: Path) -> None:
    import frameperfect as package

    assert frameperfect("--version", cwd=tmp_path).stdout == f"frameperfect {package.__version__}\n"


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_has_help_with_an_example(command: str, tmp_path: Path) -> None:
    done = frameperfect(command, "--help", cwd=tmp_path)
    assert done.returncode == 0
    assert "Example: frameperfect " + command in " ".join(done.stdout.split())


def test_no_help_text_holds_what_the_terminal_takes_for_markup() -> None:
    import typer

    from frameperfect.cli.app import app, load_commands

    load_commands()
    root: Any = typer.main.get_command(app)
    said = {f"{name} {each.name}": each.help for name, one in root.commands.items() for each in one.params}
    assert len(said) > 100
    assert [name for name, text in said.items() if re.search(r"\[[a-z]", text or "")] == []


def test_help_loads_nothing_heavy() -> None:
    script = (
        "import sys; from frameperfect.cli.app import run; run(['--help'])\n"
        "print(sorted({'numpy', 'gymnasium', 'torch', 'av', 'matplotlib', 'pydantic'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "[]"


def test_a_mistyped_command_or_option_is_one_line_that_suggests_the_right_one(tmp_path: Path) -> None:
    fails(frameperfect("tarin", cwd=tmp_path), "no such command", "'train'")
    fails(frameperfect("train", "x", "--step", "1", cwd=tmp_path), "--step", "--steps")
    fails(frameperfect("train", cwd=tmp_path), "missing", "game", "train --help")
    fails(frameperfect("train", "x", "--steps", "many", cwd=tmp_path), "--steps", "integer")


def test_a_fault_of_ours_is_one_line_and_a_traceback_only_on_request(tmp_path: Path) -> None:
    script = (
        "import sys; from frameperfect.cli import app\n"
        "def broken(): raise KeyError('spam')\n"
        "app.app.command(name='broken')(broken)\n"
        "sys.exit(app.run(sys.argv[1:]))"
    )
    for flag, traceback in ((), False), (("--debug",), True):
        done = subprocess.run(
            [sys.executable, "-c", script, "broken", *flag], capture_output=True, text=True, check=False
        )
        assert done.returncode == 1
        assert ("Traceback" in done.stderr) is traceback
        assert "spam" in done.stderr.splitlines()[-1]


def test_a_closed_pipe_is_no_error(tmp_path: Path) -> None:
    need("stable_retro")
    done = subprocess.run(
        f"{sys.executable} -m frameperfect games | head -n 1",
        shell=True,
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=True,
    )
    assert len(done.stdout.splitlines()) == 1
    assert done.stderr == ""


# -- bad input ---------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def rom() -> bytes:
    """A real Mega Drive ROM: Airstriker's, which stable-retro's wheel ships."""
    need("stable_retro")
    from frameperfect.game import load_game

    return load_game(GAME).find_rom().read_bytes()


@pytest.fixture(scope="module")
def recorded(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A movie of two seconds of random play."""
    need("stable_retro")
    folder = tmp_path_factory.mktemp("movies")
    done = frameperfect("record", GAME, "--random", "--seconds", 2, "--out", "run.fpm", cwd=folder)
    assert done.returncode == 0, done.stderr
    return folder / "run.fpm"


def test_an_unknown_game_suggests_the_nearest(tmp_path: Path) -> None:
    for command in (
        ("info", "Airstriker-Genesi"),
        ("train", "Airstriker-Genesi"),
        ("watch", "Airstriker-Genesi"),
        ("record", "Airstriker-Genesi", "--out", "x.fpm"),
    ):
        fails(frameperfect(*command, cwd=tmp_path), "no game", "Airstriker-Genesi'", f"'{GAME}'")
    assert not [path for path in tmp_path.iterdir() if path.name != "home"]


def test_a_game_without_its_rom_says_how_to_get_it(tmp_path: Path) -> None:
    need("stable_retro")
    done = frameperfect("record", "SonicTheHedgehog-Genesis-v0", "--out", "x.fpm", cwd=tmp_path)
    done = (
        done
        if "no game" not in done.stderr
        else frameperfect("record", "SonicTheHedgehog-Genesis", "--out", "x.fpm", cwd=tmp_path)
    )
    fails(done, "SHA-1", "frameperfect import")
    assert not (tmp_path / "x.fpm").exists()


def test_a_truncated_rom_is_refused(tmp_path: Path, rom: bytes) -> None:
    (tmp_path / "cut.md").write_bytes(rom[:100])
    fails(frameperfect("record", "./cut.md", "--out", "x.fpm", cwd=tmp_path), "cut.md")
    assert not (tmp_path / "x.fpm").exists()


def test_a_rom_of_another_system_is_refused(tmp_path: Path, rom: bytes) -> None:
    (tmp_path / "game.nes").write_bytes(rom[:-1] + b"?")
    fails(frameperfect("record", "./game.nes", "--out", "x.fpm", cwd=tmp_path), "game.nes")
    (tmp_path / "notes.txt").write_text("not a ROM")
    fails(frameperfect("new-game", "notes.txt", cwd=tmp_path), "notes.txt")


def test_a_rom_with_spaces_and_unicode_in_its_path_plays(tmp_path: Path, rom: bytes) -> None:
    folder = tmp_path / "meine ROMs — ゲーム"
    folder.mkdir()
    (folder / "Mein Spiel ★.md").write_bytes(rom)
    out = folder / "der Lauf ★.fpm"
    game = folder / "Mein Spiel ★.md"
    done = frameperfect("record", game, "--seconds", 1, "--out", out, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    done = frameperfect("verify", out, "--game", game, cwd=tmp_path)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("[game]\nname = 'A'\nmachin = 'libretro'\n", ("machin", "machine")),
        ("[game]\nname = 'A'\n[memory]\nx = { adress = 3 }\n", ("adress", "address")),
        ("[game\n", ("game.toml",)),
        (
            "[game]\nname = 'A'\nsystem = 'Genesis'\nrom.file = 'r.md'\n[reward]\nr = '__import__(1)'\n",
            (),
        ),
    ],
)
def test_a_malformed_game_toml_names_file_and_key(
    tmp_path: Path, rom: bytes, text: str, words: tuple[str, ...]
) -> None:
    (tmp_path / "game.toml").write_text(text)
    (tmp_path / "r.md").write_bytes(rom)
    fails(frameperfect("record", tmp_path, "--out", tmp_path / "x.fpm", cwd=tmp_path), "game.toml", *words)
    assert not (tmp_path / "x.fpm").exists()


def own_game(folder: Path, rom: bytes, start: bytes, core: str) -> Path:
    """A game whose start is the state `start` of `core`."""
    folder.mkdir()
    (folder / "game.toml").write_text(
        f"""
[game]
name = "Mine"
system = "Genesis"
rom = {{ file = "rom.md" }}
[start.here]
state = "here.state"
core = "{core}"
"""
    )
    (folder / "rom.md").write_bytes(rom)
    (folder / "here.state").write_bytes(start)
    return folder


def test_a_corrupt_state_and_a_state_of_another_core_are_refused(tmp_path: Path, rom: bytes) -> None:
    game = own_game(tmp_path / "mine", rom, b"nothing of the kind", "picodrive")
    fails(frameperfect("record", game, "--out", "x.fpm", cwd=tmp_path), "here.state")
    other = frameperfect("record", game, "--core", "genesis_plus_gx", "--out", "x.fpm", cwd=tmp_path)
    fails(other, "picodrive", "genesis_plus_gx")
    assert not (tmp_path / "x.fpm").exists()


def test_an_unknown_core_is_refused(tmp_path: Path) -> None:
    need("stable_retro")
    fails(frameperfect("record", GAME, "--core", "zsnes", "--out", "x.fpm", cwd=tmp_path), "zsnes")


def test_a_movie_that_is_cut_or_noise_is_refused(tmp_path: Path, recorded: Path) -> None:
    data = recorded.read_bytes()
    for name, content in {
        "cut.fpm": data[: len(data) // 2],
        "noise.fpm": bytes(range(256)) * 20,
        "empty.fpm": b"",
        "noise.bk2": b"PK\x03\x04" + bytes(200),
        "noise.fm2": b"version 4\n|0|........|\n",
    }.items():
        (tmp_path / name).write_bytes(content)
        fails(frameperfect("convert", name, "new.fpm", cwd=tmp_path), name)
    for command in ("replay", "verify", "watch"):
        fails(frameperfect(command, "cut.fpm", cwd=tmp_path), "cut.fpm")
    assert not list(tmp_path.glob("*.mp4"))
    assert not (tmp_path / "new.fpm").exists()


def test_a_movie_that_is_a_zip_bomb_is_refused(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "bomb.bk2", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("Header.txt", "MovieVersion BizHawk v2.0.0\nPlatform GEN\n")
        with archive.open("Input Log.txt", "w", force_zip64=True) as file:
            for _ in range(700):
                file.write(b"\0" * (1 << 20))
    fails(frameperfect("convert", "bomb.bk2", "x.fpm", cwd=tmp_path), "bomb.bk2")


def test_a_zip_bomb_among_roms_is_reported_and_the_rest_imported(tmp_path: Path) -> None:
    need("stable_retro")
    (tmp_path / "roms").mkdir()
    with zipfile.ZipFile(tmp_path / "roms" / "bomb.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("game.md", b"\0" * (100 << 20))
    done = frameperfect("import", "roms", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "bomb.zip" in done.stdout
    assert "0 imported" in done.stdout
    assert sum(path.stat().st_size for path in (tmp_path / "home").rglob("*") if path.is_file()) < 1 << 20


def test_missing_files_and_folders_in_their_place_are_named(tmp_path: Path, recorded: Path) -> None:
    (tmp_path / "folder.fpm").mkdir()
    fails(frameperfect("verify", "gone.fpm", cwd=tmp_path), "gone.fpm")
    fails(frameperfect("replay", "folder.fpm", cwd=tmp_path), "folder.fpm")
    fails(frameperfect("import", "gone", cwd=tmp_path), "gone")
    fails(frameperfect("new-game", "gone.md", cwd=tmp_path), "gone.md")
    fails(frameperfect("eval", "gone", cwd=tmp_path), "gone")
    fails(frameperfect("convert", recorded, "gone/x.bk2", cwd=tmp_path), "gone/x.bk2")
    fails(frameperfect("watch", recorded, "--out", "gone/x.mp4", cwd=tmp_path), "gone/x.mp4")
    fails(frameperfect("train", GAME, "--config", "gone.toml", cwd=tmp_path), "gone.toml")


def test_wrong_formats_are_refused_before_any_work(tmp_path: Path, recorded: Path) -> None:
    fails(frameperfect("record", GAME, "--out", "x.mp4", cwd=tmp_path), ".fpm", ".bk2")
    fails(frameperfect("watch", recorded, "--out", "x.avi", cwd=tmp_path), ".mp4", ".gif")
    fails(frameperfect("convert", recorded, "x.dsm", cwd=tmp_path), ".dsm")


def on_a_small_disk(
    tmp_path: Path, kilobytes: int, *arguments: str | Path, keep: Path | None = None
) -> tuple[subprocess.CompletedProcess[str], dict[str, int]]:
    """Run the command line in a folder on a disk of so many KiB; also what that disk then holds, and sizes.

    `keep` is copied there before, as `old.fpm`.
    """
    disk, listing = tmp_path / "disk", tmp_path / "listing"
    disk.mkdir(exist_ok=True)
    script = f"""
mount -t tmpfs -o size={kilobytes}k none {disk} || exit 77
{f"cp {keep} {disk}/old.fpm" if keep else ""}
cd {disk}
"$@"
code=$?
find . -type f -printf '%P %s\\n' > {listing}
exit $code
"""
    own_mounts = ["unshare", "--user", "--map-root-user", "--mount", "sh", "-c", script, "sh"]
    done = subprocess.run(
        [*own_mounts, sys.executable, "-m", "frameperfect", *map(str, arguments)],
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
        env=os.environ | {"FRAMEPERFECT_HOME": str(tmp_path / "home")},
    )
    if not listing.exists():
        pytest.skip(f"missing component: a user namespace for a small disk ({done.stderr.strip()})")
    found = (line.rsplit(" ", 1) for line in listing.read_text().splitlines())
    return done, {name: int(size) for name, size in found}


def test_a_full_disk_leaves_what_was_there_and_nothing_half_written(tmp_path: Path, recorded: Path) -> None:
    size = recorded.stat().st_size
    done, left = on_a_small_disk(tmp_path, 4, "convert", recorded, "old.fpm", keep=recorded)
    fails(done, "old.fpm", "space")
    assert left == {"old.fpm": size}
    done, left = on_a_small_disk(tmp_path, 16, "watch", recorded, "--out", "x.mp4")
    fails(done, "x.mp4", "the disk is full")
    assert left == {}


def test_a_full_disk_stops_training_with_one_line(tmp_path: Path) -> None:
    need("stable_retro")
    need("torch")
    done, left = on_a_small_disk(tmp_path, 64, "train", GAME, "--steps", 256, "--envs", 2, "--run", "r")
    fails(done, "r/checkpoint.safetensors")
    assert not [name for name in left if "checkpoint" in name or "part" in name]


# -- runs --------------------------------------------------------------------------------------------


def test_a_recorded_run_verifies_in_every_format_and_as_a_replay(tmp_path: Path, recorded: Path) -> None:
    bk2 = tmp_path / "run.bk2"
    assert frameperfect("convert", recorded, bk2, cwd=tmp_path).returncode == 0
    done = frameperfect("verify", recorded, bk2, cwd=tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    assert len(done.stdout.splitlines()) == 2
    done = frameperfect("replay", recorded, "--watch", "score", "--every", 60, cwd=tmp_path)
    assert done.returncode == 0
    assert "score=" in done.stdout


def test_a_changed_run_does_not_verify_and_the_exit_code_says_so(tmp_path: Path, recorded: Path) -> None:
    from frameperfect.movie import load_movie, save_movie

    movie = load_movie(recorded)
    movie.inputs[:] = movie.controllers[0].mask("Left")
    save_movie(movie, tmp_path / "other.fpm")
    done = frameperfect("verify", tmp_path / "other.fpm", cwd=tmp_path)
    assert done.returncode == 1
    assert "differs" in done.stdout
    fails(frameperfect("replay", tmp_path / "other.fpm", cwd=tmp_path), "differs")


def test_an_unknown_variable_is_named(tmp_path: Path, recorded: Path) -> None:
    fails(frameperfect("replay", recorded, "--watch", "scroe", cwd=tmp_path), "scroe", "score")


def test_watch_makes_a_video_of_each_format_and_a_text(tmp_path: Path, recorded: Path) -> None:
    need("av")
    for suffix, magic in ((".mp4", b"ftyp"), (".gif", b"GIF8"), (".png", b"PNG")):
        out = tmp_path / f"run{suffix}"
        done = frameperfect("watch", recorded, "--out", out, "--seconds", 1, cwd=tmp_path)
        assert done.returncode == 0, done.stderr
        assert magic in out.read_bytes()[:16]
    done = frameperfect("watch", GAME, "--text", "--seconds", 2, cwd=tmp_path)
    assert done.returncode == 0
    assert "score=" in done.stdout


def test_games_can_be_filtered_and_read_by_programs(tmp_path: Path) -> None:
    need("stable_retro")
    done = frameperfect("games", "airstriker", "--json", cwd=tmp_path)
    rows = json.loads(done.stdout)
    assert [row["name"] for row in rows] == [GAME]
    assert rows[0]["rom"] is True
    assert rows[0]["source"] == "bundled"
    plain = frameperfect("games", "--source", "bundled", cwd=tmp_path).stdout.splitlines()
    assert any(line.startswith(GAME) for line in plain)
    fails(frameperfect("games", "--source", "nowhere", cwd=tmp_path), "nowhere", "bundled")


def test_info_shows_variables_starts_actions_and_cores(tmp_path: Path) -> None:
    need("stable_retro")
    text = frameperfect("info", GAME, cwd=tmp_path).stdout
    for word in ("score", "lives", "level1", "picodrive", "shooter", "delta(score)"):
        assert word in text


def test_a_new_game_of_a_rom_loads_and_plays(tmp_path: Path, rom: bytes) -> None:
    (tmp_path / "some game.md").write_bytes(rom[:-1] + b"?")
    done = frameperfect("new-game", "some game.md", "--folder", "mine", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "[memory]" in (tmp_path / "mine" / "game.toml").read_text()
    done = frameperfect("record", "./mine", "--seconds", 1, "--out", "x.fpm", cwd=tmp_path)
    assert done.returncode == 0, done.stderr


def test_doctor_names_what_is_missing_and_its_mend(tmp_path: Path) -> None:
    need("stable_retro")
    hide = "import importlib.util as u; f = u.find_spec\n"
    hide += "u.find_spec = lambda name, *a: None if name in ('av', 'lupa') else f(name, *a)\n"
    script = hide + "import sys; from frameperfect.cli.app import run; sys.exit(run(['doctor']))"
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert "pip install 'frameperfect[libretro,view]'" in done.stdout
    assert "picodrive" in done.stdout
    assert "lacks:" in done.stdout


# -- training ----------------------------------------------------------------------------------------


def test_episodes_begin_at_all_the_starts_that_train_and_eval_name(tmp_path: Path) -> None:
    need("torch")
    done = frameperfect(
        "train", "Skyrunner-Nes", "--run", "r", "--envs", 2, "--steps", 128, "--no-eval",
        "--start", "stage1,stage3", cwd=tmp_path,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert json.loads((tmp_path / "runs/r/config.json").read_text())["env"]["start"] == ["stage1", "stage3"]
    rest = ("--episodes", 2, "--envs", 2, "--no-video")
    done = frameperfect("eval", "r", "--start", "stage2", *rest, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "stage2" in (tmp_path / "runs/r/evaluation.json").read_text()
    fails(frameperfect("eval", "r", "--start", "stage2,moon", *rest, cwd=tmp_path), "no start 'moon'")


def test_train_writes_its_folder_and_goes_on_from_it(tmp_path: Path) -> None:
    need("stable_retro")
    need("torch")
    common = ("train", GAME, "--run", "r", "--envs", 4, "--no-eval")
    (tmp_path / "ppo.toml").write_text("rollout_steps = 32\nhidden = [16, 16]\n")
    done = frameperfect(*common, "--steps", 256, "--config", "ppo.toml", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    run = tmp_path / "runs" / "r"
    assert {"config.json", "checkpoint.safetensors", "metrics.csv", "curve.png", "tensorboard"} <= {
        path.name for path in run.iterdir()
    }
    config = json.loads((run / "config.json").read_text())
    assert (config["learn"]["rollout_steps"], config["learn"]["hidden"]) == (32, [16, 16])
    fails(frameperfect(*common, "--steps", 512, cwd=tmp_path), "r", "--resume")
    done = frameperfect(*common, "--resume", "--steps", 512, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "512 steps" in done.stdout
    fails(frameperfect("eval", "runs/rr", cwd=tmp_path), "rr", "'r'")


def test_a_config_file_with_an_unknown_or_wrong_setting_is_refused(tmp_path: Path) -> None:
    need("stable_retro")
    need("torch")
    for text, words in {
        "learning_rat = 1e-3": ("learning_rat", "learning_rate"),
        "epochs = 'four'": ("epochs", "four"),
        "gamma = 2.0": ("gamma",),
        "epochs = ": ("ppo.toml",),
    }.items():
        (tmp_path / "ppo.toml").write_text(text)
        fails(frameperfect("train", GAME, "--config", "ppo.toml", cwd=tmp_path), *words)
    assert not (tmp_path / "runs").exists()


def test_settings_that_the_game_does_not_have_are_refused(tmp_path: Path) -> None:
    need("stable_retro")
    need("torch")
    for option, value in (
        ("--observation", "smell"),
        ("--start", "level9"),
        ("--actions", "shoter"),
        ("--algo", "pro"),
    ):
        fails(frameperfect("train", GAME, option, value, "--steps", 100, cwd=tmp_path), value)
    assert not (tmp_path / "runs").exists()


@contextmanager
def started(command: list[str], cwd: Path, home: Path | None = None) -> Iterator[subprocess.Popen[str]]:
    """A command that runs on; whatever the test finds, it is gone afterwards."""
    environment = os.environ | ({"FRAMEPERFECT_HOME": str(home)} if home else {})
    running = subprocess.Popen(
        command, cwd=cwd, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment
    )
    try:
        yield running
    finally:
        running.kill()
        running.communicate()


def test_ctrl_c_keeps_a_checkpoint_and_says_how_to_go_on(tmp_path: Path) -> None:
    need("stable_retro")
    need("torch")
    command = [
        sys.executable,
        "-m",
        "frameperfect",
        "train",
        GAME,
        "--run",
        "r",
        "--envs",
        "4",
        "--minutes",
        "5",
    ]
    with started(command, tmp_path) as running:
        metrics = tmp_path / "runs" / "r" / "metrics.csv"
        deadline = time.monotonic() + 120
        while not (metrics.exists() and len(metrics.read_text().splitlines()) > 2):
            assert running.poll() is None, running.communicate()
            assert time.monotonic() < deadline
            time.sleep(0.05)
        running.send_signal(signal.SIGINT)
        _, errors = running.communicate(timeout=60)
    assert running.returncode == 130
    assert "Traceback" not in errors
    line = errors.strip().splitlines()[-1]
    assert "checkpoint kept" in line
    again = line[line.index("frameperfect train") :].split()[1:]
    assert not (tmp_path / "runs" / "r" / "evaluation.json").exists()
    assert (tmp_path / "runs" / "r" / "report.html").exists()
    done = frameperfect(*again, "--steps", 1, "--no-eval", cwd=tmp_path)
    assert done.returncode == 0, done.stderr


def test_ctrl_c_in_the_evaluation_at_trainings_end_keeps_the_agent_and_says_how_to_go_on(
    tmp_path: Path,
) -> None:
    command = [
        sys.executable,
        "-m",
        "frameperfect",
        "train",
        "Skyrunner-Nes",
        "--run",
        "r",
        "--steps",
        "2048",
    ]
    with started(command, tmp_path) as running:
        while not (tmp_path / "runs" / "r" / "curve.png").exists():  # the training's last file
            assert running.poll() is None, running.communicate()
            time.sleep(0.02)
        running.send_signal(signal.SIGINT)
        _, errors = running.communicate(timeout=60)
    assert running.returncode == 130, errors
    assert "Traceback" not in errors
    line = errors.strip().splitlines()[-1]
    assert "`frameperfect eval runs/r` evaluates it" in line
    assert not (tmp_path / "runs" / "r" / "evaluation.json").exists()
    assert (tmp_path / "runs" / "r" / "report.html").exists()


def test_ctrl_c_elsewhere_is_one_quiet_line_and_leaves_nothing(tmp_path: Path) -> None:
    need("stable_retro")
    command = [sys.executable, "-m", "frameperfect", "record", GAME, "--episodes", "100000", "--out", "x.fpm"]
    with started(command, tmp_path, tmp_path / "home") as running:
        while not list((tmp_path / "home").rglob("*.state")):  # the start is cached: it plays
            assert running.poll() is None, running.communicate()
            time.sleep(0.05)
        time.sleep(0.5)
        running.send_signal(signal.SIGINT)
        _, errors = running.communicate(timeout=60)
    assert (running.returncode, errors) == (130, "interrupted\n")
    assert [path.name for path in tmp_path.iterdir()] == ["home"]
