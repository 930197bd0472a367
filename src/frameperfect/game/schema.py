"""The sections of a `game.toml`: their keys, their types, and errors that name file, key and the fix.

Every table is closed: a key that is not known is an error that suggests the nearest one.
"""

from __future__ import annotations

import keyword
import re
import sys
from pathlib import Path
from typing import Annotated, Any

from pydantic import (
    BaseModel,
    BeforeValidator,
    Field,
    ValidationError,
    field_validator,
    model_validator,
)

from frameperfect.errors import GameError
from frameperfect.game.registry import MAX_TOML
from frameperfect.game.search_section import (
    SearchJerk,
    SearchMagnet,
    SearchPin,
    SearchRule,
    SearchSection,
    filled,
)
from frameperfect.game.section import Combinations, Expression, Pair, Section, as_tuple
from frameperfect.game.suggest import did_you_mean
from frameperfect.memory import Block, Variable

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib


class Rom(Section):
    """`rom = { file = "skyrunner.nes", sha1 = "…" }`: beside `game.toml`, or found by its hash."""

    file: str | None = None
    """Relative to the folder of `game.toml`."""
    sha1: Annotated[list[str], BeforeValidator(lambda v: [v] if isinstance(v, str) else v)] = []
    """Of the whole file, or of what follows its dumper's header; several where several dumps will do."""

    @field_validator("sha1")
    @classmethod
    def _hex(cls, value: list[str]) -> list[str]:
        for one in value:
            if not re.fullmatch(r"[0-9a-fA-F]{40}", one):
                raise ValueError(f"'{one}' is no SHA-1: 40 hex digits")
        return [one.lower() for one in value]


class GameSection(Section):
    """`[game]`: which program runs on which machine."""

    name: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.+\-]*$", max_length=120)
    """Letters, digits, `_ . + -`; by custom the game's name, a hyphen and the system's."""
    machine: str = "libretro"
    """The backend: `libretro`, `atari`, or one of an entry point."""
    system: str | None = None
    """The console, as `Nes` or `Genesis`; without it, what the ROM's extension says."""
    core: str | None = None
    """Where only one will do; otherwise the system's default is used."""
    options: dict[str, str | dict[str, str]] = {}
    """Settings of the machine or core, by its own names; those in a table hold for the core of its name."""
    rom: Rom | None = None
    """The program: a file, its hash, or both."""
    program: str | None = None
    """The program's own name, where the machine finds it by name (an Atari game of ale-py)."""
    start: str | None = None
    """The start that is used where none is asked for; without it, the first of `[start.*]`."""
    title: str = ""
    """The game's name as people write it."""
    about: str = ""
    """A sentence on what one does in it."""


class VariableSpec(Section):
    """`x = { address = 0x300, type = "<u2", scale = 256 }`; see `frameperfect.memory.Variable`."""

    address: int | None = Field(None, ge=0, lt=1 << 64)
    """The console's own; with `domain`, an offset into that."""
    type: str = "u1"
    """Byte order, kind and width: `>u2`, `<i4`, `d1` (BCD), `n2` (BCD in low nybbles), `<f4`."""
    domain: str | None = None
    """A domain by name, for memory that lies on no bus."""
    mask: int | None = None
    """Keep these bits, in place."""
    bit: int | None = None
    """Pick one bit, as 0 or 1."""
    scale: int | float = 1
    """What the value is divided by: 256 for eight bits of fraction."""
    pointer: list[int] | None = None
    """In the place of an address: that of the first pointer, then what is added after each dereference."""
    unit: str = ""
    """For people: px, frame, …"""
    about: str = ""
    """For people."""

    def build(self, name: str) -> Variable:
        """The variable; raises GameError where its fields contradict each other."""
        address = -1 if self.address is None else self.address
        pointer = None if self.pointer is None else tuple(self.pointer)
        return Variable(
            name,
            address,
            self.type,
            self.domain,
            self.mask,
            self.bit,
            self.scale,
            pointer,
            self.unit,
            self.about,
        )


