"""Why: each optimizer takes the published step. In: fixed gradients, a parabola. Out: the trajectories of optax and tables
worked by hand; penalties and clipping beside them.
"""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from registry import CLIP_SAMPLES, OPTIMIZER_SAMPLES, PENALTIES, flat, name

from chainrule.errors import InvalidValueError
from chainrule.nn.averages import running_average
from chainrule.nn.optimizers import (
    SGD,
    AdaGrad,
    Adam,
    AdamW,
    EmaMomentum,
    GradientAccumulation,
    Nesterov,
    RMSProp,
    SGDMomentum,
    StepContext,
)
from chainrule.nn.penalties import ClipNorm, ClipValue, Penalty, bounded

every_rule = pytest.mark.parametrize("rule", flat(OPTIMIZER_SAMPLES), ids=name)
P, STEPS, LR = 7, 20, 0.05
DECAY = np.array([1.0, 1.0, 1.0, 0.0, 0.0, 1.0, 0.0])


def zeros(rule, size=P, dtype=np.float64):
    return {letter: np.zeros(size, dtype) for letter in rule.state_names}


def trajectory(rule, gradients, w, lr=LR, xp=np, d=DECAY):
    """w after each step."""
    s, path = zeros(rule), []
    for t, g in enumerate(gradients, start=1):
        w, s = rule.update(w, g, s, StepContext(xp, np.float64(t), lr, d))
        path.append(w)
    return np.stack(path)


ORACLES = {
    "descent": (SGD(), optax.sgd(LR)),
    # V is (1 - β) times the classical velocity
    "lecture momentum": (EmaMomentum(beta=0.9), optax.sgd(LR * (1 - 0.9), momentum=0.9)),
    "classical momentum": (SGDMomentum(mu=0.9), optax.sgd(LR, momentum=0.9)),
    "nesterov": (Nesterov(mu=0.9), optax.sgd(LR, momentum=0.9, nesterov=True)),
    "rmsprop": (RMSProp(rho=0.9, epsilon=1e-8), optax.rmsprop(LR, decay=0.9, eps=1e-8, eps_in_sqrt=False)),
    "adam": (Adam(), optax.adam(LR)),
    "adam, other settings": (Adam(beta1=0.8, beta2=0.95, epsilon=1e-3), optax.adam(LR, b1=0.8, b2=0.95, eps=1e-3)),
    "adamw": (AdamW(weight_decay=0.1), optax.adamw(LR, weight_decay=0.1, mask={"a": True, "b": False})),
}


@pytest.mark.parametrize(("rule", "oracle"), ORACLES.values(), ids=ORACLES)
@pytest.mark.usefixtures("x64")
def test_twenty_steps_equal_optax(rule, oracle, rng):
    w, gradients = rng.normal(size=P), rng.normal(size=(STEPS, P)) * np.logspace(-3, 1, P)
    order = np.argsort(-DECAY, kind="stable")  # entries under decay first, as optax's mask wants them together
    size = int(DECAY.sum())
    tree = {"a": jnp.asarray(w[order[:size]]), "b": jnp.asarray(w[order[size:]])}
    state, path = oracle.init(tree), []
    for g in gradients:
        updates, state = oracle.update(
            {"a": jnp.asarray(g[order[:size]]), "b": jnp.asarray(g[order[size:]])}, state, tree
        )
        tree = optax.apply_updates(tree, updates)
        path.append(np.concatenate([tree["a"], tree["b"]]))
    # twenty steps of a dozen roundings, relative to the largest weight
    difference = np.abs(trajectory(rule, gradients, w)[:, order] - np.stack(path)).max()
    assert difference <= 1e-12 * np.abs(path).max()


def table(rule, gradients, w, lr):
    """A trajectory of a single weight."""
    value, s, path = np.array([w]), zeros(rule, 1), []
    for t, g in enumerate(gradients, start=1):
        value, s = rule.update(value, np.array([g]), s, StepContext(np, np.float64(t), lr, np.ones(1)))
        path.append(float(value[0]))
    return path


def test_adagrad_by_hand():
    # v: 9, 9+16=25, 25+144=169; steps 3/3, 4/5, 12/13
    assert table(AdaGrad(), [3.0, 4.0, 12.0], 1.0, 0.5) == pytest.approx(
        [1 - 0.5, 1 - 0.5 - 0.4, 1 - 0.5 - 0.4 - 6 / 13], abs=1e-9
    )


def test_lecture_momentum_by_hand():
    # β = .5: V = 1, .5 + 2 = 2.5, 1.25 - 1 = .25; w = 10 - .1 V each time
    assert table(EmaMomentum(beta=0.5), [2.0, 4.0, -2.0], 10.0, 0.1) == pytest.approx([9.9, 9.65, 9.625], rel=1e-14)


