"""Why: the same figures are read in a terminal, on a page and by a program.

In: results, peaks, facts. Out: rich tables, Markdown (also in place, between two marks of a page), plain data.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from chainrule.bench.machine import Peak
from chainrule.bench.measure import Result, Settings, Spread
from chainrule.bench.peers import PEERS

BEGIN, END = "<!-- bench: begin -->", "<!-- bench: end -->"
"""Marks of a page between which the tables are replaced."""

_TITLES = {
    "training": "Training: µs per step",
    "prediction": "Prediction: µs per call",
    "program": "Whole programs: ms from start to end",
}
_SCALE = {"training": 1e6, "prediction": 1e6, "program": 1e3}


@dataclass(frozen=True)
class Report:
    """One run of the bench."""

    facts: Mapping[str, Any]
    peak: Peak
    settings: Settings
    results: tuple[Result, ...]


def shown(seconds: float, kind: str) -> str:
    """Three significant digits in the unit of the kind.

    >>> shown(0.0123456, "training"), shown(1.5e-6, "training")
    ('12300', '1.50')
    """
    value = seconds * _SCALE[kind]
    if value >= 100:
        return f"{float(f'{value:.3g}'):.0f}"
    return f"{value:.1f}" if value >= 10 else f"{value:.2f}"


def families(result: Result) -> dict[str, list[str]]:
    """Peers by family, those that took part and are not ours."""
    found: dict[str, list[str]] = {}
    for timing in result.timings:
        if timing.seconds and not PEERS[timing.peer].ours:
            found.setdefault(PEERS[timing.peer].family, []).append(timing.peer)
    return found


def best_peer(result: Result) -> str | None:
    """The fastest that is not ours."""
    return result.best([peer for members in families(result).values() for peer in members])


def goals(result: Result) -> Iterator[tuple[str, float, Spread]]:
    """Each family with a goal: its name, the ratio wanted, the ratio reached against its best member."""
    for family, wanted in result.workload.goals.items():
        best = result.best(families(result).get(family, []))
        ratio = None if best is None else result.ratio(best)
        if ratio is not None:
            yield family, wanted, ratio


def terminal(result: Result, peak: Peak) -> Any:
    """One workload as a rich table, fastest first, skipped peers with their reasons below."""
    from rich import box
    from rich.table import Table

    kind = result.workload.kind
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, title=result.workload.name, title_justify="left")
    unit = "ms" if kind == "program" else "µs"
    for name in ("", unit, "quartiles", "ratio", "threads", "of peak"):
        table.add_column(name, justify="left" if name == "" else "right")
    for timing in sorted((t for t in result.timings if t.seconds), key=lambda t: t.spread.median):
        s, ratio = timing.spread, result.ratio(timing.peer)
        table.add_row(
            f"[bold]{PEERS[timing.peer].title}[/bold]" if timing.peer == result.ours else PEERS[timing.peer].title,
            shown(s.median, kind),
            f"{shown(s.low, kind)} - {shown(s.high, kind)}",
            "" if ratio is None else f"{ratio.median:.2f}",
            "" if timing.threads is None else str(timing.threads),
            share(result, timing.peer, peak),
        )
    skipped = [f"{PEERS[timing.peer].title}: {timing.skipped}" for timing in result.timings if timing.skipped]
    table.caption, table.caption_justify = "\n".join(skipped) or None, "left"
    return table


def share(result: Result, peer: str, peak: Peak) -> str:
    """Part of the machine's matrix product reached, in percent."""
    rate = result.rate(peer)
    return "" if math.isnan(rate) else f"{100 * rate / peak.product:.0f} %"


def markdown(report: Report) -> str:
    """Everything, for a page."""
    return "\n".join(_lines(report)) + "\n"


def _lines(report: Report) -> Iterator[str]:
    yield "| machine | |\n|---|---|"
    for name, value in report.facts.items():
        yield f"| {name} | {value} |"
    for name, rate in report.peak.products.items():
        yield f"| float32 matrix product, {name} | {rate / 1e9:.0f} GFLOP/s |"
    yield f"| memory, read and written by a copy | {report.peak.memory / 1e9:.1f} GB/s |"
    yield f"| caches of the cores, likewise | {report.peak.cache / 1e9:.0f} GB/s |"
    yield f"| repeats | {report.settings.repeats}, of at least {report.settings.seconds:g} s each |"
    for kind, title in _TITLES.items():
        results = [result for result in report.results if result.workload.kind == kind]
        if results:
            yield f"\n### {title}\n"
            yield from _timings(results, kind)
            yield f"\n### {title.split(':')[0]}: times ours\n"
            yield from _ratios(results, report.peak)
    wanted = [(result, *goal) for result in report.results for goal in goals(result)]
    if wanted:
        yield "\n### Goals\n\n| workload | against | wanted | reached | |\n|---|---|---:|---:|---|"
    for result, family, least, ratio in wanted:
        met = "yes" if ratio.median >= least else "no"
        yield f"| {result.workload.name} | {family} | {least:g} | {ratio.median:.2f} | {met} |"


def _columns(results: Sequence[Result]) -> list[str]:
    """Peers with a figure for at least one of the workloads."""
    return [key for key in PEERS if any(result.of(key) for result in results)]


def _timings(results: Sequence[Result], kind: str) -> Iterator[str]:
    columns = _columns(results)
    yield "| workload | " + " | ".join(PEERS[key].title for key in columns) + " |"
    yield "|---|" + "---:|" * len(columns)
    for result in results:
        cells = [_cell(result, key, kind) for key in columns]
        yield f"| {result.workload.name} | " + " | ".join(cells) + " |"


def _cell(result: Result, key: str, kind: str) -> str:
    """The median and, behind it, half the distance of the quartiles in percent of it."""
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
    """The page with the block between its marks, or the block alone where the page has none.

    >>> replaced(f"before {BEGIN} old {END} after", "new") == f"before {BEGIN}\\n\\nnew\\n{END} after"
    True
    """
    if BEGIN not in page or END not in page:
        return block
    before, rest = page.split(BEGIN, 1)
    return f"{before}{BEGIN}\n\n{block}\n{END}{rest.split(END, 1)[1]}"


def plain(report: Report) -> dict[str, Any]:
    """Dictionaries, lists, strings and numbers, every repeat included."""
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
