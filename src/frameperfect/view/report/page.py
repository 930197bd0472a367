"""A run as one HTML file: what was made, how good it is, whether it is true, and how to make it again.

No script and nothing from a network; whatever comes from outside (names, comments, paths) is escaped.
"""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from html import escape

from frameperfect.view.plots import Curve
from frameperfect.view.report.chart import learning_chart, whisker
from frameperfect.view.report.style import STYLE


@dataclass(frozen=True)
class Result:
    """A player's, or a run's, returns: the mean with its 95 % interval, the best, of how many episodes."""

    name: str
    mean: float
    low: float
    high: float
    best: float
    episodes: int
    note: str = ""
    own: bool = False
    """The agent that the report is about."""
    goals: int | None = None
    """Episodes that reached the game's goal; None where it has none."""
    times: Sequence[float] = ()
    """Seconds on the game's clock that those took, fastest first."""


@dataclass(frozen=True)
class Proof:
    """What became of the best movie's replay in a fresh process."""

    movie: str
    matched: bool
    text: str
    checkpoints: int
    frames: int


@dataclass(frozen=True)
class Video:
    """The best run to look at, as the bytes of an MP4; `note` says what of it was left out."""

    data: bytes
    note: str = ""


@dataclass(frozen=True)
class Report:
    """All that the page says."""

    title: str
    run: str
    about: str = ""
    headline: Sequence[tuple[str, str, str]] = ()
    """(big text, what it is, "good", "bad" or "")."""
    video: Video | None = None
    no_video: str = ""
    """Why there is none, and the mend."""
    curves: Sequence[Curve] = ()
    novelty: Sequence[Curve] = ()
    """How new to the agent was what it saw, where that was rewarded."""
    levels: Mapping[str, tuple[float, float, float]] = field(default_factory=dict)
    players: Sequence[Result] = ()
    verdict: str = ""
    """The comparison in a sentence."""
    notes: Sequence[str] = ()
    """What else has to be known of the comparison."""
    others: Sequence[Result] = ()
    """Earlier runs of the same game."""
    proof: Proof | None = None
    commands: Sequence[tuple[str, str]] = ()
    """(when, command line) that made the run."""
    reproduce: Sequence[tuple[str, str]] = ()
    """(what it does, command line)."""
    versions: Mapping[str, str] = field(default_factory=dict)
    settings: Mapping[str, str] = field(default_factory=dict)


def page(report: Report) -> str:
    """The whole file."""
    sections = [
        _headline(report), _video(report), _curve(report), _players(report), _others(report), _proof(report),
        _reproduce(report), _settings(report),
    ]  # fmt: skip
    title = escape(f"{report.title}: {report.run}")
    about = f'<p class="quiet">{escape(report.about)}</p>' if report.about else ""
    return (
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{title}</title>\n<style>{STYLE}</style>\n</head>\n<body>\n<main>\n"
        f"<header><h1>{title}</h1>{about}</header>\n"
        + "\n".join(section for section in sections if section)
        + "\n</main>\n</body>\n</html>\n"
    )


def _marked(text: str) -> str:
    """Escaped, with what stands in backticks as code."""
    parts = escape(text).split("`")
    return "".join(f"<code>{part}</code>" if place % 2 else part for place, part in enumerate(parts))


def _section(title: str, body: str) -> str:
    return f"<section>\n<h2>{escape(title)}</h2>\n{body}\n</section>"


def _headline(report: Report) -> str:
    if not report.headline:
        return ""
    cards = "".join(
        f"<div><b{_class(kind)}>{escape(big)}</b><span>{escape(what)}</span></div>"
        for big, what, kind in report.headline
    )
    return f'<section class="facts">{cards}</section>'


def _class(kind: str) -> str:
    return f' class="{kind}"' if kind in ("good", "bad") else ""


def _video(report: Report) -> str:
    if report.video is None:
        return (
            _section("The best run", f'<p class="quiet">{_marked(report.no_video)}</p>')
            if report.no_video
            else ""
        )
    data = base64.b64encode(report.video.data).decode("ascii")
    note = f'<p class="quiet">{escape(report.video.note)}</p>' if report.video.note else ""
    video = f'<video controls loop muted playsinline src="data:video/mp4;base64,{data}"></video>'
    return _section("The best run", video + note)


