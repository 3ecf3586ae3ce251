"""Why: a variable that is not put back changes every process that comes later. In: variables. Out: the environment."""

import os
import subprocess
import sys

from chainrule.processes import ONE_THREAD, environment


def test_the_environment_is_put_back(monkeypatch):
    monkeypatch.setenv("KEPT", "before")
    with environment({"KEPT": "within", "NEW": "x"}):
        assert os.environ["KEPT"] == "within"
    assert os.environ["KEPT"] == "before"
    assert "NEW" not in os.environ


def test_it_is_put_back_after_a_fault_too(monkeypatch):
    monkeypatch.delenv("NEW", raising=False)
    try:
        with environment({"NEW": "x"}):
            raise KeyError
    except KeyError:
        assert "NEW" not in os.environ


def test_processes_that_start_within_have_it():
    name = next(iter(ONE_THREAD))
    with environment(ONE_THREAD):
        told = subprocess.run(
            [sys.executable, "-c", f"import os; print(os.environ[{name!r}])"], capture_output=True, check=True
        )
    assert told.stdout.split() == [b"1"]
