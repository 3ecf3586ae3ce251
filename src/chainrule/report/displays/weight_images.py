"""The weights into the first hidden units as images.

In: a weight matrix whose rows are pixels. Out: a display.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from chainrule.arrays import Array
from chainrule.errors import InvalidValueError, must_be
from chainrule.report import series
from chainrule.report.displays.base import Display


@dataclass(eq=False)
class WeightImagesDisplay(Display):
    """The weights into the first hidden units as images, for inputs that are pixels: what each unit responds to.

    Orange adds to the unit, purple subtracts from it; white is zero. Each image has its own scale. Units with the longest
    weight vectors come first.

    Parameters
    ----------
    images : array of shape (units, height, width)
        The images.

    Examples
    --------
    >>> from matplotlib.figure import Figure
    >>> WeightImagesDisplay.from_weights(np.eye(4), ax=Figure().subplots()).images.shape
    (4, 2, 2)
    """

    images: Array

    @classmethod
    def from_estimator(
        cls, estimator: Any, *, shape: tuple[int, int] | None = None, units: int = 36, ax: Any = None
    ) -> WeightImagesDisplay:
        """Draw the first layer of a network estimator.

        Parameters
        ----------
        estimator : NetClassifier or NetRegressor
            A fitted network.
        shape : pair of int, default=None
            Height and width of an image; None takes a square.
        units : int, default=36
            Units to draw at most.
        ax : matplotlib.axes.Axes, default=None
            Axes to draw on; None makes a new figure.

        Returns
        -------
        display : WeightImagesDisplay
            The display, drawn.
        """
        return cls.from_weights(estimator.coefs_[0], shape=shape, units=units, ax=ax)

    @classmethod
    def from_weights(
        cls, W: Array, *, shape: tuple[int, int] | None = None, units: int = 36, ax: Any = None
    ) -> WeightImagesDisplay:
        """Draw the columns of a weight matrix.

        Parameters
        ----------
        W : array of shape (pixels, units)
            The weights.
        shape : pair of int, default=None
            Height and width of an image; None takes a square.
        units : int, default=36
            Units to draw at most.
        ax : matplotlib.axes.Axes, default=None
            Axes to draw on; None makes a new figure.

        Returns
        -------
        display : WeightImagesDisplay
            The display, drawn.

        Raises
        ------
        InvalidValueError
            Where the pixels do not fill the shape.
        """
        d = W.shape[0]
        side = math.isqrt(d)
        height, width = shape or (side, side)
        if height * width != d:
            raise InvalidValueError(must_be("WeightImagesDisplay", "shape", f"of {d} pixels", shape or "no square"))
        return cls(series.weight_images(W, (height, width), units)[1]).plot(ax)

    def plot(self, ax: Any = None) -> WeightImagesDisplay:
        """Draw all images on one pair of axes.

        Parameters
        ----------
        ax : matplotlib.axes.Axes, default=None
            Axes to draw on; None makes a new figure.

        Returns
        -------
        display : WeightImagesDisplay
            This display.
        """
        wall = _wall(self.images)
        size = 6.0 / max(wall.shape)
        ax = self._on(ax, max(2.5, size * wall.shape[1]), max(2.5, size * wall.shape[0]))
        ax.set_facecolor("#b8b8b8")
        ax.imshow(wall, cmap="PuOr_r", vmin=-1, vmax=1, interpolation="nearest")
        ax.set(xticks=[], yticks=[])
        ax.spines[:].set_visible(False)
        return self


def _wall(images: Array) -> Array:
    """Return images in a nearly square grid, each divided by its largest weight, with a line of NaN between them."""
    k, height, width = images.shape
    across = math.ceil(math.sqrt(k * height / width))
    down = math.ceil(k / across)
    wall = np.full((down * (height + 1) - 1, across * (width + 1) - 1), np.nan)
    for i, image in enumerate(images):
        top, left = (i // across) * (height + 1), (i % across) * (width + 1)
        wall[top : top + height, left : left + width] = image / max(float(np.abs(image).max()), np.finfo(float).tiny)
    return wall
