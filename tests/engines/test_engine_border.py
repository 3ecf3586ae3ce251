"""Why: numbers of another network once went into an engine unseen: garbage, NaN, or a crash.

In: rows, states, batches and weights that do not fit, on every engine and every path from Python. Out: our own error that
names the argument, or the right result.
"""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
from bad_arrays import OTHER_TYPES, every_wrong, refusal, wrong_layouts

from chainrule import fit
from chainrule.engines import ENGINES, predictor, why_unavailable
from chainrule.engines.base import Rows
from chainrule.errors import InvalidValueError
from chainrule.nn.layers import Activation, BatchNorm, Context, Dense
from chainrule.nn.losses import MeanSquaredError, SoftmaxCrossEntropy
from chainrule.nn.multilayer import mlp
from chainrule.nn.net import Net
from chainrule.nn.optimizers import SGD, Adam, Nesterov, RMSProp
from chainrule.nn.step import Recipe, State

NAMES = [name for name in ENGINES if not why_unavailable(name)]
every_engine = pytest.mark.parametrize("name", NAMES)
every_fast_engine = pytest.mark.parametrize("name", [name for name in NAMES if name != "jax"])
"""JAX compiles each session anew, which takes seconds; its rows and states pass through the same checks."""

NET = Net(4, [Dense(6), BatchNorm(), Activation("relu"), Dense(3)])
N = 10


def recipe_of(loss=None, **settings):
    return Recipe(NET, SoftmaxCrossEntropy() if loss is None else loss, batch_size=4, dtype="float64", **settings)


def rows_of(recipe):
    draw = np.random.default_rng(0)
    exclusive = isinstance(recipe.loss, SoftmaxCrossEntropy)
    return Rows.of(recipe, draw.normal(size=(N, 4)), draw.integers(0, 3, N) if exclusive else draw.normal(size=(N, 3)))


def session_of(name, recipe):
    return ENGINES[name]().compile(recipe, rows_of(recipe))


OTHERS = {
    "wider": mlp(4, [4096], 3, norm="batch"),
    "narrower": mlp(4, [2], 3, norm="batch"),
    "deeper": mlp(4, [6, 2048], 3, norm="batch"),
    "another input": mlp(7, [6], 3, norm="batch"),
    "another output": mlp(4, [6], 4, norm="batch"),
    "no batch norm": mlp(4, [6], 3),
    "linear": mlp(4, [], 3),
}


@every_engine
@pytest.mark.parametrize("other", list(OTHERS))
def test_a_state_of_another_network_is_refused(name, other):
    recipe = recipe_of()
    state = Recipe(OTHERS[other], SoftmaxCrossEntropy(), dtype="float64").start()
    session = session_of(name, recipe)
    before = session.state
    with pytest.raises(InvalidValueError, match=r"Session: state\.(w|buffers) must be of shape .* another network"):
        session.load(state)
    np.testing.assert_array_equal(session.state.w, before.w)
    rows = rows_of(recipe)
    with pytest.raises(InvalidValueError, match=r"fit: start\.(w|buffers) must be of shape"):
        next(fit(NET, rows.X, rows.Y, loss=recipe.loss, dtype="float64", engine=name, start=state))


@every_fast_engine
@pytest.mark.parametrize("optimizer", [SGD(), Nesterov(), RMSProp()], ids=str)
def test_a_state_of_another_optimizer_is_refused_until_it_is_adopted(name, optimizer):
    recipe = recipe_of(optimizer=Adam())
    state = recipe_of(optimizer=optimizer).start()
    session = session_of(name, recipe)
    with pytest.raises(InvalidValueError, match=r"state\.optimizer_state must be of the vectors \['m', 'v'\].*adopt"):
        session.load(state)
    session.load(recipe.adopt(state))
    assert session.run(0, 0, np.full(3, 1e-3)).steps == 3


@every_engine
def test_vectors_that_the_optimizer_has_no_use_for_are_left_out(name):
    session = session_of(name, recipe_of(optimizer=SGD()))
    state = recipe_of(optimizer=Adam(), ema_decay=0.9).start()
    session.load(state)
    assert dict(session.state.optimizer_state) == {}


def _vectors(state):
    yield "w", lambda x: replace(state, w=x), state.w
    yield "buffers", lambda x: replace(state, buffers=x), state.buffers
    for key in state.optimizer_state:
        yield key, lambda x, k=key: replace(state, optimizer_state={**state.optimizer_state, k: x}), state.w


@every_engine
def test_every_vector_of_a_state_is_checked(name):
    session = session_of(name, recipe_of())
    state = session.state
    tried = 0
    for vector, changed, right in _vectors(state):
        for kind, wrong in every_wrong(right):
            tried += 1
            same = {"every second number", "negative strides", "not aligned", "dtype f4", "dtype >f4", "dtype >f8"}
            told = refusal(lambda c=changed, x=wrong: session.load(c(x)))
            assert (told == "") == (kind in same), (vector, kind, told)
            assert not told or " must be " in told
    assert tried > 100


