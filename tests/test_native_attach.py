"""A server that runs already: entered, played, and left to itself."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import NoReturn

import pytest

import frameperfect
from frameperfect.errors import MachineCrashed, MachineError, MissingComponent, Unsupported
from frameperfect.machine import Capability, MachineSpec, open_machine
from frameperfect.machines.native import attach
from frameperfect.machines.native.attach import AttachedGame, AttachedMachine
from frameperfect.machines.native.hook import VERSION
from tests.components import need, need_program
from tests.waiting import comes_true

frida = need("frida")
SERVER = need_program("DDNet-Server", "ddnet-server")
"""Seconds after which a test gives up on what should come within one; never a measure of speed."""


class Running:
    """A server as a person starts one."""

    def __init__(self, folder: Path, program: Path = SERVER) -> None:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
            probe.bind(("127.0.0.1", 0))
            self.port: int = probe.getsockname()[1]
        settings = [f"sv_port {self.port}", "sv_map Tsunami", "sv_register 0"]
        self.process = subprocess.Popen(
            [program, *settings],
            cwd=folder,
            env={"HOME": str(folder), "PATH": os.environ["PATH"]},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        self.pid = self.process.pid
        assert comes_true(lambda: b"Tsunami" in self.told())

    def told(self) -> bytes:
        """What a server browser hears of it (a packet without a connection, "gie3" and a token)."""
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as browser:
            browser.settimeout(0.2)
            browser.sendto(b"\xff" * 10 + b"gie3\x01", ("127.0.0.1", self.port))
            try:
                return browser.recv(2048)
            except OSError:  # nobody listens there, or nobody answers
                return b""


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Running]:
    running = Running(tmp_path)
    yield running
    running.process.kill()
    running.process.wait()


def spec(pid: int | str, players: int = 1) -> MachineSpec:
    return MachineSpec("native", name="ddnet-server", options={"pid": str(pid), "players": str(players)})


def test_a_running_server_is_entered_played_and_left_to_itself(server: Running) -> None:
    before = os.sched_getaffinity(server.pid)
    with open_machine(spec(server.pid, players=2)) as machine:
        assert isinstance(machine, AttachedMachine) and machine.pid == server.pid
        x = machine.memory["players"][:4].view("<i4")
        begun = int(x[0])
        ticks = machine.memory["server"][:8].view("<u8")
        first = int(ticks[0])
        machine.advance(["Right", ""], 40)
        assert x[0] > begun + 100 and ticks[0] == first + 40
        asked = threading.Thread(target=lambda: heard.append(server.told()))
        heard: list[bytes] = []
        asked.start()
        while asked.is_alive():  # it has a network, and answers between our ticks
            machine.advance("", 1)
        assert b"agent0" in heard[0] and b"agent1" in heard[0]
    assert server.process.poll() is None
    assert comes_true(lambda: b"Tsunami" in (told := server.told()) and b"agent" not in told)
    assert os.sched_getaffinity(server.pid) == before


def test_it_can_be_entered_again_and_again(server: Running) -> None:
    for _ in range(3):
        with open_machine(spec(server.pid)) as machine:
            machine.advance("Right", 500)  # ten seconds, in much less
            assert machine.memory["players"][52]
        assert comes_true(lambda: b"agent" not in server.told())


def test_an_environment_plays_in_it_and_every_episode_begins_at_the_start(server: Running) -> None:
    env = frameperfect.make_env("DDNet-Race", options={"pid": str(server.pid)}, frame_skip=4)
    begins = set()
    for _ in range(3):
        _, info = env.reset()
        assert info["race"] == 0 and info["alive"]
        begins.add((info["x"], info["y"]))
        for _ in range(40):
            _, _, _, _, after = env.step(2)
        assert after["x"] > info["x"]
    assert max(x for x, _ in begins) - min(x for x, _ in begins) < 300  # spawn points lie together
    env.close()


def test_it_promises_no_states_and_no_equal_runs(server: Running) -> None:
    with open_machine(spec(server.pid)) as machine:
        assert not machine.capabilities & (Capability.SAVE | Capability.DETERMINISTIC)
        with pytest.raises(Unsupported, match="can't do SAVE"):
            machine.save()


def test_it_goes_on_when_its_player_is_killed(server: Running) -> None:
    """Whether it waits for the next step or plays one of days."""
    for step in ("", "machine.begin((0,), None, 1 << 31)"):
        script = f"""
