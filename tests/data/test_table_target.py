"""The target must be the task that a user expects, never silently another. In: targets as text. Out: passes or messages."""

import numpy as np
import polars as pl
import pytest

from chainrule.data import infer_task, load, settle_target
from chainrule.data.table import as_frame, read_target
from chainrule.errors import InvalidValueError

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
N = 200


@pytest.fixture
def table(tmp_path):
    def loaded(cells, **options):
        path = tmp_path / "t.csv"
        path.write_text("a,y\n" + "".join(f"{i * 7 % 31},{cell}\n" for i, cell in enumerate(cells)))
        return load(path, "y", **options)

    return loaded


KINDS = {
    "whole": lambda i: str(i % 2),
    "floats": lambda i: f"{i % 2}.0",
    "texts": lambda i: ("no", "yes")[i % 2],
    "codes": lambda i: ("01", "02")[i % 2],
    "truths": lambda i: ("True", "False")[i % 2],
    "values": lambda i: f"{i * 37 % 200}.5",
    "many whole": lambda i: str(i * 37 % 200),
}


@pytest.mark.parametrize("gap", GAPS)
@pytest.mark.parametrize("kind", KINDS)
def test_gaps_in_the_target_leave_rows_out(table, kind, gap):
    cells = [gap if i in (3, 9, 11) else KINDS[kind](i) for i in range(N)]
    data = table(cells)
    kept = [i for i in range(N) if i not in (3, 9, 11)]
    assert data.X[:, 0].tolist() == [i * 7 % 31 for i in kept]
    assert data.task == ("regression" if kind in ("values", "many whole") else "classification")
    assert "3 rows without a target are left out." in data.target_sentence
    expected = [KINDS[kind](i) for i in kept]
    if kind == "truths":
        expected = [each == "True" for each in expected]
    elif kind not in ("texts", "codes"):
        expected = [float(each) for each in expected]
    assert data.y.tolist() == expected


@pytest.mark.parametrize(
    ("cells", "labels", "sentence"),
    [
        (["0", "1"], [0, 1], "classification: 'y' has 2 distinct whole numbers. Use --task regression to overrule."),
        (["1.0", "2.0"], [1.0, 2.0], "classification: 'y' has 2 distinct whole numbers. Use --task regression to"),
        (["01", "10"], ["01", "10"], "classification: 'y' has 2 distinct texts."),
        (["a", "b"], ["a", "b"], "classification: 'y' has 2 distinct texts."),
        (["true", "false"], [False, True], "classification: 'y' is true or false."),
        (
            ["ZA", "NA"],
            ["NA", "ZA"],
            "classification: 'y' has 2 distinct texts. 'NA' is a label: one of the two-letter codes",
        ),
        (
            ["None", "mild"],
            ["None", "mild"],
            "classification: 'y' has 2 distinct texts. 'None' is a label: as frequent as",
        ),
        (["+", "-"], ["+", "-"], "classification: 'y' has 2 distinct texts. '-' is a label: the counterpart of '+'."),
        (["0.5", "1"], [0.5, 1.0], "regression: 'y' has numbers with fractions."),
        (
            [str(k) for k in range(26)],
            list(range(26)),
            "classification: 'y' has 26 distinct whole numbers. Use --task regression to overrule.",
        ),
        (["0", "26", *map(str, range(2, 24))], None, "regression: 'y' has 24 distinct whole numbers, more than 20."),
        (
            [str(k) for k in range(60, 86)],
            None,
            "regression: 'y' has 26 distinct whole numbers, more than 20. Use --task class",
        ),
        (
            [str(k) for k in range(1, 28)],
            None,
            "regression: 'y' has 27 distinct whole numbers, more than 20. Use --task class",
        ),
        (["1", "2", "3+", "0"], ["0", "1", "2", "3+"], "classification: 'y' has 4 distinct texts."),
    ],
)
def test_the_task_with_its_reason(table, cells, labels, sentence):
    data = table([cells[i % len(cells)] for i in range(N)])
    assert data.target_sentence.startswith(sentence)
    assert data.target_sentence.startswith(data.task)
    if labels is not None:
        assert np.unique(data.y).tolist() == labels


