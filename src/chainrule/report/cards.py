"""What a finding's card says, in the order in which a reader asks: what was measured, how sure it is, what to do.

The terminal and the page draw the same lines, so that they cannot disagree.

In: a `Finding`. Out: its lines by name, as text.
"""

from __future__ import annotations

from collections.abc import Sequence

from chainrule.doctor.vocabulary.records import Finding, RemedyTrial
from chainrule.report.svg.markup import number


def card_lines(finding: Finding) -> dict[str, str]:
    """Return the lines of a card without its fix, by name; lines without content are left out."""
    verdict = {True: "confirmed", False: "not confirmed", None: ""}[finding.confirmed]
    trials = [f"{trial.name}: {gain_in_words(trial)}" for trial in finding.trials]
    lines = {
        "Measured": finding.measured,
        "Usual": finding.usual,
        "Layer": "" if finding.layer is None else str(finding.layer),
        "Seen": epochs_in_words(finding.seen),
        "Trial": "; ".join(filter(None, (verdict, *trials))),
        "Trades": "; ".join(f"{trial.name}, {trial.trade}" for trial in finding.trials if trial.trade),
        "Ruled out": ", ".join(finding.ruled_out),
        "Explains": ", ".join(finding.explains),
    }
    return {name: text for name, text in lines.items() if text}


def epochs_in_words(epochs: Sequence[int]) -> str:
    """Return epochs in a few words.

    >>> epochs_in_words([3, 4, 5, 9]), epochs_in_words([2])
    ('epochs 3–5, 9', 'epoch 2')
    """
    ranges: list[list[int]] = []
    for n in sorted(set(epochs)):
        if ranges and n == ranges[-1][1] + 1:
            ranges[-1][1] = n
        else:
            ranges.append([n, n])
    words = ", ".join(str(a) if a == b else f"{a}–{b}" for a, b in ranges)
    return f"epoch{'s' if len(set(epochs)) > 1 else ''} {words}" if words else ""


def gain_in_words(trial: RemedyTrial) -> str:
    """Return what a remedy did to the error.

    >>> gain_in_words(RemedyTrial("clip", 20, (2.0,), (1.0,), True, 0.5))
    'reduces the error by 50 %'
    >>> gain_in_words(RemedyTrial("relu", 20, (2.0,), (3.0,), False, -0.5))
    'increases the error by 50 %'
    """
    share = number(abs(100 * trial.share), 3)
    if trial.share > 0:
        return f"reduces the error by {share} %"
    return f"increases the error by {share} %" if trial.share < 0 else "changes nothing"
