"""Why: a reader types what a page shows, whatever its fence is called, so that every block of code runs.

In: every fence and every command of every page. Out: each runs, or is replaced with a stated reason; none is left over.
"""

from __future__ import annotations

import json
import re
import shlex
import tomllib
from collections import Counter
from pathlib import Path

import pytest
import typer
from replaced_commands import REPLACED, snippets

from chainrule.cli.app import whole
from chainrule.search import Space

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").rglob("*.md"))]
PARSER = typer.main.get_command(whole())
SHELL = ("sh", "bash", "console")
KINDS = {"python", "py", "py " + snippets.OTHERS, 'python title="chainrule"', *SHELL, "text", "toml", "json", "c", "js"}


def named(page):
    return str(page.relative_to(ROOT))


def blocks():
    """Yield page, kind, source and line of every fence."""
    for page in PAGES:
        for kind, source, line in snippets.fences(page.read_text("utf-8")):
            yield page, kind, source, line


def commands():
    return [line for _, kind, source, _ in blocks() if kind in SHELL for line in snippets.commands_of(source)]


def test_every_fence_is_of_a_kind_that_runs_or_is_only_output():
    for page, kind, source, line in blocks():
        assert kind in KINDS, f"{named(page)}:{line} is a block of kind {kind!r}"
        if kind == "text":
            assert not re.search(r"^(\$|>>>) ", source, re.MULTILINE), f"{named(page)}:{line} holds commands as text"


def test_all_kinds_of_blocks_are_counted():
    counts = Counter(kind.split()[0] if snippets.OTHERS not in kind else "other" for _, kind, _, _ in blocks())
    assert counts["python"] + counts["py"] >= 125
    assert counts["sh"] + counts["console"] >= 25
    assert counts["other"] == 8
    assert counts["c"] == counts["js"] == 1  # tests/exporters/test_page_code.py runs them
    replaced = sum(line in REPLACED for line in commands())
    assert replaced < 50 < len(commands())


def test_every_replaced_command_stands_on_a_page_and_says_why():
    assert set(REPLACED) <= set(commands())
    assert all(instead.why for instead in REPLACED.values())


def test_every_command_runs_or_is_replaced():
    for line in commands():
        assert line.startswith("chainrule ") or line in REPLACED, line


def test_toml_is_a_search_space_and_json_is_json():
    found = [(kind, source) for _, kind, source, _ in blocks() if kind in ("toml", "json")]
    for kind, source in found:
        if kind == "toml":
            assert Space.of(tomllib.loads(source)).dimensions
        else:
            json.loads(source)
    assert found


def test_extras_that_pages_install_exist():
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    for page in PAGES:
        for names in re.findall(r"(?:chainrule|\.)\[([a-z,]+)\]", page.read_text("utf-8")):
            assert set(names.split(",")) <= set(extras), f"{named(page)}: {names}"


def test_scripts_and_their_options_exist():
    scripts = [line for line in commands() if re.match(r"(\S*/)?python3? (-m bench\S*|-m pytest|bench/)", line)]
    assert len(scripts) >= 8
    for line in scripts:
        words = shlex.split(line)
        for word in words:
            if word.startswith(("bench/", "tests/")):
                assert (ROOT / word).exists(), line
        if "pytest" not in words:
            folder = ROOT / "bench" / "tables" if "bench.tables" in words else (ROOT / words[1]).parent
            text = "\n".join(path.read_text("utf-8") for path in folder.glob("*.py"))
            options = {word for word in words if word.startswith("--")}
            assert all(f'"{option}"' in text for option in options), line


INLINE = re.compile(r"`(chainrule [a-z-]+[^`\n]*)`")


@pytest.mark.parametrize("page", PAGES, ids=named)
def test_commands_within_sentences_and_replaced_ones_have_only_known_options(page):
    text = page.read_text("utf-8")
    fenced = [
        line for kind, source, _ in snippets.fences(text) if kind in SHELL for line in snippets.commands_of(source)
    ]
    for line in [*INLINE.findall(text), *(line for line in fenced if line.startswith("chainrule "))]:
        words = shlex.split(line.replace("...", ""), comments=True)[1:]
        if not words or words[0].startswith("-"):
            continue
        assert words[0] in PARSER.commands, f"{named(page)}: {line}"
        known = {option for p in PARSER.commands[words[0]].params for option in p.opts} | {"--help"}
        typed = {word.partition("=")[0] for word in words if word.startswith("--")}
        assert typed <= known, f"{named(page)}: {line}"
