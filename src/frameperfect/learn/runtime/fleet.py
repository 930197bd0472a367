"""Actors at the learner's service, wherever they run: what the learner asks of them and hears from them."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass

from frameperfect.learn.runtime.actor import Facts, Hello, Order
from frameperfect.learn.spaces import Arrays


class Chunk:
    """What an actor played."""

    def __init__(self, actor: int, arrays: Arrays, facts: Facts) -> None:
        self.actor = actor
        self._arrays = arrays
        self.facts = facts

    @property
    def arrays(self) -> Arrays:
        """Valid while the actor works on its next order, until it is given the one after that."""
        return self._arrays


@dataclass(frozen=True)
class Lost:
    """An actor died, and what it was playing is lost; another stands in its place and waits for orders."""

    actor: int
    why: str


class Fleet(ABC):
    """`size` actors, each of which works on one order at a time."""

    size: int
    hello: Hello

    @abstractmethod
    def publish(self, weights: Arrays, version: int) -> None:
        """From now on an order begins with these weights."""

    @abstractmethod
    def order(self, actor: int, order: Order) -> None:
        """Let an actor play."""

    @abstractmethod
    def take(self) -> Chunk | Lost:
        """Wait for the next of the actors that were given orders.

        Raises:
            LearningError: an actor can't play, and says why.
        """

    @abstractmethod
    def close(self) -> None:
        """End all actors; closing twice is harmless."""
