"""Why: TheDeepChecker has the richest set of published rules: before, while and after a small network is trained.

In: rows and first weights; every tenth step and the ends of epochs; a network fitted to sixteen rows. Out: all that fires.
Reference: Ben Braiek, Khomh, "Testing Feedforward Neural Networks Training Programs", TOSEM 2022. Its gradient check is off
by default, and so it is here.
"""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np

from chainrule.arrays import Array
from chainrule.engines import choose
from chainrule.nn.layers import Dense, Dropout
from chainrule.nn.net import Net
from chainrule.nn.penalties import Penalty
from chainrule.nn.step import measure
from doctor.detectors.base import Diagnosis, finite, functions, norm, once, say
from doctor.hosts import Subject
from doctor.trace import Check, Trace

BALANCE, F_RATIO, LOSS_FACTOR, FITTED, ITERATIONS = 0.5, 2.706, 1.0, 16, 1000
"""Evenness of classes; ratio of variances; excess of the first loss; rows and steps of the small fit."""

DEAD, SATURATED, HALF, FAST, SLOW, PERIODS, WINDOW = 1e-5, 0.85, 0.5, -1.0, -4.0, 5, 10
"""Of units: activity, saturation, share; log10 of update ratios; checks in a row; checks in a buffer."""


def supports(subject: Subject) -> bool:
    """Everything."""
    return True


def detect(trace: Trace) -> list[Diagnosis]:
    """Before, the small fit, while, after."""
    return once([*_rows(trace), *_first(trace), *_fit(trace), *_running(trace), *_after(trace)])


def _rows(trace: Trace) -> list[Diagnosis]:
    found = []
    if (trace.X.std(axis=0) == 0).any():
        found.append(say("constant feature", "constant-feature", 0))
    if not _normalized(trace.X):
        found.append(say("features not normalized", "unnormalized-inputs tiny-inputs", 0))
    if not trace.subject.classes:
        if not _normalized(trace.Y):
            found.append(say("targets not normalized", "target-scale", 0))
        return found
    p = _shares(trace)
    K, p = len(p), p[p > 0]
    if (math.exp(-(p * np.log(p)).sum()) - 1) / (K - 1) < BALANCE:
        found.append(say("unbalanced classes", "class-imbalance", 0))
    return found


def _shares(trace: Trace) -> Array:
    Y = trace.Y
    y = Y if Y.ndim == 1 else Y[:, 0].round() if Y.shape[1] == 1 else np.argmax(Y, axis=1)
    counts = np.bincount(y.astype(int), minlength=trace.subject.classes)
    return counts / counts.sum()


def _normalized(X: Array) -> bool:
    """In [0, 1] or [-1, 1] to its ends, or of mean 0 and deviation 1, as a whole."""
    low, high = float(X.min()), float(X.max())
    unit = np.isclose(high, 1, atol=0.01) and (np.isclose(low, 0, atol=0.01) or np.isclose(low, -1, atol=0.01))
    return bool(unit or (abs(float(X.mean())) < 0.1 and abs(float(X.std()) - 1) < 0.1))


def _first(trace: Trace) -> list[Diagnosis]:
    found, check = [], trace.checks[0]
    behind = _expected(trace)
    for W, factor in zip(trace.parts(check.w), behind, strict=True):
        variance = float(W.var())
        if variance < 1e-12:
            found.append(say("symmetric weights", "symmetric-weights", 0))
        elif factor:
            expected = factor / W.shape[0] if factor != 1.0 else 2.0 / sum(W.shape)
            if max(variance / expected, expected / variance) > F_RATIO:
                found.append(say("weights of the wrong variance", "init-scale", 0))
    if trace.subject.classes > 1 and LOSS_FACTOR and _base(trace) and _far(check.loss, _base(trace)):
        found.append(say("wrong first loss", "wrong-initial-loss init-scale", 0))
    return found


def _expected(trace: Trace) -> list[float]:
    """Per Dense, what the variance should be times the inputs: 2 behind rectifiers (He), 1 for Glorot, 0 unknown."""
    wanted, layers, names = [], trace.net.layers, dict(functions(trace))
    for i, layer in enumerate(layers):
        if isinstance(layer, Dense):
            after = next((names[j] for j in range(i + 1, len(layers)) if j in names), "")
            wanted.append({"ReLU": 2.0, "ELU": 2.0, "Tanh": 1.0}.get(after, 0.0))
    return wanted


def _base(trace: Trace) -> float:
    return math.log(trace.subject.classes)


def _far(loss: float, base: float) -> bool:
    return not math.isfinite(loss) or abs(loss - base) >= LOSS_FACTOR * base


