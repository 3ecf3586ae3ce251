"""A derivation must be one chain: every line uses what an earlier one found, and its numbers are those of training.

In: networks with every kind of layer, parsed as they are printed. Out: unbroken chains; numbers equal to the engines'.
"""

import json
import re
from itertools import pairwise

import numpy as np
import pytest
from pack_cases import pack_of, schema_of, table
from registry import LAYER_SAMPLES, LOSS_SAMPLES, fitted, flat

from chainrule import Activation, Dense, Dropout, Net, mlp
from chainrule.engines import ENGINES
from chainrule.engines.base import Rows
from chainrule.errors import InvalidValueError
from chainrule.nn.layers import CategoryEmbedding, CosineEmbedding, LayerNorm, Parallel, PBLDEmbedding, Scale
from chainrule.nn.losses import BinaryCrossEntropy, Huber, MeanSquaredError, SoftmaxCrossEntropy
from chainrule.nn.optimizers import SGD
from chainrule.nn.step import Recipe, State
from chainrule.report.explain import explain, to_markdown, to_text
from chainrule.report.explain_steps import path_of

SYMBOL = re.compile(r"dL/d\w\^\[[\d.′]+\]|dŶ|dX\b(?!\^)|d?\w[ᵢⱼₖₘₜ₀₁₋₊]*'?\^\[[\d.′]+\]")


def plain(symbol):
    """A symbol without its indices."""
    return re.sub("[ᵢⱼₖₘₜ₀₁₋₊]", "", symbol)


def printed(text):
    """Steps as they are printed: number, left side, symbols on the right, chain rule."""
    chain = ""
    found = []
    for line in text.splitlines():
        mark = re.match(r"\s*(?:\((\d+)\) )?\s*(\S+) = (.*)", line)
        if mark is None or line.startswith("Written"):
            continue
        number, left, right = mark.groups()
        if left.startswith("∂"):
            chain = f"{left} = {right.split('     ')[0]}"
            pending = number
            continue
        quotient = left.startswith("dL/d")
        right = right if quotient else right.split(",  ")[0]
        found.append((int(number or pending), plain(left), [plain(s) for s in SYMBOL.findall(right)], chain))
        chain = ""
    return found


def check_chain(derivation):
    """Every gradient that a line reads is the left side of an earlier line, and every one that is found is read."""
    lines = printed(to_text(derivation))
    assert [number for number, *_ in lines] == list(range(1, len(derivation.steps) + 1))
    assert [left for _, left, *_ in lines] == [plain(step.equation.split(" = ")[0]) for step in derivation.steps]
    known = set()
    read = set()
    for number, left, right, _ in lines:
        gradients = {symbol for symbol in right if symbol.startswith("d")}
        assert gradients <= known | {left}, (number, left, gradients - known)
        known.add(left.split("^[")[0] + ("^[" + left.split("^[")[1].split("]")[0] + "]" if "^[" in left else ""))
        read |= gradients
    return {step.symbol for step in derivation.steps if step.direction == "backward"} - read


NETWORKS = {
    "mlp": (mlp(6, [5, 4], 3, activation="tanh"), SoftmaxCrossEntropy()),
    "batch norm": (mlp(6, [5, 4], 3, norm="batch"), SoftmaxCrossEntropy()),
    "dropout": (mlp(6, [8, 4], 1, dropout=0.4, activation="gelu"), BinaryCrossEntropy()),
    "embeddings side by side": (
        Net(
            6,
            [
                Parallel([(2, CosineEmbedding(3)), (2, PBLDEmbedding(4, 3)), (2, CategoryEmbedding((4, 5), 2))]),
                Scale(),
                Dense(5),
                Activation("silu"),
                Dropout(0.2),
                Dense(2),
            ],
        ),
        SoftmaxCrossEntropy(),
    ),
    "regression": (Net(6, [Dense(4), LayerNorm(), Activation("elu"), Dense(2)]), Huber(link="softplus"))
    if "softplus" in Huber().links
    else (Net(6, [Dense(4), LayerNorm(), Activation("elu"), Dense(2)]), MeanSquaredError(link="tanh")),
}
WEIGHTED = ("mlp", "regression")


def rows_for(name, n=10):
    """Rows, targets and weights for a network."""
    net, loss = NETWORKS[name]
    rng = np.random.default_rng(3)
    X = rng.normal(size=(n, net.inputs))
    if name.startswith("embeddings"):
        X[:, 4:] = rng.integers(0, 4, (n, 2))
    if isinstance(loss, SoftmaxCrossEntropy):
        Y = rng.integers(0, net.outputs, n)
    else:
        Y = rng.integers(0, 2, (n, 1)) * 1.0 if isinstance(loss, BinaryCrossEntropy) else rng.random((n, net.outputs))
    c = rng.uniform(0.5, 2.0, n) if name in WEIGHTED else None
    w = net.init(1)[0] + 0.1 * rng.normal(size=net.size)
    return X, Y, c, w


def engine_gradient(engine, name, row, X, Y, c, w):
    """The gradient of a training step of plain descent at a rate of 1 in which only this row has a weight."""
    net, loss = NETWORKS[name]
    alone = name != "batch norm"
    weights = np.where(np.arange(len(X)) == row, 1.0 if c is None else c, 0.0)
    take = slice(row, row + 1) if alone else slice(None)
    recipe = Recipe(net, loss, SGD(), batch_size=len(X[take]), dtype="float64")
    session = ENGINES[engine]().compile(recipe, Rows.of(recipe, X[take], Y[take], weights[take]))
    session.load(State(w, net.init(1)[1], {}, 0))
    session.run(0, 0, np.ones(1))
    return net.parameters.views(w - session.state.w)


