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
from chainrule.engines import Rows, available
from chainrule.ensemble import average, cores, spread, train_together
from chainrule.errors import InvalidValueError
from chainrule.nn.losses import MeanSquared
from chainrule.nn.step import Recipe
from chainrule.train import Course, train


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
    recipe = Recipe(Net(1, [Dense(8), Activation("tanh"), Dense(1)]), MeanSquared(), seed=seed)
    return train(recipe, Rows.of(recipe, X, np.sin(3 * X)), Course(epochs=5)).state.w


def test_networks_are_those_that_train_alone():
    together = train_together([lambda seed=seed: small(seed) for seed in range(4)], workers=4)
    for seed, w in enumerate(together):
        np.testing.assert_array_equal(w, small(seed))


def test_the_first_error_surfaces_once_with_its_number_and_ends_the_others():
    begun, ended = threading.Event(), []

    def endless():
        begun.set()
        try:
            while True:
                time.sleep(0.001)
        finally:
            ended.append(True)

    def fails():
        assert begun.wait(20)
        raise ZeroDivisionError("no such thing")

    with pytest.raises(ZeroDivisionError, match="no such thing") as caught:
        train_together([endless, fails, lambda: ended.append("never begun")], workers=2)
    assert caught.value.__notes__ == ["Raised by network 1."]
    assert ended == [True]
    with pytest.raises(ZeroDivisionError) as alone:
        train_together([lambda: 1 // 0])
    assert alone.value.__notes__ == ["Raised by network 0."]


@pytest.mark.skipif(os.name == "nt", reason="sends a signal")
def test_ctrl_c_ends_all_of_them():
    code = """
import threading, time
import numpy as np
from chainrule import Dense, Net
from chainrule.engines import Rows
from chainrule.ensemble import train_together
from chainrule.nn.losses import MeanSquared
from chainrule.nn.step import Recipe
from chainrule.train import Course, train
recipe, X = Recipe(Net(4, [Dense(64), Dense(1)]), MeanSquared()), np.ones((256, 4))
rows = Rows.of(recipe, X, X[:, :1])
ready = threading.Barrier(3)
def call():
    ready.wait()
    train(recipe, rows, Course(epochs=10**7))
def tell():
    ready.wait()
    print("begun", flush=True)
threading.Thread(target=tell).start()
try:
    train_together([call, call], workers=2)
except KeyboardInterrupt:
    print("ended", threading.active_count(), flush=True)
"""
    child = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert child.stdout.readline() == "begun\n"
    time.sleep(0.3)
    child.send_signal(signal.SIGINT)
    out, error = child.communicate(timeout=60)
    assert (out, error, child.returncode) == ("ended 1\n", "", 0)


def openmp_limits():
    return {each["num_threads"] for each in threadpool_info() if each["user_api"] == "openmp"}


@pytest.mark.skipif(bool(available("native")), reason="the compiled engine brings OpenMP")
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
    with pytest.raises(InvalidValueError, match=r"^average: answers must be arrays of one shape"):
        average([np.zeros(2), np.zeros(3)])
    with pytest.raises(InvalidValueError, match="at least one"):
        spread([])
