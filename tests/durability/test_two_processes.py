"""Why: two processes in one folder would mix two runs, and a signal must end a run in time and keep what it learned.

In: real processes, held, killed and signaled. Out: refusals in a sentence, folders taken over, checkpoints that resume.
"""

import os
import signal
import subprocess
import sys
import time
from contextlib import ExitStack
from pathlib import Path

import numpy as np
import pytest

import chainrule
from chainrule import NetClassifier, cli
from chainrule.cli.run_folder import new_run_folder
from chainrule.errors import InvalidValueError
from chainrule.io.files import locked
from chainrule.search.store import opened
from chainrule.studies import STUDIES, StudyConfig, run
from chainrule.train.checkpoint import checkpoint_folder

posix = pytest.mark.skipif(os.name != "posix", reason="needs signals")


def script(code, *arguments, cwd):
    """Start a process that runs code; it says "ready" when it is."""
    environment = {**os.environ, "PYTHONPATH": str(Path(chainrule.__file__).parents[1])}
    head = "import signal\nsignal.signal(signal.SIGINT, signal.default_int_handler)\n"
    return subprocess.Popen(
        [sys.executable, "-c", head + code, *map(str, arguments)],
        cwd=cwd,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def ready(child):
    line = child.stdout.readline()
    assert line == "ready\n", line + child.stderr.read()


def ended(child, seconds=5.0):
    """Wait for a process that must end in time, on an idle machine; return its exit code and what it said."""
    share = max(1.0, os.getloadavg()[0] / (os.cpu_count() or 1))
    began = time.monotonic()
    out, err = child.communicate(timeout=120)
    assert time.monotonic() - began < seconds * share, (out, err)
    return child.returncode, out + err


HELD = {
    "a checkpoint": "from chainrule.train.checkpoint import checkpoint_folder as f; c = f('place', 'run')",
    "a run folder": (
        "from pathlib import Path; from chainrule.cli.run_folder import new_run_folder as f; c = f('iris', Path('place'))"
    ),
    "a run folder that is there": (
        "import os; from pathlib import Path; from chainrule.cli.run_folder import new_run_folder as f\n"
        "os.mkdir('place'); c = f('iris', Path('place'))"
    ),
    "a search": "from pathlib import Path; from chainrule.search.store import opened as f; c = f(Path('place'), 'x', {})",
    "a study": (
        "import os; from pathlib import Path; from chainrule.io.files import locked as f\n"
        "os.mkdir('place'); c = f(Path('place'), 'taken', 'study')"
    ),
}


def take(name, folder):
    """Do in this process what the other one does in the folder."""
    place = folder / "place"
    if name == "a checkpoint":
        with checkpoint_folder(place, "run"):
            pass
    elif name.startswith("a run folder"):
        with new_run_folder("iris", place) as unfinished:
            unfinished.finish()
    elif name == "a search":
        with opened(place, "x", {}):
            pass
    else:
        run([STUDIES["symmetry"]], StudyConfig(seeds=0), place, 1)


@posix
@pytest.mark.parametrize("name", HELD)
def test_a_second_process_is_refused_and_one_after_a_kill_takes_over(tmp_path, name):
    code = f"{HELD[name]}\nwith c:\n    print('ready', flush=True)\n    import time; time.sleep(100)"
    child = script(code, cwd=tmp_path)
    ready(child)
    with pytest.raises(InvalidValueError, match=r"must be (a )?free|must be a free folder") as refused:
        take(name, tmp_path)
    assert str(tmp_path / "place") in str(refused.value)
    assert "nother process" in str(refused.value)
    child.kill()
    child.communicate()
    take(name, tmp_path)
    assert not [path for path in tmp_path.rglob("*") if "unfinished" in path.name]


def test_a_command_is_refused_before_it_trains(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("chainrule.cli.training.train_problem", None)
    with new_run_folder("iris", Path("out")):
        assert cli.run(["train", "iris", "--out", "out"]) == 2
    err = capsys.readouterr().err
    assert "train: --out must be a free folder, got 'out'. Another process is training into it." in err
    assert list(tmp_path.iterdir()) == []


def test_of_runs_without_a_name_each_gets_a_number(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with ExitStack() as stack:
        folders = [stack.enter_context(new_run_folder("iris", None)) for _ in range(5)]
        names = [folder.finish().name for folder in folders]
    assert names == [f"iris-{k}" for k in range(1, 6)]
    assert sorted(os.listdir("runs")) == names


def test_a_folder_that_another_made_meanwhile_costs_only_the_name(tmp_path):
    with new_run_folder("iris", tmp_path / "out") as unfinished:
        (unfinished.place / "model.safetensors").write_bytes(b"model")
        (tmp_path / "out").mkdir()
        (tmp_path / "out" / "a user's file").touch()
        assert unfinished.finish() == tmp_path / "out-1"
    assert os.listdir(tmp_path / "out") == ["a user's file"]
    assert os.listdir(tmp_path / "out-1") == ["model.safetensors"]


@pytest.mark.parametrize("name", ["notes.txt", "model.txt", ".hidden", "model.safetensors.bak", "sub"])
@pytest.mark.parametrize("beside", [True, False])
def test_files_of_a_user_are_never_removed(tmp_path, capsys, name, beside):
    folder = tmp_path / ".out.unfinished" if beside else tmp_path / "out" / ".unfinished"
    folder.mkdir(parents=True)
    (folder / name).mkdir() if name == "sub" else (folder / name).write_text("mine")
    (folder / "run.jsonl").write_text("half")
    assert cli.run(["train", "iris", "--epochs", "1", "--out", str(tmp_path / "out")]) == 2
    assert repr(name) in capsys.readouterr().err
    assert (folder / name).exists()
    assert (folder / "run.jsonl").read_text() == "half"


def test_a_folder_with_files_of_a_user_is_refused_though_a_run_began_there(tmp_path, capsys):
    (tmp_path / "out" / ".unfinished").mkdir(parents=True)
    (tmp_path / "out" / "notes.txt").write_text("mine")
    assert cli.run(["train", "iris", "--epochs", "1", "--out", str(tmp_path / "out")]) == 2
    assert "a new or empty folder" in capsys.readouterr().err
    assert (tmp_path / "out" / "notes.txt").read_text() == "mine"


PROBLEM = """
import sys, threading, time
import numpy as np
from chainrule.engines import Rows
from chainrule.nn.losses import MeanSquaredError
from chainrule.nn.multilayer import mlp
from chainrule.nn.step import Recipe
from chainrule.train import Decision, TrainConfig, TrainingProblem, train
X = np.random.default_rng(0).normal(size=(400, 5))
recipe = Recipe(mlp(5, [16], 1), MeanSquaredError(), batch_size=16, seed=3)
problem = TrainingProblem(recipe, Rows.of(recipe, X, X[:, :1]), TrainConfig(10**6, 0.01), engine=sys.argv[1])
class Says:
    def start(self, problem): pass
    def observe(self, memory, epoch):
        if epoch.number == 1: print("ready", flush=True)
        time.sleep(float(sys.argv[2]))
        return None, Decision()
    def end(self, memory): pass
"""
THREAD = f"""{PROBLEM}
thread = threading.Thread(target=lambda: train(problem, [Says()], checkpoint="kept"))
thread.start()
thread.join()
"""


@posix
@pytest.mark.slow
@pytest.mark.parametrize("engine", ["reference", "native"])
def test_ctrl_c_ends_a_fit_in_another_thread_and_it_resumes(tmp_path, engine):
    from chainrule.engines import why_unavailable

    if why_unavailable(engine):
        pytest.skip(why_unavailable(engine))
    child = script(THREAD, engine, 0, cwd=tmp_path)
    ready(child)
    time.sleep(0.5)
    child.send_signal(signal.SIGINT)
    code, told = ended(child)
    assert code in (1, 130, -signal.SIGINT), told
    assert "KeyboardInterrupt" in told
    assert list((tmp_path / "kept").glob("snapshot-*.json")), told


SEARCH = """
import sys, threading
from chainrule.search import SearchBudget, search
from chainrule.pipeline import Settings
def go():
    search("iris", out="found", budget=SearchBudget("random", 4, seeds=1), workers=2, watch=watch,
           settings=Settings(max_iter=10**6, n_iter_no_change=10**6))
said = []
def watch(status):
    if status.under_way and not said:
        said.append(1); print("ready", flush=True)
if sys.argv[1] == "thread":
    thread = threading.Thread(target=go); thread.start(); thread.join()
else:
    go()
"""


@posix
@pytest.mark.slow
@pytest.mark.parametrize("where", ["main", "thread"])
def test_ctrl_c_ends_a_search_with_workers(tmp_path, where):
    child = script(SEARCH, where, cwd=tmp_path)
    ready(child)
    until = time.monotonic() + 60
    while len(list(tmp_path.glob("found/runs/*/lock"))) < 2 and time.monotonic() < until:
        time.sleep(0.05)
    workers = children(child.pid)
    assert len(workers) == 2
    child.send_signal(signal.SIGINT)
    ended(child)
    assert nobody(workers)


def children(pid):
    return [int(p) for p in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()] + [
        int(p)
        for task in Path(f"/proc/{pid}/task").iterdir()
        if task.name != str(pid)
        for p in (task / "children").read_text().split()
    ]


def nobody(processes):
    """Whether all of them are gone, within a moment."""
    until = time.monotonic() + 10
    while any(map(alive, processes)) and time.monotonic() < until:
        time.sleep(0.05)
    return not any(map(alive, processes))


def alive(pid):
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] not in "ZX"
    except OSError:
        return False


STUDY = """
import sys, time
from pathlib import Path
from chainrule.studies import STUDIES, StudyConfig, run
print("ready", flush=True)
run([STUDIES["depth"]], StudyConfig(seeds=20), Path("out"), 2)
"""


@posix
@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_a_signal_ends_a_study_with_its_processes(tmp_path, number):
    child = script(STUDY, cwd=tmp_path)
    ready(child)
    until = time.monotonic() + 60
    while len(processes := children(child.pid)) < 2 and time.monotonic() < until:
        time.sleep(0.05)
    time.sleep(1.0)
    child.send_signal(number)
    ended(child)
    assert len(processes) == 2
    assert nobody(processes)


STUBBORN = f"""{PROBLEM}
train(problem, [Says()], checkpoint="kept")
"""


@posix
@pytest.mark.slow
def test_a_second_ctrl_c_ends_a_run_at_once(tmp_path):
    child = script(STUBBORN, "reference", 100, cwd=tmp_path)
    ready(child)
    child.send_signal(signal.SIGINT)
    time.sleep(0.5)
    assert child.poll() is None
    child.send_signal(signal.SIGINT)
    code, told = ended(child, 3.0)
    assert code != 0
    assert "KeyboardInterrupt" in told


COMMAND = """
import sys
from chainrule.cli import main, training
real = training.train_problem
def said(*arguments, **options):
    print("ready", flush=True)
    return real(*arguments, **options)
training.train_problem = said
main(sys.argv[1:])
"""


@posix
@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("kept", [True, False])
def test_a_signal_ends_a_command_and_leaves_nothing_half_written(tmp_path, number, kept):
    line = ["train", "iris", "--epochs", 10**6, "--patience", 0, "--engine", "reference", "--out", "run", "--json"]
    line += ["--doctor", "off"] + (["--checkpoint", "kept"] if kept else [])
    child = script(COMMAND, *line, cwd=tmp_path)
    ready(child)
    time.sleep(0.3)
    child.send_signal(number)
    code, told = ended(child)
    if kept:
        assert code == 130, told
        assert "rerun the same command to resume from kept" in told
        assert os.listdir(tmp_path) == ["kept"]
        assert list((tmp_path / "kept").glob("snapshot-*.json"))
    elif number == signal.SIGTERM:
        assert code == 128 + signal.SIGTERM, told
        assert os.listdir(tmp_path) == []
    else:  # what was learned is kept
        assert code == 0, told
        assert (tmp_path / "run" / "model.safetensors").is_file()


def test_the_same_command_after_it_ended_gives_the_same_again(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    line = ["train", "iris", "--epochs", "2", "--engine", "reference", "--out", "run", "--json", "--doctor", "off"]
    assert cli.run([*line, "--checkpoint", "kept"]) == 0
    files = {path.name: path.read_bytes() for path in Path("run").iterdir()}
    first = capsys.readouterr().out
    assert cli.run([*line, "--checkpoint", "kept"]) == 0
    again = capsys.readouterr().out
    assert [part for part in again.split(",") if "seconds" not in part] == [
        part for part in first.split(",") if "seconds" not in part
    ]
    assert {path.name: path.read_bytes() for path in Path("run").iterdir()} == files
    assert cli.run(line) == 2
    assert "It holds a finished run." in capsys.readouterr().err
    assert cli.run([*line, "--checkpoint", "kept", "--seed", "1"]) == 2
    assert {path.name: path.read_bytes() for path in Path("run").iterdir()} == files


def test_a_lock_that_the_system_does_not_have_is_no_refusal(tmp_path, monkeypatch):
    import fcntl

    def unsupported(*arguments):
        raise OSError(38, "Function not implemented")

    monkeypatch.setattr(fcntl, "flock", unsupported)
    with locked(tmp_path, "refused"), new_run_folder("iris", tmp_path / "out") as unfinished:
        unfinished.finish()
    X = np.linspace(-1, 1, 40).reshape(20, 2)
    NetClassifier((2,), max_iter=1, engine="reference").fit(X, X[:, 0] > 0, checkpoint=tmp_path / "kept")
