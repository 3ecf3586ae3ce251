"""Why: advice that the program itself refuses is worse than none.

In: findings of all rules on broken problems; remedies as settings. Out: command lines that the parser accepts, keywords that
bind to the functions and estimators that they name, code that compiles.
"""

import ast
import inspect
import math
import shlex
from dataclasses import fields, replace
from functools import cache
from pathlib import Path

import numpy as np
import polars as pl
import pytest
import typer
from doctor_cases import healthy, with_layers, with_recipe, with_rows
from doctor_traces import epochs, problem, reading, stuck, trace

import chainrule
from chainrule import NetClassifier, NetRegressor, doctor
from chainrule.cli.app import whole
from chainrule.cli.options import TrainOptions
from chainrule.data import Standardizer
from chainrule.data.table import ReadOptions, read_target
from chainrule.data.table.loading import dataset_of
from chainrule.doctor import rules
from chainrule.doctor.remedies.apply import APPLY, apply_remedies
from chainrule.doctor.remedies.as_settings import settings_of
from chainrule.doctor.rules import configuration, data, preflight, training
from chainrule.doctor.rules.configuration import own_pieces
from chainrule.doctor.rules.training import convergence, stopping
from chainrule.doctor.vocabulary.catalogue import REMEDIES
from chainrule.doctor.vocabulary.records import Fix, NotApplicable, Reading, Report
from chainrule.engines import Rows
from chainrule.nn import layers, losses, optimizers, penalties, schedules
from chainrule.nn.gradcheck import gradcheck
from chainrule.nn.initializers import Constant, Normal
from chainrule.nn.layers import Activation, BatchNorm, Dense, Dropout
from chainrule.nn.losses import BinaryCrossEntropy, MeanSquaredError, SoftmaxCrossEntropy
from chainrule.nn.multilayer import mlp
from chainrule.nn.net import Net
from chainrule.nn.penalties import ClipNorm, ClipValue, Penalty
from chainrule.pipeline import Settings, build_problem
from chainrule.pipeline.option_names import COMMAND_LINE, ESTIMATOR, FIT, INTERFACES, OPTION_NAMES, Setting, render
from chainrule.train import TrainConfig
from chainrule.train.records import diverged

relu, sigmoid = Activation("relu"), Activation("sigmoid")
RULES = Path(rules.__file__).parent


class Softmax(Activation):
    """A softmax as a layer of one's own."""

    def forward(self, p, buffers, Z, ctx):
        E = np.exp(Z - Z.max(axis=1, keepdims=True))
        return E / E.sum(axis=1, keepdims=True), {}, buffers


class StuckNorm(BatchNorm):
    """Does not move its running statistics."""

    def forward(self, p, buffers, Z, ctx):
        Y, saved, _ = super().forward(p, buffers, Z, ctx)
        return Y, saved, buffers


class RestlessDropout(Dropout):
    """Drops units in inference, too."""

    def forward(self, p, buffers, A, ctx):
        mask = (np.arange(A.size).reshape(A.shape) % 3) > 0
        return A * mask, {"M": mask}, buffers


class HalfDense(Dense):
    """Returns half of dW, and no input reaches its output."""

    def forward(self, p, buffers, A, ctx):
        return super().forward(p, buffers, 0.0 * A, ctx)

    def backward(self, p, saved, dZ, ctx):
        dA, g = super().backward(p, saved, dZ, ctx)
        return dA, {**g, "W": 0.5 * g["W"]}


class MixingActivation(Activation):
    """Subtracts the mean over the rows."""

    def forward(self, p, buffers, Z, ctx):
        return super().forward(p, buffers, Z - Z.mean(axis=0), ctx)


class OwnLoss(BinaryCrossEntropy):
    """A loss of one's own."""


class Ascent(optimizers.SGD):
    """Climbs."""

    def update(self, w, g, state, ctx):
        return w + ctx.lr * g, state


