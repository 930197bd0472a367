"""The command `search` loses nothing: killed and gone on with, on a full disk, asked for what can't be."""

from __future__ import annotations

import os
import random
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from frameperfect import load_movie, verify
from frameperfect.errors import SearchError, Unsupported
from frameperfect.game.search_section import SearchSection
from frameperfect.machine import MachineSpec, open_machine
from frameperfect.movie import Movie, save_movie
from frameperfect.search import METHODS, Problem, exhaustive
from tests import mazes, walker
from tests.command_line import frameperfect
from tests.components import need
from tests.roms import ROMS

need("stable_retro")
DOOR = next(seed for seed in range(12) if mazes.shortest(mazes.with_door(seed)) is not None)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A maze with a door, and a slow way through it."""
    folder = mazes.write_game(tmp_path_factory.mktemp("maze"), mazes.with_door(DOOR))
    with Problem(folder, threads=1) as problem:
        rest = problem.names.index("noop")
        path = np.array([[rest, rest, action] for action in exhaustive(problem).path], np.uint32).ravel()
        save_movie(problem.movie(path), folder / "slow.fpm")
    return folder


@pytest.fixture(scope="module", autouse=True)
def _site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        site = str(walker.site(tmp_path_factory.mktemp("site")))
        patch.syspath_prepend(site)
        patch.setenv("PYTHONPATH", os.pathsep.join([site, os.environ.get("PYTHONPATH", "")]))
        yield


# -- killed ------------------------------------------------------------------------------------------------

KILLED = """
import os, signal, sys
from frameperfect.search import checkpoint, driver, generations
generations.BATCH = 30  # of which nothing depends but how soon the first is over
checkpoint.LEAST_PAUSE = 0
keep = driver.Driver._keep

def keep_once(self):
    keep(self)
    checkpoint.LEAST_PAUSE = 1e9
    self.checkpoint._due = 1e9
    expander, left = self.method.problem.expander, iter(range(2))
    expand = expander.expand
    def expand_or_die(*jobs):
        if next(left, None) is None:
            os.kill(os.getpid(), signal.SIGKILL)
        return expand(*jobs)
    expander.expand = expand_or_die

driver.Driver._keep = keep_once
from frameperfect.cli.app import run
sys.exit(run(sys.argv[1:]))
"""


@pytest.mark.parametrize("method", METHODS)
def test_a_search_killed_amid_a_batch_ends_as_one_that_never_was(
    method: str, folder: Path, tmp_path: Path
) -> None:
    states = 9_000 if method == "go-explore" else 2_500  # its batches are larger
    words = ["search", str(folder), "--method", method, "--budget", f"{states}states", "--seed", "3"]
    words += ["--threads", "2", "--movie", str(folder / "slow.fpm")][: 4 if method == "improve" else 2]
    killed = [sys.executable, "-c", KILLED, *words, "--out", "killed.fpm"]
    done = subprocess.run(killed, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == -signal.SIGKILL, done.stderr
    assert left_in(tmp_path) == [f"killed-{method}.search"]
    resumed = frameperfect(*words, "--out", "killed.fpm", "--resume", cwd=tmp_path)
    whole = frameperfect(*words, "--out", "whole.fpm", cwd=tmp_path)
    assert resumed.returncode == whole.returncode == 0, resumed.stderr
    assert said(resumed) == said(whole)
    one, other = load_movie(tmp_path / "killed.fpm"), load_movie(tmp_path / "whole.fpm")
    assert np.array_equal(one.inputs, other.inputs) and one.checkpoints == other.checkpoints
    assert verify(tmp_path / "killed.fpm", game=folder)


ISLANDS_KILLED = """
import os, signal, sys
from frameperfect.search import islands
islands.KEEP_SECONDS = 0
keep, exchange, kept = islands.Archipelago.keep, islands.Archipelago._exchange, []

def keep_and_note(self):
    keep(self)
    kept.append(self)

def exchange_or_die(self, *arguments):
    if len(kept) == 2:
        os.kill(os.getpid(), signal.SIGKILL)
    exchange(self, *arguments)

