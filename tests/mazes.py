"""A maze for the NES, assembled here: one move a frame, a key, a door, a goal, pits, and its shortest way.

Zero page: $10 the place (16 * row + column), $11 the key, $12 the goal reached, $13 fallen into a pit, $14
frames. The map lies in the program, a byte a place.
"""

from __future__ import annotations

import random
from collections import deque
from pathlib import Path

from tests.roms import Code

FREE, WALL, KEY, DOOR, GOAL, PIT = range(6)
MOVES = {"Right": 1, "Left": -1, "Down": 16, "Up": -16}
START = 0x11


def nes_maze(cells: list[int], start: int = START) -> bytes:
    """The program; `cells` are 256, with walls around."""
    code = Code(0xC000)
    code.op(0x78, 0xD8, 0xA2, 0xFF, 0x9A)  # SEI; CLD; LDX #$FF; TXS
    code.op(0xA9, 0, 0x8D, 0x00, 0x20, 0x8D, 0x01, 0x20)  # PPU off
    code.op(0xA9, 0)
    for place in range(0x11, 0x15):
        code.op(0x85, place)
    code.op(0xA9, start, 0x85, 0x10)
    for wait in ("warm", "up"):
        code.at(wait)
        code.op(0x2C, 0x02, 0x20)
        code.branch(0x10, wait)
    code.op(0xA9, 0x80, 0x8D, 0x00, 0x20)  # NMI on
    code.at("idle")
    code.absolute(0x4C, "idle")
    code.at("nmi")
    code.op(0xE6, 0x14)  # INC frames
    code.op(0xA9, 1, 0x8D, 0x16, 0x40, 0xA9, 0, 0x8D, 0x16, 0x40, 0xA2, 8)
    code.at("bit")
    code.op(0xAD, 0x16, 0x40, 0x4A, 0x26, 0x00, 0xCA)  # LDA $4016; LSR; ROL $00; DEX
    code.branch(0xD0, "bit")
    code.op(0xA5, 0x13, 0x05, 0x12)  # fallen or there: no move
    code.branch(0xD0, "end")
    code.op(0xA5, 0x00)
    for way in ("right", "left", "down", "up_"):
        code.op(0x4A)  # LSR
        code.branch(0xB0, way)  # BCS
    code.at("end")
    code.op(0x40)  # RTI
    for way, step in (("right", 1), ("left", 0xFF), ("down", 16), ("up_", 0xF0)):
        code.at(way)
        code.op(0xA9, step)
        code.absolute(0x4C, "try")
    code.at("try")
    code.op(0x18, 0x65, 0x10, 0xAA)  # CLC; ADC place; TAX
    code.absolute(0xBD, "map")  # LDA map,X
    code.op(0xC9, WALL)
    code.branch(0xF0, "end")
    code.op(0xC9, DOOR)
    code.branch(0xD0, "open")
    code.op(0xA4, 0x11)  # LDY key
    code.branch(0xF0, "end")
    code.at("open")
    code.op(0x86, 0x10, 0xA0, 1)  # STX place; LDY #1
    for what, flag in ((KEY, 0x11), (GOAL, 0x12), (PIT, 0x13)):
        code.op(0xC9, what, 0xD0, 2, 0x84, flag)  # CMP; BNE +2; STY
    code.op(0x40)
    code.at("map")
    code.op(*cells)
    program = bytearray(code.done().ljust(16384, b"\0"))
    program[0x3FFA:] = code.marks["nmi"].to_bytes(2, "little") + b"\0\xc0\0\xc0"
    return b"NES\x1a" + bytes([1, 1, 0, 0]) + bytes(8) + bytes(program) + bytes(8192)


def draw(seed: int, walls: float = 0.3, pits: int = 4) -> list[int]:
    """A random maze; it need not have a way."""
    dice = random.Random(seed)
    cells = [WALL if dice.random() < walls else FREE for _ in range(256)]
    for i in range(256):
        if i < 16 or i >= 240 or i % 16 in (0, 15):
            cells[i] = WALL
    inner = [i for i in range(256) if 16 <= i < 240 and i % 16 not in (0, 15) and i != START]
    places = dice.sample(inner, 3 + pits)
    cells[START] = FREE
    for place, what in zip(places, [KEY, DOOR, GOAL, *[PIT] * pits], strict=True):
        cells[place] = what
    return cells


def with_door(seed: int) -> list[int]:
    """A maze whose goal lies in a corner behind a door."""
    cells = draw(seed, walls=0.2, pits=6)
    for i in range(256):
        if cells[i] in (DOOR, GOAL):
            cells[i] = FREE
    for place in (0xBC, 0xBD, 0xBE, 0xCB, 0xDB, 0xEB):
        cells[place] = WALL
    cells[0xCC], cells[0xCD] = FREE, FREE
    cells[0xDC], cells[0xDD], cells[0xDE], cells[0xCE] = FREE, FREE, GOAL, FREE
    cells[0xCB], cells[0xCA] = DOOR, FREE
    return cells


def shortest(cells: list[int], start: int = START) -> int | None:
    """Moves to the goal, by breadth-first search over place and key; None where there is no way."""
    seen = {(start, False)}
    edge = deque([(start, False, 0)])
    while edge:
        place, key, steps = edge.popleft()
        for move in MOVES.values():
            to = place + move
            what = cells[to]
            if what in (WALL, PIT) or (what == DOOR and not key):
                continue
            if what == GOAL:
                return steps + 1
            known = (to, key or what == KEY)
            if known not in seen:
                seen.add(known)
                edge.append((*known, steps + 1))
    return None


GAME = """
[game]
name = "Maze-Nes"
system = "Nes"
rom = {{ file = "maze.nes" }}

[start.begin]
movie = "begin.fpm"

[memory]
place = {{ address = 0x10 }}
key = {{ address = 0x11 }}
goal = {{ address = 0x12 }}
fallen = {{ address = 0x13 }}
frames = {{ address = 0x14 }}

[actions]
moves = ["", "Up", "Down", "Left", "Right"]

[define]
column = "place % 16"
row = "place // 16"

{search}
"""
SEARCH = """
[search.way]
win = "goal"
fail = "fallen"
prefer = "column + row"
same = ["place", "key"]
"""


def write_game(folder: Path, cells: list[int], search: str = SEARCH) -> Path:
    """The folder of a game to search; its start is after the console's warming up."""
    import numpy as np

    from frameperfect.machine import MachineSpec, open_machine
    from frameperfect.movie import Movie, save_movie

    folder.mkdir(parents=True, exist_ok=True)
    rom = folder / "maze.nes"
    rom.write_bytes(nes_maze(cells))
    (folder / "game.toml").write_text(GAME.format(search=search))
    with open_machine(MachineSpec("libretro", rom)) as machine:
        movie = Movie(controllers=machine.controllers, inputs=np.zeros((10, 2), np.uint32), game="Maze-Nes")
        save_movie(movie.with_checkpoints(machine), folder / "begin.fpm")
    return folder
