"""The host's side of a Windows game: our library in it, and the connection that the library makes to us.

Windows has no futex that two processes share, so requests go over TCP, on this machine alone; they are those
of native/hook/protocol.hpp, and native/hook/win32 is the other side of this file. A word that only the two of
us know keeps others from answering. Wine runs the game: https://www.winehq.org.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import select
import shutil
import socket
import struct
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from frameperfect import _native
from frameperfect.errors import MachineCrashed, MachineError, MissingComponent
from frameperfect.machines.native.hook import MAX_HOPS, VERSION, Op, Watch
from frameperfect.workers.child import Program

BOUNDARIES = ("messages", "sleep", "swap")
"""What may end a frame, in the order of native/hook/win32/frames.hpp."""
_HEAD = struct.Struct("<II")
_HELLO = struct.Struct("<IIQ")
_WATCH = struct.Struct(f"<QII{MAX_HOPS}q")
_READ = struct.Struct("<QI")
_STEP = struct.Struct("<I")
_FRAMES = struct.Struct("<Q")
_MOST_LOG = 1 << 20
_SERVER_ENDS, _TRIES = "wine client error", 5
"""What Wine says where its server was just ending with the last program of its folder."""
_LOOK = 0.25
"""Seconds between looks whether the game is there."""
_WINE = {64: ("wine64", "/usr/lib/wine/wine64", "wine"), 32: ("/usr/lib/wine/wine", "wine")}
"""Wine's program for each width, best first. The other width's would start a second process for the game,
which does not end with the first."""
_INSTALL = {
    64: "apt-get install wine64",
    32: "dpkg --add-architecture i386, apt-get update, apt-get install wine32:i386",
}
_IMAGE_FILE_MACHINE = {0x8664: 64, 0x14C: 32}


def find_wine(width: int) -> Path:
    """The program that runs Windows programs of so many bits; MissingComponent where there is none."""
    for name in _WINE[width]:
        if found := shutil.which(name):
            return Path(found)
    raise MissingComponent(f"Windows games of {width} bits need Wine: {_INSTALL[width]}")


def width_of(program: Path) -> int:
    """64 or 32: the bits of a Windows program.

    Raises:
        MachineError: it is none. https://learn.microsoft.com/en-us/windows/win32/debug/pe-format
    """
    head = program.read_bytes()[:4096]
    if head[:2] == b"MZ" and len(head) >= 64:
        (at,) = struct.unpack_from("<I", head, 60)
        if head[at : at + 4] == b"PE\0\0":
            width = _IMAGE_FILE_MACHINE.get(struct.unpack_from("<H", head, at + 4)[0])
            if width is not None:
                return width
    raise MachineError(f"{program}: is no Windows program for x86 processors")


def find_hook(width: int) -> tuple[Path, Path]:
    """The library for games of so many bits, and its launcher; MissingComponent where they are not built."""
    folder = Path(_native.__file__).parent
    library, launcher = folder / f"frameperfect_hook{width}.dll", folder / f"frameperfect_launch{width}.exe"
    if not (library.is_file() and launcher.is_file()):
        package = {64: "g++-mingw-w64-x86-64", 32: "g++-mingw-w64-i686"}[width]
        raise MissingComponent(
            f"the hook for {width}-bit Windows games is not built: apt-get install {package}, "
            "then touch CMakeLists.txt and run `make build`"
        )
    return library, launcher


def _is_wide_alone(prefix: Path) -> bool:
    """Whether Wine has put no libraries of 32 bits into its folder."""
    narrow = prefix / "drive_c" / "windows" / "syswow64"
    return narrow.is_dir() and not any(narrow.iterdir())


def as_windows(path: Path) -> str:
    """A path as Wine shows it to Windows programs."""
    return "Z:" + str(path.absolute()).replace("/", "\\")


class WindowsGame:
    """A running Windows game with the hook in it.

    Args:
        program: the game.
        arguments: its own.
        boundary: what ends a frame, one of `BOUNDARIES`.
        frame_ns: the least that a frame takes in the game's time.
        prefix: Wine's folder of settings and drives; it is made where there is none.
        pid: a game that runs already in this prefix, by Windows' number or its program's name; it is let go
            in the end.
        version: of the hook.
        starting: seconds that the game may take to its first frame.

    Raises:
        MissingComponent: Wine or the hook is not installed.
        MachineError: the game ended before it came to its first frame, or the hook can't serve.
    """

    def __init__(
        self,
        program: Path,
        arguments: Sequence[str] = (),
        *,
        boundary: str = "messages",
        frame_ns: int,
        prefix: Path,
        pid: str | None = None,
        version: int = VERSION,
        starting: float = 60.0,
    ) -> None:
        width = width_of(program)
        wine, (library, launcher) = find_wine(width), find_hook(width)
        self.crash: MachineCrashed | None = None
        self._name, self._guest = program.name, pid is not None
        self.frames, self.view = 0, b""
        word = secrets.token_hex(16)
        listener = socket.create_server(("127.0.0.1", 0))
        port = listener.getsockname()[1]
        told = f"{version}:{port}:{word}:{BOUNDARIES.index(boundary)}:{frame_ns}"
        game = [pid] if pid is not None else ["--", as_windows(program), *arguments]
        prefix.parent.mkdir(parents=True, exist_ok=True)
        variables = {
            "PATH": os.environ.get("PATH", ""),
            "HOME": str(prefix.parent),
            "LANG": "C.UTF-8",
            "TZ": "UTC",
            "WINEPREFIX": str(prefix),
            "WINEDEBUG": "-all",
            "WINEDLLOVERRIDES": "mscoree=;mshtml=;winemenubuilder.exe=",  # a new prefix asks for nothing
            **{name: os.environ[name] for name in ("DISPLAY", "XAUTHORITY") if name in os.environ},
        }
        command = [str(wine), str(launcher), as_windows(library), told, *game]
        try:
            self._link = self._enter(command, variables, listener, word, starting)
        except MachineError as failed:
            if width == 32 and _is_wide_alone(prefix):
                raise MissingComponent(
                    f"the Wine that made {prefix} runs no games of 32 bits: {_INSTALL[32]}, then delete that "
                    "folder; it is made anew"
                ) from failed
            raise
        finally:
            listener.close()
        try:
            _, pointer, self.base = _HELLO.unpack(self.ask(Op.HELLO, timeout=starting))
            self.pointer_size = pointer
        except MachineCrashed as crash:
            raise MachineError(f"{self._name} did not start: it {self._fate}") from crash
        except TimeoutError as late:
            self.close()
            raise MachineError(
                f"{self._name} came to no frame within {starting:g} seconds; is '{boundary}' what ends one?"
            ) from late
        except BaseException:
            self.close()
            raise

    def _enter(
        self,
        command: Sequence[str],
        variables: Mapping[str, str],
        listener: socket.socket,
        word: str,
        seconds: float,
    ) -> socket.socket:
        """Send the hook into the game, and be met by it."""
        tries = _TRIES
        while True:
            tries -= 1
            self._program = Program(command, (), variables)
            try:
                return self._meet(listener, word, seconds)
            except MachineError as failed:
                self._program.close()
                if tries == 0 or _SERVER_ENDS not in str(failed):
                    raise
            except BaseException:
                self._program.close()
                raise

    def _meet(self, listener: socket.socket, word: str, seconds: float) -> socket.socket:
        """The connection of the hook that we have sent."""
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            if not select.select([listener], [], [], 0.05)[0]:
                code = self._program.exit_code
                if code is not None and (code or not self._guest):
                    what = "can't be entered: the launcher" if self._guest else "did not start: it"
                    raise MachineError(f"{self._name} {what} {self._program.obituary()}")
                continue
            link, _ = listener.accept()
            link.settimeout(seconds)
            with contextlib.suppress(OSError):  # somebody else, who says nothing or has gone
                if _take(link, len(word)) == word.encode():
                    link.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                    return link
            link.close()
        raise MachineError(f"the hook did not come to life in {self._name} within {seconds:g} seconds")

    def require_alive(self) -> None:
        """Raise `MachineCrashed` once the game has ended or was closed."""
        if self.crash is not None:
            raise self.crash

    def ask(self, op: Op, message: bytes = b"", timeout: float | None = None) -> bytes:
        """Send a request and wait for its reply.

        Raises:
            MachineCrashed: the game ended; says how, and its last words.
            MachineError: the hook refused, and says why.
            TimeoutError: no reply came in time.
        """
        self.require_alive()
        try:
            self._link.settimeout(None)
            self._link.sendall(_HEAD.pack(op, len(message)) + message)
            self._await(timeout)
            status, length = _HEAD.unpack(_take(self._link, _HEAD.size))
            reply = _take(self._link, length)
        except TimeoutError:
            raise
        except OSError:
            self._die()
        if status:
            raise MachineError(reply.decode(errors="replace"))
        return reply

    def _await(self, timeout: float | None) -> None:
        """Wait for a reply; ConnectionError where the game's launcher says that it has ended."""
        until = None if timeout is None else time.monotonic() + timeout
        while not select.select([self._link], [], [], _LOOK)[0]:
            if not self._guest and self._program.exit_code is not None:
                raise ConnectionResetError
            if until is not None and time.monotonic() > until:
                raise TimeoutError

    def _die(self) -> None:
        self._fate = "ended" if self._guest else self._program.obituary()
        self._free()
        self.crash = MachineCrashed(f"{self._name} {self._fate}")
        raise self.crash

    # -- requests ------------------------------------------------------------------------------------

    def step(self, keys: bytes, frames: int) -> None:
        """Play `frames` frames with these keys held; `frames` and `view` then show the last one."""
        self._show(self.ask(Op.STEP, _STEP.pack(frames) + keys))

    def watch(self, watches: Sequence[Watch]) -> None:
        """See these bytes after every step, one after the other in `view`."""
        packed = [
            _WATCH.pack(w.address, w.length, len(w.add), *w.add, *[0] * (MAX_HOPS - len(w.add)))
            for w in watches
        ]
        self._show(self.ask(Op.WATCH, b"".join(packed)))

    def _show(self, reply: bytes) -> None:
        (self.frames,) = _FRAMES.unpack_from(reply)
        self.view = reply[_FRAMES.size :]
        self._program.trim(_MOST_LOG)

    def read(self, address: int, length: int) -> bytes:
        """Bytes of the game's memory; `MachineError` where it has none there."""
        return self.ask(Op.READ, _READ.pack(address, length))

    def places_of(self, pattern: str) -> list[int]:
        """Addresses of a byte pattern in the program's image, the first 16."""
        return _addresses(self.ask(Op.MATCH, pattern.encode()))

    def objects_of(self, mangled: str) -> list[int]:
        """Addresses of the objects of a C++ class."""
        return _addresses(self.ask(Op.FIND, mangled.encode()))

    def stack(self) -> int:
        """Where the first thread's stack begins."""
        return _addresses(self.ask(Op.STACK))[0]

    # -- the end -------------------------------------------------------------------------------------

    def close(self) -> None:
        """End the game, or let it go where it ran before us; closing twice is harmless."""
        self._free()
        if self.crash is None:
            self.crash = MachineCrashed("the machine is closed; open a new one")

    def _free(self) -> None:
        self._link.close()  # by which the hook knows
        self._program.close()


def _addresses(reply: bytes) -> list[int]:
    return list(struct.unpack(f"<{len(reply) // 8}Q", reply))


def _take(link: socket.socket, size: int) -> bytes:
    """So many bytes; ConnectionError where the other side has gone."""
    parts = []
    while size:
        part = link.recv(size)
        if not part:
            raise ConnectionResetError
        parts.append(part)
        size -= len(part)
    return b"".join(parts)
