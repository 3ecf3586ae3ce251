"""What every trained model answers, whatever it is made of: classes, probabilities, values, quantiles, a score.

In: logits for rows, a loss, the scaling of targets and the classes. Out: predictions in the user's own units and labels.
"""

from __future__ import annotations

import warnings
from abc import ABC, abstractmethod
from functools import cached_property
from typing import Any, TypeAlias

import numpy as np

from chainrule.arrays import Array, ArrayLike, MatrixLike
from chainrule.data import Standardizer, Task
from chainrule.data.checks import check_finite
from chainrule.data.targets import unknown_labels
from chainrule.errors import InvalidValueError, must_be
from chainrule.nn.losses import Loss, Quantile, TargetKind

Classes: TypeAlias = Array | tuple[Array, ...] | None
"""Classes (K) in order; a tuple of such for several targets of exclusive classes; None for a regression."""


class Predictor(ABC):
    """A model as its users see it: they give rows, and it predicts.

    Subclasses hold a loss, the scaling of the targets, the classes, a name for the target and a temperature; they convert
    rows (`as_matrix`) and compute logits (`matrix_logits`).
    """

    loss: Loss
    targets: Standardizer | None
    classes: Classes
    target_name: str
    temperature: float
    limits: tuple[float, float] | None = None
    """Lowest and highest value that a regression predicts; None where predictions are not clamped."""

    @property
    @abstractmethod
    def outputs(self) -> int:
        """Number of logits."""

    @abstractmethod
    def as_matrix(self, X: MatrixLike) -> Array:
        """Return rows as the matrix that `matrix_logits` takes.

        Parameters
        ----------
        X : array, frame, sparse matrix or sequence of rows
            n rows in the user's units.

        Returns
        -------
        array of shape (n, d)
        """

    @abstractmethod
    def matrix_logits(self, X: Array) -> Array:
        """Return the outputs of the last layer, before the link, for rows from `as_matrix`.

        Parameters
        ----------
        X : array of shape (n, d)
            What `as_matrix` returned.

        Returns
        -------
        array of shape (n, k)
        """

    @property
    def task(self) -> Task:
        """What it predicts: "classification" or "regression"."""
        return "regression" if self.classes is None else "classification"

    @property
    def multilabel(self) -> bool:
        """True if it predicts several independent yes/no labels for each row."""
        return self.loss.targets is TargetKind.LABELS and self.outputs > 1

    @cached_property
    def blocks(self) -> tuple[slice, ...]:
        """The columns of the logits and probabilities that belong to each of several targets of classes."""
        ends = np.cumsum([len(known) for known in self.classes or ()])
        return tuple(
            slice(int(end) - len(known), int(end)) for end, known in zip(ends, self.classes or (), strict=True)
        )

    def logits(self, X: MatrixLike) -> Array:
        """Return the outputs of the last layer, before the link.

        For several networks: the logits whose prediction is the mean of the networks' predictions.

        Parameters
        ----------
        X : array, frame, sparse matrix or sequence of rows
            n rows with d finite numbers each, in the user's units.

        Returns
        -------
        array of shape (n, k)

        Raises
        ------
        InvalidValueError
            For missing columns, a wrong number of columns, and cells that are not finite numbers.
        """
        return self.matrix_logits(self.as_matrix(X))

    def scores(self, X: MatrixLike) -> Array:
        """Return the logits divided by the temperature, as the link takes them.

        Parameters
        ----------
        X : array, frame, sparse matrix or sequence of rows
            n rows in the user's units.

        Returns
        -------
        array of shape (n, k)
        """
        return self._scores(self.as_matrix(X))

    def _scores(self, X: Array) -> Array:
        Z = self.matrix_logits(X)
        return Z if self.temperature == 1.0 else Z / Z.dtype.type(self.temperature)

    def probabilities(self, X: MatrixLike) -> Array:
        """Return the probability of every class, in one array.

        Parameters
        ----------
        X : array, frame, sparse matrix or sequence of rows
            n rows in the user's units.

        Returns
        -------
        array of shape (n, K)
            One column for each class, rows sum to 1; for independent labels one for each label, (n, k); for several targets
            one for each class of each target, (n, ΣK).

        Raises
        ------
        InvalidValueError
            For a regression.
        """
        return self._probabilities(self.as_matrix(X))

    def _probabilities(self, X: Array) -> Array:
        if self.classes is None:
            hint = "Probabilities need a classifier."
            raise InvalidValueError(must_be("Model", "task", "classification", self.task, hint))
        P = self.loss.predict(np, self._scores(X))
        if P.shape[1] > 1:
            return P
        both = np.empty((len(P), 2), P.dtype)
        both[:, :1] = 1.0 - P
        both[:, 1:] = P
        return both

    def predict_proba(self, X: MatrixLike) -> Array | list[Array]:
        """Return the probability of every class, as scikit-learn's classifiers do.

        Parameters
        ----------
        X : array, frame, sparse matrix or sequence of rows
            n rows in the user's units.

        Returns
        -------
        array of shape (n, K), or list of such arrays
            One column for each class in `classes`; for several targets a list with one array for each.

        Raises
        ------
        InvalidValueError
            For a regression.
        """
        P = self.probabilities(X)
        return [P[:, block] for block in self.blocks] if isinstance(self.classes, tuple) else P

    def predict(self, X: MatrixLike) -> Array:
        """Predict classes, labels or values for rows.

        Parameters
        ----------
        X : array, frame, sparse matrix or sequence of rows
            n rows in the user's units.

        Returns
        -------
        array of shape (n,), (n, k) or (n, m)
            A classification gives a class for each row, one for each of several targets (n, m), or 0 and 1 for each label
            (n, k). A regression gives values (n,) or (n, k) in the targets' unit, float32 where network and rows are, else
            float64; a model of quantiles gives the quantile nearest to the median.
        """
        return self._predict(self.as_matrix(X))

    def _predict(self, X: Array) -> Array:
        if self.classes is None:
            return self._values(X)
        if isinstance(self.classes, tuple):
            P = self._probabilities(X)
            chosen = zip(self.classes, self.blocks, strict=True)
            return np.column_stack([known[P[:, block].argmax(axis=1)] for known, block in chosen])
        if self.multilabel:
            return (self.matrix_logits(X) > 0).astype(np.int64)
        return self.classes[self._most_probable(X)]

    def _most_probable(self, X: Array) -> Array:
        """Return the number of each row's most probable class."""
        return self._probabilities(X).argmax(axis=1)

    def _values(self, X: Array) -> Array:
        if isinstance(self.loss, Quantile):
            return self._quantiles(X, self.loss)[..., self.loss.central]
        A = self._in_units(X)
        return A[:, 0] if A.shape[1] == 1 else A

    def _value_type(self, Z: Array, X: Array) -> Any:
        """Return the type of predicted values: float32 where network and rows are."""
        return np.result_type(Z, X)

    def _in_units(self, X: Array) -> Array:
        """Return the predictions of continuous targets in their units, float32 where network and rows are."""
        Z = self.matrix_logits(X)
        A = self.loss.predict(np, Z)
        A = A if self.targets is None else self.targets.undo(A).astype(self._value_type(Z, X), copy=False)
        return A if self.limits is None else np.clip(A, *self.limits)

    def predict_quantiles(self, X: MatrixLike) -> Array:
        """Predict the quantiles of the target: values below which the shares `loss.levels` of targets lie.

        They ascend along the last axis: the network's outputs are sorted, so that quantiles never cross.

        Parameters
        ----------
        X : array, frame, sparse matrix or sequence of rows
            n rows in the user's units.

        Returns
        -------
        array of shape (n, q), or (n, m, q) for several targets

        Raises
        ------
        InvalidValueError
            For a model of another loss than `Quantile`.
        """
        if not isinstance(self.loss, Quantile):
            hint = "Train with loss='quantile'."
            raise InvalidValueError(must_be("Model", "loss", "Quantile", type(self.loss).__name__, hint))
        return self._quantiles(self.as_matrix(X), self.loss)

    def _quantiles(self, X: Array, loss: Quantile) -> Array:
        A = self._in_units(X)
        Q = np.sort(A.reshape(len(A), -1, len(loss.levels)), axis=2)
        return Q[:, 0] if Q.shape[1] == 1 else Q

    def score(self, X: MatrixLike, y: ArrayLike, sample_weight: ArrayLike = None) -> float:
        """Return the accuracy of a classification, or the R² of a regression, as scikit-learn's `score` does.

        Parameters
        ----------
        X : array, frame, sparse matrix or sequence of rows
            n rows in the user's units.
        y : array-like of shape (n,), (n, k) or (n, m)
            The true classes, labels or values. A row of several labels or targets counts as right if all of them are.
        sample_weight : array-like of shape (n,), default=None
            Weights >= 0 of the rows; None weighs all alike.

        Returns
        -------
        float
            The share of rows predicted right (a row of a class that the training rows did not have is wrong, and a warning
            names it), or R² = 1 - Σ (y - ŷ)² / Σ (y - ȳ)², the mean over the outputs.

        Raises
        ------
        InvalidValueError
            For a y of another shape than the predictions, and for values that are not finite or above 1e150.
        """
        predicted, y = self.predict(X), np.asarray(y)
        if y.shape != predicted.shape:
            raise InvalidValueError(must_be("Model", "y", f"of shape {predicted.shape}", y.shape))
        c = np.ones(len(y)) if sample_weight is None else np.asarray(sample_weight, np.float64)
        if self.classes is None:
            check_finite("Model", "y", y)
            return r2_score(y.reshape(len(y), -1), predicted.reshape(len(y), -1), c)
        warn_of_unknown(self.classes, y, self.multilabel)
        right = (predicted == y).reshape(len(y), -1).all(axis=1)
        return float(np.average(right, weights=c))


