"""Rules: rewards, ends, features, and their state, for one environment and for many."""

from __future__ import annotations

import json
import struct

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from frameperfect.errors import GameError
from frameperfect.game.rules import Rules, View
from frameperfect.memory import Domain, Variable

VARIABLES = {
    "x": Variable("x", 0, "<u2"),
    "lives": Variable("lives", 2),
    "clock": Variable("clock", 3),
}
DOMAINS = {"ram": Domain("ram", 16)}


def make(**more: object) -> Rules:
    return Rules(
        VARIABLES, DOMAINS,
        define={"died": "lives < prev.lives", "won": "x >= 1000"},
        reward={"progress": "max(delta(x), 0) * 0.1", "death": "-10 * died"},
        end={"terminated": "died or won", "truncated": "step >= 5", "success": "won", "time": "clock / 60"},
        features=["x", "delta(x)", "died"],
        **more,
    )  # type: ignore[arg-type]  # fmt: skip


def row(x: int, lives: int = 3, clock: int = 0) -> bytes:
    return struct.pack("<HBB", x, lives, clock)


def test_an_episode_gives_rewards_ends_info_and_features() -> None:
    episode = make().scalar()
    episode.begin(row(100))
    assert episode.values() == {"x": 100, "lives": 3, "clock": 0, "died": False, "won": False}
    assert episode.step(row(150)) == (5.0, False, False)
    assert episode.step(row(140, lives=2, clock=30)) == (-10.0, True, False)
    assert episode.terms() == {"progress": 0.0, "death": -10.0}
    assert episode.time() == 0.5
    assert not episode.success
    assert episode.features().tolist() == [140.0, -10.0, 1.0]
    assert episode.features().dtype == np.float32
    episode.begin(row(990))
    assert episode.step(row(1000)) == (1.0, True, False)
    assert episode.success


def test_a_new_episode_does_not_see_the_last_one() -> None:
    episode = make().scalar()
    episode.begin(row(0, lives=3))
    episode.step(row(500, lives=3))
    episode.begin(row(0, lives=1))
    assert episode.values()["died"] is False
    assert episode.terms() == {"progress": 0.0, "death": 0.0}
    assert episode.step(row(0, lives=1)) == (0.0, False, False)


def test_a_batch_starts_only_the_masked_environments_anew() -> None:
    batch = make().batch(2)
    rows = np.frombuffer(row(0) + row(10), np.uint8).reshape(2, 4)
    batch.begin(rows, np.ones(2, bool))
    later = np.frombuffer(row(100) + row(20), np.uint8).reshape(2, 4)
    batch.step(later)
    batch.begin(np.frombuffer(row(7) + row(99), np.uint8).reshape(2, 4), np.array([True, False]))
    assert batch.values()["x"].tolist() == [7, 20]
    reward, terminated, truncated = batch.step(np.frombuffer(row(8) + row(40), np.uint8).reshape(2, 4))
    assert np.allclose(reward, [0.1, 2.0])
    assert (reward.dtype, terminated.dtype, truncated.dtype) == (np.float64, bool, bool)
    for _ in range(3):
        _, _, truncated = batch.step(later)
    assert truncated.tolist() == [False, True]


@given(st.lists(st.lists(st.binary(min_size=4, max_size=4), min_size=3, max_size=3), min_size=4, max_size=10))
@settings(max_examples=50, deadline=None)
def test_an_episode_goes_on_from_a_saved_state_as_it_went_on_before(steps: list[list[bytes]]) -> None:
    rules = make()
    batch, single = rules.batch(3), rules.scalar()
    arrays = [np.frombuffer(b"".join(step), np.uint8).reshape(3, 4) for step in steps]
    batch.begin(arrays[0], np.ones(3, bool))
    single.begin(steps[0][1])
    batch.step(arrays[1])
    single.step(steps[1][1])
    saved = json.loads(json.dumps(batch.save(1)))
    assert saved == json.loads(json.dumps(single.save()))
    futures = []
    for attempt in range(2):
        if attempt:
            batch.step(arrays[0])
            batch.restore(1, saved)
            single.restore(saved)
            assert batch.success[1] == single.success
        future = []
        for step, array in zip(steps[2:], arrays[2:], strict=True):
            outcome = single.step(step[1])
            assert outcome == tuple(part[1] for part in batch.step(array))
            future.append((outcome, single.features().tolist(), single.values()))
        futures.append(future)
    assert futures[0] == futures[1]


class _Odd:
    """A script: a step to an odd x pays 5 and ends."""

    def begin(self, values: dict[str, int | float]) -> None:
        self._begun = values["x"]

    def step(self, values: dict[str, int | float]) -> tuple[float | None, bool | None]:
        odd = values["x"] % 2 == 1
        return (5.0, True) if odd else (None, None)

    def values(self) -> dict[str, int | float]:
        return {"begun": self._begun}

    def save(self) -> dict[str, object]:
        return {}

    def restore(self, state: dict[str, object]) -> None:
        pass


