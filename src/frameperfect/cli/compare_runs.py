"""`compare-runs`: the learning curves of several runs in one plot, with confidence bands over their seeds."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from frameperfect.cli.app import Refused, app, console, example

if TYPE_CHECKING:
    from frameperfect.view.plots import Curve

BY = {"steps": "agent steps", "seconds": "seconds of training"}


@app.command(
    name="compare-runs",
    epilog=example("compare-runs ppo rainbow-iqn", "compare-runs ppo ppo-rnd --by seconds --out plot.png"),
)
def compare_runs(
    runs: Annotated[list[str], typer.Argument(metavar="RUN...", help="Runs' names or folders.")],
    out: Annotated[Path, typer.Option(help="The PNG to write.")] = Path("comparison.png"),
    by: Annotated[str, typer.Option(metavar="WHAT", help="What goes along: steps or seconds.")] = "steps",
) -> None:
    """Draw the learning curves of runs, each the mean of its seeds with a 95 % interval; list their ends."""
    import numpy as np
    from rich.box import SIMPLE_HEAD
    from rich.table import Table

    from frameperfect.cli.curves import curve_of
    from frameperfect.cli.runs import read_run, run_folder, seed_folders
    from frameperfect.learn import interval
    from frameperfect.view.plots import draw_comparison

    if by not in BY:
        raise Refused(f"no '{by}' to go along; there are {', '.join(BY)}")
    groups: dict[str, list[Curve]] = {}
    games = []
    table = Table(box=SIMPLE_HEAD, pad_edge=False)
    for name in ("run", "algo", "seeds", "steps", "mean return at the end", "95 % interval"):
        table.add_column(name, justify="left" if name in ("run", "algo") else "right")
    for run in runs:
        folder = run_folder(run)
        folders = seed_folders(folder) or [folder]
        settings = read_run(folders[0])
        games.append(settings.game)
        label = folder.name if folder.name not in groups else str(folder)
        groups[label] = [curve_of(each, over=by) for each in folders]
        ends = np.array([curve.returns[-1] for curve in groups[label] if len(curve.returns)])
        ends = ends[np.isfinite(ends)]
        steps = max((curve.steps[-1] for curve in map(curve_of, folders) if len(curve.steps)), default=0)
        low, high = interval(ends) if len(ends) > 1 else (0.0, 0.0)
        table.add_row(
            label, settings.algo, str(len(folders)), f"{steps:,.0f}",
            f"{ends.mean():.1f}" if len(ends) else "-",
            f"{low:.1f} to {high:.1f}" if len(ends) > 1 else "-",
        )  # fmt: skip
    console().print(table)
    draw_comparison(groups, out, ", ".join(dict.fromkeys(games)), over=BY[by])
    print(out)
