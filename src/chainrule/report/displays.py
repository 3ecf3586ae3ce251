"""Why: scikit-learn's users draw with `SomethingDisplay.from_estimator(...)`; what there is to draw of a network is here.

In: a fitted estimator, or what it predicted. Out: displays with `plot`, and the matplotlib axes that they drew on.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from chainrule.arrays import Array
from chainrule.calibration import expected_calibration_error, reliability
from chainrule.constraints import OneOf
from chainrule.errors import InvalidValueError, must_be
from chainrule.report.figures import HELD_OUT, MARK, TRAIN
from chainrule.train import Epoch, Run

_PARTS = OneOf(("loss", "score"))
_MOST_WRITTEN = 20
"""Classes up to which the numbers of a confusion matrix can be read."""


@dataclass(eq=False)
class Display:
    """What all displays share: the axes and the figure of the last `plot`."""

    ax_: Any = field(default=None, init=False, repr=False)
    figure_: Any = field(default=None, init=False, repr=False)

    def _on(self, ax: Any, width: float, height: float) -> Any:
        """The axes given, or those of a new figure on a white ground."""
        if ax is None:
            from matplotlib import pyplot

            _, ax = pyplot.subplots(figsize=(width, height), layout="constrained", facecolor="white")
        ax.set_facecolor("white")
        ax.spines[["top", "right"]].set_visible(False)
        self.ax_, self.figure_ = ax, ax.figure
        return ax


@dataclass(eq=False)
class TrainingCurveDisplay(Display):
    """Loss or score by epoch, on training and validation rows, with the epoch whose weights were kept.

    Of several networks each has a line. scikit-learn's `LearningCurveDisplay` is another thing: scores by number of rows.

    >>> from chainrule import NetRegressor
    >>> X = np.linspace(-1, 1, 40)[:, None]
    >>> from matplotlib.figure import Figure
    >>> network = NetRegressor((4,), max_iter=5, early_stopping=True, random_state=0).fit(X, X[:, 0])
    >>> TrainingCurveDisplay.from_estimator(network, ax=Figure().subplots()).ax_.get_xlabel()
    'epoch'
    """

    runs: Sequence[Run]

    @classmethod
    def from_estimator(cls, estimator: Any, *, what: str = "loss", ax: Any = None) -> TrainingCurveDisplay:
        """Draw the last fit of a network estimator."""
        return cls(tuple(estimator.runs_)).plot(ax, what=what)

    @classmethod
    def from_run(cls, run: Run, *, what: str = "loss", ax: Any = None) -> TrainingCurveDisplay:
        """Draw a run of `chainrule.train.train`."""
        return cls((run,)).plot(ax, what=what)

    def plot(self, ax: Any = None, *, what: str = "loss") -> TrainingCurveDisplay:
        """Draw "loss" (on a logarithmic scale where it is above 0) or "score"; returns the display."""
        if not _PARTS.allows(what):
            raise InvalidValueError(must_be("TrainingCurveDisplay", "what", str(_PARTS), what, _PARTS.hint(what)))
        ax = self._on(ax, 6.4, 4.0)
        for i, run in enumerate(self.runs):
            self._lines(ax, run, what, first=i == 0)
        label = "loss" if what == "loss" else _named(self.runs[0].epochs[-1].metric)
        ax.set(xlabel="epoch", ylabel=label)
        shown = [y for line in ax.get_lines() for y in np.atleast_1d(line.get_ydata()) if math.isfinite(y)]
        if what == "loss" and shown and min(shown) > 0:
            _logarithmic(ax, math.log10(max(shown) / min(shown)))
        ax.xaxis.get_major_locator().set_params(integer=True)
        ax.grid(alpha=0.25)
        ax.legend(frameon=False)
        return self

    def _lines(self, ax: Any, run: Run, what: str, first: bool) -> None:
        """Both curves of a run, and a ring around the epoch that was kept."""
        style = {"alpha": 1.0 if len(self.runs) == 1 else 0.6, "marker": "o" if len(run.epochs) == 1 else ""}
        for part, color in (("train", TRAIN), ("validation", HELD_OUT)):
            values = [getattr(epoch, f"{part}_{what}") for epoch in run.epochs]
            if not all(map(math.isnan, values)):
                numbers = [epoch.number for epoch in run.epochs]
                ax.plot(numbers, values, color=color, label=part if first else None, **style)
        kept = [epoch for epoch in run.epochs if epoch.number == run.best_epoch]
        if kept:
            label = f"kept: epoch {run.best_epoch}" if len(self.runs) == 1 else "kept"
            ring = {"markerfacecolor": "white", "markeredgecolor": MARK, "markersize": 8, "zorder": 3}
            ax.plot(kept[0].number, _held_out(kept[0], what), "o", label=label if first else None, **ring)


def _logarithmic(ax: Any, decades: float) -> None:
    """A logarithmic scale with plain numbers beside it, more of them where it spans little."""
    from matplotlib.ticker import LogLocator, NullFormatter

    ax.set_yscale("log")
    ax.yaxis.set_major_locator(LogLocator(subs=(1,) if decades > 3 else (1, 2, 5) if decades > 0.7 else range(1, 10)))
    ax.yaxis.set_major_formatter(lambda value, _: f"{value:g}")
    ax.yaxis.set_minor_formatter(NullFormatter())


def _held_out(epoch: Epoch, what: str) -> float:
    """The figure that chose an epoch: of the validation rows where there are some."""
    value = float(getattr(epoch, f"validation_{what}"))
    return float(getattr(epoch, f"train_{what}")) if math.isnan(value) else value


def _named(metric: str) -> str:
    return {"rmse": "root mean squared error"}.get(metric, metric)


@dataclass(eq=False)
class ConfusionDisplay(Display):
    """Rows of each true class by predicted class: right ones blue, mistakes orange, the darker the larger their share of the
    true class; small shares are drawn darker than they are, since mistakes are what one looks for.

    >>> from matplotlib.figure import Figure
    >>> display = ConfusionDisplay.from_predictions(["a", "b", "b"], ["a", "b", "a"], ax=Figure().subplots())
    >>> display.counts.tolist()
    [[1, 0], [1, 1]]
    """

    counts: Array
    labels: Sequence[Any]

    @classmethod
    def from_estimator(cls, estimator: Any, X: Any, y: Any, *, ax: Any = None) -> ConfusionDisplay:
        """Predict rows X and draw them against y; works for any classifier."""
        return cls.from_predictions(y, estimator.predict(X), labels=estimator.classes_, ax=ax)

    @classmethod
    def from_predictions(cls, y_true: Any, y_pred: Any, *, labels: Any = None, ax: Any = None) -> ConfusionDisplay:
        """Draw labels against predicted labels; `labels` orders the classes.

        Raises `InvalidValueError` for labels of more than one target, or that are not among `labels`.
        """
        true, predicted = np.asarray(y_true), np.asarray(y_pred)
        known = np.unique(np.concatenate([true, predicted])) if labels is None else np.asarray(labels)
        if true.ndim != 1 or true.shape != predicted.shape or not np.isin([*true, *predicted], known).all():
            allowed = f"{len(predicted)} labels among {known.tolist()}"
            raise InvalidValueError(must_be("ConfusionDisplay", "y_true", allowed, sorted(set(true.ravel().tolist()))))
        place = {label: i for i, label in enumerate(known.tolist())}
        counts = np.zeros((len(known), len(known)), np.int64)
        np.add.at(counts, ([place[x] for x in true.tolist()], [place[x] for x in predicted.tolist()]), 1)
        return cls(counts, known.tolist()).plot(ax)

    def plot(self, ax: Any = None) -> ConfusionDisplay:
        """Draw; returns the display."""
        K = len(self.labels)
        ax = self._on(ax, *(2 * (max(3.6, min(0.55 * K + 1.4, 9.0)),)))
        share = self.counts / np.maximum(self.counts.sum(axis=1, keepdims=True), 1)
        depth = np.sqrt(share)
        ax.imshow(_tinted(depth), interpolation="nearest")
        ax.set_xticks(range(K), self.labels, rotation=45 if max(len(str(x)) for x in self.labels) > 4 else 0)
        ax.set_yticks(range(K), self.labels)
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


def _tinted(depth: Array) -> Array:
    """White to blue on the diagonal, white to orange beside it, (K, K, 3)."""
    from matplotlib.colors import to_rgb

    right, wrong = (np.array(to_rgb(color)) for color in (TRAIN, HELD_OUT))
    full = np.where(np.eye(len(depth), dtype=bool)[..., None], right, wrong)
    return 1.0 - depth[..., None] * (1.0 - full)


@dataclass(eq=False)
class CalibrationDisplay(Display):
    """How often predictions were right, by how sure they were: points on the diagonal are honest, below it too sure.

    The area of a point tells the share of rows in its bin. The legend has the expected calibration error. Unlike
    scikit-learn's display of that name it takes any number of classes: it is about the predicted class.

    Reference  [murphy1977], [guo2017]

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
        """Ask a classifier for probabilities of rows X and draw them against y."""
        P, classes = estimator.predict_proba(X), estimator.classes_
        return cls.from_predictions(y, P, labels=classes, bins=bins, name=name or type(estimator).__name__, ax=ax)

    @classmethod
    def from_predictions(
        cls, y_true: Any, P: Array, *, labels: Any = None, bins: int = 10, name: str = "", ax: Any = None
    ) -> CalibrationDisplay:
        """Draw probabilities P (n, K) against true labels; `labels` (K) names the columns, by default sorted."""
        known = np.unique(np.asarray(y_true)) if labels is None else np.asarray(labels)
        right = np.asarray(y_true)[:, None] == known
        if right.shape != np.shape(P) or not right.any(axis=1).all():
            allowed = f"of shape {right.shape}, a column for each label in {known.tolist()}"
            raise InvalidValueError(must_be("CalibrationDisplay", "P", allowed, np.shape(P)))
        y = right.argmax(axis=1)
        bars = reliability(P, y, bins)
        return cls(*bars, expected_calibration_error(P, y, bins), name).plot(ax)

    def plot(self, ax: Any = None, *, color: str = TRAIN) -> CalibrationDisplay:
        """Draw; on axes that already have such a diagram its points are added. Returns the display."""
        new = ax is None or not ax.lines
        ax = self._on(ax, 4.6, 4.6)
        if new:
            ax.plot([0, 1], [0, 1], color=MARK, linestyle="--", linewidth=1.0, label="honest")
        seen = self.share > 0
        x, y = self.confidence[seen], self.accuracy[seen]
        label = " ".join([self.name, f"(calibration error {self.error:.3f})"]).strip()
        ax.plot(x, y, color=color, linewidth=1.5, label=label)
        ax.vlines(x, np.minimum(x, y), np.maximum(x, y), color=color, alpha=0.35, linewidth=4)
        ax.scatter(x, y, s=30 + 300 * self.share[seen], color=color, edgecolor="white", zorder=3)
        ax.set(xlim=(0, 1.03), ylim=(0, 1.03), aspect="equal")
        ax.set(xlabel="confidence: probability of the predicted class", ylabel="share of right predictions")
        ax.grid(alpha=0.25)
        ax.legend(frameon=False, loc="upper left")
        return self


