"""Tables of a benchmark for a terminal, a page and a program.

In: results, peaks, facts. Out: rich tables, Markdown (also in place, between two markers of a page), plain data.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from chainrule.bench.machine import Peak
from chainrule.bench.measure import MeasureSettings, Result, Spread
from chainrule.bench.peers import PEERS

BEGIN, END = "<!-- bench: begin -->", "<!-- bench: end -->"
"""Markers of a page between which the tables are replaced."""

_TITLES = {
    "training": "Training: µs per step",
    "prediction": "Prediction: µs per call",
    "program": "Whole programs: ms from start to exit",
}
_SCALE = {"training": 1e6, "prediction": 1e6, "program": 1e3}


@dataclass(frozen=True)
class BenchReport:
    """One run of the benchmark: the machine, its peak, how long was measured, and the results."""

    facts: Mapping[str, Any]
    peak: Peak
    settings: MeasureSettings
    results: tuple[Result, ...]


def shown(seconds: float, kind: str) -> str:
    """Format seconds with three significant digits in the unit of the kind of workload.

    >>> shown(0.0123456, "training"), shown(1.5e-6, "training")
    ('12300', '1.50')
    """
    value = seconds * _SCALE[kind]
    if value >= 100:
        return f"{float(f'{value:.3g}'):.0f}"
    return f"{value:.1f}" if value >= 10 else f"{value:.2f}"


def families(result: Result) -> dict[str, list[str]]:
    """Return the peers that took part, by family, without this package's own."""
    members: dict[str, list[str]] = {}
    for timing in result.timings:
        if timing.seconds and not PEERS[timing.peer].ours:
            members.setdefault(PEERS[timing.peer].family, []).append(timing.peer)
    return members


def best_peer(result: Result) -> str | None:
    """Return the fastest peer that is not this package."""
    return result.best([peer for members in families(result).values() for peer in members])


def goals(result: Result) -> Iterator[tuple[str, float, Spread]]:
    """Yield each family with a goal: its name, the ratio wanted, the ratio reached against its best member."""
    for family, wanted in result.workload.goals.items():
        best = result.best(families(result).get(family, []))
        ratio = None if best is None else result.ratio(best)
        if ratio is not None:
            yield family, wanted, ratio


def terminal(result: Result, peak: Peak) -> Any:
    """Return one workload as a rich table, fastest first, with skipped peers and the reasons below it."""
    from rich import box
    from rich.table import Table
    from rich.text import Text

    kind = result.workload.kind
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, title=result.workload.name, title_justify="left")
    unit = "ms" if kind == "program" else "µs"
    for name in ("", unit, "quartiles", "ratio", "threads", "of peak"):
        table.add_column(name, justify="left" if name == "" else "right")
    for timing in sorted((t for t in result.timings if t.seconds), key=lambda t: t.spread.median):
        s, ratio = timing.spread, result.ratio(timing.peer)
        table.add_row(
            Text(PEERS[timing.peer].title, style="bold" if timing.peer == result.ours else ""),
            shown(s.median, kind),
            f"{shown(s.low, kind)} - {shown(s.high, kind)}",
            "" if ratio is None else f"{ratio.median:.2f}",
            "" if timing.threads is None else str(timing.threads),
            share(result, timing.peer, peak),
        )
    skipped = [f"{PEERS[timing.peer].title}: {timing.skipped}" for timing in result.timings if timing.skipped]
    table.caption = Text("\n".join(skipped)) if skipped else None  # plain text: markup would swallow "[bench]"
    table.caption_justify = "left"
    return table


def share(result: Result, peer: str, peak: Peak) -> str:
    """Return the share of the machine's peak that was reached, in percent."""
    rate = result.rate(peer)
    return "" if math.isnan(rate) else f"{100 * rate / peak.product:.0f} %"


def markdown(report: BenchReport) -> str:
    """Return everything as Markdown for a page."""
    return "\n".join(_lines(report)) + "\n"


