"""Why: whatever engine runs the mathematics, the numbers are the reference's; one contract says what that means.

In: every engine that is here, networks and trainings drawn at random. Out: one step and twenty held against float64,
masks and shuffles bit for bit, states that come back, go in and stay as they are.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, Phase, assume, given, settings
from hypothesis import strategies as st
from threadpoolctl import threadpool_limits

from chainrule.engines import ENGINES, Rows, why_unavailable
from chainrule.engines.reference import ReferenceEngine
from chainrule.nn.activations import ACTIVATIONS, ELU, LeakyReLU
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
from chainrule.nn.losses import (
    LINKS,
    BinaryCrossEntropy,
    Huber,
    MeanAbsoluteError,
    MeanSquaredError,
    MultiSoftmaxCrossEntropy,
    Poisson,
    Quantile,
    SoftmaxCrossEntropy,
)
from chainrule.nn.multilayer import mlp
from chainrule.nn.net import Net
from chainrule.nn.optimizers import (
    SGD,
    AdaGrad,
    Adam,
    AdamW,
    EmaMomentum,
    GradientAccumulation,
    Nesterov,
    RMSProp,
    SGDMomentum,
)
from chainrule.nn.penalties import ClipNorm, ClipValue, Penalty
from chainrule.nn.step import Recipe, State, Sums
from chainrule.random import Purpose, Stream

STEPS = 20
DRAWS = 5
EXAMPLES = {"reference": 10, "native": 40, "jax": 8}
"""Trainings drawn for each engine; JAX compiles every one, which takes seconds."""

UNIT = float(np.finfo(np.float32).eps)

OPTIMIZERS: list[tuple[Any, float]] = [
    (SGD(), 0.05),
    (EmaMomentum(), 0.05),
    (SGDMomentum(mu=0.8), 0.01),
    (Nesterov(mu=0.8), 0.01),
    (RMSProp(), 0.003),
    # ε above rounding: at its default of 1e-10 a gradient that is 0 but for rounding would move w as far as any other
    (AdaGrad(epsilon=1e-7), 0.02),
    (Adam(), 0.01),
    (AdamW(weight_decay=0.1), 0.01),
    (GradientAccumulation(Adam(), 3), 0.02),
    (GradientAccumulation(SGDMomentum(mu=0.8), 2), 0.02),
]
LOSSES: list[Any] = [
    SoftmaxCrossEntropy(),
    SoftmaxCrossEntropy(label_smoothing=0.1),
    BinaryCrossEntropy(),
    Poisson(),
    *[MeanSquaredError(link) for link in LINKS],
    *[MeanAbsoluteError(link) for link in LINKS],
    *[Huber(delta=0.7, link=link) for link in LINKS],
    *[Quantile((0.1, 0.5, 0.8), link=link) for link in LINKS],
    MultiSoftmaxCrossEntropy((2, 1)),
    MultiSoftmaxCrossEntropy((3,), label_smoothing=0.1),
]
FUNCTIONS: list[Any] = [*ACTIVATIONS, LeakyReLU(0.2), ELU(0.5)]


def instruction_sets() -> tuple[str, ...]:
    """Those of the native engine's that this machine has; one empty name where the engine itself is missing."""
    from chainrule.engines import native

    built = native.extension()
    return tuple(built.isas()) if built else ("",)


NATIVE = [pytest.param(("native", isa), id=f"native-{isa}".rstrip("-")) for isa in instruction_sets()]
COMPILED_SLOWLY = {"jax": [pytest.mark.slow]}  # the fast tests of this engine are in test_engine_jax.py
OTHERS = [
    pytest.param((name, ""), id=name, marks=COMPILED_SLOWLY.get(name, ())) for name in ENGINES if name != "native"
]


@pytest.fixture(params=[*NATIVE, *OTHERS], name="engine")
def _engine(request, monkeypatch) -> Any:
    """Every engine, the native one under each instruction set; skips, with the reason, one that is not here."""
    name, isa = request.param
    if why_unavailable(name):
        pytest.skip(f"{name}: {why_unavailable(name)}")
    if isa:
        monkeypatch.setenv("CHAINRULE_ISA", isa)
    return ENGINES[name]()


@dataclass(frozen=True)
class Case:
    """A training of a few steps: what, on which rows, at which rates."""

    recipe: Recipe
    X: Any = field(repr=False)
    Y: Any = field(repr=False)
    c: Any = field(repr=False)
    rates: Any = field(repr=False)
    seed: int

    def rows(self, dtype: str, jitter: int = 0) -> tuple[Recipe, Rows]:
        """Recipe and rows in a dtype; the numbers are those of float32 in either."""
        recipe = replace(self.recipe, dtype=dtype)
        Y = self.Y if self.Y.dtype.kind == "i" else self.Y.astype(np.float32)
        X = jittered(self.X.astype(np.float32).astype(dtype), jitter)
        return recipe, Rows.of(recipe, X, Y, self.c.astype(np.float32))


