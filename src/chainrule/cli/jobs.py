"""Why: training, examining and searching start alike: from a source and options to rows and settings.

In: a source, what the user wants. Out: a `Job`; the same with the rows on the network's scale; a case for the doctor.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from chainrule.arrays import Array
from chainrule.cli import options as o
from chainrule.data import Parts, load, three_way
from chainrule.engines import Rows, choose
from chainrule.errors import InvalidValueError, must_be, raise_all
from chainrule.pipeline import Job as Ready
from chainrule.pipeline import Settings, Target, class_weights, classification, regression, scaler
from chainrule.pipeline import prepare as make_ready
from chainrule.train import RangeTest, range_test
from chainrule.train.problem import TrainingProblem
from chainrule.train.range_test import RangeResult


@dataclass(frozen=True, eq=False)
class Job:
    """What is to be trained: the parts of the data, what their targets say, settings, weights of the training rows."""

    parts: Parts
    target: Target
    settings: Settings
    weights: Array

    def ready(self) -> Ready:
        """The job with its rows scaled and encoded."""
        data, held_out = self.parts.train, self.parts.validation
        return make_ready(
            data.X,
            data.y,
            self.target,
            self.settings,
            weights=self.weights,
            validation=None if held_out is None else (held_out.X, held_out.y),
            feature_names=data.feature_names,
            target_name=data.target_name,
        )


def prepare(
    source: str,
    column: str | None,
    task: str | None,
    settings: Settings,
    test: float,
    held_out: float,
    balance: str | None,
) -> Job:
    """Load, split, and look at the targets."""
    shares = {"--test-fraction": test, "--validation-fraction": held_out}
    raise_all(must_be("train", name, "in [0, 1)", value) for name, value in shares.items() if not 0 <= value < 1)
    dataset = load(source, column, task=task, seed=settings.seed)
    parts = three_way(dataset, test, held_out, settings.seed)
    target = (classification if dataset.task == "classification" else regression)(parts.train.y, settings)
    weights = np.ones(len(parts.train.y))
    if balance is not None:
        if target.classes is None:
            raise InvalidValueError(must_be("train", "--class-weight", "left out for a regression", balance))
        weights = class_weights(target.classes, parts.train.y, balance)
    return Job(parts, target, settings, weights)


def wanted_job(source: str, wanted: o.Wanted, settings: Settings, quiet: bool) -> Job:
    """The job of a source and options, with settings that depend on the data in place."""
    shares = wanted.test_fraction, wanted.validation_fraction
    job = prepare(source, wanted.target, wanted.task, settings, *shares, wanted.class_weight)
    return settle(job, wanted.scaling, wanted.lr == "find", quiet)


def settle(job: Job, scaling: str | None, find: bool, quiet: bool) -> Job:
    """The scale of pixels, and the rate where it is to be found."""
    shared = scaling is None and job.parts.train.shared_unit
    job = replace(job, settings=replace(job.settings, scaling="shared" if shared else job.settings.scaling))
    if not find:
        return job
    found = tried_rates(job, RangeTest()).suggestion
    if not quiet:
        o.console(stderr=True).print(f"learning rate {found:.2g} (range test)")
    return replace(job, settings=replace(job.settings, learning_rate_init=found))


def tried_rates(job: Job, settings: RangeTest) -> RangeResult:
    """The range test over the job's training rows."""
    data = job.parts.train
    inputs = scaler(data.X, job.settings.scaling, job.weights)
    net = job.settings.network(data.X.shape[1], job.target.outputs)
    recipe = job.settings.recipe(net, job.target.loss, len(data.X))
    rows = Rows.of(recipe, inputs.apply(data.X, job.settings.dtype), job.target.encode(data.y), job.weights)
    engine, _ = choose(job.settings.engine, recipe)
    return range_test(engine.compile(recipe, rows), recipe, rows, settings)


def problem_of(job: Job, ready: Ready, epochs: int | None = None) -> TrainingProblem:
    """What the doctor examines: the job as it is trained; of so many epochs where an early stop kept those."""
    config, test = ready.config(), job.parts.test
    classes = job.target.classes
    return TrainingProblem(
        ready.recipe,
        ready.rows,
        config if epochs is None else replace(config, epochs=max(epochs, 1)),
        ready.held_out,
        job.settings.engine,
        ready.start,
        ready.feature_names,
        classes if isinstance(classes, np.ndarray) else None,
        None
        if test is None
        else Rows.of(ready.recipe, ready.inputs.apply(test.X, job.settings.dtype), job.target.encode(test.y)),
    )