def test_classical_and_nesterov_by_hand():
    # μ = .5: v = 2, 5, .5; heavy ball steps v, Nesterov g + v/2: 3, 6.5, -1.75
    assert table(SGDMomentum(mu=0.5), [2.0, 4.0, -2.0], 10.0, 0.1) == pytest.approx([9.8, 9.3, 9.25], rel=1e-14)
    assert table(Nesterov(mu=0.5), [2.0, 4.0, -2.0], 10.0, 0.1) == pytest.approx([9.7, 9.05, 9.225], rel=1e-14)


def test_first_steps_by_hand():
    # RMSProp, ρ = .75: v = .25·4 = 1, step 2/1; Adam's corrected first step is sign(g); AdamW shrinks w by .1·.2 before
    assert table(RMSProp(rho=0.75, epsilon=1e-12), [2.0], 1.0, 0.1) == pytest.approx([0.8], rel=1e-11)
    assert table(Adam(epsilon=1e-12), [-5.0], 1.0, 0.1) == pytest.approx([1.1], rel=1e-11)
    assert table(AdamW(epsilon=1e-12, weight_decay=0.2), [-5.0], 1.0, 0.1) == pytest.approx([1.08], rel=1e-11)


def test_adam_second_step_by_hand():
    # β₁ = .5, β₂ = .75, g = 2 then 4: m = 1, 2.5; v = 1, 4.75; m̂ = 2.5/.75; v̂ = 4.75/.4375
    step = (2.5 / 0.75) / np.sqrt(4.75 / 0.4375)
    path = table(Adam(beta1=0.5, beta2=0.75, epsilon=1e-15), [2.0, 4.0], 0.0, 1.0)
    assert path == pytest.approx([-1.0, -1.0 - step], rel=1e-14)


@every_rule
def test_decay_mask_matters_to_adamw_alone(rule, rng):
    w, gradients = rng.normal(size=P), rng.normal(size=(3, P))
    with_mask, without = (trajectory(rule, gradients, w, d=d) for d in (DECAY, np.zeros(P)))
    changed = (with_mask[-1] != without[-1]).astype(float)
    np.testing.assert_array_equal(changed, DECAY if getattr(rule, "weight_decay", 0) else np.zeros(P))


@every_rule
def test_a_vector_of_rates_is_one_rate_for_each_parameter(rule, rng):
    w, gradients, rates = rng.normal(size=P), rng.normal(size=(5, P)), np.array([0.0, 0.1, 0.2, 0.0, 0.3, 0.4, 0.5])
    path = trajectory(rule, gradients, w, rates)
    for i, rate in enumerate(rates):
        np.testing.assert_array_equal(path[:, i], trajectory(rule, gradients, w, rate)[:, i])
    np.testing.assert_array_equal(path[:, rates == 0], np.broadcast_to(w[rates == 0], (5, 2)))


@every_rule
def test_pure_on_read_only_arrays(rule, rng):
    arrays = [rng.normal(size=P), rng.normal(size=P)]
    state = {name: rng.random(P) for name in rule.state_names}
    for array in [*arrays, *state.values()]:
        array.flags.writeable = False
    first, second = (rule.update(*arrays, state, StepContext(np, np.float64(3), LR, DECAY)) for _ in range(2))
    np.testing.assert_array_equal(first[0], second[0])
    assert set(first[1]) == set(rule.state_names)


@pytest.mark.parametrize("xp", [np, jnp], ids=["numpy", "jax"])
@pytest.mark.usefixtures("x64")
@every_rule
def test_float32_stays_float32(rule, xp, rng):
    w, g, d = (xp.asarray(v, dtype=np.float32) for v in (rng.normal(size=P), rng.normal(size=P), DECAY))
    s = {letter: xp.zeros(P, dtype=np.float32) for letter in rule.state_names}
    t, lr = (xp.asarray(v, dtype=np.float32) for v in (1, LR))

    def update(w, g, s, t, lr, d):
        return rule.update(w, g, s, StepContext(xp, t, lr, d))

    # of JAX the dtypes alone, which need no compilation
    w, s = update(w, g, s, t, lr, d) if xp is np else jax.eval_shape(update, w, g, s, t, lr, d)
    assert {w.dtype, *(v.dtype for v in s.values())} == {np.dtype(np.float32)}


