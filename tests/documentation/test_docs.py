"""Run the Python blocks of the README and of CONTRIBUTING, and the examples in the docstrings.

In: the README, CONTRIBUTING and all modules. Out: their code runs and prints what is shown.
"""

import contextlib
import doctest
import importlib
import pkgutil
import re
from pathlib import Path

import pytest
from replaced_commands import REPLACED, snippets

import chainrule

ROOT = Path(__file__).parents[2]
MODULES = sorted(
    name
    for _, name, _ in pkgutil.walk_packages(chainrule.__path__, "chainrule.")
    if not name.rsplit(".", 1)[-1].startswith("_")
)


@pytest.mark.parametrize("name", MODULES)
def test_examples_in_docstrings(name):
    module = importlib.import_module(name)
    failed, _ = doctest.testmod(module, optionflags=doctest.NORMALIZE_WHITESPACE)
    assert failed == 0


@pytest.mark.parametrize(("page", "count"), [("README.md", 5), ("CONTRIBUTING.md", 1)])
def test_python_blocks_of_a_page_run_as_one_program(page, count):
    blocks = re.findall(r"```python\n(.*?)```", (ROOT / page).read_text(), flags=re.DOTALL)
    assert len(blocks) == count
    exec(compile("\n".join(blocks), page, "exec"), {"__name__": page})


@pytest.mark.parametrize("page", ["README.md", "CONTRIBUTING.md"])
def test_commands_of_a_page_run_or_are_replaced(page, tmp_path):
    for cell in snippets.cells((ROOT / page).read_text()):
        if cell.kind == "sh":
            with contextlib.chdir(tmp_path):
                snippets.run_commands(cell, page, REPLACED)


def test_links_between_pages_lead_somewhere():
    pages = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))]
    for page in pages:
        for link in re.findall(r"\]\(([^)#]+)(?:#[^)]*)?\)", page.read_text()):
            if "://" not in link:
                assert (page.parent / link).exists(), f"{page.name}: {link}"


def test_two_commands_stand_in_the_readme_as_single_lines():
    text = (ROOT / "README.md").read_text()
    for marker in ("train", "test"):
        block = re.search(rf"<!-- {marker} -->\n```sh\n(.*?)```", text, flags=re.DOTALL)
        assert block is not None
        assert block[1].count("\n") == 1
