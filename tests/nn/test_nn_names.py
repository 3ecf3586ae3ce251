"""Why: a wrong argument is answered at once, in one line that says what to write. In: wrong calls. Out: the line."""

import numpy as np
import pytest

from chainrule import Activation, Dense, Dropout, Net, fit
from chainrule.errors import InvalidValueError
from chainrule.nn import losses, optimizers, schedules
from chainrule.nn.activations import ReLU, activation
from chainrule.nn.initializers import He, initializer
from chainrule.nn.losses import MeanSquaredError, SoftmaxCrossEntropy
from chainrule.nn.optimizers import SGD, Adam
from chainrule.nn.schedules import Cosine, WarmUp

X, Y = np.linspace(-1.0, 1.0, 8)[:, None], np.linspace(-3.0, 3.0, 8)[:, None]


def trained(**options):
    options = {"loss": "squared_error", "epochs": 2, "seed": 3, **options}
    return [epoch.train_loss for epoch in fit(Net(1, [Dense(1)]), X, Y, **options)]


@pytest.mark.parametrize("module", [losses, optimizers, schedules])
def test_every_name_gives_an_object_of_that_kind(module):
    for key, piece in module.BY_NAME.items():
        assert module.get(key) is piece
        assert module.get(piece) is piece


def test_names_train_like_the_objects():
    by_object = trained(loss=MeanSquaredError(), optimizer=SGD(), schedule=Cosine())
    assert trained(loss="squared_error", optimizer="sgd", schedule="cosine") == by_object


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"loss": "squared_eror"}, r"fit: loss must be the name of a loss, got 'squared_eror'\. Did you mean"),
        ({"loss": "SoftmaxCrossEntropy"}, r"Did you mean 'softmax_cross_entropy'\?"),
        ({"loss": MeanSquaredError}, r"fit: loss must be a loss or .* Write MeanSquaredError\(\), with parentheses\."),
        ({"loss": 3}, r"fit: loss must be a loss or the name of one, got 3\. Names: binary_cross_entropy, "),
        ({"optimizer": "adm"}, r"fit: optimizer must be the name of an optimizer, got 'adm'\. Did you mean 'adam'\?"),
        ({"optimizer": Adam}, r"fit: optimizer must be an optimizer or .* Write Adam\(\), with parentheses\."),
        ({"optimizer": Cosine()}, r"fit: optimizer must be an optimizer or the name of one, got Cosine\(end=0\.0\)\."),
        ({"schedule": "cosin"}, r"fit: schedule must be the name of a schedule, got 'cosin'\. Did you mean 'cosine'\?"),
        ({"schedule": Cosine}, r"Write Cosine\(\), with parentheses\."),
    ],
)  # fmt: skip
def test_a_wrong_name_or_a_class_is_answered_in_one_line(options, message):
    with pytest.raises(InvalidValueError, match=message) as error:
        trained(**options)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: Adam(0.01), r"^Adam: options must be given by name \(beta1, beta2, epsilon\), got 0\.01\. The learning"),
        (lambda: Adam(lr=0.01), r"^Adam: options must be known by name, got 'lr'\. Known: beta1, beta2, epsilon\."),
        (lambda: SGD(lr=0.1), r"^SGD: options must be known by name, got 'lr'\. SGD has no options\."),
        (lambda: Dense(64, 32), r"^Dense: options .* \(bias, initializer, bias_initializer\), got 32\. Dense takes"),
        (lambda: Dense(3, "relu"), r"^Dense: options must be given by name .*, got 'relu'\. .* activations are layers\."),
        (lambda: Dense(3, bias="no"), r"^Dense: bias must be one of True, False, got 'no'\.$"),
        (lambda: Dropout(0.1, 0.2), r"takes from 1 to 2 positional arguments"),
        (lambda: Net(64, Dense(3)), r"^Net: layers must be a list of layers, got Dense\(.*\)\. Write \[Dense\(.*\)\]\.$"),
        (lambda: Net(2, [Dense(1), "relu"]), r"^Net: layers\[1\] must be a layer, got 'relu'\. Write Activation\('relu'\)"),
        (lambda: Net(2, 5), r"^Net: layers must be a list of layers, got 5\.$"),
        (lambda: Activation(ReLU), r"Write ReLU\(\), with parentheses\."),
        (lambda: activation("Relu6"), r"^Activation: function must be the name of an activation, got 'Relu6'\. Did"),
        (lambda: initializer(He), r"^Dense: initializer must be .* Write He\(\), with parentheses\."),
        (lambda: WarmUp(after="cosin"), r"^WarmUp: after must be the name of a schedule, got 'cosin'\. Did you mean"),
    ],
)  # fmt: skip
def test_a_wrong_call_is_answered_in_one_line(build, message):
    with pytest.raises((InvalidValueError, TypeError), match=message):
        build()


def test_a_loss_of_ones_own_must_say_what_it_is():
    class Half:
        rows = gradient = predict = score = SoftmaxCrossEntropy.rows

    with pytest.raises(InvalidValueError, match=r"It lacks inverse, lowest, targets, link, metric, output_faults\."):
        losses.get(Half())
