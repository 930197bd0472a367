"""Pools: the native libretro pool against a plain loop over the same machines, and what both promise."""

from __future__ import annotations

import functools
from collections.abc import Iterator, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np
import pytest
from gymnasium.wrappers import (
    FrameStackObservation,
    GrayscaleObservation,
    MaxAndSkipObservation,
    ResizeObservation,
)
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from frameperfect.errors import GameError, MachineCrashed, StateMismatch, Unsupported
from frameperfect.machine import Machine, MachineSpec
from frameperfect.machines import libretro
from frameperfect.machines.libretro.pool import LibretroPool
from frameperfect.memory import Span, read_span
from frameperfect.pool import MachinePool, Pool, PoolSettings, StickyGenerator, Video
from tests.components import need

stable_retro = need("stable_retro")
AIRSTRIKER = Path(stable_retro.__file__).parent / "data" / "stable" / "Airstriker-Genesis-v0" / "rom.md"
SPECS = [
    MachineSpec("libretro", AIRSTRIKER, system="Genesis", core=core)
    for core in ("picodrive", "genesis_plus_gx")
]
SPEC = SPECS[0]
SPANS = (
    Span("ram", 0xF000, 0x200),
    Span("ram", 0xF001, 7),
    Span("ram", 0xF100, 33, raw=True),
    Span("ram", 0xF000, 3, hops=((4, True, 0xFF0000), (2, False, -5))),
)
PORTS, BUTTONS = 2, 12


def plain(spec: MachineSpec, size: int, settings: PoolSettings) -> MachinePool:
    return MachinePool(lambda: libretro.open(spec), size, settings)


def starts(spec: MachineSpec) -> tuple[bytes, ...]:
    """States of a machine at different places of the game."""
    return _starts(SPECS.index(spec))


@functools.cache
def _starts(number: int) -> tuple[bytes, ...]:
    with libretro.open(SPECS[number]) as machine:
        states = []
        for mask in (0, 128, 0, 8, 136):
            machine.advance(mask, 90)
            states.append(machine.save())
        return tuple(states)


def random_masks(rng: np.random.Generator, size: int) -> NDArray[np.uint32]:
    return rng.integers(0, 1 << BUTTONS, (size, PORTS), np.uint32)


def seen(pool: Pool) -> list[NDArray[Any]]:
    arrays = [pool.rows, pool.inputs] if pool.pixels is None else [pool.rows, pool.inputs, pool.pixels]
    return [array.copy() for array in arrays]


def assert_same(one: Sequence[NDArray[Any]], other: Sequence[NDArray[Any]], where: object = "") -> None:
    for a, b in zip(one, other, strict=True):
        np.testing.assert_array_equal(a, b, str(where))


videos = st.one_of(
    st.none(),
    st.builds(
        Video,
        height=st.sampled_from([84, 30]),
        width=st.sampled_from([84, 51]),
        grey=st.booleans(),
        stack=st.integers(1, 4),
        max_pool=st.booleans(),
        crop=st.sampled_from([None, (10, 20, 150, 200)]),
    ),
    st.just(Video(height=None, width=None, stack=1, crop=(0, 0, 100, 90))),
)


@settings(max_examples=12, deadline=None)
@given(
    st.sampled_from(SPECS),
    st.integers(1, 3),
    st.integers(1, 5),
    st.sampled_from([0.0, 0.25, 0.9]),
    videos,
    st.integers(1, 3),
    st.integers(0, 1 << 32),
)
def test_the_native_pool_does_what_a_plain_loop_over_machines_does(
    spec, size, frame_skip, sticky, video, threads, seed
):
    settings = PoolSettings(frame_skip, sticky, video, SPANS, threads)
    rng = np.random.default_rng(seed)
    with closing(LibretroPool(spec, size, settings)) as native, closing(plain(spec, size, settings)) as loop:
        assert_same(seen(native), seen(loop), "opened")
        for step in range(12):
            if step % 5 == 0:
                who = [int(i) for i in np.flatnonzero(rng.integers(0, 2, size))]
                states = [starts(spec)[i] for i in rng.integers(0, len(starts(spec)), len(who))]
                seeds = [int(s) for s in rng.integers(-(1 << 40), 1 << 62, len(who))]
                for pool in (native, loop):
                    pool.reset(who, states, seeds)
                assert_same(seen(native), seen(loop), ("reset", step))
            masks = random_masks(rng, size)
            active = rng.integers(0, 4, size) > 0 if step % 2 else None
            for pool in (native, loop):
                pool.step(masks, active)
            assert_same(seen(native), seen(loop), step)
            for index in range(size):
                assert native.machine(index).frame == loop.machine(index).frame
        for index in range(size):
            assert native.machine(index).hash() == loop.machine(index).hash()


