"""Our own scores are scikit-learn's, bit for bit, also with ties, rare classes, and classes that nobody predicts."""

import numpy as np
import pytest
from sklearn import metrics as theirs

from chainrule.pipeline.evaluation import metrics as ours


def drawn(seed):
    rng = np.random.default_rng(seed)
    n, K = int(rng.integers(2, 400)), int(rng.integers(2, 7))
    weights = rng.dirichlet(np.ones(K) * rng.choice([0.2, 1.0, 5.0]))
    y, predicted = rng.choice(K, n, p=weights), rng.choice(K, n, p=weights)
    predicted = np.where(rng.random(n) < rng.choice([0.0, 0.5, 1.0]), y, predicted)
    P = rng.dirichlet(np.ones(K), n)
    if seed % 3 == 0:
        P = np.round(P, 1) + 1e-9
        P = P / P.sum(axis=1, keepdims=True)
    if seed % 5 == 0:
        P[: n // 2] = np.eye(K)[y[: n // 2]]
    return rng, n, K, y, predicted, P


@pytest.mark.parametrize("seed", range(40))
def test_scores_of_classes_are_scikit_learns(seed):
    _, _, K, y, predicted, P = drawn(seed)
    mine = ours.precision_recall_f1(y, predicted, K)
    for one, other in zip(
        mine, theirs.precision_recall_fscore_support(y, predicted, labels=range(K), zero_division=0), strict=True
    ):
        assert one.tolist() == other.tolist()
    assert ours.macro_f1(y, predicted) == theirs.f1_score(y, predicted, average="macro", zero_division=0)
    yes, said = (y > 0).astype(int), (predicted > 0).astype(int)
    assert ours.binary_f1(yes, said) == theirs.f1_score(yes, said, average="binary", zero_division=0)
    assert ours.log_loss(y, P) == theirs.log_loss(y, P, labels=range(K))


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize("seed", range(40))
def test_curves_and_areas_are_scikit_learns(seed, dtype):
    rng, n, _, y, _, P = drawn(seed)
    positive, score = y == y[0], P[:, y[0]].astype(dtype)
    if positive.all():
        positive[int(rng.integers(n))] = False
    for name in ("roc_curve", "precision_recall_curve"):
        for one, other in zip(
            getattr(ours, name)(positive, score), getattr(theirs, name)(positive, score), strict=True
        ):
            assert one.dtype == other.dtype
            assert one.tolist() == other.tolist()
    assert ours.roc_area(positive, score) == theirs.roc_auc_score(positive, score)
    assert ours.average_precision(positive, score) == theirs.average_precision_score(positive, score)


@pytest.mark.parametrize("shape", [(1,), (2,), (333,), (40, 1), (77, 3)])
def test_errors_of_values_are_scikit_learns(shape):
    rng = np.random.default_rng(len(shape))
    y, predicted = rng.normal(size=shape) * 1e3, rng.normal(size=shape)
    assert ours.mean_squared_error(y, predicted) == theirs.mean_squared_error(y, predicted)
    assert ours.mean_absolute_error(y, predicted) == theirs.mean_absolute_error(y, predicted)
