"""Provide the execution of cards: each fix, as printed to each of the three callers, is run for real.

In: a `Training`. Out: for each card of the command line, of the estimators and of `fit`: whether its line is accepted, the
error on test rows before and after, and whether the same symptom is reported again.
"""

from __future__ import annotations

import ast
import shlex
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

import chainrule
from chainrule import NetClassifier, NetRegressor, examine, fit, mlp
from chainrule.arrays import Array
from chainrule.data import Standardizer
from chainrule.doctor.vocabulary.catalogue import SYMPTOMS, find_remedy
from chainrule.doctor.vocabulary.catalogue.records import Kind
from chainrule.doctor.vocabulary.records import Report
from chainrule.engines import Rows
from chainrule.nn import layers, losses, optimizers, penalties, schedules
from chainrule.pipeline.option_names import ESTIMATOR, FIT, render
from chainrule.train.problem import TrainingProblem
from doctor import noisy_commands as commands
from doctor.noisy_asking import kept, problem_of
from doctor.noisy_hosts import Training, estimator, judged, judged_subject, subject_of

MOST_CARDS = 3
"""Cards of a report that are executed: as many as the command line shows at once."""

EQUAL = 0.01
"""Share of a constant's error by which the result of a card may be worse and count as equal."""

LEAKS = ("target-copy",)
"""Symptoms whose card takes away what the test rows have too, and new rows have not."""

Card = dict[str, Any]


class NothingToType(Exception):
    """The card has words only, or a line that shows something and changes nothing."""


def cards(training: Training, sound: Training) -> dict[str, Any]:
    """Every card of one training, executed, for each caller that can have this training."""
    found: list[Card] = []
    for caller, way in CALLERS.items():
        try:
            found += [{"caller": caller, **card} for card in way(training)]
        except commands.NoOption:
            continue
    return {"cards": found}


def executed(
    training: Training, advice: tuple[str, str, str], before: Array, obey: Callable[[], tuple[Array, list[str]]]
) -> Card:
    """One card (symptom, text, printed line): obey it, and compare errors by row and the symptoms of the next report.

    What spoils only the evidence (no validation rows, leaks) has a fix that costs rows: it cannot make the network worse.
    Where the remedy counts every class the same, so does the comparison.
    """
    symptom, text, line = advice
    card: Card = {"symptom": symptom, "text": text, "line": line}
    if not line:
        return card | {"words": True}
    try:
        after, symptoms = obey()
    except NothingToType:
        return card | {"accepted": True, "shows": True}
    except Exception as error:
        return card | {"accepted": False, "why": f"{type(error).__name__}: {error}"[:300]}
    judged_by_error = SYMPTOMS[symptom].kind is not Kind.EVIDENCE and symptom not in LEAKS
    balances = any(find_remedy(remedy).reweights_classes for remedy in SYMPTOMS[symptom].remedies)
    weights = class_balance(training) if balances else np.ones(len(before))
    before, after = (weights * np.clip(errors, 0, 1e3) for errors in (before, after))
    lost = after - before
    noise = float(lost.std() / np.sqrt(len(lost)))
    return card | {
        "accepted": True,
        "before": float(before.mean()),
        "after": float(after.mean()),
        "worse": bool(judged_by_error and lost.mean() > max(EQUAL, 2 * noise)),
        "again": symptom in symptoms,
    }


def class_balance(training: Training) -> Array:
    """Weights of the test rows with which every class counts the same; their mean is 1."""
    if not training.classes:
        return np.ones(len(training.y_test))
    counts = np.bincount(training.y_test)
    return np.asarray(len(training.y_test) / ((counts > 0).sum() * counts[training.y_test]))


def warned(report: Report) -> list[Any]:
    """The findings that are printed as cards."""
    return [finding for finding in report.findings if finding.severity != "info"][:MOST_CARDS]


# The command line


def typed(training: Training) -> Iterator[Card]:
    """Cards of `chainrule doctor`: the options, added to the command."""
    with commands.source_of(training) as source:
        ill = [f for f in commands.examined(source)["findings"] if f["severity"] != "info"]
        before = commands.errors(source, training) if ill else np.zeros(1)

        def obey(words: list[str]) -> tuple[Array, list[str]]:
            after = commands.errors(source, training, words)
            findings = commands.examined(source, words)["findings"]
            return after, [f["symptom"] for f in findings if f["severity"] != "info"]

        for finding in ill[:MOST_CARDS]:
            line = finding["fix"]["line"]
            words = shlex.split(line)
            advice = (finding["symptom"], finding["fix"]["text"], line)
            yield executed(training, advice, before, lambda words=words: obey(words))


# Estimators


