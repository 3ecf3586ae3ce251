"""Every column must be of the kind that a person would say, with the reason. In: small columns. Out: passes or messages."""

import datetime as dt

import numpy as np
import polars as pl
import pytest

from chainrule.data import load
from chainrule.data.table import ReadOptions, describe, read_file
from chainrule.data.table.columns import least_count
from chainrule.errors import InvalidValueError

RNG = np.random.default_rng(0)
N = 60

GAPS = [
    "",
    " ",
    "NA",
    "N/A",
    "n/a",
    "NULL",
    "null",
    "None",
    "NaN",
    "nan",
    "?",
    "-",
    "--",
    ".",
    "#N/A",
    "#NA",
    "#DIV/0!",
]
GAPS += ["missing", "<NA>", "NaT", "#VALUE!", "(null)"]


@pytest.mark.parametrize("gap", GAPS)
@pytest.mark.parametrize("cells", ["numbers", "fractions", "texts", "booleans", "dates"])
def test_every_spelling_of_a_gap(tmp_path, gap, cells):
    def cell(i):
        choices = {
            "numbers": str(i * 7 % 50),
            "fractions": f"{i * 7 % 50}.25",
            "texts": ("clerk", "smith", "boss")[i % 3],
            "booleans": ("true", "false")[i % 2],
            "dates": str(dt.date(2020, 1, 1) + dt.timedelta(i * 3)),
        }
        return gap if i in (3, 9, 11) else choices[cells]

    (tmp_path / "t.csv").write_text("x,other,y\n" + "".join(f"{cell(i)},{i * 7 % 11},{i % 2}\n" for i in range(N)))
    data = load(tmp_path / "t.csv", "y")
    column = data.schema.columns[0]
    kind = {"numbers": "number", "fractions": "number", "texts": "category", "booleans": "boolean", "dates": "date"}
    assert (column.kind, column.gaps) == (kind[cells], 3)
    where = data.feature_names.index("x is missing")
    assert np.flatnonzero(data.X[:, where]).tolist() == [3, 9, 11]
    assert np.isfinite(data.X).all()
    E = data.schema.encode("t", data.frame)
    missing = np.isnan(E[:, 0]) if column.kind in ("number", "date") else E[:, 0] == 1
    assert np.flatnonzero(missing).tolist() == [3, 9, 11]


