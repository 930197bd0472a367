"""The play window with its panel and the inputs overlay at 3x: does it keep the console's rate?

There is no peer. `paced` is the rate that the window reaches over the console's own when it waits for each
frame as it does in use; the figures add how many frames a second it makes when it does not wait, and the
processor time of one frame. With a display (`xvfb-run -a python -m benchmarks window`) its cost is in it;
without, SDL's dummy driver stands for the screen. Sound always goes to the dummy.
"""

from __future__ import annotations

import os
import time
from typing import Any

GAMES = {"fceumm": ("Skyrunner-Nes", None), "genesis_plus_gx": ("Airstriker-Genesis", "genesis_plus_gx")}


def run(quick: bool) -> dict[str, Any]:
    os.environ["SDL_AUDIODRIVER"] = "dummy"
    if not os.environ.get("DISPLAY"):
        os.environ["SDL_VIDEODRIVER"] = "dummy"
    import frameperfect
    from frameperfect.movie import Session
    from frameperfect.view.overlay import make_overlays, shown_names
    from frameperfect.view.window import Bindings, Controls, Player, Recording, Tile, display
    from frameperfect.view.window.pace import Pace

    seconds = 5 if quick else 30
    ratios: dict[str, Any] = {}
    figures: dict[str, Any] = {}
    for core, (game, asked) in GAMES.items():
        with display() as sdl, frameperfect.open(game, core=asked) as machine:
            figures["driver"] = sdl.display.get_driver()
            session = Session(machine, start=machine.game.default_start)
            tile = Tile(session, names=shown_names(machine), overlays=make_overlays(["inputs"], machine))
            controls = Controls(sdl, Bindings(machine.controllers), machine.controllers)
            recording = Recording(session, None, game, lambda movie: movie)
            player = Player(sdl, [tile], controls, title=game, recording=recording, scale=3)
            for _ in range(30):
                player.tick()
            frames = round(seconds * machine.frame_rate)
            start = time.perf_counter()
            for _ in range(frames):
                player.tick()
            unpaced = frames / (time.perf_counter() - start)
            pace, start, cpu = Pace(player.rate), time.perf_counter(), time.process_time()
            for _ in range(frames):
                pace.wait()
                player.tick()
            paced = frames / (time.perf_counter() - start)
            figures[f"{core}_milliseconds_a_frame"] = round(1e3 * (time.process_time() - cpu) / frames, 2)
            figures[f"{core}_unpaced_frames_per_second"] = round(unpaced, 1)
            figures[f"{core}_paced_frames_per_second"] = round(paced, 2)
            ratios[f"{core}_paced"] = round(paced / machine.frame_rate, 4)
    return {"ratios": ratios, "figures": figures}
