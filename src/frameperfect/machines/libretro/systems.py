"""The consoles: their buttons, where their memory lies, and which cores play them.

Button order is the order of BizHawk's movie columns. RetroPad numbers are libretro's (libretro.h,
`RETRO_DEVICE_ID_JOYPAD_*`); which console button sits on which RetroPad button is each core's choice and
documented at https://docs.libretro.com/. Work-RAM addresses are the consoles' own memory maps.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from frameperfect.machine import Controller

B, Y, SELECT, START, UP, DOWN, LEFT, RIGHT, A, X, L, R, L2, R2, L3, R3 = range(16)

_DPAD = {"Up": UP, "Down": DOWN, "Left": LEFT, "Right": RIGHT}
_MEGA_DRIVE = {**_DPAD, "A": Y, "B": B, "C": A, "Start": START, "X": L, "Y": X, "Z": R, "Mode": SELECT}
_TWO_BUTTONS = {**_DPAD, "Select": SELECT, "Start": START, "B": B, "A": A}
_SEGA_8BIT = {**_DPAD, "B1": B, "B2": A, "Start": START}
_SHOULDERS = {**_DPAD, "Select": SELECT, "Start": START, "B": B, "A": A, "L": L, "R": R}


@dataclass(frozen=True)
class System:
    """One console as libretro cores see it.

    `ram_base` is the console's address of the work RAM where the core does not tell it; `swaps` names the
    cores that keep the work RAM's 16-bit words in the host's order.
    """

    name: str
    cores: tuple[str, ...]
    """Those that play it, the default one first (chosen by measurement: see docs/cores.md)."""
    buttons: Mapping[str, int]
    ports: int = 2
    extensions: tuple[str, ...] = ()
    ram_base: int = 0
    ram_size: int | None = None
    """Bytes of work RAM, where a core's block is longer than the console's."""
    blocks: Mapping[int, str] = field(default_factory=dict)
    """What lies at these addresses, for blocks that a core's memory map leaves without a name."""
    swaps: frozenset[str] = frozenset()
    pointer: str = "<u4"
    address_bits: int = 32
    axes: tuple[str, ...] = ()
    touch: bool = False
    reset_button: bool = True
    actions: tuple[tuple[str, ...], ...] = field(default=())
    """Groups of button combinations; an agent chooses one of each group."""

    @property
    def controller(self) -> Controller:
        """What is plugged into each port."""
        return Controller(tuple(self.buttons), self.axes, self.touch)


_GAME_BOY = {0x8000: "vram", 0xA000: "cartridge_ram", 0xFE00: "oam", 0xFF80: "hram"}
_VERTICAL = ("", "Up", "Down")
_HORIZONTAL = ("", "Left", "Right")
_SIX_BUTTONS = ("", "A", "B", "C", "X", "Y", "Z", "A B", "B C", "A X", "B Y", "C Z", "X Y", "Y Z")
_PADS = (_VERTICAL, _HORIZONTAL)
_SWAPPED_68K = frozenset({"genesis_plus_gx", "picodrive"})

