"""Searches in a hooked game: DDNet's server, whose states are kept in its own process."""

from __future__ import annotations

from pathlib import Path

import pytest

from frameperfect.game import load_game
from frameperfect.machines.native.machine import NativeMachine
from frameperfect.search import Budget, Problem, go_explore
from tests.components import need_program

need_program("DDNet-Server", "ddnet-server")


def test_go_explore_finds_its_way_and_its_run_replays_in_a_fresh_process(tmp_path: Path) -> None:
    section = load_game("DDNet-Race").search["race"].model_copy(update={"win": "travelled >= 40"})
    paths = []
    for threads in (1, 2):
        with Problem("DDNet-Race", section, threads=threads) as problem:
            result = go_explore(problem, Budget(states=3_000), seed=3)
            paths.append(result.path.tolist())
            if threads == 1:
                assert result.won
                result.prove(problem, tmp_path / "far.fpm")
                assert result.verdict is not None
                assert result.verdict.matched
    assert paths[0] == paths[1]


def test_lanes_of_an_exploration_go_on_without_playing_their_past_anew(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Each goes on from where it was a round ago, and that is still in a slot."""
    replays: list[int] = []
    replay = NativeMachine._replay

    def counted(machine: NativeMachine, past: bytes) -> None:
        replays.append(len(past))
        replay(machine, past)

    monkeypatch.setattr(NativeMachine, "_replay", counted)
    with Problem("DDNet-Race", "pit", threads=1) as problem:
        result = go_explore(problem, Budget(states=4_000), seed=0)
    assert result.states >= 4_000
    assert len(replays) < result.states / 8
