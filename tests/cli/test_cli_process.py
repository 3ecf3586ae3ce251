"""Why: streams, exit codes and pipes are the shell's business, so a few commands run as the shell runs them.

In: `python -m chainrule` as a process of its own. Out: what arrives on each stream, and the exit code.
"""

import json
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

import chainrule


def shell(*arguments, cwd):
    command = [sys.executable, "-W", "error", "-m", "chainrule", *map(str, arguments)]
    paths = str(Path(chainrule.__file__).parent.parent)
    environment = {"PATH": "/usr/bin:/bin", "PYTHONPATH": paths, "HOME": str(cwd)}
    return subprocess.run(command, cwd=cwd, env=environment, text=True, capture_output=True, timeout=120, check=False)


@pytest.mark.slow
def test_train_prints_results_on_one_stream_and_talk_on_the_other(tmp_path):
    done = shell("train", "iris", "--epochs", 2, "--engine", "reference", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "test" in done.stdout
    assert "epoch 2/2" in done.stderr
    assert "epoch 2/2" not in done.stdout
    done = shell("train", "iris", "--epochs", 2, "--engine", "reference", "--json", cwd=tmp_path)
    assert json.loads(done.stdout)["run"].endswith("iris-2")
    assert done.stderr == ""


def test_wrong_use_is_exit_code_two_and_one_line(tmp_path):
    done = shell("train", "digitz", cwd=tmp_path)
    assert done.returncode == 2
    assert done.stdout == ""
    assert done.stderr.count("\n") == 1
    assert done.stderr.startswith("error: ")
    assert "Did you mean 'digits'?" in done.stderr


def test_no_arguments_show_the_help(tmp_path):
    done = shell(cwd=tmp_path)
    assert done.returncode == 2
    assert done.stderr == ""
    assert "gradcheck" in done.stdout
    assert shell("--help", cwd=tmp_path).returncode == 0


def test_a_reader_that_leaves_early_is_no_error(tmp_path):
    command = f"{sys.executable} -m chainrule explain 64-64-64-64-64-10 | head -n 1"
    environment = {"PATH": "/usr/bin:/bin", "PYTHONPATH": str(Path(chainrule.__file__).parent.parent)}
    done = subprocess.run(
        ["bash", "-o", "pipefail", "-c", command],
        cwd=tmp_path,
        env=environment,
        text=True,
        capture_output=True,
        timeout=120,
        check=False,
    )
    assert done.stdout.count("\n") == 1
    assert done.stderr == ""


@pytest.mark.slow
def test_a_run_that_is_kept_goes_on_after_ctrl_c(tmp_path):
    line = [sys.executable, "-m", "chainrule", "train", "digits", "--engine", "reference", "--epochs", "60"]
    line += ["--patience", "0", "--checkpoint", str(tmp_path / "kept"), "--out", str(tmp_path / "run"), "--json"]
    child = subprocess.Popen(line, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    while not (tmp_path / "kept" / "lock").exists():
        time.sleep(0.01)
    time.sleep(0.3)
    child.send_signal(signal.SIGINT)
    _, talk = child.communicate(timeout=30)
    assert (child.returncode, "rerun the same command to resume" in talk) == (130, True), talk
    assert not (tmp_path / "run").exists()
    again = subprocess.run(line, capture_output=True, text=True, check=True)
    whole = subprocess.run(
        [*line[:-5], "--out", str(tmp_path / "other"), "--json"], capture_output=True, text=True, check=True
    )
    first, second = json.loads(again.stdout), json.loads(whole.stdout)
    assert (first["test"], first["epochs"], first["best_epoch"]) == (second["test"], 60, second["best_epoch"])
