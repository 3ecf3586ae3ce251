"""Why: a network is the fold of its layers, and all its numbers lie where the layout says. In: small nets. Out: layouts,
groups, tapes, stacks and messages.
"""

from dataclasses import replace

import numpy as np
import pytest

from chainrule import Activation, BatchNorm, Dense, Dropout, LayerNorm, Net, mlp
from chainrule.errors import InvalidValueError
from chainrule.nn.layers import Context
from chainrule.nn.optimizers import EMA_WEIGHTS
from chainrule.nn.step import State
from chainrule.random import Stream

NET = Net(2, [Dense(3), BatchNorm(), Activation("tanh"), Dropout(0.5), Dense(1, bias=False)])


def test_names_widths_and_sizes():
    assert NET.parameters.names == ("0.W", "0.b", "1.gamma", "1.beta", "4.W")
    assert NET.buffers.names == ("1.mean", "1.variance")
    assert NET.widths == (2, 3, 3, 3, 3, 1)
    assert (NET.inputs, NET.outputs, NET.size) == (2, 1, 6 + 3 + 3 + 3 + 3)
    np.testing.assert_array_equal(NET.decay, [1] * 6 + [0] * 9 + [1] * 3)


def test_forward_is_the_fold_by_hand():
    net = Net(2, [Dense(2), Activation("relu"), Dense(1)])
    W1, b1, W2, b2 = [[1, -1], [2, 0]], [0, 1], [[2], [3]], [-4]
    w = np.concatenate([np.ravel(v) for v in (W1, b1, W2, b2)]).astype(float)
    # (1, 1): z = (3, 0), a = (3, 0), 6 - 4 = 2;  (-1, 0): z = (-1, 2), a = (0, 2), 6 - 4 = 2; (0, 0): (0, 1), 3 - 4
    np.testing.assert_array_equal(
        net(w, np.zeros(0), np.array([[1.0, 1.0], [-1.0, 0.0], [0.0, 0.0]])), [[2], [2], [-1]]
    )


def test_init_follows_the_seed_and_gives_each_layer_its_own_draw():
    net = Net(3, [Dense(3, initializer="normal"), Dense(3, initializer="normal")])
    w, buffers = net.init(5)
    assert w.dtype == np.float64
    assert buffers.shape == (0,)
    np.testing.assert_array_equal(w, net.init(5)[0])
    assert (w != net.init(6)[0])[net.decay == 1].all()
    views = net.parameters.views(w)
    assert (views["0.W"] != views["1.W"]).all()


def test_running_statistics_start_at_0_and_1():
    np.testing.assert_array_equal(NET.init(0)[1], [0, 0, 0, 1, 1, 1])


def test_call_is_the_forward_pass_in_inference(rng):
    w, buffers = NET.init(0)
    X = rng.normal(size=(4, 2))
    np.testing.assert_array_equal(NET(w, buffers, X), NET.forward(w, buffers, X, Context(np))[0])
    training = Context(np, True, Stream.from_seed(0))
    np.testing.assert_array_equal(NET(w, buffers, X, training), NET.forward(w, buffers, X, training)[0])


def test_a_net_without_parameters(rng):
    net = Net(2, [Activation("tanh")])
    w, buffers = net.init(0)
    X = rng.normal(size=(3, 2))
    tape = net.forward(w, buffers, X, Context(np))[1]
    dX, g = net.backward(w, tape, np.ones((3, 2)), Context(np))
    assert g.shape == net.decay.shape == net.multipliers({}).shape == (0,)
    np.testing.assert_allclose(dX, 1 - np.tanh(X) ** 2, rtol=1e-14)


def test_each_layer_gets_its_own_dropout_mask():
    net = Net(64, [Dropout(0.5), Dropout(0.5)])
    ctx = Context(np, True, Stream.from_seed(0))
    first, second = net.forward(np.zeros(0), np.zeros(0), np.ones((4, 64)), ctx)[1].layers
    assert (first["M"] != second["M"]).any()


def test_tape_shows_what_each_layer_kept_and_counts_shared_arrays_once(rng):
    net, X = Net(4, [Dense(4, bias=False), Activation("tanh"), Dense(4, bias=False)]), rng.normal(size=(8, 4))
    w, buffers = net.init(0)
    tape = net.forward(w, buffers, X, Context(np))[1]
    assert [set(saved) for saved in tape.layers] == [{"A"}, {"A"}, {"A"}]
    np.testing.assert_allclose(tape.layers[1]["A"], np.tanh(X @ net.parameters.views(w)["0.W"]), rtol=1e-14)
    # tanh's output is the second dense layer's input: two arrays of 8 x 4 doubles, not three
    assert tape.nbytes == 2 * 8 * 4 * 8


