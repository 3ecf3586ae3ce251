"""Why: what the lecture says of scaled inputs, batches, momentum, Adam and schedules must come out when it is run.

In: problems small enough to know the answer. Out: each claim with its figure.
"""

import numpy as np
import pytest

from chainrule import Dense, Net, fit, mlp
from chainrule.data import Standardizer
from chainrule.engines import Rows
from chainrule.engines.reference import ReferenceEngine
from chainrule.nn.losses import BinaryCrossEntropy, MeanSquaredError
from chainrule.nn.optimizers import SGD, Adam, EmaMomentum, SGDMomentum, StepContext
from chainrule.nn.schedules import Exponential, InverseTimeDecay, Step
from chainrule.nn.step import Recipe, State


def two_features(first, second):
    """Rows with one feature in each range, and a target that uses both alike."""
    U = np.random.default_rng(0).uniform(size=(200, 2))
    low, high = np.array([first, second]).T
    return low + U * (high - low), U @ [1.0, -1.0]


def hessian_eigenvalues(X):
    """Curvatures of the mean squared error of a linear layer with bias, from the smallest."""
    A = np.column_stack([X, np.ones(len(X))])
    return np.linalg.eigvalsh(2 / len(A) * A.T @ A)


def test_standardising_rounds_the_contours():
    X, _ = two_features((0, 1), (1000, 10000))
    before, after = hessian_eigenvalues(X), hessian_eigenvalues(Standardizer.fit(X).apply(X))
    assert before[-1] / before[0] > 1e8
    assert after[-1] / after[0] < 1.5


def descent_steps(X, y, target=1e-6, at_most=100_000):
    """Steps of gradient descent at its best constant rate, 2/(L + μ), until the loss is `target` of the first one."""
    curvature = hessian_eigenvalues(X)
    recipe = Recipe(Net(2, [Dense(1)]), MeanSquaredError(), SGD(), batch_size=len(X), dtype="float64")
    session = ReferenceEngine().compile(recipe, Rows.of(recipe, X, y))
    session.load(State(np.zeros(3), np.zeros(0), {}, 0))
    rate = np.array([2 / (curvature[-1] + curvature[0])])
    first = session.run(0, 0, rate).mean_loss
    for step in range(1, at_most):
        if session.run(step, 0, rate).mean_loss <= target * first:
            return step
    return at_most


def test_standardising_saves_descent_steps():
    X, y = two_features((0, 1), (0, 10))
    steps = descent_steps(X, y), descent_steps(Standardizer.fit(X).apply(X), y - y.mean())
    assert steps[0] > 1000
    assert steps[1] < 20


def test_test_rows_are_scaled_by_the_training_rows():
    train, test = np.array([[0.0], [2.0]]), np.array([[3.0], [5.0]])
    np.testing.assert_array_equal(Standardizer.fit(train).apply(test), [[2.0], [4.0]])


def batch_losses(batch_size, steps=300, rate=0.1):
    """The loss of every batch, before its step, of a logistic problem with label noise."""
    rng = np.random.default_rng(0)
    X = rng.normal(size=(512, 10))
    y = (X @ rng.normal(size=10) + rng.normal(size=512) > 0).astype(float)
    recipe = Recipe(mlp(10, [16], 1), BinaryCrossEntropy(), SGD(), batch_size=batch_size)
    session = ReferenceEngine().compile(recipe, Rows.of(recipe, X, y))
    places = [divmod(i, len(recipe.batches(512))) for i in range(steps)]
    return np.array([session.run(epoch, batch, np.array([rate])).mean_loss for epoch, batch in places])


def test_full_batch_falls_smoothly_and_small_batches_noisily():
    losses = {size: batch_losses(size) for size in (512, 64, 8)}
    rises = {size: float((np.diff(loss) > 0).mean()) for size, loss in losses.items()}
    noise = {size: float(np.std(np.diff(loss))) for size, loss in losses.items()}
    assert rises[512] == 0.0
    assert 0.4 < rises[64] < 0.6
    assert 0.4 < rises[8] < 0.6
    # Means over b independent rows scatter as 1/√b: a factor √8 = 2.8 between 64 and 8.
    assert 2.0 < noise[8] / noise[64] < 4.0
    assert all(loss[-50:].mean() < 0.8 * loss[:50].mean() for loss in losses.values()), "the trend falls in all"


