"""Every search method on one section of a game, with the same number of new states.

python examples/compare_methods.py [STATES]

The section is the first 700 pixels of Skyrunner's stage 1, two gaps among them, from a standstill. `improve`
is given the run that `jerk` found.
"""

import sys

from frameperfect.game.schema import SearchSection
from frameperfect.search import Budget, Driver, Problem, make_method

STATES = int(sys.argv[1]) if len(sys.argv) > 1 else 24_000
SECTION = SearchSection(
    start="stage1", win="x >= 700", fail="mode == 4", prefer="x", frames=4, steps=400,
    cells=["x // 8", "y // 8"],
    same=["x // 2", "y // 2", "floor(vx * 8)", "floor(vy * 4)", "grounded", "wall", "rising", "held & 128"],
    actions=["Right B", "Right B A", "Right", "B", "Left B", "Left B A"],
)  # fmt: skip


def search(problem, name, movies=()):
    """Print a row of the table; the result."""
    winners = []  # how many states there were at each batch that had a run that wins
    driver = Driver(
        make_method(name, problem, Budget(states=STATES), seed=0, movies=movies),
        watch=lambda now: now.best_frames is not None and winners.append(now.states),
    )
    found = driver.finish()
    if found.won or found.score > float("-inf"):
        found.prove(problem)  # replayed in a fresh process
    reached = f"{len(found.path)} inputs" if found.won else f"{found.score:.0f} pixels"
    print(f"| {name} | {reached} | {winners[0] if winners else '-'} | {found.claim} |", flush=True)
    return found


print("| method | wins with, or gets to | after states | claim |\n|---|---|---|---|")
with Problem("Skyrunner-Nes", SECTION, threads=1) as problem:
    run = search(problem, "jerk")
    if run.won:
        search(problem, "improve", [run.movie])
    for name in ("brute", "go-explore", "beam", "exhaustive"):
        search(problem, name)