def jittered(array: Any, jitter: int) -> Any:
    """Every entry one rounding up, down or as it is, drawn by the number `jitter`; 0 leaves the array alone."""
    if jitter == 0:
        return array
    unit = np.finfo(array.dtype).eps
    return array * (1 + np.random.default_rng(jitter).choice(np.array([-unit, 0, unit]), size=array.shape))


def start(recipe: Recipe) -> State:
    """The first state, rounded to float32 whatever the recipe's dtype, so that all dtypes start from the same point."""
    first = replace(recipe, dtype="float32").start()
    memory = {letter: np.zeros(recipe.net.size, recipe.dtype) for letter in recipe.state_names}
    return State(first.w.astype(recipe.dtype), first.buffers.astype(recipe.dtype), memory, 0)


def advance(session: Any, recipe: Recipe, n: int, rates: Any) -> Sums:
    """As many steps as there are rates, from where the session stands, over the ends of epochs."""
    per_epoch, sums = len(recipe.batches(n)), Sums()
    while len(rates):
        epoch, first = divmod(int(session.state.step), per_epoch)
        now, rates = rates[: per_epoch - first], rates[per_epoch - first :]
        sums = sums + session.run(epoch, first, now)
    return sums


def outcome(engine: Any, case: Case, dtype: str, jitter: int = 0) -> tuple[dict[str, Any], Any]:
    """All that is compared, by name, after the first step and after the last; and the session."""
    recipe, rows = case.rows(dtype, jitter)
    session, first = engine.compile(recipe, rows), start(recipe)
    session.load(replace(first, w=jittered(first.w, jitter)))
    found: dict[str, Any] = {}
    for when, rates in (("first", case.rates[:1]), ("last", case.rates[1:])):
        sums = advance(session, recipe, len(rows), rates)
        assert int(sums.steps) == len(rates)
        state = session.state
        measured = {"loss": sums.loss, "score": sums.score, "weight": sums.weight, "norm": sums.norm}
        arrays = {"w": state.w, "buffers": state.buffers, **state.optimizer_state, **measured}
        found.update({f"{when} {name}": np.asarray(array, np.float64) for name, array in arrays.items()})
    return found, session


def largest(array: Any) -> float:
    return float(np.abs(array).max(initial=0.0))


def bounds(case: Case, dtype: str, expected: dict[str, Any]) -> dict[str, float] | None:
    """How far each array may be from the float64 reference; None where rounding alone decides the outcome.

    An engine sums in another order than NumPy, so its rounding errors are one more draw of the same kind as NumPy's own,
    here drawn five times: from rows and weights as they are, and from rows and weights one rounding off. In float32,
    sixteen times the largest of the draws and 64 roundings of the largest entry (sums of up to 48 rows and 40 columns)
    hold for any order. In float64 the bound is 1e-9 of the largest entry. Where a draw is off by more than
    a thousandth (1e-10 in float64) of the largest entry, the case is thrown away.
    """
    scale = {name: largest(array) for name, array in expected.items()}
    draws = [outcome(ReferenceEngine(), case, dtype, jitter)[0] for jitter in range(DRAWS)]
    error = {name: max(largest(draw[name] - expected[name]) for draw in draws) for name in expected}
    chaotic = 1e-3 if dtype == "float32" else 1e-10
    if not all(scale[name] < 1e9 and error[name] <= chaotic * scale[name] for name in expected):
        return None
    if dtype == "float64":
        return {name: 1e-9 * size for name, size in scale.items()}
    return {name: 16 * error[name] + 64 * UNIT * scale[name] for name in expected}


KNOWN: dict[tuple[Any, ...], tuple[dict[str, Any], dict[str, float] | None]] = {}


def oracle(case: Case, dtype: str) -> tuple[dict[str, Any], dict[str, float] | None]:
    """The float64 reference of a case and its bounds; computed once for all engines, of which it knows nothing."""
    key = (dtype, repr(case.recipe), *(np.asarray(each).tobytes() for each in (case.X, case.Y, case.c, case.rates)))
    if key not in KNOWN:
        expected = outcome(ReferenceEngine(), case, "float64")[0]
        KNOWN[key] = expected, bounds(case, dtype, expected)
    return KNOWN[key]


