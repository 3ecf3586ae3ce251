"""Why: the extension scales and checks rows on their way in, and must give the bits of NumPy's arithmetic for any rows.

In: rows of every type, order in memory and size; numbers out of range at every place; classes that are nearly equal. Out:
the bits of scaling and predicting one after the other, the same messages, the same classes.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from threadpoolctl import threadpool_limits

from chainrule import NetClassifier, NetRegressor
from chainrule.data import Standardizer
from chainrule.engines import native
from chainrule.errors import InvalidValueError
from chainrule.model import Model
from chainrule.nn.layers import Activation, BatchNorm, Dense, LayerNorm
from chainrule.nn.losses import BinaryCrossEntropy, MeanSquaredError, SoftmaxCrossEntropy
from chainrule.nn.net import Net

built = native.extension()
pytestmark = pytest.mark.skipif(built is None, reason="the compiled extension is not built")
ISAS = built.isas() if built else []
DTYPES = ("float32", "float64")
SIZES = (0, 1, 4, 5, 7, 8, 9, 191, 192, 193, 500)


def rows(n=500, d=37, dtype="float64"):
    return (np.random.default_rng(0).normal(size=(n, d)) * 3.7 + 11).astype(dtype)


def unaligned(X):
    raw = np.zeros(X.nbytes + 1, np.uint8)
    shifted = raw[1:].view(X.dtype).reshape(X.shape)
    shifted[...] = X
    return shifted


LAYOUTS = {
    "C order": np.ascontiguousarray,
    "Fortran order": np.asfortranarray,
    "every second column": lambda X: np.repeat(X, 2, axis=1)[:, ::2],
    "every third row": lambda X: np.repeat(X, 3, axis=0)[::3],
    "rows backwards": lambda X: np.ascontiguousarray(X[::-1])[::-1],
    "columns backwards": lambda X: np.ascontiguousarray(X[:, ::-1])[:, ::-1],
    "columns of a wider matrix": lambda X: np.hstack([X, X])[:, : X.shape[1]],
    "columns of a wider one in Fortran order": lambda X: np.asfortranarray(np.hstack([X, X]))[:, : X.shape[1]],
    "one row repeated": lambda X: np.broadcast_to(X[:1], X.shape),
    "not aligned": unaligned,
    "read only": lambda X: np.frombuffer(X.tobytes(), X.dtype).reshape(X.shape),
}
TYPES = ("float32", "float64", "float16", "int8", "uint8", "int32", "int64", "uint64", "bool", ">f4", ">f8")


def scaling(X):
    return X.mean(axis=0, dtype=np.float64), X.std(axis=0, dtype=np.float64) + 0.1


def by_numpy(X, mean, scale, dtype):
    """The scaled rows as the equation has them."""
    return ((X - mean) / scale).astype(dtype)


def network(d, k=3, dtype="float32"):
    layers = [
        Dense(20, bias=False),
        BatchNorm(),
        Activation("relu"),
        Dense(9),
        LayerNorm(),
        Activation("tanh"),
        Dense(k),
    ]
    net = Net(d, layers)
    w, buffers = net.init(3)
    return net, w.astype(dtype), buffers.astype(dtype)


def same(X, dtype, d=37):
    net, w, buffers = network(d, dtype=dtype)
    mean, scale = scaling(rows(d=d))
    expected = by_numpy(X, mean, scale, dtype)
    np.testing.assert_array_equal(native.standardized(X, mean, scale, dtype), expected)
    found = native.raw_predictor(net, w, buffers, mean, scale).logits(X)
    np.testing.assert_array_equal(found, native.predictor(net, w, buffers)(expected))


@pytest.mark.parametrize("isa", ISAS)
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("layout", LAYOUTS)
def test_rows_in_any_order_in_memory_give_the_same_bits(isa, dtype, layout, monkeypatch):
    monkeypatch.setenv("CHAINRULE_ISA", isa)
    for given in DTYPES:
        same(LAYOUTS[layout](rows(dtype=given)), dtype)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("given", TYPES)
def test_rows_of_any_type_give_the_same_bits(dtype, given):
    same(rows().astype(given), dtype)


@pytest.mark.parametrize("isa", ISAS)
@pytest.mark.parametrize("n", SIZES)
@pytest.mark.parametrize("d", [1, 2, 7, 8, 15, 16, 17, 33])
def test_any_number_of_rows_and_columns_gives_the_same_bits(isa, n, d, monkeypatch):
    monkeypatch.setenv("CHAINRULE_ISA", isa)
    for dtype in DTYPES:
        same(rows(n, d), dtype, d)


@pytest.mark.parametrize("dtype", DTYPES)
def test_threads_do_not_change_a_bit(dtype):
    X = rows(6000, 150)
    net, w, buffers = network(150, dtype=dtype)
    mean, scale = scaling(X)
    found = set()
    for threads in (1, 2, 3):
        with threadpool_limits(threads):
            Z = native.raw_predictor(net, w, buffers, mean, scale).logits(X)
            found.add(Z.tobytes() + native.standardized(X, mean, scale, dtype).tobytes())
    assert len(found) == 1


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("dtype", DTYPES)
def test_some_rows_are_scaled_where_they_lie(layout, dtype):
    X = LAYOUTS[layout](rows())
    mean, scale = scaling(rows())
    take = np.random.default_rng(1).permutation(len(X))[:321]
    found = native.standardized(X, mean, scale, dtype, take)
    np.testing.assert_array_equal(found, by_numpy(X[take], mean, scale, dtype))


FAULTS = (np.nan, np.inf, -np.inf, 1.1e150, -1e300)
PLACES = ((0, 0), (3, 36), (499, 0), (499, 36), (191, 31), (192, 32), (250, 8))


@pytest.mark.parametrize("isa", ISAS)
@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("fault", FAULTS)
def test_a_number_out_of_range_is_found_wherever_it_is(isa, place, fault, monkeypatch):
    monkeypatch.setenv("CHAINRULE_ISA", isa)
    mean, scale = scaling(rows())
    scale[place[1]] = 1e300  # scaled it would be near 0
    for dtype in DTYPES:
        net, w, buffers = network(37, dtype=dtype)
        raw = native.raw_predictor(net, w, buffers, mean, scale)
        for layout in (np.ascontiguousarray, np.asfortranarray):
            X = layout(rows())
            assert raw.logits(X) is not None
            X[place] = fault
            assert raw.logits(X) is None
            assert raw.logits(X[place[0] : place[0] + 1]) is None
            assert raw.classes(X, 1.0) is None
            assert native.standardized(X, mean, scale, dtype) is None


@pytest.mark.parametrize("place", PLACES)
def test_a_number_that_leaves_the_range_of_the_type_when_scaled_is_found(place):
    mean, scale = scaling(rows())
    X = rows()
    X[place] = 1e41
    assert native.standardized(X, mean, scale, "float64") is not None
    assert native.standardized(X, mean, scale, "float32") is None
    scale[:] = 1e-200
    X[place] = 1e149
    assert native.standardized(X, mean, scale, "float64") is None


@pytest.fixture(scope="module")
def fitted():
    X = rows(dtype="float64")
    y = (X[:, 0] > 11).astype(int) + (X[:, 1] > 11)
    return {
        "classifier": NetClassifier((8,), max_iter=2, dtype="float32", random_state=0).fit(X, y),
        "binary": NetClassifier((8,), max_iter=2, dtype="float32", random_state=0).fit(X, y > 0),
        "labels": NetClassifier((8,), max_iter=2, random_state=0).fit(X, np.column_stack([y > 0, y > 1]).astype(int)),
        "regressor": NetRegressor((8,), max_iter=2, dtype="float32", random_state=0).fit(X, X[:, 0]),
        "several": NetClassifier((8,), max_iter=2, n_networks=2, random_state=0).fit(X, y),
    }


MESSAGES = {
    np.nan: r"X must be finite, got nan at row 3, column 36 \(counted from 0\) and at 1 more\.",
    -np.inf: r"X must be finite, got -inf at row 3, column 36 \(counted from 0\) and at 1 more\.",
    1e151: r"X must be at most 1e\+150 in size, got 1e\+151 at row 3, column 36 \(counted from 0\) and at 1 more\.",
}


@pytest.mark.parametrize("kind", ["classifier", "binary", "labels", "regressor", "several"])
@pytest.mark.parametrize("fault", MESSAGES)
def test_models_name_the_first_number_out_of_range(fitted, kind, fault):
    X = rows()
    X[3, 36] = X[499, 0] = fault
    for layout in LAYOUTS.values() if kind == "classifier" else (np.ascontiguousarray,):
        for answer in ("predict", "logits"):
            if layout is not LAYOUTS["one row repeated"]:
                with pytest.raises(InvalidValueError, match=MESSAGES[fault]):
                    getattr(fitted[kind].model_, answer)(layout(X))


@pytest.mark.parametrize("kind", ["classifier", "regressor", "several"])
def test_models_name_the_number_that_float32_cannot_hold(fitted, kind):
    if kind == "several":
        pytest.skip("it is a network of float64")
    X = rows()
    X[7, 5] = 1e60
    with pytest.raises(
        InvalidValueError, match=r"standard deviations of the training rows, got 1e\+60 at row 7, column 5"
    ):
        fitted[kind].model_.predict(X)


@pytest.mark.parametrize("kind", ["classifier", "binary", "labels", "regressor", "several"])
@pytest.mark.parametrize(("fault", "words"), [(np.nan, "Input X contains NaN"), (np.inf, "contains infinity")])
def test_estimators_refuse_what_is_not_finite_in_scikit_learn_s_words(fitted, kind, fault, words):
    X = rows()
    X[3, 36] = fault
    for answer in ("predict", "transform", "input_gradients"):
        if answer == "input_gradients" and kind == "labels":
            continue
        with pytest.raises(ValueError, match=words):
            getattr(fitted[kind], answer)(X)


@pytest.mark.parametrize("n", SIZES[1:])
@pytest.mark.parametrize("kind", ["classifier", "binary", "several"])
def test_classes_are_those_of_the_largest_probability(fitted, kind, n):
    model = fitted[kind].model_
    X = rows()[:n]
    for temperature in (1.0, 0.3, 7.7):
        calibrated = replace(model, temperature=temperature)
        expected = model.classes[calibrated.probabilities(X).argmax(axis=1)]
        np.testing.assert_array_equal(calibrated.predict(X), expected)


def linear(k, loss, classes, dtype, W):
    """A model whose logits are columns of X times W."""
    d = len(W)
    w = np.concatenate([np.asarray(W, dtype).ravel(), np.zeros(k, dtype)])
    one = Standardizer.identity(d)
    names = tuple(f"x{i}" for i in range(d))
    return Model(Net(d, [Dense(k)]), loss, w, np.zeros(0, dtype), one, None, classes, names, "y")


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("gap", [0.0, 1e-30, 1e-17, 1e-16, 1e-13, 1e-9, 1e-8, 6e-8, 1e-7, 1e-6, 1e-5, 1e-3])
def test_classes_that_are_nearly_equal_are_chosen_as_their_probabilities_are(dtype, gap):
    several = linear(3, SoftmaxCrossEntropy(), np.array(["a", "b", "c"]), dtype, np.eye(3))
    base = np.random.default_rng(0).normal(size=(400, 1)) * np.array([0, 1, 100, 1e4])[np.arange(400) % 4, None]
    X = np.repeat(base, 3, axis=1)
    X[np.arange(400), np.arange(400) % 3] += gap
    two = linear(1, BinaryCrossEntropy(), np.array(["no", "yes"]), dtype, [[1.0]])
    x = np.array([[gap], [-gap], [0.0], [-0.0], [5.0]])
    for model, values in ((several, X), (two, x)):
        expected = model.classes[model.probabilities(values).argmax(axis=1)]
        np.testing.assert_array_equal(model.predict(values), expected)


@pytest.mark.parametrize("dtype", DTYPES)
def test_infinite_logits_are_left_to_their_probabilities(dtype):
    model = linear(2, SoftmaxCrossEntropy(), np.array([0, 1]), dtype, np.eye(2) * float(np.finfo(dtype).max))
    X = np.array([[2.0, 1.0], [3.0, 3.0], [1.0, 2.0]])
    with np.errstate(all="ignore"):
        expected = model.probabilities(X).argmax(axis=1)
        np.testing.assert_array_equal(model.predict(X), expected)


def test_a_predictor_holds_the_network_once():
    net, w, buffers = Net(784, [Dense(256), Activation("relu"), Dense(128), Activation("relu"), Dense(10)]), None, None
    w, buffers = net.init(0)
    held = native._network(net, w.astype(np.float32), buffers).nbytes
    assert held < 1.05 * 4 * net.size


def test_values_are_those_of_a_network_without_the_extension(fitted, monkeypatch):
    for kind in ("classifier", "binary", "regressor", "several"):
        model = fitted[kind].model_
        Z = model.logits(rows())
        again = replace(model)
        with monkeypatch.context() as patch:
            patch.setattr("chainrule.engines.why_unavailable", lambda name: "not built")
            np.testing.assert_allclose(again.logits(rows()), Z, rtol=2e-5, atol=2e-6)
            assert again._raw is None
            assert (again.predict(rows()) == model.predict(rows())).mean() > 0.99 or kind == "regressor"


@pytest.mark.parametrize("loss", [MeanSquaredError()])
def test_type_longdouble_is_scaled_by_numpy(loss):
    model = linear(2, loss, None, "float64", np.eye(2))
    X = rows(d=2).astype(np.longdouble)
    if X.dtype.itemsize == 8:
        pytest.skip("no wider type here")
    np.testing.assert_array_equal(model.logits(X), X.astype(np.float64))
