"""A written header at work: compiled with a small main in a temporary folder, and run on rows."""

from __future__ import annotations

import shutil
import struct
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from chainrule.errors import InvalidValueError, must_be
from chainrule.exporters.answers import Answers, Rows
from chainrule.exporters.c_features import CATEGORICAL
from chainrule.exporters.c_output import label_count, outputs
from chainrule.exporters.c_text import identifiers
from chainrule.exporters.cells import date_cell, label, number_cell
from chainrule.exporters.plan import InferencePlan, Input
from chainrule.exporters.registry import ExportOptions, Ran

FLAGS = ("-std=c99", "-O2")

_REPEATS = 3
_TIMEOUT = 600.0

_MAIN = """\
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#define @_LEVELS
#include "@.h"

static void get(void *to, size_t size, FILE *from)
{
    if (fread(to, 1, size, from) != size) exit(2);
}

$READ
int main(int count, char **names)
{
    FILE *in = fopen(names[1], "rb"), *to = fopen(names[2], "wb");
    long n = strtol(names[3], NULL, 10), i;
    $TYPE *rows = calloc((size_t)n + 1, $SIZE);
    float *out = calloc((size_t)n + 1, $OUTPUTS * sizeof *out);
    int *labels = calloc((size_t)n + 1, $LABELS * sizeof *labels), repeat;
    double best = 1e30;
    if (count != 4 || !in || !to || !rows || !out || !labels) return 2;
    for (i = 0; i < n; i++) { $GET }
    for (repeat = 0; repeat < $REPEATS; repeat++) {
        clock_t start = clock();
        double taken;
        for (i = 0; i < n; i++) { $CALL }
        taken = (double)(clock() - start) / CLOCKS_PER_SEC;
        best = taken < best ? taken : best;
    }
    fwrite(&best, sizeof best, 1, to);
    fwrite(out, sizeof *out, (size_t)n * $OUTPUTS, to);
    fwrite(labels, sizeof *labels, (size_t)n * $LABELS, to);
    return fclose(to) != 0;
}
"""

_READ = """\
static struct @_row get_row(FILE *in)
{
    struct @_row row;
$FIELDS
    return row;
}
"""

_LEVEL = """\
    {
        int length;
        char *text;
        get(&length, sizeof length, in);
        text = calloc((size_t)(length < 0 ? 0 : length) + 1, 1);
        if (!text) exit(2);
        if (length > 0) get(text, (size_t)length, in);
        row.$FIELD = @_$FIELD_level(length < 0 ? NULL : text);
        free(text);
    }"""


def compiler() -> str | None:
    """Return the C compiler that checks headers, None where there is none."""
    return next((found for name in ("gcc", "cc", "clang") if (found := shutil.which(name))), None)


def run_header(header: bytes, plan: InferencePlan, options: ExportOptions, rows: Rows) -> Ran | None:
    """Return what a header answers for rows; None where there is no compiler.

    Parameters
    ----------
    header : bytes
        Its text.
    plan : InferencePlan
        The plan that it was written from.
    options : ExportOptions
        Name and precision.
    rows : array of shape (n, d) or list of dict
        Rows in the user's units; those of a matrix are rounded to float32.

    Returns
    -------
    Ran or None
    """
    found = compiler()
    if found is None:
        return None
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        (place / f"{options.name}.h").write_bytes(header)
        (place / "main.c").write_text(main_text(plan, options.name), "utf-8")
        (place / "rows.bin").write_bytes(packed(plan, rows))
        compile_c(found, place, FLAGS)
        command = [str(place / "main"), str(place / "rows.bin"), str(place / "answers.bin"), str(len(rows))]
        subprocess.run(command, check=True, timeout=_TIMEOUT, stdin=subprocess.DEVNULL)
        return _answers((place / "answers.bin").read_bytes(), plan, len(rows))


