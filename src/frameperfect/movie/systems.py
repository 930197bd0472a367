"""The columns that a console has in BizHawk's movie files, in what order, and by which characters.

After https://github.com/TASEmulators/BizHawk (the cores' controller definitions, Bk2MnemonicLookup.cs). A
file's own LogKey has the last word when reading; this table is for writing, and for what a column means here.
A button bears the same name there and on our machines.
"""

from __future__ import annotations

from dataclasses import dataclass, field

_DPAD = ("Up", "Down", "Left", "Right")
_MEGA_DRIVE = (*_DPAD, "A", "B", "C", "Start", "X", "Y", "Z", "Mode")
_GAME_BOY = (*_DPAD, "Start", "Select", "B", "A")
_POWER_RESET = ("Power", "Reset")


@dataclass(frozen=True, slots=True)
class System:
    """One console as bk2 files know it."""

    platform: str
    """BizHawk's short name of it, in the file's header."""
    buttons: tuple[str, ...]
    """A pad's columns, in order."""
    frame_rate: float
    console: tuple[str, ...] = ("Reset", "Power")
    """The columns of the console itself, in order."""
    switches: dict[str, str] = field(default_factory=dict)
    """Console columns that are no commands but buttons of port 0: the column -> our button."""
    numbered: bool = True
    """Whether a column says `P1 `; those of handhelds don't."""
    marks: dict[str, str] = field(default_factory=dict)
    """Characters that differ from the usual ones."""
    retro: str = ""
    """stable-retro's name of it in a movie's header, where that is not BizHawk's."""
    retro_core: str = ""
    """The core that stable-retro plays it with, whose states its movies hold."""


SYSTEMS = {
    "nes": System("NES", _GAME_BOY, 60.0988138974, retro_core="fceumm"),
    "snes": System(
        "SNES", (*_DPAD, "Select", "Start", "Y", "B", "X", "A", "L", "R"), 60.0988138974, retro_core="snes9x"
    ),
    "genesis": System("GEN", _MEGA_DRIVE, 59.9227434043, console=_POWER_RESET, retro_core="genesis_plus_gx"),
    "scd": System(
        "GENCD", _MEGA_DRIVE, 59.9227434043, console=_POWER_RESET, retro="SCD", retro_core="genesis_plus_gx"
    ),
    "32x": System(
        "32X", _MEGA_DRIVE, 59.9227434043, console=_POWER_RESET, retro="32x", retro_core="picodrive"
    ),
    "sms": System(
        "SMS",
        (*_DPAD, "B1", "B2"),
        59.9227434043,
        console=("Reset", "Pause"),
        switches={"Pause": "Start"},
        retro="Sms",
        retro_core="genesis_plus_gx",
    ),
    "gamegear": System(
        "GG", (*_DPAD, "B1", "B2", "Start"), 59.9227434043, retro="GameGear", retro_core="genesis_plus_gx"
    ),
    "gameboy": System(
        "GB",
        _GAME_BOY,
        59.7275005696,
        console=("Power",),
        numbered=False,
        retro="GameBoy",
        retro_core="gambatte",
    ),
    "gbcolor": System(
        "GBC",
        _GAME_BOY,
        59.7275005696,
        console=("Power",),
        numbered=False,
        retro="GbColor",
        retro_core="gambatte",
    ),
    "gbadvance": System(
        "GBA",
        (*_GAME_BOY, "L", "R"),
        59.7275005696,
        console=("Power",),
        numbered=False,
        retro="GbAdvance",
        retro_core="mgba",
    ),
    "pcengine": System(
        "PCE",
        (*_DPAD, "Select", "Run", "I", "II", "III", "IV", "V", "VI"),
        59.8261057,
        marks={"I": "1", "II": "2", "III": "3", "IV": "4", "V": "5", "VI": "6"},
        retro="PCEngine",
        retro_core="mednafen_pce_fast",
    ),
    "atari2600": System(
        "A26",
        (*_DPAD, "Button"),
        59.9227510135,
        console=("Reset", "Select", "Power", "Toggle Left Difficulty", "Toggle Right Difficulty"),
        switches={
            name: name for name in ("Reset", "Select", "Toggle Left Difficulty", "Toggle Right Difficulty")
        },
        retro_core="stella",
    ),
    "n64": System(
        "N64",
        (*_DPAD, "Start", "Z", "B", "A", "L", "R"),
        60.0,
        console=_POWER_RESET,
        retro="N64",
        retro_core="parallel_n64",
    ),
}

# Characters shared by all consoles; a name of one character is its own, anything else is '!'.
_MARKS = {
    "Power": "P", "Reset": "r", "Pause": "p", "Up": "U", "Down": "D", "Left": "L", "Right": "R",
    "Select": "s", "Start": "S", "Run": "R", "L": "l", "R": "r", "L1": "l", "R1": "r", "L2": "L", "R2": "R",
    "L3": "<", "R3": ">", "Button": "B", "B1": "1", "B2": "2", "Mode": "M", "Fire": "F", "Trigger": "1",
    "Toggle Left Difficulty": "l", "Toggle Right Difficulty": "r",
}  # fmt: skip
# stable-retro's own characters: it reads a record by these, and by no column order.
RETRO_MARKS = {
    "A": "A", "B": "B", "C": "C", "X": "X", "Y": "Y", "Z": "Z", "Start": "S", "Select": "s", "Mode": "M",
    "Up": "U", "Down": "D", "Left": "L", "Right": "R", "L": "l", "R": "r", "Button": "B", "Fire": "B",
}  # fmt: skip


def find(name: str) -> tuple[str, System | None]:
    """The console of that platform name, BizHawk's or stable-retro's: our name for it and what we know."""
    for ours, system in SYSTEMS.items():
        if name and name in (system.platform, system.retro):
            return ours, system
    return "", None


def mark(name: str, system: System | None) -> str:
    """The character that says that button `name` is pressed."""
    if system is not None and name in system.marks:
        return system.marks[name]
    one = _MARKS.get(name, name if len(name) == 1 else "!")
    return "!" if one in ".|, \n\r" else one
