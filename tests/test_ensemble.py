"""Why: several networks at once must be the same networks as one by one, and must end together when one fails.

In: calls on threads. Out: their results, errors and ends.
"""

import os
import signal
import subprocess
import sys
import threading
import time

import numpy as np
import pytest
from threadpoolctl import threadpool_info

from chainrule import Activation, Dense, Net
from chainrule.callbacks import function
from chainrule.engines import Rows, why_unavailable
from chainrule.ensemble import average, cores, spread, train_together
from chainrule.errors import InvalidValueError
from chainrule.nn.losses import MeanSquaredError
from chainrule.nn.step import Recipe
from chainrule.train import TrainConfig, TrainingProblem, train


def test_results_come_in_the_order_of_the_calls():
    def late(i):
        time.sleep(0.02 * (5 - i))
        return i

    assert train_together([lambda i=i: late(i) for i in range(6)], workers=3) == list(range(6))
    assert train_together([]) == []


def test_calls_run_at_the_same_time():
    meeting = threading.Barrier(3, timeout=20)
    assert sorted(train_together([meeting.wait] * 3, workers=3)) == [0, 1, 2]


def test_one_worker_is_the_calling_thread():
    assert train_together([threading.get_ident] * 2, workers=1) == [threading.get_ident()] * 2
    assert threading.get_ident() not in train_together([threading.get_ident] * 2, workers=2)


def small(seed):
    X = np.linspace(-1, 1, 64)[:, None]
    recipe = Recipe(Net(1, [Dense(8), Activation("tanh"), Dense(1)]), MeanSquaredError(), seed=seed)
    return train(TrainingProblem(recipe, Rows.of(recipe, X, np.sin(3 * X)), TrainConfig(epochs=5))).state.w


def test_networks_are_those_that_train_alone():
    together = train_together([lambda seed=seed: small(seed) for seed in range(4)], workers=4)
    for seed, w in enumerate(together):
        np.testing.assert_array_equal(w, small(seed))


def endless(begun=lambda: None, **options):
    """A run that ends only when it is asked to; `begun` is called after its first epoch."""
    X = np.linspace(-1, 1, 64)[:, None]
    recipe = Recipe(Net(1, [Dense(1)]), MeanSquaredError(), **options)
    telling = function(lambda epoch: begun() if epoch.number == 1 else None)
    return train(TrainingProblem(recipe, Rows.of(recipe, X, X), TrainConfig(10**8), engine="reference"), [telling])


def test_the_first_error_surfaces_once_with_its_number_and_ends_the_others():
    begun, ended = threading.Event(), []

    def fails():
        assert begun.wait(20)
        raise ZeroDivisionError("no such thing")

    calls = [lambda: ended.append(str(endless(begun.set).stop)), fails, lambda: ended.append("never begun")]
    with pytest.raises(ZeroDivisionError, match="no such thing") as caught:
        train_together(calls, workers=2)
    assert caught.value.__notes__ == ["Raised by network 1."]
    assert len(ended) == 1
    assert ended[0].startswith("interrupted in epoch")
    with pytest.raises(ZeroDivisionError) as alone:
        train_together([lambda: 1 // 0])
    assert alone.value.__notes__ == ["Raised by network 0."]


INTERRUPTED = """
import signal, threading
from test_ensemble import endless
from chainrule.ensemble import train_together
begun = threading.Semaphore(0)
def tell():
    for _ in range({workers}):
        begun.acquire()
    print("begun", flush=True)
telling = threading.Thread(target=tell)
telling.start()
runs = train_together([lambda: endless(begun.release)] * 3, workers={workers})
telling.join()
print([(run.stop.reason.value, run.state.step > 0) for run in runs], threading.active_count(), flush=True)
"""


def child(code):
    """A process that prints "begun" when it can be interrupted."""
    path = os.pathsep.join([os.path.dirname(__file__), *sys.path])
    ready = subprocess.Popen(
        [sys.executable, "-c", code],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=os.environ | {"PYTHONPATH": path},
    )
    assert ready.stdout.readline() == "begun\n", ready.stderr.read()
    return ready


@pytest.mark.skipif(os.name == "nt", reason="sends a signal")
@pytest.mark.parametrize("workers", [1, 2])
def test_ctrl_c_ends_those_that_began_and_keeps_what_they_learned(workers):
    started = child(INTERRUPTED.format(workers=workers))
    started.send_signal(signal.SIGINT)
    out, error = started.communicate(timeout=60)
    assert (out, error, started.returncode) == (f"{[('interrupted', True)] * workers} 1\n", "", 0)


DEAF = """
import signal, threading, time
from chainrule.ensemble import train_together
begun, release = threading.Barrier(3), threading.Event()
def deaf():
    begun.wait()
    release.wait()
    return 1
def tell():
    begun.wait()
    print("begun", flush=True)
    while signal.getsignal(signal.SIGINT) is not signal.default_int_handler:
        time.sleep(0.001)  # until the first one is taken in
    print("asked", flush=True)
    input()
    release.set()
threading.Thread(target=tell).start()
try:
    train_together([deaf, deaf, deaf], workers=2)
except KeyboardInterrupt:
    print("raised", release.is_set(), flush=True)
"""


@pytest.mark.skipif(os.name == "nt", reason="sends a signal")
def test_a_second_ctrl_c_is_raised_when_the_threads_have_ended():
    started = child(DEAF)
    started.send_signal(signal.SIGINT)
    assert started.stdout.readline() == "asked\n"
    started.send_signal(signal.SIGINT)
    out, error = started.communicate("release\n", timeout=60)
    assert (out, error, started.returncode) == ("raised True\n", "", 0)


def openmp_limits():
    return {each["num_threads"] for each in threadpool_info() if each["user_api"] == "openmp"}


@pytest.mark.skipif(bool(why_unavailable("native")), reason="the compiled engine brings OpenMP")
def test_each_call_has_its_share_of_the_cores_and_the_caller_keeps_its_own():
    before = openmp_limits()
    small(0)
    shares = train_together([openmp_limits] * 2, workers=2)
    assert shares == [{max(1, cores() // 2)}] * 2
    assert openmp_limits() == before


def test_workers_are_a_number():
    with pytest.raises(
        InvalidValueError, match=r"^train_together: workers must be a whole number in \[1, inf\) or None, got 0\.$"
    ):
        train_together([lambda: 1], workers=0)


def test_means_and_spreads(rng):
    parts = list(rng.normal(size=(3, 5, 2)))
    np.testing.assert_allclose(average(parts), (parts[0] + parts[1] + parts[2]) / 3, rtol=1e-12)
    np.testing.assert_allclose(average(parts, [1, 0, 3]), 0.25 * parts[0] + 0.75 * parts[2], rtol=1e-12)
    np.testing.assert_allclose(spread(parts) ** 2, average([p**2 for p in parts]) - average(parts) ** 2, atol=1e-12)
    with pytest.raises(InvalidValueError, match=r"^average: predictions must be arrays of one shape"):
        average([np.zeros(2), np.zeros(3)])
    with pytest.raises(InvalidValueError, match="at least one"):
        spread([])
