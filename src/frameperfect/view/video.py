"""Videos of runs: MP4, GIF, or a sheet of pictures as PNG, with overlays, and a panel beneath.

Small screens are enlarged by a whole factor, so that a pixel stays a sharp square.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from frameperfect.atomic import replacing
from frameperfect.errors import FrameperfectError, MissingComponent
from frameperfect.view.hud import Hud
from frameperfect.view.overlay import Canvas, Overlay, Scene, Spectator, draw

if TYPE_CHECKING:
    from frameperfect.machine import Machine
    from frameperfect.movie import Movie

FORMATS = (".mp4", ".gif", ".png")
# In the order of preference; PyAV's wheels bring libx264, a distribution's FFmpeg may lack it.
ENCODERS = ("libx264", "libopenh264", "mpeg4")
LEAST_HEIGHT = 400
SHEET_COLUMNS, SHEET_ROWS = 5, 4
GIF_RATE = 20


class Shot(NamedTuple):
    """One frame to show: its picture (H, W, 3) uint8 RGB, and what there is to say of it."""

    image: NDArray[np.uint8]
    scene: Scene = Scene()


class Chances(NamedTuple):
    """What an agent thought as it played: (steps, actions) chances, and what each action is called."""

    chances: NDArray[np.floating[Any]]
    names: Sequence[str]


def record_video(
    shots: Iterable[Shot],
    path: Path,
    frame_rate: float,
    *,
    hud: Sequence[str] | None = (),
    overlays: Sequence[Overlay] = (),
) -> int:
    """Write `shots` to `path` and return how many there were; the suffix says the format.

    A GIF gets about 20 pictures a second; a PNG sheet 20 pictures spread evenly over the run. `hud` names the
    variables in the panel beneath; without a panel it is None.

    Raises:
        FrameperfectError: the suffix is none of `FORMATS`, or there was no shot.
        MissingComponent: PyAV or Pillow is not installed.
        OSError: the file can't be written; nothing is left of it.
    """
    composer = Composer(hud, overlays)
    return write_pictures((composer.picture(shot) for shot in shots), path, frame_rate)


def write_pictures(pictures: Iterator[NDArray[np.uint8]], path: Path, frame_rate: float) -> int:
    """As `record_video`, of pictures that are composed already, all of one size."""
    check_format(path)
    with replacing(path) as part:
        if path.suffix.lower() == ".mp4":
            count = _write_mp4(pictures, part, frame_rate)
        elif path.suffix.lower() == ".gif":
            count = _write_gif(pictures, part, frame_rate)
        else:
            count = _write_sheet(pictures, part)
        if count == 0:
            raise FrameperfectError(f"{path}: the run has no frame to show")
    return count


def write_picture(picture: NDArray[np.uint8], path: Path) -> None:
    """Write one picture as PNG.

    Raises:
        MissingComponent: Pillow is not installed.
        OSError: the file can't be written; nothing is left of it.
    """
    try:
        from PIL import Image
    except ImportError:
        raise MissingComponent("pictures need Pillow: pip install 'frameperfect[view]'") from None
    with replacing(path) as part:
        Image.fromarray(picture).save(part, format="PNG")


def check_format(path: Path, formats: Sequence[str] = FORMATS) -> None:
    """Refuse a picture or video whose suffix says no known format, before any work is done for it.

    Raises:
        FrameperfectError: it is none of `formats`.
    """
    if path.suffix.lower() not in formats:
        raise FrameperfectError(f"{path}: no video format '{path.suffix}'; use one of {', '.join(formats)}")


def movie_shots(
    movie: Movie,
    machine: Machine,
    caption: str = "",
    *,
    every: int = 1,
    chances: Chances | None = None,
) -> Iterator[Shot]:
    """Replay `movie` on `machine`, a shot a frame, whose picture holds until the next.

    The rules are evaluated every `every` frames, and `chances` has a row for each of these steps.

    Raises:
        Desync: the replay left the recorded run.
    """
    controllers = pressed_ports(movie)
    movie.begin(machine)
    spectator = Spectator(machine, every)
    more: dict[str, Any] = {"caption": caption, "controllers": controllers}
    for frame in movie.replay(machine):
        if chances is not None and len(chances.chances):
            step = min((frame - 1) // every, len(chances.chances) - 1)
            more |= {"probabilities": chances.chances[step].tolist(), "action_names": chances.names}
        masks = movie.inputs[frame - 1].tolist()
        yield Shot(machine.screen(copy=False), spectator.look(frame, masks, **more))


def pressed_ports(movie: Movie) -> list[tuple[str, ...]]:
    """The buttons of each port up to the last one that the run uses."""
    used = [port for port in range(len(movie.controllers)) if port == 0 or movie.inputs[:, port].any()]
    return [movie.controllers[port].buttons for port in range(used[-1] + 1)] if movie.controllers else []


def enlarge(image: NDArray[np.uint8], factor: int) -> NDArray[np.uint8]:
    """(H, W, 3) to (factor·H, factor·W, 3), each pixel a square."""
    return image.repeat(factor, axis=1).repeat(factor, axis=0)


class Composer:
    """Makes pictures of one size from shots: the game enlarged, overlays on it, the panel beneath.

    The first shot sets the size, and a screen that changes its mode is stretched to it. `hud` names the
    variables in the panel; None leaves it out. `factor` enlarges; without it, a small screen gets big enough,
    and no wider than `most_width`.
    """

    def __init__(
        self,
        hud: Sequence[str] | None,
        overlays: Sequence[Overlay] = (),
        factor: int | None = None,
        most_width: int | None = None,
    ) -> None:
        self._hud, self._overlays, self._factor, self._most_width = hud, overlays, factor, most_width
        self._height = self._width = 0
        self._panel: Hud | None = None

    def picture(self, shot: Shot) -> NDArray[np.uint8]:
        """The composed picture, new and writable."""
        return self.finish(self.screen(shot.image), shot.scene)

    def screen(self, image: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """The game's picture alone, enlarged."""
        if not self._height:
            self._height, self._width = image.shape[:2]
            if self._factor is None:
                self._factor = -(-LEAST_HEIGHT // self._height)
                if self._most_width is not None:
                    self._factor = min(self._factor, self._most_width // self._width)
            self._factor = max(1, self._factor)
        if image.shape[:2] != (self._height, self._width):
            rows = np.arange(self._height) * image.shape[0] // self._height
            image = image[rows][:, np.arange(self._width) * image.shape[1] // self._width]
        assert self._factor is not None
        return enlarge(image, self._factor)

    def finish(self, screen: NDArray[np.uint8], scene: Scene) -> NDArray[np.uint8]:
        """Overlays drawn on what `screen` gave, and the panel beneath it."""
        assert self._factor is not None
        if self._overlays:
            draw(self._overlays, Canvas(screen), replace(scene, factor=self._factor))
        if self._hud is None:
            return screen
        if self._panel is None:
            self._panel = Hud(screen.shape[1], scene.controllers, self._hud, scene.frame_rate)
        below = self._panel.draw(scene.frame, scene.masks, scene.values, scene.caption)
        return np.concatenate([screen, below])


def _write_mp4(pictures: Iterator[NDArray[np.uint8]], path: Path, frame_rate: float) -> int:
    try:
        import av
    except ImportError:
        raise MissingComponent(
            "writing MP4 needs PyAV: pip install 'frameperfect[view]', or name a .gif"
        ) from None
    count = 0
    # The file is Python's own, so that a full disk is an ordinary OSError.
    with path.open("wb") as file, av.open(file, "w", format="mp4") as container:
        stream: Any = None
        for image in pictures:
            height, width = image.shape[0] // 2 * 2, image.shape[1] // 2 * 2  # 4:2:0 halves both sides
            if stream is None:
                stream = container.add_stream(_encoder(av), rate=Fraction(frame_rate).limit_denominator(1000))
                stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
                stream.options = (
                    {"preset": "superfast", "crf": "20"} if "264" in stream.codec.name else {"qscale": "3"}
                )
            frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(image[:height, :width]), format="rgb24")
            container.mux(stream.encode(frame))
            count += 1
        if stream is not None:
            container.mux(stream.encode())
    return count


def _encoder(av: Any) -> str:
    for name in ENCODERS:
        try:
            av.codec.Codec(name, "w")
        except av.codec.codec.UnknownCodecError:
            continue
        return name
    raise MissingComponent(
        f"this FFmpeg lacks {', '.join(ENCODERS)}: pip install --force-reinstall av, or name a .gif"
    )


def _write_gif(pictures: Iterator[NDArray[np.uint8]], path: Path, frame_rate: float) -> int:
    from PIL import Image

    every = max(1, round(frame_rate / GIF_RATE))
    count = 0

    def kept() -> Iterator[Any]:
        nonlocal count
        for image in pictures:
            if count % every == 0:
                yield Image.fromarray(image).quantize(colors=128, dither=Image.Dither.NONE)
            count += 1

    images = kept()
    first = next(images, None)
    if first is None:
        return 0
    duration = round(100 * every / frame_rate) * 10  # a GIF counts in hundredths of a second
    first.save(path, format="GIF", save_all=True, append_images=images, duration=duration, loop=0)
    return count


def _write_sheet(pictures: Iterator[NDArray[np.uint8]], path: Path) -> int:
    """Twenty pictures of a run of unknown length: whenever forty are kept, every other one goes."""
    from PIL import Image

    wanted = SHEET_COLUMNS * SHEET_ROWS
    kept: list[NDArray[np.uint8]] = []
    every, count = 1, 0
    for image in pictures:
        if count % every == 0:
            kept.append(image)
            if len(kept) == 2 * wanted:
                kept, every = kept[::2], 2 * every
        count += 1
    if not kept:
        return 0
    chosen = [kept[i] for i in np.linspace(0, len(kept) - 1, min(wanted, len(kept))).round().astype(int)]
    height, width = chosen[0].shape[:2]
    columns = min(SHEET_COLUMNS, len(chosen))
    sheet = Image.new("RGB", (columns * width // 2, -(-len(chosen) // columns) * height // 2))
    for place, image in enumerate(chosen):
        small = Image.fromarray(image).resize((width // 2, height // 2), Image.Resampling.BOX)
        sheet.paste(small, (place % columns * (width // 2), place // columns * (height // 2)))
    sheet.save(path, format="PNG")
    return count


LEAST_BITS = 150_000
"""Bits a second below which a shrunk video is cut short instead."""


def shrink_video(source: Path, most_bytes: int) -> tuple[bytes, float, float]:
    """An MP4 of at most `most_bytes`: the file itself if it is small enough, else half its size and rate.

    Returns its bytes, the seconds that it shows, and those of the whole: a long one is cut.

    Raises:
        MissingComponent: PyAV is not installed.
        FrameperfectError: it is no video, or can't be made small enough.
    """
    try:
        import av
    except ImportError:
        raise MissingComponent("video needs PyAV: pip install 'frameperfect[view]'") from None
    try:
        with av.open(str(source)) as container:
            stream = container.streams.video[0]
            rate = float(stream.average_rate or 60)
            whole = stream.frames / rate
            if source.stat().st_size <= most_bytes:
                return source.read_bytes(), whole, whole
            shown = min(whole, 8 * most_bytes / LEAST_BITS)
            data = _encode_small(av, container, stream, rate, shown, most_bytes)
    except (av.error.FFmpegError, IndexError) as wrong:
        raise FrameperfectError(f"{source}: no video that can be read ({wrong})") from wrong
    if len(data) > most_bytes:
        raise FrameperfectError(f"{source}: can't be made smaller than {len(data):,} bytes")
    return data, shown, whole


def _encode_small(av: Any, source: Any, stream: Any, rate: float, seconds: float, most_bytes: int) -> bytes:
    """Every other frame of the first `seconds` at half the size."""
    import io

    buffer = io.BytesIO()
    bits = int(0.85 * 8 * most_bytes / seconds)
    with av.open(buffer, "w", format="mp4") as target:
        small = target.add_stream(_encoder(av), rate=Fraction(rate / 2).limit_denominator(1000))
        small.width, small.height = stream.width // 4 * 2, stream.height // 4 * 2
        small.pix_fmt, small.bit_rate = "yuv420p", bits
        small.options = {"preset": "medium", "maxrate": str(bits), "bufsize": str(2 * bits)}
        for count, frame in enumerate(source.decode(stream)):
            if count > seconds * rate:
                break
            if count % 2 == 0:
                half = frame.reformat(width=small.width, height=small.height, format="yuv420p")
                half.pts = None
                target.mux(small.encode(half))
        target.mux(small.encode())
    return buffer.getvalue()
