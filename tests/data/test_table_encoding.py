"""Rows must be encoded to the same bits whatever form they have. In: one table in every form. Out: passes or messages."""

import copy
import datetime as dt
import json
import math
import time

import numpy as np
import pandas as pd
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from table_cases import mixed_frame, write_all

from chainrule.data.table import ReadOptions, as_frame, describe, read_file
from chainrule.data.table.codecs import level_hash
from chainrule.data.table.frames import FrameRows
from chainrule.data.table.schema_plain import schema_from_plain, schema_to_plain
from chainrule.errors import ChainruleError, FormatError, InvalidValueError

FRAME = mixed_frame()
SCHEMA = describe("t", FRAME, "y")
E = SCHEMA.encode("t", FRAME)


def bits(array):
    return np.ascontiguousarray(array, np.float32).view(np.uint32)


def with_kinds(schema):
    """The parts of a schema that do not depend on the file's own types of text."""
    return [
        (c.name, c.kind, c.used, c.numbers, c.categories, c.hashed, c.rare, c.gaps, c.value) for c in schema.columns
    ]


@pytest.fixture(scope="module")
def paths(tmp_path_factory):
    return write_all(tmp_path_factory.mktemp("tables"), FRAME)


def test_every_file_gives_the_same_schema_and_the_same_bits(paths):
    assert len(paths) == 9
    for path in paths:
        file = read_file(path)
        schema = describe("t", file.frame, "y")
        assert with_kinds(schema) == with_kinds(SCHEMA), path.name
        np.testing.assert_array_equal(bits(schema.encode("t", file.frame)), bits(E), err_msg=path.name)
        np.testing.assert_array_equal(bits(SCHEMA.encode("t", file.frame)), bits(E), err_msg=path.name)


def forms(frame):
    columns = frame.to_dict(as_series=False)
    return {
        "lazy": frame.lazy(),
        "pandas": pd.DataFrame(columns),
        "pandas with its own types": pd.DataFrame(columns).convert_dtypes(),
        "pandas with objects": pd.DataFrame(columns).astype(object),
        "categorical": frame.with_columns(pl.col("job").cast(pl.Categorical)),
        "dict of lists": columns,
        "dict of arrays": {name: np.array(cells, dtype=object) for name, cells in columns.items()},
        "list of dicts": frame.to_dicts(),
        "other order and more columns": frame.select(reversed(frame.columns)).with_columns(new=pl.lit(1)),
    }


@pytest.mark.parametrize("name", list(forms(FRAME)))
def test_every_form_of_rows_gives_the_same_bits(name):
    rows = forms(FRAME)[name]
    np.testing.assert_array_equal(bits(SCHEMA.encode("t", rows)), bits(E))
    np.testing.assert_array_equal(SCHEMA.design("t", rows), SCHEMA.design("t", FRAME))
    if not name.startswith("other"):
        assert with_kinds(describe("t", as_frame("t", rows), "y")) == with_kinds(SCHEMA)


PARTS = {
    "two halves": (np.arange(0, FRAME.height, 2), np.arange(1, FRAME.height, 2)),
    "all rows": (None,),
    "some rows": (np.array([5, 3, 9]),),
    "all rows twice": (None, None),
    "one row and none": (np.array([7]), np.array([], np.int64)),
}


@pytest.mark.parametrize("parts", PARTS)
def test_parts_are_encoded_as_their_rows_are_and_their_frame_is_emptied(parts):
    frame = FRAME.clone()
    rows = [FrameRows(frame, part) for part in PARTS[parts]]
    expected = [E if part is None else E[part] for part in PARTS[parts]]
    notes = [[] for _ in rows]
    found = SCHEMA.encode_parts("t", list(zip(rows, notes, strict=True)))
    np.testing.assert_array_equal(bits(found), bits(np.vstack(expected)))
    assert found.flags.f_contiguous
    assert frame.width == 0
    assert FRAME.width > 0
    assert not any(notes)


def test_parts_from_frames_of_their_own_are_noted_apart():
    frame = pl.DataFrame({"a": [1.0, 2.0, 3.0, 4.0], "b": ["x", "y", "x", "y"]})
    schema = describe("t", frame, None)
    other = pl.DataFrame({"b": ["z", "x"], "a": [2.0, 1e9], "c": [1, 2]})
    notes = [[], []]
    found = schema.encode_parts("t", [(FrameRows(frame.clone()), notes[0]), (FrameRows(other.clone()), notes[1])])
    np.testing.assert_array_equal(bits(found), bits(np.vstack([schema.encode("t", frame), schema.encode("t", other)])))
    assert notes[0] == []
    assert len(notes[1]) == 3


def test_rows_of_a_frame_are_read_without_a_copy_of_it():
    frame = pl.DataFrame({"a": [1.0, float("nan"), 3.0], "b": ["x", "y", None], "c": [1, 2, 3]})
    rows = FrameRows(frame).without(["c"])
    assert rows.columns == ["a", "b"]
    assert rows["a"].to_list() == [1.0, None, 3.0]
    some = rows.take(np.array([2, 1])).take(np.array([1]))
    assert (some.height, some["a"].to_list(), some["b"].to_list()) == (1, [None], ["y"])
    some.release(["a", "unknown"])
    assert frame.columns == ["b", "c"]


