"""Named expressions of a game's language over a batch of states, where each state knows the one before it.

`Rules` follows N environments through time. Here time branches: many states come from one, so nothing is kept
inside; `step` takes what the state before knew and gives what this one knows.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from frameperfect.game import expression
from frameperfect.game.definitions import NAME, Definitions, leaves
from frameperfect.game.expression import Node
from frameperfect.layout import Layout
from frameperfect.memory import Domain, Variable

Column = NDArray[Any]


@dataclass(frozen=True, slots=True)
class Known:
    """What N states know of themselves: the variables now, and the definitions and running extremes."""

    now: list[Column]
    kept: list[Column]

    def take(self, places: NDArray[Any]) -> Known:
        """Those at `places`, in that order."""
        return Known([c[places] for c in self.now], [c[places] for c in self.kept])

    @staticmethod
    def join(parts: Sequence[Known]) -> Known:
        """One after the other."""
        nows = zip(*(part.now for part in parts), strict=True)
        kepts = zip(*(part.kept for part in parts), strict=True)
        return Known([np.concatenate(c) for c in nows], [np.concatenate(c) for c in kepts])


class Formulas:
    """Compiled expressions. `layout` holds the variables that they need: the first bytes of a row."""

    layout: Layout
    kinds: dict[str, str]
    """"bool", "int" or "float", by the formula's name."""

    def __init__(
        self,
        texts: Mapping[str, str],
        variables: Mapping[str, Variable],
        domains: Mapping[str, Domain],
        define: Mapping[str, str],
        where: str,
        conditions: Sequence[str] = (),
    ) -> None:
        """Compile `texts`, expressions by name; those in `conditions` become truth values.

        Raises:
            GameError: an expression is wrong; names `where`, the formula and the column.
        """
        # Variables and definitions that no formula leads to cost nothing.
        needed, open_ = set[str](), [*texts.values()]
        while open_:
            for name in NAME.findall(open_.pop()):
                if name not in needed:
                    needed.add(name)
                    open_ += [define[name]] if name in define else []
        every = Definitions(variables, define, where)  # mistakes and suggestions are about all of them
        for name, text in texts.items():
            every.parse(text, f"{where}: {name}")
        used = {name: text for name, text in define.items() if name in needed}
        program = Definitions({n: v for n, v in variables.items() if n in needed}, used, where)
        self.layout = Layout({n: v for n, v in variables.items() if n in needed}, domains)
        nodes: list[Node] = []
        for name, text in texts.items():
            node = program.parse(text, f"{where}: {name}")
            nodes.append(expression.truth(node) if name in conditions else node)
        self._names = tuple(texts)
        self.kinds = {name: node.kind for name, node in zip(texts, nodes, strict=True)}
        self._begin, self._each = _compile(program, nodes)

    def begin(self, rows: NDArray[np.uint8]) -> tuple[dict[str, Column], Known]:
        """The formulas' values at starts, where the state before is the state itself; and what is known."""
        now = list(self.layout.decode(rows).values())
        with np.errstate(all="ignore"):
            kept = self._full(self._begin(now), len(rows))
        values, _ = self._step(now, Known(now, kept), np.zeros((), np.int64), len(rows))
        return values, Known(now, kept)

    def step(
        self, rows: NDArray[np.uint8], before: Known, step: int | NDArray[np.int64]
    ) -> tuple[dict[str, Column], Known]:
        """The values of (N, K) rows that came from the N states `before`; name to (N,).

        `step` is the number of each row's step, or (N,) of them.
        """
        now = list(self.layout.decode(rows).values())
        return self._step(now, before, np.asarray(step, np.int64), len(rows))

    def _step(
        self, now: list[Column], before: Known, step: NDArray[np.int64], size: int
    ) -> tuple[dict[str, Column], Known]:
        with np.errstate(all="ignore"):
            results = self._full(self._each(now, before.now, before.kept, step), size)
        count = len(self._names)
        return dict(zip(self._names, results[:count], strict=True)), Known(now, results[count:])

    @staticmethod
    def _full(values: Sequence[Any], size: int) -> list[Column]:
        return [v if isinstance(v, np.ndarray) and v.ndim else np.full(size, v) for v in values]


def _compile(
    definitions: Definitions, results: list[Node]
) -> tuple[Callable[..., tuple[Any, ...]], Callable[..., tuple[Any, ...]]]:
    """(now) to the definitions at a start; (now, prev, before, step) to the results and the definitions."""
    variables, order = list(definitions.variables), definitions.order
    names = {}
    for i, name in enumerate(variables):
        names["now", name], names["prev", name] = f"n{i}", f"p{i}"
    for i, name in enumerate(order):
        names["now", name], names["prev", name] = f"d{i}", f"q{i}"
    here = [expression.name_node("now", name, definitions.nodes[name]) for name in order]
    sources = [("now", "now", variables), ("prev", "prev", variables), ("prev", "before", order)]

    def unpack(nodes: Sequence[Node]) -> list[tuple[str, Node | str]]:
        """Locals for the names that `nodes` mention."""
        used = set().union(*(leaves(node) for node in nodes))
        return [
            (names[op, name], f"{source}[{i}]")
            for op, source, listed in sources
            for i, name in enumerate(listed)
            if (op, name) in used
        ]

    first = [(names["now", name], definitions.first[name]) for name in order]
    each = [(names["now", name], definitions.nodes[name]) for name in order]
    begin = expression.build("begin", ["now"], [*unpack([node for _, node in first]), *first], here, names)
    step = expression.build(
        "step",
        ["now", "prev", "before", "step"],
        [*unpack([*results, *(node for _, node in each)]), *each],
        [*results, *here],
        names,
    )
    return begin, step
