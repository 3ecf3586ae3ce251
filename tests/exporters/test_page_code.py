"""Why: the page on exporting shows C and JavaScript, and a reader types what a page shows.

In: those two blocks, and files exported as the page says. Out: both run and answer as the model does.
"""

import re
import shutil
import subprocess
from pathlib import Path

import pytest
from sklearn.datasets import load_iris

from chainrule import NetClassifier, export

PAGE = Path(__file__).parents[2] / "docs" / "use" / "export.md"


def block(kind):
    return re.search(rf"```{kind}\n(.*?)```", PAGE.read_text("utf-8"), re.DOTALL)[1]


@pytest.fixture
def network(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    X, y = load_iris(return_X_y=True)
    return NetClassifier((16,), learning_rate_init=0.01, max_iter=30, random_state=0).fit(X, y)


@pytest.mark.skipif(shutil.which("gcc") is None, reason="needs gcc")
def test_the_lines_of_c_compile_and_answer(network):
    export(network, "iris.h", "c")
    include, *lines = block("c").splitlines()
    body = "\n".join(lines)
    program = (
        f'{include}\n#include <stdio.h>\nint main(void) {{\n{body}\nprintf("%d %.4f", best, out[0]);\nreturn 0;\n}}\n'
    )
    Path("page.c").write_text(program)
    subprocess.run(["gcc", "-std=c99", "-Wall", "-Wextra", "-Werror", "page.c", "-o", "page", "-lm"], check=True)
    best, p = subprocess.run(["./page"], check=True, capture_output=True, text=True).stdout.split()
    row = [[5.1, 3.5, 1.4, 0.2]]
    assert int(best) == network.predict(row)[0]
    assert float(p) == pytest.approx(network.predict_proba(row)[0, 0], abs=1e-4)


@pytest.mark.skipif(shutil.which("node") is None, reason="needs node")
def test_the_lines_of_javascript_answer(network):
    export(network, "iris.mjs", "js")
    Path("page.mjs").write_text(block("js"))
    said = subprocess.run(["node", "page.mjs"], check=True, capture_output=True, text=True).stdout
    assert said.split()[1].strip("],") == str(network.predict([[5.1, 3.5, 1.4, 0.2]])[0])