def configurations():
    """Yield training problems that are broken in their recipe."""
    digits, circles, diabetes = healthy("digits"), healthy("circles"), healthy("diabetes")
    for ends in ((Dense(8), relu, Dense(10), sigmoid), (Dense(8), Softmax("relu"), Dense(10)), (Dense(8), Dense(10)),
                 (Dense(8), sigmoid, Dense(8), sigmoid, Dense(10)), (Dense(8), relu, Activation("tanh"), Dense(10)),
                 (Dense(8), BatchNorm(), relu, Dense(10)), (Dense(8), Dropout(0.5), relu, BatchNorm(), Dense(10)),
                 (Dense(8), relu, Dropout(0.8), Dense(10)), (Dense(8), StuckNorm(), relu, Dense(10)),
                 (Dense(8), BatchNorm(momentum=0.9999), relu, Dense(10)),
                 (Dense(8), relu, RestlessDropout(0.5), Dense(10))):  # fmt: skip
        yield with_layers(digits, *ends)
    yield with_rows(circles, Y=2 * circles.rows.Y - 1)
    yield with_layers(diabetes, Dense(8), relu, Dense(1), sigmoid)
    yield replace(with_recipe(circles, loss=MeanSquaredError()), target=None)
    hot = np.eye(10, dtype=np.float32)[digits.rows.Y]
    yield replace(with_recipe(with_rows(digits, Y=hot), loss=MeanSquaredError()), target=None)
    yield with_recipe(diabetes, loss=BinaryCrossEntropy())
    yield with_rows(with_recipe(circles, loss=SoftmaxCrossEntropy()), Y=np.zeros(len(circles.rows), np.int64))
    yield with_recipe(healthy("digits", batch_norm=True), batch_size=2)
    yield with_layers(circles, Dense(1))
    yield with_recipe(digits, net=mlp(64, [16, 16], 10, initializer=Constant(0.5)))
    yield with_recipe(digits, net=mlp(64, [64, 64], 10, initializer=Normal(sigma=1.0)))
    yield with_rows(digits, X=100 * digits.rows.X)
    yield with_recipe(digits, learning_rate_multipliers={"0.*": 0.0})
    for rate, optimizer in ((1.0, optimizers.Adam()), (1e-7, optimizers.Adam()), (50.0, optimizers.SGD())):
        yield replace(with_recipe(digits, optimizer=optimizer), config=TrainConfig(100, rate))
    for optimizer in (optimizers.Adam(epsilon=0.1), optimizers.EmaMomentum(beta=0.9999), Ascent()):
        yield with_recipe(digits, optimizer=optimizer)
    for clip in (ClipNorm(1e-3), ClipValue(1e-4)):
        yield with_recipe(digits, optimizer=optimizers.SGD(), clip=clip)
    yield replace(digits, config=TrainConfig(100, 1e-3, schedules.Exponential(k=0.5)))