class DomainSpec(Section):
    """`[domain.player]`: a part of a native game's memory, where variables lie (`frameperfect.memory.Block`).

    One of `pattern`, `rtti`, `image` and `stack` says where to begin, and `chain` how to go on.
    """

    size: int = Field(ge=1, le=1 << 16)
    """Its bytes."""
    pattern: str | None = Field(None, pattern=r"^ *([0-9a-fA-F]{2}|\?\?)( +([0-9a-fA-F]{2}|\?\?))* *$")
    """Bytes of the program that stand in one place: `48 8b 05 ?? ?? ?? ??`, `??` for any."""
    at: int | None = Field(None, ge=0, le=4096)
    """So many bytes behind the pattern's begin an address is kept; without this, that is the place."""
    relative: bool = False
    """It is kept as a distance from its own end, in four bytes, as 64-bit x86 code does."""
    rtti: str | None = Field(None, min_length=2)
    """A C++ class with virtual functions, as the compiler writes its name: `6Player`, `.?AVPlayer@@`."""
    index: int = Field(0, ge=0)
    """Which of that class' objects, by address."""
    image: int | None = Field(None, ge=0, lt=1 << 63)
    """An offset from where the program is loaded."""
    stack: int | None = Field(None, lt=0)
    """An offset from where the first thread's stack begins."""
    chain: list[int] = Field([], max_length=12)
    """Pointers from there: each is read, and a number added: `[0x10, 0x8]`."""
    hashed: bool = True
    """Whether its bytes are equal in equal runs; false where it holds pointers."""

    @model_validator(mode="after")
    def _one(self) -> DomainSpec:
        marks = [self.pattern, self.rtti, self.image, self.stack]
        if sum(mark is not None for mark in marks) != 1:
            raise ValueError("give one of 'pattern', 'rtti', 'image' and 'stack'")
        if self.pattern is None and (self.at is not None or self.relative):
            raise ValueError("'at' and 'relative' go with 'pattern'")
        if self.relative and self.at is None:
            raise ValueError("'relative' needs 'at': where behind the pattern's begin the distance is kept")
        if self.pattern is not None and not self.pattern.strip(" ?"):
            raise ValueError("'pattern' needs a byte that is known")
        return self

    def build(self) -> Block:
        """What the machine is told."""
        return Block(**self.model_dump() | {"chain": tuple(self.chain)})


class StartSpec(Section):
    """`[start.stage1]`: a movie from power-on, or a state in the core's own format."""

    movie: str | None = None
    """A movie beside `game.toml`, played from power-on to its end; any core can play it."""
    state: str | None = None
    """A state file beside `game.toml`, gzipped or plain; only `core` can read it."""
    core: str | None = None
    """The core that made the state."""
    settle: int = Field(0, ge=0, le=3600)
    """Frames without input after it."""
    about: str = ""
    """For people."""

    @model_validator(mode="after")
    def _one(self) -> StartSpec:
        if (self.movie is None) == (self.state is None):
            raise ValueError("give either 'movie' or 'state'")
        if self.state is not None and self.core is None:
            raise ValueError("a 'state' needs 'core': the core that it was saved with")
        return self


class ObservationSection(Section):
    """`[observation]`."""

    features: list[Expression] = []
    """Expressions, or names of functions in `features.py` beside `game.toml`."""
    presets: dict[str, list[Expression]] = {}
    """Other such lists by name: the observation "features:NAME"."""
    crop: Annotated[tuple[int, int, int, int], BeforeValidator(as_tuple)] | None = None
    """The part of the screen worth seeing: top, left, height, width (0: to the edge)."""
    info: list[str] | None = None
    """The variables and definitions that an environment's info holds; all where this is left out."""


class EndSection(Section):
    """`[end]`: when an episode is over, whether it was won, and the run's clock."""

    terminated: Expression | None = None
    """The episode is over, by the game's own rules."""
    truncated: Expression | None = None
    """It is cut off: too long, or nothing happens any more."""
    success: Expression | None = None
    """The goal is reached; `info["success"]`."""
    time: Expression | None = None
    """The run's clock, in frames; what leaderboards compare."""


class ViewSection(Section):
    """`[view]`: what pictures of a run show; all by the names of variables or definitions."""

    trail: Pair | None = None
    """Where the player is in the world, x and y in pixels: `trail = ["x", "y"]`."""
    camera: Pair | None = None
    """The world's place at the left top of the screen; without it, the world is the screen."""
    scene: list[str] | None = None
    """What has to be equal for two places to be in one world: `scene = ["stage"]`. What is elsewhere, a ghost
    or a part of the trail, is not drawn."""
    hud: list[str] | None = None
    """What the panel beneath a picture shows; without it, the info of `[observation]`, else all variables."""


class ScriptSection(Section):
    """`[script]`: Lua functions in the place of expressions, as in stable-retro's scenarios."""

    files: list[str]
    """Lua files beside `game.toml`, loaded in this order."""
    reward: str | None = None
    """The function that gives the step's reward."""
    terminated: str | None = None
    """The function that says whether the episode is over."""


_RESERVED = {"prev", "true", "false", *keyword.kwlist}


def _names(value: dict[str, Any]) -> dict[str, Any]:
    for name in value:
        if not name.isidentifier() or name in _RESERVED:
            raise ValueError(
                f"'{name}' can't be used in expressions; write letters, digits and '_', like 'boss_hp'"
            )
    return value


