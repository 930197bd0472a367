"""`frameperfect bench`: our speed beside the peers', in a source checkout."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Annotated

import typer

from frameperfect.cli.app import Refused, app, example


@app.command(epilog=example("bench libretro_step --quick"))
def bench(
    name: Annotated[str | None, typer.Argument(help="The benchmark; without one, they are listed.")] = None,
    quick: Annotated[bool, typer.Option("--quick", help="Less than 45 seconds.")] = False,
) -> None:
    """Measure speed beside other libraries; the last line is a JSON object."""
    checkout = Path(__file__).parents[3]
    if not (checkout / "benchmarks" / "__main__.py").is_file():
        raise Refused("the benchmarks are in the source checkout; clone it and run `make setup` there")
    command = [sys.executable, "-m", "benchmarks", name or "--help", *(["--quick"] if quick else [])]
    done = subprocess.run(command, cwd=checkout, check=False)
    if done.returncode:
        raise typer.Exit(done.returncode)
