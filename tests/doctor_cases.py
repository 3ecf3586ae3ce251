"""Why: the doctor's tests share healthy cases and ways to break them. In: names, seeds. Out: cases, findings."""

from dataclasses import replace
from functools import cache

import numpy as np

from chainrule.data import Standardizer, load, three_way
from chainrule.doctor.vocabulary.records import NotApplicable
from chainrule.engines import Rows
from chainrule.nn.net import Net
from chainrule.pipeline import Settings, classification, regression
from chainrule.train.problem import TrainingProblem


@cache
def healthy(name, seed=0, **settings):
    """A built-in data set, split, scaled on training rows, with the default network and settings."""
    parts = three_way(load(name, seed=seed), 0.2, 0.25, seed)
    chosen = Settings(seed=seed, **{"max_iter": 100, **settings})
    train = parts.train
    target = (classification if train.task == "classification" else regression)(train.y, chosen)
    inputs = Standardizer.fit(train.X, shared=train.shared_unit)
    recipe = chosen.recipe(chosen.network(train.X.shape[1], target.outputs), target.loss, len(train.X))

    def rows(part):
        return Rows.of(recipe, inputs.apply(part.X, chosen.dtype), target.encode(part.y))

    return TrainingProblem(
        recipe,
        rows(train),
        chosen.config(len(train.X), validated=True),
        rows(parts.validation),
        feature_names=train.feature_names,
        target=target,
        test=rows(parts.test),
    )


def with_layers(problem, *layers, **recipe):
    """The case with another network, and other pieces of the recipe."""
    return replace(problem, recipe=replace(problem.recipe, net=Net(problem.recipe.net.inputs, layers), **recipe))


def with_recipe(problem, **pieces):
    return replace(problem, recipe=replace(problem.recipe, **pieces))


def with_rows(problem, X=None, Y=None, take=slice(None)):
    """The case with other training rows; held-out rows stay."""
    X, Y = problem.rows.X if X is None else X, problem.rows.Y if Y is None else Y
    rows = Rows(np.asarray(X, np.float32)[take], Y[take], np.ones(len(X), np.float32)[take])
    return replace(problem, rows=rows)


def alarms(problem, rules, trace=None):
    """Warnings and critical findings by symptom; rules that cannot look are passed over."""
    found = {}
    for rule in rules:
        try:
            finding = rule.check(problem, trace)
        except NotApplicable:
            continue
        if finding is not None:
            assert finding.symptom == rule.symptom or rule.symptom.startswith("learning-rate")
            if finding.severity != "info":
                found[finding.symptom] = finding
    return found


HEALTHY = ("circles", "blobs", "digits", "breast_cancer", "wine", "diabetes")