def holds(engine: Any, case: Case, dtype: str) -> bool:
    """Check one training and the logits after it; False where the case says nothing (not supported, or chaotic)."""
    recipe, rows = case.rows(dtype)
    if engine.supports(recipe):
        return False
    with np.errstate(over="ignore", invalid="ignore"):
        expected, allowed = oracle(case, dtype)
    if allowed is None:
        return False
    found, session = outcome(engine, case, dtype)
    for name, array in expected.items():
        assert found[name].shape == array.shape, name
        off = largest(found[name] - array)
        assert off <= allowed[name], f"{name}: off by {off:.3g}, allowed {allowed[name]:.3g}"
    check_logits(session, recipe, rows)
    return True


def check_logits(session: Any, recipe: Recipe, rows: Rows) -> None:
    """Inference from the session's own state, all rows and one; the bound as in `bounds`."""
    state, X = session.state, rows.X
    w = recipe.weights(state)
    Z = recipe.net(w.astype(np.float64), state.buffers.astype(np.float64), X.astype(np.float64))
    terms = max(largest(Z), 1.0)  # logits may cancel; what is summed is of order one
    allowed = 1e-9 * terms
    if recipe.dtype == "float32":
        draws = [recipe.net(w, state.buffers, jittered(X, jitter)) for jitter in range(DRAWS)]
        allowed = 16 * max(largest(draw - Z) for draw in draws) + 64 * UNIT * terms
    for X, expected in ((rows.X, Z), (rows.X[:1], Z[:1])):
        found = session.logits(X)
        assert found.dtype == recipe.dtype
        assert found.shape == expected.shape
        assert largest(found - expected) <= allowed, "logits"


def targets(loss: Any, random: np.random.Generator, n: int, k: int) -> Any:
    """Targets (n) or (n, k) in the range that the loss and its link can reach."""
    if isinstance(loss, SoftmaxCrossEntropy):
        return random.integers(0, k, n)
    if isinstance(loss, BinaryCrossEntropy):
        return random.integers(0, 2, (n, k)).astype(float)
    if isinstance(loss, MultiSoftmaxCrossEntropy):
        return np.hstack([np.eye(size)[random.integers(0, size, n)] for size in loss.sizes])
    if isinstance(loss, Poisson):
        return random.poisson(2.0, (n, k)).astype(float)
    low, high = {"sigmoid": (0.05, 0.95), "tanh": (-0.9, 0.9), "identity": (-2.0, 2.0)}.get(loss.link, (0.1, 3.0))
    return random.uniform(low, high, (n, k))


def categories(net: Net) -> Iterator[tuple[int, int]]:
    """Yield the column and the number of codes of each category that the first layer embeds."""
    first = net.layers[0]
    column = 0
    for width, layer in first.branches if isinstance(first, Parallel) else ((net.inputs, first),):
        if isinstance(layer, CategoryEmbedding):
            yield from enumerate(layer.sizes, column)
        column += width


def fill(recipe: Recipe, n: int, rate: float, weighted: bool, seed: int) -> Case:
    """A case with rows, weights (some of them 0) and rates drawn for a recipe."""
    random = np.random.default_rng(seed)
    X = random.normal(size=(n, recipe.net.inputs))
    for column, size in categories(recipe.net):
        # unknown codes too; a quarter more than a whole number, so that no rounding turns a code into another
        X[:, column] = random.integers(-1, size + 1, n) + 0.25
    Y = targets(recipe.loss, random, n, recipe.net.outputs)
    c = np.ones(n)
    if weighted:
        c = random.integers(0, 4, n).astype(float)
        c[0] = 1.0
    return Case(recipe, X, Y, c, rate * random.uniform(0.5, 1.0, STEPS), seed)


@st.composite
def layers(draw: Any, outputs: int, norms: tuple[Any, ...], adaptive: bool) -> list[Any]:
    """One to three affine maps, with all that may stand between them.

    A bias right before batch norm has gradient 0 but for rounding, which adaptive rules blow up to a full step: there
    it is drawn for the others only.
    """
    made: list[Any] = [Dropout(0.2)] if draw(st.booleans()) else []
    for _ in range(draw(st.integers(0, 2))):
        norm = draw(st.sampled_from(norms))
        bias = draw(st.booleans()) and not (adaptive and isinstance(norm, BatchNorm))
        kind = draw(st.sampled_from([Activation, Activation, ParametricActivation]))
        made += [Dense(draw(st.integers(1, 40)), bias=bias), norm, kind(draw(st.sampled_from(FUNCTIONS)))]
        made += [Dropout(draw(st.sampled_from([0.1, 0.5])))] if draw(st.booleans()) else []
    return [layer for layer in made if layer is not None] + [Dense(outputs, bias=draw(st.booleans()))]


