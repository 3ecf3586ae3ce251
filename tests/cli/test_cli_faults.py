"""Why: whatever a user gets wrong ends in one clear line and exit code 2, with nothing half-written.

In: wrong commands, options, sources, tables and model files. Out: what standard error says, and a folder as it was before.
"""

import os
import re
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from chainrule import cli
from chainrule.io import files


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    """A run on a small table with features a and b and the labels x and y."""
    folder = tmp_path_factory.mktemp("model")
    rng = np.random.default_rng(0)
    pl.DataFrame({"a": rng.normal(size=40), "b": rng.normal(size=40), "kind": ["x", "y"] * 20}).write_csv(
        folder / "table.csv"
    )
    arguments = ["train", str(folder / "table.csv"), "--target", "kind", "--epochs", "2", "--engine", "reference"]
    assert cli.run([*arguments, "--out", str(folder / "run"), "--json"]) == 0
    return folder / "run"


@pytest.fixture
def place(tmp_path, monkeypatch):
    """An empty working folder with the tables that the cases name."""
    monkeypatch.chdir(tmp_path)
    tables = {
        "good.csv": "a,b,kind\n" + "1,2,x\n2,1,y\n" * 10,
        "text.csv": "a,b,kind\n1,2,x\n2,foo,y\n3,4,x\n",
        "nan.csv": "a,b,kind\n1,2,x\n2,3,y\n3,nan,x\n",
        "gap.csv": "a,b,kind\n1,2,x\n2,,y\n3,4,x\n",
        "single.csv": "a,b,kind\n1,2,x\n2,3,x\n3,4,x\n",
        "new.csv": "a,b,kind\n1,2,x\n2,3,z\n",
        "narrow.csv": "a,kind\n1,x\n2,y\n",
        "few.csv": "a,b,kind\n1,2,x\n2,1,y\n",
        "empty.csv": "",
        "header.csv": "a,b,kind\n",
        "ragged.csv": "a,b,kind\n1,2,x\n2,y\n3,4,x\n",
        "typo.csv": "a,price\n" + "".join(f"{i * 7 % 40},{i + 0.5 if i != 2 else '1.o5'}\n" for i in range(40)),
        "amounts.csv": "a,price\n1,0.5\n2,-1.5\n3,2.5\n4,0.25\n5,0.75\n6,0.1\n7,0.9\n8,0.3\n",
        "foreign.safetensors": "this is no model",
    }
    for name, text in tables.items():
        Path(name).write_text(text)
    Path("photo.jpg").write_bytes(b"\xff\xd8\xff\xe0")
    return tmp_path


def everything(folder):
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*"))


def refused(capsys, place, arguments):
    """The lines on standard error of a call that must be refused and leave no trace."""
    before = everything(place)
    code = cli.run([str(argument) for argument in arguments])
    out, err = capsys.readouterr()
    assert code == 2, (out, err)
    assert out == ""
    assert everything(place) == before
    lines = [line for line in err.splitlines() if not line.startswith("epoch ")]
    assert lines
    assert all(line.startswith("error: ") for line in lines), err
    assert "Traceback" not in err
    return lines


