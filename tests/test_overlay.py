"""Overlays draw what they say, inside the picture only, and a rewind leaves no trace in them."""

from __future__ import annotations

import itertools
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import frameperfect as fp
from frameperfect.errors import FrameperfectError, GameError
from frameperfect.game.schema import parse_toml
from tests.components import need
from tests.roms import ROMS

need("PIL")
need("matplotlib")

from frameperfect.view.overlay import (  # noqa: E402
    LINE,
    NAMES,
    Canvas,
    Scene,
    Spectator,
    draw,
    make_overlays,
    shown_names,
    text_width,
)
from frameperfect.view.overlay.panels import Inputs, Probabilities, Reward, Variables  # noqa: E402
from frameperfect.view.overlay.trail import NEW, Trail  # noqa: E402

WHITE = (255, 255, 255)
MARGIN = 7
number = st.one_of(st.floats(-60, 100), st.floats(), st.sampled_from([1e300, -1e300, 0.5, 39.5]))


def black(height: int = 30, width: int = 40) -> np.ndarray:
    return np.zeros((height, width, 3), np.uint8)


def lit(picture: np.ndarray) -> set[tuple[int, int]]:
    """The places (x, y) that are not black."""
    rows, columns = np.nonzero(picture.any(axis=2))
    return set(zip(columns.tolist(), rows.tolist(), strict=True))


# -- the canvas --------------------------------------------------------------------------------------------


@given(
    what=st.sampled_from(["text", "line", "box", "filled", "faint", "image", "plot", "polyline", "masked"]),
    at=st.tuples(number, number, number, number),
    width=st.integers(1, 4),
)
def test_nothing_outside_the_picture_is_touched_or_an_error(
    what: str, at: tuple[float, float, float, float], width: int
) -> None:
    around = np.full((30 + 2 * MARGIN, 40 + 2 * MARGIN, 3), 9, np.uint8)
    inside = around[MARGIN:-MARGIN, MARGIN:-MARGIN]
    canvas = Canvas(inside)
    picture = np.full((11, 13, 3), 200, np.uint8)
    if what == "text":
        canvas.text(at[0], at[1], "Right A", WHITE)
        canvas.text(at[2], at[3], "Right A", WHITE, back=(1, 2, 3))
    elif what == "line":
        canvas.line(*at, WHITE, width)
    elif what == "polyline":
        canvas.polyline([at[:2], at[2:], (5, 5), at[:2]], WHITE, width)
    elif what == "box":
        canvas.box(*at, WHITE)
    elif what in ("filled", "faint"):
        canvas.filled(*at, WHITE, 0.5 if what == "faint" else 1)
    elif what == "image":
        canvas.image(at[0], at[1], picture, 0.3)
    elif what == "masked":
        canvas.image(at[0], at[1], picture, np.linspace(0, 1, 11 * 13).reshape(11, 13))
    else:
        canvas.plot(*at, [1, 5, float("nan"), 2], WHITE)
    outside = around.copy()
    outside[MARGIN:-MARGIN, MARGIN:-MARGIN] = 9
    assert (outside == 9).all()


@given(st.tuples(*[st.integers(0, 39), st.integers(0, 29)] * 2))
def test_a_line_is_an_unbroken_row_of_pixels_on_the_way_from_end_to_end(
    at: tuple[int, int, int, int],
) -> None:
    picture = black()
    Canvas(picture).line(*at, WHITE)
    (x0, y0, x1, y1), places = at, lit(picture)
    assert {(x0, y0), (x1, y1)} <= places
    assert len(places) == max(abs(x1 - x0), abs(y1 - y0)) + 1
    length = max(np.hypot(x1 - x0, y1 - y0), 1e-9)
    for x, y in places:
        assert abs((x1 - x0) * (y - y0) - (y1 - y0) * (x - x0)) / length <= 0.75