def test_multipliers_take_the_last_matching_pattern():
    m = NET.parameters.views(NET.multipliers({"*": 0.5, "0.*": 2.0, "*.b": 0.0}))
    assert {key: set(np.ravel(value)) for key, value in m.items()} == {
        "0.W": {2.0},
        "0.b": {0.0},
        "1.gamma": {0.5},
        "1.beta": {0.5},
        "4.W": {0.5},
    }
    np.testing.assert_array_equal(NET.multipliers({}), np.ones(NET.size))


def test_multipliers_name_every_fault():
    with pytest.raises(InvalidValueError) as caught:
        NET.multipliers({"0.V": 1.0, "*.W": -1.0, "*.b": float("nan")})
    first, second, third = str(caught.value).splitlines()
    assert first == "Net: learning_rate_multipliers must be patterns of parameter names, got '0.V'. Did you mean '0.W'?"
    assert second == "Net: learning_rate_multipliers['*.W'] must be a number >= 0, got -1.0. 0 freezes."
    assert third.startswith("Net: learning_rate_multipliers['*.b'] must be a number >= 0, got nan.")


@pytest.mark.parametrize(
    ("inputs", "layers", "message"),
    [
        (0, [Dense(1)], r"^Net: inputs must be a whole number in \[1, inf\), got 0\.$"),
        (True, [Dense(1)], r"^Net: inputs must be a whole number"),
        (2, [], r"^Net: layers must be at least one layer, got \[\]\.$"),
        (2, ["dense"], r"layers\[0\] must be a layer, got 'dense'\. Layers are Dense, Activation, BatchNorm"),
        (2, [Dense(1), Dense], r"layers\[1\] must be a layer, got .*\. Write Dense\(\), with parentheses\."),
        (0, [3, 4], r"(?s)inputs must.*layers\[0\] must.*layers\[1\] must"),
    ],
)
def test_wrong_nets(inputs, layers, message):
    with pytest.raises(InvalidValueError, match=message):
        Net(inputs, layers)


def test_nets_are_values():
    assert Net(2, [Dense(3)]) == Net(2, (Dense(3),))
    assert hash(Net(2, [Dense(3)])) == hash(Net(2, (Dense(3),)))
    assert Net(2, [Dense(3)]) != Net(2, [Dense(4)])


@pytest.mark.parametrize(
    ("settings", "kinds"),
    [
        ({}, [Dense, Activation, Dense, Activation, Dense]),
        ({"dropout": 0.2}, [Dense, Activation, Dropout, Dense, Activation, Dropout, Dense]),
        ({"norm": "batch"}, [Dense, BatchNorm, Activation, Dense, BatchNorm, Activation, Dense]),
        (
            {"norm": "layer", "dropout": 0.1},
            [Dense, LayerNorm, Activation, Dropout, Dense, LayerNorm, Activation, Dropout, Dense],
        ),
    ],
)
def test_stack(settings, kinds):
    net = mlp(4, [8, 6], 3, **settings)
    assert [type(layer) for layer in net.layers] == kinds
    assert (net.inputs, net.outputs) == (4, 3)
    dense = [layer for layer in net.layers if isinstance(layer, Dense)]
    assert [layer.units for layer in dense] == [8, 6, 3]
    assert [layer.bias for layer in dense] == [settings.get("norm") != "batch"] * 2 + [True]
    assert [layer.initializer for layer in dense] == ["he", "he", "xavier"]


def test_stack_passes_its_settings_on():
    net = mlp(4, [8], 3, activation="selu", initializer="orthogonal", dropout=0.25)
    assert net.layers[1:3] == (Activation("selu"), Dropout(0.25))
    assert [net.layers[i].initializer for i in (0, 3)] == ["orthogonal", "orthogonal"]
    assert mlp(4, [], 3).layers == Net(4, [Dense(3)]).layers


def test_stack_takes_one_activation_and_one_rate_for_each_layer():
    net = mlp(4, [8, 6], 3, activation=["relu", "tanh"], dropout=(0.0, 0.2))
    assert net == Net(
        4, [Dense(8), Activation("relu"), Dense(6), Activation("tanh"), Dropout(0.2), Dense(3, initializer="xavier")]
    )
    assert mlp(4, [], 3, activation=[], dropout=()) == mlp(4, [], 3)
    assert mlp(4, [2, 2], 1, activation="tanh", dropout=0.5) == mlp(
        4, [2, 2], 1, activation=["tanh"] * 2, dropout=[0.5] * 2
    )


@pytest.mark.parametrize(
    ("argument", "given"), [("activation", ["relu"]), ("dropout", (0.1, 0.2, 0.3)), ("activation", [])]
)
def test_stack_wants_as_many_as_there_are_hidden_layers(argument, given):
    message = rf"mlp: {argument} must be one for all or one for each, got .*\. There are 2 hidden layers\."
    with pytest.raises(InvalidValueError, match=message):
        mlp(4, [8, 6], 3, **{argument: given})