def warn_of_unknown(classes: Classes, y: ArrayLike, multilabel: bool = False) -> None:
    """Warn of labels that the training rows did not have: no model can predict them, so their rows count as wrong."""
    values = np.asarray(y)
    columns = [values] if values.ndim < 2 or not isinstance(classes, tuple) else list(values.T)
    each = classes if isinstance(classes, tuple) else (np.array([0, 1]) if multilabel else classes,)
    for known, column in zip(each, columns, strict=False):
        unknown, row = unknown_labels(known, column) if known is not None and column.ndim else ([], -1)
        if unknown:
            text = f"score: y has labels that the training rows did not have, {unknown}, first in row {row} (counted from 0)"
            warnings.warn(f"{text}. Their rows count as wrong.", UserWarning, stacklevel=3)


def r2_score(Y: Array, P: Array, c: Array) -> float:
    """Return the mean over the outputs of R² = 1 - u / v; where Y does not vary, 1 if it is met and 0 if not.

    Equations  (1) u = Σᵢ cᵢ (Yᵢ - Pᵢ)²    (2) v = Σᵢ cᵢ (Yᵢ - Ȳ)²

    Shapes     Y, P (n, k)   c (n)
    """
    u = c @ (Y - P) ** 2  # (1)
    v = c @ (Y - np.average(Y, axis=0, weights=c)) ** 2  # (2)
    return float(np.where(v > 0, 1.0 - u / np.where(v > 0, v, 1.0), np.where(u > 0, 0.0, 1.0)).mean())
