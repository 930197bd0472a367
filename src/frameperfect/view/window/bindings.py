"""Which key or gamepad button does what: defaults for every console's pad, and a user's file over them.

A key is named as SDL names it ("x", "return", "right shift", "f5"); a command's key may have "shift+" (the
left one), "ctrl+" or "alt+" before it. "pad a" is a button and "pad leftx-" half an axis of the gamepad that
plays at that port (of any, for a command).
"""

from __future__ import annotations

import difflib
import sys
import warnings
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NoReturn, TypeAlias

from frameperfect.atomic import replacing
from frameperfect.errors import FrameperfectError
from frameperfect.machine import Controller
from frameperfect.view.window.display import load_pygame

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

Table: TypeAlias = dict[str, dict[str, tuple[str, ...]]]
"""Section ("port1", "commands") -> button, axis or command -> its keys."""

COMMANDS: Mapping[str, tuple[str, str]] = {
    "help": ("f1", "this page, on and off"),
    "pause": ("p", "pause and go on"),
    "advance": (".", "one frame on, with what is held"),
    "back": (",", "one frame back"),
    "rewind": ("backspace", "rewind while it is held"),
    "turbo": ("tab", "turbo while it is held"),
    "slower": ("-", "half as fast (down to 1/8)"),
    "faster": ("=", "twice as fast (up to x4)"),
    "start": ("home", "to the start of the run"),
    "end": ("end", "to the end of the run"),
    "skip-back": ("page up", "five seconds back"),
    "skip-on": ("page down", "five seconds on in the run"),
    "take-over": ("t", "play yourself, or replay"),
    "record": ("f2", "keep this run; again: write it"),
    "begin-here": ("f3", "a new run from this very frame"),
    "reset": ("f9", "the console's reset button"),
    "power": ("shift+f9", "console off and on"),
    "hud": ("f5", "the panel, on and off"),
    "overlays": ("f6", "the overlays, on and off"),
    "mute": ("m", "sound off and on"),
    "screenshot": ("f12", "write the picture as PNG"),
    "quit": ("escape", "close; a recording is written"),
    **{f"load-{slot}": (str(slot), f"load slot {slot}") for slot in range(10)},
    **{f"save-{slot}": (f"shift+{slot}", f"save slot {slot}") for slot in range(10)},
}
"""Command -> its default key, and what it does."""
PAD_COMMANDS = {"rewind": "pad lefttrigger", "turbo": "pad righttrigger", "pause": "pad rightstick"}

PAD_BUTTONS = (
    "a", "b", "x", "y", "back", "guide", "start", "leftstick", "rightstick", "leftshoulder", "rightshoulder",
    "up", "down", "left", "right",
)  # fmt: skip
"""In the order of SDL's game controller buttons."""
PAD_AXES = ("leftx", "lefty", "rightx", "righty", "lefttrigger", "righttrigger")
MODIFIERS = ("shift", "ctrl", "alt")

# By a button's name: its key at the first port, and its place on a gamepad. The keys of the second port lie
# as those of the first, in the middle of the keyboard.
_DIRECTIONS = {
    "Up": ("up", "pad up", "pad lefty-"),
    "Down": ("down", "pad down", "pad lefty+"),
    "Left": ("left", "pad left", "pad leftx-"),
    "Right": ("right", "pad right", "pad leftx+"),
}
_SIX = {
    "A": ("z", "pad x"),
    "B": ("x", "pad a"),
    "C": ("c", "pad b"),
    "X": ("a", "pad leftshoulder"),
    "Y": ("s", "pad y"),
    "Z": ("d", "pad rightshoulder"),
}
_FOUR = {
    "B": ("z", "pad a"),
    "A": ("x", "pad b"),
    "Y": ("a", "pad x"),
    "X": ("s", "pad y"),
    "Z": ("c", "pad righttrigger"),
    "L": ("q", "pad leftshoulder"),
    "R": ("w", "pad rightshoulder"),
}
_OTHERS = {
    "II": ("z", "pad a"),
    "I": ("x", "pad b"),
    "Button": ("x", "pad a"),
    "Fire": ("x", "pad a"),
    "B1": ("z", "pad a"),
    "B2": ("x", "pad b"),
    "B3": ("c", "pad x"),
    "B4": ("a", "pad y"),
    "B5": ("s", "pad leftshoulder"),
    "B6": ("d", "pad rightshoulder"),
    "Start": ("return", "pad start"),
    "Run": ("return", "pad start"),
    "Reset": ("return", "pad start"),
    "Select": ("right shift", "pad back"),
    "Mode": ("right shift", "pad back"),
    "Coin": ("right shift", "pad back"),
}
_SECOND = {
    "up": "i", "down": "k", "left": "j", "right": "l", "z": "v", "x": "b", "c": "n", "a": "f", "s": "g",
    "d": "h", "q": "r", "w": "y", "return": "o", "right shift": "u",
}  # fmt: skip


