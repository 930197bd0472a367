"""What all searches have in common: they go on where they stopped, by edited rules too, and prove runs."""

from __future__ import annotations

import importlib
import os
import pty
import random
import re
import select
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import frameperfect
from frameperfect.errors import GameError, SearchError, Unsupported
from frameperfect.game.search_section import SearchMagnet, SearchPin, SearchSection
from frameperfect.movie import Movie, load_movie, save_movie
from frameperfect.search import (
    METHODS,
    Budget,
    Driver,
    Problem,
    Result,
    beam,
    brute_search,
    exhaustive,
    go_explore,
    improve,
    jerk,
    lanes,
    make_method,
)
from tests import walker

BEST = walker.shortest(8, 2)
WALK = SearchSection(
    win="x == 8 and y == 2", prefer="x - y / 100", same=["x", "y"],
    actions=["", "Left", "Right", "Up", "Down"], steps=60,
)  # fmt: skip


@pytest.fixture(scope="module", autouse=True)
def _site(tmp_path_factory: pytest.TempPathFactory) -> Any:
    with pytest.MonkeyPatch.context() as patch:
        folder = str(walker.site(tmp_path_factory.mktemp("site")))
        patch.syspath_prepend(folder)
        patch.setenv("PYTHONPATH", os.pathsep.join([folder, os.environ.get("PYTHONPATH", "")]))
        yield


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return walker.write_game(tmp_path / "walk")


def change(section: SearchSection, **update: Any) -> SearchSection:
    return SearchSection.model_validate(section.model_dump() | update)


def facts(result: Result) -> tuple[Any, ...]:
    return (
        result.won, result.path.tolist(), result.score, result.optimal, result.claim, result.states,
        result.duplicates, result.dropped, result.failed, result.rules,
    )  # fmt: skip


def detour(problem: Problem) -> Movie:
    """A way to the goal with a rest before every step."""
    path = exhaustive(problem).path
    idle = problem.names.index("noop")
    return problem.movie(np.array([[idle, action] for action in path], np.uint32).ravel())


@pytest.mark.parametrize("threads", [1, 2])
def test_what_claims_to_be_optimal_is_on_one_machine_and_on_two(folder: Path, threads: int) -> None:
    with Problem(folder, WALK, threads=threads) as problem:
        for method in (exhaustive, beam):
            found = method(problem)
            assert found.optimal and len(found.path) == BEST
            assert found.prove(problem).verdict


# -- going on ----------------------------------------------------------------------------------------------


def begin(name: str, problem: Problem, **settings: Any) -> Driver:
    movies = [detour(problem)] if name == "improve" else []
    method = make_method(name, problem, Budget(states=2500), seed=3, movies=movies)
    return Driver(method, **settings)


@pytest.mark.parametrize("name", METHODS)
def test_a_search_stopped_again_and_again_finds_what_one_in_a_piece_does(
    name: str, folder: Path, tmp_path: Path
) -> None:
    with Problem(folder, WALK, threads=1) as problem:
        whole = begin(name, problem).finish()
        assert problem.expander.store.count == 1  # only the start is left
        found, pieces = None, 0
        while found is None or found.stopped == "interrupt":
            left = iter(range(1 + 2 * pieces))
            driver = begin(
                name, problem, stop=lambda left=left: next(left, None) is None,
                checkpoint=tmp_path / "kept", resume=pieces > 0,
            )  # fmt: skip
            assert not driver.edited
            found, pieces = driver.finish(), pieces + 1
        assert pieces > 1
        assert facts(found) == facts(whole)
        assert found.prove(problem).verdict


@pytest.mark.parametrize("name", ["jerk", "brute"])
def test_a_seed_gives_the_same_run_on_any_number_of_machines(name: str, folder: Path) -> None:
    found = []
    for threads in (1, 2):
        with Problem(folder, WALK, threads=threads) as problem:
            found.append(facts(begin(name, problem).finish()))
    assert found[0] == found[1]


