"""The shared-memory channel between this process and another."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time

import numpy as np
import pytest
from frameperfect._native import Channel, SharedMemory
from hypothesis import given, settings
from hypothesis import strategies as st

ECHO = """
import sys
from frameperfect._native import Channel, end_with_parent
end = Channel.attach(int(sys.argv[1]))
end_with_parent(end.host)
while True:
    end.post(*end.receive())
"""


@pytest.fixture
def echo():
    """A channel to a process that answers every message with itself."""
    channel = Channel.create()
    process = subprocess.Popen([sys.executable, "-c", ECHO, str(channel.fd)], pass_fds=[channel.fd])
    channel.watch(process.pid)
    yield channel, process
    process.kill()
    process.wait()
    channel.close()


def test_messages_of_any_size_come_back_as_they_went(echo):
    channel, _ = echo

    @settings(max_examples=40, deadline=None)
    @given(
        code=st.integers(0, 2**32 - 1), size=st.integers(0, 300_000), fill=st.binary(min_size=1, max_size=9)
    )
    def round_trip(code, size, fill):
        message = (fill * (size // len(fill) + 1))[:size]
        channel.post(code, message)
        assert channel.receive() == (code, message)

    round_trip()


def test_a_dead_peer_ends_the_wait(echo):
    channel, process = echo
    channel.post(1)
    channel.receive()
    threading.Timer(0.2, process.kill).start()
    with pytest.raises(EOFError):
        channel.receive()
    assert not channel.peer_alive


def test_an_answer_posted_before_death_still_counts():
    channel = Channel.create()
    once = (
        "import sys; from frameperfect._native import Channel; Channel.attach(int(sys.argv[1])).post(7, b'x')"
    )
    process = subprocess.Popen([sys.executable, "-c", once, str(channel.fd)], pass_fds=[channel.fd])
    channel.watch(process.pid)
    process.wait()
    assert channel.receive() == (7, b"x")
    with pytest.raises(EOFError):
        channel.receive()


def test_a_wait_may_have_an_end(echo):
    channel, _ = echo
    assert channel.receive(timeout=0.01) is None


@pytest.mark.parametrize("heard_by", ["the waiting thread", "another thread"])
def test_a_wait_hears_ctrl_c(heard_by):
    # The kernel hands a signal to any thread that does not block it. Where that is not the one that waits,
    # nothing wakes the wait; so too when the signal comes between two sleeps.
    wait = (
        "import signal, sys, threading, time\n"
        "from frameperfect._native import Channel\n"
        "signal.signal(signal.SIGINT, signal.default_int_handler)\n"
        "if sys.argv[1] == 'another thread':\n"
        "    threading.Thread(target=time.sleep, args=(30,), daemon=True).start()\n"
        "    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})\n"
        "channel = Channel.create()\n"
        "print('waiting', flush=True)\n"
        "try:\n    channel.receive()\n"
        "except KeyboardInterrupt:\n    print('heard')\n"
    )
    process = subprocess.Popen([sys.executable, "-c", wait, heard_by], stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout.readline() == "waiting\n"
        time.sleep(0.3)
        process.send_signal(signal.SIGINT)
        assert process.communicate(timeout=30)[0] == "heard\n"
    finally:
        process.kill()


def test_a_waiting_thread_leaves_python_to_the_others(echo):
    channel, _ = echo
    waiter = threading.Thread(target=channel.receive)
    waiter.start()
    count = sum(range(10_000))  # would never come while the wait held the lock
    channel.post(1)
    waiter.join()
    assert count


def test_a_worker_ends_with_its_host_even_while_it_hangs():
    parent = (
        "import subprocess, sys\n"
        "from frameperfect._native import Channel\n"
        "c = Channel.create()\n"
        "hang = 'import sys, time; from frameperfect._native import *; '"
        "'e = Channel.attach(int(sys.argv[1])); end_with_parent(e.host); e.post(1)\\nwhile True: pass'\n"
        "p = subprocess.Popen([sys.executable, '-c', hang, str(c.fd)], pass_fds=[c.fd])\n"
        "c.receive()\n"
        "print(p.pid)"
    )
    done = subprocess.run([sys.executable, "-c", parent], capture_output=True, text=True, check=True)
    worker = int(done.stdout)
    for _ in range(500):
        if not os.path.exists(f"/proc/{worker}") or "\nState:\tZ" in status(worker):  # noqa: PTH110
            return
        time.sleep(0.01)
    os.kill(worker, signal.SIGKILL)
    pytest.fail("the worker outlived its host")


def status(pid: int) -> str:
    try:
        with open(f"/proc/{pid}/status") as file:  # noqa: PTH123
            return file.read()
    except FileNotFoundError:
        return "\nState:\tZ"


def test_what_is_no_channel_is_refused():
    block = SharedMemory(1 << 13)
    with pytest.raises(RuntimeError, match="no frameperfect channel"):
        Channel.attach(os.dup(block.fd))
    block.array()[:8] = np.frombuffer(b"FPCHANNL", np.uint8)
    block.array()[8:12] = 99
    with pytest.raises(RuntimeError, match="another version"):
        Channel.attach(os.dup(block.fd))


def test_shared_memory_grows_and_old_views_stay_valid():
    block = SharedMemory(4096)
    other = SharedMemory.attach(os.dup(block.fd))
    old = block.array()
    block.reserve(1 << 20)
    other.reserve(1 << 20)
    other.array()[-1] = 9
    other.array()[5] = 7
    assert block.array()[-1] == 9
    assert old[5] == 7
    block.close()
    old[5] = 8
    assert other.array()[5] == 8
