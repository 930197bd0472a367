"""What an agent sees: the game's features, bytes of memory, the screen, or a dict of them.

- "features": the game's feature vector, float32 (F,); "features:NAME" another one that it names.
- "ram", "ram[0x100:0x200]", ("ram", 0x100, 0x200): bytes of a memory domain, uint8, in the order in which
  `machine.memory` holds them; the range counts from the domain's start.
- "pixels": the screen as `Video` shapes it (84x84 grey, the last four frames, unless asked otherwise): grey
  is (stack, H, W), colour (H, W, 3), or (stack, H, W, 3) when stacked.
- "screen": the whole screen of the last frame in colour, (H, W, 3).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
from gymnasium import spaces
from numpy.typing import NDArray

from frameperfect.errors import EnvError
from frameperfect.memory import Domain, Span
from frameperfect.pool import Video

if TYPE_CHECKING:
    from frameperfect.game import BatchEpisode, Episode, Game, Rules
    from frameperfect.pool import Pool

Part: TypeAlias = "str | tuple[str, int, int]"
ObservationChoice: TypeAlias = "Part | Mapping[str, Part]"
Read: TypeAlias = Callable[[], Any]

SCREEN = Video(height=None, width=None, grey=False, stack=1, max_pool=False)
_NAMED = "features:"
_RANGE = re.compile(r"(?P<domain>[^\[\]]+?)\s*(\[\s*(?P<start>\w*)\s*:\s*(?P<stop>\w*)\s*\])?")


@dataclass(frozen=True)
class _Features:
    size: int

    def space(self, pool: Pool) -> spaces.Space[Any]:
        return spaces.Box(-np.inf, np.inf, (self.size,), np.float32)

    def single(self, pool: Pool, episode: Episode) -> Read:
        return episode.features

    def batch(self, pool: Pool, episodes: BatchEpisode, copy: bool) -> Read:
        if copy:
            return episodes.features
        out = np.zeros((pool.size, self.size), np.float32)
        return lambda: episodes.features(out)


@dataclass(frozen=True)
class _Memory:
    domain: str
    start: int
    length: int
    column: int
    """Where its bytes begin in a row of the pool, if the pool gathers them."""

    def space(self, pool: Pool) -> spaces.Space[Any]:
        return spaces.Box(0, 255, (self.length,), np.uint8)

    def single(self, pool: Pool, episode: Episode) -> Read:
        if pool.rows.shape[1] > self.column:
            return pool.rows[0, self.column : self.column + self.length].copy
        memory = pool.memory(0)
        assert memory is not None
        return memory[self.domain][self.start : self.start + self.length].copy

    def batch(self, pool: Pool, episodes: BatchEpisode, copy: bool) -> Read:
        view = pool.rows[:, self.column : self.column + self.length]
        return view.copy if copy else lambda: view


@dataclass(frozen=True)
class _Pixels:
    squeeze: bool
    """Colour without a stack: (H, W, 3)."""

    def space(self, pool: Pool) -> spaces.Space[Any]:
        return spaces.Box(0, 255, self._view(pool).shape[1:], np.uint8)

    def single(self, pool: Pool, episode: Episode) -> Read:
        view: NDArray[np.uint8] = self._view(pool)[0]
        return view.copy

    def batch(self, pool: Pool, episodes: BatchEpisode, copy: bool) -> Read:
        view = self._view(pool)
        return view.copy if copy else lambda: view

    def _view(self, pool: Pool) -> NDArray[np.uint8]:
        assert pool.pixels is not None
        return pool.pixels[:, 0] if self.squeeze else pool.pixels


def chosen_features(
    choice: ObservationChoice | None, game: Game
) -> tuple[list[str] | None, ObservationChoice | None]:
    """The list of features that "features:NAME" names, and the choice with "features" in its place; None
    where it is the game's own list.

    Raises:
        EnvError: the game has no such list, or two are asked for.
    """
    parts = choice if isinstance(choice, Mapping) else {"": choice}
    named = {
        part[len(_NAMED) :] for part in parts.values() if isinstance(part, str) and part.startswith(_NAMED)
    }
    if not named:
        return None, choice
    if len(named) > 1 or "features" in parts.values():
        raise EnvError("an observation can hold the features of one list only")
    (name,) = named
    presets = game.observation.presets
    if name not in presets:
        raise EnvError(
            f"{game.name} has no features '{name}'; observe "
            f"{', '.join(['features', *(_NAMED + each for each in presets)])}"
        )
    if not isinstance(choice, Mapping):
        return presets[name], "features"
    return presets[name], {key: "features" if part == _NAMED + name else part for key, part in choice.items()}


class Observation:
    """What the pool must gather for an observation, its space, and how it is read from the pool's arrays."""

    spans: tuple[Span, ...]
    """The memory it needs, after the rules' own bytes in each row."""
    video: Video | None

    def __init__(
        self,
        choice: ObservationChoice | None,
        video: Video,
        rules: Rules,
        domains: Mapping[str, Domain],
    ) -> None:
        """Raises EnvError where the game does not have what `choice` asks for; `video` shapes "pixels"."""
        self.spans, self.video = (), None
        self._rules, self._domains, self._column = rules, domains, rules.layout.width
        if choice is None:
            choice = "features" if rules.features else "pixels"
        self._dict = isinstance(choice, Mapping)
        asked = choice if isinstance(choice, Mapping) else {"": choice}
        if not asked:
            raise EnvError('an observation dict needs an entry, like {"ram": "ram", "screen": "pixels"}')
        self._parts = {key: self._part(part, video) for key, part in asked.items()}

    def space(self, pool: Pool) -> spaces.Space[Any]:
        """The space of one environment."""
        parts = {key: part.space(pool) for key, part in self._parts.items()}
        return spaces.Dict(parts) if self._dict else parts[""]

    def single(self, pool: Pool, episode: Episode) -> Read:
        """A function that gives the observation of the pool's first machine, new arrays each time.

        Ask for it anew after `reset`, `restore` and `replace`: it may look at the machine's own memory.
        """
        return self._gather({key: part.single(pool, episode) for key, part in self._parts.items()})

    def batch(self, pool: Pool, episodes: BatchEpisode, copy: bool) -> Read:
        """A function that gives the observations of all machines, (N, ...)."""
        return self._gather({key: part.batch(pool, episodes, copy) for key, part in self._parts.items()})

    def _gather(self, reads: dict[str, Read]) -> Read:
        if not self._dict:
            return reads[""]
        # In the key order of spaces.Dict, which sorts: some consumers zip the two.
        items = sorted(reads.items())
        return lambda: {key: read() for key, read in items}

    def _part(self, part: Part, video: Video) -> _Features | _Memory | _Pixels:
        if part == "features":
            if not self._rules.features:
                raise EnvError(f"this game defines no features; observe {self._choices()}")
            return _Features(len(self._rules.features))
        if part in ("pixels", "screen"):
            wanted = SCREEN if part == "screen" else video
            if self.video is not None and self.video != wanted:
                raise EnvError("an observation can hold the screen in one shape only")
            self.video = wanted
            return _Pixels(squeeze=wanted.stack == 1 and not wanted.grey)
        domain, start, stop = self._range(part)
        self.spans += (Span(domain, start, stop - start, raw=True),)
        self._column += stop - start
        return _Memory(domain, start, stop - start, self._column - (stop - start))

    def _range(self, part: Part) -> tuple[str, int, int]:
        start: int | None
        stop: int | None
        if isinstance(part, str):
            match = _RANGE.fullmatch(part.strip())
            if match is None:
                raise EnvError(f"can't read the observation '{part}'; observe {self._choices()}")
            name = match["domain"]
            try:
                start = int(match["start"], 0) if match["start"] else None
                stop = int(match["stop"], 0) if match["stop"] else None
            except ValueError:
                raise EnvError(f"can't read the range of '{part}'; write it like ram[0x100:0x200]") from None
        else:
            name, start, stop = part
        if name not in self._domains:
            raise EnvError(f"no observation '{name}' in this game; observe {self._choices()}")
        size = self._domains[name].size
        first, last = 0 if start is None else start, size if stop is None else stop
        if not 0 <= first < last <= size:
            raise EnvError(f"{name}[{first:#x}:{last:#x}] is no range of {name}, which has {size:#x} bytes")
        return name, first, last

    def _choices(self) -> str:
        features = ["features"] if self._rules.features else []
        return ", ".join([*features, "pixels", "screen", *self._domains])
