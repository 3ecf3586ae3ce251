"""Why: whatever is killed, a search ends with exactly the trials asked for, each once, each as if it had run alone.

In: real worker processes, killed and signaled. Out: stores that are whole, trials that are the same as undisturbed ones.
"""

import os
import random
import signal
import sqlite3
import subprocess
import sys
import time
from contextlib import closing
from dataclasses import replace

import numpy as np
import pytest

from chainrule.data import Dataset, Parts
from chainrule.errors import ChainruleError, FormatError, InvalidValueError, MissingError
from chainrule.io import load_model
from chainrule.pipeline import Settings, build_problem, stopping_monitors
from chainrule.search import SearchBudget, Space, search
from chainrule.search.driver import run_search
from chainrule.search.executor import ProcessExecutor, start_worker
from chainrule.search.rungs import ProblemCache, RungTask, SearchData, perform
from chainrule.search.spec import plan_search
from chainrule.search.store import opened
from chainrule.train import train

KILLS = max(2, int(os.environ.get("CHAINRULE_KILLS", "50")) // 15)
SPACE = {
    "learning_rate_init": {"low": 1e-3, "high": 1e-1, "log": True},
    "width": {"low": 4, "high": 24},
    "dropout": {"low": 0.0, "high": 0.4},
    "activation": {"choices": ["relu", "tanh"]},
}
SETTINGS = Settings(max_iter=9, n_iter_no_change=4)
LONG = Settings(max_iter=243, n_iter_no_change=243)
processes = pytest.mark.skipif(not os.path.isdir("/proc"), reason="needs fork and /proc")
forking = pytest.mark.filterwarnings("ignore:.*fork")  # JAX or threads may be at work here; the child uses neither


def data(n=200, seed=0):
    draw = np.random.default_rng(seed)
    X = draw.normal(size=(n, 4))
    y = (X[:, 0] + X[:, 1] ** 2 > 0.5).astype(np.int64) + (X[:, 2] > 1)
    return Dataset("made", X, y, "classification", ("a", "b", "c", "d"), "kind")


def run(folder, method="random", trials=8, settings=SETTINGS, seeds=1, space=SPACE, source=None, **more):
    budget = SearchBudget(method, trials, seeds=seeds)
    return search(source or data(), space, out=folder, budget=budget, settings=settings, **more)


class Here:
    """Does the work in this process, when it is waited for: no time is lost to processes where none is under test."""

    slots = 1

    def __init__(self, data):
        self.cache, self.tasks, self.done = ProblemCache(data), [], []

    def submit(self, task):
        self.tasks.append(task)

    def wait(self, timeout):
        self.done.append(self.tasks[0].name)
        return (perform(self.cache, self.tasks.pop(0)),)

    def close(self):
        pass


def told(result):
    """All that must not depend on who did the work, and when."""
    return [
        (t.number, dict(t.values), t.state, t.score, t.loss, t.epochs, t.curve, [r.end for r in t.rungs])
        for t in result.trials
    ]


def stored(folder):
    with sqlite3.connect(folder / "search.db") as database:
        return database.execute("SELECT number, state FROM trials ORDER BY number").fetchall()


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory):
    return {method: run(tmp_path_factory.mktemp(method), method, executor=Here) for method in ("random", "asha")}


@pytest.fixture(scope="module")
def long(tmp_path_factory):
    """Trials long enough to be killed in their middle."""
    return run(tmp_path_factory.mktemp("long"), settings=LONG, executor=Here)


def same_as(long, found):
    """Eight trials, each ended once; each as far as it was trained the same as undisturbed."""
    assert [t.number for t in found.trials] == list(range(8))
    assert {t.state for t in found.trials} <= {"complete", "pruned"}
    for trial, whole in zip(found.trials, long.trials, strict=True):
        assert trial.values == whole.values
        assert trial.curve == whole.curve[: trial.epochs]
    assert found.best.epochs == 243


def test_workers_find_what_one_process_finds(tmp_path, undisturbed):
    found = run(tmp_path, workers=2, seeds=2)
    assert told(found) == told(undisturbed["random"])
    assert found.best.score == max(t.score for t in found.trials)
    assert len(found.finals) == 2
    assert found.finals[0].validation["accuracy"] == found.best.score
    model = load_model(tmp_path / "model.safetensors")
    np.testing.assert_array_equal(model.w, found.model.w)
    assert not list((tmp_path / "runs").iterdir())


