"""Cards of findings on a page.

In: findings. Out: cards.
"""

from __future__ import annotations

from collections.abc import Sequence

from chainrule.doctor.vocabulary.records import Finding, Fix
from chainrule.pipeline.option_names import FIT
from chainrule.report.cards import card_lines
from chainrule.report.page.html import code, details, pairs
from chainrule.report.series import trial_curves
from chainrule.report.svg.charts import figure
from chainrule.report.svg.markup import Html, joined, tag

SIGNS = {"critical": "▲ critical", "warning": "◆ warning", "info": "● info"}
"""Severities by shape and word, not by color alone."""


def cards(findings: Sequence[Finding], interface: str = FIT) -> Html:
    """Return a card for each finding, numbered as the marks on the curves are; fixes as one interface spells them."""
    return tag("div", *(card(finding, i + 1, interface) for i, finding in enumerate(findings)), class_="cards")


def card(finding: Finding, place: int = 1, interface: str = FIT) -> Html:
    """Return the card of a finding: severity, title, meaning, evidence, fix, and the curves of its trials."""
    severity = finding.severity if finding.severity in SIGNS else "info"
    head = tag(
        "div",
        tag("span", SIGNS.get(finding.severity, finding.severity), class_=f"severity {severity}"),
        tag("h3", f"{place}. {finding.title}"),
        tag("span", finding.symptom, class_="slug"),
        class_="head",
    )
    lines = pairs({**card_lines(finding), "Fix": _fix(finding.fix, interface)})
    tried = [figure(trial_curves(trial)) for trial in finding.trials if trial.unchanged or trial.changed]
    drawn = (*tried[:1], details(f"{len(tried) - 1} more tried", *tried[1:]) if len(tried) > 1 else None)
    return tag("article", head, tag("p", finding.meaning), lines, *drawn, class_=f"card {severity}")


def _fix(fix: Fix, interface: str) -> Html | None:
    line = fix.line(interface)
    return joined(tag("span", fix.text), code(line) if line else None) if fix.text or line else None
