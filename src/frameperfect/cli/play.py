"""Playing episodes and keeping the best as a movie."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import gymnasium
import numpy as np
from gymnasium.vector import AutoresetMode, VectorWrapper
from numpy.typing import NDArray

from frameperfect.cli.runs import CONFIG, read_run, run_folder

if TYPE_CHECKING:
    from frameperfect.env import Env, VectorEnv
    from frameperfect.machine import Machine
    from frameperfect.movie import Movie
    from frameperfect.view.video import Chances


class BestRun(VectorWrapper):
    """Keeps the best episode that a player plays in a vector of environments (with NEXT_STEP autoreset).

    The player acts through it, so that the chances of its actions are kept with the movie.
    """

    movie: Movie | None = None
    score = -np.inf
    chances: Chances | None = None
    """Of the best episode, a row a step; None for a player without an opinion."""

    def __init__(self, envs: VectorEnv, player: Any) -> None:
        assert envs.metadata["autoreset_mode"] == AutoresetMode.NEXT_STEP
        super().__init__(envs)
        self._envs, self._player = envs, player
        self._think = getattr(player, "probabilities", None)
        self._thought: NDArray[np.float32] | None = None
        self._thoughts: list[list[NDArray[np.float32]]] = [[] for _ in range(envs.num_envs)]
        self._totals = np.zeros(envs.num_envs)
        self._ended = np.zeros(envs.num_envs, bool)

    def act(self, obs: Any, state: Any = None, deterministic: bool = False) -> tuple[Any, Any]:
        """As the player's own."""
        if self._think is not None:
            self._thought = self._think(obs, state)
        return self._player.act(obs, state, deterministic)  # type: ignore[no-any-return]

    def step(self, actions: Any) -> tuple[Any, Any, Any, Any, dict[str, Any]]:
        """As the environments' own."""
        result = self._envs.step(actions)
        _, rewards, terminated, truncated, _ = result
        self._totals[self._ended] = 0
        self._totals += rewards
        if self._thought is not None:
            for thoughts, row, ended in zip(self._thoughts, self._thought, self._ended, strict=True):
                if ended:  # this step only begins the next episode
                    thoughts.clear()
                else:
                    thoughts.append(row)
        self._ended = terminated | truncated
        for index in np.flatnonzero(self._ended):
            if self._totals[index] > self.score:
                self.score, self.movie = float(self._totals[index]), self._envs.movie(int(index))
                self.chances = known_chances(self._thoughts[index], self._envs.action_names)
        return result


def known_chances(rows: Sequence[NDArray[np.float32]], names: Sequence[Any]) -> Chances | None:
    """The chances of an episode's actions, where the player had an opinion; of several groups one after the
    other.
    """
    from frameperfect.view.video import Chances

    flat = [each for name in names for each in ([name] if isinstance(name, str) else name)]
    return Chances(np.array(rows), flat) if len(rows) else None


class RandomPlayer:
    """Draws actions evenly; acts on a batch of one, as an agent does."""

    def __init__(self, space: gymnasium.Space[Any], seed: int) -> None:
        self._space = space
        space.seed(seed)

    def act(self, obs: Any, state: Any = None, deterministic: bool = False) -> tuple[list[Any], None]:
        """One action, whatever is seen."""
        return [self._space.sample()], None


class OpenLoop:
    """Plays a list of actions over and over, blind; acts on batches, as an agent does."""

    def __init__(self, actions: Sequence[int]) -> None:
        self._actions = np.array(actions)

    def act(self, obs: Any, state: Any = None, deterministic: bool = False) -> tuple[NDArray[Any], Any]:
        """Each environment's next action; `state` counts its steps, and is 0 where an episode starts."""
        step = np.zeros((len(obs), 1)) if state is None else state[0]
        return self._actions[step[:, 0].astype(int) % len(self._actions)], (step + 1, step + 1)


@dataclass(frozen=True)
class Subject:
    """Who plays what: the agent of a run, or, without one, a random player."""

    game: str
    env: dict[str, Any]
    run: Path | None


def subject(what: str, random: bool = False) -> Subject:
    """The run, or the game, that a command line names."""
    run = run_folder(what)
    if (run / CONFIG).is_file():
        config = read_run(run)
        return Subject(config.game, dict(config.env), None if random else run)
    return Subject(game_reference(what), {"frame_skip": 4}, None)


def game_reference(what: str) -> str:
    """What a game is known by from any folder: its name, or the whole path of what is no registered game.

    Raises:
        UnknownGame: there is no such game.
    """
    from frameperfect.game import load_game

    name = load_game(what).name
    return name if name == what or not Path(what).exists() else str(Path(what).resolve())


class Played(NamedTuple):
    """One episode: its movie and return, and at every step the chances of the agent's actions."""

    movie: Movie
    score: float
    chances: Chances | None


def play_best(
    who: Subject,
    *,
    episodes: int = 1,
    seconds: float | None = None,
    seed: int = 0,
    sticky: float | None = None,
    core: str | None = None,
    progress: Callable[[int, float], None] | None = None,
) -> Played:
    """Play `episodes` and return the best one; `seconds` of the game cut them short."""
    from frameperfect.env import make_env

    changes = {"sticky": sticky, "core": core}
    env = make_env(who.game, **{**who.env, **{name: v for name, v in changes.items() if v is not None}})
    try:
        player: Any
        if who.run is None:
            player = RandomPlayer(env.action_space, seed)
        else:
            from frameperfect.learn import load_policy

            player = load_policy(who.run, seed=seed)
        best: Played | None = None
        for episode in range(episodes):
            score, chances = play_episode(env, player, seed + episode, seconds)
            if best is None or score > best.score:
                best = Played(env.movie(), score, known_chances(chances, env.action_names))
            if progress is not None:
                progress(episode + 1, best.score)
        assert best is not None
        return best
    finally:
        env.close()


def play_episode(
    env: Env, player: Any, seed: int, seconds: float | None = None
) -> tuple[float, list[NDArray[np.float32]]]:
    """Play one episode, or its first `seconds`; its return, and the chances that an agent's actions had."""
    probabilities = getattr(player, "probabilities", None)  # a random player has no opinion
    chances: list[NDArray[np.float32]] = []
    observation, _ = env.reset(seed=seed)
    most_frames = np.inf if seconds is None else seconds * env.movie().frame_rate
    state, total, over = None, 0.0, False
    while not over:
        if isinstance(observation, dict):
            batch: Any = {name: part[None] for name, part in observation.items()}
        else:
            batch = observation[None]
        if probabilities is not None:
            chances.append(probabilities(batch, state)[0])
        actions, state = player.act(batch, state)
        observation, reward, terminated, truncated, info = env.step(actions[0])
        total += reward
        over = terminated or truncated or info["episode_frames"] >= most_frames
    return total, chances


def open_for(movie: Movie, path: Path | str, game: str | None, core: str | None) -> Machine:
    """The machine that plays `movie`: its own game's, with the core and options it was recorded with.

    Raises:
        MovieError: the movie names no game, and none is given.
    """
    from frameperfect.game import proof

    return proof.open_for(movie, proof.game_of(movie, game, Path(path)), core)
