"""A command imports what it uses: the first second of a program is imports."""

import inspect
import subprocess
import sys

import pytest

from chainrule.cli import app

HEAVY = ("sklearn", "scipy", "pandas", "polars", "pyarrow", "jax", "torch", "matplotlib", "PIL", "rich", "typer", "ray")
OUR_OWN = ("doctor", "report", "search", "studies", "bench", "tabular", "estimators", "inspection", "callbacks", "cli")

REPORT = "import sys; print('imported', *sorted(sys.modules), file=sys.stderr)"


def imported(code, cwd):
    """Return the names of the modules that a program imported, up to two levels deep."""
    told = subprocess.run([sys.executable, "-c", code], cwd=cwd, capture_output=True, text=True, check=True).stderr
    names = next(line for line in told.splitlines() if line.startswith("imported")).split()[1:]
    return {".".join(name.split(".")[: 2 if name.startswith("chainrule") else 1]) for name in names}


def command(*arguments):
    return f"from chainrule.cli import run; assert run({list(arguments)!r}) == 0; {REPORT}"


def heavy(names):
    return {name for name in HEAVY if name in names}


def own(names):
    return {name for name in OUR_OWN if f"chainrule.{name}" in names}


def test_importing_the_package_imports_nothing_else(tmp_path):
    names = imported(f"import chainrule; {REPORT}", tmp_path)
    assert "numpy" not in names
    assert {name for name in names if name.startswith("chainrule.")} == {"chainrule.display"}


@pytest.mark.parametrize("name", ["Activation", "Dense", "Net", "mlp", "fit", "losses", "train"])
def test_a_network_of_ones_own_imports_numpy_only(name, tmp_path):
    names = imported(f"from chainrule import {name}; {REPORT}", tmp_path)
    assert "numpy" in names
    assert not heavy(names)
    assert not own(names)


@pytest.mark.parametrize("arguments", [["--help"], ["--version"], ["train", "--help"], ["explain", "--help"], ["info"]])
def test_help_imports_neither_tables_nor_pictures_nor_other_commands(arguments, tmp_path):
    names = imported(command(*arguments), tmp_path)
    assert heavy(names) <= {"rich", "typer"}
    assert not own(names) & {"search", "studies", "bench", "estimators"}


def test_training_digits_imports_what_it_uses(tmp_path):
    names = imported(command("train", "digits", "--epochs", "2", "--json"), tmp_path)
    assert heavy(names) == {"typer"}
    assert not own(names) & {"search", "studies", "bench", "estimators"}


def test_a_run_with_its_picture_and_page_needs_no_library_for_pictures(tmp_path):
    names = imported(command("train", "digits", "--epochs", "2", "--out", "run"), tmp_path)
    assert not {"matplotlib", "PIL"} & names
    assert {"learning-curve.svg", "report.html"} <= {path.name for path in (tmp_path / "run").iterdir()}


@pytest.mark.parametrize("name", app.COMMANDS)
def test_the_list_of_commands_says_what_their_docstrings_say(name):
    paragraph = inspect.getdoc(app.command_of(name)).split("\n\n")[0].replace("\n", " ")
    assert app.COMMANDS[name][2] == paragraph


@pytest.mark.parametrize("wrong", ["trian", "docter", "serch", "evalute", "explian"])
def test_a_mistyped_command_still_gets_its_suggestion(wrong, capsys):
    from chainrule import cli

    assert cli.run([wrong, "digits"]) == 2
    assert "Did you mean" in capsys.readouterr().err
