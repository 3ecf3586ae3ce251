"""Estimators for tables as people have them: frames with categories, gaps, dates and text go in as they are.

In: a frame (or array, or list of dictionaries) and a target. Out: fitted estimators that predict from such rows.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Self

import numpy as np
from sklearn.base import BaseEstimator, ClassifierMixin, RegressorMixin
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import _check_sample_weight, check_is_fitted, column_or_1d

from chainrule.arrays import Array
from chainrule.cluster import attach
from chainrule.constraints import COUNT, NOT_NEGATIVE, Interval
from chainrule.data import Task
from chainrule.data.checks import check_finite
from chainrule.data.table import ReadOptions, as_frame
from chainrule.ensemble import cores
from chainrule.errors import DataWarning, InvalidValueError, must_be, raise_all
from chainrule.estimators.arguments import seed
from chainrule.prediction import warn_of_unknown
from chainrule.table_model import TableModel
from chainrule.tabular import Preset, TableFit, fit_table, presets

_MOST_WARNINGS = 5
"""Warnings of one table that are given one by one."""

_SECONDS = Interval(0, float("inf"), "()", optional=True)


class TableEstimator(BaseEstimator):  # type: ignore[misc]
    """What both estimators of tables have in common; not for use by itself."""

    model_: TableModel
    n_features_in_: int

    def __init__(
        self,
        *,
        preset: str | Path | Preset | Mapping[str, Any] = "table",
        seconds: float | str | None = "auto",
        columns: Mapping[str, str] | None = None,
        drop: Sequence[str] = (),
        missing: Mapping[str, Any] | None = None,
        n_jobs: int | None = None,
        cluster: str | None = None,
        verbose: bool = False,
        random_state: Any = None,
    ) -> None:
        self.preset = preset
        self.seconds = seconds
        self.columns = columns
        self.drop = drop
        self.missing = missing
        self.n_jobs = n_jobs
        self.cluster = cluster
        self.verbose = verbose
        self.random_state = random_state

    def _fit(
        self, X: Any, y: Array, task: Task, sample_weight: Any, groups: Any, times: Any, validation: tuple[Any, Any]
    ) -> TableFit:
        """Train and keep what is known of the table and the training."""
        owner = type(self).__name__
        raise_all(self._argument_faults(owner))
        if self.cluster is not None:
            attach(owner, self.cluster)
        named = not _unnamed(X)
        frame = as_frame(owner, X if named else _array(owner, X, fewest=2))
        weights = None if sample_weight is None else _weights(owner, sample_weight, frame)
        fitted = fit_table(
            owner,
            frame,
            y,
            task,
            preset=presets.get(self.preset),
            seconds=self.seconds,
            seed=seed(self.random_state),
            read=ReadOptions(kinds=dict(self.columns or {}), drop=tuple(self.drop), missing=dict(self.missing or {})),
            sample_weight=weights,
            groups=None if groups is None else np.asarray(groups),
            times=None if times is None else np.asarray(times),
            validation=self._held_out(owner, *validation),
            workers=_workers(self.n_jobs, self.cluster is not None),
            on_cluster=self.cluster is not None,
            on_member=_narrate if self.verbose else None,
        )
        self.n_features_in_ = frame.width
        if named:
            self.feature_names_in_ = np.array(frame.columns, dtype=object)
        elif hasattr(self, "feature_names_in_"):
            del self.feature_names_in_
        self.model_ = fitted.model
        self.run_ = fitted.run
        self.schema_ = fitted.model.schema
        _warn(fitted.model.schema.warnings)
        return fitted

    def _held_out(self, owner: str, X: Any, y: Any) -> tuple[Any, Array] | None:
        """Return the rows that every network holds out, with their targets, checked."""
        if (X is None) != (y is None):
            missing = "X_val" if X is None else "y_val"
            raise InvalidValueError(must_be(owner, missing, "given", None, "X_val and y_val come together."))
        if X is None:
            return None
        frame = as_frame(owner, _array(owner, X, fewest=1) if _unnamed(X) else X)
        targets = self._targets(y)
        if len(targets) != len(frame):
            raise InvalidValueError(must_be(owner, "y_val", f"of shape ({len(frame)},)", targets.shape))
        return frame, targets

    def _targets(self, y: Any) -> Array:
        """Return targets (n,) as this kind of estimator takes them."""
        raise NotImplementedError

    def _argument_faults(self, owner: str) -> list[str]:
        found = []
        if self.seconds != "auto" and not _SECONDS.allows(self.seconds):
            found.append(must_be(owner, "seconds", f"{_SECONDS} or 'auto'", self.seconds))
        if self.n_jobs is not None and not (COUNT.allows(self.n_jobs) or self.n_jobs == -1):
            found.append(must_be(owner, "n_jobs", "a whole number >= 1, -1 or None", self.n_jobs))
        if not (self.cluster is None or (isinstance(self.cluster, str) and self.cluster)):
            found.append(must_be(owner, "cluster", "the address of a Ray cluster or None", self.cluster))
        if isinstance(self.drop, str):
            found.append(must_be(owner, "drop", "a list of columns", self.drop, f"Write [{self.drop!r}]."))
        if self.columns is not None and not isinstance(self.columns, Mapping):
            found.append(must_be(owner, "columns", "a mapping of columns to kinds", self.columns))
        if self.missing is not None and not isinstance(self.missing, Mapping):
            found.append(must_be(owner, "missing", "a mapping of columns to values", self.missing))
        return found

    def predict(self, X: Any) -> Array:
        """Predict labels or values.

        Parameters
        ----------
        X : frame, list of dictionaries, dictionary or array of n rows
            Columns are found by name; those that training did not use are ignored.

        Returns
        -------
        array of shape (n,)
            Labels as they were given to `fit`, or values in their unit.

        Raises
        ------
        InvalidValueError
            For missing columns and cells that cannot be read.
        NotFittedError
            Before `fit`.
        """
        rows = self._rows(X)
        return self.model_.predict(rows)

    def _rows(self, X: Any) -> Any:
        """Return rows to predict; those without names must have as many columns as in training."""
        check_is_fitted(self)
        if not _unnamed(X):
            return X
        rows = _array(type(self).__name__, X, fewest=1)
        if rows.shape[1] != self.n_features_in_:
            raise InvalidValueError(
                f"X has {rows.shape[1]} features, but {type(self).__name__} is expecting {self.n_features_in_} features "
                "as input."
            )
        return rows

    def __sklearn_tags__(self) -> Any:
        """Return scikit-learn's tags: gaps, categories and text are allowed."""
        tags = super().__sklearn_tags__()
        tags.input_tags.allow_nan = True
        tags.input_tags.categorical = True
        tags.input_tags.string = True
        tags.input_tags.sparse = True
        tags.non_deterministic = self.seconds is not None
        return tags