@pytest.mark.parametrize("how", ["plain", "features", "script"])
@given(data=st.data(), late=st.booleans())
@settings(max_examples=30, deadline=None)
def test_players_of_one_machine_are_told_by_name_what_a_batch_is_told(
    how: str, data: st.DataObject, late: bool
) -> None:
    more: dict[str, object] = {}
    if how == "features":
        more = {"functions": {"died": lambda view: np.stack([view["x"], view.prev["x"]], 1)}}
    if how == "script":
        more = {"script": _Odd}
    rules, count = make(**more), 3
    batch, other = rules.batch(count), rules.batch(count)
    memory = np.zeros(32, np.uint8)
    place = st.lists(st.integers(0, 31), min_size=4, max_size=4)
    turn = np.array(data.draw(st.lists(place, min_size=3, max_size=3)))
    names = ["a", "b", "c"]
    players = other.players(memory, turn, names)
    for one in (batch, other):
        one.begin(memory[turn], np.ones(count, bool))
    playing = data.draw(st.lists(st.integers(0, 2), unique=True))
    players.seat(playing)
    for _ in range(3):
        memory[:] = np.frombuffer(data.draw(st.binary(min_size=32, max_size=32)), np.uint8)
        paid, ended, cut = batch.step(memory[turn])
        told = players.step(late)
        features = batch.features()
        for part, wanted in zip(told, (features, paid, ended, cut | ~ended if late else cut), strict=False):
            assert {name: np.asarray(value).tolist() for name, value in part.items()} == {
                names[i]: wanted[i].tolist() for i in playing
            }
        facts = {names[i]: batch.one(i) | {"success": bool(batch.success[i])} for i in playing}
        assert told[4] == facts
        over = [bool(ended[i] or cut[i] or late) for i in playing]
        assert (players.won, players.over) == (any(batch.success[playing]), any(over))


def test_players_must_fit_their_machine() -> None:
    batch = make().batch(2)
    memory, turn = np.zeros(8, np.uint8), np.arange(8).reshape(2, 4)
    for wrong, names in ((turn + 1, "ab"), (turn - 1, "ab"), (turn, "abc"), (turn[:, :3].copy(), "ab")):
        with pytest.raises((IndexError, ValueError)):
            batch.players(memory, wrong, list(names))
    with pytest.raises(IndexError, match="no such player"):
        batch.players(memory, turn, ["a", "b"]).seat([2])


def test_python_features_stand_beside_expressions() -> None:
    def corners(view: View) -> np.ndarray:
        return np.stack([view["x"], view["x"] - view.prev["x"]], axis=1)

    def half(view: View) -> np.ndarray:
        return view["x"] / 2

    rules = Rules(VARIABLES, DOMAINS, features=["corners", "lives", "half"],
                  functions={"corners": corners, "half": half})  # fmt: skip
    assert rules.features == ("corners[0]", "corners[1]", "lives", "half")
    episode, batch = rules.scalar(), rules.batch(2)
    episode.begin(row(10))
    batch.begin(np.frombuffer(row(10) * 2, np.uint8).reshape(2, 4), np.ones(2, bool))
    episode.step(row(14))
    batch.step(np.frombuffer(row(14) * 2, np.uint8).reshape(2, 4))
    assert episode.features().tolist() == [14, 4, 3, 7]
    assert batch.features().tolist() == [[14, 4, 3, 7]] * 2


def test_a_python_feature_of_the_wrong_shape_is_named() -> None:
    with pytest.raises(GameError, match=r"features.py: bad\(\) gives \(\) for N = 2"):
        Rules(VARIABLES, DOMAINS, features=["bad"], functions={"bad": lambda view: 3})


def test_a_game_without_rules_never_ends_and_pays_nothing() -> None:
    episode = Rules({}, DOMAINS).scalar()
    episode.begin(b"")
    assert episode.step(b"") == (0.0, False, False)
    assert episode.features().shape == (0,)
    batch = Rules({}, DOMAINS).batch(2)
    batch.begin(np.zeros((2, 0), np.uint8), np.ones(2, bool))
    assert [part.tolist() for part in batch.step(np.zeros((2, 0), np.uint8))] == [
        [0, 0],
        [False] * 2,
        [False] * 2,
    ]


def test_info_holds_what_the_game_names_and_rows_only_what_the_rules_read() -> None:
    rules = Rules(
        VARIABLES, DOMAINS, define={"died": "fell(lives)"}, reward={"dx": "delta(x)"}, info=["died"]
    )
    assert list(rules.layout.variables) == ["x", "lives"]
    rows = [struct.pack("<HB", 100, 3), struct.pack("<HB", 107, 2)]
    episode, batch = rules.scalar(), rules.batch(1)
    episode.begin(rows[0])
    assert episode.step(rows[1])[0] == 7.0
    assert episode.values() == {"died": True}
    batch.begin(np.frombuffer(rows[0], np.uint8)[None], np.array([True]))
    batch.step(np.frombuffer(rows[1], np.uint8)[None])
    assert {name: column.tolist() for name, column in batch.values().items()} == {"died": [True]}


def test_info_of_an_unknown_name_is_refused() -> None:
    with pytest.raises(GameError, match="info 'y' is no variable or definition; there are x, lives, clock"):
        make(info=["x", "y"])
