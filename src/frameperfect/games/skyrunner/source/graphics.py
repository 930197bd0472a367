"""Pictures as text (tiles.txt, sprites.txt, font.txt), made into the NES's pattern tables."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

FLAGS = {"solid": 1, "oneway": 2, "deadly": 4, "spring": 8, "coin": 16, "goal": 32, "mud": 64, "boost": 128}
"""What a metatile does, as bits."""


@dataclass(frozen=True)
class Graphics:
    """Two pattern tables and what lies in them."""

    patterns: bytes
    """8 KiB: background, sprites."""
    names: list[str]
    """Of the metatiles, by number; the following lists are by number too."""
    characters: dict[str, int]
    """What stands for a metatile in a stage's text."""
    metatiles: list[list[int]]
    """Top left, top right, bottom left, bottom right pattern."""
    palettes: list[int]
    flags: list[int]
    sprites: dict[str, int]
    """The first of four patterns, in the same order."""


@dataclass(frozen=True)
class Piece:
    """A picture of 16 by 16 and the words after its kind."""

    words: list[str]
    rows: list[str]


def read_pieces(path: Path, kind: str) -> list[Piece]:
    """The pictures of a file; raises ValueError where one is not 16 by 16 of the four colours."""
    pieces = []
    for block in re.split(r"\n\s*\n", path.read_text().strip()):
        lines = [line for line in block.split("\n") if not line.startswith(";")]
        if not lines:
            continue
        head, rows = lines[0].split(), lines[1:]
        if head[0] != kind or len(rows) != 16 or any(not re.fullmatch(r"[.123]{16}", row) for row in rows):
            raise ValueError(f"{path.name}: '{lines[0]}' is no picture of 16 rows of 16 of . 1 2 3")
        pieces.append(Piece(head[1:], rows))
    return pieces


def read_flags(path: Path) -> dict[str, int]:
    """What each character of a stage's text does, as bits of `FLAGS`."""
    pieces = read_pieces(path, "metatile")
    return {piece.words[1][1:]: sum(FLAGS[word] for word in piece.words[3:]) for piece in pieces}


def read_graphics(folder: Path) -> Graphics:
    """All pictures; raises ValueError where they are more than the console has room for."""
    font = _font(folder / "font.txt")
    background = _Table(font, {0x00: bytes(16)})
    sprites = _Table(font, {0x00: bytes(16)})
    background.put(0x01, _pattern(["........", "11111111", "33333333"] + ["........"] * 5))  # the HUD's line
    sprites.put(0x01, _pattern(["...3...."] + ["........"] * 7))  # the dot that meets it
    background.put(ord("#"), _pattern(_BLOCK))
    tiles = read_pieces(folder / "tiles.txt", "metatile")
    metatiles = [[background.add(part) for part in _quarters(piece.rows)] for piece in tiles]
    moving = read_pieces(folder / "sprites.txt", "sprite")
    firsts = {piece.words[0]: sprites.add_four(_quarters(piece.rows)) for piece in moving}
    return Graphics(
        background.bytes() + sprites.bytes(),
        [piece.words[0] for piece in tiles],
        {piece.words[1][1:]: i for i, piece in enumerate(tiles)},
        metatiles,
        [int(piece.words[2]) for piece in tiles],
        [sum(FLAGS[word] for word in piece.words[3:]) for piece in tiles],
        firsts,
    )


_BLOCK = ["33333331", "32222221", "32222221", "32222221", "32222221", "32222221", "31111111", "11111111"]


class _Table:
    """256 patterns of 8 by 8; equal ones are kept once."""

    def __init__(self, font: dict[int, bytes], more: dict[int, bytes]) -> None:
        self.patterns = {**font, **more}
        self.free = [i for i in range(256) if not 32 <= i < 96 and i > 1]

    def put(self, place: int, pattern: bytes) -> None:
        self.patterns[place] = pattern

    def add(self, pattern: bytes) -> int:
        for place, other in self.patterns.items():
            if other == pattern:
                return place
        return self._take([pattern])

    def add_four(self, patterns: list[bytes]) -> int:
        """Four in a row, wherever they are alike or not: a sprite needs only its first one's number."""
        while self.free[3] != self.free[0] + 3:
            self.free.pop(0)
        return self._take(patterns)

    def _take(self, patterns: list[bytes]) -> int:
        if len(self.free) < len(patterns):
            raise ValueError("more than 256 patterns in a table; draw fewer or more alike")
        places = [self.free.pop(0) for _ in patterns]
        self.patterns.update(zip(places, patterns, strict=True))
        return places[0]

    def bytes(self) -> bytes:
        return b"".join(self.patterns.get(i, bytes(16)) for i in range(256))


def _pattern(rows: list[str]) -> bytes:
    """Eight rows of eight as the console has them: the colours' low bits, then their high bits."""
    planes = []
    for bit in (1, 2):
        for row in rows:
            values = [0 if c == "." else int(c) for c in row]
            planes.append(sum(((value & bit) != 0) << (7 - i) for i, value in enumerate(values)))
    return bytes(planes)


def _quarters(rows: list[str]) -> list[bytes]:
    return [_pattern([row[x : x + 8] for row in rows[y : y + 8]]) for y in (0, 8) for x in (0, 8)]


def _font(path: Path) -> dict[int, bytes]:
    """Letters of 5 by 7 in colour 3 with a shadow in colour 1, by ASCII code."""
    font = {ord(" "): bytes(16)}
    for block in path.read_text().strip().split("\n\n"):
        letters, *rows = block.split("\n")
        for i, letter in enumerate(letters):
            lit = {(x, y) for y, row in enumerate(rows) for x, c in enumerate(row.split()[i]) if c == "#"}
            shade = {(x + 1, y + 1) for x, y in lit} - lit
            font[ord(letter)] = _pattern(
                ["".join("3" if (x, y) in lit else "1" if (x, y) in shade else "." for x in range(8))
                 for y in range(8)]
            )  # fmt: skip
    return font
