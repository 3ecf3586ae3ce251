"""Why: a program that writes a row must get its answer before it writes the next, and a bad row must not end the pipe.

In: rows on standard input of `chainrule predict --stdin`, good and bad. Out: what a file of the same rows is answered; one
error for each bad row, in its place.
"""

import csv
import io
import json
import os
import subprocess
import sys

import numpy as np
import polars as pl
import pytest
from pack_cases import pack_of, schema_of, table

from chainrule import NetClassifier, NetRegressor, cli
from chainrule.io import save_model
from chainrule.table_model import TableModel


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """A folder with a pack of a table, the model of a matrix with named columns, one of several targets, and rows."""
    folder = tmp_path_factory.mktemp("lines")
    save_model(TableModel(schema_of(), pack_of()), folder / "people.safetensors")
    rng = np.random.default_rng(0)
    X = pl.DataFrame({"a": rng.normal(size=60), "b": rng.normal(size=60)})
    y = np.where(X["a"].to_numpy() > 0, "up", "down")
    quick = {"hidden_layer_sizes": (4,), "max_iter": 5, "random_state": 0, "engine": "reference"}
    save_model(NetClassifier(**quick).fit(X, y), folder / "matrix.safetensors")
    Y = np.column_stack([X["a"], X["b"]])
    save_model(NetRegressor(**quick).fit(X, Y), folder / "values.safetensors")
    table().drop("y").write_csv(folder / "people.csv")
    return folder


@pytest.fixture
def lines(place, monkeypatch, capsys):
    """Runs predict in this process with text on standard input; gives exit code, standard output, standard error."""

    def call(text, model="people.safetensors", *options):
        data = text if isinstance(text, bytes) else text.encode()
        monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(data)))
        code = cli.run(["predict", str(place / model), "--stdin", *options])
        return code, *capsys.readouterr()

    return call


def people():
    rows = table().drop("y").to_dicts()
    return [{name: str(cell) if name == "since" else cell for name, cell in row.items()} for row in rows]


def test_lines_of_json_are_answered_as_the_file_is(place, lines, capsys):
    assert cli.run(["predict", str(place / "people.safetensors"), str(place / "people.csv"), "--probabilities"]) == 0
    wanted = list(csv.DictReader(io.StringIO(capsys.readouterr().out)))
    code, out, err = lines("".join(json.dumps(row) + "\n" for row in people()), "people.safetensors", "--probabilities")
    found = [json.loads(line) for line in out.splitlines()]
    assert (code, err) == (0, "")
    assert [row["prediction"] for row in found] == [row["y"] for row in wanted]
    P = [[float(row["probability_no"]), float(row["probability_yes"])] for row in wanted]
    np.testing.assert_allclose([row["probabilities"] for row in found], P, atol=2e-7)


def test_lines_of_csv_are_answered_as_the_file_is(place, lines, capsys):
    options = ("--probabilities", "--keep", "town,age")
    file = str(place / "people.csv")
    assert cli.run(["predict", str(place / "people.safetensors"), file, *options]) == 0
    wanted = list(csv.reader(io.StringIO(capsys.readouterr().out)))
    text = (place / "people.csv").read_text()
    code, out, err = lines(text, "people.safetensors", "--format", "csv", *options)
    found = list(csv.reader(io.StringIO(out)))
    assert (code, err) == (0, "")
    assert [row[:3] for row in found] == [row[:3] for row in wanted]
    np.testing.assert_allclose(
        [[float(cell) for cell in row[3:]] for row in found[1:]],
        [[float(cell) for cell in row[3:]] for row in wanted[1:]],
        atol=2e-7,
    )


BAD_JSON = {
    "no json": "age=3",
    "half a line": '{"age": 3',
    "a number": "3",
    "a list for a table": "[1, 2]",
    "no number": '{"income": "much"}',
    "a list in a cell": '{"age": [3]}',
    "an object in a cell": '{"age": {"years": 3}}',
    "a name twice": '{"age": 3, "age": 4}',
    "a column too few": "{}",
    "not a number": '{"age": NaN}',
    "too deep": "[" * 100_000,
    "bytes": b"\xff\xfe{}",
    "a large number": '{"age": 1e999}',
}


