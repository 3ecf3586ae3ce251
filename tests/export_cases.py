"""Models with random weights that the tests of several export formats share."""

import numpy as np

from chainrule.data import Standardizer
from chainrule.data.table import ReadOptions, describe
from chainrule.model import Model
from chainrule.nn.layers import Activation, Dense
from chainrule.nn.losses import MeanSquaredError, SoftmaxCrossEntropy
from chainrule.nn.net import Net
from chainrule.table_model import TableModel


def digits_like(hidden=32, dtype="float32", mean=5.0):
    """A classifier of 64 inputs and ten classes."""
    net = Net(64, [Dense(hidden), Activation("relu"), Dense(10)])
    w, buffers = net.init(0)
    scaling = Standardizer(np.full(64, mean), np.full(64, 4.0))
    names = tuple(f"x{j}" for j in range(64))
    return Model(net, SoftmaxCrossEntropy(), w.astype(dtype), buffers, scaling, None, np.arange(10), names, "digit")


def table_model(frame, kinds=None, schema=None):
    """A model with random weights for the columns of a frame."""
    schema = schema or describe("table", frame, None, ReadOptions(kinds=kinds or {}))
    X = schema.design("table", frame)
    net = Net(X.shape[1], [Dense(3), Activation("tanh"), Dense(1)])
    w, buffers = net.init(1)
    core = Model(net, MeanSquaredError(), w, buffers, Standardizer.fit(X), None, None, schema.design_names, "y")
    return TableModel(schema, core)


HOSTILE = (
    "*/ int x;",
    "class",
    "2nd",
    "a-b",
    "a b",
    "??/",
    "\u00e4\u65e5",
    "predict",
    "row",
    "tab\there",
    "\u202eevil",
    "line\\",
)
