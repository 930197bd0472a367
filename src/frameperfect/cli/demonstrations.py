"""`demonstrations`: movies as what an agent learns from, observed as it will observe."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from frameperfect.cli.app import Refused, app, example, may_replace, say

if TYPE_CHECKING:
    from frameperfect.env.demonstrations import Demonstrations


@app.command(
    epilog=example(
        "demonstrations Skyrunner-Nes best.fpm --out best.npz",
        "train Skyrunner-Nes --start stage1 --demonstrations best.npz",
    )
)
def demonstrations(
    game: Annotated[str, typer.Argument(help="A game's name, or the folder of its game.toml.")],
    movies: Annotated[list[Path], typer.Argument(help="Runs of it, whoever played them.")],
    out: Annotated[Path, typer.Option(help="The file: .npz.")],
    observation: Annotated[
        str | None, typer.Option(help="features, ram, pixels, or a range such as ram[0x0:0x100].")
    ] = None,
    actions: Annotated[str | None, typer.Option(help="A preset of the game, buttons, or discrete.")] = None,
    frame_skip: Annotated[int, typer.Option(min=1, help="Frames that a step holds its action.")] = 4,
    max_steps: Annotated[int | None, typer.Option(min=1, help="Cut episodes after so many steps.")] = None,
    state_every: Annotated[
        int, typer.Option(min=0, help="Keep a state to begin at every so many steps; 0: none.")
    ] = 8,
    core: Annotated[str | None, typer.Option(help="Another core than the game's own.")] = None,
    force: Annotated[bool, typer.Option("--force", help="Replace a file that is there.")] = False,
) -> None:
    """Replay movies exactly; keep what an agent would have seen, done and got, and states to begin at."""
    from frameperfect.cli.play import game_reference
    from frameperfect.env.demonstrations import record
    from frameperfect.movie import load_movie

    if out.suffix != ".npz":
        raise Refused(f"{out}: demonstrations are an .npz file")
    may_replace(out, force)
    env = {
        "observation": observation, "actions": actions, "frame_skip": frame_skip, "max_steps": max_steps,
        "core": core,
    }  # fmt: skip
    found = record(
        game_reference(game), [load_movie(movie) for movie in movies], state_every=state_every,
        **{key: value for key, value in env.items() if value is not None},
    )  # fmt: skip
    found.save(out)
    tell(found, out)


def tell(found: Demonstrations, out: Path) -> None:
    """Say what a file holds."""
    won = int(found.success.sum())
    say(
        f"{out}: {found.steps:,} steps of {len(found.lengths)} runs, {won} of which reach the goal, "
        f"rewards of {found.rewards.sum():g}, {len(found.states)} states; {out.stat().st_size >> 10:,} KiB"
    )
