"""Why: a picture must never cost a result: not by a name that a library takes for a formula, not by a fault in the drawing.

In: names of files, columns, labels and targets as people have them; drawing functions that raise. Out: exit code 0, whole
run folders, one warning in place of a picture.
"""

import json
import os
import subprocess
import warnings
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest
from matplotlib.figure import Figure

from chainrule import cli
from chainrule.cli import run_folder
from chainrule.io import load_model
from chainrule.processes import python
from chainrule.report import matplotlib, series
from chainrule.report.displays import CalibrationDisplay, ConfusionDisplay
from chainrule.report.matplotlib import as_text, png
from chainrule.report.plots import Curve, Level, LinePlot, Mark
from chainrule.report.svg import sheet
from chainrule.studies import Conclusion, Results, Study, StudyConfig, drawing
from chainrule.studies.presenting import write as write_page
from chainrule.train import Epoch

NAMES = {
    "dollar": "cost$",
    "two dollars": "sales_$_2024_$",
    "formula": "x_$\\frac$",
    "underscore first": "_x_",
    "caret": "a^{b}^",
    "backslash": "a\\b\\",
    "braces": "{x}{{%s}}{",
    "long": "n" * 240,
    "right to left": "\u202eabc\u200f",
    "emoji": "\U0001f600\u20e3",
    "markup": "<b>&'\"</b>]]>",
    "rich": "[red]x[1][bold",
    "controls": "a\x01b\x1b[2J\x7f",
    "lines": "a\tb\u2028c\x85d",
    "combining": "e\u0301" * 30 + "\u0338\ufe0f",
    "private": "\ue000\uffff\U000e0001",
    "surrogate": "bad\udcff",
}
IN_FILES = {k: v for k, v in NAMES.items() if k != "surrogate"}
"""Names that a text file can hold; a file's own name may be any of them."""


def table(column, labels, target):
    def quoted(text):
        return '"' + text.replace('"', '""') + '"'

    head = ",".join(map(quoted, (column, f"{column} 2", target)))
    rows = [f"{i * 7 % 40},{i * i % 31},{quoted(labels[i % len(labels)])}" for i in range(60)]
    return "\n".join([head, *rows]) + "\n"


@pytest.fixture
def place(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


SHORT = ["--epochs", "2", "--engine", "reference"]
FILES = ["config.json", "learning-curve.svg", "model.safetensors", "report.html", "run.jsonl"]


def run(capsys, *arguments):
    """Run a command that must succeed and draw everything."""
    code = cli.run(list(map(str, arguments)))
    told = capsys.readouterr()
    assert code in (0, 1 if arguments[0] == "doctor" else 0), told.err
    assert "not drawn" not in told.err
    assert "Traceback" not in told.err
    return told


FAST = ("two dollars", "formula", "long", "rich", "controls")


@pytest.mark.parametrize(
    "kind", [kind if kind in FAST else pytest.param(kind, marks=pytest.mark.slow) for kind in IN_FILES]
)
def test_any_name_of_a_file_can_be_trained_on(place, capsys, kind):
    path = Path(f"{NAMES[kind].replace('/', '')}.csv")
    path.write_text(table("a", "xyz", "kind"))
    run(capsys, "train", "--target", "kind", *SHORT, "--doctor", "off", "--", path)
    assert sorted(os.listdir(next(Path("runs").iterdir()))) == FILES


@pytest.mark.slow
@pytest.mark.parametrize("kind", IN_FILES)
def test_any_name_of_columns_labels_and_target_is_shown_by_every_command(place, capsys, kind):
    name = IN_FILES[kind]
    path = place / f"{name.replace('/', '')}.csv"
    path.write_text(table(name, [name, f"{name}!", "plain"], "kind"), newline="")
    second = f"two {name[:90].replace('/', '')}"
    run(capsys, "train", path, "--target", "kind", *SHORT, "--out", "one")
    run(capsys, "train", path, "--target", "kind", *SHORT, "--doctor", "off", "--seed", "1", "--out", second)
    assert {*FILES, "doctor.json"} == set(os.listdir("one"))
    run(capsys, "doctor", path, "--target", "kind", *SHORT, "--out", "doctor.html")
    run(capsys, "lr-find", path, "--target", "kind", "--engine", "reference", "--picture", "rates.png")
    run(capsys, "compare", "one", second, "--out", "compare.html")
    run(capsys, "evaluate", "one/model.safetensors", path)
    run(capsys, "predict", "one/model.safetensors", path, "--out", "predicted.csv")
    for page in ("one/report.html", "doctor.html", "compare.html"):
        assert Path(page).read_bytes().decode().endswith("</html>\n")
    assert Path("rates.png").read_bytes().startswith(b"\x89PNG")
    assert ElementTree.parse("one/learning-curve.svg").getroot().tag.endswith("svg")


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["two dollars", "formula", "rich", "controls", "right to left"])
def test_a_pack_and_a_search_show_any_name(place, capsys, kind):
    name = IN_FILES[kind]
    path = place / f"{name.replace('/', '')}.csv"
    path.write_text(table(name, [name, "plain"], f"target {name}"), newline="")
    target = f"target {name}" if kind != "controls" else None
    some = ["--target", target] if target else []
    if not some:
        path.write_text(table(name, [name, "plain"], "kind"), newline="")
        some = ["--target", "kind"]
    run(capsys, "train", path, *some, "--seconds", "1", "--out", "pack")
    assert (place / "pack" / "report.html").is_file()
    more = ["--trials", "2", "--seeds", "1", "--method", "random", "--workers", "1", "--out", "found"]
    run(capsys, "search", path, *some, *SHORT, *more)
    assert (place / "found" / "search.html").is_file()