def test_a_checkpoint_names_what_differs(folder: Path, tmp_path: Path) -> None:
    kept = tmp_path / "kept"
    with Problem(folder, WALK, threads=1) as problem:
        begin("jerk", problem, stop=lambda: True, checkpoint=kept).finish()
    for update, message in [({"frames": 2}, "its frames was 1 and is 2"), ({}, "its method was jerk")]:
        name, section = "jerk" if update else "brute", change(WALK, **update)
        with Problem(folder, section, threads=1) as problem, pytest.raises(SearchError, match=message):
            begin(name, problem, checkpoint=kept, resume=True)


# -- rules edited in mid-search ----------------------------------------------------------------------------


def edit_game(folder: Path, old: str, new: str) -> None:
    text = (folder / "game.toml").read_text()
    assert old in text
    (folder / "game.toml").write_text(text.replace(old, new))


@pytest.mark.parametrize("name", METHODS)
def test_rules_edited_on_the_way_are_those_that_it_ends_by(name: str, folder: Path) -> None:
    with Problem(folder, threads=1) as problem:
        driver = begin(name, problem)
        driver.run(until=lambda: driver.method.states >= 150)
        edit_game(folder, "y == 2", "y >= 2 and frames >= 3")
        edit_game(folder, "prefer = ", "magnet.gap = { value = 'y', to = 9, when = 'x < 4' }\nprefer = ")
        assert driver.edit() and driver.edited
        assert not driver.edit()
        found = driver.finish()
        assert found.prove(problem).verdict
        assert not found.optimal or name == "beam"  # whose next round began anew


def test_states_at_hand_are_judged_by_the_new_rules(folder: Path) -> None:
    with Problem(folder, threads=1) as problem:
        driver = begin("exhaustive", problem)
        driver.run(until=lambda: driver.method.states >= 100)
        edit_game(folder, "win = ", "fail = 'y > 4'\nwin = ")
        driver.edit()
        wave = driver.method.now.wave  # type: ignore[attr-defined]
        assert len(wave)
        for state in wave.states.tolist():
            problem.expander.show(state)
            assert problem.expander.machine.memory["ram"][1] <= 4
        found = driver.finish()
        assert not found.won and "not proven" in found.claim and "edited" in found.claim


@pytest.mark.parametrize("name", METHODS)
def test_a_wrong_edit_is_refused_and_the_search_goes_on_by_the_old_rules(name: str, folder: Path) -> None:
    with Problem(folder, threads=1) as problem:
        whole = begin(name, problem).finish()
        driver = begin(name, problem)
        driver.run(until=lambda: driver.method.states >= 100)
        right = (folder / "game.toml").read_text()
        for old, new, kind, message in [
            ("x == 8", "xx == 8", GameError, "no variable or define 'xx'"),
            ("[search.walk]", "[search.wolk]", GameError, "has no"),
            ("same =", "frames = 2\nsame =", SearchError, "its frames was 1 and is 2"),
            ("win =", "fail = 'x >= 0'\nwin =", SearchError, "'fail' holds at the start"),
        ][: 4 if name in ("beam", "exhaustive") else 3]:
            (folder / "game.toml").write_text(right.replace(old, new))
            with pytest.raises(kind, match=message):
                driver.edit()
        (folder / "game.toml").write_text(right)
        assert facts(driver.finish()) == facts(whole)
        assert problem.expander.store.count == 1


def test_a_run_that_wins_no_more_can_not_be_improved_by_such_rules(folder: Path) -> None:
    with Problem(folder, threads=1) as problem:
        driver = begin("improve", problem)
        edit_game(folder, "x == 8", "x == 11")
        with pytest.raises(SearchError, match="does not win by the rules"):
            driver.edit()
        assert driver.finish().won