def test_the_same_call_again_gives_what_was_found(tmp_path, undisturbed):
    first = run(tmp_path, executor=Here)

    class Idle(Here):
        def submit(self, task):
            raise AssertionError(f"{task.name} was done before")

    again = run(tmp_path, executor=Idle)
    assert told(again) == told(first)
    assert again.finals == first.finals
    assert again.importance == first.importance


def test_more_trials_go_on(tmp_path, undisturbed):
    run(tmp_path, trials=3, executor=Here)
    assert told(run(tmp_path, trials=8, executor=Here)) == told(undisturbed["random"])


def test_trials_are_those_of_the_plain_loop(undisturbed):
    asked = plan_search(data(), SPACE, SETTINGS, SearchBudget("random", 8))
    rows, held_out = asked.parts.train, asked.parts.validation
    for trial in undisturbed["random"].trials:
        settings = asked.settings(trial)
        problem = build_problem(settings, Parts(rows, held_out, None))
        monitors = stopping_monitors(replace(settings, early_stopping=True), validated=True)
        alone = train(problem, monitors)
        assert trial.curve == tuple((epoch.number, epoch.validation_score) for epoch in alone.epochs)
        assert trial.rungs[0].best_epoch == alone.best_epoch


def test_test_rows_change_nothing_but_the_last_figures(tmp_path):
    rows = data(260)
    train, test = rows.rows(np.arange(200)), rows.rows(np.arange(200, 260))
    wrong = Dataset("made", test.X, test.y[::-1].copy(), "classification", test.feature_names, "kind")
    one, other = (
        run(
            tmp_path / str(i),
            executor=Here,
            source=Dataset("made", train.X, train.y, "classification", train.feature_names, "kind", test=part),
        )
        for i, part in enumerate((test, wrong))
    )
    assert told(one) == told(other)
    assert one.finals[0].validation == other.finals[0].validation
    assert one.finals[0].test != other.finals[0].test


def test_halving_trains_few_to_the_end(undisturbed):
    found = undisturbed["asha"]
    complete = [t for t in found.trials if t.state == "complete"]
    assert {t.state for t in found.trials} == {"complete", "pruned"}
    assert 1 <= len(complete) < len(found.trials)
    assert all(t.epochs == 9 or len(t.curve) < 9 for t in complete)
    assert [t.epochs for t in found.trials if t.state == "pruned"].count(1) >= 4
    assert sum(t.epochs for t in found.trials) < 0.7 * 9 * len(found.trials)


def test_rungs_come_to_what_one_run_comes_to(tmp_path, undisturbed):
    asked = plan_search(data(), SPACE, SETTINGS, SearchBudget("random", 8))
    cache, settings = ProblemCache(asked.data), asked.settings(undisturbed["random"].trials[0])

    def rungs(name, ends, lose=False):
        begin, result = 0, None
        for end in ends:
            if lose:
                for file in (tmp_path / name).glob("snapshot-*"):
                    file.write_bytes(b"")
            folder = str(tmp_path / name)
            result = perform(cache, RungTask(name, settings, folder, begin, end, end == ends[-1], end == ends[-1]))
            assert result.epochs == end
            assert result.ended == (end == ends[-1])
            begin = end
        return result

    whole = rungs("whole", (9,))
    for name, ends, lose in (("thirds", (1, 3, 9), False), ("lost", (2, 9), True), ("twice", (3, 3, 9), False)):
        found = rungs(name, ends, lose)
        assert (found.score, found.loss, found.curve) == (whole.score, whole.loss, whole.curve)
        np.testing.assert_array_equal(found.model.w, whole.model.w)


def test_amounts_are_compared_by_rmse_in_their_own_unit(tmp_path):
    draw = np.random.default_rng(1)
    X = draw.normal(size=(150, 3))
    rows = Dataset("amounts", X, 100.0 * X[:, 0] + draw.normal(size=150), "regression", ("a", "b", "c"), "y")
    found = run(tmp_path, trials=5, executor=Here, source=rows)
    assert found.metric == "rmse"
    assert found.best.score == min(t.score for t in found.trials)
    assert found.finals[0].validation["rmse"] == pytest.approx(found.best.score, rel=1e-5)


def test_a_trial_that_cannot_be_trained_is_pruned(tmp_path):
    space = {"batch_norm": {"choices": [False, True]}, "layer_norm": {"choices": [False, True]}}
    found = run(tmp_path, trials=12, space=space, executor=Here)
    both = [t for t in found.trials if t.values["batch_norm"] and t.values["layer_norm"]]
    assert both
    assert all(t.state == "pruned" for t in both)
    assert len(both) == sum(t.state == "pruned" for t in found.trials)


