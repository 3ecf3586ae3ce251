"""Why: a benchmark whose faults are no faults, or whose rivals are misquoted, flatters whoever wrote it.

In: healthy hosts and recorded trainings, changed in one way. Out: what each fault changed, what each detector says.
"""

import json
import math
from dataclasses import replace

import doctor_bench  # noqa: F401  (it loads the package `doctor`)
import numpy as np
import pytest

from chainrule.nn.initializers import Constant
from chainrule.nn.layers import Activation, BatchNorm, Context, Dense, Dropout
from chainrule.nn.losses import BinaryCrossEntropy, MeanSquaredError, SoftmaxCrossEntropy
from chainrule.nn.net import Net
from chainrule.nn.schedules import ConstantSchedule

pytest.importorskip("sklearn", reason="the digits come from scikit-learn")
pytest.importorskip("scipy", reason="the kill test is SciPy's")

from doctor import hosts, kill, pairs, pieces, tables, work
from doctor.detectors import DETECTORS
from doctor.fault import EVIDENCE, Impossible, Prevented
from doctor.faults import FAULTS, OPERATORS, cases, composed
from doctor.hosts import HOSTS, Subject
from doctor.trace import marks, record
from doctor.variants import VARIANTS

SYMPTOMS = pytest.importorskip("chainrule.doctor.vocabulary.catalogue").SYMPTOMS


@pytest.fixture(scope="module")
def healthy():
    return {name: hosts.make(name, 0) for name in HOSTS}


def broken(healthy, fault, level, host):
    subject = FAULTS[fault].inject(healthy[host], level)
    assert isinstance(subject, Subject), subject
    return subject


# Faults


def test_all_faults_are_there_and_every_diagnosis_is_a_symptom():
    assert list(FAULTS) == [f"F{i}" for i in range(1, 49)]
    assert {slug for fault in FAULTS.values() for slug in fault.accepted} <= set(SYMPTOMS)
    assert all(fault.preferred in fault.accepted for fault in FAULTS.values())


def test_every_case_is_a_network_or_says_why_not_and_leaves_the_clean_labels(healthy):
    prevented = set()
    for fault, level, host in cases():
        outcome = OPERATORS[fault].inject(healthy[host], level)
        if isinstance(outcome, Prevented):
            prevented.add((fault, level))
            assert outcome.message
        elif isinstance(outcome, Impossible):
            assert outcome.reason
        else:
            assert outcome.labels is healthy[host].labels
            assert len(outcome.test) == len(healthy[host].test)
    assert prevented == {
        ("F11", "nan"),
        ("F11", "inf"),
        ("F14", "rate"),
        ("F16", "1"),
        ("F23", "loss"),
        ("F27", "flat"),
        ("F32", "1"),
        ("F35", "momentum 1"),
    }


def test_every_operator_but_the_prevented_one_finds_a_host(healthy):
    found = {name for name, level, host in cases() if isinstance(OPERATORS[name].inject(healthy[host], level), Subject)}
    assert set(OPERATORS) - found == {"F27"}


def test_a_fault_is_a_function_of_host_seed_and_level(healthy):
    for fault in ("F1", "F3", "F6", "F8"):
        level = FAULTS[fault].levels[0][0]
        first, second = (FAULTS[fault].inject(healthy["H3"], level) for _ in range(2))
        assert (first.rows.X == second.rows.X).all()
        assert (first.rows.Y == second.rows.Y).all()


def layers(subject, kind):
    return [layer for layer in subject.recipe.net.layers if isinstance(layer, kind)]


def same(a, b):
    return a.X.shape == b.X.shape and bool((a.X == b.X).all() and (a.Y == b.Y).all())


def changed_labels(a, b):
    return float((a.rows.Y != b.rows.Y).mean())


