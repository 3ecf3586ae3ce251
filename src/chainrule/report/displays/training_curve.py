"""Loss or score by epoch.

In: runs. Out: a display.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from chainrule.constraints import OneOf
from chainrule.errors import InvalidValueError, must_be
from chainrule.report import series
from chainrule.report.displays.base import Display
from chainrule.report.matplotlib import (
    HELD_OUT_COLOR,
    NEUTRAL_COLOR,
    TRAINING_COLOR,
    draw_curve,
    finish,
    log_axis,
    name_axes,
)
from chainrule.report.plots import LinePlot, positive
from chainrule.train import Run

_PARTS = OneOf(("loss", "score"))


@dataclass(eq=False)
class TrainingCurveDisplay(Display):
    """Loss or score by epoch, on training and validation rows, with the epoch whose weights were kept.

    Several networks have a curve each. scikit-learn's `LearningCurveDisplay` is another thing: scores by number of rows.

    Parameters
    ----------
    runs : sequence of Run
        The runs to draw.

    Examples
    --------
    >>> from matplotlib.figure import Figure
    >>> from chainrule import NetRegressor
    >>> import numpy as np
    >>> X = np.linspace(-1, 1, 40)[:, None]
    >>> network = NetRegressor((4,), max_iter=5, early_stopping=True, random_state=0).fit(X, X[:, 0])
    >>> TrainingCurveDisplay.from_estimator(network, ax=Figure().subplots()).ax_.get_xlabel()
    'epoch'
    """

    runs: Sequence[Run]

    @classmethod
    def from_estimator(cls, estimator: Any, *, what: str = "loss", ax: Any = None) -> TrainingCurveDisplay:
        """Draw the last fit of a network estimator.

        Parameters
        ----------
        estimator : NetClassifier or NetRegressor
            A fitted network.
        what : {"loss", "score"}, default="loss"
            What to draw.
        ax : matplotlib.axes.Axes, default=None
            Axes to draw on; None makes a new figure.

        Returns
        -------
        display : TrainingCurveDisplay
            The display, drawn.
        """
        return cls(tuple(estimator.runs_)).plot(ax, what=what)

    @classmethod
    def from_run(cls, run: Run, *, what: str = "loss", ax: Any = None) -> TrainingCurveDisplay:
        """Draw a run of `chainrule.train.train`.

        Parameters
        ----------
        run : Run
            The run.
        what : {"loss", "score"}, default="loss"
            What to draw.
        ax : matplotlib.axes.Axes, default=None
            Axes to draw on; None makes a new figure.

        Returns
        -------
        display : TrainingCurveDisplay
            The display, drawn.
        """
        return cls((run,)).plot(ax, what=what)

    def plot(self, ax: Any = None, *, what: str = "loss") -> TrainingCurveDisplay:
        """Draw the curves.

        Parameters
        ----------
        ax : matplotlib.axes.Axes, default=None
            Axes to draw on; None makes a new figure.
        what : {"loss", "score"}, default="loss"
            What to draw; a loss has a logarithmic axis where it is above 0.

        Returns
        -------
        display : TrainingCurveDisplay
            This display.

        Raises
        ------
        InvalidValueError
            For another word than "loss" and "score".
        """
        if not _PARTS.allows(what):
            raise InvalidValueError(must_be("TrainingCurveDisplay", "what", str(_PARTS), what, _PARTS.hint(what)))
        ax = self._on(ax, 6.4, 4.0)
        plots = [series.learning_curve(run.epochs, what) for run in self.runs]
        for i, (run, plot) in enumerate(zip(self.runs, plots, strict=True)):
            self._draw(ax, run, plot, what, first=i == 0)
        curves = [curve for plot in plots for curve in plot.curves]
        if what == "loss" and positive(curves):
            log_axis(ax, curves)
        name_axes(ax, plots[0].x_name, plots[0].y_name)
        ax.xaxis.get_major_locator().set_params(integer=True)
        finish(ax, legend=True)
        return self

    def _draw(self, ax: Any, run: Run, plot: LinePlot, what: str, first: bool) -> None:
        """Draw the curves of a run, and a ring around its best epoch; only the first run is in the legend."""
        alone = len(self.runs) == 1
        for curve, color in zip(plot.curves, (TRAINING_COLOR, HELD_OUT_COLOR), strict=False):
            draw_curve(ax, curve, color, alpha=1.0 if alone else 0.6, label=curve.name if first else None)
        point = series.best_point(run.epochs, run.best_epoch, what)
        if point is not None:
            label = f"best: epoch {run.best_epoch}" if alone else "best epoch"
            ring = {"markerfacecolor": "white", "markeredgecolor": NEUTRAL_COLOR, "markersize": 8, "zorder": 3}
            ax.plot(*point, "o", label=label if first else None, **ring)
