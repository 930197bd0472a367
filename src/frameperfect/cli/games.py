"""`games`, `info`, `import`, `new-game`: what can be played, and how it comes to be known."""

from __future__ import annotations

import json
import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from frameperfect.cli.app import app, console, example

if TYPE_CHECKING:
    from frameperfect.game import Game


@app.command(name="games", epilog=example("games --playable", "games sonic --system Genesis", "games --json"))
def list_games(
    part: Annotated[
        str, typer.Argument(metavar="[TEXT]", help="Only games whose name or title contains this.")
    ] = "",
    source: Annotated[
        str | None, typer.Option(help="Only of this source: bundled, user, stable-retro, ale, ...")
    ] = None,
    system: Annotated[str | None, typer.Option(help="Only of this console.")] = None,
    playable: Annotated[bool, typer.Option("--playable", help="Only those whose ROM is here.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="A JSON list, for programs.")] = False,
) -> None:
    """List the games that are known: name, system, source, and whether the ROM is here."""
    from frameperfect.game import games, load_game

    rows: list[dict[str, Any]] = []
    for name in games(source):
        game = load_game(name)
        text = f"{game.name} {game.title}".lower()
        if part.lower() not in text or (system and system.lower() != (game.system or "").lower()):
            continue
        row = {"name": game.name, "system": game.system, "source": game.source, "rom": game.has_rom}
        if row["rom"] or not playable:
            rows.append(row)
    if as_json:
        print(json.dumps(rows, indent=1))
        return
    width = max((len(row["name"]) for row in rows), default=0)
    for row in rows:
        mark = "here" if row["rom"] else "no ROM"
        print(f"{row['name']:<{width}}  {row['system'] or '-':<14}  {row['source']:<13}  {mark}")
    here = sum(row["rom"] for row in rows)
    note = "" if here == len(rows) else "; `frameperfect import DIR` takes ROMs from your folder"
    console(stderr=True).print(f"{len(rows)} games, {here} with their ROM{note}", soft_wrap=True)


@app.command(epilog=example("info Airstriker-Genesis", "info games/mygame"))
def info(
    name: Annotated[
        str, typer.Argument(metavar="GAME", help="A game's name, or the folder of its game.toml.")
    ],
) -> None:
    """Show what is known of a game: variables, starts, actions, rewards, ends, cores."""
    from frameperfect.game import load_game

    game = load_game(name)
    _show_head(game)
    _show_table("variables", ("name", "address", "type", "unit", "about"), _variables(game))
    _show_table("definitions", ("name", "expression"), list(game.define.items()))
    _show_table("reward", ("term", "expression"), list(game.reward.items()))
    ends = [(key, text) for key, text in game.end.model_dump().items() if text is not None]
    _show_table("end", ("of", "expression"), ends)
    _show_table(
        "actions", ("preset", "combinations"), [(key, _combinations(v)) for key, v in game.actions.items()]
    )
    _show_table(
        "features", ("", "expression"), [(str(i), f) for i, f in enumerate(game.observation.features)]
    )


@app.command(name="import", epilog=example("import ~/roms", "import 'my roms.zip'"))
def import_folder(
    folder: Annotated[
        Path, typer.Argument(metavar="DIR", help="A folder of ROMs and zip files, or one such file.")
    ],
) -> None:
    """Copy the ROMs of known games to your own folder, by their hash; list what is not recognised."""
    from frameperfect.game import import_roms

    report = import_roms(folder)
    for file, game in report.imported:
        print(f"imported      {game}  ({file})")
    for file, game in report.present:
        print(f"here already  {game}  ({file})")
    for file, reason in report.unrecognised:
        print(f"not known     {file}: {reason}")
    print(
        f"{len(report.imported)} imported, {len(report.present)} here already, "
        f"{len(report.unrecognised)} not recognised, {report.skipped} other files"
    )
    if report.unrecognised:
        print("`frameperfect new-game ROM` makes a game of a ROM that is not known")


@app.command(
    name="new-game", epilog=example("new-game mygame.nes", "new-game 'my game.md' --folder games/mygame")
)
def new_game(
    rom: Annotated[Path, typer.Argument(metavar="ROM", help="The program.")],
    folder: Annotated[Path | None, typer.Option(help="Where to; otherwise among your own games.")] = None,
) -> None:
    """Write a commented game.toml for a ROM, to start from."""
    from frameperfect.game import load_game, write_new_game

    path = write_new_game(rom, folder)
    where = shlex.quote(str(path.parent))
    if load_game(path).definition.reward:
        print(f"{path}: the ROM is known, and what is known of it is in there")
    else:
        print(f"{path}: fill in [memory], [reward] and [end]")
    print(f"`frameperfect info {where}` shows what it says, `frameperfect watch {where}` plays it at random")


def _show_head(game: Game) -> None:
    definition = game.definition
    starts = ", ".join(f"{s} (default)" if s == game.default_start else s for s in game.starts)
    facts = {
        "game": game.name + (f" ({game.title})" if game.title != game.name else ""),
        "about": definition.game.about,
        "source": f"{game.source}{f', {game.folder}' if game.folder else ''}",
        "machine": " ".join(filter(None, (definition.game.machine, definition.game.system))),
        "cores": ", ".join(_cores(game)),
        "rom": _rom(game),
        "starts": starts or "power-on",
    }
    for key, value in facts.items():
        if value:
            print(f"{key:<9} {value}")


def _cores(game: Game) -> list[str]:
    """The cores that can play it, the one that is used first."""
    from frameperfect.machine import backend

    list_cores = getattr(backend(game.definition.game.machine), "cores", None)
    return list(list_cores(game.system)) if list_cores is not None else []


def _rom(game: Game) -> str:
    from frameperfect.errors import FrameperfectError

    if game.definition.game.program is not None:
        return f"{game.definition.game.program} (comes with the machine)"
    try:
        return str(game.find_rom())
    except FrameperfectError as missing:
        return str(missing)


def _variables(game: Game) -> list[tuple[str, ...]]:
    rows: list[tuple[str, ...]] = []
    for name, spec in game.definition.memory.items():
        where = f"0x{spec.address:X}" if spec.address is not None else ""
        if spec.pointer is not None:
            where = "[" + ", ".join(f"0x{hop:X}" for hop in spec.pointer) + "]"
        details = [spec.type]
        details += [f"bit {spec.bit}"] if spec.bit is not None else []
        details += [f"mask 0x{spec.mask:X}"] if spec.mask is not None else []
        details += [f"1/{spec.scale}"] if spec.scale != 1 else []
        where = f"{spec.domain}:{where}" if spec.domain else where
        rows.append((name, where, " ".join(details), spec.unit, spec.about))
    return rows


def _combinations(preset: list[str] | list[list[str]]) -> str:
    if preset and isinstance(preset[0], list):
        return "  x  ".join(_combinations(group) for group in preset)
    return " | ".join(str(combination) or "-" for combination in preset)


def _show_table(title: str, columns: tuple[str, ...], rows: Sequence[tuple[str, ...]]) -> None:
    """Aligned columns under a title, nothing for no rows; columns without any text are left out."""
    kept = [i for i in range(len(columns)) if any(row[i] for row in rows)]
    if not rows:
        return
    print(f"\n{title}")
    widths = [max(len(row[i]) for row in rows) for i in kept]
    for row in rows:
        print("  " + "  ".join(f"{row[i]:<{width}}" for i, width in zip(kept, widths, strict=True)).rstrip())