def epochs(metric="accuracy"):
    return [
        Epoch(i, metric, 1.0 / i, 0.5, 1.1 / i, 0.4, 1e-3, 0.1, 0.01, 4, True, True, lambda: None) for i in (1, 2, 3)
    ]


def small():
    return Figure(figsize=(2.0, 2.0)).subplots()


@pytest.mark.parametrize("kind", NAMES)
def test_any_name_can_be_drawn(kind):
    name = NAMES[kind]
    curves = [Curve(name, [1.0, 2.0], [1.0, 2.0]), Curve("plain", [1.0, 2.0], [2.0, 1.0])]
    marks, levels = [Mark(1.5, name)], [Level(1.5, name)]
    ax = matplotlib.draw(small(), LinePlot(name, curves, x_name=name, y_name=name, marks=marks, levels=levels))
    assert png(ax.figure).startswith(b"\x89PNG")
    y = np.array([name, "plain"] * 20, dtype=object)
    ConfusionDisplay.from_predictions(y, y[::-1], ax=(ax := small()))
    assert png(ax.figure).startswith(b"\x89PNG")
    P = np.full((40, 2), 0.5)
    CalibrationDisplay.from_predictions(y, P, labels=sorted({name, "plain"}), name=name, ax=(ax := small()))
    assert png(ax.figure).startswith(b"\x89PNG")


def test_any_name_is_the_title_of_a_learning_curve():
    for name in NAMES.values():
        plots = [series.learning_curve(epochs(), part, [Mark(2, name)]) for part in ("loss", "score")]
        root = ElementTree.fromstring(sheet(name, plots).encode(errors="replace"))
        assert float(root.get("width")) == 840


@pytest.mark.skipif(os.name != "posix", reason="needs file names that are no text")
@pytest.mark.slow
def test_a_file_name_that_is_no_text_can_be_trained_on(tmp_path):
    (tmp_path / NAMES["surrogate"]).with_suffix(".csv").write_text(table("a", "xyz", "kind"))
    code = "from chainrule.cli import main\nmain()"
    line = [*python(code), "train", f"{NAMES['surrogate']}.csv", "--target", "kind", *SHORT]
    done = subprocess.run(line, cwd=tmp_path, capture_output=True, check=False)
    assert done.returncode == 0, done.stderr
    assert b"Traceback" not in done.stderr
    folder = next((tmp_path / "runs").iterdir())
    assert sorted(os.listdir(folder)) == sorted([*FILES, "doctor.json"])


@pytest.mark.parametrize("kind", NAMES)
def test_a_study_shows_any_name(tmp_path, kind):
    name = NAMES[kind]
    study = Study(
        "made",
        name,
        name,
        name,
        lambda config: {name: {}},
        lambda cell: {},
        lambda results: Conclusion(name, None, (name,), ((name,),)),
        lambda results: {name: [drawing.curves(name, {name: results.values(name, "v")}, y_name=name)]},
    )
    results = {"made": Results({name: {0: {"v": [1.0, 2.0]}, 1: {"v": [1.0, 3.0]}}})}
    path = write_page([study], results, StudyConfig(name), tmp_path)
    assert path.read_text().endswith("</html>\n")
    assert sorted(os.listdir(tmp_path)) == ["index.html", "made.svg"]