@pytest.mark.parametrize("name", BAD_JSON)
def test_a_bad_line_is_answered_by_one_error_and_the_next_one_is_read(lines, name):
    bad = BAD_JSON[name]
    if isinstance(bad, str):
        bad = bad.encode()
        if bad.startswith(b'{"') and bad.endswith(b"}"):
            others = {key: cell for key, cell in people()[1].items() if f'"{key}"' not in BAD_JSON[name]}
            bad = bad[:-1] + b", " + json.dumps(others).encode()[1:]
    good = json.dumps(people()[1]).encode()
    code, out, err = lines(good + b"\n" + bad + b"\n" + good + b"\n")
    found = [json.loads(line) for line in out.splitlines()]
    assert (code, err) == (1, "")
    assert [list(row) for row in found] == [["prediction"], ["error"], ["prediction"]]
    assert found[1]["error"].startswith("line 2: ")
    assert "\n" not in found[1]["error"]


BAD_CSV = {
    "a cell too few": "1\n",
    "a cell too many": "1,2,3\n",
    "no number": "x,2\n",
    "an empty cell": ",2\n",
    "bytes": b"1,\xff2\n",
    "a cell too long": "1," + "2" * 200_000 + "\n",
    "infinity": "inf,1\n",
}


@pytest.mark.parametrize("name", BAD_CSV)
def test_a_bad_row_of_csv_leaves_its_cells_empty_and_says_why(lines, name):
    bad = BAD_CSV[name] if isinstance(BAD_CSV[name], bytes) else BAD_CSV[name].encode()
    code, out, err = lines(b"b,a\n1,2\n" + bad + b"3,-4\n", "matrix.safetensors", "--format", "csv", "--keep", "a")
    rows = list(csv.reader(io.StringIO(out)))
    assert code == 1
    assert rows[0] == ["a", "target"]
    assert [row[1] in ("up", "down") for row in rows[1:]] == [True, False, True]
    assert rows[2] == ["", ""]
    assert err.startswith("error: line 3: ")
    assert err.count("\n") == 1


