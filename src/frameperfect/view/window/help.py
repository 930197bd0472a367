"""The page that lists the keys."""

from __future__ import annotations

from frameperfect.view.overlay import LINE, Canvas, text_width
from frameperfect.view.window.bindings import COMMANDS, Bindings

BACK, HEAD, KEY, TEXT, DIM = (14, 16, 22), (255, 176, 46), (238, 240, 245), (186, 192, 204), (120, 126, 140)
MARGIN, GAP = 16, 24
KEYS_WIDTH = 16
"""Letters of the column of keys."""

Line = tuple[str, str]
"""Keys and what they do; a heading has no keys."""


def help_lines(bindings: Bindings, playable: bool) -> list[Line]:
    """All lines of the page; without `playable`, those of somebody who only looks."""
    lines: list[Line] = []
    table = bindings.table
    lines.append(("", "commands"))
    for name, keys in table["commands"].items():
        if not playable and name in PLAYERS_ONLY:
            continue
        if name.endswith("-0") and name.startswith(("load", "save")):
            last = table["commands"][name[:-1] + "9"]
            what = "load" if name.startswith("load") else "save"
            lines.append((f"{_keys(keys[:1])} … {_keys(last[:1]).rpartition('+')[2]}", f"{what} a slot"))
        elif name.rpartition("-")[0] not in ("load", "save"):
            lines.append((_keys(keys), COMMANDS[name][1]))
    if playable:
        for section, entries in table.items():
            if section == "commands" or not any(entries.values()):
                continue
            lines.append(("", f"port {section.removeprefix('port')}"))
            lines += [(_keys(keys), name) for name, keys in entries.items() if keys]
    return lines


PLAYERS_ONLY = {
    "take-over", "record", "begin-here", "reset", "power",
    *(f"{what}-{slot}" for what in ("load", "save") for slot in range(10)),
}  # fmt: skip
"""Commands that change the run."""


def help_pages(lines: list[Line], width: int, height: int) -> list[list[list[Line]]]:
    """Pages of columns of lines that fit into a picture of this size."""
    rows = max(4, (height - 2 * MARGIN) // LINE - 2)
    letter = text_width("0")
    longest = max(KEYS_WIDTH + 2 + len(text) for _, text in lines)
    columns = max(1, (width - 2 * MARGIN + GAP) // (longest * letter + GAP))
    filled = [lines[first : first + rows] for first in range(0, len(lines), rows)]
    return [filled[first : first + columns] for first in range(0, len(filled), columns)]


def draw_help(canvas: Canvas, pages: list[list[list[Line]]], page: int) -> None:
    """One page over the whole picture."""
    canvas.filled(0, 0, canvas.width, canvas.height, BACK, 0.94)
    letter = text_width("0")
    shown = pages[page]
    step = (canvas.width - 2 * MARGIN + GAP) // len(shown)
    for column, lines in enumerate(shown):
        x = MARGIN + column * step
        most = (step - GAP) // letter
        for row, (keys, text) in enumerate(lines):
            y = MARGIN + row * LINE
            if not keys:
                canvas.text(x, y, text, HEAD)
                continue
            canvas.text(x, y, keys[:KEYS_WIDTH], KEY)
            canvas.text(x + (KEYS_WIDTH + 1) * letter, y, text[: most - KEYS_WIDTH - 1], TEXT)
    again = "again: the next page" if page + 1 < len(pages) else "again: back to the game"
    canvas.text(MARGIN, canvas.height - MARGIN - LINE, f"{page + 1} of {len(pages)}; {again}", DIM)


def _keys(keys: tuple[str, ...]) -> str:
    typed = [key for key in keys if not key.startswith("pad ")]
    return " ".join(typed or keys[:1]) or "-"
