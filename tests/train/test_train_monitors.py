"""Why: monitors decide what a run keeps and when it ends; Ctrl-C and divergence must end it without loss.

In: hand-made sequences of epochs, real runs, real signals. Out: decisions, runs, what was drawn.
"""

import io
import math
import signal
import subprocess
import sys
import textwrap
import time
from dataclasses import dataclass

import numpy as np
import pytest
from rich.console import Console

from chainrule import Dense, Net, mlp
from chainrule.engines import Rows
from chainrule.errors import InvalidValueError
from chainrule.nn.losses import MeanSquaredError
from chainrule.nn.optimizers import SGD
from chainrule.nn.step import Recipe
from chainrule.train import (
    BestWeights,
    Decision,
    EarlyStopping,
    Epoch,
    Progress,
    Stop,
    StopReason,
    TrainConfig,
    TrainingProblem,
    loop,
)
from chainrule.train.checkpoint import FolderCheckpointer
from chainrule.train.checkpointing import NoCheckpoint


def train(recipe, rows, config, monitors=(), checkpoint=None, **parts):
    problem = TrainingProblem(recipe, rows, config, engine=parts.pop("engine", "reference"), **parts)
    return loop.train(problem, monitors, checkpoint=checkpoint)


ENOUGH = Stop(StopReason.MONITOR, "enough")


def epoch(number, metric="rmse", **watched):
    """A record in which only the watched figures matter."""
    figures = dict.fromkeys(("train_loss", "train_score", "validation_loss", "validation_score"), math.nan) | watched
    settings = {
        "learning_rate": 0.1,
        "gradient_norm": 1.0,
        "seconds": 0.0,
        "steps": 1,
        "complete": True,
        "finite": True,
    }
    return Epoch(number, metric, **figures, **settings, state=None)


def decisions(monitor, figures, metric="rmse"):
    """What a monitor keeps (numbers) and the epoch at which it first stops, for a sequence of the watched figure."""
    memory, kept = monitor.start(None), []
    for number, figure in enumerate(figures, start=1):
        memory, decision = monitor.observe(memory, epoch(number, metric, **{monitor.watched: figure}))
        kept += [number] if decision.keep else []
        if decision.stop:
            return kept, number
    monitor.end(memory, None)
    return kept, None


@pytest.mark.parametrize(
    ("figures", "kept", "stopped"),
    [
        ([5, 4, 3, 2], [1, 2, 3, 4], None),
        ([5, 6, 7, 1], [1], 3),
        ([5, 6, 4, 5, 3], [1, 3, 5], None),
        ([5, 5, 5], [1], 3),
        ([5, 4.95, 4.92, 1], [1, 2, 3], 3),
        ([5, 4.95, 4.89, 4.85, 4.8], [1, 2, 3, 4, 5], 5),
        ([math.nan, 5, math.nan, 4], [2, 4], None),
        ([math.nan, math.nan], [], 2),
        ([-1, -2, -3], [1, 2, 3], None),
    ],
)
def test_early_stopping_by_hand(figures, kept, stopped):
    monitor = EarlyStopping(patience=2, tolerance=0.1)
    assert decisions(monitor, figures) == (kept, stopped)
    assert decisions(monitor, figures) == (kept, stopped), "a monitor serves many runs"


def test_accuracy_is_better_when_larger_and_rmse_when_smaller():
    monitor = EarlyStopping(patience=2, tolerance=0.0, watched="validation_score")
    assert decisions(monitor, [0.5, 0.6, 0.55, 0.6], "accuracy") == ([1, 2], 4)
    assert decisions(monitor, [0.5, 0.6, 0.55], "rmse") == ([1], 3)


def test_best_weights_never_stop():
    monitor = BestWeights("train_loss")
    assert decisions(monitor, [3, 4, 2, 2, 5, 5, 5, 1]) == ([1, 3, 8], None)


def test_a_smoothed_figure_is_the_mean_of_the_last_epochs():
    figures = [5, 1, 4, 4, 4, 0.5]
    means = [5, 7 / 3, 23 / 7, 55 / 15, 119 / 31, 135 / 63]  # Σ 2ⁱ xᵢ / Σ 2ⁱ
    monitor = EarlyStopping(patience=10, tolerance=0.0, smoothing=0.5)
    memory = monitor.start(None)
    for number, (figure, mean) in enumerate(zip(figures, means, strict=True), start=1):
        memory, decision = monitor.observe(memory, epoch(number, validation_loss=figure))
        assert memory[2].seen(figure) == pytest.approx(mean)
        assert decision.keep == (mean == min(means[:number]))
    assert decisions(BestWeights(smoothing=0.5), figures) == ([1, 2, 6], None)
    assert decisions(BestWeights(smoothing=0.5), [5, math.nan, 4, math.inf, 3]) == ([1, 3, 5], None)


