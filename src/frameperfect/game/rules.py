"""A game's rules: memory in; reward, ends, info and features out. One definition, compiled twice.

Rules are evaluated once per agent step on the variables at its last frame. `Episode` runs them for one
environment in Python numbers, `BatchEpisode` for many in arrays, with equal results (`expression` says how).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from frameperfect.errors import GameError
from frameperfect.game import expression
from frameperfect.game.expression import ARRAY, SCALAR, Backend, Node
from frameperfect.memory import Domain, Layout, Variable

_NAME = re.compile(r"[A-Za-z_]\w*")

FeatureFunction = Callable[["View"], Any]
"""Of `features.py`: a view of the variables of N environments to (N,) or (N, k) numbers."""


class Script(Protocol):
    """Rules of one environment that are a program (an imported Lua script), with a state of its own."""

    def begin(self, values: Mapping[str, int | float]) -> None:
        """A new episode starts at these variables."""

    def step(self, values: Mapping[str, int | float]) -> tuple[float | None, bool | None]:
        """Reward and end of this step; None for what the script does not decide."""

    def values(self) -> dict[str, int | float]:
        """What the script adds to info."""

    def save(self) -> dict[str, Any]:
        """Its state as plain values."""

    def restore(self, state: Mapping[str, Any]) -> None:
        """Back to what `save` gave."""


class View:
    """What `features.py` sees of N environments: `view["x"]` and `view.prev["x"]` are (N,)."""

    def __init__(self, now: Mapping[str, NDArray[Any]], prev: Mapping[str, NDArray[Any]], size: int) -> None:
        self._now, self._size = now, size
        self.prev = prev

    def __getitem__(self, name: str) -> NDArray[Any]:
        return self._now[name]

    def __len__(self) -> int:
        return self._size


class Rules:
    """The compiled rules of a game on a machine with the given memory domains.

    Attributes:
        layout: the variables, in the order of the definition: all, or where `info` is given and neither
            `features.py` nor a script may look at the others, those that the rules or info name.
        features: names of the feature vector's entries.
        terms: names of the reward's terms.
    """

    layout: Layout
    features: tuple[str, ...]
    terms: tuple[str, ...]

    def __init__(
        self,
        variables: Mapping[str, Variable],
        domains: Mapping[str, Domain],
        *,
        define: Mapping[str, str] | None = None,
        reward: Mapping[str, str] | None = None,
        end: Mapping[str, str] | None = None,
        features: Sequence[str] = (),
        functions: Mapping[str, FeatureFunction] | None = None,
        info: Sequence[str] | None = None,
        script: Callable[[], Script] | None = None,
        where: str = "game.toml",
    ) -> None:
        """Compile the rules.

        Args:
            variables: by name.
            domains: the machine's.
            define: named expressions that the others may use.
            reward: the terms whose sum is the reward.
            end: expressions for any of `terminated`, `truncated`, `success`, `time`.
            features: expressions, or names of `functions`.
            functions: what `features.py` defines.
            info: the variables and defines that `values()` holds; None: all.
            script: makes the program, one an environment, that decides reward or end in their place.
            where: the file, for errors.

        Raises:
            GameError: an expression is wrong, or two refer to each other in a circle.
        """
        define, reward, end = define or {}, reward or {}, end or {}
        for name in info or ():
            if name not in variables and name not in define:
                known = ", ".join([*variables, *define])
                raise GameError(
                    f"{where}: [observation] info '{name}' is no variable or definition; there are {known}"
                )
        if info is not None and not functions and script is None:
            named = set(info)
            for text in [*define.values(), *reward.values(), *end.values(), *features]:
                named.update(_NAME.findall(text))
            variables = {name: variable for name, variable in variables.items() if name in named}
        self.layout = Layout(variables, domains)
        self.script = script
        program = _Program(self.layout.variables, define, where)
        self._program = program

        def number(text: str, key: str) -> Node:
            return expression.to_float(expression.number(program.parse(text, f"{where}: {key}")))

        terms = {name: number(text, f"[reward] {name}") for name, text in reward.items()}
        total, *rest = [*terms.values()] or [expression.constant(0.0)]
        for term in rest:
            total = expression.arithmetic("+", total, term)
        self.terms = tuple(terms)
        ends = {name: program.parse(text, f"{where}: [end] {name}") for name, text in end.items()}
        never, ways = expression.constant(False), ("terminated", "truncated", "success")
        outcomes = [total, *(expression.truth(ends.get(way, never)) for way in ways)]
        names: list[str] = []
        parts: list[Node] = []
        self._functions: list[tuple[int, FeatureFunction, int]] = []
        for text in features:
            if functions and text in functions:
                width = _width(text, functions[text], program, where)
                self._functions.append((len(names), functions[text], width))
                names += [text] if width == 0 else [f"{text}[{i}]" for i in range(width)]
                parts += [expression.constant(0.0)] * max(1, width)
            else:
                names.append(text)
                parts.append(number(text, f"[observation] features '{text}'"))
        self.features = tuple(names)
        time = [expression.number(ends["time"])] if "time" in ends else []
        self.timed = bool(time)
        defined = tuple((i, name) for i, name in enumerate(program.order) if name in program.texts)
        self._defines = tuple(name for _, name in defined)
        self._shown = tuple((i, name) for i, name in defined if info is None or name in info)
        self._shown_variables = tuple(
            (i, name) for i, name in enumerate(self.layout.variables) if info is None or name in info
        )
        self._shows_all = len(self._shown_variables) == len(self.layout.variables)
        self._scalar = program.compile(SCALAR, outcomes, list(terms.values()), parts, time)
        self._array = program.compile(ARRAY, outcomes, list(terms.values()), parts, time)

    @property
    def defines(self) -> tuple[str, ...]:
        """The names of the defines."""
        return self._defines

    def scalar(self) -> Episode:
        """The rules for one environment."""
        return Episode(self)

    def batch(self, size: int) -> BatchEpisode:
        """The rules for `size` environments at once."""
        return BatchEpisode(self, size)


class _Compiled:
    """The functions of one backend. What a step keeps for the next: the defines and the running extremes."""

    begin: Callable[..., tuple[Any, ...]]  # (now) -> kept
    step: Callable[..., tuple[Any, ...]]  # (now, prev, kept before, step) -> outcomes and the new kept
    terms: Callable[..., tuple[Any, ...]]  # (now, prev, kept before, kept, step)
    features: Callable[..., tuple[Any, ...]]
    time: Callable[..., tuple[Any, ...]]


class _Program(expression.Scope):
    """Variables and defines by name; a define is parsed when first used, so `order` is one of evaluation."""

    def __init__(self, variables: Mapping[str, Variable], define: Mapping[str, str], where: str) -> None:
        self.texts, self.where = define, where
        self.variables: dict[str, Node] = {}
        for name, variable in variables.items():
            bounds = variable.bounds
            self.variables[name] = Node("now", (), "int", *bounds) if bounds else Node("now", (), "float")
        self.nodes: dict[str, Node] = {}
        self.first: dict[str, Node] = {}
        self.order: list[str] = []
        self._open: list[str] = []
        for name in define:
            self.find(name)

    def parse(self, text: str, where: str) -> Node:
        return expression.parse(text, self, where)

    def find(self, name: str) -> Node | None:
        if name in self.variables:
            return self.variables[name]
        if name in self.nodes:
            return self.nodes[name]
        if name not in self.texts:
            return None
        if name in self._open:
            circle = " -> ".join([*self._open[self._open.index(name) :], name])
            raise GameError(f"{self.where}: [define] {name}: defined by itself ({circle})")
        self._open.append(name)
        node = self.parse(self.texts[name], f"{self.where}: [define] {name}")
        self._open.pop()
        self.nodes[name], self.first[name] = node, expression.previous_is_now(node)
        self.order.append(name)
        return node

    def extreme(self, which: str, name: str) -> Node:
        own = f"{which}({name})"
        if own not in self.nodes:
            of = self.find(name)
            assert of is not None
            now = expression.number(expression.name_node("now", name, of))
            before = expression.name_node("prev", own, now)
            self.nodes[own] = expression.extreme("max" if which == "highest" else "min", before, now)
            self.first[own] = now
            self.order.append(own)
        return expression.name_node("now", own, self.nodes[own])

    def names(self) -> list[str]:
        return [*self.variables, *self.texts]

    def compile(
        self,
        backend: Backend,
        outcomes: list[Node],
        terms: list[Node],
        features: list[Node],
        time: list[Node],
    ) -> _Compiled:
        names = {}
        for i, name in enumerate(self.variables):
            names["now", name], names["prev", name] = f"n{i}", f"p{i}"
        for i, name in enumerate(self.order):
            names["now", name], names["prev", name] = f"d{i}", f"q{i}"
        here = [expression.name_node("now", name, self.nodes[name]) for name in self.order]

        def unpack(nodes: Sequence[Node], defines: bool) -> list[tuple[str, Node | str]]:
            """Locals for the names that `nodes` (and the defines, where they are computed) mention."""
            used = set().union(*(_leaves(node) for node in nodes)) if nodes else set()
            variables = list(self.variables)
            lists = [("now", "now", variables), ("prev", "prev", variables), ("prev", "before", self.order)]
            if defines:
                lists.append(("now", "kept", self.order))
            return [
                (names[op, name], f"{source}[{i}]")
                for op, source, listed in lists
                for i, name in enumerate(listed)
                if (op, name) in used
            ]

        everything = ["now", "prev", "before", "kept", "step"]
        compiled = _Compiled()
        first = [(names["now", name], self.first[name]) for name in self.order]
        compiled.begin = expression.build(
            "begin", ["now"], [*unpack([n for _, n in first], False), *first], here, backend, names
        )
        each = [(names["now", name], self.nodes[name]) for name in self.order]
        compiled.step = expression.build(
            "step",
            ["now", "prev", "before", "step"],
            [*unpack([*outcomes, *(n for _, n in each)], False), *each],
            [*outcomes, *here],
            backend,
            names,
        )
        for key, nodes in (("terms", terms), ("features", features), ("time", time)):
            setattr(
                compiled, key, expression.build(key, everything, unpack(nodes, True), nodes, backend, names)
            )
        return compiled


def _leaves(node: Node) -> set[tuple[str, str]]:
    if node.op in ("now", "prev"):
        return {(node.op, str(node.value))}
    return set().union(*(_leaves(arg) for arg in node.args)) if node.args else set()


def _width(name: str, function: FeatureFunction, program: _Program, where: str) -> int:
    """0 for a function that gives (N,), k for one that gives (N, k); asked on two environments of zeros."""
    zeros = {n: np.zeros(2, np.int64) for n in (*program.variables, *program.texts)}
    try:
        shape = np.shape(function(View(zeros, zeros, 2)))
    except Exception as wrong:  # whatever the user's own function does
        raise GameError(f"{where}: features.py: {name}() fails on a batch of zeros: {wrong!r}") from wrong
    if len(shape) not in (1, 2) or shape[0] != 2:
        raise GameError(f"{where}: features.py: {name}() gives {shape} for N = 2; give (N,) or (N, k)")
    return shape[1] if len(shape) == 2 else 0


# -- one environment ---------------------------------------------------------------------------------------


class Episode:
    """The rules of one environment; rows are bytes-like of at least `layout.width` bytes."""

    success: bool

    def __init__(self, rules: Rules) -> None:
        self._rules = rules
        self._unpack = rules.layout.unpack
        self._rule = rules._scalar.step
        self._names = tuple(rules.layout.variables)
        self._script = rules.script() if rules.script else None
        zero = self._unpack(bytes(rules.layout.width))
        self._start(zero)

    def _start(self, now: tuple[int | float, ...]) -> None:
        self._now = self._prev = now
        self._kept = self._before = self._rules._scalar.begin(now)
        self._step = 0
        self.success = False

    def begin(self, row: Any) -> None:
        """A new episode starts at this row: the step before is this one."""
        self._start(self._unpack(row))
        if self._script is not None:
            self._script.begin(dict(zip(self._names, self._now, strict=True)))

    def step(self, row: Any) -> tuple[float, bool, bool]:
        """Reward, terminated and truncated of the step that ended at this row."""
        self._prev, self._now = self._now, self._unpack(row)
        self._before = self._kept
        self._step += 1
        reward, terminated, truncated, self.success, *kept = self._rule(
            self._now, self._prev, self._before, self._step
        )
        self._kept = tuple(kept)
        if self._script is not None:
            scripted, ended = self._script.step(dict(zip(self._names, self._now, strict=True)))
            reward = reward if scripted is None else scripted
            terminated = terminated if ended is None else ended
        return reward, terminated, truncated

    def _context(self) -> tuple[Any, ...]:
        return self._now, self._prev, self._before, self._kept, self._step

    def values(self) -> dict[str, int | float]:
        """Variables and defines now, by name (those that `info` names)."""
        now = self._now
        if self._rules._shows_all:
            values = dict(zip(self._names, now, strict=True))
        else:
            values = {name: now[place] for place, name in self._rules._shown_variables}
        for place, name in self._rules._shown:
            values[name] = self._kept[place]
        if self._script is not None:
            values.update(self._script.values())
        return values

    def terms(self) -> dict[str, float]:
        """What each term gave to the reward of the last step."""
        if not self._step:
            return dict.fromkeys(self._rules.terms, 0.0)
        return dict(zip(self._rules.terms, self._rules._scalar.terms(*self._context()), strict=True))

    def time(self) -> int | float | None:
        """The run's clock now, where the game has one."""
        return self._rules._scalar.time(*self._context())[0] if self._rules.timed else None

    def features(self) -> NDArray[np.float32]:
        """The feature vector now, (F,) float32."""
        out = np.array(self._rules._scalar.features(*self._context()), np.float32)
        if self._rules._functions:
            prev = self._named(self._prev, self._before)
            view = View(self._named(self._now, self._kept), prev, 1)
            for at, function, width in self._rules._functions:
                out[at : at + max(1, width)] = np.asarray(function(view)).reshape(-1)
        return out

    def _named(self, values: Sequence[Any], kept: Sequence[Any]) -> dict[str, NDArray[Any]]:
        pairs = [*zip(self._names, values, strict=True), *zip(self._rules._program.order, kept, strict=True)]
        return {name: np.array([value]) for name, value in pairs}

    def save(self) -> dict[str, Any]:
        """The episode's state as lists and numbers, for a clone of the environment."""
        state: dict[str, Any] = {
            "now": list(self._now), "prev": list(self._prev), "kept": list(self._kept),
            "before": list(self._before), "step": self._step, "success": self.success,
        }  # fmt: skip
        if self._script is not None:
            state["script"] = self._script.save()
        return state

    def restore(self, state: Mapping[str, Any]) -> None:
        """Go back to what `save` of the same rules gave."""
        self._now, self._prev = tuple(state["now"]), tuple(state["prev"])
        self._kept, self._before = tuple(state["kept"]), tuple(state["before"])
        self._step, self.success = int(state["step"]), bool(state["success"])
        if self._script is not None:
            self._script.restore(state["script"])


