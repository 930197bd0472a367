"""The keyboard and the gamepads: what is held, and which commands were given."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from types import ModuleType
from typing import Any

from frameperfect.machine import Controller, PortInput
from frameperfect.view.window.bindings import PAD_AXES, PAD_BUTTONS, Bindings

FULL = 32767
PRESSED = FULL // 2
"""How far an axis has to go to count as a button."""
DEAD = FULL // 8
"""How far a stick is off its middle when nobody touches it; what is beyond is spread over the whole way."""


@dataclass
class _Pad:
    port: int
    device: Any
    held: set[str] = field(default_factory=set)
    axes: dict[str, int] = field(default_factory=dict)


class Controls:
    """Reads SDL's events. `poll` right before a frame, then `inputs` is what acts on that frame.

    What was pressed and let go between two polls counts as held in the one after: no press is lost.
    """

    def __init__(self, pygame: ModuleType, bindings: Bindings, controllers: Sequence[Controller]) -> None:
        self.bindings = bindings
        self.news: list[str] = []
        """Gamepads that came and went, to be told and taken from here."""
        self._pygame, self._controllers = pygame, controllers
        self._keys: set[str] = set()
        self._tapped: set[str] = set()
        self._pads: dict[int, _Pad] = {}
        self._held_commands: dict[str, str] = {}
        pygame.joystick.init()
        from pygame._sdl2 import controller

        controller.init()
        self._controller = controller

    @property
    def holding(self) -> set[str]:
        """The commands whose keys are down."""
        return set(self._held_commands.values())

    def poll(self) -> list[str]:
        """Take what has happened; returns the commands that were given, in order."""
        self._tapped.clear()
        given: list[str] = []
        for event in self._pygame.event.get():
            given += self._take(event)
        return given

    def inputs(self) -> tuple[int, ...] | tuple[PortInput, ...]:
        """What each port holds now."""
        ports = [self._names(port) for port in range(len(self._controllers))]
        rows = [
            (
                sum(1 << bit for bit, name in enumerate(controller.buttons) if name in names),
                tuple(self._axis(port, axis, names) for axis in controller.axes),
            )
            for port, (controller, names) in enumerate(zip(self._controllers, ports, strict=True))
        ]
        if any(axes for _, axes in rows):
            return tuple(PortInput(mask, axes) for mask, axes in rows)
        return tuple(mask for mask, _ in rows)

    # -- events ------------------------------------------------------------------------------------

    def _take(self, event: Any) -> list[str]:
        pygame = self._pygame
        if event.type == pygame.QUIT:
            return ["quit"]
        if event.type == pygame.KEYDOWN:
            return self._key_down(event)
        if event.type == pygame.KEYUP:
            key = pygame.key.name(event.key)
            self._keys.discard(key)
            self._held_commands.pop(key, None)
        elif event.type == pygame.WINDOWFOCUSLOST:  # the window will not hear of keys let go elsewhere
            self._keys.clear()
            self._held_commands = {
                key: name for key, name in self._held_commands.items() if key.startswith("pad ")
            }
        elif event.type == pygame.CONTROLLERDEVICEADDED:
            self._plug(event.device_index)
        elif event.type == pygame.CONTROLLERDEVICEREMOVED:
            self._unplug(event.instance_id)
        elif event.type in (pygame.CONTROLLERBUTTONDOWN, pygame.CONTROLLERBUTTONUP):
            if 0 <= event.button < len(PAD_BUTTONS):
                part = f"pad {PAD_BUTTONS[event.button]}"
                return self._pad_part(event.instance_id, part, event.type == pygame.CONTROLLERBUTTONDOWN)
        elif event.type == pygame.CONTROLLERAXISMOTION and 0 <= event.axis < len(PAD_AXES):
            return self._pad_axis(event.instance_id, PAD_AXES[event.axis], event.value)
        return []

    def _key_down(self, event: Any) -> list[str]:
        pygame = self._pygame
        key = pygame.key.name(event.key)
        modifiers = [
            name
            for name, bits in (
                ("shift", pygame.KMOD_LSHIFT),
                ("ctrl", pygame.KMOD_CTRL),
                ("alt", pygame.KMOD_ALT),
            )
            if event.mod & bits
        ]
        commands = self.bindings.commands
        command = commands.get("+".join([*modifiers, key])) or commands.get(key)
        if command is not None:
            self._held_commands[key] = command
            return [command]
        self._keys.add(key)
        self._tapped.add(key)
        return []

    def _plug(self, index: int) -> None:
        try:
            device = self._controller.Controller(index)
            number = device.as_joystick().get_instance_id()
        except self._pygame.error as error:
            self.news.append(f"a gamepad can't be used: {error}")
            return
        if number in self._pads:
            return
        taken = {pad.port for pad in self._pads.values()}
        free = [port for port in range(len(self._controllers)) if port not in taken]
        if not free:
            self.news.append(f"{device.name}: every port has a gamepad already")
            return
        self._pads[number] = _Pad(free[0], device)
        self.news.append(f"{device.name} plays at port {free[0] + 1}")

    def _unplug(self, number: int) -> None:
        pad = self._pads.pop(number, None)
        if pad is not None:
            self._drop_pad_commands()
            self.news.append(f"the gamepad of port {pad.port + 1} is gone")

    def _drop_pad_commands(self) -> None:
        self._held_commands = {
            key: name for key, name in self._held_commands.items() if not key.startswith("pad ")
        }

    def _pad_part(self, number: int, part: str, down: bool) -> list[str]:
        pad = self._pads.get(number)
        if pad is None:
            return []
        if not down:
            pad.held.discard(part)
            self._held_commands.pop(part, None)
            return []
        if part in pad.held:
            return []
        pad.held.add(part)
        if part in self.bindings.pads[pad.port]:
            self._tapped.add(f"{pad.port} {part}")
            return []
        command = self.bindings.commands.get(part)
        if command is None:
            return []
        self._held_commands[part] = command
        return [command]

    def _pad_axis(self, number: int, axis: str, value: int) -> list[str]:
        pad = self._pads.get(number)
        if pad is None:
            return []
        pad.axes[axis] = value
        given = self._pad_part(number, f"pad {axis}-", value < -PRESSED)
        given += self._pad_part(number, f"pad {axis}+", value > PRESSED)
        return given + self._pad_part(number, f"pad {axis}", value > PRESSED)

    # -- what is held ------------------------------------------------------------------------------

    def _names(self, port: int) -> set[str]:
        """The buttons and halves of axes that are held at a port."""
        bindings = self.bindings
        places = [bindings.keys.get(key) for key in self._keys | self._tapped]
        names = {place[1] for place in places if place is not None and place[0] == port}
        parts = bindings.pads[port]
        for pad in self._pads.values():
            if pad.port == port:
                names |= {parts[part] for part in pad.held if part in parts}
        names |= {name for part, name in parts.items() if f"{port} {part}" in self._tapped}
        return names

    def _axis(self, port: int, axis: str, names: set[str]) -> int:
        """An analog axis: a gamepad's, unless a key pushes it all the way."""
        pushed = (f"{axis}+" in names) - (f"{axis}-" in names)
        if pushed:
            return pushed * FULL
        parts = [part for part, name in self.bindings.pads[port].items() if name == axis]
        values = [
            pad.axes.get(part[4:], 0) for pad in self._pads.values() if pad.port == port for part in parts
        ]
        return _alive(max(values, key=abs, default=0))


def _alive(value: int) -> int:
    """A stick's axis without its dead zone, -FULL to FULL."""
    beyond = min(max(abs(value) - DEAD, 0), FULL - DEAD) * FULL // (FULL - DEAD)
    return beyond if value > 0 else -beyond
