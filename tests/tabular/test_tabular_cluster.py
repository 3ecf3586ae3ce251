"""Why: on a cluster machines come and go; a pack has each network once, and is the pack that one machine trains.

In: a Ray cluster of two nodes on the loopback, one of which is killed in the middle. Out: the same bits.
"""

from __future__ import annotations

import re
import threading
import time
from importlib.util import find_spec

import numpy as np
import pytest
from cluster_cases import added, two_nodes

from chainrule import TableClassifier, TableRegressor
from chainrule.cluster import attach
from chainrule.errors import ChainruleError, InvalidValueError, MissingError

QUICK = {"members": 8, "folds": 4, "epochs": [30, 30], "steps": 3000, "width": [32, 32]}
needs_ray = pytest.mark.skipif(find_spec("ray") is None, reason="chainrule[cluster] is not installed")


@pytest.fixture
def own_cluster():
    import ray

    ray.shutdown()
    with two_nodes() as nodes:
        yield nodes


def rows(n=400):
    draw = np.random.default_rng(0)
    size = draw.normal(size=n)
    kind = draw.integers(3, size=n)
    X = [{"size": float(s), "kind": "abc"[k]} for s, k in zip(size, kind, strict=True)]
    return X, size + kind


def same(one, other):
    assert [member.number for member in other.run_.members] == [member.number for member in one.run_.members]
    for mine, theirs in zip(one.run_.members, other.run_.members, strict=True):
        np.testing.assert_array_equal(mine.w, theirs.w)
        np.testing.assert_array_equal(mine.Z, theirs.Z)
        assert (mine.settings, mine.best_epoch) == (theirs.settings, theirs.best_epoch)
    np.testing.assert_array_equal(one.run_.weights, other.run_.weights)
    assert one.run_.loss == other.run_.loss


@needs_ray
@pytest.mark.filterwarnings("ignore")
def test_a_node_that_is_killed_during_a_pack_changes_no_bit(cluster):
    X, y = rows()
    settings = {"preset": QUICK, "seconds": None, "random_state": 3}
    alone = TableRegressor(**settings).fit(X, y)
    node = added(cluster)
    attach("test", cluster.address)
    on_cluster = TableRegressor(**settings, cluster=cluster.address)
    killed = []

    def kill(member):
        if not killed:
            killed.append(cluster.remove_node(node, allow_graceful=False))

    on_cluster.verbose = True
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("chainrule.estimators.table._narrate", kill)
        on_cluster.fit(X, y)
    assert killed
    assert len(on_cluster.run_.members) == QUICK["members"]
    same(alone, on_cluster)
    np.testing.assert_array_equal(alone.predict(X), on_cluster.predict(X))


@needs_ray
@pytest.mark.filterwarnings("ignore")
def test_a_pack_with_a_time_ends_in_time_and_counts_what_is_done(cluster):
    X, y = rows()
    long = QUICK | {"members": 24, "steps": 20_000, "epochs": [500, 500]}
    few = TableClassifier(preset=long, seconds=3, random_state=3, cluster=cluster.address)
    began = time.monotonic()
    few.fit(X, (y > 1).astype(int))
    assert time.monotonic() - began < 40
    assert few.run_.stopped == "the time was up"
    numbers = [member.number for member in few.run_.members]
    assert numbers == sorted(set(numbers))
    whole = [member for member in few.run_.members if member.complete]
    alone = TableClassifier(preset=long | {"members": 1 + max(numbers)}, seconds=None, random_state=3)
    known = {member.number: member for member in alone.fit(X, (y > 1).astype(int)).run_.members}
    for member in whole:
        np.testing.assert_array_equal(member.w, known[member.number].w)


@needs_ray
@pytest.mark.filterwarnings("ignore")
def test_an_error_of_a_network_is_raised_here(cluster, monkeypatch):
    X, y = rows(40)
    monkeypatch.setattr("chainrule.cluster.versions", lambda: "chainrule 0.0, numpy 0.0")
    with pytest.raises(InvalidValueError, match=r"cluster must be of chainrule 0\.0, numpy 0\.0 on every machine"):
        TableRegressor(preset=QUICK, seconds=None, cluster=cluster.address).fit(X, y)


def test_a_cluster_without_a_token_is_refused_before_the_rows_are_read(monkeypatch):
    monkeypatch.delenv("RAY_AUTH_MODE", raising=False)
    error = MissingError if find_spec("ray") is None else InvalidValueError
    with pytest.raises(error, match=r"TableRegressor: .*(requires a token|chainrule\[cluster\])"):
        TableRegressor(cluster="head:6379").fit([{"a": 1.0}] * 3, [1.0] * 3)


@needs_ray
@pytest.mark.filterwarnings("ignore")
def test_a_cluster_that_ends_in_the_middle_is_one_line(own_cluster):
    from chainrule.cluster import Tasks

    attach("test", own_cluster.address)
    tasks = Tasks("train", _slow, None)
    tasks.submit("0", 600.0)
    assert tasks.wait(0.1) == []
    threading.Thread(
        target=lambda: own_cluster.head_node.kill_all_processes(check_alive=False, allow_graceful=False)
    ).start()
    until = time.monotonic() + 50
    error = None
    while error is None and time.monotonic() < until:
        try:
            tasks.wait(0.2)
        except ChainruleError as raised:
            error = str(raised)
    assert re.fullmatch(r"train: cluster must be up until the end, got none at .*:\d+\. It ended.*\.", error or "")


def _slow(shared, seconds):
    time.sleep(seconds)


@needs_ray
@pytest.mark.filterwarnings("ignore")
def test_ray_of_another_version_is_one_line(cluster, monkeypatch):
    import ray

    ray.shutdown()
    monkeypatch.setattr(ray, "__version__", "2.59.0")
    with pytest.raises(InvalidValueError, match=r"test: cluster must be of Ray 2.59.0 and Python .*, got") as caught:
        attach("test", cluster.address)
    assert "The cluster was started with" in str(caught.value)
    assert "\n" not in str(caught.value)
