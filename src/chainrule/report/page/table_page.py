"""The page of a training on a table: how good the pack is, what it rests on, where it errs, how the table was read.

In: the content of a run. Out: the page's text.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np

from chainrule.report import series
from chainrule.report.page import predictions
from chainrule.report.page.html import Section, details, facts, page, pairs, table
from chainrule.report.page.predictions import JudgedRows
from chainrule.report.page.run import FOOT, versions
from chainrule.report.page.sections import settings
from chainrule.report.plots import NEUTRAL, TRAINING, BarPlot
from chainrule.report.svg.charts import figure
from chainrule.report.svg.frames import grid
from chainrule.report.svg.markup import Html, joined, number, tag
from chainrule.report.table_run import (
    PACK,
    TableRunContent,
    best_text,
    column_groups,
    is_left_out,
    is_smaller_better,
    listing,
    score_name,
    score_text,
)

_MOST_BARS = 20
_MOST_CURVES = 6
_MOST_OPEN = 20
"""Columns up to which their table is shown at once."""


def table_page(content: TableRunContent) -> str:
    """Return the HTML page of a training on a table.

    Parameters
    ----------
    content : TableRunContent
        What the page shows.

    Returns
    -------
    text : str
        A page that loads nothing and runs nothing.
    """
    head = joined(tag("p", content.target_sentence), facts(_facts(content)), _tiles(content))
    shown = [
        _warnings(content.warnings),
        comparison(content),
        importances(content),
        *_judgment(content),
        columns(content),
        networks(content),
        settings({**content.preset, "seed": content.seed}, versions()),
    ]
    return page(content.title, shown, head, FOOT)


def _facts(content: TableRunContent) -> dict[str, object]:
    counts = {part: f"{count:,}" for part, count in content.rows.items()}
    used = sum(network.weight > 0 for network in content.networks)
    return {
        "table": content.source,
        "target": content.target,
        "task": content.task,
        **{f"{part} rows": count for part, count in counts.items()},
        "networks": f"{used} of {len(content.networks)}",
        "trained in": f"{content.seconds:.1f} s",
    }


def _tiles(content: TableRunContent) -> Html | None:
    """Return the pack's scores, each with that of the best simple model."""
    pack = next((scores for name, scores, _ in content.scores if name == PACK), {})
    tiles = []
    for name in content.score_names:
        rival = _best_reference(content, name)
        value = tag("b", score_text(name, pack.get(name)))
        tiles.append(tag("div", tag("span", score_name(name)), value, tag("small", rival), class_="score"))
    return tag("div", *tiles, class_="scores") if tiles else None


def _best_reference(content: TableRunContent, score: str) -> str:
    known = [
        (s[score], name) for name, s, _ in content.scores if name != PACK and math.isfinite(s.get(score, math.nan))
    ]
    if not known:
        return f"on {content.scored_on} rows"
    value, name = min(known) if is_smaller_better(score) else max(known)
    return f"{name}: {score_text(score, value)}"


def _warnings(warnings: Sequence[str]) -> Section:
    return Section("Warnings", _list(warnings))


def _list(sentences: Sequence[str]) -> Html:
    """Return sentences as a list, nothing for none."""
    return tag("ul", *(tag("li", sentence) for sentence in sentences), class_="plain") if sentences else Html("")


def comparison(content: TableRunContent) -> Section | None:
    """Show the scores of the pack beside those of simple models, as a table and as bars."""
    if not content.score_names:
        return None
    bars = [_model_bars(content, name) for name in content.score_names[:2]]
    lead = f"All models are scored on the same {len(content.y):,} {content.scored_on} rows; the best is bold."
    body = joined(_comparison_table(content), _list(content.notes), grid(*bars))
    return Section("Comparison with simple models", body, lead)


def _comparison_table(content: TableRunContent) -> Html:
    names = content.score_names
    best = {name: best_text(content, name) for name in names}
    header = [tag("th", "model", scope="col")]
    header += [tag("th", score_name(name), class_="number", scope="col") for name in names]
    header.append(tag("th", "seconds", class_="number", scope="col"))
    rows = []
    for model, scores, seconds in content.scores:
        cells = {name: score_text(name, scores.get(name)) for name in names}
        shown = [
            tag("td", text, class_="number best" if text == best[name] else "number") for name, text in cells.items()
        ]
        took = tag("td", "–" if seconds is None else f"{seconds:.1f}", class_="number")
        rows.append(tag("tr", tag("td", model), *shown, took))
    return tag("div", tag("table", tag("thead", tag("tr", *header)), tag("tbody", *rows)), class_="scroll")


def _model_bars(content: TableRunContent, score: str) -> Html | None:
    known = [(name, s[score]) for name, s, _ in content.scores if math.isfinite(s.get(score, math.nan))]
    if len(known) < 2:
        return None
    direction = "lower is better" if is_smaller_better(score) else "higher is better"
    plot = BarPlot(
        f"{score_name(score)}: {direction}",
        [name for name, _ in known],
        [value for _, value in known],
        colors=[TRAINING if name == PACK else NEUTRAL for name, _ in known],
    )
    return figure(plot)