@pytest.mark.usefixtures("x64")
@every_rule
def test_numpy_and_jitted_jax_agree(rule, rng):
    w, gradients = rng.normal(size=P), rng.normal(size=(5, P))
    update = jax.jit(lambda w, g, s, t: rule.update(w, g, s, StepContext(jnp, t, LR, DECAY)))
    here, there, s_here, s_there = w, w, zeros(rule), zeros(rule)
    for t, g in enumerate(gradients, start=1):
        here, s_here = rule.update(here, g, s_here, StepContext(np, np.float64(t), LR, DECAY))
        there, s_there = update(there, g, s_there, np.float64(t))
    np.testing.assert_allclose(here, there, rtol=1e-12, atol=1e-13)


@pytest.mark.parametrize("rule", [Adam(), AdamW(weight_decay=0.0)], ids=name)
def test_float32_keeps_the_correction_exact(rule):
    # m̂ = g, √v̂ = |g| at every t if the corrections are exact; 1 - 0.999 in float32 would be off by up to 3e-5
    w, s = np.zeros(1, np.float32), zeros(rule, 1, np.float32)
    one = np.ones(1, np.float32)
    for t in range(1, 4):
        w, s = rule.update(w, one, s, StepContext(np, np.float32(t), np.float32(1.0), one))
        np.testing.assert_allclose(w, [-t], rtol=4e-7)


@every_rule
def test_a_parabola_is_brought_to_its_minimum(rule):
    curvature, goal = np.array([1.0, 4.0, 0.5]), np.array([1.0, -2.0, 0.5])
    w, s, steps = np.zeros(3), zeros(rule, 3), 3000
    for t in range(1, steps + 1):
        # a rate that goes to zero linearly, so that rules whose steps do not shrink come to rest
        lr = 0.1 * (1 - t / (steps + 1))
        w, s = rule.update(w, curvature * (w - goal), s, StepContext(np, np.float64(t), lr, np.zeros(3)))
    # the last steps of the sign-like rules are at most 0.1/3000 long
    np.testing.assert_allclose(w, goal, atol=5e-4)


def test_weight_decay_alone_shrinks_by_the_rate():
    rule = AdamW(weight_decay=0.5)
    ctx = StepContext(np, np.float64(1), 0.1, np.array([1.0, 0.0]))
    w = rule.update(np.ones(2), np.zeros(2), zeros(rule, 2), ctx)[0]
    np.testing.assert_allclose(w, [0.95, 1.0], rtol=1e-15)


INNER = [samples[0] for key, samples in OPTIMIZER_SAMPLES.items() if key != "GradientAccumulation"]


@pytest.mark.parametrize("inner", INNER, ids=name)
def test_accumulating_is_the_inner_rule_on_means(inner, rng):
    w, gradients = rng.normal(size=P), rng.normal(size=(12, P))
    path = trajectory(GradientAccumulation(inner, 3), gradients, w)
    expected = trajectory(inner, gradients.reshape(4, 3, P).mean(axis=1), w)
    # w stands still for two batches of three; a mean summed in another order is off by a rounding or two
    np.testing.assert_allclose(path, np.vstack([[w] * 2, expected.repeat(3, axis=0)])[:12], rtol=1e-12, atol=1e-13)
    np.testing.assert_array_equal(path[2], path[4])


def test_accumulating_by_hand():
    # means of (2, 4) and (-2, 1): 3 and -1/2; the last gradient waits
    path = table(GradientAccumulation(SGD(), 2), [2.0, 4.0, -2.0, 1.0, 9.0], 10.0, 0.1)
    assert path == pytest.approx([10.0, 9.7, 9.7, 9.75, 9.75], rel=1e-14)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (
            lambda: GradientAccumulation(Adam(), 0),
            r"GradientAccumulation: steps must be a whole number in \[1, inf\), got 0\.",
        ),
        (
            lambda: GradientAccumulation("adm", 2),
            r"GradientAccumulation: optimizer must be the name of an optimizer, got 'adm'\. Did you mean 'adam'",
        ),
        (
            lambda: GradientAccumulation(Adam, 2),
            r"GradientAccumulation: optimizer must be an optimizer or .* Write Adam\(\), with",
        ),
        (
            lambda: GradientAccumulation(GradientAccumulation(Adam(), 2), 2),
            r"GradientAccumulation: optimizer must be .*\. Multiply the steps\.",
        ),
    ],
)
def test_what_cannot_be_accumulated(make, message):
    with pytest.raises(InvalidValueError, match=message):
        make()


@pytest.mark.parametrize("rho", [0.0, 0.6, 0.99])
def test_the_running_average_is_the_weighted_mean_of_all_so_far(rho, rng):
    w, a = rng.normal(size=(30, P)), np.full(P, 1e3)
    for t in range(1, 31):
        a = running_average(np, a, w[t - 1], rho, np.float64(t))
        mean = np.average(w[:t], axis=0, weights=rho ** np.arange(t - 1, -1, -1.0))
        # what a was before the first step has no part in it but for one rounding of its 1e3
        np.testing.assert_allclose(a, mean, rtol=1e-11, atol=1e-12)


