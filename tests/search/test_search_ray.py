"""Why: on a cluster machines come and go; the search ends with the trials that one machine finds.

In: a Ray cluster of two nodes on the loopback, one of which is killed; a driver that is killed. Out: the same trials.
"""

import os
import signal
import subprocess
import sys
import time
from importlib.util import find_spec

import numpy as np
import pytest
from cluster_cases import added

from chainrule.cluster import attach, raise_if_old
from chainrule.data import Dataset
from chainrule.errors import InvalidValueError
from chainrule.pipeline import Settings
from chainrule.search import SearchBudget, search
from chainrule.search.ray_executor import RayExecutor

pytestmark = [
    pytest.mark.skipif(find_spec("ray") is None, reason="chainrule[cluster] is not installed"),
    pytest.mark.filterwarnings("ignore"),  # Ray's own
]

SETTINGS = Settings(max_iter=400, n_iter_no_change=400)
SPACE = {"width": {"low": 4, "high": 32}, "learning_rate_init": {"low": 1e-3, "high": 1e-2, "log": True}}


def data():
    draw = np.random.default_rng(0)
    X = draw.normal(size=(300, 4))
    return Dataset("made", X, (X[:, 0] > 0).astype(np.int64), "classification", ("a", "b", "c", "d"), "kind")


def run(folder, trials, **more):
    return search(data(), SPACE, out=folder, budget=SearchBudget("random", trials, seeds=1), settings=SETTINGS, **more)


DRIVER = """
import sys
sys.path.insert(0, {tests!r})
import test_search_ray as t
t.attach("search", {address!r})
t.run({folder!r}, {trials}, hands=lambda problem: t.RayExecutor(problem, 2))
"""


def test_a_killed_node_and_a_killed_driver_cost_no_trial(tmp_path, cluster):
    alone = run(tmp_path / "alone", 8, workers=1)
    node = added(cluster)
    place = {
        "tests": os.path.dirname(__file__),
        "address": cluster.address,
        "folder": str(tmp_path / "on"),
        "trials": 8,
    }
    driver = subprocess.Popen([sys.executable, "-c", DRIVER.format(**place)])
    until = time.monotonic() + 60
    while not list(tmp_path.glob("on/runs/*/lock")) and time.monotonic() < until:
        time.sleep(0.05)
    driver.send_signal(signal.SIGKILL)
    driver.wait()
    attach("search", cluster.address)
    killed = []

    def watch(board):
        if not killed and sum(trial.state == "complete" for trial in board.trials) >= 2:
            killed.append(cluster.remove_node(node, allow_graceful=False))

    found = run(tmp_path / "on", 8, executor=lambda data: RayExecutor(data, 2), watch=watch)
    assert killed
    assert [(t.number, t.values, t.state, t.curve) for t in found.trials] == [
        (t.number, t.values, t.state, t.curve) for t in alone.trials
    ]


def test_a_cluster_without_a_token_is_refused(monkeypatch):
    monkeypatch.delenv("RAY_AUTH_MODE", raising=False)
    with pytest.raises(InvalidValueError, match="cluster must be one that requires a token, got 'head:6379'"):
        attach("search", "head:6379")


def test_an_old_ray_is_refused():
    with pytest.raises(InvalidValueError, match=r"ray must be of version 2\.52 or later, got '2\.51\.2'"):
        raise_if_old("search", "2.51.2")
    raise_if_old("search", "2.60.0")