def test_resuming_after_an_edit_says_so_and_takes_the_new_actions(folder: Path, tmp_path: Path) -> None:
    kept = tmp_path / "kept"
    edit_game(folder, '"Down"]', '"Up Right"]')
    with Problem(folder, threads=1) as problem:
        begin("beam", problem, stop=lambda: True, checkpoint=kept).finish()
    edit_game(folder, '"Up Right"]', '"Down"]')
    with Problem(folder, threads=1) as problem:
        driver = begin("beam", problem, checkpoint=kept, resume=True)
        assert driver.edited
        found = driver.finish()
        assert found.won and len(found.path) >= BEST
        assert found.prove(problem).verdict


# -- pins --------------------------------------------------------------------------------------------------


def test_a_search_begins_inside_a_known_movie_and_gives_the_whole_run(folder: Path, tmp_path: Path) -> None:
    with Problem(folder, WALK, threads=1) as problem:
        slow = detour(problem)
    for frame in (1, 10, 21):
        with Problem(folder, WALK, threads=1, pin=slow, frame=frame) as problem:
            found = exhaustive(problem)
            found.prove(problem, tmp_path / "whole.fpm")
            # A rest and a step, again and again: (frame + 1) // 2 rests are behind it.
            assert found.optimal and found.frames == BEST + (frame + 1) // 2
            assert np.array_equal(found.movie.inputs[:frame], slow.inputs[:frame])  # type: ignore[union-attr]
            better = improve(problem, slow, budget=Budget(states=1500), seed=1)
            assert found.frames <= frame + len(better.path) <= slow.frames
    assert frameperfect.verify(tmp_path / "whole.fpm", game=folder)