@settings(max_examples=6, deadline=None)
@given(st.sampled_from(SPECS), st.integers(2, 6), st.integers(1, 4), st.sampled_from([0.0, 0.3]), st.data())
def test_a_machines_run_depends_on_neither_its_neighbours_nor_the_threads(spec, size, threads, sticky, data):
    rng = np.random.default_rng(data.draw(st.integers(0, 999)))
    index = data.draw(st.integers(0, size - 1))
    settings = PoolSettings(3, sticky, Video(stack=2), SPANS, threads)
    states, seeds = rng.integers(0, len(starts(spec)), size), [int(s) for s in rng.integers(0, 1 << 62, size)]
    with closing(LibretroPool(spec, size, settings)) as many, closing(LibretroPool(spec, 1, settings)) as one:
        many.reset(range(size), [starts(spec)[i] for i in states], seeds)
        one.reset([0], [starts(spec)[states[index]]], [seeds[index]])
        for step in range(15):
            masks = random_masks(rng, size)
            many.send(masks)
            one.step(masks[index : index + 1])
            many.recv()
            for all_of_them, alone in zip(seen(many), seen(one), strict=True):
                np.testing.assert_array_equal(all_of_them[index], alone[0], str(step))


@settings(max_examples=6, deadline=None)
@given(
    st.sampled_from([LibretroPool, plain]),
    st.sampled_from(SPECS),
    st.sampled_from([0.0, 0.5]),
    st.integers(0, 999),
)
def test_a_member_that_is_restored_goes_on_as_it_did(kind, spec, sticky, seed):
    rng = np.random.default_rng(seed)
    settings = PoolSettings(4, sticky, Video(), SPANS)
    with closing(kind(spec, 2, settings)) as pool:
        pool.reset([0, 1], [starts(spec)[2], None], [seed, 1])
        for _ in range(3):
            pool.step(random_masks(rng, 2))
        saved, then = pool.save(1), [array[1].copy() for array in seen(pool)]
        assert len(saved) > 1000
        plan = [random_masks(rng, 2) for _ in range(4)]
        runs = []
        for _ in range(2):
            pool.restore(1, saved)
            assert_same([array[1] for array in seen(pool)], then)
            steps = []
            for masks in plan:
                pool.step(masks)
                steps += [array[1] for array in seen(pool)]
            runs.append((steps, pool.machine(1).frame, pool.machine(1).hash()))
        assert_same(runs[0][0], runs[1][0])
        assert runs[0][1:] == runs[1][1:]
        pool.restore(0, saved)  # any member of an equal pool can hold it
        assert_same([array[0] for array in seen(pool)], then)


def test_the_inputs_array_tells_what_each_frame_got():
    rng = np.random.default_rng(3)
    with closing(LibretroPool(SPEC, 2, PoolSettings(4, 0.4))) as pool, libretro.open(SPEC) as machine:
        pool.reset([0, 1], [starts(SPEC)[1]] * 2, [5, 6])
        machine.restore(starts(SPEC)[1])
        for _ in range(20):
            pool.step(random_masks(rng, 2))
            for masks in pool.inputs[1]:
                machine.advance(masks)
        assert machine.hash() == pool.machine(1).hash()
        assert not np.array_equal(pool.inputs[0], pool.inputs[1])


@pytest.mark.parametrize("kind", [LibretroPool, plain])
def test_a_frame_sticks_where_the_generator_draws_below_the_chance(kind):
    settings = PoolSettings(frame_skip=5, sticky=0.25)
    with closing(kind(SPEC, 1, settings)) as pool:
        pool.reset([0], [None], [2**64 + 7])
        generator, previous = StickyGenerator(7), (0, 0)
        for step in range(1, 30):
            pool.step(np.array([[step, step + 1]], np.uint32))
            for frame in pool.inputs[0].tolist():
                if generator.draw() >= 0.25:
                    previous = (step, step + 1)
                assert tuple(frame) == previous


def test_the_sticky_generator_is_splitmix64():
    generator = StickyGenerator(1234567)
    # The published first outputs for this seed, as their upper 53 bits.
    published = [6457827717110365317, 3203168211198807973, 9817491932198370423, 4593380528125082431]
    assert [generator.draw() for _ in published] == [(value >> 11) / 2**53 for value in published]
    draws = [generator.draw() for _ in range(4000)]
    assert 0.22 < np.mean(np.array(draws) < 0.25) < 0.28


