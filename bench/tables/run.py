"""The runner: every (table, seed, peer) that results.jsonl lacks, one process per fit, one line per result.

It can be stopped at any time; the same command goes on where it was.
"""

from __future__ import annotations

import json
import os
import platform
import subprocess
import sys
import time
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

Key = tuple[str, int, str]

ROOT = Path(__file__).resolve().parents[2]
LOADING = 60.0
"""Seconds beyond the cap that a process has for imports and for reading the table."""

THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS", "POLARS_MAX_THREADS")


@dataclass(frozen=True)
class Plan:
    """How the fits of one call are run."""

    out: Path
    seconds: float = 600.0
    threads: int = 2
    python: str = sys.executable
    retry: bool = False
    note: str = ""


def results_path(folder: Path) -> Path:
    """Return the file of results in a folder."""
    return folder / "results.jsonl"


def key_of(line: Mapping[str, Any]) -> Key:
    """Return the table, seed, and peer of a result."""
    return line["table"], line["seed"], line["peer"]


def read_results(folder: Path) -> dict[Key, dict[str, Any]]:
    """Return the results by key, the last line of each; a line cut short by a kill is left out."""
    path = results_path(folder)
    found: dict[Key, dict[str, Any]] = {}
    if path.exists():
        for text in path.read_text().splitlines():
            try:
                line = json.loads(text)
            except json.JSONDecodeError:
                continue
            found[key_of(line)] = line
    return found


def append(folder: Path, line: Mapping[str, Any]) -> None:
    """Append one result in a single write, on a line of its own even after a line that was cut short."""
    folder.mkdir(parents=True, exist_ok=True)
    path = results_path(folder)
    text = json.dumps(line) + "\n"
    if path.exists() and path.stat().st_size:
        with path.open("rb") as file:
            file.seek(-1, os.SEEK_END)
            if file.read(1) != b"\n":
                text = "\n" + text
    handle = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
    try:
        os.write(handle, text.encode())
        os.fsync(handle)
    finally:
        os.close(handle)


def missing(keys: Iterable[Key], plan: Plan, overrides: Mapping[str, Mapping[str, Any]]) -> Iterator[Key]:
    """Yield the keys without a result, and with `retry` also those that failed."""
    done = read_results(plan.out)
    for key in keys:
        line = done.get(key)
        if line is None or (plan.retry and "score" not in line):
            yield key
        elif line.get("overrides", {}) != overrides.get(key[2], {}):
            raise SystemExit(f"{key[2]}: {plan.out} has results with other overrides, {line.get('overrides', {})}.")


def run(keys: Iterable[Key], plan: Plan, overrides: Mapping[str, Mapping[str, Any]] | None = None) -> int:
    """Run what is missing and return how many fits were run."""
    overrides = overrides or {}
    todo = list(missing(keys, plan, overrides))
    absent: set[str] = set()
    count = 0
    for table, seed, peer in todo:
        if peer in absent:
            continue
        line = run_one((table, seed, peer), plan, overrides.get(peer, {}))
        count += 1
        if "absent" in line:
            absent.add(peer)
            print(f"{peer}: skipped, {line['absent']}", flush=True)
            continue
        append(plan.out, line)
        print(f"{count}/{len(todo)} {table} {seed} {peer}: {summary(line)}", flush=True)
    return count


def run_one(key: Key, plan: Plan, overrides: Mapping[str, Any]) -> dict[str, Any]:
    """Run one fit in its own process and return its line."""
    table, seed, peer = key
    line = {"table": table, "seed": seed, "peer": peer, "threads": plan.threads, "seconds_cap": plan.seconds}
    if overrides:
        line["overrides"] = dict(overrides)
    if plan.note:
        line["note"] = plan.note
    line |= {"machine": machine(), "load_before": round(os.getloadavg()[0], 2)}
    line["started"] = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime())
    command = [plan.python, "-m", "bench.tables", "fit", "--table", table, "--seed", str(seed), "--peer", peer]
    command += ["--threads", str(plan.threads), "--seconds", str(plan.seconds), "--overrides", json.dumps(overrides)]
    try:
        done = subprocess.run(
            command,
            check=False,
            cwd=ROOT,
            env=environment(plan.threads),
            capture_output=True,
            text=True,
            timeout=plan.seconds + LOADING,
        )
    except subprocess.TimeoutExpired:
        return line | {"error": f"stopped after {plan.seconds + LOADING:.0f} s"}
    if done.returncode:
        return line | {"error": f"exit code {done.returncode}: {done.stderr.strip()[-1000:]}"}
    return line | json.loads(done.stdout.splitlines()[-1])


def environment(threads: int) -> dict[str, str]:
    """Return the environment of a fit: so many threads, and this repository's packages first."""
    path = os.pathsep.join(filter(None, (str(ROOT / "src"), os.environ.get("PYTHONPATH"))))
    return {**os.environ, **dict.fromkeys(THREADS, str(threads)), "PYTHONPATH": path}


def machine() -> str:
    """Return the processor and the number of cores."""
    name = platform.processor() or platform.machine()
    path = Path("/proc/cpuinfo")
    if path.exists():
        models = [
            line.split(":", 1)[1].strip() for line in path.read_text().splitlines() if line.startswith("model name")
        ]
        name = models[0] if models else name
    return f"{name}, {os.cpu_count()} cores"


def summary(line: Mapping[str, Any]) -> str:
    """Return one result in words."""
    if "score" in line:
        return f"{line['score']:.5g} in {line['fit_seconds']:.1f} s"
    return f"failed, {line['error'][-200:]}"
