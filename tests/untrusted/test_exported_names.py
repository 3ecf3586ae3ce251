"""Why: a model may come from a stranger, and exporting writes its names into programs, which are run to check them.

In: names that would be code if they were not written as text. Out: files that answer as the model does, and nothing run.
"""

import shutil
from dataclasses import replace

import numpy as np
import pytest
from export_models import draw_model

import chainrule

BAD = [
    '{}\nopen("pwned", "w")\n#',
    '"""\nopen("pwned", "w")\n"""',
    "'''+open('pwned', 'w')+'''",
    "\\",
    '${{require("fs").writeFileSync("pwned", "")}}`+`',
    '*/ require("fs").writeFileSync("pwned", "") /*',
    '\u2028require("fs").writeFileSync("pwned", "")//',
    '\ropen("pwned", "w")',
    '\x0copen("pwned", "w")',
    '\x85open("pwned", "w")',
]
FORMATS = {
    "numpy": "model.py",
    "torch": "module.py",
    **({"js": "model.mjs"} if shutil.which("node") else {}),
    **({"c": "model.h"} if shutil.which("gcc") else {}),
}


@pytest.mark.parametrize("to", FORMATS)
@pytest.mark.parametrize("bad", BAD)
def test_names_are_text_wherever_they_are_written(to, bad, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    model = draw_model(0, kind="matrix", task="classes")
    named = tuple(f"{bad}{k}" for k in range(len(model.feature_names)))
    labels = np.array([f"{bad}{k}" for k in range(len(model.classes))])
    chainrule.export(replace(model, target_name=bad, feature_names=named, classes=labels), FORMATS[to], to)
    assert (tmp_path / FORMATS[to]).exists()
    assert not (tmp_path / "pwned").exists()
