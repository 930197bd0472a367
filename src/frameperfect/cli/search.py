"""`search`: the fastest run that a game's rules allow, found by trying, and proven by its movie."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from frameperfect.cli.app import Interrupted, Refused, app, console, example, say

if TYPE_CHECKING:
    from frameperfect.search import Problem, Progress, Result

SEARCHES = Path("searches")
METHODS = ("beam", "exhaustive", "go-explore", "improve")


@app.command(
    epilog=example(
        "search Skyrunner-Nes --start stage1 --budget 2m",
        "search Skyrunner-Nes --method exhaustive --budget 4GiB --out best.fm2",
        "search Skyrunner-Nes --start stage1 --budget 10m --resume",
    )
)
def search(
    game: Annotated[str, typer.Argument(help="A game's name, or the folder of its game.toml.")],
    name: Annotated[str | None, typer.Option("--search", help="Which [search.NAME]; the first.")] = None,
    start: Annotated[str | None, typer.Option(help="A start of the game.")] = None,
    method: Annotated[str, typer.Option(help="beam, exhaustive, go-explore or improve.")] = "beam",
    budget: Annotated[str, typer.Option(help="90s, 2m, 1h, 4GiB, 1e6states, or several: 2m,4GiB.")] = "2m",
    out: Annotated[Path | None, typer.Option(help="The movie: .fpm, .fm2 or .bk2.")] = None,
    threads: Annotated[int, typer.Option(min=0, help="Machines at work; 0: one a processor.")] = 0,
    seed: Annotated[int, typer.Option(min=0, max=1 << 40, help="Decides between equals.")] = 0,
    width: Annotated[int | None, typer.Option(min=1, help="The most states of a generation.")] = None,
    movie: Annotated[
        list[Path] | None, typer.Option(help="What improve improves; more of them are spliced with it.")
    ] = None,
    core: Annotated[str | None, typer.Option(help="Another core than the game's own.")] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Go on where an equal search stopped.")] = False,
) -> None:
    """Search for the fastest run. Ctrl-C keeps everything; the winner is replayed in a fresh process."""
    from frameperfect.cli.play import game_reference
    from frameperfect.game import load_game
    from frameperfect.movie import load_movie
    from frameperfect.search import Budget, Problem, beam, exhaustive, go_explore, improve
    from frameperfect.search.problem import find_search

    if method not in METHODS:
        raise Refused(f"no method '{method}'; there are {', '.join(METHODS)}")
    if (method == "improve") != bool(movie):
        raise Refused("--movie is for --method improve, which needs one")
    if resume and method not in ("beam", "exhaustive"):
        raise Refused(f"{method} keeps no checkpoint to go on from; beam and exhaustive do")
    known = [load_movie(one) for one in movie or ()]
    allowed = Budget.parse(budget)
    found = load_game(game_reference(game))
    name, section = find_search(found, name or (start if start in found.search else None))
    with Problem(found, name, start=start, threads=threads, memory=allowed.memory, core=core) as problem:
        label = "-".join(filter(None, (found.name, name, problem.start if problem.start != name else None)))
        path = out or SEARCHES / f"{label}.fpm"
        path.parent.mkdir(parents=True, exist_ok=True)
        kept = path.with_name(f"{path.stem}-{method}.search")
        if kept.exists() and not resume:
            say(f"{kept} holds a search that stopped, and --resume goes on with it; this one begins anew")
        say(
            f"{found.name} from {problem.start or 'power-on'}: {method}, {len(problem.names)} inputs "
            f"held for {section.frames} frame{'s' if section.frames > 1 else ''}, "
            f"{problem.expander.threads} threads, {allowed.memory >> 20:,} MiB"
        )
        with _interrupts() as interrupted, _View(problem) as view:
            seen: dict[str, Any] = {"watch": view.show, "stop": interrupted}
            going: dict[str, Any] = {"checkpoint": kept, "resume": resume}
            if method == "beam":
                result = beam(problem, allowed, seed=seed, width=width, **seen, **going)
            elif method == "exhaustive":
                result = exhaustive(problem, allowed, **seen, **going)
            elif method == "go-explore":
                result = go_explore(problem, allowed, seed=seed, **seen)
            else:
                result = improve(problem, known[0], known[1:], allowed, seed=seed, stop=interrupted)
        _report(result, problem, path)
    if method not in ("beam", "exhaustive"):
        return
    if result.stopped not in ("interrupt", "seconds", "states"):
        kept.unlink(missing_ok=True)  # proven, and there is nothing to go on with
    if result.stopped == "interrupt":
        raise Interrupted(f"interrupted; everything is kept in {kept}; go on: add --resume")
    if result.stopped in ("seconds", "states"):
        say(f"The budget is used up; a larger --budget and --resume go on from {kept}.")


def _report(result: Result, problem: Problem, path: Path) -> None:
    """Prove what was found, and say it."""
    from frameperfect.view.progress import clock

    if result.won or result.score > float("-inf"):
        result.prove(problem, path)
    rate = result.states / max(result.seconds, 1e-9)
    say(
        f"{result.states:,} states in {clock(result.seconds)}, {rate:,.0f} states/s; {result.duplicates:,} "
        f"seen before, {result.failed:,} failed, {result.dropped:,} dropped"
    )
    for note in result.notes:
        say(f"note: {note}", style="yellow")
    movie = result.movie
    if movie is None or not result.frames:
        say(f"nothing better than the start was found ({result.stopped})")
        return
    what = "wins" if result.won else f"does not win; its best state has {result.score:g}"
    say(f"{path}: {movie.frames} frames, {movie.seconds:.2f} s, {what}", style="bold")
    say(result.claim)
    assert result.verdict is not None
    say(result.verdict.text)


@contextmanager
def _interrupts() -> Iterator[Any]:
    """A function that says whether Ctrl-C (or SIGTERM) came; a second one interrupts as usual."""
    came: list[int] = []

    def hear(number: int, frame: Any) -> None:
        if came:
            raise KeyboardInterrupt
        came.append(number)

    before = {number: signal.signal(number, hear) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield lambda: bool(came)
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


class _View:
    """How a search goes: a table in a terminal, a line every so often in a pipe."""

    PAUSE = 10.0
    """Seconds between two lines."""

    def __init__(self, problem: Problem) -> None:
        from rich.live import Live

        self._rate = problem.expander.machine.frame_rate
        self._frames = problem.section.frames
        self._console = console()
        self._live = Live(console=self._console, refresh_per_second=4) if self._console.is_terminal else None
        self._last = 0.0

    def __enter__(self) -> _View:
        if self._live is not None:
            self._live.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._live is not None:
            self._live.stop()

    def show(self, now: Progress) -> None:
        """Show it, if it is time to."""
        if now.seconds - self._last < (0.2 if self._live is not None else self.PAUSE):
            return
        self._last = now.seconds
        rows = self._rows(now)
        if self._live is not None:
            self._live.update(_table(rows))
        else:
            print("  ".join(f"{name} {value}" for name, value in rows), flush=True)

    def _rows(self, now: Progress) -> list[tuple[str, str]]:
        from frameperfect.view.progress import clock

        frames = now.step * self._frames
        fastest = "none yet"
        if now.best_frames is not None:
            fastest = f"{now.best_frames} frames, {now.best_frames / self._rate:.2f} s"
        left = clock(now.seconds / now.part - now.seconds) if now.part > 0 else "-"
        return [
            ("round", str(now.round + 1)),
            ("generation", f"{now.step:,} ({frames / self._rate:.2f} s of play)"),
            ("frontier", f"{now.frontier:,}"),
            ("fastest", fastest),
            ("best", now.best),
            ("states", f"{now.states:,} at {now.states_per_second:,.0f}/s"),
            ("seen before", f"{now.duplicates / max(now.states, 1):.1%}"),
            ("failed", f"{now.failed:,}"),
            ("dropped", f"{now.dropped:,}"),
            ("memory", f"{now.memory / (1 << 20):,.0f} MiB"),
            ("left", left),
        ]


def _table(rows: list[tuple[str, str]]) -> Any:
    from rich.table import Table

    table = Table.grid(padding=(0, 2))
    table.add_column(style="dim")
    table.add_column()
    for name, value in rows:
        table.add_row(name, value)
    return table
