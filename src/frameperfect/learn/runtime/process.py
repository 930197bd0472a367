"""An actor's process on the learner's machine: plays what it is ordered to, into memory that both share.

Started by `local.LocalFleet`, which inherits to it a socket for messages, the block of its chunks and that of
the weights.
"""

from __future__ import annotations

import itertools
import os
import socket
import sys
import traceback
from pathlib import Path
from typing import Any

import cloudpickle

from frameperfect._native import SharedMemory, end_with_parent
from frameperfect.errors import FrameperfectError
from frameperfect.learn import threads
from frameperfect.learn.config import PpoConfig
from frameperfect.learn.runtime.actor import Order, Player, make_player
from frameperfect.learn.runtime.messages import pack_facts, pack_hello, receive, send, unpack_layout
from frameperfect.learn.runtime.shared import Weights, open_sides
from frameperfect.learn.value.config import ValueConfig

CONFIGS: dict[str, type[PpoConfig] | type[ValueConfig]] = {"ppo": PpoConfig, "value": ValueConfig}


def serve(end: socket.socket, chunks: SharedMemory, shown: SharedMemory) -> None:
    """Make the environments, say what they are, and carry out orders until the learner ends."""
    opening, pickled = receive(end)
    config = CONFIGS[opening["learner"]].from_json(opening["config"])
    # from the learner's own process, by a socket that nothing else has
    player = make_player(cloudpickle.loads(pickled), config, opening["seed"])
    try:
        hello = player.hello()
        send(end, {"hello": pack_hello(hello)})
        sides = itertools.cycle(open_sides(chunks, hello.layout))
        weights = Weights(shown, unpack_layout(receive(end)[0]["weights"]))
        while True:
            order = Order(**receive(end)[0])
            _reload(player, weights)
            send(end, pack_facts(player.play(next(sides), order)))
    finally:
        player.close()


def _reload(player: Player, weights: Weights) -> None:
    found = weights.read(player.version)
    if found is not None:
        player.load(*found)


def explain(error: BaseException) -> str:
    """One line that says what went wrong in an actor, and where if that was not our own doing."""
    said = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
    if isinstance(error, FrameperfectError):
        return said
    place = traceback.extract_tb(error.__traceback__)[-1]
    return f"{type(error).__name__}: {said} ({Path(place.filename).name}:{place.lineno})"


def main() -> None:
    """Play over the descriptors named on the command line, until the learner ends."""
    end, chunks, shown, parent = map(int, sys.argv[1:])
    end_with_parent(parent)
    os.dup2(2, 1)  # what an environment prints belongs to the last words
    threads.take_one()
    with socket.socket(fileno=end) as channel:
        try:
            serve(channel, SharedMemory.attach(chunks), SharedMemory.attach(shown))
        except EOFError:
            return
        except Exception as error:  # told to the learner, which stops
            traceback.print_exc()
            said: dict[str, Any] = {"error": explain(error)}
            send(channel, said)


if __name__ == "__main__":
    main()