@pytest.mark.parametrize("typo", ["12.o5", "abc", "1.2.3", "12:30"])
@pytest.mark.parametrize("kind", ["values", "many whole", "whole", "floats"])
def test_a_cell_that_is_no_number_is_named(table, kind, typo):
    cells = [typo if i == 7 else KINDS[kind](i) for i in range(N)]
    for options in ({}, {"task": "regression"}):
        with pytest.raises(InvalidValueError) as caught:
            table(cells, **options)
        assert str(caught.value) == (
            f"t.csv: column 'y' must be numeric, got {typo!r} in row 8. "
            "Correct it, leave it empty, or use --task classification for labels."
        )
    assert table(cells, task="classification").y.dtype.kind == "U"


@pytest.mark.parametrize("write", [lambda p: f'"{p:,}"', lambda p: f"${p}", lambda p: f"{p}%", lambda p: f"{p} EUR"])
def test_numbers_as_people_write_them(table, write):
    values = [20_000 + 137 * i for i in range(N)]
    data = table([write(value) for value in values])
    assert data.task == "regression"
    assert data.y.tolist() == values
    assert data.facts


def test_the_task_asked_for(table):
    cells = [str(i % 30) for i in range(N)]
    assert table(cells, task="classification").y.dtype == np.int64
    assert table(cells, task="regression").y.dtype == np.float64
    assert table(cells, task="classification").target_sentence == (
        "classification: as asked for 'y' (--task classification), 30 classes."
    )
    assert table([str(i % 2) for i in range(N)], task="regression").y.dtype == np.float64
    assert table(["01", "02"] * 20, task="regression").y.tolist() == [1.0, 2.0] * 20


@pytest.mark.parametrize(
    ("cells", "options", "message"),
    [
        (["a", "b"], {"task": "regression"}, "target must be numeric for regression, got 'a'"),
        (["0.5", "1"], {"task": "classification"}, "target must be whole numbers or text for classification, got 0.5"),
        (["2020-01-01", "2020-01-02"], {}, "target must be numbers, booleans or text"),
        (["NA", "?"], {}, "column 'y' must have a value in some row, got gaps only"),
        (["a"], {}, "target must be of at least two classes, got ['a']"),
        (["0.5", "inf"], {}, "target must be finite, got inf"),
    ],
)
def test_targets_that_cannot_be_learned(table, cells, options, message):
    with pytest.raises(InvalidValueError) as caught:
        table(cells * 20, **options)
    assert message in str(caught.value)


@pytest.mark.parametrize(
    ("cells", "task", "labels"),
    [
        (["1", "2"], "classification", ["1", "2"]),
        (["1.5", "2.5"], "regression", [1.5, 2.5]),
        ([1.0, 2.0], "classification", [1.0, 2.0]),
        ([1, None, 2, 2], "classification", [1, 2]),
        ([True, None, False, False], "classification", [False, True]),
        (["yes", "no"], "classification", ["no", "yes"]),
    ],
)
def test_frames_keep_their_types_of_labels(cells, task, labels):
    frame = as_frame("t", {"a": range(40), "y": [cells[i % len(cells)] for i in range(40)]})
    found = read_target("t", frame, "y")
    assert (found.task, np.unique(found.y).tolist()) == (task, labels)
    assert found.kept.sum() == len(found.y)
    rows = pl.Series(found.kept)
    assert frame.filter(rows).height == len(found.y)


@pytest.mark.parametrize(
    ("values", "task"),
    [
        ([0, 1, 1], "classification"),
        ([0.0, 1.0, 1.0], "classification"),
        ([0.0, 0.5, 1.0], "regression"),
        ([3.0, 3.0, 3.0], "regression"),
        (range(20), "classification"),
        (range(26), "classification"),
        ([float(k) for k in range(1, 27)], "classification"),
        (range(27), "regression"),
        (range(3, 24), "regression"),
        (range(-1, 25), "regression"),
        ([float(k) for k in range(27)], "regression"),
        ([True, False], "classification"),
        (["a", "b"], "classification"),
    ],
)
def test_arrays_follow_the_same_rule(values, task):
    values = np.array(values)
    assert infer_task(values) == task
    assert settle_target("t", values)[1] == task
    if len(values) > 2 or task == "classification":
        frame = pl.DataFrame({"a": range(len(values)), "y": values})
        assert read_target("t", frame, "y").task == task