@given(st.tuples(*[st.integers(-200, 240)] * 4))
def test_a_line_that_leaves_the_picture_is_the_seen_part_of_the_whole_line(
    at: tuple[int, int, int, int],
) -> None:
    x0, y0, x1, y1 = at
    whole = black(500, 500)
    Canvas(whole).line(x0 + 220, y0 + 220, x1 + 220, y1 + 220, WHITE)
    expected, picture = lit(whole[220:250, 220:260]), black()
    Canvas(picture).line(*at, WHITE)
    for some, others in ((lit(picture), expected), (expected, lit(picture))):
        # Where a line is cut it may round the other way, by one pixel.
        for x, y in some:
            near = itertools.product((x - 1, x, x + 1), (y - 1, y, y + 1))
            at_the_edge = x in (0, 39) or y in (0, 29)
            assert at_the_edge or any(place in others for place in near)


@given(st.integers(-50, 60), st.integers(-50, 60), st.integers(0, 50), st.integers(0, 50), st.floats(0, 1))
def test_rectangles_and_pictures_cover_just_their_part(
    x: int, y: int, w: int, h: int, opacity: float
) -> None:
    start = np.random.default_rng(0).integers(0, 256, (30, 40, 3)).astype(np.uint8)
    covered = np.zeros((30, 40), bool)
    covered[max(y, 0) : max(y + h, 0), max(x, 0) : max(x + w, 0)] = True
    mixed = start * (1 - opacity) + 255 * opacity
    expected = np.where(covered[..., None], mixed, start)
    filled, pasted = start.copy(), start.copy()
    Canvas(filled).filled(x, y, w, h, WHITE, opacity)
    Canvas(pasted).image(x, y, np.full((h, w, 3), 255, np.uint8), opacity)
    for picture in (filled, pasted):
        assert np.abs(picture - expected).max() <= 2  # 256ths, cut
        assert (picture[~covered] == start[~covered]).all()


def test_a_polyline_goes_through_its_points_and_stops_where_one_is_missing() -> None:
    picture = black()
    Canvas(picture).polyline([(1, 1), (9, 1), (np.nan, np.nan), (20, 20), (20, 28)], WHITE)
    assert lit(picture) == {(x, 1) for x in range(1, 10)} | {(20, y) for y in range(20, 29)}


def test_a_plot_puts_the_least_at_the_bottom_and_the_greatest_at_the_top() -> None:
    picture = black()
    Canvas(picture).plot(2, 3, 30, 20, [0, 5, 10], WHITE)
    places = lit(picture)
    assert {(2, 22), (31, 3)} <= places
    assert all(2 <= x < 32 and 3 <= y < 23 for x, y in places)
    scaled = black()
    Canvas(scaled).plot(2, 3, 30, 20, [0, 5, 10], WHITE, low=0, high=20)
    assert min(y for _, y in lit(scaled)) > 10


def test_text_is_as_wide_as_it_says_and_the_same_on_a_ground_of_its_colour() -> None:
    free, grounded = black(LINE, 200), black(LINE, 200)
    Canvas(free).text(0, 0, "stage 1", WHITE)
    Canvas(grounded).text(0, 0, "stage 1", WHITE, back=(0, 0, 0))
    assert (free == grounded).all()
    assert max(x for x, _ in lit(free)) < text_width("stage 1")
    assert text_width("stage 1") == 7 * text_width("s")


# -- the overlays ------------------------------------------------------------------------------------------

PAD = ("Up", "Down", "Left", "Right", "Select", "Start", "B", "A")


def scene(frame: int, mask: int = 0, **more: object) -> Scene:
    values = {"x": 3 * frame, "y": 100, "camera_x": max(0, 3 * frame - 100), "camera_y": 0}
    fields = {
        "frame": frame, "controllers": [PAD], "masks": [mask], "values": values, "factor": 2,
        "terms": {"way": frame % 7 - 2.0, "coins": float(frame % 3)},
        "probabilities": [0.1, 0.7, 0.2], "action_names": ["", "Right", "Right A"],
    }  # fmt: skip
    return Scene(**{**fields, **more})  # type: ignore[arg-type]


def all_overlays() -> list:
    return [Inputs(), Variables(), Reward(), Probabilities(), Trail(("x", "y"), ("camera_x", "camera_y"))]


