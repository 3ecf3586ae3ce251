"""Networks that are trained in the same calls are the networks that training each alone gives, bit for bit."""

from dataclasses import replace

import numpy as np
import pytest
from train.test_train_blocks import CASES, CLASSES, EveryEpoch, problem, told

from chainrule import NetClassifier, NetRegressor
from chainrule.train import BestWeights, EarlyStopping, StopReason, TrainConfig, train
from chainrule.train import many as module
from chainrule.train.interrupts import stopping_when
from chainrule.train.many import train_many


@pytest.mark.parametrize("threads", [1, 2, 5])
@pytest.mark.parametrize("case", CASES)
def test_many_networks_are_those_that_are_trained_alone(case, threads):
    each, monitors = CASES[case]
    problems = [each.with_seed(seed) for seed in range(6)]
    runs = train_many(problems, [monitors] * 6, threads)
    assert runs is not None
    assert [told(run) for run in runs] == [told(train(one, monitors)) for one in problems]


def test_problems_may_differ_in_rates_and_rows_as_trials_and_folds_do():
    whole = problem(CLASSES, epochs=20)
    problems = [
        replace(whole, config=TrainConfig(10 + i, 0.01 * (i + 1)), rows=whole.rows[np.arange(45) != i])
        for i in range(5)
    ]
    monitors = [[BestWeights()]] * 5
    runs = train_many(problems, monitors, 2)
    assert runs is not None
    assert [told(run) for run in runs] == [told(train(*each)) for each in zip(problems, monitors, strict=True)]


def test_networks_that_need_much_memory_are_trained_in_several_calls(monkeypatch):
    problems = [problem(epochs=4).with_seed(seed) for seed in range(5)]
    calls = []

    def counted(engine, part, *rest):
        calls.append(len(part))
        return trained(engine, part, *rest)

    trained = module._trained
    monkeypatch.setattr(module, "_trained", counted)
    monkeypatch.setattr(module, "_BYTES", 1)
    runs = train_many(problems, [[]] * 5, 1)
    assert runs is not None
    assert calls == [1] * 5
    assert [told(run) for run in runs] == [told(train(one)) for one in problems]


@pytest.mark.parametrize(
    ("problems", "monitors"),
    [
        ([problem()], [[]]),
        ([problem(), problem()], [[], [EveryEpoch()]]),
        ([problem(), problem(batch_size=8)], [[], []]),
        ([replace(problem(), engine="reference")] * 2, [[], []]),
        ([problem(), replace(problem(), start=problem().recipe.start())], [[], []]),
    ],
    ids=["one", "a monitor that wants states", "other batches", "another engine", "both fresh"],
)
def test_what_needs_a_loop_of_its_own_is_left_to_it(problems, monitors):
    fresh = any(each.start is not None for each in problems)
    assert (train_many(problems, monitors, 2) is None) is not fresh


@pytest.mark.parametrize("after", [1, 2, 3, 4, 6])
def test_ctrl_c_ends_all_and_keeps_those_that_began(after):
    asked = []
    problems = [problem(epochs=10**6, validated=False).with_seed(seed) for seed in range(12)]

    def stop():
        asked.append(1)
        return len(asked) > after

    with stopping_when(stop):
        runs = train_many(problems, [[EarlyStopping(10**6, watched="train_loss")]] * 12, 2)
    assert runs is not None
    assert 1 <= len(runs) <= 12
    assert {run.stop.reason for run in runs} == {StopReason.INTERRUPTED}
    assert all(run.epochs for run in runs)


@pytest.mark.parametrize(
    "options",
    [{}, {"early_stopping": True}, {"batch_size": 80}, {"batch_norm": True, "dropout": 0.2}, {"dtype": "float32"}],
    ids=str,
)
def test_an_ensemble_is_its_networks_fitted_one_by_one(options):
    rng = np.random.default_rng(1)
    X = rng.normal(size=(100, 4))
    for estimator, y in ((NetRegressor, X[:, 0] ** 2), (NetClassifier, (X[:, 0] > 0).astype(int))):
        several = estimator((5,), max_iter=25, random_state=3, n_networks=4, **options).fit(X, y)
        alone = estimator((5,), max_iter=25, random_state=3, **options).fit(X, y)
        assert told(several.runs_[0]) == told(alone.run_)
        assert several.model_.members[0].w.tobytes() == alone.model_.w.tobytes()
        assert len({run.state.w.tobytes() for run in several.runs_}) == 4
