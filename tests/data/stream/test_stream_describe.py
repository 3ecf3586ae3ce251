"""Why: data that are streamed must be described and scaled as the same rows are in memory.

In: tables with every kind of column, streamed with much and with little memory. Out: equal schemas; scaling equal to 1e-12.
"""

import datetime as dt

import numpy as np
import polars as pl
import pytest

from chainrule.data import Standardizer
from chainrule.data.stream import open_dataset
from chainrule.data.stream.described import describe_stream
from chainrule.data.stream.moments import Moments, deviations_of
from chainrule.data.stream.quantiles import facts_of
from chainrule.data.table import ReadOptions, describe
from chainrule.errors import InvalidValueError

N = 3000


def table(n=N):
    rng = np.random.default_rng(0)
    gappy = rng.normal(size=n)
    gappy[::7] = np.nan
    start = dt.datetime(2024, 1, 1)
    return pl.DataFrame(
        {
            "number": rng.normal(size=n) * 1e3,
            "single": rng.normal(size=n).astype(np.float32),
            "whole": rng.integers(-5, 90, n),
            "gaps": pl.Series(gappy, nan_to_null=True),
            "infinite": np.where(np.arange(n) % 900 == 5, np.inf, rng.normal(size=n)),
            "kind": rng.choice(["x", "y", "zz", "rare"], n, p=[0.5, 0.3, 0.1999, 0.0001]),
            "many": [f"level {i}" for i in rng.integers(0, 400, n)],
            "marks": rng.choice(["a", "b", "NA", ""], n),
            "yes": rng.random(n) > 0.3,
            "row_id": np.arange(n) * 3 + 7,
            "counts": np.arange(n),
            "when": [start + dt.timedelta(hours=7 * i) for i in range(n)],
            "constant": np.full(n, 4.5),
            "empty": pl.Series([None] * n, dtype=pl.Float64),
            "copy": rng.normal(size=n).astype(np.float32),
            "y": rng.choice(["no", "yes"], n),
        }
    ).with_columns(pl.col("single").alias("twin"))


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    folder = tmp_path_factory.mktemp("files")
    frame = table()
    for k in range(3):
        frame[k * 1000 : (k + 1) * 1000].write_parquet(folder / f"part-{k}.parquet", row_group_size=170)
    return folder, frame


@pytest.mark.parametrize("memory", [2**30, 10_000])
def test_a_streamed_table_is_described_as_in_memory(files, memory):
    folder, frame = files
    source = open_dataset(f"{folder}/*.parquet", "y", max_memory="8MB").source
    options = ReadOptions(kinds={"whole": "category"}, drop=() if memory > 10_000 else ("many",))
    seen = describe_stream("files", source, "y", options, memory if memory > 10_000 else 60_000)
    expected = describe("files", frame, "y", options)
    for one, other in zip(seen.columns, expected.columns, strict=True):
        if one.name == "infinite":  # (a warning names it in memory)
            assert one.gaps == other.gaps
        assert one == other
    assert {"number", "category", "boolean", "date", "id", "constant", "duplicate"} <= {c.kind for c in seen.columns}


def test_too_many_distinct_texts_are_named(files):
    folder, _ = files
    source = open_dataset(f"{folder}/*.parquet", "y", max_memory="8MB").source
    with pytest.raises(InvalidValueError, match="distinct texts of column 'many' must fit"):
        describe_stream("files", source, "y", ReadOptions(), 10_000)


VALUES = {
    "normal": np.random.default_rng(0).normal(size=4001),
    "far from zero": 1e9 + np.random.default_rng(1).normal(size=4000),
    "repeated": np.repeat([1.0, 2.0, 5.0], [3000, 10, 900]),
    "both signs and zeros": np.array([-0.0, 0.0, -3.5, 2.0, 1e-300, -1e-300] * 100),
    "with gaps": np.where(np.arange(4000) % 3 == 0, np.nan, np.arange(4000.0)),
    "one": np.array([4.0]),
    "none": np.full(5, np.nan),
    "huge": np.random.default_rng(2).normal(size=999) * 1e300,
}


@pytest.mark.parametrize("name", VALUES)
@pytest.mark.parametrize("room", [3, 100_000])
def test_quartiles_of_a_large_column_are_exact(name, room):
    values = VALUES[name]
    found = facts_of(lambda: ((0, values[i : i + 331]) for i in range(0, len(values), 331)), 1, room)[0]
    known = pl.Series(values).fill_nan(None).drop_nulls()
    assert found.filled == len(known)
    if len(known):
        expected = [known.quantile(q, "linear") for q in (0.25, 0.5, 0.75)]
        np.testing.assert_allclose(found.quartiles, expected, rtol=1e-14)
        assert (found.lowest, found.highest) == (known.min(), known.max())


COLUMNS = np.column_stack(
    [
        np.random.default_rng(0).normal(size=5000),
        1e8 + np.random.default_rng(1).normal(size=5000),
        np.full(5000, 7.25),
        (np.random.default_rng(2).random(5000) < 0.002) * 3.0,
        1e-170 * np.random.default_rng(3).normal(size=5000),
        np.random.default_rng(4).integers(0, 2, 5000),
    ]
)


@pytest.mark.parametrize("shared", [False, True])
@pytest.mark.parametrize("weighted", [None, "zeros", "any"])
@pytest.mark.parametrize("size", [1, 700, 5000])
def test_scaling_in_one_pass_is_that_in_memory(shared, weighted, size):
    X = COLUMNS[: 200 if size == 1 else 5000]
    rng = np.random.default_rng(5)
    weights = {None: None, "zeros": (rng.random(len(X)) > 0.3) * 1.0, "any": rng.random(len(X))}[weighted]

    def blocks():
        for i in range(0, len(X), size):
            yield X[i : i + size].copy(), None if weights is None else weights[i : i + size]

    moments = Moments(X.shape[1])
    for block in blocks():
        moments.add(*block)
    tiny = moments.tiny if not shared else np.empty(0, int)
    found = moments.standardizer(shared, not shared, deviations_of(moments, tiny, blocks()) if len(tiny) else None)
    expected = Standardizer.fit(X, shared=shared, weights=weights, hold_constant=not shared)
    np.testing.assert_allclose(found.mean, expected.mean, rtol=1e-12, atol=1e-12 * float(expected.scale[0]))
    np.testing.assert_allclose(found.scale, expected.scale, rtol=1e-12)
