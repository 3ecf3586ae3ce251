"""A trained network together with the scaling of its inputs and outputs, its classes and its column names.

A network alone cannot predict: it needs what its inputs went through in training. In: rows as the user has them (a frame,
lists, an array; unscaled). Out: predictions in the user's own units and labels.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, fields, replace
from functools import cached_property, partial
from typing import Any

import numpy as np

from chainrule.arrays import Array, MatrixLike
from chainrule.constraints import POSITIVE
from chainrule.data import Standardizer
from chainrule.data.matrix import as_matrix, default_names
from chainrule.data.row_sketch import RowSketch
from chainrule.engines import RawPredictor, predictor, raw_predictor
from chainrule.engines.border import weight_faults
from chainrule.errors import must_be, raise_all
from chainrule.nn.losses import BinaryCrossEntropy, Loss, SoftmaxCrossEntropy, TargetKind
from chainrule.nn.net import Net
from chainrule.prediction import Classes, Predictor


@dataclass(frozen=True, eq=False)
class Model(Predictor):
    """A network with its weights, the scaling of inputs and targets, and the names around it.

    It is what `NetClassifier` and `NetRegressor` keep as `model_`, and what `save_model` writes and `load_model` reads. It
    is frozen, so that threads may share it. Rows X may be a pandas or polars frame, whose columns are found by name (in
    any order; other columns are ignored), a list of rows, an array or a sparse matrix.

    Parameters
    ----------
    net : Net
        The network.
    loss : Loss
        The loss it was trained with; its link maps logits to predictions.
    w : array of shape (P,)
        All parameters in one vector, in the dtype of training.
    buffers : array of shape (B,)
        Running statistics of batch norm, in the dtype of training.
    inputs : Standardizer
        The scaling of the d inputs.
    targets : Standardizer or None
        The scaling of a regression's outputs; None where they were not scaled.
    classes : array of shape (K,), tuple of such arrays, or None
        The classes in order, a tuple of such for several targets, None for a regression.
    feature_names : tuple of str
        The d names of the columns; "x0", "x1", ... where the training data had none.
    target_name : str
        The name of what is predicted.
    temperature : float, default=1.0
        What the logits of classes are divided by before they become probabilities; 1 leaves them as they are.
    others : tuple of (w, buffers), default=()
        Weights and statistics of further networks of the same shape, whose predictions are averaged with this one's.
    trained_on : RowSketch or None, default=None
        Hashes of the rows it was trained on, so that an evaluation can say whether its rows were among them.

    Raises
    ------
    InvalidValueError
        With all parts that do not fit the network: weights and statistics of another size or type, scalings of other
        columns, other classes than the network has outputs for, a temperature that is no number above 0.

    Examples
    --------
    >>> from chainrule import Dense, losses
    >>> one = Standardizer.identity(1)
    >>> model = Model(Net(1, [Dense(1)]), losses.BinaryCrossEntropy(), np.array([1.0, 0.0]), np.zeros(0), one, None,
    ...               np.array(["no", "yes"]), ("x",), "kind")
    >>> model.predict([[-1.0], [2.0]]).tolist()
    ['no', 'yes']
    """

    net: Net
    loss: Loss
    w: Array = field(repr=False)
    buffers: Array = field(repr=False)
    inputs: Standardizer = field(repr=False)
    targets: Standardizer | None = field(repr=False)
    classes: Classes
    feature_names: tuple[str, ...] = field(repr=False)
    target_name: str
    temperature: float = 1.0
    others: tuple[tuple[Array, Array], ...] = field(default=(), repr=False)
    trained_on: RowSketch | None = field(default=None, repr=False)

    def __post_init__(self) -> None:
        raise_all(_faults(self))

    @property
    def outputs(self) -> int:
        """Number of logits."""
        return self.net.outputs

    @property
    def members(self) -> tuple[Model, ...]:
        """Each network as a model of its own."""
        alone = replace(self, others=())
        return (alone, *(replace(alone, w=w, buffers=buffers) for w, buffers in self.others))

    @cached_property
    def _forward(self) -> Callable[[Array], Array]:
        if not self.others:
            return predictor(self.net, self.w, self.buffers)
        numbers = ((self.w, self.buffers), *self.others)
        return partial(averaged_logits, self.loss, [predictor(self.net, w, buffers) for w, buffers in numbers])

    @cached_property
    def _raw(self) -> RawPredictor | None:
        """What scales, checks and predicts rows in one call; None for several networks, and without the extension."""
        if self.others:
            return None
        return raw_predictor(self.net, self.w, self.buffers, self.inputs.mean, self.inputs.scale)

    def __getstate__(self) -> dict[str, Any]:
        """Return the fields alone; the prediction function is rebuilt when it is needed."""
        return {f.name: getattr(self, f.name) for f in fields(self)}

    def as_matrix(self, X: MatrixLike) -> Array:
        """Return rows as an array with the model's columns in the model's order.

        Parameters
        ----------
        X : array, frame, sparse matrix or sequence of rows
            n rows in the user's units.

        Returns
        -------
        array of shape (n, d)

        Raises
        ------
        InvalidValueError
            In one line, for missing columns, another number of columns, and cells that are not numbers.
        """
        named = len(self.feature_names) == self.net.inputs
        return as_matrix("Model", X, self.feature_names if named else default_names(self.net.inputs))

    def matrix_logits(self, X: Array) -> Array:
        """Return the outputs of the last layer, before the link; for several networks those of the mean prediction.

        Parameters
        ----------
        X : array of shape (n, d)
            Finite numbers, in the user's units.

        Returns
        -------
        array of shape (n, k)

        Raises
        ------
        InvalidValueError
            For NaN and infinity.
        """
        Z = None if self._raw is None else self._raw.logits(X)
        if Z is not None:
            return Z
        scaled = self.inputs.apply(X, self.w.dtype)
        return self._forward(scaled)

    def _most_probable(self, X: Array) -> Array:
        usual = type(self.loss) in (SoftmaxCrossEntropy, BinaryCrossEntropy)
        found = self._raw.classes(X, self.temperature) if usual and self._raw is not None else None
        if found is None:
            return super()._most_probable(X)
        undecided = np.flatnonzero(found < 0)
        if undecided.size:
            found[undecided] = super()._most_probable(X[undecided])
        return found


def _faults(model: Model) -> Iterator[str]:
    net = model.net
    yield from weight_faults("Model", net, model.w, model.buffers)
    for i, (w, buffers) in enumerate(model.others):
        yield from weight_faults(f"Model, others[{i}]", net, w, buffers)
    yield from _scaling_faults("inputs", model.inputs, net.inputs)
    if model.targets is not None:
        yield from _scaling_faults("targets", model.targets, net.outputs)
    if not POSITIVE.allows(model.temperature):
        yield must_be("Model", "temperature", f"{POSITIVE}", model.temperature)
    yield from _class_faults(model)


def _scaling_faults(argument: str, scaling: Standardizer, columns: int) -> Iterator[str]:
    if len(scaling.mean) != columns or len(scaling.scale) != columns:
        yield must_be("Model", argument, f"the scaling of {columns} columns", len(scaling.mean))


def _class_faults(model: Model) -> Iterator[str]:
    """Say where classes and loss contradict each other or the outputs."""
    classes, outputs = model.classes, model.net.outputs
    if (classes is not None) != model.loss.targets.are_classes:
        allowed = f"{'given' if model.loss.targets.are_classes else 'None'} with {type(model.loss).__name__}"
        yield must_be("Model", "classes", allowed, classes)
        return
    if classes is None:
        return
    binary = model.loss.targets is TargetKind.LABELS and outputs == 1
    wanted = 2 if binary else outputs
    count = sum(len(known) for known in classes) if isinstance(classes, tuple) else len(classes)
    if count != wanted:
        yield must_be("Model", "classes", f"{wanted} in all for {outputs} outputs", count)


def averaged_logits(loss: Loss, networks: Sequence[Callable[[Array], Array]], X: Array) -> Array:
    """Return the logits whose prediction is the mean of the networks' predictions: Z = f⁻¹(Σᵢ f(Zᵢ) / k)."""
    return loss.inverse(np, np.mean([loss.predict(np, network(X)) for network in networks], axis=0))