WRONG_USE = {
    "no such command": (["trian", "digits"], "Did you mean 'train'?"),
    "no such option": (
        ["train", "digits", "--epoch", 3],
        "error: train: No such option: --epoch. Did you mean '--epochs'?",
    ),
    "option misspelled": (["train", "digits", "--hiden", 3], "No such option: --hiden. Did you mean '--hidden'?"),
    "no source": (["train"], "error: train: SOURCE must be given, got None. Or name Parquet files with --data."),
    "word for a whole number": (
        ["train", "digits", "--epochs", "many"],
        "train: --epochs must be 'auto' or a whole number >= 1, got 'many'.",
    ),
    "fraction for a whole number": (["train", "digits", "--epochs", 2.5], "--epochs"),
    "word for a number": (["train", "digits", "--dropout=20%"], "train: --dropout must be a number, got '20%'."),
    "no value": (["train", "digits", "--seed"], "--seed"),
    "too much": (["train", "digits", "iris"], "iris"),
    "activation": (["train", "digits", "--activation", "rleu"], "Did you mean 'relu'?"),
    "initializer": (["train", "digits", "--initializer", "orthogonl"], "Did you mean 'orthogonal'?"),
    "optimizer": (["train", "digits", "--optimizer", "adma"], "Did you mean 'adam'?"),
    "schedule": (["train", "digits", "--schedule", "cosin"], "Did you mean 'cosine'?"),
    "engine": (["train", "digits", "--engine", "refrence"], "Did you mean 'reference'?"),
    "loss": (["train", "diabetes", "--loss", "squared"], "Did you mean 'squared_error'?"),
    "dtype": (["train", "digits", "--dtype", "float16"], "--dtype must be one of 'float32', 'float64', got 'float16'."),
    "scaling": (["train", "digits", "--scaling", "colums"], "Did you mean 'columns'?"),
    "task": (["train", "digits", "--task", "regresion"], "Did you mean 'regression'?"),
    "source": (["train", "digitz"], "Did you mean 'digits'?"),
    "class weight": (
        ["train", "digits", "--class-weight", "balance"],
        "train: --class-weight must be 'balanced', got 'balance'.",
    ),
    "class weight of amounts": (["train", "diabetes", "--class-weight", "balanced"], "--class-weight must be left out"),
    "dropout of all": (
        ["train", "digits", "--dropout", "1.0"],
        "--dropout must be in [0, 1), got 1.0. It is the fraction",
    ),
    "both norms": (
        ["train", "digits", "--batch-norm", "--layer-norm"],
        "--layer-norm must be False beside --batch-norm",
    ),
    "no epochs": (
        ["train", "digits", "--epochs", 0],
        "--epochs must be one of 'auto' or a whole number in [1, inf), got 0.",
    ),
    "rate of zero": (["train", "digits", "--lr", 0], "--lr must be in (0, inf), got 0.0."),
    "loss of classes": (
        ["train", "digits", "--loss", "huber"],
        "--loss must be left out for a classification, got 'huber'.",
    ),
    "unknown optimizer": (
        ["train", "digits", "--optimizer", "lbfgs"],
        "--optimizer must be an optimizer's name, got 'lbfgs'. Known:",
    ),
    "picture of another kind": (
        ["lr-find", "iris", "--picture", "lr.pdf"],
        "--picture must be a .png file, got 'lr.pdf'.",
    ),
    "rate below zero": (["train", "digits", "--lr", -1], "--lr must be in (0, inf), got -1.0."),
    "rate not a number": (["train", "digits", "--lr", "nan"], "--lr must be in (0, inf), got nan."),
    "rate in words": (["train", "digits", "--lr", "fast"], "--lr must be a number or 'find', got 'fast'."),
    "hidden in words": (
        ["train", "digits", "--hidden", "a,b"],
        "train: --hidden must be whole numbers as 128,64, or none",
    ),
    "hidden of none": (["train", "digits", "--hidden", "8,0"], "--hidden must be whole numbers from 1"),
    "hidden without bound": (
        ["train", "digits", "--hidden", 10**20],
        "--hidden must be whole numbers from 1 to 10 million",
    ),
    "more memory than there is": (["train", "digits", "--hidden", "1,9000000,9000000"], "error: memory: "),
    "batch in words": (
        ["train", "digits", "--batch-size", "half"],
        "--batch-size must be a whole number, 'auto' or 'full'",
    ),
    "batch of none": (["train", "digits", "--batch-size", 0], "--batch-size must be a whole number >= 1"),
    "batch larger than the data": (
        ["train", "digits", "--batch-size", 5000],
        "--batch-size must be at most the number of training rows (1294)",
    ),
    "seed below zero": (["train", "digits", "--seed", -1], "--seed must be a whole number in [0, 2**64), got -1."),
    "share above one": (["train", "digits", "--test-fraction", 1.5], "--test-fraction must be in [0, 1), got 1.5."),
    "share of all": (
        ["train", "digits", "--validation-fraction", 1],
        "--validation-fraction must be in [0, 1), got 1.0.",
    ),
    "share not a number": (
        ["train", "digits", "--test-fraction", "nan"],
        "--test-fraction must be in [0, 1), got nan.",
    ),
    "patience below zero": (
        ["train", "digits", "--patience", -1],
        "train: --patience must be 'auto' or a whole number >= 0, got '-1'.",
    ),
    "clip of zero": (
        ["train", "digits", "--max-grad-norm", 0],
        "--max-grad-norm must be in (0, inf) or None, got 0.0.",
    ),
    "smoothing of all": (["train", "digits", "--label-smoothing", 1], "--label-smoothing must be in [0, 1), got 1.0."),
    "doctor's level": (["train", "digits", "--doctor", "wacth"], "Did you mean 'watch'?"),
    "symptom to suppress": (
        ["doctor", "digits", "--suppress", "overfiting=known"],
        "doctor: --suppress must be SYMPTOM=REASON with a known symptom, got 'overfiting=known'. Did you",
    ),
    "suppressed without a reason": (["train", "iris", "--suppress", "overfitting="], "Give a reason."),
    "doctor of nothing": (["doctor", "digitz"], "Did you mean 'digits'?"),
    "doctor's own page nowhere": (["doctor", "iris", "--out", "nowhere/page.html"], "'nowhere' must exist"),
    "one run to compare": (["compare", "run"], "RUN must be at least two run folders, got 1."),
    "no runs to compare": (["compare", "one", "two"], "RUN must be a run folder, got 'one'. It has no config.json."),
    "target of built-in data": (["train", "digits", "--target", "digit"], "target must be left out"),
    "rows of none": (["explain", "4-2", "--rows", 0], "--rows"),
    "width of none": (["explain", "4-0-2"], "units must be a whole number in [1, inf), got 0."),
    "one width": (
        ["explain", "64"],
        "explain: SUBJECT must be widths such as 64-32-10, a source or a model, got '64'.",
    ),
    "widths with a word": (["gradcheck", "64-x-10"], "gradcheck: SUBJECT must be widths such as 64-32-10, a source or"),
    "profile of no width": (
        ["profile", "4-0-2"],
        "profile: ARCHITECTURE must be widths such as 784-256-128-10, got '4-0-2'.",
    ),
    "head": (["explain", "4-2", "--head", "MeanSqared"], "Did you mean 'MeanSquaredError'?"),
    "head of a source": (["explain", "iris", "--head", "MeanSquaredError"], "explain: --head must be omitted"),
    "gradcheck's dropout": (["gradcheck", "4-3-2", "--dropout", 1], "error: gradcheck: --dropout must be in [0, 1)"),
    "gradcheck of no entries": (["gradcheck", "4-2", "--entries", 0], "--entries"),
    "gradcheck of one row": (
        ["gradcheck", "4-3-2", "--batch-norm", "--rows", 1],
        "--rows must be at least 2 with batch norm",
    ),
    "range upside down": (["lr-find", "iris", "--low", 1, "--high", 0.1], "low must be below high"),
    "range of one step": (["lr-find", "iris", "--steps", 1], "steps must be a whole number in [10, inf), got 1."),
    "checked entries of no seed": (["gradcheck", "4-2", "--seed", -1], "gradcheck: --seed must be >= 0, got '-1'."),
    "doctor's level of another name": (
        ["train", "digits", "--doctor", "on"],
        "--doctor must be one of 'off', 'watch', 'advise', 'fix', got 'on'.",
    ),
    "page of another kind": (["doctor", "iris", "--out", "page.txt"], "--out must be an .html file, got 'page.txt'."),
    "comparison of another kind": (
        ["compare", "a", "b", "--out", "a.txt"],
        "--out must be an .html file, got 'a.txt'.",
    ),
    "profile of no time": (["profile", "4-3-2", "--seconds", -1], "profile: --seconds must be in (0, inf), got -1.0."),
    "profile on no processor": (["profile", "4-3-2", "--threads", 0], "profile: --threads must be in [1, "),
    "study with no worker": (
        ["study", "depth", "--workers", 0],
        "study: --workers must be a whole number >= 1, got 0.",
    ),
    "search on no validation rows": (
        ["search", "iris", "--validation-fraction", 0],
        "search: --validation-fraction must be in (0, 1), got 0.0.",
    ),
    "search with too many test rows": (
        ["search", "iris", "--test-fraction", 1],
        "search: --test-fraction must be in [0, 1), got 1.0.",
    ),
    "picture nowhere": (["lr-find", "iris", "--picture", "nowhere/rates.png"], "'nowhere' must exist"),
}