def test_noise_about_a_falling_loss_does_not_stop_a_run():
    for seed in range(5):
        losses = 1.0 - 0.001 * np.arange(300) + np.random.default_rng(seed).normal(0, 0.05, 300)
        assert decisions(EarlyStopping(patience=20), losses)[1] is not None
        assert decisions(EarlyStopping(patience=72, smoothing=0.8), losses)[1] is None


def test_steps_are_waited_for_as_well_as_epochs():
    for steps, stopped in ((0, 4), (3, 4), (5, 6), (100, None)):
        assert decisions(EarlyStopping(patience=3, steps=steps), [1.0] * 10) == ([1], stopped)
    memory = EarlyStopping(patience=2, steps=5, smoothing=0.5).start(None)
    for number in range(1, 8):
        memory, decision = EarlyStopping(patience=2, steps=5, smoothing=0.5).observe(
            memory, epoch(number, validation_loss=1.0)
        )
        if decision.stop:
            break
    assert decision.stop.detail == "smoothed validation loss did not improve for 5 epochs"


def test_settings_are_checked():
    with pytest.raises(InvalidValueError, match=r"patience must be a whole number in \[1, inf\), got 0"):
        EarlyStopping(patience=0)
    with pytest.raises(InvalidValueError, match=r"watched must be one of .*Did you mean 'validation_loss'"):
        BestWeights("validation_los")


@dataclass(frozen=True)
class Do:
    """A monitor that calls a function at each epoch and notes that it was ended."""

    action: object
    ended: list

    def start(self, problem):
        return 0

    def observe(self, memory, seen):
        return memory + 1, self.action(seen) or Decision()

    def end(self, memory, run):
        self.ended.append(memory)


def problem(optimizer=None, **settings):
    rng = np.random.default_rng(0)
    X, Y = rng.normal(size=(20, 3)), rng.normal(size=(20, 1))
    recipe = Recipe(mlp(3, [8], 1), MeanSquaredError(), optimizer or SGD(), **settings)
    return recipe, Rows.of(recipe, X, Y), Rows.of(recipe, X[:5], -Y[:5])


def test_a_run_keeps_the_best_epoch_and_says_why_it_stopped():
    recipe, rows, held_out = problem(batch_size=5)
    states = []
    noting = Do(lambda seen: states.append(seen.state()), [])
    rule = EarlyStopping(patience=4)
    run = train(recipe, rows, TrainConfig(200, 0.05), validation=held_out, monitors=(rule, noting))
    losses = [seen.validation_loss for seen in run.epochs]
    assert run.best_epoch == 1 + int(np.argmin(losses))
    assert len(losses) < 200
    assert run.stop == Stop(StopReason.EARLY_STOPPING, "validation loss did not improve for 4 epochs")
    np.testing.assert_array_equal(run.state.w, states[run.best_epoch - 1].w)
    assert noting.ended == [len(losses)]
    again = train(recipe, rows, TrainConfig(200, 0.05), validation=held_out, monitors=(rule,))
    assert (again.best_epoch, len(again.epochs)) == (run.best_epoch, len(run.epochs))


def test_a_run_without_monitors_ends_with_its_last_weights():
    recipe, rows, _ = problem(batch_size=5)
    last = []
    watched = train(recipe, rows, TrainConfig(7, 0.05), monitors=(Do(lambda seen: last.append(seen.state()), []),))
    run = train(recipe, rows, TrainConfig(7, 0.05))
    assert (run.stop, run.best_epoch, len(run.epochs)) == (Stop(StopReason.COMPLETED), None, 7)
    assert run.engine == "reference"
    assert int(run.state.step) == 28
    np.testing.assert_array_equal(run.state.w, last[-1].w)
    np.testing.assert_array_equal(run.state.w, watched.state.w)


def test_any_monitor_may_stop_and_the_first_reason_counts():
    recipe, rows, _ = problem()
    never, one, two = (
        Do(lambda seen, stop=stop: Decision(stop=stop), [])
        for stop in (None, ENOUGH, Stop(StopReason.MONITOR, "too much"))
    )
    run = train(recipe, rows, TrainConfig(9, 0.05), monitors=(never, one, two))
    assert (run.stop, len(run.epochs)) == (ENOUGH, 1)
    assert never.ended == one.ended == two.ended == [1]


def test_monitors_are_ended_when_one_fails():
    recipe, rows, _ = problem()
    first = Do(lambda seen: None, [])
    with pytest.raises(ZeroDivisionError):
        train(recipe, rows, TrainConfig(9, 0.05), monitors=(first, Do(lambda seen: 1 / 0, [])))
    assert first.ended == [1]