_ALL = (
    System(
        "Nes", ("fceumm",), _TWO_BUTTONS, 2, ("nes", "fds", "unf", "unif"), blocks={0x6000: "wram"},
        pointer="<u2", address_bits=16, actions=(*_PADS, ("", "A", "B", "A B")),
    ),
    System(
        "GameBoy", ("gambatte",), _TWO_BUTTONS, 1, ("gb",), ram_base=0xC000, blocks=_GAME_BOY,
        pointer="<u2", address_bits=16, reset_button=False,
        actions=(*_PADS, ("", "A", "B", "Select", "A B", "A Select", "B Select", "A B Select")),
    ),
    System(
        "GbColor", ("gambatte",), _TWO_BUTTONS, 1, ("gbc",), ram_base=0xC000, blocks=_GAME_BOY,
        pointer="<u2", address_bits=16, reset_button=False,
        actions=(*_PADS, ("", "A", "B", "Select", "A B", "A Select", "B Select", "A B Select")),
    ),
    System(
        "GbAdvance", ("mgba",), _SHOULDERS, 1, ("gba",), ram_base=0x02000000, reset_button=False,
        blocks={
            0x0000000: "bios", 0x3000000: "iwram", 0x4000000: "io", 0x5000000: "palette", 0x7000000: "oam",
        },
        actions=(
            *_PADS, ("", "A", "B", "Select", "A B", "A Select", "B Select", "A B Select"),
            ("", "L", "R", "L R"),
        ),
    ),
    System(
        "Snes", ("snes9x",),
        {**_DPAD, "Select": SELECT, "Start": START, "B": B, "A": A, "Y": Y, "X": X, "L": L, "R": R}, 2,
        ("sfc", "smc"), ram_base=0x7E0000, blocks={0x700000: "cartridge_ram"}, pointer="<u3", address_bits=24,
        actions=(
            *_PADS,
            ("", "A", "B", "X", "Y", "A B", "B Y", "Y X", "X A", "A B Y", "B Y X", "Y X A", "A B Y X"),
            ("", "L", "R", "L R"),
        ),
    ),
    System(
        "Genesis", ("picodrive", "genesis_plus_gx"), _MEGA_DRIVE, 2, ("md", "gen", "smd", "bin"),
        ram_base=0xFF0000, swaps=_SWAPPED_68K, pointer=">u4", address_bits=24, actions=(*_PADS, _SIX_BUTTONS),
    ),
    System(
        "Sms", ("genesis_plus_gx", "picodrive"), _SEGA_8BIT, 2, ("sms",), ram_base=0xC000, ram_size=0x2000,
        pointer="<u2", address_bits=16, actions=(*_PADS, ("", "B1", "B2", "B1 B2")),
    ),
    System(
        "GameGear", ("genesis_plus_gx", "picodrive"), _SEGA_8BIT, 1, ("gg",), ram_base=0xC000,
        ram_size=0x2000, pointer="<u2", address_bits=16, reset_button=False,
        actions=(*_PADS, ("", "B1", "B2", "B1 B2")),
    ),
    System(
        "SCD", ("picodrive", "genesis_plus_gx"), _MEGA_DRIVE, 2, ("scd", "cue"), ram_base=0xFF0000,
        swaps=_SWAPPED_68K, pointer=">u4", address_bits=24, actions=(*_PADS, _SIX_BUTTONS),
    ),
    System(
        "32x", ("picodrive",), _MEGA_DRIVE, 2, ("32x",), ram_base=0xFF0000,
        swaps=_SWAPPED_68K, pointer=">u4", address_bits=24, actions=(*_PADS, _SIX_BUTTONS),
    ),
    System(
        "PCEngine", ("mednafen_pce_fast",),
        {**_DPAD, "Select": SELECT, "Run": START, "I": A, "II": B}, 2,
        ("pce",), ram_base=0xF80000, ram_size=0x2000, pointer="<u2", address_bits=16, reset_button=False,
        actions=(*_PADS, ("", "I", "II", "I II")),
    ),
    System(
        "Saturn", ("mednafen_saturn",),
        {**_DPAD, "A": Y, "B": B, "C": A, "Start": START, "X": X, "Y": L, "Z": R, "L": L2, "R": R2}, 2,
        ("chd",), swaps=frozenset({"mednafen_saturn"}), pointer=">u4", address_bits=27,
        actions=(*_PADS, _SIX_BUTTONS),
    ),
    System(
        "NintendoDs", ("melonds",),
        {**_DPAD, "Select": SELECT, "Start": START, "B": B, "A": A, "Y": Y, "X": X, "L": L, "R": R}, 1,
        ("nds",), ram_base=0x02000000, touch=True, reset_button=False,
        actions=(*_PADS, ("", "A", "B", "X", "Y", "Select", "A B", "X Y"), ("", "L", "R", "L R")),
    ),
    System(
        "N64", ("parallel_n64",),
        {**_DPAD, "Start": START, "Z": L2, "B": Y, "A": B, "L": L, "R": R}, 4, ("n64", "v64", "z64"),
        pointer=">u4", address_bits=29, axes=("X Axis", "Y Axis", "C X Axis", "C Y Axis"),
        actions=(*_PADS, ("", "A", "B", "Z", "L", "R", "Start")),
    ),
    System(
        "Atari2600", ("stella",),
        {**_DPAD, "Button": B, "Select": SELECT, "Reset": START}, 2, ("a26",), ram_base=0x80,
        pointer="<u2", address_bits=13, reset_button=False, actions=(*_PADS, ("", "Button")),
    ),
    System(
        "FBNeo", ("fbneo",),
        {**_DPAD, "Coin": SELECT, "Start": START, "B1": B, "B2": A, "B3": Y, "B4": X, "B5": L, "B6": R}, 2,
        ("zip",), pointer=">u4", address_bits=24,
        actions=(*_PADS, ("", "B1", "B2", "B3", "B4", "B5", "B6", "B1 B2", "B3 B4")),
    ),
)  # fmt: skip

SYSTEMS: Mapping[str, System] = {system.name: system for system in _ALL}


def find_system(name: str) -> System | None:
    """The system of that name, in any case."""
    return next((system for system in _ALL if system.name.lower() == name.lower()), None)


def system_of_extension(suffix: str) -> System | None:
    """The system whose programs end in `suffix` (".md"); an extension that several share names the first."""
    extension = suffix.lower().lstrip(".")
    return next((system for system in _ALL if extension in system.extensions), None)
