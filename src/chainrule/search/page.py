"""The page of a search, in pictures: which values were good, and how certain that is.

In: a `SearchResult`. Out: the text of one page: best configuration, importance, parallel coordinates, slices, curves, table.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from chainrule.report.page.html import Section, code, facts, page, pairs, table
from chainrule.report.plots import BarPlot, Curve, LinePlot, Points, ScatterPlot
from chainrule.report.svg.charts import figure
from chainrule.report.svg.frames import framed, grid, svg
from chainrule.report.svg.markup import Html, joined, tag
from chainrule.search.results import SearchResult, Trial, signed
from chainrule.search.space import Dimension, shown

_CURVES = 8
_LINES = 200
"""Most trials drawn in parallel coordinates, the best ones."""


def search_page(result: SearchResult, title: str, line: str) -> str:
    """Return one self-contained page; `line` is the command that trains the best configuration."""
    best = result.best
    summary = {"method": result.method, "trials": len(result.trials), "seconds": result.seconds}
    if best is not None:
        summary[f"best validation {result.metric}"] = best.score
    sections = (
        _best(result, line),
        _importance(result),
        _coordinates(result),
        _slices(result),
        _curves(result),
        _trials(result),
    )
    return page(title, sections, facts(summary))


def _best(result: SearchResult, line: str) -> Section | None:
    if result.best is None:
        return None
    header = ("seed", f"validation {result.metric}", f"test {result.metric}", "epochs", "seconds")
    rows = [
        (
            final.seed,
            final.validation[result.metric],
            (final.test or {}).get(result.metric, math.nan),
            final.epochs,
            final.seconds,
        )
        for final in result.finals
    ]
    values = {name: shown(value) for name, value in result.best.values.items()}
    lead = (
        f"Trial {result.best.number}, trained with {len(rows)} seeds: test {result.metric} {result.interval()} "
        "(mean and 95 % interval). The test rows were not used before."
    )
    return Section(
        "The best configuration", joined(pairs(values), code(line), table(header, rows) if rows else None), lead
    )


def _importance(result: SearchResult) -> Section | None:
    if not result.importance:
        return None
    chart = figure(BarPlot("Share of the scores' variance", list(result.importance), list(result.importance.values())))
    lead = "How much of the differences between trials each setting explains, alone or together with others."
    return Section("What mattered", grid(chart, _progress(result)), lead)


def _progress(result: SearchResult) -> Html:
    """Draw the best score so far, trial by trial."""
    best = math.nan
    reached = []
    for trial in result.trials:
        better = math.isnan(best) or signed(trial.score, result.metric) < signed(best, result.metric)
        best = trial.score if better and not math.isnan(trial.score) else best
        reached.append(best)
    numbers = [float(trial.number) for trial in result.trials]
    curve = Curve("best so far", numbers, reached)
    return figure(LinePlot("Best so far", [curve], x_name="trial", y_name=f"validation {result.metric}"))


def _coordinates(result: SearchResult) -> Section | None:
    """Draw one line per trial through its values, darker for better trials."""
    trials = result.ranked[:_LINES]
    dimensions = result.space.dimensions
    if len(trials) < 2 or not dimensions:
        return None
    width, height, top, bottom = 860.0, 280.0, 26.0, 40.0
    gap = (width - 120.0) / len(dimensions)
    at = [60.0 + gap * i for i in range(len(dimensions) + 1)]
    heights = _heights(trials, result)
    drawn = [
        axis
        for x, d in zip(at, [*dimensions, None], strict=True)
        for axis in _axis(x, d, result, trials, top, height - bottom)
    ]
    for place, (trial, ups) in reversed(list(enumerate(zip(trials, heights, strict=True)))):
        points = " ".join(
            f"{x:.1f},{height - bottom - up * (height - top - bottom):.1f}" for x, up in zip(at, ups, strict=True)
        )
        ink = 0.15 + 0.85 * (1.0 - place / len(trials)) ** 3
        name = tag("title", f"trial {trial.number}: {trial.score:.4f}")
        drawn.append(
            tag("g", name, tag("polyline", points=points, class_=f"line s{0 if place < 3 else 1}", stroke_opacity=ink))
        )
    picture = svg("Parallel coordinates", f"{len(trials)} trials over {len(dimensions)} settings", drawn, width, height)
    lead = "Each line is a trial, through its values to its score; the three best have the first color."
    return Section("All values at once", framed("Parallel coordinates", picture, wide=True), lead)


def _heights(trials: Sequence[Trial], result: SearchResult) -> list[list[float]]:
    """Return where each trial's line crosses each axis, from 0 to 1; the last axis is the score."""
    scores = [trial.score for trial in trials]
    low = min(scores)
    span = (max(scores) - min(scores)) or 1.0
    return [[*(d.place(t.values[d.name]) for d in result.space.dimensions), (t.score - low) / span] for t in trials]