class TableClassifier(ClassifierMixin, TableEstimator):  # type: ignore[misc]
    """Classify rows of a table as it is, without tuning: a pack of small networks, trained within a given time.

    Parameters
    ----------
    preset : str, Path, Preset or mapping, default="table"
        What the networks are drawn from: a name, a .json file, a `Preset`, or the parts that differ from "table".
    seconds : float, "auto" or None, default="auto"
        Time for the training on this machine. "auto" is 20 seconds, and 40 for more than 100,000 rows. None trains all
        networks of the preset, and then the result depends on the seed alone.
    columns : mapping of str to str, default=None
        Kinds of columns that overrule what is found, as {"zip": "category"}: "number", "category", "boolean", "date",
        "text", "id".
    drop : sequence of str, default=()
        Columns to leave out.
    missing : mapping of str to sequence, default=None
        Values of columns that mean a missing cell, as {"age": [-999]}; in rows to predict too.
    n_jobs : int, default=None
        Networks that train at the same time; None and -1 take all cores.
    cluster : str, default=None
        A Ray cluster that trains the networks: "host:port", "ray://host:port", "auto" or "local". A network is the same
        wherever it is trained; with `seconds=None` so is the pack. None trains on this machine.
    verbose : bool, default=False
        Whether to print a line for each network.
    random_state : int, RandomState or None, default=None
        Seed of folds, settings, first weights and shuffles.

    Attributes
    ----------
    model_ : TableModel
        What predicts; `save_model` writes it.
    schema_ : TableSchema
        The columns, their kinds, and why.
    run_ : PackRun
        The networks, their weights, and the held-out predictions.
    classes_ : array of shape (K,)
        The labels in order.
    n_features_in_ : int
        Number of columns.
    feature_names_in_ : array of shape (n_features_in_,)
        Names of the columns, where rows had names.

    Examples
    --------
    >>> import polars as pl
    >>> from chainrule import TableClassifier
    >>> rows = pl.DataFrame({"size": [1.0, 2.0, None, 4.0] * 20, "color": ["red", "blue", "red", "blue"] * 20})
    >>> model = TableClassifier(seconds=1, random_state=0).fit(rows, ["no", "yes", "yes", "yes"] * 20)
    >>> model.predict({"size": 3.0, "color": "blue"}).tolist()
    ['yes']
    """

    classes_: Array

    def fit(
        self,
        X: Any,
        y: Any,
        sample_weight: Any = None,
        *,
        groups: Any = None,
        times: Any = None,
        X_val: Any = None,
        y_val: Any = None,
    ) -> Self:
        """Train a pack on a table.

        Parameters
        ----------
        X : frame, list of dictionaries or array of n rows
            Categories, gaps, dates and text are taken as they are.
        y : array-like of shape (n,)
            Labels, at least two different ones.
        sample_weight : array-like of shape (n,), default=None
            Weights >= 0 of the rows; None is 1.
        groups : array-like of shape (n,), default=None
            Rows of one group are held out together.
        times : array-like of shape (n,), default=None
            Blocks of time are held out together.
        X_val, y_val : like X and y, default=None
            Rows that every network holds out, in place of a fold of the training rows.

        Returns
        -------
        Self

        Raises
        ------
        InvalidValueError
            For data that cannot be learned from, and arguments outside their limits.

        Warns
        -----
        DataWarning
            For columns that alone tell the target, that are left out, or in which texts count as gaps; `schema_.warnings`
            has all of them.
        """
        if _unnamed(X):
            X = _array(type(self).__name__, X, fewest=2)
        labels = _labels(type(self).__name__, y)
        self.classes_ = np.unique(labels)
        if len(self.classes_) < 2:
            hint = "A classifier needs rows of two classes or more."
            raise InvalidValueError(must_be("fit", "y", "of at least two classes", self.classes_.tolist(), hint))
        self._fit(X, labels, "classification", sample_weight, groups, times, (X_val, y_val))
        return self

    def _targets(self, y: Any) -> Array:
        labels = _labels(type(self).__name__, y)
        unknown = sorted({str(label) for label in set(labels.tolist()) - set(self.classes_.tolist())})
        if unknown:
            raise InvalidValueError(must_be("fit", "y_val", f"among {self.classes_.tolist()}", unknown))
        return labels

    def predict_proba(self, X: Any) -> Array:
        """Predict the probability of each class.

        Parameters
        ----------
        X : frame, list of dictionaries, dictionary or array of n rows
            Columns are found by name.

        Returns
        -------
        array of shape (n, K)
            In the order of `classes_`; rows sum to 1.

        Raises
        ------
        InvalidValueError
            For missing columns and cells that cannot be read.
        """
        rows = self._rows(X)
        return self.model_.probabilities(rows)

    def score(self, X: Any, y: Any, sample_weight: Any = None) -> float:
        """Return the share of rows predicted right, as scikit-learn's classifiers do.

        A row of a class that the training rows did not have counts as wrong; a warning names the class and the row.

        Parameters
        ----------
        X : frame, list of dictionaries, dictionary or array of n rows
            Columns are found by name.
        y : array-like of shape (n,)
            True labels.
        sample_weight : array-like of shape (n,), default=None
            Weights of the rows.

        Returns
        -------
        float
        """
        check_is_fitted(self)
        warn_of_unknown(self.classes_, y)
        return float(super().score(X, y, sample_weight))