islands.Archipelago.keep, islands.Archipelago._exchange = keep_and_note, exchange_or_die
from frameperfect.cli.app import run
sys.exit(run(sys.argv[1:]))
"""


def test_islands_killed_amid_their_search_end_as_those_that_never_were(
    tmp_path: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = walker.write_game(tmp_path_factory.mktemp("walk"), search=walker.SEARCH + "steps = 60\n")
    words = ["search", str(folder), "--method", "go-explore", "--islands", "2", "--budget", "10000states"]
    killed = [sys.executable, "-c", ISLANDS_KILLED, *words, "--out", "killed.fpm"]
    done = subprocess.run(killed, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == -signal.SIGKILL, done.stderr
    resumed = frameperfect(*words, "--out", "killed.fpm", "--resume", cwd=tmp_path)
    whole = frameperfect(*words, "--out", "whole.fpm", cwd=tmp_path)
    assert resumed.returncode == whole.returncode == 0, resumed.stderr
    assert said(resumed) == said(whole)
    one, other = load_movie(tmp_path / "killed.fpm"), load_movie(tmp_path / "whole.fpm")
    assert np.array_equal(one.inputs, other.inputs)


def left_in(folder: Path) -> list[str]:
    """What lies in a folder, but for the home of commands that ran there."""
    return sorted(one.name for one in folder.iterdir() if one.name != "home")


def said(done: subprocess.CompletedProcess[str]) -> str:
    """What a search said of its result, but for names and times."""
    lines = [line for line in done.stdout.splitlines() if not line.startswith("round ")]
    text = "\n".join(lines).replace("killed", "whole")
    return re.sub(r" in \S+, \S+ states/s| at [\d,]+ frames/s", "", text)


IMPATIENT = """
import os, signal, sys
from frameperfect.search import checkpoint, driver, generations
generations.BATCH, checkpoint.LEAST_PAUSE = 30, 0
keep, advance = driver.Driver._keep, generations.Generations.advance

def advance_twice_interrupted(self):
    if os.path.exists("way-beam.search") or "never" in sys.argv[-1]:
        for _ in range(2):
            os.kill(os.getpid(), signal.SIGINT)
    advance(self)

