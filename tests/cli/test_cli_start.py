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


def test_importing_the_package_imports_numpy_only(tmp_path):
    names = imported(f"import chainrule; {REPORT}", tmp_path)
    assert not heavy(names)
    assert not own(names)


@pytest.mark.parametrize("arguments", [["--help"], ["--version"], ["train", "--help"], ["explain", "--help"], ["info"]])
def test_help_imports_neither_tables_nor_pictures_nor_other_commands(arguments, tmp_path):
    names = imported(command(*arguments), tmp_path)
    assert heavy(names) <= {"rich", "typer"}
    assert not own(names) & {"search", "studies", "bench", "estimators"}


def test_training_digits_imports_what_it_uses(tmp_path):
    names = imported(command("train", "digits", "--epochs", "2", "--json"), tmp_path)
    assert heavy(names) == {"typer", "matplotlib", "PIL"}
    assert not own(names) & {"search", "studies", "bench", "estimators"}


def test_pictures_are_imported_when_the_result_is_printed(tmp_path):
    code = (
        "import sys; from chainrule.cli import training; before = training._show_scores\n"
        "def shown(*arguments):\n"
        "    assert 'matplotlib' not in sys.modules\n"
        "    before(*arguments)\n"
        "training._show_scores = shown\n" + command("train", "digits", "--epochs", "2")
    )
    assert "matplotlib" in imported(code, tmp_path)


@pytest.mark.parametrize("name", app.COMMANDS)
def test_the_list_of_commands_says_what_their_docstrings_say(name):
    paragraph = inspect.getdoc(app.command_of(name)).split("\n\n")[0].replace("\n", " ")
    assert app.COMMANDS[name][2] == paragraph


@pytest.mark.parametrize("wrong", ["trian", "docter", "serch", "evalute", "explian"])
def test_a_mistyped_command_still_gets_its_suggestion(wrong, capsys):
    from chainrule import cli

    assert cli.run([wrong, "digits"]) == 2
    assert "Did you mean" in capsys.readouterr().err
