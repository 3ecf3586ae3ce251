"""A trained network together with the scaling of its inputs and outputs, its classes and its column names.

A network alone cannot predict: it needs what its inputs went through in training. In: rows as the user has them (a frame,
lists, an array; unscaled). Out: predictions in the user's own units and labels.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, fields, replace
from functools import cached_property, partial
from typing import Any, TypeAlias

import numpy as np

from chainrule.arrays import Array, ArrayLike, MatrixLike
from chainrule.data import Standardizer, Task
from chainrule.data.matrix import as_matrix, default_names
from chainrule.engines import predictor
from chainrule.errors import InvalidValueError, must_be
from chainrule.nn.losses import Loss, Quantile, TargetKind
from chainrule.nn.net import Net

Classes: TypeAlias = Array | tuple[Array, ...] | None
"""Classes (K) in order; a tuple of such for several targets of exclusive classes; None for a regression."""


@dataclass(frozen=True, eq=False)
class Model:
    """A network with its weights, the scaling of inputs and targets, and the names around it.

    It is what `NetClassifier` and `NetRegressor` keep as `model_`, and what `save_model` writes and `load_model` reads. It
    is frozen, so that threads may share it. Rows X may be a pandas or polars frame, whose columns are found by name (in
    any order; other columns are ignored), a list of rows, an array or a sparse matrix.

    Parameters
    ----------
    net : Net
        The network.
    loss : Loss
        The loss it was trained with; its link maps logits to predictions.
    w : array of shape (P,)
        All parameters in one vector, in the dtype of training.
    buffers : array of shape (B,)
        Running statistics of batch norm, in the dtype of training.
    inputs : Standardizer
        The scaling of the d inputs.
    targets : Standardizer or None
        The scaling of a regression's outputs; None where they were not scaled.
    classes : array of shape (K,), tuple of such arrays, or None
        The classes in order, a tuple of such for several targets, None for a regression.
    feature_names : tuple of str
        The d names of the columns; "x0", "x1", ... where the training data had none.
    target_name : str
        The name of what is predicted.
    temperature : float, default=1.0
        What the logits of classes are divided by before they become probabilities; 1 leaves them as they are.
    others : tuple of (w, buffers), default=()
        Weights and statistics of further networks of the same shape, whose predictions are averaged with this one's.

    Examples
    --------
    >>> from chainrule import Dense, losses
    >>> one = Standardizer.identity(1)
    >>> model = Model(Net(1, [Dense(1)]), losses.BinaryCrossEntropy(), np.array([1.0, 0.0]), np.zeros(0), one, None,
    ...               np.array(["no", "yes"]), ("x",), "kind")
    >>> model.predict([[-1.0], [2.0]]).tolist()
    ['no', 'yes']
    """

    net: Net
    loss: Loss
    w: Array = field(repr=False)
    buffers: Array = field(repr=False)
    inputs: Standardizer = field(repr=False)
    targets: Standardizer | None = field(repr=False)
    classes: Classes
    feature_names: tuple[str, ...] = field(repr=False)
    target_name: str
    temperature: float = 1.0
    others: tuple[tuple[Array, Array], ...] = field(default=(), repr=False)

    @property
    def task(self) -> Task:
        """What it predicts: "classification" or "regression"."""
        return "regression" if self.classes is None else "classification"

    @property
    def multilabel(self) -> bool:
        """True if it predicts several independent yes/no labels for each row."""
        return self.loss.targets is TargetKind.LABELS and self.net.outputs > 1

    @property
    def members(self) -> tuple[Model, ...]:
        """Each network as a model of its own."""
        alone = replace(self, others=())
        return (alone, *(replace(alone, w=w, buffers=buffers) for w, buffers in self.others))

    @cached_property
    def _forward(self) -> Callable[[Array], Array]:
        if not self.others:
            return predictor(self.net, self.w, self.buffers)
        numbers = ((self.w, self.buffers), *self.others)
        return partial(_averaged, self.loss, [predictor(self.net, w, buffers) for w, buffers in numbers])

    @cached_property
    def blocks(self) -> tuple[slice, ...]:
        """The columns of the logits and probabilities that belong to each of several targets of classes."""
        ends = np.cumsum([len(known) for known in self.classes or ()])
        return tuple(
            slice(int(end) - len(known), int(end)) for end, known in zip(ends, self.classes or (), strict=True)
        )

    def __getstate__(self) -> dict[str, Any]:
        """Return the fields alone; the prediction function is rebuilt when it is needed."""
        return {f.name: getattr(self, f.name) for f in fields(self)}

    def as_matrix(self, X: MatrixLike) -> Array:
        """Return rows as an array with the model's columns in the model's order.

        Parameters
        ----------
        X : array, frame, sparse matrix or sequence of rows
            n rows in the user's units.

        Returns
        -------
        array of shape (n, d)

        Raises
        ------
        InvalidValueError
            In one line, for missing columns, another number of columns, and cells that are not numbers.
        """
        named = len(self.feature_names) == self.net.inputs
        return as_matrix("Model", X, self.feature_names if named else default_names(self.net.inputs))

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
        X = self.as_matrix(X)
        return self._forward(self.inputs.apply(X, self.w.dtype))

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
        Z = self.logits(X)
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
        if self.classes is None:
            hint = "Probabilities need a classifier."
            raise InvalidValueError(must_be("Model", "task", "classification", self.task, hint))
        P = self.loss.predict(np, self.scores(X))
        return np.hstack([1.0 - P, P]) if P.shape[1] == 1 else P

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
        X = self.as_matrix(X)
        if self.classes is None:
            return self._values(X)
        if isinstance(self.classes, tuple):
            P = self.probabilities(X)
            chosen = zip(self.classes, self.blocks, strict=True)
            return np.column_stack([known[P[:, block].argmax(axis=1)] for known, block in chosen])
        if self.multilabel:
            return (self.logits(X) > 0).astype(np.int64)
        return self.classes[np.argmax(self.probabilities(X), axis=1)]

    def _values(self, X: Array) -> Array:
        if isinstance(self.loss, Quantile):
            return self.predict_quantiles(X)[..., self.loss.central]
        A = self.loss.predict(np, self.logits(X))
        A = A if self.targets is None else self.targets.undo(A).astype(np.result_type(self.w, X), copy=False)
        return A[:, 0] if A.shape[1] == 1 else A

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
        X = self.as_matrix(X)
        A = self.loss.predict(np, self.logits(X))
        A = A if self.targets is None else self.targets.undo(A).astype(np.result_type(self.w, X), copy=False)
        Q = np.sort(A.reshape(len(A), -1, len(self.loss.levels)), axis=2)
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
            The share of rows predicted right, or R² = 1 - Σ (y - ŷ)² / Σ (y - ȳ)², the mean over the outputs.

        Raises
        ------
        InvalidValueError
            For a y of another shape than the predictions.
        """
        predicted, y = self.predict(X), np.asarray(y)
        if y.shape != predicted.shape:
            raise InvalidValueError(must_be("Model", "y", f"of shape {predicted.shape}", y.shape))
        c = np.ones(len(y)) if sample_weight is None else np.asarray(sample_weight, np.float64)
        if self.classes is None:
            return r2_score(y.reshape(len(y), -1), predicted.reshape(len(y), -1), c)
        right = (predicted == y).reshape(len(y), -1).all(axis=1)
        return float(np.average(right, weights=c))


def r2_score(Y: Array, P: Array, c: Array) -> float:
    """Return the mean over the outputs of R² = 1 - u / v; where Y does not vary, 1 if it is met and 0 if not.

    Equations  (1) u = Σᵢ cᵢ (Yᵢ - Pᵢ)²    (2) v = Σᵢ cᵢ (Yᵢ - Ȳ)²

    Shapes     Y, P (n, k)   c (n)
    """
    u = c @ (Y - P) ** 2  # (1)
    v = c @ (Y - np.average(Y, axis=0, weights=c)) ** 2  # (2)
    return float(np.where(v > 0, 1.0 - u / np.where(v > 0, v, 1.0), np.where(u > 0, 0.0, 1.0)).mean())


def _averaged(loss: Loss, networks: Sequence[Callable[[Array], Array]], X: Array) -> Array:
    """Return the logits whose prediction is the mean of the networks' predictions: Z = f⁻¹(Σᵢ f(Zᵢ) / k)."""
    return loss.inverse(np, np.mean([loss.predict(np, network(X)) for network in networks], axis=0))
