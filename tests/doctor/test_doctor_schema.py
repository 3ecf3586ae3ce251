"""Hold the generated page and the JSON schema to the catalogue and to real reports.

In: the catalogue, reports. Out: complete pages, valid data.
"""

import json
import re
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from doctor_trials import plane

from chainrule.doctor import examine_problem
from chainrule.doctor.vocabulary.catalogue import REMEDIES, SYMPTOMS
from chainrule.doctor.vocabulary.schema import report_schema
from chainrule.train import TrainConfig

jsonschema = pytest.importorskip("jsonschema")
sys.path.append(str(Path(__file__).parents[2] / "docs" / "tools"))

import catalogue  # noqa: E402


@pytest.fixture(scope="module")
def ill():
    return examine_problem(plane(n=60, config=TrainConfig(10, 1e-6)), suppress={"nan-input": "a test"})


def test_reports_fit_the_schema(ill):
    assert ill.findings[0].trials
    for report in (ill, replace(ill, findings=(), verdict="healthy", notes=("a note",))):
        jsonschema.Draft202012Validator(report_schema()).validate(json.loads(json.dumps(report.plain())))


@pytest.mark.parametrize(
    ("name", "value"), [("verdict", "unwell"), ("seconds", "long"), ("suppressed", {"no-such": "reason"}), ("more", 1)]
)
def test_other_data_do_not(ill, name, value):
    wrong = {**ill.plain(), name: value}
    assert not jsonschema.Draft202012Validator(report_schema()).is_valid(wrong)


def test_symptoms_outside_the_catalogue_do_not(ill):
    data = ill.plain()
    data["findings"][0]["symptom"] = "bad-luck"
    assert not jsonschema.Draft202012Validator(report_schema()).is_valid(data)


def test_the_page_lists_every_symptom_and_every_remedy_once():
    page = catalogue.page()
    assert re.findall(r"^### (\S+)", page, re.MULTILINE) == list(SYMPTOMS)
    assert re.findall(r"</a>`(\S+)`", page) == list(REMEDIES)
    assert all(entry.summary in page for entry in (*SYMPTOMS.values(), *REMEDIES.values()))


def test_links_of_the_page_lead_to_a_remedy():
    page = catalogue.page()
    anchors = re.findall(r'<a id="([^"]+)"', page)
    assert len(anchors) == len(set(anchors)) == len(REMEDIES)
    assert set(re.findall(r"\]\(#([^)]+)\)", page)) <= set(anchors)


def test_every_symptom_says_how_it_is_found():
    for part in catalogue.page().split("\n### ")[1:]:
        assert "*Found*" in part, part[:40]
