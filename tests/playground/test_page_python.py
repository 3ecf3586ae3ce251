"""Why: what the page says of Python must be true: the split, the colors, the names, the limits, the printed programs.

In: the page's modules in a browser, the package. Out: both say the same.
"""

import json
import re
import shlex
import sys
from pathlib import Path

import numpy as np
import pytest
from test_page import TEXT, click, text
from typer.testing import CliRunner

from chainrule.cli.app import whole
from chainrule.data import split
from chainrule.data.table.gaps import is_gap
from chainrule.doctor.vocabulary.catalogue import REMEDIES, SYMPTOMS
from chainrule.nn.activations import ACTIVATIONS
from chainrule.pipeline.settings import OPTIMIZERS

sys.path.append(str(Path(__file__).parents[2] / "docs" / "tools"))

import playground_page
import wasm

REPORTS = playground_page.PAGE.parents[1] / "report" / "svg" / "svg.css"


@pytest.mark.parametrize(
    ("n", "classes", "fraction", "seed"),
    [
        (300, 2, 0.2, 0),
        (240, 0, 0.25, 7),
        (7, 3, 0.5, 2**31),
        (150, 3, 0.1, 2**40 + 5),
        (11, 5, 0.9, 1),
        (1000, 0, 0.001, 3),
    ],
)
def test_rows_held_out_are_those_of_python(shared, n, classes, fraction, seed):
    y = np.arange(n) ** 2 % classes if classes else np.zeros(n, int)
    call = f"m.split({n}, {json.dumps(y.tolist()) if classes else 'null'}, {fraction}, {seed})"
    parts = shared.run(f"import('/stream.js').then(m => {call}).then(p => [[...p.train], [...p.validation]])")
    wanted = split(y, fraction, seed, stratify=bool(classes), part=1)
    assert parts == [rows.tolist() for rows in wanted]


def test_cells_that_are_gaps_for_the_page_are_gaps_for_python(shared):
    words = ["", "NA", "n/a", "NaN", "null", "None", "?", "#N/A", "missing", "0", "no", "nil", "1e5"]
    found = shared.run(f"import('/csv.js').then(m => {json.dumps(words)}.filter(m.isGap))")
    assert found == words[:9]
    assert all(word == "" or is_gap(word) for word in found)


def test_names_of_the_page_are_pythons(shared):
    names = shared.run("import('/settings.js').then(m => ({activations: m.ACTIVATIONS, optimizers: m.OPTIMIZERS}))")
    assert set(names["activations"]) <= set(ACTIVATIONS)
    assert set(names["optimizers"]) <= set(OPTIMIZERS)
    source = (playground_page.PAGE / "symptoms.js").read_text("utf-8")
    rules = source[source.index("const RULES") : source.index("const REMEDIES")]
    assert len(found := re.findall(r'^  "?([a-z-]+)"?: \(', rules, re.MULTILINE)) == 14
    assert set(found) <= set(SYMPTOMS)
    own = re.findall(r'^  "?([\w/*-]+)"?: \(s\)', source[source.index("const REMEDIES") :], re.MULTILINE)
    assert len(own) >= 15
    assert set(own) <= set(REMEDIES)
    limits = set(re.findall(r"limits\.(\w+)", source)) - {"limits"}
    assert limits <= set(json.loads(playground_page.files(playground_page.PAGE)["symptoms.json"])["limits"])


def test_colors_are_those_of_the_reports():
    def palette(file):
        return re.findall(r"--(\w+): (#\w+);", file.read_text("utf-8"))

    known = palette(REPORTS)
    assert known
    assert [each for each in palette(playground_page.PAGE / "style.css") if each[0] not in ("desk", "on")] == known


def test_a_site_without_a_compiler_has_the_page_and_the_page_says_so(monkeypatch, tmp_path, wire):
    from browser import Page, site

    monkeypatch.setattr(wasm, "why_not", lambda: "no compiler")
    playground_page.write(tmp_path)
    with site(tmp_path) as url:
        page = Page(wire)
        page.open(url)
        page.wait(f"{TEXT.format('fault')}.startsWith('The engine was not built with this site')")
        assert page.said() == []
        page.close()


