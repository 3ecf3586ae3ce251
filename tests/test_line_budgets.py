"""Check that files and functions stay short enough to be read in one sitting.

In: the package's source. Out: passes, or the files and functions over budget. Docstrings do not count, nor do
signatures, which for a command are the list of its options.
"""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
FILE = 400
FUNCTION = 40
PYTHON = sorted((ROOT / "src").rglob("*.py"))
NATIVE = sorted(path for path in (ROOT / "native").rglob("*") if path.suffix in (".cpp", ".hpp"))
Documented = ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef


def docstring_lines(tree):
    """Return how many lines of a tree are docstrings."""
    docstrings = [node.body[0] for node in ast.walk(tree) if isinstance(node, Documented) and ast.get_docstring(node)]
    return sum(each.end_lineno - each.lineno + 1 for each in docstrings)


def over_budget(text):
    """Return what is too long in a Python file: (name, lines) of functions, and of the whole file under the name ""."""
    tree = ast.parse(text)
    lengths = {"": len(text.splitlines()) - docstring_lines(tree)}
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            lengths[node.name] = node.end_lineno - node.body[0].lineno + 1 - docstring_lines(node)
    return [(name, lines) for name, lines in lengths.items() if lines > (FUNCTION if name else FILE)]


@pytest.mark.parametrize("path", PYTHON, ids=lambda path: str(path.relative_to(ROOT / "src" / "chainrule")))
def test_file_and_its_functions_are_within_budget(path):
    assert over_budget(path.read_text("utf-8")) == []


def test_native_files_are_within_budget():
    assert [path.name for path in NATIVE if len(path.read_text("utf-8").splitlines()) > FILE] == []


def test_what_is_too_long_is_found():
    body = "    x = 1\n" * (FUNCTION + 1)
    assert over_budget(f'def long(\n    a,\n):\n    """Say\n    more."""\n{body}') == [("long", FUNCTION + 1)]
    assert over_budget("x = 1\n" * (FILE + 1)) == [("", FILE + 1)]
    assert over_budget(f'"""{"line" + chr(10)}"""\n' + "x = 1\n" * FILE) == []