def compile_c(found: str, place: Path, flags: Sequence[str]) -> None:
    """Compile main.c in a folder to the program main there; raise InvalidValueError with its first complaint."""
    command = [found, *flags, "-o", str(place / "main"), str(place / "main.c"), "-lm"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=_TIMEOUT, check=False, cwd=place)
    if done.returncode:
        lines = done.stderr.splitlines()
        error = next((line for line in lines if "error" in line), f"exit code {done.returncode}")
        allowed = f"one that {Path(found).name} can compile"
        raise InvalidValueError(must_be("export", "header", allowed, error, "Nothing was written."))


def main_text(plan: InferencePlan, name: str) -> str:
    """Return the program that reads rows, predicts and writes answers."""
    matrix = plan.inputs[0].kind == "matrix"
    kind = plan.output.kind
    width, k, m = plan.inputs[0].width, outputs(plan), label_count(plan.output)
    at = f"rows + i * {width}" if matrix else "rows + i"
    call = f"@_predict({at}, out + i * {k}"
    calls = {"labels": f"{call}, labels + i * {m});", "several": f"{call}, labels + i * {m});"}
    calls |= dict.fromkeys(("classes", "binary"), f"labels[i] = {call});")
    parts = {
        "READ": "" if matrix else _READ.replace("$FIELDS", "\n".join(_fields(plan.inputs))),
        "TYPE": "float" if matrix else "struct @_row",
        "SIZE": f"{width} * sizeof *rows" if matrix else "sizeof *rows",
        "GET": f"get(rows + i * {width}, {width} * sizeof *rows, in);" if matrix else "rows[i] = get_row(in);",
        "CALL": calls.get(kind, f"{call});"),
        "OUTPUTS": str(k),
        "LABELS": str(max(m, 1)),
        "REPEATS": str(_REPEATS),
    }
    text = _MAIN
    for part, value in parts.items():
        text = text.replace(f"${part}", value)
    return text.replace("@", name)


def _fields(inputs: Sequence[Input]) -> list[str]:
    names = identifiers(each.name for each in inputs)
    rows = zip(names, inputs, strict=True)
    return [
        _LEVEL.replace("$FIELD", name) if each.kind in CATEGORICAL else f"    get(&row.{name}, sizeof row.{name}, in);"
        for name, each in rows
    ]


def packed(plan: InferencePlan, rows: Rows) -> bytes:
    """Return rows as the program reads them."""
    if plan.inputs[0].kind == "matrix":
        with np.errstate(over="ignore"):
            return np.asarray(rows).astype(np.float32).tobytes()
    return b"".join(_cell(each, row[each.name]) for row in rows for each in plan.inputs)


def _cell(given: Input, cell: Any) -> bytes:
    if given.kind in CATEGORICAL:
        if cell is None:
            return struct.pack("=i", -1)
        text = (cell if isinstance(cell, str) else label(cell)).encode("utf-8", "surrogatepass")
        return struct.pack("=i", len(text)) + text
    if given.kind == "date":
        at = date_cell(given.name, cell, given.date_format, given.gaps)
        return struct.pack("=q", -(2**63) if np.isnan(at) else int(at))
    written = given.written
    form = None if written is None else (written.decimal, written.thousands, written.prefix, written.suffix)
    return struct.pack("=d", number_cell(given.name, cell, form, given.gaps))


def _answers(data: bytes, plan: InferencePlan, n: int) -> Ran:
    k, m = outputs(plan), label_count(plan.output)
    (seconds,) = struct.unpack_from("=d", data)
    numbers = np.frombuffer(data, np.float32, n * k, 8).reshape(n, k).astype(np.float64)
    places = np.frombuffer(data, np.int32, n * max(m, 1), 8 + 4 * n * k).reshape(n, max(m, 1))
    kind = plan.output.kind
    if kind in ("values", "quantiles"):
        return Ran(Answers(numbers), seconds)
    if kind == "labels":
        return Ran(Answers(numbers, (places.astype(np.int64),)), seconds)
    labels = tuple(known[places[:, t]] for t, known in enumerate(plan.output.classes))
    return Ran(Answers(numbers, labels), seconds)