@pytest.mark.parametrize("engine", ["reference", "native"])
@pytest.mark.parametrize("name", NETWORKS)
def test_the_numbers_of_a_row_are_the_engines(name, engine):
    net, loss = NETWORKS[name]
    X, Y, c, w = rows_for(name)
    found = explain(net, loss, X=X, Y=Y, row=7, c=c, w=w).numbers
    theirs = engine_gradient(engine, name, 7, X, Y, c, w)
    ours = [value for symbol, value in found.gradients.items() if is_parameter(symbol, found.values)]
    assert len(ours) == len(theirs)
    for mine, their in zip(sorted(ours, key=order), sorted(theirs.values(), key=order), strict=True):
        np.testing.assert_allclose(mine, their, atol=1e-12, rtol=0)
    assert found.difference < 1e-6
    assert found.loss == pytest.approx(float(found.values["L"][0]))


def order(array):
    """A key that sorts equal arrays alike."""
    return (array.shape, round(float(np.abs(array).sum()), 9))


def is_parameter(symbol, values):
    """Whether a gradient is one of a parameter: its value is no row's."""
    letter = symbol[1:].split("^[")[0]
    return symbol[1:] in values and letter in "WbγβwVcEsaPα" and "dL/d" not in symbol


@pytest.mark.parametrize("name", NETWORKS)
def test_every_line_uses_what_an_earlier_one_found(name):
    net, loss = NETWORKS[name]
    ends = check_chain(explain(net, loss))
    weights = {step for step in ends if step[1] in "WbγβwVcEsaPα"}
    assert ends - weights == {"dX"}
    assert len(weights) == len(net.parameters.names)


@pytest.mark.parametrize("layer", flat(LAYER_SAMPLES), ids=str)
def test_the_chain_goes_through_every_layer(layer):
    net = Net(6, [Dense(4), fitted(layer, 4), Activation("mish"), Dense(2), fitted(layer, 2), Dense(1)])
    derivation = explain(net, MeanSquaredError())
    ends = check_chain(derivation)
    assert "dX" in ends
    assert len(ends) == len(net.parameters.names) + 1
    symbols = [step.symbol for step in derivation.steps]
    assert len(symbols) == len(set(symbols))


@pytest.mark.parametrize("sample", flat(LOSS_SAMPLES), ids=lambda sample: str(sample.loss))
def test_the_chain_begins_at_every_loss(sample):
    rng = np.random.default_rng(0)
    k = sum(sample.loss.sizes) if hasattr(sample.loss, "sizes") else 2 * sample.loss.outputs_per_target
    net = Net(3, [Dense(4), Activation("tanh"), Dense(k)])
    X, Y = rng.normal(size=(5, 3)), sample.targets(rng, 5, k)
    derivation = explain(net, sample.loss, X=X, Y=Y, row=2)
    assert "dX" in check_chain(derivation)
    assert path_of(derivation.steps, "dW^[1]").startswith("∂J/∂W^[1] = ∂J/∂Z^[2] · ")
    assert derivation.numbers.difference < 1e-6


def test_the_written_out_product_joins_factor_to_factor():
    path = path_of(explain(mlp(6, [5, 4, 3], 2, norm="batch", dropout=0.1), SoftmaxCrossEntropy()).steps, "dW^[1]")
    factors = re.findall(r"∂(\S+?)/∂(\S+)", path.split(" = ")[1])
    assert factors[0][0] == "J"
    assert factors[-1][1] == "W^[1]"
    assert all(before[1] == after[0] for before, after in pairwise(factors))


def test_a_member_of_a_pack_has_numbers():
    pack = pack_of()
    member = pack.members[0]
    E = schema_of().encode("people", table().drop("y"))
    X = pack.transforms[member.transform].apply(E, np.float64)
    Y = np.arange(len(X))[:, None] % 2 * 1.0
    found = explain(member.net, pack.loss, X=X, Y=Y, row=7, w=member.w, buffers=member.buffers).numbers
    assert found.difference < 1e-5
    assert {"dE^[0.3]", "dγ^[0.1]", "dW^[1]"} <= set(found.gradients)


def test_numbers_stand_in_every_form():
    X, Y, _, w = rows_for("mlp")
    net, loss = NETWORKS["mlp"]
    derivation = explain(net, loss, X=X, Y=Y, row=7, w=w)
    text = to_text(derivation)
    assert "Row 7: loss" in text
    assert "shape (6, 5), norm" in text
    assert "Largest relative difference from central differences" in to_markdown(derivation)
    full = json.loads(json.dumps(derivation.plain()))["numbers"]
    assert np.shape(full["gradients"]["dW^[1]"]) == (6, 5)
    assert full["values"]["X"] == [X[7].tolist()]
    page = derivation._repr_html_()
    assert page.startswith("<iframe")
    assert "∂J/∂W^[1]" in page
    assert derivation._repr_markdown_() == to_markdown(derivation)
    assert to_markdown(derivation).isascii() is False


@pytest.mark.parametrize("row", [10, -11])
def test_a_row_that_is_not_there_is_refused(row):
    X, Y, _, w = rows_for("mlp")
    with pytest.raises(InvalidValueError, match=r"row must be a whole number from 0 to 9"):
        explain(*NETWORKS["mlp"], X=X, Y=Y, row=row, w=w)
    with pytest.raises(InvalidValueError, match="X and Y must be given"):
        explain(*NETWORKS["mlp"], row=row)


def test_a_layer_of_ones_own_has_a_general_line():
    class Doubled(Activation):
        """A layer without equations."""

    ends = check_chain(explain(Net(3, [Dense(2), Doubled("relu"), Dense(1)]), MeanSquaredError()))
    assert "dX" in ends
