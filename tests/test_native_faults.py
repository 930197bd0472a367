"""What can go wrong with a game in another process: one clear line each, and nothing is left behind."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pytest

from frameperfect.errors import MachineCrashed, MachineError, MissingComponent
from frameperfect.game import load_game
from frameperfect.machine import MachineSpec
from frameperfect.machines.native import NativePool, program
from frameperfect.machines.native.hook import VERSION, HookedGame, Op
from frameperfect.machines.native.machine import NativeMachine
from frameperfect.memory import Span
from frameperfect.pool import PoolSettings
from tests.components import need_program
from tests.waiting import comes_true

SERVER = need_program("DDNet-Server", "ddnet-server")
PATIENCE = 30.0
"""Seconds after which a test gives up on what should come within one; never a measure of speed."""


def spec(**options: str) -> MachineSpec:
    return MachineSpec("native", name="ddnet-server", options={"map": "coverage", **options})


def running(pid: int) -> bool:
    """Whether the process is there and no zombie."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except (FileNotFoundError, ProcessLookupError):
        return False


def free_port() -> int:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


# -- it can't start ----------------------------------------------------------------------------------------


def test_a_missing_server_names_its_package(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    monkeypatch.setattr(program, "_PLACES", "/nowhere")
    with pytest.raises(MissingComponent, match="apt-get install ddnet-server"):
        NativeMachine(spec())
    assert not load_game("DDNet-Race").has_rom


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"map": "Tutorail"}, "no map 'Tutorail' .* did you mean 'Tutorial'"),
        ({"map": "../maps/Tutorial"}, "no map"),
        ({"players": "17"}, "a number from 1 to 16"),
        ({"players": "many"}, "a number from 1 to 16"),
        ({"port": "99999"}, "a port from 1 to 65535"),
        ({"speed": "2"}, "no option 'speed'; it has map, players, port, client, tracking"),
        ({"tracking": "luck"}, "give 'fork', 'compare' or nothing"),
    ],
)
def test_a_wrong_option_is_named(options: dict[str, str], says: str) -> None:
    with pytest.raises(MachineError, match=says):
        NativeMachine(spec(**options))


def test_a_port_in_use_is_named() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as taken:
        taken.bind(("127.0.0.1", 0))
        port = taken.getsockname()[1]
        with pytest.raises(MachineError, match=rf"did not start: .*port {port} is in use"):
            NativeMachine(spec(port=str(port)))


def test_a_hook_of_another_version_refuses() -> None:
    command = program.command(SERVER, "coverage", "")
    with pytest.raises(MachineError, match=rf"hook is version {VERSION} .* asks for {VERSION + 1}; run"):
        HookedGame(command, 1, environment=program.ENVIRONMENT, version=VERSION + 1)


def test_a_program_without_the_game_s_packets_refuses() -> None:
    waits = "import select; r = select.select"  # a program with a select of its own, and nothing of the game
    game = HookedGame([sys.executable, "-c", f"{waits}\nwhile True: r([0], [], [], 0.02)"], 1)
    with pytest.raises(MachineError, match="holds no Teeworlds packet code"):
        game.join()
    game.close()


def test_a_program_that_is_none_is_named() -> None:
    with pytest.raises(MachineError, match=r"/no/such: No such file"):
        HookedGame(["/no/such"], 1)
    with pytest.raises(MachineError, match="did not start: it died"):
        HookedGame(["/bin/true"], 1)


def test_a_program_that_never_waits_for_packets_is_ended() -> None:
    with pytest.raises(MachineError, match=r"did not begin to wait for packets within 0\.3 seconds"):
        HookedGame([sys.executable, "-c", "while True: pass"], 1, starting=0.3)


def test_a_hook_that_is_not_built_is_named(tmp_path: Path) -> None:
    with pytest.raises(MachineError, match=r"hook is not built.*make build"):
        HookedGame(["/bin/true"], 1, library=tmp_path / "frameperfect_hook.so")


# -- one side dies -----------------------------------------------------------------------------------------


def test_a_server_killed_between_steps_is_a_crash_and_a_new_one_opens() -> None:
    machine = NativeMachine(spec())
    os.kill(machine.pid, signal.SIGSEGV)
    with pytest.raises(MachineCrashed, match="SIGSEGV"):
        machine.advance("Right", 5)
    with pytest.raises(MachineCrashed):
        machine.save()
    machine.close()
    with NativeMachine(spec()) as again:
        again.advance("Right", 5)


def test_a_server_killed_in_mid_step_is_a_crash() -> None:
    with NativeMachine(spec()) as machine:
        killer = threading.Timer(0.3, os.kill, (machine.pid, signal.SIGKILL))
        killer.start()
        with pytest.raises(MachineCrashed, match="SIGKILL"):
            machine.advance("Jump", 1 << 31)  # days
        killer.join()
        assert not running(machine.pid)


