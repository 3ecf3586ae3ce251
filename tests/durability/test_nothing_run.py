"""Why: a `queue.py` or `json.py` that lies beside somebody's data must never be run.

In: a working folder full of modules with names that Python and this package import, and every command that starts a process.
Out: none of them was imported, by the command or by a process that it started.
"""

import ast
import contextlib
import importlib.machinery
import os
import pickle
import subprocess
import sys
import types
from pathlib import Path

import pytest

import chainrule
from chainrule.processes import end, python, receive, send, start

SRC = Path(chainrule.__file__).parent
HOSTILE = """
    queue json numpy polars random chainrule sitecustomize usercustomize pickle struct signal threading subprocess selectors
    tempfile typing types typer rich safetensors sqlite3 optuna matplotlib sklearn jax hashlib logging socket re token string
    multiprocessing concurrent copyreg site encodings warnings linecache tokenize
""".split()  # noqa: SIM905
TRAP = "import os\nopen(os.path.join({place!r}, 'imported-{name}'), 'w').close()\nraise ImportError('hostile {name}')\n"
TABLE = "a,b,kind\n" + "".join(f"{i * 7 % 40},{i * i % 31},{'xyz'[i * 5 % 3]}\n" for i in range(90))


@pytest.fixture
def place(tmp_path):
    """A working folder with data and hostile modules."""
    folder = tmp_path / "work"
    folder.mkdir()
    for name in HOSTILE:
        (folder / f"{name}.py").write_text(TRAP.format(place=str(folder), name=name))
    for name in ("numpy", "chainrule"):  # packages are found before modules of the same name
        (folder / f"{name}_").mkdir()
    (folder / "table.csv").write_text(TABLE)
    return folder


def command(place, *arguments):
    """Run the command as its installed script does: the folder of the script comes first on the path."""
    script = place.parent / "bin" / "chainrule"
    script.parent.mkdir(exist_ok=True)
    script.write_text("from chainrule.cli import main\nmain()\n")
    environment = {k: v for k, v in os.environ.items() if k != "PYTHONSAFEPATH"} | {"PYTHONPATH": str(SRC.parent)}
    return subprocess.run(
        [sys.executable, str(script), *arguments],
        cwd=place,
        env=environment,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )


def imported(place):
    return sorted(path.name for path in place.glob("imported-*"))


SHORT = ["--epochs", "2", "--engine", "reference"]
SEARCH = ["search", "table.csv", "--target", "kind", "--trials", "1", "--seeds", "1", "--method", "random", *SHORT]
COMMANDS = {
    "search": [*SEARCH, "--workers", "2"],
    "study": ["study", "input-scaling", "--quick", "--seeds", "1", "--workers", "2"],
    "bench": [
        *("bench", "--quick", "--workload", "64-32-16-2", "--engine", "reference", "--peers", "scikit-learn"),
        *("--repeats", "1"),
    ],
    "train": ["train", "table.csv", "--target", "kind", *SHORT],
    "train a pack": ["train", "table.csv", "--target", "kind", "--seconds", "1"],
    "doctor": ["doctor", "table.csv", "--target", "kind", *SHORT],
}


@pytest.mark.slow
@pytest.mark.parametrize("name", COMMANDS)
def test_no_command_runs_what_lies_in_the_working_folder(place, name):
    done = command(place, *COMMANDS[name])
    assert imported(place) == [], done.stderr
    assert done.returncode in ((0, 1) if name == "doctor" else (0,)), done.stderr
    assert "hostile" not in done.stderr


def test_the_trap_works(place):
    environment = {**os.environ, "PYTHONPATH": str(SRC.parent)}
    environment.pop("PYTHONSAFEPATH", None)
    subprocess.run([sys.executable, "-c", "import queue"], cwd=place, env=environment, capture_output=True, check=False)
    assert "imported-queue" in imported(place)


ECHO = "from chainrule.processes import serve\nserve(lambda messages: map(repr, messages))"


@pytest.mark.parametrize("inherited", [None, "0", "1"])
def test_a_process_finds_modules_where_this_one_does(place, monkeypatch, inherited):
    monkeypatch.chdir(place)
    monkeypatch.delenv("PYTHONSAFEPATH", raising=False)
    if inherited is not None:
        monkeypatch.setenv("PYTHONSAFEPATH", inherited)
    process = start(ECHO)
    try:
        send(process, {"a": 1})
        assert receive(process) == "{'a': 1}"
    finally:
        end(process)
    code = "import json, pickle, queue; print(json.dumps([sys.path, sys.argv[1:]]))"
    done = subprocess.run(python(code, "one", "two words"), capture_output=True, text=True, check=True)
    assert done.stdout.strip() == __import__("json").dumps([sys.path, ["one", "two words"]])
    assert imported(place) == []


