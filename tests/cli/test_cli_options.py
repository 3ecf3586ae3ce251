"""The command line must set what Python sets: an option's text becomes the same settings, or is refused in one sentence.

In: options of `train` with settings, links, levels and classes. Out: settings equal to those of Python; messages.
"""

import json

import numpy as np
import pytest

from chainrule import cli
from chainrule.cli.options import TrainOptions
from chainrule.io import load_model
from chainrule.nn.losses import Huber, MeanSquaredError, Quantile
from chainrule.nn.optimizers import Adam, AdamW, Nesterov, RMSProp
from chainrule.nn.schedules import Cosine, CosineRestarts, Exponential, OneCycle, Step
from chainrule.pipeline import Settings
from chainrule.pipeline.option_names import option_name

SAME = {
    "adam's betas": (
        {"optimizer": "adam:beta1=0.8,beta2=0.99"},
        {"optimizer": Adam(beta1=0.8, beta2=0.99)},
    ),
    "momentum": ({"optimizer": "nesterov:mu=0.99"}, {"optimizer": Nesterov(mu=0.99)}),
    "rho": ({"optimizer": "rmsprop:rho=0.95"}, {"optimizer": RMSProp(rho=0.95)}),
    "weight decay": ({"optimizer": "adamw:weight_decay=0.1"}, {"optimizer": AdamW(weight_decay=0.1)}),
    "a plain name": ({"optimizer": "sgd"}, {"optimizer": "sgd"}),
    "steps": ({"schedule": "step:every=5,drop=0.3"}, {"schedule": Step(every=5, drop=0.3)}),
    "a decay": ({"schedule": "exponential:k=0.01"}, {"schedule": Exponential(k=0.01)}),
    "an end": ({"schedule": "cosine:end=0.1"}, {"schedule": Cosine(end=0.1)}),
    "restarts": ({"schedule": "cosine_restarts:cycle=3"}, {"schedule": CosineRestarts(cycle=3)}),
    "one cycle": ({"schedule": "one_cycle:warmup_fraction=0.3"}, {"schedule": OneCycle(warmup_fraction=0.3)}),
    "relu": ({"link": "relu"}, {"loss": MeanSquaredError(link="relu")}),
    "tanh": ({"loss": "huber", "link": "tanh"}, {"loss": Huber(link="tanh")}),
    "levels": ({"loss": "quantile", "quantiles": "0.1,0.9"}, {"loss": "quantile", "quantiles": (0.1, 0.9)}),
    "levels with a link": (
        {"loss": "quantile", "quantiles": "0.1,0.9", "link": "exp"},
        {"loss": Quantile((0.1, 0.9), link="exp")},
    ),
    "l1": ({"l1": 0.01}, {"l1_alpha": 0.01}),
    "max norm": ({"max_norm": 3.0}, {"max_weight_norm": 3.0}),
    "a running mean": ({"ema_decay": 0.99}, {"ema_decay": 0.99}),
    "several batches": ({"accumulate": 4}, {"accumulate_grad_batches": 4}),
}


@pytest.mark.parametrize("name", SAME)
def test_an_option_gives_the_settings_of_python(name):
    typed, python = SAME[name]
    assert TrainOptions(**typed).settings("train") == Settings(early_stopping=True, **python)


REFUSED = [
    ("iris --optimizer adam:beta=1", "--optimizer must be settings of adam (beta1, beta2, epsilon), got 'beta'"),
    ("iris --optimizer adam:beta1=2", "beta1 must be in [0, 1), got 2"),
    ("iris --optimizer sgd:mu=1", "--optimizer must be without settings: sgd has none"),
    ("iris --optimizer adm:beta1=0.9", "--optimizer must be an optimizer's name, got 'adm'. Did you mean 'adam'?"),
    ("iris --schedule step:drop=3", "drop must be in (0, 1), got 3"),
    ("iris --schedule step:every=x", "--schedule must be given a number for every, got 'x'"),
    ("iris --schedule stp:drop=0.3", "--schedule must be a schedule's name, got 'stp'. Did you mean 'step'?"),
    ("diabetes --link rel", "--link must be one of identity, sigmoid, tanh, relu, exp, got 'rel'"),
    ("diabetes --loss poisson --link relu", "--link must be left out with --loss poisson"),
    ("iris --link relu", "--link must be left out for a classification"),
    ("diabetes --quantiles 0.1,0.9", "--quantiles must be left out unless --loss is 'quantile'"),
    ("diabetes --loss quantile --quantiles a", "--quantiles must be numbers in (0, 1)"),
    ("diabetes --loss quantile --quantiles 0.9,0.1", "--quantiles must be ascending numbers"),
    ("iris --l1 -1", "--l1 must be"),
    ("iris --max-norm 0", "--max-norm must be"),
    ("iris --ema-decay 1", "--ema-decay must be"),
    ("iris --accumulate 0", "--accumulate must be"),
    ("iris --keep-classes setosa", "--keep-classes must be at least two classes"),
    ("iris --keep-classes setosa,virginia", "got 'virginia'. Did you mean 'virginica'?"),
    ("diabetes --keep-classes 1,2", "--keep-classes must be left out for a regression"),
]


