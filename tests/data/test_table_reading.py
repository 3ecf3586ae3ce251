"""Text tables must be read however they are written, and never silently wrong. In: tables written in every way. Out: passes
or messages."""

import gzip
import json
import time

import numpy as np
import polars as pl
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from table_cases import csv_text, mixed_frame, xlsx_bytes

from chainrule.data import load
from chainrule.data.table import ReadOptions, describe, read_file
from chainrule.data.table.files import table_ending
from chainrule.errors import ChainruleError, FormatError, InvalidValueError, MissingError

FRAME = pl.DataFrame(
    {
        "größe": [1.5, 2.25, None, 1234.5, -3.0],
        "count": [1, 20, 300, 4000, 50000],
        "name": ["a", "b, c", "d;e", "f\tg", "h|i"],
        "ok": [True, False, True, True, False],
    }
)


@pytest.fixture
def read(tmp_path):
    def reader(content, name="t.csv", **options):
        path = tmp_path / name
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return read_file(path, ReadOptions(**options))

    return reader


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "utf-32", "cp1252"])
@pytest.mark.parametrize("decimal", [".", ","])
@pytest.mark.parametrize("separator", [",", ";", "\t", "|"])
def test_separators_decimal_marks_and_encodings(read, separator, decimal, encoding):
    text = csv_text(FRAME, separator, decimal, gap="NA")
    assert text.isascii() is False
    for ends in ("\n", "\r\n", "\r"):
        file = read(text.replace("\n", ends).encode(encoding))
        assert file.frame.rows() == FRAME.rows()
        facts = " ".join(file.facts)
        assert ("separated by" in facts) == (separator != ",")
        assert ("decimal comma" in facts) == (decimal == ",")
        assert ("encoding" in facts) == (encoding not in ("utf-8", "utf-8-sig"))
        assert ("old Macs" in facts) == (ends == "\r")


def test_runs_of_spaces(read):
    text = '  size   count name\n  1.5   1  "a b"\n 12.25  20    c\n'
    file = read(text, "t.dat")
    assert file.frame.rows() == [(1.5, 1, "a b"), (12.25, 20, "c")]
    assert "separated by spaces" in file.facts


def test_row_names_without_a_header(read):
    file = read('"mpg" "cyl"\n"Mazda RX4" 21 6\n"Fiat" 22.5 4\n', "t.txt")
    assert file.frame.columns == ["Unnamed: 0", "mpg", "cyl"]
    assert [c.kind for c in describe("t", file.frame, "cyl").columns] == ["id", "number"]


@pytest.mark.parametrize(
    ("cells", "values", "fact"),
    [
        (["1,234", "5,678,901"], [1234, 5678901], "',' between thousands"),
        (["1.234,5", "2,25"], [1234.5, 2.25], "decimal comma, '.' between thousands"),
        (["1 234", "12"], [1234, 12], "' ' between thousands"),
        (["1\u202f234,5", "12,0"], [1234.5, 12], "decimal comma"),
        (["1'234.5", "12"], [1234.5, 12], "between thousands"),
        (["$12", "$1,200.50"], [12, 1200.5], "'$' left out"),
        (["-$5", "$-7"], [-5, -7], "'$' left out"),
        (["12 EUR", "13.5 EUR"], [12, 13.5], "'EUR' left out"),
        (["12,5 €", "1.000,00 €"], [12.5, 1000], "decimal comma, '.' between thousands, '€' left out"),
        (["12%", "13.5 %"], [12, 13.5], "'%' left out"),
        (["36 months", "60 months"], [36, 60], "'months' left out"),
        (["\u22125", "3"], [-5, 3], ""),
        (["1e3", "2.5E-1"], [1000, 0.25], ""),
        (["+5", ".5", "5."], [5, 0.5, 5], ""),
    ],
)
@pytest.mark.parametrize("gap", ["", "NA", "?", "n/a", " "])
def test_numbers_as_people_write_them(read, cells, values, fact, gap):
    rows = "".join(f'"{cell}"\tx\n' for cell in [*cells, gap])
    file = read(f"a\tb\n{rows}")
    assert file.frame["a"].to_list() == [*values, None]
    assert fact in " ".join(file.facts)


