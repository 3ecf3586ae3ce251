"""Why: a line that a card prints must run with the names that its caller has, cure what it names, and not come again.

In: rows with one fault each, for each caller. Out: the printed line, run; what the rule says of the rows after it.
"""

import shlex
from dataclasses import replace

import numpy as np
import polars as pl
import pytest
from doctor_cases import healthy

from chainrule import NetClassifier, NetRegressor, examine, fit, mlp
from chainrule.data.table import ReadOptions, read_target
from chainrule.data.table.gaps import label
from chainrule.data.table.loading import dataset_of
from chainrule.data.table.shell import listed
from chainrule.doctor import DoctorMonitor
from chainrule.doctor import report as report_on
from chainrule.doctor.remedies.alignment import alignment
from chainrule.doctor.remedies.apply import apply_remedies
from chainrule.doctor.rules.configuration.hidden import no_hidden_layer
from chainrule.doctor.rules.data import codes, labels, parts, untidy
from chainrule.engines import Rows
from chainrule.nn.layers import Activation, Dense
from chainrule.nn.losses import BinaryCrossEntropy, MeanSquaredError, SoftmaxCrossEntropy
from chainrule.nn.net import Net
from chainrule.nn.step import Recipe
from chainrule.pipeline import Settings, build_problem
from chainrule.pipeline.option_names import COMMAND_LINE, ESTIMATOR, FIT
from chainrule.train import TrainConfig, TrainingProblem, train

rng = np.random.default_rng(0)
RAW = np.array([50.0, -3.0, 0.2, 900.0]) + np.array([20.0, 1.0, 0.05, 300.0]) * rng.normal(size=(800, 4))
Z = (RAW - RAW.mean(axis=0)) / RAW.std(axis=0)
SCORE = Z[:, 0] + Z[:, 1] - 0.5 * Z[:, 2]
CUT = 600


def run(code, **names):
    """Run a printed line with the names that its caller has, and return them all."""
    space = {"np": np, **{name: value.copy() for name, value in names.items()}}
    exec(code, space)
    return space


def problem_of_fit(X, y, X_val=None, y_val=None, weight=None, loss=None):
    """Return the problem of a caller of `fit`, who scales rows himself."""
    loss = loss or (SoftmaxCrossEntropy() if y.dtype.kind == "i" else MeanSquaredError())
    recipe = Recipe(mlp(X.shape[1], [8], 1 + int(y.max()) if y.dtype.kind == "i" else 1), loss)
    held = None if X_val is None else Rows.of(recipe, X_val, y_val)
    return TrainingProblem(recipe, Rows.of(recipe, X, y, weight), TrainConfig(5), held)


def problem_of_estimator(X, y, X_val=None, y_val=None):
    """Return the problem of a caller of the estimators, which scale rows themselves."""
    held = None if X_val is None else (X_val, y_val)
    return replace(build_problem(Settings(), (X, y), validation=held), interface=ESTIMATOR)


# Validation rows


SPOILED = {
    "shifted": lambda V: V + 3 * V.std(axis=0),
    "in other units": lambda V: 1000 * V,
    "scaled twice": lambda V: (V - V.mean(axis=0)) / (50 * V.std(axis=0)),
    "one place off": lambda V: np.roll(V, 1, axis=1),
    "one place off the other way": lambda V: np.roll(V, -1, axis=1),
    "reversed": lambda V: V[:, ::-1],
    "two columns exchanged": lambda V: V[:, [1, 0, 2, 3]],
    "standardized": lambda V: (V - RAW.mean(axis=0)) / RAW.std(axis=0),
}
MAKERS = {ESTIMATOR: (problem_of_estimator, RAW), FIT: (problem_of_fit, Z)}


