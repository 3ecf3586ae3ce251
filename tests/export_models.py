"""Why: exporters meet every layer, task and table, in combinations that nobody would write by hand.

In: a seed. Out: a model with random weights (nothing is trained), from all layers, activations, losses, links and kinds
of classes; every fourth one takes a table. Rows come from `chainrule.exporters.draw`.
"""

import datetime as dt
from dataclasses import replace

import numpy as np
import polars as pl

from chainrule.data import Standardizer
from chainrule.data.table import ReadOptions, describe
from chainrule.data.transforms import FeatureTransform
from chainrule.model import Model
from chainrule.nn.activations import ACTIVATIONS, ELU, LeakyReLU
from chainrule.nn.layers import (
    Activation,
    BatchNorm,
    CategoryEmbedding,
    CosineEmbedding,
    Dense,
    Dropout,
    LayerNorm,
    Parallel,
    ParametricActivation,
    PBLDEmbedding,
    PiecewiseLinearEmbedding,
    Scale,
)
from chainrule.nn.losses import (
    LINKS,
    BinaryCrossEntropy,
    Huber,
    MeanAbsoluteError,
    MeanSquaredError,
    MultiSoftmaxCrossEntropy,
    Poisson,
    Quantile,
    SoftmaxCrossEntropy,
)
from chainrule.nn.net import Net
from chainrule.pack import Member, Pack
from chainrule.table_model import TableModel

KINDS = ("matrix", "matrix", "table plain", "matrix", "pack", "matrix", "table pack", "matrix")
"""What the seeds draw, in turn."""

TASKS = ("classes", "binary", "labels", "several", "values", "quantiles")
"""What the models answer, in turn."""

_NAMES = [name for name in ACTIVATIONS if name != "exp"]


