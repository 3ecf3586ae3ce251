"""Why: a run that is killed at any moment must go on to the very same weights, and damage must be found.

In: real processes killed with SIGKILL, files changed byte by byte. Out: bit-identical runs, or else the one before.
"""

import os
import random
import signal
import subprocess
import sys
import time

import numpy as np
import pytest

from chainrule.engines import Rows, why_unavailable
from chainrule.errors import FormatError, InvalidValueError
from chainrule.nn.losses import SoftmaxCrossEntropy
from chainrule.nn.multilayer import mlp
from chainrule.nn.schedules import ReduceOnPlateau
from chainrule.nn.step import Recipe
from chainrule.train import EarlyStopping, TrainConfig, TrainingProblem, train
from chainrule.train.checkpoint import checkpoint_folder, fingerprint

KILLS = int(os.environ.get("CHAINRULE_KILLS", "50"))
ENGINES = [name for name in ("reference", "native") if not why_unavailable(name)]


def problem(epochs=12, seed=0, engine="reference"):
    """Batch norm, dropout, Adam, a plateau schedule, a ragged last batch: every kind of memory that a run has."""
    draw = np.random.default_rng(seed)
    X = draw.normal(size=(203, 6))
    y = (X[:, 0] + X[:, 1] ** 2 > 0.5).astype(int) + (X[:, 2] > 1)
    recipe = Recipe(mlp(6, [12, 8], 3, norm="batch", dropout=0.2), SoftmaxCrossEntropy(), batch_size=16, seed=3)
    config = TrainConfig(epochs, 0.05, ReduceOnPlateau(patience=1))
    rows, held_out = Rows.of(recipe, X[:150], y[:150]), Rows.of(recipe, X[150:], y[150:])
    return TrainingProblem(recipe, rows, config, held_out, engine)


def run(folder, engine="reference", every=0.0, monitor=EarlyStopping(patience=100)):  # noqa: B008  (frozen)
    given = problem(engine=engine)
    with checkpoint_folder(folder, fingerprint(given), every) as checkpointer:
        return train(given, [monitor], checkpoint=checkpointer)


def undisturbed(engine="reference"):
    return train(problem(engine=engine), [EarlyStopping(patience=100)])


def same(one, other):
    for name in ("w", "buffers"):
        np.testing.assert_array_equal(getattr(one.state, name), getattr(other.state, name))
    for letter, vector in one.state.optimizer_state.items():
        np.testing.assert_array_equal(vector, other.state.optimizer_state[letter])
    assert one.best_epoch == other.best_epoch
    assert len(one.epochs) == len(other.epochs)
    for a, b in zip(one.epochs, other.epochs, strict=True):
        assert (a.number, a.steps, a.validation_loss, a.learning_rate) == (
            b.number,
            b.steps,
            b.validation_loss,
            b.learning_rate,
        )
        assert a.train_loss == pytest.approx(b.train_loss, rel=1e-12)


@pytest.mark.parametrize("engine", ENGINES)
def test_a_kept_run_ends_like_one_that_is_not_kept(tmp_path, engine):
    same(run(tmp_path, engine), undisturbed(engine))


def test_a_finished_run_is_given_back_without_training(tmp_path):
    first = run(tmp_path)
    second = run(tmp_path)
    same(first, second)
    assert second.seconds < first.seconds


CHILD = """
import sys, time
sys.path.insert(0, {tests!r})
from pathlib import Path
from test_checkpoint import run
from chainrule.train import EarlyStopping, Decision

class Slow:
    def start(self, problem): return None
    def observe(self, memory, epoch):
        print("training", flush=True)
        time.sleep(0.05)
        return None, Decision()
    def end(self, memory, run): pass

import test_checkpoint
from chainrule.train import train
problem = test_checkpoint.problem(engine=sys.argv[2])
with test_checkpoint.checkpoint_folder(sys.argv[1], test_checkpoint.fingerprint(problem), 0.0) as checkpointer:
    train(problem, [EarlyStopping(patience=100), Slow()], checkpoint=checkpointer)
"""


def start(folder, engine):
    child = CHILD.format(tests=os.path.dirname(__file__))
    return subprocess.Popen(
        [sys.executable, "-c", child, str(folder), engine], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )


