"""Rows of each true class by predicted class.

In: labels and predicted labels. Out: a display.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from chainrule.arrays import Array
from chainrule.errors import InvalidValueError, must_be
from chainrule.pipeline.evaluation import confusion_matrix
from chainrule.report import series
from chainrule.report.displays.base import Display
from chainrule.report.matplotlib import as_text, tinted

_MOST_WRITTEN = 20
"""Classes up to which the numbers of a confusion matrix are legible."""


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
        names = [as_text(label, 40) for label in self.labels]
        ax.set_xticks(range(K), names, rotation=45 if slanted else 0, parse_math=False)
        ax.set_yticks(range(K), names, parse_math=False)
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
