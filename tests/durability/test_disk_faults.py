"""Why: a full or faulty disk must cost what could not be written, and nothing else, whichever call it is that fails.

In: each effect on files, one after another, made to fail. Out: sentences that say what and where, whole files, no leftovers.
"""

import ast
import errno
import json
import os
import re
import shutil
import sqlite3
import warnings
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest
from faulty_disk import HARMLESS, REFUSALS, disk

import chainrule
from chainrule.cli import options as o
from chainrule.cli import run_folder
from chainrule.cli.problem import load_problem
from chainrule.cli.run_folder import TrainOutcome, draw, new_run_folder, write
from chainrule.engines import Rows
from chainrule.errors import WriteError
from chainrule.io import load_model, save_model
from chainrule.io.files import append, make_folder, write_atomically
from chainrule.nn.losses import MeanSquaredError
from chainrule.nn.multilayer import mlp
from chainrule.nn.step import Recipe
from chainrule.pipeline import Settings
from chainrule.search import SearchBudget, search
from chainrule.search.rungs import ProblemCache, RungTask, SearchData, perform
from chainrule.search.store import opened
from chainrule.studies import Conclusion, Study, StudyConfig, run
from chainrule.studies.presenting import write as write_page
from chainrule.train import TrainConfig, TrainingProblem, train
from chainrule.train.checkpoint import checkpoint_folder, fingerprint

SENTENCE = re.compile(r"^[\w-]+: could not write '.+': [A-Z][\w /]+\.( [A-Z].+\.)?$")
KINDS = REFUSALS | HARMLESS


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    """Nothing is flushed for real: no power is cut here, and a hundred flushes take seconds."""
    monkeypatch.setattr(os, "fsync", lambda handle: None)


def every_fault(root, action, kinds=KINDS, before=lambda: None):
    """Do something again and again, each time with another effect failing in another way; yield what came of it.

    It ends where no effect is left to fail. Yields the kind, the disk, and the error that was raised, if one was.
    """
    for kind, happens in kinds.items():
        at = 1
        while True:
            error = None
            before()
            with disk(root, happens, at) as now:
                try:
                    action()
                except Exception as raised:
                    error = raised
            if not now.happened:
                assert error is None
                break
            yield kind, now, error
            at += 1


def check_sentence(error, kind):
    assert isinstance(error, WriteError), repr(error)
    assert SENTENCE.match(str(error)), str(error)
    assert error.errno is None or os.strerror(error.errno) in str(error)
    assert kind not in HARMLESS


def emptied(folder):
    for path in folder.iterdir():
        shutil.rmtree(path)


def leftovers(folder):
    return [str(p) for p in folder.rglob("*") if p.name.endswith(".tmp") or p.name.endswith(".unfinished")]


def problem():
    X = np.linspace(-1, 1, 40)[:, None]
    recipe = Recipe(mlp(1, [4], 1), MeanSquaredError(), batch_size=16, seed=3)
    return TrainingProblem(recipe, Rows.of(recipe, X, X**2), TrainConfig(3, 0.05), engine="reference")


def test_a_model_is_whole_or_as_it_was(tmp_path):
    model = problem_model(0)
    path = tmp_path / "model.safetensors"
    save_model(problem_model(1), path)
    old = path.read_bytes()
    save_model(model, tmp_path / "new.safetensors")
    new = (tmp_path / "new.safetensors").read_bytes()
    count = 0
    for kind, now, error in every_fault(
        tmp_path, lambda: save_model(model, path), before=lambda: path.write_bytes(old)
    ):
        count += 1
        if error is None:
            assert path.read_bytes() == new
        else:
            check_sentence(error, kind)
            assert str(path) in str(error)
            assert path.read_bytes() in (old, new)
        assert load_model(path) is not None
        assert not leftovers(tmp_path), (kind, now.happened)
    print(f"{count} faults in saving a model")
    assert count >= 5 * 4


def problem_model(seed):
    from chainrule import NetClassifier

    return NetClassifier((3,), max_iter=1, random_state=seed).fit([[0.0], [1.0]] * 20, [0, 1] * 20)


