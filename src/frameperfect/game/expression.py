"""The expressions of a `game.toml`: parsed by a whitelist; compiled for NumPy's arrays here.

Text goes through `ast.parse` once, and every node of it is checked and turned into a `Node` of ours; this
compiler and that of native programs (`program`) see only that tree, so nothing a file says is ever evaluated.

Values are truth values, int64 or float64, decided before anything runs: the range of every integer is known
from the type of the variables in it, and an operation whose result could leave 64 bits is done in floats. So
all of them give the numbers that Python's unbounded integers would:

- a truth value in arithmetic counts as 0 or 1; `and`, `or` and `not` take any number (0 is false)
- `/` gives a float; dividing by zero, with `/`, `//` or `%`, gives 0; the root of a negative number is 0
- `**` takes a whole constant from 0 to 16; shifts take counts that are surely between 0 and 63
- `x if c else y`, chains such as `0 < x < 9`, and the functions of `FUNCTIONS`
- `prev.x` is `x` at the step before, `step` the number of steps since the episode began
"""

from __future__ import annotations

import ast
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from frameperfect.errors import GameError
from frameperfect.game.suggest import did_you_mean

Kind = Literal["bool", "int", "float"]

MAX_TEXT, MAX_NODES, MAX_DEPTH = 2000, 500, 50
INT64 = -(1 << 63), (1 << 63) - 1
_EXACT = 1 << 53  # integers up to here are exact as floats

FUNCTIONS = {
    "min": "the least of two or more",
    "max": "the greatest of two or more",
    "abs": "abs(x)",
    "clip": "clip(x, low, high)",
    "sign": "sign(x): -1, 0 or 1",
    "floor": "floor(x)",
    "sqrt": "sqrt(x)",
    "delta": "delta(x): x - prev.x",
    "changed": "changed(x): x != prev.x",
    "rose": "rose(x): x > prev.x",
    "fell": "fell(x): x < prev.x",
    "highest": "highest(x): the greatest x since the episode began",
    "lowest": "lowest(x): the least x since the episode began",
}
_OF_NAMES = ("delta", "changed", "rose", "fell", "highest", "lowest")


@dataclass(frozen=True, slots=True)
class Node:
    """One operation; leaves are `const`, `step`, and `now` or `prev` of a name.

    `low` and `high` bound an integer's or a truth value's values.
    """

    op: str
    args: tuple[Node, ...] = ()
    kind: Kind = "int"
    low: int = 0
    high: int = 0
    value: int | float | bool | str = 0


def name_node(op: str, name: str, like: Node) -> Node:
    """The leaf that reads `name`, now or at the step before, of the kind and range of `like`."""
    if like.op == "const":
        return like
    return Node(op, (), like.kind, like.low, like.high, name)


def constant(value: int | float | bool) -> Node:
    """A constant leaf."""
    if isinstance(value, bool):
        return Node("const", (), "bool", int(value), int(value), value)
    if isinstance(value, int) and INT64[0] <= value <= INT64[1]:
        return Node("const", (), "int", value, value, value)
    return Node("const", (), "float", 0, 0, float(value))


# -- text to tree ------------------------------------------------------------------------------------------

_ARITHMETIC = {ast.Add: "+", ast.Sub: "-", ast.Mult: "*", ast.Div: "/", ast.FloorDiv: "//", ast.Mod: "%"}
_BITS = {ast.BitAnd: "&", ast.BitOr: "|", ast.BitXor: "^", ast.LShift: "<<", ast.RShift: ">>"}
_COMPARE = {ast.Lt: "<", ast.LtE: "<=", ast.Gt: ">", ast.GtE: ">=", ast.Eq: "==", ast.NotEq: "!="}


class Scope:
    """What names mean to an expression."""

    def find(self, name: str) -> Node | None:
        """A node of the kind and range of the variable or define `name`; None if there is none."""
        raise NotImplementedError

    def extreme(self, which: str, name: str) -> Node:
        """The leaf that reads `highest(name)` or `lowest(name)`."""
        raise NotImplementedError

    def names(self) -> list[str]:
        """Every name that `find` knows, for suggestions."""
        raise NotImplementedError


def parse(text: str, scope: Scope, where: str) -> Node:
    """The tree of an expression.

    Raises:
        GameError: it is none, or says what the language has not; names `where`, the column and the fix.
    """
    return _Parser(text, scope, where).parse()