def tables():
    """Yield training problems that are broken in their rows."""
    rng = np.random.default_rng(0)
    wine, digits, diabetes = healthy("wine"), healthy("digits"), healthy("diabetes")
    for column, value in ((2, np.nan), (4, 0.0), (7, 3.0 - 2.0 * wine.rows.X[:, 1]), (0, 1000 * wine.rows.X[:, 0])):
        X = wine.rows.X.copy()
        X[:, column] = value
        yield with_rows(wine, X=X)
    X = wine.rows.X.copy()
    X[:5, 2] = -999.0
    yield with_rows(wine, X=X)
    yield of_a_table(X)
    Y = diabetes.rows.Y.copy()
    Y[0] = 1e5
    yield with_rows(diabetes, Y=Y)
    yield replace(digits, validation=digits.rows[np.flatnonzero(digits.rows.Y == 3)])
    yield with_rows(digits, X=digits.rows.X / 255)
    yield with_rows(diabetes, Y=100 * diabetes.rows.Y)
    yield with_rows(digits, take=(digits.rows.Y != 0) | (rng.random(len(digits.rows)) < 0.05))
    take = np.flatnonzero(digits.rows.Y == 3)[:30]
    twice = np.concatenate([digits.rows.Y, np.full(30, 5)])
    yield with_rows(digits, X=np.vstack([digits.rows.X, digits.rows.X[take]]), Y=twice)
    wrong = rng.random(len(digits.rows)) < 0.2
    yield with_rows(digits, Y=np.where(wrong, (digits.rows.Y + 1) % 10, digits.rows.Y))
    yield with_rows(digits, X=rng.permutation(digits.rows.X))
    yield replace(digits, validation=digits.rows)
    doubled = digits.rows[np.random.default_rng(1).permutation(np.repeat(np.arange(len(digits.rows)), 2))]
    yield replace(digits, rows=doubled[300:], validation=doubled[:300], test=None)
    yield with_rows(digits, take=slice(25))
    whole = (diabetes.rows.X - diabetes.rows.X.mean(0)) / diabetes.rows.X.std(0)
    parts = [Rows(part, diabetes.rows.Y[: len(part)], np.ones(len(part))) for part in (whole[:200], whole[200:])]
    yield replace(diabetes, rows=parts[0], validation=parts[1], test=None)
    hidden = rng.normal(size=(800, 3))
    X = hidden @ rng.normal(size=(3, 12)) + 0.1 * rng.normal(size=(800, 12))
    X[::4] = rng.normal(size=(200, 12)) * 3
    alone = replace(healthy("circles"), validation=None, test=None)
    yield with_rows(alone, X=X, Y=(hidden[:, 0] > 0).astype(np.float32)[:, None])


def of_a_table(X):
    """Return the problem of a command whose table has these numbers."""
    frame = pl.DataFrame({f"x{j}": x for j, x in enumerate(X.T)} | {"y": np.arange(len(X)) / 7})
    given = dataset_of(frame, "t.csv", read_target("t.csv", frame, "y"), (), None, ReadOptions())
    return replace(build_problem(Settings(), given), interface=COMMAND_LINE, table=given)


def broken_mathematics():
    """Yield training problems that the checks before a training catch."""
    digits = healthy("digits")
    yield with_layers(digits, Dense(8), relu, HalfDense(8), relu, Dense(10))
    yield with_layers(digits, Dense(8), MixingActivation("tanh"), Dense(10))
    yield with_recipe(healthy("circles"), optimizer=Ascent())
    yield with_layers(healthy("circles"), Dense(1))
    yield with_layers(digits, HalfDense(8), relu, Dense(10))
    yield replace(digits, config=TrainConfig(100, 50.0))
    yield replace(digits, config=TrainConfig(100, 1e-9))