class Definition(Section):
    """A whole `game.toml`."""

    game: GameSection
    domain: dict[str, DomainSpec] = {}
    memory: Annotated[dict[str, VariableSpec], BeforeValidator(_names)] = {}
    start: dict[str, StartSpec] = {}
    actions: dict[str, Combinations] = {}
    """Presets by name; the first is the default. `["", "Right", "Right A"]` is one choice of three; a list of
    such lists is one choice from each, pressed together."""
    observation: ObservationSection = ObservationSection()
    reward: dict[str, Expression] = {}
    """Named terms, expressions that are added up at each step."""
    end: EndSection = EndSection()
    define: Annotated[dict[str, Expression], BeforeValidator(_names)] = {}
    """Names for expressions; they may use each other, not in a circle."""
    script: ScriptSection | None = None
    view: ViewSection = ViewSection()
    search: dict[str, SearchSection] = {}
    """Searches by name; the first is the default."""
    train: dict[str, dict[str, Any]] = {}
    """By algorithm, settings of a learner that do well on this game's features; `frameperfect train` begins
    with them."""

    @field_validator("search", mode="before")
    @classmethod
    def _filled(cls, tables: Any) -> Any:
        return {name: filled(tables, name, ()) for name in tables} if isinstance(tables, dict) else tables

    @model_validator(mode="after")
    def _consistent(self) -> Definition:
        both = self.memory.keys() & self.define.keys()
        if both:
            raise ValueError(f"'{min(both)}' is in both [memory] and [define]; rename one")
        if self.game.start is not None and self.game.start not in self.start:
            hint = did_you_mean(self.game.start, self.start)
            raise ValueError(f"[game] start: no [start.{self.game.start}].{hint}")
        known = [*self.memory, *self.define]
        for key in ("trail", "camera", "scene", "hud"):
            for name in getattr(self.view, key) or ():
                if name not in known:
                    hint = did_you_mean(name, known) or f" There are {', '.join(known)}."
                    raise ValueError(f"[view] {key}: '{name}' is no variable or definition.{hint}")
        return self


def parse_toml(text: str, where: str) -> Definition:
    """The definition that the text of a `game.toml` holds.

    Raises:
        GameError: one line that names `where`, the key and the fix.
    """
    try:
        table = tomllib.loads(text)
    except (tomllib.TOMLDecodeError, RecursionError) as wrong:
        raise GameError(f"{where}: {str(wrong).splitlines()[0]}") from None
    return check(table, where)


def check(table: dict[str, Any], where: str) -> Definition:
    """The definition that a parsed `game.toml` holds; raises GameError as `parse_toml` does."""
    try:
        return Definition.model_validate(table)
    except ValidationError as wrong:
        raise GameError(f"{where}: {_explain(wrong)}") from None


def read_toml(path: Path) -> Definition:
    """The definition in a file; raises GameError as `parse_toml` does, and where it can't be read."""
    try:
        if path.stat().st_size > MAX_TOML:
            raise GameError(f"{path}: larger than {MAX_TOML >> 20} MiB; this is no game.toml")
        text = path.read_text("utf-8")
    except OSError as wrong:
        raise GameError(f"{path}: {wrong.strerror}") from None
    except UnicodeDecodeError as wrong:
        raise GameError(f"{path}: not UTF-8 at byte {wrong.start}; save it as UTF-8") from None
    return parse_toml(text, str(path))


def _explain(wrong: ValidationError) -> str:
    """The first of pydantic's errors, in our words: table, key, what is wrong, the fix."""
    errors = wrong.errors()
    error = next((e for e in errors if e["type"] == "extra_forbidden"), errors[0])
    path = [str(part) for part in error["loc"]]
    if error["type"] == "extra_forbidden":
        known = _keys(path[:-1])
        hint = did_you_mean(path[-1], known) or f" There are {', '.join(known)}."
        return f"{_table(path[:-1])}unknown key '{path[-1]}'.{hint}"
    if error["type"] == "missing":
        if path == ["game"]:
            return "no [game] table; it needs at least: name, system, rom"
        return f"{_table(path[:-1])}'{path[-1]}' is missing"
    message = str(error["ctx"]["error"]) if error["type"] == "value_error" else error["msg"]
    if path and path[0] == "actions":
        return f'[actions] {path[1]}: give a list like ["", "Right", "Right A"], or a list of such lists'
    return f"{_table(path[:-1])}{path[-1]}: {message}" if path else message


def _table(path: list[str]) -> str:
    if not path:
        return ""
    if path[0] in ("domain", "start", "search") and len(path) > 1:
        return f"[{path[0]}.{path[1]}] {'.'.join(path[2:])}".rstrip() + " "
    return f"[{path[0]}] {'.'.join(path[1:])}".rstrip() + (": " if len(path) > 1 else " ")


def _keys(path: list[str]) -> list[str]:
    """The known keys of the table at `path`."""
    tables: dict[tuple[str, ...], type[BaseModel]] = {
        (): Definition, ("game",): GameSection, ("game", "rom"): Rom, ("memory", "*"): VariableSpec,
            ("domain", "*"): DomainSpec,
        ("start", "*"): StartSpec, ("observation",): ObservationSection, ("end",): EndSection,
        ("script",): ScriptSection, ("view",): ViewSection, ("search", "*"): SearchSection,
        ("search", "*", "rule", "*"): SearchRule, ("search", "*", "magnet", "*"): SearchMagnet,
        ("search", "*", "pin"): SearchPin, ("search", "*", "jerk"): SearchJerk,
    }  # fmt: skip
    key = tuple(path)
    if len(key) >= 2 and key[0] in ("domain", "memory", "start", "search"):
        key = (key[0], "*", *key[2:])
    if len(key) == 4:
        key = (*key[:3], "*")
    return list(tables[key].model_fields)
