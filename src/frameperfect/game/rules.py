"""A game's rules: memory in; reward, ends, info and features out.

Rules are evaluated once per agent step on the variables at its last frame, as one native program
(`program`). `Episode` follows one environment, `BatchEpisode` many.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from frameperfect._native import RuleEpisodes, RuleNames, RulePlayers
from frameperfect.errors import GameError
from frameperfect.game import expression
from frameperfect.game.definitions import NAME, Definitions
from frameperfect.game.expression import Node
from frameperfect.game.program import Place, compile_program
from frameperfect.layout import Layout
from frameperfect.memory import Domain, Variable

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
                named.update(NAME.findall(text))
            variables = {name: variable for name, variable in variables.items() if name in named}
        self.layout = Layout(variables, domains)
        self.script = script
        definitions = Definitions(self.layout.variables, define, where)

        def number(text: str, key: str) -> Node:
            return expression.to_float(expression.number(definitions.parse(text, f"{where}: {key}")))

        terms = {name: number(text, f"[reward] {name}") for name, text in reward.items()}
        total, *rest = [*terms.values()] or [expression.constant(0.0)]
        for term in rest:
            total = expression.arithmetic("+", total, term)
        self.terms = tuple(terms)
        ends = {name: definitions.parse(text, f"{where}: [end] {name}") for name, text in end.items()}
        never, ways = expression.constant(False), ("terminated", "truncated", "success")
        outcomes = [total, *(expression.truth(ends.get(way, never)) for way in ways)]
        names: list[str] = []
        parts: list[Node] = []
        self._functions: list[tuple[int, FeatureFunction, int]] = []
        for text in features:
            if functions and text in functions:
                width = _width(text, functions[text], definitions, where)
                self._functions.append((len(names), functions[text], width))
                names += [text] if width == 0 else [f"{text}[{i}]" for i in range(width)]
                parts += [expression.constant(0.0)] * max(1, width)
            else:
                names.append(text)
                parts.append(number(text, f"[observation] features '{text}'"))
        self.features = tuple(names)
        time = expression.number(ends["time"]) if "time" in ends else None
        self.timed = time is not None
        self._program = program = compile_program(
            definitions, self.layout, outcomes, list(terms.values()), parts, time
        )
        self._defines = tuple(name for name in definitions.order if name in define)
        shown = [*self.layout.variables, *self._defines]
        self._info = {name: program.now[name] for name in shown if info is None or name in info}
        self._shown = _names(self._info)
        self._every_variable = _names({name: program.now[name] for name in self.layout.variables})
        self._paid = _names(dict(zip(self.terms, program.terms, strict=True)))
        self._told = _names({"time": program.time} if program.time is not None else {})

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


def _names(places: Mapping[str, Place]) -> RuleNames:
    return RuleNames([(name, place.register, place.kind) for name, place in places.items()])


def _width(name: str, function: FeatureFunction, definitions: Definitions, where: str) -> int:
    """0 for a function that gives (N,), k for one that gives (N, k); asked on two environments of zeros."""
    zeros = {n: np.zeros(2, np.int64) for n in (*definitions.variables, *definitions.texts)}
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
        self._state = _State(rules, 1)
        self._run, self._names = self._state.run, rules._shown
        self._features = np.empty((1, len(rules.features)), np.float32)
        self._script = rules.script() if rules.script else None
        self._steps = 0
        self.success = False

    def begin(self, row: Any) -> None:
        """A new episode starts at this row: the step before is this one."""
        self._run.begin(row)
        self._steps, self.success = 0, False
        if self._script is not None:
            self._script.begin(self._variables())

    def step(self, row: Any) -> tuple[float, bool, bool]:
        """Reward, terminated and truncated of the step that ended at this row."""
        reward, terminated, truncated, self.success = self._run.step_one(row)
        self._steps += 1
        if self._script is not None:
            scripted, ended = self._script.step(self._variables())
            reward = reward if scripted is None else scripted
            terminated = terminated if ended is None else ended
        return reward, terminated, truncated

    def _variables(self) -> dict[str, int | float]:
        values: dict[str, int | float] = self._run.read(self._rules._every_variable, 0)
        return values

    def values(self) -> dict[str, int | float]:
        """Variables and defines now, by name (those that `info` names)."""
        values: dict[str, int | float] = self._run.read(self._names, 0)
        if self._script is not None:
            values.update(self._script.values())
        return values

    def terms(self) -> dict[str, float]:
        """What each term gave to the reward of the last step."""
        if not self._steps:
            return dict.fromkeys(self._rules.terms, 0.0)
        self._run.run_terms()
        terms: dict[str, float] = self._run.read(self._rules._paid, 0)
        return terms

    def time(self) -> int | float | None:
        """The run's clock now, where the game has one."""
        if not self._rules.timed:
            return None
        self._run.run_time()
        time: int | float = self._run.read(self._rules._told, 0)["time"]
        return time

    def features(self) -> NDArray[np.float32]:
        """The feature vector now, (F,) float32."""
        self._run.features(self._features)
        self._state.look(self._features)
        seen: NDArray[np.float32] = self._features[0].copy()
        return seen

    def save(self) -> dict[str, Any]:
        """The episode's state as lists and numbers, for a clone of the environment."""
        state = self._state.save(0)
        state |= {"step": self._steps, "success": self.success}
        if self._script is not None:
            state["script"] = self._script.save()
        return state

    def restore(self, state: Mapping[str, Any]) -> None:
        """Go back to what `save` of the same rules gave."""
        self._state.restore(0, state)
        self._steps, self.success = int(state["step"]), bool(state["success"])
        if self._script is not None:
            self._script.restore(state["script"])


