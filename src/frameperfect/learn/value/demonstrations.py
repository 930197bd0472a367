"""Demonstrations in a replay of their own, which nothing overwrites: a share of every batch comes from it.

As in R2D3 (T. L. Paine et al. 2019, arXiv:1909.01387): the two replays stay apart, and the share decides how
much of a batch is demonstrated; within each, priorities decide as usual. Returns over n steps are those of
the demonstration. What was demonstrated and cut short is valued at its last observation.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from frameperfect.env.demonstrations import Demonstrations
from frameperfect.errors import LearningError
from frameperfect.learn.spaces import Actions, Input
from frameperfect.learn.value.config import ValueConfig
from frameperfect.learn.value.network import QNetwork
from frameperfect.learn.value.replay import Replay, Shape


def load(path: Path, inputs: tuple[Input, ...], actions: Actions, shape: Shape) -> Replay:
    """The replay of a file's demonstrations, whole, for an agent that sees `inputs` and does `actions`.

    Raises:
        EnvError: the file can't be read.
        LearningError: it holds other observations or actions than the agent's.
    """
    shown = Demonstrations.load(path)
    theirs = {name: (part.shape[1:], str(part.dtype)) for name, part in shown.obs.items()}
    mine = {each.name: (each.shape, each.dtype) for each in inputs}
    if theirs != mine:
        raise LearningError(
            f"{path} shows observations {_told(theirs)}, and this agent sees {_told(mine)}: record them with "
            "the options that it is trained with"
        )
    places = _places(shown, actions, path)
    deepest = max((each.shape[0] for each in inputs if each.pixels), default=1)
    window = 4 * (shape.sequence + shape.n_step + shape.burn_in + deepest)
    capacity = shown.steps + len(shown.lengths) * (deepest + 1) + window
    kept = Replay(inputs, 1, replace(shape, capacity=capacity))
    no, yes = np.zeros(1, np.bool_), np.ones(1, np.bool_)
    for episode, steps in enumerate(shown.episodes()):
        obs = shown.observations(episode)
        kept.begin({name: part[:1] for name, part in obs.items()})
        for at in range(steps.stop - steps.start):
            row = steps.start + at
            kept.add(
                places[row : row + 1], shown.rewards[row : row + 1], shown.terminated[row : row + 1],
                yes if row + 1 == steps.stop else no, no,
                {name: part[at + 1 : at + 2] for name, part in obs.items()},
            )  # fmt: skip
    return kept


def show(
    path: str,
    inputs: tuple[Input, ...],
    actions: Actions,
    config: ValueConfig,
    shape: Shape,
    network: QNetwork,
) -> Replay:
    """`load` for a learner: its network's statistics have seen them as well.

    Raises as `load` does, and LearningError for a recurrent network: nobody knows its states.
    """
    if config.lstm:
        raise LearningError(
            "demonstrations are for feed-forward networks: they hold no recurrent state; set lstm = 0"
        )
    kept = load(Path(path), inputs, actions, shape)
    if network.vectors.normalise:
        every = np.flatnonzero(kept.kinds)
        rows = {name: torch.from_numpy(part) for name, part in kept.observations(every).items()}
        device = next(network.parameters()).device
        with torch.no_grad():
            network.vectors.observe({name: part.to(device) for name, part in rows.items()})
    return kept


def _places(shown: Demonstrations, actions: Actions, path: Path) -> NDArray[np.int64]:
    """(T,): what was done, as the places among the agent's alternatives."""
    done = shown.actions.reshape(shown.steps, -1).astype(np.int64)
    if actions.kind == "discrete":
        done = done - actions.start
    fits = done.shape[1] == len(actions.choices) and bool((done >= 0).all())
    if not fits or (done >= np.array(actions.choices)).any():
        raise LearningError(
            f"{path} holds actions that this agent has not: record them with the options that it is "
            "trained with"
        )
    return np.asarray(np.ravel_multi_index(tuple(done.T), actions.choices), np.int64)


def _told(parts: dict[str, tuple[tuple[int, ...], str]]) -> str:
    return ", ".join(f"{name or 'of'} {shape} {dtype}" for name, (shape, dtype) in parts.items())
