"""Tests of the export to C: headers compile without a warning, and answer as their models do."""

import datetime as dt
import os
import re
import shutil
import subprocess
from dataclasses import replace

import numpy as np
import polars as pl
import pytest
from export_cases import HOSTILE, digits_like, table_model
from export_models import draw_model

from chainrule.data import Standardizer
from chainrule.data.table.calendar import moment, part_of
from chainrule.errors import InvalidValueError
from chainrule.exporters.answers import model_answers
from chainrule.exporters.c_header import EXPORTER
from chainrule.exporters.c_int8 import int8_moved, int8_plan
from chainrule.exporters.c_run import compiler
from chainrule.exporters.c_text import identifier, identifiers, remark, string
from chainrule.exporters.draw import draw_rows, kept
from chainrule.exporters.evaluate import rounding, run
from chainrule.exporters.exporting import export
from chainrule.exporters.lower import lower
from chainrule.exporters.registry import ExportOptions

SEEDS = int(os.environ.get("CHAINRULE_EXPORT_SEEDS", "48"))
STRICT = ("-Wall", "-Wextra", "-Werror", "-pedantic")
M = ExportOptions("m")
INT8 = ExportOptions("m", int8=True)

needs_gcc = pytest.mark.skipif(compiler() is None, reason="no C compiler is installed")
needs_gxx = pytest.mark.skipif(shutil.which("g++") is None, reason="g++ is not installed")


def header(plan, options=M):
    """The text of a plan's header."""
    assert list(EXPORTER.faults(plan, options)) == []
    return EXPORTER.write(plan, options)[".h"].decode()


def rows_for(plan, n, seed):
    """Rows as a header takes them, without those whose answers no float holds."""
    rows = draw_rows(plan, n, seed)
    rows = rows.astype(np.float32).astype(np.float64) if isinstance(rows, np.ndarray) else rows
    return kept(rows, (np.abs(run(plan, rows).numbers) < 1e30).all(axis=1))