class TableRegressor(RegressorMixin, TableEstimator):  # type: ignore[misc]
    """Predict values for rows of a table as it is, without tuning: a pack of small networks, trained within a given time.

    Parameters
    ----------
    preset : str, Path, Preset or mapping, default="table"
        What the networks are drawn from: a name, a .json file, a `Preset`, or the parts that differ from "table".
    seconds : float, "auto" or None, default="auto"
        Time for the training on this machine. "auto" is 20 seconds, and 40 for more than 100,000 rows. None trains all
        networks of the preset, and then the result depends on the seed alone.
    columns : mapping of str to str, default=None
        Kinds of columns that overrule what is found, as {"zip": "category"}: "number", "category", "boolean", "date",
        "text", "id".
    drop : sequence of str, default=()
        Columns to leave out.
    missing : mapping of str to sequence, default=None
        Values of columns that mean a missing cell, as {"age": [-999]}; in rows to predict too.
    n_jobs : int, default=None
        Networks that train at the same time; None and -1 take all cores.
    cluster : str, default=None
        A Ray cluster that trains the networks: "host:port", "ray://host:port", "auto" or "local". A network is the same
        wherever it is trained; with `seconds=None` so is the pack. None trains on this machine.
    verbose : bool, default=False
        Whether to print a line for each network.
    random_state : int, RandomState or None, default=None
        Seed of folds, settings, first weights and shuffles.

    Attributes
    ----------
    model_ : TableModel
        What predicts; `save_model` writes it.
    schema_ : TableSchema
        The columns, their kinds, and why.
    run_ : PackRun
        The networks, their weights, and the held-out predictions.
    n_features_in_ : int
        Number of columns.
    feature_names_in_ : array of shape (n_features_in_,)
        Names of the columns, where rows had names.

    Examples
    --------
    >>> from chainrule import TableRegressor
    >>> rows = [{"x": i / 100, "kind": "ab"[i % 2]} for i in range(200)]
    >>> model = TableRegressor(seconds=1, random_state=0).fit(rows, [row["x"] ** 2 for row in rows])
    >>> bool(abs(model.predict({"x": 1.0, "kind": "a"})[0] - 1.0) < 0.3)
    True
    """

    def fit(
        self,
        X: Any,
        y: Any,
        sample_weight: Any = None,
        *,
        groups: Any = None,
        times: Any = None,
        X_val: Any = None,
        y_val: Any = None,
    ) -> Self:
        """Train a pack on a table.

        Parameters
        ----------
        X : frame, list of dictionaries or array of n rows
            Categories, gaps, dates and text are taken as they are.
        y : array-like of shape (n,)
            Values.
        sample_weight : array-like of shape (n,), default=None
            Weights >= 0 of the rows; None is 1.
        groups : array-like of shape (n,), default=None
            Rows of one group are held out together.
        times : array-like of shape (n,), default=None
            Blocks of time are held out together.
        X_val, y_val : like X and y, default=None
            Rows that every network holds out, in place of a fold of the training rows.

        Returns
        -------
        Self

        Raises
        ------
        InvalidValueError
            For data that cannot be learned from, and arguments outside their limits.

        Warns
        -----
        DataWarning
            For columns that alone tell the target, that are left out, or in which texts count as gaps; `schema_.warnings`
            has all of them.
        """
        if _unnamed(X):
            X = _array(type(self).__name__, X, fewest=2)
        self._fit(X, self._targets(y), "regression", sample_weight, groups, times, (X_val, y_val))
        return self

    def _targets(self, y: Any) -> Array:
        values = column_or_1d(y, warn=True)
        if values.dtype.kind not in "biuf":
            try:
                values = values.astype(np.float64)
            except (TypeError, ValueError):
                bad = next((v for v in values.tolist() if not isinstance(v, int | float)), values[0])
                hint = "For labels, use TableClassifier."
                raise InvalidValueError(must_be("fit", "y", "numeric", bad, hint)) from None
        check_finite("fit", "y", values)
        return values.astype(np.float64)