def traced():
    """Yield training problems with traces in which something is wrong."""
    given, still, slow = problem(), {"update_ratio": 0.0}, {"update_ratio": 1e-7}
    yield given, stuck(given, _0=still)
    frozen = problem(learning_rate_multipliers={"0.*": 0.0})
    yield frozen, stuck(frozen, _0=still)
    lost = Reading(3, 23, math.nan, math.nan, (), nonfinite="output of layer 2 (Dense)")
    yield given, trace(given, [0.7, 0.9, math.nan], [reading(given, 0, 0.7), lost], stopped=diverged(2))
    for ill in ({"_2": {"update_ratio": 0.2}}, {"_0": slow, "_2": slow, "_4": slow}, {"_1": {"gradient_rms": 1e-6}},
                {"_1": {"gradient_rms": 500.0}}, {"_1": {"silent": np.array([True, True, True, False])}},
                {"_3": {"drift": 40.0}}, {"_0": slow}):  # fmt: skip
        yield given, stuck(given, **ill)
    bent = problem([Dense(4), Activation("tanh"), Dense(2)])
    yield bent, stuck(bent, _1={"saturation": np.full(4, 0.01)})
    yield given, trace(given, [0.4 + 0.1 * (-1) ** i for i in range(20)])
    clipped = problem(clip=ClipNorm(0.1))
    yield clipped, trace(clipped, norms=np.linspace(1, 3, 20))
    for size in (1, 200):
        batched = problem(batch_size=size)
        yield batched, trace(batched)
    for held in ({"penalty": Penalty(l2=0.1)}, {"penalty": Penalty(l1=0.1, l2=0.1)}, {"optimizer": optimizers.AdamW()}):
        penalized = problem(**held)
        yield penalized, stuck(penalized)
    fading = problem(schedule=schedules.Exponential(k=3.0))
    yield fading, trace(fading)
    normed = problem([Dense(4), BatchNorm(), relu, Dense(2)])
    yield normed, trace(normed, readings=[reading(normed, e, 2.0, training_loss=0.1) for e in (0, 20)])
    restless = problem([Dense(4), relu, RestlessDropout(0.5), Dense(2)])
    yield restless, trace(restless)
    yield given, trace(given, list(np.linspace(0.69, 0.3, 60)))
    yield given, replace(trace(given, list(np.linspace(0.69, 0.3, 60))), planned=100)
    yield given, trace(given, list(np.linspace(0.69, 0.5, 20)), scores=list(np.linspace(0.7, 0.5, 20)))
    stopped = epochs([0.6, 0.5, 0.45, 0.41, 0.38], [0.62, 0.55, 0.50, 0.48, 0.481])
    yield given, replace(trace(given), epochs=stopped, planned=100)
    yield problem(validation=False), trace(given)


@cache
def findings():
    """Return one finding for each different fix that the rules give for all of these."""
    cases = [(configuration.RULES, ill, None) for ill in configurations()]
    cases += [(data.RULES, ill, None) for ill in tables()]
    cases += [(preflight.RULES, ill, None) for ill in broken_mathematics()]
    cases += [(training.RULES, *pair) for pair in traced()]
    found = {}
    for several, ill, seen in cases:
        for rule in several:
            try:
                with np.errstate(all="ignore"):
                    finding = rule.check(ill, seen)
            except NotApplicable:
                continue
            if finding is not None:
                found.setdefault((finding.fix.text, finding.fix.settings), finding)
    custom = with_recipe(healthy("circles"), loss=OwnLoss())
    bare = with_layers(healthy("circles"), Dense(4, bias=False), relu, Dense(1))
    others = [*judged_by_hand(), *own_pieces.unknown_loss(custom), *own_pieces.missing_bias(bare)]
    found |= {(f.fix.text, f.fix.settings): f for f in others}
    return tuple(found.values())


def judged_by_hand():
    """Yield findings of the rules that need a trained network, on a network whose answers are put in by hand."""
    given = problem(validation=True)
    rows = given.rows
    trained = trace(given)
    good = with_recipe(given, net=Net(3, [Dense(2)]))
    state = replace(good.recipe.start(), w=good.recipe.net.parameters.pack(
        np, {"0.W": np.array([[-9.0, 9.0], [0, 0], [0, 0]]), "0.b": np.zeros(2)}, np.zeros(0)))  # fmt: skip
    right = (rows.X[:, 0] > 0).astype(np.int64)
    rng = np.random.default_rng(0)
    noise = rng.integers(0, 2, len(rows))
    learned, random = replace(rows, Y=right), replace(rows, Y=noise)
    seen = replace(trained, final=state)
    yield convergence.overfitting(replace(good, rows=learned, validation=random), seen)
    yield convergence.suspicious_validation(replace(good, rows=random, validation=learned), seen)


def fixes():
    return [finding.fix for finding in findings()]


