"""The hook into a DDNet server that runs already, and out of it.

`inject_ms` is from naming the process until the hook has answered at the server's next tick, `leave_ms` until
the server goes on by itself; medians over servers that were just started. `first_inject_ms` is the first one
in this process, which starts Frida. `enter_again_ms` is for a server that the hook has been in before.
"""

from __future__ import annotations

import os
import shutil
import socket
import statistics
import subprocess
import tempfile
import time
from typing import Any

from frameperfect.errors import MissingComponent
from frameperfect.machines.native.attach import AttachedGame

PLACES = os.pathsep.join([os.environ.get("PATH", ""), "/usr/games"])


def run(quick: bool) -> dict[str, Any]:
    program = shutil.which("DDNet-Server", path=PLACES)
    if program is None:
        raise MissingComponent("DDNet's server is not installed: apt-get install ddnet-server")
    took: dict[str, list[float]] = {"inject_ms": [], "leave_ms": [], "enter_again_ms": []}
    for _ in range(5 if quick else 15):
        with tempfile.TemporaryDirectory() as folder:
            server = subprocess.Popen(
                [program, f"sv_port {_free_port()}", "sv_map Tutorial", "sv_register 0"],
                cwd=folder,
                env={"HOME": folder},
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
            )
            time.sleep(0.5)  # its map is loaded
            try:
                for name in ("inject_ms", "enter_again_ms"):
                    begun = time.perf_counter()
                    game = AttachedGame(server.pid, 1)
                    took[name].append((time.perf_counter() - begun) * 1e3)
                    game.join()
                    game.step(bytes(40), 50)
                    begun = time.perf_counter()
                    game.close()
                    took["leave_ms"].append((time.perf_counter() - begun) * 1e3)
            finally:
                server.kill()
                server.wait()
    first = took["inject_ms"].pop(0)
    figures = {name: round(statistics.median(values), 2) for name, values in took.items()}
    return {"ratios": {}, "figures": {**figures, "first_inject_ms": round(first, 2)}}


def _free_port() -> int:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
