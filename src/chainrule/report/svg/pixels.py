"""Images inside a page: weights and rows of pixels as PNG data.

In: numbers (height, width). Out: PNG bytes, `<img>` elements.
"""

from __future__ import annotations

import base64
import struct
import zlib
from collections.abc import Sequence

import numpy as np

from chainrule.arrays import Array
from chainrule.report.svg.markup import Html, tag

ABOVE, BELOW = (38, 120, 190), (209, 96, 61)
"""Colors (red, green, blue) of numbers above and below 0; both are visible on white and on black."""


def png(pixels: Array) -> bytes:
    """Return pixels (height, width, 4) of 8 bits (red, green, blue, opacity) as the bytes of a PNG file."""
    height, width, _ = pixels.shape
    rows = np.concatenate([np.zeros((height, 1), np.uint8), pixels.reshape(height, width * 4)], axis=1)
    header = struct.pack(">IIBBBBB", width, height, 8, 6, 0, 0, 0)
    chunks = ((b"IHDR", header), (b"IDAT", zlib.compress(rows.tobytes(), 9)), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(_chunk(kind, body) for kind, body in chunks)


def _chunk(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def signed(values: Array) -> Array:
    """Return numbers (height, width) as pixels: one color above 0, one below, the stronger the larger; 0 is transparent."""
    values = np.nan_to_num(np.asarray(values, np.float64), posinf=0.0, neginf=0.0)
    largest = float(np.abs(values).max()) or 1.0
    pixels = np.empty((*values.shape, 4), np.uint8)
    pixels[..., :3] = np.where(values[..., None] >= 0, ABOVE, BELOW)
    pixels[..., 3] = np.round(255 * np.abs(values) / largest)
    return pixels


def gray(values: Array) -> Array:
    """Return numbers (height, width) as pixels from black (lowest) to white (highest)."""
    values = np.nan_to_num(np.asarray(values, np.float64), posinf=0.0, neginf=0.0)
    low, high = float(values.min()), float(values.max())
    shade = np.round(255 * (values - low) / (high - low if high > low else 1.0)).astype(np.uint8)
    return np.dstack([shade, shade, shade, np.full_like(shade, 255)])


def image(pixels: Array, words: str) -> Html:
    """Return an image, with what it shows in words."""
    source = "data:image/png;base64," + base64.b64encode(png(pixels)).decode("ascii")
    height, width, _ = pixels.shape
    return tag("img", src=source, alt=words, title=words, width=width, height=height, class_="pixels")


def images(pixels: Sequence[Array], words: Sequence[str], captions: Sequence[str] = ()) -> Html:
    """Return images side by side, with their captions."""
    shown = captions or [""] * len(pixels)
    cells = [
        tag("div", image(picture, text), tag("span", caption) if caption else None, class_="tile")
        for picture, text, caption in zip(pixels, words, shown, strict=True)
    ]
    return tag("div", *cells, class_="tiles")


def picture_shape(inputs: int) -> tuple[int, int] | None:
    """Return the height and width if this number of inputs fills a square of at least 8 by 8.

    >>> picture_shape(784), picture_shape(65), picture_shape(9)
    ((28, 28), None, None)
    """
    side = round(inputs**0.5)
    return (side, side) if side * side == inputs and side >= 8 else None
