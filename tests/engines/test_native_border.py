"""Why: the extension reads raw memory, so every function of it must refuse what is not the array it expects.

In: every bound function with every kind of wrong array, number and plan. Out: our own error, or the right result.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
from bad_arrays import every_wrong, refusal, wrong_layouts, wrong_types

from chainrule.engines.base import Rows
from chainrule.engines.native import NativeEngine, NativeSession, extension, field_names, record
from chainrule.engines.plan import lower
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
from chainrule.nn.losses import MeanSquaredError, MultiSoftmaxCrossEntropy, Quantile, SoftmaxCrossEntropy
from chainrule.nn.net import Net
from chainrule.nn.optimizers import Adam, GradientAccumulation
from chainrule.nn.penalties import ClipNorm
from chainrule.nn.step import Recipe

module = extension()
pytestmark = pytest.mark.skipif(module is None, reason="the compiled extension is not built")

N = 11
EMBEDDINGS = Parallel(
    [
        (1, CosineEmbedding(2)),
        (1, PBLDEmbedding(3, 2)),
        (2, PiecewiseLinearEmbedding((-1.0, 0.0, 1.0), 2)),
        (2, CategoryEmbedding((3, 2), 2)),
        (1, Scale()),
        (1, Activation("identity")),
    ]
)
NET = Net(
    8,
    [
        *(EMBEDDINGS, Dense(6, bias=False), BatchNorm(), Activation("relu"), Dropout(0.2)),
        *(Dense(5), Activation("tanh"), LayerNorm(), ParametricActivation("gelu"), Dense(4)),
    ],
)
SETTINGS = {"optimizer": GradientAccumulation(Adam(), 2), "ema_decay": 0.9, "max_weight_norm": 1.0, "batch_size": 4}


ALL = np.empty(0, np.uint32)
"""No numbers of rows: every row takes part."""


class Bound:
    """A session of the extension with the right arguments for each of its functions."""

    def __init__(self, dtype: str = "float32", loss: Any = None) -> None:
        loss = SoftmaxCrossEntropy() if loss is None else loss
        self.recipe = Recipe(NET, loss, dtype=dtype, **SETTINGS)
        draw = np.random.default_rng(0)
        exclusive = isinstance(loss, SoftmaxCrossEntropy)
        Y = draw.integers(0, 4, N) if exclusive else draw.random((N, 4))
        rows = Rows.of(self.recipe, draw.integers(0, 2, (N, 8)).astype(float), Y)
        self.rows = {"X": rows.X, "Y": rows.Y, "c": rows.c}
        plan = lower(self.recipe)
        self.plan = {
            "stages": [record(module, "FusedStage", stage.fields()) for stage in plan.stages],
            "phases": [record(module, "Phase", phase.fields()) for phase in plan.phases],
            "settings": record(module, "TrainingSettings", plan.settings()),
        }
        self.session = self.make()

    def make(self, **changed: Any) -> Any:
        """A session, some arguments changed."""
        return module.Session(**{**self.plan, **self.rows, "visited": ALL, "threads": 1, **changed})

    def predictor(self, **changed: Any) -> Any:
        """A predictor of the same network, some arguments changed."""
        start = self.recipe.start()
        numbers = {"w": start.w, "statistics": start.buffers, "mean": None, "scale": None}
        return module.Predictor(**{"stages": self.plan["stages"], **numbers, "threads": 1, **changed})

    def state(self) -> dict[str, Any]:
        """Arrays of the right sizes for `read` and `write`."""
        start = self.recipe.start()
        return {"w": start.w, "statistics": start.buffers, **start.optimizer_state}

    def put(self, arrays: dict[str, Any]) -> None:
        """Write a state."""
        self.session.write(**_split(arrays), step=0)

    def get(self, arrays: dict[str, Any]) -> None:
        """Read a state."""
        self.session.read(**_split(arrays))

    def functions(self) -> Iterator[tuple[str, dict[str, Any], Callable[..., Any]]]:
        """Every function that takes arrays, with the right ones and how to call it with some of them changed."""
        yield "Session", self.rows, lambda a: self.make(**a)
        yield "write", self.state(), self.put
        yield "read", self.state(), self.get
        yield "run", {"rates": np.full(3, 1e-3)}, lambda a: self.session.run(0, 0, a["rates"], lambda: False)
        Z = np.empty((N, 4), self.recipe.dtype)
        yield "logits", {"X": self.rows["X"], "Z": Z}, lambda a: self.session.logits(a["X"], a["Z"])
        predictor = self.predictor()
        yield "Predictor.logits", {"X": self.rows["X"], "Z": Z}, lambda a: predictor.logits(a["X"], a["Z"])
        start = self.recipe.start()
        numbers = {"w": start.w, "statistics": start.buffers, "mean": np.zeros(8), "scale": np.ones(8)}
        yield "Predictor", numbers, lambda a: self.predictor(**a)
        few = {"X": self.rows["X"][:2].copy(), "Z": Z[:2].copy()}
        yield "logits of few rows", few, lambda a: self.session.logits(a["X"], a["Z"])


def _split(arrays: dict[str, Any]) -> dict[str, Any]:
    vectors = {name: array for name, array in arrays.items() if name not in ("w", "statistics")}
    return {"w": arrays["w"], "statistics": arrays["statistics"], "vectors": vectors}


def refused(call: Callable[[], Any]) -> bool:
    """Whether a call ends in our own error; any other error fails the test."""
    told = refusal(call)
    assert not told or " must be " in told, told
    return bool(told)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("loss", [SoftmaxCrossEntropy(), MeanSquaredError()], ids=["classes", "values"])
def test_every_function_refuses_every_wrong_array(dtype, loss):
    bound = Bound(dtype, loss)
    tried = 0
    for function, right, call in bound.functions():
        assert not refused(lambda call=call, right=right: call(right)), function
        for name, array in right.items():
            for kind, wrong in every_wrong(array):
                fewer_rates = name == "rates" and kind == "one row less"
                if fewer_rates or (name == "statistics" and kind == "one row less" and not array.size):
                    continue
                tried += 1
                changed = {**right, name: wrong}
                assert refused(lambda call=call, changed=changed: call(changed)), (function, name, kind)
    assert tried >= 500


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_read_only_arrays_are_read_but_not_written(dtype):
    bound = Bound(dtype)
    written = {("read", name) for name in bound.state()} | {
        ("logits", "Z"),
        ("logits of few rows", "Z"),
        ("Predictor.logits", "Z"),
    }
    tried = 0
    for function, right, call in bound.functions():
        for name, array in right.items():
            fixed = array.copy()
            fixed.flags.writeable = False
            expected = (function, name) in written
            assert refused(lambda c=call, r={**right, name: fixed}: c(r)) == expected, (function, name)
            tried += 1
    assert tried >= 20


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_numbers_of_rows_are_checked(dtype):
    bound = Bound(dtype)
    right = np.arange(N, dtype=np.uint32)
    assert not refused(lambda: bound.make(visited=right[::-1].copy()))
    for _, wrong in [*wrong_types(right), *wrong_layouts(right)]:
        assert refused(lambda wrong=wrong: bound.make(visited=wrong))
    for outside in (N, N + 1, 2**31, 2**32 - 1):
        assert refused(lambda outside=outside: bound.make(visited=np.array([0, outside], np.uint32)))


def test_a_call_for_several_networks_refuses_every_wrong_array():
    bound = Bound()
    other = Bound("float64")
    several = module.Networks([bound.predictor(), bound.predictor()], [0, 1])
    right = {"first": bound.rows["X"], "second": bound.rows["X"].copy(), "Z": np.empty((2, N, 4), np.float32)}

    def call(arrays):
        several.logits([arrays["first"], arrays["second"]], arrays["Z"])

    assert not refused(lambda: call(right))
    for name, array in right.items():
        for kind, wrong in every_wrong(array):
            assert refused(lambda changed={**right, name: wrong}: call(changed)), (name, kind)
    assert refused(lambda: several.logits([right["first"]], right["Z"]))
    assert refused(lambda: several.logits(right["first"], right["Z"]))
    one = bound.predictor()
    scaled = bound.predictor(mean=np.zeros(8), scale=np.ones(8))
    for predictors, rows in (
        ([], []),
        ([one], []),
        ([one, other.predictor()], [0, 0]),
        ([one, scaled], [0, 0]),
        ([bound.session], [0]),
        ([None], [0]),
        (None, [0]),
    ):
        assert refused(lambda predictors=predictors, rows=rows: module.Networks(predictors, rows))
    assert refused(lambda: module.Networks([one], [-1]))


READ_ANYWHERE = (
    *("every second number", "negative strides", "Fortran order", "columns of a wider one"),
    *("dtype f4", "dtype f8"),
)
"""Rows in the user's units may be of either type and lie anywhere."""