def test_when_nothing_can_be_trained_it_says_why(tmp_path):
    with pytest.raises(InvalidValueError, match=r"no trial completed\. diverged"):
        run(tmp_path, trials=2, space={"learning_rate_init": {"low": 1e30, "high": 1e31}}, executor=Here)


def test_a_time_limit_ends_it(tmp_path):
    budget = SearchBudget("random", None, seconds=0.3, seeds=1)
    found = search(data(), SPACE, out=tmp_path, budget=budget, settings=SETTINGS, executor=Here)
    assert len(found.trials) > 1
    assert all(t.state == "complete" for t in found.trials)
    with pytest.raises(InvalidValueError, match="set `trials` or `seconds`"):
        SearchBudget("random", None)


def test_trees_learn_and_go_on_alike(tmp_path):
    pytest.importorskip("optuna", reason="chainrule[search] is not installed")
    settings = Settings(max_iter=2, hidden_layer_sizes=(4,))
    one = run(tmp_path / "one", "tpe", 16, settings, executor=Here)
    run(tmp_path / "two", "tpe", 12, settings, executor=Here)
    two = run(tmp_path / "two", "tpe", 16, settings, executor=Here)
    assert told(one) == told(two)
    drawn = Space.of(SPACE)
    assert [dict(t.values) == drawn.draw(0, t.number) for t in one.trials] == [True] * 10 + [False] * 6
    assert sum(one.importance.values()) == pytest.approx(1.0)
    assert max(one.importance, key=one.importance.get) == "learning_rate_init"


def test_trees_need_optuna(monkeypatch, tmp_path):
    monkeypatch.setattr("chainrule.search.sampling.find_spec", lambda name: None)
    with pytest.raises(MissingError, match=r"pip install 'chainrule\[search\]'"):
        run(tmp_path, "tpe", executor=Here)


def test_another_search_is_refused(tmp_path):
    run(tmp_path, trials=1, executor=Here)
    with pytest.raises(InvalidValueError, match=r"with a different max_iter\. Choose a new folder"):
        run(tmp_path, trials=1, settings=Settings(max_iter=8, n_iter_no_change=4), executor=Here)
    with pytest.raises(InvalidValueError, match="with a different data, test"):
        run(tmp_path, trials=1, source=data(seed=1), executor=Here)
    with opened(tmp_path / "held", "x", {}), pytest.raises(InvalidValueError, match="Another process searches in it"):
        run(tmp_path / "held", executor=Here)
    (tmp_path / "search.db").write_bytes(b"no database" * 100)
    with pytest.raises(FormatError, match="database cannot be read"):
        run(tmp_path, trials=1, executor=Here)


def test_no_trial_ends_twice(tmp_path):
    with opened(tmp_path, "x", {}) as store:
        store.begin(0, {})
        store.end(0, "complete")
        with pytest.raises(ValueError, match="has ended already"):
            store.end(0, "pruned")
        with pytest.raises(ValueError, match="has ended already"):
            begin_and_end(store)
        assert [t.number for t in store.trials()] == [0]


def begin_and_end(store):
    """Of two events that belong together the second fails: neither has happened."""
    with store.together():
        store.begin(1, {})
        store.end(0, "complete")


class Murdered(ProcessExecutor):
    """Workers of which one is killed now and then, at moments by chance."""

    draw = random.Random(0)
    kills = 0

    def wait(self, timeout):
        if Murdered.kills < KILLS and self.pids and self.draw.random() < 0.3:
            time.sleep(self.draw.uniform(0, 0.05))
            os.kill(self.draw.choice(self.pids), signal.SIGKILL)
            Murdered.kills += 1
        return super().wait(timeout)


@pytest.mark.skipif(os.name != "posix", reason="needs SIGKILL")
def test_killed_workers_cost_nothing_but_time(tmp_path, long):
    Murdered.kills = rounds = 0
    while Murdered.kills < KILLS:
        rounds += 1
        method = ("random", "asha")[rounds % 2]
        found = run(tmp_path / str(rounds), method, settings=LONG, executor=lambda data: Murdered(data, 2))
        same_as(long, found)
        if method == "random":
            assert told(found) == told(long)


LETHAL = """
import sys
from chainrule.search import rungs, worker
kept = rungs.perform
worker.perform = lambda cache, task: sys.exit(9) if task.name == "lethal" else kept(cache, task)
worker.main()
"""


def stand_in(code):
    """A way to start workers that run this code."""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.DEVNULL, "env": environment}
    return lambda: subprocess.Popen([sys.executable, "-c", code], **pipes)