@pytest.mark.parametrize(
    "monitors", [(Do(lambda seen: None, []),), (BestWeights("train_loss"),)], ids=["watch", "best"]
)
@pytest.mark.parametrize("rate", [10.0, 1e30])
def test_divergence_ends_the_run_with_finite_weights(monitors, rate):
    recipe, rows, _ = problem()
    run = train(recipe, rows, TrainConfig(50, rate), monitors=monitors)
    assert run.diverged
    assert str(run.stop) == f"diverged: the loss in epoch {len(run.epochs)} is not a finite number"
    assert [seen.finite for seen in run.epochs] == [True] * (len(run.epochs) - 1) + [False]
    assert np.isfinite(run.state.w).all()


def test_divergence_leaves_the_last_finite_epoch_whoever_watches():
    recipe, rows, _ = problem()
    watched = train(recipe, rows, TrainConfig(50, 10.0), monitors=(Do(lambda seen: None, []),))
    alone = train(recipe, rows, TrainConfig(50, 10.0))
    assert int(watched.state.step) == len(watched.epochs) - 1
    np.testing.assert_array_equal(alone.state.w, watched.state.w)


@pytest.mark.filterwarnings("ignore:(overflow|invalid value) encountered:RuntimeWarning")
def test_broken_weights_in_the_last_epoch_are_divergence():
    recipe, rows, held_out = problem()
    run = train(recipe, rows, TrainConfig(1, 1e38), validation=held_out)
    assert math.isnan(run.epochs[-1].validation_loss)
    assert run.diverged
    np.testing.assert_array_equal(run.state.w, recipe.start().w)


def test_divergence_on_validation_rows_is_told_without_warnings():
    recipe, rows, held_out = problem()
    assert train(recipe, rows, TrainConfig(1, 1e38), validation=held_out).diverged


def ctrl_c(*numbers):
    """A monitor that presses Ctrl-C at the end of these epochs."""

    def press(seen):
        if seen.number in numbers:
            signal.raise_signal(signal.SIGINT)

    return Do(press, [])


def test_ctrl_c_ends_the_run_and_keeps_what_was_learned():
    recipe, rows, _ = problem(batch_size=5)
    usual = signal.getsignal(signal.SIGINT)
    run = train(recipe, rows, TrainConfig(50, 0.05), monitors=(ctrl_c(3),))
    assert signal.getsignal(signal.SIGINT) is usual
    assert (str(run.stop), len(run.epochs)) == ("interrupted in epoch 3", 3)
    np.testing.assert_array_equal(run.state.w, train(recipe, rows, TrainConfig(3, 0.05)).state.w)


def test_ctrl_c_keeps_the_best_where_a_monitor_kept_one():
    recipe, rows, held_out = problem(batch_size=5)
    monitors = (BestWeights(), ctrl_c(6))
    run = train(recipe, rows, TrainConfig(50, 0.5), validation=held_out, monitors=monitors)
    assert run.best_epoch == 1 + int(np.argmin([seen.validation_loss for seen in run.epochs]))
    assert int(run.state.step) == 4 * run.best_epoch


@dataclass(frozen=True)
class PressingLoss(MeanSquaredError):
    """Squared error that presses Ctrl-C when it has been asked so many times."""

    at: int = 0
    asked: tuple = ()

    def rows(self, xp, Z, Y):
        self.asked[0] += 1
        if self.asked[0] == self.at:
            signal.raise_signal(signal.SIGINT)
        return super().rows(xp, Z, Y)


def test_ctrl_c_within_an_epoch_ends_it_between_two_batches():
    recipe, rows, _ = problem(batch_size=5)
    pressing = Recipe(recipe.net, PressingLoss(at=6, asked=[0]), recipe.optimizer, batch_size=5)
    run = train(pressing, rows, TrainConfig(50, 0.05))
    assert str(run.stop) == "interrupted in epoch 2"
    assert [(seen.steps, seen.complete) for seen in run.epochs] == [(4, True), (2, False)]
    assert int(run.state.step) == 6
    whole, rest = train(recipe, rows, TrainConfig(5, 0.05)), train(recipe, rows, TrainConfig(5, 0.05), start=run.state)
    np.testing.assert_array_equal(rest.state.w, whole.state.w)


class OnUser(NoCheckpoint):
    """Keeps nothing, and has a signal of its own."""

    signals = (signal.SIGUSR1,)


