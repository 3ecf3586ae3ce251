"""Say what a table can give: how a network compares with quick models on rows that none of them has seen.

On most tables much of a constant's error is noise, so that an error alone does not tell a sick network from a sound one.
In: a training problem, the network's state. Out: a `Comparison` of its errors with those of the best quick model.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np

from chainrule.arrays import Array
from chainrule.doctor.observe.quick_models import (
    FOLDS,
    boosted_predictions,
    neighbor_predictions,
    one_hot,
    ridge_predictions,
)
from chainrule.doctor.trials.scoring import predicted_classes, standard_error
from chainrule.doctor.vocabulary.data_limits import DATA_LIMITS
from chainrule.doctor.vocabulary.limits import LIMITS
from chainrule.doctor.vocabulary.own_code import fault_in_words
from chainrule.doctor.vocabulary.targets import class_indices, subsample_indices
from chainrule.doctor.vocabulary.thresholds import USUAL
from chainrule.engines import Rows
from chainrule.engines.reference import logits
from chainrule.nn.losses import Quantile
from chainrule.nn.step import Recipe, State
from chainrule.train.problem import TrainingProblem

RIDGE, NEIGHBORS, BOOSTED = "ridge regression", "nearest neighbors", "boosted trees"
"""Names of the quick models."""


@dataclass(frozen=True, eq=False)
class Errors:
    """Errors of each row (n) as shares of a constant prediction's: 0 perfect, 1 no better.

    `mistakes` counts wrong classes, `squares` the squared error of probabilities; of continuous targets both are squared
    errors.
    """

    mistakes: Array
    squares: Array


@dataclass(frozen=True, eq=False)
class Comparison:
    """A network and the best quick model, on the same rows; `model` is the latter's name.

    `separable` says that it ranks the rows of the rarest class above nearly all others: the class can be recognized.
    `fitted` are the errors of both on the training rows, of the quick model those of rows that it was trained without; None
    where the held-out rows tell enough.
    """

    model: str
    quick: Errors
    network: Errors
    separable: bool = False
    fitted: tuple[Errors, Errors] | None = None

    @property
    def matches(self) -> bool:
        """Whether the network is about as good as the quick model, in mistakes and in squared error.

        Where only chance excuses it on few held-out rows, it must be as good on the training rows too: a network that fits
        its own rows worse than a model fits rows that it has not seen is not sound.
        """
        pairs = _pairs(self.network, self.quick)
        return all(_matches(network, quick) for network, quick in pairs) and (self.fitted is None or self.fits)

    @property
    def exceeds(self) -> bool:
        """Whether the network makes clearly fewer mistakes than the quick model."""
        fewer = self.quick.mistakes - self.network.mistakes
        return float(fewer.mean()) > LIMITS.proof_errors * standard_error(fewer)

    @property
    def fits(self) -> bool:
        """Whether the network is known to fit its own rows about as well as a quick model fits rows it has not seen."""
        return self.fitted is not None and all(_matches(network, quick) for network, quick in _pairs(*self.fitted))

    @property
    def remaining(self) -> float:
        """Share of a constant's mistakes that the quick model leaves; squared errors of continuous targets."""
        return float(self.quick.mistakes.mean())

    @property
    def left(self) -> float:
        """The same of the network."""
        return float(self.network.mistakes.mean())


def _pairs(network: Errors, quick: Errors) -> tuple[tuple[Array, Array], ...]:
    return (network.mistakes, quick.mistakes), (network.squares, quick.squares)


def _is_clear(network: Errors, quick: Errors) -> bool:
    """Check whether a network explains enough of what a quick model explains without any slack for chance."""
    return all(
        1.0 - float(a.mean()) >= USUAL.reached * max(0.0, 1.0 - float(b.mean())) for a, b in _pairs(network, quick)
    )


