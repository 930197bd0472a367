"""What a game and a caller's settings come to: the machine, its rules, actions, observation and starts.

One environment and a vector of them are made from the same `Setup`, so they can't differ.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

from frameperfect.env.actions import Actions, Combinations, make_actions
from frameperfect.env.observation import SCREEN, Observation, ObservationChoice, chosen_features
from frameperfect.errors import EnvError, MachineCrashed
from frameperfect.game import load_game
from frameperfect.machine import Capability, Machine, MachineSpec, backend
from frameperfect.pool import Pool, PoolSettings, Video

if TYPE_CHECKING:
    from pathlib import Path

    from frameperfect.game import Game, Rules

StartChoice: TypeAlias = "str | bytes | Sequence[str | bytes] | None"
POWER_ON = "power-on"
"""The start of a machine just switched on, for games whose own start is another."""

GATHER_AT_MOST = 4096
"""Bytes of memory that are copied twice for an observation, where once is possible."""


@dataclass(frozen=True, slots=True)
class Start:
    """Where an episode begins. `name` is what a movie calls it: a start of the game, a state, or None."""

    name: str | bytes | None
    state: bytes | None


class Setup:
    """The checked settings of an environment; `open_pool` makes its machines."""

    def __init__(
        self,
        game: str | Path | Game,
        *,
        observation: ObservationChoice | None,
        video: Video | Mapping[str, Any] | None,
        actions: str | Combinations | None,
        frame_skip: int,
        sticky: float,
        start: StartChoice,
        noops: int,
        max_steps: int | None,
        reward_terms: bool,
        render_mode: str | None,
        core: str | None,
        options: Mapping[str, str] | None,
        define: Mapping[str, str] | None,
        isolated: bool,
        threads: int,
    ) -> None:
        if not isinstance(frame_skip, int) or frame_skip < 1:
            raise EnvError(f"frame_skip is the frames a step, 1 or more, not {frame_skip!r}")
        if not 0.0 <= sticky < 1.0:
            raise EnvError(f"sticky is a chance, at least 0 and below 1, not {sticky!r}")
        if noops < 0:
            raise EnvError(f"noops is the most idle steps before an episode, 0 or more, not {noops!r}")
        if max_steps is not None and max_steps < 1:
            raise EnvError(f"max_steps is the most steps of an episode, 1 or more, not {max_steps!r}")
        if render_mode not in (None, "rgb_array"):
            raise EnvError(f"no render_mode '{render_mode}'; there are None and 'rgb_array'")
        self.game = load_game(game).redefined(define or {})
        listed, observation = chosen_features(observation, self.game)
        self.spec: MachineSpec = self.game.spec(core, options)
        self.isolated, self.noops, self.render_mode = isolated, noops, render_mode
        self.max_steps, self.reward_terms = max_steps, reward_terms
        self._start_states: dict[str, bytes] = {}
        with self._open_machine() as machine:
            self.domains = machine.domains
            self.rules: Rules = self.game.rules(machine.domains, listed)
            self.variables = self.game.variables(machine.domains)
            self.actions: Actions = make_actions(actions, self.game.actions, machine.controllers)
            self.starts = self._resolve(start, machine)
            shape = self._video(video, machine)
            self.observation = Observation(observation, shape, self.rules, machine.domains)
            if video is not None and self.observation.video is not shape:
                raise EnvError('`video` shapes "pixels", and the observation has none')
        # With no picture to observe, one is drawn only where it is to be rendered.
        shown = self.observation.video or (None if render_mode is None else SCREEN)
        self.renders_pixels = shown == SCREEN
        self.settings = PoolSettings(
            frame_skip=frame_skip,
            sticky=float(sticky),
            video=shown,
            spans=(*self.rules.layout.spans, *self.observation.spans),
            threads=threads,
        )
        self._warn()

    def open_pool(self, size: int) -> Pool:
        """`size` machines of this setup: native where the backend can, worker processes where isolated."""
        return self._open_pool(size, self.settings)

    def open_single(self) -> Pool:
        """A pool of one, which leaves a large memory observation to be read where it lies (`Pool.memory`)."""
        if not self.isolated and sum(span.length for span in self.observation.spans) > GATHER_AT_MOST:
            pool = self._open_pool(1, replace(self.settings, spans=self.rules.layout.spans))
            if pool.memory(0) is not None:
                return pool
            pool.close()
        return self._open_pool(1, self.settings)

    def _open_pool(self, size: int, settings: PoolSettings) -> Pool:
        if self.isolated:
            from frameperfect.workers import WorkerPool

            return WorkerPool(self.spec, size, settings)
        pool = backend(self.spec.backend).pool(self.spec, size, settings)
        assert isinstance(pool, Pool)
        return pool

    def start(self, choice: str | bytes) -> Start:
        """A start by name, or a sealed state."""
        if isinstance(choice, bytes):
            return Start(choice, choice)
        if choice == POWER_ON and choice not in self.game.starts:
            return Start(None, None)
        if choice not in self._start_states:
            with self._open_machine() as machine:
                return self._named(choice, machine)
        return Start(choice, self._start_states[choice])

    def _resolve(self, choice: StartChoice, machine: Machine) -> tuple[Start, ...]:
        if choice is None:
            choice = self.game.default_start or POWER_ON
        choices = [choice] if isinstance(choice, (str, bytes)) else list(choice)
        if not choices:
            raise EnvError("start is an empty list; name a start, or None for the game's own")
        return tuple(
            self.start(one) if isinstance(one, bytes) or one == POWER_ON else self._named(one, machine)
            for one in choices
        )

    def _named(self, name: str, machine: Machine) -> Start:
        if name not in self.game.starts:
            known = ", ".join([*self.game.starts, POWER_ON])
            raise EnvError(f"{self.game.name} has no start '{name}'; it has {known}")
        if name not in self._start_states:
            self._start_states[name] = self.game.start_state(machine, name)
        return Start(name, self._start_states[name])

    def _video(self, video: Video | Mapping[str, Any] | None, machine: Machine) -> Video:
        """How "pixels" are shaped; the game's own crop is the default."""
        if isinstance(video, Video):
            return video
        given = dict(video or {})
        known = [f.name for f in fields(Video)]
        if unknown := set(given) - set(known):
            raise EnvError(f"video has no {', '.join(sorted(unknown))}; it has {', '.join(known)}")
        crop = self.game.observation.crop
        if crop is not None and "crop" not in given and Capability.SCREEN in machine.capabilities:
            # A definition may say 0 for "to the edge".
            top, left, height, width = crop
            rows, columns, _ = machine.screen(copy=False).shape
            given["crop"] = (top, left, height or rows - top, width or columns - left)
        return Video(**given)

    def _open_machine(self) -> Machine:
        from frameperfect.game import open as open_game

        return open_game(
            self.game, core=self.spec.core, options=dict(self.spec.options), isolated=self.isolated
        )

    def _warn(self) -> None:
        """Say what would otherwise be found out after a night of training."""
        if not self.game.has_reward:
            warnings.warn(
                f"{self.game.name} defines no reward, so every reward is 0; add [reward] to its game.toml",
                stacklevel=4,
            )
        if self.max_steps is None and not self.game.has_end:
            warnings.warn(
                f"{self.game.name} defines no end, so episodes never end; give max_steps or add [end] to its "
                "game.toml",
                stacklevel=4,
            )


