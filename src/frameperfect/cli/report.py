"""`report`: a run's page. `train`, `eval` and `demo` write it; it says what the folder holds."""

from __future__ import annotations

import importlib.metadata
import json
import math
import platform
import shlex
import time
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from frameperfect import __version__
from frameperfect.cli.app import app, example, invocation, say
from frameperfect.cli.curves import curves_of
from frameperfect.cli.proven import prove, recall
from frameperfect.cli.runs import RunSummary, read_run, run_folder, seed_folders, summaries, summary
from frameperfect.errors import FrameperfectError

if TYPE_CHECKING:
    from frameperfect.cli.runs import RunConfig
    from frameperfect.view.report import Proof, Report, Result, Video

FILE, HISTORY = "report.html", "history.json"


@app.command(name="report", epilog=example("report runs/my-run"))
def report_command(run: Annotated[str, typer.Argument(help="A run's name or folder.")]) -> None:
    """Write a run's report.html anew, beside the runs of the same game as they are now.

    `train`, `eval` and `demo` write one at their end.
    """
    folder = run_folder(run)
    if not seed_folders(folder):
        read_run(folder)  # refuses what is no run, and says which are
    best = folder / "best.fpm"
    if not seed_folders(folder) and best.is_file() and recall(best) is None:
        prove(best, read_run(folder).game)
    _write(folder)
    print(folder / FILE)


def report_run(folder: Path) -> None:
    """Note the command that ran, and write the report; a failure of that is a line, and the run is kept."""
    try:
        _note_command(folder)
        _write(folder)
    except (FrameperfectError, OSError) as failure:
        say(f"no {FILE}: {failure}; the run is kept, and `frameperfect report {folder}` writes it")


def _note_command(folder: Path) -> None:
    from frameperfect.atomic import replacing

    done = [*_history(folder), {
        "command": shlex.join(["frameperfect", *invocation]), "when": time.strftime("%Y-%m-%d %H:%M"),
        "versions": _versions(),
    }]  # fmt: skip
    with replacing(folder / HISTORY) as part:
        part.write_text(json.dumps(done, indent=2) + "\n", "utf-8")


def _history(folder: Path) -> list[dict[str, Any]]:
    path = folder / HISTORY
    entries = json_file(path, list)
    return [entry for entry in entries or [] if isinstance(entry, dict) and "command" in entry]


def json_file(path: Path, kind: type) -> Any:
    """What a JSON file of the run holds; None where there is none, or it is damaged."""
    try:
        found = json.loads(path.read_text("utf-8"))
    except (FileNotFoundError, ValueError):
        return None
    return found if isinstance(found, kind) else None


