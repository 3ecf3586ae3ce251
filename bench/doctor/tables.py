"""Why: what counts is found and named against what is alarmed at for nothing, side by side, with intervals.

In: raw results by stage. Out: a summary as plain data, its tables in Markdown, and a list of what went wrong.
"""

from __future__ import annotations

import math
import statistics
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from doctor.fault import METRIC
from doctor.faults import FAULTS
from doctor.hosts import HOSTS, TUNING
from doctor.kill import Verdict, compare, wilson
from doctor.variants import VARIANTS
from doctor.work import TWIN, key

TOOLS = ("doctor", "AutoTrainer", "DeepDiagnosis", "DeepLocalize", "UMLAUT", "SageMaker", "TheDeepChecker")
HARMED = 0.02
"""A drop of the test score that counts as harm by a repair."""

BEGIN, END = "<!-- tables -->", "<!-- end of tables -->"
"""What the tables of a page stand between."""

SOUND = ("twin", "variant", "equivalent")
"""What no tool should alarm at."""

FAR = 3.0
"""A mutant that is equivalent over the seeds, but this many deviations below its twins itself, is left out."""

WHO = {
    "after": "the doctor's repair",
    "random": "as many random tries, kept by the same proof",
    "first": "the doctor's first change, unproven",
    "random first": "one random change, unproven",
}
"""Whose repair a score is."""

Results = Mapping[str, Mapping[str, Any]]
Said = list[tuple[str, frozenset[str], float]]


def split(name: str) -> tuple[str, str, str, int]:
    """Fault, level, host, seed."""
    fault, level, host, seed = name.split("|")
    return fault, level, host, int(seed)


def verdicts(scores: Mapping[str, Any], seeds: Iterable[int]) -> dict[tuple[str, str, str], Verdict]:
    """The kill test of every case with scores of two seeds or more."""
    found, seeds = {}, list(seeds)
    for fault, level, host in {split(name)[:3] for name in scores if not name.startswith(TWIN)}:
        pairs = [
            (scores[key(TWIN, "", host, seed)]["score"], scores[key(fault, level, host, seed)]["score"])
            for seed in seeds
            if "score" in scores.get(key(fault, level, host, seed), {}) and key(TWIN, "", host, seed) in scores
        ]
        if len(pairs) > 1:
            found[fault, level, host] = compare(*zip(*pairs, strict=True))
    return found


def sorts(names: Sequence[str], results: Results, seeds: Iterable[int]) -> dict[str, str]:
    """What each network is: "twin", "variant", "faulty", "evidence", "equivalent", or "unclear" where it is left out."""
    scores, seeds = results["scores"], list(seeds)
    judged, twins = verdicts(scores, seeds), defaultdict(list)
    for name, result in scores.items():
        if name.startswith(TWIN) and "score" in result:
            twins[split(name)[2]].append(result["score"])
    sort = {}
    for name in names:
        fault, level, host, _ = split(name)
        if fault == TWIN:
            sort[name] = "twin"
        elif "evidence" in scores[name]:
            sort[name] = "evidence"
        elif (fault, level, host) in judged:
            healthy = twins[host]
            low = statistics.mean(healthy) - FAR * max(statistics.pstdev(healthy), 0.005)
            killed = judged[fault, level, host].killed
            sound = scores[name]["score"] >= low
            if fault in VARIANTS:
                sort[name] = "variant" if sound and not killed else "unclear"
            else:
                sort[name] = "faulty" if killed else "equivalent" if sound else "unclear"
        else:
            sort[name] = "unclear"
    return sort


def said_by(tool: str, name: str, results: Results) -> Said | None:
    """What a tool says of a network, first things first: words, symptoms, epoch. None where it was not asked."""
    if tool != "doctor":
        found = results["references"].get(name, {}).get(tool)
        return None if found is None else [(m, frozenset(slugs), epoch) for m, slugs, epoch in found]
    result = results["doctor"].get(name, {})
    if "verdict" not in result:
        return None
    if result["verdict"] != "ill":
        return []
    told = [f for f in result["findings"] if f["severity"] != "info"] or result["findings"]
    return [(f["symptom"], frozenset([f["symptom"]]), f["seen"][0] if f["seen"] else 0) for f in told]


def share(hits: int, n: int) -> dict[str, float]:
    """A share with its interval."""
    low, high = wilson(hits, n)
    return {
        "hits": hits,
        "n": n,
        "share": round(hits / n, 4) if n else math.nan,
        "low": round(low, 4),
        "high": round(high, 4),
    }


