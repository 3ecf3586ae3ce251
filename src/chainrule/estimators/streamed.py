"""`fit` of estimators on data larger than memory.

In: an estimator, a `StreamedDataset`. Out: its fitted attributes.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from chainrule.data.stream.arrays import TARGET
from chainrule.data.stream.dataset import StreamedDataset
from chainrule.errors import must_be, raise_all
from chainrule.estimators.arguments import checked_settings
from chainrule.estimators.call import Call
from chainrule.pipeline import Situation, unused
from chainrule.pipeline.option_names import ESTIMATOR
from chainrule.pipeline.streaming import HoldOut, StreamedProblem, build_streamed_problem
from chainrule.train import TrainingProblem, find_learning_rate


def streamed_call(estimator: Any, dataset: StreamedDataset, given: Mapping[str, Any]) -> Call:
    """Return a call of `fit` on streamed rows; all columns but the target are taken as numbers.

    Parameters
    ----------
    estimator : NetClassifier or NetRegressor
        Its arguments.
    dataset : StreamedDataset
        The rows.
    given : mapping of str to object
        The other arguments of `fit`. Of these only `X_val` may be given, a `StreamedDataset`.

    Returns
    -------
    Call

    Raises
    ------
    InvalidValueError
        Naming every argument that streamed rows cannot have.
    """
    owner = type(estimator).__name__
    arguments = estimator._arguments()
    settings = checked_settings(owner, arguments)
    settings = replace(settings, dtype="float32" if estimator.dtype == "auto" else estimator.dtype)
    own = given.get("X_val")
    raise_all(_faults(owner, estimator, given))
    raise_all(unused(owner, settings, Situation(estimator._task, own is not None, None)))
    chooses = own is None and settings.early_stopping
    hold_out = HoldOut(settings.validation_fraction if chooses else 0.0, validation_rows=own)
    weights = getattr(estimator, "class_weight", None)
    made = build_streamed_problem(
        settings, dataset, hold_out, task=estimator._task, class_weight=weights, numbers_only=True
    )
    estimator._require_validation(settings.early_stopping or own is not None)
    problem = _with_rate(estimator, replace(made.problem, interface=ESTIMATOR))
    estimator.n_features_in_ = len(made.problem.feature_names)
    if TARGET not in dataset.source.columns:
        estimator.feature_names_in_ = np.array(made.problem.feature_names, object)
    elif hasattr(estimator, "feature_names_in_"):
        del estimator.feature_names_in_
    settings = replace(settings, max_iter=problem.config.epochs)
    return Call(settings, (problem,), _validation(made), False, False)


def _faults(owner: str, estimator: Any, given: Mapping[str, Any]) -> list[str]:
    hint = "The target is a column of the data set."
    faults = [
        must_be("fit", name, "left out for a streamed data set", "given", hint)
        for name in _TARGETS
        if given.get(name) is not None
    ]
    own = given.get("X_val")
    if own is not None and not isinstance(own, StreamedDataset):
        faults.append(must_be("fit", "X_val", "a StreamedDataset beside one", type(own).__name__))
    usual = {"n_networks": 1, "init_from": None, "warm_start": False}
    faults += [
        must_be(owner, name, f"{value!r} for a streamed data set", getattr(estimator, name))
        for name, value in usual.items()
        if getattr(estimator, name) != value
    ]
    if isinstance(getattr(estimator, "class_weight", None), list):
        faults.append(must_be(owner, "class_weight", "a mapping, 'balanced' or None", estimator.class_weight))
    return faults


_TARGETS = ("y", "sample_weight", "y_val", "sample_weight_val", "groups", "times")


def _with_rate(estimator: Any, problem: TrainingProblem) -> TrainingProblem:
    """Return the problem with its learning rate settled, by a range test on a sample of the rows."""
    if isinstance(estimator.learning_rate_init, str):
        estimator.learning_rate_init_ = find_learning_rate(replace(problem, stream=None)).suggestion
    else:
        estimator.learning_rate_init_ = float(estimator.learning_rate_init)
    return problem.with_learning_rate(estimator.learning_rate_init_)


def _validation(made: StreamedProblem) -> tuple[Any, ...] | None:
    """Return the validation rows in the user's units."""
    part = made.parts.validation
    return None if part is None else (part.X, part.y, np.ones(len(part.y)))