def test_a_doubtful_comma_follows_the_file(read):
    assert read('a,b\n"1,234",x\n"5,678",y\n').frame["a"].to_list() == [1234, 5678]
    assert read("a;b\n1,234;x\n5,678;y\n").frame["a"].to_list() == [1.234, 5.678]
    assert read("a\tb\n1,234\t1,5\n5,678\t2,5\n").frame["a"].to_list() == [1.234, 5.678]
    assert read("a;b\n1.234;1,5\n5.678;2,5\n").frame["a"].to_list() == [1234, 5678]
    assert read("a;b\n1,234;x\n5,678;y\n", decimal=".").frame["a"].to_list() == [1234, 5678]
    assert read('a,b\n"1,234",x\n"5,678",y\n', decimal=",").frame["a"].to_list() == [1.234, 5.678]


def test_a_late_cell_decides_again(read):
    many = "".join(f'"{k % 900 + 1},{k % 900 + 100}",x\n' for k in range(2000))
    assert read("a,b\n" + many).frame["a"][0] == 1100
    file = read("a,b\n" + many + '"1,5",x\n')
    assert file.frame["a"].to_list()[::2000] == [1.1, 1.5]
    assert "decimal comma in column 'a'" in file.facts
    late = "a,b\n" + "1,x\n" * 200_000 + "zebra,x\n"
    assert read(late).frame["a"].dtype == pl.String


@pytest.mark.parametrize(
    "cells", [["1,2,3", "4"], ["A12", "A13"], ["1,5", "1.5"], ["12 EUR", "12 USD"], ["1st", "2nd"]]
)
def test_what_is_no_number_stays_text(read, cells):
    rows = "".join(f"{cell}\tx\n" for cell in cells)
    assert read(f"a\tb\n{rows}").frame["a"].to_list() == cells


@pytest.mark.parametrize("cells", [["01", "02"], ["007", "123"], ["00", "10"]])
def test_codes_keep_their_zeros(read, cells):
    assert read("a,b\n" + "".join(f"{cell},1\n" for cell in cells)).frame["a"].to_list() == cells


@pytest.mark.parametrize(
    ("text", "header"),
    [
        ("a,b\n1,2\n3,4\n", True),
        ("1,2\n3,4\n", False),
        ("5.1,3.5,Iris-setosa\n4.9,3.0,Iris-setosa\n", False),
        ("39, State-gov, 77516\n50, Self-emp, 83311\n", False),
        ("M,0.455,15\nF,0.35,7\n", False),
        ("country,2019,2020,2021\nA,1,2,3\nB,4,5,6\n", True),
        ("0,1,2,3\n5.5,6,7,8\n1,1,2,9\n", True),
        ("x,y\na,b\nc,d\n", True),
        (",a,b\n0,1,2\n1,2,3\n", True),
        ("?,1\n2,3\n", False),
        ("2020-01-01,x\n2020-01-02,y\n", False),
        ("true,x\nfalse,y\n", False),
        ("1,2\n", False),
    ],
)
def test_a_row_is_never_lost_to_the_header(read, text, header):
    file = read(text)
    rows = text.count("\n")
    assert len(file.frame) == rows - header
    assert ("no header: the columns are named x1, x2, ..." in file.facts) == (not header)
    assert (file.frame.columns[0] == "x1") == (not header)
    assert len(read(text, header=False).frame) == rows


def test_a_target_that_a_table_without_header_lacks(tmp_path):
    (tmp_path / "t.csv").write_text("1,0\n2,1\n3,0\n")
    with pytest.raises(
        InvalidValueError, match=r"The first line looks like data, .* named x1, x2, ... Columns: x1, x2"
    ):
        load(tmp_path / "t.csv", "y")
    assert load(tmp_path / "t.csv", "x2").y.tolist() == [0, 1, 0]


