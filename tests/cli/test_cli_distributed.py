"""Why: a training that is divided among processes must be the same training, and must survive the loss of one of them.

In: real processes on this machine. Out: equal losses, equal weights after a kill, one clear line for every mistake.
"""

import json
import os
import random
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

import chainrule
from chainrule import cli

pytest.importorskip("jax")

KILLS = int(os.environ.get("CHAINRULE_RANK_KILLS", "1"))
FIXED = ["--epochs", "4", "--patience", "0", "--hidden", "32", "--doctor", "off", "--seed", "3"]


def start(*arguments, folder, **options):
    environment = {**os.environ, "PYTHONPATH": str(Path(chainrule.__file__).parents[1]), "JAX_PLATFORMS": "cpu"}
    command = [sys.executable, "-m", "chainrule", "train", *arguments]
    return subprocess.Popen(
        command, cwd=folder, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, **options
    )


def ended(process, seconds=300):
    out, err = process.communicate(timeout=seconds)
    return process.returncode, out, err


def losses(folder):
    return [json.loads(line)["train_loss"] for line in (folder / "run.jsonl").read_text().splitlines()]


def children(pid):
    """Return the process ids of a process's children."""
    tasks = Path(f"/proc/{pid}/task")
    return [int(child) for task in tasks.iterdir() for child in (task / "children").read_text().split()]


def free_port():
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return found.getsockname()[1]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--processes", "0"], "train: --processes must be at least 1"),
        (["--processes", "2", "--rank", "0"], "train: --coordinator must be given"),
        (["--processes", "2", "--coordinator", "localhost:5000"], "train: --rank must be given"),
        (["--rank", "0", "--coordinator", "localhost:5000"], "train: --processes must be given"),
        (["--processes", "2", "--rank", "2", "--coordinator", "localhost:5000"], "World: rank must be between 0 and 1"),
        (["--processes", "2", "--rank", "0", "--coordinator", "nowhere"], "World: coordinator must be host:port"),
        (["--distributed"], "train: --distributed must be under srun or mpirun"),
        (["--distributed", "--rank", "0"], "train: --rank must be left out with --distributed"),
        (["--processes", "2", "--engine", "native"], "train: --engine must be jax with several processes"),
        (["--processes", "2", "--doctor", "fix"], "train: --doctor must be off or watch"),
        (["--processes", "2", "--lr", "find"], "train: --lr must be a number with several processes"),
        (["--restarts", "2"], "train: --restarts must be left out without --processes"),
        (["--watchdog", "20"], "train: --watchdog must be left out with one process"),
    ],
)
def test_options_that_do_not_fit_are_refused_before_anything_starts(arguments, said, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert cli.run(["train", "moons", *arguments]) == 2
    assert said in " ".join(capsys.readouterr().err.split())
    assert list(tmp_path.iterdir()) == []


NORMED = ["moons", *FIXED, "--batch-norm", "--dropout", "0.1"]


@pytest.fixture(scope="module")
def alone(tmp_path_factory):
    """The losses of the training in one process."""
    folder = tmp_path_factory.mktemp("alone")
    code, _, err = ended(start(*NORMED, "--engine", "jax", "--out", "alone", folder=folder))
    assert code == 0, err
    assert [path.name for path in folder.iterdir()] == ["alone"]
    return losses(folder / "alone")


@pytest.mark.slow
@pytest.mark.parametrize("n", [2, 4])
def test_processes_train_the_network_that_one_process_trains(n, alone, tmp_path):
    code, _, err = ended(start(*NORMED, "--processes", str(n), "--out", "together", folder=tmp_path))
    assert code == 0, err
    assert losses(tmp_path / "together") == pytest.approx(alone, abs=1e-6)
    assert [path.name for path in tmp_path.iterdir()] == ["together"]


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/task").is_dir(), reason="needs /proc")
def test_a_rank_that_is_killed_comes_back_and_the_weights_are_those_of_an_undisturbed_run(tmp_path):
    options = ["moons", "--epochs", "60", *FIXED[2:], "--processes", "2", "--restarts", "9"]
    began = time.monotonic()
    whole = ended(start(*options, "--checkpoint", "k0", "--out", "whole", folder=tmp_path))
    seconds = time.monotonic() - began
    assert whole[0] == 0, whole[2]
    draw = random.Random(1)
    process = start(*options, "--checkpoint", "k1", "--out", "killed", folder=tmp_path)
    kills = 0
    while kills < KILLS and process.poll() is None:
        time.sleep(seconds * draw.uniform(0.3, 0.8))
        ranks = children(process.pid)
        if len(ranks) == 2:
            os.kill(ranks[draw.randrange(2)], signal.SIGKILL)
            kills += 1
            time.sleep(1.0)
    code, _, err = ended(process)
    assert code == 0, err
    assert err.count("a process was lost") >= 1
    assert (tmp_path / "killed/model.safetensors").read_bytes() == (tmp_path / "whole/model.safetensors").read_bytes()


@pytest.mark.slow
def test_a_rank_that_is_stopped_is_told_and_holds_up_nobody(tmp_path):
    options = ["moons", "--epochs", "100000", *FIXED[2:], "--watchdog", "15", "--processes", "2"]
    options += ["--coordinator", f"127.0.0.1:{free_port()}", "--out", "run"]
    ranks = [start(*options, "--rank", str(rank), folder=tmp_path) for rank in range(2)]
    try:
        assert "2 processes joined" in ranks[0].stderr.readline()
        time.sleep(8)
        os.kill(ranks[1].pid, signal.SIGSTOP)
        began = time.monotonic()
        code, _, err = ended(ranks[0], 120)
        assert code == 75, err
        assert "rank 0 of 2 ends: no progress" in err
        assert time.monotonic() - began < 45  # twice the watchdog, and the time to end
        assert not (tmp_path / "run").exists()
    finally:
        for rank in ranks:
            rank.kill()
            rank.communicate()


@pytest.mark.slow
def test_a_rank_that_is_missing_or_doubled_is_named(tmp_path):
    shared = ["moons", *FIXED, "--processes", "3", "--coordinator", f"127.0.0.1:{free_port()}"]
    ranks = [start(*shared, "--rank", rank, folder=tmp_path) for rank in ("0", "1", "1")]
    for code, _, err in [ended(rank) for rank in ranks]:
        assert code == 2, err
        assert "each rank from 0 to 2 must be started once, got rank 1 twice" in err
        assert "Traceback" not in err


@pytest.mark.slow
def test_ranks_with_other_rows_are_told_so(tmp_path):
    for name, seed in (("a", "1"), ("b", "2")):
        rows = [f"{i % 7},{(i * int(seed)) % 5},{'yes' if i % 3 else 'no'}" for i in range(200)]
        (tmp_path / f"{name}.csv").write_text("p,q,y\n" + "\n".join(rows) + "\n")
    shared = ["--target", "y", *FIXED, "--processes", "2", "--coordinator", f"127.0.0.1:{free_port()}"]
    ranks = [start(f"{name}.csv", *shared, "--rank", str(k), folder=tmp_path) for k, name in enumerate("ab")]
    for code, _, err in [ended(rank) for rank in ranks]:
        assert code == 2, err
        assert "World: every rank must have the same training rows and options, got others on rank 1" in err
    assert not (tmp_path / "runs").exists() or not list((tmp_path / "runs").iterdir())
