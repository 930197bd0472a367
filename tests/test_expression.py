"""Expressions mean the same for one environment and for many, and wrong ones say what is wrong."""

from __future__ import annotations

import math
import struct
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from frameperfect.errors import GameError
from frameperfect.game.formulas import Formulas
from frameperfect.game.rules import Rules
from frameperfect.memory import Domain, Variable

VARIABLES = {
    "x": Variable("x", 0, "<u2"),
    "y": Variable("y", 2, ">i4"),
    "small": Variable("small", 6, "u1"),
    "wide": Variable("wide", 7, "<i8"),
    "fixed": Variable("fixed", 15, "<i2", scale=256),
    "real": Variable("real", 17, "<f8"),
    "flag": Variable("flag", 25, bit=3),
}
DOMAINS = {"ram": Domain("ram", 32)}
WIDTH = 26

leaves = st.one_of(
    st.sampled_from([*VARIABLES, *(f"prev.{n}" for n in VARIABLES), "step"]),
    st.sampled_from(
        [f"{f}({n})" for f in ("delta", "changed", "rose", "fell", "highest", "lowest") for n in VARIABLES]
    ),
    st.integers(0, 300).map(str),
    st.sampled_from(
        ("0", "0.0", "0.5", "1e300", "9007199254740993", "9223372036854775807", "1e-320", "True")
    ),
)


OPERATORS = ("+", "-", "*", "/", "//", "%", "and", "or", "<", "<=", "==", "!=", ">", ">=")
SHAPES = [
    *(f"(@ {op} @)" for op in OPERATORS),
    *("(@ < @ <= @)", "(@ if @ else @)", "min(@, @, @)", "max(@, @)", "clip(@, @, @)", "(@)**3", "(@)**1"),
    *("abs(@)", "sign(@)", "floor(@)", "sqrt(@)", "(not @)", "(-@)", "(+@)"),
]


@st.composite
def expressions(draw: st.DrawFn) -> str:
    """A random expression: holes are filled with shapes that have holes, and in the end with leaves."""
    text = "@"
    for shape in draw(st.lists(st.sampled_from(SHAPES), max_size=8)):
        text = text.replace("@", shape, 1) if draw(st.booleans()) else shape.replace("@", text, 1)
    while "@" in text:
        text = text.replace("@", draw(leaves), 1)
    return text


rows = st.binary(min_size=WIDTH, max_size=WIDTH)


def same(one: Any, other: Any) -> bool:
    return one == other or (math.isnan(one) and math.isnan(other))


@given(
    st.lists(expressions(), min_size=1, max_size=3), st.lists(st.tuples(rows, rows), min_size=2, max_size=4)
)
@settings(max_examples=150, deadline=None)
def test_the_native_program_of_one_environment_or_many_computes_what_numpy_does(
    texts: list[str], steps: list[tuple[bytes, bytes]]
) -> None:
    define = {f"d{i}": text for i, text in enumerate(texts)}
    rules = Rules(
        VARIABLES, DOMAINS, define=define, reward={"r": "d0", "s": "delta(d0)"},
        end={"terminated": "d0", "time": "d0"}, features=["d0", "prev.d0"],
    )  # fmt: skip
    asked = {**{name: name for name in (*VARIABLES, *define)}, "ended": "not not d0", "was": "0 + prev.d0",
             "s": "delta(d0)"}  # fmt: skip
    oracle = Formulas(asked, VARIABLES, DOMAINS, define, "oracle")
    batch = rules.batch(2)
    single = [rules.scalar(), rules.scalar()]
    for number, pair in enumerate(steps):
        array = np.frombuffer(b"".join(pair), np.uint8).reshape(2, WIDTH)
        mine = array[:, np.concatenate([np.arange(at, at + n) for at, n in _places(oracle)])]
        if number == 0:
            expected, known = oracle.begin(mine)
            batch.begin(array, np.ones(2, bool))
            for episode, row in zip(single, pair, strict=True):
                episode.begin(row)
        else:
            expected, known = oracle.step(mine, known, number)
            reward, terminated, _ = batch.step(array)
            with np.errstate(all="ignore"):
                paid = expected["d0"] * 1.0 + expected["s"]
            for i, (episode, row) in enumerate(zip(single, pair, strict=True)):
                one, ended, _ = episode.step(row)
                assert same(one, reward[i]) and same(one, paid[i])
                assert ended == terminated[i] == expected["ended"][i]
                assert same(episode.terms()["s"], batch.terms()["s"][i])
                assert same(episode.terms()["s"], expected["s"][i])
        values, features = batch.values(), batch.features()
        for i, episode in enumerate(single):
            for name, value in episode.values().items():
                assert same(value, values[name][i]) and same(value, expected[name][i]), name
                assert isinstance(value, type(expected[name][i].item()))
            assert same(episode.time(), expected["d0"][i])
            assert np.array_equal(features[i], episode.features(), equal_nan=True)
            with np.errstate(over="ignore"):
                shown = np.array([expected["d0"][i], expected["was"][i]]).astype(np.float32)
            assert np.array_equal(features[i], shown, equal_nan=True)