WRONG_DATA = {
    "missing file": (["train", "nothere.csv", "--target", "kind"], "'nothere.csv'. This path does not exist."),
    "missing target": (
        ["train", "good.csv"],
        "good.csv: target must be the name of a column, got None. Name one, as --target kind. Columns: a, b, kind.",
    ),
    "unknown target": (
        ["train", "good.csv", "--target", "kinds"],
        "got 'kinds'. Did you mean 'kind'? Columns: a, b, kind.",
    ),
    "one class": (["train", "single.csv", "--target", "kind"], "target must be of at least two classes, got ['x']."),
    "too few rows": (
        ["train", "good.csv", "--target", "kind", "--batch-size", 64],
        "at most the number of training rows (14), got 64.",
    ),
    "checkpoint in a file": (
        ["train", "good.csv", "--target", "kind", "--checkpoint", "good.csv"],
        "--checkpoint must be a folder, got 'good.csv'.",
    ),
    "a row of each class": (
        ["train", "few.csv", "--target", "kind"],
        "split: y must have a class with at least two rows, got 2 rows of 2 classes.",
    ),
    "empty file": (["train", "empty.csv", "--target", "kind"], "empty.csv: the file must be a readable table"),
    "no rows": (["train", "header.csv", "--target", "kind"], "the table must have at least one row, got none."),
    "foreign file": (["train", "photo.jpg"], "source must be a .csv, .tsv, .txt, .dat, .data, .parquet or .xlsx table"),
    "ragged rows": (["train", "ragged.csv", "--target", "kind"], "got: 2 cells in row 2, but 3 in the first line."),
    "unknown kind": (["train", "good.csv", "--target", "kind", "--columns", "a=categry"], "Did you mean 'category'?"),
    "kind without a column": (
        ["train", "good.csv", "--target", "kind", "--columns", "a"],
        "--columns must be NAME=KIND",
    ),
    "unknown column to drop": (["train", "good.csv", "--target", "kind", "--drop", "c"], "must be one of the table's"),
    "unknown decimal mark": (["train", "good.csv", "--target", "kind", "--decimal", ":"], "decimal must be '.' or ','"),
    "typo among numbers": (["train", "typo.csv", "--target", "price"], "must be numeric, got '1.o5' in row 3."),
    "counts below zero": (
        ["train", "amounts.csv", "--target", "price", "--loss", "poisson"],
        "targets must be counts >= 0 for the Poisson loss",
    ),
    "text as amounts": (
        ["train", "good.csv", "--target", "kind", "--task", "regression"],
        "target must be numeric for regression, got 'x'.",
    ),
    "fractions as classes": (
        ["train", "amounts.csv", "--target", "price", "--task", "classification"],
        "target must be whole numbers or text for classification, got 0.5.",
    ),
    "folder in use": (["train", "good.csv", "--target", "kind", "--out", "."], "--out must be a new or empty folder"),
    "file as folder": (
        ["train", "good.csv", "--target", "kind", "--out", "good.csv"],
        "--out must be a new or empty folder",
    ),
    "folder in a file": (
        ["train", "good.csv", "--target", "kind", "--out", "good.csv/run"],
        "--out must be a folder that can be written, got 'good.csv/run'.",
    ),
    "no such model": (["evaluate", "nomodel", "good.csv"], "model file 'nomodel' must exist."),
    "folder without a model": (["predict", ".", "good.csv"], "model file 'model.safetensors' must exist."),
    "foreign model": (["predict", "foreign.safetensors", "good.csv"], "the file must be a chainrule model"),
    "table as model": (["predict", "good.csv", "good.csv"], "good.csv: the file must be a chainrule model"),
    "foreign model to export": (
        ["export", "foreign.safetensors", "--to", "numpy"],
        "the file must be a chainrule model",
    ),
    "nothing to export": (["export", "nomodel", "--to", "numpy"], "model file 'nomodel' must exist."),
    "model to explain": (["explain", "foreign.safetensors"], "the file must be a chainrule model"),
}

