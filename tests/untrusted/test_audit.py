"""Why: a file is data. In: a corpus of files that carry code or lead outside, read under Python's audit hooks.

Out: no event for running code, importing, starting a process, opening a socket, or opening a file that was not given; no
write outside the folder for results.
"""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from untrusted.attack import TESTS
from untrusted.corpus import Runs, write

from chainrule.errors import ChainruleError
from chainrule.io import load_model, save_model, write_atomically

WATCHED = """
import sys, json, tempfile
from pathlib import Path
import encodings.cp1252, encodings.latin_1, encodings.utf_16_le, encodings.utf_16_be
import encodings.utf_32_le, encodings.utf_32_be
import chainrule.estimators, chainrule.cli.app, fastexcel, polars, safetensors.numpy, sqlite3, gzip, zipfile, lzma, bz2
from chainrule.errors import ChainruleError
from untrusted.bombs import read
from untrusted.readers import READERS

paths = [Path(line) for line in sys.stdin.read().splitlines()]
with tempfile.TemporaryDirectory() as folder:  # whatever is imported late, for honest files too
    for name in ("csv", "csv of dates", "csv.gz", "npz", "idx", "model", "pack", "preset", "parquet", "xlsx"):
        (Path(folder) / name).mkdir()
        READERS[name].read(READERS[name].honest(Path(folder) / name))
events = []
given = {str(path) for path in paths}
child = str(Path(chainrule.__file__).parent / "data" / "table" / "apart_child.py")

def hook(event, arguments):
    if event.startswith(("socket.", "os.system", "os.exec", "os.fork", "os.posix_spawn", "pickle.", "marshal.", "ctypes.")):
        events.append((event, repr(arguments)[:200]))
    elif event == "subprocess.Popen" and arguments[1][:3] != [sys.executable, "-P", child]:
        events.append((event, repr(arguments)[:200]))
    elif event in ("exec", "compile"):
        events.append((event, repr(arguments)[:200]))
    elif event == "import":
        events.append((event, repr(arguments[0])))
    elif event == "open" and isinstance(arguments[0], str):
        writes = isinstance(arguments[1], str) and set(arguments[1]) & set("wax+")
        if arguments[0] not in given | {"/dev/null"} or writes:
            events.append((event, repr(arguments)[:200]))
    elif event in ("os.rename", "os.remove", "os.mkdir", "os.symlink", "os.link", "os.truncate", "shutil.move"):
        events.append((event, repr(arguments)[:200]))

counts = {"read": 0, "refused": 0, "failed": []}
sys.addaudithook(hook)
for path in paths:
    try:
        read(path)
        counts["read"] += 1
    except ChainruleError:
        counts["refused"] += 1
    except BaseException as error:
        counts["failed"].append(f"{path.name}: {error!r}"[:300])
seen = list(events)
print(json.dumps({"events": seen, **counts}))
"""


@pytest.fixture(scope="module")
def found(tmp_path_factory):
    folder = tmp_path_factory.mktemp("corpus")
    mark = folder / "mark"
    paths = write(folder, mark)
    source = str(Path(sys.modules["chainrule"].__file__).parents[1])
    few = {"POLARS_MAX_THREADS": "1", "PYTHONPATH": os.pathsep.join([str(TESTS), source])}
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", WATCHED],
        input="\n".join(map(str, paths)),
        env={**os.environ, **few},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    return {**json.loads(done.stdout.splitlines()[-1]), "mark": mark, "count": len(paths)}


def test_reading_runs_no_code_and_reaches_nothing_else(found):
    assert found["events"] == []
    assert not found["mark"].exists()


def test_the_corpus_is_read_or_refused(found):
    assert found["failed"] == []
    assert found["refused"] > 50
    assert found["refused"] + found["read"] == found["count"]


def test_the_pickle_of_the_corpus_would_leave_its_mark(tmp_path):
    import pickle

    pickle.loads(pickle.dumps(Runs(tmp_path / "mark")))
    assert (tmp_path / "mark").exists()


def test_no_source_of_the_package_reads_pickles_or_runs_text():
    import ast

    package = Path(sys.modules["chainrule"].__file__).parent
    forbidden = {"eval", "exec", "compile", "__import__"}
    modules = {"pickle", "marshal", "shelve", "joblib", "cloudpickle", "yaml", "dill"}
    channels = {"search/executor.py", "search/worker.py", "processes.py", "studies/runner.py"}  # to their own children
    written = {"exporters/numpy_source.py"}  # runs what it wrote; test_exported_names.py holds that names stay text
    faults = []
    for path in sorted(package.rglob("*.py")):
        name = path.relative_to(package).as_posix()
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            called = node.func.id if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) else None
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            names += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            loads = {each.split(".")[0] for each in names} & modules and name not in channels
            if loads or (called in forbidden and name not in written):
                faults.append(f"{name}:{node.lineno}")
    assert faults == []


TARGETS = ("link to a file", "link to a folder", "dots", "absolute")


@pytest.mark.parametrize("kind", TARGETS)
def test_a_link_in_the_place_of_a_result_is_replaced_and_not_followed(kind, tmp_path):
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "victim").write_text("mine")
    inside = tmp_path / "inside"
    inside.mkdir()
    path = inside / "model.safetensors"
    if kind == "link to a file":
        path.symlink_to(outside / "victim")
        write_atomically(path, b"new")
        assert not path.is_symlink()
    elif kind == "link to a folder":
        path.symlink_to(outside)
        with pytest.raises(ChainruleError):
            write_atomically(path, b"new")
    else:
        name = "../outside/victim" if kind == "dots" else str(outside / "victim")
        from untrusted.readers import READERS
        from untrusted.test_crafted import forged, put

        READERS["model"].honest(inside)
        path.write_bytes(
            forged(path.read_bytes(), lambda h: [put(h, "target_name", name), put(h, "feature_names.0", name)])
        )
        save_model(load_model(path), inside / "again.safetensors")
    assert (outside / "victim").read_text() == "mine"
    assert sorted(each.name for each in outside.iterdir()) == ["victim"]
