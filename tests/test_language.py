"""Texts must be plain American English: the words of an old private dialect must not come back.

In: every string of the sources (docstrings, messages, help of the command line), the README and the pages. Out: file
and line of each banned word, with what to write instead.
"""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

import chainrule

SRC = Path(chainrule.__file__).parent
ROOT = Path(__file__).parents[1]

# Pattern: what to write instead. Patterns are matched in any case, one line at a time.
BANNED = {
    r"\b(borne|bears?|bearing) out\b": "confirm",
    r"\bamounts\b": "continuous targets, values",
    r"\b(tell|tells|telling) (\w+ )?apart\b": "distinguish",
    r"\b(two|three|few|many|more|between|\d+) looks\b": "probe, check",
    r"\b(could not|cannot) look\b": "skipped",
    r"(?<!by )\bhand(s|ed|ing)? on\b": "pass on",
    r"\bby heart\b": "memorize, overfit",
    r"\bsame (line|call|command)( again)? goes on\b": "rerun the same command to resume",
    r"\b(go|goes|going|went) on (from|where|at)\b": "continue, resume",
    r"\b(comes?|came) to\b": "is, results in",
    r"\b(lets?|letting) pass\b": "accept, allow",
    r"\bso many\b(?!.*\b(as|that)\b)": "`count` of them",
    r"\bprov(e|es|ed) (itself|themselves)\b": "help",
    r"\blend(s|ing)? a hand\b": "help",
    r"\bat a loss\b": "without an explanation",
    r"\bwho(m)?ever\b": "anyone who, the user who",
    r"\b(is|are|was|were) to be\b": "must be, should be",
    r"\bhang(s|ing)? on\b": "depend on",
    r"\b(mend|mends|mended|mending)\b": "fix, correct",
    r"\bdear(er|est)?\b": "costly",
    r"\bshall\b": "must, will",
    r"\bwhat (it|is|was) asked\b": "the question",
    r"\bbrings? along\b": "includes",
    # British spellings
    r"\b(spoilt|learnt|burnt|spelt|misspelt|dreamt|leapt|whilst|amongst)\b": "spoiled, learned, while, among",
    r"\b\w*(colour|behaviour|neighbour|favour|honour|rumour|flavour)\w*": "-or",
    r"\b(un|re|non-)?(normal|standard|initial|optim|regular|minim|maxim|recogn|general|penal|vector|summar|memor|visual|"
    r"organ|real|parallel|serial|random|emphas|util|categor|local|final|special|stabil)"
    r"is(e|es|ed|er|ers|ing|ation|ations)\b": "-ize, -ization",
    r"\b(analys(ed?|ing|er)|catalys(ed?|ing)|paralys(ed?|ing))\b": "-yze",
    r"\b(centre[ds]?|metre|fibre|theatre|litre)\b": "-er",
    r"\b(label|model|cancel|travel|signal|channel|level|total|fuel)l(ed|ing|er)\b": "-eled, -eling",
    r"\b(judgement|artefact|practise|programme|licence|defence|offence|grey|sceptic\w*|tyre|ageing)\b": "American spelling",
}
BANNED_IN_SOURCES = {
    r"\btold\b": "reported, given, named",
    r"^Why: ": "a sentence on what the module provides",
}
PATTERNS = {re.compile(pattern, re.IGNORECASE): instead for pattern, instead in BANNED.items()}
SOURCE_PATTERNS = PATTERNS | {re.compile(pattern): instead for pattern, instead in BANNED_IN_SOURCES.items()}

# A file and what may stand there in spite of a pattern, with the reason.
ALLOWED: dict[tuple[str, str], str] = {}


def strings(file: Path) -> Iterator[tuple[int, str]]:
    """Line number and text of each line inside a string of a source file, docstrings and f-strings included."""
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield from enumerate(node.value.splitlines(), node.lineno)


def prose(file: Path) -> Iterator[tuple[int, str]]:
    """Line number and text of each line of a page that is no quotation and not in a table of words to avoid."""
    avoided = False
    for number, line in enumerate(file.read_text().splitlines(), 1):
        avoided = line.startswith("|") and (avoided or line == "| write | not |")
        if not avoided and not line.lstrip().startswith(">"):
            yield number, line


def banned_words(name: str, lines: Iterator[tuple[int, str]]) -> Iterator[str]:
    allowed = [phrase for path, phrase in ALLOWED if path == name]
    patterns = SOURCE_PATTERNS if name.endswith(".py") else PATTERNS
    for number, line in lines:
        if any(phrase in line for phrase in allowed):
            continue
        for pattern, instead in patterns.items():
            for match in pattern.finditer(line):
                yield f"{name}:{number}: {match[0]!r}; write: {instead}"


def texts() -> dict[str, list[str]]:
    """Every file, by its path below the root, with its banned words."""
    sources = {str(file.relative_to(SRC.parents[1])): strings(file) for file in sorted(SRC.rglob("*.py"))}
    pages = [*ROOT.glob("*.md"), *sorted((ROOT / "docs").rglob("*.md"))]
    pages = [page for page in pages if page.name != "references.md"]  # titles are quoted as they are
    found = sources | {str(page.relative_to(ROOT)): prose(page) for page in pages}
    return {name: list(banned_words(name, lines)) for name, lines in found.items()}


@pytest.fixture(scope="module")
def found() -> dict[str, list[str]]:
    return texts()


def test_no_banned_word_is_written(found):
    faults = [fault for words in found.values() for fault in words]
    assert not faults, "\n".join(faults)


def test_exceptions_are_needed():
    for path, phrase in ALLOWED:
        assert phrase in (ROOT / path).read_text(), (path, phrase)


@pytest.mark.parametrize(
    "line",
    [
        "the suspicion was borne out",
        "the same line again goes on from there",
        "two amounts for each row",
        "(2 looks, 5.8 s)",
        "The rest comes to 3.",
        "it hands on the seed",
        "so many units",
        "normalise, standardisation, optimiser, labelled, colours",
        "Why: a file is whole or not there.",
        "is to be divided",
    ],
)
def test_the_dialect_is_found(line):
    assert list(banned_words("module.py", iter([(1, line)])))


@pytest.mark.parametrize(
    "line",
    [
        "an amount of work, an amount to pay",
        "coming to the end; the loss looks like a parabola; a hands-on page",
        "so much that it fails, as many as there are, no one looks",
        "normal, standard, optimizer, labeled, colors, precise, exercise, otherwise, promised, revise, noise",
        "Why the sum? The center of the model, levels and labels",
        "learned, judgment, gray, modeling, analysis, analyses",
        "so many rows that they fill the memory",
    ],
)
def test_ordinary_english_is_not(line):
    assert list(banned_words("module.py", iter([(1, line)]))) == []