def kind_of(cells, name="x", **options):
    column = describe(
        "t", pl.DataFrame({name: cells, "rest": [0.5, 1.5] * (len(cells) // 2)}), None, ReadOptions(**options)
    )
    return column.columns[0].kind, column.columns[0].reason


@pytest.mark.parametrize(
    ("cells", "kind", "reason"),
    [
        (RNG.normal(size=N), "number", "numbers"),
        (RNG.integers(0, 5, N), "number", "numbers"),
        (["1", "2", "3"] * 20, "number", "texts that are numbers"),
        (["a", "b", "c"] * 20, "category", "3 distinct texts"),
        (["01", "02", "10"] * 20, "category", "codes with leading zeros"),
        (
            ["ZA", "NA", "DE"] * 20,
            "category",
            "3 distinct texts; 'NA' is a label: one of the two-letter codes of its column",
        ),
        (["+", "-", "+"] * 20, "category", "2 distinct texts; '-' is a label: the counterpart of '+'"),
        ([True, False] * 30, "boolean", "true or false"),
        (["True", "False"] * 30, "boolean", "true or false"),
        ([dt.date(2020, 1, 1 + k % 20) for k in range(N)], "date", "dates"),
        (["2020-01-05", "2021-03-04"] * 30, "date", "dates written %Y-%m-%d"),
        ([dt.timedelta(hours=k % 9) for k in range(N)], "number", "numbers"),
        ([f"user{k}" for k in range(N)], "id", "all texts are distinct"),
        ([f"{k % 57}@x.org" for k in range(N)], "id", "57 of 60 texts are distinct"),
        ([f"the {k} words are many" for k in range(N)], "text", "texts of several words, 60 of them distinct"),
        (list(range(N)), "id", "counts the rows (0, 1, ... in the file's order)"),
        (list(range(1, N + 1)), "id", "counts the rows (1, 2, ... in the file's order)"),
        ([float(k) for k in range(N)], "id", "counts the rows (0, 1, ... in the file's order)"),
        (RNG.permutation(N) + 1, "id", "the numbers 1 to 60, each once"),
        (list(range(1950, 1950 + N)), "number", "numbers"),
        ([3] * N, "constant", "always 3"),
        ([3.0] * N, "constant", "always 3"),
        (["x"] * N, "constant", "always x"),
        ([None] * N, "constant", "empty"),
        (["?"] * N, "constant", "empty"),
        ([3, None] * 30, "number", "numbers"),
        (["x", None] * 30, "category", "1 distinct texts"),
        (["0", "1", "2", "3+"] * 15, "category", "'3+' in row 4 is no number"),
    ],
)
def test_kinds_with_reasons(cells, kind, reason):
    assert kind_of(cells) == (kind, reason)


@pytest.mark.parametrize("name", ["id", "Id", "ID", "PassengerId", "user_id", "row names", "index", "uuid"])
def test_distinct_whole_numbers_with_the_name_of_an_id(name):
    ids = RNG.permutation(1000)[:N]
    assert kind_of(ids, name)[0] == "id"
    assert kind_of(ids, "paid")[0] == "number"
    assert kind_of(ids % 9, name)[0] == "number"


@pytest.mark.parametrize("name", ["Unnamed: 0", "__index_level_0__"])
def test_saved_indices(name):
    assert kind_of(RNG.permutation(1000)[:N], name) == ("id", "a saved row index")


@pytest.mark.parametrize("asked", ["number", "category", "boolean", "date", "text", "id"])
def test_kinds_that_are_asked_for(asked):
    cells = {
        "number": list(range(N)),
        "category": RNG.integers(0, 4, N),
        "boolean": [True, False] * 30,
        "date": ["2020-01-01", "2020-01-02"] * 30,
        "text": ["a", "b"] * 30,
        "id": RNG.normal(size=N),
    }
    assert kind_of(cells[asked], kinds={"x": asked}) == (asked, f"asked for (--columns x={asked})")


def test_whole_numbers_as_categories():
    frame = pl.DataFrame({"zip": [10, 20, 30] * 20, "y": [0, 1] * 30})
    schema = describe("t", frame, "y", ReadOptions(kinds={"zip": "category"}))
    assert schema.design_names == ("zip=10", "zip=20", "zip=30")
    assert schema.encode("t", {"zip": [20, 20.0, "20", 40]})[:, 0].tolist() == [3, 3, 3, 0]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"kinds": {"sise": "number"}}, "column must be one of the table's, got 'sise'. Did you mean 'size'?"),
        (
            {"kinds": {"size": "numbr"}},
            "kind of column 'size' must be number or category .*, got 'numbr'. Did you mean",
        ),
        ({"drop": ("colour",)}, "got 'colour'. Did you mean 'color'?"),
        ({"kinds": {"color": "date"}}, "column 'color' must be a date, as asked"),
        ({"kinds": {"size": "date"}}, "column 'size' must be a date, as asked"),
        ({"drop": ("size", "color")}, "must have a column to learn from, got none"),
    ],
)
def test_options_that_do_not_fit(options, message):
    frame = pl.DataFrame({"size": [1.5, 2.5] * 20, "color": ["red", "blue"] * 20})
    with pytest.raises(InvalidValueError, match=message):
        describe("t", frame, None, ReadOptions(**options))


def test_columns_that_are_dropped():
    frame = pl.DataFrame({"size": [1.5, 2.5] * 20, "color": ["red", "blue", "blue", "red"] * 10})
    schema = describe("t", frame, None, ReadOptions(drop=("size",)))
    assert schema.summary()[0] == ("size", "number", "numbers; left out as asked (--drop)")
    assert schema.design_names == ("color=blue", "color=red")
    assert schema.warnings == ()


def test_equal_columns_are_used_once():
    x = RNG.normal(size=N)
    jobs = RNG.choice(["a", "b"], N)
    frame = pl.DataFrame({"x": x, "job": jobs, "same": x, "work": jobs, "other": -x, "x2": x})
    schema = describe("t", frame, None)
    assert [(c.name, c.kind) for c in schema.columns if not c.used] == [
        ("same", "duplicate"),
        ("work", "duplicate"),
        ("x2", "duplicate"),
    ]
    assert "column 'same' is left out: equals column 'x'." in schema.warnings


@pytest.mark.parametrize(
    ("target", "columns"),
    [
        (RNG.choice(["yes", "no"], N), lambda y: {"leak": y == "yes", "copy": np.where(y == "yes", "J", "N")}),
        (RNG.integers(0, 3, N), lambda y: {"leak": y * 2 + 1, "text": np.array(["a", "b", "c"])[y]}),
        (RNG.normal(size=N), lambda y: {"leak": y, "unit": 100 - 3 * y, "noisy": y + 1e-4 * RNG.normal(size=N)}),
    ],
)
def test_columns_that_alone_tell_the_target(target, columns):
    leaks = columns(target)
    frame = pl.DataFrame({**leaks, "honest": RNG.normal(size=N), "close": RNG.integers(0, 3, N), "y": target})
    schema = describe("t", frame, "y")
    warned = [w.split("'")[1] for w in schema.warnings if "alone tells the target 'y'" in w]
    assert warned == list(leaks)
    assert all(column.used for column in schema.columns)


