"""A run's page says what the folder holds, needs no network, and can't be broken by a name."""

from __future__ import annotations

import base64
import json
import shutil
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.command_line import frameperfect
from tests.components import need
from tests.test_cli import fails

need("matplotlib")

from frameperfect.view.plots import Curve  # noqa: E402
from frameperfect.view.report import Proof, Report, Result, Video, page, write_report  # noqa: E402
from frameperfect.view.report.chart import nice_ticks, short_number  # noqa: E402

GAME = "Airstriker-Genesis"
VOID = {"meta", "path", "rect", "br"}


class Page(HTMLParser):
    """Checks that tags nest, and keeps the text, the attributes and the kinds of tags."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: set[str] = set()
        self.attributes: list[tuple[str, str | None]] = []
        self.words: list[str] = []
        self.feed(text)
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.attributes += attrs
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.attributes += attrs

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.open[-1:] != ["style"]:
            self.words.append(data)

    @property
    def text(self) -> str:
        return " ".join(" ".join(self.words).split())


def full(word: str = "plain") -> Report:
    """A report with everything in it, and `word` in every place that comes from outside."""
    steps = np.arange(0, 5000, 100.0)
    returns = np.where(steps < 500, np.nan, steps / 10)
    results = [Result(word, 10, 8, 12, 14, 5, word, True), Result("random player", 3, 2, 4, 5, 5)]
    return Report(
        title=word, run=word, about=word, headline=[(word, word, "good")], video=Video(b"\0\1mp4", word),
        curves=[Curve(word, steps, returns), Curve("b", steps, returns + 1)], levels={word: (3.0, 2.0, 4.0)},
        players=results, verdict=word, notes=[word], others=results, proof=Proof(word, True, word, 3, 60),
        commands=[(word, word)], reproduce=[(word, word)], versions={word: word}, settings={word: word},
    )  # fmt: skip


NASTY = [
    "<script>alert(1)</script>", '"><img src=x onerror=alert(1)>', "</style><b>", "a & b < c", "'quoted'",
    "</video>", "&lt;", "<!--", "日本語 ☃",
]  # fmt: skip


@given(st.one_of(st.sampled_from(NASTY), st.text(st.characters(exclude_categories=["Cs", "Cc"]), min_size=1)))
def test_whatever_a_name_holds_it_is_shown_and_never_a_part_of_the_page(word: str) -> None:
    plain, nasty = Page(page(full())), Page(page(full(word)))
    assert nasty.tags == plain.tags
    assert " ".join(word.split()) in nasty.text
    assert {name for name, _ in nasty.attributes} == {name for name, _ in plain.attributes}


def test_the_page_needs_neither_network_nor_script() -> None:
    text = page(full())
    found = Page(text)
    assert not found.tags & {"script", "link", "iframe", "object", "base"}
    assert not any(name.startswith("on") for name, _ in found.attributes)
    sources = [value for name, value in found.attributes if name in ("src", "href", "srcset", "action")]
    assert sources == ["data:video/mp4;base64," + base64.b64encode(b"\0\1mp4").decode()]
    for outside in ("http:", "https:", "url(", "@import"):
        assert outside not in text
    assert "prefers-color-scheme: dark" in text
    assert ("name", "viewport") in found.attributes


def test_a_report_of_nothing_is_still_a_page() -> None:
    text = Page(page(Report(title="Game", run="r", curves=[Curve("a", np.zeros(0), np.zeros(0))]))).text
    assert "nothing is proven" in text
    assert "no curve" in text


def test_a_report_is_there_whole_or_not_at_all(tmp_path: Path) -> None:
    write_report(full(), tmp_path / "report.html")
    before = (tmp_path / "report.html").read_text()
    assert before.startswith("<!DOCTYPE html>") and before.endswith("</html>\n")
    (tmp_path / "folder").mkdir()
    with pytest.raises(OSError, match="folder"):
        write_report(full(), tmp_path / "folder")
    assert {path.name for path in tmp_path.iterdir()} == {"report.html", "folder"}


@given(st.floats(-1e6, 1e6), st.floats(0, 1e6), st.integers(2, 9))
def test_ticks_are_round_enclose_the_values_and_are_not_too_many(low: float, span: float, count: int) -> None:
    high = low + span
    ticks = nice_ticks(low, high, count)
    width = ticks[1] - ticks[0]
    assert ticks[0] <= low + 1e-6 * width and ticks[-1] >= high - 1e-6 * width
    assert 2 <= len(ticks) <= count + 3


def test_numbers_on_an_axis_are_short() -> None:
    values = [0, 0.25, -300, 20_000, 1_500_000, 2e9]
    assert [short_number(value) for value in values] == ["0", "0.25", "-300", "20k", "1.5M", "2G"]


# -- of real runs ------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder in which one run was trained and evaluated, and another one only trained."""
    for module in ("stable_retro", "torch", "av"):
        need(module)
    place = tmp_path_factory.mktemp("place")
    (place / "ppo.toml").write_text("rollout_steps = 32\nhidden = [16, 16]\n")
    for name in ("first", "second"):
        done = frameperfect(
            "train", GAME, "--run", name, "--envs", 4, "--steps", 256, "--config", "ppo.toml",
            "--max-steps", 40, "--seed", 5, *(["--no-eval"] if name == "second" else []), cwd=place,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
    shutil.copytree(place / "runs" / "first", place / "as-trained")
    done = frameperfect("eval", "first", "--episodes", 3, cwd=place)
    assert done.returncode == 0, done.stdout + done.stderr
    return place


def test_training_writes_a_page_that_says_how_to_make_it_again(trained: Path) -> None:
    text = Page((trained / "runs" / "second" / "report.html").read_text()).text
    for words in (
        "Airstriker: second", "Learning curve", f"frameperfect train {GAME} --run second --envs 4",
        "frameperfect eval runs/second", "nothing is proven", "frameperfect 0.1.0", "python 3.", "torch ",
        "program (SHA-1) a8be7b0ca850119b167f9644e6a4a22e983d61a4", "seed 5", "core ",
    ):  # fmt: skip
        assert words in text, words


def test_training_ends_with_an_evaluation_that_the_page_shows(trained: Path) -> None:
    run = trained / "as-trained"
    text = Page((run / "report.html").read_text()).text
    facts = json.loads((run / "evaluation.json").read_text())
    agent, floor = facts["players"]["agent"], facts["players"]["random player"]
    assert len(agent["returns"]) == len(floor["returns"]) == 10
    assert f"{agent['mean']:,.1f} mean return of 10 episodes" in text and "random player" in text
    assert "Verified. runs/first/best.fpm was replayed in a fresh process" in text
    assert "frameperfect eval runs/first --brute 60" in text
    embedded = (run / "report.html").read_text().split("data:video/mp4;base64,")[1].split('"')[0]
    assert base64.b64decode(embedded) == (run / "best.mp4").read_bytes()


def test_short_episodes_goals_and_times_are_on_the_page(trained: Path) -> None:
    folder = trained / "runs" / "racer"
    shutil.copytree(trained / "as-trained", folder)
    facts = json.loads((folder / "evaluation.json").read_text())
    facts["environment"] = {"max_steps": 150}
    facts["players"]["agent"] |= {"goals": 3, "times": [600, 630, 900], "frame_rate": 60.0}
    facts["players"]["random player"] |= {"goals": 0, "times": []}
    (folder / "evaluation.json").write_text(json.dumps(facts))
    assert frameperfect("report", "racer", cwd=trained).returncode == 0
    text = Page((folder / "report.html").read_text()).text
    assert "3 of 10 10.00 s, 10.50 s" in text and "0 of 10" in text
    assert "Episodes end after 600 frames" in text and "episodes of at most 600 frames" in text
    shutil.rmtree(folder)


def test_evaluation_adds_scores_the_video_and_the_proof(trained: Path) -> None:
    run = trained / "runs" / "first"
    text = Page((run / "report.html").read_text()).text
    scores = json.loads((run / "evaluation.json").read_text())["players"]
    assert f"{scores['agent']['mean']:,.1f} mean return of 3 episodes" in text
    assert "random player" in text
    assert "Verified. runs/first/best.fpm was replayed in a fresh process" in text
    assert f"frameperfect train {GAME} --run first" in text and "frameperfect eval first --episodes 3" in text
    embedded = (run / "report.html").read_text().split("data:video/mp4;base64,")[1].split('"')[0]
    assert base64.b64decode(embedded) == (run / "best.mp4").read_bytes()


def test_a_page_shows_the_other_runs_of_the_game_and_what_the_brute_found_there(trained: Path) -> None:
    folder = trained / "runs" / "copied"
    shutil.copytree(trained / "runs" / "first", folder)
    facts = json.loads((folder / "evaluation.json").read_text())
    facts["brute"] = {"score": 123.0, "steps": 4567, "seconds": 8.0}
    (folder / "evaluation.json").write_text(json.dumps(facts))
    assert frameperfect("report", "first", cwd=trained).returncode == 0
    text = Page((trained / "runs" / "first" / "report.html").read_text()).text
    assert "Runs of the same game" in text
    assert "copied ppo, 256 steps" in text
    assert "The Brute itself 4,567 steps of search (run copied), without sticky actions 123.0" in text
    shutil.rmtree(folder)


def test_a_report_that_can_not_be_written_costs_a_line_and_nothing_else(trained: Path) -> None:
    page_file = trained / "runs" / "second" / "report.html"
    page_file.unlink()
    page_file.mkdir()
    more = ("--run", "second", "--resume", "--steps", 384, "--no-eval")
    done = frameperfect("train", GAME, *more, cwd=trained)
    assert done.returncode == 0, done.stderr
    assert "384 steps" in done.stdout
    assert "no report.html:" in done.stdout and "`frameperfect report runs/second`" in done.stdout
    page_file.rmdir()
    assert frameperfect("report", "second", cwd=trained).returncode == 0
    assert "384 steps" in Page(page_file.read_text()).text


def test_runs_lists_them_with_scores_and_proof(trained: Path) -> None:
    done = frameperfect("runs", cwd=trained)
    lines = {line.split()[0]: line for line in done.stdout.splitlines() if line.split()}
    assert "verified" in lines["first"] and " to " in lines["first"]
    assert "(training)" in lines["second"] or " - " in lines["second"]
    for line in (lines["first"], lines["second"]):
        assert GAME in line and "ppo" in line
    (trained / "empty").mkdir(exist_ok=True)
    fails(frameperfect("runs", "nowhere", cwd=trained), "nowhere does not exist")
    fails(frameperfect("runs", "ppo.toml", cwd=trained), "ppo.toml is a file")
    fails(frameperfect("runs", "empty", cwd=trained), "empty holds no runs")
    fails(frameperfect("runs", "runs/first", cwd=trained), "did you mean runs")
    fails(frameperfect("report", "thirst", cwd=trained), "did you mean 'first'")


def test_a_damaged_run_does_not_hide_the_others(trained: Path) -> None:
    broken = trained / "runs" / "broken"
    broken.mkdir()
    (broken / "config.json").write_text("{")
    assert "first" in frameperfect("runs", cwd=trained).stdout
    fails(frameperfect("report", "broken", cwd=trained), "is damaged")
    for name in ("evaluation.json", "history.json"):
        kept = (trained / "runs" / "first" / name).read_bytes()
        (trained / "runs" / "first" / name).write_text("[{")
        assert "first" in frameperfect("runs", cwd=trained).stdout
        assert frameperfect("report", "first", cwd=trained).returncode == 0
        (trained / "runs" / "first" / name).write_bytes(kept)
    shutil.rmtree(broken)
