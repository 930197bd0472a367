"""`ram`: the RAM lab, in a terminal or as one question and its answer."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from frameperfect.cli.app import Refused, app, example

if TYPE_CHECKING:
    from frameperfect.game import Game
    from frameperfect.machine import Machine
    from frameperfect.memory import Variable
    from frameperfect.ram import Dependence, Finding


@app.command(
    epilog=example(
        "ram Airstriker-Genesis --start level1",
        "ram Airstriker-Genesis --start level1 --which Right",
        "ram ./mygame --play 'Start:6 :120' --position Right,Left --save x",
        "ram Breakout-Atari --play 'Fire:4 :30' --score --export breakout.wch",
        "ram mygame.nes --bytes 'A9 ?? 8D 4? 07'",
    )
)
def ram(
    name: Annotated[
        str, typer.Argument(metavar="GAME", help="A game's name, its folder or game.toml, or a ROM.")
    ],
    start: Annotated[str | None, typer.Option(help="Begin at this start; otherwise the default one.")] = None,
    play: Annotated[
        str, typer.Option(help="Then play this: BUTTONS:FRAMES, several between spaces ('Right+A:30 :10').")
    ] = "",
    core: Annotated[str | None, typer.Option(help="On this core.")] = None,
    domain: Annotated[str | None, typer.Option(help="Look in this domain; otherwise in `ram`.")] = None,
    which: Annotated[
        str | None, typer.Option(metavar="BUTTON", help="Which bytes change if and only if it is held?")
    ] = None,
    counters: Annotated[bool, typer.Option("--counters", help="What counts frames?")] = False,
    position: Annotated[
        str | None,
        typer.Option(metavar="MORE,LESS", help="What is the place along these buttons (Right,Left)?"),
    ] = None,
    velocity: Annotated[
        str | None, typer.Option(metavar="MORE,LESS", help="What is the speed along these directions?")
    ] = None,
    lives: Annotated[bool, typer.Option("--lives", help="What counts the lives?")] = False,
    score: Annotated[bool, typer.Option("--score", help="What is the score?")] = False,
    timer: Annotated[bool, typer.Option("--timer", help="What is a clock?")] = False,
    pattern: Annotated[
        str | None, typer.Option("--bytes", metavar="HEX", help="Where are these bytes? `?` is any digit.")
    ] = None,
    pointers: Annotated[
        str | None, typer.Option(metavar="ADDRESS", help="Which chains of pointers lead to this address?")
    ] = None,
    watches: Annotated[
        Path | None, typer.Option("--watch", metavar="FILE", help="A watch list of BizHawk (.wch) to read.")
    ] = None,
    save: Annotated[
        str | None, typer.Option(metavar="NAME", help="Write the best answer into game.toml by this name.")
    ] = None,
    toml: Annotated[Path | None, typer.Option(help="Into this game.toml instead of the game's own.")] = None,
    export: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Write the answers as a watch list (.wch).")
    ] = None,
    limit: Annotated[int, typer.Option(min=1, help="Show so many answers.")] = 10,
    seed: Annotated[int, typer.Option(help="Of the random play that some questions need.")] = 0,
    as_json: Annotated[bool, typer.Option("--json", help="A JSON list, for programs.")] = False,
) -> None:
    """Find what a game's memory means: in a terminal app, or by one question asked of savestates.

    An experiment branches from one moment many times, with different inputs, and looks at what differs.
    Without a question the app opens: memory as hex, the picture, a search, a watch list, experiments.
    """
    from frameperfect.game import load_game
    from frameperfect.game import open as open_game
    from frameperfect.ram import Lab, PointerScan, find_pattern, read_wch, variable_at
    from frameperfect.ram.questions import ask

    asked = {
        "which": which, "counters": counters, "position": position, "velocity": velocity, "lives": lives,
        "score": score, "timer": timer, "bytes": pattern, "pointers": pointers,
    }  # fmt: skip
    questions = [key for key, value in asked.items() if value not in (None, False)]
    if len(questions) > 1:
        raise Refused(f"one question at a time: --{questions[0]} or --{questions[1]}")
    game = load_game(name)
    if save is not None:
        _toml_of(game, toml)
        if not save.isidentifier():
            raise Refused(f"--save '{save}' is no variable's name; use letters, digits and _")
    with open_game(game, core=core, start=start or game.default_start) as machine:
        _play(machine, play)
        watched = []
        if watches is not None:
            text = watches.read_text("utf-8", errors="replace")
            watched = [entry for entry in read_wch(text, machine) if not isinstance(entry, str)]
        if not questions and (watches is None or sys.stdout.isatty()):
            _open_app(machine, game, toml, domain, watched)
            return
        question = questions[0] if questions else "watch"
        answers: list[tuple[Variable, str, dict[str, Any]]]
        if question == "watch":
            answers = [_value_of(variable, machine) for variable in watched]
        elif question == "bytes":
            addresses = find_pattern(machine, str(pattern), domain)
            lab_domain = Lab(machine, domain).domain
            answers = [
                (variable_at(machine, lab_domain, address, "u1"), f"{address:#08x}", {"address": address})
                for address in addresses
            ]
        elif question == "pointers":
            scan = PointerScan(machine, _address(str(pointers)))
            answers = [
                (scan.variable("value", "u1", chain), f"[{', '.join(f'{hop:#x}' for hop in chain)}]",
                 {"pointer": list(chain)})
                for chain in scan.chains
            ]  # fmt: skip
        else:
            about = asked[question]
            findings = ask(Lab(machine, domain, seed=seed), question, about if isinstance(about, str) else "")
            answers = [_answer(finding, machine, domain) for finding in findings]
        _show(question, answers, limit, as_json)
        if save is not None:
            if not answers:
                raise Refused("nothing was found, so nothing was saved")
            _note(_save(game, toml, [replace(answers[0][0], name=save)]), as_json)
        if export is not None:
            _note(_export(export, [one for one, _, _ in answers[:limit]], question, machine), as_json)


def _play(machine: Machine, script: str) -> None:
    for part in script.split():
        buttons, colon, frames = part.rpartition(":")
        if not colon or not frames.isdigit():
            raise Refused(
                f"--play '{part}': write BUTTONS:FRAMES, as in 'Right+A:30', or ':10' for nothing held"
            )
        machine.advance(buttons, int(frames))


def _address(text: str) -> int:
    try:
        return int(text, 0)
    except ValueError:
        raise Refused(f"'{text}' is no address; write it in hex, as in 0xFF0268") from None


def _answer(
    found: Finding | Dependence, machine: Machine, domain: str | None
) -> tuple[Variable, str, dict[str, Any]]:
    """A finding as a variable, as a line, and as JSON has it."""
    from frameperfect.ram import Finding, find, variable_at

    if isinstance(found, Finding):
        facts: dict[str, Any] = {
            "address": found.address, "type": found.variable.type, "evidence": round(found.score, 3),
            "why": found.why, "poke": found.poke.verdict if found.poke is not None else None,
        }  # fmt: skip
        return found.variable, str(found), facts
    variable = variable_at(machine, find(machine, domain), found.address, "u1")
    facts = {
        "address": found.address, "bit": found.bit, "always": found.always, "also": list(found.also),
        "delay": found.delay,
    }  # fmt: skip
    return replace(variable, bit=found.bit), str(found), facts


def _value_of(variable: Variable, machine: Machine) -> tuple[Variable, str, dict[str, Any]]:
    value = variable.read(machine)
    line = f"{variable.name:<24} {variable.type:<4} {value:g}"
    return variable, line, {"name": variable.name, "type": variable.type, "value": value}


def _show(
    question: str, answers: Sequence[tuple[Variable, str, dict[str, Any]]], limit: int, as_json: bool
) -> None:
    if as_json:
        print(json.dumps([facts for _, _, facts in answers[:limit]], indent=1))
        return
    for _, line, _ in answers[:limit]:
        print(line)
    if len(answers) > limit:
        print(f"... {len(answers) - limit} more; --limit shows them")
    if not answers:
        print(f"{question}: nothing found; try another moment (--start, --play) or another --domain")


def _note(text: str, as_json: bool) -> None:
    """What was written where; JSON keeps stdout to itself."""
    print(text, file=sys.stderr if as_json else sys.stdout)


def _export(path: Path, variables: Sequence[Variable], question: str, machine: Machine) -> str:
    from frameperfect.atomic import replacing
    from frameperfect.ram import write_wch

    named = [
        variable if variable.name != "value" else replace(variable, name=f"{question}_{number}")
        for number, variable in enumerate(variables, 1)
    ]
    text = write_wch(named, machine)
    with replacing(path) as part:
        part.write_text(text, "utf-8", newline="")
    return f"{path}: {len(named)} watches"


def _toml_of(game: Game, toml: Path | None) -> Path:
    """The game.toml to write into."""
    if toml is not None:
        return toml / "game.toml" if toml.is_dir() else toml
    if game.folder is not None and (game.folder / "game.toml").is_file():
        return game.folder / "game.toml"
    raise Refused(
        f"{game.name} has no game.toml of its own: `frameperfect new-game ROM` writes one, --toml names one"
    )


def _save(game: Game, toml: Path | None, variables: Sequence[Variable]) -> str:
    """Write variables into the game.toml, and say where."""
    from frameperfect.atomic import replacing
    from frameperfect.ram import add_variables

    path = _toml_of(game, toml)
    text = add_variables(path.read_text("utf-8"), variables, where=str(path))
    with replacing(path) as part:
        part.write_text(text, "utf-8")
    return f"{path}: {', '.join(variable.name for variable in variables)} added to [memory]"


def _open_app(
    machine: Machine, game: Game, toml: Path | None, domain: str | None, watches: Sequence[Variable]
) -> None:
    from frameperfect.errors import MissingComponent

    try:
        from frameperfect.ram.app import LabApp
    except ModuleNotFoundError as missing:
        raise MissingComponent(
            f"the RAM lab needs '{missing.name}': pip install 'frameperfect[ram]'; "
            "the questions of `frameperfect ram --help` work without it"
        ) from None
    LabApp(machine, game.name, lambda found: _save(game, toml, found), domain, watches).run()
