"""Provide the figures of the noisy benchmark: false alarms on sound networks, faults found and named, repairs.

In: lines of JSON as `noisy_asking` gives them. Out: text, and the same figures as plain data.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from doctor.fault import EVIDENCE
from doctor.kill import wilson
from doctor.noisy_faults import KIND_OF, KINDS, NOISY

SOUND = 0.05
"""Share of a constant's error by which a sound network may be worse than the best of its host."""

LEARNED = 0.98
"""Share of a constant's error that the best network of a host must stay below."""

SURELY = 2.0
"""Standard errors by which the best network of a host must be better than a constant prediction."""

HARMED = 0.02
"""A drop of the test score that counts as harm by a repair."""

Line = dict[str, Any]


def percent(hits: int, n: int) -> str:
    """A share with its 95 % interval."""
    low, high = wilson(hits, n)
    return f"{100 * hits / n:.1f} % ({100 * low:.0f}-{100 * high:.0f}, {hits}/{n})" if n else "-"


def sound(lines: Iterable[Line]) -> Iterator[Line]:
    """The networks without a fault that are about as good as the best of their host and seed.

    Where the best is no better than a constant prediction, none is: nothing was learned, and it may well be said. Lines of
    sets up to the tenth do not tell whether it may be better by chance.
    """
    groups = defaultdict(list)
    for line in lines:
        if "error" in line and not line.get("fault"):
            groups[line["host"], line["seed"]].append(line)
    for group in groups.values():
        best = min(group, key=lambda line: line["error"])
        if best["error"] < LEARNED and best.get("lead", SURELY) >= SURELY:
            yield from (line for line in group if line["error"] <= best["error"] + max(SOUND, 2 * line["noise"]))


def twins(lines: Iterable[Line]) -> dict[tuple[str, str, int], Line]:
    """The network without a fault by host, settings and seed."""
    return {
        (line["host"], line["settings"], line["seed"]): line
        for line in lines
        if "error" in line and not line.get("fault")
    }


def faulty(lines: Sequence[Line]) -> list[Line]:
    """The networks whose fault hurts: worse than the twin by more than `SOUND` and its two standard errors, or by design.

    Leaks and faults of the validation rows spoil what is known of a network, not the network, and count always.
    """
    healthy, found = twins(lines), []
    for line in lines:
        if "error" not in line or not line.get("fault"):
            continue
        twin = healthy.get((line["host"], line["settings"], line["seed"]))
        evident = NOISY[line["fault"]].harm == EVIDENCE
        if evident or (twin and line["error"] > twin["error"] + max(SOUND, 2 * twin["noise"])):
            found.append(line)
    return found


def warned(line: Line) -> list[str]:
    """Symptoms that are said to make the training worse, the first first."""
    if line.get("verdict") != "ill":
        return []
    return [finding[0] for finding in line["findings"] if finding[1] != "info"]


def by_tool(lines: Iterable[Line]) -> dict[str, list[tuple[Line, list[frozenset[str]]]]]:
    """What each tool says: for each of its networks, symptoms by message; our doctor's modes are tools too."""
    said: dict[str, list[tuple[Line, list[frozenset[str]]]]] = defaultdict(list)
    for line in lines:
        if "verdict" in line:
            said[line["mode"]].append((line, [frozenset([symptom]) for symptom in warned(line)]))
        for tool, messages in line.get("tools", {}).items():
            said[tool].append((line, [frozenset(slugs) for _, slugs in messages]))
    return said


