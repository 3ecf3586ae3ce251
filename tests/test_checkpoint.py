"""Why: a run that is killed at any moment must go on to the very same weights, and damage must be found.

In: real processes killed with SIGKILL, files changed byte by byte. Out: bit-identical runs, or else the one before.
"""

import os
import random
import signal
import subprocess
import sys
import time
import warnings

import numpy as np
import pytest

from chainrule.engines import Rows, why_unavailable
from chainrule.errors import FormatError, InvalidValueError
from chainrule.nn.losses import SoftmaxCrossEntropy
from chainrule.nn.multilayer import mlp
from chainrule.nn.schedules import ReduceOnPlateau
from chainrule.nn.step import Recipe
from chainrule.train import EarlyStopping, TrainConfig, TrainingProblem, train
from chainrule.train.checkpoint import checkpoint_folder, fingerprint, reading

KILLS = int(os.environ.get("CHAINRULE_KILLS", "25"))
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


def test_what_a_killed_process_could_not_remove_is_removed_when_the_run_is_over(tmp_path, monkeypatch):
    whole = run(tmp_path)
    with monkeypatch.context() as patch, checkpoint_folder(tmp_path, fingerprint(problem())) as checkpointer:
        patch.setattr(type(checkpointer), "_remove_before", lambda self, first: None)
        checkpointer.save(checkpointer.load())
        checkpointer.save(checkpointer.load())
    left = sorted(tmp_path.glob("snapshot-*"))
    assert len(left) > 4
    reading(tmp_path, problem()).load()
    assert sorted(tmp_path.glob("snapshot-*")) == left
    same(run(tmp_path), whole)
    assert sorted(tmp_path.glob("snapshot-*")) == left[-4:]


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


@pytest.mark.parametrize("call", ["fsync", "replace", "open", "write"])
def test_a_write_that_fails_leaves_the_one_before(tmp_path, monkeypatch, call):
    given = problem(epochs=1)
    key = fingerprint(given)
    with checkpoint_folder(tmp_path, key, 0.0) as checkpointer:
        train(given, checkpoint=checkpointer)
        snapshot, real, calls = checkpointer.load(), getattr(os, call), []
        failed = 0
        for fail_at in range(1, 20):
            calls.clear()

            def sometimes(*arguments, fail_at=fail_at, **options):
                calls.append(1)
                if len(calls) == fail_at:
                    raise OSError(28, "No space left on device")
                return real(*arguments, **options)

            monkeypatch.setattr(os, call, sometimes)
            with warnings.catch_warnings(record=True) as caught:
                warnings.simplefilter("always")
                checkpointer.save(snapshot)
            monkeypatch.setattr(os, call, real)
            told = checkpointer.notes
            checkpointer.notes = ()
            assert [str(w.message) for w in caught] == list(told)
            assert all("No space left on device" in note and "Training goes on" in note for note in told)
            failed += len(told)
            assert checkpointer.load() is not None
            assert checkpointer.notes == ()
            assert not list(tmp_path.glob(".*.tmp"))
            assert len(list(tmp_path.glob("*.safetensors"))) == len(list(tmp_path.glob("*.json")))
            checkpointer.save(snapshot)
            if len(calls) < fail_at:
                break
        assert failed >= 2


def _rewritten(folder, change):
    """Change the newest snapshot, and make every checksum right again."""
    import hashlib
    import json

    from safetensors.numpy import load, save

    from chainrule.train import checkpoint

    manifest = max(folder.glob("snapshot-*.json"))
    tensors_file = manifest.with_suffix(".safetensors")
    body, tensors = json.loads(manifest.read_bytes()), load(tensors_file.read_bytes())
    del body["sha256"]
    result = change(body, tensors)
    data = result if isinstance(result, bytes) else save(tensors)
    tensors_file.write_bytes(data)
    body["tensors"] = hashlib.sha256(data).hexdigest()
    manifest.write_bytes(checkpoint._canonical(body | {"sha256": checkpoint._digest(body)}))


CRAFTED = {
    "short w": lambda body, t: t.update({"state.w": t["state.w"][:-1].copy()}),
    "long w": lambda body, t: t.update({"state.w": np.append(t["state.w"], t["state.w"][:1])}),
    "empty w": lambda body, t: t.update({"state.w": t["state.w"][:0].copy()}),
    "w of whole numbers": lambda body, t: t.update({"state.w": t["state.w"].astype(np.int32)}),
    "w of float16": lambda body, t: t.update({"state.w": t["state.w"].astype(np.float16)}),
    "w of two axes": lambda body, t: t.update({"state.w": t["state.w"][None].copy()}),
    "no w": lambda body, t: t.pop("state.w"),
    "short statistics": lambda body, t: t.update({"state.buffers": t["state.buffers"][:2].copy()}),
    "no statistics": lambda body, t: t.pop("state.buffers"),
    "a short moment": lambda body, t: t.update({"state.optimizer_state.v": t["state.w"][:-3].copy()}),
    "a missing moment": lambda body, t: t.pop("state.optimizer_state.m"),
    "one moment too many": lambda body, t: t.update({"state.optimizer_state.x": t["state.w"].copy()}),
    "a short best": lambda body, t: t.update({"best.w": t["state.w"][:-1].copy()}),
    "no best": lambda body, t: t.pop("best.w"),
    "steps below 0": lambda body, t: body.update({"step": -1}),
    "steps as text": lambda body, t: body.update({"step": "7"}),
    "half a step": lambda body, t: body.update({"step": 1.5}),
    "sums of words": lambda body, t: body.update({"sums": ["much"] * 5}),
    "too few sums": lambda body, t: body.update({"sums": 3}),
    "no epochs": lambda body, t: body.pop("epochs"),
    "short epochs": lambda body, t: body.update({"epochs": [[1, 2]]}),
    "an unknown reason": lambda body, t: body.update({"stop": ["tired", ""]}),
    "no tensors at all": lambda body, t: b"not a file of tensors",
}


@pytest.mark.parametrize("name", list(CRAFTED))
def test_a_snapshot_with_right_checksums_and_wrong_content_is_damaged(tmp_path, name):
    given = problem(epochs=2)
    monitors = [EarlyStopping(patience=100)]
    expected = train(given, monitors, checkpoint=tmp_path)
    with checkpoint_folder(tmp_path, fingerprint(given), 0.0, given.recipe) as checkpointer:
        checkpointer.save(checkpointer.load())
    _rewritten(tmp_path, CRAFTED[name])
    again = train(given, monitors, checkpoint=tmp_path)
    assert any("is damaged" in note for note in again.notes)
    np.testing.assert_array_equal(again.state.w, expected.state.w)


@pytest.mark.parametrize("engine", ENGINES)
def test_a_snapshot_of_another_network_does_not_reach_the_engine(tmp_path, engine):
    given = problem(epochs=1, engine=engine)
    with checkpoint_folder(tmp_path, fingerprint(given), 0.0) as checkpointer:
        train(given, checkpoint=checkpointer)
        _rewritten(tmp_path, CRAFTED["short w"])
        with pytest.raises(InvalidValueError, match=r"Session: state\.w must be of shape"):
            train(given, checkpoint=checkpointer)