# What each fault says of itself, as a property of the healthy subject h and the broken one b.
PROPERTIES = {
    ("F1", "20 % of all", "H3"): lambda h, b: 0.15 < changed_labels(h, b) < 0.25 and same(h.test, b.test),
    ("F1", "60 % of one class", "H2"): lambda h, b: 0.1 < changed_labels(h, b) < 0.3,
    ("F2", "200 %", "H4"): lambda h, b: 1.8 < (b.rows.Y - h.rows.Y).std() < 2.2,
    ("F3", "all", "H3"): lambda h, b: (
        (h.rows.Y == b.rows.Y).all() and not same(h.rows, b.rows) and np.isclose(h.rows.X.sum(), b.rows.X.sum(), atol=1)
    ),
    ("F3", "half", "H2"): lambda h, b: (h.rows.X[300:] == b.rows.X[300:]).all() and (h.rows.X[1] != b.rows.X[1]).any(),
    ("F4", "97 %", "H2"): lambda h, b: len(b.rows) == 18 and same(h.test, b.test),
    ("F5", "keep 2 %", "H1"): lambda h, b: b.rows.Y.mean() < 0.05 and 0.45 < h.rows.Y.mean() < 0.55,
    ("F6", "300 %", "H2"): lambda h, b: (b.rows.X - h.rows.X).std() > 1 and same(h.test, b.test),
    ("F7", "75 %", "H2"): lambda h, b: len(b.rows) > 740 and len(np.unique(b.rows.X, axis=0)) == len(h.rows),
    ("F8", "x100", "H1"): lambda h, b: np.allclose(b.test.X, 100 * h.test.X, rtol=1e-5),
    ("F8", "bytes", "H2"): lambda h, b: np.isclose(b.rows.X.min(), 0, atol=1e-4) and np.isclose(b.rows.X.max(), 255),
    ("F8", "units", "H4"): lambda h, b: np.ptp(np.log10(b.rows.X.std(axis=0))) > 1,
    ("F9", "/255", "H2"): lambda h, b: b.rows.X.min() >= 0 and np.isclose(b.rows.X.max(), 1 / 255),
    ("F10", "x1000 + mean", "H4"): lambda h, b: np.allclose(b.rows.Y, 1000 * (h.rows.Y + 2), rtol=1e-5),
    ("F11", "constant", "H4"): lambda h, b: (b.rows.X.std(axis=0) == 0).sum() == 4,
    ("F12", "x30", "H2"): lambda h, b: np.isclose(b.config.learning_rate, 30 * h.config.learning_rate),
    ("F13", "/100", "H2"): lambda h, b: np.isclose(b.config.learning_rate, h.config.learning_rate / 100),
    ("F14", "sign", "H2"): lambda h, b: isinstance(b.recipe.optimizer, pieces.Uphill),
    ("F15", "/10", "H2"): lambda h, b: b.config.epochs == h.config.epochs // 10,
    ("F16", "all", "H2"): lambda h, b: b.recipe.batch_size == len(h.rows),
    ("F17", "descent 0.01", "H3"): lambda h, b: type(b.recipe.optimizer).__name__ == "SGD",
    ("F18", "0.1", "H3"): lambda h, b: b.recipe.optimizer.epsilon == 0.1,
    ("F19", "norm 0.001", "H1"): lambda h, b: h.recipe.clip is None and b.recipe.clip.limit == 1e-3,
    ("F20", "softmax", "H3"): lambda h, b: len(layers(b, pieces.SoftmaxLayer)) == len(layers(h, Activation)),
    ("F20", "exp", "H3"): lambda h, b: {a.function for a in layers(b, Activation)} == {"exp"},
    ("F21", "all", "H3"): lambda h, b: not layers(b, Activation) and len(layers(b, Dense)) == 3,
    ("F21", "first", "H3"): lambda h, b: len(layers(b, Activation)) == 1,
    ("F22", "relu", "H3"): lambda h, b: isinstance(b.recipe.net.layers[-1], Activation),
    ("F22", "link relu", "H4"): lambda h, b: b.recipe.loss.link == "relu",
    ("F23", "layer", "H1"): lambda h, b: isinstance(b.recipe.net.layers[-1], pieces.SoftmaxLayer),
    ("F24", "missing", "H2"): lambda h, b: isinstance(b.recipe.loss, pieces.RawProbabilities),
    ("F24", "twice", "H1"): lambda h, b: b.recipe.net.layers[-1] == Activation("sigmoid"),
    ("F25", "squared", "H2"): lambda h, b: (
        isinstance(b.recipe.loss, MeanSquaredError) and (b.rows.Y.argmax(axis=1) == h.rows.Y).all()
    ),
    ("F26", "sum", "H2"): lambda h, b: isinstance(b.recipe.loss, pieces.SummedSoftmax),
    ("F28", "0.01", "H2"): lambda h, b: {a.initializer for a in layers(b, Dense)} == {Constant(0.01)},
    ("F29", "He x 5", "H3"): lambda h, b: 4 < np.std(b.recipe.start().w[:4096]) / np.std(h.recipe.start().w[:4096]) < 6,
    ("F30", "none", "H2"): lambda h, b: b.recipe.net.size == h.recipe.net.size - 35,
    ("F31", "l2 0.3", "H2"): lambda h, b: b.recipe.penalty.l2 == 0.3,
    ("F32", "0.8 and inputs", "H3"): lambda h, b: [a.rate for a in layers(b, Dropout)] == [0.8] * 3,
    ("F33", "0.5", "H3"): lambda h, b: len(layers(b, pieces.StuckDropout)) == 2,
    ("F34", "none", "H5"): lambda h, b: layers(h, BatchNorm) and not layers(b, BatchNorm),
    ("F35", "never", "H5"): lambda h, b: len(layers(b, pieces.StaleBatchNorm)) == 12,
    ("F36", "2", "H3"): lambda h, b: b.recipe.batch_size == 2 and len(layers(b, BatchNorm)) == 2,
    ("F37", "decay", "H1"): lambda h, b: b.config.schedule.factor(6, 60) < 0.003 < h.config.schedule.factor(6, 60),
    ("F37", "patience 1", "H1"): lambda h, b: b.config.epochs < h.config.epochs,
    ("F38", "none", "H1"): lambda h, b: b.validation is None,
    ("F39", "100 %", "H4"): lambda h, b: {*map(bytes, b.validation.X)} <= {*map(bytes, h.rows.X)},
    ("F40", "both", "H4"): lambda h, b: (
        abs(np.concatenate([b.rows.X, b.validation.X]).mean(axis=0)).max() < 1e-6 < abs(b.rows.X.mean(axis=0)).max()
    ),
    ("F41", "12", "H1"): lambda h, b: [a.function for a in layers(b, Activation)] == ["sigmoid"] * 12,
    ("F42", "9", "H1"): lambda h, b: [a.function for a in layers(b, Activation)] == ["exp"] * 9,
    ("F43", "9", "H2"): lambda h, b: abs(b.recipe.start().w).max() <= 0.05 and len(layers(b, Activation)) == 9,
    ("F44", "16", "H2"): lambda h, b: [a.units for a in layers(b, Dense)] == [5] * 16 + [3],
    ("F45", "0.01", "H2"): lambda h, b: b.recipe.batch_size == 1,
    ("F46", "first", "H2"): lambda h, b: (b.recipe.multipliers[:96] == 0).all() and b.recipe.multipliers[96:].all(),
    ("F46", "cut", "H2"): lambda h, b: len(layers(b, pieces.CutDense)) == 1,
    ("F47", "slope", "H1"): lambda h, b: len(layers(b, pieces.SlopelessActivation)) == 1,
    ("F48", "rows", "H2"): lambda h, b: isinstance(b.recipe.loss, pieces.WrongAxisSoftmax),
}


