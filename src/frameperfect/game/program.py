"""Expression trees to a program for `_native.RuleEpisodes`: registers, and operations between them.

The order of the registers is that of native/rules/program.hpp: variables now and before, definitions now and
before, the number of the step, constants, intermediate results. A tree that occurs twice in a part of the
program is computed once; all of it is computed, whichever way a condition goes.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum, auto

import numpy as np
from numpy.typing import NDArray

from frameperfect._native import RuleProgram
from frameperfect.game.definitions import Definitions
from frameperfect.game.expression import Kind, Node, constant
from frameperfect.layout import Layout
from frameperfect.memory import Variable


class Code(IntEnum):
    """The operations, numbered as in native/rules/program.hpp."""

    COPY = 0
    REAL = auto()
    TRUTH = auto()
    TRUTH_REAL = auto()
    NOT = auto()
    AND = auto()
    OR = auto()
    XOR = auto()
    INVERT = auto()
    SHIFT_LEFT = auto()
    SHIFT_RIGHT = auto()
    ADD = auto()
    ADD_REAL = auto()
    SUBTRACT = auto()
    SUBTRACT_REAL = auto()
    MULTIPLY = auto()
    MULTIPLY_REAL = auto()
    DIVIDE = auto()
    FLOOR_DIVIDE = auto()
    FLOOR_DIVIDE_REAL = auto()
    MODULO = auto()
    MODULO_REAL = auto()
    MIN = auto()
    MIN_REAL = auto()
    MAX = auto()
    MAX_REAL = auto()
    ABS = auto()
    ABS_REAL = auto()
    SIGN = auto()
    SIGN_REAL = auto()
    ROOT = auto()
    IF = auto()
    LESS = auto()
    LESS_REAL = auto()
    AT_MOST = auto()
    AT_MOST_REAL = auto()
    EQUAL = auto()
    EQUAL_REAL = auto()
    UNEQUAL = auto()
    UNEQUAL_REAL = auto()


_BITS = {
    "&": Code.AND, "|": Code.OR, "^": Code.XOR, "and": Code.AND, "or": Code.OR,
    "<<": Code.SHIFT_LEFT, ">>": Code.SHIFT_RIGHT,
}  # fmt: skip
_NUMBERS = {
    "+": Code.ADD, "-": Code.SUBTRACT, "*": Code.MULTIPLY, "//": Code.FLOOR_DIVIDE, "%": Code.MODULO,
    "min": Code.MIN, "max": Code.MAX, "<": Code.LESS, "<=": Code.AT_MOST, "==": Code.EQUAL,
    "!=": Code.UNEQUAL,
}  # fmt: skip
"""For whole numbers; the code after each is that for floats."""
_TURNED = {">": "<", ">=": "<="}


@dataclass(frozen=True, slots=True)
class Place:
    """A register, and what kind of number it holds."""

    register: int
    kind: Kind


@dataclass(frozen=True, slots=True)
class Program:
    """A compiled program, and where to find things in it."""

    native: RuleProgram
    now: dict[str, Place]
    """Variables, then definitions and running extremes, by name."""
    before: dict[str, Place]
    terms: tuple[Place, ...]
    time: Place | None
    step: int
    """The register of the step's number."""
    reward: int
    terminated: int
    truncated: int
    success: int


def compile_program(
    definitions: Definitions,
    layout: Layout,
    outcomes: Sequence[Node],
    terms: Sequence[Node],
    features: Sequence[Node],
    time: Node | None,
) -> Program:
    """The program of a game's rules.

    Args:
        definitions: of the game.
        layout: of its rows; the variables are those of `definitions`, in their order.
        outcomes: reward (a float), terminated, truncated and success (truth values).
        terms: of the reward, floats.
        features: floats.
        time: a number.
    """
    compiler = _Compiler(definitions)
    begin, step, seen, paid, clock = (_Part(compiler) for _ in range(5))
    for name in definitions.order:
        begin.put(definitions.first[name], compiler.now[name].register)
    for name in definitions.order:
        step.put(definitions.nodes[name], compiler.now[name].register)
    ends = [step.place(node).register for node in outcomes]
    shown = [seen.place(node).register for node in features]
    parts_of_reward = tuple(paid.place(node) for node in terms)
    told = clock.place(time) if time is not None else None
    native = RuleProgram(
        _columns(layout), layout.width, len(definitions.order),
        [(register, bits) for bits, register in compiler.constants.items()], compiler.count,
        [part.operations() for part in (begin, step, seen, paid, clock)], shown, ends,
    )  # fmt: skip
    return Program(native, compiler.now, compiler.before, parts_of_reward, told, compiler.step, *ends)