@pytest.mark.parametrize("noted", [False, True])
def test_one_row_as_a_dict_equals_the_row_of_the_frame(noted):
    for row, expected in zip(FRAME.to_dicts(), E, strict=True):
        notes = [] if noted else None
        np.testing.assert_array_equal(bits(SCHEMA.encode("t", row, notes))[0], bits(expected))
        assert not notes


CELLS = st.one_of(
    st.none(), st.booleans(), st.integers(-(2**70), 2**70), st.floats(), st.text(max_size=8), st.dates(), st.datetimes()
)
SENSIBLE = st.sampled_from(["12", "1e3", " 7", "NA", "?", "clerk", "", "2021-05-06", "003", "true", 3, 4.5, None, True])


@settings(max_examples=200, deadline=None)
@given(st.dictionaries(st.sampled_from([c.name for c in SCHEMA.used]), CELLS | SENSIBLE))
def test_any_row_is_encoded_alike_or_refused_alike(changed):
    row = {**FRAME.row(5, named=True), **changed}
    outcomes = []
    for rows, notes in ((row, None), (row, []), ([row], None)):
        try:
            outcomes.append(bits(SCHEMA.encode("t", rows, notes)).tolist())
        except ChainruleError as error:
            outcomes.append(str(error))
    assert outcomes[0] == outcomes[1] == outcomes[2]


def test_one_row_takes_little_time():
    row = FRAME.select(column.name for column in SCHEMA.used).row(5, named=True)
    SCHEMA.encode("t", row)
    took = []
    for _ in range(50):
        start = time.perf_counter()
        SCHEMA.encode("t", row)
        took.append(time.perf_counter() - start)
    assert min(took) < 150e-6


def test_features_and_codes():
    frame = pl.DataFrame({"x": [1.0, None, 3.0, 5.0], "job": ["a", "b", None, "b"], "ok": [True, False, True, None]})
    schema = describe("t", frame, None)
    assert [(f.name, f.kind, f.size) for f in schema.features] == [
        ("x", "number", 0),
        ("job", "category", 4),
        ("ok", "category", 4),
    ]
    expected = [[-1, 2, 3], [math.nan, 3, 2], [0, 1, 3], [1, 3, 1]]
    np.testing.assert_array_equal(schema.encode("t", frame), np.array(expected, np.float32))
    assert schema.design_names == ("x", "x is missing", "job=a", "job=b", "job is missing", "ok", "ok is missing")
    expected = [
        [1, 0, 1, 0, 0, 1, 0],
        [3, 1, 0, 1, 0, 0, 0],
        [3, 0, 0, 0, 1, 1, 0],
        [5, 0, 0, 1, 0, 1, 1],
    ]
    np.testing.assert_array_equal(schema.design("t", frame), expected)
    np.testing.assert_array_equal(schema.encode("t", {"x": 1, "job": "new", "ok": "False"}), [[-1, 0, 2]])


def test_numbers_without_gaps_stay_as_they_are():
    frame = pl.DataFrame(np.random.default_rng(0).normal(size=(40, 3)), schema=list("abc"))
    schema = describe("t", frame, None)
    assert schema.design_names == ("a", "b", "c")
    np.testing.assert_array_equal(schema.design("t", frame), frame.to_numpy())


def test_rare_levels_share_the_place_of_unknown_ones():
    jobs = ["clerk"] * 60 + ["smith"] * 58 + ["king", "pope"]
    schema = describe("t", pl.DataFrame({"job": jobs}), None)
    assert schema.columns[0].categories == ("clerk", "smith")
    assert schema.design_names == ("job=clerk", "job=smith", "job is rare")
    codes = schema.encode("t", {"job": ["king", "emperor", "clerk", None, "NA"]})[:, 0]
    assert codes.tolist() == [0, 0, 2, 1, 1]


def test_many_levels_are_hashed_the_same_way_everywhere():
    rng = np.random.default_rng(0)
    frame = pl.DataFrame({"user": [f"u{k}" for k in rng.integers(0, 1000, 20_000)]})
    schema = describe("t", frame, None)
    column = schema.columns[0]
    assert (len(column.categories), column.hashed, schema.features[0].size) == (192, 64, 258)
    assert level_hash("clerk", 64) == 20
    codes = schema.encode("t", {"user": ["never seen", column.categories[0]]})[:, 0]
    assert codes.tolist() == [194 + level_hash("never seen", 64), 2]
    assert np.unique(schema.encode("t", frame)).size > 250


def test_words_of_a_text_are_counted():
    schema = describe("t", FRAME, "y", ReadOptions(kinds={"job": "text"}))
    start = schema.design_names.index("job #0")
    counts = schema.design("t", {**FRAME.row(0, named=True), "job": "Boss, boss of ALL"})[0, start : start + 32]
    assert counts.sum() == 4
    assert counts[level_hash("boss", 32)] >= 2


