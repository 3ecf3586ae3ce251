"""Scores of a model on rows that come in parts, equal to those of the same rows together.

In: a model, parts of rows with their targets. Out: scores by name. Everything but the areas under ROC curves is counted and
summed; these need the probabilities of all rows, or of a sample where they are too many.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from chainrule.arrays import Array
from chainrule.data.stream.moments import Moments
from chainrule.errors import InvalidValueError
from chainrule.pipeline.evaluation.evaluate import labels_at
from chainrule.pipeline.evaluation.metrics import shares_of_counts
from chainrule.pipeline.evaluation.scores import mean_of_classes, roc_auc
from chainrule.random import mix
from chainrule.target import Target, class_indices


class RunningScores:
    """Scores of a model with one target, of rows that `add` was called with.

    Parameters
    ----------
    model : Model or Pack
        The model.
    threshold : float or None
        For two classes: lowest probability at which the second is predicted.
    memory : int
        Bytes that probabilities may take.
    """

    def __init__(self, model: Any, threshold: float | None, memory: int) -> None:
        self.rows = 0
        self._model = model
        self._threshold = threshold
        self._target = Target.of(model)
        self._loss = 0.0
        self._errors = np.zeros(2)
        self._values = Moments(1)
        self._confusion = np.zeros((0, 0), np.int64)
        if isinstance(model.classes, np.ndarray):
            K = len(model.classes)
            self._confusion = np.zeros((K, K), np.int64)
            self._by_probability = np.zeros((K, K), np.int64)
            self._most = max(1000, memory // (8 * K + 8))
        self._kept: list[tuple[Array, Array, Array]] = []
        self._held = 0
        self._mask = np.uint32(0)

    def add(self, X: Array, y: Array) -> None:
        """Take in rows (n, d) with their targets."""
        model = self._model
        losses = model.loss.rows(np, model.scores(X), self._target.encode(y))
        self._loss += float(losses.sum(dtype=np.float64))
        if model.classes is None:
            predicted = np.asarray(model.predict(X), np.float64)
            error = predicted - np.asarray(y, np.float64)
            self._errors += (float(error @ error), float(np.abs(error).sum()))
            self._values.add(np.asarray(y, np.float64)[:, None])
        else:
            self._add_classes(model.predict(X), np.asarray(model.probabilities(X), np.float64), y)
        self.rows += len(X)

    def _add_classes(self, predicted: Array, P: Array, y: Array) -> None:
        classes, K = self._model.classes, len(self._confusion)
        if self._threshold is not None:
            predicted = labels_at(classes, P, self._threshold)
        codes, chosen = class_indices(classes, y), class_indices(classes, predicted)
        likely = P.argmax(axis=1) if self._threshold is None else (P[:, -1] >= self._threshold).astype(np.int64)
        self._confusion += np.bincount(codes * K + chosen, minlength=K * K).reshape(K, K)
        self._by_probability += np.bincount(codes * K + likely, minlength=K * K).reshape(K, K)
        drawn = mix(np.arange(self.rows, self.rows + len(P)).astype(np.uint32))
        self._kept.append((drawn, codes, P))
        self._held += len(P)
        self._thin(self._kept[-1:] if self._mask else [])
        while self._held > self._most:
            self._mask = np.uint32(2 * self._mask + 1)
            self._thin(self._kept)

    def _thin(self, parts: list[tuple[Array, Array, Array]]) -> None:
        """Keep the probabilities of those rows alone that are drawn."""
        if not parts:
            return
        thinned = []
        for part in parts:
            take = (part[0] & self._mask) == 0
            thinned.append((part[0][take], part[1][take], part[2][take]))
        self._kept = self._kept[: len(self._kept) - len(parts)] + thinned
        self._held = sum(len(part[0]) for part in self._kept)

    @property
    def sampled(self) -> int:
        """Number of rows that areas under ROC curves are of, 0 where these are all."""
        return self._held if self._mask else 0

    def summary(self) -> dict[str, float]:
        """Return the scores by name, as `evaluate` does."""
        if not self.rows:
            raise InvalidValueError("evaluate: there must be rows with a target, got none.")
        loss = {"loss": self._loss / self.rows}
        if self._model.classes is None:
            squares, sizes = (self._errors / self.rows).tolist()
            spread = float(self._values.variance[0])
            return loss | {"rmse": squares**0.5, "mae": sizes, "r2": 1.0 - squares / spread if spread > 0 else np.nan}
        right, support = np.diag(self._confusion), self._confusion.sum(axis=1)
        seen = (support + self._confusion.sum(axis=0)) > 0
        _, recall, f1, _ = shares_of_counts(self._confusion)
        scores = (float(recall[support > 0].mean()), float(f1[seen].mean()), self._area())
        named = dict(zip(("balanced_accuracy", "f1", "roc_auc"), scores, strict=True))
        return loss | {"accuracy": float(right.sum() / self.rows)} | named

    def _area(self) -> float:
        codes = np.concatenate([part[1] for part in self._kept])
        P = np.concatenate([part[2] for part in self._kept])
        return mean_of_classes([roc_auc(codes == k, P[:, k]) for k in range(P.shape[1])])

    @property
    def confusion(self) -> Array:
        """Rows of each true class by predicted class, (K, K)."""
        return self._confusion

    def each_class(self) -> list[tuple[Any, float, float, float, int]]:
        """Return label, precision, recall, f1 and rows of each class, by the more probable class."""
        counts = shares_of_counts(self._by_probability)
        return list(zip(self._model.classes.tolist(), *(part.tolist() for part in counts), strict=True))
