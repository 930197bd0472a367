"""Several players in each of several games, one policy for all: a `gymnasium.vector.VectorEnv`.

Every player of every game is an environment of the vector, so that whatever learns from a vector learns here,
from all of them at once. A player's episode ends by the game's rules for it. One that loses goes on in the
same game, where the game has put it (a new life), with a new episode; when one reaches the goal, or is out of
time, the game is over for all: the others' episodes are cut off (truncated), and the game begins anew.

Autoreset is Gymnasium's NEXT_STEP: the step after an episode's end begins the next, and ignores the action.
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

from frameperfect.env.actions import Combinations
from frameperfect.env.env import NO_LIMIT
from frameperfect.env.records import gather_all, turned
from frameperfect.env.setup import Setup, StartChoice, begin, draw
from frameperfect.env.vector import marked
from frameperfect.errors import EnvError, MachineCrashed

if TYPE_CHECKING:
    from pathlib import Path

    from frameperfect.game import Game
    from frameperfect.machine import Machine

Flags = NDArray[np.bool_]


def make_shared(
    game: str | Path | Game,
    games: int,
    agents: int,
    *,
    observation: str = "features",
    actions: str | Combinations | None = None,
    frame_skip: int = 1,
    sticky: float = 0.0,
    start: StartChoice = None,
    max_steps: int | None = None,
    options: Mapping[str, str] | None = None,
    define: Mapping[str, str] | None = None,
    isolated: bool = False,
    threads: int = 0,
) -> SharedVectorEnv:
    """Make `games` machines of `game`, each opened for `agents` players: games * agents environments.

    Environment `i` is player `i % agents` of game `i // agents`. Observations are the game's features; see
    `make_vec` for the rest.

    Raises:
        EnvError: the game is for one player, or the numbers are below 1.
        FrameperfectError: as `make_env` says.
    """
    if games < 1 or agents < 1:
        raise EnvError(f"there are 1 game and 1 agent or more, not {games} and {agents}")
    setup = Setup(
        game,
        observation=observation,
        video=None,
        actions=actions,
        frame_skip=frame_skip,
        sticky=sticky,
        start=start,
        noops=0,
        max_steps=max_steps,
        reward_terms=False,
        render_mode=None,
        core=None,
        options={**(options or {}), "players": str(agents)},
        define=define,
        isolated=isolated,
        threads=threads,
    )
    return SharedVectorEnv(setup, games)


class SharedVectorEnv(GymnasiumVectorEnv[Any, Any, NDArray[Any]]):
    """Made by `make_shared`. `step` is `send` and `recv`, as for `VectorEnv`."""

    metadata: dict[str, Any] = {"autoreset_mode": AutoresetMode.NEXT_STEP}  # noqa: RUF012 (Gymnasium's)

    def __init__(self, setup: Setup, games: int) -> None:
        gather_all(setup)
        self._setup, self.games = setup, games
        self._pool = pool = setup.open_pool(games)
        self.agents = agents = len(pool.controllers)
        self.num_envs = n = games * agents
        self._turn = turned(setup.rules.layout.spans, setup.domains, agents)
        self._episodes = setup.rules.batch(n)
        self._limit = setup.max_steps or NO_LIMIT
        self._rngs = [seeding.np_random(None)[0] for _ in range(games)]
        self._steps = np.zeros(n, np.int64)
        self._ended = np.zeros(n, np.bool_)
        self._over = np.zeros(games, np.bool_)
        self._begun = self._in_flight = False
        self.render_mode = None
        self.single_observation_space = setup.observation.space(pool)
        self.observation_space = batch_space(self.single_observation_space, n)
        self.single_action_space = setup.actions.space
        self.action_space = batch_space(self.single_action_space, n)

    def machine(self, game: int = 0) -> Machine:
        """One game's machine, for looking into it; stepping it breaks the episodes."""
        return self._pool.machine(game)

    @property
    def feature_names(self) -> tuple[str, ...]:
        """The entries of an observation."""
        return self._setup.rules.features

    @property
    def action_names(self) -> tuple[Any, ...]:
        """What each action presses; see `Actions.names`."""
        return self._setup.actions.names

    def reset(
        self, *, seed: int | Sequence[int | None] | None = None, options: dict[str, Any] | None = None
    ) -> tuple[NDArray[np.float32], dict[str, Any]]:
        """Begin all games; a seed is for the first of them, the next ones count up from it."""
        if options:
            raise EnvError(f"reset takes no options here, not {', '.join(sorted(options))}")
        if seed is not None:
            if not isinstance(seed, (int, np.integer)):
                raise EnvError("give one seed: games count up from it")
            self._rngs = [seeding.np_random(int(seed) + game)[0] for game in range(self.games)]
        self._begin_games(range(self.games))
        self._ended[:] = False
        self._begun, self._in_flight = True, False
        return self._episodes.features(), self._infos()

    def step(
        self, actions: Any
    ) -> tuple[NDArray[np.float32], NDArray[np.float64], Flags, Flags, dict[str, Any]]:
        """One step of every game."""
        self.send(actions)
        return self.recv()

    def send(self, actions: Any) -> None:
        """Start a step; the games run until `recv`.

        Raises:
            EnvError: the actions are not in the action space.
            ResetNeeded: no episode has begun.
        """
        if self._in_flight:
            raise EnvError("a step is running: call recv() first")
        if not self._begun:
            raise ResetNeeded("no episode has begun: call reset() first")
        masks = self._setup.actions.batch(actions)
        if len(masks) != self.num_envs:
            raise EnvError(f"{len(masks)} actions for {self.num_envs} environments")
        # (n, ports): an action presses on the first port, which is the player's own
        pressed = np.where(self._ended, 0, masks[:, 0]).reshape(self.games, self.agents)
        self._pool.send(np.ascontiguousarray(pressed, np.uint32), ~self._over if self._over.any() else None)
        self._in_flight = True

    def recv(self) -> tuple[NDArray[np.float32], NDArray[np.float64], Flags, Flags, dict[str, Any]]:
        """Wait for the step that `send` started: observations, rewards, terminated, truncated, infos."""
        if not self._in_flight:
            raise EnvError("recv() without a send() before it")
        self._in_flight = False
        crashed: Sequence[int] = ()
        try:
            self._pool.recv()
        except MachineCrashed as crash:
            if not crash.indices:
                raise
            crashed = crash.indices
        self._steps += 1
        rewards, terminated, truncated = self._episodes.step(self._rows())
        truncated |= ~terminated & (self._steps >= self._limit)
        fresh = self._ended
        if fresh.any():
            self._begin_games(np.flatnonzero(self._over).tolist())
            self._episodes.begin(self._rows(), fresh)
            self._steps[fresh] = 0
            rewards[fresh], terminated[fresh], truncated[fresh] = 0.0, False, False
        over: Flags = (self._episodes.success & ~fresh | truncated).reshape(self.games, -1).any(axis=1)  # type: ignore[assignment]
        died = np.zeros(self.num_envs, np.bool_)
        for game in crashed:
            of_it = slice(game * self.agents, (game + 1) * self.agents)
            over[game], died[of_it], rewards[of_it], terminated[of_it] = True, True, 0.0, False
        truncated |= ~terminated & np.repeat(over, self.agents)
        self._ended, self._over = terminated | truncated, over
        infos = self._infos()
        if crashed:
            infos["crashed"], infos["_crashed"] = died, died.copy()
        seen = self._episodes.features()
        for game in crashed:
            self._pool.replace(game)
        return seen, rewards, terminated, truncated, infos

    def close_extras(self, **kwargs: Any) -> None:
        """Free all machines."""
        if self._in_flight:
            self._in_flight = False
            self._pool.recv()
        self._pool.close()

    # -- inside ------------------------------------------------------------------------------------

    def _rows(self) -> NDArray[np.uint8]:
        """(n, K): the games' bytes as each player's rules see them."""
        rows: NDArray[np.uint8] = self._pool.rows.take(self._turn, axis=1).reshape(self.num_envs, -1)
        return rows

    def _begin_games(self, games: Sequence[int]) -> None:
        if not len(games):
            return
        drawn = [draw(self._rngs[game], self._setup, None) for game in games]
        begin(self._pool, list(games), [one.start for one in drawn], [one.seed for one in drawn])
        mask = np.repeat(np.isin(np.arange(self.games), list(games)), self.agents)
        self._episodes.begin(self._rows(), mask)
        self._steps[mask] = 0
        self._over[list(games)] = False

    def _infos(self) -> dict[str, Any]:
        facts: dict[str, Any] = self._episodes.values()
        facts["success"] = self._episodes.success
        facts["episode_frames"] = self._steps * self._setup.settings.frame_skip
        if self._setup.rules.timed:
            facts["time"] = self._episodes.time()
        return marked(facts, np.ones(self.num_envs, np.bool_))
