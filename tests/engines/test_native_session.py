"""Why: what the compiled engine promises beyond right numbers: the same bits for any number of threads, no memory taken
in a step, an answer to whoever wants to stop.

In: sessions of the native engine. Out: bits, counts of allocations, interruptions, limits.
"""

from __future__ import annotations

import multiprocessing
import threading
import time

import numpy as np
import pytest
from threadpoolctl import threadpool_limits

from chainrule.engines.base import Rows
from chainrule.engines.native import NativeEngine, _network, extension
from chainrule.engines.plan import memory
from chainrule.engines.reference import ReferenceEngine
from chainrule.errors import InvalidValueError
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
from chainrule.nn.losses import MeanSquaredError, SoftmaxCrossEntropy
from chainrule.nn.multilayer import mlp
from chainrule.nn.net import Net
from chainrule.nn.optimizers import Adam, GradientAccumulation
from chainrule.nn.penalties import ClipNorm, Penalty
from chainrule.nn.step import Recipe

built = extension()
pytestmark = pytest.mark.skipif(built is None, reason="the compiled extension is not built")
ISAS = built.isas() if built else []

DEEP = Net(
    37,
    [
        *(Dense(150, bias=False), BatchNorm(), Activation("relu"), Dropout(0.2)),
        *(Dense(70), LayerNorm(), Activation("gelu"), Dropout(0.1)),
        *(Dense(40), Activation("tanh"), Dense(45)),
    ],
)


EXTRAS = {"optimizer": GradientAccumulation(Adam(), 2), "max_weight_norm": 0.8, "ema_decay": 0.9}


def training(net: Net = DEEP, n: int = 331, threads: int = 0, **settings):
    """A session, and one rate for each batch of an epoch."""
    recipe = Recipe(net, SoftmaxCrossEntropy(), **{"batch_size": 130, "seed": 2, **settings})
    random = np.random.default_rng(0)
    rows = Rows.of(recipe, random.normal(size=(n, net.inputs)), random.integers(0, net.outputs, n), random.random(n))
    return NativeEngine(threads).compile(recipe, rows), np.full(len(recipe.batches(n)), 1e-3)


def bits(session, rates, epochs: int = 3) -> bytes:
    sums = [session.run(epoch, 0, rates) for epoch in range(epochs)]
    state, X = session.state, np.random.default_rng(1).normal(size=(700, 37))
    arrays = [state.w, state.buffers, *state.optimizer_state.values(), session.logits(X)]
    return b"".join(array.tobytes() for array in arrays) + repr(sums).encode()


@pytest.mark.parametrize("isa", ISAS)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("extras", [{}, {"clip": ClipNorm(0.3)}, EXTRAS])
def test_bits_do_not_depend_on_the_number_of_threads(isa, dtype, extras, monkeypatch):
    monkeypatch.setenv("CHAINRULE_ISA", isa)
    found = {
        bits(*training(threads=threads, dtype=dtype, penalty=Penalty(l1=1e-4, l2=1e-3), **extras))
        for threads in (1, 2, 3, 5)
    }
    assert len(found) == 1


def test_bits_are_the_same_at_every_repeat():
    assert len({bits(*training(threads=2)) for _ in range(4)}) == 1


@pytest.mark.parametrize("extras", [{}, EXTRAS])
def test_a_step_takes_no_memory(extras):
    session, rates = training(threads=2, **extras)
    session.run(0, 0, rates)
    before = built.allocations()
    session.run(1, 0, rates)
    once = built.allocations() - before
    session.run(2, 0, np.full(1, 1e-3))
    assert built.allocations() - before - once == once  # what a call costs, whatever the number of its steps
    assert once == 0


def test_one_row_takes_no_memory_after_the_first():
    session, _ = training()
    x = np.ones((1, 37), np.float32)
    session.logits(x)
    before = built.allocations()
    session.logits(x)
    assert built.allocations() == before


