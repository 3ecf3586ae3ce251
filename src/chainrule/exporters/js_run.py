"""A written module at work: imported by Node from a temporary folder, and run on rows."""

from __future__ import annotations

import datetime as dt
import json
import math
import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

from chainrule.errors import InvalidValueError, must_be
from chainrule.exporters.answers import Answers, Rows
from chainrule.exporters.c_output import label_count, outputs
from chainrule.exporters.plan import InferencePlan
from chainrule.exporters.registry import Ran

_TIMEOUT = 600.0
_REPEATS = 40
"""At most, within a fifth of a second: functions are compiled while they run."""

_DRIVER = """\
import { readFileSync, writeFileSync } from "node:fs";
import * as model from "./model.mjs";

const revive = (_, cell) => {
  if (cell === null || typeof cell !== "object" || Array.isArray(cell)) return cell;
  return "$date" in cell ? new Date(cell.$date) : "$number" in cell ? Number(cell.$number) : cell;
};
const rows = JSON.parse(readFileSync("rows.json", "utf8"), revive);
const kind = process.argv[2], flat = (x) => x.flat(Infinity);
let best = Infinity;
const began = performance.now();
for (let repeat = 0; repeat < $REPEATS && performance.now() - began < 200; repeat++) {
  const start = performance.now();
  model.predict(rows);
  best = Math.min(best, (performance.now() - start) / 1e3);
}
const answer = { values: model.predict, quantiles: model.predictQuantiles }[kind] ?? model.predictProba;
const numbers = flat(answer(rows));
const place = (classes, value) => {
  const at = classes.indexOf(value);
  if (at < 0) throw new Error(`${value} is no class`);
  return at;
};
let labels = [];
if (kind === "labels") labels = flat(model.predict(rows));
if (kind === "classes" || kind === "binary") labels = model.predict(rows).map((each) => place(model.classes, each));
if (kind === "several") labels = flat(model.predict(rows).map((row) => row.map((each, t) => place(model.classes[t], each))));
writeFileSync("answers.bin", Buffer.from(Float64Array.from([best, ...numbers, ...labels]).buffer));
"""


def node() -> str | None:
    """Return the command of Node, None where it is not installed."""
    return shutil.which("node")


def run_module(text: bytes, plan: InferencePlan, rows: Rows) -> Ran | None:
    """Return what a module answers for rows; None where Node is not installed.

    Parameters
    ----------
    text : bytes
        The module.
    plan : InferencePlan
        The plan that it was written from.
    rows : array of shape (n, d) or list of dict
        Rows in the user's units.

    Returns
    -------
    Ran or None
    """
    command = node()
    if command is None:
        return None
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        (place / "model.mjs").write_bytes(text)
        (place / "driver.mjs").write_text(_DRIVER.replace("$REPEATS", str(_REPEATS)), "utf-8")
        listed = rows.tolist() if isinstance(rows, np.ndarray) else [dict(row) for row in rows]
        (place / "rows.json").write_text(json.dumps(_sent(listed)), "utf-8")
        line = [command, "driver.mjs", plan.output.kind]
        done = subprocess.run(
            line, cwd=place, capture_output=True, text=True, timeout=_TIMEOUT, check=False, stdin=subprocess.DEVNULL
        )
        if done.returncode:
            error = next((line for line in done.stderr.splitlines() if "Error" in line), f"exit code {done.returncode}")
            raise InvalidValueError(must_be("export", "module", "one that node can run", error, "Nothing was written."))
        return _answers(np.frombuffer((place / "answers.bin").read_bytes()), plan, len(rows))


def _sent(cell: Any) -> Any:
    """Return cells as JSON can hold them."""
    if isinstance(cell, dict):
        return {name: _sent(value) for name, value in cell.items()}
    if isinstance(cell, list):
        return [_sent(value) for value in cell]
    if isinstance(cell, dt.datetime):
        return {"$date": (cell - dt.datetime(1970, 1, 1)) / dt.timedelta(milliseconds=1)}
    if isinstance(cell, float) and not math.isfinite(cell):
        return {"$number": "NaN" if math.isnan(cell) else "Infinity" if cell > 0 else "-Infinity"}
    return cell


def _answers(found: Any, plan: InferencePlan, n: int) -> Ran:
    k, kind = outputs(plan), plan.output.kind
    seconds, numbers = float(found[0]), found[1 : 1 + n * k].reshape(n, k)
    if kind in ("values", "quantiles"):
        return Ran(Answers(numbers), seconds)
    places = found[1 + n * k :].astype(np.int64).reshape(n, max(label_count(plan.output), 1))
    if kind == "labels":
        return Ran(Answers(numbers, (places,)), seconds)
    return Ran(Answers(numbers, tuple(known[places[:, t]] for t, known in enumerate(plan.output.classes))), seconds)
