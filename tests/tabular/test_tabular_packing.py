"""Why: a pack follows from its seed and its members, holds every row out once, and ends within its time."""

from __future__ import annotations

import numpy as np
import pytest

from chainrule.data.folds import folds
from chainrule.errors import InvalidValueError
from chainrule.pipeline import Settings
from chainrule.pipeline.targets import classification, regression
from chainrule.tabular import Preset, train_pack
from chainrule.tabular.members import Fold

SMALL = Preset(members=4, folds=2, epochs=(60, 60), width=(32, 32))


@pytest.fixture(scope="module")
def features():
    rng = np.random.default_rng(0)
    n = 300
    E = np.column_stack([rng.normal(size=n), rng.normal(size=n), rng.integers(2, 5, n), rng.integers(2, 22, n)])
    E[rng.random(n) < 0.1, 0] = np.nan
    y = np.nan_to_num(E[:, 0]) + np.sin(3 * E[:, 1]) + (E[:, 2] == 3)
    return E.astype(np.float32), (0, 0, 5, 22), y


def values(features, **settings):
    E, sizes, y = features
    return train_pack(E, sizes, y, regression(y, Settings()), preset=SMALL, **{"seconds": None, **settings})


def test_a_pack_learns_and_predicts_in_units(features):
    E, _, y = features
    run = values(features)
    assert run.stopped == "all 4 networks were trained"
    assert np.corrcoef(run.pack.predict(E), y)[0, 1] > 0.8
    assert np.isfinite(run.held_out).all()


def test_the_number_of_workers_does_not_change_a_bit(features):
    one, two = values(features, workers=1), values(features, workers=2)
    for a, b in zip(one.pack.members, two.pack.members, strict=True):
        np.testing.assert_array_equal(a.w, b.w)
        assert a.weight == b.weight


def test_labels_get_calibrated_probabilities(features):
    E, sizes, y = features
    labels = np.where(y > 0.5, "high", "low")
    run = train_pack(E, sizes, labels, classification(labels, Settings()), preset=SMALL, seconds=None)
    P = run.pack.probabilities(E)
    assert run.pack.temperature > 0
    np.testing.assert_allclose(P.sum(axis=1), 1.0, rtol=1e-6)
    assert (run.pack.predict(E) == labels).mean() > 0.8


def test_three_classes(features):
    E, sizes, y = features
    labels = np.digitize(y, [-0.5, 1.0])
    run = train_pack(E, sizes, labels, classification(labels, Settings()), preset=SMALL, seconds=None)
    assert run.pack.probabilities(E).shape == (300, 3)
    assert run.held_out.shape == (300, 3)


def test_groups_are_held_out_together(features):
    groups = np.arange(300) // 10
    run = values(features, groups=groups)
    for member in run.members:
        inside = np.setdiff1d(np.arange(300), member.held_out)
        assert not set(groups[inside]) & set(groups[member.held_out])


def test_a_row_of_weight_zero_is_not_learned(features):
    E, sizes, y = features
    weights = np.ones(300)
    weights[:3] = 0.0
    wild = y.copy()
    wild[:3] = 1e3
    run = train_pack(
        E, sizes, wild, regression(wild, Settings(), weights), preset=SMALL, seconds=None, sample_weight=weights
    )
    assert abs(run.pack.predict(E)[3:] - y[3:]).mean() < 1.0


def test_callbacks_hear_of_every_member(features):
    heard = []
    run = values(features, on_member=heard.append)
    assert sorted(member.number for member in heard) == [member.number for member in run.members]


N = 23
PARTITIONS = {
    "folds": folds(N, 5, seed=0),
    "two folds": folds(N, 2, seed=1),
    "blocks of time": folds(N, 4, seed=0, times=np.arange(N)[::-1]),
    "groups": folds(N, 3, seed=0, groups=np.arange(N) // 4),
    "one part that all hold out": ((np.arange(17), np.arange(17, N)),),
    "one row that all hold out": ((np.delete(np.arange(N), 5), np.array([5])),),
}


@pytest.mark.parametrize("parts", PARTITIONS)
def test_rows_in_the_order_of_the_folds_are_the_rows_of_each_fold(parts):
    order, found = Fold.of(PARTITIONS[parts])
    assert sorted(order) == list(range(N))
    for (inside, held_out), fold in zip(PARTITIONS[parts], found, strict=True):
        np.testing.assert_array_equal(order[fold.inside], inside)
        np.testing.assert_array_equal(order[fold.block], held_out)
        np.testing.assert_array_equal(fold.held_out, held_out)


@pytest.mark.parametrize("task", ["classification", "regression"])
def test_a_fold_of_rows_that_do_not_count_is_refused(features, task):
    E, sizes, y = features
    weights = np.zeros(len(y))
    weights[0] = 1.0
    y = (y > 0).astype(int) if task == "classification" else y
    target = (classification if task == "classification" else regression)(y, Settings())
    with pytest.raises(InvalidValueError, match="sample_weight must be above 0 for some row of each fold"):
        train_pack(E, sizes, y, target, preset=SMALL, seconds=None, sample_weight=weights)