@pytest.mark.parametrize("caller", MAKERS)
@pytest.mark.parametrize("kind", ["values", "classes"])
@pytest.mark.parametrize("fault", SPOILED)
def test_the_line_makes_validation_rows_follow_the_training_rows(caller, kind, fault):
    make, X = MAKERS[caller]
    y = SCORE if kind == "values" else (SCORE > 0).astype(int)
    X_val = SPOILED[fault](X[CUT:])
    finding = parts.validation_differs(make(X[:CUT], y[:CUT], X_val, y[CUT:]), None)
    if finding is None:
        assert (caller, fault) == (FIT, "standardized") or fault == "two columns exchanged"
        return
    line = finding.fix.line(caller)
    after = run(line, X=X[:CUT], y=y[:CUT], X_val=X_val, y_val=y[CUT:])
    again = parts.validation_differs(make(X[:CUT], y[:CUT], after["X_val"], y[CUT:]), None)
    assert again is None, line
    away = np.abs(after["X_val"] - X[CUT:]) / X.std(axis=0)
    assert np.median(away) < 0.2, line


def test_the_order_of_columns_is_said_and_is_all_that_changes():
    X_val = np.roll(RAW[CUT:], 1, axis=1)
    fix = parts.validation_differs(problem_of_estimator(RAW[:CUT], SCORE[:CUT], X_val, SCORE[CUT:]), None).fix
    assert fix.code == "X_val = X_val[:, [1, 2, 3, 0]]"
    assert "'x0', 'x1', 'x2', 'x3'" in fix.text
    assert (run(fix.code, X=RAW, X_val=X_val)["X_val"] == RAW[CUT:]).all()


@pytest.mark.parametrize("seed", range(5))
def test_the_order_is_found_where_the_inputs_say_little_about_the_targets(seed):
    y = SCORE + 6 * np.random.default_rng(seed).normal(size=len(SCORE))
    order = np.r_[1, 2, 3, 0] if seed % 2 else np.r_[2, 0, 3, 1]
    given = problem_of_estimator(RAW[:CUT], y[:CUT], RAW[CUT:][:, order], y[CUT:])
    assert (RAW[CUT:][:, order][:, list(alignment(given).order)] == RAW[CUT:]).all()
    shifted = problem_of_fit(Z[:CUT], y[:CUT], Z[CUT:] + 3, y[CUT:])
    assert not alignment(shifted).order


@pytest.mark.parametrize("columns", [(1, 2), (1, 3), (2, 3), (1, 2, 3), (1, 2, 3, 4)])
def test_a_command_leaves_shifted_columns_out_only_where_the_others_tell_as_much(columns):
    X = np.c_[RAW[:, :2], rng.normal(size=(800, 3))][:, : max(4, 1 + len(columns))]
    X_val = X[CUT:].copy()
    X_val[:, columns] += 1000.0
    lines = []
    for y in (Z[:, 0], X[:, columns].sum(axis=1)):
        given = build_problem(Settings(), (X[:CUT], y[:CUT]), validation=(X_val, y[CUT:]))
        found = parts.validation_differs(replace(given, interface=COMMAND_LINE), None)
        lines.append(found.fix.line(COMMAND_LINE))
    assert lines == ["--drop " + ",".join(f"x{j}" for j in columns), ""]


def test_the_trial_tests_what_the_line_does():
    X_val = SPOILED["standardized"](RAW[CUT:])
    given = problem_of_estimator(RAW[:CUT], SCORE[:CUT], X_val, SCORE[CUT:])
    after = run(alignment(given).code, X=RAW[:CUT], X_val=X_val)["X_val"]
    assert np.allclose(apply_remedies(given, "align-validation").validation.X, given.inputs.apply(after), atol=1e-3)


def test_validation_rows_of_another_source_get_words():
    drawn = np.random.default_rng(1).permutation(SCORE[CUT:])
    finding = parts.validation_differs(problem_of_estimator(RAW[:CUT], SCORE[:CUT], RAW[CUT:], drawn), None)
    assert finding.fix.code == ""
    assert "belong to their targets" in finding.fix.text


