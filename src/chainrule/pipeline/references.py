"""Simple models on the same rows, by which a network's scores can be judged: a constant, a linear one, boosted trees.

In: encoded rows with gaps and category codes, targets, the rows of each part. Out: a `Reference` for each model. Work is
bounded by numbers of rows and iterations rather than by a clock, so that two runs of one seed give the same scores.
"""

from __future__ import annotations

import time
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from chainrule.arrays import Array
from chainrule.constraints import POSITIVE
from chainrule.data import Task
from chainrule.errors import InvalidValueError, must_be
from chainrule.pipeline.evaluation import class_scores, value_scores
from chainrule.random import Purpose, Stream

_LINEAR_RATE = 6e8
"""Products of rows, columns, classes and iterations (for ridge: columns twice) that one core does in a second."""
_TREE_RATE = 5e7
"""Products of rows, columns and trees that one core does in a second."""
_TREE_ROWS = 8000
"""Rows whose histograms cost as much as the search for a tree's splits, which is the same for any number of rows."""
_LINEAR_SHARE = 0.3
"""Share of the time for the linear model; trees have the rest."""
_ITERATIONS = 100
"""Iterations of the linear solver and of boosting: scikit-learn's defaults."""
_FEW_ITERATIONS = 5
_SOME_ROWS = 20_000
"""Rows are left out down to this number before boosting does fewer iterations, at the least `_FEW_ITERATIONS`."""
_MOST_CATEGORIES = 255
"""Categories of a column that boosting takes as such; with more, it takes the codes as numbers."""
_MOST_COLUMNS = 50
"""Columns that the linear model has at most for a category; the rarest share one."""
_MOST_CELLS = 4e6
"""Cells of a model's training matrix, which is 32 MB in float64."""
_BLOCK = 1 << 15
"""Rows that are predicted at a time."""


@dataclass(frozen=True)
class Reference:
    """A simple model's scores on the test rows.

    Parameters
    ----------
    name : str
        "constant", "linear" or "boosted trees".
    scores : mapping of str to float
        Scores by name, as `ClassScores.summary` and `ValueScores.summary` give them; empty where the model failed.
    seconds : float
        Time that training and scoring took.
    note : str, default=""
        What differs from the model's usual training, such as rows left out, or why it failed.
    """

    name: str
    scores: Mapping[str, float] = field(default_factory=dict)
    seconds: float = 0.0
    note: str = ""


def references(
    task: Task,
    E: Array,
    y: Array,
    train: Array,
    test: Array,
    categorical_columns: Sequence[int] = (),
    seed: int = 0,
    limit: float = 10.0,
) -> tuple[Reference, ...]:
    """Train simple models on the same rows as a network, and score them on the same rows.

    The constant is the mean, or the shares of the classes. The linear model is ridge or logistic regression, on
    standardized numbers whose gaps are filled with the median and marked by a column, and on a column for each category.
    Boosted trees are scikit-learn's histogram boosting with its defaults, which takes gaps and categories as they are.

    Parameters
    ----------
    task : {"classification", "regression"}
        What is learned.
    E : array of shape (n, p)
        All rows: numbers with NaN for gaps, and category codes >= 0.
    y : array of shape (n,)
        Their labels or values.
    train, test : array of int
        Numbers of the rows to train on, and of those to score on.
    categorical_columns : sequence of int, default=()
        Columns of E that hold codes.
    seed : int, default=0
        Seed of boosting and of the rows that are left out.
    limit : float, default=10.0
        Seconds that all models may take on one core, roughly: iterations and training rows are reduced to fit.

    Returns
    -------
    tuple of Reference
        In the order "constant", "linear", "boosted trees". A model that fails has no scores and says why in its note.

    Raises
    ------
    InvalidValueError
        For a limit that is not above 0, and where there are no rows to train or score on.

    Examples
    --------
    >>> E = np.linspace(-1, 1, 100)[:, None].astype(np.float32)
    >>> for each in references("regression", E, 3 * E[:, 0], np.arange(0, 100, 2), np.arange(1, 100, 2)):
    ...     print(each.name, each.scores["r2"] > 0.8)
    constant False
    linear True
    boosted trees True
    """
    if not POSITIVE.allows(limit):
        raise InvalidValueError(must_be("references", "limit", str(POSITIVE), limit))
    if not len(train) or not len(test):
        hint = "Models are trained on the one and scored on the other."
        raise InvalidValueError(must_be("references", "train and test", "rows", (len(train), len(test)), hint))
    rows = _Rows(task, E, np.asarray(y), np.asarray(train), np.asarray(test), tuple(categorical_columns), seed)
    return (
        _reference("constant", rows, _constant),
        _reference("linear", rows, lambda rows: _linear(rows, _LINEAR_SHARE * limit)),
        _reference("boosted trees", rows, lambda rows: _boosted(rows, (1 - _LINEAR_SHARE) * limit)),
    )


@dataclass(frozen=True, eq=False)
class _Rows:
    """Rows of all parts, and which columns hold codes."""

    task: Task
    E: Array
    y: Array
    train: Array
    test: Array
    categorical: tuple[int, ...]
    seed: int

    @property
    def classes(self) -> Array:
        """The classes of the training rows."""
        return np.unique(self.y[self.train])

    @property
    def outputs(self) -> int:
        """Number of values predicted: 1 for two classes."""
        if self.task == "regression" or len(self.classes) == 2:
            return 1
        return len(self.classes)

    def take(self, rows: Array) -> Array:
        """Return these rows in an array of their own."""
        return np.ascontiguousarray(self.E[rows])

    def fewer(self, count: int) -> tuple[Array, str]:
        """Return `count` training rows drawn at random and a note that says so, or all of them."""
        n = len(self.train)
        count = max(count, min(n, 100))
        if count >= n:
            return self.train, ""
        order = Stream.from_seed(self.seed).fold(Purpose.SPLIT, *b"references").permutation(np, n)
        return self.train[np.sort(order[:count])], f"trained on {count:,} of {n:,} rows"


