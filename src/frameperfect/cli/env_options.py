"""What several commands ask alike of a game and its environment, and the environment that the answers are."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from frameperfect.cli.app import Refused

GameArgument = Annotated[str, typer.Argument(help="A game's name, or the folder of its game.toml.")]
AlgoOption = Annotated[str, typer.Option(help="ppo, a2c, dqn, rainbow, iqn or rainbow-iqn.")]
ObservationOption = Annotated[
    str | None, typer.Option(help="features, ram, pixels, or a range such as ram[0x0:0x100].")
]
ActionsOption = Annotated[str | None, typer.Option(help="A preset of the game, buttons, or discrete.")]
EnvsOption = Annotated[int, typer.Option(min=1, help="Environments stepped together.")]
FrameSkipOption = Annotated[int, typer.Option(min=1, help="Frames that a step holds its action.")]
StickyOption = Annotated[
    float, typer.Option(min=0, max=0.99, help="Chance that a frame repeats the last input.")
]
MaxStepsOption = Annotated[int | None, typer.Option(min=1, help="Cut episodes after so many steps.")]
StartOption = Annotated[
    str | None,
    typer.Option(help="A start of the game, or several by commas: each episode draws one of them."),
]
CoreOption = Annotated[str | None, typer.Option(help="Another core than the game's own.")]
OptionsOption = Annotated[
    list[str] | None,
    typer.Option("--option", help="An option of the core or the machine, NAME=VALUE; may be given again."),
]
DefineOption = Annotated[
    list[str] | None,
    typer.Option("--define", help="Another expression for one of the game's definitions, NAME=EXPRESSION."),
]


def env_choices(
    *,
    start: str | None = None,
    option: list[str] | None = None,
    define: list[str] | None = None,
    **options: Any,
) -> dict[str, Any]:
    """Keywords of `make_env`: the options that were given."""
    chosen = {
        **options, "start": start_choice(start), "options": machine_options(option),
        "define": named_values("--define", define, "course=100"),
    }  # fmt: skip
    return {key: value for key, value in chosen.items() if value is not None}


def start_choice(text: str | None) -> str | list[str] | None:
    """The starts that an option names, as `make_env` takes them."""
    names = text.split(",") if text is not None else []
    return names if len(names) > 1 else text


def machine_options(texts: list[str] | None) -> dict[str, str] | None:
    """What `--option` says, by name; raises Refused as `named_values` does."""
    return named_values("--option", texts, "map=Tsunami")


def named_values(option: str, texts: list[str] | None, example: str) -> dict[str, str] | None:
    """What NAME=VALUE texts of an option say, by name.

    Raises:
        Refused: one of them is none.
    """
    if not texts:
        return None
    pairs = [text.partition("=") for text in texts]
    for text, (name, sign, _) in zip(texts, pairs, strict=True):
        if not (name and sign):
            raise Refused(f"{option} {text}: write NAME=VALUE, such as {option} {example}")
    return {name: value for name, _, value in pairs}