def _matches(network: Array, quick: Array) -> bool:
    """Check whether the network explains nearly as much as a quick model, row by row, or chance may explain what it misses.

    Forward    (1) 1 - e_network >= r max(0, 1 - e_quick) - t, with r = `Thresholds.reached`
               t is two standard errors s of e_network - e_quick, between `Thresholds.unreached` and `unreached_most`
               (2) e_network - e_quick <= q s, with q = `Limits.proof_errors`
    """
    error = standard_error(network - quick)
    slack = min(max(USUAL.unreached, USUAL.clear_errors * error), USUAL.unreached_most)
    missed = float(network.mean() - quick.mean())
    reached = 1.0 - float(network.mean()) >= USUAL.reached * max(0.0, 1.0 - float(quick.mean())) - slack  # (1)
    return reached or missed <= LIMITS.proof_errors * error  # (2)


def compare(problem: TrainingProblem, state: State, boosted: bool = True) -> Comparison | None:
    """Return how a network compares with quick models, on validation rows if there are any.

    Without validation rows quick models are trained on every other training row and both are judged on the rest, which the
    network has seen. None if the rows are too few, are not finite, or if the targets are several labels per row.

    Parameters
    ----------
    problem : TrainingProblem
        The network's problem.
    state : State
        Its state.
    boosted : bool, default=True
        Whether boosted trees are among the quick models; they take about a tenth of a second.
    """
    train, held = _parts(problem)
    targets = _targets(problem.recipe, train, held)
    if targets is None or min(len(train), len(held)) < USUAL.few_rows_to_compare:
        return None
    try:
        with np.errstate(all="ignore"):
            Z = logits(problem.recipe.net, problem.recipe.weights(state), state.buffers, held.X).astype(np.float64)
            P = np.asarray(problem.recipe.loss.predict(np, Z), np.float64)
    except Exception as fault:
        fault_in_words(problem, fault)
        return None
    scale = _Scale.of(targets)
    if P.ndim != 2 or P.shape[0] != len(held) or P.shape[1] not in (1, targets.held.shape[1]):
        return None
    network = scale.errors(P, predicted_classes(problem.recipe, Z) if targets.classes is not None else None)
    predicted = dict(_predictions(train.X, targets, held.X, boosted))
    models = {name: scale.errors(each) for name, each in predicted.items()}
    best = min(models, key=lambda name: float(models[name].squares.mean()))
    found = Comparison(best, models[best], network, _separates(targets, predicted[best]))
    few = problem.validation is None or len(problem.validation) < USUAL.few_rows_to_compare
    if not boosted or few or _is_clear(network, models[best]):
        return found
    return replace(found, fitted=_fitted(problem, state, train, targets, best))


def _fitted(
    problem: TrainingProblem, state: State, train: Rows, targets: _Targets, model: str
) -> tuple[Errors, Errors] | None:
    """Return the errors on training rows: of the network, and of a quick model that was trained without each row."""
    classes = None if targets.classes is None else targets.classes[0]
    own = _Targets(targets.train, targets.train, None if classes is None else (classes, classes))
    scale = _Scale.of(own)
    with np.errstate(all="ignore"):
        Z = logits(problem.recipe.net, problem.recipe.weights(state), state.buffers, train.X).astype(np.float64)
        P = np.asarray(problem.recipe.loss.predict(np, Z), np.float64)
    network = scale.errors(P, predicted_classes(problem.recipe, Z) if classes is not None else None)
    part = np.arange(len(train)) % FOLDS
    quick = np.empty_like(targets.train)
    for i in range(FOLDS):
        rest = part != i
        kept = None if classes is None else (classes[rest], classes[~rest])
        fold = _Targets(targets.train[rest], targets.train[~rest], kept)
        if not fold.train.std(axis=0).any() or (kept is not None and not np.ptp(kept[0])):
            return None
        quick[~rest] = dict(_predictions(train.X[rest], fold, train.X[~rest], model == BOOSTED, only=model))[model]
    return network, scale.errors(quick)


def _separates(targets: _Targets, P: Array) -> bool:
    """Check whether a quick model ranks the held-out rows of the rarest class above nearly all others."""
    if targets.classes is None:
        return False
    rarest = int(np.argmin(np.where(targets.train.any(axis=0), targets.train.sum(axis=0), np.inf)))
    mine = targets.classes[1] == rarest
    if not 0 < mine.sum() < len(mine):
        return False
    above = (P[mine, rarest][:, None] > P[~mine, rarest][None, :]).mean()
    return bool(above >= USUAL.separable)