class _Parser:
    def __init__(self, text: str, scope: Scope, where: str) -> None:
        self.text, self.scope, self.where = text, scope, where
        self.nodes = 0

    def parse(self) -> Node:
        if len(self.text) > MAX_TEXT:
            raise GameError(
                f"{self.where}: {len(self.text)} characters; split it with [define] (at most {MAX_TEXT})"
            )
        try:
            tree = ast.parse(self.text.strip(), mode="eval").body
        except SyntaxError as wrong:
            column = f", column {wrong.offset}" if wrong.offset else ""
            raise GameError(f"{self.where}{column}: {wrong.msg} in '{_short(self.text)}'") from None
        except (RecursionError, MemoryError, ValueError):
            raise GameError(
                f"{self.where}: '{_short(self.text)}' is nested too deeply; use [define]"
            ) from None
        return self.node(tree, 0)

    def wrong(self, tree: ast.AST, what: str) -> GameError:
        column = getattr(tree, "col_offset", 0) + 1
        return GameError(f"{self.where}, column {column}: {what}")

    def node(self, tree: ast.AST, depth: int) -> Node:
        self.nodes += 1
        if depth > MAX_DEPTH or self.nodes > MAX_NODES:
            raise self.wrong(tree, "this is too long or too deep; split it with [define]")
        if isinstance(tree, ast.Constant):
            return self.constant(tree)
        if isinstance(tree, ast.Name):
            return self.name(tree, tree.id)
        if isinstance(tree, ast.Attribute):
            if not (isinstance(tree.value, ast.Name) and tree.value.id == "prev"):
                raise self.wrong(tree, "a dot is only for 'prev.x', the value of x at the step before")
            return name_node("prev", tree.attr, self.find(tree, tree.attr))
        if isinstance(tree, ast.UnaryOp):
            return self.unary(tree, self.node(tree.operand, depth + 1))
        if isinstance(tree, ast.BinOp):
            return self.binary(tree, self.node(tree.left, depth + 1), self.node(tree.right, depth + 1))
        if isinstance(tree, ast.BoolOp):
            op = "and" if isinstance(tree.op, ast.And) else "or"
            parts = [truth(self.node(value, depth + 1)) for value in tree.values]
            return fold(Node(op, tuple(parts), "bool", 0, 1))
        if isinstance(tree, ast.Compare):
            return self.compare(tree, depth)
        if isinstance(tree, ast.IfExp):
            test = truth(self.node(tree.test, depth + 1))
            one, other = alike(self.node(tree.body, depth + 1), self.node(tree.orelse, depth + 1))
            low, high = min(one.low, other.low), max(one.high, other.high)
            return fold(Node("if", (test, one, other), one.kind, low, high))
        if isinstance(tree, ast.Call):
            return self.call(tree, depth)
        raise self.wrong(tree, f"{type(tree).__name__} is not part of the expression language")

    def constant(self, tree: ast.Constant) -> Node:
        value = tree.value
        if isinstance(value, (bool, int, float)):
            try:
                node = constant(value)
            except OverflowError:
                raise self.wrong(tree, "this number is too large") from None
            if isinstance(node.value, float) and not math.isfinite(node.value):
                raise self.wrong(tree, "this number is too large")
            return node
        raise self.wrong(tree, f"{_short(repr(value))} is no number")

    def name(self, tree: ast.AST, name: str) -> Node:
        if name == "step" and self.scope.find(name) is None:
            return Node("step", (), "int", 0, 1 << 48)
        if name in ("true", "false") and self.scope.find(name) is None:
            return constant(name == "true")
        return name_node("now", name, self.find(tree, name))

    def find(self, tree: ast.AST, name: str) -> Node:
        found = self.scope.find(name)
        if found is None:
            known = [*self.scope.names(), *FUNCTIONS, "prev", "step"]
            hint = (
                did_you_mean(name, known)
                or f" There are {_short(', '.join(self.scope.names()), 200) or 'none'}."
            )
            raise self.wrong(tree, f"no variable or define '{name}'.{hint}")
        return found

    def unary(self, tree: ast.UnaryOp, arg: Node) -> Node:
        if isinstance(tree.op, ast.Not):
            return fold(Node("not", (truth(arg),), "bool", 0, 1))
        if isinstance(tree.op, ast.Invert):
            if arg.kind != "int":
                raise self.wrong(tree, "'~' turns the bits of an integer; for a truth value write 'not'")
            return fold(Node("~", (arg,), "int", ~arg.high, ~arg.low))
        arg = number(arg)
        if isinstance(tree.op, ast.UAdd):
            return arg
        return arithmetic("-", constant(0), arg)

    def binary(self, tree: ast.BinOp, left: Node, right: Node) -> Node:
        op = type(tree.op)
        if op in _ARITHMETIC:
            return arithmetic(_ARITHMETIC[op], left, right)
        if op in _BITS:
            return self.bits(tree, _BITS[op], left, right)
        if op is ast.Pow:
            exponent = right.value
            if right.op != "const" or right.kind != "int" or not 0 <= int(exponent) <= 16:
                raise self.wrong(
                    tree.right, "an exponent is a whole number from 0 to 16; for roots there is sqrt(x)"
                )
            result = constant(1)
            base = number(left)
            for _ in range(int(exponent)):
                result = arithmetic("*", result, base)
            if result.kind == "float":
                base = to_float(base)
            power = Node("**", (base, right), result.kind, result.low, result.high)
            return fold(power) if int(exponent) else result
        raise self.wrong(tree, f"'{type(tree.op).__name__}' is not part of the expression language")

    def bits(self, tree: ast.BinOp, op: str, left: Node, right: Node) -> Node:
        if "float" in (left.kind, right.kind):
            raise self.wrong(
                tree, f"'{op}' works on integers, and one side is a float; divide with '//' instead of '/'"
            )
        if op in "&|^" and left.kind == right.kind == "bool":
            return fold(Node(op, (left, right), "bool", 0, 1))
        left, right = number(left), number(right)
        if op in "&|^":
            if op == "&" and (left.low >= 0 or right.low >= 0):
                return fold(
                    Node(op, (left, right), "int", 0, min(n.high for n in (left, right) if n.low >= 0))
                )
            size = max(max(n.high, ~n.low).bit_length() for n in (left, right))
            low = 0 if min(left.low, right.low) >= 0 else -(1 << size)
            return fold(Node(op, (left, right), "int", low, (1 << size) - 1))
        if not 0 <= right.low <= right.high <= 63:
            raise self.wrong(
                tree.right,
                f"the shift could be {right.low} to {right.high}; keep it within 0 to 63 with clip(x, 0, 63)",
            )
        ends = [
            (v << s) if op == "<<" else v >> s for v in (left.low, left.high) for s in (right.low, right.high)
        ]
        if not (INT64[0] <= min(ends) and max(ends) <= INT64[1]):
            raise self.wrong(tree, "the shifted number could leave 64 bits")
        return fold(Node(op, (left, right), "int", min(ends), max(ends)))

    def compare(self, tree: ast.Compare, depth: int) -> Node:
        ops = []
        for op in tree.ops:
            if type(op) not in _COMPARE:
                raise self.wrong(
                    tree, f"'{type(op).__name__}' is not part of the expression language; use == or !="
                )
            ops.append(_COMPARE[type(op)])
        args = [number(self.node(arg, depth + 1)) for arg in (tree.left, *tree.comparators)]
        if any(arg.kind == "float" for arg in args):
            args = [to_float(arg) if wide(arg) else arg for arg in args]
        return fold(Node("compare", tuple(args), "bool", 0, 1, " ".join(ops)))

    def call(self, tree: ast.Call, depth: int) -> Node:
        name = tree.func.id if isinstance(tree.func, ast.Name) else ""
        if name not in FUNCTIONS:
            shown = name or ast.unparse(tree.func)[:40]
            known = ", ".join(FUNCTIONS)
            raise self.wrong(
                tree, f"no function '{shown}'.{did_you_mean(shown, FUNCTIONS)} There are {known}."
            )
        if tree.keywords or any(isinstance(arg, ast.Starred) for arg in tree.args):
            raise self.wrong(tree, f"{name}() takes plain arguments only: {FUNCTIONS[name]}")
        wanted = {"min": (2, 16), "max": (2, 16), "clip": (3, 3)}.get(name, (1, 1))
        if not wanted[0] <= len(tree.args) <= wanted[1]:
            raise self.wrong(
                tree, f"{name}() takes {wanted[0]} argument(s), not {len(tree.args)}: {FUNCTIONS[name]}"
            )
        if name in _OF_NAMES:
            return self.of_name(tree, name)
        args = [number(self.node(arg, depth + 1)) for arg in tree.args]
        if name in ("min", "max"):
            result = args[0]
            for arg in args[1:]:
                result = extreme(name, result, arg)
            return result
        if name == "clip":
            return extreme("min", extreme("max", args[0], args[1]), args[2])
        arg = args[0]
        if name == "abs":
            if arg.kind == "int" and arg.low == INT64[0]:
                arg = to_float(arg)
            low = 0 if arg.low <= 0 <= arg.high else min(abs(arg.low), abs(arg.high))
            return fold(Node("abs", (arg,), arg.kind, low, max(abs(arg.low), abs(arg.high))))
        if name == "sign":
            return fold(Node("sign", (arg,), "int", -1, 1))
        if name == "floor":
            return arg if arg.kind == "int" else fold(Node("floor", (arg,), "float"))
        return fold(Node("sqrt", (arg,), "float"))

    def of_name(self, tree: ast.Call, function: str) -> Node:
        arg = tree.args[0]
        if not isinstance(arg, ast.Name):
            raise self.wrong(
                arg, f"{function}() takes the name of a variable or define; put the rest into [define]"
            )
        found = self.find(arg, arg.id)
        if function in ("highest", "lowest"):
            return self.scope.extreme(function, arg.id)
        now, prev = (number(name_node(op, arg.id, found)) for op in ("now", "prev"))
        if function == "delta":
            return arithmetic("-", now, prev)
        op = {"changed": "!=", "rose": ">", "fell": "<"}[function]
        return Node("compare", (now, prev), "bool", 0, 1, op)


