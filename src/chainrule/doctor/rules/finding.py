"""Why: rules state what they found in few words, and the looks that several rules take are written once.

In: a symptom, words, figures; layers to be tried out. Out: a `Finding`; what a layer does, seen from outside.
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
    """A finding that nothing has been tried on yet."""
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
        seen=(),
        confirmed=None,
        trials=(),
        ruled_out=(),
        explains=(),
    )
