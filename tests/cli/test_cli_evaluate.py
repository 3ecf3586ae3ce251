"""Why: people evaluate and predict with tables as they have them, by every kind of model, and must hear what is unusual.

In: models of tables, made by hand, and table files. Out: scores, predictions beside kept columns, one line for each fault.
"""

import csv
import gzip
import io
import json
from dataclasses import replace

import numpy as np
import polars as pl
import pytest
from pack_cases import pack_of, plain_table_model, regression_pack, schema_of, table, table_model, three_classes

from chainrule import cli
from chainrule.data.row_sketch import MOST_HASHES, RowSketch
from chainrule.io import save_model
from chainrule.table_model import TableModel

MODELS = {"pack": table_model, "one network": plain_table_model}


@pytest.fixture
def chainrule(capsys, monkeypatch, tmp_path):
    """Runs the command line in this process and an own folder; gives exit code, standard output, standard error."""
    monkeypatch.chdir(tmp_path)

    def call(*arguments):
        code = cli.run([str(argument) for argument in arguments])
        return code, *capsys.readouterr()

    return call


def saved(model, path="m.safetensors"):
    save_model(model, path)
    return model


def rows_of(frame, suffix):
    """Write a table in the form of its ending."""
    path = f"rows{suffix}"
    text = frame.write_csv(separator="\t" if "tsv" in suffix.lower() else ",")
    if suffix == ".parquet":
        frame.write_parquet(path)
    elif suffix.lower().endswith(".gz"):
        with gzip.open(path, "wt") as file:
            file.write(text)
    else:
        with open(path, "w") as file:
            file.write(text)
    return path


@pytest.mark.parametrize("kind", MODELS)
@pytest.mark.parametrize("suffix", [".csv", ".CSV", ".tsv", ".txt", ".csv.gz", ".parquet"])
def test_every_kind_of_file_is_evaluated_and_predicted_alike(chainrule, kind, suffix):
    model = saved(MODELS[kind]())
    path = rows_of(table(), suffix)
    code, out, err = chainrule("evaluate", "m.safetensors", path, "--json")
    assert (code, err) == (0, "")
    scores = json.loads(out)
    y = np.array(table()["y"].to_list())
    assert scores["rows"] == 90
    assert scores["accuracy"] == pytest.approx((model.predict(table()) == y).mean())
    assert {"loss", "balanced_accuracy", "f1", "roc_auc"} <= set(scores)
    code, out, err = chainrule("predict", "m.safetensors", path, "--json")
    assert (code, err) == (0, "")
    assert json.loads(out)["predictions"] == model.predict(table()).tolist()


def test_a_european_file_is_read_as_train_reads_it(chainrule):
    model = saved(table_model())
    text = table().write_csv(separator=";", decimal_comma=True)
    with open("rows.csv", "w") as file:
        file.write(text)
    code, out, err = chainrule("predict", "m.safetensors", "rows.csv", "--separator", ";", "--decimal", ",", "--json")
    assert (code, err) == (0, "")
    assert json.loads(out)["predictions"] == model.predict(table()).tolist()


@pytest.mark.parametrize("command", ["predict", "evaluate"])
def test_what_is_unusual_is_said_on_standard_error(chainrule, command):
    saved(table_model())
    odd = table().with_columns(
        pl.lit("harbor").alias("town"), pl.lit(2031).alias("year"), pl.lit(1e13).alias("income"), pl.lit(1).alias("[b]")
    )
    code, out, err = chainrule(command, "m.safetensors", rows_of(odd, ".csv"), "--json")
    assert code == 0
    assert json.loads(out)
    lines = err.splitlines()
    assert any("ignored" in line and "'[b]'" in line for line in lines)
    assert any("'town'" in line and "unknown" in line for line in lines)
    assert any("'year' was always 2023 in training and is now 2031" in line for line in lines)
    assert any("'income'" in line and "far outside" in line for line in lines)
    assert all(line.startswith("rows.csv: ") for line in lines)