def test_bounded_columns(rng):
    W = rng.normal(size=(6, 4)) * [0.01, 1.0, 5.0, 0.0]
    shrunk = bounded(np, W, 1.5)
    lengths = np.linalg.norm(W, axis=0)
    np.testing.assert_allclose(np.linalg.norm(shrunk, axis=0), np.minimum(lengths, 1.5), rtol=1e-14)
    np.testing.assert_array_equal(shrunk[:, lengths < 1.5], W[:, lengths < 1.5])
    np.testing.assert_allclose(shrunk[:, 2] / 1.5, W[:, 2] / lengths[2], rtol=1e-14)


def test_clip_norm(rng):
    g = np.array([3.0, -4.0])
    np.testing.assert_allclose(ClipNorm(2.5).apply(np, g, np.float64(5.0)), [1.5, -2.0], rtol=1e-15)
    np.testing.assert_array_equal(ClipNorm(5.0).apply(np, g, np.float64(5.0)), g)
    np.testing.assert_array_equal(ClipNorm(1.0).apply(np, np.zeros(2), np.float64(0.0)), np.zeros(2))
    long = rng.normal(size=100)
    assert np.linalg.norm(ClipNorm(0.7).apply(np, long, np.linalg.norm(long))) == pytest.approx(0.7, rel=1e-14)


@pytest.mark.usefixtures("x64")
def test_clips_equal_optax(rng):
    g = rng.normal(size=9)
    for clip, oracle in (
        (ClipNorm(0.5), optax.clip_by_global_norm(0.5)),
        (ClipNorm(50.0), optax.clip_by_global_norm(50.0)),
        (ClipValue(0.5), optax.clip(0.5)),
    ):
        expected = oracle.update(jnp.asarray(g), oracle.init(jnp.asarray(g)))[0]
        np.testing.assert_allclose(clip.apply(np, g, np.linalg.norm(g)), expected, rtol=1e-14)


def test_clip_value():
    np.testing.assert_array_equal(ClipValue(1.0).apply(np, np.array([-3.0, 0.5, 2.0]), 0.0), [-1.0, 0.5, 1.0])


@pytest.mark.parametrize("piece", [*flat(CLIP_SAMPLES), *PENALTIES], ids=name)
def test_clips_and_penalties_keep_float32_and_their_inputs(piece, rng):
    g, d = rng.normal(size=P).astype(np.float32), DECAY.astype(np.float32)
    g.flags.writeable = d.flags.writeable = False
    out = piece.gradient(np, g, d) if isinstance(piece, Penalty) else piece.apply(np, g, np.linalg.norm(g))
    assert out.dtype == np.float32


def test_penalty_by_hand():
    w, d, penalty = np.array([2.0, -3.0, 5.0, 0.0]), np.array([1.0, 1.0, 0.0, 1.0]), Penalty(l1=0.5, l2=0.25)
    # .5 (2 + 3) + .125 (4 + 9), the third entry is free
    assert penalty.value(np, w, d) == 2.5 + 1.625
    np.testing.assert_array_equal(penalty.gradient(np, w, d), [0.5 + 0.5, -0.5 - 0.75, 0.0, 0.0])
    assert [p.active for p in PENALTIES] == [False, True, True, True]


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: EmaMomentum(beta=1.0), r"Momentum: beta must be in \[0, 1\), got 1\.0"),
        (lambda: SGDMomentum(mu=-0.1), r"SGDMomentum: mu must be in \[0, 1\), got -0\.1"),
        (lambda: RMSProp(epsilon=0.0), r"RMSProp: epsilon must be in \(0, inf\), got 0\.0"),
        (lambda: Adam(beta1="0.9"), r"Adam: beta1 must be in \[0, 1\), got '0\.9'"),
        (lambda: AdamW(weight_decay=-1), r"AdamW: weight_decay must be in \[0, inf\), got -1"),
        (lambda: ClipNorm(0.0), r"ClipNorm: limit must be in \(0, inf\), got 0\.0"),
        (lambda: ClipValue(-1.0), r"ClipValue: limit must be in \(0, inf\), got -1\.0"),
        (lambda: Penalty(l1=-1, l2=float("nan")), r"(?s)Penalty: l1 must .* got -1\.\nPenalty: l2 must .* got nan\."),
    ],
)
def test_wrong_settings(make, message):
    with pytest.raises(InvalidValueError, match=message):
        make()