@given(st.integers(0, 3), st.integers(0, 2))
@settings(max_examples=8, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_no_state_strays_from_the_pinned_movie(folder: Path, wide: int, slack: int) -> None:
    with Problem(folder, WALK, threads=1) as problem:
        known = detour(problem)
    places = positions(folder, known)
    pin = SearchPin(values={"x": wide, "y": [-wide, 12.0]}, slack=slack)
    with Problem(folder, change(WALK, pin=pin), threads=1, pin=known) as problem:
        found = exhaustive(problem)
        path = positions(folder, problem.movie(found.path))
    for frame, (x, y) in enumerate(path):
        near = places[max(0, frame - slack) : frame + slack + 1] or places[-1:]
        assert any(abs(x - kx) <= wide and -wide <= y - ky for kx, ky in near)
    assert found.won and "only runs near the pinned movie count" in found.claim
    assert len(found.path) >= BEST


def positions(folder: Path, movie: Movie) -> list[tuple[int, int]]:
    with frameperfect.open(folder) as machine:
        found = [(0, 0)]
        found += [(int(machine.read("x")), int(machine.read("y"))) for _ in movie.replay(machine)]
    return found


def test_a_pin_that_can_not_be_is_refused_with_its_mend(folder: Path, tmp_path: Path) -> None:
    with Problem(folder, WALK, threads=1) as problem:
        known = detour(problem)
    for settings_, message in [
        ({"pin": known}, "say which 'values' stay near"),
        ({"frame": 3}, "name the movie"),
        ({"pin": known, "frame": 999}, f"has {known.frames} frames; it can't be begun at 999"),
    ]:
        with pytest.raises(SearchError, match=message):
            Problem(folder, WALK, threads=1, **settings_)  # type: ignore[arg-type]
    for toml, message in [
        ("[search.walk.pin]\nvalues = { x = [1, 2] }", "give a distance like 16"),
        ("[search.walk.pin]\nframe = 9\nuntil = 4", "lies before"),
        ("[search.walk.pin]\nfrom = 4", "unknown key 'from'"),
        ("[search.walk.magnet.a]\nvalue = 'x'", "'to' is missing"),
        ("[search.walk.jerk]\nforward = []\nback = ['Left']", "each need a combination"),
    ]:
        with pytest.raises(GameError, match=message):
            Problem(walker.write_game(tmp_path / "wrong", search=walker.SEARCH + toml))


def test_a_movie_beside_the_game_is_pinned_by_its_rules(folder: Path) -> None:
    with Problem(folder, threads=1) as problem:
        save_movie(detour(problem), folder / "known.fpm")
    toml = "[search.walk.pin]\nmovie = 'known.fpm'\nframe = 10\nvalues = { x = 2, y = 2 }\nslack = 60\n"
    walker.write_game(folder, search=walker.SEARCH + toml)
    with Problem(folder, threads=1) as problem:
        assert problem.lead_frames == 10
        found = exhaustive(problem)
        assert found.prove(problem).frames == BEST + 5


# -- magnets -----------------------------------------------------------------------------------------------


def test_magnets_pull_as_they_are_written(folder: Path) -> None:
    magnets = {
        "plain": SearchMagnet(value="x", to=6, weight=2),
        "near": SearchMagnet(value="y", to="x", within=3),
        "on": SearchMagnet(value="y", to=5, weight=-1, when="x > 2"),
    }
    section = change(WALK, prefer="x", magnet={name: one.model_dump() for name, one in magnets.items()})
    with Problem(folder, section, threads=1) as problem:
        path = [problem.names.index(name) for name in ("Right", "Down", "Right", "Right", "Down", "Down")]
        for here in lanes.walk(problem, path):
            problem.expander.show(int(here.wave.states[0]))
            x, y, *_ = problem.expander.machine.memory["ram"].tolist()
            expected = x - 2 * abs(x - 6) + max(0, 3 - abs(y - x)) + (abs(y - 5) if x > 2 else 0)
            assert here.wave.verdicts.score[0] == expected


def test_a_magnet_alone_is_something_to_look_for(folder: Path) -> None:
    section = SearchSection.model_validate(
        {"magnet": {"place": {"value": "x + 12 * y", "to": 26}}, "same": ["x", "y"], "steps": 12}
    )
    with Problem(folder, section, threads=1) as problem:
        found = exhaustive(problem)
    assert found.score == 0 and found.optimal


# -- steps -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("method", [go_explore, improve, jerk, brute_search])
def test_a_rule_on_the_step_sees_each_run_s_own(method: Callable[..., Result], folder: Path) -> None:
    # The machine counts its frames: whoever is given another run's step fails.
    section = change(WALK, fail="(frames - step) != 0", win="x == 2 and y == 1")
    with Problem(folder, section, threads=1) as problem:
        given_ = (detour(problem),) if method is improve else ()
        found = method(problem, *given_, budget=Budget(states=1500), seed=2)
        assert found.failed == 0 and found.won == (method is not jerk)


# -- jerk, brute -------------------------------------------------------------------------------------------


def test_jerk_needs_to_know_what_forward_is(folder: Path) -> None:
    section, said = change(WALK, actions=["", "Up", "Down"]), "no Right and Left to guess them from"
    with Problem(folder, section, threads=1) as problem, pytest.raises(SearchError, match=said):
        jerk(problem)
    ways = {"forward": ["Right", "Down"], "back": ["Left", "Up"]}
    section = change(WALK, actions=["", "Up"], jerk=ways, win="x == 3 and y == 11")
    with Problem(folder, section, threads=1) as problem:
        found = jerk(problem, Budget(states=2500))
        pressed = {problem.names[action] for action in found.path.tolist()}
    assert found.won and pressed <= {"Right", "Down", "Left", "Up"}


def test_brute_finds_the_optimum_of_a_small_game_in_time(folder: Path) -> None:
    with Problem(folder, change(WALK, win="x == 1 and y == 2", steps=6), threads=1) as problem:
        found = brute_search(problem, Budget(states=6000), seed=1)
    assert len(found.path) == 3


# -- drift -------------------------------------------------------------------------------------------------


def test_a_machine_that_drifts_is_refused_unless_that_is_allowed(tmp_path: Path) -> None:
    folder = walker.write_game(tmp_path / "windy", "windy")
    with pytest.raises(Unsupported, match="not deterministic"):
        Problem(folder, threads=1)
    random.seed(1)  # the wind that the search meets; the fresh process meets another
    with Problem(folder, threads=1, allow_drift=True) as problem:
        found = exhaustive(problem).prove(problem, tmp_path / "windy.fpm")
    assert found.won and found.verdict is not None and not found.verdict
    said = " ".join(found.notes)
    assert re.search(r"drift: the run wins; in 5 plays from the start it did so [0-4] times", said)
    assert "drift: the movie does not replay" in said


def test_a_run_that_needs_restored_states_is_no_run(tmp_path: Path) -> None:
    folder = walker.write_game(tmp_path / "forgetful", "forgetful")
    with Problem(folder, threads=1) as problem:
        found = exhaustive(problem)
        assert found.won
        with pytest.raises(SearchError, match="wins only from restored states"):
            found.prove(problem)
    with Problem(folder, threads=1, allow_drift=True) as problem:
        found = exhaustive(problem).prove(problem)
    assert "in 5 plays from the start it did so 0 times, the same each time" in found.notes[-1]


# -- in a terminal -----------------------------------------------------------------------------------------


def test_p_pauses_and_goes_on_by_the_edited_rules(folder: Path, tmp_path: Path) -> None:
    edit_game(folder, 'same = ["x", "y"]', 'same = ["x", "y", "frames"]\nsteps = 100000')
    edit_game(folder, "x == 8 and y == 2", "x == 88")
    main, side = pty.openpty()
    child = subprocess.Popen(
        [sys.executable, "-m", "frameperfect", "search", str(folder), "--threads", "1", "--out", "walk.fpm",
         "--method", "exhaustive"],
        cwd=tmp_path, stdin=side, stdout=side, stderr=side, start_new_session=True,
        preexec_fn=lambda: _take_terminal(), env=os.environ | {"TERM": "xterm", "COLUMNS": "150"},
    )  # fmt: skip
    os.close(side)
    screen = Screen(main)
    screen.wait_for("p pauses")
    os.write(main, b"p")
    screen.wait_for("paused; edit")
    edit_game(folder, "x == 88", "xx == 8")
    os.write(main, b"p")
    screen.wait_for("still paused, by the old rules")
    edit_game(folder, "xx == 8", "x == 5")
    os.write(main, b"p")
    screen.wait_for("Going on by the new rules.")
    screen.wait_for("replayed in a fresh process")
    assert child.wait(timeout=60) == 0
    assert load_movie(tmp_path / "walk.fpm").frames >= walker.shortest(5, 9)


def _take_terminal() -> None:
    import fcntl
    import termios

    fcntl.ioctl(0, termios.TIOCSCTTY, 0)


class Screen:
    """What came out of a terminal so far."""

    def __init__(self, descriptor: int) -> None:
        self.descriptor, self.text = descriptor, ""

    def wait_for(self, wanted: str) -> None:
        deadline = time.monotonic() + 120
        while wanted not in self.text:
            assert time.monotonic() < deadline, self.text[-3000:]
            if select.select([self.descriptor], [], [], 1)[0]:
                try:
                    self.text += os.read(self.descriptor, 1 << 16).decode(errors="replace")
                except OSError:
                    raise AssertionError(self.text[-3000:]) from None
        self.text = self.text.split(wanted, 1)[1]


# -- the pages ---------------------------------------------------------------------------------------------

PAGES = sorted((Path(__file__).parents[1] / "docs" / "methods").glob("*.md"))


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_the_numbered_details_of_a_method_point_at_what_is_there(page: Path) -> None:
    rows = re.findall(r"^\| (\d+) \|.*\| (`[^|]+`) \|$", page.read_text(), re.MULTILINE)
    assert rows and [int(number) for number, _ in rows] == list(range(1, len(rows) + 1))
    package = Path(frameperfect.__file__).parent
    for place in re.findall("`([^`]+)`", " ".join(where for _, where in rows)):
        if "/" in place:
            assert (package / place).is_file() or (package.parents[1] / place).is_file(), place
            continue
        module, *names = place.split(".")
        room = "frameperfect" if module == "expand" else "frameperfect.search"
        found = importlib.import_module(f"{room}.{module}")
        for name in names:
            found = getattr(found, name)
