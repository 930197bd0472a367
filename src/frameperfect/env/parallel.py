"""Several agents in one game, as a PettingZoo `ParallelEnv` (https://pettingzoo.farama.org/api/parallel/).

One machine has a controller for each agent and a domain that holds a record for each (`Domain.record`). The
game's rules are written for the first player; every agent is shown the records turned round so that its own
comes first and the next players follow, and so one set of rules gives each its reward, end and features.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

import gymnasium
import numpy as np
import pettingzoo
from gymnasium import spaces
from gymnasium.utils import seeding
from numpy.typing import NDArray

from frameperfect.env.actions import Combinations
from frameperfect.env.inputs import InputLog
from frameperfect.env.movies import episode_movie
from frameperfect.env.records import players_setup, turned
from frameperfect.env.setup import Setup, StartChoice, begin, draw, start_option
from frameperfect.errors import EnvError, MachineCrashed
from frameperfect.memory import Domain

if TYPE_CHECKING:
    from pathlib import Path

    from frameperfect.game import Game, Rules
    from frameperfect.machine import Machine
    from frameperfect.movie import Movie

Mode: TypeAlias = Literal["race", "elimination"]
Observations: TypeAlias = "dict[str, NDArray[np.float32]]"
Infos: TypeAlias = "dict[str, dict[str, Any]]"
SCREEN = (800, 500)
"""Half the width and height, in pixels, of what the leader of an elimination sees."""
OUT = 10.0
"""What an agent that falls behind loses, and the last one left gains."""


def make_parallel(
    game: str | Path | Game,
    agents: int,
    *,
    mode: Mode = "race",
    observation: str = "features",
    actions: str | Combinations | None = None,
    frame_skip: int = 1,
    sticky: float = 0.0,
    start: StartChoice = None,
    max_steps: int | None = None,
    options: Mapping[str, str] | None = None,
    define: Mapping[str, str] | None = None,
    isolated: bool = False,
) -> ParallelEnv:
    """Make one game that `agents` agents play at once; see `make_env` for what is not described here.

    Args:
        agents: how many; the machine is opened with that many players.
        mode: "race": each agent is done when the game's rules say so. "elimination": also when it is further
            from the leader than the leader's screen shows, which costs it `OUT`; the last one left gains as
            much and is done. The leader has the greatest `lead`, a definition of the game, and places are
            those of its `[view] trail`.
        observation: "features", or "features:NAME", another list that the game names.

    Raises:
        EnvError: the game is not for several, or lacks what the mode needs.
        FrameperfectError: as `make_env` says.
    """
    return ParallelEnv(
        players_setup(
            game,
            agents,
            observation=observation,
            actions=actions,
            frame_skip=frame_skip,
            sticky=sticky,
            start=start,
            max_steps=max_steps,
            options=options,
            define=define,
            isolated=isolated,
            threads=1,
        ),
        mode,
    )


class ParallelEnv(pettingzoo.ParallelEnv[str, Any, Any]):  # type: ignore[misc]
    """Agents "player_0", "player_1", ... in one game; made by `make_parallel`.

    Observations are the game's features, (F,) float32; infos hold its values, `success` and, once an agent
    has reached the goal, its `rank` (1: first). An agent that is done presses nothing more, and its player
    stays where it is.
    """

    def __init__(self, setup: Setup, mode: Mode) -> None:
        if mode not in ("race", "elimination"):
            raise EnvError(f"no mode '{mode}'; there are race and elimination")
        self._setup, self._mode, self._rules = setup, mode, setup.rules
        domains = setup.domains
        place_rules = _place_rules(setup.game, domains) if mode == "elimination" else None
        self._pool = pool = setup.open_pool(1)
        count = len(pool.controllers)
        self._turn = turned(self._rules.layout.spans, domains, count)
        self._log = InputLog(pool)
        self._episodes = self._rules.batch(count)
        self._everyone = np.ones(count, np.bool_)
        self._places = place_rules.batch(count) if place_rules is not None else None
        if place_rules is not None:
            self._place_turn = turned(place_rules.layout.spans, domains, count)
        self.metadata = {"name": setup.game.name, "render_modes": [], "is_parallelizable": True}
        self.render_mode = None
        self.possible_agents = [f"player_{number}" for number in range(count)]
        self._number = {name: number for number, name in enumerate(self.possible_agents)}
        self._masks = np.zeros((1, count), np.uint32)
        self._pressed = self._masks[0].data
        self._players = self._episodes.players(pool.rows[0], self._turn, self.possible_agents)
        self._play([])
        box = (len(self._rules.features),)
        self.observation_spaces = {
            name: spaces.Box(-np.inf, np.inf, box, np.float32) for name in self.possible_agents
        }
        self.action_spaces = {name: _copy(setup.actions.space) for name in self.possible_agents}
        self._rng, _ = seeding.np_random(None)
        self._start = setup.starts[0]
        self._steps = 0
        self._ranks: dict[str, int] = {}

    @property
    def machine(self) -> Machine:
        """The machine, for looking into it; stepping it breaks the episode."""
        return self._pool.machine(0)

    @property
    def feature_names(self) -> tuple[str, ...]:
        """The entries of an observation."""
        return self._rules.features

    def observation_space(self, agent: str) -> spaces.Space[Any]:
        """The same object at every call."""
        return self.observation_spaces[agent]

    def action_space(self, agent: str) -> spaces.Space[Any]:
        """The same object at every call."""
        return self.action_spaces[agent]

    # -- episodes ----------------------------------------------------------------------------------

    def reset(
        self, seed: int | None = None, options: Mapping[str, Any] | None = None
    ) -> tuple[Observations, Infos]:
        """Begin an episode with all agents; `options={"start": ...}` says where."""
        if options and (unknown := set(options) - {"start"}):
            gymnasium.logger.warn(f"reset knows no option {', '.join(sorted(unknown))}; it knows 'start'")
            options = {key: value for key, value in options.items() if key == "start"}
        if seed is not None:
            self._rng, _ = seeding.np_random(seed)
        drawn = draw(self._rng, self._setup, start_option(self._setup, options))
        begin(self._pool, [0], [drawn.start], [drawn.seed])
        self._start, self._steps, self._ranks = drawn.start, 0, {}
        self._log.begin(0)
        self._play(self.possible_agents.copy())
        self._episodes.begin(self._rows(self._turn), self._everyone)
        if self._places is not None:
            self._places.begin(self._rows(self._place_turn), self._everyone)
        return self._observations(), {name: self._info(name) for name in self.agents}

    def step(
        self, actions: Mapping[str, Any]
    ) -> tuple[Observations, dict[str, float], dict[str, bool], dict[str, bool], Infos]:
        """Hold every living agent's action for `frame_skip` frames.

        Raises:
            EnvError: an agent has no action, or one that is not in its space.
        """
        try:
            chosen = list(map(actions.__getitem__, self.agents))
        except KeyError:
            name = next(name for name in self.agents if name not in actions)
            raise EnvError(f"no action for {name}; every agent of env.agents needs one") from None
        for number, mask in zip(self._playing, self._setup.actions.masks(chosen), strict=True):
            self._pressed[number] = mask
        try:
            self._pool.step(self._masks)
        except MachineCrashed:
            return self._crashed()
        self._log.append()
        self._steps += 1
        late = self._setup.max_steps is not None and self._steps >= self._setup.max_steps
        players = self._players
        told: tuple[dict[str, Any], ...] = players.step(late)
        observations, rewards, terminations, truncations, infos = told
        if players.won:
            self._rank(infos)
        for name, rank in self._ranks.items():
            if name in infos:
                infos[name]["rank"] = rank
        over = players.over
        if self._places is not None:
            over |= self._eliminate(rewards, terminations)
        if over:
            self._play([name for name in self.agents if not (terminations[name] or truncations[name])])
        return observations, rewards, terminations, truncations, infos

    def _play(self, agents: list[str]) -> None:
        """Those who play from now on."""
        self.agents = agents
        self._playing = [self._number[name] for name in agents]
        self._players.seat(self._playing)
        self._masks[:] = 0  # who is done presses nothing more

    def _observations(self) -> Observations:
        seen = self._episodes.features()
        return {name: seen[self._number[name]] for name in self.agents}

    def _rows(self, turn: NDArray[np.intp]) -> NDArray[np.uint8]:
        """(agents, K): the machine's bytes as each agent's rules see them."""
        seen: NDArray[np.uint8] = self._pool.rows[0][turn]
        return seen

    def _rank(self, infos: Infos) -> None:
        """Those who reached the goal at this step come after all who did before, and beside each other."""
        winners = [name for name, info in infos.items() if info["success"]]
        self._ranks.update(dict.fromkeys(winners, len(self._ranks) + 1))

    def _eliminate(self, rewards: dict[str, float], terminations: dict[str, bool]) -> bool:
        """Whether anyone is out, or left alone."""
        assert self._places is not None
        self._places.step(self._rows(self._place_turn))
        places = self._places.features().tolist()
        seen = {name: places[self._number[name]] for name in self.agents}
        _, x, y = max(seen.values(), key=lambda place: place[0])
        for name, (_, own_x, own_y) in seen.items():
            if not terminations[name] and (abs(own_x - x) > SCREEN[0] or abs(own_y - y) > SCREEN[1]):
                terminations[name] = True
                rewards[name] -= OUT
        left = [name for name in self.agents if not terminations[name]]
        if len(left) == 1 and len(self.possible_agents) > 1:
            terminations[left[0]] = True
            rewards[left[0]] += OUT
        return True in terminations.values()

    def _info(self, name: str) -> dict[str, Any]:
        number = self._number[name]
        info: dict[str, Any] = self._episodes.one(number)
        info["success"] = False  # at the beginning
        return info

    def _crashed(
        self,
    ) -> tuple[Observations, dict[str, float], dict[str, bool], dict[str, bool], Infos]:
        """The game died: the episode is cut off, and the next reset starts another."""
        observations = self._observations()
        lost = self.agents
        self._play([])
        self._pool.replace(0)
        infos = {name: {"crashed": True} for name in lost}
        return (
            observations,
            dict.fromkeys(lost, 0.0),
            dict.fromkeys(lost, False),
            dict.fromkeys(lost, True),
            infos,
        )

    def movie(self) -> Movie:
        """The episode so far, of all players; it verifies like any other."""
        return episode_movie(self._setup, self._pool, 0, self._start, self._log.episode(0), now=True)

    def render(self) -> None:
        """Nothing: there is no picture."""

    def close(self) -> None:
        """Free the machine; closing twice is harmless."""
        self._play([])
        self._pool.close()


def _copy(space: spaces.Space[Any]) -> spaces.Space[Any]:
    """An equal space with a generator of its own."""
    if isinstance(space, spaces.Discrete):
        return spaces.Discrete(int(space.n))
    if isinstance(space, spaces.MultiDiscrete):
        return spaces.MultiDiscrete(space.nvec.tolist())
    assert isinstance(space, spaces.MultiBinary)
    return spaces.MultiBinary(space.n)


def _place_rules(game: Game, domains: Mapping[str, Domain]) -> Rules:
    """Rules whose features are how far ahead a player is, and where."""
    if game.view.trail is None or "lead" not in game.define:
        raise EnvError(
            f"{game.name} has no elimination; that needs 'lead' in [define], greater for who is ahead, and "
            "[view] trail"
        )
    return game.rules(domains, ["lead", *game.view.trail])
