"""What is looked for, and on which machines: `[search.NAME]` compiled for batches of states."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from frameperfect._native import hash_rows, mix_words
from frameperfect.env.actions import Actions, make_actions
from frameperfect.errors import EnvError, GameError, SearchError
from frameperfect.expand import (
    Expander,
    Ids,
    MachineExpander,
    all_memory,
    require_same_again,
    require_search,
)
from frameperfect.game import load_game
from frameperfect.game import open as open_game
from frameperfect.game.formulas import Formulas, Known
from frameperfect.game.game import Game
from frameperfect.game.search_section import SearchMagnet, SearchSection
from frameperfect.game.suggest import did_you_mean
from frameperfect.layout import Layout
from frameperfect.machine import Capability, backend
from frameperfect.memory import read_span
from frameperfect.movie import Movie, load_movie
from frameperfect.search.pin import Pinned, pin_texts, play_lead

if TYPE_CHECKING:
    from typing_extensions import Self

    from frameperfect.machine import Machine

SCREEN = "screen"
"""Among `cells`: the picture, scaled down."""
MEMORY = 2 << 30
"""Bytes that the states of a search may take where nothing else is said."""
PYTHON = "python"
"""The name of a search that stands in no file."""
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
    """`prefer`, the fired rules' rewards and the magnets' pull."""
    choice: NDArray[np.int64]
    """Which set of actions may be pressed next."""
    cell: NDArray[np.uint64]
    """Equal for states that `spread` takes for a crowd; 0 for all where there is no `spread`."""

    def columns(self) -> dict[str, NDArray[Any]]:
        """All by name."""
        return {
            "won": self.won,
            "failed": self.failed,
            "passed": self.passed,
            "fired": self.fired,
            "score": self.score,
            "choice": self.choice,
            "cell": self.cell,
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
        pin: Movie | None = None,
        frame: int | None = None,
        allow_drift: bool = False,
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
            pin: the known movie to begin in or keep near, instead of the search's own `pin.movie`.
            frame: where to begin in it, instead of `pin.frame`.
            allow_drift: search a machine that is not deterministic as well; `Result.prove` then says how
                often the run wins, instead of refusing one that does not replay.

        Raises:
            GameError: the game has no such search or start, or a rule is wrong.
            SearchError: the pinned movie starts elsewhere, or ends before `frame`.
            Desync: the pinned movie does not replay here.
            Unsupported: the machine can't save states, or is not deterministic.
            UnknownGame, MissingRom, MachineError: the game can't be opened.
        """
        self._opened: dict[str, Any] = {
            "start": start, "threads": threads, "memory": memory, "core": core, "isolated": isolated,
            "pin": pin, "frame": frame, "allow_drift": allow_drift,
        }  # fmt: skip
        self.game = load_game(game)
        self.name, self.section = find_search(self.game, search)
        self._core, self.allow_drift = core, allow_drift
        known = self._pinned_movie(pin, frame)
        self.start = self._start(start, known)
        with open_game(self.game, core=core) as probe:
            if allow_drift:
                probe.require(Capability.SAVE)
            else:
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
            self._begin(machine)
            self.pinned: Pinned | None = None
            if known is not None:
                play_lead(known, machine, self.lead_frames)
                self.root, self.root_row = self.expander.capture()
                self.pinned = Pinned.along(known, machine, self)
                self.expander.show(self.root)
            else:
                self.root, self.root_row = self.expander.capture()
            self.root_hash = machine.hash()
            if not allow_drift:
                require_same_again(self.expander, self.root, self.masks, self.section.frames)
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

    def _pinned_movie(self, movie: Movie | None, frame: int | None) -> Movie | None:
        """The known movie, if there is one; `lead` is what of it is played before the search begins."""
        pin = self.section.pin
        self.lead: Movie | None = None
        if movie is None and pin is not None and pin.movie is not None:
            movie = load_movie(self.game.file(pin.movie))
        if movie is None:
            if pin is not None or frame is not None:
                raise SearchError("name the movie to begin in or keep near: 'movie' in its pin, or --pin")
            return None
        frame = frame if frame is not None else pin.frame if pin is not None else 0
        if not frame and (pin is None or not pin.values):
            raise SearchError(
                f"{self.game.where}: [search.{self.name}.pin]: say which 'values' stay near the movie's, or "
                "the 'frame' of it to begin at (--from)"
            )
        if frame >= movie.frames:
            raise SearchError(f"the pinned movie has {movie.frames} frames; it can't be begun at {frame}")
        if isinstance(movie.start, bytes):
            raise SearchError("the pinned movie starts from a state; one from power-on or a start is needed")
        if frame:
            self.lead = replace(movie.cut(frame), comments=[])
        return movie

    @property
    def lead_frames(self) -> int:
        """Frames of the pinned movie that are played before the search begins."""
        return 0 if self.lead is None else self.lead.frames

    def _begin(self, machine: Machine) -> None:
        """Bring a machine to where the run begins: the pinned movie's beginning comes after that."""
        if self.start is None:
            machine.reset()
        else:
            self.game.start_state(machine, self.start)

    def _start(self, start: str | None, pinned: Movie | None) -> str | None:
        own = self.name if self.name in self.game.starts else self.game.default_start
        name = start or self.section.start
        if pinned is not None:
            assert not isinstance(pinned.start, bytes)
            if name is not None and name != pinned.start:
                raise SearchError(
                    f"the pinned movie starts at {pinned.start or 'power-on'}, the search at {name}; both "
                    "must start at the same place"
                )
            return pinned.start
        name = name or own
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
        texts |= {f"magnet.{key} when": one.when for key, one in section.magnet.items() if one.when}
        if isinstance(section.actions, dict):
            texts |= {f"actions '{when}'": when for when in section.actions if when != "else"}
        conditions = list(texts)
        if section.prefer is not None:
            texts["prefer"] = section.prefer
        for key, magnet in section.magnet.items():
            texts[f"magnet.{key} value"] = magnet.value
            if isinstance(magnet.to, str):
                texts[f"magnet.{key} to"] = magnet.to
        texts |= pin_texts(section.pin)
        texts |= {f"same '{text}'": text for text in section.same}
        texts |= {f"cells '{text}'": text for text in section.cells if text != SCREEN}
        texts |= {f"tally '{text}'": text for text in section.tally}
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
        return self.judge(values, nothing, nothing.astype(np.uint64), 0), known, values

    def judge(
        self,
        values: dict[str, NDArray[Any]],
        passed: NDArray[np.int64],
        fired: NDArray[np.uint64],
        step: int | NDArray[np.int64],
    ) -> Verdicts:
        """The verdicts on states after `step` inputs whose forebears had `passed` and `fired`.

        Where a movie is pinned, `values` gets "pin": which states have strayed from it.
        """
        size, section = len(passed), self.section
        no = np.zeros(size, bool)
        for i in range(len(section.checkpoints)):
            passed = np.where((passed == i) & values[f"checkpoints {i + 1}"], i + 1, passed)
        score = values["prefer"].astype(np.float64) if section.prefer is not None else np.zeros(size)
        for bit, (key, rule) in enumerate(section.rule.items()):
            fired = fired | (values[f"rule.{key}"].astype(np.uint64) << np.uint64(bit))
            if rule.reward:
                score = score + rule.reward * ((fired >> np.uint64(bit)) & np.uint64(1)).astype(np.float64)
        for key, magnet in section.magnet.items():
            score = score + self._pull(key, magnet, values)
        choice = np.full(size, len(self.sets) - 1)
        if isinstance(section.actions, dict):
            conditions = [when for when in section.actions if when != "else"]
            for i in reversed(range(len(conditions))):
                choice = np.where(values[f"actions '{conditions[i]}'"], i, choice)
        failed = values.get("fail", no)
        if self.pinned is not None:
            values["pin"] = self.pinned.strayed(values, step, section.frames)
            failed = failed | values["pin"]
        cell = np.zeros((size, 2), np.uint64)
        if section.spread:
            cell = _mix(cell, [values[f"cells '{text}'"] for text in section.cells])
        return Verdicts(
            values.get("win", no) & ~failed, failed, passed, fired, np.nan_to_num(score, nan=-np.inf), choice,
            cell[:, 0],
        )  # fmt: skip

    @staticmethod
    def _pull(key: str, magnet: SearchMagnet, values: Mapping[str, NDArray[Any]]) -> NDArray[np.float64]:
        to = values[f"magnet.{key} to"] if isinstance(magnet.to, str) else magnet.to
        pull = -np.abs(values[f"magnet.{key} value"].astype(np.float64) - to)
        if magnet.within is not None:
            pull = np.maximum(0, magnet.within + pull)
        if magnet.when is not None:
            pull = np.where(values[f"magnet.{key} when"], pull, 0)
        return magnet.weight * pull

    def hash(
        self,
        rows: NDArray[np.uint8],
        values: dict[str, NDArray[Any]],
        verdicts: Verdicts,
        step: int,
        seed: int,
    ) -> NDArray[np.uint64]:
        """(N, 2): equal for states that count as one, with equal progress in the rules."""
        phase = step % (self.section.tolerance + 1)
        if self.pinned is not None and self.pinned.holds(step, self.section.frames):
            phase = step  # what a pin lets through depends on the step
        hashes: NDArray[np.uint64] = hash_rows(rows, self._places, self._masks, phase + (seed << 20))
        hashes = _mix(hashes, [values[name] for name in self._extra])
        return self._with_progress(hashes, verdicts)

    def cells(
        self, rows: NDArray[np.uint8], values: dict[str, NDArray[Any]], verdicts: Verdicts
    ) -> NDArray[np.uint64]:
        """(N, 2): equal for states in one cell of `go-explore`, but for what their pictures tell apart."""
        if not self.section.cells:
            return self.hash(rows, values, verdicts, 0, 0)
        hashes = _mix(
            np.zeros((len(rows), 2), np.uint64),
            [values[f"cells '{text}'"] for text in self.section.cells if text != SCREEN],
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
            if self.lead is not None:
                bare = bare.after(replace(self.lead, checkpoints=[], values={}))
            return bare.with_checkpoints(machine)

    def played(self, path: NDArray[np.uint32]) -> tuple[bool, float]:
        """Play a path as a movie plays, without restoring between its steps: does it win, and its score.

        Where states keep less than all of the machine, this differs from what the search saw.
        """
        with open_game(self.game, core=self._core) as machine:
            self._begin(machine)
            if self.lead is not None:
                play_lead(self.lead, machine, self.lead.frames)
            verdicts, known, _ = self.begin()
            for step, action in enumerate(path.tolist(), 1):
                machine.advance(self.masks[action].tolist(), self.section.frames)
                values, known = self.formulas.step(self.row(machine)[None], known, step)
                verdicts = self.judge(values, verdicts.passed, verdicts.fired, step)
        return bool(verdicts.won[0]), float(verdicts.score[0])

    def row(self, machine: Machine) -> NDArray[np.uint8]:
        """The row of the moment at which `machine` stands."""
        return np.frombuffer(b"".join(read_span(machine, span) for span in self.spans), np.uint8)

    # -- in mid-search -----------------------------------------------------------------------------

    @property
    def place(self) -> dict[str, Any]:
        """What can't change while a search goes on: the machine, its start, and how long inputs are held."""
        return {
            "game": self.game.name, "search": self.name, "start": self.start, "frames": self.section.frames,
            "lead": self.lead_frames, "machine": self.expander.fingerprint.digest.hex(),
            "memory at the start": self.root_hash,
        }  # fmt: skip

    @cached_property
    def identity(self) -> str:
        """A digest of the rules: with `place`, all that decides what a method finds."""
        facts: list[Any] = [
            self.game.definition.model_dump(mode="json", exclude={"search"}),
            self.section.model_dump(mode="json"),
            None if self.pinned is None else hashlib.blake2b(self.pinned.values.tobytes()).hexdigest(),
        ]
        text = json.dumps(facts, sort_keys=True)
        return hashlib.blake2b(text.encode(), digest_size=16).hexdigest()

    def reread(self) -> Problem | None:
        """The same search by the rules that its game.toml holds now; None where they are as they were.

        Raises:
            GameError, SearchError: they are wrong.
        """
        folder = self.game.folder
        if folder is None or not (folder / "game.toml").is_file():
            return None
        game = load_game(folder)
        search = self.section if self.name == PYTHON else self.name
        new, old = game.definition, self.game.definition
        same = (new.memory, new.define, new.actions) == (old.memory, old.define, old.actions)
        if same and find_search(game, search)[1] == self.section:
            return None
        return Problem(game, search, **self._opened)

    def take_rules(self, masks: NDArray[np.uint32]) -> None:
        """Become what a search elsewhere has made of this problem: its rules as its file holds them now,
        its actions numbered as `masks` are."""
        fresh = self.reread()
        if fresh is not None:
            self.exchange(fresh)
            fresh.close()
        self.number_actions(masks)

    def exchange(self, other: Problem) -> None:
        """Let this problem be `other`, and `other` this one."""
        self.__dict__, other.__dict__ = other.__dict__, self.__dict__

    def number_actions(self, masks: NDArray[np.uint32]) -> None:
        """Number actions as `masks` does, those it lacks after them: old paths keep their sense."""
        numbers: dict[tuple[int, ...], int] = {}
        for mask in masks.tolist():
            numbers.setdefault(tuple(mask), len(numbers))
        places = [numbers.setdefault(tuple(mask), len(numbers)) for mask in self.masks.tolist()]
        names = dict(zip(places, self.names, strict=True))
        pad = self.expander.controllers
        self.sets = [np.sort(np.array(places, np.uint32)[one]) for one in self.sets]
        self.masks = np.array(list(numbers), np.uint32)
        self.names = tuple(
            names.get(i) or "; ".join(p.names(b) for p, b in zip(pad, mask, strict=True) if b) or "noop"
            for i, mask in enumerate(self.masks.tolist())
        )

    @property
    def progress_names(self) -> dict[str, list[str]]:
        """What `passed` and the bits of `fired` stand for."""
        return {"checkpoints": list(self.section.checkpoints), "rules": list(self.section.rule)}

    def judge_anew(
        self,
        states: Ids,
        before: Mapping[str, list[str]],
        passed: NDArray[np.int64],
        fired: NDArray[np.uint64],
        step: int,
        seed: int,
    ) -> tuple[NDArray[np.uint64], Known, Verdicts]:
        """Hashes, what is known, and verdicts of states that were judged by other rules.

        `before` are those rules' `progress_names`: what was reached by the same rules stays reached. What
        formulas remember of earlier steps, such as `highest(x)`, begins anew.
        """
        names = self.progress_names
        same = 0
        for old, new in zip(before["checkpoints"], names["checkpoints"], strict=False):
            if old != new:
                break
            same += 1
        moved = np.zeros_like(fired)
        for bit, key in enumerate(before["rules"]):
            if key in names["rules"]:
                kept = fired >> np.uint64(bit) & np.uint64(1)
                moved |= kept << np.uint64(names["rules"].index(key))
        rows = np.zeros((len(states), len(self.root_row)), np.uint8)
        for i, state in enumerate(states.tolist()):
            self.expander.show(state)
            rows[i] = self.row(self.expander.machine)
        values, known = self.formulas.begin(rows)
        verdicts = self.judge(values, np.minimum(passed, same), moved, step)
        return self.hash(rows, values, verdicts, step, seed), known, verdicts


def _mix(hashes: NDArray[np.uint64], columns: Sequence[NDArray[Any]]) -> NDArray[np.uint64]:
    """Hashes with a value of each column mixed in."""
    for column in columns:
        exact = np.float64 if column.dtype.kind == "f" else np.int64
        hashes = mix_words(hashes, column.astype(exact).view(np.uint64))
    return hashes


def find_search(game: Game, search: str | SearchSection | None) -> tuple[str, SearchSection]:
    """The search of that name (None: the first), with its name; raises GameError where there is none."""
    if isinstance(search, SearchSection):
        return PYTHON, search
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