RUNS = {
    "moons": "data=moons",
    "three classes of text, four columns": "data=iris&layers=6.relu.0&batch=16&rate=0.003",
    "values in a file": "data=sine&layers=12.tanh.0~4.tanh.0&l2=0.01",
    "another seed, in a file": "data=moons&seed=3&optimizer=sgd_momentum&rate=0.05",
    "batch norm": "data=circles&layers=8.relu.0~8.relu.0&norm=1",
    "dropout": "data=spirals&layers=16.relu.0.25~8.relu.0.25&optimizer=adamw",
    "nothing held out": "data=blobs&layers=&held=0",
    "two activations": "data=xor&layers=8.tanh.0~8.leaky_relu.0.1&held=0.3&batch=7",
}


def saved(page, folder):
    """Write the file that the page offers into a folder."""
    page.run(
        "{ window.kept = null; const made = URL.createObjectURL;"
        " URL.createObjectURL = (blob) => { blob.text().then(t => { window.kept = t }); return made.call(URL, blob) };"
        " HTMLAnchorElement.prototype.click = function () { window.named = this.download } }"
    )
    click(page, "save-rows")
    content = page.wait("window.kept")
    (folder / page.run("window.named")).write_text(content, encoding="utf-8")


@pytest.mark.slow
@pytest.mark.parametrize("kind", RUNS)
def test_the_printed_program_and_command_train_the_same(tab, kind, tmp_path, monkeypatch, capsys):
    page = tab(RUNS[kind] + "&epochs=2")
    program, command = text(page, "python"), text(page, "command")
    saved(page, tmp_path)
    monkeypatch.chdir(tmp_path)
    exec(compile(program, "printed", "exec"), {})
    first, _ = map(float, capsys.readouterr().out.split())
    if kind == "two activations":
        assert command == "The command line takes one activation for all layers; use Python."
        return
    words = shlex.split(command.replace("\\\n", " "))
    assert words[0] == "chainrule"
    done = CliRunner().invoke(whole(), [*words[1:], "--out", "run", "--doctor", "off"])
    assert done.exit_code == 0, done.output
    epoch = json.loads((tmp_path / "run" / "run.jsonl").read_text("utf-8").splitlines()[0])
    assert epoch["train_loss"] == first


GRIDS = {
    "two columns": (2, 0, 1),
    "784 columns": (784, 300, 12),
    "the same twice": (5, 3, 3),
    "the last first": (3, 2, 0),
    "one of many": (40, 39, 0),
}


@pytest.mark.parametrize("name", GRIDS)
def test_a_map_names_the_columns_that_change_and_every_other_once(shared, name):
    width, first, second = GRIDS[name]
    known = {"means": list(range(width)), "ranges": [[k, k + 1] for k in range(width)]}
    call = f"m.gridRows({json.dumps(known)}, {first}, {second}, 48)"
    found = shared.run(
        f"import('/map.js').then(m => {call}).then(g => ({{X: [...g.X], columns: g.columns, base: [...g.base]}}))"
    )
    columns = list(dict.fromkeys([first, second]))
    X = np.array(found["X"]).reshape(48 * 48, len(columns))
    across, up = (np.arange(48) + 0.5) / 48 + first, (47 - np.arange(48) + 0.5) / 48 + second
    whole = np.stack([np.tile(across, 48), np.repeat(up, 48)], axis=1)
    assert found["columns"] == columns
    assert found["base"] == known["means"]
    assert np.allclose(X, whole[:, -len(columns) :])


def test_a_large_network_is_asked_for_a_coarser_map(shared):
    cells = "import('/map.js').then(m => [33, 20000, 20001, 235146].map(m.cellsOf))"
    assert shared.run(cells) == [96, 96, 48, 48]