@st.composite
def embeddings(draw: Any, inputs: int) -> Any:
    """A first layer that embeds features: one for all, or several side by side."""

    def one(width: int) -> Any:
        kinds: list[Any] = [
            CosineEmbedding(draw(st.integers(1, 20))),
            PBLDEmbedding(draw(st.integers(1, 20)), draw(st.integers(1, 10))),
            PiecewiseLinearEmbedding(units=draw(st.integers(1, 20))),
            CategoryEmbedding(
                draw(st.lists(st.integers(1, 9), min_size=width, max_size=width)), draw(st.integers(1, 20))
            ),
            Scale(),
            Activation("identity"),
        ]
        return draw(st.sampled_from(kinds))

    if draw(st.booleans()):
        return one(inputs)
    cuts = sorted(draw(st.sets(st.integers(1, max(inputs - 1, 1)), max_size=4)) - {inputs})
    widths = np.diff([0, *cuts, inputs])
    return Parallel([(int(width), one(int(width))) for width in widths])


@st.composite
def cases(draw: Any) -> Case:
    """A network, a loss with fitting targets, a way to train it, a batch size: any, down to one row.

    Under batch norm a batch has at least four rows: with fewer, its gradient is a difference of nearly equal numbers.
    """
    loss, (optimizer, rate) = draw(st.sampled_from(LOSSES)), draw(st.sampled_from(OPTIMIZERS))
    outputs = draw(st.integers(2, 10) if isinstance(loss, SoftmaxCrossEntropy) else st.integers(1, 5))
    if isinstance(loss, Quantile):
        outputs *= len(loss.levels)
    if isinstance(loss, MultiSoftmaxCrossEntropy):
        loss = MultiSoftmaxCrossEntropy(
            draw(st.lists(st.integers(1, 12), min_size=1, max_size=4)), label_smoothing=loss.label_smoothing
        )
        outputs = sum(loss.sizes)
    adaptive = isinstance(optimizer, RMSProp | AdaGrad | Adam | AdamW | GradientAccumulation)
    inputs = draw(st.integers(1, 30))
    first = [draw(embeddings(min(inputs, 12)))] if draw(st.booleans()) else []
    rest = draw(layers(outputs, (None, BatchNorm(), LayerNorm(), Scale()), adaptive))
    net = Net(min(inputs, 12) if first else inputs, [*first, *rest])
    joint = any(isinstance(layer, BatchNorm) for layer in net.layers)
    least = 6 if joint else 1
    n, batch_size = draw(st.integers(least, 48)), draw(st.integers(least, 50))
    if joint and n > batch_size and n % batch_size < 4:
        n -= n % batch_size
    recipe = Recipe(
        net,
        loss,
        optimizer,
        Penalty(l1=draw(st.sampled_from([0.0, 1e-3])), l2=draw(st.sampled_from([0.0, 1e-2]))),
        draw(st.sampled_from([None, ClipNorm(0.5), ClipValue(0.05)])),
        draw(st.sampled_from([{}, {"*": 0.5, "*.W": 1.5}, {f"{len(net.layers) - 1}.W": 0.0}])),
        batch_size,
        draw(st.integers(0, 2**64 - 1)),
        cache_every=draw(st.sampled_from([1, 1, 1, 1, 2, 3])),
        max_weight_norm=draw(st.sampled_from([None, None, 0.8])),
        ema_decay=draw(st.sampled_from([None, None, 0.9, 0.0])),
    )
    return fill(recipe, n, rate, draw(st.booleans()), draw(st.integers(0, 2**32 - 1)))


