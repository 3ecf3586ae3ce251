"""Workloads: fixed networks and data, so that two runs on two machines measure the same work.

In: nothing. Out: the workloads by name, each with its network, its rows and the floating-point operations it needs.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import pairwise

import numpy as np

from chainrule.arrays import Array
from chainrule.errors import did_you_mean, must_be, raise_all
from chainrule.nn.losses import SoftmaxCrossEntropy
from chainrule.nn.multilayer import mlp
from chainrule.nn.net import Net
from chainrule.nn.step import Recipe

LEARNING_RATE = 1e-6
"""So small that the network hardly changes: a unit that died would leave numbers below float32's normal range in
Adam's vectors, which some processors add a hundred times slower, and the speed would drift."""


@dataclass(frozen=True)
class Workload:
    """One thing to time.

    Parameters
    ----------
    name : str
        Name on the command line and in tables.
    kind : {"training", "prediction", "program"}
        A step (gather a shuffled batch, forward, backward, Adam), a call with `batch` rows, or a whole process.
    widths : tuple of int
        Widths of the network, from inputs to outputs.
    batch : int
        Rows of a step or a call.
    rows : int
        Rows of the data.
    batch_norm : bool, default=False
        Whether hidden layers have batch norm.
    dropout : float, default=0.0
        Dropout rate of hidden layers.
    activation : {"relu", "tanh"}, default="relu"
        Activation of hidden layers.
    epochs : int, default=1
        Epochs per unit of a run, so that a full-batch workload has as many steps per unit as the others.
    goals : mapping of str to float, default={}
        Smallest ratio wanted, by family of peers: its best time over this package's.
    """

    name: str
    kind: str
    widths: tuple[int, ...]
    batch: int
    rows: int
    batch_norm: bool = False
    dropout: float = 0.0
    activation: str = "relu"
    epochs: int = 1
    goals: Mapping[str, float] = field(default_factory=dict)

    @property
    def per_epoch(self) -> int:
        """Steps in an epoch."""
        return self.rows // self.batch

    @property
    def per_unit(self) -> int:
        """Steps in a unit of a run; a call or a program is one unit."""
        return self.per_epoch * self.epochs if self.kind == "training" else 1

    @property
    def net(self) -> Net:
        """The network as this package builds it, with logits for softmax cross-entropy."""
        inputs, *hidden, outputs = self.widths
        norm = "batch" if self.batch_norm else None
        return mlp(inputs, hidden, outputs, activation=self.activation, norm=norm, dropout=self.dropout)

    @property
    def recipe(self) -> Recipe:
        """Recipe of its training: Adam, float32."""
        return Recipe(self.net, SoftmaxCrossEntropy(), batch_size=self.batch)

    @property
    def operations(self) -> int:
        """Floating-point operations of the matrix products that a step or a call needs.

        Six per weight and row in training (forward, dW, dA), but four in the first layer, which needs no dA.

        >>> Workload("one", "training", (3, 2, 1), 10, 10).operations
        360
        """
        products = [self.batch * d * k for d, k in pairwise(self.widths)]
        if self.kind == "prediction":
            return 2 * sum(products)
        return 6 * sum(products) - 2 * products[0] if self.kind == "training" else 0

    def data(self) -> tuple[Array, Array]:
        """Return X (rows, d), standard normal in float32, and classes y (rows), the same on every call.

        The second half repeats the first with other classes, so that no network can memorize it.
        """
        generator = np.random.default_rng(0)
        half = (self.rows + 1) // 2
        X = generator.standard_normal((half, self.widths[0]), np.float32)
        y = generator.integers(self.widths[-1], size=half)
        other = (y + 1) % self.widths[-1]
        return np.concatenate([X, X])[: self.rows], np.concatenate([y, other])[: self.rows]


def _training(
    widths: Sequence[int], batch: int, rows: int, goals: Mapping[str, float], epochs: int = 1
) -> tuple[Workload, Workload]:
    """Return a workload without and one with batch norm and dropout."""
    name = "-".join(map(str, widths))
    plain = Workload(name, "training", tuple(widths), batch, rows, epochs=epochs, goals=goals)
    return plain, replace(plain, name=f"{name}-bn-dropout", batch_norm=True, dropout=0.2)


def _prediction(widths: Sequence[int], rows: int) -> Workload:
    name = f"predict-{rows}-" + "-".join(map(str, widths))
    return Workload(name, "prediction", tuple(widths), rows, max(rows, 64))


_ALL = (
    *_training((64, 32, 16, 2), 288, 288, {"pytorch": 12.0, "jax": 6.0}, epochs=50),
    *_training((64, 128, 10), 32, 1408, {"pytorch": 12.0, "jax": 6.0}),
    *_training((784, 256, 128, 10), 128, 12800, {"pytorch": 4.0, "jax": 2.1}),
    _training((784, 512, 512, 10), 128, 6400, {"pytorch": 3.4, "jax": 2.4})[0],
    _training((50, 64, 64, 2), 256, 10240, {"pytorch": 6.0, "jax": 4.0})[0],
    _training((1024, 2048, 2048, 1000), 512, 2048, {"pytorch": 2.3, "jax": 1.5})[0],
    Workload("4-32-16-4-tanh", "training", (4, 32, 16, 4), 10_000, 10_000, activation="tanh", epochs=5),
    _prediction((64, 128, 10), 1),
    _prediction((784, 256, 128, 10), 1),
    _prediction((784, 256, 128, 10), 10_000),
    Workload("train-digits", "program", (64, 100, 10), 32, 1437, epochs=30),
    Workload("import", "program", (), 0, 0),
)

WORKLOADS: Mapping[str, Workload] = {workload.name: workload for workload in _ALL}
"""Every workload by name: ten of training, three of prediction, two whole programs."""

WIDE = Workload("1024-4096-4096-1000", "training", (1024, 4096, 4096, 1000), 8192, 32768)
"""For GPUs only: a step large enough to keep one busy."""

SMALL_STEP = 10**9
"""Largest number of operations per step in a quick run."""


def chosen(names: Sequence[str], quick: bool) -> tuple[Workload, ...]:
    """Return the workloads of these names; without names, all of them, or in a quick run those with small steps.

    Raises `InvalidValueError` for an unknown name.
    """
    raise_all(
        must_be("bench", "--workload", "a workload's name", name, did_you_mean(name, WORKLOADS))
        for name in names
        if name not in WORKLOADS
    )
    if names:
        return tuple(WORKLOADS[name] for name in names)
    return tuple(w for w in WORKLOADS.values() if not quick or (w.operations <= SMALL_STEP and w.kind != "program"))