@every_engine
@pytest.mark.parametrize("step", [-1, 2**63, 1.5, "3", None, [1, 2], math.nan], ids=str)
def test_the_number_of_steps_is_a_number(name, step):
    session = session_of(name, recipe_of())
    with pytest.raises(InvalidValueError, match=r"state\.step must be a whole number"):
        session.load(replace(session.state, step=step))


@every_engine
@pytest.mark.parametrize("state", [None, "state", 1, {}, (1, 2, 3), np.zeros(57)], ids=str)
def test_a_state_is_a_state(name, state):
    with pytest.raises(InvalidValueError, match="Session: state must be a State"):
        session_of(name, recipe_of()).load(state)


@every_engine
def test_layouts_of_a_state_are_converted_bit_for_bit(name):
    session = session_of(name, recipe_of())
    state = session.state
    for kind, same in wrong_layouts(state.w):
        session.load(replace(state, w=same))
        np.testing.assert_array_equal(session.state.w, state.w, err_msg=kind)


@every_fast_engine
@pytest.mark.parametrize("loss", [SoftmaxCrossEntropy(), MeanSquaredError()], ids=["classes", "values"])
def test_rows_that_skip_the_check_are_checked_again(name, loss):
    recipe = recipe_of(loss)
    rows = rows_of(recipe)
    expected = ENGINES[name]().compile(recipe, rows).run(0, 0, np.full(3, 1e-3)).loss
    tried = right = 0
    for part in ("X", "Y", "c"):
        for kind, wrong in every_wrong(getattr(rows, part)):
            tried += 1
            changed = replace(rows, **{part: wrong})
            told = refusal(lambda c=changed: ENGINES[name]().compile(recipe, c))
            if told:
                assert told.startswith("Rows: "), (part, kind)
                continue
            right += 1
            if not kind.startswith("dtype"):
                found = ENGINES[name]().compile(recipe, changed).run(0, 0, np.full(3, 1e-3)).loss
                assert found == expected, (part, kind)
    assert tried >= 80
    assert right >= 5


@every_engine
@pytest.mark.parametrize("label", [-1, 3, 10**6, -(2**63), 2**63 - 1])
def test_labels_out_of_range_are_refused(name, label):
    recipe = recipe_of()
    rows = rows_of(recipe)
    Y = rows.Y.copy()
    Y[4] = label
    with pytest.raises(InvalidValueError, match=r"Rows: Y must be whole-number classes in 0\.\.2"):
        ENGINES[name]().compile(recipe, replace(rows, Y=Y))


@every_engine
@pytest.mark.parametrize("weight", [-1.0, math.nan, math.inf, -math.inf, -1e-300])
def test_sample_weights_out_of_range_are_refused(name, weight):
    recipe = recipe_of()
    rows = rows_of(recipe)
    c = rows.c.copy()
    c[4] = weight
    with pytest.raises(InvalidValueError, match=r"Rows: c must be finite numbers >= 0, got .* in row 4"):
        ENGINES[name]().compile(recipe, replace(rows, c=c))


@every_fast_engine
@pytest.mark.parametrize("dtype", ["i1", "i2", "i4", "u1", "u2", "u4", "u8"])
def test_classes_of_any_whole_type_are_the_same_classes(name, dtype):
    """int32 classes were once read as int64 ones: every second class, and memory behind the array."""
    recipe = recipe_of()
    rows = rows_of(recipe)
    sums = [
        ENGINES[name]().compile(recipe, r).run(0, 0, np.full(3, 0.1))
        for r in (rows, replace(rows, Y=rows.Y.astype(dtype)))
    ]
    assert sums[0] == sums[1]


@every_engine
@pytest.mark.parametrize(("first", "count"), [(-1, 1), (3, 1), (0, 4), (2, 2), (10**9, 1)])
def test_batches_that_an_epoch_has_not_are_refused(name, first, count):
    with pytest.raises(InvalidValueError, match="Session: first must be in 0"):
        session_of(name, recipe_of()).run(0, first, np.full(count, 1e-3))


@every_engine
@pytest.mark.parametrize("rates", [[math.nan], [-1.0], [math.inf], [[0.1]], ["x"], [None], 0.1, [1j]], ids=str)
def test_rates_are_numbers_not_below_zero(name, rates):
    with pytest.raises(InvalidValueError, match="Session: rates must be finite numbers >= 0"):
        session_of(name, recipe_of()).run(0, 0, rates)


@every_engine
@pytest.mark.parametrize("epoch", [-1, 2**32, 2**40])
def test_the_number_of_an_epoch_is_in_range(name, epoch):
    with pytest.raises(InvalidValueError, match="Session: epoch must be in 0"):
        session_of(name, recipe_of()).run(epoch, 0, np.zeros(1))


