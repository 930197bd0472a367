"""Stages as text: sections of 13 rows, side by side; the build and the agent's features read the same maps.

A section begins with a line `; its name`. Every character is a metatile of tiles.txt, `P` the runner's start,
or a letter of `ENEMIES`. Ground (`#`) and mud (`m`) under ground are drawn as earth. The two rows above the
text lie behind the clock, the one below it is where falling ends; all three are sky.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

ROWS, ABOVE, HEIGHT = 13, 2, 16
"""Rows of the text, of sky above them, and of the map."""
COLUMNS = 256
ENEMIES = {"w": 1, "f": 2, "h": 3, "x": 4}
"""Walkers, flyers that come from the right, hovering flyers, spiny walkers; the game's kinds."""


@dataclass(frozen=True)
class Stage:
    """A map as characters by column, and what moves in it; places are (column, row) of the map."""

    columns: list[str]
    """Each `HEIGHT` characters from the top."""
    start: tuple[int, int]
    goal: tuple[int, int]
    """The top of the goal's pole."""
    enemies: list[tuple[int, int, str]]
    """Column, row, letter; by column."""

    def tiles(self, characters: dict[str, int]) -> bytes:
        """Metatile numbers, 16 a column."""
        return bytes(characters[c] for column in self.columns for c in column)


def read_stage(path: Path) -> Stage:
    """The stage or screen in a file; raises ValueError where a section is not 13 rows of one width."""
    columns: list[str] = []
    start, goal, enemies = (2, 12), (0, 0), []
    for text in path.read_text().split("; ")[1:]:
        name, *rows = text.rstrip("\n").split("\n")
        if len(rows) != ROWS or len({len(row) for row in rows}) != 1:
            widths = [len(row) for row in rows]
            raise ValueError(f"{path.name}: section '{name}' is not {ROWS} rows of one width: {widths}")
        for x in range(len(rows[0])):
            column = ""
            for y in range(ROWS):
                c, row = rows[y][x], y + ABOVE
                if c == "P":
                    start = (len(columns), row)
                elif c in ENEMIES:
                    enemies.append((len(columns), row, c))
                elif c == "K":
                    goal = (len(columns), row + 1)
                column += "." if c == "P" or c in ENEMIES else c
            columns.append("." * ABOVE + column + "." * (HEIGHT - ABOVE - ROWS))
    if len(columns) % 16 or len(columns) > COLUMNS:
        raise ValueError(f"{path.name}: {len(columns)} columns; a multiple of 16 up to {COLUMNS} is needed")
    columns = [_buried(column) for column in columns]
    return Stage(columns, start, goal, enemies)


def _buried(column: str) -> str:
    return "".join("%" if c in "#m" and column[y - 1] in "#%m" else c for y, c in enumerate(column))
