"""stable-retro's own reading of its games, as an oracle: `python -m tests.stable_retro_oracle SYSTEM STEPS`.

Its rules need memory, not a game: for each system a blank program (made here; it only loops) boots the core,
random bytes go where a game's variables lie, and stable-retro says what the variables, the reward and the end
are. One process a system, because it allows one emulator a process. Prints a line of JSON a game.
"""

from __future__ import annotations

import json
import random
import sys
import tempfile
from pathlib import Path
from typing import Any


def blank_program(system: str) -> tuple[str, bytes]:
    """The extension and the bytes of a program that does nothing on `system`."""
    if system == "Nes":
        data = bytearray(b"NES\x1a\x02\x01" + bytes(10) + bytes(0x8000 + 0x2000))
        data[16:19], data[16 + 0x7FFC : 16 + 0x7FFE] = b"\x4c\x00\x80", b"\x00\x80"  # jmp $8000; reset vector
        return "nes", bytes(data)
    if system == "GameBoy":
        data = bytearray(0x8000)
        data[0x100:0x104], data[0x150:0x152] = b"\x00\xc3\x50\x01", b"\x18\xfe"  # jp $150; jr -2
        data[0x14D] = -sum(byte + 1 for byte in data[0x134:0x14D]) & 0xFF  # the header's checksum
        return "gb", bytes(data)
    if system == "Sms":
        data = bytearray(0x8000)
        data[0:2], data[0x7FF0:0x7FF8] = b"\x18\xfe", b"TMR SEGA"
        return "sms", bytes(data)
    if system == "Atari2600":
        data = bytearray(0x1000)
        data[0:3], data[0xFFC:0xFFE] = b"\x4c\x00\xf0", b"\x00\xf0"
        return "a26", bytes(data)
    if system == "Snes":
        data = bytearray(0x8000)
        data[0:2], data[0x7FC0:0x7FC4], data[0x7FFC:0x7FFE] = b"\x80\xfe", b"LOOP", b"\x00\x80"
        data[0x7FD5], data[0x7FD7], data[0x7FDC:0x7FE0] = 0x20, 5, b"\xff\xff\x00\x00"
        return "sfc", bytes(data)
    if system == "Genesis":
        data = bytearray(0x1000)
        data[0:8], data[0x100:0x104] = b"\x00\xff\xff\x00\x00\x00\x02\x00", b"SEGA"  # stack, entry
        data[0x200:0x202] = b"\x60\xfe"  # bra.s -2
        return "md", bytes(data)
    raise ValueError(system)


def byte(rng: random.Random, before: int) -> int:
    """Changes of all sizes, and the values that rules ask for, come up often."""
    return rng.choice(
        (before, before, (before + rng.choice((-1, 1))) & 255, rng.randrange(256), rng.randrange(6), 255)
    )


def main(system: str, steps: int) -> None:
    import stable_retro
    from stable_retro.data import GameData

    extension, program = blank_program(system)
    root = Path(stable_retro.__file__).parent / "data"
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / f"rom.{extension}"
        path.write_bytes(program)
        emulator = stable_retro.RetroEmulator(str(path))
        for game in sorted(root.glob("*/*")):
            name = game.name.removesuffix("-v0")
            if name.rsplit("-", 1)[-1] == system and (game / "data.json").is_file():
                print(
                    json.dumps({"folder": str(game), **play(emulator, GameData(), game, steps)}), flush=True
                )


def play(emulator: Any, data: Any, folder: Path, steps: int) -> dict[str, Any]:
    """One game's rules over random memory: the bytes by address, and what they come to, at each step."""
    emulator.configure_data(data)
    scenario = folder / "scenario.json"
    assert data.load(str(folder / "data.json"), str(scenario) if scenario.is_file() else None), folder
    rng = random.Random(folder.name)
    info = json.loads((folder / "data.json").read_text())["info"]
    places = sorted({v["address"] + i for v in info.values() for i in range(int(v["type"][-1]))})
    memory: dict[int, int] = {}
    for place in list(places):
        try:
            data.memory.assign(place, "|u1", memory.setdefault(place, rng.randrange(256)))
        except IndexError:  # the core has no such memory
            del memory[place]
            places.remove(place)
    record = []
    for step in range(steps):
        for place in places:
            memory[place] = byte(rng, memory[place])
            data.memory.assign(place, "|u1", memory[place])
        try:
            if step == 0:
                data.reset()
            data.update_ram()
            record.append(
                [[memory[p] for p in places], data.current_reward(), data.is_done(), data.lookup_all()]
            )
        except (RuntimeError, IndexError) as error:
            return {"places": places, "error": str(error)}
    return {"places": places, "steps": record}


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
