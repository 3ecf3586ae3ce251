"""What all displays share.

In: axes, or none. Out: axes to draw on, kept with their figure.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any


@dataclass(eq=False)
class Display:
    """What all displays share: `ax_` and `figure_`, the axes and the figure of the last `plot`."""

    ax_: Any = field(default=None, init=False, repr=False)
    figure_: Any = field(default=None, init=False, repr=False)

    def _on(self, ax: Any, width: float, height: float) -> Any:
        """Return the axes given, or those of a new white figure."""
        if ax is None:
            from matplotlib import pyplot

            _, ax = pyplot.subplots(figsize=(width, height), layout="constrained", facecolor="white")
        ax.set_facecolor("white")
        ax.spines[["top", "right"]].set_visible(False)
        self.ax_ = ax
        self.figure_ = ax.figure
        return ax
