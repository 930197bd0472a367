"""Lines of text as coverage masks, from cached glyphs of one monospaced font.

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


@lru_cache(maxsize=4096)
def coverage(text: str) -> NDArray[np.uint8]:
    """How much of each pixel the text covers, (LINE, width) uint8, 255 for all of it. Not to be written to."""
    if not text:
        return np.zeros((LINE, 0), np.uint8)
    return np.concatenate([_glyph(character) for character in text], axis=1)


@lru_cache(maxsize=4096)
def plain_line(text: str, colour: tuple[int, int, int], back: tuple[int, int, int]) -> NDArray[np.uint8]:
    """The text on a plain background, (LINE, width, 3) uint8. Not to be written to."""
    covered = coverage(text)[..., None].astype(np.uint16)
    mixed = covered * np.array(colour, np.uint16) + (255 - covered) * np.array(back, np.uint16)
    return (mixed // 255).astype(np.uint8)


@lru_cache(maxsize=2048)
def _glyph(character: str) -> NDArray[np.uint8]:
    image_module, draw_module, font = _pillow()
    cell = image_module.new("L", (_advance(), LINE), 0)
    if character.isprintable():
        draw_module.Draw(cell).text((0, 0), character, 255, font)
    return np.asarray(cell, dtype=np.uint8)


@lru_cache(maxsize=1)
def _advance() -> int:
    return round(_pillow()[2].getlength("0"))


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