@pytest.mark.parametrize(("line", "fault"), REFUSED)
def test_what_cannot_be_set_is_refused(line, fault, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert cli.run(["train", *line.split(), "--epochs", "1"]) == 2
    assert fault in " ".join(capsys.readouterr().err.split())


@pytest.mark.parametrize(
    "setting", ["l1_alpha", "max_weight_norm", "ema_decay", "accumulate_grad_batches", "quantiles"]
)
def test_the_new_options_have_names(setting):
    assert option_name(setting) in ("--l1", "--max-norm", "--ema-decay", "--accumulate", "--quantiles")


@pytest.fixture
def table(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    rng = np.random.default_rng(0)
    lines = [f"{rng.normal():.3f},{rng.normal():.3f},{'abc'[i % 3]},{i % 4}" for i in range(120)]
    (tmp_path / "t.csv").write_text("u,v,kind,number\n" + "\n".join(lines) + "\n")
    (tmp_path / "small.json").write_text(json.dumps({"members": 2, "folds": 2, "epochs": [3, 3], "width": [8, 8]}))
    return tmp_path


@pytest.mark.parametrize(
    ("source", "target", "keep", "more"),
    [
        ("iris", None, "virginica,setosa", []),
        ("digits", None, "0,1", []),
        ("t.csv", "kind", "a,c", ["--preset", "plain"]),
        ("t.csv", "kind", "a,c", ["--preset", "small.json"]),
        ("t.csv", "number", "1,3", ["--task", "classification", "--preset", "plain"]),
        ("t.csv", "kind", "a,c", ["--preset", "plain", "--test", "t.csv"]),
    ],
)
def test_only_kept_classes_are_learned(table, capsys, source, target, keep, more):
    aim = [] if target is None else ["--target", target]
    short = [] if "small.json" in more else ["--epochs", "2"]
    code = cli.run(["train", source, *aim, "--keep-classes", keep, *more, *short, "--out", "kept", "--json"])
    assert code == 0, capsys.readouterr().err
    model = load_model(table / "kept" / "model.safetensors")
    assert sorted(str(label) for label in model.classes) == sorted(keep.split(","))


@pytest.mark.parametrize(
    ("link", "lowest", "highest"), [("relu", 0.0, np.inf), ("tanh", -1.0, 1.0), ("exp", 0.0, np.inf)]
)
def test_a_link_bounds_the_predictions(table, capsys, link, lowest, highest):
    line = ["--target", "u", "--drop", "kind", "--preset", "plain", "--epochs", "3", "--out", link]
    assert cli.run(["train", "t.csv", *line, "--link", link, "--json"]) == 0
    model = load_model(table / link / "model.safetensors")
    rows = np.random.default_rng(0).normal(0, 9, (50, 2))
    found = np.array([model.predict({"v": v, "number": number})[0] for v, number in rows])
    assert lowest <= found.min() <= found.max() <= highest


@pytest.mark.slow
@pytest.mark.parametrize(
    "line",
    [
        "--ema-decay 0.9",
        "--accumulate 2",
        "--max-norm 1",
        "--l1 0.01",
        "--optimizer adam:beta1=0.8",
        "--schedule step:every=1",
        "--keep-classes setosa,virginica",
    ],
)
def test_the_doctor_examines_a_training_with_the_option(line, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert cli.run(["doctor", "iris", "--epochs", "3", "--json", *line.split()]) in (0, 1), capsys.readouterr().err
    assert "verdict" in json.loads(capsys.readouterr().out)


@pytest.mark.parametrize(
    ("line", "typed"),
    [
        ("digits --keep-classes 0,1", "--keep-classes 0,1"),
        ("diabetes --link exp", "--link exp"),
        ("iris --optimizer adam:beta1=0.8", "--optimizer adam:beta1=0.8"),
        ("iris --optimizer sgd_momentum:mu=0.99", "--optimizer sgd_momentum:mu=0.99"),
    ],
)
def test_the_line_of_a_found_rate_keeps_the_option(line, typed, capsys):
    assert cli.run(["lr-find", *line.split(), "--steps", "20"]) == 0
    assert typed in capsys.readouterr().out.splitlines()[-1]
