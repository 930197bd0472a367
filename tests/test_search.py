"""Searches find the known optimum, claim no more than they know, and go on where they were stopped."""

from __future__ import annotations

import dataclasses
import importlib
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import frameperfect
from frameperfect.errors import GameError, SearchError
from frameperfect.game.search_section import SearchRule, SearchSection
from frameperfect.search import Budget, Problem, Result, beam, exhaustive, go_explore, improve
from frameperfect.search import generations as generations_module
from tests import mazes
from tests.components import need

need("stable_retro")
beam_module = importlib.import_module("frameperfect.search.beam")
METHODS: list[Callable[..., Result]] = [exhaustive, beam]
WAY = SearchSection(win="goal", fail="fallen", prefer="column + row", same=["place", "key"])
SOLVABLE = [seed for seed in range(12) if mazes.shortest(mazes.with_door(seed)) is not None]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A maze with a door."""
    return mazes.write_game(tmp_path_factory.mktemp("maze"), mazes.with_door(SOLVABLE[0]))


BEST = mazes.shortest(mazes.with_door(SOLVABLE[0]))


def facts(result: Result) -> tuple[Any, ...]:
    return (
        result.won, result.path.tolist(), result.score, result.optimal, result.claim, result.states,
        result.duplicates, result.dropped, result.failed, result.rules,
    )  # fmt: skip


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("seed", SOLVABLE[:3])
def test_the_shortest_way_is_found_and_replays(
    method: Callable[..., Result], seed: int, threads: int, tmp_path: Path
) -> None:
    cells = mazes.with_door(seed)
    with Problem(mazes.write_game(tmp_path, cells), threads=threads) as problem:
        found = method(problem)
        assert found.won and found.optimal
        assert len(found.path) == mazes.shortest(cells)
        found.prove(problem, tmp_path / "way.fpm")
    assert frameperfect.verify(tmp_path / "way.fpm", game=tmp_path)
    with frameperfect.open(tmp_path) as machine:
        movie = frameperfect.load_movie(tmp_path / "way.fpm")
        movie.check(machine)
        assert machine.read("goal") == 1


@given(st.integers(0, 10_000), st.integers(1, 12), st.integers(0, 3))
@settings(max_examples=10, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_what_is_claimed_to_be_optimal_is(
    tmp_path_factory: pytest.TempPathFactory, seed: int, width: int, dice: int
) -> None:
    cells = mazes.draw(seed)
    folder = mazes.write_game(tmp_path_factory.mktemp("maze"), cells)
    best = mazes.shortest(cells)
    with Problem(folder, WAY.model_copy(update={"width": width}), threads=1) as problem:
        found = beam(problem, seed=dice)
        if found.won:
            assert best is not None and len(found.path) >= best
        if found.optimal:
            assert len(found.path) == best
        if "no run wins" in found.claim:
            assert best is None
        sure = exhaustive(problem)
    assert sure.won == (best is not None)
    assert sure.optimal == sure.won
    assert len(sure.path) == (best or len(sure.path))


def test_a_narrow_beam_says_how_much_it_dropped(folder: Path) -> None:
    with Problem(folder, threads=1) as problem:
        found = beam(problem, width=2)
    assert not found.optimal and found.dropped > 0
    assert f"the last round of width 2 dropped {found.dropped} of {found.states} states" in found.claim


def test_threads_and_the_size_of_batches_change_nothing(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    results = []
    for threads, batch in ((1, 4096), (2, 4096), (2, 7), (1, 40)):
        monkeypatch.setattr(generations_module, "BATCH", batch)
        with Problem(folder, threads=threads) as problem:
            results.append(facts(beam(problem, width=6, seed=5)))
    assert results.count(results[0]) == 4


def test_a_widening_beam_ends_where_nothing_was_dropped(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(beam_module, "FIRST_WIDTH", 1)
    monkeypatch.setattr(beam_module, "STALE", 10)
    with Problem(folder, threads=2) as problem:
        rounds = set()
        found = beam(problem, watch=lambda now: rounds.add(now.round))
    assert len(rounds) > 1
    assert found.optimal and len(found.path) == BEST


def test_no_way_is_proven_to_be_none(tmp_path: Path) -> None:
    cells = mazes.with_door(SOLVABLE[0])
    cells[cells.index(mazes.KEY)] = mazes.FREE
    with Problem(mazes.write_game(tmp_path, cells), threads=1) as problem:
        for method in METHODS:
            found = method(problem)
            assert not found.won and found.stopped == "exhausted"
            assert found.claim.startswith("no run wins; states told apart by place, key")
            assert f"win never held of {found.states:,} states" in found.notes


def test_a_memory_that_is_full_proves_nothing(folder: Path) -> None:
    with Problem(folder, threads=1) as problem:
        found = exhaustive(problem, Budget(memory=30_000))
        assert found.stopped == "memory" and not found.optimal
        assert found.claim.startswith("not proven: the memory is full after")
        narrow = beam(problem, Budget(memory=60_000))
        assert narrow.dropped or len(narrow.path) == BEST


def test_the_progress_of_rules_tells_states_apart(folder: Path) -> None:
    # The way leads over places twice, without and with the key: told apart by the rule alone.
    blind = SearchSection(win="goal", fail="fallen", same=["place"])
    rule = blind.model_copy(update={"rule": {"key": SearchRule(when="key == 1", reward=5)}})
    checkpoint = blind.model_copy(update={"checkpoints": ["rose(key)"]})
    with Problem(folder, blind, threads=1) as problem:
        assert not exhaustive(problem).won
    for section in (rule, checkpoint):
        for method in METHODS:
            with Problem(folder, section, threads=1) as problem:
                assert len(method(problem).path) == BEST


def test_a_checkpoint_counts_more_than_what_is_preferred(folder: Path) -> None:
    section = WAY.model_copy(update={"prefer": "-100 * key", "checkpoints": ["key"], "width": 8})
    with Problem(folder, section, threads=1) as problem:
        found = beam(problem)
    assert found.won


def test_those_who_lack_a_checkpoint_for_too_long_are_dropped(folder: Path) -> None:
    section = WAY.model_copy(update={"checkpoints": ["key"]})
    with Problem(folder, section, threads=1) as problem:
        patient = exhaustive(problem)
    section = section.model_copy(update={"patience": 1})
    with Problem(folder, section, threads=1) as problem:
        hasty = exhaustive(problem)
    assert hasty.dropped > 0 and not hasty.optimal
    assert hasty.states < patient.states and patient.optimal


def test_what_may_be_pressed_depends_on_the_state(folder: Path) -> None:
    actions = {
        "key": ["", "Up", "Down", "Left", "Right"],
        "column == 1": ["Right", "Down"],
        "else": ["Up", "Left"],
    }
    with Problem(folder, WAY.model_copy(update={"actions": actions}), threads=1) as problem:
        pressed: dict[int, set[str]] = {}
        search = generations_module.Generations(problem, width=None, seed=0, memory=1 << 26)
        for _ in range(6):
            search.advance()
            for node in search.wave.nodes.tolist():
                path = search.path(node)
                pressed.setdefault(len(path), set()).update(problem.names[path[-1]] for path in [path])
        search.close()
    assert pressed[1] <= {"Right", "Down"}
    assert {"noop", "Up", "Down", "Left", "Right"} == set(problem.names)


def test_without_a_goal_the_most_of_what_is_preferred_is_found(folder: Path) -> None:
    section = SearchSection(prefer="column + 3 * row", fail="fallen", same=["place", "key"], steps=9)
    cells = mazes.with_door(SOLVABLE[0])
    reached = {mazes.START}
    for _ in range(9):
        reached |= {
            place + move
            for place in reached
            for move in mazes.MOVES.values()
            if cells[place + move] in (mazes.FREE, mazes.KEY, mazes.GOAL)
        }
    best = max(place % 16 + 3 * (place // 16) for place in reached)
    for method in METHODS:
        with Problem(folder, section, threads=2) as problem:
            found = method(problem)
            assert found.score == best and found.optimal and not found.won
            assert found.claim.startswith("optimal: nothing within")
            found.prove(problem)


def test_all_memory_tells_states_apart_where_nothing_is_named(folder: Path) -> None:
    section = WAY.model_copy(update={"same": [], "steps": 5})
    with Problem(folder, section, threads=1) as problem:
        found = exhaustive(problem)
    assert found.stopped == "steps" and found.claim.startswith("no run of up to 5 inputs wins; all memory")


def test_a_tolerance_lets_states_come_back_later(folder: Path) -> None:
    with Problem(folder, threads=1) as problem:
        plain = exhaustive(problem)
    with Problem(folder, WAY.model_copy(update={"tolerance": 1}), threads=1) as problem:
        later = exhaustive(problem)
    assert later.states > plain.states and len(later.path) == len(plain.path)


def test_inputs_may_be_held_for_several_frames(folder: Path) -> None:
    with Problem(
        folder, WAY.model_copy(update={"frames": 2, "win": "goal or row > 5"}), threads=1
    ) as problem:
        found = exhaustive(problem)
        found.prove(problem)
    assert found.movie is not None and found.movie.frames == 2 * len(found.path)
    assert "each held for 2 frames" in found.claim


def test_a_search_on_a_machine_of_another_kind(tmp_path: Path) -> None:
    need("ale_py")
    section = SearchSection(prefer="highest(ball)", same=["ball", "paddle"], steps=3, frames=8)
    toml = """
