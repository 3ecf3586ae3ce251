"""Why: a checksum says that a file is whole, not that its content makes sense; whoever crafts a file writes the right one.

In: model files, packs, checkpoints, stores of searches, presets and run folders with hostile values in every place and right
checksums. Out: one of our errors that names the place, at once, with nothing allocated.
"""

import json
import sqlite3
import struct
import time
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load as load_tensors
from safetensors.numpy import save as save_tensors
from untrusted.readers import READERS

from chainrule import cli
from chainrule.errors import ChainruleError, FormatError
from chainrule.io import json_text, load_model, model_file
from chainrule.train.checkpoint import _canonical, _digest

DEEP = {"type": "Dense", "units": 2}
for _ in range(200):
    DEEP = {"type": "WarmUp", "after": DEEP}

HOSTILE = {
    "nothing": None,
    "true": True,
    "a negative number": -1,
    "10**9": 10**9,
    "10**400": 10**400,
    "a fraction": 0.5,
    "a huge fraction": 1e300,
    "text": "x",
    "an escape": "\x1b]0;x\x07",
    "HTML": "<script>alert(1)</script>",
    "a formula": "=cmd()",
    "a path": "../../etc/passwd",
    "a class by its module": {"type": "os.system"},
    "a list": [1, 2, 3],
    "a nested list": [[[[]]]],
    "an object": {"a": 1},
    "deep nesting": DEEP,
    "many entries": [0] * 100_000,
}
PLACES = {
    "model": ["format", "version", "net", "loss", "classes", "feature_names", "target_name", "net.inputs", "net.layers",
              "net.layers.0", "net.layers.0.type", "net.layers.0.units", "net.layers.1.epsilon", "net.layers.2.function",
              "classes.kind", "classes.values", "classes.values.0", "feature_names.0", "temperature", "networks", "members"],
    "model of a table": ["schema", "schema.columns", "schema.target", "schema.warnings", "schema.columns.0",
                         "schema.columns.0.name", "schema.columns.0.kind", "schema.columns.0.used",
                         "schema.columns.0.numbers",
                         "schema.columns.0.numbers.0.scale", "schema.columns.3.categories", "schema.columns.3.hashed",
                         "schema.columns.0.gaps", "schema.columns.5.origin", "schema.columns.5.date_format",
                         "schema.columns.0.written"],
    "pack": ["members", "members.0", "members.0.net", "members.0.transform", "members.0.weight", "transforms",
             "transforms.0", "transforms.0.method", "transforms.0.numbers", "transforms.0.one_hot", "transforms.0.codes",
             "temperature"],
    "pack of values": ["limits", "limits.0"],
}  # fmt: skip


def put(plain, place, value):
    """Set a value in nested plain data; the place is made of keys and positions."""
    *before, last = [int(part) if part.isdigit() else part for part in place.split(".")]
    for part in before:
        plain = plain[part]
    plain[last] = value


def forged(data, change):
    """A model file with a changed header and the right checksum."""
    length = struct.unpack("<Q", data[:8])[0]
    header = json.loads(json.loads(data[8 : 8 + length])["__metadata__"]["chainrule"])
    tensors = load_tensors(data)
    header.pop("sha256")
    change(header)
    header["sha256"] = model_file._digest(header, tensors)
    return save_tensors(tensors, metadata={"chainrule": json.dumps(header)})


def refused(read, path):
    """What a reader says of a file that it must refuse at once; None where it may read it."""
    began = time.process_time()
    try:
        read(path)
        said = None
    except ChainruleError as error:
        said = str(error)
    assert time.process_time() - began < 2.0
    return said


HARMLESS = {"version", "target_name", "feature_names.0", "classes.values.0", "schema.target", "schema.columns.0.name"}
"""Places for any text."""


