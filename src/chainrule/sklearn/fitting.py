"""When to stop, what to keep and what to report: scikit-learn's rules, the same for both perceptrons.

In: an estimator with its parameters, rows, targets, weights. Out: its fitted attributes.
"""

from __future__ import annotations

import signal
import warnings
from typing import Any

import numpy as np
from scipy.sparse import issparse
from sklearn.exceptions import ConvergenceWarning
from sklearn.model_selection import train_test_split
from sklearn.utils import check_random_state
from sklearn.utils.validation import _check_sample_weight

from chainrule.arrays import Array
from chainrule.engines.reference import logits as network_logits
from chainrule.errors import InvalidValueError, must_be
from chainrule.sklearn.arguments import Arguments
from chainrule.sklearn.lbfgs import SmoothObjective, minimize_lbfgs
from chainrule.sklearn.objective import Data, Objective, draw, pack, unpack
from chainrule.sklearn.sgd import SgdRun
from chainrule.train.interrupts import interruptible

_SLOWEST = 1e-6
"""The adaptive rate below which a run without progress ends."""

_CHUNK = 4096
"""Sparse rows made dense at a time in prediction."""


def fit(estimator: Any, X: Any, y: Any, sample_weight: Any = None, *, incremental: bool = False) -> Any:
    """Train an estimator, or with `incremental` continue for one epoch; return it."""
    arguments = Arguments.of(type(estimator).__name__, estimator.get_params(deep=False))
    if incremental and arguments.early_stopping:
        raise InvalidValueError("partial_fit does not support early_stopping=True. Score and stop in your own loop.")
    fresh = not hasattr(estimator, "coefs_") or not (arguments.warm_start or incremental)
    X, Y = estimator._rows(X, y, fresh, incremental)
    data = _data(X, Y, sample_weight)
    estimator._random_state = check_random_state(arguments.random_state)
    widths = (data.X.shape[1], *arguments.hidden_layer_sizes, data.Y.shape[1])
    if fresh:
        _begin(estimator, arguments, widths, data.X.dtype)
    objective = Objective.of(widths, arguments.activation, estimator.out_activation_)
    w = _known_weights(estimator, objective, data.X.dtype)
    w = (_minimize if arguments.solver == "lbfgs" else _run_epochs)(
        estimator, arguments, objective, data, w, incremental
    )
    estimator.coefs_, estimator.intercepts_ = unpack(objective.net, w.astype(data.X.dtype))
    if not np.isfinite(w).all():
        raise InvalidValueError(
            "Solver produced non-finite parameter weights. The input data may contain large values and need to be"
            " preprocessed."
        )
    return estimator


def logits(estimator: Any, X: Any) -> Array:
    """Return the logits (n, k) of validated rows, dense or sparse, with the weights in `coefs_` and `intercepts_`."""
    widths = (estimator.n_features_in_, *(len(b) for b in estimator.intercepts_))
    net = Objective.of(widths, estimator.activation, estimator.out_activation_).net
    w = pack(estimator.coefs_, estimator.intercepts_)
    if not issparse(X):
        return network_logits(net, w, np.zeros(0), X)
    rows = X.tocsr()
    chunks = [rows[start : start + _CHUNK].toarray() for start in range(0, X.shape[0], _CHUNK)]
    return np.concatenate([network_logits(net, w, np.zeros(0), chunk) for chunk in chunks])


def _data(X: Any, Y: Any, sample_weight: Any) -> Data:
    X, Y = (part.toarray() if issparse(part) else part for part in (X, Y))
    X, Y = np.ascontiguousarray(X), np.ascontiguousarray(Y, X.dtype)
    if sample_weight is None:
        return Data(X, Y, np.ones(len(X), X.dtype), weighted=False)
    c = _check_sample_weight(sample_weight, X, dtype=X.dtype, ensure_non_negative=True)
    return Data(X, Y, c, weighted=True)


def _begin(estimator: Any, arguments: Arguments, widths: tuple[int, ...], dtype: Any) -> None:
    """Draw the first weights and clear the results of earlier fits."""
    estimator.n_iter_, estimator.t_ = 0, 0
    estimator.n_outputs_, estimator.n_layers_ = widths[-1], len(widths)
    estimator.out_activation_ = estimator._output
    net = Objective.of(widths, arguments.activation, estimator.out_activation_).net
    w = draw(widths, arguments.activation, estimator._random_state).astype(dtype)
    estimator.coefs_, estimator.intercepts_ = unpack(net, w)
    if arguments.solver != "lbfgs":
        estimator.loss_curve_, estimator._no_improvement_count, estimator._best = [], 0, w
        estimator.best_loss_ = estimator.validation_scores_ = estimator.best_validation_score_ = None


def _known_weights(estimator: Any, objective: Objective, dtype: Any) -> Array:
    """Return w from the attributes; raise `InvalidValueError` where a continued fit asks for other widths."""
    widths = (np.shape(estimator.coefs_[0])[0], *(np.size(b) for b in estimator.intercepts_))
    asked = tuple(objective.net.widths[i] for i in (0, *range(1, len(objective.net.widths), 2)))
    if widths != asked:
        raise InvalidValueError(must_be("fit", "widths", f"as in the fit that it continues, {widths}", asked))
    return pack(estimator.coefs_, estimator.intercepts_).astype(dtype)


