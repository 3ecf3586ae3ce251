"""Files that released versions wrote must be read by every later one, with the same weights and the same answers.

In: the folders `tests/golden/VERSION`, written by `tests/golden/write.py`. Out: models, checkpoints, presets, run folders,
searches and studies that this version reads; weights equal to the bit, predictions within the rounding of other machines.
"""

import json
import shutil
import sqlite3
from contextlib import closing

import numpy as np
import pytest
from golden import cases

import chainrule
from chainrule import cli, load_model, save_model
from chainrule.cli.recorded import read_config, read_epochs
from chainrule.cli.run_folder import options_of_run
from chainrule.engines import why_unavailable
from chainrule.search.store import opened
from chainrule.studies import STUDIES, Cell, Results
from chainrule.studies.runner import _read
from chainrule.tabular import presets
from chainrule.train import train
from chainrule.train.checkpoint import checkpoint_folder, fingerprint

VERSIONS = sorted(path.name for path in cases.HERE.iterdir() if (path / "expected.json").is_file())
EXPECTED = {version: json.loads((cases.HERE / version / "expected.json").read_text()) for version in VERSIONS}
MODELS = [(version, name) for version in VERSIONS for name in EXPECTED[version]["models"]]
LARGEST = 1_000_000
each_version = pytest.mark.parametrize("version", VERSIONS)


def same(found, expected, dtype="float64"):
    """Compare plain data: numbers within the tolerance of a precision, everything else exactly."""
    if isinstance(expected, dict):
        assert sorted(found) == sorted(expected)
        for name, value in expected.items():
            same(found[name], value, dtype)
    elif isinstance(expected, list) and not _numeric(expected):
        assert len(found) == len(expected)
        for one, other in zip(found, expected, strict=True):
            same(one, other, dtype)
    elif isinstance(expected, list) or type(expected) is float:
        np.testing.assert_allclose(found, expected, **cases.TOLERANCE[dtype])
    else:
        assert found == expected


def _numeric(values):
    return bool(values) and np.asarray(values).dtype.kind == "f"


@pytest.fixture
def copied(tmp_path, monkeypatch):
    """Return a function that copies the folder of a version and works in it, so that nothing changes the files."""

    def copy(version):
        folder = tmp_path / version
        shutil.copytree(cases.HERE / version, folder)
        monkeypatch.chdir(folder)
        return folder

    return copy


def test_this_version_has_its_golden_files():
    hint = f"run `python tests/golden/write.py {chainrule.__version__}`"
    assert chainrule.__version__ in VERSIONS, hint


def test_the_golden_files_stay_small():
    assert sum(path.stat().st_size for path in cases.HERE.rglob("*") if path.is_file()) < LARGEST


@each_version
def test_every_file_of_a_version_is_read_by_a_test(version):
    folder = cases.HERE / version
    models = {f"models/{name}.safetensors" for name in EXPECTED[version]["models"]}
    snapshots = {"checkpoint/snapshot-000001.json", "checkpoint/snapshot-000001.safetensors"}
    run = {f"run/{name}" for name in ("config.json", "doctor.json", "model.safetensors", "run.jsonl")}
    search = {"search/model.safetensors", "search/search.db"}
    other = {"expected.json", "preset.json", "table.csv", "study/records.jsonl"}
    found = {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}
    assert found == models | snapshots | run | search | other


@pytest.mark.parametrize(("version", "name"), MODELS)
def test_a_model_of_a_version_has_its_weights_and_predicts_as_it_did(version, name):
    expected = EXPECTED[version]["models"][name]
    model = load_model(cases.HERE / version / "models" / f"{name}.safetensors")
    assert cases.weights(model) == expected["weights"]
    assert cases.dtype_of(model) == expected["dtype"]
    same(cases.answers(model, expected["rows"], expected["y"]), expected["answers"], expected["dtype"])


@pytest.mark.parametrize(("version", "name"), MODELS)
def test_a_model_of_a_version_can_be_saved_again(tmp_path, version, name):
    expected = EXPECTED[version]["models"][name]
    save_model(load_model(cases.HERE / version / "models" / f"{name}.safetensors"), tmp_path / "again.safetensors")
    assert cases.weights(load_model(tmp_path / "again.safetensors")) == expected["weights"]