def built(folder, text, *flags, command="gcc", before="", main=None):
    """The program that a header and a main file give."""
    (folder / "m.h").write_text(text)
    source = folder / ("main.cpp" if command == "g++" else "main.c")
    source.write_text(main or f'{before}#define m_SELF_TEST\n#define m_LEVELS\n#include "m.h"\n')
    line = [command, *flags, str(source), "-o", str(folder / "main"), "-lm"]
    done = subprocess.run(line, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[:2000]
    return folder / "main"


def status(program):
    """What a program returns."""
    done = subprocess.run([str(program)], capture_output=True, text=True, timeout=60, check=False)
    assert "runtime error" not in done.stderr
    assert "Sanitizer" not in done.stderr
    return done.returncode


def check_seed(seed, options=M):
    """Compare a drawn model's header with the model."""
    model = draw_model(seed)
    plan = lower(model)
    if any(each.kind == "text" for each in plan.inputs):
        assert "must not be a text" in next(EXPORTER.faults(plan, options))
        return
    rows = rows_for(plan, 200, seed)
    files = EXPORTER.write(plan, options)
    ran = EXPORTER.run(files, plan, options, rows).answers
    theirs = model_answers(model, plan, rows)
    assert ran.numbers.shape == theirs.numbers.shape
    unit = np.maximum(1.0, np.abs(theirs.numbers))
    far = np.abs(ran.numbers - theirs.numbers)
    own = np.abs(theirs.numbers - run(plan, rows, "float64").numbers)  # what rounding does to the model itself
    allowed = 1e-6 * unit + rounding(plan, rows) + own
    assert (far <= allowed).all(), (seed, float((far / unit).max()))
    for ours, other in zip(ran.labels, theirs.labels, strict=True):
        assert ours.shape == other.shape
        assert ours.dtype.kind == other.dtype.kind
        assert (ours != other).mean() < 0.05


@needs_gcc
@pytest.mark.parametrize("seed", range(10))
def test_a_header_answers_as_its_model(seed):
    check_seed(seed)


@needs_gcc
@pytest.mark.slow
def test_many_headers_answer_as_their_models():
    for seed in range(10, 10 + SEEDS):
        check_seed(seed)


@needs_gcc
@pytest.mark.parametrize(("seed", "options"), [(0, M), (2, M), (4, M), (6, M), (9, M), (1, INT8), (4, INT8)])
def test_a_header_compiles_strictly_and_passes_its_own_test(seed, options, tmp_path):
    assert status(built(tmp_path, header(lower(draw_model(seed)), options), "-std=c99", "-Os", *STRICT)) == 0


@needs_gcc
@pytest.mark.slow
@pytest.mark.parametrize("options", [M, INT8], ids=["float", "int8"])
def test_sanitizers_find_nothing(options, tmp_path):
    for seed in (0, 1, 2, 3, 4, 5, 10):
        text = header(lower(draw_model(seed)), options)
        assert status(built(tmp_path, text, "-std=c99", "-O1", "-fsanitize=address,undefined", *STRICT)) == 0


@needs_gxx
@pytest.mark.parametrize("seed", [1, 2, 3, 4, 6])
def test_a_header_can_be_used_from_cpp(seed, tmp_path):
    assert status(built(tmp_path, header(lower(draw_model(seed))), "-O1", *STRICT, command="g++")) == 0


@needs_gcc
@pytest.mark.parametrize("seed", [3, 4, 5, 6, 12])
def test_a_header_has_functions_of_its_own_for_machines_without_libm(seed, tmp_path):
    text = header(lower(draw_model(seed)))
    assert status(built(tmp_path, text, "-std=c99", "-O1", before="#define m_NO_LIBM\n")) == 0


@needs_gcc
def test_a_header_alone_gives_no_warning_about_what_is_not_called(tmp_path):
    main = '#include "m.h"\nint main(void) { return 0; }\n'
    built(tmp_path, header(lower(draw_model(6))), "-std=c99", "-O2", *STRICT, main=main)


@needs_gcc
def test_a_wrong_table_fails_the_self_test(tmp_path):
    text = header(lower(digits_like()))
    at = text.index("m_b1[32] = {\n") + len("m_b1[32] = {\n")
    broken = re.sub(r"-?\d[\d.e-]*f", "9.0f", text[at:], count=1)
    assert status(built(tmp_path, text[:at] + broken, "-std=c99", "-Os")) > 0


@needs_gcc
def test_a_small_classifier_takes_few_bytes(tmp_path):
    sizes = {}
    for options in (M, INT8):
        main = '#include "m.h"\nint predict(const float *x, float *out);\nint predict(const float *x, float *out)\n'
        (tmp_path / "m.h").write_text(header(lower(digits_like()), options))
        (tmp_path / "main.c").write_text(f"{main}{{ return m_predict(x, out); }}\n")
        subprocess.run(["gcc", "-std=c99", "-Os", "-c", "main.c", "-o", "main.o"], cwd=tmp_path, check=True)
        shown = subprocess.run(["size", "main.o"], cwd=tmp_path, capture_output=True, text=True, check=True).stdout
        text, data, bss = (int(value) for value in shown.splitlines()[1].split()[:3])
        print(f"{'int8' if options.int8 else 'float'}: {text} bytes of code and tables")
        assert (data, bss) == (0, 0)
        sizes[options.int8] = text
    assert sizes[False] < 11_000
    assert sizes[True] < 5_000


def test_scaling_is_part_of_the_first_layer_only_where_digits_stay():
    assert "m_standardize" not in header(lower(digits_like(mean=5.0)))
    assert "m_standardize" in header(lower(digits_like(mean=500.0)))
    assert "m_standardize" in header(lower(digits_like(mean=5.0)), INT8)


@needs_gcc
@pytest.mark.parametrize("mean", [0.0, 5.0, 1e3, -3e4, 4e5])
def test_columns_far_from_zero_lose_no_digits(mean):
    model = digits_like(mean=mean)
    plan = lower(model)
    rows = rows_for(plan, 100, 0)[:80]  # the others are far outside
    ran = EXPORTER.run(EXPORTER.write(plan, M), plan, M, rows).answers
    assert np.abs(ran.numbers - model_answers(model, plan, rows).numbers).max() < 1e-6


@needs_gcc
@pytest.mark.parametrize("seed", [0, 1, 2, 3, 4, 5])
def test_eight_bits_move_answers_as_far_as_the_header_states(seed):
    plan = lower(draw_model(seed))
    rows = rows_for(plan, 200, seed)
    ran = EXPORTER.run(EXPORTER.write(plan, INT8), plan, INT8, rows).answers
    rounded = run(int8_plan(plan), rows).numbers
    far = np.abs(ran.numbers - rounded) / np.maximum(1.0, np.abs(rounded))
    assert far.max() < 1e-5
    moved = int8_moved(plan)
    assert f"{moved.mean:.1e} on average and {moved.most:.1e} at most" in header(plan, INT8)
    assert EXPORTER.tolerance(plan, INT8) >= moved.far >= moved.most >= moved.mean > 0


def test_the_same_plan_gives_the_same_bytes():
    for seed in (1, 2, 4, 6, 9):
        assert header(lower(draw_model(seed))) == header(lower(draw_model(seed)))


@needs_gcc
def test_names_of_columns_and_levels_cannot_break_the_source(tmp_path):
    rng = np.random.default_rng(0)
    levels = ['quo"te', "*/", "back\\slash", "??=", "line\nbreak", "\u65e5\u672c", "int", "a b", "a-b", "%d", "x\x01y"]
    columns = {name: rng.normal(size=60).tolist() for name in HOSTILE}
    columns |= {"kind*/": [levels[i % len(levels)] for i in range(60)]}
    model = table_model(pl.DataFrame(columns))
    plan = lower(replace(model, core=replace(model.core, target_name='*/ "y" \\')))
    assert len(plan.inputs) == len(HOSTILE) + 1
    text = header(plan)
    assert status(built(tmp_path, text, "-std=c99", "-Os", *STRICT)) == 0
    if shutil.which("g++"):
        assert status(built(tmp_path, text, "-Os", *STRICT, command="g++")) == 0
    rows = draw_rows(plan, 100)
    ran = EXPORTER.run(EXPORTER.write(plan, M), plan, M, rows).answers
    assert np.abs(ran.numbers - model_answers(model, plan, rows).numbers).max() < 1e-5


@needs_gcc
def test_levels_are_read_as_the_model_reads_them():
    rng = np.random.default_rng(0)
    frame = pl.DataFrame(
        {
            "job": rng.choice(["clerk", "\u00e4rzt", "a b"], 80).tolist(),
            "ok": [None if k % 9 == 0 else bool(k % 2) for k in range(80)],
            "grade": [str(k % 3) for k in range(80)],
        }
    )
    model = table_model(frame)
    plan = lower(model)
    spaces = ("", " ", "\t", "\u00a0", "\u2003", "\u3000", "\x1c", "\x85", "\u205f", "\u1680", "\u2028")
    rows = [
        {"job": f"{space}{job}{space}", "ok": ok, "grade": 1.0}
        for space in spaces
        for job in ("clerk", "\u00e4rzt", "a b", "never", "NA", "\u2013", "#n/a", "NaN", "", None)
        for ok in ("TRUE", "false", "0", "1", " True", "perhaps", None, True)
        if job is not None or not space
    ]
    rows = [{**row, "job": None if row["job"] == "None" else row["job"]} for row in rows]
    ran = EXPORTER.run(EXPORTER.write(plan, M), plan, M, rows).answers
    assert np.abs(ran.numbers - run(plan, rows).numbers).max() < 1e-6


DATES = [
    dt.datetime(*each)
    for each in (
        (1, 1, 1),
        (1600, 2, 29, 23, 59, 59),
        (1899, 12, 31),
        (1969, 12, 31, 12, 30),
        (1970, 1, 1),
        (2000, 2, 29),
        (2000, 3, 1),
        (2024, 12, 31, 0, 0, 1),
        (2100, 2, 28),
        (9999, 12, 31, 18),
    )
]


@needs_gcc
def test_parts_of_dates_are_those_of_the_calendar(tmp_path):
    frame = pl.DataFrame({"at": [dt.datetime(2020, 1, 1) + dt.timedelta(hours=7 * k) for k in range(400)]})
    plan = lower(table_model(frame))
    parts = [each.part for each in plan.features]
    assert parts == ["days", "month", "weekday", "day", "hour"]
    rows = [f"{{{d.year}, {d.month}, {d.day}, {d.hour}, {d.minute}, {d.second}}}," for d in DATES]
    main = f"""#include <stdio.h>
#include "m.h"
static const int dates[][6] = {{ {" ".join(rows)} }};
int main(void)
{{
    int i, j;
    for (i = 0; i < {len(DATES)}; i++) {{
        const int *d = dates[i];
        struct m_row row;
        double F[5];
        row.at = m_date(d[0], d[1], d[2], d[3], d[4], d[5]);
        m_features(&row, F);
        for (j = 0; j < 5; j++) printf("%.17g\\n", F[j]);
    }}
    return 0;
}}
"""
    program = built(tmp_path, header(plan), "-std=c99", "-O1", *STRICT, main=main)
    shown = subprocess.run([str(program)], capture_output=True, text=True, check=True).stdout
    origin = plan.features[0].origin
    wanted = [part_of(part, moment(date), origin) for date in DATES for part in parts]
    assert [float(line) for line in shown.split()] == wanted


def test_what_c_cannot_say_is_named_before_anything_is_written():
    words = [f"the {a} met number {i}" for i, a in enumerate(["cat", "cow"] * 40)]
    texts = lower(table_model(pl.DataFrame({"remark": words, "x": np.arange(80.0)})))
    nul = lower(table_model(pl.DataFrame({"kind": ["a\0b", "c", "d"] * 30, "x": np.arange(90.0)})))
    model = digits_like(dtype="float64")
    heavy = lower(replace(model, w=np.where(np.arange(len(model.w)) == 3, 1e200, model.w)))
    far = lower(replace(model, inputs=Standardizer(np.full(64, 1e200), np.full(64, 1e199))))
    cases = {
        "column 'remark' must not be a text": texts,
        "levels of column 'kind' must be": nul,
        "weights must be within float32, got 1e+200 in network 1, stage 1 (Affine)": heavy,
        "column 'x0' must have a mean within 100,000 standard deviations of 0, got 1e+200": far,
        "column 'x0' must have a mean within 100,000 standard deviations of 0, got 1e+09": lower(digits_like(mean=1e9)),
    }
    for sentence, plan in cases.items():
        faults = list(EXPORTER.faults(plan, M))
        assert sentence in faults[0]
        assert all("\n" not in fault for fault in faults)


@pytest.mark.parametrize(
    ("text", "name"),
    [("a b", "a_b"), ("1", "x1"), ("", "x"), ("int", "int_"), ("__x__", "x"), ("\u00e4", "x"), ("NAN", "NAN_")],
)
def test_any_text_becomes_a_name(text, name):
    assert identifier(text) == name


def test_equal_names_are_numbered_and_texts_stay_inside_their_marks():
    assert identifiers(["a", "a", "a_2"], {"a"}) == ["a_2", "a_3", "a_2_2"]
    assert remark("a*/b/*c\n\u202e??/") == "a* /b/ *c\\n\\u202e? ?/"
    assert string('"\\?\n') == '"\\"\\\\\\?\\012"'


@needs_gcc
@pytest.mark.parametrize("mean", [0.0, 30.0, 1e3, 1e4, 3e5])
def test_the_check_asks_for_rows_that_a_float_holds(mean, tmp_path):
    done = export(digits_like(mean=mean), tmp_path / "m.h", "c")
    assert done.check.difference < 1e-5
    assert not done.check.missing


@needs_gcc
def test_a_header_that_does_not_compile_is_refused_in_one_line():
    plan = lower(digits_like())
    with pytest.raises(
        InvalidValueError, match=r"export: header must be one that \w+ can compile, got .*error"
    ) as caught:
        EXPORTER.run({".h": b"int broken = ;"}, plan, M, rows_for(plan, 5, 0))
    assert "\n" not in str(caught.value)
