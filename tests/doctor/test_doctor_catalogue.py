"""Hold the catalogue to be the one place that knows the properties of symptoms and remedies.

In: the catalogue, the rules, the sources as syntax trees. Out: file and line of every table or comparison elsewhere.
"""

import ast
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

import chainrule
from chainrule.doctor import rules
from chainrule.doctor.remedies.apply import APPLY, split_names
from chainrule.doctor.vocabulary.catalogue import FROM_PROBLEM, REMEDIES, SYMPTOMS, Cost, Kind, find_remedy
from chainrule.pipeline.settings import Settings

SRC = Path(chainrule.__file__).parent
FILES = [file for file in sorted(SRC.rglob("*.py")) if "catalogue" not in file.parts]
NAMES = SYMPTOMS.keys() | REMEDIES.keys()

# Names of remedies or symptoms that are also words of another vocabulary: activations, optimizers.
SHARED = {"relu", "tanh", "adam", "clip"}


def named(node: ast.AST) -> str | None:
    """The symptom or remedy that a string literal names."""
    known = isinstance(node, ast.Constant) and node.value in NAMES - SHARED
    return node.value if known else None


def tables(tree: ast.AST) -> Iterator[tuple[int, list[str]]]:
    """Line and names of every collection that holds two names or more."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Dict):
            parts = [*node.keys, *node.values]
        elif isinstance(node, ast.Tuple | ast.List | ast.Set):
            parts = node.elts
        else:
            continue
        names = [name for part in parts if part is not None and (name := named(part))]
        if len(names) > 1:
            yield node.lineno, names


def comparisons(tree: ast.AST) -> Iterator[tuple[int, list[str]]]:
    """Line and names of every comparison with a name, and of every match on one."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Compare):
            parts = [inner for part in (node.left, *node.comparators) for inner in ast.walk(part)]
        elif isinstance(node, ast.MatchValue):
            parts = [node.value]
        else:
            continue
        names = [name for part in parts if (name := named(part))]
        if names:
            yield node.lineno, names


@pytest.mark.parametrize("faults", [tables, comparisons])
def test_knowledge_of_symptoms_and_remedies_stands_in_the_catalogue_alone(faults):
    registry = SRC / "doctor" / "remedies" / "apply.py"
    found = [
        f"{file.relative_to(SRC)}:{line}: {', '.join(names)}"
        for file in FILES
        if file != registry
        for line, names in faults(ast.parse(file.read_text("utf-8")))
    ]
    assert not found, "\n".join(found)


def test_tables_and_comparisons_are_found():
    table = ast.parse('X = {"nan-loss": 1, "overfitting": 2}\nY = ("no-clip", "longer")\nZ = {"no-clip": "fine"}')
    assert [line for line, _ in tables(table)] == [1, 2]
    text = 'a == "nan-loss"\nb in ("no-clip", "longer")\nc == "other"'
    assert [line for line, _ in comparisons(ast.parse(text))] == [1, 2]


def unmatched(entries, reporting):
    """Symptoms without a rule, and rules without an entry in the catalogue."""
    reported = {rule.symptom for rule in reporting}
    return sorted(set(entries) - reported), sorted(reported - set(entries))


def test_every_symptom_is_reported_by_a_rule_and_every_rule_has_an_entry():
    assert unmatched([name for name, entry in SYMPTOMS.items() if entry.by_rule], rules.RULES) == ([], [])


def test_a_symptom_without_a_rule_and_a_rule_without_an_entry_are_found():
    entries = [name for name, entry in SYMPTOMS.items() if entry.by_rule]
    assert unmatched([*entries, "new-symptom"], rules.RULES) == (["new-symptom"], [])
    assert unmatched(entries, [*rules.RULES, replace(rules.RULES[0], symptom="new-rule")]) == ([], ["new-rule"])


@pytest.mark.parametrize("folder", ["diagnosis", "trials"])
def test_stages_and_trials_mention_no_symptom_or_remedy_by_string(folder):
    """They ask the catalogue, so that a new symptom needs no change in them."""
    files = sorted((SRC / "doctor" / folder).glob("*.py"))
    assert len(files) > 5
    found = [
        f"{file.name}:{node.lineno}: {node.value}"
        for file in files
        for node in ast.walk(ast.parse(file.read_text("utf-8")))
        if named(node)
    ]
    assert not found, "\n".join(found)


def test_every_remedy_has_a_function_and_every_function_an_entry():
    assert set(APPLY) == set(REMEDIES)


def test_symptoms_and_remedies_name_one_another():
    assert {name for entry in SYMPTOMS.values() for name in (*entry.remedies, *entry.untested)} <= set(REMEDIES)
    joined = {name for entry in SYMPTOMS.values() for names in entry.where_narrow for name in split_names(names)}
    assert joined <= set(REMEDIES)
    screened = [entry.screens_for for entry in REMEDIES.values() if entry.screens_for]
    assert set(screened) <= set(SYMPTOMS)
    assert len(screened) == len(set(screened))


def test_names_are_used_once():
    assert len(SYMPTOMS) == 69
    assert len(REMEDIES) == 48
    assert not SYMPTOMS.keys() & REMEDIES.keys()
    assert [entry.rank for entry in SYMPTOMS.values()] == list(range(69))


@pytest.mark.parametrize("entry", [*SYMPTOMS.values(), *REMEDIES.values()], ids=lambda entry: entry.name)
def test_every_entry_says_in_one_sentence_what_it_means(entry):
    assert entry.summary.endswith(".")
    assert entry.summary[0].isupper()
    assert ". " not in entry.summary


def test_self_evident_symptoms_need_no_trial():
    evident = [entry for entry in SYMPTOMS.values() if entry.self_evident]
    assert all(entry.self_evident for entry in SYMPTOMS.values() if entry.certain or entry.untested)
    assert all(entry.self_evident for entry in SYMPTOMS.values() if entry.kind in (Kind.OUTCOME, Kind.EVIDENCE))
    assert {entry.name for entry in evident if entry.remedies} == {"label-noise"}


def test_slow_rules_have_an_order_of_their_own():
    slow = sorted(entry.slow_order for entry in SYMPTOMS.values() if entry.cost is not Cost.CHEAP)
    assert slow == list(range(1, 1 + len(slow)))


def test_settings_of_remedies_exist():
    known = {*Settings.__dataclass_fields__, "class_weight"}
    assert {name for entry in REMEDIES.values() for name in entry.settings} <= known
    fixed = [
        entry.settings for entry in REMEDIES.values() if entry.settings and FROM_PROBLEM not in entry.settings.values()
    ]
    for settings in fixed:
        Settings(**{name: value for name, value in settings.items() if name != "class_weight"}).check("a remedy")


def test_a_trial_of_something_else_than_a_remedy_has_no_property():
    assert not any(vars(find_remedy("all rows"))[name] for name in ("safe", "problem_specific", "lengthens"))