def bowl(optimizer, rate, steps=6000):
    """Way of (wide, narrow) down w₁²/2 + 1000 w₂²/2 from (1, 1)."""
    w, d = np.ones(2), np.ones(2)
    memory = {letter: np.zeros(2) for letter in optimizer.state_names}
    path = [w]
    for t in range(1, steps + 1):
        w, memory = optimizer.update(w, np.array([1.0, 1000.0]) * w, memory, StepContext(np, float(t), rate, d))
        path.append(w)
    return np.array(path)


def crossings(path, steps=100):
    """How often the narrow direction changes sign in the first steps."""
    return int((np.diff(np.sign(path[: steps + 1, 1])) != 0).sum())


def steps_down(path, target=1e-3):
    """Steps until both directions are within `target` of the bottom for good."""
    return int(np.nonzero(np.abs(path).max(axis=1) > target)[0][-1]) + 1


RATE = 0.00195
"""Just below 2/1000, where plain descent would diverge in the narrow direction."""


def test_momentum_damps_the_narrow_direction():
    plain, lecture = bowl(SGD(), RATE), bowl(EmaMomentum(beta=0.9), RATE)
    assert crossings(plain) == 100, "plain descent crosses the valley at every step"
    assert crossings(lecture) < 20
    # Where 1 - α(1-β)λ + β lies within ±2√β the narrow direction shrinks by √β a step; √0.9 = 0.9487 against 0.95.
    envelope = np.abs(lecture[:101, 1]) / np.sqrt(0.9) ** np.arange(101)
    assert envelope.max() < 1.2


def test_momentum_speeds_up_the_wide_direction():
    plain, same_rate = bowl(SGD(), RATE), bowl(EmaMomentum(beta=0.9), RATE)
    classical, tenfold_rate = bowl(SGDMomentum(mu=0.9), RATE), bowl(EmaMomentum(beta=0.9), 10 * RATE)
    np.testing.assert_allclose(tenfold_rate, classical, rtol=1e-9, atol=1e-12)
    assert steps_down(plain) > 10 * steps_down(classical)
    assert steps_down(same_rate) == pytest.approx(steps_down(plain), rel=0.02), "a mean of equal gradients is no larger"
    assert np.abs(bowl(SGD(), 10 * RATE, steps=50)).max() > 1e30, "the rate that momentum bears"


def printed_adam(w, gradients, rate, beta1, beta2, epsilon=1e-8):
    """Adam as the lecture writes it, one array at a time."""
    m, v = np.zeros_like(w), np.zeros_like(w)
    for t, g in enumerate(gradients, start=1):
        m = beta1 * m + (1 - beta1) * g
        v = beta2 * v + (1 - beta2) * g**2
        w = w - rate * (m / (1 - beta1**t)) / (np.sqrt(v / (1 - beta2**t)) + epsilon)
    return w


@pytest.mark.parametrize(("beta1", "beta2"), [(0.9, 0.999), (0.8, 0.99)])
def test_adam_is_the_lectures(beta1, beta2):
    rng = np.random.default_rng(0)
    w, gradients = rng.normal(size=6), rng.normal(size=(50, 6))
    expected = printed_adam(w, gradients, 0.01, beta1, beta2)
    rule, memory = Adam(beta1=beta1, beta2=beta2), {"m": np.zeros(6), "v": np.zeros(6)}
    for t, g in enumerate(gradients, start=1):
        w, memory = rule.update(w, g, memory, StepContext(np, float(t), 0.01, np.ones(6)))
    np.testing.assert_allclose(w, expected, rtol=1e-12)


@pytest.mark.parametrize(
    ("schedule", "printed"),
    [
        (Step(every=200, drop=0.5), lambda e: 0.01 * 0.5 ** (e // 200)),
        (Exponential(k=0.005), lambda e: 0.01 * np.exp(-0.005 * e)),
        (InverseTimeDecay(k=0.5 / 100), lambda e: 0.01 / (1 + 0.5 * e / 100)),
    ],
)
def test_schedules_are_the_lectures(schedule, printed):
    X = np.ones((2, 1))
    options = {"optimizer": SGD(), "learning_rate": 0.01, "schedule": schedule, "batch_size": "full"}
    epochs = list(fit(Net(1, [Dense(1)]), X, X, loss=MeanSquaredError(), epochs=500, **options))
    rates = [epoch.learning_rate for epoch in epochs]
    np.testing.assert_allclose(rates, [printed(e) for e in range(500)], rtol=1e-12)