def _short(text: str, limit: int = 60) -> str:
    return text if len(text) <= limit else text[:limit] + "…"


# -- kinds and ranges --------------------------------------------------------------------------------------


def wide(node: Node) -> bool:
    """Whether an integer may be too large to be exact as a float."""
    return node.kind == "int" and (node.low < -_EXACT or node.high > _EXACT)


def truth(node: Node) -> Node:
    """`node` as a truth value."""
    return node if node.kind == "bool" else fold(Node("bool", (node,), "bool", 0, 1))


def number(node: Node) -> Node:
    """`node` as an integer or a float."""
    return fold(Node("int", (node,), "int", node.low, node.high)) if node.kind == "bool" else node


def to_float(node: Node) -> Node:
    """`node` as a float."""
    return node if node.kind == "float" else fold(Node("float", (node,), "float"))


def alike(one: Node, other: Node) -> tuple[Node, Node]:
    """Both in the wider of their kinds."""
    if one.kind == other.kind:
        return one, other
    if "float" in (one.kind, other.kind):
        return to_float(one), to_float(other)
    return number(one), number(other)


def extreme(which: str, one: Node, other: Node) -> Node:
    """`min` or `max` of two numbers."""
    one, other = alike(number(one), number(other))
    choose = min if which == "min" else max
    return fold(Node(which, (one, other), one.kind, choose(one.low, other.low), choose(one.high, other.high)))