def _unnamed(X: Any) -> bool:
    """Return whether rows come without names for their columns."""
    return not (hasattr(X, "collect_schema") or hasattr(X, "columns") or isinstance(X, Mapping) or _dictionaries(X))


def _array(owner: str, X: Any, fewest: int) -> Array:
    """Return rows without names as an array (n, d)."""
    try:
        rows = np.asarray(X.toarray() if hasattr(X, "toarray") else X)
    except ValueError:
        raise InvalidValueError(f"{owner}: X must be rows of equal length, got rows of different lengths.") from None
    if rows.ndim != 2:
        hint = "Reshape your data: X.reshape(1, -1) for one row, X.reshape(-1, 1) for one column."
        raise InvalidValueError(must_be(owner, "X", "of shape (n, d)", rows.shape, hint))
    n, d = rows.shape
    if n < fewest:
        raise InvalidValueError(must_be(owner, "X", f"of at least {fewest} rows", f"n_samples = {n}"))
    if d < 1:
        raise InvalidValueError(
            f"{owner}: X must have a column, got 0 feature(s) (shape={rows.shape}) while a minimum of 1 is required."
        )
    if rows.dtype.kind == "c":
        raise InvalidValueError(must_be(owner, "X", "of real numbers", "Complex data not supported"))
    return rows


