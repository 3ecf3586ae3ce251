"""Write the page of symptoms and remedies from the doctor's catalogue.

In: the catalogue, the rules. Out: a page in Markdown, and a JSON schema of reports.
"""

from __future__ import annotations

import inspect
import json
from collections.abc import Iterator

from chainrule.doctor.rules import configuration, data, preflight, training
from chainrule.doctor.vocabulary.catalogue import FROM_PROBLEM, REMEDIES, SYMPTOMS, Area, Kind, Remedy, Symptom
from chainrule.doctor.vocabulary.records import Rule
from chainrule.doctor.vocabulary.schema import report_schema

_FOUND = {"recipe": "from the settings", "rows": "from the data", "trace": "during the training"}
_HEAD = """# Symptoms and remedies

Every finding of the doctor carries the name of a symptom, and every trial the name of a remedy. This page lists all of
them. It is made from the same catalogue that the doctor reads, so it is complete. Leave a symptom out of the verdict
with `suppress={"symptom": "reason"}`, or `--suppress symptom=reason` on the command line.

Symptoms stand in the order of root causes: an earlier one explains a later one. The kinds are:
"""


def page() -> str:
    """Return the page in Markdown."""
    return "\n".join([_HEAD, *_kinds(), *_symptoms(), *_remedies()]) + "\n"


def schema() -> str:
    """Return the JSON schema of reports as text."""
    return json.dumps(report_schema(), indent=2) + "\n"


def _kinds() -> Iterator[str]:
    for kind in Kind:
        yield f"- **{kind.name.lower()}**: {kind.value}"


def _symptoms() -> Iterator[str]:
    for area in Area:
        yield f"\n## {area.value}\n"
        for entry in SYMPTOMS.values():
            if entry.area is area:
                yield from _symptom(entry)


def _symptom(entry: Symptom) -> Iterator[str]:
    yield f"### {entry.name} {{: #{entry.name} }}\n"
    yield f"{entry.summary}\n"
    yield f"*Kind:* {entry.kind.name.lower()}. *Evidence:* {_evidence(entry)}.\n"
    for where, text in _found_by(entry):
        yield f"*Found* {where}: {text}\n"
    if entry.remedies:
        yield f"*Tested:* {_links(entry.remedies)}\n"
    if entry.untested:
        yield f"*Tested in a repair:* {_links(entry.untested)}\n"


def _evidence(entry: Symptom) -> str:
    if entry.self_evident:
        return "the measurement itself"
    if entry.remedies:
        return "a trial in which one of its remedies helps"
    return "none, so it is information only"


def _found_by(entry: Symptom) -> Iterator[tuple[str, str]]:
    """Yield where each rule for a symptom looks, and what it looks for."""
    if not entry.by_rule:
        yield "in the diagnosis", "A comparison with quick models on the same rows."
    rules: list[tuple[str, Rule]] = [
        *((_FOUND[rule.needs], rule) for rule in (*configuration.RULES, *data.RULES, *training.RULES)),
        *(("before the training", rule) for rule in preflight.RULES),
    ]
    for where, rule in rules:
        text = inspect.getdoc(rule.check)
        if rule.symptom == entry.name and text:
            yield where, " ".join(text.split("\n\n")[0].split())


def _links(names: tuple[str, ...]) -> str:
    return ", ".join(f"[`{name}`](#{_anchor(name)})" for name in names)


def _anchor(remedy: str) -> str:
    """Return an anchor for a remedy, which may hold signs that anchors may not.

    >>> _anchor("rate*10"), _anchor("rate/10")
    ('remedy-rate-times-10', 'remedy-rate-by-10')
    """
    return "remedy-" + remedy.replace("*", "-times-").replace("/", "-by-")


def _remedies() -> Iterator[str]:
    yield "\n## Remedies\n"
    yield "| Remedy | What it does | Settings |"
    yield "| --- | --- | --- |"
    for entry in REMEDIES.values():
        yield f'| <a id="{_anchor(entry.name)}"></a>`{entry.name}` | {entry.summary} | {_settings(entry)} |'


def _settings(entry: Remedy) -> str:
    """Return the settings that have the same effect; those that depend on the problem without a value."""
    words = [f"`{name}`" if value is FROM_PROBLEM else f"`{name}={value!r}`" for name, value in entry.settings.items()]
    return ", ".join(words) or "none"
