"""Why: a trained model must say about rows, old and new, exactly what it said when it was trained.

In: run folders and model files, `chainrule evaluate` and `chainrule predict`. Out: the same figures; predictions as CSV or
JSON that a spreadsheet can open safely.
"""

import csv
import io
import json
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from chainrule import cli
from chainrule.data import load, three_way
from chainrule.display import printable
from chainrule.io import load_model


@pytest.fixture
def chainrule(capsys):
    """Runs the command line in this process; gives exit code, standard output, standard error."""

    def call(*arguments):
        code = cli.run([str(argument) for argument in arguments])
        return code, *capsys.readouterr()

    return call


def table_of(n=120):
    rng = np.random.default_rng(1)
    kinds = np.array(["ash", "beech", "=elm"])[np.arange(n) % 3]
    height = 4.0 * (np.arange(n) % 3) + rng.normal(size=n)
    return pl.DataFrame({"height": height, "kind": kinds, "width": rng.normal(size=n)})


@pytest.fixture(scope="module")
def trees(tmp_path_factory):
    """A folder with a table, its test rows in the order of columns turned round, and a run on the table."""
    folder = tmp_path_factory.mktemp("trees")
    table_of().write_csv(folder / "trees.csv")
    train(folder, "--target", "kind", "--epochs", 20)
    test = three_way(load(folder / "trees.csv", "kind"), 0.2, 0.1, seed=0).test
    columns = {"width": test.X[:, 1], "kind": test.y, "height": test.X[:, 0]}
    pl.DataFrame(columns).write_csv(folder / "test.csv")
    return folder


def train(folder, *options):
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.setattr("sys.stdout", io.StringIO())
        assert (
            cli.run(["train", "trees.csv", "--out", "run", "--engine", "reference", "--json", *map(str, options)]) == 0
        )


@pytest.mark.parametrize("model", ["run", "run/model.safetensors"])
def test_evaluate_repeats_the_figures_of_the_training(chainrule, trees, model):
    code, out, err = chainrule("evaluate", trees / model, trees / "test.csv", "--json")
    trained = json.loads((trees / "run" / "config.json").read_text())["result"]["test"]
    assert code == 0
    assert err == ""
    assert json.loads(out) == {"rows": 24, "left_out": 0, "trained_on": 0.0, **trained}


def test_evaluate_shows_a_table_and_the_confusion(chainrule, trees):
    code, out, _ = chainrule("evaluate", trees / "run", trees / "test.csv")
    assert code == 0
    assert "24 rows" in out
    confusion = out[out.index("true class") :]
    counts = [line.split()[1:] for line in confusion.splitlines() if line.split()[:1] in (["=elm"], ["ash"], ["beech"])]
    assert sum(int(cell) for row in counts for cell in row if cell.isdigit()) == 24


