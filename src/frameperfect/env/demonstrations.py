"""Demonstrations: what an agent would have seen, done and got on runs that are known, and states along them.

Movies are played step by step in the environment that the agent will learn in, exactly: a step's frames must
press one of its actions, and memory must be what the movies' checkpoints say. Runs that begin alike are
played once as far as they do: a tree of runs becomes its branches, each a part of an episode that begins
where it leaves another.

A file is a compressed zip of NumPy arrays with the facts as JSON among them; nothing in it is run.
"""

from __future__ import annotations

import itertools
import json
import math
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from gymnasium import spaces
from numpy.typing import NDArray

from frameperfect.atomic import replacing
from frameperfect.env.env import Env, make_env
from frameperfect.env.setup import POWER_ON
from frameperfect.errors import EnvError
from frameperfect.movie import Movie
from frameperfect.movie.movie import remap

if TYPE_CHECKING:
    from frameperfect.game import Game

VERSION = 1
MOST_BYTES = 2 << 30
"""Of a file's arrays, unpacked."""
STATE_EVERY = 8
"""Steps between two states of the start bank."""

Masks = NDArray[np.uint32]


@dataclass
class Demonstrations:
    """E episodes (or parts of them) of T steps in all. Rows of observations: one more than steps, each."""

    game: str
    env: dict[str, Any]
    """The keywords of `make_env` that they were recorded with."""
    fingerprint: str
    """Of the machine."""
    obs: dict[str, NDArray[Any]]
    """By the observation's parts ("" where it is one array): (T + E, ...)."""
    actions: NDArray[Any]
    """(T, ...), as the environment takes them."""
    rewards: NDArray[np.float64]
    terminated: NDArray[np.bool_]
    """(T,): the game was over."""
    lengths: NDArray[np.int64]
    """(E,): steps of each."""
    success: NDArray[np.bool_]
    """(E,): it reached the game's goal at its end."""
    first: NDArray[np.int64]
    """(E,): how many steps of its run lie before it; 0 for a whole one."""
    states: list[bytes] = field(default_factory=list)
    """Sealed states to begin episodes at."""
    places: NDArray[np.int64] = field(default_factory=lambda: np.zeros((0, 2), np.int64))
    """(S, 2): of each state the episode, and the steps of it that were made."""

    @property
    def steps(self) -> int:
        """T."""
        return len(self.actions)

    def episodes(self) -> list[slice]:
        """The steps of each."""
        ends = np.cumsum(self.lengths)
        return [slice(int(end - n), int(end)) for end, n in zip(ends, self.lengths, strict=True)]

    def observations(self, episode: int) -> dict[str, NDArray[Any]]:
        """What was seen in one: (n + 1, ...), the last after its last step."""
        end = int(self.lengths[: episode + 1].sum()) + episode + 1
        return {name: part[end - int(self.lengths[episode]) - 1 : end] for name, part in self.obs.items()}

    def returns_from(self) -> NDArray[np.float64]:
        """(S,): what each state's episode still got from there on."""
        slices = self.episodes()
        left = [self.rewards[slices[e].start + at : slices[e].stop].sum() for e, at in self.places.tolist()]
        return np.array(left, np.float64)

    # -- as a file -------------------------------------------------------------------------------------

    def save(self, path: Path) -> None:
        """Write it; a kill leaves what was there before."""
        facts = {"version": VERSION, "game": self.game, "env": self.env, "fingerprint": self.fingerprint}
        ends = np.cumsum([len(state) for state in self.states], dtype=np.int64)
        arrays = {f"obs.{name}": part for name, part in self.obs.items()}
        arrays |= {name: getattr(self, name) for name in _ARRAYS}
        arrays |= {"states": np.frombuffer(b"".join(self.states), np.uint8), "state_ends": ends}
        path.parent.mkdir(parents=True, exist_ok=True)
        text = np.frombuffer(json.dumps(facts).encode(), np.uint8)
        with replacing(path, durable=True) as part, part.open("wb") as file:
            np.savez_compressed(file, allow_pickle=False, facts=text, **arrays)

    @classmethod
    def load(cls, path: Path) -> Demonstrations:
        """Read what `save` wrote.

        Raises:
            EnvError: there is no such file, it is damaged, too large, or no demonstrations.
        """
        try:
            with zipfile.ZipFile(path) as packed:
                size = sum(one.file_size for one in packed.infolist())
            if size > MOST_BYTES:
                raise EnvError(f"{path}: {size >> 20:,} MiB unpacked; at most {MOST_BYTES >> 20:,} are read")
            with np.load(path, allow_pickle=False) as file:
                arrays = {name: file[name] for name in file.files}
            facts = json.loads(arrays.pop("facts").tobytes())
            if facts["version"] != VERSION:
                raise EnvError(f"{path} has version {facts['version']}, this reads {VERSION}; record it anew")
            ends = arrays.pop("state_ends").tolist()
            states = arrays.pop("states").tobytes()
            found = cls(
                facts["game"], facts["env"], facts["fingerprint"],
                {name[4:]: part for name, part in arrays.items() if name.startswith("obs.")},
                **{name: arrays[name] for name in _ARRAYS},
                states=[states[a:b] for a, b in zip([0, *ends], ends, strict=False)],
            )  # fmt: skip
        except FileNotFoundError:
            raise EnvError(
                f"{path}: no such file; `frameperfect demonstrations GAME MOVIE` makes one"
            ) from None
        except (OSError, ValueError, KeyError, TypeError, EOFError, zipfile.BadZipFile) as wrong:
            raise EnvError(
                f"{path} is damaged, or holds no demonstrations ({wrong}); "
                "`frameperfect demonstrations GAME MOVIE` makes a file of them"
            ) from None
        found.check(str(path))
        return found

    def check(self, where: str) -> None:
        """Raise EnvError where the arrays do not fit together."""
        steps, episodes = int(self.lengths.sum()), len(self.lengths)
        fits = all(len(part) == steps + episodes for part in self.obs.values())
        fits &= all(len(part) == steps for part in (self.actions, self.rewards, self.terminated))
        fits &= len(self.success) == len(self.first) == episodes and bool((self.lengths > 0).all())
        fits &= self.places.shape == (len(self.states), 2)
        if not fits or not np.isfinite(self.rewards).all():
            raise EnvError(f"{where}: its arrays do not fit together; record it anew")


