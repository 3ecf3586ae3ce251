"""Rows from arrays, frames or sparse matrices, as the dense numbers that a network takes.

In: X (and y, weights) as users have them. Out: checked arrays; the estimator remembers names and number of columns.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Any

import numpy as np
from sklearn.base import BaseEstimator
from sklearn.utils.validation import _check_sample_weight, validate_data

from chainrule.arrays import Array
from chainrule.errors import InvalidValueError, must_be

_FLOATS = (np.dtype(np.float64), np.dtype(np.float32))
_SPARSE = ("csr", "csc")
_CHUNK = 4096
"""Sparse rows made dense at a time in prediction."""


def training_rows(estimator: BaseEstimator, X: Any, y: Any, reset: bool, **checks: Any) -> tuple[Array, Array]:
    """Return X (n, d) dense and y, checked by scikit-learn; with `reset` the estimator remembers the columns.

    Raises `InvalidValueError` for a single row and for sparse rows that would not fit into memory.
    """
    if _plain(estimator, X, reset) and np.isfinite(X).all() and _plain_targets(y, len(X)):
        estimator.n_features_in_ = X.shape[1]
        return X, y
    X, y = validate_data(estimator, X, y, reset=reset, accept_sparse=_SPARSE, dtype=_FLOATS, **checks)
    if X.shape[0] < 2 and reset:
        owner = type(estimator).__name__
        raise InvalidValueError(must_be(owner, "X", "of at least two rows", "1 sample", "One row has no spread."))
    return dense(X), dense(y)


def _plain(estimator: BaseEstimator, X: Any, reset: bool) -> bool:
    """Check whether rows of finite numbers are an array that scikit-learn's check would return as it is.

    Its check takes far longer to say so.
    """
    plain = type(X) is np.ndarray and X.dtype in _FLOATS and X.ndim == 2 and not hasattr(estimator, "feature_names_in_")
    if not plain or X.shape[0] < (2 if reset else 1) or X.shape[1] < 1:
        return False
    return reset or X.shape[1] == estimator.n_features_in_


def _plain_targets(y: Any, n: int) -> bool:
    """Check the same of targets of n rows."""
    numbers = type(y) is np.ndarray and y.dtype.kind in "biuf" and y.ndim in (1, 2) and 0 not in y.shape
    return numbers and len(y) == n and (y.dtype.kind != "f" or bool(np.isfinite(y).all()))


def weights_of(sample_weight: Any, X: Array) -> Array:
    """Return weights (n) >= 0, 1 where none are given."""
    if sample_weight is None:
        return np.ones(X.shape[0])
    weights: Array = _check_sample_weight(sample_weight, X, dtype=np.float64, ensure_non_negative=True)
    return weights


def dense(X: Any) -> Array:
    """Return the array itself, or a sparse matrix with its zeros written out.

    Raises `InvalidValueError` when that would take more than half of the machine's memory.
    """
    if not hasattr(X, "toarray"):
        return X
    needed = X.shape[0] * X.shape[1] * X.dtype.itemsize
    limit = _memory() / 2
    if needed > limit:
        hint = "The network trains on dense rows: use fewer columns (feature selection, TruncatedSVD) or fewer rows."
        raise InvalidValueError(
            f"fit: X must be of at most {limit / 1e9:.1f} GB when dense, got {needed / 1e9:.1f} GB. {hint}"
        )
    return X.toarray()


def _memory() -> float:
    """Return the bytes of the machine's memory, 8 GB where the system does not say."""
    try:
        return float(os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE"))
    except (AttributeError, ValueError, OSError):  # pragma: no cover  (not every system says)
        return 8e9


def rows(estimator: BaseEstimator, X: Any) -> Array:
    """Return rows as scikit-learn's own check does; an array that it would return as it is skips the check.

    The check takes about 80 µs, which for a single row is most of a prediction's time. The code that reads the numbers must
    refuse those that are not finite, as models do while they scale them.
    """
    if _plain(estimator, X, False):
        return X
    return validated(estimator, X)


def validated(estimator: BaseEstimator, X: Any) -> Any:
    """Return rows to predict as scikit-learn checks them."""
    return validate_data(estimator, X, accept_sparse=_SPARSE, dtype=_FLOATS, reset=False)


def chunks(X: Any) -> Iterator[Array]:
    """Yield dense rows: an array in one piece, a sparse matrix in several."""
    if not hasattr(X, "toarray"):
        yield X
        return
    X = X.tocsr()
    yield from (X[start : start + _CHUNK].toarray() for start in range(0, X.shape[0], _CHUNK))
