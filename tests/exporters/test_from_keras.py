"""Tests of networks that come from Keras itself: a model here predicts what the network predicts there.

Keras is no dependency, so most tests read stand-ins that have what is read of a layer: its class, options and weights.
"""

import os

import numpy as np
import pytest

from chainrule.data import Standardizer
from chainrule.errors import InvalidValueError
from chainrule.exporters import from_keras, from_torch
from chainrule.io import load_model, save_model
from chainrule.nn.losses import BinaryCrossEntropy, SoftmaxCrossEntropy

NORM = {"axis": -1, "momentum": 0.99, "epsilon": 1e-3, "center": True, "scale": True}

real = pytest.mark.filterwarnings("ignore:__array__ implementation")
"""For tests with Keras, which asks NumPy for arrays in a way that NumPy warns of."""


@pytest.fixture
def keras():
    """Keras, where it is installed."""
    os.environ.setdefault("KERAS_BACKEND", "jax")
    return pytest.importorskip("keras", reason="Keras is not installed")


def randomized(network, seed=0):
    """A network of Keras with random weights, running statistics above 0."""
    rng = np.random.default_rng(seed)
    network.set_weights(
        [
            rng.uniform(0.5, 2.0, v.shape) if "variance" in v.path else 0.7 * rng.normal(size=v.shape)
            for v in network.weights
        ]
    )
    return network


def small(keras):
    layers = keras.layers
    inner = keras.Sequential([layers.Dense(4, "relu"), layers.BatchNormalization()])
    return {
        "dense": [layers.Dense(6, activation="relu"), layers.Dense(2)],
        "no bias": [layers.Dense(6, activation="tanh", use_bias=False), layers.Dense(2)],
        "norm behind": [layers.Dense(6), layers.BatchNormalization(), layers.Activation("tanh"), layers.Dense(2)],
        "norm after the function": [layers.Dense(6, activation="relu"), layers.BatchNormalization(), layers.Dense(2)],
        "norm first": [layers.BatchNormalization(epsilon=0.1), layers.Dense(5, "selu"), layers.Dense(2)],
        "norm last": [layers.Dense(2), layers.BatchNormalization()],
        "norm without scale": [layers.Dense(6), layers.BatchNormalization(scale=False), layers.Dense(2)],
        "norm without center": [layers.Dense(6), layers.BatchNormalization(center=False), layers.Dense(2)],
        "norm without both": [layers.Dense(6), layers.BatchNormalization(scale=False, center=False), layers.Dense(2)],
        "layer norm": [layers.Dense(6), layers.LayerNormalization(), layers.ReLU(), layers.Dense(2)],
        "dropout": [layers.Dropout(0.2), layers.Dense(6, "elu"), layers.Dropout(0.5), layers.Dense(2)],
        "slopes": [layers.Dense(6), layers.LeakyReLU(0.3), layers.Dense(5), layers.PReLU(), layers.Dense(2)],
        "functions as layers": [layers.Dense(6), layers.ELU(0.5), layers.Dense(4), layers.ReLU(None, 0.1)],
        "a layer as activation": [layers.Dense(6, activation=layers.LeakyReLU(0.1)), layers.Dense(2)],
        "flat": [layers.Flatten(), layers.Dense(3, "swish"), layers.Identity(), layers.Dense(2)],
        "nested": [layers.Dense(3, "mish"), inner, layers.Dense(2)],
        **{
            name: [layers.Dense(8, activation=name), layers.Dense(8, activation=name), layers.Dense(2)]
            for name in ("relu", "tanh", "sigmoid", "elu", "selu", "silu", "mish", "softplus", "leaky_relu")
        },
        "exponential": [layers.Dense(3), layers.Dense(2, activation="exponential")],
    }


