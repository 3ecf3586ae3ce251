"""The page that lists the lecture line by line must be complete: a command that parses and a test that exists in each row.

In: docs/learn/lecture.md. Out: passes, or the row that has no command, an option that is not there, a test that is gone.
"""

import ast
import re
import shlex
from pathlib import Path

import pytest
import typer

from chainrule.cli.app import whole
from chainrule.cli.options import TrainOptions
from chainrule.nn.initializers import INITIALIZERS
from chainrule.studies import STUDIES

ROOT = Path(__file__).parents[2]
TEXT = (ROOT / "docs" / "learn" / "lecture.md").read_text("utf-8")
PARSER = typer.main.get_command(whole())
SECTIONS = dict(re.findall(r"^## ([^\n]+)\n\n(.*?)(?=^## |\Z)", TEXT, re.MULTILINE | re.DOTALL))
ROWS = [
    [cell.strip() for cell in line.strip("|").split(" | ")]
    for line in TEXT.splitlines()
    if line.startswith("| ") and "tests/" in line
]
COMMANDS = sorted(set(re.findall(r"`(chainrule [^`]+)`", TEXT)))


def parsed(line):
    """The parameters that the parser reads from a command."""
    words = shlex.split(line)[1:]
    command = PARSER.commands[words[0]]
    with command.make_context(words[0], words[1:]) as context:
        return words[0], context.params


def test_every_claim_has_a_command_and_a_test():
    assert len(ROWS) > 85
    for claim, command, test in ROWS:
        assert claim.endswith("."), claim
        assert re.fullmatch(r"`chainrule [^`]+`", command), claim
        assert re.fullmatch(r"`tests/[\w/]+\.py::test_\w+`", test), claim
    assert len({claim for claim, *_ in ROWS}) == len(ROWS)


def test_every_test_of_the_page_exists():
    for name in sorted(set(re.findall(r"`(tests/[\w/]+\.py::test_\w+)`", TEXT))):
        path, _, test = name.partition("::")
        there = {
            node.name for node in ast.parse((ROOT / path).read_text("utf-8")).body if isinstance(node, ast.FunctionDef)
        }
        assert test in there, name


@pytest.mark.parametrize("line", COMMANDS)
def test_every_command_of_the_page_is_parsed(line):
    command, options = parsed(line)
    if command in ("train", "doctor"):
        fields = TrainOptions.__dataclass_fields__
        TrainOptions(**{name: options[name] for name in fields}).settings(command)
        assert options["initializer"] in (None, *INITIALIZERS)
    if command == "study":
        assert options["name"] in STUDIES


def test_the_six_steps_are_commands():
    steps = re.findall(r"^\| (\d)\. .*?`(chainrule [^`]+)`", SECTIONS["The six steps"], re.MULTILINE)
    assert [number for number, _ in steps] == list("123456")
    assert all(parsed(line) for _, line in steps)


def test_every_hyper_parameter_is_an_option():
    section = SECTIONS["Hyper-parameters and their usual values"]
    options = set(re.findall(r"`(--[\w-]+)`", section))
    known = {option for parameter in PARSER.commands["train"].params for option in parameter.opts}
    assert len(options) >= 10
    assert options <= known
    for name, text in re.findall(r"`(sgd_momentum|adam|step)(:[^`]+)`", section):
        option = "--schedule" if name == "step" else "--optimizer"
        assert parsed(f"chainrule train wine {option} {name}{text}")


def test_every_exercise_has_a_study_and_a_solution():
    section = SECTIONS["The ten exercises"]
    exercises = re.findall(r"^(\d+)\. \*\*(.*?)(?=^\d+\. \*\*|^All solutions)", section, re.MULTILINE | re.DOTALL)
    assert [number for number, _ in exercises] == [str(i) for i in range(1, 11)]
    assert all("`chainrule study" in text for _, text in exercises)
    assert re.findall(r'^\?\?\? success "Solution (\d+):', section, re.MULTILINE) == [str(i) for i in range(1, 11)]
    assert section.count("    ```python") == 10


def test_all_studies_of_the_lecture_stand_on_the_page():
    named = set(re.findall(r"chainrule study ([\w-]+)", TEXT))
    assert {name for name, study in STUDIES.items() if "lecture" in study.source} - named <= {
        "basic-advanced",
        "range-test",
    }
