"""Pieces that a user might write: they train, but only on rows like those of a training.

In: nothing. Out: training problems with one such piece each.
"""

from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np
from doctor_trials import plane

from chainrule import Activation, Dense
from chainrule.nn.layers import Dropout
from chainrule.nn.losses import BinaryCrossEntropy, MeanSquaredError
from chainrule.nn.optimizers import SGD
from chainrule.nn.schedules import ConstantSchedule
from chainrule.train import TrainConfig


@dataclass(frozen=True)
class RowNorm:
    """Divides each row by its length: axis 1 is read, so that a single vector has none."""

    needs: ClassVar[str] = "Z"

    def value(self, xp, Z):
        return Z / xp.sqrt((Z * Z).sum(axis=1, keepdims=True) + 1.0)

    def derivative(self, xp, Z, A):
        return xp.broadcast_to((1.0 + (Z * Z).sum(axis=1, keepdims=True)) ** -0.5, Z.shape)


@dataclass(frozen=True)
class WideOnly(RowNorm):
    """Refuses whatever is not as wide as its layer."""

    def value(self, xp, Z):
        if Z.shape[-1] != 8:
            raise ValueError("eight columns are needed")
        return xp.maximum(Z, 0.0)

    def derivative(self, xp, Z, A):
        if Z.shape[-1] != 8:
            raise ValueError("eight columns are needed")
        return (Z > 0) * 1.0


@dataclass(frozen=True)
class Summed(RowNorm):
    """Returns another shape for what is no table."""

    def value(self, xp, Z):
        return xp.maximum(Z, 0.0) if Z.ndim == 2 else Z.sum()

    def derivative(self, xp, Z, A):
        return (Z > 0) * 1.0 if Z.ndim == 2 else xp.zeros(3)


@dataclass(frozen=True)
class RowLoss(MeanSquaredError):
    """Ranks rows of a batch, and knows no constant prediction."""

    def rows(self, xp, Z, Y):
        if len(Z) < 2:
            raise ValueError("two rows are needed")
        return ((Z - Y) ** 2).mean(axis=1)

    def lowest(self, Y):
        raise NotImplementedError


@dataclass(frozen=True)
class FloatLoss(MeanSquaredError):
    """Refuses other precisions than the training's, with which checks compute."""

    def gradient(self, xp, Z, Y):
        if Z.dtype != np.float32:
            raise TypeError("float32 is needed")
        return super().gradient(xp, Z, Y)


@dataclass(frozen=True)
class OddScore(BinaryCrossEntropy):
    """A metric of the wrong shape for some rows: one number for all."""

    def score(self, xp, Z, Y):
        right = (Z > 0) == (Y > 0.5)
        return right[:, 0] if len(Z) <= 32 or len(Z) in (200, 300) else right.mean()


@dataclass(frozen=True)
class RaisingScore(BinaryCrossEntropy):
    """A metric that fails on float64."""

    def score(self, xp, Z, Y):
        if Z.dtype == np.float64:
            raise RuntimeError("no score for these")
        return super().score(xp, Z, Y)


@dataclass(frozen=True)
class FewRows(Dropout):
    """A layer for batches: two rows at least, and never more than four hundred."""

    def forward(self, p, buffers, A, ctx):
        if not 2 <= len(A) <= 400 or A.dtype != np.float32:
            raise ValueError("2 to 400 rows of float32 are needed")
        return super().forward(p, buffers, A, ctx)


@dataclass(frozen=True)
class Strict(SGD):
    """An optimizer that refuses other precisions and gradients of 0."""

    def update(self, w, g, state, ctx):
        if w.dtype != np.float32 or not g.any():
            raise ValueError("a float32 gradient is needed")
        return super().update(w, g, state, ctx)


@dataclass(frozen=True)
class ForFortyEpochs(ConstantSchedule):
    """A schedule of a fixed length, that refuses moments after it and another length."""

    def factor(self, e, E):
        if E != 40:
            raise ValueError("forty epochs are planned")
        return 1.0


@dataclass(frozen=True)
class Stepped(ConstantSchedule):
    """A schedule that is a table, beyond whose end there is nothing."""

    def factor(self, e, E):
        return [1.0] * 20 + [0.5] * 20 and ([1.0] * 20 + [0.5] * 20)[int(e)]


def _net(*layers):
    return [Dense(8), *layers, Dense(1)]


def _plane(layers=None, **settings):
    return replace(plane(layers or _net(Activation("relu")), n=300, **settings), engine="reference")


OWN = {
    "activation by rows": _plane(_net(Activation(RowNorm()))),
    "activation of one width": _plane(_net(Activation(WideOnly()))),
    "activation of another shape": _plane(_net(Activation(Summed()))),
    "loss for several rows": _plane(loss=RowLoss(), task="sum"),
    "loss for one precision": _plane(loss=FloatLoss(), task="sum"),
    "metric of another shape": _plane(loss=OddScore()),
    "metric that raises": _plane(loss=RaisingScore()),
    "layer for batches": _plane(_net(Activation("relu"), FewRows(0.1))),
    "optimizer for one precision": _plane(optimizer=Strict(), config=TrainConfig(40, 0.1)),
    "schedule of a fixed length": _plane(config=TrainConfig(40, 0.01, ForFortyEpochs())),
    "schedule from a table": _plane(config=TrainConfig(40, 0.01, Stepped())),
}
