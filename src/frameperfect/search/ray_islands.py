"""Islands on a Ray cluster: an actor each, placed by Ray where processors are free."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from frameperfect import errors
from frameperfect.errors import FrameperfectError, MissingComponent, SearchError
from frameperfect.search.island import Island, IslandLost, Task


class _Actor:
    """What runs in Ray's process; our errors come back as values, since Ray would wrap them."""

    def __init__(self) -> None:
        self._island: Island | None = None

    def call(self, what: str, *arguments: Any) -> tuple[str, Any]:
        try:
            if what == "begin":
                task, kept = arguments
                self._island = Island(Task(**task), kept)
                return "done", None
            return "done", getattr(self._island, what)(*arguments)
        except FrameperfectError as wrong:
            return type(wrong).__name__, str(wrong)

    def stop(self) -> None:
        if self._island is not None:
            self._island.stop()


class RayIsland:
    """An island as an actor; see `island.Shore`."""

    def __init__(self, task: Task, kept: bytes | None, cluster: str) -> None:
        self._ray = _connect(cluster)
        actor = self._ray.remote(_Actor)
        # Two calls at once, so that `stop` is heard during a turn.
        self._actor = actor.options(num_cpus=task.threads, max_concurrency=2).remote()
        self._reply: Any = None
        self.ask("begin", asdict(task), kept)

    def ask(self, what: str, *arguments: Any) -> None:
        """See `Shore.ask`."""
        self._reply = self._actor.call.remote(what, *arguments)

    def there(self, wait: float) -> bool:
        """See `Shore.there`."""
        ready, _ = self._ray.wait([self._reply], timeout=wait)
        return bool(ready)

    def answer(self) -> Any:
        """See `Shore.answer`."""
        try:
            status, told = self._ray.get(self._reply)
        except self._ray.exceptions.RayActorError as dead:
            raise IslandLost(f"died ({str(dead).splitlines()[0]})") from None
        if status != "done":
            raise getattr(errors, status, FrameperfectError)(told)
        return told

    def stop(self) -> None:
        """See `Shore.stop`."""
        self._actor.stop.remote()

    def close(self) -> None:
        """See `Shore.close`."""
        self._ray.kill(self._actor)


def _connect(cluster: str) -> Any:
    """Ray, connected: to `cluster`, or for "auto" to the one of this machine, or to one begun here."""
    try:
        import ray
    except ImportError:
        raise MissingComponent(
            "islands on a cluster need Ray; install it with: pip install 'frameperfect[ray]'"
        ) from None
    if not ray.is_initialized():
        try:
            ray.init(address=cluster, log_to_driver=False, configure_logging=False)
        except ConnectionError as wrong:
            if cluster != "auto":
                raise SearchError(f"no Ray cluster answers at {cluster}: {wrong}") from None
            ray.init("local", log_to_driver=False, configure_logging=False, include_dashboard=False)
    return ray
