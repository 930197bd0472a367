"""What is looked for, and on which machines: `[search.NAME]` compiled for batches of states."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from frameperfect._native import hash_rows, mix_words
from frameperfect.env.actions import Actions, make_actions
from frameperfect.errors import EnvError, GameError
from frameperfect.expand import Expander, Ids, MachineExpander, all_memory, require_search
from frameperfect.game import load_game
from frameperfect.game import open as open_game
from frameperfect.game.formulas import Formulas, Known
from frameperfect.game.game import Game
from frameperfect.game.schema import SearchSection
from frameperfect.game.suggest import did_you_mean
from frameperfect.machine import backend
from frameperfect.memory import Layout
from frameperfect.movie import Movie

if TYPE_CHECKING:
    from typing_extensions import Self

    from frameperfect.machine import Machine

MEMORY = 2 << 30
"""Bytes that the states of a search may take where nothing else is said."""
MOST_HASHED = 1 << 20
"""Bytes of memory that are hashed whole where `same` is left out."""


@dataclass(frozen=True, slots=True)
class Verdicts:
    """What the rules say of N states."""

    won: NDArray[np.bool_]
    failed: NDArray[np.bool_]
    passed: NDArray[np.int64]
    """Checkpoints reached."""
    fired: NDArray[np.uint64]
    """Rules that have fired, a bit each."""
    score: NDArray[np.float64]
    """`prefer` and the fired rules' rewards."""
    choice: NDArray[np.int64]
    """Which set of actions may be pressed next."""

    def columns(self) -> dict[str, NDArray[Any]]:
        """All by name."""
        return {
            "won": self.won,
            "failed": self.failed,
            "passed": self.passed,
            "fired": self.fired,
            "score": self.score,
            "choice": self.choice,
        }

    def take(self, places: NDArray[Any]) -> Verdicts:
        """Those at `places`, in that order."""
        return Verdicts(**{name: column[places] for name, column in self.columns().items()})

    @staticmethod
    def join(parts: Sequence[Verdicts]) -> Verdicts:
        """One after the other."""
        columns = [part.columns() for part in parts]
        return Verdicts(**{name: np.concatenate([each[name] for each in columns]) for name in columns[0]})


