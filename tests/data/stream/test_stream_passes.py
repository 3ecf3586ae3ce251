"""Why: the passes before a training must find what the same rows give in memory, however they lie there.

In: columns apart and matrices, masks, weights, ties, gaps. Out: equal moments, hashes, quartiles and scaled rows.
"""

import numpy as np
import polars as pl
import pytest

from chainrule.data import Standardizer
from chainrule.data.row_sketch import row_hashes
from chainrule.data.stream import open_dataset
from chainrule.data.stream import passes as passes_module
from chainrule.data.stream.described import draft_of
from chainrule.data.stream.moments import Moments
from chainrule.data.stream.numbers import NumberSearch
from chainrule.data.stream.passes import leading_bits, number_of_leading, scaled_columns
from chainrule.data.table import ReadOptions, describe
from chainrule.engines import standardized
from chainrule.engines.native import extension
from chainrule.errors import InvalidValueError
from chainrule.pipeline import Settings
from chainrule.pipeline.streaming import build_streamed_problem

RNG = np.random.default_rng(0)
ROWS = np.column_stack(
    [RNG.normal(size=3001), 1e6 + RNG.normal(size=3001), RNG.integers(0, 3, 3001), np.full(3001, 2.5), RNG.random(3001)]
)
WAYS = {
    "columns apart": lambda X: list(np.ascontiguousarray(X.T)),
    "columns after each other": np.asfortranarray,
    "rows": np.ascontiguousarray,
    "every other row of twice as many": lambda X: np.repeat(X, 2, axis=0)[::2],
    "from the end": lambda X: np.ascontiguousarray(X[::-1])[::-1],
}


@pytest.fixture(params=["extension", "none"])
def kernels(request, monkeypatch):
    if request.param == "none":
        monkeypatch.setattr(passes_module, "_extension", lambda: None)


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("kind", ["all", "some", "weighted", "none at first"])
def test_moments_and_hashes_do_not_depend_on_how_rows_lie(kernels, way, dtype, kind):
    X = ROWS.astype(dtype)
    used = {"some": RNG.random(len(X)) > 0.4, "none at first": np.arange(len(X)) > 1500}.get(kind)
    weights = RNG.random(len(X)) if kind == "weighted" else None
    moments = Moments(X.shape[1])
    hashes = np.empty(len(X), np.uint64)
    for part in (slice(0, 1100), slice(1100, 1101), slice(1101, None)):
        own = [None if each is None else each[part] for each in (weights, used)]
        moments.add(WAYS[way](X[part]), *own, hashes[part])
    np.testing.assert_array_equal(hashes, row_hashes(X))
    kept = slice(None) if used is None else used
    expected = Standardizer.fit(X[kept], weights=None if weights is None else weights[kept], hold_constant=True)
    found = moments.standardizer(False, True)
    np.testing.assert_allclose(found.mean, expected.mean, rtol=1e-12)
    np.testing.assert_allclose(found.scale, expected.scale, rtol=1e-12)


@pytest.mark.parametrize("wrong", [np.nan, np.inf, -np.inf, 1e151, -1e200])
@pytest.mark.parametrize("row", [0, 5, 1030])
def test_a_number_that_cannot_be_trained_on_is_refused_only_where_it_counts(kernels, wrong, row):
    X = np.zeros((1031, 3))
    X[row, 1] = wrong
    with pytest.raises(InvalidValueError):
        Moments(3).add(list(X.T.copy()))
    Moments(3).add(list(X.T.copy()), used=np.arange(1031) != row)


