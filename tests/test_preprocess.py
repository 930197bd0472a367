"""The native frames-to-observations code against Gymnasium's wrapper stack and OpenCV, bit for bit."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import gymnasium
import numpy as np
import pytest
from frameperfect._native import Preprocessor
from gymnasium.wrappers import (
    FrameStackObservation,
    GrayscaleObservation,
    MaxAndSkipObservation,
    ResizeObservation,
)
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from tests.components import need

cv2 = need("cv2")

FORMATS = ("rgb565", "xrgb1555", "xrgb8888", "rgb888")


class Film(gymnasium.Env[NDArray[np.uint8], np.int64]):
    """An environment that shows given RGB frames, one a step."""

    def __init__(self, frames: Sequence[NDArray[np.uint8]]) -> None:
        self.frames = frames
        self.observation_space = gymnasium.spaces.Box(0, 255, frames[0].shape, np.uint8)
        self.action_space = gymnasium.spaces.Discrete(1)

    def reset(self, **_: Any) -> tuple[NDArray[np.uint8], dict[str, Any]]:
        self.left = iter(self.frames)
        return next(self.left), {}

    def step(self, action: Any) -> tuple[NDArray[np.uint8], float, bool, bool, dict[str, Any]]:
        return next(self.left), 0.0, False, False, {}


def random_frame(rng: np.random.Generator, height: int, width: int, kind: str) -> NDArray[Any]:
    """A frame in an emulator's format, its rows farther apart than they are long."""
    few = rng.integers(0, 2)  # few colours, as games have, or all
    if kind == "rgb888":
        frame = rng.integers(0, 256, (height, width + 3, 3), np.uint8)
    elif kind == "xrgb8888":
        frame = rng.integers(0, 1 << 32, (height, width + 3), np.uint32)
    else:
        frame = rng.integers(0, 1 << 16, (height, width + 3), np.uint16)
    if few:
        palette = rng.permutation(frame.reshape(-1, *frame.shape[2:]))[:5]
        frame = palette[rng.integers(0, len(palette), frame.shape[:2])]
    return frame[:, :width]


def to_rgb(frame: NDArray[Any], kind: str) -> NDArray[np.uint8]:
    """The frame as RGB888; channels of 5 and 6 bits repeat their high bits."""
    if kind == "rgb888":
        return np.ascontiguousarray(frame)
    shifts = {"rgb565": (11, 5, 0), "xrgb1555": (10, 5, 0), "xrgb8888": (16, 8, 0)}[kind]
    widths = {"rgb565": (5, 6, 5), "xrgb1555": (5, 5, 5), "xrgb8888": (8, 8, 8)}[kind]
    channels = []
    for shift, width in zip(shifts, widths, strict=True):
        value = frame.astype(np.uint32) >> shift & (1 << width) - 1
        channels.append(value << 8 - width | value >> 2 * width - 8 if width < 8 else value)
    return np.stack(channels, -1).astype(np.uint8)


def native_stacks(
    frames: Sequence[NDArray[Any]],
    kind: str,
    skip: int,
    shape: tuple[int, int],
    grey: bool,
    stack: int,
    crop: tuple[int, int, int, int] | None = None,
) -> list[NDArray[np.uint8]]:
    """The observations of the reset frame and of each step of `skip` frames after it."""
    preprocessor = Preprocessor(*shape, grey, stack, crop)
    out = np.zeros((stack, *shape) if grey else (stack, *shape, 3), np.uint8)
    kind = kind if kind in FORMATS[:2] else ""
    preprocessor.fill(frames[0], out, kind)
    seen = [out.copy()]
    for last in range(skip, len(frames), skip):
        if skip > 1:
            preprocessor.keep(frames[last - 1], kind)
        preprocessor.push(frames[last], out, kind)
        seen.append(out.copy())
    return seen


sizes = st.one_of(
    st.tuples(st.integers(1, 60), st.integers(1, 60)),
    st.sampled_from([(224, 320), (240, 256), (144, 160), (210, 160), (168, 168), (252, 84), (84, 84)]),
)
shapes = st.one_of(st.tuples(st.integers(1, 60), st.integers(1, 60)), st.just((84, 84)))


@settings(max_examples=150, deadline=None)
@given(sizes, shapes, st.booleans(), st.integers(0, 1 << 32))
def test_resize_equals_opencv_area_resize_at_every_ratio(size, shape, grey, seed):
    frame = np.random.default_rng(seed).integers(0, 256, (*size, 3), np.uint8)
    seen = native_stacks([frame], "rgb888", 1, shape, grey, 1)[0][0]
    if grey:
        frame = np.sum(np.multiply(frame, np.array([0.2125, 0.7154, 0.0721])), axis=-1).astype(np.uint8)
    wanted = cv2.resize(frame, shape[::-1], interpolation=cv2.INTER_AREA)
    np.testing.assert_array_equal(seen, wanted)


@settings(max_examples=40, deadline=None)
@given(
    sizes,
    shapes,
    st.sampled_from(FORMATS),
    st.booleans(),
    st.integers(2, 4),
    st.integers(1, 4),
    st.integers(0, 999),
)
def test_observations_equal_gymnasiums_wrapper_stack(size, shape, kind, grey, skip, stack, seed):
    rng = np.random.default_rng(seed)
    frames = [random_frame(rng, *size, kind) for _ in range(1 + 3 * skip)]
    env: gymnasium.Env[Any, Any] = MaxAndSkipObservation(Film([to_rgb(f, kind) for f in frames]), skip)
    if grey:
        env = GrayscaleObservation(env)
    env = FrameStackObservation(ResizeObservation(env, shape), stack)
    wanted = [env.reset()[0], *(env.step(0)[0] for _ in range(3))]
    for seen, want in zip(native_stacks(frames, kind, skip, shape, grey, stack), wanted, strict=True):
        np.testing.assert_array_equal(seen, want)