MATRIX_ALLOWS = {
    "X": (*READ_ANYWHERE, "one row more", "ten times the rows"),
    "visited": ("None",),
    "Z": ("dtype f4", "dtype f8"),
}
"""What a matrix that is scaled row by row may be besides."""


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_functions_that_scale_refuse_every_wrong_array(dtype):
    bound = Bound(dtype)
    predictor = bound.predictor(mean=np.zeros(8), scale=np.ones(8))
    X, numbers = bound.rows["X"], np.arange(N, dtype=np.uint32)
    mean = {"mean": np.zeros(8), "scale": np.ones(8)}
    functions = (
        ({"X": X, "Z": np.empty((N, 4), dtype)}, lambda a: predictor.logits(a["X"], a["Z"])),
        ({"X": X, "classes": np.empty(N, np.int64)}, lambda a: predictor.classes(a["X"], a["classes"], 1.0)),
        ({"X": X, "visited": numbers, **mean, "Z": np.empty((N, 8), dtype)}, lambda a: module.standardize(*a.values())),
    )
    tried = 0
    for right, call in functions:
        assert not refused(lambda call=call, right=right: call(right))
        for name, array in right.items():
            for kind, wrong in every_wrong(array):
                allowed = MATRIX_ALLOWS if "visited" in right else {"X": READ_ANYWHERE}
                free = kind in allowed.get(name, ())
                changed = {**right, name: wrong}
                assert refused(lambda call=call, changed=changed: call(changed)) != free, (name, kind)
                tried += 1
    assert tried >= 200
    for outside in (N, 2**31, 2**32 - 1):
        wrong = np.array([0, outside], np.uint32)
        assert refused(lambda wrong=wrong: module.standardize(X, wrong, *mean.values(), np.empty((2, 8), dtype)))
    assert refused(lambda: module.standardize(X, None, *mean.values(), X))