# -- many --------------------------------------------------------------------------------------------------


class BatchEpisode:
    """The rules of N environments; rows are (N, >= layout.width) uint8."""

    success: NDArray[np.bool_]

    def __init__(self, rules: Rules, size: int) -> None:
        self._rules, self.size = rules, size
        self._state = _State(rules, size)
        self._run, self._program = self._state.run, rules._program
        self._scripts = [rules.script() for _ in range(size)] if rules.script else []
        self.success = np.zeros(size, bool)

    def begin(self, rows: NDArray[np.uint8], mask: NDArray[np.bool_]) -> None:
        """New episodes start at these rows where `mask` (N,) is set; the others stay as they are."""
        self._run.begin(np.ascontiguousarray(rows), mask)
        self.success = self.success & ~mask
        if self._scripts:
            for i in np.flatnonzero(mask).tolist():
                self._scripts[i].begin(self._variables(i))

    def step(
        self, rows: NDArray[np.uint8]
    ) -> tuple[NDArray[np.float64], NDArray[np.bool_], NDArray[np.bool_]]:
        """Rewards, terminated and truncated, each (N,), of the step that ended at these rows."""
        reward, outcomes = np.empty(self.size), np.empty((3, self.size), np.bool_)
        self._run.step(np.ascontiguousarray(rows), reward, outcomes)
        terminated, truncated, self.success = outcomes
        for i, script in enumerate(self._scripts):
            scripted, ended = script.step(self._variables(i))
            reward[i] = reward[i] if scripted is None else scripted
            terminated[i] = terminated[i] if ended is None else ended
        return reward, terminated, truncated

    def _variables(self, i: int) -> dict[str, int | float]:
        values: dict[str, int | float] = self._run.read(self._rules._every_variable, i)
        return values

    def values(self) -> dict[str, NDArray[Any]]:
        """Variables and defines now (those that `info` names): name to (N,)."""
        values = {name: self._state.column(place) for name, place in self._rules._info.items()}
        if self._scripts:
            own = [script.values() for script in self._scripts]
            for name in sorted(set().union(*own)):
                values[name] = np.array([one.get(name, 0) for one in own])
        return values

    def one(self, i: int) -> dict[str, int | float]:
        """`values` of environment `i`, as numbers."""
        values: dict[str, int | float] = self._run.read(self._rules._shown, i)
        if self._scripts:
            values.update(self._scripts[i].values())
        return values

    def players(self, memory: NDArray[np.uint8], turn: NDArray[np.intp], names: Sequence[str]) -> RulePlayers:
        """These environments as the players `names` of one machine, whose `memory` (M,) stays where it is and
        shows each its row `memory[turn[i]]`. Its steps are those of this object, which `begin` still begins;
        `success` here is of no use then.
        """
        look = self._state.look if self._rules._functions else None
        scripted = self._script_players if self._scripts else None
        return RulePlayers(self._run, memory, turn, list(names), self._rules._shown, scripted, look)

    def _script_players(self) -> list[dict[str, int | float]]:
        reward, terminated = (
            self._state.real[self._program.reward],
            self._state.whole[self._program.terminated],
        )
        for i, script in enumerate(self._scripts):
            scripted, ended = script.step(self._variables(i))
            reward[i] = reward[i] if scripted is None else scripted
            terminated[i] = terminated[i] if ended is None else ended
        return [script.values() for script in self._scripts]

    def terms(self) -> dict[str, NDArray[np.float64]]:
        """What each term gave to the rewards of the last step: name to (N,)."""
        self._run.run_terms()
        begun = self._state.steps > 0
        places = zip(self._rules.terms, self._program.terms, strict=True)
        return {name: np.where(begun, self._state.real[place.register], 0.0) for name, place in places}

    def time(self) -> NDArray[Any] | None:
        """The runs' clocks now, (N,), where the game has one."""
        if self._program.time is None:
            return None
        self._run.run_time()
        return self._state.column(self._program.time)

    def features(self, out: NDArray[np.float32] | None = None) -> NDArray[np.float32]:
        """The feature vectors now, (N, F) float32, written into `out` if given."""
        if out is None:
            out = np.empty((self.size, len(self._rules.features)), np.float32)
        self._run.features(out)
        self._state.look(out)
        return out

    def save(self, i: int) -> dict[str, Any]:
        """The state of environment `i`, as `Episode.save` gives it."""
        state = self._state.save(i)
        state |= {"step": int(self._state.steps[i]), "success": bool(self.success[i])}
        if self._scripts:
            state["script"] = self._scripts[i].save()
        return state

    def restore(self, i: int, state: Mapping[str, Any]) -> None:
        """Environment `i` back to what `save` of the same rules gave."""
        self._state.restore(i, state)
        self.success = self.success.copy()
        self.success[i] = state["success"]
        if self._scripts:
            self._scripts[i].restore(state["script"])