def test_names_are_made_distinct(read):
    file = read("a,a,,a\n1,2,3,4\n")
    assert file.frame.columns == ["a", "a.1", "Unnamed: 2", "a.2"]
    assert file.facts[0] == "two columns are named 'a': the later one is called 'a.1'"
    assert file.facts[1] == "column 3 has no name: it is called 'Unnamed: 2'"


@pytest.mark.parametrize(
    "text", ["a,b,\n1,2,\n3,4,\n", "a,b\n1,2,\n3,4,\n", "a,b\n\n1,2\n  \n3,4\n\n", "\n\na,b\n1,2\n3,4"]
)
def test_separators_at_the_ends_and_blank_lines(read, text):
    assert read(text).frame.to_dict(as_series=False) == {"a": [1, 3], "b": [2, 4]}


def test_blank_lines_inside_quotes_stay(read):
    file = read('a,b\n"x\n\ny",1\n\nz,2\n')
    assert file.frame["a"].to_list() == ["x\n\ny", "z"]
    assert file.facts == ("1 blank line left out",)


def test_quotes(read):
    assert read('"a","b"\n"1","x ""y"", z"\n"2",""\n').frame.rows() == [(1, 'x "y", z'), (2, None)]
    assert read('a,b\n5" pipe,0\n6" pipe,1\n').frame["a"].to_list() == ['5" pipe', '6" pipe']
    assert read('a, b\n1, "x, y"\n2, "z"\n').frame["b"].to_list() == ["x, y", "z"]
    assert read("sep=;\na;b\n1;2\n").frame.rows() == [(1, 2)]


@pytest.mark.parametrize(
    ("text", "part"),
    [
        ("a,b,c\n1,2,3\n1,2\n", "2 cells in row 2, but 3 in the first line"),
        ("a,b,c\n1,2,3\n\n1,2,3\n1,2,3,4\n", "4 cells in row 3, but 3 in the first line"),
        ("1,2\n3,4\n5\n", "1 cell in row 3, but 2 in the first row"),
        ('a,b\n"x,1\ny,2\n', "in row 1, but 2 in the first line"),
    ],
)
def test_ragged_rows_are_refused_with_the_row(read, text, part):
    with pytest.raises(FormatError, match=part):
        read(text, separator=",")


def test_dates_in_texts(read):
    file = read("d,e,f,g\n2020-01-31,31.01.2021,1/2/2020,10:30\n2020-02-01,1.2.2021,3/4/2020,11:15\n")
    assert [kind for _, kind, _ in describe("t", file.frame, None).summary()] == ["date"] * 4
    assert file.frame["e"].dt.month().to_list() == [1, 2]
    assert file.facts == ("dates in column 'f' are read as %m/%d/%Y; %d/%m/%Y would fit as well",)
    assert read("d,e\n13/02/2020,1\n01/02/2020,2\n").frame["d"].dt.month().to_list() == [2, 2]


def test_booleans_with_spaces(read):
    assert read("a,b\n True,1\n False,2\nNA,3\n").frame["a"].to_list() == [True, False, None]


def test_columns_asked_to_be_text_keep_their_cells(read):
    file = read("zip,version,a\n12,1.50,1\n13,2.00,2\n", kinds={"zip": "category", "version": "text"})
    assert file.frame.rows() == [("12", "1.50", 1), ("13", "2.00", 2)]


@pytest.mark.parametrize(
    "name", ["t.csv", "T.CSV", "a.b.Csv", "t.tsv", "t.TXT", "t.dat", "t.data", "t.csv.gz", "T.TSV.GZ"]
)
def test_endings_of_texts(read, name):
    content = b"a,y\n1,2\n"
    file = read(gzip.compress(content) if name.lower().endswith("gz") else content, name)
    assert file.frame.rows() == [(1, 2)]
    assert file.name == name


def test_names_of_other_files():
    from pathlib import Path

    for name in ("t.npz", "csv", "train-images-idx3-ubyte.gz", "t.csv.zip", "t.xls", ".csv"):
        assert table_ending(Path(name)) is None