generations.Generations.advance = advance_twice_interrupted
from frameperfect.cli.app import run
sys.exit(run(sys.argv[1:-1]))
"""


@pytest.mark.parametrize(
    ("when", "said"), [("later", "holds it as it was last kept"), ("never", "nothing is kept")]
)
def test_a_second_ctrl_c_does_not_wait_and_says_what_is_left(
    when: str, said: str, folder: Path, tmp_path: Path
) -> None:
    words = ["search", str(folder), "--threads", "1", "--out", "way.fpm", when]
    command = [sys.executable, "-c", IMPATIENT, *words]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert (
        done.returncode == 130
        and f"interrupted at once; {'' if when == 'never' else 'way-beam.search '}{said}" in done.stderr
    )
    if when == "later":
        again = frameperfect(*words[:-1], "--resume", cwd=tmp_path)
        assert again.returncode == 0 and "optimal: no run of fewer" in again.stdout


# -- a disk that is full -----------------------------------------------------------------------------------


@pytest.mark.parametrize("islands", [1, 2])
def test_where_a_search_can_not_be_kept_it_says_so_and_gives_its_result(
    islands: int, tmp_path: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = walker.write_game(tmp_path_factory.mktemp("walk"))
    words = ["search", folder, "--budget", "400states", "--islands", islands, "--out", "way.fpm"]
    words += ["--threads", 1]
    small = ["bash", "-c", 'ulimit -f 2; exec "$@"', "-", sys.executable, "-m", "frameperfect"]
    done = subprocess.run(
        [*small, *map(str, words)], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert "the search can't be kept in " in done.stdout
    assert "(File too large); nothing is kept yet" in done.stdout
    assert "--resume" not in done.stdout and "replayed in a fresh process" in done.stdout
    assert left_in(tmp_path) == ["way.fpm"]


# -- what can't be -----------------------------------------------------------------------------------------


def test_what_can_not_be_is_refused_before_anything_is_searched(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "a file").touch()
    for arguments, message in [
        (["--width", "8", "--method", "jerk"], "--width is for --method beam; jerk has none"),
        (["--method", "exhaustive", "--islands", "2"], "its proof needs all states in one place"),
        (["--method", "beam", "--policy", "x"], "--policy is for --method go-explore"),
        (["--method", "improve"], "--movie is for --method improve, which needs one"),
        (["--out", "way.txt"], "way.txt: '.txt' is no movie format; use .fpm, .fm2, .bk2"),
        (["--out", "a file/way.fpm"], "a file"),
        (["--demonstrations", "way.csv"], "demonstrations are an .npz file"),
        (["--movie", "none.fpm", "--method", "improve"], "none.fpm: can't be read"),
        (["--resume"], "Maze-Nes-way-begin-beam.search: no search to go on with; begin one without --resume"),
        (["--budget", "5m,2"], "'2' is no budget; write 90s, 2m, 1h, 4GiB or 1e6states"),
    ]:
        done = frameperfect("search", folder, *arguments, cwd=tmp_path)
        assert done.returncode == 2 and message in done.stderr and done.stderr.count("\n") == 1, done.stderr
        assert "states/s" not in done.stdout
    assert left_in(tmp_path) == ["a file"]


def test_nothing_is_replaced_unless_that_is_wished(folder: Path, tmp_path: Path) -> None:
    words = ["search", folder, "--threads", 1, "--budget", "150states", "--out", "way.fpm"]
    assert frameperfect(*words, cwd=tmp_path).returncode == 0
    before = (tmp_path / "way.fpm").read_bytes()
    kept = (tmp_path / "way-beam.search").read_bytes()
    done = frameperfect(*words, cwd=tmp_path)
    assert done.returncode == 2
    assert "way-beam.search holds a search that stopped, and --resume goes on with it" in done.stderr
    (tmp_path / "way-beam.search").unlink()
    done = frameperfect(*words, cwd=tmp_path)
    assert done.returncode == 2 and "way.fpm exists already" in done.stderr and "--force" in done.stderr
    assert (tmp_path / "way.fpm").read_bytes() == before
    assert frameperfect(*words, "--force", cwd=tmp_path).returncode == 0
    # A search of another game under that name is no beginning of this one.
    (tmp_path / "way-beam.search").write_bytes(kept)
    walk = walker.write_game(tmp_path / "walk")
    done = frameperfect("search", walk, "--out", "way.fpm", "--resume", cwd=tmp_path)
    assert done.returncode == 2
    assert "belongs to another search: its game was Maze-Nes and is Walk" in done.stderr
    assert (tmp_path / "way-beam.search").read_bytes() == kept


# -- drift -------------------------------------------------------------------------------------------------


def test_a_machine_that_only_says_that_it_is_deterministic_is_refused(tmp_path: Path) -> None:
    folder = walker.write_game(tmp_path / "lying", "lying")
    for threads in (1, 2):
        with pytest.raises(
            Unsupported, match="says that it is deterministic, and 1 frames of the same inputs"
        ):
            Problem(folder, threads=threads)
    with Problem(folder, threads=1, allow_drift=True):
        pass


def test_a_core_whose_first_state_is_not_whole_is_refused_there_and_taken_later(tmp_path: Path) -> None:
    # picodrive's state of a console just switched on lacks a frame where the core has run before.
    rom = ROMS["Genesis"].write(tmp_path)
    search = SearchSection(prefer="step", same=["step"], steps=3, actions=["", "Left"])
    game = f'[game]\nname = "Sum"\nsystem = "Genesis"\nrom = {{ file = "{rom.name}" }}\n'
    (tmp_path / "game.toml").write_text(game)
    with pytest.raises(Unsupported, match="if this is power-on, begin at a start some frames later"):
        Problem(tmp_path, search, threads=1)
    with open_machine(MachineSpec("libretro", rom)) as machine:
        idle = Movie(controllers=machine.controllers, inputs=np.zeros((10, 2), np.uint32), game="Sum")
        save_movie(idle.with_checkpoints(machine), tmp_path / "awake.fpm")
    (tmp_path / "game.toml").write_text(game + '[start.awake]\nmovie = "awake.fpm"\n')
    with Problem(tmp_path, search, threads=2) as problem:
        assert exhaustive(problem).prove(problem).verdict


def test_a_run_that_drifted_on_its_way_is_not_given_out(tmp_path: Path) -> None:
    # Near the start it is as it says; where it drifts a search has been already.
    folder = walker.write_game(tmp_path / "sly", "sly")
    random.seed(2)
    with Problem(folder, threads=1) as problem:
        found = exhaustive(problem)
        assert found.won
        with pytest.raises(SearchError, match=r"not deterministic.*--allow-drift"):
            found.prove(problem, tmp_path / "run.fpm")
    assert left_in(tmp_path) == ["sly"]