@pytest.mark.parametrize("reader", PLACES)
def test_hostile_values_in_every_place_of_a_model_file_are_refused(reader, tmp_path):
    path = READERS[reader].honest(tmp_path)
    data = path.read_bytes()
    read = 0
    for place in PLACES[reader]:
        for name, value in HOSTILE.items():
            path.write_bytes(forged(data, lambda header, p=place, v=value: put(header, p, v)))
            said = refused(load_model, path)
            if said is None:
                assert isinstance(value, str | int | float | None) or place == "schema.warnings", (place, name)
                read += 1
            else:
                assert said.startswith("model.safetensors: "), said
                assert len(said) < 20_000, (place, name)
                assert "\x1b" not in said
    assert read <= 7 * len(PLACES[reader]), "most are refused"


def test_too_many_layers_are_refused_before_one_is_made(tmp_path):
    path = READERS["model"].honest(tmp_path)
    layers = [{"type": "Dropout", "rate": 0.5}] * 200_000
    path.write_bytes(forged(path.read_bytes(), lambda header: put(header, "net.layers", layers)))
    assert "net must have at most 20,000 parts" in refused(load_model, path)


def test_names_for_a_thousand_million_columns_are_not_made(tmp_path):
    path = READERS["model of a table"].honest(tmp_path)

    def change(header):
        column = next(c for c in header["schema"]["columns"] if c["kind"] == "category")
        header["schema"]["columns"] += [{**column, "name": f"x{k}", "hashed": 100_000} for k in range(10_000)]

    path.write_bytes(forged(path.read_bytes(), change))
    assert "the columns of the schema must be those of the network" in refused(load_model, path)


TENSORS = {
    "a temperature of 0": ("pack", lambda h: h.update(temperature=0.0), "temperature must be a number above 0"),
    "a negative weight": ("pack", lambda h: put(h, "members.0.weight", -0.5), "weight of a member must be in (0, 1]"),
    "weights that sum to 2": ("pack", lambda h: [put(h, f"members.{k}.weight", 1.0) for k in (0, 1)], "must sum to 1"),
    "a transform of another pack": ("pack", lambda h: put(h, "members.0.transform", 10**9), "must be from 0 to 1"),
    "ten thousand networks": ("model", lambda h: h.update(networks=10_000), "all parts of a model"),
    "a thousand million networks": ("model", lambda h: h.update(networks=10**9), "networks must be a whole number"),
    "a date of no time": ("model of a table", lambda h: put(h, "schema.columns.5.origin", 10**30), "origin and gaps"),
}


@pytest.mark.parametrize("case", TENSORS)
def test_numbers_that_contradict_each_other_are_named(case, tmp_path):
    reader, change, sentence = TENSORS[case]
    path = READERS[reader].honest(tmp_path)
    path.write_bytes(forged(path.read_bytes(), change))
    assert sentence in (refused(load_model, path) or "read")


TEXTS = {
    "a name twice": ('{"a": 1, "a": 2}', "the name 'a' twice"),
    "a name twice inside": ('{"a": {"b": 1, "b": 1}}', "the name 'b' twice"),
    "NaN": ('{"a": NaN}', "the number NaN"),
    "infinity": ('{"a": -Infinity}', "the number -Infinity"),
    "a number beyond all floats": ('{"a": 1e999}', "the number 1e999"),
    "a number of 5,000 digits": ('{"a": ' + "9" * 5000 + "}", "4300 digits"),
    "deep lists": ("[" * 100_000, "nested so deeply"),
    "deep objects": ('{"a":' * 100_000, "nested so deeply"),
    "half a character": ('{"a": "\\ud800"}', "surrogates not allowed"),
    "bytes that are no text": (b'{"a": "\xff"}', "can't decode"),
    "nothing": ("", "Expecting value"),
    "a comma too many": ('{"a": 1,}', "the text must be JSON"),
    "more after the end": ("{} {}", "Extra data"),
}


@pytest.mark.parametrize("case", TEXTS)
def test_json_is_read_strictly(case):
    text, sentence = TEXTS[case]
    with pytest.raises(FormatError) as error:
        json_text.parse("it", text)
    assert str(error.value).startswith("it: ")
    assert sentence in str(error.value)
    assert json_text.parse("it", '{"a": "\\ud83d\\ude42", "b": [1e5, -0.0]}') == {"a": "🙂", "b": [1e5, -0.0]}