@dataclass(eq=False)
class WeightImagesDisplay(Display):
    """The weights into the first hidden units as images, for inputs that are pixels: what each unit looks for.

    Orange adds to the unit, purple takes away; white is zero. Each image has its own scale. Units with the longest weight
    vectors come first.

    >>> from matplotlib.figure import Figure
    >>> WeightImagesDisplay.from_weights(np.eye(4), ax=Figure().subplots()).images.shape
    (4, 2, 2)
    """

    images: Array

    @classmethod
    def from_estimator(
        cls, estimator: Any, *, shape: tuple[int, int] | None = None, units: int = 36, ax: Any = None
    ) -> WeightImagesDisplay:
        """Draw the first layer of a network estimator; `shape` (height, width), by default square."""
        return cls.from_weights(estimator.coefs_[0], shape=shape, units=units, ax=ax)

    @classmethod
    def from_weights(
        cls, W: Array, *, shape: tuple[int, int] | None = None, units: int = 36, ax: Any = None
    ) -> WeightImagesDisplay:
        """Draw the columns of W (pixels, units).

        Raises `InvalidValueError` where the pixels do not fill the shape.
        """
        d = W.shape[0]
        side = math.isqrt(d)
        height, width = shape or (side, side)
        if height * width != d:
            raise InvalidValueError(must_be("WeightImagesDisplay", "shape", f"of {d} pixels", shape or "no square"))
        first = np.argsort(-np.linalg.norm(W, axis=0), kind="stable")[:units]
        return cls(W[:, first].T.reshape(-1, height, width)).plot(ax)

    def plot(self, ax: Any = None) -> WeightImagesDisplay:
        """Draw all images on one pair of axes; returns the display."""
        wall = _wall(self.images)
        size = 6.0 / max(wall.shape)
        ax = self._on(ax, max(2.5, size * wall.shape[1]), max(2.5, size * wall.shape[0]))
        ax.set_facecolor("#b8b8b8")
        ax.imshow(wall, cmap="PuOr_r", vmin=-1, vmax=1, interpolation="nearest")
        ax.set(xticks=[], yticks=[])
        ax.spines[:].set_visible(False)
        return self


def _wall(images: Array) -> Array:
    """Images side by side in a nearly square wall, each divided by its largest weight, with a line of nothing between."""
    k, height, width = images.shape
    across = math.ceil(math.sqrt(k * height / width))
    down = math.ceil(k / across)
    wall = np.full((down * (height + 1) - 1, across * (width + 1) - 1), np.nan)
    for i, image in enumerate(images):
        top, left = (i // across) * (height + 1), (i % across) * (width + 1)
        wall[top : top + height, left : left + width] = image / max(float(np.abs(image).max()), np.finfo(float).tiny)
    return wall