def _places(oracle: Formulas) -> list[tuple[int, int]]:
    """Where the oracle's variables lie in a row of all variables."""
    widths = {name: variable.parsed.width for name, variable in VARIABLES.items()}
    ends = dict(zip(widths, np.cumsum(list(widths.values())).tolist(), strict=True))
    return [(ends[name] - widths[name], widths[name]) for name in oracle.layout.variables]


def value(text: str, x: int = 0, previous: int = 0, **define: str) -> Any:
    rules = Rules({"x": Variable("x", 0, "<i2")}, DOMAINS, define={**define, "result": text})
    episode = rules.scalar()
    episode.begin(struct.pack("<h", previous))
    episode.step(struct.pack("<h", x))
    return episode.values()["result"]


@pytest.mark.parametrize(
    ("text", "x", "previous", "expected"),
    [
        ("x / 4", 6, 0, 1.5),
        ("x // 4", -1, 0, -1),
        ("x % 4", -1, 0, 3),
        ("7 / x + 7 // x + 7 % x", 0, 0, 0),
        ("sqrt(x)", -9, 0, 0.0),
        ("2 * x**2 - 1", 3, 0, 17),
        ("-x**2", 3, 0, -9),
        ("not x", 0, 0, True),
        ("1 < x < 5", 5, 0, False),
        ("x == 3 or x == 4", 4, 0, True),
        ("10 * (x > 2)", 3, 0, 10),
        ("(x & 0b110) >> 1 | 8", 7, 0, 11),
        ("~x", 0, 0, -1),
        ("delta(x)", 5, 3, 2),
        ("prev.x", 5, 3, 3),
        ("changed(x) + rose(x) * 2 + fell(x) * 4", 2, 3, 5),
        ("highest(x) - lowest(x)", 9, 4, 5),
        ("x if step > 1 else -x", 9, 4, -9),
        ("clip(x, 0, 3) + abs(-2) + sign(x)", 9, 0, 6),
        ("floor(x / 2)", -3, 0, -2.0),
    ],
)
def test_an_expression_means_what_it_says(text: str, x: int, previous: int, expected: float) -> None:
    assert value(text, x, previous) == expected
    formulas = Formulas({"result": text}, {"x": Variable("x", 0, "<i2")}, DOMAINS, {}, "formulas")
    _, known = formulas.begin(np.frombuffer(struct.pack("<h", previous), np.uint8)[None])
    by_numpy, _ = formulas.step(np.frombuffer(struct.pack("<h", x), np.uint8)[None], known, 1)
    assert by_numpy["result"].tolist() == [expected]


def test_defines_use_each_other_in_any_order_and_have_a_past() -> None:
    assert value("far - prev.far", 7, 2, far="near + 10", near="x * 2") == 10
    assert value("delta(best)", 3, 5, best="highest(x)") == 0


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("speeed + 1", r"column 1: no variable or define 'speeed'. Did you mean 'speed'\?"),
        ("1 + prev.speeed", "column 5: no variable or define 'speeed'"),
        ("maximum(x, 1)", "no function 'maximum'"),
        ("x.real", r"a dot is only for 'prev.x'"),
        ("__import__('os')", "no function '__import__'"),
        ("x.__class__.__mro__", "a dot is only"),
        ("[x for x in (1, 2)]", "ListComp is not part"),
        ("lambda: 1", "Lambda is not part"),
        ("(y := 3)", "NamedExpr is not part"),
        ("x[0]", "Subscript is not part"),
        ("'text'", "'text'\" is no number|is no number"),
        ("f'{x}'", "is not part of the expression language"),
        ("x is 1", "'Is' is not part"),
        ("9**9**9", "an exponent is a whole number from 0 to 16"),
        ("2**x", "an exponent is a whole number"),
        ("1 << x", "the shift could be -32768 to 32767; keep it within 0 to 63"),
        ("x / 2 & 1", "'&' works on integers"),
        ("~(x > 1)", "write 'not'"),
        ("1e999", "too large"),
        ("x +", "invalid syntax"),
        ("x\x00", "nested too deeply|null bytes|invalid"),
        ("clip(x, 1)", "takes 3 argument"),
        ("delta(x + 1)", "takes the name of a variable or define"),
        ("min(*x)", "plain arguments only"),
        ("(" * 150 + "x" + ")" * 150 + "+" * 100 + "x", "too deep|nested|too long"),
        ("-" * 1900 + "x", "too deep|nested"),
        ("x" * 3000, "3000 characters"),
        ("+".join(["x"] * 900), "too long or too deep"),
        ("other", "defined by itself"),
    ],
)
def test_a_wrong_expression_names_place_and_mend(text: str, message: str) -> None:
    with pytest.raises(GameError, match=message) as raised:
        Rules(
            {"x": Variable("x", 0, "<i2"), "speed": Variable("speed", 2)}, DOMAINS,
            define={"other": "result + 1" if text == "other" else "1", "result": text}, where="my/game.toml",
        )  # fmt: skip
    assert str(raised.value).startswith("my/game.toml: [define] ")
    assert "\n" not in str(raised.value)


def test_a_number_that_could_leave_64_bits_is_computed_as_a_float() -> None:
    assert value("x * 9223372036854775807", 2) == 2.0 * 9223372036854775807
    assert isinstance(value("x * 9223372036854775807", 2), float)
    assert isinstance(value("x * x * x", 2), int)