def _curve(report: Report) -> str:
    if not report.curves:
        return ""
    note = '<p class="quiet">The mean return of the last 100 episodes, as training went.</p>'
    whole = learning_chart(report.curves, report.levels) + note
    if report.novelty:
        note = '<p class="quiet">How new what the agent saw was to it (random network distillation).</p>'
        whole += learning_chart(report.novelty, {}, "Novelty", powers=True) + note
    return _section("Learning curve", whole)


def _players(report: Report) -> str:
    if not report.players:
        return ""
    verdict = f"<p><strong>{escape(report.verdict)}</strong></p>" if report.verdict else ""
    notes = " ".join(["Intervals are 95 % bootstrap intervals of the mean.", *report.notes])
    table = _results(report.players, "player")
    return _section("Comparison", f'{verdict}{table}<p class="quiet">{_marked(notes)}</p>')


def _others(report: Report) -> str:
    if len(report.others) < 2:
        return ""
    return _section("Runs of the same game", _results(report.others, "run"))


def _results(results: Sequence[Result], what: str) -> str:
    least = min(0.0, *(result.low for result in results))
    most = max(result.high for result in results)
    has_goal = any(result.goals is not None for result in results)
    has_time = any(result.times for result in results)
    rows = []
    for result in results:
        own = ' class="own"' if result.own else ""
        note = f'<br><span class="quiet">{escape(result.note)}</span>' if result.note else ""
        several = result.episodes > 1
        range_text = f"{result.low:,.1f} to {result.high:,.1f}" if several else ""
        rows.append(
            f'<tr{own}><td>{escape(result.name)}{note}</td><td class="n">{result.mean:,.1f}</td>'
            f'<td class="n">{range_text}</td>'
            f"<td>{whisker(result.mean, result.low, result.high, least, most)}</td>"
            f'<td class="n">{result.best:,g}</td><td class="n">{result.episodes:,}</td>'
            f"{_goals(result, has_time) if has_goal else ''}</tr>"
        )
    goals = '<th class="n">reached the goal</th>' if has_goal else ""
    goals += '<th class="n">fastest, median</th>' if has_time else ""
    head = (
        f'<tr><th>{what}</th><th class="n">mean return</th><th class="n">95 % interval</th><th></th>'
        f'<th class="n">best</th><th class="n">episodes</th>{goals}</tr>'
    )
    return f'<div class="wide"><table>{head}{"".join(rows)}</table></div>'


def _goals(result: Result, has_time: bool) -> str:
    """How often the goal was reached, and how fast."""
    count = "" if result.goals is None else f"{result.goals:,} of {result.episodes:,}"
    times = result.times
    text = f"{times[0]:.2f} s, {times[len(times) // 2]:.2f} s" if times else ""
    return f'<td class="n">{count}</td>' + (f'<td class="n">{text}</td>' if has_time else "")


def _proof(report: Report) -> str:
    proof = report.proof
    if proof is None:
        text = "There is no movie yet, so nothing is proven."
        return _section("Proof", f'<p class="quiet">{text}</p>')
    if proof.matched:
        verdict = '<p><strong class="good">Verified.</strong> '
        verdict += (
            f"<code>{escape(proof.movie)}</code> was replayed in a fresh process, {proof.frames:,} frames, "
            f"and memory was the recorded one at all {proof.checkpoints:,} checkpoints.</p>"
        )
    else:
        verdict = f'<p><strong class="bad">Not verified.</strong> <code>{escape(proof.movie)}</code></p>'
    return _section("Proof", verdict + f'<p class="quiet">{escape(proof.text)}</p>')


def _reproduce(report: Report) -> str:
    made = "".join(f"<pre>{escape(command)}</pre>" for _, command in report.commands)
    when = report.commands[0][0] if report.commands else ""
    parts = [f'<p class="quiet">Made by{f", on {escape(when)}" if when else ""}:</p>{made}' if made else ""]
    parts += [
        f'<p class="quiet">{escape(what)}:</p><pre>{escape(command)}</pre>'
        for what, command in report.reproduce
    ]
    rows = "".join(
        f"<dt>{escape(k)}</dt><dd><code>{escape(v)}</code></dd>" for k, v in report.versions.items()
    )
    return _section("How to make it again", "".join(parts) + f"<dl>{rows}</dl>")


def _settings(report: Report) -> str:
    if not report.settings:
        return ""
    rows = "".join(
        f"<dt>{escape(k)}</dt><dd><code>{escape(v)}</code></dd>" for k, v in report.settings.items()
    )
    return f"<section><details><summary>All settings</summary><dl>{rows}</dl></details></section>"
