"""Why: a value that means a missing cell must be as good as an empty cell, in training and in new rows.

In: tables with codes, and the same tables with empty cells. Out: equal descriptions, matrices and answers.
"""

import datetime as dt
import json
import warnings
from dataclasses import replace

import numpy as np
import polars as pl
import pytest

from chainrule import TableRegressor
from chainrule.data import load
from chainrule.data.stream.dataset import StreamedDataset, open_dataset
from chainrule.data.table import ReadOptions, describe
from chainrule.data.table.schema_plain import schema_from_plain, schema_to_plain
from chainrule.errors import DataWarning, FormatError, InvalidValueError

RNG = np.random.default_rng(0)
N = 120
DAYS = [dt.date(2020, 1, 1) + dt.timedelta(days=int(each)) for each in RNG.integers(0, 900, N)]
CELLS = {
    "whole numbers": (RNG.integers(1, 90, N).tolist(), -999, [-999]),
    "a number as a text": (RNG.integers(1, 90, N).tolist(), -999, ["-999.0"]),
    "fractions": (RNG.normal(size=N).round(3).tolist(), 9999.99, "9999.99"),
    "two codes": (RNG.normal(size=N).round(3).tolist(), -1e6, [-1e6, 77777]),
    "texts": (RNG.choice(["red", "blue"], N).tolist(), "not given", ["not given"]),
    "numbers among texts": (RNG.normal(size=N).round(3).astype(str).tolist(), "unknown", ["unknown"]),
    "decimal commas": ([f"{x:.2f}".replace(".", ",") for x in RNG.normal(size=N)], "-9999,00", [-9999]),
    "booleans": (RNG.choice(["true", "false"], N).tolist(), "2", [2]),
    "dates": (DAYS, dt.date(1900, 1, 1), ["1900-01-01"]),
    "dates as texts": ([f"{day:%d.%m.%Y}" for day in DAYS], "01.01.1900", ["01.01.1900"]),
}
ROWS = np.r_[3:9, 50]


def tables(kind):
    """Return a table with codes, the same with gaps, and the values of codes."""
    cells, code, values = CELLS[kind]
    with_codes, with_gaps = list(cells), list(cells)
    for place, row in enumerate(ROWS):
        with_gaps[row] = None
        with_codes[row] = 77777 if kind == "two codes" and place % 2 else code
    other = RNG.normal(size=N)
    y = other + RNG.normal(size=N)
    frames = [pl.DataFrame({"x": column, "z": other, "y": y}, strict=False) for column in (with_codes, with_gaps)]
    return *frames, {"x": values}


def bare(schema):
    """Return a description without its values for missing cells, and without reasons."""
    return [replace(column, missing=(), reason="") for column in schema.columns]


@pytest.mark.parametrize("kind", CELLS)
def test_codes_are_gaps_in_training_and_in_new_rows_of_any_form(kind):
    coded, gapped, missing = tables(kind)
    schema = describe("t", coded, "y", ReadOptions(missing=missing))
    expected = describe("t", gapped, "y")
    assert bare(schema) == bare(expected)
    assert "(--missing)" in schema.columns[0].reason
    assert schema.columns[0].gaps == len(ROWS)
    assert np.array_equal(schema.design("t", coded), expected.design("t", gapped))
    E = expected.encode("t", gapped)
    notes = []
    assert np.array_equal(schema.encode("t", coded, notes), E, equal_nan=True)
    assert notes == []
    for row in (*ROWS[:2], 20):
        cells = coded.row(int(row), named=True)
        assert np.array_equal(schema.encode("t", cells), E[[row]], equal_nan=True)
        assert np.array_equal(schema.encode("t", cells, []), E[[row]], equal_nan=True)


@pytest.mark.parametrize("kind", CELLS)
def test_files_streams_and_saved_descriptions_agree(tmp_path, kind):
    coded, gapped, missing = tables(kind)
    options = ReadOptions(missing=missing)
    for name in ("t.csv", "t.parquet"):
        for frame, folder in ((coded, "coded"), (gapped, "gapped")):
            (tmp_path / folder).mkdir(exist_ok=True)
            path = tmp_path / folder / name
            frame.write_csv(path) if name == "t.csv" else frame.write_parquet(path)
        data = load(tmp_path / "coded" / name, "y", read=options)
        expected = load(tmp_path / "gapped" / name, "y")
        assert data.feature_names == expected.feature_names
        assert np.array_equal(data.X, expected.X)
        saved = json.loads(json.dumps(schema_to_plain(data.schema)))
        assert schema_from_plain(saved) == data.schema
    streams = [
        open_dataset(tmp_path / "coded" / "t.parquet", "y", missing=missing),
        open_dataset(tmp_path / "gapped" / "t.parquet", "y"),
    ]
    assert bare(streams[0].schema) == bare(streams[1].schema)
    rows = [next(stream.batches(N))[0] for stream in streams]
    assert np.array_equal(*rows)
    assert streams[0].source.manifest.fingerprint != streams[1].source.manifest.fingerprint
    assert streams[0].schema.columns[0].missing


