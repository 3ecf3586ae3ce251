"""Check the backward passes against finite differences: a network with a wrong one still trains, only worse.

In: a training problem; random rows replace its rows where only the mathematics matters. Out: findings about gradients,
the direction of a step, and rows that influence each other.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

from chainrule.arrays import Array
from chainrule.doctor.rules.configuration.start import suitable_weights, without_dropout
from chainrule.doctor.rules.finding import make_finding
from chainrule.doctor.vocabulary.limits import LIMITS
from chainrule.doctor.vocabulary.network import layer_name
from chainrule.doctor.vocabulary.records import Finding, Fix, NotApplicable, Trace
from chainrule.doctor.vocabulary.targets import subsample_indices
from chainrule.nn.gradcheck import GradientReport, gradcheck
from chainrule.nn.layers import BatchNorm, Context, Layer, all_layers
from chainrule.nn.losses import Huber, Loss, MeanAbsoluteError, MeanSquaredError, mean_loss
from chainrule.nn.optimizers import StepContext
from chainrule.nn.step import loss_and_gradient
from chainrule.random import Purpose, Stream
from chainrule.train.problem import TrainingProblem


def wrong_gradient(problem: TrainingProblem, trace: Trace | None) -> Finding | None:
    """Compare backward passes with central differences in float64: critical above 1e-2, a warning above 1e-4.

    Uses a few random rows, six entries of every parameter and weights of suitable size, so that neither scale nor data
    matters. If the first draw disagrees, two more are made, and the smallest error of each array counts: one draw may hit a
    kink that another misses, while a wrong formula is wrong everywhere. Then each layer is checked alone to find it.

    Reference  [karpathy2016]
    """
    reports = [_gradients(problem, 0)]
    if not all(math.isfinite(c.error) for c in reports[0].checks):
        raise NotApplicable("the outputs for a few random rows are not finite")
    if reports[0].worst.error > LIMITS.gradient_error:
        reports += [_gradients(problem, seed) for seed in range(1, LIMITS.gradient_seeds)]
    errors = {c.name: min(r.error(c.name) for r in reports) for c in reports[0].checks}
    name = max(errors, key=lambda key: errors[key])
    if errors[name] <= LIMITS.gradient_error:
        return None
    check = next(c for c in min(reports, key=lambda r: r.error(name)).checks if c.name == name)
    layer, part = _culprit(problem)
    where = "the loss" if layer is None else f"layer {layer} ({layer_name(problem.recipe.net.layers[layer])})"
    return make_finding(
        "wrong-gradient",
        "warning" if errors[name] <= LIMITS.gradient_error_critical else "critical",
        f"The backward pass of {where} does not match its forward pass",
        meaning="Steps do not follow the gradient of the loss; the loss may still fall, but more slowly and not as far.",
        measured=f"relative error {errors[name]:.2g}; {check}" + (f"; checked alone, {part} is wrong" if part else ""),
        usual="below 1e-6",
        fix=Fix(
            "Derive the backward pass again from the forward pass.",
            code="gradcheck(net, loss, X, y)",
            remedy="library-layers",
        ),
        layer=layer,
        error=errors[name],
        by_hand=check.analytic,
        by_differences=check.numeric,
    )


def not_a_descent_direction(problem: TrainingProblem, trace: Trace | None) -> Finding | None:
    """Check that a small step against the gradient lowers the loss, and that the optimizer's first step goes this way.

    Forward    (1) L(w - ε g) < L(w), with ε = t ‖w‖ / ‖g‖ and t = 1e-4, 1e-6 or 1e-8    (2) Δw · g < 0
    """
    w, g, L = _first_step(problem)
    length = float(np.linalg.norm(g))
    if not np.isfinite(length) or length < 1e-12:
        raise NotApplicable("the first gradient is zero or not finite")
    lengths = [share * max(float(np.linalg.norm(w)), 1.0) / length for share in (1e-4, 1e-6, 1e-8)]
    before = L(w)
    after = [L(w - e * g) for e in lengths]  # (1)
    move = _optimizer_step(problem, w, g)
    climb = float(move @ g) / max(float(np.linalg.norm(move)) * length, 1e-300)  # (2)
    falls = any(value < before for value in after)
    if falls and climb <= LIMITS.climb:
        return None
    who = type(problem.recipe.optimizer).__name__
    return make_finding(
        "not-a-descent-direction",
        "critical",
        "The optimizer's first step goes uphill" if falls else "The loss does not fall against its gradient",
        meaning=f"{who} moves along the gradient instead of against it."
        if falls
        else "The gradient does not belong to this loss: a sign or a factor is wrong.",
        measured=f"the cosine of step and gradient is {climb:.2f}"
        if falls
        else f"the loss goes from {before:.8g} to {after[-1]:.8g}",
        usual="a step against the gradient, and a lower loss",
        fix=Fix("Check the sign of the update and of the backward pass."),
        loss=before,
        after=after[-1],
        cosine=climb,
    )


def sample_mixing(problem: TrainingProblem, trace: Trace | None) -> Finding | None:
    """Check that no row's output, loss or gradient depends on another row.

    The first of six random rows is changed; outputs and losses of the others must not change, and a gradient with respect to
    the first output must reach the first row only. Batch norm mixes rows in training by design and is checked in inference.
    """
    changes = _mixing(problem)
    mixed = [name for name, change in changes.items() if change > LIMITS.mixing]
    if not mixed:
        return None
    return make_finding(
        "sample-mixing",
        "critical",
        "Rows influence each other",
        meaning="A prediction must not depend on the other rows of the batch; an axis is probably wrong.",
        measured="changing one row changes the others' "
        + ", ".join(f"{name} by {changes[name]:.2g}" for name in mixed),
        usual="no change at all",
        fix=Fix("Look for a sum, mean or softmax over the wrong axis."),
        outputs=changes["outputs"],
        gradients=changes["gradients"],
        losses=changes["losses"],
    )


def _mixing(problem: TrainingProblem) -> dict[str, float]:
    """Return by how much a change of the first of six random rows changes the others' outputs, gradients and losses."""
    net = problem.recipe.net
    normed = any(isinstance(layer, BatchNorm) for layer in all_layers(net.layers))
    ctx = Context(np, training=not normed, stream=Stream.from_seed(1).fold(Purpose.DROPOUT))
    w, buffers = suitable_weights(net, 1), net.init(1)[1]
    X, Y = _inputs(net.inputs, 6, 1), _targets(problem, 6)
    moved = X.copy()
    moved[0] += 1.0
    with np.errstate(all="ignore"):
        Z, tape, _ = net.forward(w, buffers, X, ctx)
        after = net.forward(w, buffers, moved, ctx)[0]
        dX = net.backward(w, tape, np.eye(6)[:, :1] * np.ones_like(Z), ctx)[0]
    if not (np.isfinite(Z).all() and np.isfinite(after).all()):
        raise NotApplicable("the outputs for a few random rows are not finite")
    return {
        "outputs": float(np.abs(after[1:] - Z[1:]).max()),
        "gradients": float(np.abs(dX[1:]).max()),
        "losses": _loss_mixing(problem.recipe.loss, Z, Y),
    }


