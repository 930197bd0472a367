"""N environments of one game, stepped together: `gymnasium.vector.VectorEnv` on a pool.

Autoreset follows Gymnasium (https://gymnasium.farama.org/api/vector/#autoreset): with NEXT_STEP an
environment that ended is reset by the next step, whose action it ignores; with SAME_STEP by the step that
ends it, the last observation and info being in `infos["final_obs"]` and `infos["final_info"]`; with
DISABLED by `reset(options={"reset_mask": ...})`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from gymnasium.error import ResetNeeded
from gymnasium.utils import seeding
from gymnasium.vector import AutoresetMode
from gymnasium.vector import VectorEnv as GymnasiumVectorEnv
from gymnasium.vector.utils import batch_space
from numpy.typing import NDArray

from frameperfect.env import clone
from frameperfect.env.actions import Combinations
from frameperfect.env.env import NO_LIMIT, generator
from frameperfect.env.inputs import InputLog
from frameperfect.env.movies import episode_movie
from frameperfect.env.observation import ObservationChoice
from frameperfect.env.setup import POWER_ON, Draw, Setup, Start, StartChoice, begin, draw, start_option
from frameperfect.errors import EnvError, MachineCrashed
from frameperfect.machine import Machine
from frameperfect.pool import Video

if TYPE_CHECKING:
    from pathlib import Path

    from frameperfect.game import Game
    from frameperfect.movie import Movie

Flags = NDArray[np.bool_]


def make_vec(
    game: str | Path | Game,
    n: int,
    *,
    observation: ObservationChoice | None = None,
    video: Video | Mapping[str, Any] | None = None,
    actions: str | Combinations | None = None,
    frame_skip: int = 1,
    sticky: float = 0.0,
    start: StartChoice = None,
    noops: int = 0,
    max_steps: int | None = None,
    reward_terms: bool = False,
    render_mode: str | None = None,
    core: str | None = None,
    options: Mapping[str, str] | None = None,
    define: Mapping[str, str] | None = None,
    isolated: bool = False,
    threads: int = 0,
    autoreset_mode: AutoresetMode | str = AutoresetMode.NEXT_STEP,
    copy: bool = True,
) -> VectorEnv:
    """Make `n` environments of `game` that step together; see `make_env` for what both take.

    Args:
        isolated: machines run in worker processes; one that crashes truncates its episode with
            `infos["crashed"]`, is replaced, and the others go on.
        threads: native threads (or worker processes) that step them; 0 is one a core.
        autoreset_mode: when an environment that ended is reset, as Gymnasium defines it.
        copy: False returns views of the pool's own arrays, which the next step overwrites.
    """
    if not isinstance(n, int) or n < 1:
        raise EnvError(f"a vector has 1 environment or more, not {n!r}")
    setup = Setup(
        game,
        observation=observation,
        video=video,
        actions=actions,
        frame_skip=frame_skip,
        sticky=sticky,
        start=start,
        noops=noops,
        max_steps=max_steps,
        reward_terms=reward_terms,
        render_mode=render_mode,
        core=core,
        options=options,
        define=define,
        isolated=isolated,
        threads=threads,
    )
    return VectorEnv(setup, n, AutoresetMode(autoreset_mode), copy)


class VectorEnv(GymnasiumVectorEnv[Any, Any, NDArray[Any]]):
    """N machines of one setup; made by `make_vec`.

    Each environment has its own generator (seed, seed + 1, ... as Gymnasium counts), so it does what the
    single environment of that seed would do, whatever n and the number of threads are.
    `step` is `send` and `recv`; between the two the caller may compute, and must not call anything else.
    """

    metadata: dict[str, Any] = {"render_modes": ["rgb_array"]}  # noqa: RUF012 (Gymnasium's declaration)

    def __init__(self, setup: Setup, n: int, autoreset_mode: AutoresetMode, copy: bool) -> None:
        self._setup = setup
        self.num_envs = n
        self.render_mode = setup.render_mode
        self._mode = autoreset_mode
        self._pool = pool = setup.open_pool(n)
        self._rows = pool.rows
        self._episodes = setup.rules.batch(n)
        self._log = InputLog(pool)
        self._observe = setup.observation.batch(pool, self._episodes, copy)
        self._observe_copy = setup.observation.batch(pool, self._episodes, copy=True)
        self._rngs: list[np.random.Generator | None] = [None] * n
        self._seeds: list[int | None] = [None] * n
        self._starts = [setup.starts[0]] * n
        self._previous_starts = self._starts.copy()
        self._limit = setup.max_steps or NO_LIMIT
        self._steps = np.zeros(n, np.int64)
        self._idle_steps = np.zeros(n, np.int64)
        self._ended = np.zeros(n, np.bool_)
        self._begun = np.zeros(n, np.bool_)
        self._in_flight = False
        self._idle = np.zeros((n, len(pool.controllers)), np.uint32)
        self._identity = clone.identity(setup, pool)
        self.single_observation_space = setup.observation.space(pool)
        self.observation_space = batch_space(self.single_observation_space, n)
        self.single_action_space = setup.actions.space
        self.action_space = batch_space(self.single_action_space, n)
        fps = max(1, round(pool.frame_rate / setup.settings.frame_skip))
        self.metadata = {**VectorEnv.metadata, "render_fps": fps, "autoreset_mode": autoreset_mode}

    @property
    def action_names(self) -> tuple[Any, ...]:
        """What each action presses; see `Actions.names`."""
        return self._setup.actions.names

    @property
    def feature_names(self) -> tuple[str, ...]:
        """The entries of the "features" observation; empty where the game defines none."""
        return self._setup.rules.features

    @property  # type: ignore[misc]
    def np_random(self) -> tuple[np.random.Generator, ...]:  # type: ignore[override]
        """Each environment's generator."""
        return tuple(self._rng(index) for index in range(self.num_envs))

    @property
    def np_random_seed(self) -> tuple[int | None, ...]:  # type: ignore[override]
        """Each environment's seed."""
        return tuple(self._seeds[index] for index, _ in enumerate(self.np_random))

    # -- Gymnasium ---------------------------------------------------------------------------------

    def reset(
        self,
        *,
        seed: int | Sequence[int | None] | None = None,
        options: dict[str, Any] | None = None,
    ) -> tuple[Any, dict[str, Any]]:
        """Begin an episode everywhere, or where `options["reset_mask"]`, (n,) bool, says.

        A seed is for the first environment, the next ones count up from it; or give one for each.
        `options["start"]` is a named start or a sealed state.
        """
        self._check_idle()
        options = dict(options or {})
        chosen = self._reset_mask(options)
        start = start_option(self._setup, options)
        indices = np.flatnonzero(chosen).tolist()
        seeds = self._each_seed(seed)
        for index in indices:
            if seeds[index] is not None:
                self._rngs[index], self._seeds[index] = seeding.np_random(seeds[index])
        self._begin(indices, start)
        self._ended[chosen] = False
        return self._observe(), self._infos(self._facts(), chosen)

    def step(self, actions: Any) -> tuple[Any, NDArray[np.float64], Flags, Flags, dict[str, Any]]:
        """One step of every environment: `send` and `recv`."""
        self.send(actions)
        return self.recv()

    def send(self, actions: Any) -> None:
        """Start a step; the machines run until `recv` while the caller does something else.

        Raises:
            EnvError: the actions are not in the action space.
            ResetNeeded: an environment without autoreset has ended, or none has begun.
        """
        self._check_idle()
        masks = self._setup.actions.batch(actions)
        if len(masks) != self.num_envs:
            raise EnvError(f"{len(masks)} actions for {self.num_envs} environments")
        if not self._begun.all():
            raise ResetNeeded("no episode has begun: call reset() first")
        if self._ended.any():
            if self._mode is AutoresetMode.DISABLED:
                ended = np.flatnonzero(self._ended).tolist()
                raise ResetNeeded(f"environments {ended} have ended: reset them with a 'reset_mask'")
            self._pool.send(masks, ~self._ended)
        else:
            self._pool.send(masks)
        self._in_flight = True

    def recv(self) -> tuple[Any, NDArray[np.float64], Flags, Flags, dict[str, Any]]:
        """Wait for the step that `send` started: observations, rewards, terminated, truncated, infos."""
        if not self._in_flight:
            raise EnvError("recv() without a send() before it")
        self._in_flight = False
        crashed: tuple[int, ...] = ()
        try:
            self._pool.recv()
        except MachineCrashed as crash:
            if not crash.indices:
                raise
            crashed = crash.indices
        self._log.append()
        self._steps += 1
        rewards, terminated, truncated = self._episodes.step(self._rows)
        truncated = truncated | (~terminated & (self._steps >= self._limit))
        if self._ended.any():
            self._begin(np.flatnonzero(self._ended).tolist(), None, idle=1)
            rewards[self._ended], terminated[self._ended], truncated[self._ended] = 0.0, False, False
        if crashed:
            died = list(crashed)
            rewards[died], terminated[died], truncated[died] = 0.0, False, True
        self._ended = terminated | truncated
        facts = self._facts()
        if self._mode is AutoresetMode.SAME_STEP and self._ended.any():
            final = self._final(facts, crashed)
            self._replace(crashed)
            self._begin(np.flatnonzero(self._ended).tolist(), None)
            self._ended = np.zeros(self.num_envs, np.bool_)
            infos = {**self._infos(self._facts()), **final}
        else:
            infos = self._infos(facts, crashed=crashed)
            self._replace(crashed)
        return self._observe(), rewards, terminated, truncated, infos

    def render(self) -> tuple[Any, ...] | None:
        """The screens, (H, W, 3) uint8 RGB each; None without a render mode."""
        if self.render_mode is None:
            return None
        if self._setup.renders_pixels:
            assert self._pool.pixels is not None
            return tuple(picture.copy() for picture in self._pool.pixels[:, -1])
        return tuple(self._pool.machine(index).screen() for index in range(self.num_envs))

    def close_extras(self, **kwargs: Any) -> None:
        """Free all machines."""
        if self._in_flight:
            self._in_flight = False
            self._pool.recv()
        self._pool.close()

    # -- where episodes begin ----------------------------------------------------------------------

    @property
    def game_name(self) -> str:
        """The game's."""
        return self._setup.game.name

    @property
    def fingerprint(self) -> str:
        """What its states depend on, as hex digits."""
        return self._pool.fingerprint.digest.hex()

    @property
    def starts(self) -> tuple[str | bytes, ...]:
        """What each new episode draws its start from: names of starts, and sealed states."""
        return tuple(POWER_ON if start.name is None else start.name for start in self._setup.starts)

    @starts.setter
    def starts(self, starts: Sequence[str | bytes]) -> None:
        if not starts:
            raise EnvError("starts is empty; name one at least")
        self._setup.starts = tuple(self._setup.start(start) for start in starts)

    def start_of(self, index: int, previous: bool = False) -> str | bytes | None:
        """Where one environment's episode began; with `previous`, the one before it. None is power-on."""
        return (self._previous_starts if previous else self._starts)[index].name

    # -- one of them -------------------------------------------------------------------------------

    def machine(self, index: int) -> Machine:
        """One environment's machine, for scripts; what is changed on it shows at the next step."""
        machine = self._pool.machine(index)
        machine.variables, machine.game = self._setup.variables, self._setup.game
        return machine

    def save(self, index: int) -> bytes:
        """One environment as a whole, as `Env.save` does it; not between `send` and `recv`."""
        self._check_idle()
        facts = {
            "rules": self._episodes.save(index),
            "generator": self._rng(index).bit_generator.state,
            "seed": self._seeds[index],
            "ended": bool(self._ended[index] or not self._begun[index]),
            "steps": int(self._steps[index]),
            "frames": self._frames()[index].item(),
        }
        now = clone.Clone(facts, self._starts[index], self._log.episode(index), self._pool.save(index))
        return clone.pack(now, self._identity)

    def restore(self, index: int, state: bytes) -> None:
        """Bring one environment to what `save` gave, of whichever index, or to a clone of a single `Env`.

        Raises:
            StateMismatch: the bytes are damaged or foreign; the environment is unchanged.
        """
        self._check_idle()
        then = clone.unpack(state, self._identity, len(self._pool.controllers))
        self._pool.restore(index, then.machine)
        facts = then.facts
        self._episodes.restore(index, facts["rules"])
        self._rngs[index], self._seeds[index] = generator(facts["generator"]), facts["seed"]
        self._starts[index] = then.start
        self._ended[index] = facts["ended"]
        self._begun[index] = True
        self._steps[index] = facts["steps"]
        self._idle_steps[index] = facts["frames"] // self._setup.settings.frame_skip - self._steps[index]
        self._log.begin(index, [then.inputs])

    def observe(self) -> Any:
        """The observations as they stand, after a `restore` say."""
        self._check_idle()
        return self._observe()

    def movie(self, index: int, previous: bool = False) -> Movie:
        """One environment's running episode; with `previous`, the whole one before it."""
        self._check_idle()
        start = (self._previous_starts if previous else self._starts)[index]
        inputs = self._log.episode(index, previous)
        return episode_movie(self._setup, self._pool, index, start, inputs, now=not previous)

    # -- inside ------------------------------------------------------------------------------------

    def _begin(self, indices: Sequence[int], start: Start | None, idle: int = 0) -> None:
        """New episodes on the machines `indices`, whose last ones ended `idle` steps ago."""
        drawn = [draw(self._rng(index), self._setup, start) for index in indices]
        begin(self._pool, indices, [d.start for d in drawn], [d.seed for d in drawn])
        heads = self._pass_time(indices, drawn)
        for index, one, head in zip(indices, drawn, heads, strict=True):
            self._log.begin(index, head, idle)
            self._previous_starts[index], self._starts[index] = self._starts[index], one.start
        self._steps[indices] = 0
        self._idle_steps[indices] = [d.noops for d in drawn]
        self._begun[indices] = True
        mask = np.zeros(self.num_envs, np.bool_)
        mask[indices] = True
        self._episodes.begin(self._rows, mask)

    def _pass_time(self, indices: Sequence[int], drawn: Sequence[Draw]) -> list[list[NDArray[np.uint32]]]:
        """The idle steps before each episode; returns their inputs."""
        heads: list[list[NDArray[np.uint32]]] = [[] for _ in indices]
        active = np.zeros(self.num_envs, np.bool_)
        for step in range(max((d.noops for d in drawn), default=0)):
            active[indices] = [d.noops > step for d in drawn]
            self._pool.step(self._idle, active)
            for head, index in zip(heads, indices, strict=True):
                if active[index]:
                    head.append(self._pool.inputs[index].copy())
        return heads

    def _facts(self) -> dict[str, Any]:
        """What infos say of every environment, (n,) each; the arrays may belong to the rules."""
        episodes = self._episodes
        facts: dict[str, Any] = episodes.values()
        facts["success"] = episodes.success
        facts["episode_frames"] = self._frames()
        if self._setup.rules.timed:
            facts["time"] = episodes.time()
        if self._setup.reward_terms:
            facts["reward_terms"] = episodes.terms()
        return facts

    def _infos(
        self, facts: dict[str, Any], present: Flags | None = None, crashed: Sequence[int] = ()
    ) -> dict[str, Any]:
        """Gymnasium's infos of the environments that `present` marks (all of them without it)."""
        infos = marked(facts, np.ones(self.num_envs, np.bool_) if present is None else present)
        if crashed:
            died = np.zeros(self.num_envs, np.bool_)
            died[list(crashed)] = True
            infos["crashed"], infos["_crashed"] = died, died.copy()
        return infos

    def _final(self, facts: dict[str, Any], crashed: Sequence[int]) -> dict[str, Any]:
        """The last observation and info of the environments that ended."""
        ended = self._ended
        observations = self._observe_copy()
        final_obs = np.full(self.num_envs, None, object)
        for index in np.flatnonzero(ended).tolist():
            if isinstance(observations, dict):
                final_obs[index] = {key: part[index] for key, part in observations.items()}
            else:
                final_obs[index] = observations[index]
        return {
            "final_obs": final_obs,
            "_final_obs": ended.copy(),
            "final_info": self._infos(facts, ended, crashed),
            "_final_info": ended.copy(),
        }

    def _frames(self) -> NDArray[np.int64]:
        return (self._steps + self._idle_steps) * self._setup.settings.frame_skip

    def _replace(self, crashed: Sequence[int]) -> None:
        for index in crashed:
            self._pool.replace(index)

    def _rng(self, index: int) -> np.random.Generator:
        rng = self._rngs[index]
        if rng is None:
            rng, self._seeds[index] = seeding.np_random()
            self._rngs[index] = rng
        return rng

    def _each_seed(self, seed: int | Sequence[int | None] | None) -> list[int | None]:
        if seed is None:
            return [None] * self.num_envs
        if isinstance(seed, (int, np.integer)):
            return [int(seed) + i for i in range(self.num_envs)]
        if len(seed) != self.num_envs:
            raise EnvError(f"{len(seed)} seeds for {self.num_envs} environments; give one, or one for each")
        return list(seed)

    def _reset_mask(self, options: dict[str, Any]) -> Flags:
        """Take `reset_mask` out of the options; without one, everything is reset."""
        if "reset_mask" not in options:
            return np.ones(self.num_envs, np.bool_)
        mask = options.pop("reset_mask")
        right = isinstance(mask, np.ndarray) and mask.dtype == np.bool_ and mask.shape == (self.num_envs,)
        if not right or not mask.any():
            raise EnvError(f"reset_mask must be a bool array of shape ({self.num_envs},) with a True in it")
        return mask  # type: ignore[no-any-return]

    def _check_idle(self) -> None:
        if self._in_flight:
            raise EnvError("a step is running: call recv() first")


def marked(facts: dict[str, Any], present: Flags) -> dict[str, Any]:
    """Gymnasium's infos: an array a key, zero where not `present`, and beside it under `_key` where it is."""
    everywhere, present = bool(present.all()), present.copy()
    infos: dict[str, Any] = {}
    for key, values in facts.items():
        if isinstance(values, dict):
            infos[key] = marked(values, present)
        elif everywhere:
            infos[key] = values.copy()
        else:
            infos[key] = np.where(present, values, values.dtype.type(0))
        infos["_" + key] = present
    return infos