@pytest.mark.parametrize(("fault", "level", "host"), PROPERTIES, ids=" ".join)
def test_a_fault_changes_what_it_says(healthy, fault, level, host):
    assert PROPERTIES[fault, level, host](healthy[host], broken(healthy, fault, level, host))


def test_all_faults_that_exist_have_a_property():
    assert {fault for fault, _, _ in PROPERTIES} == set(FAULTS) - {"F27"}


def test_every_variant_differs_from_its_host(healthy):
    for name, variant in VARIANTS.items():
        for host, subject in healthy.items():
            other = variant.inject(subject, variant.text)
            if isinstance(other, Subject):
                settings = ((s.recipe, s.config) for s in (subject, other))
                assert len({repr(pair) for pair in settings}) == 2 or not same(subject.rows, other.rows), (name, host)


# Broken pieces are broken in one way only


def numeric(function, Z, h=1e-6):
    """Central differences of Σ function(Z)."""
    g = np.zeros_like(Z)
    for i in np.ndindex(Z.shape):
        step = np.zeros_like(Z)
        step[i] = h
        g[i] = (function(Z + step).sum() - function(Z - step).sum()) / (2 * h)
    return g


@pytest.mark.parametrize(
    ("loss", "Y"),
    [
        (pieces.RawProbabilities(), np.array([0, 2, 1])),
        (pieces.RawBinary(), np.array([[1.0, 0.0, 1.0]] * 3)),
        (pieces.SummedSoftmax(), np.array([0, 2, 1])),
        (pieces.SummedLoss(BinaryCrossEntropy()), np.array([[1.0, 0.0, 1.0]] * 3)),
    ],
    ids=lambda value: type(value).__name__,
)
def test_gradients_of_wrong_losses_are_right(rng, loss, Y):
    Z = rng.uniform(0.1, 0.9, (3, 3))
    np.testing.assert_allclose(loss.gradient(np, Z, Y), numeric(lambda A: loss.rows(np, A, Y), Z), rtol=1e-6)


