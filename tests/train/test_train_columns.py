"""The records of a run in blocks are made when somebody asks, and are then those of the loop."""

import pickle

import numpy as np
import pytest
from train.test_train_blocks import CASES, EveryEpoch, problem

from chainrule import NetRegressor
from chainrule.train import BestWeights, Decision, EarlyStopping, train
from chainrule.train.columns import Columns, Epochs
from chainrule.train.records import Stop, StopReason


def seen(epochs):
    return [{**epoch.record(), "seconds": 0.0, "finite": epoch.finite, "complete": epoch.complete} for epoch in epochs]


@pytest.fixture
def run():
    return train(problem(epochs=70), [EarlyStopping(100)])


def test_records_are_made_once_and_only_when_asked_for(run, monkeypatch):
    made = []
    record = Columns.record
    monkeypatch.setattr(Columns, "record", lambda self, i: made.append(i) or record(self, i))
    epochs = run.epochs
    assert isinstance(epochs, Epochs)
    assert len(epochs) == 70
    assert not made
    assert epochs[-1].number == 70
    assert epochs[3] is epochs[3]
    assert len(made) == 70


@pytest.mark.parametrize(
    "use",
    [tuple, list, lambda e: e[:], lambda e: [*e], lambda e: Epochs([e]), lambda e: pickle.loads(pickle.dumps(e))],
    ids=["tuple", "list", "slice", "unpacked", "joined", "pickled"],
)
def test_they_are_used_as_a_tuple_is(run, use):
    used = use(run.epochs)
    assert len(used) == 70
    assert seen(used) == seen(run.epochs)
    assert tuple(used) == run.epochs
    assert repr(tuple(used)) == repr(run.epochs)


def test_several_runs_are_joined_without_making_records(run):
    joined = Epochs([run.epochs]) + run.epochs + run.epochs[:2]
    assert len(joined) == 142
    assert [epoch.number for epoch in joined[69:72]] == [70, 1, 2]
    assert joined != run.epochs


@pytest.mark.parametrize("case", CASES)
def test_monitors_decide_on_a_block_as_on_one_epoch_after_the_other(case):
    each, monitors = CASES[case]
    run = train(each, [*monitors, EveryEpoch()])
    assert [repr(memory) for memory in train(each, monitors).memories] == [repr(m) for m in run.memories[:-1]]


class Stops:
    """A monitor of the user's, which says how far ahead a run may go and nothing about blocks."""

    def start(self, problem):
        return []

    def observe(self, memory, epoch):
        memory.append(epoch.train_loss)
        return memory, Decision(epoch.number == 5, Stop(StopReason.MONITOR, "enough") if epoch.number == 9 else None)

    def ahead(self, memory):
        return max(1, 9 - len(memory))

    def end(self, memory, run):
        pass


@pytest.mark.parametrize("others", [[], [BestWeights()], [EarlyStopping(30)]], ids=["alone", "best", "stopping"])
def test_a_monitor_that_knows_no_blocks_sees_each_record(others):
    each = problem()
    fast, slow = train(each, [*others, Stops()]), train(each, [*others, Stops(), EveryEpoch()])
    assert len(fast.epochs) == len(slow.epochs) == 9
    assert seen(fast.epochs) == seen(slow.epochs)
    assert fast.best_epoch == slow.best_epoch
    assert fast.state.w.tobytes() == slow.state.w.tobytes()
    assert fast.memories[-1] == slow.memories[-2]


def test_an_estimator_keeps_what_it_kept():
    X = np.random.default_rng(0).normal(size=(60, 2))
    network = NetRegressor((4,), max_iter=12, random_state=0, warm_start=True).fit(X, X[:, 0])
    assert len(network.loss_curve_) == 12
    network.fit(X, X[:, 0])
    assert len(network.epochs_) == 24
    assert network.loss_curve_ == [epoch.train_loss for epoch in network.epochs_]
    again = pickle.loads(pickle.dumps(network))
    assert again.loss_curve_ == network.loss_curve_
    assert seen(again.epochs_) == seen(network.epochs_)


def test_early_stopping_reads_no_figures_that_cannot_end_the_run(monkeypatch):
    read = []
    signed = Columns.signed
    monkeypatch.setattr(Columns, "signed", lambda self, watched: read.append(watched) or signed(self, watched))
    each, stopping = problem(epochs=40), EarlyStopping(100, watched="train_loss", keep=False)
    memory = train(each, [stopping]).memories[0]
    assert not read
    assert memory == train(each, [stopping, EveryEpoch()]).memories[0]
    assert read == ["train_loss"]