def _parts(problem: TrainingProblem) -> tuple[Rows, Rows]:
    """Return rows to train quick models on and rows to judge by, at most as many as they take quickly."""
    rows = problem.rows
    held = problem.validation
    if held is None or len(held) < USUAL.few_rows_to_compare:
        rows, held = rows[::2], rows[1::2]
    return tuple(part[subsample_indices(part.X, DATA_LIMITS.fast_rows)] for part in (rows, held))  # type: ignore[return-value]


@dataclass(frozen=True, eq=False)
class _Targets:
    """Targets of both parts as columns, float64, and the class numbers of both if they are classes."""

    train: Array
    held: Array
    classes: tuple[Array, Array] | None


def _targets(recipe: Recipe, train: Rows, held: Rows) -> _Targets | None:
    """Return the targets; None if they are several labels per row, not finite, constant, or not predicted by a mean."""
    parts = (train, held)
    if not all(np.isfinite(part.X).all() and np.isfinite(part.Y).all() for part in parts):
        return None
    classes = class_indices(train), class_indices(held)
    if classes[0] is not None and classes[1] is not None:
        if not np.ptp(classes[0]):
            return None
        K = 1 + int(max(classes[0].max(), classes[1].max()))
        return _Targets(one_hot(classes[0], max(K, 2)), one_hot(classes[1], max(K, 2)), (classes[0], classes[1]))
    if recipe.loss.targets.are_classes or isinstance(recipe.loss, Quantile):
        return None
    Y, Y_held = (part.Y.astype(np.float64).reshape(len(part), -1) for part in parts)
    return _Targets(Y, Y_held, None) if Y.std(axis=0).all() else None


def _predictions(
    X: Array, targets: _Targets, X_new: Array, boosted: bool, only: str = ""
) -> Iterator[tuple[str, Array]]:
    """Yield the predictions of every quick model, or of one only."""
    mean = targets.train.mean(axis=0)
    if only in ("", RIDGE):
        yield RIDGE, mean + ridge_predictions(X, targets.train - mean, X_new)
    if only in ("", NEIGHBORS):
        yield NEIGHBORS, neighbor_predictions(X, targets.train, X_new)
    if boosted and only in ("", BOOSTED) and targets.train.shape[1] <= USUAL.most_boosted_classes:
        classes = None if targets.classes is None else targets.classes[0]
        yield BOOSTED, boosted_predictions(X, targets.train, X_new, classes)


@dataclass(frozen=True, eq=False)
class _Scale:
    """The error of the best constant, by which all errors are divided."""

    targets: _Targets
    mistakes: float
    squares: float

    @classmethod
    def of(cls, targets: _Targets) -> _Scale:
        mean = targets.train.mean(axis=0)
        squares = float(((targets.held - mean) ** 2).sum(axis=1).mean())
        if targets.classes is None:
            return cls(targets, squares, squares)
        y = targets.classes[1]
        wrong = float((y != int(np.argmax(mean))).mean())
        return cls(targets, max(wrong, 1.0 / len(y)), squares)

    def errors(self, P: Array, predicted: Array | None = None) -> Errors:
        """Return the errors of predictions (n, k); `predicted` are classes where they are not the largest column."""
        if self.targets.classes is not None and P.shape[1] == 1:
            P = np.hstack([1.0 - P, P])
        with np.errstate(all="ignore"):
            squares = _shares(((P - self.targets.held) ** 2).sum(axis=1), self.squares)
        if self.targets.classes is None:
            return Errors(squares, squares)
        said = P.argmax(axis=1) if predicted is None else predicted
        wrong = np.where(np.isfinite(P).all(axis=1), said != self.targets.classes[1], 1.0)
        return Errors(_shares(wrong, self.mistakes), squares)


def _shares(errors: Array, constant: float) -> Array:
    """Return errors as shares of a constant's; one row counts at most `Thresholds.worst_row`, so that few do not decide."""
    shares = errors / max(constant, 1e-300)
    worst = USUAL.worst_row
    return np.clip(np.nan_to_num(shares, nan=worst, posinf=worst, neginf=worst), 0.0, worst)