def _dictionaries(X: Any) -> bool:
    return isinstance(X, Sequence) and len(X) > 0 and isinstance(X[0], Mapping)


def _labels(owner: str, y: Any) -> Array:
    """Return labels (n,) without gaps."""
    labels = column_or_1d(y, warn=True)
    if labels.dtype.kind == "f":
        check_finite("fit", "y", labels)
    if labels.dtype.kind == "O":
        gaps = [i for i, label in enumerate(labels.tolist()) if label is None or label != label]
        if gaps:
            raise InvalidValueError(
                f"{owner}: y must be filled in every row, got {labels[gaps[0]]!r} in row {gaps[0] + 1}."
            )
    check_classification_targets(labels)
    return labels


def _weights(owner: str, sample_weight: Any, frame: Any) -> Array:
    """Return weights (n) >= 0, not all 0."""
    weights: Array = _check_sample_weight(sample_weight, np.empty((len(frame), 0)), dtype=np.float64)
    wrong = [value for value in weights.tolist() if not NOT_NEGATIVE.allows(value)]
    if wrong or not weights.any():
        got = wrong[0] if wrong else "0 for all"
        raise InvalidValueError(must_be(owner, "sample_weight", "numbers >= 0, some above 0", got))
    return weights


def _workers(n_jobs: int | None, on_cluster: bool) -> int | None:
    """Return how many networks train at the same time; None leaves it to the cluster's cores."""
    if n_jobs is None or n_jobs == -1:
        return None if on_cluster else cores()
    return int(n_jobs)


def _warn(sentences: Sequence[str]) -> None:
    """Warn of what the user should know about the table, at the line that called `fit`."""
    rest = len(sentences) - _MOST_WARNINGS
    more = [f"{rest} more in schema_.warnings"] if rest > 0 else []
    for sentence in (*sentences[:_MOST_WARNINGS], *more):
        warnings.warn(sentence, DataWarning, stacklevel=4)


def _narrate(member: Any) -> None:
    """Print one line for a member that is done."""
    print(
        f"network {member.number + 1}: held-out loss {member.loss:.4g}, {member.epochs} epochs, {member.seconds:.1f} s"
    )