def remedied():
    """Return the settings of every remedy that a setting can make, on a problem that it changes."""
    recipes = {"penalty": Penalty(l2=0.1), "clip": ClipNorm(0.01), "optimizer": optimizers.RMSProp(epsilon=0.5)}
    ill = with_recipe(healthy("digits"), **recipes)
    ill = replace(ill, config=TrainConfig(100, 1e-6, schedules.Cosine()))
    made = {name: settings_of([name], apply_remedies(ill, name) or ill) for name in REMEDIES}
    return {name: settings for name, settings in made.items() if settings}


def written():
    """Yield file, line and call of every `Fix(...)` in the rules."""
    for path in sorted(RULES.rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and getattr(node.func, "id", "") == "Fix":
                yield f"{path.relative_to(RULES)}:{node.lineno}", node


def texts(call):
    """Return the advice of a call as it stands; of a choice both sides; nothing where a name stands for it."""
    first = call.args[0]
    chosen = [first.body, first.orelse] if isinstance(first, ast.IfExp) else [first]
    return {part.value for part in chosen if isinstance(part, ast.Constant)}


@pytest.mark.slow
def test_the_broken_problems_bring_out_every_fix_that_a_rule_can_give():
    said = {fix.text for fix in fixes()}
    missing = {where: texts(call) - said for where, call in written() if texts(call) - said}
    assert missing == {}


def test_rules_hold_no_option_of_the_command_line():
    for path in sorted(RULES.rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Constant) and isinstance(node.value, str):
                assert not node.value.lstrip().startswith("--"), f"{path}:{node.lineno}: {node.value}"
                assert " --" not in node.value, f"{path}:{node.lineno}: {node.value}"


def test_a_fix_is_words_settings_and_at_most_a_line_of_code():
    for where, call in written():
        assert {keyword.arg for keyword in call.keywords} <= {"code", "remedy", "safe"}, where
        assert len(call.args) <= 4, where


def test_settings_are_in_the_table_and_the_table_is_that_of_the_estimators():
    named = {setting.name for fix in fixes() for setting in fix.settings}
    assert named <= set(OPTION_NAMES)
    estimators = {*inspect.signature(NetClassifier).parameters, *inspect.signature(NetRegressor).parameters}
    assert set(OPTION_NAMES) - estimators == {"task", "max_grad_value", "drop", "missing"}
    options = {f.name for f in fields(TrainOptions)}
    assert {names.option for names in OPTION_NAMES.values() if names.option} <= options
    assert {f.name for f in fields(Settings)} - set(OPTION_NAMES) == {
        "dtype", "engine", "seed", "tol",
    }  # fmt: skip


def test_remedies_are_those_that_can_be_made():
    assert {fix.remedy for fix in fixes()} - {""} <= set(APPLY)
    assert {setting.name for settings in remedied().values() for setting in settings} <= set(OPTION_NAMES)


def parsed(command, line):
    """Return the options that the parser of a command reads from a line."""
    parser = typer.main.get_command(whole()).commands[command]
    with parser.make_context(command, ["digits", *shlex.split(line)]) as context:
        return TrainOptions(**{f.name: context.params[f.name] for f in fields(TrainOptions)})


@pytest.mark.parametrize("command", ["train", "doctor"])
def test_the_command_line_takes_every_fix(command):
    lines = {fix.line(COMMAND_LINE) for fix in fixes()} | {render(s, COMMAND_LINE) for s in remedied().values()}
    assert len(lines) > 15
    for line in lines:
        parsed(command, line).settings(command)


def calls(line):
    """Yield the calls in a line of Python."""
    for node in ast.parse(line).body:
        assert isinstance(node, ast.Expr)
        assert isinstance(node.value, ast.Call), line
        yield node.value


NAMES = {
    name: getattr(module, name)
    for module in (layers, losses, optimizers, penalties, schedules)
    for name in vars(module)
}


def bind(function, call, names):
    """Bind a call's keywords to the real signature, their values evaluated; "..." stands for what was there."""
    assert all(isinstance(argument, ast.Constant) and argument.value is ... for argument in call.args)
    values = {k.arg: eval(ast.unparse(k.value), {}, names) for k in call.keywords}
    inspect.signature(function).bind_partial(**values)
    return values


def test_fit_takes_every_fix():
    names = NAMES | {"X_val": np.zeros((2, 1)), "y_val": np.zeros(2)}
    lines = {render(fix.settings, FIT) for fix in fixes()} | {render(s, FIT) for s in remedied().values()}
    functions = {"fit": [chainrule.fit, doctor.examine], "mlp": [mlp]}
    assert len(lines) > 15
    for line in lines - {""}:
        for call in calls(line):
            for function in functions[call.func.id]:
                values = bind(function, call, names)
            if call.func.id == "mlp":
                mlp(3, **{"hidden": [4, 4], **values}, outputs=1)


def test_the_estimators_take_every_fix():
    lines = {render(fix.settings, ESTIMATOR) for fix in fixes()} | {render(s, ESTIMATOR) for s in remedied().values()}
    assert len(lines) > 15
    for line in lines - {""}:
        bare = not line.startswith("Net")
        (call,) = calls(f"Network({line})" if bare else line)
        kinds = [NetClassifier, NetRegressor] if bare else [getattr(chainrule, call.func.id)]
        kinds = kinds[:1] if "class_weight" in line or "label_smoothing" in line else kinds
        for kind in kinds:
            values = bind(kind, call, NAMES)
            values.pop("learning_rate_multipliers", None)
            settings = {name: value for name, value in values.items() if name in {f.name for f in fields(Settings)}}
            kind().set_params(**values)
            Settings(**settings).check("Settings")


def test_code_compiles_and_its_calls_bind():
    known = NAMES | {"Net": Net, "gradcheck": gradcheck, "Standardizer": Standardizer, "np": np}
    known |= {"fit": chainrule.fit, "len": len}
    given = {"X", "y", "X_val", "y_val", "X_train", "net", "loss"}
    codes = [fix.code for fix in fixes() if fix.code]
    assert len(codes) > 8
    for code in codes:
        tree = ast.parse(code)
        made = {n.id for n in ast.walk(tree) if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Store)}
        made |= {alias.name for n in ast.walk(tree) if isinstance(n, ast.ImportFrom) for alias in n.names}
        for node in ast.walk(tree):
            if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load):
                assert node.id in {*known, *given, *made}, code
            if isinstance(node, ast.Call) and getattr(node.func, "id", "") in known:
                names = [keyword.arg for keyword in node.keywords]
                signature = inspect.signature(known[node.func.id])
                shortened = [*map(ast.unparse, node.args)] == ["..."]
                (signature.bind_partial if shortened else signature.bind)(
                    *([] if shortened else node.args), **dict.fromkeys(names)
                )


def test_a_report_speaks_to_whoever_asked():
    fix = Fix("Lower it.", (Setting("learning_rate_init", 1e-3),))
    low = replace(findings()[0], fix=fix)
    said = {
        FIT: "Lower it.  fit(..., learning_rate=0.001)",
        ESTIMATOR: "Lower it.  learning_rate_init=0.001",
        COMMAND_LINE: "Lower it.  --lr 0.001",
    }
    for interface in INTERFACES:
        report = Report("ill", (low,), problem(), interface=interface)
        assert f"fix: {said[interface]}" in str(report)
        assert report.plain()["findings"][0]["fix"]["line"] == said[interface].split("  ")[1]


def test_no_card_advises_the_value_that_is_in_use():
    waited = replace(trace(problem(), list(np.linspace(0.69, 0.3, 60))), planned=200)
    held = tuple(replace(epoch, validation_loss=abs(epoch.number - 40) + 1.0) for epoch in waited.epochs)
    fix = stopping.stopped_too_early(problem(), replace(waited, epochs=held)).fix
    assert fix.line(COMMAND_LINE) == "--patience 41"