SHAPES = [(1, 1), (7, 3), (16, 16), (33, 17), (300, 40), (129, 8)]


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("given", ["float32", "float64"])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("some", [False, True])
def test_columns_that_lie_apart_are_scaled_to_the_same_bits(shape, given, dtype, some):
    X = RNG.normal(size=shape).astype(given) * 3
    mean, scale = RNG.normal(size=shape[1]), RNG.random(shape[1]) + 0.1
    rows = RNG.integers(0, len(X), len(X) + 3).astype(np.uint32) if some else None
    into = np.full((len(X) if rows is None else len(rows), shape[1]), 7, dtype)
    assert scaled_columns(list(X.T.copy()), (mean, scale), rows, into)
    np.testing.assert_array_equal(into, standardized(X, mean, scale, dtype, rows))
    X[-1, 0] = np.nan
    assert scaled_columns(list(X.T.copy()), (mean, scale), np.array([len(X) - 1], np.uint32), into[:1]) is False


COLUMNS = {
    "normal": RNG.normal(size=4001),
    "normal, single": RNG.normal(size=4001).astype(np.float32),
    "far from zero": 1e9 + RNG.normal(size=4000),
    "prices": RNG.choice([0.1, 9.99, 19.95, 100.0], 4000),
    "whole": RNG.integers(-3, 200, 4000).astype(float),
    "whole and large": RNG.integers(-3, 10**6, 4000).astype(float),
    "both signs and zeros": np.array([-0.0, 0.0, -3.5, 2.0, 1e-300, -1e-300] * 100),
    "with gaps": np.where(np.arange(4000) % 3 == 0, np.nan, RNG.normal(size=4000)),
    "with infinite ones": np.where(np.arange(4000) % 3 == 0, -np.inf, RNG.normal(size=4000)),
    "constant": np.full(300, -7.5),
    "one": np.array([4.0]),
    "none": np.full(5, np.nan),
    "huge": RNG.normal(size=999) * 1e300,
    "tiny": RNG.normal(size=999) * 1e-300,
}


@pytest.mark.parametrize("name", COLUMNS)
@pytest.mark.parametrize("most", [1, 10**6])
def test_quartiles_of_numbers_are_exact_or_given_up(kernels, name, most):
    values = COLUMNS[name]
    parts = [values[i : i + 331] for i in range(0, len(values), 331)]
    search = NumberSearch(["a"])
    for part in parts:
        search.look(0, part)
    search.end_of_first()
    left = []
    while search.open:
        chosen = search.chosen(most)
        for part in parts:
            search.collect(0, part)
        left = search.end_of_second(chosen)
    known = values[np.isfinite(values)].astype(float)
    facts = search.facts[0]
    assert (facts.filled, facts.gaps, facts.infinite) == (len(known), len(values) - len(known), np.isinf(values).sum())
    if len(known):
        expected = [pl.Series(known).quantile(q, "linear") for q in (0.25, 0.5, 0.75)]
        np.testing.assert_allclose(facts.quartiles, expected, rtol=1e-14 if not left else 0.02)
        assert (facts.lowest, facts.highest) == (known.min(), known.max())
        assert facts.whole == bool((known == np.rint(known)).all())
    assert not left or most == 1


@pytest.mark.parametrize("value", [0.0, 1.0, -1.0, 2.5, -3e38, 1e-40, 256.0])
def test_leading_bits_follow_the_order_of_numbers(value):
    numbers = np.array([value, np.nextafter(value, np.inf), value + abs(value) * 0.1 + 1e-30])
    bits = leading_bits(numbers)
    assert (np.diff(bits.astype(int)) >= 0).all()
    near = number_of_leading(int(bits[0]))
    assert leading_bits(np.array([near]))[0] == bits[0]
    assert abs(near) <= abs(value)


