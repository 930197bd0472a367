"""Does a machine keep the protocol? Run `check_machine` on a new backend, core or game before trusting it.

Each check is one rule; `check_machine` runs them all on real machines and says of each that fails what was
seen, why it matters and where to look.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from frameperfect.errors import (
    MachineCrashed,
    StateMismatch,
    Unsupported,
)
from frameperfect.machine import STATE_HEADER, Capability, Machine, backend, seal_state
from frameperfect.memory import Span
from frameperfect.pool import Pool, PoolSettings
from frameperfect.workers import IsolatedMachine

MakeMachine = Callable[[], Machine]


@dataclass(frozen=True, slots=True)
class CheckResult:
    """What one check found: `outcome` is "passed", "skipped" or "failed"; `text` says why."""

    name: str
    outcome: str
    text: str


@dataclass(frozen=True, slots=True)
class Report:
    """What all checks found of one machine."""

    machine: str
    results: tuple[CheckResult, ...]

    @property
    def failures(self) -> tuple[CheckResult, ...]:
        """The checks that failed."""
        return tuple(result for result in self.results if result.outcome == "failed")

    def __str__(self) -> str:
        width = max((len(result.name) for result in self.results), default=0)
        lines = [f"{r.outcome:8}{r.name:{width}}  {r.text}".rstrip() for r in self.results]
        return "\n".join([self.machine, *lines])


class NonConformingError(AssertionError):
    """The machine breaks the protocol; `report` has every check."""

    def __init__(self, report: Report) -> None:
        super().__init__("\n".join(f"{failure.name}: {failure.text}" for failure in report.failures))
        self.report = report


class _SkipError(Exception):
    """The check does not apply."""


class _FailedError(Exception):
    """The check failed."""


def check_machine(
    make: MakeMachine,
    *,
    frames: int = 240,
    seed: int = 0,
    only: Sequence[str] | None = None,
    processes: bool = True,
    error: bool = True,
) -> Report:
    """Run every check on machines that `make` opens; each call of it gives a new one of the same game.

    Args:
        make: opens a machine at power-on. Its `spec` must open the same in another process.
        frames: how many frames of random inputs a check plays; more find more.
        seed: of the random inputs.
        only: the checks to run, by the names in the report; None runs all.
        processes: also the checks that need worker processes (replay, crash).
        error: raise if a check fails; else only report it.

    Raises:
        NonConformingError: with all failures, and the whole report in it.
    """
    with make() as machine:
        name = f"{machine.spec.name or machine.spec.program or ''} on {machine.fingerprint}".strip()
    results = []
    for check in CHECKS:
        rule = check.__name__.removeprefix("_").replace("_", " ")
        if only is not None and rule not in only:
            continue
        outcome, text = "passed", ""
        try:
            if check in PROCESS_CHECKS and not processes:
                raise _SkipError("worker processes were not asked for")
            check(make, _Run(frames, seed))
        except _SkipError as skip:
            outcome, text = "skipped", str(skip)
        except _FailedError as failure:
            outcome, text = "failed", str(failure)
        except Exception as error_seen:  # whatever a machine raises where it should not, is a finding
            outcome, text = "failed", f"raised {type(error_seen).__name__}: {error_seen}"
        results.append(CheckResult(rule, outcome, text))
    report = Report(name, tuple(results))
    if error and report.failures:
        raise NonConformingError(report)
    return report


# -- random runs -----------------------------------------------------------------------------------


class _Run:
    """Random inputs: each held for one to eight frames, the same for the same seed."""

    def __init__(self, frames: int, seed: int) -> None:
        self.frames, self.seed = frames, seed

    def other(self, number: int, frames: int = 0) -> _Run:
        return _Run(frames or self.frames, self.seed + 1000 * number)

    def inputs(self, machine: Machine) -> Iterator[tuple[tuple[int, ...], int]]:
        rng = np.random.default_rng(self.seed)
        left = self.frames
        while left > 0:
            held = min(left, int(rng.integers(1, 9)))
            masks = [int(rng.integers(1 << len(c.buttons))) for c in machine.controllers]
            yield tuple(masks), held
            left -= held

    def play(self, machine: Machine) -> list[str]:
        """The hashes after every input."""
        hashes = []
        for masks, held in self.inputs(machine):
            machine.advance(masks, held)
            hashes.append(machine.hash())
        return hashes


@dataclass(frozen=True, slots=True)
class _Seen:
    """All that can be seen of a machine at one moment."""

    frame: int
    hash: str
    picture: bytes

    @classmethod
    def of(cls, machine: Machine) -> _Seen:
        picture = machine.screen().tobytes() if Capability.SCREEN in machine.capabilities else b""
        return cls(machine.frame, machine.hash(), picture)

    def expect(self, machine: Machine, when: str, mend: str) -> None:
        now = _Seen.of(machine)
        for what in ("frame", "hash", "picture"):
            if getattr(self, what) != getattr(now, what):
                differs = {"frame": "frame count", "hash": "memory", "picture": "screen"}[what]
                raise _FailedError(f"the {differs} differs {when}; {mend}")


def _expect_equal(expected: Sequence[str], seen: Sequence[str], when: str, mend: str) -> None:
    for place, (one, other) in enumerate(zip(expected, seen, strict=True)):
        if one != other:
            raise _FailedError(f"memory differs {when}, from input {place + 1} of {len(expected)} on; {mend}")


def _need(machine: Machine, capability: Capability) -> None:
    if capability not in machine.capabilities:
        raise _SkipError(f"the machine has no {capability.name}")


# -- the checks ------------------------------------------------------------------------------------


def _memory_views_match_their_domains(make: MakeMachine, run: _Run) -> None:
    with make() as machine:
        if set(machine.memory) != set(machine.domains):
            raise _FailedError(
                f"memory has {sorted(machine.memory)}, domains {sorted(machine.domains)}; name them alike"
            )
        for name, domain in machine.domains.items():
            view = machine.memory[name]
            if view.dtype != np.uint8 or view.shape != (domain.size,):
                raise _FailedError(
                    f"memory['{name}'] is {view.dtype} {view.shape}, its domain says uint8 ({domain.size},); "
                    "give the domain the size of the emulator's block"
                )
            if view.flags.writeable and Capability.WRITE not in machine.capabilities:
                raise _FailedError(
                    f"memory['{name}'] is writable without the capability WRITE; set view.flags.writeable"
                )
        views = dict(machine.memory)
        run.play(machine)
        for name, view in views.items():
            if not np.array_equal(view, machine.memory[name]):
                raise _FailedError(
                    f"an older view of '{name}' went stale while frames ran; views live until reset"
                )


def _a_picture_is_rgb(make: MakeMachine, run: _Run) -> None:
    with make() as machine:
        _need(machine, Capability.SCREEN)
        run.play(machine)
        image = machine.screen()
        if image.ndim != 3 or image.shape[2] != 3 or image.dtype != np.uint8 or 0 in image.shape:
            raise _FailedError(
                f"screen() is {image.dtype} {image.shape}; return (height, width, 3) uint8 RGB"
            )
        kept = image.copy()
        run.other(1, 60).play(machine)
        machine.screen()
        if not np.array_equal(image, kept):
            raise _FailedError(
                "the copy that screen() gave changed with later frames; _screen's buffer leaks out"
            )


def _reset_is_power_on(make: MakeMachine, run: _Run) -> None:
    mend = "open the emulator anew, or restore a state of power-on, in _reset"
    with make() as fresh, make() as machine:
        first = _Seen.of(fresh)
        first.expect(
            machine, "between two machines just opened", "seed or clear what the emulator leaves random"
        )
        run.play(machine)
        machine.reset()
        first.expect(machine, "after reset", mend)
        _expect_equal(run.play(fresh), run.play(machine), "between a reset machine and a fresh one", mend)


def _a_restored_state_has_the_same_memory_screen_and_future(make: MakeMachine, run: _Run) -> None:
    with make() as machine:
        _need(machine, Capability.SAVE)
        mend = "save all that the emulator keeps, and the screen, in _save"
        for point in range(3):
            run.other(3 * point, 1 + run.frames // 3).play(machine)
            state, then = machine.save(), _Seen.of(machine)
            then.expect(machine, "after save", "saving must change nothing")
            ahead, detour = run.other(3 * point + 1), run.other(3 * point + 2)
            future, end = ahead.play(machine), _Seen.of(machine)
            detour.play(machine)
            machine.restore(state)
            then.expect(machine, "after restore", mend)
            _expect_equal(future, ahead.play(machine), "after the same inputs from a restored state", mend)
            end.expect(machine, "at the end of the same future", mend)
            machine.restore(state)


def _states_work_in_another_machine(make: MakeMachine, run: _Run) -> None:
    with make() as one, make() as other:
        _need(one, Capability.SAVE)
        if one.fingerprint != other.fingerprint:
            raise _FailedError(
                "two machines of one game have different fingerprints; keep what varies out of them"
            )
        run.play(one)
        state, then = one.save(), _Seen.of(one)
        run.other(1).play(other)
        other.restore(state)
        then.expect(other, "in another machine", "a state may hold no addresses of its process")
        ahead = run.other(2)
        _expect_equal(
            ahead.play(one), ahead.play(other), "in the future of a state in another machine", "see above"
        )


def _foreign_and_damaged_states_are_refused(make: MakeMachine, run: _Run) -> None:
    with make() as machine:
        _need(machine, Capability.SAVE)
        run.play(machine)
        state, then = machine.save(), _Seen.of(machine)
        foreign = bytearray(state)
        foreign[4] ^= 1
        wrong = {
            "an empty state": b"",
            "a text": b"not a state of any machine",
            "a state of another game": bytes(foreign),
            "a state cut to half": state[: len(state) // 2],
            "a state with a byte too many": state + b"\0",
            "a sealed empty payload": seal_state(machine.fingerprint, 1, b""),
            "a sealed payload cut to half": seal_state(
                machine.fingerprint, 1, state[STATE_HEADER.size :][: len(state) // 2]
            ),
        }
        for what, bytes_ in wrong.items():
            try:
                machine.restore(bytes_)
            except StateMismatch:
                then.expect(
                    machine, f"after {what} was refused", "check a state before it touches the machine"
                )
            else:
                raise _FailedError(f"{what} was restored; raise StateMismatch from _restore")
        machine.restore(state)
        then.expect(machine, "after the good state came back", "a refused state must change nothing")


def _instances_in_one_process_are_isolated(make: MakeMachine, run: _Run) -> None:
    other_run = run.other(1)
    with make() as alone:
        expected = run.play(alone)
    with make() as alone:
        expected_other = other_run.play(alone)
    mend = "keep the emulator's globals apart: a copy of its library for each instance"
    with make() as one, make() as two:
        seen: tuple[list[str], list[str]] = ([], [])
        turns = zip(run.inputs(one), other_run.inputs(two), strict=False)
        for (masks, held), (other_masks, other_held) in turns:
            one.advance(masks, held)
            two.advance(other_masks, other_held)
            seen[0].append(one.hash())
            seen[1].append(two.hash())
        count = len(seen[0])
        _expect_equal(expected[:count], seen[0], "between a machine alone and beside another", mend)
        _expect_equal(expected_other[:count], seen[1], "between a machine alone and beside another", mend)
        one.close()
        two.advance(None, 10)


def _frames_are_frames(make: MakeMachine, run: _Run) -> None:
    with make() as together, make() as singly:
        for masks, held in run.inputs(together):
            together.advance(masks, held)
            for _ in range(held):
                singly.advance(masks)
        if together.frame != run.frames:
            raise _FailedError(
                f"frame says {together.frame} after {run.frames} frames; count them in _advance"
            )
        if together.hash() != singly.hash():
            raise _FailedError(
                "advance(x, n) differs from n times advance(x); a frame without video must be a frame"
            )
        _Seen.of(singly).expect(together, "between n frames at once and one by one", "draw the last frame")


def _inputs_may_be_names_masks_or_arrays(make: MakeMachine, run: _Run) -> None:
    with make() as by_mask, make() as by_name, make() as by_array:
        for masks, held in run.inputs(by_mask):
            by_mask.advance(masks, held)
            pads = zip(by_name.controllers, masks, strict=True)
            by_name.advance([pad.names(mask) for pad, mask in pads], held)
            by_array.advance(np.array(masks, np.uint32), held)
        if not by_mask.hash() == by_name.hash() == by_array.hash():
            raise _FailedError("names, masks and arrays of the same buttons differ; bit i is buttons[i]")
        for wrong in ("NoSuchButton", [0] * (len(by_mask.controllers) + 1)):
            try:
                by_mask.advance(wrong)
            except Unsupported:
                continue
            raise _FailedError(f"advance({wrong!r}) was accepted; raise Unsupported")


def _writes_reach_the_machine(make: MakeMachine, run: _Run) -> None:
    with make() as machine:
        _need(machine, Capability.WRITE)
        _need(machine, Capability.SAVE)
        run.play(machine)
        names = [name for name, domain in machine.domains.items() if domain.writable and domain.hashed]
        if not names:
            raise _FailedError("WRITE without a writable domain; drop the capability")
        for name in names:
            place = machine.domains[name].size // 2
            value = machine.memory[name][place] ^ 0x5A
            machine.memory[name][place] = value
            state = machine.save()
            run.other(1, 8).play(machine)
            machine.restore(state)
            if machine.memory[name][place] != value:
                raise _FailedError(
                    f"a byte written to '{name}' is not in the state saved next; write through in _save"
                )


def _what_is_not_promised_raises_unsupported(make: MakeMachine, run: _Run) -> None:
    asked: dict[Capability, Callable[[Machine], object]] = {
        Capability.SAVE: lambda machine: machine.save(),
        Capability.SCREEN: lambda machine: machine.screen(),
        Capability.RESET_BUTTON: lambda machine: machine.press_reset(),
    }
    with make() as machine:
        for capability, ask in asked.items():
            if capability in machine.capabilities:
                ask(machine)
                continue
            try:
                ask(machine)
            except Unsupported:
                continue
            raise _FailedError(f"{capability.name} is not among the capabilities and yet works; declare it")
        several = len(machine.controllers) > 1
        if several != (Capability.MULTIPLAYER in machine.capabilities):
            raise _FailedError(f"{len(machine.controllers)} controllers; MULTIPLAYER means more than one")


def _a_pool_plays_as_the_machine_does(make: MakeMachine, run: _Run) -> None:
    with make() as machine:
        spans = tuple(Span(name, 0, domain.size, raw=True) for name, domain in machine.domains.items())
        settings = PoolSettings(frame_skip=3, spans=spans, threads=2)
        pool = backend(machine.spec.backend).pool(machine.spec, 2, settings)
        assert isinstance(pool, Pool)
        try:
            pool.reset([0, 1], [None, None], [0, 0])
            for masks, _ in run.other(0, run.frames // 3).inputs(machine):
                machine.advance(masks, 3)
                pool.step(np.array([masks, masks], np.uint32))
                row = np.concatenate([machine.memory[span.domain] for span in spans])
                for index in range(2):
                    if not np.array_equal(pool.rows[index], row):
                        raise _FailedError(
                            f"member {index} of a pool differs from the machine at frame {machine.frame}; "
                            "both must run every frame alike"
                        )
        finally:
            pool.close()


def _inputs_replay_in_fresh_processes(make: MakeMachine, run: _Run) -> None:
    with make() as machine:
        _need(machine, Capability.DETERMINISTIC)
        expected, spec = run.play(machine), machine.spec
    mend = "drop DETERMINISTIC, or take clocks, threads and unset memory out of the emulator's reach"
    for process in ("first", "second"):
        with IsolatedMachine(spec) as remote:
            _expect_equal(expected, run.play(remote), f"in the {process} fresh process", mend)


def _a_crash_is_an_exception(make: MakeMachine, run: _Run) -> None:
    with make() as machine:
        spec = machine.spec
    with IsolatedMachine(spec) as remote:
        remote.advance(None, 5)
        os.kill(remote.worker.pid, signal.SIGSEGV)
        try:
            remote.advance(None, 5)
        except MachineCrashed as crash:
            if "SIGSEGV" not in str(crash):
                raise _FailedError(f"the crash does not name its signal: {crash}") from crash
        else:
            raise _FailedError("a machine whose process died went on; ask the worker before answering for it")
    with IsolatedMachine(spec) as again:
        again.advance(None, 5)


def _closing_twice_is_harmless(make: MakeMachine, run: _Run) -> None:
    machine = make()
    machine.advance(None)
    machine.close()
    machine.close()
    if not machine.closed:
        raise _FailedError("closed is False after close; leave close itself alone, free things in _close")


CHECKS: tuple[Callable[[MakeMachine, _Run], None], ...] = (
    _memory_views_match_their_domains,
    _a_picture_is_rgb,
    _frames_are_frames,
    _inputs_may_be_names_masks_or_arrays,
    _reset_is_power_on,
    _a_restored_state_has_the_same_memory_screen_and_future,
    _states_work_in_another_machine,
    _foreign_and_damaged_states_are_refused,
    _writes_reach_the_machine,
    _what_is_not_promised_raises_unsupported,
    _instances_in_one_process_are_isolated,
    _a_pool_plays_as_the_machine_does,
    _inputs_replay_in_fresh_processes,
    _a_crash_is_an_exception,
    _closing_twice_is_harmless,
)
PROCESS_CHECKS = (_inputs_replay_in_fresh_processes, _a_crash_is_an_exception)