def test_a_training_goes_on_whatever_its_checkpoints_meet(tmp_path):
    given = problem()
    name, whole = fingerprint(given), train(given)
    folder = tmp_path / "kept"
    count = 0

    def action():
        with checkpoint_folder(folder, name, 0.0) as checkpointer:
            return train(given, checkpoint=checkpointer)

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for kind, now, error in every_fault(tmp_path, action, before=lambda: emptied(tmp_path)):
            count += 1
            if error is not None:  # the folder itself could not be made or locked: nothing was trained yet
                check_sentence(error, kind)
                assert len(now.effects) <= 3, now.happened
            assert not leftovers(tmp_path), (kind, now.happened)
            with checkpoint_folder(folder, name, 0.0) as checkpointer:
                again = train(given, checkpoint=checkpointer)
            np.testing.assert_array_equal(again.state.w, whole.state.w)
            assert not [note for note in again.notes if "damaged" in note]
    print(f"{count} faults in a training with checkpoints")
    assert count > 100


def test_a_full_disk_warns_once_and_says_so_in_the_notes(tmp_path):
    given = problem()
    with checkpoint_folder(tmp_path, fingerprint(given), 0.0) as checkpointer:
        real, os.write = os.write, full
        try:
            with pytest.warns(RuntimeWarning, match="No space left on device.*Training goes on") as caught:
                ended = train(given, checkpoint=checkpointer)
        finally:
            os.write = real
        assert len(caught) == 1
        assert len([note for note in ended.notes if "No space left" in note]) == 1
        np.testing.assert_array_equal(ended.state.w, train(given).state.w)
        assert checkpointer.load() is None
    assert [path.name for path in tmp_path.iterdir()] == ["lock"]


def full(*arguments):
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


@pytest.fixture(scope="module")
def outcome():
    options = o.TrainOptions(epochs="1", engine="reference")
    loaded = load_problem("iris", options, "train", quiet=True)
    ended = train(loaded.problem)
    return TrainOutcome("iris", options, loaded, loaded.problem.model(ended.state), ended, {"test": {}}, None)


@pytest.mark.parametrize("there", [False, True], ids=["new", "empty"])
def test_a_run_folder_is_whole_or_not_there(tmp_path, monkeypatch, capsys, outcome, there):
    monkeypatch.setattr(run_folder, "learning_curves", lambda outcome: "picture")
    monkeypatch.setattr(run_folder, "run_report", lambda outcome: "page")
    out = tmp_path / "some" / "run"
    results = {"model.safetensors", "run.jsonl", "config.json"}
    count = pictures = 0

    def action():
        with new_run_folder("iris", out) as unfinished:
            write(unfinished.place, outcome)
            draw(unfinished.place, outcome)
            return unfinished.finish()

    def before():
        emptied(tmp_path)
        if there:
            out.mkdir(parents=True)

    for kind, now, error in every_fault(tmp_path, action, before=before):
        count += 1
        told = capsys.readouterr().err
        names = {path.name for path in out.iterdir()} if out.exists() else set()
        assert not leftovers(tmp_path), (kind, now.happened)
        if error is not None:
            check_sentence(error, kind)
            assert names == set(), (kind, now.happened)
            assert (tmp_path / "some").exists() == there
        else:
            assert results <= names
            pictures += len(names) < 5
            assert 5 - len(names) <= told.count("warning: ") <= 1
            assert "Traceback" not in told
    print(f"{count} faults in a run folder, {pictures} of them in pictures only")
    assert count > 100
    assert pictures >= 20


class Cursed:
    """A database that says no at the n-th statement, as sqlite3 does when the disk is full."""

    def __init__(self, real, at):
        self.real, self.at, self.count = real, at, 0

    def execute(self, *arguments):
        self.count += 1
        if self.count == self.at:
            error = sqlite3.OperationalError("database or disk is full")
            error.sqlite_errorcode = sqlite3.SQLITE_FULL
            raise error
        return self.real.execute(*arguments)

    def __getattr__(self, name):
        return getattr(self.real, name)


SEARCH = {"space": {"width": {"low": 2, "high": 9}}, "budget": SearchBudget("random", 3, seeds=1)}


class Here:
    slots = 1

    def __init__(self, data):
        self.cache, self.tasks = ProblemCache(data), []

    def submit(self, task):
        self.tasks.append(task)

    def wait(self, timeout):
        return (perform(self.cache, self.tasks.pop(0)),)

    def close(self):
        pass


