"""The board shows movies that were replayed in a fresh process, the best first, and nothing else."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from tests.command_line import frameperfect
from tests.components import need
from tests.test_cli import fails

need("stable_retro")

import frameperfect as fp  # noqa: E402
from frameperfect.cli.board import Candidate, _rank  # noqa: E402
from frameperfect.cli.proven import Proven  # noqa: E402
from frameperfect.movie import Movie, Recorder, load_movie, save_movie  # noqa: E402

GAME = "Airstriker-Genesis"


def play(held: list[str], frames: int = 400) -> Movie:
    """Hold one thing after another, a few frames each."""
    with fp.open(GAME, start="level1") as machine:
        recorder = Recorder(machine, start="level1", author="a test")
        while recorder.frames < frames:
            recorder.advance(held[recorder.frames // 4 % len(held)], 4)
        return recorder.movie()


@pytest.fixture
def place(tmp_path: Path) -> Path:
    save_movie(play(["B", ""]), tmp_path / "shoots.fpm")
    save_movie(play([""]), tmp_path / "idle.fpm")
    return tmp_path


def board(place: Path, *arguments: str) -> list[list[str]]:
    """The cells of the rows: rank, time, score, by, ..."""
    done = frameperfect("board", GAME, *arguments, cwd=place)
    assert done.returncode == 0, done.stdout + done.stderr
    rows = [line.split("  ") for line in done.stdout.splitlines() if line.strip()[:1].isdigit()]
    return [[cell.strip() for cell in row if cell.strip()] for row in rows]


def test_a_movie_that_is_added_is_verified_ranked_and_named(place: Path) -> None:
    assert "no verified movie" in frameperfect("board", GAME, cwd=place).stdout
    board(place, "--add", "idle.fpm", "--by", "Ada L.")
    rows = board(place, "--add", "shoots.fpm")
    assert [row[0] for row in rows] == ["1", "2"]
    assert float(rows[0][2]) > float(rows[1][2]) == 0
    assert [row[3] for row in rows] == ["a test", "Ada L."]
    assert all("yes, 400 frames" in row for row in rows)
    assert board(place) == rows
    assert board(place, "--add", "shoots.fpm") == rows  # the same movie stands there once


def test_a_movie_that_does_not_verify_is_refused_and_not_added(place: Path) -> None:
    movie = load_movie(place / "shoots.fpm")
    movie.inputs[100:160] = movie.controllers[0].mask("Right")
    save_movie(movie, place / "forged.fpm")
    fails(frameperfect("board", GAME, "--add", "forged.fpm", cwd=place), "not added", "differs", code=1)
    movie.checkpoints, movie.values = [], {}
    save_movie(movie, place / "unproven.fpm")
    fails(frameperfect("board", GAME, "--add", "unproven.fpm", cwd=place), "nothing to compare", code=1)
    fails(frameperfect("board", GAME, "--add", "none.fpm", cwd=place), "none.fpm")
    movie = load_movie(place / "shoots.fpm")
    movie.game = "Other-Genesis"
    save_movie(movie, place / "other.fpm")
    fails(frameperfect("board", GAME, "--add", "other.fpm", cwd=place), "Other-Genesis", code=1)
    assert not (place / "home" / "board").exists()


def test_movies_of_runs_stand_beside_with_method_and_cost(place: Path) -> None:
    run = place / "runs" / "mine"
    run.mkdir(parents=True)
    config = {"game": GAME, "env": {}, "envs": 1, "algo": "ppo", "learn": {"seed": 1}}
    (run / "config.json").write_text(json.dumps(config))
    (run / "metrics.csv").write_text("steps,seconds\n100,83.0\n")
    (run / "evaluation.json").write_text(json.dumps({"brute": {"score": 0, "steps": 1, "seconds": 12.0}}))
    shutil.copy(place / "shoots.fpm", run / "best.fpm")
    shutil.copy(place / "idle.fpm", run / "brute.fpm")
    rows = board(place)
    assert [row[3:6] for row in rows] == [["mine", "ppo", "1:23"], ["mine", "The Brute", "0:12"]]
    # a movie that somebody puts his name to keeps what it cost
    assert board(place, "--add", "runs/mine/best.fpm", "--by", "me")[0][3:6] == ["me", "ppo", "1:23"]
    movie = load_movie(run / "best.fpm")
    movie.inputs[100:160] = movie.controllers[0].mask("Right")
    save_movie(movie, run / "best.fpm")
    (run / "brute.fpm").write_bytes(b"no movie")
    done = frameperfect("board", GAME, cwd=place)
    assert "not on the board: runs/mine/best.fpm: memory differs" in done.stdout
    assert "left out: runs/mine/brute.fpm" in done.stdout


def test_a_movie_is_replayed_once_and_again_only_when_asked_or_changed(place: Path) -> None:
    board(place, "--add", "shoots.fpm")
    (proof,) = (place / "home" / "proofs").iterdir()
    facts = json.loads(proof.read_text())
    proof.write_text(json.dumps(facts | {"score": 12345.0}))
    assert board(place)[0][2] == "12345"
    assert float(board(place, "--again")[0][2]) == facts["score"]
    for damaged in ("{", "[]", json.dumps(facts | {"version": "0.0.0", "score": 1.0}), '{"digest": 1}'):
        proof.write_text(damaged)
        assert float(board(place)[0][2]) == facts["score"]


def test_starts_have_boards_of_their_own(place: Path) -> None:
    assert frameperfect("convert", "shoots.fpm", "shoots.bk2", cwd=place).returncode == 0
    board(place, "--add", "shoots.fpm")
    board(place, "--add", "shoots.bk2")
    done = frameperfect("board", GAME, cwd=place).stdout
    assert f"{GAME}, level1" in done and f"{GAME}, power-on" in done
    assert len(board(place, "--start", "level1")) == 1
    assert "no verified movie" in frameperfect("board", GAME, "--start", "level9", cwd=place).stdout


def test_runs_that_reach_the_goal_come_first_the_fastest_before_the_others_by_score() -> None:
    def row(name: str, seconds: float | None, score: float, frames: int = 100) -> tuple[Candidate, Proven]:
        return (
            Candidate(Path(name), name, "", ""),
            Proven(name, True, "", GAME, "level1", frames, score=score, seconds=seconds),
        )

    rows = [
        row("scores", None, 900), row("slow", 20.0, 1), row("fast", 14.82, 0), row("less", None, 5),
        row("same but shorter", None, 900, 50),
    ]  # fmt: skip
    names = [candidate.name for candidate, _ in sorted(rows, key=_rank)]
    assert names == ["fast", "slow", "same but shorter", "scores", "less"]


def test_an_unknown_game_is_one_line(place: Path) -> None:
    fails(frameperfect("board", "Airstriker-Genesi", cwd=place), "did you mean", GAME)