@pytest.mark.parametrize("step", ["", "machine._game.post(Op.STEP, b'\\0\\0\\0\\x7f' + bytes(40))"])
def test_a_server_goes_with_its_host(step: str) -> None:
    """Whether it waits or plays a step of days when the host is killed."""
    script = f"""
import sys, time
from frameperfect.machine import MachineSpec
from frameperfect.machines.native.hook import Op
from frameperfect.machines.native.machine import NativeMachine
machine = NativeMachine(MachineSpec("native", options={{"map": "coverage"}}))
{step}
print(machine.pid, flush=True)
time.sleep(600)
"""
    host = subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True)
    assert host.stdout is not None
    server = int(host.stdout.readline())
    assert running(server)
    host.kill()
    host.wait()
    assert comes_true(lambda: not running(server))
    host.stdout.close()


def test_nothing_is_left_after_a_crash() -> None:
    """No file, no name in /dev/shm, no descriptor: there is nothing stale for a later run to find."""
    before = len(list(Path("/proc/self/fd").iterdir()))
    for _ in range(2):
        machine = NativeMachine(spec())
        kept = [fd.readlink() for fd in Path(f"/proc/{machine.pid}/fd").iterdir()]
        files = [path for path in kept if path.is_absolute() and path.is_file()]
        assert all(path.is_relative_to("/usr/share/games") or path.is_relative_to("/proc") for path in files)
        os.kill(machine.pid, signal.SIGKILL)
        with pytest.raises(MachineCrashed):
            machine.advance()
        machine.close()
        machine.close()
    assert len(list(Path("/proc/self/fd").iterdir())) == before


def test_a_machine_that_is_forgotten_ends_its_server() -> None:
    machine = NativeMachine(spec())
    pid = machine.pid
    del machine
    assert comes_true(lambda: not running(pid))


def test_a_closed_machine_says_so() -> None:
    machine = NativeMachine(spec())
    machine.close()
    with pytest.raises(MachineCrashed, match="closed; open a new one"):
        machine.advance()


def test_a_crash_in_a_pool_names_the_machine_and_the_others_step() -> None:
    pool = NativePool(spec(), 3, PoolSettings(frame_skip=2, spans=(Span("server", 0, 8),)))
    try:
        pool.reset([0, 1, 2], [None] * 3, [0] * 3)
        ticks = pool.rows.copy().view("<u8")
        machine = pool.machine(1)
        assert isinstance(machine, NativeMachine)
        os.kill(machine.pid, signal.SIGKILL)
        with pytest.raises(MachineCrashed, match="machine 1 of the pool") as crash:
            pool.step(np.zeros((3, 1), np.uint32))
        assert crash.value.indices == (1,)
        pool.replace(1)
        pool.reset([1], [None], [0])
        pool.step(np.zeros((3, 1), np.uint32))
        assert (pool.rows.view("<u8") - ticks).ravel().tolist() == [4, 2, 4]
    finally:
        pool.close()


# -- the network -------------------------------------------------------------------------------------------


def sockets_of(pid: int) -> set[str]:
    """Local addresses of the process' bound UDP and TCP sockets, as /proc/net tells them."""
    inodes = set()
    for fd in Path(f"/proc/{pid}/fd").iterdir():
        try:
            target = fd.readlink().name
        except FileNotFoundError:
            continue
        if target.startswith("socket:["):
            inodes.add(target[8:-1])
    found = set()
    for table in ("udp", "udp6", "tcp", "tcp6"):
        for line in Path(f"/proc/{pid}/net/{table}").read_text().splitlines()[1:]:
            words = line.split()
            if words[9] in inodes and not words[1].endswith(":0000"):
                found.add(words[1].rpartition(":")[0])
    return found


def test_a_server_is_reachable_from_nowhere_unless_a_port_is_given_and_then_from_this_machine() -> None:
    with NativeMachine(spec()) as alone:
        assert sockets_of(alone.pid) == set()
    port = free_port()
    with NativeMachine(spec(port=str(port))) as open_one:
        assert sockets_of(open_one.pid) <= {"0100007F", "00000000000000000000000001000000"} != set()
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as browser:
            browser.settimeout(PATIENCE)
            # What a server browser asks: no connection, "gie3" and a token.
            browser.sendto(b"\xff" * 10 + b"gie3\x01", ("127.0.0.1", port))
            open_one.advance("", 50)
            answer, _ = browser.recvfrom(2048)
        assert b"inf3" in answer and b"coverage" in answer


def test_a_request_that_the_hook_does_not_know_is_refused() -> None:
    with NativeMachine(spec()) as machine:
        with pytest.raises(MachineError, match="cut short"):
            machine._game.ask(Op.STEP, b"\1")
        with pytest.raises(MachineError, match="no state in this slot"):
            machine._game.restore(200)
        machine.advance("Right", 3)
