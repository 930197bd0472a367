"""Builds skyrunner.nes from the files beside this one; needs ca65 and ld65 (cc65 2.19: apt-get install cc65).

python -m frameperfect.games.skyrunner.source.build [OUTPUT]
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from frameperfect.errors import MissingComponent
from frameperfect.games.skyrunner.source.graphics import Graphics, read_graphics
from frameperfect.games.skyrunner.source.music import assemble_music
from frameperfect.games.skyrunner.source.stages import ENEMIES, Stage, read_stage

HERE = Path(__file__).parent
STAGES = ("stage1", "stage2", "stage3")
SCREENS = ("title", "select", "ending")


def build(output: Path) -> None:
    """Assemble the game into `output`, always to the same bytes.

    Raises:
        MissingComponent: ca65 or ld65 is not installed.
    """
    for tool in ("ca65", "ld65"):
        if shutil.which(tool) is None:
            raise MissingComponent(f"building Skyrunner needs '{tool}': apt-get install cc65")
    with tempfile.TemporaryDirectory() as folder:
        made = Path(folder)
        graphics = read_graphics(HERE)
        (made / "chr.bin").write_bytes(graphics.patterns)
        (made / "graphics.inc").write_text(_graphics_source(graphics))
        (made / "stages.inc").write_text(_stages_source(graphics))
        (made / "music.inc").write_text(assemble_music(HERE / "music"))
        paths = ["-I", folder, "--bin-include-dir", folder]
        _run("ca65", *paths, "-o", str(made / "game.o"), str(HERE / "game.s"))
        _run("ld65", "-C", str(HERE / "nrom.cfg"), "-o", str(output.absolute()), str(made / "game.o"))


def _run(*command: str) -> None:
    subprocess.run(command, check=True, cwd=HERE)


def _bytes(label: str, values: bytes | list[int]) -> str:
    rows = [values[at : at + 16] for at in range(0, len(values), 16)]
    return "\n".join([f"{label}:", *("  .byte " + ",".join(f"${v:02x}" for v in row) for row in rows), ""])


def _graphics_source(graphics: Graphics) -> str:
    """Metatile tables, and a constant for every metatile and sprite."""
    lines = [f"{name.upper()}_SPRITE = ${first:02x}\n" for name, first in graphics.sprites.items()]
    lines += [f"{name.upper()}_TILE = {i}\n" for i, name in enumerate(graphics.names)]
    for corner, label in enumerate(("tile_tl", "tile_tr", "tile_bl", "tile_br")):
        lines.append(_bytes(label, [tiles[corner] for tiles in graphics.metatiles]))
    for shift in (0, 2, 4, 6):  # where each corner of a 32 by 32 block has its palette in the attribute
        lines.append(_bytes(f"tile_palette{shift}", [p << shift for p in graphics.palettes]))
    lines.append(_bytes("tile_flags", graphics.flags))
    return "".join(lines)


def _stages_source(graphics: Graphics) -> str:
    """The maps, a page of 256 bytes for 16 columns of 16 rows, and lists of enemies, starts and goals."""
    stages = [read_stage(HERE / "stages" / f"{name}.txt") for name in STAGES]
    screens = [read_stage(HERE / "stages" / f"{name}.txt") for name in SCREENS]
    out = []
    for name, stage in zip((*STAGES, *SCREENS), (*stages, *screens), strict=True):
        out.append(_bytes(f"{name}_map", stage.tiles(graphics.characters)))
    for name, stage in zip(STAGES, stages, strict=True):
        out.append(_bytes(f"{name}_enemies", _enemy_list(stage)))
    for label, at in (("start", [s.start for s in stages]), ("goal", [s.goal for s in stages])):
        out.append(_bytes(f"{label}_low", [16 * column & 255 for column, _ in at]))
        out.append(_bytes(f"{label}_high", [16 * column >> 8 for column, _ in at]))
        out.append(_bytes(f"{label}_y", [16 * row + 1 for _, row in at]))
    return "".join(out)


def _enemy_list(stage: Stage) -> list[int]:
    """Column, y and kind of each, by column; column 255 ends it."""
    listed = [v for column, row, kind in stage.enemies for v in (column, 16 * row, ENEMIES[kind])]
    return [*listed, 255]


if __name__ == "__main__":
    build(Path(sys.argv[1]) if len(sys.argv) > 1 else HERE.parent / "skyrunner.nes")