class Problem:
    """A game, a start of it, a goal, and the machines to look for it with.

    Use it in `with`, or close it.
    """

    def __init__(
        self,
        game: str | os.PathLike[str] | Game,
        search: str | SearchSection | None = None,
        *,
        start: str | None = None,
        threads: int = 0,
        memory: int = MEMORY,
        core: str | None = None,
        isolated: bool | None = None,
    ) -> None:
        """Compile the rules and open the machines.

        Args:
            game: a name, a path or a `Game`.
            search: the name of a `[search.NAME]` (None: the first), or one made in Python.
            start: instead of the one that the search names.
            threads: machines at work (0: one a processor).
            memory: bytes that the states may take.
            core: instead of the game's own.
            isolated: the machines in processes of their own (None: only where several can't share this one).

        Raises:
            GameError: the game has no such search or start, or a rule is wrong.
            Unsupported: the machine can't save states, or is not deterministic.
            UnknownGame, MissingRom, MachineError: the game can't be opened.
        """
        self.game = load_game(game)
        self.name, self.section = find_search(self.game, search)
        self.start = self._start(start)
        self._core = core
        with open_game(self.game, core=core) as probe:
            require_search(probe)
            self.where = f"{self.game.where}: [search.{self.name}]"
            self.variables = self.game.variables(probe.domains)
            texts, conditions = self._texts()
            define = self.game.define
            self.formulas = Formulas(texts, self.variables, probe.domains, define, self.where, conditions)
            self._choose_hash(probe)
            self._choose_actions(probe)
        self.expander = self._open(threads, memory, isolated)
        try:
            machine = self.expander.machine
            machine.game, machine.variables = self.game, self.variables
            if self.start is None:
                machine.reset()
            else:
                self.game.start_state(machine, self.start)
            self.root, self.root_row = self.expander.capture()
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """Free the machines."""
        self.expander.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    # -- compiling ---------------------------------------------------------------------------------

    def _start(self, start: str | None) -> str | None:
        own = self.name if self.name in self.game.starts else self.game.default_start
        name = start or self.section.start or own
        if name is not None and name not in self.game.starts:
            hint = did_you_mean(name, self.game.starts)
            raise GameError(f"{self.game.name} has no start '{name}'.{hint}")
        return name

    def _texts(self) -> tuple[dict[str, str], list[str]]:
        """Every expression by a name, and which of them are conditions."""
        section = self.section
        texts = {key: text for key in ("win", "fail") if (text := getattr(section, key)) is not None}
        texts |= {f"checkpoints {i + 1}": text for i, text in enumerate(section.checkpoints)}
        texts |= {f"rule.{key}": rule.when for key, rule in section.rule.items()}
        if isinstance(section.actions, dict):
            texts |= {f"actions '{when}'": when for when in section.actions if when != "else"}
        conditions = list(texts)
        if section.prefer is not None:
            texts["prefer"] = section.prefer
        texts |= {f"same '{text}'": text for text in section.same}
        texts |= {f"cells '{text}'": text for text in section.cells}
        return texts, conditions

    def _choose_hash(self, machine: Machine) -> None:
        """Which bytes of a row are hashed as they are, and which formulas are beside them."""
        layout = self.formulas.layout
        self._extra: tuple[str, ...] = ()
        if not self.section.same:
            whole = all_memory(machine.domains)
            size = sum(span.length for span in whole)
            if size > MOST_HASHED:
                raise GameError(
                    f"{self.where} needs 'same': the variables by which states are told apart; all "
                    f"{size >> 10} KiB of this machine's memory would be too much to compare"
                )
            self.spans = (*layout.spans, *whole)
            self._places = np.arange(layout.width, layout.width + size, dtype=np.uint32)
            self._masks = np.full(size, 0xFF, np.uint8)
            return
        self.spans = layout.spans
        places: list[int] = []
        masks: list[int] = []
        extra: list[str] = []
        for text in self.section.same:
            found = _bytes_of(layout, text)
            if found is None:
                extra.append(f"same '{text}'")
            else:
                places += found[0]
                masks += found[1]
        self._places, self._masks = np.array(places, np.uint32), np.array(masks, np.uint8)
        self._extra = tuple(extra)

    def _choose_actions(self, machine: Machine) -> None:
        """`masks` is (A, ports), `sets` the actions of each choice, `names` what people call them."""
        given = self.section.actions
        if isinstance(given, dict):
            choices: dict[str, str | list[str]] = {**given}
        else:
            choices = {"else": given or next(iter(self.game.actions), "buttons")}
        if "else" not in choices:
            raise GameError(f"{self.where} actions: add 'else', for where no condition holds")
        choices["else"] = choices.pop("else")  # the last one
        known: dict[tuple[int, ...], int] = {}
        names: list[str] = []
        self.sets: list[Ids] = []
        for choice in choices.values():
            actions = self._actions(choice, machine)
            masks = [tuple(actions.single(number)[0].tolist()) for number in range(len(actions.names))]
            for mask, name in zip(masks, actions.names, strict=True):
                if mask not in known:
                    known[mask] = len(known)
                    names.append(str(name))
            self.sets.append(np.array(sorted({known[mask] for mask in masks}), np.uint32))
        self.masks, self.names = np.array(list(known), np.uint32), tuple(names)

    def _actions(self, choice: str | list[str], machine: Machine) -> Actions:
        """A preset or combinations as a list; groups are multiplied out, as are a console's buttons."""
        presets: Mapping[str, Any] = self.game.actions
        if choice == "buttons":
            choice = "discrete"
        elif isinstance(choice, str) and choice in presets and not isinstance(presets[choice][0], str):
            choice, presets = "discrete", {choice: presets[choice]}
        try:
            return make_actions(choice, presets, machine.controllers)
        except EnvError as wrong:
            raise GameError(f"{self.where} actions: {wrong}") from wrong

    def _open(self, threads: int, memory: int, isolated: bool | None) -> Expander:
        spec = self.game.spec(self._core)
        module = backend(spec.backend)
        threads = threads or len(os.sched_getaffinity(0))
        if hasattr(module, "expander") and not isolated:
            expander: Expander = module.expander(spec, self.spans, threads, memory)
            return expander
        alone = threads == 1 and not isolated
        machines: list[Machine] = []
        try:
            for _ in range(threads):
                machines.append(open_game(self.game, core=self._core, isolated=not alone))
            return MachineExpander(machines, self.spans, memory)
        except BaseException:
            for machine in machines:
                machine.close()
            raise

    # -- judging -----------------------------------------------------------------------------------

    def begin(self) -> tuple[Verdicts, Known, dict[str, NDArray[Any]]]:
        """What the rules say of the start, what it knows, and the formulas' values."""
        values, known = self.formulas.begin(self.root_row[None])
        nothing = np.zeros(1, np.int64)
        return self.judge(values, nothing, nothing.astype(np.uint64)), known, values

    def judge(
        self, values: dict[str, NDArray[Any]], passed: NDArray[np.int64], fired: NDArray[np.uint64]
    ) -> Verdicts:
        """The verdicts on states whose forebears had `passed` and `fired`."""
        size, section = len(passed), self.section
        no = np.zeros(size, bool)
        for i in range(len(section.checkpoints)):
            passed = np.where((passed == i) & values[f"checkpoints {i + 1}"], i + 1, passed)
        score = values["prefer"].astype(np.float64) if section.prefer is not None else np.zeros(size)
        for bit, (key, rule) in enumerate(section.rule.items()):
            fired = fired | (values[f"rule.{key}"].astype(np.uint64) << np.uint64(bit))
            if rule.reward:
                score = score + rule.reward * ((fired >> np.uint64(bit)) & np.uint64(1)).astype(np.float64)
        choice = np.full(size, len(self.sets) - 1)
        if isinstance(section.actions, dict):
            conditions = [when for when in section.actions if when != "else"]
            for i in reversed(range(len(conditions))):
                choice = np.where(values[f"actions '{conditions[i]}'"], i, choice)
        failed = values.get("fail", no)
        return Verdicts(
            values.get("win", no) & ~failed, failed, passed, fired, np.nan_to_num(score, nan=-np.inf), choice
        )  # fmt: skip

    def hash(
        self,
        rows: NDArray[np.uint8],
        values: dict[str, NDArray[Any]],
        verdicts: Verdicts,
        step: int,
        seed: int,
    ) -> NDArray[np.uint64]:
        """(N, 2): equal for states that count as one, with equal progress in the rules."""
        hashes: NDArray[np.uint64] = hash_rows(
            rows, self._places, self._masks, step % (self.section.tolerance + 1) + (seed << 20)
        )
        hashes = _mix(hashes, [values[name] for name in self._extra])
        return self._with_progress(hashes, verdicts)

    def cells(
        self, rows: NDArray[np.uint8], values: dict[str, NDArray[Any]], verdicts: Verdicts
    ) -> NDArray[np.uint64]:
        """(N, 2): equal for states in one cell of `go-explore`."""
        if not self.section.cells:
            return self.hash(rows, values, verdicts, 0, 0)
        hashes = _mix(
            np.zeros((len(rows), 2), np.uint64), [values[f"cells '{t}'"] for t in self.section.cells]
        )
        return self._with_progress(hashes, verdicts)

    def _with_progress(self, hashes: NDArray[np.uint64], verdicts: Verdicts) -> NDArray[np.uint64]:
        """States with unequal progress in the rules are not the same."""
        if self.section.checkpoints or self.section.rule:
            words = verdicts.passed.astype(np.uint64) << np.uint64(48) | verdicts.fired
            return mix_words(hashes, words)  # type: ignore[no-any-return]
        return hashes

    # -- what comes of it --------------------------------------------------------------------------

    def movie(self, path: NDArray[np.uint32]) -> Movie:
        """The run that presses the actions of `path`, played on a machine of its own for its checkpoints."""
        inputs = np.repeat(self.masks[path], self.section.frames, axis=0)
        with open_game(self.game, core=self._core) as machine:
            bare = Movie(
                controllers=machine.controllers, inputs=inputs, start=self.start, game=self.game.name
            )
            return bare.with_checkpoints(machine)

    @cached_property
    def identity(self) -> str:
        """A digest of all that decides what a search finds, but for the method's own settings."""
        facts: list[Any] = [
            self.game.definition.model_dump(mode="json", exclude={"search"}),
            self.section.model_dump(mode="json"),
            self.start, str(self.expander.fingerprint.digest.hex()), self.masks.tolist(),
            hashlib.blake2b(self.root_row.tobytes()).hexdigest(),
        ]  # fmt: skip
        text = json.dumps(facts, sort_keys=True)
        return hashlib.blake2b(text.encode(), digest_size=16).hexdigest()


