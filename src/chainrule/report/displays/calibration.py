"""How often predictions were right, by how confident they were.

In: probabilities and labels. Out: a display.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from chainrule.arrays import Array
from chainrule.errors import InvalidValueError, must_be
from chainrule.report import series
from chainrule.report.displays.base import Display
from chainrule.report.matplotlib import NEUTRAL_COLOR, TRAINING_COLOR, draw_curve, finish


@dataclass(eq=False)
class CalibrationDisplay(Display):
    """How often predictions were right, by how confident they were.

    Points on the diagonal are well calibrated; below it the network is overconfident. The area of a point is the share of
    rows in its bin. The legend has the expected calibration error. Unlike scikit-learn's display of that name it takes any
    number of classes: it is about the predicted class.

    Parameters
    ----------
    confidence, accuracy, share : array of shape (bins,)
        Mean confidence, share of right predictions and share of rows of each bin.
    error : float
        Expected calibration error.
    name : str, default=""
        What the legend calls the network.

    References
    ----------
    Reference  [murphy1977], [guo2017]

    Examples
    --------
    >>> from matplotlib.figure import Figure
    >>> P = np.array([[0.9, 0.1], [0.2, 0.8], [0.6, 0.4]])
    >>> round(CalibrationDisplay.from_predictions([0, 1, 1], P, ax=Figure().subplots()).error, 3)
    0.3
    """

    confidence: Array
    accuracy: Array
    share: Array
    error: float
    name: str = ""

    @classmethod
    def from_estimator(
        cls, estimator: Any, X: Any, y: Any, *, bins: int = 10, name: str = "", ax: Any = None
    ) -> CalibrationDisplay:
        """Predict probabilities of rows and draw them against their labels.

        Parameters
        ----------
        estimator : classifier
            A fitted classifier with `predict_proba` and `classes_`.
        X : array of shape (n, d)
            Rows to predict.
        y : array of shape (n,)
            Their labels.
        bins : int, default=10
            Bins of confidence, of equal width.
        name : str, default=""
            What the legend calls the network; by default its class.
        ax : matplotlib.axes.Axes, default=None
            Axes to draw on; None makes a new figure.

        Returns
        -------
        display : CalibrationDisplay
            The display, drawn.
        """
        P = estimator.predict_proba(X)
        classes = estimator.classes_
        return cls.from_predictions(y, P, labels=classes, bins=bins, name=name or type(estimator).__name__, ax=ax)

    @classmethod
    def from_predictions(
        cls, y_true: Any, P: Array, *, labels: Any = None, bins: int = 10, name: str = "", ax: Any = None
    ) -> CalibrationDisplay:
        """Draw probabilities against true labels.

        Parameters
        ----------
        y_true : array of shape (n,)
            True labels.
        P : array of shape (n, K)
            Probabilities of the classes.
        labels : sequence of K labels, default=None
            Names of the columns of P; None takes the labels that occur, sorted.
        bins : int, default=10
            Bins of confidence, of equal width.
        name : str, default=""
            What the legend calls the network.
        ax : matplotlib.axes.Axes, default=None
            Axes to draw on; None makes a new figure.

        Returns
        -------
        display : CalibrationDisplay
            The display, drawn.

        Raises
        ------
        InvalidValueError
            Where P has not one column for each label, or a label is not among `labels`.
        """
        known = np.unique(np.asarray(y_true)) if labels is None else np.asarray(labels)
        right = np.asarray(y_true)[:, None] == known
        if right.shape != np.shape(P) or not right.any(axis=1).all():
            allowed = f"of shape {right.shape}, a column for each label in {known.tolist()}"
            raise InvalidValueError(must_be("CalibrationDisplay", "P", allowed, np.shape(P)))
        diagram = series.calibration(P, right.argmax(axis=1), bins)
        return cls(diagram.confidence, diagram.accuracy, diagram.share, diagram.error, name).plot(ax)

    def plot(self, ax: Any = None, *, color: str = TRAINING_COLOR) -> CalibrationDisplay:
        """Draw the diagram; on axes that already have one, add the points to it.

        Parameters
        ----------
        ax : matplotlib.axes.Axes, default=None
            Axes to draw on; None makes a new figure.
        color : str, default="#1f5a94"
            Color of the points.

        Returns
        -------
        display : CalibrationDisplay
            This display.
        """
        first = ax is None or not ax.lines
        ax = self._on(ax, 4.6, 4.6)
        diagram = series.Calibration(self.confidence, self.accuracy, self.share, self.error)
        label = " ".join([self.name, f"(calibration error {self.error:.3f})"]).strip()
        plot = diagram.plot(label)
        points, diagonal = plot.curves
        if first:
            draw_curve(ax, diagonal, NEUTRAL_COLOR, linewidth=1.0)
        x, y = np.asarray(points.x), np.asarray(points.y)
        draw_curve(ax, points, color, linewidth=1.5, marker="")
        ax.vlines(x, np.minimum(x, y), np.maximum(x, y), color=color, alpha=0.35, linewidth=4)
        ax.scatter(x, y, s=30 + 300 * self.share[diagram.seen], color=color, edgecolor="white", zorder=3)
        ax.set(xlim=(0, 1.03), ylim=(0, 1.03), aspect="equal", xlabel=plot.x_name, ylabel=plot.y_name)
        finish(ax, legend=True, loc="upper left")
        return self
