"""Keys of equal settings are equal, and only theirs."""

from itertools import combinations

import numpy as np
import pytest

from chainrule import NetRegressor
from chainrule.constraints import Same, Unkeyed, plain_key
from chainrule.errors import InvalidValueError
from chainrule.nn.step import Recipe
from chainrule.pipeline import Settings

VALUES = [0, 0.0, 0.5, 1, 1.0, True, False, None, "1", (), (1,), (1.0,), (True,), (1, 1), ("1",)]


def test_values_of_another_type_have_another_key():
    keys = [plain_key({"value": value}) for value in VALUES]
    assert None not in keys
    assert all(a != b for a, b in combinations(keys, 2))


@pytest.mark.parametrize(
    "value",
    [[1], {"a": 1}, np.float64(1), np.int64(1), ([1],), object(), np.zeros(2)],
    ids=lambda value: type(value).__name__,
)
def test_what_may_change_has_no_key(value):
    assert plain_key({"plain": 1, "value": value}) is None


def test_only_the_very_same_object_has_the_same_key():
    one, other = [1], [1]
    assert Same(one) == Same(one)
    assert hash(Same(one)) == hash(Same(one))
    assert Same(one) != Same(other)
    assert Unkeyed(one) == Unkeyed(other)
    assert Unkeyed(one) != Same(one)


def test_equal_settings_share_their_network_and_others_do_not():
    first = Settings(hidden_layer_sizes=(5,))
    assert first.network(3, 1) is Settings(hidden_layer_sizes=(5,), seed=4).network(3, 1)
    for other in ({"hidden_layer_sizes": (6,)}, {"activation": "tanh"}, {"batch_norm": True}, {"dropout": 0.5}):
        changed = Settings(**{"hidden_layer_sizes": (5,), **other})
        assert changed.network(3, 1) != first.network(3, 1)
        assert changed.network(3, 1) == changed.settled(hidden_layer_sizes=list(changed.hidden_layer_sizes)).network(
            3, 1
        )


@pytest.mark.parametrize(
    "changed",
    [
        {"alpha": 0.1},
        {"dtype": "float64"},
        {"ema_decay": 0.9},
        {"optimizer": "sgd"},
        {"max_grad_norm": 1.0},
        {"seed": 3},
    ],
    ids=repr,
)
def test_a_recipe_that_is_found_again_is_the_one_that_would_be_made(changed):
    settings, net = Settings(hidden_layer_sizes=(5,)), Settings(hidden_layer_sizes=(5,)).network(3, 1)
    loss = settings.regression_loss()
    usual = settings.recipe(net, loss, 50)
    other = settings.settled(**changed)
    assert usual == settings._recipe(net, loss, 32)
    assert other.recipe(net, loss, 50) == other._recipe(net, loss, 32) != usual
    assert isinstance(usual, Recipe)


@pytest.mark.parametrize(
    "wrong",
    [{"alpha": -1.0}, {"random_state": -1}, {"hidden_layer_sizes": (0,)}, {"scoring": "nothing"}, {"n_networks": 0}],
    ids=repr,
)
def test_wrong_arguments_are_named_each_time_with_all_others(wrong):
    X = np.arange(20.0)[:, None]
    for _ in range(3):
        with pytest.raises(InvalidValueError, match=next(iter(wrong))) as raised:
            NetRegressor(**{"tol": -1.0, **wrong}).fit(X, X[:, 0])
        assert "tol" in str(raised.value)
        NetRegressor(max_iter=1).fit(X, X[:, 0])


def test_arguments_that_change_between_fits_are_read_anew():
    X = np.random.default_rng(0).normal(size=(40, 2))
    network = NetRegressor((4,), max_iter=2, random_state=0)
    sizes = [
        network.set_params(hidden_layer_sizes=(width,)).fit(X, X[:, 0]).model_.net.widths[1] for width in (4, 6, 4)
    ]
    assert sizes == [4, 6, 4]
    first = network.fit(X, X[:, 0]).model_.w
    assert network.set_params(alpha=1).fit(X, X[:, 0]).model_.w.tobytes() != first.tobytes()
    assert network.set_params(alpha=0.0).fit(X, X[:, 0]).model_.w.tobytes() == first.tobytes()
