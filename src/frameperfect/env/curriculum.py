"""Learning a long run from its end: episodes begin along a demonstration, ever nearer to its start.

Followed: T. Salimans and R. Chen, "Learning Montezuma's Revenge from a Single Demonstration" (2018,
arXiv:1812.03381). Episodes begin at states of the demonstration just before a point that lies near its end.
Where enough of them do as well as the demonstration did from there, the point moves back, until it is the
start. To do as well is to reach the game's goal (`success`) if the demonstration does, or else to get as much
reward.
"""

from __future__ import annotations

import json
import struct
from collections import deque
from typing import Any

import numpy as np
from gymnasium.vector import AutoresetMode, VectorWrapper
from numpy.typing import NDArray

from frameperfect.env.demonstrations import Demonstrations
from frameperfect.env.vector import VectorEnv
from frameperfect.errors import EnvError, StateMismatch

ENOUGH = 0.2
"""Of the last episodes, those that do as well: then the point moves back."""
TRIES = 16
"""Episodes that are looked at, at least."""
SPREAD = 4
"""States that episodes begin at: the point and those before it."""

_LENGTH = struct.Struct("<I")


class Backwards(VectorWrapper):
    """A vector environment whose episodes begin along demonstrations, from their ends to their starts.

    Where there are several demonstrations, each has a point, and episodes begin at all of them.
    """

    def __init__(self, envs: VectorEnv, demonstrations: Demonstrations) -> None:
        """Raises EnvError where they are of another game or machine, or hold no states."""
        super().__init__(envs)
        if demonstrations.game != envs.game_name or demonstrations.fingerprint != envs.fingerprint:
            raise EnvError(
                f"the demonstrations are of {demonstrations.game} on another core or version than this "
                f"{envs.game_name}'s; record them anew"
            )
        whole = [int(e) for e in np.flatnonzero(demonstrations.first == 0)]
        returns = demonstrations.returns_from()
        self._ladders: list[_Ladder] = []
        for episode in whole:
            mine = np.flatnonzero(demonstrations.places[:, 0] == episode)
            if len(mine):
                self._ladders.append(
                    _Ladder(
                        [demonstrations.states[i] for i in mine], returns[mine],
                        bool(demonstrations.success[episode]),
                    )
                )  # fmt: skip
        if not self._ladders:
            raise EnvError("the demonstrations hold no states to begin at; record them with state_every")
        self._of = {state: ladder for ladder in self._ladders for state in ladder.states}
        self._totals = np.zeros(envs.num_envs)
        self._fresh = np.zeros(envs.num_envs, np.bool_)
        self._own = envs.starts
        self._open()

    @property
    def inner(self) -> VectorEnv:
        """The environment without its curriculum."""
        assert isinstance(self.env, VectorEnv)
        return self.env

    @property
    def part(self) -> float:
        """How far back the points have come: 0 at first, 1 where all is played from the start."""
        return float(np.mean([1 - ladder.point / max(ladder.top, 1) for ladder in self._ladders]))

    @property
    def single(self) -> bool:
        """Whether every episode begins at a start of the environment's own by now."""
        return all(ladder.point == 0 for ladder in self._ladders)

    def _open(self) -> None:
        """Let episodes begin where the ladders stand."""
        if self.single:
            self.inner.starts = self._own
        else:
            self.inner.starts = tuple(state for ladder in self._ladders for state in ladder.open)

    def reset(self, **kwargs: Any) -> tuple[Any, dict[str, Any]]:
        """As the environment does; an episode that did not end counts for nothing."""
        found = self.inner.reset(**kwargs)
        self._totals[:] = 0
        self._fresh[:] = False
        return found

    def send(self, actions: Any) -> None:
        """See `VectorEnv.send`."""
        self.inner.send(actions)

    def recv(self) -> Any:
        """See `VectorEnv.recv`; episodes that ended move the points."""
        return self._look(self.inner.recv())

    def step(self, actions: Any) -> Any:
        """See `VectorEnv.step`."""
        self.inner.send(actions)
        return self.recv()

    def _look(self, outcome: Any) -> Any:
        _, rewards, terminated, truncated, infos = outcome
        same_step = self.inner.metadata["autoreset_mode"] == AutoresetMode.SAME_STEP
        self._totals += np.where(self._fresh, 0, rewards)
        ended = (terminated | truncated) & ~self._fresh
        self._fresh = np.zeros_like(ended) if same_step else ended
        for index in np.flatnonzero(ended).tolist():
            told = infos["final_info"] if same_step else infos
            start = self.inner.start_of(index, previous=same_step)
            if isinstance(start, bytes) and start in self._of:
                total, success = float(self._totals[index]), bool(told["success"][index])
                self._of[start].account(start, total, success)
            self._totals[index] = 0
        if any(ladder.retreat() for ladder in self._ladders):
            self._open()
        return outcome

    # -- going on exactly ------------------------------------------------------------------------------

    def save(self, index: int) -> bytes:
        """See `VectorEnv.save`; with where the points are."""
        facts = {
            "ladders": [[ladder.point, *ladder.tries] for ladder in self._ladders],
            "total": self._totals[index], "fresh": bool(self._fresh[index]),
        }  # fmt: skip
        text = json.dumps(facts).encode()
        return _LENGTH.pack(len(text)) + text + self.inner.save(index)

    def restore(self, index: int, state: bytes) -> None:
        """See `VectorEnv.restore`."""
        try:
            (length,) = _LENGTH.unpack_from(state)
            facts = json.loads(state[_LENGTH.size : _LENGTH.size + length])
            ladders = [(int(point), [bool(one) for one in tries]) for point, *tries in facts["ladders"]]
            if len(ladders) != len(self._ladders):
                raise ValueError("other demonstrations")
        except (struct.error, ValueError, KeyError, TypeError) as wrong:
            raise StateMismatch(f"the clone was saved by an environment of other starts ({wrong})") from None
        self.inner.restore(index, state[_LENGTH.size + length :])
        for ladder, (point, tries) in zip(self._ladders, ladders, strict=True):
            ladder.point, ladder.tries = point, deque(tries, maxlen=TRIES)
        self._totals[index], self._fresh[index] = facts["total"], facts["fresh"]
        self._open()

    def observe(self) -> Any:
        """See `VectorEnv.observe`."""
        return self.inner.observe()


class _Ladder:
    """The states of one demonstration, first to last, and the point on it."""

    def __init__(self, states: list[bytes], returns: NDArray[np.float64], wins: bool) -> None:
        self.states, self.returns, self.wins = states, returns, wins
        self.numbers = {state: number for number, state in enumerate(states)}
        self.point = self.top = len(states) - 1
        self.tries: deque[bool] = deque(maxlen=TRIES)

    @property
    def open(self) -> list[bytes]:
        """Where episodes begin."""
        return self.states[max(0, self.point - SPREAD + 1) : self.point + 1]

    def account(self, state: bytes, total: float, success: bool) -> None:
        """An episode from `state` ended with that."""
        number = self.numbers[state]
        if number <= self.point:
            self.tries.append(bool(success if self.wins else total >= self.returns[number] - 1e-9))

    def retreat(self) -> bool:
        """Move the point back, if that is due."""
        if self.point == 0 or len(self.tries) < TRIES or np.mean(self.tries) < ENOUGH:
            return False
        self.point = max(0, self.point - SPREAD // 2)
        self.tries.clear()
        return True