def _loss_mixing(loss: Loss, Z: Array, Y: Array) -> float:
    """Return the largest change of the other rows' losses when the first row's output or target changes."""
    rows = np.asarray(loss.rows(np, Z, Y))
    if rows.shape != (len(Z),):
        return math.inf
    jolted, swapped = Z.copy(), Y.copy()
    jolted[0] += 1.0
    unlike = [k for k in range(1, len(Y)) if not np.array_equal(Y[k], Y[0])]
    swapped[0] = Y[unlike[0] if unlike else 0]
    pairs = ((jolted, Y), (Z, swapped))
    return max(float(np.abs(np.asarray(loss.rows(np, *pair)) - rows)[1:].max()) for pair in pairs)


def _gradients(problem: TrainingProblem, seed: int) -> GradientReport:
    net = problem.recipe.net
    n = 8 if any(isinstance(layer, BatchNorm) for layer in all_layers(net.layers)) else 3
    with np.errstate(all="ignore"):
        return gradcheck(
            net, problem.recipe.loss, _inputs(net.inputs, n, seed), _targets(problem, n),
            w=suitable_weights(net, seed), entries=LIMITS.gradient_entries, seed=seed, penalty=problem.recipe.penalty,
        )  # fmt: skip


def _culprit(problem: TrainingProblem) -> tuple[int | None, str]:
    """Return the layer whose backward pass disagrees most with its forward pass, and the gradient; None for the loss."""
    net = problem.recipe.net
    w = suitable_weights(net, 5)
    stream = Stream.from_seed(5)
    named = net.parameters.views(w)
    buffers = net.buffers.views(net.init(5)[1])
    A = _inputs(net.inputs, 8, 5)
    worst = (1e-4, -1, "")
    for i, layer in enumerate(net.layers):
        p = {n.split(".")[1]: v for n, v in named.items() if n.startswith(f"{i}.")}
        b = {n.split(".")[1]: v for n, v in buffers.items() if n.startswith(f"{i}.")}
        ctx = Context(np, True, stream.fold(i))
        A, errors = _layer_errors(layer, p, b, A, ctx)
        worst = max(worst, *((error, i, letter) for letter, error in errors.items()))
    return (None, "") if worst[1] < 0 else (worst[1], f"d{worst[2]}")


