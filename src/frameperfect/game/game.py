"""A game: its definition, the folder it lies in, and what a machine and an environment need of it."""

from __future__ import annotations

import functools
import hashlib
import importlib.util
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from frameperfect.errors import GameError, MissingComponent, MissingRom
from frameperfect.game import folders
from frameperfect.game.registry import stable_retro_folders
from frameperfect.game.rules import FeatureFunction, Rules, Script
from frameperfect.game.schema import (
    Definition,
    EndSection,
    ObservationSection,
    StartSpec,
    ViewSection,
    read_toml,
)
from frameperfect.game.search_section import SearchSection
from frameperfect.game.section import Combinations
from frameperfect.game.suggest import did_you_mean
from frameperfect.machine import Machine, MachineSpec, backend
from frameperfect.memory import Domain, Variable

TRUSTED = ("bundled", "user")
"""Sources whose `features.py` is run: a part of the product, or put there by the user."""


class Game:
    """What a game is, from whatever source.

    Attributes:
        definition: the sections of its `game.toml`.
        source: where it was found: "bundled", "user", an entry point's name, "stable-retro", "ale" or "path".
        folder: what its files are relative to; None for a game without files.
    """

    definition: Definition
    source: str
    folder: Path | None

    def __init__(
        self, definition: Definition, source: str, folder: Path | None = None, program: Path | None = None
    ) -> None:
        self.definition, self.source, self.folder = definition, source, folder
        self._program = program
        self.where = (
            str(folder / "game.toml") if folder is not None and source != "stable-retro" else self.name
        )

    @classmethod
    def from_folder(cls, folder: Path, source: str) -> Game:
        """Read the `game.toml` in `folder`; raises GameError where it is wrong."""
        return cls(read_toml(folder / "game.toml"), source, folder)

    def redefined(self, define: Mapping[str, str]) -> Game:
        """The same game with other expressions for some of its `[define]`.

        Raises:
            GameError: it does not define one of the names.
        """
        if unknown := [name for name in define if name not in self.define]:
            hint = did_you_mean(unknown[0], self.define) or f" There are {', '.join(self.define) or 'none'}."
            raise GameError(f"{self.name} defines no '{unknown[0]}'.{hint}")
        if not define:
            return self
        changed = self.definition.model_copy(update={"define": {**self.define, **define}})
        game = Game(changed, self.source, self.folder, self._program)
        game.where = self.where
        return game

    def __repr__(self) -> str:
        return f"<Game {self.name} ({self.source})>"

    # -- the sections ------------------------------------------------------------------------------

    @property
    def name(self) -> str:
        """The name that `load_game` knows it by."""
        return self.definition.game.name

    @property
    def title(self) -> str:
        """Its name for people."""
        return self.definition.game.title or self.name

    @property
    def system(self) -> str | None:
        """The console, as the machine names it."""
        return self.definition.game.system

    @property
    def start(self) -> Mapping[str, StartSpec]:
        """The starts by name."""
        return self.definition.start

    @property
    def starts(self) -> tuple[str, ...]:
        """The names of the starts."""
        return tuple(self.definition.start)

    @property
    def default_start(self) -> str | None:
        """The start that is used where none is asked for; None for power-on."""
        return self.definition.game.start or next(iter(self.definition.start), None)

    @property
    def actions(self) -> Mapping[str, Combinations]:
        """Presets by name: a list of button combinations (discrete), or a list of groups of them."""
        return self.definition.actions

    @property
    def observation(self) -> ObservationSection:
        """What is worth seeing."""
        return self.definition.observation

    @property
    def reward(self) -> Mapping[str, str]:
        """The reward's terms by name."""
        return self.definition.reward

    @property
    def end(self) -> EndSection:
        """When an episode is over."""
        return self.definition.end

    @property
    def define(self) -> Mapping[str, str]:
        """Named expressions."""
        return self.definition.define

    @property
    def view(self) -> ViewSection:
        """What pictures of a run show."""
        return self.definition.view

    @property
    def search(self) -> Mapping[str, SearchSection]:
        """What may be searched for, by name."""
        return self.definition.search

    @property
    def train(self) -> Mapping[str, Mapping[str, Any]]:
        """By algorithm, settings of a learner that do well on the game's features."""
        return self.definition.train

    @property
    def has_reward(self) -> bool:
        """Whether anything is ever paid."""
        script = self.definition.script
        return bool(self.reward) or (script is not None and script.reward is not None)

    @property
    def has_end(self) -> bool:
        """Whether an episode ever ends by itself."""
        script = self.definition.script
        own = self.end.terminated is not None or self.end.truncated is not None
        return own or (script is not None and script.terminated is not None)

    # -- machine and memory ------------------------------------------------------------------------

    def spec(self, core: str | None = None, options: Mapping[str, str] | None = None) -> MachineSpec:
        """What the backend needs to open its machine.

        Args:
            core: instead of the game's own; an imported start state needs the one it was saved with, which is
                therefore the default.
            options: settings of the machine or core, over those of the game.

        Raises:
            MissingRom: its ROM is not here; names the hash.
            GameError: the ROM beside it is another one.
        """
        game = self.definition.game
        default = self.start[self.default_start] if self.default_start is not None else None
        core = core or game.core or (default.core if default is not None else None)
        chosen = {key: value for key, value in game.options.items() if isinstance(value, str)}
        own = game.options.get(core) if core is not None else None
        if isinstance(own, dict):
            chosen |= own
        return MachineSpec(
            backend=game.machine,
            program=self.find_rom() if game.program is None else None,
            name=game.program or "",
            system=game.system,
            core=core,
            options={**chosen, **(options or {})},
            blocks={name: domain.build() for name, domain in self.definition.domain.items()},
        )

    def find_rom(self) -> Path:
        """The path of its ROM; raises as `spec` does."""
        if self._program is not None:
            return self._program
        rom = self.definition.game.rom
        if rom is None:
            raise GameError(
                f"{self.where}: [game] says neither 'rom' nor 'program'; add rom = {{ file = \"…\" }}"
            )
        beside = self.folder / rom.file if self.folder is not None and rom.file is not None else None
        if beside is not None and beside.is_file():
            if rom.sha1 and not set(rom_hashes(beside)) & set(rom.sha1):
                raise GameError(
                    f"{beside}: SHA-1 {rom_hashes(beside)[0]} where {self.where} says {rom.sha1[0]}; "
                    "get the right ROM, or correct 'sha1' if this is it"
                )
            return beside
        for digest in rom.sha1:
            if (path := self._known_rom(digest, rom.file)) is not None:
                return path
        if not rom.sha1:
            raise MissingRom(f"{self.name}: no ROM at {beside or 'its place'}, and its hash is not known")
        more = f" (or {len(rom.sha1) - 1} others)" if len(rom.sha1) > 1 else ""
        raise MissingRom(
            f"{self.name} needs the ROM with SHA-1 {rom.sha1[0]}{more}: `frameperfect import DIR` takes it "
            "from your folder of ROMs"
        )

    def _known_rom(self, digest: str, file: str | None) -> Path | None:
        """The ROM of that hash among those imported, or in ale-py's wheel."""
        imported = folders.home() / "roms"
        if file is not None and (imported / digest / file).is_file():
            return imported / digest / file
        for name in _names_before(imported, ".").get(digest, ()):
            return imported / name
        for root in stable_retro_folders():  # its wheel has Airstriker; others may have been imported there
            for name in _names_before(root, "-v").get(self.name, ()):
                for path in (root / name).glob("rom.*"):
                    if digest in rom_hashes(path):
                        return path
        if self.system is not None and self.system.lower() == "atari2600":
            from frameperfect.game.roms import ale_roms

            return ale_roms().get(digest)
        return None

    @property
    def has_rom(self) -> bool:
        """Whether it can be played here and now."""
        game = self.definition.game
        if game.program is not None:
            try:
                has = getattr(backend(game.machine), "has", None)
            except MissingComponent:
                return False
            return has is None or bool(has(game.program))
        try:
            return self.find_rom().is_file()
        except (MissingRom, GameError):
            return False

    def variables(self, domains: Mapping[str, Domain]) -> dict[str, Variable]:
        """Its variables on a machine with these domains.

        An imported memory map may name addresses outside the core's memory, which stable-retro leaves out of
        info; so do we, and a rule that needs one is an error.

        Raises:
            GameError: a variable of a `game.toml` lies in no domain.
        """
        variables = {}
        for name, spec in self.definition.memory.items():
            try:
                variable = spec.build(name)
                variable.span(domains)
            except GameError as wrong:
                if self.source == "stable-retro":
                    continue
                raise GameError(f"{self.where}: [memory] {wrong}") from None
            variables[name] = variable
        return variables

    # -- rules -------------------------------------------------------------------------------------

    def rules(
        self,
        domains: Mapping[str, Domain],
        features: Sequence[str] | None = None,
        *,
        show_all: bool = False,
    ) -> Rules:
        """Its rules on a machine with these domains.

        Args:
            domains: the machine's.
            features: instead of those in `[observation]`.
            show_all: `values()` holds every variable and definition, whatever `[observation] info` says.

        Raises:
            GameError: an expression or `features.py` is wrong.
            MissingComponent: the rules are a Lua script and lupa is not installed.
        """
        chosen = list(self.observation.features if features is None else features)
        ends = {key: text for key, text in self.end.model_dump().items() if text is not None}
        return Rules(
            self.variables(domains),
            domains,
            define=self.define,
            reward=self.reward,
            end=ends,
            features=chosen,
            functions=self._features(chosen),
            info=None if show_all else self.observation.info,
            script=self._script(),
            where=self.where,
        )

    def _features(self, wanted: Sequence[str]) -> dict[str, FeatureFunction]:
        """The functions of `features.py` that `wanted` names."""
        path = self.folder / "features.py" if self.folder is not None else None
        names = [name for name in wanted if name.isidentifier() and name not in self.definition.memory]
        names = [name for name in names if name not in self.define]
        if path is None or not names or not path.is_file():
            return {}
        if self.source not in TRUSTED:
            raise GameError(
                f"{path}: Python code is run only from {folders.home() / 'games'}; if you trust it, move the "
                "game's folder there"
            )
        module = _load_module(path)
        found = {name: getattr(module, name, None) for name in names}
        return {name: function for name, function in found.items() if callable(function)}

    def _script(self) -> Callable[[], Script] | None:
        script = self.definition.script
        if script is None or (script.reward is None and script.terminated is None):
            return None
        from frameperfect.game.lua import LuaScript

        files = [self.file(name) for name in script.files]
        return functools.partial(LuaScript, files, script.reward, script.terminated)

    # -- starts ------------------------------------------------------------------------------------

    def start_state(self, machine: Machine, name: str | None = None) -> bytes:
        """The sealed state of a start (None: the default one, or power-on) on this machine; it is left there.

        Raises:
            GameError: no such start, or its file is missing or damaged.
            StateMismatch: it is a state of another core; names the core to open the game with.
        """
        from frameperfect.game.starts import start_state

        return start_state(self, machine, name)

    def file(self, name: str) -> Path:
        """A file of its folder, by a relative path that stays inside.

        Raises:
            GameError: there is none.
        """
        if self.folder is None:
            raise GameError(f"{self.where}: names the file '{name}', and this game has no folder")
        path = self.folder / name
        if not path.resolve().is_relative_to(self.folder.resolve()):
            raise GameError(f"{self.where}: '{name}' lies outside the game's folder; put it inside")
        if not path.is_file():
            raise GameError(f"{self.where}: no file '{name}' in {self.folder}")
        return path

    # -- as a file ---------------------------------------------------------------------------------

    def to_toml(self) -> str:
        """Its `game.toml`: reads back as an equal definition."""
        from frameperfect.game.toml import write_toml

        return write_toml(self.definition)


