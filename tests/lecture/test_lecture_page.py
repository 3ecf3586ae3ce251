"""Why: the page of the lecture's claims must name every test that shows one, and no test that is not there.

In: docs/measured/lecture-claims.md and the test files beside this one. Out: passes, or the names that differ.
"""

import ast
import re
from pathlib import Path

TESTS = Path(__file__).parent
PAGE = TESTS.parents[1] / "docs" / "measured" / "lecture-claims.md"


def test_page_and_tests_name_each_other():
    named = re.findall(r"`tests/lecture/(test_\w+\.py::test_\w+)`", PAGE.read_text(encoding="utf-8"))
    there = [
        f"{path.name}::{node.name}"
        for path in sorted(TESTS.glob("test_lecture_*.py"))
        if path != Path(__file__)
        for node in ast.parse(path.read_text(encoding="utf-8")).body
        if isinstance(node, ast.FunctionDef) and node.name.startswith("test_")
    ]
    assert sorted(named) == sorted(there)
