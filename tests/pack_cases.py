"""Small packs and models of tables, made by hand: any numbers do, as long as every part has some."""

import numpy as np
import polars as pl

from chainrule.data import Standardizer
from chainrule.data.table import describe
from chainrule.data.transforms import FeatureTransform
from chainrule.model import Model
from chainrule.nn.layers import Activation, CategoryEmbedding, CosineEmbedding, Dense, Parallel, PBLDEmbedding
from chainrule.nn.losses import BinaryCrossEntropy, MeanSquaredError, SoftmaxCrossEntropy
from chainrule.nn.net import Net
from chainrule.pack import Member, Pack
from chainrule.table_model import TableModel

TOWNS = [f"town {k}" for k in range(12)]


def table(n=90):
    """A table with numbers with ties and gaps, categories of two, three and twelve levels, a date and a constant."""
    rng = np.random.default_rng(0)
    return pl.DataFrame(
        {
            "age": [None if k % 9 == 0 else 20 + (k * 7) % 50 for k in range(n)],
            "income": rng.lognormal(10.0, 1.0, n),
            "member": np.arange(n) % 2 == 0,
            "job": [("clerk", "smith", None)[k % 3] for k in range(n)],
            "town": [TOWNS[k % 12] for k in range(n)],
            "since": pl.Series([f"20{k % 20:02d}-0{k % 9 + 1}-1{k % 8}" for k in range(n)]).str.to_date(),
            "year": [2023] * n,
            "y": [("no", "yes")[k % 5 > 2] for k in range(n)],
        }
    )


def schema_of(frame=None):
    """The schema of the table."""
    return describe("people", table() if frame is None else frame, "y")


def net_of(transform, embedding, outputs, units=6):
    """A network with a branch for each kind of column."""
    numbers, flags, codes = transform.widths
    branches = [(numbers, embedding), (flags, Activation("identity"))]
    branches += [(codes, CategoryEmbedding(tuple(size for _, size in transform.codes), 3))] if codes else []
    return Net(sum(transform.widths), [Parallel(branches), Dense(units), Activation("silu"), Dense(outputs)])


def pack_of(loss=None, classes=("no", "yes"), outputs=1, dtype="float32", schema=None, **more):
    """A pack of two members, one behind a quantile and one behind a robust transform."""
    schema = schema or schema_of()
    E = schema.encode("people", table().drop("y"))
    sizes = [feature.size for feature in schema.features]
    transforms = tuple(FeatureTransform.fit(E, sizes, method) for method in ("quantile", "robust"))
    rng = np.random.default_rng(1)
    members = []
    for k, (embedding, weight) in enumerate(((CosineEmbedding(4, 0.5), 0.75), (PBLDEmbedding(4, 2, 0.1), 0.25))):
        net = net_of(transforms[k], embedding, outputs)
        w = (0.5 * rng.normal(size=net.size)).astype(dtype)
        members.append(Member(net, w, np.zeros(net.buffers.size, dtype), k, weight))
    loss = loss or BinaryCrossEntropy()
    targets = None if loss.targets.are_classes else Standardizer(np.full(outputs, 100.0), np.full(outputs, 40.0))
    labels = np.array(classes) if loss.targets.are_classes else None
    names = tuple(feature.name for feature in schema.features)
    return Pack(tuple(members), transforms, loss, targets, labels, names, "y", **more)


def regression_pack(**more):
    """A pack that predicts values from 80 to 120."""
    return pack_of(MeanSquaredError(), limits=(80.0, 120.0), **more)


def three_classes(labels=("a", "b", "c"), **more):
    """A pack of three classes."""
    return pack_of(SoftmaxCrossEntropy(), labels, 3, **more)


def table_model(core=None):
    """The table's schema with a pack behind it."""
    return TableModel(schema_of(), core or pack_of(temperature=1.5))


def plain_table_model():
    """The table's schema with one network behind the plain matrix."""
    schema = schema_of()
    d = len(schema.design_names)
    net = Net(d, [Dense(4), Activation("tanh"), Dense(1)])
    rng = np.random.default_rng(2)
    X = schema.design("people", table().drop("y"))
    scaling = Standardizer(X.mean(axis=0), X.std(axis=0) + (X.std(axis=0) == 0))
    core = Model(
        net,
        BinaryCrossEntropy(),
        rng.normal(size=net.size).astype("float32"),
        np.zeros(0, "float32"),
        scaling,
        None,
        np.array(["no", "yes"]),
        schema.design_names,
        "y",
    )
    return TableModel(schema, core)