def _axis(
    x: float, dimension: Dimension | None, result: SearchResult, trials: Sequence[Trial], top: float, bottom: float
) -> list[Html]:
    """Draw a vertical axis with its ends and its name: the score's if there is no dimension."""
    scores = [trial.score for trial in trials]
    ends = (min(scores), max(scores)) if dimension is None else (dimension.ends[0], dimension.ends[-1])
    name = result.metric if dimension is None else dimension.name
    return [
        tag("line", x1=x, x2=x, y1=top, y2=bottom, class_="level"),
        tag("text", shown(ends[1]), class_="mid", x=x, y=top - 6),
        tag("text", shown(ends[0]), class_="mid", x=x, y=bottom + 14),
        tag("text", name, class_="mid strong", x=x, y=bottom + 30),
    ]


def _slices(result: SearchResult) -> Section | None:
    trials = result.ranked
    if len(trials) < 2:
        return None
    charts = []
    for d in result.space.dimensions:
        x = [_position(d, trial) for trial in trials]
        choices = ", ".join(f"{i} {shown(c)}" for i, c in enumerate(d.choices))
        name = f"log10 {d.name}" if d.log else d.name
        y = [trial.score for trial in trials]
        plot = ScatterPlot(d.name, [Points("", x, y)], name, f"validation {result.metric}", note=choices)
        charts.append(figure(plot))
    return Section("One value at a time", grid(*charts), "Each point is a trial.")


def _position(dimension: Dimension, trial: Trial) -> float:
    value = trial.values[dimension.name]
    if dimension.choices:
        return float(dimension.choices.index(value))
    return math.log10(value) if dimension.log else float(value)


def _curves(result: SearchResult) -> Section | None:
    drawn = [
        Curve(f"trial {t.number}", [float(e) for e, _ in t.curve], [s for _, s in t.curve])
        for t in result.ranked[:_CURVES]
    ]
    if not drawn:
        return None
    chart = figure(LinePlot(f"Validation {result.metric} of the best", drawn, y_name=result.metric))
    return Section(
        "How they learned", grid(chart, _rung_scores(result)), "Scores after each epoch, on the validation rows."
    )


def _rung_scores(result: SearchResult) -> Html | None:
    """Draw the scores of all trials at the ends of their rungs; None without successive halving."""
    points = [(float(r.epochs), r.score) for t in result.trials for r in t.rungs if math.isfinite(r.score)]
    if all(len(trial.rungs) < 2 for trial in result.trials):
        return None
    x, y = [e for e, _ in points], [s for _, s in points]
    return figure(ScatterPlot("Scores at the rungs", [Points("", x, y)], "epoch", f"validation {result.metric}"))


def _trials(result: SearchResult) -> Section:
    names = [d.name for d in result.space.dimensions]
    rows = [
        (t.number, t.score, t.loss, t.epochs, t.seconds, t.state, *(shown(t.values[n]) for n in names), t.reason)
        for t in (*result.ranked, *(t for t in result.trials if math.isnan(t.score)))
    ]
    return Section(
        "Every trial", table(("trial", result.metric, "loss", "epochs", "seconds", "state", *names, "why"), rows)
    )