@pytest.mark.parametrize("classes", [2, 3, 4, 5, 9])
def test_the_line_splits_again_with_every_class_in_both_parts(classes):
    y = np.repeat(np.arange(classes), 60)
    X = np.random.default_rng(0).normal(size=(len(y), 3)) + y[:, None]
    cut = len(y) - 40
    for make, caller in ((problem_of_estimator, ESTIMATOR), (problem_of_fit, FIT)):
        finding = parts.single_class(make(X[:cut], y[:cut], X[cut:], y[cut:]), None)
        after = run(finding.fix.line(caller), X=X[:cut], y=y[:cut], X_val=X[cut:], y_val=y[cut:])
        assert parts.single_class(make(*(after[name] for name in ("X", "y", "X_val", "y_val"))), None) is None
        assert len(after["y"]) + len(after["y_val"]) == len(y)
        assert set(after["y_val"]) == set(after["y"]) == set(range(classes))


# Cells


CODES = {
    "one column": {0: -999.0},
    "two columns": {0: -999.0, 3: 99999.0},
    "every column": dict.fromkeys(range(4), 1000000.0),
    "a large code": {2: 1e4},
    "a code near the rest": {1: 40.0},
}


@pytest.mark.parametrize("scaling", ["standardized", "unit range", "not scaled"])
@pytest.mark.parametrize("fault", CODES)
def test_cells_are_filled_and_columns_that_the_user_scaled_are_scaled_again(scaling, fault):
    X = RAW.copy()
    for j, code in CODES[fault].items():
        X[5:25, j] = code
    given = {
        "standardized": (X - X.mean(axis=0)) / X.std(axis=0),
        "unit range": (X - X.min(axis=0)) / np.ptp(X, axis=0),
        "not scaled": X,
    }[scaling]
    finding = untidy.strange_cells(problem_of_fit(given, SCORE), None)
    after = run(finding.fix.line(FIT), X=given)["X"]
    assert untidy.strange_cells(problem_of_fit(after, SCORE), None) is None
    for j in CODES[fault]:
        if scaling == "standardized":
            assert np.allclose([after[:, j].mean(), after[:, j].std()], [0, 1], atol=1e-6)
        if scaling == "unit range":
            assert np.allclose([after[:, j].min(), after[:, j].max()], [0, 1], atol=1e-6)
    raw = untidy.strange_cells(problem_of_estimator(X, SCORE), None).fix.line(ESTIMATOR)
    filled = run(raw, X=X)["X"]
    assert untidy.strange_cells(problem_of_estimator(filled, SCORE), None) is None
    assert (filled[25:] == RAW[25:]).all()


def typed(columns, code=-9999.0, names=("a", "b", "c", "d"), dtype="float32", scaling="columns", cells=np.float64):
    """Return the options for strange cells in these columns of a table."""
    X = RAW.copy()
    X[5:25, columns] = code
    frame = pl.DataFrame(dict(zip(names, X.T.astype(cells), strict=True)) | {"kind": ["u", "v"] * 400, "y": SCORE})
    found = read_target("t", frame, "y")
    table = dataset_of(frame, "t", found, (), None, ReadOptions())
    problem = build_problem(Settings(dtype=dtype, scaling=scaling), table)
    problem = replace(problem, interface=COMMAND_LINE, table=table)
    finding = untidy.strange_cells(problem, None)
    line = finding.fix.line(COMMAND_LINE)
    if line:
        pairs = [item.rpartition("=") for item in listed(shlex.split(line.replace("--missing=", "--missing "))[1])]
        missing = {name: [value for other, _, value in pairs if other == name] for name, _, _ in pairs}
        mended = dataset_of(frame, "t", found, (), None, ReadOptions(missing=missing))
        again = untidy.strange_cells(build_problem(Settings(), mended), None)
        assert again is None or len(missing) < len(columns)
    assert finding.fix.line(FIT).startswith(("X[", "for j, m, far"))
    return line


def test_a_command_is_told_which_values_are_missing_as_the_table_has_them():
    assert typed([3]) == "--missing d=-9999"
    assert typed([0, 2]) == "--missing a=-9999,c=-9999"
    for code in (9999.99, -9999.9912, 123456.789, 1e6 + 0.5, -999.0):
        for settings in ({}, {"dtype": "float64"}, {"scaling": "shared"}, {"scaling": "none"}):
            assert typed([1], code, **settings) == f"--missing b={label(code)}"
    assert typed([1], 9999.9, cells=np.float32) == "--missing b=9999.9"
    assert typed([3], names=("a", "b", "c", "my d, e")) == "--missing '\"my d, e=-9999\"'"
    assert typed([3], names=("a", "b", "c", "d=red")) == "--missing d=red=-9999"
    assert typed([0], names=("-a", "b", "c", "d")) == "--missing=-a=-9999"


