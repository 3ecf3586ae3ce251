"""Why: chapter 3 writes every matrix of a two-layer network with its numbers, which must be those of `explain --row`.

In: the equations of the chapter; the same network as a model file. Out: passes, or the matrix that differs.
"""

import json
import re
from pathlib import Path

import numpy as np
import pytest

from chainrule import Activation, Dense, Net
from chainrule.cli import run as command
from chainrule.data import Standardizer
from chainrule.io import save_model
from chainrule.model import Model
from chainrule.nn.losses import BinaryCrossEntropy

CHAPTER = Path(__file__).parents[2] / "docs" / "learn" / "3-the-whole-network.md"
TEXT = CHAPTER.read_text("utf-8").split("## Any number of layers")[0]
MATRIX = re.compile(r"(d?[XWbZA])(?:_(\d))? = (?:[^$&]*?= )??\\begin\{bmatrix\} ([^$]*?) \\end\{bmatrix\}")


def written():
    """The matrices of the chapter by the symbols of `explain`."""
    found = {}
    for letter, layer, numbers in MATRIX.findall(TEXT):
        rows = [[float(value) for value in row.split("&")] for row in numbers.split("\\\\")]
        found[f"{letter}^[{layer}]" if layer else letter] = np.array(rows)
    return found


@pytest.fixture
def explained(tmp_path, capsys):
    """What `chainrule explain --row` says about the chapter's network, saved as a model, and its row."""
    there = written()
    w = np.concatenate([there[name].ravel() for name in ("W^[1]", "b^[1]", "W^[2]", "b^[2]")])
    net = Net(2, [Dense(2), Activation("sigmoid"), Dense(1)])
    plain = Standardizer(np.zeros(2), np.ones(2))
    names = ("a", "b")
    model = Model(net, BinaryCrossEntropy(), w, np.zeros(0), plain, None, np.array([0, 1]), names, "y")
    save_model(model, tmp_path / "small.safetensors")
    x = there["X"][0]
    (tmp_path / "row.csv").write_text(f"a,b,y\n{x[0]},{x[1]},0\n1,1,1\n")
    line = ["explain", f"{tmp_path}/small.safetensors", "--data", f"{tmp_path}/row.csv", "--row", "0", "--json"]
    code = command(line)
    told = capsys.readouterr()
    assert code == 0, told.err
    return json.loads(told.out)["numbers"]


def test_the_chapter_writes_every_matrix():
    forward = ["X", "W^[1]", "b^[1]", "W^[2]", "b^[2]", "Z^[1]", "A^[1]", "Z^[2]"]
    backward = ["dZ^[2]", "dW^[2]", "db^[2]", "dA^[1]", "dZ^[1]", "dW^[1]", "db^[1]"]
    assert list(written()) == forward + backward


def test_its_numbers_are_those_of_explain(explained):
    numbers = {**explained["values"], **explained["gradients"]}
    for symbol, matrix in written().items():
        assert matrix.ravel() == pytest.approx(np.ravel(numbers[symbol]), abs=5.1e-5), symbol
    assert f"= {explained['loss']:.4f}$" in TEXT
    assert f"= {explained['prediction'][0]:.4f}$" in TEXT
