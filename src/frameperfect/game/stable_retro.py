"""The games that stable-retro describes, read as they lie in its package; nothing of it is imported or run.

A game is a folder with `data.json` (variables), `scenario.json` (reward, end, actions, crop, scripts),
`metadata.json` (default start), `rom.sha` and `*.state` files
(https://stable-retro.farama.org/integration/). Meanings follow its `src/data.cpp`:

- A reward term measures a variable's change (or its value, by `measurement`), or compares it (`op`); what is
  positive counts times `reward`, what is negative times `penalty`, and both are 0 where not given. (There in
  32-bit floats, here in 64.)
- `done` measures values; `condition` "all" or "any" (the default) joins variables and nested `nodes`.
- `rewards` lists one reward a player: the first is ours, the others are the defines `reward_2` and so on.
- A name that no expression can spell ("score ", "continue") is respelt ("score", "continue_").
- A start is a state of the core that stable-retro ships for the system, settled for one frame as its reset
  does.
"""

from __future__ import annotations

import functools
import json
import keyword
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from frameperfect.errors import GameError, MissingComponent
from frameperfect.game.game import Game
from frameperfect.game.registry import package, stable_retro_folders, stable_retro_name
from frameperfect.game.schema import check
from frameperfect.memory import Domain

SOURCE = "stable-retro"
MAX_JSON = 1 << 20

# What our systems call the buttons that stable-retro names otherwise (None: it has no such button).
_BUTTONS: Mapping[str, Mapping[str, str | None]] = {
    "Sms": {"A": "B2", "B": "B1", "PAUSE": "Start"},
    "GameGear": {"A": "B2", "B": "B1"},
    "Saturn": {"X": "Y", "Y": "X", "MODE": None},
    "N64": {"C-RIGHT": None, "C-UP": None, "C-MODE": None, "L3": None, "R3": None},
    "FBNeo": {"B": "B1", "C": "B2", "A": "B3", "Y": "B4", "X": "B5", "Z": "B6", "MODE": "Coin"},
}
_SYSTEMS = {"Arcade": "FBNeo"}
# stable-retro answers almost no option queries of its cores, which then keep values of their own. These were
# found to matter and to differ from the options' defaults (with which Airstriker halts at a lost life).
_OPTIONS = {"genesis_plus_gx": {"genesis_plus_gx_addr_error": "disabled"}}


@functools.cache
def system_info() -> dict[str, dict[str, Any]]:
    """By system, what stable-retro says of its core: `lib`, `ext`, `buttons`, `actions`."""
    info: dict[str, dict[str, Any]] = {}
    root = package("stable_retro")
    for path in sorted((root / "cores").glob("*.json")) if root is not None else ():
        info.update(_json(path))
    return info


def import_game(folder: Path) -> Game:
    """The game that a folder of stable-retro's describes.

    Raises:
        GameError: a file is missing or says what stable-retro itself could not read; names it.
    """
    name = stable_retro_name(folder.name)
    system = name.rsplit("-", 1)[-1]
    system = _SYSTEMS.get(system, system)
    data = _json(folder / "data.json")
    scenario = _json(folder / "scenario.json") if (folder / "scenario.json").is_file() else {}
    metadata = _json(folder / "metadata.json") if (folder / "metadata.json").is_file() else {}
    core = system_info().get(system, {}).get("lib")
    if core is None:
        raise GameError(f"{folder}: stable-retro has no core for the system '{system}'")
    names = _spellings(data.get("info", {}))
    starts = _starts(folder, core)
    table: dict[str, Any] = {
        "game": {"name": name, "machine": "libretro", "system": system, "rom": _rom(folder, metadata)},
        "memory": {names[key]: _variable(folder, key, entry) for key, entry in data["info"].items()},
        "start": starts,
        "actions": _actions(scenario, system),
    }
    if core in _OPTIONS:
        table["game"]["options"] = {core: _OPTIONS[core]}
    if (default := _default_start(metadata, starts)) is not None:
        table["game"]["start"] = default
    rewards = [scenario.get("reward", {})] if "rewards" not in scenario else list(scenario["rewards"])
    try:
        if rewards:
            table["reward"] = _reward(rewards[0], names)
        others = {f"reward_{i}": _reward(more, names) for i, more in enumerate(rewards[1:], 2)}
        table["define"] = {key: " + ".join(terms.values()) for key, terms in others.items() if terms}
        done = scenario.get("done", {})
        if "script" not in done and (condition := _done(done, names)) is not None:
            table["end"] = {"terminated": condition}
    except KeyError as unknown:
        raise GameError(f"{folder}/scenario.json: no variable {unknown} in data.json") from None
    script = {
        "reward": _script_function(rewards[0].get("script")) if rewards else None,
        "terminated": _script_function(scenario.get("done", {}).get("script")),
    }
    if any(script.values()):
        table["script"] = {"files": scenario.get("scripts", []), **{k: v for k, v in script.items() if v}}
    crop = scenario.get("crop")
    if crop and any(crop):
        left, top, width, height = crop
        table["observation"] = {"crop": (top, left, height, width)}
    program = next((path for path in _rom_files(folder, system) if path.is_file()), None)
    return Game(check(table, str(folder)), SOURCE, folder, program)