NUMBERS = [None, "1", 1.5, -1, -(2**63), 2**63, 2**70, math.nan, math.inf, [], np.zeros(2)]


@pytest.mark.parametrize("wrong", NUMBERS, ids=str)
def test_numbers_out_of_range_are_refused(wrong):
    bound = Bound()
    rates = np.full(1, 1e-3)
    assert refused(lambda: bound.make(threads=wrong))
    assert refused(lambda: bound.predictor(threads=wrong))
    assert refused(lambda: bound.session.run(wrong, 0, rates, lambda: False))
    assert refused(lambda: bound.session.run(0, wrong, rates, lambda: False))
    assert refused(lambda: bound.session.write(**_split(bound.state()), step=wrong))


@pytest.mark.parametrize("threads", [1025, 10**6, 2**31, 2**40])
def test_no_machine_has_that_many_threads(threads):
    assert refused(lambda: Bound().make(threads=threads))
    with pytest.raises(InvalidValueError, match=r"NativeEngine: threads must be a whole number in \[0, 1024\]"):
        NativeEngine(threads)


@pytest.mark.parametrize("rates", [[math.nan], [math.inf], [-1e-3], [0.1, math.nan], [1e-3] * 4])
def test_rates_are_finite_and_not_more_than_batches(rates):
    assert refused(lambda: Bound().session.run(0, 0, np.array(rates), lambda: False))


@pytest.mark.parametrize(("first", "count"), [(1, 3), (3, 1), (4, 0), (2, 2), (100, 1)])
def test_batches_behind_the_last_are_refused(first, count):
    assert refused(lambda: Bound().session.run(0, first, np.zeros(count), lambda: False))


@pytest.mark.parametrize("stop", [None, 0, "stop", [], 1.5, np.zeros(1)], ids=str)
def test_stop_is_a_function(stop):
    assert refused(lambda: Bound().session.run(0, 0, np.zeros(1), stop))


@pytest.mark.parametrize("label", [-1, 4, 5, 2**31, 2**32, -(2**63), 2**63 - 1])
def test_classes_without_an_output_are_refused(label):
    bound = Bound()
    y = bound.rows["Y"].copy()
    y[7] = label
    assert refused(lambda: bound.make(Y=y))