def test_a_value_counts_as_it_was_rounded_to_single_precision():
    x = np.append(RNG.normal(size=30), 9999.9).astype(np.float32)
    frame = pl.DataFrame({"x": x, "z": np.arange(31) % 7})
    schema = describe("t", frame, None, ReadOptions(missing={"x": [9999.9]}))
    assert schema.columns[0].gaps == 1
    for cell in (9999.9, float(np.float32(9999.9)), np.float32(9999.9), "9999.9"):
        assert np.isnan(schema.encode("t", {"x": cell, "z": 1})[0, 0])


SPELLINGS = {
    "a unit in one cell": (" kg", ["-999 kg", "-999", "-999.0"], ["-999 kg"]),
    "a unit, typed without": (" kg", ["-999 kg", "-999"], [-999]),
    "another number of decimals": ("", ["9,9", "9,90", "9,9000"], ["9,90"]),
    "a point": ("", ["9,90"], [9.9]),
    "a word beside": ("", ["9,9", "9,90", "unknown"], ["9,90", "unknown"]),
    "a word beside a number": ("", ["-9999,00", "unknown"], [-9999, "unknown"]),
}


@pytest.mark.parametrize("case", SPELLINGS)
@pytest.mark.parametrize("streamed", [False, True])
def test_a_value_is_a_number_however_its_column_writes_it(tmp_path, case, streamed):
    unit, codes, values = SPELLINGS[case]
    cells = [f"{x:.2f}".replace(".", ",") + unit for x in RNG.normal(50, 20, N - len(codes))]
    frame = pl.DataFrame({"x": cells + codes, "z": RNG.normal(size=N), "y": RNG.normal(size=N)})
    expected = describe("t", frame.with_columns(x=pl.Series([*cells, *[None] * len(codes)])), "y")
    if streamed:
        frame.write_parquet(tmp_path / "t.parquet")
        schema = open_dataset(tmp_path / "t.parquet", "y", missing={"x": values}).schema
    else:
        schema = describe("t", frame, "y", ReadOptions(missing={"x": values}))
        frame.write_csv(tmp_path / "t.csv")
        file = load(tmp_path / "t.csv", "y", read=ReadOptions(missing={"x": values}))
        same = replace(expected.columns[0], written=file.schema.columns[0].written)
        assert bare(file.schema) == bare(replace(expected, columns=(same, *expected.columns[1:])))
        for cell in codes:
            assert np.isnan(file.schema.encode("t", {"x": cell, "z": 0.5})[0, 0])
    assert bare(schema) == bare(expected)
    assert schema.warnings == ()
    assert np.isnan(schema.encode("t", frame.tail(len(codes)))[:, 0]).all()
    for cell in codes:
        assert np.isnan(schema.encode("t", {"x": cell, "z": 0.5})[0, 0])


def test_a_value_with_a_unit_is_not_the_number_of_a_column_without():
    frame = pl.DataFrame({"x": [*map(str, RNG.integers(0, 9, 30)), "5", "5 kg"], "z": RNG.normal(size=32)})
    schema = describe("t", frame, None, ReadOptions(missing={"x": ["5 kg"]}))
    assert schema.columns[0].gaps == 1
    assert not np.isnan(schema.encode("t", {"x": "5", "z": 1})[0, 0])


def test_an_old_description_is_read_and_a_new_one_without_values_is_as_before():
    frame = pl.DataFrame({"x": [1.0, 2.0, 5.0]})
    plain = schema_to_plain(describe("t", frame, None))
    assert "missing" not in plain["columns"][0]
    assert schema_from_plain(plain).columns[0].missing == ()


@pytest.mark.parametrize("values", [[1], ["a", "a"], "ab", None, {"a": 1}])
def test_a_damaged_description_is_refused(values):
    plain = schema_to_plain(describe("t", pl.DataFrame({"x": [1.0, 2.0, 5.0]}), None))
    plain["columns"][0]["missing"] = values
    with pytest.raises(FormatError):
        schema_from_plain(plain)