def test_names_are_shortened_and_made_drawable():
    assert as_text("n" * 200) == "n" * 99 + "…"
    assert as_text("a\x00b\udcff\u202e") == "a\ufffdb\ufffd\ufffd"
    assert as_text("$x$_{2}") == "$x$_{2}"


def raising(error):
    def fails(*arguments, **options):
        raise error

    return fails


FAULTS = [
    RuntimeError("no font"),
    ValueError("bad\nnews"),
    MemoryError("picture"),
    OSError(5, "Input/output error"),
    KeyError("x"),
]


@pytest.mark.parametrize("error", FAULTS, ids=lambda e: type(e).__name__)
@pytest.mark.parametrize("what", ["learning-curve.svg", "report.html"])
def test_a_fault_in_drawing_is_a_warning_and_the_model_is_there(place, monkeypatch, capsys, error, what):
    if what == "report.html":
        monkeypatch.setattr(run_folder, "run_report", raising(error))
    else:
        monkeypatch.setattr(run_folder, "sheet", raising(error))
    assert cli.run(["train", "iris", *SHORT, "--doctor", "off", "--out", "run", "--json"]) == 0
    told = capsys.readouterr()
    assert json.loads(told.out)["model"] == str(Path("run/model.safetensors"))
    assert told.err.count("\n") == 1
    assert told.err.startswith("warning: not drawn: ")
    assert told.err.endswith("The model and its scores are saved.\n")
    assert sorted(os.listdir("run")) == [name for name in FILES if name != what]
    assert load_model("run/model.safetensors").predict(np.zeros((1, 4))).shape == (1,)


def test_ctrl_c_while_drawing_keeps_the_model(place, monkeypatch):
    monkeypatch.setattr(run_folder, "sheet", raising(KeyboardInterrupt()))
    assert cli.run(["train", "iris", *SHORT, "--doctor", "off", "--out", "run", "--json"]) == 130
    assert sorted(os.listdir("run")) == ["config.json", "model.safetensors", "run.jsonl"]
    assert sorted(os.listdir(place)) == ["run"]


OTHERS = {
    "doctor": (["doctor", "iris", *SHORT, "--out", "page.html"], "chainrule.cli.doctor._page"),
    "lr-find": (["lr-find", "iris", "--picture", "rates.png"], "chainrule.cli.lr_find.matplotlib.rate_curve"),
    "compare": (["compare", "run", "run", "--out", "page.html"], "chainrule.cli.compare.compare_page"),
    "search": (
        [
            "search",
            "iris",
            *SHORT,
            "--trials",
            "1",
            "--seeds",
            "1",
            "--method",
            "random",
            "--workers",
            "1",
            "--out",
            "found",
        ],
        "chainrule.search.page.search_page",
    ),
    "study": (
        ["study", "random-search", "--quick", "--seeds", "1", "--workers", "1", "--out", "claims"],
        "chainrule.studies.presenting.write",
    ),
    "train a pack": (
        ["train", "table.csv", "--target", "kind", "--seconds", "1", "--out", "pack"],
        "chainrule.cli.table_run.table_page",
    ),
}


@pytest.mark.slow
@pytest.mark.parametrize("name", OTHERS)
def test_other_commands_say_what_they_found_without_their_picture(place, monkeypatch, capsys, name):
    (place / "table.csv").write_text(table("a", "xyz", "kind"))
    if name == "compare":
        assert cli.run(["train", "iris", *SHORT, "--doctor", "off", "--out", "run"]) == 0
    line, target = OTHERS[name]
    monkeypatch.setattr(target, raising(RuntimeError("no font")))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        assert cli.run(line) in (0, 1)
    told = capsys.readouterr()
    assert "warning: not drawn: " in told.err
    assert "no font" in told.err
    assert len(told.out) > 20
    assert not (place / "page.html").exists()


def test_what_cannot_be_scored_does_not_cost_a_pack(place, monkeypatch):
    (place / "table.csv").write_text(table("a", "xyz", "kind"))
    monkeypatch.setattr("chainrule.cli.table_run.content_of", raising(RuntimeError("no score")))
    with pytest.raises(RuntimeError, match="no score"):
        cli.run(["train", "table.csv", "--target", "kind", "--seconds", "0.5", "--out", "pack"])
    assert os.listdir("pack") == ["model.safetensors"]
