"""HTML of objects in a notebook: a network, a run or a diagnosis is shown by naming it.

`chainrule/__init__.py` gives `to_html` to `chainrule.display`, whose `_repr_html_` these classes have.

In: networks, runs, reports, findings, derivations. Out: HTML in a frame of its own, so that no style meets the notebook's.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from chainrule.doctor.vocabulary.records import Finding, Report
from chainrule.nn.net import Net
from chainrule.report.explain import Explanation
from chainrule.report.explain_text import TITLES, short
from chainrule.report.page.cards import cards
from chainrule.report.page.html import Section, facts, page, table
from chainrule.report.page.run import PageContent, doctor_page, run_page
from chainrule.report.svg.markup import Html, tag
from chainrule.train import Run, StopReason


def to_html(shown: object) -> str | None:
    """Return an object as HTML for a notebook; None for kinds that are not shown as HTML."""
    for kind, render in _RENDERERS.items():
        if isinstance(shown, kind):
            return render(shown)
    return None


def framed(text: str, height: int) -> Html:
    """Return a page within a page, which may run nothing."""
    style = f"width: 100%; height: {height}px; border: 1px solid #8884; border-radius: 8px"
    return tag("iframe", srcdoc=text, style=style, sandbox="", loading="lazy")


def report(shown: Report) -> Html:
    """Return the doctor's page."""
    return framed(doctor_page(shown), 640)


def finding(shown: Finding) -> Html:
    """Return one card."""
    return framed(page(shown.title, [Section("Finding", cards([shown]))], contents=False), 520)


def run(shown: Run) -> Html:
    """Return the curves of a run."""
    ended = {"epochs": len(shown.epochs), "engine": shown.engine, "seconds": shown.seconds}
    best = {} if shown.best_epoch is None else {"best epoch": shown.best_epoch}
    stopped = {} if shown.stop.reason is StopReason.COMPLETED else {"stopped": str(shown.stop)}
    content = PageContent({**ended, **best, **stopped}, best_epoch=shown.best_epoch)
    return framed(run_page(shown.epochs, "Run", content), 480)


def net(shown: Net) -> Html:
    """Return the layers of a network, with their widths and numbers of parameters.

    >>> from chainrule import mlp
    >>> "2410" in net(mlp(64, [32], 10))
    True
    """
    counts = [
        sum(slot.size for slot in shown.parameters.slots if slot.name.startswith(f"{i}."))
        for i in range(len(shown.layers))
    ]
    rows = [[i, str(layer), shown.widths[i], shown.widths[i + 1], counts[i]] for i, layer in enumerate(shown.layers)]
    body = table(["", "layer", "inputs", "outputs", "parameters"], rows)
    head = facts({"inputs": shown.inputs, "outputs": shown.outputs, "parameters": shown.size})
    return framed(page("Network", [Section("Layers", body)], head, contents=False), 240 + 30 * len(rows))


def explanation(shown: Explanation) -> Html:
    """Return the derivation of a network, a table for each pass.

    >>> from chainrule import mlp
    >>> from chainrule.report.explain import explain
    >>> "∂J/∂W^[1]" in explanation(explain(mlp(4, [3], 2), "softmax_cross_entropy"))
    True
    """
    known = {} if shown.numbers is None else {**shown.numbers.values, **shown.numbers.gradients}
    sections = []
    for direction, title in TITLES.items():
        rows = [
            [
                step.number,
                step.chain,
                ",  ".join((step.equation, *step.where)),
                str(step.shape) if step.shape else "",
                short(known[step.symbol]) if step.symbol in known else "",
            ]
            for step in shown.steps
            if step.direction == direction
        ]
        body = table(["", "chain rule", "equation", "shape", "numbers"], rows)
        sections.append(Section(title, body))
    head = facts({"network": shown.architecture, "parameters": shown.parameters, "rows": shown.rows})
    numbers = {} if shown.numbers is None else {"row": shown.numbers.row, "loss": shown.numbers.loss}
    checked = {} if shown.numbers is None else {"difference from central differences": shown.numbers.difference}
    return framed(page("Derivation", sections, tag("div", head, facts({**numbers, **checked}))), 640)


_RENDERERS: Mapping[type, Callable[[Any], str]] = {
    Report: report,
    Finding: finding,
    Run: run,
    Net: net,
    Explanation: explanation,
}
