"""Several players in each of several games, one policy for all: a `gymnasium.vector.VectorEnv`.

Every player of every game is an environment of the vector, so that whatever learns from a vector learns here,
from all of them at once. A player's episode ends by the game's rules for it. One that loses goes on in the
same game, where the game has put it (a new life), with a new episode; when one reaches the goal, or is out of
time, the game is over for all: the others' episodes are cut off (truncated), and the game begins anew.

Autoreset is Gymnasium's NEXT_STEP: the step after an episode's end begins the next, and ignores the action.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
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
from frameperfect.env.records import players_setup, turned
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
    mixed: bool = False,
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
    """Make `games` machines of `game` with `agents` players each; see `make_vec` for the rest.

    The environments are the players of the first game, then those of the second, and so on; games of more
    players come first.

    Args:
        mixed: one game has `agents` players, one a single one, and the others all numbers between and then
            these again, most and fewest in turn: so the policy learns what it is to be alone, too.
        observation: "features", or "features:NAME", another list that the game names.

    Raises:
        EnvError: the game is for one player, or the numbers are below 1.
        FrameperfectError: as `make_env` says.
    """
    if games < 1 or agents < 1:
        raise EnvError(f"there are 1 game and 1 agent or more, not {games} and {agents}")
    turns = [agents - turn // 2 if turn % 2 == 0 else 1 + turn // 2 for turn in range(agents)]
    sizes = [turns[number % agents] if mixed else agents for number in range(games)]

    def setup(players: int) -> Setup:
        return players_setup(
            game,
            players,
            observation=observation,
            actions=actions,
            frame_skip=frame_skip,
            sticky=sticky,
            start=start,
            max_steps=max_steps,
            options=options,
            define=define,
            isolated=isolated,
            threads=threads,
        )

    counts = {players: sizes.count(players) for players in sorted(set(sizes), reverse=True)}
    return SharedVectorEnv([(setup(players), count) for players, count in counts.items()])


class SharedVectorEnv(GymnasiumVectorEnv[Any, Any, NDArray[Any]]):
    """Made by `make_shared`. `step` is `send` and `recv`, as for `VectorEnv`."""

    metadata: dict[str, Any] = {"autoreset_mode": AutoresetMode.NEXT_STEP}  # noqa: RUF012 (Gymnasium's)

    def __init__(self, setups: Sequence[tuple[Setup, int]]) -> None:
        self._setup = setup = setups[0][0]
        self._groups = [_Group(own, count) for own, count in setups]
        sizes = [group.players for group in self._groups for _ in range(group.games)]
        self.games, self.num_envs = len(sizes), sum(sizes)
        self.agents = max(sizes)
        n = self.num_envs
        self._game_of = np.repeat(np.arange(self.games), sizes)
        self._episodes = setup.rules.batch(n)
        self._limit = setup.max_steps or NO_LIMIT
        self._rngs = [seeding.np_random(None)[0] for _ in range(self.games)]
        self._steps = np.zeros(n, np.int64)
        self._ended = np.zeros(n, np.bool_)
        self._over = np.zeros(self.games, np.bool_)
        self._begun = self._in_flight = False
        self.render_mode = None
        pool = self._groups[0].pool
        self.single_observation_space = setup.observation.space(pool)
        self.observation_space = batch_space(self.single_observation_space, n)
        self.single_action_space = setup.actions.space
        self.action_space = batch_space(self.single_action_space, n)

    def machine(self, game: int = 0) -> Machine:
        """One game's machine, for looking into it; stepping it breaks the episodes."""
        for group, _, games in self._parts():
            if games.start <= game < games.stop:
                return group.pool.machine(game - games.start)
        raise EnvError(f"there is no game {game}: there are {self.games}")

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
        pressed = np.where(self._ended, 0, masks[:, 0]).astype(np.uint32)
        for group, rows, games in self._parts():
            over = self._over[games]
            group.pool.send(pressed[rows].reshape(group.games, -1), ~over if over.any() else None)
        self._in_flight = True

    def recv(self) -> tuple[NDArray[np.float32], NDArray[np.float64], Flags, Flags, dict[str, Any]]:
        """Wait for the step that `send` started: observations, rewards, terminated, truncated, infos."""
        if not self._in_flight:
            raise EnvError("recv() without a send() before it")
        self._in_flight = False
        crashed: list[int] = []
        for group, _, games in self._parts():
            try:
                group.pool.recv()
            except MachineCrashed as crash:
                if not crash.indices:
                    raise
                crashed += [games.start + index for index in crash.indices]
        self._steps += 1
        rewards, terminated, truncated = self._episodes.step(self._rows())
        truncated |= ~terminated & (self._steps >= self._limit)
        fresh = self._ended
        if fresh.any():
            self._begin_games(np.flatnonzero(self._over).tolist())
            self._episodes.begin(self._rows(), fresh)
            self._steps[fresh] = 0
            rewards[fresh], terminated[fresh], truncated[fresh] = 0.0, False, False
        over = np.zeros(self.games, np.bool_)
        over[self._game_of[self._episodes.success & ~fresh | truncated]] = True
        over[crashed] = True
        died = np.isin(self._game_of, crashed)
        rewards[died], terminated[died] = 0.0, False
        truncated |= ~terminated & over[self._game_of]
        self._ended, self._over = terminated | truncated, over
        infos = self._infos()
        if crashed:
            infos["crashed"], infos["_crashed"] = died, died.copy()
        seen = self._episodes.features()
        for group, _, games in self._parts():
            for game in crashed:
                if games.start <= game < games.stop:
                    group.pool.replace(game - games.start)
        return seen, rewards, terminated, truncated, infos

    def close_extras(self, **kwargs: Any) -> None:
        """Free all machines."""
        for group in self._groups:
            if self._in_flight:
                group.pool.recv()
            group.pool.close()
        self._in_flight = False

    # -- inside ------------------------------------------------------------------------------------

    def _parts(self) -> Iterator[tuple[_Group, slice, slice]]:
        """Each group with its environments and its games."""
        row = game = 0
        for group in self._groups:
            rows, games = group.games * group.players, group.games
            yield group, slice(row, row + rows), slice(game, game + games)
            row, game = row + rows, game + games

    def _rows(self) -> NDArray[np.uint8]:
        """(n, K): the games' bytes as each player's rules see them."""
        return np.concatenate([group.rows() for group in self._groups])

    def _begin_games(self, games: Sequence[int]) -> None:
        drawn = {game: draw(self._rngs[game], self._setup, None) for game in games}
        for group, _, own in self._parts():
            mine = [game for game in drawn if own.start <= game < own.stop]
            if mine:
                starts, seeds = [drawn[game].start for game in mine], [drawn[game].seed for game in mine]
                begin(group.pool, [game - own.start for game in mine], starts, seeds)
        if drawn:
            mask = np.isin(self._game_of, list(drawn))
            self._episodes.begin(self._rows(), mask)
            self._steps[mask] = 0
            self._over[list(drawn)] = False

    def _infos(self) -> dict[str, Any]:
        facts: dict[str, Any] = self._episodes.values()
        facts["success"] = self._episodes.success
        facts["episode_frames"] = self._steps * self._setup.settings.frame_skip
        if self._setup.rules.timed:
            facts["time"] = self._episodes.time()
        return marked(facts, np.ones(self.num_envs, np.bool_))


class _Group:
    """Games of as many players each."""

    def __init__(self, setup: Setup, games: int) -> None:
        self.games = games
        self.pool = setup.open_pool(games)
        self.players = len(self.pool.controllers)
        self._turn = turned(setup.rules.layout.spans, setup.domains, self.players)

    def rows(self) -> NDArray[np.uint8]:
        """(games * players, K)."""
        rows: NDArray[np.uint8] = self.pool.rows.take(self._turn, axis=1)
        return rows.reshape(self.games * self.players, -1)
