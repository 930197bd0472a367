"""`search`: the fastest run that a game's rules allow, found by trying, and proven by its movie."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from frameperfect.cli.app import Interrupted, Refused, app, example, may_replace, say
from frameperfect.cli.env_options import CoreOption, GameArgument
from frameperfect.cli.search_view import Interrupts, View

if TYPE_CHECKING:
    from frameperfect.game import Game
    from frameperfect.search import Problem, Result
    from frameperfect.search.guide import Agent

SEARCHES = Path("searches")


@app.command(
    epilog=example(
        "search Skyrunner-Nes --start stage1 --budget 2m",
        "search Skyrunner-Nes --method exhaustive --budget 4GiB --out best.fm2",
        "search Skyrunner-Nes --start stage1 --budget 10m --resume",
        "search Skyrunner-Nes --start stage1 --pin best.fpm --from 600",
        "search Skyrunner-Nes --start stage1 --method go-explore --policy my-run",
    )
)
def search(
    game: GameArgument,
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
    width: Annotated[int | None, typer.Option(min=1, help="The most states of a generation: beam.")] = None,
    movie: Annotated[
        list[Path] | None, typer.Option(help="What improve improves; more of them are spliced with it.")
    ] = None,
    pin: Annotated[
        Path | None, typer.Option(help="A known movie to begin in or keep near, by the search's pin table.")
    ] = None,
    frame: Annotated[
        int | None, typer.Option("--from", min=1, help="The frame of the pinned movie to begin at.")
    ] = None,
    policy: Annotated[
        str | None, typer.Option(help="A trained run, whose agent leads a part of go-explore's explorations.")
    ] = None,
    policy_share: Annotated[
        float, typer.Option(min=0.03, max=1, help="The part that it leads; in the rest actions are random.")
    ] = 0.5,
    core: CoreOption = None,
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
    force: Annotated[
        bool, typer.Option("--force", help="Replace a movie, or a search that stopped, which is there.")
    ] = False,
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
    from frameperfect.search.island import Task
    from frameperfect.search.islands import Archipelago, forget
    from frameperfect.search.problem import find_search
    from frameperfect.search.result import try_to_write

    if method not in METHODS:
        raise Refused(f"no method '{method}'; there are {', '.join(METHODS)}")
    if (method == "improve") != bool(movie):
        raise Refused("--movie is for --method improve, which needs one")
    if width is not None and method != "beam":
        raise Refused(f"--width is for --method beam; {method} has none")
    several = islands > 1 or cluster is not None
    if method == "exhaustive" and several:
        raise Refused(
            "exhaustive is no search for islands: they differ in their seeds, and it has none; its proof "
            "needs all states in one place, which --threads share"
        )
    if policy is not None and (method != "go-explore" or several):
        raise Refused("--policy is for --method go-explore on one island")
    if demonstrations is not None:
        if demonstrations.suffix != ".npz":
            raise Refused(f"{demonstrations}: demonstrations are an .npz file")
        may_replace(demonstrations, force)
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
        kept = path.with_name(f"{path.stem}-{method}.search")
        if resume and not kept.exists():
            raise Refused(f"{kept}: no search to go on with; begin one without --resume")
        if not resume:
            may_replace(kept, force, "holds a search that stopped, and --resume goes on with it")
            may_replace(path, force)
        path.parent.mkdir(parents=True, exist_ok=True)
        try_to_write(problem, path)
        led = f", after {problem.lead_frames} frames of the pinned movie" if problem.lead_frames else ""
        say(
            f"{found.name} from {problem.start or 'power-on'}{led}: {method}, {len(problem.names)} inputs "
            f"held for {section.frames} frame{'s' if section.frames > 1 else ''}, "
            f"{problem.expander.threads} threads, {allowed.memory >> 20:,} MiB"
        )
        with kept_at_least(kept), Interrupts() as interrupts, View(problem, interrupts) as view:
            seen: dict[str, Any] = {
                "watch": view.show, "stop": interrupts.came, "pause": view.pause, "tell": view.say,
            }  # fmt: skip
            if several:
                task = Task(
                    str(game_reference(game)), name, method, seed=seed, start=start, threads=threads,
                    seconds=allowed.seconds, states=allowed.states, memory=allowed.memory, width=width,
                    movies=tuple(str(one.resolve()) for one in movie or ()),
                    pin=None if pin is None else str(pin.resolve()), frame=frame, core=core,
                    allow_drift=allow_drift,
                )  # fmt: skip
                with Archipelago(task, islands, checkpoint=kept, resume=resume, cluster=cluster) as sea:
                    result, trouble = sea.run(**seen), sea.trouble
                    problem.take_rules(sea.masks)
            else:
                with led_by(policy, problem, found, core, policy_share) as guide:
                    way = make_method(
                        method, problem, allowed, seed=seed, width=width, movies=known, guide=guide
                    )
                    driver = Driver(way, checkpoint=kept, resume=resume, **seen)
                    if driver.edited:
                        view.say("The rules are not those it was begun with: what it holds is judged anew.")
                    result, trouble = driver.finish(), driver.trouble
        report(result, problem, path)
        if demonstrations is not None:
            found_runs = demonstrate(problem, result)
            found_runs.save(demonstrations)
            tell(found_runs, demonstrations)
    if result.stopped not in ("interrupt", "seconds", "states"):
        forget(kept)  # proven, and there is nothing to go on with
    if result.stopped == "interrupt":
        raise Interrupted(
            f"interrupted; {trouble}" if trouble
            else f"interrupted; everything is kept in {kept}; go on: add --resume"
        )  # fmt: skip
    if result.stopped in ("seconds", "states") and not trouble:
        say(f"The budget is used up; a larger --budget and --resume go on from {kept}.")


@contextlib.contextmanager
def kept_at_least(kept: Path) -> Iterator[None]:
    """Say what is left where a second Ctrl-C does not wait for the batch under way."""
    try:
        yield
    except KeyboardInterrupt:
        left = (
            f"{kept} holds it as it was last kept; go on: add --resume"
            if kept.exists()
            else "nothing is kept"
        )
        raise Interrupted(f"interrupted at once; {left}") from None


@contextlib.contextmanager
def led_by(
    run: str | None, problem: Problem, game: Game, core: str | None, share: float
) -> Iterator[Agent | None]:
    """A run's agent as a guide of `go-explore`; nobody where no run is named.

    Raises:
        Refused: there is no such run, or it is another game's.
        FrameperfectError: the agent does not fit the search.
    """
    if run is None:
        yield None
        return
    import hashlib

    from frameperfect.cli.runs import read_run, run_folder
    from frameperfect.game import load_game
    from frameperfect.learn import load_policy
    from frameperfect.learn.checkpoint import FILE
    from frameperfect.search.go_explore import TOGETHER
    from frameperfect.search.guide import Agent

    folder = run_folder(run)
    settings = read_run(folder)
    if load_game(settings.game).name != game.name:
        raise Refused(f"the agent of {folder} plays {settings.game}, and the search is in {game.name}")
    player = load_policy(folder)
    env = {**settings.env, **({} if core is None else {"core": core})}
    digest = hashlib.blake2b((folder / FILE).read_bytes(), digest_size=16).hexdigest()
    agent = Agent(problem, player, env, identity=digest, lanes=max(1, round(share * TOGETHER)))
    with contextlib.closing(agent):
        yield agent


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
