"""What an agent does: an action space, and the table from its actions to button masks.

An action is looked up, never parsed: a preset of combinations is Discrete (one entry a combination), groups
of combinations are MultiDiscrete (one choice from each group, pressed together), and "buttons" is
MultiBinary (every button of the first controller on or off).
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Protocol, TypeAlias

import numpy as np
from gymnasium import spaces
from numpy.typing import NDArray

from frameperfect.errors import EnvError, Unsupported

if TYPE_CHECKING:
    from frameperfect.machine import Controller

Masks: TypeAlias = NDArray[np.uint32]
Combinations: TypeAlias = "Sequence[str] | Sequence[Sequence[str]]"
MAX_PRODUCT = 4096
"""The most actions that "discrete" makes of a product of groups, and that "buttons" remembers."""


class Actions(Protocol):
    """A space and its table. Port 0 is the agent's; the other ports press nothing."""

    space: spaces.Space[Any]
    names: tuple[Any, ...]
    """Discrete: a name an action; MultiDiscrete: a tuple of names a group; MultiBinary: the buttons."""

    def single(self, action: Any) -> Masks:
        """The masks (1, ports) of one action; the array must not be written to."""

    def masks(self, actions: Sequence[Any]) -> list[int]:
        """What each of several agents' actions presses on its port."""

    def batch(self, actions: Any) -> Masks:
        """The masks (N, ports) of N actions."""


class _Discrete:
    """One of a list of button combinations."""

    def __init__(self, names: Sequence[str], masks: Sequence[int], ports: int) -> None:
        self.space: spaces.Space[Any] = spaces.Discrete(len(masks))
        self.names: tuple[Any, ...] = tuple(names)
        self._table: Masks = np.zeros((len(masks), ports), np.uint32)
        self._table[:, 0] = masks
        self._table.setflags(write=False)
        self._rows: list[Masks] = [self._table[i : i + 1] for i in range(len(masks))]
        self._masks = [int(mask) for mask in masks]

    def single(self, action: Any) -> Masks:
        try:
            if action >= 0:
                row: Masks = self._rows[action]
                return row
        except (IndexError, TypeError):
            pass
        raise EnvError(f"no action {action!r}; the actions are 0 to {len(self._rows) - 1}")

    def masks(self, actions: Sequence[Any]) -> list[int]:
        try:
            if actions and min(actions) >= 0:
                return list(map(self._masks.__getitem__, actions))
        except (IndexError, TypeError):
            pass
        return [int(self.single(action)[0, 0]) for action in actions]  # says which one is none

    def batch(self, actions: Any) -> Masks:
        indices = np.asarray(actions)
        if indices.ndim != 1 or indices.dtype.kind not in "iu" or (indices < 0).any():
            raise EnvError(f"the actions must be (n,) integers from 0 to {len(self._rows) - 1}")
        try:
            masks: Masks = self._table[indices]
        except IndexError:
            raise EnvError(f"no action {indices.max()}; the actions are 0 to {len(self._rows) - 1}") from None
        return masks


class _Grouped:
    """One combination from each of several groups, pressed together."""

    def __init__(self, names: Sequence[Sequence[str]], masks: Sequence[Sequence[int]], ports: int) -> None:
        self.space: spaces.Space[Any] = spaces.MultiDiscrete([len(group) for group in masks])
        self.names: tuple[Any, ...] = tuple(tuple(group) for group in names)
        self._groups = [list(group) for group in masks]
        self._tables = [np.array(group, np.uint32) for group in masks]
        self._ports = ports
        self._one = np.zeros((1, ports), np.uint32)

    def single(self, action: Any) -> Masks:
        self._one[0, 0] = self._mask(action)
        return self._one

    def masks(self, actions: Sequence[Any]) -> list[int]:
        return [self._mask(action) for action in actions]

    def _mask(self, action: Any) -> int:
        choices = np.asarray(action).tolist()
        mask = 0
        try:
            for group, choice in zip(self._groups, choices, strict=True):
                if choice < 0:
                    raise IndexError
                mask |= group[choice]
        except (IndexError, TypeError, ValueError):
            raise EnvError(f"no action {action!r}; an action is one of {self.space}") from None
        return mask

    def batch(self, actions: Any) -> Masks:
        choices = np.asarray(actions)
        shape_fits = choices.ndim == 2 and choices.shape[1] == len(self._tables)
        if not shape_fits or choices.dtype.kind not in "iu" or (choices < 0).any():
            raise EnvError(
                f"the actions must be (n, {len(self._tables)}) integers, a row one of {self.space}"
            )
        masks = np.zeros((len(choices), self._ports), np.uint32)
        try:
            for table, column in zip(self._tables, choices.T, strict=True):
                masks[:, 0] |= table[column]
        except IndexError:
            raise EnvError(f"an action is outside {self.space}") from None
        return masks


