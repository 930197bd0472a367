"""Videos of runs: MP4, GIF, or a sheet of pictures as PNG, with the inputs and variables beneath.

Small screens are enlarged by a whole factor, so that a pixel stays a sharp square.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from frameperfect.errors import FrameperfectError, MissingComponent
from frameperfect.view.atomic import replacing
from frameperfect.view.hud import Hud

if TYPE_CHECKING:
    from frameperfect.machine import Machine
    from frameperfect.movie import Movie

FORMATS = (".mp4", ".gif", ".png")
# In the order of preference; PyAV's wheels bring libx264, a distribution's FFmpeg may lack it.
ENCODERS = ("libx264", "libopenh264", "mpeg4")
LEAST_HEIGHT = 400
SHEET_COLUMNS, SHEET_ROWS = 5, 4
GIF_RATE = 20


@dataclass(frozen=True, slots=True)
class Shot:
    """One frame to show: its picture (H, W, 3) uint8 RGB, and what the HUD says of it."""

    image: NDArray[np.uint8]
    frame: int = 0
    masks: Sequence[int] = ()
    values: Mapping[str, int | float] = field(default_factory=dict)
    caption: str = ""


def record_video(
    shots: Iterable[Shot],
    path: Path,
    frame_rate: float,
    *,
    buttons: Sequence[Sequence[str]] = (),
    hud: bool = True,
) -> int:
    """Write `shots` to `path` and return how many there were; the suffix says the format.

    A GIF gets about 20 pictures a second; a PNG sheet 20 pictures spread evenly over the run. `buttons`
    are the names of each port's buttons, in mask order.

    Raises:
        FrameperfectError: the suffix is none of `FORMATS`, or there was no shot.
        MissingComponent: PyAV or Pillow is not installed.
        OSError: the file can't be written; nothing is left of it.
    """
    check_format(path)
    pictures = _compose(shots, frame_rate, buttons if hud else None)
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


def check_format(path: Path) -> None:
    """Refuse a video whose suffix says no known format, before any work is done for it.

    Raises:
        FrameperfectError: it is none of `FORMATS`.
    """
    if path.suffix.lower() not in FORMATS:
        raise FrameperfectError(f"{path}: no video format '{path.suffix}'; use one of {', '.join(FORMATS)}")


def movie_shots(
    movie: Movie, machine: Machine, watched: Sequence[str] | None = None, caption: str = ""
) -> Iterator[Shot]:
    """Replay `movie` on `machine`, a shot a frame; `watched` names the variables shown (None: all).

    Raises:
        GameError: a watched variable is not in the game's memory map.
        Desync: the replay left the recorded run.
    """
    names = list(machine.variables) if watched is None else list(watched)
    for frame in movie.replay(machine):
        masks = [int(mask) for mask in movie.inputs[frame - 1]]
        values = {name: machine.read(name) for name in names}
        yield Shot(machine.screen(copy=False), frame, masks, values, caption)


def enlarge(image: NDArray[np.uint8], factor: int) -> NDArray[np.uint8]:
    """(H, W, 3) to (factor·H, factor·W, 3), each pixel a square."""
    return image.repeat(factor, axis=1).repeat(factor, axis=0)


def _compose(
    shots: Iterable[Shot], frame_rate: float, buttons: Sequence[Sequence[str]] | None
) -> Iterator[NDArray[np.uint8]]:
    """Pictures of one size: the first shot sets it, and a screen that changes its mode is stretched to it."""
    height = width = factor = 0
    panel: Hud | None = None
    for shot in shots:
        if factor == 0:
            height, width = shot.image.shape[:2]
            factor = max(1, -(-LEAST_HEIGHT // height))
            if buttons is not None:
                panel = Hud(width * factor, buttons, list(shot.values), frame_rate)
        image = shot.image
        if image.shape[:2] != (height, width):
            rows = np.arange(height) * image.shape[0] // height
            image = image[rows][:, np.arange(width) * image.shape[1] // width]
        image = enlarge(image, factor)
        if panel is not None:
            below = panel.draw(shot.frame, shot.masks, shot.values, shot.caption)
            image = np.concatenate([image, below])
        yield image


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
