"""`demonstrations`: movies as what an agent learns from, observed as it will observe."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from frameperfect.cli.app import Refused, app, example, may_replace, say
from frameperfect.cli.env_options import (
    ActionsOption,
    CoreOption,
    DefineOption,
    FrameSkipOption,
    GameArgument,
    MaxStepsOption,
    ObservationOption,
    OptionsOption,
    env_choices,
)

if TYPE_CHECKING:
    from frameperfect.env.demonstrations import Demonstrations


@app.command(
    epilog=example(
        "demonstrations Skyrunner-Nes best.fpm --out best.npz",
        "train Skyrunner-Nes --start stage1 --demonstrations best.npz",
    )
)
def demonstrations(
    game: GameArgument,
    movies: Annotated[list[Path], typer.Argument(help="Runs of it, whoever played them.")],
    out: Annotated[Path, typer.Option(help="The file: .npz.")],
    observation: ObservationOption = None,
    actions: ActionsOption = None,
    frame_skip: FrameSkipOption = 4,
    max_steps: MaxStepsOption = None,
    state_every: Annotated[
        int, typer.Option(min=0, help="Keep a state to begin at every so many steps; 0: none.")
    ] = 8,
    core: CoreOption = None,
    option: OptionsOption = None,
    define: DefineOption = None,
    force: Annotated[bool, typer.Option("--force", help="Replace a file that is there.")] = False,
) -> None:
    """Replay movies exactly; keep what an agent would have seen, done and got, and states to begin at."""
    from frameperfect.cli.play import game_reference
    from frameperfect.env.demonstrations import record
    from frameperfect.movie import load_movie

    if out.suffix != ".npz":
        raise Refused(f"{out}: demonstrations are an .npz file")
    may_replace(out, force)
    found = record(
        game_reference(game), [load_movie(movie) for movie in movies], state_every=state_every,
        **env_choices(
            observation=observation, actions=actions, frame_skip=frame_skip, max_steps=max_steps, core=core,
            option=option, define=define,
        ),
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
