"""Videos, sheets and curves show what happened, without a display, and are there whole or not at all."""

from __future__ import annotations

import itertools
import os
import resource
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from frameperfect.errors import FrameperfectError
from tests.components import need

need("av")
need("matplotlib")

from frameperfect.view.hud import Hud  # noqa: E402
from frameperfect.view.overlay import Scene  # noqa: E402
from frameperfect.view.plots import Curve, draw_learning_curve  # noqa: E402
from frameperfect.view.video import Shot, enlarge, record_video  # noqa: E402

BUTTONS = [("B", "A", "Up", "Down")]


def shots(count: int, height: int = 112, width: int = 160) -> list[Shot]:
    """A red screen whose brightness is the frame's number."""
    result = []
    for frame in range(1, count + 1):
        image = np.zeros((height, width, 3), np.uint8)
        image[..., 0] = 40 + 3 * frame
        values = {"score": frame, "x": frame / 8}
        scene = Scene(frame=frame, frame_rate=60, controllers=BUTTONS, masks=[frame % 16], values=values)
        result.append(Shot(image, scene))
    return result


def frames_of(path: Path) -> list[np.ndarray]:
    import av

    with av.open(str(path)) as container:
        return [frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)]


def test_an_mp4_has_every_frame_at_the_games_rate(tmp_path: Path) -> None:
    import av

    assert record_video(shots(30), tmp_path / "run.mp4", 59.9227, hud=["score", "x"]) == 30
    with av.open(str(tmp_path / "run.mp4")) as container:
        assert float(container.streams.video[0].average_rate) == pytest.approx(59.9227, abs=1e-3)
    pictures = frames_of(tmp_path / "run.mp4")
    assert len(pictures) == 30
    for frame, picture in enumerate(pictures, 1):
        assert abs(int(picture[100, 100, 0]) - (40 + 3 * frame)) < 12


def test_small_screens_are_enlarged_by_a_whole_factor(tmp_path: Path) -> None:
    record_video(shots(2), tmp_path / "run.mp4", 60, hud=None)
    assert frames_of(tmp_path / "run.mp4")[0].shape == (448, 640, 3)
    image = np.arange(12, dtype=np.uint8).reshape(2, 2, 3)
    assert (enlarge(image, 3) == np.kron(image.transpose(2, 0, 1), np.ones((3, 3))).transpose(1, 2, 0)).all()


def test_a_screen_that_changes_its_size_keeps_the_videos(tmp_path: Path) -> None:
    record_video(shots(2) + shots(2, 120, 128) + shots(2, 56, 400), tmp_path / "run.mp4", 60, hud=None)
    assert {picture.shape for picture in frames_of(tmp_path / "run.mp4")} == {(448, 640, 3)}


def test_a_screen_with_odd_sides_can_be_encoded(tmp_path: Path) -> None:
    record_video(shots(2, 401, 333), tmp_path / "run.mp4", 60)
    assert len(frames_of(tmp_path / "run.mp4")) == 2


def test_a_gif_runs_at_about_the_speed_of_the_game(tmp_path: Path) -> None:
    from PIL import Image

    record_video(shots(60), tmp_path / "run.gif", 60, hud=["score"])
    with Image.open(tmp_path / "run.gif") as gif:
        total = 0.0
        for place in range(gif.n_frames):
            gif.seek(place)
            total += gif.info["duration"]
    assert total == pytest.approx(1000, rel=0.1)