def test_dates_become_parts_that_vary():
    moments = [dt.datetime(2024, 1, day, hour, 30) for day in (1, 2, 5) for hour in (0, 12)]
    schema = describe("t", pl.DataFrame({"at": moments}), None)
    assert schema.design_names == ("at days", "at weekday", "at day", "at hour")
    X = schema.design("t", {"at": [dt.datetime(2024, 1, 9, 6), "2024-01-09 06:00:00"]})
    np.testing.assert_array_equal(X, [[8.25, 2, 9, 6]] * 2)
    times = describe("t", pl.DataFrame({"at": ["10:30", "11:00", "23:15"]}), None)
    np.testing.assert_array_equal(times.design("t", {"at": dt.time(6, 45)}), [[6.75]])


def notes_of(row):
    notes = []
    SCHEMA.encode("t", {**FRAME.row(3, named=True), **row}, notes)
    return notes


@pytest.mark.parametrize(
    ("row", "note"),
    [
        ({"age": 5000}, "column 'age': 1 value far outside of the training's range, such as 5000 in row 1"),
        ({"age": None}, "column 'age' has 1 gap; the training had none"),
        ({"age": math.inf}, "column 'age': 1 infinite value taken for gaps"),
        ({"job": "king"}, "column 'job': a category that is unknown in 1 row, such as 'king'"),
        ({"always": "z"}, "column 'always' was always x in training and is now z"),
        ({"new": 1, "newer": 2}, "ignored columns that the training did not have: 'new', 'newer'"),
        ({"income": "abc"}, "column 'income': 1 cell without a number taken for gaps, such as 'abc' in row 1"),
        ({"day": "2060-01-01"}, "column 'day': 1 value far outside"),
    ],
)
def test_rows_unlike_the_training_are_noted(row, note):
    assert any(each.startswith(note) for each in notes_of(row)), notes_of(row)


def test_what_is_usual_is_not_noted():
    assert notes_of({"y": "no"}) == []
    assert notes_of({"income": None}) == []


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ({"age": 3}, "t: rows must have the columns of the training data, got none named 'income', 'job', 'member'"),
        (FRAME.drop("age"), "got none named 'age'"),
        (
            FRAME.with_columns(age=pl.lit("old")),
            "t: column 'age' must be numeric, got 'old' in row 1 (and 119 more rows)",
        ),
        (FRAME.with_columns(day=pl.lit("soon")), "t: column 'day' must be a date as in training, got 'soon' in row 1"),
        (FRAME.with_columns(day=pl.lit(3)), "t: column 'day' must hold dates, got Int32"),
        (FRAME.with_columns(age=pl.lit(dt.date(2020, 1, 1))), "t: column 'age' must be numeric, got Date"),
        (3, "t: rows must be a frame, a dict of columns"),
        ("abc", "t: rows must be a frame, a dict of columns"),
        ([1, 2], "For one row, write [row]."),
        ([[1, 2], [3]], "t: rows must be a frame, a dict of columns"),
        (np.ones(3), "got 'an array of shape (3,)'"),
    ],
)
def test_rows_that_cannot_be_encoded(rows, message):
    with pytest.raises(InvalidValueError) as caught:
        SCHEMA.encode("t", rows)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_arrays_have_numbered_columns():
    X = np.random.default_rng(0).normal(size=(30, 3))
    schema = describe("t", as_frame("t", X), None)
    assert schema.design_names == ("x0", "x1", "x2")
    for rows in (X, X.tolist(), pd.DataFrame(X, columns=["x0", "x1", "x2"])):
        np.testing.assert_array_equal(schema.design("t", rows), X)
    named = describe("t", pl.DataFrame(X, schema=list("abc")), None)
    np.testing.assert_array_equal(named.design("t", X), X)


def test_a_schema_is_plain_data():
    plain = json.loads(json.dumps(schema_to_plain(SCHEMA)))
    again = schema_from_plain(plain)
    assert again == SCHEMA
    np.testing.assert_array_equal(bits(again.encode("t", FRAME)), bits(E))


def places(plain, path=()):
    for key, value in plain.items() if isinstance(plain, dict) else enumerate(plain):
        yield (*path, key)
        if isinstance(value, dict | list) and value:
            yield from places(value, (*path, key))


def changed(plain, path, value):
    plain = copy.deepcopy(plain)
    inner = plain
    for key in path[:-1]:
        inner = inner[key]
    inner[path[-1]] = value
    return plain


PLAIN = json.loads(json.dumps(schema_to_plain(SCHEMA)))


@settings(max_examples=300, deadline=None)
@given(st.sampled_from(list(places(PLAIN))), st.sampled_from([None, -1, 0, 1.5, "", "x", [], {}, True, [1], {"a": 1}]))
def test_a_damaged_schema_is_refused_or_works(path, value):
    try:
        schema = schema_from_plain(changed(PLAIN, path, value))
        schema.encode("t", FRAME)
    except ChainruleError:
        pass


@pytest.mark.parametrize("plain", [None, [], {}, {**PLAIN, "more": 1}, {**PLAIN, "columns": [1]}])
def test_what_is_no_schema_is_refused(plain):
    with pytest.raises(FormatError, match="schema"):
        schema_from_plain(plain)