@pytest.mark.parametrize("command", ["predict", "evaluate"])
@pytest.mark.parametrize("kind", MODELS)
def test_missing_columns_take_one_line(chainrule, command, kind):
    saved(MODELS[kind]())
    code, out, err = chainrule(command, "m.safetensors", rows_of(table().drop("age", "town"), ".csv"))
    assert (code, out) == (2, "")
    assert len(err.splitlines()) == 1
    assert "rows.csv" in err
    assert "'age', 'town'" in err


def test_kept_columns_stand_first_and_stay_as_they_were(chainrule):
    model = saved(table_model())
    ids = [f"00{k}" for k in range(90)]
    names = ["=cmd()", "+x", "-5", "@a", "ok", None, "a,b", 'q"'] * 11 + ["-5.5e3", "-"]
    frame = table().with_columns(pl.Series("id", ids), pl.Series("name", names))
    path = rows_of(frame, ".csv")
    code, out, _ = chainrule("predict", "m.safetensors", path, "--keep", "id,name,town", "--probabilities")
    assert code == 0
    header, *rows = csv.reader(io.StringIO(out))
    assert header == ["id", "name", "town", "y", "probability_no", "probability_yes"]
    assert [row[0] for row in rows] == ids
    expected = ["'=cmd()", "'+x", "-5", "'@a", "ok", "", "a,b", 'q"']
    assert [row[1] for row in rows[:8]] == expected
    assert [row[1] for row in rows[-2:]] == ["-5.5e3", "'-"]
    assert [row[2] for row in rows] == table()["town"].to_list()
    assert [row[3] for row in rows] == model.predict(table()).tolist()
    plain = json.loads(chainrule("predict", "m.safetensors", path, "--keep", "since", "--json")[1])
    assert plain["kept"]["since"] == [str(day) for day in table()["since"].to_list()]


def test_unknown_columns_cannot_be_kept(chainrule):
    saved(table_model())
    code, _, err = chainrule("predict", "m.safetensors", rows_of(table(), ".csv"), "--keep", "incom")
    assert code == 2
    assert (
        err
        == "error: predict: --keep must be names of columns, separated by commas, got 'incom'. Did you mean 'income'?\n"
    )


def test_the_threshold_moves_the_second_of_two_classes(chainrule):
    model = saved(table_model())
    path = rows_of(table(), ".csv")
    P = model.probabilities(table())[:, 1]
    for threshold in (0.3, 0.5, 0.9):
        out = chainrule("predict", "m.safetensors", path, "--threshold", threshold, "--json")[1]
        assert json.loads(out)["predictions"] == np.where(threshold <= P, "yes", "no").tolist()


THRESHOLDS = {
    "three classes": (lambda: TableModel(schema_of(), three_classes()), 0.3, "The model predicts 3 classes."),
    "values": (lambda: table_model(regression_pack()), 0.3, "The model predicts values."),
    "too high": (table_model, 1.5, "--threshold must be between 0 and 1, got 1.5."),
    "nothing": (table_model, 0.0, "--threshold must be between 0 and 1, got 0.0."),
}


@pytest.mark.parametrize("command", ["predict", "evaluate"])
@pytest.mark.parametrize("case", THRESHOLDS)
def test_other_thresholds_are_refused(chainrule, case, command):
    make, threshold, sentence = THRESHOLDS[case]
    saved(make())
    code, _, err = chainrule(command, "m.safetensors", rows_of(table(), ".csv"), "--threshold", threshold)
    assert code == 2
    assert len(err.splitlines()) == 1
    assert sentence in err


def test_another_target_is_refused_and_the_same_is_taken(chainrule):
    saved(table_model())
    path = rows_of(table(), ".csv")
    code, _, err = chainrule("evaluate", "m.safetensors", path, "--target", "town")
    assert code == 2
    assert err == "error: evaluate: --target must be 'y', which the model predicts, or left out, got 'town'.\n"
    assert chainrule("evaluate", "m.safetensors", path, "--target", "y")[0] == 0