def of_faults(lines: Sequence[Line]) -> list[dict[str, Any]]:
    """For each tool and kind of fault: networks, detected, first named, first preferred, any named."""
    rows = []
    for tool, told in by_tool(faulty(lines)).items():
        for kind in (*KINDS, "all"):
            mine = [(line, names) for line, names in told if kind in ("all", KIND_OF[line["fault"]])]
            if not mine:
                continue
            fault = [NOISY[line["fault"]] for line, _ in mine]
            names = [each for _, each in mine]
            rows.append(
                {
                    "tool": tool,
                    "kind": kind,
                    "n": len(mine),
                    "detected": sum(bool(each) for each in names),
                    "first named": sum(
                        bool(each and each[0] & f.accepted) for each, f in zip(names, fault, strict=True)
                    ),
                    "first preferred": sum(
                        bool(each and f.preferred in each[0]) for each, f in zip(names, fault, strict=True)
                    ),
                    "any named": sum(
                        any(slugs & f.accepted for slugs in each) for each, f in zip(names, fault, strict=True)
                    ),
                }
            )
    return rows


def of_sound(lines: Sequence[Line]) -> list[dict[str, Any]]:
    """For each tool: sound networks, hosts, false alarms, cost in trainings."""
    kept = {(line["host"], line["settings"], line["seed"]) for line in sound(lines)}
    mine = [line for line in lines if not line.get("fault") and (line["host"], line["settings"], line["seed"]) in kept]
    rows = []
    for tool, told in by_tool(mine).items():
        costs = sorted(line["seconds"] / max(line["trained"], 1e-3) for line, _ in told if line.get("seconds"))
        alarms = [line for line, names in told if names]
        rows.append(
            {
                "tool": tool,
                "n": len(told),
                "hosts": len({line["host"] for line, _ in told}),
                "false alarms": len(alarms),
                "cost": [round(costs[int(q * (len(costs) - 1))], 1) for q in (0.5, 0.9)] if costs else [],
                "alarms": [f"{line['host']} / {line['settings']} / {line['seed']}: {_words(line)}" for line in alarms],
            }
        )
    return rows


def _words(line: Line) -> str:
    return ", ".join(warned(line))


def of_repairs(lines: Sequence[Line]) -> dict[str, Any]:
    """Repairs of networks whose fault hurts and takes nothing away; harm to these and to sound ones.

    A network is repaired if half of the error that it lost against its twin is won back, harmed if its score falls.
    """
    fixed = [line for line in lines if "after" in line]
    hurt = [
        line
        for line in fixed
        if line.get("fault")
        and NOISY[line["fault"]].harm != EVIDENCE
        and line["before"][0] > line["twin"][0] + max(SOUND, 2 * line["noise"])
    ]
    curable = [line for line in hurt if not NOISY[line["fault"]].lost]
    healthy = [line for line in fixed if not line.get("fault")]
    return {
        "repaired": [line for line in curable if won_back(line) >= 0.5],
        "curable": curable,
        "harmed": [line for line in fixed if line.get("fault") and line["after"][1] < line["before"][1] - HARMED],
        "faulty": [line for line in fixed if line.get("fault")],
        "harmed sound": [line for line in healthy if line["after"][1] < line["before"][1] - HARMED],
        "sound": healthy,
    }


def won_back(line: Line) -> float:
    """Share of the lost error that a repair wins back."""
    twin, before, after = (min(line[name][0], 2.0) for name in ("twin", "before", "after"))
    return (before - after) / max(before - twin, 1e-9)