def test_a_table_of_numbers_gets_its_quartiles_in_the_pass_that_scales(tmp_path, monkeypatch):
    n = 4000
    frame = pl.DataFrame({f"x{j}": RNG.normal(size=n).astype(np.float32 if j % 2 else np.float64) for j in range(6)})
    frame = frame.with_columns(
        whole=pl.Series(RNG.integers(0, 9000, n)), id=pl.Series(RNG.permutation(n)), y=pl.col("x0") * 2
    )
    for k in range(4):
        frame[k * 1000 : (k + 1) * 1000].write_parquet(tmp_path / f"{k}.parquet", row_group_size=100)
    dataset = open_dataset(f"{tmp_path}/*.parquet", "y", max_memory="1.1MiB")
    passes: list[int] = []
    own = type(dataset.source).pieces
    monkeypatch.setattr(
        type(dataset.source),
        "pieces",
        lambda self, g, names=None: passes.append(len(names or [])) or own(self, g, names),
    )
    made = build_streamed_problem(Settings(hidden_layer_sizes=(4,), batch_size=32), dataset)
    groups = len(dataset.source.manifest.sizes)
    assert sum(size >= 6 for size in passes) <= 2 * groups + 20, "at most two passes over all columns"
    expected = describe("files", frame, "y", ReadOptions())
    assert made.schema is not None
    assert list(made.schema.columns) == list(expected.columns)


@pytest.mark.parametrize("memory", [2_000, 60_000, 200_000, 10**6, 10**9])
def test_a_draft_ends_as_the_description_in_memory(tmp_path, memory):
    n = 1500
    frame = pl.DataFrame({f"x{j}": np.round(RNG.normal(size=n), 1 + j) for j in range(5)})
    frame = frame.with_columns(gaps=pl.when(pl.col("x0") > 0).then(pl.col("x1")), twin=pl.col("x2"), y=pl.col("x0"))
    frame.write_parquet(tmp_path / "a.parquet", row_group_size=100)
    source = open_dataset(f"{tmp_path}/*.parquet", "y", max_memory="8MB").source
    draft = draft_of("files", source, "y", ReadOptions(), memory)
    assert list(draft.finished().columns) == list(describe("files", frame, "y", ReadOptions()).columns)


def wrong_calls():
    module = extension()
    X, first, state = np.zeros((4, 2)), np.zeros(2), np.zeros((5, 2))
    good = {"X": X, "used": None, "weights": None, "first": first, "weight": 0.0, "state": state, "hashes": None}
    changes = [
        {"X": np.zeros((4, 3))},
        {"X": [np.zeros(4)]},
        {"X": [np.zeros(4), np.zeros(5)]},
        {"X": [np.zeros(4), np.zeros(4, np.float32)]},
        {"X": [np.zeros(8)[::2], np.zeros(4)]},
        {"X": [state[0], np.zeros(2)]},
        {"used": np.zeros(3, np.uint8)},
        {"weights": np.zeros(4, np.float32)},
        {"first": np.zeros(3)},
        {"weight": -1.0},
        {"state": np.zeros((4, 2))},
        {"hashes": np.zeros(5, np.uint64)},
    ]
    for change in changes:
        yield f"moments {list(change)}", lambda change=change: module.add_moments(**(good | change))
    values, facts, counts = np.zeros(4), np.zeros(8), np.zeros(1 << 16, np.int64)
    for k, each in enumerate(
        [(X, facts, counts), (values, facts[:7], counts), (values, facts, counts[1:]), (facts, facts, counts)]
    ):
        yield f"facts {k}", lambda each=each: module.add_facts(*each)
    for k, each in enumerate(
        [(values, -1, values.copy()), (values, 1 << 16, values.copy()), (values, 1, np.zeros(3)), (values, 1, values)]
    ):
        yield f"leading {k}", lambda each=each: module.with_leading(*each)
    columns, Z, numbers = [np.zeros(4), np.zeros(4)], np.zeros((4, 2)), np.array([0, 4], np.uint32)
    for k, each in enumerate(
        [
            (columns[:1], None, first, first, Z),
            (columns, numbers, first, first, Z[:2]),
            (columns, None, first, first, Z[:3]),
        ]
    ):
        yield f"columns {k}", lambda each=each: module.scale_columns(*each)


@pytest.mark.parametrize("name", [name for name, _ in wrong_calls()])
def test_the_border_refuses_arrays_that_do_not_fit(name):
    with pytest.raises(InvalidValueError):
        dict(wrong_calls())[name]()