def test_each_class_has_a_line_of_scores(chainrule):
    model = saved(table_model())
    code, out, _ = chainrule("evaluate", "m.safetensors", rows_of(table(), ".csv"))
    assert code == 0
    assert {"class", "precision", "recall", "F1", "rows"} <= set(out.split())
    assert "balanced_accuracy" in out
    y, predicted = np.array(table()["y"].to_list()), model.predict(table())
    line = next(line.split() for line in out.splitlines() if line.split()[:1] == ["yes"])
    recall = (predicted[y == "yes"] == "yes").mean()
    assert float(line[2]) == pytest.approx(recall, abs=1e-3)
    assert int(line[4]) == (y == "yes").sum()


def test_values_are_scored_in_their_unit(chainrule):
    model = saved(table_model(regression_pack()))
    y = np.linspace(80.5, 119.5, 90)
    frame = table().with_columns(pl.Series("y", y))
    scores = json.loads(chainrule("evaluate", "m.safetensors", rows_of(frame, ".csv"), "--json")[1])
    assert scores["mae"] == pytest.approx(np.abs(model.predict(table()) - y).mean(), rel=1e-5)
    assert {"rmse", "r2"} <= set(scores)


def test_rows_without_a_target_are_left_out_and_counted(chainrule):
    saved(table_model())
    gaps = pl.Series("y", [None if k < 5 else label for k, label in enumerate(table()["y"].to_list())])
    code, out, err = chainrule("evaluate", "m.safetensors", rows_of(table().with_columns(gaps), ".csv"), "--json")
    assert code == 0
    assert (json.loads(out)["rows"], json.loads(out)["left_out"]) == (85, 5)
    assert err == "rows.csv: 5 of 90 rows have no target and are left out\n"


LABELS = {
    "whole numbers": ([0, 1], ["0", "1"]),
    "whole numbers as floats": ([0, 1], ["0.0", "1.0"]),
    "floats": ([0.0, 1.0], ["0", "1"]),
    "booleans": ([False, True], ["False", "TRUE"]),
    "text of numbers": (["0", "1"], ["0", "1"]),
    "text": (["no", "yes"], ["no", "yes"]),
}


@pytest.mark.parametrize("case", LABELS)
def test_labels_are_read_as_the_model_has_them_and_come_back_as_they_are(chainrule, case):
    classes, written = LABELS[case]
    model = saved(table_model(pack_of(classes=classes)))
    truth = model.predict(table())
    cells = [written[classes.index(label)] for label in truth.tolist()]
    path = rows_of(table().with_columns(pl.Series("y", cells)), ".csv")
    assert json.loads(chainrule("evaluate", "m.safetensors", path, "--json")[1])["accuracy"] == 1.0
    assert json.loads(chainrule("predict", "m.safetensors", path, "--json")[1])["predictions"] == truth.tolist()


def test_labels_that_the_model_does_not_know_take_one_line(chainrule):
    saved(table_model())
    frame = table().with_columns(pl.Series("y", ["maybe", "no", "yes"] * 30))
    code, _, err = chainrule("evaluate", "m.safetensors", rows_of(frame, ".csv"))
    assert code == 2
    assert len(err.splitlines()) == 1
    assert "labels must be among ['no', 'yes'], got ['maybe']" in err


@pytest.mark.parametrize("kind", MODELS)
def test_rows_that_were_trained_on_are_counted(chainrule, kind):
    model = MODELS[kind]()
    seen = RowSketch.of(model.as_matrix(table()[:30]))
    saved(replace(model, core=replace(model.core, trained_on=seen)))
    code, out, err = chainrule("evaluate", "m.safetensors", rows_of(table(), ".csv"), "--json")
    assert code == 0
    assert json.loads(out)["trained_on"] == pytest.approx(30 / 90)
    assert err == "rows.csv: the model was trained on 30 of 90 rows; the scores of new rows are likely lower\n"
    assert chainrule("evaluate", "m.safetensors", rows_of(table()[30:], ".csv"), "--json")[2] == ""