# -- many --------------------------------------------------------------------------------------------------


class BatchEpisode:
    """The rules of N environments; rows are (N, >= layout.width) uint8."""

    success: NDArray[np.bool_]

    def __init__(self, rules: Rules, size: int) -> None:
        self._rules, self.size = rules, size
        self._names = tuple(rules.layout.variables)
        self._scripts = [rules.script() for _ in range(size)] if rules.script else []
        self._step = np.zeros(size, np.int64)
        self.success = np.zeros(size, bool)
        self._now = self._prev = self._columns(np.zeros((size, rules.layout.width), np.uint8))
        with np.errstate(all="ignore"):
            self._kept = self._before = self._full(rules._array.begin(self._now))

    def _columns(self, rows: NDArray[np.uint8]) -> list[NDArray[Any]]:
        return list(self._rules.layout.decode(rows).values())

    def _full(self, values: Sequence[Any]) -> list[NDArray[Any]]:
        return [v if isinstance(v, np.ndarray) and v.ndim else np.full(self.size, v) for v in values]

    def begin(self, rows: NDArray[np.uint8], mask: NDArray[np.bool_]) -> None:
        """New episodes start at these rows where `mask` (N,) is set; the others stay as they are."""
        now = self._columns(rows)
        with np.errstate(all="ignore"):
            kept = self._full(self._rules._array.begin(now))
        if mask.all():
            self._now, self._prev, self._kept, self._before = now, now, kept, kept
        else:
            pick = [np.where(mask, new, old) for new, old in zip(now, self._now, strict=True)]
            self._prev = [np.where(mask, new, old) for new, old in zip(now, self._prev, strict=True)]
            self._now = pick
            pick = [np.where(mask, new, old) for new, old in zip(kept, self._kept, strict=True)]
            self._before = [np.where(mask, new, old) for new, old in zip(kept, self._before, strict=True)]
            self._kept = pick
        self._step = np.where(mask, 0, self._step)
        self.success = self.success & ~mask
        if self._scripts:
            for i in np.flatnonzero(mask).tolist():
                self._scripts[i].begin(self._row(i))

    def step(
        self, rows: NDArray[np.uint8]
    ) -> tuple[NDArray[np.float64], NDArray[np.bool_], NDArray[np.bool_]]:
        """Rewards, terminated and truncated, each (N,), of the step that ended at these rows."""
        self._prev, self._now = self._now, self._columns(rows)
        self._before = self._kept
        self._step = self._step + 1
        with np.errstate(all="ignore"):
            results = self._full(self._rules._array.step(self._now, self._prev, self._before, self._step))
        reward, terminated, truncated, self.success = results[:4]
        self._kept = results[4:]
        if self._scripts:
            reward, terminated = reward.copy(), terminated.copy()
            for i, script in enumerate(self._scripts):
                scripted, ended = script.step(self._row(i))
                reward[i] = reward[i] if scripted is None else scripted
                terminated[i] = terminated[i] if ended is None else ended
        return reward, terminated, truncated

    def _row(self, i: int) -> dict[str, int | float]:
        return {name: column[i].item() for name, column in zip(self._names, self._now, strict=True)}

    def _context(self) -> tuple[Any, ...]:
        return self._now, self._prev, self._before, self._kept, self._step

    def values(self) -> dict[str, NDArray[Any]]:
        """Variables and defines now (those that `info` names): name to (N,)."""
        values = {name: self._now[place] for place, name in self._rules._shown_variables}
        for place, name in self._rules._shown:
            values[name] = self._kept[place]
        if self._scripts:
            own = [script.values() for script in self._scripts]
            for name in sorted(set().union(*own)):
                values[name] = np.array([one.get(name, 0) for one in own])
        return values

    def terms(self) -> dict[str, NDArray[np.float64]]:
        """What each term gave to the rewards of the last step: name to (N,)."""
        with np.errstate(all="ignore"):
            terms = self._full(self._rules._array.terms(*self._context()))
        return {n: np.where(self._step > 0, v, 0.0) for n, v in zip(self._rules.terms, terms, strict=True)}

    def time(self) -> NDArray[Any] | None:
        """The runs' clocks now, (N,), where the game has one."""
        if not self._rules.timed:
            return None
        with np.errstate(all="ignore"):
            return self._full(self._rules._array.time(*self._context()))[0]

    def features(self, out: NDArray[np.float32] | None = None) -> NDArray[np.float32]:
        """The feature vectors now, (N, F) float32, written into `out` if given."""
        if out is None:
            out = np.empty((self.size, len(self._rules.features)), np.float32)
        with np.errstate(all="ignore"):
            for i, column in enumerate(self._rules._array.features(*self._context())):
                out[:, i] = column
        if self._rules._functions:
            names = [*self._names, *self._rules._program.order]
            now = dict(zip(names, [*self._now, *self._kept], strict=True))
            view = View(now, dict(zip(names, [*self._prev, *self._before], strict=True)), self.size)
            for at, function, width in self._rules._functions:
                out[:, at : at + max(1, width)] = np.asarray(function(view)).reshape(self.size, -1)
        return out

    def save(self, i: int) -> dict[str, Any]:
        """The state of environment `i`, as `Episode.save` gives it."""
        state: dict[str, Any] = {
            "now": [c[i].item() for c in self._now], "prev": [c[i].item() for c in self._prev],
            "kept": [c[i].item() for c in self._kept], "before": [c[i].item() for c in self._before],
            "step": int(self._step[i]), "success": bool(self.success[i]),
        }  # fmt: skip
        if self._scripts:
            state["script"] = self._scripts[i].save()
        return state

    def restore(self, i: int, state: Mapping[str, Any]) -> None:
        """Environment `i` back to what `save` of the same rules gave."""
        for key in ("now", "prev", "kept", "before"):
            fresh = [column.copy() for column in getattr(self, f"_{key}")]  # now and prev may share them
            for column, value in zip(fresh, state[key], strict=True):
                column[i] = value
            setattr(self, f"_{key}", fresh)
        self._step = self._step.copy()
        self._step[i] = state["step"]
        self.success = self.success.copy()
        self.success[i] = state["success"]
        if self._scripts:
            self._scripts[i].restore(state["script"])