def test_embeddings_take_no_memory_in_a_step_or_for_a_row():
    branches = [(9, CosineEmbedding(4)), (9, PBLDEmbedding()), (9, PiecewiseLinearEmbedding()), (1, Scale())]
    categories = (9, CategoryEmbedding((3,) * 9, units=5))
    session, rates = training(
        Net(37, [Parallel([*branches, categories]), Dense(16), ParametricActivation(), Dense(10)])
    )
    x = np.ones((1, 37), np.float32)
    session.run(0, 0, rates)
    session.logits(x)
    before = built.allocations()
    session.run(1, 0, rates)
    session.logits(x)
    assert built.allocations() == before


def test_counting_sees_a_session_s_memory():
    before = built.allocations()
    training()
    assert built.allocations() > before


@pytest.mark.parametrize("clip", [None, ClipNorm()])
def test_memory_is_what_the_plan_says(clip):
    # panels fill columns up to whole vectors (64 bytes), arrays to whole cache lines: nothing to add at these widths
    net = mlp(256, [512, 128], 64, norm="batch", dropout=0.1)
    session, _ = training(net, n=512, batch_size=256, clip=clip)
    expected = memory(session.plan).total
    assert expected <= session.nbytes <= 1.02 * expected


@pytest.mark.parametrize("isa", ISAS)
def test_the_environment_chooses_the_instruction_set(isa, monkeypatch):
    monkeypatch.setenv("CHAINRULE_ISA", isa)
    assert training()[0].isa == isa


def test_an_unknown_instruction_set_is_refused(monkeypatch):
    monkeypatch.setenv("CHAINRULE_ISA", "v9")
    with pytest.raises(ValueError, match=r"CHAINRULE_ISA must be one of .*, got v9\."):
        training()


@pytest.mark.parametrize("threads", [1, 2])
def test_stop_after_the_first_step(threads):
    session, rates = training(threads=threads)
    assert session.run(0, 0, rates, lambda: True).steps == 1
    assert int(session.state.step) == 1
    whole, _ = training(threads=threads)
    whole.run(0, 0, rates[:1])
    np.testing.assert_array_equal(session.state.w, whole.state.w)


def test_stop_is_answered_within_a_long_run():
    session, _ = training(mlp(37, [8], 3), n=4096, batch_size=1, threads=1)
    asked_at = time.monotonic() + 0.05
    sums = session.run(0, 0, np.full(4096, 1e-3), lambda: time.monotonic() > asked_at)
    assert 1 <= sums.steps <= 4096
    assert session.run(0, 0, np.full(4096, 1e-3)).steps == 4096


def test_what_stop_raises_is_raised_by_the_run():
    session, rates = training(threads=2)

    def interrupt() -> bool:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        session.run(0, 0, rates, interrupt)
    assert int(session.state.step) == 1
    assert session.run(0, 1, rates[1:]).steps == len(rates) - 1


def test_threads_are_chosen_from_the_work_and_the_limit():
    small, large = training(mlp(8, [16], 3))[0], training(mlp(784, [512], 10), n=300, batch_size=256)[0]
    assert small.threads == 1
    with threadpool_limits(limits=3, user_api="openmp"):
        assert large.threads == 3
    with threadpool_limits(limits=1, user_api="openmp"):
        assert large.threads == 1


def _in_child(results) -> None:
    session, rates = training(mlp(37, [512], 45), n=256, batch_size=256)
    results.put((session.threads, int(session.run(0, 0, rates).steps)))


@pytest.mark.skipif("fork" not in multiprocessing.get_all_start_methods(), reason="no fork on this system")
@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
@pytest.mark.filterwarnings("ignore:os.fork")  # JAX may have been used in this process; the child does not use it
def test_a_forked_child_trains_on_one_thread():
    session, rates = training(threads=2)
    session.run(0, 0, rates)
    context = multiprocessing.get_context("fork")
    results = context.Queue()
    child = context.Process(target=_in_child, args=(results,))
    child.start()
    assert results.get(timeout=30) == (1, 1)
    child.join(30)
    assert child.exitcode == 0