@pytest.mark.parametrize("kind", ["rgb888", "xrgb8888"])
def test_every_colour_becomes_the_grey_that_gymnasium_gives_it(kind):
    blue, green = np.meshgrid(np.arange(256), np.arange(256))
    for red in range(0, 256, 1):
        rgb = np.stack([np.full_like(green, red), green, blue], -1).astype(np.uint8)
        wanted = np.sum(np.multiply(rgb, np.array([0.2125, 0.7154, 0.0721])), axis=-1).astype(np.uint8)
        frame = rgb if kind == "rgb888" else (red << 16 | green << 8 | blue).astype(np.uint32)
        np.testing.assert_array_equal(native_stacks([frame], kind, 1, (256, 256), True, 1)[0][0], wanted)


@pytest.mark.parametrize("kind", ["rgb565", "xrgb1555"])
def test_every_16_bit_colour_becomes_its_rgb_and_its_grey(kind):
    frame = np.arange(1 << 16, dtype=np.uint16).reshape(256, 256)
    rgb = to_rgb(frame, kind)
    wanted = np.sum(np.multiply(rgb, np.array([0.2125, 0.7154, 0.0721])), axis=-1).astype(np.uint8)
    np.testing.assert_array_equal(native_stacks([frame], kind, 1, (256, 256), False, 1)[0][0], rgb)
    np.testing.assert_array_equal(native_stacks([frame], kind, 1, (256, 256), True, 1)[0][0], wanted)


@settings(max_examples=20, deadline=None)
@given(sizes, st.booleans(), st.integers(0, 999))
def test_a_grey_frame_stays_as_it_is(size, grey, seed):
    frame = np.random.default_rng(seed).integers(0, 256, size, np.uint8)
    seen = native_stacks([frame], "grey", 1, size, grey, 1)[0][0]
    np.testing.assert_array_equal(seen, frame if grey else np.stack([frame] * 3, -1))


@settings(max_examples=40, deadline=None)
@given(st.data(), st.sampled_from(FORMATS), st.integers(0, 999))
def test_a_crop_is_the_observation_of_the_part_alone(data, kind, seed):
    height, width = data.draw(sizes)
    top, left = data.draw(st.integers(0, height - 1)), data.draw(st.integers(0, width - 1))
    rows, columns = data.draw(st.integers(1, height - top)), data.draw(st.integers(1, width - left))
    shape = data.draw(shapes)
    rng = np.random.default_rng(seed)
    frames = [random_frame(rng, height, width, kind) for _ in range(5)]
    parts = [frame[top : top + rows, left : left + columns] for frame in frames]
    seen = native_stacks(frames, kind, 2, shape, True, 2, (top, left, rows, columns))
    for one, wanted in zip(seen, native_stacks(parts, kind, 2, shape, True, 2), strict=True):
        np.testing.assert_array_equal(one, wanted)


@settings(max_examples=20, deadline=None)
@given(st.lists(sizes, min_size=2, max_size=5), st.sampled_from(FORMATS), st.integers(0, 999))
def test_a_screen_that_changes_its_size_is_resized_anew(screens, kind, seed):
    rng = np.random.default_rng(seed)
    frames = [random_frame(rng, *size, kind) for size in screens]
    stack = native_stacks(frames, kind, 1, (20, 30), True, len(frames))[-1]
    for one, frame in zip(stack, frames, strict=True):
        np.testing.assert_array_equal(one, native_stacks([frame], kind, 1, (20, 30), True, 1)[0][0])


def test_the_last_frame_counts_alone_where_the_screen_changed_before_it():
    rng = np.random.default_rng(0)
    small, large = random_frame(rng, 20, 20, "rgb888"), random_frame(rng, 40, 30, "rgb888")
    seen = native_stacks([large, small, large], "rgb888", 2, (10, 10), False, 1)
    np.testing.assert_array_equal(seen[1], native_stacks([large], "rgb888", 1, (10, 10), False, 1)[0])


def test_a_crop_beyond_the_screen_is_black():
    frame = np.full((10, 10, 3), 255, np.uint8)
    assert not native_stacks([frame], "rgb888", 1, (5, 5), True, 2, (10, 0, 4, 4))[0].any()


@pytest.mark.parametrize(
    "frame",
    [
        np.zeros((4, 4, 4), np.uint8),
        np.zeros((4, 4), np.uint16),
        np.zeros((4, 4, 3), np.float32),
        np.zeros((4, 8, 3), np.uint8)[:, ::2],
    ],
)
def test_frames_of_other_kinds_are_refused(frame):
    with pytest.raises(ValueError, match=r"frame|pixels"):
        Preprocessor(2, 2).push(frame, np.zeros((4, 2, 2), np.uint8))


def test_a_stack_of_another_shape_is_refused():
    with pytest.raises(ValueError, match="shape"):
        Preprocessor(2, 2).push(np.zeros((4, 4, 3), np.uint8), np.zeros((4, 2, 3), np.uint8))