def _lines(report: BenchReport) -> Iterator[str]:
    yield "| machine | |\n|---|---|"
    for name, value in report.facts.items():
        yield f"| {name} | {value} |"
    for name, rate in report.peak.products.items():
        yield f"| float32 matrix product, {name} | {rate / 1e9:.0f} GFLOP/s |"
    yield f"| memory, read and written by a copy | {report.peak.memory / 1e9:.1f} GB/s |"
    yield f"| caches of the cores, in the same way | {report.peak.cache / 1e9:.0f} GB/s |"
    yield f"| repeats | {report.settings.repeats}, each of at least {report.settings.seconds:g} s |"
    for kind, title in _TITLES.items():
        results = [result for result in report.results if result.workload.kind == kind]
        if results:
            yield f"\n### {title}\n"
            yield from _timings(results, kind)
            yield f"\n### {title.split(':')[0]}: relative to chainrule\n"
            yield from _ratios(results, report.peak)
    wanted = [(result, *goal) for result in report.results for goal in goals(result)]
    if wanted:
        yield "\n### Goals\n\n| workload | against | wanted | reached | |\n|---|---|---:|---:|---|"
    for result, family, least, ratio in wanted:
        met = "yes" if ratio.median >= least else "no"
        yield f"| {result.workload.name} | {family} | {least:g} | {ratio.median:.2f} | {met} |"


def _columns(results: Sequence[Result]) -> list[str]:
    """Return the peers with a figure for at least one of the workloads."""
    return [key for key in PEERS if any(result.of(key) for result in results)]


def _timings(results: Sequence[Result], kind: str) -> Iterator[str]:
    columns = _columns(results)
    yield "| workload | " + " | ".join(PEERS[key].title for key in columns) + " |"
    yield "|---|" + "---:|" * len(columns)
    for result in results:
        cells = [_cell(result, key, kind) for key in columns]
        yield f"| {result.workload.name} | " + " | ".join(cells) + " |"


def _cell(result: Result, key: str, kind: str) -> str:
    """Return the median, followed by half the distance between the quartiles in percent of it."""
    timing = result.of(key)
    if timing is None:
        return "-"
    s = timing.spread
    text = f"{shown(s.median, kind)} ±{50 * (s.high - s.low) / s.median:.0f} %"
    return f"**{text}**" if key == result.ours else text


def _ratios(results: Sequence[Result], peak: Peak) -> Iterator[str]:
    columns = [key for key in _columns(results) if any(key != result.ours for result in results)]
    yield "| workload | ours | " + " | ".join(PEERS[key].title for key in columns) + " | best peer | ours, of peak |"
    yield "|---|---|" + "---:|" * len(columns) + "---|---:|"
    for result in results:
        found = [result.ratio(key) for key in columns]
        cells = ["-" if ratio is None else f"{ratio.median:.2f}" for ratio in found]
        best = best_peer(result)
        ratio = None if best is None else result.ratio(best)
        text = "-" if best is None or ratio is None else f"{PEERS[best].title}, {ratio.median:.2f}"
        head = f"| {result.workload.name} | {result.ours} | "
        yield head + " | ".join(cells) + f" | {text} | {share(result, result.ours, peak) or '-'} |"


def replaced(page: str, block: str) -> str:
    r"""Return the page with the block between its markers, or the block alone if the page has none.

    >>> replaced(f"before {BEGIN} old {END} after", "new") == f"before {BEGIN}\n\nnew\n{END} after"
    True
    """
    if BEGIN not in page or END not in page:
        return block
    before, rest = page.split(BEGIN, 1)
    return f"{before}{BEGIN}\n\n{block}\n{END}{rest.split(END, 1)[1]}"


def plain(report: BenchReport) -> dict[str, Any]:
    """Return the report as plain data, every repeat included."""
    return {
        "machine": dict(report.facts),
        "peak": {"products": report.peak.products, "memory": report.peak.memory, "cache": report.peak.cache},
        "settings": asdict(report.settings),
        "results": [_plain(result, report.peak) for result in report.results],
    }


def _plain(result: Result, peak: Peak) -> dict[str, Any]:
    ours = result.of(result.ours)
    best = best_peer(result)
    return {
        "workload": asdict(result.workload) | {"operations": result.workload.operations},
        "ours": result.ours,
        "seconds": {t.peer: list(t.seconds) for t in result.timings if t.seconds},
        "skipped": {t.peer: t.skipped for t in result.timings if t.skipped},
        "threads": {t.peer: t.threads for t in result.timings if t.threads is not None},
        "median": {t.peer: t.spread.median for t in result.timings if t.seconds},
        "ratio": {t.peer: ratio.median for t in result.timings if (ratio := result.ratio(t.peer)) is not None},
        "best_peer": best,
        "share_of_peak": None if ours is None else result.rate(result.ours) / peak.product,
        "goals": {name: {"wanted": least, "reached": r.median} for name, least, r in goals(result)},
    }
