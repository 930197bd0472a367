"""The command line in this process: as `python -m frameperfect`, without the seconds that a process takes."""

from __future__ import annotations

import contextlib
import io
import subprocess
from pathlib import Path

import pytest


def frameperfect(*arguments: str | Path | int, cwd: Path) -> subprocess.CompletedProcess[str]:
    """Run the command line in the folder `cwd`, with a home of its own there."""
    from frameperfect.cli.app import run

    words, out, err = list(map(str, arguments)), io.StringIO(), io.StringIO()
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(cwd)
        patch.setenv("FRAMEPERFECT_HOME", str(cwd / "home"))
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            code = run(words)
    return subprocess.CompletedProcess(words, code, out.getvalue(), err.getvalue())
