"""Why: in a notebook a network, a run and a diagnosis are looked at by naming them; the mathematics need not know of it.

In: objects, and IPython's shell where there is one. Out: HTML in a frame of its own, so that no style meets the notebook's.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from typing import Any

from chainrule.doctor.vocabulary.records import Finding, Report
from chainrule.nn.net import Net
from chainrule.report.page.cards import cards
from chainrule.report.page.html import Section, facts, page, table
from chainrule.report.page.markup import Html, tag
from chainrule.report.page.run import Shown, doctor_page, run_page
from chainrule.train import Run


def enable(shell: Any = None) -> bool:
    """Show networks, runs, reports and findings as HTML in this notebook; False where there is no IPython.

    `shell` is IPython's; the running one if not given.
    """
    module = sys.modules.get("IPython")
    shell = shell or (module.get_ipython() if module is not None else None)
    if shell is None:
        return False
    formatter = shell.display_formatter.formatters["text/html"]
    for kind, show in SHOWN.items():
        formatter.for_type(kind, show)
    return True


def framed(text: str, height: int) -> Html:
    """A page within a page, which may run nothing."""
    style = f"width: 100%; height: {height}px; border: 1px solid #8884; border-radius: 8px"
    return tag("iframe", srcdoc=text, style=style, sandbox="", loading="lazy")


def report(shown: Report) -> Html:
    """The doctor's page."""
    return framed(doctor_page(shown), 640)


def finding(shown: Finding) -> Html:
    """One card."""
    return framed(page(shown.title, [Section("Finding", cards([shown]))]), 520)


def run(shown: Run) -> Html:
    """A run's curves."""
    ended = {"epochs": len(shown.epochs), "engine": shown.engine, "seconds": shown.seconds}
    kept = {} if shown.best_epoch is None else {"kept": shown.best_epoch}
    stopped = {"stopped": shown.stopped} if shown.stopped else {}
    return framed(run_page(shown.epochs, "Run", Shown({**ended, **kept, **stopped}, best_epoch=shown.best_epoch)), 480)


def net(shown: Net) -> Html:
    """A network's layers, with widths and numbers of parameters.

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
    return framed(page("Network", [Section("Layers", body)], head), 240 + 30 * len(rows))


SHOWN: Mapping[type, Callable[[Any], str]] = {Report: report, Finding: finding, Run: run, Net: net}
"""What is shown, and how."""