class Screens(gymnasium.Env[NDArray[np.uint8], np.int64]):
    """A bare machine as an environment of single frames."""

    def __init__(self, machine: Machine, start: bytes) -> None:
        self.machine, self.start = machine, start
        machine.restore(start)
        self.observation_space = gymnasium.spaces.Box(0, 255, machine.screen().shape, np.uint8)
        self.action_space = gymnasium.spaces.Discrete(1 << BUTTONS)

    def reset(self, **_: Any) -> tuple[NDArray[np.uint8], dict[str, Any]]:
        self.machine.restore(self.start)
        return self.machine.screen(), {}

    def step(self, action: Any) -> tuple[NDArray[np.uint8], float, bool, bool, dict[str, Any]]:
        self.machine.advance(int(action))
        return self.machine.screen(), 0.0, False, False, {}


@pytest.mark.parametrize("spec", SPECS, ids=lambda spec: spec.core)
def test_pixels_equal_gymnasiums_wrappers_over_the_bare_machine(spec):
    need("cv2")
    rng = np.random.default_rng(0)
    start = starts(spec)[3]
    with (
        closing(LibretroPool(spec, 1, PoolSettings(4, video=Video()))) as pool,
        libretro.open(spec) as machine,
    ):
        env: gymnasium.Env[Any, Any] = MaxAndSkipObservation(Screens(machine, start), 4)
        env = FrameStackObservation(ResizeObservation(GrayscaleObservation(env), (84, 84)), 4)
        pool.reset([0], [start], [0])
        assert pool.pixels is not None
        np.testing.assert_array_equal(pool.pixels[0], env.reset()[0])
        for _ in range(15):
            action = int(rng.integers(1 << BUTTONS))
            pool.step(np.array([[action, 0]], np.uint32))
            np.testing.assert_array_equal(pool.pixels[0], env.step(action)[0])


@settings(max_examples=25, deadline=None)
@given(st.data())
def test_rows_hold_the_bytes_of_any_span_as_memory_reads_them(data):
    hop = st.tuples(st.integers(1, 8), st.booleans(), st.integers(-(1 << 25), 1 << 25))
    near = st.tuples(st.just(2), st.booleans(), st.integers(0xFF0000, 0xFF0000 + 40))
    spans = []
    for _ in range(data.draw(st.integers(1, 5))):
        offset = data.draw(st.integers(0, 0xFFF0))
        hops = tuple(data.draw(st.lists(st.one_of(hop, near), max_size=3)))
        length = data.draw(st.integers(0, 0x10000 - offset if not hops and data.draw(st.booleans()) else 16))
        spans.append(Span("ram", offset, length, raw=not hops and data.draw(st.booleans()), hops=hops))
    with closing(LibretroPool(SPEC, 1, PoolSettings(spans=tuple(spans)))) as pool:
        machine = pool.machine(0)
        machine.memory["ram"][:] = np.random.default_rng(0).integers(
            0, 256, machine.memory["ram"].size, np.uint8
        )
        state = pool.save(0)
        pool.restore(0, state)
        assert pool.rows[0].tobytes() == b"".join(read_span(machine, span) for span in spans)


@pytest.fixture(params=[LibretroPool, plain], ids=["native", "plain"])
def pool(request) -> Iterator[Pool]:
    with closing(request.param(SPEC, 2, PoolSettings(2, video=Video(stack=2), spans=SPANS[:1]))) as pool:
        yield pool


def test_a_reset_fills_the_stack_with_the_starts_own_picture(pool):
    pool.reset([1], [starts(SPEC)[4]], [0])
    assert pool.pixels[1].any()
    np.testing.assert_array_equal(pool.pixels[1, 0], pool.pixels[1, 1])
    assert pool.machine(1).frame == 450
    assert not pool.pixels[0].any()


def test_power_on_is_the_same_each_time(pool):
    runs = []
    for _ in range(2):
        pool.reset([0], [None], [0])
        for mask in (0, 128, 5):
            pool.step(np.full((2, PORTS), mask, np.uint32))
        runs.append([array[0] for array in seen(pool)])
        assert pool.machine(0).frame == 6
    assert_same(*runs)


@pytest.mark.parametrize(
    "spoil", [lambda s: s[:-1], lambda s: b"FPS1" + s[4:], lambda s: s[:30], lambda s: b""]
)
def test_a_damaged_member_state_is_refused_and_changes_nothing(pool, spoil):
    pool.reset([0], [starts(SPEC)[1]], [0])
    saved, before, hash_before = pool.save(0), seen(pool), pool.machine(0).hash()
    with pytest.raises(StateMismatch):
        pool.restore(0, spoil(saved))
    assert_same(seen(pool), before)
    assert pool.machine(0).hash() == hash_before