def _layer_errors(
    layer: Layer, p: dict[str, Array], b: dict[str, Array], A: Array, ctx: Context
) -> tuple[Array, dict[str, float]]:
    """Return the layer's output, and the relative errors of its gradients along random directions, for a random dY.

    Forward    (1) Σ dY ⊙ (f(x + h v) - f(x - h v)) / 2h = dx · v
    """
    stream = Stream.from_seed(6)
    h = 1e-6
    Y, saved, _ = layer.forward(p, b, A, ctx)
    dY = stream.fold(0).normal(Y.size).reshape(Y.shape)
    dA, dp = layer.backward(p, saved, dY, ctx)
    errors: dict[str, float] = {}
    for k, (name, value, slope) in enumerate([("A", A, dA), *((n, p[n], dp[n]) for n in p)]):
        best = np.inf
        for draw in range(3):
            v = stream.fold(1 + k, draw).normal(value.size).reshape(value.shape)
            up, down = (
                layer.forward({**p, name: value + s * h * v}, b, A if name != "A" else value + s * h * v, ctx)[0]
                for s in (1.0, -1.0)
            )
            numeric, by_hand = float((dY * (up - down)).sum()) / (2.0 * h), float((slope * v).sum())  # (1)
            best = min(best, abs(numeric - by_hand) / max(abs(numeric) + abs(by_hand), 1e-8))
        errors[name] = best
    return Y, errors


def _inputs(d: int, n: int, seed: int) -> Array:
    return Stream.from_seed(seed).fold(*b"rows").normal(n * d).reshape(n, d)


def _targets(problem: TrainingProblem, n: int) -> Array:
    """Return targets of n evenly spaced rows, repeated if there are fewer; continuous targets are standardized."""
    Y = problem.rows.Y
    chosen = Y[np.linspace(0, len(Y) - 1, n).astype(np.int64)]
    if not np.isfinite(chosen).all():
        raise NotApplicable("some targets are not finite")
    if isinstance(problem.recipe.loss, MeanSquaredError | MeanAbsoluteError | Huber):
        spread = Y.std(axis=0, dtype=np.float64)
        return np.asarray((chosen - Y.mean(axis=0, dtype=np.float64)) / np.where(spread > 0, spread, 1.0))
    return chosen


def _first_step(problem: TrainingProblem) -> tuple[Array, Array, Callable[[Array], float]]:
    """Return the initial weights, their gradient with penalties, and the loss as a function of the weights; float64."""
    recipe = problem.recipe
    net = without_dropout(recipe.net)
    take = subsample_indices(problem.rows.X, LIMITS.descent_rows)
    X = problem.rows.X[take].astype(np.float64)
    Y = problem.rows.Y[take]
    c = problem.rows.c[take].astype(np.float64)
    ctx = Context(np, True, Stream.from_seed(0))
    state = problem.start or recipe.start()
    w = state.w.astype(np.float64)
    buffers = state.buffers.astype(np.float64)

    def L(w: Array) -> float:  # noqa: N802  (the mathematics' letter)
        with np.errstate(all="ignore"):
            J = mean_loss(recipe.loss, np, net.forward(w, buffers, X, ctx)[0], Y, c)[0]
            return float(J + recipe.penalty.value(np, w, net.decay))

    with np.errstate(all="ignore"):
        found = loss_and_gradient(net, recipe.loss, w, buffers, X, Y, c, ctx, recipe.penalty)
        return w, found.gradient, L


def _optimizer_step(problem: TrainingProblem, w: Array, g: Array) -> Array:
    """Return the optimizer's first step."""
    optimizer = problem.recipe.optimizer
    d = problem.recipe.net.decay
    memory = {letter: np.zeros_like(w) for letter in optimizer.state_names}
    with np.errstate(all="ignore"):
        ctx = StepContext(np, np.asarray(1.0), np.asarray(problem.config.learning_rate), d)
        new, _ = optimizer.update(w, g, memory, ctx)
    return np.asarray(new - w)
