"""How often the RAM lab's experiments find what is known: the share of questions whose right answer is first.

Truth: AtariARI's RAM annotations (https://github.com/mila-iqia/atari-representation-learning), ALE's own
rules for Breakout, Ms. Pac-Man and Space Invaders
(https://github.com/Farama-Foundation/Arcade-Learning-Environment), and
Airstriker's `game.toml`. An answer is right if it covers the byte that changes most often (or any byte of a
score in several). `first` counts the best answer alone, `three` the best three; `none` are questions with no
answer at all. `sure_right` is the precision of all answers with evidence of 0.5 and more.
"""

from __future__ import annotations

import frameperfect
from frameperfect.ram import Finding, Lab
from frameperfect.ram.questions import ask

X, Y = ("position", "Right,Left"), ("position", "Down,Up")
LIVES, SCORE, TIMER = ("lives", ""), ("score", ""), ("timer", "")
TRUTH: dict[str, dict[tuple[str, str], set[int]]] = {
    "Airstriker-Genesis": {X: {0x269}, LIVES: {0x25B}, SCORE: {0x250, 0x251}},
    "Asteroids-Atari": {LIVES: {60}, SCORE: {61, 62}},
    "Boxing-Atari": {X: {32}, Y: {34}, SCORE: {18}, TIMER: {17}},
    "Breakout-Atari": {X: {72}, LIVES: {57}, SCORE: {76, 77}},
    "DemonAttack-Atari": {X: {22}, LIVES: {114}},
    "Freeway-Atari": {Y: {14}, SCORE: {103}},
    "Frostbite-Atari": {X: {102}, Y: {100}, LIVES: {76}, SCORE: {72, 73, 74}},
    "Hero-Atari": {X: {27}, Y: {31}},
    "MontezumaRevenge-Atari": {X: {42}, Y: {43}, LIVES: {58}},
    "MsPacman-Atari": {X: {10}, Y: {16}, LIVES: {123}, SCORE: {120, 121, 122}},
    "Pong-Atari": {X: {51}, SCORE: {13, 14}},
    "Riverraid-Atari": {X: {51}},
    "Seaquest-Atari": {X: {70}, Y: {97}, LIVES: {59}, SCORE: {57, 58}},
    "SpaceInvaders-Atari": {X: {28}, LIVES: {73}, SCORE: {102, 104}},
    "Tennis-Atari": {X: {26}, Y: {24}},
}
READY = {"MsPacman-Atari": 280, "DemonAttack-Atari": 200}
"""Frames until the player may move, where that is long; elsewhere 60."""


def run(quick: bool) -> dict[str, dict[str, float]]:
    """Ask every question whose answer is known; `quick` asks fewer games."""
    tally = dict.fromkeys(("asked", "first", "three", "none", "sure", "sure_right"), 0)
    for name in list(TRUTH)[: 3 if quick else None]:
        game = frameperfect.load_game(name)
        with frameperfect.open(game, start=game.default_start) as machine:
            if game.default_start is None:
                for buttons, frames in (("", READY.get(name, 60)), ("Fire", 4), ("", 26)):
                    machine.advance(buttons, frames)
            lab = Lab(machine)
            for (question, about), right in TRUTH[name].items():
                found = [one for one in ask(lab, question, about) if isinstance(one, Finding)]
                hits = [not right.isdisjoint(_bytes(one, lab.domain.base)) for one in found]
                tally["asked"] += 1
                tally["first"] += any(hits[:1])
                tally["three"] += any(hits[:3])
                tally["none"] += not found
                sure = [hit for one, hit in zip(found, hits, strict=True) if one.score >= 0.5]
                tally["sure"] += len(sure)
                tally["sure_right"] += sum(sure)
                best = str(found[0]) if found else "nothing"
                place = hits.index(True) + 1 if any(hits) else 0
                print(
                    f"{name:<23} {question:<9}{about:<11} right at {place or '-':<3} best: {best}", flush=True
                )
    return {
        "ratios": {
            "first": tally["first"] / tally["asked"],
            "three": tally["three"] / tally["asked"],
            "sure_right": tally["sure_right"] / max(1, tally["sure"]),
        },
        "figures": {key: float(tally[key]) for key in ("asked", "none", "sure")},
    }


def _bytes(found: Finding, base: int) -> range:
    offset = found.address - base
    return range(offset, offset + found.variable.parsed.width)
