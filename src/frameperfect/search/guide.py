"""Explorations led by somebody who knows the game: what `go-explore` asks of a guide, and agents as guides.

After the exploration by a policy of A. Ecoffet et al., "First return, then explore" (Nature 590, 2021), in
its simplest form. There a policy is trained on the way, to reach a chosen cell and to explore from it; here
the agent is one that is already trained, for reward and not for cells, the cell is reached by restoring its
state, and from there the agent's actions are drawn by its own chances.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from frameperfect.env.onlooker import Onlooker
from frameperfect.errors import SearchError
from frameperfect.expand import Ids
from frameperfect.search.problem import Problem

NOTHING = np.uint32(0xFFFFFFFF)
"""The number of what the search does not know as an action."""


class Guide(Protocol):
    """Something that knows the game. The explorations that it leads are lanes, numbered from 0."""

    identity: str
    """What tells it from others: a search goes on with the guide that it was begun with."""
    lanes: int
    """How many of the explorations at once it leads."""

    def begin(self, states: Ids, rows: NDArray[np.uint8], seed: int) -> None:
        """Its explorations begin at these states: (N,) held ones, with (N, K) rows of the expander's spans.

        All that it draws until the next call follows from `seed`.
        """

    def choose(self, lanes: NDArray[np.intp]) -> NDArray[np.uint32]:
        """What to press in `lanes`, places in `Problem.names`; any other number asks for a random action."""

    def look(self, lanes: NDArray[np.intp], actions: NDArray[np.uint32], rows: NDArray[np.uint8]) -> None:
        """What was pressed in `lanes`, those that go on, and the rows after it."""


class Player(Protocol):
    """A trained agent, as `frameperfect.learn.load_policy` gives it."""

    generator: Any
    """What it draws by; has `manual_seed`."""

    def act(self, obs: Any, state: Any = None, deterministic: bool = False) -> tuple[NDArray[Any], Any]:
        """Actions for a batch of observations, and the state for the next call."""


class Agent:
    """A trained agent as a guide: it draws its actions as it does in play. Close it after use."""

    def __init__(
        self,
        problem: Problem,
        player: Player,
        env: Mapping[str, Any],
        *,
        identity: str,
        lanes: int,
    ) -> None:
        """Open the environments that it sees by.

        Args:
            problem: where it leads.
            player: the agent.
            env: the keywords of `make_vec` that it was trained with.
            identity: what tells it from other agents, such as a digest of its weights.
            lanes: how many of the explorations at once it leads, of `go_explore.TOGETHER`.

        Raises:
            SearchError: its steps are longer or shorter than the search's, or it was trained on another core.
            FrameperfectError: its environment can't be made.
        """
        self.identity, self.lanes, self._player, self._problem = identity, lanes, player, problem
        self._onlooker = Onlooker(problem.game, lanes, **env)
        try:
            self._check()
        except BaseException:
            self.close()
            raise
        self._memory: Any = None
        self._numbers: dict[tuple[int, ...], int] = {}

    def _check(self) -> None:
        onlooker, problem = self._onlooker, self._problem
        frames = problem.section.frames
        if onlooker.frame_skip != frames:
            raise SearchError(
                f"the agent holds its actions for {onlooker.frame_skip} frames and {problem.where} for "
                f"{frames}; train one with --frame-skip {frames}, or set frames = {onlooker.frame_skip}"
            )
        if onlooker.fingerprint != problem.expander.fingerprint.digest.hex():
            raise SearchError(
                "the agent was trained on another core, or with other options of it, than the search runs "
                "on; name its core with --core"
            )

    def begin(self, states: Ids, rows: NDArray[np.uint8], seed: int) -> None:
        """See `Guide.begin`."""
        expander, sealed = self._problem.expander, []
        for state in states.tolist():
            expander.show(state)
            sealed.append(expander.machine.save())
        self._onlooker.begin(sealed)
        self._player.generator.manual_seed(seed)
        self._memory = None
        self._numbers = {tuple(mask): number for number, mask in enumerate(self._problem.masks.tolist())}

    def choose(self, lanes: NDArray[np.intp]) -> NDArray[np.uint32]:
        """See `Guide.choose`."""
        # All of them every time: which lanes are still under way must not change what is drawn for them.
        actions, self._memory = self._player.act(self._onlooker.observe(), self._memory)
        masks = self._onlooker.masks(actions)[lanes].tolist()
        return np.array([self._numbers.get(tuple(mask), NOTHING) for mask in masks], np.uint32)

    def look(self, lanes: NDArray[np.intp], actions: NDArray[np.uint32], rows: NDArray[np.uint8]) -> None:
        """See `Guide.look`."""
        masks = np.zeros((self.lanes, self._problem.masks.shape[1]), np.uint32)
        masks[lanes] = self._problem.masks[actions]
        active = np.zeros(self.lanes, np.bool_)
        active[lanes] = True
        self._onlooker.step(masks, active)

    def close(self) -> None:
        """Free its environments."""
        self._onlooker.close()
