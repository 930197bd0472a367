"""Every code block in the README and the docs runs.

`python` blocks of a page run in order in one namespace; `sh` blocks line by line in one folder; `toml` blocks
that define a game must load. A block whose first line is a comment of nothing but the name of a file
(`# rules.toml`) is not run: it is that file in the folder of the `sh` blocks. A `make` line must name a
target of the Makefile (the targets themselves are what CI runs). A fence with attributes
(`{ .python .example }`) shows a file of the repository, which has tests of its own. Anything else in a page
is fenced as `text`.
"""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.components import need, need_program
from tests.test_play import TYPING

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
FENCE = re.compile(r"^``` ?([^`\n]*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
FILE = re.compile(r"# ([\w-]+\.\w+)\n")
SNIPPET = re.compile(r'--8<-- "([^"]+)"\n')


def blocks(page: Path, language: str) -> list[str]:
    return [
        text for kind, text in FENCE.findall(page.read_text()) if kind == language and not FILE.match(text)
    ]


def need_game(page: Path) -> None:
    """Programs that a page's blocks start."""
    if "DDNet-Race" in page.read_text():
        need_program("DDNet-Server", "ddnet-server")
    if '"SuperTux"' in page.read_text():
        need_program("supertux2", "supertux")


def write_files(page: Path, folder: Path) -> None:
    """The blocks that are files."""
    for _, text in FENCE.findall(page.read_text()):
        named = FILE.match(text)
        if named:
            (folder / named[1]).write_text(text)


def pages_with(language: str) -> list[Path]:
    return [page for page in PAGES if blocks(page, language)]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_a_page_has_only_blocks_that_something_checks(page: Path) -> None:
    for kind, text in FENCE.findall(page.read_text()):
        if kind.startswith("{"):
            shown = SNIPPET.fullmatch(text)
            assert shown and (ROOT / shown[1]).is_file()
        else:
            assert kind in {"python", "sh", "toml", "text", ""}


@pytest.mark.parametrize("page", pages_with("python"), ids=lambda page: page.name)
def test_the_python_blocks_of_a_page_run(page: Path, tmp_path: Path) -> None:
    need("stable_retro")
    need_game(page)
    script = tmp_path / "page.py"
    script.write_text("\n".join(blocks(page, "python")))
    done = subprocess.run([sys.executable, script], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("page", pages_with("sh"), ids=lambda page: page.name)
def test_the_shell_lines_of_a_page_run(page: Path, tmp_path: Path) -> None:
    need("stable_retro")
    need_game(page)
    environment = os.environ | {
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
        "FRAMEPERFECT_HOME": str(tmp_path / "home"),
        "SDL_AUDIODRIVER": "dummy",
    }
    write_files(page, tmp_path)
    for block in blocks(page, "sh"):
        for line in block.replace("\\\n", " ").splitlines():
            words = shlex.split(line, comments=True)
            if not words:
                continue
            if words[0] == "make":
                command, folder = ["make", "-n", *words[1:]], ROOT
            elif words[:2] == ["frameperfect", "play"] and "--show-keys" not in words:
                need("pygame")
                command, folder = [sys.executable, "-c", TYPING, "+p -p +x -x quit", *words[1:]], tmp_path
            else:
                command, folder = ["bash", "-c", line], tmp_path
            screen = {"SDL_VIDEODRIVER": "dummy"} if TYPING in command else {}
            done = subprocess.run(
                command, cwd=folder, env=environment | screen, capture_output=True, text=True, check=False,
                timeout=300,
            )  # fmt: skip
            assert done.returncode == 0, f"{line}\n{done.stdout}\n{done.stderr}"


@pytest.mark.parametrize("page", pages_with("toml"), ids=lambda page: page.name)
def test_the_games_defined_in_a_page_load(page: Path, tmp_path: Path) -> None:
    from frameperfect.game import load_game

    for number, block in enumerate(blocks(page, "toml")):
        if "[game]" in block:
            folder = tmp_path / str(number)
            folder.mkdir()
            (folder / "game.toml").write_text(block)
            load_game(folder)


def test_every_command_is_shown_in_use() -> None:
    import typer

    from frameperfect.cli.app import app, load_commands

    load_commands()
    root: Any = typer.main.get_command(app)
    text = "\n".join(page.read_text() for page in PAGES)
    missing = [name for name in root.commands if not re.search(rf"frameperfect {name}\b|`{name}`", text)]
    assert not missing


def test_the_site_is_built_without_warnings(tmp_path: Path) -> None:
    need("mkdocs")
    need("material")
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet", "--site-dir", tmp_path]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    pages = {path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*.html")}
    assert {"index.html", "reference/cli.html", "reference/game-toml.html"} <= pages
    for page in pages:  # nothing is fetched from elsewhere when it is read
        loads = re.findall(
            r'<(?:script|img|link)[^>]+(?:src|href)="(https?://[^"]+)"', (tmp_path / page).read_text()
        )
        assert not [one for one in loads if "canonical" not in one], page