def results(executor, count):
    found = []
    until = time.monotonic() + 60
    while len(found) < count and time.monotonic() < until:
        found += executor.wait(1.0)
    return found


def test_what_kills_its_workers_is_given_up(tmp_path, monkeypatch):
    monkeypatch.setattr("chainrule.search.executor.start_worker", stand_in(LETHAL))
    with closing(ProcessExecutor(SearchData.of(data(60), data(60)), 1)) as executor:
        for name in ("good", "lethal", "better"):
            executor.submit(RungTask(name, Settings(max_iter=1), str(tmp_path / name), 0, 1))
        found = {result.name: result.fault for result in results(executor, 3)}
    assert found == {"good": "", "lethal": "5 workers died while training it (out of memory?)", "better": ""}


def test_a_worker_that_cannot_be_started_is_told(tmp_path, monkeypatch):
    monkeypatch.setattr("chainrule.processes.sys.executable", str(tmp_path / "nothing"))
    with pytest.raises(FileNotFoundError, match="nothing"):
        run(tmp_path, workers=1)


def test_workers_that_cannot_run_end_the_search(tmp_path, monkeypatch):
    monkeypatch.setattr("chainrule.search.executor.start_worker", stand_in("pass"))
    with pytest.raises(ChainruleError, match="5 workers died before"):
        run(tmp_path, workers=1)


def children(pid):
    """Live processes whose parent this is."""
    found = []
    for entry in os.listdir("/proc"):
        if entry.isdigit():
            try:
                with open(f"/proc/{entry}/stat") as file:
                    rest = file.read().rsplit(")", 1)[1]
            except OSError:
                continue
            if int(rest.split()[1]) == pid and rest.split()[0] != "Z":
                found.append(int(entry))
    return found


def alive(pid):
    try:
        with open(f"/proc/{pid}/stat") as file:
            return file.read().rsplit(")", 1)[1].split()[0] != "Z"
    except OSError:
        return False


def forked(folder, method="random", settings=SETTINGS, watch=lambda status: None):
    """A driver in a child of this process, which costs no interpreter start."""
    child = os.fork()
    if child == 0:
        code = 1
        try:
            code = 130 if run(folder, method, settings=settings, workers=2, watch=watch).interrupted else 0
        finally:
            os._exit(code)
    return child


@processes
@forking
@pytest.mark.parametrize("method", ["random", "asha"])
def test_a_killed_driver_goes_on(tmp_path, long, method):
    draw = random.Random(1)
    for _ in range(KILLS // 2 + 1):
        child = forked(tmp_path, method, LONG)
        while not (tmp_path / "search.db").exists():
            time.sleep(0.01)
        time.sleep(draw.uniform(0.0, 2.5))
        workers = children(child)
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        until = time.monotonic() + 10
        while any(map(alive, workers)) and time.monotonic() < until:
            time.sleep(0.01)
        assert not any(map(alive, workers)), "workers outlive their driver"
    found = run(tmp_path, method, settings=LONG, workers=2)
    same_as(long, found)
    assert stored(tmp_path) == [(t.number, t.state) for t in found.trials]
    if method == "random":
        assert told(found) == told(long)
    assert not list((tmp_path / "runs").iterdir())


@processes
@forking
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_it_in_time_and_keeps_what_was_trained(tmp_path, number):
    child = forked(tmp_path, settings=Settings(max_iter=10**6, n_iter_no_change=10**6))
    until = time.monotonic() + 30
    while len(list(tmp_path.glob("runs/*/lock"))) < 2 and time.monotonic() < until:
        time.sleep(0.02)
    time.sleep(0.3)
    asked = time.monotonic()
    os.kill(child, number)
    _, status = os.waitpid(child, 0)
    assert time.monotonic() - asked < 5
    assert os.waitstatus_to_exitcode(status) == 130
    assert stored(tmp_path) == [(0, "running"), (1, "running")]
    assert len(list(tmp_path.glob("runs/*/snapshot-*.json"))) == 2


def test_a_worker_ends_with_its_driver():
    worker = start_worker()
    worker.stdin.close()
    assert worker.wait(timeout=30) == 0
    worker.stdout.close()


def test_answers_watch(tmp_path):
    statuses = []
    asked = plan_search(data(), SPACE, SETTINGS, SearchBudget("random", 4, seeds=2))
    run_search(asked, tmp_path, Here, statuses.append)
    assert statuses[-1].finals == 2
    assert [len(status.trials) for status in statuses] == sorted(len(status.trials) for status in statuses)
    assert statuses[0].under_way == {0}
