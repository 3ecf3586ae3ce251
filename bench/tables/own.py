"""chainrule as a peer: its estimators on frames, and its command line on .csv files."""

from __future__ import annotations

import csv
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from bench.tables.problem import Absent, Prediction, Problem
from bench.tables.tables import whole

COMMAND = (sys.executable, "-c", "from chainrule.cli import main; main()")


def estimator(problem: Problem) -> Prediction:
    """Run TableClassifier or TableRegressor on the polars frame; `overrides` become the preset's."""
    import chainrule

    name = "TableRegressor" if problem.task == "regression" else "TableClassifier"
    try:
        kind = getattr(chainrule, name)
    except AttributeError:
        raise Absent(f"chainrule has no {name}") from None
    options: dict[str, Any] = {"random_state": problem.seed}
    if problem.overrides:
        options["preset"] = dict(problem.overrides)
    model = kind(**options)
    began = time.perf_counter()
    model.fit(problem.train, problem.y)
    fitted = time.perf_counter()
    if problem.task == "regression":
        values = np.asarray(model.predict(problem.test), float)
    else:
        values = np.zeros((problem.test.height, problem.n_classes))
        values[:, np.asarray(model.classes_, int)] = model.predict_proba(problem.test)
    return Prediction(values, fitted - began, time.perf_counter() - fitted)


def command_line(problem: Problem) -> Prediction:
    """Run `chainrule train FILE --target y` and `chainrule predict` on the test rows, nothing else stated but the seed.

    The class numbers are written as "c0", "c1", ..., so that the file says what a user's file says: these are names.
    """
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        problem.train.with_columns(target_column(problem)).write_csv(place / "train.csv")
        problem.test.write_csv(place / "test.csv")
        began = time.perf_counter()
        call("train", "train.csv", "--target", problem.target, "--seed", str(problem.seed), "--out", "run", cwd=place)
        fitted = time.perf_counter()
        extra = () if problem.task == "regression" else ("--probabilities",)
        call("predict", "run", "test.csv", "--out", "predicted.csv", *extra, cwd=place)
        seconds = time.perf_counter() - fitted
        return Prediction(answers(problem, place / "predicted.csv"), fitted - began, seconds)


def target_column(problem: Problem) -> pl.Series:
    """Return the target as a user's file has it: numbers, whole ones without a fraction, or names of classes."""
    if problem.task == "regression":
        return whole(pl.Series(problem.target, problem.y))
    return pl.Series(problem.target, [f"c{code}" for code in problem.y])


def call(*arguments: str, cwd: Path) -> None:
    """Run chainrule's command line; raise with the end of its messages if it fails."""
    done = subprocess.run([*COMMAND, *arguments], cwd=cwd, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"chainrule {arguments[0]}: exit code {done.returncode}: {done.stderr.strip()[-500:]}")


def answers(problem: Problem, path: Path) -> Any:
    """Return the predictions that the command wrote."""
    with path.open(newline="") as file:
        header, *rows = csv.reader(file)
    if problem.task == "regression":
        return np.array([float(row[0]) for row in rows])
    values = np.zeros((len(rows), problem.n_classes))
    for place, name in enumerate(header):
        if name.startswith("probability_c"):
            values[:, int(name.removeprefix("probability_c"))] = [float(row[place]) for row in rows]
    return values
