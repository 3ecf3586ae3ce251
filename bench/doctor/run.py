"""Why: the whole benchmark is one command that can be stopped at any time and goes on where it was.

In: a half, seeds. Out: raw results under results/raw, one summary per half under results, tables on the screen.

    python bench/doctor/run.py [--half tune|test] [--seeds 10] [--stages scores references doctor repairs pairs] [--quick]
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import random
import sys
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any

for _name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS") if __name__ == "__main__" else ():  # an import changes nothing
    os.environ.setdefault(_name, "1")
sys.path[0] = str(Path(__file__).resolve().parents[1])

from doctor import pairs, tables, work  # noqa: E402  (the threads are set first)
from doctor.faults import cases  # noqa: E402
from doctor.hosts import HOSTS, TUNING, plain  # noqa: E402

STAGES = ("scores", "references", "doctor", "repairs", "pairs")
SAVE_EVERY = 20.0
"""Seconds between writes."""


class Store:
    """Results by key in one JSON file, written atomically now and then."""

    def __init__(self, path: Path) -> None:
        self.path, self._saved = path, time.monotonic()
        self.results: dict[str, Any] = json.loads(path.read_text()) if path.exists() else {}

    def put(self, key: str, result: dict[str, Any]) -> None:
        """Keep one result."""
        self.results[key] = result
        if time.monotonic() - self._saved > SAVE_EVERY:
            self.save()

    def save(self) -> None:
        """Write all."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        part = self.path.with_suffix(".part")
        part.write_text(json.dumps(self.results, separators=(",", ":")))
        part.replace(self.path)
        self._saved = time.monotonic()