class KeysError(FrameperfectError):
    """A file of keys is wrong; names file, entry and the choices."""


class Bindings:
    """What each key does on these controllers.

    Attributes:
        table: everything by section and entry, as a file would say it.
        commands: key -> command.
        keys: key -> (port, button or half of an axis).
        pads: by port, gamepad part -> button or (half of an) axis.
    """

    def __init__(self, controllers: Sequence[Controller], path: Path | None = None) -> None:
        """The defaults, and over them what the file at `path` says.

        Raises:
            KeysError: the file can't be read, names what is not there, or gives one key two meanings.
        """
        own = {} if path is None else _read(path, controllers)
        self.table = _merge(defaults(controllers), own, path)
        self.commands = {key: name for name, keys in self.table["commands"].items() for key in keys}
        self.keys: dict[str, tuple[int, str]] = {}
        self.pads: list[dict[str, str]] = []
        for port in range(len(controllers)):
            parts: dict[str, str] = {}
            for name, keys in self.table[f"port{port + 1}"].items():
                for key in keys:
                    if key.startswith("pad "):
                        parts[key] = name
                    else:
                        self.keys[key] = port, name
            self.pads.append(parts)

    def to_toml(self) -> str:
        """The file that says all this."""
        return to_toml(self.table)


def entries(controller: Controller) -> list[str]:
    """What keys can be given to on a controller: its buttons, its axes, and the axes' halves."""
    return [*controller.buttons, *(axis + half for axis in controller.axes for half in ("", "-", "+"))]


def defaults(controllers: Sequence[Controller]) -> Table:
    """The keys without any file."""
    table: Table = {
        "commands": {
            name: (key, *filter(None, [PAD_COMMANDS.get(name)])) for name, (key, _) in COMMANDS.items()
        }
    }
    taken: set[str] = set()
    for port, controller in enumerate(controllers):
        ours = _pad_defaults(controller)
        for name, keys in ours.items():
            on_pad = [key for key in keys if key.startswith("pad ")]
            typed = [key for key in keys if not key.startswith("pad ")]
            if port == 1:
                typed = [_SECOND[key] for key in typed]
            elif port > 1:
                typed = []
            ours[name] = (*typed, *on_pad)
        table[f"port{port + 1}"] = ours
        taken |= {key for keys in ours.values() for key in keys}
    for name, keys in table["commands"].items():  # what a console's pad needs comes first
        table["commands"][name] = tuple(key for key in keys if key not in taken)
    return table


def _pad_defaults(controller: Controller) -> dict[str, tuple[str, ...]]:
    places = {**_OTHERS, **(_SIX if "C" in controller.buttons else _FOUR), **_DIRECTIONS}
    ours = {name: places.get(name, ()) for name in entries(controller)}
    if "C" in controller.buttons and {"L", "R"} <= set(controller.buttons):  # a Saturn's shoulders
        ours |= {"L": ("q", "pad lefttrigger"), "R": ("w", "pad righttrigger")}
    if controller.axes:  # the stick is what one steers with; the cross is on the gamepad's
        for axis, part in zip(controller.axes, PAD_AXES, strict=False):
            ours[axis] = (f"pad {part}",)
        for direction, (number, half) in zip(
            _DIRECTIONS, ((1, "-"), (1, "+"), (0, "-"), (0, "+")), strict=True
        ):
            key, cross, _ = _DIRECTIONS[direction]
            ours[direction] = (cross,)
            if number < len(controller.axes):
                ours[controller.axes[number] + half] = (key,)
    return ours


# -- a user's file -----------------------------------------------------------------------------------------


def change_keys(path: Path, controllers: Sequence[Controller], changes: Table) -> Bindings:
    """Give keys other meanings in the user's file, which need not be there yet; returns what holds then.

    Raises:
        KeysError: as `Bindings` does; the file is as before.
        OSError: it can't be written.
    """
    new = _checked(path, changes, controllers)
    own = _read(path, controllers) if path.exists() else {}
    taken = {key for lines in new.values() for keys in lines.values() for key in keys}
    kept = {
        section: {name: tuple(key for key in keys if key not in taken) for name, keys in lines.items()}
        for section, lines in own.items()
    }
    table = {section: {**kept.get(section, {}), **new.get(section, {})} for section in sorted({*kept, *new})}
    _merge(defaults(controllers), table, path)
    path.parent.mkdir(parents=True, exist_ok=True)
    with replacing(path) as part:
        part.write_text(to_toml({s: {n: k for n, k in lines.items() if k} for s, lines in table.items()}))
    return Bindings(controllers, path)


def to_toml(table: Table) -> str:
    """The file that says all this."""
    lines = []
    for section, entries in table.items():
        lines.append(f"[{section}]")
        for name, keys in entries.items():
            said = ", ".join(f'"{_escape(key)}"' for key in keys)
            lines.append(f'"{name}" = {said}' if len(keys) == 1 else f'"{name}" = [{said}]')
        lines.append("")
    return "\n".join(lines)


