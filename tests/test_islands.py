"""Islands tell each other what they find, miss one that dies, and come to the same result each time."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from frameperfect.errors import GameError, SearchError
from frameperfect.search import Problem, Progress, Result, exhaustive, go_explore, islands
from frameperfect.search.island import LocalIsland, Task
from frameperfect.search.islands import Archipelago
from tests import walker
from tests.components import need

BEST = walker.shortest(8, 2)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    with pytest.MonkeyPatch.context() as patch:
        site = str(walker.site(tmp_path_factory.mktemp("site")))
        patch.syspath_prepend(site)
        patch.setenv("PYTHONPATH", os.pathsep.join([site, os.environ.get("PYTHONPATH", "")]))
        yield walker.write_game(tmp_path_factory.mktemp("walk"), search=walker.SEARCH + "steps = 60\n")


def task(folder: Path, method: str = "go-explore", **settings: Any) -> Task:
    return Task(str(folder), "walk", method, threads=2, **{"states": 8_000, "seed": 1, **settings})


def facts(result: Result) -> tuple[Any, ...]:
    return result.won, result.path.tolist(), result.claim, result.states, result.failed, result.rules


@pytest.mark.parametrize("method", ["beam", "go-explore"])
def test_islands_come_to_the_same_result_each_time_and_it_is_proven(folder: Path, method: str) -> None:
    found = []
    for _ in range(2):
        with Archipelago(task(folder, method), 2) as sea:
            found.append(sea.run())
            assert not sea.lost
    assert facts(found[0]) == facts(found[1])
    assert found[0].won and found[0].claim.startswith("island ")
    with Problem(folder, threads=1) as problem:
        problem.take_rules(sea.masks)
        assert found[0].prove(problem).verdict
    if method == "beam":
        assert found[0].optimal and len(found[0].path) == BEST


def test_an_island_that_is_told_of_a_run_has_it_and_betters_it(folder: Path) -> None:
    with Problem(folder, threads=1) as problem:
        best = exhaustive(problem).path.tolist()
    for method in ("beam", "go-explore", "jerk", "brute"):
        island = LocalIsland(task(folder, method, states=200.0, width=2), None)
        island.answer()
        said = {"stopped": ""}
        island.ask("turn", [best], 1e9)
        while not (said := island.answer())["stopped"]:
            island.ask("turn", [], 1e9)
        island.close()
        assert said["result"]["won"] and len(said["result"]["path"]) <= len(best)


def test_an_island_that_is_killed_is_missed_and_the_others_go_on(folder: Path) -> None:
    heard: list[str] = []
    shown: list[Progress] = []

    def kill(now: Progress) -> None:
        shown.append(now)
        if not heard and 1 in sea.shores:
            os.kill(sea.shores[1]._child.pid, signal.SIGKILL)  # type: ignore[attr-defined]

    with Archipelago(task(folder, "jerk", states=3e4), 2) as sea:
        found = sea.run(kill, tell=heard.append)
    assert len(heard) == 1 and heard[0].startswith("island 2 died (SIGKILL)")
    assert heard[0].endswith("the others go on") and found.notes[0].startswith("island 2 died")
    assert shown[-1].islands[1] == "died" and "died" not in shown[-1].islands[0]
    assert found.states >= 1.5e4


def test_where_all_die_the_search_says_so(folder: Path) -> None:
    def kill(now: Progress) -> None:
        for shore in sea.shores.values():
            os.kill(shore._child.pid, signal.SIGKILL)  # type: ignore[attr-defined]

    said = pytest.raises(SearchError, match=r"all islands died: island 1 died \(SIGKILL\)")
    with Archipelago(task(folder, "jerk", states=1e9), 2) as sea, said:
        sea.run(kill)


def test_islands_stopped_and_gone_on_with_find_the_same(folder: Path, tmp_path: Path) -> None:
    with Archipelago(task(folder), 2) as sea:
        whole = sea.run()
    turns: list[Progress] = []
    kept = tmp_path / "kept.search"
    with Archipelago(task(folder), 2, checkpoint=kept) as sea:
        sea.run(turns.append, lambda: len(turns) >= 1)
    assert len(list(tmp_path.iterdir())) == 3
    with pytest.raises(SearchError, match="holds 2 islands; go on with --islands 2"):
        Archipelago(task(folder), 3, checkpoint=kept, resume=True)
    with Problem(folder, threads=1) as problem:
        with pytest.raises(SearchError, match="holds a search on islands; go on with --islands"):
            go_explore(problem, checkpoint=kept, resume=True)
        alone = tmp_path / "alone.search"
        go_explore(problem, stop=lambda: True, checkpoint=alone)
    with pytest.raises(SearchError, match="holds a search without islands; go on so"):
        Archipelago(task(folder), 2, checkpoint=alone, resume=True)
    alone.unlink()
    with Archipelago(task(folder), 2, checkpoint=kept, resume=True) as sea:
        assert facts(sea.run()) == facts(whole)
    islands.forget(kept)
    assert not list(tmp_path.iterdir())


def test_an_error_of_an_island_is_ours(folder: Path) -> None:
    with pytest.raises(GameError, match="has no start 'nowhere'"):
        Archipelago(task(folder, start="nowhere"), 2)


def test_the_command_searches_on_islands(folder: Path, tmp_path: Path) -> None:
    words = ["search", str(folder), "--islands", "2", "--out", "a.fpm"]
    command = [sys.executable, "-m", "frameperfect", *words]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert f"a.fpm: {BEST} frames" in done.stdout and "optimal" in done.stdout
    assert sorted(one.name for one in tmp_path.iterdir()) == ["a.fpm"]


# -- on a cluster ------------------------------------------------------------------------------------------


def test_islands_on_a_cluster_find_what_they_find_here(folder: Path, tmp_path: Path) -> None:
    need("ray")
    import ray

    with Archipelago(task(folder), 2) as sea:
        here = sea.run()
    there_too = {"env_vars": {"PYTHONPATH": os.environ["PYTHONPATH"]}}
    settings = {"include_dashboard": False, "log_to_driver": False, "runtime_env": there_too}
    ray.init(address="local", num_cpus=2, **settings)
    try:
        kept = tmp_path / "kept.search"
        with Archipelago(task(folder), 2, checkpoint=kept, cluster="auto") as sea:
            there = sea.run()
        assert facts(there) == facts(here)
        heard: list[str] = []

        def kill(now: Progress) -> None:
            if not heard and 0 in sea.shores:
                ray.kill(sea.shores[0]._actor)  # type: ignore[attr-defined]

        more = replace(task(folder), states=14_000.0)
        with Archipelago(more, 2, checkpoint=kept, resume=True, cluster="auto") as sea:
            found = sea.run(kill, tell=heard.append)
        assert len(heard) == 1 and heard[0].startswith("island 1 died")
        assert found.states > there.states / 2
    finally:
        ray.shutdown()
