"""Three rows with their answers in an exported header, so that a device can check what its compiler made of it."""

from __future__ import annotations

from typing import Any

import numpy as np

from chainrule.exporters.answers import Answers, Rows
from chainrule.exporters.c_features import CATEGORICAL, codes_of
from chainrule.exporters.c_int8 import int8_plan
from chainrule.exporters.c_output import label_count, outputs
from chainrule.exporters.c_text import double, number, wrapped
from chainrule.exporters.cells import date_cell, level_code, number_cell
from chainrule.exporters.draw import draw_rows, kept
from chainrule.exporters.evaluate import rounding, run
from chainrule.exporters.plan import Code, InferencePlan, Input
from chainrule.exporters.registry import ExportOptions

_ROWS = 3
_DRAWN = 40
_LARGE = 1e6
"""Answers above this are not tested where there are others: they belong to rows far outside."""

_TEXT = """\
#ifdef @_SELF_TEST
/* $COUNT rows with their answers; main returns how many are wrong. */
int main(void)
{
    static const $TYPE rows[$COUNT]$WIDTH = {
$ROWS
    };
    static const float answers[$COUNT][$OUTPUTS] = {
$ANSWERS
    };
$LABELS    float out[$OUTPUTS];
    int i, j, wrong = 0;
    for (i = 0; i < $COUNT; i++) {
        int right = 1;
        $CALL
        for (j = 0; j < $OUTPUTS; j++) {
            float far = fabsf(out[j] - answers[i][j]), size = fabsf(answers[i][j]);
            if (!(far <= $ALLOWED * (size > 1.0f ? size : 1.0f))) right = 0;
        }
        wrong += !right;
    }
    return wrong;
}
#endif /* @_SELF_TEST */
"""


def self_test(plan: InferencePlan, options: ExportOptions) -> str:
    """Return the main function that checks three rows.

    Parameters
    ----------
    plan : InferencePlan
        The plan with its own weights.
    options : ExportOptions
        Name and precision.

    Returns
    -------
    str
    """
    plan = int8_plan(plan) if options.int8 else plan
    rows, answers, allowed = _rows(plan)
    count, k = len(answers.numbers), outputs(plan)
    matrix = plan.inputs[0].kind == "matrix"
    if isinstance(rows, np.ndarray):
        texts = [[number(value) for value in line] for line in rows]
    else:
        texts = [_cells(plan, row) for row in rows]
    parts = {
        "TYPE": "float" if matrix else "struct @_row",
        "WIDTH": f"[{plan.inputs[0].width}]" if matrix else "",
        "ROWS": _block(texts),
        "ANSWERS": _block([[number(value) for value in line] for line in answers.numbers]),
        "LABELS": _labels(plan, answers),
        "CALL": _call(plan, "rows[i]" if matrix else "&rows[i]"),
        "ALLOWED": number(allowed),
        "OUTPUTS": str(k),
        "COUNT": str(count),
    }
    text = _TEXT
    for label, value in parts.items():
        text = text.replace(f"${label}", value)
    return text.replace("@", options.name)


def _rows(plan: InferencePlan) -> tuple[Rows, Answers, float]:
    """Return two usual rows and one at an edge, their answers, and how far rounding may move them."""
    rows = draw_rows(plan, _DRAWN)
    if isinstance(rows, np.ndarray):
        rows = rows.astype(np.float32).astype(np.float64)
    largest = np.nan_to_num(np.abs(run(plan, rows).numbers), nan=np.inf).max(axis=1)
    sane = np.flatnonzero(largest < _LARGE)
    if len(sane) < _ROWS:
        sane = np.sort(largest.argsort(kind="stable")[:_ROWS])
    chosen = sane[[*range(_ROWS - 1), len(sane) - 1]]
    rows = kept(rows, np.isin(np.arange(_DRAWN), chosen))
    answers = run(plan, rows, np.float64)
    size = np.maximum(1.0, np.abs(answers.numbers))
    return rows, answers, 1e-5 + float((rounding(plan, rows) / size).max(initial=0.0))


def _cells(plan: InferencePlan, row: Any) -> list[str]:
    codes = codes_of(plan.features)
    return [_cell(each, codes.get(each.name), row[each.name]) for each in plan.inputs]


def _cell(given: Input, code: Code | None, cell: Any) -> str:
    """Return a cell as the field of a row holds it."""
    if given.kind in CATEGORICAL:
        if code is None:
            return "0"
        known = (dict(code.codes), code.gap, code.unknown, code.hashed_from, code.hashed, code.boolean)
        return str(level_code(cell, *known))
    if given.kind == "date":
        at = date_cell(given.name, cell, given.date_format, given.gaps)
        return "@_NO_DATE" if np.isnan(at) else str(int(at))
    written = given.written
    form = None if written is None else (written.decimal, written.thousands, written.prefix, written.suffix)
    return double(number_cell(given.name, cell, form, given.gaps))


def _block(lines: list[list[str]]) -> str:
    return "\n".join("    {\n" + wrapped(line) + "\n    }," for line in lines)


def _labels(plan: InferencePlan, answers: Answers) -> str:
    """Return the tables of labels, which are compared where they are beyond rounding, and the place for new ones."""
    m = label_count(plan.output)
    return f"    int labels[{m}];\n" if m else ""


def _call(plan: InferencePlan, row: str) -> str:
    """Return the call; a class must be that of a largest probability, a label that of its own."""
    kind = plan.output.kind
    k = outputs(plan)
    if kind in ("classes", "binary"):
        largest = f"for (j = 0; j < {k}; j++) if (out[j] > out[best]) right = 0;"
        return f"int best = @_predict({row}, out);\n        {largest}"
    if kind == "labels":
        return (
            f"@_predict({row}, out, labels);\n        for (j = 0; j < {k}; j++) right &= labels[j] == (out[j] > 0.5f);"
        )
    if kind == "several":
        checks = [
            f"for (j = {start}; j < {end}; j++) if (out[j] > out[{start} + labels[{t}]]) right = 0;"
            for t, (start, end) in enumerate(plan.output.blocks)
        ]
        return "\n        ".join([f"@_predict({row}, out, labels);", *checks])
    return f"@_predict({row}, out);"
