"""Rungs of small networks run in blocks of epochs, and give what the loop gives, paused and resumed or not."""

from dataclasses import replace

import pytest

import chainrule.train.loop as loop
from chainrule.data import load, three_way
from chainrule.pipeline import Settings
from chainrule.search.rungs import ProblemCache, RungCheckpointer, RungTask, SearchData, perform
from chainrule.train.interrupts import stopping_when

SETTINGS = Settings(hidden_layer_sizes=(6,), max_iter=30, n_iter_no_change=8, learning_rate_init=0.01)
CASES = {
    "plain": SETTINGS,
    "never stopped": replace(SETTINGS, n_iter_no_change=None),
    "smoothed": replace(SETTINGS, n_iter_no_change="auto", max_iter=40),
    "batch norm": replace(SETTINGS, batch_norm=True, dropout=0.2),
    "full batch": replace(SETTINGS, batch_size="full", alpha=0.01),
    "diverges": replace(SETTINGS, learning_rate_init=1e30, optimizer="sgd"),
}


@pytest.fixture(scope="module")
def data():
    parts = three_way(load("iris"), 0.2, 0.2, seed=0)
    return SearchData.of(parts.train, parts.validation)


def told(result):
    return repr({**vars(result), "seconds": 0, "model": None if result.model is None else result.model.w.tolist()})


def rungs(data, settings, folder, ends):
    task = RungTask("trial-00000", settings, str(folder), 0, ends[0])
    for i, end in enumerate(ends):
        last = i == len(ends) - 1
        result = perform(ProblemCache(data), replace(task, end=end, last=last, model=last))
    return result


@pytest.mark.parametrize("ends", [[30], [7, 30], [1, 2, 30]], ids=str)
@pytest.mark.parametrize("case", CASES)
def test_rungs_in_blocks_are_the_rungs_of_the_loop(case, ends, data, tmp_path, monkeypatch):
    calls = []
    blocks = loop.train_in_blocks

    def counted(*arguments):
        calls.append(1)
        return blocks(*arguments)

    monkeypatch.setattr(loop, "train_in_blocks", counted)
    fast = rungs(data, CASES[case], tmp_path / "blocks", ends)
    assert calls
    count = len(calls)
    monkeypatch.setattr(RungCheckpointer, "between_blocks", False)
    slow = rungs(data, CASES[case], tmp_path / "loop", ends)
    assert len(calls) == count
    assert told(fast) == told(slow)


def test_a_snapshot_that_is_due_between_blocks_is_one_to_go_on_from(data, tmp_path, monkeypatch):
    saved = []
    save = RungCheckpointer.save

    def noted(self, snapshot):
        saved.append(snapshot)
        save(self, snapshot)

    monkeypatch.setattr(RungCheckpointer, "save", noted)
    monkeypatch.setattr(RungCheckpointer, "due", lambda self: True)
    settings = replace(SETTINGS, n_iter_no_change=3, max_iter=60)
    whole = rungs(data, settings, tmp_path / "run", [60])
    between = [snapshot for snapshot in saved if snapshot.stop is None]
    assert between
    monkeypatch.setattr(RungCheckpointer, "load", lambda self: between[len(between) // 2])
    assert told(rungs(data, settings, tmp_path / "again", [60])) == told(whole)


@pytest.mark.parametrize("asked", [1, 2, 3, 5, 8])
def test_a_rung_that_a_signal_cuts_short_is_saved_and_goes_on(asked, data, tmp_path, monkeypatch):
    saved, questions = [], []
    save = RungCheckpointer.save

    def stop():
        questions.append(1)
        return len(questions) > asked

    monkeypatch.setattr(RungCheckpointer, "save", lambda self, snapshot: saved.append(snapshot) or save(self, snapshot))
    settings = replace(SETTINGS, n_iter_no_change=None, max_iter=4000)
    with stopping_when(stop):
        cut = rungs(data, settings, tmp_path / "run", [4000])
    assert cut.interrupted
    assert len(saved) == 1
    assert saved[0].stop is None
    assert int(saved[0].state.step) == 3 * len(saved[0].epochs) + int(saved[0].sums.steps)
    fewer = replace(settings, max_iter=len(saved[0].epochs) + 3)
    monkeypatch.setattr(RungCheckpointer, "load", lambda self: saved[0])
    again = rungs(data, fewer, tmp_path / "again", [fewer.max_iter])
    monkeypatch.setattr(RungCheckpointer, "load", lambda self: None)
    assert told(again) == told(rungs(data, fewer, tmp_path / "whole", [fewer.max_iter]))