def _minimize(
    estimator: Any, arguments: Arguments, objective: Objective, data: Data, w: Array, incremental: bool
) -> Array:
    """Minimize with L-BFGS."""
    loss_and_gradient = SmoothObjective(objective, arguments.alpha, data, estimator.engine)
    result = minimize_lbfgs(loss_and_gradient, arguments, w)
    estimator.engine_ = loss_and_gradient.engine
    estimator.n_iter_ = min(result.nit, arguments.max_iter)
    estimator.loss_ = loss_and_gradient.reported(result.x, data)
    if result.status != 0:
        message = f"lbfgs failed to converge after {estimator.n_iter_} iterations: {result.message}."
        warnings.warn(f"{message} Raise max_iter or tol, or scale the data.", ConvergenceWarning, stacklevel=4)
    return np.asarray(result.x)


def _run_epochs(
    estimator: Any, arguments: Arguments, objective: Objective, data: Data, w: Array, incremental: bool
) -> Array:
    """Run epochs of sgd or adam until the rules stop; return the best weights where validation rows choose them."""
    held_out = None
    if arguments.early_stopping:
        data, held_out = _split(estimator, arguments, data)
    if arguments.batch_size != "auto" and arguments.rows_per_batch(len(data.X)) < int(arguments.batch_size):
        warnings.warn(f"batch_size is larger than the {len(data.X)} rows to train on and is cut to that.", stacklevel=4)
    state = getattr(estimator, "_optimizer", None) if incremental else None
    run = SgdRun(objective, arguments, data, w, state, estimator.engine)
    estimator.engine_ = run.engine
    estimator.n_iter_ = 0
    order = np.arange(len(data.X))
    with interruptible(signal.SIGINT) as interrupted:
        for _ in range(arguments.max_iter):
            if arguments.shuffle:
                order = order[estimator._random_state.permutation(len(order))]
            loss = run.epoch(order, interrupted)
            if interrupted():
                warnings.warn("Training interrupted by user.", stacklevel=4)
                break
            _record(estimator, arguments, loss, len(order))
            _count_stalls(estimator, arguments, objective, run, held_out)
            if _is_finished(estimator, arguments, run) or incremental:
                break
        else:
            message = f"Stochastic Optimizer: Maximum iterations ({arguments.max_iter}) reached"
            warnings.warn(f"{message} and the optimization hasn't converged yet.", ConvergenceWarning, stacklevel=4)
    estimator._optimizer = run.final_state()
    return run.w if held_out is None else estimator._best


def _split(estimator: Any, arguments: Arguments, data: Data) -> tuple[Data, Data]:
    """Split the rows into training rows and held-out rows."""
    rest, held_out = train_test_split(
        np.arange(len(data.X)),
        random_state=estimator._random_state,
        test_size=arguments.validation_fraction,
        stratify=estimator._strata(data),
    )
    if len(held_out) < 2:
        hint = "Increase 'validation_fraction' or the size of your dataset."
        raise InvalidValueError(f"The validation set is too small. {hint}")
    if not data.c[rest].any() or not data.c[held_out].any():
        hint = "Use another random_state."
        raise InvalidValueError(f"fit: sample_weight must be above zero for some row of both splits, got zeros. {hint}")
    return data.take(rest), data.take(held_out)


def _record(estimator: Any, arguments: Arguments, loss: float, n: int) -> None:
    """Record an epoch of n rows."""
    estimator.n_iter_ += 1
    estimator.t_ += n
    estimator.loss_ = loss
    estimator.loss_curve_.append(loss)
    if arguments.verbose:
        print(f"Iteration {estimator.n_iter_}, loss = {loss:.8f}")


def _count_stalls(
    estimator: Any, arguments: Arguments, objective: Objective, run: SgdRun, held_out: Data | None
) -> None:
    """Count epochs without a gain of `tol`, by the validation score where there is one, and remember the best."""
    if held_out is None:
        best = np.inf if estimator.best_loss_ is None else estimator.best_loss_
        gained = not estimator.loss_ > best - arguments.tol
        estimator.best_loss_ = min(best, estimator.loss_)
    else:
        with np.errstate(all="ignore"):
            score = estimator._validation_score(objective, run.logits(held_out.X), held_out)
        best = -np.inf if estimator.best_validation_score_ is None else estimator.best_validation_score_
        gained = not score < best + arguments.tol
        estimator.validation_scores_ = [*(estimator.validation_scores_ or ()), score]
        estimator.best_validation_score_ = max(best, score)
        if score > best:
            estimator._best = run.w
        if arguments.verbose:
            print(f"Validation score: {score:f}")
    estimator._no_improvement_count = 0 if gained else estimator._no_improvement_count + 1


def _is_finished(estimator: Any, arguments: Arguments, run: SgdRun) -> bool:
    """Decide whether the run ends here; an adaptive rate is divided by 5 first, while it is above 1e-6."""
    adapts = arguments.solver == "sgd" and arguments.learning_rate == "adaptive"
    if arguments.solver == "sgd" and arguments.learning_rate == "invscaling":
        run.slow_down(arguments.learning_rate_init / (estimator.t_ + 1) ** arguments.power_t)
    if estimator._no_improvement_count <= arguments.n_iter_no_change:
        return False
    if not adapts or run.state.learning_rate <= _SLOWEST:
        return True
    run.slow_down(run.state.learning_rate / 5.0)
    estimator._no_improvement_count = 0
    return False
