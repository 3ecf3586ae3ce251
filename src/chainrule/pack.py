"""A pack: several networks of different shapes, whose predictions for the features of a table are averaged.

In: a feature matrix (numbers with NaN for gaps, codes of categories). Out: what a `Predictor` answers.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, fields
from functools import cached_property
from typing import Any

import numpy as np

from chainrule.arrays import Array, MatrixLike
from chainrule.data import Standardizer
from chainrule.data.transforms import FeatureTransform
from chainrule.engines import predictor
from chainrule.errors import InvalidValueError, must_be
from chainrule.nn.losses import Loss
from chainrule.nn.net import Net
from chainrule.prediction import Classes, Predictor


@dataclass(frozen=True, eq=False)
class Member:
    """One network of a pack.

    Parameters
    ----------
    net : Net
        The network.
    w : array of shape (P,)
        Its parameters.
    buffers : array of shape (B,)
        Its running statistics.
    transform : int
        Which of the pack's transforms its rows go through.
    weight : float
        Its share in the mean; the weights of a pack sum to 1.
    """

    net: Net
    w: Array = field(repr=False)
    buffers: Array = field(repr=False)
    transform: int = 0
    weight: float = 1.0


@dataclass(frozen=True, eq=False)
class Pack(Predictor):
    """Networks with the transforms of their rows, averaged by weight.

    Probabilities are averaged, and then calibrated by the temperature; values are averaged, and then clamped to the range
    of the training targets.

    Equations  (1) ā = Σₘ wₘ f(Zₘ), where f is the loss's link; the logits are f⁻¹(ā)

    Reference  [hansen1990], [lakshminarayanan2017]

    Parameters
    ----------
    members : tuple of Member
        The networks.
    transforms : tuple of FeatureTransform
        The transforms that members share.
    loss : Loss
        The loss they were trained with.
    targets : Standardizer or None
        The scaling of a regression's outputs.
    classes : array of shape (K,) or None
        The classes in order; None for a regression.
    feature_names : tuple of str
        The p columns of the feature matrix.
    target_name : str
        The name of what is predicted.
    temperature : float, default=1.0
        What the logits are divided by.
    limits : tuple of (float, float) or None, default=None
        Lowest and highest value that a regression predicts: those of its training targets.
    """

    members: tuple[Member, ...]
    transforms: tuple[FeatureTransform, ...] = field(repr=False)
    loss: Loss
    targets: Standardizer | None = field(repr=False)
    classes: Classes
    feature_names: tuple[str, ...] = field(repr=False)
    target_name: str
    temperature: float = 1.0
    limits: tuple[float, float] | None = None

    @property
    def outputs(self) -> int:
        """Number of logits."""
        return self.members[0].net.outputs

    @property
    def size(self) -> int:
        """Number of parameters of all members."""
        return sum(member.net.size for member in self.members)

    def as_matrix(self, X: MatrixLike) -> Array:
        """Check a feature matrix.

        Parameters
        ----------
        X : array of shape (n, p)
            Features as a table's schema encodes them.

        Returns
        -------
        array of shape (n, p)

        Raises
        ------
        InvalidValueError
            For another number of columns.
        """
        E = np.asarray(X)
        if E.ndim != 2 or E.shape[1] != len(self.feature_names):
            raise InvalidValueError(must_be("Pack", "X", f"of shape (n, {len(self.feature_names)})", E.shape))
        return E

    def matrix_logits(self, X: Array) -> Array:
        """Return the logits whose prediction is the weighted mean of the members' predictions.

        Parameters
        ----------
        X : array of shape (n, p)
            Feature matrix.

        Returns
        -------
        array of shape (n, k)
        """
        rows = [transform.apply(X, self.members[0].w.dtype) for transform in self.transforms]
        total = 0.0
        for member, network in zip(self.members, self._networks, strict=True):
            total = total + member.weight * self.loss.predict(np, network(rows[member.transform]))  # (1)
        return self.loss.inverse(np, total)

    @cached_property
    def _networks(self) -> list[Callable[[Array], Array]]:
        return [predictor(member.net, member.w, member.buffers) for member in self.members]

    def __getstate__(self) -> dict[str, Any]:
        """Return the fields alone; the prediction functions are rebuilt when they are needed."""
        return {f.name: getattr(self, f.name) for f in fields(self)}
