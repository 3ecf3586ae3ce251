"""The golden files' inputs and measures, shared by the script that writes them and the test that reads them.

In: a model, or nothing. Out: digests and predictions as plain data; the training whose checkpoint is resumed.

The problem, the search and the study here must stay as they are: files of released versions belong to them.
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import numpy as np

from chainrule import mlp
from chainrule.engines import Rows
from chainrule.model import Model
from chainrule.nn.losses import SoftmaxCrossEntropy
from chainrule.nn.schedules import ReduceOnPlateau
from chainrule.nn.step import Recipe
from chainrule.pack import Pack
from chainrule.pipeline import Settings
from chainrule.search import SearchBudget, search
from chainrule.studies import StudyConfig
from chainrule.train import EarlyStopping, TrainConfig, TrainingProblem

HERE = Path(__file__).parent
DIGITS = {"float32": 9, "float64": 12}
TOLERANCE = {"float32": {"rtol": 1e-5, "atol": 1e-7}, "float64": {"rtol": 1e-9, "atol": 1e-12}}
"""How far predictions of another machine may differ; weights may not."""

STUDY = "symmetry"
STUDY_CONFIG = StudyConfig(data="table.csv", target="kind", seeds=1, quick=True)


def networks(model):
    """Return the parameters and statistics of every network of a model of any kind."""
    core = getattr(model, "core", model)
    if isinstance(core, Pack):
        return [(member.w, member.buffers) for member in core.members]
    assert isinstance(core, Model)
    return [(core.w, core.buffers), *core.others]


def weights(model):
    """Return the sha256 of all numbers of all networks, in little-endian order."""
    digest = hashlib.sha256()
    for vector in (vector for network in networks(model) for vector in network):
        digest.update(f"{vector.dtype.name} {vector.shape}".encode())
        digest.update(vector.astype(vector.dtype.newbyteorder("<")).tobytes())
    return digest.hexdigest()


def dtype_of(model):
    """Return the name of the precision of a model's weights."""
    return networks(model)[0][0].dtype.name


def rounded(values, dtype):
    """Return numbers as nested lists, as many digits as the precision has."""
    values = np.asarray(values, dtype=np.float64)
    return np.array([float(f"{v:.{DIGITS[dtype]}g}") for v in values.ravel()]).reshape(values.shape).tolist()


def answers(model, rows, y):
    """Return what a model predicts for rows, as plain data: numbers, labels, quantiles, its score."""
    dtype = dtype_of(model)
    found = {"score": rounded(model.score(rows, y), dtype)}
    if hasattr(model.loss, "levels"):
        found["quantiles"] = rounded(model.predict_quantiles(rows), dtype)
    if model.classes is None:
        return {**found, "values": rounded(model.predict(rows), dtype)}
    classes = model.classes if isinstance(model.classes, tuple) else (model.classes,)
    return {
        **found,
        "classes": [each.tolist() for each in classes],
        "labels": np.asarray(model.predict(rows)).tolist(),
        "probabilities": rounded(model.probabilities(rows), dtype),
    }


def problem(engine="reference"):
    """Return a training with batch norm, dropout, a plateau schedule and a ragged last batch; its rows are exact."""
    k = np.arange(71)[:, None]
    X = ((k * np.array([7, 11, 13]) + k * k) % 17 - 8) / 8
    y = (X[:, 0] + X[:, 1] ** 2 > 0.5).astype(int) + (X[:, 2] > 0)
    net = mlp(3, [6], 3, norm="batch", dropout=0.25)
    recipe = Recipe(net, SoftmaxCrossEntropy(), batch_size=16, seed=3, dtype="float64")
    config = TrainConfig(10, 0.03125, ReduceOnPlateau(patience=1))
    rows, held_out = Rows.of(recipe, X[:53], y[:53]), Rows.of(recipe, X[53:], y[53:])
    return TrainingProblem(recipe, rows, config, held_out, engine)


STOPPING = EarlyStopping(patience=100)
"""The monitor of that training; the state that it keeps is in the checkpoint too."""


def searched(folder, executor=None):
    """Run the search, or read it where the folder holds it; the working folder holds its table."""
    return search(
        "table.csv",
        {"hidden_layer_sizes": {"choices": [[3], [5]]}, "learning_rate_init": {"low": 0.001, "high": 0.1, "log": True}},
        out=folder,
        budget=SearchBudget("random", trials=3, seeds=2),
        settings=Settings(max_iter=8, engine="reference"),
        workers=1 if executor is None else 2,
        executor=executor,
        target="kind",
    )


def trials_of(trials):
    """Return trials as plain data."""
    return json.loads(
        json.dumps([[t.number, dict(t.values), t.state, t.reason, [r.plain() for r in t.rungs]] for t in trials])
    )