def test_a_count_of_the_rows_is_used_where_there_is_nothing_else():
    frame = pl.DataFrame({"t": range(50), "y": np.sin(np.arange(50) / 5)})
    schema = describe("t", frame, "y")
    assert schema.design_names == ("t",)
    assert schema.warnings[0].startswith("column 't' counts the rows (0, 1, ... in the file's order); the only column")


def test_row_numbers_of_a_sorted_file_are_left_out(tmp_path):
    rows = "".join(f"{i + 1},{RNG.normal():.4f},{i // 200}\n" for i in range(400))
    (tmp_path / "t.csv").write_text("Id,a,y\n" + rows)
    data = load(tmp_path / "t.csv", "y")
    assert data.feature_names == ("a",)
    assert data.schema.warnings == (
        "column 'Id' is left out as an id: counts the rows (1, 2, ... in the file's order). "
        "To keep it, say that it is a number (--columns Id=number, columns={'Id': 'number'}).",
    )


def test_infinite_cells_are_gaps_with_a_warning():
    schema = describe("t", pl.DataFrame({"x": [1.0, 2.0, float("inf"), 3.5] * 10}), None)
    assert (schema.columns[0].gaps, schema.columns[0].numbers[0].highest) == (10, 3.5)
    assert schema.warnings == ("column 'x': 10 infinite values count as gaps.",)


def test_a_few_cells_that_are_no_dates_are_gaps_with_a_warning():
    days = [str(dt.date(2020, 1, 1) + dt.timedelta(3 * k)) for k in range(N)]
    frame = pl.DataFrame({"day": [*days[:30], "2020-13-45", *days[31:]]})
    schema = describe("t", frame, None)
    assert (schema.columns[0].kind, schema.columns[0].gaps) == ("date", 1)
    assert schema.warnings[0].startswith(
        "column 'day': 1 cell is no date and counts as a gap, such as '2020-13-45' in row 31"
    )
    assert np.flatnonzero(np.isnan(schema.encode("t", frame)[:, 0])).tolist() == [30]
    notes = []
    assert np.isnan(schema.encode("t", {"day": "soon"}, notes)[0, 0])
    assert notes[0].startswith("column 'day': 1 cell without a date taken for gaps, such as 'soon' in row 1")


def test_scales_fall_back():
    def scale(cells):
        return describe("t", pl.DataFrame({"x": cells}), None).columns[0].numbers[0].scale

    assert scale([0.0, 1.0, 2.0, 3.0, 4.0]) == 2
    assert scale([0.0] * 30 + [8.0]) == 4
    assert scale([5.0, None]) == 1


def test_levels_need_more_rows_in_larger_tables():
    assert [least_count(n) for n in (2, 59, 60, 90, 30_000, 50_000)] == [1, 1, 2, 3, 3, 5]


def test_a_dataset_takes_rows_of_its_frame(tmp_path):
    (tmp_path / "t.csv").write_text("job,age,y\n" + "".join(f"{'ab'[i % 2]},{i * 7 % 31},{i % 3}\n" for i in range(40)))
    data = load(tmp_path / "t.csv", "y")
    part = data.rows(np.array([5, 2, 7]))
    assert part.frame.rows() == [data.frame.row(i) for i in (5, 2, 7)]
    np.testing.assert_array_equal(part.schema.design("t", part.frame), part.X)
    assert data.rows(slice(3)).frame.height == 3


def test_new_files_are_read_by_the_schema_of_the_training(tmp_path):
    train = "code,age,y\n" + "".join(f"{'A1' if i % 3 else '12'},{i * 7 % 31},{i % 2}\n" for i in range(40))
    (tmp_path / "t.csv").write_text(train)
    data = load(tmp_path / "t.csv", "y")
    (tmp_path / "new.csv").write_text("age;more;code\n3,5;x;12\n4;y;B7\n")
    again = load(tmp_path / "t.csv", "y", features=data.schema)
    np.testing.assert_array_equal(again.X, data.X)
    from chainrule.data import features_of

    X = features_of(tmp_path / "new.csv", data.schema)
    assert data.schema.design_names == ("code=12", "code=A1", "age")
    np.testing.assert_array_equal(X, [[1, 0, 3.5], [0, 0, 4]])
    assert read_file(tmp_path / "new.csv").frame["code"].to_list() == ["12", "B7"]