REFUSED = {
    "a source too": (["t.csv"], "predict: SOURCE must be left out with --stdin"),
    "another format": (
        ["--format", "jsno"],
        "predict: --format must be jsonl or csv, got 'jsno'. Did you mean 'jsonl'?",
    ),
    "json": (["--json"], "predict: --json must be left out with --stdin"),
    "a file": (["--out", "a.csv"], "predict: --out must be left out with --stdin"),
    "a separator of json": (["--separator", ";"], "predict: --separator must be left out with --format jsonl"),
    "a long separator": (["--format", "csv", "--separator", "ab"], "predict: --separator must be one character"),
    "an encoding": (["--encoding", "latin-1"], "predict: --encoding must be left out with --stdin"),
    "a threshold above 1": (["--threshold", "2"], "predict: --threshold must be between 0 and 1"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_an_option_that_does_not_fit_is_refused_before_a_row_is_read(lines, name):
    options, message = REFUSED[name]
    code, out, err = lines("", "people.safetensors", *options)
    assert (code, out) == (2, "")
    assert err.startswith(f"error: {message}")


def test_neither_a_source_nor_stdin_is_one_line(place, capsys):
    assert cli.run(["predict", str(place / "people.safetensors")]) == 2
    assert capsys.readouterr().err.startswith("error: predict: SOURCE must be given")


def test_a_format_without_stdin_is_refused(place, capsys):
    assert cli.run(["predict", str(place / "people.safetensors"), "iris", "--format", "csv"]) == 2
    assert "--format must be left out without --stdin" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("header", "message"),
    [("age,town\n", "there must be a column"), ("a\n", "there must be a column 'b'"), ("a,b,b\n", "must be different")],
)
def test_a_first_line_without_the_columns_ends_the_command(lines, header, message):
    model = "people.safetensors" if "town" in header else "matrix.safetensors"
    code, out, err = lines(header + "1,2\n", model, "--format", "csv")
    assert (code, out) == (2, "")
    assert message in err


def test_a_model_of_a_matrix_takes_objects_and_lists(lines):
    text = '{"b": 2, "a": 1, "c": "more"}\n[1, 2]\n{"a": "1", "b": "2.0"}\n\n'
    code, out, _ = lines(text, "matrix.safetensors", "--threshold", "0.5")
    assert code == 0
    assert len(set(out.splitlines())) == 1
    assert len(out.splitlines()) == 3


def test_several_values_and_kept_columns_are_written(lines):
    code, out, _ = lines('{"a": 1, "b": 2, "id": null}\n', "values.safetensors", "--keep", "id")
    found = json.loads(out)
    assert code == 0
    assert found["kept"] == {"id": None}
    assert len(found["prediction"]) == 2
    code, out, _ = lines("a,b,id\n1,2,=7\n", "values.safetensors", "--keep", "id", "--format", "csv")
    rows = list(csv.reader(io.StringIO(out)))
    assert rows[0] == ["id", "target_0", "target_1"]
    assert rows[1][0] == "'=7"


@pytest.mark.parametrize("text", ["", "\n\n", "\ufeff"])
def test_no_rows_are_no_error(lines, text):
    assert lines(text, "people.safetensors") == (0, "", "")


def test_marks_and_line_ends_of_other_systems_are_read(lines):
    text = "\ufeffa;b\r\n1;2\r\n\r\n"
    code, out, _ = lines(text, "matrix.safetensors", "--format", "csv", "--separator", ";")
    assert code == 0
    assert len(out.splitlines()) == 2
    assert lines('\ufeff{"a": 1, "b": 2}\r\n', "matrix.safetensors")[0] == 0


def started(place, *options):
    command = [sys.executable, "-m", "chainrule", "predict", str(place / "matrix.safetensors"), "--stdin", *options]
    return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE)


@pytest.mark.parametrize("options", [(), ("--format", "csv")])
def test_a_row_is_answered_before_the_next_one_is_written(place, options):
    with started(place, *options) as process:
        if options:
            process.stdin.write(b"a,b\n")
        for _ in range(3):
            process.stdin.write(b"1,2\n" if options else b"[1, 2]\n")
            process.stdin.flush()
            assert process.stdout.readline()
        process.stdin.close()
        assert process.wait(30) == 0


def test_a_reader_that_leaves_early_is_no_error(place):
    with started(place) as process:
        process.stdin.write(b"[1, 2]\n")
        process.stdin.flush()
        process.stdout.readline()
        process.stdout.close()
        try:
            process.stdin.write(b"[1, 2]\n" * 1000)
            process.stdin.close()
        except BrokenPipeError:  # it ended before all rows were written
            pass
        assert process.wait(30) == 0
        assert process.stderr.read() == b""


COMMANDS = (
    ("predict", "matrix.safetensors", "wide.csv"),
    ("predict", "matrix.safetensors", "wide.csv", "--probabilities"),
    ("predict", "matrix.safetensors", "wide.csv", "--json"),
    ("explain", "400-300-200-100-10", "--json"),
    ("explain", "4-3-2"),
    ("info", "--json"),
)


@pytest.mark.slow
@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_every_command_ends_quietly_when_its_reader_has_left(place, command):
    (place / "wide.csv").write_text("a,b\n" + "1,2\n" * 40_000)
    started = [sys.executable, "-m", "chainrule", *command]
    reader, writer = os.pipe()
    os.close(reader)
    with open(writer, "wb") as out:
        done = subprocess.run(started, cwd=place, stdout=out, stderr=subprocess.PIPE, check=False, timeout=60)
    assert (done.returncode, done.stderr) == (0, b"")
