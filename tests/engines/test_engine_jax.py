"""Why: what only the JAX engine promises: no traces beyond the first, the process's settings untouched, clear refusals.

In: small trainings, JAX hidden or present. Out: counts, flags and messages; gradients by hand held against `jax.grad`.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass, replace
from typing import Any, ClassVar

import numpy as np
import pytest

from chainrule.engines import Rows
from chainrule.engines.jax import JaxEngine, _jax
from chainrule.engines.reference import ReferenceEngine
from chainrule.errors import InvalidValueError, MissingError
from chainrule.nn.layers import (
    Activation,
    BatchNorm,
    CategoryEmbedding,
    Context,
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
from chainrule.nn.losses import Huber, SoftmaxCrossEntropy, mean_loss
from chainrule.nn.multilayer import mlp
from chainrule.nn.net import Net
from chainrule.nn.optimizers import SGD, Adam
from chainrule.nn.penalties import Penalty
from chainrule.nn.step import Recipe, State, train_step
from chainrule.random import Purpose, Stream


@pytest.fixture(name="jax")
def _installed() -> Any:
    return pytest.importorskip("jax")


def rows_of(recipe: Recipe, n: int, classes: int) -> Rows:
    random = np.random.default_rng(0)
    return Rows.of(recipe, random.normal(size=(n, recipe.net.inputs)), random.integers(0, classes, n))


def test_missing_package_is_told_with_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "jax", None)
    monkeypatch.setattr("chainrule.engines.jax._jax", _jax.__wrapped__)
    with pytest.raises(MissingError, match=r"^fit: engine 'jax' is not available.*pip install 'chainrule\[jax\]'\.$"):
        JaxEngine()


def test_unknown_products_are_refused(jax):
    with pytest.raises(InvalidValueError, match=r"^JaxEngine: products must be one of 'float32', 'tf32', 'bf16', got"):
        JaxEngine("float16")


def test_short_products_are_refused_where_they_cannot_run(jax):
    recipe = Recipe(mlp(2, [3], 2), SoftmaxCrossEntropy())
    elsewhere = [f"bf16 products need a GPU, but JAX runs on {jax.default_backend()}."] * (
        jax.default_backend() != "gpu"
    )
    assert list(JaxEngine("bf16").supports(recipe)) == elsewhere
    reasons = JaxEngine("tf32").supports(replace(recipe, dtype="float64"))
    assert reasons[0] == "tf32 products need dtype float32, got float64."
    assert JaxEngine().supports(replace(recipe, dtype="float64")) == ()


@dataclass(frozen=True)
class Counted:
    """A square that counts how often Python runs it: each run is a trace."""

    runs: ClassVar[list[int]] = []
    needs: ClassVar[str] = "Z"

    def value(self, xp: Any, Z: Any) -> Any:
        self.runs.append(len(Z))
        return Z * Z

    def derivative(self, xp: Any, Z: Any, A: Any) -> Any:
        return 2.0 * Z


def test_an_epoch_is_traced_once_for_each_size_of_batch(jax):
    Counted.runs.clear()
    recipe = Recipe(Net(3, [Dense(4), Activation(Counted()), Dense(2)]), SoftmaxCrossEntropy(), batch_size=8)
    session = JaxEngine().compile(recipe, rows_of(recipe, 61, 2))
    for epoch in range(3):
        session.run(epoch, 0, np.full(5, 1e-3))
        session.run(epoch, 5, np.full(3, 1e-3), lambda: False)
    assert sorted(Counted.runs) == [5, 8]
    for n in (5, 6, 7, 8):
        session.logits(np.zeros((n, 3)))
    assert sorted(Counted.runs) == [5, 8, 8]


def test_rows_are_on_the_device_before_the_first_step(jax):
    recipe = Recipe(mlp(3, [4], 2), SoftmaxCrossEntropy(), batch_size=8)
    rows = rows_of(recipe, 40, 2)
    before = jax.live_arrays()
    session = JaxEngine().compile(recipe, rows)
    held = [array.shape for array in jax.live_arrays() if not any(array is other for other in before)]
    assert {(40, 3), (40,)} <= set(held)
    assert session.run(0, 0, np.full(5, 1e-3)).steps == 5


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_the_process_s_own_settings_stay(jax, dtype):
    def settings() -> tuple[Any, ...]:
        return jax.config.jax_enable_x64, jax.config.jax_default_matmul_precision, jax.numpy.zeros(1).dtype.name

    before = settings()
    recipe = Recipe(mlp(3, [4], 2), SoftmaxCrossEntropy(), batch_size=8, dtype=dtype)
    rows = rows_of(recipe, 20, 2)
    session = JaxEngine().compile(recipe, rows)
    session.run(0, 0, np.full(3, 1e-3))
    assert session.logits(rows.X).dtype == session.state.w.dtype == dtype
    assert settings() == before == (False, None, "float32")


@pytest.mark.slow
def test_float32_stays_float32_in_a_process_that_computes_in_float64(jax):
    recipe = Recipe(mlp(3, [4], 2, norm="batch", dropout=0.2), SoftmaxCrossEntropy(), batch_size=8)
    rows = rows_of(recipe, 20, 2)
    plain = JaxEngine().compile(recipe, rows)
    plain.run(0, 0, np.full(3, 1e-3))
    with jax.enable_x64(True):
        wide = JaxEngine().compile(recipe, rows)
        wide.run(0, 0, np.full(3, 1e-3))
        np.testing.assert_array_equal(wide.state.w, plain.state.w)


@pytest.mark.parametrize("step", [0, 12345, 2**31 + 7, 2**32 - 1])
def test_bits_of_a_traced_step_are_those_of_the_host(jax, step):
    stream = Stream.from_seed(2**40 + 9)
    masks = jax.jit(lambda t: stream.fold(Purpose.DROPOUT, t, 3).keep(jax.numpy, (17, 31), 0.3))
    orders = jax.jit(lambda t: stream.fold(Purpose.SHUFFLE, t).permutation(jax.numpy, 1001))
    expected = stream.fold(Purpose.DROPOUT, step, 3).keep(np, (17, 31), 0.3)
    np.testing.assert_array_equal(masks(np.uint32(step)), expected)
    order = stream.fold(Purpose.SHUFFLE, step).permutation(np, 1001)
    np.testing.assert_array_equal(orders(np.uint32(step)), order)


@pytest.mark.parametrize("loss", [SoftmaxCrossEntropy(label_smoothing=0.1), Huber(delta=0.5, link="sigmoid")])
def test_gradient_by_hand_is_that_of_automatic_differentiation(jax, loss):
    # float64, sums of at most 20 terms through seven layers: 1e-12 of the largest entry is 5000 roundings
    layers = [
        Dropout(0.1),
        Dense(8),
        BatchNorm(),
        Activation("gelu"),
        Dense(7),
        LayerNorm(),
        Activation("mish"),
        Dense(3),
    ]
    recipe = Recipe(Net(5, layers), loss, SGD(), Penalty(l1=0.01, l2=0.1), dtype="float64", seed=2)
    random, xp = np.random.default_rng(1), jax.numpy
    X, c = random.normal(size=(20, 5)), random.uniform(0.0, 2.0, 20)
    Y = random.integers(0, 3, 20) if isinstance(loss, SoftmaxCrossEntropy) else random.uniform(size=(20, 3))
    state = recipe.start()
    ctx = Context(xp, True, Stream.from_seed(recipe.seed).fold(Purpose.DROPOUT, 0))

    def J(w: Any) -> Any:
        Z = recipe.net.forward(w, state.buffers, X, ctx)[0]
        return mean_loss(loss, xp, Z, Y, c)[0] + recipe.penalty.value(xp, w, recipe.decay)

    by_hand = state.w - train_step(recipe, np, state, X, Y, c, np.float64(1.0))[0].w
    with jax.enable_x64(True):
        by_machine = np.asarray(jax.jit(jax.grad(J))(state.w))
    assert np.abs(by_hand - by_machine).max() <= 1e-12 * np.abs(by_machine).max()


@pytest.mark.slow
def test_long_epochs_are_cut_into_pieces_without_a_change_of_bits(jax, monkeypatch):
    recipe = Recipe(mlp(4, [5], 2, norm="batch", dropout=0.2), SoftmaxCrossEntropy(), Adam(), batch_size=4)
    rows, rates = rows_of(recipe, 403, 2), np.linspace(0.01, 0.001, 101)
    whole, cut = (JaxEngine().compile(recipe, rows) for _ in range(2))
    asked: list[int] = []
    monkeypatch.setattr("chainrule.engines.jax._PACE", 1e9)
    whole.run(0, 0, rates)
    monkeypatch.setattr("chainrule.engines.jax._PACE", 1e-9)
    cut.run(0, 0, rates, lambda: bool(asked.append(cut.state.step)))
    assert asked[:3] == [32, 48, 56]
    assert asked[-2:] == [100, 101]
    assert len(asked) > 20
    np.testing.assert_array_equal(cut.state.w, whole.state.w)


def test_inference_of_no_rows_and_of_more_than_a_chunk(jax):
    recipe = Recipe(mlp(4, [5], 2, norm="batch"), SoftmaxCrossEntropy())
    rows = rows_of(recipe, 8, 2)
    session, reference = (engine.compile(recipe, rows) for engine in (JaxEngine(), ReferenceEngine()))
    X = np.random.default_rng(0).normal(size=(4099, 4))
    # float32 sums of five terms, twice: a few roundings of the largest entry
    Z = reference.logits(X)
    np.testing.assert_allclose(session.logits(X), Z, rtol=0, atol=16 * np.finfo(np.float32).eps * np.abs(Z).max())
    assert session.logits(X[:0]).shape == (0, 2)


def test_a_loaded_state_is_copied(jax):
    recipe = Recipe(mlp(4, [5], 2), SoftmaxCrossEntropy(), Adam())
    session = JaxEngine().compile(recipe, rows_of(recipe, 8, 2))
    state = recipe.start()
    session.load(state)
    state.w[:] = 7.0
    np.testing.assert_array_equal(session.state.w, recipe.start().w)
    assert isinstance(session.state, State)
    assert isinstance(session.state.step, int)


@pytest.mark.parametrize("cache_every", [1, 2])
def test_embeddings_and_branches_train_as_on_the_reference_engine(jax, cache_every):
    branches = [
        (1, PBLDEmbedding(4, 2)),
        (1, CosineEmbedding(3)),
        (1, PiecewiseLinearEmbedding(units=3)),
        (1, Dropout(0.3)),
        (1, BatchNorm()),
        (2, CategoryEmbedding((3, 4), 2)),
    ]
    layers = [Parallel(branches), Scale(), Dense(6), ParametricActivation("mish"), Dense(2)]
    recipe = Recipe(
        Net(7, layers), SoftmaxCrossEntropy(), Adam(), batch_size=8, dtype="float64", cache_every=cache_every
    )
    random = np.random.default_rng(0)
    X = np.hstack([random.normal(size=(40, 5)), random.integers(0, 5, (40, 2))])
    rows = Rows.of(recipe, X, random.integers(0, 2, 40))
    here, there = (engine.compile(recipe, rows) for engine in (ReferenceEngine(), JaxEngine()))
    for session in (here, there):
        session.run(0, 0, np.full(5, 1e-2))
    # five steps of Adam in float64
    np.testing.assert_allclose(there.state.w, here.state.w, rtol=1e-9, atol=1e-11)
    np.testing.assert_allclose(there.state.buffers, here.state.buffers, rtol=1e-11)
    np.testing.assert_allclose(there.logits(X), here.logits(X), rtol=1e-8, atol=1e-10)
