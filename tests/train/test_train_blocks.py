"""Trainings in blocks of epochs give what the loop gives, epoch by epoch and bit for bit."""

from dataclasses import replace

import numpy as np
import pytest

import chainrule.train.loop as loop
from chainrule import mlp
from chainrule.engines import Rows
from chainrule.nn import schedules
from chainrule.nn.losses import BinaryCrossEntropy, MeanSquaredError, SoftmaxCrossEntropy
from chainrule.nn.optimizers import Adam, GradientAccumulation, SGDMomentum
from chainrule.nn.penalties import ClipNorm, Penalty
from chainrule.nn.step import Recipe
from chainrule.train import BestWeights, Decision, EarlyStopping, StopReason, TrainConfig, TrainingProblem, train
from chainrule.train.interrupts import stopping_when

rng = np.random.default_rng(0)
X = rng.normal(size=(60, 3))
SQUARES = (X[:, :1] - X[:, 1:2] ** 2, MeanSquaredError())
SIGNS = ((X[:, :1] > 0).astype(float), BinaryCrossEntropy())
CLASSES = (np.digitize(X[:, 0], (-0.5, 0.5)), SoftmaxCrossEntropy())


class EveryEpoch:
    """A monitor that does not say what it can do without: the loop shows it each epoch before the next begins."""

    def __init__(self):
        self.states = []

    def start(self, problem):
        return None

    def observe(self, memory, epoch):
        self.states.append(epoch.state())
        return None, Decision()

    def end(self, memory, run):
        pass


def problem(targets=SQUARES, epochs=90, rate=1e-2, schedule=None, validated=True, net=None, **options):
    Y, loss = targets
    outputs = 3 if loss == SoftmaxCrossEntropy() else 1
    recipe = Recipe(net or mlp(3, [6], outputs), loss, **{"batch_size": 16, "dtype": "float64", **options})
    rows = Rows.of(recipe, X, Y)
    config = TrainConfig(epochs, rate) if schedule is None else TrainConfig(epochs, rate, schedule)
    return TrainingProblem(recipe, rows[:45], config, rows[45:] if validated else None, engine="native")


CASES = {
    "plain": (problem(validated=False), []),
    "one batch": (problem(batch_size=45), [BestWeights()]),
    "float32 and a schedule": (
        problem(SIGNS, schedule=schedules.get("cosine"), dtype="float32"),
        [BestWeights(smoothing=0.5)],
    ),
    "early stopping": (problem(CLASSES, rate=0.1), [EarlyStopping(patience=4)]),
    "two monitors": (problem(CLASSES), [BestWeights(), EarlyStopping(6, watched="train_loss", keep=False)]),
    "batch norm, dropout": (problem(net=mlp(3, [6], 1, norm="batch", dropout=0.3)), [EarlyStopping(30)]),
    "mean of weights": (problem(ema_decay=0.9, optimizer=SGDMomentum()), [EarlyStopping(smoothing=0.8, steps=90)]),
    "accumulation": (problem(optimizer=GradientAccumulation(Adam(), 3), clip=ClipNorm(1.0)), [BestWeights()]),
    "penalty, frozen": (problem(penalty=Penalty(l2=0.1), learning_rate_multipliers={"0.*": 0.0}), [BestWeights()]),
    "divergence": (problem(rate=1e200, optimizer=SGDMomentum(), epochs=12), [EarlyStopping(20)]),
    "later divergence": (problem(rate=0.75, optimizer=SGDMomentum(), dtype="float32", epochs=200), [BestWeights()]),
}


@pytest.fixture
def blocks(monkeypatch):
    """Count the trainings that run in blocks."""
    used = []

    def counted(*arguments):
        used.append(arguments)
        return original(*arguments)

    original = loop.train_in_blocks
    monkeypatch.setattr(loop, "train_in_blocks", counted)
    return used


def numbers(state):
    return [
        state.w.tolist(),
        state.buffers.tolist(),
        {k: v.tolist() for k, v in state.optimizer_state.items()},
        state.step,
    ]


def told(run):
    """Return all of a run but its times."""
    epochs = [{**epoch.record(), "seconds": None, "complete": epoch.complete} for epoch in run.epochs]
    return repr([epochs, run.best_epoch, str(run.stop), numbers(run.state)])


@pytest.mark.parametrize("case", CASES)
def test_blocks_of_epochs_change_no_bit_of_a_run(case, blocks):
    each, monitors = CASES[case]
    fast = train(each, monitors)
    assert len(blocks) == 1
    slow = train(each, [*monitors, EveryEpoch()])
    assert len(blocks) == 1
    assert told(fast) == told(slow)


def test_a_run_in_blocks_continues_where_another_ended(blocks):
    each = problem(epochs=30)
    half = train(replace(each, config=TrainConfig(15, 1e-2)))
    assert (
        told(train(each)).split("'epoch': 16")[1]
        == told(train(replace(each, start=half.state))).split("'epoch': 16")[1]
    )
    assert len(blocks) == 3


class Inherits(EarlyStopping):
    """A monitor that observes in its own way, with the epoch's state."""

    def observe(self, memory, epoch):
        assert epoch.state().step
        return super().observe(memory, epoch)


@pytest.mark.parametrize(
    ("each", "monitors"),
    [
        (problem(), [EveryEpoch()]),
        (problem(), [Inherits()]),
        (problem(schedule=schedules.get("plateau")), []),
        (replace(problem(), engine="reference", config=TrainConfig(3)), []),
        (problem(), [EarlyStopping(patience=1)]),
    ],
    ids=["a monitor that wants states", "an inherited one", "a schedule that follows", "another engine", "no patience"],
)
def test_what_needs_every_epoch_at_once_is_trained_by_the_loop(each, monitors, blocks):
    assert train(each, monitors).epochs
    assert not blocks


def test_a_checkpointed_run_is_trained_by_the_loop(tmp_path, blocks):
    train(problem(epochs=3), checkpoint=tmp_path / "run")
    assert not blocks


@pytest.mark.parametrize("after", [1, 2, 3, 5, 9])
def test_a_run_that_is_interrupted_in_a_block_keeps_what_it_did(after, monkeypatch, blocks):
    asked = []
    each = problem(epochs=100_000, validated=False)

    def stop():
        asked.append(1)
        return len(asked) > after

    with stopping_when(stop):
        run = train(each)
    assert run.stop.reason is StopReason.INTERRUPTED
    steps = sum(epoch.steps for epoch in run.epochs)
    assert run.state.step == steps < 3 * 100_000
    whole = [epoch for epoch in run.epochs if epoch.complete]
    again = train(replace(each, config=TrainConfig(len(whole), 1e-2)))
    assert [e.train_loss for e in again.epochs] == [e.train_loss for e in whole]


def test_an_error_of_the_question_whether_to_stop_is_raised(blocks):
    def stop():
        raise LookupError("asked")

    with stopping_when(stop), pytest.raises(LookupError, match="asked"):
        train(problem())