def of_tool(tool: str, sort: Mapping[str, str], results: Results) -> dict[str, Any]:
    """All figures of one tool."""
    told = {name: said for name in sort if (said := said_by(tool, name, results)) is not None}
    faulty = [name for name in told if sort[name] in ("faulty", "evidence")]
    accepted = {name: FAULTS[split(name)[0]].accepted for name in faulty}
    found = [name for name in faulty if told[name]]
    top = [name for name in found if told[name][0][1] & accepted[name]]
    named = [name for name in found if any(slugs & accepted[name] for _, slugs, _ in told[name])]
    preferred = [name for name in found if FAULTS[split(name)[0]].preferred in told[name][0][1]]
    figures: dict[str, Any] = {
        "detected": share(len(found), len(faulty)),
        "first named": share(len(top), len(faulty)),
        "first preferred": share(len(preferred), len(faulty)),
        "any named": share(len(named), len(faulty)),
    }
    for kind in SOUND:
        sound = [name for name in told if sort[name] == kind]
        figures[f"false alarms, {kind}"] = share(sum(bool(told[name]) for name in sound), len(sound))
    alike = [name for name in told if sort[name] == "equivalent" and told[name]]
    figures["of these the change named"] = share(
        sum(bool(told[name][0][1] & FAULTS[split(name)[0]].accepted) for name in alike), len(alike)
    )
    epochs = [min(epoch for _, _, epoch in told[name]) for name in found]
    figures["epochs to detection"] = statistics.median(epochs) if epochs else math.nan
    figures["messages a run"] = round(statistics.mean(map(len, told.values())), 2) if told else math.nan
    return figures


def by_fault(sort: Mapping[str, str], results: Results) -> list[dict[str, Any]]:
    """For each fault: what became of it, and how often each tool detected and named it."""
    rows = []
    for fault in FAULTS.values():
        own = [name for name in sort if split(name)[0] == fault.id]
        hurt = [name for name in own if sort[name] in ("faulty", "evidence")]
        outcomes = {n: r for n, r in results["scores"].items() if split(n)[0] == fault.id}
        prevented = [r["prevented"] for r in outcomes.values() if "prevented" in r]
        row: dict[str, Any] = {"fault": fault.id, "text": fault.text, "preferred": fault.preferred, "hurt": len(hurt)}
        row["equivalent"] = sum(sort[name] == "equivalent" for name in own)
        row["prevented"] = sorted({split(n)[1] for n, r in outcomes.items() if "prevented" in r})
        row["message"] = prevented[0] if prevented else ""
        for tool in TOOLS:
            told = {name: said for name in hurt if (said := said_by(tool, name, results)) is not None}
            row[tool] = {
                "n": len(told),
                "detected": sum(map(bool, told.values())),
                "first": sum(bool(said) and bool(said[0][1] & fault.accepted) for said in told.values()),
                "any": sum(any(slugs & fault.accepted for _, slugs, _ in said) for said in told.values()),
            }
        rows.append(row)
    return rows


def _lost(name: str) -> bool:
    """Whether a network's fault is one of its rows, which no change of the training brings back."""
    fault = split(name)[0]
    return fault in FAULTS and FAULTS[fault].lost


def by_host(sort: Mapping[str, str], results: Results) -> dict[str, Any]:
    """The doctor's figures for each host: some were tuned on with other seeds, some never."""
    hosts = sorted({split(name)[2] for name in sort})
    names = {host: HOSTS[host].text.split(",")[0] + ("" if host in TUNING else ", never tuned on") for host in hosts}
    return {
        names[host]: of_tool("doctor", {n: s for n, s in sort.items() if split(n)[2] == host}, results)
        for host in hosts
    }


def repairs(sort: Mapping[str, str], results: Results) -> dict[str, Any]:
    """Of networks called ill: how often a repair wins back half of what was lost, and how often it harms.

    "mended" counts networks that the training alone spoiled; of those that lost rows, labels or columns nothing can bring
    them back.
    """
    figures = {}
    for who in WHO:
        helped = harmed = n = mended = whole = spoiled = sound = 0
        for name, result in results["repairs"].items():
            if name not in sort or "before" not in result:
                continue
            fault, _, host, seed = split(name)
            after = result[who]
            if sort[name] == "faulty" and FAULTS[fault].harm == METRIC:
                gap = results["scores"][key(TWIN, "", host, seed)]["score"] - result["before"]
                won = gap > 0 and after - result["before"] >= gap / 2
                n, helped = n + 1, helped + won
                whole, mended = whole + (not _lost(name)), mended + (won and not _lost(name))
                harmed += after < result["before"] - HARMED
            elif sort[name] in SOUND:
                sound, spoiled = sound + 1, spoiled + (after < result["before"] - HARMED)
        figures[WHO[who]] = {
            "repaired": share(helped, n),
            "mended": share(mended, whole),
            "harmed": share(harmed, n),
            "healthy harmed": share(spoiled, sound),
        }
    return figures