def searched(folder):
    settings = Settings(max_iter=2, engine="reference")
    found = search("iris", out=folder, settings=settings, executor=Here, **SEARCH)
    return [(t.number, dict(t.values), t.state, t.score) for t in found.trials], found.model.w


def test_a_search_whose_database_cannot_grow_ends_with_a_sentence_and_resumes(tmp_path, monkeypatch):
    told, w = searched(tmp_path / "whole")
    real, count = sqlite3.connect, 0
    for at in range(1, 40):
        folder = tmp_path / f"at-{at}"
        monkeypatch.setattr(sqlite3, "connect", lambda *a, at=at, **k: Cursed(real(*a, **k), at))
        error = None
        try:
            searched(folder)
        except WriteError as raised:
            error = str(raised)
        monkeypatch.setattr(sqlite3, "connect", real)
        if error is None:
            break
        count += 1
        assert re.match(r"search: could not write '.*search.db': database or disk is full\. What", error)
        again, w_again = searched(folder)
        assert again == told
        np.testing.assert_array_equal(w, w_again)
        assert not leftovers(folder)
    print(f"{count} faults in the database of a search")
    assert count >= 10


def overfill(folder):
    with opened(folder, "x", {}) as store:
        store._database.execute("PRAGMA max_page_count = 1")
        for number in range(2000):
            store.begin(number, {"a": "b" * 500})


def test_a_database_that_is_really_full_is_named(tmp_path):
    with pytest.raises(WriteError, match=r"search: could not write '.*search.db': database or disk is full"):
        overfill(tmp_path)
    with opened(tmp_path, "x", {}) as store:
        assert all(trial.state == "running" for trial in store.trials())


def test_every_fault_in_the_files_of_a_search_is_named(tmp_path):
    told, w = searched(tmp_path / "whole")
    folder = tmp_path / "found"
    count = 0
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for kind, now, error in every_fault(folder, lambda: searched(folder), {"ENOSPC": REFUSALS["ENOSPC"]}):
            count += 1
            if error is not None:
                check_sentence(error, kind)
            again, w_again = searched(folder)
            assert again == told, now.happened
            np.testing.assert_array_equal(w, w_again)
            assert not leftovers(folder)
            for name in ("search.db", "model.safetensors"):
                (folder / name).unlink(missing_ok=True)
    print(f"{count} faults in the files of a search")
    assert count >= 10


def test_a_rung_whose_folder_cannot_be_made_is_no_pruned_trial(tmp_path):
    (tmp_path / "file").write_bytes(b"")
    rows = chainrule.data.load("iris")
    result = perform(
        ProblemCache(SearchData.of(rows, rows)), RungTask("a", Settings(), str(tmp_path / "file" / "b"), 0, 1)
    )
    assert result.unwritable
    assert result.fault.startswith("Checkpoint: could not write")


def counted(cells):
    def one(cell):
        cells.append(cell.key)
        return {"figure": cell.seed}

    return Study("symmetry", "Counted", "", "", lambda config: {"a": {}, "b": {}}, one, conclude, lambda results: {})


def conclude(results):
    return Conclusion("found", None, ("a",), (("b",),))


def test_a_study_keeps_its_records_and_repeats_what_was_not_written(tmp_path, monkeypatch):
    cells = []
    study = counted(cells)
    monkeypatch.setattr("chainrule.studies.STUDIES", {"symmetry": study})
    folder, config = tmp_path / "out", StudyConfig(seeds=2)
    count = 0

    def action():
        write_page([study], run([study], config, folder, 1), config, folder)

    def before():
        emptied(tmp_path)
        cells.clear()

    for kind, now, error in every_fault(tmp_path, action, before=before):
        count += 1
        if error is not None:
            check_sentence(error, kind)
            assert not leftovers(tmp_path), (kind, now.happened)
            journal = folder / "records.jsonl"
            lines = journal.read_text().splitlines() if journal.exists() else []
            assert [json.loads(line)["key"] for line in lines] == cells[: len(lines)]
            assert len(cells) - len(lines) <= 1
            action()
        assert len((folder / "records.jsonl").read_text().splitlines()) == 4
        assert "found" in (folder / "index.html").read_text()
    print(f"{count} faults in a study")
    assert count > 40


