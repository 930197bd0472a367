"""What names mean in a game's expressions: its variables, its definitions, and their running extremes."""

from __future__ import annotations

import re
from collections.abc import Mapping

from frameperfect.errors import GameError
from frameperfect.game import expression
from frameperfect.game.expression import Node
from frameperfect.memory import Variable

NAME = re.compile(r"[A-Za-z_]\w*")


class Definitions(expression.Scope):
    """Variables and definitions by name.

    Attributes:
        variables: a leaf for each.
        order: definitions and running extremes such as "highest(x)", each after those that it uses.
        nodes: the tree of each of `order`.
        first: the same at the first frame of an episode, where the step before is this one.
    """

    variables: dict[str, Node]
    order: list[str]
    nodes: dict[str, Node]
    first: dict[str, Node]

    def __init__(self, variables: Mapping[str, Variable], define: Mapping[str, str], where: str) -> None:
        """Raises GameError: an expression is wrong, or two refer to each other in a circle."""
        self.texts, self.where = define, where
        self.variables = {}
        for name, variable in variables.items():
            bounds = variable.bounds
            self.variables[name] = Node("now", (), "int", *bounds) if bounds else Node("now", (), "float")
        self.nodes, self.first, self.order = {}, {}, []
        self._open: list[str] = []
        for name in define:
            self.find(name)

    def parse(self, text: str, where: str) -> Node:
        """The tree of an expression about these names."""
        return expression.parse(text, self, where)

    def find(self, name: str) -> Node | None:
        """See `expression.Scope`; a definition is parsed when it is first used."""
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
        """See `expression.Scope`."""
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
        """See `expression.Scope`."""
        return [*self.variables, *self.texts]


def leaves(node: Node) -> set[tuple[str, str]]:
    """("now" or "prev", name) of every name that a tree reads."""
    if node.op in ("now", "prev"):
        return {(node.op, str(node.value))}
    return set().union(*(leaves(arg) for arg in node.args)) if node.args else set()