def _read(path: Path, controllers: Sequence[Controller]) -> Table:
    try:
        with path.open("rb") as file:
            said = tomllib.load(file)
    except OSError as error:
        raise KeysError(f"{path}: can't be read: {error.strerror}") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as wrong:
        raise KeysError(f"{path}: {wrong}") from None
    return _checked(path, said, controllers)


def _checked(path: Path, said: Mapping[str, Any], controllers: Sequence[Controller]) -> Table:
    allowed = {"commands": list(COMMANDS)}
    allowed |= {f"port{port + 1}": entries(controller) for port, controller in enumerate(controllers)}
    table: Table = {}
    for section, lines in said.items():
        if section not in allowed:
            _refuse(path, f"no section [{section}]", section, allowed)
        if not isinstance(lines, dict):
            raise KeysError(f"{path}: '{section}' is a section: write [{section}] and entries beneath")
        table[section] = {
            _entry(path, section, name, allowed[section]): _keys(path, section, name, keys)
            for name, keys in lines.items()
        }
    return table


def _entry(path: Path, section: str, name: str, allowed: Sequence[str]) -> str:
    known = next((known for known in allowed if known.lower() == name.lower()), None)
    if known is None:
        what = "command" if section == "commands" else "button"
        _refuse(path, f"[{section}] no {what} '{name}'", name, allowed)
    return known


def _keys(path: Path, section: str, name: str, keys: Any) -> tuple[str, ...]:
    listed = [keys] if isinstance(keys, str) else list(keys) if isinstance(keys, tuple) else keys
    if not isinstance(listed, list) or not all(isinstance(key, str) for key in listed):
        raise KeysError(f'{path}: [{section}] {name}: write a key ("x") or a list of keys, in quotes')
    return tuple(_key(path, section, name, key) for key in listed)


def _key(path: Path, section: str, name: str, said: str) -> str:
    """The key as it is compared: small letters, modifiers in order; refuses what is no key."""
    where = f"{path}: [{section}] {name}"
    key = " ".join(said.lower().split())
    if key.startswith("pad "):
        parts = [*PAD_BUTTONS, *(axis + half for axis in PAD_AXES for half in ("", "-", "+"))]
        if key[4:] not in parts:
            near = _near(key[4:], parts)
            raise KeysError(f"{where}: a gamepad has no '{said}'{near and f'; did you mean pad {near}?'}")
        return key
    *modifiers, base = [key] if key == "+" else key.split("+") if not key.endswith("++") else [key[:-2], "+"]
    strange = [modifier for modifier in modifiers if modifier not in MODIFIERS]
    if strange or (modifiers and section != "commands"):
        allowed = f"{'+, '.join(MODIFIERS)}+" if section == "commands" else "nothing"
        raise KeysError(f"{where}: '{said}': before the key stands {allowed} (and in [commands] only)")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # names are known before there is a window, whatever SDL thinks
        pygame = load_pygame()
        try:
            canonical = pygame.key.name(pygame.key.key_code(base))
        except ValueError:
            near = _near(base, list(_key_names()))
            raise KeysError(f"{where}: no key '{said}'{near and f'; did you mean {near!r}?'}") from None
    return "+".join([*(modifier for modifier in MODIFIERS if modifier in modifiers), canonical])


def _key_names() -> Iterator[str]:
    pygame = load_pygame()
    for constant in dir(pygame):
        if constant.startswith("K_"):
            yield pygame.key.name(getattr(pygame, constant))


def _merge(base: Table, own: Table, path: Path | None) -> Table:
    """`own` over `base`: what it names is taken from where it was by default."""
    meant: dict[tuple[str, str], str] = {}
    for section, lines in own.items():
        for name, keys in lines.items():
            for key in keys:
                # One key of the keyboard means one thing; a gamepad's part one thing at each port.
                place = (section if key.startswith("pad ") else "", key)
                other = meant.setdefault(place, f"[{section}] {name}")
                if other != f"[{section}] {name}":
                    raise KeysError(
                        f"{path}: '{key}' is both {other} and [{section}] {name}; take it from one"
                    )
    taken = {key for _, key in meant}
    return {
        section: {
            name: own.get(section, {}).get(name) or tuple(key for key in keys if key not in taken)
            for name, keys in lines.items()
        }
        for section, lines in base.items()
    }


def _near(name: str, known: Sequence[str]) -> str:
    return next(iter(difflib.get_close_matches(name, known, 1)), "")


def _refuse(path: Path, what: str, name: str, known: Mapping[str, Any] | Sequence[str]) -> NoReturn:
    near = next(iter(difflib.get_close_matches(name, list(known), 1)), None)
    hint = f"did you mean '{near}'?" if near else f"there are {', '.join(known)}"
    raise KeysError(f"{path}: {what}; {hint}")


def _escape(key: str) -> str:
    return key.replace("\\", "\\\\").replace('"', '\\"')