HEADERS = {".nes": (16,), ".smc": (512,), ".sfc": (512,), ".fig": (512,), ".swc": (512,), ".pce": (512,)}
"""Bytes that a dumper put before the ROM, by extension: iNES (https://www.nesdev.org/wiki/INES), copiers."""


def rom_hashes(path: Path) -> tuple[str, ...]:
    """SHA-1 of a file, and of what follows its dumper's header where its extension may have one."""
    status = path.stat()
    return _rom_hashes(path, status.st_size, status.st_mtime_ns)


@functools.lru_cache(maxsize=256)
def _rom_hashes(path: Path, size: int, modified: int) -> tuple[str, ...]:
    data = path.read_bytes()
    hashes = [sha1(data)]
    for header in HEADERS.get(path.suffix.lower(), ()):
        if len(data) > header:
            hashes.append(sha1(data[header:]))
    return tuple(hashes)


def sha1(data: bytes | memoryview) -> str:
    """40 hex digits."""
    return hashlib.sha1(data, usedforsecurity=False).hexdigest()


def _load_module(path: Path) -> Any:
    spec = importlib.util.spec_from_file_location(f"frameperfect_features_{abs(hash(path))}", path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    try:
        spec.loader.exec_module(module)
    except Exception as wrong:  # whatever the user's own module does
        raise GameError(f"{path}: can't be loaded: {wrong!r}") from wrong
    return module


def _names_before(folder: Path, mark: str) -> Mapping[str, list[str]]:
    """The names in `folder` by what stands before their last `mark`; read anew when the folder changes."""
    try:
        return _listing(folder, mark, folder.stat().st_mtime_ns)
    except OSError:  # no such folder: nothing was imported
        return {}


@functools.lru_cache(maxsize=16)
def _listing(folder: Path, mark: str, changed: int) -> Mapping[str, list[str]]:
    names: dict[str, list[str]] = {}
    for name in sorted(path.name for path in folder.iterdir()):
        names.setdefault(name.rpartition(mark)[0], []).append(name)
    return names