@pytest.mark.parametrize("kind", REFUSALS)
def test_folders_are_made_all_or_none(tmp_path, kind):
    count = 0
    for _, _, error in every_fault(
        tmp_path, lambda: make_folder(tmp_path / "a" / "b" / "c", "x"), {kind: REFUSALS[kind]}
    ):
        count += 1
        check_sentence(error, kind)
        assert os.listdir(tmp_path) == []
    assert count == 3


def test_lines_are_added_whole(tmp_path):
    path = tmp_path / "lines"
    append(path, b"one\n", "x")
    count = 0
    for kind, _, error in every_fault(
        tmp_path, lambda: append(path, b"two\n", "x"), before=lambda: path.write_bytes(b"one\n")
    ):
        count += 1
        assert path.read_bytes() == (b"one\n" if error else b"one\ntwo\n")
        if error:
            check_sentence(error, kind)
    assert count == 5 * 3


def test_what_a_killed_process_was_writing_is_removed_and_what_a_living_one_writes_is_not(tmp_path):
    path = tmp_path / "model.bin"
    (tmp_path / ".model.bin.0123456789ab.tmp").write_bytes(b"half")
    (tmp_path / ".model.bin.notes.tmp").write_bytes(b"a user's")
    (tmp_path / ".other.bin.0123456789ab.tmp").write_bytes(b"half of another")
    living = chainrule.io.files._temporary(path)
    write_atomically(path, b"whole")
    with closing(os.fdopen(living[0], "wb")):
        assert sorted(os.listdir(tmp_path)) == sorted(
            [living[1].name, ".model.bin.notes.tmp", ".other.bin.0123456789ab.tmp", "model.bin"]
        )


@pytest.mark.parametrize("name", ["n" * 250, "é" * 120, "a b", "x.tmp", "%s[0-9]*"])
def test_names_up_to_what_the_system_allows_can_be_written(tmp_path, name):
    write_atomically(tmp_path / name, b"data")
    assert os.listdir(tmp_path) == [name]


def test_a_name_that_is_too_long_is_named(tmp_path):
    with pytest.raises(WriteError, match=r"File name too long\. Choose a shorter name"):
        write_atomically(tmp_path / ("n" * 300), b"data")


SRC = Path(chainrule.__file__).parent
EFFECTS = {
    "write_text",
    "write_bytes",
    "mkdir",
    "makedirs",
    "mkstemp",
    "touch",
    "unlink",
    "rmdir",
    "truncate",
    "rename",
    "rmtree",
}
ALLOWED = {
    "io/files.py": EFFECTS | {"open"},
    "io/staging.py": {"unlink"},
    "search/rungs.py": {"rmtree"},  # best effort: what is left is removed at the end
    "data/download.py": {"mkdir", "write_bytes", "unlink"},  # the cache of MNIST, below `io`
    "callbacks/tensorboard.py": {"mkdir"},  # TensorBoard writes its files itself
    "data/table/reading.py": {"rename"},  # columns of a frame
    "data/table/encoding.py": {"rename"},
    "report/explain_steps.py": {"rename"},  # letters of an equation
    "exporters/c_run.py": {"write_bytes", "write_text"},  # a temporary folder in which a file is checked
    "exporters/js_run.py": {"write_bytes", "write_text"},
    "exporters/torch_module.py": {"write_bytes"},
}


def effects(path):
    """Names of calls by which a source changes files."""
    for node in ast.walk(ast.parse(path.read_text())):
        if not isinstance(node, ast.Call):
            continue
        name = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
        words = [a.value for a in (*node.args, *(k.value for k in node.keywords)) if isinstance(a, ast.Constant)]
        writes = any(isinstance(w, str) and set(w) <= set("rwaxbt+") and set(w) & set("wax+") for w in words)
        if name in EFFECTS or (name == "open" and writes):
            yield name


@pytest.mark.parametrize("path", sorted(SRC.rglob("*.py")), ids=lambda path: str(path.relative_to(SRC)))
def test_all_effects_on_files_go_through_one_module(path):
    allowed = ALLOWED.get(path.relative_to(SRC).as_posix(), set())
    assert set(effects(path)) <= allowed