def import_report() -> dict[str, str]:
    """Each of stable-retro's games by folder: "" where it imports, else the reason why it can't.

    Expressions are compiled too, on a memory that holds every address.
    """
    report = {}
    for root in stable_retro_folders():
        for folder in sorted(root.iterdir()):
            if "-" not in folder.name or not folder.is_dir():
                continue
            try:
                game = import_game(folder)
                game.rules({"all": Domain("all", 1 << 62)})
                report[f"{root.name}/{folder.name}"] = ""
            except (GameError, MissingComponent) as wrong:
                report[f"{root.name}/{folder.name}"] = str(wrong)
    return report


# -- data.json -----------------------------------------------------------------------------------------------


def _spellings(info: Mapping[str, Any]) -> dict[str, str]:
    """Variable names as expressions can spell them, by stable-retro's."""
    names: dict[str, str] = {}
    for key in info:
        spelt = re.sub(r"\W", "_", key.strip())
        if not spelt or spelt[0].isdigit():
            spelt = f"_{spelt}"
        if keyword.iskeyword(spelt) or spelt in ("prev", "true", "false"):
            spelt += "_"
        while spelt in names.values():
            spelt += "_"
        names[key] = spelt
    return names


def _variable(folder: Path, name: str, entry: Mapping[str, Any]) -> dict[str, Any]:
    if "address" not in entry or "type" not in entry:
        raise GameError(f"{folder}/data.json: '{name}' has no address or no type")
    variable = {"address": entry["address"], "type": entry["type"]}
    mask = entry.get("mask")
    if mask is not None:
        variable["mask"] = mask - (1 << 64) if mask >= 1 << 63 else mask
    return variable


# -- scenario.json -------------------------------------------------------------------------------------------

_OPERATIONS = {
    "equal": "{0} == {1}", "negative-equal": "{0} == -{1}", "not-equal": "{0} != {1}",
    "less-than": "{0} < {1}",
    "greater-than": "{0} > {1}", "less-or-equal": "{0} <= {1}", "greater-or-equal": "{0} >= {1}",
    "zero": "{0} == 0", "nonzero": "{0} != 0", "negative": "{0} < 0", "positive": "{0} > 0",
}  # fmt: skip


def _measured(spec: Mapping[str, Any], name: str, default: str) -> str:
    measurement = spec.get("measurement")
    measurement = measurement if measurement in ("absolute", "delta") else default
    return f"delta({name})" if measurement == "delta" else name


def _whole(value: Any) -> str:
    number = int(value) if isinstance(value, (int, float)) else 0
    return f"({number})" if number < 0 else str(number)


def _weight(value: Any) -> float:
    return float(value) if isinstance(value, (int, float)) else 0.0


def _reward(reward: Mapping[str, Any], names: Mapping[str, str]) -> dict[str, str]:
    """Reward terms by variable; none where a script decides."""
    if "script" in reward:
        return {}
    terms = {names[key]: _term(_measured(spec, names[key], "delta"), spec)
             for key, spec in reward.get("variables", {}).items()}  # fmt: skip
    if "time" in reward:
        terms["time_passed" if "time" in terms else "time"] = _term("1", reward["time"])
    return {name: term for name, term in terms.items() if term}


