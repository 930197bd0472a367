"""Holding values still: what is frozen is written again before and after every frame."""

from __future__ import annotations

from frameperfect.machine import Capability, Inputs, Machine
from frameperfect.memory import Variable


class Freezer:
    """Advances `machine` and keeps chosen variables at chosen values.

    Raises:
        Unsupported: the machine's memory can't be written.
    """

    def __init__(self, machine: Machine) -> None:
        machine.require(Capability.WRITE)
        self.machine = machine
        self._frozen: dict[str, tuple[Variable, int | float]] = {}

    @property
    def values(self) -> dict[str, int | float]:
        """What is frozen, by the variable's name."""
        return {name: value for name, (_, value) in self._frozen.items()}

    def freeze(self, variable: Variable, value: int | float | None = None) -> None:
        """Hold `variable` at `value`, or at what it is now; its name tells it from the others.

        Raises:
            GameError: the value does not fit its type.
        """
        held = variable.read(self.machine) if value is None else value
        variable.write(self.machine, held)
        self._frozen[variable.name] = (variable, held)

    def thaw(self, name: str | None = None) -> None:
        """Let one variable go, or all."""
        if name is None:
            self._frozen.clear()
        else:
            self._frozen.pop(name, None)

    def advance(self, inputs: Inputs = None, frames: int = 1) -> None:
        """`Machine.advance`, frame by frame while something is frozen."""
        if not self._frozen:
            self.machine.advance(inputs, frames)
            return
        for _ in range(frames):
            self._write()
            self.machine.advance(inputs)
        self._write()

    def _write(self) -> None:
        for variable, value in self._frozen.values():
            variable.write(self.machine, value)
