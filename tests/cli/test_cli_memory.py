"""A large table must train in little more memory than its numbers take. In: a table of 200,000 rows. Out: the peak of a
process of its own."""

import os
import subprocess
import sys

import numpy as np
import polars as pl
import pytest

ROWS, COLUMNS = 200_000, 30
ARRAY = ROWS * COLUMNS * 4 / 2**20
ALLOWANCE = 90
"""Megabytes that do not grow with the table: blocks of the reader, simple models, pools of threads. 55 were measured."""


def write(path, rows):
    rng = np.random.default_rng(0)
    X = rng.normal(size=(rows, COLUMNS - 1)).round(4)
    columns = {f"x{j}": X[:, j] for j in range(COLUMNS - 1)}
    pl.DataFrame({**columns, "y": (X[:, 0] + 0.1 * rng.normal(size=rows)).round(4)}).write_csv(path)


def peak(path, out):
    """Return the most memory, in megabytes, that training on a table took."""
    command = [
        sys.executable,
        "-m",
        "chainrule",
        "train",
        str(path),
        "--target",
        "y",
        "--seconds",
        "2",
        "--out",
        str(out),
    ]
    child = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    _, status, usage = os.wait4(child.pid, 0)
    child.returncode = os.waitstatus_to_exitcode(status)
    assert child.returncode == 0
    return usage.ru_maxrss / 1024


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="ru_maxrss counts kilobytes on Linux only")
def test_training_takes_at_most_three_times_the_memory_of_the_numbers(tmp_path):
    write(tmp_path / "small.csv", 2000)
    write(tmp_path / "large.csv", ROWS)
    assert (tmp_path / "large.csv").stat().st_size > 2**25
    baseline = peak(tmp_path / "small.csv", tmp_path / "small")
    assert peak(tmp_path / "large.csv", tmp_path / "large") - baseline <= 3 * ARRAY + ALLOWANCE