def test_the_keeper_says_which_signals_end_a_run():
    recipe, rows, _ = problem(batch_size=5)
    usual = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGUSR1)}

    def press(seen):
        assert signal.getsignal(signal.SIGINT) is usual[signal.SIGINT]
        if seen.number == 3:
            signal.raise_signal(signal.SIGUSR1)

    run = train(recipe, rows, TrainConfig(50, 0.05), monitors=(Do(press, []),), checkpoint=OnUser())
    assert (str(run.stop), len(run.epochs)) == ("interrupted in epoch 3", 3)
    assert {number: signal.getsignal(number) for number in usual} == usual


def test_sigterm_ends_only_runs_that_are_kept():
    assert NoCheckpoint().signals == (signal.SIGINT,)
    assert FolderCheckpointer.signals == (signal.SIGINT, signal.SIGTERM)


def test_a_second_ctrl_c_interrupts():
    recipe, rows, _ = problem()
    usual = signal.getsignal(signal.SIGINT)

    def press_twice(seen):
        signal.raise_signal(signal.SIGINT)
        signal.raise_signal(signal.SIGINT)

    monitor = Do(press_twice, [])
    with pytest.raises(KeyboardInterrupt):
        train(recipe, rows, TrainConfig(50, 0.05), monitors=(monitor,))
    assert signal.getsignal(signal.SIGINT) is usual
    assert len(monitor.ended) == 1


def test_ctrl_c_from_outside():
    code = """
        import numpy as np
        from chainrule import Dense, Net
        from chainrule.engines import Rows
        from chainrule.nn.losses import MeanSquaredError
        from chainrule.nn.step import Recipe
        from chainrule.train import EarlyStopping, TrainConfig, TrainingProblem, train

        recipe = Recipe(Net(2, [Dense(1)]), MeanSquaredError(), batch_size=1)
        rows = Rows.of(recipe, np.ones((50, 2)), np.ones(50))

        class Tell(EarlyStopping):
            def observe(self, memory, epoch):
                print("epoch", flush=True)
                return super().observe(memory, epoch)

        monitor = Tell(patience=10**7, watched="train_loss")
        run = train(TrainingProblem(recipe, rows, TrainConfig(10**7, 1e-6), engine="reference"), [monitor])
        print(run.stop.reason.value, int(run.state.step) > 0)
    """
    command = [sys.executable, "-c", textwrap.dedent(code)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout.readline() == "epoch\n"
        time.sleep(0.05)
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=30)
    assert (out.splitlines()[-1], err, process.returncode) == ("interrupted True", "", 0)


def three_epochs():
    recipe, rows, _ = problem()
    return TrainingProblem(recipe, rows, TrainConfig(3, 0.05))


def drawing():
    return Console(file=io.StringIO(), record=True, force_terminal=True, width=120)


def test_progress_draws_the_latest_figures():
    recipe, rows, held_out = problem()
    console = drawing()
    run = train(recipe, rows, TrainConfig(5, 0.05), validation=held_out, monitors=(Progress(console),))
    text = console.export_text()
    last = run.epochs[-1]
    assert "5/5" in text
    assert f"loss {last.train_loss:.4f} rmse {last.train_score:.4f}" in text
    assert f"{last.validation_loss:.4f} {last.validation_score:.4f}" in text


def test_progress_closes_however_the_run_ends():
    recipe, rows, _ = problem()
    console = drawing()
    with pytest.raises(ZeroDivisionError):
        train(recipe, rows, TrainConfig(5, 0.05), monitors=(Progress(console), Do(lambda seen: 1 / 0, [])))
    bar, _ = memory = Progress(console).start(three_epochs())
    assert bar.live.is_started, "the bar of the failed run no longer holds the console"
    Progress(console).end(memory, None)
    assert not bar.live.is_started


def test_progress_without_validation_shows_no_validation():
    memory = Progress(console := drawing()).start(three_epochs())
    memory, decision = Progress(console).observe(memory, epoch(1, "accuracy", train_loss=0.5, train_score=0.75))
    Progress(console).end(memory, None)
    assert decision == Decision()
    text = console.export_text()
    assert "loss 0.5000 accuracy 0.7500" in text
    assert "nan" not in text


def test_net_without_hidden_layers_trains_under_monitors():
    recipe = Recipe(Net(1, [Dense(1)]), MeanSquaredError(), SGD(), batch_size=4, dtype="float64")
    X = np.array([[-1.0], [0.0], [1.0], [2.0]])
    rows = Rows.of(recipe, X, 2 * X + 1)
    run = train(recipe, rows, TrainConfig(500, 0.3), monitors=(EarlyStopping(50, 1e-12, "train_loss"),))
    np.testing.assert_allclose(run.state.w, [2.0, 1.0], atol=1e-5)
