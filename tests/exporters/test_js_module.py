"""Tests of the export to JavaScript: modules answer under Node as their models do."""

import json
import os
import re
import subprocess
from dataclasses import replace

import numpy as np
import polars as pl
import pytest
from export_cases import HOSTILE, digits_like, table_model
from export_models import draw_model

from chainrule.data.table.dates import FORMATS, TIMES
from chainrule.data.table.schema import NumberFormat
from chainrule.errors import InvalidValueError
from chainrule.exporters.answers import model_answers
from chainrule.exporters.cells import text_moment, text_number
from chainrule.exporters.draw import draw_rows, kept
from chainrule.exporters.evaluate import rounding, run
from chainrule.exporters.js_module import EXPORTER
from chainrule.exporters.js_run import node
from chainrule.exporters.js_runtime import FUNCTIONS, needed
from chainrule.exporters.js_text import literal, quoted
from chainrule.exporters.lower import lower
from chainrule.exporters.registry import ExportOptions

SEEDS = int(os.environ.get("CHAINRULE_EXPORT_SEEDS", "48"))
M = ExportOptions("m")

needs_node = pytest.mark.skipif(node() is None, reason="node is not installed")


def module(plan):
    """The text of a plan's module."""
    assert list(EXPORTER.faults(plan, M)) == []
    return EXPORTER.write(plan, M)[".mjs"].decode()


def answers(plan, rows):
    """What a plan's module answers under Node."""
    return EXPORTER.run(EXPORTER.write(plan, M), plan, M, rows).answers