def summarize(names: Sequence[str], results: Results, seeds: Iterable[int]) -> dict[str, Any]:
    """All tables as plain data."""
    seeds = list(seeds)
    sort = sorts(names, results, seeds)
    judged = verdicts(results["scores"], seeds)
    groups = {
        "tools": sort,
        "tools, severe faults": {n: s for n, s in sort.items() if s != "faulty" or judged[split(n)[:3]].severe},
        "tools, faults of training": {n: s for n, s in sort.items() if s in SOUND or not _lost(n)},
    }
    healthy = [r for n, r in results["doctor"].items() if sort.get(n) == "twin" and "overhead" in r]
    told = [r["findings"] for n, r in results["doctor"].items() if n in sort and "findings" in r]
    infos = [sum(f["severity"] == "info" for f in findings) for findings in told]
    confusion: dict[str, Counter[str]] = defaultdict(Counter)
    for name, kind in sort.items():
        said = said_by("doctor", name, results)
        if kind in ("faulty", "evidence") and said is not None:
            confusion[split(name)[0]][said[0][0] if said else "(nothing)"] += 1
    return {
        "networks": dict(Counter(sort.values())),
        **{which: {tool: of_tool(tool, group, results) for tool in TOOLS} for which, group in groups.items()},
        "hosts": by_host(sort, results),
        "faults": by_fault(sort, results),
        "repairs": repairs(sort, results),
        "infos a run": round(statistics.mean(infos), 2) if infos else math.nan,
        "overhead": statistics.median([r["overhead"] for r in healthy]) if healthy else math.nan,
        "seconds": statistics.median([r["seconds"] for r in healthy]) if healthy else math.nan,
        "errors": sum("error" in r for kind in results.values() for r in kind.values()),
        "confusion": {fault: dict(count.most_common()) for fault, count in confusion.items()},
    }


def _percent(figure: Mapping[str, float]) -> str:
    if not figure["n"]:
        return "-"
    return f"{100 * figure['share']:.0f} % ({100 * figure['low']:.0f}-{100 * figure['high']:.0f})"


def _table(head: Sequence[str], rows: Iterable[Sequence[Any]]) -> str:
    lines = ["| " + " | ".join(head) + " |", "|" + "---|" * len(head)]
    return "\n".join([*lines, *("| " + " | ".join(str(cell) for cell in row) + " |" for row in rows)])


NAMED = ("detected", "first", "any")
"""Of each fault and tool."""

SHARES = (
    "detected",
    "first named",
    "first preferred",
    "any named",
    "false alarms, twin",
    "false alarms, variant",
    "false alarms, equivalent",
    "of these the change named",
)


TITLES = {
    "tools": "all faults",
    "tools, severe faults": "severe faults",
    "tools, faults of training": "faults of network and training",
    "hosts": "the doctor by host, all faults",
}
"""What the tables of detection are about."""


def replaced(page: str, text: str) -> str:
    """A page with other tables between its two marks."""
    head, rest = page.split(BEGIN)
    return f"{head}{BEGIN}\n\n{text}\n\n{END}{rest.split(END)[1]}"


def markdown(summary: Mapping[str, Any]) -> str:
    """The tables."""
    counts = ", ".join(f"{n} {kind}" for kind, n in sorted(summary["networks"].items()))
    half = {"tune": "Tuning", "test": "Test"}.get(summary.get("half", ""), "All")
    parts = [f"{half} half, {len(summary.get('seeds', []))} seeds; networks: {counts}; errors: {summary['errors']}."]
    for which, title in TITLES.items():
        head = [title, "networks", *SHARES, "epochs", "messages"]
        rows = [
            [who, f["detected"]["n"], *(_percent(f[s]) for s in SHARES), f["epochs to detection"], f["messages a run"]]
            for who, f in summary[which].items()
        ]
        parts.append(_table(head, rows))
    if any(f["detected"]["n"] for f in summary.get("pairs", {}).values()):
        names = list(summary["pairs"]["doctor"])
        rows = [[who, f["detected"]["n"], *(_percent(f[s]) for s in names)] for who, f in summary["pairs"].items()]
        parts.append(_table(["pairs of faults", "networks", *names], rows))
    rows = [
        [who, *(_percent(f[s]) for s in ("mended", "repaired", "harmed", "healthy harmed"))]
        for who, f in summary["repairs"].items()
    ]
    parts.append(
        _table(["repair", "wins back half", "the same, lost rows and labels too", "harms", "harms healthy ones"], rows)
    )
    parts.append(
        f"The doctor on healthy twins: {summary['seconds']} s a case; looking took {summary['overhead']} of the training's "
        f"time. Beside its messages it notes {summary['infos a run']} things a run as information, which count as neither "
        "alarm nor name."
    )
    parts.append("Networks in per cent that were detected / named first / named at all:")
    parts.append(_table(["fault", "", "hurt", "equivalent", "prevented", *TOOLS], map(_fault_row, summary["faults"])))
    parts.append("What the library says to faults that it prevents:")
    prevented = [(r["fault"], r["text"], r["message"]) for r in summary["faults"] if r["message"]]
    parts.append(_table(["fault", "", "message"], prevented))
    return "\n\n".join(parts)