def test_a_peer_that_is_timed_finds_them_too(place, monkeypatch):
    code = """
    from chainrule.bench.peers import PEERS
    from chainrule.bench.workers import Worker
    if __name__ == "__main__":
        with Worker(PEERS["reference"], 1) as worker:
            try:
                worker.prepare(None)
            except Exception as error:
                print(error)
    """
    script = place.parent / "bench.py"
    script.write_text("\n".join(line[4:] for line in code.splitlines()))
    environment = {k: v for k, v in os.environ.items() if k != "PYTHONSAFEPATH"} | {"PYTHONPATH": str(SRC.parent)}
    done = subprocess.run(
        [sys.executable, str(script)], cwd=place, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert imported(place) == []


def test_a_cluster_is_joined_from_an_empty_folder(place, monkeypatch):
    """Ray puts the folder in which the driver connected first on the path of its workers."""
    joined = []
    ray = types.ModuleType("ray")
    ray.__spec__ = importlib.machinery.ModuleSpec("ray", None)
    ray.__version__ = "2.60.0"
    ray.is_initialized = lambda: False
    ray.init = lambda **options: joined.append((os.getcwd(), os.listdir()))
    monkeypatch.setitem(sys.modules, "ray", ray)
    monkeypatch.setenv("RAY_AUTH_MODE", "token")
    monkeypatch.chdir(place)
    from chainrule.cluster import attach

    attach("search", "head:6379")
    assert os.getcwd() == str(place)
    assert len(joined) == 1
    assert joined[0][0] != str(place)
    assert joined[0][1] == []


def test_a_process_ends_with_the_one_that_started_it():
    process = start(ECHO)
    process.stdin.close()
    assert process.wait(timeout=60) == 0
    process.stdout.close()


def test_a_dead_process_is_noticed():
    process = start("import os\nos._exit(3)")
    process.wait(timeout=60)
    with contextlib.suppress(OSError):  # the pipe may take it
        send(process, 1)
    with pytest.raises((EOFError, OSError, pickle.UnpicklingError)):
        receive(process)
    end(process)


ALLOWED = {
    "processes.py": {"sys.executable", "subprocess.Popen"},
    "bench/workers.py": {"multiprocessing.get_context", "subprocess.Popen"},  # within SAFE_PATH, as tested above
    "bench/machine.py": {"subprocess.run"},
    "data/table/apart.py": {"sys.executable", "subprocess.run"},  # with -P, as tests/untrusted holds
    "data/stream/footers.py": {"sys.executable", "subprocess.run"},  # with -P
    "bench/peers/programs.py": {"subprocess.run"},
    "bench/peers/onednn.py": {"subprocess.run"},  # a compiler, in a temporary folder
    "cli/distributed.py": {"subprocess.Popen"},  # of the command that `processes.python` returns
    "cli/cluster_ranks.py": {"subprocess.Popen"},  # of the command that `processes.python` returns
    "exporters/c_run.py": {"subprocess.run"},  # a compiler and what it compiled, in a temporary folder
    "exporters/js_run.py": {"subprocess.run"},  # node
}
STARTS = {
    "sys.executable",
    "subprocess.Popen",
    "subprocess.run",
    "subprocess.check_output",
    "subprocess.call",
    "os.system",
    "os.popen",
    "os.fork",
    "os.execv",
    "os.spawnv",
    "multiprocessing.get_context",
    "multiprocessing.Process",
    "multiprocessing.Pool",
}


@pytest.mark.parametrize("path", sorted(SRC.rglob("*.py")), ids=lambda path: path.relative_to(SRC).as_posix())
def test_processes_are_started_in_few_places(path):
    tree = ast.parse(path.read_text())
    used = {ast.unparse(node) for node in ast.walk(tree) if isinstance(node, ast.Attribute)} & STARTS
    annotations = {ast.unparse(n) for n in ast.walk(tree) if isinstance(n, ast.Subscript)}
    if any("subprocess.Popen[" in text for text in annotations) and "Popen(" not in path.read_text():
        used.discard("subprocess.Popen")
    imports = {alias.name for node in ast.walk(tree) if isinstance(node, ast.ImportFrom) for alias in node.names}
    assert used <= ALLOWED.get(path.relative_to(SRC).as_posix(), set())
    assert not imports & {"ProcessPoolExecutor", "get_context", "Popen"}