@dataclass(frozen=True, eq=False)
class Arrays:
    """The arrays that a caller has, as the names in printed code."""

    X: Array = field(repr=False)
    y: Array = field(repr=False)
    X_val: Array | None = field(repr=False)
    y_val: Array | None = field(repr=False)
    X_test: Array = field(repr=False)
    y_test: Array = field(repr=False)

    def after(self, code: str, names: Mapping[str, Any]) -> tuple[Arrays, dict[str, Any]]:
        """Return the arrays after a line of code, and all names; a line that makes a mask `kept` picks rows.

        What changes columns or their scale is done to all parts alike, as its text says that columns and not rows change.
        """
        space = self._run(code, names, self.X.copy())
        X, y = space["X"], space["y"]
        picks_rows = "kept" in space
        parts = {"X": X, "y": y, "X_val": space["X_val"], "y_val": space["y_val"]}
        if not picks_rows and len(X) == len(self.X) and (X.shape != self.X.shape or (X != self.X).any()):
            parts |= self._alike(code, names)
        if not picks_rows and len(y) == len(self.y) and (y != self.y).any():
            slope, offset = np.polyfit(self.y.astype(float).ravel(), y.astype(float).ravel(), 1)
            parts["y_test"] = slope * self.y_test + offset
        return replace(self, **parts), space

    def _run(self, code: str, names: Mapping[str, Any], X: Array) -> dict[str, Any]:
        held = (None if part is None else part.copy() for part in (self.X_val, self.y_val))
        given = {"X": X, "y": self.y.copy(), **dict(zip(("X_val", "y_val"), held, strict=True)), "np": np}
        space = {**names, **given, "X_train": self.X, "y_train": self.y}
        exec(code, space)
        return space

    def _alike(self, code: str, names: Mapping[str, Any]) -> dict[str, Array]:
        n, m = len(self.X), len(self.X_test)
        held = [] if self.X_val is None else [self.X_val]
        X = self._run(code, names, np.vstack([self.X, self.X_test, *held]))["X"]
        parts = {"X": X[:n], "X_test": X[n : n + m]}
        return parts if self.X_val is None else parts | {"X_val": X[n + m :]}

    def same(self, other: Arrays) -> bool:
        """Whether no array is changed."""
        pairs = [(getattr(self, name), getattr(other, name)) for name in ("X", "y", "X_val", "y_val")]
        return all(a is b or (a is not None and a.shape == b.shape and bool((a == b).all())) for a, b in pairs)


def of_estimator(training: Training) -> Iterator[Card]:
    """Cards of `examine` of an estimator: arguments, or code on the caller's arrays."""
    if training.beyond is not None:
        raise commands.NoOption("no setting makes this network")
    report = estimator(training).examine(**training.rows)
    ill = warned(report)
    before = judged(training, estimator(training).fit(**training.rows))[0] if ill else np.zeros(1)
    for finding in ill:
        line = finding.fix.line(ESTIMATOR)
        arguments = bool(render(finding.fix.settings, ESTIMATOR))

        def obey(line: str = line, arguments: bool = arguments) -> tuple[Array, list[str]]:
            changed = _with_arguments(training, line) if arguments else _with_code(training, line)
            after = judged(changed, estimator(changed).fit(**changed.rows))[0]
            return after, [
                f.symptom for f in estimator(changed).examine(**changed.rows).findings if f.severity != "info"
            ]

        yield executed(training, (finding.symptom, finding.fix.text, line), before, obey)


def _with_arguments(training: Training, line: str) -> Training:
    """The training with printed arguments, or with another estimator where one is printed; "..." is what was there."""
    call = ast.parse(line if line.startswith("Net") else f"same({line})", mode="eval").body
    assert isinstance(call, ast.Call)
    name = ast.unparse(call.func)
    kind = {"same": type(estimator(training)), "NetClassifier": NetClassifier, "NetRegressor": NetRegressor}[name]
    values = {word.arg: eval(ast.unparse(word.value), {}) for word in call.keywords}
    kind(**{**training.settings, **values})
    task = "classification" if kind is NetClassifier else "regression"
    return replace(training, task=task, settings={**training.settings, **values})


def _with_code(training: Training, line: str) -> Training:
    given = Arrays(training.X, training.y, training.X_val, training.y_val, training.X_test, training.y_test)
    changed, _ = given.after(line, {"net": estimator(training)})
    if changed.same(given):
        raise NothingToType(line)
    return replace(training, **vars(changed))


# Callers of `fit`


NAMES: Mapping[str, Any] = {
    name: getattr(module, name)
    for module in (layers, losses, optimizers, penalties, schedules)
    for name in vars(module)
} | {name: getattr(chainrule, name) for name in chainrule.__all__ if hasattr(chainrule, name)}
"""What a caller of `fit` has imported; the scaling too, which made the rows that `fit` is given."""