WRONG_ROWS = {
    "missing column": (
        ["predict", "MODEL", "narrow.csv"],
        "narrow.csv: rows must have the columns of the training data, got none named 'b'.",
    ),
    "text in a column": (["predict", "MODEL", "text.csv"], "column 'b' must be numeric, got 'foo' in row 2."),
    "another width": (["predict", "MODEL", "digits"], "X must be of shape (n, 2), one column per feature of the model"),
    "missing rows": (["predict", "MODEL", "nothere.csv"], "'nothere.csv'"),
    "answers nowhere": (["predict", "MODEL", "good.csv", "--out", "nowhere/answers.csv"], "'nowhere' must exist"),
    "folder as answers": (
        ["predict", "MODEL", "good.csv", "--out", "."],
        "write: path must be a file's, got '.'. It is a folder.",
    ),
    "unknown format": (
        ["export", "MODEL", "--to", "onx"],
        "one of numpy, onnx, c, js, torch, got 'onx'. Did you mean 'onnx'?",
    ),
    "option of another format": (
        ["export", "MODEL", "--to", "numpy", "--opset", "17"],
        "export: --opset must be left out for this format, got 17. It is an option of --to onnx.",
    ),
    "switch of another format": (["export", "MODEL", "--to", "onnx", "--int8"], "It is an option of --to c."),
    "file of another format": (
        ["export", "MODEL", "--to", "onnx", "--out", "model.py"],
        "export: --out must be a file that ends with .onnx, got 'model.py'.",
    ),
    "export nowhere": (["export", "MODEL", "--to", "numpy", "--out", "nowhere/m.py"], "'nowhere' must exist"),
    "unseen label": (["evaluate", "MODEL", "new.csv"], "labels must be among ['x', 'y'], got ['z']."),
    "another target": (
        ["evaluate", "MODEL", "good.csv", "--target", "kin"],
        "evaluate: --target must be 'kind', which the model predicts, or left out, got 'kin'.",
    ),
    "columns of built-in data": (["evaluate", "MODEL", "digits"], "digits: columns must be 2, as in training, got 64."),
}


