"""Write the golden files of the version that is installed: `python tests/golden/write.py 0.1.0`.

In: the version, which must have no folder yet. Out: its folder, with small files of every kind that users keep and the
answers expected of them. Run it once, before the version is released; later versions must read what it wrote.
"""

from __future__ import annotations

import contextlib
import io
import json
import os
import shutil
import sys
from pathlib import Path

if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import numpy as np
from golden import cases

import chainrule
from chainrule import NetClassifier, NetRegressor, TableClassifier, TableRegressor, cli, load_model, save_model
from chainrule.nn.losses import Quantile
from chainrule.studies import STUDIES, run
from chainrule.tabular import presets
from chainrule.train import Decision, train
from chainrule.train.checkpoint import checkpoint_folder, fingerprint
from chainrule.train.interrupts import stopping_when

PRESET = {
    "members": 3,
    "folds": 2,
    "steps": 60,
    "epochs": [4, 8],
    "width": [8, 8],
    "layers": [1, 2],
    "embeddings": ["piecewise_linear", "cosine", "pbld"],
    "frequencies": [4, 4],
    "transforms": ["quantile", "robust"],
    "category_units": 2,
}
TRAIN = "train table.csv --target kind --preset plain --hidden 5 --epochs 12 --doctor advise --json --out run"
SHOWN = ("report.html", "learning-curve.svg")
"""Files of a run folder for people; nothing reads them."""


def matrix(n=60):
    """Return rows of three columns, from -1 to 1 and far from it."""
    k = np.arange(n)[:, None]
    return ((k * np.array([7, 11, 13]) + k * k) % 17 - 8) / 8 * np.array([1.0, 100.0, 0.01])


def estimators():
    """Yield a name, a fitted estimator, rows to predict and their targets."""
    X = matrix()
    z = X / np.array([1.0, 100.0, 0.01])
    three = np.array(["low", "mid", "high"])[(z[:, 0] > 0).astype(int) + (z[:, 1] > 0)]
    price = 1e5 + 2e4 * z[:, 0] - 1e4 * z[:, 1] * z[:, 2]
    flags = (z > 0).astype(int)
    common = {"max_iter": 15, "batch_size": 16, "learning_rate_init": 0.02, "random_state": 7}
    single, double = common | {"dtype": "float32"}, common | {"dtype": "float64"}
    fits = {
        "binary": (NetClassifier((6,), **single), z[:, 0] > 0),
        "three-labels": (NetClassifier((6,), activation="tanh", **double), three),
        "batch-norm-dropout": (NetClassifier((6, 5), batch_norm=True, dropout=0.25, **single), three),
        "layer-norm": (NetClassifier((6,), layer_norm=True, activation="gelu", **double), three),
        "several-labels": (NetClassifier((5,), **single), flags),
        "regressor": (NetRegressor((6,), **double), price),
        "two-targets": (NetRegressor((6,), ema_decay=0.9, **single), np.column_stack([price, z[:, 2]])),
        "quantiles": (NetRegressor((6,), loss=Quantile((0.1, 0.5, 0.9)), **double), price),
        "ensemble": (NetClassifier((4,), n_networks=3, calibrate="temperature", early_stopping=True, **single), three),
    }
    for name, (estimator, y) in fits.items():
        yield name, estimator.fit(X, y), X[:9], np.asarray(y)[:9]
    people, y = table(), [("no", "yes")[k % 5 > 2] for k in range(80)]
    pay = [1000.0 + 37.5 * (k % 11) for k in range(80)]
    options = {"preset": PRESET, "seconds": None, "n_jobs": 1, "random_state": 7}
    yield "pack", TableClassifier(**options, drop=["remark"]).fit(people, y), people[:12], np.array(y[:12])
    yield "pack-regressor", TableRegressor(**options).fit(people, pay), people[:12], np.array(pay[:12])


def table(n=80):
    """Return rows with numbers, gaps, categories of few and of many levels, booleans, dates and text."""
    return [
        {
            "age": None if k % 9 == 0 else 20 + k * 7 % 50,
            "income": (k * 37 % 101) * 12.5,
            "member": k % 2 == 0,
            "job": ("clerk", "smith", None)[k % 3],
            "town": f"town {k * 5 % 12}",
            "since": f"20{k % 20:02d}-0{k % 9 + 1}-1{k % 8}",
            "remark": f"{('a fine', 'an odd')[k % 2]} {('house', 'boat', 'car')[k * 5 % 3]} bought in {1950 + k}",
        }
        for k in range(n)
    ]