def test_summed_losses_grow_with_the_batch(rng):
    Z, Y = rng.normal(size=(4, 3)), np.array([0, 1, 2, 0])
    np.testing.assert_allclose(
        pieces.SummedSoftmax().rows(np, Z, Y), 4 * SoftmaxCrossEntropy().rows(np, Z, Y), rtol=1e-12
    )


def test_the_softmax_layer_passes_the_whole_jacobian(rng):
    layer, Z, dA = pieces.SoftmaxLayer(), rng.normal(size=(2, 4)), rng.normal(size=(2, 4))
    _, saved, _ = layer.forward({}, {}, Z, Context(np))
    expected = numeric(lambda A: dA * layer.forward({}, {}, A, Context(np))[0], Z)
    np.testing.assert_allclose(layer.backward({}, saved, dA, Context(np))[0], expected, rtol=1e-6, atol=1e-9)


@pytest.mark.parametrize(
    "layers",
    [
        [Dense(3), pieces.SlopelessActivation("tanh"), Dense(1)],
        [pieces.UntransposedDense(3), Activation("tanh"), pieces.UntransposedDense(3), Dense(1)],
        [Dense(3), Activation("tanh"), pieces.CutDense(1)],
    ],
    ids=["slope", "transpose", "cut"],
)
def test_wrong_backward_terms_are_wrong(rng, layers):
    net = Net(3, layers)
    w, buffers = net.init(0)
    X = rng.normal(size=(5, 3))
    ctx = Context(np, training=True)
    Z, tape, _ = net.forward(w, buffers, X, ctx)
    g = net.backward(w, tape, np.ones_like(Z), ctx)[1]
    wrong = abs(g - numeric(lambda v: net(v, buffers, X), w)) > 1e-4
    assert wrong.any()
    assert not wrong[-4:].any()


def test_stuck_dropout_drops_in_inference_and_stale_norm_keeps_its_statistics():
    A = np.ones((6, 5))
    assert (pieces.StuckDropout(0.5).forward({}, {}, A, Context(np))[0] == 0).any()
    p, b = BatchNorm().init(None, 5)
    after = pieces.StaleBatchNorm().forward(p, b, A * 7, Context(np, training=True))[2]
    assert (after["mean"] == 0).all()
    assert (after["variance"] == 1).all()


# The kill test


def test_cohens_d_by_hand():
    # means 3 and 1, variances 1 and 1: d = 2
    assert kill.cohens_d([2, 3, 4], [0, 1, 2]) == 2.0
    assert kill.cohens_d([1, 1], [1, 1]) == 0.0
    assert kill.cohens_d([1, 1], [0, 0]) == math.inf