@pytest.mark.parametrize("case", WRONG_USE | WRONG_DATA)
def test_wrong_use_and_wrong_data_are_refused_in_one_line(capsys, place, case):
    arguments, sentence = (WRONG_USE | WRONG_DATA)[case]
    lines = refused(capsys, place, arguments)
    assert len(lines) == 1
    assert sentence in lines[0]


@pytest.mark.parametrize("case", WRONG_ROWS)
def test_rows_that_a_model_cannot_take_are_refused_in_one_line(capsys, place, model, case):
    arguments, sentence = WRONG_ROWS[case]
    lines = refused(capsys, place, [model if argument == "MODEL" else argument for argument in arguments])
    assert len(lines) == 1
    assert sentence in lines[0]


def test_several_faults_have_a_line_each(capsys, place):
    wrong = ["--epochs", 0, "--dropout", 1, "--hidden", 0, "--optimizer", "adma", "--engine", "fast"]
    lines = refused(capsys, place, ["train", "digits", *wrong])
    assert {re.match(r"error: train: (--\w+) must be", line)[1] for line in lines} == {
        "--epochs",
        "--dropout",
        "--hidden",
        "--optimizer",
        "--engine",
    }


@pytest.mark.parametrize("command", ["predict", "evaluate"])
@pytest.mark.parametrize("name", ["nan.csv", "gap.csv"])
def test_a_gap_in_a_new_row_is_answered_with_a_word(capsys, place, model, command, name):
    assert cli.run([command, str(model), name]) == 0
    assert "column 'b' has 1 gap; the training had none" in capsys.readouterr().err


