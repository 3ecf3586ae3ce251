"""Tests on real tables: a file answers every row of the table as `chainrule predict` does."""

import csv
import os
import runpy
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from chainrule import cli

DATA = Path(os.environ.get("CHAINRULE_DATA", "nowhere"))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "target"), [("adult.parquet", "income"), ("california_housing.parquet", "MedHouseVal")]
)
def test_every_row_of_a_real_table_is_answered_as_predict_answers_it(tmp_path, monkeypatch, capsys, name, target):
    table = DATA / name
    if not table.is_file():
        pytest.skip("CHAINRULE_DATA has no such table")
    monkeypatch.chdir(tmp_path)
    frame = pl.read_parquet(table).head(10_000)
    target = target if target in frame.columns else frame.columns[-1]
    frame.write_parquet("rows.parquet")
    assert cli.run(["train", "rows.parquet", "--target", target, "--seconds", "3", "--out", "run", "--json"]) == 0
    assert cli.run(["export", "run", "--to", "numpy"]) == 0
    assert cli.run(["predict", "run", "rows.parquet", "--out", "answers.csv"]) == 0
    with Path("answers.csv").open() as file:
        _, *answers = csv.reader(file)
    mine = runpy.run_path("run.py")["predict"](pl.read_parquet("rows.parquet"))
    if mine.dtype.kind == "f":
        theirs = np.array([float(row[0]) for row in answers])
        assert np.abs(mine - theirs).max() < 1e-6 * np.abs(theirs).max()
    else:
        assert [str(label) for label in mine] == [row[0] for row in answers]
