"""Tables must load as they are or be refused with the faulty cell named. In: small files. Out: passes or messages."""

import datetime
import os
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from chainrule.data import features_of, load
from chainrule.errors import FormatError, InvalidValueError

DATA = os.environ.get("CHAINRULE_DATA")
needs_data = pytest.mark.skipif(not DATA, reason="CHAINRULE_DATA is not set")

GOOD = "age,member,city,height\n30,true,Oslo,1.5\n40,false,Rome,2.5\n50,true,Oslo,3.5\n"


@pytest.fixture
def csv(tmp_path):
    def write(text, name="table.csv"):
        path = tmp_path / name
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        return path

    return write


def message(error, call, *arguments, **options):
    with pytest.raises(error) as caught:
        call(*arguments, **options)
    return str(caught.value)


def test_csv_becomes_a_dataset(csv):
    data = load(csv(GOOD), "city")
    assert (data.name, data.task, data.target_name) == ("table.csv", "classification", "city")
    assert data.feature_names == ("age", "member", "height")
    assert data.y.tolist() == ["Oslo", "Rome", "Oslo"]
    np.testing.assert_array_equal(data.X, [[30, 1, 1.5], [40, 0, 2.5], [50, 1, 3.5]])
    assert data.X.dtype == np.float64


@pytest.mark.parametrize(
    ("column", "task"),
    [
        (pl.Series([0, 1, 1]), "classification"),
        (pl.Series([0.0, 1.0, 1.0]), "classification"),
        (pl.Series([0.0, 0.5, 1.0]), "regression"),
        (pl.Series([True, False, True]), "classification"),
        (pl.Series(["a", "b", "a"]), "classification"),
        (pl.Series(["a", "b", "a"], dtype=pl.Categorical), "classification"),
        (pl.Series(["a", "b", "a"], dtype=pl.Enum(["a", "b"])), "classification"),
        (pl.Series(["1", "2", "1"]), "classification"),
        (pl.Series(["1.5", "2", "1"]).cast(pl.Decimal(10, 2)), "regression"),
    ],
)
def test_the_target_suggests_the_task(tmp_path, column, task):
    pl.DataFrame({"x": [1, 2, 3], "y": column}).write_parquet(tmp_path / "t.parquet")
    data = load(tmp_path / "t.parquet", "y")
    assert data.task == task
    assert data.y.dtype.kind != "O"


def test_many_whole_numbers_are_amounts_unless_told_otherwise(csv):
    path = csv("x,y\n" + "".join(f"{i},{i}\n" for i in range(27)))
    assert load(path, "y").task == "regression"
    assert load(path, "y").y.dtype == np.float64
    labels = load(path, "y", task="classification").y
    assert labels.dtype == np.int64


def test_csv_of_windows_with_byte_order_mark_spaces_and_empty_last_lines(csv):
    data = load(csv(b"\xef\xbb\xbfa, b\r\n 1, 2\r\n3, 4\r\n\r\n\r\n"), "b")
    assert data.y.tolist() == [2, 4]
    np.testing.assert_array_equal(data.X, [[1], [3]])


def test_text_among_numbers_is_a_gap_with_a_warning_that_names_it(csv):
    text = "age,y\n" + "".join(f"{i * 7 % 100 if i != 30 else 'abc'},{i % 2}\n" for i in range(100))
    data = load(csv(text), "y")
    assert data.feature_names == ("age", "age is missing")
    assert np.flatnonzero(data.X[:, 1]).tolist() == [30]
    assert data.schema.warnings == (
        "column 'age': 1 cell is no number and counts as a gap, such as 'abc' in row 31. "
        "Use --columns age=category to keep texts.",
    )


def test_all_faulty_columns_of_a_model_are_listed_at_once(csv):
    path = csv("a,b,c,d,y\nx,1,nan,1,0\ny,,2,1,1\n3,2,inf,2,1\n")
    text = message(InvalidValueError, load, path, "y", features=["a", "b", "c"]).splitlines()
    assert text == [
        "table.csv: column 'a' must be numeric, got 'x' in row 1 (and 1 more row). Drop or encode the column.",
        "table.csv: column 'b' must be filled in every row, got None in row 2. Fill the gaps or drop the rows.",
        "table.csv: column 'c' must be filled in every row, got None in row 1. Fill the gaps or drop the rows.",
        "table.csv: column 'c' must be finite, got inf in row 3. Fill the gaps or drop the rows.",
    ]


def test_nan_in_the_target_is_a_gap_and_infinity_is_not(csv):
    assert load(csv("a,y\n1,1.5\n2,nan\n3,2.5\n"), "y").y.tolist() == [1.5, 2.5]
    text = message(InvalidValueError, load, csv("a,y\n1,1.5\n2,inf\n"), "y")
    assert text.startswith("table.csv: target must be finite, got inf at row 1")