@dataclass(frozen=True, eq=False)
class FitCall:
    """A call of `fit` or `examine`: the network, as `mlp` was called where it was, the arrays, the keywords."""

    net: Any
    network: Mapping[str, Any]
    arrays: Arrays
    keywords: Mapping[str, Any]

    def arguments(self) -> tuple[tuple[Any, ...], dict[str, Any]]:
        """Positional and keyword arguments."""
        held = self.arrays.X_val
        validation = {} if held is None else {"validation": (held, self.arrays.y_val)}
        return (self.net, self.arrays.X, self.arrays.y), {**self.keywords, **validation}

    def obeying(self, line: str) -> FitCall:
        """The call after a printed line: calls of `mlp` and `fit` with "..." for what was there, or code."""
        changed, code = self, []
        for statement in ast.parse(line).body:
            call = statement.value if isinstance(statement, ast.Expr) else None
            name = ast.unparse(call.func) if isinstance(call, ast.Call) else ""
            if isinstance(call, ast.Call) and name in ("mlp", "fit") and ast.unparse(call.args[0]) == "...":
                space = {**NAMES, **vars(self.arrays), "np": np}
                values = {word.arg: eval(ast.unparse(word.value), dict(space)) for word in call.keywords}
                changed = changed._called(name, values)
            else:
                code.append(ast.unparse(statement))
        return changed._coded("\n".join(code)) if code else changed

    def _called(self, name: str, values: dict[str, Any]) -> FitCall:
        if name == "mlp":
            network = {**self.network, **values}
            return replace(self, net=mlp(**network), network=network)
        held = values.pop("validation", None)
        arrays = self.arrays if held is None else replace(self.arrays, X_val=held[0], y_val=held[1])
        return replace(self, keywords={**self.keywords, **values}, arrays=arrays)

    def _coded(self, code: str) -> FitCall:
        names = {**NAMES, "Standardizer": Standardizer, "net": self.net, "loss": self.keywords["loss"]}
        arrays, space = self.arrays.after(code, names)
        net = space["net"]
        if arrays.same(self.arrays) and net is self.net:
            raise NothingToType(code)
        if arrays.X.shape[1] != self.arrays.X.shape[1]:
            net = mlp(**{**self.network, "inputs": arrays.X.shape[1]})
        return replace(self, arrays=arrays, net=net)


def of_fit(training: Training) -> Iterator[Card]:
    """Cards of `examine`: calls of `mlp` and `fit`, or code on the caller's scaled arrays."""
    problem = replace(problem_of(training), config=kept(training).config)
    call = fit_call(training, problem)
    positional, keywords = call.arguments()
    ill = warned(examine(*positional, **keywords))
    before = _judged_call(training, problem, call) if ill else np.zeros(1)
    for finding in ill:
        line = finding.fix.line(FIT)

        def obey(line: str = line) -> tuple[Array, list[str]]:
            changed = call.obeying(line)
            after = _judged_call(training, problem, changed)
            positional, keywords = changed.arguments()
            return after, [f.symptom for f in examine(*positional, **keywords).findings if f.severity != "info"]

        yield executed(training, (finding.symptom, finding.fix.text, line), before, obey)


def fit_call(training: Training, problem: TrainingProblem) -> FitCall:
    """The call of a user who scales rows, builds the network with `mlp` and trains it with `fit`."""
    recipe, config, held = problem.recipe, problem.config, problem.validation
    test = subject_of(training, problem).test
    X_val, y_val = (None, None) if held is None else (held.X, _flat(held.Y))
    arrays = Arrays(problem.rows.X, _flat(problem.rows.Y), X_val, y_val, test.X, _flat(test.Y))
    settings = training.settings
    norm = "batch" if settings.get("batch_norm") else None
    network = {"inputs": recipe.net.inputs, "hidden": settings.get("hidden_layer_sizes", (100,)), "norm": norm}
    network |= {"outputs": recipe.net.outputs, "activation": settings.get("activation", "relu")}
    network |= {"dropout": settings.get("dropout", 0.0)}
    keywords = {name: getattr(recipe, name) for name in ("loss", "optimizer", "penalty", "clip", "batch_size", "seed")}
    keywords |= {name: getattr(config, name) for name in ("learning_rate", "epochs", "schedule")}
    keywords |= {"learning_rate_multipliers": dict(recipe.learning_rate_multipliers), "engine": problem.engine}
    return FitCall(recipe.net, network, arrays, keywords)


def _flat(Y: Array) -> Array:
    """Targets (n) where there is one, as a user has them."""
    return Y[:, 0] if Y.ndim == 2 and Y.shape[1] == 1 else Y


def _judged_call(training: Training, problem: TrainingProblem, call: FitCall) -> Array:
    """Errors by test row of the network that `fit` gives."""
    positional, keywords = call.arguments()
    state = None
    for epoch in fit(*positional, **keywords):
        if not epoch.finite:
            break
        state = epoch.state()
    loss, optimizer = keywords["loss"], keywords["optimizer"]
    recipe = replace(problem.recipe, net=call.net, loss=loss, optimizer=optimizer)
    test = Rows.of(recipe, call.arrays.X_test, call.arrays.y_test)
    subject = replace(subject_of(training, problem), recipe=recipe, test=test)
    return judged_subject(subject, recipe.start() if state is None else state)[0]


CALLERS: Mapping[str, Callable[[Training], Iterator[Card]]] = {
    "command line": typed,
    "estimator": of_estimator,
    "fit": of_fit,
}
"""Who is shown cards."""