def _mix(hashes: NDArray[np.uint64], columns: Sequence[NDArray[Any]]) -> NDArray[np.uint64]:
    """Hashes with a value of each column mixed in."""
    for column in columns:
        exact = np.float64 if column.dtype.kind == "f" else np.int64
        hashes = mix_words(hashes, column.astype(exact).view(np.uint64))
    return hashes


def find_search(game: Game, search: str | SearchSection | None) -> tuple[str, SearchSection]:
    """The search of that name (None: the first), with its name; raises GameError where there is none."""
    if isinstance(search, SearchSection):
        return "python", search
    if not game.search:
        raise GameError(
            f"{game.where}: nothing to search for: add [search.NAME] with 'win', 'fail', 'prefer', 'same'"
        )
    name = next(iter(game.search)) if search is None else search
    if name not in game.search:
        hint = did_you_mean(name, game.search) or f" There are {', '.join(game.search)}."
        raise GameError(f"{game.name} has no [search.{name}].{hint}")
    return name, game.search[name]


def _bytes_of(layout: Layout, name: str) -> tuple[list[int], list[int]] | None:
    """The places in a row, and their masks, of a plain variable; None for anything else."""
    variable = layout.variables.get(name)
    if variable is None:
        return None
    first = sum(one.parsed.width for one in _before(layout, name))
    kept = -1
    if variable.mask is not None or variable.bit is not None:
        if variable.parsed.kind not in "ui":
            return None
        kept = variable.mask if variable.mask is not None else 1 << (variable.bit or 0)
    places = [first + place for place in variable.parsed.order]
    return places, [kept >> 8 * power & 0xFF for power in range(len(places))]


def _before(layout: Layout, name: str) -> Sequence[Any]:
    names = list(layout.variables)
    return [layout.variables[one] for one in names[: names.index(name)]]
