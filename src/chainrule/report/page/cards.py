"""Why: what the doctor found is told in the order in which a person asks: what is it, how do you know, what shall I do.

In: findings. Out: cards.
"""

from __future__ import annotations

from collections.abc import Sequence

from chainrule.doctor.vocabulary.records import Finding, Trial
from chainrule.report.page.charts import Line, lines
from chainrule.report.page.html import code, details, pairs
from chainrule.report.page.markup import Html, joined, number, tag

SIGNS = {"critical": "▲ critical", "warning": "◆ warning", "info": "● info"}
"""Severities told by shape and word, not by color alone."""


def cards(findings: Sequence[Finding]) -> Html:
    """A card for each finding, numbered as the curves' marks are."""
    return tag("div", *(card(finding, i + 1) for i, finding in enumerate(findings)), class_="cards")


def card(finding: Finding, place: int = 1) -> Html:
    """One finding: severity, title, meaning, evidence, what was ruled out, the fix, when it was seen, the trials' curves."""
    fix = finding.fix
    head = tag(
        "div",
        tag("span", SIGNS.get(finding.severity, finding.severity), class_=f"severity {_word(finding.severity)}"),
        tag("h3", f"{place}. {finding.title}"),
        tag("span", finding.symptom, class_="slug"),
        class_="head",
    )
    told = pairs(
        {
            "Measured": finding.measured,
            "Usual": finding.usual,
            "Layer": None if finding.layer is None else finding.layer,
            "Seen": _seen(finding.seen),
            "Trial": _confirmed(finding),
            "Ruled out": ", ".join(finding.ruled_out),
            "Explains": ", ".join(finding.explains),
            "Fix": joined(
                tag("span", fix.text), code(fix.code) if fix.code else None, code(fix.flag) if fix.flag else None
            )
            if fix.text or fix.code or fix.flag
            else None,
        }
    )
    tried = [trial_curves(trial) for trial in finding.trials if trial.unchanged or trial.changed]
    drawn = (*tried[:1], details(f"{len(tried) - 1} more tried", *tried[1:]) if len(tried) > 1 else None)
    return tag("article", head, tag("p", finding.meaning), told, *drawn, class_=f"card {_word(finding.severity)}")


def _word(severity: str) -> str:
    return severity if severity in SIGNS else "info"


def _seen(epochs: Sequence[int]) -> str:
    if not epochs:
        return ""
    return ("epoch " if len(set(epochs)) == 1 else "epochs ") + ranges(epochs)


def ranges(numbers: Sequence[int]) -> str:
    """Whole numbers in few words.

    >>> ranges([3, 4, 5, 9])
    '3–5, 9'
    """
    parts: list[list[int]] = []
    for n in sorted(set(numbers)):
        if parts and n == parts[-1][1] + 1:
            parts[-1][1] = n
        else:
            parts.append([n, n])
    return ", ".join(str(a) if a == b else f"{a}–{b}" for a, b in parts)


def _confirmed(finding: Finding) -> str:
    words = {True: "confirmed", False: "not confirmed", None: ""}[finding.confirmed]
    gains = [f"{trial.name}: {gained(trial)}" for trial in finding.trials]
    return "; ".join(filter(None, (words, *gains)))


def gained(trial: Trial) -> str:
    """What a change came to, in words.

    >>> gained(Trial("clip", 20, (2.0,), (1.0,), True, 0.5)), gained(Trial("relu", 20, (2.0,), (3.0,), False, -0.5))
    ('takes away 50 % of what was wrong', 'makes it 50 % worse')
    """
    share = number(abs(100 * trial.gain), 3)
    if trial.gain > 0:
        return f"takes away {share} % of what was wrong"
    return f"makes it {share} % worse" if trial.gain < 0 else "changes nothing"


def trial_curves(trial: Trial) -> Html:
    """The losses of a trial without and with its change, on the same rows."""
    return lines(
        f"Trial “{trial.name}”: losses on the same held-out rows",
        [
            Line(trial.before, _steps(trial.unchanged, trial.steps_before or trial.steps), trial.unchanged, look=1),
            Line(
                f"with {trial.change}{' too' if trial.joint else ''}",
                _steps(trial.changed, trial.steps),
                trial.changed,
                look=0,
            ),
        ],
        x="step",
        y="loss",
        log=all(v > 0 for v in (*trial.unchanged, *trial.changed)),
        height=170.0,
    )


def _steps(losses: Sequence[float], steps: int) -> list[float]:
    """Where the curve's points stand: evenly, the last one at the last step."""
    return [steps * (i + 1) / len(losses) for i in range(len(losses))]