[game]
name = "Rally"
machine = "atari"
program = "pong"
[memory]
ball = { address = 0xB1 }
paddle = { address = 0xB3 }
[actions]
moves = ["", "Up", "Down"]
"""
    (tmp_path / "game.toml").write_text(toml)
    results = []
    for threads in (1, 2):
        with Problem(tmp_path, section, threads=threads) as problem:
            results.append(exhaustive(problem))
            results[-1].prove(problem)
    assert facts(results[0]) == facts(results[1])
    assert results[0].optimal


# -- other methods -----------------------------------------------------------------------------------------


def test_going_back_and_exploring_finds_a_way_and_the_same_one_for_a_seed(folder: Path) -> None:
    results = []
    for threads in (1, 2):
        with Problem(folder, WAY.model_copy(update={"win": "key"}), threads=threads) as problem:
            results.append(go_explore(problem, Budget(states=6000), seed=1))
            shortest = len(exhaustive(problem).path)
            assert problem.expander.store.count == 1  # only the start is left
            results[-1].prove(problem)
    assert facts(results[0]) == facts(results[1])
    assert results[0].won and not results[0].optimal
    assert len(results[0].path) >= shortest


def test_cells_may_be_coarser_than_states(folder: Path) -> None:
    section = WAY.model_copy(update={"cells": ["column // 4", "row // 4", "key"]})
    with Problem(folder, section, threads=1) as problem:
        found = go_explore(problem, Budget(states=3000))
    assert int(found.claim.split()[3].replace(",", "")) <= 32


def clumsy(problem: Problem) -> np.ndarray:
    """The shortest way with two frames of nothing before each step."""
    idle = problem.names.index("noop")
    return np.array([[idle, idle, action] for action in exhaustive(problem).path], np.uint32).ravel()


def test_a_clumsy_run_is_improved_and_a_better_one_spliced_in(folder: Path) -> None:
    with Problem(folder, threads=1) as problem:
        path = clumsy(problem)
        slow, fast = problem.movie(path), problem.movie(exhaustive(problem).path)
        better = improve(problem, slow, budget=Budget(states=3000), seed=2)
        assert better.won and BEST is not None and BEST <= len(better.path) < len(path)
        better.prove(problem)
        spliced = improve(problem, slow, [fast], Budget(states=800))
        assert len(spliced.path) == BEST
        assert problem.expander.store.count == 1


def test_improving_refuses_what_it_can_not_follow(folder: Path) -> None:
    with Problem(folder, threads=1) as problem:
        won = problem.movie(exhaustive(problem).path)
        with pytest.raises(SearchError, match="the run does not win by the rules"):
            improve(problem, won.cut(3))
        with pytest.raises(SearchError, match="does not start where the search does, at begin"):
            improve(problem, dataclasses.replace(won, start=None))
        strange = dataclasses.replace(won, inputs=won.inputs | 1 << 4, checkpoints=[], values={})
        with pytest.raises(SearchError, match="frame 0 of the movie holds"):
            improve(problem, strange)


# -- stopping and going on ---------------------------------------------------------------------------------


@pytest.mark.parametrize("width", [None, 5])
def test_a_search_that_was_stopped_goes_on_to_the_same_result(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, width: int | None
) -> None:
    monkeypatch.setattr(generations_module, "BATCH", 30)
    monkeypatch.setattr(beam_module, "FIRST_WIDTH", 2)
    with Problem(folder, threads=1) as problem:
        whole = beam(problem, width=width)
    path, pieces = tmp_path / "search", 0
    resume = False
    while True:
        left = [3 + 5 * pieces]

        def stop(left: list[int] = left) -> bool:
            left[0] -= 1
            return left[0] < 0

        with Problem(folder, threads=2) as problem:
            found = beam(problem, width=width, stop=stop, checkpoint=path, resume=resume)
        pieces, resume = pieces + 1, True
        if found.stopped != "interrupt":
            break
        assert path.exists()
    assert pieces > 2
    assert facts(found) == facts(whole)
    with Problem(folder, threads=1) as problem:  # one that is over ends again as it did
        assert facts(beam(problem, width=width, checkpoint=path, resume=True)) == facts(whole)


def test_a_checkpoint_of_another_search_or_a_damaged_one_is_refused(folder: Path, tmp_path: Path) -> None:
    path = tmp_path / "search"
    with Problem(folder, threads=1) as problem:
        with pytest.raises(SearchError, match="no search to go on with; begin one without --resume"):
            beam(problem, checkpoint=path, resume=True)
        stopped = beam(problem, stop=lambda: True, checkpoint=path)
        assert stopped.stopped == "interrupt"
        with pytest.raises(SearchError, match="belongs to another search"):
            beam(problem, checkpoint=path, resume=True, seed=1)
        whole = path.read_bytes()
        for damaged in (whole[: len(whole) // 2], b"", whole[:100] + bytes(200) + whole[300:]):
            path.write_bytes(damaged)
            with pytest.raises(SearchError, match="the search is damaged"):
                beam(problem, checkpoint=path, resume=True)
    with Problem(folder, WAY.model_copy(update={"prefer": "row"}), threads=1) as other:
        path.write_bytes(whole)
        with pytest.raises(SearchError, match="belongs to another search"):
            beam(other, checkpoint=path, resume=True)


def test_a_budget_of_states_is_kept_to_within_a_batch(folder: Path) -> None:
    with Problem(folder, threads=1) as problem:
        found = exhaustive(problem, Budget(states=200))
    assert found.stopped == "states" and 200 <= found.states < 500
    assert not found.optimal


# -- what is refused, and what is noted --------------------------------------------------------------------


def test_rules_that_tell_nothing_are_noted(folder: Path) -> None:
    section = WAY.model_copy(
        update={
            "rule": {"never": SearchRule(when="frames > 999"), "always": SearchRule(when="place > 0")},
            "checkpoints": ["key", "row > 99"],
        }
    )
    with Problem(folder, section, threads=1) as problem:
        found = exhaustive(problem)
    count = f"{found.states:,}"
    assert f"rule.never never held of {count} states" in found.notes
    assert "rule.always held of every state: it tells nothing apart" in found.notes
    assert f"checkpoints 2 never held of {count} states" in found.notes
    with Problem(folder, WAY.model_copy(update={"fail": "frames > 0 and step > 0"}), threads=1) as problem:
        found = exhaustive(problem)
    assert "fail held of every state: nothing could be tried; look at that rule" in found.notes


@pytest.mark.parametrize(
    ("table", "message"),
    [
        ("[search.way]\nwim = 'goal'", r"\[search.way\] unknown key 'wim'. Did you mean 'win'\?"),
        ("[search.way]\nfail = 'fallen'", "give 'win', the goal, or 'prefer'"),
        ("[search.way]\nprefer = 'row'", "without 'win', give 'steps'"),
        ("[search.way]\nwin = 'goal'\npatience = 3", "'patience' is for 'checkpoints'"),
        (
            "[search.way]\nwin = 'gaol'",
            r"\[search.way\]: win, column 1: no variable or define 'gaol'. Did you mean 'goal'",
        ),
        (
            "[search.way]\nwin = 'goal'\nsame = ['plaice']",
            "no variable or define 'plaice'. Did you mean 'place'",
        ),
        ("[search.way]\nwin = 'goal'\nactions = {key = ['Up']}", "actions: add 'else'"),
        ("[search.way]\nwin = 'goal'\nactions = ['Jump']", "no button 'Jump'"),
        ("[search.way]\nwin = 'goal'\nstart = 'begim'", "has no start 'begim'. Did you mean 'begin'"),
        ("[search.way]\nwin = 'goal'\nrule.key = { wen = 'key' }", "unknown key 'wen'. Did you mean 'when'"),
        ("[search.way]\nwin = 'goal'\nfail = 'place > 0'", "'fail' holds at the start already"),
        ("", r"nothing to search for: add \[search.NAME\]"),
    ],
)
def test_a_wrong_table_is_refused_with_its_mend(tmp_path: Path, table: str, message: str) -> None:
    folder = mazes.write_game(tmp_path, mazes.with_door(SOLVABLE[0]), table)
    with pytest.raises((GameError, SearchError), match=message), Problem(folder, threads=1) as problem:
        beam(problem)


def test_a_search_that_the_game_does_not_have_is_refused_by_name(folder: Path) -> None:
    with pytest.raises(GameError, match=r"has no \[search.weg\]"):
        Problem(folder, "weg")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2m", (120, np.inf)),
        ("90s", (90, np.inf)),
        ("1.5h, 1e6states", (5400, 1e6)),
        ("4GiB", (np.inf, np.inf)),
    ],
)
def test_a_budget_is_read(text: str, expected: tuple[float, float]) -> None:
    budget = Budget.parse(text)
    assert (budget.seconds, budget.states) == expected
    assert budget.memory == (4 << 30 if "GiB" in text else Budget().memory)


@pytest.mark.parametrize("text", ["", "2m,", "2", "m", "1.2.3s", "-1s", "0s", "3 parsecs", "1e6"])
def test_what_is_no_budget_is_refused(text: str) -> None:
    with pytest.raises(SearchError, match="is no budget; write"):
        Budget.parse(text)


# -- the command -------------------------------------------------------------------------------------------


def run(folder: Path, *arguments: str, home: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "frameperfect", "search", str(folder), *arguments]
    return subprocess.run(command, cwd=home, capture_output=True, text=True, env={**os.environ})


def test_the_command_finds_the_way_and_proves_it(folder: Path, tmp_path: Path) -> None:
    done = run(folder, "--out", "way.fpm", home=tmp_path)
    assert done.returncode == 0, done.stderr
    assert f"way.fpm: {BEST} frames" in done.stdout and "wins" in done.stdout
    assert f"optimal: no run of fewer than {BEST} inputs wins" in done.stdout
    assert "replayed in a fresh process" in done.stdout
    exported = run(folder, "--method", "exhaustive", "--out", "way.fm2", home=tmp_path)
    assert exported.returncode == 0, exported.stderr
    assert frameperfect.verify(tmp_path / "way.fm2", game=folder)


def test_the_command_says_in_a_line_what_is_wrong(folder: Path, tmp_path: Path) -> None:
    for arguments, message in [
        (["--resume"], "no search to go on with"),
        (
            ["--method", "magic"],
            "no method 'magic'; there are beam, exhaustive, go-explore, brute, jerk, improve",
        ),
        (["--budget", "long"], "'long' is no budget"),
        (["--search", "out"], "has no [search.out]"),
        (["--start", "middle"], "has no start 'middle'"),
    ]:
        done = run(folder, *arguments, home=tmp_path)
        assert done.returncode == 2
        assert message in done.stderr and done.stderr.count("\n") == 1


def test_ctrl_c_keeps_everything_and_resume_goes_on(folder: Path, tmp_path: Path) -> None:
    command = [sys.executable, "-c", SLOW, "search", str(folder), "--out", "way.fpm"]
    child = subprocess.Popen(command, cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert child.stdout is not None
    for line in child.stdout:
        if "round" in line:
            break
    child.send_signal(signal.SIGINT)
    _, errors = child.communicate(timeout=60)
    assert child.returncode == 130, errors
    assert "interrupted; everything is kept in way-beam.search; go on: add --resume" in errors
    done = run(folder, "--out", "way.fpm", "--resume", home=tmp_path)
    assert done.returncode == 0, done.stderr
    assert f"way.fpm: {BEST} frames" in done.stdout
    assert sorted(path.name for path in tmp_path.iterdir()) == ["way.fpm"]


SLOW = """
import sys, time
from frameperfect.cli import search_view
from frameperfect.search import generations
generations.BATCH = 5
search_view.EVERY = 0.0
advance = generations.Generations.advance
def slowly(self):
    time.sleep(0.02)
    advance(self)
generations.Generations.advance = slowly
from frameperfect.cli.app import run
sys.exit(run(sys.argv[1:]))
"""
