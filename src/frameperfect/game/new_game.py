"""A commented `game.toml` to start from: it loads and runs as it is, and says what to fill in."""

from __future__ import annotations

from pathlib import Path

from frameperfect.errors import GameError
from frameperfect.game import folders
from frameperfect.game.game import Game, rom_hashes
from frameperfect.game.roms import game_of_rom
from frameperfect.game.toml import write_toml
from frameperfect.machine import Machine, open_machine

_HELP = """\
# [memory]: what you can read by name. Addresses are the console's own, as RAM maps on the web have them.
# This machine's memory: {domains}.
# {example}
#
# [reward]: terms that are added up at each step; delta(x) is x minus its value at the step before.
# progress = "max(delta(x), 0)"
# death    = "-10 * died"
#
# [end]: when an episode is over, whether it was won, and the clock of the run.
# terminated = "died or won"
# success    = "won"
#
# [define]: names for expressions.
# died = "lives < prev.lives"
#
# [observation]: what an agent gets as "features".
# features = ["x", "delta(x)"]
#
# [start.level1]: a movie from power-on into the game (`frameperfect record` makes one).
# movie = "level1.fpm"
"""


def write_new_game(rom: Path, folder: Path | None = None) -> Path:
    """Write a `game.toml` for a ROM, with the ROM beside it; returns the path of the file.

    What is known of the game already (its memory map, rules and starts) is in it, with the files that they
    need. Python functions of its features come along only into the user's games, where Python code is run.

    Args:
        rom: the program.
        folder: a new or empty-of-games folder; one in the user's games where None.

    Raises:
        UnknownGame: no machine plays the ROM.
        MachineError: the core refuses it.
        GameError: a game.toml is there already, or the disk is full.
    """
    rom = Path(rom)
    if not rom.is_file():
        raise GameError(f"no file '{rom}'; give the path of a ROM")
    game = game_of_rom(rom)
    definition = game.definition
    known = game.source != "path"
    name = definition.game.name
    if not known and definition.game.system and not name.lower().endswith(definition.game.system.lower()):
        name = f"{name}-{definition.game.system}"
    folder = folders.home() / "games" / name if folder is None else Path(folder)
    target = folder / "game.toml"
    if target.exists():
        raise GameError(f"'{target}' is there already; name another folder")
    with open_machine(game.spec()) as machine:
        section = definition.game.model_copy(
            update={
                "name": name,
                "rom": _rom_entry(rom),
                "program": None,
            }
        )
        actions = dict(game.actions) or {"pad": _groups(machine)}
        observation, files = definition.observation, {}
        code = game.folder / "features.py" if game.folder is not None else None
        if code is not None and code.is_file() and folder.resolve().is_relative_to(folders.home().resolve()):
            files["features.py"] = code
        else:
            named = definition.memory.keys() | definition.define.keys()
            features = [f for f in observation.features if not f.isidentifier() or f in named]
            observation = observation.model_copy(update={"features": features})
        starts = {}
        for label, start in definition.start.items():
            kind = "movie" if start.movie is not None else "state"
            path = game.file(getattr(start, kind))
            files[path.name] = path
            starts[label] = start.model_copy(update={kind: path.name})
        fresh = definition.model_copy(
            update={"game": section, "start": starts, "actions": actions, "observation": observation}
        )
        help_text = _HELP.format(domains=_domains(machine), example=_example(machine))
        buttons = ", ".join(machine.controllers[0].buttons) if machine.controllers else "none"
    text = write_toml(fresh)
    heading = f"# {name}: a game of frameperfect. `frameperfect watch '{folder}'` shows it.\n"
    if known:
        heading += f"# All of it is what {game.source} knows of this ROM: change what you like.\n"
    actions_help = (
        f"# Combinations of buttons that an agent chooses from, one of each list. Buttons: {buttons}.\n"
    )
    text = text.replace("[actions]\n", f"{actions_help}[actions]\n", 1)
    try:
        if not (folder / rom.name).exists() or (folder / rom.name).resolve() != rom.resolve():
            folders.write_whole(folder / rom.name, rom.read_bytes())
        for file, path in files.items():
            folders.write_whole(folder / file, path.read_bytes())
        folders.write_whole(target, f"{heading}{text}\n{help_text}".encode())
    except OSError as wrong:
        raise GameError(f"{folder}: {wrong.strerror or wrong}") from None
    Game.from_folder(folder, "path")
    return target


def _rom_entry(rom: Path) -> object:
    from frameperfect.game.schema import Rom

    return Rom(file=rom.name, sha1=[rom_hashes(rom)[0]])


def _groups(machine: Machine) -> list[list[str]]:
    """The directions as two groups, and each other button alone."""
    buttons = machine.controllers[0].buttons if machine.controllers else ()
    stick = [["", *(b for b in pair if b in buttons)] for pair in (("Up", "Down"), ("Left", "Right"))]
    rest = [
        b for b in buttons if b not in ("Up", "Down", "Left", "Right", "Start", "Select", "Mode", "Reset")
    ]
    return [*stick, ["", *rest]]


def _domains(machine: Machine) -> str:
    return ", ".join(
        f"{d.name} ({d.size:,} bytes at {d.base:#x})"
        if 0 < d.base < 1 << 32
        else f"{d.name} ({d.size:,} bytes)"
        for d in machine.domains.values()
    )


def _example(machine: Machine) -> str:
    domain = next(iter(machine.domains.values()), None)
    if domain is None:
        return "x = { address = 0x0000, type = '<u2' }"
    order = ">" if domain.pointer.startswith(">") else "<"
    return f'x = {{ address = {domain.base + 0x10:#x}, type = "{order}u2", unit = "px" }}'