def _fault_row(row: Mapping[str, Any]) -> list[Any]:
    cells = ["/".join(f"{100 * row[t][s] / row[t]['n']:.0f}" for s in NAMED) if row[t]["n"] else "-" for t in TOOLS]
    return [row["fault"], row["text"], row["hurt"], row["equivalent"], ", ".join(row["prevented"]), *cells]


FAILURES = {
    "twin": "FALSE ALARM on healthy twins",
    "variant": "FALSE ALARM on healthy variants",
    "equivalent": "FALSE ALARM on equivalent mutants",
    "missed": "MISSED",
    "wrong": "WRONG NAME",
    "error": "ERROR",
}
"""What can go wrong, in the order in which it is told."""


def failures(names: Sequence[str], results: Results, seeds: Iterable[int], summary: Mapping[str, Any]) -> str:
    """What the doctor got wrong, network by network, most frequent first."""
    seeds = list(seeds)
    sort, judged = sorts(names, results, seeds), verdicts(results["scores"], seeds)
    groups: dict[str, dict[str, list[str]]] = {what: defaultdict(list) for what in FAILURES}
    for name, kind in sort.items():
        failure = _failure(name, kind, results, judged)
        if failure is not None:
            what, text, detail = failure
            groups[what][text].append(f"s{split(name)[3]} {detail}")
    parts = [_head(summary)]
    for what, entries in groups.items():
        ordered = sorted(entries.items(), key=lambda entry: -len(entry[1]))
        parts.append(f"## {FAILURES[what]}: {sum(map(len, entries.values()))}")
        parts += [f"- {text} x{len(where)}: " + "; ".join(where[:2]) for text, where in ordered]
    return "\n".join(parts) + "\n"


def _failure(
    name: str, kind: str, results: Results, judged: Mapping[tuple[str, str, str], Verdict]
) -> tuple[str, str, str] | None:
    """What went wrong with one network: its group, the case in words, the detail; None where nothing did."""
    fault, level, host, _ = split(name)
    result, said = results["doctor"].get(name, {}), said_by("doctor", name, results)
    harm = judged.get((fault, level, host))
    case = f"{fault} {level} ({host})" + (f" (costs {harm.drop:.3f}, d {harm.d:.1f})" if harm else "")
    if "error" in result:
        return "error", result["error"].strip().splitlines()[-1], case
    if said is None or kind == "unclear":
        return None
    first = result["findings"][0] if said else {}
    if kind in SOUND:
        text = f"[{first['severity']}, confirmed {first['confirmed']}]: {first['measured']}" if said else ""
        return (kind, f"{case}: {first['symptom']}", text) if said else None
    accepted = FAULTS[fault].accepted
    if not said:
        return "missed", f"{case} wants {FAULTS[fault].preferred}", _infos(result)
    if said[0][1] & accepted:
        return None
    rest = " (named later)" if any(slugs & accepted for _, slugs, _ in said) else ""
    return "wrong", f"{case} wants {sorted(accepted)}, says {said[0][0]}{rest}", first["measured"]


def _infos(result: Mapping[str, Any]) -> str:
    told = [f["symptom"] for f in result["findings"]]
    return f" (info: {', '.join(told)})" if told else ""


def _head(summary: Mapping[str, Any]) -> str:
    tools = "\n".join(
        f"- {tool}: " + "; ".join(f"{s} {_percent(f[s])}" for s in SHARES) for tool, f in summary["tools"].items()
    )
    return f"# Tuning half, seeds {summary['seeds']}: {summary['networks']}\n{tools}\n"