# -- what both keep ----------------------------------------------------------------------------------------


class _State:
    """The registers of N environments: (R, N), as whole numbers and as floats, where they lie."""

    def __init__(self, rules: Rules, size: int) -> None:
        program = rules._program
        self._program, self._functions = program, rules._functions
        self.run = RuleEpisodes(program.native, size)
        self.run.begin(np.zeros((size, rules.layout.width), np.uint8))
        self.whole, self.real = self.run.whole, self.run.real
        self.steps = self.whole[program.step]
        variables, names = list(rules.layout.variables), list(program.now)
        self._rows = [
            (key, [places[name] for name in part])
            for key, places, part in (
                ("now", program.now, variables), ("prev", program.before, variables),
                ("kept", program.now, names[len(variables) :]),
                ("before", program.before, names[len(variables) :]),
            )
        ]  # fmt: skip
        self._view = View(_Columns(self, program.now), _Columns(self, program.before), size)

    def column(self, place: Place) -> NDArray[Any]:
        """(N,): a copy of a register, of its kind."""
        if place.kind == "bool":
            truth: NDArray[np.bool_] = self.whole[place.register] != 0
            return truth
        numbers: NDArray[Any] = (self.real if place.kind == "float" else self.whole)[place.register].copy()
        return numbers

    def look(self, out: NDArray[np.float32]) -> None:
        """Put what `features.py` sees into its places of (N, F) features."""
        for at, function, width in self._functions:
            out[:, at : at + max(1, width)] = np.asarray(function(self._view)).reshape(len(out), -1)

    def save(self, i: int) -> dict[str, Any]:
        def number(place: Place) -> int | float | bool:
            value: int | float = (self.real if place.kind == "float" else self.whole)[
                place.register, i
            ].item()
            return bool(value) if place.kind == "bool" else value

        return {key: [number(place) for place in places] for key, places in self._rows}

    def restore(self, i: int, state: Mapping[str, Any]) -> None:
        for key, places in self._rows:
            for place, value in zip(places, state[key], strict=True):
                (self.real if place.kind == "float" else self.whole)[place.register, i] = value
        self.steps[i] = state["step"]


class _Columns(Mapping[str, NDArray[Any]]):
    """Registers by name as `features.py` sees them, (N,) each; to be looked at, not to be kept."""

    def __init__(self, state: _State, places: Mapping[str, Place]) -> None:
        self._places = places
        self._columns: dict[str, NDArray[Any]] = {}
        for name, place in places.items():
            column = (state.real if place.kind == "float" else state.whole)[place.register]
            column.flags.writeable = False
            self._columns[name] = column

    def __getitem__(self, name: str) -> NDArray[Any]:
        column = self._columns[name]
        return column != 0 if self._places[name].kind == "bool" else column

    def __iter__(self) -> Iterator[str]:
        return iter(self._columns)

    def __len__(self) -> int:
        return len(self._columns)
