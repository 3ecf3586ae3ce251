"""Displays in scikit-learn's manner: `SomethingDisplay.from_estimator(...)` draws a fitted network on matplotlib axes.

In: a fitted estimator, or its predictions. Out: displays with `plot`, and the axes that they drew on.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from chainrule.arrays import Array
from chainrule.constraints import OneOf
from chainrule.errors import InvalidValueError, must_be
from chainrule.pipeline.evaluation import confusion_matrix
from chainrule.report import series
from chainrule.report.matplotlib import (
    HELD_OUT_COLOR,
    NEUTRAL_COLOR,
    TRAINING_COLOR,
    draw_curve,
    finish,
    log_axis,
    tinted,
)
from chainrule.report.plots import LinePlot, positive
from chainrule.train import Run

_PARTS = OneOf(("loss", "score"))
_MOST_WRITTEN = 20
"""Classes up to which the numbers of a confusion matrix are legible."""


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
        ax.set(xlabel=plots[0].x_name, ylabel=plots[0].y_name)
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


@dataclass(eq=False)
class ConfusionDisplay(Display):
    """Rows of each true class by predicted class.

    Right predictions are blue, mistakes orange: the darker, the larger their share of the true class. Small shares are
    drawn darker than they are, since mistakes are what one looks for.

    Parameters
    ----------
    counts : array of shape (K, K)
        Rows of class i that were predicted to be class j.
    labels : sequence of K labels
        Names of the classes.

    Examples
    --------
    >>> from matplotlib.figure import Figure
    >>> display = ConfusionDisplay.from_predictions(["a", "b", "b"], ["a", "b", "a"], ax=Figure().subplots())
    >>> display.counts.tolist()
    [[1, 0], [1, 1]]
    """

    counts: Array
    labels: Sequence[Any]

    @classmethod
    def from_estimator(cls, estimator: Any, X: Any, y: Any, *, ax: Any = None) -> ConfusionDisplay:
        """Predict rows and draw the predictions against their labels; works for any classifier.

        Parameters
        ----------
        estimator : classifier
            A fitted classifier with `predict` and `classes_`.
        X : array of shape (n, d)
            Rows to predict.
        y : array of shape (n,)
            Their labels.
        ax : matplotlib.axes.Axes, default=None
            Axes to draw on; None makes a new figure.

        Returns
        -------
        display : ConfusionDisplay
            The display, drawn.
        """
        return cls.from_predictions(y, estimator.predict(X), labels=estimator.classes_, ax=ax)

    @classmethod
    def from_predictions(cls, y_true: Any, y_pred: Any, *, labels: Any = None, ax: Any = None) -> ConfusionDisplay:
        """Draw labels against predicted labels.

        Parameters
        ----------
        y_true, y_pred : array of shape (n,)
            True and predicted labels.
        labels : sequence of K labels, default=None
            All classes in the order of the matrix; None takes those that occur, sorted.
        ax : matplotlib.axes.Axes, default=None
            Axes to draw on; None makes a new figure.

        Returns
        -------
        display : ConfusionDisplay
            The display, drawn.

        Raises
        ------
        InvalidValueError
            For labels of more than one target, or labels that are not among `labels`.
        """
        true, predicted = np.asarray(y_true), np.asarray(y_pred)
        known = np.unique(np.concatenate([true, predicted])) if labels is None else np.asarray(labels)
        if true.ndim != 1 or true.shape != predicted.shape or not np.isin([*true, *predicted], known).all():
            allowed = f"{len(predicted)} labels among {known.tolist()}"
            raise InvalidValueError(must_be("ConfusionDisplay", "y_true", allowed, sorted(set(true.ravel().tolist()))))
        return cls(confusion_matrix(true, predicted, known), known.tolist()).plot(ax)

    def plot(self, ax: Any = None) -> ConfusionDisplay:
        """Draw the matrix.

        Parameters
        ----------
        ax : matplotlib.axes.Axes, default=None
            Axes to draw on; None makes a new figure.

        Returns
        -------
        display : ConfusionDisplay
            This display.
        """
        K = len(self.labels)
        side = max(3.6, min(0.55 * K + 1.4, 9.0))
        ax = self._on(ax, side, side)
        depth = np.sqrt(series.row_shares(self.counts))
        ax.imshow(tinted(depth), interpolation="nearest")
        slanted = max(len(str(label)) for label in self.labels) > 4
        ax.set_xticks(range(K), self.labels, rotation=45 if slanted else 0, parse_math=False)
        ax.set_yticks(range(K), self.labels, parse_math=False)
        ax.spines[:].set_visible(False)
        ax.tick_params(length=0)
        for edge in np.arange(K + 1) - 0.5:
            ax.axhline(edge, color="#d8d8d8", linewidth=0.8)
            ax.axvline(edge, color="#d8d8d8", linewidth=0.8)
        accuracy = np.trace(self.counts) / max(self.counts.sum(), 1)
        ax.set(xlabel="predicted class", ylabel="true class", title=f"accuracy {accuracy:.3f}")
        for i, j in np.argwhere(self.counts) if K <= _MOST_WRITTEN else ():
            color = "white" if depth[i, j] > 0.75 else "#202020"
            ax.text(j, i, f"{self.counts[i, j]}", ha="center", va="center", color=color, fontsize=9)
        return self


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
        P, classes = estimator.predict_proba(X), estimator.classes_
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
        found = series.calibration(P, right.argmax(axis=1), bins)
        return cls(found.confidence, found.accuracy, found.share, found.error, name).plot(ax)

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
        found = series.Calibration(self.confidence, self.accuracy, self.share, self.error)
        label = " ".join([self.name, f"(calibration error {self.error:.3f})"]).strip()
        plot = found.plot(label)
        points, diagonal = plot.curves
        if first:
            draw_curve(ax, diagonal, NEUTRAL_COLOR, linewidth=1.0)
        x, y = np.asarray(points.x), np.asarray(points.y)
        draw_curve(ax, points, color, linewidth=1.5, marker="")
        ax.vlines(x, np.minimum(x, y), np.maximum(x, y), color=color, alpha=0.35, linewidth=4)
        ax.scatter(x, y, s=30 + 300 * self.share[found.seen], color=color, edgecolor="white", zorder=3)
        ax.set(xlim=(0, 1.03), ylim=(0, 1.03), aspect="equal", xlabel=plot.x_name, ylabel=plot.y_name)
        finish(ax)
        ax.legend(frameon=False, loc="upper left")
        return self


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
