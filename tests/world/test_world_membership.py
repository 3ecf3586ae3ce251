"""Why: processes that train together must agree on every bit, and none may wait for ever for one that is gone.

In: worlds that fit and that do not, works that end and that hang. Out: errors that name the fault, and an end in time.
"""

import threading
import time
from types import SimpleNamespace

import numpy as np
import pytest

from chainrule import world
from chainrule.errors import InvalidValueError
from chainrule.world import World, watchdog


@pytest.mark.parametrize(
    ("coordinator", "processes", "rank", "named"),
    [
        ("here", 2, 0, "coordinator"),
        ("here:", 2, 0, "coordinator"),
        (":5000", 2, 0, "coordinator"),
        ("here:70000", 2, 0, "coordinator"),
        ("here:5000", 0, 0, "processes"),
        ("here:5000", 2, 2, "rank"),
        ("here:5000", 2, -1, "rank"),
    ],
)
def test_a_wrong_world_is_refused_by_name(coordinator, processes, rank, named):
    with pytest.raises(InvalidValueError, match=f"World: {named} must be"):
        World(coordinator, processes, rank)


def test_all_faults_of_a_world_are_told_at_once():
    with pytest.raises(InvalidValueError, match=r"coordinator.*\n.*rank"):
        World("here", 2, 7)


@pytest.mark.parametrize(
    ("variables", "expected"),
    [
        ({"SLURM_NTASKS": "4", "SLURM_PROCID": "3"}, (4, 3)),
        ({"OMPI_COMM_WORLD_SIZE": "2", "OMPI_COMM_WORLD_RANK": "0"}, (2, 0)),
        ({"SLURM_NTASKS": "4"}, None),
        ({}, None),
    ],
)
def test_launchers_say_who_takes_part(variables, expected):
    found = World.of_launcher(variables)
    assert (found and (found.processes, found.rank)) == expected


def test_only_rank_0_leads():
    assert [World("h:1", 3, rank).leads for rank in range(3)] == [True, False, False]


def test_no_world_is_joined_by_itself():
    assert world.current() is None


def test_fingerprints_are_equal_for_equal_bits_only():
    w = np.arange(4.0)
    assert (world.fingerprint("a", w) == world.fingerprint("a", w.copy())).all()
    others = [("b", w), ("a", w + 1e-16 * 8), ("a", w.astype(np.float32)), ("a", w[:3]), ("a", w[None])]
    for other in others:
        assert (world.fingerprint("a", w) != world.fingerprint(*other)).any()


def test_memory_counts_whatever_the_order_of_its_names():
    one = world.tree_parts({"m": np.ones(2), "v": np.zeros(2)})
    two = world.tree_parts({"v": np.zeros(2), "m": np.ones(2)})
    assert (world.fingerprint(*one) == world.fingerprint(*two)).all()


@pytest.fixture
def ended(monkeypatch):
    """Record why a process would have ended, in place of ending it."""
    reasons = []
    seen = threading.Event()

    def give_up(of, why):
        reasons.append(why)
        seen.set()
        while True:
            time.sleep(1)

    monkeypatch.setattr(watchdog, "give_up", give_up)
    monkeypatch.setattr(watchdog.faulthandler, "dump_traceback", lambda file: None)
    return SimpleNamespace(reasons=reasons, seen=seen)


def test_work_that_hangs_is_given_up(ended):
    began = time.monotonic()
    dog = world.Watchdog(World("h:1", 2, 0, watchdog=0.2))
    with dog.watching():
        assert ended.seen.wait(10)
    assert time.monotonic() - began < 5
    assert "no progress" in ended.reasons[0]


def test_work_that_ends_is_not_given_up(ended):
    dog = world.Watchdog(World("h:1", 2, 0, watchdog=0.3))
    for _ in range(4):
        with dog.watching():
            time.sleep(0.01)
    time.sleep(0.6)
    assert ended.reasons == []


def test_slow_work_is_given_the_time_that_it_usually_takes():
    dog = world.Watchdog(World("h:1", 2, 0, watchdog=1.0))
    assert dog.allowed() == 2.0
    for seconds, allowed in ((0.01, 1.0), (0.06, 1.2), (0.5, 2.0), (5.0, 15.0)):
        dog._durations["steps"] = [seconds] * 9
        assert dog.allowed() == pytest.approx(allowed)


@pytest.mark.parametrize("compiling", [0.0, 1.0, 15.0, 1000.0])
def test_what_compiling_took_lets_nobody_wait_longer(compiling):
    dog = world.Watchdog(World("h:1", 2, 0, watchdog=15.0))
    dog._durations["steps"] = [compiling]
    assert dog.allowed() == 30.0
    dog._durations["steps"] = [compiling, 0.1]
    dog._durations["comparison"] = [compiling] * 9
    assert dog.allowed() == 15.0


def test_a_fault_of_ones_own_passes_through(ended):
    dog = world.Watchdog(World("h:1", 2, 0, watchdog=60))
    with pytest.raises(ZeroDivisionError), dog.watching():
        _ = 1 / 0
    assert ended.reasons == []
