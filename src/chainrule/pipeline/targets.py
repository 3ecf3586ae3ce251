"""What y and the settings say of a target, which decides the loss; weights that follow from classes.

In: y as the user has it, `Settings`. Out: a `Target`, weights of classes and rows.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache
from typing import Any, TypeAlias

import numpy as np

from chainrule.arrays import Array
from chainrule.constraints import NOT_NEGATIVE
from chainrule.data import Standardizer, check_classes
from chainrule.data.outliers import without_wild_targets
from chainrule.errors import DataWarning, InvalidValueError, must_be, raise_all
from chainrule.nn.losses import (
    BinaryCrossEntropy,
    Loss,
    MeanSquaredError,
    MultiSoftmaxCrossEntropy,
    SoftmaxCrossEntropy,
    TargetKind,
)
from chainrule.pipeline.settings import Settings
from chainrule.prediction import Classes
from chainrule.target import Target, class_indices

ClassWeight: TypeAlias = Mapping[Any, float] | str | None
"""Weight of each class: a mapping of labels, "balanced", or None for 1."""


def classification(y: Array, settings: Settings, classes: Classes = None, labels: bool = False) -> Target:
    """Return the target of classes or labels; the loss follows from it unless the settings bring one.

    Parameters
    ----------
    y : ndarray of shape (n,) or (n, m)
        Two classes have one logit and the logistic loss; more have one logit each and softmax cross-entropy. Several
        columns are m targets of exclusive classes, a softmax for each, or with `labels` m independent yes/no labels, a
        logit and the logistic loss for each.
    settings : Settings
        Of these `loss` and `label_smoothing`.
    classes : ndarray, tuple of ndarray or None, default=None
        The classes, where y may not show all.
    labels : bool, default=False
        Whether columns are independent labels.

    Returns
    -------
    Target

    Raises
    ------
    InvalidValueError
        When there are fewer than two classes, or the given loss does not fit.

    Examples
    --------
    >>> classification(np.array(["no", "yes", "no"]), Settings()).outputs
    1
    """
    chosen = None if isinstance(settings.loss, str) else settings.loss
    if labels:
        loss = _fitting(chosen or BinaryCrossEntropy(), BinaryCrossEntropy)
        return Target(np.arange(y.shape[1]), loss, y.shape[1], None, settings.label_smoothing)
    if y.ndim == 2:
        each = _columns(y) if classes is None else tuple(np.unique(known) for known in classes)
        sizes = tuple(len(known) for known in each)
        loss = _fitting(
            chosen or MultiSoftmaxCrossEntropy(sizes, label_smoothing=settings.label_smoothing),
            MultiSoftmaxCrossEntropy,
        )
        if loss.sizes != sizes:
            raise InvalidValueError(
                must_be("fit", "loss", f"{MultiSoftmaxCrossEntropy(sizes)} for these targets", loss)
            )
        return Target(each, loss, sum(sizes), None)
    known = check_classes(y) if classes is None else check_classes(np.asarray(classes))
    if len(known) == 2 and getattr(chosen, "targets", None) is not TargetKind.CLASSES:
        loss = _fitting(chosen or _LOGISTIC, BinaryCrossEntropy)
        return Target(known, loss, 1, None, settings.label_smoothing)
    loss = _fitting(chosen or _softmax(settings.label_smoothing), SoftmaxCrossEntropy)
    return Target(known, loss, len(known), None)


_LOGISTIC = BinaryCrossEntropy()


@lru_cache(maxsize=16, typed=True)
def _softmax(smoothing: float) -> SoftmaxCrossEntropy:
    """Return the loss of classes; one object for all fits, so that their recipes are found again."""
    return SoftmaxCrossEntropy(label_smoothing=smoothing)


def _columns(y: Array) -> tuple[Array, ...]:
    return tuple(check_classes(y[:, j], f"y column {j}") for j in range(y.shape[1]))


def _fitting(loss: Any, kind: type[Any]) -> Any:
    if not isinstance(loss, kind):
        raise InvalidValueError(must_be("fit", "loss", f"{kind.__name__} or None for these targets", loss))
    return loss


def regression(y: Array, settings: Settings, weights: Array | None = None) -> Target:
    """Return the target of continuous values: one output per column of y, and per level of a quantile loss.

    Parameters
    ----------
    y : ndarray of shape (n,) or (n, k)
        Values; they are standardized where the loss's link is the identity.
    settings : Settings
        Of these `loss` and `quantiles`.
    weights : ndarray of shape (n,) or None, default=None
        Weights of the rows for the scaling; None is 1.

    Returns
    -------
    Target

    Raises
    ------
    InvalidValueError
        For a loss of classes.

    Examples
    --------
    >>> regression(np.array([1.0, 3.0]), Settings()).scaling.mean.tolist()
    [2.0]
    """
    loss = settings.regression_loss()
    if loss.targets.are_classes:
        raise InvalidValueError(must_be("fit", "loss", "for continuous targets", loss, "A classifier takes it."))
    values = np.repeat(np.asarray(y, np.float64).reshape(len(y), -1), loss.outputs_per_target, axis=1)
    scaled = bool(loss.links) and loss.link == "identity"
    return Target(None, loss, values.shape[1], Standardizer.fit(values, weights=weights) if scaled else None)


def streamed_regression(values: Standardizer, settings: Settings) -> Target:
    """Return the target of one column of continuous values whose mean and scale are known.

    Parameters
    ----------
    values : Standardizer
        Mean and scale of the training rows' values.
    settings : Settings
        Of these `loss` and `quantiles`.

    Returns
    -------
    Target
    """
    loss = settings.regression_loss()
    if loss.targets.are_classes:
        raise InvalidValueError(must_be("fit", "loss", "for continuous targets", loss, "A classifier takes it."))
    k = loss.outputs_per_target
    scaled = bool(loss.links) and loss.link == "identity"
    scaling = Standardizer(np.repeat(values.mean, k), np.repeat(values.scale, k))
    return Target(None, loss, k, scaling if scaled else None)


def usual_weights(owner: str, y: Array, weights: Array | None, loss: Loss, in_order: bool = True) -> Array | None:
    """Return weights that leave out targets far from all others if squares are minimized, and warn of them.

    Parameters
    ----------
    owner : str
        The object that the warning names.
    y : ndarray of shape (n,) or (n, k)
        Continuous targets.
    weights : ndarray of shape (n,) or None
        Weights of the rows; None is 1.
    loss : Loss
        The loss; one that grows more slowly than the square trains on all rows.
    in_order : bool, default=True
        Whether the rows are in the user's order, so that the warning can name one.

    Returns
    -------
    ndarray of shape (n,) or None
        The weights as given if nothing is left out.

    Warns
    -----
    DataWarning
        With the value that is farthest from the others.
    """
    if not isinstance(loss, MeanSquaredError):
        return weights
    kept, sentence = without_wild_targets(owner, y, weights, in_order)
    if sentence:
        warnings.warn(sentence, DataWarning, stacklevel=6)
    return kept


def usual_parts(
    owner: str,
    y: Array,
    weights: Array | None,
    validation: tuple[Array, ...] | None,
    loss: Loss,
    in_order: bool = True,
) -> tuple[Array | None, tuple[Array, ...] | None]:
    """Return weights and validation rows that leave out targets far from all others of both parts, as `usual_weights` does.

    Where no validation row, or no training row, would keep a weight, the parts differ as a whole: validation rows are then
    kept as given, and training rows are compared with one another. So are they where the parts have not the same targets.

    Parameters
    ----------
    owner : str
        The object that the warning names.
    y : ndarray of shape (n,) or (n, k)
        Continuous targets of the training rows.
    weights : ndarray of shape (n,) or None
        Weights of the training rows; None is 1.
    validation : tuple of ndarray or None
        Validation rows (X, y) or (X, y, weights).
    loss : Loss
        The loss; one that grows more slowly than the square takes all rows.
    in_order : bool, default=True
        Whether the rows are in the user's order, so that the warning can name one.

    Returns
    -------
    weights : ndarray of shape (n,) or None
        The weights as given if nothing is left out.
    validation : tuple of ndarray or None
        The rows as given if nothing is left out, else with weights.

    Warns
    -----
    DataWarning
        With the value that is farthest from the others.
    """
    if validation is None or np.shape(validation[1])[1:] != np.shape(y)[1:] or not isinstance(loss, MeanSquaredError):
        return usual_weights(owner, y, weights, loss, in_order), validation
    n, m = len(y), len(validation[1])
    given = np.concatenate(
        [np.ones(n) if weights is None else weights, validation[2] if len(validation) > 2 else np.ones(m)]
    )
    kept, sentence = without_wild_targets(owner, np.concatenate([y, validation[1]]), given, in_order, n)
    if kept is None or not (kept[:n].any() and kept[n:].any()):
        return usual_weights(owner, y, weights, loss, in_order), validation
    if sentence:
        warnings.warn(sentence, DataWarning, stacklevel=6)
    return (
        weights if np.array_equal(kept[:n], given[:n]) else kept[:n],
        validation if np.array_equal(kept[n:], given[n:]) else (*validation[:2], kept[n:]),
    )


def class_table(classes: Array, y: Array, weight: ClassWeight) -> Array:
    """Return the weight of each class (K): "balanced" is n / (K · rows of the class), None is 1.

    Raises `InvalidValueError` for anything that is no mapping, "balanced" or None, labels that do not occur, and weights
    that are no finite numbers >= 0.
    """
    if weight is None:
        return np.ones(len(classes))
    if isinstance(weight, str) and weight == "balanced":
        counts = np.bincount(np.searchsorted(classes, y), minlength=len(classes))
        return len(y) / (len(classes) * np.maximum(counts, 1))
    if not isinstance(weight, Mapping):
        hint = "Pass a list or an array of weights as dict(zip(classes, weights))."
        raise InvalidValueError(must_be("fit", "class_weight", _ALLOWED, weight, hint))
    raise_all(_weight_faults(weight, classes.tolist()))
    return np.array([float(weight.get(label, 1.0)) for label in classes.tolist()])


_ALLOWED = "'balanced', a mapping of labels to weights, or None"


def _weight_faults(weight: Mapping[Any, float], labels: list[Any]) -> Iterator[str]:
    """Say which labels do not occur, and which weights are no finite numbers >= 0."""
    unknown = [label for label in weight if label not in labels]
    if unknown:
        yield must_be("fit", "class_weight", f"for labels among {labels}", unknown)
    for label, value in weight.items():
        if not (NOT_NEGATIVE.allows(value) and np.isfinite(float(value))):
            yield must_be("fit", f"class_weight[{label!r}]", "a finite number >= 0", value)


def class_weights(classes: Array, y: Array, weight: ClassWeight) -> Array:
    """Return the weight of each row (n) from that of its class, as `class_table` gives it.

    >>> class_weights(np.array(["a", "b"]), np.array(["a", "a", "a", "b"]), "balanced").round(3).tolist()
    [0.667, 0.667, 0.667, 2.0]
    """
    per_row: Array = class_table(classes, y, weight)[np.searchsorted(classes, y)]
    return per_row


def target_tables(target: Target, y: Array, weight: ClassWeight | Sequence[ClassWeight]) -> list[tuple[Array, Array]]:
    """Return classes and weights for each column of y: of one mapping, or for several targets of a sequence of them."""
    if np.ndim(y) == 1:
        return [(np.asarray(target.classes), class_table(np.asarray(target.classes), y, weight))]  # type: ignore[arg-type]
    each: Any = [weight] * y.shape[1] if weight is None or isinstance(weight, str) else weight
    if not isinstance(each, Sequence) or isinstance(each, str) or len(each) != y.shape[1]:
        allowed = f"'balanced', None or a list of {y.shape[1]} mappings, one for each target"
        raise InvalidValueError(must_be("fit", "class_weight", allowed, weight))
    known = target.classes if isinstance(target.classes, tuple) else (np.array([0, 1]),) * y.shape[1]
    return [(k, class_table(k, y[:, j], each[j])) for j, k in enumerate(known)]


def row_weights(tables: Sequence[tuple[Array, Array]], y: Array) -> Array:
    """Return the weight of each row (n): the product over its targets of their classes' weights.

    >>> row_weights([(np.array([0, 1]), np.array([1.0, 3.0]))] * 2, np.array([[0, 1], [1, 1]])).tolist()
    [3.0, 9.0]
    """
    columns = y[:, None] if np.ndim(y) == 1 else y
    parts = [table[class_indices(known, columns[:, j])] for j, (known, table) in enumerate(tables)]
    product: Array = np.prod(parts, axis=0)
    return product