import time
from frameperfect.machine import MachineSpec, open_machine
machine = open_machine(MachineSpec("native", options={{"pid": "{server.pid}"}}))
{step}
print("in", flush=True)
time.sleep(600)
"""
        host = subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True)
        assert host.stdout is not None and host.stdout.readline() == "in\n"
        host.kill()
        host.wait()
        host.stdout.close()
        assert comes_true(lambda: b"Tsunami" in (told := server.told()) and b"agent" not in told)


def test_a_step_of_days_ends_when_the_machine_is_closed(server: Running) -> None:
    machine = open_machine(spec(server.pid))
    assert isinstance(machine, AttachedMachine)
    machine.begin((0,), None, 1 << 31)
    machine.close()
    assert comes_true(lambda: b"Tsunami" in server.told())


def test_a_server_that_is_killed_is_a_crash(server: Running) -> None:
    with open_machine(spec(server.pid)) as machine:
        os.kill(server.pid, signal.SIGKILL)
        with pytest.raises(MachineCrashed, match="game's process ended"):
            machine.advance("Right", 10)


# -- what can't be entered ---------------------------------------------------------------------------------


@pytest.mark.parametrize("given", ["999999999", "0", "server", "-1"])
def test_a_process_that_is_none_is_named(given: str) -> None:
    with pytest.raises(
        MachineError, match=f"pid = '{given}': there is no such process; `pidof DDNet-Server`"
    ):
        open_machine(spec(given))


def test_another_program_is_not_touched() -> None:
    with pytest.raises(MachineError, match=rf"process {os.getpid()} is python.*enters DDNet-Server alone"):
        open_machine(spec(os.getpid()))


def test_a_server_that_stands_still_is_not_entered_and_goes_on_later(server: Running) -> None:
    os.kill(server.pid, signal.SIGSTOP)
    assert comes_true(
        lambda: Path(f"/proc/{server.pid}/stat").read_text().rpartition(")")[2].split()[0] == "T"
    )
    try:
        with pytest.raises(MachineError, match=f"stands still; let it go on first: kill -CONT {server.pid}"):
            open_machine(spec(server.pid))
    finally:
        os.kill(server.pid, signal.SIGCONT)
    assert comes_true(lambda: b"Tsunami" in server.told())


def test_a_server_of_another_frameperfect_is_refused(server: Running) -> None:
    with (
        open_machine(spec(server.pid)) as machine,
        pytest.raises(MachineError, match="another frameperfect plays it"),
    ):
        open_machine(spec(server.pid))
    machine.close()
    with open_machine(MachineSpec("native", options={"map": "coverage"})) as ours:
        assert isinstance(ours, frameperfect.machines.native.NativeMachine)
        with pytest.raises(MachineError, match="another frameperfect plays it"):
            open_machine(spec(ours.pid))
        ours.advance("Right", 5)


def test_a_hook_of_another_version_refuses(server: Running) -> None:
    with pytest.raises(MachineError, match=rf"hook of version {VERSION} .* asks for {VERSION + 1}"):
        AttachedGame(server.pid, 1, version=VERSION + 1)
    assert server.told()


def test_a_program_that_never_waits_for_packets_goes_on(tmp_path: Path) -> None:
    sleeper = tmp_path / "DDNet-Server"
    shutil.copy(Path("/bin/sleep").resolve(), sleeper)
    process = subprocess.Popen([sleeper, "600"])
    try:
        with pytest.raises(
            MachineError, match=r"did not wait for packets within 0\.2 seconds; is it DDNet-Ser"
        ):
            AttachedGame(process.pid, 1, starting=0.2)
        assert process.poll() is None
    finally:
        process.kill()
        process.wait()


def test_a_missing_frida_names_its_extra(server: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "frida", None)
    with pytest.raises(MissingComponent, match=r"pip install 'frameperfect\[attach\]'"):
        open_machine(spec(server.pid))


def test_a_refusal_of_the_system_says_what_to_set(
    server: Running, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def refuse() -> NoReturn:
        raise frida.PermissionDeniedError("unable to access process")

    scope = tmp_path / "ptrace_scope"
    scope.write_text("1\n")
    monkeypatch.setattr(attach, "_YAMA", scope)
    monkeypatch.setattr(frida, "get_local_device", refuse)
    with pytest.raises(MachineError, match=r"can't be entered: .*sysctl kernel\.yama\.ptrace_scope=0"):
        open_machine(spec(server.pid))
