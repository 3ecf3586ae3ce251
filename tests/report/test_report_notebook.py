"""Why: naming an object in a notebook must show it, without a call that one has to know of.

In: networks, runs, reports, findings. Out: the HTML that a notebook asks them for.
"""

import pytest
from page_records import finding, report

from chainrule import Net, display, mlp
from chainrule.report.notebook import to_html
from chainrule.train import Run
from chainrule.train.records import COMPLETED


def shown():
    of = report()
    run = Run(of.trace.epochs, of.trace.final, 2, COMPLETED, "reference", (), 1.0)
    return {"report": of, "finding": finding(), "net": of.problem.recipe.net, "run": run}


@pytest.mark.parametrize("name", ["report", "finding", "net", "run"])
def test_notebooks_show_networks_runs_and_diagnoses_in_frames(name):
    text = shown()[name]._repr_html_()
    assert text.startswith('<iframe srcdoc="&lt;!DOCTYPE html&gt;')
    assert 'sandbox=""' in text
    assert text.count("<") == 2


def test_a_network_that_is_inherited_from_is_shown_too():
    class Mine(Net):
        """A network of my own."""

    assert "2410" in Mine(64, mlp(64, [32], 10).layers)._repr_html_()


def test_without_a_renderer_a_notebook_shows_the_text(monkeypatch):
    monkeypatch.setattr(display, "_renderers", [])
    assert mlp(2, [3], 1)._repr_html_() is None


def test_other_kinds_are_not_shown_as_html():
    assert to_html(object()) is None
