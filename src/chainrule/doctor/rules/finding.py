"""Make the findings of rules.

In: a symptom, words, figures. Out: a `Finding` on which no trial has been made.
"""

from __future__ import annotations

from chainrule.doctor.vocabulary.records import Finding, Fix


def make_finding(
    symptom: str,
    severity: str,
    title: str,
    *,
    meaning: str,
    measured: str,
    usual: str,
    fix: Fix,
    layer: int | None = None,
    **figures: float,
) -> Finding:
    """Make a finding on which no trial has been made."""
    return Finding(
        symptom=symptom,
        severity=severity,
        title=title,
        meaning=meaning,
        measured=measured,
        usual=usual,
        figures={name: float(value) for name, value in figures.items()},
        layer=layer,
        fix=fix,
    )