@pytest.mark.parametrize("count", [1, 7, 20, 41, 333])
def test_a_sheet_shows_at_most_twenty_pictures_from_first_to_last(tmp_path: Path, count: int) -> None:
    from PIL import Image

    plain = [Shot(np.full((200, 200, 3), i * 255 // max(count - 1, 1), np.uint8)) for i in range(count)]
    assert record_video(iter(plain), tmp_path / "run.png", 60, hud=None) == count
    with Image.open(tmp_path / "run.png") as sheet:
        pixels = np.asarray(sheet)
    shown = min(count, 20)
    assert pixels.shape[:2] == (-(-shown // 5) * 200, min(5, shown) * 200)
    tops = [int(pixels[100 + 200 * (i // 5), 100 + 200 * (i % 5), 0]) for i in range(shown)]
    assert tops == sorted(tops)
    assert tops[0] == 0
    assert count == 1 or tops[-1] >= 240


def test_the_panel_lights_the_buttons_that_are_held() -> None:
    hud = Hud(640, BUTTONS, ["score"], 60)
    none, some = hud.draw(1, [0], {"score": 1}), hud.draw(1, [0b101], {"score": 1})
    orange = (some[..., 0] > 200) & (some[..., 2] < 100)
    assert orange.any()
    assert not ((none[..., 0] > 200) & (none[..., 2] < 100)).any()
    assert none.shape == (hud.height, 640, 3)


def test_the_panel_changes_with_frame_and_variables_and_fits_many_of_them() -> None:
    names = [f"variable_{i}" for i in range(100)]
    hud = Hud(640, BUTTONS, names, 60)
    values: dict[str, int | float] = dict.fromkeys(names, 0)
    first = hud.draw(1, [0], values)
    assert (first != hud.draw(2, [0], values)).any()
    assert (first != hud.draw(1, [0], values | {"variable_0": 7})).any()
    assert hud.height < 200


def test_an_unknown_format_or_an_empty_run_is_refused_and_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(FrameperfectError, match=r"\.mp4, \.gif, \.png"):
        record_video(shots(1), tmp_path / "run.avi", 60)
    for name in ("run.mp4", "run.gif", "run.png"):
        with pytest.raises(FrameperfectError, match="no frame"):
            record_video([], tmp_path / name, 60)
    assert not list(tmp_path.iterdir())


def test_a_failure_midway_keeps_the_older_video(tmp_path: Path) -> None:
    target = tmp_path / "run.mp4"
    target.write_bytes(b"older")

    def failing() -> Any:
        yield from shots(5)
        raise RuntimeError("the game died")

    with pytest.raises(RuntimeError):
        record_video(failing(), target, 60)
    assert target.read_bytes() == b"older"
    assert list(tmp_path.iterdir()) == [target]


@pytest.mark.parametrize("name", ["run.mp4", "run.gif", "run.png"])
def test_a_full_disk_is_one_error_that_names_the_file_and_leaves_nothing(tmp_path: Path, name: str) -> None:
    script = """
import sys, numpy as np
from pathlib import Path
from frameperfect.view.video import Shot, record_video
noise = np.random.default_rng(0)
pictures = (Shot(noise.integers(0, 256, (400, 400, 3), dtype=np.uint8)) for _ in range(12))
try:
    record_video(pictures, Path(sys.argv[1]), 60, hud=None)
except OSError as error:
    print(error.errno, error.filename)
"""
    limit = 64 << 10
    done = subprocess.run(
        [sys.executable, "-c", script, tmp_path / name],
        capture_output=True,
        text=True,
        check=False,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit)),
        env=os.environ | {"MPLCONFIGDIR": str(tmp_path.parent)},
    )
    import errno

    assert done.stdout.split() == [str(errno.EFBIG), str(tmp_path / name)], done.stderr
    assert not list(tmp_path.iterdir())


def test_a_learning_curve_is_drawn_for_none_one_and_several_runs(tmp_path: Path) -> None:
    from PIL import Image

    steps = np.arange(0, 10_000, 100.0)
    returns = np.where(steps < 1000, np.nan, steps / 100)
    for count in (0, 1, 3):
        curves = [Curve(f"seed {i}", steps, returns + i) for i in range(count)]
        levels = {"random": (3.0, 2.0, 4.0), "The Brute": 50.0}
        path = tmp_path / f"{count}.png"
        draw_learning_curve(curves, path, "A game", levels=levels)
        with Image.open(path) as picture:
            assert picture.size == (960, 540)
            assert len(np.unique(np.asarray(picture.convert("RGB")).reshape(-1, 3), axis=0)) > 50


def test_a_run_without_an_ended_episode_still_has_a_curve(tmp_path: Path) -> None:
    draw_learning_curve([Curve("run", np.arange(5.0), np.full(5, np.nan))], tmp_path / "c.png", "A game")
    assert (tmp_path / "c.png").stat().st_size > 1000


def test_nothing_here_needs_a_display(tmp_path: Path) -> None:
    script = (
        "import sys; from pathlib import Path; import numpy as np\n"
        "from frameperfect.view.plots import *\n"
        "draw_learning_curve([Curve('a', np.arange(3.), np.arange(3.))], Path(sys.argv[1]), 'x')\n"
        "assert 'matplotlib.pyplot' not in sys.modules"
    )
    environment = {
        key: value for key, value in os.environ.items() if key not in ("DISPLAY", "WAYLAND_DISPLAY")
    }
    subprocess.run([sys.executable, "-c", script, tmp_path / "c.png"], check=True, env=environment)


# -- comparisons -------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def two_runs(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Two runs of Airstriker from one start, the second shorter."""
    need("stable_retro")
    import frameperfect as fp
    from frameperfect.movie import Recorder, save_movie

    folder = tmp_path_factory.mktemp("runs")
    for name, held, frames in (("long", "Right", 90), ("short", "Left", 40)):
        with fp.open("Airstriker-Genesis", start="level1") as machine:
            recorder = Recorder(machine, start="level1")
            recorder.advance(held, frames)
            save_movie(recorder.movie(), folder / f"{name}.fpm")
    return [folder / "long.fpm", folder / "short.fpm"]


def compare(*arguments: object) -> int:
    from frameperfect.cli.app import run

    return run(["compare", *map(str, arguments)])


def test_runs_side_by_side_last_as_long_as_the_longest_and_the_other_freezes(
    two_runs: list[Path], tmp_path: Path
) -> None:
    assert compare(*two_runs, "--by", "x", "--out", tmp_path / "race.mp4") == 0
    pictures = frames_of(tmp_path / "race.mp4")
    assert len(pictures) == 90 + 2 * 60
    half = pictures[0].shape[1] // 2

    def change(first: int, second: int, columns: slice) -> float:
        game = [picture[:400, columns].astype(int) for picture in (pictures[first], pictures[second])]
        return float(np.abs(game[0] - game[1]).mean())

    left, right = slice(0, half - 4), slice(half + 4, None)
    assert change(60, 80, left) > 10 * change(60, 80, right)
    assert change(30, 50, right) > 1  # it went dark as it ended


def test_three_runs_and_a_ghost_are_videos_as_well(two_runs: list[Path], tmp_path: Path) -> None:
    assert (
        compare(*two_runs, two_runs[0], "--no-hud", "--seconds", "0.2", "--out", tmp_path / "three.gif") == 0
    )
    assert compare(*two_runs, "--ghost", "--seconds", "0.3", "--out", tmp_path / "ghost.mp4") == 0
    assert len(frames_of(tmp_path / "ghost.mp4")) == 18 + 2 * 60


def test_what_can_not_be_compared_is_refused_before_any_work(
    two_runs: list[Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "race.mp4"
    for arguments, words in (
        ([two_runs[0], "--out", out], "1 movie; name two"),
        ([*two_runs, "--by", "speed", "--out", out], "no variable or definition 'speed'"),
        ([*two_runs, "--out", tmp_path / "race.avi"], "no video format"),
        ([*two_runs, "--overlay", "inputz", "--out", out], "did you mean 'inputs'"),
    ):
        assert compare(*arguments) == 2
        error = capsys.readouterr().err
        assert words in error
        assert len(error.splitlines()) == 1
    assert not list(tmp_path.iterdir())


def test_the_difference_is_of_time_only_where_the_game_says_how_far_one_is(tmp_path: Path) -> None:
    need("stable_retro")
    import frameperfect as fp
    from frameperfect.cli.compare import _measured
    from tests.roms import ROMS

    for game, by in (("Skyrunner-Nes", "time"), ("Airstriker-Genesis", "reward")):
        with fp.open(game) as machine:
            assert _measured(machine, None)[0] == by
    with (
        fp.open(ROMS["Nes"].write(tmp_path)) as machine,
        pytest.raises(FrameperfectError, match=r"\[view\] trail"),
    ):
        _measured(machine, "time")


def test_a_ghost_stands_at_its_place_in_the_world(tmp_path: Path) -> None:
    from frameperfect.view.comparison import Runner, ghosts, labelled
    from frameperfect.view.video import Composer

    def run(camera: int, x: int) -> Any:
        """A world of which the screen shows a part; the player is a white square at x, 60."""
        image = np.zeros((120, 160, 3), np.uint8)
        image[58:63, x - camera - 2 : x - camera + 3] = 255
        scene = Scene(frame=1, values={"x": x, "y": 60, "left": camera, "top": 0})
        return iter([Shot(image, scene)])

    runners = [
        Runner("first", run(100, 150), Composer(None, factor=1), 1, False),
        Runner("second", run(130, 200), Composer(None, factor=1), 1, False),
    ]
    labelled(runners)
    picture = next(ghosts(runners, (("x", "y"), ("left", "top")), None, 1, 60))
    assert tuple(picture[60, 50]) == (255, 255, 255)
    assert 100 < int(picture[60, 200 - 100, 1]) < 255
    assert not picture[60, 200 - 130 - 2 : 200 - 130 + 3].any()


def test_a_ghost_in_another_stage_is_not_drawn_and_the_legend_says_so() -> None:
    from frameperfect.view.comparison import Runner, ghosts, labelled
    from frameperfect.view.video import Composer

    def run(stages: list[int], x: int) -> Any:
        image = np.zeros((120, 160, 3), np.uint8)
        image[58:63, x - 2 : x + 3] = 255
        for stage in stages:
            yield Shot(image, Scene(frame=1, values={"x": x, "y": 60, "stage": stage}))

    runners = [
        Runner("first", run([1, 1], 50), Composer(None, factor=1), 1, False),
        Runner("second", run([2, 1], 100), Composer(None, factor=1), 1, False),
    ]
    labelled(runners)
    apart, together = itertools.islice(ghosts(runners, (("x", "y"), None), None, 2, 60, ("stage",)), 2)
    assert not apart[60, 100].any() and together[60, 100].any()
    said = [np.count_nonzero(picture[18:34]) for picture in (apart, together)]
    assert said[0] > said[1]  # "elsewhere", after the name


def test_time_behind_is_how_much_later_one_was_as_far_as_the_other() -> None:
    from frameperfect.view.trace import time_behind

    reference = np.arange(100.0)
    assert (time_behind(reference, reference) == 0).all()
    late = np.concatenate([np.zeros(10), np.arange(90.0)])
    assert (time_behind(reference, late)[10:] == 10).all()
    twice = np.arange(0, 200, 2.0)
    assert (time_behind(reference, twice)[:50] == -np.arange(50)).all()
    back = np.array([0, 5, 3, 1, 6.0])
    assert time_behind(reference, back).tolist() == [0, -4, -4, -4, -2]
    waits = np.repeat(np.arange(20.0), 5)
    assert (time_behind(waits, waits) == 0).all()
    stuck = np.minimum(reference, 30)
    assert time_behind(reference, stuck).tolist() == [max(0, frame - 30) for frame in range(100)]
    # what memory holds at power-on, and on a title screen, is no place
    boot = np.array([65535.0] * 5 + [0.0] * 4)
    assert (
        time_behind(np.concatenate([boot, 100 + reference]), np.concatenate([boot, 100 + late]))[20:] == 10
    ).all()


def test_the_stages_of_a_run_lie_one_behind_the_other() -> None:
    from frameperfect.view.trace import Trace, along, time_behind

    def run_of(first: int, second: int) -> Trace:
        """So many frames for a stage of 100, a screen between, and so many for the next."""
        places = [np.linspace(0, 100, first), np.full(10, 100.0), np.linspace(0, 100, second)]
        worlds = [(1.0, 1.0)] * first + [(1.0, 0.0)] * 10 + [(2.0, 1.0)] * second
        return Trace(np.zeros(len(worlds)), np.concatenate(places), None, None, worlds)

    quick, slow = run_of(101, 101), run_of(201, 101)
    first, second = along([quick, slow])
    assert (np.diff(first) >= 0).all()
    behind = time_behind(first, second)
    assert behind[100] == 50  # half way through the first stage
    assert (behind[-100:] == 100).all()  # all of the second: equally fast
    alone = Trace(np.zeros(5), np.arange(5.0), None, None, [()] * 5)
    assert along([alone])[0].tolist() == [0, 1, 2, 3, 4]


def test_a_run_is_timed_by_the_games_clock_where_it_reaches_its_goal() -> None:
    need("stable_retro")
    import frameperfect as fp
    from frameperfect.movie import Recorder
    from frameperfect.view.trace import trace

    with fp.open("Airstriker-Genesis", start="level1") as machine:
        recorder = Recorder(machine, start="level1")
        recorder.advance("Right", 50)
        movie = recorder.movie()
        places = []
        for _ in movie.replay(machine):
            places.append(machine.read("x"))
    goal = places[30]
    with fp.open("Airstriker-Genesis") as machine:
        plain = trace(movie, machine, "x")
        assert plain.values is not None
        assert plain.values[1:].tolist() == places
        assert (plain.finish, plain.seconds) == (None, None)
        definition = machine.game.definition
        for clock in (None, "countdown"):
            end = definition.end.model_copy(update={"success": f"x >= {goal}", "time": clock})
            machine.game.definition = definition.model_copy(update={"end": end})
            timed = trace(movie, machine)
            assert timed.finish == next(i for i, place in enumerate(places, 1) if place >= goal)
            if clock is None:
                assert timed.seconds == pytest.approx(timed.finish / movie.frame_rate)
            else:
                expected = trace(movie, machine, clock).values
                assert expected is not None
                assert timed.seconds == pytest.approx(expected[timed.finish] / movie.frame_rate)


def test_a_large_video_is_shrunk_and_a_long_one_cut(tmp_path: Path) -> None:
    import av

    from frameperfect.view.video import shrink_video

    noise = np.random.default_rng(0)
    pictures = [Shot(noise.integers(0, 256, (400, 400, 3), dtype=np.uint8)) for _ in range(60)]
    record_video(pictures, tmp_path / "run.mp4", 60, hud=None)
    size = (tmp_path / "run.mp4").stat().st_size
    data, shown, whole = shrink_video(tmp_path / "run.mp4", size)
    assert (data, shown) == ((tmp_path / "run.mp4").read_bytes(), whole)
    data, shown, whole = shrink_video(tmp_path / "run.mp4", size // 4)
    assert len(data) <= size // 4
    assert shown == whole == pytest.approx(1)
    (tmp_path / "small.mp4").write_bytes(data)
    with av.open(str(tmp_path / "small.mp4")) as container:
        assert sum(1 for _ in container.decode(video=0)) == 30
    black = [Shot(np.full((400, 400, 3), 60 * (i % 4), np.uint8)) for i in range(600)]
    record_video(black, tmp_path / "long.mp4", 60, hud=None)
    most = (tmp_path / "long.mp4").stat().st_size - 1
    data, shown, whole = shrink_video(tmp_path / "long.mp4", most)
    assert shown < whole
    assert len(data) <= most
    (tmp_path / "none.mp4").write_bytes(b"no video")
    with pytest.raises(FrameperfectError, match="no video that can be read"):
        shrink_video(tmp_path / "none.mp4", 4)
