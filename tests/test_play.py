"""`play` and `watch` as commands, in processes of their own: how windows end, and what is left then."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

import frameperfect as fp
from frameperfect.movie import load_movie
from tests.components import need
from tests.roms import ROMS

need("pygame")
need("PIL")
need("stable_retro")
GAME = "Airstriker-Genesis"

# Runs the command line while a second thread types: one "+key" or "-key" a picture or two, "quit" at last.
TYPING = """
import sys, threading, time
import pygame
typed = sys.argv[1].split()
def type_it():
    while not (pygame.display.get_init() and pygame.display.get_surface()):
        time.sleep(0.01)
    time.sleep(0.3)
    for word in typed:
        kind = pygame.KEYDOWN if word[0] == "+" else pygame.KEYUP
        event = dict(key=pygame.key.key_code(word[1:]), mod=0) if word != "quit" else {}
        pygame.event.post(pygame.event.Event(pygame.QUIT if word == "quit" else kind, event))
        time.sleep(0.05)
threading.Thread(target=type_it, daemon=True).start()
from frameperfect.cli.app import run
sys.exit(run(sys.argv[2:]))
"""


def surroundings(home: Path, **more: str) -> dict[str, str]:
    dummy = {"SDL_VIDEODRIVER": "dummy", "SDL_AUDIODRIVER": "dummy", "FRAMEPERFECT_HOME": str(home / "home")}
    return os.environ | dummy | more


def play(
    cwd: Path, typed: str, *arguments: str | Path, before: list[str] | None = None, **environment: str
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*(before or []), sys.executable, "-c", TYPING, typed, *map(str, arguments)],
        cwd=cwd,
        env=surroundings(cwd, **environment),
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )


def fails(done: subprocess.CompletedProcess[str], *words: str) -> None:
    assert done.returncode == 2, done.stdout + done.stderr
    lines = done.stderr.strip().splitlines()
    assert len(lines) == 1, done.stderr
    for word in words:
        assert word in lines[0]


def test_what_is_played_is_a_movie_that_verifies(tmp_path: Path) -> None:
    typed = "+right +x -x +x -right +backspace +left -backspace +up quit"
    done = play(tmp_path, typed, "play", GAME, "--out", "mine.fpm", "--author", "me", "--overlay", "inputs")
    assert done.returncode == 0, done.stderr
    movie = load_movie(tmp_path / "mine.fpm")
    assert done.stdout.splitlines()[-1].startswith(f"mine.fpm: {movie.frames} frames, 1 rerecord")
    assert (movie.author, movie.start, movie.rerecords) == ("me", "level1", 1)
    assert movie.inputs.any() and movie.checkpoints
    assert fp.verify(tmp_path / "mine.fpm")


def test_a_movie_is_taken_over_and_a_power_on_run_exported(tmp_path: Path) -> None:
    first = play(tmp_path, "+x -x +x quit", "play", GAME, "--start", "power-on", "--out", "first.bk2")
    assert first.returncode == 0, first.stderr
    old = load_movie(tmp_path / "first.bk2")
    done = play(
        tmp_path, "+p -p +left -left quit", "play", "--movie", "first.bk2", "--from", "10", "--out", "on.fpm"
    )
    assert done.returncode == 0, done.stderr
    new = load_movie(tmp_path / "on.fpm")
    assert new.start is None and new.rerecords == 1
    assert (new.inputs[:10] == old.inputs[:10]).all()
    assert fp.verify(tmp_path / "on.fpm")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_closes_the_window_and_the_recording_is_written(
    tmp_path: Path, number: signal.Signals
) -> None:
    command = [sys.executable, "-u", "-m", "frameperfect", "play", GAME, "--out", "mine.fpm"]
    slots = tmp_path / "home"
    with subprocess.Popen(
        command, cwd=tmp_path, env=surroundings(tmp_path), stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as process:
        time.sleep(4)  # long enough to be in the loop; before that an interrupt has nothing to keep
        process.send_signal(number)
        _, said = process.communicate(timeout=60)
    assert process.returncode == 130, said
    assert b"interrupted; mine.fpm: " in said
    assert load_movie(tmp_path / "mine.fpm").frames > 0
    assert not slots.joinpath("slots").exists()


def test_on_a_full_disk_the_recording_is_kept_elsewhere_and_named(tmp_path: Path) -> None:
    disk, spare = tmp_path / "disk", tmp_path / "spare"
    disk.mkdir()
    spare.mkdir()
    script = f'mount -t tmpfs -o size=16k none {disk} && cd {disk} && head -c 16384 /dev/zero > full; "$@"'
    before = ["unshare", "--user", "--map-root-user", "--mount", "sh", "-c", script, "sh"]
    if subprocess.run([*before[:4], "true"], capture_output=True, check=False).returncode:
        need("a_user_namespace_for_a_small_disk")
    done = play(
        tmp_path,
        "+right +x -x quit",
        "play",
        GAME,
        "--out",
        f"{disk}/mine.fpm",
        before=before,
        TMPDIR=str(spare),
    )
    fails(done, "mine.fpm", "No space left on device", "the recording is kept as")
    (kept,) = spare.glob("*.fpm")
    assert str(kept) in done.stderr
    assert load_movie(kept).frames > 0


def test_a_fault_in_the_loop_does_not_cost_the_recording(tmp_path: Path) -> None:
    break_it = "import frameperfect.view.window.tile as t; d = t.Tile.draw; n = []\n"
    break_it += "def draw(*a):\n    n.append(1)\n    if len(n) > 30: raise ValueError('a fault')\n"
    break_it += "    return d(*a)\nt.Tile.draw = draw\n"
    done = subprocess.run(
        [sys.executable, "-c", break_it + TYPING, "+x", "play", GAME, "--out", "mine.fpm"],
        cwd=tmp_path, env=surroundings(tmp_path), capture_output=True, text=True, check=False, timeout=120,
    )  # fmt: skip
    assert done.returncode == 1 and "a fault" in done.stderr
    assert load_movie(tmp_path / "mine.fpm").frames >= 30


def test_wrong_command_lines_are_one_line_each(tmp_path: Path) -> None:
    (tmp_path / "keys.toml").write_text('[port1]\nJump = "x"\n')
    (tmp_path / "nes.nes").write_bytes(ROMS["Nes"].build())
    for arguments, words in (
        (["play"], ["name a game"]),
        (["play", "no.fpm"], ["--movie no.fpm"]),
        (["play", GAME, "--from", "3"], ["--movie"]),
        (["play", GAME, "--start", "levle1"], ["level1"]),
        (["play", GAME, "--out", "x.avi"], [".avi", ".fpm"]),
        (["play", GAME, "--out", "gone/x.fpm"], ["gone"]),
        (["play", GAME, "--keys", "keys.toml"], ["keys.toml", "no button 'Jump'"]),
        (["play", GAME, "--overlay", "inptus"], ["did you mean 'inputs'"]),
        (["play", GAME, "--show", "scroe"], ["score"]),
        (["play", "nes.nes", "--movie", "gone.fpm"], ["gone.fpm"]),
    ):
        fails(play(tmp_path, "quit", *arguments), *words)
    assert not list(tmp_path.glob("*.fpm"))


def test_without_a_display_play_says_what_to_do_and_watch_makes_a_video(tmp_path: Path) -> None:
    need("av")
    nowhere = {"SDL_VIDEODRIVER": "", "DISPLAY": "", "WAYLAND_DISPLAY": ""}
    fails(play(tmp_path, "quit", "play", GAME, **nowhere), "no display", "xvfb-run", "SDL_VIDEODRIVER=dummy")
    done = play(tmp_path, "quit", "watch", GAME, "--seconds", "1", **nowhere)
    assert done.returncode == 0, done.stderr
    assert f"the video goes to {GAME}.mp4" in done.stdout
    assert (tmp_path / f"{GAME}.mp4").stat().st_size > 0
    fails(play(tmp_path, "quit", "watch", GAME, GAME, "--seconds", "1", **nowhere), "compare")


def test_watch_shows_one_run_or_several_and_writes_nothing(tmp_path: Path) -> None:
    typed = "+p -p +home -home +p -p +tab -tab +end +backspace -backspace quit"
    for runs in ([GAME], [GAME, GAME, GAME]):
        done = play(tmp_path, typed, "watch", *runs, "--seconds", "2", "--overlay", "reward")
        assert done.returncode == 0, done.stderr
    assert {path.name for path in tmp_path.iterdir()} <= {"home"}


def test_the_keys_are_printed_as_a_file_for_them(tmp_path: Path) -> None:
    done = play(tmp_path, "", "play", GAME, "--show-keys", SDL_VIDEODRIVER="")
    assert done.returncode == 0, done.stderr
    (tmp_path / "keys.toml").write_text(done.stdout)
    again = play(tmp_path, "", "play", GAME, "--show-keys", "--keys", "keys.toml")
    assert again.stdout == done.stdout and '"rewind" = ["backspace", "pad lefttrigger"]' in done.stdout