class _Buttons:
    """Every button on its own."""

    def __init__(self, buttons: Sequence[str], ports: int) -> None:
        self.space: spaces.Space[Any] = spaces.MultiBinary(len(buttons))
        self.names: tuple[Any, ...] = tuple(buttons)
        self._ports = ports
        self._shape = self.space.shape
        self._one = np.zeros((1, ports), np.uint32)
        self._packed: dict[bytes, int] = {}

    def single(self, action: Any) -> Masks:
        self._one[0, 0] = self._mask(action)
        return self._one

    def masks(self, actions: Sequence[Any]) -> list[int]:
        return [self._mask(action) for action in actions]

    def _mask(self, action: Any) -> int:
        pressed = np.asarray(action)
        if pressed.shape != self._shape:
            raise EnvError(f"an action has {len(self.names)} entries, one a button, not {pressed.shape}")
        if pressed.itemsize != 1:
            pressed = pressed != 0
        key = pressed.tobytes()
        mask = self._packed.get(key)
        if mask is None:
            mask = int.from_bytes(np.packbits(pressed != 0, bitorder="little").tobytes(), "little")
            if len(self._packed) < MAX_PRODUCT:
                self._packed[key] = mask
        return mask

    def batch(self, actions: Any) -> Masks:
        pressed = np.asarray(actions)
        if pressed.ndim != 2 or pressed.shape[1] != len(self.names):
            raise EnvError(f"the actions are (n, {len(self.names)}), a button a column, not {pressed.shape}")
        masks = np.zeros((len(pressed), self._ports), np.uint32)
        octets = np.packbits(pressed != 0, axis=1, bitorder="little")
        masks.view(np.uint8).reshape(len(pressed), -1)[:, : octets.shape[1]] = octets
        return masks


def make_actions(
    choice: str | Combinations | None,
    presets: Mapping[str, Combinations],
    controllers: Sequence[Controller],
) -> Actions:
    """The actions that `choice` names: a preset of the game, "buttons", "discrete", or combinations.

    None is the game's first preset, or "buttons" where the game has none. "discrete" is every combination
    of the game's (or the console's) groups as one Discrete space.

    Raises:
        EnvError: the game has no such preset, or a combination names a button that does not exist.
    """
    if not controllers:
        raise EnvError("this machine has no controller, so it can't be an environment")
    controller, ports = controllers[0], len(controllers)
    if choice is None:
        choice = next(iter(presets), "buttons")
    if isinstance(choice, str):
        if choice in presets:
            return _from_combinations(presets[choice], controller, ports)
        if choice == "buttons":
            return _Buttons(controller.buttons, ports)
        if choice == "discrete":
            grouped = [preset for preset in presets.values() if _is_grouped(preset)]
            return _product(grouped[0] if grouped else _console_groups(controller), controller, ports)
        known = ", ".join([*presets, "buttons", "discrete"])
        raise EnvError(f"no actions '{choice}' in this game; it has {known}")
    return _from_combinations(choice, controller, ports)


def _is_grouped(combinations: Combinations) -> bool:
    return not isinstance(combinations[0], str)


def _from_combinations(combinations: Combinations, controller: Controller, ports: int) -> Actions:
    if not len(combinations) or any(not isinstance(c, str) and not len(c) for c in combinations):
        raise EnvError('actions must list at least one combination of buttons, like ["", "Right", "Right A"]')
    if _is_grouped(combinations):
        names = [[_label(c) for c in group] for group in combinations]
        return _Grouped(names, [[_mask(controller, c) for c in group] for group in combinations], ports)
    flat = [str(c) for c in combinations]
    return _Discrete([_label(c) for c in flat], [_mask(controller, c) for c in flat], ports)


def _product(groups: Combinations, controller: Controller, ports: int) -> _Discrete:
    masks: dict[int, str] = {}
    for choice in itertools.product(*groups):
        combination = " ".join(c for c in choice if c)
        masks.setdefault(_mask(controller, combination), _label(combination))
        if len(masks) > MAX_PRODUCT:
            raise EnvError(f'"discrete" would be over {MAX_PRODUCT} actions; list the combinations you want')
    return _Discrete(list(masks.values()), list(masks), ports)


def _console_groups(controller: Controller) -> list[list[str]]:
    """The stick's nine positions, and each face button alone: what a controller without presets is given."""
    present = {button.lower(): button for button in controller.buttons}
    vertical = ["", *(present[d] for d in ("up", "down") if d in present)]
    horizontal = ["", *(present[d] for d in ("left", "right") if d in present)]
    system = {"up", "down", "left", "right", "start", "select", "mode"}
    return [vertical, horizontal, ["", *(b for key, b in present.items() if key and key not in system)]]


def _mask(controller: Controller, combination: str) -> int:
    try:
        return controller.mask(combination)
    except Unsupported as wrong:
        raise EnvError(f"the action '{combination}': {wrong}") from wrong


def _label(combination: str) -> str:
    return " ".join(combination.replace(",", " ").replace("+", " ").split()) or "noop"
