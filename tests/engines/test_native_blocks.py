"""The extension refuses blocks whose arrays or plans do not fit, before it reads or writes a number."""

import numpy as np
import pytest

from chainrule import mlp
from chainrule.engines import Rows
from chainrule.engines.native import NativeSession, extension
from chainrule.errors import InvalidValueError
from chainrule.nn.losses import MeanSquaredError
from chainrule.nn.step import Recipe

pytestmark = pytest.mark.skipif(extension() is None, reason="the extension is not built")

EPOCHS, ROWS = 4, 5


def session():
    recipe = Recipe(mlp(2, [3], 1), MeanSquaredError(), batch_size=4, dtype="float64")
    X = np.arange(20.0).reshape(10, 2) / 10
    return NativeSession(recipe, Rows.of(recipe, X, X.sum(axis=1)))


def arrays(P=13):
    return {
        "figures": np.zeros((EPOCHS, 6)),
        "w": np.zeros((EPOCHS, P)),
        "statistics": np.zeros((EPOCHS, 0)),
        "vectors": {name: np.zeros((EPOCHS, P)) for name in ("m", "v")},
        "X": np.zeros((ROWS, 2)),
        "Z": np.zeros((EPOCHS, ROWS, 1)),
    }


def names():
    return session().recipe.state_names


def block(**changed):
    given = arrays()
    given["vectors"] = {name: np.zeros((EPOCHS, 13)) for name in names()}
    return extension().Block(session=session().native, **{**given, **changed})


def plan(each, **changed):
    each.plan(**{"epoch": 0, "count": 2, "rates": np.full(6, 0.1), "seconds": 1.0, **changed})
    return each


@pytest.mark.parametrize(
    ("name", "wrong"),
    [
        ("figures", np.zeros((EPOCHS, 5))),
        ("figures", np.zeros((EPOCHS, 6), np.float32)),
        ("w", np.zeros((EPOCHS, 12))),
        ("w", np.zeros((EPOCHS - 1, 13))),
        ("w", np.zeros((13, EPOCHS)).T),
        ("statistics", np.zeros((EPOCHS, 1))),
        ("vectors", {}),
        ("vectors", []),
        ("X", np.zeros((ROWS, 3))),
        ("Z", np.zeros((EPOCHS, ROWS - 1, 1))),
        ("Z", None),
    ],
)
def test_arrays_of_another_shape_or_kind_are_refused(name, wrong):
    with pytest.raises(InvalidValueError, match=name):
        block(**{name: wrong})


def test_arrays_that_share_memory_are_refused():
    shared = np.zeros((EPOCHS, 13))
    with pytest.raises(InvalidValueError, match="memory"):
        block(w=shared, vectors=dict.fromkeys(names(), shared))


def test_a_block_of_something_else_than_a_session_is_refused():
    for wrong in (None, 1, "session", object(), session()):
        with pytest.raises(InvalidValueError, match="session"):
            extension().Block(session=wrong, **arrays())


@pytest.mark.parametrize(
    ("name", "wrong"),
    [
        ("epoch", -1),
        ("epoch", 2**32 - 2),
        ("epoch", 0.5),
        ("count", 0),
        ("count", EPOCHS + 1),
        ("rates", np.full(5, 0.1)),
        ("rates", np.full(8, 0.1)),
        ("rates", np.zeros(0)),
        ("rates", np.full(6, np.nan)),
        ("rates", np.full(6, -1.0)),
        ("rates", [0.1] * 6),
        ("seconds", "soon"),
    ],
)
def test_a_plan_that_the_session_cannot_run_is_refused(name, wrong):
    with pytest.raises(InvalidValueError, match=name):
        plan(block(), **{name: wrong})


@pytest.mark.parametrize(
    ("name", "wrong"), [("blocks", 3), ("blocks", [None]), ("threads", 0), ("threads", 5000), ("stop", None)]
)
def test_a_call_of_something_else_is_refused(name, wrong):
    call = {"blocks": [plan(block())], "threads": 1, "stop": lambda: False, name: wrong}
    with pytest.raises(InvalidValueError, match=name):
        extension().run_blocks(**call)


def test_a_block_given_twice_is_refused_and_can_be_used_again():
    each = plan(block())
    with pytest.raises(InvalidValueError, match="once"):
        extension().run_blocks(blocks=[each, each], threads=2, stop=lambda: False)
    assert extension().run_blocks(blocks=[plan(each)], threads=2, stop=lambda: False) == [2]


def test_a_block_without_a_plan_runs_no_epoch():
    each = plan(block())
    assert extension().run_blocks(blocks=[each], threads=1, stop=lambda: False) == [2]
    assert extension().run_blocks(blocks=[each], threads=1, stop=lambda: False) == [0]


def test_classes_that_changed_to_something_else_are_refused_before_a_run():
    from chainrule.nn.losses import SoftmaxCrossEntropy

    recipe = Recipe(mlp(2, [3], 2), SoftmaxCrossEntropy(), batch_size=4, dtype="float64")
    rows = Rows.of(recipe, np.zeros((4, 2)), [0, 1, 0, 1])
    own = NativeSession(recipe, rows)
    P = recipe.net.size
    given = {
        **arrays(P),
        "vectors": {n: np.zeros((EPOCHS, P)) for n in recipe.state_names},
        "Z": np.zeros((EPOCHS, ROWS, 2)),
    }
    each = extension().Block(session=own.native, **given)
    each.plan(epoch=0, count=1, rates=np.full(1, 0.1), seconds=1.0)
    rows.Y[0] = 7
    with pytest.raises(InvalidValueError, match="classes"):
        extension().run_blocks(blocks=[each], threads=1, stop=lambda: False)