@pytest.mark.parametrize("place", ["step", "sums", "epochs", "best", "stop", "sums.0", "epochs.0", "epochs.0.0",
                                   "epochs.0.1",
                                   "epochs.0.2", "epochs.0.10", "best.0", "run", "tensors", "format"])  # fmt: skip
def test_hostile_values_in_every_place_of_a_checkpoint_are_refused(place, tmp_path):
    path = READERS["checkpoint"].honest(tmp_path)
    whole = json.loads(path.read_bytes())
    for name, value in HOSTILE.items():
        body = json.loads(json.dumps(whole))
        body.pop("sha256")
        put(body, place, value)
        path.write_bytes(_canonical(body | {"sha256": _digest(body)}))
        said = refused(READERS["checkpoint"].read, path)
        allowed = isinstance(value, int | float | str | None)
        assert said is not None or allowed, (place, name)
        assert said is None or "no checkpoint is whole" in said or place == "run", said


def test_tensors_of_a_checkpoint_with_a_forged_header_are_refused(tmp_path):
    path = READERS["checkpoint"].honest(tmp_path)
    import hashlib

    for header in (
        b'{"w": {"dtype": "F32", "shape": [1000000000000], "data_offsets": [0, 4000000000000]}}',
        b"[" * 10_000,
        b"{}",
    ):
        tensors = struct.pack("<Q", len(header)) + header
        path.with_suffix(".safetensors").write_bytes(tensors)
        body = json.loads(path.read_bytes())
        body.pop("sha256")
        body["tensors"] = hashlib.sha256(tensors).hexdigest()
        path.write_bytes(_canonical(body | {"sha256": _digest(body)}))
        assert refused(READERS["checkpoint"].read, path) is not None


@pytest.mark.parametrize("cell", ["trials.settings", "trials.state", "trials.reason", "rungs.result", "finals.result"])
def test_hostile_cells_of_a_store_are_refused(cell, tmp_path):
    table, column = cell.split(".")
    path = READERS["search store"].honest(tmp_path)
    data = path.read_bytes()
    values = [json.dumps(value) for value in HOSTILE.values()] + [b"\x00", 5, "{", "\x1b", '{"a": 1, "a": 2}']
    for value in values:
        path.write_bytes(data)
        with closing(sqlite3.connect(path)) as database, database:
            database.execute(f"UPDATE {table} SET {column} = ?", (value,))
        said = refused(READERS["search store"].read, path)
        assert said is not None or column in ("reason", "settings"), value


STATEMENTS = {
    "a trigger": "CREATE TRIGGER t AFTER INSERT ON trials BEGIN DELETE FROM rungs; END",
    "an endless view": "ALTER TABLE rungs RENAME TO old; CREATE VIEW rungs AS WITH RECURSIVE r(n) AS "
    "(SELECT 0 UNION ALL SELECT n + 1 FROM r) SELECT n AS trial, 0 AS rung, '{}' AS result FROM r",
    "a table more": "CREATE TABLE more (x)",
    "another column": "ALTER TABLE trials ADD COLUMN more",
    "a table of another name": "ALTER TABLE finals RENAME TO others",
}


@pytest.mark.parametrize("case", STATEMENTS)
def test_a_store_with_other_tables_is_refused(case, tmp_path):
    path = READERS["search store"].honest(tmp_path)
    with closing(sqlite3.connect(path)) as database:
        database.executescript(STATEMENTS[case])
    assert "must have the tables of a search" in (refused(READERS["search store"].read, path) or "read")