def test_any_training_follows_the_float64_reference(engine):
    @settings(
        max_examples=int(os.environ.get("CHAINRULE_CONTRACT_EXAMPLES", EXAMPLES[engine.name])),
        derandomize=True,
        deadline=None,
        database=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(cases(), st.sampled_from(["float32", "float64"]))
    def check(case: Case, dtype: str) -> None:
        assume(holds(engine, case, dtype))

    check()


@pytest.fixture(name="quick")
def _quick(engine) -> Iterator[Any]:
    """The engine; JAX leaves out the optimizations that take most of its time to compile."""
    if engine.name != "jax":
        yield engine
        return
    import jax

    jax.config.update("jax_disable_most_optimizations", True)
    yield engine
    jax.config.update("jax_disable_most_optimizations", False)


@pytest.mark.parametrize("i", range(len(LOSSES)), ids=lambda i: repr(LOSSES[i]))
def test_every_loss_activation_and_optimizer_follows_the_float64_reference(quick, i):
    functions = [FUNCTIONS[(3 * i + j) % len(FUNCTIONS)] for j in range(3)]
    norms: list[list[Any]] = [[], [BatchNorm()], [LayerNorm()], [Scale()]]
    kinds: list[Any] = [Activation, ParametricActivation]
    hidden = [
        layer
        for j, function in enumerate(functions)
        for layer in (
            Dense(9 + j, bias=(i + 2 * j) % 4 != 1),
            *norms[(i + 2 * j) % 4],
            kinds[(i + j) % 3 == 0](function),
        )
    ]
    optimizer, rate = OPTIMIZERS[i % len(OPTIMIZERS)]
    net = Net(7, [*hidden, Dropout(0.2), Dense(3)])
    extras: dict[str, Any] = {"max_weight_norm": 1.0 if i % 3 == 0 else None, "ema_decay": 0.8 if i % 3 == 1 else None}
    recipe = Recipe(
        net, LOSSES[i], optimizer, Penalty(l1=1e-4, l2=1e-3), ClipNorm(0.5), {"0.*": 0.5}, 16, seed=i, **extras
    )
    assert not quick.supports(replace(recipe, dtype="float64"))
    assert holds(quick, fill(recipe, 16, rate / 4, i % 2 == 1, i), "float64")


EMBEDDINGS: list[tuple[Any, int]] = [
    (CosineEmbedding(16), 3),
    (CosineEmbedding(1), 5),
    (PBLDEmbedding(16, 3), 3),
    (PBLDEmbedding(5, 9), 2),
    (PiecewiseLinearEmbedding(), 3),
    (PiecewiseLinearEmbedding((-0.5, 0.5), 3), 4),
    (CategoryEmbedding((3, 1, 40), 8), 3),
    (CategoryEmbedding((3, 4), 21), 2),
    (Scale(), 19),
    (
        Parallel(
            [
                (2, CategoryEmbedding((3, 5), 8)),
                (3, CosineEmbedding(5)),
                (20, Activation("identity")),
                (2, PBLDEmbedding(7, 4)),
                (1, Scale()),
                (1, PiecewiseLinearEmbedding((-1.0, 0.0, 1.0), 6)),
                (1, CosineEmbedding(2)),
                (1, CategoryEmbedding((2,), 3)),
            ]
        ),
        31,
    ),
]


def on_jax(i: int) -> set[int]:
    """Return the embeddings that JAX trains under an optimizer: each at least once, and one under each.

    There the optimizer is a function of the flat vector of parameters, whatever layers they belong to; compiling every pair
    would take most of the time of all slow tests. The native engine updates inside of its stages, so that it trains all.
    """
    return {i % len(EMBEDDINGS), *range(i, len(EMBEDDINGS), len(OPTIMIZERS))}


@pytest.mark.parametrize("i", range(len(OPTIMIZERS)), ids=lambda i: repr(OPTIMIZERS[i][0]))
def test_every_embedding_follows_the_float64_reference_under_every_optimizer(quick, i):
    optimizer, rate = OPTIMIZERS[i]
    for j, (first, inputs) in enumerate(EMBEDDINGS):
        if quick.name == "jax" and j not in on_jax(i):
            continue
        recipe = Recipe(
            Net(
                inputs, [first, *[Scale()][: j % 2], Dense(9), LayerNorm(), Activation("tanh"), Dropout(0.2), Dense(3)]
            ),
            MeanSquaredError(),
            optimizer,
            Penalty(l2=1e-3),
            (None, ClipNorm(0.5), ClipValue(0.05))[j % 3],
            {"0.*": 0.5},
            (16, 7)[(i + j) % 2],
            seed=i,
            ema_decay=(None, 0.9)[j // 2 % 2],
        )
        dtype = ("float32", "float64")[(i + j // 2) % 2]
        assert holds(quick, fill(recipe, 16, rate / 4, j % 2 == 1, i), dtype), first


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_cosines_of_large_arguments_are_as_exact_as_the_arguments(engine, dtype):
    # x is a whole number and w and b are fractions of 64, so that w x + b is exact: cos and sin of it are too
    random = np.random.default_rng(7)
    net = Net(1, [CosineEmbedding(16)])
    recipe = Recipe(net, MeanSquaredError(), SGD(), batch_size=64, dtype=dtype)
    X = random.integers(-1000, 1000, (64, 1))
    w = random.integers(-64, 64, 32) / 64
    session = engine.compile(recipe, Rows.of(recipe, X, np.zeros((64, 17))))
    session.load(State(np.concatenate([w, np.ones(17), np.zeros(17)]).astype(dtype), np.zeros(0, dtype), {}, 0))
    turns = X * w[:16] + w[16:]
    exact = np.cos(2 * np.pi * (turns - np.round(turns)))
    allowed = 4 * np.finfo(dtype).eps if engine.name == "native" else 1e4 * np.finfo(dtype).eps
    np.testing.assert_allclose(session.logits(X)[:, 1:], exact, rtol=0, atol=allowed)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_batch_norm_of_two_rows(engine, dtype):
    # Ẑ is ±1 but for ε, and dZ the difference of nearly equal numbers divided by s >= √ε = 1/316: what rounding
    # leaves of it comes out at most 316 times larger, of some ten operations
    net = Net(5, [Dense(6), BatchNorm(), Activation("tanh"), Dense(3)])
    recipe = Recipe(net, SoftmaxCrossEntropy(), SGD(), batch_size=4, seed=3)
    case = replace(fill(recipe, 2, 0.1, False, 2), rates=np.full(1, 0.1))
    expected, found = outcome(ReferenceEngine(), case, "float64")[0], outcome(engine, case, dtype)[0]
    for name, array in expected.items():
        assert largest(found[name] - array) <= 10 * 316 * np.finfo(dtype).eps * max(largest(array), 0.1), name


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_dropout_masks_are_the_stream_s_bits(engine, dtype):
    # rows of ones through two masks and a unit matrix to weights of 0: with targets of a unit matrix the step's
    # gradient of those weights is the transposed product of the masks, times one number
    n, d, rates = 9, 13, (0.4, 0.25)
    net = Net(d, [Dropout(rates[0]), Dense(d, bias=False), Dropout(rates[1]), Dense(n, bias=False)])
    recipe = Recipe(net, MeanSquaredError(), SGD(), batch_size=n, seed=2**63 + 11, dtype=dtype)
    session = engine.compile(recipe, Rows.of(recipe, np.ones((n, d)), np.eye(n)))
    w = np.concatenate([np.eye(d).ravel(), np.zeros(d * n)]).astype(dtype)
    for step in (0, 1, 77, 2**31 + 5):
        session.load(State(w, np.zeros(0, dtype), {}, step))
        session.run(step, 0, np.ones(1))
        W = session.state.w[d * d :].reshape(d, n)
        stream = Stream.from_seed(recipe.seed).fold(Purpose.DROPOUT, step)
        first, second = (stream.fold(i).keep(np, (n, d), rate) for i, rate in zip((0, 2), rates, strict=True))
        np.testing.assert_array_equal(W.T != 0, first & second)
        np.testing.assert_allclose(W.T[first & second], 2 / n**2 / 0.6 / 0.75, rtol=8 * np.finfo(dtype).eps)


@pytest.mark.parametrize(("n", "batch_size"), [(37, 1), (37, 8), (600, 1), (8, 8)])
def test_shuffles_are_the_stream_s_order(engine, n, batch_size):
    # row i is the unit vector i and its weight 0, so the one step that meets row i writes its own rate there
    net = Net(n, [Dense(1, bias=False, initializer="zeros")])
    recipe = Recipe(net, MeanSquaredError(), SGD(), batch_size=batch_size, seed=5)
    session = engine.compile(recipe, Rows.of(recipe, np.eye(n), np.ones(n)))
    bounds = recipe.batches(n)
    for epoch in (0, 1, 100_000):
        session.load(replace(recipe.start(), step=epoch * len(bounds)))
        session.run(epoch, 0, np.array([(i + 1) * (end - start) / 2 for i, (start, end) in enumerate(bounds)]))
        expected = np.zeros(n)
        for i, (begin, end) in enumerate(bounds):
            expected[recipe.order(np, n, epoch)[begin:end]] = i + 1
        np.testing.assert_allclose(session.state.w, expected, rtol=4 * UNIT)


def training(engine: Any, dtype: str = "float32") -> tuple[Recipe, Rows, Any]:
    """A network with everything that carries numbers from step to step, and a session on 29 rows in batches of 8."""
    net = mlp(6, [11, 7], 3, norm="batch", dropout=0.3)
    extras: dict[str, Any] = {"max_weight_norm": 1.5, "ema_decay": 0.9}
    rule = GradientAccumulation(Adam(), 2)
    recipe = Recipe(net, SoftmaxCrossEntropy(), rule, batch_size=8, seed=4, dtype=dtype, **extras)
    random = np.random.default_rng(1)
    rows = Rows.of(recipe, random.normal(size=(29, 6)), random.integers(0, 3, 29))
    return recipe, rows, engine.compile(recipe, rows)


def numbers(state: State) -> dict[str, Any]:
    return {"w": state.w, "buffers": state.buffers, "step": np.asarray(int(state.step)), **state.optimizer_state}


def assert_same_bits(one: State, other: State) -> None:
    a, b = numbers(one), numbers(other)
    assert a.keys() == b.keys()
    for name, array in a.items():
        assert array.dtype == b[name].dtype, name
        np.testing.assert_array_equal(array, b[name], name)


VISITED = {
    "some": np.arange(0, 40, 3),
    "a block": np.arange(10, 30),
    "in another order": np.arange(39, -1, -1),
    "one": np.array([7]),
    "all": np.arange(40),
}


@pytest.mark.parametrize("visited", VISITED)
@pytest.mark.parametrize("batch_size", [6, 64])
def test_rows_that_are_visited_train_as_a_copy_of_them_does(engine, visited, batch_size):
    rng = np.random.default_rng(1)
    recipe = Recipe(mlp(3, [5], 2), SoftmaxCrossEntropy(), Adam(), batch_size=batch_size)
    rows = Rows.of(recipe, rng.normal(size=(40, 3)), rng.integers(0, 2, 40), rng.uniform(0.5, 1, 40))
    part = rows.visiting(VISITED[visited].astype(np.uint32))
    batches = len(recipe.batches(len(part)))
    states = []
    for each in (part, rows[VISITED[visited]]):
        session = engine.compile(recipe, each)
        for epoch in range(2):
            assert session.run(epoch, 0, np.full(batches, 0.1)).steps == batches
        states.append(session.state.w)
    np.testing.assert_array_equal(*states)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_a_session_starts_at_the_recipe_s_first_state(engine, dtype):
    recipe, _, session = training(engine, dtype)
    assert_same_bits(session.state, recipe.start())


def test_a_state_taken_within_an_epoch_continues_to_the_same_bits(engine):
    recipe, rows, session = training(engine)
    rates = np.linspace(0.02, 0.01, 14)
    advance(session, recipe, 29, rates[:6])
    taken = session.state
    advance(session, recipe, 29, rates[6:])
    resumed = engine.compile(recipe, rows)
    resumed.load(taken)
    assert_same_bits(resumed.state, taken)
    advance(resumed, recipe, 29, rates[6:])
    assert_same_bits(resumed.state, session.state)
    assert int(session.state.step) == 14
    np.testing.assert_array_equal(resumed.logits(rows.X), session.logits(rows.X))


def test_states_given_and_taken_are_not_changed_by_steps(engine):
    recipe, _, session = training(engine)
    given_in = recipe.start()
    session.load(given_in)
    advance(session, recipe, 29, np.full(5, 0.01))
    taken = session.state
    copy = State(
        taken.w.copy(), taken.buffers.copy(), {k: v.copy() for k, v in taken.optimizer_state.items()}, int(taken.step)
    )
    advance(session, recipe, 29, np.full(5, 0.01))
    assert_same_bits(given_in, recipe.start())
    assert_same_bits(taken, copy)
    assert largest(session.state.w - taken.w) > 0


def test_stop_ends_an_epoch_between_two_batches(engine):
    random, n = np.random.default_rng(2), 2000
    net = mlp(3, [4], 2)
    recipe = Recipe(net, SoftmaxCrossEntropy(), Adam(), batch_size=1)
    rows = Rows.of(recipe, random.normal(size=(n, 3)), random.integers(0, 2, n), random.integers(1, 4, n))
    rates = np.linspace(0.01, 0.001, n)
    stopped, whole = engine.compile(recipe, rows), engine.compile(recipe, rows)
    begun = stopped.run(0, 0, rates, lambda: True)
    steps = int(begun.steps)
    assert 1 <= steps < n
    assert int(stopped.state.step) == steps
    assert float(begun.weight) == rows.c[recipe.order(np, n, 0)[:steps]].sum()
    rest = stopped.run(0, steps, rates[steps:], lambda: False)
    everything = whole.run(0, 0, rates)
    assert_same_bits(stopped.state, whole.state)
    assert int(rest.steps) + steps == int(everything.steps) == n
    for name in ("loss", "score", "weight", "norm"):
        # float32 sums of 2000 numbers in two orders
        together = float(getattr(begun, name)) + float(getattr(rest, name))
        assert together == pytest.approx(float(getattr(everything, name)), rel=2000 * UNIT)


@pytest.mark.parametrize("engine", NATIVE, indirect=True)
@pytest.mark.parametrize(
    ("loss", "extras"),
    [
        (SoftmaxCrossEntropy(), {}),
        (MultiSoftmaxCrossEntropy((3, 7)), {"max_weight_norm": 0.9, "ema_decay": 0.9}),
        (
            Quantile((0.1, 0.5)),
            {"optimizer": GradientAccumulation(Adam(), 2), "max_weight_norm": 0.9, "clip": ClipNorm(0.5)},
        ),
    ],
)
def test_native_gives_the_same_bits_on_any_number_of_threads(engine, loss, extras):
    hidden = mlp(300, [256, 130], 10, norm="batch", dropout=0.2).layers
    net = Net(300, [Scale(), *hidden[:-1], Dense(40), Scale(), ParametricActivation("tanh"), hidden[-1]])
    recipe, random = Recipe(net, loss, batch_size=250, **extras), np.random.default_rng(3)
    rows = Rows.of(recipe, random.normal(size=(610, 300)), targets(loss, random, 610, 10))
    found = []
    for threads in (1, 2, 3):
        with threadpool_limits(threads):
            session = engine.compile(recipe, rows)
            assert session.threads <= threads
            advance(session, recipe, 610, np.full(7, 0.01))
            found.append((session.state, session.logits(rows.X)))
    for state, Z in found[1:]:
        assert_same_bits(state, found[0][0])
        np.testing.assert_array_equal(Z, found[0][1])


@pytest.mark.parametrize("engine", NATIVE, indirect=True)
def test_embeddings_give_the_same_bits_on_any_number_of_threads(engine):
    for first, inputs in EMBEDDINGS:
        net = Net(inputs, [first, Dense(256), Activation("relu"), Dense(128), Dropout(0.2), Dense(3)])
        recipe = Recipe(net, MeanSquaredError(), batch_size=250)
        case = fill(recipe, 610, 0.01, True, 4)
        found = []
        for threads in (1, 2, 3):
            session = type(engine)(threads).compile(*case.rows("float32"))
            advance(session, recipe, 610, case.rates[:7])
            found.append((session.state, session.logits(case.X)))
        for state, Z in found[1:]:
            assert_same_bits(state, found[0][0])
            np.testing.assert_array_equal(Z, found[0][1])


@pytest.mark.parametrize("engine", NATIVE, indirect=True)
def test_native_runs_the_instruction_set_that_the_environment_names(engine):
    recipe = Recipe(mlp(2, [3], 2), SoftmaxCrossEntropy())
    session = engine.compile(recipe, Rows.of(recipe, np.eye(2), np.arange(2)))
    assert session.isa == os.environ["CHAINRULE_ISA"]


def test_inference_uses_the_running_mean_once_there_is_one(engine):
    net = mlp(4, [6], 2, norm="layer")
    recipe = Recipe(net, MeanSquaredError(), Adam(), batch_size=5, ema_decay=0.9, dtype="float64")
    random = np.random.default_rng(5)
    rows = Rows.of(recipe, random.normal(size=(15, 4)), random.normal(size=(15, 2)))
    session = engine.compile(recipe, rows)
    tolerance = {"rtol": 1e-10, "atol": 1e-12}
    np.testing.assert_allclose(session.logits(rows.X), net(recipe.start().w, np.zeros(0), rows.X), **tolerance)
    weights = []
    for i in range(3):
        session.run(0, i, np.full(1, 0.05))
        weights.append(session.state.w)
    # by hand: shares .1, .09, .081 of the latest, the one before, the first; divided by their sum, 1 - .9³
    mean = (0.1 * weights[2] + 0.09 * weights[1] + 0.081 * weights[0]) / 0.271
    np.testing.assert_allclose(session.logits(rows.X), net(mean, np.zeros(0), rows.X), **tolerance)
    assert largest(net(mean, np.zeros(0), rows.X) - net(weights[2], np.zeros(0), rows.X)) > 1e-3


def test_every_column_stays_within_max_norm_but_for_frozen_ones(engine):
    net = mlp(20, [40], 3)
    recipe = Recipe(
        net,
        MeanSquaredError(),
        Adam(),
        batch_size=5,
        max_weight_norm=0.4,
        learning_rate_multipliers={"0.*": 0.0},
        dtype="float64",
    )
    random = np.random.default_rng(6)
    session = engine.compile(recipe, Rows.of(recipe, random.normal(size=(15, 20)), random.normal(size=(15, 3))))
    advance(session, recipe, 15, np.full(9, 0.05))
    first, last = (net.parameters.views(session.state.w)[name] for name in ("0.W", "2.W"))
    np.testing.assert_array_equal(first, net.parameters.views(recipe.start().w)["0.W"])
    assert np.linalg.norm(first, axis=0).max() > 0.4
    assert np.linalg.norm(last, axis=0).max() == pytest.approx(0.4, rel=1e-12)