def begin(pool: Pool, indices: Sequence[int], starts: Sequence[Start], seeds: Sequence[int]) -> None:
    """Start episodes on machines of a pool; one that dies at it is replaced and started once more."""
    states = [start.state for start in starts]
    try:
        pool.reset(indices, states, seeds)
    except MachineCrashed as crash:
        if not crash.indices:
            raise
        for index in crash.indices:
            pool.replace(index)
        pool.reset(indices, states, seeds)


@dataclass(frozen=True, slots=True)
class Draw:
    """What chance decides at the start of an episode."""

    start: Start
    seed: int
    noops: int


def draw(rng: np.random.Generator, setup: Setup, start: Start | None) -> Draw:
    """Draw an episode's start (unless it is given), the seed of its sticky actions and its idle steps."""
    if start is None:
        starts = setup.starts
        start = starts[0] if len(starts) == 1 else starts[int(rng.integers(len(starts)))]
    seed = int(rng.integers(1 << 63))
    noops = int(rng.integers(setup.noops + 1)) if setup.noops else 0
    return Draw(start, seed, noops)


def start_option(setup: Setup, options: Mapping[str, Any] | None) -> Start | None:
    """The start that `reset(options={"start": name or sealed state})` asks for."""
    if not options:
        return None
    if unknown := set(options) - {"start"}:
        raise EnvError(f"reset knows no option {', '.join(sorted(map(repr, unknown)))}; it knows 'start'")
    return setup.start(options["start"])