PRESETS = {
    "too many members": ({"members": 10**9}, "members must be"),
    "members as text": ({"members": "4"}, "members must be"),
    "members that are true": ({"members": True}, "members must be"),
    "no members": ({"members": None}, "members must be"),
    "fractions of units": ({"width": [64.5, 128.5]}, "width must be"),
    "a huge width": ({"width": [1, 10**9]}, "width must be"),
    "descending": ({"layers": [3, 2]}, "layers must be"),
    "a huge number": ({"learning_rate": [10**400, 10**401]}, "learning_rate must be"),
    "embeddings that are objects": ({"embeddings": [{}]}, "embeddings must be"),
    "an embedding with an escape": ({"embeddings": ["\x1b[31m"]}, "embeddings must be"),
    "transforms that are text": ({"transforms": "quantile"}, "transforms must be"),
    "an unknown activation": ({"activation": "os.system"}, "activation must be"),
    "an activation that is a number": ({"activation": 3}, "activation must be"),
    "an unknown part": ({"\x1b[31m": 1}, "is not a part of a preset"),
    "a list": ([], "must be a JSON object"),
    "a wide category": ({"category_units": 10**9}, "category_units must be"),
    "endless steps": ({"steps": 10**18}, "steps must be"),
}


@pytest.mark.parametrize("case", PRESETS)
def test_hostile_presets_are_refused(case, tmp_path):
    plain, sentence = PRESETS[case]
    path = tmp_path / "p.json"
    path.write_text(json.dumps(plain))
    said = refused(READERS["preset"].read, path)
    assert said is not None
    assert sentence in said
    assert "\x1b" not in said


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    folder = tmp_path_factory.mktemp("run") / "run"
    arguments = [
        "train",
        "iris",
        "--epochs",
        "2",
        "--engine",
        "reference",
        "--doctor",
        "off",
        "--out",
        str(folder),
        "--json",
    ]
    assert cli.run(arguments) == 0
    return folder


CONFIG = [
    "options",
    "options.source",
    "options.hidden",
    "options.epochs",
    "options.batch_norm",
    "options.lr",
    "settings",
    "result",
]


@pytest.mark.parametrize(
    ("command", "place"),
    [("compare", place) for place in CONFIG] + [("doctor", place) for place in CONFIG if place.startswith("options")],
)
def test_hostile_run_folders_are_refused(run, command, place, tmp_path, capsys):
    whole = json.loads((run / "config.json").read_text())
    for name, value in HOSTILE.items():
        if command == "doctor" and (
            isinstance(value, str | int | None) and (value is not True or place.endswith("norm"))
        ):
            continue  # may be an option, which the command then trains with
        config = json.loads(json.dumps(whole))
        put(config, place, value)
        (tmp_path / "config.json").write_text(json.dumps(config))
        began = time.process_time()
        code = cli.run([command, *([str(run)] if command == "compare" else []), str(tmp_path)])
        err = capsys.readouterr().err
        assert code in (0, 2), (name, err)
        assert "Traceback" not in err
        assert "\x1b" not in err
        assert time.process_time() - began < 3.0
        assert command == "compare" or code == 2, name


LINES = [
    '{"epoch": "1"}',
    "[]",
    "{",
    '{"epoch": 1, "loss": "\x1b"}',
    '{"epoch": 1e400}',
    "9" * 5000,
    '{"epoch": 1, "x": {}}',
]


@pytest.mark.parametrize("line", [*LINES, '{"epoch": 1, "x": {}}', '{"epoch": true}', "[" * 100_000])
def test_hostile_records_of_epochs_are_refused(run, line, tmp_path, capsys):
    (tmp_path / "config.json").write_bytes((run / "config.json").read_bytes())
    (tmp_path / "run.jsonl").write_text(line + "\n")
    assert cli.run(["compare", str(run), str(tmp_path)]) == 2
    assert "line 1" in capsys.readouterr().err


def test_honest_files_are_still_read(tmp_path, run, capsys):
    for k, reader in enumerate(("model", "model of a table", "pack", "pack of values")):
        (tmp_path / str(k)).mkdir()
        path = READERS[reader].honest(tmp_path / str(k))
        path.write_bytes(forged(path.read_bytes(), lambda header: None))
        assert load_model(path).predict is not None
    assert cli.run(["compare", str(run), str(run)]) == 0
    assert Path(run).is_dir()
    assert np.isfinite(1.0)