_ARRAYS = ("actions", "rewards", "terminated", "lengths", "success", "first", "places")


def record(
    game: str | Path | Game,
    movies: Sequence[Movie],
    *,
    state_every: int = STATE_EVERY,
    **env: Any,
) -> Demonstrations:
    """Play movies of one game in an environment that `make_env` makes with the keywords `env`.

    Each begins where its movie does, whatever start `env` names, and ends with the movie or the episode.

    Args:
        movies: whose inputs are buttons alone, held for `frame_skip` frames each.
        state_every: a state is kept at every so many steps, the start among them; 0 keeps none.

    Raises:
        EnvError: a movie presses what is no action, changes it within a step, or does not replay here; or
            what is recorded would be too large.
    """
    plain = {key: value for key, value in env.items() if key not in ("start", "sticky", "noops")}
    recorder = _Recorder(state_every, plain)
    starts: dict[Any, list[Movie]] = {}
    for movie in movies:
        starts.setdefault(movie.start, []).append(movie)
    for start, same in starts.items():
        made = make_env(game, **plain, start=POWER_ON if start is None else start)
        try:
            recorder.play_all(made, same)
        finally:
            made.close()
    return recorder.done()


class _Recorder:
    def __init__(self, state_every: int, settings: dict[str, Any]) -> None:
        self.state_every, self.settings = state_every, settings
        self.obs: dict[str, list[NDArray[Any]]] = {}
        self.actions: list[Any] = []
        self.rewards: list[float] = []
        self.terminated: list[bool] = []
        self.lengths: list[int] = []
        self.success: list[bool] = []
        self.first: list[int] = []
        self.states: list[bytes] = []
        self.places: list[tuple[int, int]] = []
        self.bytes = 0
        self.game = self.fingerprint = ""

    def play_all(self, env: Env, movies: Sequence[Movie]) -> None:
        """Play movies of one start, each from where it leaves the one before."""
        self.game, self.fingerprint = env.machine.game.name, env.machine.fingerprint.digest.hex()
        skip = int(self.settings.get("frame_skip", 1))
        table = _table(env)
        runs = [(_steps(movie, env, skip), movie) for movie in movies]
        runs.sort(key=lambda run: run[0].tolist())
        paths = [steps for steps, _ in runs]
        shared = [_shared(one, two) for one, two in itertools.pairwise(paths)]
        kept: dict[int, bytes] = {}
        for i, (steps, movie) in enumerate(runs):
            begin = shared[i - 1] if i else 0
            if begin == len(steps):
                continue  # nothing in it, or all of it as the one before
            branches, least = {0}, math.inf
            for common in shared[i:]:  # where later runs leave this one
                least = min(least, common)
                branches.add(int(least))
            kept = {at: state for at, state in kept.items() if at <= begin}
            if i and begin not in kept:
                continue  # the run before ended earlier than that: what follows was never reached
            seen = env.restore(kept[begin]) if i else env.reset(seed=0)[0]
            self._play(env, movie, steps, begin, seen, table, kept, branches)

    def _play(
        self, env: Env, movie: Movie, steps: Masks, begin: int, seen: Any, table: dict[bytes, Any],
        kept: dict[int, bytes], branches: set[int],
    ) -> None:  # fmt: skip
        """Record one run from step `begin` on; environments at `branches` go to `kept`."""
        skip = int(self.settings.get("frame_skip", 1))
        hashes = dict(movie.checkpoints)
        info: dict[str, Any] = {}
        over = False
        for at in range(begin, len(steps)):
            if at in branches:
                kept.setdefault(at, env.save())
            if self.state_every and at % self.state_every == 0:
                self._keep_state(env, at - begin)
            self._see(seen)
            masks = steps[at]
            action = table.get(masks.tobytes())
            if action is None:
                raise EnvError(
                    f"frame {at * skip} of the movie presses '{_names(env, masks)}', which is none of the "
                    "environment's actions; choose others, such as actions='buttons'"
                )
            seen, reward, terminated, truncated, info = env.step(action)
            self.actions.append(action)
            self.rewards.append(float(reward))
            self.terminated.append(bool(terminated))
            frame = (at + 1) * skip
            if frame in hashes and env.machine.hash() != hashes[frame]:
                raise EnvError(
                    f"the movie does not replay here: memory differs at frame {frame}; "
                    "`frameperfect verify MOVIE` says how"
                )
            if terminated or truncated:
                over = True
                break
        made = at + 1 - begin
        if not over and len(steps) in branches:
            kept.setdefault(len(steps), env.save())
        self._see(seen)
        self.lengths.append(made)
        self.first.append(begin)
        self.success.append(bool(info.get("success", False)))

    def _see(self, seen: Any) -> None:
        parts = seen if isinstance(seen, Mapping) else {"": seen}
        for name, part in parts.items():
            self.obs.setdefault(name, []).append(np.asarray(part))
            self.bytes += np.asarray(part).nbytes
        self._bound()

    def _keep_state(self, env: Env, at: int) -> None:
        self.states.append(env.machine.save())
        self.places.append((len(self.lengths), at))
        self.bytes += len(self.states[-1])

    def _bound(self) -> None:
        if self.bytes > MOST_BYTES:
            raise EnvError(
                f"the demonstrations take more than {MOST_BYTES >> 20:,} MiB after {len(self.actions):,} "
                "steps; give fewer movies, a greater frame_skip, or another observation than pixels"
            )

    def done(self) -> Demonstrations:
        """All that was recorded."""
        if not self.lengths:
            raise EnvError("nothing was recorded: the movies hold no step")
        return Demonstrations(
            self.game, self.settings, self.fingerprint,
            {name: np.stack(rows) for name, rows in self.obs.items()}, np.array(self.actions),
            np.array(self.rewards, np.float64), np.array(self.terminated, np.bool_),
            np.array(self.lengths, np.int64), np.array(self.success, np.bool_),
            np.array(self.first, np.int64), self.states,
            np.array(self.places, np.int64).reshape(-1, 2),
        )  # fmt: skip