def draw_model(seed, kind=None, task=None, dtype=None):
    """A random model; kind, task and dtype follow from the seed unless given."""
    rng = np.random.default_rng(seed)
    kind = kind or KINDS[seed % len(KINDS)]
    answers = draw_answers(rng, task or TASKS[(seed // len(KINDS) + seed) % len(TASKS)])
    dtype = dtype or ("float64" if rng.random() < 0.25 else "float32")
    if kind == "matrix":
        return draw_matrix_model(rng, answers, dtype)
    if kind == "pack":
        sizes = [int(size) for size in rng.choice([0, 0, 3, 14], int(rng.integers(2, 6)))]
        E = np.column_stack(
            [rng.lognormal(size=60) if not size else rng.integers(0, size, 60) for size in sizes]
        ).astype(np.float32)
        E[rng.random(E.shape) < 0.05 * np.array([not size for size in sizes])] = np.nan
        names = tuple(f"f{j}" for j in range(len(sizes)))
        return draw_pack(rng, E, sizes, names, answers, dtype)
    schema, frame = draw_table(rng)
    if kind == "table pack":
        E = schema.encode("table", frame)
        sizes = [feature.size for feature in schema.features]
        names = tuple(feature.name for feature in schema.features)
        return TableModel(schema, draw_pack(rng, E, sizes, names, answers, dtype))
    X = schema.design("table", frame)
    core = draw_matrix_model(rng, answers, dtype, Standardizer.fit(X, hold_constant=rng.random() < 0.5))
    return TableModel(schema, replace(core, feature_names=schema.design_names))


def draw_answers(rng, task):
    """What a model answers: loss, number of outputs, classes, and whether its values are scaled."""
    if task == "binary":
        return BinaryCrossEntropy(), 1, draw_classes(rng, 2)
    if task == "labels":
        k = int(rng.integers(2, 5))
        return BinaryCrossEntropy(), k, np.arange(k)
    if task == "classes":
        k = int(rng.integers(2, 6))
        return SoftmaxCrossEntropy(label_smoothing=0.1 * (rng.random() < 0.3)), k, draw_classes(rng, k)
    if task == "several":
        sizes = [int(size) for size in rng.integers(2, 5, int(rng.integers(2, 4)))]
        alike = rng.choice(["text", "int"])
        return MultiSoftmaxCrossEntropy(sizes), sum(sizes), tuple(draw_classes(rng, size, alike) for size in sizes)
    link = str(rng.choice(LINKS))
    if task == "quantiles":
        levels = [(0.05, 0.5, 0.95), (0.25,), (0.1, 0.4, 0.6, 0.9)][rng.integers(3)]
        return Quantile(levels, link=link), len(levels) * int(rng.integers(1, 3)), None
    losses = (MeanSquaredError(link), MeanAbsoluteError(link), Huber(link=link), Poisson())
    return losses[rng.integers(4)], int(rng.integers(1, 4)), None


def draw_classes(rng, k, kind=None):
    """k classes in order: texts, whole numbers, floats, or true and false."""
    kind = kind or rng.choice(["text", "int", "float", "bool"] if k == 2 else ["text", "int", "float"])
    return {
        "text": np.array(["a b", 'quo"te', "x\\y", "\u00e4\u65e5", "zz"])[:k],
        "int": np.arange(k) * 3 - 2,
        "float": np.arange(k) * 1.0,
        "bool": np.array([False, True])[:k],
    }[kind]


def draw_numbers(rng, net, dtype):
    """Random weights and running statistics of a network: of the size that training gives, no two alike."""
    w, buffers = net.init(int(rng.integers(1000)))
    w = w + 0.2 * rng.normal(size=w.shape)
    named = net.buffers.views(buffers)
    for name, values in named.items():
        values[:] = (
            rng.lognormal(0.0, 0.7, values.shape) if name.endswith("variance") else rng.normal(size=values.shape)
        )
    return w.astype(dtype), net.buffers.pack(np, named, buffers).astype(dtype)


def draw_function(rng):
    """An activation by name, or with a parameter of its own."""
    return [str(rng.choice(_NAMES)), str(rng.choice(_NAMES)), LeakyReLU(0.2), ELU(0.7)][rng.integers(4)]


def draw_embedding(rng):
    """An embedding of numbers."""
    return [
        CosineEmbedding(3, 0.5),
        PBLDEmbedding(4, 2, 0.2),
        PiecewiseLinearEmbedding((-1.0, -0.3, 0.4, 1.5), 3),
        PiecewiseLinearEmbedding(units=2),
    ][rng.integers(4)]


def draw_first(rng, d, codes=()):
    """Layers for the inputs: the first d are numbers, the others codes of these sizes."""
    if codes:
        wide = [(d, [draw_embedding(rng), Activation("identity"), BatchNorm()][rng.integers(3)])] if d else []
        return [Parallel([*wide, (len(codes), CategoryEmbedding(codes, 2))])]
    if d > 1 and rng.random() < 0.3:
        inner = [Parallel([(1, Scale()), (d - 1, Dense(2))]), BatchNorm()] if d > 2 else [Dropout(0.2)]
        second = inner[rng.integers(len(inner))]
        width = d - 1
        if isinstance(second, Parallel):
            second = Parallel([(1, Scale()), (width - 1, Dense(2))])
        return [Parallel([(1, draw_embedding(rng)), (width, second)])]
    return [[], [draw_embedding(rng)], [BatchNorm()], [LayerNorm()], [Scale()], [Activation("tanh")]][rng.integers(6)]


def draw_net(rng, d, outputs, codes=()):
    """A network for d numbers and some codes."""
    layers = draw_first(rng, d, codes)
    for _ in range(rng.integers(0, 4)):
        layers.append(Dense(int(rng.integers(2, 9)), bias=bool(rng.random() < 0.8)))
        norm = [[], [BatchNorm()], [LayerNorm()], [Dropout(0.3), BatchNorm()]][rng.integers(4)]
        function = draw_function(rng)
        layers += norm
        layers.append(ParametricActivation(function) if rng.random() < 0.25 else Activation(function))
        layers += [[], [], [Dropout(0.1)], [BatchNorm()], [Scale()]][rng.integers(5)]
    layers.append(Dense(outputs))
    layers += [[], [], [], [Scale()]][rng.integers(4)]
    return Net(d + len(codes), layers)


def draw_scaling(rng, loss, outputs):
    """The scaling of values: only where the link is the identity, as trainings have it."""
    if loss.targets.are_classes or loss.link != "identity" or rng.random() < 0.3:
        return None
    return Standardizer(rng.normal(50.0, 20.0, outputs), rng.lognormal(1.0, 1.0, outputs))


def draw_matrix_model(rng, answers, dtype, inputs=None):
    """A model that takes a matrix."""
    loss, outputs, classes = answers
    d = int(rng.integers(1, 7)) if inputs is None else len(inputs.mean)
    codes = tuple(int(size) for size in rng.integers(2, 6, 2)) if inputs is None and rng.random() < 0.2 else ()
    net = draw_net(rng, d, outputs, codes)
    if inputs is None:
        mean = np.concatenate([rng.normal(0.0, 5.0, d), np.zeros(len(codes))])
        inputs = Standardizer(mean, np.concatenate([rng.lognormal(0.0, 1.0, d), np.ones(len(codes))]))
    numbers = [draw_numbers(rng, net, dtype) for _ in range(rng.choice([1, 1, 3]))]
    names = (
        tuple(f"x{j}" for j in range(net.inputs))
        if rng.random() < 0.5
        else tuple(f"col {j}" for j in range(net.inputs))
    )
    temperature = 1.0 if classes is None or rng.random() < 0.5 else float(rng.uniform(0.6, 1.8))
    targets = draw_scaling(rng, loss, outputs)
    return Model(net, loss, *numbers[0], inputs, targets, classes, names, "target", temperature, tuple(numbers[1:]))


def draw_pack(rng, E, sizes, names, answers, dtype):
    """A pack over a feature matrix, with one to four members behind both transforms."""
    loss, outputs, classes = answers
    transforms = tuple(FeatureTransform.fit(E, sizes, method) for method in ("quantile", "robust"))
    weights = rng.random(int(rng.integers(1, 5))) + 0.1
    members = []
    for weight in weights / weights.sum():
        place = int(rng.integers(2))
        numbers, flags, codes = transforms[place].widths
        branches = [(numbers, draw_embedding(rng))] if numbers else []
        branches += [(flags, Activation("identity"))] if flags else []
        branches += [(codes, CategoryEmbedding(tuple(size for _, size in transforms[place].codes), 2))] if codes else []
        hidden = draw_net(rng, 1, outputs).layers
        first = [layer for layer in hidden if not isinstance(layer, Parallel)]
        first = [layer for layer in first if "Embedding" not in type(layer).__name__]
        net = Net(sum(transforms[place].widths), [Parallel(branches), *first])
        members.append(Member(net, *draw_numbers(rng, net, dtype), place, float(weight)))
    targets = draw_scaling(rng, loss, outputs)
    temperature = 1.0 if classes is None or rng.random() < 0.4 else float(rng.uniform(0.7, 1.5))
    limits = (20.0, 80.0) if classes is None and rng.random() < 0.5 else None
    return Pack(tuple(members), transforms, loss, targets, classes, names, "target", temperature, limits)


def draw_table(rng, n=90):
    """A schema and its rows, of some of all kinds of columns."""
    makers = {
        "size": lambda: gappy(rng, rng.lognormal(3.0, 1.0, n).tolist()),
        "count": lambda: rng.integers(0, 40, n).tolist(),
        "price": lambda: gappy(rng, [f"${value:,.2f}" for value in rng.lognormal(8.0, 1.0, n)]),
        "member": lambda: gappy(rng, (rng.random(n) < 0.4).tolist()),
        "agreed": lambda: [bool(share < 0.4) for share in rng.random(n)],
        "job": lambda: gappy(rng, rng.choice(["clerk", "smith", "boss of all", "\u00e4rzt"], n).tolist()),
        "sign": lambda: rng.choice(["+", "-"], n).tolist(),
        "grade": lambda: rng.choice(["1.50", "2.0", "3"], n).tolist(),
        "town": lambda: [f"town {k}" for k in rng.integers(0, 14, n)],
        "code": lambda: [f"{k:03d}" for k in rng.integers(0, 30, n)],
        "day": lambda: gappy(rng, days(rng, n)),
        "moment": lambda: [dt.datetime(2020, 1, 1) + dt.timedelta(hours=float(h)) for h in rng.uniform(0, 9999, n)],
        "written": lambda: [day.strftime("%d.%m.%Y") for day in days(rng, n)],
        "remark": lambda: gappy(
            rng, [f"the {a} met a {b} number {i}" for i, (a, b) in enumerate(rng.choice(["cat", "cow"], (n, 2)))]
        ),
    }
    names = [str(name) for name in rng.choice(list(makers), int(rng.integers(2, 8)), replace=False)]
    frame = pl.DataFrame({name: makers[name]() for name in names})
    kinds = {"grade": "category", "code": "category", "remark": "text"}
    schema = describe("table", frame, None, ReadOptions(kinds={name: kinds[name] for name in names if name in kinds}))
    columns = [
        replace(column, hashed=8, rare=False) if column.name in ("code", "town") and rng.random() < 0.5 else column
        for column in schema.columns
    ]
    return replace(schema, columns=tuple(columns)), frame


def days(rng, n):
    """n dates."""
    return [dt.date(2019, 1, 1) + dt.timedelta(days=int(k)) for k in rng.integers(0, 900, n)]


def gappy(rng, cells):
    """The cells with some gaps, in half of the draws."""
    share = 0.1 * (rng.random() < 0.5)
    return [None if rng.random() < share else cell for cell in cells]