def _fit(trace: Trace) -> list[Diagnosis]:
    """Sixteen rows, no penalty and no dropout: errors above 5 % (or above 1e-3 of the targets) after 1,000 steps."""
    subject = trace.subject
    take = np.arange(min(FITTED, len(subject.rows)))
    rows = subject.rows[take]
    net = Net(subject.recipe.net.inputs, [a for a in subject.recipe.net.layers if not isinstance(a, Dropout)])
    if subject.recipe.learning_rate_multipliers:
        net = subject.recipe.net
    recipe = replace(subject.recipe, net=net, penalty=Penalty(), batch_size=len(take))
    session = choose(subject.engine, recipe)[0].compile(recipe, rows)
    for epoch in range(ITERATIONS):
        session.run(epoch, 0, np.full(1, subject.config.learning_rate))
        if epoch % 50 == 49:
            with np.errstate(all="ignore"):
                sums = measure(recipe, np, session.logits(rows.X), rows.Y, rows.c)
            error = 1 - sums.mean_score if recipe.loss.metric == "accuracy" else math.sqrt(abs(sums.mean_score))
            if error < (0.05 if recipe.loss.metric == "accuracy" else 1e-3):
                return []
    return [say("cannot fit a small batch", "cannot-overfit-batch underfitting input-ignored wrong-gradient", 0)]


def _running(trace: Trace) -> list[Diagnosis]:
    found = []
    checks = [c for c in trace.checks if c.step >= WINDOW and (c.step % WINDOW == 0 or c.end)]
    for i, check in enumerate(checks):
        window = checks[max(0, i + 1 - PERIODS) : i + 1]
        if not (finite(check.w, check.g, *check.outputs) and math.isfinite(check.loss)):
            found.append(say("not a number", "nan-loss exploding-gradient", check.epoch))
            break
        found += [*_gradients(trace, window), *_updates(trace, window), *_weights(trace, check)]
        found += [*_units(trace, checks[max(0, i + 1 - WINDOW) : i + 1]), *_output(trace, window)]
        if len(window) == PERIODS and all(c.penalty_norm >= 2 * norm(c.g) > 0 for c in window):
            found.append(say("over-regularized", "over-regularized", check.epoch))
    return [*found, *_losses(trace)]


def _gradients(trace: Trace, window: list[Check]) -> list[Diagnosis]:
    found, epoch = [], window[-1].epoch
    sizes = np.array([[np.abs(g).mean() for g in trace.parts(c.g)] for c in window])
    halving = len(window) == PERIODS and ((sizes[1:] < 0.5 * sizes[:-1]).all(axis=0)).any()
    doubling = len(window) == PERIODS and ((sizes[1:] > 2.0 * sizes[:-1]).all(axis=0)).any()
    if (sizes[-1] < 1e-6).any() or halving:
        found.append(say("vanishing gradient", "vanishing-gradient", epoch))
    if (sizes[-1] > 1e6).any() or doubling:
        found.append(say("exploding gradient", "exploding-gradient", epoch))
    return found


def _updates(trace: Trace, window: list[Check]) -> list[Diagnosis]:
    found, epoch = [], window[-1].epoch

    def ratios(c: Check) -> Array:
        pairs = zip(trace.parts(c.w - c.w_before), trace.parts(c.w_before), strict=True)
        with np.errstate(all="ignore"):
            return np.array([np.log10(np.abs(D).mean() / max(np.abs(W).mean(), 1e-30)) for D, W in pairs])

    if len(window) < PERIODS:
        return []
    table = np.array([ratios(c) for c in window])
    if np.isneginf(table).all(axis=0).any():
        found.append(say("untrained layer", "frozen-layer", epoch))
    if (table > FAST).all(axis=0).any():
        found.append(say("updates too fast", "learning-rate-too-high update-ratio", epoch))
    if ((table < SLOW) & ~np.isneginf(table)).all(axis=0).any():
        found.append(say("updates too slow", "learning-rate-too-low update-ratio", epoch))
    return found


def _weights(trace: Trace, check: Check) -> list[Diagnosis]:
    found = []
    for W in trace.parts(check.w):
        if (np.abs(W) < 1e-5).mean() > 0.95:
            found.append(say("dead weights", "over-regularized symmetric-weights init-scale", check.epoch))
        if (W < 0).mean() > 0.95:
            found.append(say("negative weights", "dead-units", check.epoch))
        if np.abs(W).mean() > 1e8:
            found.append(say("exploding weights", "exploding-gradient", check.epoch))
    return found