def _steps(movie: Movie, env: Env, skip: int) -> Masks:
    """(steps, ports): what a movie holds in each step; what is left over at its end is no step."""
    for what in ("axes", "pointers"):
        values = getattr(movie, what)
        if values is not None and values.any():
            raise EnvError(f"the movie uses {what}; demonstrations are of buttons alone")
    if movie.commands:
        raise EnvError(
            f"the movie gives a command at frame {min(movie.commands)}; agents press buttons alone"
        )
    controllers = env.machine.controllers
    masks = remap(movie.inputs, movie.controllers, controllers)
    if masks[:, 1:].any():
        raise EnvError("the movie presses buttons of a second player; demonstrations are of the first alone")
    wide = np.zeros((len(masks), len(controllers)), np.uint32)
    wide[:, : masks.shape[1]] = masks
    whole = wide[: len(wide) // skip * skip].reshape(-1, skip, wide.shape[1])
    uneven = np.flatnonzero((whole != whole[:, :1]).any((1, 2)))
    if len(uneven):
        changes = np.flatnonzero((wide[1:] != wide[:-1]).any(1)) + 1
        fits = math.gcd(*changes.tolist())
        raise EnvError(
            f"the movie changes what it presses within step {uneven[0]} (frames {uneven[0] * skip} to "
            f"{uneven[0] * skip + skip - 1}); with frame_skip={fits} each step presses one thing"
        )
    return np.ascontiguousarray(whole[:, 0])


def _table(env: Env) -> dict[bytes, Any]:
    """The environment's actions by what they press."""
    space, actions = env.action_space, env._setup.actions
    if isinstance(space, spaces.Discrete):
        every: list[Any] = list(range(int(space.n)))
    elif isinstance(space, spaces.MultiDiscrete):
        every = list(np.ndindex(*space.nvec))
    else:
        return _Buttons(len(env.action_names), len(env.machine.controllers))
    found: dict[bytes, Any] = {}
    for action in every:
        found.setdefault(actions.single(action)[0].tobytes(), action)
    return found


class _Buttons(dict[bytes, Any]):
    """As `_table`, where every combination of buttons is an action: worked out, not listed."""

    def __init__(self, buttons: int, ports: int) -> None:
        super().__init__()
        self.buttons, self.ports = buttons, ports

    def get(self, masks: bytes, default: Any = None) -> Any:
        """The buttons that are held."""
        mask = np.frombuffer(masks, np.uint32)[0]
        return (mask >> np.arange(self.buttons, dtype=np.uint32) & 1).astype(np.int8)


def _shared(one: Masks, two: Masks) -> int:
    """Steps after which two runs differ."""
    length = min(len(one), len(two))
    differ = np.flatnonzero((one[:length] != two[:length]).any(1))
    return int(differ[0]) if len(differ) else length


def _names(env: Env, masks: Masks) -> str:
    return env.machine.controllers[0].names(int(masks[0]))