def test_sessions_run_side_by_side_in_python_s_threads():
    expected = bits(*training(threads=1))
    found: list[bytes] = []
    workers = [threading.Thread(target=lambda: found.append(bits(*training(threads=2)))) for _ in range(3)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert found == [expected] * 3


def test_one_session_answers_while_another_thread_trains():
    session, _ = training(n=4000, batch_size=8, threads=1)
    X = np.ones((1, 37), np.float32)
    trainer = threading.Thread(target=lambda: session.run(0, 0, np.full(500, 1e-3)))
    trainer.start()
    shapes = {session.logits(X).shape for _ in range(20)}
    trainer.join()
    assert shapes == {(1, 45)}
    assert int(session.state.step) == 500


def test_profile_sums_to_the_time_of_the_run():
    session, rates = training(threads=1)
    session.profile()
    began = time.perf_counter()
    for epoch in range(20):
        session.run(epoch, 0, rates)
    elapsed = time.perf_counter() - began
    assert len(session.seconds) == len(session.plan.phases)
    assert 0 < sum(session.seconds) <= elapsed


def test_a_missing_extension_is_said(monkeypatch):
    monkeypatch.setattr("chainrule.engines.native.extension", lambda: None)
    recipe = Recipe(Net(2, [Dense(1)]), MeanSquaredError())
    assert NativeEngine().supports(recipe) == ("The compiled extension is not part of this installation.",)


def test_a_batch_of_zero_weights_changes_nothing_but_the_moments():
    recipe = Recipe(Net(3, [Dense(4)]), SoftmaxCrossEntropy(), batch_size=4)
    c = np.r_[np.zeros(4), np.ones(4)]
    rows = Rows.of(recipe, np.ones((8, 3)), np.zeros(8, int), c[np.argsort(recipe.order(np, 8, 0))])
    native, reference = NativeEngine().compile(recipe, rows), ReferenceEngine().compile(recipe, rows)
    for session in (native, reference):
        session.run(0, 0, np.full(2, 0.1))
    np.testing.assert_allclose(native.state.w, reference.state.w, rtol=1e-6)


@pytest.mark.parametrize("width", [1, 7, 8, 15, 16, 17, 31, 32, 33, 63, 64, 65, 100])
@pytest.mark.parametrize("isa", ISAS)
def test_every_width_around_a_panel_s_edge(width, isa, monkeypatch):
    monkeypatch.setenv("CHAINRULE_ISA", isa)
    net = Net(width, [Dense(width), Activation("tanh"), Dense(width), Activation("sigmoid"), Dense(width)])
    recipe = Recipe(net, MeanSquaredError(), batch_size=13, dtype="float64", clip=ClipNorm(0.01))
    random = np.random.default_rng(width)
    rows = Rows.of(recipe, random.normal(size=(29, width)), random.normal(size=(29, width)))
    sessions = [engine.compile(recipe, rows) for engine in (NativeEngine(), ReferenceEngine())]
    for session in sessions:
        session.run(0, 0, np.full(3, 1e-3))
    # sums of at most 100 terms of size about 1, three steps: 1e-12 is far above rounding, far below any wrong term
    np.testing.assert_allclose(sessions[0].state.w, sessions[1].state.w, atol=1e-12)


@pytest.mark.parametrize("n", [1, 2, 500, 513, 1100])
def test_long_sums_are_split_into_parts_without_loss(n):
    net = Net(2100, [Dense(3), BatchNorm(), Activation("tanh"), Dense(2)]) if n > 1 else Net(2100, [Dense(2)])
    recipe = Recipe(net, MeanSquaredError(), batch_size=n, dtype="float64")
    random = np.random.default_rng(n)
    rows = Rows.of(recipe, random.normal(size=(n, 2100)), random.normal(size=(n, 2)))
    sums = [engine.compile(recipe, rows).run(0, 0, np.zeros(1)) for engine in (NativeEngine(), ReferenceEngine())]
    # relative errors of a gradient's length and of a loss: rounding of sums of 2100 and n terms
    np.testing.assert_allclose([sums[0].loss, sums[0].norm], [sums[1].loss, sums[1].norm], rtol=1e-9)


def test_rows_of_another_width_are_refused():
    session, _ = training()
    with pytest.raises(ValueError, match=r"Session: X must be numbers of shape \(n, 37\)"):
        session.logits(np.ones((3, 36)))


def test_rows_of_another_type_are_converted():
    """The extension reads bytes: float32 rows under a float64 recipe once trained on what they are not."""
    recipe = Recipe(mlp(4, [3], 2), MeanSquaredError(), batch_size=8, dtype="float64")
    draw = np.random.default_rng(0)
    X, Y = draw.standard_normal((20, 4)).astype("float32"), draw.standard_normal((20, 2)).astype("float32")
    losses = [
        engine.compile(recipe, Rows(X, Y, np.ones(20, "float32"))).run(0, 0, np.full(3, 0.1)).mean_loss
        for engine in (NativeEngine(), ReferenceEngine())
    ]
    assert losses[0] == pytest.approx(losses[1], rel=1e-9)


@pytest.mark.parametrize("number", [40, 41, 1000, 2**31, 2**32 - 1])
def test_a_row_to_visit_must_be_one_of_the_rows(number):
    recipe = Recipe(mlp(3, [5], 1), MeanSquaredError(), batch_size=8)
    rows = Rows.of(recipe, np.zeros((40, 3)), np.zeros(40)).visiting(np.array([0, number], np.uint32))
    with pytest.raises(ValueError, match="numbers of rows"):
        NativeEngine().compile(recipe, rows)


def compiled(outputs=(2, 2), inputs=(3, 4), dtypes=("float32", "float32")):
    """A predictor of the extension for each network."""
    found = []
    for d, k, dtype in zip(inputs, outputs, dtypes, strict=True):
        start = Recipe(mlp(d, [5], k), MeanSquaredError(), batch_size=1, dtype=dtype).start()
        found.append(_network(mlp(d, [5], k), start.w, start.buffers))
    return found


@pytest.mark.parametrize("n", [0, 1, 4, 5, 700])
def test_networks_together_give_the_logits_of_each(n):
    each = compiled()
    X = [np.random.default_rng(d).normal(size=(n, d)).astype(np.float32) for d in (3, 4)]
    Z = np.empty((2, n, 2), np.float32)
    built.Networks(each, [0, 1]).logits(X, Z)
    for network, rows, together in zip(each, X, Z, strict=True):
        alone = np.empty((n, 2), np.float32)
        network.logits(rows, alone)
        np.testing.assert_array_equal(together, alone)


@pytest.mark.parametrize(
    ("X", "Z"),
    [
        ([(2, 3), (2, 4)], (2, 2, 3)),
        ([(2, 3), (2, 4)], (3, 2, 2)),
        ([(2, 3), (2, 4)], (2, 1, 2)),
        ([(2, 3), (1, 4)], (2, 2, 2)),
        ([(2, 4), (2, 3)], (2, 2, 2)),
        ([(2, 3)], (2, 2, 2)),
        ([], (2, 0, 2)),
        ([(2, 3), (8,)], (2, 2, 2)),
        ([(2, 3), (2, 4)], (8,)),
    ],
)
def test_networks_refuse_arrays_of_other_sizes(X, Z):
    together = built.Networks(compiled(), [0, 1])
    with pytest.raises(InvalidValueError, match=" must be "):
        together.logits([np.zeros(shape, np.float32) for shape in X], np.zeros(Z, np.float32))


def test_networks_refuse_arrays_of_another_dtype():
    together = built.Networks(compiled(), [0, 1])
    X = [np.zeros((2, 3), np.float32), np.zeros((2, 4), np.float32)]
    for wrong in ([X[0].astype(np.float64), X[1]], [X[0], X[1].astype(np.float64)]):
        with pytest.raises(InvalidValueError, match=" must be "):
            together.logits(wrong, np.zeros((2, 2, 2), np.float32))
    with pytest.raises(InvalidValueError, match=" must be "):
        together.logits(X, np.zeros((2, 2, 2)))


@pytest.mark.parametrize(
    ("different", "rows"),
    [
        ({"outputs": (2, 3)}, [0, 1]),
        ({"dtypes": ("float32", "float64")}, [0, 1]),
        ({}, [0]),
        ({}, [0, 1, 1]),
        ({"outputs": (), "inputs": (), "dtypes": ()}, []),
    ],
)
def test_networks_that_do_not_go_together_are_refused(different, rows):
    with pytest.raises(InvalidValueError, match=" must be "):
        built.Networks(compiled(**different), rows)