@real
def test_what_real_networks_predict(keras):
    X = np.random.default_rng(1).normal(size=(50, 4)).astype(np.float32)
    for name, layers in small(keras).items():
        network = randomized(keras.Sequential([keras.layers.Input((4,)), *layers]))
        model = from_keras(network)
        expected = np.asarray(network(X, training=False))
        far = np.abs(model.predict(X) - expected).max() / max(1.0, np.abs(expected).max())
        assert far < 2e-6, (name, far)
        assert model.w.dtype == np.float32


@real
@pytest.mark.parametrize("end", ["softmax", "Softmax", "sigmoid", "labels", "logits"])
def test_what_real_classifiers_predict(keras, end):
    layers = keras.layers
    last = {
        "softmax": [layers.Dense(3, activation="softmax")],
        "Softmax": [layers.Dense(3), layers.Softmax()],
        "sigmoid": [layers.Dense(1, activation="sigmoid")],
        "labels": [layers.Dense(3), layers.Activation("sigmoid")],
        "logits": [layers.Dense(3)],
    }[end]
    classes = {"sigmoid": ["no", "yes"], "labels": np.arange(3)}.get(end, ["a", "b", "c"])
    network = randomized(keras.Sequential([layers.Input((4,)), layers.Dense(7, "relu"), *last]))
    model = from_keras(network, classes=classes)
    X = np.random.default_rng(1).normal(size=(50, 4)).astype(np.float32)
    expected = np.asarray(keras.ops.softmax(network(X)) if end == "logits" else network(X))
    found = model.probabilities(X)
    assert np.abs((found[:, 1:] if end == "sigmoid" else found) - expected).max() < 1e-6


@real
def test_a_functional_network_and_its_scaling(keras):
    layers = keras.layers
    scaling = layers.Normalization()
    rng = np.random.default_rng(1)
    X = (rng.normal(size=(200, 4)) * [1, 10, 0.1, 5] + 3).astype(np.float32)
    scaling.adapt(X)
    start = keras.Input((4,))
    Z = layers.Dense(6, activation="tanh")(scaling(start))
    network = keras.Model(start, layers.Dense(2)(layers.Dropout(0.1)(Z)))
    model = from_keras(network, feature_names=tuple("abcd"))
    assert np.abs(model.predict(X) - np.asarray(network(X))).max() < 2e-6
    branch = keras.Model(start, layers.Dense(2)(layers.Concatenate()([Z, start])))
    with pytest.raises(InvalidValueError, match="layers in a row, got 'a network with branches'"):
        from_keras(branch)
    within = keras.Model(start, [Z, layers.Dense(2)(Z)])
    with pytest.raises(InvalidValueError, match="a network with branches"):
        from_keras(within)


@real
def test_the_weights_of_a_real_network_come_in_the_order_that_is_read(keras):
    layers = keras.layers
    blocks = [layers.Dense(6), layers.BatchNormalization(), layers.ReLU(), layers.Dropout(0.1)]
    network = randomized(keras.Sequential([layers.Input((4,)), *blocks, layers.Dense(5, "relu"), layers.Dense(2)]))
    X = np.random.default_rng(1).normal(size=(50, 4)).astype(np.float32)
    assert np.abs(from_keras(network.get_weights()).predict(X) - np.asarray(network(X))).max() < 2e-6


@real
@pytest.mark.parametrize("what", ["Conv1D", "relu6", "gelu", "max_value", "GaussianNoise", "unbuilt", "Multiply"])
def test_what_real_networks_have_without_a_counterpart_is_named(keras, what):
    layers = keras.layers
    first = {
        "Conv1D": [layers.Reshape((4, 1)), layers.Conv1D(2, 2)],
        "relu6": [layers.Dense(3, activation="relu6")],
        "gelu": [layers.Dense(3, activation="gelu")],
        "max_value": [layers.Dense(3), layers.ReLU(max_value=6)],
        "GaussianNoise": [layers.GaussianNoise(0.1)],
        "unbuilt": [],
        "Multiply": [layers.Rescaling(2.0)],
    }[what]
    start = [] if what == "unbuilt" else [layers.Input((4,))]
    with pytest.raises(InvalidValueError, match=r"from_keras: \w+ must be"):
        from_keras(keras.Sequential([*start, *first, layers.Dense(2)]))