def fork_and_kill(folder, engine, delay):
    """Train in a forked child, which costs no interpreter start, and kill it after a delay in seconds."""
    child = os.fork()
    if child == 0:
        try:
            run(folder, engine)
        finally:
            os._exit(0)
    time.sleep(delay)
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
@pytest.mark.filterwarnings("ignore:os.fork")  # JAX may have been used in this process; the child does not use it
def test_killed_at_random_moments_every_run_goes_on_to_the_same_bits(tmp_path):
    draw, whole = random.Random(0), undisturbed()
    length, kills, rounds = whole.seconds * 3, 0, 0
    while kills < KILLS:
        folder = tmp_path / str(rounds)
        rounds += 1
        for _ in range(5):
            fork_and_kill(folder, "reference", draw.uniform(0.001, length))
            kills += 1
        ended = run(folder)
        same(ended, whole)
        assert not [note for note in ended.notes if "damaged" in note]
        assert not list(folder.glob("*.tmp"))


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("engine", ENGINES)
def test_a_signal_ends_the_run_in_time_and_it_goes_on(tmp_path, number, engine):
    child = start(tmp_path, engine)
    assert child.stdout.readline().strip() == "training"
    asked = time.monotonic()
    child.send_signal(number)
    assert child.wait(timeout=20) == 0, child.stderr.read()
    assert time.monotonic() - asked < 5
    child.stdout.close()
    child.stderr.close()
    same(run(tmp_path, engine), undisturbed(engine))


def test_a_folder_serves_one_process(tmp_path):
    with (
        checkpoint_folder(tmp_path, "x"),
        pytest.raises(InvalidValueError, match="in use by another process"),
        checkpoint_folder(tmp_path, "x"),
    ):
        pass


def test_another_run_is_refused(tmp_path):
    run(tmp_path)
    given = problem(epochs=13)
    with (
        checkpoint_folder(tmp_path, fingerprint(given)) as checkpointer,
        pytest.raises(InvalidValueError, match="must be of this run, got another"),
    ):
        checkpointer.load()


def test_every_changed_byte_is_found_and_the_one_before_is_used(tmp_path):
    given = problem(epochs=2)
    key = fingerprint(given)
    with checkpoint_folder(tmp_path, key, 0.0) as checkpointer:
        train(given, checkpoint=checkpointer)
    newest, before = sorted(tmp_path.glob("snapshot-*.json"), reverse=True)
    draw = random.Random(1)
    for path in (newest, newest.with_suffix(".safetensors")):
        data = path.read_bytes()
        for at in range(len(data)) if path == newest else draw.sample(range(len(data)), 1000):
            path.write_bytes(data[:at] + bytes([data[at] ^ draw.randrange(1, 256)]) + data[at + 1 :])
            with checkpoint_folder(tmp_path, key) as checkpointer:
                assert checkpointer.load() is not None
                assert len(checkpointer.notes) == 1
                assert "is damaged" in checkpointer.notes[0]
        path.write_bytes(data)
    with checkpoint_folder(tmp_path, key) as checkpointer:
        assert checkpointer.load() is not None
        assert checkpointer.notes == ()
    newest.write_bytes(b"{}")
    before.write_bytes(b"")
    with checkpoint_folder(tmp_path, key) as checkpointer, pytest.raises(FormatError, match="no checkpoint is whole"):
        checkpointer.load()


@pytest.mark.parametrize("call", ["fsync", "replace", "open"])
def test_a_write_that_fails_leaves_the_one_before(tmp_path, monkeypatch, call):
    given = problem(epochs=1)
    key = fingerprint(given)
    with checkpoint_folder(tmp_path, key, 0.0) as checkpointer:
        train(given, checkpoint=checkpointer)
        snapshot, real, calls = checkpointer.load(), getattr(os, call), []
        for fail_at in range(1, 10):
            calls.clear()

            def sometimes(*arguments, fail_at=fail_at, **options):
                calls.append(1)
                if len(calls) == fail_at:
                    raise OSError(28, "No space left on device")
                return real(*arguments, **options)

            monkeypatch.setattr(os, call, sometimes)
            try:
                checkpointer.save(snapshot)
                done = True
            except OSError:
                done = False
            monkeypatch.setattr(os, call, real)
            assert checkpointer.load() is not None
            assert checkpointer.notes == ()
            assert not list(tmp_path.glob(".*.tmp"))
            if done and len(calls) < fail_at:
                break