def test_a_command_is_told_all_mistyped_values_of_a_column_or_none(monkeypatch):
    cells = np.repeat(RAW[:1, 1], 20)
    cells[:3] = [5e4, 6e4, 7e4]
    assert typed([1], cells[:, None]) == "--missing b=50000,b=60000,b=70000"
    monkeypatch.setattr(codes, "DATA_LIMITS", replace(codes.DATA_LIMITS, most_codes=2))
    assert typed([1], cells[:, None]) == ""


def test_no_option_is_printed_where_none_takes_the_cells():
    X = RAW.copy()
    X[5:25, 0] = -9999.0
    given = build_problem(Settings(), (X, SCORE), feature_names=("a", "b", "c", "d"))
    finding = untidy.strange_cells(replace(given, interface=COMMAND_LINE), None)
    assert finding.fix.line(COMMAND_LINE) == ""
    assert finding.fix.line(FIT)


# Labels


@pytest.mark.parametrize("classes", [2, 3, 5, 7, 10])
def test_the_weights_for_fit_make_every_class_count_the_same(classes):
    y = np.r_[np.zeros(600, int), np.repeat(np.arange(1, classes), 20)]
    X = np.random.default_rng(0).normal(size=(len(y), 3))
    pairs = [(y, SoftmaxCrossEntropy())]
    pairs += [((y > 0).astype(float), BinaryCrossEntropy())] if classes == 2 else []
    for targets, loss in pairs:
        line = labels.class_imbalance(problem_of_fit(X, targets, loss=loss), None).fix.line(FIT)
        weight = eval(line, {"np": np, "y": targets, "fit": lambda _, sample_weight: sample_weight})
        assert labels.class_imbalance(problem_of_fit(X, targets, weight=weight, loss=loss), None) is None
        net = mlp(3, [4], classes if loss is pairs[0][1] else 1)
        assert next(iter(fit(net, X, targets, loss=loss, sample_weight=weight))).finite


@pytest.mark.parametrize("seed", range(5))
def test_doubtful_labels_are_information_once_labels_are_smoothed(seed):
    own = np.random.default_rng(seed)
    right = own.integers(0, 3, 600)
    X = 0.4 * own.normal(size=(600, 3)) + 2 * np.eye(3)[right]
    y = np.where(own.random(600) < 0.3, own.integers(0, 3, 600), right)
    told = labels.label_noise(problem_of_fit(X, y), None)
    assert (told.severity, told.fix.line(ESTIMATOR)) == ("warning", "label_smoothing=0.1")
    smooth = problem_of_fit(X, y, loss=SoftmaxCrossEntropy(label_smoothing=0.1))
    told = labels.label_noise(smooth, None)
    assert (told.severity, told.fix.settings) == ("info", ())
    assert apply_remedies(smooth, "label-smoothing") is None
    changed = apply_remedies(problem_of_fit(X, y), "label-smoothing")
    assert changed.recipe.loss.label_smoothing == 0.1


# A linear model


XOR = np.array([[0.0, 0], [0, 1], [1, 0], [1, 1]]), np.array([0.0, 1, 1, 0])


def wide(n, noise=0.1):
    X = np.tile(XOR[0], (n, 1))
    return X + noise * np.random.default_rng(0).normal(size=X.shape), np.tile(XOR[1], n)


@pytest.mark.parametrize("rows", [1, 2, 5, 25, 100])
@pytest.mark.parametrize("loss", [BinaryCrossEntropy(), MeanSquaredError()], ids=["classes", "values"])
def test_xor_without_a_hidden_layer_is_named_by_the_missing_layer(rows, loss):
    X, y = wide(rows)
    y = y if loss == BinaryCrossEntropy() else y + 0.1 * np.random.default_rng(1).normal(size=len(y))
    report = examine(mlp(2, [], 1), X, y, loss=loss, epochs=100, learning_rate=0.1)
    assert report.primary.symptom == "no-hidden-layer"
    assert report.primary.fix.line() == 'mlp(..., hidden=(32,), activation="relu")'