def test_only_a_clear_harm_kills():
    twins = [0.95, 0.96, 0.94, 0.95, 0.97]
    assert kill.compare(twins, [0.80, 0.85, 0.82, 0.83, 0.79]).severe
    assert not kill.compare(twins, [0.95, 0.94, 0.97, 0.96, 0.95]).killed
    assert not kill.compare(twins, [0.99, 0.99, 0.98, 0.99, 0.99]).killed
    assert kill.compare([1.0, 1.0], [0.5, 0.5]).killed
    assert not kill.compare([1.0, 1.0], [1.0, 1.0]).killed


@pytest.mark.parametrize(
    ("hits", "n", "low", "high"), [(8, 10, 0.4902, 0.9433), (0, 20, 0.0, 0.1611), (50, 100, 0.4038, 0.5962)]
)
def test_wilson_intervals_of_the_literature(hits, n, low, high):
    assert kill.wilson(hits, n) == pytest.approx((low, high), abs=1e-4)


# Detectors


@pytest.fixture(scope="module")
def traces(healthy):
    def short(name, epochs):
        subject = healthy[name]
        return record(replace(subject, config=replace(subject.config, epochs=epochs)))

    return {"H1": short("H1", 12), "H2": short("H2", 12), "H4": short("H4", 2)}


def turns(trace, **columns):
    """The trace with columns of its epochs replaced by numbers or by functions of the epoch's number."""
    replaced = [
        replace(turn, **{k: v(turn.number) if callable(v) else v for k, v in columns.items()}) for turn in trace.turns
    ]
    return replace(trace, turns=tuple(replaced))


def checks(trace, change):
    return replace(trace, checks=tuple(change(check) for check in trace.checks))


def scaled_gradients(trace, factors):
    """The trace with the gradient of each parameter times a factor by layer."""

    def change(check):
        views = {n: a * factors.get(int(n.split(".")[0]), 1.0) for n, a in trace.net.parameters.views(check.g).items()}
        return replace(check, g=trace.net.parameters.pack(np, views, check.g))

    return checks(trace, change)


def dead(trace):
    return checks(trace, lambda c: replace(c, outputs=tuple(A * 0.0 for A in c.outputs[:-1]) + c.outputs[-1:]))


def standing(trace):
    first = trace.checks[0]
    return checks(trace, lambda c: replace(c, w=first.w, w_before=first.w))


def bad(trace):
    return turns(trace, train_accuracy=0.5, validation_accuracy=0.5)


def with_X(trace, X):
    return replace(trace, X=X)


def inputs_in_range(trace):
    return with_X(trace, np.clip(trace.X, -1, 1))


