"""Tests of networks that come from PyTorch and Keras as arrays, without either being installed."""

import numpy as np
import pytest

from chainrule.errors import InvalidValueError
from chainrule.exporters import from_keras, from_torch
from chainrule.io import load_model, save_model


def state(rng, norm=True):
    """The state dict of Linear(4, 6), BatchNorm1d(6), an activation and Linear(6, 3), and what it computes."""
    W1, b1, W2, b2 = rng.normal(size=(6, 4)), rng.normal(size=6), rng.normal(size=(3, 6)), rng.normal(size=3)
    found = {"0.weight": W1, "0.bias": b1}
    if norm:
        found |= {
            "1.weight": rng.normal(size=6),
            "1.bias": rng.normal(size=6),
            "1.running_mean": rng.normal(size=6),
            "1.running_var": rng.lognormal(size=6),
            "1.num_batches_tracked": np.array(7),
        }
    return found | {"3.weight": W2, "3.bias": b2}


def computed(s, X, epsilon=1e-5):
    """The logits of such a state with tanh."""
    Z = X @ s["0.weight"].T + s["0.bias"]
    if "1.weight" in s:
        Z = (Z - s["1.running_mean"]) / np.sqrt(s["1.running_var"] + epsilon) * s["1.weight"] + s["1.bias"]
    return np.tanh(Z) @ s["3.weight"].T + s["3.bias"]


@pytest.mark.parametrize("norm", [True, False])
def test_a_state_dict_becomes_a_model(rng, norm):
    s = state(rng, norm)
    model = from_torch(s, activation="tanh", classes=[10, 20, 30], target_name="size")
    X = rng.normal(size=(20, 4))
    assert np.allclose(model.logits(X), computed(s, X), rtol=1e-13)
    assert set(model.predict(X)) <= {10, 20, 30}


def test_float32_stays_float32(rng):
    s = {name: np.asarray(values, np.float32) for name, values in state(rng).items()}
    assert from_torch(s, activation="tanh").w.dtype == np.float32


def test_weights_of_keras_become_a_model(rng):
    s = state(rng)
    kernel = [s["0.weight"].T, s["0.bias"], s["1.weight"], s["1.bias"], s["1.running_mean"], s["1.running_var"]]
    model = from_keras([*kernel, s["3.weight"].T, s["3.bias"]], activation="tanh")
    X = rng.normal(size=(20, 4))
    assert np.allclose(model.predict(X), computed(s, X, 1e-3), rtol=1e-13)


def test_a_model_from_elsewhere_is_saved_and_read_again(rng, tmp_path):
    model = from_torch(state(rng), activation="tanh", feature_names=tuple("abcd"))
    save_model(model, tmp_path / "m.safetensors")
    X = rng.normal(size=(5, 4))
    assert np.array_equal(load_model(tmp_path / "m.safetensors").predict(X), model.predict(X))


def test_one_output_with_classes_is_binary(rng):
    s = {"weight": rng.normal(size=(1, 4)), "bias": np.zeros(1)}
    model = from_torch(s, classes=["no", "yes"])
    assert model.predict_proba(rng.normal(size=(3, 4))).shape == (3, 2)


WRONG = {
    "convolution": ({"0.weight": np.zeros((3, 2, 2)), "0.bias": np.zeros(3)}, "state '0'"),
    "recurrent": ({"rnn.weight_ih_l0": np.zeros((3, 2))}, "state 'rnn'"),
    "widths": ({"0.weight": np.zeros((3, 2)), "1.weight": np.zeros((3, 2))}, "a layer of 3 inputs"),
    "statistics alone": ({"0.running_mean": np.zeros(3)}, "state '0'"),
    "outputs": ({"0.weight": np.zeros((3, 2)), "0.bias": np.zeros(2)}, "must be"),
}


@pytest.mark.parametrize("case", WRONG)
def test_states_of_other_networks_are_refused(case):
    given, sentence = WRONG[case]
    with pytest.raises(InvalidValueError, match=sentence):
        from_torch(given)


@pytest.mark.parametrize(
    "weights",
    [
        [],
        [np.zeros(3)],
        [np.zeros((3, 2)), np.zeros(3)],
        [np.zeros((3, 2)), np.zeros(2), np.zeros(2)],
        [np.zeros((3, 3, 2, 2)), np.zeros(2)],
        [np.zeros((3, 2)), np.zeros(2), np.zeros((3, 1))],
    ],
)
def test_weights_that_are_no_dense_network_are_refused(weights):
    with pytest.raises(InvalidValueError, match=r"from_\w+: "):
        from_keras(weights)