@pytest.mark.parametrize("make", [NetClassifier, NetRegressor])
def test_estimators_without_a_hidden_layer_are_told_theirs(make):
    X, y = wide(100)
    y = y.astype(int) if make is NetClassifier else 3 * y - 1
    ill = make(hidden_layer_sizes=(), max_iter=60, random_state=0, learning_rate_init=0.05)
    report = ill.examine(X, y)
    assert report.primary.symptom == "no-hidden-layer"
    line = report.primary.fix.line(ESTIMATOR)
    assert line == 'hidden_layer_sizes=(32,), activation="relu"'
    again = ill.set_params(**eval(f"dict({line})")).examine(X, y)
    assert "no-hidden-layer" not in [finding.symptom for finding in again.findings]


@pytest.mark.parametrize(
    "y", [SCORE, (SCORE > 0).astype(int), SCORE + rng.normal(size=800), rng.normal(size=800), rng.integers(0, 3, 800)]
)
def test_a_linear_model_is_left_alone_where_the_task_is_linear_or_noise(y):
    given = problem_of_fit(Z, y)
    net = Net(4, [Dense(given.recipe.net.outputs)])
    assert no_hidden_layer(replace(given, recipe=replace(given.recipe, net=net)), None) is None


# Layers that refuse the rows of a probe


class OfOneBatch(Activation):
    """Takes as many rows as a batch has, and no others."""

    def forward(self, p, buffers, Z, ctx):
        if len(Z) != 16:
            raise ValueError("16 rows are needed")
        return super().forward(p, buffers, Z, ctx)


class InPairs(Activation):
    """Takes rows in fours of a multiple of 16, as one that folds them into groups."""

    def forward(self, p, buffers, Z, ctx):
        Z.reshape(-1, 16, Z.shape[1])
        return super().forward(p, buffers, Z, ctx)


class OfTraining(Activation):
    """Knows no inference."""

    def forward(self, p, buffers, Z, ctx):
        if not ctx.training:
            raise NotImplementedError
        return super().forward(p, buffers, Z, ctx)


class OnePrecision(Activation):
    """Takes the numbers of training and nothing finer, in training only."""

    def forward(self, p, buffers, Z, ctx):
        assert ctx.training, "no predictions"
        return super().forward(p, buffers, Z, ctx)


class WithMemory(Activation):
    """Fails for a reason without words."""

    def forward(self, p, buffers, Z, ctx):
        if not ctx.training:
            raise KeyError
        return super().forward(p, buffers, Z, ctx)


@pytest.mark.parametrize("kind", [OfOneBatch, InPairs, OfTraining, OnePrecision, WithMemory])
def test_a_layer_that_refuses_the_rows_of_a_probe_is_watched_nevertheless(kind):
    circles = healthy("circles")
    net = Net(2, [Dense(8), kind("relu"), Dense(1)])
    recipe = replace(circles.recipe, net=net, batch_size=16)
    given = replace(
        circles, recipe=recipe, rows=circles.rows[:160], validation=None, test=None, config=TrainConfig(30, 0.01)
    )
    changes = []
    report = report_on(train(given, [DoctorMonitor(on_change=lambda finding, epoch: changes.append(finding))]))
    refused = [each for each in report.skipped if each.startswith("readings of the layers")]
    taken = kind in (OfOneBatch, InPairs)
    assert bool(report.trace.readings) == taken
    assert len(refused) == (not taken)
    if refused:
        assert kind.__name__ in refused[0]


def test_a_fault_of_the_package_in_a_probe_is_not_hidden(monkeypatch):
    def broken(*_):
        raise ZeroDivisionError

    monkeypatch.setattr("chainrule.doctor.observe.probe.walk", broken)
    with pytest.raises(ZeroDivisionError):
        train(healthy("circles"), [DoctorMonitor()])