def arithmetic(op: str, left: Node, right: Node) -> Node:
    """`left op right`, in floats where an integer result could leave 64 bits."""
    left, right = number(left), number(right)
    ints = left.kind == right.kind == "int"
    if op == "/":
        if ints and (wide(left) or wide(right)):
            left, right = to_float(left), to_float(right)
        return fold(Node(op, (left, right), "float"))
    low = high = 0
    if ints:
        if op == "+":
            low, high = left.low + right.low, left.high + right.high
        elif op == "-":
            low, high = left.low - right.high, left.high - right.low
        elif op == "*":
            ends = [x * y for x in (left.low, left.high) for y in (right.low, right.high)]
            low, high = min(ends), max(ends)
        elif op == "//":
            size = max(-left.low, left.high)
            low, high = (0, size) if left.low >= 0 and right.low >= 0 else (-size, size)
        else:
            low, high = min(0, right.low + 1), max(0, right.high - 1)
        if low < INT64[0] or high > INT64[1]:
            left, right, ints, low, high = to_float(left), to_float(right), False, 0, 0
    return fold(Node(op, (left, right), "int" if ints else "float", low, high))


def fold(node: Node) -> Node:
    """A constant in place of an operation on constants."""
    if not node.args or any(arg.op != "const" for arg in node.args):
        return node
    with np.errstate(all="ignore"):
        value = build("f", [], [], [node], {})()[0].item()
    return (
        Node("const", (), node.kind, int(value), int(value), value)
        if node.kind != "float"
        else constant(value)
    )


def previous_is_now(node: Node) -> Node:
    """The tree at the first frame of an episode, where the step before is this one and `step` is 0."""
    if node.op == "prev":
        return name_node("now", str(node.value), node)
    if node.op == "step":
        return constant(0)
    args = tuple(previous_is_now(arg) for arg in node.args)
    return fold(Node(node.op, args, node.kind, node.low, node.high, node.value))


# -- tree to function --------------------------------------------------------------------------------------
# Templates of Python source that works on arrays. {0}… are the arguments, {t} and {u}
# fresh local names. Conditions are evaluated before what they guard, so a name bound in one is known there.


def _power(base: Any, exponent: int) -> Any:
    result = base
    for _ in range(exponent - 1):
        result = result * base
    return result


def _array_over(operation: Callable[[Any, Any], Any]) -> Callable[[Any, Any], Any]:
    def over(left: Any, right: Any) -> Any:
        zero = np.equal(right, 0)
        return np.where(zero, 0, operation(left, np.where(zero, 1, right)))

    return over


