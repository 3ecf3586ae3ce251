"""Why: what a reader does with thousands of mutants is counted, in a process that may take little memory.

In: `python tests/untrusted/attack.py [READER ...] [--count N] [--first N] [--seconds S]`. Out: for each reader how many
mutants were refused, how many were read, and the numbers of those that ended otherwise; `READER --show N` prints the
traceback of one.
"""

import argparse
import gc
import json
import os
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

TESTS = Path(__file__).parents[1]
sys.path[:0] = [str(TESTS)] if str(TESTS) not in sys.path else []

SECONDS = 2.0
MEMORY = 64 << 20
MEMORY_PER_BYTE = 4


def attack(name, numbers, seconds=float("inf")):
    """Read the mutants with these numbers: counts, faults as (number, what happened), the longest time of the processor."""
    from untrusted.mutation import drawing
    from untrusted.readers import READERS

    from chainrule.errors import ChainruleError

    reader = READERS[name]
    counts, faults, longest, began = Counter(), [], 0.0, time.monotonic()
    with tempfile.TemporaryDirectory() as place:
        path = reader.honest(Path(place))
        data = path.read_bytes()
        reader.read(path)
        with limited_memory(len(data)):
            for number in numbers:
                path.write_bytes(reader.mutant(data, drawing(name, number)))
                start = time.process_time()
                try:
                    reader.read(path)
                    counts["read"] += 1
                except ChainruleError:
                    counts["refused"] += 1
                except BaseException as error:
                    if isinstance(error, KeyboardInterrupt):
                        raise
                    faults.append((number, f"{type(error).__name__}: {str(error)[:200]}"))
                took = time.process_time() - start
                longest = max(longest, took)
                if took > SECONDS:
                    faults.append((number, f"{took:.1f} s"))
                if time.monotonic() - began > seconds:
                    break
    return {"reader": name, **counts, "faults": faults, "longest": longest}


class limited_memory:  # noqa: N801  (a context manager)
    """Limit the address space of this process to what it has, 64 MB and four times the file."""

    def __init__(self, size):
        self._more = MEMORY + MEMORY_PER_BYTE * size

    def __enter__(self):
        self._before = None
        if "CHAINRULE_LIMIT" not in os.environ or not os.path.exists("/proc/self/statm"):
            return
        import resource

        gc.collect()
        now = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
        self._before = resource.getrlimit(resource.RLIMIT_AS)
        resource.setrlimit(resource.RLIMIT_AS, (now + self._more, self._before[1]))

    def __exit__(self, *error):
        if self._before is not None:
            import resource

            resource.setrlimit(resource.RLIMIT_AS, self._before)


def in_child(name, first, count, seconds=None):
    """The same in a process of its own with little memory; a process that ends early is a fault."""
    command = [sys.executable, __file__, name, "--first", str(first), "--count", str(count), "--json"]
    command += ["--seconds", str(seconds)] if seconds else []
    done = subprocess.run(command, capture_output=True, env=_environment(), check=False)
    if done.returncode:
        return {
            "reader": name,
            "faults": [(-1, f"exit {done.returncode}: {done.stderr[-300:].decode()}")],
            "longest": 0.0,
        }
    return json.loads(done.stdout.splitlines()[-1])


def _environment():
    """The variables of a child; threads of polars and BLAS would count as memory."""
    paths = [str(TESTS), *(path for path in sys.path if path.endswith("src"))]
    few = {"POLARS_MAX_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "CHAINRULE_LIMIT": "1", "MALLOC_ARENA_MAX": "1"}
    return {**os.environ, **few, "PYTHONPATH": os.pathsep.join([*paths, os.environ.get("PYTHONPATH", "")])}


def main():
    """Attack the readers that are named, or all."""
    from untrusted.readers import READERS

    parser = argparse.ArgumentParser()
    parser.add_argument("readers", nargs="*")
    parser.add_argument("--count", type=int, default=1000)
    parser.add_argument("--first", type=int, default=0)
    parser.add_argument("--seconds", type=float, default=float("inf"))
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--show", type=int)
    options = parser.parse_args()
    for name in options.readers or READERS:
        if options.show is not None:
            show(READERS[name], options.show)
            continue
        began = time.monotonic()
        found = attack(name, range(options.first, options.first + options.count), options.seconds)
        if options.json:
            print(json.dumps(found))
        else:
            faults = found.pop("faults")
            print(f"{found} {time.monotonic() - began:.0f} s", flush=True)
            kinds = Counter(what[:110] for _, what in faults)
            for what, times in kinds.most_common(12):
                print(f"   {times} x {what}  e.g. {next(n for n, w in faults if w[:110] == what)}", flush=True)


def show(reader, number):
    """Print the traceback of one mutant."""
    from untrusted.mutation import drawing

    with tempfile.TemporaryDirectory() as place:
        path = reader.honest(Path(place))
        path.write_bytes(reader.mutant(path.read_bytes(), drawing(reader.name, number)))
        print(path.read_bytes()[:3000])
        reader.read(path)


if __name__ == "__main__":
    main()