@every_engine
def test_rows_to_predict_are_checked_or_converted(name):
    session = session_of(name, recipe_of())
    X = np.random.default_rng(1).normal(size=(7, 4))
    expected = session.logits(X)
    tried = 0
    for kind, wrong in every_wrong(X):
        tried += 1
        same = kind in {"list", "every second number", "negative strides", "not aligned", "Fortran order"}
        if same or kind == "columns of a wider one":
            np.testing.assert_array_equal(session.logits(wrong), expected, err_msg=kind)
        elif kind.startswith("one row") or kind in {"ten times the rows", *(f"dtype {d}" for d in OTHER_TYPES)}:
            told = refusal(lambda x=wrong: session.logits(x))
            assert told.startswith("Session: X must be") if told else len(session.logits(wrong)) == len(wrong)
        else:
            with pytest.raises(InvalidValueError, match="Session: X must be"):
                session.logits(wrong)
    assert tried >= 30
    assert session.logits(np.zeros((0, 4))).shape == (0, 3)


@every_engine
def test_a_batch_larger_than_all_rows_is_one_batch(name):
    recipe = replace(recipe_of(), batch_size=10**6)
    session = session_of(name, recipe)
    assert session.run(0, 0, np.full(1, 1e-3)).steps == 1
    with pytest.raises(InvalidValueError, match="first"):
        session.run(0, 1, np.full(1, 1e-3))


@every_engine
def test_batch_norm_refuses_a_single_row(name):
    recipe = recipe_of()
    rows = rows_of(recipe)
    with pytest.raises(InvalidValueError, match="at least two rows with batch norm"):
        ENGINES[name]().compile(recipe, rows[:1])
    plain = Recipe(mlp(4, [3], 3), SoftmaxCrossEntropy(), batch_size=1, dtype="float64")
    assert ENGINES[name]().compile(plain, rows[:1]).run(0, 0, np.full(1, 0.1)).steps == 1


@pytest.mark.parametrize("net", [NET, mlp(4, [3], 3, norm="batch"), mlp(4, [3, 3], 1, norm="batch")], ids=str)
def test_batch_norm_refuses_batches_of_one_row(net):
    with pytest.raises(InvalidValueError, match="Recipe: batch_size must be at least 2 with batch norm, got 1"):
        Recipe(net, MeanSquaredError(), batch_size=1)
    Recipe(net, MeanSquaredError(), batch_size=2)


@pytest.mark.parametrize("size", [1, 2, 3])
@pytest.mark.parametrize("n", [5, 7, 9, 13])
def test_a_last_row_alone_is_skipped_with_batch_norm_and_kept_without(n, size):
    with_norm = Recipe(NET, SoftmaxCrossEntropy(), batch_size=size + 1)
    without = Recipe(mlp(4, [3], 3), SoftmaxCrossEntropy(), batch_size=size + 1)
    assert all(end - start > 1 for start, end in with_norm.batches(n))
    assert sum(end - start for start, end in without.batches(n)) == n
    assert n - sum(end - start for start, end in with_norm.batches(n)) == int(n % (size + 1) == 1)


@every_engine
def test_a_last_row_alone_trains_as_if_it_were_not_there(name):
    recipe = Recipe(NET, SoftmaxCrossEntropy(), batch_size=4, dtype="float64")
    rows = rows_of(recipe)
    session = ENGINES[name]().compile(recipe, rows[:9])
    sums = session.run(0, 0, np.full(2, 0.01))
    assert (sums.steps, sums.weight) == (2, 8)
    assert np.isfinite(session.state.w).all()


# ---- paths without a session


@pytest.mark.parametrize("other", list(OTHERS))
def test_weights_of_another_network_are_refused_by_every_function_that_takes_them(other):
    w, buffers = OTHERS[other].init(0)
    X = np.zeros((2, 4))
    state = State(w, buffers, {}, 0)
    for call in (
        lambda: predictor(NET, w, buffers),
        lambda: NET(w, buffers, X),
        lambda: NET(state, X),
        lambda: NET.forward(w, buffers, X, Context(np, training=True)),
    ):
        with pytest.raises(InvalidValueError, match=r"(w|buffers) must be of shape \(\d+,\), got .* another network"):
            call()


@pytest.mark.parametrize("shape", [(2, 3), (2, 5), (4,), (2, 4, 1), ()], ids=str)
def test_a_network_takes_rows_of_its_own_width(shape):
    w, buffers = NET.init(0)
    with pytest.raises(InvalidValueError, match=r"Net: X must be of shape \(n, 4\)"):
        NET(w, buffers, np.zeros(shape))
    with pytest.raises(InvalidValueError, match="X must be"):
        predictor(NET, w, buffers)(np.zeros(shape))