def test_a_sketch_of_many_rows_estimates_the_share():
    X = np.random.default_rng(0).normal(size=(100_000, 3))
    sketch = RowSketch.of(X)
    assert len(sketch.hashes) == MOST_HASHES
    assert (np.diff(sketch.hashes.astype(object)) > 0).all()
    new = np.random.default_rng(1).normal(size=(50_000, 3))
    assert sketch.share(X) == 1.0
    assert sketch.share(new) == 0.0
    assert sketch.share(np.vstack([X[:25_000], new[:25_000]])) == pytest.approx(0.5, abs=0.05)
    assert sketch.share(X[:0]) is None


def test_equal_rows_are_found_whatever_their_type_and_gaps():
    X = np.array([[0.0, 1.5, np.nan], [2.0, -0.0, 3.0]])
    sketch = RowSketch.of(X.astype(np.float32))
    assert sketch.share(np.array([[-0.0, 1.5, -np.nan], [2.0, 0.0, 3.0]])) == 1.0
    assert sketch.share(X[:, ::-1]) == 0.0


def test_a_model_without_a_schema_names_what_it_ignores(chainrule):
    core = plain_table_model().core
    saved(replace(core, feature_names=tuple(f"f{j}" for j in range(core.net.inputs))))
    X = np.random.default_rng(0).normal(size=(5, core.net.inputs))
    frame = pl.DataFrame(X, schema=[f"f{j}" for j in range(core.net.inputs)]).with_columns(pl.lit("x").alias("note"))
    code, out, err = chainrule("predict", "m.safetensors", rows_of(frame, ".csv"), "--keep", "note")
    assert code == 0
    assert out.splitlines()[0] == "note,y"
    assert err == "rows.csv: ignored columns that the training did not have: 'note'\n"


def test_kept_columns_need_a_table(chainrule):
    saved(plain_table_model().core)
    code, _, err = chainrule("predict", "m.safetensors", "digits", "--keep", "id")
    assert code == 2
    assert "--keep must be left out for this source" in err


@pytest.mark.parametrize("threshold", [0.1, 0.3, 0.5, 0.7, 0.9])
def test_a_threshold_is_scored_as_it_predicts(chainrule, threshold):
    rng = np.random.default_rng(0)
    frame = pl.DataFrame({"x": rng.normal(size=200)}).with_columns(
        y=pl.when(pl.col("x") + pl.Series(rng.normal(size=200)) > 0).then(pl.lit("yes")).otherwise(pl.lit("no"))
    )
    frame.write_csv("rows.csv")
    assert chainrule("train", "rows.csv", "--target", "y", "--hidden", "4", "--epochs", 5, "--out", "m")[0] == 0
    out = chainrule("predict", "m", "rows.csv", "--threshold", threshold, "--json")[1]
    predicted = np.array(json.loads(out)["predictions"])
    y = frame["y"].to_numpy()
    out = chainrule("evaluate", "m", "rows.csv", "--threshold", threshold, "--json")[1]
    scores = json.loads(out)
    assert scores["threshold"] == threshold
    assert scores["accuracy"] == pytest.approx((predicted == y).mean())
    recalls = [(predicted[y == label] == label).mean() for label in ("no", "yes")]
    assert scores["balanced_accuracy"] == pytest.approx(np.mean(recalls))
    usual = json.loads(chainrule("evaluate", "m", "rows.csv", "--json")[1])
    assert (scores["loss"], scores["roc_auc"]) == (usual["loss"], usual["roc_auc"])
    out = chainrule("evaluate", "m", "rows.csv", "--threshold", threshold)[1]
    yes = next(line for line in out.splitlines() if line.split()[:1] == ["yes"])
    assert float(yes.split()[2]) == pytest.approx(recalls[1], abs=6e-4)