def test_several_faulty_columns_have_a_line_each(capsys, place, model):
    Path("bad.csv").write_text("a,b,kind\nno,2,x\n2,foo,y\n3,4,x\n")
    lines = refused(capsys, place, ["predict", model, "bad.csv"])
    assert [re.search(r"column '(\w)'", line)[1] for line in lines] == ["a", "b"]


@pytest.mark.parametrize("length", [0, 7, 8, 100, 700, -1])
def test_part_of_a_model_file_is_refused(capsys, place, model, length):
    whole = (model / "model.safetensors").read_bytes()
    Path("part.safetensors").write_bytes(whole[:length])
    lines = refused(capsys, place, ["predict", "part.safetensors", "good.csv"])
    assert len(lines) == 1
    assert "error: part.safetensors: the file must be a chainrule model" in lines[0]


def test_damaged_model_file_is_refused(capsys, place, model):
    data = bytearray((model / "model.safetensors").read_bytes())
    data[-5] ^= 1
    Path("damaged.safetensors").write_bytes(bytes(data))
    for command in (["predict", "good.csv"], ["evaluate", "good.csv"], ["export", "--to", "numpy"]):
        lines = refused(capsys, place, [command[0], "damaged.safetensors", *command[1:]])
        assert lines == ["error: damaged.safetensors: the checksum does not match. The file is damaged; use a copy."]


@pytest.mark.parametrize("fails", ["model.safetensors", "run.jsonl", "config.json", "doctor.json"])
def test_disk_that_fills_up_leaves_no_run_folder(capsys, place, monkeypatch, fails):
    def replace(old, new):
        if Path(new).name == fails:
            raise OSError(28, "No space left on device", str(new))
        os.rename(old, new)

    monkeypatch.setattr(files.os, "replace", replace)
    Path("runs").mkdir()
    lines = refused(capsys, place, ["train", "iris", "--epochs", 1, "--engine", "reference"])
    place = Path("runs/.iris-1.unfinished") / fails
    owner = "save_model" if fails == "model.safetensors" else "train"
    assert lines == [
        f"error: {owner}: could not write {str(place)!r}: No space left on device. "
        "Free some space or choose another disk, then run it again."
    ]


def test_run_folder_that_cannot_be_written_is_refused_before_the_training(capsys, place, monkeypatch):
    monkeypatch.setattr("chainrule.cli.run_folder.os.access", lambda folder, mode: False)
    monkeypatch.setattr("chainrule.cli.training.train_problem", None)
    for out in ([], ["--out", "new"]):
        lines = refused(capsys, place, ["train", "iris", *out])
        assert len(lines) == 1
        assert "--out must be a folder that can be written" in lines[0]


def test_interruption_has_its_own_exit_code(capsys, place, monkeypatch):
    def interrupted(*arguments, **options):
        raise KeyboardInterrupt

    monkeypatch.setattr("chainrule.cli.problem.load", interrupted)
    assert cli.run(["train", "iris"]) == 130
    assert capsys.readouterr().err == "error: interrupted\n"


def test_fault_of_the_program_itself_is_not_hidden(monkeypatch):
    def broken(*arguments, **options):
        raise ZeroDivisionError

    monkeypatch.setattr("chainrule.cli.problem.load", broken)
    with pytest.raises(ZeroDivisionError):
        cli.run(["train", "iris"])


def test_help_of_every_command(capsys):
    for command in ("train", "lr-find", "evaluate", "predict", "export", "explain", "gradcheck", "info"):
        assert cli.run([command, "--help"]) == 0
        assert "Usage" in capsys.readouterr().out