def test_the_gamepad_lights_just_what_is_held() -> None:
    def bright(mask: int) -> np.ndarray:
        picture = black(240, 256)
        Inputs()(Canvas(picture), scene(1, mask))
        return (picture[..., 0] > 240) & (picture[..., 2] < 60)

    assert not bright(0).any()
    each = [bright(1 << bit) for bit in range(len(PAD))]
    assert all(one.any() for one in each)
    assert not (each[0] & each[1]).any()
    assert (bright(0b1010_1010) == (each[1] | each[3] | each[5] | each[7])).all()


@given(st.integers(2, 60), st.integers(1, 59))
@settings(max_examples=15, deadline=None)
def test_after_a_rewind_overlays_look_as_if_it_had_never_been(last: int, back: int) -> None:
    def run(frames: list[int]) -> np.ndarray:
        overlays = all_overlays()
        for frame in frames:
            picture = black(480, 512)
            draw(overlays, Canvas(picture), scene(frame))
        return picture

    back = min(back, last)
    straight = list(range(1, last + 1))
    assert (run(straight) == run([*straight, *range(back, last + 1)])).all()


def test_the_trail_lies_in_the_world_while_the_screen_scrolls() -> None:
    trail = Trail(("x", "y"), ("camera_x", "camera_y"))
    for frame in range(1, 80):
        picture = black(480, 512)
        trail(Canvas(picture), scene(frame))
    left = max(0, 3 * 79 - 100)
    for frame in (60, 70, 78):
        x, y = scene(79).at(3 * frame - left, 100)
        assert tuple(picture[int(y), int(x)]) == NEW


def test_a_jump_to_another_place_leaves_no_line_across_the_screen() -> None:
    trail, picture = Trail(("x", "y"), None), black(240, 256)
    for frame, x in enumerate([10, 11, 12, 200, 201, 202], 1):
        picture[:] = 0
        trail(Canvas(picture), scene(frame, values={"x": x, "y": 50}, factor=1))
    assert not picture[:, 40:180].any()