class _Compiler:
    """The registers of the whole program."""

    def __init__(self, definitions: Definitions) -> None:
        variables, order = definitions.variables, definitions.order
        kinds: list[tuple[str, Kind]] = [(name, node.kind) for name, node in variables.items()]
        kept: list[tuple[str, Kind]] = [(name, definitions.nodes[name].kind) for name in order]
        self.now: dict[str, Place] = {}
        self.before: dict[str, Place] = {}
        self.count = 0
        for group in (kinds, kept):
            for places in (self.now, self.before):
                places.update((name, Place(self.new(), kind)) for name, kind in group)
        self.step = self.new()
        self.constants: dict[int, int] = {}
        """Their bits to their registers."""

    def new(self) -> int:
        """A register that nothing else uses."""
        self.count += 1
        return self.count - 1

    def constant(self, node: Node) -> int:
        """The register of a constant."""
        packed = struct.pack("<d", node.value) if node.kind == "float" else struct.pack("<q", int(node.value))
        (bits,) = struct.unpack("<q", packed)
        if bits not in self.constants:
            self.constants[bits] = self.new()
        return self.constants[bits]


class _Part:
    """A list of operations that is run as one."""

    def __init__(self, compiler: _Compiler) -> None:
        self._compiler = compiler
        self._rows: list[tuple[int, int, int, int, int]] = []
        self._known: dict[Node, Place] = {}

    def operations(self) -> NDArray[np.uint32]:
        """(M, 5): code, target and three arguments."""
        return np.array(self._rows, np.uint32).reshape(-1, 5)

    def put(self, node: Node, register: int) -> None:
        """Leave a tree's value in a register."""
        self._rows.append((Code.COPY, register, self.place(node).register, 0, 0))

    def place(self, node: Node) -> Place:
        """Where a tree's value is, once it is computed."""
        if node.op == "const":
            return Place(self._compiler.constant(node), node.kind)
        if node.op == "step":
            return Place(self._compiler.step, "int")
        if node.op in ("now", "prev"):
            return (self._compiler.now if node.op == "now" else self._compiler.before)[str(node.value)]
        if node not in self._known:
            self._known[node] = self._compute(node)
        return self._known[node]

    def _compute(self, node: Node) -> Place:
        op = node.op
        if op == "compare":
            return self._compare(node)
        if op == "**":
            base, exponent = self.place(node.args[0]), int(node.args[1].value)
            result = base
            for _ in range(exponent - 1):
                result = self._number("*", result, base)
            return result
        args = [self.place(arg) for arg in node.args]
        if op == "int" or (op == "float" and args[0].kind == "float"):
            return Place(args[0].register, node.kind)
        if op == "float":
            return self._real(args[0])
        if op == "bool":
            return self._run(Code.TRUTH + (args[0].kind == "float"), "bool", args[0])
        if op in ("not", "~"):
            return self._run(Code.NOT if op == "not" else Code.INVERT, node.kind, args[0])
        if op in _BITS:
            result = args[0]
            for arg in args[1:]:
                result = self._run(_BITS[op], node.kind, result, arg)
            return result
        if op == "if":
            return self._run(Code.IF, node.kind, *args)
        if op == "abs":
            return self._run(Code.ABS + (args[0].kind == "float"), node.kind, args[0])
        if op == "sign":
            return self._run(Code.SIGN + (args[0].kind == "float"), "int", args[0])
        if op == "sqrt":
            return self._run(Code.ROOT, "float", self._real(args[0]))
        if op == "floor":
            return self._number("//", args[0], Place(self._compiler.constant(constant(1.0)), "float"))
        if op == "/":
            return self._run(Code.DIVIDE, "float", self._real(args[0]), self._real(args[1]))
        return self._number(op, *args)

    def _compare(self, node: Node) -> Place:
        """`a < b < c` as two comparisons."""
        args = [self.place(arg) for arg in node.args]
        result: Place | None = None
        for op, left, right in zip(str(node.value).split(), args, args[1:], strict=False):
            if op in _TURNED:
                op, left, right = _TURNED[op], right, left
            one = Place(self._number(op, left, right).register, "bool")
            result = one if result is None else self._run(Code.AND, "bool", result, one)
        assert result is not None
        return result

    def _number(self, op: str, left: Place, right: Place) -> Place:
        """Of two whole numbers, or of floats where one is."""
        if left.kind == "float" or right.kind == "float":
            return self._run(_NUMBERS[op] + 1, "float", self._real(left), self._real(right))
        return self._run(_NUMBERS[op], "int", left, right)

    def _real(self, place: Place) -> Place:
        return place if place.kind == "float" else self._run(Code.REAL, "float", place)

    def _run(self, code: int, kind: Kind, *args: Place) -> Place:
        to = self._compiler.new()
        a, b, c = (*(arg.register for arg in args), 0, 0)[:3]
        self._rows.append((code, to, a, b, c))
        return Place(to, kind)


def _columns(layout: Layout) -> list[tuple[int, str, list[int], int, int, bool, float]]:
    """How each variable is read from a row."""
    columns, offset = [], 0
    for variable in layout.variables.values():
        columns.append(_column(variable, offset))
        offset += variable.parsed.width
    return columns


def _column(variable: Variable, offset: int) -> tuple[int, str, list[int], int, int, bool, float]:
    mask = -1 if variable.mask is None else variable.mask
    bit = -1 if variable.bit is None else variable.bit
    parsed = variable.parsed
    return (
        offset, parsed.kind, list(parsed.order), mask, bit, variable.scale != 1, float(variable.scale),
    )  # fmt: skip