def layer(kind, weights=(), **options):
    """A stand-in for a layer of Keras."""
    methods = {"get_config": lambda self: options, "get_weights": lambda self: list(weights)}
    return type(kind, (), methods)()


def sequential(*layers):
    """A stand-in for a Sequential of Keras."""
    return type("Sequential", (), {"layers": list(layers)})()


def dense(rng, d, k, activation="linear", bias=True):
    weights = [rng.normal(size=(d, k)), *([rng.normal(size=k)] if bias else [])]
    return layer("Dense", weights, activation=activation)


def test_layers_are_read_in_their_order(rng):
    first, last = dense(rng, 4, 6, "tanh"), dense(rng, 6, 3, bias=False)
    gamma, beta, mean, variance = rng.normal(size=6), rng.normal(size=6), rng.normal(size=6), rng.lognormal(size=6)
    norm = layer("BatchNormalization", [gamma, beta, mean, variance], **NORM)
    network = sequential(layer("InputLayer"), first, norm, layer("Dropout", rate=0.4), last)
    model = from_keras(network)
    X = rng.normal(size=(20, 4))
    A = np.tanh(X @ first.get_weights()[0] + first.get_weights()[1])
    Z = ((A - mean) / np.sqrt(variance + 1e-3) * gamma + beta) @ last.get_weights()[0]
    assert np.allclose(model.predict(X), Z, rtol=1e-12)
    names = [type(each).__name__ for each in model.net.layers]
    assert names == ["Dense", "Activation", "BatchNorm", "Dropout", "Dense"]


@pytest.mark.parametrize(("scale", "center"), [(True, True), (True, False), (False, True), (False, False)])
def test_a_batch_norm_may_lack_scale_or_center(rng, scale, center):
    gamma, beta, mean, variance = rng.normal(size=3), rng.normal(size=3), rng.normal(size=3), rng.lognormal(size=3)
    weights = [*([gamma] if scale else []), *([beta] if center else []), mean, variance]
    norm = layer("BatchNormalization", weights, **(NORM | {"scale": scale, "center": center}))
    X = rng.normal(size=(20, 3))
    expected = (X - mean) / np.sqrt(variance + 1e-3) * (gamma if scale else 1.0) + (beta if center else 0.0)
    identity = layer("Dense", [np.eye(3)], activation="linear")
    assert np.allclose(from_keras(sequential(norm, identity)).predict(X), expected, rtol=1e-12)


def test_a_normalization_at_the_start_becomes_the_scaling(rng):
    mean, variance = rng.normal(size=(1, 4)), np.array([[4.0, 9.0, 0.0, 1.0]])
    last = dense(rng, 4, 2)
    network = sequential(layer("Normalization", [mean, variance, np.array(7)], axis=(-1,), invert=False), last)
    model = from_keras(network)
    assert model.inputs.scale.tolist() == [2.0, 3.0, 1e-7, 1.0]
    assert model.inputs.mean.tolist() == mean.ravel().tolist()
    with pytest.raises(InvalidValueError, match="inputs must be None"):
        from_keras(network, inputs=Standardizer.identity(4))


def test_a_network_that_was_read_is_saved(rng, tmp_path):
    model = from_keras(sequential(dense(rng, 4, 6, "silu"), dense(rng, 6, 3, "softmax")), classes=["a", "b", "c"])
    save_model(model, tmp_path / "m.safetensors")
    X = rng.normal(size=(5, 4))
    assert np.array_equal(load_model(tmp_path / "m.safetensors").predict_proba(X), model.predict_proba(X))


ENDS = {
    "softmax": (3, "softmax", ["a", "b", "c"], None, "softmax"),
    "sigmoid of one": (1, "sigmoid", ["no", "yes"], None, "sigmoid"),
    "sigmoid of each": (3, "sigmoid", [0, 1, 2], None, "sigmoid"),
    "logits": (3, "linear", ["a", "b", "c"], None, "softmax"),
    "given": (3, "sigmoid", [0, 1, 2], BinaryCrossEntropy(), "sigmoid"),
}


