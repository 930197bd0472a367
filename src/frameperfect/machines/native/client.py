"""DDNet's own client, unmodified, on the person's display: it joins our server, and nothing else.

It runs in a folder of its own with a copy of the person's settings, which it does not write back, and what it
would ask of the internet (its list of servers, news) goes nowhere. We speak to it by its own console, through
its `cl_input_fifo`.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import weakref
from pathlib import Path

from frameperfect.errors import DisplayError, MachineError, MissingComponent
from frameperfect.machines.native.folder import own_folder
from frameperfect.workers.child import Program

NAME = "DDNet"
_PLACES = os.pathsep.join(["/usr/games", "/usr/local/games"])
_SETTINGS = Path("ddnet", "settings_ddnet.cfg")
_OURS = {
    "cl_save_settings": "0",
    "cl_show_welcome": "0",
    "cl_motd_time": "0",
    "cl_auto_demo_record": "0",
    "cl_race_record_server_control": "0",
    "cl_auto_race_record": "0",
    "cl_auto_statboard_screenshot": "0",
    "cl_download_skins": "0",
}


def tell(console: Path, line: str) -> None:
    """A line for the console of a client or a server that was given this `cl_input_fifo` or `sv_input_fifo`.

    Raises:
        MachineError: nobody listens.
    """
    try:
        fifo = os.open(console, os.O_WRONLY | os.O_NONBLOCK)
    except OSError as wrong:
        raise MachineError(f"DDNet does not listen at {console}: {wrong.strerror}") from wrong
    try:
        os.write(fifo, line.encode() + b"\n")
    finally:
        os.close(fifo)


def find_client() -> Path:
    """The client that Debian's package installs; raises MissingComponent."""
    found = shutil.which(NAME, path=os.environ.get("PATH", "") + os.pathsep + _PLACES)
    if found is None:
        raise MissingComponent("DDNet's client is not installed: apt-get install ddnet")
    return Path(found)


class Client:
    """A client that connects to a server on this machine, and ends with `close`.

    Args:
        port: of the server.
        fullscreen: over the whole display; else in a window.

    Raises:
        MissingComponent: the client is not installed.
        DisplayError: there is no display.
    """

    def __init__(self, port: int, fullscreen: bool = False) -> None:
        program = find_client()
        if not (os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY")):
            raise DisplayError("DDNet's client needs a display, and DISPLAY is not set")
        self.home = own_folder()
        self._console = self.home / "console"
        data = Path(os.environ.get("XDG_DATA_HOME") or Path.home() / ".local" / "share")
        (self.home / "ddnet").mkdir()
        with contextlib.suppress(FileNotFoundError):
            shutil.copy(data / _SETTINGS, self.home / _SETTINGS)
        settings = {
            **_OURS,
            "cl_input_fifo": str(self._console),
            "gfx_fullscreen": str(int(fullscreen)),
        }
        command = [str(program), *(f'{key} "{value}"' for key, value in settings.items())]
        environment = {key: value for key, value in os.environ.items() if key != "LD_PRELOAD"}
        try:
            self._program = Program(
                [*command, f'connect "127.0.0.1:{port}"'],
                (),
                {**environment, "XDG_DATA_HOME": str(self.home), "ALL_PROXY": "socks5h://127.0.0.1:9"},
                folder=str(self.home),
            )
        except OSError as wrong:
            shutil.rmtree(self.home, ignore_errors=True)
            raise MachineError(f"{program}: {wrong.strerror}") from wrong
        self.pid = self._program.pid
        self._finalizer = weakref.finalize(self, _end, self._program, self.home)

    @property
    def running(self) -> bool:
        """Whether it still runs: a person may have closed its window."""
        return self._program.running

    def say(self, line: str) -> None:
        """A line for its console: `spectate 0`, `+jump 1`, `screenshot`. Nothing once it has ended.

        Raises:
            MachineError: it does not listen.
        """
        try:
            tell(self._console, line)
        except MachineError:
            if self.running:
                raise

    def last_words(self) -> str:
        """How it ended, and what it said last."""
        return self._program.obituary()

    def close(self) -> None:
        """End it; closing twice is harmless."""
        self._finalizer()


def _end(program: Program, home: Path) -> None:
    program.close()
    shutil.rmtree(home, ignore_errors=True)