def test_evaluate_built_in_data_and_regression(chainrule, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    common = ("--epochs", 5, "--test-fraction", 0, "--validation-fraction", 0, "--engine", "reference", "--json")
    trained = json.loads(chainrule("train", "diabetes", *common)[1])
    again = json.loads(chainrule("evaluate", trained["run"], "diabetes", "--json")[1])
    assert again == {"rows": 442, "left_out": 0, "trained_on": 1.0, **trained["train"]}


def test_labels_that_all_look_like_numbers_in_one_file_are_the_models_text(chainrule, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    rng = np.random.default_rng(0)
    pl.DataFrame({"a": rng.normal(size=60), "kind": ["1", "2", "x"] * 20}).write_csv("mixed.csv")
    pl.DataFrame({"a": rng.normal(size=10), "kind": ["1", "2"] * 5}).write_csv("numbers.csv")
    options = ("--target", "kind", "--epochs", 2, "--out", "run", "--engine", "reference", "--json")
    assert chainrule("train", "mixed.csv", *options)[0] == 0
    code, out, _ = chainrule("evaluate", "run", "numbers.csv", "--json")
    assert code == 0
    assert json.loads(out)["rows"] == 10


def test_predict_writes_one_line_a_row(chainrule, trees):
    code, out, err = chainrule("predict", trees / "run", trees / "test.csv")
    assert code == 0
    assert err == ""
    header, *rows = csv.reader(io.StringIO(out))
    assert header == ["kind"]
    model = load_model(trees / "run" / "model.safetensors")
    test = pl.read_csv(trees / "test.csv")
    expected = model.predict(test.select("height", "width").to_numpy())
    assert [row[0].removeprefix("'") for row in rows] == expected.tolist()


def test_text_that_a_spreadsheet_would_run_is_written_as_text(chainrule, trees):
    out = chainrule("predict", trees / "run", trees / "trees.csv")[1]
    cells = set(out.splitlines()[1:])
    assert cells == {"'=elm", "ash", "beech"}


@pytest.mark.parametrize("start", "=+-@\t\r\n\0")
def test_every_start_of_a_formula_is_guarded_and_numbers_are_not(start):
    from chainrule.cli.answers import cell_text

    assert cell_text(f"{start}1") == "'" + printable(f"{start}1", lines=True)
    assert cell_text(np.float32(-1.5)) == np.float32(-1.5)
    assert cell_text(-3) == -3


def test_probabilities_stand_beside_the_labels_and_sum_to_one(chainrule, trees):
    out = chainrule("predict", trees / "run", trees / "test.csv", "--probabilities")[1]
    header, *rows = csv.reader(io.StringIO(out))
    assert header == ["kind", "probability_=elm", "probability_ash", "probability_beech"]
    P = np.array([[float(cell) for cell in row[1:]] for row in rows])
    np.testing.assert_allclose(P.sum(axis=1), 1.0, atol=1e-6)  # three float32 numbers printed in full
    names = np.array(["=elm", "ash", "beech"])[P.argmax(axis=1)]
    assert [row[0].removeprefix("'") for row in rows] == names.tolist()


def test_predict_as_json(chainrule, trees):
    plain = json.loads(chainrule("predict", trees / "run", trees / "test.csv", "--json")[1])
    both = json.loads(chainrule("predict", trees / "run", trees / "test.csv", "--json", "--probabilities")[1])
    assert set(plain) == {"predictions"}
    assert both["predictions"] == plain["predictions"]
    assert len(both["probabilities"]) == 24
    assert len(both["probabilities"][0]) == 3


def test_predict_into_a_file_says_the_same(chainrule, trees, tmp_path):
    printed = chainrule("predict", trees / "run", trees / "test.csv")[1]
    code, out, _ = chainrule("predict", trees / "run", trees / "test.csv", "--out", tmp_path / "answers.csv")
    assert code == 0
    assert out == ""
    assert (tmp_path / "answers.csv").read_text() == printed
    assert [path.name for path in tmp_path.iterdir()] == ["answers.csv"]


def test_predict_needs_no_target_column(chainrule, trees, tmp_path):
    pl.read_csv(trees / "test.csv").select("height", "width").write_csv(tmp_path / "rows.csv")
    with_target = chainrule("predict", trees / "run", trees / "test.csv")[1]
    assert chainrule("predict", trees / "run", tmp_path / "rows.csv")[1] == with_target


def test_amounts_come_back_in_their_unit(chainrule, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    x = np.linspace(0, 1, 80)
    pl.DataFrame({"x": x, "price": 1000.0 + 500.0 * x}).write_csv("prices.csv")
    options = ("--target", "price", "--epochs", 60, "--lr", 0.01, "--out", "run", "--engine", "reference", "--json")
    assert chainrule("train", "prices.csv", *options)[0] == 0
    predicted = json.loads(chainrule("predict", "run", "prices.csv", "--json")[1])["predictions"]
    assert np.abs(np.array(predicted) - (1000.0 + 500.0 * x)).max() < 100
    assert not Path("runs").exists()


def test_evaluate_needs_neither_other_columns_nor_all_classes(tmp_path, capsys):
    rows = [f"{i % 7},{(i * 5) % 11},{'yes' if i % 2 else 'no'}" for i in range(60)]
    (tmp_path / "train.csv").write_text("a,b,c\n" + "\n".join(rows) + "\n")
    assert (
        cli.run(["train", str(tmp_path / "train.csv"), "--target", "c", "--epochs", "2", "--out", str(tmp_path / "r")])
        == 0
    )
    (tmp_path / "test.csv").write_text("note,b,a,c\nfirst,1,2,yes\nsecond,3,4,yes\n")
    capsys.readouterr()
    assert cli.run(["evaluate", str(tmp_path / "r"), str(tmp_path / "test.csv"), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["rows"] == 2
