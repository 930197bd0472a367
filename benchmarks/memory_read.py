"""Reading memory: 18 named variables, and a block of 4 KiB, against stable-retro on the same game.

stable-retro's best for the variables is `lookup_all` (its env calls it at each step); for a block it has only
`get_ram`, which copies all memory. Both machines run in this process, on the core that stable-retro ships.
"""

from __future__ import annotations

from collections.abc import Callable

import stable_retro

import frameperfect
from benchmarks.harness import alternate, rate
from frameperfect.memory import Variable

BASE = 0xFF0200
TYPES = ("|u1", ">u2", ">u4", ">d4", "|d1", ">i2")
FIELDS = {f"v{i}": (BASE + 8 * i, TYPES[i % len(TYPES)]) for i in range(18)}
BLOCK = slice(0x200, 0x1200)


def run(quick: bool) -> dict[str, dict[str, float]]:
    env = stable_retro.make("Airstriker-Genesis-v0", obs_type=stable_retro.Observations.RAM, render_mode=None)
    env.reset()
    for name in list(env.data.list_variables()):
        env.data.remove_variable(name)
    for name, (address, kind) in FIELDS.items():
        env.data.set_variable(name, {"address": address, "type": kind})
    with frameperfect.open("Airstriker-Genesis", core="genesis_plus_gx") as machine:
        machine.variables = {name: Variable(name, address, kind) for name, (address, kind) in FIELDS.items()}
        ram = machine.memory["ram"]
        sides = {
            "fields": machine.read_all,
            "fields_one_by_one": lambda: [machine.read(name) for name in FIELDS],
            "stable_retro_fields": env.data.lookup_all,
            "stable_retro_fields_one_by_one": lambda: [env.data.lookup_value(name) for name in FIELDS],
            "block": lambda: ram[BLOCK].copy(),
            "stable_retro_block": lambda: env.get_ram()[BLOCK],
        }
        count, rounds = (2_000, 15) if quick else (10_000, 15)
        rates = alternate({name: _timed(side, count) for name, side in sides.items()}, rounds)
    env.close()
    return {
        "ratios": {
            "fields_vs_stable_retro": rates.ratio("fields", "stable_retro_fields"),
            "block_vs_stable_retro": rates.ratio("block", "stable_retro_block"),
        },
        "figures": {f"{name}_per_second": value for name, value in rates.medians().items()},
    }


def _timed(side: Callable[[], object], count: int) -> Callable[[], float]:
    def repeat(times: int) -> None:
        for _ in range(times):
            side()

    return lambda: rate(repeat, count)