def text(lines: Sequence[Line], misses: bool = False) -> str:
    """All figures, and what went wrong."""
    out = []
    for row in of_sound(lines):
        cost = f"; trainings: median {row['cost'][0]}, 90 % {row['cost'][1]}" if row["cost"] else ""
        share = percent(row["false alarms"], row["n"])
        out.append(f"{row['tool']}: false alarms {share} on {row['hosts']} hosts{cost}")
        if row["tool"] in ("examine", "watch", "doctor"):
            out += [f"  {alarm}" for alarm in row["alarms"]]
    for row in of_faults(lines):
        shares = ", ".join(f"{name} {percent(row[name], row['n'])}" for name in COLUMNS)
        out.append(f"{row['tool']}, faults of {row['kind']}: {shares}")
    repairs = of_repairs(lines)
    for name, among in (("repaired", "curable"), ("harmed", "faulty"), ("harmed sound", "sound")):
        if repairs[among]:
            out.append(f"fix: {name} {percent(len(repairs[name]), len(repairs[among]))}")
    for kind in KINDS:
        mine = [line for line in repairs["curable"] if KIND_OF[line["fault"]] == kind]
        if mine:
            out.append(
                f"fix, faults of {kind}: repaired {percent(sum(won_back(line) >= 0.5 for line in mine), len(mine))}"
            )
    counts = Counter(
        (line["mode"], word)
        for line in lines
        for word in ("absent", "impossible", "prevented", "failed")
        if word in line
    )
    out += [f"{mode}: {word} {count}" for (mode, word), count in sorted(counts.items())]
    return "\n".join([*out, *(missed(lines) if misses else [])])


COLUMNS = ("detected", "first named", "first preferred", "any named")


def markdown(lines: Sequence[Line]) -> str:
    """The same figures as tables of a page."""
    out = [
        "| asked by | sound networks | hosts | false alarms | trainings, median | trainings, 90 % quantile |",
        "|---" * 6 + "|",
    ]
    for row in of_sound(lines):
        cost = row["cost"] or ["", ""]
        share = percent(row["false alarms"], row["n"])
        out.append(f"| {row['tool']} | {row['n']} | {row['hosts']} | {share} | {cost[0]} | {cost[1]} |")
    out += ["", f"| asked by | faults of | networks | {' | '.join(COLUMNS)} |", "|---" * (3 + len(COLUMNS)) + "|"]
    for row in of_faults(lines):
        shares = " | ".join(percent(row[name], row["n"]) for name in COLUMNS)
        out.append(f"| {row['tool']} | {row['kind']} | {row['n']} | {shares} |")
    out += ["", "| repair | of | share |", "|---|---|---|"]
    repairs = of_repairs(lines)
    for name, among in (("repaired", "curable"), ("harmed", "faulty"), ("harmed sound", "sound")):
        out.append(f"| {name} | {len(repairs[among])} | {percent(len(repairs[name]), len(repairs[among]))} |")
    return "\n".join(out)


def missed(lines: Sequence[Line]) -> Iterator[str]:
    """Each faulty network that was missed or misnamed, each that was not repaired or harmed, each failure."""
    healthy = twins(lines)
    for line in faulty(lines):
        fault = NOISY[line["fault"]]
        names = warned(line)
        if "verdict" in line and not (names and names[0] in fault.accepted):
            twin = healthy.get((line["host"], line["settings"], line["seed"]))
            lost = "" if twin is None else f" ({twin['error']:.2f} -> {line['error']:.2f})"
            infos = [finding[0] for finding in line["findings"] if finding[1] == "info"]
            yield f"- {where(line)}{lost}: {', '.join(names) or 'healthy'}; info: {', '.join(infos)}"
    repairs = of_repairs(lines)
    for line in repairs["curable"]:
        if won_back(line) < 0.5:
            yield f"- not repaired {where(line)}: {_course(line)} {line.get('kept', '')}"
    for line in (*repairs["harmed"], *repairs["harmed sound"]):
        yield f"- harmed {where(line)}: {_course(line)}"
    for line in lines:
        if "failed" in line:
            yield f"- failed {where(line)}: {line['failed'].strip().splitlines()[-1]}"


def where(line: Mapping[str, Any]) -> str:
    """A network in words."""
    name = f"{line['fault']} {NOISY[line['fault']].text}, {line['level']}" if line.get("fault") else "sound"
    return f"[{line['mode']}] {name}: {line['host']} / {line['settings']} / {line['seed']}"


def _course(line: Line) -> str:
    return " -> ".join(f"{name} {line[name][0]:.2f} ({line[name][1]:.3f})" for name in ("twin", "before", "after"))