POSITIVE = [
    ("AutoTrainer", "slow convergence", "H1", bad),
    ("AutoTrainer", "vanishing gradient", "H1", lambda t: scaled_gradients(bad(t), {0: 1e-9})),
    ("AutoTrainer", "exploding gradient", "H1", lambda t: scaled_gradients(bad(t), {0: 1e9})),
    ("AutoTrainer", "dying relu", "H1", lambda t: scaled_gradients(bad(t), {0: 0.0, 2: 0.0, 4: 0.0})),
    (
        "AutoTrainer",
        "oscillating loss",
        "H1",
        lambda t: turns(t, train_accuracy=lambda i: 0.9 - 0.1 * (i % 2)),
    ),
    (
        "AutoTrainer",
        "abnormal data",
        "H1",
        lambda t: checks(t, lambda c: replace(c, outputs=tuple(100 + A for A in c.outputs))),
    ),
    ("DeepDiagnosis", "numerical error in forward", "H1", dead),
    ("DeepDiagnosis", "unchanged weights", "H1", standing),
    ("DeepDiagnosis", "loss not decreasing", "H1", lambda t: turns(t, train_loss=0.7)),
    (
        "DeepDiagnosis",
        "dead node",
        "H1",
        lambda t: checks(
            t,
            lambda c: replace(
                c, outputs=tuple(np.where(np.arange(A.size).reshape(A.shape) % 10, 0, A) for A in c.outputs)
            ),
        ),
    ),
    ("DeepDiagnosis", "vanishing gradient", "H1", lambda t: scaled_gradients(t, {0: 1e-9})),
    ("DeepLocalize", "numerical error in forward 0", "H1", dead),
    ("DeepLocalize", "unchanged weights 0", "H1", standing),
    ("UMLAUT", "input not normalized", "H1", lambda t: with_X(t, t.X * 10)),
    ("UMLAUT", "learning rate high", "H1", lambda t: turns(t, rate=0.1)),
    ("UMLAUT", "validation accuracy too high", "H1", lambda t: turns(t, validation_accuracy=0.99)),
    ("UMLAUT", "possible overfitting", "H1", lambda t: turns(t, validation_loss=float, train_loss=lambda i: 1 / i)),
    ("SageMaker", "dead relu", "H1", dead),
    ("SageMaker", "vanishing gradient", "H1", lambda t: scaled_gradients(t, {0: 1e-9})),
    ("SageMaker", "unchanged tensor", "H1", standing),
    ("SageMaker", "loss not decreasing", "H1", lambda t: turns(t, train_loss=float)),
    ("SageMaker", "overfit", "H1", lambda t: turns(t, train_loss=0.1, validation_loss=0.2)),
    ("SageMaker", "class imbalance", "H1", lambda t: replace(t, Y=t.Y * (np.arange(len(t.Y)) < 20)[:, None])),
    ("TheDeepChecker", "constant feature", "H1", lambda t: with_X(t, t.X * [[1, 0]])),
    ("TheDeepChecker", "features not normalized", "H1", lambda t: with_X(t, t.X * 10)),
    ("TheDeepChecker", "untrained layer", "H1", standing),
    ("TheDeepChecker", "dead neurons", "H1", dead),
    ("TheDeepChecker", "vanishing gradient", "H1", lambda t: scaled_gradients(t, {0: 1e-9})),
    ("TheDeepChecker", "exploding gradient", "H1", lambda t: scaled_gradients(t, {0: 1e12})),
    ("TheDeepChecker", "diverging loss", "H1", lambda t: turns(t, train_loss=lambda i: 4.0**i)),
    ("TheDeepChecker", "targets not normalized", "H4", lambda t: replace(t, Y=t.Y * 100)),
]


@pytest.mark.parametrize(("tool", "message", "host", "change"), POSITIVE, ids=[f"{p[0]}: {p[1]}" for p in POSITIVE])
def test_a_detector_says_it_of_the_changed_trace_and_not_of_the_healthy_one(traces, tool, message, host, change):
    said = [d.message for d in DETECTORS[tool].detect(change(traces[host]))]
    assert message in said
    quiet = inputs_in_range(traces[host]) if "input" in message else traces[host]
    assert message not in [d.message for d in DETECTORS[tool].detect(quiet)]


def test_every_detector_has_a_positive_case_and_speaks_in_symptoms(traces):
    assert {tool for tool, *_ in POSITIVE} == set(DETECTORS)
    for tool, _, host, change in POSITIVE:
        for diagnosis in DETECTORS[tool].detect(change(traces[host])):
            assert diagnosis.slugs <= set(SYMPTOMS)
            assert diagnosis.slugs


def test_the_gate_of_accuracy_keeps_autotrainer_quiet(traces):
    assert not DETECTORS["AutoTrainer"].detect(scaled_gradients(traces["H1"], {0: 1e-9}))
    assert not DETECTORS["AutoTrainer"].supports(traces["H4"].subject)


def test_a_trace_is_the_training_that_the_loop_does(healthy, traces):
    subject = traces["H2"].subject
    state, epochs = hosts.trained(subject)
    assert epochs == len(traces["H2"].turns) == 12
    assert (state.w == traces["H2"].final.w).all()
    assert traces["H2"].checks[-1].step == int(state.step)
    assert subject.config.schedule == ConstantSchedule()


def test_marks_hold_single_steps_and_all_ends():
    assert marks(100, 6) == sorted({*range(1, 51), *range(10, 501, 10), *range(100, 601, 100)})
    assert marks(3, 2) == [1, 2, 3, 4, 5, 6]


# Pairs