def test_classes_changed_after_the_session_was_made_are_checked_before_they_are_read():
    """The extension once took classes as they came at each step, and wrote where they pointed."""
    bound = Bound()
    bound.session.run(0, 0, np.full(3, 1e-2), lambda: False)
    bound.rows["Y"][:] = 2
    assert bound.session.run(1, 0, np.full(3, 1e-2), lambda: False).steps == 3
    bound.rows["Y"][5] = 10**9
    assert refused(lambda: bound.session.run(2, 0, np.full(3, 1e-2), lambda: False))


@pytest.mark.parametrize("weight", [-1.0, math.nan, math.inf, -math.inf, -1e-30])
def test_weights_of_rows_are_finite_and_not_negative(weight):
    bound = Bound()
    c = bound.rows["c"].copy()
    c[3] = weight
    assert refused(lambda: bound.make(c=c))


@pytest.mark.parametrize("n", [0, 1, 2, 3, 4, 5, 200])
def test_any_number_of_rows_to_predict_is_right(n):
    bound = Bound("float64")
    bound.put(bound.state())
    X = np.random.default_rng(1).integers(0, 2, (n, 8)).astype(float)
    Z = np.full((n, 4), np.nan)
    bound.session.logits(X, Z)
    start = bound.recipe.start()
    np.testing.assert_allclose(Z, NET(start.w, start.buffers, X), rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("code", [-1.0, 2.0, 3.0, 1e9, -1e30, math.nan, math.inf, -math.inf, 1e300])
def test_codes_outside_a_table_count_as_unknown(code):
    bound = Bound("float64")
    bound.put(bound.state())
    X = np.zeros((6, 8))
    X[:, 5] = code
    known = X.copy()
    known[:, 5] = 0.0
    Z, Z_known = np.empty((6, 4)), np.empty((6, 4))
    bound.session.logits(X, Z)
    bound.session.logits(known, Z_known)
    np.testing.assert_array_equal(Z, Z_known)


def test_arrays_that_are_written_share_no_memory():
    bound = Bound()
    square = np.zeros((N, 8), np.float32)
    overlapping = square.reshape(-1)[: N * 4].reshape(N, 4)
    assert refused(lambda: bound.session.logits(square, overlapping))
    state = bound.state()
    assert refused(lambda: bound.get({**state, "m": state["w"]}))
    assert refused(lambda: bound.get({**state, "v": state["m"]}))


@pytest.mark.parametrize(
    "vectors",
    [None, [], "w", {}, {"m": 0}, "missing", "more", "other"],
    ids=str,
)
def test_the_vectors_of_a_state_are_those_of_the_optimizer(vectors):
    bound = Bound()
    state = _split(bound.state())
    names = dict(state["vectors"])
    if vectors == "missing":
        vectors = {name: names[name] for name in list(names)[1:]}
    elif vectors == "more":
        vectors = {**names, "u": names["m"]}
    elif vectors == "other":
        vectors = {("x" if name == "m" else name): array for name, array in names.items()}
    for function in (bound.session.read, lambda **given: bound.session.write(**given, step=0)):
        assert refused(lambda f=function, v=vectors: f(**{**state, "vectors": v}))


def test_plans_and_settings_are_plans_and_settings():
    bound = Bound()
    for name in ("stages", "phases", "settings"):
        for wrong in (None, 1, "abc", [1], [None], {}, np.zeros(2)):
            assert refused(lambda n=name, x=wrong: bound.make(**{n: x})), (name, wrong)
    for wrong in (None, 1, {}, "x"):
        assert refused(lambda x=wrong: module.vector_names(x))
    assert refused(lambda: bound.make(stages=[]))
    assert refused(lambda: bound.make(phases=[]))
    stages, phases = bound.plan["stages"], bound.plan["phases"]
    for wrong in (stages[:-1], stages[1:], stages[::-1], stages * 2):
        assert refused(lambda x=wrong: bound.make(stages=x))
        assert refused(lambda x=wrong: bound.predictor(stages=x))
    for wrong in (phases[1:], phases[::-1], phases * 2):
        assert refused(lambda x=wrong: bound.make(phases=x))


WRONG_NUMBERS = [-(2**62), -2, -1, 0, 1, 2, 3, 5, 7, 100, 2**20, 2**31, 2**40, 2**62]
WRONG_REALS = [math.nan, math.inf, -math.inf, -1.0, 0.0, 0.5, 1.0, 2.0, 1e300, -1e-300]


def _changes(value: Any) -> Iterator[Any]:
    """Other values of a field, of its own type."""
    if isinstance(value, bool | int):
        yield from (x for x in WRONG_NUMBERS if x != value)
    elif isinstance(value, float):
        yield from WRONG_REALS
    elif isinstance(value, list):
        numbers = WRONG_REALS if value and isinstance(value[0], float) else WRONG_NUMBERS
        yield from ([], value[:-1], value[1:], [*value, *value[:1]], value[::-1])
        yield from ([x, *value[1:]] for x in numbers)
        yield from ([*value[:-1], x] for x in numbers)
    else:
        yield from type(value)


def _copied(struct: Any) -> Any:
    """A copy of a struct of the extension, field by field."""
    other = type(struct)()
    for name in field_names(type(struct)):
        value = getattr(struct, name)
        groups = isinstance(value, list) and value and type(value[0]).__name__ == "FeatureGroup"
        setattr(other, name, [_copied(each) for each in value] if groups else copy.copy(value))
    return other


def _plans(bound: Bound) -> Iterator[tuple[str, Any, Callable[[Any], dict[str, Any]]]]:
    """Each struct of a plan, and how a changed one takes its place."""
    for list_name in ("stages", "phases"):
        for i, struct in enumerate(bound.plan[list_name]):
            yield (
                f"{list_name}[{i}]",
                struct,
                lambda s, n=list_name, i=i: {n: [*bound.plan[n][:i], s, *bound.plan[n][i + 1 :]]},
            )
    yield "settings", bound.plan["settings"], lambda s: {"settings": s}
    first = bound.plan["stages"][0]
    for j in range(len(first.groups)):

        def with_group(group: Any, j: int = j) -> dict[str, Any]:
            stage = _copied(first)
            stage.groups = [*stage.groups[:j], group, *stage.groups[j + 1 :]]
            return {"stages": [stage, *bound.plan["stages"][1:]]}

        yield f"groups[{j}]", first.groups[j], with_group


@pytest.mark.parametrize(
    "loss",
    [SoftmaxCrossEntropy(), Quantile((0.2, 0.8)), MultiSoftmaxCrossEntropy((1, 3))],
    ids=["classes", "quantile", "heads"],
)
def test_a_plan_with_any_field_changed_is_refused_or_runs(loss):
    """What runs must stay within its memory, which the sanitizers watch (native/sanitize.sh)."""
    bound = Bound("float64", loss)
    tried, refusals = 0, 0
    for name, struct, placed in _plans(bound):
        for field in sorted(field_names(type(struct))):
            if field == "groups":
                continue
            for value in _changes(getattr(struct, field)):
                changed = _copied(struct)
                try:
                    setattr(changed, field, value)
                except TypeError:
                    continue  # not even a value of the field's type
                tried += 1
                given = placed(changed)
                if refused(lambda g=given: bound.make(**g)):
                    refusals += 1
                    continue
                session = bound.make(**given)
                batches = -(-N // changed.batch_size) if name == "settings" else 3
                session.run(0, 0, np.full(min(batches, 2), 1e-3), lambda: False)
                session.logits(bound.rows["X"], np.empty((N, 4)))
    assert tried > 1500
    assert refusals > 0.5 * tried


def test_offsets_that_overlap_are_refused():
    bound = Bound()
    stages = [_copied(stage) for stage in bound.plan["stages"]]
    dense = next(stage for stage in stages if stage.dense and stage.b >= 0)
    dense.b = dense.W
    assert refused(lambda: bound.make(stages=stages))


def test_a_clipped_plan_has_the_same_border():
    recipe = Recipe(NET, MeanSquaredError(), batch_size=4, clip=ClipNorm(1.0))
    rows = Rows.of(recipe, np.zeros((N, 8)), np.zeros((N, 4)))
    session = NativeSession(recipe, rows)
    assert session.run(0, 0, np.full(3, 1e-3)).steps == 3
    for name in ("w", "buffers"):
        state = session.state
        short = getattr(state, name)[:-1]
        with pytest.raises(InvalidValueError, match=rf"Session: state\.{name} must be of shape"):
            session.load(type(state)(**{**vars(state), name: short}))


def test_the_error_of_an_unknown_instruction_set_is_our_own(monkeypatch):
    monkeypatch.setenv("CHAINRULE_ISA", "z80")
    with pytest.raises(InvalidValueError, match="CHAINRULE_ISA must be one of"):
        Bound()