def parse() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--half", choices=("tune", "test"), default="tune")
    parser.add_argument("--seeds", type=int, default=10, help="0 .. seeds-1; even ones tune, odd ones test")
    parser.add_argument("--kill-seeds", type=int, default=10, help="0 .. kill-seeds-1 are those of the kill test")
    parser.add_argument("--repair-seeds", type=int, default=1, help="seeds of the half that repairs are tried on")
    parser.add_argument("--pairs", type=int, default=10, help="pairs of faults for each host")
    parser.add_argument("--stages", nargs="+", choices=STAGES, default=list(STAGES))
    parser.add_argument("--faults", nargs="+", default=[], help="only these, as F12")
    parser.add_argument("--again", nargs="+", choices=STAGES[:-1], default=[], help="forget what these stages found")
    parser.add_argument("--processes", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--minutes", type=float, default=0.0, help="stop after; 0 is never")
    parser.add_argument("--results", type=Path, default=Path(__file__).resolve().parent / "results")
    parser.add_argument("--page", type=Path, help="replace the tables of this page")
    parser.add_argument(
        "--failures", type=Path, help="write the list of what went wrong to this file (tuning half only)"
    )
    parser.add_argument("--quick", action="store_true", help="two hosts, four seeds, one level of each fault")
    return parser.parse_args()


def chosen_cases(options: argparse.Namespace) -> list[tuple[str, str, str]]:
    """Fault, level, host of all cases that this call is about."""
    hosts = ("H1", "H3") if options.quick else tuple(HOSTS)
    found = [case for case in cases(hosts) if not options.faults or case[0] in options.faults]
    if options.quick:
        first = {case[0]: case[1] for case in reversed(found)}
        found = [case for case in found if first[case[0]] == case[1]]
    return found


def half_seeds(half: str, seeds: int) -> list[int]:
    """Even seeds tune, odd ones test."""
    return list(range(0 if half == "tune" else 1, seeds, 2))


def mixed(names: list[str]) -> list[str]:
    """In an order of no meaning, always the same, so that a part is a sample of the whole."""
    random.Random(0).shuffle(names)
    return names


def do_stage(
    kind: str, tasks: Iterable[tuple[Any, ...]], store: Store, options: argparse.Namespace, until: float
) -> None:
    """Whatever is not done yet, over all processes; stops at the time given."""
    todo = [(kind, task) for task in tasks if task[0] not in store.results]
    print(f"{kind}: {len(todo)} to do, {len(store.results)} done before", flush=True)
    began = time.monotonic()
    if todo:
        with multiprocessing.Pool(options.processes) as pool:
            for count, (key, result) in enumerate(pool.imap_unordered(work.do, todo, chunksize=2), start=1):
                store.put(key, result)
                if time.monotonic() > until:
                    print(f"{kind}: stopped after {count} of {len(todo)}; the same command goes on", flush=True)
                    pool.terminate()
                    break
        print(f"{kind}: {time.monotonic() - began:.0f} s", flush=True)
    store.save()


def do_scores(
    stores: dict[str, Store],
    all_cases: list[tuple[str, str, str]],
    judging: Iterable[int],
    options: argparse.Namespace,
    until: float,
) -> None:
    """Test scores of all twins and mutants: what the kill test judges by."""
    hosts = sorted({host for _, _, host in all_cases})
    twins = [(work.key(work.TWIN, "", host, seed),) for host in hosts for seed in judging]
    faulty = [(work.key(*case, seed),) for seed in judging for case in all_cases]
    do_stage("scores", [*twins, *faulty], stores["scores"], options, until)


def do_pairs(
    stores: dict[str, Store], hosts: list[str], judging: range, options: argparse.Namespace, until: float
) -> list[str]:
    """Pairs of faults, scored and shown to all tools; their names."""
    drawn, seeds = (
        pairs.drawn(stores["scores"].results, judging, hosts, options.pairs),
        half_seeds(options.half, options.seeds),
    )
    keys = {seed: [(work.key(*case, seed),) for case in drawn] for seed in sorted({*judging, *seeds})}
    do_stage("scores", [task for tasks in keys.values() for task in tasks], stores["scores"], options, until)
    for kind in ("references", "doctor"):
        do_stage(kind, [task for seed in seeds for task in keys[seed]], stores[kind], options, until)
    return [name for seed in seeds for (name,) in keys[seed]]


def names_of(
    all_cases: list[tuple[str, str, str]], hosts: list[str], seeds: list[int], scores: dict[str, Any]
) -> list[str]:
    """Every network of the half that exists."""
    names = [work.key(work.TWIN, "", host, seed) for seed in seeds for host in hosts]
    for seed in seeds:
        names += mixed([work.key(*case, seed) for case in all_cases if case[2] in hosts])
    return [name for name in names if {"score", "evidence"} & set(scores.get(name, {}))]


def write(
    summary: dict[str, Any], names: list[str], results: tables.Results, judging: Iterable[int], options: Any
) -> None:
    """The summary, the page, the list of failures, the screen."""
    options.results.mkdir(parents=True, exist_ok=True)
    (options.results / f"{options.half}.json").write_text(json.dumps(summary, indent=1) + "\n")
    text = tables.markdown(summary)
    print(text)
    if options.page:
        options.page.write_text(tables.replaced(options.page.read_text(), text))
    if options.failures and options.half == "tune":
        options.failures.write_text(tables.failures(names, results, judging, summary))


def main() -> int:
    """All stages, then the tables."""
    options = parse()
    if options.quick:
        options.seeds = options.kill_seeds = min(options.seeds, 4)
    judging = range(options.kill_seeds)
    until = time.monotonic() + options.minutes * 60 if options.minutes else float("inf")
    raw = options.results / "raw"
    stores = {"scores": Store(raw / "scores.json")}
    stores |= {kind: Store(raw / f"{kind}-{options.half}.json") for kind in STAGES[1:-1]}
    for kind in options.again:
        stores[kind].results.clear()
    all_cases, seeds = chosen_cases(options), half_seeds(options.half, options.seeds)
    if "scores" in options.stages:
        do_scores(stores, all_cases, sorted({*judging, *seeds}), options, until)
    hosts = sorted({host for _, _, host in all_cases if options.half == "test" or host in TUNING})
    names = names_of(all_cases, hosts, seeds, stores["scores"].results)
    for kind in ("references", "doctor"):
        if kind in options.stages:
            do_stage(kind, [(name,) for name in names], stores[kind], options, until)
    if "repairs" in options.stages:
        sample = [name for name in names if int(name.rsplit("|", 1)[1]) in seeds[: options.repair_seeds]]
        do_stage("repairs", repair_tasks(sample, stores["doctor"].results), stores["repairs"], options, until)
    of_pairs = do_pairs(stores, hosts, judging, options, until) if "pairs" in options.stages else []
    results = {kind: store.results for kind, store in stores.items()}
    summary = {"half": options.half, "seeds": seeds, "hosts": {host: plain(host) for host in hosts}}
    summary |= tables.summarize(names, results, judging) | {"pairs": pairs.figures(of_pairs, results, judging)}
    write(summary, names, results, judging, options)
    return 0


def repair_tasks(names: Iterable[str], doctor: dict[str, Any]) -> list[tuple[str, str]]:
    """Every network called ill whose first finding names a change."""
    tasks = []
    for name in names:
        said = doctor.get(name, {})
        if said.get("verdict") == "ill" and said["findings"]:
            tasks.append((name, said["findings"][0]["change"]))
    return tasks


if __name__ == "__main__":
    sys.exit(main())
