"""A pack: several networks of different shapes, whose predictions for the features of a table are averaged.

In: a feature matrix (numbers with NaN for gaps, codes of categories). Out: what a `Predictor` answers.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, fields
from functools import cached_property
from typing import Any

import numpy as np

from chainrule.arrays import Array, MatrixLike
from chainrule.data import Standardizer
from chainrule.data.row_sketch import RowSketch
from chainrule.data.transforms import FeatureTransform
from chainrule.engines import predictors
from chainrule.errors import InvalidValueError, must_be
from chainrule.nn.losses import Loss
from chainrule.nn.net import Net
from chainrule.prediction import Classes, Predictor

_FEW_ROWS = 8
"""Up to this many rows the members' predictions are averaged in one array."""


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
    trained_on : RowSketch or None, default=None
        Hashes of the rows it was trained on, so that an evaluation can say whether its rows were among them.
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
    trained_on: RowSketch | None = field(default=None, repr=False)

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
        dtype = self.members[0].w.dtype
        logits = self._networks([transform.apply(X, dtype) for transform in self.transforms])
        if len(X) <= _FEW_ROWS:
            return self.loss.inverse(np, self._mean_of_few(logits))
        total = 0.0
        for member, Z in zip(self.members, logits, strict=True):
            total = total + member.weight * self.loss.predict(np, Z)  # (1)
        return self.loss.inverse(np, total)

    def _mean_of_few(self, Z: Array) -> Array:
        """Return the weighted mean of the predictions for logits (members, n, k), summed in the order of the members."""
        A = self.loss.predict(np, Z.reshape(-1, Z.shape[2])).reshape(Z.shape)
        total: Array = (A * self._weights.astype(A.dtype, copy=False)).cumsum(axis=0)[-1]  # (1)
        return total

    @cached_property
    def _weights(self) -> Array:
        weights = np.array([member.weight for member in self.members], self.members[0].w.dtype)
        return weights[:, None, None]

    @cached_property
    def _networks(self) -> Callable[[Sequence[Array]], Array]:
        return predictors([(m.net, m.w, m.buffers, m.transform) for m in self.members])

    def _value_type(self, Z: Array, X: Array) -> Any:
        """Return float64: features are float32 inside, but the user's values need not be."""
        return np.float64

    def __getstate__(self) -> dict[str, Any]:
        """Return the fields alone; the prediction functions are rebuilt when they are needed."""
        return {f.name: getattr(self, f.name) for f in fields(self)}
