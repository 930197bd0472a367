"""`search`: the fastest run that a game's rules allow, found by trying, and proven by its movie."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from frameperfect.cli.app import Interrupted, Refused, app, example, say
from frameperfect.cli.search_view import Interrupts, View

if TYPE_CHECKING:
    from frameperfect.search import Problem, Result

SEARCHES = Path("searches")


@app.command(
    epilog=example(
        "search Skyrunner-Nes --start stage1 --budget 2m",
        "search Skyrunner-Nes --method exhaustive --budget 4GiB --out best.fm2",
        "search Skyrunner-Nes --start stage1 --budget 10m --resume",
        "search Skyrunner-Nes --start stage1 --pin best.fpm --from 600",
    )
)
def search(
    game: Annotated[str, typer.Argument(help="A game's name, or the folder of its game.toml.")],
    name: Annotated[
        str | None, typer.Option("--search", help="Which of the searches in game.toml; the first.")
    ] = None,
    start: Annotated[str | None, typer.Option(help="A start of the game.")] = None,
    method: Annotated[
        str, typer.Option(help="beam, exhaustive, go-explore, brute, jerk or improve.")
    ] = "beam",
    budget: Annotated[str, typer.Option(help="90s, 2m, 1h, 4GiB, 1e6states, or several: 2m,4GiB.")] = "2m",
    out: Annotated[Path | None, typer.Option(help="The movie: .fpm, .fm2 or .bk2.")] = None,
    threads: Annotated[int, typer.Option(min=0, help="Machines at work; 0: one a processor.")] = 0,
    seed: Annotated[int, typer.Option(min=0, max=1 << 40, help="Decides between equals.")] = 0,
    width: Annotated[int | None, typer.Option(min=1, help="The most states of a generation.")] = None,
    movie: Annotated[
        list[Path] | None, typer.Option(help="What improve improves; more of them are spliced with it.")
    ] = None,
    pin: Annotated[
        Path | None, typer.Option(help="A known movie to begin in or keep near, by the search's pin table.")
    ] = None,
    frame: Annotated[
        int | None, typer.Option("--from", min=1, help="The frame of the pinned movie to begin at.")
    ] = None,
    core: Annotated[str | None, typer.Option(help="Another core than the game's own.")] = None,
    allow_drift: Annotated[
        bool, typer.Option("--allow-drift", help="Search a machine that is not deterministic.")
    ] = False,
    islands: Annotated[
        int, typer.Option(min=1, help="Searches with different seeds, which tell each other.")
    ] = 1,
    cluster: Annotated[
        str | None, typer.Option(help="Put the islands on Ray: the cluster's address, or auto.")
    ] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Go on where an equal search stopped.")] = False,
    demonstrations: Annotated[
        Path | None, typer.Option(help="Keep all runs that it holds in the end for learners: an .npz file.")
    ] = None,
) -> None:
    """Search for the fastest run. Ctrl-C keeps everything; the winner is replayed in a fresh process.

    In a terminal, p pauses: edit the rules in game.toml, and p goes on by them.
    """
    from frameperfect.cli.demonstrations import tell
    from frameperfect.cli.play import game_reference
    from frameperfect.game import load_game
    from frameperfect.movie import load_movie
    from frameperfect.search import METHODS, Budget, Driver, Problem, make_method
    from frameperfect.search.demonstrations import demonstrate
    from frameperfect.search.islands import Archipelago, Task, forget
    from frameperfect.search.problem import find_search

    if method not in METHODS:
        raise Refused(f"no method '{method}'; there are {', '.join(METHODS)}")
    if (method == "improve") != bool(movie):
        raise Refused("--movie is for --method improve, which needs one")
    if method == "exhaustive" and (islands > 1 or cluster is not None):
        raise Refused("islands differ in their seeds, and exhaustive has none; give it --threads")
    known = [load_movie(one) for one in movie or ()]
    allowed = Budget.parse(budget)
    found = load_game(game_reference(game))
    name, section = find_search(found, name or (start if start in found.search else None))
    with Problem(
        found, name, start=start, threads=threads, memory=allowed.memory, core=core,
        pin=None if pin is None else load_movie(pin), frame=frame, allow_drift=allow_drift,
    ) as problem:  # fmt: skip
        label = "-".join(filter(None, (found.name, name, problem.start if problem.start != name else None)))
        path = out or SEARCHES / f"{label}.fpm"
        path.parent.mkdir(parents=True, exist_ok=True)
        kept = path.with_name(f"{path.stem}-{method}.search")
        if kept.exists() and not resume:
            say(f"{kept} holds a search that stopped, and --resume goes on with it; this one begins anew")
        led = f", after {problem.lead_frames} frames of the pinned movie" if problem.lead_frames else ""
        say(
            f"{found.name} from {problem.start or 'power-on'}{led}: {method}, {len(problem.names)} inputs "
            f"held for {section.frames} frame{'s' if section.frames > 1 else ''}, "
            f"{problem.expander.threads} threads, {allowed.memory >> 20:,} MiB"
        )
        with Interrupts() as interrupts, View(problem, interrupts) as view:
            seen: dict[str, Any] = {"watch": view.show, "stop": interrupts.came, "pause": view.pause}
            if islands > 1 or cluster is not None:
                task = Task(
                    str(game_reference(game)), name, method, seed=seed, start=start, threads=threads,
                    seconds=allowed.seconds, states=allowed.states, memory=allowed.memory, width=width,
                    movies=tuple(str(one.resolve()) for one in movie or ()),
                    pin=None if pin is None else str(pin.resolve()), frame=frame, core=core,
                    allow_drift=allow_drift,
                )  # fmt: skip
                with Archipelago(task, islands, checkpoint=kept, resume=resume, cluster=cluster) as sea:
                    result = sea.run(**seen, tell=view.say)
                    problem.take_rules(sea.masks)
            else:
                way = make_method(method, problem, allowed, seed=seed, width=width, movies=known)
                driver = Driver(way, checkpoint=kept, resume=resume, **seen)
                if driver.edited:
                    view.say("The rules are not those it was begun with: what it holds is judged anew.")
                result = driver.finish()
        report(result, problem, path)
        if demonstrations is not None:
            found_runs = demonstrate(problem, result)
            found_runs.save(demonstrations)
            tell(found_runs, demonstrations)
    if result.stopped not in ("interrupt", "seconds", "states"):
        forget(kept)  # proven, and there is nothing to go on with
    if result.stopped == "interrupt":
        raise Interrupted(f"interrupted; everything is kept in {kept}; go on: add --resume")
    if result.stopped in ("seconds", "states"):
        say(f"The budget is used up; a larger --budget and --resume go on from {kept}.")


def report(result: Result, problem: Problem, path: Path) -> None:
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
