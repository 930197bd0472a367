"""One game as a Gymnasium environment."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import gymnasium
import numpy as np
from gymnasium.error import ResetNeeded
from gymnasium.utils import seeding
from numpy.typing import NDArray

from frameperfect.env import clone
from frameperfect.env.actions import Combinations
from frameperfect.env.inputs import InputLog
from frameperfect.env.movies import episode_movie
from frameperfect.env.observation import ObservationChoice
from frameperfect.env.setup import Draw, Setup, Start, StartChoice, begin, draw, start_option
from frameperfect.errors import MachineCrashed
from frameperfect.machine import Machine
from frameperfect.pool import Video

if TYPE_CHECKING:
    from pathlib import Path

    from frameperfect.game import Game
    from frameperfect.movie import Movie

NO_LIMIT = 1 << 62


def make_env(
    game: str | Path | Game,
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
) -> Env:
    """Make one environment of `game` (a name, a path, or a `Game`).

    Args:
        observation: "features", or "features:NAME", another list that the game names; "ram" or any memory
            domain, whole or in part: "ram[0x100:0x200]" or ("ram", 0x100, 0x200); "pixels"; "screen"; or a
            dict of these. None: the game's features where it defines some, else "pixels".
        video: how "pixels" are shaped (`frameperfect.pool.Video`, or a dict of its fields).
        actions: a preset of the game, "buttons" (MultiBinary), "discrete" (all combinations), a list of
            combinations (Discrete) or a list of groups of them (MultiDiscrete). None: the game's first
            preset, else "buttons".
        frame_skip: frames that a step holds its action.
        sticky: the chance, drawn for every frame, that it repeats the inputs of the frame before.
        start: a start of the game, "power-on", a state from `machine.save()`, or a list of those, of which
            every episode draws one. None: the game's own.
        noops: before an episode, between 0 and so many steps, drawn anew, with nothing pressed.
        max_steps: an episode is truncated after so many steps.
        reward_terms: `info["reward_terms"]` says what each term of the reward gave.
        render_mode: None, or "rgb_array".
        core, options: another core than the game's own, and the core's options.
        define: other expressions for some of the game's `[define]`.
        isolated: run the machine in a process of its own; if it crashes there, the episode is truncated
            with `info["crashed"]` and the next reset starts a new one.

    Raises:
        FrameperfectError: the game, its ROM or core is missing, or it does not have what is asked for.
    """
    return Env(
        Setup(
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
            threads=1,
        )
    )


class Env(gymnasium.Env[Any, Any]):
    """One machine, its rules and its episode; made by `make_env`.

    `info` holds the game's variables and definitions by name, `success` (the game's goal is reached),
    `episode_frames` (frames since the episode's start) and, where the game has a clock, `time`.
    `reset(options={"start": ...})` begins at a named start or a sealed state.
    """

    metadata: dict[str, Any] = {"render_modes": ["rgb_array"]}  # noqa: RUF012 (Gymnasium's declaration)

    def __init__(self, setup: Setup) -> None:
        self._setup = setup
        self.render_mode = setup.render_mode
        self._pool = pool = setup.open_single()
        self._rules = setup.rules
        self._episode = setup.rules.scalar()
        self._log = InputLog(pool)
        self._row = memoryview(pool.rows[0])
        self._masks = setup.actions.single
        self._observe = setup.observation.single(pool, self._episode)
        self._skip = setup.settings.frame_skip
        self._limit = setup.max_steps or NO_LIMIT
        self._timed, self._terms = setup.rules.timed, setup.reward_terms
        self._left = 0  # steps until the episode is truncated; 0 when there is no episode
        self._frames = 0
        self._start: Start = setup.starts[0]
        self._identity = clone.identity(setup, pool)
        self.observation_space = setup.observation.space(pool)
        self.action_space = setup.actions.space
        self.metadata = {**Env.metadata, "render_fps": max(1, round(pool.frame_rate / self._skip))}

    @property
    def action_names(self) -> tuple[Any, ...]:
        """What each action presses; see `Actions.names`."""
        return self._setup.actions.names

    @property
    def feature_names(self) -> tuple[str, ...]:
        """The entries of the "features" observation; empty where the game defines none."""
        return self._rules.features

    @property
    def machine(self) -> Machine:
        """The machine itself, for scripts; what is changed on it shows at the next step."""
        machine = self._pool.machine(0)
        machine.variables, machine.game = self._setup.variables, self._setup.game
        return machine

    # -- Gymnasium ---------------------------------------------------------------------------------

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Any, dict[str, Any]]:
        """Begin an episode; `options={"start": name or sealed state}` says where."""
        start = start_option(self._setup, options)
        super().reset(seed=seed)
        self._begin(draw(self.np_random, self._setup, start))
        return self._observe(), self._info()

    def step(self, action: Any) -> tuple[Any, float, bool, bool, dict[str, Any]]:
        """Hold `action` for `frame_skip` frames; the rules look at the last of them.

        Raises:
            EnvError: the action is not in the action space.
            ResetNeeded: there is no episode, or it has ended.
        """
        left = self._left
        if not left:
            raise ResetNeeded("the episode has ended, or none has begun: call env.reset()")
        try:
            self._pool.step(self._masks(action))
        except MachineCrashed:
            return self._crashed()
        self._log.append()
        self._frames += self._skip
        reward, terminated, truncated = self._episode.step(self._row)
        left -= 1
        if terminated or truncated or not left:
            if not left and not terminated:
                truncated = True
            left = 0
        self._left = left
        return self._observe(), reward, terminated, truncated, self._info()

    def render(self) -> NDArray[np.uint8] | None:
        """The screen, (H, W, 3) uint8 RGB; None without a render mode."""
        if self.render_mode is None:
            gymnasium.logger.warn("render() gives nothing without render_mode='rgb_array' in make_env")
            return None
        if self._setup.renders_pixels:
            assert self._pool.pixels is not None
            picture: NDArray[np.uint8] = self._pool.pixels[0, -1].copy()
            return picture
        return self._pool.machine(0).screen()

    def close(self) -> None:
        """Free the machine; closing twice is harmless."""
        self._left = 0
        self._pool.close()

    # -- the whole environment ---------------------------------------------------------------------

    def save(self) -> bytes:
        """The environment as a whole: machine, rules, generator, step count and the episode's inputs."""
        facts = {
            "rules": self._episode.save(),
            "generator": self.np_random.bit_generator.state,
            "seed": self._np_random_seed,
            "ended": not self._left,
            "steps": self._limit - self._left if self._left else 0,
            "frames": self._frames,
        }
        now = clone.Clone(facts, self._start, self._log.episode(0), self._pool.save(0))
        return clone.pack(now, self._identity)

    def restore(self, state: bytes) -> Any:
        """Go back to what `save` gave, here or in an environment made alike; returns the observation.

        Raises:
            StateMismatch: the bytes are damaged or foreign; the environment is unchanged.
        """
        then = clone.unpack(state, self._identity, len(self._pool.controllers))
        self._pool.restore(0, then.machine)
        facts = then.facts
        self._episode.restore(facts["rules"])
        self._np_random, self._np_random_seed = generator(facts["generator"]), facts["seed"]
        self._left = 0 if facts["ended"] else max(1, self._limit - facts["steps"])
        self._frames, self._start = facts["frames"], then.start
        self._log.begin(0, [then.inputs])
        self._observe = self._setup.observation.single(self._pool, self._episode)
        return self._observe()

    def movie(self) -> Movie:
        """The episode so far, with every input as the machine got it."""
        return episode_movie(self._setup, self._pool, 0, self._start, self._log.episode(0), now=True)

    # -- inside ------------------------------------------------------------------------------------

    def _begin(self, drawn: Draw) -> None:
        begin(self._pool, [0], [drawn.start], [drawn.seed])
        nothing = np.zeros((1, len(self._pool.controllers)), np.uint32)
        idle = []
        for _ in range(drawn.noops):
            self._pool.step(nothing)
            idle.append(self._pool.inputs[0].copy())
        self._log.begin(0, idle)
        self._observe = self._setup.observation.single(self._pool, self._episode)
        self._episode.begin(self._row)
        self._start = drawn.start
        self._frames = drawn.noops * self._skip
        self._left = self._limit

    def _info(self) -> dict[str, Any]:
        episode = self._episode
        info: dict[str, Any] = episode.values()
        info["success"] = episode.success
        info["episode_frames"] = self._frames
        if self._timed:
            info["time"] = episode.time()
        if self._terms:
            info["reward_terms"] = episode.terms()
        return info

    def _crashed(self) -> tuple[Any, float, bool, bool, dict[str, Any]]:
        observation, info = self._observe(), self._info()
        info["crashed"] = True
        self._pool.replace(0)
        self._left = 0
        return observation, 0.0, False, True, info


# `gymnasium.make` looks at its entry point for the render modes.
make_env.metadata = Env.metadata  # type: ignore[attr-defined]


def generator(state: dict[str, Any]) -> np.random.Generator:
    """A generator like Gymnasium's own, at `state`."""
    rng, _ = seeding.np_random(0)
    rng.bit_generator.state = state
    return rng