def _versions() -> dict[str, str]:
    versions = {"frameperfect": __version__, "python": platform.python_version()}
    for name in ("torch", "numpy", "gymnasium"):
        try:
            versions[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return versions


# -- gathering ---------------------------------------------------------------------------------------------


def _write(folder: Path) -> None:
    from frameperfect.view.report import write_report

    write_report(gather(folder), folder / FILE)


def gather(folder: Path) -> Report:
    """What the folder of a run (or of several seeds) says of it.

    Raises:
        Refused: it holds no run.
    """
    from frameperfect.view.report import Report

    seeds = seed_folders(folder)
    settings = read_run(seeds[0] if seeds else folder)
    own = summary(folder)
    evaluation = json_file(folder / "evaluation.json", dict) or {}
    players = _players(folder, seeds, settings.game)
    # Of several seeds, the one that did best has the movie that is shown.
    shown = max(seeds, key=lambda seed: summary(seed).best or -math.inf) if seeds else folder
    proof = _proof(shown / "best.fpm")
    video, no_video = _video(shown)
    history = _history(folder)
    title, about = _game_texts(settings.game)
    return Report(
        title=title,
        run=folder.name,
        about=about,
        headline=_headline(own, players, proof),
        video=video,
        no_video=no_video,
        curves=curves_of(seeds or [folder]),
        novelty=[curve for curve in curves_of(seeds or [folder], "novelty") if len(curve.steps)],
        levels={
            each.name: (each.mean, each.low, each.high) for each in players if each.name == "random player"
        },
        players=players,
        verdict=_verdict(evaluation),
        notes=_notes(shown, settings, players),
        others=_others(folder, settings.game),
        proof=proof,
        commands=_unique((entry.get("when", ""), entry["command"]) for entry in history),
        reproduce=_reproduce(shown, own, seeds),
        versions=_all_versions(shown, settings, history),
        settings=_settings(settings),
    )


def _headline(own: RunSummary, players: list[Result], proof: Proof | None) -> list[tuple[str, str, str]]:
    from frameperfect.view.progress import clock

    cards = []
    if players:
        agent = players[0]
        cards.append((f"{agent.mean:,.1f}", f"mean return of {agent.episodes} episodes", ""))
        cards.append((f"{agent.best:,g}", "best return", ""))
    elif own.mean is not None:
        cards.append((f"{own.mean:,.1f}", "mean return at the end of training", ""))
    if own.seconds is not None:
        cards.append((clock(own.seconds), f"of training, {own.steps or 0:,} steps", ""))
    if proof is not None:
        good = proof.matched
        cards.append(
            ("verified" if good else "not verified", "the best run's movie", "good" if good else "bad")
        )
    return cards


def _players(folder: Path, seeds: list[Path], game: str) -> list[Result]:
    """The agent of the run, or of each of its seeds, and whom it is compared with."""
    from frameperfect.view.report import Result

    evaluations = [(each, json_file(each / "evaluation.json", dict) or {}) for each in seeds or [folder]]
    agents: list[Result] = []
    others: list[Result] = []
    for each, evaluation in evaluations:
        found = [_player(name, facts) for name, facts in evaluation.get("players", {}).items()]
        if found:
            label = f"agent, {each.name}" if seeds else found[0].name
            agents.append(replace(found[0], name=label, own=True))
            others = others or found[1:]
    brute, whence = evaluations[0][1].get("brute"), ""
    if brute is None:
        brute, whence = _brute_beside(folder, game)
    if brute and agents:
        note = f"{brute['steps']:,} steps of search{whence}, without sticky actions"
        score = brute["score"]
        others.append(Result("The Brute itself", score, score, score, score, 1, note))
    return agents + others


def _player(name: str, facts: dict[str, Any]) -> Result:
    from frameperfect.view.report import Result

    low, high = facts["interval"]
    rate = facts.get("frame_rate")
    times = [frames / rate for frames in facts.get("times", ())] if rate else []
    return Result(
        name, facts["mean"], low, high, facts["best"], len(facts["returns"]), goals=facts.get("goals"),
        times=times,
    )  # fmt: skip


def _notes(folder: Path, settings: RunConfig, players: list[Result]) -> list[str]:
    """How long the episodes were, and whom the agent was not compared with."""
    notes = []
    if cut := _cut(folder, settings):
        notes.append(f"Episodes end after {cut}; `frameperfect eval {folder}` plays whole ones.")
    if not any(player.name.startswith("The Brute") for player in players):
        how = f"`frameperfect eval {folder} --brute 60` gives it a minute"
        notes.append(f"The Brute has not searched this game here: {how}.")
    return notes


def _cut(folder: Path, settings: RunConfig) -> str:
    """The time that a run's evaluation cut its episodes after, where the run itself does not."""
    changes = (json_file(folder / "evaluation.json", dict) or {}).get("environment") or {}
    most = changes.get("max_steps")
    return f"{most * settings.frame_skip:,} frames" if most else ""


def _brute_beside(folder: Path, game: str) -> tuple[dict[str, Any] | None, str]:
    """What The Brute found in another run of the same game, and which."""
    found = []
    for other in folder.parent.glob("*/evaluation.json"):
        brute = (json_file(other, dict) or {}).get("brute")
        if brute and read_run(other.parent).game == game:
            found.append((brute["score"], other.parent.name, brute))
    if not found:
        return None, ""
    _, name, brute = max(found, key=lambda each: each[0])
    return brute, f" (run {name})"


def _verdict(evaluation: dict[str, Any]) -> str:
    difference, low, high = evaluation.get("agent_minus_random", (None, 0, 0))
    if difference is None:
        return ""
    interval = f"(95 % interval {low:,.1f} to {high:,.1f})"
    if low > 0:
        return f"The agent beats random play by {difference:,.1f} a game {interval}."
    return f"The agent does not clearly beat random play: {difference:+,.1f} a game {interval}."


def _others(folder: Path, game: str) -> list[Result]:
    """The evaluated runs of the same game beside this one, best first."""
    from frameperfect.view.report import Result

    results = []
    for other in summaries(folder.parent):
        if other.game == game and other.mean is not None and other.interval is not None:
            same = other.folder.resolve() == folder.resolve()
            first = next(iter(seed_folders(other.folder)), other.folder)
            cut = _cut(first, read_run(first))
            note = f"{other.algo}, {other.steps or 0:,} steps, {other.when}"
            note += f", episodes of at most {cut}" if cut else ""
            best = other.best if other.best is not None else other.mean
            results.append(
                Result(other.folder.name, other.mean, *other.interval, best, other.episodes, note, same)
            )
    return sorted(results, key=lambda result: -result.mean)


def _proof(movie: Path) -> Proof | None:
    from frameperfect.view.report import Proof

    if not movie.is_file():
        return None
    known = recall(movie)
    if known is None:
        text = f"it was not replayed here yet: `frameperfect verify {movie}` does"
        return Proof(str(movie), False, text, 0, 0)
    return Proof(str(movie), known.matched, known.text, known.checkpoints, known.frames)


def _video(folder: Path) -> tuple[Video | None, str]:
    from frameperfect.view.progress import clock
    from frameperfect.view.report import MOST_VIDEO, Video
    from frameperfect.view.video import shrink_video

    path = folder / "best.mp4"
    if not path.is_file():
        how = f"`frameperfect eval {folder}` plays the agent, and keeps its best run as a movie and a video."
        return None, f"No video yet. {how}"
    try:
        data, shown, whole = shrink_video(path, MOST_VIDEO)
    except FrameperfectError as failure:
        return None, f"No video in this page: {failure}. It lies beside it: {path.name}"
    cut = f"The first {clock(shown)} of {clock(whole)}; all of it is in {path.name}." if shown < whole else ""
    return Video(data, cut), ""


def _game_texts(game: str) -> tuple[str, str]:
    """The game's title and what it is about; its name where it is not known here any more."""
    from frameperfect.game import load_game

    try:
        found = load_game(game)
    except FrameperfectError:
        return game, ""
    return found.title, found.definition.game.about


def _reproduce(folder: Path, own: RunSummary, seeds: list[Path]) -> list[tuple[str, str]]:
    where = shlex.quote(str(folder))
    lines = []
    if own.steps is not None and own.by_time and not seeds:
        text = f"Training stopped by the clock after {own.steps:,} steps; as many steps anew, on any machine"
        env = {key: value for key, value in own.env.items() if key in _ENV_OPTIONS and value is not None}
        words = ["frameperfect", "train", own.game, "--algo", own.algo, "--steps", str(own.steps)]
        words += ["--seed", str(own.seed), "--envs", str(own.envs)]
        for key, value in env.items():
            value = ",".join(value) if isinstance(value, list) else value
            if isinstance(value, (str, int, float)):
                words += [f"--{key.replace('_', '-')}", str(value)]
        lines.append((text, shlex.join(words)))
    if (folder / "best.fpm").is_file():
        lines.append(("Replay the best run in a fresh process", f"frameperfect verify {where}/best.fpm"))
        lines.append(("Look at it", f"frameperfect watch {where}/best.fpm"))
    else:
        lines.append(("Evaluate it, and keep its best run as a movie", f"frameperfect eval {where}"))
    return lines


_ENV_OPTIONS = ("observation", "actions", "frame_skip", "sticky", "max_steps", "start", "core")
"""What `train` has options for."""


def _all_versions(folder: Path, settings: RunConfig, history: list[dict[str, Any]]) -> dict[str, str]:
    """Of the run's first command, with the game's program and the core."""
    from frameperfect.errors import MovieError
    from frameperfect.game import load_game
    from frameperfect.game.game import rom_hashes
    from frameperfect.movie import load_movie

    first = history[0].get("versions") if history else None
    versions = dict(first) if isinstance(first, Mapping) else _versions()
    versions["game"] = settings.game
    try:
        game = load_game(settings.game)
        if game.definition.game.program is None:
            versions["program (SHA-1)"] = rom_hashes(game.find_rom())[0]
        movie = load_movie(folder / "best.fpm") if (folder / "best.fpm").is_file() else None
        if movie is not None:
            versions["core"] = movie.fingerprint
        else:
            versions["core"] = settings.env.get("core") or game.spec().core or "the system's default"
    except (FrameperfectError, MovieError) as missing:
        versions["program"] = f"not here now: {missing}"
    versions["seed"] = str(settings.learn.get("seed", ""))
    return {key: str(value) for key, value in versions.items()}


def _settings(settings: RunConfig) -> dict[str, str]:
    flat = {
        "environment": json.dumps(settings.env),
        "environments": str(settings.envs),
        "algo": settings.algo,
    }
    flat.update({name: json.dumps(value) for name, value in settings.learn.items()})
    return flat


def _unique(pairs: Any) -> list[tuple[str, str]]:
    """Each command once, at its first place."""
    seen: dict[str, str] = {}
    for when, command in pairs:
        seen.setdefault(str(command), str(when))
    return [(when, command) for command, when in seen.items()]