def test_dates_are_parts_and_no_target(tmp_path):
    days = [datetime.date(2020, 1, day) for day in (1, 2, 4)]
    pl.DataFrame({"day": days, "y": [0, 1, 1]}).write_parquet(tmp_path / "t.parquet")
    data = load(tmp_path / "t.parquet", "y")
    assert data.feature_names == ("day days", "day weekday", "day day")
    np.testing.assert_array_equal(data.X, [[0, 3, 1], [1, 4, 2], [3, 6, 4]])
    text = message(InvalidValueError, load, tmp_path / "t.parquet", "day")
    assert "t.parquet: target must be numbers, booleans or text" in text


@pytest.mark.parametrize(
    ("text", "target", "part"),
    [
        (
            GOOD,
            None,
            "target must be the name of a column, got None. Name one, as --target height. Columns: age, member,",
        ),
        (GOOD, "hieght", "got 'hieght'. Did you mean 'height'? Columns: age, member"),
        (GOOD, "zzz", "got 'zzz'. Columns: age, member, city, height."),
        ("a,y\n1,0\n1,1\n", "y", "must have a column to learn from, got none: 'a' is left out (constant: always 1)"),
        ("a,b\n", "b", "the table must have at least one row, got none"),
        ("y\n0\n1\n", "y", "must have a feature besides the target 'y'"),
        ("a,y\n1,0\n2,0\n", "y", "target must be of at least two classes, got [0]"),
    ],
)
def test_tables_that_cannot_be_learned_from(csv, text, target, part):
    assert part in message(InvalidValueError, load, csv(text), target)


@pytest.mark.parametrize(
    ("content", "part"),
    [
        (b"", "got: an empty file."),
        (b"\n\n", "got: an empty file."),
        (b"a,b\n1,2,3\n", "3 cells in row 1, but 2 in the first line."),
        (b"a,b\n1,2\n1,2,3\n", "3 cells in row 2, but 2 in the first line."),
        (b"a,b\n1,2\n1\n", "1 cell in row 2, but 2 in the first line."),
        (b"\x00\x00\x02\x03" * 9, "binary content."),
        (b"PK\x03\x04...", "an Excel workbook or a .zip, which its name does not say."),
    ],
)
def test_unreadable_csv(csv, content, part):
    text = message(FormatError, load, csv(content), "b")
    assert text.startswith("table.csv: the file must be a readable table, got: ")
    assert part in text


def test_damaged_parquet(csv):
    path = csv(b"PAR1 not really", "t.parquet")
    assert "t.parquet: the file must be a readable table" in message(FormatError, load, path, "b")


def test_task_can_be_overruled_only_sensibly(csv):
    assert load(csv("a,b\n1,0\n2,1\n"), "b", task="regression").task == "regression"
    part = "target must be numeric for regression, got 'Oslo'"
    assert part in message(InvalidValueError, load, csv("a,c\n1,Oslo\n2,Rome\n"), "c", task="regression")
    part = "target must be whole numbers or text for classification, got 1.5"
    assert part in message(InvalidValueError, load, csv("a,c\n1,1.5\n2,2\n"), "c", task="classification")
    part = "task must be classification or regression, got 'clasification'. Did you mean 'classification'?"
    assert part in message(InvalidValueError, load, csv(GOOD), "age", task="clasification")


def test_rows_to_predict_come_in_the_order_of_the_model(csv):
    X = features_of(csv(GOOD), ("height", "age"))
    np.testing.assert_array_equal(X, [[1.5, 30], [2.5, 40], [3.5, 50]])


def test_rows_to_predict_lack_columns_or_hold_text(csv):
    text = message(InvalidValueError, features_of, csv(GOOD), ("hight", "age", "qqq")).splitlines()
    assert text == [
        "table.csv: column 'hight' is missing. Did you mean 'height'?",
        "table.csv: column 'qqq' is missing. Known: age, city, height, member.",
    ]
    text = message(InvalidValueError, features_of, csv(GOOD), tuple(f"c{j}" for j in range(64)))
    assert text == "table.csv: 64 columns are missing: 'c0', 'c1', 'c2', 'c3', 'c4' and 59 more."
    assert "column 'city' must be numeric" in message(InvalidValueError, features_of, csv(GOOD), ("city",))


def test_polars_reads_the_same_numbers(tmp_path):
    frame = pl.DataFrame(np.random.default_rng(0).normal(size=(50, 4)), schema=list("abcy"))
    frame.write_parquet(tmp_path / "t.parquet")
    frame.write_csv(tmp_path / "t.csv")
    for name in ("t.parquet", "t.csv"):
        data = load(tmp_path / name, "b")
        np.testing.assert_array_equal(data.X, frame.select("a", "c", "y").to_numpy())
        np.testing.assert_array_equal(data.y, frame["b"].to_numpy())


@needs_data
def test_california_housing():
    data = load(Path(DATA) / "california_housing.parquet", "MedHouseVal")
    assert (data.X.shape, data.task) == ((20640, 8), "regression")


@needs_data
def test_adult():
    data = load(Path(DATA) / "adult.parquet", "income")
    kinds = {name: kind for name, kind, _ in data.schema.summary()}
    assert (len(data.y), data.task) == (48842, "classification")
    assert kinds["age"] == "number"
    assert kinds["workclass"] == "category"
    assert "education=Bachelors" in data.feature_names
    assert data.target_sentence.startswith("classification: 'income' has 2 distinct texts.")