def models(folder):
    """Write a model of each kind; return what is expected of them."""
    expected = {}
    folder.mkdir()
    for name, estimator, rows, y in estimators():
        path = folder / f"{name}.safetensors"
        save_model(estimator, path)
        model = load_model(path)
        plain = rows if isinstance(rows, list) else rows.tolist()
        known = {"weights": cases.weights(model), "dtype": cases.dtype_of(model), "rows": plain, "y": y.tolist()}
        expected[name] = {**known, "answers": cases.answers(model, rows, y)}
    return expected


class Third:
    """A monitor that says when three epochs are done."""

    def __init__(self):
        self.reached = False

    def start(self, problem):
        return None

    def observe(self, memory, epoch):
        self.reached = epoch.number >= 3
        return None, Decision()

    def end(self, memory, run):
        return None


def checkpoint(folder):
    """Write a checkpoint after three of ten epochs; return how the training ends."""
    problem, third = cases.problem(), Third()
    with (
        checkpoint_folder(folder, fingerprint(problem), recipe=problem.recipe) as checkpointer,
        stopping_when(lambda: third.reached),
    ):
        stopped = train(problem, [cases.STOPPING, third], checkpoint=checkpointer)
    assert stopped.interrupted
    assert len(stopped.epochs) == 3
    whole = train(problem, [cases.STOPPING])
    return {
        "epochs": len(whole.epochs),
        "best_epoch": whole.best_epoch,
        "w": cases.rounded(whole.state.w, "float64"),
        "buffers": cases.rounded(whole.state.buffers, "float64"),
        "validation_loss": cases.rounded([epoch.validation_loss for epoch in whole.epochs], "float64"),
    }


def preset(folder):
    """Write a preset; return its parts and what its members are."""
    whole = presets.get(PRESET)
    (folder / "preset.json").write_text(json.dumps(presets.to_plain(whole), indent=1))
    return {"parts": presets.to_plain(whole), "members": [str(whole.draw(k, seed=7)) for k in range(4)]}


def command(line):
    """Run a command; return its JSON."""
    out = io.StringIO()
    with contextlib.redirect_stdout(out):
        assert cli.run(line.split()) == 0, line
    return json.loads(out.getvalue())


def run_folder():
    """Write a run folder; return its settings, its epochs and the scores of its model."""
    command(TRAIN)
    folder = Path("run")
    for name in SHOWN:
        (folder / name).unlink()
    config = json.loads((folder / "config.json").read_text())
    epochs = [json.loads(line) for line in (folder / "run.jsonl").read_text().splitlines()]
    model = load_model(folder / "model.safetensors")
    scores = command("evaluate run table.csv --json")
    return {"config": config, "epochs": epochs, "weights": cases.weights(model), "scores": scores}


def search():
    """Write the folder of a finished search; return its trials, finals and best model."""
    result = cases.searched("search")
    for name in ("report.html", "lock"):
        Path("search", name).unlink(missing_ok=True)
    shutil.rmtree("search/runs", ignore_errors=True)
    finals = [vars(final) for final in result.finals]
    return {
        "trials": cases.trials_of(result.trials),
        "best": result.best.number,
        "finals": finals,
        "weights": cases.weights(result.model),
    }


def study():
    """Write the records of a study; return them by key, and what it concludes."""
    study = STUDIES[cases.STUDY]
    results = run([study], cases.STUDY_CONFIG, Path("study"), 1)[cases.STUDY]
    Path("study", "lock").unlink(missing_ok=True)
    lines = [json.loads(line) for line in Path("study", "records.jsonl").read_text().splitlines()]
    conclusion = study.conclude(results)
    return {"records": {line["key"]: line["record"] for line in lines}, "holds": conclusion.holds}


def main(version):
    """Write the folder of a version."""
    if version != chainrule.__version__:
        sys.exit(f"write.py: VERSION must be the installed {chainrule.__version__}, got {version}.")
    folder = cases.HERE / version
    folder.mkdir()
    os.chdir(folder)
    lines = [f"{k * 7 % 40},{k * k % 31 / 4},{'xyz'[k * 5 % 3]}\n" for k in range(90)]
    Path("table.csv").write_text("a,b,kind\n" + "".join(lines))
    expected = {
        "models": models(Path("models")),
        "checkpoint": checkpoint(Path("checkpoint")),
        "preset": preset(Path()),
        "run": run_folder(),
        "search": search(),
        "study": study(),
    }
    Path("checkpoint", "lock").unlink(missing_ok=True)
    Path("expected.json").write_text(json.dumps(expected, indent=1) + "\n")


if __name__ == "__main__":
    main(*sys.argv[1:])