def test_a_pair_is_both_faults_one_after_the_other(healthy):
    pair = composed("F12+F20")
    high, activation = FAULTS["F12"].levels[0][0], FAULTS["F20"].levels[0][0]
    both = pair.inject(healthy["H1"], f"{high}+{activation}")
    assert both.config.learning_rate == broken(healthy, "F12", high, "H1").config.learning_rate
    assert both.recipe.net == broken(healthy, "F20", activation, "H1").recipe.net
    assert pair.accepted == FAULTS["F12"].accepted | FAULTS["F20"].accepted
    assert isinstance(composed("F11+F12").inject(healthy["H1"], f"nan+{high}"), Prevented)
    assert isinstance(composed("F21+F47").inject(healthy["H1"], "all+slope"), Impossible)


def test_pairs_are_drawn_from_what_hurts_alone_and_has_names_of_its_own():
    scores = {}
    for seed in range(4):
        ill = [("F4", "97 %"), ("F12", "x30"), ("F13", "/100"), ("F20", "exp"), ("F29", "He x 5")]
        for case in [("twin", "", 0.95), *((*each, 0.3) for each in ill), ("F30", "none", 0.95)]:
            scores[work.key(*case[:2], "H1", seed)] = {"score": case[2] + 0.01 * (seed % 2)}
    found = pairs.drawn(scores, range(4), ["H1"], 9)
    assert found == [("F13+F20", "/100+exp", "H1"), ("F13+F29", "/100+He x 5", "H1")]
    assert pairs.drawn(scores, range(4), ["H1"], 1) in ([found[0]], [found[1]])
    assert pairs.drawn(scores, range(4), ["H2"], 3) == []


def test_faults_that_undo_one_another_are_no_pair():
    scores = {}
    for seed in range(4):
        for fault, level in (("twin", ""), ("F13", "/100"), ("F20", "exp"), ("F21", "all")):
            scores[work.key(fault, level, "H1", seed)] = {"score": 0.95 * (fault == "twin") + 0.01 * (seed % 2)}
    assert not FAULTS["F20"].accepted & FAULTS["F21"].accepted
    found = pairs.drawn(scores, range(4), ["H1"], 9)  # where all activations go, it is the same which they were
    assert {fault for fault, _, _ in found} == {"F13+F20", "F13+F21"}


def test_both_names_of_a_pair_are_counted_and_folded_ones_apart():
    results = synthetic()
    names = [work.key("F12+F29", "x30+He x 5", "H1", seed) for seed in range(4)]
    for i, name in enumerate(names):
        results["scores"][name] = {"score": 0.3 + 0.01 * (i % 2)}
        told = [
            {
                "symptom": "learning-rate-too-high",
                "severity": "critical",
                "seen": [],
                "explains": ["init-scale"] * (i == 1),
            },
            {"symptom": "init-scale", "severity": "warning" if i == 0 else "info", "seen": [], "explains": []},
        ]
        results["doctor"][name] = {"verdict": "healthy" if i == 3 else "ill", "findings": told}
    figures = pairs.figures(names, results, range(4))
    assert [figures["doctor"][each]["hits"] for each in pairs.FIGURES] == [3, 3, 1, 2]
    assert figures["UMLAUT"]["detected"]["n"] == 0
    summary = {**tables.summarize(list(synthetic()["scores"]), synthetic(), range(4)), "pairs": figures}
    assert "| doctor | 4 | 75 % (30-95) |" in tables.markdown(summary)


def test_hosts_learn(healthy):
    for name, least in {"H1": 0.9, "H2": 0.9}.items():
        assert hosts.score(healthy[name], hosts.trained(healthy[name])[0]) > least


# Tables


def synthetic():
    """Two seeds of one host: a fault that hurts, one that does not, and what doctor and UMLAUT say of them."""
    scores, doctor, references = {}, {}, {}
    ill = {
        "symptom": "learning-rate-too-high",
        "severity": "critical",
        "confirmed": True,
        "seen": [3],
        "change": "rate/10",
    }
    ill |= {"measured": "loss 9", "explains": []}
    for seed in range(4):
        networks = (("twin", "", 0.95), ("F12", "5", 0.3), ("F30", "none", 0.95), ("V1", "rate / 2", 0.95))
        for fault, level, value in networks:
            name = work.key(fault, level, "H1", seed)
            scores[name] = {"score": value + 0.01 * (seed % 2)}
            sick = fault == "F12" or (fault == "F30" and seed == 0)
            doctor[name] = {"verdict": "ill" if sick else "healthy", "findings": [ill] if sick else []}
            doctor[name] |= {"seconds": 1.0, "overhead": 0.1}
            references[name] = {"UMLAUT": [["input not normalized", ["unnormalized-inputs"], 1]]}
    repairs = {
        work.key("F12", "5", "H1", 0): {"before": 0.3, "after": 0.9, "random": 0.1, "first": 0.5, "random first": 0.3}
    }
    return {"scores": scores, "doctor": doctor, "references": references, "repairs": repairs}