def test_all_faults_are_named_at_once(tmp_path):
    pl.DataFrame({"age": [1, 2, -9], "id": ["a", "b", "c"], "y": [1.5, 2, 3]}).write_csv(tmp_path / "t.csv")
    missing = {"agee": [-9], "age": [-8, -9, -7], "y": [3], "id": ["a"], "none": []}
    with pytest.raises(InvalidValueError) as error:
        load(tmp_path / "t.csv", "y", read=ReadOptions(missing=missing, kinds={"id": "id"}))
    lines = str(error.value)
    assert "'agee'. Did you mean 'age'?" in lines
    assert "missing value of column 'age' must be the value of a cell, got '-8'." in lines
    assert "got '-7'" in lines
    assert "got '-9'" not in lines
    assert "t.csv: column with missing values must be an input, got 'y'. It is the target" in lines
    assert "t.csv: column with missing values must be an input, got 'id'. It is left out as an id." in lines
    with pytest.raises(InvalidValueError, match="open_dataset: missing must be None for arrays, got"):
        open_dataset(np.eye(3), np.arange(3), missing={"x0": [1]})


def test_streams_refuse_what_files_refuse(tmp_path):
    pl.DataFrame({"age": [1, 2, -9] * 9, "y": [1.5, 2, 3] * 9}).write_parquet(tmp_path / "t.parquet")
    missing = {"agee": [-9], "age": [-8], "y": [3]}
    with pytest.raises(InvalidValueError) as error:
        _ = open_dataset(tmp_path / "t.parquet", "y", missing=missing).schema
    assert all(part in str(error.value) for part in ("Did you mean 'age'?", "got '-8'", "It is the target"))


def test_an_id_found_by_the_rules_has_no_missing_value():
    frame = pl.DataFrame({"id": list(range(1, 31)), "x": RNG.normal(size=30)})
    with pytest.raises(InvalidValueError, match="left out as an id: counts the rows"):
        describe("t", frame, None, ReadOptions(missing={"id": [-5]}))


def test_the_key_of_a_stream_has_no_missing_value(tmp_path):
    frame = pl.DataFrame({"g": [1, 2, 3] * 9, "x": [1.5, 2, 3] * 9, "y": [1.5, 2, 4] * 9})
    frame.write_parquet(tmp_path / "t.parquet")
    with pytest.raises(InvalidValueError) as error:
        _ = open_dataset(tmp_path / "t.parquet", "y", key="g", missing={"g": [2], "x": [-7]}).schema
    assert "t.parquet: column with missing values must be an input, got 'g'. It is the group" in str(error.value)
    assert "got '-7'" in str(error.value)


def test_what_is_no_mapping_or_no_value_is_refused(tmp_path):
    frame = pl.DataFrame({"x": [1.5, 2, 3] * 9, "y": [1.5, 2, 4] * 9})
    frame.write_parquet(tmp_path / "t.parquet")
    for missing in (["x"], "x", 5):
        with pytest.raises(
            InvalidValueError, match="open_dataset: missing must be a mapping of columns to values, got"
        ):
            open_dataset(tmp_path / "t.parquet", "y", missing=missing)
    for value in (None, [None], [2, None], [float("nan")], np.array([np.nan], np.float32)):
        with pytest.raises(InvalidValueError, match=r"column 'x' must be a number, a text or a date, got (None|nan)"):
            _ = open_dataset(tmp_path / "t.parquet", "y", missing={"x": value}).schema
        with pytest.raises(InvalidValueError, match="Empty cells are gaps without it"):
            describe("t", frame, "y", ReadOptions(missing={"x": value}))


def test_arrays_are_no_table_with_values_for_missing_cells_either():
    arrays = open_dataset(np.eye(3), np.arange(3)).opened
    options = ReadOptions(missing={"x0": [1]})
    assert not StreamedDataset(arrays, "target", 2**20, 0, options=options).is_table


def test_an_estimator_takes_them_and_warns_of_a_value_that_its_rows_lack():
    coded, gapped, missing = tables("whole numbers")
    y = coded["y"].to_numpy()
    settings = {"seconds": None, "preset": {"members": 2}, "random_state": 0}
    mine = TableRegressor(missing=missing, **settings).fit(coded.drop("y"), y)
    theirs = TableRegressor(**settings).fit(gapped.drop("y"), y)
    assert np.array_equal(mine.predict(coded), theirs.predict(gapped))
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        TableRegressor(missing={"x": -998}, **settings).fit(gapped.drop("y"), y)
    assert any(
        "column 'x': no cell is '-998', a value that means a missing cell (missing)" in str(each.message)
        for each in caught
        if each.category is DataWarning
    )
    with pytest.raises(InvalidValueError, match="missing must be a mapping of columns to values"):
        TableRegressor(missing=[-999]).fit(coded, y)