def evaluated(folder, text, expression):
    """The value of an expression in which `m` is a module."""
    (folder / "m.mjs").write_text(text)
    (folder / "main.mjs").write_text(f'import * as m from "./m.mjs";\nconsole.log(JSON.stringify({expression}));\n')
    done = subprocess.run(["node", "main.mjs"], cwd=folder, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 0, done.stderr[-2000:]
    return json.loads(done.stdout)


def check_seed(seed):
    """Compare a drawn model's module with the model."""
    model = draw_model(seed)
    plan = lower(model)
    rows = draw_rows(plan, 200, seed)
    rows = kept(rows, (np.abs(run(plan, rows).numbers) < 1e30).all(axis=1))
    found, theirs = answers(plan, rows), model_answers(model, plan, rows)
    assert found.numbers.shape == theirs.numbers.shape
    unit = np.maximum(1.0, np.abs(theirs.numbers))
    far = np.abs(found.numbers - theirs.numbers)
    own = np.abs(theirs.numbers - run(plan, rows, "float64").numbers)  # what rounding does to the model itself
    assert (far <= 1e-6 * unit + rounding(plan, rows) + own).all(), (seed, float((far / unit).max()))
    for ours, other in zip(found.labels, theirs.labels, strict=True):
        assert ours.shape == other.shape
        assert ours.dtype.kind == other.dtype.kind
        assert (ours != other).mean() < 0.05


@needs_node
@pytest.mark.parametrize("seed", [*range(10), 30])
def test_a_module_answers_as_its_model(seed):
    check_seed(seed)


@needs_node
@pytest.mark.slow
def test_many_modules_answer_as_their_models():
    for seed in range(10, 10 + SEEDS):
        check_seed(seed)


def test_the_same_plan_gives_the_same_bytes():
    for seed in (1, 2, 4, 6, 9):
        assert module(lower(draw_model(seed))) == module(lower(draw_model(seed)))


def test_a_small_classifier_takes_few_bytes():
    size = len(module(lower(digits_like())))
    print(f"64-32-10: {size} bytes")
    assert size < 22_000


@needs_node
def test_names_of_columns_and_levels_cannot_break_the_source():
    rng = np.random.default_rng(0)
    levels = [
        'quo"te',
        "*/",
        "back\\slash",
        "${x}",
        "line\nbreak",
        "\u65e5\u672c",
        "`",
        "a b",
        "a-b",
        "\u2028",
        "x\x01y",
    ]
    columns = {name: rng.normal(size=60).tolist() for name in (*HOSTILE, "__proto__x", "constructor")}
    columns |= {"kind*/": [levels[i % len(levels)] for i in range(60)]}
    model = table_model(pl.DataFrame(columns))
    plan = lower(replace(model, core=replace(model.core, target_name='*/ "y" \\')))
    rows = draw_rows(plan, 100)
    assert np.abs(answers(plan, rows).numbers - model_answers(model, plan, rows).numbers).max() < 1e-5


@needs_node
def test_levels_are_read_as_the_model_reads_them():
    rng = np.random.default_rng(0)
    frame = pl.DataFrame(
        {
            "job": rng.choice(["clerk", "\u00e4rzt", "a b"], 80).tolist(),
            "ok": [None if k % 9 == 0 else bool(k % 2) for k in range(80)],
            "grade": [["1.5", "2", "1e-05", "1e+20"][k % 4] for k in range(80)],
        }
    )
    schema_kind = {"grade": "category"}
    plan = lower(table_model(frame, schema_kind))
    spaces = ("", " ", "\t", "\u00a0", "\u2003", "\u3000", "\x1c", "\x85", "\u205f", "\ufeff", "\u2028")
    rows = [
        {"job": f"{space}{job}{space}", "ok": ok, "grade": grade}
        for space in spaces
        for job in ("clerk", "\u00e4rzt", "a b", "never", "NA", "\u2013", "#n/a", "NaN", "")
        for ok, grade in zip(
            ("TRUE", "false", "0", "1", " True", "perhaps", None, True, 1, 0.0),
            (1.5, 2, 2.0, 1e-5, 1e20, "1.50", None, "2", True, -0.0),
            strict=True,
        )
    ]
    assert np.abs(answers(plan, rows).numbers - run(plan, rows).numbers).max() < 1e-6


@needs_node
def test_unknown_levels_and_words_are_hashed_as_in_training():
    words = [f"the {a} met number {i}" for i, a in enumerate(["cat", "cow"] * 40)]
    frame = pl.DataFrame({"remark": words, "code": [f"c{k % 20}" for k in range(80)]})
    model = table_model(frame, {"remark": "text"})
    columns = tuple(
        replace(each, hashed=8, rare=False) if each.name == "code" else each for each in model.schema.columns
    )
    schema = replace(model.schema, columns=columns)
    d = len(schema.design_names)
    plan = lower(table_model(frame, {"remark": "text"}, schema=schema))
    assert len(plan.features) == d
    texts = (
        *(
            "The CAT met",
            "Gro\u00dfer \u00c4rger",
            "na\u00efve caf\u00e9",
            "x_1 \u00bd \u2167 \u65e5\u672c",
            "it's 5-6",
            "\u03a3\u03a3",
        ),
        *("N/A", "", None, "!!!", " none ", "\U0001d4d0\U0001d4d1 emoji \U0001f600", "a\u0301b", "\u0130stanbul"),
    )
    rows = [
        {"remark": text, "code": code} for text in texts for code in ("c1", "never", "\u65e5", "\U0001f600", "NA", None)
    ]
    assert np.abs(answers(plan, rows).numbers - run(plan, rows).numbers).max() < 1e-6


DATE_TEXTS = (
    *(
        "2024-02-29",
        "2023-02-29",
        "2024/12/31",
        "2024.1.5",
        "1/2/2020",
        "31/12/1999",
        "12/31/1999",
        "5.6.2001",
        "05-06-2001",
    ),
    *(
        "1/2/69",
        "1/2/70",
        "3.4.99",
        "5 Jan 2020",
        "5-Feb-2020",
        "05-MAR-99",
        "Apr 5, 2020",
        "May 5 2020",
        "7. Jun 2020",
    ),
    *("2024-02-29 23:59:59.5", "2024-02-29T00:00", "1/2/2020 12:30 PM", "1/2/2020 12:30 AM", "1/2/2020 0:30 AM"),
    *("2024-01-01T10:00:00.123456Z", "2024-01-01T10:00:00+02:30", "2024-01-01 10:00:00-0530", "2024-01-01T10:00:00+02"),
    *("0000-01-01", "0001-01-01", "9999-12-31", "2024-13-01", "2024-00-10", "2024-01-32", "24:00", "23:59", "11:15 pm"),
    *("12:00:61", "00:00:00.999999", "5 Xyz 2020", "", "x", "2024-1-1 ", "2024-01-01 25:00"),
)


@needs_node
def test_dates_in_text_are_read_in_every_format(tmp_path):
    from chainrule.exporters.js_features import pattern

    forms = (*FORMATS, *TIMES)
    wanted = [[text_moment(text, form) for text in DATE_TEXTS] for form in forms]
    assert sum(at is not None for row in wanted for at in row) > 30
    text = f"{FUNCTIONS['label']}{FUNCTIONS['date']}export {{ moment }};\n"
    patterns = ", ".join(f"new RegExp({quoted(pattern(form))})" for form in forms)
    found = evaluated(
        tmp_path, text, f"[{patterns}].map((f) => {json.dumps(DATE_TEXTS)}.map((t) => m.moment(t, f) ?? null))"
    )
    assert found == wanted


NUMBERS = (
    *(
        "1",
        "-1.5",
        "+.5",
        "1e3",
        "1,234.5",
        "1.234,5",
        "$1,234.56",
        "-$5",
        "- $5",
        "$-5",
        "5 %",
        "5%",
        "1'234",
        "12,34",
    ),
    *(
        "\u22125",
        "inf",
        "-Infinity",
        "1.",
        ".",
        "e5",
        "0x10",
        "1_000",
        "1 234",
        "1,23,456",
        "EUR 5",
        "5 EUR",
        "5EUR",
        "1,5",
    ),
)
WRITTEN = (
    None,
    NumberFormat(),
    NumberFormat(thousands=",", prefix="$"),
    NumberFormat(",", "."),
    NumberFormat(",", suffix="EUR"),
    NumberFormat(thousands="'", suffix="%"),
    NumberFormat(thousands=" "),
)


@needs_node
@pytest.mark.parametrize("form", WRITTEN, ids=str)
def test_numbers_in_text_are_read_as_they_were_written(form, tmp_path):
    from chainrule.exporters.js_features import written_text

    parts = None if form is None else (form.decimal, form.thousands, form.prefix, form.suffix)
    wanted = [text_number(text, parts) for text in NUMBERS]
    text = f"{FUNCTIONS['label']}{FUNCTIONS['number']}export {{ textNumber }};\n"
    call = f"{json.dumps(NUMBERS)}.map((t) => m.textNumber(t, {written_text(form) or 'undefined'}) ?? 'none')"
    found = evaluated(tmp_path, text, call)
    none = ["none" if value is None else None if np.isnan(value) else value for value in wanted]
    assert found == none


@needs_node
def test_rows_may_be_arrays_and_mistakes_are_named(tmp_path):
    frame = pl.DataFrame(
        {"age": [k * 7 % 30 + 0.5 for k in range(60)], "at": [f"2020-01-{k % 28 + 1:02d}" for k in range(60)]}
    )
    text = module(lower(table_model(frame)))
    same = "m.predict([[5, '2020-01-03']])[0] === m.predict([{ at: '2020-01-03', age: '5', more: 1 }])[0]"
    assert evaluated(tmp_path, text, same) is True
    wrong = {
        "[{ age: 5 }]": 'a row must have the column "at"',
        "[{ age: 'five', at: null }]": 'column "age" must be numeric, got "five"',
        "[{ age: 5, at: 'soon' }]": 'column "at" must hold dates, got "soon"',
        "[{ age: new Date(0), at: null }]": 'column "age" must be numeric',
        "[[1, null, 2]]": "a row must have 2 cells, got 3",
        "[5]": "a row must be an object or an array",
    }
    for rows, message in wrong.items():
        attempt = f"(() => {{ try {{ m.predict({rows}); return ''; }} catch (error) {{ return error.message; }} }})()"
        assert message in evaluated(tmp_path, text, attempt)


@needs_node
def test_a_matrix_takes_finite_numbers_only(tmp_path):
    text = module(lower(digits_like()))
    assert evaluated(tmp_path, text, "m.predict([new Float32Array(64), new Array(64).fill(0)])") == [
        *evaluated(tmp_path, text, "m.predict([new Array(64).fill(0)])") * 2
    ]
    for rows, message in {
        "[[1, 2]]": "a row must have 64 numbers, got 2",
        "[new Array(64).fill(NaN)]": "column 0 must be a finite number, got NaN",
        "[new Array(64).fill('1')]": "column 0 must be a finite number, got 1",
        "[null]": "a row must have 64 numbers",
        "[{}]": "a row must have 64 numbers",
    }.items():
        attempt = f"(() => {{ try {{ m.predict({rows}); return ''; }} catch (error) {{ return error.message; }} }})()"
        assert message in evaluated(tmp_path, text, attempt)


@needs_node
def test_classes_keep_their_types(tmp_path):
    cases = {
        "['a', 'b']": np.array(["a", "b"]),
        "[0, 1]": np.array([0, 1]),
        "[0.5, 1.5]": np.array([0.5, 1.5]),
        "[false, true]": np.array([False, True]),
        "[-2, 9007199254740991]": np.array([-2, 2**53 - 1]),
    }
    for shown, classes in cases.items():
        model = replace(draw_model(1), classes=classes)
        text = module(lower(model))
        assert evaluated(tmp_path, text, f"[m.classes, {shown}]") == [classes.tolist()] * 2
        assert evaluated(tmp_path, text, f"m.predict([new Array({model.net.inputs}).fill(0.5)])")[0] in classes.tolist()


def test_functions_stand_after_those_that_they_call():
    for place, name in enumerate(FUNCTIONS):
        assert needed([name])[-1] == name
        assert set(needed([name])) <= {*list(FUNCTIONS)[: place + 1]}


@pytest.mark.parametrize(
    ("value", "text"),
    [(1e30, "1e+30"), (2.5, "2.5"), (-0.1, "-0.1"), (None, "null"), (2**60, f"{2**60}n"), (float("inf"), "Infinity")],
)
def test_literals_are_those_of_javascript(value, text):
    assert literal(value) == text


def test_a_comment_cannot_be_ended_by_a_name():
    assert quoted("*/") == '"*\\/"'
    text = module(lower(replace(digits_like(), target_name="*/ boom")))
    assert not re.search(r"\*/ boom", text)


@needs_node
def test_a_module_that_does_not_run_is_refused_in_one_line():
    plan = lower(digits_like())
    with pytest.raises(InvalidValueError, match=r"export: module must be one that node can run, got .*Error") as caught:
        EXPORTER.run({".mjs": b"const broken = ;"}, plan, M, draw_rows(plan, 5))
    assert "\n" not in str(caught.value)