def _units(trace: Trace, buffer: list[Check]) -> list[Diagnosis]:
    """Over a buffer of ten checks: dead units, saturated units, a spread of activations outside [0.5, 2]."""
    if len(buffer) < WINDOW:
        return []
    found, epoch = [], buffer[-1].epoch
    for i, name in functions(trace):
        if i == len(trace.net.layers) - 1:
            continue
        A = np.concatenate([c.outputs[i] for c in buffer])
        if name == "ReLU" and (np.percentile(np.abs(A), 95, axis=0) < DEAD).mean() > HALF:
            found.append(say("dead neurons", "dead-units", epoch))
        if name in ("Sigmoid", "Tanh"):
            low = 0.0 if name == "Sigmoid" else -1.0
            if (np.array([_rho(a, low) for a in A.T]) > SATURATED).mean() > HALF:
                found.append(say("saturated neurons", "saturated-units", epoch))
        if not 0.5 <= float(A.std()) <= 2.0:
            found.append(say("spread of activations", "activation-drift init-scale", epoch))
    return found


def _rho(a: Array, low: float) -> float:
    """Saturation of a unit: mean distance of its outputs' bins from the middle, in [0, 1], weighted by their counts.

    Equation  (1) ρ = Σ_b |m_b| n_b / Σ_b n_b over 50 bins, m_b the mean of a bin's outputs scaled to [-1, 1]
    """
    scaled = np.clip(2.0 * (a - low) / (1.0 - low) - 1.0, -1.0, 1.0)
    counts, edges = np.histogram(scaled, bins=50, range=(-1.0, 1.0))
    sums = np.histogram(scaled, bins=edges, weights=scaled)[0]
    return float(np.abs(sums).sum() / counts.sum())  # (1)


def _output(trace: Trace, window: list[Check]) -> list[Diagnosis]:
    found, epoch = [], window[-1].epoch
    with np.errstate(all="ignore"):
        P = [np.asarray(trace.subject.recipe.loss.predict(np, c.outputs[-1])) for c in window]
    if len(window) == PERIODS and all(np.ptp(p, axis=0).max() < 1e-7 for p in P):
        found.append(say("constant output", "constant-output dead-units", epoch))
    if trace.subject.classes and P[-1].shape[1] > 1 and trace.subject.recipe.loss.metric == "accuracy":
        off = np.abs(P[-1].sum(axis=1) - 1) > 0.05
        if off.any():
            found.append(say("invalid output", "output-loss-mismatch output-range sample-mixing", epoch))
    if not trace.subject.classes and (P[-1] >= 0).all() and (trace.Y < 0).any() and len(window) == PERIODS:
        found.append(say("never negative", "output-range", epoch))
    return found


def _losses(trace: Trace) -> list[Diagnosis]:
    """Over epochs: five relative decreases below 5 % in a row while far from zero; five doublings; a rough curve."""
    found = []
    loss = np.array([t.train_loss for t in trace.turns])
    if len(loss) < PERIODS + 1 or not np.isfinite(loss).all():
        return found
    gains = (loss[:-1] - loss[1:]) / np.maximum(np.abs(loss[:-1]), 1e-30)
    for i in range(PERIODS, len(loss)):
        if (gains[i - PERIODS : i] < 0.05).all():
            slugs = "not-decreasing learning-rate-too-low underfitting"
            found.append(say("stagnating loss", slugs, i + 1))
        if (loss[i - PERIODS + 1 : i + 1] > 2 * loss[: i - PERIODS + 2].min()).all():
            found.append(say("diverging loss", "learning-rate-too-high exploding-gradient", i + 1))
    if len(loss) >= 50 and _smoothness(loss[-50:]) < 0.5:
        found.append(say("fluctuating loss", "oscillating-loss learning-rate-too-high batch-too-small", len(loss)))
    return found


def _smoothness(loss: Array) -> float:
    """Correlation of neighbors, 1 for a smooth curve."""
    a, b = loss[:-1], loss[1:]
    return float(np.corrcoef(a, b)[0, 1]) if a.std() > 0 and b.std() > 0 else 1.0


def _after(trace: Trace) -> list[Diagnosis]:
    """The switch from training to inference: a loss that changes by half, or activations that are no longer alike."""
    check = trace.checks[-1]
    if not (math.isfinite(check.loss) and math.isfinite(check.training_loss)) or len(trace.net.layers) < 2:
        return []
    change = abs(check.loss - check.training_loss) / max(check.training_loss, 1e-12)
    alike = _cka(check.outputs[-2], check.training_outputs[-2])
    if change > 0.5 or alike <= 0.75:
        slugs = "train-eval-gap batch-norm-statistics batch-norm-tiny-batch dropout-too-high"
        return [say("training and inference differ", slugs, check.epoch)]
    return []


def _cka(A: Array, B: Array) -> float:
    """Linear centerd kernel alignment of two sets of activations of the same rows."""
    A, B = A - A.mean(axis=0), B - B.mean(axis=0)
    with np.errstate(all="ignore"):
        bottom = norm(A.T @ A) * norm(B.T @ B)
        return norm(A.T @ B) ** 2 / bottom if bottom > 0 and math.isfinite(bottom) else 1.0