@pytest.mark.parametrize("case", ENDS)
def test_the_end_of_a_network_decides_the_loss(rng, case):
    k, activation, classes, loss, link = ENDS[case]
    network = sequential(dense(rng, 4, k, activation))
    model = from_keras(network, classes=classes, loss=loss)
    assert model.loss.link == link
    X = rng.normal(size=(9, 4))
    Z = X @ network.layers[0].get_weights()[0] + network.layers[0].get_weights()[1]
    P = 1.0 / (1.0 + np.exp(-Z)) if link == "sigmoid" else np.exp(Z) / np.exp(Z).sum(axis=1, keepdims=True)
    found = model.probabilities(X)
    assert np.allclose(found[:, 1:] if k == 1 else found, P)


@pytest.mark.parametrize(
    ("activation", "loss"), [("softmax", BinaryCrossEntropy()), ("sigmoid", SoftmaxCrossEntropy())]
)
def test_a_loss_that_does_not_fit_the_end_is_refused(rng, activation, loss):
    with pytest.raises(InvalidValueError, match=f"from_keras: loss must be one with the link '{activation}'"):
        from_keras(sequential(dense(rng, 4, 3, activation)), classes=[0, 1, 2], loss=loss)


class Sigmoid:
    """A stand-in for the module of PyTorch."""


def test_labels_of_pytorch_are_labels(rng):
    linear = type("Linear", (), {"weight": rng.normal(size=(3, 4)), "bias": np.zeros(3)})()
    network = type("Sequential", (list,), {})([linear, Sigmoid()])
    assert from_torch(network, classes=[0, 1, 2]).loss == BinaryCrossEntropy()
    with pytest.raises(InvalidValueError, match="from_torch: loss must be one with the link 'sigmoid'"):
        from_torch(network, classes=[0, 1, 2], loss=SoftmaxCrossEntropy())


WRONG = {
    "convolution": (layer("Conv2D"), "layers must be among .*, got 'Conv2D'"),
    "softmax without classes": (layer("Activation", activation="softmax"), "give classes"),
    "exact gelu": (layer("Activation", activation="gelu"), "differ by up to 5e-4"),
    "a function of one's own": (layer("Activation", activation="my>f"), "got 'my>f'"),
    "a lambda": (layer("Activation", activation={"class_name": "__lambda__", "config": {}}), "got '__lambda__'"),
    "no weights": (layer("Dense", activation="relu"), "Dense must be a layer with weights"),
    "norm of rows": (layer("BatchNormalization", [np.ones(3)] * 4, **(NORM | {"axis": 0})), "over the columns"),
    "rms": (layer("LayerNormalization", [np.ones(3)], **NORM, rms_scaling=True), "without rms_scaling"),
    "limited": (layer("ReLU", max_value=6.0, negative_slope=0.0, threshold=0.0), "without max_value"),
    "shared slopes": (layer("Activation", activation={"class_name": "PReLU", "config": {}}), "a layer of its own"),
    "second scaling": (layer("Normalization", [np.zeros(3), np.ones(3)], axis=-1), "got 'Normalization'"),
    "other width": (layer("Dense", [np.zeros((5, 2))], activation="linear"), "a layer of 3 inputs"),
}


@pytest.mark.parametrize("case", WRONG)
def test_what_has_no_counterpart_is_named(rng, case):
    wrong, sentence = WRONG[case]
    with pytest.raises(InvalidValueError, match=f"from_keras: .*{sentence}"):
        from_keras(sequential(dense(rng, 4, 3), wrong))


@pytest.mark.parametrize("network", [sequential(), type("Tower", (), {"layers": []})(), sequential(layer("Flatten"))])
def test_a_network_without_layers_or_with_code_of_its_own_is_refused(network):
    with pytest.raises(InvalidValueError, match="from_keras: network must be"):
        from_keras(network)
