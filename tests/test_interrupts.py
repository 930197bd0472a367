"""A Ctrl-C is never lost in a library's callback."""

from __future__ import annotations

import signal
import sys
import threading
import time
import weakref
from concurrent.futures import ThreadPoolExecutor

import pytest

from frameperfect.interrupts import held, sent_again


def test_a_held_interrupt_comes_when_the_block_has_ended() -> None:
    done = []
    with pytest.raises(KeyboardInterrupt), held():
        signal.raise_signal(signal.SIGINT)
        done.append("the rest of the block")
    assert done == ["the rest of the block"]
    with pytest.raises(KeyboardInterrupt):  # and the next one is as before
        signal.raise_signal(signal.SIGINT)


def test_without_an_interrupt_a_held_block_is_the_block() -> None:
    before = signal.getsignal(signal.SIGINT)
    with held():
        pass
    with pytest.raises(ValueError, match="its own"), held():
        raise ValueError("its own")
    assert signal.getsignal(signal.SIGINT) is before


def test_other_threads_may_hold_as_well() -> None:
    def inside() -> bool:
        with held():
            return threading.current_thread() is not threading.main_thread()

    with ThreadPoolExecutor(1) as pool:
        assert pool.submit(inside).result()


class _Thing:
    """Something that can be referred to weakly."""


def test_an_interrupt_that_a_callback_drops_is_sent_again(capfd: pytest.CaptureFixture[str]) -> None:
    thing = _Thing()
    calls = []

    def gone(_: object) -> None:
        calls.append("called")
        signal.raise_signal(signal.SIGINT)
        time.sleep(0)  # where the handler raises, at the latest

    reference = weakref.ref(thing, gone)
    before = sys.unraisablehook
    with pytest.raises(KeyboardInterrupt), sent_again():
        del thing
        calls.append("went on")
        time.sleep(10)
    assert calls == ["called", "went on"] and reference() is None
    assert sys.unraisablehook is before
    assert capfd.readouterr().err == ""


def test_what_else_a_callback_drops_is_noticed_as_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    noticed = []
    monkeypatch.setattr(sys, "unraisablehook", lambda dropped: noticed.append(dropped.exc_type))
    thing = _Thing()

    def fault(_: object) -> None:
        raise ZeroDivisionError

    reference = weakref.ref(thing, fault)
    with sent_again():
        del thing
    assert noticed == [ZeroDivisionError] and reference() is None