def test_workbooks(read, monkeypatch):
    frame = mixed_frame(30)
    file = read(xlsx_bytes(frame), "T.XLSX")
    assert file.frame.columns == frame.columns
    assert file.frame["income"].to_list() == frame["income"].to_list()
    with pytest.raises(FormatError, match=r"t\.xlsx: the file must be a readable \.xlsx workbook"):
        read(b"a,y\n1,2\n", "t.xlsx")
    monkeypatch.setitem(__import__("sys").modules, "fastexcel", None)
    with pytest.raises(
        MissingError, match=r"Install it with pip install 'chainrule\[excel\]', or save the sheet as .csv"
    ):
        read(b"", "t.xlsx")


def test_an_index_that_pandas_saved_is_left_out(tmp_path):
    frame = pl.DataFrame({"a": np.random.default_rng(0).normal(size=40), "y": [0, 1] * 20})
    shuffled = pl.Series(np.random.default_rng(1).permutation(400)[:40])
    for name, index in (("__index_level_0__", ["__index_level_0__"]), ("Id", ["Id"])):
        table = frame.with_columns(shuffled.alias(name))
        path = tmp_path / f"{name}.parquet"
        table.write_parquet(path, metadata={"pandas": json.dumps({"index_columns": index})})
        data = load(path, "y")
        assert data.feature_names == ("a",)
        assert any(name in sentence for sentence in (*data.facts, *data.schema.warnings))
    (tmp_path / "t.csv").write_text(",a,y\n" + "".join(f"{k},{k * 7 % 40}.5,{k % 2}\n" for k in shuffled))
    assert load(tmp_path / "t.csv", "y").feature_names == ("a",)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"separator": ",,"}, "separator must be one character"),
        ({"separator": '"'}, "separator must be one character"),
        ({"decimal": ":"}, "decimal must be '.' or ','"),
        ({"encoding": "qq"}, "encoding must be one that Python knows"),
        ({"encoding": "ascii"}, "text that is no ascii"),
    ],
)
def test_options_that_are_not_allowed(read, options, message):
    with pytest.raises(ChainruleError, match=message):
        read("ä,b\n1,2\n", **options)


TEXT = csv_text(mixed_frame(12), gap="?").encode()


@pytest.mark.slow
@settings(max_examples=200, deadline=None)
@given(st.data())
def test_no_bytes_make_reading_fail_otherwise(tmp_path_factory, data):
    content = bytearray(TEXT)
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(0, len(content) - 1))
        end = data.draw(st.sampled_from([at, at, at + 1, at + 1, at + 7, at + 200, len(content)]))
        new = data.draw(
            st.sampled_from([b'"', b",", b"\n", b"\0", b"\xff", b";", b"\r", b" ", b"9", b"-", b"\xef\xbb\xbf"])
        )
        content[at:end] = new
    path = tmp_path_factory.getbasetemp() / "mutated.csv"
    path.write_bytes(bytes(content) or b"\n")
    try:
        file = read_file(path)
        schema = describe("t", file.frame, file.frame.columns[-1])
        assert np.isinf(schema.encode("t", file.frame)).sum() == 0
        assert np.isfinite(schema.design("t", file.frame)).all()
        load(path, file.frame.columns[-1])
    except ChainruleError:
        pass


@settings(max_examples=200, deadline=None)
@example(b'""')
@example(b'""\na\n1\n')
@given(st.binary(max_size=60) | st.text(alphabet='a1,;\n" .\t-', max_size=60).map(str.encode))
def test_any_bytes_are_read_or_refused(tmp_path_factory, content):
    path = tmp_path_factory.getbasetemp() / "any.csv"
    path.write_bytes(content)
    try:
        file = read_file(path)
        describe("t", file.frame, None)
    except ChainruleError:
        pass


def test_a_large_table_takes_little_time(read):
    rng = np.random.default_rng(0)
    frame = pl.DataFrame({f"x{j}": rng.normal(size=20_000).round(3) for j in range(10)})
    text = frame.write_csv()
    start = time.perf_counter()
    file = read(text)
    describe("t", file.frame, None)
    assert time.perf_counter() - start < 3
