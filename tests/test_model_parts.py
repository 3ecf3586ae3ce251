"""A model whose parts do not fit one another once read behind the end of its weights: garbage, NaN, or a crash.

In: weights, scalings and classes of another network; numbers beyond the range. Out: our own error that names the part.
"""

import numpy as np
import pytest

from chainrule import NetRegressor
from chainrule.data import Standardizer
from chainrule.errors import InvalidValueError
from chainrule.model import Model
from chainrule.nn.losses import BinaryCrossEntropy, MeanSquaredError, MultiSoftmaxCrossEntropy, SoftmaxCrossEntropy
from chainrule.nn.multilayer import mlp


def parts_of(net, loss, classes=None, **changed):
    w, buffers = net.init(0)
    fields = {
        "net": net,
        "loss": loss,
        "w": w,
        "buffers": buffers,
        "inputs": Standardizer.identity(net.inputs),
        "targets": None,
        "classes": classes,
        "feature_names": ("a", "b", "c"),
        "target_name": "y",
    }
    return {**fields, **changed}


NETWORK = mlp(3, [4], 2, norm="batch")
W, BUFFERS = NETWORK.init(0)
P, B = W.size, BUFFERS.size
MISFITS = {
    "short w": (
        {"w": W[:-1]},
        rf"Model: w must be of shape \({P},\), got \({P - 1},\)\. It belongs to another network",
    ),
    "long w": ({"w": np.append(W, 0.0)}, "Model: w must be of shape"),
    "empty w": ({"w": W[:0]}, "Model: w must be of shape"),
    "w of two axes": ({"w": W[None]}, "Model: w must be of shape"),
    "w of whole numbers": ({"w": W.astype(int)}, f"Model: w must be an array of {P} float32 or float64 numbers"),
    "w of float16": ({"w": W.astype(np.float16)}, "Model: w must be an array of"),
    "w as a list": ({"w": W.tolist()}, f"Model: w must be an array of {P}"),
    "no w": ({"w": None}, "Model: w must be an array of"),
    "short buffers": ({"buffers": BUFFERS[:3]}, rf"Model: buffers must be of shape \({B},\)"),
    "no buffers": ({"buffers": np.zeros(0)}, "Model: buffers must be of shape"),
    "another network's": ({"w": np.zeros(10**6), "buffers": np.zeros(10**4)}, "Model: w must be of shape"),
    "inputs of other columns": ({"inputs": Standardizer.identity(2)}, "Model: inputs must be the scaling of 3 columns"),
    "targets of other columns": (
        {"targets": Standardizer.identity(3)},
        "Model: targets must be the scaling of 2 columns",
    ),
    "temperature 0": ({"temperature": 0.0}, "Model: temperature must be"),
    "temperature NaN": ({"temperature": float("nan")}, "Model: temperature must be"),
    "a short other": ({"others": ((W[:-1], BUFFERS),)}, r"Model, others\[0\]: w must be of shape"),
    "other classes": ({"classes": np.array([0, 1, 2])}, "Model: classes must be 2 in all for 2 outputs, got 3"),
    "no classes": ({"classes": None}, "Model: classes must be given with SoftmaxCrossEntropy"),
}


@pytest.mark.parametrize("name", list(MISFITS))
def test_a_model_refuses_parts_of_another_network(name):
    changed, message = MISFITS[name]
    parts = parts_of(NETWORK, SoftmaxCrossEntropy(), np.array([0, 1]))
    assert Model(**parts).predict(np.zeros((2, 3))).shape == (2,)
    with pytest.raises(InvalidValueError, match=message):
        Model(**{**parts, **changed})


@pytest.mark.parametrize(
    ("loss", "outputs", "classes"),
    [
        (BinaryCrossEntropy(), 1, [0, 1, 2]),
        (BinaryCrossEntropy(), 1, [0]),
        (BinaryCrossEntropy(), 3, [0, 1]),
        (MultiSoftmaxCrossEntropy((2, 3)), 5, ([0, 1], [0, 1])),
        (MeanSquaredError(), 1, [0, 1]),
        (SoftmaxCrossEntropy(), 3, [0, 1]),
    ],
    ids=str,
)
def test_classes_fit_the_loss_and_the_outputs(loss, outputs, classes):
    known = tuple(map(np.array, classes)) if isinstance(classes, tuple) else np.array(classes)
    with pytest.raises(InvalidValueError, match="Model: classes must be"):
        Model(**parts_of(mlp(3, [], outputs), loss, known))


@pytest.fixture(scope="module")
def table():
    return np.random.default_rng(0).normal(size=(60, 3))


@pytest.fixture(scope="module")
def network(table):
    return NetRegressor((4,), max_iter=3, random_state=0, dtype="float32").fit(table, table[:, 0])


@pytest.mark.parametrize("value", [1e200, -1e151, 1.7e308, 1e160, np.inf, np.nan])
def test_scores_of_numbers_beyond_the_range_are_refused(network, table, value):
    y = table[:, 0].copy()
    y[5] = value
    with pytest.raises(InvalidValueError, match=r"Model: y must be (at most 1e\+150 in size|finite), got .* at row 5"):
        network.model_.score(table, y)


@pytest.mark.parametrize("value", [1e140, -1e140, 1e149, 1e40, -1e39])
def test_rows_too_far_for_the_network_s_type_are_named(network, table, value):
    rows = table[:4].copy()
    rows[2, 1] = value
    for predict in (network.predict, network.model_.predict, network.model_.logits):
        with pytest.raises(InvalidValueError, match=r"within 3\.4e\+38 standard deviations .* at row 2, column 1"):
            predict(rows)


@pytest.mark.parametrize("value", [1e151, -1e200, 1.7e308, 1e155, -1e154])
def test_rows_whose_squares_overflow_are_named(network, table, value):
    rows = table[:4].copy()
    rows[2, 1] = value
    for predict in (network.predict, network.model_.predict, network.model_.logits):
        with pytest.raises(InvalidValueError, match=r"at most 1e\+150 in size, got .* at row 2, column 1"):
            predict(rows)
