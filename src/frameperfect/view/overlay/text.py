"""Lines of text, from cached glyphs of one monospaced font.

Rendering a glyph is what text costs, so each is rendered once, and lines seen before are kept whole.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from frameperfect.errors import MissingComponent

SIZE = 14
LINE = 20
"""Height of a line of text, pixels."""


def text_width(text: str) -> int:
    """Pixels that `text` takes."""
    return len(text) * _advance()


def number_text(value: int | float) -> str:
    """A variable's value as it is shown: whole numbers whole, others to a thousandth."""
    return f"{value:.3f}" if isinstance(value, float) else str(value)


def clock_text(seconds: float) -> str:
    """Minutes, seconds and hundredths, as runs are timed: 1:05.37; hours where there are some."""
    hundredths = round(100 * abs(seconds))
    minutes, rest = divmod(hundredths, 6000)
    hours, minutes = divmod(minutes, 60)
    text = f"{minutes}:{rest / 100:05.2f}" if not hours else f"{hours}:{minutes:02}:{rest / 100:05.2f}"
    return f"-{text}" if seconds < 0 and hundredths else text


@lru_cache(maxsize=4096)
def inked(text: str, colour: tuple[int, int, int]) -> tuple[NDArray[np.uint16], NDArray[np.uint16]]:
    """What the text leaves of each pixel beneath, (LINE, width, 1), and what it adds, (LINE, width, 3).

    Both in 256ths, so that `(rest * pixel + ink) >> 8` is the picture with the text on it; shared arrays.
    """
    cells = [_glyph(character) for character in text]
    covered = np.concatenate(cells, axis=1)[..., None] if cells else np.zeros((LINE, 0, 1), np.uint16)
    return 256 - covered, covered * np.array(colour, np.uint16)


@lru_cache(maxsize=4096)
def plain_line(text: str, colour: tuple[int, int, int], back: tuple[int, int, int]) -> NDArray[np.uint8]:
    """The text on a plain background, (LINE, width, 3) uint8; shared, so copy it."""
    rest, ink = inked(text, colour)
    return ((rest * np.array(back, np.uint16) + ink) >> 8).astype(np.uint8)


@lru_cache(maxsize=2048)
def _glyph(character: str) -> NDArray[np.uint16]:
    """How much of each pixel the character covers, in 256ths."""
    image_module, draw_module, font = _pillow()
    cell = image_module.new("L", (_advance(), LINE), 0)
    if character.isprintable():
        draw_module.Draw(cell).text((0, 0), character, 255, font)
    covered = np.asarray(cell, np.uint16)
    return covered + (covered >> 7)


@lru_cache(maxsize=1)
def _advance() -> int:
    return int(_pillow()[2].getlength("0") + 0.5)


@lru_cache(maxsize=1)
def _pillow() -> tuple[Any, Any, Any]:
    """Pillow's image and drawing modules, and the monospaced font that Matplotlib carries."""
    try:
        import matplotlib
        from PIL import Image, ImageDraw, ImageFont
    except ImportError as missing:
        raise MissingComponent(f"pictures need {missing.name}: pip install 'frameperfect[view]'") from missing
    font = ImageFont.truetype(f"{matplotlib.get_data_path()}/fonts/ttf/DejaVuSansMono.ttf", SIZE)
    return Image, ImageDraw, font
