"""The pages on reliability name tests and figures: the tests must be there, and the figures must be those of the code.

In: the pages under docs/reliability. Out: every test that they name is found, every count is counted again.
"""

import ast
import re
import sys
from pathlib import Path

import pytest

TESTS = Path(__file__).parents[1]
sys.path.append(str(TESTS / "durability"))

import test_nothing_run  # noqa: E402
import test_pictures  # noqa: E402
from untrusted import test_crafted, test_mutants, test_text  # noqa: E402
from untrusted.bombs import BOMBS, HONEST  # noqa: E402
from untrusted.corpus import write  # noqa: E402
from untrusted.readers import READERS  # noqa: E402

DOCS = TESTS.parent / "docs" / "reliability"
PAGES = sorted(DOCS.glob("*.md"))


def found(name):
    """Return the file of tests or the script that a page names."""
    for place in (TESTS.parent, TESTS, TESTS / "durability"):
        if (place / name).is_file():
            return place / name
    return None


def functions(path):
    """Return the names of the tests in a file."""
    return {node.name for node in ast.walk(ast.parse(path.read_text("utf-8"))) if isinstance(node, ast.FunctionDef)}


def text_of(page):
    return (DOCS / page).read_text("utf-8").replace("\n", " ")


def parameters(test):
    """Return how many parameters a test runs with."""
    return len(next(mark for mark in test.pytestmark if mark.name == "parametrize").args[1])


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_every_test_that_a_page_names_is_there(page):
    text = page.read_text("utf-8")
    named = set(re.findall(r"`(?:python )?([\w/-]+\.py)", text)) | set(
        re.findall(r"^python (\S+\.py)", text, re.MULTILINE)
    )
    files = {name: found(name) for name in named if name != "io/files.py" and re.search("test|kills", name)}
    assert len(files) >= 2
    assert not [name for name, path in files.items() if path is None]
    tests = {name for path in files.values() for name in functions(path)}
    assert not set(re.findall(r"`(test_\w+)`", text)) - tests


COUNTS = {
    "files.md": {
        "readers": (r"(\d+) readers", lambda: len(READERS)),
        "bombs": (r"(\d+) bombs", lambda: len(BOMBS)),
        "honest files": (r"(\d+) files, among them", lambda: len(HONEST)),
        "hostile values": (r"(\d+) hostile values", lambda: len(test_crafted.HOSTILE)),
        "places": (
            r"in (\d+) places",
            lambda: sum(
                [
                    sum(map(len, test_crafted.PLACES.values())),
                    parameters(test_crafted.test_hostile_values_in_every_place_of_a_checkpoint_are_refused),
                    parameters(test_crafted.test_hostile_cells_of_a_store_are_refused),
                    len(test_crafted.CONFIG),
                ]
            ),
        ),
        "presets": (r"(\d+) hostile presets", lambda: len(test_crafted.PRESETS)),
        "names": (r"(\d+) hostile names", lambda: len(test_text.NAMES)),
        "command lines": (r"in (\d+) command lines", lambda: len(test_text.COMMANDS) + 2),
    },
    "kills-and-disks.md": {
        "modules": (r"(\d+) hostile modules", lambda: len(test_nothing_run.HOSTILE)),
        "names": (r"(\d+) kinds of names", lambda: len(test_pictures.NAMES)),
        "names in files": (r"takes (\d+) of them", lambda: len(test_pictures.IN_FILES)),
        "errors": (r"(\d+) kinds of errors", lambda: len(test_pictures.FAULTS)),
    },
}


@pytest.mark.parametrize(("page", "what"), [(page, what) for page in COUNTS for what in COUNTS[page]])
def test_a_figure_of_a_page_is_that_of_the_code(page, what):
    pattern, count = COUNTS[page][what]
    assert [int(number) for number in re.findall(pattern, text_of(page))] == [count()]


def test_the_files_under_audit_hooks_are_counted(tmp_path):
    count = len(write(tmp_path, tmp_path / "mark"))
    assert f"{count} files under Python's audit hooks" in text_of("files.md")


def test_mutants_of_the_default_suite_are_counted():
    apart = {name for name, reader in READERS.items() if reader.apart}
    quick = [test_mutants.FEW.get(name, 200) for name in READERS if name not in apart]
    assert (min(quick), max(quick)) == (30, 200)
    assert {test_mutants.FEW[name] for name in apart} == {3}
    assert max(test_mutants.MANY.values()) <= 2_000