def test_a_new_head_keeps_the_body():
    net = Net(3, [Dense(4), BatchNorm(), Dense(2, bias=False), Activation("tanh")])
    changed = net.replace_head(7)
    assert changed == Net(3, [Dense(4), BatchNorm(), Dense(7, bias=False), Activation("tanh")])
    assert (net.head, changed.outputs) == (2, 7)


def test_inherit_takes_the_body_and_draws_the_head():
    source = Net(3, [Dense(4), BatchNorm(), Activation("tanh"), Dropout(0.5), Dense(2)])
    net = Net(3, [Dense(4), BatchNorm(), Activation("tanh"), Dropout(0.1), Dense(5)])
    theirs, running = source.init(1)
    w, buffers = net.inherit(2, source, theirs + 1.0, running + 2.0)
    found, fresh, old = (n.parameters.views(v) for n, v in ((net, w), (net, net.init(2)[0]), (source, theirs + 1.0)))
    for letter in ("0.W", "0.b", "1.gamma", "1.beta"):
        np.testing.assert_array_equal(found[letter], old[letter])
    for letter in ("4.W", "4.b"):
        np.testing.assert_array_equal(found[letter], fresh[letter])
    np.testing.assert_array_equal(buffers, running + 2.0)
    np.testing.assert_array_equal(net.inherit(2, net, *net.init(3))[0][:12], net.init(3)[0][:12])


@pytest.mark.parametrize(
    ("layers", "inputs", "place", "got"),
    [
        ([Dense(5), Activation("tanh"), Dense(1)], 3, 0, "Dense(units=5, .*on 3 columns"),
        ([Dense(4), Activation("tanh"), Dense(1)], 2, 0, "Dense(units=4, .*on 2 columns"),
        ([Dense(4), Activation("relu"), Dense(1)], 3, 1, "Activation(function='relu'"),
        ([Dense(4), BatchNorm(), Dense(1)], 3, 1, "BatchNorm"),
        ([Dense(4), Activation("tanh"), Dropout(0.1), Dense(1)], 3, 2, "Dropout"),
        ([Dense(4), Dense(1)], 3, 1, "the head"),
    ],
)
def test_inherit_names_the_first_layer_that_differs(layers, inputs, place, got):
    net, source = Net(3, [Dense(4), Activation("tanh"), Dense(2)]), Net(inputs, layers)
    message = (
        rf"Net: source\.layers\[{place}\] must be .*, got .{got.replace('(', '[(]')}.*\. Body layers must be alike"
    )
    with pytest.raises(InvalidValueError, match=message):
        net.inherit(0, source, *source.init(0))


def test_a_net_without_dense_has_no_head():
    with pytest.raises(InvalidValueError, match=r"Net: layers must be with at least one Dense layer, got"):
        Net(3, [Activation("tanh")]).replace_head(2)


def test_a_state_predicts_with_its_weights():
    w, buffers = NET.init(0)
    X = np.ones((3, NET.inputs))
    state = State(w, buffers, {EMA_WEIGHTS: 2.0 * w}, 0)
    np.testing.assert_array_equal(NET(state, X), NET(w, buffers, X))
    np.testing.assert_array_equal(NET(replace(state, step=1), X), NET(2.0 * w, buffers, X))
    np.testing.assert_array_equal(NET(replace(state, optimizer_state={}, step=1), X), NET(w, buffers, X))


def test_a_call_without_a_state_says_how_to_call():
    w = NET.init(0)[0]
    with pytest.raises(InvalidValueError, match=r"^Net: state must be a training state, got 'ndarray'\. Call net"):
        NET(w, np.ones((3, NET.inputs)))


def test_a_trace_shows_what_the_passes_compute(rng):
    w, buffers = NET.init(0)
    X, ctx = rng.normal(size=(6, NET.inputs)), Context(np, training=True, stream=Stream.from_seed(1))
    Z, tape, _ = NET.forward(w, buffers, X, ctx)
    _, g = NET.backward(w, tape, 2.0 * Z, ctx)
    layers = NET.trace(w, buffers, X, lambda Z: 2.0 * Z, ctx)
    np.testing.assert_array_equal(layers[-1].output, Z)
    np.testing.assert_array_equal(layers[-1].gradient, 2.0 * Z)
    assert [layer.output.shape[1] for layer in layers] == list(NET.widths[1:])
    named = {f"{i}.{letter}": dp for i, layer in enumerate(layers) for letter, dp in layer.parameters.items()}
    np.testing.assert_array_equal(NET.parameters.pack(np, named, w), g)