def importances(content: TableRunContent) -> Section | None:
    """Show how much worse the predictions are when a column is shuffled."""
    if not content.importances:
        return None
    shown = content.importances[:_MOST_BARS]
    others = len(content.importances) - len(shown)
    plot = BarPlot(
        f"The {len(shown)} most important columns" if others else "All columns",
        [name for name, _, _ in shown],
        [rise for _, rise, _ in shown],
        x_name="rise of the loss",
        intervals=[(rise - spread, rise + spread) for _, rise, spread in shown],
    )
    rows = [[name, rise, spread] for name, rise, spread in content.importances]
    numbers = table(["column", "rise of the loss", "standard error"], rows)
    lead = (
        f"How much the loss of the {content.scored_on} rows rises when the values of a column are shuffled, "
        "and one standard error to either side. Columns that say the same share their importance."
    )
    return Section(
        "Importance of the columns", joined(grid(figure(plot)), details("The same as a table", numbers)), lead
    )


def _judgment(content: TableRunContent) -> list[Section | None]:
    """Return the sections on mistakes, curves and calibration, or on residuals."""
    if not len(content.y):
        return []
    if content.classes is None:
        judged = JudgedRows(content.scored_on, np.zeros((len(content.y), 0)), content.y, content.predicted)
        return [predictions.residuals(judged)]
    counts = content.confusion
    mistakes = None if counts is None else predictions.confusion(counts, content.classes, content.scored_on)
    return [mistakes, curves(content), calibration(content)]


def curves(content: TableRunContent) -> Section | None:
    """Show ROC and precision-recall curves: of the second of two classes, or of the classes with the most rows."""
    P = content.probabilities
    if P is None or content.classes is None or not np.isfinite(P).all():
        return None
    drawn = (series.roc_curves, series.precision_recall_curves)
    plots = [each(P, content.y, content.classes, _MOST_CURVES) for each in drawn]
    figures = [figure(plot) for plot in plots if plot is not None]
    if not figures:
        return None
    K = len(content.classes)
    lead = f"For the class “{content.classes[1]}”." if K == 2 else "Each class against all others."
    lead += f" The {_MOST_CURVES} classes with the most rows are shown." if K > _MOST_CURVES else ""
    return Section("ROC and precision-recall curves", grid(*figures), lead)


def calibration(content: TableRunContent) -> Section | None:
    """Show whether rows predicted with probability p are right in a share p of cases."""
    P = content.probabilities
    if P is None or not np.isfinite(P).all():
        return None
    bins = predictions.BINS
    diagram = series.calibration(P, content.y, bins)
    names = [f"{j / bins:.1f} to {(j + 1) / bins:.1f}" for j in np.flatnonzero(diagram.seen)]
    shares = [float(share) for share in diagram.share[diagram.seen]]
    rows = BarPlot("Rows by probability of the predicted class", names, shares, x_name="share of rows")
    lead = (
        f"Expected calibration error (ECE): {number(diagram.error)}, the mean distance from the dashed line. "
        "Below the line the pack is overconfident."
    )
    return Section("Calibration", grid(figure(diagram.plot(PACK)), figure(rows)), lead)


def columns(content: TableRunContent) -> Section | None:
    """Show how the file was read, and the kind of every column with the reason."""
    if not content.columns and not content.facts:
        return None
    rows = [[name, kind, "no" if is_left_out(kind, why) else "yes", why] for name, kind, why in content.columns]
    listed = table(["column", "kind", "used", "reason"], rows, numbers=False)
    if len(rows) > _MOST_OPEN:
        listed = joined(pairs(_grouped(content)), details(f"All {len(rows):,} columns", listed))
    return Section("How the table was read", joined(_list(content.facts), listed if rows else None))


def _grouped(content: TableRunContent) -> Mapping[str, str]:
    groups = column_groups(content.columns)
    used = {f"{kind} ({len(names):,})": listing(names, 160) for kind, names in groups.used.items()}
    left_out = [name for kind, why, names in groups.single if is_left_out(kind, why) for name in names]
    asked = [name for kind, why, names in groups.single if not is_left_out(kind, why) for name in names]
    others = {"kind asked for": asked, "left out": left_out}
    return used | {f"{what} ({len(names):,})": listing(names, 160) for what, names in others.items() if names}


def networks(content: TableRunContent) -> Section | None:
    """Show the networks of the pack: what was drawn for them, their weights and their losses."""
    if not content.networks:
        return None
    header = ["network", "weight", "held-out loss", "epochs", "best epoch", "seconds", "settings"]
    rows = [
        [line.number, line.weight, line.loss, line.epochs, line.best_epoch, line.seconds, _unbroken(line.settings)]
        for line in content.networks
    ]
    used = sum(line.weight > 0 for line in content.networks)
    lead = (
        f"The pack is the weighted mean of {used} of {len(rows)} networks; each was judged by rows that it did not "
        f"train on. Training ended after {content.seconds:.1f} s: {content.stopped}."
    )
    return Section("Networks of the pack", table(header, rows), lead)


def _unbroken(text: str) -> Html:
    return tag("span", text, class_="line")