_TEMPLATES = {
    "-": "({0} - {1})", "+": "({0} + {1})", "*": "({0} * {1})", "~": "(~{0})", "**": "power({0}, {1})",
    "&": "({0} & {1})", "|": "({0} | {1})", "^": "({0} ^ {1})", "<<": "({0} << {1})", ">>": "({0} >> {1})",
    "bool": "({0} != 0)", "step": "step", "abs": "abs({0})",
    "int": "{0}.astype(int64)", "float": "{0}.astype(float64)",
    "not": "(~{0})", "if": "where({0}, {1}, {2})",
    "min int": "minimum({0}, {1})", "max int": "maximum({0}, {1})",
    "/": "divide({0}, {1})", "//": "floor_divide({0}, {1})", "%": "remainder({0}, {1})",
    "/ safe": "({0} / {1})", "// safe": "({0} // {1})", "% safe": "({0} % {1})",
    "min": "where(({t} := {0}) < ({u} := {1}), {t}, {u})",
    "max": "where(({t} := {0}) > ({u} := {1}), {t}, {u})",
    "sign": "((({t} := {0}) > 0).astype(int64) - ({t} < 0))",
    "floor": "({0} // 1.0)",
    "sqrt": "sqrt(where(({t} := {0}) > 0, {t}, 0))",
}  # fmt: skip
_SCOPE = {
    "abs": np.abs, "sqrt": np.sqrt, "power": _power, "where": np.where, "int64": np.int64, "bool_": np.bool_,
    "float64": np.float64, "minimum": np.minimum, "maximum": np.maximum,
    "divide": _array_over(np.true_divide), "floor_divide": _array_over(np.floor_divide),
    "remainder": _array_over(np.remainder),
}  # fmt: skip


def build(
    name: str,
    parameters: list[str],
    locals_: list[tuple[str, Node | str]],
    results: list[Node],
    names: Mapping[tuple[str, str], str],
) -> Callable[..., tuple[Any, ...]]:
    """A function of `parameters`, arrays, that binds `locals_` in order and returns the `results` as a tuple.

    `names` says which local holds a name, by ("now" or "prev", name). A local is an expression or, as a
    string, Python source of ours.
    """
    emitter = _Emitter(names)
    lines = [f"def {name}({', '.join(parameters)}):"]
    lines += [
        f" {local} = {what if isinstance(what, str) else emitter.source(what)}" for local, what in locals_
    ]
    values = "".join(f"{emitter.source(result)}, " for result in results)
    lines.append(f" return ({values})")
    scope: dict[str, Any] = {"__builtins__": {}, **_SCOPE}
    exec(compile("\n".join(lines), "<rules>", "exec"), scope)
    function: Callable[..., tuple[Any, ...]] = scope[name]
    return function


class _Emitter:
    def __init__(self, names: Mapping[tuple[str, str], str]) -> None:
        self.names, self.fresh = names, 0

    def new(self) -> str:
        self.fresh += 1
        return f"t{self.fresh}"

    def source(self, node: Node) -> str:
        op = node.op
        if op == "const":
            return _literal(node.value)
        if op in ("now", "prev"):
            return self.names[op, str(node.value)]
        args = [self.source(arg) for arg in node.args]
        if op in ("and", "or"):
            sign = " & " if op == "and" else " | "
            return f"({sign.join(args)})"
        if op == "compare":
            return self.compare(str(node.value).split(), args)
        if op in ("/", "//", "%") and node.args[1].op == "const" and node.args[1].value:
            op += " safe"
        elif f"{op} {node.kind}" in _TEMPLATES:
            op += f" {node.kind}"  # NumPy's minimum differs from Python's min for floats that are no number
        return _TEMPLATES[op].format(*args, t=self.new(), u=self.new())

    def compare(self, ops: list[str], args: list[str]) -> str:
        """`a < b < c` as two comparisons with `b` computed once."""
        parts, left = [], args[0]
        for op, right in zip(ops, args[1:], strict=True):
            keep = self.new()
            parts.append(f"({left} {op} ({keep} := {right}))" if len(ops) > 1 else f"({left} {op} {right})")
            left = keep
        return f"({' & '.join(parts)})"


def _literal(value: int | float | bool | str) -> str:
    if isinstance(value, float):
        if math.isfinite(value):
            return f"float64({value!r})"
        return "float64(1e999 - 1e999)" if math.isnan(value) else f"float64({'' if value > 0 else '-'}1e999)"
    return f"bool_({value})" if isinstance(value, bool) else f"int64({value})"
