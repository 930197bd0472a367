"""A server that runs already: our hook goes into its process, and leaves it to itself when we are done.

[Frida](https://frida.re) opens the process and loads the library; nothing of Frida stays there. From the
server's next tick on it plays in lock-step, with our players in it beside whoever plays there, and in a clock
of its own; when the machine is closed, or this process ends, our players leave and the server goes on in real
time where it was. The hook's library stays in it, asleep, for the sake of its clock, which must not jump.
"""

from __future__ import annotations

import contextlib
import os
import threading
import time
from pathlib import Path
from typing import Any

from frameperfect.errors import MachineCrashed, MachineError, MissingComponent
from frameperfect.machine import Capability, Fingerprint
from frameperfect.machines.native import program
from frameperfect.machines.native.hook import VERSION, HookedGame, Process, find_hook
from frameperfect.machines.native.machine import NativeMachine
from frameperfect.machines.native.respawn import give_new_lives

_LEAVE, _LEFT = 1, 2
_LET_GO_AT = 16
"""Where Status.let_go lies in the views (native/hook/protocol.hpp)."""
_PATIENCE = 10.0
"""Seconds in which a server comes to its next tick, or hears that our players leave."""
_STATE, _BEGUN = 0, 19
"""Of `_stat_of`: T for a process that was stopped, t for one that a debugger holds; when it started."""
_YAMA = Path("/proc/sys/kernel/yama/ptrace_scope")
_SCRIPT = """
rpc.exports = {
  enter(library, told) {
    const begin = new NativeFunction(Module.load(library).getExportByName('frameperfect_attach'),
                                     'pointer', ['pointer']);
    const why = begin(Memory.allocUtf8String(told));
    return why.isNull() ? '' : why.readUtf8String();
  }
};
"""


class AttachedMachine(NativeMachine):
    """The server whose process id is the option `pid`; its map is whatever it plays.

    It has no states: others may be playing in it, and what they do can't be taken back. `reset` gives our
    players new lives at a spawn point.

    Raises:
        MissingComponent: Frida is not installed.
        MachineError: there is no such process, it is no DDNet server, it can't be entered, or another
            frameperfect plays it.
    """

    def _start(self, options: dict[str, str]) -> tuple[Fingerprint, Capability, HookedGame]:
        pid = find_process(options["pid"])
        begun = _stat_of(pid)[_BEGUN]
        fingerprint = Fingerprint(
            backend="native",
            core=program.NAME,
            core_hash=program.build_id(Path(f"/proc/{pid}/exe").resolve()),
            game_hash="",  # one of its kind
            settings=(("pid", str(pid)), ("begun", begun), ("players", options["players"])),
        )
        return fingerprint, Capability.TURBO, AttachedGame(pid, self.players)

    def _keep_power_on(self) -> None:
        self._show_blocks()  # and no state: there is no going back

    def _reset(self) -> None:
        give_new_lives(self._game, self.memory["players"], self.players)
        self._history.unpack(b"")


class AttachedGame(HookedGame):
    """A running process with the hook in it until `close`; see `HookedGame`.

    Args:
        pid: the process.
        players: how many virtual players it can have, 1 to 16.
        library, version: of the hook.
        starting: seconds that the game may take to its next frame.

    Raises:
        MissingComponent: Frida is not installed.
        MachineError: the hook can't get in, or does not come to a frame there.
    """

    def __init__(
        self,
        pid: int,
        players: int,
        *,
        library: Path | None = None,
        version: int = VERSION,
        starting: float = _PATIENCE,
    ) -> None:
        library = find_hook(library)
        self._prepare(players)
        self._let_go = self.views[_LET_GO_AT : _LET_GO_AT + 1]
        self._program: Process = Resident(pid)
        told = ":".join(map(str, (version, os.getpid(), self._channel.fd, self._views.fd, players)))
        try:
            self.link.watch(pid)
            enter(pid, library, told)
            self._meet(starting)
        except MachineCrashed as crash:
            raise MachineError(f"process {pid} ended when the hook came into it") from crash
        except TimeoutError as late:
            self._let_go[0] = _LEAVE  # should it wait for packets some day
            self._free()
            raise MachineError(
                f"process {pid} did not wait for packets within {starting:g} seconds; is it {program.NAME}?"
            ) from late
        except BaseException:
            self._free()
            raise

    def close(self) -> None:
        """Let it go: our players leave, and it goes on by itself. Closing twice is harmless."""
        if self.crash is None:
            self._let_go[0] = _LEAVE
            until = time.monotonic() + _PATIENCE
            while self._let_go[0] != _LEFT and self._channel.peer_alive and time.monotonic() < until:
                time.sleep(0.002)
        self._free()