def test_what_lies_in_another_stage_is_no_part_of_the_trail() -> None:
    trail, picture = Trail(("x", "y"), None, ("stage",)), black(240, 256)
    for frame in range(1, 40):
        picture[:] = 0
        values = {"x": 2 * frame, "y": 50, "stage": frame // 20}
        trail(Canvas(picture), scene(frame, values=values, factor=1))
    assert picture[50, 60].any() and not picture[:, :36].any()


def test_the_likeliest_action_has_the_longest_bar() -> None:
    picture = black(240, 256)
    Probabilities()(Canvas(picture), scene(1, probabilities=[0.0, 1.0, 0.0]))
    nothing = black(240, 256)
    Probabilities()(Canvas(nothing), scene(1, probabilities=[0.0, 0.0, 0.0]))
    rows = np.nonzero((picture != nothing).any(axis=(1, 2)))[0]
    assert len(rows)
    without = black(240, 256)
    Probabilities()(Canvas(without), scene(1, probabilities=None))
    assert not without.any()


@pytest.mark.parametrize("size", [(1, 1), (8, 500), (60, 20)])
def test_on_a_picture_too_small_overlays_are_clipped(size: tuple[int, int]) -> None:
    picture = black(*size)
    for frame in range(1, 4):
        draw(all_overlays(), Canvas(picture), scene(frame))


# -- what they look at -------------------------------------------------------------------------------------


def test_a_spectator_sees_the_rewards_that_the_environment_paid() -> None:
    need("stable_retro")
    env = fp.make_env("Airstriker-Genesis", frame_skip=4, reward_terms=True)
    env.reset(seed=0)
    rng = np.random.default_rng(0)
    paid, terms, ended = 0.0, 0.0, False
    for _ in range(150):
        if not ended:
            _, reward, ended, _, info = env.step(int(rng.integers(env.action_space.n)))
            paid, terms = paid + reward, terms + sum(info["reward_terms"].values())
    movie, values = env.movie(), info
    env.close()
    with fp.open("Airstriker-Genesis", core=movie.core, options=movie.options) as machine:
        movie.begin(machine)
        spectator, seen = Spectator(machine, every=4), 0.0
        for frame in movie.replay(machine):
            last = spectator.look(frame, movie.inputs[frame - 1].tolist())
            assert last.terms is not None
            seen += sum(last.terms.values())
    assert paid > 0
    assert spectator.total == seen == paid == terms
    assert {name: last.values[name] for name in ("score", "lives", "x")} == {
        name: values[name] for name in ("score", "lives", "x")
    }


def test_a_panel_shows_the_games_choice_then_its_info_then_all_variables() -> None:
    need("stable_retro")
    with fp.open("Airstriker-Genesis") as machine:
        assert shown_names(machine) == ["score", "lives", "ship", "x", "wave", "level"]
        definition = machine.game.definition
        for section, expected in (
            ({"view": definition.view.model_copy(update={"hud": ["died", "x"]})}, ["died", "x"]),
            ({"observation": definition.observation.model_copy(update={"info": None})}, [*machine.variables]),
        ):
            machine.game.definition = definition.model_copy(update=section)
            assert shown_names(machine) == expected


def test_an_unknown_overlay_suggests_the_nearest_and_a_trail_needs_the_games_names(tmp_path: Path) -> None:
    need("stable_retro")
    with fp.open(ROMS["Nes"].write(tmp_path)) as machine:
        assert len(make_overlays(NAMES[:4], machine)) == 4
        with pytest.raises(FrameperfectError, match="no overlay 'input'; did you mean 'inputs'"):
            make_overlays(["input"], machine)
        with pytest.raises(GameError, match=r"\[view\] trail ="):
            make_overlays(["trail"], machine)


def test_the_view_section_names_variables_or_definitions() -> None:
    text = """
[game]
name = "Tiny-Nes"
[memory]
x = { address = 0 }
y = { address = 1 }
[define]
far = "x > 9"
[view]
"""
    view = parse_toml(text + 'trail = ["x", "y"]\nhud = ["far"]', "game.toml").view
    assert (view.trail, view.camera, view.hud) == (("x", "y"), None, ["far"])
    for wrong, words in (
        ('hud = ["fra"]', r"\[view\] hud: 'fra' is no variable or definition. Did you mean 'far'"),
        ('trail = ["x"]', r"\[view\] trail"),
        ('tail = ["x", "y"]', r"\[view\] unknown key 'tail'. Did you mean 'trail'"),
    ):
        with pytest.raises(GameError, match=words):
            parse_toml(text + wrong, "game.toml")


def test_a_screenshot_is_the_frame_with_its_overlays(tmp_path: Path) -> None:
    need("stable_retro")
    from PIL import Image

    from frameperfect.cli.app import run
    from frameperfect.movie import Recorder, save_movie

    with fp.open("Airstriker-Genesis", start="level1") as machine:
        recorder = Recorder(machine, start="level1")
        for _ in range(30):  # each frame drawn, as in a replay that is looked at
            recorder.advance("Right")
        expected = machine.screen()
        recorder.advance("Left", 30)
        save_movie(recorder.movie(), tmp_path / "run.fpm")
    plain = ["screenshot", str(tmp_path / "run.fpm"), "--frame", "30", "--no-hud"]
    assert run([*plain, "--factor", "1", "--out", str(tmp_path / "plain.png")]) == 0
    with Image.open(tmp_path / "plain.png") as picture:
        assert (np.asarray(picture) == expected).all()
    assert (
        run([*plain, "--overlay", "inputs", "--overlay", "reward", "--out", str(tmp_path / "drawn.png")]) == 0
    )
    with Image.open(tmp_path / "drawn.png") as picture:
        large = np.asarray(picture)
    assert large.shape[0] == 2 * expected.shape[0]
    differs = (large != expected.repeat(2, 0).repeat(2, 1)).any(axis=2)
    assert differs[-100:, :140].any() and differs[:100, -200:].any() and not differs[180:260, 200:400].any()
    assert run([*plain, "--frame", "61", "--out", str(tmp_path / "none.png")]) == 2
    assert run([*plain, "--out", str(tmp_path / "none.gif")]) == 2
    assert not list(tmp_path.glob("none*"))
