"""From settings and data to a training problem: the one way that estimators, command line and search take.

In: `Settings`, rows as the user has them. Out: a `TrainingProblem`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from chainrule.arrays import Array
from chainrule.data import Dataset, Parts, Standardizer, Task, infer_task
from chainrule.engines import Rows
from chainrule.errors import InvalidValueError, must_be
from chainrule.model import Model
from chainrule.nn.net import Net
from chainrule.pipeline.settings import Settings
from chainrule.pipeline.targets import ClassWeight, class_weights, classification, regression, usual_parts
from chainrule.target import Target
from chainrule.train import TrainingProblem

Data = Dataset | Parts | tuple[Array, Array]
"""Rows to learn from: a data set, one cut into parts, or arrays X and y."""


def build_problem(
    settings: Settings,
    data: Data,
    *,
    target: Target | None = None,
    rows: Array | None = None,
    weights: Array | None = None,
    class_weight: ClassWeight = None,
    validation: tuple[Array, ...] | None = None,
    init_from: Model | None = None,
    feature_names: Sequence[str] = (),
    target_name: str = "target",
) -> TrainingProblem:
    """Scale and encode rows, and make the network and the recipe that learn from them.

    Parameters
    ----------
    settings : Settings
        Network and training.
    data : Dataset, Parts or tuple of ndarray
        Rows in the user's units; of `Parts` also the validation and test rows. Arrays are X (n, d) and y (n) or (n, k).
    target : Target or None, default=None
        What the targets are; None derives it from the training rows: classes or continuous targets, as the data set says
        or, of arrays, as y suggests.
    rows : ndarray of int of shape (m,) or None, default=None
        Numbers of the training rows among those of arrays X, y and `weights`, which are read where they lie; None takes all.
    weights : ndarray of shape (n,) or None, default=None
        Weights of the training rows; None is 1. A row of weight 2 counts as two rows.
    class_weight : mapping, "balanced" or None, default=None
        Weights of the classes of a single target, by which those of the training rows are multiplied.
    validation : tuple of ndarray or None, default=None
        Validation rows (X, y) or (X, y, weights), in place of those of `data`.
    init_from : Model or None, default=None
        A trained model whose layers, numbers and input scaling are taken in place of the settings'; its last layer too
        where it predicts the same classes or values.
    feature_names : sequence of str, default=()
        Names of the columns of arrays; x0, x1, ... unless given.
    target_name : str, default="target"
        Name of the target of arrays.

    Returns
    -------
    TrainingProblem

    Raises
    ------
    InvalidValueError
        With all faults of rows, targets and weights.

    Examples
    --------
    >>> from chainrule.data import load, three_way
    >>> from chainrule.train import train
    >>> problem = build_problem(Settings(max_iter=20), three_way(load("iris"), 0.2, 0.1, seed=0))
    >>> len(problem.rows), len(problem.validation), problem.classes.tolist()
    (108, 12, ['setosa', 'versicolor', 'virginica'])
    >>> model = problem.model(train(problem).state)
    >>> model.predict(load("iris").X).shape
    (150,)
    """
    parts = _named_parts(data, feature_names, target_name, target)
    X, y = parts.train
    if rows is not None:
        y = y[rows]
        weights = None if weights is None else weights[rows]
    held_out = parts.validation if validation is None else validation
    if target is None and parts.task == "regression":
        weights, held_out = usual_parts("train", y, weights, held_out, settings.regression_loss(), in_order=False)
    if target is None:
        target = classification(y, settings) if parts.task == "classification" else regression(y, settings, weights)
    weights = _weighted(weights, target, y, class_weight)
    net = settings.network(X.shape[1], target.outputs) if init_from is None else _inherited(init_from, X, target)
    inputs = scaler(X, settings.scaling, weights, rows) if init_from is None else init_from.inputs
    recipe = settings.recipe(net, target.loss, len(y))

    def ready(part: tuple[Array, ...], name: str = "y", take: Array | None = None) -> Rows:
        return Rows.of(recipe, inputs.apply(part[0], settings.dtype, take), target.encode(part[1], name), *part[2:])

    problem = TrainingProblem(
        recipe,
        ready((X, y) if weights is None else (X, y, weights), take=rows),
        settings.config(len(y), held_out is not None),
        None if held_out is None else ready(held_out, "validation rows"),
        settings.engine,
        feature_names=parts.feature_names or tuple(f"x{i}" for i in range(X.shape[1])),
        test=None if parts.test is None else ready(parts.test, "test rows"),
        inputs=inputs,
        target=target,
        target_name=parts.target_name,
    )
    return problem if init_from is None else problem.with_weights_of(init_from)


def scaler(X: Array, scaling: str, weights: Array | None = None, rows: Array | None = None) -> Standardizer:
    """Return the scaling of inputs, from training rows only (`rows` of X); a row of weight 2 counts as two rows."""
    if scaling == "none":
        return Standardizer.identity(X.shape[1])
    held = scaling == "columns"
    return Standardizer.fit(X, shared=scaling == "shared", weights=weights, hold_constant=held, rows=rows)


@dataclass(frozen=True, eq=False)
class _NamedParts:
    """Rows of each part, and what they are called, whatever form the data came in."""

    train: tuple[Array, Array]
    task: Task
    feature_names: tuple[str, ...]
    target_name: str
    validation: tuple[Array, ...] | None = field(default=None)
    test: tuple[Array, ...] | None = field(default=None)


def _named_parts(data: Data, feature_names: Sequence[str], target_name: str, target: Target | None) -> _NamedParts:
    """Return the parts of data; the task of arrays is only looked for where no target says it."""
    if isinstance(data, tuple):
        inferred = target is None and np.ndim(data[1]) == 1
        task: Task = infer_task(np.asarray(data[1])) if inferred else "regression"
        return _NamedParts(data, task, tuple(feature_names), target_name)
    parts = data if isinstance(data, Parts) else Parts(data, None, data.test)
    rows = parts.train
    validation, test = (None if part is None else (part.X, part.y) for part in (parts.validation, parts.test))
    return _NamedParts((rows.X, rows.y), rows.task, rows.feature_names, rows.target_name, validation, test)


def _weighted(weights: Array | None, target: Target, y: Array, class_weight: ClassWeight) -> Array | None:
    """Return the weights of rows times those of their classes."""
    if class_weight is None:
        return weights
    if target.classes is None or isinstance(target.classes, tuple) or np.ndim(y) > 1:
        hint = "Classes of a single target have weights."
        raise InvalidValueError(must_be("fit", "class_weight", "None for these targets", class_weight, hint))
    per_class = class_weights(target.classes, y, class_weight)
    return per_class if weights is None else weights * per_class


def _inherited(model: Model, X: Array, target: Target) -> Net:
    """Return a trained model's network, with a new last layer where it has another number of outputs."""
    if X.shape[1] != model.net.inputs:
        hint = "A model can be continued only on rows with its columns."
        allowed = f"of {model.net.inputs} columns, like the rows of init_from"
        raise InvalidValueError(must_be("fit", "X", allowed, X.shape[1], hint))
    return model.net if model.net.outputs == target.outputs else model.net.replace_head(target.outputs)