def test_a_state_of_other_settings_or_another_core_is_refused(pool):
    with closing(LibretroPool(SPEC, 1, PoolSettings(3, video=Video(stack=2)))) as other:
        foreign = other.save(0)
    with pytest.raises(StateMismatch, match="frame skip"):
        pool.restore(0, foreign)
    with pytest.raises(StateMismatch, match="another"):
        pool.reset([0, 1], [starts(SPEC)[0], starts(SPECS[1])[0]], [0, 0])
    with pytest.raises(StateMismatch):
        pool.reset([0], [starts(SPEC)[0][:-10]], [0])


def test_calls_out_of_turn_and_masks_of_another_shape_are_refused(pool):
    masks = np.zeros((2, PORTS), np.uint32)
    with pytest.raises(RuntimeError, match="send"):
        pool.recv()
    pool.send(masks)
    with pytest.raises(RuntimeError, match="recv"):
        pool.send(masks)
    pool.recv()
    with pytest.raises(ValueError, match="masks"):
        pool.step(masks[:1])


def test_send_copies_its_arguments(pool):
    pool.reset([0, 1], [starts(SPEC)[0]] * 2, [0, 0])
    masks, active = np.full((2, PORTS), 3, np.uint32), np.array([True, False])
    pool.send(masks, active)
    masks[:], active[:] = 0, True
    pool.recv()
    assert (pool.inputs[0] == 3).all()
    assert not pool.inputs[1].any()


def test_a_replaced_machine_begins_anew(pool):
    old = pool.machine(1)
    pool.replace(1)
    assert old.closed
    pool.reset([0, 1], [starts(SPEC)[1]] * 2, [0, 0])
    pool.step(np.full((2, PORTS), 16, np.uint32))
    np.testing.assert_array_equal(pool.rows[0], pool.rows[1])
    np.testing.assert_array_equal(pool.pixels[0], pool.pixels[1])


def test_a_pool_closes_in_the_middle_of_a_step_and_closes_twice(pool):
    pool.send(np.zeros((2, PORTS), np.uint32))
    pool.close()
    pool.close()


def test_a_script_shares_the_machine_of_a_pool():
    with closing(LibretroPool(SPEC, 1, PoolSettings(1, spans=(Span("ram", 0, 4),)))) as pool:
        machine = pool.machine(0)
        machine.restore(starts(SPEC)[0])
        machine.memory["ram"][0x8000:0x8004] = 1
        pool.step(np.zeros((1, PORTS), np.uint32))
        assert machine.frame == 91
        with libretro.open(SPEC) as twin:
            twin.restore(starts(SPEC)[0])
            twin.memory["ram"][0x8000:0x8004] = 1
            twin.advance()
            np.testing.assert_array_equal(machine.screen(), twin.screen())
            assert machine.hash() == twin.hash()
        machine.close()
        pool.step(np.zeros((1, PORTS), np.uint32))


@pytest.mark.parametrize("kind", [LibretroPool, plain])
def test_a_crop_that_is_not_on_the_screen_is_refused(kind):
    with pytest.raises(Unsupported, match="224 high"):
        kind(SPEC, 1, PoolSettings(video=Video(crop=(200, 0, 100, 100))))


@pytest.mark.parametrize("span", [Span("ram", 0xFFFF, 2), Span("rom", 0, 1), Span("ram", -1, 1)])
def test_a_span_outside_the_memory_is_refused(span):
    with pytest.raises(GameError, match="ram"):
        LibretroPool(SPEC, 1, PoolSettings(spans=(span,)))


def test_a_plain_pool_names_the_machines_that_crashed_and_steps_the_others():
    class Fragile(type(libretro.open(SPEC))):  # type: ignore[misc]
        def _advance(self, masks, analog, frames):
            if masks[0] == 7:
                raise MachineCrashed("it died")
            super()._advance(masks, analog, frames)

    with closing(MachinePool(lambda: Fragile(SPEC), 3, PoolSettings())) as pool:
        with pytest.raises(MachineCrashed, match="machines 0, 2") as crash:
            pool.step(np.array([[7, 0], [1, 0], [7, 0]], np.uint32))
        assert crash.value.indices == (0, 2)
        assert pool.machine(1).frame == 1
        pool.replace(0)
        pool.replace(2)
        pool.reset([0, 2], [None, None], [0, 0])
        pool.step(np.zeros((3, PORTS), np.uint32))