@pytest.mark.parametrize("engine", ["reference", "native"])
@each_version
def test_a_checkpoint_of_a_version_resumes_and_ends_as_it_would_have(copied, version, engine):
    if why_unavailable(engine):
        pytest.skip(why_unavailable(engine))
    expected, problem = EXPECTED[version]["checkpoint"], cases.problem(engine)
    folder = copied(version) / "checkpoint"
    with checkpoint_folder(folder, fingerprint(problem), recipe=problem.recipe) as checkpointer:
        assert len(checkpointer.load().epochs) == 3
        run = train(problem, [cases.STOPPING], checkpoint=checkpointer)
    assert not run.notes
    losses = [epoch.validation_loss for epoch in run.epochs]
    found = {"epochs": len(run.epochs), "best_epoch": run.best_epoch, "validation_loss": losses}
    same({**found, "w": run.state.w.tolist(), "buffers": run.state.buffers.tolist()}, expected)


@each_version
def test_a_preset_of_a_version_has_its_parts_and_draws_the_same_members(version):
    expected = EXPECTED[version]["preset"]
    preset = presets.get(cases.HERE / version / "preset.json")
    plain = presets.to_plain(preset)
    assert {name: plain[name] for name in expected["parts"]} == expected["parts"]
    assert [str(preset.draw(k, seed=7)) for k in range(len(expected["members"]))] == expected["members"]


@each_version
def test_a_run_folder_of_a_version_has_its_settings_epochs_and_scores(copied, capsys, version):
    expected, folder = EXPECTED[version]["run"], copied(version) / "run"
    assert read_config(folder) == expected["config"]
    assert read_epochs(folder) == expected["epochs"]
    source, options = options_of_run(folder)
    assert (source, options.hidden, options.epochs) == ("table.csv", "5", "12")
    model = load_model(folder / "model.safetensors")
    assert cases.weights(model) == expected["weights"]
    assert cli.run(["evaluate", "run", "table.csv", "--json"]) == 0
    same(json.loads(capsys.readouterr().out), expected["scores"], cases.dtype_of(model))
    assert json.loads((folder / "doctor.json").read_text())["findings"]


@pytest.mark.parametrize("line", ["predict run table.csv --json", "compare run run --json", "info --json"])
@each_version
def test_commands_take_the_run_folder_of_a_version(copied, capsys, version, line):
    copied(version)
    assert cli.run(line.split()) == 0, capsys.readouterr().err
    assert json.loads(capsys.readouterr().out)


class Nobody:
    """An executor that must not be needed: everything is in the store."""

    slots = 1

    def __init__(self, data):
        self.data = data

    def submit(self, task):
        raise AssertionError(f"{task.name} would be trained again")

    def wait(self, timeout):
        raise AssertionError("nothing is under way")

    def close(self):
        pass


@each_version
def test_a_search_of_a_version_is_read_and_the_same_call_trains_nothing(copied, version):
    expected, folder = EXPECTED[version]["search"], copied(version) / "search"
    result = cases.searched(folder, Nobody)
    assert cases.trials_of(result.trials) == expected["trials"]
    assert result.best.number == expected["best"]
    assert [vars(final) for final in result.finals] == expected["finals"]
    assert cases.weights(result.model) == expected["weights"]


@each_version
def test_the_store_of_a_search_of_a_version_is_read(copied, version):
    expected, folder = EXPECTED[version]["search"], copied(version) / "search"
    with closing(sqlite3.connect(folder / "search.db")) as database:
        fingerprint, plain = database.execute("SELECT fingerprint, plain FROM search").fetchone()
    with opened(folder, fingerprint, json.loads(plain)) as store:
        assert cases.trials_of(store.trials()) == expected["trials"]
        assert sorted(store.finals()) == list(range(len(expected["finals"])))


@each_version
def test_the_records_of_a_study_of_a_version_are_read_and_concluded_from(copied, version):
    expected, folder = EXPECTED[version]["study"], copied(version) / "study"
    records = dict(_read(folder / "records.jsonl"))
    assert records == expected["records"]
    study = STUDIES[cases.STUDY]
    fields = [(json.loads(key), record) for key, record in records.items()]
    cells = [(Cell(study.name, arm, seed, cases.STUDY_CONFIG), record) for (_, arm, seed, *_), record in fields]
    assert study.conclude(Results.of(cells)).holds is expected["holds"]


@pytest.mark.parametrize("name", [name for version, name in MODELS if version == VERSIONS[-1]])
def test_a_changed_weight_is_noticed(name):
    expected = EXPECTED[VERSIONS[-1]]["models"][name]
    model = load_model(cases.HERE / VERSIONS[-1] / "models" / f"{name}.safetensors")
    w = cases.networks(model)[0][0]
    w.setflags(write=True)
    w[0] = np.nextafter(w[0], w.dtype.type(1e9))
    assert cases.weights(model) != expected["weights"]
