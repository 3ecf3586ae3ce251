"""Losses: each takes logits, owns its output function, and says which targets it takes.

In: logits Z (n, k) and targets Y. Out: one loss per row, its gradient with respect to Z, predictions, one score per
row; `mean_loss` weights the rows and divides by their number.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from chainrule.nn.losses.base import Loss, LossDefaults, TargetKind, best_constant, mean_loss
from chainrule.nn.losses.classes import BinaryCrossEntropy, MultiSoftmaxCrossEntropy, SoftmaxCrossEntropy
from chainrule.nn.losses.values import LINKS as LINKS
from chainrule.nn.losses.values import Huber, MeanAbsoluteError, MeanSquaredError, Poisson, Quantile
from chainrule.nn.names import resolve

__all__ = [
    "BinaryCrossEntropy",
    "Huber",
    "Loss",
    "LossDefaults",
    "MeanAbsoluteError",
    "MeanSquaredError",
    "MultiSoftmaxCrossEntropy",
    "Poisson",
    "Quantile",
    "SoftmaxCrossEntropy",
    "TargetKind",
    "best_constant",
    "get",
    "mean_loss",
]

LOSSES: Mapping[str, type[Any]] = {
    "BinaryCrossEntropy": BinaryCrossEntropy,
    "SoftmaxCrossEntropy": SoftmaxCrossEntropy,
    "MeanSquaredError": MeanSquaredError,
    "MeanAbsoluteError": MeanAbsoluteError,
    "Huber": Huber,
    "Poisson": Poisson,
    "Quantile": Quantile,
    "MultiSoftmaxCrossEntropy": MultiSoftmaxCrossEntropy,
}
"""Every loss by the name of its class."""

REGRESSION_BY_NAME: Mapping[str, Loss] = {
    "squared_error": MeanSquaredError(),
    "absolute_error": MeanAbsoluteError(),
    "huber": Huber(),
    "poisson": Poisson(),
    "quantile": Quantile(),
}
"""Losses for numbers by the name that users write."""

BY_NAME: Mapping[str, Loss] = {
    "binary_cross_entropy": BinaryCrossEntropy(),
    "softmax_cross_entropy": SoftmaxCrossEntropy(),
    **REGRESSION_BY_NAME,
}
"""Losses by the name that users write; `MultiSoftmaxCrossEntropy` needs its sizes and has none."""

_METHODS = ("rows", "gradient", "predict", "score", "inverse", "lowest", "targets", "link", "metric", "output_faults")


def get(loss: str | Loss) -> Loss:
    """Return the loss of that name, or the loss itself.

    Parameters
    ----------
    loss : str or Loss
        One of the names in `BY_NAME`, or a loss object.

    Returns
    -------
    Loss
        The loss, with its default options where a name was given.

    Raises
    ------
    InvalidValueError
        For an unknown name (with the nearest one), for a class in place of an object, for anything else.

    Examples
    --------
    >>> get("softmax_cross_entropy")
    SoftmaxCrossEntropy(label_smoothing=0.0)
    """
    return resolve("loss", loss, BY_NAME, _METHODS)
