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
from frameperfect.cli.app import Refused, may_replace
from frameperfect.movie import load_movie
from tests.components import need
from tests.roms import ROMS

need("pygame")
need("PIL")
need("stable_retro")
GAME = "Airstriker-Genesis"

# Runs the command line and types into its window: every second picture one "+key" or "-key", "quit" at last.
TYPING = """
import sys
import pygame
typed, flip, pictures = sys.argv[1].split(), pygame.display.flip, []
def type_on():
    flip()
    pictures.append(None)
    if len(pictures) > 10 and len(pictures) % 2 and typed:
        word = typed.pop(0)
        kind = pygame.KEYDOWN if word[0] == "+" else pygame.KEYUP
        event = dict(key=pygame.key.key_code(word[1:]), mod=0) if word != "quit" else {}
        pygame.event.post(pygame.event.Event(pygame.QUIT if word == "quit" else kind, event))
pygame.display.flip = type_on
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


def appears(path: Path, process: subprocess.Popen[bytes]) -> None:
    while not path.exists():
        assert process.poll() is None, process.communicate()
        time.sleep(0.05)


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


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_a_signal_closes_the_window_and_the_recording_is_written(
    tmp_path: Path, number: signal.Signals
) -> None:
    command = [sys.executable, "-u", "-m", "frameperfect", "play", GAME, "--out", "mine.fpm"]
    slots = tmp_path / "home"
    with subprocess.Popen(
        command, cwd=tmp_path, env=surroundings(tmp_path), stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as process:
        appears(tmp_path / "mine.autosave.fpm", process)  # it plays
        process.send_signal(number)
        _, said = process.communicate(timeout=60)
    assert process.returncode == 130, said
    assert b"interrupted; mine.fpm: " in said
    assert load_movie(tmp_path / "mine.fpm").frames > 0
    assert not slots.joinpath("slots").exists()


def test_a_killed_recording_is_there_and_the_next_start_says_how_to_go_on(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "frameperfect", "play", GAME, "--out", "mine.fpm"]
    copy = tmp_path / "mine.autosave.fpm"
    with subprocess.Popen(
        command, cwd=tmp_path, env=surroundings(tmp_path), stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as process:
        appears(copy, process)
        process.kill()
    frames = load_movie(copy).frames
    assert frames > 0 and fp.verify(copy)
    again = play(tmp_path, "quit", *command[3:])
    how = f"frameperfect play {GAME} --movie mine.autosave.fpm --from {frames} --out mine.fpm"
    fails(again, "mine.autosave.fpm", f"cut off after {frames} frames", how, "--force")
    on = play(tmp_path, "+p -p +x -x quit", *how.split()[1:])
    assert on.returncode == 0, on.stderr
    assert load_movie(tmp_path / "mine.fpm").frames > frames and fp.verify(tmp_path / "mine.fpm")
    assert not copy.exists()


def test_a_recording_begun_in_the_window_is_told_of_at_the_next_start(tmp_path: Path) -> None:
    (tmp_path / f"{GAME}-2.autosave.fpm").write_text("torn")
    done = play(tmp_path, "quit", "play", GAME)
    assert done.returncode == 0, done.stderr
    assert f"{GAME}-2.autosave.fpm holds a recording that was cut off, and can't be read" in done.stdout


def test_out_replaces_a_movie_only_where_it_is_told_to(tmp_path: Path) -> None:
    mine = tmp_path / "mine.fpm"
    mine.write_text("a run of weeks")
    may_replace(mine, force=True)
    with pytest.raises(Refused, match=r"mine\.fpm exists already; name another --out, or add --force"):
        may_replace(mine, force=False)  # nobody to ask: a test has no terminal
    for answer, text in (("n", "a run of weeks"), ("y", "frameperfect movie 1")):
        ours, theirs = os.openpty()
        with os.fdopen(ours, "wb") as terminal:
            terminal.write(f"{answer}\n".encode())
            terminal.flush()
            command = [sys.executable, "-c", TYPING, "+x -x quit", "play", GAME, "--out", "mine.fpm"]
            done = subprocess.run(
                command, cwd=tmp_path, env=surroundings(tmp_path), stdin=theirs, stdout=theirs,
                stderr=subprocess.PIPE, check=False, timeout=120,
            )  # fmt: skip
            os.close(theirs)
        assert done.returncode == (0 if answer == "y" else 2), done.stderr
        assert mine.read_text().startswith(text)


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


def test_keys_are_changed_for_a_console_and_play_takes_them(tmp_path: Path) -> None:
    changed = play(tmp_path, "", "keys", GAME, "B=space", "rewind=r, pad leftshoulder", "back=,")
    assert changed.returncode == 0, changed.stderr
    assert str(Path("home", "keys", "Genesis.toml")) in changed.stdout
    done = play(tmp_path, "+space quit", "play", GAME, "--out", "mine.fpm")
    assert done.returncode == 0, done.stderr
    movie = load_movie(tmp_path / "mine.fpm")
    assert movie.inputs[:, 0].max() == movie.controllers[0].mask("B")
    fails(play(tmp_path, "", "keys", GAME, "Jmp=x"), "no button 'Jmp'")
    fails(play(tmp_path, "", "keys", GAME, "A"), "NAME=KEY")
    again = play(tmp_path, "", "keys", GAME, "--reset")
    assert '"B" = ["x", "pad a"]' in again.stdout and not (tmp_path / "home/keys/Genesis.toml").exists()