def test_a_summary_counts_what_it_should():
    results = synthetic()
    summary = tables.summarize(list(results["scores"]), results, range(4))
    assert summary["networks"] == {"twin": 4, "faulty": 4, "equivalent": 4, "variant": 4}
    doctor, umlaut = summary["tools"]["doctor"], summary["tools"]["UMLAUT"]
    assert [doctor[k]["share"] for k in ("detected", "first named", "false alarms, twin")] == [1.0, 1.0, 0.0]
    assert doctor["false alarms, equivalent"]["hits"] == 1
    assert doctor["of these the change named"] == {"hits": 0, "n": 1, "share": 0.0} | {
        end: pytest.approx(value, abs=1e-3) for end, value in (("low", 0.0), ("high", 0.793))
    }
    assert summary["infos a run"] == 0
    assert umlaut["detected"]["share"] == umlaut["false alarms, twin"]["share"] == 1.0
    assert umlaut["first named"]["share"] == 0.0
    assert summary["tools"]["SageMaker"]["detected"]["n"] == 0
    assert [row["repaired"]["hits"] for row in summary["repairs"].values()] == [1, 0, 0, 0]
    assert [row["harmed"]["hits"] for row in summary["repairs"].values()] == [0, 1, 0, 0]
    assert summary["confusion"] == {"F12": {"learning-rate-too-high": 4}}
    assert "100 % (51-100)" in tables.markdown(summary)
    page = "a " + tables.BEGIN + " b " + tables.END + " c"
    assert tables.replaced(page, "T") == f"a {tables.BEGIN}\n\nT\n\n{tables.END} c"
    told = tables.failures(list(results["scores"]), results, range(4), {**summary, "seeds": [0]})
    assert "FALSE ALARM on equivalent mutants: 1" in told


def test_faults_of_rows_are_told_apart_and_hosts_too():
    results = synthetic()
    for seed in range(4):
        name = work.key("F4", "97 %", "H1", seed)
        results["scores"][name] = {"score": 0.3 + 0.01 * (seed % 2)}
        results["doctor"][name] = {"verdict": "healthy", "findings": []}
    summary = tables.summarize(list(results["scores"]), results, range(4))
    detected = {which: summary[which]["doctor"]["detected"] for which in tables.TITLES if which != "hosts"}
    assert [(of["hits"], of["n"]) for of in detected.values()] == [(4, 8), (4, 8), (4, 4)]
    assert {host: figures["detected"]["n"] for host, figures in summary["hosts"].items()} == {"two rings": 8}
    assert "| two rings | 8 | 50 %" in tables.markdown(summary)


def test_infos_do_not_count_as_names():
    results = synthetic()
    for result in results["doctor"].values():
        result["verdict"] = "healthy"
    summary = tables.summarize(list(results["scores"]), results, range(4))
    assert summary["tools"]["doctor"]["detected"]["hits"] == 0


def test_evidence_faults_count_without_a_kill_test():
    assert {fault.id for fault in FAULTS.values() if fault.harm == EVIDENCE} == {"F38", "F39", "F40"}
    name = work.key("F38", "none", "H1", 0)
    assert work.scored(name) == {"evidence": True}
    results = {"scores": {name: {"evidence": True}}, "doctor": {}, "references": {}, "repairs": {}}
    assert tables.sorts([name], results, range(2)) == {name: "evidence"}


def test_a_failing_task_is_a_result(tmp_path):
    name, result = work.do(("scores", ("F99|x|H1|0",)))
    assert name == "F99|x|H1|0"
    assert "KeyError" in json.loads(json.dumps(result))["error"]