def _reference(name: str, rows: _Rows, predict: Callable[[_Rows], tuple[Array, str]]) -> Reference:
    """Train and score one model; an error becomes a note, for no reference may cost the user a training.

    One thread: where other processes use the cores, the threads of boosting wait for each other most of the time.
    """
    from threadpoolctl import threadpool_limits

    began = time.perf_counter()
    try:
        with warnings.catch_warnings(), threadpool_limits(1):
            warnings.simplefilter("ignore")
            predicted, note = predict(rows)
        scores = _scores(rows, predicted)
    except Exception as error:
        text = str(error).partition("\n")[0]
        return Reference(name, {}, time.perf_counter() - began, f"left out: {type(error).__name__}: {text}")
    return Reference(name, scores, time.perf_counter() - began, note)


def _scores(rows: _Rows, predicted: Array) -> dict[str, float]:
    """Score predictions of the test rows; a class that no training row has was given probability 0."""
    y = rows.y[rows.test]
    if rows.task == "regression":
        return value_scores(y, predicted).summary()
    known = rows.classes
    classes = np.union1d(known, y)
    P = np.zeros((len(y), len(classes)))
    P[:, np.searchsorted(classes, known)] = predicted
    return class_scores(y, P, classes).summary()


def _constant(rows: _Rows) -> tuple[Array, str]:
    y = rows.y[rows.train]
    if rows.task == "regression":
        return np.full(len(rows.test), np.mean(y, dtype=np.float64)), ""
    _, counts = np.unique(y, return_counts=True)
    return np.tile(counts / len(y), (len(rows.test), 1)), ""


def _linear(rows: _Rows, seconds: float) -> tuple[Array, str]:
    """Fit ridge or logistic regression."""
    from sklearn.linear_model import LogisticRegression, Ridge
    from sklearn.pipeline import make_pipeline

    d = _linear_columns(rows)
    classes = rows.task == "classification"
    per_row = d * rows.outputs * _ITERATIONS if classes else d * d
    train, note = rows.fewer(int(min(seconds * _LINEAR_RATE / per_row, _MOST_CELLS / d)))
    model = LogisticRegression(max_iter=_ITERATIONS) if classes else Ridge(copy_X=False)
    fitted = make_pipeline(_columns(rows), model).fit(rows.take(train), rows.y[train])
    return _predicted(rows, fitted.predict_proba if classes else fitted.predict), note


def _predicted(rows: _Rows, predict: Callable[[Array], Array]) -> Array:
    """Return what is predicted for the test rows, a block at a time."""
    blocks = range(0, len(rows.test), _BLOCK)
    return np.concatenate([predict(rows.take(rows.test[start : start + _BLOCK])) for start in blocks])


def _linear_columns(rows: _Rows) -> int:
    """Count the columns of the linear model: two for a number with gaps, one for each category."""
    codes = [min(len(np.unique(rows.E[rows.train, j])), _MOST_COLUMNS) for j in rows.categorical]
    gaps = sum(bool(np.isnan(rows.E[rows.train, j]).any()) for j in range(rows.E.shape[1]))
    return max(int(rows.E.shape[1]) - len(codes) + gaps + sum(codes), 1)


def _columns(rows: _Rows) -> Any:
    """Return scikit-learn's transformer of encoded rows into the columns of the linear model."""
    from sklearn.compose import make_column_transformer
    from sklearn.impute import SimpleImputer
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import OneHotEncoder, StandardScaler

    numbers = [j for j in range(rows.E.shape[1]) if j not in rows.categorical]
    filled = SimpleImputer(strategy="median", add_indicator=True, keep_empty_features=True, copy=False)
    one_hot = OneHotEncoder(handle_unknown="infrequent_if_exist", max_categories=_MOST_COLUMNS, sparse_output=False)
    return make_column_transformer(
        (make_pipeline(filled, StandardScaler(copy=False)), numbers),
        (one_hot, list(rows.categorical)),
        sparse_threshold=0,
    )


def _boosted(rows: _Rows, seconds: float) -> tuple[Array, str]:
    """Fit histogram boosting."""
    from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor

    per_row = rows.E.shape[1] * rows.outputs
    allowed = seconds * _TREE_RATE / per_row
    usual = min(len(rows.train), _SOME_ROWS) + _TREE_ROWS
    iterations = int(np.clip(allowed / usual, _FEW_ITERATIONS, _ITERATIONS))
    train, note = rows.fewer(min(int(allowed / iterations) - _TREE_ROWS, int(_MOST_CELLS / rows.E.shape[1])))
    E = rows.take(train)
    empty = np.isnan(E).all(axis=0)
    categorical = [j for j in rows.categorical if len(np.unique(E[:, j])) <= _MOST_CATEGORIES]
    classes = rows.task == "classification"
    make = HistGradientBoostingClassifier if classes else HistGradientBoostingRegressor
    model = make(max_iter=iterations, categorical_features=categorical, random_state=rows.seed % 2**32)
    model.fit(_without(E, empty), rows.y[train])
    notes = [note] if note else []
    notes += [f"{iterations} iterations in place of {_ITERATIONS}"] if iterations < _ITERATIONS else []
    predict = model.predict_proba if classes else model.predict
    return _predicted(rows, lambda E: predict(_without(E, empty))), "; ".join(notes)


def _without(E: Array, empty: Array) -> Array:
    """Return rows with 0 in place of columns that have no number in the training rows, which boosting refuses."""
    return np.where(empty, np.float32(0), E) if empty.any() else E