def _term(measured: str, spec: Mapping[str, Any]) -> str:
    """What a measurement pays; "" where it never does."""
    gain, loss = _weight(spec.get("reward")), _weight(spec.get("penalty"))
    operation = spec.get("op")
    if operation in _OPERATIONS:
        condition = _OPERATIONS[operation].format(measured, _whole(spec.get("reference")))
        return f"{_times(gain)}({condition})" if gain else ""
    if operation == "sign":
        measured = f"sign({measured})"
    if gain == loss:
        return f"{_times(gain)}{measured}" if gain else ""
    parts = [f"{_times(gain)}max({measured}, 0)"] if gain else []
    parts += [f"{_times(loss)}min({measured}, 0)"] if loss else []
    return " + ".join(parts)


def _times(weight: float) -> str:
    return "" if weight == 1 else f"{int(weight) if weight.is_integer() else weight!r} * "


def _done(node: Mapping[str, Any], names: Mapping[str, str]) -> str | None:
    """The condition of a `done` node; None where it can never hold."""
    every = node.get("condition") == "all"
    parts: list[str] = []
    for key, spec in node.get("variables", {}).items():
        measured = _measured(spec, names[key], "absolute")
        operation = _OPERATIONS.get(spec.get("op", ""), "{0} > 0")
        parts.append(operation.format(measured, _whole(spec.get("reference"))))
    for child in node.get("nodes", {}).values():
        inner = _done(child, names)
        parts.append("false" if inner is None else f"({inner})")
    if not parts:
        return "true" if every else None
    return (" and " if every else " or ").join(parts)


def _script_function(text: Any) -> str | None:
    return str(text).rsplit(":", 1)[-1] if text else None


def _actions(scenario: Mapping[str, Any], system: str) -> dict[str, list[list[str]]]:
    """The combinations that the game (or its system) allows, one of each group at a time."""
    groups = scenario.get("actions") or system_info().get(system, {}).get("actions")
    names = _BUTTONS.get(system, {})
    allowed = []
    for group in groups or ():
        combinations: list[str] = []
        for buttons in group:
            ours = [names.get(button, button.title() if len(button) > 3 else button) for button in buttons]
            ours = [{"UP": "Up", "RUN": "Run"}.get(b, b) if b is not None else None for b in ours]
            if None in ours:
                continue
            combination = " ".join(str(button) for button in ours)
            if combination not in combinations:
                combinations.append(combination)
        allowed.append(combinations)
    return {"pad": allowed} if allowed else {}


# -- the rest of the folder ----------------------------------------------------------------------------------


def _starts(folder: Path, core: str) -> dict[str, Any]:
    states = sorted(path.name for path in folder.glob("*.state") if not path.name.startswith("_"))
    return {name.removesuffix(".state"): {"state": name, "core": core, "settle": 1} for name in states}


def _default_start(metadata: Mapping[str, Any], starts: Mapping[str, Any]) -> str | None:
    """The start of one player: `default_player_state` goes before `default_state`."""
    by_players = metadata.get("default_player_state") or []
    for name in (*by_players[:1], metadata.get("default_state")):
        if isinstance(name, str) and name in starts:
            return name
    return None


def _rom(folder: Path, metadata: Mapping[str, Any]) -> dict[str, Any]:
    path = folder / "rom.sha"
    hashes = path.read_text("ascii", "replace").split() if path.is_file() else []
    rom: dict[str, Any] = {"sha1": [one for one in hashes if re.fullmatch(r"[0-9a-fA-F]{40}", one)]}
    if isinstance(name := metadata.get("original_rom_name"), str):
        rom["file"] = name
    return rom


def _rom_files(folder: Path, system: str) -> Iterator[Path]:
    """Where stable-retro's own import puts a ROM."""
    for extension in system_info().get(system, {}).get("ext", ()):
        yield folder / f"rom.{extension}"


def _json(path: Path) -> dict[str, Any]:
    try:
        if path.stat().st_size > MAX_JSON:
            raise GameError(f"{path}: larger than {MAX_JSON >> 20} MiB")
        table = json.loads(path.read_text("utf-8"))
    except OSError as wrong:
        raise GameError(f"{path}: {wrong.strerror}") from None
    except (ValueError, RecursionError) as wrong:
        raise GameError(f"{path}: {str(wrong).splitlines()[0]}") from None
    if not isinstance(table, dict):
        raise GameError(f"{path}: not a JSON object")
    return table