class Resident:
    """A process that was there before us and stays."""

    def __init__(self, pid: int) -> None:
        self.pid = pid

    def obituary(self) -> str:
        """How it ended: the system tells that only to its parent."""
        return "ended"

    def close(self) -> None:
        """It goes on."""

    def trim(self, most: int) -> None:
        """Its words are not ours to keep."""

    def forget(self) -> None:
        """There is nothing to forget."""


def find_process(given: str) -> int:
    """The process that a person names by its number.

    Raises:
        MachineError: there is none, it belongs to another user, it is no DDNet server, or it stands still.
    """
    pid = int(given) if given.isdecimal() else 0
    folder = Path(f"/proc/{pid}")
    if pid == 0 or not folder.is_dir():
        raise MachineError(
            f"pid = '{given}': there is no such process; `pidof {program.NAME}` tells its number"
        )
    try:
        path = (folder / "exe").readlink()
        stands_still = _stat_of(pid)[_STATE] in "Tt"
    except PermissionError as refused:
        raise MachineError(f"process {pid} belongs to another user; be that user to enter it") from refused
    except OSError as wrong:
        raise MachineError(f"process {pid} has ended, or is a part of the kernel") from wrong
    if path.name == f"{program.NAME} (deleted)":
        raise MachineError(f"process {pid} runs a {program.NAME} that is no longer on the disk; restart it")
    if path.name != program.NAME:
        raise MachineError(f"process {pid} is {path.name}; the native machine enters {program.NAME} alone")
    if stands_still:
        raise MachineError(f"process {pid} stands still; let it go on first: kill -CONT {pid}")
    return pid


def _stat_of(pid: int) -> list[str]:
    """The fields of /proc/PID/stat behind the name (man proc_pid_stat, from its third)."""
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()


def enter(pid: int, library: Path, told: str) -> None:
    """Load the hook into a process and tell it who asks; raises as `AttachedGame` does."""
    try:
        import frida
    except ImportError as missing:
        raise MissingComponent(
            "entering a process needs Frida: pip install 'frameperfect[attach]'"
        ) from missing
    waiting = frida.Cancellable()
    patience = threading.Timer(_PATIENCE, waiting.cancel)
    patience.start()
    try:
        with waiting:
            session: Any = frida.get_local_device().attach(pid)
        try:
            script = session.create_script(_SCRIPT)
            script.load()
            why = script.exports_sync.enter(str(library), told)
            script.unload()
        finally:
            with contextlib.suppress(frida.InvalidOperationError):  # it has ended
                session.detach()
    except frida.OperationCancelledError as late:
        raise MachineError(
            f"process {pid} can't be entered: Frida got no hold of it within {_PATIENCE:g} seconds; try again"
        ) from late
    except frida.ProcessNotFoundError as gone:
        raise MachineError(f"process {pid} ended before the hook came into it") from gone
    except (frida.PermissionDeniedError, PermissionError) as refused:
        raise MachineError(f"process {pid} can't be entered: {_why_not()}") from refused
    except frida.InvalidOperationError as gone:
        raise MachineError(f"process {pid} ended when the hook came into it") from gone
    except Exception as wrong:  # Frida's own errors have no common root
        raise MachineError(f"process {pid} can't be entered: Frida says: {wrong}") from wrong
    finally:
        patience.cancel()
    if why:
        raise MachineError(f"process {pid}: {why}")


def _why_not() -> str:
    if _YAMA.is_file() and _YAMA.read_text().strip() != "0":
        return "this system keeps processes from each other; run `sysctl kernel.yama.ptrace_scope=0`"
    return "the system does not let this user enter it"
